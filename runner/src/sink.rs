//! Where outcomes go: metrics always, the log and the status writer on a transition.

use crate::evidence;
use drmwatch_metrics::{Metrics, Owner, record_outcome};
use drmwatch_plan::{Outcome, Plan, Verdict, VerdictRecord};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// A verdict that changed, with the UID of its probe; `None` when the probe has gone.
pub type Transition = (String, Option<VerdictRecord>);

/// What is shown of a probe.
#[derive(Clone)]
pub struct Row {
    /// The last transition.
    pub record: VerdictRecord,
    /// The last run.
    pub last: Outcome,
}

/// Where outcomes go. Clones share it.
#[derive(Clone)]
pub struct Sink {
    /// Every number.
    pub metrics: Metrics,
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
    transitions: mpsc::UnboundedSender<Transition>,
    evidence: Option<PathBuf>,
}

impl Sink {
    /// A sink, and the transitions that come out of it. `evidence`: where records of failures are kept.
    pub fn new(metrics: Metrics, evidence: Option<PathBuf>) -> (Sink, mpsc::UnboundedReceiver<Transition>) {
        let (transitions, receiver) = mpsc::unbounded_channel();
        (
            Sink {
                metrics,
                rows: Arc::default(),
                transitions,
                evidence,
            },
            receiver,
        )
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        self.rows.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes the outcome of a run.
    pub fn outcome(&self, plan: &Plan, outcome: &Outcome) {
        record_outcome(&self.metrics, &Owner::probe(&plan.id, &plan.region), outcome);
        let record = VerdictRecord::new(plan, outcome);
        let mut rows = self.lock();
        let before = rows.get(&plan.uid).map(|row| row.record.clone());
        let changed = before.as_ref().is_none_or(|b| b.differs(&record));
        let shown = if changed {
            record.clone()
        } else {
            before.unwrap_or_else(|| record.clone())
        };
        rows.insert(
            plan.uid.clone(),
            Row {
                record: shown,
                last: shown_of(outcome),
            },
        );
        drop(rows);
        if !changed {
            return;
        }
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
        let _ = self.transitions.send((plan.uid.clone(), Some(record)));
    }

    /// Forgets a probe that is no longer to be run here. `gone`: and nowhere else.
    pub fn forget(&self, plan: &Plan, gone: bool) {
        self.metrics.forget(&Owner::probe(&plan.id, &plan.region));
        self.lock().remove(&plan.uid);
        if gone {
            let _ = self.transitions.send((plan.uid.clone(), None));
        }
    }

    /// Every probe that has run, by name.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.lock().values().cloned().collect();
        rows.sort_by(|a, b| a.record.id.cmp(&b.record.id));
        rows
    }
}

/// An outcome without the records of its requests: a table does not show them.
fn shown_of(outcome: &Outcome) -> Outcome {
    let mut shown = outcome.clone();
    shown.steps.iter_mut().for_each(|step| step.exchanges.clear());
    shown
}
