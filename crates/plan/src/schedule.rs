//! When a probe is due. Pure: the clock is an argument.

use crate::{Cron, CronError, Plan};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

/// The phase of a probe inside its interval, in milliseconds: stable for the life of the probe object,
/// spread evenly over all probes, and different between regions so that a tenant is not hit by all of
/// them at once.
pub fn phase(uid: &str, region: &str, interval_seconds: u32) -> u64 {
    let digest = Sha256::digest(format!("{uid}\0{region}").as_bytes());
    let hash = digest
        .iter()
        .take(8)
        .fold(0u64, |acc, b| acc << 8 | u64::from(*b));
    hash % (u64::from(interval_seconds.max(1)) * 1000)
}

/// The slots of an interval schedule: the instants `phase + n * interval` since the Unix epoch.
///
/// Slots are counted on the wall clock, so that every runner, and every later run of the same program,
/// agrees on them without talking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    interval_ms: i64,
    phase_ms: i64,
}

impl Slots {
    /// The slots of a probe.
    pub fn new(interval_seconds: u32, phase_ms: u64) -> Slots {
        let interval_ms = i64::from(interval_seconds.max(1)) * 1000;
        Slots {
            interval_ms,
            phase_ms: (phase_ms as i64).rem_euclid(interval_ms),
        }
    }

    /// The number of the last slot at or before `now`.
    pub fn index(&self, now: Timestamp) -> i64 {
        (now.as_millisecond() - self.phase_ms).div_euclid(self.interval_ms)
    }

    /// The instant of a slot.
    pub fn at(&self, index: i64) -> Timestamp {
        let ms = index
            .saturating_mul(self.interval_ms)
            .saturating_add(self.phase_ms);
        Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

/// Most slots that are counted one by one after a pause: as many as a CronJob counts before it gives up counting.
const MOST_MISSED: u64 = 10_000;
/// A schedule by cron that is new to a runner may have been another's a moment ago, who died: slots of so many seconds
/// are not yet done. A slot may run twice, it is never silently skipped.
const TAKE_OVER_SECONDS: i64 = 60;

/// When a plan is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// At an interval.
    Every(Slots),
    /// By cron.
    Cron(Cron),
}

impl Due {
    /// The schedule of a plan; `None` where it has none.
    pub fn of(plan: &Plan) -> Result<Option<Due>, CronError> {
        if let Some(seconds) = plan.interval_seconds {
            let phase = phase(&plan.uid, &plan.region, seconds);
            return Ok(Some(Due::Every(Slots::new(seconds, phase))));
        }
        let Some(cron) = &plan.cron else { return Ok(None) };
        let cron = Cron::parse(cron, plan.time_zone.as_deref())?;
        Ok(Some(Due::Cron(cron.from(plan.created.unwrap_or_default()))))
    }

    /// Seconds between two slots of a schedule as it is written, of cron the longest such time; 0 where none is due.
    pub fn gap_of(schedule: &drmwatch_api::Schedule, now: Timestamp) -> f64 {
        if let Some(seconds) = schedule.interval_seconds {
            return seconds.into();
        }
        let cron = schedule.cron.as_deref();
        let parsed = cron.and_then(|c| Cron::parse(c, schedule.time_zone.as_deref()).ok());
        parsed.map_or(0.0, |cron| Due::Cron(cron).longest_gap(now))
    }

    /// What counts as done when the schedule is new here: the slot before the current one, which therefore runs at once;
    /// of cron what is older than a take-over.
    pub fn begin(&self, now: Timestamp) -> Timestamp {
        match self {
            Due::Every(slots) => slots.at(slots.index(now) - 1),
            Due::Cron(_) => now - SignedDuration::from_secs(TAKE_OVER_SECONDS),
        }
    }

    /// What counts as done when the clock was set back to `now`: it goes on from there instead of waiting until it has
    /// caught up.
    pub fn resume(&self, now: Timestamp) -> Timestamp {
        match self {
            Due::Every(slots) => slots.at(slots.index(now)),
            Due::Cron(_) => now,
        }
    }

    /// The first slot after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Due::Every(slots) => Some(slots.at(slots.index(after) + 1)),
            Due::Cron(cron) => cron.next(after),
        }
    }

    /// The last slot after `done` and not after `now`, and how many there are.
    pub fn passed(&self, done: Timestamp, now: Timestamp) -> Option<(Timestamp, u64)> {
        match self {
            Due::Every(slots) => {
                let (from, to) = (slots.index(done), slots.index(now));
                (to > from).then(|| (slots.at(to), to.abs_diff(from)))
            }
            Due::Cron(cron) => {
                let (last, count) = cron.last(done, now, MOST_MISSED);
                last.map(|last| (last, count))
            }
        }
    }

    /// The longest time between two of the next slots, seconds: how long silence is no sign of anything.
    pub fn longest_gap(&self, now: Timestamp) -> f64 {
        let (mut at, mut longest) = (self.next(now), 0.0f64);
        for _ in 0..60 {
            let Some(from) = at else { break };
            at = self.next(from);
            longest = longest.max(at.map_or(0.0, |to| to.duration_since(from).as_secs_f64()));
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn slots_that_passed_are_counted_and_only_the_last_is_due() {
        let every = Due::Every(Slots::new(60, 0));
        let cron = Due::Cron(Cron::parse("* * * * *", None).unwrap());
        for due in [every, cron] {
            let done = at("2026-01-01T00:00:00Z");
            assert_eq!(due.passed(done, at("2026-01-01T00:00:59Z")), None);
            assert_eq!(
                due.passed(done, at("2026-01-01T00:03:30Z")),
                Some((at("2026-01-01T00:03:00Z"), 3))
            );
            assert_eq!(due.next(done), Some(at("2026-01-01T00:01:00Z")));
            // A machine that slept for a week runs once.
            let (last, count) = due.passed(done, at("2026-01-08T00:00:30Z")).unwrap();
            assert!(
                count >= 10_000 && last <= at("2026-01-08T00:00:00Z"),
                "{last} {count}"
            );
            // A clock that was set back does not wait until it has caught up.
            let now = at("2025-12-31T12:00:30Z");
            assert_eq!(due.next(due.resume(now)), Some(at("2025-12-31T12:01:00Z")));
            assert_eq!(due.longest_gap(done), 60.0);
        }
        // New here: the current slot of an interval runs at once, a daily one of an hour ago does not.
        let now = at("2026-01-01T01:00:30Z");
        let every = Due::Every(Slots::new(60, 0));
        assert!(every.passed(every.begin(now), now).is_some());
        let daily = Due::Cron(Cron::parse("0 0 * * *", None).unwrap());
        assert_eq!(daily.passed(daily.begin(now), now), None);
        let minute = at("2026-01-01T00:00:20Z");
        assert!(daily.passed(daily.begin(minute), minute).is_some());
    }

    #[test]
    fn every_so_often_counts_from_when_the_probe_was_made_whoever_asks() {
        let made = at("2026-01-01T00:07:03Z");
        let due = Due::Cron(Cron::parse("@every 1h", None).unwrap().from(made));
        assert_eq!(due.next(made), Some(at("2026-01-01T01:07:03Z")));
        assert_eq!(
            due.next(at("2026-01-05T10:07:03Z")),
            Some(at("2026-01-05T11:07:03Z"))
        );
        // Runners that change every half an hour put nothing off.
        let mut ran = Vec::new();
        for halves in 0..8 {
            let now = at("2026-01-05T10:00:00Z") + SignedDuration::from_mins(30 * halves);
            let later = now + SignedDuration::from_mins(30);
            ran.extend(
                due.passed(due.begin(now), later)
                    .map(|(slot, count)| (slot.strftime("%H:%M:%S").to_string(), count)),
            );
        }
        let expected = ["10:07:03", "11:07:03", "12:07:03", "13:07:03"];
        assert_eq!(ran, expected.map(|slot| (slot.to_owned(), 1)));
        // Before it was made, by a clock that is wrong.
        assert_eq!(
            due.next(at("2025-12-31T23:00:00Z")),
            Some(at("2025-12-31T23:07:03Z"))
        );
    }

    #[test]
    fn a_slot_is_at_or_before_now_and_the_next_after() {
        let slots = Slots::new(60, 12_345);
        for ms in [0, 1, 12_344, 12_345, 12_346, 72_345, 1_795_000_000_123, -5_000] {
            let now = Timestamp::from_millisecond(ms).unwrap();
            let index = slots.index(now);
            assert!(slots.at(index) <= now && now < slots.at(index + 1), "{ms}");
        }
    }

    #[test]
    fn phases_are_stable_and_spread_over_the_interval() {
        assert_eq!(phase("uid-1", "eu", 60), phase("uid-1", "eu", 60));
        assert_ne!(phase("uid-1", "eu", 60), phase("uid-1", "us", 60));
        let mut seconds = [0u32; 60];
        for n in 0..6000 {
            seconds[(phase(&format!("uid-{n}"), "eu", 60) / 1000) as usize] += 1;
        }
        assert!(seconds.iter().all(|n| (50..=160).contains(n)), "{seconds:?}");
    }
}
