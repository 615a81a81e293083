//! Verdicts on streams: pure functions of what was found, what was remembered, and the time.

use crate::{net::Failure, state::RenditionState};
use drmwatch_media::{Kid, SegmentKind};
use drmwatch_plan::Reason;
use jiff::Timestamp;

/// One look at the live edge of a rendition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Media sequence number or timeline position of the newest segment.
    pub newest: u64,
    /// Wall-clock end of the newest segment, where the manifest tells.
    pub edge: Option<Timestamp>,
    /// Age beyond which the edge is stale, seconds.
    pub limit: f64,
    /// When this look was taken.
    pub now: Timestamp,
}

/// What a look means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Edge {
    /// The edge moves, or is young enough. `age` in seconds.
    Moves {
        /// Seconds between the newest segment's end and now.
        age: Option<f64>,
    },
    /// The dates say stale, but nothing is remembered: dates may be wrong, so a second look must tell.
    LookAgain,
    /// The edge stands still.
    Stale {
        /// Seconds between the newest segment's end, or the first sight of it, and now.
        age: f64,
    },
    /// The edge went backwards.
    Regressed,
}

/// Judges a look at the live edge.
///
/// A stream is stale only when it was *seen* not to move: an encoder whose clock is wrong writes old
/// dates on a perfectly live stream, and players do not care (draft-pantos-hls-rfc8216bis section 6.3.4
/// speaks of change, not of dates). So the age alone convicts nobody.
pub(super) fn live_edge(look: &Look, before: Option<&RenditionState>) -> Edge {
    let seconds = |since: Timestamp| look.now.duration_since(since).as_secs_f64();
    let age = look.edge.map(seconds);
    let old = age.is_some_and(|age| age > look.limit);
    match before {
        Some(state) if look.newest < state.newest => Edge::Regressed,
        Some(state) if look.newest == state.newest => {
            let standing = seconds(state.since);
            match old || standing > look.limit {
                true => Edge::Stale {
                    age: age.unwrap_or(standing).max(standing),
                },
                false => Edge::Moves {
                    age: age.or(Some(standing)),
                },
            }
        }
        Some(_) => Edge::Moves {
            age: age.or(Some(0.0)),
        },
        None if old => Edge::LookAgain,
        None => Edge::Moves { age },
    }
}

/// What to remember of a look.
pub(super) fn remember(look: &Look, before: Option<&RenditionState>) -> RenditionState {
    match before {
        Some(state) if state.newest == look.newest => state.clone(),
        _ => RenditionState {
            newest: look.newest,
            since: look.now,
        },
    }
}

/// Whether the bytes of a segment are one. Of an `opaque` one, which is ciphertext as a whole, only that
/// there is something and that it is not a page of text.
pub(super) fn segment(bytes: &[u8], host: &str, has_init: bool, opaque: bool) -> Result<(), Failure> {
    let invalid = |what: &str| {
        Err(Failure::fail(
            Reason::SegmentInvalid,
            format!("the newest segment of {host} {what}"),
        ))
    };
    match SegmentKind::of(bytes) {
        _ if bytes.is_empty() => invalid("is empty"),
        _ if opaque && bytes.is_ascii() => invalid("is text, where AES-128 ciphertext must be"),
        _ if opaque => Ok(()),
        None => invalid("is no media: neither MP4, TS, packed audio nor WebVTT"),
        Some(SegmentKind::Fmp4) | Some(SegmentKind::WebVtt) => Ok(()),
        Some(_) if has_init => invalid("is not MP4 although the manifest gives an init segment"),
        Some(_) => Ok(()),
    }
}

/// The key ids of a stream, once manifest, init segments and expectation agree.
pub(super) fn key_ids(
    signalled: &[Kid],
    contained: &[Kid],
    expected: &[String],
) -> Result<Vec<Kid>, Failure> {
    let list = |kids: &[Kid]| kids.iter().map(Kid::to_string).collect::<Vec<_>>().join(", ");
    if let Some(stranger) = contained
        .iter()
        .find(|k| !signalled.is_empty() && !signalled.contains(k))
    {
        let message = format!(
            "the init segment has key id {stranger}, the manifest says {}",
            list(signalled)
        );
        return Err(Failure::fail(Reason::KidMismatch, message));
    }
    let mut found: Vec<Kid> = signalled
        .iter()
        .chain(contained)
        .copied()
        .filter(|k| !k.is_zero())
        .collect();
    found.sort_unstable();
    found.dedup();
    for text in expected {
        let kid = Kid::parse(text)
            .map_err(|e| Failure::inconclusive(Reason::ConfigurationInvalid, e.to_string()))?;
        if found.is_empty() {
            let message = format!("the stream must have key id {kid} and has none: it is in the clear");
            return Err(Failure::fail(Reason::KidMissing, message));
        }
        if !found.contains(&kid) {
            let message = format!("the stream must have key id {kid} and has {}", list(&found));
            return Err(Failure::fail(Reason::KidMismatch, message));
        }
    }
    Ok(found)
}

/// Whether a stream is live as it must be.
pub(super) fn liveness(live: bool, wanted: Option<bool>) -> Result<(), Failure> {
    match (live, wanted) {
        (false, Some(true)) => Err(Failure::fail(
            Reason::StreamEnded,
            "the stream must be live and has ended",
        )),
        (true, Some(false)) => Err(Failure::fail(
            Reason::ExpectationFailed,
            "the stream must be on-demand and is live",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + seconds).unwrap()
    }

    /// Six-second targets: a limit of 24 s. `edge` and `since` are seconds before now.
    fn check(newest: u64, edge: Option<i64>, before: Option<(u64, i64)>) -> Edge {
        let look = Look {
            newest,
            edge: edge.map(|s| at(-s)),
            limit: 24.0,
            now: at(0),
        };
        let before = before.map(|(newest, since)| RenditionState {
            newest,
            since: at(-since),
        });
        live_edge(&look, before.as_ref())
    }

    #[test]
    fn a_stream_that_moves_is_never_stale_however_old_its_dates() {
        assert_eq!(
            check(11, Some(3600), Some((10, 60))),
            Edge::Moves { age: Some(3600.0) }
        );
        assert_eq!(
            check(11, Some(-3600), Some((10, 60))),
            Edge::Moves { age: Some(-3600.0) }
        );
    }

    #[test]
    fn an_edge_that_stands_longer_than_the_limit_is_stale_with_or_without_dates() {
        assert_eq!(check(10, Some(25), Some((10, 5))), Edge::Stale { age: 25.0 });
        assert_eq!(check(10, None, Some((10, 25))), Edge::Stale { age: 25.0 });
        assert_eq!(check(10, Some(-3600), Some((10, 60))), Edge::Stale { age: 60.0 });
    }

    #[test]
    fn an_edge_that_stands_for_less_is_not() {
        assert_eq!(
            check(10, Some(24), Some((10, 24))),
            Edge::Moves { age: Some(24.0) }
        );
        assert_eq!(check(10, None, Some((10, 10))), Edge::Moves { age: Some(10.0) });
    }

    #[test]
    fn old_dates_at_first_sight_ask_for_a_second_look() {
        assert_eq!(check(10, Some(25), None), Edge::LookAgain);
        assert_eq!(check(10, Some(23), None), Edge::Moves { age: Some(23.0) });
        assert_eq!(check(10, None, None), Edge::Moves { age: None });
    }

    #[test]
    fn a_newest_segment_below_the_remembered_one_is_a_regression() {
        assert_eq!(check(9, Some(1), Some((10, 60))), Edge::Regressed);
    }

    #[test]
    fn ciphertext_is_not_judged_as_media_and_text_is_not_taken_for_it() {
        let judge =
            |bytes: &[u8], opaque| segment(bytes, "h", false, opaque).map_err(|f| f.verdict.to_string());
        assert_eq!(judge(&[0x9c, 0xff, 0x01, 0x80].repeat(64), true), Ok(()));
        assert_eq!(
            judge(&[0x9c, 0xff, 0x01, 0x80].repeat(64), false),
            Err("Fail(SegmentInvalid)".into())
        );
        assert_eq!(
            judge(b"<html>error</html>", true),
            Err("Fail(SegmentInvalid)".into())
        );
        assert_eq!(judge(b"", true), Err("Fail(SegmentInvalid)".into()));
    }

    #[test]
    fn key_ids_must_agree() {
        let kid = |n: u8| Kid([n; 16]);
        let reason = |r: Result<Vec<Kid>, Failure>| r.unwrap_err().verdict.reason().unwrap();
        assert_eq!(
            key_ids(&[kid(1)], &[kid(1)], &[kid(1).to_string()]),
            Ok(vec![kid(1)])
        );
        assert_eq!(key_ids(&[], &[kid(1)], &[]), Ok(vec![kid(1)]));
        assert_eq!(reason(key_ids(&[kid(1)], &[kid(2)], &[])), Reason::KidMismatch);
        assert_eq!(
            reason(key_ids(&[kid(1)], &[], &[kid(2).to_string()])),
            Reason::KidMismatch
        );
        assert_eq!(
            reason(key_ids(&[], &[], &[kid(2).to_string()])),
            Reason::KidMissing
        );
    }
}
