//! The verdict tables: real requests to a real world, one fault at a time. A fault must give its own
//! reason and no other; the same probe must pass before and after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bench;

use bench::Bench;
use drmwatch_net::Resolver;
use drmwatch_outcome::Outcome;
use drmwatch_probe::{Engine, ProbeState, clock};
use drmwatch_testkit::Fault;

fn get(url: &str) -> String {
    format!("timeoutSeconds: 3\ntls: {{caCredential: ca}}\nsteps:\n- name: get\n  http: {{url: \"{url}\"}}")
}

fn stream(url: &str) -> String {
    format!("timeoutSeconds: 20\nsteps:\n- name: stream\n  stream: {{url: \"{url}\", live: true}}")
}

const HLS: &str = "HTTP/live/cenc/master.m3u8";
const DASH: &str = "HTTP/live/cenc/manifest.mpd";

/// Token, stream and licence: values flow from step to step.
const CHAIN: &str = r#"timeoutSeconds: 20
steps:
- name: token
  http:
    method: POST
    url: HTTP/token
    headers: [{name: authorization, value: "Bearer ${credentials.api-key}"}]
    outputs: [{name: access_token, jsonPointer: /access_token}]
- name: stream
  stream: {url: HTTP/live/cenc/manifest.mpd, kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]}
  expect: [{cel: "live && variants == 3 && kids[0] == 'a7e61c373e219033c21091fa607bf3b8'"}]
- name: license
  license:
    system: ClearKey
    url: HTTP/license/clearkey
    headers: [{name: authorization, value: "Bearer ${token.access_token}"}]
    kidsFrom: stream
    openCanary: true
"#;

#[tokio::test]
async fn streams_and_their_faults() {
    let bench = Bench::start().await;
    for url in [HLS, DASH] {
        let spec = stream(url);
        for (fault, verdict) in [
            (Fault::ManifestDown, "Fail(ServerError)"),
            (Fault::ManifestHtml, "Fail(NotAManifest)"),
            (Fault::ManifestEmpty, "Fail(EmptyResponse)"),
            (Fault::ManifestBroken, "Fail(ManifestInvalid)"),
            (Fault::SegmentMissing, "Fail(SegmentMissing)"),
            (Fault::SegmentHtml, "Fail(SegmentInvalid)"),
            (Fault::InitMissing, "Fail(InitSegmentMissing)"),
            (Fault::KidMismatch, "Fail(KidMismatch)"),
            (Fault::EndStream, "Fail(StreamEnded)"),
        ] {
            if url == HLS && fault == Fault::ManifestBroken {
                // The multivariant playlist stays whole: the fault is in the media playlists.
                bench.under(fault, &spec, verdict).await;
                continue;
            }
            bench.under(fault, &spec, verdict).await;
        }
    }
    let clear = "timeoutSeconds: 9\nsteps:\n- name: s\n  stream: {url: HTTP/live/clear/master.m3u8, kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]}";
    bench.check(clear, "Fail(KidMissing)").await;
    let outcome = bench.check(&stream(HLS), "Pass").await;
    let facts = &outcome.steps[0].facts;
    assert_eq!((facts.live, facts.variants), (Some(true), Some(2)));
    assert!(facts.live_edge_age_seconds.unwrap() < 8.0, "{facts:?}");
}

/// The clock is an argument: a minute passes between two runs without anyone waiting for it.
#[tokio::test]
async fn a_frozen_edge_is_stale_and_one_that_goes_back_is_a_regression() {
    fn in_a_minute() -> jiff::Timestamp {
        clock::system() + jiff::SignedDuration::from_secs(60)
    }
    let bench = Bench::start().await;
    let later = Engine::new(Resolver::system().unwrap(), in_a_minute);
    for url in [HLS, DASH] {
        let prepared = bench.prepare(&stream(url), "127.0.0.0/8");
        let mut state = ProbeState::default();
        bench.world.faults.set(Fault::Freeze, true);
        assert_eq!(
            bench.engine.run(&prepared, &mut state).await.verdict.to_string(),
            "Pass"
        );
        let outcome = later.run(&prepared, &mut state).await;
        assert_eq!(outcome.verdict.to_string(), "Fail(ManifestStale)", "{outcome:#?}");
        assert!(outcome.steps[0].facts.live_edge_age_seconds.unwrap() > 50.0);
        // Without memory, as in a Job, the probe looks twice and says the same.
        let outcome = later.run(&prepared, &mut ProbeState::default()).await;
        assert_eq!(outcome.verdict.to_string(), "Fail(ManifestStale)", "{outcome:#?}");
        bench.world.faults.set(Fault::Freeze, false);
        // A stream whose dates are a minute old but which moves is not stale.
        let outcome = later.run(&prepared, &mut ProbeState::default()).await;
        assert_eq!(outcome.verdict.to_string(), "Pass", "{outcome:#?}");
        // A live window begins full, so it can go back only once it has moved on.
        let mut state = ProbeState::default();
        bench.engine.run(&prepared, &mut state).await;
        let known = &mut state.streams.get_mut("stream").unwrap().renditions;
        known.values_mut().for_each(|r| r.newest += 1_000_000_000);
        let outcome = bench.engine.run(&prepared, &mut state).await;
        assert_eq!(
            outcome.verdict.to_string(),
            "Fail(SequenceRegressed)",
            "{outcome:#?}"
        );
        assert_eq!(
            bench.engine.run(&prepared, &mut state).await.verdict.to_string(),
            "Pass"
        );
    }
}

#[tokio::test]
async fn licences_and_their_faults() {
    let bench = Bench::start().await;
    for (fault, verdict) in [
        (Fault::TokenDown, "Fail(ServerError)"),
        (Fault::TokenMissing, "Fail(OutputMissing)"),
        (Fault::LicenseDenied, "Fail(LicenseDenied)"),
        (Fault::LicenseDown, "Fail(LicenseServerError)"),
        (Fault::LicenseHtml, "Fail(NotALicense)"),
        (Fault::LicenseWrongKid, "Fail(KeyMissing)"),
        (Fault::LicenseWrongKey, "Fail(CanaryNotOpened)"),
    ] {
        bench.under(fault, CHAIN, verdict).await;
    }
    let outcome = bench.check(CHAIN, "Pass").await;
    assert!(outcome.steps[2].facts.license_latency_seconds.unwrap() > 0.0);
}

#[tokio::test]
async fn what_must_be_refused_is_a_leak_when_it_is_granted() {
    let bench = Bench::start().await;
    let license = |denied: &str| {
        format!(
            "timeoutSeconds: 9\nsteps:\n- name: no-token\n  license: {{system: ClearKey, url: HTTP/license/clearkey, kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]}}\n  expectDenied: {denied}"
        )
    };
    bench
        .under(Fault::LicenseOpen, &license("{}"), "Fail(EntitlementLeak)")
        .await;
    bench
        .under(Fault::LicenseDown, &license("{}"), "Fail(WrongRefusal)")
        .await;
    bench
        .check(&license("{statuses: [401]}"), "Fail(WrongRefusal)")
        .await;
    let http = |path: &str| {
        format!("timeoutSeconds: 9\nsteps:\n- name: x\n  http: {{url: \"HTTP{path}\"}}\n  expectDenied: {{}}")
    };
    bench.check(&http("/token"), "Pass").await;
    bench.check(&http("/healthz"), "Fail(EntitlementLeak)").await;
    bench.check(&http("/status/404"), "Fail(WrongRefusal)").await;
}

#[tokio::test]
async fn http_answers_and_expectations() {
    let bench = Bench::start().await;
    for (path, verdict) in [
        ("/healthz", "Pass"),
        ("/redirect/once", "Pass"),
        ("/redirect/circle", "Fail(TooManyRedirects)"),
        ("/redirect/nowhere", "Fail(RedirectInvalid)"),
        ("/redirect/metadata", "Inconclusive(AddressRefused)"),
        ("/status/401", "Fail(AccessDenied)"),
        ("/status/404", "Fail(NotFound)"),
        ("/status/429", "Fail(RateLimited)"),
        ("/status/418", "Fail(ClientError)"),
        ("/status/503", "Fail(ServerError)"),
        ("/status/304", "Fail(UnexpectedStatus)"),
    ] {
        bench.check(&get(&format!("HTTP{path}")), verdict).await;
    }
    let expect = |cel: &str| {
        format!(
            "timeoutSeconds: 3\nsteps:\n- name: x\n  http: {{url: HTTP/status/418}}\n  expect: [{{cel: \"{cel}\", message: is no teapot}}]"
        )
    };
    bench
        .check(
            &expect("status == 418 && headers['content-type'] == 'text/plain'"),
            "Pass",
        )
        .await;
    let outcome = bench
        .check(&expect("status == 200"), "Fail(ExpectationFailed)")
        .await;
    assert_eq!(outcome.message, "is no teapot");
    bench
        .check(&expect("json.missing == 1"), "Fail(ExpectationFailed)")
        .await;
}

#[tokio::test]
async fn servers_that_misbehave_get_the_right_reason_in_bounded_time_and_memory() {
    let bench = Bench::start().await;
    for (path, verdict) in [
        ("/endless", "Fail(BodyTooLarge)"),
        ("/endless-headers", "Fail(ProtocolError)"),
        ("/gzip-bomb", "Fail(BodyTooLarge)"),
        ("/bad-gzip", "Fail(ProtocolError)"),
        ("/drip", "Fail(Timeout)"),
        ("/silence", "Fail(Timeout)"),
        ("/broken-chunk", "Fail(ProtocolError)"),
        ("/short", "Fail(ConnectionClosed)"),
        ("/close", "Fail(ConnectionClosed)"),
        ("/garbage", "Fail(ProtocolError)"),
    ] {
        // Only what must run into its time-out has a short one: a loaded machine is slow to inflate a bomb.
        let seconds = if verdict == "Fail(Timeout)" { 3 } else { 50 };
        let spec =
            get(&format!("RAW{path}")).replace("timeoutSeconds: 3", &format!("timeoutSeconds: {seconds}"));
        bench.check(&spec, verdict).await;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    bench
        .check(&get(&format!("http://{closed}/")), "Fail(ConnectionRefused)")
        .await;
    let guarded = bench.prepare(&get("HTTP/healthz"), "");
    let outcome = bench.engine.run(&guarded, &mut ProbeState::default()).await;
    assert_eq!(outcome.verdict.to_string(), "Inconclusive(AddressRefused)");
}

#[tokio::test]
async fn certificates_are_judged_and_their_expiry_is_recorded_even_when_they_are_refused() {
    let bench = Bench::start().await;
    let expiry = |outcome: &Outcome| {
        outcome.steps[0].hops[0]
            .certificate_not_after
            .map(|t| t.strftime("%Y").to_string())
    };
    let good = bench.check(&get("SECURE/healthz"), "Pass").await;
    assert_eq!(expiry(&good).as_deref(), Some("2036"));
    assert_eq!(good.steps[0].hops[0].protocol.as_deref(), Some("h2"));
    let expired = bench
        .check(&get("EXPIRED/healthz"), "Fail(CertificateExpired)")
        .await;
    assert_eq!(expiry(&expired).as_deref(), Some("2021"));
    bench
        .check(&get("WRONGNAME/healthz"), "Fail(CertificateNameMismatch)")
        .await;
    bench
        .check(&get("UNTRUSTED/healthz"), "Fail(CertificateUntrusted)")
        .await;
    bench
        .check(
            &get("SECURE/healthz").replace("caCredential: ca", "caCredential: other-ca"),
            "Fail(CertificateUntrusted)",
        )
        .await;
    bench
        .check(&get("MUTUAL/healthz"), "Fail(TlsHandshakeFailed)")
        .await;
    let identity =
        "caCredential: ca, clientCertificateCredential: client-cert, clientKeyCredential: client-key";
    bench
        .check(
            &get("MUTUAL/healthz").replace("caCredential: ca", identity),
            "Pass",
        )
        .await;
    let plain = bench.world.http.to_string();
    bench
        .check(
            &get(&format!("https://{plain}/healthz")),
            "Fail(TlsHandshakeFailed)",
        )
        .await;
}

#[tokio::test]
async fn phases_are_measured_for_each_hop_and_add_up() {
    let bench = Bench::start().await;
    let outcome = bench.check(&get("SECURE/redirect/once"), "Pass").await;
    let step = &outcome.steps[0];
    assert_eq!(step.hops.len(), 2, "{step:#?}");
    let mut sum = 0.0;
    for hop in &step.hops {
        let names: Vec<_> = hop.phases.named().map(|(name, _)| name).collect();
        // An address needs no lookup, and a phase that did not happen is absent, not zero.
        assert_eq!(names, ["connect", "tls", "request", "first_byte", "transfer"]);
        sum += hop.phases.named().map(|(_, seconds)| seconds).sum::<f64>();
    }
    assert!(
        sum > 0.0 && sum <= step.duration_seconds,
        "{sum} of {}",
        step.duration_seconds
    );
}

#[tokio::test]
async fn secrets_never_leave_a_run_and_do_not_follow_a_redirect_elsewhere() {
    let bench = Bench::start().await;
    let spec = "timeoutSeconds: 5\nsteps:\n- name: x\n  http: {url: \"HTTP/status/500/${credentials.api-key}?k=${credentials.api-key}\", headers: [{name: x-key, value: \"${credentials.api-key}\"}]}\n  expect: [{cel: \"body.contains('demo-api-key')\", message: demo-api-key}]";
    let outcome = bench.run(spec).await;
    let text = serde_json::to_string(&outcome).unwrap() + &format!("{outcome:?}");
    assert!(!text.contains("demo-api-key"), "{text}");
    assert!(text.contains("***"), "{text}");
    let plan = bench.prepare(spec, "127.0.0.0/8");
    assert!(
        !serde_json::to_string(plan.plan())
            .unwrap()
            .contains(&bench.world.certificates.client_key_pem[40..80])
    );
}

/// Every check of every severity is silent on streams that are right, with and without memory.
#[tokio::test]
async fn no_check_fails_on_a_good_stream() {
    let bench = Bench::start().await;
    for kind in ["clear", "cenc"] {
        for manifest in ["master.m3u8", "manifest.mpd"] {
            let spec = format!(
                "timeoutSeconds: 20\nsteps:\n- name: stream\n  stream: {{url: HTTP/live/{kind}/{manifest}, live: true}}"
            );
            let prepared = bench.prepare(&spec, "127.0.0.0/8");
            let mut state = ProbeState::default();
            for _ in 0..2 {
                let outcome = bench.engine.run(&prepared, &mut state).await;
                let facts = outcome.steps[0].facts.stream.as_ref().unwrap();
                let failed: Vec<_> = facts
                    .checks
                    .iter()
                    .filter(|c| c.status == drmwatch_outcome::CheckStatus::Fail)
                    .map(|c| format!("{}: {}", c.check, c.detail))
                    .collect();
                assert_eq!(failed, Vec::<String>::new(), "{kind}/{manifest}");
                assert_eq!(facts.checks.len(), 87);
            }
        }
    }
}
