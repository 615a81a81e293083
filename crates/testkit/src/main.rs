//! The world as a program, for the demo and for clusters.

use clap::Parser;
use drmwatch_testkit::{Ports, World};
use std::net::IpAddr;

/// A world to probe: live origin, token service, ClearKey licence server, Slack-shaped receiver, and
/// switches that break them (`curl -X PUT http://WORLD/admin/faults/freeze`).
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Port for HTTP; 0 lets the system choose.
    #[arg(long, default_value_t = 8088)]
    http_port: u16,
    /// Port for HTTPS; 0 lets the system choose.
    #[arg(long, default_value_t = 8443)]
    https_port: u16,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let ports = Ports {
        http: options.http_port,
        https: options.https_port,
    };
    let mut world = World::start(options.listen, ports).await?;
    println!(
        "http://{}  https://{}  misbehaving http://{}",
        world.http, world.https, world.raw
    );
    tokio::select! {
        () = world.wait() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}
