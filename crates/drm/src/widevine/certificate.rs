//! Service certificates: whose public key clients encrypt their identity to.

use super::{Kind, MessageError, SignedMessage};
use crate::protobuf::Message;
use jiff::Timestamp;
use rsa::{Pss, PublicKey, pkcs1::DecodeRsaPublicKey};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384};
use thiserror::Error;

/// Google's root, which signs every provider's service certificate: an RSA key of 3072 bits, PKCS #1 DER. Public
/// by nature: every client holds it.
pub const GOOGLE_ROOT: &[u8] = include_bytes!("../../vectors/widevine-root-key.der");
/// `DrmCertificate.type` of a service.
const SERVICE: u64 = 3;
/// Whether bytes are a key that can be a root: RSA, PKCS #1 DER.
pub fn is_root(bytes: &[u8]) -> bool {
    PublicKey::from_pkcs1_der(bytes).is_ok()
}

/// Length of the salt, bytes.
const SALT: usize = 20;

/// A service certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceCertificate {
    /// Serial number: it changes when the certificate is rotated.
    pub serial: Vec<u8>,
    /// Provider, such as `license.widevine.com`.
    pub provider: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it expires; without it never.
    pub expires: Option<Timestamp>,
    /// Public key, PKCS #1 DER.
    pub public_key: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    algorithm: u64,
}

/// What is wrong with one.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum CertificateError {
    /// It can't be read.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// It is another message.
    #[error("it is no service certificate but {0:?}")]
    Kind(Kind),
    /// It is a device's or a provisioner's.
    #[error("it is a certificate of type {0}, not a service's (3)")]
    Type(u64),
    /// The root that it is to be verified with is not a key.
    #[error("the root is no RSA public key (PKCS #1 DER)")]
    Root,
    /// The root did not sign it.
    #[error("its signature is not the root's")]
    Signature,
}

impl ServiceCertificate {
    /// Reads an answer to [`super::SERVICE_CERTIFICATE_REQUEST`].
    pub fn parse(bytes: &[u8]) -> Result<ServiceCertificate, CertificateError> {
        let message = SignedMessage::parse(bytes)?;
        if message.kind != Kind::ServiceCertificate {
            return Err(CertificateError::Kind(message.kind));
        }
        let (body, offset) = message.body;
        let outer = Message::parse(body, offset).map_err(MessageError::from)?;
        let missing = |field| CertificateError::Message(MessageError::Missing { field });
        let (signed, offset) = outer.all(1).next_back().ok_or(missing("drm_certificate"))?;
        let inner = Message::parse(signed, offset).map_err(MessageError::from)?;
        let kind = inner.number(1).ok_or(missing("drm_certificate.type"))?;
        if kind != SERVICE {
            return Err(CertificateError::Type(kind));
        }
        let time = |n: Option<u64>| {
            let seconds = n.filter(|n| *n > 0).and_then(|n| i64::try_from(n).ok());
            seconds.and_then(|s| Timestamp::from_second(s).ok())
        };
        let provider = inner.bytes(7).map(String::from_utf8_lossy).unwrap_or_default();
        Ok(ServiceCertificate {
            serial: inner
                .bytes(2)
                .ok_or(missing("drm_certificate.serial_number"))?
                .to_vec(),
            provider: provider.chars().take(128).collect(),
            created: time(inner.number(3)),
            expires: time(inner.number(12)),
            public_key: inner
                .bytes(4)
                .ok_or(missing("drm_certificate.public_key"))?
                .to_vec(),
            signed: signed.to_vec(),
            signature: outer.bytes(2).ok_or(missing("signature"))?.to_vec(),
            algorithm: outer.number(4).unwrap_or(0),
        })
    }

    /// Verifies that the root signed it: RSASSA-PSS over the certificate's bytes, with the hash that it names.
    pub fn verify(&self, root: &[u8]) -> Result<(), CertificateError> {
        let root = PublicKey::from_pkcs1_der(root).map_err(|_| CertificateError::Root)?;
        let verified = match self.algorithm {
            2 => root.verify(
                Pss::<Sha256>::new_with_salt(SALT),
                &Sha256::digest(&self.signed),
                &self.signature,
            ),
            3 => root.verify(
                Pss::<Sha384>::new_with_salt(SALT),
                &Sha384::digest(&self.signed),
                &self.signature,
            ),
            // 0 is not specified, which has always been 1.
            _ => root.verify(
                Pss::<Sha1>::new_with_salt(SALT),
                &Sha1::digest(&self.signed),
                &self.signature,
            ),
        };
        verified.map_err(|_| CertificateError::Signature)
    }

    /// The serial number in hexadecimal.
    pub fn serial_text(&self) -> String {
        self.serial.iter().take(32).map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PRODUCTION: &[u8] = include_bytes!("../../vectors/widevine-production-service.bin");
    const STAGING: &[u8] = include_bytes!("../../vectors/widevine-staging-service.bin");

    /// Google's own, as every client has them built in.
    #[test]
    fn googles_certificates_are_read_and_verified() {
        let production = ServiceCertificate::parse(PRODUCTION).unwrap();
        assert_eq!(production.provider, "license.widevine.com");
        assert_eq!(production.serial_text(), "1705b917cc1204868b06333a2f772a8c");
        assert_eq!(production.created.unwrap().as_second(), 1_379_965_442);
        assert_eq!(production.expires, None);
        production.verify(GOOGLE_ROOT).unwrap();
        let staging = ServiceCertificate::parse(STAGING).unwrap();
        assert_eq!(staging.provider, "staging.google.com");
        staging.verify(GOOGLE_ROOT).unwrap();
    }

    /// One bit anywhere: what can still be read is not the root's any more.
    #[test]
    fn one_flipped_bit_is_refused() {
        for at in 0..PRODUCTION.len() {
            let mut bytes = PRODUCTION.to_vec();
            bytes[at] ^= 1;
            if let Ok(certificate) = ServiceCertificate::parse(&bytes) {
                // Bytes of the envelope that mean nothing to the certificate.
                let same = certificate.signed == ServiceCertificate::parse(PRODUCTION).unwrap().signed
                    && certificate.signature == ServiceCertificate::parse(PRODUCTION).unwrap().signature
                    && certificate.algorithm == 0;
                assert_eq!(certificate.verify(GOOGLE_ROOT).is_ok(), same, "byte {at}");
            }
        }
        let certificate = ServiceCertificate::parse(PRODUCTION).unwrap();
        assert_eq!(certificate.verify(b"no key"), Err(CertificateError::Root));
    }
}
