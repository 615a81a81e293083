//! FairPlay Streaming messages: what of them is not encrypted.
//!
//! Key requests (SPC) are looked at and sent again as they are. Of a licence (CKC) the frame alone can be read:
//! lease and output rules are encrypted for the device.

use jiff::Timestamp;
use sha1::{Digest, Sha1};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A message that looks like a key request and holds nothing: a server that grants it grants to anybody.
pub fn malformed_spc() -> Vec<u8> {
    let mut spc = vec![0u8; 176 + 16];
    spc[3] = 1;
    spc[175] = 16;
    spc
}

/// What is wrong with a message.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum FairPlayError {
    /// Too short.
    #[error("{what} must have at least {least} bytes; it has {length}")]
    Short {
        /// SPC or CKC.
        what: &'static str,
        /// How many it needs.
        least: usize,
        /// How many there are.
        length: usize,
    },
    /// A certificate where a message must be.
    #[error("it is a certificate, not a key request")]
    Certificate,
    /// A version that is not known.
    #[error("byte 0: the version of {what} must be {must}; it is {found}")]
    Version {
        /// SPC or CKC.
        what: &'static str,
        /// What it may be.
        must: &'static str,
        /// What it is.
        found: u32,
    },
    /// The payload's length does not fit.
    #[error("byte {offset}: the payload of {what} must be {declared} bytes, as it says; {there} follow")]
    Length {
        /// SPC or CKC.
        what: &'static str,
        /// Where the length stands.
        offset: usize,
        /// What it says.
        declared: u32,
        /// What is there.
        there: usize,
    },
    /// Not whole blocks.
    #[error("byte {0}: the payload must be whole blocks of 16 bytes")]
    Blocks(usize),
    /// Not X.509.
    #[error("it is no X.509 certificate")]
    NotX509,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.first_chunk::<4>())
        .map(|b| u32::from_be_bytes(*b))
}

/// A key request (Server Playback Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spc {
    /// 1 or 2; 3 exists, and its layout is not public.
    pub version: u32,
    /// SHA-1 of the application certificate that it was made for.
    pub certificate_hash: Option<[u8; 20]>,
}

impl Spc {
    /// Looks at one.
    pub fn parse(bytes: &[u8]) -> Result<Spc, FairPlayError> {
        let version = u32_at(bytes, 0).ok_or(FairPlayError::Short {
            what: "the SPC",
            least: 4,
            length: bytes.len(),
        })?;
        // DER of a certificate begins 30 82.
        if version >> 16 == 0x3082 {
            return Err(FairPlayError::Certificate);
        }
        let at = match version {
            1 => 152,
            2 => 280,
            3 => {
                return Ok(Spc {
                    version,
                    certificate_hash: None,
                });
            }
            found => {
                return Err(FairPlayError::Version {
                    what: "the SPC",
                    must: "1, 2 or 3",
                    found,
                });
            }
        };
        let short = FairPlayError::Short {
            what: "the SPC",
            least: at + 24,
            length: bytes.len(),
        };
        let hash = bytes.get(at..at + 20).and_then(|b| b.first_chunk::<20>());
        let declared = u32_at(bytes, at + 20).ok_or(short.clone())?;
        let there = bytes.len() - (at + 24);
        if declared as usize != there {
            return Err(FairPlayError::Length {
                what: "the SPC",
                offset: at + 20,
                declared,
                there,
            });
        }
        Ok(Spc {
            version,
            certificate_hash: Some(*hash.ok_or(short)?),
        })
    }
}

/// A licence (Content Key Context), as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ckc {
    /// Initialisation vector: fresh for each answer.
    pub iv: [u8; 16],
    /// Bytes of the payload.
    pub length: usize,
}

impl Ckc {
    /// Looks at one.
    pub fn parse(bytes: &[u8]) -> Result<Ckc, FairPlayError> {
        let what = "the CKC";
        let short = FairPlayError::Short {
            what,
            least: 44,
            length: bytes.len(),
        };
        let version = u32_at(bytes, 0).ok_or(short.clone())?;
        if version != 1 {
            return Err(FairPlayError::Version {
                what,
                must: "1",
                found: version,
            });
        }
        let iv = bytes.get(8..24).and_then(|b| b.first_chunk::<16>());
        let declared = u32_at(bytes, 24).ok_or(short.clone())?;
        let there = bytes.len() - 28;
        if declared as usize != there {
            return Err(FairPlayError::Length {
                what,
                offset: 24,
                declared,
                there,
            });
        }
        if there == 0 || !there.is_multiple_of(16) {
            return Err(FairPlayError::Blocks(28));
        }
        Ok(Ckc {
            iv: *iv.ok_or(short)?,
            length: there,
        })
    }
}

/// An application certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-1 of its DER: what key requests name it by.
    pub hash: [u8; 20],
    /// From when it is valid.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub not_after: Option<Timestamp>,
    /// Who issued it.
    pub issuer: String,
}

impl Certificate {
    /// Reads one: DER, PEM, or Base64 of DER.
    pub fn parse(bytes: &[u8]) -> Result<Certificate, FairPlayError> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let der = match bytes.first() {
            Some(0x30) => bytes.to_vec(),
            _ => {
                let text = std::str::from_utf8(bytes).map_err(|_| FairPlayError::NotX509)?;
                let lines = text.lines().map(str::trim).filter(|l| !l.starts_with("-----"));
                STANDARD
                    .decode(lines.collect::<String>())
                    .map_err(|_| FairPlayError::NotX509)?
            }
        };
        let (rest, certificate) = X509Certificate::from_der(&der).map_err(|_| FairPlayError::NotX509)?;
        let own = &der[..der.len() - rest.len()];
        let time = |t: x509_parser::time::ASN1Time| Timestamp::from_second(t.timestamp()).ok();
        Ok(Certificate {
            hash: Sha1::digest(own).into(),
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
            issuer: certificate.issuer().to_string().chars().take(200).collect(),
        })
    }
}

/// What a status of Apple's server SDK means.
pub fn status_meaning(code: i64) -> Option<&'static str> {
    Some(match code {
        -42580 | -42590 => "the version of the SPC is not known",
        -42581 => "the SPC can't be read",
        -42583 => "the SPC lacks a tag",
        -42585 => "a parameter is wrong",
        -42589 => "the SPC's integrity check failed",
        -42591 => "the SPC has a tag twice",
        -42601 => "internal error of the server",
        -42604 => "the client's security level is too low",
        -42605 => "the certificate or key is another one",
        _ => return None,
    })
}

/// A FairPlay SDK JSON answer's first element: its status and, where there is one, its CKC in Base64.
pub fn sdk_answer(document: &serde_json::Value) -> Option<(i64, Option<&str>)> {
    let response = document.get("fairplay-streaming-response")?;
    let first = ["create-ckc", "streaming-keys"]
        .iter()
        .find_map(|name| response.get(*name)?.get(0))?;
    let status = first
        .get("status")
        .and_then(serde_json::Value::as_i64)
        .unwrap_or(0);
    Some((status, first.get("ckc").and_then(serde_json::Value::as_str)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The arithmetic of Apple's sample files: 2864 = 176 + 2688 and 668 = 28 + 640.
    #[test]
    fn frames_are_read_by_their_lengths() {
        let mut spc = vec![0u8; 2864];
        spc[..4].copy_from_slice(&1u32.to_be_bytes());
        spc[152..172].copy_from_slice(&[7; 20]);
        spc[172..176].copy_from_slice(&2688u32.to_be_bytes());
        assert_eq!(Spc::parse(&spc).unwrap().certificate_hash, Some([7; 20]));
        let mut ckc = vec![0u8; 668];
        ckc[3] = 1;
        ckc[24..28].copy_from_slice(&640u32.to_be_bytes());
        assert_eq!(Ckc::parse(&ckc).unwrap().length, 640);
        ckc.pop();
        assert_eq!(
            Ckc::parse(&ckc).unwrap_err().to_string(),
            "byte 24: the payload of the CKC must be 640 bytes, as it says; 639 follow"
        );
        assert!(Spc::parse(&malformed_spc()).is_ok());
        assert_eq!(Spc::parse(b"\x30\x82\x05\x00"), Err(FairPlayError::Certificate));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = (Spc::parse(&bytes), Ckc::parse(&bytes), Certificate::parse(&bytes));
        }
    }
}
