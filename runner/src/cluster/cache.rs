//! What a runner works on, sealed on its own disk, so that a container that starts anew while the API server is away goes
//! on where the one before it stopped.
//!
//! One file for each plan, AES-256-GCM with a fresh nonce each; the key is in a Secret of the pool, which the kubelet
//! mounts in memory. What a file may be opened as (pool, shard, probe) is bound to it. A thread of its own writes: a disk
//! that is slow, full or broken delays nobody.

use crate::options::Options;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use drmwatch_metrics::{CACHE_ERRORS, CACHED_PLANS, Metrics, Owner};
use drmwatch_plan::{Plan, Secrets};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};
use tracing::{info, warn};

/// File that says when this runner last lived.
const ALIVE: &str = "alive";
/// How long until what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// The cache; without a folder it does nothing. Clones share it.
#[derive(Clone)]
pub struct Cache(Option<Arc<Open>>);

struct Open {
    seal: Arc<Seal>,
    orders: mpsc::Sender<Order>,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Entry {
    plan: Plan,
    secrets: BTreeMap<String, String>,
}

enum Order {
    Put {
        shard: u32,
        uid: String,
        fingerprint: u64,
        text: Vec<u8>,
    },
    DropPlan(u32, String),
    DropShard(u32),
    KeepOnly(BTreeSet<u32>),
    Alive(Timestamp),
}

impl Cache {
    /// The cache that the options name. One that can't be used is said to be so, and is done without.
    pub fn open(options: &Options, pool: &str, metrics: Metrics) -> Cache {
        let (Some(folder), Some(key)) = (&options.cache, &options.cache_key) else {
            return Cache(None);
        };
        let of = format!("{}/{pool}", options.namespace);
        let opened = Seal::new(folder, key, of).and_then(|seal| {
            let seal = Arc::new(seal);
            let (orders, received) = mpsc::channel();
            let writer = Writer {
                seal: seal.clone(),
                metrics: metrics.clone(),
                written: BTreeMap::new(),
                waiting: BTreeMap::new(),
                failing: false,
            };
            std::thread::Builder::new()
                .name("cache".into())
                .spawn(move || writer.run(&received))?;
            Ok(Open { seal, orders })
        });
        match opened {
            Ok(open) => Cache(Some(Arc::new(open))),
            Err(error) => {
                metrics.add(&CACHE_ERRORS, &Owner::program(), &[], 1);
                warn!(%error, "plans are not cached: a start without the API server will find none");
                Cache(None)
            }
        }
    }

    fn order(&self, order: Order) {
        if let Some(open) = &self.0 {
            let _ = open.orders.send(order);
        }
    }

    /// Keeps a plan.
    pub fn put(&self, shard: u32, plan: &Plan, secrets: &Secrets, fingerprint: u64) {
        if self.0.is_none() {
            return;
        }
        let entry = Entry {
            plan: plan.clone(),
            secrets: secrets
                .iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        };
        if let Ok(text) = serde_json::to_vec(&entry) {
            let uid = plan.uid.clone();
            self.order(Order::Put {
                shard,
                uid,
                fingerprint,
                text,
            });
        }
    }

    /// Forgets a plan.
    pub fn drop_plan(&self, shard: u32, uid: &str) {
        self.order(Order::DropPlan(shard, uid.to_owned()));
    }

    /// Forgets a shard.
    pub fn drop_shard(&self, shard: u32) {
        self.order(Order::DropShard(shard));
    }

    /// Forgets every shard but these.
    pub fn keep_only(&self, shards: &BTreeSet<u32>) {
        self.order(Order::KeepOnly(shards.clone()));
    }

    /// Notes that this runner lives: what is due from now on until a successor starts was nobody's.
    pub fn alive(&self, now: Timestamp) {
        self.order(Order::Alive(now));
    }

    /// Every plan that can be read, and when who wrote them last lived.
    pub fn read(&self) -> (Vec<(Plan, Secrets)>, Option<Timestamp>) {
        let Some(open) = &self.0 else {
            return Default::default();
        };
        let alive = fs::read_to_string(open.seal.folder.join(ALIVE));
        let alive = alive.ok().and_then(|text| text.trim().parse().ok());
        (open.seal.read(), alive)
    }
}

/// A folder, and the key to it.
struct Seal {
    folder: PathBuf,
    key: RandomizedNonceKey,
    /// Namespace and name of the pool.
    of: String,
}

impl Seal {
    fn new(folder: &Path, key: &Path, of: String) -> io::Result<Seal> {
        let key = fs::read(key)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key)
            .map_err(|_| io::Error::other("the cache's key must have 32 bytes"))?;
        fs::create_dir_all(folder)?;
        let folder = folder.to_owned();
        Ok(Seal { folder, key, of })
    }

    fn shard(&self, shard: u32) -> PathBuf {
        self.folder.join(shard.to_string())
    }

    fn file(&self, shard: u32, uid: &str) -> PathBuf {
        self.shard(shard).join(super::verdicts::key(uid))
    }

    fn bound(&self, shard: u32, name: &str) -> Aad<Vec<u8>> {
        let text = format!("drmwatch plan 1\0{}\0{shard}\0{name}", self.of);
        Aad::from(text.into_bytes())
    }

    fn write(&self, shard: u32, uid: &str, text: &[u8]) -> io::Result<()> {
        let mut sealed = text.to_vec();
        let name = super::verdicts::key(uid);
        let nonce = self
            .key
            .seal_in_place_append_tag(self.bound(shard, &name), &mut sealed)
            .map_err(|_| io::Error::other("sealing failed"))?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        fs::create_dir_all(self.shard(shard))?;
        // Whole or not at all: a crash in between leaves the old one.
        let new = self.shard(shard).join(format!(".{name}"));
        let written = fs::write(&new, whole).and_then(|()| fs::rename(&new, self.file(shard, uid)));
        if written.is_err() {
            let _ = fs::remove_file(new);
        }
        written
    }

    fn read(&self) -> Vec<(Plan, Secrets)> {
        let mut found = Vec::new();
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .filter(|n| !n.starts_with('.'))
                .collect()
        };
        for shard in names(&self.folder).iter().filter_map(|n| n.parse::<u32>().ok()) {
            for name in names(&self.shard(shard)) {
                match self.open(shard, &name) {
                    Ok(entry) => found.push(entry),
                    Err(error) => warn!(shard, file = name, %error, "a cached plan can't be used"),
                }
            }
        }
        found
    }

    fn open(&self, shard: u32, name: &str) -> io::Result<(Plan, Secrets)> {
        let mut whole = fs::read(self.shard(shard).join(name))?;
        let refused = || io::Error::other("it was not sealed by this pool for this place");
        let (nonce, sealed) = whole.split_at_mut_checked(12).ok_or_else(refused)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
        let text = self
            .key
            .open_in_place(nonce, self.bound(shard, name), sealed)
            .map_err(|_| refused())?;
        // A newer runner may have written what this one does not know.
        let entry: Entry = serde_json::from_slice(text).map_err(|_| io::Error::other("it is no plan"))?;
        let mut secrets = Secrets::default();
        for (name, value) in entry.secrets {
            secrets.insert(name, value);
        }
        Ok((entry.plan, secrets))
    }
}

/// What still is to be written of a plan: its fingerprint and text, or nothing where it is to go.
type Waiting = Option<(u64, Vec<u8>)>;

struct Writer {
    seal: Arc<Seal>,
    metrics: Metrics,
    /// Fingerprints of what is on the disk.
    written: BTreeMap<(u32, String), u64>,
    /// The latest of each plan, so that it is bounded by their number.
    waiting: BTreeMap<(u32, String), Waiting>,
    failing: bool,
}

impl Writer {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        self.metrics.add(&CACHE_ERRORS, &Owner::program(), &[], 0);
        loop {
            match orders.recv_timeout(RETRY) {
                Ok(order) => self.take(order),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(order) = orders.try_recv() {
                self.take(order);
            }
            self.write();
            let plans = self.written.len() as f64;
            self.metrics.set(&CACHED_PLANS, &Owner::program(), &[], plans);
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Put {
                shard,
                uid,
                fingerprint,
                text,
            } => {
                let of = (shard, uid);
                if self.written.get(&of) != Some(&fingerprint) {
                    self.waiting.insert(of, Some((fingerprint, text)));
                }
            }
            Order::DropPlan(shard, uid) => drop(self.waiting.insert((shard, uid), None)),
            Order::DropShard(shard) => {
                self.waiting.retain(|(of, _), _| *of != shard);
                self.written.retain(|(of, _), _| *of != shard);
                let _ = fs::remove_dir_all(self.seal.shard(shard));
            }
            Order::Alive(now) => {
                let _ = fs::write(self.seal.folder.join(ALIVE), now.to_string());
            }
            Order::KeepOnly(shards) => {
                let entries = fs::read_dir(&self.seal.folder).into_iter().flatten().flatten();
                for entry in entries {
                    let shard = entry.file_name().to_string_lossy().parse::<u32>();
                    if shard.is_ok_and(|shard| !shards.contains(&shard)) {
                        let _ = fs::remove_dir_all(entry.path());
                    }
                }
            }
        }
    }

    fn write(&mut self) {
        let mut failed = None;
        for ((shard, uid), what) in std::mem::take(&mut self.waiting) {
            let result = match &what {
                Some((_, text)) => self.seal.write(shard, &uid, text),
                None => match fs::remove_file(self.seal.file(shard, &uid)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            match (result, what) {
                (Ok(()), Some((fingerprint, _))) => drop(self.written.insert((shard, uid), fingerprint)),
                (Ok(()), None) => drop(self.written.remove(&(shard, uid))),
                (Err(error), what) => {
                    self.metrics.add(&CACHE_ERRORS, &Owner::program(), &[], 1);
                    self.waiting.insert((shard, uid), what);
                    failed = Some(error);
                }
            }
        }
        match (&failed, self.failing) {
            (Some(error), false) => {
                warn!(%error, plans = self.waiting.len(), "plans can't be cached; what runs goes on");
            }
            (None, true) => info!("plans are cached again"),
            _ => {}
        }
        self.failing = failed.is_some();
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
