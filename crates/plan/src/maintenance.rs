//! When a maintenance window is open.
//!
//! A rule is expanded as clocks show the time, and each occurrence then becomes an instant as RFC 5545 section 3.3.5 has it:
//! of a time that comes twice the first is meant, one that never comes is moved behind the gap.

use chrono::{Datelike, Timelike};
use drmwatch_api::{DrmProbe, MaintenanceWindowSpec, Recurring};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use rrule::{RRuleSet, Tz};

/// Occurrences that are looked at: more than can overlap, a week a day.
const MOST: u16 = 64;
/// How far a zone's clock may be from UTC, and some more.
const DAY: SignedDuration = SignedDuration::from_hours(26);

/// Why a window can't be read.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum WindowError {
    /// Neither or both.
    #[error("a window must have exactly one of once, recurring")]
    Kind,
    /// It ends before it begins.
    #[error("end must be after start")]
    Backwards,
    /// The time zone is not known.
    #[error("there is no time zone {0}")]
    Zone(String),
    /// The start is no date and time.
    #[error("must be a date and a time, as 2026-11-29T02:00:00, not {0}")]
    Start(String),
    /// The rule breaks RFC 5545.
    #[error("{0}")]
    Rule(String),
    /// The rule does not end.
    #[error(
        "rule must end: add COUNT= or UNTIL=, so that nobody is silent for ever because of a window that was forgotten"
    )]
    Endless,
}

impl WindowError {
    /// Path of the field.
    pub fn field(&self) -> &'static str {
        match self {
            WindowError::Kind => "spec",
            WindowError::Backwards => "spec.once",
            WindowError::Zone(_) => "spec.recurring.timeZone",
            WindowError::Start(_) => "spec.recurring.start",
            WindowError::Rule(_) | WindowError::Endless => "spec.recurring.rule",
        }
    }
}

/// Where a window stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The end of what goes on.
    pub until: Option<Timestamp>,
    /// The beginning of what comes next.
    pub next: Option<Timestamp>,
}

impl Standing {
    /// When it changes.
    pub fn changes(&self) -> Option<Timestamp> {
        self.until.into_iter().chain(self.next).min()
    }
}

/// Whether a window is about a probe of its own namespace.
pub fn covers(window: &MaintenanceWindowSpec, probe: &DrmProbe) -> bool {
    let tenant = window.tenant_ref.as_ref();
    let name = probe.metadata.name.as_ref();
    tenant.is_none_or(|t| t.name == probe.spec.tenant_ref.name)
        && (window.probes.is_empty() || name.is_some_and(|name| window.probes.contains(name)))
}

/// Where a window stands.
pub fn standing(window: &MaintenanceWindowSpec, now: Timestamp) -> Result<Standing, WindowError> {
    match (&window.once, &window.recurring) {
        (Some(once), None) if once.end.0 <= once.start.0 => Err(WindowError::Backwards),
        (Some(once), None) => Ok(at(&[(once.start.0, once.end.0)], now)),
        (None, Some(recurring)) => {
            let all = around(recurring, now)?;
            Ok(at(&all, now))
        }
        _ => Err(WindowError::Kind),
    }
}

/// Where spans, in their order, leave an instant. Those that overlap are one.
fn at(spans: &[(Timestamp, Timestamp)], now: Timestamp) -> Standing {
    let mut standing = Standing::default();
    for (start, end) in spans {
        match standing.until {
            _ if *end <= now => {}
            None if *start <= now => standing.until = Some(*end),
            Some(until) if *start <= until => standing.until = Some(until.max(*end)),
            _ => {
                standing.next = Some(*start);
                break;
            }
        }
    }
    standing
}

/// The occurrences of a rule from the one that may still go on, as far as they matter.
fn around(recurring: &Recurring, now: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>, WindowError> {
    let zone = &recurring.time_zone;
    let zone = TimeZone::get(zone).map_err(|_| WindowError::Zone(zone.clone()))?;
    let start: DateTime = recurring
        .start
        .parse()
        .map_err(|_| WindowError::Start(recurring.start.clone()))?;
    let (rule, until) = split(&recurring.rule, &zone)?;
    // As if clocks were those of UTC: the library then neither meets nor moves a gap.
    let text = format!("DTSTART:{}Z\nRRULE:{rule}", start.strftime("%Y%m%dT%H%M%S"));
    let set: RRuleSet = text
        .parse()
        .map_err(|e: rrule::RRuleError| WindowError::Rule(e.to_string()))?;
    let duration = SignedDuration::from_mins(recurring.duration_minutes.into());
    let from = now - duration - DAY;
    let from = chrono(from).ok_or_else(|| WindowError::Start(recurring.start.clone()))?;
    let found = set.after(from).all(MOST).dates;
    let mut spans = Vec::new();
    for date in found {
        let begins = local(&date).and_then(|local| zone.to_ambiguous_timestamp(local).compatible().ok());
        let begins = begins.ok_or_else(|| WindowError::Rule("it goes beyond the calendar".into()))?;
        if until.is_some_and(|until| begins > until) {
            break;
        }
        spans.push((begins, begins + duration));
        // What comes after what comes next does not matter, unless they touch.
        if begins > now + duration + DAY && spans.len() > 1 {
            break;
        }
    }
    Ok(spans)
}

/// The rule without its UNTIL, and UNTIL as an instant. One of UNTIL and COUNT must be there.
fn split(rule: &str, zone: &TimeZone) -> Result<(String, Option<Timestamp>), WindowError> {
    let (mut until, mut ends) = (None, false);
    let mut kept = Vec::new();
    for part in rule.split(';') {
        match part.split_once('=') {
            Some(("UNTIL", value)) => {
                ends = true;
                until = Some(parse_until(value, zone).ok_or_else(|| {
                    WindowError::Rule(format!(
                        "UNTIL must be a date and time, as 20271231T000000Z, not {value}"
                    ))
                })?);
            }
            Some(("COUNT", _)) => {
                ends = true;
                kept.push(part);
            }
            _ => kept.push(part),
        }
    }
    match ends {
        true => Ok((kept.join(";"), until)),
        false => Err(WindowError::Endless),
    }
}

fn parse_until(value: &str, zone: &TimeZone) -> Option<Timestamp> {
    let local = |text: &str| -> Option<DateTime> { DateTime::strptime("%Y%m%dT%H%M%S", text).ok() };
    if let Some(utc) = value.strip_suffix('Z') {
        return TimeZone::UTC.to_timestamp(local(utc)?).ok();
    }
    // A date alone is meant to its end.
    let text = if value.len() == 8 {
        format!("{value}T235959")
    } else {
        value.to_owned()
    };
    zone.to_ambiguous_timestamp(local(&text)?).compatible().ok()
}

fn chrono(at: Timestamp) -> Option<chrono::DateTime<Tz>> {
    let utc = chrono::DateTime::from_timestamp(at.as_second(), 0)?;
    Some(utc.with_timezone(&Tz::UTC))
}

/// What clocks show.
fn local(date: &chrono::DateTime<Tz>) -> Option<DateTime> {
    let small = |n: u32| i8::try_from(n).ok();
    let year = i16::try_from(date.year()).ok()?;
    let (hour, minute, second) = (small(date.hour())?, small(date.minute())?, small(date.second())?);
    DateTime::new(
        year,
        small(date.month())?,
        small(date.day())?,
        hour,
        minute,
        second,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(schedule: serde_json::Value) -> MaintenanceWindowSpec {
        let mut spec = serde_json::json!({ "description": "d", "effects": ["Mute"] });
        spec.as_object_mut()
            .unwrap()
            .extend(schedule.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn weekly(rule: &str, start: &str, zone: &str, minutes: i32) -> MaintenanceWindowSpec {
        window(
            serde_json::json!({ "recurring": { "start": start, "rule": rule, "timeZone": zone, "durationMinutes": minutes } }),
        )
    }

    fn stands(window: &MaintenanceWindowSpec, now: &str) -> (String, String) {
        let standing = standing(window, now.parse().unwrap()).unwrap();
        let text = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
        (text(standing.until), text(standing.next))
    }

    fn is(window: &MaintenanceWindowSpec, now: &str, until: &str, next: &str) {
        assert_eq!(stands(window, now), (until.to_owned(), next.to_owned()), "{now}");
    }

    #[test]
    fn once_is_from_its_start_to_its_end() {
        let once = window(
            serde_json::json!({ "once": { "start": "2026-11-24T02:00:00Z", "end": "2026-11-24T04:00:00Z" } }),
        );
        is(&once, "2026-11-24T01:59:59Z", "", "2026-11-24T02:00:00Z");
        is(&once, "2026-11-24T02:00:00Z", "2026-11-24T04:00:00Z", "");
        is(&once, "2026-11-24T03:59:59Z", "2026-11-24T04:00:00Z", "");
        is(&once, "2026-11-24T04:00:00Z", "", "");
    }

    #[test]
    fn a_rule_is_read_as_clocks_show_it() {
        // Sundays at two, in a zone that sets its clocks: 01:00 or 00:00 UTC.
        let sundays = weekly(
            "FREQ=WEEKLY;BYDAY=SU;UNTIL=20270601T000000Z",
            "2026-11-01T02:00:00",
            "Europe/Rome",
            120,
        );
        is(&sundays, "2026-11-24T00:00:00Z", "", "2026-11-29T01:00:00Z");
        is(
            &sundays,
            "2026-11-29T02:30:00Z",
            "2026-11-29T03:00:00Z",
            "2026-12-06T01:00:00Z",
        );
        // On 28 March 2027 there is no 02:00 there: it is moved behind the gap, and lasts as long.
        is(&sundays, "2027-03-27T12:00:00Z", "", "2027-03-28T01:00:00Z");
        is(
            &sundays,
            "2027-03-28T02:59:59Z",
            "2027-03-28T03:00:00Z",
            "2027-04-04T00:00:00Z",
        );
        // The last before UNTIL.
        is(&sundays, "2027-05-30T01:00:00Z", "2027-05-30T02:00:00Z", "");
        is(&sundays, "2027-05-31T00:00:00Z", "", "");
    }

    #[test]
    fn of_a_time_that_comes_twice_the_first_is_meant() {
        let once = weekly("FREQ=DAILY;COUNT=1", "2026-10-25T02:30:00", "Europe/Rome", 30);
        is(&once, "2026-10-25T00:00:00Z", "", "2026-10-25T00:30:00Z");
        is(&once, "2026-10-25T00:59:00Z", "2026-10-25T01:00:00Z", "");
        is(&once, "2026-10-25T01:30:00Z", "", "");
    }

    #[test]
    fn what_overlaps_is_one_and_a_count_ends_it() {
        let long = weekly("FREQ=DAILY;COUNT=3", "2026-11-24T00:00:00", "UTC", 1500);
        is(&long, "2026-11-24T12:00:00Z", "2026-11-27T01:00:00Z", "");
        is(&long, "2026-11-27T00:59:00Z", "2026-11-27T01:00:00Z", "");
        is(&long, "2026-11-27T01:00:00Z", "", "");
        // Behind a zone with half an hour.
        let half = weekly(
            "FREQ=MONTHLY;BYDAY=-1FR;COUNT=12",
            "2026-01-01T23:15:00",
            "Asia/Kolkata",
            60,
        );
        is(&half, "2026-11-24T00:00:00Z", "", "2026-11-27T17:45:00Z");
        // Years from now: only what matters is looked at.
        let years = weekly("FREQ=DAILY;UNTIL=20991231", "2020-01-01T04:00:00", "UTC", 60);
        is(
            &years,
            "2060-05-05T04:30:00Z",
            "2060-05-05T05:00:00Z",
            "2060-05-06T04:00:00Z",
        );
    }

    #[test]
    fn what_can_not_be_read_is_said() {
        let said = |rule: &str, start: &str, zone: &str| {
            standing(&weekly(rule, start, zone, 60), Timestamp::UNIX_EPOCH)
                .unwrap_err()
                .to_string()
        };
        let (start, zone) = ("2026-11-01T02:00:00", "UTC");
        assert_eq!(said("FREQ=DAILY", start, zone), WindowError::Endless.to_string());
        assert!(
            said("FREQ=DAILY;COUNT=2", start, "Mars/Olympus").contains("there is no time zone Mars/Olympus")
        );
        assert!(
            said("FREQ=DAILY;COUNT=2", "2026-13-01T02:00:00", zone).contains("must be a date and a time")
        );
        assert!(said("FREQ=DAILY;UNTIL=tomorrow", start, zone).contains("UNTIL must be a date"));
        assert!(said("FREQ=DAILY;COUNT=2;BYDAY=XX", start, zone).contains("XX"));
    }
}
