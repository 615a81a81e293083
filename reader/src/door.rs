//! The routes.

use crate::{
    answer::{Page, Problem, line},
    openapi,
    query::{Asked, Query as Wanted},
};
use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use drmwatch_access::{Authority, Decision, Silent};
use drmwatch_archive::keys::TenantId;
use drmwatch_metrics::{Metrics, Owner, READER_REQUEST_DURATION, READER_REQUESTS};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{Record, Store, consolidate};
use jiff::tz::TimeZone;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// Answers that are worked on at a time: each may hold a file and a page in memory.
const AT_ONCE: usize = 4;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the routes need.
pub struct Door<A> {
    store: Store,
    authority: A,
    metrics: Metrics,
    turns: Semaphore,
}

impl<A: Authority> Door<A> {
    pub fn new(store: Store, authority: A, metrics: Metrics) -> Door<A> {
        Door {
            store,
            authority,
            metrics,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Whether the holder of the token may read; the id of the tenant.
    async fn admit(&self, headers: &HeaderMap, namespace: &str, tenant: &str) -> Result<TenantId, Problem> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let missing = "a token of Kubernetes is needed: Authorization: Bearer TOKEN (kubectl create token)";
        let token = token.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, missing))?;
        let key = TenantKey::new(namespace, tenant);
        match self.authority.decide(token, &key).await {
            Ok(Decision::Allowed) => {}
            Ok(Decision::Unknown) => {
                return Err(Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "Kubernetes does not know this token, or it has expired",
                ));
            }
            Ok(Decision::Denied) => {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    format!(
                        "needs the verb get on monitoredtenants/results of {namespace}/{tenant} (ClusterRole drmwatch-read-results)"
                    ),
                ));
            }
            Err(Silent) => {
                return Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Kubernetes does not say who may read: try again",
                ));
            }
        }
        let id = self.store.tenant(&key);
        // Only to whom may read it is said whether it is there.
        if self.store.shredded(&id).await? {
            return Err(Problem::new(
                StatusCode::GONE,
                format!("the results of {namespace}/{tenant} were destroyed"),
            ));
        }
        match self.store.has(&id).await? {
            true => Ok(id),
            false => Err(Problem::new(
                StatusCode::NOT_FOUND,
                format!("there is nothing of {namespace}/{tenant} in the store"),
            )),
        }
    }

    async fn results(&self, id: &TenantId, query: &Wanted) -> Result<Page<Record>, Problem> {
        let mut items: Vec<Record> = Vec::new();
        let there = self.store.days(id).await?;
        for day in query.days().filter(|day| there.contains(day)) {
            let mark = query
                .cursor
                .as_ref()
                .filter(|c| c.day == day)
                .and_then(|c| c.mark.clone());
            let left = query.limit - items.len();
            let (records, next) = self
                .store
                .page(id, day, mark.as_ref(), left, |r| query.wants(r))
                .await?;
            items.extend(records);
            if next.is_some() {
                let next = Some(query.cursor(day, next, 0));
                return Ok(Page { items, next });
            }
            // A full page that ends with its day.
            if items.len() == query.limit {
                let next = there.iter().find(|d| **d > day && **d <= query.to);
                let next = next.map(|day| query.cursor(*day, None, 0));
                return Ok(Page { items, next });
            }
        }
        Ok(Page { items, next: None })
    }

    async fn rollups(&self, id: &TenantId, query: &Wanted) -> Result<Page<Value>, Problem> {
        let mut items = Vec::new();
        for period in consolidate::list(&self.store, id, query.level).await? {
            let date = period.date();
            let before = query.cursor.as_ref().map_or(query.from, |c| c.day);
            if date < before.max(query.from) || date > query.to {
                continue;
            }
            let skip = query
                .cursor
                .as_ref()
                .filter(|c| c.day == date)
                .map_or(0, |c| c.lines);
            for (i, rollup) in period.read(&self.store).await?.iter().enumerate().skip(skip) {
                if items.len() == query.limit {
                    let next = Some(query.cursor(date, None, i));
                    return Ok(Page { items, next });
                }
                if query.wants_line(&rollup.probe, rollup.region.as_deref()) {
                    items.push(line(date, period.fixed(), rollup));
                }
            }
        }
        Ok(Page { items, next: None })
    }
}

/// The routes.
pub fn router<A: Authority>(door: Arc<Door<A>>) -> Router {
    Router::new()
        .route("/openapi.json", get(|| async { Json(openapi::document()) }))
        .route("/v1/tenants/{namespace}/{tenant}/results", get(results::<A>))
        .route("/v1/tenants/{namespace}/{tenant}/rollups", get(rollups::<A>))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "there is no such path: see /openapi.json").into_response()
        })
        .with_state(door)
}

type Of = Path<(String, String)>;
type How = Result<Query<Asked>, QueryRejection>;

async fn results<A: Authority>(
    State(door): State<Arc<Door<A>>>,
    of: Of,
    headers: HeaderMap,
    how: How,
) -> Response {
    let work = async |id: TenantId, query: Wanted| door.results(&id, &query).await.map(Json);
    answer(&door, "results", of, headers, how, work).await
}

async fn rollups<A: Authority>(
    State(door): State<Arc<Door<A>>>,
    of: Of,
    headers: HeaderMap,
    how: How,
) -> Response {
    let work = async |id: TenantId, query: Wanted| door.rollups(&id, &query).await.map(Json);
    answer(&door, "rollups", of, headers, how, work).await
}

async fn answer<A: Authority, T: IntoResponse>(
    door: &Door<A>,
    route: &'static str,
    Path((namespace, tenant)): Of,
    headers: HeaderMap,
    how: How,
    work: impl AsyncFnOnce(TenantId, Wanted) -> Result<T, Problem>,
) -> Response {
    let (began, program) = (Instant::now(), Owner::program());
    let whole = async {
        // Who may not read learns nothing, not even what is wrong with the question.
        let id = door.admit(&headers, &namespace, &tenant).await?;
        let Query(asked) = how.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.body_text()))?;
        let today = TimeZone::UTC.to_datetime(drmwatch_program::now()).date();
        let query = asked.query(today).map_err(|(parameter, detail)| Problem {
            parameter: Some(parameter),
            ..Problem::new(StatusCode::BAD_REQUEST, detail)
        })?;
        let turn = timeout(PATIENCE, door.turns.acquire()).await;
        let busy = || {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too much is asked at once: try again",
            )
        };
        let _turn = turn.ok().and_then(Result::ok).ok_or_else(busy)?;
        work(id, query).await
    };
    let response = whole.await.into_response();
    let status = response.status().as_u16().to_string();
    door.metrics.add(&READER_REQUESTS, &program, &[route, &status], 1);
    let took = began.elapsed().as_secs_f64();
    door.metrics
        .observe(&READER_REQUEST_DURATION, &program, &[route], took);
    response
}
