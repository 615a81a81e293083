//! The encrypted archive: whose data is kept where, under whose key, and for how long (docs/results.md).
//!
//! A program writes records of any type to a [`spool::Spool`] on its own disk, from which [`ship`] brings them to a store in
//! batches. A [`Store`] holds files by tenant, dataset and day; files are Apache Parquet, encrypted by Parquet Modular
//! Encryption. What a file's columns are, and how they become records, is the business of who owns the dataset: `runs` keeps
//! what probes found.

mod file;
pub mod keys;
pub mod kms;
pub mod retain;
pub mod ship;
pub mod shred;
pub mod sign;
pub mod spool;
mod store;
mod trust;

pub use file::{FileError, Format};
pub use store::{FileRef, ROOT, Retries, Store, StoreError, day_of, start_of, storage, storage_by};
pub use trust::tls;
