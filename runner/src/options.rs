//! Command line.

use clap::Parser;
use std::{net::SocketAddr, path::PathBuf};

/// Runs probes of DRM and streaming services.
///
/// With a FOLDER: standalone, from the same YAML that a cluster takes (MonitoredTenant, DrmProbe,
/// Secret), reloaded when it changes. With --pool: resident, in a cluster. With --once: one plan, whose
/// verdict is the exit code (0 pass, 1 fail, 2 inconclusive, 3 error of the runner itself).
#[derive(Parser, Debug)]
#[command(name = "drmwatch-runner", version)]
pub struct Options {
    /// Folder of YAML to run without a cluster.
    #[arg(required_unless_present_any = ["pool", "once", "check", "replay"], conflicts_with_all = ["pool", "once", "check"])]
    folder: Option<PathBuf>,
    /// Run the plan in this folder (a mounted plan Secret) once, print its outcome and exit.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["pool", "check"])]
    once: Option<PathBuf>,
    /// Check a folder of YAML, print every mistake with file, line and field, and exit.
    #[arg(long, value_name = "FOLDER", conflicts_with = "pool")]
    check: Option<PathBuf>,
    /// Judge the record of a run again (a file of --evidence), say what it gives, and exit with its verdict.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pool", "once", "check", "folder"])]
    replay: Option<PathBuf>,
    /// Folder of programs that plug-in steps and challenge providers may run, by name.
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_PLUGINS")]
    pub plugins: Option<PathBuf>,
    /// Folder in which records of runs that begin to fail are kept, without anything secret; the newest 200.
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_EVIDENCE")]
    pub evidence: Option<PathBuf>,
    /// Work for this RunnerPool.
    #[arg(long, env = "DRMWATCH_POOL")]
    pool: Option<String>,
    /// Namespace of the pool.
    #[arg(long, env = "DRMWATCH_NAMESPACE", default_value = "drmwatch-runners")]
    pub namespace: String,
    /// UID of the RunnerPool, so that what the runner makes goes when the pool goes.
    #[arg(long, env = "DRMWATCH_POOL_UID")]
    pub pool_uid: Option<String>,
    /// Number of shards of the pool.
    #[arg(long, env = "DRMWATCH_SHARDS", default_value_t = 16)]
    pub shards: u32,
    /// Name of this runner among those of its pool.
    #[arg(long, env = "DRMWATCH_IDENTITY", default_value = "standalone")]
    pub identity: String,
    /// Region: a label of every series, and the filter of `regions`.
    #[arg(long, env = "DRMWATCH_REGION", default_value = "local")]
    pub region: String,
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, env = "DRMWATCH_LISTEN", default_value = "127.0.0.1:9464")]
    pub listen: SocketAddr,
    /// Special-purpose range that standalone probes may connect to, besides public addresses; may be
    /// given more than once. In a cluster the RunnerPool says it.
    #[arg(long = "allow-cidr", value_name = "CIDR")]
    pub allow_cidrs: Vec<String>,
    /// Folder in which a resident runner keeps its plans, sealed, to start with while the API server is away.
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_CACHE", requires = "cache_key")]
    pub cache: Option<PathBuf>,
    /// File with the 32 bytes of that folder's key.
    #[arg(long, value_name = "FILE", env = "DRMWATCH_CACHE_KEY")]
    pub cache_key: Option<PathBuf>,
    /// Where results are kept: a folder, or a URL (s3://BUCKET/PREFIX, gs://, az://) whose credentials are read from the
    /// environment. Without it none are.
    #[arg(
        long,
        value_name = "PLACE",
        env = "DRMWATCH_RESULTS",
        requires = "results_keys"
    )]
    pub results: Option<String>,
    /// Folder of the keys under which they are encrypted (`drmwatch keys`).
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_RESULTS_KEYS")]
    pub results_keys: Option<PathBuf>,
    /// Who holds tenants' keys, where it is not that folder: awskms://REGION, or vault+https://HOST/MOUNT (VAULT_TOKEN).
    #[arg(long, value_name = "URL", env = "DRMWATCH_RESULTS_KMS")]
    pub results_kms: Option<String>,
    /// Folder in which results wait, sealed, until they are there.
    #[arg(long, value_name = "FOLDER", env = "DRMWATCH_RESULTS_SPOOL")]
    pub results_spool: Option<PathBuf>,
    /// File with the 32 bytes of that folder's key. Defaults to --cache-key, else a key in the folder itself.
    #[arg(long, value_name = "FILE", env = "DRMWATCH_RESULTS_SPOOL_KEY")]
    pub results_spool_key: Option<PathBuf>,
    /// Seconds for which results are gathered into one batch.
    #[arg(long, env = "DRMWATCH_RESULTS_BATCH_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub results_batch_seconds: u32,
    /// Most MiB that results may take on the runner's disk while they wait.
    #[arg(long, env = "DRMWATCH_RESULTS_SPOOL_MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    pub results_spool_mib: u32,
    /// Runs that may go on at once; a quarter of them for one tenant, and for one host. More wait for their turn.
    #[arg(long, env = "DRMWATCH_MAX_RUNS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_runs: u32,
    /// Show a live table of probes on the terminal.
    #[arg(long)]
    pub table: bool,
    /// Where --once writes its outcome for the kubelet to find.
    #[arg(long, value_name = "FILE")]
    pub termination_log: Option<PathBuf>,
    /// Log as JSON. DRMWATCH_LOG sets what is logged (default `info`).
    #[arg(long, env = "DRMWATCH_LOG_JSON")]
    pub log_json: bool,
}

/// What to do.
pub enum Mode {
    /// Check a folder.
    Check(PathBuf),
    /// Judge a record again.
    Replay(PathBuf),
    /// Run a mounted plan once.
    Once(PathBuf),
    /// Run a folder.
    Standalone(PathBuf),
    /// Run the plans of a pool.
    Resident(String),
}

impl Options {
    /// What to do. clap has seen to it that exactly one is given.
    pub fn mode(&self) -> Mode {
        if let Some(file) = &self.replay {
            return Mode::Replay(file.clone());
        }
        match (&self.check, &self.once, &self.pool, &self.folder) {
            (Some(folder), ..) => Mode::Check(folder.clone()),
            (_, Some(folder), ..) => Mode::Once(folder.clone()),
            (_, _, Some(pool), _) => Mode::Resident(pool.clone()),
            (_, _, _, folder) => Mode::Standalone(folder.clone().unwrap_or_default()),
        }
    }
}
