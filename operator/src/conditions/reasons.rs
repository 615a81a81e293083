//! Reasons of conditions. Alerts and tools of GitOps match on these words: a new one is a line here, and appears in
//! docs/reference/conditions.md. The condition `Healthy` also has the reasons of probes (`drmwatch_outcome::Reason`).

/// One reason, as the reference page shows it.
#[cfg(test)]
pub struct Entry {
    /// The word.
    pub reason: &'static str,
    /// Kind of the object, type of the condition, and its status.
    pub places: &'static [(&'static str, &'static str, super::Status)],
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal: $($kind:ident $condition:ident $status:ident),+;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $word;)+

        /// Every reason, in the order of the list.
        #[cfg(test)]
        pub const ALL: &[Entry] = &[$(Entry {
            reason: $word,
            places: &[$((stringify!($kind), stringify!($condition), super::Status::$status)),+],
            meaning: concat!($($doc),+),
        }),+];
    };
}

reasons! {
    /// The spec can be used. For a tenant, every service also has its probe.
    ACCEPTED = "Accepted": MonitoredTenant Ready True, MaintenanceWindow Ready True;
    /// The spec has a mistake. The message names the field. What ran before goes on.
    INVALID = "Invalid": MonitoredTenant Ready False, RunnerPool Ready False, MaintenanceWindow Ready False,
        MaintenanceWindow Active False, SlaReport Ready False;
    /// The spec, or the tenant's part of it, has a mistake. The message names each field. The last good plan goes on.
    INVALID_PROBE = "InvalidProbe": DrmProbe Ready False;
    /// The plan lies in the namespace of the pool, which runs it.
    PLAN_DELIVERED = "PlanDelivered": DrmProbe Ready True;
    /// `suspend` is set, or a maintenance window pauses the probe: no slot is due.
    SUSPENDED = "Suspended": DrmProbe Ready True, DrmProbe Healthy Unknown, MonitoredTenant Healthy Unknown;
    /// The probe runs in other regions only.
    OTHER_REGION = "OtherRegion": DrmProbe Ready True, DrmProbe Healthy Unknown;
    /// The MonitoredTenant that the probe names is not in its namespace.
    TENANT_NOT_FOUND = "TenantNotFound": DrmProbe Ready False;
    /// The RunnerPool that the probe names does not exist.
    POOL_NOT_FOUND = "PoolNotFound": DrmProbe Ready False;
    /// A credential names a Secret that is not in the namespace.
    SECRET_NOT_FOUND = "SecretNotFound": DrmProbe Ready False;
    /// A credential names a key that its Secret does not have.
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound": DrmProbe Ready False;
    /// The value of a credential is not UTF-8 text.
    SECRET_NOT_TEXT = "SecretNotText": DrmProbe Ready False;
    /// The value of a credential cannot be what its step needs, such as a key or a recorded request.
    CREDENTIAL_UNUSABLE = "CredentialUnusable": DrmProbe Ready False;
    /// The probe has no plan. The condition `Ready` says why.
    NOT_RUNNING = "NotRunning": DrmProbe Healthy Unknown;
    /// No run has ended yet.
    AWAITING_FIRST_RUN = "AwaitingFirstRun": DrmProbe Healthy Unknown, MonitoredTenant Healthy Unknown;
    /// Every step of the last conclusive run passed.
    PASS = "Pass": DrmProbe Healthy True;
    /// Every probe of the tenant passes.
    ALL_PASS = "AllPass": MonitoredTenant Healthy True;
    /// The tenant has no probe.
    NO_PROBES = "NoProbes": MonitoredTenant Healthy Unknown;
    /// The rules of the tenant's objectives are written.
    RULES_WRITTEN = "RulesWritten": MonitoredTenant ObjectivesReady True;
    /// The rules are written, and an objective may not mean what its author expects. The message says why.
    CAUTION = "Caution": MonitoredTenant ObjectivesReady True;
    /// An objective names a probe that the tenant does not have.
    UNKNOWN_PROBE = "UnknownProbe": MonitoredTenant ObjectivesReady False;
    /// This release does not write it: rules of objectives, or the AlertmanagerConfig. The message names the value of the chart.
    NOT_HERE = "NotHere": MonitoredTenant ObjectivesReady Unknown, MonitoredTenant AlertingReady Unknown;
    /// The cluster does not have the resource of the Prometheus Operator that would be written.
    NOT_INSTALLED = "NotInstalled": MonitoredTenant ObjectivesReady False, MonitoredTenant AlertingReady False;
    /// The AlertmanagerConfig of the tenant is written.
    CONFIGURED = "Configured": MonitoredTenant AlertingReady True;
    /// The Secret of the Slack webhook does not exist, or does not hold a URL. Other receivers are configured.
    UNKNOWN_SECRET = "UnknownSecret": MonitoredTenant AlertingReady False;
    /// The key that the operator and the bridge share cannot be read.
    BRIDGE_KEY_UNUSABLE = "BridgeKeyUnusable": MonitoredTenant AlertingReady False;
    /// The tenant wants tickets, and the release has no ticket bridge.
    NO_BRIDGE = "NoBridge": MonitoredTenant AlertingReady False;
    /// As many runners as wanted are ready.
    AVAILABLE = "Available": RunnerPool Ready True;
    /// Too few runners are ready.
    UNAVAILABLE = "Unavailable": RunnerPool Ready False;
    /// The image of the runners cannot be pulled, and a pull Secret that the pool names does not exist.
    PULL_SECRET_MISSING = "PullSecretMissing": RunnerPool Ready False;
    /// The image of the runners cannot be pulled.
    IMAGE_PULL_FAILED = "ImagePullFailed": RunnerPool Ready False;
    /// No runner is about to fall behind.
    WITHIN_CAPACITY = "WithinCapacity": RunnerPool Saturated False;
    /// A runner is about to fall behind: the pool needs more replicas or more CPU.
    SATURATED = "Saturated": RunnerPool Saturated True;
    /// The window is open, and its effects hold.
    OPEN = "Open": MaintenanceWindow Active True;
    /// The window will open (`Active`), or the report will be made (`Ready`).
    SCHEDULED = "Scheduled": MaintenanceWindow Active False, SlaReport Ready True;
    /// The window does not open any more.
    OVER = "Over": MaintenanceWindow Active False;
    /// The RunnerPool that the report names does not exist.
    POOL_MISSING = "PoolMissing": SlaReport Ready False;
    /// The RunnerPool that the report names keeps no results.
    NO_RESULTS = "NoResults": SlaReport Ready False;
    /// A Secret or a key that a recipient names does not exist.
    SECRET_MISSING = "SecretMissing": SlaReport Ready False;
    /// Every report that was due has been delivered.
    DELIVERED = "Delivered": SlaReport Delivered True;
    /// No report was due yet.
    NOTHING_DUE = "NothingDue": SlaReport Delivered Unknown;
    /// A report that was due could not be delivered. It is tried again at the next time of the schedule.
    UNDELIVERED = "Undelivered": SlaReport Delivered False;
}
