//! `MaintenanceWindow`: time in which something else is expected of a service.

use crate::TenantRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Time in which something else is expected of services: alerts are mute, minutes are not counted, or probes rest.
///
/// Rules and reports read it from one metric, `drmwatch_maintenance`, so that they agree. An alert that begins inside of a
/// window and survives it fires at its end.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[kube(
    group = "drmwatch.io",
    version = "v1alpha1",
    kind = "MaintenanceWindow",
    plural = "maintenancewindows",
    namespaced,
    status = "MaintenanceWindowStatus",
    shortname = "mw",
    category = "drmwatch",
    derive = "PartialEq",
    printcolumn(json_path = ".status.conditions[?(@.type==\"Active\")].status", name = "Active", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Active\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".status.until", name = "Until", type_ = "string"),
    printcolumn(json_path = ".status.next", name = "Next", type_ = "string"),
    printcolumn(json_path = ".status.probes", name = "Probes", type_ = "integer"),
    printcolumn(json_path = ".spec.requestedBy", name = "Requested By", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.description", name = "Description", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters, so that it fits a label")
)]
#[x_kube(validation = Rule::new("has(self.once) != has(self.recurring)").message("a window must have exactly one of once, recurring"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaintenanceWindowSpec {
    /// What is done, for people: a change's number, for instance.
    #[schemars(length(min = 1, max = 256))]
    pub description: String,
    /// Who asked for it, as the author says: shown in Events. Kubernetes does not tell a controller who wrote an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: Option<String>,
    /// The tenant whose probes are meant. Without it those of every tenant in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_ref: Option<TenantRef>,
    /// Probes that are meant, by name. Empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub probes: Vec<String>,
    /// What the window does.
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub effects: Vec<Effect>,
    /// From one instant to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Once>,
    /// Again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurring: Option<Recurring>,
}

/// What a maintenance window does.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum Effect {
    /// Alerts about the probes do not fire.
    Mute,
    /// Its minutes are in neither sum of an objective or a report.
    ExcludeFromSla,
    /// The probes do not run: no slot is due, nothing is expected.
    Pause,
}

/// From one instant to another.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("timestamp(self.end) > timestamp(self.start)").message("end must be after start"))]
#[x_kube(validation = Rule::new("timestamp(self.end) - timestamp(self.start) <= duration('744h')").message("a window must be at most 31 days long: a service that is away for longer should be suspended"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Once {
    /// When it begins.
    pub start: Time,
    /// When it ends.
    pub end: Time,
}

/// Again and again, by a rule of RFC 5545 section 3.3.10.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("self.rule.contains('COUNT=') || self.rule.contains('UNTIL=')").message("rule must end: add COUNT= or UNTIL=, so that nobody is silent for ever because of a window that was forgotten"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recurring {
    /// First instant, as clocks show it in the zone: `2026-11-29T02:00:00`. It is an occurrence if the rule says so.
    #[schemars(
        length(min = 19, max = 19),
        regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$")
    )]
    pub start: String,
    /// When it recurs: `FREQ=WEEKLY;BYDAY=SU;UNTIL=20271231T000000Z`. UNTIL is in UTC.
    #[schemars(
        length(min = 10, max = 256),
        regex(pattern = r"^FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY)(;[A-Z]+=[A-Z0-9,+:-]+)*$")
    )]
    pub rule: String,
    /// IANA time zone in which `start` and the rule are read. A time that a clock change leaves out is moved behind the gap.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")
    )]
    pub time_zone: String,
    /// How long each occurrence lasts, in minutes that really pass.
    #[schemars(range(min = 1, max = 10080))]
    pub duration_minutes: i32,
}

/// What the operator found out about a window.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindowStatus {
    /// Generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the occurrence that goes on ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When the next occurrence begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// Number of probes that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<i32>,
    /// `Ready` and `Active`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
