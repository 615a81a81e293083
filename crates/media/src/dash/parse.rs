//! From XML to an MPD. What is broken is noted and reading goes on.

use super::*;
use crate::{
    problem::{Problems, quoted},
    xml::{self, Element},
};
use base64::{Engine, engine::general_purpose::STANDARD};

const MAX_REPRESENTATIONS: usize = 10_000;

/// Parses an MPD.
pub fn parse(bytes: &[u8]) -> Result<Mpd, DashError> {
    let text = std::str::from_utf8(bytes).map_err(|e| DashError::NotUtf8(e.valid_up_to()))?;
    let tree = xml::parse(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let root = tree.root();
    if root.name() != "MPD" {
        let found = root.name().chars().take(64).collect();
        return Err(DashError::Root { wanted: "MPD", found });
    }
    let mut reader = Reader::default();
    let mut mpd = reader.mpd(root);
    mpd.problems = reader.problems.0;
    mpd.calendar_durations = reader.calendar;
    Ok(mpd)
}

#[derive(Default)]
pub(super) struct Reader {
    pub problems: Problems,
    calendar: Vec<usize>,
    representations: usize,
}

impl Reader {
    fn wrong(&mut self, element: Element<'_>, message: impl Into<String>) {
        self.problems.line(element.line(), element.name(), message);
    }

    fn value<T>(
        &mut self,
        element: Element<'_>,
        name: &str,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = element.attribute(name)?;
        let found = read(text.trim());
        if found.is_none() {
            self.wrong(
                element,
                format!("must have {what} in @{name}, not {}", quoted(text)),
            );
        }
        found
    }

    pub(super) fn whole(&mut self, element: Element<'_>, name: &str) -> Option<u64> {
        self.value(element, name, "a whole number", |t| t.parse().ok())
    }

    fn seconds(&mut self, element: Element<'_>, name: &str) -> Option<f64> {
        let (seconds, calendar) = self.value(element, name, "a duration such as PT2.5S", duration)?;
        if calendar {
            self.calendar.push(element.line());
        }
        Some(seconds)
    }

    pub(super) fn instant(&mut self, element: Element<'_>, name: &str) -> Option<Timestamp> {
        // A time without a zone is UTC (clause 5.3.1.2).
        let read = |t: &str| t.parse().ok().or_else(|| format!("{t}Z").parse().ok());
        self.value(element, name, "a date and time", read)
    }

    fn offset(&mut self, element: Element<'_>) -> Option<f64> {
        let read = |t: &str| match t {
            "INF" => Some(f64::INFINITY),
            t => t.parse::<f64>().ok().filter(|n| n.is_finite()),
        };
        self.value(
            element,
            "availabilityTimeOffset",
            "a number of seconds or INF",
            read,
        )
    }

    fn truth(&mut self, element: Element<'_>, name: &str) -> Option<bool> {
        self.value(element, name, "true or false", |t| match t {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    fn mpd(&mut self, root: Element<'_>) -> Mpd {
        let dynamic = root.attribute("type") == Some("dynamic");
        let mut mpd = Mpd {
            id: owned(root, "id"),
            dynamic,
            profiles: root
                .attribute("profiles")
                .into_iter()
                .flat_map(|p| p.split(',').map(|p| p.trim().to_owned()))
                .collect(),
            availability_start: self.instant(root, "availabilityStartTime"),
            publish_time: self.instant(root, "publishTime"),
            minimum_update_period: self.seconds(root, "minimumUpdatePeriod"),
            min_buffer_time: self.seconds(root, "minBufferTime"),
            time_shift_buffer_depth: self.seconds(root, "timeShiftBufferDepth"),
            suggested_delay: self.seconds(root, "suggestedPresentationDelay"),
            duration: self.seconds(root, "mediaPresentationDuration"),
            max_segment_duration: self.seconds(root, "maxSegmentDuration"),
            base_urls: self.base_urls(root),
            locations: root.all("Location").map(|l| l.text().to_owned()).collect(),
            patch_locations: root.all("PatchLocation").map(|l| l.text().to_owned()).collect(),
            utc_timings: root.all("UTCTiming").map(descriptor).collect(),
            ..Mpd::default()
        };
        if dynamic && root.attribute("availabilityStartTime").is_none() {
            self.wrong(root, "must have @availabilityStartTime when @type is dynamic");
        }
        if let Some(latency) = root.first("ServiceDescription").and_then(|s| s.first("Latency")) {
            mpd.latency = Some(Latency {
                target: self.whole(latency, "target"),
                min: self.whole(latency, "min"),
                max: self.whole(latency, "max"),
            });
        }
        mpd.steering = root.first("ContentSteering").map(|s| Steering {
            server: s.text().to_owned(),
            default: owned(s, "defaultServiceLocation"),
            line: s.line(),
        });
        // A period begins where it says, or where the one before it ended.
        let mut start = 0.0;
        for element in root.all("Period") {
            let mut period = self.period(element, start);
            // A period that ends without saying so ends where the next one begins.
            if let Some(before) = mpd.periods.last_mut()
                && before.end.is_none()
            {
                before.end = Some(period.start);
            }
            period.end = period.explicit_duration.map(|d| period.start + d);
            start = period.end.unwrap_or(period.start);
            mpd.periods.push(period);
        }
        if let Some(last) = mpd.periods.last_mut()
            && last.end.is_none()
        {
            last.end = mpd.duration;
        }
        if mpd.periods.is_empty() {
            self.wrong(root, "must have a Period");
        } else if self.representations == 0 && root.all("Period").all(|p| p.attribute("href").is_none()) {
            self.wrong(root, "must have an AdaptationSet with a Representation");
        }
        mpd
    }

    fn period(&mut self, element: Element<'_>, start: f64) -> Period {
        let mut period = Period {
            id: owned(element, "id"),
            start: self.seconds(element, "start").unwrap_or(start),
            end: None,
            explicit_duration: self.seconds(element, "duration"),
            base_urls: self.base_urls(element),
            sets: Vec::new(),
            events: element.all("EventStream").map(|e| self.event_stream(e)).collect(),
            line: element.line(),
        };
        for set in element.all("AdaptationSet") {
            period.sets.push(self.set(element, set));
        }
        period
    }

    fn set(&mut self, period: Element<'_>, element: Element<'_>) -> AdaptationSet {
        let first = element.first("Representation");
        let inherited = |name| element.attribute(name).or_else(|| first?.attribute(name));
        let content = inherited("contentType")
            .or_else(|| inherited("mimeType").and_then(|m| m.split('/').next()))
            .unwrap_or_default();
        let mut set = AdaptationSet {
            id: owned(element, "id"),
            content_type: match (content, inherited("mimeType"), inherited("codecs")) {
                // Subtitles in MP4 (ISO/IEC 14496-30).
                ("application", _, _) | (_, _, Some("stpp" | "wvtt")) => "text".to_owned(),
                (content, ..) => content.to_owned(),
            },
            language: owned(element, "lang"),
            roles: element.all("Role").filter_map(|r| owned(r, "value")).collect(),
            base_urls: self.base_urls(element),
            protection: element
                .all("ContentProtection")
                .map(|c| self.protection(c))
                .collect(),
            inband_events: element.all("InbandEventStream").map(descriptor).collect(),
            producer_references: Vec::new(),
            essential: element.all("EssentialProperty").map(descriptor).collect(),
            segment_alignment: element
                .attribute("segmentAlignment")
                .is_some_and(|v| v != "false"),
            representations: Vec::new(),
            line: element.line(),
        };
        for reference in element.all("ProducerReferenceTime") {
            set.producer_references.push(ProducerReference {
                wall_clock: self.instant(reference, "wallClockTime"),
                presentation_time: self.whole(reference, "presentationTime").unwrap_or(0),
                inband: self.truth(reference, "inband").unwrap_or(false),
                line: reference.line(),
            });
        }
        for representation in element.all("Representation") {
            self.representations += 1;
            if self.representations > MAX_REPRESENTATIONS {
                self.wrong(
                    representation,
                    format!("must not stand more than {MAX_REPRESENTATIONS} times"),
                );
                break;
            }
            set.representations
                .push(self.representation(period, element, representation));
        }
        set
    }

    fn representation(
        &mut self,
        period: Element<'_>,
        set: Element<'_>,
        element: Element<'_>,
    ) -> Representation {
        let inherited = |name: &str| element.attribute(name).or_else(|| set.attribute(name));
        let bandwidth = self.whole(element, "bandwidth");
        if element.attribute("bandwidth").is_none() {
            self.wrong(element, "must have @bandwidth in bits per second");
        }
        let levels = [period, set, element];
        let size = |of: Element<'_>, reader: &mut Self| {
            Some((reader.whole(of, "width")?, reader.whole(of, "height")?))
        };
        Representation {
            id: element.attribute("id").unwrap_or_default().to_owned(),
            bandwidth: bandwidth.unwrap_or(0),
            codecs: inherited("codecs")
                .into_iter()
                .flat_map(|c| c.split(',').map(|c| c.trim().to_owned()))
                .collect(),
            mime_type: inherited("mimeType").map(str::to_owned),
            size: size(element, self).or_else(|| size(set, self)),
            base_urls: self.base_urls(element),
            protection: element
                .all("ContentProtection")
                .map(|c| self.protection(c))
                .collect(),
            segments: self.addressing(&levels),
            line: element.line(),
        }
    }

    /// The innermost level that gives an attribute or element of the same kind counts (clause 5.3.9.1).
    fn addressing(&mut self, levels: &[Element<'_>; 3]) -> Addressing {
        let of = |name: &'static str| -> Vec<Element<'_>> {
            levels.iter().rev().filter_map(|l| l.first(name)).collect()
        };
        let templates = of("SegmentTemplate");
        if let Some(innermost) = templates.first() {
            return Addressing::Template(self.template(*innermost, &templates));
        }
        let lists = of("SegmentList");
        if let Some(innermost) = lists.first() {
            let find = |name: &str| lists.iter().find_map(|l| l.first(name));
            let scale = lists
                .iter()
                .find_map(|l| self.whole(*l, "timescale"))
                .unwrap_or(1);
            let ticks = lists.iter().find_map(|l| self.whole(*l, "duration")).unwrap_or(0);
            return Addressing::List {
                init: find("Initialization").and_then(|i| owned(i, "sourceURL")),
                media: innermost
                    .all("SegmentURL")
                    .filter_map(|s| owned(s, "media"))
                    .collect(),
                duration: ticks as f64 / scale.max(1) as f64,
            };
        }
        let bases = of("SegmentBase");
        let mut range = |of: Option<Element<'_>>, name: &str| {
            let read = |t: &str| {
                let (first, last) = t.split_once('-')?;
                Some((first.parse().ok()?, last.parse().ok()?))
            };
            self.value(of?, name, "FIRST-LAST bytes", read)
        };
        Addressing::Single {
            index: range(bases.first().copied(), "indexRange"),
            init: range(bases.iter().find_map(|b| b.first("Initialization")), "range"),
        }
    }

    fn template(&mut self, innermost: Element<'_>, levels: &[Element<'_>]) -> Template {
        let text = |name: &str| levels.iter().find_map(|l| l.attribute(name));
        let mut whole = |name: &str| levels.iter().find_map(|l| self.whole(*l, name));
        let mut template = Template {
            media: text("media").unwrap_or_default().to_owned(),
            init: text("initialization").map(str::to_owned),
            timescale: whole("timescale").unwrap_or(1),
            explicit_timescale: text("timescale").is_some(),
            time_offset: whole("presentationTimeOffset").unwrap_or(0),
            start_number: whole("startNumber").unwrap_or(1),
            duration: whole("duration"),
            timeline: None,
            availability_offset: 0.0,
            availability_complete: true,
            line: innermost.line(),
        };
        template.availability_offset = levels.iter().find_map(|l| self.offset(*l)).unwrap_or(0.0);
        template.availability_complete = levels
            .iter()
            .find_map(|l| self.truth(*l, "availabilityTimeComplete"))
            .unwrap_or(true);
        if template.timescale == 0 {
            self.wrong(innermost, "must have a @timescale above 0");
        }
        if template.media.is_empty() {
            self.wrong(innermost, "must have @media");
        }
        if template.duration == Some(0) {
            self.wrong(innermost, "must have a @duration above 0");
            template.duration = None;
        }
        template.timeline = levels
            .iter()
            .find_map(|l| l.first("SegmentTimeline"))
            .map(|t| self.timeline(t));
        template
    }

    fn timeline(&mut self, element: Element<'_>) -> Timeline {
        let mut runs: Vec<Run> = Vec::new();
        for s in element.all("S") {
            let Some(duration) = self.whole(s, "d").filter(|d| *d > 0) else {
                if s.attribute("d").is_none_or(|d| d.trim() == "0") {
                    self.wrong(s, "must have a @d above 0");
                }
                continue;
            };
            let read = |t: &str| t.parse::<i64>().ok().filter(|r| (-1..1 << 32).contains(r));
            let repeat = self
                .value(s, "r", "a count of repetitions, or -1", read)
                .unwrap_or(0);
            let next = runs.last().map_or(0, |run| {
                run.start
                    .saturating_add(run.duration.saturating_mul(run.count.unwrap_or(1)))
            });
            let start = self.whole(s, "t");
            // A run as long as fits ends where the next one says that it begins.
            if let (Some(start), Some(open)) = (start, runs.last_mut().filter(|run| run.count.is_none())) {
                open.count = Some(start.saturating_sub(open.start).div_ceil(open.duration));
            }
            runs.push(Run {
                start: start.unwrap_or(next),
                duration,
                count: u64::try_from(repeat).ok().map(|r| r + 1),
                line: s.line(),
            });
        }
        Timeline { runs }
    }

    fn base_urls(&mut self, element: Element<'_>) -> Vec<BaseUrl> {
        let mut found = Vec::new();
        for base in element.all("BaseURL") {
            found.push(BaseUrl {
                url: base.text().to_owned(),
                service_location: owned(base, "serviceLocation"),
                priority: self.whole(base, "priority").unwrap_or(1),
                availability_offset: self.offset(base),
                availability_complete: self.truth(base, "availabilityTimeComplete"),
                line: base.line(),
            });
        }
        found
    }

    fn protection(&mut self, element: Element<'_>) -> ContentProtection {
        let mut kids = Vec::new();
        // Several key ids may stand in one attribute (ISO/IEC 23001-7 section 11.2).
        for text in element
            .attribute("default_KID")
            .into_iter()
            .flat_map(str::split_whitespace)
        {
            match Kid::parse(text) {
                Ok(kid) => kids.push(kid),
                Err(error) => self.wrong(element, format!("has a bad default_KID: {error}")),
            }
        }
        let mut bytes = |name: &str| {
            let mut found = Vec::new();
            for child in element.all(name) {
                match decode(child.text()) {
                    Some(bytes) => found.push(bytes),
                    None => self.wrong(child, "must be Base64"),
                }
            }
            found
        };
        let (pssh, pro) = (bytes("pssh"), bytes("pro"));
        ContentProtection {
            scheme: element
                .attribute("schemeIdUri")
                .unwrap_or_default()
                .to_ascii_lowercase(),
            value: element.attribute("value").unwrap_or_default().to_owned(),
            kids,
            pssh,
            pro,
            license_urls: element
                .children()
                .filter(|c| matches!(c.name(), "Laurl" | "laurl" | "LA_URL"))
                .map(|c| c.attribute("licenseUrl").unwrap_or(c.text()).to_owned())
                .collect(),
            line: element.line(),
        }
    }

    fn event_stream(&mut self, element: Element<'_>) -> EventStream {
        let mut stream = EventStream {
            scheme: element.attribute("schemeIdUri").unwrap_or_default().to_owned(),
            timescale: self.whole(element, "timescale").unwrap_or(1).max(1),
            events: Vec::new(),
            line: element.line(),
        };
        for event in element.all("Event") {
            let binary = event.first("Signal").and_then(|s| s.first("Binary"));
            stream.events.push(Event {
                presentation_time: self.whole(event, "presentationTime").unwrap_or(0),
                duration: self.whole(event, "duration"),
                id: owned(event, "id"),
                scte35: binary.map(|b| decode(b.text())),
                line: event.line(),
            });
        }
        stream
    }
}

fn descriptor(element: Element<'_>) -> Descriptor {
    Descriptor {
        scheme: element.attribute("schemeIdUri").unwrap_or_default().to_owned(),
        value: element.attribute("value").unwrap_or_default().to_owned(),
        line: element.line(),
    }
}

fn owned(element: Element<'_>, name: &str) -> Option<String> {
    element.attribute(name).map(str::to_owned)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).ok()
}

/// An `xs:duration` in seconds, and whether it speaks of years or months, which are counted as 365 and 30
/// days.
fn duration(text: &str) -> Option<(f64, bool)> {
    let mut rest = text.strip_prefix('P')?;
    let (mut seconds, mut calendar, mut time, mut any) = (0.0, false, false, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T').filter(|_| !time) {
            (rest, time) = (after, true);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let factor = match (unit, time) {
            ('Y', false) => 365.0 * 86_400.0,
            ('M', false) => 30.0 * 86_400.0,
            ('D', false) => 86_400.0,
            ('H', true) => 3600.0,
            ('M', true) => 60.0,
            ('S', true) => 1.0,
            _ => return None,
        };
        calendar |= matches!((unit, time), ('Y' | 'M', false)) && number > 0.0;
        seconds += number * factor;
        any = true;
        rest = &rest[end + unit.len_utf8()..];
    }
    (any && seconds < 1e12).then_some((seconds, calendar))
}
