//! How PostgreSQL is reached.

use crate::Error;
use drmwatch_archive::tls;
use std::{path::Path, time::Duration};
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Seconds in which a server that is there answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the server is on this machine.
fn here(config: &Config) -> bool {
    let near =
        |name: &str| name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let by_name = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => near(name),
        Host::Unix(_) => true,
    });
    by_name && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

/// Connects to a `postgresql://` URL, or a list of `key=value`. Anything that is not on this machine is spoken to by TLS,
/// with a certificate of the known authorities or those in `authorities` (a file in PEM), unless it says
/// `sslmode=disable`.
pub async fn connect(url: &str, authorities: Option<&Path>) -> Result<Client, Error> {
    // What can't be read may hold a password: it is not repeated.
    let mut config: Config = url.trim().parse().map_err(|e: tokio_postgres::Error| {
        let why = std::error::Error::source(&e).map(ToString::to_string);
        Error::Settings(format!(
            "the connection must be like postgresql://USER:PASSWORD@HOST/DATABASE: {}",
            why.unwrap_or_default()
        ))
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    config.application_name("drmwatch");
    if config.get_ssl_mode() == SslMode::Disable || here(&config) && config.get_ssl_mode() == SslMode::Prefer
    {
        let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
        tokio::spawn(watch(connection));
        return Ok(client);
    }
    config.ssl_mode(SslMode::Require);
    let tls = MakeRustlsConnect::new(tls(authorities).map_err(Error::Settings)?);
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(watch(connection));
    Ok(client)
}

async fn watch(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    // Whoever waits for an answer hears of it too.
    if let Err(error) = connection.await {
        tracing::warn!(%error, "the connection to PostgreSQL ended");
    }
}
