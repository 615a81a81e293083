//! Where Alertmanager's webhooks come in. Alertmanager sends again what is answered with 5xx and nothing else, so whatever may
//! be different the next time is a 503.

use crate::{store::Store, work::Wake};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use drmwatch_metrics::{BRIDGE_NOTIFICATIONS, Metrics, Owner};
use drmwatch_tickets::{Incident, Key, Notification, Settings};
use serde::Deserialize;
use std::sync::Arc;
use tracing::{error, warn};

/// Longest body. A hundred alerts, which is what the shipped routes send at most, take some 200 KiB.
const LONGEST: usize = 4 << 20;

/// What a webhook needs.
pub struct Door {
    pub key: Key,
    pub store: Arc<Store>,
    pub wake: Wake,
    pub metrics: Metrics,
    pub installation: String,
}

/// The webhook.
pub fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/alerts/{namespace}/{tenant}", post(alerts))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(door)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    settings: String,
}

async fn alerts(
    State(door): State<Arc<Door>>,
    Path((namespace, tenant)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> (StatusCode, String) {
    let (status, outcome, said) = match body {
        Ok(body) => {
            door.take(&namespace, &tenant, &asked.settings, &headers, body)
                .await
        }
        Err(error) => (error.status(), "refused", error.body_text()),
    };
    door.metrics
        .add(&BRIDGE_NOTIFICATIONS, &Owner::program(), &[outcome], 1);
    (status, said)
}

type Answer = (StatusCode, &'static str, String);

impl Door {
    async fn take(
        self: &Arc<Door>,
        namespace: &str,
        tenant: &str,
        settings: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Answer {
        let refused = |status, why: String| -> Answer {
            warn!(namespace, tenant, why, "a notification is refused");
            (status, "refused", why)
        };
        let token = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let token = token.and_then(|t| t.strip_prefix("Bearer "));
        if !token.is_some_and(|t| self.key.knows(namespace, tenant, t)) {
            return refused(StatusCode::UNAUTHORIZED, "the token is not this tenant's".into());
        }
        let settings = match Settings::decode(settings) {
            Ok(settings) => settings,
            // A newer operator may have written them: then a newer bridge is on its way.
            Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string()),
        };
        let notification = match Notification::parse(&body, namespace, tenant) {
            Ok(notification) => notification,
            Err(error) => return refused(StatusCode::BAD_REQUEST, error.to_string()),
        };
        let id = Incident::name(&self.installation, namespace, tenant, &notification.group);
        let (door, owner) = (self.clone(), (namespace.to_owned(), tenant.to_owned()));
        let kept = tokio::task::spawn_blocking(move || {
            let now = drmwatch_program::now();
            door.store.change(&id, |before| match before {
                None => {
                    let owner = (owner.0.as_str(), owner.1.as_str());
                    (
                        Incident::new(id.clone(), owner, settings, notification, now),
                        true,
                    )
                }
                Some(mut incident) => {
                    let news = incident.hear(settings, notification, now);
                    (incident, news)
                }
            })
        });
        match kept.await {
            Ok(Ok(news)) => {
                self.wake.notify_one();
                (
                    StatusCode::OK,
                    if news { "accepted" } else { "unchanged" },
                    String::new(),
                )
            }
            Ok(Err(error)) => {
                error!(namespace, tenant, %error, "a notification can't be kept; it will be sent again");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "can't be kept".into(),
                )
            }
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string()),
        }
    }
}
