//! S: segments.

use super::{
    edit,
    table::{Level, Row},
};
use jiff::{SignedDuration, Timestamp};

const HLS: &str = "clear/master.m3u8";
const DASH: &str = "clear/manifest.mpd";
const TS: usize = 188;

/// `prft` with this time (ISO/IEC 14496-12 section 8.16.5).
fn prft(at: Timestamp) -> Vec<u8> {
    let ntp = (at.as_second() as u64 + 2_208_988_800) << 32;
    [
        &[1, 0, 0, 24][..],
        &1u32.to_be_bytes(),
        &ntp.to_be_bytes(),
        &0u64.to_be_bytes(),
    ]
    .concat()
}

pub fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "S01",
            HLS,
            [
                "the newest is there 0.5 s later",
                "the newest is there 1.5 s later",
                "the newest is not there",
            ],
        )
        .behind(|asked, told, level| {
            let there = SignedDuration::from_millis(level.of([500, 1500, 1_000_000]));
            let newest = asked.number().is_some_and(|n| n >= asked.newest_then);
            if newest && asked.path.contains("low/") && asked.now < asked.run_at + there {
                told.not_found();
            }
        }),
        Row::new(
            "S01",
            DASH,
            [
                "an init segment after 0.5 s",
                "an init segment after 1.5 s",
                "no init segment",
            ],
        )
        .behind(|asked, told, level| {
            if asked.path.ends_with("low/init.mp4") {
                match level {
                    Level::Severe => told.not_found(),
                    _ => told.first_byte = level.of([0.5, 1.5, 0.0]),
                }
            }
        }),
        Row::new(
            "S01",
            "ts/master.m3u8",
            [
                "segments as octets",
                "without a content type",
                "segments that are HTML",
            ],
        )
        .behind(|asked, told, level| {
            if asked.file().ends_with(".ts") {
                match level {
                    Level::Benign => told.header("content-type", "application/octet-stream"),
                    Level::Borderline => told.without("content-type"),
                    Level::Severe => told.body = b"<html>sorry</html>".to_vec(),
                }
            }
        }),
        Row::new(
            "S02",
            HLS,
            [
                "in half of its duration",
                "in 0.9 of its duration",
                "in twice its duration",
            ],
        )
        .options(["fullSegments: All"; 3])
        .behind(|asked, told, level| {
            if asked.path.contains("low/") && asked.number().is_some() && asked.header("range").is_none() {
                let seconds = level.of([1.0, 1.8, 4.0]);
                told.bytes_per_second = told.body.len() as f64 / seconds;
            }
        }),
        Row::new(
            "S03",
            "ts/master.m3u8",
            ["null packets", "a packet twice", "a packet lost"],
        )
        .behind(|asked, told, level| {
            if asked.file().ends_with(".ts") && told.status == 200 {
                let at = 40 * TS;
                match level {
                    Level::Benign => {
                        let mut null = [0xff; TS];
                        null[..4].copy_from_slice(&[0x47, 0x1f, 0xff, 0x10]);
                        told.body.splice(at..at, null);
                    }
                    Level::Borderline => {
                        // A packet with payload may stand twice (ISO/IEC 13818-1 section 2.4.3.3).
                        let again = told.body[at..at + TS].to_vec();
                        told.body.splice(at..at, again);
                    }
                    Level::Severe => drop(told.body.drain(at..at + TS)),
                }
            }
        }),
        Row::new(
            "S04",
            DASH,
            [
                "50 ms beside the MPD",
                "0.18 s beside the MPD",
                "minutes beside the MPD",
            ],
        )
        .behind(|asked, told, level| {
            if asked.path.contains("low/") && asked.number().is_some() && told.status == 200 {
                let at = told.after(b"tfdt") + 4;
                let field: [u8; 4] = told.body[at..at + 4].try_into().unwrap();
                let shifted = u32::from_be_bytes(field) + level.of([640, 2304, 12_800 * 300]);
                told.body[at..at + 4].copy_from_slice(&shifted.to_be_bytes());
            }
        }),
        Row::new(
            "S04",
            HLS,
            ["20 ms of a gap", "0.15 s of a gap", "a second of a gap"],
        )
        .behind(|asked, told, level| {
            // The newest alone: the one before it ends elsewhere.
            let newest = asked.number().is_some_and(|n| n >= asked.newest_then);
            if newest && asked.path.contains("low/") && told.status == 200 {
                let at = told.after(b"tfdt") + 4;
                let field: [u8; 4] = told.body[at..at + 4].try_into().unwrap();
                let shifted = u32::from_be_bytes(field) + level.of([256, 1920, 12_800]);
                told.body[at..at + 4].copy_from_slice(&shifted.to_be_bytes());
            }
        }),
        Row::new(
            "S05",
            HLS,
            [
                "a higher level than the real one",
                "a height rounded to the block",
                "another codec",
            ],
        )
        .behind(|asked, told, level| {
            if asked.file() == "master.m3u8" {
                match level {
                    Level::Benign => told.swap("avc1.4d400c", "avc1.4d4028"),
                    Level::Borderline => told.swap("192x108", "192x112"),
                    Level::Severe => told.swap("avc1.4d400c", "hvc1.1.6.L93.B0"),
                }
            }
        }),
        Row::new(
            "S06",
            "ts/master.m3u8",
            [
                "with the indicator",
                "an IDR without the indicator",
                "neither the indicator nor an IDR",
            ],
        )
        .behind(|asked, told, level| {
            if asked.file().ends_with(".ts") && told.status == 200 {
                for packet in told.body.chunks_exact_mut(TS).take(12) {
                    let video = packet[1] & 0x1f == 1 && packet[2] == 0;
                    if video && packet[3] & 0x20 != 0 && packet[4] > 0 && level != Level::Benign {
                        packet[5] &= !0x40;
                    }
                    if video && level == Level::Severe {
                        // IDR (5) to non-IDR (1).
                        for at in 4..TS - 4 {
                            if packet[at..at + 3] == [0, 0, 1] && packet[at + 3] & 31 == 5 {
                                packet[at + 3] = packet[at + 3] & !31 | 1;
                            }
                        }
                    }
                }
            }
        }),
        Row::new(
            "S07",
            HLS,
            ["5 % too long", "9.5 % too long", "half of what is in it"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "low.m3u8" {
                told.swap(
                    "#EXTINF:2.000",
                    level.of(["#EXTINF:2.100", "#EXTINF:2.190", "#EXTINF:1.000"]),
                );
            }
        }),
        Row::new(
            "S08",
            HLS,
            [
                "audio ends 2 s before",
                "audio ends 3 s before",
                "audio ends 5 s before",
            ],
        )
        .behind(|asked, told, level| {
            if asked.file() == "audio.m3u8" {
                told.edit(|t| edit::shift_dates(t, level.of([-2.0, -2.9, -5.0])));
            }
        }),
        Row::new(
            "S09",
            HLS,
            [
                "the same bytes, other headers",
                "other bytes behind a discontinuity and another URL",
                "other bytes at the same URL",
            ],
        )
        .memory()
        .scars()
        .behind(|asked, told, level| match level {
            Level::Benign if asked.file() == "init.mp4" => told.header("x-served-by", "cache-2"),
            Level::Borderline if asked.is_media_playlist() => {
                let track = asked.file().trim_end_matches(".m3u8");
                let changed = format!("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"{track}/init.mp4?v=2\"\n");
                told.edit(|t| edit::before(t, -1, &changed));
            }
            Level::Severe if asked.path.ends_with("low/init.mp4") => {
                told.body.extend([0, 0, 0, 8, b'f', b'r', b'e', b'e']);
            }
            _ => {}
        }),
        Row::new(
            "S10",
            HLS,
            ["EXT-X-BITRATE", "a comment about a gap", "EXT-X-GAP"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "low.m3u8" {
                told.edit(|t| {
                    edit::before(t, 0, level.of(["#EXT-X-BITRATE:40\n", "# gap\n", "#EXT-X-GAP\n"]))
                });
            }
        }),
        Row::new(
            "S10",
            DASH,
            [
                "a timeline without a jump",
                "a jump of 40 ms, which is the rounding of a frame",
                "a jump of 0.5 s",
            ],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                told.edit(|text| {
                    // The video's runs: the first segment apart from the rest.
                    let from = text.find("<S t=\"").unwrap() + 6;
                    let to = from + text[from..].find('"').unwrap();
                    let end = to + text[to..].find("/>").unwrap() + 2;
                    let repeat = text[to..end]
                        .split("r=\"")
                        .nth(1)
                        .unwrap()
                        .trim_end_matches("\"/>");
                    let (time, repeat): (u64, u64) =
                        (text[from..to].parse().unwrap(), repeat.parse().unwrap());
                    let jump = level.of([0, 512, 6400]);
                    let first = time - jump;
                    format!(
                        "{}{first}\" d=\"25600\"/><S t=\"{}\" d=\"25600\" r=\"{}\"/>{}",
                        &text[..from],
                        time + 25_600,
                        repeat - 1,
                        &text[end..]
                    )
                });
            }
        }),
        Row::new(
            "S11",
            DASH,
            [
                "a producer time of now",
                "a producer time of ten minutes ago",
                "a producer time of a year ago",
            ],
        )
        .behind(|asked, told, level| {
            if asked.path.contains("low/") && asked.number().is_some() && told.status == 200 {
                let ago = level.of([0, 600, 365 * 86_400]);
                let at = asked.now - SignedDuration::from_secs(ago);
                edit::prepend(&mut told.body, b"prft", &prft(at));
            }
        }),
    ]
}
