//! What is done by hand, where no operator does it.

mod alertmanager;
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

/// What is done by hand, where no operator does it.
#[derive(Parser)]
#[command(name = "drmwatch", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render Prometheus rules: the shipped ones, and those of the objectives of every tenant in a folder.
    Rules(rules::Rules),
    /// Render a configuration of Alertmanager: the routes of every tenant in a folder.
    Alertmanager(alertmanager::Alertmanager),
    /// Make, rotate and destroy the keys of results, and those that sign reports.
    Keys(keys::Keys),
    /// Make roll-ups of a tenant's results: quarters, hours, days, weeks, months.
    Consolidate(consolidate::Consolidate),
    /// Write the SLA report of a tenant and a period.
    Report(report::ReportOptions),
    /// Deliver the reports of an SlaReport that are due.
    Deliver(deliver::Deliver),
    /// Copy roll-ups into PostgreSQL.
    Postgres(postgres::Postgres),
    /// Look at the results of single runs.
    Results(results::Results),
    /// Verify the signatures of reports.
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
