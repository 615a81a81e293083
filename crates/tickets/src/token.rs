//! By what a tenant's notifications are known: a token that follows from the bridge's key and the tenant's name, so that
//! each tenant's namespace holds one with which it can open its own tickets and nobody else's, and the bridge keeps none.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest key, in bytes: as long as what comes out of the hash (RFC 2104 section 3).
const SHORTEST: usize = 32;

/// The bridge's keys: tokens are made with the first, and those made with any are accepted, so that a key can be changed
/// without an instant in which nobody is let in.
#[derive(Clone)]
pub struct Key(Vec<Vec<u8>>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// A key that is none.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is nothing.
    #[error("the bridge's key is empty")]
    Empty,
    /// One is too short; the line counts from 1.
    #[error("line {0} of the bridge's key must have at least {SHORTEST} characters")]
    Short(usize),
}

impl Key {
    /// Reads keys, one a line.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate() {
            match line.trim() {
                "" => {}
                key if key.len() < SHORTEST => return Err(KeyError::Short(n + 1)),
                key => keys.push(key.as_bytes().to_vec()),
            }
        }
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Key(keys))
    }

    fn mac(key: &[u8], namespace: &str, tenant: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        // Names hold no NUL, so no two tenants give the same text.
        mac.update(format!("drmwatch.io/bridge/v1\0{namespace}\0{tenant}").as_bytes());
        Some(mac)
    }

    /// The token of a tenant.
    pub fn token(&self, namespace: &str, tenant: &str) -> String {
        let first = self.0.first().and_then(|key| Key::mac(key, namespace, tenant));
        let bytes = first.map(|mac| mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes.unwrap_or_default())
    }

    /// Whether a token is the tenant's. Takes as long for a wrong one.
    pub fn knows(&self, namespace: &str, tenant: &str, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let macs = self.0.iter().filter_map(|key| Key::mac(key, namespace, tenant));
        macs.fold(false, |known, mac| known | mac.verify_slice(&bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_own_tenant_only_and_outlives_a_change_of_keys() {
        let (old, new) = ("o".repeat(32), "n".repeat(40));
        let (before, between, after) = (
            Key::parse(&old).unwrap(),
            Key::parse(&format!("{new}\n{old}\n")).unwrap(),
            Key::parse(&new).unwrap(),
        );
        let token = before.token("tv", "acme");
        assert!(before.knows("tv", "acme", &token));
        assert!(between.knows("tv", "acme", &token) && !after.knows("tv", "acme", &token));
        assert!(after.knows("tv", "acme", &between.token("tv", "acme")));
        for (namespace, tenant) in [("tv", "other"), ("other", "acme"), ("t", "vacme"), ("", "")] {
            assert!(!before.knows(namespace, tenant, &token));
        }
        for forged in ["", "?", "AAAA", &token[1..]] {
            assert!(!before.knows("tv", "acme", forged));
        }
    }

    #[test]
    fn a_key_that_is_none_is_told() {
        assert_eq!(Key::parse("\n \n").unwrap_err(), KeyError::Empty);
        let short = format!("{}\nshort", "k".repeat(32));
        assert_eq!(Key::parse(&short).unwrap_err(), KeyError::Short(2));
        assert!(!format!("{:?}", Key::parse(&"secret".repeat(8)).unwrap()).contains("secret"));
    }
}
