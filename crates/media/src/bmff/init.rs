//! Init segments: what each track is and how it is protected.

use super::{Box, BoxError, Fields, MAX_BOXES, boxes, children, codec, descend};
use crate::Kid;

/// What an init segment declares.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Init {
    /// Tracks, in order.
    pub tracks: Vec<Track>,
    /// Protection system headers in `moov`.
    pub pssh: Vec<Pssh>,
}

/// One track.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Track {
    /// Track id.
    pub id: u32,
    /// Ticks per second.
    pub timescale: u32,
    /// `vide`, `soun`, …
    pub handler: [u8; 4],
    /// Sample entry in the clear, `avc1` or `mp4a`: from `frma` where the track is protected.
    pub codec: [u8; 4],
    /// Codec as in a CODECS attribute (RFC 6381), where its configuration is understood.
    pub codec_string: Option<String>,
    /// Width and height in pixels, of video.
    pub size: Option<(u16, u16)>,
    /// How it is protected.
    pub protection: Option<Protection>,
    /// What `trex` says of samples that do not say it themselves.
    pub defaults: SampleDefaults,
}

/// Defaults of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SampleDefaults {
    /// Duration in ticks.
    pub duration: u32,
    /// Size in bytes.
    pub size: u32,
    /// Flags (ISO/IEC 14496-12 section 8.8.3.1).
    pub flags: u32,
}

/// `schm` and `tenc`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protection {
    /// `cenc`, `cbcs`, `cens`, `cbc1`.
    pub scheme: [u8; 4],
    /// Default key id.
    pub kid: Kid,
    /// Version of `tenc`; the pattern needs 1.
    pub version: u8,
    /// Blocks encrypted and skipped.
    pub pattern: Pattern,
    /// Size of the initialisation vector of each sample; 0 with a constant one.
    pub iv_size: u8,
    /// Constant initialisation vector.
    pub constant_iv: Vec<u8>,
}

/// Pattern of `tenc`: blocks of 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pattern {
    /// default_crypt_byte_block.
    pub encrypted: u8,
    /// default_skip_byte_block.
    pub skipped: u8,
}

/// A `pssh` box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pssh {
    /// System id.
    pub system: [u8; 16],
    /// 0, or 1 with a list of key ids.
    pub version: u8,
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
            return Err(moov.cut());
        }
        let mut init = Init::default();
        let mut defaults = Vec::new();
        for child in children(moov, 0)? {
            match &child.kind {
                b"trak" => init.tracks.push(track(&child)?),
                b"pssh" => init.pssh.push(pssh(&child)?),
                b"mvex" => {
                    for trex in children(&child, 0)?.into_iter().filter(|b| &b.kind == b"trex") {
                        let mut fields = Fields::new(trex);
                        fields.full()?;
                        let id = fields.u32()?;
                        fields.u32()?;
                        let (duration, size, flags) = (fields.u32()?, fields.u32()?, fields.u32()?);
                        defaults.push((
                            id,
                            SampleDefaults {
                                duration,
                                size,
                                flags,
                            },
                        ));
                    }
                }
                _ => {}
            }
        }
        if init.tracks.is_empty() {
            return Err(BoxError::Missing("trak"));
        }
        for track in &mut init.tracks {
            track.defaults = defaults
                .iter()
                .find(|(id, _)| *id == track.id)
                .map(|d| d.1)
                .unwrap_or_default();
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
    let mut track = Track {
        id,
        timescale,
        handler,
        codec: entry.kind,
        ..Track::default()
    };
    // Fixed fields before the boxes in a visual and in an audio sample entry (sections 12.1.3 and 12.2.3).
    let fixed = match &handler {
        b"vide" => {
            let mut fields = Fields::new(entry);
            fields.take(24)?;
            track.size = Some((fields.uint(2)? as u16, fields.uint(2)? as u16));
            78
        }
        b"soun" => 28,
        _ => return Ok(track),
    };
    if matches!(&entry.kind, b"encv" | b"enca") {
        (track.codec, track.protection) = protection(&entry, fixed)?;
    }
    track.codec_string = codec::string(&track.codec, &entry, fixed);
    Ok(track)
}

/// The clear sample entry's code and what `sinf` says.
fn protection(entry: &Box<'_>, fixed: usize) -> Result<([u8; 4], Option<Protection>), BoxError> {
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
    let (version, _) = tenc.full()?;
    tenc.take(1)?;
    let blocks = tenc.uint(1)? as u8;
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
    let pattern = match version {
        0 => Pattern::default(),
        _ => Pattern {
            encrypted: blocks >> 4,
            skipped: blocks & 15,
        },
    };
    let found = Protection {
        scheme,
        kid,
        version,
        pattern,
        iv_size,
        constant_iv,
    };
    Ok((codec, protected.then_some(found)))
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
    let data = fields.take(length)?.to_vec();
    Ok(Pssh {
        system,
        version,
        kids,
        data,
    })
}

/// The `pssh` boxes that stand alone, as in `cenc:pssh` of an MPD.
pub fn pssh_boxes(bytes: &[u8]) -> Result<Vec<Pssh>, BoxError> {
    let found = boxes(bytes, 0)?;
    if let Some(cut) = found.iter().find(|b| !b.whole) {
        return Err(cut.overrun());
    }
    let found: Vec<Pssh> = found
        .iter()
        .filter(|b| &b.kind == b"pssh")
        .map(pssh)
        .collect::<Result<_, _>>()?;
    match found.is_empty() {
        true => Err(BoxError::Missing("pssh")),
        false => Ok(found),
    }
}
