//! What is swapped, cut, changed or without its key is refused with the reason, and neighbours are read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Place, day, record};
use drmwatch_archive::{FileRef, StoreError};
use drmwatch_outcome::TenantKey;
use std::fs;

/// A store of two tenants, two files each.
async fn planted() -> Place {
    let place = Place::new(&["acme", "other"]).await;
    for tenant in ["acme", "other"] {
        for batch in ["one", "two"] {
            let first = if batch == "one" { 0 } else { 100 };
            let records = (first..first + 100).map(|i| record(tenant, "eu", i)).collect();
            place.store.append(batch, records).await.unwrap();
        }
    }
    place
}

/// Reading the first file of acme says this; everything else can be read.
async fn refused(place: &Place, why: &str) {
    let files = place.files("acme").await;
    let error = place.store.read(&files[0], None).await.unwrap_err();
    let mut said = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        (said, cause) = (format!("{said}: {next}"), next);
    }
    assert!(said.contains(why), "{said}");
    // The whole day is refused rather than told in part.
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    assert!(place.store.records(&tenant, day(0)).await.is_err());
    for file in files[1..].iter().chain(&place.files("other").await) {
        assert!(!place.store.read(file, None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_file_in_the_place_of_another_is_refused() {
    // With its key or without it, of the same tenant or of another.
    for (from, with_key) in [("acme", false), ("acme", true), ("other", false)] {
        let place = planted().await;
        let (to, from) = (
            place.files("acme").await.remove(0),
            place.files(from).await.remove(1),
        );
        place.copy(&from.path(), &to.path());
        if with_key {
            place.copy(&from.key_path(), &to.key_path());
        }
        refused(&place, "it does not open").await;
    }
    let place = planted().await;
    let (to, from) = (
        place.files("acme").await.remove(0),
        place.files("other").await.remove(0),
    );
    place.copy(&from.path(), &to.path());
    place.copy(&from.key_path(), &to.key_path());
    refused(&place, "the key beside it is malformed, or is another tenant's").await;
}

#[tokio::test]
async fn no_byte_can_be_changed_and_none_cut_off() {
    let place = planted().await;
    let file = place.files("acme").await.remove(0);
    let path = place.path(&file.path());
    let whole = fs::read(&path).unwrap();
    let right = place.store.read(&file, None).await.unwrap();
    let (mut tried, mut refusals, mut step) = (0, 0, 1);
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        // The length before a page is written twice, and read once: nothing follows from the other.
        match place.store.read(&file, None).await {
            Ok(read) => assert_eq!(read, right, "byte {at} of {}", whole.len()),
            Err(_) => refusals += 1,
        }
        tried += 1;
    }
    assert!(
        tried > 400 && refusals * 100 > tried * 95,
        "{refusals} of {tried}"
    );
    while step < whole.len() {
        fs::write(&path, &whole[..whole.len() - step]).unwrap();
        assert!(place.store.read(&file, None).await.is_err(), "{step} bytes less");
        step *= 2;
    }
    refused(&place, "it does not open").await;
    // Two columns, exchanged: each is a whole encrypted module, and bound to its place.
    fs::write(&path, &whole).unwrap();
    assert!(place.store.read(&file, None).await.is_ok());
}

#[tokio::test]
async fn a_key_that_is_missing_wrong_or_forged_opens_nothing() {
    let place = planted().await;
    let file: FileRef = place.files("acme").await.remove(0);
    let beside = place.path(&file.key_path());
    let text = fs::read_to_string(&beside).unwrap();
    fs::remove_file(&beside).unwrap();
    refused(&place, "its key is not beside it").await;
    fs::write(&beside, "{}").unwrap();
    refused(&place, "the key beside it is malformed").await;
    // Claims to be wrapped by a version that never was.
    fs::write(&beside, text.replace(".v1", ".v2")).unwrap();
    refused(&place, ".v2 is not here").await;
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    place.store.kms().create(&tenant).await.unwrap();
    refused(&place, "it was wrapped by another key, or was tampered with").await;
    // A wrapped key of another file opens another file.
    let other = fs::read(place.path(&place.files("acme").await[1].key_path())).unwrap();
    fs::write(&beside, other).unwrap();
    refused(&place, "it does not open").await;
    fs::write(&beside, &text).unwrap();
    assert!(place.store.records(&tenant, day(0)).await.is_ok());
    // Another key under the same name, and none.
    let kek = place.keys.join(format!("{tenant}.v1"));
    let right = fs::read(&kek).unwrap();
    fs::write(&kek, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let error = place.store.records(&tenant, day(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Key(_)), "{error}");
    fs::remove_file(&kek).unwrap();
    let error = place.store.records(&tenant, day(0)).await.unwrap_err();
    assert!(error.to_string().contains("is not here"), "{error}");
    assert_eq!(
        place
            .store
            .records(&place.store.tenant(&TenantKey::new("tv", "other")), day(0))
            .await
            .unwrap()
            .len(),
        200
    );
    fs::write(&kek, right).unwrap();
    // A rotation: both versions open what they wrapped, then the old one is not needed.
    assert_eq!(place.store.rewrap(&tenant).await.unwrap(), 2);
    fs::remove_file(&kek).unwrap();
    assert_eq!(place.store.records(&tenant, day(0)).await.unwrap().len(), 200);
    assert_eq!(place.store.rewrap(&tenant).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_written_twice_counts_once_and_small_files_become_one() {
    let place = planted().await;
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    let before = place.store.records(&tenant, day(0)).await.unwrap();
    for _ in 0..2 {
        place
            .store
            .append("one", (0..100).map(|i| record("acme", "eu", i)).collect())
            .await
            .unwrap();
    }
    place
        .store
        .append("again", (50..150).map(|i| record("acme", "eu", i)).collect())
        .await
        .unwrap();
    assert_eq!(place.files("acme").await.len(), 3);
    assert_eq!(place.store.records(&tenant, day(0)).await.unwrap(), before);
    assert_eq!(
        drmwatch_runs::keep::compact(&place.store, &tenant, day(0), 9)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        drmwatch_runs::keep::compact(&place.store, &tenant, day(0), 2)
            .await
            .unwrap(),
        3
    );
    assert_eq!(place.files("acme").await.len(), 1);
    assert_eq!(place.store.records(&tenant, day(0)).await.unwrap(), before);
    // Evidence lies apart, under the name of its run, and goes before the records.
    let mut failed = record("acme", "us", 4);
    failed.bundle = Some("{\"planted\":true}".into());
    place
        .store
        .append("evidence", vec![failed.clone()])
        .await
        .unwrap();
    let kept = place.store.records(&tenant, day(0)).await.unwrap();
    let kept = kept.iter().find(|r| r.region == "us").unwrap();
    assert_eq!(
        (kept.evidence.clone(), kept.bundle.clone()),
        (Some(failed.name()), None)
    );
    let show = async |run: &str| place.store.evidence(&tenant, day(0), run).await.unwrap();
    assert_eq!(
        (show(&failed.name()).await, show("0b").await),
        (failed.bundle.clone(), None)
    );
    // What is older than it is kept goes, its key too.
    let keep = drmwatch_runs::keep::Retention::default();
    let later = |days: i64| day(0).saturating_add(jiff::Span::new().days(days));
    assert_eq!(
        drmwatch_runs::keep::expire(&place.store, &tenant, keep, later(7))
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        drmwatch_runs::keep::expire(&place.store, &tenant, keep, later(35))
            .await
            .unwrap(),
        1
    );
    assert!(show(&failed.name()).await.is_none());
    assert_eq!(
        drmwatch_runs::keep::expire(&place.store, &tenant, keep, later(36))
            .await
            .unwrap(),
        2
    );
    assert_eq!(place.objects(&tenant), 0);
}

#[tokio::test]
async fn what_was_made_stays_when_what_it_was_made_of_is_kept_no_longer() {
    use drmwatch_runs::{
        consolidate::{self, Consolidator, Settings},
        keep::{Retention, expire},
        sla::Level,
    };
    let place = Place::new(&["acme"]).await;
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    // Three days in Berlin touch four of UTC.
    let records = (0..3 * 1440).map(|i| record("acme", "eu", i)).collect();
    place.store.append("all", records).await.unwrap();
    let settings = |again| Settings {
        zone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
        zone_name: "Europe/Berlin".into(),
        again,
        ..Settings::default()
    };
    let at = |days: i64| jiff::Timestamp::from_second(common::START + days * 86_400).unwrap();
    let made = async |again, now: i64| {
        let consolidator = Consolidator::new(&place.store, tenant.clone(), settings(again), at(now));
        consolidator.run(day(0), day(3), |_| {}).await.unwrap()
    };
    let read = async || {
        consolidate::read(&place.store, &tenant, Level::Day, day(0), day(3))
            .await
            .unwrap()
    };
    assert!(made(false, 6).await.written > 0);
    let before = read().await;
    assert!(before.iter().all(|p| p.fixed) && before.len() == 3);
    // Something that comes after the grace is kept, told, and changes nothing; unless it is asked for.
    let late = (0..30).map(|i| record("acme", "us", i)).collect();
    place.store.append("late", late).await.unwrap();
    assert_eq!(made(false, 7).await.late, 1);
    assert!(read().await == before);
    assert!(made(true, 7).await.written > 0);
    let after = read().await;
    assert!(after != before);
    // Records go, then some of the quarters that a day is made of.
    let keep = Retention {
        evidence: 5,
        raw: 5,
        hours: 8,
        days: 1000,
    };
    assert!(expire(&place.store, &tenant, keep, day(10)).await.unwrap() > 0);
    for again in [false, true] {
        made(again, 10).await;
        // A month of spans is no message.
        assert!(read().await == after, "{again}");
    }
    // A version of the tenant's key is destroyed while somebody died between key and file.
    let orphan = FileRef {
        tenant: tenant.clone(),
        folder: format!("raw/{}", day(20)),
        name: "orphan".into(),
        size: 0,
    };
    let batch = || {
        (20 * 1440..20 * 1440 + 9)
            .map(|i| record("acme", "eu", i))
            .collect()
    };
    place.store.append("orphan", batch()).await.unwrap();
    fs::remove_file(place.path(&orphan.path())).unwrap();
    place.store.kms().create(&tenant).await.unwrap();
    place.store.rewrap(&tenant).await.unwrap();
    fs::remove_file(place.keys.join(format!("{tenant}.v1"))).unwrap();
    place.store.append("orphan", batch()).await.unwrap();
    assert_eq!(place.store.records(&tenant, day(20)).await.unwrap().len(), 9);
}

/// A store of schema version 1, as it was written when that was made: it stays readable.
#[tokio::test]
async fn the_first_version_of_the_schema_stays_readable() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema-1");
    if std::env::var_os("UPDATE").is_some() && !folder.exists() {
        let place = Place::at(&folder, &["acme"]).await;
        place
            .store
            .append("kept", (0..20).map(|i| record("acme", "eu", i)).collect())
            .await
            .unwrap();
    }
    let place = Place::open(&folder);
    let records = place
        .store
        .records(&place.store.tenant(&TenantKey::new("tv", "acme")), day(0))
        .await
        .unwrap();
    let expected: Vec<_> = (0..20).map(|i| record("acme", "eu", i)).collect();
    assert_eq!(records, expected);
}
