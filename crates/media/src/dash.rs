//! DASH media presentation descriptions (ISO/IEC 23009-1), as far as the newest segment of each
//! representation, its init segment and the key ids: MPD, Period, AdaptationSet, Representation,
//! BaseURL, SegmentTemplate with and without SegmentTimeline, SegmentList, ContentProtection.

use crate::{Kid, xml, xml::Element};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

const MAX_TIMELINE: u64 = 100_000;

/// What is wrong with an MPD.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum DashError {
    /// Not XML.
    #[error(transparent)]
    Xml(#[from] xml::XmlError),
    /// Not UTF-8.
    #[error("an MPD must be UTF-8, and is not at byte {0}")]
    NotUtf8(usize),
    /// The root is another element.
    #[error("line 1: the root element must be MPD, not {0}")]
    NotMpd(String),
    /// An element or attribute is broken or missing.
    #[error("line {line}: {element} {problem}")]
    Element {
        /// Line, from 1.
        line: usize,
        /// Name of the element.
        element: String,
        /// What it must be.
        problem: String,
    },
}

/// A media presentation description.
#[derive(Debug, Clone, PartialEq)]
pub struct Mpd {
    /// `type="dynamic"`: live.
    pub dynamic: bool,
    /// `availabilityStartTime`.
    pub availability_start: Option<Timestamp>,
    /// `publishTime`.
    pub publish_time: Option<Timestamp>,
    /// `suggestedPresentationDelay`, seconds.
    pub suggested_delay: Option<f64>,
    /// `mediaPresentationDuration`, seconds.
    pub duration: Option<f64>,
    /// Representations of every period, in order.
    pub representations: Vec<Representation>,
    /// Key ids of every ContentProtection, without doubles.
    pub kids: Vec<Kid>,
}

/// One representation of one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Representation {
    /// `id`.
    pub id: String,
    /// `bandwidth`, bits per second.
    pub bandwidth: u64,
    /// `contentType` or the first half of `mimeType`: `video`, `audio`, …
    pub content_type: String,
    /// BaseURL parts from the MPD down, to be resolved in turn.
    pub base_urls: Vec<String>,
    /// Start of the period on the presentation timeline, seconds.
    pub period_start: f64,
    /// End of the period on the presentation timeline, seconds, where it is known.
    pub period_end: Option<f64>,
    /// Where its segments are.
    pub segments: Segments,
    /// Line of the element.
    pub line: usize,
}

/// How segments are addressed.
#[derive(Debug, Clone, PartialEq)]
pub enum Segments {
    /// SegmentTemplate.
    Template(Template),
    /// SegmentList: init and newest media URL.
    List {
        /// Initialization@sourceURL.
        init: Option<String>,
        /// Last SegmentURL@media.
        newest: Option<String>,
    },
    /// The whole representation is one resource (SegmentBase, or BaseURL alone).
    Single,
}

/// SegmentTemplate.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// `media`.
    pub media: String,
    /// `initialization`.
    pub init: Option<String>,
    /// Ticks per second.
    pub timescale: u64,
    /// `presentationTimeOffset`, ticks.
    pub time_offset: u64,
    /// `startNumber`.
    pub start_number: u64,
    /// Duration of every segment, ticks, without a timeline.
    pub segment_duration: Option<u64>,
    /// `(start, duration)` of each segment, ticks, with a timeline.
    pub timeline: Option<Vec<(u64, u64)>>,
    /// `availabilityTimeOffset`, seconds.
    pub availability_offset: f64,
}

/// The newest segment of a representation at some instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Newest {
    /// URL as the template gives it, to be resolved against the base URLs.
    pub url: String,
    /// Its end on the presentation timeline, seconds.
    pub end: f64,
    /// Its duration, seconds.
    pub duration: f64,
    /// Its end on the presentation timeline in milliseconds: grows with every segment, across periods too.
    pub position: u64,
}

impl Mpd {
    /// The representations of the period that holds the live edge: the last that has begun. Later ones may
    /// be announced beforehand, without a segment yet. Of an on-demand MPD, those of its last period.
    pub fn current(&self, now: Timestamp) -> impl Iterator<Item = &Representation> {
        let begun = |r: &&Representation| {
            !self.dynamic || self.wall_clock(r.period_start).is_none_or(|start| start <= now)
        };
        let starts = self.representations.iter().filter(begun).map(|r| r.period_start);
        let current = starts
            .reduce(f64::max)
            .or_else(|| self.representations.first().map(|r| r.period_start));
        self.representations
            .iter()
            .filter(move |r| Some(r.period_start) == current)
    }

    /// Wall-clock instant of a point on the presentation timeline.
    pub fn wall_clock(&self, seconds: f64) -> Option<Timestamp> {
        self.availability_start?
            .checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?)
            .ok()
    }
}

impl Representation {
    /// URL of the init segment, to be resolved against the base URLs.
    pub fn init_url(&self) -> Option<String> {
        match &self.segments {
            Segments::Template(t) => Some(self.fill(t.init.as_deref()?, t.start_number, 0)),
            Segments::List { init, .. } => init.clone(),
            Segments::Single => None,
        }
    }

    /// The newest segment. With a timeline it is the last one listed; with `@duration` alone, the newest
    /// that the clock says is available (section 5.3.9.5.3).
    pub fn newest(&self, mpd: &Mpd, now: Timestamp) -> Option<Newest> {
        let template = match &self.segments {
            Segments::Template(template) => template,
            Segments::List { newest, .. } => {
                let end = self.period_end.or(mpd.duration).unwrap_or(0.0);
                return Some(Newest {
                    url: newest.clone()?,
                    end,
                    duration: 0.0,
                    position: 0,
                });
            }
            Segments::Single => return None,
        };
        let scale = template.timescale as f64;
        if let Some(timeline) = &template.timeline {
            let (start, duration) = *timeline.last()?;
            let number = template.start_number + timeline.len() as u64 - 1;
            let end = start
                .saturating_add(duration)
                .saturating_sub(template.time_offset) as f64
                / scale;
            let end = self.period_start + end;
            return Some(Newest {
                url: self.fill(&template.media, number, start),
                end,
                duration: duration as f64 / scale,
                position: (end * 1000.0) as u64,
            });
        }
        let ticks = template.segment_duration?;
        let duration = ticks as f64 / scale;
        let available = match mpd.dynamic {
            true => {
                let elapsed =
                    now.duration_since(mpd.availability_start?).as_secs_f64() + template.availability_offset;
                self.period_end.map_or(elapsed, |end| elapsed.min(end)) - self.period_start
            }
            false => self.period_end.or(mpd.duration)? - self.period_start,
        };
        let count = if mpd.dynamic {
            (available / duration).floor()
        } else {
            (available / duration).ceil()
        };
        if !(1.0..1e12).contains(&count) {
            return None;
        }
        let index = count as u64 - 1;
        Some(Newest {
            url: self.fill(
                &template.media,
                template.start_number + index,
                index.saturating_mul(ticks).saturating_add(template.time_offset),
            ),
            end: self.period_start + count * duration,
            duration,
            position: ((self.period_start + count * duration) * 1000.0) as u64,
        })
    }

    /// Fills `$RepresentationID$`, `$Bandwidth$`, `$Number%05d$`, `$Time$` and `$$` (section 5.3.9.4.4).
    fn fill(&self, pattern: &str, number: u64, time: u64) -> String {
        let mut out = String::new();
        for (n, piece) in pattern.split('$').enumerate() {
            if n % 2 == 0 {
                out.push_str(piece);
                continue;
            }
            let (name, format) = piece.split_once('%').unwrap_or((piece, ""));
            let width = format
                .trim_end_matches('d')
                .trim_start_matches('0')
                .parse::<usize>()
                .unwrap_or(0)
                .min(20);
            match name {
                "" => out.push('$'),
                "RepresentationID" => out.push_str(&self.id),
                "Bandwidth" => out.push_str(&format!("{:0width$}", self.bandwidth)),
                "Number" => out.push_str(&format!("{number:0width$}")),
                "Time" => out.push_str(&format!("{time:0width$}")),
                unknown => out.push_str(&format!("${unknown}$")),
            }
        }
        out
    }
}

fn broken(element: &Element, problem: impl Into<String>) -> DashError {
    DashError::Element {
        line: element.line,
        element: element.name.clone(),
        problem: problem.into(),
    }
}

fn parsed<T>(
    element: &Element,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
    what: &str,
) -> Result<Option<T>, DashError> {
    element
        .attribute(name)
        .map(|text| {
            read(text.trim())
                .ok_or_else(|| broken(element, format!("must have {what} in @{name}, not {text:?}")))
        })
        .transpose()
}

fn whole(element: &Element, name: &str) -> Result<Option<u64>, DashError> {
    parsed(element, name, |t| t.parse().ok(), "a whole number")
}

fn seconds(element: &Element, name: &str) -> Result<Option<f64>, DashError> {
    let read = |t: &str| Some(t.parse::<SignedDuration>().ok()?.as_secs_f64()).filter(|s| *s >= 0.0);
    parsed(element, name, read, "a duration such as PT2.5S")
}

fn instant(element: &Element, name: &str) -> Result<Option<Timestamp>, DashError> {
    // A time without a zone is UTC, by section 5.3.1.2.
    parsed(
        element,
        name,
        |t| t.parse().ok().or_else(|| format!("{t}Z").parse().ok()),
        "a date and time",
    )
}

/// Parses an MPD.
pub fn parse(bytes: &[u8]) -> Result<Mpd, DashError> {
    let text = std::str::from_utf8(bytes).map_err(|e| DashError::NotUtf8(e.valid_up_to()))?;
    let root = xml::parse(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    if root.name != "MPD" {
        return Err(DashError::NotMpd(root.name));
    }
    let dynamic = root.attribute("type") == Some("dynamic");
    let availability_start = instant(&root, "availabilityStartTime")?;
    if dynamic && availability_start.is_none() {
        return Err(broken(
            &root,
            "must have @availabilityStartTime when @type is dynamic",
        ));
    }
    let mut mpd = Mpd {
        dynamic,
        availability_start,
        publish_time: instant(&root, "publishTime")?,
        suggested_delay: seconds(&root, "suggestedPresentationDelay")?,
        duration: seconds(&root, "mediaPresentationDuration")?,
        representations: Vec::new(),
        kids: Vec::new(),
    };
    // A period begins where it says, or where the one before it ended.
    let (mut start, mut last) = (0.0, None);
    for period in root.all("Period") {
        start = seconds(period, "start")?.unwrap_or(start);
        let end = seconds(period, "duration")?.map(|d| start + d);
        // A period that ends without saying so ends where the next one begins.
        for before in mpd.representations.iter_mut().filter(|r| r.period_end.is_none()) {
            before.period_end = Some(start);
        }
        collect_kids(period, &mut mpd.kids)?;
        let base: Vec<String> = base_url(&root).into_iter().chain(base_url(period)).collect();
        for set in period.all("AdaptationSet") {
            for representation in set.all("Representation") {
                let mut found = read_representation(period, set, representation, &base)?;
                (found.period_start, found.period_end) = (start, end);
                mpd.representations.push(found);
            }
        }
        last = Some(period);
        start = end.unwrap_or(start);
    }
    mpd.kids.sort_unstable();
    mpd.kids.dedup();
    let period = last.ok_or_else(|| broken(&root, "must have a Period"))?;
    for open in mpd.representations.iter_mut().filter(|r| r.period_end.is_none()) {
        open.period_end = mpd.duration;
    }
    match mpd.representations.is_empty() {
        true => Err(broken(period, "must have an AdaptationSet with a Representation")),
        false => Ok(mpd),
    }
}

fn base_url(element: &Element) -> Option<String> {
    element
        .first("BaseURL")
        .map(|b| b.text.trim().to_owned())
        .filter(|t| !t.is_empty())
}

fn collect_kids(element: &Element, kids: &mut Vec<Kid>) -> Result<(), DashError> {
    for child in &element.children {
        if child.name == "ContentProtection" {
            // Several key ids may stand in one attribute (ISO/IEC 23001-7 section 11.2).
            for text in child
                .attribute("default_KID")
                .into_iter()
                .flat_map(str::split_whitespace)
            {
                kids.push(
                    Kid::parse(text).map_err(|e| broken(child, format!("has a bad default_KID: {e}")))?,
                );
            }
        } else if child.name == "AdaptationSet" || child.name == "Representation" {
            collect_kids(child, kids)?;
        }
    }
    Ok(())
}

fn read_representation(
    period: &Element,
    set: &Element,
    element: &Element,
    base: &[String],
) -> Result<Representation, DashError> {
    let inherited = |name: &str| element.attribute(name).or_else(|| set.attribute(name));
    let content_type = inherited("contentType")
        .map(str::to_owned)
        .or_else(|| {
            inherited("mimeType")
                .and_then(|m| m.split('/').next())
                .map(str::to_owned)
        })
        .unwrap_or_default();
    let levels = [period, set, element];
    let segments = if let Some(template) = read_template(&levels)? {
        Segments::Template(template)
    } else if let Some(list) = levels.iter().rev().find_map(|l| l.first("SegmentList")) {
        Segments::List {
            init: list
                .first("Initialization")
                .and_then(|i| i.attribute("sourceURL"))
                .map(str::to_owned),
            newest: list
                .all("SegmentURL")
                .last()
                .and_then(|s| s.attribute("media"))
                .map(str::to_owned),
        }
    } else {
        Segments::Single
    };
    Ok(Representation {
        id: element.attribute("id").unwrap_or_default().to_owned(),
        bandwidth: whole(element, "bandwidth")?
            .ok_or_else(|| broken(element, "must have @bandwidth in bits per second"))?,
        content_type,
        base_urls: base
            .iter()
            .cloned()
            .chain(base_url(set))
            .chain(base_url(element))
            .collect(),
        period_start: 0.0,
        period_end: None,
        segments,
        line: element.line,
    })
}

/// SegmentTemplate inherits attribute by attribute, from Period to Representation (section 5.3.9.1).
fn read_template(levels: &[&Element; 3]) -> Result<Option<Template>, DashError> {
    let found: Vec<&Element> = levels.iter().filter_map(|l| l.first("SegmentTemplate")).collect();
    let Some(innermost) = found.last() else {
        return Ok(None);
    };
    let text = |name: &str| {
        found
            .iter()
            .rev()
            .find_map(|t| t.attribute(name))
            .map(str::to_owned)
    };
    let number = |name: &str| -> Result<Option<u64>, DashError> {
        found
            .iter()
            .rev()
            .find(|t| t.attribute(name).is_some())
            .map_or(Ok(None), |t| whole(t, name))
    };
    let timescale = number("timescale")?.unwrap_or(1);
    if timescale == 0 {
        return Err(broken(innermost, "must have a @timescale above 0"));
    }
    let segment_duration = number("duration")?;
    let timeline = found.iter().rev().find_map(|t| t.first("SegmentTimeline"));
    if segment_duration.is_none() == timeline.is_none() {
        return Err(broken(
            innermost,
            "must have exactly one of @duration and SegmentTimeline",
        ));
    }
    if segment_duration == Some(0) {
        return Err(broken(innermost, "must have a @duration above 0"));
    }
    Ok(Some(Template {
        media: text("media").ok_or_else(|| broken(innermost, "must have @media"))?,
        init: text("initialization"),
        timescale,
        time_offset: number("presentationTimeOffset")?.unwrap_or(0),
        start_number: number("startNumber")?.unwrap_or(1),
        segment_duration,
        timeline: timeline.map(read_timeline).transpose()?,
        availability_offset: text("availabilityTimeOffset")
            .and_then(|t| t.parse().ok())
            .filter(|o: &f64| o.is_finite())
            .unwrap_or(0.0),
    }))
}

fn read_timeline(timeline: &Element) -> Result<Vec<(u64, u64)>, DashError> {
    let (mut segments, mut time): (Vec<(u64, u64)>, u64) = (Vec::new(), 0);
    let entries: Vec<&Element> = timeline.all("S").collect();
    for (n, entry) in entries.iter().enumerate() {
        let duration = whole(entry, "d")?
            .filter(|d| *d > 0)
            .ok_or_else(|| broken(entry, "must have a @d above 0"))?;
        time = whole(entry, "t")?.unwrap_or(time);
        let repeat = parsed(entry, "r", |t| t.parse::<i64>().ok(), "a whole number")?.unwrap_or(0);
        let count = match u64::try_from(repeat) {
            Ok(repeat) => repeat.saturating_add(1),
            // -1: up to the next S, or, in the last, of unknown number: then it counts as one.
            Err(_) => match entries
                .get(n + 1)
                .map(|next| whole(next, "t"))
                .transpose()?
                .flatten()
            {
                Some(next) => next.saturating_sub(time) / duration,
                None => 1,
            },
        };
        if segments.len() as u64 + count > MAX_TIMELINE {
            return Err(broken(
                entry,
                format!("must not bring the timeline over {MAX_TIMELINE} segments"),
            ));
        }
        for _ in 0..count {
            segments.push((time, duration));
            time = time.saturating_add(duration);
        }
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = r#"<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic" availabilityStartTime="2026-11-23T12:00:00Z" suggestedPresentationDelay="PT6S">
 <BaseURL>live/</BaseURL>
 <Period id="p" start="PT0S">
  <AdaptationSet contentType="video">
   <ContentProtection xmlns:cenc="urn:mpeg:cenc:2013" schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cenc" cenc:default_KID="a7e61c37-3e21-9033-c210-91fa607bf3b8"/>
   TEMPLATE
   <Representation id="v1" bandwidth="100"/>
  </AdaptationSet>
 </Period>
</MPD>"#;

    fn live(template: &str) -> Result<Mpd, DashError> {
        parse(LIVE.replace("TEMPLATE", template).as_bytes())
    }

    #[test]
    fn the_last_entry_of_a_timeline_is_the_newest_segment() {
        let mpd = live(r#"<SegmentTemplate timescale="1000" media="$RepresentationID$/$Time$-$Number%03d$.m4s" initialization="$RepresentationID$/i" startNumber="5"><SegmentTimeline><S t="10000" d="2000" r="2"/></SegmentTimeline></SegmentTemplate>"#).unwrap();
        let newest = mpd.representations[0]
            .newest(&mpd, Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            (newest.url.as_str(), newest.end, newest.duration),
            ("v1/14000-007.m4s", 16.0, 2.0)
        );
        assert_eq!(
            mpd.wall_clock(newest.end),
            Some("2026-11-23T12:00:16Z".parse().unwrap())
        );
        assert_eq!(mpd.representations[0].init_url().as_deref(), Some("v1/i"));
        assert_eq!(mpd.kids[0].to_string(), "a7e61c373e219033c21091fa607bf3b8");
    }

    #[test]
    fn with_a_duration_the_clock_says_which_is_newest() {
        let mpd = live(r#"<SegmentTemplate timescale="1" duration="2" media="$Number$" startNumber="1"/>"#)
            .unwrap();
        let at = |text: &str| mpd.representations[0].newest(&mpd, text.parse().unwrap());
        assert_eq!(at("2026-11-23T12:00:10.5Z").unwrap().url, "5");
        assert_eq!(at("2026-11-23T12:00:01Z"), None);
    }

    #[test]
    fn a_period_announced_for_later_does_not_hold_the_live_edge() {
        let period = |id: &str, start: u64| {
            format!(
                r#"<Period id="{id}" start="PT{start}S"><AdaptationSet><SegmentTemplate timescale="1" media="{id}-$Time$"><SegmentTimeline><S t="0" d="2" r="4"/></SegmentTimeline></SegmentTemplate><Representation id="{id}" bandwidth="1"/></AdaptationSet></Period>"#
            )
        };
        let (a, b) = (period("a", 0), period("b", 60));
        let text =
            format!(r#"<MPD type="dynamic" availabilityStartTime="2026-11-23T12:00:00Z">{a}{b}</MPD>"#);
        let mpd = parse(text.as_bytes()).unwrap();
        let ids = |now: &str| {
            mpd.current(now.parse().unwrap())
                .map(|r| r.id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("2026-11-23T12:00:30Z"), ["a"]);
        assert_eq!(ids("2026-11-23T12:01:30Z"), ["b"]);
        let position = |n: usize| {
            mpd.representations[n]
                .newest(&mpd, Timestamp::UNIX_EPOCH)
                .unwrap()
                .position
        };
        assert!(
            position(1) > position(0),
            "a new period begins its own count and is no step back"
        );
    }

    #[test]
    fn mistakes_name_line_and_element() {
        let check =
            |text: &str, message: &str| assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message);
        check("<html></html>", "line 1: the root element must be MPD, not html");
        check(
            "<MPD type=\"dynamic\">\n</MPD>",
            "line 1: MPD must have @availabilityStartTime when @type is dynamic",
        );
        check(
            "<MPD>\n<Period>\n</Period></MPD>",
            "line 2: Period must have an AdaptationSet with a Representation",
        );
        let both = live(r#"<SegmentTemplate timescale="1" media="x"/>"#)
            .unwrap_err()
            .to_string();
        assert_eq!(
            both,
            "line 7: SegmentTemplate must have exactly one of @duration and SegmentTimeline"
        );
    }
}
