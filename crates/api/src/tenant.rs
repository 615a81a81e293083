//! `MonitoredTenant`: a customer whose services are watched.

use crate::{Alerting, Credential, DrmSystem, Header, Objective, PoolRef, StreamFormat, Tls};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A customer whose content-protection and streaming services are watched.
///
/// Every service becomes a default probe named `TENANT-SERVICE`, so that onboarding a customer is one
/// object. Probes of your own refer to the tenant by `tenantRef`.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, Default, PartialEq, KubeSchema)]
#[kube(
    group = "drmwatch.io",
    version = "v1alpha1",
    kind = "MonitoredTenant",
    plural = "monitoredtenants",
    namespaced,
    status = "MonitoredTenantStatus",
    shortname = "mt",
    category = "drmwatch",
    derive = "PartialEq",
    printcolumn(json_path = ".status.conditions[?(@.type==\"Healthy\")].status", name = "Healthy", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Healthy\")].reason", name = "Reason", type_ = "string"),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Healthy\")].lastTransitionTime",
        name = "Since",
        type_ = "date"
    ),
    printcolumn(json_path = ".status.probes", name = "Probes", type_ = "integer"),
    printcolumn(json_path = ".status.failing", name = "Failing", type_ = "integer"),
    printcolumn(json_path = ".spec.displayName", name = "Display Name", type_ = "string", priority = 1),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Healthy\")].message",
        name = "Message",
        type_ = "string",
        priority = 1
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("metadata.name must be at most 40 characters, so that TENANT-SERVICE fits a label")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MonitoredTenantSpec {
    /// Name for people: shown in messages and dashboards.
    #[schemars(length(min = 1, max = 128))]
    pub display_name: String,
    /// What the tenant runs and drmwatch watches. Each entry becomes a probe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<Service>,
    /// Secret values that every probe of this tenant may use as `${credentials.NAME}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub credentials: Vec<Credential>,
    /// What holds for every probe of this tenant that does not say otherwise.
    #[serde(default)]
    pub defaults: TenantDefaults,
    /// How much probing the tenant's services may be asked for, in each region. Without it there is no limit but the
    /// schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What the tenant was promised, each for every probe of its own or those that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub objectives: Vec<Objective>,
    /// Where alerts about the tenant go. Without it they are left to the platform's own routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerting: Option<Alerting>,
    /// While true no probe of this tenant runs; slots are not expected and nothing is alerted.
    #[serde(default)]
    pub suspend: bool,
}

/// How much probing a tenant's services may be asked for, in each region. A slot that would go beyond is
/// `Inconclusive(BudgetExhausted)`, and counted. The resident probes of a tenant with a budget run in one runner, which
/// keeps the account; runs of Jobs are accounted one by one.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.requestsPerMinute) || has(self.concurrentSessions)").message("a budget must have requestsPerMinute or concurrentSessions"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Most requests in a minute, redirects included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_minute: Option<i32>,
    /// Most runs at a time of probes that open a session: those with a `finally` step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrent_sessions: Option<i32>,
}

/// What holds for every probe of a tenant that does not say otherwise.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.timeoutSeconds) || !has(self.intervalSeconds) || self.timeoutSeconds < self.intervalSeconds").message("timeoutSeconds must be less than intervalSeconds"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantDefaults {
    /// Seconds between two slots of a default probe. Defaults to 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 86400))]
    pub interval_seconds: Option<i32>,
    /// Seconds after which a run of a default probe fails with `Timeout`. Defaults to half of the
    /// interval, at most 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: Option<i32>,
    /// Regions in which probes run. Empty means every region where a release is installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub regions: Vec<String>,
    /// Pool that runs the probes. Defaults to the release's default pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_ref: Option<PoolRef>,
    /// Trust and client identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// One service of a tenant: exactly one of `stream`, `license`, `endpoint`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.stream), has(self.license), has(self.endpoint)].filter(x, x).size() == 1").message("a service must have exactly one of stream, license, endpoint"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Name, unique within the tenant.
    #[schemars(
        length(min = 1, max = 22),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// A stream: manifest, playlists, init and newest segments are checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamService>,
    /// A licence server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<LicenseService>,
    /// A plain HTTP endpoint that must answer with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointService>,
}

/// A live or on-demand stream.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamService {
    /// URL of the multivariant playlist or MPD.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// Format. `Auto` decides by the document's first bytes.
    #[serde(default)]
    pub format: StreamFormat,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
}

/// A licence server. Of ClearKey a licence is got for the key ids that the stream signals; of the other systems what can
/// be proved without a client is: the system's certificate, and the refusal of a request that nobody signed. More takes a
/// probe of its own (docs/licences.md).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.streamUrl) == (self.system == 'ClearKey')").message("streamUrl must be used with system: ClearKey, whose licences need key ids"))]
#[x_kube(validation = Rule::new("self.system != 'Proprietary'").message("a service of system Proprietary must be written as a probe"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicenseService {
    /// URL of the licence server.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// DRM system. Defaults to ClearKey.
    #[serde(default = "clear_key")]
    pub system: DrmSystem,
    /// URL of the stream whose key ids are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub stream_url: Option<String>,
    /// URL of the application certificate (FairPlay).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub certificate_url: Option<String>,
    /// Headers to send to the licence server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
}

fn clear_key() -> DrmSystem {
    DrmSystem::ClearKey
}

/// A plain HTTP endpoint.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointService {
    /// URL that must answer with a 2xx status.
    #[schemars(length(min = 8, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
}

/// What the operator found out about a tenant.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonitoredTenantStatus {
    /// Generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of probes that refer to this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<i32>,
    /// Number of those whose `Healthy` condition is `False`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<i32>,
    /// `Ready`, `Healthy` and, of a tenant with objectives, `ObjectivesReady`, with alerting `AlertingReady`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
