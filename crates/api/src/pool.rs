//! `RunnerPool`: runners that share work.

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A set of resident runners that share the work of many probes.
///
/// The namespace of a pool holds its runners and the plans that they execute, and should hold nothing
/// else: runners may read every Secret in it.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[kube(
    group = "drmwatch.io",
    version = "v1alpha1",
    kind = "RunnerPool",
    plural = "runnerpools",
    namespaced,
    status = "RunnerPoolStatus",
    shortname = "rp",
    category = "drmwatch",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].lastTransitionTime", name = "Since", type_ = "date"),
    printcolumn(json_path = ".spec.replicas", name = "Desired", type_ = "integer"),
    printcolumn(json_path = ".status.readyReplicas", name = "Available", type_ = "integer"),
    printcolumn(json_path = ".spec.shards", name = "Shards", type_ = "integer"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Saturated\")].status", name = "Saturated", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 40").message("metadata.name must be at most 40 characters, so that names made from it fit")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunnerPoolSpec {
    /// Number of runners. Written by `kubectl scale` and by autoscalers.
    #[serde(default = "RunnerPoolSpec::default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Number of parts into which the pool's probes are divided. More shards than runners spread load
    /// evenly; it can't be changed later, because a plan's shard is derived from it.
    #[serde(default = "RunnerPoolSpec::default_shards")]
    #[schemars(range(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("shards must not be changed after creation"))]
    pub shards: i32,
    /// Resources of each runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels that a node must have to run this pool's runners.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(length(max = 16))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that this pool's runners tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// Which addresses its runners may connect to.
    #[serde(default)]
    pub egress: EgressPolicy,
    /// PersistentVolumeClaim in the pool's namespace with programs that plug-in steps may run, by name
    /// (docs/plugins.md). Mounted read-only, also in the pods of Jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub plugins_claim: Option<String>,
    /// PersistentVolumeClaim in the pool's namespace in which runners keep records of runs that begin to fail
    /// (docs/licences.md, "Evidence"): nothing secret is in them. Several runners need one that many may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub evidence_claim: Option<String>,
    /// Where its runners keep the results of every slot, encrypted (docs/results.md). Without it none are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<PoolResults>,
}

/// Where the runners of a pool keep results.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.claim), has(self.url)].filter(x, x).size() == 1").message("results must have exactly one of claim, url"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolResults {
    /// PersistentVolumeClaim in the pool's namespace. Several runners, and who makes reports, need one that many may write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim: Option<String>,
    /// Object storage: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`. All regions may share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 512), regex(pattern = r"^(s3|gs|az)://[^ ]+$"))]
    pub url: Option<String>,
    /// Secret in the pool's namespace with the keys under which results are encrypted, as `drmwatch keys create` makes
    /// them: `names`, and a `TENANT.vN` for each tenant.
    #[schemars(length(min = 1, max = 253))]
    pub keys_secret: String,
    /// Who holds tenants' keys, where it is not that Secret, which then has `names` only: `awskms://REGION`, or
    /// `vault+https://HOST/MOUNT` (the transit engine; `VAULT_TOKEN` in `credentialsSecret`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 9, max = 512),
        regex(pattern = r"^(awskms|vault[+]https?)://[^ ]+$")
    )]
    pub kms: Option<String>,
    /// Secret in the pool's namespace whose entries become the runners' environment: credentials and endpoint of the object
    /// storage and of who holds keys (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, …). Without it the pods' own identity counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
    /// Seconds for which results are gathered into one batch. Defaults to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub batch_seconds: Option<i32>,
}

impl RunnerPoolSpec {
    /// Two, so that one may be lost.
    pub fn default_replicas() -> i32 {
        2
    }
    /// Sixteen: even load up to eight runners.
    pub fn default_shards() -> i32 {
        16
    }
}

/// Which addresses probes may connect to. Public unicast addresses are always allowed; loopback,
/// link-local (which includes cloud metadata services), private, shared and other special-purpose
/// ranges (RFC 6890) only when a range here contains them.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressPolicy {
    /// Special-purpose ranges that probes may connect to, as CIDR: `10.20.0.0/16`, `fd00::/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 3, max = 49), regex(pattern = r"^[0-9a-fA-F:.]+/[0-9]{1,3}$"))
    )]
    pub allow_cidrs: Vec<String>,
}

/// What the operator found out about a pool.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunnerPoolStatus {
    /// Generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Runners that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Runners that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Label selector of the runners, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// `Ready`, and `Saturated` while a runner is about to fall behind.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
