//! Live streams of every format, as pure functions of the time: whoever asks says what time it is. The
//! world serves them by the wall clock, tests by a clock of their own.

mod dash;
mod hds;
mod hls;
mod media;
mod smooth;

use jiff::{SignedDuration, Timestamp};
use media::Track;

/// Key id of the canary, as in `media/make.sh`.
pub const CANARY_KID: &str = "a7e61c37-3e21-9033-c210-91fa607bf3b8";
/// Key of the canary, public by design.
pub const CANARY_KEY: [u8; 16] = [
    0x1a, 0x8d, 0x1a, 0x2f, 0x6f, 0xd9, 0x41, 0x2c, 0x9d, 0x4a, 0x6c, 0x3f, 0x0a, 0x5b, 0x7e, 0x91,
];
/// Seconds of every window but that of low latency.
const WINDOW: f64 = 12.0;

/// Streams that began at one time.
#[derive(Debug, Clone)]
pub struct Stage {
    start: Timestamp,
    timing: Timing,
}

/// How punctual a packager is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Timing {
    /// Segments are there and are listed when they end.
    #[default]
    Exact,
    /// Listed late by up to 0.4 of the longest segment, each track by itself, and there up to 0.8 s after
    /// that: as packagers are observed to be.
    Jittery,
}

impl Timing {
    /// Seconds by which segment `number` of a track is listed late.
    fn delay(self, track: &str, number: u64) -> f64 {
        match self {
            Timing::Exact => 0.0,
            Timing::Jittery => 0.8 * noise(track, number),
        }
    }

    /// Seconds by which it is there later than that.
    fn behind(self, track: &str, number: u64) -> f64 {
        match self {
            Timing::Exact => 0.0,
            Timing::Jittery => 0.8 * noise(track, number ^ 0x5555),
        }
    }
}

/// A number from 0 to 1 that looks random and stays the same.
fn noise(track: &str, number: u64) -> f64 {
    let seed = track
        .bytes()
        .fold(number, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b)));
    // The finalizer of splitmix64.
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// What is wrong with the streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mood {
    /// They end.
    pub ended: bool,
    /// Manifests break their specification.
    pub broken: bool,
    /// Manifests name another key id than the init segments.
    pub wrong_kid: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Path, from the kind of stream on: `cenc/master.m3u8`.
    pub path: &'a str,
    /// Query.
    pub query: &'a str,
    /// When.
    pub now: Timestamp,
    /// What is wrong.
    pub mood: Mood,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Content type.
    pub kind: &'static str,
    /// Body.
    pub body: Vec<u8>,
    /// Segments may be cached for long, manifests may not.
    pub immutable: bool,
    /// The answer is held until then: ask again.
    pub due: Option<Timestamp>,
}

impl Answer {
    fn new(kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: 200,
            kind,
            body: body.into(),
            immutable: false,
            due: None,
        }
    }

    fn media(kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            immutable: true,
            ..Answer::new(kind, body)
        }
    }

    fn status(status: u16) -> Answer {
        Answer {
            status,
            ..Answer::new("text/plain", "no")
        }
    }

    fn held(until: Timestamp) -> Answer {
        Answer {
            due: Some(until),
            ..Answer::status(503)
        }
    }
}

/// One look at the stage.
struct Scene<'a> {
    ask: Ask<'a>,
    start: Timestamp,
    timing: Timing,
    /// Seconds since the start.
    seconds: f64,
}

impl Stage {
    /// Streams whose windows are full at `now`.
    pub fn new(now: Timestamp, timing: Timing) -> Stage {
        Stage {
            start: now - SignedDuration::from_secs(60),
            timing,
        }
    }

    /// What a request finds. `None` where there is nothing.
    pub fn answer(&self, ask: Ask<'_>) -> Option<Answer> {
        let scene = Scene {
            ask,
            start: self.start,
            timing: self.timing,
            // The window stays full however far somebody sets the clock back.
            seconds: ask.now.duration_since(self.start).as_secs_f64().max(40.0),
        };
        let (kind, rest) = ask.path.split_once('/')?;
        let parts: Vec<&str> = rest.split('/').collect();
        match (kind, parts.as_slice()) {
            ("ts" | "aes", parts) => hls::muxed(&scene, kind, parts),
            ("smooth", parts) => smooth::answer(&scene, parts),
            ("hds", parts) => hds::answer(&scene, parts),
            (_, [file]) if file.ends_with(".m3u8") => hls::playlist(&scene, kind, file),
            (_, [file]) if file.ends_with(".mpd") => dash::mpd(&scene, kind, file),
            (_, ["steering.json"]) => Some(Answer::new(
                "application/json",
                r#"{"VERSION":1,"TTL":300,"PATHWAY-PRIORITY":["A","B"]}"#,
            )),
            // Another place that has the same.
            (_, ["backup", track, file]) | (_, [track, file]) => scene.file(kind, track, file),
            _ => None,
        }
    }
}

impl Scene<'_> {
    /// A time of the stream as one of the wall clock.
    fn instant(&self, seconds: f64) -> Timestamp {
        self.start + SignedDuration::from_secs_f64(seconds)
    }

    /// First and last segment of a window of so many seconds.
    fn window(&self, track: &Track, length: f64) -> (u64, u64) {
        let newest = track.newest(self.seconds, &self.timing);
        let mut first = newest;
        while first > 0 && track.begin(newest + 1) - track.begin(first) < length - 1e-6 {
            first -= 1;
        }
        (first, newest)
    }

    /// Whether segment `number` is there: not before it is published, and for a while longer than it is
    /// listed.
    fn there(&self, track: &Track, number: u64) -> bool {
        let from = track.published(number, &self.timing) + self.timing.behind(track.name, number);
        self.seconds >= from && self.seconds <= from + 4.0 * WINDOW
    }

    fn file(&self, kind: &str, track: &str, file: &str) -> Option<Answer> {
        let track = media::tracks(kind)?.iter().find(|t| t.name == track)?;
        let content = match track.size {
            Some(_) => "video/mp4",
            None => "audio/mp4",
        };
        if file == "init.mp4" {
            return Some(Answer::media(content, track.init));
        }
        let name = file.strip_suffix(".m4s")?;
        if let Some((number, part)) = name.split_once('.') {
            return hls::part(self, track, number.parse().ok()?, part.parse().ok()?);
        }
        // On demand: one loop, counted from 1.
        if let Some(number) = name.strip_prefix("vod") {
            let number = number.parse::<usize>().ok()?.checked_sub(1)?;
            return Some(Answer::media(content, *track.segments.get(number)?));
        }
        let number = name.parse().ok()?;
        // An MPD of low latency lists a segment while it grows: what is there of it is served.
        if kind == "parts" && !self.there(track, number) && track.begin(number) < self.seconds {
            let done = ((self.seconds - track.begin(number)) / hls::PART + 1e-6) as usize;
            let parts = track.fragments(number);
            return (done > 0).then(|| Answer::media(content, parts[..done.min(parts.len())].concat()));
        }
        self.there(track, number)
            .then(|| Answer::media(content, track.segment(number)))
    }
}
