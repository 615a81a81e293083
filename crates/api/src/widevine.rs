//! What a licence step proves of a Widevine licence server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a `license` step with `system: Widevine` does beyond asking for the service certificate, which it always
/// does and verifies against Google's root.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Widevine {
    /// Credential that holds a licence request which a real player made, Base64: it is sent again as it is, and
    /// the licence must hold the step's key ids. Without it the step goes no further than requests that need no
    /// identity. A recording grows stale when the service certificate is rotated; that is told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub recorded_challenge_credential: Option<String>,
    /// Credential that holds another root than Google's: an RSA public key in PKCS #1 DER, Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub root_credential: Option<String>,
    /// Provider that the service certificate must name, such as `license.widevine.com`. Without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub provider: Option<String>,
    /// Whether a request without an identity is sent too, which must be refused. Defaults to true.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub malformed_challenge: bool,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}
