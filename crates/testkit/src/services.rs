//! What the world answers, path by path.

use crate::{
    CANARY_KEY, CANARY_KID, Fault, Faults,
    drm::Town,
    stage::{self, Mood, Stage, Timing},
    zendesk::Zendesk,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    fmt::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// An answer: status, content type, body, extra headers.
#[derive(Clone)]
pub(crate) struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub body: Vec<u8>,
    pub headers: Vec<(&'static str, String)>,
    /// The answer is held until then: ask again.
    pub due: Option<Timestamp>,
}

/// A request, as far as the world looks at it.
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub authorization: Option<&'a str>,
    pub headers: &'a hyper::HeaderMap,
    pub body: &'a [u8],
}

impl Request<'_> {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// Everything that answers.
pub(crate) struct Site {
    faults: Arc<Faults>,
    stage: Stage,
    drm: Town,
    zendesk: Arc<Zendesk>,
    /// Since when the streams stand still.
    frozen: Mutex<Option<Timestamp>>,
    ca_pem: String,
    tokens: AtomicU64,
    messages: Mutex<Vec<Value>>,
    /// Who was asked for below `/slot`, and when: a line each, for an auditor.
    visits: Mutex<String>,
}

const HTML: &str = "<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>";
/// The world's clients prove themselves to the token service with this.
const API_KEY: &str = "demo-api-key";

/// The world lives by the wall clock: its streams are live.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn answer(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        status,
        kind,
        body: body.into(),
        headers: Vec::new(),
        due: None,
    }
}
pub(crate) fn json(status: u16, body: Value) -> Answer {
    answer(status, "application/json", body.to_string())
}
pub(crate) fn html(status: u16) -> Answer {
    answer(status, "text/html", HTML)
}

impl Site {
    pub fn new(faults: Arc<Faults>, ca_pem: String, zendesk: Arc<Zendesk>) -> Site {
        Site {
            faults,
            stage: Stage::new(now(), Timing::Exact),
            drm: Town::new(),
            zendesk,
            frozen: Mutex::default(),
            ca_pem,
            tokens: AtomicU64::new(1),
            messages: Mutex::default(),
            visits: Mutex::default(),
        }
    }

    pub fn answer(&self, request: &Request<'_>) -> Answer {
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        if let Some(answer) = self.zendesk.answer(request, &parts, now()) {
            return answer;
        }
        match (request.method, parts.as_slice()) {
            ("GET", ["healthz"]) => answer(200, "text/plain", "ok"),
            ("GET", ["ca.pem"]) => answer(200, "application/x-pem-file", self.ca_pem.clone()),
            ("GET" | "HEAD", ["live", rest @ ..]) => {
                let mut answer = self.live(&rest.join("/"), request.query);
                // Players are pages of other origins.
                answer
                    .headers
                    .push(("access-control-allow-origin", "*".to_owned()));
                answer
            }
            ("GET" | "POST", ["token"]) => self.token(request),
            ("POST", ["license", "clearkey"]) => self.license(request),
            (_, ["drm", rest @ ..]) => self.drm.answer(&self.faults, request, rest),
            (_, ["redirect", "circle"]) => self.redirect("/redirect/circle"),
            (_, ["redirect", "once"]) => self.redirect("/healthz"),
            (_, ["redirect", "metadata"]) => self.redirect("http://169.254.169.254/latest/meta-data/"),
            (_, ["redirect", "nowhere"]) => answer(302, "text/plain", ""),
            ("GET", ["status", code]) => answer(code.parse().unwrap_or(400), "text/plain", "as asked"),
            (_, ["echo-headers"]) => json(200, json!({ "authorization": request.authorization })),
            ("POST", ["slack", to @ ..]) => self.receive(&to.join("/"), request.body),
            ("GET", ["slack"]) => json(
                200,
                json!(*self.messages.lock().unwrap_or_else(|e| e.into_inner())),
            ),
            ("GET", ["slot", name]) => {
                let mut visits = self.visits.lock().unwrap_or_else(|e| e.into_inner());
                let _ = writeln!(visits, "{} {name}", now().as_millisecond());
                answer(200, "text/plain", "ok")
            }
            ("GET", ["admin", "visits"]) => {
                let visits = self.visits.lock().unwrap_or_else(|e| e.into_inner());
                answer(200, "text/plain", visits.clone())
            }
            ("GET", ["admin", "faults"]) => {
                let on: Vec<&str> = Fault::ALL
                    .iter()
                    .filter(|f| self.faults.has(**f))
                    .map(|f| f.word())
                    .collect();
                json(
                    200,
                    json!({ "on": on, "known": Fault::ALL.iter().map(|f| f.word()).collect::<Vec<_>>() }),
                )
            }
            ("PUT" | "DELETE", ["admin", "faults", word]) => {
                match Fault::ALL.iter().find(|f| f.word() == *word) {
                    Some(fault) => {
                        self.faults.set(*fault, request.method == "PUT");
                        json(200, json!({ "fault": word, "on": request.method == "PUT" }))
                    }
                    None => json(404, json!({ "error": "no such fault" })),
                }
            }
            _ => html(404),
        }
    }

    fn redirect(&self, to: &str) -> Answer {
        Answer {
            headers: vec![("location", to.to_owned())],
            ..answer(302, "text/plain", "")
        }
    }

    fn live(&self, path: &str, query: &str) -> Answer {
        let has = |fault| self.faults.has(fault);
        let init = path.ends_with("init.mp4");
        let manifest = [".m3u8", ".mpd", "Manifest", ".f4m"]
            .iter()
            .any(|e| path.ends_with(e));
        match () {
            () if manifest && has(Fault::ManifestDown) => return html(503),
            () if manifest && has(Fault::ManifestHtml) => return html(200),
            () if init && has(Fault::InitMissing) => return html(404),
            () if !init && !manifest && has(Fault::SegmentMissing) => return html(404),
            () if !init && !manifest && has(Fault::SegmentHtml) => return html(200),
            () => {}
        }
        let mut now = now();
        let mut frozen = self.frozen.lock().unwrap_or_else(|e| e.into_inner());
        match has(Fault::Freeze) {
            true => now = *frozen.get_or_insert(now),
            false => *frozen = None,
        }
        if has(Fault::Regress) {
            now -= SignedDuration::from_secs(60);
        }
        let mood = Mood {
            ended: has(Fault::EndStream),
            broken: has(Fault::ManifestBroken),
            wrong_kid: has(Fault::KidMismatch),
        };
        let found = self.stage.answer(stage::Ask {
            path,
            query,
            now,
            mood,
        });
        match found {
            None => html(404),
            Some(_) if manifest && has(Fault::ManifestEmpty) => answer(200, "text/plain", ""),
            Some(found) => Answer {
                due: found.due,
                ..answer(found.status, found.kind, found.body)
            },
        }
    }

    fn token(&self, request: &Request<'_>) -> Answer {
        if self.faults.has(Fault::TokenDown) {
            return json(503, json!({ "error": "temporarily_unavailable" }));
        }
        if request.authorization != Some(&format!("Bearer {API_KEY}")) {
            return json(401, json!({ "error": "invalid_client" }));
        }
        if self.faults.has(Fault::TokenMissing) {
            return json(200, json!({ "token_type": "Bearer" }));
        }
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        json(
            200,
            json!({ "access_token": format!("token-{number:08}"), "token_type": "Bearer", "expires_in": 60 }),
        )
    }

    fn license(&self, request: &Request<'_>) -> Answer {
        let has = |fault| self.faults.has(fault);
        if has(Fault::LicenseDown) {
            return html(500);
        }
        let token = request
            .authorization
            .and_then(|a| a.strip_prefix("Bearer token-"));
        let issued = token
            .and_then(|t| t.parse::<u64>().ok())
            .is_some_and(|n| n > 0 && n < self.tokens.load(Ordering::Relaxed));
        if (!issued && !has(Fault::LicenseOpen)) || has(Fault::LicenseDenied) {
            return json(403, json!({ "error": "entitlement" }));
        }
        if has(Fault::LicenseHtml) {
            return html(200);
        }
        let asked: Value = serde_json::from_slice(request.body).unwrap_or_default();
        let Some(kids) = asked["kids"].as_array() else {
            return json(400, json!({ "error": "kids missing" }));
        };
        let mut known: Vec<u8> = CANARY_KID.bytes().filter(|b| *b != b'-').collect();
        if has(Fault::LicenseWrongKid) {
            known.reverse();
        }
        let kid: Vec<u8> = known
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let right = URL_SAFE_NO_PAD.encode(&kid);
        if !has(Fault::LicenseWrongKid) && !kids.iter().any(|k| k == &json!(right)) {
            return json(404, json!({ "error": "unknown key id" }));
        }
        let mut key = CANARY_KEY;
        if has(Fault::LicenseWrongKey) {
            key[0] ^= 1;
        }
        let key = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(key), "kid": right });
        json(200, json!({ "keys": [key], "type": "temporary" }))
    }

    /// A message in Slack's form, by the webhook that it came through.
    fn receive(&self, to: &str, body: &[u8]) -> Answer {
        match serde_json::from_slice::<Value>(body) {
            Ok(mut message) => {
                message["webhook"] = to.into();
                self.messages
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .push(message);
                answer(200, "text/plain", "ok")
            }
            Err(_) => answer(400, "text/plain", "invalid_payload"),
        }
    }
}
