//! What a runner does about its shards: reads their plans, runs them, hands them over.

use super::{POOL_LABEL, Pool, SHARD_LABEL, cache::Cache, plans, states};
use crate::scheduler::Scheduler;
use drmwatch_metrics::{Metrics, Owner, SHARD_PROBES};
use jiff::Timestamp;
use kube::{Api, Client};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::{
    sync::{Mutex, Notify},
    task::JoinHandle,
};
use tracing::{info, warn};

/// Works on shards.
pub struct Worker {
    pub client: Client,
    pub pool: Pool,
    pub states: states::HandOver,
    pub scheduler: Arc<Mutex<Scheduler>>,
    pub shards: u32,
    pub held: BTreeMap<u32, Held>,
    pub metrics: Metrics,
    pub cache: Cache,
    /// Told when the plans of a shard are here.
    pub news: Arc<Notify>,
}

/// A shard that runs here, or could.
pub struct Held {
    /// What watches its plans, while it runs.
    watch: Option<JoinHandle<()>>,
    loaded: plans::Loaded,
    /// Since when nothing of it begins here.
    offered: Option<Timestamp>,
}

impl Held {
    /// No plan comes or goes after that.
    async fn unwatch(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.abort();
            let _ = watch.await;
        }
    }
}

impl Worker {
    /// Whether the plans of the shard are here, and run.
    pub fn works(&self, shard: u32) -> bool {
        let held = self.held.get(&shard);
        held.is_some_and(|held| held.offered.is_none() && held.loaded.get())
    }

    /// How many shards run here.
    pub fn running(&self) -> usize {
        self.held.values().filter(|held| held.offered.is_none()).count()
    }

    /// Begins with a shard that nobody had since then.
    pub async fn begin(&mut self, shard: u32, unowned: Option<Timestamp>) {
        let since = unowned.map(|at| at.to_string()).unwrap_or_default();
        info!(shard, unowned_since = since, "took the shard");
        self.states.take(shard).await;
        self.watch(shard, unowned);
    }

    fn watch(&mut self, shard: u32, unowned: Option<Timestamp>) {
        let loaded = plans::Loaded::not_yet(&self.news);
        let source = plans::Source {
            api: Api::namespaced(self.client.clone(), &self.pool.namespace),
            selector: format!("{POOL_LABEL}={},{SHARD_LABEL}={shard}", self.pool.name),
            shard,
            shards: self.shards,
            unowned,
            metrics: self.metrics.clone(),
            cache: self.cache.clone(),
            loaded: loaded.clone(),
            known: BTreeMap::new(),
        };
        let watch = Some(tokio::spawn(source.run(self.scheduler.clone())));
        let held = Held {
            watch,
            loaded,
            offered: None,
        };
        self.held.insert(shard, held);
    }

    /// UIDs of what runs of a shard.
    async fn uids(&self, shard: u32) -> Vec<String> {
        let scheduler = self.scheduler.lock().await;
        let (mut uids, places) = (scheduler.uids(), scheduler.places());
        uids.retain(|uid| places.shard_of(uid, self.shards) == shard);
        uids
    }

    /// Ends what runs of shards, of all of them at once, and leaves what it remembers to the next owners; it can go on.
    /// Since when nothing begins.
    pub async fn offer(&mut self, shards: &[u32]) -> Timestamp {
        let (since, mut all) = (drmwatch_program::now(), BTreeMap::new());
        for shard in shards {
            let Some(held) = self.held.get_mut(shard).filter(|held| held.offered.is_none()) else {
                continue;
            };
            held.offered = Some(since);
            held.unwatch().await;
            info!(shard, "offers the shard");
            all.insert(*shard, self.uids(*shard).await);
        }
        let uids: Vec<String> = all.values().flatten().cloned().collect();
        let ended = self.scheduler.lock().await.drain(&uids);
        ended.await;
        let left = all
            .into_iter()
            .map(|(shard, uids)| self.states.leave(shard, uids));
        futures::future::join_all(left).await;
        since
    }

    /// Goes on with shards that were offered. Another may have said something of them meanwhile: what is so is said again.
    pub async fn go_on(&mut self, shards: &[u32]) {
        for shard in shards {
            let Some(held) = self.held.get(shard) else {
                continue;
            };
            let (offered, uids) = (held.offered, self.uids(*shard).await);
            let mut scheduler = self.scheduler.lock().await;
            scheduler.tell_again(&uids);
            let Some(since) = offered else { continue };
            warn!(shard, "nobody took the shard; it goes on here");
            scheduler.go_on(&uids, since);
            drop(scheduler);
            // What is new was made meanwhile.
            self.watch(*shard, None);
        }
    }

    /// Forgets shards that another works on.
    pub async fn end(&mut self, shards: &[u32]) {
        for shard in shards {
            info!(shard, "gave the shard up");
            if let Some(mut held) = self.held.remove(shard) {
                held.unwatch().await;
            }
            let uids = self.uids(*shard).await;
            let mut scheduler = self.scheduler.lock().await;
            uids.iter().for_each(|uid| scheduler.remove(uid, false));
            self.cache.drop_shard(*shard);
            let label = shard.to_string();
            self.metrics.remove(&SHARD_PROBES, &Owner::program(), &[&label]);
        }
    }

    /// Runs what the cache holds, since the API server does not answer. The shards that it is of.
    pub async fn recall(&mut self) -> BTreeSet<u32> {
        let (plans, alive) = self.cache.read();
        let (count, mut shards) = (plans.len(), BTreeSet::new());
        let mut scheduler = self.scheduler.lock().await;
        for (plan, secrets) in plans {
            shards.insert(drmwatch_plan::shard_of(&plan.shard_key(), self.shards));
            let fingerprint = crate::standalone::fingerprint(&plan, &secrets);
            scheduler.upsert(plan, secrets, fingerprint, alive);
        }
        drop(scheduler);
        if count > 0 {
            warn!(
                plans = count,
                "started from the cache: the API server does not answer"
            );
        }
        shards.iter().for_each(|shard| self.watch(*shard, None));
        shards
    }

    /// Takes out of the cache what is not held.
    pub fn forget_others(&self) {
        self.cache.keep_only(&self.held.keys().copied().collect());
    }
}
