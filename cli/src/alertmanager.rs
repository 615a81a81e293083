//! `drmwatch alertmanager`: a configuration, for an Alertmanager without the Prometheus Operator.

use crate::folder::{self, Error};
use clap::Args;
use drmwatch_alerts::{Platform, Ways, alertmanager_yml};
use drmwatch_program::{note, say};
use drmwatch_tickets::Key;
use kube::ResourceExt;
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What is written above the file.
const HEAD: &str = "# Rendered by `drmwatch alertmanager`.\n";

/// Write an Alertmanager configuration with the routes of every tenant that has spec.alerting.
///
/// Use it for an Alertmanager without the Prometheus Operator. Secrets are not part of the configuration: the command
/// prints which files must be put where.
#[derive(Args)]
pub struct Alertmanager {
    /// Folder of YAML files with MonitoredTenants, or one such file. Their Secrets are not needed.
    folder: PathBuf,
    /// Folder to write `alertmanager.yml` to and, with --bridge-key, a file with each tenant's token. If the YAML files have a
    /// mistake, nothing is written.
    #[arg(long, short, value_name = "FOLDER")]
    out: PathBuf,
    /// Folder from which Alertmanager reads secrets, one file each.
    #[arg(long, value_name = "FOLDER", default_value = "/etc/alertmanager/drmwatch")]
    secrets: String,
    /// URL where drmwatch-bridge receives notifications. Without this option, no tickets are opened.
    #[arg(long, value_name = "URL")]
    bridge: Option<String>,
    /// File with the key of drmwatch-bridge. Tenants' tokens are derived from it.
    #[arg(long, value_name = "FILE", requires = "bridge")]
    bridge_key: Option<PathBuf>,
    /// Base URL of Grafana, for links in messages. Without this option, they have none.
    #[arg(long, value_name = "URL")]
    grafana: Option<String>,
    /// Slack channel for alerts that belong to no tenant with spec.alerting, such as alerts about drmwatch itself.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// URL that Alertmanager calls every minute as long as alerting works (the alert Watchdog).
    #[arg(long, value_name = "URL")]
    heartbeat: Option<String>,
}

impl Alertmanager {
    /// Writes the file. Exits with 2 where what users wrote is wrong, or can't be read.
    pub fn run(&self) -> ExitCode {
        folder::exit(self.write())
    }

    fn write(&self) -> Result<(), Error> {
        let folder = folder::read(&self.folder)?;
        let key = match &self.bridge_key {
            None => None,
            Some(path) => {
                let text = fs::read_to_string(path).map_err(folder::io(path))?;
                let key =
                    Key::parse(&text).map_err(|e| Error::Mistakes(format!("{}: {e}", path.display())))?;
                Some(key)
            }
        };
        let ways = Ways {
            bridge: self.bridge.clone(),
            grafana: self.grafana.clone(),
        };
        let platform = Platform {
            secrets: self.secrets.clone(),
            channel: self.channel.clone(),
            heartbeat: self.heartbeat.clone(),
        };
        let config = alertmanager_yml(&folder.tenants, &ways, &platform);
        fs::create_dir_all(&self.out).map_err(folder::io(&self.out))?;
        let path = self.out.join("alertmanager.yml");
        let text = HEAD.to_owned() + &serde_saphyr::to_string(&config)?;
        fs::write(&path, text).map_err(folder::io(&path))?;
        say!("{}", path.display());
        if self.channel.is_none() {
            note!(
                "caution: without --channel, nobody receives alerts about drmwatch itself and other alerts that belong to no tenant"
            );
        }
        let need =
            |name: &str, what: &str| note!("needs {}/{name}: {what}", self.secrets.trim_end_matches('/'));
        if self.channel.is_some() {
            need(
                "platform.slack",
                "the URL of the webhook of the platform's channel",
            );
        }
        for tenant in &folder.tenants {
            let Some(alerting) = &tenant.spec.alerting else {
                continue;
            };
            let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
            if let Some(slack) = &alerting.slack {
                let from = &slack.webhook_secret_ref;
                let what = format!(
                    "key {} of Secret {} in namespace {namespace}",
                    from.key, from.name
                );
                need(&format!("{namespace}.{name}.slack"), &what);
            }
            let file = format!("{namespace}.{name}.bridge");
            match (&alerting.zendesk, &self.bridge, &key) {
                (None, _, _) => {}
                (Some(_), None, _) => {
                    note!("caution: {namespace}/{name} has spec.alerting.zendesk, which requires --bridge")
                }
                (Some(_), Some(_), None) => need(&file, "the tenant's token (--bridge-key writes it)"),
                (Some(_), Some(_), Some(key)) => {
                    let path = self.out.join(file);
                    secret(&path, &key.token(&namespace, &name)).map_err(folder::io(&path))?;
                    say!("{}", path.display());
                }
            }
        }
        Ok(())
    }
}

/// Writes a file that nobody else may read.
fn secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
