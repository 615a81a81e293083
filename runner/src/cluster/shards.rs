//! Who works on which shard, by Leases.
//!
//! Every runner keeps one member Lease alive. Each computes for itself, by rendezvous hashing over the
//! live members, who should own each shard; a shard's own Lease says who does, and changes hands only
//! when its holder has let go or has died. So a voluntary hand-over leaves no gap, a crash is taken
//! over once the member Lease has stood still for [`EXPIRY`], and two runners that disagree for a moment
//! run a slot twice rather than not at all.

use super::{POOL_LABEL, Pool};
use drmwatch_plan::owner;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{
    Api, Client, Error,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// A member whose Lease has stood still for this long is dead. It is measured by our own clock: clocks
/// of nodes differ.
const EXPIRY: Duration = Duration::from_secs(10);
/// A Lease whose own time is older than this is not waited for at all: a runner of long ago.
const ANCIENT_SECONDS: i64 = 60;
/// Label that tells member and shard Leases apart.
const ROLE_LABEL: &str = "drmwatch.io/lease";

/// Keeps this runner's Leases.
pub struct Keeper {
    api: Api<Lease>,
    pool: Pool,
    identity: String,
    shards: u32,
    held: BTreeSet<u32>,
    /// Renew time last seen of each member, and when we saw it change.
    seen: BTreeMap<String, (Option<Timestamp>, Instant)>,
}

/// What a tick changed.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// Shards to begin with.
    pub gained: Vec<u32>,
    /// Shards to end.
    pub lost: Vec<u32>,
}

impl Keeper {
    /// A keeper that holds nothing yet.
    pub fn new(client: Client, pool: Pool, identity: &str, shards: u32) -> Keeper {
        Keeper {
            api: Api::namespaced(client, &pool.namespace),
            pool,
            identity: identity.to_owned(),
            shards,
            held: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Renews, looks, takes and gives.
    pub async fn tick(&mut self) -> Result<Change, Error> {
        self.renew().await?;
        let leases = self
            .api
            .list(&ListParams::default().labels(&format!("{POOL_LABEL}={}", self.pool.name)))
            .await?;
        let now = drmwatch_program::now();
        let live = self.live(&leases.items, now);
        let holders: BTreeMap<u32, &Lease> = leases
            .items
            .iter()
            .filter_map(|lease| Some((shard_number(lease)?, lease)))
            .collect();
        let mut change = Change::default();
        for shard in 0..self.shards {
            let lease = holders.get(&shard).copied();
            let holder = lease.and_then(holder).unwrap_or_default();
            let mine = holder == self.identity;
            let should = owner(shard, live.iter().map(String::as_str)) == Some(&self.identity);
            match decide(
                self.held.contains(&shard),
                mine,
                should,
                holder.is_empty() || !live.contains(holder),
            ) {
                Step::Keep => {}
                Step::Begin => change.gained.push(shard),
                Step::Take => {
                    if self.take(shard, lease).await? {
                        change.gained.push(shard);
                    }
                }
                // What runs is ended first; the Lease is let go at the next tick, when nothing is held.
                Step::End => change.lost.push(shard),
                Step::LetGo => self.let_go(shard, lease).await?,
            }
        }
        self.held.extend(&change.gained);
        self.held.retain(|shard| !change.lost.contains(shard));
        Ok(change)
    }

    /// Gives everything back, so that others need not wait for it to run out.
    pub async fn leave(&mut self) -> Result<(), Error> {
        for shard in std::mem::take(&mut self.held) {
            let lease = self.api.get_opt(&self.shard_name(shard)).await?;
            self.let_go(shard, lease.as_ref()).await?;
        }
        self.api
            .delete(&self.member_name(), &DeleteParams::default())
            .await
            .map(drop)
    }

    fn member_name(&self) -> String {
        format!("{}-member-{}", self.pool.name, self.identity)
    }
    fn shard_name(&self, shard: u32) -> String {
        format!("{}-shard-{shard}", self.pool.name)
    }

    async fn renew(&self) -> Result<(), Error> {
        let lease = Lease {
            spec: Some(self.spec()),
            ..self.lease(self.member_name(), "member")
        };
        let apply = PatchParams::apply(&self.identity).force();
        self.api
            .patch(&self.member_name(), &apply, &Patch::Apply(&lease))
            .await
            .map(drop)
    }

    fn spec(&self) -> LeaseSpec {
        let now = MicroTime(drmwatch_program::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(EXPIRY.as_secs() as i32),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }
    }

    fn lease(&self, name: String, role: &str) -> Lease {
        let metadata = self.pool.metadata(name, (ROLE_LABEL, role));
        Lease { metadata, spec: None }
    }

    /// Identities of the members that live.
    fn live(&mut self, leases: &[Lease], now: Timestamp) -> BTreeSet<String> {
        let mut live = BTreeSet::new();
        let mut present = BTreeSet::new();
        for lease in leases.iter().filter(|l| role(l) == Some("member")) {
            let Some(identity) = holder(lease) else { continue };
            let renewed = lease
                .spec
                .as_ref()
                .and_then(|s| s.renew_time.as_ref())
                .map(|t| t.0);
            present.insert(identity.to_owned());
            let entry = self
                .seen
                .entry(identity.to_owned())
                .or_insert((renewed, Instant::now()));
            if entry.0 != renewed {
                *entry = (renewed, Instant::now());
            }
            let ancient = renewed.is_none_or(|t| now.duration_since(t).as_secs() > ANCIENT_SECONDS);
            if identity == self.identity || (entry.1.elapsed() < EXPIRY && !ancient) {
                live.insert(identity.to_owned());
            }
        }
        self.seen.retain(|identity, _| present.contains(identity));
        live
    }

    /// Writes our name into a shard's Lease, unless someone was faster.
    async fn take(&self, shard: u32, found: Option<&Lease>) -> Result<bool, Error> {
        let result = match found {
            None => {
                let lease = Lease {
                    spec: Some(self.spec()),
                    ..self.lease(self.shard_name(shard), "shard")
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            // The resource version goes along, so that of two takers one gets a conflict.
            Some(found) => {
                let lease = Lease {
                    spec: Some(self.spec()),
                    ..found.clone()
                };
                self.api
                    .replace(&self.shard_name(shard), &PostParams::default(), &lease)
                    .await
            }
        };
        conflict_is_no(result)
    }

    async fn let_go(&self, shard: u32, found: Option<&Lease>) -> Result<(), Error> {
        let Some(found) = found.filter(|l| holder(l) == Some(&self.identity)) else {
            return Ok(());
        };
        let spec = LeaseSpec {
            holder_identity: None,
            ..self.spec()
        };
        let lease = Lease {
            spec: Some(spec),
            ..found.clone()
        };
        conflict_is_no(
            self.api
                .replace(&self.shard_name(shard), &PostParams::default(), &lease)
                .await,
        )
        .map(drop)
    }
}

fn conflict_is_no(result: Result<Lease, Error>) -> Result<bool, Error> {
    match result {
        Ok(_) => Ok(true),
        Err(Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn role(lease: &Lease) -> Option<&str> {
    lease
        .metadata
        .labels
        .as_ref()?
        .get(ROLE_LABEL)
        .map(String::as_str)
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn shard_number(lease: &Lease) -> Option<u32> {
    if role(lease) != Some("shard") {
        return None;
    }
    lease.metadata.name.as_ref()?.rsplit('-').next()?.parse().ok()
}

/// What to do about one shard.
#[derive(Debug, PartialEq)]
enum Step {
    Keep,
    /// The Lease has been ours from before: begin to work.
    Begin,
    /// Nobody who lives has it, and it should be ours.
    Take,
    /// It is another's now, or should be.
    End,
    /// Nothing of it runs here any more: let the Lease go.
    LetGo,
}

/// Pure: what we run (`held`), what the Lease says (`mine`, `free`), what hashing says (`should`).
fn decide(held: bool, mine: bool, should: bool, free: bool) -> Step {
    match (held, mine, should) {
        (true, true, true) => Step::Keep,
        (true, true, false) => Step::End,
        // Someone took it while we were away.
        (true, false, _) if !free => Step::End,
        (true, false, true) => Step::Take,
        (true, false, false) => Step::End,
        (false, true, true) => Step::Begin,
        (false, true, false) => Step::LetGo,
        (false, false, true) if free => Step::Take,
        (false, false, _) => Step::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_taken_only_when_free_and_let_go_only_when_nothing_runs() {
        let table = [
            // held, mine, should, free
            ((false, false, true, true), Step::Take),
            ((false, false, true, false), Step::Keep),
            ((false, false, false, true), Step::Keep),
            ((false, true, true, false), Step::Begin),
            ((true, true, true, false), Step::Keep),
            ((true, true, false, false), Step::End),
            ((false, true, false, false), Step::LetGo),
            ((true, false, true, false), Step::End),
            ((true, false, true, true), Step::Take),
            ((true, false, false, true), Step::End),
        ];
        for ((held, mine, should, free), step) in table {
            assert_eq!(
                decide(held, mine, should, free),
                step,
                "{:?}",
                (held, mine, should, free)
            );
        }
    }
}
