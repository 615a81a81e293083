//! The only door to tenants' networks: one place for name resolution, the address guard, trust,
//! timeouts, redirects, byte caps and phase timings.
//!
//! Every request makes a connection of its own: a probe measures what a new player meets. Phases are
//! taken from raw instants for each hop, and redirects are hops, never summed up silently.

mod body;
mod connect;
mod exchange;
mod failure;
mod guard;
mod resolve;
mod tls;

pub use failure::Failure;
pub use guard::Guard;
pub use resolve::Resolver;
pub use tls::{Credential, Identity, PrepareError, TlsSetup, provider};

use drmwatch_outcome::{Hop, Reason, Verdict};
use futures::future::BoxFuture;
use hyper::{HeaderMap, Method, StatusCode, body::Bytes, header};
use std::net::IpAddr;
use tokio::time::Instant;
use url::Url;

/// Who we are, for those who read access logs.
pub const USER_AGENT: &str = concat!("drmwatch/", env!("CARGO_PKG_VERSION"), " (+https://drmwatch.io)");

/// One request to make.
#[derive(Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Headers, besides those that the door sets itself.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// How many redirects are followed.
    pub max_redirects: u8,
    /// Most bytes of the body, as sent and again when decompressed.
    pub max_body: usize,
    /// Whether more than `max_body` is a failure, or just cut off there.
    pub truncate: bool,
    /// The one address of the host to connect to, in the stead of all that it has.
    pub address: Option<IpAddr>,
}

/// A way to tenants' networks. There is one, [`Client`]; tests put a world of their own in its place.
pub trait Door: Send + Sync {
    /// Makes a request and follows its redirects; every hop is recorded, however it ends.
    fn send<'a>(
        &'a self,
        request: &'a Request,
        deadline: Instant,
        hops: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>>;

    /// The addresses behind the host of a URL that may be connected to.
    fn addresses<'a>(
        &'a self,
        url: &'a Url,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>>;
}

impl Request {
    /// A GET with usual limits.
    pub fn get(url: impl Into<String>, headers: Vec<(String, String)>, max_body: usize) -> Request {
        let (method, url) = (Method::GET, url.into());
        Request {
            method,
            url,
            headers,
            body: Vec::new(),
            max_redirects: 5,
            max_body,
            truncate: false,
            address: None,
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, decompressed.
    pub body: Bytes,
    /// URL that it came from, after redirects.
    pub url: Url,
}

impl Response {
    /// The failure that this status means, unless it is a success.
    pub fn success(&self) -> Result<(), Failure> {
        let status = self.status.as_u16();
        let reason = match status {
            200..=299 => return Ok(()),
            401 | 403 => Reason::AccessDenied,
            404 | 410 => Reason::NotFound,
            429 => Reason::RateLimited,
            400..=499 => Reason::ClientError,
            500..=599 => Reason::ServerError,
            _ => Reason::UnexpectedStatus,
        };
        Err(Failure::fail(
            reason,
            format!("{} answered {status}", self.host()),
        ))
    }

    /// Host that answered.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the server")
    }
}

/// The door as one user may use it: its trust, its identity, its allowed addresses.
pub struct Client {
    resolver: Resolver,
    guard: Guard,
    tls: TlsSetup,
}

impl Client {
    /// A door.
    pub fn new(resolver: Resolver, guard: Guard, tls: TlsSetup) -> Client {
        Client { resolver, guard, tls }
    }

    async fn follow(
        &self,
        request: &Request,
        deadline: Instant,
        hops: &mut Vec<Hop>,
    ) -> Result<Response, Failure> {
        let mut url = parse(&request.url)?;
        let mut visited = vec![url.clone()];
        let mut method = request.method.clone();
        let mut headers = request.headers.as_slice();
        let mut body = request.body.as_slice();
        loop {
            hops.push(Hop {
                host: url.host_str().unwrap_or_default().to_owned(),
                ..Hop::default()
            });
            let Some(hop) = hops.last_mut() else {
                return Err(Failure::internal("no hop"));
            };
            let sent = exchange::Sent {
                method: &method,
                url: &url,
                headers,
                body,
                request,
            };
            let response = exchange::exchange(self, sent, deadline, hop).await?;
            let Some(location) = redirect(&response, request.max_redirects) else {
                return Ok(response);
            };
            let next = location
                .and_then(|l| response.url.join(l).ok())
                .filter(|u| matches!(u.scheme(), "http" | "https"))
                .ok_or_else(|| {
                    let message = format!("{} redirects without a usable Location", response.host());
                    Failure::fail(Reason::RedirectInvalid, message)
                })?;
            if visited.contains(&next) || visited.len() > usize::from(request.max_redirects) {
                let what = if visited.contains(&next) {
                    "in a circle"
                } else {
                    "too often"
                };
                return Err(Failure::fail(
                    Reason::TooManyRedirects,
                    format!("{} redirects {what}", response.host()),
                ));
            }
            // RFC 9110 section 15.4: 303, and by custom 301 and 302 to a POST, go on as GET.
            let status = response.status.as_u16();
            if status == 303 || (matches!(status, 301 | 302) && method == Method::POST) {
                (method, body) = (Method::GET, &[]);
            }
            // What the user wrote for one server, tokens above all, is not for another.
            if next.origin() != url.origin() {
                headers = &[];
            }
            visited.push(next.clone());
            url = next;
        }
    }
}

impl Door for Client {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        deadline: Instant,
        hops: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(self.follow(request, deadline, hops))
    }

    fn addresses<'a>(
        &'a self,
        url: &'a Url,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move {
            let found = connect::addresses(self, url, deadline, &mut Hop::default()).await?;
            Ok(found.into_iter().filter(|ip| self.guard.allows(*ip)).collect())
        })
    }
}

/// The Location of an answer that is to be followed.
fn redirect(response: &Response, max: u8) -> Option<Option<&str>> {
    let follow = max > 0 && matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308);
    follow.then(|| {
        response
            .headers
            .get(header::LOCATION)
            .and_then(|v| v.to_str().ok())
    })
}

/// Reads the URL of a request: absolute, `http` or `https`, with a host. The message never quotes it, since it may hold a secret.
pub fn parse(url: &str) -> Result<Url, Failure> {
    let invalid = |what: &str| Failure {
        verdict: Verdict::Inconclusive(Reason::ConfigurationInvalid),
        message: format!("the URL must be {what} once its references are filled in"),
    };
    let url = Url::parse(url).map_err(|e| invalid(&format!("valid ({e})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("absolute, with http or https and a host,"));
    }
    Ok(url)
}
