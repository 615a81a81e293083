//! The `license` step: what a licence server must grant, and what it must refuse.

use crate::{Header, Hook};
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
    pub fn credentials(&self) -> Vec<(String, &str)> {
        let mut named: Vec<(String, &str)> = Vec::new();
        let fields = [
            (
                "widevine.rootCredential",
                self.widevine.as_ref().and_then(|w| w.root_credential.as_ref()),
            ),
            (
                "widevine.cloud.keyCredential",
                self.widevine
                    .as_ref()
                    .and_then(|w| w.cloud.as_ref())
                    .map(|c| &c.key_credential),
            ),
            (
                "widevine.cloud.ivCredential",
                self.widevine
                    .as_ref()
                    .and_then(|w| w.cloud.as_ref())
                    .map(|c| &c.iv_credential),
            ),
            (
                "playReady.rootCredential",
                self.play_ready.as_ref().and_then(|p| p.root_credential.as_ref()),
            ),
            (
                "challenge.recordedCredential",
                self.challenge
                    .as_ref()
                    .and_then(|c| c.recorded_credential.as_ref()),
            ),
            (
                "challenge.device.clientIdCredential",
                self.challenge
                    .as_ref()
                    .and_then(|c| c.device.as_ref())
                    .map(|d| &d.client_id_credential),
            ),
            (
                "challenge.device.privateKeyCredential",
                self.challenge
                    .as_ref()
                    .and_then(|c| c.device.as_ref())
                    .map(|d| &d.private_key_credential),
            ),
            (
                "token.credential",
                self.token.as_ref().and_then(|t| t.credential.as_ref()),
            ),
            (
                "token.mint.keyCredential",
                self.token
                    .as_ref()
                    .and_then(|t| t.mint.as_ref())
                    .map(|m| &m.key_credential),
            ),
        ];
        named.extend(
            fields
                .into_iter()
                .filter_map(|(f, n)| n.map(|n| (f.to_owned(), n.as_str()))),
        );
        if let Some(hook) = self.challenge.as_ref().and_then(|c| c.provider.as_ref()) {
            let hooks = hook.credentials.iter().enumerate();
            named.extend(hooks.map(|(n, c)| (format!("challenge.provider.credentials[{n}]"), c.as_str())));
        }
        named
    }
}

/// How a challenge is put into the body of a request.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum BodyEncoding {
    /// As it is.
    #[default]
    Raw,
    /// Base64 of it.
    Base64,
    /// A field of a form, Base64 of it.
    Form,
    /// A string of a JSON document, Base64 of it.
    Json,
}

/// How a challenge travels.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.encoding) || !(self.encoding in ['Form', 'Json']) || has(self.field)").message("field must be used with encoding Form or Json: the name of the form's field, or a JSON pointer"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicenseRequest {
    /// Method. Defaults to POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<crate::Method>,
    /// Query parameters to add to the URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub query: Vec<Header>,
    /// Content type. Defaults to that of system and encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub content_type: Option<String>,
    /// How the challenge is put into the body. Defaults to Raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<BodyEncoding>,
    /// Name of the form's field, or JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub field: Option<String>,
    /// The JSON document that the challenge is put into (encoding Json), or the whole body (system Proprietary).
    /// May have `${…}` references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub body: Option<String>,
}

/// How a licence is taken out of an answer.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum Extraction {
    /// Raw, unless the answer is Base64, JSON by the usual names, or `<ckc>`.
    #[default]
    Auto,
    /// As it is.
    Raw,
    /// Base64.
    Base64,
    /// Base64 at a JSON pointer.
    JsonPointer,
    /// Base64 in an XML element.
    XmlElement,
}

/// How a licence is taken out of an answer.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("!(self.extraction in ['JsonPointer', 'XmlElement']) || has(self.field)").message("field must be used with extraction JsonPointer or XmlElement"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicenseResponse {
    /// How.
    pub extraction: Extraction,
    /// JSON pointer (RFC 6901), or name of the element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub field: Option<String>,
}

/// What an error of a vendor's means. All conditions that are given must hold.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.status) || has(self.regex)").message("an error rule must have a status or a regex"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorRule {
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Header that the regex is for. Without it and without `jsonPointer` the regex is for the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub header: Option<String>,
    /// Value of the JSON body that the regex is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^(/.*)?$"))]
    pub json_pointer: Option<String>,
    /// Regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub regex: Option<String>,
    /// The reason that it means.
    pub reason: LicenseReason,
}

/// Reasons that a licence server's error can mean (docs/metrics.md, "Reasons").
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[allow(missing_docs)]
pub enum LicenseReason {
    LicenseDenied,
    LicenseServerError,
    ChallengeRefused,
    KeyNotFound,
    BackendUnavailable,
    RateLimited,
    TokenExpired,
    TokenNotYetValid,
    TokenInvalid,
    TokenReused,
    GeoDenied,
    ConcurrencyLimit,
    DeviceLimit,
    DeviceRevoked,
    SecurityLevelTooLow,
    LicenseClockSkewed,
    DrmCertificateExpired,
}

/// The token that a licence server demands: exactly one of `credential`, `mint`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.credential) != has(self.mint)").message("a token must have exactly one of credential, mint"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LicenseToken {
    /// Credential that holds the token as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub credential: Option<String>,
    /// How the probe makes one for each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mint: Option<MintToken>,
    /// Header that carries it. Defaults to Authorization, unless `query` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"))]
    pub header: Option<String>,
    /// What stands before it in the header. Defaults to `Bearer ` in Authorization, else nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub prefix: Option<String>,
    /// Query parameter that carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub query: Option<String>,
}

/// How a token is signed.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

/// How the dates of a token are written.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum TokenDates {
    /// `nbf`, `exp` and `iat` (RFC 7519).
    #[default]
    Standard,
    /// `begin_date` and `expiration_date`.
    Axinom,
}

/// A JSON Web Token that the probe makes.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MintToken {
    /// Algorithm.
    pub algorithm: TokenAlgorithm,
    /// Credential that holds the key: Base64 of the secret, or a private key in PEM.
    #[schemars(length(min = 1, max = 63))]
    pub key_credential: String,
    /// `kid` of the token's header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub key_id: Option<String>,
    /// Claims: a JSON object, which may have `${…}` references. The dates are added.
    #[serde(default = "no_claims")]
    #[schemars(length(min = 2, max = 4096))]
    pub claims: String,
    /// How long it is valid, seconds. Defaults to 300.
    #[serde(default = "lifetime")]
    #[schemars(range(min = 10, max = 86_400))]
    pub lifetime_seconds: i32,
    /// How its dates are written. Defaults to Standard.
    #[serde(default)]
    pub dates: TokenDates,
}

fn no_claims() -> String {
    "{}".into()
}

fn lifetime() -> i32 {
    300
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

/// One way in which a request is wrong and must be refused.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum Flaw {
    /// Without a token.
    NoToken,
    /// A token that has expired; needs `token.mint` or a `tokenCredential`.
    ExpiredToken,
    /// A token that is not valid yet; needs `token.mint` or a `tokenCredential`.
    NotYetValidToken,
    /// A token whose signature is wrong.
    TamperedToken,
    /// A token for another asset; needs `claims` or a `tokenCredential`.
    OtherAsset,
    /// A token without the entitlement; needs `claims` or a `tokenCredential`.
    NoEntitlement,
    /// A key id that the token does not allow; needs `kids` or a `challengeCredential`.
    WrongKid,
    /// A device that is revoked; needs a `challengeCredential`.
    RevokedDevice,
    /// A device too many; needs a `challengeCredential`, a `tokenCredential` or `headers`.
    OverDeviceLimit,
    /// A place where the content may not be played; needs `headers`.
    WrongGeo,
}

/// A wrong request that must be refused.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("self.flaw != 'WrongGeo' || has(self.headers)").message("the flaw WrongGeo must be used with headers"))]
#[x_kube(validation = Rule::new("self.flaw != 'RevokedDevice' || has(self.challengeCredential)").message("the flaw RevokedDevice must be used with a challengeCredential"))]
#[x_kube(validation = Rule::new("self.flaw != 'WrongKid' || has(self.kids) || has(self.challengeCredential)").message("the flaw WrongKid must be used with kids or a challengeCredential"))]
#[x_kube(validation = Rule::new("!(self.flaw in ['OtherAsset', 'NoEntitlement']) || has(self.claims) || has(self.tokenCredential)").message("the flaws OtherAsset and NoEntitlement must be used with claims or a tokenCredential"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeniedVariant {
    /// What is wrong with it.
    pub flaw: Flaw,
    /// Credential that holds the token of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub token_credential: Option<String>,
    /// Credential that holds the recorded challenge of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub challenge_credential: Option<String>,
    /// Claims of the token of this request, a JSON object that replaces those of `token.mint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 4096))]
    pub claims: Option<String>,
    /// Key ids of this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 32, max = 36), regex(pattern = r"^[0-9a-fA-F-]{32,36}$"))
    )]
    pub kids: Option<Vec<String>>,
    /// Headers of this request, in place of those of the step by the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub headers: Option<Vec<Header>>,
    /// Statuses that count as a refusal. Defaults to those of `expectDenied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(range(min = 300, max = 599)))]
    pub statuses: Option<Vec<u16>>,
    /// Reasons of which the refusal must give one. Without it any refusal will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub reasons: Vec<LicenseReason>,
}
