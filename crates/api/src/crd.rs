//! The CRDs as they are applied.

use crate::{DrmProbe, MaintenanceWindow, MonitoredTenant, RunnerPool, SlaReport};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// Every CRD of this version, with the name of its file in `crds/`, as JSON values.
pub fn crds() -> Vec<(&'static str, Value)> {
    [
        ("monitoredtenants.yaml", MonitoredTenant::crd()),
        ("drmprobes.yaml", DrmProbe::crd()),
        ("runnerpools.yaml", RunnerPool::crd()),
        ("maintenancewindows.yaml", MaintenanceWindow::crd()),
        ("slareports.yaml", SlaReport::crd()),
    ]
    .into_iter()
    .map(|(file, crd)| (file, structural(&crd)))
    .collect()
}

/// `deny_unknown_fields` serves the standalone runner; its trace in the schema, `additionalProperties:
/// false`, is not structural beside `properties`. The API server refuses unknown fields by itself
/// (`fieldValidation=Strict`, kubectl's default).
fn structural(crd: &CustomResourceDefinition) -> Value {
    let mut value = serde_json::to_value(crd).unwrap_or_default();
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.contains_key("properties") && map.get("additionalProperties") == Some(&Value::Bool(false))
            {
                map.remove("additionalProperties");
            }
            // The API server knows only the formats of OpenAPI v3 and warns about the rest.
            if matches!(
                map.get("format").and_then(Value::as_str),
                Some("uint8" | "uint16" | "uint32")
            ) {
                map.remove("format");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
