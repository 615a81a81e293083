//! Tokens and request signatures: those of key servers and licence servers ([`JwtSigner`], [`SigV4`],
//! [`DigestChallenge`]), and delivery tokens. A [`Scheme`] signs a [`Grant`] for a URL; [`Flaw`] breaks a grant or a signed URL in one
//! of the ways that a server must notice.
//!
//! Every scheme is tested against vectors of an implementation that is not ours (`tests/vectors/make.py`), and
//! nginx's own module against the real server.

mod akamai;
mod azure;
mod cat;
mod cloud_front;
mod digest;
mod flaw;
mod jwt;
mod nginx;
mod sigv4;
mod wowza;

pub use akamai::AkamaiEdgeAuth;
pub use azure::AzureSas;
pub use cat::{Carrier, CommonAccessToken, DEFAULT_NAME as COMMON_ACCESS_TOKEN};
pub use cloud_front::CloudFront;
pub use digest::{DigestChallenge, DigestRequest};
pub use flaw::Flaw;
pub use jwt::{JwtAlgorithm, JwtFacts, JwtProblem, JwtSigner, tampered};
pub use nginx::NginxSecureLink;
pub use sigv4::SigV4;
pub use wowza::{WowzaHash, WowzaSecureToken};

use jiff::Timestamp;
use std::net::IpAddr;
use thiserror::Error;
use url::Url;

/// What a token allows.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// The URL that it is for.
    pub url: Url,
    /// Not valid before that; only where the scheme has such a field and it is wanted.
    pub not_before: Option<Timestamp>,
    /// Not valid from then on.
    pub expires: Timestamp,
    /// Valid from this address alone.
    pub address: Option<IpAddr>,
}

/// What a request must carry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Query parameters, names and values as they are, not yet percent-encoded.
    pub query: Vec<(String, String)>,
    /// Cookies.
    pub cookies: Vec<(String, String)>,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

impl Proof {
    /// The URL with the query parameters added behind those that it has.
    pub fn url(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if !self.query.is_empty() {
            let pairs = self.query.iter().map(|(n, v)| format!("{n}={}", encode(v)));
            let added = pairs.collect::<Vec<_>>().join("&");
            let all = url
                .query()
                .filter(|q| !q.is_empty())
                .map_or(added.clone(), |q| format!("{q}&{added}"));
            url.set_query(Some(&all));
        }
        url
    }

    /// The headers, a `Cookie` among them where there are cookies.
    pub fn all_headers(&self) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter().map(|(n, v)| format!("{n}={v}"));
            headers.push(("cookie".into(), pairs.collect::<Vec<_>>().join("; ")));
        }
        headers
    }
}

/// Percent-encodes what can't stand in a query value. `~`, `*`, `!` and `/` stay: CDNs compare the text.
fn encode(text: &str) -> String {
    const SET: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'*')
        .remove(b'!')
        .remove(b'/')
        .remove(b'=');
    percent_encoding::utf8_percent_encode(text, SET).to_string()
}

/// Why nothing could be signed. Never holds a key.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum SignError {
    /// The key is not one.
    #[error("the key of {scheme} must be {must}")]
    Key {
        /// The scheme.
        scheme: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// The scheme can't say what the grant demands.
    #[error("{scheme} can't restrict a token to {what}")]
    Unsupported {
        /// The scheme.
        scheme: &'static str,
        /// What it can't do.
        what: &'static str,
    },
}

/// A way to sign.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Scheme {
    NginxSecureLink(NginxSecureLink),
    AkamaiEdgeAuth(AkamaiEdgeAuth),
    CloudFront(Box<CloudFront>),
    WowzaSecureToken(WowzaSecureToken),
    AzureSas(AzureSas),
    CommonAccessToken(CommonAccessToken),
}

impl Scheme {
    /// Signs.
    pub fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        match self {
            Scheme::NginxSecureLink(scheme) => scheme.sign(grant),
            Scheme::AkamaiEdgeAuth(scheme) => scheme.sign(grant),
            Scheme::CloudFront(scheme) => scheme.sign(grant),
            Scheme::WowzaSecureToken(scheme) => scheme.sign(grant),
            Scheme::AzureSas(scheme) => scheme.sign(grant),
            Scheme::CommonAccessToken(scheme) => scheme.sign(grant),
        }
    }
}

/// HMAC-SHA-256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    use hmac::{Hmac, KeyInit, Mac};
    // Any length is a key (RFC 2104 section 2).
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Bytes as hexadecimal digits, in lower case.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
