//! The rules of Grafana's dashboard linter, which is no package that one can depend on, and a few of our own.
//! <https://github.com/grafana/dashboard-linter>. Its exclusions need a reason; ours stand beside the rule.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_dashboards::{dashboards, json};
use drmwatch_metrics::CATALOGUE;
use promql_parser::parser::{self, Expr, VectorSelector};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// What is not a metric of ours, and need not be.
const THEIRS: [&str; 5] = [
    "ALERTS",
    "alertmanager_notifications_total",
    "alertmanager_notifications_failed_total",
    "prometheus_notifications_sent_total",
    "prometheus_notifications_dropped_total",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn held(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == text,
        "{path} is not what the code says; run `make generate`"
    );
}

fn all() -> Vec<(String, Value)> {
    dashboards()
        .iter()
        .map(|d| (d.name.to_owned(), json(d)))
        .collect()
}

/// Panels that ask something.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|p| p["type"] != "row").collect()
}

fn exprs(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets.map(|t| t["expr"].as_str().unwrap().to_owned()).collect()
}

/// With values for what Grafana fills in.
fn filled(expr: &str) -> String {
    expr.replace("$__rate_interval", "5m").replace("$__range", "1h")
}

fn parse(expr: &str) -> Expr {
    parser::parse(&filled(expr)).unwrap_or_else(|e| panic!("{e}: {expr}"))
}

/// Every selector, and whether it is below a function that makes a rate of a counter.
fn selectors(expr: &Expr, rated: bool, found: &mut Vec<(VectorSelector, bool)>) {
    match expr {
        Expr::VectorSelector(v) => found.push((v.clone(), rated)),
        Expr::MatrixSelector(m) => found.push((m.vs.clone(), rated)),
        Expr::Aggregate(a) => {
            selectors(&a.expr, rated, found);
            if let Some(p) = &a.param {
                selectors(p, rated, found);
            }
        }
        Expr::Unary(u) => selectors(&u.expr, rated, found),
        Expr::Binary(b) => {
            selectors(&b.lhs, rated, found);
            selectors(&b.rhs, rated, found);
        }
        Expr::Paren(p) => selectors(&p.expr, rated, found),
        Expr::Subquery(s) => selectors(&s.expr, rated, found),
        Expr::Call(c) => {
            let rates = matches!(c.func.name, "rate" | "increase" | "irate");
            c.args
                .args
                .iter()
                .for_each(|a| selectors(a, rated || rates, found));
        }
        _ => {}
    }
}

fn selected(expr: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    selectors(&parse(expr), false, &mut found);
    found
        .into_iter()
        .map(|(v, rated)| (v.name.clone().unwrap_or_default(), v.to_string(), rated))
        .collect()
}

/// A metric's name without what its histogram adds.
fn base(name: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

#[test]
fn the_committed_json_is_what_the_code_says() {
    let mut page = String::from(
        "# Dashboards\n\nGenerated from `crates/dashboards` by `make generate`; do not edit.\n\n\
         The chart ships them as ConfigMaps for the sidecar of Grafana's chart (`grafana.sidecar.enabled`) and as\n\
         GrafanaDashboard objects for the Grafana Operator (`grafana.operator.enabled`); the files are in\n\
         `charts/drmwatch/files/dashboards`. From the fleet one gets to a tenant, from there to a probe and its steps; alerts and\n\
         tickets lead to the probe where `grafana.url` is set. Every expression is evaluated against a Prometheus that scraped\n\
         real runners, through an outage and its end (`e2e/cases/10-routing`). How Grafana draws them is not tested: there is\n\
         no Grafana in the tests.\n",
    );
    let mut may_be_empty = String::new();
    for dashboard in dashboards() {
        let value = json(&dashboard);
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        assert!(text.len() < 1 << 20, "a ConfigMap has room for a mebibyte");
        held(
            &format!("charts/drmwatch/files/dashboards/{}.json", dashboard.name),
            &text,
        );
        page += &format!(
            "\n## {}\n\n{} (`drmwatch-{}`)\n\n| panel | says |\n|---|---|\n",
            dashboard.title, dashboard.description, dashboard.name
        );
        for panel in dashboard.rows.iter().flat_map(|r| &r.panels) {
            page += &format!("| {} | {} |\n", panel.title, panel.description);
            for (n, _) in panel.targets.iter().enumerate().filter(|(_, t)| t.may_be_empty) {
                let letter = char::from(b'A' + n as u8);
                may_be_empty += &format!("drmwatch-{}\t{}\t{letter}\n", dashboard.name, panel.title);
            }
        }
    }
    held("docs/dashboards.md", &page);
    held("e2e/dashboards/may-be-empty.tsv", &may_be_empty);
}

#[test]
fn variables_choose_the_source_the_job_and_what_it_is_about() {
    for (name, dashboard) in all() {
        let list = dashboard["templating"]["list"].as_array().unwrap();
        let of = |wanted: &str| list.iter().find(|v| v["name"] == wanted);
        // template-datasource-rule, template-job-rule
        assert_eq!(of("datasource").unwrap()["query"], "prometheus", "{name}");
        let job = of("job").unwrap();
        assert!(
            job["allValue"] == ".+" && job["multi"] == true && job["datasource"]["uid"] == "${datasource}",
            "{name}"
        );
        // template-instance-rule: of tenants and probes one asks by region and tenant; a probe moves between instances.
        assert!(
            of("instance").is_some() || (of("region").is_some() && of("tenant").is_some()),
            "{name}"
        );
        for variable in list.iter().filter(|v| v["type"] == "query") {
            // template-on-time-change-reload-rule
            assert_eq!(variable["refresh"], 2, "{name} {}", variable["name"]);
            // template-label-promql-rule
            let query = variable["query"]["query"].as_str().unwrap();
            let inner = query
                .strip_prefix("label_values(")
                .and_then(|q| q.strip_suffix(')'))
                .unwrap();
            let (selector, label) = inner.rsplit_once(", ").unwrap();
            assert!(
                matches!(parse(selector), Expr::VectorSelector(_)),
                "{name}: {query}"
            );
            assert!(
                label.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
                "{name}: {query}"
            );
        }
        // uneditable-dashboard-rule
        assert_eq!(dashboard["editable"], false, "{name}");
        assert!(dashboard["id"].is_null() && dashboard["uid"] == format!("drmwatch-{name}"));
    }
}

#[test]
fn panels_say_what_they_show_and_in_which_unit() {
    // panel-units-rule: identifiers of Grafana's own list (packages/grafana-data, valueFormats/categories.ts).
    let units = [
        "short",
        "s",
        "percentunit",
        "percent",
        "cpm",
        "cps",
        "reqpm",
        "Bps",
        "bytes",
    ];
    for (name, dashboard) in all() {
        let mut places = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            // panel-datasource-rule, panel-title-description-rule, panel-no-targets-rule
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            let said = panel["description"].as_str().unwrap();
            assert!(
                !title.is_empty() && said.len() > 15 && said.ends_with(['.', ')']),
                "{name}: {title}: {said}"
            );
            assert!(!exprs(panel).is_empty(), "{name}: {title}");
            assert!(
                panel["targets"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|t| t["datasource"]["uid"] == "${datasource}"),
                "{title}"
            );
            let config = &panel["fieldConfig"];
            let columns = config["overrides"]
                .as_array()
                .unwrap()
                .iter()
                .map(|o| &o["properties"][0]["value"]);
            for unit in [&config["defaults"]["unit"]].into_iter().chain(columns) {
                assert!(units.contains(&unit.as_str().unwrap()), "{name}: {title}: {unit}");
            }
            // Nothing lies upon another, and nothing hangs over.
            let place = &panel["gridPos"];
            let of = |side: &str| place[side].as_u64().unwrap();
            assert!(of("x") + of("w") <= 24, "{name}: {title}");
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(places.insert((x, y)), "{name}: {title} lies upon another");
                }
            }
            // Spaghetti: a panel for people asks a few things.
            assert!(exprs(panel).len() <= 4, "{name}: {title}");
        }
    }
}

#[test]
fn expressions_are_promql_with_the_matchers_that_choose() {
    let known: BTreeSet<&str> = CATALOGUE.iter().map(|m| m.name).collect();
    for (name, dashboard) in all() {
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            // target-logql-rule, target-logql-auto-rule: there is no other source.
            assert_eq!(panel["datasource"]["type"], "prometheus");
            for expr in exprs(panel) {
                let at = format!("{name}: {title}: {expr}");
                for (metric, selector, rated) in selected(&expr) {
                    // Series that rules made have lost the job and the instance, and ALERTS is Prometheus' own.
                    let by_rule = metric.contains(':') || metric == "ALERTS";
                    let theirs = THEIRS.contains(&metric.as_str());
                    assert!(
                        by_rule || theirs || known.contains(metric.as_str()) || known.contains(base(&metric)),
                        "no such metric: {at}"
                    );
                    // The same words everywhere, in whatever job.
                    let words = metric == "drmwatch_reason_info";
                    if !by_rule && !theirs && !words {
                        // target-job-rule; target-instance-rule: or the region, which stands for the instances of one.
                        assert!(selector.contains("job=~\"$job\""), "{at}");
                        assert!(
                            selector.contains("instance=~\"$instance\"")
                                || selector.contains("region=~\"$region\""),
                            "{at}"
                        );
                    }
                    // target-counter-agg-rule
                    assert!(rated || !metric.ends_with("_total"), "a counter as it is: {at}");
                }
                // target-rate-interval-rule: of what is drawn over time. A number or a table says over how long it is.
                let drawn = panel["targets"][0]["range"] == true;
                for part in expr.split("rate(").skip(1).chain(expr.split("increase(").skip(1)) {
                    let range = part.split_once('[').unwrap().1.split_once(']').unwrap().0;
                    assert!(range == "$__rate_interval" || !drawn, "{at}");
                }
            }
        }
    }
}

#[test]
fn links_lead_to_dashboards_and_variables_that_there_are() {
    let names: Vec<String> = dashboards().iter().map(|d| d.name.to_owned()).collect();
    for (name, dashboard) in all() {
        for panel in panels(&dashboard) {
            for link in panel["fieldConfig"]["defaults"]["links"].as_array().unwrap() {
                let url = link["url"].as_str().unwrap();
                let (to, query) = url.strip_prefix("/d/drmwatch-").unwrap().split_once('?').unwrap();
                assert!(names.iter().any(|n| n == to), "{name}: {url}");
                let (_, target) = all().into_iter().find(|(n, _)| n == to).unwrap();
                let list = target["templating"]["list"].as_array().unwrap();
                for part in query.split('&').filter_map(|p| p.strip_prefix("var-")) {
                    let variable = part.split_once('=').unwrap().0;
                    assert!(list.iter().any(|v| v["name"] == variable), "{name}: {url}");
                }
            }
        }
    }
    // What messages and tickets link to.
    assert!(names.iter().any(|n| n == "probe"));
}
