//! Licence and key servers of every system, with real wire formats and identities made for nothing else. Content keys in
//! what they give are noise: nothing can be played with them, and nobody tries.
//!
//! They grant to a token that this world's own key signed (`TOKEN_KEY`, HS256) for the asset `canary`. Refusals have a
//! vendor's codes; every fault of the taxonomy is a switch.

mod fairplay;
mod playready;
mod speke;
mod widevine;

pub use fairplay::recorded_spc;
pub use playready::{
    RECORDED_NONCE, recorded_challenge as recorded_playready_challenge, root as playready_root,
};
pub use speke::{PASSWORD as KEY_SERVER_PASSWORD, USER as KEY_SERVER_USER};
pub use widevine::{device_key, identity, recorded_challenge, root as widevine_root};

use crate::{
    CANARY_KID, Fault, Faults,
    services::{Answer, Request, answer, html, json, now},
};
use jsonwebtoken::{DecodingKey, Validation, errors::ErrorKind};
use serde_json::{Value, json};
use std::sync::Mutex;

/// Key of this world's tokens (HS256).
pub const TOKEN_KEY: &str = "drm-town-signs-with-this-and-nothing-else";

/// Key with which a provider signs requests to the cloud.
pub const CLOUD_KEY: [u8; 32] = [0x11; 32];
/// And its vector.
pub const CLOUD_IV: [u8; 16] = [0x22; 16];

/// The servers.
pub(crate) struct Town {
    widevine: widevine::Server,
    playready: playready::Server,
    fairplay: fairplay::Server,
    speke: speke::Server,
    /// Sessions that are open.
    sessions: Mutex<Vec<u64>>,
    /// Licences that were given, by system: a cache that breaks the rules gives them again.
    given: Mutex<std::collections::BTreeMap<String, Answer>>,
}

/// The canary's key id.
pub(crate) fn canary() -> [u8; 16] {
    u128::from_str_radix(&CANARY_KID.replace('-', ""), 16)
        .unwrap_or_default()
        .to_be_bytes()
}

/// A GUID as Microsoft stores it.
pub(crate) fn guid(mut kid: [u8; 16]) -> [u8; 16] {
    kid[..4].reverse();
    kid[4..6].reverse();
    kid[6..8].reverse();
    kid
}

/// What a request is refused with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoToken,
    TokenExpired,
    TokenNotYetValid,
    TokenInvalid,
    TokenReused,
    Denied,
    Geo,
    Concurrency,
    DeviceLimit,
    KeyNotFound,
    Malformed,
    DeviceRevoked,
    SecurityLevel,
    Clock,
    Backend,
    Internal,
}

impl Refusal {
    /// Status and a vendor's code.
    fn code(self) -> (u16, &'static str) {
        match self {
            Refusal::NoToken => (401, "token_missing"),
            Refusal::TokenExpired => (403, "MDRM-508"),
            Refusal::TokenNotYetValid => (403, "MDRM-510"),
            Refusal::TokenInvalid => (403, "MDRM-502"),
            Refusal::TokenReused => (403, "drm_3039"),
            Refusal::Denied => (403, "drm_3030"),
            Refusal::Geo => (403, "drm_3034"),
            Refusal::Concurrency => (403, "too_many_streams"),
            Refusal::DeviceLimit => (403, "too_many_devices"),
            Refusal::KeyNotFound => (404, "MDRM-1011"),
            Refusal::Malformed => (400, "drm_4003"),
            Refusal::DeviceRevoked => (403, "device_revoked"),
            Refusal::SecurityLevel => (403, "security_level"),
            Refusal::Clock => (403, "client_clock"),
            Refusal::Backend => (503, "MDRM-1015"),
            Refusal::Internal => (500, "internal"),
        }
    }
}

fn plain(refusal: Refusal) -> Answer {
    let (status, code) = refusal.code();
    json(
        status,
        json!({ "code": code, "message": "the request is refused" }),
    )
}

const LOGIN: &str = "<!DOCTYPE html><html><body><form action=\"/login\"><input name=\"user\"><input type=\"password\" name=\"p\"><button>Sign in</button></form></body></html>";
const BLOCKED: &str = "<html><head><title>Access Denied</title></head><body><h1>Access Denied</h1>You don't have permission to access this resource on this server. Reference #18.2d351ab8</body></html>";

impl Town {
    pub fn new() -> Town {
        Town {
            widevine: widevine::Server::new(),
            playready: playready::Server::new(),
            fairplay: fairplay::Server::new(),
            speke: speke::Server,
            sessions: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// What `/drm/…` answers.
    pub fn answer(&self, faults: &Faults, request: &Request<'_>, path: &[&str]) -> Answer {
        let has = |fault| faults.has(fault);
        if has(Fault::DrmSlow) {
            return Answer {
                due: Some(now() + jiff::SignedDuration::from_secs(30)),
                ..answer(200, "text/plain", "")
            };
        }
        let page = match () {
            () if has(Fault::DrmDown) => Some(html(500)),
            () if has(Fault::DrmHtml) => Some(html(200)),
            () if has(Fault::DrmLogin) => Some(answer(200, "text/html", LOGIN)),
            () if has(Fault::DrmBlocked) => Some(answer(403, "text/html", BLOCKED)),
            () if has(Fault::DrmPortal) => Some(answer(511, "text/html", LOGIN)),
            () if has(Fault::DrmEmpty) => Some(answer(200, "application/octet-stream", "")),
            () if has(Fault::DrmVendorJson) => Some(json(200, json!({ "error": { "code": 99 } }))),
            () if has(Fault::DrmGarbage) => Some(answer(200, "application/octet-stream", vec![0xff; 64])),
            () if has(Fault::DrmHuge) => Some(answer(200, "application/octet-stream", vec![8; 8 << 20])),
            () if has(Fault::DrmRateLimited) => Some(json(429, json!({ "code": "slow_down" }))),
            () if has(Fault::DrmMissing) => Some(html(404)),
            () if has(Fault::DrmBusy) => Some(Answer {
                headers: vec![("retry-after", "5".into())],
                ..json(503, json!({ "code": "busy" }))
            }),
            () => None,
        };
        if let Some(page) = page {
            return page;
        }
        let mut found = match (request.method, path) {
            (
                "POST",
                [
                    system @ ("widevine" | "playready" | "fairplay" | "clearkey" | "proprietary"),
                    "license",
                ],
            ) => self.licence(faults, system, request),
            ("GET", ["fairplay", "certificate"]) => self.fairplay.certificate(faults),
            ("POST", ["speke", version]) => self.speke.answer(faults, request, version),
            ("GET", ["speke", "heartbeat"]) => answer(200, "text/plain", "OK"),
            (_, ["session", rest @ ..]) => self.session(faults, request, rest),
            ("POST", ["cloud"]) => self.cloud(faults, request.body),
            ("POST", ["hook", "challenge"]) => {
                let challenge = playready::fresh_challenge();
                let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, challenge);
                json(200, json!({ "challenge": text }))
            }
            ("POST", ["hook", "check"]) => {
                let asked: Value = serde_json::from_slice(request.body).unwrap_or_default();
                json(200, asked["input"].clone())
            }
            _ => html(404),
        };
        if has(Fault::DrmClockSkewed) {
            let date = (now() - jiff::SignedDuration::from_hours(2)).strftime("%a, %d %b %Y %H:%M:%S GMT");
            found.headers.push(("date", date.to_string()));
        }
        found
    }

    fn licence(&self, faults: &Faults, system: &str, request: &Request<'_>) -> Answer {
        let has = |fault| faults.has(fault);
        if system == "widevine" && request.body == [8, 4] {
            return self.widevine.certificate(faults);
        }
        let refuse = |refusal| self.refuse(system, refusal);
        // What can't be read is refused before anything is looked up.
        let readable = match system {
            "widevine" => self.widevine.readable(request.body),
            "playready" => self.playready.readable(request.body),
            "fairplay" => self.fairplay.readable(request.body),
            "clearkey" => asked_kids(request.body).is_some(),
            _ => !request.body.is_empty(),
        };
        if !readable && !has(Fault::DrmOpen) {
            return refuse(Refusal::Malformed);
        }
        for (fault, refusal) in [
            (Fault::DrmTokenExpired, Refusal::TokenExpired),
            (Fault::DrmTokenNotYetValid, Refusal::TokenNotYetValid),
            (Fault::DrmTokenInvalid, Refusal::TokenInvalid),
            (Fault::DrmTokenReused, Refusal::TokenReused),
            (Fault::DrmDenied, Refusal::Denied),
            (Fault::DrmGeo, Refusal::Geo),
            (Fault::DrmConcurrency, Refusal::Concurrency),
            (Fault::DrmDeviceLimit, Refusal::DeviceLimit),
            (Fault::DrmKeyNotFound, Refusal::KeyNotFound),
            (Fault::DrmChallengeRefused, Refusal::Malformed),
            (Fault::DrmDeviceRevoked, Refusal::DeviceRevoked),
            (Fault::DrmSecurityLevel, Refusal::SecurityLevel),
            (Fault::DrmClientClock, Refusal::Clock),
            (Fault::DrmBackend, Refusal::Backend),
            (Fault::DrmInternal, Refusal::Internal),
        ] {
            if has(fault) {
                return refuse(refusal);
            }
        }
        if let Some(refusal) = self.entitlement(request).filter(|_| !has(Fault::DrmOpen)) {
            return match has(Fault::DrmWrongRefusal) {
                true => json(200, json!({ "message": "sorry" })),
                false => refuse(refusal),
            };
        }
        if has(Fault::DrmCached) {
            let given = self.given.lock().unwrap_or_else(|e| e.into_inner());
            if let Some(given) = given.get(system) {
                return given.clone();
            }
        }
        let mut granted = match system {
            "widevine" => self.widevine.grant(faults, request.body),
            "playready" => self.playready.grant(faults, request.body),
            "fairplay" => self.fairplay.grant(faults),
            "clearkey" => clearkey(faults, request.body),
            _ => proprietary(faults),
        };
        if has(Fault::DrmTruncated) {
            let half = granted.body.len() * 2 / 3;
            granted.body.truncate(half);
        }
        if has(Fault::DrmAged) {
            granted.headers.push(("age", "3600".into()));
        }
        let mut given = self.given.lock().unwrap_or_else(|e| e.into_inner());
        given.insert(system.to_owned(), granted.clone());
        granted
    }

    /// A refusal in the form of the system.
    fn refuse(&self, system: &str, refusal: Refusal) -> Answer {
        match system {
            "playready" => playready::refuse(refusal),
            "widevine" => widevine::refuse(refusal).unwrap_or_else(|| plain(refusal)),
            "fairplay" => fairplay::refuse(refusal).unwrap_or_else(|| plain(refusal)),
            _ => plain(refusal),
        }
    }

    /// Whether the token allows it.
    fn entitlement(&self, request: &Request<'_>) -> Option<Refusal> {
        let Some(token) = request.authorization.and_then(|a| a.strip_prefix("Bearer ")) else {
            return Some(Refusal::NoToken);
        };
        let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.validate_nbf = true;
        validation.leeway = 5;
        let key = DecodingKey::from_secret(TOKEN_KEY.as_bytes());
        let claims = match jsonwebtoken::decode::<Value>(token, &key, &validation) {
            Ok(found) => found.claims,
            Err(error) => {
                return Some(match error.kind() {
                    ErrorKind::ExpiredSignature => Refusal::TokenExpired,
                    ErrorKind::ImmatureSignature => Refusal::TokenNotYetValid,
                    _ => Refusal::TokenInvalid,
                });
            }
        };
        if claims["asset"] != "canary" || claims["entitled"] == false {
            return Some(Refusal::Denied);
        }
        match request.header("x-forwarded-for") {
            Some(address) if address.starts_with("203.0.113.") => return Some(Refusal::Geo),
            _ => {}
        }
        if request.header("x-device-id") == Some("one-too-many") {
            return Some(Refusal::DeviceLimit);
        }
        if let Some(kids) = asked_kids(request.body)
            && !kids.iter().any(|k| k == &canary())
        {
            return Some(Refusal::KeyNotFound);
        }
        None
    }

    /// Google's JSON form: the signature is looked at, and the recording is granted.
    fn cloud(&self, faults: &Faults, body: &[u8]) -> Answer {
        use aes::Aes256;
        use base64::{Engine, engine::general_purpose::STANDARD};
        use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
        use sha1::{Digest, Sha1};
        let status = |status: &str| json(200, json!({ "status": status, "internal_status": 17 }));
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let decode = |value: &Value| {
            STANDARD
                .decode(value.as_str().unwrap_or_default())
                .unwrap_or_default()
        };
        let (inner, signature) = (decode(&asked["request"]), decode(&asked["signature"]));
        let opened = cbc::Decryptor::<Aes256>::new(&CLOUD_KEY.into(), &CLOUD_IV.into())
            .decrypt_padded_vec::<Pkcs7>(&signature);
        if !opened.is_ok_and(|sum| sum[..] == Sha1::digest(&inner)[..]) {
            return status("SIGNATURE_FAILED");
        }
        if faults.has(Fault::DrmDeviceRevoked) {
            return status("DRM_DEVICE_CERTIFICATE_REVOKED");
        }
        if faults.has(Fault::DrmInternal) {
            return status("INTERNAL_ERROR");
        }
        let inner: Value = serde_json::from_slice(&inner).unwrap_or_default();
        let payload = decode(&inner["payload"]);
        if inner["parse_only"] == true {
            return json(
                200,
                json!({ "status": "OK", "message_type": "LICENSE_REQUEST", "security_level": 3 }),
            );
        }
        if !self.widevine.recorded(&payload) {
            return status("INVALID_LICENSE_CHALLENGE");
        }
        let licence = STANDARD.encode(self.widevine.grant(faults, &payload).body);
        json(
            200,
            json!({ "status": "OK", "license": licence, "message_type": "LICENSE_REQUEST" }),
        )
    }

    /// Login, heartbeat and teardown of a proprietary system: one session at a time.
    fn session(&self, faults: &Faults, request: &Request<'_>, path: &[&str]) -> Answer {
        let mut sessions = self.sessions.lock().unwrap_or_else(|e| e.into_inner());
        match (request.method, path) {
            ("POST", ["login"]) if sessions.is_empty() => {
                sessions.push(7);
                json(200, json!({ "session": "session-0007" }))
            }
            ("POST", ["login"]) => json(409, json!({ "code": "too_many_streams" })),
            ("POST", ["session-0007", "heartbeat"]) if faults.has(Fault::DrmHeartbeat) => html(500),
            ("POST", ["session-0007", "heartbeat"]) if !sessions.is_empty() => {
                json(200, json!({ "ok": true }))
            }
            ("DELETE", ["session-0007"]) => {
                sessions.clear();
                answer(204, "text/plain", "")
            }
            ("GET", ["open"]) => json(200, json!({ "open": sessions.len() })),
            _ => html(404),
        }
    }
}

fn asked_kids(body: &[u8]) -> Option<Vec<[u8; 16]>> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let asked: Value = serde_json::from_slice(body).ok()?;
    let kids = asked["kids"].as_array()?.iter().map(|k| {
        let bytes = URL_SAFE_NO_PAD.decode(k.as_str()?).ok()?;
        bytes.try_into().ok()
    });
    kids.collect()
}

fn clearkey(faults: &Faults, body: &[u8]) -> Answer {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let kids = asked_kids(body).unwrap_or_default();
    let mut keys: Vec<Value> = kids
        .iter()
        .map(|kid| {
            let mut kid = *kid;
            if faults.has(Fault::DrmWrongKid) {
                kid.reverse();
            }
            if faults.has(Fault::DrmGuidOrder) {
                kid = guid(kid);
            }
            let key = &crate::CANARY_KEY[..if faults.has(Fault::DrmBroken) { 15 } else { 16 }];
            json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(key), "kid": URL_SAFE_NO_PAD.encode(kid) })
        })
        .collect();
    if faults.has(Fault::DrmNoKeys) {
        keys.clear();
    }
    json(200, json!({ "keys": keys, "type": "temporary" }))
}

fn proprietary(faults: &Faults) -> Answer {
    match faults.has(Fault::DrmBroken) || faults.has(Fault::DrmNoKeys) {
        true => json(200, json!({ "ticket": null })),
        false => json(200, json!({ "ticket": "dGhlIHRpY2tldA==" })),
    }
}
