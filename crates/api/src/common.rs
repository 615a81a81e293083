//! Pieces that several resources share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One secret value that steps may use as `${credentials.NAME}`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// Name by which steps refer to this value.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Where the value lies. The Secret is in the namespace of the object that names it.
    pub secret_key_ref: SecretKeyRef,
}

/// One key of one Secret.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A runner pool, by name and namespace.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolRef {
    /// Name of the RunnerPool.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace of the RunnerPool. Defaults to the namespace of the release's default pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// How a server's certificate is judged and how the probe identifies itself.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// Credential that holds PEM certificates to trust instead of the public (Mozilla) roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub ca_credential: Option<String>,
    /// Credential that holds the client's PEM certificate chain. Needs `clientKeyCredential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub client_certificate_credential: Option<String>,
    /// Credential that holds the client's PEM private key. Needs `clientCertificateCredential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub client_key_credential: Option<String>,
}

/// One HTTP header. The value may use `${credentials.NAME}` and outputs of earlier steps.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Field name (RFC 9110 section 5.1).
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
    pub name: String,
    /// Field value.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// Types of condition, as they appear in `status.conditions[].type`.
pub mod condition {
    /// The object is understood and handed on to what runs it.
    pub const READY: &str = "Ready";
    /// The service that the object watches does what it must.
    pub const HEALTHY: &str = "Healthy";
    /// The tenant's objectives have become rules.
    pub const OBJECTIVES_READY: &str = "ObjectivesReady";
    /// Alerts about the tenant have a way to go.
    pub const ALERTING_READY: &str = "AlertingReady";
    /// The window is open.
    pub const ACTIVE: &str = "Active";
    /// Every report that was due has been delivered.
    pub const DELIVERED: &str = "Delivered";
    /// Runners of the pool are about to fall behind.
    pub const SATURATED: &str = "Saturated";
}

/// The condition of `kind`, if the object has one yet.
pub fn find_condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == kind)
}
