//! Command line.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// Serves results and roll-ups over HTTP, to whom Kubernetes lets read them.
#[derive(Parser, Debug)]
#[command(name = "drmwatch-reader", version)]
pub struct Options {
    /// The store of results: a folder, or a URL (s3://BUCKET/PREFIX, gs://, az://).
    #[arg(long, env = "DRMWATCH_RESULTS")]
    pub store: String,
    /// Folder of keys: `names`, and one file `TENANT.vN` for each version of a tenant's key.
    #[arg(long, env = "DRMWATCH_RESULTS_KEYS")]
    pub keys: PathBuf,
    /// Who holds tenants' keys, where it is not that folder: awskms://REGION, or vault+https://HOST/MOUNT.
    #[arg(long, env = "DRMWATCH_RESULTS_KMS")]
    pub kms: Option<String>,
    /// Address of the API.
    #[arg(long, env = "DRMWATCH_READER_LISTEN", default_value = "0.0.0.0:9468")]
    pub listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "DRMWATCH_LISTEN", default_value = "0.0.0.0:9469")]
    pub metrics: SocketAddr,
    /// Audiences that a token must be meant for, one of them; without any those of the API server.
    #[arg(long, env = "DRMWATCH_READER_AUDIENCES", value_delimiter = ',')]
    pub audiences: Vec<String>,
    /// Certificate chain (PEM) of the API. Read anew when it changes. Without it there is no TLS, and tokens travel as they are.
    #[arg(long, env = "DRMWATCH_READER_CERTIFICATE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, env = "DRMWATCH_READER_KEY", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Region of this release: a label of a series.
    #[arg(long, env = "DRMWATCH_REGION", default_value = "local")]
    pub region: String,
    /// Log as JSON. DRMWATCH_LOG sets what is logged (default `info`).
    #[arg(long, env = "DRMWATCH_LOG_JSON")]
    pub log_json: bool,
}
