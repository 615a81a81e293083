//! Where programs write their metrics.

use crate::{CATALOGUE, Kind, Metric, PROBE_LABELS};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

/// Whom a series belongs to: the program itself, or a probe in a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Owner(Vec<(&'static str, String)>);

impl Owner {
    /// The program itself.
    pub fn program() -> Owner {
        Owner::default()
    }

    /// A probe in a region.
    pub fn probe(id: &drmwatch_plan::ProbeId, region: &str) -> Owner {
        let values = [&id.namespace, &id.tenant, &id.probe, region];
        Owner(PROBE_LABELS.into_iter().zip(values.map(str::to_owned)).collect())
    }
}

#[derive(Debug, Clone)]
enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram { sum: f64, count: u64, buckets: Vec<u64> },
}

type Series = BTreeMap<(&'static str, Vec<String>), Value>;

/// The store. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<Owner, Series>>>);

impl Metrics {
    fn owners(&self) -> MutexGuard<'_, BTreeMap<Owner, Series>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn with(&self, metric: &'static Metric, owner: &Owner, labels: &[&str], change: impl FnOnce(&mut Value)) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "labels of {}", metric.name);
        debug_assert_eq!(metric.of_probe, !owner.0.is_empty(), "owner of {}", metric.name);
        let mut owners = self.owners();
        if !owners.contains_key(owner) {
            owners.insert(owner.clone(), Series::default());
        }
        let Some(series) = owners.get_mut(owner) else {
            return;
        };
        let key = (metric.name, labels.iter().map(|l| l.to_string()).collect());
        change(series.entry(key).or_insert_with(|| match metric.kind {
            Kind::Counter => Value::Counter(0),
            Kind::Gauge => Value::Gauge(0.0),
            Kind::Histogram(bounds) => Value::Histogram {
                sum: 0.0,
                count: 0,
                buckets: vec![0; bounds.len() + 1],
            },
        }));
    }

    /// Adds to a counter. Adding 0 makes the series visible before its first event.
    pub fn add(&self, metric: &'static Metric, owner: &Owner, labels: &[&str], n: u64) {
        self.with(metric, owner, labels, |value| {
            if let Value::Counter(count) = value {
                *count += n;
            }
        });
    }

    /// Sets a gauge.
    pub fn set(&self, metric: &'static Metric, owner: &Owner, labels: &[&str], to: f64) {
        self.with(metric, owner, labels, |value| *value = Value::Gauge(to));
    }

    /// Adds to a gauge.
    pub fn shift(&self, metric: &'static Metric, owner: &Owner, labels: &[&str], by: f64) {
        self.with(metric, owner, labels, |value| {
            if let Value::Gauge(now) = value {
                *now += by;
            }
        });
    }

    /// Counts a value into a histogram.
    pub fn observe(&self, metric: &'static Metric, owner: &Owner, labels: &[&str], seconds: f64) {
        let Kind::Histogram(bounds) = metric.kind else {
            return;
        };
        self.with(metric, owner, labels, |value| {
            if let Value::Histogram { sum, count, buckets } = value {
                *sum += seconds;
                *count += 1;
                buckets[bounds.partition_point(|bound| *bound < seconds)] += 1;
            }
        });
    }

    /// Makes this the only series of a gauge that an owner has, or with `None` removes them all. In one
    /// step: no scrape sees it gone in between.
    pub fn replace(&self, metric: &'static Metric, owner: &Owner, only: Option<(&[&str], f64)>) {
        debug_assert_eq!(metric.of_probe, !owner.0.is_empty(), "owner of {}", metric.name);
        let mut owners = self.owners();
        if let Some(series) = owners.get_mut(owner) {
            series.retain(|(name, _), _| *name != metric.name);
        }
        if let Some((labels, to)) = only {
            let key = (metric.name, labels.iter().map(|l| l.to_string()).collect());
            owners
                .entry(owner.clone())
                .or_default()
                .insert(key, Value::Gauge(to));
        }
    }

    /// Removes an owner with all its series.
    pub fn forget(&self, owner: &Owner) {
        self.owners().remove(owner);
    }

    /// The value of a counter or gauge, for tests and the live table.
    pub fn value(&self, metric: &'static Metric, owner: &Owner, labels: &[&str]) -> Option<f64> {
        let key = (metric.name, labels.iter().map(|l| l.to_string()).collect());
        match self.owners().get(owner)?.get(&key)? {
            Value::Counter(n) => Some(*n as f64),
            Value::Gauge(v) => Some(*v),
            Value::Histogram { count, .. } => Some(*count as f64),
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let owners = self.owners();
        for metric in CATALOGUE {
            let series: Vec<_> = owners
                .iter()
                .flat_map(|(owner, series)| series.iter().map(move |(key, value)| (owner, key, value)))
                .filter(|(_, (name, _), _)| *name == metric.name)
                .collect();
            if series.is_empty() {
                continue;
            }
            // The encoder adds `_total` to counters by itself.
            let (name, kind) = match metric.kind {
                Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Histogram(_) => (metric.name, MetricType::Histogram),
            };
            let mut family = encoder.encode_descriptor(name, metric.help.trim(), None, kind)?;
            for (owner, (_, values), value) in series {
                let own = metric.labels.iter().copied().zip(values.iter().cloned());
                let labels: Vec<(&str, String)> = owner.0.iter().cloned().chain(own).collect();
                let mut one = family.encode_family(&labels)?;
                match value {
                    Value::Counter(n) => one.encode_counter::<NoLabelSet, u64, u64>(n, None)?,
                    Value::Gauge(v) => one.encode_gauge(v)?,
                    Value::Histogram { sum, count, buckets } => {
                        let Kind::Histogram(bounds) = metric.kind else {
                            continue;
                        };
                        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
                        let buckets: Vec<_> = bounds.zip(buckets.iter().copied()).collect();
                        let none: Option<
                            &HashMap<usize, prometheus_client::metrics::exemplar::Exemplar<NoLabelSet, f64>>,
                        > = None;
                        one.encode_histogram(*sum, *count, &buckets, none)?;
                    }
                }
            }
        }
        Ok(())
    }
}
