//! `/metrics`, `/healthz`, `/readyz`.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use drmwatch_metrics::{Metrics, render};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether a program is ready to be relied upon. Clones share it.
#[derive(Clone, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// Says whether it is.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}

/// Serves until the program ends; gives the address that it is bound to.
pub async fn serve(listen: SocketAddr, metrics: Metrics, ready: Ready) -> std::io::Result<SocketAddr> {
    let app = Router::new()
        .route("/metrics", get(scrape))
        .with_state(metrics)
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(move || async move {
                if ready.0.load(Ordering::Relaxed) {
                    (StatusCode::OK, "ok")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "not ready")
                }
            }),
        );
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(bound)
}

async fn scrape(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let (pieces, kind) = render(&metrics, accept);
    let pieces = pieces.map(Ok::<_, std::convert::Infallible>);
    // Written as fast as it is read, and no faster.
    let body = Body::from_stream(futures::stream::iter(pieces));
    ([(header::CONTENT_TYPE, kind)], body)
}
