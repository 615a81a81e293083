//! From runs to minutes, from minutes to roll-ups, from roll-ups to what was promised. Pure: no I/O, no clock.
//!
//! A [`State`] says of each minute how a probe was, by the consensus of the regions that looked ([`minutes`]). A
//! [`Rollup`] holds the states of a period as spans, so that months are put together without losing a second, with
//! counts and a mergeable [`Sketch`] of latencies: never an average of averages. [`figures`] are the arithmetic of a
//! service level agreement.

mod figures;
mod minutes;
mod rollup;
mod sketch;
mod state;

pub use figures::{Figures, Hours, HoursError, Incident, MaintenancePolicy, NoDataPolicy, Policy, figures};
pub use minutes::{Carry, Day, Outcome, RegionRun, RunKind, minutes};
pub use rollup::{Level, Rollup, calendar_periods, merge, monday};
pub use sketch::Sketch;
pub use state::{Cause, Span, State};
