//! The only writer: server-side apply, and only of what differs.

use crate::{
    context::{Context, MANAGER},
    metered::Error,
};
use drmwatch_metrics::{Owner, WRITES};
use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Debug;

/// Annotation with a hash of what was applied last. It tells that a field was taken out of what we
/// want, which the live object alone does not; drift of the fields that we want is told by the object.
const APPLIED: &str = "drmwatch.io/applied";

/// An object that the operator builds.
pub trait Built:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Serialize + DeserializeOwned + Debug
{
}
impl<K> Built for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + Debug
{
}

/// Makes an object what it should be. Writes only when it is not.
pub async fn apply<K: Built>(context: &Context, object: &K) -> Result<(), Error> {
    apply_known(context, object, true).await
}

/// The same, of an object of which is known whether it is there.
pub async fn apply_known<K: Built>(context: &Context, object: &K, there: bool) -> Result<(), Error> {
    let namespace = object.namespace().ok_or(Error::Missing("namespace"))?;
    let name = object.name_any();
    let mut desired = serde_json::to_value(object)?;
    desired["apiVersion"] = K::api_version(&()).into();
    desired["kind"] = K::kind(&()).into();
    let hash: String = Sha256::digest(desired.to_string())
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect();
    desired["metadata"]["annotations"][APPLIED] = hash.into();
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    if there
        && let Some(live) = api.get_opt(&name).await?
        && contains(&serde_json::to_value(&live)?, &desired, true)
    {
        return Ok(());
    }
    count::<K>(context);
    let (how, patch) = (PatchParams::apply(MANAGER).force(), Patch::Apply(&desired));
    context.wrote(&api.patch(&name, &how, &patch).await?);
    Ok(())
}

/// Deletes an object, if it is there.
pub async fn delete<K: Built>(context: &Context, namespace: &str, name: &str) -> Result<(), Error> {
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => {
            count::<K>(context);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Deletes an object if a look finds it: for what is hardly ever there.
pub async fn delete_if_present<K: Built>(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<(), Error> {
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    match api.get_opt(name).await? {
        Some(_) => delete::<K>(context, namespace, name).await,
        None => Ok(()),
    }
}

/// Applies the status of an object that the operator owns. The caller has seen that it differs.
pub async fn status<K: Built>(context: &Context, object: &K, status: &impl Serialize) -> Result<(), Error> {
    let namespace = object.namespace().ok_or(Error::Missing("namespace"))?;
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let patch = serde_json::json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "status": status,
    });
    count::<K>(context);
    api.patch_status(
        &object.name_any(),
        &PatchParams::apply(MANAGER).force(),
        &Patch::Apply(&patch),
    )
    .await?;
    Ok(())
}

/// Puts a finalizer on an object, or (`hold` false) takes it off. Metadata alone is patched, so that no field of the spec
/// becomes ours.
pub async fn finalizer<K: Built>(
    context: &Context,
    object: &K,
    finalizer: &str,
    hold: bool,
) -> Result<(), Error> {
    let there = object.finalizers();
    if there.iter().any(|f| f == finalizer) == hold {
        return Ok(());
    }
    let mut list: Vec<&str> = there
        .iter()
        .map(String::as_str)
        .filter(|f| *f != finalizer)
        .collect();
    list.extend(hold.then_some(finalizer));
    // Not over what somebody else changed meanwhile.
    let patch = serde_json::json!({
        "metadata": { "finalizers": list, "resourceVersion": object.resource_version() },
    });
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    count::<K>(context);
    let params = PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    };
    match api
        .patch_metadata(&object.name_any(), &params, &Patch::Merge(&patch))
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Counts a write.
pub fn count<K: Resource<DynamicType = ()>>(context: &Context) {
    context
        .metrics
        .add(&WRITES, &Owner::program(), &[&K::kind(&())], 1);
}

/// Whether a live object has everything that is desired; what the API server added does not matter.
fn contains(live: &Value, desired: &Value, top: bool) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, wanted)| {
            // The typed object does not carry them.
            (top && (key == "apiVersion" || key == "kind"))
                || live
                    .get(key)
                    .map_or(empty(wanted), |found| contains(found, wanted, false))
        }),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len() && live.iter().zip(desired).all(|(l, d)| contains(l, d, false))
        }
        _ => live == desired,
    }
}

/// What the API server drops.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_server_adds_is_no_difference_and_drift_is() {
        let desired = json!({ "spec": { "replicas": 2, "list": [{ "name": "a" }], "none": {} } });
        let live =
            json!({ "spec": { "replicas": 2, "list": [{ "name": "a", "default": 1 }], "added": true } });
        assert!(contains(&live, &desired, true));
        for drift in [
            json!({ "spec": { "replicas": 3, "list": [{ "name": "a" }] } }),
            json!({ "spec": { "replicas": 2, "list": [{ "name": "a" }, { "name": "b" }] } }),
            json!({ "spec": { "replicas": 2 } }),
        ] {
            assert!(!contains(&drift, &desired, true), "{drift}");
        }
    }
}
