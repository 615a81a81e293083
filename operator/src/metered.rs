//! Reconciles, counted and timed, and what happens when one breaks.

use crate::context::Context;
use drmwatch_api::{DrmProbe, MonitoredTenant, RunnerPool};
use drmwatch_metrics::{Owner, RECONCILE_DURATION, RECONCILE_ERRORS, RECONCILES, RECONCILES_IN_FLIGHT};
use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{Controller, WatchStreamExt, controller::Action, reflector, watcher},
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Why a reconcile broke: we broke, or the API server did. What users got wrong is a condition instead.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The API server refused, or did not answer.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// An object could not be written as JSON.
    #[error("encoding an object: {0}")]
    Encoding(#[from] serde_json::Error),
    /// An object without a name or namespace, which the API server does not hand out.
    #[error("the object has no {0}")]
    Missing(&'static str),
}

impl Error {
    fn cause(&self) -> &'static str {
        match self {
            Error::Api(kube::Error::Api(status)) if status.code == 409 => "conflict",
            Error::Api(_) => "api",
            Error::Encoding(_) | Error::Missing(_) => "encoding",
        }
    }
}

/// The kinds that are reconciled, as metrics name them.
pub trait Reconciled:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
    /// The kind.
    const KIND: &'static str;
}
impl Reconciled for DrmProbe {
    const KIND: &'static str = "DrmProbe";
}
impl Reconciled for MonitoredTenant {
    const KIND: &'static str = "MonitoredTenant";
}
impl Reconciled for RunnerPool {
    const KIND: &'static str = "RunnerPool";
}

/// A controller of every object of a kind, whose changes are noted as waiting.
pub fn controller<K: Reconciled>(context: &Arc<Context>) -> Controller<K> {
    let (reader, writer) = reflector::store();
    let queue = context.clone();
    // Shorter than the idle limit of common load balancers, behind which a watch would hang.
    let changes = watcher(
        Api::<K>::all(context.client.clone()),
        watcher::Config::default().timeout(200),
    )
    .default_backoff()
    .reflect(writer)
    .applied_objects()
    .inspect(move |change| {
        if let Ok(object) = change {
            queue.queue(K::KIND, object.namespace(), object.name_any(), true);
        }
    });
    Controller::for_stream(changes, reader)
}

/// Runs one reconcile, counted and timed.
pub async fn metered<K, F>(object: &K, context: &Context, reconcile: F) -> Result<Action, Error>
where
    K: Reconciled,
    F: Future<Output = Result<Action, Error>>,
{
    let kind = K::KIND;
    context.queue(kind, object.namespace(), object.name_any(), false);
    let program = Owner::program();
    let started = Instant::now();
    context
        .metrics
        .shift(&RECONCILES_IN_FLIGHT, &program, &[kind], 1.0);
    let result = reconcile.await;
    context
        .metrics
        .shift(&RECONCILES_IN_FLIGHT, &program, &[kind], -1.0);
    context.metrics.add(&RECONCILES, &program, &[kind], 1);
    context.metrics.observe(
        &RECONCILE_DURATION,
        &program,
        &[kind],
        started.elapsed().as_secs_f64(),
    );
    if let Err(error) = &result {
        context
            .metrics
            .add(&RECONCILE_ERRORS, &program, &[kind, error.cause()], 1);
        tracing::warn!(
            kind,
            error = error as &dyn std::error::Error,
            "a reconcile broke; will try again"
        );
    }
    result
}

/// Try again soon; the queue keeps one entry for each object.
pub fn retry<K: Reconciled>(object: Arc<K>, _error: &Error, context: Arc<Context>) -> Action {
    context.queue(K::KIND, object.namespace(), object.name_any(), true);
    Action::requeue(Duration::from_secs(5))
}
