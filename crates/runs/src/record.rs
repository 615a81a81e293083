//! What is kept of a slot.

use drmwatch_outcome::{Cause, Outcome, ProbeId, StepOutcome, Verdict};
use drmwatch_tokens::hexadecimal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the schema of records. A reader reads every version up to its own (docs/results.md).
pub const SCHEMA: u32 = 1;

/// What a record says.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run.
    Run,
    /// Slots that were not run; why is in `reason`.
    Missed,
    /// From here on the probe is not to be run: it is gone or suspended.
    Unwatched,
}

impl Kind {
    /// As in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Run => "run",
            Kind::Missed => "missed",
            Kind::Unwatched => "unwatched",
        }
    }

    /// The kind with this name.
    pub fn of(name: &str) -> Option<Kind> {
        [Kind::Run, Kind::Missed, Kind::Unwatched]
            .into_iter()
            .find(|k| k.as_str() == name)
    }
}

/// What is kept of a slot. Durations in microseconds.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Record {
    /// What it says.
    pub kind: Kind,
    /// Namespace of tenant and probe.
    pub tenant_namespace: String,
    /// Name of the tenant.
    pub tenant: String,
    /// Name of the probe.
    pub probe: String,
    /// UID of the probe object.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Where it ran.
    pub region: String,
    /// The runner that ran it.
    pub runner: String,
    /// The shard that it belonged to.
    pub shard: Option<u32>,
    /// When it was due.
    pub slot: Timestamp,
    /// How much later it began. Milliseconds.
    pub lag_ms: i64,
    /// How long it took.
    pub duration_us: u64,
    /// Which attempt in its slot, from 1.
    pub attempt: u8,
    /// Whether this attempt decides of its slot.
    pub counts: bool,
    /// How many slots it tells of: more than one only where they were missed.
    pub slots: u32,
    /// Seconds until the next is due.
    pub stands_seconds: u32,
    /// `pass`, `fail` or `inconclusive`, of a run.
    pub outcome: Option<String>,
    /// Whose fault it is.
    pub domain: Option<String>,
    /// Name of the step that decided.
    pub step: Option<String>,
    /// Why it did not pass; why it was missed.
    pub reason: Option<String>,
    /// What to tell a person; redacted.
    pub message: Option<String>,
    /// Trace id of its requests, where it did not pass.
    pub trace_id: Option<String>,
    /// Name of the evidence that was kept.
    pub evidence: Option<String>,
    /// Maintenance windows that exclude it from the SLA, by commas.
    pub maintenance: Option<String>,
    /// What each step found.
    pub steps: Vec<StepRecord>,
    /// The evidence itself, as JSON, until it is in the store: then `evidence` is its name there. No column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// What is kept of a step. Phases are sums over its requests.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct StepRecord {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// `pass`, `fail` or `inconclusive`.
    pub outcome: String,
    /// Why not.
    pub reason: Option<String>,
    /// How long it took.
    pub duration_us: u64,
    /// Name resolution.
    pub dns_us: Option<u64>,
    /// TCP connect.
    pub connect_us: Option<u64>,
    /// TLS handshake.
    pub tls_us: Option<u64>,
    /// Until the request was sent.
    pub request_us: Option<u64>,
    /// Until the head of the answer.
    pub first_byte_us: Option<u64>,
    /// Until its end.
    pub transfer_us: Option<u64>,
    /// Status of the last answer.
    pub status: Option<u16>,
    /// Bytes of the answers.
    pub bytes: u64,
    /// Requests that were made.
    pub requests: u32,
    /// Address of the last server.
    pub address: Option<String>,
    /// When the first of the certificates expires.
    pub certificate_not_after: Option<Timestamp>,
    /// Which system's licence server was asked.
    pub drm_system: Option<String>,
    /// How far up the ladder a licence step came.
    pub license_level: Option<u8>,
    /// How long the licence took.
    pub license_latency_us: Option<u64>,
    /// Age of a live stream's newest segment. Milliseconds.
    pub live_edge_age_ms: Option<i64>,
    /// Checks of a stream that failed, by commas.
    pub failed_checks: Option<String>,
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round().max(0.0) as u64
}

/// Which probe a record is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Identity of the probe.
    pub id: &'a ProbeId,
    /// UID of the probe object.
    pub uid: &'a str,
    /// Generation of the probe object.
    pub generation: i64,
    /// Region in which it runs.
    pub region: &'a str,
}

/// Who ran it, and of which slot it is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The runner.
    pub runner: &'a str,
    /// The shard.
    pub shard: Option<u32>,
    /// When it was due.
    pub slot: Timestamp,
    /// Seconds until the next is due.
    pub stands_seconds: u32,
}

impl Record {
    fn empty(kind: Kind, subject: Subject<'_>, place: Place<'_>) -> Record {
        Record {
            kind,
            tenant_namespace: subject.id.namespace.clone(),
            tenant: subject.id.tenant.clone(),
            probe: subject.id.probe.clone(),
            uid: subject.uid.to_owned(),
            generation: subject.generation,
            region: subject.region.to_owned(),
            runner: place.runner.to_owned(),
            shard: place.shard,
            slot: place.slot,
            lag_ms: 0,
            duration_us: 0,
            attempt: 1,
            counts: true,
            slots: 1,
            stands_seconds: place.stands_seconds,
            outcome: None,
            domain: None,
            step: None,
            reason: None,
            message: None,
            trace_id: None,
            evidence: None,
            maintenance: None,
            steps: Vec::new(),
            bundle: None,
        }
    }

    /// A run. `attempt`: which of its slot; `counts`: whether it decides.
    pub fn run(
        subject: Subject<'_>,
        place: Place<'_>,
        attempt: u8,
        counts: bool,
        outcome: &Outcome,
    ) -> Record {
        let reason = outcome.verdict.reason();
        let passed = outcome.verdict == Verdict::Pass;
        let some = |text: &str| (!passed && !text.is_empty()).then(|| text.to_owned());
        Record {
            lag_ms: outcome.started_at.duration_since(place.slot).as_millis() as i64,
            duration_us: micros(outcome.duration_seconds),
            attempt,
            counts,
            outcome: Some(outcome.verdict.label().to_owned()),
            domain: reason.map(|r| r.domain().as_str().to_owned()),
            step: outcome.step.clone(),
            reason: reason.map(|r| r.to_string()),
            message: some(&outcome.message),
            trace_id: some(&outcome.trace_id),
            steps: outcome.steps.iter().map(StepRecord::of).collect(),
            ..Record::empty(Kind::Run, subject, place)
        }
    }

    /// Slots that were not run, the last of them at `place.slot`.
    pub fn missed(subject: Subject<'_>, place: Place<'_>, cause: Cause, slots: u32) -> Record {
        Record {
            slots,
            reason: Some(cause.label().to_owned()),
            ..Record::empty(Kind::Missed, subject, place)
        }
    }

    /// From `place.slot` on the probe is not to be run.
    pub fn unwatched(subject: Subject<'_>, place: Place<'_>) -> Record {
        Record::empty(Kind::Unwatched, subject, place)
    }

    /// What tells one record from another: the same for a run that two runners made of one slot, or that was written
    /// twice. The first 16 bytes of SHA-256 over what identifies it.
    pub fn run_id(&self) -> [u8; 16] {
        let slot = self.slot.as_millisecond().to_be_bytes();
        let cause = if self.kind == Kind::Missed {
            self.reason.as_deref()
        } else {
            None
        };
        let mut hash = Sha256::new();
        for part in [
            self.kind.as_str().as_bytes(),
            self.tenant_namespace.as_bytes(),
            self.tenant.as_bytes(),
            self.uid.as_bytes(),
            self.region.as_bytes(),
            &slot,
            &[self.attempt],
            cause.unwrap_or_default().as_bytes(),
        ] {
            hash.update((part.len() as u32).to_be_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        id
    }

    /// The id as it names evidence: 32 hexadecimal digits.
    pub fn name(&self) -> String {
        hexadecimal(&self.run_id())
    }

    /// Which of two records of one run is kept: the one that began last, since it saw more; of those the greater, so that
    /// the choice does not depend on who reads.
    pub fn rank(&self) -> (i64, u64, &str) {
        (self.lag_ms, self.duration_us, &self.runner)
    }
}

impl StepRecord {
    fn of(step: &StepOutcome) -> StepRecord {
        let phase = |of: fn(&drmwatch_outcome::Phases) -> Option<f64>| {
            let times: Vec<f64> = step.hops.iter().filter_map(|h| of(&h.phases)).collect();
            (!times.is_empty()).then(|| micros(times.iter().sum()))
        };
        let last = step.hops.last();
        let failed = |stream: &drmwatch_outcome::StreamFacts| -> Option<String> {
            let failed = stream
                .checks
                .iter()
                .filter(|c| c.status == drmwatch_outcome::CheckStatus::Fail);
            let ids: Vec<&str> = failed.map(|c| c.check.as_str()).collect();
            (!ids.is_empty()).then(|| ids.join(","))
        };
        StepRecord {
            name: step.name.clone(),
            kind: step.kind.clone(),
            outcome: step.verdict.label().to_owned(),
            reason: step.verdict.reason().map(|r| r.to_string()),
            duration_us: micros(step.duration_seconds),
            dns_us: phase(|p| p.dns),
            connect_us: phase(|p| p.connect),
            tls_us: phase(|p| p.tls),
            request_us: phase(|p| p.request),
            first_byte_us: phase(|p| p.first_byte),
            transfer_us: phase(|p| p.transfer),
            status: last.and_then(|h| h.status),
            bytes: step.hops.iter().map(|h| h.bytes).sum(),
            requests: step.hops.len() as u32,
            address: last.and_then(|h| h.address.clone()),
            certificate_not_after: step.hops.iter().filter_map(|h| h.certificate_not_after).min(),
            drm_system: step.facts.license_system.clone(),
            license_level: step.facts.license_level,
            license_latency_us: step.facts.license_latency_seconds.map(micros),
            live_edge_age_ms: step
                .facts
                .live_edge_age_seconds
                .map(|s| (s * 1000.0).round() as i64),
            failed_checks: step.facts.stream.as_deref().and_then(failed),
        }
    }
}
