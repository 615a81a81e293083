//! Signatures: Ed25519 (RFC 8032), detached; keys as PEM (RFC 8410), so that OpenSSL can verify what is signed here.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Why a key or a signature is no good.
#[derive(thiserror::Error, Debug, Clone, PartialEq, Eq)]
pub enum SignError {
    /// The text is no key of the kind.
    #[error("this is no {0} key of Ed25519 in PEM")]
    NoKey(&'static str),
    /// A key can't be made.
    #[error("no key can be made")]
    Make,
    /// Another key, or another text.
    #[error("the signature does not fit: the file was changed, or signed with another key")]
    Refused,
}

/// Signs.
pub struct Signer(Ed25519KeyPair);

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|c| std::str::from_utf8(c).ok())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn der(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

impl Signer {
    /// A fresh private key, as PEM.
    pub fn make() -> Result<String, SignError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignError::Make)?;
        let document = pair.to_pkcs8v1().map_err(|_| SignError::Make)?;
        Ok(pem("PRIVATE KEY", document.as_ref()))
    }

    /// With a private key.
    pub fn new(text: &str) -> Result<Signer, SignError> {
        let wrong = SignError::NoKey("private");
        let der = der("PRIVATE KEY", text).ok_or_else(|| wrong.clone())?;
        Ed25519KeyPair::from_pkcs8(&der).map(Signer).map_err(|_| wrong)
    }

    /// The public key, as PEM.
    pub fn public(&self) -> String {
        let der: Result<PublicKeyX509Der<'_>, _> = self.0.public_key().as_der();
        der.map(|der| pem("PUBLIC KEY", der.as_ref())).unwrap_or_default()
    }

    /// Signs: 64 bytes.
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }
}

/// Whether a signature is that of the owner of a public key (PEM).
pub fn verify(public: &str, text: &[u8], signature: &[u8]) -> Result<(), SignError> {
    let der = der("PUBLIC KEY", public).ok_or(SignError::NoKey("public"))?;
    // The key is the last 32 bytes of its only form (RFC 8410 section 4).
    let key = der
        .last_chunk::<32>()
        .filter(|_| der.len() == 44)
        .ok_or(SignError::NoKey("public"))?;
    UnparsedPublicKey::new(&ED25519, key)
        .verify(text, signature)
        .map_err(|_| SignError::Refused)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let signer = Signer::new(&Signer::make().unwrap()).unwrap();
        let (public, signature) = (signer.public(), signer.sign(b"report"));
        assert_eq!(verify(&public, b"report", &signature), Ok(()));
        assert_eq!(verify(&public, b"report.", &signature), Err(SignError::Refused));
        let other = Signer::new(&Signer::make().unwrap()).unwrap();
        assert_eq!(
            verify(&other.public(), b"report", &signature),
            Err(SignError::Refused)
        );
        assert_eq!(verify("", b"", b""), Err(SignError::NoKey("public")));
        assert!(Signer::new("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is_err());
    }
}
