//! What a tenant was promised: service level objectives.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service level objective. It holds for each of its probes by itself, and becomes burn-rate alerts and the series that
/// Sloth's dashboards read (docs/objectives.md).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.availability), has(self.latency), has(self.liveEdge)].filter(x, x).size() == 1").message("an objective must have exactly one of availability, latency, liveEdge"))]
#[x_kube(validation = Rule::new("double(self.target.replace('%', '')) >= 50.0 && double(self.target.replace('%', '')) < 100.0").message("target must be at least 50% and below 100%: a budget of nothing is used up by the first failure"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objective {
    /// Name, unique within the tenant.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Share of good minutes, or of runs that are fast enough, as a percentage: `99.9%`.
    #[schemars(length(min = 2, max = 8), regex(pattern = r"^[0-9]{1,3}([.][0-9]{1,3})?%$"))]
    pub target: String,
    /// Over how long. Defaults to `30d`.
    #[serde(default)]
    pub window: ObjectiveWindow,
    /// Probes that it is about, by their names (of a service: `TENANT-SERVICE`). Empty means every probe of the tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 63),
            regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
        )
    )]
    pub probes: Vec<String>,
    /// A minute is good while the probe is not down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// A run is good when it was fast enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// A minute is good while the probe is not down and the live edge is young enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_edge: Option<LiveEdge>,
}

/// Over how long an objective holds.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum ObjectiveWindow {
    /// A week.
    #[serde(rename = "7d")]
    Week,
    /// Four weeks: as many of each weekday.
    #[serde(rename = "28d")]
    FourWeeks,
    /// Thirty days.
    #[default]
    #[serde(rename = "30d")]
    Month,
    /// Ninety days.
    #[serde(rename = "90d")]
    Quarter,
}

impl ObjectiveWindow {
    /// In days.
    pub fn days(self) -> u32 {
        match self {
            ObjectiveWindow::Week => 7,
            ObjectiveWindow::FourWeeks => 28,
            ObjectiveWindow::Month => 30,
            ObjectiveWindow::Quarter => 90,
        }
    }
}

/// A minute is good while the probe is not down.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Availability {}

/// A run is good when it was fast enough.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("self.withinMilliseconds in [25, 50, 100, 250, 500, 1000, 2500, 5000, 10000]").message("withinMilliseconds must be a bound of the histogram: 25, 50, 100, 250, 500, 1000, 2500, 5000 or 10000"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Latency {
    /// What is timed.
    pub of: Timed,
    /// How fast is fast enough: one of the bounds that durations are counted by.
    #[schemars(range(min = 25, max = 10000))]
    pub within_milliseconds: i32,
}

/// What a latency objective times.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum Timed {
    /// The whole run.
    Run,
    /// From the licence request to the end of its answer.
    License,
}

/// A minute is good while the probe is not down and the live edge is young enough.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveEdge {
    /// Most seconds between the end of the newest segment and now.
    #[schemars(range(min = 1, max = 3600))]
    pub max_age_seconds: i32,
}
