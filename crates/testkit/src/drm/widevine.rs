//! Widevine: a root, a service and a device of our own.

use super::{Refusal, canary, guid};
use crate::{
    Fault, Faults,
    services::{Answer, answer, now},
};
use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use drmwatch_drm::{
    protobuf::{Message, Writer},
    widevine::signature_key,
};
use hmac::{Hmac, KeyInit, Mac};
use rsa::{
    PrivateKey,
    pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey},
};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

const BINARY: &str = "application/octet-stream";
const SERIAL: [u8; 16] = *b"drm-town-service";
const OLD_SERIAL: [u8; 16] = *b"drm-town-before!";

fn key(pem: &str) -> PrivateKey {
    PrivateKey::from_pkcs1_pem(pem).unwrap_or_else(|_| unreachable!("the key is ours"))
}

fn public(key: &PrivateKey) -> Vec<u8> {
    let der = key.to_public_key().to_pkcs1_der();
    der.map(|d| d.as_bytes().to_vec()).unwrap_or_default()
}

fn root_key() -> PrivateKey {
    key(include_str!("../../vectors/widevine-root.pem"))
}

fn device() -> PrivateKey {
    key(include_str!("../../vectors/widevine-device.pem"))
}

/// Public key of this world's root, PKCS #1 DER.
pub fn root() -> Vec<u8> {
    public(&root_key())
}

/// Private key of this world's test device, PEM.
pub fn device_key() -> &'static str {
    include_str!("../../vectors/widevine-device.pem")
}

/// A DrmCertificate in its signed form.
fn certificate(kind: u64, serial: &[u8], key: &PrivateKey, expires: u32, by: &PrivateKey) -> Vec<u8> {
    let inner = Writer::default()
        .number(1, kind)
        .bytes(2, serial)
        .number(3, 1_700_000_000)
        .bytes(4, &public(key))
        .number(5, 4242)
        .bytes(7, b"drm.town")
        .number(12, u64::from(expires))
        .finish();
    let mut rng = rand::rng();
    let signature = by
        .pss_sign_with_rng::<Sha1, _>(&mut rng, &inner)
        .unwrap_or_default();
    Writer::default().bytes(1, &inner).bytes(2, &signature).finish()
}

/// The test device's ClientIdentification: the same for the life of the process, though signatures are salted.
pub fn identity() -> Vec<u8> {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let token = certificate(2, b"drm-town-device!", &device(), 0, &root_key());
        let info = Writer::default()
            .bytes(1, b"company_name")
            .bytes(2, b"drm.town")
            .finish();
        Writer::default()
            .number(1, 1)
            .bytes(2, &token)
            .bytes(3, &info)
            .finish()
    });
    made.clone()
}

/// A licence request as a player in privacy mode records it: for the canary's key id, with an identity that nobody here
/// can read.
pub fn recorded_challenge() -> Vec<u8> {
    recorded_for(&SERIAL)
}

fn recorded_for(serial: &[u8]) -> Vec<u8> {
    let data = Writer::default().bytes(2, &canary()).finish();
    let pssh = Writer::default()
        .bytes(1, &data)
        .number(2, 1)
        .bytes(3, b"request-of-a-player")
        .finish();
    let content = Writer::default().bytes(1, &pssh).finish();
    let identity = Writer::default()
        .bytes(1, b"drm.town")
        .bytes(2, serial)
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

pub(super) struct Server {
    root: PrivateKey,
    service: PrivateKey,
    device: PrivateKey,
    /// Service certificates: good, with another serial, expired.
    certificates: [Vec<u8>; 3],
}

/// The parts of a request that the server looks at.
struct Asked {
    request: Vec<u8>,
    request_id: Vec<u8>,
    kids: Vec<Vec<u8>>,
    /// The identity could be decrypted, or came in the clear.
    identity: Option<Vec<u8>>,
    signature: Vec<u8>,
    recorded: bool,
}

impl Server {
    pub fn new() -> Server {
        let (root, service) = (
            root_key(),
            key(include_str!("../../vectors/widevine-service.pem")),
        );
        let make = |serial: &[u8], expires| certificate(3, serial, &service, expires, &root);
        let certificates = [
            make(&SERIAL, 0),
            make(&OLD_SERIAL, 0),
            make(&SERIAL, 1_700_000_001),
        ];
        Server {
            certificates,
            device: device(),
            root,
            service,
        }
    }

    pub fn certificate(&self, faults: &Faults) -> Answer {
        let which = match () {
            () if faults.has(Fault::DrmCertificateRotated) => 1,
            () if faults.has(Fault::DrmCertificateExpired) => 2,
            () => 0,
        };
        let mut certificate = self.certificates[which].clone();
        if faults.has(Fault::DrmCertificateBroken) {
            // In the public key.
            certificate[60] ^= 1;
        }
        let body = Writer::default().number(1, 5).bytes(2, &certificate).finish();
        answer(200, BINARY, body)
    }

    fn asked(&self, body: &[u8]) -> Option<Asked> {
        let outer = Message::parse(body, 0).ok()?;
        (outer.number(1)? == 1).then_some(())?;
        let request = outer.bytes(2)?;
        let inner = Message::parse(request, 0).ok()?;
        let pssh = inner.message(2).ok()??.message(1).ok()??;
        let data = Message::parse(pssh.bytes(1)?, 0).ok()?;
        let mut recorded = false;
        let identity = match (inner.bytes(1), inner.message(8).ok()?) {
            (Some(clear), _) => Some(clear.to_vec()),
            (None, Some(encrypted)) => {
                recorded = encrypted.bytes(3) == Some(&[0x5a; 256]);
                let (iv, wrapped) = (encrypted.bytes(4)?, encrypted.bytes(5)?);
                let key = self.service.oaep_decrypt::<Sha1>(wrapped).ok();
                let key: Option<[u8; 16]> = key.and_then(|k| k.try_into().ok());
                let iv: [u8; 16] = iv.try_into().ok()?;
                key.and_then(|key| {
                    cbc::Decryptor::<Aes128>::new(&key.into(), &iv.into())
                        .decrypt_padded_vec::<Pkcs7>(encrypted.bytes(3)?)
                        .ok()
                })
            }
            _ => None,
        };
        Some(Asked {
            request: request.to_vec(),
            request_id: pssh.bytes(3)?.to_vec(),
            kids: data.all(2).map(|(kid, _)| kid.to_vec()).collect(),
            identity,
            signature: outer.bytes(3).unwrap_or_default().to_vec(),
            recorded,
        })
    }

    /// A request of a device that the root vouches for, signed by it; or the recording, which this world knows.
    pub fn readable(&self, body: &[u8]) -> bool {
        let Some(asked) = self.asked(body) else {
            return false;
        };
        if asked.recorded {
            return true;
        }
        let vouched = || {
            let identity = asked.identity.as_ref()?;
            let token = Message::parse(identity, 0).ok()?.bytes(2)?;
            let signed = Message::parse(token, 0).ok()?;
            let certificate = signed.bytes(1)?;
            let root = self.root.to_public_key();
            root.pss_verify::<Sha1>(certificate, signed.bytes(2)?).ok()?;
            let device = self.device.to_public_key();
            device.pss_verify::<Sha1>(&asked.request, &asked.signature).ok()
        };
        vouched().is_some()
    }

    /// The recording, which this world knows.
    pub fn recorded(&self, body: &[u8]) -> bool {
        self.asked(body).is_some_and(|asked| asked.recorded)
    }

    pub fn grant(&self, faults: &Faults, body: &[u8]) -> Answer {
        let has = |fault| faults.has(fault);
        let asked = self.asked(body).unwrap_or(Asked {
            request: Vec::new(),
            request_id: Vec::new(),
            kids: Vec::new(),
            identity: None,
            signature: Vec::new(),
            recorded: true,
        });
        let id = match has(Fault::DrmStale) {
            true => b"request-of-yesterday".to_vec(),
            false => asked.request_id.clone(),
        };
        let id = Writer::default().bytes(1, &id).number(4, 1).finish();
        let policy = Writer::default()
            .number(1, u64::from(!has(Fault::DrmNoPlay)))
            .number(2, 0)
            .number(3, 1)
            .number(6, if has(Fault::DrmDuration) { 60 } else { 86_400 })
            .finish();
        let hdcp = Writer::default()
            .number(1, if has(Fault::DrmHdcp) { 0 } else { 2 })
            .finish();
        let signing = Writer::default().bytes(3, &[4; 80]).number(4, 1).finish();
        let mut license = Writer::default()
            .bytes(1, &id)
            .bytes(2, &policy)
            .bytes(3, &signing);
        for kid in asked.kids.iter().filter(|_| !has(Fault::DrmNoKeys)) {
            let mut kid: [u8; 16] = kid.as_slice().try_into().unwrap_or_default();
            if has(Fault::DrmWrongKid) {
                kid.reverse();
            }
            if has(Fault::DrmGuidOrder) {
                kid = guid(kid);
            }
            let length = if has(Fault::DrmBroken) { 15 } else { 16 };
            let content = Writer::default()
                .bytes(1, &kid[..length])
                .bytes(2, &[1; 16])
                .bytes(3, &rand::random::<[u8; 32]>())
                .number(4, 2)
                .number(5, if has(Fault::DrmLicenseLevel) { 1 } else { 3 })
                .bytes(6, &hdcp)
                .finish();
            license = license.bytes(3, &content);
        }
        let start = u64::try_from(now().as_second()).unwrap_or(0);
        let license = license.number(4, start).finish();
        let session: [u8; 16] = rand::random();
        let mut rng = rand::rng();
        let wrapped = self
            .device
            .to_public_key()
            .oaep_encrypt_with_rng::<Sha1, _>(&mut rng, &session)
            .unwrap_or_default();
        let mut signature = match Hmac::<Sha256>::new_from_slice(&signature_key(&session, &asked.request)) {
            Ok(mut mac) => {
                mac.update(&license);
                mac.finalize().into_bytes().to_vec()
            }
            Err(_) => Vec::new(),
        };
        if has(Fault::DrmSignature) {
            signature = Sha256::digest(&signature).to_vec();
        }
        let kind = if has(Fault::DrmNotVerifiable) { 2 } else { 1 };
        let body = Writer::default()
            .number(1, 2)
            .bytes(2, &license)
            .bytes(3, &signature)
            .bytes(4, &wrapped)
            .number(8, kind)
            .finish();
        answer(200, BINARY, body)
    }
}

/// Refusals that Widevine has a form of its own for.
pub(super) fn refuse(refusal: Refusal) -> Option<Answer> {
    let code = match refusal {
        Refusal::DeviceRevoked => 2,
        Refusal::Backend => 3,
        _ => return None,
    };
    let error = Writer::default().number(1, code).finish();
    let body = Writer::default().number(1, 3).bytes(2, &error).finish();
    Some(answer(200, BINARY, body))
}
