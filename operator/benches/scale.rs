//! The operator beside a real kube-apiserver and etcd, with 500 tenants and 10,000 probes: cold start, memory, steady
//! state, one change, a changed Secret of a tenant, a restart. `make scale` brings the control plane up.
//!
//! SCALE_PROBES and SCALE_TENANTS change the size. The runner of the last part is the real one, too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs
)]

use drmwatch_api::{DrmProbe, MonitoredTenant, RunnerPool};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PartialObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

const POOL: &str = "drmwatch-runners";

fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

struct Program {
    child: Child,
    metrics: &'static str,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn operator() -> Program {
        let child = Command::new(env!("CARGO_BIN_EXE_drmwatch-operator"))
            .args(["--listen", "127.0.0.1:9465", "--region", "scale"])
            .env("DRMWATCH_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let metrics = "127.0.0.1:9465";
        Program { child, metrics }
    }

    async fn metrics(&self) -> String {
        let Ok(mut stream) = tokio::net::TcpStream::connect(self.metrics).await else {
            return String::new();
        };
        let _ = stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await;
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    async fn sum(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let of = |l: &&str| {
            l.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        text.lines()
            .filter(of)
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }
}

async fn create<K>(client: &Client, namespace: &str, objects: Vec<K>)
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    stream::iter(objects)
        .for_each_concurrent(24, |object| {
            let api = api.clone();
            async move {
                api.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
}

fn made<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// How many plans there are.
async fn plans(client: &Client) -> usize {
    let api: Api<Secret> = Api::namespaced(client.clone(), POOL);
    let selected = ListParams::default().labels("drmwatch.io/probe-uid");
    api.list_metadata(&selected).await.map_or(0, |l| l.items.len())
}

/// A server that says when which path was asked for.
async fn listener() -> (u16, mpsc::UnboundedReceiver<(String, Instant)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let n = stream.read(&mut bytes).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                let _ = asked.send((path, Instant::now()));
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            });
        }
    });
    (port, received)
}

fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share).round() as usize]
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (tenants, probes) = (number("SCALE_TENANTS", 500), number("SCALE_PROBES", 10_000));
    let client = Client::try_default()
        .await
        .expect("make scale brings a control plane up");
    let status = Command::new(env!("CARGO_BIN_EXE_drmwatch-operator"))
        .arg("--apply-crds")
        .status();
    assert!(status.unwrap().success());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [POOL, "drmwatch-system", "tenants"] {
        let namespace = made(json!({ "metadata": { "name": name } }));
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }
    let (port, mut asked) = listener().await;
    let pools: Api<RunnerPool> = Api::namespaced(client.clone(), POOL);
    let pool = json!({ "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool", "metadata": { "name": "default" },
        "spec": { "egress": { "allowCidrs": ["127.0.0.0/8"] } } });
    let deadline = Instant::now() + Duration::from_secs(30);
    while pools
        .create(&PostParams::default(), &made(pool.clone()))
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "the CRDs are not served");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    let secret = |t: usize| {
        made::<Secret>(
            json!({ "metadata": { "name": format!("t{t}") }, "stringData": { "token": format!("secret-of-{t}") } }),
        )
    };
    create(&client, "tenants", (0..tenants).map(secret).collect()).await;
    let tenant = |t: usize| {
        made::<MonitoredTenant>(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant", "metadata": { "name": format!("t{t}") },
            "spec": { "displayName": format!("Tenant {t}"),
                "credentials": [{ "name": "token", "secretKeyRef": { "name": format!("t{t}"), "key": "token" } }] },
        }))
    };
    create(&client, "tenants", (0..tenants).map(tenant).collect()).await;
    let probe = |p: usize| {
        made::<DrmProbe>(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe", "metadata": { "name": format!("p{p}") },
            "spec": { "tenantRef": { "name": format!("t{}", p % tenants) }, "schedule": { "cron": "0 0 29 2 *" },
                "steps": [{ "name": "get", "http": { "url": format!("http://127.0.0.1:{port}/p{p}/0"),
                    "headers": [{ "name": "authorization", "value": "Bearer ${credentials.token}" }] } }] },
        }))
    };
    create(&client, "tenants", (0..probes).map(probe).collect()).await;
    println!(
        "created {tenants} tenants and {probes} probes in {:.0} s (what the API server takes)",
        began.elapsed().as_secs_f64()
    );

    let began = Instant::now();
    let operator = Program::operator();
    // The operator's own count first: ten thousand objects listed twice a second would be most of what is measured.
    let secrets = "drmwatch_operator_writes_total{kind=\"Secret\"}";
    while operator.sum(secrets).await < probes as f64 || plans(&client).await < probes {
        assert!(
            began.elapsed() < Duration::from_secs(900),
            "{} plans after 900 s",
            plans(&client).await
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let plans_after = began.elapsed().as_secs_f64();
    let quiet = async |operator: &Program| {
        let mut last = (
            operator.sum("drmwatch_operator_writes_total").await,
            Instant::now(),
        );
        while last.1.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let writes = operator.sum("drmwatch_operator_writes_total").await;
            if writes != last.0 || operator.sum("drmwatch_operator_queued").await > 0.0 {
                last = (writes, Instant::now());
            }
        }
        last
    };
    let (writes, still) = quiet(&operator).await;
    let (now, most) = operator.memory();
    println!(
        "cold start: every plan applied after {plans_after:.0} s, every status after {:.0} s; {writes} writes ({:.2} a probe); memory {now:.0} MiB, at most {most:.0} MiB",
        still.duration_since(began).as_secs_f64(),
        writes / probes as f64
    );

    tokio::time::sleep(Duration::from_secs(60)).await;
    let more = operator.sum("drmwatch_operator_writes_total").await - writes;
    println!("steady state: {more} writes in a minute");

    // One changed probe at a time, until its plan has changed.
    let api: Api<DrmProbe> = Api::namespaced(client.clone(), "tenants");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), POOL);
    let mut times = Vec::new();
    for p in (0..probes).step_by((probes / 100).max(1)) {
        let uid = api.get_metadata(&format!("p{p}")).await.unwrap().uid().unwrap();
        let patch = json!({ "spec": { "timeoutSeconds": 7 } });
        let at = Instant::now();
        let changed = api
            .patch(&format!("p{p}"), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        let generation = changed.metadata.generation.unwrap().to_string();
        loop {
            let plan: PartialObjectMeta<Secret> =
                secrets.get_metadata(&format!("probe-{uid}")).await.unwrap();
            if plan.annotations().get("drmwatch.io/probe-generation") == Some(&generation) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        times.push(at.elapsed().as_secs_f64());
    }
    println!(
        "one changed probe: its plan is changed after {:.2} s (median), {:.2} s (p99), {:.2} s (at most)",
        quantile(&mut times, 0.5),
        quantile(&mut times, 0.99),
        quantile(&mut times, 1.0)
    );

    // A changed Secret of a tenant fans out to its probes alone.
    let before = operator.sum("drmwatch_operator_writes_total").await;
    let at = Instant::now();
    let patch = json!({ "stringData": { "token": "another-secret" } });
    let own: Api<Secret> = Api::namespaced(client.clone(), "tenants");
    own.patch("t0", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let (after, last) = quiet(&operator).await;
    println!(
        "a changed Secret of a tenant of {} probes: {} writes, the last after {:.1} s",
        probes / tenants,
        after - before,
        last.duration_since(at).as_secs_f64()
    );

    // Killed and started anew: what is there is found to be right.
    drop(operator);
    let began = Instant::now();
    let operator = Program::operator();
    while operator.sum("drmwatch_operator_reconciles_total").await < probes as f64 {
        assert!(began.elapsed() < Duration::from_secs(600));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (writes, _) = quiet(&operator).await;
    let (now, most) = operator.memory();
    println!(
        "restart: all seen again after {:.0} s, {writes} writes; memory {now:.0} MiB, at most {most:.0} MiB",
        began.elapsed().as_secs_f64()
    );

    // The real runner with every plan, and changes until the tenant's server sees them.
    if let Ok(runner) = std::env::var("RUNNER") {
        let child = Command::new(runner)
            .args([
                "--pool",
                "default",
                "--identity",
                "scale-0",
                "--region",
                "scale",
                "--listen",
                "127.0.0.1:9464",
            ])
            .env("DRMWATCH_LOG", "error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let runner = Program {
            child,
            metrics: "127.0.0.1:9464",
        };
        let began = Instant::now();
        while runner.sum("drmwatch_runner_probes").await < probes as f64 {
            assert!(began.elapsed() < Duration::from_secs(300));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!(
            "a runner has every plan after {:.1} s; memory {:.0} MiB",
            began.elapsed().as_secs_f64(),
            runner.memory().0
        );
        let mut sent = BTreeMap::new();
        for p in (1..probes).step_by((probes / 100).max(1)) {
            let path = format!("/p{p}/changed");
            let patch = json!({ "spec": { "schedule": { "cron": null, "intervalSeconds": 3600 },
                "steps": [{ "name": "get", "http": { "url": format!("http://127.0.0.1:{port}{path}") } }] } });
            sent.insert(path, Instant::now());
            api.patch(&format!("p{p}"), &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (mut times, mut open) = (Vec::new(), sent.len());
        while open > 0 {
            let next = tokio::time::timeout(Duration::from_secs(60), asked.recv()).await;
            let (path, at) = next.expect("a change never reached the runner").unwrap();
            if let Some(sent) = sent.remove(&path) {
                times.push(at.duration_since(sent).as_secs_f64());
                open -= 1;
            }
        }
        println!(
            "one changed probe: its server is asked by the runner after {:.2} s (median), {:.2} s (p99), {:.2} s (at most)",
            quantile(&mut times, 0.5),
            quantile(&mut times, 0.99),
            quantile(&mut times, 1.0)
        );
    }
}
