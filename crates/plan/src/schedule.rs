//! When a probe is due. Pure: the clock is an argument.

use jiff::Timestamp;
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

#[cfg(test)]
mod tests {
    use super::*;

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
