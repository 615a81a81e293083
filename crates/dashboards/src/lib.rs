//! Grafana's dashboards, made here and committed as JSON (`charts/drmwatch/files/dashboards`, `make generate`).
//!
//! Names of series are the exporter's own constants, so that a metric that is renamed takes its panels along. What can be
//! wrong with a dashboard is tested without Grafana: the rules of Grafana's dashboard linter (`tests/lint.rs`), and every
//! expression against a real Prometheus that scraped real runners (`e2e/cases/10-routing`).

mod delivery;
mod expiry;
mod fleet;
mod grafana;
mod licences;
mod model;
mod probe;
mod runners;
mod streams;
mod tenant;

pub use grafana::json;
pub use model::{Dashboard, Panel, Row, Target, Variable};

/// Every dashboard.
pub fn dashboards() -> Vec<Dashboard> {
    vec![
        fleet::dashboard(),
        tenant::dashboard(),
        probe::dashboard(),
        licences::dashboard(),
        streams::dashboard(),
        expiry::dashboard(),
        runners::dashboard(),
        delivery::dashboard(),
    ]
}
