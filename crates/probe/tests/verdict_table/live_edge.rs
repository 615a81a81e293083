//! L01 to L11 and L16 to L21: the live edge.

use super::{
    edit,
    table::{Level, Row},
};
use jiff::SignedDuration;

const HLS: &str = "cenc/master.m3u8";
const DASH: &str = "cenc/manifest.mpd";

/// Freezes what is asked for: three and seven seconds before the run, or since the first one.
fn freeze(asked: &mut super::virtual_world::Asked, level: Level) {
    let at = match level {
        Level::Benign => asked.run_at - SignedDuration::from_secs(3),
        Level::Borderline => asked.run_at - SignedDuration::from_secs(5),
        Level::Severe => asked.began,
    };
    asked.now = asked.now.min(at);
}

const FROZEN: [&str; 3] = [
    "stands still for 3 s",
    "stands still for 5 s",
    "stands still for a minute",
];

/// One of two addresses serves an older edge.
fn spread(stream: &'static str) -> Row {
    Row::new(
        "L10",
        stream,
        [
            "IPv6 one segment behind",
            "IPv6 two segments behind",
            "IPv6 ten segments behind",
        ],
    )
    .hourly()
    .ahead(|asked, level| {
        if asked.address.is_some_and(|a| a.is_ipv6()) {
            asked.back(level.of([2.0, 4.0, 20.0]));
        }
    })
}

pub fn rows() -> Vec<Row> {
    vec![
        // Without memory a look of 3 s more must convict: a stream that stands still for a minute.
        Row::new("L01", HLS, FROZEN).memory().ahead(freeze),
        Row::new("L01", "ts/master.m3u8", FROZEN).memory().ahead(freeze),
        Row::new(
            "L01",
            HLS,
            [
                "dates of 8 s ago, moving",
                "dates of 11 s ago, moving",
                "stopped 30 s ago, whether or not it is remembered",
            ],
        )
        .ahead(|asked, level| match level {
            Level::Benign => asked.back(6.0),
            Level::Borderline => asked.back(9.0),
            Level::Severe => asked.now = asked.run_at - SignedDuration::from_secs(30),
        }),
        Row::new(
            "L02",
            HLS,
            [
                "an edge server one segment behind",
                "a server that is behind for one request",
                "goes back by ten segments",
            ],
        )
        .memory()
        .scars()
        .ahead(|asked, level| match level {
            Level::Benign => asked.back(2.0),
            Level::Borderline if asked.nth == 0 && asked.is_media_playlist() => {
                asked.now = asked.began - SignedDuration::from_secs(6);
            }
            Level::Borderline => {}
            Level::Severe => {
                let since = asked.now.duration_since(asked.run_at);
                asked.now = asked.began - SignedDuration::from_secs(20) + since;
            }
        }),
        Row::new(
            "L03",
            HLS,
            [
                "new tokens in the query",
                "another host of the CDN",
                "another duration",
            ],
        )
        .always()
        .memory()
        .gap([4.0; 3])
        .behind(|asked, told, level| {
            if asked.file() == "low.m3u8" {
                match level {
                    _ if asked.run == 0 && level != Level::Borderline => {}
                    Level::Benign => told.edit(|t| t.replace(".m4s", ".m4s?token=2")),
                    Level::Borderline => told.edit(|t| {
                        edit::lines(t, |l| match l.starts_with("low/") {
                            true => format!("https://edge-{}.origin/cenc/{l}", asked.run),
                            false => l.to_owned(),
                        })
                    }),
                    Level::Severe => told.edit(|t| t.replace("#EXTINF:2.000", "#EXTINF:1.900")),
                }
            }
        }),
        Row::new(
            "L04",
            HLS,
            [
                "a higher version",
                "EXT-X-INDEPENDENT-SEGMENTS",
                "another target duration",
            ],
        )
        .memory()
        .scars()
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                match level {
                    Level::Benign => told.swap("VERSION:7", "VERSION:8"),
                    Level::Borderline => told.swap("#EXT-X-MAP", "#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP"),
                    Level::Severe => told.swap("TARGETDURATION:2", "TARGETDURATION:3"),
                }
            }
        }),
        Row::new("L05", HLS, ["four segments", "three segments", "one segment"]).behind(
            |asked, told, level| {
                if asked.is_media_playlist() {
                    told.edit(|t| edit::newest(t, level.of([4, 3, 1])));
                }
            },
        ),
        Row::new(
            "L06",
            "ts/master.m3u8",
            [
                "counts what has left the window",
                "the tag of the first segment gone, and not yet counted",
                "five too many",
            ],
        )
        .memory()
        .scars()
        .gap([8.0; 3])
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                told.edit(|text| {
                    const TAG: &str = "#EXT-X-DISCONTINUITY-SEQUENCE:";
                    let lines = edit::lines(text, |line| match line.strip_prefix(TAG) {
                        Some(n) if level == Level::Severe => {
                            format!("{TAG}{}", n.parse::<u64>().unwrap() + 5)
                        }
                        _ => line.to_owned(),
                    });
                    let (head, mut all) = edit::segments(&lines);
                    if level == Level::Borderline {
                        all[0] = all[0].replace("#EXT-X-DISCONTINUITY\n", "");
                    }
                    head + &all.concat()
                });
            }
        }),
        Row::new("L07", HLS, ["goes on", "an end in a comment", "EXT-X-ENDLIST"]).behind(
            |asked, told, level| {
                if asked.is_media_playlist() {
                    let end = level.of(["", "## EXT-X-ENDLIST\n", "#EXT-X-ENDLIST\n"]);
                    told.edit(|t| t + end);
                }
            },
        ),
        Row::new(
            "L07",
            DASH,
            [
                "another update period",
                "a period that will end in ten hours",
                "turns static",
            ],
        )
        .ahead(|asked, level| asked.mood.ended = level == Level::Severe)
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => {
                        told.swap("minimumUpdatePeriod=\"PT2S\"", "minimumUpdatePeriod=\"PT4S\"");
                    }
                    Level::Borderline => told.swap("<Period id=\"1\"", "<Period duration=\"PT10H\" id=\"1\""),
                    Level::Severe => {}
                }
            }
        }),
        Row::new(
            "L08",
            HLS,
            ["dates 4 s too old", "dates 8 s too old", "dates a year too old"],
        )
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                told.edit(|t| edit::shift_dates(t, level.of([-4.0, -8.0, -365.0 * 86_400.0])));
            }
        }),
        Row::new(
            "L08",
            HLS,
            ["dates 1 s ahead", "dates 2 s ahead", "dates 10 s ahead"],
        )
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                told.edit(|t| edit::shift_dates(t, level.of([1.0, 2.0, 10.0])));
            }
        }),
        Row::new("L09", HLS, ["0.2 % slow", "1 % slow", "10 % slow"])
            .memory()
            .scars()
            .gap([900.0; 3])
            .options(["checks: {thresholds: [{check: L08, value: 1000}]}"; 3])
            .behind(|asked, told, level| {
                if asked.is_media_playlist() {
                    let since = asked.now.duration_since(asked.began).as_secs_f64();
                    told.edit(|t| edit::shift_dates(t, -since * level.of([0.002, 0.01, 0.1])));
                }
            }),
        spread(HLS),
        spread(DASH),
        Row::new(
            "L11",
            HLS,
            ["modified 3 s ago", "modified 6 s ago", "modified a minute ago"],
        )
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                let at = asked.now - SignedDuration::from_secs(level.of([3, 6, 60]));
                let text = at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                told.header("last-modified", &text);
            }
        }),
        Row::new(
            "L16",
            "clear/number.mpd",
            ["0.3 s fast", "1.8 s fast", "an hour fast"],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                told.edit(|t| {
                    edit::shift_attribute(
                        t,
                        "urn:mpeg:dash:utc:direct:2014\" value",
                        level.of([0.3, 1.8, 3600.0]),
                    )
                });
            }
        }),
        Row::new(
            "L17",
            DASH,
            ["0.5 s ahead of the clock", "one segment ahead", "an hour ahead"],
        )
        .always()
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                told.edit(|t| {
                    edit::shift_attribute(t, "availabilityStartTime", level.of([0.5, 1.9, 3600.0]))
                });
            }
        }),
        Row::new("L17", DASH, ["2 s late", "5 s late", "an hour late"])
            .always()
            .behind(|asked, told, level| {
                if asked.is_manifest() {
                    told.edit(|t| {
                        edit::shift_attribute(t, "availabilityStartTime", level.of([-2.0, -5.0, -3600.0]))
                    });
                }
            }),
        Row::new(
            "L18",
            DASH,
            [
                "what has left the window is gone",
                "the very oldest is gone",
                "the three oldest are gone",
            ],
        )
        .behind(|asked, told, level| {
            let gone = level.of([7, 5, 2]);
            if asked.number().is_some_and(|n| n + gone <= asked.newest_then) {
                told.not_found();
            }
        }),
        Row::new("L19", DASH, FROZEN).memory().ahead(freeze),
        Row::new("L19", "smooth/Manifest", FROZEN).memory().ahead(freeze),
        Row::new("L19", "hds/manifest.f4m", FROZEN).memory().ahead(freeze),
        Row::new(
            "L20",
            DASH,
            [
                "a new publishTime",
                "another minimumUpdatePeriod",
                "another availabilityStartTime",
            ],
        )
        .memory()
        .scars()
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => told.edit(|t| edit::shift_attribute(t, "publishTime", 0.5)),
                    Level::Borderline => {
                        told.swap("minimumUpdatePeriod=\"PT2S\"", "minimumUpdatePeriod=\"PT4S\"")
                    }
                    Level::Severe => told.edit(|t| edit::shift_attribute(t, "availabilityStartTime", -1.0)),
                }
            }
        }),
        Row::new(
            "L21",
            DASH,
            ["a delay of 4 s", "a delay of 10 s in 12", "a delay of 60 s in 12"],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                told.swap(
                    "suggestedPresentationDelay=\"PT6S\"",
                    level.of([
                        "suggestedPresentationDelay=\"PT4S\"",
                        "suggestedPresentationDelay=\"PT10S\"",
                        "suggestedPresentationDelay=\"PT60S\"",
                    ]),
                );
            }
        }),
    ]
}
