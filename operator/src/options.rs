//! Command line.

use clap::{Parser, ValueEnum};
use drmwatch_api::PoolRef;
use std::{net::SocketAddr, path::PathBuf};

/// Reconciles MonitoredTenants, DrmProbes, RunnerPools, MaintenanceWindows and SlaReports.
#[derive(Parser, Debug, Clone)]
#[command(name = "drmwatch-operator", version)]
pub struct Options {
    /// Namespace of the operator itself, for its Lease.
    #[arg(long, env = "DRMWATCH_NAMESPACE", default_value = "drmwatch-system")]
    pub namespace: String,
    /// Name of this replica.
    #[arg(long, env = "DRMWATCH_IDENTITY", default_value = "drmwatch-operator")]
    pub identity: String,
    /// Region of this release: a label of every series, and the filter of `regions`.
    #[arg(long, env = "DRMWATCH_REGION", default_value = "local")]
    pub region: String,
    /// Name of the pool for probes that name none.
    #[arg(long, env = "DRMWATCH_DEFAULT_POOL", default_value = "default")]
    pub default_pool: String,
    /// Namespace of that pool.
    #[arg(
        long,
        env = "DRMWATCH_DEFAULT_POOL_NAMESPACE",
        default_value = "drmwatch-runners"
    )]
    pub default_pool_namespace: String,
    /// Image of the runners.
    #[arg(
        long,
        env = "DRMWATCH_RUNNER_IMAGE",
        default_value = "localhost/drmwatch-runner:0.1.0"
    )]
    pub runner_image: String,
    /// Image of the command line, which makes reports.
    #[arg(
        long,
        env = "DRMWATCH_REPORTER_IMAGE",
        default_value = "localhost/drmwatch:0.1.0"
    )]
    pub reporter_image: String,
    /// Pull policy of the runners' image, and of that one.
    #[arg(long, env = "DRMWATCH_RUNNER_PULL_POLICY", default_value = "IfNotPresent")]
    pub runner_pull_policy: String,
    /// Names of the Secrets with credentials for the registry of both images: `NAME,NAME`. Each must exist in every namespace
    /// that holds a RunnerPool, because runners, Jobs and reports run there.
    #[arg(long, env = "DRMWATCH_IMAGE_PULL_SECRETS", value_delimiter = ',', value_parser = secret_name)]
    pub image_pull_secrets: Vec<String>,
    /// What tenants' objectives become.
    #[arg(long, env = "DRMWATCH_OBJECTIVES", value_enum, default_value = "none")]
    pub objectives: ObjectivesAs,
    /// Which view the Prometheus has that reads them: of this region, or of all.
    #[arg(long, env = "DRMWATCH_RULES_SCOPE", value_enum, default_value = "regional")]
    pub rules_scope: RulesScope,
    /// Labels of what they become, by which a Prometheus chooses it: `name=value,name=value`.
    #[arg(long, env = "DRMWATCH_RULES_LABELS", value_delimiter = ',', value_parser = label)]
    pub rules_labels: Vec<(String, String)>,
    /// Where the runbooks are published.
    #[arg(long, env = "DRMWATCH_RUNBOOKS", default_value = "docs/runbooks")]
    pub runbooks: String,
    /// Write an AlertmanagerConfig for each tenant that has alerting.
    #[arg(long, env = "DRMWATCH_ALERTMANAGER_CONFIG")]
    pub alertmanager_config: bool,
    /// Where the ticket bridge takes notifications: `http://drmwatch-bridge.drmwatch-system.svc:9467`.
    #[arg(long, env = "DRMWATCH_BRIDGE", requires = "bridge_key_file")]
    pub bridge: Option<String>,
    /// File with the bridge's key, of which tenants' tokens are made.
    #[arg(long, env = "DRMWATCH_BRIDGE_KEY_FILE")]
    pub bridge_key_file: Option<PathBuf>,
    /// Where Grafana is, for links in messages and tickets.
    #[arg(long, env = "DRMWATCH_GRAFANA")]
    pub grafana: Option<String>,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "DRMWATCH_LISTEN", default_value = "0.0.0.0:9465")]
    pub listen: SocketAddr,
    /// Apply this version's CRDs to the cluster and exit.
    #[arg(long)]
    pub apply_crds: bool,
    /// Log as JSON. DRMWATCH_LOG sets what is logged (default `info`).
    #[arg(long, env = "DRMWATCH_LOG_JSON")]
    pub log_json: bool,
}

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
    /// Nothing, here.
    None,
    /// A PrometheusRule in the tenant's namespace.
    PrometheusRule,
    /// A rule file in a ConfigMap in the tenant's namespace.
    ConfigMap,
}

/// Which view the Prometheus has that reads the rules.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulesScope {
    /// Of this region.
    Regional,
    /// Of all regions.
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
