//! The engine: runs a plan and says what happened.
//!
//! A run is gather (`drmwatch_net`: bytes and timings), parse (`drmwatch_media`, `drmwatch_drm`) and judge (pure
//! functions). A target that is down is a value of [`drmwatch_outcome::Outcome`]; nothing a target does
//! makes an `Err`. Nothing here knows Kubernetes.

mod budget;
pub mod clock;
pub mod evidence;
mod http;
mod key_server;
pub mod license;
mod metered;
mod plugin;
mod run;
mod scope;
mod state;
mod stream;

pub use drmwatch_net::PrepareError;
pub use run::{Engine, Prepared, identity};
pub use state::ProbeState;
