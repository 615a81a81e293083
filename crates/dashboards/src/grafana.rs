//! As Grafana reads it: its dashboard JSON, schema version 39 (Grafana 10.4 and later).

use crate::model::{Dashboard, Kind, Panel, Row, Variable};
use serde_json::{Value, json};

/// Columns of a screen.
const COLUMNS: u32 = 24;
/// The data source of every panel.
fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// A dashboard as JSON.
pub fn json(dashboard: &Dashboard) -> Value {
    let mut list = vec![
        json!({ "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
            "current": {}, "options": [], "refresh": 1, "regex": "", "includeAll": false, "multi": false }),
        variable(&Variable {
            name: "job",
            label: "Job",
            query: "label_values({__name__=~\"drmwatch_(runner_info|operator_leader|bridge_info|probe_info)\"}, job)".into(),
            multi: true,
        }),
    ];
    list.extend(dashboard.variables.iter().map(variable));
    json!({
        "uid": format!("drmwatch-{}", dashboard.name),
        "id": null,
        "title": format!("drmwatch / {}", dashboard.title),
        "description": dashboard.description,
        "tags": ["drmwatch"],
        "schemaVersion": 39,
        "version": 1,
        "editable": false,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": { "from": "now-6h", "to": "now" },
        "timezone": "utc",
        "annotations": { "list": [maintenance()] },
        "templating": { "list": list },
        "links": [{ "type": "dashboards", "tags": ["drmwatch"], "title": "drmwatch", "asDropdown": true, "includeVars": true, "keepTime": true,
            "icon": "external link", "targetBlank": false, "tooltip": "", "url": "" }],
        "panels": panels(&dashboard.rows),
    })
}

/// When maintenance begins and ends, drawn over every panel.
fn maintenance() -> Value {
    json!({
        "name": "Maintenance", "enable": true, "hide": false, "iconColor": "blue", "datasource": source(),
        "expr": format!("max by (tenant, window) ({}) == 1", drmwatch_metrics::MAINTENANCE.name),
        "step": "60s", "titleFormat": "Maintenance", "textFormat": "{{tenant}}: {{window}}", "type": "tags",
    })
}

fn variable(variable: &Variable) -> Value {
    let mut made = json!({
        "name": variable.name, "label": variable.label, "type": "query", "datasource": source(), "hide": 0,
        "query": { "query": variable.query, "refId": "values", "qryType": 1 }, "definition": variable.query,
        // When the time changes: what was there then.
        "refresh": 2, "sort": 1, "regex": "", "options": [], "current": {}, "includeAll": variable.multi, "multi": variable.multi,
    });
    if variable.multi {
        made["allValue"] = ".+".into();
        made["current"] = json!({ "selected": true, "text": ["All"], "value": ["$__all"] });
    }
    made
}

/// Lays panels out.
fn panels(rows: &[Row]) -> Vec<Value> {
    let (mut made, mut id, mut y) = (Vec::new(), 0, 0);
    for row in rows {
        id += 1;
        made.push(
            json!({ "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 } }),
        );
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for panel in &row.panels {
            if x + panel.width > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            id += 1;
            let mut value = draw(panel);
            value["id"] = id.into();
            if let Some(variable) = panel.repeat {
                value["repeat"] = variable.into();
                value["repeatDirection"] = "h".into();
            }
            value["gridPos"] = json!({ "x": x, "y": y, "w": panel.width, "h": panel.height });
            made.push(value);
            x += panel.width;
            tallest = tallest.max(panel.height);
        }
        y += tallest;
    }
    made
}

fn draw(panel: &Panel) -> Value {
    let kind = match panel.kind {
        Kind::Lines | Kind::Stack => "timeseries",
        Kind::Stat => "stat",
        Kind::Table => "table",
        Kind::States => "state-timeline",
        Kind::Heat => "heatmap",
        Kind::Bars => "bargauge",
    };
    json!({
        "type": kind, "title": panel.title, "description": panel.description, "datasource": source(),
        "targets": targets(panel), "fieldConfig": field_config(panel), "options": options(panel),
        "transformations": transformations(panel),
    })
}

/// Whether a panel asks for now, or for all the time that is shown.
fn instant(kind: Kind) -> bool {
    matches!(kind, Kind::Stat | Kind::Table | Kind::Bars)
}

fn targets(panel: &Panel) -> Vec<Value> {
    let format = match panel.kind {
        Kind::Table => "table",
        Kind::Heat => "heatmap",
        _ => "time_series",
    };
    let one = |(n, target): (usize, &crate::Target)| {
        let instant = instant(panel.kind);
        json!({
            "refId": char::from(b'A' + n as u8).to_string(), "datasource": source(), "expr": target.expr, "legendFormat": target.legend,
            "format": format, "instant": instant, "range": !instant, "editorMode": "code",
        })
    };
    panel.targets.iter().enumerate().map(one).collect()
}

fn field_config(panel: &Panel) -> Value {
    let steps: Vec<Value> = panel
        .steps
        .iter()
        .map(|(value, color)| json!({ "value": value, "color": color }))
        .collect();
    let words = panel.words.iter().enumerate().map(|(n, (value, text, color))| {
        (
            (*value).to_owned(),
            json!({ "text": text, "color": color, "index": n }),
        )
    });
    let words: serde_json::Map<String, Value> = words.collect();
    let mut defaults = json!({
        "unit": panel.unit,
        "color": { "mode": if panel.steps.len() > 1 || !panel.words.is_empty() { "thresholds" } else { "palette-classic" } },
        "thresholds": { "mode": "absolute", "steps": steps },
        "mappings": if words.is_empty() { json!([]) } else { json!([{ "type": "value", "options": words }]) },
        "links": panel.links.iter().map(|(title, to)| json!({ "title": title, "url": format!("/d/drmwatch-{to}"), "targetBlank": false })).collect::<Vec<_>>(),
    });
    match panel.kind {
        Kind::Lines => {
            // Thresholds are drawn, and colours tell series apart.
            defaults["color"] = json!({ "mode": "palette-classic" });
            defaults["custom"] = json!({ "drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "spanNulls": false,
                "thresholdsStyle": { "mode": if panel.steps.len() > 1 { "dashed" } else { "off" } } });
        }
        Kind::Stack => {
            defaults["color"] = json!({ "mode": "palette-classic" });
            defaults["custom"] = json!({ "drawStyle": "line", "lineWidth": 0, "fillOpacity": 60, "showPoints": "never", "spanNulls": false,
                "stacking": { "mode": "normal", "group": "A" } });
        }
        Kind::States => defaults["custom"] = json!({ "lineWidth": 0, "fillOpacity": 80 }),
        Kind::Table => {
            defaults["custom"] =
                json!({ "align": "auto", "filterable": true, "cellOptions": { "type": "auto" } })
        }
        _ => {}
    }
    let overrides: Vec<Value> = panel
        .units
        .iter()
        .map(|(name, unit)| json!({ "matcher": { "id": "byName", "options": name }, "properties": [{ "id": "unit", "value": unit }] }))
        .collect();
    json!({ "defaults": defaults, "overrides": overrides })
}

fn options(panel: &Panel) -> Value {
    let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match panel.kind {
        Kind::Lines | Kind::Stack => json!({
            "legend": { "displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": true, "sortBy": "Last *", "sortDesc": true },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Stat => {
            json!({ "reduceOptions": last, "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": "auto", "orientation": "auto" })
        }
        Kind::Table => {
            json!({ "showHeader": true, "cellHeight": "sm", "footer": { "show": false, "reducer": ["sum"], "fields": "" } })
        }
        Kind::States => {
            json!({ "mergeValues": true, "showValue": "auto", "rowHeight": 0.8, "alignValue": "left",
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": false }, "tooltip": { "mode": "single", "sort": "none" } })
        }
        Kind::Heat => {
            json!({ "calculate": false, "cellGap": 1, "color": { "mode": "scheme", "scheme": "Spectral", "steps": 64, "reverse": true, "exponent": 0.5 },
            "yAxis": { "unit": "s", "axisPlacement": "left" }, "rowsFrame": { "layout": "auto" }, "tooltip": { "mode": "single", "yHistogram": true },
            "legend": { "show": true } })
        }
        Kind::Bars => {
            json!({ "reduceOptions": last, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true, "valueMode": "text" })
        }
    }
}

fn transformations(panel: &Panel) -> Vec<Value> {
    if panel.kind != Kind::Table {
        return Vec::new();
    }
    let mut made = Vec::new();
    if panel.targets.len() > 1 {
        // Rows with the same labels become one.
        made.push(json!({ "id": "merge", "options": {} }));
    }
    // The time is of no interest; a value has its question's name.
    let mut names = serde_json::Map::new();
    let mut hidden = serde_json::Map::new();
    hidden.insert("Time".into(), true.into());
    for (n, target) in panel.targets.iter().enumerate() {
        let letter = char::from(b'A' + n as u8);
        let value = if panel.targets.len() == 1 {
            "Value".to_owned()
        } else {
            format!("Value #{letter}")
        };
        names.insert(value, target.legend.clone().into());
    }
    for column in &panel.hide {
        hidden.insert((*column).to_owned(), true.into());
    }
    made.push(json!({ "id": "organize", "options": { "excludeByName": hidden, "renameByName": names, "indexByName": {} } }));
    made
}
