//! `drmwatch rules` against promtool.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const TENANT: &str = "apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: acme, namespace: tv}
spec:
  displayName: ACME
  credentials: [{name: key, secretKeyRef: {name: not-here, key: key}}]
  services:
  - {name: news, stream: {url: 'https://cdn.example/news.m3u8', headers: [{name: x-key, value: '${credentials.key}'}]}}
  - {name: cinema, endpoint: {url: 'https://cdn.example/'}}
  objectives:
  - {name: up, target: 99.9%, availability: {}}
  - {name: fresh, target: 99%, window: 7d, liveEdge: {maxAgeSeconds: 30}, probes: [acme-news]}
  - {name: fast, target: 95%, latency: {of: Run, withinMilliseconds: 1000}}
";

fn rules(tenant: &str, more: &[&str]) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tenant.yaml"), tenant).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_drmwatch"))
        .arg("rules")
        .arg(folder.path().join("tenant.yaml"))
        .arg("--out")
        .arg(folder.path().join("out"))
        .args(more)
        .output()
        .unwrap();
    (folder, output)
}

fn promtool(files: &[impl AsRef<Path>]) -> bool {
    let mut command = Command::new("promtool");
    command.args(["check", "rules"]);
    command.args(files.iter().map(|f| f.as_ref()));
    match command.output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            true
        }
        Err(_) => false,
    }
}

#[test]
fn what_is_rendered_is_what_prometheus_reads() {
    for scope in ["regional", "global"] {
        let (folder, output) = rules(TENANT, &["--scope", scope, "--runbooks", "https://wiki.example/"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8(output.stdout).unwrap();
        let files: Vec<&Path> = said.lines().map(Path::new).collect();
        assert!(files.iter().any(|f| f.ends_with("tv.acme.yaml")), "{said}");
        if !promtool(&files) {
            eprintln!("SKIPPED: promtool is not installed");
        }
        let text = fs::read_to_string(folder.path().join("out/tv.acme.yaml")).unwrap();
        assert!(text.contains("runbook_url: https://wiki.example/ErrorBudgetBurn.md"));
        assert!(!text.contains("RUNBOOKS"));
        let warned = String::from_utf8(output.stderr).unwrap();
        assert!(
            warned.contains("tv/acme: caution: up: at 99.9% over 30 days one failed run"),
            "{warned}"
        );
    }
}

#[test]
fn a_mistake_writes_nothing_and_is_named() {
    for (wrong, said) in [
        (
            TENANT.replace("99.9%", "100%"),
            "tenant.yaml:11:24: spec.objectives[0].target: target must be at least 50% and below 100%",
        ),
        (
            TENANT.replace("[acme-news]", "[acme-olds]"),
            "tv/acme: objectives name probes that the tenant does not have: fresh: acme-olds",
        ),
    ] {
        let (folder, output) = rules(&wrong, &[]);
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
        assert!(!folder.path().join("out").exists());
    }
}
