//! The spool: what was written is there, what was not is counted, and a store that is away loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, day, record};
use drmwatch_archive::{
    ship,
    spool::{self, Found, Limits},
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::Record;
use std::{fs, sync::atomic::Ordering};

const KEY: [u8; 32] = [7; 32];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_reaches_the_store_and_leaves_the_disk() {
    let place = Place::new(&["acme"]).await;
    let folder = place.root.join("spool");
    let (spool, shelf, found) = spool::open(&folder, &KEY, Limits::default()).unwrap();
    assert_eq!(found, Found::default());
    let second = spool::open::<Record>(&folder, &KEY, Limits::default());
    assert!(
        second
            .err()
            .unwrap()
            .to_string()
            .contains("another process has the spool open")
    );
    (0..500).for_each(|i| spool.keep(record("acme", "eu", i)));
    spool.close_segment();
    (500..700).for_each(|i| spool.keep(record("acme", "eu", i)));
    spool.close_segment();
    assert_eq!(shelf.closed().unwrap().len(), 2);
    // Nothing of it can be read on the disk.
    for path in shelf.closed().unwrap() {
        let bytes = fs::read(path).unwrap();
        assert!(!bytes.windows(4).any(|w| w == b"acme") && !bytes.windows(6).any(|w| w == b"runner"));
    }
    let round = ship::round(&shelf, &spool, &place.store).await.unwrap();
    assert_eq!((round.shipped, round.waiting, round.error), (700, 0, None));
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    assert_eq!(place.store.records(&tenant, day(0)).await.unwrap().len(), 700);
    assert!(shelf.closed().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_or_damaged_is_counted_and_the_rest_is_read() {
    let place = Place::new(&["acme"]).await;
    let folder = place.root.join("spool");
    let (spool, shelf, _) = spool::open(&folder, &KEY, Limits::default()).unwrap();
    for batch in 0..5 {
        (batch * 10..batch * 10 + 10).for_each(|i| spool.keep(record("acme", "eu", i)));
        // Frames are made of what comes together.
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    spool.close_segment();
    let path = shelf.closed().unwrap().remove(0);
    let whole = fs::read(&path).unwrap();
    assert_eq!(shelf.read(&path).unwrap().records.len(), 50);
    for cut in [1, 17, whole.len() / 2, whole.len() - 33] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let read = shelf.read(&path).unwrap();
        assert!(
            read.records.len() < 50 && read.torn > 0 && read.damaged == 0,
            "{cut}"
        );
    }
    // A flipped bit costs its frame.
    let mut bytes = whole.clone();
    bytes[32 + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let read = shelf.read(&path).unwrap();
    assert_eq!(read.records.len() as u64 + read.damaged, 50);
    assert!(read.damaged > 0);
    let round = ship::round(&shelf, &spool, &place.store).await.unwrap();
    assert_eq!((round.shipped + round.damaged, round.damaged), (50, read.damaged));
    // With another key nothing is read, and nothing is thrown away unnoticed.
    fs::write(&path, &whole).unwrap();
    drop((spool, shelf));
    let other = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        spool::open::<Record>(&folder, &[8; 32], Limits::default()).ok()
    });
    let (_, shelf, found) = other.unwrap();
    assert_eq!(found.lost, 0, "it was written; it can only not be read");
    assert_eq!(shelf.read(&path).unwrap().damaged, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_key_holds_up_nobody_else() {
    let place = Place::new(&["acme"]).await;
    let (spool, shelf, _) = spool::open(&place.root.join("spool"), &KEY, Limits::default()).unwrap();
    for i in 0..20 {
        spool.keep(record("acme", "eu", i));
        spool.keep(record("late", "eu", i));
    }
    spool.close_segment();
    for _ in 0..2 {
        let round = ship::round(&shelf, &spool, &place.store).await.unwrap();
        assert_eq!((round.keyless, round.waiting), (20, 1));
    }
    let late = place.store.tenant(&TenantKey::new("tv", "late"));
    place.store.kms().create(&late).await.unwrap();
    let round = ship::round(&shelf, &spool, &place.store).await.unwrap();
    assert_eq!((round.shipped, round.keyless, round.waiting), (20, 0, 0));
    assert_eq!(place.store.records(&late, day(0)).await.unwrap().len(), 20);
    let acme = place.store.tenant(&TenantKey::new("tv", "acme"));
    assert_eq!(place.store.records(&acme, day(0)).await.unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_loses_what_it_must_and_says_how_much() {
    let place = Place::new(&["acme"]).await;
    let limits = Limits {
        most_bytes: 20_000,
        ..Limits::default()
    };
    let (spool, shelf, _) = spool::open(&place.root.join("spool"), &KEY, limits).unwrap();
    for batch in 0..40 {
        (batch * 100..batch * 100 + 100).for_each(|i| spool.keep(record("acme", "eu", i)));
        spool.close_segment();
    }
    let lost = spool.counts().lost.load(Ordering::Relaxed);
    let bytes = spool.counts().bytes.load(Ordering::Relaxed);
    // The head of a segment is not counted against what would be lost.
    assert!(lost > 0 && bytes <= 20_000 + 32, "{lost} {bytes}");
    let round = ship::round(&shelf, &spool, &place.store).await.unwrap();
    assert_eq!(round.shipped + lost, 4000);
    // There is room again.
    (4000..4100).for_each(|i| spool.keep(record("acme", "eu", i)));
    spool.close_segment();
    assert_eq!(
        ship::round(&shelf, &spool, &place.store).await.unwrap().shipped,
        100
    );
}
