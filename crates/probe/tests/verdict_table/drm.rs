//! D: protection.

use super::table::{Level, Row};
use drmwatch_testkit::CANARY_KID;

const HLS: &str = "cenc/master.m3u8";
const DASH: &str = "cenc/manifest.mpd";
const CBCS: &str = "cbcs/master.m3u8";

/// UTF-16LE, as PlayReady headers are written.
fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "D01",
            "clear/master.m3u8",
            [
                "nothing is expected",
                "the clear is expected",
                "protection is expected",
            ],
        )
        .options([
            "expected: {encryption: Any}",
            "expected: {encryption: Forbidden}",
            "expected: {encryption: Required}",
        ]),
        Row::new(
            "D01",
            DASH,
            [
                "as it is",
                "as it is, required",
                "one rung of a protected stream is in the clear",
            ],
        )
        .options(["", "expected: {encryption: Required}", ""])
        .always()
        .ahead(|asked, level| {
            if level == Level::Severe && asked.path.starts_with("cenc/low/") {
                asked.path = asked.path.replacen("cenc", "clear", 1);
            }
        }),
        Row::new(
            "D02",
            HLS,
            [
                "the tag's attributes in another order",
                "KEYFORMATVERSIONS left out",
                "SAMPLE-AES over cenc",
            ],
        )
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                match level {
                    Level::Benign => told.swap(
                        "METHOD=SAMPLE-AES-CTR,URI=\"urn:uuid:a7e61c37-3e21-9033-c210-91fa607bf3b8\"",
                        "URI=\"urn:uuid:a7e61c37-3e21-9033-c210-91fa607bf3b8\",METHOD=SAMPLE-AES-CTR",
                    ),
                    Level::Borderline => told.swap(",KEYFORMATVERSIONS=\"1\"", ""),
                    Level::Severe => told.swap("SAMPLE-AES-CTR", "SAMPLE-AES"),
                }
            }
        }),
        Row::new(
            "D02",
            DASH,
            ["another attribute", "without a value", "cbcs over cenc"],
        )
        .behind(|asked, told, level| {
            if asked.is_manifest() {
                match level {
                    Level::Benign => {
                        told.swap("value=\"cenc\"", "value=\"cenc\" robustness=\"SW_SECURE_CRYPTO\"")
                    }
                    Level::Borderline => told.swap(" value=\"cenc\"", ""),
                    Level::Severe => told.swap("value=\"cenc\"", "value=\"cbcs\""),
                }
            }
        }),
        Row::new("D03", DASH, ["in capitals", "left out", "another key id"])
            .ahead(|asked, level| asked.mood.wrong_kid = level == Level::Severe)
            .behind(|asked, told, level| {
                if asked.is_manifest() {
                    let kid = format!("cenc:default_KID=\"{CANARY_KID}\"");
                    match level {
                        Level::Benign => told.swap(
                            &kid,
                            &format!("cenc:default_KID=\"{}\"", CANARY_KID.to_uppercase()),
                        ),
                        Level::Borderline => told.swap(&kid, ""),
                        Level::Severe => {}
                    }
                }
            }),
        Row::new("D03", HLS, ["in capitals", "left out", "another key id"])
            .ahead(|asked, level| asked.mood.wrong_kid = level == Level::Severe)
            .behind(|asked, told, level| {
                if asked.is_media_playlist() {
                    let kid = CANARY_KID.replace('-', "");
                    match level {
                        Level::Benign => told.swap(
                            &format!("KEYID=0x{kid}"),
                            &format!("KEYID=0X{}", kid.to_uppercase()),
                        ),
                        Level::Borderline => told.swap(&format!(",KEYID=0x{kid}"), ""),
                        Level::Severe => {}
                    }
                }
            }),
        Row::new(
            "D04",
            CBCS,
            [
                "Widevine",
                "Widevine, PlayReady and FairPlay",
                "FairPlay, and its key has gone",
            ],
        )
        .options([
            "expected: {drmSystems: [Widevine]}",
            "expected: {drmSystems: [Widevine, PlayReady, FairPlay]}",
            "expected: {drmSystems: [FairPlay]}",
        ])
        .behind(|asked, told, level| {
            if asked.is_media_playlist() && level == Level::Severe {
                told.edit(|t| {
                    t.lines()
                        .filter(|l| !l.contains("streamingkeydelivery"))
                        .collect::<Vec<_>>()
                        .join("\n")
                });
            }
        }),
        Row::new(
            "D05",
            HLS,
            [
                "flags that mean nothing",
                "a system that is not known",
                "another key id in the common box",
            ],
        )
        .always()
        .behind(|asked, told, level| {
            if asked.file() == "init.mp4" {
                // Version and flags, system id, count: then the key id.
                let at = told.after(b"pssh");
                match level {
                    Level::Benign => told.body[at + 3] = 1,
                    Level::Borderline => told.body[at + 4..at + 20].fill(0x42),
                    Level::Severe => told.body[at + 24] ^= 1,
                }
            }
        }),
        Row::new(
            "D06",
            "cbcs/manifest.mpd",
            [
                "no mspr:pro in the MPD",
                "no PlayReady pssh in the MPD",
                "a version that does not exist",
            ],
        )
        .always()
        .behind(|asked, told, level| {
            let without = |text: String, from: &str, to: &str| {
                let begin = text.find("9a04f079").unwrap();
                let from = begin + text[begin..].find(from).unwrap();
                let end = from + text[from..].find(to).unwrap() + to.len();
                // Of both sets, video's is enough.
                format!("{}{}", &text[..from], &text[end..])
            };
            match level {
                Level::Benign if asked.is_manifest() => {
                    told.edit(|t| without(t, "<mspr:pro>", "</mspr:pro>"));
                }
                Level::Borderline if asked.is_manifest() => {
                    told.edit(|t| without(t, "<cenc:pssh>", "</cenc:pssh>"));
                }
                Level::Severe if asked.file() == "init.mp4" => {
                    let (version, text) = (utf16("version=\"4.3"), utf16("version=\"9.3"));
                    let at = told.after(&version);
                    told.body[at - version.len()..at].copy_from_slice(&text);
                }
                _ => {}
            }
        }),
        Row::new("D07", CBCS, ["1:9", "5:5", "no pattern"])
            .always()
            .behind(|asked, told, level| {
                if asked.path.ends_with("low/init.mp4") {
                    // Version and flags, reserved: then crypt and skip, four bits each.
                    let at = told.after(b"tenc") + 5;
                    told.body[at] = level.of([0x19, 0x55, 0x00]);
                }
            }),
        Row::new(
            "D08",
            CBCS,
            ["another asset's skd URI", "KEYFORMATVERSIONS left out", "an IV"],
        )
        .behind(|asked, told, level| {
            if asked.is_media_playlist() {
                match level {
                    Level::Benign => told.swap("skd://a7e61c37", "skd://b7e61c37"),
                    Level::Borderline => told.swap(
                        "streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"",
                        "streamingkeydelivery\"",
                    ),
                    Level::Severe => told.swap(
                        "streamingkeydelivery\"",
                        "streamingkeydelivery\",IV=0x00000000000000000000000000000001",
                    ),
                }
            }
        }),
        Row::new(
            "D09",
            HLS,
            [
                "KEYFORMATVERSIONS left out",
                "the key's URI has a new token",
                "older segments lose their key",
            ],
        )
        .memory()
        .scars()
        .gap([4.0; 3])
        .behind(|asked, told, level| {
            if asked.file() == "low.m3u8" {
                match level {
                    Level::Benign => told.swap(",KEYFORMATVERSIONS=\"1\"", ""),
                    Level::Borderline => told.swap("URI=\"urn:uuid:a7e61c37", "URI=\"urn:uuid:b7e61c37"),
                    Level::Severe => told.edit(|text| {
                        let key = text
                            .lines()
                            .find(|l| l.starts_with("#EXT-X-KEY"))
                            .unwrap()
                            .to_owned()
                            + "\n";
                        super::edit::before(text.replace(&key, ""), -2, &key)
                    }),
                }
            }
        }),
        Row::new(
            "D10",
            HLS,
            [
                "another first vector",
                "flags of saiz that mean nothing",
                "an entry of senc is missing",
            ],
        )
        .behind(|asked, told, level| {
            if asked.path.contains("low/") && asked.number().is_some() && told.status == 200 {
                // Version and flags, then the count, then the vector of the first sample.
                let senc = told.after(b"senc") + 4;
                let saiz = told.after(b"saiz");
                match level {
                    Level::Benign => told.body[senc + 4] ^= 0x55,
                    Level::Borderline => told.body[saiz + 1] = 0x80,
                    Level::Severe => told.body[senc + 3] -= 1,
                }
            }
        }),
        Row::new(
            "D11",
            HLS,
            [
                "no policy",
                "no policy, protection required",
                "a key for each quality is expected",
            ],
        )
        .options([
            "expected: {keyPerQuality: false}",
            "expected: {keyPerQuality: false, encryption: Required}",
            "expected: {keyPerQuality: true}",
        ]),
        Row {
            first: "  - name: other\n    stream: {url: \"URL/cenc/manifest.mpd\", live: true}\n",
            ..Row::new(
                "D12",
                "cbcs/master.m3u8",
                [
                    "the same asset in another format",
                    "the same asset, Widevine alone signalled",
                    "another asset",
                ],
            )
        }
        .options(["expected: {sameKidsAs: other}"; 3])
        .always()
        .ahead(|asked, level| {
            if level == Level::Severe && asked.path.starts_with("cbcs/") {
                asked.path = asked.path.replacen("cbcs", "clear", 1);
            }
        })
        .behind(|asked, told, level| {
            if level == Level::Borderline && asked.path.starts_with("cbcs/") && asked.is_media_playlist() {
                told.edit(|t| {
                    let kept = t
                        .lines()
                        .filter(|l| !l.starts_with("#EXT-X-KEY") || l.contains("edef8ba9"));
                    kept.collect::<Vec<_>>().join("\n")
                });
            }
        }),
        Row::new(
            "D13",
            "aes/master.m3u8",
            ["the key as text", "the key after a second", "another key"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "key" {
                match level {
                    Level::Benign => told.header("content-type", "text/plain"),
                    Level::Borderline => told.first_byte = 1.0,
                    Level::Severe => told.body[3] ^= 1,
                }
            }
        }),
        Row::new(
            "D13",
            "aes/master.m3u8",
            ["a key that redirects", "a key that may not be cached", "15 bytes"],
        )
        .behind(|asked, told, level| {
            if asked.file() == "key" {
                match level {
                    Level::Benign => told.redirects = 1,
                    Level::Borderline => told.header("cache-control", "no-store"),
                    Level::Severe => told.body.truncate(15),
                }
            }
        }),
    ]
}
