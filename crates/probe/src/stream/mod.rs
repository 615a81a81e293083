//! The `stream` step: manifest, playlists, init segments and newest segments.
//!
//! [`hls`] and [`dash`] gather and parse; [`judge`] decides, as pure functions of what was found, what
//! was remembered, and the time.

mod dash;
mod hls;
mod judge;

use crate::{
    net::{Failure, Request, Response},
    run::{Context, Found},
    state::ProbeState,
};
use drmwatch_api::{Step, StreamFormat, StreamStep};
use drmwatch_media::{Kid, SegmentKind, bmff};
use drmwatch_plan::Reason;
use hyper::body::Bytes;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};
use url::Url;

/// Largest manifest or playlist.
const MAX_MANIFEST: usize = 8 << 20;
/// Largest init segment.
const MAX_INIT: usize = 1 << 20;
/// How much of a segment is fetched: heads tell what a probe must know.
const SEGMENT_HEAD: usize = 16 << 10;
/// Largest segment that is fetched whole, for a canary.
const MAX_SEGMENT: usize = 32 << 20;
/// Most playlists or representations that one run looks at.
const MAX_RENDITIONS: usize = 12;

/// What a stream step leaves to later steps.
pub(crate) struct Finding {
    pub kids: Vec<Kid>,
    /// A track whose opening can be verified, with its newest segment.
    pub canary: Option<(bmff::Track, Bytes)>,
}

/// What a stream step has found so far.
pub(super) struct Stream<'s> {
    step: &'s Step,
    spec: &'s StreamStep,
    headers: Vec<(String, String)>,
    want_canary: bool,
    /// Key ids in manifests, and in init segments.
    signalled: Vec<Kid>,
    contained: Vec<Kid>,
    canary: Option<(bmff::Track, Bytes)>,
    live: bool,
    variants: u32,
    /// Age of the live edge, the oldest of all renditions.
    age: Option<f64>,
}

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    spec: &StreamStep,
    want_canary: bool,
    state: &mut ProbeState,
    findings: &mut BTreeMap<String, Finding>,
) -> Result<Found, Failure> {
    let mut stream = Stream {
        step,
        spec,
        headers: context.headers(&spec.headers)?,
        want_canary,
        signalled: Vec::new(),
        contained: Vec::new(),
        canary: None,
        live: false,
        variants: 0,
        age: None,
    };
    let url = context.scope.fill(&spec.url)?;
    let response = stream.manifest(context, &url).await?;
    let result = match format(spec.format, &response.body) {
        Some(StreamFormat::Dash) => dash::check(&mut stream, context, response, state).await,
        Some(_) => hls::check(&mut stream, context, response, state).await,
        None => Err(Failure::fail(
            Reason::NotAManifest,
            format!(
                "{} answered with something that is neither a playlist nor an MPD",
                response.host()
            ),
        )),
    };
    context.facts.live = Some(stream.live);
    context.facts.variants = Some(stream.variants);
    context.facts.live_edge_age_seconds = stream.age;
    result?;
    let kids = judge::key_ids(&stream.signalled, &stream.contained, &spec.kids)?;
    let texts: Vec<String> = kids.iter().map(Kid::to_string).collect();
    context.scope.output(&step.name, "kids", texts.join(","), false);
    findings.insert(
        step.name.clone(),
        Finding {
            kids,
            canary: stream.canary,
        },
    );
    Ok(Found {
        variables: json!({
            "live": stream.live,
            "liveEdgeAgeSeconds": stream.age.unwrap_or(0.0),
            "variants": stream.variants,
            "kids": texts,
        }),
    })
}

fn format(wanted: StreamFormat, body: &[u8]) -> Option<StreamFormat> {
    if wanted != StreamFormat::Auto {
        return Some(wanted);
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if text.starts_with(b"#EXTM3U") {
        return Some(StreamFormat::Hls);
    }
    let head = String::from_utf8_lossy(&text[..text.len().min(2048)]);
    (head.contains("<MPD") || head.contains(":MPD")).then_some(StreamFormat::Dash)
}

impl Stream<'_> {
    /// Key of a rendition in the remembered state.
    fn key(&self, index: usize) -> String {
        format!("{}/{index}", self.step.name)
    }

    /// Fetches a manifest or playlist; it must be there and must not be empty.
    async fn manifest(&self, context: &mut Context<'_, '_>, url: &str) -> Result<Response, Failure> {
        let request = Request::get(url, self.headers.clone(), MAX_MANIFEST);
        let response = context
            .client
            .send(&request, context.deadline, context.hops)
            .await?;
        response.success()?;
        match response.body.is_empty() {
            true => Err(Failure::fail(
                Reason::EmptyResponse,
                format!("{} answered an empty manifest", response.host()),
            )),
            false => Ok(response),
        }
    }

    /// Fetches and reads an init segment.
    async fn init(
        &mut self,
        context: &mut Context<'_, '_>,
        url: &Url,
        range: Option<(u64, u64)>,
    ) -> Result<bmff::Init, Failure> {
        let mut request = Request::get(url.as_str(), self.headers.clone(), MAX_INIT);
        if let Some((offset, length)) = range {
            request
                .headers
                .push(range_header(offset, offset.saturating_add(length.max(1) - 1)));
        }
        let response = context
            .client
            .send(&request, context.deadline, context.hops)
            .await?;
        if let Err(failure) = response.success() {
            return Err(Failure::fail(
                Reason::InitSegmentMissing,
                format!("the init segment: {}", failure.message),
            ));
        }
        let init = bmff::Init::parse(slice(&response, range)).map_err(|e| {
            Failure::fail(
                Reason::InitSegmentInvalid,
                format!("the init segment of {}: {e}", response.host()),
            )
        })?;
        for kid in init.kids() {
            if !self.contained.contains(&kid) {
                self.contained.push(kid);
            }
        }
        Ok(init)
    }

    /// Fetches the newest segment, whole when a canary is to be opened, otherwise its head, and looks
    /// whether it is one.
    async fn segment(
        &mut self,
        context: &mut Context<'_, '_>,
        url: &Url,
        range: Option<(u64, u64)>,
        init: Option<&bmff::Init>,
        opaque: bool,
    ) -> Result<(), Failure> {
        let track = init.and_then(|i| i.tracks.iter().find(|t| drmwatch_drm::canary::verifiable(t)));
        let canary = track.filter(|_| self.want_canary && self.canary.is_none());
        let size = if canary.is_some() {
            MAX_SEGMENT
        } else {
            SEGMENT_HEAD
        };
        let (first, available) = range.unwrap_or((0, u64::MAX));
        let last = first.saturating_add(available.min(size as u64).max(1) - 1);
        let mut request = Request::get(url.as_str(), self.headers.clone(), size);
        request.headers.push(range_header(first, last));
        request.truncate = canary.is_none();
        let mut response = context
            .client
            .send(&request, context.deadline, context.hops)
            .await?;
        if matches!(response.status.as_u16(), 404 | 410) {
            // Packagers publish the playlist before every edge has the segment, so one 404 is retried.
            sleep(Duration::from_secs(1).min(context.deadline.saturating_duration_since(Instant::now())))
                .await;
            response = context
                .client
                .send(&request, context.deadline, context.hops)
                .await?;
        }
        if let Err(failure) = response.success() {
            return Err(Failure::fail(
                Reason::SegmentMissing,
                format!("the newest segment: {}", failure.message),
            ));
        }
        let bytes = slice(&response, range);
        judge::segment(bytes, response.host(), init.is_some(), opaque)?;
        if SegmentKind::of(bytes) == Some(SegmentKind::Fmp4)
            && let Some(track) = init.and_then(|i| i.tracks.first())
            && bytes.len() < SEGMENT_HEAD
        {
            let iv_size = track.protection.as_ref().map_or(0, |p| p.iv_size);
            bmff::fragments(bytes, iv_size).map_err(|e| {
                Failure::fail(
                    Reason::SegmentInvalid,
                    format!("the newest segment of {}: {e}", response.host()),
                )
            })?;
        }
        if let Some(track) = canary {
            self.canary = Some((track.clone(), Bytes::copy_from_slice(bytes)));
        }
        Ok(())
    }
}

fn range_header(first: u64, last: u64) -> (String, String) {
    ("range".into(), format!("bytes={first}-{last}"))
}

/// The part of a body that was asked for: a server may ignore a range and send everything (RFC 9110
/// section 14.2).
fn slice(response: &Response, range: Option<(u64, u64)>) -> &[u8] {
    match range {
        Some((offset, length)) if response.status.as_u16() == 200 => {
            let start = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(response.body.len());
            let end = start
                .saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
                .min(response.body.len());
            &response.body[start..end]
        }
        _ => &response.body,
    }
}

/// A URI resolved against the document that it stands in.
fn resolve(base: &Url, uri: &str, line: usize) -> Result<Url, Failure> {
    base.join(uri)
        .ok()
        .filter(|u| matches!(u.scheme(), "http" | "https"))
        .ok_or_else(|| {
            Failure::fail(
                Reason::ManifestInvalid,
                format!("line {line}: the URI must lead to http or https"),
            )
        })
}
