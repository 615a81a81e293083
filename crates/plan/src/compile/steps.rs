//! Checks of the steps.

use super::{Problems, license, references, step_kind, step_variables, unique};
use crate::Expression;
use drmwatch_api::{CHECK_ID, DrmProbe, Method, Output, Step, StreamChecks, StreamToken, Tls, TokenFlaw};
use std::collections::BTreeMap;

/// Checks every step; gives the credentials that are used, each with the first field that uses it.
pub(super) fn check(probe: &DrmProbe, tls: &Tls, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    check_tls(tls, &mut used, problems);
    let steps = &probe.spec.steps;
    problems.demand(
        (1..=10).contains(&steps.len()),
        "spec.steps",
        "a probe must have between 1 and 10 steps",
    );
    unique(
        steps.iter().map(|s| &s.name),
        "spec.steps",
        "step names must be unique",
        problems,
    );
    for (n, step) in steps.iter().enumerate() {
        let at = format!("spec.steps[{n}]");
        problems.demand(
            step.name != "credentials",
            format!("{at}.name"),
            "a step must not be named credentials",
        );
        let kinds = [
            step.http.is_some(),
            step.stream.is_some(),
            step.license.is_some(),
            step.key_server.is_some(),
            step.plugin.is_some(),
        ];
        if kinds.iter().filter(|k| **k).count() != 1 {
            problems.add(
                &at,
                "a step must have exactly one of http, stream, license, keyServer, plugin",
            );
            continue;
        }
        for (field, text) in references::texts(step) {
            references::check(&format!("{at}.{field}"), text, steps, n, &mut used, problems);
        }
        if let Some(token) = step.stream.as_ref().and_then(|s| s.token.as_ref()) {
            for (field, name) in token.credentials() {
                used.entry(name.to_owned())
                    .or_insert_with(|| format!("{at}.stream.token.{field}"));
            }
        }
        let licenses = step.license.iter().flat_map(|l| {
            let own = l.credentials();
            own.into_iter()
                .map(|(field, name)| (format!("license.{field}"), name))
        });
        let servers = step.key_server.iter().flat_map(|k| {
            let own = k.credentials();
            own.into_iter()
                .map(|(field, name)| (format!("keyServer.{field}"), name))
        });
        let plugins = step.plugin.iter().flat_map(|p| {
            let own = p.hook.credentials.iter().enumerate();
            own.map(|(n, name)| (format!("plugin.hook.credentials[{n}]"), name.as_str()))
        });
        let denied = step.expect_denied.iter().flat_map(|d| &d.variants).enumerate();
        let denied = denied.flat_map(|(n, v)| {
            let own = [
                ("tokenCredential", &v.token_credential),
                ("challengeCredential", &v.challenge_credential),
            ];
            own.into_iter().filter_map(move |(field, name)| {
                Some((
                    format!("expectDenied.variants[{n}].{field}"),
                    name.as_ref()?.as_str(),
                ))
            })
        });
        for (field, name) in licenses.chain(servers).chain(plugins).chain(denied) {
            used.entry(name.to_owned())
                .or_insert_with(|| format!("{at}.{field}"));
        }
        let appears = step.stream.as_ref().and_then(|s| s.appears_within_seconds);
        problems.demand(
            appears.is_none_or(|s| s < probe.spec.timeout_seconds),
            format!("{at}.stream.appearsWithinSeconds"),
            "appearsWithinSeconds must be below timeoutSeconds",
        );
        check_kind(&at, step, &steps[..n], problems);
        for (m, expectation) in step.expect.iter().enumerate() {
            if let Err(error) =
                Expression::compile(&expectation.cel, step_kind(step), step_variables(step_kind(step)))
            {
                problems.add(format!("{at}.expect[{m}].cel"), error.to_string());
            }
        }
    }
    used
}

fn check_kind(at: &str, step: &Step, earlier: &[Step], problems: &mut Problems) {
    if let Some(http) = &step.http {
        problems.demand(
            http.body.is_none() || matches!(http.method, Method::Post | Method::Put | Method::Delete),
            format!("{at}.http.body"),
            "body must be used with method POST, PUT or DELETE",
        );
        check_outputs(&format!("{at}.http.outputs"), &http.outputs, problems);
    }
    if let Some(plugin) = &step.plugin {
        check_outputs(&format!("{at}.plugin.outputs"), &plugin.outputs, problems);
        for (m, output) in plugin.outputs.iter().enumerate() {
            problems.demand(
                output.json_pointer.is_some(),
                format!("{at}.plugin.outputs[{m}]"),
                "an output of a plug-in must have a jsonPointer",
            );
        }
        license::check_hook(&format!("{at}.plugin.hook"), &plugin.hook, problems);
    }
    if let Some(server) = &step.key_server {
        license::check_key_server(&format!("{at}.keyServer"), server, problems);
    }
    if step.http.is_none() && step.license.is_none() {
        problems.demand(
            step.expect_denied.is_none(),
            format!("{at}.expectDenied"),
            "expectDenied must be used with http or license steps only",
        );
    }
    if step.license.is_none() {
        problems.demand(
            step.expect_denied.as_ref().is_none_or(|d| d.variants.is_empty()),
            format!("{at}.expectDenied.variants"),
            "variants must be used with license steps only",
        );
    }
    if let Some(stream) = &step.stream {
        check_ids(&format!("{at}.stream.checks"), &stream.checks, problems);
    }
    if let Some(token) = step.stream.as_ref().and_then(|s| s.token.as_ref()) {
        check_token(&format!("{at}.stream.token"), token, problems);
    }
    if let Some(same) = step
        .stream
        .as_ref()
        .and_then(|s| s.expected.same_kids_as.as_ref())
    {
        let found = earlier
            .iter()
            .any(|s| s.name == *same && (s.stream.is_some() || s.key_server.is_some()));
        problems.demand(
            found,
            format!("{at}.stream.expected.sameKidsAs"),
            "sameKidsAs must name an earlier stream or keyServer step",
        );
    }
    if let Some(own) = &step.license {
        license::check(at, step, own, earlier, problems);
    }
}

fn check_outputs(at: &str, outputs: &[Output], problems: &mut Problems) {
    unique(
        outputs.iter().map(|o| &o.name),
        at,
        "output names must be unique",
        problems,
    );
    for (m, output) in outputs.iter().enumerate() {
        let kinds = [
            output.json_pointer.is_some(),
            output.regex.is_some(),
            output.header.is_some(),
        ];
        problems.demand(
            kinds.iter().filter(|k| **k).count() == 1,
            format!("{at}[{m}]"),
            "an output must have exactly one of jsonPointer, regex, header",
        );
        if let Some(pattern) = &output.regex {
            check_regex(&format!("{at}[{m}].regex"), pattern, problems);
        }
    }
}

pub(super) fn check_regex(at: &str, pattern: &str, problems: &mut Problems) {
    if let Err(error) = regex::Regex::new(pattern) {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim();
        problems.add(at, format!("must be a regular expression: {last}"));
    }
}

fn check_ids(at: &str, checks: &StreamChecks, problems: &mut Problems) {
    let Ok(known) = regex::Regex::new(CHECK_ID) else {
        return;
    };
    let disabled = checks.disabled.iter().enumerate();
    let disabled = disabled.map(|(n, id)| (format!("{at}.disabled[{n}]"), id));
    let thresholds = checks.thresholds.iter().enumerate();
    let thresholds = thresholds.map(|(n, t)| (format!("{at}.thresholds[{n}].check"), &t.check));
    for (field, id) in disabled.chain(thresholds) {
        problems.demand(
            known.is_match(id),
            field,
            "a check id should match one of M01 to X06 (docs/checks.md)",
        );
    }
}

fn check_token(at: &str, token: &StreamToken, problems: &mut Problems) {
    let schemes = [
        token.nginx_secure_link.is_some(),
        token.akamai_edge_auth.is_some(),
        token.cloud_front.is_some(),
        token.wowza_secure_token.is_some(),
        token.azure_sas.is_some(),
        token.common_access_token.is_some(),
    ];
    problems.demand(
        schemes.iter().filter(|s| **s).count() == 1,
        at,
        "a token must have exactly one of nginxSecureLink, akamaiEdgeAuth, cloudFront, wowzaSecureToken, azureSas, commonAccessToken",
    );
    let address = token.address.as_ref();
    problems.demand(
        address.is_none_or(|a| a.parse::<std::net::IpAddr>().is_ok()),
        format!("{at}.address"),
        "address must be an IPv4 or IPv6 address",
    );
    problems.demand(
        token
            .cloud_front
            .as_ref()
            .is_none_or(|c| !c.cookies || c.resource.is_some()),
        format!("{at}.cloudFront.resource"),
        "cookies must be used with a resource: they are sent with every URL",
    );
    let deny = token.deny.as_ref();
    problems.demand(
        deny.is_none_or(|d| !d.flaws.contains(&TokenFlaw::Revoked) || d.revoked_credential.is_some()),
        format!("{at}.deny.revokedCredential"),
        "the flaw Revoked must be used with a revokedCredential",
    );
}

fn check_tls(tls: &Tls, used: &mut BTreeMap<String, String>, problems: &mut Problems) {
    problems.demand(
        tls.client_certificate_credential.is_some() == tls.client_key_credential.is_some(),
        "spec.tls",
        "clientCertificateCredential and clientKeyCredential must be used together",
    );
    for (field, name) in [
        ("caCredential", &tls.ca_credential),
        ("clientCertificateCredential", &tls.client_certificate_credential),
        ("clientKeyCredential", &tls.client_key_credential),
    ] {
        if let Some(name) = name {
            used.entry(name.clone())
                .or_insert_with(|| format!("spec.tls.{field}"));
        }
    }
}
