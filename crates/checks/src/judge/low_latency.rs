//! L12 to L15 and L22: low latency.

use super::{Case, seconds};
use crate::{
    Check,
    findings::wrong,
    model::{Kind, Manifest},
};
use drmwatch_media::{
    dash::{Addressing, Mpd},
    hls::Media,
};

pub(super) fn judge(case: &mut Case<'_>) {
    match &case.snapshot.manifest {
        Manifest::Hls(_) => hls(case),
        Manifest::Dash(mpd) if mpd.dynamic => dash(case, mpd),
        _ => {}
    }
}

fn hls(case: &mut Case<'_>) {
    let low: Vec<(usize, &Media)> = case
        .renditions()
        .filter_map(|(n, r)| Some((n, r.media()?)))
        .filter(|(_, m)| m.part_target.is_some())
        .collect();
    if low.is_empty() {
        return;
    }
    for (n, media) in &low {
        let evidence = attributes(media, &case.snapshot.renditions[*n].label);
        case.findings.judge(Check::L14, Some(*n), evidence);
    }
    let control = |m: &Media| {
        m.server_control.map(|mut c| {
            c.line = 0;
            c
        })
    };
    if let Some((n, _)) = low.iter().find(|(_, m)| control(m) != control(low[0].1)) {
        let what = "EXT-X-SERVER-CONTROL must be the same in all playlists";
        case.findings.fail(Check::L14, Some(*n), wrong(what));
    }
    let longest = low[0].1.target_duration;
    if let Some(found) = &case.snapshot.active.blocking {
        let limit = case.threshold(Check::L12, 3.0 * longest);
        let evidence = match &found.got {
            Err(message) => Some(wrong(message.clone())),
            Ok(next) if *next <= found.asked => {
                let what = wrong("the answer to a blocking request does not have what was waited for");
                let (segment, part) = found.asked;
                Some(
                    what.expected(format!("part {part} of segment {segment}"))
                        .seen(format!("nothing new, after {}", seconds(found.seconds))),
                )
            }
            Ok(_) => (found.seconds > limit).then(|| {
                wrong("a blocking request was held for too long")
                    .expected(seconds(limit))
                    .seen(seconds(found.seconds))
            }),
        };
        case.findings.judge(Check::L12, None, evidence);
    }
    if !case.snapshot.active.refusals.is_empty() {
        let bad = case
            .snapshot
            .active
            .refusals
            .iter()
            .find(|(_, status)| *status != 400);
        let evidence = bad.map(|(what, status)| wrong(what.clone()).expected("400").seen(status.to_string()));
        case.findings.judge(Check::L13, None, evidence);
    }
    let trials = [&case.snapshot.active.delta, &case.snapshot.active.hint];
    if trials.iter().any(|t| t.is_some()) {
        let bad = trials.into_iter().flatten().find_map(|t| t.as_ref().err());
        let evidence = bad
            .map(|message| wrong(message.clone()))
            .or_else(|| reports(&low));
        case.findings.judge(Check::L15, None, evidence);
    }
}

/// Relations of the attributes of one playlist.
fn attributes(media: &Media, label: &str) -> Option<crate::findings::Evidence> {
    let part = media.part_target?;
    let Some(control) = media.server_control else {
        return Some(wrong(format!("{label} has parts and no EXT-X-SERVER-CONTROL")));
    };
    let say = |what: &str, least: f64, seen: f64| {
        let what = wrong(format!("{what} of {label} is too short")).line(control.line);
        Some(
            what.expected(format!("at least {least:.3} s"))
                .seen(format!("{seen:.3} s")),
        )
    };
    match control.part_hold_back {
        None => return Some(wrong(format!("{label} has parts and no PART-HOLD-BACK")).line(control.line)),
        Some(seen) if seen < 2.0 * part - 1e-6 => return say("PART-HOLD-BACK", 2.0 * part, seen),
        Some(_) => {}
    }
    if let Some(seen) = control
        .hold_back
        .filter(|h| *h < 3.0 * media.target_duration - 1e-6)
    {
        return say("HOLD-BACK", 3.0 * media.target_duration, seen);
    }
    if let Some(seen) = control
        .can_skip_until
        .filter(|s| *s < 6.0 * media.target_duration - 1e-6)
    {
        return say("CAN-SKIP-UNTIL", 6.0 * media.target_duration, seen);
    }
    // All but the last part of a segment last 85 % of the target or more (4.4.4.9), and none more than it.
    let mut whole = media
        .segments
        .iter()
        .flat_map(|s| s.parts.split_last().map_or(&[][..], |(_, rest)| rest));
    let short = whole.find(|p| !p.independent && p.duration < 0.85 * part - 1e-3);
    let long = media
        .segments
        .iter()
        .flat_map(|s| &s.parts)
        .chain(&media.parts)
        .find(|p| p.duration > part + 1e-3);
    let bad = long.or(short)?;
    let what = wrong(format!("a part of {label} does not fit PART-TARGET")).line(bad.line);
    Some(
        what.expected(format!("{:.3} to {part:.3} s", 0.85 * part))
            .seen(format!("{:.3} s", bad.duration)),
    )
}

/// Rendition reports against the playlists themselves. They were fetched one after the other, so only what
/// lags is wrong.
fn reports(low: &[(usize, &Media)]) -> Option<crate::findings::Evidence> {
    let slowest = low.iter().filter_map(|(_, m)| m.newest()).min()?;
    low.iter()
        .flat_map(|(_, m)| &m.rendition_reports)
        .find_map(|report| {
            let last = report.last_msn?;
            (last.saturating_add(2) < slowest).then(|| {
                let what = wrong("a rendition report lags behind its playlist").line(report.line);
                what.expected(format!("about {slowest}")).seen(last.to_string())
            })
        })
}

fn dash(case: &mut Case<'_>, mpd: &Mpd) {
    let templates = || {
        let all = mpd.periods.iter().flat_map(|p| &p.sets);
        all.flat_map(|s| s.representations.iter().map(move |r| (s, r)))
            .filter_map(|(set, r)| match &r.segments {
                Addressing::Template(t) => Some((set, t)),
                _ => None,
            })
    };
    let low = mpd.latency.is_some() || templates().any(|(_, t)| !t.availability_complete);
    if !low {
        return;
    }
    let target = mpd.latency.and_then(|l| l.target).map(|ms| ms as f64 / 1000.0);
    let mut evidence = None;
    for (set, template) in templates() {
        let line = template.line;
        let segment = match &template.timeline {
            Some(timeline) => timeline.runs.last().map(|r| r.duration),
            None => template.duration,
        };
        let segment = segment.map_or(0.0, |d| d as f64 / template.timescale.max(1) as f64);
        evidence = if template.availability_offset > 0.0 && template.availability_complete {
            Some(wrong("availabilityTimeOffset must come with availabilityTimeComplete=false").line(line))
        } else if !template.availability_complete && set.producer_references.is_empty() {
            Some(wrong("a low-latency set must have a ProducerReferenceTime").line(set.line))
        } else {
            target
                .filter(|t| template.availability_complete && segment > t / 2.0)
                .map(|t| {
                    let what = wrong("segments are too long for the latency target").line(line);
                    what.expected(format!("at most {}", seconds(t / 2.0)))
                        .seen(seconds(segment))
                })
        };
        if evidence.is_some() {
            break;
        }
    }
    if evidence.is_none() && target.is_none() {
        evidence = Some(wrong(
            "a low-latency service must have a ServiceDescription with a latency target",
        ));
    }
    if evidence.is_none() {
        let chunked = case
            .renditions()
            .filter(|(_, r)| r.kind == Kind::Video)
            .find_map(|(n, r)| {
                let head = r.newest.found()?.head.as_ref()?.as_ref().ok()?;
                (head.fragments.len() == 1
                    && r.newest.found()?.whole
                    && !r.newest.found()?.growing
                    && r.newest.found()?.duration > target?)
                    .then_some(n)
            });
        evidence = chunked.map(|_| wrong("a segment that is longer than the latency target is not chunked"));
    }
    case.findings.judge(Check::L22, None, evidence);
}
