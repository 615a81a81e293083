//! HTML: one file, without scripts and without anything from elsewhere; pictures are inline SVG.

use crate::{
    Report,
    page::{Day, Page, ProbeLine, Table, Trend, page},
};
use std::fmt::Write;

const STYLE: &str = "\
:root{--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--good:#1f8a4c;--bad:#c0322b;--warn:#c9820a;--none:#b8c0ca}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,'DejaVu Sans',sans-serif;color:var(--ink);margin:0 auto;max-width:1040px;padding:32px 24px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:18px;margin:36px 0 10px}p{margin:4px 0}.soft{color:var(--soft)}
.verdict{border-left:6px solid var(--none);padding:14px 18px;margin:20px 0;background:#f6f8fa}.verdict b{font-size:20px}
.Met{border-color:var(--good)}.Missed{border-color:var(--bad)}.NotMeasured{border-color:var(--warn)}
.tiles{display:flex;flex-wrap:wrap;gap:12px}.tile{flex:1 1 150px;border:1px solid var(--line);border-radius:6px;padding:10px 14px}
.tile b{display:block;font-size:19px;white-space:nowrap}table+table{margin-top:16px}.tile span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-size:13.5px}th{text-align:left;color:var(--soft);font-weight:600}
th,td{padding:5px 8px;border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
tr.sub td{color:var(--soft);border-bottom-style:dotted}tr.sub td:first-child{padding-left:22px}.bad{color:var(--bad);font-weight:600}
svg{display:block;width:100%;height:auto}svg text{font:11px system-ui,'DejaVu Sans',sans-serif;fill:var(--soft)}
.key span{display:inline-block;margin-right:16px;font-size:13px;color:var(--soft)}.key i{display:inline-block;width:11px;height:11px;margin-right:5px;border-radius:2px}
ol{padding-left:20px;margin:6px 0}footer{margin-top:36px;border-top:1px solid var(--line);padding-top:10px;font-size:13px;color:var(--soft)}
@media print{body{padding:0}h2{break-after:avoid}tr,svg{break-inside:avoid}}";

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

/// A table. `numbers`: its columns of numbers, which stand to the right.
fn table(html: &mut String, of: &Table, numbers: &[usize]) {
    let class = |i: usize| if numbers.contains(&i) { " class=n" } else { "" };
    html.push_str("<table>");
    let mut row = |tag: &str, cells: &[String]| {
        html.push_str("<tr>");
        for (i, cell) in cells.iter().enumerate() {
            let _ = write!(html, "<{tag}{}>{}</{tag}>", class(i), text(cell));
        }
        html.push_str("</tr>");
    };
    row("th", &of.columns);
    of.lines.iter().for_each(|line| row("td", line));
    html.push_str("</table>");
    cut(html, of.cut.as_deref());
}

/// Says that a table was cut.
fn cut(html: &mut String, of: Option<&str>) {
    if let Some(words) = of {
        let _ = write!(html, "<p class=soft>{words}</p>");
    }
}

fn key<'a>(html: &mut String, of: impl IntoIterator<Item = &'a [&'static str; 2]>) {
    html.push_str("<p class=key>");
    for [words, colour] in of {
        let _ = write!(html, "<span><i style='background:{colour}'></i>{words}</span>");
    }
    html.push_str("</p>");
}

/// Width of a picture.
const WIDE: f64 = 1000.0;
/// Where the chart of latency ends.
const RIGHT: f64 = 990.0;

/// At most so wide is a text of digits and small letters in a picture: its font is whatever the reader has, and
/// DejaVu Sans is a wide one (0.64 em for a digit, 0.98 em for an m).
fn width_of(words: &str) -> f64 {
    let wide = |c: char| if matches!(c, 'm' | 'w') { 11.0 } else { 7.2 };
    words.chars().map(wide).sum()
}

fn strip(html: &mut String, page: &Page) {
    let wide = WIDE / page.days.len().max(1) as f64;
    html.push_str("<svg viewBox='0 0 1000 74' role=img aria-label='Each day of the period'>");
    for (i, day) in page.days.iter().enumerate() {
        let x = i as f64 * wide;
        let _ = write!(
            html,
            "<rect x='{x:.1}' y='4' width='{:.1}' height='44' rx='2' fill='{}'><title>{}</title></rect>",
            (wide - 2.0).max(0.5),
            day.colour,
            text(&day.words),
        );
        // As many dates as there is room for.
        let every = (70.0 / wide).ceil().max(1.0) as usize;
        if i % every == 0 {
            let date = day.date.get(5..).unwrap_or_default();
            let x = x.min(WIDE - width_of(date));
            let _ = write!(html, "<text x='{x:.1}' y='66'>{date}</text>");
        }
    }
    html.push_str("</svg>");
    key(html, &page.key);
}

fn trend(html: &mut String, page: &Page, scale: &Trend) {
    // The marks of the scale stand to the left of it.
    let marks = scale
        .marks
        .iter()
        .map(|words| width_of(words))
        .fold(54.0, f64::max);
    let left = marks + 6.0;
    let step = (RIGHT - left) / page.days.len().max(2).saturating_sub(1) as f64;
    let place = |i: usize, share: f64| (left + i as f64 * step, 160.0 - share * 145.0);
    html.push_str("<svg viewBox='0 0 1000 190' role=img aria-label='Latency by day'>");
    for (part, words) in [0.0, 0.5, 1.0].into_iter().zip(&scale.marks) {
        let (_, y) = place(0, part);
        let _ = write!(
            html,
            "<line x1='{left:.1}' x2='{RIGHT}' y1='{y:.1}' y2='{y:.1}' stroke='var(--line)'/><text x='{marks:.1}' y='{:.1}' text-anchor='end'>{words}</text>",
            y + 4.0,
        );
    }
    type Of = fn(&Day) -> Option<f64>;
    let lines: [([&str; 2], Of); 2] = [
        (["median", "#1f6fb2"], |d| d.p50),
        (["95th percentile", "#c9820a"], |d| d.p95),
    ];
    for ([_, colour], of) in &lines {
        let mut path = String::new();
        let mut pen = 'M';
        for (i, day) in page.days.iter().enumerate() {
            // A day without runs is a gap, not a zero.
            let Some(share) = of(day) else {
                pen = 'M';
                continue;
            };
            let (x, y) = place(i, share);
            let _ = write!(path, "{pen}{x:.1} {y:.1}");
            let _ = write!(html, "<circle cx='{x:.1}' cy='{y:.1}' r='2.5' fill='{colour}'/>");
            pen = 'L';
        }
        let _ = write!(
            html,
            "<path d='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"
        );
    }
    let every = (75.0 / step).ceil().max(1.0) as usize;
    for (i, day) in page.days.iter().enumerate().step_by(every) {
        let date = day.date.get(5..).unwrap_or_default();
        // Below its point, and inside of the picture at both ends.
        let half = width_of(date) / 2.0;
        let x = place(i, 0.0).0.clamp(half, WIDE - half);
        let _ = write!(
            html,
            "<text x='{x:.1}' y='180' text-anchor='middle'>{date}</text>"
        );
    }
    html.push_str("</svg>");
    key(html, lines.iter().map(|(words, _)| words));
}

fn probe(html: &mut String, line: &ProbeLine) {
    let class = if line.region { " class=sub" } else { "" };
    let _ = write!(html, "<tr{class}><td>{}</td>", text(&line.name));
    for (i, cell) in line.cells.iter().enumerate() {
        let bad = if line.missed && i == 0 { "n bad" } else { "n" };
        let _ = write!(html, "<td class='{bad}'>{cell}</td>");
    }
    html.push_str("</tr>");
}

/// A report as a page.
pub fn html(report: &Report) -> String {
    let page = page(report);
    let mut html = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
         <title>{0}: service level, {1} to {2}</title><style>{STYLE}</style></head><body>\
         <h1>{0}</h1><p class=soft>{3}</p><div class='verdict {4:?}'><b>{5}</b><p>{6}</p></div><div class=tiles>",
        text(&page.title),
        report.from,
        report.through,
        text(&page.subtitle),
        page.verdict,
        page.verdict_words,
        text(&page.why),
    );
    for [value, name] in &page.tiles {
        let _ = write!(
            html,
            "<div class=tile><b>{}</b><span>{name}</span></div>",
            text(value)
        );
    }
    html.push_str("</div><h2>Day by day</h2>");
    strip(&mut html, &page);
    html.push_str("<h2>Probes</h2><table><tr>");
    for (i, name) in page.probe_columns.iter().enumerate() {
        let class = if i == 0 { "" } else { " class=n" };
        let _ = write!(html, "<th{class}>{name}</th>");
    }
    html.push_str("</tr>");
    page.probes.iter().for_each(|line| probe(&mut html, line));
    html.push_str("</table>");
    cut(&mut html, page.probes_cut.as_deref());
    html.push_str("<h2>Incidents</h2>");
    match page.incidents.lines.is_empty() {
        true => html.push_str("<p class=soft>None.</p>"),
        false => table(&mut html, &page.incidents, &[2]),
    }
    if !page.reasons.lines.is_empty() {
        table(&mut html, &page.reasons, &[]);
    }
    html.push_str("<h2>Latency</h2>");
    match &page.trend {
        Some(scale) => trend(&mut html, &page, scale),
        None => html.push_str("<p class=soft>No run passed.</p>"),
    }
    if let Some(comparison) = &page.comparison {
        html.push_str("<h2>Compared with the period before</h2>");
        table(&mut html, comparison, &[1, 2]);
    }
    html.push_str("<h2>What is excluded, and what is not known</h2>");
    for line in &page.exclusions_say {
        let _ = write!(html, "<p class=soft>{line}</p>");
    }
    if !page.exclusions.lines.is_empty() {
        table(&mut html, &page.exclusions, &[3]);
    }
    html.push_str("<h2>How it was counted</h2><ol>");
    for line in &page.method {
        let _ = write!(html, "<li>{}</li>", text(line));
    }
    let _ = writeln!(html, "</ol><footer>{}</footer></body></html>", text(&page.footer));
    html
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Request, Verdict, build, csv, incidents_csv, json};
    use drmwatch_sla::{Cause, Policy, Rollup, Span, State};
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

    /// A report of so many days, each with runs that took so many microseconds.
    fn of_days(days: i64, zone: &str, micros: u64) -> String {
        let from = date(2026, 10, 1);
        let zone_of = TimeZone::get(zone).unwrap();
        let days: Vec<_> = (0..days)
            .map(|n| {
                let day = from.checked_add(jiff::Span::new().days(n)).unwrap();
                let starts = |day: jiff::civil::Date| day.to_zoned(zone_of.clone()).unwrap().timestamp();
                let (begin, end) = (starts(day), starts(day.tomorrow().unwrap()));
                let minutes = u32::try_from(end.duration_since(begin).as_mins()).unwrap();
                let mut rollup = Rollup::empty("p", None, begin.as_second(), minutes);
                rollup.spans = vec![Span {
                    state: State::Up,
                    minutes,
                    cause: None,
                }];
                rollup.latency.add(micros);
                (day, true, vec![rollup])
            })
            .collect();
        let request = Request {
            namespace: "tv".into(),
            tenant: "acme".into(),
            display_name: "ACME".into(),
            zone: zone_of.clone(),
            zone_name: zone.into(),
            from,
            to: days.last().unwrap().0.tomorrow().unwrap(),
            policy: Policy::default(),
            at: Timestamp::UNIX_EPOCH,
        };
        html(&build(&request, &days, &[]).unwrap())
    }

    /// What stands between two marks.
    fn within<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
        let rest = text.split_once(from)?.1;
        Some(rest.split_once(to)?.0)
    }

    /// Advances of DejaVu Sans, of 2048 units, at 11 px.
    fn advance(words: &str) -> f64 {
        let units = |c: char| match c {
            '0'..='9' => 1303.0,
            '-' => 739.0,
            '.' | ' ' => 651.0,
            'm' => 1995.0,
            's' => 1067.0,
            other => panic!("{other:?} has no width here"),
        };
        words.chars().map(units).sum::<f64>() * 11.0 / 2048.0
    }

    #[test]
    fn no_text_leaves_its_picture_and_none_overlaps_another() {
        let zones = ["UTC", "Pacific/Kiritimati", "America/New_York", "Europe/Berlin"];
        for (days, zone) in [1, 2, 7, 28, 29, 30, 31, 92]
            .into_iter()
            .flat_map(|days| zones.map(|zone| (days, zone)))
        {
            for micros in [900, 52_000, 1_000_000_000] {
                let page = of_days(days, zone, micros);
                // PICTURES=folder keeps the pages, to be looked at.
                if let Some(folder) = std::env::var_os("PICTURES").filter(|_| zone == "UTC") {
                    let name = format!("{days}-{micros}.html");
                    std::fs::write(std::path::Path::new(&folder).join(name), &page).unwrap();
                }
                let mut texts = 0;
                for picture in page.split("<svg viewBox='0 0 ").skip(1) {
                    let picture = picture.split("</svg>").next().unwrap();
                    let size = picture.split('\'').next().unwrap();
                    let (width, height) = size.split_once(' ').unwrap();
                    let (width, height): (f64, f64) = (width.parse().unwrap(), height.parse().unwrap());
                    let mut placed: Vec<(f64, f64, f64)> = Vec::new();
                    for text in picture.split("<text ").skip(1) {
                        let number = |name: &str| -> f64 {
                            within(text, &format!("{name}='"), "'").unwrap().parse().unwrap()
                        };
                        let words = within(text, ">", "</text>").unwrap();
                        let (x, y, wide) = (number("x"), number("y"), advance(words));
                        let left = match within(text, "text-anchor='", "'") {
                            None => x,
                            Some("middle") => x - wide / 2.0,
                            Some("end") => x - wide,
                            Some(other) => panic!("{other}"),
                        };
                        let right = left + wide;
                        let said = format!("{words:?} from {left:.1} to {right:.1}, {days} days in {zone}");
                        assert!(left >= 0.0 && right <= width, "{said}");
                        assert!(y >= 11.0 && y <= height - 3.0, "{said} at {y}");
                        let free = placed
                            .iter()
                            .all(|(l, r, at)| (at - y).abs() > 11.0 || right < *l || left > *r);
                        assert!(free, "{said} overlaps another");
                        placed.push((left, right, y));
                        texts += 1;
                    }
                }
                assert!(texts >= 5, "only {texts} texts");
            }
        }
    }
}
