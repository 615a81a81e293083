//! Every metric there is.

use crate::{Handle, kinds};

/// Which program exports a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `drmwatch-runner`; for probes with `execution: Job` the operator in its stead.
    Runner,
    /// `drmwatch-operator`; without a cluster the standalone runner in its stead.
    Operator,
    /// `drmwatch-bridge`.
    Bridge,
    /// The reader of results.
    Reader,
    /// Every program.
    Every,
}

/// What kind of metric it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Goes up only.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets with these upper bounds.
    Histogram(&'static [f64]),
    /// Sum and count alone: an average over any time, at two series.
    Summary,
}

impl Kind {
    /// How many buckets it counts in, where it does.
    pub(crate) fn buckets(self) -> Option<usize> {
        match self {
            Kind::Counter | Kind::Gauge => None,
            Kind::Histogram(bounds) => Some(bounds.len() + 1),
            Kind::Summary => Some(1),
        }
    }
}

/// Whose a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The program's itself.
    Program,
    /// A probe's: it has [`PROBE_LABELS`].
    Probe,
    /// A pool's: it has [`POOL_LABELS`].
    Pool,
}

/// One metric.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// Its place in the catalogue.
    pub(crate) id: u16,
    /// Name as scraped.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Labels besides those of its owner.
    pub labels: &'static [&'static str],
    /// Whose it is, and so which labels it has besides its own.
    pub of: Of,
    /// Who exports it.
    pub program: Program,
    /// Meaning and unit.
    pub help: &'static str,
}

/// Labels that every series about a probe has. Not `namespace`: scraping would rename it.
pub const PROBE_LABELS: [&str; 4] = ["tenant_namespace", "tenant", "probe", "region"];

/// Labels that every series about a pool has.
pub const POOL_LABELS: [&str; 3] = ["region", "pool_namespace", "pool"];

/// Seconds that matter to a program: from a millisecond to a minute.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Seconds that matter to people who wait for a service. Fewer, since every probe has them.
const WAITED: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $const:ident = $name:literal, $kind:ident $(($bounds:expr))?, $program:ident, $of:ident, [$($label:literal),*];)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($const),+ }
        $($(#[doc = $doc])+ pub static $const: Handle<kinds::$kind, { count(&[$($label),*]) }> = Handle::new(Metric {
            id: Place::$const as u16, name: $name, kind: Kind::$kind $(($bounds))?, labels: &[$($label),*], of: Of::$of, program: Program::$program,
            help: concat!($($doc),+),
        });)+
        /// Every metric, in the order of the reference page.
        pub static CATALOGUE: &[&Metric] = &[$($const.metric()),+];
    };
}

const fn count(labels: &[&str]) -> usize {
    labels.len()
}

catalogue! {
    /// 1 if the last conclusive run passed, 0 if it failed. Absent until a run was conclusive.
    PROBE_SUCCESS = "drmwatch_probe_success", Gauge, Runner, Probe, [];
    /// 1 if the last run was inconclusive: the fault is then ours or the configuration's, and drmwatch_probe_success is what was known before.
    PROBE_INCONCLUSIVE = "drmwatch_probe_inconclusive", Gauge, Runner, Probe, [];
    /// 1 with the step and the reason of the last run, while that run did not pass, and the last HTTP status of 400 or above that the step met, if it met one.
    PROBE_FAILURE_INFO = "drmwatch_probe_failure_info", Gauge, Runner, Probe, ["step", "reason", "http_status"];
    /// Runs by outcome: pass, fail, inconclusive.
    PROBE_RUNS = "drmwatch_probe_runs_total", Counter, Runner, Probe, ["outcome"];
    /// Runs that did not pass, by the step that decided and the reason.
    PROBE_FAILURES = "drmwatch_probe_failures_total", Counter, Runner, Probe, ["step", "reason"];
    /// Failures that were looked at again in the same slot, by what was found then: pass (the failure did not count), fail, inconclusive.
    PROBE_CONFIRMATIONS = "drmwatch_probe_confirmations_total", Counter, Runner, Probe, ["outcome"];
    /// Slots that were due.
    SLOTS_EXPECTED = "drmwatch_probe_slots_expected_total", Counter, Runner, Probe, [];
    /// Slots whose run began.
    SLOTS_STARTED = "drmwatch_probe_slots_started_total", Counter, Runner, Probe, [];
    /// Slots whose run ended, with whatever outcome.
    SLOTS_FINISHED = "drmwatch_probe_slots_finished_total", Counter, Runner, Probe, [];
    /// Slots that did not run to their end, by why: late (beyond the starting deadline, or passed while the machine slept), overlap (they passed while a run went on that forbids another), replaced (their run was ended by the next one), budget (the tenant's budget did not allow them), no_owner (they passed while no runner had them, as far as its successor can tell), shutdown (their run had not ended when the runner had to).
    SLOTS_MISSED = "drmwatch_probe_slots_missed_total", Counter, Runner, Probe, ["cause"];
    /// Unix time at which the last run began.
    LAST_RUN = "drmwatch_probe_last_run_timestamp_seconds", Gauge, Runner, Probe, [];
    /// Unix time since which this runner keeps the probe's schedule: of one by cron that was not due since, nothing else can be told.
    WATCHED_SINCE = "drmwatch_probe_watched_since_timestamp_seconds", Gauge, Runner, Probe, [];
    /// Seconds that a run took.
    PROBE_DURATION = "drmwatch_probe_duration_seconds", Histogram(WAITED), Runner, Probe, [];
    /// Seconds that a step took.
    STEP_DURATION = "drmwatch_step_duration_seconds", Summary, Runner, Probe, ["step"];
    /// Seconds that a phase of one request took: dns, connect, tls, request, first_byte, transfer. A phase that did not happen is not counted.
    PHASE_DURATION = "drmwatch_step_phase_duration_seconds", Summary, Runner, Probe, ["step", "phase"];
    /// Seconds between the end of the newest segment and now, the oldest of the renditions looked at.
    LIVE_EDGE_AGE = "drmwatch_stream_live_edge_age_seconds", Gauge, Runner, Probe, ["step"];
    /// Variants or representations that the manifest lists.
    STREAM_VARIANTS = "drmwatch_stream_variants", Gauge, Runner, Probe, ["step"];
    /// What each stream check said in the last run (docs/checks.md): 0 it holds, 1 it does not, 2 it was skipped.
    STREAM_CHECK_STATUS = "drmwatch_stream_check_status", Gauge, Runner, Probe, ["step", "check"];
    /// Seconds between the newest segment and now, by method: pdt (program dates), timeline (MPD), prft (producer times in the media).
    STREAM_LIVE_LATENCY = "drmwatch_stream_live_latency_seconds", Gauge, Runner, Probe, ["step", "method"];
    /// Seconds that the manifest lists, the shortest of the renditions.
    STREAM_WINDOW = "drmwatch_stream_window_seconds", Gauge, Runner, Probe, ["step"];
    /// Seconds by which the clock that the manifest gives to clients is ahead of ours.
    STREAM_CLOCK_OFFSET = "drmwatch_stream_clock_offset_seconds", Gauge, Runner, Probe, ["step"];
    /// Seconds that a low-latency server held a blocking reload.
    STREAM_BLOCKING_RELOAD = "drmwatch_stream_blocking_reload_seconds", Gauge, Runner, Probe, ["step"];
    /// Seconds until a stream was there that the probe waits for (`appearsWithinSeconds`): from the beginning of the run.
    STREAM_APPEARED = "drmwatch_stream_appeared_seconds", Gauge, Runner, Probe, ["step"];
    /// Seconds until the slowest alternative location (pathway, base URL, duplicate variant) had answered.
    STREAM_FAILOVER = "drmwatch_stream_failover_seconds", Gauge, Runner, Probe, ["step"];
    /// Seconds from pressing play to the first picture, put together from what the run measured.
    STREAM_STARTUP = "drmwatch_stream_startup_seconds", Gauge, Runner, Probe, ["step"];
    /// Download time of a whole segment over its playing time, the worst of the run; above 1 players stall.
    STREAM_DOWNLOAD_RATIO = "drmwatch_stream_segment_download_ratio", Gauge, Runner, Probe, ["step"];
    /// SmartCARE's quality of a whole segment's download in percent, the worst of the run.
    STREAM_QUALITY = "drmwatch_stream_segment_quality_percent", Gauge, Runner, Probe, ["step"];
    /// Bytes per second of the whole segments of the run.
    STREAM_THROUGHPUT = "drmwatch_stream_throughput_bytes_per_second", Gauge, Runner, Probe, ["step"];
    /// What a player dares to use of the throughput (0.7 of it) over the bit rate of a rung, counted from the lowest, 0; below 1 it can't be sustained.
    STREAM_HEADROOM = "drmwatch_stream_headroom_ratio", Gauge, Runner, Probe, ["step", "rung"];
    /// Seconds that a player has in its buffer, which joined with the first run and since then fetched the segments that the runs fetched whole.
    STREAM_BUFFER = "drmwatch_stream_buffer_seconds", Gauge, Runner, Probe, ["step"];
    /// Runs in which that player's buffer was empty.
    STREAM_STALLS = "drmwatch_stream_stalls_total", Counter, Runner, Probe, ["step"];
    /// Seconds since a new advertisement cue was seen, while there are some.
    STREAM_CUE_AGE = "drmwatch_stream_last_cue_age_seconds", Gauge, Runner, Probe, ["step"];
    /// Seconds since the advertisement break that is going on was first seen; 0 while there is none.
    STREAM_BREAK_OPEN = "drmwatch_stream_ad_break_open_seconds", Gauge, Runner, Probe, ["step"];
    /// Bytes that the last run took, as they came over the wire.
    STREAM_FETCHED = "drmwatch_stream_fetched_bytes", Gauge, Runner, Probe, ["step"];
    /// Seconds from the licence request to the end of its answer, by the server asked: ClearKey, Widevine, PlayReady, FairPlay, Proprietary, KeyServer.
    LICENSE_LATENCY = "drmwatch_license_latency_seconds", Histogram(WAITED), Runner, Probe, ["step", "system"];
    /// How far up the ladder a license or keyServer step came: 0 transport, 1 the DRM system's certificate of the server, 2 the refusal of what must be refused, 3 a licence for a recorded request, 4 for a fresh one, 5 keys of a key server.
    LICENSE_LEVEL = "drmwatch_license_level", Gauge, Runner, Probe, ["step"];
    /// Unix time at which the DRM system's own certificate of the licence server expires.
    DRM_CERTIFICATE_EXPIRY = "drmwatch_drm_certificate_expiry_timestamp_seconds", Gauge, Runner, Probe, ["step"];
    /// Unix time at which the first to expire of the credentials that a step used does so, by its own date (a stored JSON Web Token).
    CREDENTIAL_EXPIRY = "drmwatch_credential_expiry_timestamp_seconds", Gauge, Runner, Probe, ["step"];
    /// Unix time at which the first to expire of the server certificates met by a step does so, recorded even when the certificate was refused.
    CERTIFICATE_EXPIRY = "drmwatch_certificate_expiry_timestamp_seconds", Gauge, Runner, Probe, ["step"];
    /// Requests that probing made, redirects included.
    PROBE_REQUESTS = "drmwatch_probe_requests_total", Counter, Runner, Probe, [];
    /// What is left of the request budget of the probe's tenant, from 0 to 1; absent without a budget.
    BUDGET_LEFT = "drmwatch_tenant_budget_left_ratio", Gauge, Runner, Probe, [];
    /// Bytes of answer bodies that probing took from the tenant, as they came over the wire.
    RESPONSE_BYTES = "drmwatch_probe_response_bytes_total", Counter, Runner, Probe, [];
    /// When the program started, seconds since 1970 (the name that Prometheus' own libraries use): counters that begin anew are told apart from ones that stand still.
    PROCESS_START = "process_start_time_seconds", Gauge, Every, Program, [];
    /// 1, with the runner's version, region and pool.
    RUNNER_INFO = "drmwatch_runner_info", Gauge, Runner, Program, ["version", "region", "pool"];
    /// Plans that this runner works on.
    RUNNER_PROBES = "drmwatch_runner_probes", Gauge, Runner, Program, [];
    /// Plans that this runner holds but can't use, because a credential in them is unusable.
    RUNNER_UNUSABLE_PLANS = "drmwatch_runner_unusable_plans", Gauge, Runner, Program, [];
    /// Shards that this runner holds by Lease.
    RUNNER_SHARDS = "drmwatch_runner_shards_held", Gauge, Runner, Program, [];
    /// Slots whose run goes on or waits for its turn.
    RUNNER_IN_FLIGHT = "drmwatch_runner_runs_in_flight", Gauge, Runner, Program, [];
    /// Share of their time that the runner's threads were busy in the last half minute, from 0 to 1: what to scale by.
    RUNNER_BUSY = "drmwatch_runner_busy_ratio", Gauge, Runner, Program, [];
    /// 1 while the runner is about to fall behind: busy for 85 % of its time, or slots started a second late.
    RUNNER_SATURATED = "drmwatch_runner_saturated", Gauge, Runner, Program, [];
    /// Plans of each shard that this runner holds.
    SHARD_PROBES = "drmwatch_shard_probes", Gauge, Runner, Program, ["shard"];
    /// Plans that this runner has in its cache on the disk, with which it starts while the API server is away.
    CACHED_PLANS = "drmwatch_runner_cached_plans", Gauge, Runner, Program, [];
    /// Plans that could not be written to that cache, or a cache that could not be opened.
    CACHE_ERRORS = "drmwatch_runner_cache_errors_total", Counter, Runner, Program, [];
    /// Results of slots that were handed over to be kept.
    RESULTS_RECORDED = "drmwatch_runner_results_recorded_total", Counter, Runner, Program, [];
    /// Results that are lost: memory or disk were full, or the process before died before it had written them.
    RESULTS_LOST = "drmwatch_runner_results_lost_total", Counter, Runner, Program, [];
    /// Results that are in the store.
    RESULTS_SHIPPED = "drmwatch_runner_results_shipped_total", Counter, Runner, Program, [];
    /// Attempts to ship results that the store, or the disk, did not let succeed.
    RESULTS_ERRORS = "drmwatch_runner_results_errors_total", Counter, Runner, Program, [];
    /// Results of tenants without a key: they wait on the runner's disk.
    RESULTS_WAITING = "drmwatch_runner_results_without_key", Gauge, Runner, Program, [];
    /// Seconds that the oldest batch of results has waited for the store. 0 while none waits.
    RESULTS_BEHIND = "drmwatch_runner_results_behind_seconds", Gauge, Runner, Program, [];
    /// Bytes of results on the runner's disk.
    RESULTS_SPOOL_BYTES = "drmwatch_runner_results_spool_bytes", Gauge, Runner, Program, [];
    /// Seconds between the instant of a slot and the start of its run.
    SLOT_LAG = "drmwatch_runner_slot_lag_seconds", Histogram(SECONDS), Runner, Program, [];
    /// Seconds between two slots of a probe that must run, of cron the longest such time: the expected set, told by the operator so that it outlives the runner, with the pool that should run them.
    PROBE_INFO = "drmwatch_probe_info", Gauge, Operator, Probe, ["execution", "pool_namespace", "pool"];
    /// 1 while a maintenance window has an effect on the probe: Mute, ExcludeFromSla, Pause.
    MAINTENANCE = "drmwatch_maintenance", Gauge, Operator, Probe, ["effect", "window"];
    /// 1 for each reason there is, with whose it is and what it means, in words: alerts look them up.
    REASON_INFO = "drmwatch_reason_info", Gauge, Operator, Program, ["reason", "whose", "words"];
    /// Reconciles, by kind of resource.
    RECONCILES = "drmwatch_operator_reconciles_total", Counter, Operator, Program, ["kind"];
    /// Reconciles that broke, by kind of resource and cause: api, conflict, encoding.
    RECONCILE_ERRORS = "drmwatch_operator_reconcile_errors_total", Counter, Operator, Program, ["kind", "cause"];
    /// Seconds that a reconcile took.
    RECONCILE_DURATION = "drmwatch_operator_reconcile_duration_seconds", Histogram(SECONDS), Operator, Program, ["kind"];
    /// Reconciles going on now.
    RECONCILES_IN_FLIGHT = "drmwatch_operator_reconciles_in_flight", Gauge, Operator, Program, ["kind"];
    /// Objects that wait for a reconcile: changed, or to be tried again after one that broke.
    QUEUED = "drmwatch_operator_queued", Gauge, Operator, Program, ["kind"];
    /// Writes to the API server, by kind of the object written. Stands still when nothing changes.
    WRITES = "drmwatch_operator_writes_total", Counter, Operator, Program, ["kind"];
    /// 1 on the replica that holds the leader's Lease, 0 on the others.
    LEADER = "drmwatch_operator_leader", Gauge, Operator, Program, ["region"];
    /// Runners that a pool should have.
    POOL_WANTED = "drmwatch_pool_runners_wanted", Gauge, Operator, Pool, [];
    /// Runners of a pool that are ready.
    POOL_READY = "drmwatch_pool_runners_ready", Gauge, Operator, Pool, [];
    /// 1, for each SlaReport that is not delivered: undelivered (somebody could not be given a report that was due), not_ready (none can be made; its condition Ready says why).
    REPORT_UNDELIVERED = "drmwatch_report_undelivered", Gauge, Operator, Program, ["report_namespace", "report", "why"];
    /// 1, with the bridge's version and region.
    BRIDGE_INFO = "drmwatch_bridge_info", Gauge, Bridge, Program, ["version", "region"];
    /// Notifications of Alertmanager by what became of them: accepted (kept on the disk), unchanged (nothing new in them), ignored (Alertmanager itself says that the alert is over), refused (not authenticated, malformed, too large), unavailable (they could not be kept: to be sent again).
    BRIDGE_NOTIFICATIONS = "drmwatch_bridge_notifications_total", Counter, Bridge, Program, ["outcome"];
    /// What was done to tickets: create, comment, solve, reopen, follow_up; leave (a person took the ticket over by the tag drmwatch-ignore, or there is nothing to do), drop (Zendesk refuses it for good).
    BRIDGE_ACTIONS = "drmwatch_bridge_ticket_actions_total", Counter, Bridge, Program, ["tenant_namespace", "tenant", "action"];
    /// Requests to Zendesk, by the status of the answer; `none` where there was none.
    BRIDGE_REQUESTS = "drmwatch_bridge_zendesk_requests_total", Counter, Bridge, Program, ["status"];
    /// Seconds that a request to Zendesk took.
    BRIDGE_REQUEST_DURATION = "drmwatch_bridge_zendesk_request_duration_seconds", Histogram(SECONDS), Bridge, Program, [];
    /// Incidents whose ticket does not say yet what it should.
    BRIDGE_PENDING = "drmwatch_bridge_pending_incidents", Gauge, Bridge, Program, [];
    /// Seconds since the longest of these waits beyond its time; 0 while none does.
    BRIDGE_OVERDUE = "drmwatch_bridge_overdue_seconds", Gauge, Bridge, Program, [];
    /// 1, with the reader's version and region.
    READER_INFO = "drmwatch_reader_info", Gauge, Reader, Program, ["version", "region"];
    /// Requests for results and roll-ups, by what was asked for and the status of the answer.
    READER_REQUESTS = "drmwatch_reader_requests_total", Counter, Reader, Program, ["route", "status"];
    /// Seconds that an answer took.
    READER_REQUEST_DURATION = "drmwatch_reader_request_duration_seconds", Histogram(SECONDS), Reader, Program, ["route"];
    /// Requests to the API server for reviews of tokens and of access, by outcome: allowed, denied, error.
    READER_REVIEWS = "drmwatch_reader_reviews_total", Counter, Reader, Program, ["outcome"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions_and_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for metric in CATALOGUE {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(
                matches!(metric.kind, Kind::Counter),
                name.ends_with("_total"),
                "{name}"
            );
            // One is everybody's.
            assert!(
                (name.starts_with("drmwatch_") || name == "process_start_time_seconds")
                    && metric.help.trim().ends_with('.'),
                "{name}"
            );
            assert!(
                metric.kind.buckets().is_none() || name.ends_with("_seconds"),
                "{name}"
            );
            let renamed = [
                "namespace",
                "pod",
                "job",
                "instance",
                "service",
                "endpoint",
                "container",
            ];
            assert!(
                metric.labels.iter().all(|l| !renamed.contains(l)),
                "scraping would rename a label of {name}"
            );
        }
    }

    #[test]
    fn the_reference_page_is_what_the_catalogue_says() {
        let mut page =
            String::from("# Metrics\n\nGenerated from `crates/metrics` by `make generate`; do not edit.\n\n");
        page += &format!(
            "Series about a probe also have the labels `{}`, those about a pool `{}`.\n",
            PROBE_LABELS.join("`, `"),
            POOL_LABELS.join("`, `")
        );
        for (program, title) in [
            (Program::Runner, "Runner"),
            (Program::Operator, "Operator"),
            (Program::Bridge, "Ticket bridge"),
            (Program::Reader, "Reader"),
            (Program::Every, "Every program"),
        ] {
            page += &format!("\n## {title}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n");
            for metric in CATALOGUE.iter().filter(|m| m.program == program) {
                let kind = match metric.kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Histogram(_) => "histogram",
                    Kind::Summary => "summary",
                };
                let mut labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
                match metric.of {
                    Of::Program => {}
                    Of::Probe => labels.insert(0, "*probe*".into()),
                    Of::Pool => labels.insert(0, "*pool*".into()),
                }
                page += &format!(
                    "| `{}` | {kind} | {} | {} |\n",
                    metric.name,
                    labels.join(", "),
                    metric.help.trim()
                );
            }
        }
        page += "\n## Reasons\n\nThe closed list behind the label `reason`, the conditions and the Events.\n\n| reason | whose | meaning |\n|---|---|---|\n";
        for reason in drmwatch_outcome::Reason::ALL {
            page += &format!(
                "| `{reason}` | {} | {} |\n",
                reason.domain().as_str(),
                reason.meaning().trim()
            );
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == page,
            "docs/metrics.md is not what the catalogue says; run `make generate`"
        );
    }
}
