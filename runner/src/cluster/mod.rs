//! The resident runner in a cluster: plans from Secrets, shards by Lease, verdicts to ConfigMaps. The
//! only room of the runner that talks to Kubernetes, and only within the pool's own namespace.

mod plans;
mod shards;
mod states;
mod verdicts;

use crate::{options::Options, scheduler::Scheduler, sink::Sink};
use drmwatch_metrics::{Metrics, Owner, RUNNER_INFO, RUNNER_SHARDS};
use drmwatch_probe::Engine;
use drmwatch_program::{Health, asked_to_stop};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, api::ObjectMeta};
use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};
use tokio::{sync::Mutex, task::JoinHandle, time::sleep};
use tracing::{info, warn};

/// How often Leases are renewed and looked at.
const RENEW: Duration = Duration::from_secs(2);
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
    let load = scheduler.load();
    let scheduler = Arc::new(Mutex::new(scheduler));
    let health = {
        let load = load.clone();
        Health::new(move || load.wedged())
    };
    let address = drmwatch_program::serve(options.listen, metrics.clone(), health.clone()).await?;
    info!(pool, namespace = options.namespace, metrics = %address, "resident");
    let shard_of = {
        let (shards, places) = (options.shards, scheduler.lock().await.places());
        move |uid: &str| places.shard_of(uid, shards)
    };
    let writer = verdicts::Writer::new(client.clone(), of.clone());
    let writer = tokio::spawn(writer.run(transitions, shard_of.clone()));
    let memory = scheduler.lock().await.memory();
    let states = states::HandOver::new(client.clone(), of.clone(), memory);
    let mut keeper = shards::Keeper::new(client.clone(), of, &options.identity, options.shards);
    let mut held: BTreeMap<u32, JoinHandle<()>> = BTreeMap::new();
    let stop = asked_to_stop();
    tokio::pin!(stop);
    loop {
        match keeper.tick().await {
            Ok(change) => {
                for shard in change.gained {
                    info!(shard, "took the shard");
                    states.take(shard).await;
                    let source = plans::Source::new(client.clone(), options, pool, shard);
                    held.insert(shard, tokio::spawn(source.run(scheduler.clone())));
                }
                for shard in change.lost {
                    info!(shard, "gave the shard up");
                    if let Some(watch) = held.remove(&shard) {
                        watch.abort();
                        let _ = watch.await;
                    }
                    let mut scheduler = scheduler.lock().await;
                    let mut uids = scheduler.uids();
                    uids.retain(|uid| shard_of(uid) == shard);
                    for uid in &uids {
                        scheduler.remove(uid, false);
                    }
                    drop(scheduler);
                    // The Lease is let go at the next tick: until then nobody else reads this.
                    states.leave(shard, uids.into_iter()).await;
                }
                health.set_ready(true);
                metrics.set(&RUNNER_SHARDS, &program, &[], held.len() as f64);
            }
            // Without the API server this runner keeps what it has: a slot may run twice, it is never
            // silently skipped.
            Err(error) => warn!(
                error = &error as &dyn Error,
                "the API server does not answer; what runs goes on"
            ),
        }
        tokio::select! {
            () = &mut stop => break,
            () = sleep(RENEW) => {}
        }
    }
    health.set_ready(false);
    for watch in held.values() {
        watch.abort();
    }
    let uids = scheduler.lock().await.uids();
    scheduler.lock().await.shut_down(GRACE).await;
    for shard in held.keys() {
        let of_shard = uids.iter().filter(|uid| shard_of(uid) == *shard);
        states.leave(*shard, of_shard.cloned()).await;
    }
    if let Err(error) = keeper.leave().await {
        warn!(
            error = &error as &dyn Error,
            "the Leases could not be given back; they will run out"
        );
    }
    // The scheduler holds the sender of transitions: with it the writer ends, once all is written.
    drop(scheduler);
    let _ = tokio::time::timeout(Duration::from_secs(3), writer).await;
    Ok(())
}
