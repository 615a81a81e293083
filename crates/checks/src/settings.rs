//! What a user may set about the checks of one stream.

use crate::{Check, Group, Severity};
use drmwatch_media::Kid;
use std::collections::BTreeMap;

/// What a user set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Failures of this severity and above fail the run.
    pub fail_on: Severity,
    /// Checks of lesser severity than this are not made.
    pub least: Severity,
    /// Groups that are not made.
    pub disabled_groups: Vec<Group>,
    /// Checks that are not made.
    pub disabled: Vec<Check>,
    /// Thresholds in the unit of each check.
    pub thresholds: BTreeMap<Check, f64>,
    /// What the stream must be.
    pub expect: Expectations,
}

/// What the stream must be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expectations {
    /// Live, on-demand, or either.
    pub live: Option<bool>,
    /// Key ids that must be signalled.
    pub kids: Vec<Kid>,
    /// Protection.
    pub encryption: Encryption,
    /// System ids that must be signalled.
    pub systems: Vec<[u8; 16]>,
    /// Least number of video rungs.
    pub min_rungs: Option<u32>,
    /// Declared bit rates of rungs that must be there, bits per second, within a tenth.
    pub bitrates: Vec<u64>,
    /// Languages of audio (RFC 5646).
    pub audio_languages: Vec<String>,
    /// Languages of subtitles.
    pub subtitle_languages: Vec<String>,
    /// Audio and video, and HD and UHD, must have keys of their own.
    pub key_per_quality: bool,
}

/// Whether content must be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// Either is right.
    #[default]
    Any,
    /// Every audio and video rendition must be.
    Required,
    /// None may be.
    Forbidden,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            fail_on: Severity::Page,
            least: Severity::Warning,
            disabled_groups: Vec::new(),
            disabled: Vec::new(),
            thresholds: BTreeMap::new(),
            expect: Expectations::default(),
        }
    }
}

impl Settings {
    /// Whether a check is made.
    pub fn wants(&self, check: Check) -> bool {
        check.severity() <= self.least
            && !self.disabled.contains(&check)
            && !self.disabled_groups.contains(&check.group())
    }

    /// The threshold of a check: what the user set, or a default.
    pub(crate) fn threshold(&self, check: Check, default: f64) -> f64 {
        self.thresholds.get(&check).copied().unwrap_or(default)
    }
}
