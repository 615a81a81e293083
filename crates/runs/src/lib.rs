//! What is kept of runs: records of every slot, roll-ups of them, and pages of both (docs/results.md).
//!
//! A runner writes [`Record`]s, which lie in the [`Store`] by tenant and day; [`consolidate`] makes roll-ups of them.

mod carry;
mod columns;
pub mod consolidate;
mod deliveries;
pub mod keep;
mod made;
mod pages;
mod record;
mod rollups;
mod rows;
mod store;

pub use deliveries::Delivery;
pub use drmwatch_sla as sla;
pub use pages::Mark;
pub use record::{Kind, Place, Record, SCHEMA, StepRecord, Subject};
pub use store::{RAW, Store, once};
