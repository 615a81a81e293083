//! HTML: one file, without scripts and without anything from elsewhere; pictures are inline SVG.

use crate::{DayFigures, Digits, Report, Row, Total, Verdict};
use drmwatch_plan::Reason;
use drmwatch_sla::State;
use std::{collections::BTreeSet, fmt::Write};

const STYLE: &str = "\
:root{--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--good:#1f8a4c;--bad:#c0322b;--warn:#c9820a;--none:#b8c0ca;--rest:#5a7fb5}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,'DejaVu Sans',sans-serif;color:var(--ink);margin:0 auto;max-width:1040px;padding:32px 24px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:18px;margin:36px 0 10px}p{margin:4px 0}.soft{color:var(--soft)}
.verdict{border-left:6px solid var(--none);padding:14px 18px;margin:20px 0;background:#f6f8fa}.verdict b{font-size:20px}
.Met{border-color:var(--good)}.Missed{border-color:var(--bad)}.NotMeasured{border-color:var(--warn)}
.tiles{display:flex;flex-wrap:wrap;gap:12px}.tile{flex:1 1 150px;border:1px solid var(--line);border-radius:6px;padding:10px 14px}
.tile b{display:block;font-size:21px}.tile span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-size:13.5px}th{text-align:left;color:var(--soft);font-weight:600}
th,td{padding:5px 8px;border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.sub td{color:var(--soft);border-bottom-style:dotted}tr.sub td:first-child{padding-left:22px}.bad{color:var(--bad);font-weight:600}
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,'DejaVu Sans',sans-serif;fill:var(--soft)}
.key span{display:inline-block;margin-right:16px;font-size:13px;color:var(--soft)}.key i{display:inline-block;width:11px;height:11px;margin-right:5px;border-radius:2px}
ol{padding-left:20px;margin:6px 0}footer{margin-top:36px;border-top:1px solid var(--line);padding-top:10px;font-size:13px;color:var(--soft)}
@media print{body{padding:0}h2{break-after:avoid}tr,svg{break-inside:avoid}}";

/// Most lines of a table; the CSV has all.
const MOST: usize = 500;

fn text(of: &str) -> String {
    let mut safe = String::with_capacity(of.len());
    for c in of.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

fn percent(of: &str) -> String {
    if of.is_empty() {
        "–".into()
    } else {
        format!("{of} %")
    }
}

fn millis(of: Option<f64>) -> String {
    of.map_or_else(|| "–".into(), |_| format!("{} ms", Digits::millis(of)))
}

fn tile(page: &mut String, value: &str, name: &str) {
    let _ = write!(
        page,
        "<div class=tile><b>{}</b><span>{}</span></div>",
        text(value),
        text(name)
    );
}

/// What a day looks like in the strip: the worst that it was.
fn colour(day: &DayFigures) -> (&'static str, &'static str) {
    let of = &day.figures;
    match () {
        () if of.down > 0 && of.counted > 0 && of.bad() * 100 >= of.counted => {
            ("var(--bad)", "down for a hundredth or more")
        }
        () if of.down > 0 => ("#e58a83", "down"),
        () if of.degraded > 0 => ("var(--warn)", "degraded"),
        () if of.no_data > 0 && of.up == 0 => ("var(--none)", "no data"),
        () if of.up > 0 => ("var(--good)", "up"),
        () if of.maintenance > 0 => ("var(--rest)", "maintenance"),
        () => ("#eef1f4", "not watched"),
    }
}

fn strip(page: &mut String, report: &Report) {
    let days = &report.days;
    let wide = 1000.0 / days.len().max(1) as f64;
    let _ = write!(
        page,
        "<svg viewBox='0 0 1000 74' role=img aria-label='Each day of the period'>"
    );
    for (i, day) in days.iter().enumerate() {
        let (fill, words) = colour(day);
        let x = i as f64 * wide;
        let _ = write!(
            page,
            "<rect x='{x:.1}' y='4' width='{:.1}' height='44' rx='2' fill='{fill}'><title>{} {words}: {}, {} down</title></rect>",
            (wide - 2.0).max(0.5),
            text(&day.date),
            percent(&day.availability),
            Digits::length(day.figures.down),
        );
        // As many dates as there is room for.
        let every = (70.0 / wide).ceil().max(1.0) as usize;
        if i % every == 0 {
            let _ = write!(
                page,
                "<text x='{x:.1}' y='66'>{}</text>",
                day.date.get(5..).unwrap_or_default()
            );
        }
    }
    page.push_str("</svg><p class=key>");
    for (fill, words) in [
        ("var(--good)", "up"),
        ("var(--warn)", "degraded"),
        ("#e58a83", "down for less than a hundredth"),
        ("var(--bad)", "down for more"),
        ("var(--rest)", "maintenance"),
        ("var(--none)", "no data"),
    ] {
        let _ = write!(page, "<span><i style='background:{fill}'></i>{words}</span>");
    }
    page.push_str("</p>");
}

fn trend(page: &mut String, report: &Report) {
    let most = report
        .days
        .iter()
        .filter_map(|d| d.latency.p95)
        .fold(0.0, f64::max);
    if most <= 0.0 {
        page.push_str("<p class=soft>No run passed.</p>");
        return;
    }
    // A round number above the greatest.
    let unit = 10f64.powf((most / 1000.0).log10().floor());
    let top = ((most / 1000.0 / unit).ceil() * unit).max(0.1) * 1000.0;
    let step = 930.0 / report.days.len().max(2).saturating_sub(1) as f64;
    let place = |i: usize, micros: f64| (60.0 + i as f64 * step, 160.0 - micros / top * 145.0);
    page.push_str("<svg viewBox='0 0 1000 190' role=img aria-label='Latency by day'>");
    for part in [0.0, 0.5, 1.0] {
        let (_, y) = place(0, top * part);
        let _ = write!(
            page,
            "<line x1='60' x2='990' y1='{y:.1}' y2='{y:.1}' stroke='var(--line)'/><text x='54' y='{:.1}' text-anchor='end'>{} ms</text>",
            y + 4.0,
            Digits::number(Some(top * part / 1000.0), 1)
        );
    }
    for (colour, of) in [
        (
            "#1f6fb2",
            (|d: &DayFigures| d.latency.p50) as fn(&DayFigures) -> Option<f64>,
        ),
        ("#c9820a", |d| d.latency.p95),
    ] {
        let mut path = String::new();
        let mut pen = 'M';
        for (i, day) in report.days.iter().enumerate() {
            // A day without runs is a gap, not a zero.
            let Some(micros) = of(day) else {
                pen = 'M';
                continue;
            };
            let (x, y) = place(i, micros);
            let _ = write!(path, "{pen}{x:.1} {y:.1}");
            let _ = write!(page, "<circle cx='{x:.1}' cy='{y:.1}' r='2.5' fill='{colour}'/>");
            pen = 'L';
        }
        let _ = write!(
            page,
            "<path d='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"
        );
    }
    let every = (75.0 / step).ceil().max(1.0) as usize;
    for (i, day) in report.days.iter().enumerate().step_by(every) {
        let (x, _) = place(i, 0.0);
        let _ = write!(
            page,
            "<text x='{x:.1}' y='180' text-anchor='middle'>{}</text>",
            day.date.get(5..).unwrap_or_default()
        );
    }
    page.push_str("</svg><p class=key><span><i style='background:#1f6fb2'></i>median</span><span><i style='background:#c9820a'></i>95th percentile</span></p>");
}

fn probe(page: &mut String, report: &Report, row: &Row) {
    let of = &row.figures;
    let missed = report.policy.target.and_then(|t| of.met(t)) == Some(false);
    let (class, name) = match &row.region {
        None => ("", row.probe.clone()),
        Some(region) => (" class=sub", region.clone()),
    };
    let bad = if missed && row.region.is_none() {
        "n bad"
    } else {
        "n"
    };
    let used = row
        .budget_used
        .map(|u| format!("{} %", Digits::number(Some(u), 1)))
        .unwrap_or_else(|| "–".into());
    let _ = write!(
        page,
        "<tr{class}><td>{}</td><td class='{bad}'>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{used}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td></tr>",
        text(&name),
        percent(&row.availability),
        percent(&row.coverage),
        Digits::length(of.down),
        of.incidents.len(),
        row.mttr_seconds
            .map(|s| Digits::length((s / 60.0).round() as u64))
            .unwrap_or_else(|| "–".into()),
        millis(row.latency.p50),
        millis(row.latency.p95),
    );
}

fn compare(page: &mut String, report: &Report, before: &Total) {
    page.push_str("<h2>Compared with the period before</h2><table><tr><th></th><th class=n>this period</th><th class=n>the period before</th></tr>");
    let total = &report.total;
    let rows = [
        (
            "Availability",
            percent(&total.availability),
            percent(&before.availability),
        ),
        ("Coverage", percent(&total.coverage), percent(&before.coverage)),
        (
            "Downtime of all probes",
            Digits::length(total.figures.down),
            Digits::length(before.figures.down),
        ),
        (
            "Incidents",
            total.figures.incidents.len().to_string(),
            before.figures.incidents.len().to_string(),
        ),
        (
            "Median latency",
            millis(total.latency.p50),
            millis(before.latency.p50),
        ),
        (
            "95th percentile of latency",
            millis(total.latency.p95),
            millis(before.latency.p95),
        ),
    ];
    for (name, now, then) in rows {
        let _ = write!(
            page,
            "<tr><td>{name}</td><td class=n>{now}</td><td class=n>{then}</td></tr>"
        );
    }
    page.push_str("</table>");
}

/// What the words of the incidents mean, and whose the fault is.
fn reasons(page: &mut String, report: &Report) {
    let words: BTreeSet<&str> = report
        .incidents
        .iter()
        .filter_map(|i| Some(i.cause.as_ref()?.reason.as_str()))
        .collect();
    let known: Vec<Reason> = words.into_iter().filter_map(Reason::parse).collect();
    if known.is_empty() {
        return;
    }
    page.push_str("<table><tr><th>Reason</th><th>What it means</th><th>Whose it is</th></tr>");
    for reason in known {
        let (word, meaning, whose) = (reason.as_str(), reason.meaning(), reason.domain().words());
        let _ = write!(
            page,
            "<tr><td>{word}</td><td>{}</td><td>{}</td></tr>",
            text(meaning.trim()),
            text(whose)
        );
    }
    page.push_str("</table>");
}

/// Says that a table was cut.
fn cut(page: &mut String, whole: usize) {
    if whole > MOST {
        let _ = write!(
            page,
            "<p class=soft>The first {MOST} of {whole}; the JSON has all.</p>"
        );
    }
}

/// A report as a page.
pub fn html(report: &Report) -> String {
    let total = &report.total;
    let target = report
        .policy
        .target
        .map(|t| format!("{} %", Digits::number(Some(t), 3)));
    let mut page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
         <title>{0}: service level, {1} to {2}</title><style>{STYLE}</style></head><body>\
         <h1>{0}</h1><p class=soft>Service level report, {1} to {2} ({3}){4}</p>",
        text(&report.display_name),
        report.from,
        report.through,
        text(&report.time_zone),
        if report.fixed {
            ""
        } else {
            " · provisional: later results may still change it"
        },
    );
    let why = match report.verdict {
        Verdict::Met => format!(
            "Each probe was available for at least {}.",
            target.clone().unwrap_or_default()
        ),
        Verdict::Missed => format!(
            "Below {}: {}.",
            target.clone().unwrap_or_default(),
            text(&report.missed_by.join(", "))
        ),
        Verdict::NoTarget => "No objective of availability was agreed.".into(),
        Verdict::NotMeasured => "Not a minute of the period counts; see what was excluded.".into(),
    };
    let _ = write!(
        page,
        "<div class='verdict {:?}'><b>{}</b><p>{why}</p></div><div class=tiles>",
        report.verdict,
        report.verdict.words()
    );
    tile(
        &mut page,
        &percent(&total.availability),
        "availability, all probes",
    );
    tile(
        &mut page,
        &percent(&total.coverage),
        "coverage: minutes that were seen",
    );
    tile(
        &mut page,
        target.as_deref().unwrap_or("–"),
        "target for each probe",
    );
    tile(
        &mut page,
        &Digits::length(total.figures.down),
        "downtime, minutes of probes",
    );
    tile(&mut page, &total.figures.incidents.len().to_string(), "incidents");
    tile(
        &mut page,
        &Digits::length(total.figures.longest() / 60),
        "longest outage",
    );
    page.push_str("</div><h2>Day by day</h2>");
    strip(&mut page, report);
    page.push_str(
        "<h2>Probes</h2><table><tr><th>Probe, and by region</th><th class=n>Availability</th><th class=n>Coverage</th>\
         <th class=n>Downtime</th><th class=n>Budget used</th><th class=n>Incidents</th><th class=n>MTTR</th><th class=n>Median</th><th class=n>p95</th></tr>",
    );
    report
        .rows
        .iter()
        .take(MOST)
        .for_each(|row| probe(&mut page, report, row));
    page.push_str("</table>");
    cut(&mut page, report.rows.len());
    page.push_str("<h2>Incidents</h2>");
    if report.incidents.is_empty() {
        page.push_str("<p class=soft>None.</p>");
    } else {
        let _ = write!(
            page,
            "<table><tr><th>Since ({})</th><th>Probe</th><th class=n>Down</th><th>Why</th><th>Step</th><th>Regions</th></tr>",
            text(&report.time_zone)
        );
        for incident in report.incidents.iter().take(MOST) {
            let cause = incident.cause.as_ref();
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=n>{}{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                Digits::local(incident.at.0, &report.zone),
                text(&incident.probe),
                Digits::length(incident.minutes.into()),
                if incident.open { ", goes on" } else { "" },
                text(cause.map_or("", |c| &c.reason)),
                text(cause.and_then(|c| c.step.as_deref()).unwrap_or_default()),
                text(&cause.map(|c| c.regions.join(", ")).unwrap_or_default()),
            );
        }
        page.push_str("</table>");
        cut(&mut page, report.incidents.len());
    }
    reasons(&mut page, report);
    page.push_str("<h2>Latency</h2>");
    trend(&mut page, report);
    if let Some(before) = &report.previous {
        compare(&mut page, report, before);
    }
    page.push_str("<h2>What is excluded, and what is not known</h2>");
    if report.exclusions.is_empty() && total.missed == 0 {
        page.push_str("<p class=soft>Nothing: each minute was seen, and no window was open.</p>");
    }
    if total.missed > 0 {
        let _ = write!(
            page,
            "<p>{} of {} slots were not run, as the runners said.</p>",
            total.missed,
            total.runs + total.missed
        );
    }
    if !report.exclusions.is_empty() {
        let _ = write!(
            page,
            "<table><tr><th>Since ({})</th><th>Probe</th><th>What</th><th class=n>How long</th></tr>",
            text(&report.time_zone)
        );
        for gap in report.exclusions.iter().take(MOST) {
            let what = match gap.state {
                State::Maintenance => "maintenance window",
                _ => "no data",
            };
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{what}</td><td class=n>{}</td></tr>",
                Digits::local(gap.at.0, &report.zone),
                text(&gap.probe),
                Digits::length(gap.minutes.into()),
            );
        }
        page.push_str("</table>");
        cut(&mut page, report.exclusions.len());
    }
    page.push_str("<h2>How it was counted</h2><ol>");
    for line in &report.method {
        let _ = write!(page, "<li>{}</li>", text(line));
    }
    let _ = writeln!(
        page,
        "</ol><footer>Tenant {}/{} · {} probes · {} runs · made {} by drmwatch</footer></body></html>",
        text(&report.namespace),
        text(&report.tenant),
        total.probes,
        total.runs,
        report.generated_at,
    );
    page
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Request, build, csv, incidents_csv, json};
    use drmwatch_sla::{Cause, Policy, Rollup, Span};
    use jiff::{Timestamp, civil::date, tz::TimeZone};

    fn report() -> Report {
        let mut rollup = Rollup::empty("acme-<live>", None, 1_790_812_800, 1440);
        let cause = |reason: &str| {
            Some(Cause {
                reason: reason.into(),
                step: Some("=manifest".into()),
                regions: vec!["eu".into()],
            })
        };
        let span = |state, minutes, cause| Span {
            state,
            minutes,
            cause,
        };
        rollup.spans = vec![
            span(State::Up, 1000, None),
            span(State::Down, 3, cause("Timeout")),
            span(State::Maintenance, 60, None),
            span(State::Down, 2, cause("NoSuchReason")),
            span(State::Up, 375, None),
        ];
        rollup.latency.add(52_000);
        let request = Request {
            namespace: "tv".into(),
            tenant: "acme".into(),
            display_name: "<script>alert('ACME & sons')</script>".into(),
            zone: TimeZone::UTC,
            zone_name: "UTC".into(),
            from: date(2026, 10, 1),
            to: date(2026, 10, 2),
            policy: Policy {
                target: Some(99.9),
                ..Policy::default()
            },
            at: Timestamp::UNIX_EPOCH,
        };
        build(&request, &[(date(2026, 10, 1), true, vec![rollup])], &[]).unwrap()
    }

    #[test]
    fn every_form_says_the_same_and_nothing_that_was_written_is_run() {
        let report = report();
        let page = html(&report);
        assert_eq!(
            (report.verdict, report.total.availability.as_str()),
            (Verdict::Missed, "99.6376")
        );
        for said in [
            "&lt;script&gt;alert(&#39;ACME &amp; sons&#39;)&lt;/script&gt;",
            "acme-&lt;live&gt;",
            "99.6376 %",
            "maintenance window",
            "the network on the way, or its names",
            "2026-10-01 16:40",
        ] {
            assert!(page.contains(said), "{said}");
        }
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
        let table = csv(&report);
        assert!(
            table.contains(",99.6376,100.0000,99.9,1.38,362.32,2,150,41250,180,52.0,52.0,52.0,true\r\n"),
            "{table}"
        );
        let incidents = incidents_csv(&report);
        assert!(
            incidents.contains(",3,Timeout,'=manifest,eu,false,Network\r\n"),
            "{incidents}"
        );
        assert!(
            incidents.contains(",2,NoSuchReason,'=manifest,eu,false,\r\n"),
            "{incidents}"
        );
        assert!(json(&report).contains("\"availability\": \"99.6376\""));
    }
}
