//! Command line.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// Ticket bridge of drmwatch: receives notifications from Alertmanager, and opens, updates and solves Zendesk tickets.
#[derive(Parser, Debug, Clone)]
#[command(
    name = "drmwatch-bridge",
    version,
    max_term_width = 100,
    after_long_help = "Exit status: 0: stopped by SIGTERM or Ctrl-C, or --selftest succeeded, 1: error, 2: wrong arguments."
)]
pub struct Options {
    /// Folder for incidents. It must be on durable storage: a notification is written here before it is acknowledged.
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_BRIDGE_STORE")]
    pub store: PathBuf,
    /// Name of this installation. It keeps the tickets of several installations in one Zendesk account apart. All bridges of an
    /// installation must have the same name.
    #[arg(
        long,
        value_name = "NAME",
        env = "DRMWATCH_INSTALLATION",
        default_value = "drmwatch"
    )]
    pub installation: String,
    /// Region of this installation: the label `region` of a metric.
    #[arg(long, env = "DRMWATCH_REGION", default_value = "local")]
    pub region: String,
    /// Test the access to Zendesk, print the result of each request, and exit.
    #[arg(long)]
    pub selftest: bool,
    /// With --selftest: also open a ticket, and solve it.
    #[arg(long, requires = "selftest")]
    pub with_ticket: bool,
    /// Address and port where Alertmanager sends notifications.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "DRMWATCH_BRIDGE_LISTEN",
        default_value = "0.0.0.0:9467",
        help_heading = ALERTMANAGER
    )]
    pub listen: SocketAddr,
    /// File with the key from which tenants' tokens are derived: at least 32 characters. To change the key, put the new one on the
    /// first line and the old one on the second; both are accepted.
    #[arg(
        long,
        value_name = "FILE",
        env = "DRMWATCH_BRIDGE_KEY_FILE",
        help_heading = ALERTMANAGER
    )]
    pub key_file: PathBuf,
    /// Base URLs of the Alertmanagers that send notifications, separated by commas. The bridge asks them whether an alert still
    /// fires before it opens or reopens a ticket, and solves tickets of alerts that ended unnoticed. Without this option, it
    /// relies on the notifications alone.
    #[arg(
        long,
        value_name = "URLS",
        env = "DRMWATCH_ALERTMANAGERS",
        value_delimiter = ',',
        help_heading = ALERTMANAGER
    )]
    pub alertmanagers: Vec<String>,
    /// How often the bridge asks --alertmanagers which alerts fire, in seconds. A ticket is solved when its alert is missing from
    /// two answers in a row.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "DRMWATCH_BRIDGE_SWEEP_SECONDS",
        default_value_t = 300,
        help_heading = ALERTMANAGER
    )]
    pub sweep_seconds: u32,
    /// Base URL of the Zendesk account, such as https://acme.zendesk.com.
    #[arg(
        long,
        value_name = "URL",
        env = "DRMWATCH_ZENDESK_URL",
        help_heading = ZENDESK
    )]
    pub zendesk_url: String,
    /// Identifier of the Zendesk OAuth client. Its grant type must be client_credentials.
    #[arg(
        long,
        value_name = "ID",
        env = "DRMWATCH_ZENDESK_CLIENT_ID",
        help_heading = ZENDESK
    )]
    pub client_id: String,
    /// File with the secret of the Zendesk OAuth client.
    #[arg(
        long,
        value_name = "FILE",
        env = "DRMWATCH_ZENDESK_CLIENT_SECRET_FILE",
        help_heading = ZENDESK
    )]
    pub client_secret_file: PathBuf,
    /// Maximum number of requests to Zendesk per minute. All programs that use the account share its limit.
    #[arg(
        long,
        value_name = "REQUESTS",
        env = "DRMWATCH_ZENDESK_REQUESTS_PER_MINUTE",
        default_value_t = 150,
        help_heading = ZENDESK
    )]
    pub requests_per_minute: u32,
    /// Minimum time between two comments on one ticket, in seconds. Changes in between become one comment.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "DRMWATCH_BRIDGE_COALESCE_SECONDS",
        default_value_t = 60,
        help_heading = ZENDESK
    )]
    pub coalesce_seconds: u32,
    /// File of CA certificates (PEM) to trust for Zendesk and Alertmanager. Defaults to the public CAs that Mozilla trusts.
    #[arg(
        long,
        value_name = "FILE",
        env = "DRMWATCH_ZENDESK_CA_FILE",
        help_heading = ZENDESK
    )]
    pub ca_file: Option<PathBuf>,
    /// Allow a Zendesk URL that begins with http://. For tests only: the OAuth secret is sent without encryption.
    #[arg(long, env = "DRMWATCH_ZENDESK_ALLOW_HTTP", help_heading = ZENDESK)]
    pub allow_http: bool,
    /// Address and port for /metrics, /healthz and /readyz.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "DRMWATCH_LISTEN",
        default_value = "0.0.0.0:9466",
        help_heading = OUTPUT
    )]
    pub metrics: SocketAddr,
    /// Write logs as JSON. The variable DRMWATCH_LOG sets the level: error, warn, info (default), debug or trace, also per
    /// module (`info,drmwatch_bridge=debug`). Logs go to standard error.
    #[arg(long, env = "DRMWATCH_LOG_JSON", help_heading = OUTPUT)]
    pub log_json: bool,
}

const ALERTMANAGER: &str = "Alertmanager";
const ZENDESK: &str = "Zendesk";
const OUTPUT: &str = "Output";
