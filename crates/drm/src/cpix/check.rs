//! Whether an answer answers what was asked.
//!
//! A lenient validator of our own: DASH-IF's own schemas refuse what SPEKE demands (`master`), and those of
//! Axinom and the `cpix` package each refuse something else that is right.

use super::{Ask, Document, KeyValue, System, Version, uuid};
use crate::init_data;
use drmwatch_media::{Kid, bmff::pssh_boxes};
use thiserror::Error;

/// What is wrong with an answer.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A key that was asked for is not there. The other is what is there instead.
    #[error("it must hold the key {asked}; it holds {found}")]
    KeyMissing {
        /// Asked for.
        asked: String,
        /// There.
        found: String,
    },
    /// The key ids are those asked for with their bytes in Microsoft's order.
    #[error("it holds the key {found}, which is {asked} with its bytes in GUID order")]
    ByteOrder {
        /// Asked for.
        asked: String,
        /// There.
        found: String,
    },
    /// A key without a value.
    #[error("line {line}: the key {kid} has no value")]
    NoValue {
        /// Key id.
        kid: String,
        /// Line.
        line: u32,
    },
    /// Anything else against the specification.
    #[error("{0}")]
    Rule(String),
}

/// A key id with its first three groups turned around.
fn swapped(kid: Kid) -> Kid {
    drmwatch_media::signal::from_guid(kid.0)
}

/// The first thing that is wrong with an answer, the keys first.
pub fn check(ask: &Ask, answer: &Document) -> Result<(), Violation> {
    let rule = |text: String| Err(Violation::Rule(text));
    let list = |kids: &mut dyn Iterator<Item = Kid>| {
        let texts: Vec<String> = kids.take(8).map(|k| uuid(&k.0)).collect();
        match texts.is_empty() {
            true => "none".to_owned(),
            false => texts.join(", "),
        }
    };
    for asked in &ask.keys {
        let Some(key) = answer.keys.iter().find(|k| k.kid == asked.kid) else {
            let text = uuid(&asked.kid.0);
            return Err(match answer.keys.iter().find(|k| k.kid == swapped(asked.kid)) {
                Some(other) => Violation::ByteOrder {
                    asked: text,
                    found: uuid(&other.kid.0),
                },
                None => Violation::KeyMissing {
                    asked: text,
                    found: list(&mut answer.keys.iter().map(|k| k.kid)),
                },
            });
        };
        let kid = uuid(&key.kid.0);
        match (&key.value, &ask.recipient) {
            (KeyValue::Absent, _) => return Err(Violation::NoValue { kid, line: key.line }),
            (KeyValue::Plain(_), Some(_)) => {
                return rule(format!(
                    "line {}: the key {kid} is in the clear, though a certificate to encrypt it to was given",
                    key.line
                ));
            }
            (KeyValue::Encrypted(value), _) => {
                // 16 bytes of vector, and one key with padding: two blocks.
                if !(value.length == 48 || value.length == 32) {
                    return rule(format!(
                        "line {}: the encrypted key {kid} must be a vector and one or two blocks; it has {} bytes",
                        key.line, value.length
                    ));
                }
                if value.mac.is_some_and(|mac| mac != 64) {
                    return rule(format!(
                        "line {}: the ValueMAC of {kid} must be 64 bytes (HMAC-SHA512)",
                        key.line
                    ));
                }
            }
            (KeyValue::Plain(_), None) => {}
        }
        if ask.version != Version::Speke1 && key.scheme.as_deref().is_some_and(|s| s != ask.scheme) {
            return rule(format!(
                "line {}: the key {kid} must keep the scheme {}; it has {}",
                key.line,
                ask.scheme,
                key.scheme.as_deref().unwrap_or_default()
            ));
        }
    }
    let mut seen = answer.keys.iter().map(|k| k.kid).collect::<Vec<_>>();
    seen.sort_unstable();
    if seen.windows(2).any(|w| w[0] == w[1]) {
        return rule("a key id is there twice".into());
    }
    if let Some(name) = answer.repeated.first() {
        return rule(format!("{name} is there more than once"));
    }
    if ask.recipient.is_some() && answer.document_key.is_some_and(|length| length != 256) {
        return rule(
            "the DocumentKey must be encrypted to the RSA key of 2048 bits that was given: 256 bytes".into(),
        );
    }
    if ask.recipient.is_some() && answer.document_key.is_none() {
        return rule("DeliveryData must hold a DocumentKey".into());
    }
    if answer
        .content_id
        .as_deref()
        .is_some_and(|id| id != ask.content_id)
    {
        return rule("the content id is another one than was asked for".into());
    }
    systems(ask, answer)?;
    if ask.version != Version::Speke1 {
        for asked in &ask.keys {
            let rules: Vec<_> = answer.rules.iter().filter(|r| r.kid == asked.kid).collect();
            if rules.is_empty() {
                return rule(format!(
                    "the key {} has no ContentKeyUsageRule",
                    uuid(&asked.kid.0)
                ));
            }
            if !rules.iter().any(|r| r.track.as_deref() == Some(&asked.track)) {
                return rule(format!(
                    "the usage rule of {} must be for {}",
                    uuid(&asked.kid.0),
                    asked.track
                ));
            }
        }
        let all = answer.rules.iter().any(|r| r.track.as_deref() == Some("ALL"));
        if all && answer.rules.len() > 1 {
            return rule("intendedTrackType ALL must be alone".into());
        }
    }
    Ok(())
}

fn systems(ask: &Ask, answer: &Document) -> Result<(), Violation> {
    for asked in &ask.keys {
        for system in &ask.systems {
            let name = system.as_str();
            let kid = uuid(&asked.kid.0);
            let found = answer
                .systems
                .iter()
                .find(|s| s.system == system.id() && s.kid == asked.kid);
            let found = found.ok_or_else(|| {
                Violation::Rule(format!("there is no DRMSystem of {name} for the key {kid}"))
            })?;
            let broken =
                |what: &str| Violation::Rule(format!("line {}: {name}, key {kid}: {what}", found.line));
            if *system == System::FairPlay {
                if ask.scheme == "cenc" && ask.version != Version::Speke1 {
                    return Err(broken("FairPlay needs cbcs; cenc must be refused"));
                }
                if found.hls.is_empty() && found.key_uri.is_none() {
                    return Err(broken("there is neither HLSSignalingData nor URIExtXKey"));
                }
                continue;
            }
            let Some(pssh) = &found.pssh else {
                return Err(broken("there is no PSSH"));
            };
            let boxes = pssh_boxes(pssh).map_err(|e| broken(&format!("PSSH: {e}")))?;
            if boxes.len() != 1 || boxes[0].system != system.id() {
                return Err(broken("PSSH must be one box of the same system"));
            }
            let kids = init_data::cenc(pssh).unwrap_or_default();
            if !kids.is_empty() && !kids.contains(&asked.kid) {
                let found = uuid(&kids[0].0);
                return Err(match kids.contains(&swapped(asked.kid)) {
                    true => Violation::ByteOrder { asked: kid, found },
                    false => broken(&format!("PSSH is for the key {found}")),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cpix::AskedKey;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn ask(version: Version) -> Ask {
        Ask {
            version,
            content_id: "abc&<123".into(),
            keys: vec![AskedKey {
                kid: Kid::parse("98ee5596-cd3e-a20d-163a-e382420c6eff").unwrap(),
                track: "ALL".into(),
            }],
            systems: vec![System::Widevine],
            scheme: "cbcs".into(),
            recipient: None,
        }
    }

    /// A key server of a few lines: it fills in what a request asks.
    fn filled(request: &str, kid: &str) -> String {
        let kid = Kid::parse(kid).unwrap();
        let mut pssh = b"\0\0\0\x32pssh\0\0\0\0".to_vec();
        pssh.extend(System::Widevine.id());
        pssh.extend(b"\0\0\0\x12\x12\x10");
        pssh.extend(kid.0);
        request
            .replace(
                "></cpix:ContentKey>",
                "><cpix:Data><pskc:Secret><pskc:PlainValue>AAECAwQFBgcICQoLDA0ODw==</pskc:PlainValue></pskc:Secret></cpix:Data></cpix:ContentKey>",
            )
            .replace("<cpix:PSSH>", &format!("<cpix:PSSH>{}", STANDARD.encode(pssh)))
    }

    #[test]
    fn a_right_answer_passes_in_every_version() {
        for version in [Version::Speke1, Version::Speke20, Version::Speke21] {
            let ask = ask(version);
            let answer = filled(&ask.request(), "98ee5596cd3ea20d163ae382420c6eff");
            let document = Document::parse(&answer, b"salt").unwrap();
            assert_eq!(check(&ask, &document), Ok(()), "{version:?}\n{answer}");
            assert_eq!(document.content_id.as_deref(), Some("abc&<123"));
            assert!(!format!("{document:?}").contains("0, 1, 2, 3, 4, 5"));
        }
    }

    #[test]
    fn a_wrong_answer_is_named() {
        let ask = ask(Version::Speke20);
        let says = |text: &str| {
            check(&ask, &Document::parse(text, b"").unwrap())
                .unwrap_err()
                .to_string()
        };
        let right = filled(&ask.request(), "98ee5596cd3ea20d163ae382420c6eff");
        assert!(says(&ask.request()).ends_with("has no value"));
        let other = right.replace(
            "98ee5596-cd3e-a20d-163a-e382420c6eff",
            "00ee5596-cd3e-a20d-163a-e382420c6eff",
        );
        assert!(says(&other).contains("it holds 00ee5596"));
        let guid = right.replace(
            "98ee5596-cd3e-a20d-163a-e382420c6eff",
            "9655ee98-3ecd-0da2-163a-e382420c6eff",
        );
        assert!(says(&guid).contains("in GUID order"), "{}", says(&guid));
        assert!(says(&filled(&ask.request(), "9655ee983ecd0da2163ae382420c6eff")).contains("in GUID order"));
        assert!(says(&right.replace("\"cbcs\"", "\"cenc\"")).contains("must keep the scheme"));
        assert!(
            says(&right.replace("intendedTrackType=\"ALL\"", "intendedTrackType=\"SD\""))
                .contains("must be for ALL")
        );
        let short = right.replace("AAECAwQFBgcICQoLDA0ODw==", "AAEC");
        let error = Document::parse(&short, b"").unwrap_err();
        assert_eq!(error.to_string(), "line 2: PlainValue must be 16 bytes in Base64");
        assert!(matches!(
            Document::parse("<html/>", b""),
            Err(super::super::CpixError::Root(_))
        ));
    }
}
