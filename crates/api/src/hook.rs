//! Plug-ins: programs and services of the operator's own.

use crate::Output;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A plug-in: exactly one of `exec`, `url`. It is given a JSON document and answers with one (docs/plugins.md).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.exec) != has(self.url)").message("a plug-in must have exactly one of exec, url"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// Name of a program in the runner's plug-in folder (`--plugins`). No other program can be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub exec: Option<String>,
    /// URL that the document is posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: Option<String>,
    /// What to give it as `input`: a JSON document, which may have `${…}` references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub input: Option<String>,
    /// Credentials to give it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    pub credentials: Vec<String>,
}

/// A step that a plug-in makes.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginStep {
    /// Which, and what it is given.
    pub hook: Hook,
    /// Values taken from its `outputs`, for later steps as `${STEP.NAME}`: by `jsonPointer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub outputs: Vec<Output>,
}
