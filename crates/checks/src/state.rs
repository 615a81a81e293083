//! What is remembered of a stream between runs. Small enough to travel with a hand-over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most segments of a rendition that are remembered: their identity is compared.
pub const MAX_REMEMBERED: usize = 48;

/// What is remembered of a stream.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(default)]
pub struct StreamState {
    /// When it was looked at last.
    pub at: Option<Timestamp>,
    /// By [`crate::model::Rendition::key`].
    pub renditions: BTreeMap<String, RenditionState>,
    /// Of an MPD.
    pub mpd: Option<MpdState>,
    /// The advertisement break that is going on.
    pub open_break: Option<OpenBreak>,
    /// When a cue that was new was last seen.
    pub last_cue: Option<Timestamp>,
    /// Hashes of the cues that are known.
    pub cues: BTreeSet<u32>,
    /// When bad tokens were last tried, and whether one was taken.
    pub tokens: Option<(Timestamp, bool)>,
    /// When the checks that are made now and then were last made.
    pub occasional: Option<Timestamp>,
    /// Which rendition's turn it is.
    pub turn: u64,
    /// Seconds of media that a player who began to watch would have buffered.
    pub buffer: Option<f64>,
}

/// A break that is going on.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct OpenBreak {
    /// When it began, or was first seen.
    pub since: Timestamp,
    /// Seconds that it is said to last.
    pub duration: Option<f64>,
    /// Segment with which it began.
    pub opening: Option<u64>,
}

/// What is remembered of one playlist or representation.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct RenditionState {
    /// Number of its newest segment.
    pub newest: u64,
    /// When that was first seen as the newest.
    pub since: Timestamp,
    /// How old it was then, seconds: by its date, or by the playlist's Last-Modified.
    #[serde(default)]
    pub lag: Option<f64>,
    /// Number of its oldest segment.
    pub oldest: u64,
    /// Its newest segments: number, a hash of what must not change, and one of the keys.
    pub segments: Vec<(u64, u32, u32)>,
    /// Target duration, seconds.
    pub target: f64,
    /// EVENT or VOD.
    pub kind: Option<String>,
    /// Discontinuity sequence number of the oldest segment, and numbers of segments behind a discontinuity.
    pub discontinuities: (u64, Vec<u64>),
    /// Hashes of URL and bytes of the init segment.
    pub init: Option<(u64, u64)>,
    /// Where the timeline stood at an instant, for its rate.
    pub drift: Option<(Timestamp, f64)>,
}

/// What is remembered of an MPD.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct MpdState {
    /// availabilityStartTime.
    pub availability_start: Option<Timestamp>,
    /// Id and start (milliseconds) of each period.
    pub periods: Vec<(Option<String>, i64)>,
    /// Id of each period, ids of its representations.
    pub representations: Vec<(String, Vec<String>)>,
}

/// A short hash of texts that are compared and never shown (FNV-1a).
pub fn hash(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|p| p.iter().chain(&[0xff]))
        .fold(0xcbf2_9ce4_8422_2325, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
        })
}
