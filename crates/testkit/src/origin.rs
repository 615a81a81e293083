//! A live origin: six segments of two seconds in a loop, with a window that moves with the clock.

use jiff::{SignedDuration, Timestamp};
use std::{fmt::Write, sync::Mutex};

/// Key id of the canary, as in `media/make.sh`.
pub const CANARY_KID: &str = "a7e61c37-3e21-9033-c210-91fa607bf3b8";
/// Key of the canary, public by design.
pub const CANARY_KEY: [u8; 16] = [
    0x1a, 0x8d, 0x1a, 0x2f, 0x6f, 0xd9, 0x41, 0x2c, 0x9d, 0x4a, 0x6c, 0x3f, 0x0a, 0x5b, 0x7e, 0x91,
];

const SEGMENT: u64 = 2;
const LOOP: u64 = 6;
/// Segments in the window.
const WINDOW: u64 = 6;
/// Name, bits per second, ticks per second.
const TRACKS: [(&str, u64, u64); 3] = [
    ("low", 44_000, 12_800),
    ("high", 82_000, 12_800),
    ("audio", 24_000, 48_000),
];

macro_rules! track {
    ($kind:literal, $name:literal) => {
        [
            include_bytes!(concat!("../media/", $kind, "/", $name, "/init.mp4")).as_slice(),
            include_bytes!(concat!("../media/", $kind, "/", $name, "/1.m4s")),
            include_bytes!(concat!("../media/", $kind, "/", $name, "/2.m4s")),
            include_bytes!(concat!("../media/", $kind, "/", $name, "/3.m4s")),
            include_bytes!(concat!("../media/", $kind, "/", $name, "/4.m4s")),
            include_bytes!(concat!("../media/", $kind, "/", $name, "/5.m4s")),
            include_bytes!(concat!("../media/", $kind, "/", $name, "/6.m4s")),
        ]
    };
}

fn media(kind: &str, track: &str) -> Option<[&'static [u8]; 7]> {
    Some(match (kind, track) {
        ("clear", "low") => track!("clear", "low"),
        ("clear", "high") => track!("clear", "high"),
        ("clear", "audio") => track!("clear", "audio"),
        ("cenc", "low") => track!("cenc", "low"),
        ("cenc", "high") => track!("cenc", "high"),
        ("cenc", "audio") => track!("cenc", "audio"),
        _ => return None,
    })
}

/// The clock of the streams, which faults may stop or set back.
pub(crate) struct Origin {
    start: Timestamp,
    frozen: Mutex<Option<Timestamp>>,
}

/// What the faults do to the streams.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mood {
    pub freeze: bool,
    pub regress: bool,
    pub ended: bool,
    pub broken: bool,
    pub wrong_kid: bool,
}

impl Origin {
    pub fn new(now: Timestamp) -> Origin {
        // The first window is full, so the stream began one window ago.
        let start = now - SignedDuration::from_secs((WINDOW * SEGMENT) as i64);
        Origin {
            start,
            frozen: Mutex::new(None),
        }
    }

    /// Number of the newest complete segment.
    fn newest(&self, now: Timestamp, mood: Mood) -> u64 {
        let mut frozen = self.frozen.lock().unwrap_or_else(|e| e.into_inner());
        let mut now = match mood.freeze {
            true => *frozen.get_or_insert(now),
            false => {
                *frozen = None;
                now
            }
        };
        if mood.regress {
            now -= SignedDuration::from_secs(60);
        }
        let elapsed = now
            .duration_since(self.start)
            .as_secs()
            .max((SEGMENT * WINDOW) as i64);
        elapsed as u64 / SEGMENT - 1
    }

    fn window(&self, now: Timestamp, mood: Mood) -> std::ops::RangeInclusive<u64> {
        let newest = self.newest(now, mood);
        newest + 1 - WINDOW..=newest
    }

    /// Multivariant Playlist.
    pub fn multivariant(&self) -> String {
        let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
        out += "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"tone\",DEFAULT=YES,URI=\"audio.m3u8\"\n";
        for (name, bandwidth, resolution, codec) in [
            ("low", 80_000, "192x108", "avc1.4d400c"),
            ("high", 120_000, "320x180", "avc1.4d4015"),
        ] {
            let _ = writeln!(
                out,
                "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"{codec},mp4a.40.2\",RESOLUTION={resolution},AUDIO=\"a\"\n{name}.m3u8"
            );
        }
        out
    }

    /// Media Playlist of a track.
    pub fn playlist(&self, kind: &str, track: &str, now: Timestamp, mood: Mood) -> Option<String> {
        media(kind, track)?;
        let window = self.window(now, mood);
        let target = if mood.broken { "two" } else { "2" };
        let mut out = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
            window.start()
        );
        if kind == "cenc" {
            let kid = if mood.wrong_kid {
                "0x00000000000000000000000000000001".into()
            } else {
                format!("0x{}", CANARY_KID.replace('-', ""))
            };
            let _ = writeln!(
                out,
                "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"urn:uuid:{CANARY_KID}\",KEYFORMAT=\"org.w3.clearkey\",KEYFORMATVERSIONS=\"1\",KEYID={kid}"
            );
        }
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{track}/init.mp4\"");
        for number in window {
            let date = self.start + SignedDuration::from_secs((number * SEGMENT) as i64);
            let _ = writeln!(
                out,
                "#EXT-X-PROGRAM-DATE-TIME:{date:.3}\n#EXTINF:{SEGMENT}.000,\n{track}/{number}.m4s"
            );
        }
        if mood.ended {
            out += "#EXT-X-ENDLIST\n";
        }
        Some(out)
    }

    /// MPD with a SegmentTimeline.
    pub fn mpd(&self, kind: &str, now: Timestamp, mood: Mood) -> String {
        let window = self.window(now, mood);
        let published = self.start + SignedDuration::from_secs(((window.end() + 1) * SEGMENT) as i64);
        let mut sets = String::new();
        for (content, tracks) in [("video", &TRACKS[..2]), ("audio", &TRACKS[2..])] {
            let _ = writeln!(
                sets,
                "  <AdaptationSet contentType=\"{content}\" mimeType=\"{content}/mp4\" segmentAlignment=\"true\">"
            );
            if kind == "cenc" {
                let kid = if mood.wrong_kid {
                    "00000000-0000-0000-0000-000000000001"
                } else {
                    CANARY_KID
                };
                let _ = writeln!(
                    sets,
                    "   <ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cenc\" cenc:default_KID=\"{kid}\"/>\n   <ContentProtection schemeIdUri=\"urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e\" value=\"ClearKey1.0\"/>"
                );
            }
            let (first, scale) = (*window.start(), tracks[0].2);
            let duration = if mood.broken {
                "two".into()
            } else {
                (SEGMENT * scale).to_string()
            };
            let _ = writeln!(
                sets,
                "   <SegmentTemplate timescale=\"{scale}\" initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Number$.m4s\" startNumber=\"{first}\">\n    <SegmentTimeline><S t=\"{}\" d=\"{duration}\" r=\"{}\"/></SegmentTimeline>\n   </SegmentTemplate>",
                first * SEGMENT * scale,
                WINDOW - 1
            );
            for (name, bandwidth, _) in tracks {
                let codec = match *name {
                    "low" => "codecs=\"avc1.4d400c\" width=\"192\" height=\"108\"",
                    "high" => "codecs=\"avc1.4d4015\" width=\"320\" height=\"180\"",
                    _ => "codecs=\"mp4a.40.2\"",
                };
                let _ = writeln!(
                    sets,
                    "   <Representation id=\"{name}\" bandwidth=\"{bandwidth}\" {codec}/>"
                );
            }
            sets += "  </AdaptationSet>\n";
        }
        let kind = if mood.ended {
            format!(
                "type=\"static\" mediaPresentationDuration=\"PT{}S\"",
                (window.end() + 1) * SEGMENT
            )
        } else {
            format!(
                "type=\"dynamic\" availabilityStartTime=\"{:.3}\" publishTime=\"{published:.3}\" minimumUpdatePeriod=\"PT{SEGMENT}S\" timeShiftBufferDepth=\"PT{}S\" suggestedPresentationDelay=\"PT6S\"",
                self.start,
                WINDOW * SEGMENT
            )
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:cenc=\"urn:mpeg:cenc:2013\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" minBufferTime=\"PT2S\" {kind}>\n <Period id=\"1\" start=\"PT0S\">\n{sets} </Period>\n</MPD>\n"
        )
    }

    /// Init segment of a track.
    pub fn init(&self, kind: &str, track: &str) -> Option<Vec<u8>> {
        Some(media(kind, track)?[0].to_vec())
    }

    /// Media segment, with the decode time of its place in the endless stream. `None` once it has left
    /// the window, or before it is there.
    pub fn segment(
        &self,
        kind: &str,
        track: &str,
        number: u64,
        now: Timestamp,
        mood: Mood,
    ) -> Option<Vec<u8>> {
        // What a player still holds stays for a while longer than the window says.
        let newest = self.newest(now, mood);
        if number > newest || number + 2 * WINDOW < newest {
            return None;
        }
        let scale = TRACKS.iter().find(|t| t.0 == track)?.2;
        let mut bytes = media(kind, track)?[(number % LOOP) as usize + 1].to_vec();
        let shift = (number / LOOP * LOOP * SEGMENT * scale) as u32;
        for at in tfdt_offsets(&bytes) {
            let field = &mut bytes[at..at + 4];
            let old = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
            field.copy_from_slice(&old.wrapping_add(shift).to_be_bytes());
        }
        Some(bytes)
    }
}

/// Offsets of the 32-bit decode times. The packager's files are known to have version 0.
fn tfdt_offsets(bytes: &[u8]) -> Vec<usize> {
    let header = bytes.windows(8).enumerate();
    header
        .filter(|(_, w)| w[4..] == *b"tfdt" && w[..4] == [0, 0, 0, 16])
        .map(|(n, _)| n + 12)
        .collect()
}
