//! The practice service as a program, for the demo and for clusters.

use clap::Parser;
use drmwatch_testkit::{Ports, World};
use std::{
    io::{Write, stderr, stdout},
    net::IpAddr,
    process::ExitCode,
};

/// Practice service for probes: a test origin with live streams, a token server and license servers, which can be broken and
/// repaired on request. It also receives Slack messages and Zendesk tickets.
///
/// For demos and tests only: its keys are public, and anybody who can reach it can break it.
#[derive(Parser)]
#[command(
    name = "drmwatch-world",
    version,
    max_term_width = 100,
    after_help = "\
Faults (HOST:PORT is the HTTP address):
  curl http://HOST:PORT/admin/faults                    list all faults
  curl -X PUT http://HOST:PORT/admin/faults/freeze      stop the live edge
  curl -X DELETE http://HOST:PORT/admin/faults/freeze   repair it"
)]
struct Options {
    /// IP address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Port for HTTP. 0: any free port; the program prints it.
    #[arg(long, value_name = "PORT", default_value_t = 8088)]
    http_port: u16,
    /// Port for HTTPS. 0: any free port; the program prints it.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    https_port: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "drmwatch-world: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> std::io::Result<()> {
    let ports = Ports {
        http: options.http_port,
        https: options.https_port,
    };
    let mut world = World::start(options.listen, ports).await?;
    // It serves even if nobody reads where.
    let _ = writeln!(
        stdout(),
        "http://{}  https://{}  misbehaving http://{}",
        world.http,
        world.https,
        world.raw
    );
    tokio::select! {
        () = world.wait() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}
