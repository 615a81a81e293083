//! What is answered: RFC 9457 where something is wrong, JSON where not.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use drmwatch_archive::StoreError;
use drmwatch_reports::Digits;
use drmwatch_runs::sla::{Policy, Rollup, State, figures};
use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use serde_json::{Value, json};

/// What is wrong, as RFC 9457 has it.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    /// The parameter of the query that is wrong.
    pub parameter: Option<&'static str>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            detail: detail.into(),
            parameter: None,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match &error {
            StoreError::Shredded(_) => Problem::new(StatusCode::GONE, error.to_string()),
            _ => {
                tracing::warn!(%error, "the store can't be read");
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the store can't be read now: the reader's log says why",
                )
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "title": self.status.canonical_reason(), "status": self.status.as_u16(), "detail": self.detail,
        });
        if let Some(parameter) = self.parameter {
            body["parameter"] = json!(parameter);
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"drmwatch\""),
            );
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// A page of an answer.
#[derive(Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where to go on; null: there is no more.
    pub next: Option<String>,
}

/// A line of roll-ups.
pub fn line(date: Date, fixed: bool, of: &Rollup) -> Value {
    let sum = figures(of.start, &of.spans, &Policy::default(), &TimeZone::UTC);
    let percent = |text: String| (!text.is_empty()).then_some(text);
    let quantile = |share: f64| of.latency.quantile(share).map(f64::round);
    let mut at = of.start;
    // States minute by minute; those that are up go without saying.
    let mut spans = Vec::new();
    for span in &of.spans {
        let end = at + i64::from(span.minutes) * 60;
        if span.state != State::Up {
            spans.push(json!({
                "state": span.state, "start": Digits::instant(at), "end": Digits::instant(end),
                "reason": span.cause.as_ref().map(|c| &c.reason), "step": span.cause.as_ref().and_then(|c| c.step.as_ref()),
                "regions": span.cause.as_ref().map(|c| &c.regions),
            }));
        }
        at = end;
    }
    json!({
        "date": date, "final": fixed, "probe": of.probe, "region": of.region.as_deref().unwrap_or("*"),
        "start": Digits::instant(of.start), "end": Digits::instant(of.end()),
        "runs": of.runs, "passed": of.passed, "failed": of.failed, "inconclusive": of.inconclusive, "missed": of.missed,
        "minutes": {
            "total": sum.total, "up": sum.up, "degraded": sum.degraded, "down": sum.down,
            "maintenance": sum.maintenance, "no_data": sum.no_data, "unwatched": sum.unwatched,
        },
        "availability": percent(Digits::availability(&sum)), "coverage": percent(Digits::coverage(&sum)),
        "latency_us": {
            "count": of.latency.count, "mean": of.latency.mean().map(f64::round),
            "p50": quantile(0.5), "p95": quantile(0.95), "p99": quantile(0.99),
        },
        "spans": spans,
    })
}
