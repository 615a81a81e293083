//! `crds/` and the chart's copy are what the types say. `UPDATE=1 cargo test -p drmwatch-api` rewrites them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn crds_and_the_charts_copy_are_what_the_types_say() {
    for (file, crd) in drmwatch_api::crds() {
        let yaml = format!(
            "# Generated from crates/api by `make generate`; do not edit.\n{}",
            serde_saphyr::to_string(&crd).unwrap()
        );
        for folder in ["crds", "charts/drmwatch/crds"] {
            let path = root().join(folder).join(file);
            if std::env::var_os("UPDATE").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &yaml).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == yaml,
                "{} is not what the types say; run `make generate`",
                path.display()
            );
        }
    }
}

/// The API server estimates a CEL rule's cost from these limits, and etcd stores what they allow.
#[test]
fn every_string_and_list_in_a_spec_has_a_limit() {
    fn walk(path: &str, schema: &serde_json::Value, problems: &mut Vec<String>) {
        let kind = schema["type"].as_str().unwrap_or_default();
        // An instant has its own bound, which the API server knows.
        let instant = schema.get("format").is_some_and(|f| f == "date-time");
        let enumerated = schema.get("enum").is_some() || instant;
        match kind {
            "string" if !enumerated && schema.get("maxLength").is_none() => {
                problems.push(format!("{path}: no maxLength"))
            }
            "array" if schema.get("maxItems").is_none() => problems.push(format!("{path}: no maxItems")),
            _ => {}
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, problems);
        }
        if schema["items"].is_object() {
            walk(&format!("{path}[]"), &schema["items"], problems);
        }
    }
    let mut problems = Vec::new();
    for (file, crd) in drmwatch_api::crds() {
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert!(spec.is_object(), "{file} has no spec");
        walk(file, spec, &mut problems);
    }
    // Kubernetes' own types (resources, tolerations) carry no limits; no CEL rule of ours reads them.
    problems.retain(|p| !p.contains(".resources") && !p.contains(".tolerations"));
    assert!(problems.is_empty(), "{problems:#?}");
}
