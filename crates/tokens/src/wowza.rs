//! Wowza SecureToken version 2: a hash over path, secret, address and parameters in alphabetical order (Wowza
//! Streaming Engine, "Protect streaming using SecureToken").

use super::{Grant, Proof, SignError};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum WowzaHash {
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

/// SecureToken version 2.
#[derive(Clone)]
pub struct WowzaSecureToken {
    /// Prefix of the parameters: `wowzatoken`.
    pub prefix: String,
    /// Shared secret.
    pub secret: String,
    /// Hash function.
    pub hash: WowzaHash,
    /// More parameters that are signed, without the prefix.
    pub parameters: Vec<(String, String)>,
}

impl std::fmt::Debug for WowzaSecureToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WowzaSecureToken")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl WowzaSecureToken {
    pub(crate) fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        let named = |name: &str| format!("{}{name}", self.prefix);
        let mut query: Vec<(String, String)> = self
            .parameters
            .iter()
            .map(|(n, v)| (named(n), v.clone()))
            .collect();
        query.push((named("endtime"), grant.expires.as_second().to_string()));
        query.extend(
            grant
                .not_before
                .map(|t| (named("starttime"), t.as_second().to_string())),
        );
        let mut parts: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        parts.push(self.secret.clone());
        parts.extend(grant.address.map(|a| a.to_string()));
        parts.sort();
        // Application, instance and stream; what follows the last slash is the format's own file.
        let path = grant.url.path().trim_start_matches('/');
        let path = path.rsplit_once('/').map_or(path, |(stream, _)| stream);
        let text = format!("{path}?{}", parts.join("&"));
        let hash = match self.hash {
            WowzaHash::Sha256 => URL_SAFE.encode(Sha256::digest(text.as_bytes())),
            WowzaHash::Sha384 => URL_SAFE.encode(Sha384::digest(text.as_bytes())),
            WowzaHash::Sha512 => URL_SAFE.encode(Sha512::digest(text.as_bytes())),
        };
        query.push((named("hash"), hash));
        Ok(Proof {
            query,
            ..Proof::default()
        })
    }
}
