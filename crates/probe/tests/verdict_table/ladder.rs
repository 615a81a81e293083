//! A: the ladder.

use super::table::{Level, Row};

const HLS: &str = "clear/master.m3u8";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "A01",
            HLS,
            [
                "one rung expected",
                "two rungs expected",
                "five rungs expected of two",
            ],
        )
        .options([
            "expected: {minRungs: 1}",
            "expected: {minRungs: 2}",
            "expected: {minRungs: 5}",
        ]),
        Row::new(
            "A01",
            HLS,
            [
                "its own bit rates",
                "bit rates within a tenth",
                "a bit rate that is missing",
            ],
        )
        .options([
            "expected: {bitratesKbps: [80, 120]}",
            "expected: {bitratesKbps: [86, 112]}",
            "expected: {bitratesKbps: [80, 120, 4000]}",
        ]),
        Row::new(
            "A02",
            HLS,
            [
                "95 % of the declared",
                "114 % of the declared",
                "1800 % of the declared",
            ],
        )
        .behind(|asked, told, level| {
            if asked.file() == "master.m3u8" {
                told.swap(
                    "BANDWIDTH=80000",
                    level.of(["BANDWIDTH=50000", "BANDWIDTH=42000", "BANDWIDTH=2600"]),
                );
                told.swap(
                    "BANDWIDTH=120000",
                    level.of(["BANDWIDTH=100000", "BANDWIDTH=80000", "BANDWIDTH=5000"]),
                );
            }
        }),
        Row::new("A03", HLS, ["no FRAME-RATE", "an AVERAGE-BANDWIDTH", "no CODECS"]).behind(
            |asked, told, level| {
                if asked.file() == "master.m3u8" {
                    match level {
                        Level::Benign => told.swap(",FRAME-RATE=25.000", ""),
                        Level::Borderline => {
                            told.swap("BANDWIDTH=80000", "BANDWIDTH=80000,AVERAGE-BANDWIDTH=60000")
                        }
                        Level::Severe => told.swap(",CODECS=\"avc1.4d400c,mp4a.40.2\"", ""),
                    }
                }
            },
        ),
        Row::new(
            "A04",
            HLS,
            [
                "a rung 1 s behind",
                "a rung one segment behind",
                "a rung four segments behind",
            ],
        )
        .ahead(|asked, level| {
            if asked.file() == "high.m3u8" {
                asked.back(level.of([1.0, 2.0, 8.0]));
            }
        }),
        Row::new(
            "A04",
            HLS,
            [
                "the same target duration",
                "another version",
                "another target duration of one rung",
            ],
        )
        .always()
        .behind(|asked, told, level| {
            if asked.file() == "high.m3u8" {
                match level {
                    Level::Benign => {}
                    Level::Borderline => told.swap("VERSION:7", "VERSION:6"),
                    Level::Severe => told.swap("TARGETDURATION:2", "TARGETDURATION:3"),
                }
            }
        }),
        Row::new("A05", HLS, ["a factor of 2", "a factor of 3", "a factor of 10"]).behind(
            |asked, told, level| {
                if asked.file() == "master.m3u8" {
                    told.swap(
                        "BANDWIDTH=120000",
                        level.of(["BANDWIDTH=160000", "BANDWIDTH=240000", "BANDWIDTH=800000"]),
                    );
                }
            },
        ),
    ]
}
