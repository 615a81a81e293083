//! Plans of one shard, from their Secrets.

use super::cache::Cache;
use crate::scheduler::Scheduler;
use drmwatch_metrics::{Metrics, Owner, SHARD_PROBES};
use drmwatch_plan::{CREDENTIAL_PREFIX, PLAN_KEY, Plan, Secrets};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Mutex, Notify};
use tracing::warn;

/// Whether the plans of a shard are here. Clones share it.
#[derive(Clone)]
pub struct Loaded {
    here: Arc<AtomicBool>,
    news: Arc<Notify>,
}

impl Loaded {
    /// Not yet; `news` will be told.
    pub fn not_yet(news: &Arc<Notify>) -> Loaded {
        Loaded {
            here: Arc::default(),
            news: news.clone(),
        }
    }

    /// Whether they are.
    pub fn get(&self) -> bool {
        self.here.load(Ordering::Relaxed)
    }

    fn say(&self) {
        if !self.here.swap(true, Ordering::Relaxed) {
            self.news.notify_one();
        }
    }
}

/// Watches the plans of one shard.
pub struct Source {
    pub api: Api<Secret>,
    pub selector: String,
    pub shard: u32,
    pub shards: u32,
    /// Since when nobody had the shard, where that is known.
    pub unowned: Option<Timestamp>,
    pub metrics: Metrics,
    pub cache: Cache,
    pub loaded: Loaded,
    /// UID of the plan in each Secret, by the Secret's name.
    pub known: BTreeMap<String, String>,
}

impl Source {
    /// Brings the scheduler in step with the Secrets, for as long as it is let.
    pub async fn run(mut self, scheduler: Arc<Mutex<Scheduler>>) {
        // Shorter than the idle limit of common load balancers, behind which a watch would hang.
        let config = watcher::Config::default().labels(&self.selector).timeout(200);
        let mut events = watcher(self.api.clone(), config).default_backoff().boxed();
        let mut listed = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listed.clear(),
                Ok(watcher::Event::InitApply(secret)) => {
                    listed.extend(secret.metadata.name.clone());
                    self.take(&secret, &mut *scheduler.lock().await);
                }
                Ok(watcher::Event::InitDone) => {
                    let missing = |n: &&String| !listed.contains(*n);
                    let gone: Vec<String> = self.known.keys().filter(missing).cloned().collect();
                    let mut scheduler = scheduler.lock().await;
                    gone.iter().for_each(|name| self.drop(name, &mut scheduler));
                    self.drop_unlisted(&mut scheduler);
                    // What comes from now on is new.
                    self.unowned = None;
                    self.loaded.say();
                }
                Ok(watcher::Event::Apply(secret)) => self.take(&secret, &mut *scheduler.lock().await),
                Ok(watcher::Event::Delete(secret)) => {
                    self.drop(
                        secret.metadata.name.as_deref().unwrap_or_default(),
                        &mut *scheduler.lock().await,
                    );
                }
                Err(error) => {
                    let error = &error as &dyn Error;
                    warn!(error, "plans can't be watched; what runs goes on");
                }
            }
            let label = self.shard.to_string();
            let plans = self.known.len() as f64;
            self.metrics
                .set(&SHARD_PROBES, &Owner::program(), &[&label], plans);
        }
    }

    /// Plans that were started from the cache and are there no more.
    fn drop_unlisted(&mut self, scheduler: &mut Scheduler) {
        let known: BTreeSet<&String> = self.known.values().collect();
        let places = scheduler.places();
        for uid in scheduler.uids() {
            if places.shard_of(&uid, self.shards) == self.shard && !known.contains(&uid) {
                scheduler.remove(&uid, true);
                self.cache.drop_plan(self.shard, &uid);
            }
        }
    }

    fn take(&mut self, secret: &Secret, scheduler: &mut Scheduler) {
        let name = secret.metadata.name.clone().unwrap_or_default();
        match parse(secret) {
            Ok((plan, secrets)) => {
                self.known.insert(name, plan.uid.clone());
                let fingerprint = crate::standalone::fingerprint(&plan, &secrets);
                // The cache keeps its windows, too.
                let kept = plan.excluded_by.iter().flat_map(|w| w.bytes());
                let kept = kept.fold(fingerprint, |f, b| f.rotate_left(5) ^ u64::from(b));
                self.cache.put(self.shard, &plan, &secrets, kept);
                // A probe that was made while nobody had the shard has no slots from before.
                let made = secret.metadata.creation_timestamp.as_ref().map(|t| t.0);
                let unowned = self
                    .unowned
                    .map(|since| made.map_or(since, |made| since.max(made)));
                scheduler.upsert(plan, secrets, fingerprint, unowned);
            }
            // A newer operator may write what this runner does not know yet.
            Err(error) => warn!(secret = name, %error, "the plan can't be read; an older one goes on"),
        }
    }

    fn drop(&mut self, name: &str, scheduler: &mut Scheduler) {
        let Some(uid) = self.known.remove(name) else {
            return;
        };
        // A plan whose tenant was given a budget, or lost it, moves to another shard: the news of the new place may come
        // before this one of the old.
        if scheduler.places().shard_of(&uid, self.shards) == self.shard {
            scheduler.remove(&uid, true);
            self.cache.drop_plan(self.shard, &uid);
        }
    }
}

fn parse(secret: &Secret) -> Result<(Plan, Secrets), serde_json::Error> {
    let data = secret.data.clone().unwrap_or_default();
    let plan = serde_json::from_slice(data.get(PLAN_KEY).map(|b| b.0.as_slice()).unwrap_or_default())?;
    let mut secrets = Secrets::default();
    for (key, value) in &data {
        if let Some(name) = key.strip_prefix(CREDENTIAL_PREFIX) {
            secrets.insert(name, String::from_utf8_lossy(&value.0));
        }
    }
    Ok((plan, secrets))
}
