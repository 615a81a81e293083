//! Fetching for one run of a stream step: headers, limits, what was learnt of each exchange.

use super::tokens::Signer;
use crate::{clock::Clock, state::Cached};
use drmwatch_checks::model::Exchange;
use drmwatch_net::{Door, Failure, Request, Response};
use drmwatch_outcome::{Hop, Reason};
use drmwatch_tokens::Proof;
use hyper::{body::Bytes, header};
use std::{collections::BTreeMap, net::IpAddr, sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep};
use url::Url;

/// Largest manifest or playlist.
const MAX_MANIFEST: usize = 16 << 20;
/// Headers that judges look at.
const HEADERS: [&str; 16] = [
    "cache-control",
    "age",
    "expires",
    "date",
    "last-modified",
    "etag",
    "content-type",
    "content-encoding",
    "content-range",
    "content-length",
    "accept-ranges",
    "access-control-allow-origin",
    "access-control-allow-headers",
    "access-control-expose-headers",
    "vary",
    "via",
];

/// Fetches for one run.
pub(super) struct Fetcher<'a> {
    pub door: &'a dyn Door,
    pub clock: Clock,
    pub started: Instant,
    pub deadline: Instant,
    pub headers: Vec<(String, String)>,
    /// What is fetched again only when it has changed.
    pub cache: Mutex<BTreeMap<String, Cached>>,
    pub hops: Mutex<Vec<Hop>>,
    /// URL of the manifest, without a token.
    pub entry: Url,
    /// Signs what is asked for.
    pub signer: Option<Signer>,
}

/// What to fetch of a resource.
#[derive(Default, Clone)]
pub(super) struct Ask {
    /// First and last byte.
    pub range: Option<(u64, u64)>,
    /// Most bytes.
    pub most: usize,
    /// Whether more bytes are a failure, or just cut off.
    pub truncate: bool,
    /// Ask only whether it has changed.
    pub remember: bool,
    pub address: Option<IpAddr>,
    /// A clock or a steering server: on another host than the manifest's it gets neither the step's headers nor
    /// its token.
    pub foreign: bool,
    pub headers: Vec<(String, String)>,
    pub method: Option<hyper::Method>,
}

impl Ask {
    pub fn manifest() -> Ask {
        Ask {
            most: MAX_MANIFEST,
            ..Ask::default()
        }
    }

    pub fn head(first: u64, length: u64) -> Ask {
        let most = usize::try_from(length).unwrap_or(usize::MAX).max(1);
        Ask {
            range: Some((first, first.saturating_add(length.max(1) - 1))),
            most,
            truncate: true,
            ..Ask::default()
        }
    }

    pub fn whole(most: usize) -> Ask {
        Ask {
            most,
            ..Ask::default()
        }
    }
}

/// What was fetched.
pub(super) struct Fetched {
    pub response: Response,
    pub exchange: Exchange,
}

impl Fetched {
    /// The part of the body that was asked for: a server may ignore a range and send everything (RFC 9110
    /// section 14.2).
    pub fn slice(&self, range: Option<(u64, u64)>) -> Bytes {
        let body = &self.response.body;
        match range {
            Some((first, last)) if self.response.status.as_u16() == 200 => {
                let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(body.len());
                body.slice(clamp(first)..clamp(last.saturating_add(1)).max(clamp(first)))
            }
            _ => body.clone(),
        }
    }

    /// Size of the whole resource, where the server told.
    pub fn total(&self) -> Option<u64> {
        match self.response.status.as_u16() {
            206 => self
                .exchange
                .header("content-range")?
                .rsplit('/')
                .next()?
                .parse()
                .ok(),
            _ => self.exchange.header("content-length")?.parse().ok(),
        }
    }
}

impl Fetcher<'_> {
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether there is time for what is not needed for a verdict: a third of the run is kept back.
    pub fn has_time(&self) -> bool {
        self.left() > (self.deadline - self.started) / 3
    }

    pub async fn pause(&self, wait: Duration) {
        sleep(wait.min(self.left())).await;
    }

    fn is_stranger(&self, url: &Url, ask: &Ask) -> bool {
        ask.foreign && url.origin() != self.entry.origin()
    }

    /// Fetches, whatever the status.
    pub async fn get(&self, url: &Url, ask: &Ask) -> Result<Fetched, Failure> {
        let proof = match &self.signer {
            Some(_) if self.is_stranger(url, ask) => Proof::default(),
            Some(signer) => signer.prove(url, *url == self.entry, (self.clock)())?,
            None => Proof::default(),
        };
        self.with(url, ask, &proof).await
    }

    /// Fetches with this token.
    pub async fn with(&self, url: &Url, ask: &Ask, proof: &Proof) -> Result<Fetched, Failure> {
        let headers = match self.is_stranger(url, ask) {
            true => Vec::new(),
            false => self.headers.clone(),
        };
        let mut request = Request::get(proof.url(url).as_str(), headers, ask.most);
        request.headers.extend(proof.all_headers());
        request.truncate = ask.truncate;
        request.address = ask.address;
        if let Some(method) = &ask.method {
            request.method = method.clone();
        }
        if let Some((first, last)) = ask.range {
            request
                .headers
                .push(("range".into(), format!("bytes={first}-{last}")));
        }
        request.headers.extend(ask.headers.iter().cloned());
        let known = match ask.remember {
            true => self
                .cache
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .get(url.as_str())
                .cloned(),
            false => None,
        };
        if let Some(known) = &known {
            request.headers.push(("if-none-match".into(), known.etag.clone()));
        }
        let mut hops = Vec::new();
        let started = Instant::now();
        let result = self.door.send(&request, self.deadline, &mut hops).await;
        let seconds = started.elapsed().as_secs_f64();
        let made = result.map(|mut response| {
            let mut exchange = exchange(&response, &hops, seconds, (self.clock)());
            if response.status.as_u16() == 304
                && let Some(known) = known
            {
                response.status = hyper::StatusCode::OK;
                response.body = known.body;
                // What it does not renew stays (RFC 9111 section 3.2).
                for (name, values) in known.headers {
                    exchange.headers.entry(name).or_insert(values);
                }
            }
            Fetched { response, exchange }
        });
        self.hops
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .append(&mut hops);
        let mut fetched = made?;
        if fetched.exchange.status == 304 {
            fetched.exchange.status = 200;
        } else if ask.remember
            && fetched.response.status.is_success()
            && fetched.response.body.len() <= Cached::MAX
            && let Some(etag) = fetched.exchange.header("etag")
        {
            let cached = Cached {
                etag: etag.to_owned(),
                headers: fetched.exchange.headers.clone(),
                body: fetched.response.body.clone(),
            };
            let mut cache = self.cache.lock().unwrap_or_else(|e| e.into_inner());
            if cache.len() < Cached::MOST {
                cache.insert(url.to_string(), cached);
            }
        }
        Ok(fetched)
    }

    /// The failure that an answer's status means: a refusal is the token's, where there is one.
    pub fn success(&self, url: &Url, fetched: &Fetched) -> Result<(), Failure> {
        let response = &fetched.response;
        match (&self.signer, response.status.as_u16()) {
            // 410 is nginx's custom for a token whose time is over.
            (Some(signer), status @ (401 | 403 | 410)) => {
                Err(signer.refusal(*url == self.entry, response.host(), status))
            }
            _ => response.success(),
        }
    }

    /// Fetches a manifest or playlist; it must be there and must not be empty.
    pub async fn document(&self, url: &Url, ask: Ask) -> Result<Fetched, Failure> {
        let fetched = self.get(url, &ask).await?;
        self.success(url, &fetched)?;
        if fetched.response.body.is_empty() {
            let message = format!(
                "{} answered with success and nothing else",
                fetched.response.host()
            );
            return Err(Failure::fail(Reason::EmptyResponse, message));
        }
        Ok(fetched)
    }
}

fn exchange(response: &Response, hops: &[Hop], seconds: f64, at: jiff::Timestamp) -> Exchange {
    let headers = HEADERS.iter().filter_map(|name| {
        let values = response
            .headers
            .get_all(*name)
            .iter()
            .filter_map(|v| v.to_str().ok());
        let values: Vec<String> = values.map(str::to_owned).collect();
        (!values.is_empty()).then(|| ((*name).to_owned(), values))
    });
    let setup = |h: &Hop| {
        [h.phases.dns, h.phases.connect, h.phases.tls]
            .into_iter()
            .flatten()
            .sum::<f64>()
    };
    let secure = response.url.scheme() == "https";
    Exchange {
        at: Some(at),
        status: response.status.as_u16(),
        headers: headers.collect(),
        secure,
        redirects: hops.len().saturating_sub(1),
        downgraded: !secure && hops.iter().any(|h| h.phases.tls.is_some()),
        wire_bytes: hops.iter().map(|h| h.bytes).sum(),
        body_bytes: response.body.len() as u64,
        seconds,
        setup_seconds: hops.iter().map(setup).sum(),
        first_byte_seconds: hops.last().and_then(|h| h.phases.first_byte).unwrap_or(0.0),
        protocol: hops.last().and_then(|h| h.protocol.clone()),
        not_after: hops.iter().filter_map(|h| h.certificate_not_after).min(),
    }
}

/// Header names of a request that come from a browser page of another origin.
pub(super) fn foreign_origin() -> Vec<(String, String)> {
    vec![(header::ORIGIN.to_string(), "https://player.example".into())]
}
