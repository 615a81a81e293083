//! Sloth, given the same objective, on the same Prometheus over the same minutes: both rule sets must give the same values.
//!
//! Needs `prometheus`, `promtool` and `sloth` (`SLOTH`); `make chart` sees to them. Without SLOTH it says that it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

use drmwatch_alerts::{BAD_MINUTE, Scope, objectives};
use drmwatch_api::MonitoredTenant;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A child that is ended with its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tools() -> Option<PathBuf> {
    let sloth = std::env::var_os("SLOTH").map(PathBuf::from)?;
    // Who names it wants the test to run: from here on, what is missing is a failure.
    let there = |name: &Path| Command::new(name).arg("--version").output().is_ok();
    for name in [Path::new("prometheus"), Path::new("promtool"), &sloth] {
        assert!(there(name), "{} can't be run", name.display());
    }
    Some(sloth)
}

fn done(command: &mut Command) {
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// One probe.
const PROBE: &str = r#"tenant_namespace="tv",tenant="acme",probe="p",region="eu""#;
/// What the rules add to its minutes.
const SLO: &str = r#"objective="up",sloth_service="acme",sloth_slo="up-p",sloth_id="acme-up-p""#;

/// Four days of minutes that end now: an outage three days ago, blips, and an outage that goes on. Some minutes are missing.
fn minutes(folder: &Path, now: u64) {
    let mut text = format!("# TYPE {BAD_MINUTE} gauge\n");
    let total = 4 * 1440;
    for n in 0..total {
        let bad = (1000..1040).contains(&n) || n % 397 == 0 || n >= total - 25;
        if n % 501 < 7 {
            continue;
        }
        let at = now - (total - n) * 60;
        text += &format!("{BAD_MINUTE}{{{PROBE},{SLO}}} {} {at}\n", u8::from(bad));
    }
    // The expected set, as the operator tells it.
    text += "# TYPE drmwatch_probe_info gauge\n";
    for n in 0..10 {
        let at = now - (10 - n) * 60;
        text += &format!("drmwatch_probe_info{{{PROBE},execution=\"Resident\"}} 60 {at}\n");
    }
    text += "# EOF\n";
    fs::write(folder.join("minutes.txt"), text).unwrap();
    let data = folder.join("data");
    done(
        Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .arg(folder.join("minutes.txt"))
            .arg(data),
    );
}

/// Values of a query, by the label `sloth_window` (or `severity`), or none.
fn query(server: &str, expr: &str) -> BTreeMap<String, f64> {
    let output = Command::new("promtool")
        .args(["query", "instant", "-o", "json", server, expr])
        .output()
        .unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let all = found.as_array().cloned().unwrap_or_default();
    let value = |v: &Value| v["value"][1].as_str()?.parse::<f64>().ok();
    let key = |v: &Value| {
        let of = |name: &str| v["metric"][name].as_str().map(str::to_owned);
        of("sloth_window")
            .or_else(|| of("sloth_severity"))
            .unwrap_or_default()
    };
    all.iter().filter_map(|v| Some((key(v), value(v)?))).collect()
}

#[test]
fn sloth_and_we_give_the_same_values() {
    let Some(sloth) = tools() else {
        eprintln!("SKIPPED: SLOTH is not set (make chart)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    minutes(folder.path(), now);
    let tenant: MonitoredTenant = serde_json::from_value(serde_json::json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
        "metadata": { "name": "acme", "namespace": "tv" },
        "spec": { "displayName": "A", "objectives": [{ "name": "up", "target": "99.5%", "availability": {} }] },
    }))
    .unwrap();
    let made = objectives(&tenant, &[("p".to_owned(), 60)].into(), Scope::Regional);
    assert!(made.cautions.is_empty() && made.unknown.is_empty());
    fs::write(at("ours.yaml"), made.file.yaml("ours").unwrap()).unwrap();
    let of = |function: &str| format!("sum({function}({BAD_MINUTE}{{objective=\"up\"}}[{{{{.window}}}}]))");
    let spec = format!(
        "version: prometheus/v1\nservice: peer\nslos:\n- name: up\n  objective: 99.5\n  sli:\n    events:\n      error_query: '{}'\n      total_query: '{}'\n  alerting:\n    name: Peer\n    page_alert: {{}}\n    ticket_alert: {{}}\n",
        of("sum_over_time"),
        of("count_over_time")
    );
    fs::write(at("spec.yaml"), spec).unwrap();
    done(
        Command::new(sloth)
            .arg("generate")
            .arg("-i")
            .arg(at("spec.yaml"))
            .arg("-o")
            .arg(at("theirs.yaml")),
    );
    let config = "global: {evaluation_interval: 2s}\nrule_files: [ours.yaml, theirs.yaml]\n";
    fs::write(at("prometheus.yml"), config).unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = format!("http://127.0.0.1:{port}");
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", at("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", at("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--storage.tsdb.retention.time=30d", "--log.level=error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _server = Ended(child);
    let (ours, theirs) = (r#"sloth_service="acme""#, r#"sloth_service="peer""#);
    let deadline = Instant::now() + Duration::from_secs(60);
    // The burn of the period rests on two other records, and an alert on three.
    while ![ours, theirs].iter().all(|s| {
        let burn = query(&server, &format!("slo:period_burn_rate:ratio{{{s}}}"));
        let alerts = query(&server, &format!("ALERTS{{{s},alertstate=\"firing\"}}"));
        burn.len() == 1 && alerts.len() == 2
    }) {
        assert!(Instant::now() < deadline, "the rules were not evaluated");
        sleep(Duration::from_millis(500));
    }
    // At the same instant, so that a window holds the same minutes for both.
    for window in ["5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d"] {
        let of = |s: &str| query(&server, &format!("slo:sli_error:ratio_rate{window}{{{s}}}"));
        near(&of(ours), &of(theirs), window);
    }
    for record in [
        "slo:objective:ratio",
        "slo:error_budget:ratio",
        "slo:time_period:days",
        "slo:current_burn_rate:ratio",
        "slo:period_burn_rate:ratio",
        "slo:period_error_budget_remaining:ratio",
    ] {
        let of = |s: &str| query(&server, &format!("{record}{{{s}}}"));
        near(&of(ours), &of(theirs), record);
    }
    // Both page and tell the same, now that an outage goes on.
    let firing = |s: &str| {
        let found = query(&server, &format!("ALERTS{{{s},alertstate=\"firing\"}}"));
        found.into_keys().collect::<Vec<String>>()
    };
    assert_eq!(firing(ours), firing(theirs));
    assert_eq!(firing(ours), ["page", "ticket"]);
}

/// The same, but for a minute that comes or goes between two evaluations.
fn near(ours: &BTreeMap<String, f64>, theirs: &BTreeMap<String, f64>, what: &str) {
    let (a, b) = (ours.values().next(), theirs.values().next());
    assert!(
        ours.len() == 1 && theirs.len() == 1,
        "{what}: {ours:?} {theirs:?}"
    );
    let (a, b) = (*a.unwrap(), *b.unwrap());
    assert!(
        (a - b).abs() <= 1e-9 * a.abs().max(1e-3),
        "{what}: {a} is ours, {b} is Sloth's"
    );
}
