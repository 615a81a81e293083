//! The `license` step: what a licence server's success is worth is seen in the licence.

use crate::{
    net::{Failure, Request},
    run::{Context, Found, judge_refusal},
    stream::Finding,
};
use drmwatch_api::{DrmSystem, LicenseStep, Step};
use drmwatch_drm::{canary, clearkey};
use drmwatch_media::Kid;
use drmwatch_plan::Reason;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Largest licence.
const MAX_LICENSE: usize = 1 << 20;

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    license: &LicenseStep,
    findings: &BTreeMap<String, Finding>,
) -> Result<Found, Failure> {
    let finding = license.kids_from.as_ref().and_then(|from| findings.get(from));
    let kids = wanted(license, finding)?;
    let DrmSystem::ClearKey = license.system;
    let mut headers = context.headers(&license.headers)?;
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".into(), "application/json".into()));
    }
    let request = Request {
        method: hyper::Method::POST,
        url: context.scope.fill(&license.url)?,
        headers,
        body: clearkey::request(&kids),
        max_redirects: 5,
        max_body: MAX_LICENSE,
        truncate: false,
        address: None,
    };
    let started = Instant::now();
    let response = context
        .client
        .send(&request, context.deadline, context.hops)
        .await?;
    let latency = started.elapsed().as_secs_f64();
    context.facts.license_latency_seconds = Some(latency);
    let (host, status) = (response.host().to_owned(), response.status.as_u16());
    let found = |keys: usize| Found {
        variables: json!({ "status": status, "keys": keys, "durationSeconds": latency }),
    };
    if let Some(denied) = &step.expect_denied {
        // A success without a licence in it is no leak, but no refusal either.
        if response.status.is_success() && clearkey::parse(&response.body).is_err() {
            let message = format!("{host} did not refuse as it must: it answered {status} without a licence");
            return Err(Failure::fail(Reason::WrongRefusal, message));
        }
        return judge_refusal(denied, status, &host).map(|()| found(0));
    }
    match status {
        200..=299 => {}
        401 | 403 => {
            return Err(Failure::fail(
                Reason::LicenseDenied,
                format!("{host} denied the licence with {status}"),
            ));
        }
        429 => return Err(Failure::fail(Reason::RateLimited, format!("{host} answered 429"))),
        _ => {
            let message = format!("{host} answered the licence request with {status}");
            return Err(Failure::fail(Reason::LicenseServerError, message));
        }
    }
    let granted = clearkey::parse(&response.body).map_err(|error| {
        let reason = match error {
            clearkey::LicenseError::NotALicense(_) => Reason::NotALicense,
            clearkey::LicenseError::Invalid { .. } => Reason::LicenseInvalid,
        };
        Failure::fail(reason, format!("{host}: {error}"))
    })?;
    if let [missing, ..] = granted.missing(&kids)[..] {
        let message = format!(
            "the licence of {host} must hold a key for {missing}; it holds {}",
            list(&granted.kids())
        );
        return Err(Failure::fail(Reason::KeyMissing, message));
    }
    if license.open_canary {
        open_canary(finding, &granted)?;
    }
    Ok(found(granted.kids().len()))
}

fn wanted(license: &LicenseStep, finding: Option<&Finding>) -> Result<Vec<Kid>, Failure> {
    let Some(texts) = &license.kids else {
        let kids = finding.map(|f| f.kids.clone()).unwrap_or_default();
        return match kids.is_empty() {
            true => Err(Failure::fail(
                Reason::KidMissing,
                "the stream signals no key id to ask a licence for",
            )),
            false => Ok(kids),
        };
    };
    let parse = |text: &String| {
        Kid::parse(text).map_err(|e| Failure::inconclusive(Reason::ConfigurationInvalid, e.to_string()))
    };
    texts.iter().map(parse).collect()
}

fn open_canary(finding: Option<&Finding>, license: &clearkey::License) -> Result<(), Failure> {
    let unverifiable = |why: String| Failure::inconclusive(Reason::CanaryNotVerifiable, why);
    let (track, segment) = finding
        .and_then(|f| f.canary.as_ref())
        .ok_or_else(|| unverifiable("the stream has no AAC track with scheme cenc to open".into()))?;
    match canary::opens(track, segment, license) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::fail(
            Reason::CanaryNotOpened,
            "the newest audio segment does not open with the key of the licence: key and content differ",
        )),
        Err(canary::CanaryError::Segment(error)) => {
            Err(Failure::fail(Reason::SegmentInvalid, error.to_string()))
        }
        Err(error @ canary::CanaryError::NoKey(_)) => {
            Err(Failure::fail(Reason::KeyMissing, error.to_string()))
        }
        Err(error) => Err(unverifiable(error.to_string())),
    }
}

fn list(kids: &[Kid]) -> String {
    let texts: Vec<String> = kids.iter().take(8).map(Kid::to_string).collect();
    if texts.is_empty() {
        "none".into()
    } else {
        texts.join(", ")
    }
}
