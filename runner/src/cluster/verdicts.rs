//! The status writer: transitions to one ConfigMap for each shard, in the pool's own namespace, from
//! where the operator folds them into the probes' status. So a runner, which talks to hostile networks,
//! needs no right on any tenant's object.

use super::{
    Pool,
    patience::{Unanswered, patiently},
};
use crate::sink::{News, Transition};
use drmwatch_outcome::VerdictRecord;
use drmwatch_plan::contract;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, watch};
use tracing::warn;

/// Shards that are ours, as far as we know; nothing while the Leases can't be read.
pub type Ours = Option<BTreeSet<u32>>;

/// Writes transitions.
pub struct Writer {
    api: Api<ConfigMap>,
    pool: Pool,
    /// What is still to be written: the latest of each probe, so that it is bounded by their number.
    pending: BTreeMap<String, Option<VerdictRecord>>,
}

impl Writer {
    /// A writer for a pool.
    pub fn new(client: Client, pool: Pool) -> Writer {
        Writer {
            api: Api::namespaced(client, &pool.namespace),
            pool,
            pending: BTreeMap::new(),
        }
    }

    /// Writes until there is nothing more to come and nothing left. What was seen of a shard that is another's is not written
    /// over what its owner sees: it waits until the shard is ours, or has been given up. That a probe has gone is true
    /// whoever says it. What can't be written is tried again with the next news of whose the shards are.
    pub async fn run(
        mut self,
        mut transitions: mpsc::UnboundedReceiver<Transition>,
        mut ours: watch::Receiver<Ours>,
        shard_of: impl Fn(&str) -> u32,
    ) {
        let mut open = true;
        while open || !self.pending.is_empty() {
            tokio::select! {
                next = transitions.recv(), if open => match next {
                    Some(news) => self.take(news),
                    None => open = false,
                },
                Ok(()) = ours.changed() => {}
                else => break,
            }
            while let Ok(news) = transitions.try_recv() {
                self.take(news);
            }
            let Some(ours) = ours.borrow_and_update().clone() else {
                continue;
            };
            let mut shards: BTreeMap<u32, BTreeMap<String, Value>> = BTreeMap::new();
            for (uid, record) in &self.pending {
                if record.is_some() && !ours.contains(&shard_of(uid)) {
                    continue;
                }
                let text = record.as_ref().map_or(Value::Null, |r| {
                    json!(serde_json::to_string(r).unwrap_or_default())
                });
                shards.entry(shard_of(uid)).or_default().insert(key(uid), text);
            }
            for (shard, entries) in shards {
                match self.write(shard, &entries).await {
                    Ok(()) => self.pending.retain(|uid, _| !entries.contains_key(&key(uid))),
                    Err(error) => {
                        warn!(
                            shard,
                            error = &error as &dyn std::error::Error,
                            "verdicts can't be written; will try again"
                        );
                    }
                }
            }
        }
    }

    fn take(&mut self, (uid, news): Transition) {
        match news {
            News::Verdict(record) => drop(self.pending.insert(uid, Some(record))),
            News::Gone => drop(self.pending.insert(uid, None)),
            News::LeftToOthers => drop(self.pending.remove(&uid)),
        }
    }

    async fn write(&self, shard: u32, entries: &BTreeMap<String, Value>) -> Result<(), Unanswered> {
        let name = format!("{}-verdicts-{shard}", self.pool.name);
        let patch = Patch::Merge(json!({ "data": entries }));
        match patiently(self.api.patch(&name, &PatchParams::default(), &patch)).await {
            Err(Unanswered::Api(Error::Api(status))) if status.code == 404 => {}
            other => return other.map(drop),
        }
        if entries.values().all(Value::is_null) {
            return Ok(());
        }
        let metadata = self.pool.metadata(name, (contract::VERDICTS, "true"));
        let data = entries
            .iter()
            .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
            .collect();
        let map = ConfigMap {
            metadata,
            data: Some(data),
            ..ConfigMap::default()
        };
        patiently(self.api.create(&PostParams::default(), &map))
            .await
            .map(drop)
    }
}

/// ConfigMap keys allow letters, digits, `-`, `_` and `.`; a UID has no others.
pub fn key(uid: &str) -> String {
    uid.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}
