//! MPEG-DASH: a SegmentTimeline, numbers by the clock, periods, low latency, and on demand.

use super::{
    Answer, CANARY_KID, Scene, WINDOW,
    media::{self, LOOP, Track},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt::Write;

const WIDEVINE: [u8; 16] = *b"\xed\xef\x8b\xa9\x79\xd6\x4a\xce\xa3\xc8\x27\xdc\xd5\x1d\x21\xed";
const PLAYREADY: [u8; 16] = *b"\x9a\x04\xf0\x79\x98\x40\x42\x86\xab\x92\xe6\x5b\xe0\x88\x5f\x95";
/// Seconds of a period.
const PERIOD: f64 = 2.0 * LOOP;

pub(super) fn mpd(scene: &Scene<'_>, kind: &str, file: &str) -> Option<Answer> {
    let tracks = media::tracks(kind)?;
    let text = match file {
        "manifest.mpd" => dynamic(scene, kind, tracks, Addressing::Timeline),
        "number.mpd" => dynamic(scene, kind, tracks, Addressing::Number),
        "periods.mpd" => dynamic(scene, kind, tracks, Addressing::Periods),
        "bases.mpd" => dynamic(scene, kind, tracks, Addressing::Timeline)
            .replace("<Period id=\"1\" start=\"PT0S\">", "<Period id=\"1\" start=\"PT0S\">\n  <BaseURL serviceLocation=\"main\">./</BaseURL>\n  <BaseURL serviceLocation=\"backup\">backup/</BaseURL>"),
        "low.mpd" if kind == "parts" => dynamic(scene, kind, tracks, Addressing::Low),
        "vod.mpd" => fixed(kind, tracks),
        _ => return None,
    };
    Some(Answer::new("application/dash+xml", text))
}

#[derive(Clone, Copy, PartialEq)]
enum Addressing {
    Timeline,
    Number,
    Periods,
    Low,
}

fn document(attributes: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:cenc=\"urn:mpeg:cenc:2013\" xmlns:mspr=\"urn:microsoft:playready\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" minBufferTime=\"PT2S\" {attributes}>\n{body}</MPD>\n"
    )
}

fn dynamic(scene: &Scene<'_>, kind: &str, tracks: &[Track], addressing: Addressing) -> String {
    let lead = &tracks[0];
    let (first, last) = scene.window(lead, WINDOW);
    let published = scene.instant(lead.begin(last + 1));
    let attributes = if scene.ask.mood.ended {
        format!(
            "type=\"static\" mediaPresentationDuration=\"PT{}S\"",
            lead.begin(last + 1)
        )
    } else {
        // What follows from the clock needs no new MPD.
        let (published, update) = match addressing {
            Addressing::Number | Addressing::Low => (scene.start, 60.0),
            _ => (published, lead.longest()),
        };
        format!(
            "type=\"dynamic\" availabilityStartTime=\"{:.3}\" publishTime=\"{published:.3}\" minimumUpdatePeriod=\"PT{update}S\" timeShiftBufferDepth=\"PT{WINDOW}S\" suggestedPresentationDelay=\"PT6S\"",
            scene.start
        )
    };
    let mut body = String::new();
    if addressing == Addressing::Low {
        body += " <ServiceDescription id=\"0\"><Latency target=\"3000\" min=\"2000\" max=\"6000\"/></ServiceDescription>\n";
    }
    match addressing {
        Addressing::Periods => {
            let (from, to) = (lead.begin(first), lead.begin(last + 1));
            let mut n = (from / PERIOD) as u64;
            while (n as f64) * PERIOD < to {
                let _ = writeln!(body, " <Period id=\"p{n}\" start=\"PT{}S\">", n as f64 * PERIOD);
                body += &sets(scene, kind, tracks, addressing, Some(n));
                body += " </Period>\n";
                n += 1;
            }
        }
        _ => {
            body += " <Period id=\"1\" start=\"PT0S\">\n";
            body += &sets(scene, kind, tracks, addressing, None);
            body += " </Period>\n";
        }
    }
    if addressing != Addressing::Timeline {
        let _ = writeln!(
            body,
            " <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{:.3}\"/>",
            scene.ask.now
        );
    }
    document(&attributes, &body)
}

fn sets(
    scene: &Scene<'_>,
    kind: &str,
    tracks: &[Track],
    addressing: Addressing,
    period: Option<u64>,
) -> String {
    let mut out = String::new();
    for (content, of) in groups(tracks) {
        let _ = writeln!(
            out,
            "  <AdaptationSet contentType=\"{content}\" mimeType=\"{content}/mp4\" segmentAlignment=\"true\"{}>",
            if content == "audio" { " lang=\"en\"" } else { "" }
        );
        out += &protection(scene.ask.mood.wrong_kid, kind, of[0]);
        if addressing == Addressing::Low {
            let _ = writeln!(
                out,
                "   <ProducerReferenceTime id=\"0\" type=\"encoder\" wallClockTime=\"{:.3}\" presentationTime=\"0\"><UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"{:.3}\"/></ProducerReferenceTime>",
                scene.start, scene.start
            );
        }
        out += &template(scene, of[0], addressing, period);
        for track in of {
            out += &representation(track);
        }
        out += "  </AdaptationSet>\n";
    }
    out
}

fn groups(tracks: &[Track]) -> Vec<(&'static str, Vec<&Track>)> {
    let (video, audio): (Vec<&Track>, Vec<&Track>) = tracks.iter().partition(|t| t.size.is_some());
    let both = [("video", video), ("audio", audio)];
    both.into_iter().filter(|(_, of)| !of.is_empty()).collect()
}

fn representation(track: &Track) -> String {
    let size = track
        .size
        .map_or(" audioSamplingRate=\"48000\"".to_owned(), |(w, h)| {
            format!(" width=\"{w}\" height=\"{h}\" frameRate=\"25\"")
        });
    format!(
        "   <Representation id=\"{}\" bandwidth=\"{}\" codecs=\"{}\"{size}/>\n",
        track.name, track.bandwidth, track.codec
    )
}

fn protection(wrong: bool, kind: &str, track: &Track) -> String {
    if kind != "cenc" && kind != "cbcs" {
        return String::new();
    }
    let kid = match wrong {
        true => "00000000-0000-0000-0000-000000000001",
        false => CANARY_KID,
    };
    let mut out = format!(
        "   <ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"{kind}\" cenc:default_KID=\"{kid}\"/>\n"
    );
    if kind == "cenc" {
        out += "   <ContentProtection schemeIdUri=\"urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e\" value=\"ClearKey1.0\"/>\n";
    }
    for (system, whole, data) in media::pssh(track.init) {
        let (uuid, name) = match system {
            WIDEVINE => ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"),
            PLAYREADY => ("9a04f079-9840-4286-ab92-e65be0885f95", "MSPR 2.0"),
            _ => continue,
        };
        let _ = write!(
            out,
            "   <ContentProtection schemeIdUri=\"urn:uuid:{uuid}\" value=\"{name}\"><cenc:pssh>{}</cenc:pssh>",
            STANDARD.encode(whole)
        );
        if system == PLAYREADY {
            let _ = write!(out, "<mspr:pro>{}</mspr:pro>", STANDARD.encode(data));
        }
        out += "</ContentProtection>\n";
    }
    out
}

fn template(scene: &Scene<'_>, track: &Track, addressing: Addressing, period: Option<u64>) -> String {
    let scale = track.scale;
    let ticks = |seconds: f64| (seconds * scale as f64).round() as u64;
    let names = "initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/$Number$.m4s\"";
    match addressing {
        Addressing::Number => format!(
            "   <SegmentTemplate timescale=\"{scale}\" {names} startNumber=\"0\" duration=\"{}\"/>\n",
            ticks(track.longest())
        ),
        Addressing::Low => format!(
            "   <SegmentTemplate timescale=\"{scale}\" {names} startNumber=\"0\" duration=\"{}\" availabilityTimeOffset=\"1.5\" availabilityTimeComplete=\"false\"/>\n",
            ticks(track.longest())
        ),
        Addressing::Timeline | Addressing::Periods => {
            let (mut first, mut last) = scene.window(track, WINDOW);
            let mut offset = 0;
            if let Some(n) = period {
                let per = (PERIOD / LOOP) as u64 * track.durations.len() as u64;
                (first, last) = (first.max(n * per), last.min((n + 1) * per - 1));
                offset = ticks(n as f64 * PERIOD);
            }
            let mut out = format!(
                "   <SegmentTemplate timescale=\"{scale}\" {names} startNumber=\"{first}\" presentationTimeOffset=\"{offset}\">\n    <SegmentTimeline>"
            );
            if scene.ask.mood.broken {
                out += "<S t=\"0\" d=\"two\"/>";
            }
            let mut number = first;
            while number <= last {
                let length = track.duration(number);
                let mut repeat = 0;
                while number + repeat < last && track.duration(number + repeat + 1) == length {
                    repeat += 1;
                }
                let _ = write!(
                    out,
                    "<S t=\"{}\" d=\"{}\" r=\"{repeat}\"/>",
                    ticks(track.begin(number)),
                    ticks(length)
                );
                number += repeat + 1;
            }
            out + "</SegmentTimeline>\n   </SegmentTemplate>\n"
        }
    }
}

/// One loop on demand. Its segments are the first of the endless stream.
fn fixed(kind: &str, tracks: &[Track]) -> String {
    let mut body = String::from(" <Period id=\"1\">\n");
    for (content, of) in groups(tracks) {
        let _ = writeln!(
            body,
            "  <AdaptationSet contentType=\"{content}\" mimeType=\"{content}/mp4\" segmentAlignment=\"true\">"
        );
        body += &protection(false, kind, of[0]);
        let scale = of[0].scale;
        let _ = writeln!(
            body,
            "   <SegmentTemplate timescale=\"{scale}\" initialization=\"$RepresentationID$/init.mp4\" media=\"$RepresentationID$/vod$Number$.m4s\" startNumber=\"1\"><SegmentTimeline>"
        );
        for length in of[0].durations {
            let _ = write!(body, "<S d=\"{}\"/>", (length * scale as f64) as u64);
        }
        body += "</SegmentTimeline></SegmentTemplate>\n";
        for track in of {
            body += &representation(track);
        }
        body += "  </AdaptationSet>\n";
    }
    body += " </Period>\n";
    document("type=\"static\" mediaPresentationDuration=\"PT12S\"", &body)
}
