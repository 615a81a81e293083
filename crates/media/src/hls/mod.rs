//! HTTP Live Streaming playlists (RFC 8216 and draft-pantos-hls-rfc8216bis-22; section numbers are the
//! draft's).
//!
//! Own code rather than a crate: what a monitor needs is every `EXT-X-KEY` that applies, dates with
//! `+0000` as packagers write them, low-latency tags, and every problem with its line while reading goes
//! on; no crate gives all (ARCHITECTURE.md).

mod attributes;
mod delta;
mod parser;

pub use delta::{DeltaError, merge};

use crate::{Kid, Problem};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc};
use thiserror::Error;

/// Most lines that a playlist may have.
pub const MAX_LINES: usize = 400_000;
/// Most bytes that a playlist may have.
pub const MAX_BYTES: usize = 16 << 20;

/// A playlist, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it lists.
    pub playlist: Playlist,
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
    /// `EXT-X-VERSION`; 1 when absent (section 4.4.1.2).
    pub version: u64,
    /// `EXT-X-INDEPENDENT-SEGMENTS`.
    pub independent_segments: bool,
    /// `EXT-X-START`: TIME-OFFSET in seconds.
    pub start: Option<f64>,
    /// Variables of `EXT-X-DEFINE`, for import by media playlists.
    pub variables: BTreeMap<String, String>,
}

/// What kind of playlist it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist {
    /// Lists variants and renditions.
    Multivariant(Multivariant),
    /// Lists segments.
    Media(Media),
}

/// A Multivariant Playlist (section 4.4.6; "Master Playlist" in RFC 8216).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF`, in order.
    pub variants: Vec<Variant>,
    /// `EXT-X-I-FRAME-STREAM-INF`, in order.
    pub i_frames: Vec<Variant>,
    /// `EXT-X-MEDIA`, in order.
    pub renditions: Vec<Rendition>,
    /// `EXT-X-SESSION-KEY`.
    pub session_keys: Vec<Key>,
    /// `EXT-X-CONTENT-STEERING`.
    pub steering: Option<Steering>,
}

/// `EXT-X-CONTENT-STEERING` (section 4.4.6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// SERVER-URI, as written.
    pub server: String,
    /// PATHWAY-ID that applies until the server has answered.
    pub pathway: Option<String>,
    /// Line of the tag.
    pub line: usize,
}

/// One variant stream (section 4.4.6.2), or an I-frame variant (4.4.6.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Variant {
    /// URI of its Media Playlist, as written.
    pub uri: String,
    /// Peak segment bit rate, bits per second.
    pub bandwidth: u64,
    /// AVERAGE-BANDWIDTH, bits per second.
    pub average_bandwidth: Option<u64>,
    /// CODECS, each.
    pub codecs: Vec<String>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// HDCP-LEVEL.
    pub hdcp_level: Option<String>,
    /// AUDIO group.
    pub audio: Option<String>,
    /// VIDEO group.
    pub video: Option<String>,
    /// SUBTITLES group.
    pub subtitles: Option<String>,
    /// CLOSED-CAPTIONS group; `None` also for the enumerated NONE.
    pub closed_captions: Option<String>,
    /// PATHWAY-ID; `.` when absent (section 4.4.6.2).
    pub pathway: String,
    /// Line of the tag.
    pub line: usize,
}

/// One rendition (section 4.4.6.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendition {
    /// `AUDIO`, `VIDEO`, `SUBTITLES` or `CLOSED-CAPTIONS`.
    pub kind: String,
    /// GROUP-ID.
    pub group: String,
    /// NAME.
    pub name: String,
    /// LANGUAGE (RFC 5646).
    pub language: Option<String>,
    /// URI of its Media Playlist, as written; absent where the media is in the variant.
    pub uri: Option<String>,
    /// DEFAULT=YES.
    pub default: bool,
    /// AUTOSELECT=YES.
    pub autoselect: bool,
    /// FORCED=YES.
    pub forced: bool,
    /// CHANNELS.
    pub channels: Option<String>,
    /// CHARACTERISTICS.
    pub characteristics: Option<String>,
    /// Line of the tag.
    pub line: usize,
}

/// A Media Playlist (section 4.4.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, seconds.
    pub target_duration: f64,
    /// `EXT-X-MEDIA-SEQUENCE`; 0 when absent.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`; 0 when absent.
    pub discontinuity_sequence: u64,
    /// Segments, oldest first.
    pub segments: Vec<Segment>,
    /// Parts of the segment that is being made.
    pub parts: Vec<Part>,
    /// `EXT-X-ENDLIST`: no segment will be added.
    pub end_list: bool,
    /// `EXT-X-PLAYLIST-TYPE`.
    pub kind: Option<PlaylistType>,
    /// `EXT-X-I-FRAMES-ONLY`.
    pub i_frames_only: bool,
    /// `EXT-X-PART-INF`: PART-TARGET in seconds.
    pub part_target: Option<f64>,
    /// `EXT-X-SERVER-CONTROL`.
    pub server_control: Option<ServerControl>,
    /// `EXT-X-SKIP`: SKIPPED-SEGMENTS of a delta update.
    pub skipped: Option<u64>,
    /// `EXT-X-PRELOAD-HINT`.
    pub preload_hints: Vec<PreloadHint>,
    /// `EXT-X-RENDITION-REPORT`.
    pub rendition_reports: Vec<RenditionReport>,
    /// `EXT-X-DATERANGE`, in order.
    pub date_ranges: Vec<DateRange>,
}

/// `EXT-X-PLAYLIST-TYPE` (section 4.4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaylistType {
    /// Segments may only be appended.
    Event,
    /// The playlist does not change.
    Vod,
}

impl PlaylistType {
    /// The value of the tag, as a playlist writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            PlaylistType::Event => "EVENT",
            PlaylistType::Vod => "VOD",
        }
    }
}

/// `EXT-X-SERVER-CONTROL` (section 4.4.3.8). Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServerControl {
    /// CAN-BLOCK-RELOAD=YES.
    pub can_block_reload: bool,
    /// CAN-SKIP-UNTIL.
    pub can_skip_until: Option<f64>,
    /// HOLD-BACK.
    pub hold_back: Option<f64>,
    /// PART-HOLD-BACK.
    pub part_hold_back: Option<f64>,
    /// Line of the tag.
    pub line: usize,
}

/// `EXT-X-PART` (section 4.4.4.9).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    /// URI, as written.
    pub uri: String,
    /// Seconds.
    pub duration: f64,
    /// INDEPENDENT=YES.
    pub independent: bool,
    /// Offset and length of a sub-range of the resource.
    pub byte_range: Option<(u64, u64)>,
    /// GAP=YES.
    pub gap: bool,
    /// Line of the tag.
    pub line: usize,
}

/// `EXT-X-PRELOAD-HINT` (section 4.4.5.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreloadHint {
    /// `PART` or `MAP`.
    pub kind: String,
    /// URI, as written.
    pub uri: String,
    /// BYTERANGE-START.
    pub start: u64,
    /// Line of the tag.
    pub line: usize,
}

/// `EXT-X-RENDITION-REPORT` (section 4.4.5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenditionReport {
    /// URI of the other Media Playlist, as written.
    pub uri: String,
    /// LAST-MSN.
    pub last_msn: Option<u64>,
    /// LAST-PART.
    pub last_part: Option<u64>,
    /// Line of the tag.
    pub line: usize,
}

/// `EXT-X-DATERANGE` (section 4.4.5.1). Durations in seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DateRange {
    /// ID.
    pub id: String,
    /// CLASS.
    pub class: Option<String>,
    /// START-DATE.
    pub start: Option<Timestamp>,
    /// END-DATE.
    pub end: Option<Timestamp>,
    /// DURATION.
    pub duration: Option<f64>,
    /// PLANNED-DURATION.
    pub planned_duration: Option<f64>,
    /// END-ON-NEXT=YES.
    pub end_on_next: bool,
    /// SCTE35-CMD, bytes.
    pub scte35_cmd: Option<Vec<u8>>,
    /// SCTE35-OUT, bytes.
    pub scte35_out: Option<Vec<u8>>,
    /// SCTE35-IN, bytes.
    pub scte35_in: Option<Vec<u8>>,
    /// Line of the tag.
    pub line: usize,
}

/// One Media Segment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Segment {
    /// URI, as written.
    pub uri: String,
    /// `EXTINF` duration, seconds.
    pub duration: f64,
    /// Media sequence number.
    pub sequence: u64,
    /// `EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// Discontinuity sequence number (section 6.2.2).
    pub discontinuity_sequence: u64,
    /// Offset and length of a sub-range of the resource.
    pub byte_range: Option<(u64, u64)>,
    /// Its own `EXT-X-PROGRAM-DATE-TIME`.
    pub own_date: Option<Timestamp>,
    /// Wall-clock time of its first sample: its own date, or that of an earlier segment plus the durations
    /// since. Not across a discontinuity.
    pub program_date_time: Option<Timestamp>,
    /// The init section that applies.
    pub map: Option<Arc<Map>>,
    /// Every key that applies; several key systems may stand side by side.
    pub keys: Arc<[Key]>,
    /// `EXT-X-GAP`: the segment is known to be missing.
    pub gap: bool,
    /// `EXT-X-BITRATE`, kilobits per second.
    pub bitrate: Option<u64>,
    /// `EXT-X-PART` tags that make it up.
    pub parts: Vec<Part>,
    /// Advertisement markers before it.
    pub cues: Vec<Cue>,
    /// Line of the URI.
    pub line: usize,
}

/// `EXT-X-MAP`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// URI, as written.
    pub uri: String,
    /// Offset and length of a sub-range of the resource.
    pub byte_range: Option<(u64, u64)>,
    /// Line of the tag.
    pub line: usize,
}

/// `EXT-X-KEY` with a method other than `NONE`, or `EXT-X-SESSION-KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `AES-128`, `SAMPLE-AES` or `SAMPLE-AES-CTR`.
    pub method: String,
    /// URI, as written.
    pub uri: String,
    /// `KEYFORMAT`; `identity` when absent.
    pub format: String,
    /// `KEYID`, where the packager gives it.
    pub kid: Option<Kid>,
    /// `IV`, 16 bytes.
    pub iv: Option<[u8; 16]>,
    /// Line of the tag.
    pub line: usize,
}

/// An advertisement marker by one of the vendors' tags.
#[derive(Debug, Clone, PartialEq)]
pub enum Cue {
    /// `EXT-X-CUE-OUT`, with its duration in seconds where it is given.
    Out(Option<f64>),
    /// `EXT-X-CUE-OUT-CONT`, with the seconds since the break began and those of the whole break.
    Continued {
        /// Seconds since its beginning.
        elapsed: Option<f64>,
        /// Seconds in all.
        duration: Option<f64>,
    },
    /// `EXT-X-CUE-IN`.
    In,
    /// `EXT-OATCLS-SCTE35` or `EXT-X-SCTE35`: a splice_info_section; `None` when it is not Base64.
    Scte35(Option<Vec<u8>>),
}

/// Not a playlist at all.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum HlsError {
    /// The first line is not `#EXTM3U` (section 4.4.1.1).
    #[error("line 1: a playlist must begin with #EXTM3U")]
    NoHeader,
    /// The bytes are not UTF-8 (section 4).
    #[error("a playlist must be UTF-8, and is not at byte {0}")]
    NotUtf8(usize),
    /// Too long to be a playlist.
    #[error("a playlist must not have more than {MAX_LINES} lines or {MAX_BYTES} bytes")]
    TooLong,
}

/// What a playlist may refer to outside of itself (section 4.4.2.3).
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// Variables of the Multivariant Playlist, for `IMPORT`.
    pub imports: Option<&'a BTreeMap<String, String>>,
    /// Query component of the playlist's own URI, for `QUERYPARAM`.
    pub query: Option<&'a str>,
}

impl Media {
    /// Whether segments will still be added.
    pub fn is_live(&self) -> bool {
        !self.end_list && self.kind != Some(PlaylistType::Vod)
    }

    /// Wall-clock end of the newest segment or part, where dates are given.
    pub fn live_edge(&self) -> Option<Timestamp> {
        let last = self.segments.last()?;
        let parts: f64 = self.parts.iter().map(|p| p.duration).sum();
        plus(last.program_date_time?, last.duration + parts)
    }

    /// Duration of the longest segment, seconds.
    pub fn longest_segment(&self) -> f64 {
        self.segments.iter().map(|s| s.duration).fold(0.0, f64::max)
    }

    /// Sum of all durations, seconds.
    pub fn window(&self) -> f64 {
        self.segments.iter().map(|s| s.duration).sum()
    }

    /// Media sequence number of the newest segment.
    pub fn newest(&self) -> Option<u64> {
        self.segments.last().map(|s| s.sequence)
    }
}

/// An instant some seconds later.
pub(crate) fn plus(time: Timestamp, seconds: f64) -> Option<Timestamp> {
    let nanos = (seconds * 1e9) as i64;
    time.checked_add(jiff::SignedDuration::from_nanos(nanos)).ok()
}

/// Parses a playlist that refers to nothing outside of itself.
pub fn parse(bytes: &[u8]) -> Result<Document, HlsError> {
    parse_in(bytes, Surroundings::default())
}

/// Parses a playlist.
pub fn parse_in(bytes: &[u8], surroundings: Surroundings<'_>) -> Result<Document, HlsError> {
    if bytes.len() > MAX_BYTES {
        return Err(HlsError::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| HlsError::NotUtf8(e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    parser::parse(text, surroundings)
}

#[cfg(test)]
mod tests;
