//! Zendesk, as far as it is used here: OAuth client credentials, tickets by `external_id`, create, update.
//!
//! Sources: <https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/> (create, update, `safe_update`,
//! `via_followup_source_id`, `external_id`), <https://developer.zendesk.com/api-reference/ticketing/ticket-management/idempotency/>
//! and <https://developer.zendesk.com/api-reference/introduction/rate-limits/>. No account was at hand: `--selftest` is how a
//! user finds out.

use drmwatch_metrics::{BRIDGE_REQUEST_DURATION, BRIDGE_REQUESTS, Metrics, Owner};
use drmwatch_tickets::{Frozen, Ticket};
use reqwest::{Client, Method, Response, StatusCode, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A token is replaced this long before it expires.
const EARLY: Duration = Duration::from_secs(60);
/// Wait where a limit was met and nothing is said of how long.
const LIMITED: Duration = Duration::from_secs(60);
/// Longest answer that is looked at.
const MOST_SAID: usize = 300;

/// Why a request did not do what it should.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// Nothing is known of what became of it: to be tried again.
    #[error("{0}")]
    Unavailable(String),
    /// A limit: to be tried again when it says.
    #[error("Zendesk asks to wait for {} s", .0.as_secs())]
    Limited(Duration),
    /// The OAuth client is not let in.
    #[error("Zendesk does not let the bridge in: {0}")]
    Unauthorized(String),
    /// The key was used with another body: somebody else makes that ticket.
    #[error("another bridge makes the ticket")]
    Taken,
    /// Somebody changed the ticket meanwhile.
    #[error("the ticket was changed meanwhile")]
    Conflict,
    /// It will not be done, however often it is asked.
    #[error("{status}: {said}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What Zendesk said.
        said: String,
    },
}

/// A connection to an account.
pub struct Zendesk {
    client: Client,
    base: String,
    id: String,
    secret: SecretString,
    metrics: Metrics,
    /// The token, and until when it is used.
    token: Mutex<Option<(SecretString, Instant)>>,
    /// When the next request may leave.
    turn: Mutex<Instant>,
    pace: Duration,
}

/// Roots to trust: those of a file, or the public ones. A scratch image has none of its own.
pub fn client(ca_file: Option<&Path>) -> Result<Client, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|e| format!("{}: {e}", path.display()))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(format!("{}: no certificate in it", path.display()));
            }
        }
    }
    let tls = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .user_agent(concat!("drmwatch-bridge/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| e.to_string())
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Tickets {
    tickets: Vec<Ticket>,
}

#[derive(Deserialize)]
struct One {
    ticket: Ticket,
}

impl Zendesk {
    pub fn new(
        client: Client,
        options: &crate::options::Options,
        secret: SecretString,
        metrics: Metrics,
    ) -> Zendesk {
        Zendesk {
            client,
            base: options.zendesk_url.trim_end_matches('/').to_owned(),
            id: options.client_id.clone(),
            secret,
            metrics,
            token: Mutex::default(),
            turn: Mutex::new(Instant::now()),
            pace: Duration::from_secs(60) / options.requests_per_minute.max(1),
        }
    }

    /// Waits until a request may leave.
    async fn turn(&self) {
        let mine = {
            let mut turn = self.turn.lock().await;
            let mine = (*turn).max(Instant::now());
            *turn = mine + self.pace;
            mine
        };
        tokio::time::sleep_until(mine).await;
    }

    /// Nobody asks before then.
    async fn rest(&self, wait: Duration) {
        let mut turn = self.turn.lock().await;
        *turn = (*turn).max(Instant::now() + wait);
    }

    /// A token that is good for a while.
    async fn token(&self) -> Result<SecretString, Error> {
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = &*kept
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let body = json!({
            "grant_type": "client_credentials",
            "client_id": self.id,
            "client_secret": self.secret.expose_secret(),
            "scope": "tickets:read tickets:write users:read",
        });
        self.turn().await;
        let request = self
            .client
            .post(format!("{}/oauth/tokens", self.base))
            .json(&body);
        let answer = self.send(request).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(match self.refused(answer).await {
                // Whatever is wrong with them, a person can mend it meanwhile: it stays worth trying.
                Error::Refused { said, .. } => Error::Unauthorized(said),
                other => other,
            });
        }
        let granted: Granted = answer.json().await.map_err(|e| unread(&e))?;
        let life = Duration::from_secs(granted.expires_in.unwrap_or(300));
        let token = SecretString::from(granted.access_token);
        *kept = Some((token.clone(), Instant::now() + life.saturating_sub(EARLY)));
        Ok(token)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let began = Instant::now();
        let answer = request.send().await;
        let status = answer
            .as_ref()
            .map_or("none".to_owned(), |a| a.status().as_u16().to_string());
        self.metrics
            .add(&BRIDGE_REQUESTS, &Owner::program(), &[&status], 1);
        let took = began.elapsed().as_secs_f64();
        self.metrics
            .observe(&BRIDGE_REQUEST_DURATION, &Owner::program(), &[], took);
        answer.map_err(|e| Error::Unavailable(chain(&e)))
    }

    /// Asks, with a fresh token if the one that there is has been taken back.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        key: Option<&str>,
        body: Option<&str>,
    ) -> Result<Response, Error> {
        for fresh in [false, true] {
            let token = self.token().await?;
            self.turn().await;
            let url = format!("{}{path}{}", self.base, query_text(query));
            let mut request = self
                .client
                .request(method.clone(), url)
                .bearer_auth(token.expose_secret());
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            if let Some(body) = body {
                request = request
                    .header("content-type", "application/json")
                    .body(body.to_owned());
            }
            let answer = self.send(request).await?;
            if answer.status() == StatusCode::UNAUTHORIZED && !fresh {
                *self.token.lock().await = None;
                continue;
            }
            if answer.status().is_success() {
                return Ok(answer);
            }
            return Err(self.refused(answer).await);
        }
        Err(Error::Unauthorized("a fresh token is refused".into()))
    }

    /// What an answer means that is no success.
    async fn refused(&self, answer: Response) -> Error {
        let status = answer.status();
        let seconds = answer
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok()?.parse().ok());
        let wait = seconds.map(Duration::from_secs);
        let said = answer.text().await.unwrap_or_default();
        let said: String = said
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(MOST_SAID)
            .collect();
        match status.as_u16() {
            429 => {
                let wait = wait.unwrap_or(LIMITED);
                // The account's limit: others wait, too. That of one ticket says the same, and costs a little time.
                self.rest(wait.min(LIMITED)).await;
                Error::Limited(wait)
            }
            401 => Error::Unauthorized(said),
            409 => Error::Conflict,
            400 if said.contains("IdempotentRequestError") => Error::Taken,
            500.. => match wait {
                Some(wait) => Error::Limited(wait),
                None => Error::Unavailable(format!("{status}: {said}")),
            },
            status => Error::Refused { status, said },
        }
    }

    /// Tickets of an incident. Not by search, whose index is behind.
    pub async fn tickets(&self, id: &str) -> Result<Vec<Ticket>, Error> {
        let query = [("external_id", id), ("sort_by", "id"), ("sort_order", "desc")];
        let answer = self
            .ask(Method::GET, "/api/v2/tickets.json", &query, None, None)
            .await?;
        let found: Tickets = answer.json().await.map_err(|e| unread(&e))?;
        Ok(found.tickets)
    }

    /// Makes a ticket; the same request again gives the same ticket, for two hours.
    pub async fn create(&self, request: &Frozen) -> Result<Ticket, Error> {
        let (key, body) = (Some(request.key.as_str()), Some(request.body.as_str()));
        let answer = self
            .ask(Method::POST, "/api/v2/tickets.json", &[], key, body)
            .await?;
        let made: One = answer.json().await.map_err(|e| unread(&e))?;
        Ok(made.ticket)
    }

    /// Changes a ticket, unless somebody else did since it was read.
    pub async fn update(&self, ticket: &Ticket, mut change: Value) -> Result<(), Error> {
        change["safe_update"] = true.into();
        change["updated_stamp"] = ticket.updated_at.to_string().into();
        let path = format!("/api/v2/tickets/{}.json", ticket.id);
        let body = json!({ "ticket": change }).to_string();
        self.ask(Method::PUT, &path, &[], None, Some(&body)).await?;
        Ok(())
    }

    /// Who the bridge is, there.
    pub async fn me(&self) -> Result<Value, Error> {
        let answer = self
            .ask(Method::GET, "/api/v2/users/me.json", &[], None, None)
            .await?;
        answer.json().await.map_err(|e| unread(&e))
    }
}

/// A success whose answer can't be read: what was asked for was done, and a look tells.
fn unread(error: &reqwest::Error) -> Error {
    Error::Unavailable(format!("an answer could not be read: {}", chain(error)))
}

/// A query with its question mark (RFC 3986 section 3.4); nothing where there is none.
pub fn query_text(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (n, (name, value)) in pairs.iter().enumerate() {
        let value: String = value.bytes().map(escaped).collect();
        text += &format!("{}{name}={value}", if n == 0 { '?' } else { '&' });
    }
    text
}

/// A byte as it stands in a query (RFC 3986 section 2).
fn escaped(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    }
}

/// An error and what it is made of, without the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut text = match error {
        e if e.is_timeout() => "no answer in time".to_owned(),
        e if e.is_connect() => "can't connect".to_owned(),
        _ => "the request failed".to_owned(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
