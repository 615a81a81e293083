//! Examples in YAML. A fence `yaml` that holds objects of ours is read as it stands; a fence `yaml steps` holds the steps of
//! a probe, and is put into one. Tenants, and Secrets with what is referred to, are made for them.

use crate::{Fence, fences, page, pages_in};
use drmwatch_api::EgressPolicy;
use drmwatch_folder::Stage;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Long enough for a key, and Base64 where that is asked for.
const SECRET: &str = "ZXhhbXBsZS1vZi1hLXNlY3JldC13aXRoLTMyLWJ5dGVzLg==";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

/// The fences of a page that are examples of ours.
fn examples(path: &str) -> Vec<Fence> {
    let (found, _) = fences(&page(path));
    let ours = |f: &Fence| match f.info.as_str() {
        "yaml steps" => true,
        "yaml" => {
            f.text.starts_with("apiVersion: drmwatch.io/") || f.text.contains("\napiVersion: drmwatch.io/")
        }
        _ => false,
    };
    found.into_iter().filter(ours).collect()
}

/// The objects of a fence.
fn objects(fence: &Fence) -> Vec<Value> {
    let documents = match fence.info.as_str() {
        "yaml steps" => {
            let steps: Value = serde_saphyr::from_str(&fence.text).unwrap();
            let mut names = BTreeSet::new();
            credentials(&steps, "", &mut names);
            let credentials: Vec<Value> = names
                .iter()
                .map(|n| json!({"name": n, "secretKeyRef": {"name": "acme-credentials", "key": n}}))
                .collect();
            let spec = json!({
                "tenantRef": {"name": "acme"}, "schedule": {"intervalSeconds": 60},
                "credentials": credentials, "steps": steps,
            });
            return vec![json!({
                "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe",
                "metadata": {"name": "example", "namespace": "acme"}, "spec": spec,
            })];
        }
        _ => fence.text.split("\n---\n"),
    };
    documents
        .map(|text| serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("line {}: {e}", fence.line)))
        .collect()
}

/// Names of credentials that steps use: `${credentials.NAME}`, `…Credential: NAME`, and the list of a plug-in.
fn credentials(value: &Value, key: &str, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| credentials(v, k, names)),
        Value::Array(items) => items.iter().for_each(|v| credentials(v, key, names)),
        Value::String(text) if key.ends_with("Credential") || key == "credentials" => {
            names.insert(text.clone());
        }
        Value::String(text) => {
            let references = text.split("${credentials.").skip(1);
            names.extend(references.filter_map(|r| Some(r.split_once('}')?.0.to_owned())));
        }
        _ => {}
    }
}

/// What the objects refer to, and do not bring: tenants, and Secrets.
fn surroundings(objects: &[Value]) -> Vec<Value> {
    fn secrets(value: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
        match value {
            Value::Object(fields) => {
                if let Some(at) = fields.get("secretKeyRef")
                    && let (Some(name), Some(key)) = (at["name"].as_str(), at["key"].as_str())
                {
                    found.entry(name.to_owned()).or_default().insert(key.to_owned());
                }
                fields.values().for_each(|v| secrets(v, found));
            }
            Value::Array(items) => items.iter().for_each(|v| secrets(v, found)),
            _ => {}
        }
    }
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let (mut tenants, mut made) = (BTreeSet::new(), Vec::new());
    for object in objects {
        let (spec, namespace) = (&object["spec"], text(&object["metadata"]["namespace"]).unwrap());
        tenants.extend(text(&spec["tenantRef"]["name"]).map(|name| (namespace.clone(), name)));
        let listed = spec["tenants"].as_array().into_iter().flatten();
        tenants.extend(listed.filter_map(text).map(|name| (namespace.clone(), name)));
        let mut found = BTreeMap::new();
        secrets(object, &mut found);
        let brought = |name: &str| {
            let same = |o: &&Value| o["kind"] == "Secret" && o["metadata"]["name"] == *name;
            objects.iter().any(|o| same(&o))
        };
        for (name, keys) in found.into_iter().filter(|(name, _)| !brought(name)) {
            let value = |key: &String| if key.ends_with(".pem") { PEM } else { SECRET };
            let data: BTreeMap<&String, &str> = keys.iter().map(|key| (key, value(key))).collect();
            made.push(json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": name, "namespace": namespace}, "stringData": data,
            }));
        }
    }
    for object in objects.iter().filter(|o| o["kind"] == "MonitoredTenant") {
        let metadata = &object["metadata"];
        tenants.remove(&(
            text(&metadata["namespace"]).unwrap(),
            text(&metadata["name"]).unwrap(),
        ));
    }
    made.extend(tenants.into_iter().map(|(namespace, name)| {
        json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"displayName": name},
        })
    }));
    made
}

/// What is wrong with objects, as `drmwatch-runner --check` would say it.
fn mistakes(objects: &[Value], others: &[Value]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (n, object) in objects.iter().chain(others).enumerate() {
        // JSON is YAML.
        let text = serde_json::to_string_pretty(object).unwrap();
        std::fs::write(folder.path().join(format!("{n:02}.yaml")), text).unwrap();
    }
    let now = "2026-11-27T12:00:00Z".parse().unwrap();
    let read = drmwatch_folder::read(folder.path(), "eu-central", &EgressPolicy::default(), now).unwrap();
    assert_eq!(read.files, objects.len() + others.len());
    // An example of a window names probes of examples elsewhere.
    let own = read.mistakes.iter().filter(|m| m.stage != Stage::Reference);
    own.map(ToString::to_string).collect()
}

fn pages() -> Vec<String> {
    [vec!["README.md".to_owned()], pages_in("docs")].concat()
}

#[test]
fn every_example_is_without_mistakes() {
    let mut seen = 0;
    for path in pages() {
        for fence in examples(&path) {
            let objects = objects(&fence);
            let found = mistakes(&objects, &surroundings(&objects));
            assert!(found.is_empty(), "{path}:{}: {found:#?}", fence.line);
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen} examples: the fences were not found");
}

/// The guide to probes has no YAML that is not an example, and shows every kind of step.
#[test]
fn the_guide_to_probes_is_examples_throughout() {
    let (all, _) = fences(&page("docs/probes.md"));
    let yaml = all.iter().filter(|f| f.info.starts_with("yaml")).count();
    let found = examples("docs/probes.md");
    assert_eq!(yaml, found.len());
    let mut kinds = BTreeSet::new();
    for object in found.iter().flat_map(objects) {
        let steps = object["spec"]["steps"].as_array().cloned().unwrap_or_default();
        kinds.extend(steps.iter().flat_map(|s| s.as_object().unwrap().keys().cloned()));
    }
    for kind in [
        "http",
        "stream",
        "license",
        "keyServer",
        "plugin",
        "expect",
        "expectDenied",
        "finally",
    ] {
        assert!(kinds.contains(kind), "docs/probes.md has no example of {kind}");
    }
}

/// The judge of the two tests above judges: one unknown field, or a tenant or Secret that is not there, is found in each
/// example.
#[test]
fn a_wrong_example_is_found() {
    for path in pages() {
        for fence in examples(&path) {
            let at = format!("{path}:{}", fence.line);
            let objects = objects(&fence);
            let others = surroundings(&objects);
            for n in (0..objects.len()).filter(|n| objects[*n]["kind"] != "Secret") {
                let mut wrong = objects.clone();
                wrong[n]["spec"]["noSuchField"] = json!(1);
                assert!(!mistakes(&wrong, &others).is_empty(), "{at}: object {n}");
            }
            let probe = |o: &Value| o["kind"] == "DrmProbe";
            if let Some(first) = objects.iter().find(|o| probe(o)) {
                assert!(
                    !mistakes(std::slice::from_ref(first), &[]).is_empty(),
                    "{at}: no tenant"
                );
            }
        }
    }
}
