//! From an outcome to series. Resident runners, the standalone runner and, for Jobs, the operator all
//! come through here, so that a probe's series mean the same wherever it ran.

use crate::*;
use drmwatch_plan::{Outcome, Verdict};

/// Records the outcome of a run.
pub fn record_outcome(metrics: &Metrics, owner: &Owner, outcome: &Outcome) {
    let at = outcome.started_at.as_millisecond() as f64 / 1000.0;
    metrics.set(&LAST_RUN, owner, &[], at);
    metrics.observe(&PROBE_DURATION, owner, &[], outcome.duration_seconds);
    for label in ["pass", "fail", "inconclusive"] {
        metrics.add(
            &PROBE_RUNS,
            owner,
            &[label],
            u64::from(label == outcome.verdict.label()),
        );
    }
    metrics.clear(&PROBE_FAILURE_INFO, owner);
    match outcome.verdict {
        Verdict::Pass => metrics.set(&PROBE_SUCCESS, owner, &[], 1.0),
        Verdict::Fail(_) => metrics.set(&PROBE_SUCCESS, owner, &[], 0.0),
        Verdict::Inconclusive(_) => metrics.clear(&PROBE_SUCCESS, owner),
    }
    if let Some(reason) = outcome.verdict.reason() {
        let labels = [outcome.step.as_deref().unwrap_or_default(), reason.as_str()];
        metrics.add(&PROBE_FAILURES, owner, &labels, 1);
        metrics.set(&PROBE_FAILURE_INFO, owner, &labels, 1.0);
    }
    let bytes = outcome.steps.iter().flat_map(|s| &s.hops).map(|h| h.bytes).sum();
    metrics.add(&RESPONSE_BYTES, owner, &[], bytes);
    for step in &outcome.steps {
        let name = step.name.as_str();
        metrics.observe(&STEP_DURATION, owner, &[name], step.duration_seconds);
        for hop in &step.hops {
            for (phase, seconds) in hop.phases.named() {
                metrics.observe(&PHASE_DURATION, owner, &[name, phase], seconds);
            }
        }
        if let Some(expiry) = step.hops.iter().filter_map(|h| h.certificate_not_after).min() {
            metrics.set(&CERTIFICATE_EXPIRY, owner, &[name], expiry.as_second() as f64);
        }
        if let Some(age) = step.facts.live_edge_age_seconds {
            metrics.set(&LIVE_EDGE_AGE, owner, &[name], age);
        }
        if let Some(variants) = step.facts.variants {
            metrics.set(&STREAM_VARIANTS, owner, &[name], f64::from(variants));
        }
        if let Some(latency) = step.facts.license_latency_seconds {
            metrics.observe(&LICENSE_LATENCY, owner, &[name], latency);
        }
    }
}
