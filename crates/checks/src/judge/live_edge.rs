//! L: does the live edge move, forwards, at the right pace, and the same for everyone.

use super::{Case, manifest::is_continuous, seconds};
use crate::{
    Check, Severity,
    findings::wrong,
    model::{Edge, Kind, Loaded, Manifest, Rendition},
    state::RenditionState,
};
use drmwatch_media::{
    dash::{Addressing, Mpd},
    hls::PlaylistType,
};
use drmwatch_outcome::Reason;
use jiff::Timestamp;

/// Longest wait for a second look, seconds.
const LONGEST_WAIT: f64 = 15.0;

pub(super) fn judge(case: &mut Case<'_>) {
    end_state(case);
    if case.snapshot.live {
        movement(case);
        latency(case);
        rate(case);
        spread(case);
        headers(case);
        if case.is_hls() {
            history(case);
        }
        if let Some(mpd) = case.snapshot.manifest.mpd() {
            dash_edge(case, mpd);
            dash_rules(case, mpd);
        }
    }
    window(case);
    clock(case);
    smooth_timing(case);
}

/// What one look at the live edge means.
#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    Moves,
    LookAgain,
    Stale { age: f64 },
    Regressed,
}

/// A stream is stale only when it was *seen* not to move: an encoder whose clock is wrong writes old dates
/// on a perfectly live stream, and players do not care (section 6.3.4 speaks of change, not of dates). So
/// the age alone convicts nobody.
fn look(
    edge: &Edge,
    age: Option<f64>,
    limit: f64,
    before: Option<&RenditionState>,
    now: Timestamp,
) -> Verdict {
    let old = age.is_some_and(|age| age > limit);
    match before {
        Some(state) if edge.number < state.newest => Verdict::Regressed,
        Some(state) if edge.number == state.newest => {
            let stood = now.duration_since(state.since).as_secs_f64();
            match () {
                () if stood > limit => Verdict::Stale {
                    age: age.unwrap_or(stood).max(stood),
                },
                // Old by its dates, and seen not to move for long enough that a segment was due.
                () if old && stood >= 1.4 * edge.duration.min(10.0) => Verdict::Stale {
                    age: age.unwrap_or(stood).max(stood),
                },
                () if old => Verdict::LookAgain,
                () => Verdict::Moves,
            }
        }
        // It moved since the last look, but may have stopped since then: its dates are older than they
        // were, by more than looking at another moment of a segment explains.
        Some(state) if old && late(edge, age, state) => Verdict::LookAgain,
        Some(_) => Verdict::Moves,
        None if old => Verdict::LookAgain,
        None => Verdict::Moves,
    }
}

/// Seconds since the live edge was made: by its own dates, or where it has none, by the headers of its playlist.
/// These are without fractions, so they make it older than it is by up to a second.
pub(super) fn age(case: &Case<'_>, rendition: &Rendition, edge: &Edge) -> Option<f64> {
    let by_headers = || modified_ago(case, rendition).filter(|_| case.settings.wants(Check::L11));
    match edge.end {
        Some(end) => Some(case.at(rendition).duration_since(end).as_secs_f64()),
        None => by_headers().map(|apart| apart - 1.0),
    }
}

/// Seconds from Last-Modified to Date.
fn modified_ago(case: &Case<'_>, rendition: &Rendition) -> Option<f64> {
    let exchange = rendition.exchange.as_ref().unwrap_or(&case.snapshot.entry);
    let (date, modified) = (exchange.date("date")?, exchange.date("last-modified")?);
    Some(date.duration_since(modified).as_secs_f64())
}

/// Whether the edge is older now than it was when it last moved.
fn late(edge: &Edge, age: Option<f64>, before: &RenditionState) -> bool {
    let was = before.lag.zip(age);
    was.is_some_and(|(was, age)| age > was + edge.longest.max(edge.duration) + 1.0)
}

/// The check that speaks of an edge that stands still, and after how many seconds.
fn patience(case: &Case<'_>, edge: &Edge) -> (Check, f64) {
    let unit = edge.duration.max(1.0);
    if case.is_hls() {
        let limit = case.threshold(Check::L01, 3.0 * unit + edge.longest);
        return (Check::L01, limit);
    }
    let mpd = case.snapshot.manifest.mpd();
    let delay = mpd.and_then(|mpd| mpd.suggested_delay).unwrap_or(0.0);
    let limit = case.threshold(Check::L19, (3.0 * unit).max(delay) + edge.longest);
    (Check::L19, limit)
}

fn movement(case: &mut Case<'_>) {
    for (n, rendition, edge) in case.edges() {
        let (check, limit) = patience(case, edge);
        if !is_continuous(rendition.kind) {
            case.findings
                .skip(check, Some(n), "subtitles and trick play may be sparse");
            continue;
        }
        if edge.clocked {
            case.findings.skip(
                check,
                Some(n),
                "its segments follow from the clock: S01 tells whether they are there",
            );
            continue;
        }
        let before = case.remembered(rendition);
        let verdict = look(
            edge,
            age(case, rendition, edge),
            limit,
            before,
            case.at(rendition),
        );
        let mut again = None;
        match verdict {
            Verdict::Moves => {
                case.findings.ok(check, Some(n));
                case.findings.ok(Check::L02, Some(n));
            }
            Verdict::Stale { age } => {
                case.stuck.push(n);
                let evidence = wrong(format!("the live edge of {} stands still", rendition.label))
                    .expected(format!("a segment newer than {}", seconds(limit)))
                    .seen(format!("{}, number {}", seconds(age), edge.number));
                case.findings.fail(check, Some(n), evidence);
                case.findings.skip(Check::L02, Some(n), "the edge stands still");
            }
            Verdict::Regressed if case.second => {
                case.stuck.push(n);
                let was = before.map(|b| b.newest).unwrap_or_default();
                let evidence = wrong(format!("the live edge of {} went backwards", rendition.label))
                    .expected(format!("at least {was}"))
                    .seen(edge.number.to_string());
                case.findings.fail(Check::L02, Some(n), evidence);
                case.findings.skip(check, Some(n), "the edge went backwards");
            }
            // One server of a CDN may be a step behind another.
            Verdict::Regressed => {
                again = Some(1.0);
                case.anew = true;
            }
            Verdict::LookAgain if case.second => {
                case.findings.skip(
                    check,
                    Some(n),
                    "old by its dates, and not yet seen for long enough",
                );
            }
            Verdict::LookAgain => again = Some((1.5 * edge.duration.clamp(1.0, 60.0)).min(LONGEST_WAIT)),
        }
        if let Some(wait) = again {
            case.stuck.push(n);
            case.findings.skip(check, Some(n), "a second look tells");
            case.again = Some(case.again.map_or(wait, |w: f64| w.max(wait)));
        }
    }
}

/// L03 to L06: what must not change in a media playlist.
fn history(case: &mut Case<'_>) {
    for (n, rendition) in case.renditions() {
        let (Some(media), Some(before)) = (rendition.media(), case.remembered(rendition)) else {
            for check in [Check::L03, Check::L04, Check::L06] {
                case.findings.skip(check, Some(n), "nothing is remembered yet");
            }
            continue;
        };
        if case.stuck.contains(&n) && media.newest() < Some(before.newest) {
            for check in [Check::L03, Check::L04, Check::L06] {
                case.findings.skip(check, Some(n), "the edge went backwards");
            }
            continue;
        }
        let now = super::remember::segments(media);
        let known = |number: u64| before.segments.iter().find(|s| s.0 == number);
        let mutated = now.iter().find(|s| known(s.0).is_some_and(|old| old.1 != s.1));
        let evidence = mutated.map(|s| {
            let line = media
                .segments
                .iter()
                .find(|m| m.sequence == s.0)
                .map_or(1, |m| m.line);
            wrong(format!(
                "segment {} of {} is another than it was",
                s.0, rendition.label
            ))
            .line(line)
            .expected("the same path, byte range and duration")
        });
        case.findings.judge(Check::L03, Some(n), evidence);

        let kind = media.kind.map(PlaylistType::as_str);
        let lost = media.kind == Some(PlaylistType::Event) && media.media_sequence > before.oldest;
        let evidence = if (media.target_duration - before.target).abs() > f64::EPSILON {
            let what = wrong(format!("the target duration of {} changed", rendition.label));
            Some(
                what.expected(seconds(before.target))
                    .seen(seconds(media.target_duration)),
            )
        } else if kind != before.kind.as_deref()
            && !(before.kind.as_deref() == Some(PlaylistType::Event.as_str()) && media.end_list)
        {
            Some(wrong(format!("the playlist type of {} changed", rendition.label)))
        } else {
            lost.then(|| wrong(format!("the EVENT playlist of {} lost segments", rendition.label)))
        };
        case.findings.judge(Check::L04, Some(n), evidence);

        let (sequence, ref marked) = before.discontinuities;
        let first = media.segments.first();
        let evidence = first.filter(|s| s.sequence <= before.newest).and_then(|first| {
            // A discontinuity counts as removed with its tag: with its segment, or when that becomes the first.
            let removed = marked.iter().filter(|m| **m < first.sequence).count() as u64;
            let bare = u64::from(marked.contains(&first.sequence) && !first.discontinuity);
            let found = media.discontinuity_sequence;
            let least = sequence.saturating_add(removed);
            let right = (least..=least.saturating_add(bare)).contains(&found);
            (!right).then(|| {
                wrong(format!(
                    "the discontinuity sequence of {} is wrong",
                    rendition.label
                ))
                .expected(least.to_string())
                .seen(found.to_string())
            })
        });
        match marked.is_empty() && sequence == media.discontinuity_sequence {
            true => case.findings.ok(Check::L06, Some(n)),
            false => case.findings.judge(Check::L06, Some(n), evidence),
        }
    }
}

fn window(case: &mut Case<'_>) {
    for (n, rendition, edge) in case.edges() {
        if let Some(why) = case.unreadable(rendition) {
            case.findings.skip(Check::L05, Some(n), why);
            continue;
        }
        if edge.count == 0 {
            let what = format!("the manifest lists no segment of {}", rendition.label);
            case.findings
                .fail(Check::L05, Some(n), wrong(what).reason(Reason::NoSegments));
            continue;
        }
        let Some(media) = rendition.media().filter(|m| case.snapshot.live && m.is_live()) else {
            case.findings.ok(Check::L05, Some(n));
            continue;
        };
        let least = case.threshold(Check::L05, 3.0) * media.target_duration;
        // A stream that has just begun has removed nothing yet.
        let begun = media.media_sequence == 0 || media.kind == Some(PlaylistType::Event);
        let short = |severity| {
            wrong(format!("the playlist of {} is short", rendition.label))
                .expected(format!("at least {} and six segments", seconds(least)))
                .seen(format!("{}, {} segments", seconds(edge.window), edge.count))
                .severity(severity)
        };
        // The rule speaks of what is left behind a removal: durations are rounded, hence half a target.
        let evidence = if begun || !is_continuous(rendition.kind) {
            None
        } else if edge.window < least - media.target_duration / 2.0 {
            Some(short(Severity::Page))
        } else {
            (edge.count < 3)
                .then(|| short(Severity::Ticket))
                .or((edge.count < 6 && edge.window < least).then(|| short(Severity::Warning)))
        };
        case.findings.judge(Check::L05, Some(n), evidence);
    }
    if case.snapshot.renditions.iter().all(|r| r.edge.is_none()) && !case.snapshot.renditions.is_empty() {
        let readable = case.renditions().all(|(_, r)| {
            !matches!(r.playlist, Loaded::Failed(..)) && !matches!(r.bootstrap, Loaded::Failed(..))
        });
        let single = case.snapshot.manifest.mpd().is_some_and(|mpd| !mpd.dynamic);
        if readable && !single {
            let evidence = wrong("the manifest lists no segment").reason(Reason::NoSegments);
            case.findings.fail(Check::L05, None, evidence);
        }
    }
}

fn end_state(case: &mut Case<'_>) {
    let evidence = match (case.snapshot.live, case.settings.expect.live) {
        (false, Some(true)) => Some(wrong("the stream must be live and has ended, or is on-demand")),
        (true, Some(false)) => {
            Some(wrong("the stream must be on-demand and is live").reason(Reason::ExpectationFailed))
        }
        _ => None,
    };
    case.findings.judge(Check::L07, None, evidence);
}

fn latency(case: &mut Case<'_>) {
    if let Some(offset) = clocks_differ(case) {
        return case.findings.skip(
            Check::L08,
            None,
            format!("our clock and the server's differ by {offset:.0} s: which is right can't be told"),
        );
    }
    for (n, rendition, edge) in case.edges() {
        if !is_continuous(rendition.kind) {
            continue;
        }
        let (Some(end), true) = (edge.end, case.is_hls()) else {
            if case.is_hls() {
                case.findings
                    .skip(Check::L08, Some(n), "there are no program dates");
            }
            continue;
        };
        if case.stuck.contains(&n) {
            case.findings
                .skip(Check::L08, Some(n), "the edge stands still or went backwards");
            continue;
        }
        let late = case.at(rendition).duration_since(end).as_secs_f64();
        let limit = case.threshold(Check::L08, 6.0 * edge.duration.max(1.0));
        let evidence = (late > limit || late < -edge.duration.max(1.0)).then(|| {
            wrong(format!(
                "the newest segment of {} is dated wrongly, or late",
                rendition.label
            ))
            .expected(format!("an end at most {} ago", seconds(limit)))
            .seen(format!("{} ago", seconds(late)))
        });
        case.findings.judge(Check::L08, Some(n), evidence);
    }
}

fn rate(case: &mut Case<'_>) {
    for (n, rendition, edge) in case.edges() {
        let drift = case.remembered(rendition).and_then(|b| b.drift);
        let (Some((from, at)), Some(position), false) = (drift, edge.position, edge.clocked) else {
            case.findings
                .skip(Check::L09, Some(n), "its timeline was not seen for long enough");
            continue;
        };
        let wall = case.at(rendition).duration_since(from).as_secs_f64();
        if wall < 600.0 || case.stuck.contains(&n) {
            case.findings
                .skip(Check::L09, Some(n), "its timeline was not seen for long enough");
            continue;
        }
        let allowed = case.threshold(Check::L09, 1.0) / 100.0;
        // The edge moves by whole segments, at either end of what was seen.
        let slack = 2.0 * edge.longest.max(edge.duration) / wall;
        let rate = (position - at) / wall;
        let evidence = ((rate - 1.0).abs() > allowed + slack).then(|| {
            wrong(format!(
                "the timeline of {} does not keep pace with the clock",
                rendition.label
            ))
            .expected(format!("within {:.0} %", allowed * 100.0))
            .seen(format!("{:+.1} %", (rate - 1.0) * 100.0))
        });
        case.findings.judge(Check::L09, Some(n), evidence);
    }
}

fn spread(case: &mut Case<'_>) {
    let found: Vec<_> = case
        .snapshot
        .active
        .addresses
        .iter()
        .filter_map(|a| Some((a, *a.newest.as_ref().ok()?)))
        .collect();
    if found.len() < 2 {
        return case
            .findings
            .skip(Check::L10, None, "one address, or not in this run");
    }
    let limit = case.threshold(Check::L10, 2.0);
    let (least, most) = (found.iter().min_by_key(|f| f.1), found.iter().max_by_key(|f| f.1));
    let evidence = least.zip(most).and_then(|(least, most)| {
        let apart = most.1.saturating_sub(least.1) as f64 / least.0.step.max(f64::MIN_POSITIVE);
        (apart > limit).then(|| {
            wrong(format!(
                "{} serves another live edge than {}",
                least.0.name, most.0.name
            ))
            .expected(format!("at most {limit:.0} segments apart"))
            .seen(format!("{apart:.0}"))
        })
    });
    case.findings.judge(Check::L10, None, evidence);
}

/// Seconds between our clock and that of the server, where that is much: a runner whose clock is wrong must
/// not raise an alarm about a stream's dates.
fn clocks_differ(case: &Case<'_>) -> Option<f64> {
    let entry = &case.snapshot.entry;
    let age = entry
        .header("age")
        .and_then(|a| a.parse::<f64>().ok())
        .unwrap_or(0.0);
    let theirs = entry.date("date")?;
    let offset = case.now().duration_since(theirs).as_secs_f64() - age;
    (offset.abs() > 10.0).then_some(offset)
}

fn headers(case: &mut Case<'_>) {
    for (n, rendition, edge) in case.edges() {
        let Some(apart) = modified_ago(case, rendition) else {
            case.findings
                .skip(Check::L11, Some(n), "there is no Date or no Last-Modified");
            continue;
        };
        if case.stuck.contains(&n) || edge.clocked || !is_continuous(rendition.kind) {
            case.findings.skip(Check::L11, Some(n), "the edge itself tells");
            continue;
        }
        // Behind the limit of L01 or L19, and a second for dates without fractions: of a stream that stands still
        // the edge itself speaks first.
        let limit = case.threshold(Check::L11, patience(case, edge).1 + 1.0);
        let evidence = (apart > limit).then(|| {
            wrong(format!(
                "the playlist of {} was last modified long ago, by its headers",
                rendition.label
            ))
            .expected(format!("at most {}", seconds(limit)))
            .seen(seconds(apart))
        });
        case.findings.judge(Check::L11, Some(n), evidence);
    }
}

fn dash_edge(case: &mut Case<'_>, mpd: &Mpd) {
    if let Some(offset) = clocks_differ(case) {
        return case.findings.skip(
            Check::L17,
            None,
            format!("our clock and the server's differ by {offset:.0} s: which is right can't be told"),
        );
    }
    for (n, rendition, edge) in case.edges() {
        if edge.clocked || case.stuck.contains(&n) || !is_continuous(rendition.kind) {
            case.findings.skip(
                Check::L17,
                Some(n),
                "the edge stands still, or follows from the clock",
            );
            continue;
        }
        let Some(end) = edge.end else { continue };
        let offset = mpd
            .periods
            .iter()
            .flat_map(|p| &p.sets)
            .flat_map(|s| &s.representations)
            .filter_map(|r| match &r.segments {
                Addressing::Template(t) if t.availability_offset.is_finite() => Some(t.availability_offset),
                _ => None,
            });
        let ahead = offset.fold(0.0, f64::max);
        let late = case.at(rendition).duration_since(end).as_secs_f64();
        let delay = mpd.suggested_delay.unwrap_or(0.0);
        let depth = mpd.time_shift_buffer_depth.unwrap_or(f64::INFINITY) / 2.0;
        let behind = case.threshold(
            Check::L17,
            depth.max(delay).max(4.0 * edge.longest.max(edge.duration)),
        );
        let evidence = (late > behind || late < -(edge.longest.max(edge.duration) + ahead)).then(|| {
            wrong(format!(
                "the newest segment of {} is not where clients look for it",
                rendition.label
            ))
            .expected(format!("an end at most {} ago and not ahead", seconds(behind)))
            .seen(if late < 0.0 {
                format!("{} ahead", seconds(-late))
            } else {
                format!("{} ago", seconds(late))
            })
        });
        case.findings.judge(Check::L17, Some(n), evidence);
    }
}

fn dash_rules(case: &mut Case<'_>, mpd: &Mpd) {
    // L18.
    for (n, rendition) in case.renditions() {
        if case.stuck.contains(&n) {
            case.findings
                .skip(Check::L18, Some(n), "the edge stands still or went backwards");
            continue;
        }
        match &rendition.oldest {
            Loaded::Found(_) => case.findings.ok(Check::L18, Some(n)),
            Loaded::Failed(reason, message) => {
                case.findings
                    .fail(Check::L18, Some(n), wrong(message.clone()).reason(*reason));
            }
            other => case.findings.skip(Check::L18, Some(n), other.why()),
        }
    }
    // L20.
    match &case.before.mpd {
        None => case.findings.skip(Check::L20, None, "nothing is remembered yet"),
        Some(before) => {
            let now = super::remember::mpd(mpd);
            let evidence = if before.availability_start != now.availability_start {
                Some(wrong("availabilityStartTime changed"))
            } else {
                let moved = now.periods.iter().find(|(id, start)| {
                    id.is_some()
                        && before
                            .periods
                            .iter()
                            .any(|(b, s)| b == id && s.abs_diff(*start) > 1)
                });
                let renamed = now.representations.iter().find(|(period, ids)| {
                    before
                        .representations
                        .iter()
                        .any(|(b, old)| b == period && old != ids)
                });
                match (moved, renamed) {
                    (Some(_), _) => Some(wrong("a period that was there begins at another time")),
                    (_, Some(_)) => Some(wrong(
                        "the representations of a period that was there have other ids",
                    )),
                    (None, None) => None,
                }
            };
            case.findings.judge(Check::L20, None, evidence);
        }
    }
    // L21.
    let longest = case
        .edges()
        .map(|(_, _, e)| e.longest.max(e.duration))
        .fold(0.0, f64::max);
    let (delay, depth) = (mpd.suggested_delay, mpd.time_shift_buffer_depth);
    let least = case.threshold(Check::L21, 3.0);
    let evidence = match (delay, depth) {
        (Some(delay), Some(depth)) if delay >= depth => {
            let what = wrong("suggestedPresentationDelay must be below timeShiftBufferDepth").line(1);
            Some(
                what.expected(format!("below {}", seconds(depth)))
                    .seen(seconds(delay)),
            )
        }
        (_, Some(depth)) if longest > 0.0 && depth < least * longest - longest / 2.0 => {
            let what = wrong("timeShiftBufferDepth is short").line(1);
            Some(
                what.expected(format!("at least {least:.0} segments"))
                    .seen(seconds(depth)),
            )
        }
        _ => None,
    };
    case.findings.judge(Check::L21, None, evidence);
}

fn clock(case: &mut Case<'_>) {
    let longest = case
        .edges()
        .map(|(_, _, e)| e.duration)
        .fold(0.0, f64::max)
        .max(1.0);
    match &case.snapshot.active.clock {
        None => {}
        Some(Err(message)) => {
            case.findings.fail(
                Check::L16,
                None,
                wrong(message.clone()).severity(Severity::Ticket),
            );
        }
        Some(Ok(offset)) => {
            let limit = case.threshold(Check::L16, longest);
            let evidence = (offset.abs() > limit).then(|| {
                wrong("the clock of UTCTiming is wrong")
                    .expected(format!("within {}", seconds(limit)))
                    .seen(format!("{offset:+.1} s"))
            });
            case.findings.judge(Check::L16, None, evidence);
        }
    }
}

fn smooth_timing(case: &mut Case<'_>) {
    let Manifest::Smooth(manifest) = &case.snapshot.manifest else {
        return;
    };
    for (n, rendition) in case.renditions() {
        let Some(segment) = rendition.newest.found() else {
            case.findings.skip(Check::L23, Some(n), rendition.newest.why());
            continue;
        };
        let Some(Ok(head)) = &segment.head else { continue };
        let Some(fragment) = head.fragments.first() else {
            continue;
        };
        let time = fragment.smooth_time.map(|t| t.0).or(fragment.decode_time);
        let evidence = match (time, segment.time) {
            (Some(time), Some(wanted)) if time != wanted => {
                let what = format!(
                    "the newest fragment of {} has another time than its URL",
                    rendition.label
                );
                Some(wrong(what).expected(wanted.to_string()).seen(time.to_string()))
            }
            _ if manifest.live && fragment.smooth_time.is_none() => Some(wrong(format!(
                "a live fragment of {} has no tfxd",
                rendition.label
            ))),
            _ => match (
                manifest.live.then_some(manifest.look_ahead).flatten(),
                &fragment.smooth_next,
            ) {
                (Some(ahead), next) if ahead > 0 && next.as_ref().is_none_or(Vec::is_empty) => {
                    let what = wrong(format!(
                        "a live fragment of {} does not announce what follows",
                        rendition.label
                    ));
                    Some(what.expected(format!("up to {ahead} in tfrf")))
                }
                _ => None,
            },
        };
        case.findings.judge(Check::L23, Some(n), evidence);
    }
}

/// Where audio ends beside video.
pub(super) struct Ends<'a> {
    pub video: (usize, &'a Rendition),
    pub audio: (usize, &'a Rendition),
    /// Seconds by which audio ends after video.
    pub apart: f64,
    /// Their longest segment, seconds.
    pub longest: f64,
    /// Beyond so many seconds players can't start: R03.
    pub unplayable: f64,
}

/// The ends of video and audio, where both are known.
pub(super) fn ends<'a>(case: &Case<'a>) -> Option<Ends<'a>> {
    let end = |kind: Kind| {
        case.edges()
            .filter(|(_, r, e)| r.kind == kind && !e.clocked)
            .find_map(|(n, r, e)| {
                // Dates where there are any; the timeline where the format has one for all.
                let at = e.end.map(|t| t.as_millisecond() as f64 / 1000.0);
                let at = at.or(e.position.filter(|_| !case.is_hls()));
                Some(((n, r), at?, e.longest.max(e.duration)))
            })
    };
    let ((video, end_of_video, a), (audio, end_of_audio, b)) = (end(Kind::Video)?, end(Kind::Audio)?);
    let longest = a.max(b);
    Some(Ends {
        video,
        audio,
        apart: end_of_audio - end_of_video,
        longest,
        unplayable: case.threshold(Check::R03, 3.0 * longest),
    })
}
