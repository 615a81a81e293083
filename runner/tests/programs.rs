//! The runner as a program: `--once` and standalone, against a real world on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use drmwatch_testkit::{Fault, Ports, World};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_drmwatch-runner");

async fn world() -> World {
    World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap()
}

/// Waits for observed state; a deadline only ends a test that has failed.
fn await_that(what: &str, mut seen: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !seen() {
        assert!(Instant::now() < deadline, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn plan(url: &str) -> String {
    format!(
        r#"{{"id":{{"namespace":"n","tenant":"t","probe":"p"}},"uid":"u","generation":1,"region":"r","execution":"Job",
            "startingDeadlineSeconds":60,"timeoutSeconds":5,"credentials":{{"k":{{"name":"s","key":"x"}}}},
            "egress":{{"allowCidrs":["127.0.0.0/8"]}},
            "steps":[{{"name":"a","http":{{"url":"{url}","headers":[{{"name":"authorization","value":"${{credentials.k}}"}}]}}}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn once_tells_its_verdict_by_exit_code_and_termination_message() {
    let world = world().await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, code, reason) in [
        (format!("http://{}/healthz", world.http), 0, None),
        (
            format!("http://{}/status/503", world.http),
            1,
            Some("ServerError"),
        ),
        (format!("http://{closed}/"), 1, Some("ConnectionRefused")),
        ("http://169.254.169.254/".to_owned(), 2, Some("AddressRefused")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plan.json"), plan(&url)).unwrap();
        fs::write(folder.path().join("credential.k"), "hunter2222").unwrap();
        let log = folder.path().join("termination-log");
        let output = Command::new(PROGRAM)
            .arg("--once")
            .arg(folder.path())
            .arg("--termination-log")
            .arg(&log)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{url}: {output:?}");
        let said = fs::read_to_string(&log).unwrap();
        let outcome: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(outcome["reason"].as_str(), reason, "{said}");
        assert!(
            !said.contains("hunter2222") && !String::from_utf8_lossy(&output.stdout).contains("hunter2222")
        );
    }
    // A credential that is not what `tls` needs is the user's to mend, and never the tenant's failure.
    let folder = tempfile::tempdir().unwrap();
    let unusable =
        plan("https://127.0.0.1/").replace("\"egress\"", "\"tls\":{\"caCredential\":\"k\"},\"egress\"");
    fs::write(folder.path().join("plan.json"), unusable).unwrap();
    fs::write(folder.path().join("credential.k"), "hunter2222").unwrap();
    let output = Command::new(PROGRAM)
        .arg("--once")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        said.contains("the credential k must be certificates in PEM") && !said.contains("hunter2222"),
        "{said}"
    );
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .arg("--once")
        .arg(empty.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "no plan is an error of ours");
}

struct Standalone {
    child: Child,
    metrics: SocketAddr,
}

impl Standalone {
    fn start(folder: &Path) -> Standalone {
        Standalone::with(folder, &[])
    }

    fn with(folder: &Path, environment: &[(&str, &str)]) -> Standalone {
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(PROGRAM)
            .arg(folder)
            .args(["--allow-cidr", "127.0.0.0/8", "--listen", &metrics.to_string()])
            .envs(environment.iter().copied())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Standalone { child, metrics }
    }

    fn get(&self, path: &str) -> String {
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.metrics) {
            let _ = write!(
                stream,
                "GET {path} HTTP/1.0\r\nhost: x\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.read_to_string(&mut text);
        }
        text.split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default()
    }

    /// The value of the first series of this name whose labels contain `part`.
    fn value(&self, name: &str, part: &str) -> Option<f64> {
        let text = self.get("/metrics");
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("{name}{{")) && l.contains(part))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Slots of a probe: expected, finished, and missed for whatever cause.
    fn account(&self, probe: &str) -> (f64, f64, f64) {
        let (text, label) = (self.get("/metrics"), format!("probe=\"{probe}\""));
        let of = |name: &str| -> f64 {
            let lines = text.lines().filter(|l| l.starts_with(name) && l.contains(&label));
            lines
                .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
                .sum()
        };
        (
            of("drmwatch_probe_slots_expected_total"),
            of("drmwatch_probe_slots_finished_total"),
            of("drmwatch_probe_slots_missed_total"),
        )
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn probe(name: &str, url: &str) -> String {
    format!(
        "---\napiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: {name}}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 5}}\n  timeoutSeconds: 4\n  steps:\n  - name: a\n    stream: {{url: \"{url}\"}}\n"
    )
}

const TENANT: &str =
    "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t}\nspec: {displayName: T}\n";

#[tokio::test(flavor = "multi_thread")]
async fn standalone_runs_a_folder_follows_its_changes_and_accounts_for_every_slot() {
    let world = world().await;
    let url = format!("http://{}/live/clear/master.m3u8", world.http);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probes.yaml");
    fs::write(
        &file,
        format!("{TENANT}{}{}", probe("one", &url), probe("two", &url)),
    )
    .unwrap();
    let runner = Standalone::start(folder.path());
    let success = |name: &str| runner.value("drmwatch_probe_success", &format!("probe=\"{name}\""));
    await_that("both pass", || {
        success("one") == Some(1.0) && success("two") == Some(1.0)
    });
    assert_eq!(runner.get("/readyz"), "ok");

    // A fault is seen under its own name, and heals.
    world.faults.set(Fault::SegmentMissing, true);
    await_that("the fault", || {
        runner.value("drmwatch_probe_failure_info", "reason=\"SegmentMissing\"") == Some(1.0)
    });
    world.faults.set(Fault::SegmentMissing, false);
    await_that("the healing", || {
        success("one") == Some(1.0) && success("two") == Some(1.0)
    });

    // Every slot is accounted for: expected = finished + missed, once nothing is in flight.
    await_that("an account that adds up", || {
        let (expected, finished, missed) = runner.account("one");
        expected >= 2.0 && expected == finished + missed
    });

    // A mistake in an edit silences nobody; a probe that is taken out takes its series along.
    fs::write(&file, format!("{TENANT}{}", probe("one", "${nobody.x}"))).unwrap();
    let runs = || {
        runner
            .value(
                "drmwatch_probe_runs_total",
                "probe=\"one\",region=\"local\",outcome=\"pass\"",
            )
            .unwrap_or_default()
    };
    let before = runs();
    await_that("the probe runs on after a mistake", || {
        runs() > before && success("two") == Some(1.0)
    });
    fs::write(&file, format!("{TENANT}{}", probe("two", &url))).unwrap();
    await_that("the series vanish", || {
        !runner.get("/metrics").contains("probe=\"one\"")
    });
    assert_eq!(success("two"), Some(1.0));

    // What a live runner exports is clean to its real judge.
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
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(runner.get("/metrics").as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// The real program while its machine's clock is set: forward by 90 s, back by 180 s, and right again. The world, whose
/// clock is right, sees neither a storm nor a silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_makes_neither_storm_nor_silence() {
    let found = fs::read_dir("/usr/lib").unwrap().flatten();
    let library = found
        .map(|e| e.path().join("faketime/libfaketime.so.1"))
        .find(|p| p.exists());
    let Some(library) = library else {
        eprintln!("SKIPPED: libfaketime is not installed");
        return;
    };
    let world = world().await;
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let set = |offset: &str| fs::write(&clock, offset).unwrap();
    set("+0");
    let step = probe("p", "").replace(
        "stream: {url: \"\"}",
        &format!("http: {{url: \"http://{}/slot/p\"}}", world.http),
    );
    fs::write(folder.path().join("probes.yaml"), format!("{TENANT}{step}")).unwrap();
    let runner = Standalone::with(
        folder.path(),
        &[
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            // Its timers are the kernel's; only the wall clock is set, as NTP or a hand would.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    // When the world was asked, by its own clock.
    let visits = || -> Vec<i64> {
        let Ok(mut stream) = TcpStream::connect(world.http) else {
            return Vec::new();
        };
        let _ = write!(stream, "GET /admin/visits HTTP/1.0\r\nhost: x\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        let lines = text.lines().filter_map(|l| l.strip_suffix(" p"));
        lines.filter_map(|l| l.parse().ok()).collect()
    };
    let more = |count: usize| {
        let before = visits().len();
        await_that("runs", || visits().len() >= before + count);
    };
    more(2);
    for offset in ["+90", "-90", "+0"] {
        set(offset);
        more(3);
    }
    let visits = visits();
    let gaps: Vec<i64> = visits.windows(2).map(|w| w[1] - w[0]).collect();
    // One slot each five seconds, and one more at each step: the phase is of the wall clock, so that it changes nothing
    // there, but what is due is looked at again.
    let whole = visits[visits.len() - 1] - visits[0];
    assert!(visits.len() as i64 <= whole / 5000 + 1 + 3, "{gaps:?}");
    assert!(gaps.iter().all(|gap| *gap < 30_000), "{gaps:?}");
    await_that("an account that adds up", || {
        let (expected, finished, missed) = runner.account("p");
        // Eighteen slots were jumped over, twice, but for the ones that ran.
        expected == finished + missed && (30.0..60.0).contains(&missed)
    });
    let late = runner.value("drmwatch_probe_slots_missed_total", "cause=\"late\"");
    assert!(late.is_some_and(|n| n >= 30.0), "{late:?}");
}
