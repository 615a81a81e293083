//! Widevine, up to what can be proved without a device: the service certificate (level 1), the refusal of a
//! request without an identity (level 2), and a recorded request's licence (level 3).

use super::{complete, granted, post, wanted};
use crate::{
    net::{Failure, Response},
    run::{Context, Found, judge_refusal},
    stream::Finding,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_api::{LicenseStep, Step, Widevine};
use drmwatch_drm::widevine::{
    CertificateError, Challenge, ErrorCode, GOOGLE_ROOT, Kind, License, MALFORMED, MessageError,
    SERVICE_CERTIFICATE_REQUEST, ServiceCertificate, SignedMessage,
};
use drmwatch_plan::Reason;
use serde_json::json;

const BINARY: &str = "application/octet-stream";

pub(super) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    license: &LicenseStep,
    finding: Option<&Finding>,
) -> Result<Found, Failure> {
    let none = Widevine::default();
    let options = license.widevine.as_ref().unwrap_or(&none);
    // A step that expects a refusal sends the recording alone: the other requests need no entitlement.
    if let Some(denied) = &step.expect_denied {
        let challenge = recorded(context, options)?.ok_or_else(unrecorded)?;
        let (response, latency) = post(context, license, BINARY, challenge.0).await?;
        let status = response.status.as_u16();
        // An error in its own form is a refusal, whatever the status.
        let refused = SignedMessage::parse(&response.body).is_ok_and(|m| m.kind == Kind::ErrorResponse);
        if !(refused && response.status.is_success()) {
            judge_refusal(denied, status, response.host())?;
        }
        return Ok(variables(status, 0, latency));
    }
    let certificate = service_certificate(context, license, options).await?;
    context.facts.license_level = Some(1);
    if license.widevine.as_ref().is_none_or(|w| w.malformed_challenge) {
        malformed(context, license).await?;
        context.facts.license_level = Some(2);
    }
    let Some((challenge, asked)) = recorded(context, options)? else {
        return Ok(variables(200, 0, 0.0));
    };
    if let Some(serial) = &asked.certificate_serial
        && *serial != certificate.serial
    {
        return Err(Failure::inconclusive(
            Reason::RecordingStale,
            format!(
                "the recorded challenge is encrypted to another service certificate than the server's, {}: record a new one",
                certificate.serial_text()
            ),
        ));
    }
    let kids = wanted(license, finding)?;
    let (response, latency) = post(context, license, BINARY, challenge).await?;
    context.facts.license_latency_seconds = Some(latency);
    let found = judge(&response, &asked)?;
    let held = found.kids();
    let missing: Vec<_> = kids.iter().copied().filter(|k| !held.contains(k)).collect();
    complete(response.host(), &missing, &held)?;
    context.facts.license_level = Some(3);
    Ok(variables(response.status.as_u16(), held.len(), latency))
}

fn variables(status: u16, keys: usize, latency: f64) -> Found {
    Found {
        variables: json!({ "status": status, "keys": keys, "durationSeconds": latency }),
    }
}

fn unrecorded() -> Failure {
    Failure::inconclusive(
        Reason::ConfigurationInvalid,
        "a Widevine step that expects a refusal needs a recordedChallengeCredential",
    )
}

/// Base64 of a credential.
fn decoded(context: &Context<'_, '_>, name: &str) -> Result<Vec<u8>, Failure> {
    let text = context.scope.fill(&format!("${{credentials.{name}}}"))?;
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).map_err(|_| {
        Failure::inconclusive(
            Reason::ConfigurationInvalid,
            format!("the credential {name} must be Base64"),
        )
    })
}

fn recorded(context: &Context<'_, '_>, options: &Widevine) -> Result<Option<(Vec<u8>, Challenge)>, Failure> {
    let Some(name) = &options.recorded_challenge_credential else {
        return Ok(None);
    };
    let bytes = decoded(context, name)?;
    let challenge = Challenge::parse(&bytes).map_err(|e| {
        Failure::inconclusive(
            Reason::ConfigurationInvalid,
            format!("the credential {name} must be a recorded licence request: {e}"),
        )
    })?;
    Ok(Some((bytes, challenge)))
}

/// HTML, or another text, where a message must be: some gateway answered, or a vendor's wrapper is in between.
fn is_text(response: &Response) -> bool {
    let body = response.body.trim_ascii_start();
    body.starts_with(b"<") || body.starts_with(b"{") || body.is_empty()
}

async fn service_certificate(
    context: &mut Context<'_, '_>,
    license: &LicenseStep,
    options: &Widevine,
) -> Result<ServiceCertificate, Failure> {
    let root = options
        .root_credential
        .as_ref()
        .map(|name| decoded(context, name))
        .transpose()?;
    let request = SERVICE_CERTIFICATE_REQUEST.to_vec();
    let (response, latency) = post(context, license, BINARY, request).await?;
    context.facts.license_latency_seconds = Some(latency);
    granted(&response)?;
    let host = response.host();
    let wrong = |error: &CertificateError| {
        let reason = match error {
            CertificateError::Message(_) if is_text(&response) => Reason::NotALicense,
            _ => Reason::DrmCertificateInvalid,
        };
        Failure::fail(reason, format!("the service certificate of {host}: {error}"))
    };
    let certificate = ServiceCertificate::parse(&response.body).map_err(|e| wrong(&e))?;
    certificate
        .verify(root.as_deref().unwrap_or(GOOGLE_ROOT))
        .map_err(|e| match e {
            CertificateError::Root => Failure::inconclusive(Reason::ConfigurationInvalid, e.to_string()),
            e => wrong(&e),
        })?;
    context.facts.drm_certificate_not_after = certificate.expires;
    if let Some(expires) = certificate.expires.filter(|at| *at <= (context.clock)()) {
        return Err(Failure::fail(
            Reason::DrmCertificateExpired,
            format!("the service certificate of {host} expired at {expires}"),
        ));
    }
    if let Some(provider) = options.provider.as_ref().filter(|p| **p != certificate.provider) {
        return Err(Failure::fail(
            Reason::DrmCertificateInvalid,
            format!(
                "the service certificate of {host} must be of provider {provider:?}; it is of {:?}",
                certificate.provider
            ),
        ));
    }
    Ok(certificate)
}

/// A request without an identity: what answers with a licence grants to anybody, and a page of HTML with success
/// is not the licence server's.
async fn malformed(context: &mut Context<'_, '_>, license: &LicenseStep) -> Result<(), Failure> {
    let (response, _) = post(context, license, BINARY, MALFORMED.to_vec()).await?;
    let (host, status) = (response.host(), response.status.as_u16());
    if License::parse(&response.body).is_ok() {
        return Err(Failure::fail(
            Reason::EntitlementLeak,
            format!("{host} granted a licence to a request without an identity"),
        ));
    }
    let html = response.body.trim_ascii_start().starts_with(b"<");
    match status {
        429 => Err(Failure::fail(Reason::RateLimited, format!("{host} answered 429"))),
        200..=299 if html => Err(Failure::fail(
            Reason::NotALicense,
            format!("{host} answered a request that must be refused with {status} and a page"),
        )),
        // The form of an application's error differs from vendor to vendor; a gateway's is HTML.
        502..=504 if html => Err(Failure::fail(
            Reason::LicenseServerError,
            format!("{host} answered {status}: a gateway, and no licence server behind it"),
        )),
        _ => Ok(()),
    }
}

fn judge(response: &Response, asked: &Challenge) -> Result<License, Failure> {
    let host = response.host();
    if let Ok(Some(code)) = SignedMessage::parse(&response.body).and_then(|m| m.error()) {
        let reason = match code {
            ErrorCode::ServiceUnavailable => Reason::LicenseServerError,
            _ => Reason::LicenseDenied,
        };
        return Err(Failure::fail(reason, format!("{host} answered {code}")));
    }
    granted(response)?;
    let license = License::parse(&response.body).map_err(|error| {
        let reason = match error {
            MessageError::Wire(_) | MessageError::NoType => Reason::NotALicense,
            _ => Reason::LicenseInvalid,
        };
        Failure::fail(reason, format!("{host}: {error}"))
    })?;
    let invalid = |what: String| {
        Err(Failure::fail(
            Reason::LicenseInvalid,
            format!("the licence of {host} {what}"),
        ))
    };
    if asked.request_id.is_some() && license.request_id != asked.request_id {
        return invalid("answers another request: it is a cached or mixed-up one".into());
    }
    if license.signature_length != 32 {
        return invalid(format!(
            "must have a signature of 32 bytes; it has {}",
            license.signature_length
        ));
    }
    if !license.policy.can_play {
        return invalid("does not allow playing".into());
    }
    Ok(license)
}
