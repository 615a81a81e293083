//! The `stream` step: manifest, playlists, init segments, segments, and how they are served.
//!
//! Each format gathers a [`Snapshot`] in its own file; [`segments`] and [`active`] gather what is the same
//! for all. The judges are `drmwatch_checks`: pure functions of the snapshot, what is remembered, and the
//! time.

mod active;
mod dash;
mod fetch;
mod hds;
mod hls;
mod report;
mod segments;
mod settings;
mod signals;
mod smooth;
mod tokens;

use crate::{
    run::{Context, Found},
    state::ProbeState,
};
use drmwatch_api::{FullSegments, Step, StreamFormat, StreamStep, StreamToken};
use drmwatch_checks::{
    Judgement, all_kids, judge,
    model::{Active, Exchange, Kind, Manifest, Rendition, Snapshot},
    state::StreamState,
};
use drmwatch_media::{Kid, bmff::Track};
use drmwatch_net::{Failure, Response};
use drmwatch_outcome::Reason;
use fetch::{Ask, Fetched, Fetcher};
use futures::stream::{self, StreamExt};
use hyper::body::Bytes;
use jiff::Timestamp;
use segments::Kept;
use serde_json::json;
use std::{collections::BTreeMap, sync::Mutex, time::Duration};
use tokens::Signer;
use tokio::time::Instant;
use url::Url;

/// Most playlists or representations that one run looks at.
const MAX_RENDITIONS: usize = 12;
/// Renditions that are looked at when there are more than that.
const SOME_RENDITIONS: usize = 6;
/// Renditions that are fetched at the same time.
const CONCURRENCY: usize = 4;
/// What is not tried in every run is tried after so long.
const OCCASIONAL: f64 = 3600.0;

/// How often a stream that is to appear is looked for.
const APPEARANCE: Duration = Duration::from_millis(500);

/// What a stream step leaves to later steps.
pub(crate) struct Finding {
    pub kids: Vec<Kid>,
    /// They are a key server's: content must have them.
    pub of_key_server: bool,
    /// A track whose opening can be verified, with its newest segment.
    pub canary: Option<(Track, Bytes)>,
}

/// What is to be gathered in this look.
struct Plan<'s> {
    spec: &'s StreamStep,
    canary: bool,
    turn: u64,
    /// Look at segments; a second look at the edge needs none.
    segments: bool,
    /// Look at other locations.
    extras: bool,
}

impl Plan<'_> {
    /// Whether the rendition with this place among so many is downloaded whole.
    fn whole(&self, n: usize, of: usize) -> bool {
        match self.spec.full_segments {
            FullSegments::None => false,
            FullSegments::All => true,
            FullSegments::Rotating => of > 0 && n as u64 == self.turn % of as u64,
        }
    }
}

/// A snapshot in the making.
struct Gathered {
    at: Timestamp,
    manifest: Option<Manifest>,
    renditions: Vec<Rendition>,
    /// Where the playlists are, by key.
    urls: BTreeMap<String, Url>,
    listed: usize,
    /// Variants or representations that the manifest lists.
    variants: u32,
    unresolved: Vec<(usize, String)>,
    active: Active,
    canary: Option<(Track, Bytes)>,
    segment_url: Option<Url>,
    init_url: Option<Url>,
    key_url: Option<Url>,
    hds_live: bool,
}

impl Gathered {
    fn new(at: Timestamp) -> Gathered {
        Gathered {
            at,
            manifest: None,
            renditions: Vec::new(),
            urls: BTreeMap::new(),
            listed: 0,
            variants: 0,
            unresolved: Vec::new(),
            active: Active::default(),
            canary: None,
            segment_url: None,
            init_url: None,
            key_url: None,
            hds_live: false,
        }
    }

    fn add(&mut self, rendition: Rendition, kept: Kept) {
        self.renditions.push(rendition);
        self.canary = self.canary.take().or(kept.canary);
        self.segment_url = self.segment_url.take().or(kept.segment);
        self.init_url = self.init_url.take().or(kept.init);
        self.key_url = self.key_url.take().or(kept.key_url);
        if self.active.key.is_none() || kept.key.as_ref().is_some_and(Result::is_err) {
            self.active.key = kept.key.or(self.active.key.take());
        }
    }

    /// Renditions that are fetched some at a time, in their order. A failure of ours ends the run.
    async fn all<J>(&mut self, jobs: impl IntoIterator<Item = J>) -> Result<(), Failure>
    where
        J: Future<Output = Result<(Rendition, Kept), Failure>>,
    {
        let done: Vec<_> = stream::iter(jobs).buffered(CONCURRENCY).collect().await;
        for result in done {
            let (rendition, kept) = result?;
            self.add(rendition, kept);
        }
        Ok(())
    }

    /// A URI resolved against the document that it stands in. What leads nowhere is noted.
    fn resolve(&mut self, base: &Url, uri: &str, line: usize) -> Option<Url> {
        let found = base
            .join(uri)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https"));
        if found.is_none() && self.unresolved.len() < 100 {
            let path = uri.split(['?', '#']).next().unwrap_or_default();
            self.unresolved
                .push((line, format!("{:?}", path.chars().take(60).collect::<String>())));
        }
        found
    }

    fn url_of(&self, rendition: &Rendition, entry: &Url) -> Option<Url> {
        match self.manifest {
            Some(Manifest::Hls(_)) => self.urls.get(&rendition.key).cloned(),
            _ => Some(entry.clone()),
        }
    }

    /// Whether segments will still be added; where no playlist can tell, what is expected.
    fn live(&self, expected: Option<bool>) -> bool {
        let mut lists = self.renditions.iter().filter_map(Rendition::media).peekable();
        match &self.manifest {
            Some(Manifest::Hls(_)) if lists.peek().is_none() => expected.unwrap_or(false),
            Some(Manifest::Hls(_)) => lists.any(|m| m.is_live()),
            Some(Manifest::Dash(mpd)) => mpd.dynamic,
            Some(Manifest::Smooth(manifest)) => manifest.live,
            Some(Manifest::Hds(_)) => self.hds_live,
            None => false,
        }
    }

    fn finish(mut self, entry: Exchange, wire_bytes: u64, expected: Option<bool>) -> Option<Snapshot> {
        self.active.wire_bytes = wire_bytes;
        let live = self.live(expected);
        Some(Snapshot {
            at: self.at,
            entry,
            live,
            manifest: self.manifest?,
            renditions: self.renditions,
            listed: self.listed,
            unresolved: self.unresolved,
            active: self.active,
        })
    }
}

/// All of them where they are few; else the first of each kind and, turn by turn, some others.
fn choose<T>(all: Vec<T>, kind: impl Fn(&T) -> Kind, turn: u64) -> Vec<T> {
    if all.len() <= MAX_RENDITIONS {
        return all;
    }
    let count = all.len() as u64;
    let mut chosen: Vec<usize> = Vec::new();
    for wanted in [Kind::Video, Kind::Audio] {
        chosen.extend(all.iter().position(|t| kind(t) == wanted));
    }
    for step in 0..SOME_RENDITIONS as u64 {
        let at = ((turn * SOME_RENDITIONS as u64 + step) % count) as usize;
        if !chosen.contains(&at) {
            chosen.push(at);
        }
    }
    chosen.sort_unstable();
    let all = all.into_iter().enumerate();
    all.filter(|(n, _)| chosen.contains(n)).map(|(_, t)| t).collect()
}

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    spec: &StreamStep,
    want_canary: bool,
    state: &mut ProbeState,
    findings: &mut BTreeMap<String, Finding>,
) -> Result<Found, Failure> {
    let mut settings = settings::of(spec)?;
    let url = drmwatch_net::parse(&context.scope.fill(&spec.url)?)?;
    let fetcher = Fetcher {
        door: context.client,
        clock: context.clock,
        started: Instant::now(),
        deadline: context.deadline,
        headers: context.headers(&spec.headers)?,
        cache: Mutex::new(std::mem::take(&mut state.cache)),
        hops: Mutex::default(),
        signer: (spec.token.as_ref())
            .map(|token| Signer::new(token, context.scope))
            .transpose()?,
        entry: url.clone(),
    };
    let before = state.streams.get(&step.name).cloned().unwrap_or_default();
    let other = spec
        .expected
        .same_kids_as
        .as_ref()
        .and_then(|name| Some((name.clone(), findings.get(name)?)));
    // What a key server gave, the content must have; formats of the same asset must agree with each other.
    let other = match other {
        Some((_, finding)) if finding.of_key_server => {
            settings.expect.kids.extend(&finding.kids);
            None
        }
        Some((name, finding)) => Some((name, finding.kids.clone())),
        None => None,
    };
    let looked = look(&fetcher, spec, &settings, &url, want_canary, other, before).await;
    context
        .hops
        .append(&mut fetcher.hops.lock().unwrap_or_else(|e| e.into_inner()));
    state.cache = std::mem::take(&mut *fetcher.cache.lock().unwrap_or_else(|e| e.into_inner()));
    let looked = match looked {
        Ok(looked) => looked,
        Err(failure) => {
            context.facts.stream = Some(Box::new(report::without_manifest(&failure)));
            return Err(failure);
        }
    };
    let Looked {
        snapshot,
        judgement,
        canary,
        variants,
        appeared,
    } = looked;
    let Judgement {
        findings: results,
        state: mut remembered,
        ..
    } = judgement;
    let facts = report::facts(&snapshot, &results, &mut remembered, variants, appeared);
    let age = report::edge_age(&snapshot, &remembered);
    state.streams.insert(step.name.clone(), remembered);
    context.facts.live = Some(snapshot.live);
    context.facts.variants = Some(variants);
    context.facts.live_edge_age_seconds = age.filter(|_| snapshot.live);
    context.facts.stream = Some(Box::new(facts));
    if let Some((check, _, _, reason, message)) = results.worst(settings.fail_on) {
        return Err(Failure::fail(reason, format!("{check}: {message}")));
    }
    let kids = all_kids(&snapshot.renditions);
    let texts: Vec<String> = kids.iter().map(Kid::to_string).collect();
    context.scope.output(&step.name, "kids", texts.join(","), false);
    findings.insert(
        step.name.clone(),
        Finding {
            kids,
            of_key_server: false,
            canary,
        },
    );
    Ok(Found {
        variables: json!({
            "live": snapshot.live,
            "liveEdgeAgeSeconds": age.unwrap_or(0.0),
            "variants": variants,
            "kids": texts,
        }),
    })
}

struct Looked {
    snapshot: Snapshot,
    judgement: Judgement,
    canary: Option<(Track, Bytes)>,
    variants: u32,
    /// Seconds until the stream was there, where it was waited for.
    appeared: Option<f64>,
}

/// The manifest; where the step says so, once it is there and has what it must.
async fn appears(
    fetcher: &Fetcher<'_>,
    spec: &StreamStep,
    url: &Url,
    appeared: &mut Option<f64>,
) -> Result<Fetched, Failure> {
    let ask = Ask {
        remember: true,
        ..Ask::manifest()
    };
    let Some(limit) = spec.appears_within_seconds.filter(|_| appeared.is_none()) else {
        return fetcher.document(url, ask).await;
    };
    let limit = Duration::from_secs(u64::from(limit.unsigned_abs()));
    loop {
        let waited = fetcher.started.elapsed();
        match fetcher.document(url, ask.clone()).await {
            Ok(entry) if format(spec.format, &entry.response.body).is_some() => {
                *appeared = Some(waited.as_secs_f64());
                return Ok(entry);
            }
            Err(failure) if !matches!(failure.verdict, drmwatch_outcome::Verdict::Fail(_)) => {
                return Err(failure);
            }
            Ok(entry) if waited >= limit => return Ok(entry),
            Err(mut failure) if waited >= limit => {
                failure.message = format!(
                    "the stream did not appear within {} s: {}",
                    limit.as_secs(),
                    failure.message
                );
                return Err(failure);
            }
            _ => fetcher.pause(APPEARANCE).await,
        }
    }
}

/// Looks once, and a second time where the first look can't be believed.
async fn look(
    fetcher: &Fetcher<'_>,
    spec: &StreamStep,
    settings: &drmwatch_checks::Settings,
    url: &Url,
    canary: bool,
    other: Option<(String, Vec<Kid>)>,
    mut before: StreamState,
) -> Result<Looked, Failure> {
    let (mut second, mut anew) = (false, false);
    let mut kept: Option<(Snapshot, Option<(Track, Bytes)>)> = None;
    let mut appeared = None;
    loop {
        let plan = Plan {
            spec,
            canary,
            turn: before.turn,
            segments: !second || anew,
            extras: !second,
        };
        let entry = appears(fetcher, spec, url, &mut appeared).await?;
        let mut gathered = Gathered::new(entry.exchange.at.unwrap_or_else(|| (fetcher.clock)()));
        documents(fetcher, &plan, &mut gathered, &entry).await?;
        if let Some((first, canary)) = kept.take() {
            merge(&mut gathered, first, canary, anew);
        } else {
            gathered.active.other_kids = other.clone();
            let now = gathered.at;
            let due = before
                .occasional
                .is_none_or(|at| now.duration_since(at).as_secs_f64() >= OCCASIONAL);
            let occasional = due && fetcher.has_time();
            if fetcher.has_time() {
                active::gather(fetcher, &mut gathered, &entry, occasional).await?;
            }
            if occasional {
                before.occasional = Some(now);
            }
            gathered.active.tokened = fetcher.signer.is_some();
            if let Some((signer, token)) = fetcher.signer.as_ref().zip(spec.token.as_ref())
                && tokens_due(token, &before, now)
            {
                tokens::trials(fetcher, signer, token, &mut gathered).await?;
            }
        }
        let (found, variants) = (gathered.canary.take(), gathered.variants);
        let bytes = fetcher
            .hops
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .iter()
            .map(|h| h.bytes)
            .sum();
        let snapshot = gathered
            .finish(entry.exchange, bytes, spec.live)
            .ok_or_else(|| Failure::internal("no manifest was gathered"))?;
        let mut judgement = judge(&snapshot, &before, settings, second);
        match judgement.again.filter(|_| !second) {
            Some(wait) if fetcher.left() > Duration::from_secs_f64(wait) => {
                // An edge that stood still is compared with this look, one that went back with what was.
                before = judgement.state;
                (second, anew) = (true, judgement.anew);
                kept = Some((snapshot, found));
                fetcher.pause(Duration::from_secs_f64(wait)).await;
            }
            _ => {
                judgement.state.turn = before.turn.wrapping_add(1);
                return Ok(Looked {
                    snapshot,
                    judgement,
                    canary: found,
                    variants,
                    appeared,
                });
            }
        }
    }
}

/// Whether bad tokens are to be tried: now and then, and at once where one was taken.
fn tokens_due(token: &StreamToken, before: &StreamState, now: Timestamp) -> bool {
    let every = token.deny.as_ref().map(|d| f64::from(d.every_seconds));
    every.is_some_and(|every| match before.tokens {
        Some((at, leaked)) => leaked || now.duration_since(at).as_secs_f64() >= every,
        None => true,
    })
}

/// Puts what the first look found of segments beside the edges of the second.
fn merge(second: &mut Gathered, first: Snapshot, canary: Option<(Track, Bytes)>, anew: bool) {
    if anew {
        second.active = first.active;
        return;
    }
    let mut before: BTreeMap<String, Rendition> =
        first.renditions.into_iter().map(|r| (r.key.clone(), r)).collect();
    for rendition in &mut second.renditions {
        if let Some(before) = before.remove(&rendition.key) {
            rendition.init = before.init;
            rendition.newest = before.newest;
            rendition.second = before.second;
            rendition.oldest = before.oldest;
            rendition.whole = before.whole;
        }
    }
    (second.active, second.canary) = (first.active, canary);
}

async fn documents(
    fetcher: &Fetcher<'_>,
    plan: &Plan<'_>,
    gathered: &mut Gathered,
    entry: &Fetched,
) -> Result<(), Failure> {
    let response = &entry.response;
    match format(plan.spec.format, &response.body) {
        Some(StreamFormat::Dash) => {
            dash::gather(fetcher, plan, gathered, dash::parse(response)?, response).await
        }
        Some(StreamFormat::Smooth) => {
            smooth::gather(fetcher, plan, gathered, smooth::parse(response)?, response).await
        }
        Some(StreamFormat::Hds) => {
            hds::gather(fetcher, plan, gathered, hds::parse(response)?, response).await
        }
        Some(_) => hls::gather(fetcher, plan, gathered, hls::parse(response, None)?, response).await,
        None => Err(not_a_manifest(response)),
    }
}

fn not_a_manifest(response: &Response) -> Failure {
    let message = format!("{} answered with something that is no manifest", response.host());
    Failure::fail(Reason::NotAManifest, message)
}

fn format(wanted: StreamFormat, body: &[u8]) -> Option<StreamFormat> {
    if wanted != StreamFormat::Auto {
        return Some(wanted);
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if text.starts_with(b"#EXTM3U") {
        return Some(StreamFormat::Hls);
    }
    // Encoders of its time write Smooth manifests in UTF-16: every other byte is zero.
    let head: Vec<u8> = text[..text.len().min(4096)]
        .iter()
        .copied()
        .filter(|b| *b != 0)
        .collect();
    let head = String::from_utf8_lossy(&head);
    if head.contains("<MPD") || head.contains(":MPD") {
        return Some(StreamFormat::Dash);
    }
    if head.contains("<SmoothStreamingMedia") {
        return Some(StreamFormat::Smooth);
    }
    (head.contains("<manifest") && head.contains("ns.adobe.com/f4m")).then_some(StreamFormat::Hds)
}
