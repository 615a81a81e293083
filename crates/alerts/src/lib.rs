//! What Prometheus is to make of the series: consensus, alerts, burn rates, and a runbook page for each alert; and what
//! Alertmanager is to do with them.
//!
//! Everything here is a pure function from what users wrote to rule files. Names of series are the exporter's own
//! constants, so that a metric that is renamed takes its rules along. The shipped files and pages are generated
//! (`make generate`) and held to this crate by its tests; promtool is their judge (`charts/test.sh`).

mod burn;
mod consensus;
mod fleet;
mod objectives;
mod routing;
mod rule;
mod runbook;
mod services;
mod slack;

pub use consensus::{BLIND, DOWN, FAILING, PASSES, REPORTING};
pub use fleet::infrastructure;
pub use objectives::{BAD_MINUTE, Objectives, objectives};
pub use routing::{Platform, Ways, alertmanager_config, alertmanager_yml, bridge_secret};
pub use rule::{Group, Rule, RuleFile};
pub use runbook::{Page, page_of, pages};
pub use services::services;

/// Which view of the world a Prometheus has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One region: each region says of itself what it sees.
    Regional,
    /// All regions (Thanos Ruler, Mimir, federation, remote write): a quorum of them decides.
    Global,
}

/// What the annotation `runbook_url` begins with in the generated files; the chart puts its own value there.
pub const RUNBOOKS: &str = "RUNBOOKS";

/// What is under maintenance with an effect, as the operator tells it.
pub(crate) fn maintenance(effect: drmwatch_api::Effect) -> String {
    format!(
        "{}{{effect=\"{}\"}}",
        drmwatch_metrics::MAINTENANCE.name,
        effect.as_str()
    )
}

/// Severity of what wakes people.
pub(crate) const PAGE: &str = "page";
/// Severity of what can wait for the morning.
pub(crate) const TICKET: &str = "ticket";

/// Labels that name a probe.
pub(crate) const PROBE: &str = "tenant_namespace, tenant, probe";
/// Labels that name a probe in a region.
pub(crate) const IN_REGION: &str = "tenant_namespace, tenant, probe, region";
