//! The slots of one plan: when each is due, whether it may run, and how it ended.
//!
//! At any instant expected = finished + missed + what runs or waits for its turn.

use crate::{
    confirm,
    gate::{Gate, Lanes, Place},
    load::Load,
    memory::Memory,
    results::{Attempt, Excluded, Slot},
    sink::Sink,
    stop::{Stop, Stopped},
};
use drmwatch_api::ConcurrencyPolicy;
use drmwatch_metrics::*;
use drmwatch_outcome::{Cause, Outcome, Reason, Verdict};
use drmwatch_plan::{Due, Plan};
use drmwatch_probe::{Engine, Prepared};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::error;

/// Longest sleep between looks at the wall clock, so that a clock that is set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// A slot that nobody had is run by who finds it, if it is no older than this or its own deadline.
const STILL_WORTH: Duration = Duration::from_secs(60);

/// A slot that is over so soon is not begun by who is new to it.
const NEARLY_OVER: SignedDuration = SignedDuration::from_secs(1);

/// What the tasks of all plans share.
#[derive(Clone)]
pub struct Shared {
    pub engine: Arc<Engine>,
    pub sink: Sink,
    pub memory: Memory,
    pub gate: Gate,
    pub load: Load,
}

/// The task of one plan.
#[derive(Clone)]
pub struct Slots {
    pub shared: Arc<Shared>,
    pub prepared: Arc<Prepared>,
    pub owner: Owner,
    pub lanes: Lanes,
    pub due: Due,
    /// Which steps its memory belongs to.
    pub steps: u64,
    /// Since when nobody had it, where that is known.
    pub unowned: Option<Timestamp>,
    /// Maintenance windows that exclude it from the SLA.
    pub excluded: Excluded,
    pub stopped: Stopped,
}

impl Slots {
    fn plan(&self) -> &Plan {
        self.prepared.plan()
    }

    /// So many slots were missed, the last of them this one.
    fn missed(&self, cause: Cause, slots: u64, last: Timestamp) {
        let sink = &self.shared.sink;
        sink.metrics
            .add(&SLOTS_MISSED, &self.owner, &[cause.label()], slots);
        if sink.recorder.on() {
            sink.recorder.missed(self.plan(), self.place(last), cause, slots);
        }
    }

    /// Whether the next slot comes at once.
    fn nearly_over(&self, slot: Timestamp) -> bool {
        let now = self.shared.engine.now();
        self.due
            .next(slot)
            .is_some_and(|next| next.duration_since(now) < NEARLY_OVER)
    }

    /// Keeps a run.
    fn record(&self, slot: Timestamp, attempt: Attempt, outcome: &Outcome) {
        let recorder = &self.shared.sink.recorder;
        if recorder.on() {
            recorder.run(self.plan(), self.place(slot), attempt, &self.excluded, outcome);
        }
    }

    fn place(&self, slot: Timestamp) -> Slot {
        let next = self.due.next(slot);
        Slot { at: slot, next }
    }

    /// Makes every count visible before its first event.
    fn begin(&self) -> Timestamp {
        let metrics = &self.shared.sink.metrics;
        for metric in [&SLOTS_EXPECTED, &SLOTS_STARTED, &SLOTS_FINISHED] {
            metrics.add(metric, &self.owner, &[], 0);
        }
        for cause in Cause::ALL {
            metrics.add(&SLOTS_MISSED, &self.owner, &[cause.label()], 0);
        }
        let now = self.shared.engine.now();
        metrics.set(&WATCHED_SINCE, &self.owner, &[], now.as_second() as f64);
        let begin = self.due.begin(now);
        // What was due since its last owner was seen alive is nobody's, but for the current slot.
        self.unowned
            .map_or(begin, |since| self.due.resume(since).min(begin))
    }

    /// Runs the plan whenever it is due, until it is to stop.
    pub async fn forever(self) {
        let mut done = self.begin();
        let mut running: JoinSet<()> = JoinSet::new();
        let (mut first, mut waited) = (true, false);
        loop {
            while running.try_join_next().is_some() {}
            let now = self.shared.engine.now();
            if now < done {
                done = self.due.resume(now);
            }
            let policy = self.plan().concurrency_policy;
            let passed = self.due.passed(done, now);
            let blocked = policy == ConcurrencyPolicy::Forbid && !running.is_empty();
            let Some((slot, count)) = passed.filter(|_| !blocked) else {
                waited |= blocked && passed.is_some();
                // What goes on ends by itself; then the slot that is due is looked at again, as a CronJob does.
                let wait = match (blocked && passed.is_some(), self.due.next(done)) {
                    (false, Some(next)) => Duration::try_from(next.duration_since(now)).unwrap_or_default(),
                    _ => LONGEST_SLEEP,
                };
                tokio::select! {
                    () = sleep(wait.min(LONGEST_SLEEP)) => continue,
                    Some(_) = running.join_next(), if !running.is_empty() => continue,
                    _ = self.stopped.stopped() => break,
                }
            };
            let metrics = &self.shared.sink.metrics;
            metrics.add(&SLOTS_EXPECTED, &self.owner, &[], count);
            // Slots that passed while the one before them ran, while the machine slept, or while nobody had them.
            self.missed(
                match (first, waited) {
                    (true, _) => Cause::NoOwner,
                    (_, true) => Cause::Overlap,
                    _ => Cause::Late,
                },
                count - 1,
                slot,
            );
            (done, waited) = (slot, false);
            let late = Duration::try_from(now.duration_since(slot)).unwrap_or_default();
            let deadline = Duration::from_secs(self.plan().starting_deadline_seconds.into());
            // A plan that is new here begins in the middle of its slot; that is no lag of the runner's.
            let new = std::mem::take(&mut first);
            if new && late > deadline.max(STILL_WORTH) && matches!(self.due, Due::Cron(_)) {
                self.missed(Cause::NoOwner, 1, slot);
                continue;
            }
            // The run would be taken for the next one's, which comes at once.
            if new && self.nearly_over(slot) {
                self.missed(Cause::NoOwner, 1, slot);
                continue;
            }
            if !new && late > deadline {
                self.missed(Cause::Late, 1, slot);
                continue;
            }
            if policy == ConcurrencyPolicy::Replace && !running.is_empty() {
                running.abort_all();
                // One that ended in this very instant has finished, and has said so itself.
                while let Some(ended) = running.join_next().await {
                    if ended.is_err() {
                        self.missed(Cause::Replaced, 1, slot);
                        self.in_flight(-1.0);
                    }
                }
            }
            self.in_flight(1.0);
            // It may begin late, and not so late that it would be taken for the next.
            let wait = match (new, self.due.next(slot)) {
                (false, _) => deadline - late,
                (true, Some(next)) => Duration::try_from(next.duration_since(now)).unwrap_or_default(),
                (true, None) => Duration::MAX,
            };
            running.spawn(self.clone().slot(slot, wait, new));
        }
        self.leave(done);
        while running.join_next().await.is_some() {}
    }

    /// What was due and has not begun is run by nobody but who comes after, who counts from now on only.
    fn leave(&self, done: Timestamp) {
        if self.stopped.said() != Stop::Drain {
            return;
        }
        if let Some((slot, count)) = self.due.passed(done, self.shared.engine.now()) {
            let metrics = &self.shared.sink.metrics;
            metrics.add(&SLOTS_EXPECTED, &self.owner, &[], count);
            self.missed(Cause::Shutdown, count, slot);
        }
    }

    fn in_flight(&self, by: f64) {
        let metrics = &self.shared.sink.metrics;
        metrics.shift(&RUNNER_IN_FLIGHT, &Owner::program(), &[], by);
    }

    /// A place to run in, once there is one.
    async fn enter(&self, wait: Duration) -> Result<Place, Cause> {
        let place = self.shared.gate.enter(&self.lanes);
        tokio::select! {
            biased;
            place = timeout(wait, place) => place.map_err(|_| Cause::Late),
            stop = self.stopped.stopped() => {
                // Who comes after runs the current slot.
                Err(match stop {
                    Stop::Replaced => Cause::Replaced,
                    _ => Cause::Shutdown,
                })
            }
        }
    }

    /// What happens in a slot. `wait`: how long it may wait for a place. `new`: whether the plan is new here.
    async fn slot(self, slot: Timestamp, wait: Duration, new: bool) {
        let shared = self.shared.clone();
        let metrics = &shared.sink.metrics;
        let mut attempt = 1;
        let ended = match self.enter(wait).await {
            Err(cause) => Err(cause),
            // It waited for its turn so long that the run would be taken for the next one's.
            Ok(_) if new && self.nearly_over(slot) => Err(Cause::NoOwner),
            Ok(place) => {
                let lag = shared.engine.now().duration_since(slot).max(SignedDuration::ZERO);
                let lag = (!new).then(|| lag.as_secs_f64());
                if let Some(lag) = lag {
                    metrics.observe(&SLOT_LAG, &Owner::program(), &[], lag);
                }
                metrics.add(&SLOTS_STARTED, &self.owner, &[], 1);
                let first = self.once(Duration::MAX, lag).await;
                drop(place);
                let (decides, outcome) = self.confirmed(slot, first).await;
                attempt = decides;
                Ok(outcome)
            }
        };
        self.in_flight(-1.0);
        let stop = self.stopped.said();
        if stop == Stop::Removed {
            return;
        }
        let refused =
            |o: &Outcome| o.steps.is_empty() && o.verdict == Verdict::Inconclusive(Reason::BudgetExhausted);
        match &ended {
            Ok(outcome) if refused(outcome) => self.missed(Cause::Budget, 1, slot),
            Ok(outcome) => {
                metrics.add(&SLOTS_FINISHED, &self.owner, &[], 1);
                let begins = outcome.verdict != Verdict::Pass && !shared.sink.fails(self.plan());
                let attempt = Attempt {
                    number: attempt,
                    counts: true,
                    evidence: begins,
                };
                self.record(slot, attempt, outcome);
            }
            Err(cause) => self.missed(*cause, 1, slot),
        }
        if let (Ok(outcome), Stop::Go | Stop::Drain) = (&ended, stop) {
            shared.sink.outcome(self.plan(), &self.owner, outcome);
        }
    }

    /// What a run says that failed and may be a blip, after a second attempt; and which of the two it is.
    async fn confirmed(&self, slot: Timestamp, first: Outcome) -> (u8, Outcome) {
        let shared = &self.shared;
        let room = confirm::room(&first, shared.engine.now(), self.due.next(slot));
        let Some(room) = room.filter(|_| !shared.sink.fails(self.plan())) else {
            return (1, first);
        };
        tokio::select! {
            () = sleep(confirm::AFTER) => {}
            // Whoever comes after tells.
            _ = self.stopped.stopped() => return (1, first),
        }
        let Ok(_place) = self.enter(room).await else {
            return (1, first);
        };
        let second = self.once(room, None).await;
        shared.sink.confirmed(self.plan(), &self.owner, &first, &second);
        let whole = Duration::from_secs(self.plan().timeout_seconds.into());
        let (decides, outcome, other) = confirm::judge(first, second, room < whole);
        let attempt = Attempt {
            number: 3 - decides,
            counts: false,
            evidence: false,
        };
        self.record(slot, attempt, &other);
        (decides, outcome)
    }

    /// One run, that may take so long. Should the engine break, the probe says so and goes on.
    async fn once(&self, room: Duration, lag: Option<f64>) -> Outcome {
        let (shared, plan) = (&self.shared, self.plan());
        let whole = Duration::from_secs(plan.timeout_seconds.into()).min(room);
        let _going = shared.load.begins(whole, lag);
        let mut state = shared.memory.recall(&plan.uid, self.steps);
        let run = AssertUnwindSafe(shared.engine.run_within(&self.prepared, &mut state, whole));
        match run.catch_unwind().await {
            Ok(outcome) => {
                let stop = self.stopped.said();
                if stop != Stop::Removed {
                    let (now, replaced) = (shared.engine.now(), stop == Stop::Replaced);
                    shared.memory.keep(&plan.uid, self.steps, now, state, replaced);
                }
                outcome
            }
            Err(panic) => {
                let text = |p: &Box<dyn std::any::Any + Send>| {
                    let said = p.downcast_ref::<String>().cloned();
                    said.or_else(|| p.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                };
                let broke = text(&panic).unwrap_or_default();
                error!(probe = %plan.id, error = broke, "the engine broke: please report this");
                let verdict = Verdict::Inconclusive(Reason::InternalError);
                let now = shared.engine.now();
                Outcome::without_steps(verdict, "the engine broke during the run", now)
            }
        }
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
