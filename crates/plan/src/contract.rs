//! Names that the operator and the runners share. The operator writes objects and environments with them; runners find their
//! plans, Leases and settings by them.

/// Label of the pool that an object belongs to. Its value is the pool's name.
pub const POOL: &str = "drmwatch.io/pool";
/// Label of the shard that a plan, a Lease or a ConfigMap belongs to. Its value is the shard's number.
pub const SHARD: &str = "drmwatch.io/shard";
/// Label of the probe that a plan Secret or a CronJob was made from. Its value is the probe's UID.
pub const PROBE_UID: &str = "drmwatch.io/probe-uid";
/// Label of the report that a Secret or a CronJob was made from. Its value is the report's UID.
pub const REPORT_UID: &str = "drmwatch.io/report-uid";
/// Label of the ConfigMaps in which runners leave the verdicts of a shard. Its value is `true`.
pub const VERDICTS: &str = "drmwatch.io/verdicts";
/// Label of the ConfigMaps in which runners leave what the probes of a shard remember. Its value is `true`.
pub const STATE: &str = "drmwatch.io/state";
/// Label of the ConfigMap in which the runners of a pool say how they are. Its value is `true`.
pub const RUNNERS: &str = "drmwatch.io/runners";
/// Label that tells the Leases of runners apart: `member` or `shard`.
pub const LEASE: &str = "drmwatch.io/lease";
/// Annotation of a member's Lease: until when everything that was due has ended.
pub const SETTLED: &str = "drmwatch.io/settled";

/// Annotation of the namespace of the probe that an object was made from.
pub const PROBE_NAMESPACE: &str = "drmwatch.io/probe-namespace";
/// Annotation of the name of the probe that an object was made from.
pub const PROBE_NAME: &str = "drmwatch.io/probe-name";
/// Annotation of the generation of the probe that an object was made from.
pub const PROBE_GENERATION: &str = "drmwatch.io/probe-generation";
/// Annotation of the name of the tenant of the probe that an object was made from.
pub const TENANT: &str = "drmwatch.io/tenant";

/// Type of the Secret that holds a plan.
pub const PLAN_TYPE: &str = "drmwatch.io/plan";
/// Type of the Secret that holds the plan of a report.
pub const REPORT_TYPE: &str = "drmwatch.io/report";
/// Type of the Secret that holds the key of the runners' caches.
pub const CACHE_KEY_TYPE: &str = "drmwatch.io/cache-key";

/// Variables of the environment that the operator sets for a runner, and that the runner's options read.
pub mod environment {
    /// Folder of the sealed plans.
    pub const CACHE: &str = "DRMWATCH_CACHE";
    /// File with the key of that folder.
    pub const CACHE_KEY: &str = "DRMWATCH_CACHE_KEY";
    /// Folder for evidence of failures.
    pub const EVIDENCE: &str = "DRMWATCH_EVIDENCE";
    /// Name of this runner among those of its pool.
    pub const IDENTITY: &str = "DRMWATCH_IDENTITY";
    /// Address of the metrics.
    pub const LISTEN: &str = "DRMWATCH_LISTEN";
    /// Whether logs are JSON.
    pub const LOG_JSON: &str = "DRMWATCH_LOG_JSON";
    /// Namespace of the pool.
    pub const NAMESPACE: &str = "DRMWATCH_NAMESPACE";
    /// Folder of the plugins.
    pub const PLUGINS: &str = "DRMWATCH_PLUGINS";
    /// Name of the pool.
    pub const POOL: &str = "DRMWATCH_POOL";
    /// UID of the pool.
    pub const POOL_UID: &str = "DRMWATCH_POOL_UID";
    /// Region of the release.
    pub const REGION: &str = "DRMWATCH_REGION";
    /// Where results are stored.
    pub const RESULTS: &str = "DRMWATCH_RESULTS";
    /// Seconds after which results are sent to the store.
    pub const RESULTS_BATCH_SECONDS: &str = "DRMWATCH_RESULTS_BATCH_SECONDS";
    /// Folder of the tenants' keys.
    pub const RESULTS_KEYS: &str = "DRMWATCH_RESULTS_KEYS";
    /// Key management service that holds the tenants' keys.
    pub const RESULTS_KMS: &str = "DRMWATCH_RESULTS_KMS";
    /// Folder of the results that are not in the store yet.
    pub const RESULTS_SPOOL: &str = "DRMWATCH_RESULTS_SPOOL";
    /// Number of shards of the pool.
    pub const SHARDS: &str = "DRMWATCH_SHARDS";
}
