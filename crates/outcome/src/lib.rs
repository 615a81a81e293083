//! The words that every part of drmwatch shares.
//!
//! A run ends as an [`Outcome`] with a [`Verdict`]. A failure has a [`Reason`] from a closed list, and each reason has a
//! [`Domain`]. A slot without a run has a [`Cause`]. [`ProbeId`] and [`TenantKey`] say whose it is.
//!
//! This crate knows neither Kubernetes nor a network, so metrics, reports and alerts can use its words without either.

mod cause;
mod id;
mod outcome;
mod reason;

pub use cause::Cause;
pub use id::{ProbeId, TenantKey};
pub use outcome::{
    CheckResult, CheckStatus, Hop, Outcome, Phases, StepFacts, StepOutcome, StreamFacts, Verdict,
    VerdictRecord,
};
pub use reason::{Domain, Reason};
