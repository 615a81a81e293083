//! Movie fragments: where samples lie, how long they last, and how they are encrypted.

use super::{Box, BoxError, Fields, MAX_SAMPLES, SampleDefaults, boxes, children};
use crate::Kid;

/// One track fragment of a media segment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    /// Track id.
    pub track: u32,
    /// `mfhd`: number of the fragment.
    pub number: u32,
    /// Decode time of the first sample, in ticks of the track: `tfdt`.
    pub decode_time: Option<u64>,
    /// `tfxd` of Smooth Streaming: absolute time and duration.
    pub smooth_time: Option<(u64, u64)>,
    /// `tfrf` of Smooth Streaming: times and durations of the fragments that follow.
    pub smooth_next: Option<Vec<(u64, u64)>>,
    /// Sum of the samples' durations, in ticks.
    pub duration: u64,
    /// Flags of the first sample, where they are given.
    pub first_flags: Option<u32>,
    /// Samples, in order.
    pub samples: Vec<Sample>,
    /// Number of entries in `senc` (or PIFF's), and in `saiz`, where they are there.
    pub encrypted_samples: Option<u32>,
    /// Number of entries in `saiz`.
    pub auxiliary_samples: Option<u32>,
    /// Key ids of the sample groups `seig`: key rotation.
    pub group_kids: Vec<Kid>,
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

impl Fragment {
    /// Whether the first sample is a sync sample, where its flags tell: sample_is_non_sync_sample is unset
    /// (ISO/IEC 14496-12 section 8.8.3.1).
    pub fn starts_with_sync(&self) -> Option<bool> {
        self.first_flags.map(|flags| flags & 0x0001_0000 == 0)
    }
}

/// Parses the fragments of a media segment. The segment may be cut off inside `mdat`: sample tables are
/// whole once `moof` is. `iv_size` is that of the track's `tenc`.
pub fn fragments(bytes: &[u8], iv_size: u8) -> Result<Vec<Fragment>, BoxError> {
    fragments_with(bytes, iv_size, SampleDefaults::default())
}

/// The same, with the defaults of the track. A fragment behind the first may be cut off, and is left out.
pub(super) fn fragments_with(
    bytes: &[u8],
    iv_size: u8,
    defaults: SampleDefaults,
) -> Result<Vec<Fragment>, BoxError> {
    let mut found = Vec::new();
    for moof in boxes(bytes, 0)?.iter().filter(|b| &b.kind == b"moof") {
        if !moof.whole {
            if found.is_empty() {
                return Err(moof.cut());
            }
            break;
        }
        let inner = children(moof, 0)?;
        let mut number = 0;
        if let Some(mfhd) = inner.iter().find(|b| &b.kind == b"mfhd") {
            let mut fields = Fields::new(*mfhd);
            fields.full()?;
            number = fields.u32()?;
        }
        for traf in inner.iter().filter(|b| &b.kind == b"traf") {
            found.push(Fragment {
                number,
                ..fragment(moof, traf, iv_size, defaults)?
            });
        }
    }
    match found.is_empty() {
        true => Err(BoxError::Missing("moof")),
        false => Ok(found),
    }
}

fn fragment(
    moof: &Box<'_>,
    traf: &Box<'_>,
    iv_size: u8,
    defaults: SampleDefaults,
) -> Result<Fragment, BoxError> {
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
    if flags & 0x2 != 0 {
        tfhd.u32()?;
    }
    let mut or = |flag: u32, default: u32| match flags & flag {
        0 => Ok(default),
        _ => tfhd.u32(),
    };
    let default_duration = or(0x8, defaults.duration)?;
    let default_size = or(0x10, defaults.size)?;
    let default_flags = or(0x20, defaults.flags)?;
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
        let first_flags = if flags & 0x4 != 0 {
            Some(fields.u32()?)
        } else {
            None
        };
        for n in 0..count {
            let duration = if flags & 0x100 != 0 {
                fields.u32()?
            } else {
                default_duration
            };
            let size = if flags & 0x200 != 0 {
                fields.u32()?
            } else {
                default_size
            };
            let sample_flags = if flags & 0x400 != 0 {
                fields.u32()?
            } else {
                default_flags
            };
            if flags & 0x800 != 0 {
                fields.u32()?;
            }
            if fragment.samples.is_empty() {
                fragment.first_flags = Some(first_flags.filter(|_| n == 0).unwrap_or(sample_flags));
            }
            fragment.duration = fragment.duration.saturating_add(u64::from(duration));
            fragment.samples.push(Sample {
                offset: next,
                size,
                ..Sample::default()
            });
            next = next.saturating_add(u64::from(size));
        }
    }
    for kind in &inner {
        match &kind.kind {
            b"senc" => sample_encryption(kind, Fields::new(*kind), iv_size, &mut fragment)?,
            b"saiz" => fragment.auxiliary_samples = Some(auxiliary(kind)?),
            b"sgpd" => groups(kind, &mut fragment.group_kids)?,
            b"uuid" => extension(kind, iv_size, &mut fragment)?,
            _ => {}
        }
    }
    Ok(fragment)
}

fn sample_encryption(
    senc: &Box<'_>,
    mut fields: Fields<'_>,
    iv_size: u8,
    fragment: &mut Fragment,
) -> Result<(), BoxError> {
    let (_, flags) = fields.full()?;
    let mut iv_size = usize::from(iv_size);
    // PIFF may override the track's encryption (PIFF 1.1 section 5.3.2).
    if flags & 0x1 != 0 {
        fields.take(3)?;
        iv_size = fields.uint(1)? as usize;
        fields.take(16)?;
    }
    let count = fields.u32()?;
    fragment.encrypted_samples = Some(count);
    if count as usize > fragment.samples.len() {
        return Err(senc.short());
    }
    for sample in fragment.samples.iter_mut().take(count as usize) {
        sample.iv = fields.take(iv_size)?.to_vec();
        if flags & 0x2 != 0 {
            for _ in 0..fields.uint(2)? {
                sample.subsamples.push((fields.uint(2)? as u16, fields.u32()?));
            }
        }
    }
    Ok(())
}

/// Number of samples in `saiz`.
fn auxiliary(saiz: &Box<'_>) -> Result<u32, BoxError> {
    let mut fields = Fields::new(*saiz);
    let (_, flags) = fields.full()?;
    if flags & 1 != 0 {
        fields.take(8)?;
    }
    fields.take(1)?;
    fields.u32()
}

/// Key ids of `seig` groups (ISO/IEC 23001-7 section 6).
fn groups(sgpd: &Box<'_>, kids: &mut Vec<Kid>) -> Result<(), BoxError> {
    let mut fields = Fields::new(*sgpd);
    let (version, _) = fields.full()?;
    if fields.take(4)? != b"seig" {
        return Ok(());
    }
    let length = if version >= 1 { fields.u32()? } else { 0 };
    if version >= 2 {
        fields.u32()?;
    }
    for _ in 0..fields.u32()?.min(1024) {
        let size = if version >= 1 && length == 0 {
            fields.u32()?
        } else {
            length
        };
        let mut entry = Fields {
            of: *sgpd,
            rest: fields.take(size as usize)?,
        };
        entry.take(2)?;
        let protected = entry.uint(1)? != 0;
        entry.take(1)?;
        let kid = entry.kid()?;
        if protected && !kids.contains(&kid) {
            kids.push(kid);
        }
    }
    Ok(())
}

const TFXD: [u8; 16] = *b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2";
const TFRF: [u8; 16] = *b"\xd4\x80\x7e\xf2\xca\x39\x46\x95\x8e\x54\x26\xcb\x9e\x46\xa7\x9f";
const PIFF_SENC: [u8; 16] = *b"\xa2\x39\x4f\x52\x5a\x9b\x4f\x14\xa2\x44\x6c\x42\x7c\x64\x8d\xf4";

/// Smooth Streaming's extensions ([MS-SSTR] sections 2.2.4.4, 2.2.4.5 and 2.2.4.6).
fn extension(uuid: &Box<'_>, iv_size: u8, fragment: &mut Fragment) -> Result<(), BoxError> {
    let mut fields = Fields::new(*uuid);
    let kind = fields.take(16)?;
    if kind == PIFF_SENC {
        return sample_encryption(uuid, fields, iv_size, fragment);
    }
    let pair = |fields: &mut Fields<'_>, version: u8| {
        let size = if version == 1 { 8 } else { 4 };
        Ok::<_, BoxError>((fields.uint(size)?, fields.uint(size)?))
    };
    if kind == TFXD {
        let (version, _) = fields.full()?;
        fragment.smooth_time = Some(pair(&mut fields, version)?);
    } else if kind == TFRF {
        let (version, _) = fields.full()?;
        let count = fields.uint(1)?;
        let next = (0..count)
            .map(|_| pair(&mut fields, version))
            .collect::<Result<_, _>>()?;
        fragment.smooth_next = Some(next);
    }
    Ok(())
}
