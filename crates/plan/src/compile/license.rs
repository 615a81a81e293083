//! Checks of licence steps, key servers and plug-ins.

use super::{Problems, steps::check_regex};
use drmwatch_api::{
    BodyEncoding, DeniedVariant, DrmSystem, Extraction, Flaw, Hook, KeyServerProtocol, KeyServerStep,
    LicenseStep, ProtectionScheme, SignalledSystem, Step,
};

pub(super) fn check(at: &str, step: &Step, license: &LicenseStep, earlier: &[Step], problems: &mut Problems) {
    let own = format!("{at}.license");
    let bare = match license.system {
        DrmSystem::Proprietary => true,
        DrmSystem::ClearKey => false,
        _ => license.challenge.is_none(),
    };
    problems.demand(
        bare || license.kids_from.is_some() != license.kids.is_some(),
        &own,
        "a license step must have exactly one of kidsFrom, kids",
    );
    for (present, system, name) in [
        (license.widevine.is_some(), DrmSystem::Widevine, "widevine"),
        (license.play_ready.is_some(), DrmSystem::PlayReady, "playReady"),
        (license.fair_play.is_some(), DrmSystem::FairPlay, "fairPlay"),
    ] {
        problems.demand(
            !present || license.system == system,
            format!("{own}.{name}"),
            &format!("{name} must be used with system: {system:?}"),
        );
    }
    problems.demand(
        !license.open_canary || license.kids_from.is_some(),
        format!("{own}.openCanary"),
        "openCanary must be used with kidsFrom, which names the stream to open",
    );
    if let Some(from) = &license.kids_from {
        let gives = |s: &Step| s.stream.is_some() || s.key_server.is_some();
        problems.demand(
            earlier.iter().any(|s| s.name == *from && gives(s)),
            format!("{own}.kidsFrom"),
            "kidsFrom must name an earlier stream or keyServer step",
        );
    }
    check_challenge(&own, license, problems);
    check_wrapper(&own, license, problems);
    if let Some(token) = &license.token {
        problems.demand(
            token.credential.is_some() != token.mint.is_some(),
            format!("{own}.token"),
            "a token must have exactly one of credential, mint",
        );
        if let Some(mint) = &token.mint {
            check_object(&format!("{own}.token.mint.claims"), &mint.claims, problems);
        }
    }
    if license.system == DrmSystem::Proprietary {
        problems.demand(
            license.request.as_ref().is_some_and(|r| r.body.is_some()),
            format!("{own}.request.body"),
            "system Proprietary must have a request.body: it is what is sent",
        );
        problems.demand(
            license.policy.is_none(),
            format!("{own}.policy"),
            "the policy of a system Proprietary must be written as expect",
        );
    }
    if license.system == DrmSystem::FairPlay {
        problems.demand(
            license.policy.is_none(),
            format!("{own}.policy"),
            "FairPlay's policy is encrypted: policy must not be used with it",
        );
    }
    let device = license.challenge.as_ref().is_some_and(|c| c.device.is_some());
    let recorded = license
        .challenge
        .as_ref()
        .is_some_and(|c| c.recorded_credential.is_some());
    problems.demand(
        !license.rehearse.renewal
            || license.system == DrmSystem::ClearKey
            || (license.challenge.is_some() && !recorded),
        format!("{own}.rehearse.renewal"),
        "renewal must be used with ClearKey, a challenge.device or a challenge.provider",
    );
    let sends = matches!(license.system, DrmSystem::ClearKey | DrmSystem::Proprietary);
    problems.demand(
        step.expect_denied.is_none() || sends || license.challenge.is_some(),
        format!("{at}.expectDenied"),
        "expectDenied must be used with a challenge, which the server would grant or refuse",
    );
    problems.demand(
        !license.rehearse.freshness || license.challenge.is_some(),
        format!("{own}.rehearse.freshness"),
        "freshness must be used with a challenge: ClearKey licences are the same each time",
    );
    problems.demand(
        !license.rehearse.rotation || device || license.system == DrmSystem::ClearKey,
        format!("{own}.rehearse.rotation"),
        "rotation must be used with ClearKey or a challenge.device: a recording asks for its own keys only",
    );
    for (n, variant) in step.expect_denied.iter().flat_map(|d| &d.variants).enumerate() {
        check_variant(
            &format!("{at}.expectDenied.variants[{n}]"),
            license,
            variant,
            problems,
        );
    }
}

fn check_challenge(own: &str, license: &LicenseStep, problems: &mut Problems) {
    let Some(challenge) = &license.challenge else {
        return;
    };
    let kinds = [
        challenge.recorded_credential.is_some(),
        challenge.device.is_some(),
        challenge.provider.is_some(),
    ];
    problems.demand(
        kinds.iter().filter(|k| **k).count() == 1,
        format!("{own}.challenge"),
        "a challenge must have exactly one of recordedCredential, device, provider",
    );
    problems.demand(
        matches!(
            license.system,
            DrmSystem::Widevine | DrmSystem::PlayReady | DrmSystem::FairPlay
        ),
        format!("{own}.challenge"),
        "challenge must be used with system Widevine, PlayReady or FairPlay",
    );
    problems.demand(
        challenge.device.is_none() || license.system == DrmSystem::Widevine,
        format!("{own}.challenge.device"),
        "challenge.device must be used with system: Widevine",
    );
    if let Some(hook) = &challenge.provider {
        check_hook(&format!("{own}.challenge.provider"), hook, problems);
    }
}

fn check_wrapper(own: &str, license: &LicenseStep, problems: &mut Problems) {
    if let Some(request) = &license.request {
        let named = matches!(request.encoding, Some(BodyEncoding::Form | BodyEncoding::Json));
        problems.demand(
            !named || request.field.is_some(),
            format!("{own}.request.field"),
            "field must be used with encoding Form or Json: the name of the form's field, or a JSON pointer",
        );
        if let (Some(BodyEncoding::Json), Some(body)) = (request.encoding, &request.body) {
            check_object(&format!("{own}.request.body"), body, problems);
        }
    }
    if let Some(response) = &license.response {
        let named = matches!(
            response.extraction,
            Extraction::JsonPointer | Extraction::XmlElement
        );
        problems.demand(
            !named || response.field.is_some(),
            format!("{own}.response.field"),
            "field must be used with extraction JsonPointer or XmlElement",
        );
    }
    for (n, rule) in license.error_rules.iter().enumerate() {
        let at = format!("{own}.errorRules[{n}]");
        problems.demand(
            rule.status.is_some() || rule.regex.is_some(),
            &at,
            "an error rule must have a status or a regex",
        );
        if let Some(pattern) = &rule.regex {
            check_regex(&format!("{at}.regex"), pattern, problems);
        }
    }
}

fn check_variant(at: &str, license: &LicenseStep, variant: &DeniedVariant, problems: &mut Problems) {
    let mints = license.token.as_ref().is_some_and(|t| t.mint.is_some());
    let own = variant.token_credential.is_some();
    let (holds, message) = match variant.flaw {
        Flaw::NoToken | Flaw::TamperedToken => (
            license.token.is_some(),
            "the flaws NoToken and TamperedToken must be used with a token of the step",
        ),
        Flaw::ExpiredToken | Flaw::NotYetValidToken => (
            mints || own,
            "the flaws ExpiredToken and NotYetValidToken must be used with token.mint or a tokenCredential",
        ),
        Flaw::OtherAsset | Flaw::NoEntitlement => (
            own || (mints && variant.claims.is_some()),
            "the flaws OtherAsset and NoEntitlement must be used with claims (of a token.mint) or a tokenCredential",
        ),
        Flaw::WrongKid => (
            variant.kids.is_some() || variant.challenge_credential.is_some(),
            "the flaw WrongKid must be used with kids or a challengeCredential",
        ),
        Flaw::RevokedDevice => (
            variant.challenge_credential.is_some(),
            "the flaw RevokedDevice must be used with a challengeCredential",
        ),
        Flaw::OverDeviceLimit => (
            own || variant.challenge_credential.is_some() || variant.headers.is_some(),
            "the flaw OverDeviceLimit must be used with a challengeCredential, a tokenCredential or headers",
        ),
        Flaw::WrongGeo => (
            variant.headers.is_some(),
            "the flaw WrongGeo must be used with headers",
        ),
    };
    problems.demand(holds, at, message);
    if let Some(claims) = &variant.claims {
        check_object(&format!("{at}.claims"), claims, problems);
    }
    let device = license.challenge.as_ref().is_some_and(|c| c.device.is_some());
    let recorded = license
        .challenge
        .as_ref()
        .is_some_and(|c| c.recorded_credential.is_some());
    problems.demand(
        variant.kids.is_none() || device || license.system == DrmSystem::ClearKey || !recorded,
        format!("{at}.kids"),
        "kids must not be used with a recording, which asks for its own: give a challengeCredential",
    );
}

/// A JSON object, unless references make it one later.
fn check_object(at: &str, text: &str, problems: &mut Problems) {
    if text.contains("${") {
        return;
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.is_object() => {}
        Ok(_) => problems.add(at, "must be a JSON object"),
        Err(error) => problems.add(at, format!("must be a JSON object: {error}")),
    }
}

pub(super) fn check_hook(at: &str, hook: &Hook, problems: &mut Problems) {
    problems.demand(
        hook.exec.is_some() != hook.url.is_some(),
        at,
        "a plug-in must have exactly one of exec, url",
    );
    let input = hook.input.as_ref().filter(|i| !i.contains("${"));
    if let Some(Err(error)) = input.map(|i| serde_json::from_str::<serde_json::Value>(i)) {
        problems.add(format!("{at}.input"), format!("must be JSON: {error}"));
    }
}

pub(super) fn check_key_server(at: &str, server: &KeyServerStep, problems: &mut Problems) {
    let fair_play = server.systems.contains(&SignalledSystem::FairPlay);
    problems.demand(
        !fair_play
            || server.scheme == ProtectionScheme::Cbcs
            || server.protocol == KeyServerProtocol::Speke10,
        format!("{at}.scheme"),
        "FairPlay must be used with scheme: cbcs",
    );
    for (n, key) in server.keys.iter().enumerate() {
        let digits = key.kid.bytes().filter(u8::is_ascii_hexdigit).count();
        problems.demand(
            digits == 32,
            format!("{at}.keys[{n}].kid"),
            "must be a UUID or 32 hexadecimal digits",
        );
    }
    let all = server.keys.iter().any(|k| k.track == "ALL");
    problems.demand(
        !all || server.keys.len() == 1 || server.protocol == KeyServerProtocol::Speke10,
        format!("{at}.keys"),
        "the track ALL must be alone: several keys need a track each",
    );
    let one = server.auth.as_ref().is_none_or(|a| {
        [a.basic.is_some(), a.digest.is_some(), a.aws.is_some()]
            .iter()
            .filter(|k| **k)
            .count()
            == 1
    });
    problems.demand(
        one,
        format!("{at}.auth"),
        "auth must have exactly one of basic, digest, aws",
    );
}
