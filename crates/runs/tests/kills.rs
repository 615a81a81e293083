//! kill −9 at random points of whoever writes, ships, compacts, rotates and consolidates: nothing that was acknowledged is
//! lost, nothing doubled, no file unreadable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use common::{Place, START, day, record};
use drmwatch_archive::{
    ship,
    spool::{self, Limits},
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{
    consolidate::{self, Consolidator, Settings},
    keep,
    sla::Level,
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

const KEY: [u8; 32] = [7; 32];
/// Records of a probe: one a minute, all of one day.
const MOST: i64 = 1400;

fn of(n: i64) -> drmwatch_runs::Record {
    let mut record = record("acme", "eu", n % MOST);
    (record.probe, record.uid) = (format!("probe-{}", n / MOST), format!("uid-{}", n / MOST));
    record
}

fn kills() -> u64 {
    std::env::var("KILLS").map_or(120, |n| n.parse().unwrap())
}

fn child(role: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env("KILLED_AS", role)
        .env("KILLED_IN", folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test: what is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_a_child() {
    let Some(role) = std::env::var_os("KILLED_AS") else {
        return;
    };
    let folder = std::path::PathBuf::from(std::env::var_os("KILLED_IN").unwrap());
    let place = Place::open(&folder);
    match role.to_str().unwrap() {
        "writer" => write(&folder, &place).await,
        _ => tidy(&place).await,
    }
}

fn number(path: &Path) -> i64 {
    fs::read_to_string(path)
        .ok()
        .and_then(|t| t.parse().ok())
        .unwrap_or(0)
}

/// Keeps records, says which are on the disk, and ships.
async fn write(folder: &Path, place: &Place) {
    let (begun, marks) = (folder.join("begun"), folder.join("acknowledged"));
    let limits = Limits {
        close_after: Duration::from_millis(30),
        ..Limits::default()
    };
    let (spool, shelf, found) = loop {
        // The one before may still be dying.
        match spool::open(&folder.join("spool"), &KEY, limits.clone()) {
            Ok(opened) => break opened,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    assert_eq!(found.torn, 0, "a frame is written in one piece");
    let mut next = number(&begun);
    loop {
        let batch = next..next + 7;
        next += 7;
        // Whole or not at all.
        fs::write(begun.with_extension("new"), next.to_string()).unwrap();
        fs::rename(begun.with_extension("new"), &begun).unwrap();
        batch.for_each(|n| spool.keep(of(n)));
        spool.close_segment();
        fs::write(marks.join(next.to_string()), "").unwrap();
        ship::round(&shelf, &spool, &place.store).await.unwrap();
    }
}

fn settings() -> Settings {
    Settings {
        grace: SignedDuration::from_hours(1000),
        ..Settings::default()
    }
}

fn later() -> Timestamp {
    Timestamp::from_second(START + 86_400 * 3).unwrap()
}

/// Compacts, rotates, consolidates.
async fn tidy(place: &Place) {
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    for turn in 0.. {
        keep::compact(&place.store, &tenant, day(0), 3).await.unwrap();
        if turn % 3 == 0 {
            place.store.kms().create(&tenant).await.unwrap();
        }
        place.store.rewrap(&tenant).await.unwrap();
        let consolidator = Consolidator::new(&place.store, tenant.clone(), settings(), later());
        consolidator.run(day(0), day(1), |_| {}).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_and_nothing_doubled() {
    if std::env::var_os("KILLED_AS").is_some() {
        return;
    }
    let place = Place::new(&["acme"]).await;
    let folder = place.root.parent().unwrap().to_owned();
    fs::create_dir(folder.join("acknowledged")).unwrap();
    let mut chance = 88_172_645_463_325_252u64;
    let marks = folder.join("acknowledged");
    let mut killed = 0;
    for round in 0.. {
        // On a slow machine most die before they have done anything.
        let enough = fs::read_dir(&marks).unwrap().count() > 50;
        if round >= kills() && enough || round >= 20 * kills() {
            break;
        }
        killed = round + 1;
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        // They work side by side, now and then one alone.
        let roles: &[&str] = match round % 4 {
            0 => &["tidy"],
            1 => &["writer"],
            _ => &["writer", "tidy"],
        };
        let mut children: Vec<Child> = roles.iter().map(|role| child(role, &folder)).collect();
        std::thread::sleep(Duration::from_micros(15_000 + chance % 120_000));
        for child in &mut children {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{roles:?} ended by itself: {status}");
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    // What waits is shipped by who comes next.
    let (spool, shelf, found) = spool::open(&folder.join("spool"), &KEY, Limits::default()).unwrap();
    assert_eq!(found.torn, 0);
    ship::round(&shelf, &spool, &place.store).await.unwrap();
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    for file in place.store.list(&tenant, "").await.unwrap() {
        place.store.read(&file, None).await.unwrap();
    }
    let records = place.store.records(&tenant, day(0)).await.unwrap();
    let number_of = |r: &drmwatch_runs::Record| {
        let probe: i64 = r.probe.strip_prefix("probe-").unwrap().parse().unwrap();
        probe * MOST + (r.slot.as_second() - START) / 60
    };
    let slots: Vec<i64> = records.iter().map(number_of).collect();
    let there: BTreeSet<i64> = slots.iter().copied().collect();
    assert_eq!(there.len(), slots.len(), "each once");
    // Every batch that was acknowledged is there, whole.
    let mut acknowledged = 0;
    for mark in fs::read_dir(folder.join("acknowledged")).unwrap() {
        let end: i64 = mark.unwrap().file_name().to_str().unwrap().parse().unwrap();
        for n in end - 7..end {
            assert!(there.contains(&n), "{n} was acknowledged, and is not there");
            acknowledged += 1;
        }
    }
    let begun = number(&folder.join("begun"));
    println!(
        "{killed} kills, {begun} records begun, {acknowledged} acknowledged, {} in the store",
        there.len()
    );
    assert!(acknowledged > 100, "{acknowledged}");
    for record in &records {
        assert_eq!(*record, of(number_of(record)));
    }
    // Roll-ups made under fire are those that are made in peace.
    let consolidator = Consolidator::new(&place.store, tenant.clone(), settings(), later());
    consolidator.run(day(0), day(1), |_| {}).await.unwrap();
    let made = consolidate::read(&place.store, &tenant, Level::Day, day(0), day(1))
        .await
        .unwrap();
    let peace = Place::new(&["acme"]).await;
    peace.store.append("all", records).await.unwrap();
    let calm = peace.store.tenant(&TenantKey::new("tv", "acme"));
    let consolidator = Consolidator::new(&peace.store, calm.clone(), settings(), later());
    consolidator.run(day(0), day(1), |_| {}).await.unwrap();
    let expected = consolidate::read(&peace.store, &calm, Level::Day, day(0), day(1))
        .await
        .unwrap();
    assert_eq!(made[0].rollups, expected[0].rollups);
}
