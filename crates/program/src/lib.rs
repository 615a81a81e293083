//! What every program does at its edges: logs, signals, `/metrics` and health.

mod serve;

pub use serve::{Health, serve};

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The allocator of the programs. That of musl, with which images are linked, takes one lock for all threads; that of
/// glibc keeps what a busy minute took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sets logs and the crypto provider up. `DRMWATCH_LOG` says what is logged; logs go to standard error.
pub fn init(json: bool) {
    // Two providers and none chosen is a panic at the first handshake; so it is chosen first thing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let filter = EnvFilter::try_from_env("DRMWATCH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json { logs.json().init() } else { logs.init() }
}

/// The wall clock, read at the edge of a program; what is inside takes the time as an argument.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Completes when the process is asked to stop, by SIGTERM or Ctrl-C.
pub async fn asked_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
