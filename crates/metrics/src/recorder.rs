//! From an outcome to series. Resident runners, the standalone runner and, for Jobs, the operator all
//! come through here, so that a probe's series mean the same wherever it ran.

use crate::*;
use drmwatch_outcome::{CheckStatus, Outcome, StreamFacts, Verdict};

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
    match outcome.verdict {
        Verdict::Pass => metrics.set(&PROBE_SUCCESS, owner, &[], 1.0),
        Verdict::Fail(_) => metrics.set(&PROBE_SUCCESS, owner, &[], 0.0),
        // What was known stays known: a runner that loses its own DNS during an outage must not resolve
        // the tenant's alert.
        Verdict::Inconclusive(_) => {}
    }
    let inconclusive = matches!(outcome.verdict, Verdict::Inconclusive(_));
    metrics.set(&PROBE_INCONCLUSIVE, owner, &[], f64::from(u8::from(inconclusive)));
    let step = outcome.step.as_deref().unwrap_or_default();
    let labels = outcome.verdict.reason().map(|reason| [step, reason.as_str()]);
    let status = answered(outcome)
        .map(|status| status.to_string())
        .unwrap_or_default();
    let info = labels.map(|[step, reason]| [step, reason, &status]);
    metrics.replace(
        &PROBE_FAILURE_INFO,
        owner,
        info.as_ref().map(|labels| (labels, 1.0)),
    );
    if let Some(labels) = labels {
        metrics.add(&PROBE_FAILURES, owner, &labels, 1);
    }
    let bytes = outcome.steps.iter().flat_map(|s| &s.hops).map(|h| h.bytes).sum();
    metrics.add(&RESPONSE_BYTES, owner, &[], bytes);
    let requests: usize = outcome.steps.iter().map(|s| s.hops.len()).sum();
    metrics.add(&PROBE_REQUESTS, owner, &[], requests as u64);
    if let Some(left) = outcome.budget_left {
        metrics.set(&BUDGET_LEFT, owner, &[], left);
    }
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
            let system = step.facts.license_system.as_deref().unwrap_or_default();
            metrics.observe(&LICENSE_LATENCY, owner, &[name, system], latency);
        }
        if let Some(level) = step.facts.license_level {
            metrics.set(&LICENSE_LEVEL, owner, &[name], f64::from(level));
        }
        if let Some(expiry) = step.facts.drm_certificate_not_after {
            metrics.set(&DRM_CERTIFICATE_EXPIRY, owner, &[name], expiry.as_second() as f64);
        }
        if let Some(expiry) = step.facts.credential_not_after {
            metrics.set(&CREDENTIAL_EXPIRY, owner, &[name], expiry.as_second() as f64);
        }
        if let Some(stream) = &step.facts.stream {
            record_stream(metrics, owner, name, stream);
        }
    }
}

/// The last status by which the step that decided was refused. Of an answer that was none, 200 says nothing.
fn answered(outcome: &Outcome) -> Option<u16> {
    let step = outcome
        .steps
        .iter()
        .find(|s| Some(&s.name) == outcome.step.as_ref())?;
    let mut statuses = step.hops.iter().rev().filter_map(|h| h.status);
    statuses.find(|status| *status >= 400)
}

/// Says what each reason means.
pub fn record_reasons(metrics: &Metrics) {
    for reason in drmwatch_outcome::Reason::ALL {
        let labels = [reason.as_str(), reason.domain().words(), reason.meaning().trim()];
        metrics.set(&REASON_INFO, &Owner::program(), &labels, 1.0);
    }
}

fn record_stream(metrics: &Metrics, owner: &Owner, step: &str, facts: &StreamFacts) {
    for result in &facts.checks {
        let value = match result.status {
            CheckStatus::Ok => 0.0,
            CheckStatus::Fail => 1.0,
            CheckStatus::Skipped => 2.0,
        };
        metrics.set(&STREAM_CHECK_STATUS, owner, &[step, &result.check], value);
    }
    for (method, seconds) in &facts.live_latency_seconds {
        metrics.set(&STREAM_LIVE_LATENCY, owner, &[step, method], *seconds);
    }
    for (metric, value) in [
        (&STREAM_WINDOW, facts.window_seconds),
        (&STREAM_CLOCK_OFFSET, facts.clock_offset_seconds),
        (&STREAM_BLOCKING_RELOAD, facts.blocking_reload_seconds),
        (&STREAM_STARTUP, facts.startup_seconds),
        (&STREAM_APPEARED, facts.appeared_seconds),
        (&STREAM_FAILOVER, facts.failover_seconds),
        (&STREAM_DOWNLOAD_RATIO, facts.segment_download_ratio),
        (&STREAM_QUALITY, facts.segment_quality_percent),
        (
            &STREAM_THROUGHPUT,
            facts.throughput_bits_per_second.map(|b| b / 8.0),
        ),
        (&STREAM_BUFFER, facts.buffer_seconds),
        (&STREAM_CUE_AGE, facts.last_cue_age_seconds),
        (
            &STREAM_BREAK_OPEN,
            Some(facts.ad_break_open_seconds.unwrap_or(0.0)),
        ),
        (&STREAM_FETCHED, Some(facts.fetched_bytes as f64)),
    ] {
        if let Some(value) = value {
            metrics.set(metric, owner, &[step], value);
        }
    }
    for (rung, value) in facts.headroom.iter().enumerate() {
        metrics.set(&STREAM_HEADROOM, owner, &[step, &rung.to_string()], *value);
    }
    metrics.add(&STREAM_STALLS, owner, &[step], u64::from(facts.stalled));
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_outcome::{ProbeId, Reason};

    #[test]
    fn an_inconclusive_run_neither_raises_nor_resolves_anything() {
        let metrics = Metrics::default();
        let owner = Owner::probe(
            &ProbeId {
                namespace: "n".into(),
                tenant: "t".into(),
                probe: "p".into(),
            },
            "eu",
        );
        let run = |verdict| {
            record_outcome(
                &metrics,
                &owner,
                &Outcome::without_steps(verdict, "", Default::default()),
            )
        };
        let seen = || {
            let of = |metric| metrics.value(metric, &owner, &[]);
            (of(&PROBE_SUCCESS), of(&PROBE_INCONCLUSIVE))
        };
        run(Verdict::Inconclusive(Reason::LocalDns));
        assert_eq!(seen(), (None, Some(1.0)));
        run(Verdict::Fail(Reason::Timeout));
        assert_eq!(seen(), (Some(0.0), Some(0.0)));
        run(Verdict::Inconclusive(Reason::LocalDns));
        assert_eq!(seen(), (Some(0.0), Some(1.0)));
        assert_eq!(
            metrics.value(&PROBE_FAILURE_INFO, &owner, &["", "Timeout", ""]),
            None
        );
        assert_eq!(
            metrics.value(&PROBE_FAILURE_INFO, &owner, &["", "LocalDns", ""]),
            Some(1.0)
        );
        run(Verdict::Pass);
        assert_eq!(seen(), (Some(1.0), Some(0.0)));
    }
}
