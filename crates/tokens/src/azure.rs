//! Azure Storage service SAS for a container, version 2020-12-06 and later (Microsoft, "Create a service SAS").

use super::{Grant, Proof, SignError, hmac_sha256};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;

const VERSION: &str = "2022-11-02";

/// A service SAS that allows reading.
#[derive(Clone)]
pub struct AzureSas {
    /// Storage account.
    pub account: String,
    /// Account key, Base64.
    pub key: String,
}

impl std::fmt::Debug for AzureSas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureSas")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl AzureSas {
    pub(crate) fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        let key = STANDARD.decode(self.key.trim());
        let key = key.map_err(|_| SignError::Key {
            scheme: "Azure SAS",
            must: "the account key in Base64",
        })?;
        let time = |t: Timestamp| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let container = grant
            .url
            .path_segments()
            .and_then(|mut s| s.next())
            .unwrap_or_default();
        let address = grant.address.map(|a| a.to_string()).unwrap_or_default();
        let start = grant.not_before.map(time).unwrap_or_default();
        let expires = time(grant.expires);
        let fields = [
            "r",
            &start,
            &expires,
            &format!("/blob/{}/{container}", self.account),
            // Identifier.
            "",
            &address,
            // Protocol.
            "",
            VERSION,
            // A container, so that what its manifests list needs no token of its own.
            "c",
            // Snapshot, encryption scope, and five response headers.
            "",
            "",
            "",
            "",
            "",
            "",
            "",
        ];
        let signature = STANDARD.encode(hmac_sha256(&key, fields.join("\n").as_bytes()));
        let mut query = vec![
            ("sv", VERSION.to_owned()),
            ("sr", "c".to_owned()),
            ("sp", "r".to_owned()),
        ];
        if !start.is_empty() {
            query.push(("st", start));
        }
        query.push(("se", expires));
        if !address.is_empty() {
            query.push(("sip", address));
        }
        query.push(("sig", signature));
        Ok(Proof {
            query: query.into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
            ..Proof::default()
        })
    }
}
