//! Command line.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// Read-only HTTP API for the results and roll-ups of drmwatch. Kubernetes RBAC decides who can read which tenant.
#[derive(Parser, Debug)]
#[command(
    name = "drmwatch-reader",
    version,
    max_term_width = 100,
    after_long_help = "Exit status: 0: stopped by SIGTERM or Ctrl-C, 1: error, 2: wrong arguments."
)]
pub struct Options {
    /// Result store: a folder, or a URL (s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX). Credentials for a URL
    /// are read from the environment.
    #[arg(long, value_name = "FOLDER|URL", env = "DRMWATCH_RESULTS")]
    pub store: String,
    /// Folder with the keys of the results: the file `names`, and without --kms one file TENANT.vN for each version of a tenant's
    /// key.
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_RESULTS_KEYS")]
    pub keys: PathBuf,
    /// Key management service that holds the tenants' keys: awskms://REGION or vault+https://HOST/MOUNT (with VAULT_TOKEN).
    /// Without this option, the keys are in the folder of --keys.
    #[arg(long, value_name = "URL", env = "DRMWATCH_RESULTS_KMS")]
    pub kms: Option<String>,
    /// Address and port of the API.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "DRMWATCH_READER_LISTEN",
        default_value = "0.0.0.0:9468"
    )]
    pub listen: SocketAddr,
    /// Address and port for /metrics, /healthz and /readyz.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "DRMWATCH_LISTEN",
        default_value = "0.0.0.0:9469"
    )]
    pub metrics: SocketAddr,
    /// Accepted audiences of tokens, separated by commas. A token must have one of them. Defaults to the audiences of the API
    /// server.
    #[arg(
        long,
        value_name = "AUDIENCES",
        env = "DRMWATCH_READER_AUDIENCES",
        value_delimiter = ','
    )]
    pub audiences: Vec<String>,
    /// File with the certificate chain (PEM) of the API. A changed file takes effect without a restart. Without this option, the
    /// API has no TLS, and tokens are sent without encryption.
    #[arg(
        long,
        value_name = "FILE",
        env = "DRMWATCH_READER_CERTIFICATE",
        requires = "key"
    )]
    pub certificate: Option<PathBuf>,
    /// File with the private key (PEM) of --certificate.
    #[arg(
        long,
        value_name = "FILE",
        env = "DRMWATCH_READER_KEY",
        requires = "certificate"
    )]
    pub key: Option<PathBuf>,
    /// Region of this installation: the label `region` of a metric.
    #[arg(long, env = "DRMWATCH_REGION", default_value = "local")]
    pub region: String,
    /// Write logs as JSON. The variable DRMWATCH_LOG sets the level: error, warn, info (default), debug or trace, also per
    /// module (`info,drmwatch_reader=debug`). Logs go to standard error.
    #[arg(long, env = "DRMWATCH_LOG_JSON")]
    pub log_json: bool,
}
