//! From runs in regions to one state for each minute.
//!
//! A run says how its region saw the probe from its slot until the next is due. Of a minute the run counts that is the
//! last in it, or that stood when it began; so one run that failed among many in a minute that ended well is no outage,
//! as in the alerting rules, which look at the last run too. An inconclusive run says nothing. Where fewer than half of
//! the regions that are to look can tell, nobody knows; two thirds of those that can tell are a quorum.

use crate::{
    Rollup, Sketch, Span, State,
    state::{Cause, push},
};
use std::collections::BTreeMap;

/// A region that has been silent for so long, a week, while others speak, is no longer one that is to look.
const FORGOTTEN: i64 = 7 * 86_400;

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Pass,
    /// It failed: the reason and the step.
    Fail(String, Option<String>),
    /// It can't tell.
    Inconclusive,
}

/// What happened in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunKind {
    /// A run. `counts`: it is the one that decides of its slot; `latency`: in microseconds; `maintenance`: a window that
    /// excludes it was open.
    Run {
        /// What it found.
        outcome: Outcome,
        /// Whether it decides.
        counts: bool,
        /// Microseconds.
        latency: u64,
        /// Whether a window excludes it.
        maintenance: bool,
    },
    /// So many slots were missed.
    Missed(u64),
    /// From here on it is not to be looked at.
    Unwatched,
}

/// What happened in a slot of a region. Times are seconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionRun {
    /// When it was due.
    pub slot: i64,
    /// How long it stands: seconds until the next is due.
    pub stands: u32,
    /// What happened.
    pub kind: RunKind,
}

/// What a day hands to the next: the last word of each region.
pub type Carry = BTreeMap<String, RegionRun>;

/// The minutes of a probe in a period.
pub struct Day {
    /// By all regions together.
    pub consensus: Rollup,
    /// By each alone.
    pub regions: BTreeMap<String, Rollup>,
    /// What the period hands on.
    pub carry: Carry,
}

/// How a region saw a minute; what is behind it is the run's place among its region's.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Unwatched,
    Blind,
    Pass,
    Fail(u32),
    Maintenance,
}

/// The states of each minute from `start` (seconds, at the beginning of a minute), `minutes` long. `runs`: of each region,
/// in any order, without duplicates; those outside of the period are ignored. `carry`: what was last known before it.
pub fn minutes(
    probe: &str,
    start: i64,
    minutes: u32,
    runs: &BTreeMap<String, Vec<RegionRun>>,
    carry: &Carry,
) -> Day {
    let end = start + i64::from(minutes) * 60;
    let mut seen: BTreeMap<&str, (Vec<&RegionRun>, Vec<Seen>)> = BTreeMap::new();
    let (mut regions, mut handed) = (BTreeMap::new(), Carry::new());
    let names: std::collections::BTreeSet<&String> = runs.keys().chain(carry.keys()).collect();
    for name in names {
        let inside = runs.get(name).into_iter().flatten();
        let mut of: Vec<&RegionRun> = inside.filter(|r| (start..end).contains(&r.slot)).collect();
        of.sort_by_key(|r| (r.slot, matches!(r.kind, RunKind::Unwatched)));
        let rollup = counts(probe, Some(name), start, minutes, &of);
        let speaks =
            |r: &&&RegionRun| !matches!(r.kind, RunKind::Missed(_) | RunKind::Run { counts: false, .. });
        let last = of.iter().rev().find(speaks).copied().or(carry.get(name));
        if let Some(last) = last {
            handed.insert(name.clone(), last.clone());
        }
        if let Some(before) = carry.get(name) {
            of.insert(0, before);
        }
        let states = region(start, minutes, &of);
        regions.insert(name.clone(), rollup);
        seen.insert(name, (of, states));
    }
    // A region that was taken down says nothing for ever; while others speak it is not waited for.
    let latest = handed.values().map(|r| r.slot).max().unwrap_or_default();
    handed.retain(|_, r| r.slot >= latest - FORGOTTEN);
    let mut consensus = Rollup::empty(probe, None, start, minutes);
    for rollup in regions.values() {
        consensus.add_counts(rollup);
    }
    for minute in 0..minutes as usize {
        let (state, cause) = consent(&seen, minute);
        push(&mut consensus.spans, state, 1, cause);
    }
    for (name, rollup) in &mut regions {
        let Some((runs, states)) = seen.get(name.as_str()) else {
            continue;
        };
        for state in states {
            let (state, cause) = alone(name, runs, *state);
            push(&mut rollup.spans, state, 1, cause);
        }
    }
    Day {
        consensus,
        regions,
        carry: handed,
    }
}

/// What can be counted of a region's runs.
fn counts(probe: &str, region: Option<&str>, start: i64, minutes: u32, runs: &[&RegionRun]) -> Rollup {
    let mut rollup = Rollup::empty(probe, region, start, minutes);
    let mut sketch = Sketch::default();
    for run in runs {
        match &run.kind {
            RunKind::Run {
                outcome,
                counts: true,
                latency,
                ..
            } => {
                rollup.runs += 1;
                match outcome {
                    Outcome::Pass => rollup.passed += 1,
                    Outcome::Fail(..) => rollup.failed += 1,
                    Outcome::Inconclusive => rollup.inconclusive += 1,
                }
                // How long a failure took says nothing of the service's speed.
                if *outcome == Outcome::Pass {
                    sketch.add(*latency);
                }
            }
            RunKind::Missed(slots) => rollup.missed += slots,
            RunKind::Run { .. } | RunKind::Unwatched => {}
        }
    }
    rollup.latency = sketch;
    rollup
}

/// How a region saw each minute.
fn region(start: i64, minutes: u32, runs: &[&RegionRun]) -> Vec<Seen> {
    let mut seen = Vec::with_capacity(minutes as usize);
    let (mut next, mut last) = (0, None);
    for minute in 0..i64::from(minutes) {
        let (begin, end) = (start + minute * 60, start + minute * 60 + 60);
        // An excluded run excludes its minute, whatever comes after in it.
        let mut maintained = false;
        while let Some(run) = runs.get(next).filter(|r| r.slot < end) {
            match &run.kind {
                RunKind::Run {
                    counts, maintenance, ..
                } => {
                    maintained |= *maintenance && run.slot >= begin;
                    last = if *counts { Some(next) } else { last };
                }
                RunKind::Unwatched => last = Some(next),
                RunKind::Missed(_) => {}
            }
            next += 1;
        }
        let stands = |run: &&RegionRun| run.slot + i64::from(run.stands) > begin;
        seen.push(match last.and_then(|i| runs.get(i).map(|r| (i, r))) {
            None => Seen::Unwatched,
            Some((_, run)) if run.kind == RunKind::Unwatched => Seen::Unwatched,
            _ if maintained => Seen::Maintenance,
            Some((_, run)) if !stands(run) => Seen::Blind,
            Some((i, run)) => match &run.kind {
                RunKind::Run {
                    maintenance: true, ..
                } => Seen::Maintenance,
                RunKind::Run {
                    outcome: Outcome::Pass,
                    ..
                } => Seen::Pass,
                RunKind::Run {
                    outcome: Outcome::Fail(..),
                    ..
                } => Seen::Fail(i as u32),
                _ => Seen::Blind,
            },
        });
    }
    seen
}

/// Why a run failed.
fn why(runs: &[&RegionRun], index: u32) -> Option<(String, Option<String>)> {
    match &runs.get(index as usize)?.kind {
        RunKind::Run {
            outcome: Outcome::Fail(reason, step),
            ..
        } => Some((reason.clone(), step.clone())),
        _ => None,
    }
}

/// What a region says alone.
fn alone(name: &str, runs: &[&RegionRun], seen: Seen) -> (State, Option<Cause>) {
    match seen {
        Seen::Unwatched => (State::Unwatched, None),
        Seen::Blind => (State::NoData, None),
        Seen::Pass => (State::Up, None),
        Seen::Maintenance => (State::Maintenance, None),
        Seen::Fail(index) => {
            let cause = why(runs, index).map(|(reason, step)| Cause {
                reason,
                step,
                regions: vec![name.to_owned()],
            });
            (State::Down, cause)
        }
    }
}

/// What all regions say of a minute. The cause is that of most regions that fail; of as many, the first by name.
fn consent(seen: &BTreeMap<&str, (Vec<&RegionRun>, Vec<Seen>)>, minute: usize) -> (State, Option<Cause>) {
    let (mut expected, mut passing, mut failing) = (0, 0, Vec::new());
    for (name, (runs, states)) in seen {
        match states.get(minute).copied().unwrap_or(Seen::Unwatched) {
            Seen::Maintenance => return (State::Maintenance, None),
            Seen::Unwatched => continue,
            Seen::Blind => {}
            Seen::Pass => passing += 1,
            Seen::Fail(index) => failing.push((*name, why(runs, index))),
        }
        expected += 1;
    }
    let reporting = passing + failing.len();
    if expected == 0 {
        return (State::Unwatched, None);
    }
    if reporting * 2 < expected || reporting == 0 {
        return (State::NoData, None);
    }
    if failing.is_empty() {
        return (State::Up, None);
    }
    let mut votes: BTreeMap<&Option<(String, Option<String>)>, usize> = BTreeMap::new();
    for (_, why) in &failing {
        *votes.entry(why).or_default() += 1;
    }
    let most = votes.values().max().copied().unwrap_or_default();
    let first = failing.iter().find(|(_, why)| votes.get(why) == Some(&most));
    let cause = first
        .and_then(|(_, why)| why.clone())
        .map(|(reason, step)| Cause {
            reason,
            step,
            regions: failing.iter().map(|(name, _)| (*name).to_owned()).collect(),
        });
    let state = match failing.len() * 3 >= reporting * 2 {
        true => State::Down,
        false => State::Degraded,
    };
    (state, cause)
}

/// Spans as a word, for tests and people: `up 3, down 2`.
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.state.words(), self.minutes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn run(slot: i64, stands: u32, outcome: Outcome) -> RegionRun {
        let kind = RunKind::Run {
            outcome,
            counts: true,
            latency: 1000,
            maintenance: false,
        };
        RegionRun { slot, stands, kind }
    }

    fn fail() -> Outcome {
        Outcome::Fail("Timeout".into(), Some("manifest".into()))
    }

    fn told(spans: &[Span]) -> String {
        let words: Vec<String> = spans.iter().map(ToString::to_string).collect();
        words.join(", ")
    }

    fn of(length: u32, runs: &[(&str, Vec<RegionRun>)]) -> Day {
        let runs = runs.iter().map(|(n, r)| ((*n).to_owned(), r.clone())).collect();
        minutes("p", 0, length, &runs, &Carry::new())
    }

    #[test]
    fn each_minute_is_said_by_the_last_run_that_stands_in_it() {
        let every = |outcomes: &[Outcome]| -> Vec<RegionRun> {
            let at = |i: usize| i as i64 * 60 + 30;
            outcomes
                .iter()
                .enumerate()
                .map(|(i, o)| run(at(i), 60, o.clone()))
                .collect()
        };
        let day = of(
            6,
            &[(
                "eu",
                every(&[
                    Outcome::Pass,
                    fail(),
                    fail(),
                    Outcome::Inconclusive,
                    Outcome::Pass,
                ]),
            )],
        );
        assert_eq!(told(&day.consensus.spans), "up 1, down 2, no data 1, up 2");
        assert_eq!(
            (
                day.consensus.runs,
                day.consensus.failed,
                day.consensus.inconclusive
            ),
            (5, 2, 1)
        );
        // Every five seconds: one that failed among twelve is no outage, the last is what holds.
        let mut often: Vec<RegionRun> = (0..24).map(|i| run(i * 5, 5, Outcome::Pass)).collect();
        often[3] = run(15, 5, fail());
        often[23] = run(115, 5, fail());
        assert_eq!(
            told(&of(3, &[("eu", often)]).consensus.spans),
            "up 1, down 1, no data 1"
        );
        // Every five minutes: it stands.
        let rare = vec![run(150, 300, fail()), run(450, 300, Outcome::Pass)];
        assert_eq!(
            told(&of(14, &[("eu", rare)]).consensus.spans),
            "not watched 2, down 5, up 6, no data 1"
        );
    }

    #[test]
    fn two_thirds_of_those_that_can_tell_are_a_quorum_and_half_must() {
        let with = |outcomes: &[Option<Outcome>]| {
            let names = ["a", "b", "c", "d"];
            let runs: Vec<(&str, Vec<RegionRun>)> = outcomes
                .iter()
                .zip(names)
                .map(|(o, n)| {
                    (
                        n,
                        vec![run(0, 60, Outcome::Pass)]
                            .into_iter()
                            .chain(o.clone().map(|o| run(60, 60, o)))
                            .collect(),
                    )
                })
                .collect();
            let day = of(2, &runs);
            let last = day.consensus.spans.last().unwrap().clone();
            (last.state, last.cause.map(|c| c.regions.join(" ")))
        };
        let (pass, failed) = (Some(Outcome::Pass), Some(fail()));
        assert_eq!(
            with(std::slice::from_ref(&failed)),
            (State::Down, Some("a".into()))
        );
        assert_eq!(
            with(&[failed.clone(), pass.clone()]),
            (State::Degraded, Some("a".into()))
        );
        assert_eq!(
            with(&[failed.clone(), pass.clone(), failed.clone()]),
            (State::Down, Some("a c".into()))
        );
        assert_eq!(with(&[failed.clone(), None]), (State::Down, Some("a".into())));
        assert_eq!(with(&[failed.clone(), None, None]), (State::NoData, None));
        assert_eq!(with(&[Some(Outcome::Inconclusive), None]), (State::NoData, None));
    }

    #[test]
    fn what_is_excluded_or_not_watched_is_neither_up_nor_down() {
        let mut runs: Vec<RegionRun> = (0..10).map(|i| run(i * 60, 60, fail())).collect();
        for at in [3, 4] {
            let RunKind::Run { maintenance, .. } = &mut runs[at].kind else {
                panic!()
            };
            *maintenance = true;
        }
        runs.push(RegionRun {
            slot: 500,
            stands: 0,
            kind: RunKind::Unwatched,
        });
        runs.retain(|r| r.slot <= 500);
        let day = of(12, &[("eu", runs.clone())]);
        assert_eq!(
            told(&day.consensus.spans),
            "down 3, maintenance 2, down 3, not watched 4"
        );
        // And stays so the day after, while one that fell silent is missed.
        let next = minutes("p", 720, 3, &BTreeMap::new(), &day.carry);
        assert_eq!(told(&next.consensus.spans), "not watched 3");
        runs.retain(|r| r.kind != RunKind::Unwatched);
        let silent = of(12, &[("eu", runs)]);
        let next = minutes("p", 720, 3, &BTreeMap::new(), &silent.carry);
        assert_eq!(told(&next.consensus.spans), "no data 3");
    }

    #[test]
    fn an_attempt_that_does_not_count_is_not_counted() {
        let mut first = run(0, 60, fail());
        let RunKind::Run { counts, .. } = &mut first.kind else {
            panic!()
        };
        *counts = false;
        let day = of(1, &[("eu", vec![first, run(0, 60, Outcome::Pass)])]);
        assert_eq!(
            (told(&day.consensus.spans).as_str(), day.consensus.runs),
            ("up 1", 1)
        );
    }
}
