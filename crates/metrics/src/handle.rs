//! Typed handles of the catalogue's metrics.

use crate::Metric;
use std::{marker::PhantomData, ops::Deref};

/// Kinds of metrics as types: a counter cannot be set, and a gauge cannot be observed.
pub mod kinds {
    /// Only goes up.
    #[derive(Debug)]
    pub enum Counter {}
    /// Goes up and down.
    #[derive(Debug)]
    pub enum Gauge {}
    /// Counts observations in buckets.
    #[derive(Debug)]
    pub enum Histogram {}
    /// Sums and counts observations.
    #[derive(Debug)]
    pub enum Summary {}

    /// Kinds that take observations.
    pub trait Observed {}
    impl Observed for Histogram {}
    impl Observed for Summary {}
}

/// A metric of the catalogue with its kind and the number of its own labels in the type.
///
/// A label too few does not compile, in whatever profile:
///
/// ```compile_fail
/// use drmwatch_metrics::{Metrics, Owner, PROBE_FAILURES};
/// // It has the labels `step` and `reason`.
/// Metrics::default().add(&PROBE_FAILURES, &Owner::program(), &["token"], 1);
/// ```
///
/// Nor does a counter that is set:
///
/// ```compile_fail
/// use drmwatch_metrics::{Metrics, Owner, PROBE_FAILURES};
/// Metrics::default().set(&PROBE_FAILURES, &Owner::program(), &["token", "Timeout"], 1.0);
/// ```
#[derive(Debug)]
pub struct Handle<K, const LABELS: usize> {
    metric: Metric,
    kind: PhantomData<fn() -> K>,
}

impl<K, const LABELS: usize> Handle<K, LABELS> {
    pub(crate) const fn new(metric: Metric) -> Handle<K, LABELS> {
        Handle {
            metric,
            kind: PhantomData,
        }
    }

    /// What the catalogue says of it.
    pub const fn metric(&self) -> &Metric {
        &self.metric
    }
}

impl<K, const LABELS: usize> Deref for Handle<K, LABELS> {
    type Target = Metric;

    fn deref(&self) -> &Metric {
        &self.metric
    }
}
