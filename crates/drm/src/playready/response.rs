//! Responses: SOAP around signed licences.

use super::{
    CertificateError, Chain, Challenge, Fault, License, XmrError, base64, decode, document, find, text,
};
use drmwatch_media::Kid;
use thiserror::Error;

/// Most licences of a response.
const MAX_LICENSES: usize = 64;

/// A response that grants.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Response {
    /// Its licences.
    pub licenses: Vec<License>,
    /// LicenseNonce of the response itself.
    pub nonce: Option<Vec<u8>>,
    /// Who signed it.
    pub chain: Option<Chain>,
    /// Whether there is a signature.
    pub signed: bool,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Licences.
    Granted(Box<Response>),
    /// A fault.
    Refused(Fault),
}

/// Why bytes are neither.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum ResponseError {
    /// Another document altogether.
    #[error("it is no SOAP answer of a licence server: {0}")]
    Other(String),
    /// A licence in it is no Base64.
    #[error("License[{0}] must be Base64")]
    Base64(usize),
    /// A licence in it is broken.
    #[error("License[{0}]: {1}")]
    License(usize, XmrError),
    /// There is no licence in it.
    #[error("it holds no licence")]
    Empty,
    /// Its certificates are broken.
    #[error("SigningCertificateChain: {0}")]
    Chain(CertificateError),
}

impl Answer {
    /// Reads an answer.
    pub fn parse(bytes: &[u8]) -> Result<Answer, ResponseError> {
        let whole = decode(bytes).ok_or_else(|| ResponseError::Other("not UTF-8".into()))?;
        let tree = document(&whole).map_err(|e| ResponseError::Other(e.to_string()))?;
        if let Some(fault) = Fault::parse(&whole) {
            return Ok(Answer::Refused(fault));
        }
        let root = tree.root_element();
        let Some(inner) = find(root, "LicenseResponse") else {
            return Err(ResponseError::Other(format!(
                "its root is {:?}",
                root.tag_name().name().chars().take(32).collect::<String>()
            )));
        };
        let mut response = Response {
            signed: find(root, "SignatureValue").is_some(),
            ..Response::default()
        };
        let own = inner.children().find(|c| c.tag_name().name() == "LicenseNonce");
        response.nonce = own.and_then(|n| n.text()).and_then(base64);
        let licenses = inner.descendants().filter(|n| n.tag_name().name() == "License");
        for (n, license) in licenses.take(MAX_LICENSES).enumerate() {
            let bytes = base64(license.text().unwrap_or_default()).ok_or(ResponseError::Base64(n))?;
            let license = License::parse(&bytes).map_err(|e| ResponseError::License(n, e))?;
            response.licenses.push(license);
        }
        if response.licenses.is_empty() {
            return Err(ResponseError::Empty);
        }
        if let Some(chain) = text(inner, "SigningCertificateChain") {
            let bytes = base64(chain).unwrap_or_default();
            response.chain = Some(Chain::parse(&bytes).map_err(ResponseError::Chain)?);
        }
        Ok(Answer::Granted(Box::new(response)))
    }
}

impl Response {
    /// Key ids of all its licences.
    pub fn kids(&self) -> Vec<Kid> {
        self.licenses.iter().flat_map(License::kids).collect()
    }

    /// Whether it answers this challenge, by the documented rule: a response with a LicenseNonce carries the
    /// challenge's; without one, the rights id of each licence is it. `None` where the challenge has no nonce.
    pub fn fresh(&self, challenge: &Challenge) -> Option<bool> {
        let asked = challenge.nonce.as_deref()?;
        Some(match &self.nonce {
            Some(nonce) => nonce == asked,
            None => self.licenses.iter().all(|l| l.rights_id == asked),
        })
    }
}
