//! Smooth Streaming: which quality levels to look at, and where their fragments are.

use super::{
    Gathered, Plan, choose,
    fetch::Fetcher,
    segments::{self, Place, Wanted},
    signals,
};
use drmwatch_checks::model::{Declared, Edge, Kind, Manifest, Rendition};
use drmwatch_media::smooth::{self, Quality, SmoothError, StreamIndex};
use drmwatch_net::{Failure, Response};
use drmwatch_outcome::Reason;

pub(super) fn parse(response: &Response) -> Result<smooth::Manifest, Failure> {
    smooth::parse(&response.body).map_err(|error| {
        let reason = match error {
            SmoothError::Root(_) | SmoothError::Encoding => Reason::NotAManifest,
            SmoothError::Xml(_) => Reason::ManifestInvalid,
        };
        Failure::fail(reason, format!("the manifest of {}: {error}", response.host()))
    })
}

pub(super) async fn gather(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    gathered: &mut Gathered,
    manifest: smooth::Manifest,
    response: &Response,
) -> Result<(), Failure> {
    let mut targets = Vec::new();
    for stream in &manifest.streams {
        for quality in &stream.qualities {
            gathered.variants += 1;
            let rendition = rendition(stream, quality, targets.len(), &manifest);
            targets.push((rendition, stream, quality));
        }
    }
    gathered.listed = targets.len();
    let chosen = choose(targets, |t| t.0.kind, plan.turn);
    let count = chosen.len();
    let mut jobs = Vec::new();
    for (n, (mut rendition, stream, quality)) in chosen.into_iter().enumerate() {
        let mut at = |back: usize| {
            let chunk = stream
                .fragments
                .iter()
                .rev()
                .filter(|c| c.duration > 0)
                .nth(back)?;
            Some(Place {
                url: gathered.resolve(
                    &response.url,
                    &stream.fragment_url(quality, chunk.time),
                    stream.line,
                )?,
                range: None,
                number: milliseconds(chunk.time.saturating_add(chunk.duration), stream.timescale),
                duration: chunk.duration as f64 / stream.timescale as f64,
                time: Some(chunk.time),
                discontinuity: false,
                growing: false,
                opaque: false,
            })
        };
        let wanted = match plan.segments {
            true => Wanted {
                newest: at(0),
                second: at(1),
                whole: plan.whole(n, count),
                ..Wanted::default()
            },
            false => Wanted::default(),
        };
        jobs.push(async move {
            let kept = segments::gather(fetcher, &mut rendition, wanted).await?;
            Ok::<_, Failure>((rendition, kept))
        });
    }
    gathered.all(jobs).await?;
    gathered.manifest = Some(Manifest::Smooth(manifest));
    Ok(())
}

fn milliseconds(ticks: u64, timescale: u64) -> u64 {
    (u128::from(ticks) * 1000 / u128::from(timescale.max(1))).min(u128::from(u64::MAX)) as u64
}

fn rendition(
    stream: &StreamIndex,
    quality: &Quality,
    index: usize,
    manifest: &smooth::Manifest,
) -> Rendition {
    let kind = match stream.kind.as_str() {
        "audio" => Kind::Audio,
        "text" => Kind::Text,
        _ => Kind::Video,
    };
    let scale = stream.timescale as f64;
    let there = || stream.fragments.iter().filter(|c| c.duration > 0);
    let edge = there().next_back().zip(there().next()).map(|(last, first)| {
        let end = last.time.saturating_add(last.duration);
        let longest = there().map(|c| c.duration).max().unwrap_or(0) as f64 / scale;
        Edge {
            number: milliseconds(end, stream.timescale),
            // Times are relative to an epoch of the encoder's own.
            end: None,
            position: Some(end as f64 / scale),
            duration: last.duration as f64 / scale,
            longest,
            window: end.saturating_sub(first.time) as f64 / scale,
            count: stream.fragments.len() as u64,
            clocked: false,
        }
    });
    Rendition {
        key: format!(
            "{}/{}",
            stream.name.as_deref().unwrap_or(&stream.kind),
            quality.bitrate
        ),
        label: format!(
            "{} {} ({} kbit/s)",
            stream.kind,
            index + 1,
            quality.bitrate / 1000
        ),
        kind,
        declared: Declared {
            bandwidth: quality.bitrate,
            size: quality.size,
            timescale: Some(stream.timescale),
            language: stream.language.clone(),
            ..Declared::default()
        },
        edge: Some(edge.unwrap_or_default()),
        signals: signals::of_headers(&manifest.protection),
        ..Rendition::default()
    }
}
