//! HLS: CMAF and TS, AES-128, subtitles, I-frames, and low latency.

use super::{
    Answer, CANARY_KEY, CANARY_KID, Scene, Timing, WINDOW,
    media::{self, LOOP, Track},
};
use aes::{
    Aes128,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt::Write;

const M3U8: &str = "application/vnd.apple.mpegurl";
/// Seconds of a part.
pub(super) const PART: f64 = 0.5;
/// Seconds of the low-latency window: longer than what a delta update leaves out.
const LONG_WINDOW: f64 = 24.0;
const WIDEVINE: [u8; 16] = *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";
const PLAYREADY: [u8; 16] = *b"\x9a\x04\xf0\x79\x98\x40\x42\x86\xab\x92\xe6\x5b\xe0\x88\x5f\x95";

pub(super) fn playlist(scene: &Scene<'_>, kind: &str, file: &str) -> Option<Answer> {
    let tracks = media::tracks(kind)?;
    if file == "master.m3u8" || file == "pathways.m3u8" {
        return Some(Answer::new(M3U8, multivariant(tracks, file == "pathways.m3u8")));
    }
    let name = file.strip_suffix(".m3u8")?;
    let track = tracks.iter().find(|t| t.name == name)?;
    match kind {
        "parts" => low_latency(scene, tracks, track),
        _ => Some(Answer::new(M3U8, live(scene, kind, track))),
    }
}

fn multivariant(tracks: &[Track], pathways: bool) -> String {
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    if pathways {
        out += "#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\",PATHWAY-ID=\"A\"\n";
    }
    let audio = tracks.iter().any(|t| t.name == "audio");
    if audio {
        out += "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"tone\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"audio.m3u8\"\n";
    }
    for (pathway, query) in [("A", ""), ("B", "?p=b")]
        .iter()
        .take(if pathways { 2 } else { 1 })
    {
        for track in tracks.iter().filter(|t| t.size.is_some()) {
            let (width, height) = track.size.unwrap_or_default();
            // The rung, its audio, and a margin for the peak of a segment.
            let bandwidth = match track.name {
                "low" => 80_000,
                _ => 120_000,
            };
            let _ = write!(
                out,
                "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"{}",
                track.codec
            );
            let _ = write!(
                out,
                "{}\",RESOLUTION={width}x{height},FRAME-RATE=25.000",
                if audio { ",mp4a.40.2" } else { "" }
            );
            if audio {
                out += ",AUDIO=\"a\"";
            }
            if pathways {
                let _ = write!(out, ",PATHWAY-ID=\"{pathway}\"");
            }
            let _ = writeln!(out, "\n{}.m3u8{query}", track.name);
        }
    }
    out
}

fn keys(scene: &Scene<'_>, kind: &str, track: &Track) -> String {
    let kid = match scene.ask.mood.wrong_kid {
        true => "00000000000000000000000000000001".to_owned(),
        false => CANARY_KID.replace('-', ""),
    };
    let mut out = String::new();
    match kind {
        "cenc" => {
            let _ = writeln!(
                out,
                "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"urn:uuid:{CANARY_KID}\",KEYFORMAT=\"org.w3.clearkey\",KEYFORMATVERSIONS=\"1\",KEYID=0x{kid}"
            );
        }
        "cbcs" => {
            let _ = writeln!(
                out,
                "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://{CANARY_KID}\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\""
            );
            for (system, whole, data) in media::pssh(track.init) {
                let (format, data) = match system {
                    WIDEVINE => ("urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", whole),
                    PLAYREADY => ("com.microsoft.playready", data),
                    _ => continue,
                };
                let id = if system == WIDEVINE {
                    format!(",KEYID=0x{kid}")
                } else {
                    String::new()
                };
                let _ = writeln!(
                    out,
                    "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:text/plain;base64,{}\",KEYFORMAT=\"{format}\",KEYFORMATVERSIONS=\"1\"{id}",
                    STANDARD.encode(data)
                );
            }
        }
        _ => {}
    }
    out
}

fn live(scene: &Scene<'_>, kind: &str, track: &Track) -> String {
    let (first, last) = scene.window(track, WINDOW);
    let target = match scene.ask.mood.broken {
        true => "two".to_owned(),
        false => format!("{:.0}", track.longest()),
    };
    let mut out =
        format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    out += &keys(scene, kind, track);
    let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}/init.mp4\"", track.name);
    for number in first..=last {
        let date = scene.instant(track.begin(number));
        let _ = writeln!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:{date:.3}\n#EXTINF:{:.3},\n{}/{number}.m4s",
            track.duration(number),
            track.name
        );
    }
    if scene.ask.mood.ended {
        out += "#EXT-X-ENDLIST\n";
    }
    out
}

/// A part of a segment: its fragment. What is not there yet is waited for.
pub(super) fn part(scene: &Scene<'_>, track: &Track, number: u64, part: usize) -> Option<Answer> {
    let there = track.begin(number) + (part + 1) as f64 * PART;
    if there > scene.seconds + track.longest() || there + 60.0 < scene.seconds {
        return None;
    }
    if there > scene.seconds {
        return Some(Answer::held(scene.instant(there)));
    }
    Some(Answer::media(
        "video/mp4",
        track.fragments(number).get(part)?.clone(),
    ))
}

fn low_latency(scene: &Scene<'_>, tracks: &[Track], track: &Track) -> Option<Answer> {
    // Parts and segments come late together: a server that holds a request for one lists it when it answers.
    let late = match scene.timing {
        Timing::Exact => 0.0,
        Timing::Jittery => 0.3,
    };
    let scene = &Scene {
        timing: Timing::Exact,
        seconds: scene.seconds - late,
        ..*scene
    };
    let query = |name: &str| {
        let mut pairs = scene.ask.query.split('&').filter_map(|p| p.split_once('='));
        pairs.find(|(n, _)| *n == name).map(|(_, v)| v)
    };
    let (first, last) = scene.window(track, LONG_WINDOW);
    let done = ((scene.seconds - track.begin(last + 1)) / PART) as u64;
    match (
        query("_HLS_msn").map(str::parse::<u64>),
        query("_HLS_part").map(str::parse::<u64>),
    ) {
        (None, None) => {}
        (Some(Ok(number)), part) if number <= last + 2 => {
            let part = match part {
                None => track.published(number, &scene.timing),
                Some(Ok(part)) => track.begin(number) + (part + 1) as f64 * PART,
                Some(Err(_)) => return Some(Answer::status(400)),
            };
            if part > scene.seconds {
                return Some(Answer::held(scene.instant(part + late)));
            }
        }
        // Section 6.2.5.2: a part without a segment, and too far in the future.
        _ => return Some(Answer::status(400)),
    }
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n");
    let _ = writeln!(out, "#EXT-X-PART-INF:PART-TARGET={PART}");
    out += "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=12.0\n";
    let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}");
    let mut from = first;
    if query("_HLS_skip") == Some("YES") {
        // What is older than the skip boundary, seen from the end.
        let end = track.begin(last + 1);
        while end - track.begin(from + 1) > 12.0 {
            from += 1;
        }
        let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={}", from - first);
    } else {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}/init.mp4\"", track.name);
    }
    let parts = |out: &mut String, number: u64, count: u64| {
        for part in 0..count {
            let independent = if part == 0 || track.size.is_none() {
                ",INDEPENDENT=YES"
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "#EXT-X-PART:DURATION={PART:.3},URI=\"{}/{number}.{part}.m4s\"{independent}",
                track.name
            );
        }
    };
    for number in from..=last {
        let _ = writeln!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:{:.3}",
            scene.instant(track.begin(number))
        );
        if last - number < 3 {
            parts(&mut out, number, 4);
        }
        let _ = writeln!(
            out,
            "#EXTINF:{:.3},\n{}/{number}.m4s",
            track.duration(number),
            track.name
        );
    }
    let done = done.min(3);
    if done > 0 {
        let _ = writeln!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:{:.3}",
            scene.instant(track.begin(last + 1))
        );
    }
    parts(&mut out, last + 1, done);
    let _ = writeln!(
        out,
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}/{}.{done}.m4s\"",
        track.name,
        last + 1
    );
    for other in tracks.iter().filter(|t| t.name != track.name) {
        let (number, part) = match done {
            0 => (last, 3),
            _ => (last + 1, done - 1),
        };
        let _ = writeln!(
            out,
            "#EXT-X-RENDITION-REPORT:URI=\"{}.m3u8\",LAST-MSN={number},LAST-PART={part}",
            other.name
        );
    }
    Some(Answer::new(M3U8, out))
}

/// TS with video and audio in one, in the clear or as AES-128, with subtitles and I-frames beside it.
pub(super) fn muxed(scene: &Scene<'_>, kind: &str, parts: &[&str]) -> Option<Answer> {
    let track = &media::TS;
    let (first, last) = scene.window(track, WINDOW);
    let begin = |target: f64| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:{target:.0}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
        )
    };
    let dated = |number: u64| {
        format!(
            "#EXT-X-PROGRAM-DATE-TIME:{:.3}\n",
            scene.instant(track.begin(number))
        )
    };
    // The media begin anew with each loop, and with them their clock.
    let loops = track.durations.len() as u64;
    let mark = |out: &mut String, number: u64| {
        if number.is_multiple_of(loops) {
            *out += "#EXT-X-DISCONTINUITY\n";
        }
    };
    let counted = |out: &mut String| {
        let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", first.div_ceil(loops));
    };
    match parts {
        ["master.m3u8"] => Some(Answer::new(
            M3U8,
            "#EXTM3U\n#EXT-X-VERSION:4\n\
             #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,URI=\"en.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=160000,CODECS=\"avc1.4d400c,mp4a.40.2\",RESOLUTION=192x108,FRAME-RATE=25.000,SUBTITLES=\"s\"\nvideo.m3u8\n\
             #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=40000,CODECS=\"avc1.4d400c\",RESOLUTION=192x108,URI=\"iframes.m3u8\"\n",
        )),
        ["video.m3u8"] => {
            let mut out = begin(2.0);
            counted(&mut out);
            if kind == "aes" {
                out += "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n";
            }
            for number in first..=last {
                mark(&mut out, number);
                let _ = writeln!(out, "{}#EXTINF:2.000,\n{number}.ts", dated(number));
            }
            Some(Answer::new(M3U8, out))
        }
        ["iframes.m3u8"] => {
            let mut out = begin(2.0) + "#EXT-X-I-FRAMES-ONLY\n";
            counted(&mut out);
            for number in first..=last {
                mark(&mut out, number);
                let _ = writeln!(
                    out,
                    "{}#EXTINF:2.000,\n#EXT-X-BYTERANGE:3760@0\n{number}.ts",
                    dated(number)
                );
            }
            Some(Answer::new(M3U8, out))
        }
        ["en.m3u8"] => {
            let mut out = begin(2.0);
            counted(&mut out);
            for number in first..=last {
                mark(&mut out, number);
                let _ = writeln!(out, "{}#EXTINF:2.000,\n{number}.vtt", dated(number));
            }
            Some(Answer::new(M3U8, out))
        }
        ["key"] => Some(Answer::new("application/octet-stream", CANARY_KEY)),
        [file] => {
            let (number, extension) = file.split_once('.')?;
            let number: u64 = number.parse().ok()?;
            if !scene.there(track, number) {
                return None;
            }
            match extension {
                "ts" if kind == "aes" => Some(Answer::media("video/mp2t", encrypted(track, number))),
                "ts" => Some(Answer::media("video/mp2t", track.segment(number))),
                "vtt" => {
                    let at = track.begin(number) % LOOP;
                    let text = format!(
                        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:126000,LOCAL:00:00:00.000\n\n00:00:{at:06.3} --> 00:00:{:06.3}\nsegment {number}\n",
                        at + 1.0
                    );
                    Some(Answer::media("text/vtt", text))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// AES-CBC with PKCS #7 padding, and the media sequence number as vector (section 5.2).
fn encrypted(track: &Track, number: u64) -> Vec<u8> {
    let mut bytes = track.segment(number);
    let padding = 16 - bytes.len() % 16;
    bytes.extend(std::iter::repeat_n(padding as u8, padding));
    let cipher = Aes128::new(&CANARY_KEY.into());
    let mut chain = u128::from(number).to_be_bytes();
    for chunk in bytes.chunks_exact_mut(16) {
        for (byte, before) in chunk.iter_mut().zip(chain) {
            *byte ^= before;
        }
        let mut block = [0; 16];
        block.copy_from_slice(chunk);
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        chain = block.into();
        chunk.copy_from_slice(&chain);
    }
    bytes
}
