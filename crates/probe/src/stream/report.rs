//! From what the judges say to what a result and the metrics keep.

use drmwatch_checks::{
    Check, Findings, Severity, Status, experience,
    model::{Kind, Snapshot},
    state::StreamState,
};
use drmwatch_net::Failure;
use drmwatch_outcome::{CheckResult, CheckStatus, StreamFacts, Verdict};
use std::collections::BTreeMap;

/// The results where there is no manifest to look at.
pub(super) fn without_manifest(failure: &Failure) -> StreamFacts {
    let (message, reason) = (failure.message.clone(), failure.verdict.reason());
    let parse = matches!(
        reason,
        Some(drmwatch_outcome::Reason::NotAManifest | drmwatch_outcome::Reason::ManifestInvalid)
    );
    let failed = match reason {
        _ if !matches!(failure.verdict, Verdict::Fail(_)) => None,
        Some(drmwatch_outcome::Reason::NotAManifest) => Some(Check::M02),
        Some(drmwatch_outcome::Reason::ManifestInvalid) => Some(Check::M03),
        Some(drmwatch_outcome::Reason::TokenRefused) => Some(Check::C12),
        _ => Some(Check::M01),
    };
    let checks = Check::ALL.iter().map(|check| match failed == Some(*check) {
        true => CheckResult {
            check: check.id().to_owned(),
            status: CheckStatus::Fail,
            severity: Some(check.severity().as_str().to_owned()),
            reason,
            renditions: Vec::new(),
            detail: message.clone(),
        },
        false if parse && *check == Check::M01 => result(*check, CheckStatus::Ok, String::new()),
        false => result(
            *check,
            CheckStatus::Skipped,
            "there is no manifest to look at".into(),
        ),
    });
    StreamFacts {
        checks: checks.collect(),
        ..StreamFacts::default()
    }
}

fn result(check: Check, status: CheckStatus, detail: String) -> CheckResult {
    CheckResult {
        check: check.id().to_owned(),
        status,
        severity: None,
        reason: None,
        renditions: Vec::new(),
        detail,
    }
}

/// One result for each check: its worst finding.
fn checks(findings: &Findings) -> Vec<CheckResult> {
    Check::ALL
        .iter()
        .map(|check| {
            let of = || findings.0.iter().filter(|f| f.check == *check);
            let failed: Vec<_> = findings.failures().filter(|f| f.0 == *check).collect();
            if let Some(worst) = failed.iter().min_by_key(|f| f.2) {
                return CheckResult {
                    check: check.id().to_owned(),
                    status: CheckStatus::Fail,
                    severity: Some(worst.2.as_str().to_owned()),
                    reason: Some(worst.3),
                    renditions: failed
                        .iter()
                        .filter_map(|f| f.1)
                        .filter_map(|n| u32::try_from(n).ok())
                        .collect(),
                    detail: worst.4.to_owned(),
                };
            }
            if of().any(|f| f.status == Status::Ok) {
                return result(*check, CheckStatus::Ok, String::new());
            }
            let why = of().find_map(|f| match &f.status {
                Status::Skipped(why) => Some(why.clone()),
                _ => None,
            });
            result(*check, CheckStatus::Skipped, why.unwrap_or_default())
        })
        .collect()
}

/// Seconds between the newest segment's end and now, the oldest of audio and video.
pub(super) fn edge_age(snapshot: &Snapshot, state: &StreamState) -> Option<f64> {
    let media = snapshot
        .renditions
        .iter()
        .filter(|r| matches!(r.kind, Kind::Video | Kind::Audio));
    let ages = media.filter_map(|r| {
        let edge = r.edge.as_ref().filter(|e| e.count > 0)?;
        let at = r.exchange.as_ref().and_then(|e| e.at).unwrap_or(snapshot.at);
        let since = edge.end.or_else(|| Some(state.renditions.get(&r.key)?.since))?;
        Some(at.duration_since(since).as_secs_f64())
    });
    ages.reduce(f64::max)
}

/// What the result and the metrics keep.
pub(super) fn facts(
    snapshot: &Snapshot,
    findings: &Findings,
    state: &mut StreamState,
    variants: u32,
    appeared_seconds: Option<f64>,
) -> StreamFacts {
    let seconds_since = |at: jiff::Timestamp| snapshot.at.duration_since(at).as_secs_f64();
    let mut latency = BTreeMap::new();
    let video = || snapshot.renditions.iter().filter(|r| r.kind == Kind::Video);
    if snapshot.live {
        let method = if snapshot.manifest.mpd().is_some() {
            "timeline"
        } else {
            "pdt"
        };
        if let Some(age) = video().find_map(|r| {
            let at = r.exchange.as_ref().and_then(|e| e.at).unwrap_or(snapshot.at);
            Some(at.duration_since(r.edge.as_ref()?.end?).as_secs_f64())
        }) {
            latency.insert(method.to_owned(), age);
        }
        let produced = video().find_map(|r| {
            let segment = r.newest.found()?;
            let head = segment.head.as_ref()?.as_ref().ok()?;
            Some((segment, head.producer_times.first()?.unix_seconds()))
        });
        if let Some((segment, at)) = produced {
            let now = segment.exchange.at.unwrap_or(snapshot.at).as_millisecond() as f64 / 1000.0;
            latency.insert("prft".to_owned(), now - at);
        }
    }
    let whole = || snapshot.renditions.iter().filter_map(|r| r.whole.as_ref());
    let ratio = whole()
        .filter(|w| w.1 > 0.0)
        .map(|(e, d)| e.seconds / d)
        .reduce(f64::max);
    let quality = whole()
        .filter_map(|(e, d)| experience::quality_percent(e.wire_bytes, *d, e.seconds))
        .reduce(f64::min);
    let mut rungs: Vec<u64> = video().map(|r| r.declared.bandwidth).filter(|b| *b > 0).collect();
    rungs.sort_unstable();
    let throughput = experience::throughput(snapshot);
    // A player that joined with the first run and stays: one more segment for each whole one that was fetched.
    if let Some((exchange, duration)) = whole().next().filter(|_| snapshot.live) {
        let control = video().find_map(|r| r.media()?.server_control?.hold_back);
        let delay = snapshot.manifest.mpd().and_then(|m| m.suggested_delay);
        let hold = control.or(delay).unwrap_or(3.0 * duration);
        state.buffer = Some(experience::buffer(
            state.buffer,
            hold,
            *duration,
            exchange.seconds,
        ));
    }
    let edges = || {
        snapshot
            .renditions
            .iter()
            .filter_map(|r| r.edge.as_ref())
            .filter(|e| e.count > 0)
    };
    StreamFacts {
        checks: checks(findings),
        appeared_seconds,
        failover_seconds: (snapshot.active.locations.iter())
            .filter(|l| l.newest.is_ok())
            .map(|l| l.seconds)
            .reduce(f64::max),
        live_latency_seconds: latency,
        window_seconds: edges()
            .map(|e| e.window)
            .reduce(f64::min)
            .filter(|_| snapshot.live),
        clock_offset_seconds: snapshot
            .active
            .clock
            .as_ref()
            .and_then(|c| c.as_ref().ok())
            .copied(),
        blocking_reload_seconds: snapshot
            .active
            .blocking
            .as_ref()
            .filter(|b| b.got.is_ok())
            .map(|b| b.seconds),
        startup_seconds: Some(experience::startup(snapshot).total()),
        segment_download_ratio: ratio,
        segment_quality_percent: quality,
        throughput_bits_per_second: throughput,
        headroom: throughput
            .map(|t| rungs.iter().filter_map(|b| experience::headroom(t, *b)).collect())
            .unwrap_or_default(),
        rungs: video().count() as u32,
        variants,
        buffer_seconds: state.buffer,
        stalled: state.buffer.is_some_and(|b| b < 0.0),
        last_cue_age_seconds: state
            .last_cue
            .filter(|_| !state.cues.is_empty())
            .map(seconds_since),
        ad_break_open_seconds: state.open_break.as_ref().map(|b| seconds_since(b.since)),
        fetched_bytes: snapshot.active.wire_bytes,
        available: !findings.failures().any(|f| f.2 == Severity::Page),
    }
}
