//! R: audio, subtitles and trick play beside the video.

use super::{Case, live_edge::ends, seconds};
use crate::{
    Check,
    findings::wrong,
    model::{Kind, Loaded, Manifest},
};
use drmwatch_media::{
    SegmentKind,
    hls::{Media, Multivariant},
};
use std::collections::BTreeSet;

pub(super) fn judge(case: &mut Case<'_>) {
    tracks(case);
    if let Some(list) = case.snapshot.manifest.multivariant() {
        groups(case, list);
    }
    audio(case);
    subtitles(case);
    trick_play(case);
}

fn tracks(case: &mut Case<'_>) {
    let expect = &case.settings.expect;
    if expect.audio_languages.is_empty() && expect.subtitle_languages.is_empty() {
        return case.findings.skip(Check::R01, None, "no languages are expected");
    }
    let mut found: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut add = |kind, language: Option<&str>| {
        if let Some(language) = language {
            found.insert((kind, language.to_ascii_lowercase()));
        }
    };
    match &case.snapshot.manifest {
        Manifest::Hls(_) => {
            for r in case
                .snapshot
                .manifest
                .multivariant()
                .into_iter()
                .flat_map(|l| &l.renditions)
            {
                add(
                    if r.kind == "AUDIO" { "audio" } else { "subtitles" },
                    r.language.as_deref(),
                );
            }
        }
        Manifest::Dash(mpd) => {
            for set in mpd.current(case.now()).into_iter().flat_map(|p| &p.sets) {
                match set.content_type.as_str() {
                    "audio" => add("audio", set.language.as_deref()),
                    "text" => add("subtitles", set.language.as_deref()),
                    _ => {}
                }
            }
        }
        Manifest::Smooth(manifest) => {
            for stream in &manifest.streams {
                add(
                    if stream.kind == "audio" {
                        "audio"
                    } else {
                        "subtitles"
                    },
                    stream.language.as_deref(),
                );
            }
        }
        Manifest::Hds(_) => {
            return case.findings.skip(Check::R01, None, "f4m names no languages");
        }
    }
    // `en` is there as `en-GB` as well (RFC 4647 basic filtering).
    let has = |kind: &str, wanted: &str| {
        let wanted = wanted.to_ascii_lowercase();
        found
            .iter()
            .any(|(k, l)| *k == kind && (*l == wanted || l.starts_with(&format!("{wanted}-"))))
    };
    let audio = expect.audio_languages.iter().map(|l| ("audio", l));
    let missing: Vec<String> = audio
        .chain(expect.subtitle_languages.iter().map(|l| ("subtitles", l)))
        .filter(|(kind, language)| !has(kind, language))
        .map(|(kind, language)| format!("{kind} {language}"))
        .collect();
    let evidence = (!missing.is_empty()).then(|| wrong(format!("there is no {}", missing.join(", no "))));
    case.findings.judge(Check::R01, None, evidence);
}

fn groups(case: &mut Case<'_>, list: &Multivariant) {
    let mut evidence = None;
    let mut groups: Vec<(&str, &str)> = list
        .renditions
        .iter()
        .map(|r| (r.kind.as_str(), r.group.as_str()))
        .collect();
    groups.sort_unstable();
    groups.dedup();
    for (kind, group) in &groups {
        let members: Vec<_> = list
            .renditions
            .iter()
            .filter(|r| r.kind == *kind && r.group == *group)
            .collect();
        let twice = members
            .iter()
            .enumerate()
            .find(|(n, r)| members[..*n].iter().any(|o| o.name == r.name));
        let defaults: Vec<_> = members.iter().filter(|r| r.default).collect();
        evidence = match (twice, defaults.get(1)) {
            (Some((_, r)), _) => {
                Some(wrong(format!("two members of group {group:?} are named {:?}", r.name)).line(r.line))
            }
            (None, Some(r)) => {
                Some(wrong(format!("two members of group {group:?} are the default")).line(r.line))
            }
            (None, None) => members
                .iter()
                .find(|r| r.default && r.forced)
                .map(|r| wrong("a forced rendition is the default").line(r.line)),
        };
        if evidence.is_some() {
            break;
        }
    }
    // Groups of a kind that variants choose among must have the same members (4.4.6.1.1).
    if evidence.is_none() {
        let members = |kind: &str, group: &str| -> BTreeSet<(String, Option<String>)> {
            let of = list
                .renditions
                .iter()
                .filter(|r| r.kind == kind && r.group == group);
            of.map(|r| (r.name.clone(), r.language.clone())).collect()
        };
        evidence = groups
            .windows(2)
            .find(|p| p[0].0 == p[1].0 && members(p[0].0, p[0].1) != members(p[1].0, p[1].1))
            .map(|p| {
                wrong(format!(
                    "the {} groups {:?} and {:?} have different members",
                    p[0].0, p[0].1, p[1].1
                ))
            });
    }
    case.findings.judge(Check::R02, None, evidence);
}

fn audio(case: &mut Case<'_>) {
    if !case.snapshot.live {
        return;
    }
    let Some(ends) = ends(case) else {
        return case
            .findings
            .skip(Check::R03, None, "the ends of audio and video are not both known");
    };
    let ((v, video), (n, audio), apart, limit) = (ends.video, ends.audio, ends.apart, ends.unplayable);
    if case.stuck.contains(&n) || case.stuck.contains(&v) {
        return case
            .findings
            .skip(Check::R03, Some(n), "an edge stands still: that is the cause");
    }
    let evidence = (apart.abs() > limit).then(|| {
        wrong("audio and video end so far apart that players can't start")
            .expected(format!("at most {}", seconds(limit)))
            .seen(format!("{apart:+.1} s"))
    });
    let evidence = evidence.or_else(|| {
        let (a, b) = (video.media()?, audio.media()?);
        let marked = |m: &Media| m.segments.iter().any(|s| s.discontinuity) || m.discontinuity_sequence > 0;
        let at = |m: &Media| m.segments.last().map(|s| s.discontinuity_sequence);
        // Within the slack of two fetches a discontinuity may be on one side only.
        let last = |m: &Media| m.segments.iter().rev().take(3).any(|s| s.discontinuity);
        (marked(a) && at(a) != at(b) && !last(a) && !last(b)).then(|| {
            let what = wrong("audio has another discontinuity sequence than video");
            what.expected(format!("{:?}", at(a).unwrap_or_default()))
                .seen(format!("{:?}", at(b).unwrap_or_default()))
        })
    });
    case.findings.judge(Check::R03, Some(n), evidence);
}

fn subtitles(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions().filter(|(_, r)| r.kind == Kind::Text) {
        let segment = match &rendition.newest {
            Loaded::Found(segment) => segment,
            Loaded::Failed(_, message) => {
                case.findings.fail(Check::R04, Some(n), wrong(message.clone()));
                continue;
            }
            other => {
                case.findings.skip(Check::R04, Some(n), other.why());
                continue;
            }
        };
        let Some(found) = &segment.subtitles else {
            case.findings
                .skip(Check::R04, Some(n), "the subtitles are inside of MP4");
            continue;
        };
        let of = &rendition.label;
        let evidence = if let Some(problem) = found.problems.first() {
            Some(wrong(format!("the newest segment of {of}: {problem}")))
        } else if case.is_hls()
            && segment.kind == Some(SegmentKind::WebVtt)
            && found.timestamp_map.is_none()
            && found.cues > 0
            && case.snapshot.live
        {
            Some(wrong(format!(
                "the newest segment of {of} has no X-TIMESTAMP-MAP"
            )))
        } else {
            None
        };
        case.findings.judge(Check::R04, Some(n), evidence);
    }
}

fn trick_play(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions().filter(|(_, r)| r.kind == Kind::TrickPlay) {
        let Some(media) = rendition.media() else { continue };
        let evidence = (!media.i_frames_only).then(|| {
            wrong(format!(
                "the playlist of {} does not say EXT-X-I-FRAMES-ONLY",
                rendition.label
            ))
        });
        case.findings.judge(Check::R05, Some(n), evidence);
    }
}
