//! A month of results: how fast it is written, how large it is, how long a report takes from records and from days.
//!
//! RESULTS_TENANTS (50) tenants of twenty probes in three regions, once a minute, for RESULTS_DAYS (30). Prints lines
//! `name value unit`. The folder is RESULTS_FOLDER, or one that is deleted at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use drmwatch_archive::keys::{Folder, Kms, Names};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{
    Kind, Record, StepRecord, Store,
    consolidate::{self, Consolidator, Settings},
    sla::{Level, Policy, figures},
};
use jiff::{Timestamp, ToSpan, civil::date, tz::TimeZone};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

const REGIONS: [&str; 3] = ["ap-south", "eu-central", "us-east"];
const PROBES: u64 = 20;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

/// The same bits for the same run.
fn noise(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 31)
}

/// A day of a tenant. `steps`: with what a step found.
fn day(tenant: u64, start: i64, steps: bool) -> Vec<Record> {
    let mut records = Vec::with_capacity((PROBES * 3 * 1440) as usize);
    for probe in 0..PROBES {
        for (r, region) in REGIONS.iter().enumerate() {
            let phase = (noise(tenant * 100 + probe) % 60_000) as i64;
            for minute in 0..1440 {
                let slot = start * 1000 + minute * 60_000 + phase;
                let bits = noise(slot as u64 ^ (probe << 50) ^ ((r as u64) << 40));
                // Latencies as they are: a body and a tail.
                let micros = 35_000 + bits % 16_384 + if bits >> 58 == 0 { 400_000 } else { 0 };
                let failed = (bits >> 20).is_multiple_of(2000);
                let some = |text: &str| failed.then(|| text.to_owned());
                records.push(Record {
                    kind: Kind::Run,
                    tenant_namespace: "tv".into(),
                    tenant: format!("tenant-{tenant}"),
                    probe: format!("tenant-{tenant}-service-{probe}"),
                    uid: format!("6f1d9a52-0000-4000-8000-{:012}", tenant * 100 + probe),
                    generation: 1,
                    region: (*region).into(),
                    runner: format!("drmwatch-runner-default-7c9d-{}", (probe + r as u64) % 3),
                    shard: Some((probe % 16) as u32),
                    slot: Timestamp::from_millisecond(slot).unwrap(),
                    lag_ms: (bits >> 40) as i64 % 4,
                    duration_us: micros,
                    attempt: 1,
                    counts: true,
                    slots: 1,
                    stands_seconds: 60,
                    outcome: Some(if failed { "fail" } else { "pass" }.into()),
                    domain: some("Network"),
                    step: some("manifest"),
                    reason: some("Timeout"),
                    message: some("no answer within 5 s"),
                    trace_id: failed.then(|| format!("{bits:032x}")),
                    evidence: None,
                    maintenance: None,
                    steps: if steps { vec![step(bits)] } else { Vec::new() },
                    bundle: None,
                });
            }
        }
    }
    records
}

fn step(bits: u64) -> StepRecord {
    StepRecord {
        name: "manifest".into(),
        kind: "http".into(),
        outcome: "pass".into(),
        duration_us: 34_000 + bits % 16_384,
        dns_us: Some(300 + bits % 512),
        connect_us: Some(9000 + (bits >> 9) % 2048),
        tls_us: Some(12_000 + (bits >> 20) % 4096),
        request_us: Some(20 + (bits >> 32) % 32),
        first_byte_us: Some(11_000 + (bits >> 37) % 8192),
        transfer_us: Some(200 + (bits >> 50) % 512),
        status: Some(200),
        bytes: 1843,
        requests: 1,
        address: Some("192.0.2.7:443".into()),
        ..StepRecord::default()
    }
}

/// CPU time of the process.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// The most memory that it ever had. MiB.
fn peak() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn size(folder: &Path, what: &str) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes += size(&path, what);
        } else if path.to_string_lossy().contains(what) {
            bytes += entry.metadata().unwrap().len();
        }
    }
    bytes
}

fn say(name: &str, value: f64, unit: &str) {
    println!("{name} {value:.2} {unit}");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (tenants, days) = (number("RESULTS_TENANTS", 50), number("RESULTS_DAYS", 30) as i64);
    let own = std::env::var_os("RESULTS_FOLDER").map(PathBuf::from);
    let made = own.is_none().then(|| tempfile::tempdir().unwrap());
    let root = own.unwrap_or_else(|| made.as_ref().unwrap().path().to_owned());
    let keys = root.join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    let names = Names::read_or_make(&keys).unwrap();
    let store = Store::open(
        root.join("store").to_str().unwrap(),
        Arc::new(Folder::new(keys.clone())),
        names.clone(),
    )
    .unwrap();
    let first = date(2026, 10, 1);
    let start = first.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
    let ids: Vec<_> = (0..tenants)
        .map(|t| names.tenant(&TenantKey::new("tv", format!("tenant-{t}"))))
        .collect();
    for id in &ids {
        Folder::new(keys.clone()).create(id).await.unwrap();
    }
    // One core: what a runner does with what it has gathered.
    let probe = store.tenant(&TenantKey::new("tv", "tenant-0"));
    let (mut spent, mut rows) = (0.0, 0);
    for (turn, steps) in [false, true].into_iter().cycle().take(6).enumerate() {
        let records = day(0, start + 86_400 * 400, steps);
        let count = records.len() as u64;
        let before = cpu();
        store.append(&format!("bench-{turn}"), records).await.unwrap();
        if steps {
            (spent, rows) = (spent + cpu() - before, rows + count);
        }
        let files = store.list(&probe, "raw").await.unwrap();
        if turn < 2 {
            let name = if steps {
                "bytes_per_row_with_a_step"
            } else {
                "bytes_per_row_fixed_columns"
            };
            say(name, files[0].size as f64 / count as f64, "B");
        }
        for file in files {
            store.delete(&file).await.unwrap();
        }
    }
    say(
        "rows_encrypted_per_second_and_core",
        rows as f64 / spent,
        "rows/s",
    );
    // The month, by two.
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..2 {
        let store = store.clone();
        tasks.spawn(async move {
            for tenant in (part..tenants).step_by(2) {
                for n in 0..days {
                    store
                        .append("day", day(tenant, start + n * 86_400, false))
                        .await
                        .unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    let rows = tenants * PROBES * 3 * 1440 * days as u64;
    say("rows", rows as f64, "");
    say("written_in", began.elapsed().as_secs_f64(), "s");
    say(
        "records",
        size(&root.join("store"), "/raw/") as f64 / (1 << 20) as f64,
        "MiB",
    );
    // From records, by two.
    let settings = Settings::default();
    let now = Timestamp::from_second(start + (days + 3) * 86_400).unwrap();
    let to = first.saturating_add(days.days());
    let (began, before) = (Instant::now(), cpu());
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..2 {
        let (store, settings) = (store.clone(), settings.clone());
        let own: Vec<_> = ids.iter().skip(part).step_by(2).cloned().collect();
        tasks.spawn(async move {
            for id in own {
                Consolidator::new(&store, id, settings.clone(), now)
                    .run(first, to, |_| {})
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    let raw: Duration = began.elapsed();
    say("consolidated_in", raw.as_secs_f64(), "s");
    say("consolidated_with", cpu() - before, "CPU s");
    say(
        "day_rollups",
        size(&root.join("store"), "/1d/") as f64 / (1 << 20) as f64,
        "MiB",
    );
    // From days.
    let (began, before) = (Instant::now(), cpu());
    let (mut good, mut counted, mut incidents) = (0, 0, 0);
    for id in &ids {
        let periods = consolidate::read(&store, id, Level::Day, first, to)
            .await
            .unwrap();
        for rollup in periods
            .iter()
            .flat_map(|p| &p.rollups)
            .filter(|r| r.region.is_none())
        {
            let of = figures(rollup.start, &rollup.spans, &Policy::default(), &TimeZone::UTC);
            (good, counted, incidents) = (
                good + of.good,
                counted + of.counted,
                incidents + of.incidents.len(),
            );
        }
    }
    say("reported_from_days_in", began.elapsed().as_secs_f64(), "s");
    say("reported_from_days_with", cpu() - before, "CPU s");
    say("availability", good as f64 * 100.0 / counted as f64, "%");
    say("incidents", incidents as f64, "");
    say("peak_memory", peak() as f64, "MiB");
}
