//! Who may run now. Runs wait for servers, so many go on at once; but a tenant whose servers answer nobody, or a host
//! that many probes ask, must not take all places and make the neighbours wait.
//!
//! There are so many places in all, and a quarter of them at most for one tenant and for one host. Whoever waits is
//! served in the order of coming.

use drmwatch_plan::Plan;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a runner. Clones share them.
#[derive(Clone)]
pub struct Gate {
    all: Arc<Semaphore>,
    share: usize,
    lanes: Arc<Mutex<BTreeMap<String, Weak<Semaphore>>>>,
}

/// What a plan's runs must pass: its tenant's lane and its hosts', in an order that is the same for all.
#[derive(Clone)]
pub struct Lanes(Arc<[Arc<Semaphore>]>);

/// A place, until it is dropped.
pub struct Place(#[allow(dead_code)] Vec<OwnedSemaphorePermit>);

impl Gate {
    /// A gate to so many places.
    pub fn new(places: usize) -> Gate {
        Gate {
            all: Arc::new(Semaphore::new(places.max(1))),
            share: (places / 4).max(1),
            lanes: Arc::default(),
        }
    }

    /// The lanes of a plan.
    pub fn lanes(&self, plan: &Plan) -> Lanes {
        let mut names = plan.hosts();
        names.iter_mut().for_each(|host| *host = format!("host {host}"));
        names.push(format!("tenant {}/{}", plan.id.namespace, plan.id.tenant));
        names.sort();
        names.dedup();
        let mut lanes = self.lanes.lock().unwrap_or_else(|e| e.into_inner());
        let found = names.into_iter().map(|name| {
            let there = lanes.get(&name).and_then(Weak::upgrade);
            there.unwrap_or_else(|| {
                let lane = Arc::new(Semaphore::new(self.share));
                lanes.insert(name, Arc::downgrade(&lane));
                lane
            })
        });
        let found: Vec<_> = found.collect();
        // A power of two: what nobody uses any more is looked for now and then, not each time.
        if lanes.len().is_power_of_two() {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        Lanes(found.into())
    }

    /// Waits for a place.
    pub async fn enter(&self, lanes: &Lanes) -> Place {
        let mut permits = Vec::with_capacity(lanes.0.len() + 1);
        for semaphore in lanes.0.iter().chain([&self.all]) {
            // None is ever closed.
            permits.extend(semaphore.clone().acquire_owned().await.ok());
        }
        Place(permits)
    }
}
