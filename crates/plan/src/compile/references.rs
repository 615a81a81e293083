//! `${…}` references: what they may refer to, and where they may stand.

use super::Problems;
use crate::{Reference, Template, did_you_mean};
use drmwatch_api::{Header, Step};
use std::collections::BTreeMap;

pub(super) fn check(
    field: &str,
    text: &str,
    steps: &[Step],
    n: usize,
    used: &mut BTreeMap<String, String>,
    problems: &mut Problems,
) {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return problems.add(field, error.to_string()),
    };
    for reference in template.references() {
        match reference {
            Reference::Credential(name) => {
                used.entry(name.clone()).or_insert_with(|| field.to_owned());
            }
            Reference::Output { step, output } => match steps.iter().position(|s| s.name == *step) {
                None => problems.add(
                    field,
                    format!(
                        "a ${{...}} reference must be ${{credentials.NAME}} or ${{STEP.OUTPUT}} of a step of this probe; there is no step {step}{}",
                        did_you_mean(step, steps.iter().map(|s| s.name.as_str()).chain(["credentials"]))
                    ),
                ),
                Some(m) if m >= n => problems.add(
                    field,
                    format!("a ${{STEP.OUTPUT}} reference must be to an earlier step; {step} is not"),
                ),
                Some(m) => {
                    let known = outputs(&steps[m]);
                    if !known.contains(&output.as_str()) {
                        let hint = did_you_mean(output, known.iter().copied());
                        problems.add(field, format!("step {step} must have an output {output}; it has {known:?}{hint}"));
                    }
                }
            },
        }
    }
}

fn outputs(step: &Step) -> Vec<&str> {
    match step {
        Step { http: Some(http), .. } => http.outputs.iter().map(|o| o.name.as_str()).collect(),
        Step {
            plugin: Some(plugin), ..
        } => plugin.outputs.iter().map(|o| o.name.as_str()).collect(),
        Step { stream: Some(_), .. }
        | Step {
            key_server: Some(_), ..
        } => vec!["kids"],
        _ => Vec::new(),
    }
}

/// The texts of a step that may hold references, with their fields.
pub(crate) fn texts(step: &Step) -> Vec<(String, &str)> {
    let mut texts: Vec<(String, &str)> = Vec::new();
    fn add_headers<'a>(texts: &mut Vec<(String, &'a str)>, at: &str, headers: &'a [Header]) {
        let values = headers.iter().enumerate();
        texts.extend(values.map(|(n, h)| (format!("{at}[{n}].value"), h.value.as_str())));
    }
    if let Some(http) = &step.http {
        texts.push(("http.url".into(), &http.url));
        add_headers(&mut texts, "http.headers", &http.headers);
        texts.extend(http.body.as_deref().map(|body| ("http.body".to_owned(), body)));
    }
    if let Some(stream) = &step.stream {
        texts.push(("stream.url".into(), &stream.url));
        add_headers(&mut texts, "stream.headers", &stream.headers);
    }
    if let Some(license) = &step.license {
        texts.push(("license.url".into(), &license.url));
        add_headers(&mut texts, "license.headers", &license.headers);
        if let Some(request) = &license.request {
            add_headers(&mut texts, "license.request.query", &request.query);
            texts.extend(
                request
                    .body
                    .as_deref()
                    .map(|b| ("license.request.body".to_owned(), b)),
            );
        }
        if let Some(mint) = license.token.as_ref().and_then(|t| t.mint.as_ref()) {
            texts.push(("license.token.mint.claims".into(), &mint.claims));
        }
        if let Some(hook) = license.challenge.as_ref().and_then(|c| c.provider.as_ref()) {
            let url = hook
                .url
                .as_deref()
                .map(|u| ("license.challenge.provider.url".to_owned(), u));
            let input = hook
                .input
                .as_deref()
                .map(|i| ("license.challenge.provider.input".to_owned(), i));
            texts.extend(url.into_iter().chain(input));
        }
        let certificate = license
            .fair_play
            .as_ref()
            .and_then(|f| f.certificate_url.as_deref());
        texts.extend(certificate.map(|u| ("license.fairPlay.certificateUrl".to_owned(), u)));
    }
    for (n, variant) in step.expect_denied.iter().flat_map(|d| &d.variants).enumerate() {
        let at = format!("expectDenied.variants[{n}]");
        add_headers(
            &mut texts,
            &format!("{at}.headers"),
            variant.headers.as_deref().unwrap_or_default(),
        );
        texts.extend(variant.claims.as_deref().map(|c| (format!("{at}.claims"), c)));
    }
    if let Some(server) = &step.key_server {
        texts.push(("keyServer.url".into(), &server.url));
        texts.extend(
            server
                .heartbeat_url
                .as_deref()
                .map(|u| ("keyServer.heartbeatUrl".to_owned(), u)),
        );
        texts.push(("keyServer.contentId".into(), &server.content_id));
        add_headers(&mut texts, "keyServer.headers", &server.headers);
    }
    if let Some(plugin) = &step.plugin {
        let url = plugin
            .hook
            .url
            .as_deref()
            .map(|u| ("plugin.hook.url".to_owned(), u));
        let input = plugin
            .hook
            .input
            .as_deref()
            .map(|i| ("plugin.hook.input".to_owned(), i));
        texts.extend(url.into_iter().chain(input));
    }
    texts
}
