//! `kill -9` at each await point of the flow: before and after each request is carried out at Zendesk, and at any instant in
//! between (the disk's). However often it dies, each incident has one ticket, and that says what it should.

use crate::harness::{Bridge, Group, Place};
use drmwatch_testkit::zendesk::Moment;
use drmwatch_tickets::{Incident, Notification, Settings};
use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What kills the bridge of the moment.
type Killer = Arc<Mutex<Option<Box<dyn Fn() + Send + Sync>>>>;

/// Lives in which it is killed at known moments.
const ROUNDS: usize = 60;
/// How often it is killed at random instants.
const WANTED: usize = 200;

/// Sends until it is accepted, as Alertmanager does, starting the bridge anew where it died.
fn deliver(place: &Place, bridge: &mut Bridge, arm: &dyn Fn(&Bridge), group: &Group) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if bridge.dead() {
            *bridge = place.bridge("store");
            arm(bridge);
        }
        match bridge.send(group) {
            Some(200) => return,
            other => assert!(Instant::now() < deadline, "not accepted: {other:?}"),
        }
    }
}

/// Waits until the ticket says what a group does.
fn settle(place: &Place, bridge: &mut Bridge, arm: &dyn Fn(&Bridge), group: &Group, status: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let body = group.body().to_string();
    let notification = Notification::parse(body.as_bytes(), "tv", &group.tenant).unwrap();
    let incident = Incident::new(
        String::new(),
        ("", ""),
        Settings::default(),
        notification,
        Timestamp::UNIX_EPOCH,
    );
    let wanted = format!("drmwatch-state-{}-", incident.state());
    loop {
        if bridge.dead() {
            *bridge = place.bridge("store");
            arm(bridge);
        }
        let tickets = place.tickets(&group.subject());
        assert!(tickets.len() <= 1, "doubled: {tickets:#?}");
        if tickets
            .iter()
            .any(|t| t["status"] == status && t["tags"].to_string().contains(&wanted))
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "lost: {} is not {status}: {tickets:#?}\n{}",
            group.subject(),
            bridge.log.lock().unwrap()
        );
        thread::sleep(Duration::from_millis(2));
    }
}

/// A life of an incident: fires, more of it fires, over, fires again, over.
fn life(place: &Place, bridge: &mut Bridge, arm: &dyn Fn(&Bridge), name: &str) {
    let one = Group::new(name);
    let steps = [
        (one.clone(), "new"),
        (one.with(&[("eu", true, 0), ("us", true, 2)]), "new"),
        (one.with(&[("eu", false, 0), ("us", false, 2)]), "solved"),
        (one.with(&[("eu", true, 30)]), "open"),
        (one.with(&[("eu", false, 30)]), "solved"),
    ];
    for (group, status) in steps {
        deliver(place, bridge, arm, &group);
        settle(place, bridge, arm, &group, status);
    }
    let ticket = &place.tickets(&one.subject())[0];
    let said: Vec<&str> = ticket["comments"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["body"].as_str())
        .collect();
    assert_eq!(said.len(), 5, "each is said once: {said:#?}");
}

#[test]
fn killed_before_and_after_every_request_it_neither_loses_nor_doubles() {
    let place = Place::new();
    let kills = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        // In how many moments it is killed next; what it does after a restart shifts the count, so all are met.
        let left = Arc::new(AtomicI64::new(round as i64 % 24));
        let killer = Killer::default();
        let (hooked, counted, dead) = (killer.clone(), left.clone(), kills.clone());
        place.world.zendesk.hook(move |_: Moment| {
            if counted.fetch_sub(1, Ordering::SeqCst) == 0
                && let Some(kill) = &*hooked.lock().unwrap()
            {
                kill();
                dead.fetch_add(1, Ordering::SeqCst);
                // And again, until the round has seen enough.
                counted.store(7, Ordering::SeqCst);
            }
        });
        let arm = |bridge: &Bridge| *killer.lock().unwrap() = Some(Box::new(bridge.killer()));
        let mut bridge = place.bridge("store");
        arm(&bridge);
        life(&place, &mut bridge, &arm, &format!("moment{round}"));
        *killer.lock().unwrap() = None;
    }
    let kills = kills.load(Ordering::SeqCst);
    println!("killed {kills} times in {ROUNDS} rounds");
    assert!(kills > 3 * ROUNDS, "{kills}");
}

#[test]
fn killed_at_any_instant_it_neither_loses_nor_doubles() {
    let place = Place::new();
    let mut chance = SmallRng::seed_from_u64(7);
    let (mut kills, mut round) = (0, 0);
    // A quick machine is hit less often in a round.
    while kills < WANTED {
        round += 1;
        assert!(round < 20 * ROUNDS, "{kills} in {round} rounds");
        let mut bridge = place.bridge("store");
        let name = format!("instant{round}");
        let done = Arc::new(AtomicUsize::new(0));
        let killer = Killer::default();
        let waits: Vec<u64> = (0..5).map(|_| chance.random_range(0..25_000)).collect();
        let assassin = {
            let (done, killer) = (done.clone(), killer.clone());
            thread::spawn(move || {
                let mut killed = 0;
                for micros in waits {
                    thread::sleep(Duration::from_micros(micros));
                    if done.load(Ordering::SeqCst) == 0
                        && let Some(kill) = killer.lock().unwrap().take()
                    {
                        kill();
                        killed += 1;
                    }
                }
                killed
            })
        };
        let arm = |bridge: &Bridge| *killer.lock().unwrap() = Some(Box::new(bridge.killer()));
        arm(&bridge);
        life(&place, &mut bridge, &arm, &name);
        done.store(1, Ordering::SeqCst);
        kills += assassin.join().unwrap();
    }
    println!("killed {kills} times in {round} rounds");
}
