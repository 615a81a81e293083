//! `--once`: a mounted plan, one run, an exit code.

use crate::{
    OUR_ERROR, confirm, evidence,
    options::Options,
    results::{self, Slot},
};
use drmwatch_outcome::{Outcome, Verdict};
use drmwatch_plan::{CREDENTIAL_PREFIX, Due, PLAN_KEY, Plan, Secrets};
use drmwatch_probe::{Engine, Prepared, ProbeState};
use drmwatch_program::{say, try_write};
use jiff::{SignedDuration, Timestamp};
use std::{fs, io, path::Path, process::ExitCode, time::Duration};
use tokio::time::sleep;
use tracing::{error, warn};

/// The kubelet keeps this much of a termination message.
const MAX_MESSAGE: usize = 4096;
/// A Job's program begins by so many seconds after its slot, as a rule.
const START_SECONDS: i64 = 10;

/// Runs the plan in `folder`, prints its outcome, and writes it where the kubelet looks.
pub async fn run(folder: &Path, options: &Options, engine: &Engine) -> ExitCode {
    let (plan, secrets) = match read(folder) {
        Ok(read) => read,
        Err(error) => {
            error!(folder = %folder.display(), %error, "the plan can't be read");
            return ExitCode::from(OUR_ERROR);
        }
    };
    let begun = engine.now();
    let (outcome, other) = match Prepared::new(plan.clone(), secrets, engine.resolver()) {
        Ok(prepared) => {
            let attempts = attempt(engine, &prepared).await;
            if let Some(folder) = &options.evidence {
                evidence::keep(folder, prepared.plan(), &attempts.0.1);
            }
            attempts
        }
        Err(error) => {
            let outcome = Outcome::without_steps(error.verdict(), error.to_string(), engine.now());
            ((1, outcome), None)
        }
    };
    let runs = [
        Some((outcome.0, true, &outcome.1)),
        other.as_ref().map(|o| (o.0, false, &o.1)),
    ];
    let slot = Slot {
        at: begun,
        next: next(&plan, begun),
    };
    results::once(options, &plan, slot, runs.into_iter().flatten()).await;
    let outcome = outcome.1;
    let text = serde_json::to_string(&outcome).unwrap_or_default();
    match options.termination_log.as_deref() {
        None => say!("{text}"),
        // The kubelet reads the outcome there, and the verdict from the exit status: a container's log that can't be
        // written changes neither.
        Some(path) => {
            if let Err(error) = try_write(&(text + "\n")) {
                warn!(%error, "the outcome can't be printed");
            }
            if let Err(error) = fs::write(path, message(outcome.clone())) {
                error!(path = %path.display(), %error, "the termination message can't be written");
                return ExitCode::from(OUR_ERROR);
            }
        }
    }
    crate::exit_code(outcome.verdict)
}

/// When the next slot is due.
fn next(plan: &Plan, after: Timestamp) -> Option<Timestamp> {
    match plan.interval_seconds {
        Some(seconds) => Some(after + SignedDuration::from_secs(seconds.into())),
        None => Due::of(plan).ok().flatten().and_then(|due| due.next(after)),
    }
}

/// An attempt: its number, and what it found.
type Attempt = (u8, Outcome);

/// One run, and another where it failed and that may be a blip: what decides, and what does not. The next Job may begin
/// an interval after this one began, which took some seconds to come here.
async fn attempt(engine: &Engine, prepared: &Prepared) -> (Attempt, Option<Attempt>) {
    let plan = prepared.plan();
    let begun = engine.now();
    let first = engine.run(prepared, &mut ProbeState::default()).await;
    let late = SignedDuration::from_secs(plan.interval_seconds.map_or(0, |_| START_SECONDS));
    let next = next(plan, begun).map(|next| next - late);
    let Some(room) = confirm::room(&first, engine.now(), next) else {
        return ((1, first), None);
    };
    sleep(confirm::AFTER).await;
    let whole = Duration::from_secs(plan.timeout_seconds.into());
    let room = room.min(whole);
    let second = engine
        .run_within(prepared, &mut ProbeState::default(), room)
        .await;
    if second.verdict == Verdict::Pass {
        let (step, reason) = (first.step.as_deref().unwrap_or_default(), first.verdict);
        warn!(step, %reason, message = first.message, "the probe failed, and passed when it was looked at again: this does not count");
    }
    let (decides, outcome, other) = confirm::judge(first, second, room < whole);
    ((decides, outcome), Some((3 - decides, other)))
}

fn read(folder: &Path) -> io::Result<(Plan, Secrets)> {
    let plan = serde_json::from_slice(&fs::read(folder.join(PLAN_KEY))?)?;
    let mut secrets = Secrets::default();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(name) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.strip_prefix(CREDENTIAL_PREFIX))
        {
            secrets.insert(name, fs::read_to_string(entry.path())?);
        }
    }
    Ok((plan, secrets))
}

/// The outcome as a termination message: whole if it fits, else without what it can spare.
fn message(mut outcome: Outcome) -> String {
    let text = |outcome: &Outcome| serde_json::to_string(outcome).unwrap_or_default();
    let whole = text(&outcome);
    if whole.len() <= MAX_MESSAGE {
        return whole;
    }
    // The certificate to expire first is worth keeping of the requests; the rest is in the log.
    for step in &mut outcome.steps {
        let expiry = step.hops.iter().filter_map(|h| h.certificate_not_after).min();
        let bytes = step.hops.iter().map(|h| h.bytes).sum();
        step.hops = vec![drmwatch_outcome::Hop {
            certificate_not_after: expiry,
            bytes,
            ..Default::default()
        }];
        step.message.clear();
        // Of the checks those that failed; the log has them all.
        if let Some(stream) = &mut step.facts.stream {
            stream
                .checks
                .retain(|c| c.status == drmwatch_outcome::CheckStatus::Fail);
            stream
                .checks
                .iter_mut()
                .for_each(|c| c.detail = c.detail.chars().take(120).collect());
        }
    }
    let short = text(&outcome);
    if short.len() <= MAX_MESSAGE {
        return short;
    }
    outcome.steps.clear();
    outcome.message = outcome.message.chars().take(512).collect();
    text(&outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_outcome::{Hop, Reason, StepOutcome, Verdict};

    #[test]
    fn a_termination_message_always_fits_and_keeps_the_verdict() {
        for hops in [1, 20, 4000] {
            let step = StepOutcome {
                name: "s".into(),
                kind: "http".into(),
                verdict: Verdict::Fail(Reason::Timeout),
                message: "m".repeat(hops),
                duration_seconds: 1.0,
                hops: vec![
                    Hop {
                        host: "h".repeat(50),
                        ..Hop::default()
                    };
                    hops
                ],
                facts: Default::default(),
                exchanges: Vec::new(),
            };
            let outcome = Outcome {
                verdict: Verdict::Fail(Reason::Timeout),
                step: Some("s".into()),
                message: "m".repeat(hops * 2),
                started_at: jiff::Timestamp::UNIX_EPOCH,
                duration_seconds: 1.0,
                trace_id: String::new(),
                budget_left: None,
                steps: vec![step; 10],
            };
            let text = message(outcome);
            assert!(text.len() <= MAX_MESSAGE, "{}", text.len());
            let back: Outcome = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (back.verdict, back.step.as_deref()),
                (Verdict::Fail(Reason::Timeout), Some("s"))
            );
        }
    }
}
