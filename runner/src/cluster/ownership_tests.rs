//! The table of decisions, and a model: thousands of histories of crashes, restarts, pauses, partitions, an API server
//! that is away and clocks that are wrong, over simulated time and a store that refuses stale writes as the API server does.

use super::*;

#[test]
fn a_shard_is_taken_only_when_free_and_let_go_only_when_nothing_runs() {
    use Decision::*;
    let table = [
        // held, mine, should, free
        ((false, false, true, true), Take),
        ((false, false, true, false), Keep),
        ((false, false, false, true), Keep),
        ((false, true, true, false), Begin),
        ((true, true, true, false), Keep),
        ((true, true, false, false), End),
        ((false, true, false, false), LetGo),
        ((true, false, true, false), End),
        ((true, false, true, true), Take),
        ((true, false, false, true), End),
    ];
    for ((held, mine, should, free), step) in table {
        let of = (held, mine, should, free);
        assert_eq!(decide(held, mine, should, free), step, "{of:?}");
    }
}

const SHARDS: u32 = 12;
const SECOND: u64 = 1000;

/// The API server: every write has a version.
#[derive(Default)]
struct Server {
    leases: Leases,
    versions: BTreeMap<u32, u64>,
    away: bool,
}

/// A runner as the model moves it: its steps are taken one by one, so that others come in between.
struct Runner {
    name: String,
    ownership: Ownership,
    began: u64,
    /// Its wall clock is wrong by so much, seconds.
    skew: i64,
    cut_off: bool,
    asleep: bool,
    /// Steps of its last look that are still to be taken, with the versions that it saw.
    todo: Vec<(u32, Step, u64)>,
    next: u64,
    /// When it last got through a look.
    looked: Option<u64>,
    /// Whether the look before that was just before it: who comes back after having been taken for dead may still be
    /// robbed by one who saw it dead a moment ago.
    steady: bool,
    /// Shards whose Leases were its own then, or since.
    sure: BTreeSet<u32>,
}

impl Runner {
    fn new(name: &str, server: &Server, now: u64, skew: i64) -> Runner {
        let before = server.leases.members.get(name).copied().flatten();
        Runner {
            name: name.to_owned(),
            ownership: Ownership::new(name, SHARDS, before),
            began: now,
            skew,
            cut_off: false,
            asleep: false,
            todo: Vec::new(),
            next: now,
            looked: None,
            steady: false,
            sure: BTreeSet::new(),
        }
    }

    /// One step, or the next look; its next time to move is set.
    fn act(&mut self, server: &mut Server, now: u64, delay: u64) {
        let reaches = !self.cut_off && !server.away;
        if let Some((shard, step, version)) = self.todo.pop() {
            self.next = now + delay;
            let old = self.looked.is_none_or(|at| now - at > FRESH.as_millis() as u64);
            if old && matches!(step, Step::Take(_)) {
                return;
            }
            if !reaches {
                self.todo.clear();
                return;
            }
            let current = server.versions.get(&shard).copied().unwrap_or_default();
            if current != version {
                if matches!(step, Step::Take(_)) {
                    self.ownership.refused(shard);
                }
                return;
            }
            let wall = Timestamp::from_millisecond(now as i64 + self.skew * 1000).ok();
            let identity = match step {
                Step::Take(_) => {
                    self.ownership.took(shard);
                    self.sure.insert(shard);
                    Some(self.name.clone())
                }
                _ => None,
            };
            server.leases.shards.insert(shard, Holder { identity, at: wall });
            server.versions.insert(shard, current + 1);
            return;
        }
        self.next = now + RENEW.as_millis() as u64;
        if !reaches {
            return;
        }
        let wall = Timestamp::from_millisecond(now as i64 + self.skew * 1000).ok();
        server.leases.members.insert(self.name.clone(), wall);
        let since = Duration::from_millis(now - self.began);
        let steps = self.ownership.look(&server.leases, since);
        let steady = 2 * RENEW.as_millis() as u64;
        self.steady = self.looked.is_some_and(|at| now - at <= steady);
        self.looked = Some(now);
        let own = |h: &Holder| h.identity.as_deref() == Some(&self.name);
        let shards = server.leases.shards.iter();
        self.sure = shards.filter(|(_, h)| own(h)).map(|(s, _)| *s).collect();
        let writes = |step: &Step| matches!(step, Step::Take(_) | Step::LetGo);
        self.todo = steps
            .into_iter()
            .filter(|(_, step)| writes(step))
            .map(|(shard, step)| {
                (
                    shard,
                    step,
                    server.versions.get(&shard).copied().unwrap_or_default(),
                )
            })
            .collect();
        if !self.todo.is_empty() {
            self.next = now + delay;
        }
    }

    /// It reached the API server a moment ago: it honours its Leases.
    fn honours(&self, now: u64) -> bool {
        self.looked
            .is_some_and(|at| now - at <= 2 * RENEW.as_millis() as u64)
            && self.steady
            && !self.asleep
    }
}

/// SplitMix64: a history is its seed.
struct Dice(u64);

fn pick(dice: &mut Dice, below: u64) -> u64 {
    dice.0 = dice.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = dice.0;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % below.max(1)
}

/// One history of twenty minutes; at the end all is well for a while.
fn history(seed: u64) -> (u64, u64) {
    let rng = &mut Dice(seed);
    let mut server = Server::default();
    // From some day on, so that skewed clocks stay after the epoch.
    let mut now = 1_000_000 * SECOND;
    let mut names = 0;
    let mut runners: Vec<Runner> = Vec::new();
    for _ in 0..1 + pick(rng, 4) {
        names += 1;
        runners.push(Runner::new(&format!("r{names}"), &server, now, 0));
    }
    let (storm, end) = (now + 900 * SECOND, now + 1000 * SECOND);
    let mut next_event = now + 20 * SECOND;
    let (mut longest_gap, mut takes) = (0, 0);
    // Since when each shard is without an owner, while someone could have it.
    let mut bare: BTreeMap<u32, u64> = BTreeMap::new();
    // Since when no runner, and nothing about them, has changed.
    let mut calm = now;
    while now < end {
        if now >= storm && (server.away || runners.iter().any(|r| r.cut_off || r.asleep)) {
            server.away = false;
            for runner in &mut runners {
                (runner.cut_off, runner.asleep) = (false, false);
            }
            calm = now;
        }
        if now >= next_event && now < storm {
            next_event = now + 1 + pick(rng, 40 * SECOND);
            calm = now;
            let n = pick(rng, runners.len() as u64) as usize;
            match pick(rng, 9) {
                // A node dies; sometimes its pod comes back under another name.
                0 if runners.len() > 1 => drop(runners.remove(n)),
                // The container is started anew in the same pod.
                1 => {
                    let (name, skew) = (runners[n].name.clone(), runners[n].skew);
                    runners[n] = Runner::new(&name, &server, now, skew);
                }
                2 | 3 if runners.len() < 6 => {
                    names += 1;
                    let skew = [0, 90, -90, 3600, -3600][pick(rng, 5) as usize];
                    runners.push(Runner::new(&format!("r{names}"), &server, now, skew));
                }
                4 => runners[n].cut_off ^= true,
                5 => runners[n].asleep ^= true,
                6 => server.away ^= true,
                7 => runners[n].skew += [90, -90][pick(rng, 2) as usize],
                // A runner leaves in good order.
                8 if runners.len() > 1 && !server.away && !runners[n].cut_off && !runners[n].asleep => {
                    let gone = runners.remove(n);
                    for holder in server.leases.shards.values_mut() {
                        if holder.identity.as_deref() == Some(&gone.name) {
                            holder.identity = None;
                        }
                    }
                    server.versions.values_mut().for_each(|v| *v += 1);
                    server.leases.members.remove(&gone.name);
                }
                _ => {}
            }
        }
        let mut changed = calm == now;
        for runner in &mut runners {
            if runner.next <= now && !runner.asleep {
                changed = true;
                let (before, delay) = (runner.ownership.held().len(), pick(rng, 200));
                runner.act(&mut server, now, delay);
                takes += runner.ownership.held().len().saturating_sub(before) as u64;
            }
        }
        let at = now;
        now += 50;
        if !changed {
            continue;
        }
        let now = at;
        for shard in 0..SHARDS {
            let runs = |r: &&Runner| r.ownership.held().contains(&shard);
            let honours = |r: &&Runner| r.honours(now) && r.sure.contains(&shard);
            let owners = runners.iter().filter(runs).filter(honours).count();
            assert!(
                owners <= 1,
                "seed {seed}: {owners} runners that honour their Leases run shard {shard}"
            );
            // A runner that is cut off runs on; only one that sleeps, or none, leaves a gap.
            let any = runners.iter().filter(runs).any(|r| !r.asleep);
            let could = !server.away && runners.iter().any(|r| !r.cut_off && !r.asleep);
            if let Some(since) = bare.get(&shard) {
                longest_gap = longest_gap.max(now - (*since).max(calm));
            }
            if any || !could {
                bare.remove(&shard);
            } else {
                bare.entry(shard).or_insert(now);
            }
        }
    }
    // All has been well for a hundred seconds: each shard has the owner that hashing gives it, and no other.
    let should = owners(SHARDS, runners.iter().map(|r| r.name.as_str()));
    for shard in 0..SHARDS {
        let holds = |r: &&Runner| r.ownership.held().contains(&shard);
        let found: Vec<&str> = runners.iter().filter(holds).map(|r| r.name.as_str()).collect();
        assert_eq!(found, [should[shard as usize]], "seed {seed}: shard {shard}");
    }
    (longest_gap, takes)
}

#[test]
fn at_most_one_owner_while_leases_are_honoured_and_one_soon_after() {
    let histories = std::env::var("HISTORIES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(300);
    let (mut longest, mut takes) = (0, 0);
    for seed in 0..histories {
        let (gap, took) = history(seed);
        longest = longest.max(gap);
        takes += took;
    }
    println!("{histories} histories, {takes} take-overs, longest time without an owner {longest} ms");
    // The last renewal is seen at the next look; two are missing; that is seen at a look again. The model's writes take up
    // to 200 ms each, one after the other.
    let bound = (EXPIRY + 2 * RENEW).as_millis() as u64 + u64::from(SHARDS) * 200;
    assert!(
        longest <= bound,
        "{longest} ms without an owner, at most {bound} were promised"
    );
}

#[test]
fn a_runner_that_comes_gets_its_share_and_nobody_else_takes() {
    let all = ["a", "b", "c"];
    let before = owners(SHARDS, all);
    let leases = |names: &[&str]| Leases {
        members: names.iter().map(|n| ((*n).to_owned(), None)).collect(),
        shards: (0..SHARDS)
            .map(|s| {
                let identity = Some(before[s as usize].to_owned());
                (s, Holder { identity, at: None })
            })
            .collect(),
    };
    let mut a = Ownership::new("a", SHARDS, None);
    let begun = a.look(&leases(&all), Duration::ZERO).len();
    assert_eq!((begun, a.held().len()), (4, 4));
    let steps = a.look(&leases(&["a", "b", "c", "d"]), Duration::from_secs(1));
    assert!(steps.iter().all(|(_, step)| *step == Step::End), "{steps:?}");
    assert!((1..=2).contains(&steps.len()), "{steps:?}");
}
