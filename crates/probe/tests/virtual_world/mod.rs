//! The stage behind a door of its own, in virtual time: hours of a stream pass in milliseconds, and nobody
//! waits. Answers go through what a CDN does (ranges, conditional requests, caching headers) and may be
//! changed on the way by a test.
#![allow(dead_code)]

use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant};
use drmwatch_net::{Door, Failure, Request, Resolver, Response};
use drmwatch_outcome::{CheckResult, CheckStatus, Hop, Outcome, StreamFacts};
use drmwatch_plan::{Secrets, compile};
use drmwatch_probe::{Engine, Prepared, ProbeState};
use drmwatch_testkit::stage::{self, Mood, Stage, Timing};
use futures::future::BoxFuture;
use hyper::{HeaderMap, StatusCode, header::HeaderName};
use jiff::{SignedDuration, Timestamp};
use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use url::Url;

/// What the CDN's tokens are signed with.
pub const CDN_SECRET: &str = "0123456789abcdef";

thread_local! {
    /// What the wall clock showed at an instant of tokio's clock.
    static BEGAN: Cell<Option<(Instant, Timestamp)>> = const { Cell::new(None) };
}

/// The virtual wall clock: tokio's, which stands still until everyone waits.
pub fn now() -> Timestamp {
    let (instant, timestamp) = BEGAN.get().unwrap_or_else(|| {
        let began = (Instant::now(), "2026-11-23T10:00:00.25Z".parse().unwrap());
        BEGAN.set(Some(began));
        began
    });
    timestamp + SignedDuration::try_from(instant.elapsed()).unwrap()
}

/// A request on its way to the stage.
#[derive(Debug, Clone)]
pub struct Asked {
    pub host: String,
    /// From the kind of stream on.
    pub path: String,
    pub query: String,
    /// What time the stage believes it is.
    pub now: Timestamp,
    /// When this run began.
    pub run_at: Timestamp,
    /// When the first run began.
    pub began: Timestamp,
    /// 0 for the first run.
    pub run: usize,
    /// How often this path was asked for in this run before.
    pub nth: usize,
    /// Number of the newest segment of two seconds that is complete.
    pub newest: u64,
    /// The same when this run began.
    pub newest_then: u64,
    /// The answer would be held.
    pub held: bool,
    pub address: Option<IpAddr>,
    pub headers: Vec<(String, String)>,
    pub mood: Mood,
}

impl Asked {
    /// Name of the file.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is a media playlist.
    pub fn is_media_playlist(&self) -> bool {
        self.path.ends_with(".m3u8") && !self.path.ends_with("master.m3u8")
    }

    pub fn is_manifest(&self) -> bool {
        [".m3u8", ".mpd", "Manifest", ".f4m", ".abst"]
            .iter()
            .any(|e| self.path.ends_with(e))
    }

    /// Number of a media segment.
    pub fn number(&self) -> Option<u64> {
        let name = self.file();
        let name = name.strip_suffix(".m4s").or(name.strip_suffix(".ts"))?;
        name.parse().ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, v)| v.as_str())
    }

    pub fn back(&mut self, seconds: f64) {
        self.now -= SignedDuration::from_secs_f64(seconds);
    }
}

/// An answer on its way to the engine.
#[derive(Debug, Clone)]
pub struct Told {
    pub status: u16,
    /// Names in lower case; a name may stand twice.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Seconds.
    pub first_byte: f64,
    pub bytes_per_second: f64,
    pub redirects: usize,
    pub downgraded: bool,
    pub ranges: bool,
    /// Has no entity tag.
    pub untagged: bool,
    /// Has this entity tag instead of one of its bytes.
    pub tag: Option<String>,
    pub not_after: Timestamp,
    pub protocol: &'static str,
}

impl Told {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Replaces in a text; it must be there.
    pub fn swap(&mut self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        self.body = text.replace(from, to).into();
    }

    /// Makes another text of it.
    pub fn edit(&mut self, edit: impl FnOnce(String) -> String) {
        self.body = edit(self.text()).into();
    }

    /// Offset behind the first place of these bytes, which must be there.
    pub fn after(&self, what: &[u8]) -> usize {
        let found = self.body.windows(what.len()).position(|w| w == what);
        found.unwrap_or_else(|| panic!("{} is not there", String::from_utf8_lossy(what))) + what.len()
    }

    pub fn header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub fn without(&mut self, name: &str) {
        self.headers.retain(|(n, _)| n != name);
    }

    pub fn not_found(&mut self) {
        (self.status, self.body) = (404, b"no".to_vec());
        self.header("content-type", "text/plain");
        self.header("cache-control", "max-age=1");
    }
}

pub type Ahead = Arc<dyn Fn(&mut Asked) + Send + Sync>;
pub type Behind = Arc<dyn Fn(&Asked, &mut Told) + Send + Sync>;

/// The door.
pub struct Theatre {
    stage: Stage,
    start: Timestamp,
    pub ahead: Option<Ahead>,
    pub behind: Option<Behind>,
    pub addresses: Vec<IpAddr>,
    /// Manifests have a Last-Modified.
    pub last_modified: bool,
    runs: Arc<Mutex<Runs>>,
}

/// What is counted over the runs.
#[derive(Debug)]
pub struct Runs {
    pub run: usize,
    pub run_at: Timestamp,
    pub began: Timestamp,
    asked: HashMap<String, usize>,
    /// Requests, and bytes of all answers.
    pub requests: usize,
    pub bytes: u64,
}

fn http_date(at: Timestamp) -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .unwrap()
}

impl Theatre {
    fn newest(&self, now: Timestamp) -> u64 {
        (now.duration_since(self.start).as_secs() / 2 - 1) as u64
    }

    fn ask(&self, asked: &Asked) -> Option<stage::Answer> {
        self.stage.answer(stage::Ask {
            path: &asked.path,
            query: &asked.query,
            now: asked.now,
            mood: asked.mood,
        })
    }

    fn tell(&self, asked: &Asked, answer: Option<stage::Answer>) -> Told {
        let found = answer.is_some();
        let (status, kind, body, immutable) = match answer {
            Some(a) => (a.status, a.kind, a.body, a.immutable),
            None => (404, "text/plain", b"no".to_vec(), false),
        };
        let mut headers = vec![
            ("content-type".to_owned(), kind.to_owned()),
            ("date".to_owned(), http_date(now())),
            ("access-control-allow-origin".to_owned(), "*".to_owned()),
            (
                "cache-control".to_owned(),
                if immutable { "max-age=86400" } else { "max-age=1" }.to_owned(),
            ),
        ];
        if found && asked.is_manifest() {
            headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
            if self.last_modified {
                headers.push(("last-modified".to_owned(), http_date(asked.now)));
            }
        }
        Told {
            status,
            headers,
            body,
            first_byte: 0.02,
            bytes_per_second: 1_250_000.0,
            redirects: 0,
            downgraded: false,
            ranges: true,
            untagged: false,
            tag: None,
            not_after: now() + SignedDuration::from_hours(24 * 60),
            protocol: "h2",
        }
    }

    async fn serve(&self, request: &Request, hops: &mut Vec<Hop>) -> Result<Response, Failure> {
        let url: Url = request.url.parse().unwrap();
        let path = url.path().trim_start_matches('/').to_owned();
        let mut asked = {
            let mut runs = self.runs.lock().unwrap();
            runs.requests += 1;
            let (run, run_at, began) = (runs.run, runs.run_at, runs.began);
            let nth = runs.asked.entry(path.clone()).or_default();
            *nth += 1;
            Asked {
                host: url.host_str().unwrap_or_default().to_owned(),
                // Percent-encoding is the client's; the stage knows names.
                path: path.replace("%20", " ").replace("%7B", "{"),
                query: url.query().unwrap_or_default().to_owned(),
                now: now(),
                run_at,
                began,
                run,
                nth: *nth - 1,
                newest: self.newest(now()),
                newest_then: self.newest(run_at),
                held: false,
                address: request.address,
                headers: request.headers.clone(),
                mood: Mood::default(),
            }
        };
        asked.held = self.ask(&asked).is_some_and(|a| a.due.is_some());
        if let Some(ahead) = &self.ahead {
            ahead(&mut asked);
        }
        sleep(Duration::from_millis(30)).await;
        let lag = now().duration_since(asked.now);
        let mut answer = self.ask(&asked);
        while let Some(due) = answer.as_ref().and_then(|a| a.due) {
            let wait = due.duration_since(asked.now) + SignedDuration::from_millis(1);
            sleep(wait.unsigned_abs()).await;
            asked.now = now() - lag;
            answer = self.ask(&asked);
        }
        let mut told = self.tell(&asked, answer);
        if let Some(behind) = &self.behind {
            behind(&asked, &mut told);
        }
        if told.status == 200 && !told.untagged {
            let sum = told.body.iter().fold(told.body.len() as u64, |n, b| {
                n.wrapping_mul(1_099_511_628_211) ^ u64::from(*b)
            });
            let tag = told.tag.clone().unwrap_or_else(|| format!("\"{sum:016x}\""));
            told.header("etag", &tag);
        }
        let etag = told
            .headers
            .iter()
            .find(|(n, _)| n == "etag")
            .map(|(_, v)| v.clone());
        if etag.is_some() && told.status == 200 && asked.header("if-none-match") == etag.as_deref() {
            (told.status, told.body) = (304, Vec::new());
            // As nginx answers.
            told.without("content-type");
            told.without("content-encoding");
        }
        let total = told.body.len();
        let range = asked.header("range").and_then(|r| {
            let (first, last) = r.strip_prefix("bytes=")?.split_once('-')?;
            Some((
                first.parse::<usize>().ok()?,
                last.parse::<usize>().ok()?.min(total.max(1) - 1),
            ))
        });
        if let (Some((first, last)), 200, true) = (range, told.status, told.ranges)
            && first < total
        {
            told.status = 206;
            told.body = told.body[first..=last].to_vec();
            told.header("content-range", &format!("bytes {first}-{last}/{total}"));
        } else {
            told.header("content-length", &total.to_string());
        }
        told.body.truncate(request.max_body);
        let transfer = told.body.len() as f64 / told.bytes_per_second;
        sleep(Duration::from_secs_f64(told.first_byte + transfer)).await;
        let secure = url.scheme() == "https";
        for redirect in 0..=told.redirects {
            let last = redirect == told.redirects;
            let mut hop = Hop {
                host: "origin".to_owned(),
                status: Some(if last { told.status } else { 302 }),
                bytes: if last { told.body.len() as u64 } else { 0 },
                protocol: Some(told.protocol.to_owned()),
                ..Hop::default()
            };
            hop.phases.dns = Some(0.005);
            hop.phases.connect = Some(0.01);
            hop.phases.request = Some(0.0);
            hop.phases.first_byte = Some(told.first_byte);
            hop.phases.transfer = Some(transfer);
            if secure {
                hop.phases.tls = Some(0.015);
                hop.certificate_not_after = Some(told.not_after);
            }
            hops.push(hop);
        }
        let mut runs = self.runs.lock().unwrap();
        runs.bytes += told.body.len() as u64;
        let mut headers = HeaderMap::new();
        for (name, value) in &told.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let mut url = url;
        if told.downgraded {
            url.set_scheme("http").unwrap();
        }
        Ok(Response {
            status: StatusCode::from_u16(told.status).unwrap(),
            headers,
            body: told.body.into(),
            url,
        })
    }
}

impl Door for Theatre {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        deadline: Instant,
        hops: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            match tokio::time::timeout_at(deadline, self.serve(request, hops)).await {
                Ok(answer) => answer,
                Err(_) => panic!("the run ended while the theatre answered {}", request.url),
            }
        })
    }

    fn addresses<'a>(&'a self, _: &'a Url, _: Instant) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move { Ok(self.addresses.clone()) })
    }
}

/// A probe in the theatre.
pub struct Play {
    engine: Engine,
    prepared: Prepared,
    pub state: ProbeState,
    pub runs: Arc<Mutex<Runs>>,
}

impl Play {
    /// `steps` is YAML of the probe's steps; `URL` stands for `https://origin`.
    pub fn new(steps: &str, timing: Timing, dress: impl FnOnce(&mut Theatre)) -> Play {
        let tenant = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: n}\nspec:\n  displayName: T\n  credentials: [{name: cdn, secretKeyRef: {name: s, key: k}}]";
        let probe = format!(
            "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: p, namespace: n}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 60}}\n  timeoutSeconds: 55\n  steps:\n{}",
            steps.replace("URL", "https://origin")
        );
        let tenant: MonitoredTenant = serde_saphyr::from_str(tenant).unwrap();
        let probe: DrmProbe = serde_saphyr::from_str(&probe).unwrap_or_else(|e| panic!("{e}\n{probe}"));
        let plan = compile(&tenant, &probe, "test", &EgressPolicy::default())
            .unwrap_or_else(|e| panic!("{e:?}\n{probe:?}"));
        let mut secrets = Secrets::default();
        secrets.insert("cdn", CDN_SECRET);
        let start = now();
        let runs = Arc::new(Mutex::new(Runs {
            run: 0,
            run_at: start,
            began: start,
            asked: HashMap::new(),
            requests: 0,
            bytes: 0,
        }));
        let mut theatre = Theatre {
            stage: Stage::new(start, timing),
            start: start - SignedDuration::from_secs(60),
            ahead: None,
            behind: None,
            last_modified: true,
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            runs: runs.clone(),
        };
        dress(&mut theatre);
        Play {
            engine: Engine::new(Resolver::system().unwrap(), now),
            prepared: Prepared::behind(plan, secrets, Box::new(theatre)).unwrap(),
            state: ProbeState::default(),
            runs,
        }
    }

    pub async fn run(&mut self) -> Outcome {
        {
            let mut runs = self.runs.lock().unwrap();
            (runs.run_at, runs.requests, runs.bytes) = (now(), 0, 0);
            runs.asked.clear();
        }
        let outcome = self.engine.run(&self.prepared, &mut self.state).await;
        self.runs.lock().unwrap().run += 1;
        outcome
    }
}

/// Checks that failed in the last stream step, by id: reason and detail.
pub fn failed(outcome: &Outcome) -> BTreeMap<String, String> {
    let none = StreamFacts::default();
    let mut steps = outcome.steps.iter().filter_map(|s| s.facts.stream.as_ref());
    let facts = steps.next_back().map_or(&none, |f| f);
    let mut found: BTreeMap<String, String> = facts
        .checks
        .iter()
        .filter(|c| c.status == CheckStatus::Fail)
        .map(|c| (c.check.clone(), said(c)))
        .collect();
    // A run that broke off for another cause than a check is never what a row expects.
    if found.is_empty() && outcome.verdict.to_string() != "Pass" {
        found.insert(outcome.verdict.to_string(), outcome.message.clone());
    }
    found
}

fn said(check: &CheckResult) -> String {
    let severity = check.severity.as_deref().unwrap_or_default();
    format!(
        "{severity} {} {}",
        check.reason.map(|r| r.to_string()).unwrap_or_default(),
        check.detail
    )
}

/// Checks of the last stream step that looked at something.
pub fn made(outcome: &Outcome) -> Vec<String> {
    let facts = outcome
        .steps
        .iter()
        .filter_map(|s| s.facts.stream.as_ref())
        .next_back();
    let checks = facts.into_iter().flat_map(|f| &f.checks);
    checks
        .filter(|c| c.status != CheckStatus::Skipped)
        .map(|c| c.check.clone())
        .collect()
}
