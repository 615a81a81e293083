//! What is kept of a look for the next one.

use super::{Case, ads, live_edge};
use crate::{
    Check,
    model::Rendition,
    state::{MAX_REMEMBERED, MpdState, OpenBreak, RenditionState, StreamState, hash},
};
use drmwatch_media::{dash::Mpd, hls::Media};
use jiff::{SignedDuration, Timestamp};

/// Most cues that are remembered.
const MAX_CUES: usize = 64;
/// The timeline's rate is taken anew after so many seconds.
const DRIFT_WINDOW: f64 = 3600.0;

pub(super) fn remember(case: &Case<'_>) -> StreamState {
    let mut state = StreamState {
        at: Some(case.now()),
        // A stream that ended for a while has no availability start: what is known stays.
        mpd: (case.snapshot.manifest.mpd())
            .filter(|m| m.dynamic)
            .map(mpd)
            .or(case.before.mpd.clone()),
        open_break: open_break(case),
        ..case.before.clone()
    };
    if !case.snapshot.active.tokens.is_empty() {
        let leak = case.findings.failures().any(|f| f.0 == Check::C13);
        state.tokens = Some((case.now(), leak));
    }
    let cues = ads::sections(case);
    state.last_cue = last_cue(case, &cues);
    state.cues = cues
        .iter()
        .filter_map(|(_, b)| b.as_deref())
        .take(MAX_CUES)
        .map(ads::cue_hash)
        .collect();
    // Of renditions that were not looked at in this run, what is known stays; what is gone goes.
    let whole = case.snapshot.renditions.len() >= case.snapshot.listed;
    if whole && !case.snapshot.renditions.is_empty() {
        state
            .renditions
            .retain(|key, _| case.snapshot.renditions.iter().any(|r| &r.key == key));
    }
    for (_, rendition) in case.renditions() {
        if let Some(new) = rendition_state(case, rendition) {
            state.renditions.insert(rendition.key.clone(), new);
        }
    }
    state
}

fn rendition_state(case: &Case<'_>, rendition: &Rendition) -> Option<RenditionState> {
    let edge = rendition.edge.as_ref().filter(|e| e.count > 0)?;
    let before = case.remembered(rendition);
    // An edge that went backwards for the first time may be a slow server's: what is known stays.
    if before.is_some_and(|b| edge.number < b.newest) && !case.second {
        return before.cloned();
    }
    let since = before
        .filter(|b| b.newest == edge.number)
        .map_or(case.at(rendition), |b| b.since);
    let lag = match before.filter(|b| b.newest == edge.number) {
        Some(known) => known.lag,
        None => live_edge::age(case, rendition, edge),
    };
    let media = rendition.media();
    let moved_on = before.is_none_or(|b| edge.number < b.newest);
    let drift = before
        .and_then(|b| b.drift)
        .filter(|(at, _)| !moved_on && case.now().duration_since(*at).as_secs_f64() < DRIFT_WINDOW);
    let init = rendition.init.found();
    Some(RenditionState {
        newest: edge.number,
        since,
        lag,
        oldest: media.map_or(0, |m| m.media_sequence),
        segments: media.map(segments).unwrap_or_default(),
        target: media.map_or(edge.duration, |m| m.target_duration),
        kind: media.and_then(|m| m.kind).map(|k| k.as_str().to_owned()),
        discontinuities: media.map_or((0, Vec::new()), |m| {
            let marked = m.segments.iter().filter(|s| s.discontinuity).map(|s| s.sequence);
            (m.discontinuity_sequence, marked.take(256).collect())
        }),
        init: init.map(|i| i.identity).or(before.and_then(|b| b.init)),
        drift: drift.or(edge.position.map(|p| (case.at(rendition), p))),
    })
}

/// Number, a hash of what must not change and one of the keys, of the newest segments.
pub(super) fn segments(media: &Media) -> Vec<(u64, u32, u32)> {
    let from = media.segments.len().saturating_sub(MAX_REMEMBERED);
    let of = media.segments[from..].iter().map(|s| {
        // Tokens in the query are renewed; the path is the segment.
        let path = s.uri.split(['?', '#']).next().unwrap_or(&s.uri);
        // A host may be another edge's.
        let path = path.split_once("://").map_or(path, |(_, rest)| {
            rest.split_once('/').map_or("", |(_, path)| path)
        });
        let range = s
            .byte_range
            .map_or(String::new(), |(start, length)| format!("{start}+{length}"));
        let duration = (s.duration * 1000.0).round().to_string();
        let keys: Vec<&[u8]> = s
            .keys
            .iter()
            .flat_map(|k| [k.method.as_bytes(), k.format.as_bytes()])
            .collect();
        let kids: Vec<&[u8]> = s
            .keys
            .iter()
            .filter_map(|k| Some(k.kid.as_ref()?.0.as_slice()))
            .collect();
        let identity = hash(&[path.as_bytes(), range.as_bytes(), duration.as_bytes()]) as u32;
        (s.sequence, identity, hash(&[keys, kids].concat()) as u32)
    });
    of.collect()
}

pub(super) fn mpd(mpd: &Mpd) -> MpdState {
    let millis = |seconds: f64| (seconds * 1000.0).round() as i64;
    MpdState {
        availability_start: mpd.availability_start,
        periods: mpd
            .periods
            .iter()
            .take(64)
            .map(|p| (p.id.clone(), millis(p.start)))
            .collect(),
        representations: mpd
            .periods
            .iter()
            .take(64)
            .filter_map(|p| {
                let ids = p
                    .sets
                    .iter()
                    .flat_map(|s| &s.representations)
                    .take(256)
                    .map(|r| r.id.clone());
                Some((p.id.clone()?, ids.collect()))
            })
            .collect(),
    }
}

/// The break that is going on. One that began with another segment than the one that is known is another:
/// two looks may fall into two breaks.
pub(super) fn open_break(case: &Case<'_>) -> Option<OpenBreak> {
    let now = case
        .renditions()
        .filter_map(|(_, r)| r.media())
        .find_map(ads::going_on)?;
    let by_playlist = now.elapsed.and_then(|seconds| {
        let elapsed = SignedDuration::try_from_secs_f64(seconds.clamp(0.0, 1e6)).ok()?;
        case.now().checked_sub(elapsed).ok()
    });
    let known = case.before.open_break.as_ref();
    let same = known.filter(|k| now.opening.is_none() || k.opening.is_none() || now.opening == k.opening);
    Some(match same {
        // What a playlist says of the beginning of a break whose opening it no longer lists is taken from
        // the tags that continue it; without them from when it was first seen.
        Some(known) => OpenBreak {
            since: by_playlist
                .filter(|_| now.opening.is_none())
                .unwrap_or(known.since),
            duration: known.duration.or(now.duration),
            opening: known.opening.or(now.opening),
        },
        None => OpenBreak {
            since: by_playlist.unwrap_or(case.now()),
            duration: now.duration,
            opening: now.opening,
        },
    })
}

/// When a cue that was not known was last seen; the beginning of monitoring, before there was one.
pub(super) fn last_cue(case: &Case<'_>, cues: &[(String, Option<Vec<u8>>)]) -> Option<Timestamp> {
    let new = cues
        .iter()
        .filter_map(|(_, b)| b.as_deref())
        .any(|b| !case.before.cues.contains(&ads::cue_hash(b)));
    match new {
        true => Some(case.now()),
        false => case.before.last_cue.or(case.before.at),
    }
}
