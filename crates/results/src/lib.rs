//! The encrypted store of results: what is kept of each run, where, and under whose key (docs/results.md).
//!
//! A runner writes [`Record`]s to a [`spool::Spool`] on its own disk, from which they go to the [`Store`] in batches;
//! [`consolidate`] makes roll-ups of them. Files are Apache Parquet, encrypted by Parquet Modular Encryption.

mod carry;
mod columns;
pub mod consolidate;
mod deliveries;
mod file;
pub mod keep;
pub mod keys;
pub mod kms;
mod made;
mod pages;
mod record;
mod rollups;
mod rows;
pub mod ship;
pub mod sign;
pub mod spool;
mod store;
mod trust;

pub use deliveries::Delivery;
pub use drmwatch_sla as sla;
pub use file::FileError;
pub use pages::Mark;
pub use record::{Kind, Place, Record, SCHEMA, StepRecord};
pub use store::{FileRef, RAW, ROOT, Retries, Store, StoreError, day_of, once, start_of, storage};
pub use trust::tls;
