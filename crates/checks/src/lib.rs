//! The verdicts on streams.
//!
//! [`catalogue`] lists every check with its severity, its clause and its reason. [`model`] is what one run
//! found out about a stream, [`state`] what is remembered of earlier runs; [`judge`] holds the judges,
//! one file for each group, pure functions of the two, the settings and the time. [`experience`] computes
//! what a viewer would notice. Nothing here does I/O or reads a clock.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod catalogue;
pub mod experience;
mod findings;
mod judge;
pub mod model;
mod settings;
pub mod state;

pub use catalogue::{Check, Group, Severity};
pub use findings::{Finding, Findings, Status};
pub use judge::{Judgement, all_kids, judge};
pub use settings::{Encryption, Expectations, Settings};
