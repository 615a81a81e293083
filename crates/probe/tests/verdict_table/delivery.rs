//! C: delivery.

use super::table::{Level, Row};
use jiff::SignedDuration;

const HLS: &str = "clear/master.m3u8";
const DASH: &str = "clear/manifest.mpd";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("C01", HLS, ["after 0.5 s", "after 1.9 s", "after 5 s"]).behind(|asked, told, level| {
            if asked.file() == "master.m3u8" {
                told.first_byte = level.of([0.5, 1.9, 5.0]);
            }
        }),
        Row::new("C02", HLS, ["max-age=1", "max-age=2", "max-age=86400"]).behind(|asked, told, level| {
            if asked.is_media_playlist() {
                told.header(
                    "cache-control",
                    level.of(["max-age=1", "max-age=2", "max-age=86400"]),
                );
            }
        }),
        Row::new("C02", DASH, ["no-cache", "no header", "max-age=86400"]).behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Borderline => told.without("cache-control"),
                    _ => told.header(
                        "cache-control",
                        level.of(["no-cache", "", "public, max-age=86400"]),
                    ),
                }
            }
        }),
        Row::new("C03", HLS, ["Age: 1", "Age: 2", "Age: 60"]).behind(|asked, told, level| {
            if asked.is_media_playlist() {
                told.header("age", level.of(["1", "2", "60"]));
            }
        }),
        Row::new(
            "C04",
            HLS,
            ["a 404 for 1 s", "a 404 for 8 s", "a 404 for an hour"],
        )
        .hourly()
        .behind(|asked, told, level| {
            if asked.path.ends_with("drmwatch-missing") {
                told.header(
                    "cache-control",
                    level.of(["max-age=1", "max-age=8", "max-age=3600"]),
                );
            }
        }),
        Row::new("C05", HLS, ["a charset", "the old type", "text/plain"]).behind(|asked, told, level| {
            if asked.is_manifest() {
                let kind = level.of([
                    "application/x-mpegURL; charset=utf-8",
                    "audio/mpegurl",
                    "text/plain",
                ]);
                told.header("content-type", kind);
            }
        }),
        Row::new("C06", HLS, ["the origin, and Vary", "everyone", "nobody"])
            .hourly()
            .behind(|asked, told, level| match level {
                Level::Benign => {
                    told.header("access-control-allow-origin", "https://player.example");
                    told.header("vary", "Accept-Encoding, Origin");
                }
                Level::Borderline => {}
                Level::Severe if asked.file() == "master.m3u8" => told.without("access-control-allow-origin"),
                Level::Severe => {}
            }),
        Row::new(
            "C06",
            DASH,
            [
                "everyone, and Vary",
                "everyone, errors too",
                "the header twice on a segment",
            ],
        )
        .hourly()
        .behind(|asked, told, level| match level {
            Level::Benign => told.header("vary", "Origin"),
            Level::Borderline => {}
            Level::Severe if asked.number().is_some() => {
                told.headers.push((
                    "access-control-allow-origin".into(),
                    "https://player.example".into(),
                ));
            }
            Level::Severe => {}
        }),
        Row::new("C07", HLS, ["206", "206", "200 with everything"]).behind(|asked, told, level| {
            if asked.number().is_some() {
                told.ranges = level != Level::Severe;
            }
        }),
        Row::new(
            "C07",
            "clear/vod.mpd",
            [
                "no entity tag",
                "one entity tag on both addresses",
                "another file at the second address",
            ],
        )
        .on_demand()
        .hourly()
        .behind(|asked, told, level| {
            if asked.path.contains("/vod") && asked.file().ends_with(".m4s") {
                match level {
                    Level::Benign => told.untagged = true,
                    Level::Borderline => {}
                    Level::Severe if asked.address.is_some_and(|a| a.is_ipv6()) => told.body[150] ^= 1,
                    Level::Severe => {}
                }
            }
        }),
        Row::new(
            "C07",
            "clear/vod.mpd",
            ["a weak entity tag", "late", "a new entity tag for each answer"],
        )
        .on_demand()
        .hourly()
        .behind(|asked, told, level| {
            if asked.path.contains("/vod") && asked.file().ends_with(".m4s") {
                match level {
                    Level::Benign => told.tag = Some("W/\"1\"".into()),
                    Level::Borderline => told.first_byte = 1.0,
                    Level::Severe => told.tag = Some(format!("\"{}\"", asked.nth)),
                }
            }
        }),
        Row::new(
            "C08",
            HLS,
            [
                "the manifest redirects once",
                "the manifest redirects twice",
                "segments redirect",
            ],
        )
        .behind(|asked, told, level| match level {
            Level::Severe if asked.number().is_some() => told.redirects = 1,
            Level::Severe => {}
            _ if asked.file() == "master.m3u8" => told.redirects = level.of([1, 2, 0]),
            _ => {}
        }),
        Row::new(
            "C08",
            DASH,
            [
                "an init segment redirects",
                "the MPD redirects",
                "the MPD redirects to http",
            ],
        )
        .behind(|asked, told, level| match level {
            Level::Benign if asked.file() == "init.mp4" => told.redirects = 1,
            Level::Borderline if asked.is_manifest() => told.redirects = 1,
            Level::Severe if asked.is_manifest() => (told.redirects, told.downgraded) = (1, true),
            _ => {}
        }),
        Row::new("C09", HLS, ["30 days", "8 days", "half a day"]).behind(|asked, told, level| {
            told.not_after = asked.now + SignedDuration::from_hours(level.of([30 * 24, 8 * 24, 12]));
        }),
        Row::new("C10", HLS, ["h2", "one address serves late", "http/1.1"])
            .hourly()
            .behind(|asked, told, level| match level {
                Level::Borderline if asked.address.is_some() => told.first_byte = 1.0,
                Level::Severe => told.protocol = "http/1.1",
                _ => {}
            }),
        Row::new(
            "C10",
            DASH,
            ["both addresses serve", "IPv6 serves late", "IPv6 does not serve"],
        )
        .hourly()
        .behind(|asked, told, level| {
            if asked.address.is_some_and(|a| a.is_ipv6()) {
                match level {
                    Level::Benign => {}
                    Level::Borderline => told.first_byte = 1.0,
                    Level::Severe => told.status = 502,
                }
            }
        }),
        Row::new(
            "C11",
            "clear/pathways.m3u8",
            [
                "the backup is one segment behind",
                "two segments behind",
                "the backup is down",
            ],
        )
        .ahead(|asked, level| {
            if asked.query == "p=b" {
                asked.back(level.of([2.0, 4.0, 0.0]));
            }
        })
        .behind(|asked, told, level| {
            if asked.query == "p=b" && level == Level::Severe {
                told.status = 503;
            }
        }),
        Row::new(
            "C11",
            "clear/bases.mpd",
            [
                "the backup serves late",
                "the backup lacks the newest",
                "the backup is down",
            ],
        )
        .behind(|asked, told, level| {
            if asked.path.contains("backup/") {
                match level {
                    Level::Benign => told.first_byte = 1.0,
                    Level::Borderline if asked.number().is_some_and(|n| n >= asked.newest_then) => {
                        told.not_found()
                    }
                    Level::Borderline => {}
                    Level::Severe => told.status = 503,
                }
            }
        }),
    ]
}
