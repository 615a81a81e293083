//! The switches that break the world.

use std::{collections::BTreeSet, sync::Mutex};

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal),+ $(,)?) => {
        /// One way in which the world can be broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[doc = $doc])+ $name),+ }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Fault] = &[$(Fault::$name),+];

            /// Its word, as in `/admin/faults/WORD`.
            pub fn word(self) -> &'static str {
                match self { $(Fault::$name => $word),+ }
            }
        }
    };
}

faults! {
    /// The window of the live streams stands still.
    Freeze = "freeze",
    /// The window of the live streams jumps back by a minute.
    Regress = "regress",
    /// The live streams end.
    EndStream = "end-stream",
    /// The newest segments answer 404.
    SegmentMissing = "segment-missing",
    /// Segments are HTML.
    SegmentHtml = "segment-html",
    /// Init segments answer 404.
    InitMissing = "init-missing",
    /// Manifests answer 503.
    ManifestDown = "manifest-down",
    /// Manifests are HTML with status 200.
    ManifestHtml = "manifest-html",
    /// Manifests are empty with status 200.
    ManifestEmpty = "manifest-empty",
    /// Manifests break their specification.
    ManifestBroken = "manifest-broken",
    /// The manifest names another key id than the init segment.
    KidMismatch = "kid-mismatch",
    /// The token service answers 503.
    TokenDown = "token-down",
    /// The token service forgets the token in its answer.
    TokenMissing = "token-missing",
    /// The licence server refuses good tokens.
    LicenseDenied = "license-denied",
    /// The licence server grants without a token.
    LicenseOpen = "license-open",
    /// The licence server answers 500.
    LicenseDown = "license-down",
    /// The licence server answers HTML with status 200.
    LicenseHtml = "license-html",
    /// The licence lacks the key asked for.
    LicenseWrongKid = "license-wrong-kid",
    /// The licence has another key under the right key id.
    LicenseWrongKey = "license-wrong-key",
    /// `/drm`: no answer comes in time.
    DrmSlow = "drm-slow",
    /// `/drm`: 500 and a page.
    DrmDown = "drm-down",
    /// `/drm`: a page with status 200.
    DrmHtml = "drm-html",
    /// `/drm`: a login page with status 200.
    DrmLogin = "drm-login",
    /// `/drm`: a firewall's page with status 403.
    DrmBlocked = "drm-blocked",
    /// `/drm`: the network's own portal, 511.
    DrmPortal = "drm-portal",
    /// `/drm`: nothing with status 200.
    DrmEmpty = "drm-empty",
    /// `/drm`: a vendor's JSON error with status 200.
    DrmVendorJson = "drm-vendor-json",
    /// `/drm`: bytes that are nothing.
    DrmGarbage = "drm-garbage",
    /// `/drm`: 8 MiB.
    DrmHuge = "drm-huge",
    /// `/drm`: 429.
    DrmRateLimited = "drm-rate-limited",
    /// `/drm`: a web server's 404.
    DrmMissing = "drm-missing",
    /// `/drm`: 503 with Retry-After.
    DrmBusy = "drm-busy",
    /// `/drm`: good tokens are said to have expired.
    DrmTokenExpired = "drm-token-expired",
    /// `/drm`: good tokens are said not to be valid yet.
    DrmTokenNotYetValid = "drm-token-not-yet-valid",
    /// `/drm`: good tokens are said not to be genuine.
    DrmTokenInvalid = "drm-token-invalid",
    /// `/drm`: fresh tokens are said to have been used.
    DrmTokenReused = "drm-token-reused",
    /// `/drm`: no entitlement.
    DrmDenied = "drm-denied",
    /// `/drm`: the wrong place.
    DrmGeo = "drm-geo",
    /// `/drm`: too many streams.
    DrmConcurrency = "drm-concurrency",
    /// `/drm`: too many devices.
    DrmDeviceLimit = "drm-device-limit",
    /// `/drm`: the key is not known.
    DrmKeyNotFound = "drm-key-not-found",
    /// `/drm`: right challenges can't be read.
    DrmChallengeRefused = "drm-challenge-refused",
    /// `/drm`: the device is revoked.
    DrmDeviceRevoked = "drm-device-revoked",
    /// `/drm`: the device is not secure enough.
    DrmSecurityLevel = "drm-security-level",
    /// `/drm`: the client's clock is said to be wrong.
    DrmClientClock = "drm-client-clock",
    /// `/drm`: the key management behind it is away.
    DrmBackend = "drm-backend",
    /// `/drm`: an internal error in the system's own form.
    DrmInternal = "drm-internal",
    /// `/drm`: it grants to anybody.
    DrmOpen = "drm-open",
    /// `/drm`: refusals are a success with an apology.
    DrmWrongRefusal = "drm-wrong-refusal",
    /// `/drm`: the licence before is given again.
    DrmCached = "drm-cached",
    /// `/drm`: licences come from a cache that says so.
    DrmAged = "drm-aged",
    /// `/drm`: licences are cut off.
    DrmTruncated = "drm-truncated",
    /// `/drm`: licences break their specification.
    DrmBroken = "drm-broken",
    /// `/drm`: licences hold no key.
    DrmNoKeys = "drm-no-keys",
    /// `/drm`: licences hold another key.
    DrmWrongKid = "drm-wrong-kid",
    /// `/drm`: key ids have their bytes in GUID order.
    DrmGuidOrder = "drm-guid-order",
    /// `/drm`: the licence answers another request.
    DrmStale = "drm-stale",
    /// `/drm`: the signature is wrong.
    DrmSignature = "drm-signature",
    /// `/drm`: the signature is of a kind that only devices can verify.
    DrmNotVerifiable = "drm-not-verifiable",
    /// `/drm`: the licence does not allow playing.
    DrmNoPlay = "drm-no-play",
    /// `/drm`: the licence is valid for a minute; the key server changes the scheme.
    DrmDuration = "drm-duration",
    /// `/drm`: outputs are less protected.
    DrmHdcp = "drm-hdcp",
    /// `/drm`: the licence demands less of the device.
    DrmLicenseLevel = "drm-license-level",
    /// `/drm`: the licence has expired already.
    DrmLicenseExpired = "drm-license-expired",
    /// `/drm`: licences are dated two hours ago.
    DrmIssuedSkewed = "drm-issued-skewed",
    /// `/drm`: the server's clock is two hours behind.
    DrmClockSkewed = "drm-clock-skewed",
    /// `/drm`: the system's certificate has a bit that is wrong.
    DrmCertificateBroken = "drm-certificate-broken",
    /// `/drm`: the system's certificate has expired.
    DrmCertificateExpired = "drm-certificate-expired",
    /// `/drm`: the system's certificate was rotated.
    DrmCertificateRotated = "drm-certificate-rotated",
    /// `/drm`: heartbeats of sessions fail.
    DrmHeartbeat = "drm-heartbeat",
    /// `/drm`: the key server gives other keys each time.
    DrmKeyChanges = "drm-key-changes",
    /// `/drm`: the key server gives keys in the clear.
    DrmKeysInTheClear = "drm-keys-in-the-clear",
    /// `/drm`: the key server's pssh boxes are for another key.
    DrmPsshKid = "drm-pssh-kid",
    /// `/drm`: the key server gives no pssh boxes.
    DrmNoPssh = "drm-no-pssh",
}

/// Which faults are on.
#[derive(Default)]
pub struct Faults(Mutex<BTreeSet<Fault>>);

impl Faults {
    /// Switches one on or off; what was broken heals at once.
    pub fn set(&self, fault: Fault, on: bool) {
        let mut faults = self.0.lock().unwrap_or_else(|e| e.into_inner());
        match on {
            true => faults.insert(fault),
            false => faults.remove(&fault),
        };
    }

    /// Whether one is on.
    pub fn has(&self, fault: Fault) -> bool {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).contains(&fault)
    }
}
