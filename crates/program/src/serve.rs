//! `/metrics`, `/healthz`, `/readyz`.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use drmwatch_metrics::{Metrics, Owner, PROCESS_START, render};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::net::TcpListener;

/// Whether a program is ready to be relied upon, and whether it works at all. Clones share it.
#[derive(Clone)]
pub struct Health {
    ready: Arc<AtomicBool>,
    broken: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Default for Health {
    fn default() -> Health {
        Health::new(|| None)
    }
}

impl Health {
    /// Of a program that must be started anew when `broken` says why.
    pub fn new(broken: impl Fn() -> Option<String> + Send + Sync + 'static) -> Health {
        Health {
            ready: Arc::default(),
            broken: Arc::new(broken),
        }
    }

    /// Says whether it is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn healthy(&self) -> (StatusCode, String) {
        match (self.broken)() {
            Some(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
            None => (StatusCode::OK, "ok".to_owned()),
        }
    }

    fn ready(&self) -> (StatusCode, String) {
        match self.ready.load(Ordering::Relaxed) {
            true => (StatusCode::OK, "ok".to_owned()),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready".to_owned()),
        }
    }
}

/// Listens on an address; an error names it.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| std::io::Error::new(e.kind(), format!("can't listen on {address}: {e}")))
}

/// Serves until the program ends; gives the address that it is bound to.
pub async fn serve(listen: SocketAddr, metrics: Metrics, health: Health) -> std::io::Result<SocketAddr> {
    let started = crate::now().as_millisecond() as f64 / 1e3;
    metrics.set(&PROCESS_START, &Owner::program(), &[], started);
    let ready = health.clone();
    let app = Router::new()
        .route("/metrics", get(scrape))
        .with_state(metrics)
        .route("/healthz", get(move || async move { health.healthy() }))
        .route("/readyz", get(move || async move { ready.ready() }));
    let listener = crate::listen(listen).await?;
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
