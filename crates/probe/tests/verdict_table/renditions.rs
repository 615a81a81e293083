//! R: renditions.

use super::{
    edit,
    table::{Level, Row},
};

const HLS: &str = "clear/master.m3u8";
const TS: &str = "ts/master.m3u8";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("R01", HLS, ["English", "English in capitals", "French"]).options([
            "expected: {audioLanguages: [en]}",
            "expected: {audioLanguages: [EN]}",
            "expected: {audioLanguages: [fr]}",
        ]),
        Row::new("R01", TS, ["no subtitles expected", "English", "Greek"]).options([
            "",
            "expected: {subtitleLanguages: [en]}",
            "expected: {subtitleLanguages: [el]}",
        ]),
        Row::new("R02", HLS, ["another group of the same members", "a second language", "a name that stands twice"]).behind(
            |asked, told, level| {
                if asked.file() == "master.m3u8" {
                    let more = level.of([
                        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"tone\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"audio.m3u8\"\n",
                        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"Ton\",LANGUAGE=\"de\",DEFAULT=NO,URI=\"audio.m3u8\"\n",
                        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"tone\",LANGUAGE=\"de\",DEFAULT=NO,URI=\"audio.m3u8\"\n",
                    ]);
                    told.edit(|t| t.replacen("#EXT-X-STREAM-INF", &format!("{more}#EXT-X-STREAM-INF"), 1));
                }
            },
        ),
        Row::new("R03", HLS, ["audio ends 2 s before", "audio ends 5 s before: S08 says so", "audio ends 8 s before"])
            .border_fails(&["S08"])
            .behind(|asked, told, level| {
                if asked.file() == "audio.m3u8" {
                    told.edit(|t| edit::shift_dates(t, level.of([-2.0, -5.0, -8.0])));
                }
            }),
        Row::new("R04", TS, ["a segment without a cue", "a note", "no X-TIMESTAMP-MAP"]).behind(|asked, told, level| {
            if asked.file().ends_with(".vtt") && told.status == 200 {
                match level {
                    Level::Benign => told.edit(|t| t.lines().take(2).collect::<Vec<_>>().join("\n") + "\n"),
                    Level::Borderline => told.edit(|t| t + "\nNOTE\nmade by hand\n"),
                    Level::Severe => told.edit(|t| {
                        t.lines().filter(|l| !l.starts_with("X-TIMESTAMP")).collect::<Vec<_>>().join("\n")
                    }),
                }
            }
        }),
        Row::new("R05", TS, ["the newest four alone", "a higher version", "no EXT-X-I-FRAMES-ONLY"]).behind(|asked, told, level| {
            if asked.file() == "iframes.m3u8" {
                match level {
                    Level::Benign => told.edit(|t| edit::newest(t, 4)),
                    Level::Borderline => told.swap("VERSION:4", "VERSION:7"),
                    Level::Severe => told.swap("#EXT-X-I-FRAMES-ONLY\n", ""),
                }
            }
        }),
    ]
}
