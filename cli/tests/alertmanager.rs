//! `drmwatch alertmanager`, judged by Debian's amtool.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

const TENANTS: &str = r##"apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: acme, namespace: tv}
spec:
  displayName: ACME
  alerting:
    slack: {channel: "#acme", webhookSecretRef: {name: slack, key: url}}
    zendesk: {organizationId: 360001, tags: [gold]}
    muteTimes:
    - {name: night, weekdays: [Monday], from: "00:00", to: "05:00"}
    - {name: change, from: "23:00", to: "24:00", severities: [Page, Ticket]}
---
apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: acme, namespace: other}
spec:
  displayName: Another ACME
  alerting: {slack: {channel: "#other", webhookSecretRef: {name: slack, key: url}, severities: [Page]}, repeatHours: 2}
---
apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: quiet, namespace: tv}
spec: {displayName: Quiet}
"##;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch"));
    command
        .arg("alertmanager")
        .arg(folder.join("in"))
        .arg("--out")
        .arg(folder.join("out"));
    command.args(arguments).output().unwrap()
}

#[test]
fn each_tenant_gets_its_own_alerts_and_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let (config, key) = (
        folder.path().join("out/alertmanager.yml"),
        folder.path().join("key"),
    );
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/tenants.yaml"), TENANTS).unwrap();
    fs::write(&key, "k".repeat(40)).unwrap();
    let made = run(
        folder.path(),
        &[
            "--bridge=http://bridge:9467",
            "--bridge-key",
            key.to_str().unwrap(),
            "--channel=#ops",
            "--heartbeat=https://heart.example/beat",
            "--grafana=https://grafana.example",
        ],
    );
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{said}");
    assert!(
        said.contains(
            "needs /etc/alertmanager/drmwatch/tv.acme.slack: key url of Secret slack in namespace tv"
        ),
        "{said}"
    );
    let token = folder.path().join("out/tv.acme.bridge");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    if Command::new("amtool").arg("--version").output().is_err() {
        println!("SKIPPED: amtool is not installed");
        return;
    }
    let amtool = |arguments: &[&str]| {
        let output = Command::new("amtool").args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let path = config.to_str().unwrap();
    amtool(&["check-config", path]);
    let file = format!("--config.file={path}");
    let goes = |labels: &str| {
        let mut arguments = vec!["config", "routes", "test", &file];
        arguments.extend(labels.split(' '));
        amtool(&arguments).trim().to_owned()
    };
    let of = |namespace: &str, tenant: &str, severity: &str| {
        goes(&format!(
            "alertname=ProbeDown namespace={namespace} tenant={tenant} severity={severity}"
        ))
    };
    assert_eq!(of("tv", "acme", "page"), "tv.acme.slack,tv.acme.zendesk");
    assert_eq!(of("tv", "acme", "ticket"), "tv.acme.slack");
    assert_eq!(of("other", "acme", "page"), "other.acme.slack");
    // That tenant wants pages alone.
    assert_eq!(of("other", "acme", "ticket"), "nobody");
    // Who has no alerting is the platform's, and so are the watchers.
    assert_eq!(of("tv", "quiet", "page"), "platform");
    assert_eq!(goes("alertname=RunnerDown region=eu severity=page"), "platform");
    assert_eq!(goes("alertname=Watchdog severity=none"), "heartbeat");
}

#[test]
fn a_mistake_or_a_key_that_is_none_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(
        folder.path().join("in/tenants.yaml"),
        TENANTS.replace("\"05:00\"", "\"00:00\""),
    )
    .unwrap();
    let made = run(folder.path(), &[]);
    assert_eq!(made.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&made.stderr)
            .contains("tenants.yaml:10:47: spec.alerting.muteTimes[0].from: from must be before to"),
        "{made:?}"
    );
    fs::write(folder.path().join("in/tenants.yaml"), TENANTS).unwrap();
    fs::write(folder.path().join("key"), "short").unwrap();
    let key = folder.path().join("key");
    let made = run(
        folder.path(),
        &["--bridge=http://b", "--bridge-key", key.to_str().unwrap()],
    );
    assert_eq!(made.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&made.stderr)
            .contains("line 1 of the bridge's key must have at least 32 characters")
    );
    assert!(!folder.path().join("out").exists());
}
