//! Who works on which shard: what follows from what the Leases say. Pure: the clocks are arguments.
//!
//! Every runner keeps one member Lease alive. Each computes for itself, by rendezvous hashing over the
//! live members, who should own each shard; a shard's own Lease says who does, and changes hands only
//! when its holder has let go or has died. A crash is taken over once two renewals of the member Lease
//! are missing, and two runners that disagree for a moment run a slot twice rather than not at all.
//!
//! A voluntary hand-over has three parts. The holder lets what runs end, begins nothing more, leaves what
//! the probes remember, and lets the Lease go: it *offers* the shard, and keeps its plans. Another takes
//! the Lease, reads the plans, and says so: it is *ready*. Only then does the first forget. Should the API
//! server go away, or nobody take what is offered, the first goes on with it.

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
/// What was offered for so long, while nobody began to work on it, is gone on with.
const OFFER: Duration = Duration::from_secs(10);
/// Between two looks that are further apart than that we were blind.
const BLIND: Duration = Duration::from_secs(3);

/// What the Leases say.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    /// When each member last renewed its Lease, by its own clock.
    pub members: BTreeMap<String, Option<Timestamp>>,
    /// Until when all that was due has ended, as each member said when it renewed.
    pub settled: BTreeMap<String, Timestamp>,
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
    /// Its holder has the plans, and works.
    pub ready: bool,
}

/// What to do about one shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The Lease is ours from before: begin to work. Nobody did since then, if that is known.
    Begin(Option<Timestamp>),
    /// Nobody who lives has it, and it should be ours: write our name into its Lease, and begin to work if nobody was
    /// faster.
    Take(Option<Timestamp>),
    /// It should be another's: let what runs end, then let the Lease go.
    Offer,
    /// What was offered is ours after all: go on.
    GoOn,
    /// Another works on it: forget it.
    End,
}

/// What a runner does with a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hold {
    Runs,
    /// Nothing of it runs, but it could go on. Since when.
    Offered(Duration),
}

/// What one runner knows.
pub struct Ownership {
    identity: String,
    shards: u32,
    held: BTreeMap<u32, Hold>,
    /// Renew time last seen of each member, and when we saw it change, since our beginning.
    seen: BTreeMap<String, (Option<Timestamp>, Duration)>,
    looked: Duration,
    /// Who lived at the last look, and which shards should then be ours.
    should: (BTreeSet<String>, BTreeSet<u32>),
    /// Until when what was due had ended, when a runner of our name was last alive, before us.
    before: Option<Timestamp>,
}

impl Ownership {
    /// Of a runner that holds nothing yet.
    pub fn new(identity: &str, shards: u32, before: Option<Timestamp>) -> Ownership {
        Ownership {
            identity: identity.to_owned(),
            shards,
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            looked: Duration::ZERO,
            should: Default::default(),
            before,
        }
    }

    /// What to do after a look at the Leases, `now` after our beginning. [`Ownership::took`] tells how a take ended,
    /// [`Ownership::go_on`] that an offer could not be made; the other steps are counted as done.
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
            let whose = match lease.identity.as_deref() {
                Some(holder) if holder == self.identity => Whose::Ours,
                Some(holder) if live.contains(holder) && lease.ready => Whose::Others,
                Some(holder) if live.contains(holder) => Whose::Coming,
                _ => Whose::Nobodys,
            };
            let since = match lease.identity.as_deref() {
                None => lease.at,
                Some(dead) => leases.settled.get(dead).copied(),
            };
            let should = self.should.1.contains(&shard);
            let tired = |at: &Hold| matches!(at, Hold::Offered(at) if now.saturating_sub(*at) > OFFER);
            let held = self.held.get(&shard);
            let step = match decide(held.copied(), whose, should) {
                None if held.is_some_and(tired) => Step::GoOn,
                None => continue,
                Some(Decision::Begin) => Step::Begin(self.before),
                Some(Decision::Take) => Step::Take(since),
                Some(Decision::Offer) => Step::Offer,
                Some(Decision::GoOn) => Step::GoOn,
                Some(Decision::End) => Step::End,
            };
            match step {
                Step::Begin(_) | Step::GoOn => drop(self.held.insert(shard, Hold::Runs)),
                Step::Offer => drop(self.held.insert(shard, Hold::Offered(now))),
                Step::End => drop(self.held.remove(&shard)),
                Step::Take(_) => {}
            }
            steps.push((shard, step));
        }
        steps
    }

    /// Our name is in the shard's Lease. Whether it is something to begin or to go on with: it may have run on while we were
    /// cut off.
    pub fn took(&mut self, shard: u32) -> Took {
        match self.held.insert(shard, Hold::Runs) {
            None => Took::New,
            Some(_) => Took::Held,
        }
    }

    /// This shard runs here, whatever its Lease says: it was in the cache, or could not be let go.
    pub fn go_on(&mut self, shard: u32) {
        self.held.insert(shard, Hold::Runs);
    }

    /// The Leases can't be read: what was offered is nobody's until they can. Shards to go on with.
    pub fn blind(&mut self) -> Vec<u32> {
        let offered = self.held.iter_mut().filter(|(_, hold)| **hold != Hold::Runs);
        offered
            .map(|(shard, hold)| {
                *hold = Hold::Runs;
                *shard
            })
            .collect()
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

    /// Whether the shard runs here.
    #[cfg(test)]
    fn runs(&self, shard: u32) -> bool {
        self.held.get(&shard) == Some(&Hold::Runs)
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

/// What a shard was before our name was written into its Lease.
#[derive(Debug, PartialEq)]
pub enum Took {
    /// It was not ours.
    New,
    /// We had offered it, or it ran here all the time.
    Held,
}

/// What a shard's Lease says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Whose {
    Ours,
    /// A live runner's that has its plans.
    Others,
    /// A live runner's that does not work on it yet.
    Coming,
    Nobodys,
}

#[derive(Debug, PartialEq)]
enum Decision {
    Begin,
    Take,
    Offer,
    GoOn,
    End,
}

/// What we do with a shard, what its Lease says, what hashing says.
fn decide(held: Option<Hold>, whose: Whose, should: bool) -> Option<Decision> {
    match (held, whose, should) {
        // A container that was started anew, even where the shard should be another's: it is handed over like any other.
        (None, Whose::Ours, _) => Some(Decision::Begin),
        (None | Some(_), Whose::Nobodys, true) => Some(Decision::Take),
        (None, ..) => None,
        (Some(Hold::Runs), Whose::Ours, false) => Some(Decision::Offer),
        // The write that let it go has failed, and we were told otherwise.
        (Some(Hold::Offered(_)), Whose::Ours, _) => Some(Decision::GoOn),
        // It was taken while we were away, or as it was meant to be.
        (Some(_), Whose::Others, _) => Some(Decision::End),
        // Who should have it will take it; until then it runs, or could.
        (Some(_), Whose::Coming | Whose::Nobodys, _) => None,
        (Some(Hold::Runs), Whose::Ours, true) => None,
    }
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
