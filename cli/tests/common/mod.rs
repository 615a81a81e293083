//! What tests of the CLI share: a store with records in it, and the program itself.
#![allow(dead_code)]

pub mod server;

use drmwatch_archive::keys::{Folder, Names};
use drmwatch_runs::{Kind, Record, Store};
use jiff::Timestamp;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

/// Chance that is the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

pub fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drmwatch"))
        .args(args)
        .output()
        .unwrap()
}

pub fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// It ends with 2, and says so.
pub fn refused(args: &[&str], why: &str) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(said.contains(why), "{args:?}: {said}");
}

pub fn store(place: &Path) -> Store {
    let keys = place.join("keys");
    let names = Names::read(&keys).unwrap();
    Store::open(
        place.join("store").to_str().unwrap(),
        Arc::new(Folder::new(keys)),
        names,
    )
    .unwrap()
}

pub fn second(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

/// What is the same for many records.
#[derive(Clone)]
pub struct Of<'a> {
    pub tenant: &'a str,
    pub probe: &'a str,
    pub region: &'a str,
    pub interval: i64,
}

pub fn record(of: &Of<'_>, slot: i64, dice: &mut Dice) -> Record {
    let micros = 20_000 + dice.roll(80_000) + if dice.roll(100) == 0 { 900_000 } else { 0 };
    Record {
        kind: Kind::Run,
        tenant_namespace: "tv".into(),
        tenant: of.tenant.into(),
        probe: of.probe.into(),
        uid: format!("uid-{}", of.probe),
        generation: 1,
        region: of.region.into(),
        runner: format!("runner-{}", dice.roll(2)),
        shard: Some(3),
        slot: Timestamp::from_second(slot).unwrap(),
        lag_ms: dice.roll(20) as i64,
        duration_us: micros,
        attempt: 1,
        counts: true,
        slots: 1,
        stands_seconds: of.interval as u32,
        outcome: Some("pass".into()),
        domain: None,
        step: None,
        reason: None,
        message: None,
        trace_id: None,
        evidence: None,
        maintenance: None,
        steps: Vec::new(),
        bundle: None,
    }
}

pub fn fail(record: &mut Record, reason: &str) {
    record.outcome = Some("fail".into());
    record.reason = Some(reason.into());
    record.step = Some("manifest".into());
    record.domain = Some("Network".into());
    record.message = Some(format!("planted plaintext {reason}"));
}

pub fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path))
        } else {
            files.push(path)
        }
    }
    files
}
