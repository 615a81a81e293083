//! Results that nobody saw, for tests of what becomes of them: a probe that ran every minute, and was down for a while.

use clap::Parser;
use drmwatch_archive::keys::{Folder, Names};
use drmwatch_runs::{Kind, Record, Store};
use jiff::{SignedDuration, Timestamp};
use std::{error::Error, path::PathBuf, sync::Arc};

/// Writes made-up results of one probe to a result store, for tests: one run per minute, with one outage.
#[derive(Parser)]
#[command(name = "drmwatch-plant", version, max_term_width = 100)]
struct Options {
    /// Folder of the result store.
    #[arg(long, value_name = "FOLDER")]
    store: String,
    /// Folder with the keys of the results.
    #[arg(long, value_name = "FOLDER")]
    keys: PathBuf,
    /// Namespace of the tenant.
    #[arg(long)]
    namespace: String,
    /// Name of the tenant.
    #[arg(long)]
    tenant: String,
    /// Name of the probe.
    #[arg(long)]
    probe: String,
    /// Region of the runner.
    #[arg(long)]
    region: String,
    /// Time of the first run (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Timestamp,
    /// Number of runs, one per minute.
    #[arg(long)]
    minutes: i64,
    /// First minute of the outage, counted from 0.
    #[arg(long)]
    down_from: i64,
    /// Length of the outage, in minutes.
    #[arg(long)]
    down_minutes: i64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let names = Names::read(&options.keys)?;
    let store = Store::open(&options.store, Arc::new(Folder::new(options.keys.clone())), names)?;
    let down = options.down_from..options.down_from + options.down_minutes;
    let record = |minute: i64| {
        let fails = down.contains(&minute);
        Record {
            kind: Kind::Run,
            tenant_namespace: options.namespace.clone(),
            tenant: options.tenant.clone(),
            probe: options.probe.clone(),
            uid: format!("planted-{}", options.probe),
            generation: 1,
            region: options.region.clone(),
            runner: "planted".into(),
            shard: None,
            slot: options.since + SignedDuration::from_mins(minute),
            lag_ms: 1,
            duration_us: 40_000,
            attempt: 1,
            counts: true,
            slots: 1,
            stands_seconds: 60,
            outcome: Some(if fails { "fail" } else { "pass" }.into()),
            domain: fails.then(|| "Service".into()),
            step: fails.then(|| "get".into()),
            reason: fails.then(|| "ServerError".into()),
            message: fails.then(|| "planted".into()),
            trace_id: None,
            evidence: None,
            maintenance: None,
            steps: Vec::new(),
            bundle: None,
        }
    };
    let records: Vec<Record> = (0..options.minutes).map(record).collect();
    // A batch is written once: the next probe's is another.
    let batch = records.first().map(Record::name).unwrap_or_default();
    store.append(&batch, records).await?;
    Ok(())
}
