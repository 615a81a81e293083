//! Verdicts of resident runners, from the ConfigMaps that they write.

use crate::{apply, context::Context, metered::Error};
use drmwatch_api::DrmProbe;
use drmwatch_outcome::VerdictRecord;
use drmwatch_plan::contract;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use serde_json::json;
use tracing::warn;

/// Takes a ConfigMap in; gives the probes about which it says something new.
pub fn fold(context: &Context, map: &ConfigMap) -> Vec<ObjectRef<DrmProbe>> {
    let mut news = Vec::new();
    for (uid, text) in map.data.iter().flatten() {
        match serde_json::from_str::<VerdictRecord>(text) {
            Ok(record) => {
                let probe = ObjectRef::new(&record.id.probe).within(&record.id.namespace);
                if context.verdict(uid, record) {
                    news.push(probe);
                }
            }
            Err(error) => warn!(uid, %error, "a verdict can't be read"),
        }
    }
    news
}

/// Removes what is said of a probe that is being deleted: the runner that said it may be gone.
pub async fn erase(context: &Context, namespace: &str, uid: &str) -> Result<(), Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    for map in api
        .list(&ListParams::default().labels(&format!("{}=true", contract::VERDICTS)))
        .await?
    {
        if map.data.as_ref().is_some_and(|data| data.contains_key(uid)) {
            apply::count::<ConfigMap>(context);
            let patch = Patch::Merge(json!({ "data": { uid: null } }));
            api.patch(&map.name_any(), &PatchParams::default(), &patch)
                .await?;
        }
    }
    Ok(())
}
