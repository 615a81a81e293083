//! The probe runner: one binary, three ways in, one path inside.
//!
//! *Resident* (`--pool`): watches the plan Secrets of the shards that it holds by Lease. *Once*
//! (`--once`): runs a mounted plan and exits with 0 for pass, 1 for fail, 2 for inconclusive, 3 for an
//! error of ours. *Standalone* (a folder): compiles the same YAML with the same function, without a
//! cluster. All three end in `drmwatch_probe::Engine::run`.
//!
//! Only `cluster` talks to Kubernetes; everything else works on a laptop.

mod cluster;
mod folder;
mod memory;
mod once;
mod options;
mod scheduler;
mod sink;
mod standalone;
mod table;

use clap::Parser;
use drmwatch_probe::{Engine, clock, net::Resolver};
use options::{Mode, Options};
use std::{process::ExitCode, sync::Arc};
use tracing::error;

/// Exit code for an error of ours, in every mode.
const OUR_ERROR: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    drmwatch_program::init(options.log_json);
    if let Mode::Check(folder) = options.mode() {
        return standalone::check(&folder, &options);
    }
    let engine = match Resolver::system() {
        Ok(resolver) => Arc::new(Engine::new(resolver, clock::system)),
        Err(error) => {
            error!(error = %error, "the resolver configuration can't be read");
            return ExitCode::from(OUR_ERROR);
        }
    };
    let result = match options.mode() {
        Mode::Once(folder) => return once::run(&folder, options.termination_log.as_deref(), &engine).await,
        Mode::Standalone(folder) => standalone::run(&folder, &options, engine).await,
        Mode::Resident(pool) => cluster::run(&pool, &options, engine).await,
        Mode::Check(_) => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %error, "the runner can't go on");
            ExitCode::from(OUR_ERROR)
        }
    }
}
