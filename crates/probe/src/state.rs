//! What a probe remembers between runs.

use drmwatch_checks::state::StreamState;
use drmwatch_media::Kid;
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
    /// By name of the license step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub licenses: BTreeMap<String, LicenseState>,
    /// What is fetched again only when it has changed, by URL. Stays with the runner: URLs may hold tokens.
    #[serde(skip)]
    pub(crate) cache: BTreeMap<String, Cached>,
}

/// What a license step remembers.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
pub struct LicenseState {
    /// Key ids of this period.
    #[serde(default)]
    kids: Vec<Kid>,
    /// Those of the period before.
    #[serde(default)]
    previous: Vec<Kid>,
}

impl LicenseState {
    /// Takes the key ids of now; gives those of the period before, once there was one.
    pub(crate) fn rotated(&mut self, kids: &[Kid]) -> Vec<Kid> {
        if self.kids != kids {
            self.previous = std::mem::replace(&mut self.kids, kids.to_vec());
        }
        self.previous.clone()
    }
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
