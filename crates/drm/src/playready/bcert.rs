//! Binary certificate chains, which licence servers sign their answers with: P-256, big-endian.

use jiff::Timestamp;
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use thiserror::Error;

/// Key usage: signs licence responses.
pub const SIGN_RESPONSE: u32 = 0x14;
/// Most certificates of a chain.
const MAX_CERTIFICATES: u32 = 16;
/// Most attributes of a certificate.
const MAX_ATTRIBUTES: usize = 64;

/// What is wrong with a chain.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum CertificateError {
    /// It can't be read.
    #[error("byte {offset}: {problem}")]
    Format {
        /// Where.
        offset: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// The operator's root is no key.
    #[error("the root must be a P-256 public key of 64 bytes, X and Y")]
    Root,
    /// A certificate was not signed by the next one, or the last one not by the root.
    #[error("certificate {0} of the chain is not signed by its issuer")]
    Signature(usize),
    /// The leaf may not sign answers.
    #[error("the leaf of the chain has no key for signing responses")]
    Usage,
}

/// A key of a certificate.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    bytes: Vec<u8>,
    usages: Vec<u32>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Certificate {
    /// Id.
    pub id: [u8; 16],
    /// Type of certificate.
    pub kind: u32,
    /// When it expires; without it never.
    pub expires: Option<Timestamp>,
    keys: Vec<Key>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    issuer: Vec<u8>,
}

/// A chain, leaf first.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain(pub Vec<Certificate>);

fn format(offset: usize, problem: &'static str) -> CertificateError {
    CertificateError::Format { offset, problem }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], CertificateError> {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or_else(|| format(at.min(bytes.len()), "the chain is cut off"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, CertificateError> {
    take(bytes, at).map(u32::from_be_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, CertificateError> {
    take(bytes, at).map(u16::from_be_bytes)
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], CertificateError> {
    at.checked_add(length)
        .and_then(|end| bytes.get(at..end))
        .ok_or_else(|| format(at.min(bytes.len()), "a length points behind the end"))
}

impl Chain {
    /// Reads a chain.
    pub fn parse(bytes: &[u8]) -> Result<Chain, CertificateError> {
        if take::<4>(bytes, 0)? != *b"CHAI" {
            return Err(format(0, "a chain must begin with CHAI"));
        }
        let count = u32_at(bytes, 16)?;
        if !(1..=MAX_CERTIFICATES).contains(&count) {
            return Err(format(16, "a chain must have 1 to 16 certificates"));
        }
        let (mut at, mut chain) = (20, Vec::new());
        for _ in 0..count {
            if take::<4>(bytes, at)? != *b"CERT" {
                return Err(format(at, "a certificate must begin with CERT"));
            }
            let length = u32_at(bytes, at + 8)? as usize;
            if length < 16 {
                return Err(format(at + 8, "a certificate must be longer than its head"));
            }
            let own = slice(bytes, at, length)?;
            chain.push(certificate(own, at)?);
            at += length;
        }
        Ok(Chain(chain))
    }

    /// Verifies that each certificate was signed by the next one, the last one by `root` (64 bytes, X and Y), and
    /// that the leaf may sign answers. Gives the leaf's key.
    pub fn verify(&self, root: Option<&[u8]>) -> Result<VerifyingKey, CertificateError> {
        for (n, certificate) in self.0.iter().enumerate() {
            let issuer = match (self.0.get(n + 1), root) {
                (Some(next), _) => {
                    if !next.keys.iter().any(|k| k.bytes == certificate.issuer) {
                        return Err(CertificateError::Signature(n));
                    }
                    certificate.issuer.as_slice()
                }
                (None, Some(root)) => {
                    point(root).ok_or(CertificateError::Root)?;
                    root
                }
                // Without a root of the operator's the last one vouches for itself: integrity, not trust.
                (None, None) => certificate.issuer.as_slice(),
            };
            let verified = point(issuer).and_then(|key| {
                let signature = Signature::from_slice(&certificate.signature).ok()?;
                key.verify(&certificate.signed, &signature).ok()
            });
            verified.ok_or(CertificateError::Signature(n))?;
        }
        let leaf = self.0.first().ok_or(CertificateError::Usage)?;
        leaf.keys
            .iter()
            .find(|k| k.usages.contains(&SIGN_RESPONSE))
            .and_then(|k| point(&k.bytes))
            .ok_or(CertificateError::Usage)
    }

    /// The first of its certificates to expire.
    pub fn expires(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|c| c.expires).min()
    }
}

/// Whether bytes are a key that can be a root: X and Y of a point on P-256.
pub fn is_root(bytes: &[u8]) -> bool {
    point(bytes).is_some()
}

/// A public key of X and Y.
fn point(bytes: &[u8]) -> Option<VerifyingKey> {
    if bytes.len() != 64 {
        return None;
    }
    let mut sec1 = vec![4];
    sec1.extend_from_slice(bytes);
    VerifyingKey::from_sec1_bytes(&sec1).ok()
}

fn certificate(own: &[u8], base: usize) -> Result<Certificate, CertificateError> {
    let shifted = |error| match error {
        CertificateError::Format { offset, problem } => format(base + offset, problem),
        other => other,
    };
    read(own).map_err(shifted)
}

fn read(own: &[u8]) -> Result<Certificate, CertificateError> {
    let signed = u32_at(own, 12)? as usize;
    let mut certificate = Certificate {
        signed: slice(own, 0, signed)?.to_vec(),
        ..Certificate::default()
    };
    let mut at = 16;
    for _ in 0..MAX_ATTRIBUTES {
        if at >= own.len() {
            return Ok(certificate);
        }
        let (tag, length) = (u16_at(own, at + 2)?, u32_at(own, at + 4)? as usize);
        if length < 8 {
            return Err(format(at + 4, "the length of an attribute must be 8 or more"));
        }
        let data = slice(own, at, length)?;
        match tag {
            1 => {
                certificate.id = take(data, 8)?;
                certificate.kind = u32_at(data, 32)?;
                let expires = u32_at(data, 68)?;
                let real = expires != 0 && expires != u32::MAX;
                certificate.expires = real
                    .then(|| Timestamp::from_second(i64::from(expires)).ok())
                    .flatten();
            }
            6 => certificate.keys = keys(data)?,
            8 => {
                let size = usize::from(u16_at(data, 10)?);
                certificate.signature = slice(data, 12, size)?.to_vec();
                let bits = u32_at(data, 12 + size)? as usize;
                certificate.issuer = slice(data, 16 + size, bits / 8)?.to_vec();
            }
            _ => {}
        }
        at += length;
    }
    Err(format(at, "a certificate has too many attributes"))
}

fn keys(data: &[u8]) -> Result<Vec<Key>, CertificateError> {
    let count = u32_at(data, 8)?;
    if count > 16 {
        return Err(format(8, "a certificate has too many keys"));
    }
    let (mut at, mut keys) = (12, Vec::new());
    for _ in 0..count {
        let size = usize::from(u16_at(data, at + 2)?) / 8;
        let bytes = slice(data, at + 8, size)?.to_vec();
        at += 8 + size;
        let usages = u32_at(data, at)?;
        if usages > 32 {
            return Err(format(at, "a key has too many usages"));
        }
        at += 4;
        let mut key = Key {
            bytes,
            usages: Vec::new(),
        };
        for _ in 0..usages {
            key.usages.push(u32_at(data, at)?);
            at += 4;
        }
        keys.push(key);
    }
    Ok(keys)
}
