//! Amazon CloudFront signed URLs and signed cookies with a custom policy, RSA with SHA-1 (CloudFront Developer
//! Guide, "Creating a signed URL using a custom policy").

use super::{Grant, Proof, SignError};
use base64::{Engine, engine::general_purpose::STANDARD};
use rsa::{Pkcs1v15Sign, PrivateKey, pkcs1::DecodeRsaPrivateKey, pkcs8::DecodePrivateKey};
use sha1::{Digest, Sha1};

/// A custom policy.
#[derive(Clone)]
pub struct CloudFront {
    key_pair_id: String,
    key: PrivateKey,
    resource: Option<String>,
    cookies: bool,
}

impl std::fmt::Debug for CloudFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudFront")
            .field("key_pair_id", &self.key_pair_id)
            .finish_non_exhaustive()
    }
}

impl CloudFront {
    /// `key` is PEM, PKCS #1 or PKCS #8. `resource` may have `*`; without it the token is for its URL alone.
    pub fn new(
        key_pair_id: String,
        key: &str,
        resource: Option<String>,
        cookies: bool,
    ) -> Result<Self, SignError> {
        let parsed = PrivateKey::from_pkcs8_pem(key)
            .ok()
            .or(PrivateKey::from_pkcs1_pem(key).ok());
        let key = parsed.ok_or(SignError::Key {
            scheme: "CloudFront",
            must: "an RSA private key in PEM",
        })?;
        Ok(CloudFront {
            key_pair_id,
            key,
            resource,
            cookies,
        })
    }

    /// Makes its policies for another resource.
    pub(crate) fn move_to(&mut self, url: &url::Url) {
        self.resource = Some(url.to_string());
    }

    /// The policy document.
    fn policy(&self, grant: &Grant) -> String {
        let own = || {
            let mut url = grant.url.clone();
            url.set_fragment(None);
            url.to_string()
        };
        let resource = self.resource.clone().unwrap_or_else(own);
        let mut conditions = format!(
            "\"DateLessThan\":{{\"AWS:EpochTime\":{}}}",
            grant.expires.as_second()
        );
        if let Some(address) = grant.address {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            conditions += &format!(",\"IpAddress\":{{\"AWS:SourceIp\":\"{address}/{bits}\"}}");
        }
        if let Some(at) = grant.not_before {
            conditions += &format!(",\"DateGreaterThan\":{{\"AWS:EpochTime\":{}}}", at.as_second());
        }
        let resource = resource.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{{\"Statement\":[{{\"Resource\":\"{resource}\",\"Condition\":{{{conditions}}}}}]}}")
    }

    pub(crate) fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        let policy = self.policy(grant);
        let signature = self
            .key
            .sign(Pkcs1v15Sign::new::<Sha1>(), &Sha1::digest(policy.as_bytes()))
            .map_err(|_| SignError::Key {
                scheme: "CloudFront",
                must: "an RSA private key that can sign",
            })?;
        // Their own alphabet, so that nothing needs encoding.
        let text = |bytes: &[u8]| {
            STANDARD
                .encode(bytes)
                .replace('+', "-")
                .replace('=', "_")
                .replace('/', "~")
        };
        let pairs = [
            ("Policy", text(policy.as_bytes())),
            ("Signature", text(&signature)),
            ("Key-Pair-Id", self.key_pair_id.clone()),
        ];
        Ok(match self.cookies {
            true => Proof {
                cookies: pairs.map(|(n, v)| (format!("CloudFront-{n}"), v)).to_vec(),
                ..Proof::default()
            },
            false => Proof {
                query: pairs.map(|(n, v)| (n.to_owned(), v)).to_vec(),
                ..Proof::default()
            },
        })
    }
}
