//! Delivery tokens of a stream.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The delivery token that a stream demands: how the probe makes a good one, and which bad ones must be
/// refused (checks C12 to C14). Exactly one scheme.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.nginxSecureLink), has(self.akamaiEdgeAuth), has(self.cloudFront), has(self.wowzaSecureToken), has(self.azureSas), has(self.commonAccessToken)].filter(x, x).size() == 1").message("a token must have exactly one of nginxSecureLink, akamaiEdgeAuth, cloudFront, wowzaSecureToken, azureSas, commonAccessToken"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamToken {
    /// `secure_link` of nginx (ngx_http_secure_link_module).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx_secure_link: Option<NginxSecureLink>,
    /// Akamai EdgeAuth, Auth Token 2.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub akamai_edge_auth: Option<AkamaiEdgeAuth>,
    /// Amazon CloudFront signed URLs or cookies, with a custom policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_front: Option<CloudFront>,
    /// Wowza SecureToken version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wowza_secure_token: Option<WowzaSecureToken>,
    /// Azure Storage service SAS for the container, the first part of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_sas: Option<AzureSas>,
    /// Common Access Token (CTA-5007), HMAC 256/256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_access_token: Option<CommonAccessToken>,
    /// How long a token is valid, seconds. Defaults to 300.
    #[serde(default = "ttl")]
    #[schemars(range(min = 10, max = 86_400))]
    pub ttl_seconds: i32,
    /// The address from which the probe reaches the server, where tokens are bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 45), regex(pattern = r"^[0-9a-fA-F.:]+$"))]
    pub address: Option<String>,
    /// What is signed. Defaults to `EveryRequest`.
    #[serde(default)]
    pub apply: TokenApply,
    /// Which bad tokens are tried. Without it none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<MustDeny>,
}

fn ttl() -> i32 {
    300
}

/// What is signed.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum TokenApply {
    /// Each URL, as players with a signing SDK do and as cookies work.
    #[default]
    EveryRequest,
    /// The manifest's URL alone: what it lists must carry the token on by itself.
    ManifestOnly,
}

/// Requests that must be refused, with any status but 2xx, on each target that a good token opens.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MustDeny {
    /// Seconds between two trials; after a leak the next run tries again. Defaults to 900.
    #[serde(default = "every")]
    #[schemars(range(min = 60, max = 86_400))]
    pub every_seconds: i32,
    /// What is wrong with the tokens. Empty: everything that the scheme can say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub flaws: Vec<TokenFlaw>,
    /// What is asked for. Empty: everything that the stream has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub targets: Vec<TokenTarget>,
    /// Credential that holds a token which was right and has been revoked, as `NAME=VALUE` (with `&` between
    /// several).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub revoked_credential: Option<String>,
}

fn every() -> i32 {
    900
}

/// What is wrong with a token.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum TokenFlaw {
    /// There is none.
    Absent,
    /// Its time is over.
    Expired,
    /// Its time has not come. Not with nginx, which has no such field.
    NotYetValid,
    /// A character of its signature is another.
    Tampered,
    /// It is for another path.
    OtherPath,
    /// It is for another address. With nginx only where the expression has `$remote_addr`.
    OtherAddress,
    /// It was revoked. Needs `revokedCredential`.
    Revoked,
}

/// What is asked for.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum TokenTarget {
    /// The multivariant playlist, MPD or other manifest.
    Manifest,
    /// A media playlist.
    Playlist,
    /// An init segment.
    Init,
    /// The newest media segment.
    Segment,
    /// An AES-128 key.
    Key,
}

/// `secure_link` of nginx.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NginxSecureLink {
    /// The expression of `secure_link_md5`, with `$secure_link_expires`, `$uri`, `$remote_addr`, and
    /// `$secret` in the place of the secret. Defaults to `$secure_link_expires$uri $secret`.
    #[serde(default = "expression")]
    #[schemars(length(min = 1, max = 256))]
    pub expression: String,
    /// Credential that holds the secret.
    #[schemars(length(min = 1, max = 63))]
    pub secret_credential: String,
    /// Query parameter with the MD5 value. Defaults to `md5`.
    #[serde(default = "md5")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub md5_parameter: String,
    /// Query parameter with the time of expiry. Defaults to `expires`.
    #[serde(default = "expires")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub expires_parameter: String,
}

fn expression() -> String {
    "$secure_link_expires$uri $secret".into()
}
fn md5() -> String {
    "md5".into()
}
fn expires() -> String {
    "expires".into()
}

/// Akamai EdgeAuth.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AkamaiEdgeAuth {
    /// Name of the query parameter or cookie. Defaults to `hdnts`.
    #[serde(default = "hdnts")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Credential that holds the key, hexadecimal.
    #[schemars(length(min = 1, max = 63))]
    pub key_credential: String,
    /// Paths that a token is for, with `*`. Empty: each URL by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 256), regex(pattern = r"^/")))]
    pub acl: Vec<String>,
    /// Credential that holds the salt of the property's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub salt_credential: Option<String>,
    /// Send it as a cookie.
    #[serde(default)]
    pub cookie: bool,
}

fn hdnts() -> String {
    "hdnts".into()
}

/// CloudFront.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CloudFront {
    /// Id of the public key.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Z0-9]+$"))]
    pub key_pair_id: String,
    /// Credential that holds the RSA private key, PEM.
    #[schemars(length(min = 1, max = 63))]
    pub private_key_credential: String,
    /// Resource of the policy, with `*`. Without it each URL by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^(https?|\*)://"))]
    pub resource: Option<String>,
    /// Send it as cookies. Needs a `resource`.
    #[serde(default)]
    pub cookies: bool,
}

/// Wowza SecureToken.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WowzaSecureToken {
    /// Prefix of the parameters. Defaults to `wowzatoken`.
    #[serde(default = "wowzatoken")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub prefix: String,
    /// Credential that holds the shared secret.
    #[schemars(length(min = 1, max = 63))]
    pub secret_credential: String,
    /// Hash function. Defaults to `SHA-256`.
    #[serde(default)]
    pub hash: WowzaHash,
}

fn wowzatoken() -> String {
    "wowzatoken".into()
}

/// Hash function.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[allow(missing_docs)]
pub enum WowzaHash {
    #[default]
    #[serde(rename = "SHA-256")]
    Sha256,
    #[serde(rename = "SHA-384")]
    Sha384,
    #[serde(rename = "SHA-512")]
    Sha512,
}

/// Azure Storage service SAS.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AzureSas {
    /// Storage account.
    #[schemars(length(min = 3, max = 24), regex(pattern = r"^[a-z0-9]+$"))]
    pub account: String,
    /// Credential that holds the account key, Base64.
    #[schemars(length(min = 1, max = 63))]
    pub key_credential: String,
}

/// Common Access Token.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommonAccessToken {
    /// Credential that holds the symmetric key as text.
    #[schemars(length(min = 1, max = 63))]
    pub key_credential: String,
    /// Key id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub key_id: Option<String>,
    /// Issuer, `iss`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub issuer: Option<String>,
    /// `catu`: what paths must begin with. Without it the folder of each URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^/"))]
    pub path_prefix: Option<String>,
    /// Name of the query parameter, cookie or header. Defaults to `CTA-Common-Access-Token`.
    #[serde(default = "cat_name")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// How it is sent. Defaults to `Query`.
    #[serde(default)]
    pub carrier: TokenCarrier,
}

fn cat_name() -> String {
    "CTA-Common-Access-Token".into()
}

/// How a token is sent.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
#[allow(missing_docs)]
pub enum TokenCarrier {
    #[default]
    Query,
    Cookie,
    Header,
}

impl StreamToken {
    /// Fields that name a credential, and the credentials.
    pub fn credentials(&self) -> Vec<(&'static str, &str)> {
        let mut named: Vec<(&'static str, Option<&String>)> = Vec::new();
        if let Some(s) = &self.nginx_secure_link {
            named.push(("nginxSecureLink.secretCredential", Some(&s.secret_credential)));
        }
        if let Some(s) = &self.akamai_edge_auth {
            named.push(("akamaiEdgeAuth.keyCredential", Some(&s.key_credential)));
            named.push(("akamaiEdgeAuth.saltCredential", s.salt_credential.as_ref()));
        }
        if let Some(s) = &self.cloud_front {
            named.push(("cloudFront.privateKeyCredential", Some(&s.private_key_credential)));
        }
        if let Some(s) = &self.wowza_secure_token {
            named.push(("wowzaSecureToken.secretCredential", Some(&s.secret_credential)));
        }
        if let Some(s) = &self.azure_sas {
            named.push(("azureSas.keyCredential", Some(&s.key_credential)));
        }
        if let Some(s) = &self.common_access_token {
            named.push(("commonAccessToken.keyCredential", Some(&s.key_credential)));
        }
        let revoked = self.deny.as_ref().and_then(|d| d.revoked_credential.as_ref());
        named.push(("deny.revokedCredential", revoked));
        named
            .into_iter()
            .filter_map(|(f, c)| Some((f, c?.as_str())))
            .collect()
    }
}
