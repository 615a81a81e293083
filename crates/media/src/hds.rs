//! HTTP Dynamic Streaming: f4m manifests (Adobe Flash Media Manifest Format 1.0 to 3.0) and bootstrap
//! boxes (Adobe Flash Video File Format 10.1, section 2.11). Adobe no longer publishes either; the clauses
//! are from memory of them and checked against what ffmpeg writes.

use crate::{
    Problem,
    bmff::{Box, BoxError, Fields, boxes},
    problem::Problems,
    xml::{self, XmlError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;

/// Not an f4m manifest at all.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum HdsError {
    /// Not XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Not UTF-8.
    #[error("an f4m manifest must be UTF-8, and is not at byte {0}")]
    NotUtf8(usize),
    /// The root is another element.
    #[error("line 1: the root element must be manifest, not {0}")]
    Root(String),
}

/// An f4m manifest.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// `streamType` is `live` or `liveOrRecorded`.
    pub live: bool,
    /// `duration`, seconds.
    pub duration: Option<f64>,
    /// `baseURL`.
    pub base_url: Option<String>,
    /// `bootstrapInfo`, in order.
    pub bootstraps: Vec<BootstrapInfo>,
    /// `media`, in order.
    pub media: Vec<Media>,
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
}

/// `bootstrapInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootstrapInfo {
    /// `id`.
    pub id: Option<String>,
    /// `url` of the box.
    pub url: Option<String>,
    /// The box itself, where it stands inline.
    pub inline: Option<Vec<u8>>,
    /// Line of the element.
    pub line: usize,
}

/// `media`: one rung.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Media {
    /// `url`: what `Seg1-Frag1` is appended to.
    pub url: String,
    /// `bitrate`, kilobits per second.
    pub bitrate: Option<u64>,
    /// `bootstrapInfoId`.
    pub bootstrap: Option<String>,
    /// `width` and `height`.
    pub size: Option<(u64, u64)>,
    /// Line of the element.
    pub line: usize,
}

impl Manifest {
    /// The bootstrap of a rung: by its id, or the only one there is.
    pub fn bootstrap_of(&self, media: &Media) -> Option<&BootstrapInfo> {
        match &media.bootstrap {
            Some(id) => self.bootstraps.iter().find(|b| b.id.as_ref() == Some(id)),
            None => self.bootstraps.first(),
        }
    }
}

/// Parses an f4m manifest.
pub fn parse(bytes: &[u8]) -> Result<Manifest, HdsError> {
    let text = std::str::from_utf8(bytes).map_err(|e| HdsError::NotUtf8(e.valid_up_to()))?;
    let tree = xml::parse(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let root = tree.root();
    if root.name() != "manifest" {
        return Err(HdsError::Root(root.name().chars().take(64).collect()));
    }
    let mut problems = Problems::default();
    let text = |name: &str| {
        root.first(name)
            .map(|e| e.text().to_owned())
            .filter(|t| !t.is_empty())
    };
    let kind = text("streamType").unwrap_or_default();
    let mut manifest = Manifest {
        live: matches!(kind.as_str(), "live" | "liveOrRecorded"),
        duration: text("duration").and_then(|t| t.parse().ok()),
        base_url: text("baseURL"),
        ..Manifest::default()
    };
    for element in root.all("bootstrapInfo") {
        let owned = |name: &str| element.attribute(name).map(str::to_owned);
        let content: String = element.text().split_whitespace().collect();
        let inline = match content.is_empty() {
            true => None,
            false => STANDARD.decode(&content).ok(),
        };
        let info = BootstrapInfo {
            id: owned("id"),
            url: owned("url"),
            inline,
            line: element.line(),
        };
        if info.url.is_none() && info.inline.is_none() {
            problems.line(
                element.line(),
                "bootstrapInfo",
                "must have a url, or the box in Base64",
            );
        }
        manifest.bootstraps.push(info);
    }
    for element in root.all("media") {
        let mut whole = |name: &str| {
            let text = element.attribute(name)?;
            let found = text.parse().ok();
            if found.is_none() {
                problems.line(
                    element.line(),
                    "media",
                    format!("must have a whole number in {name}"),
                );
            }
            found
        };
        let media = Media {
            bitrate: whole("bitrate"),
            size: whole("width").zip(whole("height")),
            url: element
                .attribute("url")
                .or(element.attribute("href"))
                .unwrap_or_default()
                .to_owned(),
            bootstrap: element.attribute("bootstrapInfoId").map(str::to_owned),
            line: element.line(),
        };
        if media.url.is_empty() {
            problems.line(element.line(), "media", "must have a url");
        }
        if manifest.bootstrap_of(&media).is_none() && !media.url.ends_with(".f4m") {
            problems.line(
                element.line(),
                "media",
                "must refer to a bootstrapInfo that is there",
            );
        }
        manifest.media.push(media);
    }
    if manifest.media.is_empty() {
        problems.line(root.line(), "manifest", "must have a media");
    }
    manifest.problems = problems.0;
    Ok(manifest)
}

/// A bootstrap box, `abst`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bootstrap {
    /// Version of the information: grows with each update.
    pub version: u32,
    /// The live bit.
    pub live: bool,
    /// Ticks per second.
    pub timescale: u32,
    /// Newest instant, ticks.
    pub current_time: u64,
    /// `asrt`: first segment and fragments per segment.
    pub segment_runs: Vec<(u32, u32)>,
    /// `afrt`.
    pub fragment_runs: Vec<FragmentRun>,
    /// Ticks per second of the fragment runs.
    pub fragment_timescale: u32,
}

/// An entry of `afrt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FragmentRun {
    /// Number of its first fragment.
    pub first: u32,
    /// Start of that, ticks.
    pub time: u64,
    /// Duration of each, ticks; 0 marks a discontinuity.
    pub duration: u32,
    /// 0 end of presentation, 1 numbering, 2 timestamps, 3 both; only with duration 0.
    pub discontinuity: Option<u8>,
}

impl Bootstrap {
    /// Parses the box.
    pub fn parse(bytes: &[u8]) -> Result<Bootstrap, BoxError> {
        let found = boxes(bytes, 0)?.into_iter().find(|b| &b.kind == b"abst");
        let abst = found.ok_or(BoxError::Missing("abst"))?;
        if !abst.whole {
            return Err(abst.cut());
        }
        let mut fields = Fields::new(abst);
        fields.full()?;
        let mut bootstrap = Bootstrap {
            version: fields.u32()?,
            ..Bootstrap::default()
        };
        bootstrap.live = fields.uint(1)? & 0x20 != 0;
        bootstrap.timescale = fields.u32()?;
        bootstrap.current_time = fields.uint(8)?;
        fields.take(8)?;
        skip_text(&mut fields)?;
        for _ in 0..2 {
            skip_texts(&mut fields)?;
        }
        skip_text(&mut fields)?;
        skip_text(&mut fields)?;
        let tables = fields.uint(1)?;
        for inner in tables_of(&mut fields, tables, b"asrt")? {
            let mut fields = Fields::new(inner);
            fields.full()?;
            skip_texts(&mut fields)?;
            for _ in 0..fields.u32()?.min(100_000) {
                bootstrap.segment_runs.push((fields.u32()?, fields.u32()?));
            }
        }
        let tables = fields.uint(1)?;
        for inner in tables_of(&mut fields, tables, b"afrt")? {
            let mut fields = Fields::new(inner);
            fields.full()?;
            bootstrap.fragment_timescale = fields.u32()?;
            skip_texts(&mut fields)?;
            for _ in 0..fields.u32()?.min(400_000) {
                let (first, time, duration) = (fields.u32()?, fields.uint(8)?, fields.u32()?);
                let discontinuity = if duration == 0 {
                    Some(fields.uint(1)? as u8)
                } else {
                    None
                };
                bootstrap.fragment_runs.push(FragmentRun {
                    first,
                    time,
                    duration,
                    discontinuity,
                });
            }
        }
        Ok(bootstrap)
    }

    /// Whether the presentation has ended.
    pub fn ended(&self) -> bool {
        self.fragment_runs
            .last()
            .is_some_and(|run| run.discontinuity == Some(0))
    }

    /// Number, start and duration (ticks of the fragment runs) of the newest fragment.
    pub fn newest(&self) -> Option<(u32, u64, u32)> {
        let run = self.fragment_runs.iter().rfind(|run| run.duration > 0)?;
        let scale = |ticks: u64| {
            let (from, to) = (
                u128::from(self.timescale.max(1)),
                u128::from(self.fragment_timescale.max(1)),
            );
            (u128::from(ticks) * to / from).min(u128::from(u64::MAX)) as u64
        };
        let elapsed = scale(self.current_time).saturating_sub(run.time);
        let more = (elapsed / u64::from(run.duration)).saturating_sub(1);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let start = run.time.saturating_add(u64::from(more) * u64::from(run.duration));
        Some((run.first.saturating_add(more), start, run.duration))
    }

    /// The segment that holds a fragment.
    pub fn segment_of(&self, fragment: u32) -> Option<u32> {
        let (first, _) = *self.segment_runs.first()?;
        let mut before = self.fragment_runs.first().map_or(1, |r| r.first).max(1) - 1;
        for (n, (segment, per)) in self.segment_runs.iter().enumerate() {
            let segments = self
                .segment_runs
                .get(n + 1)
                .map_or(u32::MAX, |next| next.0.saturating_sub(*segment));
            let here = fragment.saturating_sub(before.saturating_add(1)) / (*per).max(1);
            if here < segments {
                // The last run may not say how many fragments its segment has in the end.
                return Some(segment.saturating_add(if n + 1 == self.segment_runs.len() {
                    here.min(u32::MAX - segment)
                } else {
                    here
                }));
            }
            before = before.saturating_add(segments.saturating_mul(*per));
        }
        Some(first)
    }
}

fn skip_text(fields: &mut Fields<'_>) -> Result<(), BoxError> {
    let length = fields
        .rest
        .iter()
        .position(|b| *b == 0)
        .ok_or_else(|| fields.of.short())?;
    fields.take(length + 1)?;
    Ok(())
}

/// A count and so many texts.
fn skip_texts(fields: &mut Fields<'_>) -> Result<(), BoxError> {
    for _ in 0..fields.uint(1)? {
        skip_text(fields)?;
    }
    Ok(())
}

/// So many boxes of a kind, one after the other.
fn tables_of<'a>(fields: &mut Fields<'a>, count: u64, kind: &[u8; 4]) -> Result<Vec<Box<'a>>, BoxError> {
    let mut found = Vec::new();
    for _ in 0..count {
        let size = Fields {
            of: fields.of,
            rest: fields.rest,
        }
        .u32()? as usize;
        let inner = boxes(fields.take(size.max(8))?, 0)?.into_iter().next();
        found.push(
            inner
                .filter(|b| &b.kind == kind && b.whole)
                .ok_or_else(|| fields.of.short())?,
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_32_bits_are_survived() {
        let bootstrap = Bootstrap {
            segment_runs: vec![(1, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, 1)],
            fragment_runs: vec![FragmentRun {
                first: u32::MAX,
                time: u64::MAX,
                duration: u32::MAX,
                discontinuity: None,
            }],
            current_time: u64::MAX,
            ..Bootstrap::default()
        };
        let (number, start, _) = bootstrap.newest().unwrap();
        assert_eq!((number, start), (u32::MAX, u64::MAX));
        assert!(bootstrap.segment_of(number).is_some());
    }
}
