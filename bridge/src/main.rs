//! The ticket bridge: Alertmanager's notifications in, tickets in Zendesk out. What is accepted is kept on the disk first;
//! what is on the ticket already is not said twice; what can't be done now is done later. `crates/tickets` decides, this
//! program reads and writes.

mod alertmanager;
mod options;
mod receive;
mod selftest;
mod store;
mod work;
mod zendesk;

use alertmanager::Alertmanagers;
use drmwatch_metrics::{BRIDGE_INFO, Metrics, Owner};
use drmwatch_program::{Health, asked_to_stop};
use drmwatch_tickets::Key;
use options::Options;
use receive::Door;
use secrecy::SecretString;
use std::{
    error::Error,
    fs,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicU64},
};
use store::Store;
use tokio::time::Instant;
use tracing::{error, info};
use work::{Wake, Worker, stuck};
use zendesk::Zendesk;

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match drmwatch_program::arguments() {
        Ok(options) => options,
        Err(code) => return code,
    };
    drmwatch_program::init(options.log_json);
    match run(options).await {
        // Only --selftest prints.
        Ok(code) => drmwatch_program::finish(code, 1),
        Err(error) => {
            error!(%error, "the bridge can't go on");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    let schemes: &[&str] = if options.allow_http {
        &["https://", "http://"]
    } else {
        &["https://"]
    };
    if !schemes
        .iter()
        .any(|scheme| options.zendesk_url.starts_with(scheme))
    {
        return Err(format!(
            "--zendesk-url must begin with https://, not {}",
            options.zendesk_url
        )
        .into());
    }
    let metrics = Metrics::default();
    let client = zendesk::client(options.ca_file.as_deref())?;
    let secret = SecretString::from(read(&options.client_secret_file)?.trim());
    let zendesk = Zendesk::new(client.clone(), &options, secret, metrics.clone());
    if options.selftest {
        return Ok(selftest::run(&zendesk, &options).await);
    }
    let key =
        Key::parse(&read(&options.key_file)?).map_err(|e| format!("{}: {e}", options.key_file.display()))?;
    let store = Store::open(&options.store).map_err(|e| format!("{}: {e}", options.store.display()))?;
    let store = Arc::new(store);
    let wake = Wake::default();
    let (beat, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let worker = Arc::new(Worker {
        store: store.clone(),
        zendesk,
        alertmanagers: Alertmanagers {
            client,
            urls: options.alertmanagers.clone(),
        },
        metrics: metrics.clone(),
        wake: wake.clone(),
        coalesce: jiff::SignedDuration::from_secs(options.coalesce_seconds.into()),
        sweep_every: std::time::Duration::from_secs(options.sweep_seconds.max(1).into()),
        beat: beat.clone(),
        began,
    });
    let labels = [env!("CARGO_PKG_VERSION"), &options.region];
    metrics.set(&BRIDGE_INFO, &Owner::program(), &labels, 1.0);
    let health = Health::new(move || stuck(&beat, began));
    let address = drmwatch_program::serve(options.metrics, metrics.clone(), health.clone()).await?;
    let door = Arc::new(Door {
        key,
        store,
        wake,
        metrics,
        installation: options.installation.clone(),
    });
    let listener = drmwatch_program::listen(options.listen).await?;
    info!(webhooks = %listener.local_addr()?, metrics = %address, zendesk = options.zendesk_url, "bridge");
    health.set_ready(true);
    tokio::spawn(worker.clone().sweep());
    tokio::spawn(worker.run());
    axum::serve(listener, receive::router(door))
        .with_graceful_shutdown(asked_to_stop())
        .await?;
    Ok(ExitCode::SUCCESS)
}
