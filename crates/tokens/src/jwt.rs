//! JSON Web Tokens (RFC 7519): read without their key, to know before the server does that one has expired, and
//! minted where the operator gives the key.

use super::SignError;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value};

/// How a token is signed (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// Mints tokens.
pub struct JwtSigner {
    algorithm: Algorithm,
    key: EncodingKey,
    key_id: Option<String>,
}

impl std::fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtSigner")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl JwtSigner {
    /// `key` is Base64 of the secret (or the secret itself, where it is no Base64) for HS256, else PEM: PKCS #1 or
    /// PKCS #8 for RSA, PKCS #8 for ECDSA.
    pub fn new(algorithm: JwtAlgorithm, key: &str, key_id: Option<String>) -> Result<JwtSigner, SignError> {
        let wrong = |must| SignError::Key { scheme: "JWT", must };
        let (algorithm, key) = match algorithm {
            JwtAlgorithm::Hs256 => {
                let secret = base64::engine::general_purpose::STANDARD
                    .decode(key.trim())
                    .unwrap_or_else(|_| key.trim().as_bytes().to_vec());
                if secret.is_empty() {
                    return Err(wrong("not empty"));
                }
                (Algorithm::HS256, EncodingKey::from_secret(&secret))
            }
            JwtAlgorithm::Rs256 => (
                Algorithm::RS256,
                EncodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| wrong("an RSA private key in PEM"))?,
            ),
            JwtAlgorithm::Es256 => (
                Algorithm::ES256,
                EncodingKey::from_ec_pem(key.as_bytes())
                    .map_err(|_| wrong("a P-256 private key in PEM (PKCS #8)"))?,
            ),
        };
        Ok(JwtSigner {
            algorithm,
            key,
            key_id,
        })
    }

    /// A token with these claims.
    pub fn mint(&self, claims: &Map<String, Value>) -> Result<String, SignError> {
        let mut header = Header::new(self.algorithm);
        header.kid = self.key_id.clone();
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| SignError::Key {
            scheme: "JWT",
            must: "one that can sign",
        })
    }
}

/// What a token says of itself, unverified.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JwtFacts {
    /// `exp`.
    pub expires: Option<Timestamp>,
    /// `nbf`.
    pub not_before: Option<Timestamp>,
    /// `kid` of its header.
    pub key_id: Option<String>,
    /// `alg` of its header.
    pub algorithm: Option<String>,
}

/// How a token fails by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtProblem {
    /// Past `exp`.
    Expired(Timestamp),
    /// Before `nbf`.
    NotYetValid(Timestamp),
}

impl JwtFacts {
    /// Reads a token in compact form; `None` where it is none. Axinom's `begin_date` and `expiration_date` count
    /// as well.
    pub fn read(token: &str) -> Option<JwtFacts> {
        let mut parts = token.trim().split('.');
        let mut next = || -> Option<Map<String, Value>> {
            let bytes = URL_SAFE_NO_PAD.decode(parts.next()?.trim_end_matches('=')).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        let (header, claims) = (next()?, next()?);
        parts.next()?;
        let text = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        let time = |names: [&str; 2]| {
            names.iter().find_map(|name| match claims.get(*name)? {
                Value::Number(n) => Timestamp::from_second(n.as_f64()? as i64).ok(),
                Value::String(s) => s.parse().ok(),
                _ => None,
            })
        };
        Some(JwtFacts {
            expires: time(["exp", "expiration_date"]),
            not_before: time(["nbf", "begin_date"]),
            key_id: text("kid"),
            algorithm: text("alg"),
        })
    }

    /// What a server would have against it, with some tolerance for the two clocks.
    pub fn problem(&self, now: Timestamp, tolerance: SignedDuration) -> Option<JwtProblem> {
        if let Some(at) = self.expires.filter(|at| *at + tolerance <= now) {
            return Some(JwtProblem::Expired(at));
        }
        let early = self.not_before.filter(|at| *at - tolerance > now);
        early.map(JwtProblem::NotYetValid)
    }
}

/// A token with another last bit in its signature.
pub fn tampered(token: &str) -> String {
    let Some((rest, signature)) = token.rsplit_once('.') else {
        return format!("{token}x");
    };
    // The first character: the last one may hold bits that mean nothing.
    let mut chars = signature.chars();
    let first = match chars.next() {
        Some('A') => 'B',
        _ => 'A',
    };
    format!("{rest}.{first}{}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7515 appendix A.1: key, header and claims are the RFC's.
    const RFC7515: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    #[test]
    fn the_rfcs_token_is_read() {
        let facts = JwtFacts::read(RFC7515).unwrap();
        assert_eq!(facts.expires.unwrap().as_second(), 1_300_819_380);
        let at = |s| Timestamp::from_second(s).unwrap();
        let none = SignedDuration::ZERO;
        assert_eq!(facts.problem(at(1_300_819_379), none), None);
        assert_eq!(
            facts.problem(at(1_300_819_380), none),
            Some(JwtProblem::Expired(at(1_300_819_380)))
        );
        assert_eq!(
            facts.problem(at(1_300_819_400), SignedDuration::from_secs(60)),
            None
        );
        assert_eq!(JwtFacts::read("opaque-token"), None);
        assert_ne!(tampered(RFC7515), RFC7515);
    }

    #[test]
    fn axinoms_dates_count_and_what_is_minted_is_read() {
        let signer = JwtSigner::new(JwtAlgorithm::Hs256, "c2VjcmV0", Some("k1".into())).unwrap();
        let claims = json!({ "version": 1, "begin_date": "2030-01-01T00:00:00Z", "expiration_date": "2031-01-01T00:00:00+01:00" });
        let token = signer.mint(claims.as_object().unwrap()).unwrap();
        let facts = JwtFacts::read(&token).unwrap();
        assert_eq!(facts.key_id.as_deref(), Some("k1"));
        let early = facts.problem("2029-06-01T00:00:00Z".parse().unwrap(), SignedDuration::ZERO);
        assert!(matches!(early, Some(JwtProblem::NotYetValid(_))));
        assert_eq!(facts.expires.unwrap().to_string(), "2030-12-31T23:00:00Z");
    }

    #[test]
    fn a_key_that_is_none_is_named_and_not_quoted() {
        let error = JwtSigner::new(JwtAlgorithm::Rs256, "hunter2-not-pem", None).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(JwtSigner::new(JwtAlgorithm::Es256, "x", None).is_err());
        assert!(JwtSigner::new(JwtAlgorithm::Hs256, "", None).is_err());
    }
}
