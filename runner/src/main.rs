//! The probe runner: one binary, three ways in, one path inside.
//!
//! *Resident* (`--pool`): watches the plan Secrets of the shards that it holds by Lease. *Once*
//! (`--once`): runs a mounted plan and exits with 0 for pass, 1 for fail, 2 for inconclusive, 3 for an
//! error of ours. *Replay* (`--replay`): judges the record of a run again, offline. *Standalone* (a folder): compiles the same YAML with the same function, without a
//! cluster. All three end in `drmwatch_probe::Engine::run`.
//!
//! Only `cluster` talks to Kubernetes; everything else works on a laptop.

mod cluster;
mod confirm;
mod evidence;
mod gate;
mod load;
mod memory;
mod once;
mod options;
mod results;
mod scheduler;
mod sink;
mod slots;
mod standalone;
mod stop;
mod table;

use drmwatch_net::Resolver;
use drmwatch_probe::{Engine, clock};
use options::{Mode, Options};
use std::{process::ExitCode, sync::Arc};
use tracing::error;

/// Exit code for an error of ours, in every mode.
const OUR_ERROR: u8 = 3;

/// Exit code of a verdict.
fn exit_code(verdict: drmwatch_outcome::Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        drmwatch_outcome::Verdict::Pass => 0,
        drmwatch_outcome::Verdict::Fail(_) => 1,
        drmwatch_outcome::Verdict::Inconclusive(_) => 2,
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match drmwatch_program::arguments() {
        Ok(options) => options,
        Err(code) => return code,
    };
    drmwatch_program::init(options.log_json);
    drmwatch_program::finish(run(options).await, OUR_ERROR)
}

async fn run(options: Options) -> ExitCode {
    if let Mode::Check(folder) = options.mode() {
        return standalone::check(&folder, &options);
    }
    if let Mode::Replay(file) = options.mode() {
        return evidence::replay(&file);
    }
    let engine = match Resolver::system() {
        Ok(resolver) => {
            let engine = Engine::new(resolver, clock::system);
            Arc::new(match &options.plugins {
                Some(folder) => engine.with_plugins(folder.clone()),
                None => engine,
            })
        }
        Err(error) => {
            error!(error = %error, "the resolver configuration can't be read");
            return ExitCode::from(OUR_ERROR);
        }
    };
    let result = match options.mode() {
        Mode::Once(folder) => return once::run(&folder, &options, &engine).await,
        Mode::Standalone(folder) => standalone::run(&folder, &options, engine).await,
        Mode::Resident(pool) => cluster::run(&pool, &options, engine).await,
        Mode::Check(_) | Mode::Replay(_) => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %error, "the runner can't go on");
            ExitCode::from(OUR_ERROR)
        }
    }
}
