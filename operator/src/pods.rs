//! Rules that hold for every pod that the operator makes. Tests only.

use crate::{options::Options, pool, probe, report};
use clap::Parser;
use drmwatch_api::{DrmProbe, MonitoredTenant, RunnerPool, SlaReport};
use drmwatch_plan::{compile, compile_report};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What is built for a pool, a probe that runs as a Job and a report, by the file that builds it.
fn built(options: &Options) -> BTreeMap<&'static str, Value> {
    let tenant: MonitoredTenant = serde_json::from_value(json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
        "metadata": { "name": "t", "namespace": "acme" }, "spec": { "displayName": "T" },
    }))
    .unwrap();
    let pool: RunnerPool = serde_json::from_value(json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool",
        "metadata": { "name": "default", "namespace": "drmwatch-runners", "uid": "u-1" },
        "spec": { "replicas": 3, "shards": 8, "results": { "claim": "results", "keysSecret": "results-keys" } },
    }))
    .unwrap();
    let probe: DrmProbe = serde_json::from_value(json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe",
        "metadata": { "name": "p", "namespace": "acme", "uid": "0b5a7e91", "generation": 4 },
        "spec": {
            "tenantRef": { "name": "t" }, "schedule": { "intervalSeconds": 300 }, "execution": "Job",
            "steps": [{ "name": "a", "http": { "url": "https://example.com/" } }],
        },
    }))
    .unwrap();
    let report: SlaReport = serde_json::from_value(json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "SlaReport",
        "metadata": { "name": "monthly", "namespace": "acme", "uid": "1c6b8fa2", "generation": 2 },
        "spec": { "schedule": "0 6 4 * *", "recipients": [{ "name": "archive", "objects": { "path": "acme" } }] },
    }))
    .unwrap();
    let plan = compile(&tenant, &probe, "eu", &pool.spec.egress).unwrap();
    let report_plan = compile_report(&report, &[&tenant], &pool.spec.egress).unwrap();
    let of_pool = pool::objects::build(&pool, options).unwrap();
    let of_probe = probe::cron_job::build(&plan, &probe, &pool, options).unwrap();
    let of_report = report::objects::cron_job(&report_plan, &report, &pool, options).unwrap();
    BTreeMap::from([
        ("pool/objects.rs", serde_json::to_value(of_pool).unwrap()),
        ("probe/cron_job.rs", serde_json::to_value(of_probe).unwrap()),
        ("report/objects.rs", serde_json::to_value(of_report).unwrap()),
    ])
}

fn options(more: &[&str]) -> Options {
    let given = [
        "operator",
        "--region=eu",
        "--runner-image=registry.example/runner:1",
        "--reporter-image=registry.example/drmwatch:1",
    ];
    Options::parse_from(given.iter().chain(more))
}

/// Every pod spec in an object: whatever has containers.
fn pods(value: &Value) -> Vec<&Value> {
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => fields.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    let own = value.get("containers").is_some().then_some(value);
    own.into_iter().chain(inner.into_iter().flat_map(pods)).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(sources(&path)),
            false => files.extend(path.extension().is_some_and(|e| e == "rs").then_some(path)),
        }
    }
    files
}

#[test]
fn with_a_private_registry_these_are_built() {
    insta::assert_yaml_snapshot!(built(&options(&["--image-pull-secrets=registry,mirror"])));
}

#[test]
fn every_pod_has_the_pull_secrets_and_none_has_an_empty_list() {
    let expected = json!([{ "name": "registry" }, { "name": "mirror" }]);
    for (file, object) in built(&options(&["--image-pull-secrets=registry,mirror"])) {
        let found = pods(&object);
        assert!(!found.is_empty(), "{file} builds no pod");
        for pod in found {
            assert_eq!(
                pod["imagePullSecrets"], expected,
                "{file} forgets imagePullSecrets"
            );
        }
    }
    for (file, object) in built(&options(&[])) {
        for pod in pods(&object) {
            assert!(pod.get("imagePullSecrets").is_none(), "{file}");
        }
    }
}

/// The test above sees only what [`built`] builds. A new file that makes pods must be added there.
#[test]
fn no_other_file_builds_pods() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let builds_pods = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        // As JSON, as a typed object, and by its type.
        ["\"containers\":", "containers:", "PodSpec", "PodTemplateSpec"]
            .iter()
            .any(|sign| code.contains(sign))
    };
    let builders: BTreeSet<String> = sources(&root)
        .iter()
        .filter(|path| !path.ends_with("pods.rs") && builds_pods(path))
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    let tested: BTreeSet<String> = built(&options(&[])).into_keys().map(str::to_owned).collect();
    assert_eq!(
        builders, tested,
        "files that build pods, and files that are tested here"
    );
}
