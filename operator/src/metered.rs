//! Reconciles, counted and timed, and what happens when one breaks.

use crate::{
    context::Context,
    known::{Feed, Known},
    pressure::asked,
};
use drmwatch_api::{DrmProbe, MaintenanceWindow, MonitoredTenant, RunnerPool, SlaReport};
use drmwatch_metrics::{Owner, RECONCILE_DURATION, RECONCILE_ERRORS, RECONCILES, RECONCILES_IN_FLIGHT};
use futures::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        Controller, PredicateConfig, WatchStreamExt, controller::Action, predicates, watcher, watcher::Event,
    },
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
    /// A rule file could not be written as YAML.
    #[error("encoding rules: {0}")]
    Rules(String),
    /// An object without a name or namespace, which the API server does not hand out.
    #[error("the object has no {0}")]
    Missing(&'static str),
}

impl Error {
    fn cause(&self) -> &'static str {
        match self {
            Error::Api(kube::Error::Api(status)) if status.code == 409 => "conflict",
            Error::Api(_) => "api",
            Error::Encoding(_) | Error::Rules(_) | Error::Missing(_) => "encoding",
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
impl Reconciled for MaintenanceWindow {
    const KIND: &'static str = "MaintenanceWindow";
}
impl Reconciled for RunnerPool {
    const KIND: &'static str = "RunnerPool";
}
impl Reconciled for SlaReport {
    const KIND: &'static str = "SlaReport";
}

/// A controller of every object of a kind, whose changes are noted as waiting. `told` hears of each object that came,
/// changed or went (then true), once the store knows: who reads the store of another kind must be woken by the stream that fills it,
/// or would read what was.
pub fn controller<K: Reconciled>(
    context: &Arc<Context>,
    known: &Known<K>,
    feed: Feed<K>,
    told: impl Fn(&K, bool) + Send + 'static,
) -> Controller<K> {
    let (reader, queue) = (known.store(), context.clone());
    // Shorter than the idle limit of common load balancers, behind which a watch would hang.
    let events = watcher(
        Api::<K>::all(context.client.clone()),
        watcher::Config::default().timeout(200),
    );
    let changes = feed
        .fill(events.default_backoff())
        .inspect(move |event| match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => told(object, false),
            Ok(Event::Delete(object)) => told(object, true),
            _ => {}
        })
        .applied_objects()
        // Not our own statuses. A deletion is a new generation, too.
        .predicate_filter(predicates::generation, PredicateConfig::default())
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
    let place = context.pressure.enter().await;
    let started = Instant::now();
    context
        .metrics
        .shift(&RECONCILES_IN_FLIGHT, &program, &[kind], 1.0);
    let result = reconcile.await;
    context.pressure.learn(&result);
    drop(place);
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
    if result.is_ok() {
        context.succeeded(kind, object.namespace(), object.name_any());
    }
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

/// Try again, later each time; the queue keeps one entry for each object. An API server that says how long it wants to be
/// left alone is.
pub fn retry<K: Reconciled>(object: Arc<K>, error: &Error, context: Arc<Context>) -> Action {
    let (namespace, name) = (object.namespace(), object.name_any());
    let failures = context.failed(K::KIND, namespace.clone(), name.clone());
    context.queue(K::KIND, namespace, name, true);
    Action::requeue(pause(error, failures, rand::random()))
}

/// How long to wait after so many failures in a row; `chance` spreads those that failed together, from 0 to 1.
fn pause(error: &Error, failures: u32, chance: f64) -> Duration {
    let own = Duration::from_secs(1 << failures.clamp(1, 6)).min(Duration::from_secs(60));
    let asked = asked(error).unwrap_or_default().min(Duration::from_secs(600));
    own.max(asked).mul_f64(1.0 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn pauses_grow_are_spread_and_heed_the_api_server() {
        let conflict = Error::Missing("namespace");
        let of = |n, chance| pause(&conflict, n, chance).as_secs_f64();
        assert_eq!(
            [of(1, 0.0), of(2, 0.0), of(3, 0.0), of(30, 0.0)],
            [2.0, 4.0, 8.0, 60.0]
        );
        assert_eq!(of(2, 1.0), 6.0);
        let busy: Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "message": "", "reason": "TooManyRequests", "code": 429,
            "details": { "retryAfterSeconds": 25 },
        }))
        .unwrap();
        let busy = Error::Api(kube::Error::Api(Box::new(busy)));
        assert_eq!(pause(&busy, 1, 0.0).as_secs_f64(), 25.0);
        assert_eq!(pause(&busy, 6, 0.0).as_secs_f64(), 60.0);
    }
}
