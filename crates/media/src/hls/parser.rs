//! From lines to a playlist.

use super::{
    attributes::{Attributes, Variables, byte_range, date, fill, number},
    *,
};
use crate::problem::{Problems, quoted};
use base64::{Engine, engine::general_purpose::STANDARD};

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
                self.discontinuities += 1;
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

    fn multivariant_tag(&mut self, line: usize, name: &str, value: &str) {
        match name {
            "EXT-X-STREAM-INF" => {
                if let Some(before) = &self.variant {
                    let message = format!(
                        "must be followed by a URI; the one on line {} is not",
                        before.line
                    );
                    self.wrong(line, "EXT-X-STREAM-INF", message);
                }
                let variant = self.variant("EXT-X-STREAM-INF", line, value);
                self.variant = Some(variant);
            }
            "EXT-X-I-FRAME-STREAM-INF" => {
                let variant = self.variant("EXT-X-I-FRAME-STREAM-INF", line, value);
                self.multivariant.i_frames.push(variant);
            }
            "EXT-X-MEDIA" => {
                let mut list = self.attributes("EXT-X-MEDIA", line, value);
                let rendition = Rendition {
                    kind: list.required("TYPE").unwrap_or_default(),
                    group: list.required("GROUP-ID").unwrap_or_default(),
                    name: list.required("NAME").unwrap_or_default(),
                    language: list.text("LANGUAGE"),
                    uri: list.text("URI"),
                    default: list.yes("DEFAULT"),
                    autoselect: list.yes("AUTOSELECT"),
                    forced: list.yes("FORCED"),
                    channels: list.text("CHANNELS"),
                    characteristics: list.text("CHARACTERISTICS"),
                    line,
                };
                match rendition.kind.as_str() {
                    "AUDIO" | "VIDEO" | "" => {}
                    "SUBTITLES" if rendition.uri.is_none() => {
                        list.wrong("must have a URI with TYPE=SUBTITLES")
                    }
                    "SUBTITLES" => {}
                    "CLOSED-CAPTIONS" if rendition.uri.is_some() => {
                        list.wrong("must not have a URI with TYPE=CLOSED-CAPTIONS");
                    }
                    "CLOSED-CAPTIONS" => {}
                    other => list.wrong(format!(
                        "must have AUDIO, VIDEO, SUBTITLES or CLOSED-CAPTIONS as TYPE, not {}",
                        quoted(other)
                    )),
                }
                self.multivariant.renditions.push(rendition);
            }
            "EXT-X-SESSION-KEY" => {
                if let Some(key) = self.read_key("EXT-X-SESSION-KEY", line, value)
                    && self.multivariant.session_keys.len() < MAX_KEYS
                {
                    self.multivariant.session_keys.push(key);
                }
            }
            "EXT-X-CONTENT-STEERING" => {
                self.once(line, "EXT-X-CONTENT-STEERING");
                let mut list = self.attributes("EXT-X-CONTENT-STEERING", line, value);
                let (server, pathway) = (list.required("SERVER-URI"), list.text("PATHWAY-ID"));
                self.multivariant.steering = server.map(|server| Steering {
                    server,
                    pathway,
                    line,
                });
            }
            _ => {
                let mut list = self.attributes("EXT-X-SESSION-DATA", line, value);
                list.required("DATA-ID");
                if list.has("VALUE") == list.has("URI") {
                    list.wrong("must have exactly one of VALUE, URI");
                }
            }
        }
    }

    fn variant(&mut self, tag: &'static str, line: usize, value: &str) -> Variant {
        let mut list = self.attributes(tag, line, value);
        let codecs = list.text("CODECS").unwrap_or_default();
        let variant = Variant {
            uri: if tag == "EXT-X-I-FRAME-STREAM-INF" {
                list.required("URI").unwrap_or_default()
            } else {
                String::new()
            },
            bandwidth: list.integer("BANDWIDTH").unwrap_or(0),
            average_bandwidth: list.integer("AVERAGE-BANDWIDTH"),
            codecs: codecs
                .split(',')
                .map(|c| c.trim().to_owned())
                .filter(|c| !c.is_empty())
                .collect(),
            resolution: list.resolution("RESOLUTION"),
            frame_rate: list.number("FRAME-RATE"),
            hdcp_level: list.text("HDCP-LEVEL"),
            audio: list.text("AUDIO"),
            video: list.text("VIDEO"),
            subtitles: list.text("SUBTITLES"),
            closed_captions: list.text("CLOSED-CAPTIONS").filter(|v| v != "NONE"),
            pathway: list.text("PATHWAY-ID").unwrap_or_else(|| ".".into()),
            line,
        };
        if !list.has("BANDWIDTH") {
            list.wrong("must have a BANDWIDTH in bits per second");
        }
        variant
    }

    fn define(&mut self, line: usize, value: &str) {
        let (imports, query) = (self.surroundings.imports, self.surroundings.query);
        let mut list = self.attributes("EXT-X-DEFINE", line, value);
        let names = [list.text("NAME"), list.text("IMPORT"), list.text("QUERYPARAM")];
        let given = list.text("VALUE");
        let found = match &names {
            [Some(name), None, None] => match given {
                Some(value) => Some((name, value)),
                None => {
                    list.wrong("must have VALUE with NAME");
                    None
                }
            },
            [None, Some(name), None] => match imports.and_then(|known| known.get(name)) {
                Some(value) => Some((name, value.clone())),
                None => {
                    list.wrong(format!(
                        "imports {}, which the multivariant playlist does not define",
                        quoted(name)
                    ));
                    None
                }
            },
            [None, None, Some(name)] => match query.and_then(|query| parameter(query, name)) {
                Some(value) => Some((name, value)),
                None => {
                    list.wrong(format!(
                        "takes {} from the query of its URI, which does not have it",
                        quoted(name)
                    ));
                    None
                }
            },
            _ => {
                list.wrong("must have exactly one of NAME, IMPORT, QUERYPARAM");
                None
            }
        };
        if let Some((name, value)) = found {
            if self.variables.len() >= MAX_VARIABLES || self.variables.contains_key(name) {
                let message = format!(
                    "must not define {} twice, nor more than {MAX_VARIABLES}",
                    quoted(name)
                );
                return self.wrong(line, "EXT-X-DEFINE", message);
            }
            self.variables.insert(name.clone(), value);
        }
    }

    fn read_key(&mut self, tag: &'static str, line: usize, value: &str) -> Option<Key> {
        let mut list = self.attributes(tag, line, value);
        let method = list.required("METHOD")?;
        if method == "NONE" {
            return None;
        }
        let uri = list.text("URI");
        if uri.is_none() {
            list.wrong(format!("must have a URI with METHOD={method}"));
        }
        let iv = list.hex("IV").and_then(|iv| {
            let found = <[u8; 16]>::try_from(iv.as_slice()).ok();
            if found.is_none() {
                list.wrong("must have 16 bytes as IV");
            }
            found
        });
        let kid = list.text("KEYID").and_then(|text| {
            Kid::parse(&text)
                .map_err(|e| list.wrong(format!("has a bad KEYID: {e}")))
                .ok()
        });
        Some(Key {
            format: list.text("KEYFORMAT").unwrap_or_else(|| "identity".into()),
            uri: uri.unwrap_or_default(),
            method,
            kid,
            iv,
            line,
        })
    }

    /// A key applies until the next with the same KEYFORMAT; NONE ends them all (section 4.4.4.4).
    fn key(&mut self, line: usize, value: &str) {
        let Some(key) = self.read_key("EXT-X-KEY", line, value) else {
            self.keys = Arc::new([]);
            return;
        };
        let mut keys: Vec<Key> = self
            .keys
            .iter()
            .filter(|k| k.format != key.format)
            .cloned()
            .collect();
        if keys.len() >= MAX_KEYS {
            return self.wrong(
                line,
                "EXT-X-KEY",
                format!("must not stand in more than {MAX_KEYS} formats"),
            );
        }
        keys.push(key);
        self.keys = keys.into();
    }

    fn map(&mut self, line: usize, value: &str) {
        let mut list = self.attributes("EXT-X-MAP", line, value);
        let (uri, range) = (list.required("URI"), list.byte_range("BYTERANGE"));
        if let Some(uri) = uri {
            let byte_range = range.map(|(offset, length)| located(&uri, offset, length, &mut self.map_end));
            self.map = Some(Arc::new(Map {
                uri,
                byte_range,
                line,
            }));
        }
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

/// Value of a query parameter, percent-decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(n, _)| *n == name).map(|(_, v)| v).next()?;
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let decoded = (*byte == b'%').then(|| tail.get(..2)).flatten();
        let decoded = decoded.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        match decoded {
            Some(decoded) => {
                out.push(decoded);
                rest = &tail[2..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).ok()
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
