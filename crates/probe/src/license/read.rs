//! From the bytes of an answer to what they say, by the rules of each system.

use super::model::{LicenseSummary, Message, Proof, Purpose};
use drmwatch_api::{DrmSystem, HdcpVersion, LicenseReason};
use drmwatch_drm::{
    clearkey, fairplay, playready,
    widevine::{
        self, CertificateError, Device, ErrorCode, Hdcp, Kind, ProofError, SecurityLevel, ServiceCertificate,
        Signed, SignedMessage,
    },
};

/// What the answer is held against, and what is given back for later requests.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// What made a fresh Widevine request, and the request.
    pub signed: Option<(&'a Device, &'a Signed)>,
    /// A Widevine request that was recorded or came from a hook.
    pub widevine: Option<&'a widevine::Challenge>,
    /// A PlayReady request.
    pub playready: Option<&'a playready::Challenge>,
    /// Root of the system's certificates.
    pub root: Option<&'a [u8]>,
}

/// Reads an answer's body; `licence` is what the wrapper's extraction took out of it.
pub(super) fn read(
    system: DrmSystem,
    purpose: Purpose,
    body: &[u8],
    licence: Option<&[u8]>,
    known: &Known<'_>,
) -> Message {
    if purpose == Purpose::Certificate {
        return match system {
            DrmSystem::Widevine => service_certificate(licence.unwrap_or(body), known),
            _ => application_certificate(body),
        };
    }
    let Some(licence) = licence else {
        return Message::Unread;
    };
    match system {
        DrmSystem::Widevine => widevine(licence, known),
        DrmSystem::PlayReady => playready(licence, known),
        DrmSystem::FairPlay => fairplay(body, licence),
        DrmSystem::ClearKey => clearkey(licence),
        DrmSystem::Proprietary => Message::License(Box::default()),
    }
}

fn text_like(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), None | Some(b'<' | b'{' | b'['))
}

fn service_certificate(bytes: &[u8], known: &Known<'_>) -> Message {
    let certificate = match ServiceCertificate::parse(bytes) {
        Ok(certificate) => certificate,
        Err(_) if text_like(bytes) => return Message::Unread,
        Err(CertificateError::Kind(_)) => return widevine(bytes, known),
        Err(error) => {
            return Message::Broken {
                problem: error.to_string(),
            };
        }
    };
    let problem = certificate
        .verify(known.root.unwrap_or(widevine::GOOGLE_ROOT))
        .err();
    let other = known
        .widevine
        .and_then(|c| c.certificate_serial.as_ref())
        .filter(|serial| **serial != certificate.serial);
    Message::ServiceCertificate {
        serial: certificate.serial_text(),
        provider: certificate.provider.clone(),
        expires: certificate.expires,
        problem: problem.map(|p| p.to_string()),
        recording_serial: other.map(|serial| hex(serial)),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(32).map(|b| format!("{b:02x}")).collect()
}

fn application_certificate(bytes: &[u8]) -> Message {
    match fairplay::Certificate::parse(bytes) {
        Ok(certificate) => Message::ApplicationCertificate {
            hash: hex(&certificate.hash),
            not_before: certificate.not_before,
            expires: certificate.not_after,
            recording_hash: None,
        },
        Err(_) if text_like(bytes) => Message::Unread,
        Err(error) => Message::Broken {
            problem: error.to_string(),
        },
    }
}

fn widevine(bytes: &[u8], known: &Known<'_>) -> Message {
    if text_like(bytes) {
        return Message::Unread;
    }
    let broken = |problem: String| Message::Broken { problem };
    let message = match SignedMessage::parse(bytes) {
        Ok(message) => message,
        Err(error) => return broken(error.to_string()),
    };
    match message.error() {
        Ok(Some(code)) => {
            let reason = match code {
                ErrorCode::InvalidDeviceCertificate => LicenseReason::ChallengeRefused,
                ErrorCode::RevokedDeviceCertificate => LicenseReason::DeviceRevoked,
                ErrorCode::ServiceUnavailable => LicenseReason::BackendUnavailable,
                ErrorCode::Other(_) => LicenseReason::LicenseServerError,
            };
            return Message::Refusal {
                code: code.to_string(),
                text: String::new(),
                reason,
            };
        }
        Ok(None) => {}
        Err(error) => return broken(error.to_string()),
    }
    if message.kind != Kind::License {
        return broken(format!(
            "it is no licence but a message of kind {:?}",
            message.kind
        ));
    }
    let (license, proof) = match known.signed {
        Some((device, signed)) => match device.verify(signed, bytes) {
            Ok(license) => (Ok(license), Proof::Verified),
            Err(ProofError::Message(error)) => (Err(error), Proof::NotLookedAt),
            Err(error @ ProofError::NotVerifiable(_)) => (
                widevine::License::parse(bytes),
                Proof::NotVerifiable(error.to_string()),
            ),
            Err(error) => (widevine::License::parse(bytes), Proof::Invalid(error.to_string())),
        },
        None => (widevine::License::parse(bytes), Proof::NotLookedAt),
    };
    let license = match license {
        Ok(license) => license,
        Err(error) => return broken(error.to_string()),
    };
    if license.signature_length != 32 {
        return broken(format!(
            "its signature must be 32 bytes; it has {}",
            license.signature_length
        ));
    }
    let asked = known
        .signed
        .map(|(_, s)| s.request_id.as_slice())
        .or_else(|| known.widevine.and_then(|c| c.request_id.as_deref()));
    let content: Vec<_> = license
        .keys
        .iter()
        .filter(|k| {
            matches!(
                k.kind,
                widevine::KeyKind::Content | widevine::KeyKind::Entitlement
            )
        })
        .collect();
    let level = |l: Option<SecurityLevel>| l.map_or(1, |l| l as i32);
    let hdcp = |h: Option<Hdcp>| match h {
        None | Some(Hdcp::None) => HdcpVersion::None,
        Some(Hdcp::V1) => HdcpVersion::V1,
        Some(Hdcp::V2) => HdcpVersion::V2,
        Some(Hdcp::V21) => HdcpVersion::V21,
        Some(Hdcp::V22) => HdcpVersion::V22,
        Some(Hdcp::V23) => HdcpVersion::V23,
        Some(Hdcp::NoDigitalOutput) => HdcpVersion::NoDigitalOutput,
    };
    let policy = license.policy;
    let limits = [policy.license, policy.playback, policy.rental];
    Message::License(Box::new(LicenseSummary {
        kids: Some(license.kids()),
        answers_request: asked.map(|asked| license.request_id.as_deref() == Some(asked)),
        proof,
        can_play: Some(policy.can_play),
        can_persist: Some(policy.can_persist),
        can_renew: Some(policy.can_renew),
        // The shortest that is set; none is without an end.
        duration_seconds: Some(limits.into_iter().filter(|s| *s > 0).min().unwrap_or(0)),
        security_level: content.iter().map(|k| level(k.level)).min(),
        hdcp: content.iter().map(|k| hdcp(k.hdcp)).min(),
        ..LicenseSummary::default()
    }))
}

/// What a HRESULT means, as a word of the rules.
fn hresult(code: Option<u32>) -> LicenseReason {
    match code {
        Some(0x8004_C053 | 0x8004_C065) => LicenseReason::DeviceRevoked,
        Some(0x8004_C81C | 0x8004_120A | 0x8004_9006) => LicenseReason::DrmCertificateExpired,
        Some(0x8004_C601 | 0x8004_C603 | 0x8004_C60B | 0x8004_C035) => LicenseReason::ChallengeRefused,
        Some(0x8004_C602 | 0x8004_C608) => LicenseReason::DeviceLimit,
        Some(0x8004_C604 | 0x8004_C605 | 0x8004_C606 | 0x8004_C60A | 0x8004_C60C) => {
            LicenseReason::LicenseDenied
        }
        Some(0x8004_C01C) => LicenseReason::LicenseClockSkewed,
        Some(0x8004_A004) => LicenseReason::SecurityLevelTooLow,
        _ => LicenseReason::LicenseServerError,
    }
}

fn playready(bytes: &[u8], known: &Known<'_>) -> Message {
    let response = match playready::Answer::parse(bytes) {
        Ok(playready::Answer::Granted(response)) => response,
        Ok(playready::Answer::Refused(fault)) => {
            let meaning = fault.code.and_then(playready::meaning);
            return Message::Refusal {
                code: fault
                    .code
                    .map_or("a SOAP fault".to_owned(), |c| format!("0x{c:08X}")),
                text: meaning.map_or(fault.text, str::to_owned),
                reason: hresult(fault.code),
            };
        }
        Err(playready::ResponseError::Other(_)) => return Message::Unread,
        Err(error) => {
            return Message::Broken {
                problem: error.to_string(),
            };
        }
    };
    let proof = match (&response.chain, response.signed) {
        (Some(chain), true) => match chain.verify(known.root) {
            Ok(key) => match playready::verify(bytes, &key) {
                Ok(()) => Proof::Verified,
                Err(error) => Proof::Invalid(error.to_string()),
            },
            Err(playready::CertificateError::Root) => {
                Proof::NotVerifiable("the root given is no P-256 public key of 64 bytes".into())
            }
            Err(error) => Proof::Invalid(error.to_string()),
        },
        // A root of the operator's is a demand for signatures.
        (_, false) if known.root.is_some() => Proof::Invalid("it is not signed".into()),
        (None, true) if known.root.is_some() => Proof::Invalid("it has no certificate chain".into()),
        _ => Proof::NotLookedAt,
    };
    let licenses = &response.licenses;
    let least = |of: fn(&playready::License) -> Option<i32>| licenses.iter().filter_map(of).min();
    let duration = |l: &playready::License| {
        let until = l.expires.zip(l.issued.or(l.begins));
        let clock = until.and_then(|(end, start)| u64::try_from(end.duration_since(start).as_secs()).ok());
        let after = l.after_first_play.map(u64::from);
        clock.into_iter().chain(after).min().unwrap_or(0)
    };
    let mut protection: Option<[u16; 5]> = None;
    for levels in licenses.iter().filter_map(|l| l.output_protection) {
        let own = protection.get_or_insert(levels);
        own.iter_mut()
            .zip(levels)
            .for_each(|(own, level)| *own = (*own).min(level));
    }
    let durations = licenses.iter().map(duration);
    Message::License(Box::new(LicenseSummary {
        kids: Some(response.kids()),
        answers_request: known.playready.and_then(|c| response.fresh(c)),
        proof,
        duration_seconds: durations.clone().filter(|d| *d > 0).min().or(durations.min()),
        issued: licenses.iter().filter_map(|l| l.issued).min(),
        expires: licenses.iter().filter_map(|l| l.expires).min(),
        security_level: least(|l| l.security_level.map(i32::from)),
        output_protection: protection,
        signer_expires: response.chain.as_ref().and_then(|c| c.expires()),
        ..LicenseSummary::default()
    }))
}

fn fairplay(body: &[u8], licence: &[u8]) -> Message {
    if let Ok(document) = serde_json::from_slice::<serde_json::Value>(body)
        && let Some((status, _)) = fairplay::sdk_answer(&document)
        && status != 0
    {
        let reason = match status {
            -42604 => LicenseReason::SecurityLevelTooLow,
            -42605 => LicenseReason::ChallengeRefused,
            -42601 => LicenseReason::LicenseServerError,
            _ => LicenseReason::ChallengeRefused,
        };
        return Message::Refusal {
            code: format!("status {status}"),
            text: fairplay::status_meaning(status).unwrap_or_default().to_owned(),
            reason,
        };
    }
    if text_like(licence) || std::str::from_utf8(licence).is_ok_and(|t| !t.contains('\0')) {
        return Message::Unread;
    }
    match fairplay::Ckc::parse(licence) {
        Ok(_) => Message::License(Box::default()),
        Err(error) => Message::Broken {
            problem: error.to_string(),
        },
    }
}

fn clearkey(bytes: &[u8]) -> Message {
    match clearkey::parse(bytes) {
        Ok(license) => Message::License(Box::new(LicenseSummary {
            kids: Some(license.kids()),
            ..LicenseSummary::default()
        })),
        Err(clearkey::LicenseError::NotALicense(_)) => Message::Unread,
        Err(error @ clearkey::LicenseError::Invalid { .. }) => Message::Broken {
            problem: error.to_string(),
        },
    }
}
