//! Challenges: looked at and sent again as they are. Changing a byte inside would break their signature.

use super::{base64, decode, document, find, text};
use drmwatch_media::{Kid, signal::PlayReadyHeader};
use jiff::Timestamp;
use thiserror::Error;

/// A challenge without a signature and without an identity, for key id 00112233-4455-6677-8899-aabbccddeeff.
/// A server that grants it grants to anybody.
pub const MALFORMED: &str = r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AcquireLicense xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><challenge><Challenge xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols/messages"><LA xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols" Id="SignedData" xml:space="preserve"><Version>1</Version><ContentHeader><WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" version="4.0.0.0"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO><KID>MyIRAFVEd2aImaq7zN3u/w==</KID></DATA></WRMHEADER></ContentHeader></LA></Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>"#;

/// What a challenge says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Challenge {
    /// Key ids that are asked for, in network order.
    pub kids: Vec<Kid>,
    /// LicenseNonce, which a fresh answer is bound to.
    pub nonce: Option<Vec<u8>>,
    /// The client's clock when it was made.
    pub time: Option<Timestamp>,
    /// CLIENTVERSION.
    pub client_version: Option<String>,
    /// Whether it carries CustomData: a token in it can't be renewed.
    pub custom_data: bool,
    /// Whether it is signed.
    pub signed: bool,
}

/// Why bytes are no challenge.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum ChallengeError {
    /// Not XML.
    #[error("it is no XML: {0}")]
    Xml(String),
    /// Another document.
    #[error("it must hold an LA element (a licence challenge)")]
    NoChallenge,
    /// Its header can't be read.
    #[error("its WRMHEADER: {0}")]
    Header(String),
}

/// A recording as Edge's EME wraps it (`PlayReadyKeyMessage`, UTF-16): the challenge in it and its headers; else
/// the bytes as they are.
pub fn unwrap_key_message(bytes: &[u8]) -> (Vec<u8>, Vec<(String, String)>) {
    let unwrapped = || {
        let whole = decode(bytes)?;
        let tree = document(&whole).ok()?;
        let message = find(tree.root_element(), "PlayReadyKeyMessage")?;
        let challenge = base64(text(message, "Challenge")?)?;
        let headers = message
            .descendants()
            .filter(|n| n.tag_name().name() == "HttpHeader")
            .filter_map(|h| Some((text(h, "name")?.to_owned(), text(h, "value")?.to_owned())))
            .take(16)
            .collect();
        Some((challenge, headers))
    };
    unwrapped().unwrap_or_else(|| (bytes.to_vec(), Vec::new()))
}

impl Challenge {
    /// Looks at a challenge: the SOAP document.
    pub fn parse(bytes: &[u8]) -> Result<Challenge, ChallengeError> {
        let whole = decode(bytes).ok_or_else(|| ChallengeError::Xml("not UTF-8".into()))?;
        let tree = document(&whole).map_err(|e| ChallengeError::Xml(e.to_string()))?;
        let la = find(tree.root_element(), "LA").ok_or(ChallengeError::NoChallenge)?;
        let mut challenge = Challenge {
            nonce: text(la, "LicenseNonce").and_then(base64),
            time: text(la, "ClientTime")
                .and_then(|t| t.parse().ok())
                .and_then(|t| Timestamp::from_second(t).ok()),
            client_version: text(la, "CLIENTVERSION").map(|v| v.chars().take(32).collect()),
            custom_data: find(la, "CustomData").is_some(),
            signed: find(tree.root_element(), "SignatureValue").is_some(),
            ..Challenge::default()
        };
        if let Some(header) = find(la, "WRMHEADER") {
            let own = whole.get(header.range()).unwrap_or_default();
            challenge.kids = PlayReadyHeader::parse_text(own)
                .map_err(|e| ChallengeError::Header(e.to_string()))?
                .kids;
        }
        Ok(challenge)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ::base64::{Engine, engine::general_purpose::STANDARD};

    #[test]
    fn the_challenge_that_must_be_refused_asks_for_its_key() {
        let challenge = Challenge::parse(MALFORMED.as_bytes()).unwrap();
        let kid = Kid::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!((challenge.kids, challenge.signed), (vec![kid], false));
    }

    #[test]
    fn a_key_message_of_a_browser_is_unwrapped() {
        let inner = STANDARD.encode(MALFORMED);
        let message = format!(
            "<PlayReadyKeyMessage type=\"LicenseAcquisition\"><LicenseAcquisition Version=\"1\"><Challenge encoding=\"base64encoded\">{inner}</Challenge><HttpHeaders><HttpHeader><name>Content-Type</name><value>text/xml; charset=utf-8</value></HttpHeader></HttpHeaders></LicenseAcquisition></PlayReadyKeyMessage>"
        );
        let wide: Vec<u8> = message.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let (challenge, headers) = unwrap_key_message(&wide);
        assert_eq!(challenge, MALFORMED.as_bytes());
        assert_eq!(
            headers,
            [("Content-Type".to_owned(), "text/xml; charset=utf-8".to_owned())]
        );
        assert_eq!(unwrap_key_message(b"no").0, b"no");
    }

    #[test]
    fn another_document_is_none() {
        assert_eq!(Challenge::parse(b"<a/>"), Err(ChallengeError::NoChallenge));
        assert!(matches!(Challenge::parse(b"\xff"), Err(ChallengeError::Xml(_))));
        assert!(matches!(
            Challenge::parse(b"<!DOCTYPE a [<!ENTITY b 'c'>]><LA>&b;</LA>"),
            Err(ChallengeError::Xml(_))
        ));
    }
}
