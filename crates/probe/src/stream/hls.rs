//! HLS: which playlists to look at, and what they say.

use super::{
    Gathered, Plan, choose,
    fetch::{Ask, Fetcher},
    segments::{self, Kept, Place, Wanted, lost},
    signals,
};
use drmwatch_checks::{
    model::{Alternative, Declared, Edge, Kind, Loaded, Manifest, Rendition},
    state::hash,
};
use drmwatch_media::hls::{self, Document, HlsError, Media, Multivariant, Playlist, Surroundings, Variant};
use drmwatch_net::{Failure, Response};
use drmwatch_outcome::Reason;
use std::collections::BTreeMap;
use tokio::time::Instant;
use url::Url;

pub(super) fn parse(
    response: &Response,
    imports: Option<&BTreeMap<String, String>>,
) -> Result<Document, Failure> {
    let around = Surroundings {
        imports,
        query: response.url.query(),
    };
    hls::parse_in(&response.body, around).map_err(|error| {
        let reason = match error {
            HlsError::NoHeader | HlsError::NotUtf8(_) => Reason::NotAManifest,
            HlsError::TooLong => Reason::ManifestInvalid,
        };
        Failure::fail(reason, format!("the playlist of {}: {error}", response.host()))
    })
}

/// A playlist to fetch.
struct Target {
    url: Url,
    rendition: Rendition,
    whole: bool,
}

pub(super) async fn gather(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    gathered: &mut Gathered,
    document: Document,
    response: &Response,
) -> Result<(), Failure> {
    let variables = document.variables.clone();
    let mut targets = Vec::new();
    let mut locations = Vec::new();
    match &document.playlist {
        Playlist::Media(_) => {
            let kind = Kind::Video;
            let rendition = named(&response.url, kind, "the playlist".into(), Declared::default());
            gathered.listed = 1;
            let rendition = loaded(rendition, Loaded::Found(document.clone()));
            gathered.urls.insert(rendition.key.clone(), response.url.clone());
            let (rendition, kept) = finish(fetcher, plan, rendition, &response.url, plan.whole(0, 1)).await?;
            gathered.add(rendition, kept);
        }
        Playlist::Multivariant(list) => {
            gathered.variants = list.variants.len() as u32;
            (targets, locations) = select(gathered, list, &response.url);
        }
    }
    gathered.listed = gathered.listed.max(targets.len());
    let chosen = choose(targets, |t| t.rendition.kind, plan.turn);
    let count = chosen.len();
    let jobs = chosen.into_iter().enumerate().map(|(n, mut target)| {
        target.whole = plan.whole(n, count);
        playlist(fetcher, plan, target, &variables)
    });
    gathered.all(jobs).await?;
    if plan.extras {
        for (name, url) in locations {
            let found = location(fetcher, name, &url, &variables).await?;
            gathered.active.locations.push(found);
        }
        if !gathered.active.locations.is_empty() {
            gathered.active.locations.extend(primary(&gathered.renditions));
        }
    }
    gathered.manifest = Some(Manifest::Hls(document));
    Ok(())
}

fn named(url: &Url, kind: Kind, label: String, declared: Declared) -> Rendition {
    let key = format!("{:016x}", hash(&[url.path().as_bytes()]));
    Rendition {
        key,
        label,
        kind,
        declared,
        ..Rendition::default()
    }
}

/// The playlists of the first pathway, and one of each other pathway, duplicates of a variant included.
fn select(gathered: &mut Gathered, list: &Multivariant, base: &Url) -> (Vec<Target>, Vec<(String, Url)>) {
    let (mut targets, mut locations): (Vec<Target>, Vec<(String, Url)>) = (Vec::new(), Vec::new());
    let first = list.steering.as_ref().and_then(|s| s.pathway.clone());
    let first = first.unwrap_or_else(|| list.variants.first().map_or(".".into(), |v| v.pathway.clone()));
    let mut seen: Vec<&Variant> = Vec::new();
    let mut pathways: Vec<&str> = Vec::new();
    let mut add = |targets: &mut Vec<Target>, uri: &str, line, kind, label: String, declared| {
        let Some(url) = gathered.resolve(base, uri, line) else {
            return;
        };
        if !targets.iter().any(|t: &Target| t.url == url) {
            let mut rendition = named(&url, kind, label, declared);
            // Rungs that differ in their query alone: tokens change, the order does not.
            let twins = targets.iter().filter(|t| t.url.path() == url.path()).count();
            if twins > 0 {
                rendition.key = format!("{}-{twins}", rendition.key);
            }
            gathered.urls.insert(rendition.key.clone(), url.clone());
            targets.push(Target {
                url,
                rendition,
                whole: false,
            });
        }
    };
    for variant in &list.variants {
        let sounds = |c: &String| c.starts_with("mp4a") || c.starts_with("ac-3") || c.starts_with("ec-3");
        let audio =
            !variant.codecs.is_empty() && variant.codecs.iter().all(sounds) && variant.resolution.is_none();
        let (kind, name) = if audio {
            (Kind::Audio, "audio")
        } else {
            (Kind::Video, "video")
        };
        // The same rung again: Apple's older way to give a backup (A 10.2).
        let same = |o: &&Variant| {
            (o.bandwidth, &o.codecs, o.resolution, &o.audio)
                == (
                    variant.bandwidth,
                    &variant.codecs,
                    variant.resolution,
                    &variant.audio,
                )
        };
        let other = variant.pathway != first;
        if other || seen.iter().any(same) {
            let name = if other {
                format!("pathway {}", variant.pathway)
            } else {
                "the duplicate variant".into()
            };
            if !pathways.contains(&variant.pathway.as_str()) || !other {
                pathways.push(&variant.pathway);
                locations.extend(base.join(&variant.uri).ok().map(|url| (name, url)));
            }
            continue;
        }
        seen.push(variant);
        let declared = Declared {
            bandwidth: variant.bandwidth,
            codecs: variant.codecs.clone(),
            size: variant.resolution.map(|(w, h)| (u64::from(w), u64::from(h))),
            pathway: Some(variant.pathway.clone()),
            ..Declared::default()
        };
        let label = format!("{name} {} ({} kbit/s)", seen.len(), variant.bandwidth / 1000);
        add(&mut targets, &variant.uri, variant.line, kind, label, declared);
    }
    for (n, rendition) in list.renditions.iter().enumerate() {
        let Some(uri) = &rendition.uri else { continue };
        let (kind, name) = match rendition.kind.as_str() {
            "AUDIO" => (Kind::Audio, "audio"),
            "SUBTITLES" => (Kind::Text, "subtitles"),
            _ => (Kind::Video, "video"),
        };
        let language = rendition.language.clone();
        let label = format!(
            "{name} {}",
            language.clone().unwrap_or_else(|| (n + 1).to_string())
        );
        add(
            &mut targets,
            uri,
            rendition.line,
            kind,
            label,
            Declared {
                language,
                ..Declared::default()
            },
        );
    }
    for variant in list.i_frames.iter().filter(|v| v.pathway == first).take(1) {
        let declared = Declared {
            bandwidth: variant.bandwidth,
            ..Declared::default()
        };
        add(
            &mut targets,
            &variant.uri,
            variant.line,
            Kind::TrickPlay,
            "the I-frames".into(),
            declared,
        );
    }
    locations.truncate(4);
    (targets, locations)
}

async fn playlist(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    target: Target,
    variables: &BTreeMap<String, String>,
) -> Result<(Rendition, Kept), Failure> {
    let mut rendition = target.rendition;
    match fetcher.document(&target.url, Ask::manifest()).await {
        Ok(fetched) => {
            rendition.exchange = Some(fetched.exchange);
            let found = match parse(&fetched.response, Some(variables)) {
                Ok(document) => Loaded::Found(document),
                Err(failure) => lost(failure)?,
            };
            finish(
                fetcher,
                plan,
                loaded(rendition, found),
                &fetched.response.url,
                target.whole,
            )
            .await
        }
        Err(failure) => {
            rendition.playlist = lost(failure)?;
            Ok((rendition, Kept::default()))
        }
    }
}

fn loaded(mut rendition: Rendition, found: Loaded<Document>) -> Rendition {
    rendition.playlist = found;
    let read = rendition.media().map(|media| {
        let last = media.segments.iter().rev().find(|s| !s.gap);
        (
            last.map(|s| signals::of_keys(&s.keys)).unwrap_or_default(),
            edge(media),
        )
    });
    if let Some((signals, edge)) = read {
        (rendition.signals, rendition.edge) = (signals, Some(edge));
    }
    rendition
}

fn edge(media: &Media) -> Edge {
    let position = media.segments.first().map(|_| 0.0);
    Edge {
        number: media.newest().unwrap_or(0),
        end: media.live_edge(),
        // Media sequence numbers are the only timeline that stays: position is what was ever appended.
        position: position
            .and(media.live_edge())
            .map(|at| at.as_millisecond() as f64 / 1000.0),
        duration: media.target_duration,
        longest: media.longest_segment(),
        window: media.window(),
        count: media.segments.len() as u64,
        clocked: false,
    }
}

/// Init and media segments of a playlist.
async fn finish(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    mut rendition: Rendition,
    base: &Url,
    whole: bool,
) -> Result<(Rendition, Kept), Failure> {
    let Some(media) = rendition.media() else {
        return Ok((rendition, Kept::default()));
    };
    let mut there = media.segments.iter().rev().filter(|s| !s.gap);
    let (newest, second) = (there.next(), there.next());
    let place = |segment: Option<&hls::Segment>| {
        let segment = segment?;
        Some(Place {
            url: base.join(&segment.uri).ok()?,
            range: segment.byte_range,
            number: segment.sequence,
            duration: segment.duration,
            time: None,
            discontinuity: segment.discontinuity,
            growing: false,
            // With AES-128 the whole resource is ciphertext (section 4.4.4.4).
            opaque: segment.keys.iter().any(|k| k.method == "AES-128"),
        })
    };
    let map = newest
        .and_then(|s| s.map.as_ref())
        .filter(|_| !newest.is_some_and(|s| s.keys.iter().any(|k| k.method == "AES-128")));
    let mut wanted = Wanted {
        init: map.and_then(|m| Some((base.join(&m.uri).ok()?, m.byte_range))),
        newest: place(newest),
        second: place(second),
        oldest: None,
        whole,
        canary: plan.canary,
    };
    if !plan.segments || rendition.kind == Kind::TrickPlay {
        wanted = Wanted::default();
    }
    let key = newest.and_then(|s| {
        s.keys
            .iter()
            .find(|k| k.method == "AES-128" && k.format == "identity")
            .map(|k| (s.sequence, k.clone()))
    });
    let mut kept = segments::gather(fetcher, &mut rendition, wanted).await?;
    if let (Some((sequence, key)), Some(beginning)) = (key, kept.beginning) {
        kept.key_url = base.join(&key.uri).ok();
        kept.key = open(fetcher, &key, sequence, &beginning, base).await?;
    }
    Ok((rendition, kept))
}

/// Whether an AES-128 key is one, and opens the segment (section 5.1).
async fn open(
    fetcher: &Fetcher<'_>,
    key: &hls::Key,
    sequence: u64,
    beginning: &[u8; 16],
    base: &Url,
) -> Result<Option<Result<(), (Reason, String)>>, Failure> {
    let invalid = |message: String| Ok(Some(Err((Reason::KeyInvalid, message))));
    let Some(url) = base
        .join(&key.uri)
        .ok()
        .filter(|u| matches!(u.scheme(), "http" | "https"))
    else {
        return Ok(None);
    };
    let fetched = match fetcher
        .get(
            &url,
            &Ask {
                truncate: true,
                ..Ask::whole(1024)
            },
        )
        .await
    {
        Ok(fetched) => fetched,
        Err(failure) => {
            return match lost::<()>(failure)? {
                Loaded::Failed(_, message) => invalid(format!("the key can't be had: {message}")),
                _ => Ok(None),
            };
        }
    };
    if let Err(failure) = fetcher.success(&url, &fetched) {
        let reason = failure.verdict.reason().unwrap_or(Reason::KeyInvalid);
        return Ok(Some(Err((
            reason,
            format!("the key can't be had: {}", failure.message),
        ))));
    }
    let Ok(bytes) = <[u8; 16]>::try_from(&fetched.response.body[..]) else {
        let length = fetched.response.body.len();
        return invalid(format!("the key must be 16 bytes, and {length} came"));
    };
    // Without an IV the media sequence number is one (section 5.2).
    let vector = key.iv.unwrap_or_else(|| u128::from(sequence).to_be_bytes());
    let opens = drmwatch_drm::aes128::opens(&bytes, &vector, beginning);
    Ok(Some(opens.then_some(()).ok_or_else(|| {
        (
            Reason::KeyInvalid,
            "the key does not open the newest segment".to_owned(),
        )
    })))
}

/// The newest segment that another location serves.
async fn location(
    fetcher: &Fetcher<'_>,
    name: String,
    url: &Url,
    variables: &BTreeMap<String, String>,
) -> Result<Alternative, Failure> {
    let started = Instant::now();
    let result = match fetcher.document(url, Ask::manifest()).await {
        Ok(fetched) => parse(&fetched.response, Some(variables)),
        Err(failure) => Err(failure),
    };
    let newest = match result {
        Ok(Document {
            playlist: Playlist::Media(media),
            ..
        }) => media.newest().ok_or("it lists no segment".to_owned()),
        Ok(_) => Err("it serves no media playlist".to_owned()),
        Err(failure) => match lost::<()>(failure)? {
            Loaded::Failed(reason, _) => Err(reason.to_string()),
            _ => Err("it can't be had".to_owned()),
        },
    };
    Ok(Alternative {
        name,
        newest,
        step: 1.0,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// What the first location serves.
fn primary(renditions: &[Rendition]) -> Option<Alternative> {
    let rendition = renditions.iter().find(|r| r.kind == Kind::Video)?;
    let newest = rendition
        .edge
        .as_ref()
        .map(|e| e.number)
        .ok_or_else(|| "its playlist can't be had".to_owned());
    let seconds = rendition.exchange.as_ref().map_or(0.0, |e| e.seconds);
    Some(Alternative {
        name: "the first location".into(),
        newest,
        step: 1.0,
        seconds,
    })
}
