//! The `license` step: what a licence server must grant, and what it must refuse.

use crate::{ErrorRule, Header, Hook, LicenseRequest, LicenseResponse, LicenseToken};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DRM system of a licence request.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum DrmSystem {
    /// W3C Clear Key (Encrypted Media Extensions, section 9.1).
    ClearKey,
    /// Widevine.
    Widevine,
    /// Microsoft PlayReady.
    PlayReady,
    /// Apple FairPlay Streaming.
    FairPlay,
    /// A system of a vendor's own over HTTP: `request.body` is sent, and what `response` takes out must be there.
    Proprietary,
}

/// Vendors whose public request and response forms are known (docs/licences.md). None has been verified against the
/// vendor: what a preset sets can be set otherwise in `request`, `response`, `errorRules` and `token`.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[allow(missing_docs)]
pub enum Preset {
    Axinom,
    #[serde(rename = "BuyDRM")]
    BuyDrm,
    #[serde(rename = "DRMtoday")]
    DrmToday,
    DoveRunner,
    #[serde(rename = "EZDRM")]
    EzDrm,
    ExpressPlay,
    #[serde(rename = "FairPlaySDK")]
    FairPlaySdk,
    Gumlet,
    Nagra,
    VdoCipher,
    Verimatrix,
}

/// A licence request: the answer must be a licence with a key for every key id asked for.
///
/// A step climbs as far as it is given means to: 0 transport, 1 the system's certificate of the server, 2 the
/// refusal of a request that nobody signed, 3 a licence for a recorded request, 4 a licence for a fresh one. The
/// level reached is in the result and in `drmwatch_license_level`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("self.system == 'Proprietary' || (self.system != 'ClearKey' && !has(self.challenge)) || has(self.kidsFrom) != has(self.kids)").message("a license step must have exactly one of kidsFrom, kids"))]
#[x_kube(validation = Rule::new("!has(self.widevine) || self.system == 'Widevine'").message("widevine must be used with system: Widevine"))]
#[x_kube(validation = Rule::new("!has(self.playReady) || self.system == 'PlayReady'").message("playReady must be used with system: PlayReady"))]
#[x_kube(validation = Rule::new("!has(self.fairPlay) || self.system == 'FairPlay'").message("fairPlay must be used with system: FairPlay"))]
#[x_kube(validation = Rule::new("!has(self.challenge) || self.system in ['Widevine', 'PlayReady', 'FairPlay']").message("challenge must be used with system Widevine, PlayReady or FairPlay"))]
#[x_kube(validation = Rule::new("!has(self.challenge) || !has(self.challenge.device) || self.system == 'Widevine'").message("challenge.device must be used with system: Widevine"))]
#[x_kube(validation = Rule::new("!has(self.openCanary) || !self.openCanary || has(self.kidsFrom)").message("openCanary must be used with kidsFrom, which names the stream to open"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicenseStep {
    /// DRM system.
    pub system: DrmSystem,
    /// URL of the licence server.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
    /// Name of an earlier stream or keyServer step whose key ids are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub kids_from: Option<String>,
    /// Key ids to ask for, as UUIDs or 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 32, max = 36), regex(pattern = r"^[0-9a-fA-F-]{32,36}$"))
    )]
    pub kids: Option<Vec<String>>,
    /// Whether the newest segment of the stream step must open with the key. For ClearKey canaries only,
    /// whose keys are public by design. Defaults to false.
    #[serde(default)]
    pub open_canary: bool,
    /// A vendor's forms, which `request`, `response`, `errorRules` and `token` refine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// How the challenge travels. Defaults to what the system's own protocol says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<LicenseRequest>,
    /// How the licence is taken out of the answer. Defaults to `Auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<LicenseResponse>,
    /// What a vendor's errors mean, in order; the first that fits counts. They stand before those of the preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub error_rules: Vec<ErrorRule>,
    /// The token that the server demands. A JSON Web Token is looked at before it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<LicenseToken>,
    /// Where challenges come from: levels 3 and 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// Whether a request that nobody signed is sent too, which must be refused (level 2). Defaults to true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub malformed_challenge: bool,
    /// Of Widevine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widevine: Option<Widevine>,
    /// Of PlayReady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub play_ready: Option<PlayReady>,
    /// Of FairPlay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fair_play: Option<FairPlay>,
    /// What the licence must allow and demand; another value is the failure `PolicyDrift`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<LicensePolicy>,
    /// What is rehearsed besides the licence itself.
    #[serde(default, skip_serializing_if = "Rehearse::is_none")]
    pub rehearse: Rehearse,
    /// Most seconds by which the server's clock may differ from ours. Defaults to 300.
    #[serde(default = "skew", skip_serializing_if = "is_default_skew")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_clock_skew_seconds: i32,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

fn skew() -> i32 {
    300
}

fn is_default_skew(value: &i32) -> bool {
    *value == skew()
}

impl LicenseStep {
    /// A step with nothing but what it must have.
    pub fn new(system: DrmSystem, url: &str) -> LicenseStep {
        LicenseStep {
            system,
            url: url.to_owned(),
            headers: Vec::new(),
            kids_from: None,
            kids: None,
            open_canary: false,
            preset: None,
            request: None,
            response: None,
            error_rules: Vec::new(),
            token: None,
            challenge: None,
            malformed_challenge: true,
            widevine: None,
            play_ready: None,
            fair_play: None,
            policy: None,
            rehearse: Rehearse::default(),
            max_clock_skew_seconds: skew(),
        }
    }

    /// The credentials that it names, with their fields.
    pub fn credentials<'a>(&'a self) -> Vec<(String, &'a str)> {
        let mut named: Vec<(String, &str)> = Vec::new();
        let mut add = |field: &str, name: &'a str| named.push((field.to_owned(), name));
        if let Some(widevine) = &self.widevine {
            widevine
                .root_credential
                .iter()
                .for_each(|n| add("widevine.rootCredential", n));
            if let Some(cloud) = &widevine.cloud {
                add("widevine.cloud.keyCredential", &cloud.key_credential);
                add("widevine.cloud.ivCredential", &cloud.iv_credential);
            }
        }
        let root = self.play_ready.iter().flat_map(|p| &p.root_credential);
        root.for_each(|n| add("playReady.rootCredential", n));
        if let Some(challenge) = &self.challenge {
            let recorded = challenge.recorded_credential.iter();
            recorded.for_each(|n| add("challenge.recordedCredential", n));
            if let Some(device) = &challenge.device {
                add(
                    "challenge.device.clientIdCredential",
                    &device.client_id_credential,
                );
                add(
                    "challenge.device.privateKeyCredential",
                    &device.private_key_credential,
                );
            }
        }
        if let Some(token) = &self.token {
            token.credential.iter().for_each(|n| add("token.credential", n));
            let mint = token.mint.iter();
            mint.for_each(|m| add("token.mint.keyCredential", &m.key_credential));
        }
        if let Some(hook) = self.challenge.as_ref().and_then(|c| c.provider.as_ref()) {
            let hooks = hook.credentials.iter().enumerate();
            named.extend(hooks.map(|(n, c)| (format!("challenge.provider.credentials[{n}]"), c.as_str())));
        }
        named
    }
}

/// Where challenges come from: exactly one of `recordedCredential`, `device`, `provider`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.recordedCredential), has(self.device), has(self.provider)].filter(x, x).size() == 1").message("a challenge must have exactly one of recordedCredential, device, provider"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    /// Credential that holds a request which a real player made, Base64: it is sent again as it is (level 3). A
    /// recording grows stale when the server's certificate is rotated; that is told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub recorded_credential: Option<String>,
    /// A Widevine test credential of the operator's, from which fresh requests are made (level 4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<WidevineDevice>,
    /// A hook to the operator's own licensed client, which makes fresh requests (level 4). It is given the key ids
    /// and initialisation data, and answers `{"challenge": BASE64}` (docs/plugins.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Hook>,
}

/// A Widevine test credential. Only what the operator may use belongs here: identities taken from devices that
/// others sold are not the operator's.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidevineDevice {
    /// Credential that holds the ClientIdentification message, Base64.
    #[schemars(length(min = 1, max = 63))]
    pub client_id_credential: String,
    /// Credential that holds the RSA private key: PEM, or Base64 of DER.
    #[schemars(length(min = 1, max = 63))]
    pub private_key_credential: String,
    /// Where the credential comes from and who may use it, for the audit.
    #[schemars(length(min = 8, max = 256))]
    pub provenance: String,
    /// Whether the identity is encrypted to the server's certificate. Defaults to true.
    #[serde(default = "yes")]
    pub privacy: bool,
    /// Whether a licence is asked for that outlives the session. Defaults to false.
    #[serde(default)]
    pub offline: bool,
}

/// Widevine. The server's certificate is always asked for and verified, unless it is asked in the cloud's form.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Widevine {
    /// Credential that holds another root than Google's: an RSA public key in PKCS #1 DER, Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub root_credential: Option<String>,
    /// Provider that the service certificate must name, such as `license.widevine.com`. Without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub provider: Option<String>,
    /// The JSON form of Google's cloud service. Unverified against the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<WidevineCloud>,
}

/// The JSON form of Google's cloud service: requests are signed with the provider's key.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidevineCloud {
    /// Name of the provider.
    #[schemars(length(min = 1, max = 128))]
    pub provider: String,
    /// Credential that holds the signing key, AES-256, in hexadecimal.
    #[schemars(length(min = 1, max = 63))]
    pub key_credential: String,
    /// Credential that holds the signing vector in hexadecimal.
    #[schemars(length(min = 1, max = 63))]
    pub iv_credential: String,
    /// Whether the service is to look at the request only and give no licence: an owner's health check. Defaults
    /// to false.
    #[serde(default)]
    pub parse_only: bool,
}

/// PlayReady.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlayReady {
    /// Credential that holds the root of the signing certificates: a P-256 public key, X and Y, 64 bytes, Base64.
    /// Without it signatures are checked for integrity only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub root_credential: Option<String>,
}

/// FairPlay.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FairPlay {
    /// URL of the application certificate (level 1): its expiry is watched, and a recording that was made for
    /// another one is told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub certificate_url: Option<String>,
}

/// Least HDCP version of outputs.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[allow(missing_docs)]
pub enum HdcpVersion {
    None,
    #[serde(rename = "1.x")]
    V1,
    #[serde(rename = "2.0")]
    V2,
    #[serde(rename = "2.1")]
    V21,
    #[serde(rename = "2.2")]
    V22,
    #[serde(rename = "2.3")]
    V23,
    NoDigitalOutput,
}

/// What a licence must allow and demand. FairPlay's policy is encrypted and can't be looked at.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicensePolicy {
    /// Least seconds for which it must be valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000))]
    pub min_duration_seconds: Option<i64>,
    /// Most seconds for which it may be valid; one without an end is too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000))]
    pub max_duration_seconds: Option<i64>,
    /// Least HDCP version that every content key must demand (Widevine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hdcp: Option<HdcpVersion>,
    /// Least security level that every content key must demand: 1 (software) to 5 (all in hardware) for Widevine,
    /// 150, 2000 or 3000 for PlayReady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3000))]
    pub security_level: Option<i32>,
    /// Least output protection levels (PlayReady): compressed, uncompressed and analog video, compressed and
    /// uncompressed audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 5, max = 5), inner(range(min = 0, max = 1000)))]
    pub output_protection: Option<Vec<i32>>,
    /// Whether it must, or must not, be kept on the device (Widevine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_persist: Option<bool>,
    /// Whether it must, or must not, be renewed (Widevine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_renew: Option<bool>,
}

/// What is rehearsed besides the licence itself.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rehearse {
    /// A second licence while the first one is valid, which is how most players renew (ClearKey, or a challenge that is
    /// made afresh). Widevine's own renewal message is signed with a key out of the licence, which nothing here opens.
    #[serde(default)]
    pub renewal: bool,
    /// After a key rotation, licences for the period before too: players that are behind still need them.
    #[serde(default)]
    pub rotation: bool,
    /// The same request twice: two answers that are the same byte for byte come from a cache (Widevine, PlayReady,
    /// FairPlay).
    #[serde(default)]
    pub freshness: bool,
}

impl Rehearse {
    fn is_none(&self) -> bool {
        *self == Rehearse::default()
    }
}
