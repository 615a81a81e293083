//! One request to a licence or key server, and its record.

use super::{
    judge::judge,
    model::{Exchange, Expected, Message, RuleFound},
    read::hex,
    shape::shape,
};
use crate::run::{Context, Rule};
use drmwatch_api::ErrorRule;
use drmwatch_checks::model::http_date;
use drmwatch_net::{Failure, Request, Response};
use hyper::header;
use sha2::{Digest, Sha256};
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, Weak},
};
use tokio::time::Instant;

/// How much of a body rules look at.
const LOOK: usize = 64 << 10;

/// Compiled patterns of every plan: ten thousand probes share the same few.
static PATTERNS: OnceLock<Mutex<HashMap<String, Weak<regex::Regex>>>> = OnceLock::new();

/// Compiles a pattern, or finds it.
fn pattern(text: &str) -> Result<Arc<regex::Regex>, regex::Error> {
    let shared = PATTERNS.get_or_init(Mutex::default);
    let mut shared = shared.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(found) = shared.get(text).and_then(Weak::upgrade) {
        return Ok(found);
    }
    let compiled = Arc::new(regex::RegexBuilder::new(text).size_limit(1 << 20).build()?);
    shared.retain(|_, weak| weak.strong_count() > 0);
    shared.insert(text.to_owned(), Arc::downgrade(&compiled));
    Ok(compiled)
}

/// Makes error rules ready.
pub(crate) fn compile(rules: &[ErrorRule]) -> Result<Vec<Rule>, regex::Error> {
    let one = |rule: &ErrorRule| {
        Ok(Rule {
            pattern: rule.regex.as_deref().map(pattern).transpose()?,
            rule: rule.clone(),
        })
    };
    rules.iter().map(one).collect()
}

/// The first rule that fits an answer.
fn fitting(rules: &[Rule], response: &Response) -> Option<RuleFound> {
    if rules.is_empty() {
        return None;
    }
    let body = String::from_utf8_lossy(&response.body[..response.body.len().min(LOOK)]);
    let mut json: Option<Option<serde_json::Value>> = None;
    rules.iter().find_map(|Rule { rule, pattern }| {
        if rule.status.is_some_and(|s| s != response.status.as_u16()) {
            return None;
        }
        let text = match (&rule.header, &rule.json_pointer) {
            (Some(name), _) => Cow::Borrowed(response.headers.get(name)?.to_str().ok()?),
            (_, Some(pointer)) => {
                let document = json.get_or_insert_with(|| serde_json::from_slice(&response.body).ok());
                match document.as_ref()?.pointer(pointer)? {
                    serde_json::Value::String(text) => Cow::Owned(text.clone()),
                    value => Cow::Owned(value.to_string()),
                }
            }
            _ => Cow::Borrowed(body.as_ref()),
        };
        let found = match pattern {
            Some(pattern) => pattern.find(&text)?.as_str().chars().take(64).collect(),
            None => format!("status {}", response.status.as_u16()),
        };
        Some(RuleFound {
            reason: rule.reason,
            text: found,
        })
    })
}

/// Whatever the status, what came, how long that took, and when.
pub(crate) struct Answered {
    /// The answer.
    pub response: Response,
    /// Its record, judged.
    pub sha256: String,
}

/// Sends a request, records what came, and judges it.
pub(crate) async fn exchange(
    context: &mut Context<'_, '_>,
    expected: Expected,
    request: Request,
    before: Option<&str>,
    read: impl FnOnce(&Response) -> Message,
) -> Result<Answered, Failure> {
    let started = Instant::now();
    let sent = context
        .client
        .send(&request, context.deadline, context.hops)
        .await;
    let at = (context.clock)();
    let response = match sent {
        Ok(response) => response,
        Err(failure) => {
            let problem = Exchange::problem(expected, at, failure.verdict, failure.message.clone());
            context.exchanges.push(problem);
            return Err(failure);
        }
    };
    let latency = started.elapsed().as_secs_f64();
    let header = |name: header::HeaderName| response.headers.get(name).and_then(|v| v.to_str().ok());
    let sha256 = hex(&Sha256::digest(&response.body));
    let message = read(&response);
    let record = Exchange {
        expected,
        problem: None,
        host: response.host().to_owned(),
        status: response.status.as_u16(),
        content_type: header(header::CONTENT_TYPE).map(|t| t.chars().take(128).collect()),
        at,
        date: header(header::DATE).and_then(http_date),
        age: header(header::AGE).and_then(|a| a.trim().parse().ok()),
        retry_after: response.headers.contains_key(header::RETRY_AFTER),
        length: response.body.len(),
        latency_seconds: latency,
        shape: shape(&response, &request.url),
        same_as_before: before == Some(sha256.as_str()),
        rule: match message {
            Message::License(_) => None,
            _ => fitting(context.rules, &response),
        },
        sha256: sha256.clone(),
        message,
    };
    let judged = judge(&record);
    context.facts.license_latency_seconds = Some(latency);
    context.exchanges.push(record);
    let proved = judged?;
    let level = context.facts.license_level.unwrap_or(0).max(proved.level);
    context.facts.license_level = Some(level);
    Ok(Answered { response, sha256 })
}
