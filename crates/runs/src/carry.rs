//! What a day hands to the next: the last word of each region of each probe.

use crate::rows::outcome_of;
use drmwatch_sla::{Carry, Outcome, RegionRun, RunKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a day hands to the next, by probe.
pub type Carries = BTreeMap<String, Carry>;

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Word {
    probe: String,
    region: String,
    slot: i64,
    stands: u32,
    /// The run's outcome; None: not watched.
    outcome: Option<String>,
    reason: Option<String>,
    step: Option<String>,
    maintenance: bool,
}

/// As text.
pub fn write(carries: &Carries) -> String {
    serde_json::to_string(&words(carries)).unwrap_or_default()
}

/// From text; what can't be read hands on nothing.
pub fn read(text: &str) -> Carries {
    carries(serde_json::from_str(text).unwrap_or_default())
}

fn words(carries: &Carries) -> Vec<Word> {
    let mut all = Vec::new();
    for (probe, carry) in carries {
        for (region, run) in carry {
            let mut word = Word {
                probe: probe.clone(),
                region: region.clone(),
                slot: run.slot,
                stands: run.stands,
                outcome: None,
                reason: None,
                step: None,
                maintenance: false,
            };
            if let RunKind::Run {
                outcome, maintenance, ..
            } = &run.kind
            {
                word.maintenance = *maintenance;
                word.outcome = Some(outcome_name(outcome).into());
                if let Outcome::Fail(reason, step) = outcome {
                    (word.reason, word.step) = (Some(reason.clone()), step.clone());
                }
            }
            all.push(word);
        }
    }
    all
}

fn carries(words: Vec<Word>) -> Carries {
    let mut all = Carries::new();
    for word in words {
        let kind = match word.outcome {
            None => RunKind::Unwatched,
            Some(outcome) => RunKind::Run {
                outcome: outcome_of(Some(&outcome), word.reason.as_deref(), word.step.as_deref()),
                counts: true,
                latency: 0,
                maintenance: word.maintenance,
            },
        };
        let (slot, stands) = (word.slot, word.stands);
        let run = RegionRun { slot, stands, kind };
        all.entry(word.probe).or_default().insert(word.region, run);
    }
    all
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail(..) => "fail",
        Outcome::Inconclusive => "inconclusive",
    }
}
