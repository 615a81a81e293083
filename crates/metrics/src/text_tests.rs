//! The judges are prometheus-client's own encoder and promtool.

use super::*;
use crate::*;
use drmwatch_outcome::ProbeId;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text::encode},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use std::collections::{BTreeSet, HashMap};

fn owner(probe: &str) -> Owner {
    let id = ProbeId {
        namespace: "n".into(),
        tenant: "t".into(),
        probe: probe.into(),
    };
    Owner::probe(&id, "eu")
}

fn filled() -> Metrics {
    let metrics = Metrics::default();
    for probe in ["a", "b"] {
        metrics.add(&PROBE_RUNS, &owner(probe), &["pass"], 2);
        metrics.set(&PROBE_SUCCESS, &owner(probe), &[], 1.0);
        metrics.observe(&PROBE_DURATION, &owner(probe), &[], 0.003);
        metrics.observe(&PROBE_DURATION, &owner(probe), &[], 100.0);
        metrics.observe(&STEP_DURATION, &owner(probe), &["s"], 0.25);
        metrics.set(&LAST_RUN, &owner(probe), &[], 1_795_000_000.123);
    }
    metrics.set(
        &PROBE_FAILURE_INFO,
        &owner("a"),
        &["s\\\"\n", "Timeout", "503"],
        1.0,
    );
    metrics.add(&RECONCILES, &Owner::program(), &["DrmProbe"], 1);
    metrics.set(&LEADER, &Owner::program(), &["eu"], 0.0);
    metrics.observe(&SLOT_LAG, &Owner::program(), &[], 0.1);
    metrics
}

fn text(metrics: &Metrics, accept: &str) -> String {
    render(metrics, accept).0.collect()
}

fn samples(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The same store, as that library writes it.
#[derive(Debug)]
struct Theirs(Metrics);

fn pairs(text: &str) -> Vec<(String, String)> {
    let pattern = regex::Regex::new(r#"(\w+)="((?:[^"\\]|\\.)*)""#).unwrap();
    let plain = |v: &str| {
        v.replace("\\\\", "\u{0}")
            .replace("\\\"", "\"")
            .replace("\\n", "\n")
            .replace('\u{0}', "\\")
    };
    let found = pattern.captures_iter(text);
    found.map(|c| (c[1].to_owned(), plain(&c[2]))).collect()
}

impl Collector for Theirs {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let store = self.0.lock();
        for metric in CATALOGUE {
            let (name, kind) = match metric.kind {
                Kind::Counter => (metric.name.trim_end_matches("_total"), MetricType::Counter),
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Histogram(_) => (metric.name, MetricType::Histogram),
                // It has no summaries.
                Kind::Summary => continue,
            };
            if store.owners.values().all(|s| s.of(metric.id).is_empty()) {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, metric.help.trim(), None, kind)?;
            for (owner, series) in &store.owners {
                for entry in series.of(metric.id) {
                    let mut labels = pairs(&owner.0);
                    labels.extend(pairs(store.texts.get(entry.labels)));
                    let mut one = family.encode_family(&labels)?;
                    match metric.kind {
                        Kind::Counter => one.encode_counter::<NoLabelSet, u64, u64>(&entry.value, None)?,
                        Kind::Gauge => one.encode_gauge(&f64::from_bits(entry.value))?,
                        Kind::Histogram(bounds) => {
                            let found = &series.distributions[entry.value as usize];
                            let bounds = bounds.iter().copied().chain([f64::MAX]);
                            let buckets: Vec<_> = bounds.zip(found.buckets.iter().copied()).collect();
                            let none: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
                            let count = found.buckets.iter().sum();
                            one.encode_histogram(found.sum, count, &buckets, none)?;
                        }
                        Kind::Summary => {}
                    }
                }
            }
        }
        Ok(())
    }
}

#[test]
fn the_official_library_writes_the_same() {
    let metrics = filled();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Theirs(metrics.clone())));
    let mut theirs = String::new();
    encode(&mut theirs, &registry).unwrap();
    let ours = text(&metrics, "application/openmetrics-text;version=1.0.0");
    // It counts what lies beyond the last bound under the greatest number there is, and has an order of its own.
    let theirs = theirs.replace("{}", "").replace("1.7976931348623157e308", "+Inf");
    let heads = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|l| l.starts_with('#') && !l.contains("step_duration"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(heads(&ours), heads(&theirs));
    let sorted = |text: &str| -> BTreeSet<String> {
        let lines = text
            .lines()
            .filter(|l| !l.starts_with('#') && !l.contains("step_duration"));
        let one = |line: &str| {
            let (name, rest) = line.split_once(['{', ' ']).unwrap();
            let labels: BTreeSet<_> = pairs(rest).into_iter().collect();
            format!("{name} {labels:?} {}", line.rsplit(' ').next().unwrap())
        };
        lines.map(one).collect()
    };
    assert_eq!(sorted(&ours), sorted(&theirs));
}

#[test]
fn both_formats_have_the_same_samples() {
    let metrics = filled();
    let (openmetrics, plain) = (
        text(&metrics, "application/openmetrics-text;version=1.0.0"),
        text(&metrics, "*/*"),
    );
    assert_eq!(samples(&openmetrics), samples(&plain));
    assert!(openmetrics.ends_with("# EOF\n") && !plain.contains("# EOF"));
    for line in [
        "# TYPE drmwatch_probe_runs_total counter",
        "# TYPE drmwatch_step_duration_seconds summary",
        r#"drmwatch_step_duration_seconds_sum{tenant_namespace="n",tenant="t",probe="a",region="eu",step="s"} 0.25"#,
        r#"drmwatch_step_duration_seconds_count{tenant_namespace="n",tenant="t",probe="a",region="eu",step="s"} 1"#,
        "drmwatch_operator_leader{region=\"eu\"} 0.0",
    ] {
        assert!(plain.lines().any(|l| l == line), "{line}\n{plain}");
    }
    assert!(openmetrics.contains("# TYPE drmwatch_probe_runs counter\n"));
}

#[test]
fn pieces_make_up_the_whole_and_writing_goes_on_meanwhile() {
    let metrics = Metrics::default();
    for n in 0..3000 {
        metrics.add(&PROBE_RUNS, &owner(&format!("p{n:04}")), &["pass"], 1);
        metrics.observe(&PROBE_DURATION, &owner(&format!("p{n:04}")), &[], 0.01);
    }
    let (pieces, mut whole, mut count) = (render(&metrics, "").0, String::new(), 0);
    for piece in pieces {
        assert!(piece.len() < PIECE + (8 << 10), "{}", piece.len());
        whole += &piece;
        count += 1;
        metrics.add(&PROBE_RUNS, &owner("p0000"), &["fail"], 1);
        metrics.forget(&owner(&format!("p{:04}", 2999 - count)));
    }
    assert!(count > 20, "{count}");
    let lines: Vec<&str> = whole.lines().filter(|l| !l.starts_with('#')).collect();
    let distinct: BTreeSet<&&str> = lines.iter().collect();
    assert_eq!(lines.len(), distinct.len(), "a sample is there twice");
    assert_eq!(whole.matches("# TYPE").count(), 2);
    assert!(whole.matches("drmwatch_probe_runs_total{").count() > 2900);
}

#[test]
fn series_vanish_with_their_probe_and_so_do_their_labels() {
    let metrics = filled();
    metrics.forget(&owner("a"));
    let text = text(&metrics, "");
    assert!(!text.contains(r#"probe="a""#) && text.contains(r#"probe="b""#));
    assert!(!text.contains("Timeout") && metrics.value(&PROBE_RUNS, &owner("a"), &["pass"]).is_none());
    // The place of a label that nobody has any more is taken by the next.
    let before = format!("{:?}", metrics.lock().texts).len();
    for n in 0..1000 {
        let label = format!("step{:04}", n);
        metrics.replace(
            &PROBE_FAILURE_INFO,
            &owner("b"),
            Some((&[&label, "Timeout", ""], 1.0)),
        );
    }
    metrics.replace(&PROBE_FAILURE_INFO, &owner("b"), None);
    assert!(format!("{:?}", metrics.lock().texts).len() < before + 200);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let text = text(&filled(), "");
    let Ok(mut promtool) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        eprintln!("SKIPPED: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{text}"
    );
}
