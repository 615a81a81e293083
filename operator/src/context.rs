//! What every reconcile may use.

use crate::options::Options;
use drmwatch_api::DrmProbe;
use drmwatch_metrics::{Metrics, Owner, QUEUED};
use drmwatch_plan::VerdictRecord;
use kube::{
    Client, Resource,
    runtime::{
        events::{Event, EventType, Recorder, Reporter},
        reflector::ObjectRef,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tracing::warn;

/// Field manager of everything that the operator writes.
pub const MANAGER: &str = "drmwatch-operator";

/// What every reconcile may use.
pub struct Context {
    pub client: Client,
    pub metrics: Metrics,
    pub options: Options,
    recorder: Recorder,
    /// Which probes use which Secret, whether it exists or not, by namespace and name.
    secrets: Mutex<BTreeMap<(String, String), BTreeSet<String>>>,
    /// Objects that wait for a reconcile, by kind, namespace and name.
    queue: Mutex<BTreeSet<(&'static str, String, String)>>,
    /// The last verdict of each probe, by its UID.
    verdicts: Mutex<BTreeMap<String, VerdictRecord>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub fn new(client: Client, metrics: Metrics, options: Options) -> Context {
        let reporter = Reporter {
            controller: MANAGER.into(),
            instance: Some(options.identity.clone()),
        };
        let recorder = Recorder::new(client.clone(), reporter);
        Context {
            client,
            metrics,
            options,
            recorder,
            secrets: Mutex::default(),
            queue: Mutex::default(),
            verdicts: Mutex::default(),
        }
    }

    /// Tells people of a transition. An Event that can't be written stops nothing.
    pub async fn event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        good: bool,
        reason: &str,
        message: &str,
    ) {
        let event = Event {
            type_: if good {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason: reason.to_owned(),
            note: Some(message.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            warn!(%error, reason, "an Event could not be written");
        }
    }

    /// Notes that an object waits for a reconcile, or (`waits` false) that one begins.
    pub fn queue(&self, kind: &'static str, namespace: Option<String>, name: String, waits: bool) {
        let mut queue = lock(&self.queue);
        let key = (kind, namespace.unwrap_or_default(), name);
        if waits {
            queue.insert(key);
        } else {
            queue.remove(&key);
        }
        let length = queue.iter().filter(|(k, ..)| *k == kind).count();
        self.metrics
            .set(&QUEUED, &Owner::program(), &[kind], length as f64);
    }

    /// Notes which Secrets a probe uses.
    pub fn uses(&self, namespace: &str, probe: &str, secrets: impl IntoIterator<Item = String>) {
        let mut index = lock(&self.secrets);
        for ((of, _), probes) in index.iter_mut() {
            if of == namespace {
                probes.remove(probe);
            }
        }
        for secret in secrets {
            index
                .entry((namespace.to_owned(), secret))
                .or_default()
                .insert(probe.to_owned());
        }
        index.retain(|_, probes| !probes.is_empty());
    }

    /// The probes that use a Secret.
    pub fn users(&self, namespace: &str, secret: &str) -> Vec<ObjectRef<DrmProbe>> {
        let index = lock(&self.secrets);
        let probes = index.get(&(namespace.to_owned(), secret.to_owned()));
        probes
            .into_iter()
            .flatten()
            .map(|probe| ObjectRef::new(probe).within(namespace))
            .collect()
    }

    /// Takes a verdict in; says whether it is news.
    pub fn verdict(&self, uid: &str, record: VerdictRecord) -> bool {
        lock(&self.verdicts)
            .insert(uid.to_owned(), record.clone())
            .is_none_or(|old| old != record)
    }

    /// The last verdict of a probe.
    pub fn last_verdict(&self, uid: &str) -> Option<VerdictRecord> {
        lock(&self.verdicts).get(uid).cloned()
    }

    /// Forgets a probe.
    pub fn forget(&self, namespace: &str, probe: &str, uid: &str) {
        self.uses(namespace, probe, []);
        lock(&self.verdicts).remove(uid);
    }
}
