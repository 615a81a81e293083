//! The closed list of reasons.

use serde::{Deserialize, Serialize};

/// Whose the fault is, as far as a probe can tell.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// Name resolution, routing or transport on the way to the tenant.
    Network,
    /// The server's certificate or TLS set-up.
    Certificate,
    /// The HTTP service: origin, CDN, token service.
    Service,
    /// Manifest, playlists and segments: packager or origin.
    Stream,
    /// The licence server or what it says.
    License,
    /// Something was given that must be refused.
    Entitlement,
    /// What the user wrote does not fit what is there.
    Configuration,
    /// drmwatch itself or the place where it runs.
    Monitor,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident: $domain:ident),+ $(,)?) => {
        /// Why a run did not pass. Closed: a new reason is a new line here, and shows up in the metric
        /// label, the condition, the Event, the alert and the reference page alike.
        #[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// Every reason, in the order of the list.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),+];

            /// The word, as it stands in metrics, conditions and Events.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name)),+ }
            }

            /// Whose the fault is.
            pub fn domain(self) -> Domain {
                match self { $(Reason::$name => Domain::$domain),+ }
            }

            /// What it means, in a sentence or two.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc),+)),+ }
            }
        }
    };
}

reasons! {
    /// The name does not exist or has no address, say the authoritative servers.
    DnsFailure: Network,
    /// Nothing listens on the port.
    ConnectionRefused: Network,
    /// The connection could not be made for another reason.
    ConnectionFailed: Network,
    /// A connection could not be made in time.
    ConnectionTimeout: Network,
    /// The server closed or reset the connection before its answer was whole.
    ConnectionClosed: Network,
    /// The run or the step took longer than it may.
    Timeout: Network,
    /// TLS could not be agreed on: no common version or cipher, or an alert.
    TlsHandshakeFailed: Certificate,
    /// The server's certificate is past its notAfter.
    CertificateExpired: Certificate,
    /// The server's certificate is before its notBefore.
    CertificateNotYetValid: Certificate,
    /// The server's certificate does not lead to a trusted root.
    CertificateUntrusted: Certificate,
    /// The server's certificate is for another name.
    CertificateNameMismatch: Certificate,
    /// The answer is not HTTP, or broken HTTP: a bad status line, a broken chunk, a bad encoding.
    ProtocolError: Service,
    /// The answer is larger than the cap for its kind, before or after decompression.
    BodyTooLarge: Service,
    /// More redirects than allowed, or a circle.
    TooManyRedirects: Service,
    /// A redirect without a usable Location.
    RedirectInvalid: Service,
    /// The answer is 401 or 403.
    AccessDenied: Service,
    /// The answer is 404 or 410.
    NotFound: Service,
    /// The answer is 429.
    RateLimited: Service,
    /// The answer is another 4xx.
    ClientError: Service,
    /// The answer is 5xx.
    ServerError: Service,
    /// The answer has a status that is not a success (1xx or 3xx).
    UnexpectedStatus: Service,
    /// The answer is a success without a body.
    EmptyResponse: Service,
    /// The answer lacks a value that a later step needs.
    OutputMissing: Service,
    /// A condition of `expect` does not hold.
    ExpectationFailed: Service,
    /// The answer is not a manifest: HTML, JSON, or something else.
    NotAManifest: Stream,
    /// The manifest breaks its specification.
    ManifestInvalid: Stream,
    /// The newest segment is older than it may be: the live edge stands still.
    ManifestStale: Stream,
    /// The media sequence number or the live edge went backwards.
    SequenceRegressed: Stream,
    /// A stream that must be live has ended, or is on-demand.
    StreamEnded: Stream,
    /// The manifest lists no segment.
    NoSegments: Stream,
    /// The newest listed segment can't be fetched.
    SegmentMissing: Stream,
    /// A segment is not what its format says.
    SegmentInvalid: Stream,
    /// The init segment can't be fetched.
    InitSegmentMissing: Stream,
    /// The init segment is not what its format says.
    InitSegmentInvalid: Stream,
    /// Key ids in manifest, init segment and expectation differ.
    KidMismatch: Stream,
    /// No key id is signalled where one is needed: the stream is in the clear.
    KidMissing: Stream,
    /// The licence server answered 401 or 403 to a request that it must grant.
    LicenseDenied: License,
    /// The licence server answered with an error.
    LicenseServerError: License,
    /// The licence server's success is not a licence: HTML, nothing, or another document.
    NotALicense: License,
    /// The licence breaks its specification.
    LicenseInvalid: License,
    /// The licence lacks a key that was asked for.
    KeyMissing: License,
    /// The canary segment does not open with the licence's key.
    CanaryNotOpened: License,
    /// Something was granted that must be refused.
    EntitlementLeak: Entitlement,
    /// A refusal that must happen did, but not as it must.
    WrongRefusal: Entitlement,
    /// The address is in a range that the pool does not allow.
    AddressRefused: Configuration,
    /// A URL, header or expression is not usable once its references are filled in.
    ConfigurationInvalid: Configuration,
    /// A credential that the plan names is not there.
    CredentialMissing: Configuration,
    /// Whether the canary opened can't be told from its codec.
    CanaryNotVerifiable: Configuration,
    /// The runner's own resolver does not answer.
    LocalDns: Monitor,
    /// The runner has no route or no socket.
    LocalNetwork: Monitor,
    /// The runner was told to stop during the run.
    ShuttingDown: Monitor,
    /// The runner broke. This is a bug: please report it.
    InternalError: Monitor,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reason {
    /// The reason with this word.
    pub fn parse(word: &str) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|r| r.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_camel_case_unique_and_come_back() {
        let pattern = regex::Regex::new("^[A-Z][A-Za-z]*$").unwrap();
        for reason in Reason::ALL {
            assert!(
                pattern.is_match(reason.as_str()),
                "conditions demand CamelCase: {reason}"
            );
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
            assert!(!reason.meaning().trim().is_empty());
        }
    }
}
