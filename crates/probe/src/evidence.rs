//! Evidence: what a run that did not pass rests on, without anything secret, and the same verdict from it again.

use crate::license::{judge, model::Exchange};
use drmwatch_outcome::{Outcome, Verdict};
use drmwatch_plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format.
const VERSION: u32 = 1;

/// The record of a run.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Version of the format.
    pub version: u32,
    /// What was run; plans hold no secret.
    pub plan: Plan,
    /// What came of it.
    pub outcome: Outcome,
    /// Requests to licence and key servers, by step.
    pub exchanges: BTreeMap<String, Vec<Exchange>>,
}

/// What a replay says of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Name of the step.
    pub step: String,
    /// What the run said.
    pub recorded: Verdict,
    /// What judging the record again says; `None` where the record holds nothing to judge.
    pub judged: Option<Verdict>,
    /// Why.
    pub message: String,
}

impl Evidence {
    /// The record of a run that did not pass.
    pub fn of(plan: &Plan, outcome: &Outcome) -> Option<Evidence> {
        if outcome.verdict == Verdict::Pass {
            return None;
        }
        let mut exchanges = BTreeMap::new();
        for step in &outcome.steps {
            let records: Vec<Exchange> = step
                .exchanges
                .iter()
                .filter_map(|value| serde_json::from_value(value.clone()).ok())
                .collect();
            if !records.is_empty() {
                exchanges.insert(step.name.clone(), records);
            }
        }
        Some(Evidence {
            version: VERSION,
            plan: plan.clone(),
            outcome: outcome.clone(),
            exchanges,
        })
    }

    /// Reads a record.
    pub fn parse(text: &str) -> Result<Evidence, String> {
        let evidence: Evidence = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match evidence.version {
            VERSION => Ok(evidence),
            other => Err(format!(
                "version {other} of the format is not known here, {VERSION} is"
            )),
        }
    }

    /// Judges every step again that the record holds requests of.
    pub fn replay(&self) -> Vec<Replayed> {
        let steps = self.outcome.steps.iter();
        steps
            .map(|step| {
                let judged = self.exchanges.get(&step.name).map(|x| judge::again(x));
                // Expectations look at what was found, and speak only after everything else was right.
                let judged = judged.map(|(verdict, message)| match (verdict, step.verdict) {
                    (Verdict::Pass, Verdict::Fail(drmwatch_outcome::Reason::ExpectationFailed)) => {
                        (step.verdict, step.message.clone())
                    }
                    _ => (verdict, message),
                });
                Replayed {
                    step: step.name.clone(),
                    recorded: step.verdict,
                    judged: judged.as_ref().map(|(verdict, _)| *verdict),
                    message: judged.map_or_else(|| step.message.clone(), |(_, message)| message),
                }
            })
            .collect()
    }
}
