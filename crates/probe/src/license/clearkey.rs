//! ClearKey (W3C Encrypted Media Extensions, section 9.1).

use super::{complete, granted, post, wanted};
use crate::{
    net::Failure,
    run::{Context, Found, judge_refusal},
    stream::Finding,
};
use drmwatch_api::{LicenseStep, Step};
use drmwatch_drm::{canary, clearkey};
use drmwatch_plan::Reason;
use serde_json::json;

pub(super) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    license: &LicenseStep,
    finding: Option<&Finding>,
) -> Result<Found, Failure> {
    let kids = wanted(license, finding)?;
    let (response, latency) = post(context, license, "application/json", clearkey::request(&kids)).await?;
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
    granted(&response)?;
    let license_found = clearkey::parse(&response.body).map_err(|error| {
        let reason = match error {
            clearkey::LicenseError::NotALicense(_) => Reason::NotALicense,
            clearkey::LicenseError::Invalid { .. } => Reason::LicenseInvalid,
        };
        Failure::fail(reason, format!("{host}: {error}"))
    })?;
    complete(&host, &license_found.missing(&kids), &license_found.kids())?;
    if license.open_canary {
        open_canary(finding, &license_found)?;
    }
    Ok(found(license_found.kids().len()))
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
