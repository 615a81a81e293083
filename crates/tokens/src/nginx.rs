//! nginx `secure_link` (ngx_http_secure_link_module): MD5 of an expression that the server's configuration
//! gives.

use super::{Grant, Proof, SignError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use md5::{Digest, Md5};

/// `secure_link $arg_md5,$arg_expires` and `secure_link_md5 EXPRESSION`.
#[derive(Clone)]
pub struct NginxSecureLink {
    /// The expression of `secure_link_md5`. Knows `$secure_link_expires`, `$uri`, `$remote_addr`, and
    /// `$secret`, which stands for the secret.
    pub expression: String,
    /// The secret.
    pub secret: String,
    /// Query parameter with the MD5 value.
    pub md5_parameter: String,
    /// Query parameter with the time of expiry.
    pub expires_parameter: String,
}

impl std::fmt::Debug for NginxSecureLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NginxSecureLink")
            .field("expression", &self.expression)
            .finish_non_exhaustive()
    }
}

impl NginxSecureLink {
    pub(crate) fn sign(&self, grant: &Grant) -> Result<Proof, SignError> {
        const SCHEME: &str = "nginx secure_link";
        if grant.not_before.is_some() {
            return Err(SignError::Unsupported {
                scheme: SCHEME,
                what: "a time from which it is valid",
            });
        }
        let addressed = self.expression.contains("$remote_addr");
        if grant.address.is_some() != addressed {
            let what = if addressed {
                "every address: its expression has $remote_addr"
            } else {
                "an address"
            };
            return Err(SignError::Unsupported { scheme: SCHEME, what });
        }
        let expires = grant.expires.as_second().to_string();
        // $uri is the path, decoded.
        let path = percent_encoding::percent_decode_str(grant.url.path()).decode_utf8_lossy();
        let address = grant.address.map(|a| a.to_string()).unwrap_or_default();
        let text = self
            .expression
            .replace("$secure_link_expires", &expires)
            .replace("$remote_addr", &address)
            .replace("$uri", &path)
            .replace("$secret", &self.secret);
        let value = URL_SAFE_NO_PAD.encode(Md5::digest(text.as_bytes()));
        Ok(Proof {
            query: vec![
                (self.md5_parameter.clone(), value),
                (self.expires_parameter.clone(), expires),
            ],
            ..Proof::default()
        })
    }
}
