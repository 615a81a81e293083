//! Where outcomes go: metrics always, the log and the status writer on a transition.

use crate::{evidence, results::Recorder};
use drmwatch_metrics::{Metrics, Owner, PROBE_CONFIRMATIONS, record_outcome};
use drmwatch_outcome::{Outcome, ProbeId, Verdict, VerdictRecord};
use drmwatch_plan::Plan;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// What changed about a probe, with its UID.
pub type Transition = (String, News);

/// What changed about a probe.
#[derive(Debug)]
pub enum News {
    /// Its verdict.
    Verdict(VerdictRecord),
    /// It is no more.
    Gone,
    /// It is another runner's: what is known of it here is old.
    LeftToOthers,
}

/// What is shown of a probe on a terminal.
#[derive(Clone)]
pub struct Row {
    /// Whose it is.
    pub id: ProbeId,
    /// The last run.
    pub last: Outcome,
}

/// What was last told of a probe.
#[derive(PartialEq)]
struct Told {
    verdict: Verdict,
    step: Option<Box<str>>,
    generation: i64,
}

/// Where outcomes go. Clones share it.
#[derive(Clone)]
pub struct Sink {
    /// Every number.
    pub metrics: Metrics,
    told: Arc<Mutex<BTreeMap<String, Told>>>,
    rows: Option<Arc<Mutex<BTreeMap<ProbeId, Row>>>>,
    transitions: mpsc::UnboundedSender<Transition>,
    evidence: Option<PathBuf>,
    /// Where every slot is kept.
    pub recorder: Recorder,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Sink {
    /// A sink, and the transitions that come out of it. `evidence`: where records of failures are kept; `rows`: whether
    /// the last run of each probe is kept for a table.
    pub fn new(
        metrics: Metrics,
        evidence: Option<PathBuf>,
        rows: bool,
    ) -> (Sink, mpsc::UnboundedReceiver<Transition>) {
        let (transitions, receiver) = mpsc::unbounded_channel();
        let sink = Sink {
            metrics,
            told: Arc::default(),
            rows: rows.then(Arc::default),
            transitions,
            evidence,
            recorder: Recorder::default(),
        };
        (sink, receiver)
    }

    /// Takes the outcome of a run.
    pub fn outcome(&self, plan: &Plan, owner: &Owner, outcome: &Outcome) {
        record_outcome(&self.metrics, owner, outcome);
        if let Some(rows) = &self.rows {
            let (id, last) = (plan.id.clone(), shown_of(outcome));
            lock(rows).insert(id.clone(), Row { id, last });
        }
        // The message alone is no news: it holds numbers that change with every run.
        let told = Told {
            verdict: outcome.verdict,
            step: outcome.step.as_deref().map(Box::from),
            generation: plan.generation,
        };
        let mut before = lock(&self.told);
        if before.get(&plan.uid) == Some(&told) {
            return;
        }
        before.insert(plan.uid.clone(), told);
        drop(before);
        if let Some(folder) = &self.evidence {
            evidence::keep(folder, plan, outcome);
        }
        let (probe, tenant, step) = (
            &plan.id,
            &plan.id.tenant,
            outcome.step.as_deref().unwrap_or_default(),
        );
        match outcome.verdict {
            Verdict::Pass => info!(%probe, %tenant, "the probe passes"),
            Verdict::Fail(reason) => {
                warn!(%probe, %tenant, step, %reason, trace = outcome.trace_id, message = outcome.message, "the probe fails")
            }
            Verdict::Inconclusive(reason) => {
                warn!(%probe, %tenant, step, %reason, trace = outcome.trace_id, message = outcome.message, "the probe can't tell");
            }
        }
        let record = plan.verdict_record(outcome);
        let _ = self.transitions.send((plan.uid.clone(), News::Verdict(record)));
    }

    /// Whether the probe failed when it was last heard of.
    pub fn fails(&self, plan: &Plan) -> bool {
        let told = lock(&self.told);
        told.get(&plan.uid)
            .is_some_and(|t| matches!(t.verdict, Verdict::Fail(_)))
    }

    /// Takes what a failure's second attempt found. The first is kept where it does not count.
    pub fn confirmed(&self, plan: &Plan, owner: &Owner, first: &Outcome, second: &Outcome) {
        let found = second.verdict.label();
        for label in ["pass", "fail", "inconclusive"] {
            self.metrics
                .add(&PROBE_CONFIRMATIONS, owner, &[label], u64::from(label == found));
        }
        if second.verdict != Verdict::Pass {
            return;
        }
        if let Some(folder) = &self.evidence {
            evidence::keep(folder, plan, first);
        }
        let (step, reason) = (first.step.as_deref().unwrap_or_default(), first.verdict);
        warn!(probe = %plan.id, tenant = %plan.id.tenant, step, %reason, trace = first.trace_id, message = first.message, "the probe failed, and passed when it was looked at again: this does not count");
    }

    /// The next verdict of the probe is news, whatever it is.
    pub fn tell_again(&self, uid: &str) {
        lock(&self.told).remove(uid);
    }

    /// Forgets a probe that is no longer to be run here. `gone`: and nowhere else.
    pub fn forget(&self, plan: &Plan, gone: bool) {
        self.metrics.forget(&Owner::probe(&plan.id, &plan.region));
        lock(&self.told).remove(&plan.uid);
        if let Some(rows) = &self.rows {
            lock(rows).remove(&plan.id);
        }
        let news = if gone { News::Gone } else { News::LeftToOthers };
        let _ = self.transitions.send((plan.uid.clone(), news));
    }

    /// Every probe that has run, by name.
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.rows.iter();
        rows.flat_map(|rows| lock(rows).values().cloned().collect::<Vec<_>>())
            .collect()
    }
}

/// An outcome without the records of its requests: a table does not show them.
fn shown_of(outcome: &Outcome) -> Outcome {
    let mut shown = outcome.clone();
    shown.steps.iter_mut().for_each(|step| step.exchanges.clear());
    shown
}
