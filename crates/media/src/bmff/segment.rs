//! Media segments: what stands before and beside the fragments.

use super::{Box, BoxError, Fields, Fragment, MAX_SAMPLES, Track, boxes, fragment::fragments_with};

/// The head of a media segment: its bytes may be cut off anywhere behind the first `moof`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Head {
    /// Major and compatible brands of `styp`.
    pub brands: Vec<[u8; 4]>,
    /// `sidx`, in order.
    pub indexes: Vec<SegmentIndex>,
    /// `prft`, in order.
    pub producer_times: Vec<ProducerTime>,
    /// `emsg`, in order.
    pub events: Vec<EventMessage>,
    /// Track fragments whose `moof` is whole.
    pub fragments: Vec<Fragment>,
}

/// `sidx` (ISO/IEC 14496-12 section 8.16.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentIndex {
    /// Ticks per second.
    pub timescale: u32,
    /// Earliest presentation time, ticks.
    pub earliest: u64,
    /// Offset in the file of the first byte that is indexed.
    pub first_byte: u64,
    /// What it points at, in order.
    pub references: Vec<Reference>,
}

/// One entry of `sidx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reference {
    /// Points at another index rather than at media.
    pub index: bool,
    /// Bytes.
    pub size: u32,
    /// Ticks.
    pub duration: u32,
    /// Begins with a stream access point.
    pub starts_with_sap: bool,
}

/// `prft` (section 8.16.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducerTime {
    /// Track.
    pub track: u32,
    /// Wall-clock time as NTP: seconds since 1900 and fractions of 2^-32 s.
    pub ntp: u64,
    /// Media time, ticks of the track.
    pub media_time: u64,
    /// What the time means: 0 input of the encoder, 8 arbitrary, 16 finalised, 24 captured.
    pub flags: u32,
}

impl ProducerTime {
    /// Seconds since the Unix epoch.
    pub fn unix_seconds(&self) -> f64 {
        const NTP_TO_UNIX: f64 = 2_208_988_800.0;
        self.ntp as f64 / 4_294_967_296.0 - NTP_TO_UNIX
    }
}

/// `emsg` (ISO/IEC 23009-1 clause 5.10.3.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventMessage {
    /// `scheme_id_uri`.
    pub scheme: String,
    /// `value`.
    pub value: String,
    /// Ticks per second.
    pub timescale: u32,
    /// Presentation time in ticks; relative to the segment in version 0.
    pub time: u64,
    /// 0 or 1.
    pub version: u8,
    /// Ticks; all ones for unknown.
    pub duration: u32,
    /// Id.
    pub id: u32,
    /// Message.
    pub message: Vec<u8>,
}

impl Head {
    /// Parses the head of a media segment of a track.
    pub fn parse(bytes: &[u8], track: Option<&Track>) -> Result<Head, BoxError> {
        let mut head = Head::default();
        for found in boxes(bytes, 0)?.iter().filter(|b| b.whole) {
            match &found.kind {
                b"styp" | b"ftyp" => head.brands = brands(found),
                b"sidx" => head.indexes.push(index(found)?),
                b"prft" => head.producer_times.push(producer_time(found)?),
                b"emsg" => head.events.push(event(found)?),
                _ => {}
            }
        }
        let iv_size = track.and_then(|t| t.protection.as_ref()).map_or(0, |p| p.iv_size);
        let defaults = track.map(|t| t.defaults).unwrap_or_default();
        head.fragments = fragments_with(bytes, iv_size, defaults)?;
        Ok(head)
    }
}

impl SegmentIndex {
    /// The first index in the bytes of an `indexRange`, which begin at `base` in the file.
    pub fn parse(bytes: &[u8], base: usize) -> Result<SegmentIndex, BoxError> {
        let found = boxes(bytes, base)?.into_iter().find(|b| &b.kind == b"sidx");
        let found = found.ok_or(BoxError::Missing("sidx"))?;
        if !found.whole {
            return Err(found.cut());
        }
        index(&found)
    }
}

fn brands(styp: &Box<'_>) -> Vec<[u8; 4]> {
    let four = |chunk: &[u8]| <[u8; 4]>::try_from(chunk).ok();
    let chunks = styp.body.chunks_exact(4).enumerate();
    // The minor version stands second.
    chunks
        .filter(|(n, _)| *n != 1)
        .take(64)
        .filter_map(|(_, c)| four(c))
        .collect()
}

fn index(sidx: &Box<'_>) -> Result<SegmentIndex, BoxError> {
    let mut fields = Fields::new(*sidx);
    let (version, _) = fields.full()?;
    fields.u32()?;
    let timescale = fields.u32()?;
    let size = if version == 0 { 4 } else { 8 };
    let (earliest, offset) = (fields.uint(size)?, fields.uint(size)?);
    fields.take(2)?;
    let count = fields.uint(2)? as usize;
    if count > MAX_SAMPLES {
        return Err(BoxError::TooMany("references"));
    }
    let mut references = Vec::with_capacity(count.min(4096));
    for _ in 0..count {
        let (word, duration, sap) = (fields.u32()?, fields.u32()?, fields.u32()?);
        references.push(Reference {
            index: word >> 31 == 1,
            size: word & 0x7fff_ffff,
            duration,
            starts_with_sap: sap >> 31 == 1,
        });
    }
    let end = (sidx.offset as u64).saturating_add(sidx.size);
    Ok(SegmentIndex {
        timescale,
        earliest,
        first_byte: end.saturating_add(offset),
        references,
    })
}

fn producer_time(prft: &Box<'_>) -> Result<ProducerTime, BoxError> {
    let mut fields = Fields::new(*prft);
    let (version, flags) = fields.full()?;
    Ok(ProducerTime {
        track: fields.u32()?,
        ntp: fields.uint(8)?,
        media_time: fields.uint(if version == 0 { 4 } else { 8 })?,
        flags,
    })
}

fn event(emsg: &Box<'_>) -> Result<EventMessage, BoxError> {
    let mut fields = Fields::new(*emsg);
    let (version, _) = fields.full()?;
    let mut event = EventMessage {
        version,
        ..EventMessage::default()
    };
    if version == 0 {
        (event.scheme, event.value) = (text(&mut fields)?, text(&mut fields)?);
        (event.timescale, event.time) = (fields.u32()?, u64::from(fields.u32()?));
        (event.duration, event.id) = (fields.u32()?, fields.u32()?);
    } else {
        (event.timescale, event.time) = (fields.u32()?, fields.uint(8)?);
        (event.duration, event.id) = (fields.u32()?, fields.u32()?);
        (event.scheme, event.value) = (text(&mut fields)?, text(&mut fields)?);
    }
    event.message = fields.rest.to_vec();
    Ok(event)
}

/// A string that ends with a zero byte.
fn text(fields: &mut Fields<'_>) -> Result<String, BoxError> {
    let length = fields
        .rest
        .iter()
        .position(|b| *b == 0)
        .ok_or_else(|| fields.of.short())?;
    let text = String::from_utf8_lossy(fields.take(length)?).into_owned();
    fields.take(1)?;
    Ok(text)
}
