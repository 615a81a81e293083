//! Key servers, tokens, must-deny, rehearsals, sessions, plug-ins, budgets.

use crate::{
    bench::Bench,
    specs::{self, key_server, license, spec},
};
use drmwatch_outcome::Outcome;
use drmwatch_plan::Plan;
use drmwatch_probe::ProbeState;
use drmwatch_testkit::{Fault, drm};
use drmwatch_tokens::{JwtAlgorithm, JwtSigner};
use serde_json::json;

fn level(outcome: &Outcome) -> Option<u8> {
    outcome.steps[0].facts.license_level
}

#[tokio::test]
async fn each_step_climbs_as_far_as_it_has_means() {
    let bench = Bench::start().await;
    for (system, reached) in [
        ("Widevine", 4),
        ("Widevine, recorded", 3),
        ("PlayReady", 3),
        ("FairPlay", 3),
        ("ClearKey", 4),
        ("Proprietary", 4),
        ("Key server", 5),
    ] {
        let outcome = bench.check(&spec(system), "Pass").await;
        assert_eq!(level(&outcome), Some(reached), "{system}");
    }
    // Without a challenge: certificate and refusal.
    let bare = "timeoutSeconds: 9\nsteps:\n- name: l\n  license: {system: Widevine, url: HTTP/drm/widevine/license, widevine: {rootCredential: wv-root}}";
    let outcome = bench.check(bare, "Pass").await;
    assert_eq!(level(&outcome), Some(2));
    // This world's root is not Google's.
    let google = bare.replace(", widevine: {rootCredential: wv-root}", "");
    bench.check(&google, "Fail(DrmCertificateInvalid)").await;
    let other = bare.replace("wv-root", "wv-root, provider: other.example");
    bench.check(&other, "Fail(DrmCertificateInvalid)").await;
    let facts = "timeoutSeconds: 9\nsteps:\n- name: l\n  license: {system: FairPlay, url: HTTP/drm/fairplay/license, fairPlay: {certificateUrl: HTTP/drm/fairplay/certificate}}\n  expect: [{cel: 'level == 2'}]";
    let outcome = bench.check(facts, "Pass").await;
    let expiry = outcome.steps[0].facts.drm_certificate_not_after.unwrap();
    assert_eq!(expiry.strftime("%Y").to_string(), "2036");
}

#[tokio::test]
async fn the_licence_is_there_for_expectations() {
    let bench = Bench::start().await;
    let with = |cel: &str| spec("Widevine, recorded") + &format!("\n  expect: [{{cel: '{cel}'}}]");
    bench
        .check(
            &with("level == 3 && keys == 1 && policy.durationSeconds == 86400 && policy.canPlay"),
            "Pass",
        )
        .await;
    bench
        .check(&with("policy.durationSeconds < 60"), "Fail(ExpectationFailed)")
        .await;
}

#[tokio::test]
async fn what_is_ours_to_mend_is_never_the_servers_failure() {
    let mut bench = Bench::start().await;
    let recorded = spec("Widevine, recorded");
    let with = |credential: &str| {
        recorded.replace(
            "recordedCredential: challenge",
            &format!("recordedCredential: {credential}"),
        )
    };
    bench
        .check(&with("old-challenge"), "Inconclusive(RecordingStale)")
        .await;
    for credential in ["no-challenge", "opaque"] {
        bench
            .check(&with(credential), "Inconclusive(ConfigurationInvalid)")
            .await;
    }
    // A token that has expired by its own date is not even sent.
    let signer = JwtSigner::new(JwtAlgorithm::Hs256, drm::TOKEN_KEY, None).unwrap();
    let token = |exp: i64| {
        signer
            .mint(json!({ "asset": "canary", "exp": exp }).as_object().unwrap())
            .unwrap()
    };
    let stored = license(
        "ClearKey",
        "clearkey",
        ", kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]",
    );
    let from = stored.find("token: {mint").unwrap();
    let to = from + stored[from..].find("}}").unwrap() + 2;
    let stored = format!(
        "{}token: {{credential: opaque}}{}",
        &stored[..from],
        &stored[to..]
    );
    bench.secrets.insert("opaque", token(1_700_000_000));
    let outcome = bench.check(&stored, "Inconclusive(TokenStale)").await;
    assert!(
        outcome.steps[0].hops.is_empty() && outcome.message.contains("2023-11-14"),
        "{outcome:?}"
    );
    // One that is good, and a server that says otherwise.
    bench.secrets.insert("opaque", token(4_000_000_000));
    let outcome = bench.check(&stored, "Pass").await;
    let expiry = outcome.steps[0].facts.credential_not_after.unwrap();
    assert_eq!(expiry.as_second(), 4_000_000_000);
    bench
        .under(Fault::DrmTokenExpired, &stored, "Fail(TokenExpired)")
        .await;
    // One that tells nothing of itself.
    bench.secrets.insert("opaque", "nobody-knows-what-this-is");
    bench.check(&stored, "Fail(TokenInvalid)").await;
    bench.world.faults.set(Fault::DrmTokenExpired, true);
    bench.check(&stored, "Inconclusive(TokenStale)").await;
}

#[tokio::test]
async fn key_servers_of_every_version_and_authentication() {
    let bench = Bench::start().await;
    for encrypted in [true, false] {
        for (protocol, path) in [("SPEKE-1.0", "1.0"), ("SPEKE-2.0", "2.0"), ("SPEKE-2.1", "2.1")] {
            bench.check(&key_server(protocol, path, encrypted), "Pass").await;
        }
    }
    // The version is part of the protocol: this server wants another.
    bench
        .check(&key_server("SPEKE-2.0", "2.1", true), "Fail(ChallengeRefused)")
        .await;
    let plain = key_server("SPEKE-2.0", "2.0", false);
    bench
        .under(Fault::DrmKeyChanges, &plain, "Fail(KeyChanged)")
        .await;
    bench
        .under(Fault::DrmBroken, &plain, "Fail(KeyDocumentInvalid)")
        .await;
    let beat = key_server("SPEKE-1.0", "1.0", true)
        .replace("contentId", "heartbeatUrl: HTTP/drm/speke/heartbeat, contentId");
    bench.check(&beat, "Pass").await;
    bench
        .check(
            &beat.replace(
                "heartbeatUrl: HTTP/drm/speke/heartbeat",
                "heartbeatUrl: HTTP/status/503",
            ),
            "Fail(KeyServerError)",
        )
        .await;
    let basic = key_server("SPEKE-2.0", "2.0", true);
    bench
        .check(
            &basic.replace("passwordCredential: ks-password", "passwordCredential: opaque"),
            "Fail(KeyServerDenied)",
        )
        .await;
    let digest = basic
        .replace("speke/2.0", "speke/2.0?auth=digest")
        .replace("auth: {basic", "auth: {digest");
    let outcome = bench.check(&digest, "Pass").await;
    assert_eq!(outcome.steps[0].hops.len(), 2);
    bench
        .check(
            &digest.replace("passwordCredential: ks-password", "passwordCredential: opaque"),
            "Fail(KeyServerDenied)",
        )
        .await;
    let aws = basic.replace("speke/2.0", "speke/2.0?auth=aws").replace(
        "basic: {userCredential: ks-user, passwordCredential: ks-password}",
        "aws: {region: eu-west-1, accessKeyCredential: ks-user, secretKeyCredential: ks-password}",
    );
    bench.check(&aws, "Pass").await;
}

#[tokio::test]
async fn googles_cloud_form_is_spoken() {
    let mut bench = Bench::start().await;
    bench.secrets.insert("api-key", "11".repeat(32));
    bench.secrets.insert("opaque", "22".repeat(16));
    let spec = "timeoutSeconds: 9\nsteps:\n- name: l\n  license: {system: Widevine, url: HTTP/drm/cloud, kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8], challenge: {recordedCredential: challenge}, widevine: {cloud: {provider: acme, keyCredential: api-key, ivCredential: opaque}}}";
    assert_eq!(level(&bench.check(spec, "Pass").await), Some(3));
    for (fault, verdict) in [
        (Fault::DrmDeviceRevoked, "Fail(DeviceRevoked)"),
        (Fault::DrmInternal, "Fail(LicenseServerError)"),
        (Fault::DrmWrongKid, "Fail(KeyMissing)"),
        (Fault::DrmHtml, "Fail(NotALicense)"),
    ] {
        bench.under(fault, spec, verdict).await;
    }
    bench
        .check(
            &spec.replace("provider: acme", "provider: acme, parseOnly: true"),
            "Pass",
        )
        .await;
    bench.secrets.insert("api-key", "12".repeat(32));
    bench.check(spec, "Fail(ChallengeRefused)").await;
}

#[tokio::test]
async fn a_licence_where_none_may_be_is_a_leak_by_name() {
    let bench = Bench::start().await;
    // The claims are right: nothing is wrong with this request, so the server is right to grant it.
    let spec = license(
        "ClearKey",
        "clearkey",
        ", kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]",
    ) + "\n  expectDenied: {variants: [{flaw: OtherAsset, claims: '{\"asset\": \"canary\"}'}]}";
    let outcome = bench.check(&spec, "Fail(EntitlementLeak)").await;
    assert!(outcome.message.contains("OtherAsset"), "{}", outcome.message);
    // Refused, and with another reason than it must give.
    let wrong = spec.replace("\"canary\"}'}]}", "\"other\"}', reasons: [GeoDenied]}]}");
    let outcome = bench.check(&wrong, "Fail(WrongRefusal)").await;
    assert!(outcome.message.contains("LicenseDenied"), "{}", outcome.message);
    // A server that is down refuses nothing.
    bench.world.faults.set(Fault::DrmDown, true);
    bench.check(&wrong, "Fail(LicenseServerError)").await;
}

#[tokio::test]
async fn after_a_rotation_the_period_before_is_still_granted() {
    let bench = Bench::start().await;
    let with = |kids: &str| {
        license(
            "ClearKey",
            "clearkey",
            &format!(", kids: [{kids}], rehearse: {{rotation: true}}"),
        )
    };
    let mut state = ProbeState::default();
    let (canary, other) = (
        "a7e61c37-3e21-9033-c210-91fa607bf3b8",
        "00112233-4455-6677-8899-aabbccddeeff",
    );
    let run = async |kids: &str, state: &mut ProbeState| {
        let prepared = bench.prepare(&with(kids), "127.0.0.0/8");
        let outcome = bench.engine.run(&prepared, state).await;
        (outcome.verdict.to_string(), outcome.steps[0].hops.len())
    };
    assert_eq!(run(canary, &mut state).await, ("Pass".into(), 1));
    // Both periods are asked for from now on.
    let both = format!("{canary}, {other}");
    assert_eq!(run(&both, &mut state).await, ("Pass".into(), 2));
    // This server has forgotten the period before: players that are behind can't play on.
    let mut forgotten = ProbeState::default();
    bench.world.faults.set(Fault::DrmOpen, true);
    assert_eq!(run(other, &mut forgotten).await.0, "Pass");
    bench.world.faults.set(Fault::DrmOpen, false);
    assert_eq!(run(canary, &mut forgotten).await.0, "Fail(KeyNotFound)");
    // What is remembered travels.
    let packed = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<ProbeState>(&packed).unwrap(), state);
}

const SESSION: &str = r#"timeoutSeconds: 20
steps:
- name: login
  http: {method: POST, url: HTTP/drm/session/login, outputs: [{name: session, jsonPointer: /session}]}
- name: license
  license: {system: Proprietary, url: HTTP/drm/proprietary/license, token: {mint: {algorithm: HS256, keyCredential: token-key, claims: '{"asset": "canary"}'}}, request: {body: '{"session": "${login.session}"}'}, response: {extraction: JsonPointer, field: /ticket}}
- name: heartbeat
  http: {method: POST, url: "HTTP/drm/session/${login.session}/heartbeat"}
- name: teardown
  finally: true
  http: {method: DELETE, url: "HTTP/drm/session/${login.session}"}"#;

#[tokio::test]
async fn sessions_are_given_back_whatever_happens() {
    let bench = Bench::start().await;
    let open = "timeoutSeconds: 5\nsteps:\n- name: open\n  http: {url: HTTP/drm/session/open}\n  expect: [{cel: 'json.open == 0'}]";
    for (fault, verdict, step) in [
        (None, "Pass", None),
        (Some(Fault::DrmHeartbeat), "Fail(ServerError)", Some("heartbeat")),
        (Some(Fault::DrmDenied), "Fail(LicenseDenied)", Some("license")),
    ] {
        for _ in 0..2 {
            fault.into_iter().for_each(|f| bench.world.faults.set(f, true));
            let outcome = bench.check(SESSION, verdict).await;
            fault.into_iter().for_each(|f| bench.world.faults.set(f, false));
            assert_eq!(outcome.step.as_deref(), step);
            assert_eq!(outcome.steps.last().unwrap().name, "teardown");
            bench.check(open, "Pass").await;
        }
    }
    // A step that takes all the time there is leaves enough for the teardown.
    let slow = SESSION
        .replace("timeoutSeconds: 20", "timeoutSeconds: 4")
        .replace("HTTP/drm/session/${login.session}/heartbeat", "RAW/silence");
    let outcome = bench.check(&slow, "Fail(Timeout)").await;
    assert_eq!(
        outcome.steps.last().unwrap().verdict.to_string(),
        "Pass",
        "{outcome:#?}"
    );
    assert!(outcome.duration_seconds < 4.5);
    bench.check(open, "Pass").await;
    // Without a login there is nothing to give back.
    let none = SESSION.replace("HTTP/drm/session/login", "HTTP/drm/session/nothing");
    let outcome = bench.check(&none, "Fail(NotFound)").await;
    assert_eq!(outcome.steps.len(), 1);
}

#[tokio::test]
async fn a_hook_makes_challenges() {
    let bench = Bench::start().await;
    let spec = spec("PlayReady")
        .replace("recordedCredential: pr-challenge", "provider: {url: HTTP/drm/hook/challenge, input: '{\"asset\": \"canary\"}', credentials: [api-key]}")
        .replace("rehearse: {freshness: true}", "rehearse: {renewal: true}");
    let outcome = bench.check(&spec, "Pass").await;
    assert_eq!(level(&outcome), Some(4));
    bench.under(Fault::DrmStale, &spec, "Fail(LicenseStale)").await;
    for broken in ["HTTP/status/500", "HTTP/healthz", "HTTP/drm/hook/nothing"] {
        bench
            .check(
                &spec.replace("HTTP/drm/hook/challenge", broken),
                "Inconclusive(ChallengeUnavailable)",
            )
            .await;
    }
}

fn plugin(hook: &str, rest: &str) -> String {
    format!("timeoutSeconds: 5\nsteps:\n- name: p\n  plugin: {{hook: {hook}{rest}}}")
}

#[tokio::test]
async fn plug_ins_answer_for_what_speaks_no_http() {
    let mut bench = Bench::start().await;
    let at = |outcome: &str| {
        let input = format!(
            "'{{\"outcome\": \"{outcome}\", \"reason\": \"GeoDenied\", \"message\": \"says demo-api-key\", \"outputs\": {{\"a\": 1}}, \"facts\": {{\"b\": 2}}}}'"
        );
        plugin(
            &format!("{{url: HTTP/drm/hook/check, input: {input}}}"),
            ", outputs: [{name: a, jsonPointer: /a}]",
        ) + "\n  expect: [{cel: 'facts.b == 2 && outputs.a == 1'}]"
    };
    bench.check(&at("Pass"), "Pass").await;
    let outcome = bench.check(&at("Fail"), "Fail(GeoDenied)").await;
    assert_eq!(outcome.message, "says ***");
    bench
        .check(&at("Inconclusive"), "Inconclusive(PluginBroken)")
        .await;
    bench.check(&at("Maybe"), "Inconclusive(PluginBroken)").await;
    bench
        .check(
            &plugin("{url: HTTP/status/500}", ""),
            "Inconclusive(PluginBroken)",
        )
        .await;
    // A program: without a folder there is none.
    let run = "{exec: udp-echo, input: '{\"host\": \"127.0.0.1\", \"port\": PORT, \"message\": \"${credentials.api-key}\"}'}";
    bench
        .check(
            &plugin(run, "").replace("PORT", "1"),
            "Inconclusive(PluginBroken)",
        )
        .await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/plugins");
    let engine = std::mem::replace(
        &mut bench.engine,
        drmwatch_probe::Engine::new(
            drmwatch_net::Resolver::system().unwrap(),
            drmwatch_probe::clock::system,
        )
        .with_plugins(folder.into()),
    );
    drop(engine);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    let echo = tokio::spawn(async move {
        let mut buffer = [0; 1024];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        socket.send_to(&buffer[..length], from).await.unwrap();
    });
    let good = plugin(run, ", outputs: [{name: answer, jsonPointer: /answer}]").replace("PORT", &port)
        + "\n  expect: [{cel: \"outputs.answer == 'demo-api-key'\"}]";
    bench.check(&good, "Pass").await;
    echo.await.unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    bench
        .check(&plugin(run, "").replace("PORT", &port), "Fail(ConnectionTimeout)")
        .await;
    bench
        .check(&plugin("{exec: not-there}", ""), "Inconclusive(PluginBroken)")
        .await;
}

#[tokio::test]
async fn a_budget_is_kept_and_seen() {
    let mut bench = Bench::start().await;
    bench.budget = Some("  budget: {requestsPerMinute: 6, concurrentSessions: 1}\n".into());
    let run = async |spec: &str| {
        let outcome = bench.run(spec).await;
        let hops: usize = outcome.steps.iter().map(|s| s.hops.len()).sum();
        (outcome.verdict.to_string(), hops, outcome.budget_left)
    };
    let (verdict, hops, left) = run(SESSION).await;
    assert_eq!((verdict.as_str(), hops), ("Pass", 4));
    assert!((0.33..0.5).contains(&left.unwrap()), "{left:?}");
    // The account is empty in the middle of this one; what was opened is given back all the same.
    let (verdict, hops, left) = run(SESSION).await;
    assert_eq!((verdict.as_str(), hops), ("Inconclusive(BudgetExhausted)", 3));
    assert!(left.unwrap() < 0.05);
    let (verdict, hops, _) = run(SESSION).await;
    assert_eq!((verdict.as_str(), hops), ("Inconclusive(BudgetExhausted)", 0));
    // Redirects are requests, and the shard is the tenant's.
    let plan: &Plan = &bench.prepare(SESSION, "").plan().clone();
    assert_eq!(plan.shard_key(), "n/t");
}

const CHAIN: &str = r#"timeoutSeconds: 20
steps:
- name: keys
  keyServer: {protocol: SPEKE-2.0, url: HTTP/drm/speke/2.0, contentId: canary, keys: [{kid: a7e61c37-3e21-9033-c210-91fa607bf3b8}], systems: [Widevine], auth: {basic: {userCredential: ks-user, passwordCredential: ks-password}}}
- name: dash
  stream: {url: HTTP/live/cenc/manifest.mpd, live: true, expected: {sameKidsAs: keys}}
- name: hls
  stream: {url: HTTP/live/cenc/master.m3u8, live: true, expected: {sameKidsAs: dash}}
- name: token
  http: {method: POST, url: HTTP/token, headers: [{name: authorization, value: "Bearer ${credentials.api-key}"}], outputs: [{name: t, jsonPointer: /access_token}]}
- name: license
  license: {system: ClearKey, url: HTTP/license/clearkey, kidsFrom: dash, openCanary: true, headers: [{name: authorization, value: "Bearer ${token.t}"}]}"#;

/// Key server, manifest, init segment, licence, segment: the first hop that lies is the one that is named.
#[tokio::test]
async fn the_chain_names_the_first_hop_that_lies() {
    let bench = Bench::start().await;
    for (fault, step, verdict) in [
        (Fault::DrmWrongKid, "keys", "Fail(KeyServerKidMismatch)"),
        (Fault::DrmGuidOrder, "keys", "Fail(KeyServerKidMismatch)"),
        (Fault::KidMismatch, "dash", "Fail(KidMismatch)"),
        (Fault::LicenseWrongKid, "license", "Fail(KeyMissing)"),
        (Fault::LicenseWrongKey, "license", "Fail(CanaryNotOpened)"),
    ] {
        bench.check(CHAIN, "Pass").await;
        bench.world.faults.set(fault, true);
        let outcome = bench.check(CHAIN, verdict).await;
        bench.world.faults.set(fault, false);
        assert_eq!(outcome.step.as_deref(), Some(step), "{}", outcome.message);
        if step != "license" || fault == Fault::LicenseWrongKid {
            assert!(
                outcome.message.contains("a7e61c37"),
                "both values: {}",
                outcome.message
            );
        }
    }
    // A content of another key than the key server gave.
    let other = CHAIN.replace(
        "keys: [{kid: a7e61c37-3e21-9033-c210-91fa607bf3b8}]",
        "keys: [{kid: 371ce6a7-213e-3390-c210-91fa607bf3b8}]",
    );
    let outcome = bench.check(&other, "Fail(KidMismatch)").await;
    assert_eq!(outcome.step.as_deref(), Some("dash"));
    assert!(outcome.message.contains("GUID order"), "{}", outcome.message);
}

/// A device's credential alone decides nothing of privacy: in the clear it is granted as well.
#[tokio::test]
async fn an_identity_in_the_clear_is_granted_too() {
    let bench = Bench::start().await;
    let open = spec("Widevine").replace(
        "provenance: 'made for tests'",
        "provenance: 'made for tests', privacy: false",
    );
    assert!(
        open.contains("privacy: false") && open.contains(specs::DEVICE.split("provenance").next().unwrap())
    );
    assert_eq!(level(&bench.check(&open, "Pass").await), Some(4));
}
