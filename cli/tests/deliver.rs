//! Reports on a schedule: each once, to everybody, whatever goes wrong in between.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "../../crates/runs/tests/common/moto.rs"]
mod moto;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{Dice, Of, ok, record, second, store, walk};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

/// What a webhook was sent.
#[derive(Default)]
struct Inbox {
    answers: u16,
    got: Vec<(HeaderMap, Bytes)>,
}

type Shared = Arc<Mutex<Inbox>>;

async fn take(State(inbox): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut inbox = inbox.lock().unwrap();
    inbox.got.push((headers, body));
    StatusCode::from_u16(inbox.answers).unwrap()
}

async fn listen(inbox: Shared) -> std::net::SocketAddr {
    let app = Router::new()
        .route("/hooks/{token}", post(take))
        .with_state(inbox);
    let app = app.layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    at
}

/// A folder as the operator's Secret is mounted.
fn plan(folder: &Path, age: &[&str], url: &str) {
    fs::create_dir_all(folder).unwrap();
    let plan = json!({
        "namespace": "tv", "name": "daily", "uid": "0b5a7e91", "generation": 3,
        "schedule": "0 6 * * *", "timeZone": "UTC", "period": "Day", "since": "2026-10-01T00:00:00Z",
        "tenants": [
            { "name": "acme", "displayName": "ACME", "target": 99.9 },
            { "name": "silent", "displayName": "Silent", "target": null },
        ],
        "formats": ["Csv", "Html", "Json", "Pdf"],
        "noData": "Excluded", "maintenance": "Excluded", "incidentMinutes": 1, "businessHours": null,
        "ageRecipients": age,
        "recipients": [
            { "name": "customer", "way": { "webhook": { "signed": true } } },
            { "name": "archive", "way": { "objects": { "path": "archive/acme" } } },
        ],
        "egress": { "allowCidrs": ["127.0.0.0/8"] },
    });
    fs::write(folder.join("report.json"), plan.to_string()).unwrap();
    fs::write(folder.join("customer.url"), format!("{url}\n")).unwrap();
    fs::write(folder.join("customer.hmac"), "hmac-s3cr3t").unwrap();
}

fn deliver(place: &Path, plan: &Path, at: &str, more: &[&str]) -> (Output, Value) {
    let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let log = place.join("termination");
    fs::write(&log, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_drmwatch"))
        .args(["deliver", "--store", &path("store"), "--keys", &path("keys")])
        .args([
            "--plan",
            plan.to_str().unwrap(),
            "--at",
            at,
            "--sign",
            &path("signing"),
        ])
        .args(["--termination-log", log.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    let said = [&output.stdout, &output.stderr]
        .map(|s| String::from_utf8_lossy(s).into_owned())
        .join("");
    let outcome = fs::read_to_string(log).unwrap();
    for secret in ["t0ken", "hmac-s3cr3t"] {
        assert!(
            !said.contains(secret) && !outcome.contains(secret),
            "{said}{outcome}"
        );
    }
    let outcome = serde_json::from_str(&outcome).unwrap_or(Value::Null);
    (output, outcome)
}

fn archived(place: &Path) -> Vec<String> {
    let mut names: Vec<String> = walk(&place.join("store/reports/archive/acme"))
        .iter()
        .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

async fn planted() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    ok(&["keys", "create", "--keys", &path("keys"), "tv/acme"]);
    ok(&["keys", "signing", &path("signing")]);
    let mut dice = Dice(1);
    let of = Of {
        tenant: "acme",
        probe: "acme-live",
        region: "eu",
        interval: 60,
    };
    let records = (0..120)
        .map(|i| record(&of, second("2026-10-01T10:00:00Z") + i * 60, &mut dice))
        .collect();
    store(place.path()).append("one", records).await.unwrap();
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn each_period_is_delivered_once_to_everybody_though_somebody_could_not_take_it() {
    let place = planted().await;
    let inbox = Shared::default();
    inbox.lock().unwrap().answers = 503;
    let at = listen(inbox.clone()).await;
    let folder = place.path().join("plan");
    plan(&folder, &[], &format!("http://{at}/hooks/t0ken"));

    // Nothing is known of the day before the first.
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-01T07:00:00Z", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((&outcome["delivered"], &outcome["empty"]), (&json!(0), &json!(2)));

    let (output, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        (&outcome["delivered"], &outcome["failed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(outcome["undelivered"][0]["recipient"], "customer");
    let why = outcome["undelivered"][0]["why"].as_str().unwrap();
    assert!(why.contains("answered 503"), "{why}");
    assert_eq!(outcome["through"], "2026-09-30");
    let name = |end: &str| format!("tv-acme-2026-10-01-2026-10-01{end}");
    let mut files: Vec<String> = ["-incidents.csv", ".csv", ".html", ".json", ".pdf"]
        .map(name)
        .into();
    files.extend(files.clone().iter().map(|f| format!("{f}.sig")));
    files.sort();
    assert_eq!(archived(place.path()), files);
    let archive = |name: &str| fs::read(place.path().join("store/reports/archive/acme").join(name)).unwrap();
    let first = archive(&name(".html"));

    // It takes what it missed, and whoever has it gets nothing again.
    inbox.lock().unwrap().answers = 204;
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (&outcome["delivered"], &outcome["through"]),
        (&json!(1), &json!("2026-10-01"))
    );
    assert_eq!(archive(&name(".html")), first);
    let (_, outcome) = deliver(place.path(), &folder, "2026-10-02T09:00:00Z", &[]);
    assert_eq!(outcome["delivered"], 0);
    {
        let inbox = inbox.lock().unwrap();
        assert_eq!(inbox.got.len(), 2);
        let key = |n: usize| inbox.got[n].0["idempotency-key"].clone();
        assert_eq!(key(0), key(1), "a delivery that is tried again is the same");
        let (headers, body) = &inbox.got[1];
        let message = place.path().join("body");
        fs::write(&message, body).unwrap();
        let openssl = Command::new("openssl")
            .args(["dgst", "-sha256", "-hmac", "hmac-s3cr3t", "-r"])
            .arg(&message)
            .output()
            .unwrap();
        let mac = String::from_utf8(openssl.stdout).unwrap();
        let mac = mac.split(' ').next().unwrap();
        assert_eq!(headers["drmwatch-signature"], format!("sha256={mac}"));
        let sent: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            (&sent["tenant"], &sent["from"], &sent["encrypted"]),
            (&json!("tv/acme"), &json!("2026-10-01"), &json!(false))
        );
        assert_eq!(sent["availability"], "100.0000");
        let sent = sent["files"].as_array().unwrap();
        assert_eq!(sent.len(), 10);
        for file in sent {
            let bytes = STANDARD.decode(file["base64"].as_str().unwrap()).unwrap();
            let file_name = file["name"].as_str().unwrap();
            // Pages say when they were made.
            assert!(
                !file_name.ends_with(".csv") || bytes == archive(file_name),
                "{file_name}"
            );
        }
    }

    // After an absence every period that was missed, the same as by hand.
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-05T00:00:00Z", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (&outcome["delivered"], &outcome["through"]),
        (&json!(4), &json!("2026-10-03"))
    );
    assert_eq!(inbox.lock().unwrap().got.len(), 4);
    let by_hand = place.path().join("by-hand");
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    ok(&[
        "report",
        "--store",
        &path("store"),
        "--keys",
        &path("keys"),
        "--tenant",
        "tv/acme",
        "--day",
        "2026-10-01",
        "--target",
        "99.9",
        "--format",
        "csv",
        "--out",
        by_hand.to_str().unwrap(),
    ]);
    assert_eq!(
        fs::read(by_hand.join(name(".csv"))).unwrap(),
        archive(&name(".csv"))
    );
    let signed = place.path().join("store/reports/archive/acme").join(name(".pdf"));
    ok(&["verify", "--key", &path("signing.pub"), signed.to_str().unwrap()]);
    // What notes it names nobody.
    for file in walk(&place.path().join("store/v1")) {
        let file = file.to_string_lossy().into_owned();
        for name in ["acme", "daily", "customer", "archive"] {
            assert!(!file.contains(name), "{file}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_key_reads_what_was_encrypted_and_nothing_is_told_beside_it() {
    let place = planted().await;
    let keys: Vec<(String, String)> = ["one", "two"]
        .iter()
        .map(|name| {
            let file = place.path().join(name).to_str().unwrap().to_owned();
            let made = Command::new("age-keygen")
                .args(["-o", &file])
                .output()
                .expect("make unit installs age");
            let said = String::from_utf8(made.stderr).unwrap();
            (file, said.trim().rsplit(' ').next().unwrap().to_owned())
        })
        .collect();
    let inbox = Shared::default();
    inbox.lock().unwrap().answers = 200;
    let at = listen(inbox.clone()).await;
    let folder = place.path().join("plan");
    plan(
        &folder,
        &[&keys[0].1, &keys[1].1],
        &format!("http://{at}/hooks/t0ken"),
    );
    let (output, _) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(archived(place.path()).iter().all(|n| n.ends_with(".age")));
    let file = place
        .path()
        .join("store/reports/archive/acme/tv-acme-2026-10-01-2026-10-01.csv.age");
    for (key, _) in &keys {
        let opened = Command::new("age")
            .args(["-d", "-i", key])
            .arg(&file)
            .output()
            .unwrap();
        let text = String::from_utf8(opened.stdout).unwrap();
        assert!(
            text.starts_with("period_start,period_end,timezone,tenant"),
            "{text}"
        );
    }
    let sent: Value = serde_json::from_slice(&inbox.lock().unwrap().got[0].1).unwrap();
    assert_eq!(sent["encrypted"], true);
    assert!(
        sent.get("availability").is_none() && sent.get("verdict").is_none(),
        "{sent}"
    );
    // What can't be used is said, and nothing goes out unencrypted.
    plan(&folder, &["age1nonsense"], &format!("http://{at}/hooks/t0ken"));
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-03T07:00:00Z", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        outcome["undelivered"][0]["why"]
            .as_str()
            .unwrap()
            .contains("age1nonsense"),
        "{outcome}"
    );
    assert_eq!(inbox.lock().unwrap().got.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_on_a_network_that_the_pool_does_not_allow_is_not_reached() {
    let place = planted().await;
    let inbox = Shared::default();
    inbox.lock().unwrap().answers = 200;
    let at = listen(inbox.clone()).await;
    let folder = place.path().join("plan");
    plan(&folder, &[], &format!("http://{at}/hooks/t0ken"));
    let file = folder.join("report.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("127.0.0.0/8", "10.0.0.0/8")).unwrap();
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(outcome["undelivered"][0]["recipient"], "customer");
    assert!(inbox.lock().unwrap().got.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_the_customer_is_written_with_credentials_of_its_own() {
    let Some(moto) = moto::moto().await else { return };
    let s3 = format!("http://{}", moto.1);
    let curl = |args: &[&str]| {
        let output = Command::new("curl")
            .args(["-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "k:s"])
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    curl(&["-X", "PUT", &format!("{s3}/acme-reports")]);
    let place = planted().await;
    let folder = place.path().join("plan");
    plan(&folder, &[], "http://127.0.0.1:1/hooks/t0ken");
    let file = folder.join("report.json");
    let mut written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    written["recipients"] = json!([
        { "name": "bucket", "way": { "objects": { "path": "s3://acme-reports/sla" } } },
    ]);
    fs::write(&file, written.to_string()).unwrap();
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    let why = |outcome: &Value| outcome["undelivered"][0]["why"].as_str().unwrap().to_owned();
    assert_eq!(output.status.code(), Some(1), "{outcome}");
    assert!(
        why(&outcome).contains("need one of AWS_ACCESS_KEY_ID"),
        "{outcome}"
    );
    for (variable, value) in [
        ("AWS_ACCESS_KEY_ID", "acme"),
        ("AWS_SECRET_ACCESS_KEY", "hmac-s3cr3t"),
        ("AWS_ENDPOINT", &s3),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ALLOW_HTTP", "true"),
    ] {
        fs::write(folder.join(format!("bucket.env.{variable}")), value).unwrap();
    }
    // What a tenant may not set, and where its pool may not go.
    let odd = folder.join("bucket.env.AWS_WEB_IDENTITY_TOKEN_FILE");
    fs::write(&odd, "/var/run/token").unwrap();
    let (_, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert!(
        why(&outcome).contains("must not have AWS_WEB_IDENTITY_TOKEN_FILE"),
        "{outcome}"
    );
    fs::remove_file(odd).unwrap();
    let endpoint = folder.join("bucket.env.AWS_ENDPOINT");
    fs::write(&endpoint, "http://169.254.169.254").unwrap();
    let (_, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert!(why(&outcome).contains("the endpoint of bucket"), "{outcome}");
    fs::write(&endpoint, &s3).unwrap();
    let (output, outcome) = deliver(place.path(), &folder, "2026-10-02T07:00:00Z", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(outcome["delivered"], 1);
    let csv = curl(&[&format!(
        "{s3}/acme-reports/sla/tv-acme-2026-10-01-2026-10-01.csv"
    )]);
    assert!(String::from_utf8_lossy(&csv).contains(",tv/acme,"));
    assert!(!place.path().join("store/reports").exists());
}
