//! What a pool consists of. Pure.

use crate::{metered::Error, options::Options};
use drmwatch_api::{RunnerPool, RunnerPoolSpec};
use drmwatch_plan::contract::{self, environment};
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::Deployment,
        core::v1::{Secret, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
};
use kube::{Resource, ResourceExt, api::ObjectMeta};
use serde_json::{Value, json};

pub use drmwatch_plan::contract::POOL as POOL_LABEL;
const PORT: u16 = 9464;
/// Key of the Secret in which the key of the runners' caches lies.
const CACHE_KEY: &str = "key";

/// The objects of a pool.
#[derive(serde::Serialize)]
pub struct Objects {
    pub account: ServiceAccount,
    pub role: Role,
    pub binding: RoleBinding,
    pub budget: PodDisruptionBudget,
    pub deployment: Deployment,
}

/// Name of them all.
pub fn name(pool: &RunnerPool) -> String {
    format!("drmwatch-runner-{}", pool.name_any())
}

/// Label selector of the runners.
pub fn selector(pool: &RunnerPool) -> String {
    format!(
        "app.kubernetes.io/name=drmwatch-runner,{POOL_LABEL}={}",
        pool.name_any()
    )
}

/// Security context of a container at Pod Security level `restricted`.
pub fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

/// Builds them.
pub fn build(pool: &RunnerPool, options: &Options) -> Result<Objects, Error> {
    let (name, spec) = (name(pool), &pool.spec);
    let labels = json!({
        "app.kubernetes.io/name": "drmwatch-runner",
        "app.kubernetes.io/managed-by": "drmwatch-operator",
        POOL_LABEL: pool.name_any(),
    });
    let metadata = json!({
        "name": name,
        "namespace": pool.namespace().unwrap_or_default(),
        "labels": labels,
        "ownerReferences": [pool.controller_owner_ref(&())],
    });
    let matches = json!({ "matchLabels": { "app.kubernetes.io/name": "drmwatch-runner", POOL_LABEL: pool.name_any() } });
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": "metrics" }, "periodSeconds": 5, "failureThreshold": 3 });
    let resources = spec.resources.as_ref().map(serde_json::to_value).transpose()?;
    let (mut volumes, mut mounts, mut places) = volumes(spec);
    // What runners cache of their plans outlives a container, not the pod; its key is never on the node's disk.
    volumes.push(json!({ "name": "cache", "emptyDir": { "sizeLimit": "512Mi" } }));
    volumes.push(json!({ "name": "cache-key", "secret": { "secretName": cache_key_name(pool), "defaultMode": 0o444 } }));
    mounts.push(json!({ "name": "cache", "mountPath": "/cache" }));
    mounts.push(json!({ "name": "cache-key", "mountPath": "/cache-key", "readOnly": true }));
    places.push(json!({ "name": environment::CACHE, "value": "/cache/plans" }));
    places.push(json!({ "name": environment::CACHE_KEY, "value": format!("/cache-key/{CACHE_KEY}") }));
    if let Some(results) = &spec.results {
        // What the store did not take yet outlives a container, too.
        places.push(json!({ "name": environment::RESULTS_SPOOL, "value": "/spool/results" }));
        volumes.push(json!({ "name": "spool", "emptyDir": { "sizeLimit": "3Gi" } }));
        mounts.push(json!({ "name": "spool", "mountPath": "/spool" }));
        let seconds = results.batch_seconds.unwrap_or(300);
        places.push(json!({ "name": environment::RESULTS_BATCH_SECONDS, "value": seconds.to_string() }));
    }
    let mut container = json!({
        "name": "runner",
        "image": options.runner_image,
        "imagePullPolicy": options.runner_pull_policy,
        "env": [
            { "name": environment::POOL, "value": pool.name_any() },
            { "name": environment::POOL_UID, "value": pool.uid().unwrap_or_default() },
            { "name": environment::NAMESPACE, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } } },
            { "name": environment::IDENTITY, "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } },
            { "name": environment::SHARDS, "value": spec.shards.to_string() },
            { "name": environment::REGION, "value": options.region },
            { "name": environment::LISTEN, "value": format!("0.0.0.0:{PORT}") },
            { "name": environment::LOG_JSON, "value": "true" },
        ],
        "ports": [{ "name": "metrics", "containerPort": PORT, "protocol": "TCP" }],
        "livenessProbe": probe("/healthz"),
        "readinessProbe": probe("/readyz"),
        "resources": resources.unwrap_or_else(|| json!({ "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } })),
        "securityContext": restricted(),
    });
    if let Some(env) = container["env"].as_array_mut() {
        env.append(&mut places);
    }
    container["volumeMounts"] = json!(mounts);
    let from = environment(spec);
    if !from.is_empty() {
        container["envFrom"] = json!(from);
    }
    let mut deployment = json!({
        "metadata": metadata,
        "spec": {
            "replicas": spec.replicas,
            "selector": matches,
            // A runner that leaves hands over before its successor is there: plans keep running.
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "serviceAccountName": name,
                    "imagePullSecrets": pull_secrets(options),
                    "terminationGracePeriodSeconds": 45,
                    "nodeSelector": spec.node_selector,
                    "tolerations": spec.tolerations,
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": matches,
                    }],
                    "securityContext": pod_security(),
                    "containers": [container],
                },
            },
        },
    });
    let pod = &mut deployment["spec"]["template"]["spec"];
    pod["volumes"] = json!(volumes);
    let rules = json!([
        { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"] },
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "create", "update", "patch", "delete"] },
    ]);
    let subject =
        json!({ "kind": "ServiceAccount", "name": name, "namespace": pool.namespace().unwrap_or_default() });
    Ok(Objects {
        account: serde_json::from_value(json!({ "metadata": metadata }))?,
        role: serde_json::from_value(json!({ "metadata": metadata, "rules": rules }))?,
        binding: serde_json::from_value(json!({
            "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": [subject],
        }))?,
        budget: serde_json::from_value(
            json!({ "metadata": metadata, "spec": { "maxUnavailable": 1, "selector": matches } }),
        )?,
        deployment: serde_json::from_value(deployment)?,
    })
}

/// Name of the Secret with the key of the runners' caches.
pub fn cache_key_name(pool: &RunnerPool) -> String {
    format!("{}-cache-key", name(pool))
}

/// That Secret, with a key; it is made once and never changed.
pub fn cache_key(pool: &RunnerPool, key: [u8; 32]) -> Secret {
    let labels = [
        (POOL_LABEL.to_owned(), pool.name_any()),
        (
            "app.kubernetes.io/managed-by".to_owned(),
            "drmwatch-operator".to_owned(),
        ),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(cache_key_name(pool)),
            namespace: pool.namespace(),
            labels: Some(labels.into()),
            owner_references: pool.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some([(CACHE_KEY.to_owned(), ByteString(key.to_vec()))].into()),
        type_: Some(contract::CACHE_KEY_TYPE.into()),
        ..Secret::default()
    }
}

/// As whom everything runs that the operator makes.
pub fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// Secrets with which the kubelet pulls the images of a pod. Null if there are none: then the field is left out.
pub fn pull_secrets(options: &Options) -> Value {
    let names = options.image_pull_secrets.iter();
    let references: Vec<Value> = names.map(|name| json!({ "name": name })).collect();
    if references.is_empty() {
        return Value::Null;
    }
    json!(references)
}

/// Volumes, mounts and environment of the claims of a pool.
pub fn volumes(spec: &RunnerPoolSpec) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let claims = [
        ("plugins", environment::PLUGINS, &spec.plugins_claim, true),
        ("evidence", environment::EVIDENCE, &spec.evidence_claim, false),
    ];
    let (mut volumes, mut mounts, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for (name, variable, claim, read_only) in claims {
        let Some(claim) = claim else { continue };
        let path = format!("/{name}");
        let mut source = json!({ "claimName": claim });
        let mut mount = json!({ "name": name, "mountPath": path });
        if read_only {
            source["readOnly"] = json!(true);
            mount["readOnly"] = json!(true);
        }
        volumes.push(json!({ "name": name, "persistentVolumeClaim": source }));
        mounts.push(mount);
        places.push(json!({ "name": variable, "value": path }));
    }
    let (claimed, mounted, placed) = results_volumes(spec);
    volumes.extend(claimed);
    mounts.extend(mounted);
    places.extend(placed);
    (volumes, mounts, places)
}

/// Volumes, mounts and environment of what a pool keeps results in.
pub fn results_volumes(spec: &RunnerPoolSpec) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let (mut volumes, mut mounts, mut places) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(results) = &spec.results {
        volumes.push(json!({ "name": "results-keys", "secret": { "secretName": results.keys_secret, "defaultMode": 0o440 } }));
        mounts.push(json!({ "name": "results-keys", "mountPath": "/results-keys", "readOnly": true }));
        places.push(json!({ "name": environment::RESULTS_KEYS, "value": "/results-keys" }));
        let place = results.url.clone().unwrap_or_else(|| "/results".to_owned());
        places.push(json!({ "name": environment::RESULTS, "value": place }));
        if let Some(kms) = &results.kms {
            places.push(json!({ "name": environment::RESULTS_KMS, "value": kms }));
        }
        if let Some(claim) = &results.claim {
            volumes.push(json!({ "name": "results", "persistentVolumeClaim": { "claimName": claim } }));
            mounts.push(json!({ "name": "results", "mountPath": "/results" }));
        }
    }
    (volumes, mounts, places)
}

/// Where a runner's environment comes from besides.
pub fn environment(spec: &RunnerPoolSpec) -> Vec<Value> {
    let secret = spec.results.as_ref().and_then(|r| r.credentials_secret.as_ref());
    let from = secret.map(|name| json!({ "secretRef": { "name": name } }));
    from.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_objects_of_a_pool_are_these() {
        let pool: RunnerPool = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool",
            "metadata": { "name": "default", "namespace": "drmwatch-runners", "uid": "u-1" },
            "spec": { "replicas": 3, "shards": 8 },
        }))
        .unwrap();
        let options = Options::parse_from(["operator", "--region", "eu", "--runner-image", "runner:1"]);
        insta::assert_yaml_snapshot!(build(&pool, &options).unwrap());
    }

    #[test]
    fn claims_are_mounted_where_the_runner_looks() {
        let pool: RunnerPool = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool",
            "metadata": { "name": "default", "namespace": "drmwatch-runners", "uid": "u-1" },
            "spec": { "pluginsClaim": "tools", "evidenceClaim": "records" },
        }))
        .unwrap();
        let options = Options::parse_from(["operator", "--region", "eu", "--runner-image", "runner:1"]);
        let pod = build(&pool, &options)
            .unwrap()
            .deployment
            .spec
            .unwrap()
            .template
            .spec
            .unwrap();
        let container = &pod.containers[0];
        let mounts: Vec<_> = container
            .volume_mounts
            .iter()
            .flatten()
            .map(|m| (m.mount_path.as_str(), m.read_only))
            .collect();
        let claimed = [("/plugins", Some(true)), ("/evidence", None)];
        assert_eq!(mounts[..2], claimed);
        let variables: Vec<_> = container.env.iter().flatten().map(|e| e.name.as_str()).collect();
        assert!(variables.contains(&"DRMWATCH_PLUGINS") && variables.contains(&"DRMWATCH_EVIDENCE"));
        assert_eq!(pod.volumes.unwrap().len(), 4);
    }

    #[test]
    fn results_go_where_the_pool_says() {
        let with = |results: Value| -> RunnerPool {
            serde_json::from_value(json!({
                "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool",
                "metadata": { "name": "default", "namespace": "drmwatch-runners", "uid": "u-1" },
                "spec": { "results": results },
            }))
            .unwrap()
        };
        let options = Options::parse_from(["operator", "--region", "eu", "--runner-image", "runner:1"]);
        let container = |pool: &RunnerPool| {
            let spec = build(pool, &options)
                .unwrap()
                .deployment
                .spec
                .unwrap()
                .template
                .spec
                .unwrap();
            serde_json::to_value(&spec.containers[0]).unwrap()
        };
        let value = |container: &Value, name: &str| {
            let env = container["env"].as_array().unwrap();
            env.iter()
                .find(|e| e["name"] == name)
                .map(|e| e["value"].as_str().unwrap().to_owned())
        };
        let claimed = container(&with(json!({ "claim": "kept", "keysSecret": "keys" })));
        assert_eq!(value(&claimed, "DRMWATCH_RESULTS").as_deref(), Some("/results"));
        assert!(claimed["volumeMounts"].to_string().contains("\"/results\""));
        assert!(claimed["envFrom"].is_null());
        let stored = container(&with(
            json!({ "url": "s3://b/p", "keysSecret": "keys", "credentialsSecret": "s3", "batchSeconds": 60, "kms": "awskms://eu-west-1" }),
        ));
        assert_eq!(value(&stored, "DRMWATCH_RESULTS").as_deref(), Some("s3://b/p"));
        assert_eq!(
            value(&stored, "DRMWATCH_RESULTS_BATCH_SECONDS").as_deref(),
            Some("60")
        );
        assert_eq!(stored["envFrom"][0]["secretRef"]["name"], "s3");
    }
}
