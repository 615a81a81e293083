//! A folder of YAML, without a cluster.

use crate::{options::Options, results::Recorder, scheduler::Scheduler, sink::Sink, table};
use drmwatch_api::EgressPolicy;
use drmwatch_folder::{Folder, Stage};
use drmwatch_metrics::{MAINTENANCE, Metrics, Owner, PROBE_INFO, RUNNER_INFO, record_reasons};
use drmwatch_plan::Plan;
use drmwatch_probe::Engine;
use drmwatch_program::{Health, asked_to_stop, note, say};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

/// How often the folder is looked at.
const RELOAD: Duration = Duration::from_secs(1);
/// How long a stop waits for what runs.
const GRACE: Duration = Duration::from_secs(10);

fn egress(options: &Options) -> EgressPolicy {
    EgressPolicy {
        allow_cidrs: options.allow_cidrs.clone(),
    }
}

/// `1 file`, `2 files`.
fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// `--check`: prints every mistake; succeeds if there is none.
pub fn check(path: &Path, options: &Options) -> ExitCode {
    match drmwatch_folder::read(path, &options.region, &egress(options), drmwatch_program::now()) {
        Ok(folder) if folder.mistakes.is_empty() => {
            say!(
                "{}, {}, no mistakes",
                counted(folder.files, "file"),
                counted(folder.plans.len(), "probe")
            );
            ExitCode::SUCCESS
        }
        Ok(folder) => {
            folder.mistakes.iter().for_each(|m| say!("{m}"));
            say!(
                "{}, {}",
                counted(folder.files, "file"),
                counted(folder.mistakes.len(), "mistake")
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            note!("{}: {error}", path.display());
            ExitCode::from(crate::OUR_ERROR)
        }
    }
}

/// Runs a folder until it is asked to stop. Files may change meanwhile; a file with a mistake leaves
/// what runs as it is, and says so.
pub async fn run(path: &Path, options: &Options, engine: Arc<Engine>) -> Result<(), Box<dyn Error>> {
    let metrics = Metrics::default();
    metrics.set(
        &RUNNER_INFO,
        &Owner::program(),
        &[env!("CARGO_PKG_VERSION"), &options.region, "standalone"],
        1.0,
    );
    record_reasons(&metrics);
    let (mut sink, mut transitions) = Sink::new(metrics.clone(), options.evidence.clone(), options.table);
    sink.recorder = Recorder::open(options, None, &metrics)?;
    // Nobody keeps a status here: transitions are in the log.
    tokio::spawn(async move { while transitions.recv().await.is_some() {} });
    let mut scheduler = Scheduler::new(engine, sink.clone(), options.max_runs as usize);
    let load = scheduler.load();
    tokio::spawn(load.clone().watch(metrics.clone(), |_| {}));
    let health = Health::new(move || load.wedged());
    let mut stamp = (drmwatch_folder::stamp(path)?, BTreeSet::new());
    let first = drmwatch_folder::read(path, &options.region, &egress(options), drmwatch_program::now())?;
    if first.plans.is_empty() && !first.mistakes.is_empty() {
        first.mistakes.iter().for_each(|m| error!("{m}"));
        return Err("no probe in the folder can run".into());
    }
    let address = drmwatch_program::serve(options.listen, metrics.clone(), health.clone()).await?;
    info!(metrics = %format!("http://{address}/metrics"), "standalone");
    let mut known = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut windows = first.windows.clone();
    stamp.1 = drmwatch_folder::open(&windows, drmwatch_program::now());
    apply(first, &mut scheduler, &metrics, &mut known, &mut told);
    health.set_ready(true);
    let mut screen = options.table.then(table::Table::new);
    let mut looked = Instant::now();
    let stop = asked_to_stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = sleep(Duration::from_millis(250)) => {}
        }
        if looked.elapsed() >= RELOAD {
            let now = drmwatch_program::now();
            let read = drmwatch_folder::stamp(path).and_then(|files| {
                // A window that opens or ends changes what the same files mean.
                if (files, drmwatch_folder::open(&windows, now)) == stamp {
                    return Ok(());
                }
                let folder = drmwatch_folder::read(path, &options.region, &egress(options), now)?;
                windows.clone_from(&folder.windows);
                stamp = (files, drmwatch_folder::open(&windows, now));
                apply(folder, &mut scheduler, &metrics, &mut known, &mut told);
                Ok(())
            });
            if let Err(error) = read {
                error!(folder = %path.display(), %error, "the folder can't be read; what runs goes on");
            }
            looked = Instant::now();
        }
        if let Some(table) = &mut screen
            && let Err(error) = table.draw(&sink.rows(), &address)
        {
            // Probes matter more than who looks at them.
            warn!(%error, "the table can't be written; probing goes on without it");
            screen = None;
        }
    }
    health.set_ready(false);
    scheduler.shut_down(GRACE).await;
    sink.recorder.close().await;
    Ok(())
}

/// Brings the scheduler to what the folder holds now.
fn apply(
    folder: Folder,
    scheduler: &mut Scheduler,
    metrics: &Metrics,
    known: &mut BTreeMap<String, Owner>,
    told: &mut BTreeSet<String>,
) {
    let mistakes: BTreeSet<String> = folder.mistakes.iter().map(ToString::to_string).collect();
    mistakes.difference(told).for_each(|m| error!("{m}"));
    let whole = folder.mistakes.iter().all(|m| m.stage == Stage::Reference);
    *told = mistakes;
    let mut present = BTreeSet::new();
    for (plan, secrets) in folder.plans {
        present.insert(plan.uid.clone());
        let fingerprint = fingerprint(&plan, &secrets);
        let owner = Owner::probe(&plan.id, &plan.region);
        let interval = plan.longest_gap(drmwatch_program::now());
        let expected = (!plan.suspend).then_some((["Resident", "", "standalone"], interval));
        let effects = folder.effects.get(&plan.uid);
        let labels: Vec<[&str; 2]> = effects
            .into_iter()
            .flatten()
            .map(|(effect, window)| [effect.as_str(), window])
            .collect();
        known.insert(plan.uid.clone(), owner.clone());
        scheduler.upsert(plan, secrets, fingerprint, None);
        metrics.replace(
            &PROBE_INFO,
            &owner,
            expected.as_ref().map(|(labels, seconds)| (labels, *seconds)),
        );
        metrics.replace_all(&MAINTENANCE, &owner, &labels);
    }
    // A mistake must not silently stop a probe: only a folder without any says that one is gone.
    if whole {
        known.retain(|uid, owner| {
            let keep = present.contains(uid);
            if !keep {
                metrics.forget(owner);
                scheduler.remove(uid, true);
            }
            keep
        });
    }
}

/// Changes whenever plan or secrets do. Not when a maintenance window excludes it from the SLA: what runs is the same.
pub fn fingerprint(plan: &Plan, secrets: &drmwatch_plan::Secrets) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let text = match plan.excluded_by.is_empty() {
        true => serde_json::to_string(plan),
        false => serde_json::to_string(&Plan {
            excluded_by: Vec::new(),
            ..plan.clone()
        }),
    };
    text.unwrap_or_default().hash(&mut hasher);
    secrets.values().for_each(|v| v.hash(&mut hasher));
    hasher.finish()
}
