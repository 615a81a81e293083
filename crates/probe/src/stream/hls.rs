//! HLS: gather and parse.

use super::{MAX_RENDITIONS, Stream, judge, resolve};
use crate::{
    net::{Failure, Response},
    run::Context,
    state::ProbeState,
};
use drmwatch_media::{
    bmff,
    hls::{self, Media, Playlist},
};
use drmwatch_plan::Reason;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep_until};
use url::Url;

/// Longest wait for a second look.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

pub(super) async fn check(
    stream: &mut Stream<'_>,
    context: &mut Context<'_, '_>,
    response: Response,
    state: &mut ProbeState,
) -> Result<(), Failure> {
    let mut inits = BTreeMap::new();
    match parse(&response)? {
        Playlist::Media(list) => {
            stream.variants = 1;
            rendition(stream, context, 0, &response.url, list, state, &mut inits).await
        }
        Playlist::Multivariant(multivariant) => {
            stream.variants = multivariant.variants.len() as u32;
            let mut urls: Vec<Url> = Vec::new();
            let uris = multivariant.variants.iter().map(|v| (v.uri.as_str(), v.line));
            // Subtitles may be sparse by nature: their edge says nothing.
            let renditions = multivariant.renditions.iter().filter(|r| r.kind != "SUBTITLES");
            for (uri, line) in uris.chain(renditions.map(|r| (r.uri.as_str(), 1))) {
                let url = resolve(&response.url, uri, line)?;
                if !urls.contains(&url) {
                    urls.push(url);
                }
            }
            for (index, url) in urls.iter().take(MAX_RENDITIONS).enumerate() {
                let response = stream.manifest(context, url.as_str()).await?;
                let Playlist::Media(list) = parse(&response)? else {
                    let message = format!("the playlist of rendition {index} must be a media playlist");
                    return Err(Failure::fail(Reason::ManifestInvalid, message));
                };
                rendition(stream, context, index, &response.url, list, state, &mut inits).await?;
            }
            Ok(())
        }
    }
}

fn parse(response: &Response) -> Result<Playlist, Failure> {
    hls::parse(&response.body).map_err(|error| {
        let reason = match error {
            hls::HlsError::NoHeader | hls::HlsError::NotUtf8(_) => Reason::NotAManifest,
            _ => Reason::ManifestInvalid,
        };
        Failure::fail(reason, format!("the playlist of {}: {error}", response.host()))
    })
}

async fn rendition(
    stream: &mut Stream<'_>,
    context: &mut Context<'_, '_>,
    index: usize,
    url: &Url,
    mut list: Media,
    state: &mut ProbeState,
    inits: &mut BTreeMap<Url, bmff::Init>,
) -> Result<(), Failure> {
    stream.live |= list.is_live();
    judge::liveness(list.is_live(), stream.spec.live)?;
    if list.is_live() {
        list = live_edge(stream, context, index, url, list, state).await?;
    }
    let Some(newest) = list.segments.iter().rev().find(|s| !s.gap) else {
        return Err(Failure::fail(
            Reason::NoSegments,
            format!("the playlist of rendition {index} lists no segment"),
        ));
    };
    for kid in newest.keys.iter().filter_map(|k| k.kid) {
        if !stream.signalled.contains(&kid) {
            stream.signalled.push(kid);
        }
    }
    // With AES-128 the whole resource is ciphertext (RFC 8216 section 5.2): nothing inside can be judged.
    let opaque = newest.keys.iter().any(|k| k.method == "AES-128");
    let init = match &newest.map {
        Some(map) if !opaque => {
            let url = resolve(url, &map.uri, newest.line)?;
            if !inits.contains_key(&url) {
                let init = stream.init(context, &url, map.byte_range).await?;
                inits.insert(url.clone(), init);
            }
            inits.get(&url)
        }
        _ => None,
    };
    let segment = resolve(url, &newest.uri, newest.line)?;
    stream
        .segment(context, &segment, newest.byte_range, init, opaque)
        .await
}

/// Judges the live edge; gives the playlist that was looked at last.
async fn live_edge(
    stream: &mut Stream<'_>,
    context: &mut Context<'_, '_>,
    index: usize,
    url: &Url,
    list: Media,
    state: &mut ProbeState,
) -> Result<Media, Failure> {
    let key = stream.key(index);
    let mut list = list;
    let mut before = state.renditions.get(&key).cloned();
    let mut looked_again = false;
    loop {
        let Some(last) = list.segments.last() else {
            return Ok(list);
        };
        let limit = stream.spec.max_live_edge_age_seconds.map_or_else(
            || 3.0 * list.target_duration.max(1.0) + list.longest_segment(),
            f64::from,
        );
        let look = judge::Look {
            newest: last.sequence,
            edge: list.live_edge(),
            limit,
            now: (context.clock)(),
        };
        let verdict = judge::live_edge(&look, before.as_ref());
        let remembered = judge::remember(&look, before.as_ref());
        state.renditions.insert(key.clone(), remembered.clone());
        let wait = match verdict {
            judge::Edge::Moves { age } => {
                stream.age = age.map(|a| a.max(stream.age.unwrap_or(f64::MIN))).or(stream.age);
                return Ok(list);
            }
            judge::Edge::Stale { age } => {
                stream.age = Some(age);
                let message = format!(
                    "the live edge of rendition {index} stands still: its newest segment, number {}, is {age:.0} s old; more than {limit:.0} s is stale",
                    last.sequence
                );
                return Err(Failure::fail(Reason::ManifestStale, message));
            }
            judge::Edge::Regressed if looked_again => {
                let was = before.map(|b| b.newest).unwrap_or_default();
                let message = format!(
                    "the media sequence of rendition {index} went back from {was} to {}",
                    last.sequence
                );
                return Err(Failure::fail(Reason::SequenceRegressed, message));
            }
            // One edge of a CDN may be a step behind another: what regressed is looked at again.
            judge::Edge::Regressed => Duration::from_secs(1),
            judge::Edge::LookAgain => {
                before = Some(remembered);
                Duration::from_secs_f64(list.target_duration.clamp(1.0, 60.0) * 1.5).min(LONGEST_WAIT)
            }
        };
        looked_again = true;
        sleep_until((Instant::now() + wait).min(context.deadline)).await;
        let response = stream.manifest(context, url.as_str()).await?;
        match parse(&response)? {
            Playlist::Media(again) => list = again,
            Playlist::Multivariant(_) => {
                let message = format!("the playlist of rendition {index} must be a media playlist");
                return Err(Failure::fail(Reason::ManifestInvalid, message));
            }
        }
    }
}
