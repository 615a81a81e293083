//! The hand-over of what probes remember: one ConfigMap for each shard, written when a shard is given up and
//! read when it is taken. Without it the new owner looks twice where it must, so nothing waits for it.

use super::{
    Pool,
    patience::{Unanswered, patiently},
};
use crate::memory::Memory;
use drmwatch_plan::contract;
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use std::collections::BTreeMap;
use tracing::{info, warn};

/// A ConfigMap holds one MiB, keys and Base64 included: what does not fit stays behind.
const MOST_BYTES: usize = 700 << 10;

/// Hands memories over.
pub struct HandOver {
    api: Api<ConfigMap>,
    pool: Pool,
    memory: Memory,
}

impl HandOver {
    /// For a pool.
    pub fn new(client: Client, pool: Pool, memory: Memory) -> HandOver {
        HandOver {
            api: Api::namespaced(client, &pool.namespace),
            pool,
            memory,
        }
    }

    fn name(&self, shard: u32) -> String {
        format!("{}-state-{shard}", self.pool.name)
    }

    /// Leaves the memories of these probes for the shard's next owner.
    pub async fn leave(&self, shard: u32, uids: Vec<String>) {
        let (mut data, mut bytes) = (BTreeMap::new(), 0);
        for uid in uids {
            let Some(packed) = self.memory.pack(&uid) else {
                continue;
            };
            bytes += packed.len() + uid.len();
            if bytes <= MOST_BYTES {
                data.insert(uid, ByteString(packed));
            }
        }
        if data.is_empty() {
            return;
        }
        let count = data.len();
        let map = ConfigMap {
            metadata: self.pool.metadata(self.name(shard), (contract::STATE, "true")),
            binary_data: Some(data),
            ..ConfigMap::default()
        };
        // The whole of it is ours: what an owner of long ago left goes.
        let apply = PatchParams::apply("drmwatch-runner").force();
        let (name, patch) = (self.name(shard), Patch::Apply(&map));
        match patiently(self.api.patch(&name, &apply, &patch)).await {
            Ok(_) => info!(
                shard,
                probes = count,
                "left what the probes remember to the next owner"
            ),
            Err(error) => self.failed(shard, &error),
        }
    }

    /// Takes in what the shard's last owner left.
    pub async fn take(&self, shard: u32) {
        match patiently(self.api.get_opt(&self.name(shard))).await {
            Ok(None) => {}
            Ok(Some(map)) => {
                let now = drmwatch_program::now();
                let left = map.binary_data.unwrap_or_default();
                let taken = left
                    .iter()
                    .filter(|(uid, packed)| self.memory.unpack(uid, &packed.0, now))
                    .count();
                info!(shard, probes = taken, "took over what the probes remember");
            }
            Err(error) => self.failed(shard, &error),
        }
    }

    fn failed(&self, shard: u32, error: &Unanswered) {
        warn!(
            shard,
            error = error as &dyn std::error::Error,
            "what the probes remember can't be handed over: they look twice"
        );
    }
}
