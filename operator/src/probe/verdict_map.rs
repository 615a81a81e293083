//! Verdicts of resident runners, from the ConfigMaps that they write.

use crate::context::Context;
use drmwatch_api::DrmProbe;
use drmwatch_plan::VerdictRecord;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::ObjectRef;
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
