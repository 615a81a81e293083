//! Licences: whose keys, under what policy.

use super::{Kind, MessageError, SignedMessage, kid};
use crate::protobuf::Message;
use drmwatch_media::Kid;
use jiff::Timestamp;

/// A licence, without its keys' bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct License {
    /// request_id, as the request had it.
    pub request_id: Option<Vec<u8>>,
    /// Policy.
    pub policy: Policy,
    /// Keys.
    pub keys: Vec<Key>,
    /// license_start_time: the request's own time.
    pub start: Option<Timestamp>,
    /// Four characters of the protection scheme.
    pub scheme: Option<[u8; 4]>,
    /// Length of the signature, bytes.
    pub signature_length: usize,
}

/// Durations in seconds; 0 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// can_play.
    pub can_play: bool,
    /// can_persist.
    pub can_persist: bool,
    /// can_renew.
    pub can_renew: bool,
    /// rental_duration_seconds.
    pub rental: u64,
    /// playback_duration_seconds.
    pub playback: u64,
    /// license_duration_seconds.
    pub license: u64,
    /// renewal_delay_seconds.
    pub renewal_delay: u64,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// 1: signs renewals.
    Signing,
    /// 2: content.
    Content,
    /// 3: control block.
    KeyControl,
    /// 4: operator session.
    OperatorSession,
    /// 5: entitlement.
    Entitlement,
    /// Any other.
    Other(u64),
}

/// Least robustness that a client must have (`SecurityLevel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum SecurityLevel {
    SwSecureCrypto = 1,
    SwSecureDecode = 2,
    HwSecureCrypto = 3,
    HwSecureDecode = 4,
    HwSecureAll = 5,
}

/// Least HDCP version of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Hdcp {
    None,
    V1,
    V2,
    V21,
    V22,
    V23,
    /// No digital output at all.
    NoDigitalOutput,
}

/// One key of a licence. Its bytes are encrypted for the client, and are not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Key id; signing keys have none.
    pub kid: Option<Kid>,
    /// What it is for.
    pub kind: KeyKind,
    /// Least robustness.
    pub level: Option<SecurityLevel>,
    /// Least HDCP version.
    pub hdcp: Option<Hdcp>,
    /// AUDIO, SD, HD, …, where the server tells.
    pub label: Option<String>,
}

impl License {
    /// Reads a message of type LICENSE.
    pub fn parse(bytes: &[u8]) -> Result<License, MessageError> {
        let message = SignedMessage::parse(bytes)?;
        if message.kind != Kind::License {
            return Err(MessageError::Wrong {
                field: "type",
                must: "2, a licence",
                offset: 0,
            });
        }
        let signature = message
            .signature
            .ok_or(MessageError::Missing { field: "signature" })?;
        let body = Message::parse(message.body.0, message.body.1)?;
        let id = body.message(1)?;
        let policy = body
            .message(2)?
            .ok_or(MessageError::Missing { field: "policy" })?;
        let flag = |n: u32| policy.number(n).unwrap_or(0) != 0;
        let seconds = |n: u32| policy.number(n).unwrap_or(0);
        let mut keys = Vec::new();
        for (bytes, offset) in body.all(3) {
            keys.push(key(&Message::parse(bytes, offset)?)?);
        }
        let start = body.number(4).and_then(|t| i64::try_from(t).ok());
        Ok(License {
            request_id: id.and_then(|id| id.bytes(1).map(<[u8]>::to_vec)),
            policy: Policy {
                can_play: flag(1),
                can_persist: flag(2),
                can_renew: flag(3),
                rental: seconds(4),
                playback: seconds(5),
                license: seconds(6),
                renewal_delay: seconds(9),
            },
            keys,
            start: start.and_then(|t| Timestamp::from_second(t).ok()),
            scheme: body
                .number(7)
                .and_then(|n| u32::try_from(n).ok())
                .map(u32::to_be_bytes),
            signature_length: signature.len(),
        })
    }

    /// Key ids of content and entitlement keys.
    pub fn kids(&self) -> Vec<Kid> {
        let wanted = |k: &&Key| matches!(k.kind, KeyKind::Content | KeyKind::Entitlement);
        self.keys.iter().filter(wanted).filter_map(|k| k.kid).collect()
    }
}

fn key(container: &Message<'_>) -> Result<Key, MessageError> {
    let kind = match container.number(4).unwrap_or(0) {
        1 => KeyKind::Signing,
        2 => KeyKind::Content,
        3 => KeyKind::KeyControl,
        4 => KeyKind::OperatorSession,
        5 => KeyKind::Entitlement,
        other => KeyKind::Other(other),
    };
    let id = container.all(1).next_back();
    let found = id.and_then(|(bytes, _)| kid(bytes));
    if let (KeyKind::Content | KeyKind::Entitlement, None) = (kind, found) {
        let offset = id.map_or(0, |(_, offset)| offset);
        return Err(MessageError::Wrong {
            field: "key.id",
            must: "16 bytes",
            offset,
        });
    }
    let level = match container.number(5) {
        Some(1) => Some(SecurityLevel::SwSecureCrypto),
        Some(2) => Some(SecurityLevel::SwSecureDecode),
        Some(3) => Some(SecurityLevel::HwSecureCrypto),
        Some(4) => Some(SecurityLevel::HwSecureDecode),
        Some(5) => Some(SecurityLevel::HwSecureAll),
        _ => None,
    };
    let protection = container.message(6)?;
    let hdcp = protection.and_then(|p| p.number(1)).and_then(|v| {
        Some(match v {
            0 => Hdcp::None,
            1 => Hdcp::V1,
            2 => Hdcp::V2,
            3 => Hdcp::V21,
            4 => Hdcp::V22,
            5 => Hdcp::V23,
            255 => Hdcp::NoDigitalOutput,
            _ => return None,
        })
    });
    let label = container.bytes(12).map(String::from_utf8_lossy);
    Ok(Key {
        kid: found,
        kind,
        level,
        hdcp,
        label: label.map(|l| l.chars().take(32).collect()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{protobuf::Writer, widevine::ErrorCode};

    fn license(keys: &[Vec<u8>]) -> Vec<u8> {
        let id = Writer::default().bytes(1, b"request").number(4, 1).finish();
        let policy = Writer::default().number(1, 1).number(6, 3600).finish();
        let mut body = Writer::default().bytes(1, &id).bytes(2, &policy);
        for key in keys {
            body = body.bytes(3, key);
        }
        let body = body
            .number(4, 1_700_000_000)
            .number(7, u64::from(u32::from_be_bytes(*b"cbcs")))
            .finish();
        Writer::default()
            .number(1, 2)
            .bytes(2, &body)
            .bytes(3, &[7; 32])
            .finish()
    }

    fn content(id: &[u8]) -> Vec<u8> {
        let hdcp = Writer::default().number(1, 4).finish();
        let key = Writer::default()
            .bytes(1, id)
            .bytes(3, &[1; 32])
            .number(4, 2)
            .number(5, 5);
        key.bytes(6, &hdcp).bytes(12, b"HD").finish()
    }

    #[test]
    fn policy_and_keys_are_read_and_key_bytes_are_not_kept() {
        let bytes = license(&[
            content(&[0x11; 16]),
            Writer::default().number(4, 1).bytes(3, &[2; 64]).finish(),
        ]);
        let found = License::parse(&bytes).unwrap();
        assert_eq!(found.kids(), [Kid([0x11; 16])]);
        assert_eq!(found.request_id.as_deref(), Some(&b"request"[..]));
        assert_eq!((found.policy.can_play, found.policy.license), (true, 3600));
        assert_eq!(found.scheme, Some(*b"cbcs"));
        let key = &found.keys[0];
        assert_eq!(
            (key.level, key.hdcp),
            (Some(SecurityLevel::HwSecureAll), Some(Hdcp::V22))
        );
        assert_eq!(key.label.as_deref(), Some("HD"));
        assert_eq!(found.keys[1].kind, KeyKind::Signing);
        assert!(!format!("{found:?}").contains("1, 1, 1, 1"));
    }

    #[test]
    fn a_content_key_without_an_id_names_its_place() {
        let error = License::parse(&license(&[content(&[0x11; 15])])).unwrap_err();
        assert!(
            matches!(error, MessageError::Wrong { field: "key.id", offset, .. } if offset > 0),
            "{error}"
        );
    }

    /// The vector of a revoked device.
    #[test]
    fn an_error_has_its_name() {
        let message = SignedMessage::parse(b"\x08\x03\x12\x02\x08\x02").unwrap();
        assert_eq!(
            message.error().unwrap(),
            Some(ErrorCode::RevokedDeviceCertificate)
        );
        assert!(License::parse(b"\x08\x03\x12\x02\x08\x02").is_err());
    }
}
