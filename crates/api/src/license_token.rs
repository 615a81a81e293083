//! Tokens that licence servers demand.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
