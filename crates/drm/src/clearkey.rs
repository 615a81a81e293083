//! W3C Clear Key licence messages (Encrypted Media Extensions, section 9.1.3 and 9.1.4).

use base64::{Engine, alphabet, engine};
use drmwatch_media::Kid;
use secrecy::{ExposeSecretMut, SecretBox};
use serde::Deserialize;
use thiserror::Error;

/// base64url; the specification forbids padding, and a monitor reads what is there and says so.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::URL_SAFE,
    engine::GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent),
);

/// Most keys that a licence may hold.
const MAX_KEYS: usize = 256;

/// The body of a licence request for `kids`: `{"kids":[…],"type":"temporary"}`.
pub fn request(kids: &[Kid]) -> Vec<u8> {
    let kids: Vec<String> = kids.iter().map(|kid| BASE64.encode(kid.0)).collect();
    serde_json::json!({ "kids": kids, "type": "temporary" })
        .to_string()
        .into_bytes()
}

/// A parsed licence. Its keys can't be printed, and are wiped when dropped.
pub struct License {
    keys: Vec<(Kid, SecretBox<[u8; 16]>)>,
    /// What is against the specification but does no harm: padding, a missing type.
    pub remarks: Vec<String>,
}

impl std::fmt::Debug for License {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("License")
            .field("kids", &self.kids())
            .field("remarks", &self.remarks)
            .finish()
    }
}

/// Why bytes are not a licence.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum LicenseError {
    /// Another kind of document altogether.
    #[error("the answer must be a JSON Web Key Set, and is {0}")]
    NotALicense(String),
    /// A key set with a mistake in it.
    #[error("{field} {problem}")]
    Invalid {
        /// Place in the document, as `keys[0].k`.
        field: String,
        /// What it must be.
        problem: String,
    },
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Option<String>,
    k: Option<String>,
    kid: Option<String>,
}

/// Parses a licence: a JSON Web Key Set (RFC 7517) of symmetric keys.
pub fn parse(body: &[u8]) -> Result<License, LicenseError> {
    let set: JwkSet = serde_json::from_slice(body).map_err(|_| LicenseError::NotALicense(describe(body)))?;
    let mut license = License {
        keys: Vec::new(),
        remarks: Vec::new(),
    };
    if set.keys.len() > MAX_KEYS {
        let problem = format!("must not hold more than {MAX_KEYS} keys");
        return Err(LicenseError::Invalid {
            field: "keys".into(),
            problem,
        });
    }
    match set.kind.as_deref() {
        Some("temporary" | "persistent-license") => {}
        Some(_) => license
            .remarks
            .push("type must be temporary or persistent-license".into()),
        None => license.remarks.push("type must be there".into()),
    }
    for (n, key) in set.keys.into_iter().enumerate() {
        let field = |name: &str| format!("keys[{n}].{name}");
        if key.kty.as_deref() != Some("oct") {
            return Err(LicenseError::Invalid {
                field: field("kty"),
                problem: "must be oct".into(),
            });
        }
        let mut octets = |name: &str, text: Option<String>| -> Result<[u8; 16], LicenseError> {
            let invalid = |problem: &str| LicenseError::Invalid {
                field: field(name),
                problem: problem.into(),
            };
            let text = text.ok_or_else(|| invalid("must be there"))?;
            if text.ends_with('=') {
                license
                    .remarks
                    .push(format!("{} must not be padded", field(name)));
            }
            let bytes = BASE64.decode(&text).map_err(|_| invalid("must be base64url"))?;
            bytes.try_into().map_err(|_| invalid("must be 16 bytes"))
        };
        let kid = Kid(octets("kid", key.kid)?);
        let mut value = octets("k", key.k)?;
        let mut secret = SecretBox::new(Box::new([0u8; 16]));
        secret.expose_secret_mut().copy_from_slice(&value);
        value.fill(0);
        license.keys.push((kid, secret));
    }
    Ok(license)
}

impl License {
    /// Key ids of its keys, in order.
    pub fn kids(&self) -> Vec<Kid> {
        self.keys.iter().map(|(kid, _)| *kid).collect()
    }

    /// Those of `wanted` that it has no key for.
    pub fn missing(&self, wanted: &[Kid]) -> Vec<Kid> {
        wanted
            .iter()
            .filter(|kid| self.key(kid).is_none())
            .copied()
            .collect()
    }

    pub(crate) fn key(&self, kid: &Kid) -> Option<&SecretBox<[u8; 16]>> {
        self.keys.iter().find(|(k, _)| k == kid).map(|(_, key)| key)
    }
}

/// What a body looks like, without quoting it: it may be anything.
fn describe(body: &[u8]) -> String {
    let start = body
        .iter()
        .position(|b| !b.is_ascii_whitespace())
        .map(|n| &body[n..])
        .unwrap_or_default();
    let what = match start {
        [] => "empty",
        [b'<', rest @ ..] if rest.len() > 4 && rest[..4].eq_ignore_ascii_case(b"html") => "HTML",
        [b'<', rest @ ..] if rest.len() > 8 && rest[..8].eq_ignore_ascii_case(b"!doctype") => "HTML",
        [b'<', ..] => "XML",
        _ if serde_json::from_slice::<serde_json::Value>(body).is_ok() => "JSON of another shape",
        [b'{' | b'[', ..] => "broken JSON",
        _ => "neither JSON nor XML",
    };
    format!("{what} ({} bytes)", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Encrypted Media Extensions, section 9.1.4.1.
    const EXAMPLE: &str = r#"{"keys":[{"kty":"oct","k":"tQ0bJVWb6b0KPL6KtZIy_A","kid":"LwVHf8JLtPrv2GUXFW2v_A"}],"type":"temporary"}"#;

    #[test]
    fn the_examples_of_the_specification_are_understood() {
        let license = parse(EXAMPLE.as_bytes()).unwrap();
        let kid = license.kids()[0];
        assert_eq!(kid.to_string(), "2f05477fc24bb4faefd86517156daffc");
        assert_eq!(license.remarks, Vec::<String>::new());
        // The example request of section 9.1.3.1 asks for this key id and another.
        let other = Kid(BASE64
            .decode("0DdtU9od-Bh5L3xbv0Xf_A")
            .unwrap()
            .try_into()
            .unwrap());
        assert_eq!(
            String::from_utf8(request(&[kid, other])).unwrap(),
            r#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A","0DdtU9od-Bh5L3xbv0Xf_A"],"type":"temporary"}"#
        );
        assert_eq!(license.missing(&[kid, other]), [other]);
    }

    #[test]
    fn padding_is_remarked_and_read() {
        let license = parse(EXAMPLE.replace("tZIy_A", "tZIy_A==").as_bytes()).unwrap();
        assert_eq!(license.remarks, ["keys[0].k must not be padded"]);
    }

    #[test]
    fn what_is_no_licence_is_described_and_never_quoted() {
        let check =
            |body: &str, message: &str| assert_eq!(parse(body.as_bytes()).unwrap_err().to_string(), message);
        let shape = |what: &str| format!("the answer must be a JSON Web Key Set, and is {what}");
        check("<!DOCTYPE html><p>hi", &shape("HTML (20 bytes)"));
        check("", &shape("empty (0 bytes)"));
        check(r#"{"status":"ok"}"#, &shape("JSON of another shape (15 bytes)"));
        check(&EXAMPLE[..40], &shape("broken JSON (40 bytes)"));
        check(&EXAMPLE.replace("tQ0b", "!!!!"), "keys[0].k must be base64url");
        check(&EXAMPLE.replace("tQ0bJVWb", ""), "keys[0].k must be 16 bytes");
        check(&EXAMPLE.replace("oct", "RSA"), "keys[0].kty must be oct");
    }

    #[test]
    fn a_licence_can_not_be_printed_with_its_keys() {
        let shown = format!("{:?}", parse(EXAMPLE.as_bytes()).unwrap());
        assert!(!shown.contains("tQ0b") && !shown.contains("b50d1b25") && shown.contains("License"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
        #[test]
        fn any_json_is_survived(k in "[A-Za-z0-9_=+/-]{0,40}", kty in "oct|RSA") {
            let _ = parse(format!(r#"{{"keys":[{{"kty":"{kty}","k":"{k}","kid":"{k}"}}]}}"#).as_bytes());
        }
    }
}
