//! DASH: gather and parse.

use super::{MAX_RENDITIONS, Stream, judge, resolve};
use crate::{
    net::{Failure, Response},
    run::Context,
    state::ProbeState,
};
use drmwatch_media::dash::{self, Mpd, Newest, Representation};
use drmwatch_plan::Reason;
use std::time::Duration;
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
    let mut mpd = parse(&response)?;
    stream.live = mpd.dynamic;
    judge::liveness(mpd.dynamic, stream.spec.live)?;
    if mpd.dynamic {
        mpd = live_edge(stream, context, &response.url, mpd, state).await?;
    }
    stream.signalled.clone_from(&mpd.kids);
    let now = (context.clock)();
    stream.variants = mpd.current(now).count() as u32;
    for (index, representation) in mpd.current(now).take(MAX_RENDITIONS).enumerate() {
        if representation.content_type == "text" || representation.content_type == "image" {
            continue;
        }
        let base = base(&response.url, representation)?;
        let init = match representation.init_url() {
            Some(uri) => Some(
                stream
                    .init(context, &resolve(&base, &uri, representation.line)?, None)
                    .await?,
            ),
            None => None,
        };
        match (representation.newest(&mpd, now), &representation.segments) {
            (Some(newest), _) => {
                let url = resolve(&base, &newest.url, representation.line)?;
                stream.segment(context, &url, None, init.as_ref(), false).await?;
            }
            (None, dash::Segments::Single) => stream.segment(context, &base, None, None, false).await?,
            (None, _) => {
                let message = format!("representation {index} of the MPD has no segment yet");
                return Err(Failure::fail(Reason::NoSegments, message));
            }
        }
    }
    Ok(())
}

fn parse(response: &Response) -> Result<Mpd, Failure> {
    dash::parse(&response.body).map_err(|error| {
        let reason = match error {
            dash::DashError::NotMpd(_) | dash::DashError::NotUtf8(_) => Reason::NotAManifest,
            _ => Reason::ManifestInvalid,
        };
        Failure::fail(reason, format!("the MPD of {}: {error}", response.host()))
    })
}

fn base(document: &Url, representation: &Representation) -> Result<Url, Failure> {
    representation
        .base_urls
        .iter()
        .try_fold(document.clone(), |base, relative| {
            resolve(&base, relative, representation.line)
        })
}

/// Judges the live edge of every representation; gives the MPD that was looked at last.
async fn live_edge(
    stream: &mut Stream<'_>,
    context: &mut Context<'_, '_>,
    url: &Url,
    mpd: Mpd,
    state: &mut ProbeState,
) -> Result<Mpd, Failure> {
    let mut mpd = mpd;
    let mut remembered_now = std::collections::BTreeMap::new();
    let mut looked_again = false;
    loop {
        let now = (context.clock)();
        let mut again: Option<Duration> = None;
        for (index, representation) in mpd.current(now).take(MAX_RENDITIONS).enumerate() {
            let Some(newest) = representation.newest(&mpd, now) else {
                continue;
            };
            let key = stream.key(index);
            let look = look(stream, &mpd, &newest, now);
            let before = remembered_now
                .get(&key)
                .or_else(|| state.renditions.get(&key))
                .cloned();
            let verdict = judge::live_edge(&look, before.as_ref());
            let remembered = judge::remember(&look, before.as_ref());
            state.renditions.insert(key.clone(), remembered.clone());
            match verdict {
                judge::Edge::Moves { age } => {
                    stream.age = age.map(|a| a.max(stream.age.unwrap_or(f64::MIN))).or(stream.age);
                }
                judge::Edge::Stale { age } => {
                    stream.age = Some(age);
                    let message = format!(
                        "the live edge of representation {index} stands still: its newest segment is {age:.0} s old; more than {:.0} s is stale",
                        look.limit
                    );
                    return Err(Failure::fail(Reason::ManifestStale, message));
                }
                judge::Edge::Regressed if looked_again => {
                    let message = format!("the timeline of representation {index} went backwards");
                    return Err(Failure::fail(Reason::SequenceRegressed, message));
                }
                judge::Edge::Regressed => {
                    remembered_now.extend(before.map(|b| (key, b)));
                    again = again.max(Some(Duration::from_secs(1)));
                }
                judge::Edge::LookAgain => {
                    remembered_now.insert(key, remembered);
                    let wait = Duration::from_secs_f64(newest.duration.clamp(1.0, 60.0) * 1.5);
                    again = again.max(Some(wait.min(LONGEST_WAIT)));
                }
            }
        }
        let Some(wait) = again else { return Ok(mpd) };
        looked_again = true;
        sleep_until((Instant::now() + wait).min(context.deadline)).await;
        let response = stream.manifest(context, url.as_str()).await?;
        mpd = parse(&response)?;
    }
}

fn look(stream: &Stream<'_>, mpd: &Mpd, newest: &Newest, now: jiff::Timestamp) -> judge::Look {
    // A segment may be listed once it is whole, and the next a segment later.
    let limit = stream.spec.max_live_edge_age_seconds.map_or_else(
        || (3.0 * newest.duration.max(1.0)).max(mpd.suggested_delay.unwrap_or(0.0)) + newest.duration,
        f64::from,
    );
    judge::Look {
        newest: newest.position,
        edge: mpd.wall_clock(newest.end),
        limit,
        now,
    }
}
