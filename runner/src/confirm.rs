//! A failure is looked at a second time, in the same slot, before it counts: one lost packet is no outage.
//!
//! Not those of a stream's content, which has second looks of its own, and not what was given that must be refused:
//! a licence that leaks once has leaked. Of a probe that fails already nothing is to be confirmed. Where the slot has
//! no time left for it, the first attempt counts.

use drmwatch_outcome::{Domain, Outcome, Reason, Verdict};
use jiff::Timestamp;
use std::time::Duration;

/// From the end of the first attempt to the second.
pub const AFTER: Duration = Duration::from_secs(5);
/// A second attempt that has less time than this would confirm whatever is slow.
const LEAST: Duration = Duration::from_secs(5);

/// Whether an outcome may be a blip.
fn doubtful(outcome: &Outcome) -> bool {
    let Verdict::Fail(reason) = outcome.verdict else {
        return false;
    };
    match reason.domain() {
        Domain::Network | Domain::Certificate | Domain::Service | Domain::License | Domain::KeyServer => true,
        Domain::Stream | Domain::Entitlement | Domain::Configuration | Domain::Monitor => false,
    }
}

/// How long a second attempt may take that begins [`AFTER`] `now` and ends by the next slot; None: there is to be none.
pub fn room(first: &Outcome, now: Timestamp, next: Option<Timestamp>) -> Option<Duration> {
    if !doubtful(first) {
        return None;
    }
    let Some(next) = next else {
        return Some(Duration::MAX);
    };
    let left = Duration::try_from(next.duration_since(now)).ok()?;
    left.checked_sub(AFTER).filter(|room| *room >= LEAST)
}

/// What both attempts mean: which decides (1 or 2), its outcome, and the other's. `cut`: the second had less time than the
/// plan gives.
pub fn judge(first: Outcome, second: Outcome, cut: bool) -> (u8, Outcome, Outcome) {
    match second.verdict {
        Verdict::Fail(Reason::Timeout) if cut => (1, first, second),
        Verdict::Pass | Verdict::Fail(_) => (2, second, first),
        // It could not be looked at again.
        Verdict::Inconclusive(_) => (1, first, second),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn of(verdict: Verdict) -> Outcome {
        Outcome::without_steps(verdict, "", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_what_may_be_a_blip_is_looked_at_again_and_only_where_there_is_time() {
        let now = Timestamp::UNIX_EPOCH;
        let ask = |verdict, left| room(&of(verdict), now, Some(now + SignedDuration::from_secs(left)));
        for reason in Reason::ALL.iter().copied() {
            let blip = ask(Verdict::Fail(reason), 60) == Some(Duration::from_secs(55));
            let never = matches!(reason.domain(), Domain::Stream | Domain::Entitlement);
            let ours = matches!(reason.domain(), Domain::Configuration | Domain::Monitor);
            assert_eq!(blip, !never && !ours, "{reason}");
        }
        assert_eq!(ask(Verdict::Pass, 60), None);
        assert_eq!(ask(Verdict::Inconclusive(Reason::Timeout), 60), None);
        let timeout = Verdict::Fail(Reason::Timeout);
        assert_eq!(ask(timeout, 10), Some(Duration::from_secs(5)));
        assert_eq!(ask(timeout, 9), None);
        assert_eq!(ask(timeout, -1), None);
        assert_eq!(room(&of(timeout), now, None), Some(Duration::MAX));
    }

    #[test]
    fn the_second_attempt_decides_unless_it_could_not() {
        let first = || of(Verdict::Fail(Reason::ConnectionClosed));
        let both = |second, cut| judge(first(), of(second), cut).1.verdict;
        let (refused, timeout) = (
            Verdict::Fail(Reason::ConnectionRefused),
            Verdict::Fail(Reason::Timeout),
        );
        assert_eq!(both(Verdict::Pass, true), Verdict::Pass);
        assert_eq!(both(refused, false), refused);
        assert_eq!(both(timeout, false), timeout);
        assert_eq!(both(timeout, true), first().verdict);
        assert_eq!(
            both(Verdict::Inconclusive(Reason::LocalDns), false),
            first().verdict
        );
    }
}
