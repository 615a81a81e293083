//! A fleet on one core: the real runner, pinned to one core, with ten thousand HTTPS probes a minute against an nginx on
//! the other, beside a bare loop of tokio and rustls that makes the same connections and no more; then two thousand probes
//! of three steps (token, HLS stream with segment, ClearKey licence); then ten thousand that are not due.
//!
//! `make bench`. FLEET_PROBES and FLEET_SECONDS change size and length; an hour is FLEET_SECONDS=3600.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

#[path = "../../crates/probe/benches/common/mod.rs"]
mod common;

use common::{Ended, bare, cpu_of, free, nginx, trusting};
use drmwatch_testkit::{Ports, World};
use futures::{StreamExt, stream};
use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

/// The runner on core 1, standalone.
struct Runner {
    process: Ended,
    port: u16,
}

impl Runner {
    fn start(folder: &Path) -> Runner {
        let port = free();
        let child = Command::new("taskset")
            .args(["-c", "1", env!("CARGO_BIN_EXE_drmwatch-runner")])
            .arg(folder)
            .args([
                "--allow-cidr",
                "127.0.0.0/8",
                "--listen",
                &format!("127.0.0.1:{port}"),
            ])
            .env("DRMWATCH_LOG", "warn")
            // As in its image.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .env("MIMALLOC_PURGE_DELAY", "0")
            .stdin(Stdio::null())
            .spawn()
            .expect("taskset");
        let runner = Runner {
            process: Ended(child),
            port,
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while !runner.get("/readyz").starts_with("HTTP/1.0 200") {
            assert!(Instant::now() < deadline, "the runner never gets ready");
            std::thread::sleep(Duration::from_millis(200));
        }
        runner
    }

    fn get(&self, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return String::new();
        };
        let _ = write!(stream, "GET {path} HTTP/1.0\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    }

    fn cpu(&self) -> Duration {
        cpu_of(self.process.0.id())
    }

    /// Kilobytes of memory now, and at most so far.
    fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (of("VmRSS:"), of("VmHWM:"))
    }
}

/// What a runner's numbers say.
#[derive(Default, Clone)]
struct Numbers {
    lag: Vec<(f64, f64)>,
    finished: f64,
    missed: f64,
    passed: f64,
    failed: f64,
}

fn numbers(text: &str) -> Numbers {
    let mut found = Numbers::default();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let value: f64 = value.parse().unwrap_or(0.0);
        let name = series.split('{').next().unwrap_or_default();
        match name {
            "drmwatch_runner_slot_lag_seconds_bucket" => {
                let bound = series.split("le=\"").nth(1).unwrap().trim_end_matches("\"}");
                found.lag.push((bound.parse().unwrap_or(f64::INFINITY), value));
            }
            "drmwatch_probe_slots_finished_total" => found.finished += value,
            "drmwatch_probe_slots_missed_total" => found.missed += value,
            "drmwatch_probe_runs_total" if series.contains("\"pass\"") => found.passed += value,
            "drmwatch_probe_runs_total" => found.failed += value,
            _ => {}
        }
    }
    found
}

/// The bound below which a share of what was counted between two looks lies.
fn quantile(before: &Numbers, after: &Numbers, share: f64) -> f64 {
    let counts = after.lag.iter().zip(&before.lag).map(|(a, b)| (a.0, a.1 - b.1));
    let counts: Vec<(f64, f64)> = counts.collect();
    let total = counts.last().map_or(0.0, |c| c.1);
    counts
        .iter()
        .find(|c| c.1 >= total * share)
        .map_or(f64::INFINITY, |c| c.0)
}

/// One probe as YAML.
fn probe(name: &str, schedule: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: {name}, namespace: 'n'}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{{schedule}}}\n{rest}"
    )
}

fn tenant(ca: &str) -> String {
    let ca = ca.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: 'n'}}\nstringData:\n  api: demo-api-key\n  ca: |\n    {ca}\n---\napiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {{name: t, namespace: 'n'}}\nspec:\n  displayName: T\n  credentials:\n  - {{name: ca, secretKeyRef: {{name: s, key: ca}}}}\n  - {{name: api, secretKeyRef: {{name: s, key: api}}}}\n"
    )
}

fn write(folder: &Path, ca: &str, probes: impl Iterator<Item = String>) {
    let mut text = tenant(ca);
    probes.for_each(|probe| text += &probe);
    fs::write(folder.join("fleet.yaml"), text).unwrap();
}

/// A window of a fleet at work.
fn measure(runner: &Runner, what: &str, count: u64, seconds: u64, floor: Option<Duration>) {
    // The first minute is not like the others: all that is new here runs at once.
    std::thread::sleep(Duration::from_secs(70));
    let (before, cpu) = (numbers(&runner.get("/metrics")), runner.cpu());
    let (started, mut memory, mut scrapes) = (Instant::now(), Vec::new(), Vec::new());
    let mut bytes = 0;
    while started.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_secs(14));
        let at = Instant::now();
        bytes = runner.get("/metrics").len();
        scrapes.push(at.elapsed().as_secs_f64() * 1e3);
        memory.push(runner.memory().0 as f64 / 1024.0);
    }
    let (passed, used) = (started.elapsed(), runner.cpu() - cpu);
    let after = numbers(&runner.get("/metrics"));
    let ran = after.finished - before.finished;
    let share = used.as_secs_f64() / passed.as_secs_f64();
    let mut text = format!(
        "{what}: {count} probes a minute for {:.0} s: {ran:.0} runs, {:.0} missed, {:.0} not passed; {:.1} % of a core",
        passed.as_secs_f64(),
        after.missed - before.missed,
        after.failed - before.failed,
        share * 100.0
    );
    if let Some(floor) = floor {
        let bare = floor.as_secs_f64() * ran / passed.as_secs_f64();
        let _ = write!(
            text,
            " ({:.2} times the bare loop's {:.1} %, {:.1} points more)",
            share / bare,
            bare * 100.0,
            (share - bare) * 100.0
        );
    }
    println!("{text}");
    scrapes.sort_by(f64::total_cmp);
    println!(
        "{what}: lag p50 at most {} ms, p99 at most {} ms; memory {:.0} MiB, {:+.1} MiB over the window; scrape of {:.1} MB in {:.0} ms ({:.0} to {:.0})",
        quantile(&before, &after, 0.5) * 1e3,
        quantile(&before, &after, 0.99) * 1e3,
        memory.last().unwrap(),
        memory.last().unwrap() - memory.first().unwrap(),
        bytes as f64 / 1e6,
        scrapes[scrapes.len() / 2],
        scrapes[0],
        scrapes[scrapes.len() - 1],
    );
}

fn main() {
    // This process, its servers and the bare loop on core 0; runners on core 1.
    let own = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-cp", "0", &own])
        .stdout(Stdio::null())
        .status();
    assert!(pinned.is_ok_and(|s| s.success()), "taskset (util-linux)");
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (probes, seconds) = (number("FLEET_PROBES", 10_000), number("FLEET_SECONDS", 120));
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (http, https) = (free(), free());
    let _nginx = nginx(folder.path(), http, https, free());
    let ca = fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();

    // The floor, on the core that the runner will have.
    let config = trusting(&ca);
    let single = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], https));
    let at = cpu_time::ThreadTime::now();
    single.block_on(stream::iter(0..2000).for_each_concurrent(16, |_| async {
        bare(address, Some(&config)).await;
    }));
    let floor = at.elapsed() / 2000;

    let yaml = tempfile::tempdir().unwrap();
    let get = |n: u64| {
        let steps = format!(
            "  tls: {{caCredential: ca}}\n  steps:\n  - name: get\n    http: {{url: \"https://127.0.0.1:{https}/{n}\"}}\n"
        );
        probe(&format!("p{n}"), "intervalSeconds: 60", &steps)
    };
    write(yaml.path(), &ca, (0..probes).map(get));
    let runner = Runner::start(yaml.path());
    measure(&runner, "https", probes, seconds, Some(floor));
    drop(runner);

    let world = runtime
        .block_on(World::start([127, 0, 0, 1].into(), Ports::default()))
        .unwrap();
    let at = world.http;
    let chain = |n: u64| {
        let steps = format!(
            "  timeoutSeconds: 20\n  steps:\n  - name: token\n    http:\n      method: POST\n      url: http://{at}/token\n      headers: [{{name: authorization, value: \"Bearer ${{credentials.api}}\"}}]\n      outputs: [{{name: access_token, jsonPointer: /access_token}}]\n  - name: stream\n    stream: {{url: \"http://{at}/live/cenc/master.m3u8\", live: true}}\n  - name: license\n    license:\n      system: ClearKey\n      url: http://{at}/license/clearkey\n      headers: [{{name: authorization, value: \"Bearer ${{token.access_token}}\"}}]\n      kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]\n"
        );
        probe(&format!("c{n}"), "intervalSeconds: 60", &steps)
    };
    let chains = probes / 5;
    write(yaml.path(), &ca, (0..chains).map(chain));
    let runner = Runner::start(yaml.path());
    measure(&runner, "token, stream, licence", chains, seconds, None);
    drop(runner);

    let idle = |n: u64| {
        let steps = format!(
            "  tls: {{caCredential: ca}}\n  steps:\n  - name: get\n    http: {{url: \"https://127.0.0.1:{https}/{n}\"}}\n"
        );
        probe(&format!("p{n}"), "cron: \"0 0 29 2 *\"", &steps)
    };
    let mut sizes = Vec::new();
    for count in [1, probes] {
        write(yaml.path(), &ca, (0..count).map(idle));
        let runner = Runner::start(yaml.path());
        std::thread::sleep(Duration::from_secs(10));
        sizes.push(runner.memory().0);
    }
    println!(
        "idle: {:.1} KiB a probe ({} KiB with one, {} KiB with {probes})",
        (sizes[1] - sizes[0]) as f64 / (probes - 1) as f64,
        sizes[0],
        sizes[1]
    );
}
