//! Fresh licence requests from the operator's own test credential, and the proof that a licence answers them.
//!
//! Of the session's keys those for the licence's signature are derived, and no other: nothing here can open a
//! content key.

use super::{Kind, License, MessageError, ServiceCertificate, SignedMessage};
use crate::protobuf::{Message, Writer};
use aes::Aes128;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use cmac::Cmac;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rsa::{
    PrivateKey, PublicKey,
    pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey},
    pkcs8::DecodePrivateKey,
    rand_core::TryCryptoRng,
    traits::PublicKeyParts,
};
use sha1::Sha1;
use sha2::Sha256;
use thiserror::Error;

/// `session_key_type` of an AES key that is wrapped with the device's RSA key.
const WRAPPED_AES: u64 = 1;
/// `protocol_version` 2.1.
const VERSION: u64 = 21;
/// Label from which the keys of signatures are derived.
const AUTHENTICATION: &[u8] = b"AUTHENTICATION\0";
/// Bits of the keys of signatures, both directions.
const AUTHENTICATION_BITS: u32 = 512;

/// A test credential: an identity and its private key.
pub struct Device {
    identity: Vec<u8>,
    key: PrivateKey,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

/// Why a credential can't be used. The message never quotes it.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// Not Base64.
    #[error("{0} must be Base64")]
    Base64(&'static str),
    /// The identity.
    #[error("the client id must be a ClientIdentification message with a token (field 2)")]
    Identity,
    /// The key.
    #[error(
        "the private key must be an RSA key of at least 1024 bits, PKCS #1 or PKCS #8, PEM or Base64 of DER"
    )]
    Key,
    /// The service certificate's key.
    #[error("the service certificate's public key is no RSA key")]
    ServiceKey,
    /// The arithmetic failed.
    #[error("the request could not be signed")]
    Signing,
}

/// What a request asks for.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// Widevine initialisation data: the payload of its pssh box.
    pub pssh: &'a [u8],
    /// Whether the licence is to outlive the session.
    pub offline: bool,
    /// The licence must echo it.
    pub request_id: [u8; 16],
    /// Against replay.
    pub nonce: u32,
    /// The device's clock.
    pub time: Timestamp,
    /// Service certificate to encrypt the identity to (privacy mode).
    pub privacy: Option<&'a ServiceCertificate>,
}

/// A signed request.
#[derive(Debug, Clone)]
pub struct Signed {
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// The LicenseRequest in it, which the licence's signature is bound to.
    pub request: Vec<u8>,
    /// The id that the licence must echo.
    pub request_id: Vec<u8>,
}

/// What is wrong with the signature of a licence.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum ProofError {
    /// It can't be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its session key is of a kind that only a device can use.
    #[error("its session key is of type {0}, which can't be verified here")]
    NotVerifiable(u64),
    /// Its session key is for another device.
    #[error("its session key can't be opened with the credential's key")]
    SessionKey,
    /// It was changed on the way, or is for another request.
    #[error("its signature does not belong to this request")]
    Signature,
}

impl Device {
    /// A credential from the texts of its two Secret keys.
    pub fn from_texts(identity: &str, key: &str) -> Result<Device, DeviceError> {
        let compact: String = identity.split_whitespace().collect();
        let identity = STANDARD
            .decode(compact)
            .map_err(|_| DeviceError::Base64("the client id"))?;
        check_identity(&identity)?;
        let parsed = match key.contains("-----BEGIN") {
            true => PrivateKey::from_pkcs8_pem(key)
                .ok()
                .or(PrivateKey::from_pkcs1_pem(key).ok()),
            false => {
                let compact: String = key.split_whitespace().collect();
                let der = STANDARD
                    .decode(compact)
                    .map_err(|_| DeviceError::Base64("the private key"))?;
                PrivateKey::from_pkcs8_der(&der)
                    .ok()
                    .or(PrivateKey::from_pkcs1_der(&der).ok())
            }
        };
        Device::new(identity, parsed.ok_or(DeviceError::Key)?)
    }

    /// A credential from its parts.
    pub fn new(identity: Vec<u8>, key: PrivateKey) -> Result<Device, DeviceError> {
        check_identity(&identity)?;
        if key.size() < 128 {
            return Err(DeviceError::Key);
        }
        Ok(Device { identity, key })
    }

    /// Builds and signs a request (RSASSA-PSS, SHA-1, salt 20).
    pub fn request(&self, ask: &Ask<'_>, rng: &mut impl TryCryptoRng) -> Result<Signed, DeviceError> {
        let pssh = Writer::default()
            .bytes(1, ask.pssh)
            .number(2, if ask.offline { 2 } else { 1 })
            .bytes(3, &ask.request_id)
            .finish();
        let content = Writer::default().bytes(1, &pssh).finish();
        let time = u64::try_from(ask.time.as_second()).unwrap_or(0);
        let writer = match ask.privacy {
            None => Writer::default().bytes(1, &self.identity),
            Some(_) => Writer::default(),
        };
        let writer = writer
            .bytes(2, &content)
            .number(3, 1)
            .number(4, time)
            .number(6, VERSION)
            .number(7, u64::from(ask.nonce));
        let request = match ask.privacy {
            Some(certificate) => writer.bytes(8, &self.encrypted(certificate, rng)?),
            None => writer,
        }
        .finish();
        let signature = self
            .key
            .pss_sign_with_rng::<Sha1, _>(rng, &request)
            .map_err(|_| DeviceError::Signing)?;
        let bytes = Writer::default()
            .number(1, 1)
            .bytes(2, &request)
            .bytes(3, &signature)
            .finish();
        Ok(Signed {
            bytes,
            request,
            request_id: ask.request_id.to_vec(),
        })
    }

    /// EncryptedClientIdentification: AES-128-CBC under a fresh key that is wrapped to the service (RSA-OAEP, SHA-1).
    fn encrypted(
        &self,
        certificate: &ServiceCertificate,
        rng: &mut impl TryCryptoRng,
    ) -> Result<Vec<u8>, DeviceError> {
        let service =
            PublicKey::from_pkcs1_der(&certificate.public_key).map_err(|_| DeviceError::ServiceKey)?;
        let (mut key, mut iv) = ([0u8; 16], [0u8; 16]);
        rng.try_fill_bytes(&mut key).map_err(|_| DeviceError::Signing)?;
        rng.try_fill_bytes(&mut iv).map_err(|_| DeviceError::Signing)?;
        let identity = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into())
            .encrypt_padded_vec::<Pkcs7>(&self.identity);
        let wrapped = service
            .oaep_encrypt_with_rng::<Sha1, _>(rng, &key)
            .map_err(|_| DeviceError::ServiceKey)?;
        Ok(Writer::default()
            .bytes(1, certificate.provider.as_bytes())
            .bytes(2, &certificate.serial)
            .bytes(3, &identity)
            .bytes(4, &iv)
            .bytes(5, &wrapped)
            .finish())
    }

    /// Reads a licence and proves that it answers `signed`: HMAC-SHA256 over the message (and the core message,
    /// where there is one) with a key that is bound to the request.
    pub fn verify(&self, signed: &Signed, answer: &[u8]) -> Result<License, ProofError> {
        let license = License::parse(answer)?;
        let message = SignedMessage::parse(answer)?;
        debug_assert_eq!(message.kind, Kind::License);
        let outer = Message::parse(answer, 0).map_err(MessageError::from)?;
        let kind = outer.number(8).unwrap_or(WRAPPED_AES);
        if kind > WRAPPED_AES {
            return Err(ProofError::NotVerifiable(kind));
        }
        let wrapped = outer
            .bytes(4)
            .ok_or(MessageError::Missing { field: "session_key" })?;
        let session = self
            .key
            .oaep_decrypt::<Sha1>(wrapped)
            .ok()
            .and_then(|key| <[u8; 16]>::try_from(key).ok())
            .ok_or(ProofError::SessionKey)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&signature_key(&session, &signed.request))
            .map_err(|_| ProofError::Signature)?;
        mac.update(message.core.unwrap_or_default());
        mac.update(message.body.0);
        mac.verify_slice(message.signature.unwrap_or_default())
            .map_err(|_| ProofError::Signature)?;
        Ok(license)
    }
}

/// A ClientIdentification has a token.
fn check_identity(identity: &[u8]) -> Result<(), DeviceError> {
    let message = Message::parse(identity, 0).map_err(|_| DeviceError::Identity)?;
    match message.bytes(2).is_some_and(|token| !token.is_empty()) {
        true => Ok(()),
        false => Err(DeviceError::Identity),
    }
}

/// The key of a licence's signature: AES-CMAC of the session key over 1 and 2, the label, the request and the
/// length in bits.
pub fn signature_key(session: &[u8; 16], request: &[u8]) -> [u8; 32] {
    let mut key = [0u8; 32];
    for (n, half) in key.chunks_exact_mut(16).enumerate() {
        let mut cmac = <Cmac<Aes128> as KeyInit>::new(session.into());
        cmac.update(&[n as u8 + 1]);
        cmac.update(AUTHENTICATION);
        cmac.update(request);
        cmac.update(&AUTHENTICATION_BITS.to_be_bytes());
        half.copy_from_slice(&cmac.finalize().into_bytes());
    }
    key
}
