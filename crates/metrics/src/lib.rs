//! The one catalogue of metrics, and the store that programs write them to.
//!
//! A metric that is not in [`CATALOGUE`] does not exist: the store takes only its entries, the reference
//! page is made from it, and a test holds rules, dashboards and docs to it. Labels are bounded: names
//! that users wrote, and words of closed lists. Series belong to an owner (a probe, or the program
//! itself) and vanish with it.

mod catalogue;
mod handle;
pub mod recorded;
mod recorder;
mod store;
mod text;

pub use catalogue::*;
pub use handle::{Handle, kinds};
pub use recorder::{record_outcome, record_reasons};
pub use store::{Metrics, Owner};
pub use text::{OPENMETRICS, PROMETHEUS, Pieces, render};
