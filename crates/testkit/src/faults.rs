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
    /// The licence answers another request: a cached one.
    LicenseStale = "license-stale",
    /// The DRM system's certificate of the server has a bit that is wrong.
    DrmCertificateBroken = "drm-certificate-broken",
    /// The licence server says that the device is revoked.
    DeviceRevoked = "device-revoked",
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
