//! HDS: the bootstrap of each rung, and its newest fragment.

use super::{
    Gathered, Plan,
    fetch::{Ask, Fetcher},
    segments::{lost, patiently},
};
use drmwatch_checks::model::{Declared, Edge, Loaded, Manifest, Rendition, Segment};
use drmwatch_media::hds::{self, Bootstrap, HdsError, Media};
use drmwatch_net::{Failure, Response};
use drmwatch_outcome::Reason;
use futures::FutureExt;
use url::Url;

/// Largest bootstrap.
const MAX_BOOTSTRAP: usize = 4 << 20;
/// How much of a fragment is fetched.
const FRAGMENT_HEAD: u64 = 4096;

pub(super) fn parse(response: &Response) -> Result<hds::Manifest, Failure> {
    hds::parse(&response.body).map_err(|error| {
        let reason = match error {
            HdsError::Root(_) | HdsError::NotUtf8(_) => Reason::NotAManifest,
            HdsError::Xml(_) => Reason::ManifestInvalid,
        };
        Failure::fail(reason, format!("the manifest of {}: {error}", response.host()))
    })
}

pub(super) async fn gather(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    gathered: &mut Gathered,
    manifest: hds::Manifest,
    response: &Response,
) -> Result<(), Failure> {
    gathered.listed = manifest.media.len();
    // A bootstrap that can't be had is no end.
    gathered.hds_live = manifest.live;
    gathered.variants = manifest.media.len() as u32;
    let base = match &manifest.base_url {
        Some(base) => gathered.resolve(&response.url, &format!("{}/", base.trim_end_matches('/')), 1),
        None => Some(response.url.clone()),
    };
    let Some(base) = base else { return Ok(()) };
    for (n, media) in manifest.media.iter().enumerate().take(super::MAX_RENDITIONS) {
        let rate = media.bitrate.unwrap_or(0);
        let mut rendition = Rendition {
            key: format!("media/{rate}/{n}"),
            label: format!("video {} ({rate} kbit/s)", n + 1),
            declared: Declared {
                bandwidth: rate.saturating_mul(1000),
                size: media.size,
                ..Declared::default()
            },
            ..Rendition::default()
        };
        bootstrap(fetcher, gathered, &mut rendition, &manifest, media, &base).await?;
        if let Some(found) = rendition.bootstrap.found().cloned() {
            rendition.edge = Some(edge(&found));
            gathered.hds_live &= !found.ended();
            if plan.segments {
                fragment(fetcher, gathered, &mut rendition, &found, media, &base).await?;
            }
        }
        gathered.add(rendition, Default::default());
    }
    gathered.manifest = Some(Manifest::Hds(manifest));
    Ok(())
}

async fn bootstrap(
    fetcher: &Fetcher<'_>,
    gathered: &mut Gathered,
    rendition: &mut Rendition,
    manifest: &hds::Manifest,
    media: &Media,
    base: &Url,
) -> Result<(), Failure> {
    let Some(info) = manifest.bootstrap_of(media) else {
        rendition.bootstrap = Loaded::Failed(Reason::BootstrapInvalid, "there is no bootstrapInfo".into());
        return Ok(());
    };
    let read = |bytes: &[u8], host: &str| match Bootstrap::parse(bytes) {
        Ok(found) => Loaded::Found(found),
        Err(error) => Loaded::Failed(
            Reason::BootstrapInvalid,
            format!("the bootstrap of {host}: {error}"),
        ),
    };
    let url = info
        .url
        .as_ref()
        .and_then(|url| gathered.resolve(base, url, info.line));
    rendition.bootstrap = match (&info.inline, url) {
        (Some(bytes), _) => read(bytes, "the manifest"),
        (None, Some(url)) => match fetcher.document(&url, Ask::whole(MAX_BOOTSTRAP)).await {
            Ok(fetched) => {
                rendition.exchange = Some(fetched.exchange.clone());
                read(&fetched.response.body, fetched.response.host())
            }
            Err(failure) => match lost::<Bootstrap>(failure)? {
                Loaded::Failed(_, message) => {
                    Loaded::Failed(Reason::BootstrapInvalid, format!("the bootstrap: {message}"))
                }
                other => other,
            },
        },
        (None, None) => Loaded::Failed(Reason::BootstrapInvalid, "the bootstrapInfo leads nowhere".into()),
    };
    Ok(())
}

fn edge(bootstrap: &Bootstrap) -> Edge {
    let Some((number, start, duration)) = bootstrap.newest() else {
        return Edge::default();
    };
    let scale = f64::from(bootstrap.fragment_timescale.max(1));
    let first = bootstrap.fragment_runs.first().map_or(start, |r| r.time);
    let seconds = f64::from(duration) / scale;
    let end = start.saturating_add(u64::from(duration));
    Edge {
        number: u64::from(number),
        end: None,
        position: Some(end as f64 / scale),
        duration: seconds,
        longest: bootstrap
            .fragment_runs
            .iter()
            .map(|r| r.duration)
            .max()
            .map_or(seconds, |d| f64::from(d) / scale),
        window: end.saturating_sub(first) as f64 / scale,
        count: u64::from(number.saturating_sub(bootstrap.fragment_runs.first().map_or(number, |r| r.first)))
            .saturating_add(1),
        clocked: false,
    }
}

/// The newest fragment: F4V in `mdat`, without a movie header of its own.
async fn fragment(
    fetcher: &Fetcher<'_>,
    gathered: &mut Gathered,
    rendition: &mut Rendition,
    bootstrap: &Bootstrap,
    media: &Media,
    base: &Url,
) -> Result<(), Failure> {
    let Some((number, _, duration)) = bootstrap.newest() else {
        return Ok(());
    };
    let segment = bootstrap.segment_of(number).unwrap_or(1);
    let name = format!("{}Seg{segment}-Frag{number}", media.url);
    let Some(url) = gathered.resolve(base, &name, media.line) else {
        return Ok(());
    };
    let seconds = f64::from(duration) / f64::from(bootstrap.fragment_timescale.max(1));
    let found = patiently(fetcher, seconds, || head(fetcher, &url, number, seconds).boxed()).await;
    rendition.newest = match found {
        Ok(segment) => Loaded::Found(segment),
        Err(failure) => lost(failure)?,
    };
    Ok(())
}

async fn head(fetcher: &Fetcher<'_>, url: &Url, number: u32, duration: f64) -> Result<Segment, Failure> {
    let fetched = fetcher.get(url, &Ask::head(0, FRAGMENT_HEAD)).await?;
    let host = fetched.response.host();
    if let Err(failure) = fetched.response.success() {
        let message = format!("the newest fragment: {}", failure.message);
        return Err(Failure::fail(Reason::SegmentMissing, message));
    }
    let bytes = fetched.slice(Some((0, FRAGMENT_HEAD - 1)));
    // A fragment is a sequence of boxes with the samples as FLV tags in `mdat`.
    let known = bytes
        .get(4..8)
        .is_some_and(|k| matches!(k, b"mdat" | b"afra" | b"abst" | b"moof"));
    if !known {
        let message = format!("the newest fragment of {host} is no F4V");
        return Err(Failure::fail(Reason::SegmentInvalid, message));
    }
    Ok(Segment {
        size: fetched.total(),
        exchange: fetched.exchange,
        number: u64::from(number),
        duration,
        ranged: true,
        ..Segment::default()
    })
}
