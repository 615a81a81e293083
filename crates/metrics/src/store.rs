//! Where programs write their metrics.
//!
//! Ten thousand probes have half a million series, and nearly all of the memory that an idle probe takes is here: a
//! series is sixteen bytes, its labels are text that is rendered once and shared by all that have the same.

use crate::{
    CATALOGUE, Handle, Kind, Metric, Of, POOL_LABELS, PROBE_LABELS,
    kinds::{Counter, Gauge, Observed},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard},
};

/// Whom a series belongs to: the program itself, a probe in a region, or a pool of one. Its labels, as they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner(pub(crate) Arc<str>);

impl Owner {
    /// The program itself.
    pub fn program() -> Owner {
        Owner(Arc::from(""))
    }

    /// A probe in a region.
    pub fn probe(id: &drmwatch_outcome::ProbeId, region: &str) -> Owner {
        let values = [id.namespace.as_str(), &id.tenant, &id.probe, region];
        let mut text = String::new();
        labels(&mut text, &PROBE_LABELS, &values);
        Owner(text.into())
    }

    /// A pool of a region.
    pub fn pool(region: &str, namespace: &str, name: &str) -> Owner {
        let mut text = String::new();
        labels(&mut text, &POOL_LABELS, &[region, namespace, name]);
        Owner(text.into())
    }
}

/// Appends labels as both text formats write them.
fn labels(out: &mut String, names: &[&str], values: &[&str]) {
    for (name, value) in names.iter().zip(values) {
        if !out.is_empty() {
            out.push(',');
        }
        let _ = write!(out, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// One series of an owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Which metric, by its place in the catalogue.
    pub metric: u16,
    /// Its own labels, by their number in [`Texts`].
    pub labels: u32,
    /// A count, the bits of a gauge, or the number of a distribution in [`Series`].
    pub value: u64,
}

/// What was observed: a histogram, or with one bucket a summary.
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    pub sum: f64,
    /// How many fell into each bucket alone.
    pub buckets: Box<[u64]>,
}

/// Every series of an owner, in the catalogue's order.
#[derive(Debug, Default)]
pub(crate) struct Series {
    pub entries: Vec<Entry>,
    pub distributions: Vec<Distribution>,
}

impl Series {
    /// The series of one metric.
    pub fn of(&self, metric: u16) -> &[Entry] {
        let from = self.entries.partition_point(|e| e.metric < metric);
        let to = from + self.entries[from..].partition_point(|e| e.metric == metric);
        &self.entries[from..to]
    }

    fn find(&self, metric: u16, labels: u32) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&(metric, labels), |e| (e.metric, e.labels))
    }
}

/// Texts of labels, each once, for as long as a series has it.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    slots: Vec<(Arc<str>, u32)>,
    numbers: HashMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl Texts {
    pub fn get(&self, number: u32) -> &str {
        &self.slots[number as usize].0
    }

    fn take(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            self.slots[*number as usize].1 += 1;
            return *number;
        }
        let shared: Arc<str> = text.into();
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = (shared.clone(), 1);
                number
            }
            None => {
                self.slots.push((shared.clone(), 1));
                self.slots.len() as u32 - 1
            }
        };
        self.numbers.insert(shared, number);
        number
    }

    fn give_back(&mut self, number: u32) {
        let (text, uses) = &mut self.slots[number as usize];
        *uses -= 1;
        if *uses == 0 {
            self.numbers.remove(text);
            self.free.push(number);
        }
    }
}

/// What the store holds.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub owners: BTreeMap<Owner, Series>,
    pub texts: Texts,
    /// Series of each metric, so that those without any are passed over.
    pub used: Vec<usize>,
    scratch: String,
}

impl Store {
    /// The series, which is made if it is not there.
    fn series(&mut self, metric: &'static Metric, owner: &Owner, values: &[&str]) -> (&mut Series, usize) {
        debug_assert_eq!(
            metric.of == Of::Program,
            owner.0.is_empty(),
            "owner of {}",
            metric.name
        );
        if !self.owners.contains_key(owner) {
            self.owners.insert(owner.clone(), Series::default());
        }
        self.used.resize(CATALOGUE.len(), 0);
        self.scratch.clear();
        labels(&mut self.scratch, metric.labels, values);
        let number = self.texts.take(&self.scratch);
        let Some(series) = self.owners.get_mut(owner) else {
            unreachable!("it was put in above")
        };
        match series.find(metric.id, number) {
            Ok(at) => {
                self.texts.give_back(number);
                (series, at)
            }
            Err(at) => {
                let mut value = 0;
                if let Some(buckets) = metric.kind.buckets() {
                    value = series.distributions.len() as u64;
                    series.distributions.reserve_exact(1);
                    series.distributions.push(Distribution {
                        sum: 0.0,
                        buckets: vec![0; buckets].into(),
                    });
                }
                if series.entries.len() == series.entries.capacity() {
                    series.entries.reserve_exact(8);
                }
                series.entries.insert(
                    at,
                    Entry {
                        metric: metric.id,
                        labels: number,
                        value,
                    },
                );
                self.used[usize::from(metric.id)] += 1;
                (series, at)
            }
        }
    }

    /// Removes what `gone` says of an owner's series.
    fn drop_series(&mut self, owner: &Owner, gone: impl Fn(&Entry) -> bool) {
        let Some(series) = self.owners.get_mut(owner) else {
            return;
        };
        let (texts, used) = (&mut self.texts, &mut self.used);
        series.entries.retain(|entry| {
            let gone = gone(entry);
            if gone {
                texts.give_back(entry.labels);
                used[usize::from(entry.metric)] -= 1;
            }
            !gone
        });
    }
}

/// The store. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Store>>);

impl Metrics {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn with(&self, metric: &'static Metric, owner: &Owner, labels: &[&str], change: impl FnOnce(u64) -> u64) {
        let mut store = self.lock();
        let (series, at) = store.series(metric, owner, labels);
        series.entries[at].value = change(series.entries[at].value);
    }

    /// Adds to a counter. Adding 0 makes the series visible before its first event.
    pub fn add<const N: usize>(
        &self,
        metric: &'static Handle<Counter, N>,
        owner: &Owner,
        labels: &[&str; N],
        n: u64,
    ) {
        self.with(metric, owner, labels, |count| count + n);
    }

    /// Sets a gauge.
    pub fn set<const N: usize>(
        &self,
        metric: &'static Handle<Gauge, N>,
        owner: &Owner,
        labels: &[&str; N],
        to: f64,
    ) {
        self.with(metric, owner, labels, |_| to.to_bits());
    }

    /// Adds to a gauge.
    pub fn shift<const N: usize>(
        &self,
        metric: &'static Handle<Gauge, N>,
        owner: &Owner,
        labels: &[&str; N],
        by: f64,
    ) {
        self.with(metric, owner, labels, |bits| {
            (f64::from_bits(bits) + by).to_bits()
        });
    }

    /// Counts a value into a histogram or a summary.
    pub fn observe<K: Observed, const N: usize>(
        &self,
        metric: &'static Handle<K, N>,
        owner: &Owner,
        labels: &[&str; N],
        value: f64,
    ) {
        let bounds = match metric.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Summary => &[],
            Kind::Counter | Kind::Gauge => return,
        };
        let mut store = self.lock();
        let (series, at) = store.series(metric, owner, labels);
        let distribution = &mut series.distributions[series.entries[at].value as usize];
        distribution.sum += value;
        distribution.buckets[bounds.partition_point(|bound| *bound < value)] += 1;
    }

    /// Makes this the only series of a gauge that an owner has, or with `None` removes them all. In one
    /// step: no scrape sees it gone in between.
    pub fn replace<const N: usize>(
        &self,
        metric: &'static Handle<Gauge, N>,
        owner: &Owner,
        only: Option<(&[&str; N], f64)>,
    ) {
        let mut store = self.lock();
        let kept = only.map(|(labels, to)| {
            let (series, at) = store.series(metric, owner, labels);
            series.entries[at].value = to.to_bits();
            series.entries[at].labels
        });
        store.drop_series(owner, |e| e.metric == metric.id && Some(e.labels) != kept);
    }

    /// Makes these, which are 1, the only series of a gauge that an owner has. In one step, as [`Metrics::replace`].
    pub fn replace_all<const N: usize>(
        &self,
        metric: &'static Handle<Gauge, N>,
        owner: &Owner,
        all: &[[&str; N]],
    ) {
        let mut store = self.lock();
        let mut kept = Vec::new();
        for labels in all {
            let (series, at) = store.series(metric, owner, labels);
            series.entries[at].value = 1f64.to_bits();
            kept.push(series.entries[at].labels);
        }
        store.drop_series(owner, |e| e.metric == metric.id && !kept.contains(&e.labels));
    }

    /// Removes one series of an owner.
    pub fn remove<K, const N: usize>(
        &self,
        metric: &'static Handle<K, N>,
        owner: &Owner,
        values: &[&str; N],
    ) {
        let mut text = String::new();
        labels(&mut text, metric.labels, values);
        let mut store = self.lock();
        if let Some(number) = store.texts.numbers.get(text.as_str()).copied() {
            store.drop_series(owner, |e| (e.metric, e.labels) == (metric.id, number));
        }
    }

    /// Removes an owner with all its series.
    pub fn forget(&self, owner: &Owner) {
        let mut store = self.lock();
        store.drop_series(owner, |_| true);
        store.owners.remove(owner);
    }

    /// The value of a counter or gauge, or how much was observed, for tests and the live table.
    pub fn value<K, const N: usize>(
        &self,
        metric: &'static Handle<K, N>,
        owner: &Owner,
        values: &[&str; N],
    ) -> Option<f64> {
        let mut text = String::new();
        labels(&mut text, metric.labels, values);
        let store = self.lock();
        let number = *store.texts.numbers.get(text.as_str())?;
        let series = store.owners.get(owner)?;
        let value = series.entries[series.find(metric.id, number).ok()?].value;
        Some(match metric.kind {
            Kind::Counter => value as f64,
            Kind::Gauge => f64::from_bits(value),
            Kind::Histogram(_) | Kind::Summary => {
                series.distributions[value as usize].buckets.iter().sum::<u64>() as f64
            }
        })
    }
}
