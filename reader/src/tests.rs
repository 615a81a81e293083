//! The API over a real store, asked by curl; Kubernetes itself is asked in `e2e/cases/12-results`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::{
    door::{Door, router},
    tls,
};
use drmwatch_access::{Authority, Decision, Silent};
use drmwatch_archive::{
    keys::{Folder, Kms, Names},
    shred,
    sign::Signer,
};
use drmwatch_metrics::{Metrics, Owner, READER_REQUESTS};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{
    Kind, Record, Store,
    consolidate::{Consolidator, Settings},
};
use jiff::{Timestamp, civil::date};
use serde_json::Value;
use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, process::Command, sync::Arc};
use tokio::net::TcpListener;

/// A token is good for the tenant that it names.
struct Named;

impl Authority for Named {
    async fn decide(&self, token: &str, tenant: &TenantKey) -> Result<Decision, Silent> {
        match token {
            "nobody" => Ok(Decision::Unknown),
            "away" => Err(Silent),
            own if own == tenant.name => Ok(Decision::Allowed),
            _ => Ok(Decision::Denied),
        }
    }
}

fn record(slot: i64, probe: &str, region: &str) -> Record {
    let fails = slot % 600 == 0;
    Record {
        kind: Kind::Run,
        tenant_namespace: "tv".into(),
        tenant: "acme".into(),
        probe: probe.into(),
        uid: format!("uid-{probe}"),
        generation: 1,
        region: region.into(),
        runner: "runner-0".into(),
        shard: Some(3),
        slot: Timestamp::from_second(slot).unwrap(),
        lag_ms: 2,
        duration_us: 40_000,
        attempt: 1,
        counts: true,
        slots: 1,
        stands_seconds: 60,
        outcome: Some(if fails { "fail" } else { "pass" }.into()),
        domain: fails.then(|| "Network".into()),
        step: fails.then(|| "manifest".into()),
        reason: fails.then(|| "Timeout".into()),
        message: None,
        trace_id: None,
        evidence: None,
        maintenance: None,
        steps: Vec::new(),
        bundle: None,
    }
}

struct Api {
    place: tempfile::TempDir,
    store: Store,
    metrics: Metrics,
    at: SocketAddr,
}

impl Api {
    async fn start() -> Api {
        let place = tempfile::tempdir().unwrap();
        let keys = place.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let names = Names::read_or_make(&keys).unwrap();
        let holder = Folder::new(keys);
        for tenant in ["acme", "empty"] {
            holder
                .create(&names.tenant(&TenantKey::new("tv", tenant)))
                .await
                .unwrap();
        }
        let root = place.path().join("store");
        let store = Store::open(root.to_str().unwrap(), Arc::new(holder), names).unwrap();
        let metrics = Metrics::default();
        let door = Arc::new(Door::new(store.clone(), Named, metrics.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router(door)).await });
        Api {
            place,
            store,
            metrics,
            at,
        }
    }

    /// Status and body.
    async fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "-w",
            "\n%{http_code}",
            &format!("http://{}{path}", self.at),
        ]);
        if let Some(token) = token {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap();
        let text = String::from_utf8(output.expect("curl").stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (
            status.parse().unwrap(),
            serde_json::from_str(body).unwrap_or(Value::Null),
        )
    }

    async fn acme(&self, rest: &str) -> (u16, Value) {
        self.get(&format!("/v1/tenants/tv/acme/{rest}"), Some("acme"))
            .await
    }

    /// All items, page by page, and how many pages there were.
    async fn all(&self, rest: &str) -> (Vec<Value>, usize) {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        for pages in 1.. {
            let (status, body) = self.acme(&format!("{rest}{cursor}")).await;
            assert_eq!(status, 200, "{body}");
            items.extend(body["items"].as_array().unwrap().iter().cloned());
            match body["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (items, pages),
            }
        }
        unreachable!()
    }
}

async fn planted() -> Api {
    let api = Api::start().await;
    let start: Timestamp = "2026-10-01T22:00:00Z".parse().unwrap();
    // Two probes in two regions, over midnight; in batches that overlap, as retries do.
    let mut batches = vec![Vec::new(), Vec::new(), Vec::new()];
    for i in 0..240 {
        for (n, (probe, region)) in [("live", "eu"), ("live", "us"), ("vod", "eu"), ("vod", "us")]
            .iter()
            .enumerate()
        {
            let run = record(start.as_second() + i * 60, probe, region);
            if i % 50 == 0 {
                // Two runners ran it; who began last is believed, and it failed there.
                let mut twice = run.clone();
                (twice.lag_ms, twice.outcome, twice.reason) =
                    (9000, Some("fail".into()), Some("TlsHandshake".into()));
                batches[2].push(twice);
            }
            batches[(i as usize + n) % 2].push(run);
        }
    }
    for (i, batch) in batches.into_iter().enumerate() {
        api.store.append(&format!("b{i}"), batch).await.unwrap();
    }
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_put_together_are_the_whole_whatever_their_size() {
    let api = planted().await;
    let days = "results?from=2026-10-01&to=2026-10-02";
    let (whole, pages) = api.all(&format!("{days}&limit=1000")).await;
    assert_eq!((whole.len(), pages), (960, 1), "each run once, over midnight");
    let key = |r: &Value| ["slot", "probe", "region"].map(|k| r[k].as_str().unwrap().to_owned());
    let keys: BTreeSet<_> = whole.iter().map(key).collect();
    assert_eq!(keys.len(), 960);
    let slots: Vec<_> = whole.iter().map(key).collect();
    assert!(slots.is_sorted(), "in the order of time");
    for limit in [7, 480, 481] {
        let (parts, _) = api.all(&format!("{days}&limit={limit}")).await;
        assert_eq!(parts, whole, "{limit}");
    }
    // Of a run that was made twice only the one that counts is asked.
    let handshakes = api.all(&format!("{days}&reason=TlsHandshake&limit=3")).await.0;
    assert_eq!(handshakes.len(), 20);
    let passes = api
        .all(&format!("{days}&outcome=pass&probe=live&region=eu"))
        .await
        .0;
    let expected = whole
        .iter()
        .filter(|r| r["outcome"] == "pass" && r["probe"] == "live" && r["region"] == "eu");
    assert!(passes.iter().eq(expected));
    assert_eq!(api.all("results?from=2026-09-01&to=2026-09-02").await.0.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_says() {
    let api = planted().await;
    let id = api.store.tenant(&TenantKey::new("tv", "acme"));
    let at: Timestamp = "2026-10-10T00:00:00Z".parse().unwrap();
    let consolidator = Consolidator::new(&api.store, id, Settings::default(), at);
    consolidator
        .run(date(2026, 10, 1), date(2026, 10, 3), |_| {})
        .await
        .unwrap();
    let (lines, _) = api.all("rollups?from=2026-10-01&to=2026-10-02&limit=4").await;
    assert_eq!(
        lines.len(),
        12,
        "two days, two probes, two regions and all together"
    );
    let first = &lines[0];
    assert_eq!(
        (&first["probe"], &first["region"], &first["final"]),
        (&"live".into(), &"*".into(), &true.into())
    );
    assert_eq!(
        (&first["runs"], &first["minutes"]["down"]),
        (&240.into(), &12.into())
    );
    assert_eq!(first["availability"], "90.0000");
    let (only, _) = api
        .all("rollups?from=2026-10-01&to=2026-10-02&region=*&probe=vod&level=1h")
        .await;
    assert!(only.iter().all(|l| l["region"] == "*" && l["probe"] == "vod") && only.len() > 2);

    let Ok(python) = std::env::var("RESULTS_ORACLE") else {
        println!("skipped: RESULTS_ORACLE names no Python with openapi-spec-validator (make results)");
        return;
    };
    let write = |name: &str, value: &Value| {
        let file = api.place.path().join(name);
        fs::write(&file, value.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let document = write("openapi.json", &api.get("/openapi.json", None).await.1);
    let results = write(
        "results.json",
        &api.acme("results?from=2026-10-01&to=2026-10-02").await.1,
    );
    let rollups = write(
        "rollups.json",
        &api.acme("rollups?from=2026-10-01&to=2026-10-02").await.1,
    );
    let problem = write("problem.json", &api.acme("results?from=yesterday").await.1);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/oracles/results/openapi.py");
    let output = Command::new(python)
        .args([
            script, &document, "Results", &results, "Rollups", &rollups, "Problem", &problem,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_learns_nothing_and_bad_questions_are_told_why() {
    let api = planted().await;
    let path = "/v1/tenants/tv/acme/results?from=2026-10-01&to=2026-10-02";
    for (token, status) in [
        (None, 401),
        (Some("nobody"), 401),
        (Some("other"), 403),
        (Some("away"), 503),
        (Some("acme"), 200),
    ] {
        assert_eq!(api.get(path, token).await.0, status, "{token:?}");
    }
    // Whether a tenant is there is told to those who may read it.
    assert_eq!(api.get("/v1/tenants/tv/empty/results", Some("acme")).await.0, 403);
    assert_eq!(
        api.get("/v1/tenants/tv/empty/results", Some("empty")).await.0,
        404
    );
    assert_eq!(
        api.get("/v1/tenants/tv/acme/results?from=x", Some("other"))
            .await
            .0,
        403
    );
    for (rest, parameter, why) in [
        ("results?from=yesterday", "from", "must be a day"),
        ("results?from=2026-10-03&to=2026-10-01", "from", "is after to"),
        (
            "results?from=2020-01-01&to=2026-10-01",
            "from",
            "at most 400 days",
        ),
        ("results?limit=0", "limit", "from 1 to 1000"),
        ("results?limit=many", "limit", "from 1 to 1000"),
        ("results?outcome=perhaps", "outcome", "must be of pass"),
        ("results?cursor=nonsense", "cursor", "must be what an answer gave"),
        ("rollups?level=2d", "level", "must be 15m"),
    ] {
        let (status, problem) = api.acme(rest).await;
        assert_eq!(
            (status, problem["parameter"].as_str()),
            (400, Some(parameter)),
            "{rest} {problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{rest} {problem}"
        );
    }
    let (_, page) = api.acme("results?from=2026-10-01&to=2026-10-02&limit=5").await;
    let cursor = page["next"].as_str().unwrap();
    let (status, problem) = api
        .acme(&format!("results?from=2026-10-01&to=2026-10-01&cursor={cursor}"))
        .await;
    assert_eq!((status, problem["parameter"].as_str()), (400, Some("cursor")));
    assert_eq!(api.acme("results?colour=red").await.0, 400);
    assert_eq!(api.get("/v2", None).await.0, 404);
    let denied = api
        .metrics
        .value(&READER_REQUESTS, &Owner::program(), &["results", "403"]);
    assert_eq!(denied, Some(3.0));

    let signer = Signer::new(&Signer::make().unwrap()).unwrap();
    shred::shred(
        &api.store,
        &api.store.tenant(&TenantKey::new("tv", "acme")),
        "ended",
        &signer,
        Timestamp::UNIX_EPOCH,
    )
    .await
    .unwrap();
    assert_eq!(api.get(path, Some("acme")).await.0, 410);
}

fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_tls_too_and_who_is_slow_to_shake_hands_holds_up_nobody() {
    let api = planted().await;
    certificate(api.place.path());
    let files = tls::Files {
        certificate: api.place.path().join("cert.pem"),
        key: api.place.path().join("key.pem"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let door = Arc::new(Door::new(api.store.clone(), Named, api.metrics.clone()));
    let listener = tls::Listener::new(listener, files).unwrap();
    tokio::spawn(async move { axum::serve(listener, router(door)).await });
    // They say nothing.
    #[allow(clippy::disallowed_methods)]
    let silent = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut command = Command::new("curl");
    command
        .args([
            "-sS",
            "--cacert",
            api.place.path().join("cert.pem").to_str().unwrap(),
        ])
        .args([
            "-H",
            "Authorization: Bearer acme",
            "--resolve",
            &format!("localhost:{}:127.0.0.1", at.port()),
        ])
        .arg(format!(
            "https://localhost:{}/v1/tenants/tv/acme/results?from=2026-10-01&to=2026-10-01&limit=3",
            at.port()
        ));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let body: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(
        body["items"].as_array().map(Vec::len),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    drop(silent);
    let missing = tls::Files {
        certificate: api.place.path().join("key.pem"),
        key: api.place.path().join("none.pem"),
    };
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = tls::Listener::new(free, missing).err().unwrap().to_string();
    assert!(error.contains("none.pem"), "{error}");
}
