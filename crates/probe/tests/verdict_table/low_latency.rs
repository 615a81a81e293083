//! L12 to L15, L22 and L23: low latency, and the timing of Smooth.

use super::{
    edit,
    table::{Level, Row},
};

const LOW: &str = "parts/master.m3u8";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "L12",
            LOW,
            [
                "held 1 s too long",
                "held 3 s too long",
                "not held: the answer is the old playlist",
            ],
        )
        .ahead(|asked, level| {
            if level == Level::Severe && asked.held && asked.query.contains("_HLS_msn") {
                asked.query.clear();
            }
        })
        .behind(|asked, told, level| {
            if asked.query.contains("_HLS_msn") && asked.held {
                told.first_byte = level.of([1.0, 3.0, 0.02]);
            }
        }),
        Row::new(
            "L13",
            LOW,
            [
                "400 with a body",
                "400 without one",
                "answers as if nothing was asked",
            ],
        )
        .hourly()
        .behind(|asked, told, level| {
            let wrong = asked.query == "_HLS_part=1" || told.status == 400;
            if wrong && level == Level::Severe {
                told.status = 200;
            } else if wrong && level == Level::Borderline {
                told.body.clear();
            }
        }),
        Row::new(
            "L14",
            LOW,
            ["PART-HOLD-BACK of 2.4 parts", "of 2 parts", "of 1.2 parts"],
        )
        .behind(|asked, told, level| {
            if asked.is_media_playlist() && told.status == 200 {
                let value = level.of(["PART-HOLD-BACK=1.2", "PART-HOLD-BACK=1.0", "PART-HOLD-BACK=0.6"]);
                told.swap("PART-HOLD-BACK=1.5", value);
            }
        }),
        Row::new(
            "L15",
            LOW,
            [
                "answers a delta request with everything",
                "a hint that comes late",
                "skips more than there is",
            ],
        )
        .hourly()
        .ahead(|asked, level| {
            if level == Level::Benign && asked.query.contains("_HLS_skip") {
                asked.query.clear();
            }
        })
        .behind(|asked, told, level| match level {
            Level::Severe if asked.query.contains("_HLS_skip") => {
                told.edit(|t| {
                    edit::lines(t, |l| match l.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS=") {
                        Some(n) => format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={}", n.parse::<u64>().unwrap() + 3),
                        None => l.to_owned(),
                    })
                });
            }
            Level::Borderline if asked.file().matches('.').count() == 2 => told.first_byte = 1.0,
            _ => {}
        }),
        Row::new(
            "L22",
            "parts/low.mpd",
            [
                "a target of 4 s",
                "no minimum and maximum",
                "no ProducerReferenceTime",
            ],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => told.swap("target=\"3000\"", "target=\"4000\""),
                    Level::Borderline => told.swap(" min=\"2000\" max=\"6000\"", ""),
                    Level::Severe => told.edit(|t| {
                        t.lines()
                            .filter(|l| !l.contains("<ProducerReferenceTime"))
                            .collect::<Vec<_>>()
                            .join("\n")
                    }),
                }
            }
        }),
        Row::new(
            "L23",
            "smooth/Manifest",
            [
                "no LookAheadFragmentCount",
                "one of two announced",
                "another time in tfxd than in the URL",
            ],
        )
        .behind(|asked, told, level| {
            const TFXD: &[u8] = b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2";
            const TFRF: &[u8] = b"\xd4\x80\x7e\xf2\xca\x39\x46\x95\x8e\x54\x26\xcb\x9e\x46\xa7\x9f";
            match level {
                Level::Benign if asked.is_manifest() => told.swap(" LookAheadFragmentCount=\"2\"", ""),
                Level::Borderline if asked.path.contains("Fragments(video") && told.status == 200 => {
                    let at = told.after(TFRF);
                    told.body[at + 4] = 1;
                }
                Level::Severe if asked.path.contains("Fragments(video") && told.status == 200 => {
                    let at = told.after(TFXD);
                    told.body[at + 10] ^= 1;
                }
                _ => {}
            }
        }),
    ]
}
