//! Smooth Streaming manifests ([MS-SSTR] section 2.2.2).

use crate::{
    Problem, difference,
    problem::{Problems, quoted},
    xml::{self, Element, XmlError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

/// Not a Smooth Streaming manifest at all.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum SmoothError {
    /// Not XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Neither UTF-8 nor UTF-16.
    #[error("a Smooth Streaming manifest must be UTF-8 or UTF-16")]
    Encoding,
    /// The root is another element.
    #[error("line 1: the root element must be SmoothStreamingMedia, not {0}")]
    Root(String),
}

/// A manifest. Times are in ticks of its own time scale.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// `MajorVersion` and `MinorVersion`.
    pub version: (u64, u64),
    /// Ticks per second; 10 000 000 when absent.
    pub timescale: u64,
    /// `Duration`; 0 for a live presentation.
    pub duration: u64,
    /// `IsLive`.
    pub live: bool,
    /// `LookAheadFragmentCount`.
    pub look_ahead: Option<u64>,
    /// `DVRWindowLength`.
    pub dvr_window: Option<u64>,
    /// StreamIndex, in order.
    pub streams: Vec<StreamIndex>,
    /// ProtectionHeader.
    pub protection: Vec<ProtectionHeader>,
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
}

/// Protection/ProtectionHeader (section 2.2.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectionHeader {
    /// `SystemID`.
    pub system: [u8; 16],
    /// The content, out of its Base64.
    pub data: Vec<u8>,
    /// Line of the element.
    pub line: usize,
}

/// StreamIndex (section 2.2.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamIndex {
    /// `Type`: `video`, `audio` or `text`.
    pub kind: String,
    /// `Name`.
    pub name: Option<String>,
    /// `Language`.
    pub language: Option<String>,
    /// `Chunks`, as written.
    pub chunks: Option<u64>,
    /// `QualityLevels`, as written.
    pub quality_levels: Option<u64>,
    /// `Url`, with its placeholders.
    pub url: String,
    /// Ticks per second: its own, or the manifest's.
    pub timescale: u64,
    /// QualityLevel, in order.
    pub qualities: Vec<Quality>,
    /// `c`, repeats spelled out.
    pub fragments: Vec<Chunk>,
    /// Line of the element.
    pub line: usize,
}

/// QualityLevel (section 2.2.2.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quality {
    /// `Bitrate`, bits per second.
    pub bitrate: u64,
    /// `FourCC`.
    pub four_cc: String,
    /// `MaxWidth` and `MaxHeight`.
    pub size: Option<(u64, u64)>,
    /// Line of the element.
    pub line: usize,
}

/// One fragment of every quality level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chunk {
    /// Start.
    pub time: u64,
    /// Duration; 0 where it is not known yet.
    pub duration: u64,
    /// Line of the `c` that gives it.
    pub line: usize,
}

/// Most fragments of one stream.
const MAX_FRAGMENTS: usize = 400_000;

impl StreamIndex {
    /// URL of a fragment, to be resolved against the manifest's.
    pub fn fragment_url(&self, quality: &Quality, time: u64) -> String {
        let bitrate = quality.bitrate.to_string();
        let time = time.to_string();
        let mut url = self.url.clone();
        for (placeholder, value) in [
            ("{bitrate}", bitrate.as_str()),
            ("{Bitrate}", bitrate.as_str()),
            ("{start time}", time.as_str()),
            ("{start_time}", time.as_str()),
            ("{CustomAttributes}", ""),
        ] {
            url = url.replace(placeholder, value);
        }
        url
    }

    /// Every `c@t` that does not continue where the one before it ended: its line, and the jump in ticks.
    pub fn jumps(&self) -> impl Iterator<Item = (usize, i64)> {
        self.fragments.windows(2).filter_map(|pair| {
            let jump = difference(pair[1].time, pair[0].time.saturating_add(pair[0].duration));
            (jump != 0).then_some((pair[1].line, jump))
        })
    }
}

/// Text of UTF-8, or of UTF-16 with a byte order mark, as encoders of the time write it.
fn decode(bytes: &[u8]) -> Option<String> {
    let wide = |order: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| order([pair[0], pair[1]]));
        String::from_utf16(&units.collect::<Vec<_>>()).ok()
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        _ => Some(
            std::str::from_utf8(bytes)
                .ok()?
                .trim_start_matches('\u{feff}')
                .to_owned(),
        ),
    }
}

/// Parses a manifest.
pub fn parse(bytes: &[u8]) -> Result<Manifest, SmoothError> {
    if bytes.len() > xml::MAX_BYTES {
        let message = format!("must not have more than {} bytes", xml::MAX_BYTES);
        return Err(XmlError { line: 1, message }.into());
    }
    let text = decode(bytes).ok_or(SmoothError::Encoding)?;
    let tree = xml::parse(&text)?;
    let root = tree.root();
    if root.name() != "SmoothStreamingMedia" {
        return Err(SmoothError::Root(root.name().chars().take(64).collect()));
    }
    let mut reader = Reader(Problems::default());
    let mut manifest = Manifest {
        version: (
            reader.needed(root, "MajorVersion").unwrap_or(2),
            reader.whole(root, "MinorVersion").unwrap_or(0),
        ),
        timescale: reader.whole(root, "TimeScale").unwrap_or(10_000_000).max(1),
        duration: reader.needed(root, "Duration").unwrap_or(0),
        live: root
            .attribute("IsLive")
            .is_some_and(|v| v.eq_ignore_ascii_case("true")),
        look_ahead: reader.whole(root, "LookAheadFragmentCount"),
        dvr_window: reader.whole(root, "DVRWindowLength"),
        ..Manifest::default()
    };
    for header in root.first("Protection").into_iter().flat_map(|p| p.children()) {
        let system = header.attribute("SystemID").unwrap_or_default();
        let system = crate::Kid::parse(system.trim_matches(['{', '}'])).ok();
        let content: String = header.text().split_whitespace().collect();
        match (system, STANDARD.decode(content)) {
            (Some(system), Ok(data)) => {
                manifest.protection.push(ProtectionHeader {
                    system: system.0,
                    data,
                    line: header.line(),
                });
            }
            _ => reader.wrong(header, "must have a UUID as SystemID and Base64 as its content"),
        }
    }
    for element in root.all("StreamIndex") {
        let stream = reader.stream(element, manifest.timescale);
        manifest.streams.push(stream);
    }
    if manifest.streams.is_empty() {
        reader.wrong(root, "must have a StreamIndex");
    }
    manifest.problems = reader.0.0;
    Ok(manifest)
}

struct Reader(Problems);

impl Reader {
    fn wrong(&mut self, element: Element<'_>, message: impl Into<String>) {
        self.0.line(element.line(), element.name(), message);
    }

    fn whole(&mut self, element: Element<'_>, name: &str) -> Option<u64> {
        let text = element.attribute(name)?;
        let found = text.trim().parse().ok();
        if found.is_none() {
            self.wrong(
                element,
                format!("must have a whole number in {name}, not {}", quoted(text)),
            );
        }
        found
    }

    fn needed(&mut self, element: Element<'_>, name: &str) -> Option<u64> {
        if element.attribute(name).is_none() {
            self.wrong(element, format!("must have {name}"));
        }
        self.whole(element, name)
    }

    fn stream(&mut self, element: Element<'_>, timescale: u64) -> StreamIndex {
        let owned = |name: &str| element.attribute(name).map(str::to_owned);
        let mut stream = StreamIndex {
            kind: owned("Type").unwrap_or_default().to_ascii_lowercase(),
            name: owned("Name"),
            language: owned("Language"),
            chunks: self.whole(element, "Chunks"),
            quality_levels: self.whole(element, "QualityLevels"),
            url: owned("Url").unwrap_or_default(),
            timescale: self.whole(element, "TimeScale").unwrap_or(timescale).max(1),
            line: element.line(),
            ..StreamIndex::default()
        };
        if !matches!(stream.kind.as_str(), "video" | "audio" | "text") {
            self.wrong(
                element,
                format!(
                    "must have video, audio or text as Type, not {}",
                    quoted(&stream.kind)
                ),
            );
        }
        for quality in element.all("QualityLevel") {
            let size = self
                .whole(quality, "MaxWidth")
                .zip(self.whole(quality, "MaxHeight"));
            stream.qualities.push(Quality {
                bitrate: self.needed(quality, "Bitrate").unwrap_or(0),
                four_cc: quality.attribute("FourCC").unwrap_or_default().to_owned(),
                size,
                line: quality.line(),
            });
        }
        let mut next = 0;
        // A fragment without a duration lasts until the next one begins (section 2.2.2.6).
        for c in element.all("c") {
            let time = self.whole(c, "t").unwrap_or(next);
            if let Some(open) = stream.fragments.last_mut().filter(|f| f.duration == 0) {
                open.duration = time.saturating_sub(open.time);
            }
            let duration = self.whole(c, "d").unwrap_or(0);
            // The repeat count includes the first.
            for n in 0..self.whole(c, "r").unwrap_or(1).max(1) {
                if stream.fragments.len() >= MAX_FRAGMENTS {
                    self.wrong(c, format!("must not give more than {MAX_FRAGMENTS} fragments"));
                    return stream;
                }
                let time = time.saturating_add(n.saturating_mul(duration));
                stream.fragments.push(Chunk {
                    time,
                    duration,
                    line: c.line(),
                });
                next = time.saturating_add(duration);
            }
        }
        stream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = "<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"0\" Duration=\"0\" IsLive=\"TRUE\">\n\
        <Protection><ProtectionHeader SystemID=\"{9A04F079-9840-4286-AB92-E65BE0885F95}\">AAEC</ProtectionHeader></Protection>\n\
        <StreamIndex Type=\"video\" Chunks=\"4\" QualityLevels=\"1\" Url=\"QualityLevels({bitrate})/Fragments(video={start time})\">\n\
        <QualityLevel Index=\"0\" Bitrate=\"1000\" FourCC=\"H264\" MaxWidth=\"640\" MaxHeight=\"360\"/>\n\
        <c t=\"100\" d=\"20\" r=\"2\"/><c d=\"20\"/>\n<c t=\"170\"/></StreamIndex></SmoothStreamingMedia>";

    #[test]
    fn fragments_are_spelled_out_and_addressed() {
        let manifest = parse(LIVE.as_bytes()).unwrap();
        assert_eq!(manifest.problems, []);
        let stream = &manifest.streams[0];
        let times: Vec<u64> = stream.fragments.iter().map(|f| f.time).collect();
        assert_eq!(times, [100, 120, 140, 170]);
        assert_eq!(
            stream.fragment_url(&stream.qualities[0], 120),
            "QualityLevels(1000)/Fragments(video=120)"
        );
        assert_eq!(stream.jumps().collect::<Vec<_>>(), [(6, 10)]);
        assert_eq!(
            (
                manifest.protection[0].system[0],
                manifest.protection[0].data.len()
            ),
            (0x9a, 3)
        );
    }

    #[test]
    fn utf_16_is_read_and_mistakes_name_their_line() {
        let wide: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(LIVE.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        assert_eq!(parse(&wide).unwrap(), parse(LIVE.as_bytes()).unwrap());
        let broken = LIVE
            .replace("Bitrate=\"1000\"", "Bitrate=\"x\"")
            .replace("Type=\"video\"", "Type=\"film\"");
        let said: Vec<String> = parse(broken.as_bytes())
            .unwrap()
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "line 3: StreamIndex must have video, audio or text as Type, not \"film\"",
                "line 4: QualityLevel must have a whole number in Bitrate, not \"x\"",
            ]
        );
        assert!(matches!(parse(b"<MPD/>"), Err(SmoothError::Root(_))));
    }
}
