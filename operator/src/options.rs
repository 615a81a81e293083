//! Command line.

use clap::{Parser, ValueEnum};
use drmwatch_api::PoolRef;
use drmwatch_plan::contract::environment;
use std::{net::SocketAddr, path::PathBuf};

/// Kubernetes operator of drmwatch: turns MonitoredTenants, DrmProbes, RunnerPools, MaintenanceWindows and SlaReports into
/// runners, CronJobs, alert rules and statuses.
///
/// The Helm chart starts it. It finds the API server as kubectl does: from the pod's service account, or from KUBECONFIG.
#[derive(Parser, Debug, Clone)]
#[command(
    name = "drmwatch-operator",
    version,
    max_term_width = 100,
    after_long_help = "Exit status: 0: stopped by SIGTERM or Ctrl-C, 1: error, 2: wrong arguments."
)]
pub struct Options {
    /// Namespace of the operator, for the Lease by which one replica leads.
    #[arg(long, env = environment::NAMESPACE, default_value = "drmwatch-system")]
    pub namespace: String,
    /// Name of this replica. It must be unique among the replicas.
    #[arg(
        long,
        value_name = "NAME",
        env = environment::IDENTITY,
        default_value = "drmwatch-operator"
    )]
    pub identity: String,
    /// Region of this installation: the label `region` of every metric. Probes that list `regions` run only if this one is among
    /// them.
    #[arg(long, env = environment::REGION, default_value = "local")]
    pub region: String,
    /// Apply the CRDs of this version to the cluster, and exit.
    #[arg(long)]
    pub apply_crds: bool,
    /// RunnerPool for probes that do not name one.
    #[arg(
        long,
        value_name = "NAME",
        env = "DRMWATCH_DEFAULT_POOL",
        default_value = "default",
        help_heading = RUNNERS
    )]
    pub default_pool: String,
    /// Namespace of --default-pool.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "DRMWATCH_DEFAULT_POOL_NAMESPACE",
        default_value = "drmwatch-runners",
        help_heading = RUNNERS
    )]
    pub default_pool_namespace: String,
    /// Container image of drmwatch-runner, for runners and for probes that run as CronJobs.
    #[arg(
        long,
        value_name = "IMAGE",
        env = "DRMWATCH_RUNNER_IMAGE",
        default_value = "localhost/drmwatch-runner:0.1.0",
        help_heading = RUNNERS
    )]
    pub runner_image: String,
    /// Container image of the drmwatch command, for the CronJobs that send SLA reports.
    #[arg(
        long,
        value_name = "IMAGE",
        env = "DRMWATCH_REPORTER_IMAGE",
        default_value = "localhost/drmwatch:0.1.0",
        help_heading = RUNNERS
    )]
    pub reporter_image: String,
    /// Pull policy of both images: Always, IfNotPresent or Never.
    #[arg(
        long,
        value_name = "POLICY",
        env = "DRMWATCH_RUNNER_PULL_POLICY",
        default_value = "IfNotPresent",
        help_heading = RUNNERS
    )]
    pub runner_pull_policy: String,
    /// Names of the Secrets with credentials for the registry of both images, separated by commas. Each must exist in every
    /// namespace that holds a RunnerPool, because runners, Jobs and reports run there.
    #[arg(
        long,
        value_name = "NAMES",
        env = "DRMWATCH_IMAGE_PULL_SECRETS",
        value_delimiter = ',',
        value_parser = secret_name,
        help_heading = RUNNERS
    )]
    pub image_pull_secrets: Vec<String>,
    /// How the operator writes the alert rules of tenants' objectives.
    #[arg(
        long,
        env = "DRMWATCH_OBJECTIVES",
        value_enum,
        default_value = "none",
        help_heading = ALERTS
    )]
    pub objectives: ObjectivesAs,
    /// Which metrics the Prometheus that evaluates these rules has.
    #[arg(
        long,
        env = "DRMWATCH_RULES_SCOPE",
        value_enum,
        default_value = "regional",
        help_heading = ALERTS
    )]
    pub rules_scope: RulesScope,
    /// Labels for these rules, by which a Prometheus selects them: NAME=VALUE, separated by commas.
    #[arg(
        long,
        value_name = "LABELS",
        env = "DRMWATCH_RULES_LABELS",
        value_delimiter = ',',
        value_parser = label,
        help_heading = ALERTS
    )]
    pub rules_labels: Vec<(String, String)>,
    /// URL or path where the runbooks are published: the beginning of the annotation `runbook_url` of alerts.
    #[arg(
        long,
        value_name = "URL",
        env = "DRMWATCH_RUNBOOKS",
        default_value = "docs/runbooks",
        help_heading = ALERTS
    )]
    pub runbooks: String,
    /// Write an AlertmanagerConfig for each tenant that has spec.alerting. Requires the Prometheus Operator.
    #[arg(long, env = "DRMWATCH_ALERTMANAGER_CONFIG", help_heading = ALERTS)]
    pub alertmanager_config: bool,
    /// URL where drmwatch-bridge receives notifications, such as http://drmwatch-bridge.drmwatch-system.svc:9467. Without this
    /// option, no tickets are opened.
    #[arg(
        long,
        value_name = "URL",
        env = "DRMWATCH_BRIDGE",
        requires = "bridge_key_file",
        help_heading = ALERTS
    )]
    pub bridge: Option<String>,
    /// File with the key of drmwatch-bridge. Tenants' tokens are derived from it.
    #[arg(
        long,
        value_name = "FILE",
        env = "DRMWATCH_BRIDGE_KEY_FILE",
        help_heading = ALERTS
    )]
    pub bridge_key_file: Option<PathBuf>,
    /// Base URL of Grafana, for links in messages and tickets. Without this option, they have none.
    #[arg(long, value_name = "URL", env = "DRMWATCH_GRAFANA", help_heading = ALERTS)]
    pub grafana: Option<String>,
    /// Address and port for /metrics, /healthz and /readyz.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = environment::LISTEN,
        default_value = "0.0.0.0:9465",
        help_heading = OUTPUT
    )]
    pub listen: SocketAddr,
    /// Write logs as JSON. The variable DRMWATCH_LOG sets the level: error, warn, info (default), debug or trace, also per
    /// module (`info,drmwatch_operator=debug`). Logs go to standard error.
    #[arg(long, env = environment::LOG_JSON, help_heading = OUTPUT)]
    pub log_json: bool,
}

const RUNNERS: &str = "Runners and reports";
const ALERTS: &str = "Alerts and tickets";
const OUTPUT: &str = "Output";

impl Options {
    /// Namespace and name of the pool that was chosen, or else of the default one.
    pub fn pool(&self, chosen: Option<&PoolRef>) -> (String, String) {
        let namespace = chosen.and_then(|p| p.namespace.clone());
        (
            namespace.unwrap_or_else(|| self.default_pool_namespace.clone()),
            chosen.map_or_else(|| self.default_pool.clone(), |p| p.name.clone()),
        )
    }
}

/// What tenants' objectives become.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectivesAs {
    /// Not at all.
    None,
    /// As a PrometheusRule in the tenant's namespace.
    PrometheusRule,
    /// As a rule file in a ConfigMap in the tenant's namespace.
    ConfigMap,
}

/// Which metrics the Prometheus has that evaluates the rules.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulesScope {
    /// Those of this region.
    Regional,
    /// Those of all regions.
    Global,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Checks the name of a Secret as the API server does: a DNS subdomain.
fn secret_name(text: &str) -> Result<String, String> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(alphanumeric)
            && part.ends_with(alphanumeric)
            && part.chars().all(|c| alphanumeric(c) || c == '-')
    };
    if text.len() > 253 || !text.split('.').all(part) {
        return Err("must be the name of a Secret: lowercase letters, digits, '-' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_secrets_are_names_separated_by_commas() {
        let parse = |text: &str| {
            Options::try_parse_from(["operator".to_owned(), format!("--image-pull-secrets={text}")])
        };
        let names = |text: &str| parse(text).unwrap().image_pull_secrets;
        assert_eq!(names("registry"), ["registry"]);
        assert_eq!(
            names("registry,mirror.example-1"),
            ["registry", "mirror.example-1"]
        );
        for wrong in ["", "a,", "Registry", "a b", "-a", "a..b", "{name: a}"] {
            let said = parse(wrong).unwrap_err().to_string();
            assert!(
                said.contains("--image-pull-secrets") && said.contains("name of a Secret"),
                "{wrong}: {said}"
            );
        }
    }
}
