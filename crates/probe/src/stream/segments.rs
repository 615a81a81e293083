//! Init segments and media segments of one rendition.

use super::fetch::{Ask, Fetched, Fetcher};
use drmwatch_checks::{
    model::{InitSegment, Kind, Loaded, Rendition, Segment},
    state::hash,
};
use drmwatch_media::{
    SegmentKind,
    bmff::{BoxError, Head, Init, Track},
    text,
    ts::TsHead,
};
use drmwatch_net::Failure;
use drmwatch_outcome::{Reason, Verdict};
use futures::future::{BoxFuture, FutureExt};
use hyper::body::Bytes;
use std::time::Duration;
use url::Url;

/// Largest init segment.
const MAX_INIT: usize = 1 << 20;
/// How much of a segment is fetched: heads tell what a probe must know.
const SEGMENT_HEAD: u64 = 16 << 10;
/// Largest head that is fetched when the sample tables are longer than that.
const LONG_HEAD: u64 = 512 << 10;
/// Largest segment that is fetched whole.
const MAX_SEGMENT: usize = 64 << 20;

/// Where a segment is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub url: Url,
    /// Offset and length.
    pub range: Option<(u64, u64)>,
    pub number: u64,
    /// Seconds, by the manifest.
    pub duration: f64,
    /// Ticks, as in [`Segment::time`].
    pub time: Option<u64>,
    pub discontinuity: bool,
    /// Not whole yet.
    pub growing: bool,
    /// Ciphertext as a whole.
    pub opaque: bool,
}

/// What to fetch for a rendition.
#[derive(Default)]
pub(super) struct Wanted {
    pub init: Option<(Url, Option<(u64, u64)>)>,
    pub newest: Option<Place>,
    pub second: Option<Place>,
    pub oldest: Option<Place>,
    /// Fetch the newest segment whole, to measure.
    pub whole: bool,
    /// Keep the newest segment's bytes where it can be opened as a canary.
    pub canary: bool,
}

/// The track and the bytes of a segment that a licence step can open.
pub(super) type Canary = (Track, Bytes);

/// What is kept of a rendition's segments beside what the judges see.
#[derive(Default)]
pub(super) struct Kept {
    pub canary: Option<Canary>,
    /// Where the newest segment is.
    pub segment: Option<Url>,
    /// How it begins.
    pub beginning: Option<[u8; 16]>,
    /// Whether an AES-128 key opens it.
    pub key: Option<Result<(), (Reason, String)>>,
    /// Where the init segment is.
    pub init: Option<Url>,
    /// Where the key is.
    pub key_url: Option<Url>,
}

/// Fetches what is wanted into the rendition. An inconclusive failure is ours, and ends the run.
pub(super) async fn gather(
    fetcher: &Fetcher<'_>,
    rendition: &mut Rendition,
    wanted: Wanted,
) -> Result<Kept, Failure> {
    if let Some((url, range)) = &wanted.init {
        rendition.init = match init(fetcher, url, *range).await {
            Ok(found) => Loaded::Found(found),
            Err(failure) => lost(failure)?,
        };
    } else {
        rendition.init = Loaded::Absent("there is no init segment".into());
    }
    let track = rendition
        .init
        .found()
        .and_then(|i| i.init.tracks.first().cloned());
    let mut kept = Kept {
        init: wanted.init.as_ref().map(|(url, _)| url.clone()),
        ..Kept::default()
    };
    // Without its init segment no segment of it can be judged.
    if matches!(rendition.init, Loaded::Failed(..)) {
        return Ok(kept);
    }
    let openable = track
        .clone()
        .filter(|t| wanted.canary && drmwatch_drm::canary::verifiable(t));
    match &wanted.newest {
        None => rendition.newest = Loaded::Absent("the manifest lists none".into()),
        Some(place) => {
            let whole = wanted.whole || openable.is_some();
            match newest(fetcher, place, track.as_ref(), whole).await {
                Ok((segment, bytes)) => {
                    if wanted.whole && !place.growing {
                        rendition.whole = Some((segment.exchange.clone(), place.duration));
                    }
                    kept.segment = Some(place.url.clone());
                    kept.beginning = bytes.get(..16).and_then(|b| b.try_into().ok());
                    kept.canary = openable.map(|t| (t, bytes));
                    rendition.newest = Loaded::Found(segment);
                }
                Err(failure) => rendition.newest = lost(failure)?,
            }
        }
    }
    if let Some(place) = wanted.second.filter(|_| rendition.kind != Kind::Text) {
        rendition.second = match fetcher.has_time() {
            false => Loaded::Absent("there was no time left for it".into()),
            true => match head(fetcher, &place, track.as_ref()).await {
                Ok((segment, _)) => Loaded::Found(segment),
                Err(failure) => lost(failure)?,
            },
        };
    }
    if let Some(place) = wanted.oldest {
        rendition.oldest = match fetcher.has_time() {
            false => Loaded::Absent("there was no time left for it".into()),
            true => oldest(fetcher, &place, &rendition.label).await?,
        };
    }
    Ok(kept)
}

/// A failure of the tenant's is a value; ours ends the run.
pub(super) fn lost<T>(failure: Failure) -> Result<Loaded<T>, Failure> {
    match failure.verdict {
        Verdict::Fail(reason) => Ok(Loaded::Failed(reason, failure.message)),
        _ => Err(failure),
    }
}

async fn init(fetcher: &Fetcher<'_>, url: &Url, range: Option<(u64, u64)>) -> Result<InitSegment, Failure> {
    let ask = match range {
        Some((offset, length)) => Ask {
            truncate: true,
            ..Ask::head(offset, length.min(MAX_INIT as u64))
        },
        None => Ask {
            remember: true,
            ..Ask::whole(MAX_INIT)
        },
    };
    let fetched = fetcher.get(url, &ask).await?;
    if let Err(failure) = fetcher.success(url, &fetched) {
        let message = format!("the init segment: {}", failure.message);
        return Err(Failure::fail(
            missing(&failure, Reason::InitSegmentMissing),
            message,
        ));
    }
    let bytes = fetched.slice(ask.range);
    let init = Init::parse(&bytes).map_err(|e| {
        let message = format!("the init segment of {}: {e}", fetched.response.host());
        Failure::fail(Reason::InitSegmentInvalid, message)
    })?;
    let place = format!("{}{range:?}", &url[..url::Position::AfterPath]);
    Ok(InitSegment {
        init,
        identity: (hash(&[place.as_bytes()]), hash(&[&bytes])),
    })
}

/// Packagers publish the playlist before every server has the segment, so a missing one is waited for, as
/// long as the next one takes.
pub(super) async fn patiently<'a, T>(
    fetcher: &Fetcher<'_>,
    duration: f64,
    attempt: impl Fn() -> BoxFuture<'a, Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    let patience = Duration::from_secs_f64(duration.clamp(1.0, 6.0));
    let until = tokio::time::Instant::now() + patience;
    loop {
        match attempt().await {
            Err(failure)
                if failure.verdict == Verdict::Fail(Reason::SegmentMissing)
                    && tokio::time::Instant::now() < until
                    && fetcher.has_time() =>
            {
                fetcher.pause(Duration::from_secs(1).min(patience / 2)).await;
            }
            other => return other,
        }
    }
}

async fn newest(
    fetcher: &Fetcher<'_>,
    place: &Place,
    track: Option<&Track>,
    whole: bool,
) -> Result<(Segment, Bytes), Failure> {
    patiently(fetcher, place.duration, || match whole {
        true => full(fetcher, place, track).boxed(),
        false => head(fetcher, place, track).boxed(),
    })
    .await
}

async fn full(
    fetcher: &Fetcher<'_>,
    place: &Place,
    track: Option<&Track>,
) -> Result<(Segment, Bytes), Failure> {
    let ask = match place.range {
        Some((offset, length)) => Ask {
            truncate: true,
            ..Ask::head(offset, length.min(MAX_SEGMENT as u64))
        },
        None => Ask::whole(MAX_SEGMENT),
    };
    let fetched = fetcher.get(&place.url, &ask).await?;
    let bytes = present(fetcher, place, &fetched, &ask)?;
    let mut segment = judge_bytes(&fetched, place, track, &bytes)?;
    segment.whole = true;
    segment.size = Some(bytes.len() as u64);
    segment.ranged = false;
    Ok((segment, bytes))
}

async fn head(
    fetcher: &Fetcher<'_>,
    place: &Place,
    track: Option<&Track>,
) -> Result<(Segment, Bytes), Failure> {
    let (first, available) = place.range.unwrap_or((0, u64::MAX));
    let mut length = available.min(SEGMENT_HEAD);
    loop {
        let ask = Ask::head(first, length);
        let fetched = fetcher.get(&place.url, &ask).await?;
        let bytes = present(fetcher, place, &fetched, &ask)?;
        let mut segment = judge_bytes(&fetched, place, track, &bytes)?;
        // Sample tables longer than the head: encrypted video of many samples.
        if let Some(Err(BoxError::Cut { offset, size, .. })) = &segment.head
            && length < available.min(LONG_HEAD)
        {
            length = (*offset as u64)
                .saturating_add(*size)
                .min(available)
                .min(LONG_HEAD)
                .max(length + 1);
            continue;
        }
        segment.size = match place.range {
            Some((_, length)) => Some(length),
            None => fetched.total(),
        };
        segment.whole = segment.size.is_some_and(|size| size <= bytes.len() as u64);
        segment.ranged = true;
        return Ok((segment, bytes));
    }
}

/// What a failure to have something means: that it is missing, unless the token is refused.
fn missing(failure: &Failure, otherwise: Reason) -> Reason {
    match failure.verdict {
        Verdict::Fail(reason @ (Reason::TokenRefused | Reason::TokenNotPropagated)) => reason,
        _ => otherwise,
    }
}

fn present(fetcher: &Fetcher<'_>, place: &Place, fetched: &Fetched, ask: &Ask) -> Result<Bytes, Failure> {
    match fetcher.success(&place.url, fetched) {
        Ok(()) => Ok(fetched.slice(ask.range)),
        Err(failure) => {
            let message = format!("the newest segment: {}", failure.message);
            Err(Failure::fail(missing(&failure, Reason::SegmentMissing), message))
        }
    }
}

/// Whether the bytes of a segment are one, and what is in them. Of an opaque one, which is ciphertext as a
/// whole, only that there is something and that it is not a page of text.
fn judge_bytes(
    fetched: &Fetched,
    place: &Place,
    track: Option<&Track>,
    bytes: &Bytes,
) -> Result<Segment, Failure> {
    let host = fetched.response.host();
    let invalid = |what: &str| {
        Failure::fail(
            Reason::SegmentInvalid,
            format!("the newest segment of {host} {what}"),
        )
    };
    let kind = SegmentKind::of(bytes);
    let mut segment = Segment {
        exchange: fetched.exchange.clone(),
        number: place.number,
        duration: place.duration,
        time: place.time,
        discontinuity: place.discontinuity,
        growing: place.growing,
        byte_range: place.range.is_some(),
        kind,
        opaque: place.opaque,
        ..Segment::default()
    };
    if bytes.is_empty() {
        return Err(invalid("is empty"));
    }
    if place.opaque {
        return match bytes.is_ascii() {
            true => Err(invalid("is text, where AES-128 ciphertext must be")),
            false => Ok(segment),
        };
    }
    match kind {
        Some(SegmentKind::Fmp4) => {
            let head = Head::parse(bytes, track);
            match head {
                // Cut off: whoever asked may ask for more.
                Err(BoxError::Cut { .. }) => {}
                Err(error) => return Err(invalid(&format!("is not whole: {error}"))),
                Ok(_) => {}
            }
            segment.head = Some(head);
        }
        Some(SegmentKind::Ts) if track.is_some() => {
            return Err(invalid("is not MP4 although the manifest gives an init segment"));
        }
        Some(SegmentKind::Ts) => segment.ts = Some(TsHead::scan(bytes)),
        Some(SegmentKind::WebVtt) => segment.subtitles = Some(text::webvtt(bytes)),
        Some(SegmentKind::PackedAudio) => {}
        None if bytes.starts_with(b"<?xml") || bytes.starts_with(b"<tt") => {
            let found = text::ttml(bytes);
            // Any other XML is an error page of some server.
            if found.problems.iter().any(|p| p.message.contains("root element")) {
                return Err(invalid("is no media: it is XML, and not TTML"));
            }
            segment.subtitles = Some(found);
        }
        None => {
            return Err(invalid(
                "is no media: neither MP4, TS, packed audio nor subtitles",
            ));
        }
    }
    Ok(segment)
}

async fn oldest(
    fetcher: &Fetcher<'_>,
    place: &Place,
    label: &str,
) -> Result<Loaded<drmwatch_checks::model::Exchange>, Failure> {
    let first = place.range.map_or(0, |r| r.0);
    match fetcher.get(&place.url, &Ask::head(first, 1)).await {
        Ok(fetched) if fetched.response.status.is_success() => Ok(Loaded::Found(fetched.exchange)),
        Ok(fetched) => {
            let status = fetched.response.status.as_u16();
            let message =
                format!("the oldest segment of {label} that the manifest gives is not there: {status}");
            Ok(Loaded::Failed(Reason::SegmentMissing, message))
        }
        Err(failure) => lost(failure),
    }
}
