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
    /// The key server, where packagers get their keys.
    KeyServer,
    /// Something was given that must be refused.
    Entitlement,
    /// What the user wrote does not fit what is there.
    Configuration,
    /// drmwatch itself or the place where it runs.
    Monitor,
}

impl Domain {
    /// Every domain, in the order of the list.
    pub const ALL: [Domain; 9] = [
        Domain::Network,
        Domain::Certificate,
        Domain::Service,
        Domain::Stream,
        Domain::License,
        Domain::KeyServer,
        Domain::Entitlement,
        Domain::Configuration,
        Domain::Monitor,
    ];

    /// The word, as it stands in records, reports and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Domain::Network => "Network",
            Domain::Certificate => "Certificate",
            Domain::Service => "Service",
            Domain::Stream => "Stream",
            Domain::License => "License",
            Domain::KeyServer => "KeyServer",
            Domain::Entitlement => "Entitlement",
            Domain::Configuration => "Configuration",
            Domain::Monitor => "Monitor",
        }
    }

    /// Whose it is, in words that follow "whose:".
    pub fn words(self) -> &'static str {
        match self {
            Domain::Network => "the network on the way, or its names",
            Domain::Certificate => "whoever runs the server's TLS",
            Domain::Service => "the service: origin, CDN or token service",
            Domain::Stream => "the packager or the origin",
            Domain::License => "the licence server",
            Domain::KeyServer => "the key server",
            Domain::Entitlement => "whoever decides who may have what",
            Domain::Configuration => "what was configured here",
            Domain::Monitor => "drmwatch, or the place where it runs",
        }
    }
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
    /// The TLS version is too old, or the certificate expires soon.
    TlsWeak: Certificate,
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
    /// A live manifest may be cached for longer than it is true.
    CacheTooLong: Service,
    /// A live manifest sat in a cache for too long.
    CacheAged: Service,
    /// Caching of segments or of errors is set wrongly.
    ErrorCached: Service,
    /// Compression or content types are wrong.
    DeliveryHeadersWrong: Service,
    /// Browsers of other origins may not read what they must.
    CorsWrong: Service,
    /// Range requests are not answered as ranges.
    RangeUnsupported: Service,
    /// Redirects where there must be none.
    RedirectUnwanted: Service,
    /// HTTP/2 is not offered, or an address of the name does not answer.
    ProtocolMissing: Service,
    /// An alternative location does not serve the stream.
    FailoverBroken: Service,
    /// A fresh token is refused.
    TokenRefused: Service,
    /// What the manifest lists does not carry the token on.
    TokenNotPropagated: Service,
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
    /// Segments last longer or shorter than the manifest says.
    DurationMismatch: Stream,
    /// A variant names a rendition group that is not there.
    RenditionGroupMissing: Stream,
    /// The manifest lacks what clients need, or contradicts itself.
    ManifestIncomplete: Stream,
    /// The bootstrap of an HDS stream can't be had or read.
    BootstrapInvalid: Stream,
    /// A URI of the manifest does not lead to http or https.
    UriInvalid: Stream,
    /// The content steering manifest can't be had, or steers to what is not there.
    SteeringFailed: Stream,
    /// A segment that was published has changed.
    SegmentMutated: Stream,
    /// The manifest changed what must not change while it is live.
    IllegalChange: Stream,
    /// The manifest lists too little to play from.
    WindowTooShort: Stream,
    /// The discontinuity sequence number does not grow as discontinuities are removed.
    DiscontinuityMiscounted: Stream,
    /// The newest segment is old, or in the future, by its own dates, while the stream moves.
    LiveLatencyHigh: Stream,
    /// The media timeline runs faster or slower than the clock.
    TimelineDrift: Stream,
    /// Servers behind the same name serve different live edges.
    EdgesDisagree: Stream,
    /// The headers of a live playlist say that it was not modified for long.
    OriginStale: Stream,
    /// A low-latency server does not answer blocking requests as it must.
    BlockingReloadBroken: Stream,
    /// Low-latency signalling breaks its rules.
    LowLatencyInvalid: Stream,
    /// The clock that the manifest gives to clients is wrong.
    ClockSkewed: Stream,
    /// The newest listed segment lies in the future, or far behind the clock.
    LiveEdgeWrong: Stream,
    /// Suggested delay and time shift buffer do not fit.
    DelayInvalid: Stream,
    /// A Smooth Streaming fragment's times are not those of its URL.
    SmoothTimingWrong: Stream,
    /// A segment downloads more slowly than it plays.
    DownloadSlow: Stream,
    /// A segment does not begin where the one before it ended, or where the manifest says.
    TimelineGap: Stream,
    /// The init segment is not what the manifest declares.
    DeclarationMismatch: Stream,
    /// A video segment does not begin with a random access point.
    NoRandomAccess: Stream,
    /// Audio and video end far apart.
    AudioVideoSkew: Stream,
    /// An init segment changed without a discontinuity.
    InitSegmentChanged: Stream,
    /// The manifest lists missing segments, or its timeline jumps.
    SegmentGap: Stream,
    /// Producer times, indexes or event messages in a segment are wrong.
    SegmentMetadataInvalid: Stream,
    /// Content that must be protected is in the clear.
    ClearLeak: Stream,
    /// Manifest and media name different protection schemes.
    SchemeMismatch: Stream,
    /// An expected DRM system is not signalled.
    DrmSystemMissing: Stream,
    /// A DRM system's data names another key id than the media.
    PsshMismatch: Stream,
    /// The PlayReady object can't be read or does not fit the scheme.
    PlayReadyHeaderInvalid: Stream,
    /// Pattern or initialisation vector do not fit the scheme.
    EncryptionPatternWrong: Stream,
    /// A FairPlay key is not signalled as players need it.
    FairPlaySignallingWrong: Stream,
    /// A key change shows in the manifest or in the media only.
    KeyRotationWrong: Stream,
    /// The encryption data does not fit the samples.
    SampleEncryptionInvalid: Stream,
    /// Key ids are shared where they must differ.
    KeyPolicyViolated: Stream,
    /// The AES-128 key is not one, or does not open the segment.
    KeyInvalid: Stream,
    /// An expected rung of the ladder is missing.
    RungMissing: Stream,
    /// Segments are larger than the declared bit rate allows.
    BitrateMismatch: Stream,
    /// Variants do not declare what players choose by.
    DeclarationIncomplete: Stream,
    /// Rungs of the ladder are not aligned.
    VariantsMisaligned: Stream,
    /// Neighbouring rungs lie too close or too far apart.
    LadderUneven: Stream,
    /// An expected language is missing.
    TrackMissing: Stream,
    /// Rendition groups break their rules.
    RenditionGroupInvalid: Stream,
    /// Audio is out of step with video.
    AudioOutOfStep: Stream,
    /// Subtitles can't be read.
    SubtitlesInvalid: Stream,
    /// Trick-play playlists are not marked as such.
    TrickPlayInvalid: Stream,
    /// A SCTE 35 cue can't be read.
    CueInvalid: Stream,
    /// An advertisement break does not end.
    AdBreakOpen: Stream,
    /// No cue came for too long.
    CueStoppage: Stream,
    /// Date ranges break their rules.
    DateRangeInvalid: Stream,
    /// The splice into an advertisement is broken.
    AdBreakBroken: Stream,
    /// Periods have no id, or do not follow each other.
    PeriodInvalid: Stream,
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
    /// The DRM system's certificate of the server breaks its specification, or its root did not sign it.
    DrmCertificateInvalid: License,
    /// The DRM system's certificate of the server has expired.
    DrmCertificateExpired: License,
    /// The licence server can't read a request that is right.
    ChallengeRefused: License,
    /// The licence server does not know the key or the content.
    KeyNotFound: License,
    /// The licence server says that something behind it is away for now: 503 with Retry-After, or a vendor's code.
    BackendUnavailable: License,
    /// The licence server says that the token has expired, and by its own date it has not.
    TokenExpired: License,
    /// The licence server says that the token is not valid yet, and by its own date it is.
    TokenNotYetValid: License,
    /// The licence server says that the token is not genuine.
    TokenInvalid: License,
    /// The licence server says that the token was used before.
    TokenReused: License,
    /// The licence server refuses for the place from which is asked.
    GeoDenied: License,
    /// The licence server counts too many streams at a time.
    ConcurrencyLimit: License,
    /// The licence server counts too many devices.
    DeviceLimit: License,
    /// The licence server says that the test device is revoked.
    DeviceRevoked: License,
    /// The licence server says that the test device is not secure enough.
    SecurityLevelTooLow: License,
    /// The licence answers another request: it comes from a cache, or was mixed up.
    LicenseStale: License,
    /// The signature of the licence is wrong.
    LicenseSignatureInvalid: License,
    /// The licence allows or demands something else than was declared.
    PolicyDrift: License,
    /// The licence server's clock is wrong, it says so itself or its dates do.
    LicenseClockSkewed: License,
    /// A login page came in place of a licence.
    LoginPageServed: License,
    /// A firewall or gateway in front of the licence server blocks the request.
    GatewayBlocked: License,
    /// A portal of the network on the way answered in the server's place.
    CaptivePortal: Network,
    /// The key server denied the request.
    KeyServerDenied: KeyServer,
    /// The key server answered with an error.
    KeyServerError: KeyServer,
    /// The key server's answer is no CPIX document, or breaks the rules of CPIX or SPEKE.
    KeyDocumentInvalid: KeyServer,
    /// The key server gives other key ids than were asked for.
    KeyServerKidMismatch: KeyServer,
    /// The key server gives another key for the same content and key id than before.
    KeyChanged: KeyServer,
    /// A plug-in says that the service does not do what it must.
    PluginFailed: Service,
    /// The canary segment does not open with the licence's key.
    CanaryNotOpened: License,
    /// Something was granted that must be refused.
    EntitlementLeak: Entitlement,
    /// A refusal that must happen did, but not as it must.
    WrongRefusal: Entitlement,
    /// Content is served without a valid token.
    TokenLeak: Entitlement,
    /// The address is in a range that the pool does not allow.
    AddressRefused: Configuration,
    /// A URL, header or expression is not usable once its references are filled in.
    ConfigurationInvalid: Configuration,
    /// A recorded challenge no longer fits the server's certificate: it must be recorded again.
    RecordingStale: Configuration,
    /// The test token has expired, by its own date: a new one is needed.
    TokenStale: Configuration,
    /// The clocks of the server and of this runner are far apart: one of them is wrong.
    ClocksDisagree: Configuration,
    /// The signature of the licence is of a kind that only a device can verify.
    LicenseNotVerifiable: Configuration,
    /// The hook that makes challenges did not make one.
    ChallengeUnavailable: Configuration,
    /// A plug-in could not be run, or did not keep to its contract.
    PluginBroken: Configuration,
    /// The tenant's request budget is used up.
    BudgetExhausted: Configuration,
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

    /// Records and the schema of results hold these words.
    #[test]
    fn words_of_domains_are_those_that_are_stored() {
        for domain in Domain::ALL {
            assert_eq!(serde_json::to_value(domain).unwrap(), domain.as_str());
        }
    }

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
