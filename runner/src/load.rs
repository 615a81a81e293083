//! How much a runner has to do, and whether it still does it: its busy share, its lag, and runs that should have ended.

use drmwatch_metrics::{Metrics, Owner, RUNNER_BUSY, RUNNER_SATURATED};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};
use tracing::{info, warn};

/// How often the load is measured.
const EVERY: Duration = Duration::from_secs(2);
/// Over how many measurements it is judged: half a minute.
const WINDOW: usize = 15;
/// Fewest measurements that say anything.
const FEWEST: usize = 5;
/// Saturated from this busy share, or this lag in seconds, on: there is still some room, and nothing is missed yet.
const TOO_MUCH: (f64, f64) = (0.85, 1.0);
/// Saturated no longer below both of these.
const ENOUGH: (f64, f64) = (0.70, 0.5);
/// A run that goes on for so long after its own time-out will never end: the engine is broken.
const WEDGED: Duration = Duration::from_secs(30);

/// The load of a runner. Clones share it.
#[derive(Clone, Default)]
pub struct Load(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// When each run that goes on began, and when it must have ended.
    due: BTreeMap<u64, (Instant, Instant)>,
    runs: u64,
    /// Worst lag since the last measurement, seconds.
    lag: f64,
    measured: VecDeque<Measured>,
    saturated: bool,
}

struct Measured {
    at: Instant,
    /// Time that all workers together have been busy since the program began.
    busy: Duration,
    lag: f64,
}

/// What a look finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Share of their time that the workers were busy, from 0 to 1.
    pub busy: f64,
    /// Worst lag, seconds.
    pub lag: f64,
    /// Whether the runner is about to fall behind.
    pub saturated: bool,
}

/// A run that goes on, until it is dropped.
pub struct Going(Load, u64);

impl Drop for Going {
    fn drop(&mut self) {
        self.0.state().due.remove(&self.1);
    }
}

impl Load {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes that a run begins, and how late it is.
    pub fn begins(&self, timeout: Duration, lag: Option<f64>) -> Going {
        let mut state = self.state();
        state.runs += 1;
        let number = state.runs;
        let now = Instant::now();
        state.due.insert(number, (now, now + timeout + WEDGED));
        state.lag = state.lag.max(lag.unwrap_or(0.0));
        Going(self.clone(), number)
    }

    /// For how long before now it can't be said that all that was due has ended: as late as slots began just now, and since
    /// the oldest run that goes on began, which counts for two seconds at most: a slow server of one probe must not
    /// make others look missed. Should this runner die, its successor counts from there.
    pub fn unsettled(&self) -> Duration {
        let (state, now) = (self.state(), Instant::now());
        let lately = state.measured.iter().rev().take(2).map(|m| m.lag);
        let lag = Duration::from_secs_f64(lately.fold(state.lag, f64::max));
        let oldest = state
            .due
            .values()
            .map(|(began, _)| now.duration_since(*began))
            .max();
        lag.max(oldest.unwrap_or_default().min(EVERY))
    }

    /// Why the runner must be started anew, if it must: a run that never ends.
    pub fn wedged(&self) -> Option<String> {
        let (state, now) = (self.state(), Instant::now());
        let over = state.due.values().filter(|(_, due)| *due < now).count();
        (over > 0).then(|| format!("{over} runs should have ended long ago"))
    }

    /// Measures: `busy` is the time that all workers together have been busy so far.
    fn measure(&self, busy: Duration, workers: usize) -> Reading {
        let mut state = self.state();
        let (at, lag) = (Instant::now(), std::mem::take(&mut state.lag));
        state.measured.push_back(Measured { at, busy, lag });
        while state.measured.len() > WINDOW + 1 {
            state.measured.pop_front();
        }
        let mut reading = Reading {
            busy: 0.0,
            lag: state.measured.iter().map(|m| m.lag).fold(0.0, f64::max),
            saturated: state.saturated,
        };
        if let Some(first) = state.measured.front() {
            let passed = at.duration_since(first.at).as_secs_f64() * workers.max(1) as f64;
            let worked = busy.saturating_sub(first.busy).as_secs_f64();
            reading.busy = if passed > 0.0 {
                (worked / passed).min(1.0)
            } else {
                0.0
            };
        }
        let known = state.measured.len() >= FEWEST;
        if known && (reading.busy >= TOO_MUCH.0 || reading.lag >= TOO_MUCH.1) {
            reading.saturated = true;
        } else if reading.busy < ENOUGH.0 && reading.lag < ENOUGH.1 {
            reading.saturated = false;
        }
        state.saturated = reading.saturated;
        reading
    }

    /// Measures for as long as it is let; `told` hears of it when the runner becomes saturated, and when it no longer is.
    pub async fn watch(self, metrics: Metrics, told: impl Fn(Reading)) {
        let program = Owner::program();
        let runtime = Handle::current().metrics();
        let mut before = false;
        loop {
            let workers = runtime.num_workers();
            let busy = (0..workers).map(|n| runtime.worker_total_busy_duration(n)).sum();
            let reading = self.measure(busy, workers);
            metrics.set(&RUNNER_BUSY, &program, &[], reading.busy);
            let saturated = f64::from(u8::from(reading.saturated));
            metrics.set(&RUNNER_SATURATED, &program, &[], saturated);
            if reading.saturated != before {
                let (busy, lag) = (reading.busy, reading.lag);
                match reading.saturated {
                    true => warn!(busy, lag, "saturated: more runners or more CPU are needed"),
                    false => info!(busy, lag, "no longer saturated"),
                }
                told(reading);
                before = reading.saturated;
            }
            sleep(EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn saturation_comes_before_misses_and_goes_when_there_is_room() {
        let load = Load::default();
        let mut busy = Duration::ZERO;
        let mut pass = async |share: f64, lag: f64, times: usize| {
            let mut reading = load.measure(busy, 2);
            for _ in 0..times {
                tokio::time::advance(EVERY).await;
                busy += EVERY.mul_f64(share * 2.0);
                drop(load.begins(Duration::from_secs(1), Some(lag)));
                reading = load.measure(busy, 2);
            }
            reading
        };
        assert!(!pass(0.5, 0.01, 20).await.saturated);
        let full = pass(0.95, 0.01, 20).await;
        assert!(full.saturated && (full.busy - 0.95).abs() < 0.02, "{full:?}");
        // Not for every little thing: it stays until there is room.
        assert!(pass(0.8, 0.01, 20).await.saturated);
        assert!(!pass(0.5, 0.01, 20).await.saturated);
        // Late though it is not busy: something else takes the machine.
        assert!(pass(0.2, 1.5, 3).await.saturated);
        assert!(!pass(0.2, 0.01, 20).await.saturated);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_late_or_goes_on_is_not_settled() {
        let load = Load::default();
        assert_eq!(load.unsettled(), Duration::ZERO);
        drop(load.begins(Duration::from_secs(1), Some(0.75)));
        assert_eq!(load.unsettled(), Duration::from_millis(750));
        // Two measurements later that is long ago.
        for _ in 0..3 {
            load.measure(Duration::ZERO, 1);
        }
        assert_eq!(load.unsettled(), Duration::ZERO);
        let _slow = load.begins(Duration::from_secs(30), Some(0.0));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(load.unsettled(), Duration::from_millis(1500));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(load.unsettled(), EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_never_ends_is_told() {
        let load = Load::default();
        let fine = load.begins(Duration::from_secs(10), None);
        let stuck = load.begins(Duration::from_secs(10), None);
        tokio::time::advance(Duration::from_secs(35)).await;
        assert_eq!(load.wedged(), None);
        drop(fine);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(load.wedged().unwrap(), "1 runs should have ended long ago");
        drop(stuck);
        assert_eq!(load.wedged(), None);
    }
}
