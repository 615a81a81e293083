//! Smooth Streaming, live ([MS-SSTR]).

use super::{
    Answer, Scene, WINDOW,
    media::{self, Track},
};
use std::fmt::Write;

/// Fragments that are announced.
const LOOK_AHEAD: u64 = 2;
const TFXD: [u8; 16] = *b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2";
const TFRF: [u8; 16] = *b"\xd4\x80\x7e\xf2\xca\x39\x46\x95\x8e\x54\x26\xcb\x9e\x46\xa7\x9f";
/// SPS and PPS of the video, as ffmpeg's own manifest has them.
const VIDEO: &str = "00000001674d400ca6110c3fef011000000300100000030320f142a1180000000168e84332c8";
const AUDIO: &str = "118856e500";

pub(super) fn answer(scene: &Scene<'_>, parts: &[&str]) -> Option<Answer> {
    match parts {
        ["Manifest"] => Some(Answer::new("text/xml", manifest(scene))),
        [level, fragment] => {
            let bitrate = level.strip_prefix("QualityLevels(")?.strip_suffix(')')?;
            let (name, time) = fragment
                .strip_prefix("Fragments(")?
                .strip_suffix(')')?
                .split_once('=')?;
            let track = media::SMOOTH.iter().find(|t| t.name == name)?;
            if bitrate.parse() != Ok(track.bandwidth) {
                return None;
            }
            let time: u64 = time.parse().ok()?;
            let number = time / ticks(track);
            if !time.is_multiple_of(ticks(track)) || !scene.there(track, number) {
                return None;
            }
            let kind = if track.size.is_some() {
                "video/mp4"
            } else {
                "audio/mp4"
            };
            Some(Answer::media(kind, timed(track, number)))
        }
        _ => None,
    }
}

fn ticks(track: &Track) -> u64 {
    (track.durations[0] * track.scale as f64) as u64
}

fn manifest(scene: &Scene<'_>) -> String {
    let live = match scene.ask.mood.ended {
        true => "Duration=\"120000000\"".to_owned(),
        false => format!(
            "Duration=\"0\" IsLive=\"TRUE\" LookAheadFragmentCount=\"{LOOK_AHEAD}\" DVRWindowLength=\"{}\"",
            WINDOW as u64 * 10_000_000
        ),
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<SmoothStreamingMedia MajorVersion=\"2\" MinorVersion=\"0\" TimeScale=\"10000000\" {live}>\n"
    );
    for track in &media::SMOOTH {
        let (first, last) = scene.window(track, WINDOW);
        let name = track.name;
        let _ = writeln!(
            out,
            " <StreamIndex Type=\"{name}\" Name=\"{name}\" QualityLevels=\"1\" Chunks=\"{}\" Url=\"QualityLevels({{bitrate}})/Fragments({name}={{start time}})\"{}>",
            last - first + 1,
            if track.size.is_none() {
                " Language=\"en\""
            } else {
                ""
            }
        );
        let level = match track.size {
            Some((w, h)) => {
                format!("FourCC=\"H264\" MaxWidth=\"{w}\" MaxHeight=\"{h}\" CodecPrivateData=\"{VIDEO}\"")
            }
            None => format!(
                "FourCC=\"AACL\" SamplingRate=\"48000\" Channels=\"1\" BitsPerSample=\"16\" PacketSize=\"4\" AudioTag=\"255\" CodecPrivateData=\"{AUDIO}\""
            ),
        };
        let _ = writeln!(
            out,
            "  <QualityLevel Index=\"0\" Bitrate=\"{}\" {level}/>",
            track.bandwidth
        );
        for number in first..=last {
            let (time, duration) = (number * ticks(track), ticks(track));
            let _ = match number == first {
                true => writeln!(out, "  <c t=\"{time}\" d=\"{duration}\"/>"),
                false => writeln!(out, "  <c d=\"{duration}\"/>"),
            };
        }
        out += " </StreamIndex>\n";
    }
    out + "</SmoothStreamingMedia>\n"
}

/// A fragment with the times of its place: its own, and those that it announces (sections 2.2.4.4 and
/// 2.2.4.5).
fn timed(track: &Track, number: u64) -> Vec<u8> {
    let mut bytes = track.segments[(number % track.segments.len() as u64) as usize].to_vec();
    let find = |bytes: &[u8], id: &[u8; 16]| bytes.windows(16).position(|w| w == id).map(|at| at + 16);
    let mut put = |at: usize, index: u64| {
        let times = [index * ticks(track), ticks(track)]
            .map(u64::to_be_bytes)
            .concat();
        if let Some(field) = bytes.get_mut(at..at + 16) {
            field.copy_from_slice(&times);
        }
    };
    // Version 1: 64-bit times.
    if let Some(at) = find(
        track.segments[(number % track.segments.len() as u64) as usize],
        &TFXD,
    ) {
        put(at + 4, number);
    }
    if let Some(at) = find(
        track.segments[(number % track.segments.len() as u64) as usize],
        &TFRF,
    ) {
        for n in 0..LOOK_AHEAD {
            put(at + 5 + 16 * n as usize, number + 1 + n);
        }
    }
    bytes
}
