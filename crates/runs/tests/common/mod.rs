//! A store in a folder, and records for it.
#![allow(dead_code)]

pub mod moto;

use drmwatch_archive::{
    FileRef,
    keys::{Folder, Kms, Names, TenantId},
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{Kind, Record, StepRecord, Store};
use jiff::{Timestamp, civil::Date};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The first second of the planted records: 2026-10-01T00:00:00Z.
pub const START: i64 = 1_790_812_800;

/// A day of theirs.
pub fn day(number: i64) -> Date {
    drmwatch_archive::day_of(START + number * 86_400)
}

/// The record of a slot: one a minute, each fifth fails.
pub fn record(tenant: &str, region: &str, number: i64) -> Record {
    let failed = number % 5 == 4;
    let some = |text: &str| failed.then(|| text.to_owned());
    Record {
        kind: Kind::Run,
        tenant_namespace: "tv".into(),
        tenant: tenant.into(),
        probe: format!("{tenant}-live"),
        uid: "0b9c".into(),
        generation: 3,
        region: region.into(),
        runner: "runner-0".into(),
        shard: Some(1),
        slot: Timestamp::from_second(START + number * 60).unwrap(),
        lag_ms: number % 7,
        duration_us: 20_000 + number as u64 * 13 % 9000,
        attempt: 1,
        counts: true,
        slots: 1,
        stands_seconds: 60,
        outcome: Some(if failed { "fail" } else { "pass" }.into()),
        domain: some("Network"),
        step: some("manifest"),
        reason: some("Timeout"),
        message: some("planted: no answer within 5 s"),
        trace_id: some("4bf92f3577b34da6a3ce929d0e0e4736"),
        evidence: None,
        maintenance: (number % 11 == 0).then(|| "upgrade".into()),
        steps: vec![StepRecord {
            name: "manifest".into(),
            kind: "http".into(),
            outcome: "pass".into(),
            duration_us: 19_000,
            dns_us: Some(900),
            tls_us: (number % 2 == 0).then_some(4000),
            status: Some(200),
            bytes: 1234,
            requests: 1,
            address: Some("192.0.2.7:443".into()),
            certificate_not_after: Some(Timestamp::from_second(START + 90 * 86_400).unwrap()),
            ..StepRecord::default()
        }],
        bundle: None,
    }
}

/// A store in a folder, with keys in another.
pub struct Place {
    _folder: Option<tempfile::TempDir>,
    pub root: PathBuf,
    pub keys: PathBuf,
    pub store: Store,
}

impl Place {
    /// With a key for each of these tenants of `tv`.
    pub async fn new(tenants: &[&str]) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::at(folder.path(), tenants).await;
        place._folder = Some(folder);
        place
    }

    /// In this folder.
    pub async fn at(folder: &Path, tenants: &[&str]) -> Place {
        let keys = folder.join("keys");
        fs::create_dir_all(&keys).unwrap();
        let names = Names::read_or_make(&keys).unwrap();
        for tenant in tenants {
            Folder::new(keys.clone())
                .create(&names.tenant(&TenantKey::new("tv", *tenant)))
                .await
                .unwrap();
        }
        Place::open(folder)
    }

    /// What is in this folder.
    pub fn open(folder: &Path) -> Place {
        let (root, keys) = (folder.join("store"), folder.join("keys"));
        let store = Store::open(
            root.to_str().unwrap(),
            Arc::new(Folder::new(keys.clone())),
            Names::read(&keys).unwrap(),
        );
        Place {
            _folder: None,
            store: store.unwrap(),
            root,
            keys,
        }
    }

    /// Files of records of a tenant.
    pub async fn files(&self, tenant: &str) -> Vec<FileRef> {
        self.store
            .list(&self.store.tenant(&TenantKey::new("tv", tenant)), "raw")
            .await
            .unwrap()
    }

    /// Where an object lies.
    pub fn path(&self, path: &object_store::path::Path) -> PathBuf {
        self.root.join(path.as_ref())
    }

    pub fn copy(&self, from: &object_store::path::Path, to: &object_store::path::Path) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    /// How many objects of a tenant there are, of whatever kind.
    pub fn objects(&self, tenant: &TenantId) -> usize {
        fn count(folder: &Path) -> usize {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 })
                .sum()
        }
        count(&self.root.join("v1").join(tenant.as_str()))
    }
}
