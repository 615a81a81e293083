//! The command line: rules, routes, keys, roll-ups, reports.

mod alertmanager;
mod bucket;
mod consolidate;
mod deliver;
mod folder;
mod keys;
mod making;
mod place;
mod postgres;
mod progress;
mod report;
mod results;
mod rules;
mod send;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Command-line tool of drmwatch: renders alert rules, and manages the encrypted results of probes and the reports made of
/// them.
#[derive(Parser)]
#[command(
    name = "drmwatch",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  drmwatch rules tenants/ --out rules/
  drmwatch results --store results/ --keys keys/ --tenant acme/acme --failures
  drmwatch report --store results/ --keys keys/ --tenant acme/acme --last 30

Exit status: 0: success, 1: some reports were not delivered, 2: error or wrong arguments, 141: the reader of a pipe is gone."
)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

// Each has its text where its options are.
#[derive(Subcommand)]
enum Command {
    Rules(rules::Rules),
    Alertmanager(alertmanager::Alertmanager),
    Keys(keys::Keys),
    Consolidate(consolidate::Consolidate),
    Report(report::ReportOptions),
    Deliver(deliver::Deliver),
    Postgres(postgres::Postgres),
    Results(results::Results),
    Verify(verify::Verify),
}

/// Exit status of an error: what a user wrote is wrong, or something could not be read or written.
const ERROR: u8 = 2;

fn main() -> ExitCode {
    let options: Options = match drmwatch_program::arguments() {
        Ok(options) => options,
        Err(code) => return code,
    };
    drmwatch_program::finish(run(options.command), ERROR)
}

fn run(command: Command) -> ExitCode {
    match command {
        Command::Rules(rules) => rules.run(),
        Command::Alertmanager(alertmanager) => alertmanager.run(),
        Command::Keys(keys) => keys.run(),
        Command::Consolidate(consolidate) => consolidate.run(),
        Command::Report(report) => report.run(),
        Command::Deliver(deliver) => deliver.run(),
        Command::Postgres(postgres) => postgres.run(),
        Command::Results(results) => results.run(),
        Command::Verify(verify) => verify.run(),
    }
}
