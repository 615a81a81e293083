//! Command line.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// Makes tickets in Zendesk of Alertmanager's notifications, and closes them.
#[derive(Parser, Debug, Clone)]
#[command(name = "drmwatch-bridge", version)]
pub struct Options {
    /// Where Alertmanager's webhooks are taken.
    #[arg(long, env = "DRMWATCH_BRIDGE_LISTEN", default_value = "0.0.0.0:9467")]
    pub listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "DRMWATCH_LISTEN", default_value = "0.0.0.0:9466")]
    pub metrics: SocketAddr,
    /// Folder in which incidents are kept. It must outlive the program: what was accepted is there before it is answered.
    #[arg(long, env = "DRMWATCH_BRIDGE_STORE")]
    pub store: PathBuf,
    /// File with the key that tenants' tokens are made of, 32 characters or more; one a line, the first is the present one.
    #[arg(long, env = "DRMWATCH_BRIDGE_KEY_FILE")]
    pub key_file: PathBuf,
    /// Base URL of the Zendesk account: `https://acme.zendesk.com`.
    #[arg(long, env = "DRMWATCH_ZENDESK_URL")]
    pub zendesk_url: String,
    /// Identifier of the OAuth client (grant `client_credentials`).
    #[arg(long, env = "DRMWATCH_ZENDESK_CLIENT_ID")]
    pub client_id: String,
    /// File with the secret of the OAuth client.
    #[arg(long, env = "DRMWATCH_ZENDESK_CLIENT_SECRET_FILE")]
    pub client_secret_file: PathBuf,
    /// Most requests to Zendesk in a minute: the account's limit is shared with everything else that uses it.
    #[arg(long, env = "DRMWATCH_ZENDESK_REQUESTS_PER_MINUTE", default_value_t = 150)]
    pub requests_per_minute: u32,
    /// PEM certificates to trust instead of the public (Mozilla) roots.
    #[arg(long, env = "DRMWATCH_ZENDESK_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Allow a Zendesk URL without TLS: for tests.
    #[arg(long, env = "DRMWATCH_ZENDESK_ALLOW_HTTP")]
    pub allow_http: bool,
    /// Base URLs of the Alertmanagers that send. They are asked whether an alert still fires before a ticket is made or opened
    /// again, and whether one whose end nobody told is over. Empty: what was notified is believed.
    #[arg(long, env = "DRMWATCH_ALERTMANAGERS", value_delimiter = ',')]
    pub alertmanagers: Vec<String>,
    /// Tells incidents of installations apart that share a Zendesk account. Bridges of one installation have one name.
    #[arg(long, env = "DRMWATCH_INSTALLATION", default_value = "drmwatch")]
    pub installation: String,
    /// Region of this release: a label of a series.
    #[arg(long, env = "DRMWATCH_REGION", default_value = "local")]
    pub region: String,
    /// Seconds that pass at least between two comments on one ticket.
    #[arg(long, env = "DRMWATCH_BRIDGE_COALESCE_SECONDS", default_value_t = 60)]
    pub coalesce_seconds: u32,
    /// Seconds after which Alertmanager is asked about what fires: a ticket whose end nobody told is solved after two such looks.
    #[arg(long, env = "DRMWATCH_BRIDGE_SWEEP_SECONDS", default_value_t = 300)]
    pub sweep_seconds: u32,
    /// See whether Zendesk lets the bridge in, say so, and exit.
    #[arg(long)]
    pub selftest: bool,
    /// With --selftest: make a ticket, too, and solve it.
    #[arg(long, requires = "selftest")]
    pub with_ticket: bool,
    /// Log as JSON. DRMWATCH_LOG sets what is logged (default `info`).
    #[arg(long, env = "DRMWATCH_LOG_JSON")]
    pub log_json: bool,
}
