//! A Zendesk with the rules that hurt: keys of idempotency that last two hours and mind the body, limits of the account and of
//! a ticket, closed tickets that can't be changed, updates that conflict, a search that is behind, tokens that expire, mail
//! that goes out when a comment is public.
//!
//! From Zendesk's own reference (the pages are named at each rule). Whether the real one does the same could not be tried;
//! zenpy, which other people use with the real one, gets along with it (`make opinions`).

use crate::services::{Answer, Request, json};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The OAuth client that is let in.
pub const CLIENT: (&str, &str) = ("drmwatch", "zendesk-client-secret");
/// Organizations that there are.
const ORGANIZATIONS: [u64; 2] = [360_001, 360_002];
/// Tickets begin with this number.
const FIRST: u64 = 35_001;
/// How long a key of idempotency is remembered.
const KEYS: SignedDuration = SignedDuration::from_hours(2);
/// How far the search is behind.
const INDEX: SignedDuration = SignedDuration::from_secs(60);
/// Updates of one ticket by one user: so many in ten minutes.
const UPDATES: usize = 30;

/// What can be done to it: `PUT` or `DELETE` `/admin/zendesk/SWITCH`.
const SWITCHES: [&str; 6] = [
    "down",         // 503 to everything
    "gone",         // the connection says nothing of use: 500
    "limited",      // 429 with Retry-After: 1
    "short-tokens", // tokens are taken back after the first request
    "needs-group",  // a ticket without a group can't be solved
    "lost-answers", // what is asked for is done, and answered with 504
];

/// Whether a request is about to be carried out, or has been and is about to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before.
    Before,
    /// After.
    After,
}

type Hook = Box<dyn Fn(Moment) + Send + Sync>;

/// The account.
#[derive(Default)]
pub struct Zendesk {
    account: Mutex<Account>,
    hook: Mutex<Option<Hook>>,
}

#[derive(Default)]
struct Account {
    tickets: BTreeMap<u64, Ticket>,
    /// By key: hash of the body, ticket, when.
    keys: BTreeMap<String, ([u8; 32], u64, Timestamp)>,
    /// Tokens and until when they are good.
    tokens: BTreeMap<String, Timestamp>,
    granted: u64,
    switches: Vec<&'static str>,
    /// How far its clock was set forward.
    ahead: SignedDuration,
    /// Requests of the last minute.
    asked: Vec<Timestamp>,
    /// To whom mail went, and about which ticket.
    mail: Vec<Value>,
}

struct Ticket {
    fields: Value,
    comments: Vec<Value>,
    created: Timestamp,
    updated: Timestamp,
    updates: Vec<Timestamp>,
}

fn error(status: u16, name: &str, description: &str) -> Answer {
    json(status, json!({ "error": name, "description": description }))
}

/// `RecordInvalid`, as <https://developer.zendesk.com/documentation/api-basics/working-with-the-zendesk-api/error-responses/> has it.
fn invalid(field: &str, description: &str) -> Answer {
    json(
        422,
        json!({ "error": "RecordInvalid", "description": "Record validation errors",
            "details": { field: [{ "description": format!("{field}: {description}"), "error": "InvalidValue" }] } }),
    )
}

fn limited(seconds: u64) -> Answer {
    let mut answer = error(
        429,
        "APIRateLimitExceeded",
        "Number of allowed API requests per minute exceeded",
    );
    answer.headers.push(("retry-after", seconds.to_string()));
    answer
}

/// Seconds, as the API shows them.
fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Ticket {
    fn show(&self) -> Value {
        let mut shown = self.fields.clone();
        shown["created_at"] = stamp(self.created).into();
        shown["updated_at"] = stamp(self.updated).into();
        shown
    }

    fn status(&self) -> &str {
        self.fields["status"].as_str().unwrap_or_default()
    }
}

impl Zendesk {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called around each request.
    pub fn hook(&self, hook: impl Fn(Moment) + Send + Sync + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    /// Sets the clock forward.
    pub fn pass(&self, time: SignedDuration) {
        self.account().ahead += time;
    }

    /// Sets a switch.
    pub fn set(&self, switch: &str, on: bool) -> bool {
        let Some(known) = SWITCHES.iter().find(|s| **s == switch) else {
            return false;
        };
        let mut account = self.account();
        account.switches.retain(|s| s != known);
        if on {
            account.switches.push(known);
        }
        true
    }

    /// Closes a ticket, as Zendesk itself does some days after it was solved.
    pub fn close(&self, id: u64) {
        if let Some(ticket) = self.account().tickets.get_mut(&id) {
            ticket.fields["status"] = "closed".into();
        }
    }

    /// Everything that is there, for a test or a person: tickets with their comments, and mail that went out.
    pub fn all(&self) -> Value {
        let account = self.account();
        let show = |t: &Ticket| {
            let mut shown = t.show();
            shown["comments"] = t.comments.clone().into();
            shown
        };
        json!({ "tickets": account.tickets.values().map(show).collect::<Vec<_>>(), "mail": account.mail })
    }

    /// Answers what is asked of Zendesk, or of its switches; None for what is not its own.
    pub(crate) fn answer(&self, request: &Request<'_>, parts: &[&str], now: Timestamp) -> Option<Answer> {
        match (request.method, parts) {
            ("GET", ["admin", "zendesk"]) => return Some(json(200, self.all())),
            ("PUT", ["admin", "zendesk", "close", id]) => {
                self.close(id.parse().unwrap_or_default());
                return Some(json(200, json!({})));
            }
            ("PUT" | "DELETE", ["admin", "zendesk", switch]) => {
                let known = self.set(switch, request.method == "PUT");
                return Some(json(
                    if known { 200 } else { 404 },
                    json!({ "switches": SWITCHES }),
                ));
            }
            (_, ["oauth", "tokens"] | ["api", "v2", ..]) => {}
            _ => return None,
        }
        let tell = |moment| {
            if let Some(hook) = &*self.hook.lock().unwrap_or_else(PoisonError::into_inner) {
                hook(moment);
            }
        };
        tell(Moment::Before);
        let answer = {
            let mut account = self.account();
            let now = now + account.ahead;
            let answer = account.answer(request, parts, now);
            match account.switches.contains(&"lost-answers") && request.method != "GET" {
                true => error(504, "GatewayTimeout", "upstream request timeout"),
                false => answer,
            }
        };
        tell(Moment::After);
        Some(answer)
    }
}

impl Account {
    fn has(&self, switch: &str) -> bool {
        self.switches.contains(&switch)
    }

    fn answer(&mut self, request: &Request<'_>, parts: &[&str], now: Timestamp) -> Answer {
        if self.has("down") {
            let mut answer = error(503, "ServiceUnavailable", "please try again");
            answer.headers.push(("retry-after", "1".to_owned()));
            return answer;
        }
        if self.has("gone") {
            return error(500, "InternalServerError", "");
        }
        // <https://developer.zendesk.com/api-reference/introduction/rate-limits/>: 700 a minute on Professional.
        self.asked
            .retain(|at| now.duration_since(*at) < SignedDuration::from_mins(1));
        self.asked.push(now);
        if self.has("limited") || self.asked.len() > 70_000 {
            return limited(1);
        }
        if let ["oauth", "tokens"] = parts {
            return self.grant(request.body, now);
        }
        let token = request.authorization.and_then(|a| a.strip_prefix("Bearer "));
        let good = token
            .and_then(|t| self.tokens.get(t))
            .is_some_and(|until| now < *until);
        if !good {
            return error(
                401,
                "invalid_token",
                "The access token provided is expired, revoked, malformed or invalid",
            );
        }
        if self.has("short-tokens") {
            self.tokens.clear();
        }
        let body = || serde_json::from_slice::<Value>(request.body).ok();
        let last = parts
            .last()
            .map(|p| p.trim_end_matches(".json"))
            .unwrap_or_default();
        match (request.method, &parts[2..]) {
            ("GET", ["users", _]) => json(
                200,
                json!({ "user": { "id": 1, "name": "drmwatch", "email": "drmwatch@example.com", "role": "agent", "active": true } }),
            ),
            ("GET", [_]) if last == "tickets" => self.list(request.query, None),
            ("GET", [_]) if last == "search" => self.list(request.query, Some(now)),
            ("GET", ["tickets", _]) => match last.parse().ok().and_then(|id: u64| self.tickets.get(&id)) {
                Some(ticket) => json(200, json!({ "ticket": ticket.show() })),
                None => error(404, "RecordNotFound", "Not found"),
            },
            ("GET", ["tickets", id, _]) if last == "comments" => {
                match id.parse().ok().and_then(|id: u64| self.tickets.get(&id)) {
                    Some(t) => json(
                        200,
                        json!({ "comments": t.comments, "count": t.comments.len(), "next_page": null, "previous_page": null }),
                    ),
                    None => error(404, "RecordNotFound", "Not found"),
                }
            }
            ("POST", [_]) if last == "tickets" => match body() {
                Some(asked) => self.create(request, &asked, now),
                None => error(400, "Unprocessable", "Server could not parse JSON"),
            },
            ("PUT", ["tickets", _]) => match (body(), last.parse()) {
                (Some(asked), Ok(id)) => self.update(id, &asked["ticket"], now),
                _ => error(400, "Unprocessable", "Server could not parse JSON"),
            },
            _ => error(404, "InvalidEndpoint", "Not found"),
        }
    }

    /// <https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/>.
    fn grant(&mut self, body: &[u8], now: Timestamp) -> Answer {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        if asked["grant_type"] != "client_credentials" {
            return error(400, "unsupported_grant_type", "");
        }
        if asked["client_id"] != CLIENT.0 || asked["client_secret"] != CLIENT.1 {
            return error(401, "invalid_client", "Client authentication failed");
        }
        self.granted += 1;
        let token = format!("zendesk-token-{:08}", self.granted);
        self.tokens
            .insert(token.clone(), now + SignedDuration::from_secs(300));
        json(
            200,
            json!({ "access_token": token, "token_type": "bearer", "scope": asked["scope"], "expires_in": 300 }),
        )
    }

    /// Tickets by `external_id`; a search does not see yet what is young.
    fn list(&self, query: &str, search: Option<Timestamp>) -> Answer {
        let decoded = unescape(query);
        let wanted = match search {
            Some(_) => decoded
                .split_once("external_id:")
                .map(|(_, rest)| rest.split([' ', '&']).next().unwrap_or_default()),
            None => decoded.split('&').find_map(|p| p.strip_prefix("external_id=")),
        };
        let wanted = wanted.map(|w| w.trim_matches('"').to_owned());
        let seen = |t: &&Ticket| search.is_none_or(|now| now.duration_since(t.updated) >= INDEX);
        let of = |t: &&Ticket| wanted.as_deref().is_none_or(|w| t.fields["external_id"] == w);
        let found: Vec<Value> = self
            .tickets
            .values()
            .filter(of)
            .filter(seen)
            .map(Ticket::show)
            .collect();
        let name = if search.is_some() { "results" } else { "tickets" };
        json(
            200,
            json!({ name: found, "count": found.len(), "next_page": null, "previous_page": null }),
        )
    }

    /// <https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/#create-ticket>, and the page on idempotency.
    fn create(&mut self, request: &Request<'_>, asked: &Value, now: Timestamp) -> Answer {
        let hash: [u8; 32] = Sha256::digest(request.body).into();
        self.keys.retain(|_, (_, _, at)| now.duration_since(*at) < KEYS);
        let key = request.header("idempotency-key").map(str::to_owned);
        if key.as_ref().is_some_and(|k| k.len() > 255) {
            return error(
                400,
                "IdempotentRequestError",
                "Idempotency-Key must be at most 255 characters",
            );
        }
        if let Some((before, id, _)) = key.as_ref().and_then(|k| self.keys.get(k)) {
            if *before != hash {
                return error(
                    400,
                    "IdempotentRequestError",
                    "Request parameters do not match the previous request with this key",
                );
            }
            let ticket = self.tickets.get(id).map(Ticket::show);
            let mut answer = json(201, json!({ "ticket": ticket }));
            answer.headers.push(("x-idempotency-lookup", "hit".to_owned()));
            return answer;
        }
        let wanted = &asked["ticket"];
        let Some(text) = wanted["comment"]["body"]
            .as_str()
            .filter(|t| !t.trim().is_empty())
        else {
            return invalid("comment", "cannot be blank");
        };
        if let Some(organization) = wanted["organization_id"].as_u64()
            && !ORGANIZATIONS.contains(&organization)
        {
            return invalid("organization_id", "is invalid");
        }
        if let Some(source) = wanted["via_followup_source_id"].as_u64()
            && self.tickets.get(&source).is_none_or(|t| t.status() != "closed")
        {
            return invalid("via_followup_source_id", "is not a closed ticket");
        }
        let id = self.tickets.keys().next_back().map_or(FIRST, |last| last + 1);
        let mut fields = json!({
            "id": id, "url": format!("/api/v2/tickets/{id}.json"), "status": "new", "type": null, "priority": null,
            "tags": [], "requester_id": 1, "submitter_id": 1, "assignee_id": null, "organization_id": null, "group_id": null,
            "brand_id": 1, "custom_fields": [], "external_id": null, "subject": "", "description": text, "followup_ids": [],
            "via": { "channel": "api", "source": { "from": {}, "to": {}, "rel": null } },
        });
        for name in [
            "subject",
            "external_id",
            "type",
            "priority",
            "tags",
            "organization_id",
            "group_id",
            "brand_id",
            "ticket_form_id",
            "custom_fields",
            "status",
            "requester",
            "via_followup_source_id",
        ] {
            if !wanted[name].is_null() {
                fields[name] = wanted[name].clone();
            }
        }
        let public = wanted["comment"]["public"].as_bool().unwrap_or(true);
        let mut ticket = Ticket {
            fields,
            comments: Vec::new(),
            created: now,
            updated: now,
            updates: Vec::new(),
        };
        self.say(&mut ticket, text, public, now);
        let shown = ticket.show();
        self.tickets.insert(id, ticket);
        let mut answer = json(201, json!({ "ticket": shown, "audit": audit(&shown, now) }));
        if let Some(key) = key {
            self.keys.insert(key, (hash, id, now));
            answer.headers.push(("x-idempotency-lookup", "miss".to_owned()));
        }
        answer
    }

    /// A public comment is mailed to the requester: <https://support.zendesk.com/hc/en-us/articles/4408843597850>.
    fn say(&mut self, ticket: &mut Ticket, text: &str, public: bool, now: Timestamp) {
        ticket.comments.push(json!({
            "id": ticket.comments.len() + 1, "type": "Comment", "body": text, "public": public, "author_id": 1, "created_at": stamp(now),
        }));
        if public {
            self.mail
                .push(json!({ "to": ticket.fields["requester"]["email"], "ticket": ticket.fields["id"] }));
        }
    }

    /// <https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/#update-ticket>.
    fn update(&mut self, id: u64, wanted: &Value, now: Timestamp) -> Answer {
        let needs_group = self.has("needs-group");
        let Some(mut ticket) = self.tickets.remove(&id) else {
            return error(404, "RecordNotFound", "Not found");
        };
        let refused = check(&mut ticket, wanted, needs_group, now);
        if refused.is_none() {
            ticket.updates.push(now);
            for name in [
                "status",
                "tags",
                "priority",
                "subject",
                "group_id",
                "assignee_id",
                "custom_fields",
            ] {
                if !wanted[name].is_null() {
                    ticket.fields[name] = wanted[name].clone();
                }
            }
            if let Some(text) = wanted["comment"]["body"].as_str() {
                let public = wanted["comment"]["public"].as_bool().unwrap_or(true);
                self.say(&mut ticket, text, public, now);
            }
            ticket.updated = now;
        }
        let shown = ticket.show();
        self.tickets.insert(id, ticket);
        refused.unwrap_or_else(|| json(200, json!({ "ticket": shown, "audit": audit(&shown, now) })))
    }
}

/// What goes with the answer to each change.
fn audit(ticket: &Value, now: Timestamp) -> Value {
    json!({ "id": now.as_millisecond(), "ticket_id": ticket["id"], "author_id": 1, "created_at": stamp(now), "events": [] })
}

/// Why a ticket is not to be changed so.
fn check(ticket: &mut Ticket, wanted: &Value, needs_group: bool, now: Timestamp) -> Option<Answer> {
    if ticket.status() == "closed" {
        return Some(invalid("status", "closed prevents ticket update"));
    }
    ticket
        .updates
        .retain(|at| now.duration_since(*at) < SignedDuration::from_mins(10));
    if ticket.updates.len() >= UPDATES {
        return Some(limited(60));
    }
    if wanted["safe_update"] == true && wanted["updated_stamp"] != stamp(ticket.updated) {
        return Some(error(
            409,
            "UpdateConflict",
            "Safe Update prevented the update due to outdated ticket data. Please fetch the latest ticket data and try again.",
        ));
    }
    if needs_group && wanted["status"] == "solved" && ticket.fields["group_id"].is_null() {
        return Some(invalid("group_id", "is required when solving a ticket"));
    }
    None
}

/// Text of a query (RFC 3986 section 2.1).
fn unescape(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let pair = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let pair = std::str::from_utf8(&pair)
                    .ok()
                    .and_then(|p| u8::from_str_radix(p, 16).ok());
                pair.unwrap_or(b'?')
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}
