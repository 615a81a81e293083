//! Akamai EdgeAuth (Auth Token 2.0): `st=…~exp=…~acl=…~hmac=…`, HMAC-SHA-256 over what stands before.

use super::{Grant, Proof, SignError, hexadecimal, hmac_sha256};

/// An EdgeAuth token.
#[derive(Clone)]
pub struct AkamaiEdgeAuth {
    /// Query parameter or cookie: `hdnts`, `hdnea`, …
    pub name: String,
    /// Key, hexadecimal.
    pub key: String,
    /// Paths that it is for, with `*`; empty: the URL alone.
    pub acl: Vec<String>,
    /// Salt, which the property's configuration repeats.
    pub salt: Option<String>,
    /// As a cookie and not in the query.
    pub cookie: bool,
}

impl std::fmt::Debug for AkamaiEdgeAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AkamaiEdgeAuth")
            .field("name", &self.name)
            .field("acl", &self.acl)
            .finish_non_exhaustive()
    }
}

impl AkamaiEdgeAuth {
    pub(crate) fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let key: Option<Vec<u8>> = self.key.trim().as_bytes().chunks(2).map(byte).collect();
        let Some(key) = key.filter(|k| !k.is_empty() && self.key.trim().len().is_multiple_of(2)) else {
            return Err(SignError::Key {
                scheme: "Akamai EdgeAuth",
                must: "hexadecimal digits, two for each byte",
            });
        };
        let mut fields = Vec::new();
        fields.extend(grant.address.map(|a| format!("ip={a}")));
        fields.extend(grant.not_before.map(|t| format!("st={}", t.as_second())));
        fields.push(format!("exp={}", grant.expires.as_second()));
        let mut hidden = Vec::new();
        match self.acl.as_slice() {
            [] => hidden.push(format!("url={}", grant.url.path())),
            acl => fields.push(format!("acl={}", acl.join("!"))),
        }
        hidden.extend(self.salt.as_ref().map(|s| format!("salt={s}")));
        let signed = fields
            .iter()
            .chain(&hidden)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("~");
        fields.push(format!(
            "hmac={}",
            hexadecimal(&hmac_sha256(&key, signed.as_bytes()))
        ));
        let token = (self.name.clone(), fields.join("~"));
        Ok(match self.cookie {
            true => Proof {
                cookies: vec![token],
                ..Proof::default()
            },
            false => Proof {
                query: vec![token],
                ..Proof::default()
            },
        })
    }
}
