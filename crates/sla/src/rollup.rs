//! Periods: minutes put together without losing any.

use crate::{Sketch, Span, State, state::push};
use jiff::{ToSpan, Unit, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// How long a period is.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Fifteen minutes: the longest that divides every zone's offset.
    #[serde(rename = "15m")]
    Quarter,
    /// An hour of UTC.
    #[serde(rename = "1h")]
    Hour,
    /// A day of the tenant's zone: 23 to 25 hours.
    #[serde(rename = "1d")]
    Day,
    /// A week of the tenant's zone, from Monday (ISO 8601).
    #[serde(rename = "1w")]
    Week,
    /// A month of the tenant's zone.
    #[serde(rename = "1mo")]
    Month,
}

impl Level {
    /// Every level, from the shortest.
    pub const ALL: [Level; 5] = [Level::Quarter, Level::Hour, Level::Day, Level::Week, Level::Month];

    /// As in paths and options.
    pub fn name(self) -> &'static str {
        match self {
            Level::Quarter => "15m",
            Level::Hour => "1h",
            Level::Day => "1d",
            Level::Week => "1w",
            Level::Month => "1mo",
        }
    }
}

/// How a probe was in a period: states minute by minute, counts, latencies.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Rollup {
    /// Name of the probe.
    pub probe: String,
    /// The region that saw it so; None: all of them together.
    pub region: Option<String>,
    /// The beginning: seconds since 1970, UTC.
    pub start: i64,
    /// The length.
    pub minutes: u32,
    /// Slots that were run: each once, however often it was.
    pub runs: u64,
    /// Of them those that passed.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that could not tell.
    pub inconclusive: u64,
    /// Slots that were missed, as their runners said.
    pub missed: u64,
    /// How long the runs took that passed.
    pub latency: Sketch,
    /// The minutes, in their order; their lengths add up to the length of the period.
    pub spans: Vec<Span>,
}

impl Rollup {
    /// One without anything in it, minutes included.
    pub fn empty(probe: &str, region: Option<&str>, start: i64, minutes: u32) -> Rollup {
        Rollup {
            probe: probe.to_owned(),
            region: region.map(str::to_owned),
            start,
            minutes,
            runs: 0,
            passed: 0,
            failed: 0,
            inconclusive: 0,
            missed: 0,
            latency: Sketch::default(),
            spans: Vec::new(),
        }
    }

    /// The end: seconds since 1970, UTC.
    pub fn end(&self) -> i64 {
        self.start + i64::from(self.minutes) * 60
    }

    /// Adds the counts of another, not its minutes.
    pub fn add_counts(&mut self, other: &Rollup) {
        self.runs += other.runs;
        self.passed += other.passed;
        self.failed += other.failed;
        self.inconclusive += other.inconclusive;
        self.missed += other.missed;
        self.latency.merge(&other.latency);
    }
}

/// Puts the periods of one probe and region together that lie in `start..end` (seconds). Each must lie in it whole; where
/// none is, nothing was watched. `parts` in the order of time, none twice.
pub fn merge<'a>(
    probe: &str,
    region: Option<&str>,
    (start, end): (i64, i64),
    parts: impl Iterator<Item = &'a Rollup>,
) -> Rollup {
    let length = |from: i64, to: i64| u32::try_from((to - from) / 60).unwrap_or_default();
    let mut whole = Rollup::empty(probe, region, start, length(start, end));
    let mut at = start;
    for part in parts.filter(|p| p.start >= start && p.end() <= end) {
        if part.start < at {
            continue;
        }
        push(&mut whole.spans, State::Unwatched, length(at, part.start), None);
        for span in &part.spans {
            push(&mut whole.spans, span.state, span.minutes, span.cause.clone());
        }
        whole.add_counts(part);
        at = part.end();
    }
    push(&mut whole.spans, State::Unwatched, length(at, end), None);
    whole
}

/// The Monday of the week that a day lies in.
pub fn monday(day: Date) -> Date {
    day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
}

/// The periods of a level whose beginnings lie in `from..to` (civil dates of the zone), as seconds since 1970, UTC.
/// Weeks begin on Mondays, months on their first; a period that `from` lies inside of is left out.
pub fn calendar_periods(level: Level, from: Date, to: Date, zone: &TimeZone) -> Vec<(Date, i64, i64)> {
    let step = match level {
        Level::Week => 1.week(),
        Level::Month => 1.month(),
        Level::Quarter | Level::Hour | Level::Day => 1.day(),
    };
    let mut day = from;
    match level {
        Level::Week if monday(from) < from => day = monday(from).saturating_add(7.days()),
        Level::Month if from.day() > 1 => day = from.last_of_month().saturating_add(1.day()),
        _ => {}
    }
    let instant = |date: Date| {
        // A day whose midnight never comes begins when clocks go on.
        let zoned = date.to_zoned(zone.clone()).ok()?;
        let zoned = zoned.start_of_day().ok()?;
        Some(zoned.timestamp().as_second())
    };
    let mut periods = Vec::new();
    while day < to {
        let next = day.saturating_add(step);
        if let (Some(start), Some(end)) = (instant(day), instant(next))
            && start < end
        {
            periods.push((day, start, end));
        }
        // The last day there is does not end.
        if next.since((Unit::Day, day)).map_or(true, |s| s.get_days() <= 0) {
            break;
        }
        day = next;
    }
    periods
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn of(zone: &str, level: Level, from: Date, to: Date) -> Vec<(Date, i64)> {
        let zone = TimeZone::get(zone).unwrap();
        let all = calendar_periods(level, from, to, &zone);
        all.into_iter()
            .map(|(day, start, end)| (day, (end - start) / 60))
            .collect()
    }

    #[test]
    fn days_are_as_long_as_they_are_where_the_tenant_is() {
        let days = |zone, day: Date| of(zone, Level::Day, day, day.saturating_add(1.day()))[0].1;
        assert_eq!(days("Europe/Berlin", date(2026, 3, 29)), 23 * 60);
        assert_eq!(days("Europe/Berlin", date(2026, 10, 25)), 25 * 60);
        assert_eq!(days("Australia/Lord_Howe", date(2026, 4, 5)), 24 * 60 + 30);
        assert_eq!(days("Asia/Kathmandu", date(2026, 4, 5)), 24 * 60);
        // No midnight: clocks went from 23:59:59 to 01:00.
        assert_eq!(days("America/Sao_Paulo", date(2018, 11, 4)), 23 * 60);
        // A day that never was.
        assert!(of("Pacific/Apia", Level::Day, date(2011, 12, 30), date(2011, 12, 31)).is_empty());
    }

    #[test]
    fn weeks_begin_on_mondays_and_months_on_their_first() {
        let weeks = of(
            "Europe/Berlin",
            Level::Week,
            date(2026, 10, 20),
            date(2026, 11, 10),
        );
        assert_eq!(weeks[0], (date(2026, 10, 26), 7 * 1440));
        let weeks = of(
            "Europe/Berlin",
            Level::Week,
            date(2026, 10, 19),
            date(2026, 10, 26),
        );
        assert_eq!(weeks, [(date(2026, 10, 19), 7 * 1440 + 60)]);
        let months = of("UTC", Level::Month, date(2028, 1, 2), date(2028, 3, 1));
        assert_eq!(months, [(date(2028, 2, 1), 29 * 1440)]);
    }

    #[test]
    fn nothing_is_lost_and_nothing_doubled_by_putting_together() {
        let part = |start: i64, spans: &[(State, u32)]| {
            let mut part = Rollup::empty("p", None, start, spans.iter().map(|s| s.1).sum());
            spans
                .iter()
                .for_each(|(state, n)| push(&mut part.spans, *state, *n, None));
            part.runs = 1;
            part
        };
        let parts = [
            part(0, &[(State::Up, 10), (State::Down, 5)]),
            part(900, &[(State::Down, 15)]),
            part(900, &[(State::Up, 15)]),
            part(2700, &[(State::Up, 15)]),
        ];
        let whole = merge("p", None, (0, 3600), parts.iter());
        let told: Vec<(State, u32)> = whole.spans.iter().map(|s| (s.state, s.minutes)).collect();
        use State::*;
        assert_eq!(told, [(Up, 10), (Down, 20), (Unwatched, 15), (Up, 15)]);
        assert_eq!((whole.runs, whole.minutes), (3, 60));
    }
}
