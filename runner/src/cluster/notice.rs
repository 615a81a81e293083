//! What a runner says of itself to its pool: one entry in a ConfigMap, written when it becomes saturated and taken out
//! when it no longer is. The operator makes a condition of it.

use super::{
    Pool,
    patience::{Unanswered, patiently},
};
use crate::load::Reading;
use drmwatch_plan::contract;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::warn;

/// Says it.
#[derive(Clone)]
pub struct Notice {
    api: Api<ConfigMap>,
    pool: Pool,
    identity: String,
}

impl Notice {
    /// For a runner of a pool.
    pub fn new(client: Client, pool: Pool, identity: &str) -> Notice {
        Notice {
            api: Api::namespaced(client, &pool.namespace),
            pool,
            identity: identity.to_owned(),
        }
    }

    /// Takes readings and says the latest, however long that takes.
    pub fn teller(&self) -> impl Fn(Reading) + use<> {
        let (latest, mut changes) = watch::channel(None);
        let notice = self.clone();
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let reading: Option<Reading> = *changes.borrow_and_update();
                let text = reading.filter(|r| r.saturated).map(|r| {
                    let (busy, lag) = (r.busy * 100.0, r.lag);
                    format!("busy for {busy:.0} % of its time, slots up to {lag:.1} s late")
                });
                if let Err(error) = notice.write(&notice.identity, text).await {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "the pool can't be told of the load");
                    // The API server may be away: what is not said now is said with the next change.
                }
            }
        });
        move |reading| {
            let _ = latest.send(Some(reading));
        }
    }

    /// Takes out what a runner that is gone has said.
    pub async fn forget(&self, identity: &str) {
        if let Err(error) = self.write(identity, None).await {
            let error = &error as &dyn std::error::Error;
            warn!(
                error,
                runner = identity,
                "what a runner that is gone said can't be taken out"
            );
        }
    }

    async fn write(&self, identity: &str, text: Option<String>) -> Result<(), Unanswered> {
        let name = format!("{}-runners", self.pool.name);
        let value = text.clone().map_or(Value::Null, Value::String);
        let patch = Patch::Merge(json!({ "data": { identity: value } }));
        match patiently(self.api.patch(&name, &PatchParams::default(), &patch)).await {
            Err(Unanswered::Api(Error::Api(status))) if status.code == 404 => {}
            other => return other.map(drop),
        }
        let Some(text) = text else { return Ok(()) };
        let map = ConfigMap {
            metadata: self.pool.metadata(name, (contract::RUNNERS, "true")),
            data: Some([(identity.to_owned(), text)].into()),
            ..ConfigMap::default()
        };
        patiently(self.api.create(&PostParams::default(), &map))
            .await
            .map(drop)
    }
}
