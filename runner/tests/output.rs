//! What the runner writes where nobody reads, where there is no room, on a terminal and in a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_testkit::{
    Ports, World,
    streams::{closed_pipe, full_disk, terminal},
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const PROBE: &str = "apiVersion: drmwatch.io/v1alpha1
kind: MonitoredTenant
metadata: {name: acme, namespace: acme}
spec:
  displayName: ACME
  defaults: {intervalSeconds: 5, timeoutSeconds: 4}
  services:
  - {name: page, endpoint: {url: 'http://ADDRESS/healthz'}}
";

fn runner() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch-runner"));
    command
        .env_remove("NO_COLOR")
        .env_remove("DRMWATCH_LOG")
        .env("TERM", "xterm-256color");
    command
}

fn folder(address: SocketAddr) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("acme.yaml"),
        PROBE.replace("ADDRESS", &address.to_string()),
    )
    .unwrap();
    folder
}

fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// It ends with this status and, on standard error, says this and never that it panicked.
fn ended(output: &Output, code: i32, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    match says {
        "" => assert_eq!(said, "", "it must be quiet"),
        says => assert!(said.contains(says), "{said}"),
    }
}

fn await_that(what: &str, mut seen: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !seen() {
        assert!(Instant::now() < deadline, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stop(mut child: Child) -> std::process::ExitStatus {
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    child.wait().unwrap()
}

#[test]
fn a_reader_that_is_gone_ends_a_command_quietly() {
    let good = folder(nowhere());
    for args in [
        vec!["--check", good.path().to_str().unwrap()],
        vec!["--help"],
        vec!["--version"],
    ] {
        let output = runner()
            .args(&args)
            .stdout(closed_pipe().unwrap())
            .output()
            .unwrap();
        ended(&output, 141, "");
        let output = runner()
            .args(&args)
            .stdout(full_disk().unwrap())
            .output()
            .unwrap();
        let code = if args[0] == "--check" { 3 } else { 1 };
        ended(
            &output,
            code,
            "standard output can't be written: No space left on device",
        );
    }
    // Mistakes are still mistakes.
    fs::write(good.path().join("wrong.yaml"), "kind: DrmProbe\n").unwrap();
    let output = runner()
        .arg("--check")
        .arg(good.path())
        .stdout(closed_pipe().unwrap())
        .output()
        .unwrap();
    ended(&output, 1, "");
    // A message that can't be printed does not change the status either.
    let status = runner()
        .arg("--wrong")
        .stderr(closed_pipe().unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}

fn plan(folder: &Path, address: SocketAddr) {
    let plan = format!(
        r#"{{"id":{{"namespace":"n","tenant":"t","probe":"p"}},"uid":"u","generation":1,"region":"r","execution":"Job",
            "startingDeadlineSeconds":60,"timeoutSeconds":5,"credentials":{{}},"egress":{{"allowCidrs":["127.0.0.0/8"]}},
            "steps":[{{"name":"a","http":{{"url":"http://{address}/healthz"}}}}]}}"#
    );
    fs::write(folder.join("plan.json"), plan).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_that_the_kubelet_reads_does_not_depend_on_the_log_of_the_container() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    plan(folder.path(), world.http);
    let once = || {
        let mut command = runner();
        command.arg("--once").arg(folder.path());
        command
    };
    ended(&once().stdout(closed_pipe().unwrap()).output().unwrap(), 141, "");
    ended(
        &once().stdout(full_disk().unwrap()).output().unwrap(),
        3,
        "can't be written",
    );
    for stream in [closed_pipe().unwrap().into(), Stdio::from(full_disk().unwrap())] {
        let log = folder.path().join("log");
        let output = once()
            .arg("--termination-log")
            .arg(&log)
            .stdout(stream)
            .output()
            .unwrap();
        ended(&output, 0, "the outcome can't be printed");
        assert!(fs::read_to_string(&log).unwrap().contains("\"Pass\""));
        fs::remove_file(log).unwrap();
    }
}

/// The value of the first series with this beginning.
fn value(metrics: SocketAddr, series: &str) -> f64 {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(metrics) {
        let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: x\r\nconnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
    }
    let line = text.lines().find(|l| l.starts_with(series));
    line.and_then(|l| l.rsplit_once(' ')?.1.parse().ok())
        .unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_goes_on_where_nobody_reads_its_table_or_its_log() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    let folder = folder(world.http);
    for full in [false, true] {
        let stream = || match full {
            false => Stdio::from(closed_pipe().unwrap()),
            true => full_disk().unwrap().into(),
        };
        let metrics = nowhere();
        let child = runner()
            .arg(folder.path())
            .args([
                "--table",
                "--allow-cidr",
                "127.0.0.0/8",
                "--listen",
                &metrics.to_string(),
            ])
            // Every run is logged, and so is everything else.
            .env("DRMWATCH_LOG", "trace")
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let runs = || value(metrics, "drmwatch_probe_runs_total{");
        await_that("a third run", || runs() >= 3.0);
        assert_eq!(stop(child).code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colors_are_for_terminals_alone() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    let folder = folder(world.http);
    let start = |environment: &[(&str, &str)], stdout: Stdio, stderr: Stdio, drawn: &dyn Fn() -> bool| {
        let metrics = nowhere();
        let child = runner()
            .arg(folder.path())
            .args([
                "--table",
                "--allow-cidr",
                "127.0.0.0/8",
                "--listen",
                &metrics.to_string(),
            ])
            .envs(environment.iter().copied())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        await_that("a table", drawn);
        assert_eq!(stop(child).code(), Some(0));
    };
    // In files there is not one escape code.
    let (log, table) = (folder.path().join("log"), folder.path().join("table"));
    start(
        &[],
        fs::File::create(&table).unwrap().into(),
        fs::File::create(&log).unwrap().into(),
        &|| {
            fs::read_to_string(&table).unwrap().contains("Pass")
                && !fs::read_to_string(&log).unwrap().is_empty()
        },
    );
    let (log, table) = (
        fs::read_to_string(log).unwrap(),
        fs::read_to_string(table).unwrap(),
    );
    assert!(log.contains("INFO") && !log.contains('\x1b'), "{log:?}");
    assert!(
        table.contains("acme-page") && !table.contains('\x1b'),
        "{table:?}"
    );
    assert_eq!(
        table.matches("PROBE").count(),
        1,
        "only a new verdict is printed: {table}"
    );
    // Colors and a table that is drawn in place, colors alone refused, and both.
    for (environment, colors, redraws) in [
        (&[][..], true, true),
        (&[("NO_COLOR", "")], true, true),
        (&[("NO_COLOR", "1")], false, true),
        (&[("TERM", "dumb")], false, false),
    ] {
        let (line, log) = terminal().unwrap();
        let (screen, table) = terminal().unwrap();
        start(environment, screen.into(), line.into(), &|| {
            // Twice, so that it is drawn in place.
            let tables = if redraws { 2 } else { 1 };
            table.shown().matches("Pass").count() >= tables && log.shown().contains("INFO")
        });
        let (log, table) = (log.whole(), table.whole());
        assert!(
            log.contains("INFO") && table.contains("acme-page"),
            "{log} {table}"
        );
        assert_eq!(log.contains('\x1b'), colors, "{environment:?} {log:?}");
        assert_eq!(table.contains("\x1b[32m"), colors, "{environment:?} {table:?}");
        assert_eq!(table.contains("\x1b[2K"), redraws, "{environment:?} {table:?}");
        assert_eq!(table.contains('\x1b'), redraws, "{environment:?} {table:?}");
    }
    // The help text, by clap.
    for (environment, colors) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
        let (screen, help) = terminal().unwrap();
        let status = runner()
            .arg("--help")
            .envs(environment.iter().copied())
            .stdout(screen)
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(help.whole().contains('\x1b'), colors, "{environment:?}");
    }
    let help = runner().arg("--help").output().unwrap();
    assert!(help.status.success() && !help.stdout.contains(&0x1b));
}
