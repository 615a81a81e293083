//! The `keyServer` step: the packager's path to keys.

use crate::{Header, SignalledSystem};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Protocol of a key server.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum KeyServerProtocol {
    /// SPEKE 1.0 over CPIX 2.0.
    #[serde(rename = "SPEKE-1.0")]
    Speke10,
    /// SPEKE 2.0 over CPIX 2.3.
    #[serde(rename = "SPEKE-2.0")]
    Speke20,
    /// SPEKE 2.1 over CPIX 2.4.
    #[serde(rename = "SPEKE-2.1")]
    Speke21,
}

/// Protection scheme (ISO/IEC 23001-7).
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ProtectionScheme {
    #[default]
    Cenc,
    Cbcs,
}

/// A request for the keys of canary content (level 5). The answer must hold a value for each key, encrypted to a
/// certificate that is thrown away, and signalling of each system for it.
///
/// Gives `kids` to later steps, so that `sameKidsAs` and `kidsFrom` may name it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("!(self.systems.exists(s, s == 'FairPlay')) || self.scheme == 'cbcs' || self.protocol == 'SPEKE-1.0'").message("FairPlay must be used with scheme: cbcs"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyServerStep {
    /// Protocol.
    pub protocol: KeyServerProtocol,
    /// URL that the document is posted to.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub url: String,
    /// URL of the heartbeat (SPEKE 1.0), which must answer with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?://|\$\{)"))]
    pub heartbeat_url: Option<String>,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<Header>,
    /// Content id of the canary.
    #[schemars(length(min = 1, max = 256))]
    pub content_id: String,
    /// Keys of the canary: ones that exist, since a new one each minute would mint keys.
    #[schemars(length(min = 1, max = 8))]
    pub keys: Vec<CanaryKey>,
    /// Systems that must be signalled.
    #[schemars(length(min = 1, max = 4))]
    pub systems: Vec<SignalledSystem>,
    /// Protection scheme. Defaults to cenc.
    #[serde(default)]
    pub scheme: ProtectionScheme,
    /// Whether keys must come encrypted to a certificate of which nobody has the private key. Defaults to true. Without
    /// it they come in the clear; they are looked at and wiped.
    #[serde(default = "yes")]
    pub encrypted_keys: bool,
    /// How the probe proves who it is. Without it by nothing but its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<KeyServerAuth>,
}

fn yes() -> bool {
    true
}

/// A key of a canary.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryKey {
    /// Key id, as a UUID or 32 hexadecimal digits.
    #[schemars(length(min = 32, max = 36), regex(pattern = r"^[0-9a-fA-F-]{32,36}$"))]
    pub kid: String,
    /// `intendedTrackType` (SPEKE 2). Defaults to ALL.
    #[serde(default = "all")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Z0-9+]+$"))]
    pub track: String,
}

fn all() -> String {
    "ALL".into()
}

/// How a probe proves who it is: exactly one of `basic`, `digest`, `aws`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.basic), has(self.digest), has(self.aws)].filter(x, x).size() == 1").message("auth must have exactly one of basic, digest, aws"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyServerAuth {
    /// HTTP Basic (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<UserPassword>,
    /// HTTP Digest (RFC 7616), MD5 or SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<UserPassword>,
    /// AWS Signature Version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsAuth>,
}

/// User and password.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserPassword {
    /// Credential that holds the user's name.
    #[schemars(length(min = 1, max = 63))]
    pub user_credential: String,
    /// Credential that holds the password.
    #[schemars(length(min = 1, max = 63))]
    pub password_credential: String,
}

/// AWS Signature Version 4.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsAuth {
    /// Region, such as eu-west-1.
    #[schemars(length(min = 1, max = 64))]
    pub region: String,
    /// Service. Defaults to execute-api.
    #[serde(default = "execute_api")]
    #[schemars(length(min = 1, max = 64))]
    pub service: String,
    /// Credential that holds the access key id.
    #[schemars(length(min = 1, max = 63))]
    pub access_key_credential: String,
    /// Credential that holds the secret access key.
    #[schemars(length(min = 1, max = 63))]
    pub secret_key_credential: String,
    /// Credential that holds the session token of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub session_token_credential: Option<String>,
}

fn execute_api() -> String {
    "execute-api".into()
}

impl KeyServerStep {
    /// The credentials that it names, with their fields.
    pub fn credentials(&self) -> Vec<(&'static str, &str)> {
        let Some(auth) = &self.auth else { return Vec::new() };
        let mut named = Vec::new();
        for (user, password, who) in [
            (
                "auth.basic.userCredential",
                "auth.basic.passwordCredential",
                &auth.basic,
            ),
            (
                "auth.digest.userCredential",
                "auth.digest.passwordCredential",
                &auth.digest,
            ),
        ] {
            if let Some(who) = who {
                named.push((user, who.user_credential.as_str()));
                named.push((password, who.password_credential.as_str()));
            }
        }
        if let Some(aws) = &auth.aws {
            named.push(("auth.aws.accessKeyCredential", aws.access_key_credential.as_str()));
            named.push(("auth.aws.secretKeyCredential", aws.secret_key_credential.as_str()));
            let session = aws.session_token_credential.as_deref();
            named.extend(session.map(|s| ("auth.aws.sessionTokenCredential", s)));
        }
        named
    }
}
