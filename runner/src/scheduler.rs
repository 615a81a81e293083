//! The plans that a runner works on: a task for each.
//!
//! A plan that is new here (created, changed, or taken over) runs its current slot at once: a slot may run twice, it is
//! never silently skipped.

use crate::{
    gate::Gate,
    load::Load,
    memory::Memory,
    results::Excluded,
    sink::Sink,
    slots::{Shared, Slots},
    stop::{Stop, Stopper},
};
use drmwatch_metrics::*;
use drmwatch_outcome::{Cause, Outcome};
use drmwatch_plan::{Due, Plan, Secrets};
use drmwatch_probe::{Engine, Prepared};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::task::JoinHandle;
use tracing::warn;

/// How long a hand-over waits for what runs: meanwhile nobody begins what is due.
const HAND_OVER: Duration = Duration::from_secs(3);

/// Runs plans.
pub struct Scheduler {
    shared: Arc<Shared>,
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
    prepared: Arc<Prepared>,
    owner: Owner,
    fingerprint: u64,
    excluded: Excluded,
    stop: Stopper,
    handle: JoinHandle<()>,
}

impl Scheduler {
    /// A scheduler without plans, with room for so many runs at once.
    pub fn new(engine: Arc<Engine>, sink: Sink, places: usize) -> Scheduler {
        let shared = Shared {
            engine,
            sink,
            memory: Memory::default(),
            gate: Gate::new(places),
            load: Load::default(),
        };
        Scheduler::with(shared)
    }

    /// One whose plans share this.
    pub fn with(shared: Shared) -> Scheduler {
        Scheduler {
            shared: Arc::new(shared),
            tasks: BTreeMap::new(),
            unusable: Default::default(),
            places: Places::default(),
        }
    }

    /// What its probes remember.
    pub fn memory(&self) -> Memory {
        self.shared.memory.clone()
    }

    /// How much it has to do.
    pub fn load(&self) -> Load {
        self.shared.load.clone()
    }

    /// Shards of plans that are not chosen by their own UID, shared with who writes verdicts.
    pub fn places(&self) -> Places {
        self.places.clone()
    }

    /// UIDs of the plans that it runs.
    pub fn uids(&self) -> Vec<String> {
        self.tasks.keys().cloned().collect()
    }

    /// Takes a plan on, or the new state of one. `fingerprint` changes whenever plan or secrets do; `unowned`: since when
    /// nobody had it, where that is known.
    pub fn upsert(&mut self, plan: Plan, secrets: Secrets, fingerprint: u64, unowned: Option<Timestamp>) {
        let known = self.tasks.get(&plan.uid);
        if let Some(known) = known.filter(|t| t.fingerprint == fingerprint) {
            known.excluded.set(&plan.excluded_by);
            return;
        }
        self.places.note(&plan);
        let sink = &self.shared.sink;
        if let Some(old) = self.tasks.remove(&plan.uid) {
            old.stop.tell(Stop::Replaced);
            // Identity or suspension may have changed: what the old plan said of itself is not kept.
            let before = old.prepared.plan();
            if before.id != plan.id || plan.suspend {
                sink.forget(before, false);
                sink.recorder.unwatched(before, self.shared.engine.now());
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
        let owner = Owner::probe(&plan.id, &plan.region);
        let (uid, id) = (plan.uid.clone(), plan.id.clone());
        match Prepared::new(plan.clone(), secrets, self.shared.engine.resolver()) {
            Ok(prepared) => {
                let prepared = Arc::new(prepared);
                let excluded = Excluded::default();
                excluded.set(&plan.excluded_by);
                let (stop, handle) =
                    self.start(prepared.clone(), owner.clone(), due, unowned, excluded.clone());
                let task = Task {
                    prepared,
                    owner,
                    fingerprint,
                    excluded,
                    stop,
                    handle,
                };
                self.tasks.insert(uid, task);
            }
            Err(error) => {
                warn!(probe = %id, %error, "the plan can't be used");
                let now = self.shared.engine.now();
                let outcome = Outcome::without_steps(error.verdict(), error.to_string(), now);
                self.shared.sink.outcome(&plan, &owner, &outcome);
                self.unusable.insert(uid);
            }
        }
        self.count();
    }

    fn start(
        &self,
        prepared: Arc<Prepared>,
        owner: Owner,
        due: Due,
        unowned: Option<Timestamp>,
        excluded: Excluded,
    ) -> (Stopper, JoinHandle<()>) {
        let (stop, stopped) = crate::stop::stop();
        let slots = Slots {
            shared: self.shared.clone(),
            lanes: self.shared.gate.lanes(prepared.plan()),
            steps: Memory::steps(prepared.plan()),
            prepared,
            owner,
            due,
            unowned,
            excluded,
            stopped,
        };
        (stop, tokio::spawn(slots.forever()))
    }

    /// Gives a plan up. `gone`: it no longer exists; otherwise someone else has it now.
    pub fn remove(&mut self, uid: &str, gone: bool) {
        self.unusable.remove(uid);
        if let Some(task) = self.tasks.remove(uid) {
            task.stop.tell(Stop::Removed);
            let (plan, sink) = (task.prepared.plan(), &self.shared.sink);
            sink.forget(plan, gone);
            if gone {
                sink.recorder.unwatched(plan, self.shared.engine.now());
            }
        }
        self.shared.memory.forget(uid);
        self.count();
    }

    /// Begins nothing new of these, and waits until what runs has ended, up to a few seconds: what goes on then is run again
    /// by who comes after. They can [go on](Self::go_on).
    pub fn drain(&mut self, uids: &[String]) -> impl Future<Output = ()> + use<> {
        let mut ends = Vec::new();
        for task in uids.iter().filter_map(|uid| self.tasks.get(uid)) {
            task.stop.tell(Stop::Drain);
            let stop = task.stop.clone();
            // Its receivers are gone when nothing of it runs any more.
            ends.push(async move { stop.ended().await });
        }
        async move {
            let _ = tokio::time::timeout(HAND_OVER, futures::future::join_all(ends)).await;
        }
    }

    /// The next verdict of each of these is news, whatever it is.
    pub fn tell_again(&self, uids: &[String]) {
        uids.iter().for_each(|uid| self.shared.sink.tell_again(uid));
    }

    /// Goes on with what was drained; nobody has run it since `since`.
    pub fn go_on(&mut self, uids: &[String], since: Timestamp) {
        for uid in uids {
            let Some(task) = self.tasks.get(uid) else { continue };
            let (prepared, owner, excluded) =
                (task.prepared.clone(), task.owner.clone(), task.excluded.clone());
            // It could be read before.
            if let Ok(Some(due)) = Due::of(prepared.plan()) {
                let started = self.start(prepared, owner, due, Some(since), excluded);
                if let Some(task) = self.tasks.get_mut(uid) {
                    (task.stop, task.handle) = started;
                }
            }
        }
    }

    /// Stops all and waits, up to `grace`, for what runs to end; what has not ended by then is accounted for as missed.
    pub async fn shut_down(&mut self, grace: Duration) {
        let tasks = std::mem::take(&mut self.tasks);
        for task in tasks.values() {
            task.stop.tell(Stop::Drain);
        }
        let (mut handles, mut owners) = (Vec::new(), Vec::new());
        for task in tasks.into_values() {
            handles.push(task.handle);
            owners.push(task.owner);
        }
        if tokio::time::timeout(grace, futures::future::join_all(&mut handles))
            .await
            .is_ok()
        {
            return;
        }
        warn!("runs were still going on when the time to stop was over");
        handles.iter().for_each(JoinHandle::abort);
        futures::future::join_all(handles).await;
        let metrics = &self.shared.sink.metrics;
        for owner in owners {
            let of = |metric| metrics.value(metric, &owner, &[]).unwrap_or(0.0);
            let by = |cause: &Cause| {
                metrics
                    .value(&SLOTS_MISSED, &owner, &[cause.label()])
                    .unwrap_or(0.0)
            };
            let missed: f64 = Cause::ALL.iter().map(by).sum();
            let open = of(&SLOTS_EXPECTED) - of(&SLOTS_FINISHED) - missed;
            let cause = Cause::Shutdown.label();
            metrics.add(&SLOTS_MISSED, &owner, &[cause], open.max(0.0) as u64);
        }
    }

    fn count(&self) {
        let (program, metrics) = (Owner::program(), &self.shared.sink.metrics);
        metrics.set(&RUNNER_PROBES, &program, &[], self.tasks.len() as f64);
        metrics.set(&RUNNER_UNUSABLE_PLANS, &program, &[], self.unusable.len() as f64);
    }
}
