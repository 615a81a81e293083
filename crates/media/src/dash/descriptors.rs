//! The small elements of an MPD.

use crate::Kid;
use jiff::Timestamp;

/// A descriptor: a scheme and a value (clause 5.8.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// `schemeIdUri`.
    pub scheme: String,
    /// `value`.
    pub value: String,
    /// Line of the element.
    pub line: usize,
}

/// BaseURL (clause 5.6).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BaseUrl {
    /// The URL, as written.
    pub url: String,
    /// `serviceLocation`.
    pub service_location: Option<String>,
    /// `dvb:priority`; 1 when absent.
    pub priority: u64,
    /// `availabilityTimeOffset`, seconds; infinite for `INF`.
    pub availability_offset: Option<f64>,
    /// `availabilityTimeComplete`.
    pub availability_complete: Option<bool>,
    /// Line of the element.
    pub line: usize,
}

/// ContentProtection (clause 5.8.4.1 and ISO/IEC 23001-7 section 11.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentProtection {
    /// `schemeIdUri` in lower case: `urn:mpeg:dash:mp4protection:2011`, or `urn:uuid:` and a system id.
    pub scheme: String,
    /// `value`: for mp4protection the scheme, `cenc` or `cbcs`.
    pub value: String,
    /// `cenc:default_KID`, each.
    pub kids: Vec<Kid>,
    /// `cenc:pssh`: whole boxes, out of their Base64.
    pub pssh: Vec<Vec<u8>>,
    /// `mspr:pro`: PlayReady objects, out of their Base64.
    pub pro: Vec<Vec<u8>>,
    /// `dashif:Laurl` and its kin: licence server URLs.
    pub license_urls: Vec<String>,
    /// Line of the element.
    pub line: usize,
}

impl ContentProtection {
    /// The system id in `urn:uuid:…`.
    pub fn system(&self) -> Option<[u8; 16]> {
        Some(Kid::parse(self.scheme.strip_prefix("urn:uuid:")?).ok()?.0)
    }

    /// Whether this is the common descriptor that names scheme and key ids.
    pub fn is_common(&self) -> bool {
        self.scheme == "urn:mpeg:dash:mp4protection:2011"
    }
}

/// ServiceDescription/Latency (clause K.3.2), milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// `target`.
    pub target: Option<u64>,
    /// `min`.
    pub min: Option<u64>,
    /// `max`.
    pub max: Option<u64>,
}

/// ContentSteering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    /// The steering server.
    pub server: String,
    /// `defaultServiceLocation`.
    pub default: Option<String>,
    /// Line of the element.
    pub line: usize,
}

/// ProducerReferenceTime (clause 5.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerReference {
    /// `wallClockTime`.
    pub wall_clock: Option<Timestamp>,
    /// `presentationTime`, ticks.
    pub presentation_time: u64,
    /// `inband`.
    pub inband: bool,
    /// Line of the element.
    pub line: usize,
}

/// EventStream (clause 5.10.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventStream {
    /// `schemeIdUri`.
    pub scheme: String,
    /// Ticks per second.
    pub timescale: u64,
    /// Its events.
    pub events: Vec<Event>,
    /// Line of the element.
    pub line: usize,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// `presentationTime`, ticks.
    pub presentation_time: u64,
    /// `duration`, ticks.
    pub duration: Option<u64>,
    /// `id`.
    pub id: Option<String>,
    /// SCTE 35 section in `Signal/Binary` (SCTE 214-1): `None` where there is none, `Some(None)` where it is
    /// not Base64.
    pub scte35: Option<Option<Vec<u8>>>,
    /// Line of the element.
    pub line: usize,
}
