//! What vendors put around requests and answers: Base64, forms, JSON, XML. All systems' messages travel in such
//! wrappers; which, is data.

use base64::{Engine, engine::general_purpose};
use serde_json::Value;
use thiserror::Error;

/// How a challenge is put into a request's body.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// Base64 of it.
    Base64,
    /// A form field (`application/x-www-form-urlencoded`) with Base64 of it.
    Form {
        /// Name of the field.
        field: String,
    },
    /// A string of a JSON document, Base64 of it.
    Json {
        /// The document.
        template: Value,
        /// Where in it (RFC 6901); what is missing on the way is made.
        pointer: String,
    },
}

/// How a licence is taken out of an answer's body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Extraction {
    /// Whichever of the others fits, in their order; JSON by the usual names.
    #[default]
    Auto,
    /// As it is.
    Raw,
    /// Base64 of it.
    Base64,
    /// A string of a JSON document, Base64 of it.
    Json {
        /// Where (RFC 6901).
        pointer: String,
    },
    /// The text of an XML element, Base64 of it.
    Xml {
        /// Name of the element.
        element: String,
    },
}

/// Names under which JSON answers hold licences.
const USUAL: [&str; 7] = [
    "/license",
    "/rawLicenseBase64",
    "/ckc",
    "/CkcMessage",
    "/License",
    "/licenseResponse",
    "/fairplay-streaming-response/create-ckc/0/ckc",
];

/// Why there is nothing to take out.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum ExtractError {
    /// Nothing there.
    #[error("the answer is empty")]
    Empty,
    /// Not Base64.
    #[error("the answer must be Base64")]
    Base64,
    /// Not JSON.
    #[error("the answer must be JSON")]
    Json,
    /// Nothing at the place.
    #[error("the answer must hold Base64 at {0}")]
    Place(String),
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.split_whitespace().collect();
    if compact.is_empty() {
        return None;
    }
    general_purpose::STANDARD
        .decode(&compact)
        .or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(compact.trim_end_matches('=')))
        .ok()
}

impl Encoding {
    /// The body, and its content type where the encoding has one.
    pub fn encode(&self, challenge: &[u8]) -> (Vec<u8>, Option<&'static str>) {
        let text = || general_purpose::STANDARD.encode(challenge);
        match self {
            Encoding::Raw => (challenge.to_vec(), None),
            Encoding::Base64 => (text().into_bytes(), Some("text/plain")),
            Encoding::Form { field } => {
                let value = text().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                let body = format!("{field}={value}").into_bytes();
                (body, Some("application/x-www-form-urlencoded"))
            }
            Encoding::Json { template, pointer } => {
                let mut document = template.clone();
                put(&mut document, pointer, Value::String(text()));
                (document.to_string().into_bytes(), Some("application/json"))
            }
        }
    }
}

/// Puts a value at a pointer, and makes what is missing on the way.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let next = part.parse::<usize>().ok().filter(|_| at.is_array());
        at = match next {
            Some(n) if n < 64 => {
                if let Some(list) = at.as_array_mut() {
                    while list.len() <= n {
                        list.push(Value::Null);
                    }
                }
                &mut at[n]
            }
            _ => {
                if !at.is_object() {
                    *at = Value::Object(Default::default());
                }
                &mut at[&part]
            }
        };
    }
    *at = value;
}

impl Extraction {
    /// The licence's bytes.
    pub fn extract(&self, body: &[u8]) -> Result<Vec<u8>, ExtractError> {
        if body.trim_ascii().is_empty() {
            return Err(ExtractError::Empty);
        }
        let text = || std::str::from_utf8(body).map_err(|_| ExtractError::Base64);
        match self {
            Extraction::Raw => Ok(body.to_vec()),
            Extraction::Base64 => base64(text()?).ok_or(ExtractError::Base64),
            Extraction::Json { pointer } => {
                let document: Value = serde_json::from_slice(body).map_err(|_| ExtractError::Json)?;
                let found = document.pointer(pointer).and_then(Value::as_str).and_then(base64);
                found.ok_or_else(|| ExtractError::Place(pointer.clone()))
            }
            Extraction::Xml { element } => element_text(text()?, element)
                .and_then(base64)
                .ok_or_else(|| ExtractError::Place(format!("element {element}"))),
            Extraction::Auto => Ok(automatic(body)),
        }
    }
}

/// Raw, unless it is text that another form fits.
fn automatic(body: &[u8]) -> Vec<u8> {
    let inner = || {
        let text = std::str::from_utf8(body).ok()?.trim();
        if text.starts_with('{') {
            let document: Value = serde_json::from_str(text).ok()?;
            return USUAL
                .iter()
                .find_map(|p| document.pointer(p).and_then(Value::as_str).and_then(base64));
        }
        if text.starts_with('<') {
            return element_text(text, "ckc").and_then(base64);
        }
        base64(text)
    };
    inner().unwrap_or_else(|| body.to_vec())
}

/// Text of the first element of a name, read by hand: what servers send here is often no XML document.
fn element_text<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    let open = format!("<{element}>");
    let from = text.find(&open)? + open.len();
    let rest = &text[from..];
    Some(&rest[..rest.find(&format!("</{element}>"))?])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn challenges_are_put_where_vendors_want_them() {
        let body = |encoding: Encoding| String::from_utf8(encoding.encode(b"\xff\xfe?").0).unwrap();
        assert_eq!(body(Encoding::Base64), "//4/");
        assert_eq!(body(Encoding::Form { field: "spc".into() }), "spc=%2F%2F4%2F");
        let template = json!({ "token": "t", "list": [1] });
        let pointer = "/list/1/spc".into();
        assert_eq!(
            body(Encoding::Json { template, pointer }),
            r#"{"list":[1,{"spc":"//4/"}],"token":"t"}"#
        );
    }

    #[test]
    fn licences_are_found_in_every_form() {
        let auto = |body: &[u8]| Extraction::Auto.extract(body).unwrap();
        assert_eq!(auto(b"\x08\x02\xff"), b"\x08\x02\xff");
        assert_eq!(auto(b"CAL/\n"), b"\x08\x02\xff");
        assert_eq!(auto(b"<ckc>CAL/</ckc>"), b"\x08\x02\xff");
        assert_eq!(auto(br#"{"ckc":"CAL_"}"#), b"\x08\x02\xff");
        assert_eq!(auto(br#"{"error":"no"}"#), br#"{"error":"no"}"#);
        assert_eq!(Extraction::Auto.extract(b" \n"), Err(ExtractError::Empty));
        let json = Extraction::Json {
            pointer: "/a/b".into(),
        };
        assert_eq!(json.extract(br#"{"a":{"b":"CAL/"}}"#).unwrap(), b"\x08\x02\xff");
        assert_eq!(json.extract(b"{}"), Err(ExtractError::Place("/a/b".into())));
        assert_eq!(json.extract(b"<html>"), Err(ExtractError::Json));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), pointer in "(/[a-z0-9~]{0,3}){0,5}") {
            for form in [Extraction::Auto, Extraction::Base64, Extraction::Json { pointer: pointer.clone() }, Extraction::Xml { element: "ckc".into() }] {
                let _ = form.extract(&bytes);
            }
            let _ = Encoding::Json { template: json!([]), pointer }.encode(&bytes);
        }
    }
}
