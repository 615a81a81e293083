//! What manifests and init segments carry for one DRM system each: system ids, PlayReady objects, Widevine
//! initialisation data.

use crate::{Kid, xml};
use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

/// System ids (DASH-IF, "Content Protection" registry), in network order.
pub mod system {
    /// Widevine.
    pub const WIDEVINE: [u8; 16] = *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";
    /// PlayReady.
    pub const PLAYREADY: [u8; 16] = *b"\x9a\x04\xf0\x79\x98\x40\x42\x86\xab\x92\xe6\x5b\xe0\x88\x5f\x95";
    /// FairPlay Streaming.
    pub const FAIRPLAY: [u8; 16] = *b"\x94\xce\x86\xfb\x07\xff\x4f\x43\xad\xb8\x93\xd2\xfa\x96\x8c\xa2";
    /// W3C common pssh box: key ids only, used by Clear Key.
    pub const COMMON: [u8; 16] = *b"\x10\x77\xef\xec\xc0\xb2\x4d\x02\xac\xe3\x3c\x1e\x52\xe2\xfb\x4b";
    /// Clear Key by DASH-IF.
    pub const CLEAR_KEY: [u8; 16] = *b"\xe2\x71\x9d\x58\xa9\x85\xb3\xc9\x78\x1a\xb0\x30\xaf\x78\xd3\x0e";
}

/// KEYFORMAT of FairPlay Streaming in HLS.
pub const FAIRPLAY_FORMAT: &str = "com.apple.streamingkeydelivery";
/// KEYFORMAT of PlayReady in HLS.
pub const PLAYREADY_FORMAT: &str = "com.microsoft.playready";

/// What is wrong with a system's data.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum SignalError {
    /// A PlayReady object is cut off or counts wrongly.
    #[error("byte {0}: the PlayReady object must not end here")]
    Short(usize),
    /// The header is not UTF-16LE XML.
    #[error("the WRMHEADER must be XML in UTF-16LE: {0}")]
    Header(String),
    /// There is no header record.
    #[error("the PlayReady object must have a record of type 1")]
    NoHeader,
    /// A key id is not 16 bytes of Base64.
    #[error("the KID {0:?} of the WRMHEADER must be 16 bytes in Base64")]
    Kid(String),
    /// Not a protocol buffer.
    #[error("byte {0}: not a WidevinePsshData message")]
    Widevine(usize),
}

/// A PlayReady header (WRMHEADER, "PlayReady Header Specification").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlayReadyHeader {
    /// `version`: 4.0.0.0 to 4.3.0.0.
    pub version: String,
    /// Key ids, in network order: the header has them as little-endian GUIDs.
    pub kids: Vec<Kid>,
    /// ALGID of each key: AESCTR or AESCBC; empty where it is not given.
    pub algorithms: Vec<String>,
    /// LA_URL.
    pub license_url: Option<String>,
}

/// A GUID as Microsoft stores it, in network order: the first three fields are little-endian.
pub fn from_guid(mut bytes: [u8; 16]) -> Kid {
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    Kid(bytes)
}

impl PlayReadyHeader {
    /// Parses a PlayReady object (`mspr:pro`, the data of a `pssh`, a Smooth ProtectionHeader).
    pub fn from_object(bytes: &[u8]) -> Result<PlayReadyHeader, SignalError> {
        let short = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let length = bytes
            .get(..4)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
        if length.is_none_or(|length| length > bytes.len()) {
            return Err(SignalError::Short(bytes.len()));
        }
        let mut at = 6;
        for _ in 0..short(4).ok_or(SignalError::Short(4))? {
            let kind = short(at).ok_or(SignalError::Short(at))?;
            let size = usize::from(short(at + 2).ok_or(SignalError::Short(at))?);
            let record = bytes.get(at + 4..at + 4 + size).ok_or(SignalError::Short(at))?;
            if kind == 1 {
                return PlayReadyHeader::parse(record);
            }
            at += 4 + size;
        }
        Err(SignalError::NoHeader)
    }

    /// Parses the header itself, UTF-16LE.
    pub fn parse(bytes: &[u8]) -> Result<PlayReadyHeader, SignalError> {
        let broken = |e: String| SignalError::Header(e);
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .collect();
        let text = String::from_utf16(&units).map_err(|e| broken(e.to_string()))?;
        PlayReadyHeader::parse_text(text.trim_start_matches('\u{feff}').trim_end_matches('\0'))
    }

    /// Parses the header as text, as challenges hold it.
    pub fn parse_text(text: &str) -> Result<PlayReadyHeader, SignalError> {
        let broken = |e: String| SignalError::Header(e);
        let tree = xml::parse(text).map_err(|e| broken(e.to_string()))?;
        let root = tree.root();
        if root.name() != "WRMHEADER" {
            return Err(broken("the root element is another".into()));
        }
        let data = root
            .first("DATA")
            .ok_or_else(|| broken("there is no DATA".into()))?;
        let mut header = PlayReadyHeader {
            version: root.attribute("version").unwrap_or_default().to_owned(),
            license_url: data.first("LA_URL").map(|u| u.text().to_owned()),
            ..PlayReadyHeader::default()
        };
        let info = data.first("PROTECTINFO");
        let algorithm = info.and_then(|i| i.first("ALGID")).map(|a| a.text().to_owned());
        // 4.0 has DATA/KID; 4.1 has PROTECTINFO/KID; 4.2 and 4.3 have PROTECTINFO/KIDS/KID.
        let plain = data
            .first("KID")
            .map(|k| (k.text(), algorithm.clone().unwrap_or_default()));
        let newer = info
            .into_iter()
            .flat_map(|i| i.all("KID").chain(i.all("KIDS").flat_map(|k| k.all("KID"))));
        let newer = newer.filter_map(|k| {
            Some((
                k.attribute("VALUE")?,
                k.attribute("ALGID").unwrap_or_default().to_owned(),
            ))
        });
        for (text, algorithm) in plain.into_iter().chain(newer) {
            let bytes = STANDARD
                .decode(text.trim())
                .ok()
                .and_then(|b| <[u8; 16]>::try_from(b.as_slice()).ok());
            let bytes = bytes.ok_or_else(|| SignalError::Kid(text.chars().take(40).collect()))?;
            header.kids.push(from_guid(bytes));
            header.algorithms.push(algorithm);
        }
        Ok(header)
    }
}

/// Key ids in Widevine initialisation data (WidevinePsshData, a protocol buffer: field 2).
pub fn widevine_kids(bytes: &[u8]) -> Result<Vec<Kid>, SignalError> {
    let (mut kids, mut at) = (Vec::new(), 0);
    let number = |at: &mut usize| {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *bytes.get(*at).ok_or(SignalError::Widevine(*at))?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(SignalError::Widevine(*at))
    };
    while at < bytes.len() {
        let start = at;
        let tag = number(&mut at)?;
        match tag & 7 {
            0 => {
                number(&mut at)?;
            }
            2 => {
                let length = usize::try_from(number(&mut at)?).unwrap_or(usize::MAX);
                let end = at.checked_add(length).filter(|e| *e <= bytes.len());
                let value = &bytes[at..end.ok_or(SignalError::Widevine(start))?];
                // Older packagers wrote key ids of other lengths; those name no key of Common Encryption.
                if let (2, Ok(kid)) = (tag >> 3, <[u8; 16]>::try_from(value)) {
                    kids.push(Kid(kid));
                }
                at += length;
            }
            1 => at += 8,
            5 => at += 4,
            _ => return Err(SignalError::Widevine(start)),
        }
    }
    match at == bytes.len() {
        true => Ok(kids),
        false => Err(SignalError::Widevine(bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PlayReady object around a header.
    fn object(xml: &str) -> Vec<u8> {
        let header: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut out = ((header.len() + 10) as u32).to_le_bytes().to_vec();
        out.extend([1, 0, 1, 0]);
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header);
        out
    }

    #[test]
    fn every_version_of_the_header_gives_its_key_ids_in_network_order() {
        // The key id of Microsoft's own test content.
        let (base64, kid) = ("AmfjCTOPbEOl3WD/5mcecA==", "09e367028f33436ca5dd60ffe6671e70");
        for xml in [
            format!(
                "<WRMHEADER version=\"4.0.0.0\"><DATA><PROTECTINFO><ALGID>AESCTR</ALGID></PROTECTINFO><KID>{base64}</KID><LA_URL>http://x/?a=1&amp;b=2</LA_URL></DATA></WRMHEADER>"
            ),
            format!(
                "<WRMHEADER version=\"4.1.0.0\"><DATA><PROTECTINFO><KID ALGID=\"AESCTR\" VALUE=\"{base64}\"/></PROTECTINFO></DATA></WRMHEADER>"
            ),
            format!(
                "<WRMHEADER version=\"4.3.0.0\"><DATA><PROTECTINFO><KIDS><KID ALGID=\"AESCTR\" VALUE=\"{base64}\"/></KIDS></PROTECTINFO></DATA></WRMHEADER>"
            ),
        ] {
            let header = PlayReadyHeader::from_object(&object(&xml)).unwrap();
            assert_eq!(
                (header.kids[0].to_string().as_str(), header.algorithms[0].as_str()),
                (kid, "AESCTR")
            );
        }
        assert_eq!(PlayReadyHeader::from_object(&[0; 6]), Err(SignalError::NoHeader));
        assert_eq!(
            PlayReadyHeader::from_object(&[9, 0, 0, 0, 1]),
            Err(SignalError::Short(5))
        );
    }

    #[test]
    fn widevine_data_gives_its_key_ids() {
        let mut data = vec![0x08, 0x01, 0x12, 16];
        data.extend([7; 16]);
        data.extend([0x48, 0xe3, 0xdc, 0x95, 0x9b, 0x06]);
        assert_eq!(widevine_kids(&data), Ok(vec![Kid([7; 16])]));
        assert_eq!(widevine_kids(&data[..10]), Err(SignalError::Widevine(2)));
    }
}
