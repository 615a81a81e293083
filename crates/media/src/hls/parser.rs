//! From lines to a playlist.

use super::{
    attributes::{Attributes, Variables, byte_range, date, fill, number},
    *,
};
use crate::problem::{Problems, quoted};
use base64::{Engine, engine::general_purpose::STANDARD};

mod multivariant;
mod resources;

const MAX_KEYS: usize = 64;
const MAX_VARIABLES: usize = 1000;

pub(super) fn parse(text: &str, surroundings: Surroundings<'_>) -> Result<Document, HlsError> {
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim_end()));
    if lines
        .next()
        .is_none_or(|(_, first)| !first.starts_with("#EXTM3U"))
    {
        return Err(HlsError::NoHeader);
    }
    let mut parser = Parser::new(surroundings);
    for (line, content) in lines {
        if line > MAX_LINES {
            return Err(HlsError::TooLong);
        }
        match content.as_bytes().first() {
            None => {}
            Some(b'#') if content.starts_with("#EXT") => parser.tag(line, &content[1..]),
            Some(b'#') => {}
            Some(_) => parser.uri(line, content.trim()),
        }
    }
    Ok(parser.finish())
}

struct Parser<'a> {
    surroundings: Surroundings<'a>,
    problems: Problems,
    variables: Variables,
    version: Option<u64>,
    independent: bool,
    start: Option<f64>,
    multivariant: Multivariant,
    media: Media,
    /// Lines of the tags that may stand once.
    seen: Vec<(&'static str, usize)>,
    /// First line of a tag that only one kind of playlist may have.
    multivariant_line: Option<usize>,
    media_line: Option<usize>,
    variant: Option<Variant>,
    duration: Option<f64>,
    byte_range: Option<(Option<u64>, u64)>,
    range_end: Option<(String, u64)>,
    map_end: Option<(String, u64)>,
    date: Option<Timestamp>,
    discontinuity: bool,
    discontinuities: u64,
    map: Option<Arc<Map>>,
    keys: Arc<[Key]>,
    gap: bool,
    bitrate: Option<u64>,
    parts: Vec<Part>,
    part_end: Option<(String, u64)>,
    cues: Vec<Cue>,
    /// Where the next segment begins, by the dates so far.
    clock: Option<Timestamp>,
}

impl<'a> Parser<'a> {
    fn new(surroundings: Surroundings<'a>) -> Parser<'a> {
        Parser {
            surroundings,
            problems: Problems::default(),
            variables: Variables::new(),
            version: None,
            independent: false,
            start: None,
            multivariant: Multivariant::default(),
            media: Media::default(),
            seen: Vec::new(),
            multivariant_line: None,
            media_line: None,
            variant: None,
            duration: None,
            byte_range: None,
            range_end: None,
            map_end: None,
            date: None,
            discontinuity: false,
            discontinuities: 0,
            map: None,
            keys: Arc::new([]),
            gap: false,
            bitrate: None,
            parts: Vec::new(),
            part_end: None,
            cues: Vec::new(),
            clock: None,
        }
    }

    fn wrong(&mut self, line: usize, tag: &'static str, message: impl Into<String>) {
        self.problems.line(line, tag, message);
    }

    /// Notes a tag that may stand once (section 4.4).
    fn once(&mut self, line: usize, tag: &'static str) {
        match self.seen.iter().find(|(t, _)| *t == tag) {
            Some((_, first)) => {
                let message = format!("must not stand twice; the first is on line {first}");
                self.wrong(line, tag, message);
            }
            None => self.seen.push((tag, line)),
        }
    }

    fn whole(&mut self, line: usize, tag: &'static str, value: &str) -> Option<u64> {
        let found = value.trim().parse().ok();
        if found.is_none() {
            self.wrong(
                line,
                tag,
                format!("must be a whole number, not {}", quoted(value)),
            );
        }
        found
    }

    fn tag(&mut self, line: usize, tag: &str) {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "EXTINF" => {
                self.media_line.get_or_insert(line);
                let seconds = value.split_once(',').map_or(value, |(seconds, _)| seconds);
                let found = number(seconds);
                if found.is_none() {
                    let message = format!("must begin with a duration in seconds, not {}", quoted(seconds));
                    self.wrong(line, "EXTINF", message);
                }
                // The segment stays in its place, so that no number behind it shifts.
                self.duration = Some(found.unwrap_or(0.0));
            }
            "EXT-X-BYTERANGE" => {
                self.byte_range = byte_range(value);
                if self.byte_range.is_none() {
                    self.wrong(line, "EXT-X-BYTERANGE", "must be LENGTH[@OFFSET]");
                }
            }
            "EXT-X-PROGRAM-DATE-TIME" => {
                self.date = date(value);
                if self.date.is_none() {
                    let message = format!("must be an ISO 8601 date with a zone, not {}", quoted(value));
                    self.wrong(line, "EXT-X-PROGRAM-DATE-TIME", message);
                }
            }
            "EXT-X-DISCONTINUITY" => {
                self.discontinuity = true;
                self.discontinuities = self.discontinuities.saturating_add(1);
            }
            "EXT-X-GAP" => self.gap = true,
            "EXT-X-BITRATE" => self.bitrate = self.whole(line, "EXT-X-BITRATE", value),
            "EXT-X-PART" => self.part(line, value),
            "EXT-X-KEY" => self.key(line, value),
            "EXT-X-MAP" => self.map(line, value),
            "EXT-X-DATERANGE" => self.date_range(line, value),
            "EXT-X-CUE-OUT" => {
                let text = value.rsplit('=').next().unwrap_or(value);
                self.cues.push(Cue::Out(number(text)));
            }
            "EXT-X-CUE-OUT-CONT" => self.cues.push(continued(value)),
            "EXT-X-CUE-IN" => self.cues.push(Cue::In),
            "EXT-OATCLS-SCTE35" => self.cues.push(Cue::Scte35(STANDARD.decode(value.trim()).ok())),
            "EXT-X-SCTE35" => {
                let mut list = self.attributes("EXT-X-SCTE35", line, value);
                let cue = list
                    .text("CUE")
                    .and_then(|text| STANDARD.decode(text.trim()).ok());
                self.cues.push(Cue::Scte35(cue));
            }
            "EXT-X-VERSION" => {
                self.once(line, "EXT-X-VERSION");
                self.version = self.whole(line, "EXT-X-VERSION", value);
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => self.independent = true,
            "EXT-X-START" => {
                let offset = value
                    .split(',')
                    .find_map(|a| a.trim().strip_prefix("TIME-OFFSET="));
                self.start = offset
                    .and_then(|v| v.parse().ok())
                    .filter(|v: &f64| v.is_finite());
                if self.start.is_none() {
                    self.wrong(
                        line,
                        "EXT-X-START",
                        "must have a number of seconds as TIME-OFFSET",
                    );
                }
            }
            "EXT-X-DEFINE" => self.define(line, value),
            "EXT-X-STREAM-INF"
            | "EXT-X-I-FRAME-STREAM-INF"
            | "EXT-X-MEDIA"
            | "EXT-X-SESSION-KEY"
            | "EXT-X-SESSION-DATA"
            | "EXT-X-CONTENT-STEERING" => {
                self.multivariant_line.get_or_insert(line);
                self.multivariant_tag(line, name, value);
            }
            _ => self.media_tag(line, name, value),
        }
    }

    fn attributes<'t, 'p>(&'p mut self, tag: &'static str, line: usize, text: &'t str) -> Attributes<'t, 'p> {
        Attributes::parse(tag, line, text, &mut self.problems, &self.variables)
    }

    /// Tags of a media playlist as a whole (sections 4.4.3 and 4.4.5).
    fn media_tag(&mut self, line: usize, name: &str, value: &str) {
        match name {
            "EXT-X-TARGETDURATION" => {
                self.once(line, "EXT-X-TARGETDURATION");
                // An integer by the draft; decimals are seen and do no harm.
                match number(value) {
                    Some(seconds) => self.media.target_duration = seconds,
                    None => {
                        let message = format!("must be a number of seconds, not {}", quoted(value));
                        self.wrong(line, "EXT-X-TARGETDURATION", message);
                    }
                }
            }
            "EXT-X-MEDIA-SEQUENCE" | "EXT-X-DISCONTINUITY-SEQUENCE" => {
                let media = name == "EXT-X-MEDIA-SEQUENCE";
                let tag = if media {
                    "EXT-X-MEDIA-SEQUENCE"
                } else {
                    "EXT-X-DISCONTINUITY-SEQUENCE"
                };
                self.once(line, tag);
                let number = self.whole(line, tag, value).unwrap_or_default();
                if !self.media.segments.is_empty() || !self.parts.is_empty() {
                    self.wrong(line, tag, "must come before the first segment");
                } else if media {
                    self.media.media_sequence = number;
                } else {
                    if self.discontinuities > 0 {
                        self.wrong(line, tag, "must come before the first EXT-X-DISCONTINUITY");
                    }
                    self.media.discontinuity_sequence = number;
                }
            }
            "EXT-X-ENDLIST" => self.media.end_list = true,
            "EXT-X-PLAYLIST-TYPE" => {
                self.once(line, "EXT-X-PLAYLIST-TYPE");
                self.media.kind = match value.trim() {
                    "VOD" => Some(PlaylistType::Vod),
                    "EVENT" => Some(PlaylistType::Event),
                    other => {
                        let message = format!("must be EVENT or VOD, not {}", quoted(other));
                        self.wrong(line, "EXT-X-PLAYLIST-TYPE", message);
                        None
                    }
                };
            }
            "EXT-X-I-FRAMES-ONLY" => self.media.i_frames_only = true,
            "EXT-X-PART-INF" => {
                self.once(line, "EXT-X-PART-INF");
                let mut list = self.attributes("EXT-X-PART-INF", line, value);
                let target = list.number("PART-TARGET");
                if !list.has("PART-TARGET") {
                    list.wrong("must have PART-TARGET");
                }
                self.media.part_target = target;
            }
            "EXT-X-SERVER-CONTROL" => {
                self.once(line, "EXT-X-SERVER-CONTROL");
                let mut list = self.attributes("EXT-X-SERVER-CONTROL", line, value);
                let control = ServerControl {
                    can_block_reload: list.yes("CAN-BLOCK-RELOAD"),
                    can_skip_until: list.number("CAN-SKIP-UNTIL"),
                    hold_back: list.number("HOLD-BACK"),
                    part_hold_back: list.number("PART-HOLD-BACK"),
                    line,
                };
                self.media.server_control = Some(control);
            }
            "EXT-X-SKIP" => {
                self.once(line, "EXT-X-SKIP");
                let mut list = self.attributes("EXT-X-SKIP", line, value);
                let skipped = list.integer("SKIPPED-SEGMENTS");
                if !list.has("SKIPPED-SEGMENTS") {
                    list.wrong("must have SKIPPED-SEGMENTS");
                }
                self.media.skipped = Some(skipped.unwrap_or(0));
            }
            "EXT-X-PRELOAD-HINT" => {
                let mut list = self.attributes("EXT-X-PRELOAD-HINT", line, value);
                let (kind, uri) = (list.required("TYPE"), list.required("URI"));
                let start = list.integer("BYTERANGE-START").unwrap_or(0);
                if let (Some(kind), Some(uri)) = (kind, uri) {
                    self.media.preload_hints.push(PreloadHint {
                        kind,
                        uri,
                        start,
                        line,
                    });
                }
            }
            "EXT-X-RENDITION-REPORT" => {
                let mut list = self.attributes("EXT-X-RENDITION-REPORT", line, value);
                let (last_msn, last_part) = (list.integer("LAST-MSN"), list.integer("LAST-PART"));
                if let Some(uri) = list.required("URI") {
                    self.media.rendition_reports.push(RenditionReport {
                        uri,
                        last_msn,
                        last_part,
                        line,
                    });
                }
            }
            // A tag that is not known is ignored (section 6.3.1).
            _ => return,
        }
        self.media_line.get_or_insert(line);
    }

    fn part(&mut self, line: usize, value: &str) {
        self.media_line.get_or_insert(line);
        let mut list = self.attributes("EXT-X-PART", line, value);
        let (uri, duration) = (list.required("URI"), list.number("DURATION"));
        if !list.has("DURATION") {
            list.wrong("must have DURATION");
        }
        let (independent, gap, range) = (
            list.yes("INDEPENDENT"),
            list.yes("GAP"),
            list.byte_range("BYTERANGE"),
        );
        let uri = uri.unwrap_or_default();
        let byte_range = range.map(|(offset, length)| located(&uri, offset, length, &mut self.part_end));
        let duration = duration.unwrap_or(0.0);
        self.parts.push(Part {
            uri,
            duration,
            independent,
            byte_range,
            gap,
            line,
        });
    }

    fn date_range(&mut self, line: usize, value: &str) {
        let mut list = self.attributes("EXT-X-DATERANGE", line, value);
        let range = DateRange {
            id: list.required("ID").unwrap_or_default(),
            class: list.text("CLASS"),
            start: list.date("START-DATE"),
            end: list.date("END-DATE"),
            duration: list.number("DURATION"),
            planned_duration: list.number("PLANNED-DURATION"),
            end_on_next: list.yes("END-ON-NEXT"),
            scte35_cmd: list.hex("SCTE35-CMD"),
            scte35_out: list.hex("SCTE35-OUT"),
            scte35_in: list.hex("SCTE35-IN"),
            line,
        };
        self.media.date_ranges.push(range);
    }

    fn uri(&mut self, line: usize, uri: &str) {
        if uri.is_empty() {
            return;
        }
        let filled = fill(uri, line, "the URI", &self.variables, &mut self.problems);
        if let Some(mut variant) = self.variant.take() {
            variant.uri = filled.into_owned();
            return self.multivariant.variants.push(variant);
        }
        let list = &self.multivariant;
        if self.duration.is_none() && !(list.variants.is_empty() && list.renditions.is_empty()) {
            let must = "must stand before this URI";
            return self.problems.line(line, "EXT-X-STREAM-INF", must);
        }
        let uri = filled.into_owned();
        let duration = self.duration.take().unwrap_or_else(|| {
            self.problems.line(line, "EXTINF", "must stand before this URI");
            0.0
        });
        let byte_range = self
            .byte_range
            .take()
            .map(|(offset, length)| located(&uri, offset, length, &mut self.range_end));
        let own_date = self.date.take();
        if std::mem::take(&mut self.discontinuity) {
            self.clock = None;
            self.media.segments.push(Segment {
                discontinuity: true,
                ..self.segment(duration)
            });
        } else {
            self.media.segments.push(self.segment(duration));
        }
        let start = own_date.or(self.clock);
        self.clock = start.and_then(|start| plus(start, duration));
        let (parts, cues) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.cues));
        if let Some(segment) = self.media.segments.last_mut() {
            (segment.uri, segment.byte_range, segment.line) = (uri, byte_range, line);
            (segment.own_date, segment.program_date_time) = (own_date, start);
            (segment.parts, segment.cues) = (parts, cues);
        }
        self.gap = false;
    }

    fn segment(&self, duration: f64) -> Segment {
        let before = self
            .media
            .skipped
            .unwrap_or(0)
            .saturating_add(self.media.segments.len() as u64);
        Segment {
            duration,
            sequence: self.media.media_sequence.saturating_add(before),
            discontinuity_sequence: self
                .media
                .discontinuity_sequence
                .saturating_add(self.discontinuities),
            map: self.map.clone(),
            keys: self.keys.clone(),
            gap: self.gap,
            bitrate: self.bitrate,
            ..Segment::default()
        }
    }

    fn finish(mut self) -> Document {
        let playlist = match (self.multivariant_line, self.media_line) {
            (Some(a), b) => {
                if let Some(b) = b {
                    // Section 4.4: media and multivariant tags in one playlist: clients MUST fail to parse.
                    let message = "must not mix tags of media and of multivariant playlists";
                    self.wrong(a.max(b), "the playlist", message);
                }
                if let Some(open) = self.variant.take() {
                    self.wrong(open.line, "EXT-X-STREAM-INF", "must be followed by a URI");
                }
                if self.multivariant.variants.is_empty() {
                    self.wrong(a, "EXT-X-STREAM-INF", "must be there at least once, with its URI");
                }
                Playlist::Multivariant(self.multivariant)
            }
            (None, _) => {
                if !self.seen.iter().any(|(tag, _)| *tag == "EXT-X-TARGETDURATION") {
                    self.wrong(1, "EXT-X-TARGETDURATION", "must be there in a media playlist");
                }
                if self.duration.is_some() {
                    let line = self.media_line.unwrap_or(1);
                    self.wrong(line, "EXTINF", "must be followed by a URI; the last one is not");
                }
                self.media.parts = self.parts;
                Playlist::Media(self.media)
            }
        };
        Document {
            playlist,
            problems: self.problems.0,
            version: self.version.unwrap_or(1),
            independent_segments: self.independent,
            start: self.start,
            variables: self.variables,
        }
    }
}

/// Where a sub-range lies. Without an offset it goes on where the one before it in the same resource ended
/// (section 4.4.4.2).
fn located(uri: &str, offset: Option<u64>, length: u64, end: &mut Option<(String, u64)>) -> (u64, u64) {
    let offset = offset.unwrap_or_else(|| match end {
        Some((before, end)) if before == uri => *end,
        _ => 0,
    });
    *end = Some((uri.to_owned(), offset.saturating_add(length)));
    (offset, length)
}

/// Both forms that packagers write: `ElapsedTime=8,Duration=30` and `8/30`.
fn continued(value: &str) -> Cue {
    let field = |name: &str| {
        let all = value.split(',').filter_map(|a| a.trim().split_once('='));
        all.filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .find_map(|(_, v)| number(v))
    };
    let (elapsed, duration) = match value.split_once('/') {
        Some((elapsed, duration)) if !value.contains('=') => (number(elapsed), number(duration)),
        _ => (field("ElapsedTime"), field("Duration")),
    };
    Cue::Continued { elapsed, duration }
}
