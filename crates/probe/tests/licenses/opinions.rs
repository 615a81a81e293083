//! Implementations that share no code with ours, as external processes (`make opinions`): pywidevine and a Python server
//! for Widevine, lxml and cryptography for PlayReady's signatures, the PyPI package cpix for key servers, protoc for the
//! wire format. `DRM_OPINIONS` names the folder with the two virtual environments; without it they are skipped.

use crate::{bench::Bench, specs};
use drmwatch_drm::{
    cpix::{Ask, AskedKey, Document, System, Version, check},
    widevine,
};
use drmwatch_media::Kid;
use drmwatch_probe::ProbeState;
use drmwatch_testkit::{Fault, drm};
use drmwatch_tokens::{JwtAlgorithm, JwtSigner};
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

const KID: &str = "a7e61c37-3e21-9033-c210-91fa607bf3b8";

struct Oracles {
    folder: PathBuf,
    scratch: tempfile::TempDir,
}

impl Oracles {
    fn find() -> Option<Oracles> {
        let Some(folder) = std::env::var_os("DRM_OPINIONS") else {
            println!("skipped: DRM_OPINIONS is not set (make opinions)");
            return None;
        };
        let scratch = tempfile::tempdir().unwrap();
        Some(Oracles {
            folder: folder.into(),
            scratch,
        })
    }

    fn command(&self, environment: &str, script: &str, arguments: &[&str]) -> Command {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../e2e/opinions/drm");
        let mut command = Command::new(self.folder.join(environment).join("bin/python"));
        command.arg(format!("{scripts}/{script}")).args(arguments);
        command
    }

    async fn run(&self, environment: &str, script: &str, arguments: &[&str]) -> String {
        let mut command = self.command(environment, script, arguments);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            output.status.success(),
            "{script}: {text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.scratch.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Ends a process by its pid.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn token() -> String {
    let signer = JwtSigner::new(JwtAlgorithm::Hs256, drm::TOKEN_KEY, None).unwrap();
    let claims = json!({ "asset": "canary", "exp": 4_000_000_000i64 });
    signer.mint(claims.as_object().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pywidevine_accepts_our_servers_signature_and_no_other() {
    let Some(oracles) = Oracles::find() else { return };
    let bench = Bench::start().await;
    let url = format!("http://{}/drm/widevine/license", bench.world.http);
    let identity = oracles.file("identity.bin", &drm::identity());
    let key = oracles.file("key.pem", drm::device_key().as_bytes());
    let token = token();
    let mut arguments = vec![url.as_str(), &identity, &key, &token, KID];
    let said = oracles.run("widevine", "widevine_client.py", &arguments).await;
    assert_eq!(said, "signature accepted");
    arguments.push("tampered");
    let said = oracles.run("widevine", "widevine_client.py", &arguments).await;
    assert_eq!(said, "signature refused");
    arguments.pop();
    bench.world.faults.set(Fault::DrmSignature, true);
    let said = oracles.run("widevine", "widevine_client.py", &arguments).await;
    assert_eq!(said, "signature refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_accepts_another_servers_signature_and_no_other() {
    let Some(oracles) = Oracles::find() else { return };
    let mut bench = Bench::start().await;
    let key = oracles.file("device.pem", drm::device_key().as_bytes());
    let mut server = oracles.command("widevine", "widevine_server.py", &[&key]);
    let mut server = Ended(server.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (port, root) = line.trim().split_once(' ').unwrap();
    bench.secrets.insert("wv-root", root);
    let spec = |path: &str| {
        format!(
            "timeoutSeconds: 20\nsteps:\n- name: l\n  license: {{system: Widevine, url: 'http://127.0.0.1:{port}/{path}', kids: [{KID}], {}, widevine: {{rootCredential: wv-root, provider: python.example}}, policy: {{minDurationSeconds: 3600, maxDurationSeconds: 3600}}}}",
            specs::DEVICE
        )
    };
    let outcome = bench.check(&spec("good"), "Pass").await;
    assert_eq!(outcome.steps[0].facts.license_level, Some(4));
    bench
        .check(&spec("tampered"), "Fail(LicenseSignatureInvalid)")
        .await;
}

/// What the probe received of a licence server, by running it under `faults`.
async fn playready_answer(bench: &Bench, fault: Option<Fault>) -> (Vec<u8>, String) {
    fault.into_iter().for_each(|f| bench.world.faults.set(f, true));
    let prepared = bench.prepare(&specs::spec("PlayReady"), "127.0.0.0/8");
    let outcome = bench.engine.run(&prepared, &mut ProbeState::default()).await;
    let url = format!("{}/drm/playready/license", bench.world.http);
    let token = token();
    let challenge = drm::recorded_playready_challenge();
    let answer = tokio::task::spawn_blocking(move || post(&url, &token, &challenge))
        .await
        .unwrap();
    fault.into_iter().for_each(|f| bench.world.faults.set(f, false));
    (answer, outcome.verdict.to_string())
}

/// The body of an answer, by a client of a few lines.
fn post(url: &str, token: &str, body: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let (host, path) = url.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let head = format!(
        "POST /{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    answer.split_off(at)
}

#[tokio::test(flavor = "multi_thread")]
async fn lxml_and_cryptography_agree_on_playready_signatures() {
    let Some(oracles) = Oracles::find() else { return };
    let bench = Bench::start().await;
    let root = oracles.file("root.bin", &drm::playready_root());
    for (fault, ours, theirs) in [
        (None, "Pass", "signature accepted"),
        (
            Some(Fault::DrmSignature),
            "Fail(LicenseSignatureInvalid)",
            "digest refused",
        ),
    ] {
        let (answer, verdict) = playready_answer(&bench, fault).await;
        let file = oracles.file("answer.xml", &answer);
        assert_eq!(verdict, ours);
        let said = oracles
            .run("widevine", "playready_verify.py", &[&file, &root])
            .await;
        assert_eq!(said, theirs);
    }
    let other = oracles.file("other.bin", &[7; 64]);
    let (answer, _) = playready_answer(&bench, None).await;
    let file = oracles.file("answer.xml", &answer);
    let said = oracles
        .run("widevine", "playready_verify.py", &[&file, &other])
        .await;
    assert_eq!(said, "certificate 1 refused");
}

fn ask(version: Version) -> Ask {
    Ask {
        version,
        content_id: "canary".into(),
        keys: vec![AskedKey {
            kid: Kid::parse(KID).unwrap(),
            track: "ALL".into(),
        }],
        systems: vec![System::Widevine],
        scheme: "cenc".into(),
        recipient: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cpix_package_reads_ours_and_we_read_its() {
    let Some(oracles) = Oracles::find() else { return };
    // It knows CPIX 2.2 and no newer attributes: the SPEKE 1.0 form.
    let file = oracles.file("ask.xml", ask(Version::Speke1).request().as_bytes());
    let said = oracles.run("cpix", "cpix_check.py", &["read", &file]).await;
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            format!("key {KID}"),
            format!("system {KID} edef8ba9-79d6-4ace-a3c8-27dcd51d21ed")
        ]
    );
    let made = oracles.run("cpix", "cpix_check.py", &["make", KID]).await;
    let document = Document::parse(&made, b"").unwrap();
    assert_eq!(check(&ask(Version::Speke1), &document), Ok(()), "{made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn protoc_reads_our_messages() {
    let Some(oracles) = Oracles::find() else { return };
    let key = drm::device_key();
    let identity = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, drm::identity());
    let device = widevine::Device::from_texts(&identity, key).unwrap();
    let ask = widevine::Ask {
        pssh: b"\x12\x10\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
        offline: false,
        request_id: *b"request-id-of-16",
        nonce: 77,
        time: jiff::Timestamp::from_second(1_700_000_000).unwrap(),
        privacy: None,
    };
    let signed = device.request(&ask, &mut rand::rng()).unwrap();
    let mut protoc = Command::new(oracles.folder.join("cpix/bin/python"))
        .args(["-m", "grpc_tools.protoc", "--decode_raw"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    protoc.stdin.take().unwrap().write_all(&signed.bytes).unwrap();
    let output = protoc.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for line in [
        "3: \"request-id-of-16\"",
        "  3: 1",
        "  4: 1700000000",
        "  6: 21",
        "  7: 77",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(text.starts_with("1: 1\n2 {"), "{text}");
}

/// So that the world's ClearKey server and streams are not only our own idea: a browser plays them, and does not where
/// the probe says that nobody could.
#[tokio::test(flavor = "multi_thread")]
async fn chromium_and_shaka_player_play_with_our_licence() {
    let (Some(_), Some(node)) = (Oracles::find(), std::env::var_os("OPINIONS")) else {
        return;
    };
    let bench = Bench::start().await;
    let url = format!("http://{}", bench.world.http);
    for (fault, said) in [
        (None, "\"seconds\""),
        // Shaka's codes: VIDEO_ERROR (the decoder), LICENSE_REQUEST_FAILED.
        (Some(Fault::LicenseWrongKey), "\"error\":3016"),
        (Some(Fault::LicenseDenied), "\"error\":6007"),
    ] {
        let answer = post(&format!("{}/token", bench.world.http), "demo-api-key", b"");
        let token: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        fault.into_iter().for_each(|f| bench.world.faults.set(f, true));
        let mut command = Command::new("node");
        command
            .arg("player.mjs")
            .arg(&url)
            .arg(token["access_token"].as_str().unwrap())
            .current_dir(&node);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        fault.into_iter().for_each(|f| bench.world.faults.set(f, false));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(said),
            "{fault:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
