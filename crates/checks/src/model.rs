//! What one run found out about a stream.

use drmwatch_media::{
    Kid, Problem, SegmentKind,
    bmff::{BoxError, Head, Init, Pssh},
    dash, hds, hls, signal, smooth,
    text::Subtitles,
    ts::TsHead,
};
use drmwatch_outcome::Reason;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Everything that one run found out.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When the manifest was received.
    pub at: Timestamp,
    /// The manifest.
    pub manifest: Manifest,
    /// How it was had.
    pub entry: Exchange,
    /// Segments will still be added.
    pub live: bool,
    /// Playlists, representations or quality levels that were looked at.
    pub renditions: Vec<Rendition>,
    /// How many the manifest lists.
    pub listed: usize,
    /// Line and text of each URI that leads nowhere, without its query.
    pub unresolved: Vec<(usize, String)>,
    /// What was tried beyond the stream itself.
    pub active: Active,
}

/// A manifest of any format.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Manifest {
    Hls(hls::Document),
    Dash(dash::Mpd),
    Smooth(smooth::Manifest),
    Hds(hds::Manifest),
}

impl Manifest {
    /// What is wrong with it.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Manifest::Hls(document) => &document.problems,
            Manifest::Dash(mpd) => &mpd.problems,
            Manifest::Smooth(manifest) => &manifest.problems,
            Manifest::Hds(manifest) => &manifest.problems,
        }
    }

    /// The multivariant playlist, where it is one.
    pub fn multivariant(&self) -> Option<&hls::Multivariant> {
        match self {
            Manifest::Hls(hls::Document {
                playlist: hls::Playlist::Multivariant(list),
                ..
            }) => Some(list),
            _ => None,
        }
    }

    /// The MPD, where it is one.
    pub fn mpd(&self) -> Option<&dash::Mpd> {
        match self {
            Manifest::Dash(mpd) => Some(mpd),
            _ => None,
        }
    }
}

/// How a resource was had.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exchange {
    /// When its answer was whole.
    pub at: Option<Timestamp>,
    /// Status of the last hop.
    pub status: u16,
    /// Headers of the last hop, names in lower case, every value.
    pub headers: BTreeMap<String, Vec<String>>,
    /// `https` all the way.
    pub secure: bool,
    /// Number of redirects.
    pub redirects: usize,
    /// A redirect led from https to http.
    pub downgraded: bool,
    /// Bytes of all bodies, as they came over the wire.
    pub wire_bytes: u64,
    /// Bytes of the body, decompressed.
    pub body_bytes: u64,
    /// Seconds from the beginning to the end of the answer, all hops.
    pub seconds: f64,
    /// Seconds of name resolution, connection and TLS of all hops.
    pub setup_seconds: f64,
    /// Seconds from the request to the head of the answer, last hop.
    pub first_byte_seconds: f64,
    /// `http/1.1` or `h2`.
    pub protocol: Option<String>,
    /// notAfter of the certificate that expires first.
    pub not_after: Option<Timestamp>,
}

/// A date as HTTP writes it (RFC 9110 section 5.6.7).
pub fn http_date(text: &str) -> Option<Timestamp> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(text).ok()
}

impl Exchange {
    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.first().map(String::as_str)
    }

    /// A header that is a date (RFC 9110 section 5.6.7).
    pub fn date(&self, name: &str) -> Option<Timestamp> {
        http_date(self.header(name)?)
    }

    /// A directive of Cache-Control (RFC 9111 section 5.2), with its number where it has one.
    pub fn cache(&self, directive: &str) -> Option<Option<u64>> {
        let all = self
            .headers
            .get("cache-control")?
            .iter()
            .flat_map(|v| v.split(','));
        let mut parts = all.map(|d| d.trim().split_once('=').unwrap_or((d.trim(), "")));
        let (_, value) = parts.find(|(name, _)| name.eq_ignore_ascii_case(directive))?;
        Some(value.trim_matches('"').parse().ok())
    }
}

/// Something that may be there, and why not.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Loaded<T> {
    /// Not looked for.
    #[default]
    NotTried,
    /// There is none, or it was left out, and why.
    Absent(String),
    /// It could not be had.
    Failed(Reason, String),
    /// Here it is.
    Found(T),
}

impl<T> Loaded<T> {
    /// What was found.
    pub fn found(&self) -> Option<&T> {
        match self {
            Loaded::Found(value) => Some(value),
            _ => None,
        }
    }

    /// Why it could not be had.
    pub fn failure(&self) -> Option<(Reason, &str)> {
        match self {
            Loaded::Failed(reason, message) => Some((*reason, message)),
            _ => None,
        }
    }

    /// Why there is nothing.
    pub fn why(&self) -> String {
        match self {
            Loaded::NotTried => "it was not fetched in this run".into(),
            Loaded::Absent(why) => why.clone(),
            Loaded::Failed(reason, _) => format!("it could not be had: {reason}"),
            Loaded::Found(_) => String::new(),
        }
    }
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Video, perhaps with audio in it.
    #[default]
    Video,
    /// Audio.
    Audio,
    /// Subtitles.
    Text,
    /// I-frames or thumbnails.
    TrickPlay,
}

/// One playlist, representation or quality level.
#[derive(Debug, Clone, Default)]
pub struct Rendition {
    /// Stays the same from run to run, whatever else the manifest gains or loses.
    pub key: String,
    /// For people: `video 2 (800 kbit/s)`.
    pub label: String,
    /// What it carries.
    pub kind: Kind,
    /// What the manifest declares.
    pub declared: Declared,
    /// How its own playlist or bootstrap was had.
    pub exchange: Option<Exchange>,
    /// Its own playlist, in HLS.
    pub playlist: Loaded<hls::Document>,
    /// Its bootstrap, in HDS.
    pub bootstrap: Loaded<hds::Bootstrap>,
    /// Its newest segment, by the manifest.
    pub edge: Option<Edge>,
    /// DRM signalling that applies to its newest segment.
    pub signals: Vec<Signal>,
    /// Its init segment.
    pub init: Loaded<InitSegment>,
    /// Its newest segment.
    pub newest: Loaded<Segment>,
    /// The one before.
    pub second: Loaded<Segment>,
    /// The oldest that is said to be there: its first byte.
    pub oldest: Loaded<Exchange>,
    /// A whole segment: bytes, and its duration by the manifest.
    pub whole: Option<(Exchange, f64)>,
}

impl Rendition {
    /// Its media playlist, where it is one.
    pub fn media(&self) -> Option<&hls::Media> {
        match self.playlist.found() {
            Some(hls::Document {
                playlist: hls::Playlist::Media(media),
                ..
            }) => Some(media),
            _ => None,
        }
    }
}

/// What the manifest declares of a rendition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declared {
    /// Peak bit rate, bits per second.
    pub bandwidth: u64,
    /// Codecs (RFC 6381).
    pub codecs: Vec<String>,
    /// Width and height.
    pub size: Option<(u64, u64)>,
    /// Ticks per second.
    pub timescale: Option<u64>,
    /// Language (RFC 5646).
    pub language: Option<String>,
    /// Alternative location that it belongs to.
    pub pathway: Option<String>,
}

/// The newest segment, by the manifest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edge {
    /// Media sequence number, or milliseconds on the presentation timeline: grows with every segment.
    pub number: u64,
    /// Wall-clock end, where the manifest tells.
    pub end: Option<Timestamp>,
    /// Seconds on the presentation timeline, of the end.
    pub position: Option<f64>,
    /// Target duration, or that of the newest segment, seconds.
    pub duration: f64,
    /// Duration of the longest segment, seconds.
    pub longest: f64,
    /// Seconds listed.
    pub window: f64,
    /// Segments listed.
    pub count: u64,
    /// The clock alone says which is the newest: it can't stand still.
    pub clocked: bool,
}

/// DRM signalling of one system, or of none in particular.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signal {
    /// `cenc`, `cbcs`, …, where the manifest says so.
    pub scheme: Option<String>,
    /// System id.
    pub system: Option<[u8; 16]>,
    /// METHOD of an HLS key.
    pub method: Option<String>,
    /// KEYFORMAT of an HLS key.
    pub format: Option<String>,
    /// URI of an HLS key, unless it holds data.
    pub uri: Option<String>,
    /// An HLS key has an IV.
    pub has_iv: bool,
    /// Key ids that the manifest names outright.
    pub kids: Vec<Kid>,
    /// `pssh` boxes in the manifest.
    pub pssh: Vec<Result<Pssh, BoxError>>,
    /// PlayReady headers in the manifest.
    pub playready: Vec<Result<signal::PlayReadyHeader, signal::SignalError>>,
    /// Line.
    pub line: usize,
}

/// An init segment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InitSegment {
    /// What it declares.
    pub init: Init,
    /// A hash of its URL, and one of its bytes.
    pub identity: (u64, u64),
}

/// The head of a media segment.
#[derive(Debug, Clone, Default)]
pub struct Segment {
    /// How it was had.
    pub exchange: Exchange,
    /// Media sequence number or milliseconds, as in [`Edge`].
    pub number: u64,
    /// Its duration by the manifest, seconds.
    pub duration: f64,
    /// Where it begins by the manifest, in ticks of `declared.timescale`; or in ticks of the URL (Smooth).
    pub time: Option<u64>,
    /// A discontinuity stands before it.
    pub discontinuity: bool,
    /// It is served while it is made: what is there is not all of it.
    pub growing: bool,
    /// Bytes of the whole segment, where the server told.
    pub size: Option<u64>,
    /// A range of it was asked for.
    pub ranged: bool,
    /// The manifest addresses it by a byte range.
    pub byte_range: bool,
    /// Container.
    pub kind: Option<SegmentKind>,
    /// Fragments, of fragmented MP4.
    pub head: Option<Result<Head, BoxError>>,
    /// Packets, of a transport stream.
    pub ts: Option<TsHead>,
    /// Cues, of subtitles.
    pub subtitles: Option<Subtitles>,
    /// All of it is ciphertext: nothing inside can be read.
    pub opaque: bool,
    /// The bytes are all of it.
    pub whole: bool,
}

/// What was tried beyond the stream itself. `None` and empty where it was not tried.
#[derive(Debug, Clone, Default)]
pub struct Active {
    /// The MPD's clock minus ours, seconds; or why it could not be read.
    pub clock: Option<Result<f64, String>>,
    /// A blocking reload.
    pub blocking: Option<Blocking>,
    /// Requests that must be answered 400: what, and the status.
    pub refusals: Vec<(String, u16)>,
    /// A delta update: whether it merges to the whole playlist.
    pub delta: Option<Result<(), String>>,
    /// The preload hint: whether it could be had.
    pub hint: Option<Result<(), String>>,
    /// The content steering manifest.
    pub steering: Option<Result<SteeringManifest, String>>,
    /// Requests with an Origin: what was asked for, and how it was answered.
    pub cors: Vec<(String, Exchange)>,
    /// A segment that can't exist.
    pub missing_segment: Option<Exchange>,
    /// The manifest by each address of its host.
    pub addresses: Vec<Alternative>,
    /// The stream by each alternative location.
    pub locations: Vec<Alternative>,
    /// Partial reads of something on demand.
    pub partial: Option<Result<(), String>>,
    /// The stream demands a token.
    pub tokened: bool,
    /// The must-deny matrix.
    pub tokens: Vec<TokenTrial>,
    /// An AES-128 key: whether it opens the newest segment.
    pub key: Option<Result<(), (Reason, String)>>,
    /// Bytes of everything.
    pub wire_bytes: u64,
    /// Key ids of the same asset in another format.
    pub other_kids: Option<(String, Vec<Kid>)>,
}

/// A blocking playlist reload (draft-pantos-hls-rfc8216bis section 6.2.5.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Blocking {
    /// Media sequence number and part that were waited for.
    pub asked: (u64, u64),
    /// What would come next behind the answer; or how it failed.
    pub got: Result<(u64, u64), String>,
    /// Status of the answer.
    pub status: u16,
    /// Seconds that it was held.
    pub seconds: f64,
}

/// A content steering manifest (draft-pantos-hls-rfc8216bis section 7).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SteeringManifest {
    /// TTL, seconds.
    pub ttl: Option<u64>,
    /// PATHWAY-PRIORITY.
    pub pathways: Vec<String>,
}

/// The same stream by another way.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// For people: an address family and its number, or the name of a pathway. Never a URL.
    pub name: String,
    /// Newest segment that it serves; or how it failed.
    pub newest: Result<u64, String>,
    /// Segments are this long there, in the unit of `newest`.
    pub step: f64,
    /// Seconds until the answer was whole.
    pub seconds: f64,
}

/// One request of the must-deny matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenTrial {
    /// What was wrong with the token; `None` for a fresh one.
    pub case: Option<&'static str>,
    /// `manifest`, `playlist`, `init`, `segment` or `key`.
    pub target: &'static str,
    /// Status of the answer; or how the request failed.
    pub status: Result<u16, String>,
}
