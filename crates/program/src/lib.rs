//! What every program does at its edges: arguments, output, logs, signals, `/metrics` and health.

mod output;
mod serve;
pub mod terminal;

pub use output::{arguments, finish, try_write, write_line, write_note, write_text};
pub use serve::{Health, listen, serve};

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// The allocator of the programs. That of musl, with which images are linked, takes one lock for all threads; that of
/// glibc keeps what a busy minute took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sets logs and the crypto provider up. `DRMWATCH_LOG` says what is logged; logs go to standard error, in color only if
/// that is a terminal that wants colors.
pub fn init(json: bool) {
    // Two providers and none chosen is a panic at the first handshake; so it is chosen first thing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let chosen = std::env::var("DRMWATCH_LOG").unwrap_or_default();
    let (filter, mistake) = match EnvFilter::builder().parse(&chosen) {
        Ok(filter) if !chosen.is_empty() => (filter, None),
        Ok(_) => (EnvFilter::new("info"), None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A log that can't be written is lost: it would be reported by `eprintln!`, which panics for the same reason.
        .log_internal_errors(false)
        .with_ansi(terminal::has_colors(&std::io::stderr()))
        .with_writer(std::io::stderr);
    if json {
        logs.json().init()
    } else {
        logs.init()
    }
    if let Some(error) = mistake {
        warn!(%error, "DRMWATCH_LOG is not valid; logging at level info");
    }
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
