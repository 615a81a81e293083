//! The status writer: transitions to one ConfigMap for each shard, in the pool's own namespace, from
//! where the operator folds them into the probes' status. So a runner, which talks to hostile networks,
//! needs no right on any tenant's object.

use super::{
    Pool,
    patience::{Unanswered, patiently},
};
use crate::sink::Transition;
use drmwatch_plan::VerdictRecord;
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

    /// Writes until there is nothing more to come and nothing left. What a runner saw of a shard that it has lost is not
    /// written over what the owner sees; that a probe has gone is true whoever says it. What can't be written is tried
    /// again with the next news of whose the shards are.
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
                    Some((uid, record)) => drop(self.pending.insert(uid, record)),
                    None => open = false,
                },
                Ok(()) = ours.changed() => {}
                else => break,
            }
            while let Ok((uid, record)) = transitions.try_recv() {
                self.pending.insert(uid, record);
            }
            let Some(ours) = ours.borrow_and_update().clone() else {
                continue;
            };
            self.pending
                .retain(|uid, record| record.is_none() || ours.contains(&shard_of(uid)));
            let mut shards: BTreeMap<u32, BTreeMap<String, Value>> = BTreeMap::new();
            for (uid, record) in &self.pending {
                let text = record.as_ref().map_or(Value::Null, |r| {
                    json!(serde_json::to_string(r).unwrap_or_default())
                });
                shards.entry(shard_of(uid)).or_default().insert(key(uid), text);
            }
            for (shard, entries) in shards {
                match self.write(shard, &entries).await {
                    Ok(()) => self.pending.retain(|uid, _| shard_of(uid) != shard),
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
        let metadata = self.pool.metadata(name, ("drmwatch.io/verdicts", "true"));
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
