//! The contract between those who decide what to probe and those who probe.
//!
//! [`compile`] turns a tenant and a probe into a [`Plan`], or into every [`Problem`] that stands in the
//! way; the operator, the standalone runner and `--check` call the same function, so that a probe means
//! the same everywhere. A run of a plan ends as an [`Outcome`], whose [`Reason`] is the one vocabulary
//! of failure: metric label, condition, Event and alert.
//!
//! A plan holds references to secrets, never their values; those travel beside it as [`Secrets`].

mod assign;
mod compile;
pub mod contract;
mod cron;
mod defaults;
mod expression;
mod maintenance;
mod plan;
mod presets;
mod report;
mod schedule;
mod secrets;
mod shard;
mod template;
mod words;

pub use assign::{Assignment, Effects, assign, effects};
pub use compile::{Problem, check_pool, check_tenant, compile, step_kind, step_variables};
pub use cron::{Cron, CronError};
pub use defaults::default_probes;
pub use expression::{Expression, ExpressionError, Rule, with_stack_for_rules};
pub use maintenance::{Standing, WindowError, covers, standing};
pub use plan::{CREDENTIAL_PREFIX, PLAN_KEY, Plan};
pub use presets::common_error_rules;
pub use report::{
    MOST_PERIODS, PlannedRecipient, REPORT_KEY, ReportOutcome, ReportPlan, ReportTenant, Undelivered, Way,
    check_report, compile_report, due,
};
pub use schedule::{Due, Slots, phase};
pub use secrets::{Redactor, Secrets};
pub use shard::{owners, shard_of};
pub use template::{Reference, Template, TemplateError, outputs_used};
pub use words::{did_you_mean, nearest};
