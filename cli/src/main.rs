//! What is done by hand, where no operator does it.

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
}

fn main() -> ExitCode {
    match Options::parse().command {
        Command::Rules(rules) => rules.run(),
    }
}
