//! The controller: what users wrote becomes plans, pools and conditions.
//!
//! Every reconcile is read, think, write: `dereference` is the only reader, `drmwatch_plan::compile` and
//! the builders are pure, [`apply`] is the only writer, and status is written on a change only. One
//! folder for each resource, one file for each object that is built.

mod apply;
mod changes;
mod conditions;
mod context;
mod crds;
mod known;
mod metered;
mod options;
#[cfg(test)]
mod pods;
mod pool;
mod pressure;
mod probe;
mod report;
mod tenant;
mod window;

use changes::Changes;
use context::Context;
use drmwatch_metrics::{LEADER, Metrics, Owner, record_reasons};
use drmwatch_program::{Health, asked_to_stop};
use futures::stream;
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use options::Options;
use std::{error::Error, process::ExitCode, sync::Arc};
use tracing::{error, info};

#[tokio::main]
async fn main() -> ExitCode {
    let options: Options = match drmwatch_program::arguments() {
        Ok(options) => options,
        Err(code) => return code,
    };
    drmwatch_program::init(options.log_json);
    let result = if options.apply_crds {
        crds::apply().await
    } else {
        run(options).await
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the operator can't go on");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let metrics = Metrics::default();
    let health = Health::default();
    metrics.set(&LEADER, &Owner::program(), &[&options.region], 0.0);
    record_reasons(&metrics);
    let address = drmwatch_program::serve(options.listen, metrics.clone(), health.clone()).await?;
    info!(metrics = %address, region = options.region, "operator");
    let client = Client::try_default().await?;
    let manager = LeaseManagerBuilder::new(client.clone(), "drmwatch-operator")
        .with_namespace(&options.namespace)
        .with_identity(&options.identity)
        .with_duration(15)
        .with_grace(5)
        .build()
        .await?;
    let (mut leading, manager) = manager.watch().await;
    // A replica that waits is ready too: it is there to take over.
    health.set_ready(true);
    let stop = asked_to_stop();
    tokio::pin!(stop);
    tokio::select! {
        result = leading.wait_for(|lead| *lead) => drop(result?),
        () = &mut stop => return Ok(()),
    }
    info!("leading");
    metrics.set(&LEADER, &Owner::program(), &[&options.region], 1.0);
    let (context, feeds) = Context::new(client, metrics, options);
    let context = Arc::new(context);
    let (probes, tenants, pools) = (Changes::default(), Changes::default(), Changes::default());
    let windows = Changes::default();
    let controllers = async {
        tokio::join!(
            tenant::run(context.clone(), feeds.tenants, tenants.teller(), probes.heard()),
            probe::run(
                context.clone(),
                feeds.probes,
                probes.teller(),
                stream::select(tenants.heard(), windows.heard()),
                pools.heard()
            ),
            window::run(context.clone(), feeds.windows, windows.teller()),
            pool::run(context.clone(), feeds.pools, pools.teller()),
            report::run(context.clone(), feeds.reports)
        );
    };
    let outcome = tokio::select! {
        () = controllers => Err("the controllers ended".into()),
        // Whoever has lost the Lease must not write any more; a fresh start is the safe way back.
        _ = leading.wait_for(|lead| !*lead) => Err("the leader's Lease is lost".into()),
        () = &mut stop => Ok(()),
    };
    drop(leading);
    // With the last receiver gone the manager gives the Lease back.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), manager).await;
    outcome
}
