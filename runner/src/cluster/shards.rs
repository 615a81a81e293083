//! The Leases of a pool: read, renewed, taken and let go. What to do follows from [`ownership`](super::ownership).

use super::{
    POOL_LABEL, Pool,
    ownership::{EXPIRY, FRESH, Holder, Leases, Ownership, Step, Took},
    patience::{Unanswered, patiently},
};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{
    Api, Client, Error,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::{Instant, timeout_at};

use drmwatch_plan::contract::LEASE as ROLE_LABEL;
use drmwatch_plan::contract::SETTLED;

/// A way to this runner's Leases. Clones are the same.
#[derive(Clone)]
pub struct Names {
    api: Api<Lease>,
    pool: Pool,
    identity: String,
}

/// Keeps this runner's shards.
pub struct Keeper {
    names: Names,
    ownership: Ownership,
    began: Instant,
    /// The shards' Leases as they were at the last look, or have been written since.
    found: BTreeMap<u32, Lease>,
}

/// What a look at the Leases has changed.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// Shards to begin with, and since when nobody had them, where that is known.
    pub gained: Vec<(u32, Option<Timestamp>)>,
    /// Shards that were offered and are to go on, or that ran on and are ours again.
    pub kept: Vec<u32>,
    /// Shards to offer: when nothing of them runs, they are to be [let go](Keeper::let_go).
    pub offered: Vec<u32>,
    /// Shards that another works on.
    pub lost: Vec<u32>,
}

impl Keeper {
    /// A keeper that holds nothing yet.
    pub async fn new(client: Client, pool: Pool, identity: &str, shards: u32) -> Keeper {
        let names = Names {
            api: Api::namespaced(client, &pool.namespace),
            pool,
            identity: identity.to_owned(),
        };
        // A container that was started anew in the same pod has a Lease from before.
        let before = patiently(names.api.get_opt(&names.member_name())).await;
        let before = before.ok().flatten().as_ref().and_then(settled);
        Keeper {
            ownership: Ownership::new(identity, shards, before),
            names,
            began: Instant::now(),
            found: BTreeMap::new(),
        }
    }

    /// The way to the Leases.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// Looks, and takes what should be ours. `works`: whether the plans of a shard are there, so that others may forget it.
    pub async fn look(&mut self, works: impl Fn(u32) -> bool) -> Result<Change, Unanswered> {
        let names = self.names.clone();
        let selector = format!("{POOL_LABEL}={}", names.pool.name);
        let selected = ListParams::default().labels(&selector);
        let found = patiently(names.api.list(&selected)).await?.items;
        let mut leases = Leases::default();
        self.found.clear();
        for lease in found {
            match (role(&lease), holder(&lease), shard_number(&lease)) {
                (Some("member"), Some(identity), _) => {
                    leases.members.insert(identity.to_owned(), renewed(&lease));
                    leases
                        .settled
                        .extend(settled(&lease).map(|at| (identity.to_owned(), at)));
                }
                (_, identity, Some(shard)) => {
                    let holder = Holder {
                        identity: identity.map(str::to_owned),
                        at: renewed(&lease),
                        ready: acquired(&lease),
                    };
                    leases.shards.insert(shard, holder);
                    self.found.insert(shard, lease);
                }
                _ => {}
            }
        }
        let (mut change, looked) = (Change::default(), Instant::now());
        for (shard, step) in self.ownership.look(&leases, self.began.elapsed()) {
            match step {
                Step::Begin(since) => change.gained.push((shard, since)),
                Step::GoOn => change.kept.push(shard),
                Step::Offer => change.offered.push(shard),
                Step::End => change.lost.push(shard),
                // Should it succeed later than that, the next look finds it ours.
                Step::Take(since) => match timeout_at(looked + FRESH, self.take(shard)).await {
                    Err(_) | Ok(Ok(false)) => {}
                    Ok(Ok(true)) => match self.ownership.took(shard) {
                        Took::New => change.gained.push((shard, since)),
                        Took::Held => change.kept.push(shard),
                    },
                    Ok(Err(error)) => names.failed(shard, &error),
                },
            }
        }
        let ours = |lease: &Lease| holder(lease) == Some(&names.identity) && !acquired(lease);
        let ready = self
            .found
            .iter()
            .filter(|(shard, lease)| ours(lease) && works(**shard));
        for shard in ready.map(|(shard, _)| *shard).collect::<Vec<u32>>() {
            if let Err(error) = self.ready(shard).await {
                names.failed(shard, &error);
            }
        }
        Ok(change)
    }

    /// Writes our name into a shard's Lease, unless someone was faster.
    async fn take(&mut self, shard: u32) -> Result<bool, Unanswered> {
        let spec = self.names.spec();
        if self.found.contains_key(&shard) {
            return self.replace(shard, spec).await;
        }
        let lease = Lease {
            spec: Some(spec),
            ..self.names.lease(self.names.shard_name(shard), "shard")
        };
        let how = PostParams::default();
        let created = unless_conflict(patiently(self.names.api.create(&how, &lease)).await)?;
        Ok(self.now_is(shard, created))
    }

    /// Says that this runner works on the shard.
    async fn ready(&mut self, shard: u32) -> Result<bool, Unanswered> {
        let acquired = LeaseSpec {
            acquire_time: Some(MicroTime(drmwatch_program::now())),
            ..self.names.spec()
        };
        self.replace(shard, acquired).await
    }

    /// Lets the Leases of offered shards go, on which nothing has begun since `since`. Those that are to go on here, since
    /// that could not be said.
    pub async fn let_go(&mut self, offered: &[u32], since: Timestamp) -> Vec<u32> {
        for (n, shard) in offered.iter().enumerate() {
            if self.found.get(shard).and_then(holder) != Some(&self.names.identity) {
                continue;
            }
            let nobody = LeaseSpec {
                holder_identity: None,
                renew_time: Some(MicroTime(since)),
                ..self.names.spec()
            };
            // A conflict: someone has taken it meanwhile. The next look tells.
            if let Err(error) = self.replace(*shard, nobody).await {
                self.names.failed(*shard, &error);
                let rest = &offered[n..];
                rest.iter().for_each(|shard| self.ownership.go_on(*shard));
                return rest.to_vec();
            }
        }
        Vec::new()
    }

    /// The resource version goes along, so that of two who write one gets a conflict.
    async fn replace(&mut self, shard: u32, spec: LeaseSpec) -> Result<bool, Unanswered> {
        let lease = Lease {
            spec: Some(spec),
            ..self.found.get(&shard).cloned().unwrap_or_default()
        };
        let (name, how) = (self.names.shard_name(shard), PostParams::default());
        let replaced = unless_conflict(patiently(self.names.api.replace(&name, &how, &lease)).await)?;
        Ok(self.now_is(shard, replaced))
    }

    /// Whether a write has succeeded; later ones go on from what it left.
    fn now_is(&mut self, shard: u32, written: Option<Lease>) -> bool {
        let faster = written.is_some();
        self.found.extend(written.map(|lease| (shard, lease)));
        faster
    }

    /// Shards whose Leases are ours, as far as we know.
    pub fn ours(&self) -> BTreeSet<u32> {
        let ours = |(_, lease): &(&u32, &Lease)| holder(lease) == Some(&self.names.identity);
        self.found.iter().filter(ours).map(|(shard, _)| *shard).collect()
    }

    /// The Leases can't be read. Shards that were offered, and are to go on.
    pub fn blind(&mut self) -> Vec<u32> {
        self.ownership.blind()
    }

    /// These run here: they were in the cache.
    pub fn recalled(&mut self, shards: BTreeSet<u32>) {
        shards.into_iter().for_each(|shard| self.ownership.go_on(shard));
    }

    /// Takes this runner's name off the list of members.
    pub async fn leave(self) -> Result<(), Unanswered> {
        let (name, how) = (self.names.member_name(), DeleteParams::default());
        patiently(self.names.api.delete(&name, &how)).await.map(drop)
    }

    /// Removes what runners of long ago left behind; their names.
    pub async fn tidy(&self) -> Vec<String> {
        let mut gone = Vec::new();
        for identity in self.ownership.forgotten(self.began.elapsed()) {
            let name = format!("{}-member-{identity}", self.names.pool.name);
            let how = DeleteParams::default();
            if patiently(self.names.api.delete(&name, &how)).await.is_ok() {
                gone.push(identity.to_owned());
            }
        }
        gone
    }
}

impl Names {
    fn failed(&self, shard: u32, error: &Unanswered) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(shard, error, "a shard's Lease can't be written; will try again");
    }

    fn member_name(&self) -> String {
        format!("{}-member-{}", self.pool.name, self.identity)
    }
    fn shard_name(&self, shard: u32) -> String {
        format!("{}-shard-{shard}", self.pool.name)
    }

    /// Says that this runner lives, and that all that was due before `settled` has ended.
    pub async fn renew(&self, settled: Timestamp) -> Result<(), Unanswered> {
        let mut lease = Lease {
            spec: Some(self.spec()),
            ..self.lease(self.member_name(), "member")
        };
        lease.metadata.annotations = Some([(SETTLED.to_owned(), settled.to_string())].into());
        let apply = PatchParams::apply(&self.identity).force();
        let (name, patch) = (self.member_name(), Patch::Apply(&lease));
        patiently(self.api.patch(&name, &apply, &patch)).await.map(drop)
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
}

/// What was written; nothing where someone else was faster.
fn unless_conflict(result: Result<Lease, Unanswered>) -> Result<Option<Lease>, Unanswered> {
    match result {
        Ok(lease) => Ok(Some(lease)),
        Err(Unanswered::Api(Error::Api(status))) if status.code == 409 => Ok(None),
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

fn renewed(lease: &Lease) -> Option<Timestamp> {
    Some(lease.spec.as_ref()?.renew_time.as_ref()?.0)
}

/// Until when all that was due has ended, by a member's Lease.
fn settled(lease: &Lease) -> Option<Timestamp> {
    let said = lease.metadata.annotations.as_ref().and_then(|a| a.get(SETTLED));
    said.and_then(|text| text.parse().ok()).or_else(|| renewed(lease))
}

/// Whether its holder works: the time of acquisition is written when the plans are there.
fn acquired(lease: &Lease) -> bool {
    lease
        .spec
        .as_ref()
        .is_some_and(|spec| spec.acquire_time.is_some())
}

fn shard_number(lease: &Lease) -> Option<u32> {
    if role(lease) != Some("shard") {
        return None;
    }
    lease.metadata.name.as_ref()?.rsplit('-').next()?.parse().ok()
}
