//! ISO base media files (ISO/IEC 14496-12) and Common Encryption (ISO/IEC 23001-7), as far as a monitor
//! needs them: what an init segment declares, and where the samples of a media segment lie.

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
    /// More boxes or samples than any real file has. Depth needs no cap: nothing here recurses.
    #[error("there are more than {0}")]
    TooMany(&'static str),
}

/// One box: its kind, the offset of its header, and its content.
#[derive(Debug, Clone, Copy)]
struct Box<'a> {
    kind: [u8; 4],
    offset: usize,
    body_offset: usize,
    body: &'a [u8],
    whole: bool,
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
    fn short(&self) -> BoxError {
        BoxError::Short {
            kind: self.name(),
            offset: self.offset,
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
struct Fields<'a> {
    of: Box<'a>,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(of: Box<'a>) -> Self {
        Fields { of, rest: of.body }
    }
    fn take(&mut self, n: usize) -> Result<&'a [u8], BoxError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or_else(|| self.of.short())?;
        self.rest = rest;
        Ok(head)
    }
    fn uint(&mut self, bytes: usize) -> Result<u64, BoxError> {
        Ok(self.take(bytes)?.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
    fn u32(&mut self) -> Result<u32, BoxError> {
        Ok(self.uint(4)? as u32)
    }
    fn kid(&mut self) -> Result<Kid, BoxError> {
        let mut kid = [0; 16];
        kid.copy_from_slice(self.take(16)?);
        Ok(Kid(kid))
    }
    /// Version and flags of a full box.
    fn full(&mut self) -> Result<(u8, u32), BoxError> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }
}

/// The boxes in `bytes`, which begin at `base` in the file. The last may be cut off.
fn boxes(bytes: &[u8], base: usize) -> Result<Vec<Box<'_>>, BoxError> {
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

/// What an init segment declares.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Init {
    /// Tracks, in order.
    pub tracks: Vec<Track>,
    /// Protection system headers in `moov`.
    pub pssh: Vec<Pssh>,
}

/// One track.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Track id.
    pub id: u32,
    /// Ticks per second.
    pub timescale: u32,
    /// `vide`, `soun`, …
    pub handler: [u8; 4],
    /// Sample entry in the clear, `avc1` or `mp4a`: from `frma` where the track is protected.
    pub codec: [u8; 4],
    /// How it is protected.
    pub protection: Option<Protection>,
}

/// `schm` and `tenc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// `cenc`, `cbcs`, `cens`, `cbc1`.
    pub scheme: [u8; 4],
    /// Default key id.
    pub kid: Kid,
    /// Size of the initialisation vector of each sample; 0 with a constant one.
    pub iv_size: u8,
    /// Constant initialisation vector.
    pub constant_iv: Vec<u8>,
}

/// A `pssh` box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pssh {
    /// System id.
    pub system: [u8; 16],
    /// Key ids that version 1 lists.
    pub kids: Vec<Kid>,
    /// Data of the system.
    pub data: Vec<u8>,
}

impl Init {
    /// Parses an init segment.
    pub fn parse(bytes: &[u8]) -> Result<Init, BoxError> {
        let top = boxes(bytes, 0)?;
        let moov = top
            .iter()
            .find(|b| &b.kind == b"moov")
            .ok_or(BoxError::Missing("moov"))?;
        if !moov.whole {
            return Err(moov.overrun());
        }
        let mut init = Init::default();
        for child in children(moov, 0)? {
            match &child.kind {
                b"trak" => init.tracks.push(track(&child)?),
                b"pssh" => init.pssh.push(pssh(&child)?),
                _ => {}
            }
        }
        if init.tracks.is_empty() {
            return Err(BoxError::Missing("trak"));
        }
        Ok(init)
    }

    /// Default key ids of the protected tracks, without doubles.
    pub fn kids(&self) -> Vec<Kid> {
        let mut kids: Vec<Kid> = self
            .tracks
            .iter()
            .filter_map(|t| Some(t.protection.as_ref()?.kid))
            .collect();
        kids.sort_unstable();
        kids.dedup();
        kids
    }
}

fn track(trak: &Box<'_>) -> Result<Track, BoxError> {
    let need = |path: &[&[u8; 4]], name| descend(trak, path)?.ok_or(BoxError::Missing(name));
    let mut tkhd = Fields::new(need(&[b"tkhd"], "tkhd")?);
    let (version, _) = tkhd.full()?;
    tkhd.take(if version == 1 { 16 } else { 8 })?;
    let id = tkhd.u32()?;
    let mut mdhd = Fields::new(need(&[b"mdia", b"mdhd"], "mdhd")?);
    let (version, _) = mdhd.full()?;
    mdhd.take(if version == 1 { 16 } else { 8 })?;
    let timescale = mdhd.u32()?;
    let mut hdlr = Fields::new(need(&[b"mdia", b"hdlr"], "hdlr")?);
    hdlr.take(8)?;
    let mut handler = [0; 4];
    handler.copy_from_slice(hdlr.take(4)?);
    let stsd = need(&[b"mdia", b"minf", b"stbl", b"stsd"], "stsd")?;
    let entry = children(&stsd, 8)?
        .into_iter()
        .next()
        .ok_or(BoxError::Missing("sample entry"))?;
    let (codec, protection) = sample_entry(&entry)?;
    Ok(Track {
        id,
        timescale,
        handler,
        codec,
        protection,
    })
}

fn sample_entry(entry: &Box<'_>) -> Result<([u8; 4], Option<Protection>), BoxError> {
    let fixed = match &entry.kind {
        b"encv" => 78,
        b"enca" => 28,
        _ => return Ok((entry.kind, None)),
    };
    let sinf = children(entry, fixed)?
        .into_iter()
        .find(|b| &b.kind == b"sinf")
        .ok_or(BoxError::Missing("sinf"))?;
    let mut codec = [0; 4];
    let frma = descend(&sinf, &[b"frma"])?.ok_or(BoxError::Missing("frma"))?;
    codec.copy_from_slice(Fields::new(frma).take(4)?);
    let mut schm = Fields::new(descend(&sinf, &[b"schm"])?.ok_or(BoxError::Missing("schm"))?);
    schm.full()?;
    let mut scheme = [0; 4];
    scheme.copy_from_slice(schm.take(4)?);
    let mut tenc = Fields::new(descend(&sinf, &[b"schi", b"tenc"])?.ok_or(BoxError::Missing("tenc"))?);
    tenc.full()?;
    tenc.take(2)?;
    let protected = tenc.uint(1)? != 0;
    let iv_size = tenc.uint(1)? as u8;
    let kid = tenc.kid()?;
    let constant_iv = match protected && iv_size == 0 {
        true => {
            let length = tenc.uint(1)? as usize;
            tenc.take(length)?.to_vec()
        }
        false => Vec::new(),
    };
    Ok((
        codec,
        protected.then_some(Protection {
            scheme,
            kid,
            iv_size,
            constant_iv,
        }),
    ))
}

fn pssh(found: &Box<'_>) -> Result<Pssh, BoxError> {
    let mut fields = Fields::new(*found);
    let (version, _) = fields.full()?;
    let mut system = [0; 16];
    system.copy_from_slice(fields.take(16)?);
    let mut kids = Vec::new();
    if version > 0 {
        let count = fields.u32()? as usize;
        if count > MAX_BOXES {
            return Err(BoxError::TooMany("key ids"));
        }
        for _ in 0..count {
            kids.push(fields.kid()?);
        }
    }
    let length = fields.u32()? as usize;
    Ok(Pssh {
        system,
        kids,
        data: fields.take(length)?.to_vec(),
    })
}

/// One movie fragment of a media segment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    /// Track id.
    pub track: u32,
    /// Decode time of the first sample, in ticks of the track.
    pub decode_time: Option<u64>,
    /// Samples, in order.
    pub samples: Vec<Sample>,
}

/// Where one sample lies and how it is encrypted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sample {
    /// Offset in the segment.
    pub offset: u64,
    /// Size in bytes.
    pub size: u32,
    /// Initialisation vector of its own, from `senc`.
    pub iv: Vec<u8>,
    /// Clear and protected byte counts, in turn; empty when the whole sample is protected.
    pub subsamples: Vec<(u16, u32)>,
}

/// Parses the fragments of a media segment. The segment may be cut off inside `mdat`: sample tables are
/// whole once `moof` is. `iv_size` is that of the track's `tenc`.
pub fn fragments(bytes: &[u8], iv_size: u8) -> Result<Vec<Fragment>, BoxError> {
    let mut found = Vec::new();
    for moof in boxes(bytes, 0)?.iter().filter(|b| &b.kind == b"moof") {
        if !moof.whole {
            return Err(moof.overrun());
        }
        for traf in children(moof, 0)?.iter().filter(|b| &b.kind == b"traf") {
            found.push(fragment(moof, traf, iv_size)?);
        }
    }
    match found.is_empty() {
        true => Err(BoxError::Missing("moof")),
        false => Ok(found),
    }
}

fn fragment(moof: &Box<'_>, traf: &Box<'_>, iv_size: u8) -> Result<Fragment, BoxError> {
    let inner = children(traf, 0)?;
    let first = |kind: &[u8; 4]| inner.iter().find(|b| &b.kind == kind).copied();
    let mut tfhd = Fields::new(first(b"tfhd").ok_or(BoxError::Missing("tfhd"))?);
    let (_, flags) = tfhd.full()?;
    let mut fragment = Fragment {
        track: tfhd.u32()?,
        ..Fragment::default()
    };
    let mut base = moof.offset as u64;
    if flags & 0x1 != 0 {
        base = tfhd.uint(8)?;
    }
    for flag in [0x2, 0x8] {
        if flags & flag != 0 {
            tfhd.u32()?;
        }
    }
    let default_size = if flags & 0x10 != 0 { tfhd.u32()? } else { 0 };
    if let Some(tfdt) = first(b"tfdt") {
        let mut fields = Fields::new(tfdt);
        let (version, _) = fields.full()?;
        fragment.decode_time = Some(fields.uint(if version == 1 { 8 } else { 4 })?);
    }
    let mut next = base;
    for trun in inner.iter().filter(|b| &b.kind == b"trun") {
        let mut fields = Fields::new(*trun);
        let (_, flags) = fields.full()?;
        let count = fields.u32()? as usize;
        if count + fragment.samples.len() > MAX_SAMPLES {
            return Err(BoxError::TooMany("samples"));
        }
        if flags & 0x1 != 0 {
            next = base
                .checked_add_signed(i64::from(fields.u32()? as i32))
                .ok_or_else(|| trun.short())?;
        }
        if flags & 0x4 != 0 {
            fields.u32()?;
        }
        for _ in 0..count {
            if flags & 0x100 != 0 {
                fields.u32()?;
            }
            let size = if flags & 0x200 != 0 {
                fields.u32()?
            } else {
                default_size
            };
            for flag in [0x400, 0x800] {
                if flags & flag != 0 {
                    fields.u32()?;
                }
            }
            fragment.samples.push(Sample {
                offset: next,
                size,
                ..Sample::default()
            });
            next = next.saturating_add(u64::from(size));
        }
    }
    if let Some(senc) = first(b"senc") {
        sample_encryption(&senc, iv_size, &mut fragment.samples)?;
    }
    Ok(fragment)
}

fn sample_encryption(senc: &Box<'_>, iv_size: u8, samples: &mut [Sample]) -> Result<(), BoxError> {
    let mut fields = Fields::new(*senc);
    let (_, flags) = fields.full()?;
    let count = fields.u32()? as usize;
    if count != samples.len() {
        return Err(senc.short());
    }
    for sample in samples {
        sample.iv = fields.take(usize::from(iv_size))?.to_vec();
        if flags & 0x2 != 0 {
            for _ in 0..fields.uint(2)? {
                sample.subsamples.push((fields.uint(2)? as u16, fields.u32()?));
            }
        }
    }
    Ok(())
}
