//! What is kept of each request to a licence or key server: everything that a verdict rests on, and nothing secret.
//!
//! Judging looks at this alone, so that a record of a failing run gives the same verdict again, offline.

use drmwatch_api::{DrmSystem, Flaw, LicensePolicy, LicenseReason};
use drmwatch_media::Kid;
use drmwatch_outcome::Verdict;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a request was made.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The DRM system's certificate of the server.
    Certificate,
    /// A request that nobody signed, which must be refused.
    Malformed,
    /// The licence.
    License,
    /// The same once more: another answer must come.
    Again,
    /// A renewal.
    Renewal,
    /// A licence for the key period before.
    PreviousPeriod,
    /// A wrong request, which must be refused.
    Denied(Flaw),
    /// A step that as a whole must be refused.
    Refused,
    /// Keys of a key server.
    Keys,
    /// The same keys once more.
    KeysAgain,
    /// A key server's heartbeat.
    Heartbeat,
}

/// What is known of the token that was sent.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenKnown {
    /// None was sent, or it came from an earlier step.
    #[default]
    Fresh,
    /// One whose own dates are right.
    Valid,
    /// A stored one that tells nothing of itself.
    Opaque,
}

/// What an answer must be.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// Why it was asked for.
    pub purpose: Purpose,
    /// System; absent for key servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<DrmSystem>,
    /// Key ids that it must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kids: Vec<Kid>,
    /// The challenge was recorded, not fresh.
    #[serde(default)]
    pub recorded: bool,
    /// What is known of the token.
    #[serde(default)]
    pub token: TokenKnown,
    /// Declared policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<LicensePolicy>,
    /// Provider that a certificate must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Most seconds between the clocks.
    pub max_clock_skew_seconds: i64,
    /// Statuses of a refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<u16>,
    /// Reasons of a refusal; empty is any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<LicenseReason>,
}

/// What kind of document an answer is, whatever it was to be.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Nothing, or white space.
    #[default]
    Empty,
    /// A page that asks for a password.
    LoginPage,
    /// A firewall's page.
    BlockPage,
    /// A portal of the network on the way.
    CaptivePortal,
    /// Another page.
    Html,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// Text.
    Text,
    /// Anything else.
    Binary,
}

/// What a signature proved.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
#[serde(tag = "result", content = "why")]
pub enum Proof {
    /// There is none that could be looked at without a device.
    #[default]
    NotLookedAt,
    /// It is right.
    Verified,
    /// It is wrong.
    Invalid(String),
    /// Only a device could tell.
    NotVerifiable(String),
}

/// A licence, without its keys.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct LicenseSummary {
    /// Key ids; absent where they are encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kids: Option<Vec<Kid>>,
    /// Whether it answers the request that was made, where both say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers_request: Option<bool>,
    /// Its signature.
    pub proof: Proof,
    /// Whether it allows playing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_play: Option<bool>,
    /// Whether it may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_persist: Option<bool>,
    /// Whether it can be renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_renew: Option<bool>,
    /// How long it is valid, seconds; `Some(0)` is without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u64>,
    /// When it was made, by the server's own word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<Timestamp>,
    /// Until when it is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Least security level of its content keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_level: Option<i32>,
    /// Least HDCP version of its content keys, in the order of [`drmwatch_api::HdcpVersion`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hdcp: Option<drmwatch_api::HdcpVersion>,
    /// Least output protection levels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_protection: Option<[u16; 5]>,
    /// When the certificate that signed it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer_expires: Option<Timestamp>,
}

/// What an answer says, read by its system's rules.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum Message {
    /// Nothing that the system knows.
    #[default]
    Unread,
    /// A Widevine service certificate.
    ServiceCertificate {
        /// Serial number.
        serial: String,
        /// Provider.
        provider: String,
        /// When it expires.
        expires: Option<Timestamp>,
        /// What is wrong with it.
        problem: Option<String>,
        /// Serial that the recording is encrypted to, where it is another.
        recording_serial: Option<String>,
    },
    /// A FairPlay application certificate.
    ApplicationCertificate {
        /// SHA-1 of it.
        hash: String,
        /// From when it is valid.
        not_before: Option<Timestamp>,
        /// When it expires.
        expires: Option<Timestamp>,
        /// Hash that the recording was made for, where it is another.
        recording_hash: Option<String>,
    },
    /// A licence.
    License(Box<LicenseSummary>),
    /// The system's own form of an error.
    Refusal {
        /// Its code.
        code: String,
        /// What it says.
        text: String,
        /// What it means.
        reason: LicenseReason,
    },
    /// The system's message, with a mistake in it.
    Broken {
        /// Which.
        problem: String,
    },
    /// Keys of a key server.
    Keys {
        /// Key ids.
        kids: Vec<Kid>,
        /// What is wrong.
        problem: Option<KeyProblem>,
        /// A key is another than the first time.
        changed: bool,
    },
}

/// What is wrong with a key server's document.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct KeyProblem {
    /// Its key ids are not those asked for.
    pub kids: bool,
    /// In words.
    pub text: String,
}

/// A rule that fitted an answer.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct RuleFound {
    /// What it means.
    pub reason: LicenseReason,
    /// What fitted; redacted.
    pub text: String,
}

/// One request and what came of it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// What it must be.
    pub expected: Expected,
    /// There was no answer, or what was found can't be looked at again: the verdict itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<(Verdict, String)>,
    /// Who answered.
    #[serde(default)]
    pub host: String,
    /// Status.
    #[serde(default)]
    pub status: u16,
    /// Content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Our clock when it came.
    pub at: Timestamp,
    /// The server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// `Age`, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Whether it has `Retry-After`.
    #[serde(default)]
    pub retry_after: bool,
    /// SHA-256 of the body.
    #[serde(default)]
    pub sha256: String,
    /// Bytes of the body.
    #[serde(default)]
    pub length: usize,
    /// Seconds that it took.
    #[serde(default)]
    pub latency_seconds: f64,
    /// What kind of document it is.
    #[serde(default)]
    pub shape: Shape,
    /// The same bytes as the answer before.
    #[serde(default)]
    pub same_as_before: bool,
    /// The error rule that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleFound>,
    /// What it says.
    #[serde(default)]
    pub message: Message,
}

impl Exchange {
    /// An exchange that ended otherwise than with an answer that can be looked at.
    pub fn problem(expected: Expected, at: Timestamp, verdict: Verdict, message: String) -> Exchange {
        Exchange {
            expected,
            problem: Some((verdict, message)),
            host: String::new(),
            status: 0,
            content_type: None,
            at,
            date: None,
            age: None,
            retry_after: false,
            sha256: String::new(),
            length: 0,
            latency_seconds: 0.0,
            shape: Shape::Empty,
            same_as_before: false,
            rule: None,
            message: Message::Unread,
        }
    }

    /// Whether the status is a success.
    pub fn success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
