//! Records of runs that begin to fail: kept in a folder, and judged again offline.

use crate::{OUR_ERROR, exit_code};
use drmwatch_outcome::{Outcome, Verdict};
use drmwatch_plan::Plan;
use drmwatch_probe::evidence::Evidence;
use drmwatch_program::say;
use std::{fs, path::Path, process::ExitCode};
use tracing::{error, warn};

/// Most records that are kept.
const MOST: usize = 200;

/// Keeps the record of a run that did not pass.
pub fn keep(folder: &Path, plan: &Plan, outcome: &Outcome) {
    let Some(evidence) = Evidence::of(plan, outcome) else {
        return;
    };
    let name = format!(
        "{}_{}_{}.json",
        outcome.started_at.strftime("%Y%m%dT%H%M%S%.3fZ"),
        plan.id.namespace,
        plan.id.probe
    );
    let written = serde_json::to_vec_pretty(&evidence)
        .map_err(std::io::Error::other)
        .and_then(|bytes| {
            fs::create_dir_all(folder)?;
            fs::write(folder.join(name), bytes)
        });
    if let Err(error) = written {
        return warn!(folder = %folder.display(), %error, "evidence can't be kept");
    }
    // Names begin with the time: the first are the oldest.
    let mut kept: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    kept.sort();
    for old in kept.iter().take(kept.len().saturating_sub(MOST)) {
        let _ = fs::remove_file(old);
    }
}

/// `--replay`: judges a record again, and says so.
pub fn replay(file: &Path) -> ExitCode {
    let read = fs::read_to_string(file)
        .map_err(|e| e.to_string())
        .and_then(|text| Evidence::parse(&text));
    let evidence = match read {
        Ok(evidence) => evidence,
        Err(error) => {
            error!(file = %file.display(), error, "the record can't be read");
            return ExitCode::from(OUR_ERROR);
        }
    };
    let mut verdict = Verdict::Pass;
    for step in evidence.replay() {
        let said = step.judged.unwrap_or(step.recorded);
        let how = match step.judged {
            None => "recorded, nothing to judge again",
            Some(judged) if judged == step.recorded => "judged again, the same",
            Some(_) => "judged again, ANOTHER VERDICT than the record's",
        };
        say!("{:<24} {said}  ({how})", step.step);
        if !step.message.is_empty() {
            say!("{:<24} {}", "", step.message);
        }
        if verdict == Verdict::Pass {
            verdict = said;
        }
    }
    if evidence.outcome.steps.is_empty() {
        verdict = evidence.outcome.verdict;
    }
    say!("{verdict}");
    exit_code(verdict)
}
