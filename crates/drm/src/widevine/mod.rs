//! Widevine licence messages (the public schema of the licence protocol, proto2).
//!
//! What is read is structure, policy and signatures. Content keys stay the opaque bytes that they are: nothing
//! here derives the session's keys that would open them.

mod certificate;
pub mod cloud;
mod device;
mod license;
mod request;

pub use certificate::{CertificateError, GOOGLE_ROOT, ServiceCertificate, is_root};
pub use device::{Ask, Device, DeviceError, ProofError, Signed, signature_key};
pub use license::{Hdcp, Key, KeyKind, License, Policy, SecurityLevel};
pub use request::{Challenge, MALFORMED, SERVICE_CERTIFICATE_REQUEST};

use crate::protobuf::{Message, WireError};
use drmwatch_media::Kid;
use thiserror::Error;

/// `SignedMessage.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1.
    LicenseRequest,
    /// 2.
    License,
    /// 3.
    ErrorResponse,
    /// 4.
    ServiceCertificateRequest,
    /// 5.
    ServiceCertificate,
    /// Any other.
    Other(u64),
}

impl From<u64> for Kind {
    fn from(value: u64) -> Kind {
        match value {
            1 => Kind::LicenseRequest,
            2 => Kind::License,
            3 => Kind::ErrorResponse,
            4 => Kind::ServiceCertificateRequest,
            5 => Kind::ServiceCertificate,
            other => Kind::Other(other),
        }
    }
}

/// The envelope of every message.
#[derive(Debug, Clone, PartialEq)]
pub struct SignedMessage<'a> {
    /// What is in it.
    pub kind: Kind,
    /// The message, and its offset.
    pub body: (&'a [u8], usize),
    /// Signature.
    pub signature: Option<&'a [u8]>,
    /// Length of the wrapped session key, bytes: that of the device's modulus.
    pub session_key_length: Option<usize>,
    /// oemcrypto_core_message, which the signature covers as well.
    pub core: Option<&'a [u8]>,
    /// Version of the licence SDK and service, where they tell.
    pub versions: Vec<String>,
}

/// Why bytes are no Widevine message, or not a whole one.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum MessageError {
    /// Not the wire format.
    #[error("it is no Protocol Buffers message: {0}")]
    Wire(#[from] WireError),
    /// It has no type.
    #[error("it is no SignedMessage: field 1 (type) is missing")]
    NoType,
    /// A part that must be there is not.
    #[error("field {field} must be there")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A part has a wrong size.
    #[error("byte {offset}: field {field} must be {must}")]
    Wrong {
        /// Which.
        field: &'static str,
        /// What it must be.
        must: &'static str,
        /// Where.
        offset: usize,
    },
}

impl<'a> SignedMessage<'a> {
    /// Reads the envelope.
    pub fn parse(bytes: &'a [u8]) -> Result<SignedMessage<'a>, MessageError> {
        let message = Message::parse(bytes, 0)?;
        let kind = Kind::from(message.number(1).ok_or(MessageError::NoType)?);
        let versions = message.message(7)?;
        let texts = versions.iter().flat_map(|v| [v.bytes(1), v.bytes(2)]).flatten();
        Ok(SignedMessage {
            kind,
            body: message.all(2).next_back().unwrap_or_default(),
            signature: message.bytes(3),
            session_key_length: message.bytes(4).map(<[u8]>::len),
            core: message.bytes(9),
            versions: texts
                .map(|t| String::from_utf8_lossy(t).chars().take(64).collect())
                .collect(),
        })
    }

    /// The code of a `LicenseError`, where it is one.
    pub fn error(&self) -> Result<Option<ErrorCode>, MessageError> {
        if self.kind != Kind::ErrorResponse {
            return Ok(None);
        }
        let code = Message::parse(self.body.0, self.body.1)?.number(1).unwrap_or(0);
        Ok(Some(match code {
            1 => ErrorCode::InvalidDeviceCertificate,
            2 => ErrorCode::RevokedDeviceCertificate,
            3 => ErrorCode::ServiceUnavailable,
            other => ErrorCode::Other(other),
        }))
    }
}

/// `LicenseError.error_code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// INVALID_DRM_DEVICE_CERTIFICATE.
    InvalidDeviceCertificate,
    /// REVOKED_DRM_DEVICE_CERTIFICATE.
    RevokedDeviceCertificate,
    /// SERVICE_UNAVAILABLE.
    ServiceUnavailable,
    /// Any other.
    Other(u64),
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ErrorCode::InvalidDeviceCertificate => f.write_str("INVALID_DRM_DEVICE_CERTIFICATE"),
            ErrorCode::RevokedDeviceCertificate => f.write_str("REVOKED_DRM_DEVICE_CERTIFICATE"),
            ErrorCode::ServiceUnavailable => f.write_str("SERVICE_UNAVAILABLE"),
            ErrorCode::Other(code) => write!(f, "error code {code}"),
        }
    }
}

/// A key id of 16 bytes.
fn kid(bytes: &[u8]) -> Option<Kid> {
    bytes.try_into().ok().map(Kid)
}
