//! When plans run: a task for each, and an account of every slot.
//!
//! Expected = finished + missed, once what runs has ended. A plan that is new here (created, changed, or
//! taken over) runs its current slot at once: a slot may run twice, it is never silently skipped.

use crate::{memory::Memory, sink::Sink};
use drmwatch_api::ConcurrencyPolicy;
use drmwatch_metrics::*;
use drmwatch_plan::{Due, Outcome, Plan, Reason, Secrets, Verdict};
use drmwatch_probe::{Engine, Prepared, ProbeState};
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tracing::{error, warn};

/// Longest sleep between looks at the wall clock, so that a clock that is set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Runs plans.
pub struct Scheduler {
    engine: Arc<Engine>,
    sink: Sink,
    memory: Memory,
    tasks: BTreeMap<String, Task>,
    unusable: std::collections::BTreeSet<String>,
    places: Places,
}

/// What plans' shards are chosen by, where it is not their UID: the tenant, of those with a budget.
#[derive(Clone, Default)]
pub struct Places(Arc<RwLock<BTreeMap<String, String>>>);

impl Places {
    /// The shard of a plan.
    pub fn shard_of(&self, uid: &str, shards: u32) -> u32 {
        let places = self.0.read().unwrap_or_else(|e| e.into_inner());
        drmwatch_plan::shard_of(places.get(uid).map_or(uid, String::as_str), shards)
    }

    fn note(&self, plan: &Plan) {
        let key = plan.shard_key();
        let mut places = self.0.write().unwrap_or_else(|e| e.into_inner());
        match key == plan.uid {
            true => places.remove(&plan.uid),
            false => places.insert(plan.uid.clone(), key),
        };
    }
}

struct Task {
    plan: Plan,
    fingerprint: String,
    stop: watch::Sender<Stop>,
    handle: JoinHandle<()>,
}

/// How a plan's task is to end, once what runs has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Not at all.
    Go,
    /// The runner leaves: the last outcome counts.
    Drain,
    /// A newer plan of the same probe has taken over: the slot counts, the outcome is old news.
    Replaced,
    /// The probe is no longer run here: its series are gone and must stay gone.
    Removed,
}

impl Scheduler {
    /// A scheduler without plans.
    pub fn new(engine: Arc<Engine>, sink: Sink) -> Scheduler {
        Scheduler {
            engine,
            sink,
            memory: Memory::default(),
            tasks: BTreeMap::new(),
            unusable: Default::default(),
            places: Places::default(),
        }
    }

    /// What its probes remember.
    pub fn memory(&self) -> Memory {
        self.memory.clone()
    }

    /// Shards of plans that are not chosen by their own UID, shared with who writes verdicts.
    pub fn places(&self) -> Places {
        self.places.clone()
    }

    /// UIDs of the plans that it runs.
    pub fn uids(&self) -> Vec<String> {
        self.tasks.keys().cloned().collect()
    }

    /// Takes a plan on, or the new state of one. `fingerprint` changes whenever plan or secrets do.
    pub fn upsert(&mut self, plan: Plan, secrets: Secrets, fingerprint: String) {
        if self
            .tasks
            .get(&plan.uid)
            .is_some_and(|t| t.fingerprint == fingerprint)
        {
            return;
        }
        self.places.note(&plan);
        if let Some(old) = self.tasks.remove(&plan.uid) {
            let _ = old.stop.send(Stop::Replaced);
            // Identity or suspension may have changed: what the old plan said of itself is not kept.
            if (old.plan.id != plan.id) || plan.suspend {
                self.sink.forget(&old.plan, false);
            }
        }
        self.unusable.remove(&plan.uid);
        let due = match Due::of(&plan) {
            Ok(Some(due)) if !plan.suspend => due,
            Ok(_) => {
                self.count();
                return;
            }
            // Plans are made by `compile`, which has read it; a newer one's may hold what is not known here.
            Err(error) => {
                warn!(probe = %plan.id, %error, "the schedule can't be read");
                self.unusable.insert(plan.uid.clone());
                self.count();
                return;
            }
        };
        match Prepared::new(plan.clone(), secrets, self.engine.resolver()) {
            Ok(prepared) => {
                let prepared = Arc::new(prepared);
                let (stop, stopped) = watch::channel(Stop::Go);
                let run = Run {
                    engine: self.engine.clone(),
                    sink: self.sink.clone(),
                    memory: self.memory.clone(),
                    prepared,
                    due,
                    stopped,
                };
                let handle = tokio::spawn(run.forever());
                self.tasks.insert(
                    plan.uid.clone(),
                    Task {
                        plan,
                        fingerprint,
                        stop,
                        handle,
                    },
                );
            }
            Err(error) => {
                warn!(probe = %plan.id, %error, "the plan can't be used");
                let outcome = Outcome::without_steps(error.verdict(), error.to_string(), self.engine.now());
                self.sink.outcome(&plan, &outcome);
                self.unusable.insert(plan.uid.clone());
            }
        }
        self.count();
    }

    /// Gives a plan up. `gone`: it no longer exists; otherwise someone else has it now.
    pub fn remove(&mut self, uid: &str, gone: bool) {
        self.unusable.remove(uid);
        if let Some(task) = self.tasks.remove(uid) {
            let _ = task.stop.send(Stop::Removed);
            self.sink.forget(&task.plan, gone);
        }
        if gone {
            self.memory.forget(uid);
        }
        self.count();
    }

    /// Stops all and waits, up to `grace`, for what runs to end.
    pub async fn shut_down(&mut self, grace: Duration) {
        let tasks = std::mem::take(&mut self.tasks);
        for task in tasks.values() {
            let _ = task.stop.send(Stop::Drain);
        }
        let all = futures::future::join_all(tasks.into_values().map(|t| t.handle));
        if tokio::time::timeout(grace, all).await.is_err() {
            warn!("runs were still going on when the time to stop was over");
        }
    }

    fn count(&self) {
        let program = Owner::program();
        self.sink
            .metrics
            .set(&RUNNER_PROBES, &program, &[], self.tasks.len() as f64);
        self.sink
            .metrics
            .set(&RUNNER_UNUSABLE_PLANS, &program, &[], self.unusable.len() as f64);
    }
}

#[derive(Clone)]
struct Run {
    engine: Arc<Engine>,
    sink: Sink,
    memory: Memory,
    prepared: Arc<Prepared>,
    due: Due,
    stopped: watch::Receiver<Stop>,
}

/// Why a slot did not run: values of the label `cause`.
const LATE: &str = "late";
const OVERLAP: &str = "overlap";
const REPLACED: &str = "replaced";

impl Run {
    async fn forever(mut self) {
        let plan = self.prepared.plan().clone();
        let owner = Owner::probe(&plan.id, &plan.region);
        let metrics = self.sink.metrics.clone();
        for metric in [&SLOTS_EXPECTED, &SLOTS_STARTED, &SLOTS_FINISHED] {
            metrics.add(metric, &owner, &[], 0);
        }
        for cause in [LATE, OVERLAP, REPLACED] {
            metrics.add(&SLOTS_MISSED, &owner, &[cause], 0);
        }
        let since = self.engine.now().as_second() as f64;
        metrics.set(&WATCHED_SINCE, &owner, &[], since);
        let missed = |cause: &str, slots: u64| metrics.add(&SLOTS_MISSED, &owner, &[cause], slots);
        let mut done = self.due.begin(self.engine.now());
        let mut running: JoinSet<()> = JoinSet::new();
        let (mut first, mut waited) = (true, false);
        loop {
            while running.try_join_next().is_some() {}
            let now = self.engine.now();
            if now < done {
                done = self.due.resume(now);
            }
            let passed = self.due.passed(done, now);
            let blocked = plan.concurrency_policy == ConcurrencyPolicy::Forbid && !running.is_empty();
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
                    _ = self.stopped.wait_for(|stop| *stop != Stop::Go) => break,
                }
            };
            metrics.add(&SLOTS_EXPECTED, &owner, &[], count);
            // Slots that passed while the one before them ran, or while the machine slept, are gone.
            missed(if waited { OVERLAP } else { LATE }, count - 1);
            (done, waited) = (slot, false);
            // A plan that is new here begins in the middle of its slot; that is no lag of the runner's.
            if !std::mem::take(&mut first) {
                let lag = now.duration_since(slot).as_secs_f64();
                if lag > f64::from(plan.starting_deadline_seconds) {
                    missed(LATE, 1);
                    continue;
                }
                metrics.observe(&SLOT_LAG, &Owner::program(), &[], lag);
            }
            if plan.concurrency_policy == ConcurrencyPolicy::Replace && !running.is_empty() {
                running.abort_all();
                // One that ended in this very instant has finished, and has said so itself.
                while let Some(ended) = running.join_next().await {
                    if ended.is_err() {
                        missed(REPLACED, 1);
                        metrics.shift(&RUNNER_IN_FLIGHT, &Owner::program(), &[], -1.0);
                    }
                }
            }
            metrics.add(&SLOTS_STARTED, &owner, &[], 1);
            metrics.shift(&RUNNER_IN_FLIGHT, &Owner::program(), &[], 1.0);
            running.spawn(self.clone().slot(plan.clone(), owner.clone()));
        }
        while running.join_next().await.is_some() {}
    }

    /// What happens in a slot.
    async fn slot(self, plan: Plan, owner: Owner) {
        let (outcome, state) = self.once(self.memory.recall(&plan)).await;
        let metrics = &self.sink.metrics;
        metrics.shift(&RUNNER_IN_FLIGHT, &Owner::program(), &[], -1.0);
        let stop = *self.stopped.borrow();
        if stop != Stop::Removed {
            self.memory
                .keep(&plan, self.engine.now(), state, stop == Stop::Replaced);
            metrics.add(&SLOTS_FINISHED, &owner, &[], 1);
        }
        if matches!(stop, Stop::Go | Stop::Drain) {
            self.sink.outcome(&plan, &outcome);
        }
    }

    /// One run, in a task of its own: should the engine break, the probe says so and goes on.
    async fn once(&self, mut state: ProbeState) -> (Outcome, ProbeState) {
        let (engine, prepared) = (self.engine.clone(), self.prepared.clone());
        let mut run = JoinSet::new();
        // A set, so that a run that is replaced ends with it.
        run.spawn(async move {
            let outcome = engine.run(&prepared, &mut state).await;
            (outcome, state)
        });
        let ended = run.join_next().await;
        let broke = match ended {
            Some(Ok(ended)) => return ended,
            Some(Err(error)) => error.to_string(),
            None => String::new(),
        };
        error!(probe = %self.prepared.plan().id, error = broke, "the engine broke: please report this");
        let verdict = Verdict::Inconclusive(Reason::InternalError);
        let outcome = Outcome::without_steps(verdict, "the engine broke during the run", self.engine.now());
        (outcome, ProbeState::default())
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
