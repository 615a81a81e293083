//! What happened in a slot.

use crate::{ProbeId, Reason};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The result of a run or of a step.
///
/// `Fail` says that the tenant's service does not do what it must; `Inconclusive` says that this run
/// can't tell, because the fault is ours or the user's. Only the first counts against a tenant.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(tag = "outcome", content = "reason")]
pub enum Verdict {
    /// The service does what it must.
    Pass,
    /// The service does not.
    Fail(Reason),
    /// This run can't tell.
    Inconclusive(Reason),
}

impl Verdict {
    /// `pass`, `fail` or `inconclusive`: the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail(_) => "fail",
            Verdict::Inconclusive(_) => "inconclusive",
        }
    }

    /// The reason, where there is one.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Verdict::Pass => None,
            Verdict::Fail(r) | Verdict::Inconclusive(r) => Some(r),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Verdict::Pass => f.write_str("Pass"),
            Verdict::Fail(r) => write!(f, "Fail({r})"),
            Verdict::Inconclusive(r) => write!(f, "Inconclusive({r})"),
        }
    }
}

/// The result of a run.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The result.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Name of the step that decided, where the result is not `Pass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What to tell a person; redacted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the run began.
    pub started_at: Timestamp,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// Trace id of its requests (W3C Trace Context): servers' logs have it in `traceparent`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// What is left of the tenant's request budget, from 0 to 1, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_left: Option<f64>,
    /// What each step that ran found, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepOutcome>,
}

impl Outcome {
    /// The outcome of a run that could not begin, or broke: no step of it is known.
    pub fn without_steps(verdict: Verdict, message: impl Into<String>, at: Timestamp) -> Outcome {
        let (message, steps) = (message.into(), Vec::new());
        Outcome {
            verdict,
            step: None,
            message,
            started_at: at,
            duration_seconds: 0.0,
            trace_id: String::new(),
            budget_left: None,
            steps,
        }
    }
}

/// What is known of a probe after a transition: what a runner hands to the operator, one entry for each
/// probe in the ConfigMap of its shard.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VerdictRecord {
    /// Whose it is.
    pub id: ProbeId,
    /// Generation of the probe object that was run.
    pub generation: i64,
    /// Where it ran.
    pub region: String,
    /// The result.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Name of the step that decided, where the result is not `Pass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What to tell a person; redacted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the run that changed the verdict began.
    pub since: Timestamp,
}

/// The result of a step.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StepOutcome {
    /// Name of the step.
    pub name: String,
    /// `http`, `stream`, `license`, `keyServer` or `plugin`.
    pub kind: String,
    /// The result.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What to tell a person; redacted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// How long the step took, in seconds.
    pub duration_seconds: f64,
    /// The requests that it made, redirects included, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// What it found.
    #[serde(default)]
    pub facts: StepFacts,
    /// Records of its requests to licence and key servers, where it did not pass: kept with evidence only.
    #[serde(skip)]
    pub exchanges: Vec<serde_json::Value>,
}

/// One request and its answer.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// Host name, without path or query: those may hold secrets.
    pub host: String,
    /// Address that was connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// HTTP status, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `http/1.1` or `h2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Bytes of the body as they came over the wire.
    pub bytes: u64,
    /// notAfter of the server's certificate, recorded even when it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_not_after: Option<Timestamp>,
    /// How long each phase took.
    pub phases: Phases,
}

/// Seconds that the phases of one request took. A phase that did not happen is absent, so that a reused
/// or failed connection does not pull an average down.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Phases {
    /// Name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<f64>,
    /// TCP connect, of the address that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<f64>,
    /// From connected to the request handed to the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<f64>,
    /// From the request to the head of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<f64>,
    /// From the head of the answer to the end of its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<f64>,
}

impl Phases {
    /// Names of the phases: the metric label.
    pub const NAMES: [&'static str; 6] = ["dns", "connect", "tls", "request", "first_byte", "transfer"];

    /// The phases that happened, with their names.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let values = [
            self.dns,
            self.connect,
            self.tls,
            self.request,
            self.first_byte,
            self.transfer,
        ];
        Self::NAMES
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| value.map(|v| (name, v)))
    }
}

/// What a step found out, besides its verdict.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct StepFacts {
    /// Seconds between the end of the newest segment and now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_edge_age_seconds: Option<f64>,
    /// Variants or representations that the manifest lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<u32>,
    /// Whether the stream is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// Seconds that the licence server took, from request to end of answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_latency_seconds: Option<f64>,
    /// Which system's licence server it asked: a DRM system, or `KeyServer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_system: Option<String>,
    /// How far up the ladder a licence step came: 0 transport, 1 the system's certificate, 2 refusal of what must be
    /// refused, 3 licence for a recorded request, 4 for a fresh one, 5 keys of a key server.
    pub license_level: Option<u8>,
    /// When the DRM system's own certificate of the server expires.
    pub drm_certificate_not_after: Option<jiff::Timestamp>,
    /// When the first to expire of the credentials that were used does so, by its own date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_not_after: Option<jiff::Timestamp>,
    /// What a stream step found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Box<StreamFacts>>,
}

/// What a check says (docs/checks.md).
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// It holds.
    Ok,
    /// It does not.
    Fail,
    /// It could not be made, or does not apply.
    Skipped,
}

/// The result of one check of a stream.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Its id.
    pub check: String,
    /// What it says.
    pub status: CheckStatus,
    /// `page`, `ticket` or `warning`, of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Why, of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Renditions that fail, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renditions: Vec<u32>,
    /// The evidence of a failure; redacted. Why it was skipped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a stream step found. Seconds, unless the name says otherwise.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamFacts {
    /// Every check of the catalogue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckResult>,
    /// Between the newest segment and now, by method: `pdt`, `timeline`, `prft`.
    pub live_latency_seconds: std::collections::BTreeMap<String, f64>,
    /// Listed, the shortest of the renditions.
    pub window_seconds: Option<f64>,
    /// The manifest's clock minus ours.
    pub clock_offset_seconds: Option<f64>,
    /// How long a blocking reload was held.
    pub blocking_reload_seconds: Option<f64>,
    /// Until an alternative location had answered, the slowest of them.
    pub failover_seconds: Option<f64>,
    /// Until the stream was there, where it was waited for.
    pub appeared_seconds: Option<f64>,
    /// From pressing play to the first picture, estimated.
    pub startup_seconds: Option<f64>,
    /// Download time of a whole segment over its duration, the worst.
    pub segment_download_ratio: Option<f64>,
    /// SmartCARE's quality of a whole segment's download, percent, the worst.
    pub segment_quality_percent: Option<f64>,
    /// Of the whole segments.
    pub throughput_bits_per_second: Option<f64>,
    /// What a player dares to use of the throughput over the rung's bit rate, from the lowest rung up.
    pub headroom: Vec<f64>,
    /// Video rungs that were looked at.
    pub rungs: u32,
    /// Variants or representations that the manifest lists.
    pub variants: u32,
    /// What a player that joined with the first run has left in its buffer.
    pub buffer_seconds: Option<f64>,
    /// That buffer is empty.
    pub stalled: bool,
    /// Since a new cue was seen.
    pub last_cue_age_seconds: Option<f64>,
    /// Since the break that is going on was first seen.
    pub ad_break_open_seconds: Option<f64>,
    /// Bytes of answers, as they came over the wire.
    pub fetched_bytes: u64,
    /// No check of severity page failed.
    pub available: bool,
}
