//! A Widevine licence server with real wire formats: Google's own production service certificate, which is public,
//! and licences whose keys are noise. It grants to requests whose identity is encrypted to that certificate.

use crate::{CANARY_KID, Fault, Faults};
use drmwatch_drm::{
    protobuf::{Message, Writer},
    widevine::{Challenge, SERVICE_CERTIFICATE_REQUEST},
};

/// Google's production service certificate, as every client has it built in.
pub const SERVICE_CERTIFICATE: &[u8] = include_bytes!("../../drm/vectors/widevine-production-service.bin");

/// A licence request as a player in privacy mode records it: for the canary's key id, with an identity that nobody
/// can read.
pub fn recorded_challenge() -> Vec<u8> {
    let kid = canary();
    let data = Writer::default().bytes(2, &kid).finish();
    let pssh = Writer::default()
        .bytes(1, &data)
        .number(2, 1)
        .bytes(3, b"request-of-a-player")
        .finish();
    let content = Writer::default().bytes(1, &pssh).finish();
    let identity = Writer::default()
        .bytes(1, b"license.widevine.com")
        .bytes(2, &serial())
        .bytes(3, &[0x5a; 256])
        .bytes(4, &[7; 16])
        .bytes(5, &[9; 256])
        .finish();
    let request = Writer::default()
        .bytes(2, &content)
        .number(3, 1)
        .number(4, 1_760_000_000)
        .number(6, 21)
        .bytes(8, &identity)
        .finish();
    Writer::default()
        .number(1, 1)
        .bytes(2, &request)
        .bytes(3, &[3; 256])
        .finish()
}

fn canary() -> [u8; 16] {
    u128::from_str_radix(&CANARY_KID.replace('-', ""), 16)
        .unwrap_or_default()
        .to_be_bytes()
}

/// Serial number of the service certificate.
fn serial() -> Vec<u8> {
    let find = |bytes: &'static [u8], path: &[u32]| {
        path.iter().try_fold(bytes, |bytes, number| {
            Message::parse(bytes, 0).ok()?.bytes(*number)
        })
    };
    find(SERVICE_CERTIFICATE, &[2, 1, 2]).unwrap_or_default().to_vec()
}

/// Status, content type and body.
pub(crate) fn answer(faults: &Faults, body: &[u8]) -> (u16, &'static str, Vec<u8>) {
    const BINARY: &str = "application/octet-stream";
    let has = |fault| faults.has(fault);
    if has(Fault::LicenseDown) {
        return (500, "text/html", b"<html>Internal Server Error</html>".to_vec());
    }
    if has(Fault::LicenseHtml) {
        return (
            200,
            "text/html",
            b"<!DOCTYPE html><title>Sign in</title>".to_vec(),
        );
    }
    if body == SERVICE_CERTIFICATE_REQUEST {
        let mut certificate = SERVICE_CERTIFICATE.to_vec();
        if has(Fault::DrmCertificateBroken) {
            // In the public key.
            certificate[100] ^= 1;
        }
        return (200, BINARY, certificate);
    }
    let refused = (
        400,
        "application/json",
        br#"{"code":"invalid_challenge"}"#.to_vec(),
    );
    let Ok(challenge) = Challenge::parse(body) else {
        return refused;
    };
    let known = challenge.certificate_serial.as_deref() == Some(&serial()[..]);
    if !known && !has(Fault::LicenseOpen) {
        return refused;
    }
    // What must be refused never reaches the entitlement check.
    if known && has(Fault::LicenseDenied) {
        return (403, "application/json", br#"{"code":"entitlement"}"#.to_vec());
    }
    if known && has(Fault::DeviceRevoked) {
        let error = Writer::default().number(1, 2).finish();
        return (
            200,
            BINARY,
            Writer::default().number(1, 3).bytes(2, &error).finish(),
        );
    }
    (200, BINARY, license(faults, &challenge))
}

fn license(faults: &Faults, challenge: &Challenge) -> Vec<u8> {
    let has = |fault| faults.has(fault);
    let mut request = challenge.request_id.clone().unwrap_or_default();
    if has(Fault::LicenseStale) {
        request = b"request-of-yesterday".to_vec();
    }
    let mut kid = challenge.kids.first().map_or(canary(), |k| k.0);
    if has(Fault::LicenseWrongKid) {
        kid.reverse();
    }
    let id = Writer::default().bytes(1, &request).number(4, 1).finish();
    let policy = Writer::default().number(1, 1).number(6, 86_400).finish();
    let hdcp = Writer::default().number(1, 1).finish();
    let content = Writer::default()
        .bytes(1, &kid)
        .bytes(2, &[1; 16])
        .bytes(3, &[2; 32])
        .number(4, 2)
        .number(5, 1)
        .bytes(6, &hdcp)
        .finish();
    let signing = Writer::default().bytes(3, &[4; 80]).number(4, 1).finish();
    let body = Writer::default()
        .bytes(1, &id)
        .bytes(2, &policy)
        .bytes(3, &signing)
        .bytes(3, &content)
        .number(4, 1_760_000_000)
        .finish();
    Writer::default()
        .number(1, 2)
        .bytes(2, &body)
        .bytes(3, &[6; 32])
        .bytes(4, &[8; 256])
        .finish()
}
