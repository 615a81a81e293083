//! The two text formats that Prometheus reads, piece by piece: the whole of ten thousand probes is tens of megabytes, and
//! is never in memory.

use crate::{
    CATALOGUE, Kind, Metric, Metrics, Owner,
    store::{Entry, Series, Store},
};
use std::{
    fmt::Write,
    ops::Bound::{Excluded, Unbounded},
};

/// Content type of OpenMetrics text.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of the Prometheus text format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// About as many bytes make a piece. Between pieces runs may write to the store.
const PIECE: usize = 64 << 10;

/// Everything in the store, in the format that an `Accept` header asks for, with its content type.
pub fn render(metrics: &Metrics, accept: &str) -> (Pieces, &'static str) {
    let openmetrics = accept.contains("application/openmetrics-text");
    let pieces = Pieces {
        metrics: metrics.clone(),
        openmetrics,
        metric: 0,
        after: None,
        headed: false,
        ended: false,
    };
    (pieces, if openmetrics { OPENMETRICS } else { PROMETHEUS })
}

/// Pieces of the text, in order.
pub struct Pieces {
    metrics: Metrics,
    openmetrics: bool,
    metric: usize,
    /// The owner that was written last.
    after: Option<Owner>,
    /// Whether the metric's head is written.
    headed: bool,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let mut out = String::with_capacity(PIECE + (8 << 10));
        let metrics = self.metrics.clone();
        let store = metrics.lock();
        while let Some(metric) = CATALOGUE.get(self.metric) {
            if store.used.get(self.metric).is_some_and(|n| *n > 0) && !self.family(metric, &store, &mut out) {
                return Some(out);
            }
            self.metric += 1;
            (self.after, self.headed) = (None, false);
        }
        self.ended = true;
        if self.openmetrics {
            out.push_str("# EOF\n");
        }
        Some(out)
    }
}

impl Pieces {
    /// Writes what is left of a metric; false when the piece was full before its end.
    fn family(&mut self, metric: &Metric, store: &Store, out: &mut String) -> bool {
        let from = self.after.as_ref().map_or(Unbounded, Excluded);
        for (owner, series) in store.owners.range::<Owner, _>((from, Unbounded)) {
            let entries = series.of(metric.id);
            if entries.is_empty() {
                continue;
            }
            if !std::mem::replace(&mut self.headed, true) {
                self.head(metric, out);
            }
            for entry in entries {
                sample(metric, owner, store.texts.get(entry.labels), entry, series, out);
            }
            if out.len() >= PIECE {
                self.after = Some(owner.clone());
                return false;
            }
        }
        true
    }

    fn head(&self, metric: &Metric, out: &mut String) {
        // OpenMetrics names a counter's family without `_total`; the older format gives the name of the sample.
        let name = match (self.openmetrics, metric.kind) {
            (true, Kind::Counter) => metric.name.trim_end_matches("_total"),
            _ => metric.name,
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
            Kind::Summary => "summary",
        };
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help.trim());
    }
}

/// The lines of one series.
fn sample(metric: &Metric, owner: &Owner, labels: &str, entry: &Entry, series: &Series, out: &mut String) {
    let mut line = |suffix: &str, bound: Option<f64>, value: Value| {
        out.push_str(metric.name);
        out.push_str(suffix);
        let mut open = '{';
        for part in [&*owner.0, labels] {
            if !part.is_empty() {
                out.push(std::mem::replace(&mut open, ','));
                out.push_str(part);
            }
        }
        if let Some(bound) = bound {
            out.push(std::mem::replace(&mut open, ','));
            out.push_str("le=\"");
            number(out, bound);
            out.push('"');
        }
        out.push_str(if open == ',' { "} " } else { " " });
        match value {
            Value::Count(n) => drop(write!(out, "{n}")),
            Value::Number(n) => number(out, n),
        }
        out.push('\n');
    };
    let distribution = || &series.distributions[entry.value as usize];
    match metric.kind {
        Kind::Counter => line("", None, Value::Count(entry.value)),
        Kind::Gauge => line("", None, Value::Number(f64::from_bits(entry.value))),
        Kind::Summary => {
            let found = distribution();
            line("_sum", None, Value::Number(found.sum));
            line("_count", None, Value::Count(found.buckets.iter().sum()));
        }
        Kind::Histogram(bounds) => {
            let (found, mut count) = (distribution(), 0);
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            for (bound, n) in bounds.zip(&found.buckets) {
                count += n;
                line("_bucket", Some(bound), Value::Count(count));
            }
            line("_sum", None, Value::Number(found.sum));
            line("_count", None, Value::Count(count));
        }
    }
}

enum Value {
    Count(u64),
    Number(f64),
}

fn number(out: &mut String, value: f64) {
    let _ = match value {
        f64::INFINITY => write!(out, "+Inf"),
        f64::NEG_INFINITY => write!(out, "-Inf"),
        // Never with an exponent that the older parser does not know; 1.0 stays 1.0.
        value => write!(out, "{value:?}"),
    };
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
