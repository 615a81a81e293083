//! Key ids.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A key id (ISO/IEC 23001-7 section 4): 16 bytes, in network order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Kid(pub [u8; 16]);

/// Not a key id.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
#[error("{0:?} must be a UUID or 32 hexadecimal digits")]
pub struct KidError(pub String);

impl Kid {
    /// Reads a UUID (`a7e61c37-3e21-…`), 32 hexadecimal digits, or the `0x…` form of HLS `KEYID`.
    pub fn parse(text: &str) -> Result<Kid, KidError> {
        let error = || KidError(text.chars().take(64).collect());
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let digits: Vec<u8> = digits.bytes().filter(|b| *b != b'-').collect();
        let mut kid = [0; 16];
        if digits.len() != 32 {
            return Err(error());
        }
        for (byte, pair) in kid.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |c: u8| (c as char).to_digit(16).ok_or_else(error);
            *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
        }
        Ok(Kid(kid))
    }

    /// Whether every byte is zero: "no key" in `tenc`.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl std::fmt::Display for Kid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl Serialize for Kid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Kid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kid, D::Error> {
        Kid::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
