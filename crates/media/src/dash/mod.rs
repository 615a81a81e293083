//! DASH media presentation descriptions (ISO/IEC 23009-1): every addressing scheme, several periods, base
//! URLs and their fail-over, clocks, protection, events and patches.
//!
//! The clause numbers are from the fourth edition as quoted by DASH-IF documents; the text itself was not
//! at hand.

mod descriptors;
mod parse;
mod patch;
mod segments;

pub use descriptors::{
    BaseUrl, ContentProtection, Descriptor, Event, EventStream, Latency, ProducerReference, Steering,
};
pub use parse::parse;
pub use patch::{Operation, Patch, parse_patch};
pub use segments::{Addressing, Run, SegmentRef, Template, Timeline};

use crate::{Kid, Problem, xml};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

/// Not an MPD at all.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum DashError {
    /// Not XML.
    #[error(transparent)]
    Xml(#[from] xml::XmlError),
    /// Not UTF-8.
    #[error("an MPD must be UTF-8, and is not at byte {0}")]
    NotUtf8(usize),
    /// The root is another element.
    #[error("line 1: the root element must be {wanted}, not {found}")]
    Root {
        /// `MPD` or `Patch`.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
}

/// A media presentation description (clause 5.3.1). Durations are seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mpd {
    /// `id`.
    pub id: Option<String>,
    /// `type="dynamic"`: live.
    pub dynamic: bool,
    /// `profiles`, each.
    pub profiles: Vec<String>,
    /// `availabilityStartTime`.
    pub availability_start: Option<Timestamp>,
    /// `publishTime`.
    pub publish_time: Option<Timestamp>,
    /// `minimumUpdatePeriod`.
    pub minimum_update_period: Option<f64>,
    /// `minBufferTime`.
    pub min_buffer_time: Option<f64>,
    /// `timeShiftBufferDepth`.
    pub time_shift_buffer_depth: Option<f64>,
    /// `suggestedPresentationDelay`.
    pub suggested_delay: Option<f64>,
    /// `mediaPresentationDuration`.
    pub duration: Option<f64>,
    /// `maxSegmentDuration`.
    pub max_segment_duration: Option<f64>,
    /// BaseURL of the MPD: alternatives.
    pub base_urls: Vec<BaseUrl>,
    /// Location: where the next version is.
    pub locations: Vec<String>,
    /// PatchLocation.
    pub patch_locations: Vec<String>,
    /// UTCTiming.
    pub utc_timings: Vec<Descriptor>,
    /// ServiceDescription/Latency.
    pub latency: Option<Latency>,
    /// ContentSteering.
    pub steering: Option<Steering>,
    /// Period, in order.
    pub periods: Vec<Period>,
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
    /// Lines of durations that speak of years or months, which have no length in seconds.
    pub calendar_durations: Vec<usize>,
}

/// A period (clause 5.3.2). Times are seconds on the presentation timeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Period {
    /// `id`.
    pub id: Option<String>,
    /// Where it begins: `start`, or the end of the one before it.
    pub start: f64,
    /// Where it ends, where that is known.
    pub end: Option<f64>,
    /// Whether its end follows from what is written, or only from the next period's start.
    pub explicit_duration: Option<f64>,
    /// BaseURL of the period: alternatives.
    pub base_urls: Vec<BaseUrl>,
    /// AdaptationSet, in order.
    pub sets: Vec<AdaptationSet>,
    /// EventStream.
    pub events: Vec<EventStream>,
    /// Line of the element.
    pub line: usize,
}

/// An adaptation set (clause 5.3.3).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdaptationSet {
    /// `id`.
    pub id: Option<String>,
    /// `contentType`, or the first half of `mimeType`: `video`, `audio`, `text`, `image`.
    pub content_type: String,
    /// `lang` (RFC 5646).
    pub language: Option<String>,
    /// Role, the values.
    pub roles: Vec<String>,
    /// BaseURL of the set: alternatives.
    pub base_urls: Vec<BaseUrl>,
    /// ContentProtection.
    pub protection: Vec<ContentProtection>,
    /// InbandEventStream.
    pub inband_events: Vec<Descriptor>,
    /// ProducerReferenceTime.
    pub producer_references: Vec<ProducerReference>,
    /// EssentialProperty.
    pub essential: Vec<Descriptor>,
    /// `segmentAlignment` is set to something true.
    pub segment_alignment: bool,
    /// Representation, in order.
    pub representations: Vec<Representation>,
    /// Line of the element.
    pub line: usize,
}

/// A representation (clause 5.3.5), with what it inherits from its set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Representation {
    /// `id`.
    pub id: String,
    /// `bandwidth`, bits per second.
    pub bandwidth: u64,
    /// `codecs`, each.
    pub codecs: Vec<String>,
    /// `mimeType`.
    pub mime_type: Option<String>,
    /// `width` and `height`.
    pub size: Option<(u64, u64)>,
    /// BaseURL of the representation: alternatives.
    pub base_urls: Vec<BaseUrl>,
    /// ContentProtection of its own.
    pub protection: Vec<ContentProtection>,
    /// Where its segments are.
    pub segments: Addressing,
    /// Line of the element.
    pub line: usize,
}

impl Mpd {
    /// The period that holds the live edge: the last that has begun. Later ones may be announced
    /// beforehand, without a segment yet. Of an on-demand MPD, the first.
    pub fn current(&self, now: Timestamp) -> Option<&Period> {
        if !self.dynamic {
            return self.periods.first();
        }
        let begun = |p: &&Period| self.wall_clock(p.start).is_none_or(|start| start <= now);
        self.periods.iter().rfind(begun).or(self.periods.first())
    }

    /// Wall-clock instant of a point on the presentation timeline.
    pub fn wall_clock(&self, seconds: f64) -> Option<Timestamp> {
        self.availability_start?
            .checked_add(SignedDuration::try_from_secs_f64(seconds).ok()?)
            .ok()
    }

    /// Every ContentProtection.
    pub fn protection(&self) -> impl Iterator<Item = &ContentProtection> {
        self.periods
            .iter()
            .flat_map(|p| &p.sets)
            .flat_map(AdaptationSet::all_protection)
    }

    /// Key ids of every ContentProtection, without doubles.
    pub fn kids(&self) -> Vec<Kid> {
        let mut kids: Vec<Kid> = self.protection().flat_map(|p| p.kids.iter().copied()).collect();
        kids.sort_unstable();
        kids.dedup();
        kids
    }
}

impl AdaptationSet {
    /// ContentProtection of the set and of its representations.
    pub fn all_protection(&self) -> impl Iterator<Item = &ContentProtection> {
        self.protection
            .iter()
            .chain(self.representations.iter().flat_map(|r| &r.protection))
    }
}

#[cfg(test)]
mod tests;
