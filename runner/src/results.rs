//! Results: every slot is kept, encrypted, on the runner's own disk, and shipped to the store in batches.
//!
//! Nothing here can delay a probe: a record is handed to the spool's thread or lost, and counted.

use crate::options::Options;
use drmwatch_archive::{
    StoreError,
    keys::Names,
    kms, ship,
    spool::{self, Limits, Shelf, Spool},
};
use drmwatch_metrics::{
    Metrics, Owner, RESULTS_BEHIND, RESULTS_ERRORS, RESULTS_LOST, RESULTS_RECORDED, RESULTS_SHIPPED,
    RESULTS_SPOOL_BYTES, RESULTS_WAITING,
};
use drmwatch_outcome::{Cause, Outcome};
use drmwatch_plan::Plan;
use drmwatch_probe::evidence::Evidence;
use drmwatch_runs::{Place, Record, Store, Subject};
use jiff::Timestamp;
use std::{
    io,
    path::Path,
    sync::{Arc, RwLock, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, time::sleep};
use tracing::{info, warn};

/// How often what is closed is shipped.
const EVERY: Duration = Duration::from_secs(10);
/// Most bytes of evidence of a run.
const MOST_EVIDENCE: usize = 256 << 10;
/// How long a Job waits for the store.
const ONCE: Duration = Duration::from_secs(15);
/// How long a stop waits for the store.
const AT_THE_END: Duration = Duration::from_secs(5);

/// Takes what happens in slots; without a store it does nothing. Clones share it.
#[derive(Clone, Default)]
pub struct Recorder(Option<Arc<Open>>);

struct Open {
    spool: Spool<Record>,
    runner: String,
    /// Shards of the pool; None: there are none.
    shards: Option<u32>,
    metrics: Metrics,
    stop: Notify,
    stopped: Notify,
}

/// The store in a place.
fn store(place: &str, keys: &Path, options: &Options) -> Result<Store, StoreError> {
    let holder = kms::holder(options.results_kms.as_deref(), keys, drmwatch_program::now)?;
    Store::open(place, holder, Names::read(keys)?)
}

/// Which slot it was.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// When it was due.
    pub at: Timestamp,
    /// When the next is.
    pub next: Option<Timestamp>,
}

impl Slot {
    /// As a record has it.
    fn place(self, runner: &str, shard: Option<u32>) -> Place<'_> {
        let until_next = self.next.map(|next| next.duration_since(self.at).as_secs());
        Place {
            runner,
            shard,
            slot: self.at,
            stands_seconds: until_next.and_then(|s| u32::try_from(s).ok()).unwrap_or(u32::MAX),
        }
    }
}

/// Maintenance windows that exclude a probe from the SLA while they are open. Clones share it.
#[derive(Clone, Default)]
pub struct Excluded(Arc<RwLock<Option<Box<str>>>>);

impl Excluded {
    /// These are open.
    pub fn set(&self, windows: &[String]) {
        let words = (!windows.is_empty()).then(|| windows.join(",").into_boxed_str());
        *self.0.write().unwrap_or_else(|e| e.into_inner()) = words;
    }

    fn words(&self) -> Option<String> {
        let words = self.0.read().unwrap_or_else(|e| e.into_inner());
        words.as_deref().map(str::to_owned)
    }
}

/// Which attempt in its slot a run is.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// From 1.
    pub number: u8,
    /// Whether it decides.
    pub counts: bool,
    /// Whether its evidence is kept: that of a failure that begins.
    pub evidence: bool,
}

/// The evidence of a run that did not pass, unless it is too much of it.
fn bundle(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let text = serde_json::to_string(&Evidence::of(plan, outcome)?).ok()?;
    (text.len() <= MOST_EVIDENCE).then_some(text)
}

/// Which probe a plan is of.
fn subject(plan: &Plan) -> Subject<'_> {
    Subject {
        id: &plan.id,
        uid: &plan.uid,
        generation: plan.generation,
        region: &plan.region,
    }
}

/// The record of a run.
fn run(plan: &Plan, place: Place<'_>, attempt: Attempt, excluded: &Excluded, outcome: &Outcome) -> Record {
    Record {
        maintenance: excluded.words(),
        bundle: attempt.evidence.then(|| bundle(plan, outcome)).flatten(),
        ..Record::run(subject(plan), place, attempt.number, attempt.counts, outcome)
    }
}

impl Recorder {
    /// The recorder that the options name. `shards`: of the pool. A store that can't be opened is an error: results that
    /// nobody keeps must not go unnoticed.
    pub fn open(options: &Options, shards: Option<u32>, metrics: &Metrics) -> io::Result<Recorder> {
        let (Some(place), Some(keys)) = (&options.results, &options.results_keys) else {
            return Ok(Recorder::default());
        };
        let Some(folder) = &options.results_spool else {
            return Err(io::Error::other(
                "--results needs --results-spool, a folder in which results wait for the store",
            ));
        };
        let wrong = |e: &dyn std::fmt::Display| io::Error::other(format!("results can't be kept: {e}"));
        let store = store(place, keys, options).map_err(|e| wrong(&e))?;
        let key = match options.results_spool_key.as_ref().or(options.cache_key.as_ref()) {
            Some(file) => drmwatch_archive::keys::read_raw_or_text(file),
            None => drmwatch_archive::keys::own(&folder.join("key")),
        };
        let key = key.map_err(|e| wrong(&e))?;
        let limits = Limits {
            close_after: Duration::from_secs(options.results_batch_seconds.into()),
            most_bytes: u64::from(options.results_spool_mib) << 20,
        };
        let (spool, shelf, found) = spool::open(folder, &key, limits)?;
        if found.lost > 0 || found.torn > 0 {
            let (records, bytes) = (found.lost, found.torn);
            warn!(
                records,
                bytes,
                "the process before died: so many results that it had received were not written, and so many bytes are no whole frame"
            );
        }
        info!(store = ?store, spool = %folder.display(), "results are kept");
        let program = Owner::program();
        for metric in [
            &RESULTS_RECORDED,
            &RESULTS_LOST,
            &RESULTS_SHIPPED,
            &RESULTS_ERRORS,
        ] {
            metrics.add(metric, &program, &[], 0);
        }
        let open = Arc::new(Open {
            spool,
            runner: options.identity.clone(),
            shards,
            metrics: metrics.clone(),
            stop: Notify::new(),
            stopped: Notify::new(),
        });
        tokio::spawn(open.clone().ship(shelf, store));
        Ok(Recorder(Some(open)))
    }

    /// Whether anything is kept.
    pub fn on(&self) -> bool {
        self.0.is_some()
    }

    fn keep(&self, plan: &Plan, slot: Slot, record: impl FnOnce(Place<'_>) -> Record) {
        let Some(open) = &self.0 else { return };
        let shard = open.shards.map(|n| drmwatch_plan::shard_of(&plan.shard_key(), n));
        open.spool.keep(record(slot.place(&open.runner, shard)));
    }

    /// A run.
    pub fn run(&self, plan: &Plan, slot: Slot, attempt: Attempt, excluded: &Excluded, outcome: &Outcome) {
        self.keep(plan, slot, |place| run(plan, place, attempt, excluded, outcome));
    }

    /// Slots that were not run, the last of them this one.
    pub fn missed(&self, plan: &Plan, slot: Slot, cause: Cause, slots: u64) {
        if slots > 0 {
            let slots = u32::try_from(slots).unwrap_or(u32::MAX);
            self.keep(plan, slot, |place| {
                Record::missed(subject(plan), place, cause, slots)
            });
        }
    }

    /// From now on the probe is not to be run.
    pub fn unwatched(&self, plan: &Plan, now: Timestamp) {
        let slot = Slot { at: now, next: None };
        self.keep(plan, slot, |place| Record::unwatched(subject(plan), place));
    }

    /// Writes what there is to the disk, and ships it if the store takes it soon.
    pub async fn close(&self) {
        if let Some(open) = &self.0 {
            open.stop.notify_one();
            if tokio::time::timeout(AT_THE_END, open.stopped.notified())
                .await
                .is_err()
            {
                warn!(
                    "the store does not answer: what was not shipped is shipped by who opens the spool next"
                );
            }
        }
    }
}

impl Open {
    async fn ship(self: Arc<Open>, shelf: Shelf<Record>, store: Store) {
        let mut last = false;
        let mut told = 0;
        loop {
            tokio::select! {
                () = self.stop.notified() => last = true,
                () = sleep(EVERY) => {}
            }
            if last {
                let spool = self.spool.clone();
                let _ = tokio::task::spawn_blocking(move || spool.close_segment()).await;
            }
            self.round(&shelf, &store, &mut told).await;
            if last {
                self.stopped.notify_one();
                return;
            }
        }
    }

    async fn round(&self, shelf: &Shelf<Record>, store: &Store, told: &mut u64) {
        let (program, metrics) = (Owner::program(), &self.metrics);
        match ship::round(shelf, &self.spool, store).await {
            Ok(round) => {
                metrics.add(&RESULTS_SHIPPED, &program, &[], round.shipped);
                metrics.add(&RESULTS_LOST, &program, &[], round.damaged);
                metrics.set(&RESULTS_WAITING, &program, &[], round.keyless as f64);
                if let Some(error) = round.error {
                    metrics.add(&RESULTS_ERRORS, &program, &[], 1);
                    warn!(
                        error,
                        waiting = round.waiting,
                        "the store does not take results; they are kept here"
                    );
                }
            }
            Err(error) => {
                metrics.add(&RESULTS_ERRORS, &program, &[], 1);
                warn!(%error, "the spool can't be read");
            }
        }
        let counts = self.spool.counts();
        let lost = counts.lost.load(Ordering::Relaxed);
        metrics.add(&RESULTS_LOST, &program, &[], lost - *told);
        *told = lost;
        let received = counts.received.load(Ordering::Relaxed) as f64;
        let before = metrics.value(&RESULTS_RECORDED, &program, &[]).unwrap_or(0.0);
        metrics.add(&RESULTS_RECORDED, &program, &[], (received - before) as u64);
        metrics.set(
            &RESULTS_SPOOL_BYTES,
            &program,
            &[],
            counts.bytes.load(Ordering::Relaxed) as f64,
        );
        metrics.set(&RESULTS_BEHIND, &program, &[], oldest(shelf).as_secs_f64());
    }
}

/// Keeps the runs of a Job. It has no disk of its own on which they could wait: what the store does not take is lost to it,
/// and said; the outcome is in the termination message all the same.
pub async fn once(
    options: &Options,
    plan: &Plan,
    slot: Slot,
    runs: impl Iterator<Item = (u8, bool, &Outcome)>,
) {
    let (Some(place), Some(keys)) = (&options.results, &options.results_keys) else {
        return;
    };
    let excluded = Excluded::default();
    excluded.set(&plan.excluded_by);
    let records: Vec<Record> = runs
        .map(|(number, counts, outcome)| {
            let attempt = Attempt {
                number,
                counts,
                evidence: counts,
            };
            run(
                plan,
                slot.place(&options.identity, None),
                attempt,
                &excluded,
                outcome,
            )
        })
        .collect();
    let Some(batch) = records.first().map(Record::name) else {
        return;
    };
    let kept = async { store(place, keys, options)?.append(&batch, records).await };
    match tokio::time::timeout(ONCE, kept).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the result is not kept"),
        Err(_) => warn!("the result is not kept: the store does not answer"),
    }
}

/// How long the oldest of what is closed has waited.
fn oldest(shelf: &Shelf<Record>) -> Duration {
    let closed = shelf.closed().unwrap_or_default();
    closed.iter().filter_map(|p| age(p)).max().unwrap_or_default()
}

/// Of a file, by the clock that dated it.
#[allow(clippy::disallowed_methods)]
fn age(path: &Path) -> Option<Duration> {
    let written = path.metadata().ok()?.modified().ok()?;
    SystemTime::now().duration_since(written).ok()
}
