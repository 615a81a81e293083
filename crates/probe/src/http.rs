//! The `http` step.

use crate::run::{Context, Found, judge_refusal};
use drmwatch_api::{HttpStep, Method, Output, Step};
use drmwatch_net::{Failure, Request, Response};
use drmwatch_outcome::Reason;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Largest body.
const MAX_BODY: usize = 4 << 20;
/// Largest body that expressions see: they have no cost limit of their own.
const MAX_CEL_BODY: usize = 256 << 10;

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    http: &HttpStep,
) -> Result<Found, Failure> {
    let request = Request {
        method: method_of(http.method),
        url: context.scope.fill(&http.url)?,
        headers: context.headers(&http.headers)?,
        body: http
            .body
            .as_ref()
            .map(|b| context.scope.fill(b))
            .transpose()?
            .unwrap_or_default()
            .into_bytes(),
        max_redirects: http.max_redirects,
        max_body: MAX_BODY,
        truncate: false,
        address: None,
    };
    let started = Instant::now();
    let response = context
        .client
        .send(&request, context.deadline, context.hops)
        .await?;
    let duration = started.elapsed().as_secs_f64();
    match &step.expect_denied {
        Some(denied) => judge_refusal(denied, response.status.as_u16(), response.host())?,
        // With expectations the user says what is right; without, a success is.
        None if step.expect.is_empty() => response.success()?,
        None => {}
    }
    for output in &http.outputs {
        let value = extract(context, step, output, &response).ok_or_else(|| {
            // A failed request has no outputs; the status is the better word for it.
            response.success().err().unwrap_or_else(|| {
                let message = format!(
                    "the answer of {} lacks the output {}",
                    response.host(),
                    output.name
                );
                Failure::fail(Reason::OutputMissing, message)
            })
        })?;
        context.scope.output(&step.name, &output.name, value, true);
    }
    Ok(Found {
        variables: variables(&response, duration),
    })
}

pub(crate) fn method_of(method: Method) -> hyper::Method {
    match method {
        Method::Get => hyper::Method::GET,
        Method::Head => hyper::Method::HEAD,
        Method::Post => hyper::Method::POST,
        Method::Put => hyper::Method::PUT,
        Method::Delete => hyper::Method::DELETE,
        Method::Options => hyper::Method::OPTIONS,
    }
}

fn extract(context: &Context<'_, '_>, step: &Step, output: &Output, response: &Response) -> Option<String> {
    if let Some(pointer) = &output.json_pointer {
        let document: Value = serde_json::from_slice(&response.body).ok()?;
        return match document.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        };
    }
    if let Some(name) = &output.header {
        return response.headers.get(name)?.to_str().ok().map(str::to_owned);
    }
    let body = String::from_utf8_lossy(&response.body);
    let captures = context
        .regexes
        .get(&(step.name.clone(), output.name.clone()))?
        .captures(&body)?;
    Some(captures.get(1).or_else(|| captures.get(0))?.as_str().to_owned())
}

fn variables(response: &Response, duration: f64) -> Value {
    let headers: serde_json::Map<String, Value> = response
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                json!(String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect();
    let body = &response.body[..response.body.len().min(MAX_CEL_BODY)];
    json!({
        "status": response.status.as_u16(),
        "headers": headers,
        "body": String::from_utf8_lossy(body),
        "json": serde_json::from_slice::<Value>(body).unwrap_or(Value::Null),
        "durationSeconds": duration,
    })
}
