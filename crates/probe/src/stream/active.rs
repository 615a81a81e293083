//! What is tried beyond the stream itself: clocks, blocking reloads, other addresses, other origins.

use super::{
    Gathered,
    fetch::{Ask, Fetched, Fetcher, foreign_origin},
    hls,
    segments::lost,
};
use drmwatch_checks::model::{Alternative, Blocking, Kind, Loaded, Manifest, Rendition, SteeringManifest};
use drmwatch_media::{
    dash::Descriptor,
    hls::{Document, Media, Playlist, merge},
};
use drmwatch_net::Failure;
use hyper::Method;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

/// Largest steering manifest, or answer of a clock.
const SMALL: usize = 64 << 10;

/// Tries what is cheap in every run, and the rest now and then.
pub(super) async fn gather(
    fetcher: &Fetcher<'_>,
    gathered: &mut Gathered,
    entry: &Fetched,
    occasional: bool,
) -> Result<(), Failure> {
    let dynamic = gathered
        .manifest
        .as_ref()
        .and_then(Manifest::mpd)
        .filter(|m| m.dynamic);
    if let Some(mpd) = dynamic {
        gathered.active.clock = clock(fetcher, &mpd.utc_timings, entry).await?;
    }
    low_latency(fetcher, gathered, &entry.response.url, occasional).await?;
    steering(fetcher, gathered, &entry.response.url).await?;
    if !occasional {
        return Ok(());
    }
    addresses(fetcher, gathered, entry).await?;
    if !gathered.live(None) {
        partial(fetcher, gathered).await?;
    }
    foreign(fetcher, gathered, entry).await
}

/// What a request gave, or in words how it failed.
fn said(result: Result<Fetched, Failure>) -> Result<Result<Fetched, String>, Failure> {
    match result {
        Ok(fetched) if fetched.response.status.is_success() => Ok(Ok(fetched)),
        Ok(fetched) => Ok(Err(format!("it answered {}", fetched.response.status.as_u16()))),
        Err(failure) => match lost::<()>(failure)? {
            Loaded::Failed(_, message) => Ok(Err(message)),
            _ => Ok(Err("it can't be had".into())),
        },
    }
}

/// The clock of the first UTCTiming that we can read (clause 5.8.4.11), minus ours.
async fn clock(
    fetcher: &Fetcher<'_>,
    timings: &[Descriptor],
    entry: &Fetched,
) -> Result<Option<Result<f64, String>>, Failure> {
    for timing in timings {
        let scheme = timing
            .scheme
            .strip_prefix("urn:mpeg:dash:utc:")
            .unwrap_or_default();
        if scheme.starts_with("direct:") {
            // The MPD tells the time at which it was made, so it is compared with when it came.
            let ours = entry.exchange.at.unwrap_or_else(|| (fetcher.clock)());
            let theirs = instant(&timing.value);
            return Ok(Some(
                theirs
                    .map(|t| t.duration_since(ours).as_secs_f64())
                    .ok_or_else(|| "the UTCTiming is not a time".into()),
            ));
        }
        let head = scheme.starts_with("http-head:");
        if !head && !scheme.starts_with("http-iso:") && !scheme.starts_with("http-xsdate:") {
            continue;
        }
        // Several servers may be given, separated by blanks.
        let Some(url) = timing
            .value
            .split_whitespace()
            .next()
            .and_then(|u| entry.response.url.join(u).ok())
        else {
            continue;
        };
        let mut ask = Ask {
            foreign: true,
            ..Ask::whole(SMALL)
        };
        if head {
            ask.method = Some(Method::HEAD);
        }
        let before = (fetcher.clock)();
        let fetched = match said(fetcher.get(&url, &ask).await)? {
            Ok(fetched) => fetched,
            Err(message) => {
                return Ok(Some(Err(format!(
                    "the clock of UTCTiming can't be read: {message}"
                ))));
            }
        };
        let after = fetched.exchange.at.unwrap_or(before);
        let middle = before + after.duration_since(before) / 2;
        let text = String::from_utf8_lossy(&fetched.response.body).into_owned();
        let theirs = match head {
            true => fetched.exchange.date("date"),
            false => instant(text.trim()),
        };
        let Some(theirs) = theirs else {
            return Ok(Some(Err("the clock of UTCTiming does not tell the time".into())));
        };
        let mut offset = theirs.duration_since(middle).as_secs_f64();
        if head {
            // A Date has whole seconds: it is up to one behind.
            offset += 0.5;
        }
        return Ok(Some(Ok(offset)));
    }
    Ok(None)
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}Z").parse().ok())
}

/// The first low-latency playlist.
fn low(gathered: &Gathered) -> Option<&Rendition> {
    let blocks = |r: &&Rendition| {
        r.media()
            .and_then(|m| m.server_control)
            .is_some_and(|c| c.can_block_reload)
    };
    gathered
        .renditions
        .iter()
        .filter(|r| r.kind == Kind::Video)
        .find(blocks)
        .or(gathered.renditions.iter().find(blocks))
}

async fn low_latency(
    fetcher: &Fetcher<'_>,
    gathered: &mut Gathered,
    entry: &Url,
    occasional: bool,
) -> Result<(), Failure> {
    let Some(url) = low(gathered).and_then(|r| gathered.url_of(r, entry)) else {
        return Ok(());
    };
    // What was read a while ago lists what is there: players ask for what comes next.
    let fresh = match said(fetcher.get(&url, &Ask::manifest()).await)? {
        Ok(fetched) => media_of(&fetched),
        Err(_) => None,
    };
    let Some((media, newest)) = fresh.and_then(|m| {
        let newest = m.newest()?;
        Some((m, newest))
    }) else {
        return Ok(());
    };
    let ask = |query: String| {
        let mut url = url.clone();
        let all = url.query().map_or(query.clone(), |q| format!("{q}&{query}"));
        url.set_query(Some(&all));
        url
    };
    let asked = next(&media, newest);
    let query = match asked {
        (number, 0) if media.part_target.is_none() => format!("_HLS_msn={number}"),
        (number, part) => format!("_HLS_msn={number}&_HLS_part={part}"),
    };
    let started = Instant::now();
    let result = fetcher.get(&ask(query), &Ask::manifest()).await;
    let seconds = started.elapsed().as_secs_f64();
    let (status, got) = match result {
        Ok(fetched) => {
            let status = fetched.response.status.as_u16();
            let list = media_of(&fetched);
            let got = match (fetched.response.status.is_success(), list) {
                (true, Some(list)) => list
                    .newest()
                    .map(|newest| next(&list, newest))
                    .ok_or_else(|| "the answer to a blocking request lists nothing".to_owned()),
                (true, None) => Err("the answer to a blocking request is no playlist".to_owned()),
                (false, _) => Err(format!("a blocking request is answered {status}")),
            };
            (status, got)
        }
        Err(failure) => match lost::<()>(failure)? {
            Loaded::Failed(_, message) => (0, Err(format!("a blocking request: {message}"))),
            _ => (0, Err("a blocking request fails".to_owned())),
        },
    };
    gathered.active.blocking = Some(Blocking {
        asked,
        got,
        status,
        seconds,
    });
    if !occasional || !fetcher.has_time() {
        return Ok(());
    }
    for (what, query) in [
        ("a part without a segment", "_HLS_part=1".to_owned()),
        (
            "a segment far in the future",
            format!("_HLS_msn={}", newest.saturating_add(100)),
        ),
    ] {
        if let Ok(fetched) = fetcher.get(&ask(query), &Ask::manifest()).await {
            let what = format!("a blocking request for {what}");
            gathered
                .active
                .refusals
                .push((what, fetched.response.status.as_u16()));
        }
    }
    if media.server_control.is_some_and(|c| c.can_skip_until.is_some()) {
        gathered.active.delta = delta(fetcher, &url, &ask("_HLS_skip=YES".into())).await?;
    }
    if let Some(hint) = media.preload_hints.iter().find(|h| h.kind == "PART")
        && let Ok(hint) = url.join(&hint.uri)
    {
        let got = said(fetcher.get(&hint, &Ask::head(0, 1024)).await)?;
        gathered.active.hint = Some(got.map(|_| ()).map_err(|e| format!("the preload hint: {e}")));
    }
    Ok(())
}

/// Segment and part that come next.
fn next(media: &Media, newest: u64) -> (u64, u64) {
    (newest.saturating_add(1), media.parts.len() as u64)
}

fn media_of(fetched: &Fetched) -> Option<Media> {
    match hls::parse(&fetched.response, None).ok()? {
        Document {
            playlist: Playlist::Media(media),
            ..
        } => Some(media),
        _ => None,
    }
}

/// A whole playlist, a delta update right behind it, and another whole one to compare with.
async fn delta(
    fetcher: &Fetcher<'_>,
    url: &Url,
    skipping: &Url,
) -> Result<Option<Result<(), String>>, Failure> {
    let mut lists = Vec::new();
    for url in [url, skipping, url] {
        match said(fetcher.get(url, &Ask::manifest()).await)? {
            Ok(fetched) => lists.extend(media_of(&fetched)),
            Err(message) => return Ok(Some(Err(format!("a delta update: {message}")))),
        }
    }
    let [before, delta, after] = lists.as_slice() else {
        return Ok(Some(Err("a delta update is no playlist".into())));
    };
    // A server may always answer with the whole (section 6.2.5.1).
    if delta.skipped.is_none() {
        return Ok(Some(Ok(())));
    }
    Ok(Some(match merge(before, delta) {
        Err(error) => Err(format!("a delta update can't be merged: {error}")),
        Ok(merged) => {
            let differs = merged.segments.iter().find(|s| {
                after
                    .segments
                    .iter()
                    .any(|o| o.sequence == s.sequence && (&o.uri, o.duration) != (&s.uri, s.duration))
            });
            differs.map_or(Ok(()), |s| {
                Err(format!("a delta update merges to another segment {}", s.sequence))
            })
        }
    }))
}

async fn steering(fetcher: &Fetcher<'_>, gathered: &mut Gathered, base: &Url) -> Result<(), Failure> {
    let server = match &gathered.manifest {
        Some(Manifest::Dash(mpd)) => mpd.steering.as_ref().map(|s| s.server.clone()),
        Some(manifest) => manifest
            .multivariant()
            .and_then(|l| l.steering.as_ref())
            .map(|s| s.server.clone()),
        None => None,
    };
    let Some(url) = server.and_then(|s| base.join(&s).ok()) else {
        return Ok(());
    };
    let ask = Ask {
        foreign: true,
        ..Ask::whole(SMALL)
    };
    let got = said(fetcher.get(&url, &ask).await)?;
    let found = got
        .map_err(|e| format!("the steering manifest: {e}"))
        .and_then(|fetched| {
            let value: serde_json::Value = serde_json::from_slice(&fetched.response.body)
                .map_err(|_| "the steering manifest is not JSON".to_owned())?;
            let list = value
                .get("PATHWAY-PRIORITY")
                .or(value.get("SERVICE-LOCATION-PRIORITY"))
                .and_then(|l| l.as_array());
            Ok(SteeringManifest {
                ttl: value.get("TTL").and_then(serde_json::Value::as_u64),
                pathways: list
                    .into_iter()
                    .flatten()
                    .filter_map(|p| Some(p.as_str()?.to_owned()))
                    .collect(),
            })
        });
    gathered.active.steering = Some(found);
    Ok(())
}

/// The same playlist by each address of its host.
async fn addresses(fetcher: &Fetcher<'_>, gathered: &mut Gathered, entry: &Fetched) -> Result<(), Failure> {
    let first = gathered.renditions.iter().find(|r| r.media().is_some());
    let listed = first.is_some();
    let url = first
        .and_then(|r| gathered.url_of(r, &entry.response.url))
        .unwrap_or_else(|| entry.response.url.clone());
    let Ok(found) = fetcher.door.addresses(&url, fetcher.deadline).await else {
        return Ok(());
    };
    if found.len() < 2 {
        return Ok(());
    }
    let (mut v4, mut v6) = (0, 0);
    for address in found.into_iter().take(8) {
        let (family, n) = if address.is_ipv4() {
            ("IPv4", &mut v4)
        } else {
            ("IPv6", &mut v6)
        };
        *n += 1;
        let name = format!("{family} address {n}");
        let started = Instant::now();
        let ask = Ask {
            address: Some(address),
            ..Ask::manifest()
        };
        let got = said(fetcher.get(&url, &ask).await)?;
        let (mut step, mut newest) = (1.0, Ok(0));
        match got {
            Err(message) => newest = Err(message),
            Ok(fetched) => match &gathered.manifest {
                Some(Manifest::Hls(_)) if listed => {
                    newest = media_of(&fetched)
                        .and_then(|m| m.newest())
                        .ok_or("it lists no segment".into())
                }
                Some(Manifest::Dash(_)) => {
                    let mpd = super::dash::parse(&fetched.response).ok();
                    let edge = mpd.as_ref().and_then(|mpd| {
                        let period = mpd.current(gathered.at)?;
                        let representation = period.sets.first()?.representations.first()?;
                        let found = representation.newest(mpd, period, gathered.at)?;
                        let longest = super::dash::longest(representation).unwrap_or(found.duration);
                        Some(((found.end() * 1000.0) as u64, longest * 1000.0))
                    });
                    newest = edge.map(|e| e.0).ok_or("it lists no segment".into());
                    step = edge.map_or(1.0, |e| e.1);
                }
                _ => {}
            },
        }
        let seconds = started.elapsed().as_secs_f64();
        gathered.active.addresses.push(Alternative {
            name,
            newest,
            step,
            seconds,
        });
    }
    Ok(())
}

/// Partial reads of something on demand, by each address of its host: ranges that overlap give the same bytes,
/// one size and one entity tag (RFC 9110 sections 14 and 8.8.3).
async fn partial(fetcher: &Fetcher<'_>, gathered: &mut Gathered) -> Result<(), Failure> {
    let Some(url) = gathered.segment_url.clone().or_else(|| gathered.init_url.clone()) else {
        return Ok(());
    };
    let found = fetcher
        .door
        .addresses(&url, fetcher.deadline)
        .await
        .unwrap_or_default();
    // Whichever address comes first stands for the origin that the others are compared with.
    let mut ways: Vec<Option<std::net::IpAddr>> = found.into_iter().take(4).map(Some).collect();
    if ways.is_empty() {
        ways.push(None);
    }
    let mut first: Option<(u64, Option<String>, Vec<u8>)> = None;
    for (n, address) in ways.into_iter().enumerate() {
        let mut parts = Vec::new();
        for (from, length) in [(0, 200), (100, 200)] {
            let ask = Ask {
                address,
                ..Ask::head(from, length)
            };
            match said(fetcher.get(&url, &ask).await)? {
                Ok(fetched) => parts.push(fetched),
                Err(message) => {
                    gathered.active.partial = Some(Err(format!("a partial read: {message}")));
                    return Ok(());
                }
            }
        }
        let [a, b] = parts.as_slice() else { return Ok(()) };
        let wrong = |what: &str| Some(Err(format!("partial reads by address {} {what}", n + 1)));
        let tags = (a.exchange.header("etag"), b.exchange.header("etag"));
        let (body, more) = (&a.response.body, &b.response.body);
        let complaint = if [a, b].iter().any(|f| f.response.status.as_u16() != 206) {
            wrong("are not answered with 206")
        } else if a.total().is_none() || a.total() != b.total() {
            wrong("name different sizes, or none")
        } else if tags.0 != tags.1 {
            wrong("have different entity tags")
        } else if body.len() < 200 || body[100..] != more[..100.min(more.len())] {
            wrong("give different bytes for the same range")
        } else {
            None
        };
        if complaint.is_some() {
            gathered.active.partial = complaint;
            return Ok(());
        }
        let seen = (a.total().unwrap_or(0), tags.0.map(str::to_owned), body.to_vec());
        match &first {
            Some(first) if (first.0, &first.2) != (seen.0, &seen.2) => {
                gathered.active.partial = wrong("differ from those by the first one");
                return Ok(());
            }
            Some(_) => {}
            None => first = Some(seen),
        }
    }
    gathered.active.partial = Some(Ok(()));
    Ok(())
}

/// Requests as a page of another origin makes them, and one for a segment that can't exist.
async fn foreign(fetcher: &Fetcher<'_>, gathered: &mut Gathered, entry: &Fetched) -> Result<(), Failure> {
    let ask = |most: u64| Ask {
        headers: foreign_origin(),
        ..Ask::head(0, most)
    };
    if let Ok(fetched) = fetcher
        .get(
            &entry.response.url,
            &Ask {
                range: None,
                ..ask(64 << 10)
            },
        )
        .await
    {
        gathered
            .active
            .cors
            .push(("the manifest".into(), fetched.exchange));
    }
    let Some(segment) = gathered.segment_url.clone() else {
        return Ok(());
    };
    if let Ok(fetched) = fetcher.get(&segment, &ask(1)).await
        && fetched.response.status.is_success()
    {
        gathered.active.cors.push(("a segment".into(), fetched.exchange));
    }
    let mut missing = segment;
    let path = format!("{}.drmwatch-missing", missing.path());
    missing.set_path(&path);
    if let Ok(fetched) = fetcher.get(&missing, &ask(1)).await {
        // A server that answers everything says nothing about what is missing.
        if fetched.response.status.as_u16() >= 400 {
            gathered
                .active
                .cors
                .push(("a missing segment".into(), fetched.exchange.clone()));
            gathered.active.missing_segment = Some(fetched.exchange);
        }
    }
    Ok(())
}
