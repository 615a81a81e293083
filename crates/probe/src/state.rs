//! What a probe remembers between runs.

use drmwatch_checks::state::StreamState;
use hyper::body::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a probe remembers between runs. Empty at first; nothing fails for the lack of it, but staleness then
/// takes a second look within the run.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct ProbeState {
    /// By name of the stream step.
    #[serde(default)]
    pub streams: BTreeMap<String, StreamState>,
    /// What is fetched again only when it has changed, by URL. Stays with the runner: URLs may hold tokens.
    #[serde(skip)]
    pub(crate) cache: BTreeMap<String, Cached>,
}

/// An answer that has an entity tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cached {
    pub etag: String,
    /// Headers that a 304 leaves out (RFC 9110 section 15.4.5).
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: Bytes,
}

impl Cached {
    /// Largest body that is kept.
    pub const MAX: usize = 16 << 10;
    /// Most answers that are kept of one probe.
    pub const MOST: usize = 32;
}
