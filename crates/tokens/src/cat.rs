//! Common Access Token (CTA-5007): a CBOR Web Token (RFC 8392) under COSE_Mac0 with HMAC 256/256 (RFC 9052,
//! RFC 9053 section 3.1).

use super::{Grant, Proof, SignError, hmac_sha256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::net::IpAddr;

/// Where CTA-5007 tokens travel when nothing else is agreed.
pub const DEFAULT_NAME: &str = "CTA-Common-Access-Token";

/// Where the token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Carrier {
    #[default]
    Query,
    Cookie,
    Header,
}

/// A Common Access Token.
#[derive(Clone)]
pub struct CommonAccessToken {
    /// Symmetric key.
    pub key: Vec<u8>,
    /// Key id in the unprotected header.
    pub key_id: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `catu`: the path must begin with this; without it, with the folder of the URL.
    pub path_prefix: Option<String>,
    /// Name of parameter, cookie or header.
    pub name: String,
    /// Which of them.
    pub carrier: Carrier,
}

impl std::fmt::Debug for CommonAccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommonAccessToken")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// A CBOR head (RFC 8949 section 3): major type and argument.
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..24 => out.push(major | argument as u8),
        24..0x100 => out.extend([major | 24, argument as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend((argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend((argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(argument.to_be_bytes());
        }
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    head(out, 2, value.len() as u64);
    out.extend(value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    head(out, 3, value.len() as u64);
    out.extend(value.as_bytes());
}

impl CommonAccessToken {
    fn claims(&self, grant: &Grant) -> Vec<u8> {
        let mut claims: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut claim = |label, write: &dyn Fn(&mut Vec<u8>)| {
            let mut value = Vec::new();
            write(&mut value);
            claims.push((label, value));
        };
        let time = |t: jiff::Timestamp| t.as_second().max(0) as u64;
        if let Some(issuer) = &self.issuer {
            claim(1, &|out| text(out, issuer));
        }
        claim(4, &|out| head(out, 0, time(grant.expires)));
        if let Some(at) = grant.not_before {
            claim(5, &|out| head(out, 0, time(at)));
        }
        // catv: version 1.
        claim(310, &|out| head(out, 0, 1));
        if let Some(address) = grant.address {
            // catnip: a list of addresses (RFC 9164 tags).
            claim(311, &|out| {
                head(out, 4, 1);
                match address {
                    IpAddr::V4(a) => {
                        head(out, 6, 52);
                        bytes(out, &a.octets());
                    }
                    IpAddr::V6(a) => {
                        head(out, 6, 54);
                        bytes(out, &a.octets());
                    }
                }
            });
        }
        let folder = grant
            .url
            .path()
            .rsplit_once('/')
            .map_or("/", |(f, _)| f)
            .to_owned()
            + "/";
        let prefix = self.path_prefix.clone().unwrap_or(folder);
        // catu: component 3 is the path, match 1 a prefix.
        claim(312, &|out| {
            head(out, 5, 1);
            head(out, 0, 3);
            head(out, 5, 1);
            head(out, 0, 1);
            text(out, &prefix);
        });
        let mut out = Vec::new();
        head(&mut out, 5, claims.len() as u64);
        for (label, value) in claims {
            head(&mut out, 0, label);
            out.extend(value);
        }
        out
    }

    pub(crate) fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        if self.key.is_empty() {
            return Err(SignError::Key {
                scheme: "Common Access Token",
                must: "at least one byte",
            });
        }
        let payload = self.claims(grant);
        // Protected header {1: 5}: alg is HMAC 256/256.
        let protected = [0xa1, 0x01, 0x05];
        let mut structure = Vec::new();
        head(&mut structure, 4, 4);
        text(&mut structure, "MAC0");
        bytes(&mut structure, &protected);
        bytes(&mut structure, &[]);
        bytes(&mut structure, &payload);
        let tag = hmac_sha256(&self.key, &structure);
        let mut token = Vec::new();
        // A CWT that is a COSE_Mac0.
        head(&mut token, 6, 61);
        head(&mut token, 6, 17);
        head(&mut token, 4, 4);
        bytes(&mut token, &protected);
        match &self.key_id {
            None => head(&mut token, 5, 0),
            Some(id) => {
                head(&mut token, 5, 1);
                head(&mut token, 0, 4);
                bytes(&mut token, id.as_bytes());
            }
        }
        bytes(&mut token, &payload);
        bytes(&mut token, &tag);
        let pair = (self.name.clone(), URL_SAFE_NO_PAD.encode(token));
        let mut proof = Proof::default();
        match self.carrier {
            Carrier::Query => proof.query.push(pair),
            Carrier::Cookie => proof.cookies.push(pair),
            Carrier::Header => proof.headers.push(pair),
        }
        Ok(proof)
    }
}
