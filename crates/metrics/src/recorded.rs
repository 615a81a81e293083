//! Names of the series that recording rules make of the catalogue's metrics. `crates/alerts` writes the rules; dashboards
//! and alerts read the series.

/// 1 while a probe passes in a region, 0 while it fails. Absent while the region cannot tell.
pub const PASSES: &str = "drmwatch:probe_passes:region";
/// 1 while a probe is down, 0 while it is not. Absent while that cannot be told.
pub const DOWN: &str = "drmwatch:probe_down:consensus";
/// Share of comparable probes that fail in one region alone. Present while the region is blind.
pub const BLIND: &str = "drmwatch:region_blind:ratio";
/// Number of regions that report a probe. Blind regions do not count.
pub const REPORTING: &str = "drmwatch:probe_regions_reporting:count";
/// Number of reporting regions in which a probe fails.
pub const FAILING: &str = "drmwatch:probe_regions_failing:count";
/// Number of regions that should report a probe.
pub const EXPECTED: &str = "drmwatch:probe_regions_expected:count";
