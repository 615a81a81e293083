//! The resident runner in a cluster: plans from Secrets, shards by Lease, verdicts to ConfigMaps. The
//! only room of the runner that talks to Kubernetes, and only within the pool's own namespace.

mod cache;
mod notice;
mod ownership;
mod patience;
mod plans;
mod shards;
mod states;
mod verdicts;
mod worker;

use crate::{load::Load, options::Options, results::Recorder, scheduler::Scheduler, sink::Sink};
use cache::Cache;
use drmwatch_metrics::{Metrics, Owner, RUNNER_INFO, RUNNER_SHARDS};
use drmwatch_probe::Engine;
use drmwatch_program::{Health, asked_to_stop};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, api::ObjectMeta};
use ownership::RENEW;
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep},
};
use tracing::{error, info, warn};
use worker::Worker;

/// A runner that has not got through its loop for so long does not work: it lets its Lease run out.
const STUCK: Duration = Duration::from_secs(45);
/// How long a stop waits for what runs; below the pod's termination grace period.
const GRACE: Duration = Duration::from_secs(35);

pub use drmwatch_plan::contract::POOL as POOL_LABEL;
pub use drmwatch_plan::contract::SHARD as SHARD_LABEL;

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
    let (mut sink, transitions) = Sink::new(metrics.clone(), options.evidence.clone(), false);
    let recorder = Recorder::open(options, Some(options.shards), &metrics)?;
    sink.recorder = recorder.clone();
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
    let (ours, whose) = watch::channel(None);
    let writer = verdicts::Writer::new(client.clone(), of.clone());
    let writer = tokio::spawn(writer.run(transitions, whose, shard_of));
    let notice = notice::Notice::new(client.clone(), of.clone(), &options.identity);
    tokio::spawn(load.watch(metrics.clone(), notice.teller()));
    let cache = Cache::open(options, pool, metrics.clone());
    let mut keeper = shards::Keeper::new(client.clone(), of.clone(), &options.identity, shards).await;
    let beat = tokio::spawn(pulse.clone().beat(keeper.names()));
    let mut worker = Worker {
        states: states::HandOver::new(client.clone(), of.clone(), memory),
        client,
        pool: of,
        scheduler: Arc::new(Mutex::new(scheduler)),
        shards,
        held: BTreeMap::new(),
        metrics: metrics.clone(),
        cache,
        news: Arc::new(Notify::new()),
    };
    let stop = asked_to_stop();
    tokio::pin!(stop);
    let (mut first, mut recalled) = (true, false);
    loop {
        match keeper.look(|shard| worker.works(shard)).await {
            Ok(change) => {
                // Before the first verdict of a new one.
                ours.send_replace(Some(keeper.ours()));
                for (shard, unowned) in change.gained {
                    worker.begin(shard, unowned).await;
                }
                worker.go_on(&change.kept).await;
                worker.end(&change.lost).await;
                let since = worker.offer(&change.offered).await;
                // Whose verdict comes last must be the next owner's.
                ours.send_modify(|ours| {
                    ours.iter_mut()
                        .for_each(|ours| ours.retain(|s| !change.offered.contains(s)))
                });
                worker.go_on(&keeper.let_go(&change.offered, since).await).await;
                for identity in keeper.tidy().await {
                    notice.forget(&identity).await;
                }
                if std::mem::take(&mut first) {
                    worker.forget_others();
                }
                health.set_ready(true);
            }
            // Without the API server this runner keeps what it has: a slot may run twice, it is never
            // silently skipped.
            Err(error) => {
                let error = &error as &dyn Error;
                warn!(error, "the Leases can't be read; what runs goes on");
                ours.send_replace(None);
                worker.go_on(&keeper.blind()).await;
                if first && !recalled {
                    let shards = worker.recall().await;
                    recalled = !shards.is_empty();
                    health.set_ready(recalled);
                    keeper.recalled(shards);
                }
            }
        }
        metrics.set(&RUNNER_SHARDS, &program, &[], worker.running() as f64);
        pulse.felt();
        // Before there is a plan, the last word is our predecessor's.
        if !first || recalled {
            worker.cache.alive(pulse.settled());
        }
        tokio::select! {
            () = &mut stop => break,
            () = worker.news.notified() => {}
            () = sleep(RENEW) => {}
        }
    }
    health.set_ready(false);
    beat.abort();
    let _ = beat.await;
    let all: Vec<u32> = worker.held.keys().copied().collect();
    let since = worker.offer(&all).await;
    ours.send_replace(Some(Default::default()));
    keeper.let_go(&all, since).await;
    if let Err(error) = keeper.leave().await {
        let error = &error as &dyn Error;
        warn!(error, "the Leases could not be given back; they will run out");
    }
    worker.scheduler.lock().await.shut_down(GRACE).await;
    recorder.close().await;
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

    /// Until when all that was due has ended.
    fn settled(&self) -> Timestamp {
        drmwatch_program::now() - self.load.unsettled()
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
                    if let Err(error) = names.renew(self.settled()).await {
                        let error = &error as &dyn Error;
                        warn!(error, "the member Lease can't be renewed; what runs goes on");
                    }
                }
            }
            sleep(RENEW).await;
        }
    }
}
