//! From what users wrote to what runners do, with every mistake named.
//!
//! The API server refuses most mistakes at apply, by the schema and the CEL rules in `crates/api`. The
//! same rules stand here once more, in Rust: a folder of YAML has no API server, and the cases in
//! `crates/api/invalid` hold both to the same words.

use crate::{Expression, Plan, ProbeId, Reference, Template};
use drmwatch_api::{
    CHECK_ID, Credential, DrmProbe, DrmSystem, EgressPolicy, Execution, Header, Method, MonitoredTenant,
    RunnerPool, Step, StreamChecks, StreamToken, Tls, TokenFlaw,
};
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
struct Problems(Vec<Problem>);

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
        _ => &["status", "keys", "durationSeconds"],
    }
}

/// The kind of a step, by its name in YAML.
pub fn step_kind(step: &Step) -> &'static str {
    match (&step.http, &step.stream) {
        (Some(_), _) => "http",
        (_, Some(_)) => "stream",
        _ => "license",
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
    let used = check_steps(probe, &tls, &mut problems);
    let known: BTreeMap<&str, &Credential> = tenant
        .spec
        .credentials
        .iter()
        .chain(&probe.spec.credentials)
        .map(|credential| (credential.name.as_str(), credential))
        .collect();
    let mut credentials = BTreeMap::new();
    for (name, field) in used {
        match known.get(name.as_str()) {
            Some(credential) => {
                credentials.insert(name, credential.secret_key_ref.clone());
            }
            None => problems.add(
                field,
                format!("credentials.{name} must be declared in credentials of the probe or its tenant"),
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
        starting_deadline_seconds: schedule
            .starting_deadline_seconds
            .map(|s| s.unsigned_abs())
            .or(interval)
            .unwrap_or(3600),
        timeout_seconds: probe.spec.timeout_seconds.unsigned_abs(),
        suspend: schedule.suspend || tenant.spec.suspend,
        credentials,
        tls,
        egress: egress.clone(),
        steps: probe.spec.steps.clone(),
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
    }
    problems.0
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
    for name in names {
        if !seen.insert(name) {
            problems.add(field, format!("{message}: {name} is there twice"));
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
    problems.demand(
        spec.execution == Execution::Job || schedule.cron.is_none(),
        "spec.schedule.cron",
        "schedule.cron must be used with execution: Job; a resident probe needs schedule.intervalSeconds",
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

/// Checks every step; gives the credentials that are used, each with the first field that uses it.
fn check_steps(probe: &DrmProbe, tls: &Tls, problems: &mut Problems) -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    check_tls(tls, &mut used, problems);
    let steps = &probe.spec.steps;
    problems.demand(
        (1..=10).contains(&steps.len()),
        "spec.steps",
        "a probe must have between 1 and 10 steps",
    );
    unique(
        steps.iter().map(|s| &s.name),
        "spec.steps",
        "step names must be unique",
        problems,
    );
    for (n, step) in steps.iter().enumerate() {
        let at = format!("spec.steps[{n}]");
        problems.demand(
            step.name != "credentials",
            format!("{at}.name"),
            "a step must not be named credentials",
        );
        let kinds = [step.http.is_some(), step.stream.is_some(), step.license.is_some()];
        if kinds.iter().filter(|k| **k).count() != 1 {
            problems.add(&at, "a step must have exactly one of http, stream, license");
            continue;
        }
        for (field, text) in texts(step) {
            check_references(&format!("{at}.{field}"), text, steps, n, &mut used, problems);
        }
        if let Some(token) = step.stream.as_ref().and_then(|s| s.token.as_ref()) {
            for (field, name) in token.credentials() {
                used.entry(name.to_owned())
                    .or_insert_with(|| format!("{at}.stream.token.{field}"));
            }
        }
        if let Some(widevine) = step.license.as_ref().and_then(|l| l.widevine.as_ref()) {
            let named = [
                (
                    "recordedChallengeCredential",
                    &widevine.recorded_challenge_credential,
                ),
                ("rootCredential", &widevine.root_credential),
            ];
            for (field, name) in named {
                if let Some(name) = name {
                    used.entry(name.clone())
                        .or_insert_with(|| format!("{at}.license.widevine.{field}"));
                }
            }
        }
        let appears = step.stream.as_ref().and_then(|s| s.appears_within_seconds);
        problems.demand(
            appears.is_none_or(|s| s < probe.spec.timeout_seconds),
            format!("{at}.stream.appearsWithinSeconds"),
            "appearsWithinSeconds must be below timeoutSeconds",
        );
        check_kind(&at, step, &steps[..n], problems);
        for (m, expectation) in step.expect.iter().enumerate() {
            if let Err(error) =
                Expression::compile(&expectation.cel, step_kind(step), step_variables(step_kind(step)))
            {
                problems.add(format!("{at}.expect[{m}].cel"), error.to_string());
            }
        }
    }
    used
}

fn check_kind(at: &str, step: &Step, earlier: &[Step], problems: &mut Problems) {
    if let Some(http) = &step.http {
        problems.demand(
            http.body.is_none() || matches!(http.method, Method::Post | Method::Put | Method::Delete),
            format!("{at}.http.body"),
            "body must be used with method POST, PUT or DELETE",
        );
        unique(
            http.outputs.iter().map(|o| &o.name),
            &format!("{at}.http.outputs"),
            "output names must be unique",
            problems,
        );
        for (m, output) in http.outputs.iter().enumerate() {
            let kinds = [
                output.json_pointer.is_some(),
                output.regex.is_some(),
                output.header.is_some(),
            ];
            problems.demand(
                kinds.iter().filter(|k| **k).count() == 1,
                format!("{at}.http.outputs[{m}]"),
                "an output must have exactly one of jsonPointer, regex, header",
            );
            if let Some(Err(error)) = output.regex.as_ref().map(|r| regex::Regex::new(r)) {
                let error = error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                problems.add(
                    format!("{at}.http.outputs[{m}].regex"),
                    format!("must be a regular expression: {error}"),
                );
            }
        }
    }
    if step.stream.is_some() {
        problems.demand(
            step.expect_denied.is_none(),
            format!("{at}.expectDenied"),
            "expectDenied must be used with http or license steps only",
        );
    }
    if let Some(stream) = &step.stream {
        check_ids(&format!("{at}.stream.checks"), &stream.checks, problems);
    }
    if let Some(token) = step.stream.as_ref().and_then(|s| s.token.as_ref()) {
        check_token(&format!("{at}.stream.token"), token, problems);
    }
    if let Some(same) = step
        .stream
        .as_ref()
        .and_then(|s| s.expected.same_kids_as.as_ref())
    {
        let found = earlier.iter().any(|s| s.name == *same && s.stream.is_some());
        problems.demand(
            found,
            format!("{at}.stream.expected.sameKidsAs"),
            "sameKidsAs must name an earlier stream step",
        );
    }
    if let Some(license) = &step.license {
        let recorded = license
            .widevine
            .as_ref()
            .and_then(|w| w.recorded_challenge_credential.as_ref());
        let bare = license.system == DrmSystem::Widevine && recorded.is_none();
        problems.demand(
            license.widevine.is_none() || license.system == DrmSystem::Widevine,
            format!("{at}.license.widevine"),
            "widevine must be used with system: Widevine",
        );
        problems.demand(
            bare || license.kids_from.is_some() != license.kids.is_some(),
            format!("{at}.license"),
            "a license step must have exactly one of kidsFrom, kids",
        );
        problems.demand(
            !license.open_canary || license.kids_from.is_some(),
            format!("{at}.license.openCanary"),
            "openCanary must be used with kidsFrom, which names the stream to open",
        );
        if let Some(from) = &license.kids_from {
            let found = earlier.iter().any(|s| s.name == *from && s.stream.is_some());
            problems.demand(
                found,
                format!("{at}.license.kidsFrom"),
                "kidsFrom must name an earlier stream step",
            );
        }
    }
}

fn check_ids(at: &str, checks: &StreamChecks, problems: &mut Problems) {
    let Ok(known) = regex::Regex::new(CHECK_ID) else {
        return;
    };
    let disabled = checks.disabled.iter().enumerate();
    let disabled = disabled.map(|(n, id)| (format!("{at}.disabled[{n}]"), id));
    let thresholds = checks.thresholds.iter().enumerate();
    let thresholds = thresholds.map(|(n, t)| (format!("{at}.thresholds[{n}].check"), &t.check));
    for (field, id) in disabled.chain(thresholds) {
        problems.demand(
            known.is_match(id),
            field,
            "a check id should match one of M01 to X06 (docs/checks.md)",
        );
    }
}

fn check_token(at: &str, token: &StreamToken, problems: &mut Problems) {
    let schemes = [
        token.nginx_secure_link.is_some(),
        token.akamai_edge_auth.is_some(),
        token.cloud_front.is_some(),
        token.wowza_secure_token.is_some(),
        token.azure_sas.is_some(),
        token.common_access_token.is_some(),
    ];
    problems.demand(
        schemes.iter().filter(|s| **s).count() == 1,
        at,
        "a token must have exactly one of nginxSecureLink, akamaiEdgeAuth, cloudFront, wowzaSecureToken, azureSas, commonAccessToken",
    );
    let address = token.address.as_ref();
    problems.demand(
        address.is_none_or(|a| a.parse::<std::net::IpAddr>().is_ok()),
        format!("{at}.address"),
        "address must be an IPv4 or IPv6 address",
    );
    problems.demand(
        token
            .cloud_front
            .as_ref()
            .is_none_or(|c| !c.cookies || c.resource.is_some()),
        format!("{at}.cloudFront.resource"),
        "cookies must be used with a resource: they are sent with every URL",
    );
    let deny = token.deny.as_ref();
    problems.demand(
        deny.is_none_or(|d| !d.flaws.contains(&TokenFlaw::Revoked) || d.revoked_credential.is_some()),
        format!("{at}.deny.revokedCredential"),
        "the flaw Revoked must be used with a revokedCredential",
    );
}

fn check_tls(tls: &Tls, used: &mut BTreeMap<String, String>, problems: &mut Problems) {
    problems.demand(
        tls.client_certificate_credential.is_some() == tls.client_key_credential.is_some(),
        "spec.tls",
        "clientCertificateCredential and clientKeyCredential must be used together",
    );
    for (field, name) in [
        ("caCredential", &tls.ca_credential),
        ("clientCertificateCredential", &tls.client_certificate_credential),
        ("clientKeyCredential", &tls.client_key_credential),
    ] {
        if let Some(name) = name {
            used.entry(name.clone())
                .or_insert_with(|| format!("spec.tls.{field}"));
        }
    }
}

fn check_references(
    field: &str,
    text: &str,
    steps: &[Step],
    n: usize,
    used: &mut BTreeMap<String, String>,
    problems: &mut Problems,
) {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return problems.add(field, error.to_string()),
    };
    for reference in template.references() {
        match reference {
            Reference::Credential(name) => {
                used.entry(name.clone()).or_insert_with(|| field.to_owned());
            }
            Reference::Output { step, output } => match steps.iter().position(|s| s.name == *step) {
                None => problems.add(
                    field,
                    format!("a ${{...}} reference must be ${{credentials.NAME}} or ${{STEP.OUTPUT}} of a step of this probe; there is no step {step}"),
                ),
                Some(m) if m >= n => problems.add(
                    field,
                    format!("a ${{STEP.OUTPUT}} reference must be to an earlier step; {step} is not"),
                ),
                Some(m) => {
                    let known = outputs(&steps[m]);
                    if !known.contains(&output.as_str()) {
                        problems.add(field, format!("step {step} must have an output {output}; it has {known:?}"));
                    }
                }
            },
        }
    }
}

fn outputs(step: &Step) -> Vec<&str> {
    match (&step.http, &step.stream) {
        (Some(http), _) => http.outputs.iter().map(|o| o.name.as_str()).collect(),
        (_, Some(_)) => vec!["kids"],
        _ => Vec::new(),
    }
}

/// The texts of a step that may hold references, with their fields.
fn texts(step: &Step) -> Vec<(String, &str)> {
    fn with_headers<'a>(kind: &str, url: &'a str, headers: &'a [Header]) -> Vec<(String, &'a str)> {
        let url = std::iter::once((format!("{kind}.url"), url));
        let values = headers.iter().enumerate();
        url.chain(values.map(|(n, h)| (format!("{kind}.headers[{n}].value"), h.value.as_str())))
            .collect()
    }
    if let Some(http) = &step.http {
        let mut texts = with_headers("http", &http.url, &http.headers);
        texts.extend(http.body.as_deref().map(|body| ("http.body".to_owned(), body)));
        return texts;
    }
    if let Some(stream) = &step.stream {
        return with_headers("stream", &stream.url, &stream.headers);
    }
    step.license
        .as_ref()
        .map(|l| with_headers("license", &l.url, &l.headers))
        .unwrap_or_default()
}
