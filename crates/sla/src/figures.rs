//! The arithmetic of a service level agreement.
//!
//! Availability = good minutes / minutes that count. Good: up and degraded. Not counted: maintenance, minutes in which
//! nothing was to be watched, those outside of business hours, and by default those without data. Coverage says of what
//! was to be watched how much was seen; it belongs beside every availability.

use crate::{Span, State, state::Cause};
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// What minutes without data mean.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub enum NoDataPolicy {
    /// They don't count.
    #[default]
    Exclude,
    /// They count as down.
    Down,
    /// They count as up.
    Up,
}

/// What minutes of maintenance mean.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub enum MaintenancePolicy {
    /// They don't count.
    #[default]
    Exclude,
    /// They count as up.
    Up,
}

/// Hours that count: those from `from` to `to` (minutes since midnight) of these weekdays, as clocks of the zone show.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// Weekdays, Monday is 0.
    pub days: Vec<u8>,
    /// The first minute.
    pub from: u16,
    /// The first minute beyond.
    pub to: u16,
}

/// Why hours can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoursError(pub String);

impl std::fmt::Display for HoursError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "business hours must be like Mon-Fri 08:00-18:00, not {}",
            self.0
        )
    }
}

impl std::error::Error for HoursError {}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl std::str::FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Hours, HoursError> {
        let read = || {
            let (days, times) = text.trim().split_once(' ')?;
            let day = |name: &str| DAYS.iter().position(|d| d.eq_ignore_ascii_case(name));
            let mut list = Vec::new();
            for part in days.split(',') {
                match part.split_once('-') {
                    Some((first, last)) => {
                        let (first, last) = (day(first)?, day(last)?);
                        let count = (last + 7 - first) % 7;
                        list.extend((0..=count).map(|i| ((first + i) % 7) as u8));
                    }
                    None => list.push(day(part)? as u8),
                }
            }
            let minute = |text: &str| {
                let (hour, minute) = text.split_once(':')?;
                let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
                (minute < 60 && hour * 60 + minute <= 1440).then_some(hour * 60 + minute)
            };
            let (from, to) = times.trim().split_once('-')?;
            let (from, to) = (minute(from)?, minute(to)?);
            list.sort_unstable();
            list.dedup();
            (from < to).then_some(Hours { days: list, from, to })
        };
        read().ok_or_else(|| HoursError(text.to_owned()))
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days: Vec<&str> = self
            .days
            .iter()
            .filter_map(|d| DAYS.get(usize::from(*d)).copied())
            .collect();
        let clock = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
        write!(f, "{} {}-{}", days.join(","), clock(self.from), clock(self.to))
    }
}

impl Hours {
    fn hold(&self, at: i64, zone: &TimeZone) -> bool {
        let Ok(at) = Timestamp::from_second(at) else {
            return false;
        };
        let local = zone.to_datetime(at);
        let day = match local.weekday() {
            Weekday::Monday => 0,
            Weekday::Tuesday => 1,
            Weekday::Wednesday => 2,
            Weekday::Thursday => 3,
            Weekday::Friday => 4,
            Weekday::Saturday => 5,
            Weekday::Sunday => 6,
        };
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        self.days.contains(&day) && (self.from..self.to).contains(&minute)
    }
}

/// What was agreed.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// What minutes without data mean.
    pub no_data: NoDataPolicy,
    /// What minutes of maintenance mean.
    pub maintenance: MaintenancePolicy,
    /// An incident is at least so many minutes down in a row.
    pub least_minutes: u32,
    /// What was promised, in percent.
    pub target: Option<f64>,
    /// Hours that count; None: all.
    pub hours: Option<Hours>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            no_data: NoDataPolicy::default(),
            maintenance: MaintenancePolicy::default(),
            least_minutes: 1,
            target: None,
            hours: None,
        }
    }
}

/// Minutes down in a row. Minutes without data in between belong to it, and are not counted as down.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// The beginning: seconds since 1970, UTC.
    pub start: i64,
    /// The end.
    pub end: i64,
    /// Minutes that count and were down.
    pub minutes: u32,
    /// Why it began.
    pub cause: Option<Cause>,
    /// Whether it went on when the period ended.
    pub open: bool,
}

/// What came of it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Minutes of the period, within business hours.
    pub total: u64,
    /// Minutes that were up.
    pub up: u64,
    /// Minutes that were degraded.
    pub degraded: u64,
    /// Minutes that were down.
    pub down: u64,
    /// Minutes of maintenance.
    pub maintenance: u64,
    /// Minutes without data.
    pub no_data: u64,
    /// Minutes in which nothing was to be watched.
    pub unwatched: u64,
    /// Minutes that count and were good.
    pub good: u64,
    /// Minutes that count.
    pub counted: u64,
    /// Incidents, in the order of time.
    pub incidents: Vec<Incident>,
}

impl Figures {
    /// Percent; None where nothing counts.
    pub fn availability(&self) -> Option<f64> {
        (self.counted > 0).then(|| self.good as f64 * 100.0 / self.counted as f64)
    }

    /// Of what was to be watched, how much was seen: percent; None where nothing was to be watched.
    pub fn coverage(&self) -> Option<f64> {
        let seen = self.up + self.degraded + self.down;
        let wanted = seen + self.no_data;
        (wanted > 0).then(|| seen as f64 * 100.0 / wanted as f64)
    }

    /// Minutes that count against the target.
    pub fn bad(&self) -> u64 {
        self.counted - self.good
    }

    /// Minutes that a target in percent allows to be bad.
    pub fn budget(&self, target: f64) -> f64 {
        self.counted as f64 * (100.0 - target) / 100.0
    }

    /// How much of that was used, in percent; None where there is none.
    pub fn budget_used(&self, target: f64) -> Option<f64> {
        let budget = self.budget(target);
        (budget > 0.0).then(|| self.bad() as f64 * 100.0 / budget)
    }

    /// Whether the target was met; None where nothing counts.
    pub fn met(&self, target: f64) -> Option<bool> {
        // In whole numbers of thousandths of a percent: 99.9 has no exact double.
        let thousandths = (target * 1000.0).round() as u128;
        (self.counted > 0).then(|| u128::from(self.good) * 100_000 >= thousandths * u128::from(self.counted))
    }

    /// Mean seconds that an incident took that has ended.
    pub fn mttr(&self) -> Option<f64> {
        let ended: Vec<u64> = self
            .incidents
            .iter()
            .filter(|i| !i.open)
            .map(|i| u64::from(i.minutes) * 60)
            .collect();
        (!ended.is_empty()).then(|| ended.iter().sum::<u64>() as f64 / ended.len() as f64)
    }

    /// Mean seconds of good time for each incident.
    pub fn mtbf(&self) -> Option<f64> {
        (!self.incidents.is_empty()).then(|| self.good as f64 * 60.0 / self.incidents.len() as f64)
    }

    /// Seconds of the longest incident.
    pub fn longest(&self) -> u64 {
        self.incidents
            .iter()
            .map(|i| u64::from(i.minutes) * 60)
            .max()
            .unwrap_or_default()
    }

    /// Adds those of another probe: minutes become minutes of probes.
    pub fn add(&mut self, other: &Figures) {
        self.total += other.total;
        self.up += other.up;
        self.degraded += other.degraded;
        self.down += other.down;
        self.maintenance += other.maintenance;
        self.no_data += other.no_data;
        self.unwatched += other.unwatched;
        self.good += other.good;
        self.counted += other.counted;
        self.incidents.extend(other.incidents.iter().cloned());
        self.incidents.sort_by_key(|i| (i.start, i.end));
    }
}

/// The figures of minutes in a row, from `start` (seconds since 1970).
pub fn figures(start: i64, spans: &[Span], policy: &Policy, zone: &TimeZone) -> Figures {
    let mut of = Figures::default();
    let mut at = start;
    let mut going: Option<Incident> = None;
    for span in spans {
        let end = at + i64::from(span.minutes) * 60;
        let counted = match &policy.hours {
            None => u64::from(span.minutes),
            Some(hours) => (0..i64::from(span.minutes))
                .filter(|m| hours.hold(at + m * 60, zone))
                .count() as u64,
        };
        of.total += counted;
        let (minutes, counts, good) = match (span.state, policy.no_data, policy.maintenance) {
            (State::Up, ..) => (&mut of.up, true, true),
            (State::Degraded, ..) => (&mut of.degraded, true, true),
            (State::Down, ..) => (&mut of.down, true, false),
            (State::Maintenance, _, MaintenancePolicy::Exclude) => (&mut of.maintenance, false, false),
            (State::Maintenance, _, MaintenancePolicy::Up) => (&mut of.maintenance, true, true),
            (State::NoData, NoDataPolicy::Exclude, _) => (&mut of.no_data, false, false),
            (State::NoData, NoDataPolicy::Down, _) => (&mut of.no_data, true, false),
            (State::NoData, NoDataPolicy::Up, _) => (&mut of.no_data, true, true),
            (State::Unwatched, ..) => (&mut of.unwatched, false, false),
        };
        *minutes += counted;
        of.counted += if counts { counted } else { 0 };
        of.good += if counts && good { counted } else { 0 };
        match span.state {
            // Outside of business hours nothing is an incident.
            State::Down if counted > 0 => {
                let incident = going.get_or_insert_with(|| Incident {
                    start: at,
                    end,
                    minutes: 0,
                    cause: span.cause.clone(),
                    open: false,
                });
                incident.minutes += counted as u32;
                incident.end = end;
            }
            State::Down | State::NoData => {}
            State::Up | State::Degraded | State::Maintenance | State::Unwatched => {
                of.incidents
                    .extend(going.take().filter(|i| i.minutes >= policy.least_minutes));
            }
        }
        at = end;
    }
    if let Some(mut incident) = going.filter(|i| i.minutes >= policy.least_minutes) {
        incident.open = true;
        of.incidents.push(incident);
    }
    of
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use State::*;

    fn spans(of: &[(State, u32)]) -> Vec<Span> {
        let span = |(state, minutes): &(State, u32)| Span {
            state: *state,
            minutes: *minutes,
            cause: None,
        };
        of.iter().map(span).collect()
    }

    fn with(of: &[(State, u32)], policy: &Policy) -> Figures {
        figures(0, &spans(of), policy, &TimeZone::UTC)
    }

    const MONTH: [(State, u32); 9] = [
        (Unwatched, 100),
        (Up, 1000),
        (Down, 10),
        (NoData, 20),
        (Down, 5),
        (Degraded, 300),
        (Maintenance, 50),
        (Up, 700),
        (Down, 2),
    ];

    #[test]
    fn the_arithmetic_is_as_it_is_written() {
        let policy = Policy {
            target: Some(99.0),
            ..Policy::default()
        };
        let of = with(&MONTH, &policy);
        assert_eq!((of.total, of.up, of.degraded, of.down), (2187, 1700, 300, 17));
        assert_eq!((of.maintenance, of.no_data, of.unwatched), (50, 20, 100));
        assert_eq!((of.good, of.counted, of.bad()), (2000, 2017, 17));
        assert_eq!(of.availability(), Some(2000.0 * 100.0 / 2017.0));
        assert_eq!(of.coverage(), Some(2017.0 * 100.0 / 2037.0));
        assert_eq!((of.budget(99.0) * 100.0).round(), 2017.0);
        assert_eq!(of.met(99.0), Some(true));
        // One that a gap interrupts is one; the other has not ended.
        let told: Vec<(i64, i64, u32, bool)> = of
            .incidents
            .iter()
            .map(|i| (i.start / 60, i.end / 60, i.minutes, i.open))
            .collect();
        assert_eq!(told, [(1100, 1135, 15, false), (2185, 2187, 2, true)]);
        assert_eq!((of.mttr(), of.longest()), (Some(900.0), 900));
        assert_eq!(of.mtbf(), Some(60_000.0));
    }

    #[test]
    fn policies_say_what_counts() {
        let of = |no_data, maintenance| {
            let policy = Policy {
                no_data,
                maintenance,
                least_minutes: 3,
                ..Policy::default()
            };
            let of = with(&MONTH, &policy);
            (of.good, of.counted, of.incidents.len())
        };
        assert_eq!(
            of(NoDataPolicy::Down, MaintenancePolicy::Exclude),
            (2000, 2037, 1)
        );
        assert_eq!(of(NoDataPolicy::Up, MaintenancePolicy::Up), (2070, 2087, 1));
    }

    #[test]
    fn of_nothing_nothing_is_claimed() {
        for nothing in [&[][..], &[(Unwatched, 1440)], &[(Maintenance, 60), (NoData, 60)]] {
            let of = with(nothing, &Policy::default());
            assert_eq!(
                (of.availability(), of.met(99.9), of.mttr(), of.mtbf()),
                (None, None, None, None)
            );
        }
        // A target is met by what meets it exactly.
        let exact = with(&[(Up, 999), (Down, 1)], &Policy::default());
        assert_eq!((exact.met(99.9), exact.met(99.901)), (Some(true), Some(false)));
        assert_eq!(exact.budget_used(100.0), None);
    }

    #[test]
    fn business_hours_are_those_of_the_zone() {
        let hours: Hours = "Mon-Fri 08:00-18:00".parse().unwrap();
        let policy = Policy {
            hours: Some(hours.clone()),
            ..Policy::default()
        };
        // 1970-01-01 was a Thursday.
        let week = with(&[(Up, 7 * 1440)], &policy);
        assert_eq!(week.total, 5 * 600);
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let night = figures(0, &spans(&[(Down, 7 * 60 + 30), (Up, 1440)]), &policy, &berlin);
        assert_eq!((night.down, night.incidents[0].minutes), (30, 30));
        assert_eq!("Sat,Sun 00:00-24:00".parse::<Hours>().unwrap().days, [5, 6]);
        assert_eq!("Fri-Mon 00:00-24:00".parse::<Hours>().unwrap().days, [0, 4, 5, 6]);
        assert_eq!(hours.to_string(), "Mon,Tue,Wed,Thu,Fri 08:00-18:00");
        for wrong in [
            "",
            "Mon",
            "Mon 8-18",
            "Foo 08:00-18:00",
            "Mon 18:00-08:00",
            "Mon 00:00-25:00",
        ] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }
}
