//! Secrets are planted in every input, and looked for in every output of every mode: logs at trace, metrics, evidence,
//! termination message, standard output. None may be found. And a record is judged again, by the program itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_archive::{
    keys::{self, Names},
    spool,
};
use drmwatch_testkit::{Fault, Ports, World, drm};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_drmwatch-runner");
const KID: &str = "a7e61c37-3e21-9033-c210-91fa607bf3b8";

/// What is planted, by the name of its credential.
fn planted() -> Vec<(&'static str, String)> {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    vec![
        ("api-key", "demo-api-key".into()),
        ("token-key", drm::TOKEN_KEY.into()),
        ("device-id", base64(&drm::identity())),
        ("device-key", drm::device_key().into()),
        ("challenge", base64(&drm::recorded_playready_challenge())),
        ("spc", base64(&drm::recorded_spc())),
        ("user", drm::KEY_SERVER_USER.into()),
        ("password", drm::KEY_SERVER_PASSWORD.into()),
        ("opaque", "planted-opaque-token-4711".into()),
        ("custom", "planted-custom-data-0815".into()),
        ("root", base64(&drm::widevine_root())),
    ]
}

/// Texts that must not be found.
fn forbidden() -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for (name, value) in planted() {
        // The root is public, and the user's name is a word that an error may use.
        if name == "root" || name == "user" {
            continue;
        }
        let lines = value.lines().filter(|l| !l.starts_with("-----") && l.len() > 7);
        texts.extend(lines.map(|l| l.chars().take(40).collect()));
    }
    // Tokens made by the run: their header is {"typ":"JWT","alg":"HS256"}; and Basic credentials.
    texts.push("eyJ0eXAiOiJKV1Qi".into());
    texts.push(STANDARD.encode(format!("{}:{}", drm::KEY_SERVER_USER, drm::KEY_SERVER_PASSWORD)));
    texts
}

fn steps(world: &str) -> Vec<(&'static str, String)> {
    let token = "token: {mint: {algorithm: HS256, keyCredential: token-key, claims: '{\"asset\": \"canary\", \"user\": \"${credentials.custom}\"}'}}";
    let kids = format!("kids: [{KID}]");
    vec![
        (
            "widevine",
            format!(
                "license: {{system: Widevine, url: {world}/drm/widevine/license, {kids}, {token}, headers: [{{name: x-custom, value: '${{credentials.custom}}'}}], challenge: {{device: {{clientIdCredential: device-id, privateKeyCredential: device-key, provenance: made for tests}}}}, widevine: {{rootCredential: root}}}}"
            ),
        ),
        (
            "playready",
            format!(
                "license: {{system: PlayReady, url: '{world}/drm/playready/license?customdata=${{credentials.custom}}', {kids}, {token}, challenge: {{recordedCredential: challenge}}}}"
            ),
        ),
        (
            "fairplay",
            format!(
                "license: {{system: FairPlay, url: {world}/drm/fairplay/license, {token}, challenge: {{recordedCredential: spc}}, kids: [{KID}]}}"
            ),
        ),
        (
            "clearkey",
            format!(
                "license: {{system: ClearKey, url: {world}/drm/clearkey/license, {kids}, {token}}}\n    expectDenied: {{variants: [{{flaw: OtherAsset, tokenCredential: opaque}}]}}"
            ),
        ),
        (
            "keys",
            format!(
                "keyServer: {{protocol: SPEKE-2.0, url: {world}/drm/speke/2.0, contentId: '${{credentials.custom}}', keys: [{{kid: {KID}}}], systems: [Widevine], encryptedKeys: false, auth: {{basic: {{userCredential: user, passwordCredential: password}}}}}}"
            ),
        ),
        (
            "plugin",
            format!(
                "plugin: {{hook: {{url: {world}/drm/hook/check, input: '{{\"outcome\": \"Fail\", \"message\": \"${{credentials.opaque}} and ${{credentials.custom}}\"}}', credentials: [api-key]}}}}"
            ),
        ),
        // A server that says what it was sent, a rule that takes all of it, and an expectation that quotes it.
        (
            "echo",
            format!(
                "license: {{system: Proprietary, url: {world}/echo-headers, token: {{credential: opaque}}, request: {{body: '{{}}'}}, response: {{extraction: JsonPointer, field: /x}}, errorRules: [{{regex: '(?s).+', reason: GeoDenied}}]}}"
            ),
        ),
        (
            "http",
            format!(
                "http: {{url: '{world}/status/500?k=${{credentials.api-key}}', headers: [{{name: authorization, value: 'Bearer ${{credentials.opaque}}'}}]}}"
            ),
        ),
    ]
}

fn folder(world: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: 'n'}\ndata:\n");
    for (name, value) in planted() {
        text += &format!("  {name}: {}\n", STANDARD.encode(value));
    }
    text += "---\napiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: 'n'}\nspec:\n  displayName: T\n  budget: {requestsPerMinute: 6000}\n  credentials:\n";
    for (name, _) in planted() {
        text += &format!("  - {{name: {name}, secretKeyRef: {{name: s, key: {name}}}}}\n");
    }
    for (name, step) in steps(world) {
        text += &format!(
            "---\napiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: {name}, namespace: 'n'}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 5}}\n  timeoutSeconds: 4\n  steps:\n  - name: s\n    {step}\n"
        );
    }
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    folder
}

fn nothing_secret(what: &str, text: &str) {
    for secret in forbidden() {
        assert!(
            !text.contains(&secret),
            "{what} holds {secret}: {}",
            around(text, &secret)
        );
    }
}

fn around<'a>(text: &'a str, secret: &str) -> &'a str {
    let at = text.find(secret).unwrap();
    text.get(at.saturating_sub(200)..(at + 100).min(text.len()))
        .unwrap_or(text)
}

fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn records(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect()
}

fn await_that(what: &str, mut seen: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !seen() {
        assert!(Instant::now() < deadline, "not seen: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_leaves_the_program_in_any_mode() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    let base = format!("http://{}", world.http);
    let folder = folder(&base);
    let evidence = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let place = |name: &str| kept.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(place("keys")).unwrap();
    Names::read_or_make(Path::new(&place("keys"))).unwrap();
    // Every licence fails: in the server's words, which quote what was sent.
    world.faults.set(Fault::DrmDenied, true);
    let mut runner = Ended(
        Command::new(PROGRAM)
            .arg(folder.path())
            .args([
                "--listen",
                "127.0.0.1:0",
                "--allow-cidr",
                "127.0.0.0/8",
                "--log-json",
                "--evidence",
            ])
            .arg(evidence.path())
            .args(["--results", &place("store"), "--results-keys", &place("keys")])
            .args(["--results-spool", &place("spool")])
            .env("DRMWATCH_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let read = |stream: Box<dyn Read + Send>| {
        let text = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let shared = text.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = shared.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        text
    };
    let (out, err) = (
        read(Box::new(runner.0.stdout.take().unwrap())),
        read(Box::new(runner.0.stderr.take().unwrap())),
    );
    let logged = || out.lock().unwrap().clone() + &err.lock().unwrap();
    let count = steps(&base).len();
    await_that("a record of every probe", || {
        records(evidence.path()).len() >= count
    });
    let text = logged();
    let at = text.find("/metrics").expect("the address is logged");
    let address = text[..at].rsplit("http://").next().unwrap().to_owned();
    let scraped = metrics(&address);
    assert!(scraped.contains("drmwatch_tenant_budget_left_ratio") && scraped.contains("GeoDenied"));
    nothing_secret("metrics", &scraped);
    // A runner that is asked to stop writes what it has; tenants without a key keep it on the disk.
    let asked = Command::new("kill")
        .args(["-TERM", &runner.0.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    assert!(runner.0.wait().unwrap().success(), "{}", logged());
    drop(runner);
    assert!(logged().contains("the probe fails") && logged().contains("\"trace\""));
    nothing_secret("the log", &logged());
    // Results, and the evidence that goes with them, as they wait on the disk: encrypted, and nothing secret in them.
    let key = keys::own(&kept.path().join("spool/key")).unwrap();
    let (_, shelf, _) =
        spool::open::<drmwatch_runs::Record>(&kept.path().join("spool"), &key, spool::Limits::default())
            .unwrap();
    let mut bundles = 0;
    for path in shelf.closed().unwrap() {
        let raw = fs::read(&path).unwrap();
        nothing_secret("the spool", &String::from_utf8_lossy(&raw));
        for record in shelf.read(&path).unwrap().records {
            nothing_secret("a result", &serde_json::to_string(&record).unwrap());
            bundles += usize::from(record.bundle.is_some());
        }
    }
    assert!(bundles >= count, "{bundles} of {count}");
    let mut judged = 0;
    for record in records(evidence.path()) {
        let text = fs::read_to_string(&record).unwrap();
        nothing_secret(&record.display().to_string(), &text);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let output = Command::new(PROGRAM)
            .arg("--replay")
            .arg(&record)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let reason = value["outcome"]["reason"].as_str().unwrap();
        let code = if value["outcome"]["outcome"] == "Fail" {
            1
        } else {
            2
        };
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(
            said.contains(reason) && !said.contains("ANOTHER"),
            "{reason}: {said}"
        );
        judged += usize::from(said.contains("judged again, the same"));
        nothing_secret("the replay", &said);
    }
    assert!(judged >= 6, "{judged}");
    let checked = Command::new(PROGRAM)
        .arg("--check")
        .arg(folder.path())
        .output()
        .unwrap();
    nothing_secret("--check", &both(&checked));
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_the_termination_message_of_a_job() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    world.faults.set(Fault::DrmGeo, true);
    let mounted = tempfile::tempdir().unwrap();
    let plan = serde_json::json!({
        "id": { "namespace": "n", "tenant": "t", "probe": "p" }, "uid": "u", "generation": 1, "region": "r",
        "execution": "Job", "startingDeadlineSeconds": 60, "timeoutSeconds": 9,
        "egress": { "allowCidrs": ["127.0.0.0/8"] },
        "steps": [{ "name": "l", "license": {
            "system": "ClearKey", "url": format!("http://{}/drm/clearkey/license", world.http), "kids": [KID],
            "token": { "mint": { "algorithm": "HS256", "keyCredential": "token-key", "claims": "{\"asset\":\"canary\"}" } },
            "errorRules": [{ "status": 403, "regex": "(?s).+", "reason": "GeoDenied" }],
        } }],
    });
    fs::write(mounted.path().join("plan.json"), plan.to_string()).unwrap();
    for (name, value) in planted() {
        fs::write(mounted.path().join(format!("credential.{name}")), value).unwrap();
    }
    let (log, kept) = (mounted.path().join("log"), tempfile::tempdir().unwrap());
    let output = Command::new(PROGRAM)
        .arg("--once")
        .arg(mounted.path())
        .arg("--termination-log")
        .arg(&log)
        .arg("--evidence")
        .arg(kept.path())
        .env("DRMWATCH_LOG", "trace")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("GeoDenied") && said.contains("traceId"), "{said}");
    nothing_secret("the termination message", &said);
    nothing_secret("the output", &both(&output));
    assert_eq!(records(kept.path()).len(), 1);
}

/// A wrong credential is told by its name, its Secret and its key before anything runs, and never quoted.
#[test]
fn a_wrong_credential_is_named_before_the_first_run() {
    let folder = folder("http://127.0.0.1:9");
    let file = folder.path().join("all.yaml");
    let right = fs::read_to_string(&file).unwrap();
    for (name, wrong, says) in [
        ("device-key", "planted-but-no-key", "the private key must be"),
        ("device-id", "planted but no identity", "the client id must be"),
        (
            "challenge",
            "cGxhbnRlZCBidXQgbm8gY2hhbGxlbmdl",
            "must be a recorded licence request of PlayReady",
        ),
        (
            "spc",
            "cGxhbnRlZA==",
            "must be a recorded licence request of FairPlay",
        ),
        ("root", "cGxhbnRlZA==", "must be an RSA public key"),
    ] {
        let (before, value) = planted().into_iter().find(|(n, _)| *n == name).unwrap();
        let text = right.replace(
            &format!("  {before}: {}", STANDARD.encode(value)),
            &format!("  {before}: {}", STANDARD.encode(wrong)),
        );
        fs::write(&file, text).unwrap();
        let output = Command::new(PROGRAM)
            .arg("--check")
            .arg(folder.path())
            .output()
            .unwrap();
        let said = both(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(
            said.contains(&format!("the credential {name}, key {name} of the Secret s"))
                && said.contains(says),
            "{said}"
        );
        assert!(!said.contains(wrong), "{said}");
    }
}
