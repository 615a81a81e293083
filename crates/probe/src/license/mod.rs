//! The `license` step: what a licence server's success is worth is seen in the licence.

mod clearkey;
mod widevine;

use crate::{
    net::{Failure, Request, Response},
    run::{Context, Found},
    stream::Finding,
};
use drmwatch_api::{DrmSystem, LicenseStep, Step};
use drmwatch_media::Kid;
use drmwatch_plan::Reason;
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
    match license.system {
        DrmSystem::ClearKey => clearkey::run(context, step, license, finding).await,
        DrmSystem::Widevine => widevine::run(context, step, license, finding).await,
    }
}

/// Key ids to ask for: those that the step names, or those of the stream.
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

/// Posts a request, whatever the status of the answer, and how long that took, seconds.
async fn post(
    context: &mut Context<'_, '_>,
    license: &LicenseStep,
    kind: &str,
    body: Vec<u8>,
) -> Result<(Response, f64), Failure> {
    let mut headers = context.headers(&license.headers)?;
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".into(), kind.into()));
    }
    let request = Request {
        method: hyper::Method::POST,
        url: context.scope.fill(&license.url)?,
        headers,
        body,
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
    Ok((response, started.elapsed().as_secs_f64()))
}

/// The failure that the status of an answer to a good request means.
fn granted(response: &Response) -> Result<(), Failure> {
    let (host, status) = (response.host(), response.status.as_u16());
    match status {
        200..=299 => Ok(()),
        401 | 403 => Err(Failure::fail(
            Reason::LicenseDenied,
            format!("{host} denied the licence with {status}"),
        )),
        429 => Err(Failure::fail(Reason::RateLimited, format!("{host} answered 429"))),
        _ => {
            let message = format!("{host} answered the licence request with {status}");
            Err(Failure::fail(Reason::LicenseServerError, message))
        }
    }
}

/// The licence must hold a key for every key id asked for.
fn complete(host: &str, missing: &[Kid], held: &[Kid]) -> Result<(), Failure> {
    let Some(kid) = missing.first() else { return Ok(()) };
    let texts: Vec<String> = held.iter().take(8).map(Kid::to_string).collect();
    let held = if texts.is_empty() {
        "none".into()
    } else {
        texts.join(", ")
    };
    let message = format!("the licence of {host} must hold a key for {kid}; it holds {held}");
    Err(Failure::fail(Reason::KeyMissing, message))
}
