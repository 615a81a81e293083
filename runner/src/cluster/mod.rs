//! The resident runner in a cluster: plans from Secrets, shards by Lease, verdicts to ConfigMaps. The
//! only room of the runner that talks to Kubernetes, and only within the pool's own namespace.

mod cache;
mod notice;
mod ownership;
mod plans;
mod shards;
mod states;
mod verdicts;

use crate::{load::Load, options::Options, scheduler::Scheduler, sink::Sink};
use cache::Cache;
use drmwatch_metrics::{Metrics, Owner, RUNNER_INFO, RUNNER_SHARDS, SHARD_PROBES};
use drmwatch_probe::Engine;
use drmwatch_program::{Health, asked_to_stop};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, api::ObjectMeta};
use ownership::RENEW;
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

/// A runner that has not got through its loop for so long does not work: it lets its Lease run out.
const STUCK: Duration = Duration::from_secs(60);
/// How long a stop waits for what runs; below the pod's termination grace period.
const GRACE: Duration = Duration::from_secs(35);

/// Label of the pool that an object belongs to.
pub const POOL_LABEL: &str = "drmwatch.io/pool";
/// Label of the shard that a plan belongs to.
pub const SHARD_LABEL: &str = "drmwatch.io/shard";

/// The pool that this runner works for.
#[derive(Clone)]
pub struct Pool {
    name: String,
    namespace: String,
    uid: Option<String>,
}

impl Pool {
    /// Metadata of what the runner makes: the pool's property, so that it goes when the pool goes.
    fn metadata(&self, name: String, label: (&str, &str)) -> ObjectMeta {
        let owner = |uid: &String| OwnerReference {
            api_version: format!("{}/{}", drmwatch_api::GROUP, drmwatch_api::VERSION),
            kind: "RunnerPool".to_owned(),
            name: self.name.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        };
        let labels = [(POOL_LABEL, self.name.as_str()), label];
        ObjectMeta {
            name: Some(name),
            labels: Some(
                labels
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect(),
            ),
            owner_references: self.uid.as_ref().map(|uid| vec![owner(uid)]),
            ..ObjectMeta::default()
        }
    }
}

/// Works for a pool until it is asked to stop.
pub async fn run(pool: &str, options: &Options, engine: Arc<Engine>) -> Result<(), Box<dyn Error>> {
    let client = Client::try_default().await?;
    let of = Pool {
        name: pool.to_owned(),
        namespace: options.namespace.clone(),
        uid: options.pool_uid.clone(),
    };
    let metrics = Metrics::default();
    let program = Owner::program();
    metrics.set(
        &RUNNER_INFO,
        &program,
        &[env!("CARGO_PKG_VERSION"), &options.region, pool],
        1.0,
    );
    metrics.set(&RUNNER_SHARDS, &program, &[], 0.0);
    let (sink, transitions) = Sink::new(metrics.clone(), options.evidence.clone(), false);
    let scheduler = Scheduler::new(engine, sink, options.max_runs as usize);
    let (load, memory, places) = (scheduler.load(), scheduler.memory(), scheduler.places());
    let pulse = Pulse::new(load.clone());
    let health = {
        let pulse = pulse.clone();
        Health::new(move || pulse.broken())
    };
    let address = drmwatch_program::serve(options.listen, metrics.clone(), health.clone()).await?;
    info!(pool, namespace = options.namespace, metrics = %address, "resident");
    let shards = options.shards;
    let shard_of = move |uid: &str| places.shard_of(uid, shards);
    let writer = verdicts::Writer::new(client.clone(), of.clone());
    let writer = tokio::spawn(writer.run(transitions, shard_of.clone()));
    let notice = notice::Notice::new(client.clone(), of.clone(), &options.identity);
    tokio::spawn(load.watch(metrics.clone(), notice.teller()));
    let cache = Cache::open(options, pool, metrics.clone());
    let mut keeper = shards::Keeper::new(client.clone(), of.clone(), &options.identity, shards).await;
    let beat = tokio::spawn(pulse.clone().beat(keeper.names()));
    let mut worker = Worker {
        client: client.clone(),
        states: states::HandOver::new(client, of, memory),
        scheduler: Arc::new(Mutex::new(scheduler)),
        pool: pool.to_owned(),
        namespace: options.namespace.clone(),
        shards,
        held: BTreeMap::new(),
        metrics: metrics.clone(),
        cache,
    };
    let stop = asked_to_stop();
    tokio::pin!(stop);
    let (mut first, mut recalled) = (true, false);
    loop {
        match keeper.tick().await {
            Ok(change) => {
                for (shard, unowned) in change.gained {
                    worker.begin(shard, unowned).await;
                }
                worker.end(&change.lost).await;
                for identity in keeper.tidy().await {
                    notice.forget(&identity).await;
                }
                if std::mem::take(&mut first) {
                    worker.drop_foreign().await;
                }
                health.set_ready(true);
                metrics.set(&RUNNER_SHARDS, &program, &[], worker.held.len() as f64);
            }
            // Without the API server this runner keeps what it has: a slot may run twice, it is never
            // silently skipped.
            Err(error) => {
                let error = &error as &dyn Error;
                warn!(error, "the Leases can't be read; what runs goes on");
                if first && !recalled && worker.recall().await > 0 {
                    recalled = true;
                    health.set_ready(true);
                }
            }
        }
        pulse.felt();
        // Before there is a plan, the last word is our predecessor's.
        if !first || recalled {
            worker.cache.alive(drmwatch_program::now());
        }
        tokio::select! {
            () = &mut stop => break,
            () = sleep(RENEW) => {}
        }
    }
    health.set_ready(false);
    beat.abort();
    let _ = beat.await;
    worker.leave().await;
    if let Err(error) = keeper.leave().await {
        let error = &error as &dyn Error;
        warn!(error, "the Leases could not be given back; they will run out");
    }
    notice.forget(&options.identity).await;
    // The scheduler holds the sender of transitions: with it the writer ends, once all is written.
    drop(worker);
    let _ = tokio::time::timeout(Duration::from_secs(3), writer).await;
    Ok(())
}

/// Whether the runner works: its loop turns, and its runs end. If not, it lets its member Lease run out, so that others
/// take its shards over, and fails its liveness check.
#[derive(Clone)]
struct Pulse {
    load: Load,
    turned: Arc<std::sync::Mutex<Instant>>,
}

impl Pulse {
    fn new(load: Load) -> Pulse {
        let turned = Arc::new(std::sync::Mutex::new(Instant::now()));
        Pulse { load, turned }
    }

    /// The loop has turned once more.
    fn felt(&self) {
        *self.turned.lock().unwrap_or_else(|e| e.into_inner()) = Instant::now();
    }

    fn broken(&self) -> Option<String> {
        let since = self.turned.lock().unwrap_or_else(|e| e.into_inner()).elapsed();
        let stuck = (since > STUCK).then(|| format!("the loop has not turned for {} s", since.as_secs()));
        self.load.wedged().or(stuck)
    }

    /// Renews the member Lease for as long as the runner works. Apart from the loop: what a hand-over waits for must not
    /// look like a death.
    async fn beat(self, names: shards::Names) {
        loop {
            match self.broken() {
                Some(why) => error!(why, "the runner does not work; its shards are left to others"),
                None => {
                    if let Err(error) = names.renew().await {
                        let error = &error as &dyn Error;
                        warn!(error, "the member Lease can't be renewed; what runs goes on");
                    }
                }
            }
            sleep(RENEW).await;
        }
    }
}

/// What a runner does about its shards.
struct Worker {
    client: Client,
    states: states::HandOver,
    scheduler: Arc<Mutex<Scheduler>>,
    pool: String,
    namespace: String,
    shards: u32,
    /// What watches the plans of each shard that is held.
    held: BTreeMap<u32, JoinHandle<()>>,
    metrics: Metrics,
    cache: Cache,
}

impl Worker {
    async fn begin(&mut self, shard: u32, unowned: Option<Timestamp>) {
        let since = unowned.map(|at| at.to_string()).unwrap_or_default();
        info!(shard, unowned_since = since, "took the shard");
        self.states.take(shard).await;
        let selector = format!("{POOL_LABEL}={},{SHARD_LABEL}={shard}", self.pool);
        let source = plans::Source {
            api: Api::namespaced(self.client.clone(), &self.namespace),
            selector,
            shard,
            shards: self.shards,
            unowned,
            metrics: self.metrics.clone(),
            cache: self.cache.clone(),
            known: BTreeMap::new(),
        };
        let watch = tokio::spawn(source.run(self.scheduler.clone()));
        self.held.insert(shard, watch);
    }

    async fn uids(&self, of: impl Fn(u32) -> bool) -> Vec<String> {
        let scheduler = self.scheduler.lock().await;
        let (mut uids, places) = (scheduler.uids(), scheduler.places());
        uids.retain(|uid| of(places.shard_of(uid, self.shards)));
        uids
    }

    /// Ends the work on shards, on all of them at once: what runs may end, what it remembers is left to the next owners.
    /// The Leases are let go after the next look: until then nobody else begins.
    async fn end(&mut self, lost: &[u32]) {
        if lost.is_empty() {
            return;
        }
        for shard in lost {
            info!(shard, "gave the shard up");
            if let Some(watch) = self.held.remove(shard) {
                watch.abort();
                let _ = watch.await;
            }
        }
        let uids = self.uids(|of| lost.contains(&of)).await;
        let ending = self.scheduler.lock().await.hand_over(&uids);
        ending.await;
        let places = self.scheduler.lock().await.places();
        self.scheduler.lock().await.forget(&uids);
        for shard in lost {
            let of_shard = uids
                .iter()
                .filter(|uid| places.shard_of(uid, self.shards) == *shard);
            self.states.leave(*shard, of_shard.cloned()).await;
            self.cache.drop_shard(*shard);
            let label = shard.to_string();
            self.metrics.remove(&SHARD_PROBES, &Owner::program(), &[&label]);
        }
    }

    /// Runs what the cache holds, since the API server does not answer; how many plans.
    async fn recall(&mut self) -> usize {
        let mut scheduler = self.scheduler.lock().await;
        if !scheduler.uids().is_empty() {
            return 0;
        }
        let (plans, alive) = self.cache.read();
        let count = plans.len();
        for (plan, secrets) in plans {
            let fingerprint = crate::standalone::fingerprint(&plan, &secrets);
            scheduler.upsert(plan, secrets, fingerprint, alive);
        }
        if count > 0 {
            warn!(
                plans = count,
                "started from the cache: the API server does not answer"
            );
        }
        count
    }

    /// What was run from the cache and is not ours any more.
    async fn drop_foreign(&mut self) {
        let held = &self.held;
        let foreign = self.uids(|shard| !held.contains_key(&shard)).await;
        let mut scheduler = self.scheduler.lock().await;
        foreign.iter().for_each(|uid| scheduler.remove(uid, false));
        drop(scheduler);
        self.cache.keep_only(&self.held.keys().copied().collect());
    }

    async fn leave(&mut self) {
        for watch in self.held.values() {
            watch.abort();
        }
        let scheduler = self.scheduler.clone();
        let mut scheduler = scheduler.lock().await;
        let (uids, places) = (scheduler.uids(), scheduler.places());
        scheduler.shut_down(GRACE).await;
        for shard in self.held.keys() {
            let of_shard = uids
                .iter()
                .filter(|uid| places.shard_of(uid, self.shards) == *shard);
            self.states.leave(*shard, of_shard.cloned()).await;
        }
    }
}
