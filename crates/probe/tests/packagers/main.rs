//! Live streams of packagers and servers that are not ours, in real time: ffmpeg's HLS, DASH, Smooth and HDS,
//! gohlslib's low-latency HLS, and nginx in front of them as a CDN, `secure_link` included. No check may fail,
//! of whatever severity, but those that say what is true of a packager (`KNOWN`).
//!
//! Needs ffmpeg, nginx and gohlslib's origin (`make packagers` installs and builds them and sets
//! `GOHLSLIB`); without them it says that it is skipped. `SOAK_SECONDS` makes it longer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod stage;

use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant};
use drmwatch_net::Resolver;
use drmwatch_outcome::{CheckStatus, Outcome};
use drmwatch_plan::{Secrets, compile};
use drmwatch_probe::{Engine, Prepared, ProbeState, clock};
use stage::{SECRET, Stage};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// What is true of a packager and no false alarm: stream, check, why.
const KNOWN: &[(&str, &str, &str)] = &[(
    "gohlslib LL-HLS",
    "C07",
    "it answers a range request with everything",
)];

fn prepare(engine: &Engine, url: &str, options: &str) -> Prepared {
    let tenant = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: n}\nspec:\n  displayName: T\n  credentials: [{name: cdn, secretKeyRef: {name: s, key: k}}]";
    let comma = if options.is_empty() { "" } else { ", " };
    let probe = format!(
        "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: p, namespace: n}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 60}}\n  timeoutSeconds: 30\n  steps:\n  - name: s\n    stream: {{url: \"{url}\", live: true{comma}{options}}}"
    );
    let tenant: MonitoredTenant = serde_saphyr::from_str(tenant).unwrap();
    let probe: DrmProbe = serde_saphyr::from_str(&probe).unwrap_or_else(|e| panic!("{e}\n{probe}"));
    let egress = EgressPolicy {
        allow_cidrs: vec!["127.0.0.0/8".into()],
    };
    let plan = compile(&tenant, &probe, "test", &egress).unwrap_or_else(|e| panic!("{e:?}"));
    let mut secrets = Secrets::default();
    secrets.insert("cdn", SECRET);
    Prepared::new(plan, secrets, engine.resolver()).unwrap()
}

fn failed(outcome: &Outcome) -> BTreeMap<String, String> {
    let facts = outcome.steps[0].facts.stream.as_ref();
    let checks = facts.into_iter().flat_map(|f| &f.checks);
    let mut found: BTreeMap<String, String> = checks
        .filter(|c| c.status == CheckStatus::Fail)
        .map(|c| (c.check.clone(), c.detail.clone()))
        .collect();
    if found.is_empty() && outcome.verdict.to_string() != "Pass" {
        found.insert(outcome.verdict.to_string(), outcome.message.clone());
    }
    found
}

/// Encoders that stop are told by the live edge alone, under its own name, in every format; and when they go on
/// the streams are well again.
async fn stop(engine: &Engine, stage: &Stage) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut probes: Vec<_> = stage
        .urls()
        .into_iter()
        .filter(|(name, _)| name.starts_with("ffmpeg"))
        .map(|(name, url)| (name, prepare(engine, &url, ""), ProbeState::default()))
        .collect();
    for (name, prepared, state) in &mut probes {
        let found = failed(&engine.run(prepared, state).await);
        if !found.is_empty() {
            wrong.push(format!("{name} before the stop: {found:?}"));
        }
    }
    stage.encoders("-STOP");
    let until = Instant::now() + Duration::from_secs(60);
    for (name, prepared, state) in &mut probes {
        let expected = if name.contains("HLS") { "L01" } else { "L19" };
        // Nothing but the live edge, and nothing before that has stood for long enough.
        loop {
            let found = failed(&engine.run(prepared, state).await);
            if found.keys().eq([expected]) {
                break;
            }
            if !found.is_empty() || Instant::now() > until {
                wrong.push(format!("{name} stopped: {expected} expected: {found:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    stage.encoders("-CONT");
    let until = Instant::now() + Duration::from_secs(60);
    for (name, prepared, state) in &mut probes {
        loop {
            let found = failed(&engine.run(prepared, state).await);
            if found.is_empty() {
                break;
            }
            if Instant::now() > until {
                wrong.push(format!("{name} goes on: {found:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    wrong
}

/// What is published to nginx-rtmp appears as HLS; what is not published does not.
async fn ingest(engine: &Engine, mut stage: Stage) -> Option<String> {
    let url = stage.url("ingest/channel.m3u8");
    let early = prepare(engine, &url, "appearsWithinSeconds: 3");
    let outcome = engine.run(&early, &mut ProbeState::default()).await;
    if outcome.verdict.to_string() != "Fail(NotFound)"
        || !outcome.message.contains("did not appear within 3 s")
    {
        return Some(format!(
            "nothing was published: {} {}",
            outcome.verdict, outcome.message
        ));
    }
    stage.publish();
    let patient = prepare(engine, &url, "appearsWithinSeconds: 25");
    let outcome = engine.run(&patient, &mut ProbeState::default()).await;
    let appeared = outcome.steps[0]
        .facts
        .stream
        .as_ref()
        .and_then(|f| f.appeared_seconds);
    println!("nginx-rtmp: {} after {appeared:?} s", outcome.verdict);
    match (outcome.verdict.to_string().as_str(), appeared) {
        ("Pass", Some(seconds)) if seconds > 0.0 => None,
        _ => Some(format!(
            "published: {} after {appeared:?} s: {}",
            outcome.verdict, outcome.message
        )),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_packagers_raise_no_alarm_and_a_real_secure_link_is_proven() {
    let Some(stage) = Stage::start() else { return };
    stage.ready(Duration::from_secs(60)).await;
    let engine = Engine::new(Resolver::system().unwrap(), clock::system);
    let seconds = std::env::var("SOAK_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(30);
    let until = Instant::now() + Duration::from_secs(seconds);
    let probes = stage.urls().into_iter().map(|(name, url)| {
        let prepared = prepare(&engine, &url, "");
        let engine = &engine;
        async move {
            let mut state = ProbeState::default();
            let (mut runs, mut found) = (0, BTreeMap::<String, (usize, String)>::new());
            while runs < 3 || Instant::now() < until {
                let outcome = engine.run(&prepared, &mut state).await;
                runs += 1;
                for (check, detail) in failed(&outcome) {
                    found.entry(check).or_insert((0, detail)).0 += 1;
                }
                // Out of step with the segments.
                tokio::time::sleep(Duration::from_millis(4700)).await;
            }
            (name, runs, found)
        }
    });
    let results = futures::future::join_all(probes).await;
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, runs, found) in results {
        println!("{name}: {runs} runs, {} checks failed", found.len());
        for (check, (times, detail)) in found {
            match KNOWN.iter().find(|k| k.0 == name && k.1 == check) {
                Some(known) => drop(seen.insert((known.0, known.1))),
                None => wrong.push(format!("{name}: {check} in {times} of {runs} runs: {detail}")),
            }
        }
    }
    wrong.extend(stop(&engine, &stage).await);
    // The same files behind nginx's own secure_link, and behind one that leaves segments open.
    let token = "token: {nginxSecureLink: {secretCredential: cdn}, deny: {}}";
    let guarded = prepare(&engine, &stage.url("secure/hls/master.m3u8"), token);
    let outcome = engine.run(&guarded, &mut ProbeState::default()).await;
    let facts = outcome.steps[0].facts.stream.as_ref().unwrap();
    for check in ["C12", "C13"] {
        let result = facts.checks.iter().find(|c| c.check == check).unwrap();
        if result.status != CheckStatus::Ok {
            wrong.push(format!(
                "secure_link: {check} is {:?}: {}",
                result.status, result.detail
            ));
        }
    }
    let leaky = prepare(&engine, &stage.url("leaky/hls/master.m3u8"), token);
    let outcome = engine.run(&leaky, &mut ProbeState::default()).await;
    if outcome.verdict.to_string() != "Fail(TokenLeak)" {
        wrong.push(format!("open segments: {} {}", outcome.verdict, outcome.message));
    }
    let open = prepare(&engine, &stage.url("secure/hls/master.m3u8"), "");
    let outcome = engine.run(&open, &mut ProbeState::default()).await;
    if outcome.verdict.to_string() != "Fail(AccessDenied)" {
        wrong.push(format!(
            "without a token: {} {}",
            outcome.verdict, outcome.message
        ));
    }
    wrong.extend(ingest(&engine, stage).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stale: Vec<_> = KNOWN.iter().filter(|k| !seen.contains(&(k.0, k.1))).collect();
    assert!(stale.is_empty(), "no longer true: {stale:?}");
}
