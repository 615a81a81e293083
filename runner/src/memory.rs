//! What probes remember between runs, kept apart from their tasks: it outlives a changed plan, and travels
//! with a shard that is handed over.

use drmwatch_plan::Plan;
use drmwatch_probe::ProbeState;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{Read, Write},
    sync::{Arc, Mutex, MutexGuard},
};

/// What is older than that when it is handed over tells more of the past than of the stream.
const OLDEST_SECONDS: i64 = 300;
/// Largest state of one probe that is taken, unpacked.
const LARGEST: u64 = 4 << 20;

/// The memories of all probes of a runner. Clones share it.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, Entry>>>);

#[derive(Serialize, Deserialize)]
struct Entry {
    /// Of the steps that it belongs to: what is remembered of one URL says nothing of another.
    steps: u64,
    /// When the run that left it behind ended.
    at: Timestamp,
    state: ProbeState,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What tells the steps of a plan from others.
    pub fn steps(plan: &Plan) -> u64 {
        let mut hasher = DefaultHasher::new();
        let text = serde_json::to_string(&plan.steps).unwrap_or_default();
        text.hash(&mut hasher);
        hasher.finish()
    }

    /// What the probe remembers: nothing, when its steps are others than they were.
    pub fn recall(&self, uid: &str, steps: u64) -> ProbeState {
        let entries = self.lock();
        let found = entries.get(uid).filter(|e| e.steps == steps);
        found.map(|e| e.state.clone()).unwrap_or_default()
    }

    /// Keeps what a run left behind. A run of a plan that has been replaced changes nothing for its successor.
    pub fn keep(&self, uid: &str, steps: u64, at: Timestamp, state: ProbeState, replaced: bool) {
        let mut entries = self.lock();
        let before = entries.get(uid);
        // Most probes have nothing to remember.
        if before.is_none() && state == ProbeState::default() {
            return;
        }
        if !replaced || before.is_none_or(|e| e.steps == steps) {
            entries.insert(uid.to_owned(), Entry { steps, at, state });
        }
    }

    /// Forgets a probe.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// The memory of a probe, packed for the way (JSON, gzip).
    pub fn pack(&self, uid: &str) -> Option<Vec<u8>> {
        let text = serde_json::to_vec(self.lock().get(uid)?).ok()?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&text).ok()?;
        packed.finish().ok()
    }

    /// Takes in what another runner packed; false where it can't be read or is too old.
    pub fn unpack(&self, uid: &str, packed: &[u8], now: Timestamp) -> bool {
        let mut text = Vec::new();
        let read = GzDecoder::new(packed).take(LARGEST).read_to_end(&mut text);
        let Ok(entry) = read
            .map_err(drop)
            .and_then(|_| serde_json::from_slice::<Entry>(&text).map_err(drop))
        else {
            return false;
        };
        let young = (0..=OLDEST_SECONDS).contains(&now.duration_since(entry.at).as_secs());
        if young {
            self.lock().insert(uid.to_owned(), entry);
        }
        young
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(url: &str) -> Plan {
        let probe = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe",
            "metadata": { "name": "p", "namespace": "n", "uid": "u" },
            "spec": { "tenantRef": { "name": "t" }, "schedule": { "intervalSeconds": 60 },
                "steps": [{ "name": "s", "stream": { "url": url } }] },
        }));
        let tenant = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
            "metadata": { "name": "t", "namespace": "n" }, "spec": { "displayName": "T" },
        }));
        drmwatch_plan::compile(&tenant.unwrap(), &probe.unwrap(), "r", &Default::default()).unwrap()
    }

    fn of(url: &str) -> u64 {
        Memory::steps(&plan(url))
    }

    fn state() -> ProbeState {
        let mut state = ProbeState::default();
        state.streams.insert("s".into(), Default::default());
        state
    }

    #[test]
    fn a_memory_travels_and_belongs_to_its_steps() {
        let (here, there) = (Memory::default(), Memory::default());
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        here.keep("u", of("https://a/"), now, state(), false);
        let packed = here.pack("u").unwrap();
        // It may have to go on here.
        assert_eq!(here.recall("u", of("https://a/")), state());
        assert!(there.unpack("u", &packed, now));
        assert_eq!(there.recall("u", of("https://a/")), state());
        assert_eq!(there.recall("u", of("https://b/")), ProbeState::default());
    }

    #[test]
    fn what_is_old_or_no_memory_is_not_taken() {
        let (here, there) = (Memory::default(), Memory::default());
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        here.keep("u", of("https://a/"), now, state(), false);
        let packed = here.pack("u").unwrap();
        assert!(!there.unpack("u", &packed, now + jiff::SignedDuration::from_secs(301)));
        assert!(!there.unpack("u", &packed[..packed.len() / 2], now));
        assert!(!there.unpack("u", b"noise", now));
        // A run of a replaced plan does not overwrite its successor's memory.
        there.keep("u", of("https://b/"), now, state(), false);
        there.keep("u", of("https://a/"), now, ProbeState::default(), true);
        assert_eq!(there.recall("u", of("https://b/")), state());
    }
}
