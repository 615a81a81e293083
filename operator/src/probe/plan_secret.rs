//! The plan Secret: `plan.json` without secret values, and the values beside it under keys of their own.

use crate::metered::Error;
use drmwatch_api::{DrmProbe, RunnerPool};
use drmwatch_plan::contract;
use drmwatch_plan::{CREDENTIAL_PREFIX, PLAN_KEY, Plan, shard_of};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{ResourceExt, api::ObjectMeta, runtime::reflector::ObjectRef};
use std::collections::BTreeMap;

pub use drmwatch_plan::contract::PROBE_GENERATION as GENERATION;
use drmwatch_plan::contract::PROBE_NAME as NAME;
use drmwatch_plan::contract::PROBE_NAMESPACE as NAMESPACE;
pub use drmwatch_plan::contract::TENANT;

/// Name of the plan Secret, and of the CronJob, of a probe.
pub fn name(uid: &str) -> String {
    format!("probe-{uid}")
}

/// Metadata of what the operator makes for a probe in its pool's namespace. Owner references do not
/// cross namespaces, so the probe's finalizer sees to it that nothing is left behind.
pub fn metadata(plan: &Plan, pool: &RunnerPool) -> ObjectMeta {
    let shards = pool.spec.shards.unsigned_abs();
    let labels = [
        ("app.kubernetes.io/managed-by", "drmwatch-operator".to_owned()),
        (contract::POOL, pool.name_any()),
        (contract::PROBE_UID, plan.uid.clone()),
        (contract::SHARD, shard_of(&plan.shard_key(), shards).to_string()),
    ];
    let annotations = [
        (NAMESPACE, plan.id.namespace.clone()),
        (NAME, plan.id.probe.clone()),
        (TENANT, plan.id.tenant.clone()),
        (GENERATION, plan.generation.to_string()),
    ];
    let owned =
        |pairs: Vec<(&str, String)>| Some(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    ObjectMeta {
        name: Some(name(&plan.uid)),
        namespace: pool.namespace(),
        labels: owned(labels.into()),
        annotations: owned(annotations.into()),
        ..ObjectMeta::default()
    }
}

/// The probe that an object in a pool's namespace was made for.
pub fn probe_of(object: &impl ResourceExt) -> Option<ObjectRef<DrmProbe>> {
    let annotations = object.annotations();
    Some(ObjectRef::new(annotations.get(NAME)?).within(annotations.get(NAMESPACE)?))
}

/// Builds it.
pub fn build(
    plan: &Plan,
    credentials: &BTreeMap<String, ByteString>,
    pool: &RunnerPool,
) -> Result<Secret, Error> {
    let values = credentials
        .iter()
        .map(|(name, value)| (format!("{CREDENTIAL_PREFIX}{name}"), value.clone()));
    let mut data: BTreeMap<String, ByteString> = values.collect();
    data.insert(PLAN_KEY.to_owned(), ByteString(serde_json::to_vec(plan)?));
    let mut metadata = metadata(plan, pool);
    if plan.execution == drmwatch_api::Execution::Job
        && let Some(labels) = &mut metadata.labels
    {
        // Resident runners watch by shard; a CronJob mounts the Secret by name.
        labels.remove(contract::SHARD);
    }
    Ok(Secret {
        metadata,
        data: Some(data),
        type_: Some(contract::PLAN_TYPE.into()),
        ..Secret::default()
    })
}
