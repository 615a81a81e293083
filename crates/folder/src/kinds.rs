//! The kinds that a folder may hold, and their schemas.

use crate::schema::Schema;
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, sync::OnceLock};

/// The schema of every kind, of whole objects, by the kind's name. An error is a fault of this program: a rule or pattern of a CRD that can't be compiled.
pub fn known() -> Result<&'static BTreeMap<String, Schema>, &'static str> {
    static KNOWN: OnceLock<Result<BTreeMap<String, Schema>, String>> = OnceLock::new();
    KNOWN.get_or_init(all).as_ref().map_err(String::as_str)
}

fn all() -> Result<BTreeMap<String, Schema>, String> {
    let mut known = BTreeMap::new();
    let version = format!("{}/{}", drmwatch_api::GROUP, drmwatch_api::VERSION);
    for (_, crd) in drmwatch_api::crds() {
        let kind = crd["spec"]["names"]["kind"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
        // Whoever applies an object with a status is not the one who writes it: the API server drops it.
        if let Some(properties) = schema["properties"].as_object_mut() {
            properties.insert(
                "status".into(),
                json!({"x-kubernetes-preserve-unknown-fields": true}),
            );
        }
        known.insert(kind.clone(), whole(&version, &kind, schema)?);
    }
    known.insert("Secret".into(), whole("v1", "Secret", secret())?);
    known.insert(
        "Namespace".into(),
        whole(
            "v1",
            "Namespace",
            json!({"type": "object", "properties": {
                "spec": {"x-kubernetes-preserve-unknown-fields": true},
                "status": {"x-kubernetes-preserve-unknown-fields": true},
            }}),
        )?,
    );
    Ok(known)
}

/// Adds to the schema of a kind what every object has.
fn whole(version: &str, kind: &str, mut schema: Json) -> Result<Schema, String> {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert("apiVersion".into(), json!({"type": "string", "enum": [version]}));
        properties.insert("kind".into(), json!({"type": "string", "enum": [kind]}));
        properties.insert("metadata".into(), metadata(kind));
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let required: Vec<Json> = ["apiVersion", "kind", "metadata"]
        .map(Json::from)
        .into_iter()
        .chain(required)
        .collect();
    schema["required"] = required.into();
    Schema::read(&schema).map_err(|e| format!("{kind}: {e}"))
}

/// `ObjectMeta` as an author may write it. Names are those of RFC 1123: subdomains for objects, labels for namespaces.
fn metadata(kind: &str) -> Json {
    let label = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    let subdomain = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    let (name, longest) = if kind == "Namespace" {
        (label, 63)
    } else {
        (subdomain, 253)
    };
    let open = json!({"x-kubernetes-preserve-unknown-fields": true});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": longest, "pattern": name},
            "namespace": {"type": "string", "maxLength": 63, "pattern": format!("^$|{label}")},
            "labels": {"type": "object", "nullable": true, "additionalProperties": {
                "type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
            }},
            "annotations": {"type": "object", "nullable": true, "additionalProperties": {"type": "string"}},
            "finalizers": open, "ownerReferences": open, "uid": open, "resourceVersion": open, "generation": open,
            "creationTimestamp": open, "deletionTimestamp": open, "deletionGracePeriodSeconds": open,
            "managedFields": open, "selfLink": open, "generateName": open,
        }
    })
}

fn secret() -> Json {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "immutable": {"type": "boolean", "nullable": true},
            "data": {"type": "object", "nullable": true, "additionalProperties": {"type": "string", "format": "byte", "nullable": true}},
            "stringData": {"type": "object", "nullable": true, "additionalProperties": {"type": "string"}},
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_and_pattern_of_every_kind_can_be_compiled() {
        let known = known().unwrap();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "DrmProbe",
                "MaintenanceWindow",
                "MonitoredTenant",
                "Namespace",
                "RunnerPool",
                "Secret",
                "SlaReport"
            ]
        );
        fn rules(schema: &Schema) -> usize {
            let below = schema
                .properties
                .values()
                .chain(schema.items.as_deref())
                .chain(schema.others.as_deref());
            schema.rules.len() + below.map(rules).sum::<usize>()
        }
        let all: usize = known.values().map(rules).sum();
        let of_change = [
            "shards must not be changed after creation",
            "tenantRef must not be changed",
        ]
        .len();
        fn written(json: &Json) -> usize {
            let here = json
                .get("x-kubernetes-validations")
                .and_then(Json::as_array)
                .map_or(0, Vec::len);
            let below: usize = match json {
                Json::Object(map) => map.values().map(written).sum(),
                Json::Array(items) => items.iter().map(written).sum(),
                _ => 0,
            };
            here + below
        }
        assert_eq!(
            all + of_change,
            drmwatch_api::crds()
                .iter()
                .map(|(_, crd)| written(crd))
                .sum::<usize>()
        );
    }
}
