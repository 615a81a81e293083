//! X: advertisement breaks.

use super::{
    edit,
    table::{Level, Row},
};

const HLS: &str = "clear/master.m3u8";
const DASH: &str = "clear/periods.mpd";
/// splice_null, from the standard's appendix of samples as threefive3 encodes it.
const NULL: &str = "/DARAAAAAAAAAP/wAAAAAHpPv/8=";

/// Puts a tag before the last segment but one, in every playlist.
fn mark(told: &mut super::virtual_world::Told, tag: &str) {
    told.edit(|t| edit::before(t, -2, tag));
}

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("X01", HLS, ["a cue that decodes", "a break without a section", "a cue that is no Base64"]).behind(
            |asked, told, level| {
                if asked.file() == "low.m3u8" {
                    match level {
                        Level::Benign => mark(told, &format!("#EXT-OATCLS-SCTE35:{NULL}\n")),
                        Level::Borderline => mark(told, "#EXT-X-CUE-OUT:30\n#EXT-X-CUE-IN\n"),
                        Level::Severe => mark(told, "#EXT-OATCLS-SCTE35:AAAA\n"),
                    }
                }
            },
        ),
        Row::new("X02", HLS, ["a break of 30 s for 20 s", "a break of 30 s for 55 s", "a break of 30 s for ten minutes"])
            .always()
            .memory()
            .gap([20.0, 55.0, 600.0])
            .behind(|asked, told, _| {
                if asked.is_media_playlist() {
                    match asked.run {
                        0 => mark(told, "#EXT-X-CUE-OUT:30\n"),
                        _ => {
                            let elapsed = asked.now.duration_since(asked.began).as_secs();
                            let tag = format!("#EXT-X-CUE-OUT-CONT:ElapsedTime={elapsed},Duration=30\n");
                            told.edit(|t| edit::before(t, -1, &tag));
                        }
                    }
                }
            }),
        Row::new("X03", HLS, ["a cue a minute ago", "a cue five minutes ago", "no cue for twenty minutes"])
            .always()
            .memory()
            .gap([60.0, 290.0, 1200.0])
            .options(["checks: {thresholds: [{check: X03, value: 300}]}"; 3])
            .behind(|asked, told, _| {
                if asked.is_media_playlist() && asked.run == 0 {
                    mark(told, &format!("#EXT-OATCLS-SCTE35:{NULL}\n"));
                }
            }),
        Row::new("X04", HLS, ["a range of a minute", "a range of no length", "a range that ends before it begins"]).behind(
            |asked, told, level| {
                if asked.file() == "low.m3u8" {
                    let end = level.of(["2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z", "2025-12-31T23:59:00Z"]);
                    let range = format!(
                        "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00Z\",END-DATE=\"{end}\"\n#EXT-X-MAP"
                    );
                    told.swap("#EXT-X-MAP", &range);
                }
            },
        ),
        Row::new("X05", HLS, ["a break without discontinuities", "a break with them in every rendition", "a break with them in all renditions but one"]).behind(
            |asked, told, level| {
                if asked.is_media_playlist() {
                    let bare = level == Level::Benign || (level == Level::Severe && asked.file() == "audio.m3u8");
                    let tag = if bare { "#EXT-X-CUE-OUT:30\n" } else { "#EXT-X-DISCONTINUITY\n#EXT-X-CUE-OUT:30\n" };
                    mark(told, tag);
                }
            },
        ),
        Row::new("X06", DASH, ["other ids", "a period of 50 ms less than it takes", "a period without an id"]).always().gap([70.0; 3]).behind(
            |asked, told, level| {
                if asked.is_manifest() {
                    told.edit(|text| match level {
                        Level::Benign => text.replace("<Period id=\"p", "<Period duration=\"PT24S\" id=\"programme-"),
                        Level::Borderline => text.replace("<Period id", "<Period duration=\"PT23.95S\" id"),
                        Level::Severe => edit::lines(text, |line| match line.find("<Period id=\"") {
                            Some(_) => edit::without_attribute(line.to_owned(), "id"),
                            None => line.to_owned(),
                        }),
                    });
                }
            },
        ),
    ]
}
