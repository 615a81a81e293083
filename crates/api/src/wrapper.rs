//! What vendors put around licence requests and answers, and what their errors mean.

use crate::Header;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
