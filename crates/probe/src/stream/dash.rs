//! DASH: which representations to look at, and where their segments are.

use super::{
    Gathered, Plan, choose,
    fetch::{Ask, Fetcher},
    segments::{self, Place, Wanted},
    signals,
};
use drmwatch_checks::model::{Alternative, Declared, Edge, Kind, Manifest, Rendition};
use drmwatch_media::dash::{
    self, AdaptationSet, Addressing, BaseUrl, DashError, Mpd, Period, Representation, SegmentRef,
};
use drmwatch_net::{Failure, Response};
use drmwatch_outcome::Reason;
use jiff::Timestamp;
use url::Url;

pub(super) fn parse(response: &Response) -> Result<Mpd, Failure> {
    dash::parse(&response.body).map_err(|error| {
        let reason = match error {
            DashError::Root { .. } | DashError::NotUtf8(_) => Reason::NotAManifest,
            DashError::Xml(_) => Reason::ManifestInvalid,
        };
        Failure::fail(reason, format!("the MPD of {}: {error}", response.host()))
    })
}

pub(super) async fn gather(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    gathered: &mut Gathered,
    mpd: Mpd,
    response: &Response,
) -> Result<(), Failure> {
    let now = gathered.at;
    let mut targets = Vec::new();
    if let Some(period) = mpd.current(now) {
        for (n, set) in period.sets.iter().enumerate() {
            for representation in &set.representations {
                gathered.variants += 1;
                let rendition = rendition(n, set, representation, &mpd, period, now, targets.len());
                let base = base(
                    gathered,
                    &response.url,
                    [
                        &mpd.base_urls,
                        &period.base_urls,
                        &set.base_urls,
                        &representation.base_urls,
                    ],
                );
                targets.push((rendition, base, representation, period));
            }
        }
    }
    gathered.listed = targets.len();
    let chosen = choose(targets, |t| t.0.kind, plan.turn);
    let count = chosen.len();
    let mut jobs = Vec::new();
    for (n, (mut rendition, base, representation, period)) in chosen.into_iter().enumerate() {
        let mut wanted = match &base {
            Some(base) if plan.segments && rendition.kind != Kind::TrickPlay => {
                wanted(gathered, base, representation, &mpd, period, now)
            }
            _ => Wanted::default(),
        };
        wanted.whole = plan.whole(n, count) && wanted.newest.as_ref().is_some_and(|p| p.range.is_none());
        wanted.canary = plan.canary;
        jobs.push(async move {
            let kept = segments::gather(fetcher, &mut rendition, wanted).await?;
            Ok::<_, Failure>((rendition, kept))
        });
    }
    gathered.all(jobs).await?;
    if plan.extras {
        locations(fetcher, gathered, &mpd, &response.url, now).await?;
    }
    gathered.manifest = Some(Manifest::Dash(mpd));
    Ok(())
}

fn kind(set: &AdaptationSet) -> Kind {
    let trick = |d: &dash::Descriptor| d.scheme.contains("trickmode") || d.scheme.contains("thumbnail_tile");
    match set.content_type.as_str() {
        _ if set.essential.iter().any(trick) => Kind::TrickPlay,
        "audio" => Kind::Audio,
        "text" => Kind::Text,
        "image" => Kind::TrickPlay,
        _ => Kind::Video,
    }
}

fn rendition(
    n: usize,
    set: &AdaptationSet,
    representation: &Representation,
    mpd: &Mpd,
    period: &Period,
    now: Timestamp,
    index: usize,
) -> Rendition {
    let kind = kind(set);
    let name = match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Text => "subtitles",
        Kind::TrickPlay => "trick play",
    };
    let timescale = match &representation.segments {
        Addressing::Template(template) => Some(template.timescale),
        _ => None,
    };
    Rendition {
        key: format!(
            "{}/{}",
            set.id.clone().unwrap_or_else(|| n.to_string()),
            representation.id
        ),
        label: format!(
            "{name} {} ({} kbit/s)",
            index + 1,
            representation.bandwidth / 1000
        ),
        kind,
        declared: Declared {
            bandwidth: representation.bandwidth,
            codecs: representation.codecs.clone(),
            size: representation.size,
            timescale,
            language: set.language.clone(),
            pathway: None,
        },
        edge: edge(representation, mpd, period, now),
        signals: signals::of_protection(set.protection.iter().chain(&representation.protection)),
        ..Rendition::default()
    }
}

fn edge(representation: &Representation, mpd: &Mpd, period: &Period, now: Timestamp) -> Option<Edge> {
    let (oldest, newest) = match representation.available(mpd, period, now) {
        Some(found) => found,
        // One resource has no edge; a list or template without a segment has one at nothing.
        None if matches!(representation.segments, Addressing::Single { .. }) => return None,
        None => return Some(Edge::default()),
    };
    let last = representation.segment(period, newest)?;
    let first = representation.segment(period, oldest)?;
    let clocked = matches!(&representation.segments, Addressing::Template(t) if t.timeline.is_none());
    Some(Edge {
        number: (last.end() * 1000.0).round() as u64,
        end: mpd.wall_clock(last.end()),
        position: Some(last.end()),
        duration: last.duration,
        longest: longest(representation).unwrap_or(last.duration),
        window: last.end() - first.start,
        count: newest.saturating_sub(oldest).saturating_add(1),
        clocked,
    })
}

/// Seconds of the longest segment of a timeline.
pub(super) fn longest(representation: &Representation) -> Option<f64> {
    let Addressing::Template(template) = &representation.segments else {
        return None;
    };
    let runs = template.timeline.iter().flat_map(|l| &l.runs);
    let longest = runs.map(|r| r.duration).max()?;
    Some(longest as f64 / template.timescale.max(1) as f64)
}

/// The first of the alternatives of each level, in turn.
fn base(gathered: &mut Gathered, document: &Url, levels: [&Vec<BaseUrl>; 4]) -> Option<Url> {
    let mut base = document.clone();
    for level in levels {
        if let Some(first) = level.iter().min_by_key(|b| b.priority) {
            base = gathered.resolve(&base, &first.url, first.line)?;
        }
    }
    Some(base)
}

fn place(gathered: &mut Gathered, mpd: &Mpd, base: &Url, found: &SegmentRef, line: usize) -> Option<Place> {
    let end = mpd.wall_clock(found.end()).filter(|_| mpd.dynamic);
    Some(Place {
        // availabilityTimeOffset lets a segment be fetched before it is whole.
        growing: end.is_some_and(|end| end > gathered.at),
        url: gathered.resolve(base, &found.url, line)?,
        range: None,
        number: (found.end() * 1000.0).round() as u64,
        duration: found.duration,
        time: Some(found.time),
        discontinuity: false,
        opaque: false,
    })
}

fn wanted(
    gathered: &mut Gathered,
    base: &Url,
    representation: &Representation,
    mpd: &Mpd,
    period: &Period,
    now: Timestamp,
) -> Wanted {
    let line = representation.line;
    let init = representation
        .init_url()
        .and_then(|uri| gathered.resolve(base, &uri, line))
        .map(|url| (url, None));
    if let Addressing::Single { init: range, index } = &representation.segments {
        // The whole representation is one file: its head is init segment, and perhaps index.
        let head = range.or(index.map(|(first, _)| (0, first.saturating_sub(1))));
        let range = head.map(|(first, last)| (first, last.saturating_sub(first).saturating_add(1)));
        let subtitles = matches!(
            representation.mime_type.as_deref(),
            Some("text/vtt" | "application/ttml+xml")
        );
        let init = (!subtitles).then(|| (base.clone(), range.or(Some((0, 64 << 10)))));
        let newest = subtitles.then(|| Place {
            url: base.clone(),
            range: None,
            number: 0,
            duration: 0.0,
            time: None,
            discontinuity: false,
            growing: false,
            opaque: false,
        });
        return Wanted {
            init,
            newest,
            ..Wanted::default()
        };
    }
    let available = representation.available(mpd, period, now);
    let mut at = |position: Option<u64>| {
        let found = representation.segment(period, position?)?;
        place(gathered, mpd, base, &found, line)
    };
    let (oldest, newest) = available.unzip();
    let second = newest
        .and_then(|n| n.checked_sub(1))
        .filter(|n| oldest.is_some_and(|o| *n >= o));
    Wanted {
        init,
        newest: at(newest),
        second: at(second),
        // The very oldest may leave while we ask for it.
        oldest: at(oldest
            .and_then(|o| o.checked_add(1))
            .filter(|o| mpd.dynamic && newest.is_some_and(|n| *o < n))),
        ..Wanted::default()
    }
}

/// The newest segment by each other base URL of the MPD: it is there, or it is not.
async fn locations(
    fetcher: &Fetcher<'_>,
    gathered: &mut Gathered,
    mpd: &Mpd,
    document: &Url,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some((period, set, representation)) = mpd.current(now).and_then(|p| {
        let set = p.sets.iter().find(|s| !s.representations.is_empty())?;
        Some((p, set, set.representations.first()?))
    }) else {
        return Ok(());
    };
    let alternatives = [&mpd.base_urls, &period.base_urls]
        .into_iter()
        .find(|l| l.len() > 1);
    let Some((_, newest)) = representation.available(mpd, period, now) else {
        return Ok(());
    };
    // The one before the newest: servers need not be in step to the second.
    let Some(found) = representation.segment(period, newest.saturating_sub(1)) else {
        return Ok(());
    };
    for (n, alternative) in alternatives.into_iter().flatten().enumerate().take(4) {
        let Some(first) = gathered.resolve(document, &alternative.url, alternative.line) else {
            continue;
        };
        let Some(base) = base(
            gathered,
            &first,
            [
                &Vec::new(),
                &Vec::new(),
                &set.base_urls,
                &representation.base_urls,
            ],
        ) else {
            continue;
        };
        let Some(place) = place(gathered, mpd, &base, &found, representation.line) else {
            continue;
        };
        let name = alternative
            .service_location
            .clone()
            .unwrap_or_else(|| format!("base URL {}", n + 1));
        let result = fetcher.get(&place.url, &Ask::head(0, 1)).await;
        let (newest, seconds) = match result {
            Ok(fetched) if fetched.response.status.is_success() => {
                (Ok(place.number), fetched.exchange.seconds)
            }
            Ok(fetched) => (
                Err(format!("it answered {}", fetched.response.status.as_u16())),
                fetched.exchange.seconds,
            ),
            Err(failure) => match segments::lost::<()>(failure)? {
                drmwatch_checks::model::Loaded::Failed(reason, _) => (Err(reason.to_string()), 0.0),
                _ => (Err("it can't be had".to_owned()), 0.0),
            },
        };
        gathered.active.locations.push(Alternative {
            name,
            newest,
            step: found.duration * 1000.0,
            seconds,
        });
    }
    Ok(())
}
