//! Delta updates (section 6.2.5.1): a playlist whose oldest segments are replaced by `EXT-X-SKIP`.

use super::{Media, Segment, plus};
use thiserror::Error;

/// Why a delta update can't be applied.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum DeltaError {
    /// There is no `EXT-X-SKIP`.
    #[error("it has no EXT-X-SKIP")]
    NotADelta,
    /// The skipped segments are not all in the earlier playlist.
    #[error("it skips segment {0}, which the earlier playlist does not have")]
    Unknown(u64),
}

/// The whole playlist that a delta update stands for, given an earlier whole one.
pub fn merge(before: &Media, delta: &Media) -> Result<Media, DeltaError> {
    let skipped = delta.skipped.ok_or(DeltaError::NotADelta)?;
    let end = delta.media_sequence.saturating_add(skipped);
    let first = before.segments.first().map_or(0, |s| s.sequence);
    if delta.media_sequence < first {
        return Err(DeltaError::Unknown(delta.media_sequence));
    }
    let kept: Vec<Segment> = before
        .segments
        .iter()
        .filter(|s| (delta.media_sequence..end).contains(&s.sequence))
        .cloned()
        .collect();
    if (kept.len() as u64) < skipped {
        return Err(DeltaError::Unknown(
            delta.media_sequence.saturating_add(kept.len() as u64),
        ));
    }
    let last = kept.last().cloned();
    let mut merged = Media {
        segments: kept,
        skipped: None,
        ..delta.clone()
    };
    // What the skipped lines said goes on to hold: discontinuities so far, key, init section, clock.
    let mut clock = last.as_ref().and_then(|s| plus(s.program_date_time?, s.duration));
    for (n, segment) in delta.segments.iter().enumerate() {
        let mut segment = segment.clone();
        if let Some(last) = &last {
            let listed = segment.discontinuity_sequence
                - delta.discontinuity_sequence.min(segment.discontinuity_sequence);
            segment.discontinuity_sequence = last.discontinuity_sequence.saturating_add(listed);
            segment.map = segment.map.or_else(|| last.map.clone());
            if segment.keys.is_empty() && !delta.segments[..=n].iter().any(|s| !s.keys.is_empty()) {
                segment.keys = last.keys.clone();
            }
        }
        if segment.discontinuity {
            clock = None;
        }
        segment.program_date_time = segment.program_date_time.or(clock);
        clock = segment
            .program_date_time
            .and_then(|at| plus(at, segment.duration));
        merged.segments.push(segment);
    }
    Ok(merged)
}
