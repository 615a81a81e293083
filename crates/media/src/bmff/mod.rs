//! ISO base media files (ISO/IEC 14496-12) and Common Encryption (ISO/IEC 23001-7), as far as a monitor
//! needs them: what an init segment declares, where the samples of a media segment lie, and what stands
//! beside them.

mod codec;
mod fragment;
mod init;
mod segment;

pub use fragment::{Fragment, Sample, fragments};
pub use init::{Init, Pattern, Protection, Pssh, SampleDefaults, Track, pssh_boxes};
pub use segment::{EventMessage, Head, ProducerTime, Reference, SegmentIndex};

use crate::Kid;
use thiserror::Error;

const MAX_BOXES: usize = 4096;
const MAX_SAMPLES: usize = 100_000;

/// What is wrong with a file.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum BoxError {
    /// A box ends behind the bytes that hold it.
    #[error("box {kind} at offset {offset} must not be longer than what holds it")]
    Overrun {
        /// Four-character code.
        kind: String,
        /// Offset in the file.
        offset: usize,
    },
    /// A field is cut off or out of range.
    #[error("box {kind} at offset {offset} is too short or out of range")]
    Short {
        /// Four-character code.
        kind: String,
        /// Offset in the file.
        offset: usize,
    },
    /// A box that must be there is not.
    #[error("there must be a {0} box")]
    Missing(&'static str),
    /// The bytes end inside of a box that must be whole: more of the file is needed.
    #[error("box {kind} at offset {offset} is {size} bytes long, and fewer are at hand")]
    Cut {
        /// Four-character code.
        kind: String,
        /// Offset in the file.
        offset: usize,
        /// Bytes that it has.
        size: u64,
    },
    /// More boxes or samples than any real file has. Depth needs no cap: nothing here recurses.
    #[error("there are more than {0}")]
    TooMany(&'static str),
}

/// One box: its kind, the offset of its header, and its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Box<'a> {
    pub(crate) kind: [u8; 4],
    offset: usize,
    body_offset: usize,
    pub(crate) body: &'a [u8],
    size: u64,
    pub(crate) whole: bool,
}

impl Box<'_> {
    fn name(&self) -> String {
        self.kind
            .iter()
            .map(|b| {
                if b.is_ascii_graphic() || *b == b' ' {
                    *b as char
                } else {
                    '?'
                }
            })
            .collect()
    }
    pub(crate) fn short(&self) -> BoxError {
        BoxError::Short {
            kind: self.name(),
            offset: self.offset,
        }
    }
    pub(crate) fn cut(&self) -> BoxError {
        BoxError::Cut {
            kind: self.name(),
            offset: self.offset,
            size: self.size,
        }
    }
    fn overrun(&self) -> BoxError {
        BoxError::Overrun {
            kind: self.name(),
            offset: self.offset,
        }
    }
}

/// Big-endian fields of one box, read in order.
pub(crate) struct Fields<'a> {
    pub(crate) of: Box<'a>,
    pub(crate) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(of: Box<'a>) -> Self {
        Fields { of, rest: of.body }
    }
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], BoxError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or_else(|| self.of.short())?;
        self.rest = rest;
        Ok(head)
    }
    pub(crate) fn uint(&mut self, bytes: usize) -> Result<u64, BoxError> {
        Ok(self.take(bytes)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
    pub(crate) fn u32(&mut self) -> Result<u32, BoxError> {
        Ok(self.uint(4)? as u32)
    }
    fn kid(&mut self) -> Result<Kid, BoxError> {
        let mut kid = [0; 16];
        kid.copy_from_slice(self.take(16)?);
        Ok(Kid(kid))
    }
    /// Version and flags of a full box.
    pub(crate) fn full(&mut self) -> Result<(u8, u32), BoxError> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }
}

/// The boxes in `bytes`, which begin at `base` in the file. The last may be cut off.
pub(crate) fn boxes(bytes: &[u8], base: usize) -> Result<Vec<Box<'_>>, BoxError> {
    let (mut found, mut at) = (Vec::new(), 0);
    while bytes.len() - at >= 8 {
        let word = |n: usize| {
            bytes[at + n..at + n + 4]
                .iter()
                .fold(0u64, |acc, b| acc << 8 | u64::from(*b))
        };
        let mut kind = [0; 4];
        kind.copy_from_slice(&bytes[at + 4..at + 8]);
        let (header, size) = match word(0) {
            1 if bytes.len() - at >= 16 => (16, word(8) << 32 | word(12)),
            1 => break,
            0 => (8, (bytes.len() - at) as u64),
            size => (8, size),
        };
        let this = Box {
            kind,
            offset: base + at,
            body_offset: base + at + header,
            body: &[],
            size,
            whole: true,
        };
        if size < header as u64 {
            return Err(this.short());
        }
        let whole = size <= (bytes.len() - at) as u64;
        let end = if whole { at + size as usize } else { bytes.len() };
        found.push(Box {
            body: &bytes[at + header..end],
            whole,
            ..this
        });
        if found.len() > MAX_BOXES {
            return Err(BoxError::TooMany("boxes"));
        }
        at = end;
    }
    Ok(found)
}

fn children<'a>(parent: &Box<'a>, skip: usize) -> Result<Vec<Box<'a>>, BoxError> {
    let body = parent.body.get(skip..).ok_or_else(|| parent.short())?;
    let inner = boxes(body, parent.body_offset + skip)?;
    match inner.iter().find(|b| !b.whole) {
        Some(cut) => Err(cut.overrun()),
        None => Ok(inner),
    }
}

/// Follows a path of boxes, first of each kind.
fn descend<'a>(parent: &Box<'a>, path: &[&[u8; 4]]) -> Result<Option<Box<'a>>, BoxError> {
    let mut here = *parent;
    for kind in path {
        match children(&here, 0)?.into_iter().find(|b| b.kind == **kind) {
            Some(next) => here = next,
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}
