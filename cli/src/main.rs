//! What is done by hand, where no operator does it.

mod alertmanager;
mod folder;
mod rules;

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
}

fn main() -> ExitCode {
    match Options::parse().command {
        Command::Rules(rules) => rules.run(),
        Command::Alertmanager(alertmanager) => alertmanager.run(),
    }
}
