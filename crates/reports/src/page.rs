//! What a report says to people, in words and digits: the same on the page of HTML and on those of PDF.

use crate::{DayFigures, Digits, Report, Row, Total, Verdict};
use drmwatch_outcome::Reason;
use drmwatch_sla::State;
use serde::Serialize;
use std::collections::BTreeSet;

/// Most lines of a table; the JSON has all.
const MOST: usize = 500;
/// What is not known.
const NOTHING: &str = "–";

/// What a day looks like: the worst that it was.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Up.
    Up,
    /// Degraded.
    Degraded,
    /// Down, for less than a hundredth of the minutes that count.
    SomeDown,
    /// Down for more.
    Down,
    /// Maintenance.
    Maintenance,
    /// No data.
    NoData,
    /// Not watched.
    Unwatched,
}

impl Look {
    /// Those that the key of the strip explains.
    pub const KEY: [Look; 6] = [
        Look::Up,
        Look::Degraded,
        Look::SomeDown,
        Look::Down,
        Look::Maintenance,
        Look::NoData,
    ];

    fn of(day: &DayFigures) -> Look {
        let of = &day.figures;
        match () {
            () if of.down > 0 && of.counted > 0 && of.bad() * 100 >= of.counted => Look::Down,
            () if of.down > 0 => Look::SomeDown,
            () if of.degraded > 0 => Look::Degraded,
            () if of.no_data > 0 && of.up == 0 => Look::NoData,
            () if of.up > 0 => Look::Up,
            () if of.maintenance > 0 => Look::Maintenance,
            () => Look::Unwatched,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Look::Up => "up",
            Look::Degraded => "degraded",
            Look::SomeDown => "down for less than a hundredth",
            Look::Down => "down for more",
            Look::Maintenance => "maintenance",
            Look::NoData => "no data",
            Look::Unwatched => "not watched",
        }
    }

    /// Its colour, as CSS writes it.
    pub fn colour(self) -> &'static str {
        match self {
            Look::Up => "#1f8a4c",
            Look::Degraded => "#c9820a",
            Look::SomeDown => "#e58a83",
            Look::Down => "#c0322b",
            Look::Maintenance => "#5a7fb5",
            Look::NoData => "#b8c0ca",
            Look::Unwatched => "#eef1f4",
        }
    }
}

/// A day of the strip and of the latencies.
#[derive(Serialize, Debug, Clone)]
pub struct Day {
    /// 2026-11-26.
    pub date: String,
    /// How it was.
    pub look: Look,
    /// The same and how much, in words.
    pub words: String,
    /// Colour of its look.
    pub colour: &'static str,
    /// Median latency of runs that passed, as a share of [`Trend::top`]; None: no run passed.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
}

/// The scale of latencies.
#[derive(Serialize, Debug, Clone)]
pub struct Trend {
    /// What the marks at nothing, half and the top say.
    pub marks: [String; 3],
}

/// A line of the table of probes.
#[derive(Serialize, Debug, Clone)]
pub struct ProbeLine {
    /// The probe, or the region.
    pub name: String,
    /// Whether it is about one region of the probe above.
    pub region: bool,
    /// Whether the target was missed.
    pub missed: bool,
    /// As [`Page::PROBES`] names them.
    pub cells: [String; 8],
}

/// A table of which not all may be shown.
#[derive(Serialize, Debug, Clone)]
pub struct Table {
    /// What its columns are.
    pub columns: Vec<String>,
    /// The lines.
    pub lines: Vec<Vec<String>>,
    /// That it was cut.
    pub cut: Option<String>,
}

/// What a report says.
#[derive(Serialize, Debug, Clone)]
pub struct Page {
    /// Name of the tenant for people.
    pub title: String,
    /// The period.
    pub subtitle: String,
    /// Met, Missed, NoTarget, NotMeasured.
    pub verdict: Verdict,
    /// In words.
    pub verdict_words: &'static str,
    /// And why.
    pub why: String,
    /// Value and name of each figure at the top.
    pub tiles: Vec<[String; 2]>,
    /// Each day.
    pub days: Vec<Day>,
    /// Words and colours of the strip.
    pub key: Vec<[&'static str; 2]>,
    /// None: no run passed.
    pub trend: Option<Trend>,
    /// Names of the columns of `probes`.
    pub probe_columns: [&'static str; 9],
    /// Each probe, and each region of it.
    pub probes: Vec<ProbeLine>,
    /// That not all are shown.
    pub probes_cut: Option<String>,
    /// In the order of time.
    pub incidents: Table,
    /// What the words of the incidents mean, and whose the fault is.
    pub reasons: Table,
    /// Compared with the period before.
    pub comparison: Option<Table>,
    /// How many slots were not run, or that nothing is excluded.
    pub exclusions_say: Vec<String>,
    /// What does not count, and what is not known.
    pub exclusions: Table,
    /// How it was counted.
    pub method: Vec<String>,
    /// Whose it is, and when it was made.
    pub footer: String,
}

fn percent(of: &str) -> String {
    match of.is_empty() {
        true => NOTHING.to_owned(),
        false => format!("{of} %"),
    }
}

fn millis(of: Option<f64>) -> String {
    of.map_or_else(|| NOTHING.to_owned(), |_| format!("{} ms", Digits::millis(of)))
}

fn cut(whole: usize) -> Option<String> {
    (whole > MOST).then(|| format!("The first {MOST} of {whole}; the JSON has all."))
}

fn table<const N: usize>(
    columns: [&str; N],
    lines: impl Iterator<Item = [String; N]>,
    whole: usize,
) -> Table {
    Table {
        columns: columns.map(str::to_owned).into(),
        lines: lines.take(MOST).map(Vec::from).collect(),
        cut: cut(whole),
    }
}

/// The top of the scale of latencies, microseconds: a round number above the greatest. None: no run passed.
fn top(report: &Report) -> Option<f64> {
    let most = report
        .days
        .iter()
        .filter_map(|d| d.latency.p95)
        .fold(0.0, f64::max);
    let unit = 10f64.powf((most / 1000.0).log10().floor());
    (most > 0.0).then(|| ((most / 1000.0 / unit).ceil() * unit).max(0.1) * 1000.0)
}

fn probe(report: &Report, row: &Row) -> ProbeLine {
    let of = &row.figures;
    let minutes = |seconds: f64| Digits::length((seconds / 60.0).round() as u64);
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    ProbeLine {
        name: row.region.clone().unwrap_or_else(|| row.probe.clone()),
        region: row.region.is_some(),
        missed: row.region.is_none() && report.policy.target.and_then(|t| of.met(t)) == Some(false),
        cells: [
            percent(&row.availability),
            percent(&row.coverage),
            Digits::length(of.down),
            or_nothing(
                row.budget_used
                    .map(|u| format!("{} %", Digits::number(Some(u), 1))),
            ),
            of.incidents.len().to_string(),
            or_nothing(row.mttr_seconds.map(minutes)),
            millis(row.latency.p50),
            millis(row.latency.p95),
        ],
    }
}

fn comparison(now: &Total, before: &Total) -> Table {
    let line = |name: &str, of: &dyn Fn(&Total) -> String| [name.to_owned(), of(now), of(before)];
    let lines = [
        line("Availability", &|t| percent(&t.availability)),
        line("Coverage", &|t| percent(&t.coverage)),
        line("Downtime of all probes", &|t| Digits::length(t.figures.down)),
        line("Incidents", &|t| t.figures.incidents.len().to_string()),
        line("Median latency", &|t| millis(t.latency.p50)),
        line("95th percentile of latency", &|t| millis(t.latency.p95)),
    ];
    table(["", "this period", "the period before"], lines.into_iter(), 0)
}

fn reasons(report: &Report) -> Table {
    let causes = report.incidents.iter().filter_map(|i| i.cause.as_ref());
    let words: BTreeSet<&str> = causes.map(|c| c.reason.as_str()).collect();
    let lines = words.into_iter().filter_map(Reason::parse).map(|reason| {
        let (word, meaning, whose) = (reason.as_str(), reason.meaning().trim(), reason.domain().words());
        [word, meaning, whose].map(str::to_owned)
    });
    table(["Reason", "What it means", "Whose it is"], lines, 0)
}

fn why(report: &Report, target: &str) -> String {
    match report.verdict {
        Verdict::Met => format!("Each probe was available for at least {target}."),
        Verdict::Missed => format!("Below {target}: {}.", report.missed_by.join(", ")),
        Verdict::NoTarget => "No objective of availability was agreed.".into(),
        Verdict::NotMeasured => "Not a minute of the period counts; see what was excluded.".into(),
    }
}

/// What a report says.
pub fn page(report: &Report) -> Page {
    let total = &report.total;
    let target = report
        .policy
        .target
        .map(|t| format!("{} %", Digits::number(Some(t), 3)));
    let target = target.unwrap_or_else(|| NOTHING.to_owned());
    let provisional = if report.fixed {
        ""
    } else {
        " · provisional: later results may still change it"
    };
    let tile = |value: String, name: &str| [value, name.to_owned()];
    let top = top(report);
    let since = format!("Since ({})", report.time_zone);
    let mut exclusions_say = Vec::new();
    if report.exclusions.is_empty() && total.missed == 0 {
        exclusions_say.push("Nothing: each minute was seen, and no window was open.".to_owned());
    }
    if total.missed > 0 {
        let slots = total.runs + total.missed;
        exclusions_say.push(format!(
            "{} of {slots} slots were not run, as the runners said.",
            total.missed
        ));
    }
    Page {
        title: report.display_name.clone(),
        subtitle: format!(
            "Service level report, {} to {} ({}){provisional}",
            report.from, report.through, report.time_zone
        ),
        verdict: report.verdict,
        verdict_words: report.verdict.words(),
        why: why(report, &target),
        tiles: vec![
            tile(percent(&total.availability), "availability, all probes"),
            tile(percent(&total.coverage), "coverage: minutes that were seen"),
            tile(target, "target for each probe"),
            tile(Digits::length(total.figures.down), "downtime, minutes of probes"),
            tile(total.figures.incidents.len().to_string(), "incidents"),
            tile(Digits::length(total.figures.longest() / 60), "longest outage"),
        ],
        days: report
            .days
            .iter()
            .map(|day| {
                let look = Look::of(day);
                let share = |micros: Option<f64>| Some(micros? / top?);
                Day {
                    date: day.date.clone(),
                    look,
                    words: format!(
                        "{} {}: {}, {} down",
                        day.date,
                        look.words(),
                        percent(&day.availability),
                        Digits::length(day.figures.down)
                    ),
                    colour: look.colour(),
                    p50: share(day.latency.p50),
                    p95: share(day.latency.p95),
                }
            })
            .collect(),
        key: Look::KEY
            .iter()
            .map(|look| [look.words(), look.colour()])
            .collect(),
        trend: top.map(|top| Trend {
            marks: [0.0, 0.5, 1.0].map(|part| format!("{} ms", Digits::number(Some(top * part / 1000.0), 1))),
        }),
        probe_columns: [
            "Probe, and by region",
            "Availability",
            "Coverage",
            "Downtime",
            "Budget used",
            "Incidents",
            "MTTR",
            "Median",
            "p95",
        ],
        probes: report
            .rows
            .iter()
            .take(MOST)
            .map(|row| probe(report, row))
            .collect(),
        probes_cut: cut(report.rows.len()),
        incidents: table(
            [&since, "Probe", "Down", "Why", "Step", "Regions"],
            report.incidents.iter().map(|incident| {
                let cause = incident.cause.as_ref();
                let goes_on = if incident.open { ", goes on" } else { "" };
                [
                    Digits::local(incident.at.0, &report.zone),
                    incident.probe.clone(),
                    Digits::length(incident.minutes.into()) + goes_on,
                    cause.map(|c| c.reason.clone()).unwrap_or_default(),
                    cause.and_then(|c| c.step.clone()).unwrap_or_default(),
                    cause.map(|c| c.regions.join(", ")).unwrap_or_default(),
                ]
            }),
            report.incidents.len(),
        ),
        reasons: reasons(report),
        comparison: report.previous.as_ref().map(|before| comparison(total, before)),
        exclusions_say,
        exclusions: table(
            [&since, "Probe", "What", "How long"],
            report.exclusions.iter().map(|gap| {
                let what = match gap.state {
                    State::Maintenance => "maintenance window",
                    _ => "no data",
                };
                [
                    Digits::local(gap.at.0, &report.zone),
                    gap.probe.clone(),
                    what.to_owned(),
                    Digits::length(gap.minutes.into()),
                ]
            }),
            report.exclusions.len(),
        ),
        method: report.method.clone(),
        footer: format!(
            "Tenant {}/{} · {} probes · {} runs · made {} by drmwatch",
            report.namespace, report.tenant, total.probes, total.runs, report.generated_at
        ),
    }
}
