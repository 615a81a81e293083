//! `DrmProbe`: a scheduled, ordered list of steps.

use crate::{Credential, PoolRef, Step, Tls};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A scheduled, ordered list of steps that test one service of a tenant.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[kube(
    group = "drmwatch.io",
    version = "v1alpha1",
    kind = "DrmProbe",
    plural = "drmprobes",
    namespaced,
    status = "DrmProbeStatus",
    shortname = "dp",
    category = "drmwatch",
    derive = "PartialEq",
    selectable = ".spec.tenantRef.name",
    printcolumn(json_path = ".spec.tenantRef.name", name = "Tenant", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Healthy\")].status", name = "Healthy", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Healthy\")].reason", name = "Reason", type_ = "string"),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Healthy\")].lastTransitionTime",
        name = "Since",
        type_ = "date"
    ),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".spec.execution", name = "Execution", type_ = "string", priority = 1),
    printcolumn(
        json_path = ".status.conditions[?(@.type==\"Healthy\")].message",
        name = "Message",
        type_ = "string",
        priority = 1
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters")
)]
#[x_kube(validation = Rule::new("self.steps.all(s, self.steps.exists_one(t, t.name == s.name))").message("step names must be unique"))]
#[x_kube(validation = Rule::new("self.execution != 'Job' || !has(self.schedule.intervalSeconds) || (self.schedule.intervalSeconds % 60 == 0 && 3600 % self.schedule.intervalSeconds == 0)").message("schedule.intervalSeconds must be whole minutes that divide an hour when execution is Job"))]
#[x_kube(validation = Rule::new("!has(self.schedule.intervalSeconds) || self.timeoutSeconds < self.schedule.intervalSeconds").message("timeoutSeconds must be less than schedule.intervalSeconds"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrmProbeSpec {
    /// The tenant, in the same namespace.
    #[x_kube(validation = Rule::new("self == oldSelf").message("tenantRef must not be changed: it is part of every series' identity"))]
    pub tenant_ref: TenantRef,
    /// When the probe is due.
    pub schedule: Schedule,
    /// Seconds after which a run fails with `Timeout`. Must be less than the interval. Defaults to 30.
    #[serde(default = "DrmProbeSpec::default_timeout")]
    #[schemars(range(min = 1, max = 600))]
    pub timeout_seconds: i32,
    /// Regions in which the probe runs. Empty means those of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub regions: Vec<String>,
    /// Where the probe runs: in a resident runner, or as a Job with a pod of its own. The verdict is the
    /// same. Defaults to `Resident`.
    #[serde(default)]
    pub execution: Execution,
    /// Pool that runs the probe. Defaults to that of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_ref: Option<PoolRef>,
    /// Secret values that steps may use as `${credentials.NAME}`, besides those of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub credentials: Vec<Credential>,
    /// Trust and client identity. Defaults to that of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What is done, in order. The run ends with the first step that fails.
    #[schemars(length(min = 1, max = 10), transform = crate::step::add_reference_rules)]
    pub steps: Vec<Step>,
}

impl DrmProbeSpec {
    /// Thirty seconds.
    pub fn default_timeout() -> i32 {
        30
    }
}

/// A tenant in the same namespace.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantRef {
    /// Name of the MonitoredTenant.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// A cron expression: five fields, each of a star, numbers, names, ranges and steps within its bounds; or a descriptor.
/// That it comes at all (30 February does not) is checked when the plan is made.
const CRON: &str = concat!(
    r"^\s*(@(yearly|annually|monthly|weekly|daily|midnight|hourly|every [0-9.hmsunµ]+)|",
    r"([*?]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?(,([*?]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?)*\s+",
    r"([*?]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]+)?(,([*?]|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[0-9]+)?)*\s+",
    r"([*?]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]+)?(,([*?]|(0?[1-9]|[12][0-9]|3[01])(-(0?[1-9]|[12][0-9]|3[01]))?)(/[0-9]+)?)*\s+",
    r"([*?]|(0?[1-9]|1[0-2]|[A-Za-z]{3})(-(0?[1-9]|1[0-2]|[A-Za-z]{3}))?)(/[0-9]+)?(,([*?]|(0?[1-9]|1[0-2]|[A-Za-z]{3})(-(0?[1-9]|1[0-2]|[A-Za-z]{3}))?)(/[0-9]+)?)*\s+",
    r"([*?]|([0-6]|[A-Za-z]{3})(-([0-6]|[A-Za-z]{3}))?)(/[0-9]+)?(,([*?]|([0-6]|[A-Za-z]{3})(-([0-6]|[A-Za-z]{3}))?)(/[0-9]+)?)*",
    r")\s*$"
);

/// When a probe is due: exactly one of `intervalSeconds` and `cron`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.intervalSeconds) != has(self.cron)").message("schedule must have exactly one of intervalSeconds, cron"))]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.cron)").message("timeZone must be used with cron only"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// Seconds between two slots. The phase inside the interval is derived from the probe's identity, so
    /// that load is spread and stays put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 5, max = 86400))]
    pub interval_seconds: Option<i32>,
    /// Five-field cron expression or descriptor (`@hourly`, `@every 90s`), read exactly as of a CronJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = CRON))]
    pub cron: Option<String>,
    /// IANA time zone in which `cron` is read. Defaults to UTC for resident probes, to the cluster's zone for Jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")
    )]
    pub time_zone: Option<String>,
    /// What happens when a slot is due while the run before it goes on. Defaults to `Forbid`. With an interval it matters
    /// for Jobs only: a resident run ends before its interval does.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// A slot that could not start within this many seconds counts as missed. Defaults to the interval
    /// for resident probes and to no limit for Jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub starting_deadline_seconds: Option<i32>,
    /// While true no slot is due and nothing is alerted.
    #[serde(default)]
    pub suspend: bool,
}

/// What happens when a slot is due while the run before it goes on; meaning as of a CronJob.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// Both run.
    Allow,
    /// The new slot is missed.
    #[default]
    Forbid,
    /// The old run is ended.
    Replace,
}

/// Where a probe runs.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum Execution {
    /// In a resident runner of the pool.
    #[default]
    Resident,
    /// As a CronJob, a pod for each slot.
    Job,
}

/// What is known of a probe. The facts of each run are in metrics, not here.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrmProbeStatus {
    /// Generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the plan of this probe lies, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_ref: Option<PlanRef>,
    /// `Ready` and `Healthy`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A plan Secret.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRef {
    /// Its namespace, which is its pool's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}
