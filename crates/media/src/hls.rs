//! HTTP Live Streaming playlists (RFC 8216 and draft-pantos-hls-rfc8216bis).
//!
//! Own code rather than a crate: what a monitor needs is every `EXT-X-KEY` that applies, dates with
//! `+0000` as packagers write them, and errors with their line; no crate gives all three (ARCHITECTURE.md).

use crate::Kid;
use jiff::Timestamp;
use thiserror::Error;

/// Most lines that a playlist may have.
pub const MAX_LINES: usize = 200_000;

/// A playlist.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist {
    /// Lists variants and renditions.
    Multivariant(Multivariant),
    /// Lists segments.
    Media(Media),
}

/// A Multivariant Playlist (section 4.3.4; "Master Playlist" in RFC 8216).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF`, in order.
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA` with a URI, in order.
    pub renditions: Vec<Rendition>,
}

/// One variant stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// URI of its Media Playlist, as written.
    pub uri: String,
    /// Peak bit rate, bits per second.
    pub bandwidth: u64,
    /// Line of the tag.
    pub line: usize,
}

/// One rendition with a playlist of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition {
    /// `AUDIO`, `VIDEO` or `SUBTITLES`.
    pub kind: String,
    /// URI of its Media Playlist, as written.
    pub uri: String,
}

/// A Media Playlist (section 4.3.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, seconds.
    pub target_duration: f64,
    /// `EXT-X-MEDIA-SEQUENCE`; 0 when absent.
    pub media_sequence: u64,
    /// Segments, oldest first.
    pub segments: Vec<Segment>,
    /// `EXT-X-ENDLIST`: no segment will be added.
    pub end_list: bool,
    /// `EXT-X-PLAYLIST-TYPE:VOD`.
    pub vod: bool,
}

/// One Media Segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// URI, as written.
    pub uri: String,
    /// `EXTINF` duration, seconds.
    pub duration: f64,
    /// Media sequence number.
    pub sequence: u64,
    /// Offset and length of a sub-range of the resource.
    pub byte_range: Option<(u64, u64)>,
    /// Wall-clock time of its first sample: its own `EXT-X-PROGRAM-DATE-TIME`, or that of an earlier
    /// segment plus the durations since.
    pub program_date_time: Option<Timestamp>,
    /// The init section that applies.
    pub map: Option<Map>,
    /// Every key that applies; several key systems may stand side by side.
    pub keys: Vec<Key>,
    /// `EXT-X-GAP`: the segment is known to be missing.
    pub gap: bool,
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
}

/// `EXT-X-KEY` with a method other than `NONE`.
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
}

/// What is wrong with a playlist.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum HlsError {
    /// The first line is not `#EXTM3U` (section 4.3.1.1).
    #[error("line 1: a playlist must begin with #EXTM3U")]
    NoHeader,
    /// The bytes are not UTF-8 (section 4).
    #[error("a playlist must be UTF-8, and is not at byte {0}")]
    NotUtf8(usize),
    /// A tag is broken, missing or in the wrong place.
    #[error("line {line}: {tag} {problem}")]
    Tag {
        /// Line, from 1.
        line: usize,
        /// The tag.
        tag: &'static str,
        /// What it must be.
        problem: String,
    },
    /// Too long to be a playlist.
    #[error("a playlist must not have more than {MAX_LINES} lines")]
    TooLong,
}

impl Media {
    /// Whether segments will still be added.
    pub fn is_live(&self) -> bool {
        !self.end_list && !self.vod
    }

    /// Wall-clock end of the newest segment, where dates are given.
    pub fn live_edge(&self) -> Option<Timestamp> {
        let last = self.segments.last()?;
        plus(last.program_date_time?, last.duration)
    }

    /// Duration of the longest segment, seconds.
    pub fn longest_segment(&self) -> f64 {
        self.segments.iter().map(|s| s.duration).fold(0.0, f64::max)
    }
}

fn plus(time: Timestamp, seconds: f64) -> Option<Timestamp> {
    let nanos = (seconds * 1e9) as i64;
    time.checked_add(jiff::SignedDuration::from_nanos(nanos)).ok()
}

/// Parses a playlist.
pub fn parse(bytes: &[u8]) -> Result<Playlist, HlsError> {
    let text = std::str::from_utf8(bytes).map_err(|e| HlsError::NotUtf8(e.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::default();
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim_end()));
    if lines
        .next()
        .is_none_or(|(_, first)| !first.starts_with("#EXTM3U"))
    {
        return Err(HlsError::NoHeader);
    }
    for (line, content) in lines {
        if line > MAX_LINES {
            return Err(HlsError::TooLong);
        }
        match content.strip_prefix('#') {
            _ if content.trim().is_empty() => {}
            Some(tag) if tag.starts_with("EXT") => parser.tag(line, tag)?,
            Some(_) => {}
            None => parser.uri(line, content.trim())?,
        }
    }
    parser.finish()
}

#[derive(Default)]
struct Parser {
    multivariant: Multivariant,
    media: Media,
    seen_target: bool,
    /// First line of a tag that only one kind of playlist may have.
    multivariant_line: Option<usize>,
    media_line: Option<usize>,
    stream_inf: Option<(u64, usize)>,
    duration: Option<f64>,
    byte_range: Option<(Option<u64>, u64)>,
    range_end: Option<(String, u64)>,
    date: Option<Timestamp>,
    map: Option<Map>,
    keys: Vec<Key>,
    key_open: bool,
    gap: bool,
}

fn broken(line: usize, tag: &'static str, problem: impl Into<String>) -> HlsError {
    HlsError::Tag {
        line,
        tag,
        problem: problem.into(),
    }
}

impl Parser {
    fn tag(&mut self, line: usize, tag: &str) -> Result<(), HlsError> {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "EXT-X-STREAM-INF" | "EXT-X-MEDIA" | "EXT-X-I-FRAME-STREAM-INF" => {
                self.multivariant_line.get_or_insert(line);
            }
            "EXTINF" | "EXT-X-TARGETDURATION" | "EXT-X-MEDIA-SEQUENCE" | "EXT-X-ENDLIST" => {
                self.media_line.get_or_insert(line);
            }
            _ => {}
        }
        match name {
            "EXT-X-STREAM-INF" => {
                let bandwidth = attribute(value, "BANDWIDTH")
                    .and_then(|v| v.parse().ok())
                    .ok_or_else(|| {
                        broken(
                            line,
                            "EXT-X-STREAM-INF",
                            "must have a BANDWIDTH in bits per second",
                        )
                    })?;
                self.stream_inf = Some((bandwidth, line));
            }
            "EXT-X-MEDIA" => {
                let kind = attribute(value, "TYPE")
                    .ok_or_else(|| broken(line, "EXT-X-MEDIA", "must have a TYPE"))?;
                if let Some(uri) = attribute(value, "URI") {
                    self.multivariant.renditions.push(Rendition { kind, uri });
                }
            }
            "EXT-X-TARGETDURATION" => {
                let seconds: f64 = number(value)
                    .ok_or_else(|| broken(line, "EXT-X-TARGETDURATION", "must be a number of seconds"))?;
                (self.media.target_duration, self.seen_target) = (seconds, true);
            }
            "EXT-X-MEDIA-SEQUENCE" => {
                self.media.media_sequence = value
                    .trim()
                    .parse()
                    .map_err(|_| broken(line, "EXT-X-MEDIA-SEQUENCE", "must be a whole number"))?;
                if !self.media.segments.is_empty() {
                    return Err(broken(
                        line,
                        "EXT-X-MEDIA-SEQUENCE",
                        "must come before the first segment",
                    ));
                }
            }
            "EXTINF" => {
                let seconds = value.split(',').next().unwrap_or_default();
                self.duration = Some(
                    number(seconds)
                        .ok_or_else(|| broken(line, "EXTINF", "must begin with a duration in seconds"))?,
                );
            }
            "EXT-X-BYTERANGE" => {
                self.byte_range = Some(
                    byte_range(value)
                        .ok_or_else(|| broken(line, "EXT-X-BYTERANGE", "must be LENGTH[@OFFSET]"))?,
                );
            }
            "EXT-X-PROGRAM-DATE-TIME" => {
                self.date = Some(date(value).ok_or_else(|| {
                    broken(
                        line,
                        "EXT-X-PROGRAM-DATE-TIME",
                        "must be an ISO 8601 date with a zone",
                    )
                })?);
            }
            "EXT-X-MAP" => {
                let uri =
                    attribute(value, "URI").ok_or_else(|| broken(line, "EXT-X-MAP", "must have a URI"))?;
                let range = match attribute(value, "BYTERANGE") {
                    Some(range) => {
                        let (offset, length) = byte_range(&range).ok_or_else(|| {
                            broken(
                                line,
                                "EXT-X-MAP",
                                "must have a BYTERANGE of the form LENGTH[@OFFSET]",
                            )
                        })?;
                        Some((offset.unwrap_or(0), length))
                    }
                    None => None,
                };
                self.map = Some(Map {
                    uri,
                    byte_range: range,
                });
            }
            "EXT-X-KEY" => self.key(line, value)?,
            "EXT-X-GAP" => self.gap = true,
            "EXT-X-ENDLIST" => self.media.end_list = true,
            "EXT-X-PLAYLIST-TYPE" => self.media.vod = value.trim() == "VOD",
            _ => {}
        }
        Ok(())
    }

    /// Keys given together apply together; the first key behind a segment begins a new set.
    fn key(&mut self, line: usize, value: &str) -> Result<(), HlsError> {
        let method =
            attribute(value, "METHOD").ok_or_else(|| broken(line, "EXT-X-KEY", "must have a METHOD"))?;
        if !self.key_open {
            (self.keys, self.key_open) = (Vec::new(), true);
        }
        if method == "NONE" {
            self.keys.clear();
            return Ok(());
        }
        let uri = attribute(value, "URI")
            .ok_or_else(|| broken(line, "EXT-X-KEY", format!("must have a URI with METHOD={method}")))?;
        let kid = match attribute(value, "KEYID") {
            Some(text) => Some(
                Kid::parse(&text).map_err(|e| broken(line, "EXT-X-KEY", format!("has a bad KEYID: {e}")))?,
            ),
            None => None,
        };
        let format = attribute(value, "KEYFORMAT").unwrap_or_else(|| "identity".into());
        self.keys.push(Key {
            method,
            uri,
            format,
            kid,
        });
        Ok(())
    }

    fn uri(&mut self, line: usize, uri: &str) -> Result<(), HlsError> {
        if let Some((bandwidth, line)) = self.stream_inf.take() {
            self.multivariant.variants.push(Variant {
                uri: uri.to_owned(),
                bandwidth,
                line,
            });
            return Ok(());
        }
        let Some(duration) = self.duration.take() else {
            return Err(broken(line, "EXTINF", "must stand before this URI"));
        };
        let byte_range = self.byte_range.take().map(|(offset, length)| {
            // Without an offset the range goes on where the one before it ended (section 4.3.2.2).
            let offset = offset.unwrap_or_else(|| match &self.range_end {
                Some((before, end)) if before == uri => *end,
                _ => 0,
            });
            self.range_end = Some((uri.to_owned(), offset.saturating_add(length)));
            (offset, length)
        });
        let sequence = self
            .media
            .media_sequence
            .saturating_add(self.media.segments.len() as u64);
        let extrapolated = self
            .media
            .segments
            .last()
            .and_then(|s| plus(s.program_date_time?, s.duration));
        self.media.segments.push(Segment {
            uri: uri.to_owned(),
            duration,
            sequence,
            byte_range,
            program_date_time: self.date.take().or(extrapolated),
            map: self.map.clone(),
            keys: self.keys.clone(),
            gap: std::mem::take(&mut self.gap),
            line,
        });
        self.key_open = false;
        Ok(())
    }

    fn finish(self) -> Result<Playlist, HlsError> {
        match (self.multivariant_line, self.media_line) {
            // Section 4.3: media and multivariant tags in one playlist: clients MUST fail to parse it.
            (Some(a), Some(b)) => Err(broken(
                a.max(b),
                "playlist",
                "must not mix tags of media and of multivariant playlists",
            )),
            (Some(line), None) => {
                if let Some((_, line)) = self.stream_inf {
                    return Err(broken(line, "EXT-X-STREAM-INF", "must be followed by a URI"));
                }
                if self.multivariant.variants.is_empty() {
                    return Err(broken(line, "EXT-X-STREAM-INF", "must be there at least once"));
                }
                Ok(Playlist::Multivariant(self.multivariant))
            }
            (None, _) if !self.seen_target => Err(broken(
                1,
                "EXT-X-TARGETDURATION",
                "must be there in a media playlist",
            )),
            (None, _) => Ok(Playlist::Media(self.media)),
        }
    }
}

/// A non-negative, finite decimal number.
fn number(text: &str) -> Option<f64> {
    text.trim()
        .parse::<f64>()
        .ok()
        .filter(|n| n.is_finite() && *n >= 0.0 && *n < 1e9)
}

fn byte_range(text: &str) -> Option<(Option<u64>, u64)> {
    match text.trim().split_once('@') {
        Some((length, offset)) => Some((Some(offset.parse().ok()?), length.parse().ok()?)),
        None => Some((None, text.trim().parse().ok()?)),
    }
}

/// ISO 8601 with a zone; `+0000` without its colon is what ffmpeg and others write.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let (head, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
        format!("{head}:{minutes}").parse().ok()
    })
}

/// Value of one attribute of an attribute list (section 4.2), quotes taken off.
fn attribute(list: &str, wanted: &str) -> Option<String> {
    let mut rest = list;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.trim_start().strip_prefix(',').unwrap_or(next))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if name.trim() == wanted {
            return Some(value.trim().to_owned());
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(text: &str) -> Media {
        match parse(text.as_bytes()) {
            Ok(Playlist::Media(media)) => media,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dates_are_carried_from_segment_to_segment() {
        let list = media(
            "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PROGRAM-DATE-TIME:2026-11-23T12:00:00.000+0000\n#EXTINF:6,\na\n#EXTINF:5.5,\nb\n",
        );
        assert_eq!(list.segments[1].sequence, 8);
        assert_eq!(list.live_edge(), Some("2026-11-23T12:00:11.5Z".parse().unwrap()));
        assert!(list.is_live());
    }

    #[test]
    fn every_key_that_applies_is_kept_and_a_later_set_replaces_it() {
        let list = media(
            "#EXTM3U\n#EXT-X-TARGETDURATION:6\n\
             #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://1\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
             #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:x,y\",KEYID=0x00112233445566778899aabbccddeeff\n\
             #EXTINF:6,\na\n#EXTINF:6,\nb\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:6,\nc\n",
        );
        assert_eq!(list.segments[1].keys.len(), 2);
        assert_eq!(
            list.segments[1].keys[1].kid.unwrap().to_string(),
            "00112233445566778899aabbccddeeff"
        );
        assert!(list.segments[2].keys.is_empty());
    }

    #[test]
    fn byte_ranges_without_offset_go_on_where_the_last_ended() {
        let list = media(
            "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n#EXT-X-BYTERANGE:100@10\na\n#EXTINF:6,\n#EXT-X-BYTERANGE:50\na\n",
        );
        assert_eq!(list.segments[1].byte_range, Some((110, 50)));
    }

    #[test]
    fn mistakes_name_line_and_tag() {
        let check =
            |text: &str, message: &str| assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message);
        check("<html>", "line 1: a playlist must begin with #EXTM3U");
        check("", "line 1: a playlist must begin with #EXTM3U");
        check(
            "#EXTM3U\n#EXTINF:x,\na",
            "line 2: EXTINF must begin with a duration in seconds",
        );
        check(
            "#EXTM3U\n#EXT-X-TARGETDURATION:6\na",
            "line 3: EXTINF must stand before this URI",
        );
        check(
            "#EXTM3U\n#EXTINF:6,\na",
            "line 1: EXT-X-TARGETDURATION must be there in a media playlist",
        );
        check(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-TARGETDURATION:6\n",
            "line 4: playlist must not mix tags of media and of multivariant playlists",
        );
    }
}
