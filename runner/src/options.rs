//! Command line.

use clap::Parser;
use drmwatch_plan::contract::environment;
use std::{net::SocketAddr, path::PathBuf};

/// Runs probes against DRM license servers and video streams, and reports results as Prometheus metrics.
///
/// There are five modes. Give exactly one of FOLDER, --pool, --once, --check and --replay.
///
/// FOLDER: run every probe in a folder of YAML files (MonitoredTenant, DrmProbe, Secret), without Kubernetes. Changes to the
/// files take effect while the runner runs.
///
/// --pool: run the probes of a RunnerPool in Kubernetes. The operator starts runners in this mode.
///
/// --once: run one probe and exit. --check: validate a folder of YAML files and exit. --replay: judge a recorded run again
/// and exit.
#[derive(Parser, Debug)]
#[command(
    name = "drmwatch-runner",
    version,
    max_term_width = 100,
    after_long_help = EXIT_STATUS
)]
pub struct Options {
    /// Folder of YAML files with the probes to run, or one such file.
    #[arg(required_unless_present_any = ["pool", "once", "check", "replay"], conflicts_with_all = ["pool", "once", "check"])]
    folder: Option<PathBuf>,
    /// Run the probe in this folder once, print its outcome as JSON, and exit with its verdict. The folder is a mounted plan
    /// Secret that the operator wrote.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["pool", "check"], help_heading = MODES)]
    once: Option<PathBuf>,
    /// Validate a folder of YAML files, print each mistake with its file, line, column and field, and exit.
    #[arg(long, value_name = "FOLDER", conflicts_with = "pool", help_heading = MODES)]
    check: Option<PathBuf>,
    /// Judge a recorded run again, without network access, and exit with its verdict. FILE is a file that --evidence wrote.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pool", "once", "check", "folder"], help_heading = MODES)]
    replay: Option<PathBuf>,
    /// Folder of executables that plug-in steps and challenge providers may start, by file name.
    #[arg(long, value_name = "FOLDER", env = environment::PLUGINS, help_heading = PROBES)]
    pub plugins: Option<PathBuf>,
    /// Folder for records of failed runs, for --replay. Secrets are removed. The newest 200 files are kept. Without this option,
    /// nothing is recorded.
    #[arg(long, value_name = "FOLDER", env = environment::EVIDENCE, help_heading = PROBES)]
    pub evidence: Option<PathBuf>,
    /// Run the probes of the RunnerPool with this name.
    #[arg(long, value_name = "NAME", env = environment::POOL, help_heading = MODES)]
    pool: Option<String>,
    /// Namespace of the RunnerPool.
    #[arg(
        long,
        env = environment::NAMESPACE,
        default_value = "drmwatch-runners",
        help_heading = CLUSTER
    )]
    pub namespace: String,
    /// UID of the RunnerPool. Kubernetes deletes the runner's objects together with the pool of this UID.
    #[arg(long, value_name = "UID", env = environment::POOL_UID, help_heading = CLUSTER)]
    pub pool_uid: Option<String>,
    /// Number of shards of the RunnerPool. All runners of a pool must have the same number.
    #[arg(long, env = environment::SHARDS, default_value_t = 16, help_heading = CLUSTER)]
    pub shards: u32,
    /// Name of this runner. It must be unique in its pool.
    #[arg(
        long,
        value_name = "NAME",
        env = environment::IDENTITY,
        default_value = "standalone",
        help_heading = CLUSTER
    )]
    pub identity: String,
    /// Region of this runner: the label `region` of every metric. Probes that list `regions` run only if this one is among them.
    #[arg(long, env = environment::REGION, default_value = "local", help_heading = PROBES)]
    pub region: String,
    /// Address and port for /metrics, /healthz and /readyz.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = environment::LISTEN,
        default_value = "127.0.0.1:9464",
        help_heading = OUTPUT
    )]
    pub listen: SocketAddr,
    /// Private, loopback or link-local address range that probes may connect to, such as 10.0.0.0/8. Without this option, they may
    /// connect to public addresses only. Can be repeated. Used with FOLDER and --check; in Kubernetes, the RunnerPool sets
    /// the ranges.
    #[arg(long = "allow-cidr", value_name = "CIDR", help_heading = PROBES)]
    pub allow_cidrs: Vec<String>,
    /// Folder for an encrypted copy of the plans. With it, a runner can restart while the API server is unavailable.
    #[arg(
        long,
        value_name = "FOLDER",
        env = environment::CACHE,
        requires = "cache_key",
        help_heading = CLUSTER
    )]
    pub cache: Option<PathBuf>,
    /// File with the 32-byte key for --cache.
    #[arg(long, value_name = "FILE", env = environment::CACHE_KEY, help_heading = CLUSTER)]
    pub cache_key: Option<PathBuf>,
    /// Store the result of every run here, encrypted: a folder, or a URL (s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or
    /// az://CONTAINER/PREFIX). Credentials for a URL are read from the environment. Without this option, results are not
    /// stored.
    #[arg(
        long,
        value_name = "FOLDER|URL",
        env = environment::RESULTS,
        requires = "results_keys",
        help_heading = RESULTS
    )]
    pub results: Option<String>,
    /// Folder with the keys that encrypt results. `drmwatch keys create` makes it.
    #[arg(long, value_name = "FOLDER", env = environment::RESULTS_KEYS, help_heading = RESULTS)]
    pub results_keys: Option<PathBuf>,
    /// Key management service that holds the tenants' keys: awskms://REGION or vault+https://HOST/MOUNT (with VAULT_TOKEN).
    /// Without this option, the keys are in the folder of --results-keys.
    #[arg(long, value_name = "URL", env = environment::RESULTS_KMS, help_heading = RESULTS)]
    pub results_kms: Option<String>,
    /// Folder for results that are not in the store yet, encrypted.
    #[arg(long, value_name = "FOLDER", env = environment::RESULTS_SPOOL, help_heading = RESULTS)]
    pub results_spool: Option<PathBuf>,
    /// File with the 32-byte key for --results-spool. Defaults to the file of --cache-key, or else to a key that the runner
    /// generates in the spool folder.
    #[arg(long, value_name = "FILE", env = "DRMWATCH_RESULTS_SPOOL_KEY", help_heading = RESULTS)]
    pub results_spool_key: Option<PathBuf>,
    /// How long results are collected before they are written to the store as one batch, in seconds, from 1 to 3600.
    #[arg(long, value_name = "SECONDS", env = environment::RESULTS_BATCH_SECONDS, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=3600), help_heading = RESULTS)]
    pub results_batch_seconds: u32,
    /// Maximum size of --results-spool, in MiB.
    #[arg(long, value_name = "MIB", env = "DRMWATCH_RESULTS_SPOOL_MIB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..), help_heading = RESULTS)]
    pub results_spool_mib: u32,
    /// Maximum number of runs at the same time, from 1 to 100000. One tenant, and one host, may use a quarter of it. Further runs
    /// wait.
    #[arg(long, value_name = "RUNS", env = "DRMWATCH_MAX_RUNS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000), help_heading = PROBES)]
    pub max_runs: u32,
    /// Print a live table of probes to standard output. If standard output is not a terminal, print the table again whenever a
    /// verdict changes. If nobody reads it any more, the runner continues without it. Used with FOLDER.
    #[arg(long, help_heading = OUTPUT)]
    pub table: bool,
    /// With --once: also write the outcome to this file, shortened to 4096 bytes. The kubelet reads it as the termination message.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub termination_log: Option<PathBuf>,
    /// Write logs as JSON. The variable DRMWATCH_LOG sets the level: error, warn, info (default), debug or trace, also per
    /// module (`info,drmwatch_runner=debug`). Logs go to standard error.
    #[arg(long, env = environment::LOG_JSON, help_heading = OUTPUT)]
    pub log_json: bool,
}

const MODES: &str = "Modes";
const PROBES: &str = "Probes";
const CLUSTER: &str = "Kubernetes (with --pool)";
const RESULTS: &str = "Results";
const OUTPUT: &str = "Output";

const EXIT_STATUS: &str = "\
Exit status:
  --once, --replay  0: pass, 1: fail, 2: inconclusive, 3: error of the runner itself
  --check           0: no mistakes, 1: mistakes, 3: the folder can't be read
  FOLDER, --pool    0: stopped by SIGTERM or Ctrl-C, 3: error of the runner itself
  all               2: wrong arguments, 141: the reader of a pipe is gone";

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
