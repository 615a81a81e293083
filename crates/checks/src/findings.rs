//! What the checks of one run say.

use crate::{Check, Severity};
use drmwatch_media::Place;
use drmwatch_outcome::Reason;
use serde::{Deserialize, Serialize};

/// What a check says of a stream, or of one rendition of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The check.
    pub check: Check,
    /// Index of the rendition; `None` for the stream as a whole.
    pub rendition: Option<usize>,
    /// What it says.
    pub status: Status,
}

/// What a check says.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum Status {
    /// It holds.
    Ok,
    /// It does not.
    Fail {
        /// How much this failure matters.
        severity: Severity,
        /// Its reason.
        reason: Reason,
        /// What is wrong, in words: where, what was expected, what was seen.
        message: String,
    },
    /// It could not be made, or does not apply, and why.
    Skipped(String),
}

/// The findings of one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings(pub Vec<Finding>);

/// A failure in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    place: Option<Place>,
    what: String,
    expected: String,
    seen: String,
    severity: Option<Severity>,
    reason: Option<Reason>,
}

/// What is wrong.
pub(crate) fn wrong(what: impl Into<String>) -> Evidence {
    Evidence {
        what: what.into(),
        ..Evidence::default()
    }
}

impl Evidence {
    pub fn line(mut self, line: usize) -> Evidence {
        self.place = Some(Place::Line(line));
        self
    }
    pub fn expected(mut self, text: impl Into<String>) -> Evidence {
        self.expected = text.into();
        self
    }
    pub fn seen(mut self, text: impl Into<String>) -> Evidence {
        self.seen = text.into();
        self
    }
    pub fn severity(mut self, severity: Severity) -> Evidence {
        self.severity = Some(severity);
        self
    }
    pub fn reason(mut self, reason: Reason) -> Evidence {
        self.reason = Some(reason);
        self
    }

    fn message(&self) -> String {
        let mut out = self.what.clone();
        if let Some(place) = self.place {
            out += &format!(" ({place})");
        }
        match (self.expected.is_empty(), self.seen.is_empty()) {
            (false, false) => out += &format!(": expected {}, seen {}", self.expected, self.seen),
            (false, true) => out += &format!(": expected {}", self.expected),
            (true, false) => out += &format!(": seen {}", self.seen),
            (true, true) => {}
        }
        out
    }
}

impl Findings {
    pub(crate) fn ok(&mut self, check: Check, rendition: Option<usize>) {
        self.0.push(Finding {
            check,
            rendition,
            status: Status::Ok,
        });
    }

    pub(crate) fn skip(&mut self, check: Check, rendition: Option<usize>, why: impl Into<String>) {
        self.0.push(Finding {
            check,
            rendition,
            status: Status::Skipped(why.into()),
        });
    }

    pub(crate) fn fail(&mut self, check: Check, rendition: Option<usize>, evidence: Evidence) {
        let status = Status::Fail {
            severity: evidence.severity.unwrap_or(check.severity()),
            reason: evidence.reason.unwrap_or(check.reason()),
            message: evidence.message(),
        };
        self.0.push(Finding {
            check,
            rendition,
            status,
        });
    }

    /// Ok, or a failure where there is evidence.
    pub(crate) fn judge(&mut self, check: Check, rendition: Option<usize>, evidence: Option<Evidence>) {
        match evidence {
            Some(evidence) => self.fail(check, rendition, evidence),
            None => self.ok(check, rendition),
        }
    }

    /// The failures.
    pub fn failures(&self) -> impl Iterator<Item = (Check, Option<usize>, Severity, Reason, &str)> {
        self.0.iter().filter_map(|f| match &f.status {
            Status::Fail {
                severity,
                reason,
                message,
            } => Some((f.check, f.rendition, *severity, *reason, message.as_str())),
            _ => None,
        })
    }

    /// The failure that names the run: the most severe, and of those the first in the catalogue.
    pub fn worst(&self, at_least: Severity) -> Option<(Check, Option<usize>, Severity, Reason, &str)> {
        self.failures()
            .filter(|f| f.2 <= at_least)
            .min_by_key(|f| (f.2, f.0, f.1))
    }
}
