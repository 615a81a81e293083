//! What a probe remembers between runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a probe remembers between runs. Empty at first and after a hand-over; nothing fails for the lack
/// of it, but staleness then takes a second look within the run.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct ProbeState {
    /// By step and rendition index.
    pub renditions: BTreeMap<String, RenditionState>,
}

/// What is remembered of one playlist or representation.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct RenditionState {
    /// Media sequence number, or timeline position, of the newest segment.
    pub newest: u64,
    /// When that was first seen as the newest.
    pub since: Timestamp,
}
