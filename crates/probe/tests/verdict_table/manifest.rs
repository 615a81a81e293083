//! M: manifests.

use super::{
    edit::{self, lines},
    table::{Level, Row},
};

const HLS: &str = "cenc/master.m3u8";
const DASH: &str = "cenc/manifest.mpd";

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("M01", HLS, ["a playlist after 0.8 s", "a playlist with 203", "a playlist of no byte, with 200"]).behind(
            |asked, told, level| {
                if asked.file() == "low.m3u8" {
                    match level {
                        Level::Benign => told.first_byte = 0.8,
                        Level::Borderline => told.status = 203,
                        Level::Severe => told.body.clear(),
                    }
                }
            },
        ),
        Row::new("M01", DASH, ["the MPD after 0.8 s", "the MPD with 203", "503"]).behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => told.first_byte = 0.8,
                    Level::Borderline => told.status = 203,
                    Level::Severe => told.status = 503,
                }
            }
        }),
        Row::new("M02", HLS, ["lines that end with CR LF", "a comment at the end", "a page of HTML with 200"]).behind(
            |asked, told, level| {
                if asked.file() == "audio.m3u8" {
                    told.edit(|text| match level {
                        Level::Benign => text.replace('\n', "\r\n"),
                        Level::Borderline => text + "# <html>\n",
                        Level::Severe => "<html>sorry</html>".into(),
                    });
                }
            },
        ),
        Row::new(
            "M03",
            HLS,
            ["a tag of a vendor's", "an attribute that is not known", "a duration in letters"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "low.m3u8" {
                match level {
                    Level::Benign => told.swap("#EXT-X-MAP", "#EXT-X-VENDOR:a=1\n#EXT-X-MAP"),
                    Level::Borderline => told.swap("METHOD=", "X-MORE=\"1\",METHOD="),
                    Level::Severe => told.swap("#EXTINF:2.000", "#EXTINF:two"),
                }
            }
        }),
        Row::new(
            "M03",
            DASH,
            ["an element of a vendor's", "an attribute that is not known", "a duration in letters"],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => told.swap("<Period", "<v:More xmlns:v=\"urn:v\"/><Period"),
                    Level::Borderline => told.swap("<Period", "<Period more=\"1\""),
                    Level::Severe => told.swap("minBufferTime=\"PT2S\"", "minBufferTime=\"two\""),
                }
            }
        }),
        Row::new(
            "M04",
            "uneven/master.m3u8",
            ["3.19 s under a target of 3", "3.29 s, which round to 3", "a target of 2 over segments of 3 s"],
        )
        .always()
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                match level {
                    Level::Benign => told.edit(|t| t.replace("#EXTINF:3.000", "#EXTINF:3.190")),
                    Level::Borderline => told.edit(|t| t.replace("#EXTINF:3.000", "#EXTINF:3.290")),
                    Level::Severe => told.swap("TARGETDURATION:3", "TARGETDURATION:2"),
                }
            }
        }),
        Row::new("M05", HLS, ["a group that nobody names", "CLOSED-CAPTIONS=NONE", "an AUDIO group that is not there"]).behind(
            |asked, told, level| {
                if asked.file() == "master.m3u8" {
                    match level {
                        Level::Benign => told.swap(
                            "#EXT-X-STREAM-INF:BANDWIDTH=80000",
                            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"cc\",INSTREAM-ID=\"CC1\"\n#EXT-X-STREAM-INF:BANDWIDTH=80000",
                        ),
                        Level::Borderline => told.swap("AUDIO=\"a\"", "AUDIO=\"a\",CLOSED-CAPTIONS=NONE"),
                        Level::Severe => told.swap(",AUDIO=\"a\"", ",AUDIO=\"b\""),
                    }
                }
            },
        ),
        Row::new(
            "M06",
            DASH,
            ["no suggestedPresentationDelay", "a duration of hours and minutes", "no publishTime"],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => told.edit(|t| edit::without_attribute(t, "suggestedPresentationDelay")),
                    Level::Borderline => told.swap("minBufferTime=\"PT2S\"", "minBufferTime=\"PT0H0M2S\""),
                    Level::Severe => told.edit(|t| edit::without_attribute(t, "publishTime")),
                }
            }
        }),
        Row::new(
            "M07",
            "smooth/Manifest",
            ["no Chunks", "Chunks=0 on a live stream", "Chunks=99 over seven"],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                told.edit(|text| {
                    let from = text.find(" Chunks=\"").unwrap();
                    let to = from + 9 + text[from + 9..].find('"').unwrap() + 1;
                    let chunks = level.of(["", " Chunks=\"0\"", " Chunks=\"99\""]);
                    format!("{}{chunks}{}", &text[..from], &text[to..])
                });
            }
        }),
        Row::new(
            "M08",
            "hds/manifest.f4m",
            ["a bootstrap as octets", "bytes behind the bootstrap", "a bootstrap that is cut off"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "stream.abst" {
                match level {
                    Level::Benign => told.header("content-type", "application/octet-stream"),
                    Level::Borderline => told.body.extend([0, 0, 0, 8, b'f', b'r', b'e', b'e']),
                    Level::Severe => told.body.truncate(60),
                }
            }
        }),
        Row::new("M09", HLS, ["./audio.m3u8", "//origin/cenc/audio.m3u8", "ftp://x/audio.m3u8"]).behind(
            |asked, told, level| {
                if asked.file() == "master.m3u8" {
                    let uri = level.of(["\"./audio.m3u8\"", "\"//origin/cenc/audio.m3u8\"", "\"ftp://x/audio.m3u8\""]);
                    told.swap("\"audio.m3u8\"", uri);
                }
            },
        ),
        Row::new(
            "M10",
            "clear/pathways.m3u8",
            ["a TTL of 10 s", "one of the two pathways", "a pathway that the playlist does not have"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "steering.json" {
                match level {
                    Level::Benign => told.swap("300", "10"),
                    Level::Borderline => told.swap("[\"A\",\"B\"]", "[\"B\"]"),
                    Level::Severe => told.swap("[\"A\",\"B\"]", "[\"Z\"]"),
                }
            }
        }),
        // Playlists that are not read alike by everyone.
        Row::new("M03", HLS, ["a byte order mark", "blank lines", "EXTINF without a URI behind it, and a tag in the wrong playlist"]).behind(
            |asked, told, level| {
                if asked.file() == "low.m3u8" {
                    told.edit(|text| match level {
                        Level::Benign => format!("\u{feff}{text}"),
                        Level::Borderline => lines(text, |l| format!("{l}\n")),
                        Level::Severe => text + "#EXT-X-STREAM-INF:BANDWIDTH=1\n",
                    });
                }
            },
        ),
    ]
}
