//! What every reconcile may use.

use crate::{
    known::{Feed, Known, known},
    options::Options,
    pressure::Pressure,
};
use drmwatch_api::{DrmProbe, MaintenanceWindow, MonitoredTenant, RunnerPool, SlaReport};
use drmwatch_metrics::{Metrics, Owner, QUEUED};
use drmwatch_outcome::VerdictRecord;
use drmwatch_plan::ReportOutcome;
use kube::{
    Client, Resource, ResourceExt,
    runtime::{
        events::{Event, EventType, Recorder, Reporter},
        reflector::ObjectRef,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;
use tracing::warn;

/// Versions that are remembered at most.
const MOST_WRITTEN: usize = 20_000;
/// Probes that wait for a reconcile when statuses begin to wait for plans.
const FLOOD: usize = 200;
/// Field manager of everything that the operator writes.
pub const MANAGER: &str = "drmwatch-operator";

/// What every reconcile may use.
pub struct Context {
    pub client: Client,
    pub metrics: Metrics,
    pub options: Options,
    /// What is known of tenants, pools, probes, windows and reports, each from the one watch of its kind.
    pub tenants: Known<MonitoredTenant>,
    pub pools: Known<RunnerPool>,
    pub probes: Known<DrmProbe>,
    pub windows: Known<MaintenanceWindow>,
    pub reports: Known<SlaReport>,
    /// When this replica began to lead.
    pub began: Instant,
    /// How much the API server can bear.
    pub pressure: Pressure,
    recorder: Recorder,
    secrets: Mutex<Uses>,
    /// Objects that wait for a reconcile, by kind.
    queue: Mutex<BTreeMap<&'static str, BTreeSet<(String, String)>>>,
    /// How often in a row the reconcile of an object broke, by kind, namespace and name.
    failures: Mutex<BTreeMap<(&'static str, String, String), u32>>,
    /// Versions that we wrote ourselves and have not met in a watch yet.
    written: Mutex<BTreeSet<String>>,
    /// The last verdict of each probe, by its UID.
    verdicts: Mutex<BTreeMap<String, VerdictRecord>>,
    /// What came of the last round of deliveries of each report, by its UID.
    outcomes: Mutex<BTreeMap<String, ReportOutcome>>,
    /// Probes whose status waits until others have their plans, by UID.
    postponed: Mutex<BTreeSet<String>>,
}

/// Which probes use which Secret, whether it exists or not.
#[derive(Default)]
struct Uses {
    /// Probes, by namespace and name of the Secret.
    probes: BTreeMap<(String, String), BTreeSet<String>>,
    /// Secrets, by namespace and name of the probe.
    secrets: BTreeMap<(String, String), BTreeSet<String>>,
}

/// What fills the stores.
pub struct Feeds {
    pub tenants: Feed<MonitoredTenant>,
    pub pools: Feed<RunnerPool>,
    pub probes: Feed<DrmProbe>,
    pub windows: Feed<MaintenanceWindow>,
    pub reports: Feed<SlaReport>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub fn new(client: Client, metrics: Metrics, options: Options) -> (Context, Feeds) {
        let reporter = Reporter {
            controller: MANAGER.into(),
            instance: Some(options.identity.clone()),
        };
        let recorder = Recorder::new(client.clone(), reporter);
        let (tenants, feed_tenants) = known();
        let (pools, feed_pools) = known();
        let (probes, feed_probes) = known();
        let (windows, feed_windows) = known();
        let (reports, feed_reports) = known();
        let feeds = Feeds {
            tenants: feed_tenants,
            pools: feed_pools,
            probes: feed_probes,
            windows: feed_windows,
            reports: feed_reports,
        };
        let context = Context {
            tenants,
            pools,
            probes,
            windows,
            reports,
            began: Instant::now(),
            client,
            metrics,
            options,
            pressure: Pressure::default(),
            recorder,
            secrets: Mutex::default(),
            queue: Mutex::default(),
            failures: Mutex::default(),
            written: Mutex::default(),
            verdicts: Mutex::default(),
            outcomes: Mutex::default(),
            postponed: Mutex::default(),
        };
        (context, feeds)
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
        let waiting = queue.entry(kind).or_default();
        let object = (namespace.unwrap_or_default(), name);
        if waits {
            waiting.insert(object);
        } else {
            waiting.remove(&object);
        }
        let length = waiting.len() as f64;
        self.metrics.set(&QUEUED, &Owner::program(), &[kind], length);
    }

    /// Whether the status of a probe should wait, since so many others have no plan yet: what runs is more urgent than what
    /// is told of it. It waits once.
    pub fn postpones(&self, uid: &str) -> bool {
        let waiting = lock(&self.queue).get("DrmProbe").map_or(0, BTreeSet::len);
        let mut postponed = lock(&self.postponed);
        if postponed.remove(uid) || waiting < FLOOD {
            return false;
        }
        postponed.insert(uid.to_owned())
    }

    /// Notes that a reconcile broke; how often in a row.
    pub fn failed(&self, kind: &'static str, namespace: Option<String>, name: String) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures
            .entry((kind, namespace.unwrap_or_default(), name))
            .or_default();
        *count += 1;
        *count
    }

    /// Notes that one did not.
    pub fn succeeded(&self, kind: &'static str, namespace: Option<String>, name: String) {
        lock(&self.failures).remove(&(kind, namespace.unwrap_or_default(), name));
    }

    /// Notes what was written.
    pub fn wrote(&self, object: &impl ResourceExt) {
        let mut written = lock(&self.written);
        // A watch that was away for long has not met them; then a reconcile too many does no harm.
        if written.len() > MOST_WRITTEN {
            written.clear();
        }
        written.extend(object.resource_version());
    }

    /// Whether this is what we wrote ourselves: nothing need be done about it.
    pub fn own(&self, object: &impl ResourceExt) -> bool {
        let version = object.resource_version();
        version.is_some_and(|version| lock(&self.written).remove(&version))
    }

    /// Notes which Secrets a probe uses.
    pub fn uses(&self, namespace: &str, probe: &str, secrets: impl IntoIterator<Item = String>) {
        let (mut uses, new) = (lock(&self.secrets), secrets.into_iter().collect::<BTreeSet<_>>());
        let of = |name: &str| (namespace.to_owned(), name.to_owned());
        let old = match new.is_empty() {
            true => uses.secrets.remove(&of(probe)),
            false => uses.secrets.insert(of(probe), new.clone()),
        };
        for secret in old.unwrap_or_default().difference(&new) {
            let Some(probes) = uses.probes.get_mut(&of(secret)) else {
                continue;
            };
            probes.remove(probe);
            if probes.is_empty() {
                uses.probes.remove(&of(secret));
            }
        }
        for secret in new {
            uses.probes
                .entry(of(&secret))
                .or_default()
                .insert(probe.to_owned());
        }
    }

    /// The probes that use a Secret.
    pub fn users(&self, namespace: &str, secret: &str) -> Vec<ObjectRef<DrmProbe>> {
        let uses = lock(&self.secrets);
        let probes = uses.probes.get(&(namespace.to_owned(), secret.to_owned()));
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

    /// Takes the outcome of a round of deliveries in; says whether it is news.
    pub fn outcome(&self, uid: &str, outcome: ReportOutcome) -> bool {
        let mut outcomes = lock(&self.outcomes);
        // Pods are seen many times, and in any order.
        let news = outcomes.get(uid).is_none_or(|old| old.at < outcome.at);
        if news {
            outcomes.insert(uid.to_owned(), outcome);
        }
        news
    }

    /// What came of the last round of deliveries of a report.
    pub fn last_outcome(&self, uid: &str) -> Option<ReportOutcome> {
        lock(&self.outcomes).get(uid).cloned()
    }

    /// Forgets a report.
    pub fn forget_report(&self, namespace: &str, name: &str, uid: &str) {
        self.succeeded("SlaReport", Some(namespace.to_owned()), name.to_owned());
        lock(&self.outcomes).remove(uid);
    }

    /// Forgets a probe.
    pub fn forget(&self, namespace: &str, probe: &str, uid: &str) {
        self.uses(namespace, probe, []);
        self.succeeded("DrmProbe", Some(namespace.to_owned()), probe.to_owned());
        lock(&self.verdicts).remove(uid);
        lock(&self.postponed).remove(uid);
    }
}
