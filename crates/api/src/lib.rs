//! What users write: `MonitoredTenant`, `DrmProbe`, `RunnerPool`, `MaintenanceWindow` and `SlaReport` of group `drmwatch.io`.
//!
//! The types here are the single source of the CRDs in `crds/`, of the chart's copy, and of what the
//! standalone runner reads from a folder. A doc comment on a field is that field's manual: it is what
//! `kubectl explain` prints. Limits stand on every string and list, because the API server estimates
//! the cost of each CEL rule from them and refuses a CRD whose worst case is too dear.

mod alerting;
mod common;
mod crd;
mod deny;
mod hook;
mod key_server;
mod license;
mod license_token;
mod maintenance;
mod objective;
mod pool;
mod probe;
mod report;
mod step;
mod tenant;
mod token;
mod words;
mod wrapper;

pub use alerting::*;
pub use common::*;
pub use crd::*;
pub use deny::*;
pub use hook::*;
pub use key_server::*;
pub use license::*;
pub use license_token::*;
pub use maintenance::*;
pub use objective::*;
pub use pool::*;
pub use probe::*;
pub use report::*;
pub use step::*;
pub use tenant::*;
pub use token::*;
pub use wrapper::*;

/// The API group of every resource here.
pub const GROUP: &str = "drmwatch.io";
/// The API version of every resource here.
pub const VERSION: &str = "v1alpha1";
