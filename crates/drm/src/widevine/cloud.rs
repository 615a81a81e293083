//! The JSON form in which Google's cloud proxy is asked (`https://license.widevine.com/cenc/getlicense/PROVIDER`),
//! as public client code has it; the full integration guide is for licensees only, so this is unverified against
//! the vendor.

use aes::Aes256;
use base64::{Engine, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use thiserror::Error;

/// Who asks, and with what key. The key signs; it opens nothing.
pub struct Signer {
    /// `signer` and `provider`.
    pub provider: String,
    /// AES-256 key.
    pub key: [u8; 32],
    /// Its initialisation vector.
    pub iv: [u8; 16],
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("provider", &self.provider)
            .finish_non_exhaustive()
    }
}

/// What is asked of the proxy.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    /// The challenge.
    pub payload: &'a [u8],
    /// Content id, where the provider needs one.
    pub content_id: Option<&'a [u8]>,
    /// Metadata only, and no licence: the owner's health check.
    pub parse_only: bool,
}

impl Signer {
    /// The request's body: the inner document in Base64, and its signature, AES-256-CBC of its SHA-1.
    pub fn request(&self, ask: &Ask<'_>) -> Vec<u8> {
        let mut inner = json!({
            "payload": STANDARD.encode(ask.payload),
            "provider": self.provider,
            "allowed_track_types": "SD_UHD1",
        });
        if let (Some(content), Some(inner)) = (ask.content_id, inner.as_object_mut()) {
            inner.insert("content_id".into(), Value::String(STANDARD.encode(content)));
        }
        if let (true, Some(inner)) = (ask.parse_only, inner.as_object_mut()) {
            inner.insert("parse_only".into(), Value::Bool(true));
        }
        let inner = inner.to_string();
        let signature = cbc::Encryptor::<Aes256>::new(&self.key.into(), &self.iv.into())
            .encrypt_padded_vec::<Pkcs7>(&Sha1::digest(inner.as_bytes()));
        json!({
            "request": STANDARD.encode(inner),
            "signature": STANDARD.encode(signature),
            "signer": self.provider,
        })
        .to_string()
        .into_bytes()
    }
}

/// An answer. Fields that are not named here are left alone: their values differ from release to release.
#[derive(Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(default)]
pub struct Answer {
    /// `OK`, or what is wrong: with status 200 just as well.
    pub status: String,
    /// Base64 of the licence.
    pub license: Option<String>,
    /// LICENSE_REQUEST, SERVICE_CERTIFICATE, …
    pub message_type: Option<String>,
    /// The client's level, 1 to 3.
    pub security_level: Option<u8>,
    /// DEVICE_STATE_RELEASED, …
    pub device_state: Option<String>,
    /// Code of the service.
    pub internal_status: Option<i64>,
    /// Tracks that the content has.
    pub supported_tracks: Vec<Track>,
}

/// A track of the content.
#[derive(Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(default)]
pub struct Track {
    /// SD, HD, UHD1, AUDIO.
    #[serde(rename = "type")]
    pub kind: String,
    /// Base64 of the key id.
    pub key_id: String,
}

/// Why bytes are no such answer.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum CloudError {
    /// Another document.
    #[error("it is no answer of the Widevine cloud: {0}")]
    Json(String),
    /// The licence in it is no Base64.
    #[error("field license must be Base64")]
    License,
}

impl Answer {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Answer, CloudError> {
        let answer: Answer = serde_json::from_slice(bytes).map_err(|e| CloudError::Json(e.to_string()))?;
        match answer.status.is_empty() {
            true => Err(CloudError::Json("field status must be there".into())),
            false => Ok(answer),
        }
    }

    /// The licence's bytes.
    pub fn license(&self) -> Result<Option<Vec<u8>>, CloudError> {
        let decode = |text: &String| STANDARD.decode(text).map_err(|_| CloudError::License);
        self.license.as_ref().map(decode).transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The signature of a document that OpenSSL made:
    /// `printf DOC | openssl dgst -sha1 -binary | openssl enc -aes-256-cbc -K KEY -iv IV | base64`.
    #[test]
    fn a_request_is_signed_as_openssl_signs_it() {
        let signer = Signer {
            provider: "widevine_test".into(),
            key: [0x11; 32],
            iv: [0x22; 16],
        };
        let ask = Ask {
            payload: b"challenge",
            ..Ask::default()
        };
        let outer: Value = serde_json::from_slice(&signer.request(&ask)).unwrap();
        let inner = STANDARD.decode(outer["request"].as_str().unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(inner).unwrap(),
            r#"{"allowed_track_types":"SD_UHD1","payload":"Y2hhbGxlbmdl","provider":"widevine_test"}"#
        );
        assert_eq!(outer["signature"], "3b5pEwdugivftrblpKEw5Ak8vtR563zLUTJuSujX25o=");
    }

    #[test]
    fn a_success_that_is_none_is_told() {
        let answer = Answer::parse(br#"{"status":"SIGNATURE_FAILED","extra":1}"#).unwrap();
        assert_eq!(
            (answer.status.as_str(), answer.license().unwrap()),
            ("SIGNATURE_FAILED", None)
        );
        assert!(Answer::parse(b"{}").is_err());
        assert!(Answer::parse(b"<html>").is_err());
    }
}
