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

/// Render a configuration of Alertmanager.
#[derive(Args)]
pub struct Alertmanager {
    /// Folder (or file) of MonitoredTenants. Their Secrets need not be there.
    folder: PathBuf,
    /// Folder to write `alertmanager.yml` to, and with --bridge-key the tokens of tenants. Nothing is written if a file of the
    /// other folder has a mistake.
    #[arg(long, short)]
    out: PathBuf,
    /// Folder in which Alertmanager finds secrets, a file each: what is to be put there is printed.
    #[arg(long, default_value = "/etc/alertmanager/drmwatch")]
    secrets: String,
    /// Where the ticket bridge takes notifications.
    #[arg(long)]
    bridge: Option<String>,
    /// File with the bridge's key: tenants' tokens are made of it.
    #[arg(long, requires = "bridge")]
    bridge_key: Option<PathBuf>,
    /// Where Grafana is, for links.
    #[arg(long)]
    grafana: Option<String>,
    /// Channel in Slack for what is about no tenant that has alerting.
    #[arg(long)]
    channel: Option<String>,
    /// URL that is called every minute while alerting works (the alert Watchdog).
    #[arg(long)]
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
                "caution: without --channel nobody hears of what is about no tenant: the watchers, above all"
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
                    note!("caution: {namespace}/{name} wants tickets, which takes --bridge")
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
