//! Reconciles, counted and timed, and what happens when one breaks.

use crate::context::Context;
use drmwatch_metrics::{Owner, RECONCILE_DURATION, RECONCILE_ERRORS, RECONCILES, RECONCILES_IN_FLIGHT};
use kube::runtime::controller::Action;
use std::{sync::Arc, time::Duration};
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

/// Runs one reconcile of `kind`, counted and timed.
pub async fn metered<F>(kind: &'static str, context: &Context, reconcile: F) -> Result<Action, Error>
where
    F: Future<Output = Result<Action, Error>>,
{
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
pub fn retry<K>(_object: Arc<K>, _error: &Error, _context: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(5))
}
