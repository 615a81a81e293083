//! Requests: that for a service certificate, one that must be refused, and recorded ones, which are looked at
//! and sent again as they are.

use super::{Kind, MessageError, SignedMessage, kid};
use crate::protobuf::Message;
use drmwatch_media::{Kid, signal};
use jiff::Timestamp;

/// A request for the service certificate: a message of type 4 and nothing else.
pub const SERVICE_CERTIFICATE_REQUEST: [u8; 2] = [0x08, 0x04];

/// A licence request without an identity and without a signature, for key id
/// 00112233-4455-6677-8899-aabbccddeeff. A server that grants it grants to anybody.
pub const MALFORMED: &[u8] = b"\x08\x01\x12\x36\x12\x2a\x0a\x28\x0a\x12\x12\x10\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x10\x01\x1a\x10rrrrrrrrrrrrrrrr\x18\x01\x20\x80\xe2\xcf\xaa\x06\x30\x15";

/// What a licence request says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Challenge {
    /// Key ids that are asked for.
    pub kids: Vec<Kid>,
    /// request_id.
    pub request_id: Option<Vec<u8>>,
    /// When it was made: recordings grow old.
    pub time: Option<Timestamp>,
    /// Serial number of the service certificate that the identity is encrypted to. A server whose certificate was
    /// rotated can't read it any more: the recording is stale, and nothing is down.
    pub certificate_serial: Option<Vec<u8>>,
    /// The identity is not encrypted.
    pub in_the_clear: bool,
}

impl Challenge {
    /// Looks at a request.
    pub fn parse(bytes: &[u8]) -> Result<Challenge, MessageError> {
        let message = SignedMessage::parse(bytes)?;
        if message.kind != Kind::LicenseRequest {
            return Err(MessageError::Wrong {
                field: "type",
                must: "1, a licence request",
                offset: 0,
            });
        }
        let request = Message::parse(message.body.0, message.body.1)?;
        let mut challenge = Challenge {
            in_the_clear: request.bytes(1).is_some(),
            ..Challenge::default()
        };
        let content = request
            .message(2)?
            .ok_or(MessageError::Missing { field: "content_id" })?;
        if let Some(pssh) = content.message(1)? {
            for (data, _) in pssh.all(1) {
                challenge
                    .kids
                    .extend(signal::widevine_kids(data).unwrap_or_default());
            }
            challenge.request_id = pssh.bytes(3).map(<[u8]>::to_vec);
        }
        if let Some(init) = content.message(4)? {
            for found in init
                .bytes(2)
                .map(drmwatch_media::bmff::pssh_boxes)
                .into_iter()
                .flatten()
                .flatten()
            {
                challenge
                    .kids
                    .extend(signal::widevine_kids(&found.data).unwrap_or_default());
            }
            challenge.request_id = init.bytes(4).map(<[u8]>::to_vec);
        }
        if let Some(webm) = content.message(2)? {
            challenge.kids.extend(webm.bytes(1).and_then(kid));
        }
        let time = request.number(4).and_then(|t| i64::try_from(t).ok());
        challenge.time = time.and_then(|t| Timestamp::from_second(t).ok());
        if let Some(identity) = request.message(8)? {
            challenge.certificate_serial = identity.bytes(2).map(<[u8]>::to_vec);
        }
        Ok(challenge)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_request_that_must_be_refused_asks_for_its_key() {
        let challenge = Challenge::parse(MALFORMED).unwrap();
        assert_eq!(
            challenge.kids,
            [Kid::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap()]
        );
        assert_eq!(challenge.request_id.as_deref(), Some(&b"rrrrrrrrrrrrrrrr"[..]));
        assert!(!challenge.in_the_clear && challenge.certificate_serial.is_none());
        assert_eq!(challenge.time.unwrap().as_second(), 1_700_000_000);
    }

    #[test]
    fn another_message_is_no_request() {
        assert!(Challenge::parse(&SERVICE_CERTIFICATE_REQUEST).is_err());
        assert!(Challenge::parse(b"<html>").is_err());
    }
}
