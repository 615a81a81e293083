//! The XML signature over a LicenseResponse: ECDSA P-256 with SHA-256 under PlayReady's private algorithm names,
//! which generic libraries refuse.

use super::{Form, base64, canonical, decode, document, find, text};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What is wrong with a signature.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureError {
    /// There is none, or not all of it.
    #[error("{0} must be there")]
    Missing(&'static str),
    /// What was signed has changed.
    #[error("the digest is not that of the response")]
    Digest,
    /// Another key signed.
    #[error("the signature is not made with the key of the certificate")]
    Signature,
}

/// Verifies the signature of a response with the key of its chain's leaf.
///
/// Whether the server signed the elements as part of their document or by themselves can't be known without a
/// genuine response; both are canonical forms of the same content, so either is accepted.
pub fn verify(body: &[u8], key: &VerifyingKey) -> Result<(), SignatureError> {
    let missing = SignatureError::Missing;
    let whole = decode(body).ok_or(missing("a document"))?;
    let tree = document(&whole).map_err(|_| missing("a document"))?;
    let root = tree.root_element();
    let signed = find(root, "LicenseResponse").ok_or(missing("LicenseResponse"))?;
    let signature = find(root, "Signature").ok_or(missing("Signature"))?;
    let info = find(signature, "SignedInfo").ok_or(missing("SignedInfo"))?;
    let digest = text(info, "DigestValue")
        .and_then(base64)
        .ok_or(missing("DigestValue"))?;
    let value = text(signature, "SignatureValue")
        .and_then(base64)
        .ok_or(missing("SignatureValue"))?;
    let of = |form| Sha256::digest(canonical(signed, form)).to_vec() == digest;
    if !of(Form::Inclusive) && !of(Form::Exclusive) {
        return Err(SignatureError::Digest);
    }
    let value = Signature::from_slice(&value).map_err(|_| SignatureError::Signature)?;
    let by = |form| key.verify(canonical(info, form).as_bytes(), &value).is_ok();
    match by(Form::Inclusive) || by(Form::Exclusive) {
        true => Ok(()),
        false => Err(SignatureError::Signature),
    }
}
