//! Wrong licence requests, each of which must be refused.

use crate::{Header, LicenseReason};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
