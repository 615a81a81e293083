//! From what users wrote to what runners do, with every mistake named.
//!
//! The API server refuses most mistakes at apply, by the schema and the CEL rules in `crates/api`. The
//! same rules stand here once more, in Rust: a folder of YAML has no API server, and the cases in
//! `crates/api/invalid` hold both to the same words.

mod license;
mod references;
mod steps;

pub(crate) use references::texts;

use crate::{Cron, CronError, Plan, did_you_mean, presets};
use drmwatch_api::{
    Alerting, ConcurrencyPolicy, Credential, DrmProbe, DrmSystem, EgressPolicy, Execution, MonitoredTenant,
    Objective, RunnerPool, Step,
};
use drmwatch_outcome::ProbeId;
use jiff::Timestamp;
use litemap::LiteMap;
use std::collections::{BTreeMap, BTreeSet};

/// One mistake: where, and what must be instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, as `spec.steps[0].http.url`.
    pub field: String,
    /// What must be.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

#[derive(Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }
    fn demand(&mut self, holds: bool, field: impl Into<String>, message: &str) {
        if !holds {
            self.add(field, message);
        }
    }
}

/// Names of the variables that `expect` may use, for each kind of step.
pub fn step_variables(kind: &str) -> &'static [&'static str] {
    match kind {
        "http" => &["status", "headers", "body", "json", "durationSeconds"],
        "stream" => &["live", "liveEdgeAgeSeconds", "variants", "kids"],
        "license" => &["status", "keys", "durationSeconds", "level", "policy"],
        "keyServer" => &["status", "keys", "durationSeconds"],
        _ => &["outputs", "facts", "durationSeconds"],
    }
}

/// The kind of a step, by its name in YAML.
pub fn step_kind(step: &Step) -> &'static str {
    match step {
        Step { http: Some(_), .. } => "http",
        Step { stream: Some(_), .. } => "stream",
        Step { license: Some(_), .. } => "license",
        Step {
            key_server: Some(_), ..
        } => "keyServer",
        _ => "plugin",
    }
}

/// Makes a probe of a tenant ready to run in `region` by a pool with this `egress` policy, or gives
/// every problem found.
pub fn compile(
    tenant: &MonitoredTenant,
    probe: &DrmProbe,
    region: &str,
    egress: &EgressPolicy,
) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems::default();
    check_schedule(probe, &mut problems);
    let tls = probe
        .spec
        .tls
        .clone()
        .or_else(|| tenant.spec.defaults.tls.clone())
        .unwrap_or_default();
    let used = steps::check(probe, &tls, &mut problems);
    let known: BTreeMap<&str, &Credential> = tenant
        .spec
        .credentials
        .iter()
        .chain(&probe.spec.credentials)
        .map(|credential| (credential.name.as_str(), credential))
        .collect();
    let mut credentials = LiteMap::new();
    for (name, field) in used {
        match known.get(name.as_str()) {
            Some(credential) => {
                credentials.insert(name, credential.secret_key_ref.clone());
            }
            None => problems.add(
                field,
                format!(
                    "credentials.{name} must be declared in credentials of the probe or its tenant{}",
                    did_you_mean(&name, known.keys().copied())
                ),
            ),
        }
    }
    if !problems.0.is_empty() {
        return Err(problems.0);
    }
    let schedule = &probe.spec.schedule;
    let interval = schedule.interval_seconds.map(|s| s.unsigned_abs());
    let name = probe.metadata.name.clone().unwrap_or_default();
    Ok(Plan {
        uid: probe.metadata.uid.clone().unwrap_or_else(|| name.clone()),
        id: ProbeId {
            namespace: probe
                .metadata
                .namespace
                .clone()
                .unwrap_or_else(|| "default".into()),
            tenant: probe.spec.tenant_ref.name.clone(),
            probe: name,
        },
        generation: probe.metadata.generation.unwrap_or(1),
        region: region.to_owned(),
        execution: probe.spec.execution,
        interval_seconds: interval,
        cron: schedule.cron.clone(),
        time_zone: schedule.time_zone.clone(),
        created: schedule
            .cron
            .as_ref()
            .and(probe.metadata.creation_timestamp.as_ref().map(|at| at.0)),
        concurrency_policy: schedule.concurrency_policy,
        starting_deadline_seconds: schedule
            .starting_deadline_seconds
            .map(|s| s.unsigned_abs())
            .or(interval)
            .unwrap_or(3600),
        timeout_seconds: probe.spec.timeout_seconds.unsigned_abs(),
        suspend: schedule.suspend || tenant.spec.suspend,
        excluded_by: Vec::new(),
        credentials,
        tls,
        egress: egress.clone(),
        budget: tenant.spec.budget.clone(),
        steps: probe.spec.steps.iter().map(presets::resolve).collect(),
    })
}

/// Problems of a tenant by itself.
pub fn check_tenant(tenant: &MonitoredTenant) -> Vec<Problem> {
    let mut problems = Problems::default();
    name_fits(
        &tenant.metadata.name,
        40,
        ", so that TENANT-SERVICE fits a label",
        &mut problems,
    );
    unique(
        tenant.spec.services.iter().map(|s| &s.name),
        "spec.services",
        "service names must be unique",
        &mut problems,
    );
    unique(
        tenant.spec.credentials.iter().map(|c| &c.name),
        "spec.credentials",
        "credential names must be unique",
        &mut problems,
    );
    let defaults = &tenant.spec.defaults;
    if let (Some(timeout), Some(interval)) = (defaults.timeout_seconds, defaults.interval_seconds) {
        problems.demand(
            timeout < interval,
            "spec.defaults",
            "timeoutSeconds must be less than intervalSeconds",
        );
    }
    unique(
        tenant.spec.objectives.iter().map(|o| &o.name),
        "spec.objectives",
        "objective names must be unique",
        &mut problems,
    );
    for (n, objective) in tenant.spec.objectives.iter().enumerate() {
        check_objective(objective, &format!("spec.objectives[{n}]"), &mut problems);
    }
    if let Some(alerting) = &tenant.spec.alerting {
        check_alerting(alerting, &mut problems);
    }
    for (n, service) in tenant.spec.services.iter().enumerate() {
        let kinds = [
            service.stream.is_some(),
            service.license.is_some(),
            service.endpoint.is_some(),
        ];
        problems.demand(
            kinds.iter().filter(|k| **k).count() == 1,
            format!("spec.services[{n}]"),
            "a service must have exactly one of stream, license, endpoint",
        );
        if let Some(license) = &service.license {
            problems.demand(
                license.stream_url.is_some() == (license.system == DrmSystem::ClearKey),
                format!("spec.services[{n}].license.streamUrl"),
                "streamUrl must be used with system: ClearKey, whose licences need key ids",
            );
            problems.demand(
                license.system != DrmSystem::Proprietary,
                format!("spec.services[{n}].license.system"),
                "a service of system Proprietary must be written as a probe",
            );
        }
    }
    problems.0
}

fn check_alerting(alerting: &Alerting, problems: &mut Problems) {
    let field = "spec.alerting";
    problems.demand(
        alerting.slack.is_some() || alerting.zendesk.is_some(),
        field,
        "alerting must have slack or zendesk",
    );
    unique(
        alerting.mute_times.iter().map(|m| &m.name),
        "spec.alerting.muteTimes",
        "names of mute times must be unique",
        problems,
    );
    for (n, mute) in alerting.mute_times.iter().enumerate() {
        problems.demand(
            mute.from < mute.to,
            format!("{field}.muteTimes[{n}]"),
            "from must be before to: what goes beyond midnight is two entries",
        );
    }
    let fields = alerting.zendesk.iter().flat_map(|z| &z.custom_fields);
    let mut ids: Vec<i64> = fields.map(|f| f.id).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    problems.demand(
        ids.len() == all,
        format!("{field}.zendesk.customFields"),
        "customFields must have each id once",
    );
}

fn check_objective(objective: &Objective, field: &str, problems: &mut Problems) {
    let kinds = [
        objective.availability.is_some(),
        objective.latency.is_some(),
        objective.live_edge.is_some(),
    ];
    problems.demand(
        kinds.iter().filter(|k| **k).count() == 1,
        field,
        "an objective must have exactly one of availability, latency, liveEdge",
    );
    let target = objective
        .target
        .strip_suffix('%')
        .and_then(|t| t.parse::<f64>().ok());
    problems.demand(
        target.is_some_and(|t| (50.0..100.0).contains(&t)),
        format!("{field}.target"),
        "target must be at least 50% and below 100%: a budget of nothing is used up by the first failure",
    );
    if let Some(latency) = &objective.latency {
        problems.demand(
            [25, 50, 100, 250, 500, 1000, 2500, 5000, 10000].contains(&latency.within_milliseconds),
            format!("{field}.latency"),
            "withinMilliseconds must be a bound of the histogram: 25, 50, 100, 250, 500, 1000, 2500, 5000 or 10000",
        );
    }
}

/// Problems of a pool.
pub fn check_pool(pool: &RunnerPool) -> Vec<Problem> {
    let mut problems = Problems::default();
    name_fits(
        &pool.metadata.name,
        40,
        ", so that names made from it fit",
        &mut problems,
    );
    if let Some(results) = &pool.spec.results {
        problems.demand(
            results.claim.is_some() != results.url.is_some(),
            "spec.results",
            "results must have exactly one of claim, url",
        );
    }
    for (n, cidr) in pool.spec.egress.allow_cidrs.iter().enumerate() {
        if cidr.parse::<ipnet::IpNet>().is_err() {
            problems.add(
                format!("spec.egress.allowCidrs[{n}]"),
                format!("{cidr:?} must be a range such as 10.20.0.0/16 or fd00::/8"),
            );
        }
    }
    problems.0
}

fn name_fits(name: &Option<String>, limit: usize, why: &str, problems: &mut Problems) {
    let fits = name.as_ref().is_none_or(|n| n.len() <= limit);
    problems.demand(
        fits,
        "metadata.name",
        &format!("metadata.name must be at most {limit} characters{why}"),
    );
}

fn unique<'a>(names: impl Iterator<Item = &'a String>, field: &str, message: &str, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (n, name) in names.enumerate() {
        if !seen.insert(name) {
            problems.add(
                format!("{field}[{n}].name"),
                format!("{message}: {name} is there twice"),
            );
        }
    }
}

fn check_schedule(probe: &DrmProbe, problems: &mut Problems) {
    let (schedule, spec) = (&probe.spec.schedule, &probe.spec);
    name_fits(&probe.metadata.name, 63, "", problems);
    problems.demand(
        schedule.interval_seconds.is_some() != schedule.cron.is_some(),
        "spec.schedule",
        "schedule must have exactly one of intervalSeconds, cron",
    );
    problems.demand(
        schedule.time_zone.is_none() || schedule.cron.is_some(),
        "spec.schedule.timeZone",
        "timeZone must be used with cron only",
    );
    if let Some(cron) = &schedule.cron {
        match Cron::parse(cron, schedule.time_zone.as_deref()) {
            Err(error @ CronError::UnknownZone(_)) => {
                problems.add("spec.schedule.timeZone", error.to_string());
            }
            Err(error) => problems.add(
                "spec.schedule.cron",
                format!("a cron expression should match what a CronJob takes: {error}"),
            ),
            // From any time: what has no match in five years, such as 30 February, has none ever.
            Ok(found) => problems.demand(
                found.next(Timestamp::UNIX_EPOCH).is_some(),
                "spec.schedule.cron",
                &CronError::Never.to_string(),
            ),
        }
    }
    problems.demand(
        schedule.concurrency_policy != ConcurrencyPolicy::Replace || !spec.steps.iter().any(|s| s.finally),
        "spec.schedule.concurrencyPolicy",
        "concurrencyPolicy Replace must not be used with finally steps: a run that is ended gives nothing back",
    );
    if let Some(interval) = schedule.interval_seconds {
        problems.demand(
            (5..=86_400).contains(&interval),
            "spec.schedule.intervalSeconds",
            "intervalSeconds must be between 5 and 86400",
        );
        problems.demand(
            spec.timeout_seconds < interval,
            "spec.timeoutSeconds",
            "timeoutSeconds must be less than schedule.intervalSeconds",
        );
        problems.demand(
            spec.execution == Execution::Resident
                || (interval > 0 && interval % 60 == 0 && 3600 % interval == 0),
            "spec.schedule.intervalSeconds",
            "schedule.intervalSeconds must be whole minutes that divide an hour when execution is Job",
        );
    }
}
