//! The wire format of Protocol Buffers: tags, varints and lengths, read without a schema and with every offset
//! kept. Groups (wire types 3 and 4) are not used by any licence message and are refused.

use thiserror::Error;

/// Most fields that are read of one message: a licence has dozens.
const MAX_FIELDS: usize = 4096;

/// Why bytes are not a message.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
#[error("byte {offset}: {problem}")]
pub struct WireError {
    /// Where, from the beginning of the outermost message.
    pub offset: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: a message, a text, or bytes.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// A field, with the offset of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Field number.
    pub number: u32,
    /// Value.
    pub value: Value<'a>,
    /// Offset of the value, from the beginning of the outermost message.
    pub offset: usize,
}

/// The fields of a message, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a>(Vec<Field<'a>>);

impl<'a> Message<'a> {
    /// Reads a message that begins at offset `base`.
    pub fn parse(bytes: &'a [u8], base: usize) -> Result<Message<'a>, WireError> {
        let mut fields = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let fail = |at: usize, problem| WireError {
                offset: base + at,
                problem,
            };
            if fields.len() == MAX_FIELDS {
                return Err(fail(at, "a message has too many fields"));
            }
            let (tag, length) = varint(&bytes[at..]).map_err(|p| fail(at, p))?;
            let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
            let number = number.ok_or_else(|| fail(at, "a tag must have a field number from 1 to 2^29-1"))?;
            at += length;
            let rest = &bytes[at..];
            let (value, length) = match tag & 7 {
                0 => {
                    let (value, length) = varint(rest).map_err(|p| fail(at, p))?;
                    (Value::Varint(value), length)
                }
                1 => match rest.first_chunk::<8>() {
                    Some(chunk) => (Value::Fixed64(u64::from_le_bytes(*chunk)), 8),
                    None => return Err(fail(at, "a 64-bit value is cut off")),
                },
                2 => {
                    let (size, head) = varint(rest).map_err(|p| fail(at, p))?;
                    let end = usize::try_from(size).ok().and_then(|s| s.checked_add(head));
                    let value = end.and_then(|end| rest.get(head..end));
                    match value {
                        Some(value) => {
                            fields.push(Field {
                                number,
                                value: Value::Bytes(value),
                                offset: base + at + head,
                            });
                            at += head + value.len();
                            continue;
                        }
                        None => return Err(fail(at, "a length points behind the end")),
                    }
                }
                5 => match rest.first_chunk::<4>() {
                    Some(chunk) => (Value::Fixed32(u32::from_le_bytes(*chunk)), 4),
                    None => return Err(fail(at, "a 32-bit value is cut off")),
                },
                _ => return Err(fail(at, "a wire type must be 0, 1, 2 or 5")),
            };
            fields.push(Field {
                number,
                value,
                offset: base + at,
            });
            at += length;
        }
        Ok(Message(fields))
    }

    /// Every field.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.0
    }

    /// The last value of a number (proto2: the last one counts), if it is a varint.
    pub fn number(&self, number: u32) -> Option<u64> {
        self.0
            .iter()
            .rev()
            .find(|f| f.number == number)
            .and_then(|f| match f.value {
                Value::Varint(value) => Some(value),
                _ => None,
            })
    }

    /// The last bytes of a number.
    pub fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        self.all(number).last().map(|(bytes, _)| bytes)
    }

    /// All bytes of a number, with their offsets.
    pub fn all(&self, number: u32) -> impl DoubleEndedIterator<Item = (&'a [u8], usize)> + '_ {
        let of = self.0.iter().filter(move |f| f.number == number);
        of.filter_map(|f| match f.value {
            Value::Bytes(bytes) => Some((bytes, f.offset)),
            _ => None,
        })
    }

    /// The last message of a number.
    pub fn message(&self, number: u32) -> Result<Option<Message<'a>>, WireError> {
        let last = self.all(number).next_back();
        last.map(|(bytes, offset)| Message::parse(bytes, offset))
            .transpose()
    }
}

/// A base-128 varint and how long it is.
fn varint(bytes: &[u8]) -> Result<(u64, usize), &'static str> {
    let mut value = 0u64;
    for (n, byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte holds one bit.
        if n == 9 && *byte > 1 {
            return Err("a varint is larger than 64 bits");
        }
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Ok((value, n + 1));
        }
    }
    Err(if bytes.len() < 10 {
        "a varint is cut off"
    } else {
        "a varint is longer than ten bytes"
    })
}

/// Writes a message.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    fn push(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Adds a varint.
    pub fn number(mut self, number: u32, value: u64) -> Writer {
        self.push(u64::from(number) << 3);
        self.push(value);
        self
    }

    /// Adds bytes, a text or a message.
    pub fn bytes(mut self, number: u32, value: &[u8]) -> Writer {
        self.push(u64::from(number) << 3 | 2);
        self.push(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of the encoding's own documentation (protobuf.dev, "Encoding").
    #[test]
    fn the_documentations_examples_are_read() {
        let message = Message::parse(&[0x08, 0x96, 0x01], 0).unwrap();
        assert_eq!(message.number(1), Some(150));
        let message = Message::parse(b"\x12\x07testing", 0).unwrap();
        assert_eq!(message.bytes(2), Some(&b"testing"[..]));
        assert_eq!(Writer::default().number(1, 150).finish(), [0x08, 0x96, 0x01]);
    }

    #[test]
    fn what_is_cut_off_names_its_place() {
        let error = Message::parse(&[0x08, 0x01, 0x12, 0x05, 0x61], 100).unwrap_err();
        assert_eq!(error.to_string(), "byte 103: a length points behind the end");
        assert!(Message::parse(&[0xff; 11], 0).is_err());
        assert!(Message::parse(&[0x0b], 0).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Message::parse(&bytes, 0);
        }

        #[test]
        fn what_is_written_is_read(number in 1u32..1000, value: u64, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let written = Writer::default().number(number, value).bytes(number + 1, &bytes).finish();
            let message = Message::parse(&written, 0).unwrap();
            prop_assert_eq!(message.number(number), Some(value));
            prop_assert_eq!(message.bytes(number + 1), Some(&bytes[..]));
        }
    }
}
