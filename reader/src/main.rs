//! The reader: results and roll-ups over HTTP, to whom Kubernetes lets read them. It writes nothing, and reads the store as
//! `drmwatch results` does.

mod answer;
mod door;
mod openapi;
mod options;
mod query;
mod tls;

#[cfg(test)]
mod tests;

use door::{Door, router};
use drmwatch_access::{Cluster, Decision, Right};
use drmwatch_archive::{keys::Names, kms};
use drmwatch_metrics::{Metrics, Owner, READER_INFO, READER_REVIEWS};
use drmwatch_program::{Health, asked_to_stop};
use drmwatch_runs::Store;
use options::Options;
use std::{error::Error, process::ExitCode, sync::Arc};
use tracing::{error, info};

/// What the ClusterRole `drmwatch-read-results` grants.
const READ_RESULTS: Right = Right {
    group: "drmwatch.io",
    resource: "monitoredtenants",
    subresource: "results",
    verb: "get",
};

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match drmwatch_program::arguments() {
        Ok(options) => options,
        Err(code) => return code,
    };
    drmwatch_program::init(options.log_json);
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the reader can't go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let metrics = Metrics::default();
    let holder = kms::holder(options.kms.as_deref(), &options.keys, drmwatch_program::now)?;
    let store = Store::open(&options.store, holder, Names::read(&options.keys)?)?;
    let client = kube::Client::try_default().await?;
    let labels = [env!("CARGO_PKG_VERSION"), &options.region];
    metrics.set(&READER_INFO, &Owner::program(), &labels, 1.0);
    let health = Health::default();
    let scraped = drmwatch_program::serve(options.metrics, metrics.clone(), health.clone()).await?;
    let reviews = metrics.clone();
    let observe = Box::new(move |decision| {
        let outcome = match decision {
            Ok(Decision::Allowed) => "allowed",
            Ok(Decision::Denied | Decision::Unknown) => "denied",
            Err(_) => "error",
        };
        reviews.add(&READER_REVIEWS, &Owner::program(), &[outcome], 1);
    });
    let authority = Cluster::new(client, READ_RESULTS, options.audiences, observe);
    let door = Arc::new(Door::new(store, authority, metrics));
    let listener = drmwatch_program::listen(options.listen).await?;
    info!(listen = %listener.local_addr()?, metrics = %scraped, tls = options.certificate.is_some(), "reader");
    health.set_ready(true);
    let router = router(door);
    match (options.certificate, options.key) {
        (Some(certificate), Some(key)) => {
            let listener = tls::Listener::new(listener, tls::Files { certificate, key })?;
            axum::serve(listener, router)
                .with_graceful_shutdown(asked_to_stop())
                .await?;
        }
        _ => {
            axum::serve(listener, router)
                .with_graceful_shutdown(asked_to_stop())
                .await?
        }
    }
    Ok(())
}
