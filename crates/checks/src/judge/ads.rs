//! X: advertisement breaks and the cues for them.

use super::{Case, seconds};
use crate::{Check, findings::wrong, state::hash};
use drmwatch_media::{
    hls::{Cue, Media},
    scte35::Splice,
};

/// The scheme of SCTE 35 sections in `emsg` (SCTE 214-3).
const BINARY: &str = "urn:scte:scte35:2013:bin";

pub(super) fn judge(case: &mut Case<'_>) {
    let cues = sections(case);
    decode(case, &cues);
    open_break(case);
    heartbeat(case, &cues);
    if case.is_hls() {
        date_ranges(case);
        integrity(case);
    }
    if let Some(mpd) = case.snapshot.manifest.mpd() {
        periods(case, mpd);
    }
}

/// Every SCTE 35 section that is in sight: where it stands, and its bytes where they could be had.
pub(super) fn sections(case: &Case<'_>) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for (_, rendition) in case.renditions() {
        if let Some(media) = rendition.media() {
            for segment in &media.segments {
                for cue in &segment.cues {
                    if let Cue::Scte35(bytes) = cue {
                        found.push((
                            format!("line {} of {}", segment.line, rendition.label),
                            bytes.clone(),
                        ));
                    }
                }
            }
            for range in &media.date_ranges {
                for bytes in [&range.scte35_cmd, &range.scte35_out, &range.scte35_in]
                    .into_iter()
                    .flatten()
                {
                    found.push((
                        format!("line {} of {}", range.line, rendition.label),
                        Some(bytes.clone()),
                    ));
                }
            }
        }
        let Some(segment) = rendition.newest.found() else {
            continue;
        };
        let of = format!("the newest segment of {}", rendition.label);
        let head = segment.head.as_ref().and_then(|h| h.as_ref().ok());
        for event in head
            .into_iter()
            .flat_map(|h| &h.events)
            .filter(|e| e.scheme == BINARY)
        {
            found.push((of.clone(), Some(event.message.clone())));
        }
        found.extend(
            segment
                .ts
                .iter()
                .flat_map(|ts| &ts.cues)
                .map(|c| (of.clone(), Some(c.clone()))),
        );
    }
    if let Some(mpd) = case.snapshot.manifest.mpd() {
        for event in mpd.periods.iter().flat_map(|p| &p.events).flat_map(|e| &e.events) {
            if let Some(bytes) = &event.scte35 {
                found.push((format!("line {}", event.line), bytes.clone()));
            }
        }
    }
    found
}

fn decode(case: &mut Case<'_>, cues: &[(String, Option<Vec<u8>>)]) {
    if cues.is_empty() {
        return case.findings.skip(Check::X01, None, "there is no cue");
    }
    let evidence = cues
        .iter()
        .find_map(|(place, bytes)| match bytes.as_deref().map(Splice::parse) {
            None => Some(wrong(format!("the cue at {place} is not Base64"))),
            Some(Err(error)) => Some(wrong(format!("the cue at {place} can't be read: {error}"))),
            Some(Ok(_)) => None,
        });
    case.findings.judge(Check::X01, None, evidence);
}

/// A break that is going on at the end of a playlist.
pub(super) struct GoingOn {
    /// Segment with which it began, where that is still listed.
    pub opening: Option<u64>,
    /// Seconds from its beginning to the end of the playlist, where the playlist tells.
    pub elapsed: Option<f64>,
    /// Seconds that it is said to last.
    pub duration: Option<f64>,
}

/// The break that is going on at the end of a playlist.
pub(super) fn going_on(media: &Media) -> Option<GoingOn> {
    let mut open: Option<GoingOn> = None;
    for segment in &media.segments {
        // Seconds from here to the end of what is listed.
        let rest = || -> f64 {
            let later = media.segments.iter().filter(|s| s.sequence >= segment.sequence);
            later.map(|s| s.duration).sum()
        };
        let begins = |duration| {
            Some(GoingOn {
                opening: Some(segment.sequence),
                elapsed: Some(rest()),
                duration,
            })
        };
        for cue in &segment.cues {
            match cue {
                Cue::Out(duration) => open = begins(*duration),
                Cue::Continued { elapsed, duration } if open.is_none() => {
                    open = Some(GoingOn {
                        opening: None,
                        elapsed: elapsed.map(|e| e + rest()),
                        duration: *duration,
                    });
                }
                Cue::Continued { .. } => {}
                Cue::In => open = None,
                Cue::Scte35(Some(bytes)) => match Splice::parse(bytes).ok().and_then(|s| s.opens()) {
                    Some(true) if open.is_none() => open = begins(None),
                    Some(true) => {}
                    Some(false) => open = None,
                    None => {}
                },
                Cue::Scte35(None) => {}
            }
        }
    }
    open
}

fn open_break(case: &mut Case<'_>) {
    let state = super::remember::open_break(case);
    let Some(crate::state::OpenBreak { since, duration, .. }) = state else {
        return case.findings.skip(Check::X02, None, "no break is going on");
    };
    let grace = case.threshold(Check::X02, if duration.is_some() { 30.0 } else { 600.0 });
    let limit = duration.unwrap_or(0.0) + grace;
    let open = case.now().duration_since(since).as_secs_f64();
    let evidence = (open > limit).then(|| {
        wrong("an advertisement break does not end")
            .expected(format!("at most {}", seconds(limit)))
            .seen(seconds(open))
    });
    case.findings.judge(Check::X02, None, evidence);
}

fn heartbeat(case: &mut Case<'_>, cues: &[(String, Option<Vec<u8>>)]) {
    let limit = case.threshold(Check::X03, 0.0);
    let last = super::remember::last_cue(case, cues);
    if limit <= 0.0 {
        return case.findings.skip(Check::X03, None, "no cue is expected");
    }
    // A monitor that has just begun has heard nothing yet.
    let Some(last) = last else {
        return case.findings.skip(Check::X03, None, "nothing is remembered yet");
    };
    let ago = case.now().duration_since(last).as_secs_f64();
    let evidence = (ago > limit).then(|| {
        wrong("no cue came")
            .expected(format!("one within {}", seconds(limit)))
            .seen(seconds(ago))
    });
    case.findings.judge(Check::X03, None, evidence);
}

fn date_ranges(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions() {
        let Some(media) = rendition.media().filter(|m| !m.date_ranges.is_empty()) else {
            continue;
        };
        let mut evidence = None;
        for (at, range) in media.date_ranges.iter().enumerate() {
            // The same range may stand again with more attributes; what both have must agree.
            let clash = media.date_ranges[..at].iter().find(|o| {
                o.id == range.id
                    && [(o.start, range.start), (o.end, range.end)]
                        .iter()
                        .any(|(a, b)| a.is_some() && b.is_some() && a != b)
            });
            let end_before = range.start.zip(range.end).is_some_and(|(s, e)| e < s);
            let bare = range.end_on_next && range.class.is_none();
            evidence = match () {
                () if clash.is_some() => Some("stands twice with other dates"),
                () if end_before => Some("ends before it begins"),
                () if bare => Some("has END-ON-NEXT without CLASS"),
                () => None,
            };
            if let Some(what) = evidence {
                case.findings.fail(
                    Check::X04,
                    Some(n),
                    wrong(format!("a date range of {} {what}", rendition.label)).line(range.line),
                );
                break;
            }
        }
        if evidence.is_none() {
            let dated = media.segments.iter().any(|s| s.own_date.is_some());
            let evidence = (!dated).then(|| {
                wrong(format!(
                    "{} has date ranges and no program dates",
                    rendition.label
                ))
                .line(media.date_ranges[0].line)
            });
            case.findings.judge(Check::X04, Some(n), evidence);
        }
    }
}

/// Where a break begins or ends in one rendition with a discontinuity, it does so in all.
fn integrity(case: &mut Case<'_>) {
    let lists: Vec<(usize, &Media, &str)> = case
        .renditions()
        .filter_map(|(n, r)| Some((n, r.media()?, r.label.as_str())))
        .filter(|(n, ..)| super::manifest::is_continuous(case.snapshot.renditions[*n].kind))
        .collect();
    let boundaries = |m: &Media| -> Vec<(Option<jiff::Timestamp>, bool)> {
        let marked = m
            .segments
            .iter()
            .skip(1)
            .filter(|s| s.cues.iter().any(|c| matches!(c, Cue::Out(_) | Cue::In)));
        marked.map(|s| (s.program_date_time, s.discontinuity)).collect()
    };
    let Some((_, first, _)) = lists.iter().find(|(_, m, _)| boundaries(m).iter().any(|b| b.1)) else {
        return;
    };
    let wanted = boundaries(first);
    let bare = lists.iter().find(|(_, m, _)| {
        let found = boundaries(m);
        found.iter().enumerate().any(|(at, (date, marked))| {
            let same = match date {
                Some(date) => wanted.iter().find(|w| {
                    w.0.is_some_and(|d| d.duration_since(*date).as_secs_f64().abs() < 0.5)
                }),
                None => wanted.get(at).filter(|_| wanted.len() == found.len()),
            };
            same.is_some_and(|w| w.1 && !marked)
        })
    });
    match bare {
        Some((n, _, label)) => {
            let what = format!("a break in {label} is not marked by a discontinuity, as it is elsewhere");
            case.findings.fail(Check::X05, Some(*n), wrong(what));
        }
        None => case.findings.ok(Check::X05, None),
    }
}

fn periods(case: &mut Case<'_>, mpd: &drmwatch_media::dash::Mpd) {
    let slack = case.threshold(Check::X06, 0.1);
    let bare = mpd.periods.iter().find(|p| p.id.is_none() && mpd.dynamic);
    let apart = mpd.periods.windows(2).find_map(|pair| {
        let end = pair[0].start + pair[0].explicit_duration?;
        let jump = pair[1].start - end;
        (jump.abs() > slack).then_some((pair[1].line, jump))
    });
    let twice = mpd
        .periods
        .iter()
        .enumerate()
        .find(|(n, p)| p.id.is_some() && mpd.periods[..*n].iter().any(|o| o.id == p.id));
    let evidence = match (bare, apart, twice) {
        (Some(p), ..) => Some(wrong("a period of a dynamic MPD has no id").line(p.line)),
        (_, Some((line, jump)), _) => Some(
            wrong("a period does not begin where the one before it ends")
                .line(line)
                .seen(format!("{jump:+.3} s")),
        ),
        (_, _, Some((_, p))) => Some(wrong("two periods have the same id").line(p.line)),
        _ => None,
    };
    case.findings.judge(Check::X06, None, evidence);
}

/// A short hash of a cue.
pub(super) fn cue_hash(bytes: &[u8]) -> u32 {
    hash(&[bytes]) as u32
}
