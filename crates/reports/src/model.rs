//! The figures of a tenant and a period.

use crate::Digits;
use drmwatch_sla::{Cause, Figures, Policy, Rollup, Sketch, State, figures};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a report is about.
#[derive(Debug, Clone)]
pub struct Request {
    /// Namespace of the tenant.
    pub namespace: String,
    /// Its name.
    pub tenant: String,
    /// Its name for people.
    pub display_name: String,
    /// The zone in which days begin.
    pub zone: TimeZone,
    /// Its name.
    pub zone_name: String,
    /// The first day.
    pub from: Date,
    /// The first day beyond.
    pub to: Date,
    /// What was agreed.
    pub policy: Policy,
    /// When it is made.
    pub at: Timestamp,
}

/// Whether the target was met.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// There is no target.
    NoTarget,
    /// Not a minute counts.
    NotMeasured,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Met => "Target met",
            Verdict::Missed => "Target missed",
            Verdict::NoTarget => "No target agreed",
            Verdict::NotMeasured => "Not measured",
        }
    }
}

/// The figures of a probe, by all regions or one.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The probe.
    pub probe: String,
    /// The service of the tenant that it is of, where it is a default probe.
    pub service: Option<String>,
    /// The region; None: the consensus of all.
    pub region: Option<String>,
    /// Slots that were run.
    pub runs: u64,
    /// Of them those that passed, failed, and could not tell.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that could not tell.
    pub inconclusive: u64,
    /// Slots that were missed.
    pub missed: u64,
    /// Minutes and incidents.
    pub figures: Figures,
    /// Percent, as text of four places; empty where nothing counts.
    pub availability: String,
    /// Percent, as text.
    pub coverage: String,
    /// Minutes that the target allows.
    pub budget_minutes: Option<f64>,
    /// Percent of them that were used.
    pub budget_used: Option<f64>,
    /// Mean seconds to repair.
    pub mttr_seconds: Option<f64>,
    /// Mean seconds between failures.
    pub mtbf_seconds: Option<f64>,
    /// Seconds of the longest outage.
    pub longest_outage_seconds: u64,
    /// Latency of runs that passed, microseconds: median, 95th and 99th percentile, each within one percent.
    pub latency: Latency,
}

/// Quantiles of latency. Microseconds.
#[derive(Serialize, Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
}

impl Latency {
    fn of(sketch: &Sketch) -> Latency {
        Latency {
            p50: sketch.quantile(0.5),
            p95: sketch.quantile(0.95),
            p99: sketch.quantile(0.99),
        }
    }
}

/// An incident of a probe.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReportIncident {
    /// The probe.
    pub probe: String,
    /// ISO 8601, UTC.
    pub start: String,
    /// ISO 8601, UTC.
    pub end: String,
    /// Seconds since 1970.
    #[serde(skip)]
    pub at: (i64, i64),
    /// Minutes that were down.
    pub minutes: u32,
    /// Why.
    pub cause: Option<Cause>,
    /// Whether it went on when the period ended.
    pub open: bool,
}

/// Minutes that do not count, or of which nothing is known.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Exclusion {
    /// The probe.
    pub probe: String,
    /// Maintenance, or no data.
    pub state: State,
    /// ISO 8601, UTC.
    pub start: String,
    /// ISO 8601, UTC.
    pub end: String,
    /// Seconds since 1970.
    #[serde(skip)]
    pub at: (i64, i64),
    /// How many.
    pub minutes: u32,
}

/// A day of all probes together.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DayFigures {
    /// The day.
    pub date: String,
    /// Minutes of probes.
    pub figures: Figures,
    /// Percent, as text.
    pub availability: String,
    /// Latency of runs that passed.
    pub latency: Latency,
}

/// All probes together: minutes are minutes of probes.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// How many probes.
    pub probes: usize,
    /// Slots that were run.
    pub runs: u64,
    /// Slots that were missed.
    pub missed: u64,
    /// Minutes of probes.
    pub figures: Figures,
    /// Percent, as text.
    pub availability: String,
    /// Percent, as text.
    pub coverage: String,
    /// Latency of runs that passed.
    pub latency: Latency,
}

/// A report.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// Namespace of the tenant.
    pub namespace: String,
    /// Its name.
    pub tenant: String,
    /// Its name for people.
    pub display_name: String,
    /// IANA name of the zone in which days begin.
    pub time_zone: String,
    #[serde(skip)]
    pub(crate) zone: TimeZone,
    /// The first day.
    pub from: String,
    /// The last day.
    pub through: String,
    /// ISO 8601, UTC.
    pub period_start: String,
    /// ISO 8601, UTC: of a period that goes on, how far it is known.
    pub period_end: String,
    /// When it was made.
    pub generated_at: String,
    /// Whether nothing of it will change any more.
    #[serde(rename = "final")]
    pub fixed: bool,
    /// What was agreed.
    pub policy: Policy,
    /// Whether it was kept: by the worst probe, since the target holds for each.
    pub verdict: Verdict,
    /// Probes that missed it.
    pub missed_by: Vec<String>,
    /// All probes together.
    pub total: Total,
    /// The period before, of the same number of days; None: nothing is known of it.
    pub previous: Option<Total>,
    /// Each probe: by all regions, then by each.
    pub rows: Vec<Row>,
    /// In the order of time.
    pub incidents: Vec<ReportIncident>,
    /// Each day.
    pub days: Vec<DayFigures>,
    /// Maintenance and minutes without data, in the order of time.
    pub exclusions: Vec<Exclusion>,
    /// How it was counted.
    pub method: Vec<String>,
}

/// The days of a period: date, whether it is final, and its roll-ups.
pub type Days = [(Date, bool, Vec<Rollup>)];

fn row(key: &(String, Option<String>), parts: &[&Rollup], request: &Request, ends: (i64, i64)) -> Row {
    let (probe, region) = key;
    let whole = drmwatch_sla::merge(probe, region.as_deref(), ends, parts.iter().copied());
    let of = figures(whole.start, &whole.spans, &request.policy, &request.zone);
    let target = request.policy.target;
    Row {
        probe: probe.clone(),
        service: probe
            .strip_prefix(&format!("{}-", request.tenant))
            .map(str::to_owned),
        region: region.clone(),
        runs: whole.runs,
        passed: whole.passed,
        failed: whole.failed,
        inconclusive: whole.inconclusive,
        missed: whole.missed,
        availability: Digits::availability(&of),
        coverage: Digits::coverage(&of),
        budget_minutes: target.map(|t| of.budget(t)),
        budget_used: target.and_then(|t| of.budget_used(t)),
        mttr_seconds: of.mttr(),
        mtbf_seconds: of.mtbf(),
        longest_outage_seconds: of.longest(),
        latency: Latency::of(&whole.latency),
        figures: of,
    }
}

fn total(days: &Days, request: &Request) -> Option<(Total, (i64, i64), Vec<Row>)> {
    let all = || days.iter().flat_map(|(_, _, rollups)| rollups);
    let start = all().map(|r| r.start).min()?;
    let end = all().map(Rollup::end).max()?;
    let mut by: BTreeMap<(String, Option<String>), Vec<&Rollup>> = BTreeMap::new();
    for rollup in all() {
        by.entry((rollup.probe.clone(), rollup.region.clone()))
            .or_default()
            .push(rollup);
    }
    let rows: Vec<Row> = by
        .iter()
        .map(|(key, parts)| row(key, parts, request, (start, end)))
        .collect();
    let (mut sum, mut sketch) = (Figures::default(), Sketch::default());
    let (mut runs, mut missed) = (0, 0);
    for own in rows.iter().filter(|r| r.region.is_none()) {
        sum.add(&own.figures);
        (runs, missed) = (runs + own.runs, missed + own.missed);
    }
    all()
        .filter(|r| r.region.is_none())
        .for_each(|r| sketch.merge(&r.latency));
    let total = Total {
        probes: rows.iter().filter(|r| r.region.is_none()).count(),
        runs,
        missed,
        availability: Digits::availability(&sum),
        coverage: Digits::coverage(&sum),
        latency: Latency::of(&sketch),
        figures: sum,
    };
    Some((total, (start, end), rows))
}

fn day(date: Date, rollups: &[Rollup], request: &Request) -> DayFigures {
    let (mut sum, mut sketch) = (Figures::default(), Sketch::default());
    for rollup in rollups.iter().filter(|r| r.region.is_none()) {
        sum.add(&figures(
            rollup.start,
            &rollup.spans,
            &request.policy,
            &request.zone,
        ));
        sketch.merge(&rollup.latency);
    }
    DayFigures {
        date: date.to_string(),
        availability: Digits::availability(&sum),
        latency: Latency::of(&sketch),
        figures: sum,
    }
}

fn exclusions(days: &Days, ends: (i64, i64)) -> Vec<Exclusion> {
    let mut by: BTreeMap<&str, Vec<&Rollup>> = BTreeMap::new();
    for rollup in days.iter().flat_map(|(_, _, r)| r).filter(|r| r.region.is_none()) {
        by.entry(&rollup.probe).or_default().push(rollup);
    }
    let mut all = Vec::new();
    for (probe, parts) in by {
        let whole = drmwatch_sla::merge(probe, None, ends, parts.into_iter());
        let mut at = whole.start;
        for span in &whole.spans {
            let end = at + i64::from(span.minutes) * 60;
            if matches!(span.state, State::Maintenance | State::NoData) {
                all.push(Exclusion {
                    probe: probe.to_owned(),
                    state: span.state,
                    start: Digits::instant(at),
                    end: Digits::instant(end),
                    at: (at, end),
                    minutes: span.minutes,
                });
            }
            at = end;
        }
    }
    all.sort_by(|a, b| (a.at, &a.probe).cmp(&(b.at, &b.probe)));
    all
}

fn method(request: &Request) -> Vec<String> {
    use drmwatch_sla::{MaintenancePolicy, NoDataPolicy};
    let policy = &request.policy;
    let mut lines = vec![
        "Every minute of every probe has one state. A run says how its region saw the probe until the next is due; of several in a minute the last counts. A failure is looked at a second time before it counts.".to_owned(),
        "Down: at least two thirds of the regions that can tell say that it fails. Degraded: fewer of them. No data: fewer than half of the regions can tell.".to_owned(),
        "Availability = (up + degraded) / minutes that count, cut after four places. Coverage = minutes of which a state is known / minutes that were to be watched.".to_owned(),
    ];
    lines.push(match policy.no_data {
        NoDataPolicy::Exclude => "Minutes without data do not count; they are listed.".into(),
        NoDataPolicy::Down => "Minutes without data count as down; they are listed.".into(),
        NoDataPolicy::Up => "Minutes without data count as up; they are listed.".into(),
    });
    lines.push(match policy.maintenance {
        MaintenancePolicy::Exclude => {
            "Maintenance windows that exclude from the SLA do not count; they are listed.".into()
        }
        MaintenancePolicy::Up => "Maintenance windows count as up; they are listed.".into(),
    });
    lines.push(format!(
        "An incident is at least {} min down in a row. MTTR is the mean of the minutes down of incidents that have ended, MTBF the good time for each incident.",
        policy.least_minutes
    ));
    if let Some(hours) = &policy.hours {
        lines.push(format!(
            "Business hours: only {hours} ({}) counts.",
            request.zone_name
        ));
    }
    lines.push("The target holds for each probe by itself. Latencies are those of runs that passed; quantiles are within one percent (DDSketch).".to_owned());
    lines.push(format!(
        "Days begin at midnight in {}; other times are said to be UTC or are of that zone.",
        request.zone_name
    ));
    lines
}

/// The report of a period. `days`: what is known of each day of it; `before`: of the days before. None: there is nothing.
pub fn build(request: &Request, days: &Days, before: &Days) -> Option<Report> {
    let (all, ends, rows) = total(days, request)?;
    let target = request.policy.target;
    let own = || rows.iter().filter(|r| r.region.is_none());
    let missed_by: Vec<String> = own()
        .filter(|r| target.and_then(|t| r.figures.met(t)) == Some(false))
        .map(|r| r.probe.clone())
        .collect();
    let verdict = match target {
        _ if all.figures.counted == 0 => Verdict::NotMeasured,
        None => Verdict::NoTarget,
        Some(_) if missed_by.is_empty() => Verdict::Met,
        Some(_) => Verdict::Missed,
    };
    let mut incidents: Vec<ReportIncident> = Vec::new();
    for row in own() {
        incidents.extend(row.figures.incidents.iter().map(|i| ReportIncident {
            probe: row.probe.clone(),
            start: Digits::instant(i.start),
            end: Digits::instant(i.end),
            at: (i.start, i.end),
            minutes: i.minutes,
            cause: i.cause.clone(),
            open: i.open,
        }));
    }
    incidents.sort_by(|a, b| (a.at, &a.probe).cmp(&(b.at, &b.probe)));
    let dates: BTreeSet<Date> = days.iter().map(|(date, ..)| *date).collect();
    let whole =
        drmwatch_sla::calendar_periods(drmwatch_sla::Level::Day, request.from, request.to, &request.zone);
    let complete = whole.iter().all(|(date, ..)| dates.contains(date));
    Some(Report {
        schema: 1,
        namespace: request.namespace.clone(),
        tenant: request.tenant.clone(),
        display_name: request.display_name.clone(),
        time_zone: request.zone_name.clone(),
        zone: request.zone.clone(),
        from: request.from.to_string(),
        through: request.to.yesterday().unwrap_or(request.to).to_string(),
        period_start: Digits::instant(whole.first().map_or(ends.0, |(_, start, _)| *start)),
        period_end: Digits::instant(ends.1),
        generated_at: request.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        fixed: complete && days.iter().all(|(_, fixed, _)| *fixed),
        policy: request.policy.clone(),
        verdict,
        missed_by,
        previous: total(before, request).map(|(total, ..)| total),
        incidents,
        days: days
            .iter()
            .map(|(date, _, rollups)| day(*date, rollups, request))
            .collect(),
        exclusions: exclusions(days, ends),
        method: method(request),
        total: all,
        rows,
    })
}
