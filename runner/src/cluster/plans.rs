//! Plans of one shard, from their Secrets.

use super::{POOL_LABEL, SHARD_LABEL};
use crate::{options::Options, scheduler::Scheduler};
use drmwatch_plan::{CREDENTIAL_PREFIX, PLAN_KEY, Plan, Secrets};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
};
use tokio::sync::Mutex;
use tracing::warn;

/// Watches the plans of one shard.
pub struct Source {
    api: Api<Secret>,
    shard: u32,
    shards: u32,
    selector: String,
    /// UID of the plan in each Secret, by the Secret's name.
    known: BTreeMap<String, String>,
}

impl Source {
    /// A source for one shard of a pool.
    pub fn new(client: Client, options: &Options, pool: &str, shard: u32) -> Source {
        let selector = format!("{POOL_LABEL}={pool},{SHARD_LABEL}={shard}");
        Source {
            api: Api::namespaced(client, &options.namespace),
            shard,
            shards: options.shards,
            selector,
            known: BTreeMap::new(),
        }
    }

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
                    let gone: Vec<String> = self
                        .known
                        .keys()
                        .filter(|n| !listed.contains(*n))
                        .cloned()
                        .collect();
                    let mut scheduler = scheduler.lock().await;
                    gone.iter().for_each(|name| self.drop(name, &mut scheduler));
                }
                Ok(watcher::Event::Apply(secret)) => self.take(&secret, &mut *scheduler.lock().await),
                Ok(watcher::Event::Delete(secret)) => {
                    self.drop(
                        secret.metadata.name.as_deref().unwrap_or_default(),
                        &mut *scheduler.lock().await,
                    );
                }
                Err(error) => warn!(
                    error = &error as &dyn Error,
                    "plans can't be watched; what runs goes on"
                ),
            }
        }
    }

    fn take(&mut self, secret: &Secret, scheduler: &mut Scheduler) {
        let name = secret.metadata.name.clone().unwrap_or_default();
        match parse(secret) {
            Ok((plan, secrets)) => {
                self.known.insert(name, plan.uid.clone());
                let fingerprint = crate::standalone::fingerprint(&plan, &secrets);
                scheduler.upsert(plan, secrets, fingerprint, None);
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
