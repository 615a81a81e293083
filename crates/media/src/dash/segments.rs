//! Where segments are, and which of them there are at an instant.

use super::{Mpd, Period, Representation};
use crate::difference;
use jiff::Timestamp;

/// How segments are addressed (clause 5.3.9).
#[derive(Debug, Clone, PartialEq)]
pub enum Addressing {
    /// SegmentTemplate.
    Template(Template),
    /// SegmentList.
    List {
        /// Initialization@sourceURL.
        init: Option<String>,
        /// SegmentURL@media, in order.
        media: Vec<String>,
        /// Seconds of one segment.
        duration: f64,
    },
    /// The whole representation is one resource (SegmentBase, or BaseURL alone).
    Single {
        /// `indexRange`: first and last byte of its index.
        index: Option<(u64, u64)>,
        /// Initialization@range: first and last byte of its init section.
        init: Option<(u64, u64)>,
    },
}

impl Default for Addressing {
    fn default() -> Self {
        let (index, init) = (None, None);
        Addressing::Single { index, init }
    }
}

/// SegmentTemplate (clause 5.3.9.4).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// `media`.
    pub media: String,
    /// `initialization`.
    pub init: Option<String>,
    /// Ticks per second; 1 when absent.
    pub timescale: u64,
    /// `timescale` is written.
    pub explicit_timescale: bool,
    /// `presentationTimeOffset`, ticks.
    pub time_offset: u64,
    /// `startNumber`; 1 when absent.
    pub start_number: u64,
    /// `duration` of every segment, ticks.
    pub duration: Option<u64>,
    /// SegmentTimeline.
    pub timeline: Option<Timeline>,
    /// `availabilityTimeOffset`, seconds; infinite for `INF`.
    pub availability_offset: f64,
    /// `availabilityTimeComplete`.
    pub availability_complete: bool,
    /// Line of the element.
    pub line: usize,
}

/// SegmentTimeline (clause 5.3.9.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// `S`, in order.
    pub runs: Vec<Run>,
}

/// One `S`: segments of equal duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Run {
    /// Start of its first segment, ticks.
    pub start: u64,
    /// Duration of each, ticks.
    pub duration: u64,
    /// How many there are; `None` for as many as fit (`r="-1"`).
    pub count: Option<u64>,
    /// Line of the element.
    pub line: usize,
}

/// A segment of a representation.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentRef {
    /// URL as the template gives it, to be resolved against the base URLs.
    pub url: String,
    /// Number, for `$Number$`.
    pub number: u64,
    /// Start in ticks of the template, for `$Time$`.
    pub time: u64,
    /// Start on the presentation timeline, seconds.
    pub start: f64,
    /// Duration, seconds.
    pub duration: f64,
}

impl SegmentRef {
    /// End on the presentation timeline, seconds.
    pub fn end(&self) -> f64 {
        self.start + self.duration
    }
}

impl Timeline {
    /// How many segments a run has, when the period ends at `limit` ticks.
    fn count(run: &Run, limit: Option<u64>) -> u64 {
        run.count.unwrap_or_else(|| match limit {
            Some(limit) => limit
                .saturating_sub(run.start)
                .div_ceil(run.duration.max(1))
                .min(1 << 32),
            None => 1,
        })
    }

    /// Every `S@t` that does not continue where the one before it ended: its line and the jump in ticks;
    /// positive for a gap, negative for an overlap.
    pub fn jumps(&self) -> impl Iterator<Item = (usize, i64)> {
        self.runs.windows(2).filter_map(|pair| {
            let end = pair[0]
                .start
                .saturating_add(pair[0].duration.saturating_mul(pair[0].count?));
            let jump = difference(pair[1].start, end);
            (jump != 0).then_some((pair[1].line, jump))
        })
    }
}

impl Representation {
    /// URL of the init segment, to be resolved against the base URLs.
    pub fn init_url(&self) -> Option<String> {
        match &self.segments {
            Addressing::Template(t) => Some(self.fill(t.init.as_deref()?, t.start_number, 0)),
            Addressing::List { init, .. } => init.clone(),
            Addressing::Single { .. } => None,
        }
    }

    /// The segment at a position from the start of the period, 0 for the first that there ever was (with a
    /// timeline: that is listed).
    pub fn segment(&self, period: &Period, position: u64) -> Option<SegmentRef> {
        match &self.segments {
            Addressing::Template(template) => self.template_segment(template, period, position),
            Addressing::List { media, duration, .. } => {
                let url = media.get(usize::try_from(position).ok()?)?.clone();
                let (number, time) = (position.checked_add(1)?, 0);
                let start = period.start + position as f64 * duration;
                Some(SegmentRef {
                    url,
                    number,
                    time,
                    start,
                    duration: *duration,
                })
            }
            Addressing::Single { .. } => None,
        }
    }

    fn template_segment(&self, template: &Template, period: &Period, position: u64) -> Option<SegmentRef> {
        let scale = template.timescale.max(1) as f64;
        let number = template.start_number.checked_add(position)?;
        let (time, ticks) = match &template.timeline {
            Some(timeline) => {
                let (limit, mut rest) = (template.limit(period), position);
                let run = timeline.runs.iter().find(|run| {
                    let count = Timeline::count(run, limit);
                    match rest.checked_sub(count) {
                        Some(behind) => rest = behind,
                        None => return true,
                    }
                    false
                })?;
                (
                    run.start.checked_add(rest.checked_mul(run.duration)?)?,
                    run.duration,
                )
            }
            None => {
                let ticks = template.duration?;
                (
                    position.checked_mul(ticks)?.checked_add(template.time_offset)?,
                    ticks,
                )
            }
        };
        let start = period.start + (time as f64 - template.time_offset as f64) / scale;
        let url = self.fill(&template.media, number, time);
        Some(SegmentRef {
            url,
            number,
            time,
            start,
            duration: ticks as f64 / scale,
        })
    }

    /// Positions of the oldest and the newest segment that there are at an instant: with a timeline those
    /// that are listed, with `@duration` alone those that the clock says (clause 5.3.9.5.3).
    pub fn available(&self, mpd: &Mpd, period: &Period, now: Timestamp) -> Option<(u64, u64)> {
        let template = match &self.segments {
            Addressing::Template(template) => template,
            Addressing::List { media, .. } => return Some((0, (media.len() as u64).checked_sub(1)?)),
            Addressing::Single { .. } => return None,
        };
        if let Some(timeline) = &template.timeline {
            let limit = template.limit(period);
            let count = timeline.runs.iter().map(|run| Timeline::count(run, limit));
            let count = count.fold(0, u64::saturating_add);
            return Some((0, count.checked_sub(1)?));
        }
        let duration = template.duration? as f64 / template.timescale.max(1) as f64;
        let length = period.end.map(|end| end - period.start);
        if !mpd.dynamic {
            let count = (length? / duration - 1e-9).ceil();
            return Some((0, last_of(count)?));
        }
        let elapsed = now.duration_since(mpd.availability_start?).as_secs_f64() - period.start;
        let offset = Some(template.availability_offset)
            .filter(|o| o.is_finite())
            .unwrap_or(0.0);
        let reach = length.map_or(elapsed + offset, |length| (elapsed + offset).min(length));
        // A complete last segment ends at the period's end, which need not be a multiple of the duration.
        let ended = length.is_some_and(|length| elapsed >= length);
        let count = if ended {
            (reach / duration - 1e-9).ceil()
        } else {
            (reach / duration + 1e-9).floor()
        };
        let newest = last_of(count)?;
        let depth = mpd.time_shift_buffer_depth.unwrap_or(f64::INFINITY);
        let oldest = ((elapsed - depth) / duration - 1.0).ceil().max(0.0);
        Some(((oldest as u64).min(newest), newest))
    }

    /// The newest segment at an instant.
    pub fn newest(&self, mpd: &Mpd, period: &Period, now: Timestamp) -> Option<SegmentRef> {
        self.segment(period, self.available(mpd, period, now)?.1)
    }

    /// The oldest segment at an instant.
    pub fn oldest(&self, mpd: &Mpd, period: &Period, now: Timestamp) -> Option<SegmentRef> {
        self.segment(period, self.available(mpd, period, now)?.0)
    }

    /// Fills `$RepresentationID$`, `$Bandwidth$`, `$Number%05d$`, `$Time$` and `$$` (clause 5.3.9.4.4).
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
                .unwrap_or(0);
            let width = width.min(20);
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

/// Position of the last of so many segments. A period of negative length has none, and a count beyond any
/// stream is a mistake in the MPD.
fn last_of(count: f64) -> Option<u64> {
    let count = Some(count).filter(|count| (1.0..1e12).contains(count))?;
    (count as u64).checked_sub(1)
}

impl Template {
    /// End of the period in ticks of the template, where it is known.
    fn limit(&self, period: &Period) -> Option<u64> {
        let length = (period.end? - period.start) * self.timescale.max(1) as f64;
        (length.is_finite() && length >= 0.0).then(|| (length as u64).saturating_add(self.time_offset))
    }
}
