//! System by fault: a fake server makes the fault, the probe names it. Every cell passes before, is replayed from its
//! evidence alone, and holds no secret.

use crate::{
    bench::Bench,
    specs::{SYSTEMS, spec},
};
use drmwatch_probe::{ProbeState, evidence::Evidence};
use drmwatch_testkit::Fault::{self, *};

/// A fault, and what each system must say: `-` where it has no such fault, and `F(…)`, `I(…)` for Fail and Inconclusive.
type Row = (Fault, [&'static str; 7]);

const N: &str = "-";
const OK: &str = "Pass";

/// The same word for all but the key server.
const fn all(fault: Fault, word: &'static str, keys: &'static str) -> Row {
    (fault, [word, word, word, word, word, word, keys])
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // On the way.
    all(DrmSlow, "F(Timeout)", "F(Timeout)"),
    all(DrmDown, "F(LicenseServerError)", "F(KeyServerError)"),
    all(DrmHtml, "F(NotALicense)", "F(KeyDocumentInvalid)"),
    all(DrmLogin, "F(LoginPageServed)", "F(LoginPageServed)"),
    all(DrmBlocked, "F(GatewayBlocked)", "F(GatewayBlocked)"),
    all(DrmPortal, "F(CaptivePortal)", "F(CaptivePortal)"),
    all(DrmEmpty, "F(NotALicense)", "F(KeyDocumentInvalid)"),
    all(DrmVendorJson, "F(NotALicense)", "F(KeyDocumentInvalid)"),
    (DrmGarbage, ["F(DrmCertificateInvalid)", "F(DrmCertificateInvalid)", "F(NotALicense)", "F(DrmCertificateInvalid)", "F(NotALicense)", "F(NotALicense)", "F(KeyDocumentInvalid)"]),
    all(DrmHuge, "F(BodyTooLarge)", "F(BodyTooLarge)"),
    all(DrmRateLimited, "F(RateLimited)", "F(RateLimited)"),
    all(DrmMissing, "F(NotFound)", "F(NotFound)"),
    all(DrmBusy, "F(BackendUnavailable)", "F(BackendUnavailable)"),
    // The server refuses what it must grant.
    all(DrmTokenExpired, "F(TokenExpired)", "F(TokenExpired)"),
    all(DrmTokenNotYetValid, "F(TokenNotYetValid)", N),
    all(DrmTokenInvalid, "F(TokenInvalid)", "F(TokenInvalid)"),
    all(DrmTokenReused, "F(TokenReused)", N),
    all(DrmDenied, "F(LicenseDenied)", "F(KeyServerDenied)"),
    all(DrmGeo, "F(GeoDenied)", N),
    all(DrmConcurrency, "F(ConcurrencyLimit)", N),
    all(DrmDeviceLimit, "F(DeviceLimit)", N),
    all(DrmKeyNotFound, "F(KeyNotFound)", "F(KeyNotFound)"),
    all(DrmChallengeRefused, "F(ChallengeRefused)", "F(ChallengeRefused)"),
    all(DrmDeviceRevoked, "F(DeviceRevoked)", N),
    all(DrmSecurityLevel, "F(SecurityLevelTooLow)", N),
    (DrmClientClock, ["F(LicenseClockSkewed)", "I(RecordingStale)", "I(RecordingStale)", "I(RecordingStale)", "F(LicenseClockSkewed)", "F(LicenseClockSkewed)", N]),
    all(DrmBackend, "F(BackendUnavailable)", "F(BackendUnavailable)"),
    all(DrmInternal, "F(LicenseServerError)", "F(KeyServerError)"),
    // It grants what it must refuse, or refuses in a wrong way.
    all(DrmOpen, "F(EntitlementLeak)", N),
    (DrmWrongRefusal, ["F(WrongRefusal)", N, "F(WrongRefusal)", "F(WrongRefusal)", "F(WrongRefusal)", "F(WrongRefusal)", N]),
    // The licence is not what it must be.
    (DrmCached, ["F(LicenseStale)", N, "F(LicenseStale)", "F(LicenseStale)", N, N, N]),
    all(DrmAged, "F(LicenseStale)", N),
    (DrmTruncated, ["F(LicenseInvalid)", "F(LicenseInvalid)", "F(NotALicense)", "F(LicenseInvalid)", "F(NotALicense)", "F(NotALicense)", "F(KeyDocumentInvalid)"]),
    (DrmBroken, ["F(LicenseInvalid)", "F(LicenseInvalid)", "F(LicenseInvalid)", "F(LicenseInvalid)", "F(LicenseInvalid)", "F(NotALicense)", "F(KeyDocumentInvalid)"]),
    (DrmNoKeys, ["F(KeyMissing)", "F(KeyMissing)", "F(LicenseInvalid)", N, "F(KeyMissing)", N, "F(KeyDocumentInvalid)"]),
    (DrmWrongKid, ["F(KeyMissing)", "F(KeyMissing)", "F(KeyMissing)", N, "F(KeyMissing)", N, "F(KeyServerKidMismatch)"]),
    (DrmGuidOrder, ["F(KeyMissing)", "F(KeyMissing)", "F(KeyMissing)", N, "F(KeyMissing)", N, "F(KeyServerKidMismatch)"]),
    (DrmStale, ["F(LicenseStale)", "F(LicenseStale)", "F(LicenseStale)", N, N, N, N]),
    (DrmSignature, ["F(LicenseSignatureInvalid)", N, "F(LicenseSignatureInvalid)", N, N, N, N]),
    (DrmNotVerifiable, ["I(LicenseNotVerifiable)", N, N, N, N, N, N]),
    // Policy and clocks.
    (DrmNoPlay, ["F(PolicyDrift)", "F(PolicyDrift)", N, N, N, N, N]),
    (DrmDuration, ["F(PolicyDrift)", N, "F(PolicyDrift)", N, N, N, "F(KeyDocumentInvalid)"]),
    (DrmHdcp, ["F(PolicyDrift)", N, "F(PolicyDrift)", N, N, N, N]),
    (DrmLicenseLevel, ["F(PolicyDrift)", N, "F(PolicyDrift)", N, N, N, N]),
    (DrmLicenseExpired, [N, N, "F(LicenseInvalid)", N, N, N, N]),
    (DrmIssuedSkewed, [N, N, "F(LicenseClockSkewed)", N, N, N, N]),
    all(DrmClockSkewed, "I(ClocksDisagree)", N),
    // The system's own certificates.
    (DrmCertificateBroken, ["F(DrmCertificateInvalid)", "F(DrmCertificateInvalid)", N, "F(DrmCertificateInvalid)", N, N, N]),
    (DrmCertificateExpired, ["F(DrmCertificateExpired)", "F(DrmCertificateExpired)", "F(DrmCertificateExpired)", "F(DrmCertificateExpired)", N, N, N]),
    // A rotation is no outage: fresh requests follow it, recordings are the operator's to renew.
    (DrmCertificateRotated, [OK, "I(RecordingStale)", N, "I(RecordingStale)", N, N, N]),
    // Key servers.
    (DrmKeysInTheClear, [N, N, N, N, N, N, "F(KeyDocumentInvalid)"]),
    (DrmPsshKid, [N, N, N, N, N, N, "F(KeyDocumentInvalid)"]),
    (DrmNoPssh, [N, N, N, N, N, N, "F(KeyDocumentInvalid)"]),
];

fn long(word: &str) -> String {
    word.replace("F(", "Fail(").replace("I(", "Inconclusive(")
}

/// What must never leave a run.
pub fn secrets_of(bench: &Bench) -> Vec<String> {
    let values = bench.secrets.values();
    let lines = values.flat_map(|v| v.lines()).filter(|l| !l.starts_with("-----"));
    let mut secrets: Vec<String> = lines.filter(|l| l.len() >= 8).map(str::to_owned).collect();
    // Tokens that the run itself makes, by their header: {"typ":"JWT","alg":"HS256"}.
    secrets.push("eyJ0eXAiOiJKV1Qi".into());
    secrets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_every_system_is_told_by_its_own_name() {
    let bench = Bench::start().await;
    let secrets = secrets_of(&bench);
    let (mut cells, mut wrong) = (0, Vec::new());
    let mut lines = Vec::new();
    for (n, system) in SYSTEMS.iter().enumerate() {
        bench.check(&spec(system), "Pass").await;
        for (fault, words) in ROWS {
            let expected = long(words[n]);
            if words[n] == N {
                continue;
            }
            let mut text = spec(system);
            if *fault == DrmSlow {
                text = text.replace("timeoutSeconds: 30", "timeoutSeconds: 1");
            }
            bench.world.faults.set(*fault, true);
            let prepared = bench.prepare(&text, "127.0.0.0/8");
            let outcome = bench.engine.run(&prepared, &mut ProbeState::default()).await;
            bench.world.faults.set(*fault, false);
            cells += 1;
            let got = outcome.verdict.to_string();
            if got != expected {
                wrong.push(format!(
                    "{system} × {}: {got}, not {expected}: {}",
                    fault.word(),
                    outcome.message
                ));
            }
            lines.push(format!(
                "| {} | {system} | {got} | {} |",
                fault.word(),
                outcome.message
            ));
            let Some(evidence) = Evidence::of(prepared.plan(), &outcome) else {
                continue;
            };
            // The record alone gives the same verdict, and holds nothing secret.
            let record = serde_json::to_string_pretty(&evidence).unwrap();
            let replayed = Evidence::parse(&record).unwrap().replay();
            let judged = replayed.iter().find(|r| r.recorded == outcome.verdict).unwrap();
            if judged.judged != Some(outcome.verdict) || judged.message != outcome.message {
                wrong.push(format!("{system} × {}: replayed as {judged:?}", fault.word()));
            }
            for text in [
                record,
                serde_json::to_string(&outcome).unwrap(),
                format!("{outcome:?}"),
            ] {
                if let Some(secret) = secrets.iter().find(|s| text.contains(*s)) {
                    wrong.push(format!("{system} × {}: {secret} leaves the run", fault.word()));
                }
            }
        }
        bench.check(&spec(system), "Pass").await;
    }
    if std::env::args().any(|a| a == "--nocapture") {
        lines.iter().for_each(|l| println!("{l}"));
        println!("{cells} cells, {} wrong", wrong.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cells >= 120, "{cells}");
    page();
}

/// docs/licence-verdicts.md is what the table says.
fn page() {
    let mut page = String::from(
        "# Licence verdicts\n\nGenerated from `crates/probe/tests/licenses` by `make generate`; do not edit. Each cell is a test: a server of our own makes the fault, and the probe names it so (F: Fail, I: Inconclusive). `-`: the system has no such fault, or nothing of it can be seen.\n\n",
    );
    page += &format!(
        "| fault | {} |\n|---|{}\n",
        SYSTEMS.join(" | "),
        "---|".repeat(SYSTEMS.len())
    );
    for (fault, words) in ROWS {
        page += &format!(
            "| {} | {} |\n",
            fault.word().trim_start_matches("drm-"),
            words.join(" | ")
        );
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/licence-verdicts.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == page,
        "docs/licence-verdicts.md is not what the table says; run `make generate`"
    );
}
