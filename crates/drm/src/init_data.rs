//! Initialisation data of Encrypted Media Extensions ("cenc", "keyids" and "webm" Initialization Data Formats, W3C).

use drmwatch_media::{
    Kid,
    bmff::pssh_boxes,
    signal::{self, system},
};
use serde::Deserialize;
use thiserror::Error;

/// Most key ids of one piece of data.
const MAX_KIDS: usize = 256;

/// What is wrong with initialisation data.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum InitDataError {
    /// `cenc` must be whole pssh boxes.
    #[error("cenc: it must be pssh boxes and nothing else: {0}")]
    Boxes(String),
    /// `keyids` must be a JSON object.
    #[error("keyids: it must be a JSON object with kids: {0}")]
    Json(String),
    /// A key id.
    #[error("keyids: kids[{0}] must be base64url of 16 bytes")]
    Kid(usize),
    /// Too many.
    #[error("there are too many key ids")]
    TooMany,
    /// `webm` must be one key id.
    #[error("webm: it must be a key id of 1 to 512 bytes")]
    WebM,
}

/// Key ids of `cenc` data: those of its common box, or of what Widevine and PlayReady boxes hold.
pub fn cenc(bytes: &[u8]) -> Result<Vec<Kid>, InitDataError> {
    let boxes = pssh_boxes(bytes).map_err(|e| InitDataError::Boxes(e.to_string()))?;
    let mut kids = Vec::new();
    for found in boxes {
        kids.extend(found.kids.iter().copied());
        match found.system {
            system::WIDEVINE => kids.extend(signal::widevine_kids(&found.data).unwrap_or_default()),
            system::PLAYREADY => kids.extend(
                signal::PlayReadyHeader::from_object(&found.data)
                    .map(|h| h.kids)
                    .unwrap_or_default(),
            ),
            _ => {}
        }
    }
    kids.sort_unstable();
    kids.dedup();
    match kids.len() > MAX_KIDS {
        true => Err(InitDataError::TooMany),
        false => Ok(kids),
    }
}

/// Key ids of `keyids` data.
pub fn keyids(bytes: &[u8]) -> Result<Vec<Kid>, InitDataError> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    #[derive(Deserialize)]
    struct Document {
        kids: Vec<String>,
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|e| InitDataError::Json(e.to_string()))?;
    if document.kids.len() > MAX_KIDS {
        return Err(InitDataError::TooMany);
    }
    let decode = |(n, text): (usize, &String)| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let kid = bytes.and_then(|b| <[u8; 16]>::try_from(b).ok());
        kid.map(Kid).ok_or(InitDataError::Kid(n))
    };
    document.kids.iter().enumerate().map(decode).collect()
}

/// The key id that `webm` data is, of whatever length.
pub fn webm(bytes: &[u8]) -> Result<&[u8], InitDataError> {
    match (1..=512).contains(&bytes.len()) {
        true => Ok(bytes),
        false => Err(InitDataError::WebM),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    /// The example of the "cenc" format's specification: two key ids, as ASCII.
    #[test]
    fn the_specifications_common_box_is_read() {
        let mut bytes = b"\0\0\0\x44pssh\x01\0\0\0".to_vec();
        bytes.extend(system::COMMON);
        bytes.extend(b"\0\0\0\x02");
        bytes.extend(b"0123456789012345ABCDEFGHIJKLMNOP\0\0\0\0");
        assert_eq!(
            cenc(&bytes).unwrap(),
            [Kid(*b"0123456789012345"), Kid(*b"ABCDEFGHIJKLMNOP")]
        );
    }

    /// shaka-packager's boxes for the same key.
    #[test]
    fn a_packagers_boxes_name_their_key() {
        let kid = Kid::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        for text in [
            "AAAANHBzc2gBAAAAEHfv7MCyTQKs4zweUuL7SwAAAAEAESIzRFVmd4iZqrvM3e7/AAAAAA==",
            "AAAAOHBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAABgSEAARIjNEVWZ3iJmqu8zd7v9I88aJmwY=",
            "AAAAMnBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAABISEAARIjNEVWZ3iJmqu8zd7v8=",
        ] {
            assert_eq!(cenc(&STANDARD.decode(text).unwrap()).unwrap(), [kid], "{text}");
        }
        assert!(
            cenc(b"\0\0\0\x10free12345678").is_ok_and(|k| k.is_empty())
                || cenc(b"\0\0\0\x10free12345678").is_err()
        );
    }

    /// The examples of the "keyids" and "webm" formats' specifications.
    #[test]
    fn json_and_bare_ids_are_read() {
        let kids = keyids(br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A"]}"#).unwrap();
        assert_eq!(kids[0].to_string(), "2f05477fc24bb4faefd86517156daffc");
        assert_eq!(keyids(br#"{"kids":["AA"]}"#), Err(InitDataError::Kid(0)));
        assert!(matches!(keyids(b"[]"), Err(InitDataError::Json(_))));
        assert_eq!(
            (webm(b"x").unwrap(), webm(b"")),
            (&b"x"[..], Err(InitDataError::WebM))
        );
    }
}
