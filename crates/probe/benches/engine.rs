//! What a probe costs, in CPU time, beside two peers in the same run against the same nginx: prometheus-blackbox-exporter
//! (Debian's), and a bare loop of tokio and rustls that does no more than the connection, the handshake and the request.
//!
//! Ours is the whole engine: address guard, fresh connection, full verification, every phase, redaction, metrics. CPU time
//! is that of the probing thread, and of the exporter's process; the servers' is not counted. Turn by turn, nine rounds,
//! ratios with their spread. `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod common;

use common::{Ended, await_port, bare, cpu_of, free, nginx, spread, trusting};
use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant};
use drmwatch_metrics::{Metrics, Owner, record_outcome};
use drmwatch_net::Resolver;
use drmwatch_plan::{Secrets, compile};
use drmwatch_probe::{Engine, Prepared, ProbeState, clock};
use futures::{StreamExt, stream};
use rustls::ClientConfig;
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// As in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Probes of one turn.
const PROBES: usize = 400;
/// Probes at a time.
const WIDTH: usize = 16;
const ROUNDS: usize = 9;

fn blackbox(folder: &Path, port: u16) -> Ended {
    let conf = format!(
        "modules:\n  m:\n    prober: http\n    timeout: 5s\n    http:\n      preferred_ip_protocol: ip4\n      tls_config: {{ca_file: {}/cert.pem}}\n",
        folder.display()
    );
    fs::write(folder.join("blackbox.yml"), conf).unwrap();
    let child = Command::new("prometheus-blackbox-exporter")
        .arg(format!("--config.file={}/blackbox.yml", folder.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus-blackbox-exporter (make bench installs it)");
    await_port(port);
    Ended(child)
}

fn prepared(engine: &Engine, url: &str, ca: &str) -> Prepared {
    let tenant: MonitoredTenant = serde_saphyr::from_str(
        "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: n}\nspec:\n  displayName: T\n  credentials: [{name: ca, secretKeyRef: {name: s, key: ca}}]\n",
    )
    .unwrap();
    let probe: DrmProbe = serde_saphyr::from_str(&format!(
        "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: p, namespace: n}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 60}}\n  tls: {{caCredential: ca}}\n  steps:\n  - name: get\n    http: {{url: \"{url}\"}}\n"
    ))
    .unwrap();
    let egress = EgressPolicy {
        allow_cidrs: vec!["127.0.0.0/8".into()],
    };
    let plan = compile(&tenant, &probe, "bench", &egress).unwrap();
    let mut secrets = Secrets::default();
    secrets.insert("ca", ca);
    Prepared::new(plan, secrets, engine.resolver()).unwrap()
}

/// CPU time of this thread for one turn of ours, per probe.
fn ours(
    runtime: &tokio::runtime::Runtime,
    engine: &Engine,
    prepared: &Prepared,
    metrics: &Metrics,
) -> Duration {
    let owner = Owner::probe(&prepared.plan().id, "bench");
    let at = cpu_time::ThreadTime::now();
    runtime.block_on(async {
        stream::iter(0..PROBES)
            .for_each_concurrent(WIDTH, |_| async {
                let outcome = engine.run(prepared, &mut ProbeState::default()).await;
                assert_eq!(outcome.verdict.to_string(), "Pass", "{}", outcome.message);
                record_outcome(metrics, &owner, &outcome);
            })
            .await;
    });
    at.elapsed() / PROBES as u32
}

fn floor(
    runtime: &tokio::runtime::Runtime,
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
) -> Duration {
    let at = cpu_time::ThreadTime::now();
    runtime.block_on(async {
        stream::iter(0..PROBES)
            .for_each_concurrent(WIDTH, |_| async {
                bare(address, tls).await;
            })
            .await;
    });
    at.elapsed() / PROBES as u32
}

/// CPU time of the exporter for one turn, per probe.
fn theirs(runtime: &tokio::runtime::Runtime, exporter: &Ended, port: u16, target: &str) -> Duration {
    let before = cpu_of(exporter.0.id());
    runtime.block_on(async {
        stream::iter(0..PROBES)
            .for_each_concurrent(WIDTH, |_| async {
                let mut stream = tokio::net::TcpStream::from_std({
                    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    stream.set_nonblocking(true).unwrap();
                    stream
                })
                .unwrap();
                let request = format!("GET /probe?module=m&target={target} HTTP/1.0\r\n\r\n");
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                assert!(answer.contains("probe_success 1"), "{answer}");
            })
            .await;
    });
    (cpu_of(exporter.0.id()) - before) / PROBES as u32
}

fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    // Workers of nginx run as another user.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (http, https, insists, port) = (free(), free(), free(), free());
    let _nginx = nginx(folder.path(), http, https, insists);
    let exporter = blackbox(folder.path(), port);
    let ca = fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    let config = trusting(&ca);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let engine = Engine::new(Resolver::system().unwrap(), clock::system);
    let metrics = Metrics::default();
    for (name, scheme, port_of, tls) in [
        ("http", "http", http, None),
        ("https", "https", https, Some(&config)),
        ("https, P-256 insisted on", "https", insists, Some(&config)),
    ] {
        let url = format!("{scheme}://127.0.0.1:{port_of}/");
        let plan = prepared(&engine, &url, &ca);
        let address = SocketAddr::from(([127, 0, 0, 1], port_of));
        // For a profiler: ours alone, of one scheme.
        if let Ok(only) = std::env::var("ENGINE_PROFILE") {
            if only == name {
                for _ in 0..20 {
                    ours(&runtime, &engine, &plan, &metrics);
                }
            }
            continue;
        }
        let (mut beside, mut over, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (a, b, c) = (
                ours(&runtime, &engine, &plan, &metrics),
                floor(&runtime, address, tls),
                theirs(&runtime, &exporter, port, &url),
            );
            if round > 0 {
                beside.push(c.as_secs_f64() / a.as_secs_f64());
                over.push(a.as_secs_f64() / b.as_secs_f64());
                own.push(a.as_secs_f64() * 1e6);
            }
        }
        println!(
            "{name}: probes per CPU-second over blackbox_exporter's: {}; CPU over the bare loop's: {}; ours {} us a probe",
            spread(&beside),
            spread(&over),
            spread(&own)
        );
    }
}
