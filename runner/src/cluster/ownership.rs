//! Who works on which shard: what follows from what the Leases say. Pure: the clocks are arguments.
//!
//! Every runner keeps one member Lease alive. Each computes for itself, by rendezvous hashing over the
//! live members, who should own each shard; a shard's own Lease says who does, and changes hands only
//! when its holder has let go or has died. So a voluntary hand-over leaves no gap, a crash is taken
//! over once two renewals of the member Lease are missing, and two runners that disagree for a moment
//! run a slot twice rather than not at all.

use drmwatch_plan::owners;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often Leases are renewed and looked at.
pub const RENEW: Duration = Duration::from_secs(2);
/// A member whose Lease has stood still for this long is dead: two renewals are missing, and some more. It is measured by
/// our own clock, while we could look: clocks of nodes differ, and an API server that was away has killed nobody.
pub const EXPIRY: Duration = Duration::from_secs(5);
/// What was seen at a look is acted upon for this long: who was dead then may be back.
pub const FRESH: Duration = Duration::from_secs(1);
/// A member whose Lease has stood still for this long will not come back: pods have new names.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// Between two looks that are further apart than that we were blind.
const BLIND: Duration = Duration::from_secs(3);

/// What the Leases say.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// When each member last renewed its Lease, by its own clock.
    pub members: BTreeMap<String, Option<Timestamp>>,
    /// Who holds each shard.
    pub shards: BTreeMap<u32, Holder>,
}

/// What a shard's Lease says.
#[derive(Debug, Clone, Default)]
pub struct Holder {
    /// Who holds it, if anyone does.
    pub identity: Option<String>,
    /// When it changed hands, or was let go.
    pub at: Option<Timestamp>,
}

/// What to do about one shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The Lease is ours from before: begin to work. Nobody did since then, if that is known.
    Begin(Option<Timestamp>),
    /// Nobody who lives has it, and it should be ours: write our name into its Lease, and begin to work if nobody was
    /// faster.
    Take(Option<Timestamp>),
    /// It is another's now, or should be: end the work.
    End,
    /// Nothing of it runs here any more: let the Lease go.
    LetGo,
}

/// What one runner knows.
pub struct Ownership {
    identity: String,
    shards: u32,
    /// Shards that run here.
    held: BTreeSet<u32>,
    /// Renew time last seen of each member, and when we saw it change, since our beginning.
    seen: BTreeMap<String, (Option<Timestamp>, Duration)>,
    looked: Duration,
    /// Who lived at the last look, and which shards should then be ours.
    should: (BTreeSet<String>, BTreeSet<u32>),
    /// When a runner of our name was last alive, before us.
    before: Option<Timestamp>,
}

impl Ownership {
    /// Of a runner that holds nothing yet.
    pub fn new(identity: &str, shards: u32, before: Option<Timestamp>) -> Ownership {
        Ownership {
            identity: identity.to_owned(),
            shards,
            held: BTreeSet::new(),
            seen: BTreeMap::new(),
            looked: Duration::ZERO,
            should: Default::default(),
            before,
        }
    }

    /// What to do after a look at the Leases, `now` after our beginning. [`Ownership::took`] tells how a take ended; the
    /// other steps are counted as done.
    pub fn look(&mut self, leases: &Leases, now: Duration) -> Vec<(u32, Step)> {
        let live = self.live(leases, now);
        if self.should.0 != live {
            let owners = owners(self.shards, live.iter().map(String::as_str))
                .into_iter()
                .zip(0..);
            let ours = owners
                .filter(|(owner, _)| *owner == self.identity)
                .map(|(_, shard)| shard);
            self.should = (live.clone(), ours.collect());
        }
        let mut steps = Vec::new();
        let nobody = Holder::default();
        for shard in 0..self.shards {
            let lease = leases.shards.get(&shard).unwrap_or(&nobody);
            let holder = lease.identity.as_deref();
            let mine = holder == Some(self.identity.as_str());
            let should = self.should.1.contains(&shard);
            let free = holder.is_none_or(|h| !live.contains(h));
            let since = || match holder {
                None => lease.at,
                Some(dead) => leases.members.get(dead).copied().flatten(),
            };
            let step = match decide(self.held.contains(&shard), mine, should, free) {
                Decision::Keep => continue,
                Decision::Begin => Step::Begin(self.before),
                Decision::Take => Step::Take(since()),
                // What runs is ended first; the Lease is let go after the next look, when nothing is held.
                Decision::End => Step::End,
                Decision::LetGo => Step::LetGo,
            };
            match step {
                Step::Begin(_) => drop(self.held.insert(shard)),
                Step::End => drop(self.held.remove(&shard)),
                Step::Take(_) | Step::LetGo => {}
            }
            steps.push((shard, step));
        }
        steps
    }

    /// Our name is in the shard's Lease. Whether the work is to begin: it may have run on while we were cut off.
    pub fn took(&mut self, shard: u32) -> bool {
        self.held.insert(shard)
    }

    /// Someone was faster. Whether the shard runs here nevertheless, and must end: it was ours before we were cut off, and
    /// ran on until we knew.
    pub fn refused(&mut self, shard: u32) -> bool {
        self.held.remove(&shard)
    }

    /// Members that have been dead for long: their Leases may go.
    pub fn forgotten(&self, now: Duration) -> Vec<&str> {
        let old = |at: &Duration| now.saturating_sub(*at) > FORGOTTEN;
        let found = self
            .seen
            .iter()
            .filter(|(identity, (_, at))| old(at) && **identity != self.identity);
        found.map(|(identity, _)| identity.as_str()).collect()
    }

    /// Shards that run here.
    pub fn held(&self) -> &BTreeSet<u32> {
        &self.held
    }

    /// Identities of the members that live.
    fn live(&mut self, leases: &Leases, now: Duration) -> BTreeSet<String> {
        // While we could not look, nobody else could be seen to renew.
        let blind = now.saturating_sub(self.looked);
        if blind > BLIND {
            self.seen.values_mut().for_each(|(_, at)| *at += blind);
        }
        self.looked = now;
        self.seen
            .retain(|identity, _| leases.members.contains_key(identity));
        for (identity, renewed) in &leases.members {
            let entry = self.seen.entry(identity.clone()).or_insert((*renewed, now));
            if entry.0 != *renewed {
                *entry = (*renewed, now);
            }
        }
        let alive = |(identity, (_, at)): (&String, &(Option<Timestamp>, Duration))| {
            (*identity == self.identity || now.saturating_sub(*at) < EXPIRY).then(|| identity.clone())
        };
        self.seen.iter().filter_map(alive).collect()
    }
}

#[derive(Debug, PartialEq)]
enum Decision {
    Keep,
    Begin,
    Take,
    End,
    LetGo,
}

/// What we run (`held`), what the Lease says (`mine`, `free`), what hashing says (`should`).
fn decide(held: bool, mine: bool, should: bool, free: bool) -> Decision {
    match (held, mine, should) {
        (true, true, true) => Decision::Keep,
        (true, true, false) => Decision::End,
        // Someone took it while we were away.
        (true, false, _) if !free => Decision::End,
        (true, false, true) => Decision::Take,
        (true, false, false) => Decision::End,
        (false, true, true) => Decision::Begin,
        (false, true, false) => Decision::LetGo,
        (false, false, true) if free => Decision::Take,
        (false, false, _) => Decision::Keep,
    }
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
