//! The Leases of a pool: read, renewed, taken and let go. What to do follows from [`ownership`](super::ownership).

use super::{
    POOL_LABEL, Pool,
    ownership::{EXPIRY, FRESH, Holder, Leases, Ownership, Step},
};
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
use tokio::time::{Instant, timeout, timeout_at};

/// What answers later is taken for away.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why a Lease could not be read or written.
#[derive(thiserror::Error, Debug)]
pub enum LeaseError {
    /// The API server refused, or did not answer.
    #[error("the API server: {0}")]
    Api(#[from] Error),
    /// It took too long.
    #[error("the API server did not answer in time")]
    Late,
}

async fn patiently<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, LeaseError> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LeaseError::Late),
    }
}

/// Label that tells member and shard Leases apart.
const ROLE_LABEL: &str = "drmwatch.io/lease";

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
}

/// What a tick changed.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// Shards to begin with, and since when nobody had them, where that is known.
    pub gained: Vec<(u32, Option<Timestamp>)>,
    /// Shards to end.
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
        let before = before.ok().flatten().as_ref().and_then(renewed);
        Keeper {
            ownership: Ownership::new(identity, shards, before),
            names,
            began: Instant::now(),
        }
    }

    /// The way to the Leases.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    /// Looks, takes and gives.
    pub async fn tick(&mut self) -> Result<Change, LeaseError> {
        let names = &self.names;
        let selector = format!("{POOL_LABEL}={}", names.pool.name);
        let selected = ListParams::default().labels(&selector);
        let found = patiently(names.api.list(&selected)).await?.items;
        let (mut leases, mut shards) = (Leases::default(), BTreeMap::new());
        for lease in &found {
            match (role(lease), holder(lease), shard_number(lease)) {
                (Some("member"), Some(identity), _) => {
                    leases.members.insert(identity.to_owned(), renewed(lease));
                }
                (_, identity, Some(shard)) => {
                    let identity = identity.map(str::to_owned);
                    leases.shards.insert(
                        shard,
                        Holder {
                            identity,
                            at: renewed(lease),
                        },
                    );
                    shards.insert(shard, lease);
                }
                _ => {}
            }
        }
        let (mut change, looked) = (Change::default(), Instant::now());
        for (shard, step) in self.ownership.look(&leases, self.began.elapsed()) {
            let lease = shards.get(&shard).copied();
            // What is to begin or to end must be, even where a write in between fails.
            match step {
                Step::Begin(since) => change.gained.push((shard, since)),
                Step::End => change.lost.push(shard),
                // Should it succeed later than that, the next look finds it ours.
                Step::Take(since) => match timeout_at(looked + FRESH, names.take(shard, lease)).await {
                    Err(_) => {}
                    Ok(Ok(true)) => {
                        if self.ownership.took(shard) {
                            change.gained.push((shard, since));
                        }
                    }
                    Ok(Ok(false)) => change.lost.extend(self.ownership.refused(shard).then_some(shard)),
                    Ok(Err(error)) => names.failed(shard, &error),
                },
                Step::LetGo => {
                    if let Err(error) = names.let_go(shard, lease).await {
                        names.failed(shard, &error);
                    }
                }
            }
        }
        Ok(change)
    }

    /// Gives everything back, so that others need not wait for it to run out.
    pub async fn leave(self) -> Result<(), LeaseError> {
        let names = &self.names;
        let held: BTreeSet<u32> = self.ownership.held().clone();
        for shard in held {
            let lease = patiently(names.api.get_opt(&names.shard_name(shard))).await?;
            names.let_go(shard, lease.as_ref()).await?;
        }
        let (name, how) = (names.member_name(), DeleteParams::default());
        patiently(names.api.delete(&name, &how)).await.map(drop)
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
    fn failed(&self, shard: u32, error: &LeaseError) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(shard, error, "a shard's Lease can't be written; will try again");
    }

    fn member_name(&self) -> String {
        format!("{}-member-{}", self.pool.name, self.identity)
    }
    fn shard_name(&self, shard: u32) -> String {
        format!("{}-shard-{shard}", self.pool.name)
    }

    /// Says that this runner lives.
    pub async fn renew(&self) -> Result<(), LeaseError> {
        let lease = Lease {
            spec: Some(self.spec()),
            ..self.lease(self.member_name(), "member")
        };
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

    /// Writes our name into a shard's Lease, unless someone was faster.
    async fn take(&self, shard: u32, found: Option<&Lease>) -> Result<bool, LeaseError> {
        let spec = Some(self.spec());
        let Some(found) = found else {
            let metadata = self.lease(self.shard_name(shard), "shard");
            let (lease, how) = (Lease { spec, ..metadata }, PostParams::default());
            return conflict_is_no(patiently(self.api.create(&how, &lease)).await);
        };
        self.replace(
            shard,
            Lease {
                spec,
                ..found.clone()
            },
        )
        .await
    }

    async fn let_go(&self, shard: u32, found: Option<&Lease>) -> Result<(), LeaseError> {
        let Some(found) = found.filter(|l| holder(l) == Some(&self.identity)) else {
            return Ok(());
        };
        let spec = Some(LeaseSpec {
            holder_identity: None,
            ..self.spec()
        });
        self.replace(
            shard,
            Lease {
                spec,
                ..found.clone()
            },
        )
        .await
        .map(drop)
    }

    /// The resource version goes along, so that of two who write one gets a conflict.
    async fn replace(&self, shard: u32, lease: Lease) -> Result<bool, LeaseError> {
        let (name, how) = (self.shard_name(shard), PostParams::default());
        conflict_is_no(patiently(self.api.replace(&name, &how, &lease)).await)
    }
}

fn conflict_is_no(result: Result<Lease, LeaseError>) -> Result<bool, LeaseError> {
    match result {
        Ok(_) => Ok(true),
        Err(LeaseError::Api(Error::Api(status))) if status.code == 409 => Ok(false),
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

fn shard_number(lease: &Lease) -> Option<u32> {
    if role(lease) != Some("shard") {
        return None;
    }
    lease.metadata.name.as_ref()?.rsplit('-').next()?.parse().ok()
}
