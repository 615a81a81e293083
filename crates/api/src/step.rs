//! The steps of a probe. A step is a struct of optional kinds, not a tagged enum: structural schemas
//! can't hold variants that differ under one property, and a CEL rule says "exactly one" as well.

use crate::{Header, KeyServerStep, LicenseStep, PluginStep};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The texts of a step that may hold `${…}`, as CEL over a step `@`: a guard, and a frame around the
/// condition `$` on one `text`.
const TEXTS: [(&str, &str); 9] = [
    ("has(@.http)", "[@.http.url].all(text, $)"),
    ("has(@.http) && has(@.http.body)", "[@.http.body].all(text, $)"),
    (
        "has(@.http) && has(@.http.headers)",
        "@.http.headers.all(h, [h.value].all(text, $))",
    ),
    ("has(@.stream)", "[@.stream.url].all(text, $)"),
    (
        "has(@.stream) && has(@.stream.headers)",
        "@.stream.headers.all(h, [h.value].all(text, $))",
    ),
    ("has(@.license)", "[@.license.url].all(text, $)"),
    (
        "has(@.license) && has(@.license.headers)",
        "@.license.headers.all(h, [h.value].all(text, $))",
    ),
    ("has(@.keyServer)", "[@.keyServer.url].all(text, $)"),
    (
        "has(@.keyServer) && has(@.keyServer.headers)",
        "@.keyServer.headers.all(h, [h.value].all(text, $))",
    ),
];

/// The rules that keep references true: a text may hold `${credentials.NAME}`, or `${STEP.OUTPUT}` of
/// an earlier step.
///
/// CEL has no loop that carries state, and the API server adds up worst cases, so that one rule for all
/// would be refused for its cost. Small rules say it instead, two for each text: every reference begins
/// with `credentials.` or the name of a step, and a step mentions neither itself nor one behind it.
pub(crate) fn add_reference_rules(schema: &mut schemars::Schema) {
    let known = "('${credentials.' + text).split('${').all(part, part == '' || part.startsWith('credentials.') || self.exists(t, part.startsWith(t.name + '.')))";
    // Positions are counted by a literal list: the estimator bounds neither `indexOf` nor `map`.
    let positions = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let not_later = format!(
        "{positions}.all(j, j < i || j >= self.size() || !text.contains('${{' + self[j].name + '.'))"
    );
    let mut rules = Vec::new();
    for (guard, frame) in TEXTS {
        let at = |step: &str, condition: &str| {
            (
                guard.replace('@', step),
                frame.replace('@', step).replacen('$', condition, 1),
            )
        };
        let (present, holds) = at("s", known);
        rules.push(serde_json::json!({
            "rule": format!("self.all(s, !({present}) || {holds})"),
            "message": "a ${...} reference must be ${credentials.NAME} or ${STEP.OUTPUT} of a step of this probe",
        }));
        let (present, holds) = at("self[i]", &not_later);
        rules.push(serde_json::json!({
            "rule": format!("{positions}.all(i, i >= self.size() || !({present}) || {holds})"),
            "message": "a ${STEP.OUTPUT} reference must be to an earlier step",
        }));
    }
    schema.insert("x-kubernetes-validations".into(), rules.into());
}

/// One check: a name and exactly one kind.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.http), has(self.stream), has(self.license), has(self.keyServer), has(self.plugin)].filter(x, x).size() == 1").message("a step must have exactly one of http, stream, license, keyServer, plugin"))]
#[x_kube(validation = Rule::new("!has(self.expectDenied) || has(self.http) || has(self.license)").message("expectDenied must be used with http or license steps only"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Name, unique within the probe; a metric label. `credentials` is reserved.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("self != 'credentials'").message("a step must not be named credentials"))]
    pub name: String,
    /// One HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpStep>,
    /// Manifest, playlists, init segment and newest segment of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Box<StreamStep>>,
    /// A licence request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<Box<LicenseStep>>,
    /// A key server's keys for canary content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_server: Option<Box<KeyServerStep>>,
    /// A check that a plug-in makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginStep>,
    /// Whether the step runs also after a step that did not pass, and after the run's time is up: sessions and devices
    /// are given back, so that a probe never eats a slot. It is left out where an output that it refers to is not
    /// there: then there is nothing to give back. Defaults to false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finally: bool,
    /// Conditions over what the step found, each of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub expect: Vec<Expectation>,
    /// The step must be refused. A success is then the failure `EntitlementLeak`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_denied: Option<ExpectDenied>,
}

/// A condition in CEL over what a step found.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// CEL expression that gives a bool. `http` steps have `status`, `headers` (lower-case names),
    /// `body`, `json`, `durationSeconds`; `stream` steps `live`, `liveEdgeAgeSeconds`, `variants`,
    /// `kids`; `license` steps `status`, `keys`, `durationSeconds`, `level`, `policy` (docs/licences.md); `keyServer`
    /// steps `status`, `keys`, `durationSeconds`; `plugin` steps `outputs`, `facts`, `durationSeconds`.
    #[schemars(length(min = 1, max = 1024))]
    pub cel: String,
    /// What to say when it does not hold. Defaults to the expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub message: Option<String>,
}

/// How a refusal must look.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectDenied {
    /// Statuses that count as a refusal. Defaults to 401 and 403. Any other answer that is not a success
    /// is the failure `WrongRefusal`.
    #[serde(default = "ExpectDenied::default_statuses")]
    #[schemars(length(min = 1, max = 16), inner(range(min = 300, max = 599)))]
    pub statuses: Vec<u16>,
    /// Wrong requests, each of which must be refused, of a `license` step. The right request is made first and must be
    /// granted: from a server that is down nothing would be learnt. Without variants the step itself is the wrong
    /// request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub variants: Vec<crate::DeniedVariant>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl ExpectDenied {
    /// 401 and 403.
    pub fn default_statuses() -> Vec<u16> {
        vec![401, 403]
    }
}

/// HTTP method.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
}

/// One HTTP request. Without `expect` or `expectDenied` the answer must be 2xx.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.body) || self.method in ['POST', 'PUT', 'DELETE']").message("body must be used with method POST, PUT or DELETE"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpStep {
    /// Method. Defaults to GET.
    #[serde(default)]
    pub method: Method,
    /// Absolute URL.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
    /// Body to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub body: Option<String>,
    /// How many redirects are followed. Defaults to 5.
    #[serde(default = "HttpStep::default_redirects")]
    #[schemars(range(min = 0, max = 10))]
    pub max_redirects: u8,
    /// Values taken from the answer, for later steps as `${STEP.NAME}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub outputs: Vec<Output>,
}

impl HttpStep {
    /// Five.
    pub fn default_redirects() -> u8 {
        5
    }
}

/// A value taken from an HTTP answer: exactly one of `jsonPointer`, `regex`, `header`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.jsonPointer), has(self.regex), has(self.header)].filter(x, x).size() == 1").message("an output must have exactly one of jsonPointer, regex, header"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Name, unique within the step.
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[A-Za-z][_A-Za-z0-9]*$"))]
    pub name: String,
    /// JSON pointer (RFC 6901) into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^(/.*)?$"))]
    pub json_pointer: Option<String>,
    /// Regular expression over the body; the first group is the value, or the whole match without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub regex: Option<String>,
    /// Name of a response header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub header: Option<String>,
}

/// Format of a stream.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StreamFormat {
    /// By the document's first bytes.
    #[default]
    #[serde(rename = "Auto")]
    Auto,
    /// HTTP Live Streaming (RFC 8216).
    Hls,
    /// MPEG-DASH (ISO/IEC 23009-1).
    Dash,
    /// Smooth Streaming ([MS-SSTR]).
    #[serde(rename = "Smooth")]
    Smooth,
    /// HTTP Dynamic Streaming (f4m).
    Hds,
}

/// Ids of the stream checks, `M01` to `X06` (docs/checks.md): what is no check is refused at apply.
pub const CHECK_ID: &str = r"^(M(0[1-9]|10)|L(0[1-9]|1[0-9]|2[0-3])|S(0[1-9]|1[01])|D(0[1-9]|1[0-3])|C(0[1-9]|1[0-4])|A0[1-5]|R0[1-5]|X0[1-6])$";

/// Manifest, playlists, init segment and newest segment of a stream.
///
/// Gives `kids` (its key ids, hexadecimal, comma-separated) to later steps.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamStep {
    /// URL of the multivariant playlist, media playlist or MPD.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// Format. Defaults to `Auto`.
    #[serde(default)]
    pub format: StreamFormat,
    /// Headers to send with every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
    /// Whether the stream must be live. Without it both live and on-demand are right, and a live stream
    /// that ends is not a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// The stream may not be there yet, and must be within so many seconds: what was published to an ingest
    /// point (RTMP, SRT) appears. Its first answer is waited for that long. Must be below the probe's
    /// `timeoutSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub appears_within_seconds: Option<i32>,
    /// Age of the newest segment's end beyond which a live stream that was seen not to move is stale. Defaults
    /// to three target durations (HLS) or the longer of three segments and suggestedPresentationDelay (DASH),
    /// plus the longest segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub max_live_edge_age_seconds: Option<i32>,
    /// Key ids that the stream must signal, as UUIDs or 32 hexadecimal digits. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 32, max = 36), regex(pattern = r"^[0-9a-fA-F-]{32,36}$"))
    )]
    pub kids: Vec<String>,
    /// Which checks are made, and which of them fail the run (docs/checks.md).
    #[serde(default, skip_serializing_if = "StreamChecks::is_default")]
    pub checks: StreamChecks,
    /// What the stream must be, beyond being right.
    #[serde(default, skip_serializing_if = "ExpectedStream::is_default")]
    pub expected: ExpectedStream,
    /// The delivery token that the stream demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<crate::StreamToken>,
    /// How many segments are downloaded whole in each run, to measure throughput. Of the others the first
    /// 16 KiB are enough. Defaults to `Rotating`: one, of another rendition each time.
    #[serde(default, skip_serializing_if = "FullSegments::is_default")]
    pub full_segments: FullSegments,
}

/// How many segments are downloaded whole.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum FullSegments {
    /// None.
    None,
    /// One, of another rendition in each run.
    #[default]
    Rotating,
    /// The newest of every rendition.
    All,
}

impl FullSegments {
    fn is_default(&self) -> bool {
        *self == FullSegments::default()
    }
}

/// How much a failed check matters.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum CheckSeverity {
    /// Viewers can't play, or content leaks.
    #[default]
    Page,
    /// Some viewers notice, or soon will.
    Ticket,
    /// A best practice is broken.
    Warning,
}

/// A group of checks.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum CheckGroup {
    Manifest,
    LiveEdge,
    Segment,
    Drm,
    Delivery,
    Ladder,
    Renditions,
    Ads,
}

/// Which checks are made, and which of them fail the run. The ids are in docs/checks.md.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamChecks {
    /// A failed check of this severity or above fails the run; lesser ones are in the result and the
    /// metrics only. Defaults to Page.
    #[serde(default)]
    pub fail_on: CheckSeverity,
    /// Checks below this severity are not made. Defaults to Warning: all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<CheckSeverity>,
    /// Groups that are not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub disabled_groups: Vec<CheckGroup>,
    /// Ids of checks that are not made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 87),
        inner(length(min = 3, max = 3), regex(pattern = CHECK_ID))
    )]
    pub disabled: Vec<String>,
    /// Thresholds other than the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 87))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["check".into()]))]
    pub thresholds: Vec<Threshold>,
}

impl StreamChecks {
    fn is_default(&self) -> bool {
        *self == StreamChecks::default()
    }
}

/// The threshold of one check.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Threshold {
    /// Id of the check.
    #[schemars(length(min = 3, max = 3), regex(pattern = CHECK_ID))]
    pub check: String,
    /// A decimal number in the unit that docs/checks.md gives.
    #[schemars(length(min = 1, max = 12), regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))]
    pub value: String,
}

/// Whether content must be protected.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum EncryptionPolicy {
    /// Either is right.
    #[default]
    Any,
    /// Every audio and video rendition must be protected.
    Required,
    /// None may be.
    Forbidden,
}

/// A DRM system that a stream can signal.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum SignalledSystem {
    Widevine,
    PlayReady,
    FairPlay,
    ClearKey,
}

/// What a stream must be, beyond being right.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpectedStream {
    /// Whether content must be protected. Defaults to Any.
    #[serde(default)]
    pub encryption: EncryptionPolicy,
    /// DRM systems that every audio and video rendition must signal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub drm_systems: Vec<SignalledSystem>,
    /// Least number of video rungs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub min_rungs: Option<i32>,
    /// Declared bit rates of rungs that must be there, kilobits per second, within a tenth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(range(min = 1, max = 1_000_000)))]
    pub bitrates_kbps: Vec<i32>,
    /// Languages of audio that must be there (RFC 5646).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 2, max = 35)))]
    pub audio_languages: Vec<String>,
    /// Languages of subtitles that must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 2, max = 35)))]
    pub subtitle_languages: Vec<String>,
    /// Audio and video, and SD and HD, must have keys of their own. Defaults to false.
    #[serde(default)]
    pub key_per_quality: bool,
    /// Name of an earlier stream step that shows the same asset in another format, or of a keyServer step that gave its
    /// keys: the key ids must be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub same_kids_as: Option<String>,
}

impl ExpectedStream {
    fn is_default(&self) -> bool {
        *self == ExpectedStream::default()
    }
}
