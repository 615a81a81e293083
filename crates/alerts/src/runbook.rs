//! A page for each alert: what it means, whose it is, what to look at first, how to silence it rightly.

use crate::{Rule, RuleFile, Scope, infrastructure, objectives, services};
use drmwatch_api::{Availability, MonitoredTenant, MonitoredTenantSpec, Objective, ObjectiveWindow};
use drmwatch_outcome::{Domain, Reason};
use std::{collections::BTreeMap, fmt::Write};

/// What people need to know of an alert.
#[derive(Debug)]
pub struct Page {
    /// Name of the alert.
    pub alert: &'static str,
    /// What it says.
    pub means: &'static str,
    /// Whose it is.
    pub whose: &'static str,
    /// What to look at, in this order.
    pub first: &'static [&'static str],
    /// How to silence it rightly.
    pub silence: &'static str,
    /// Reasons that lead to it, by their domains; empty where no run of a probe does.
    pub reasons: fn(Reason) -> bool,
}

const NONE: fn(Reason) -> bool = |_| false;
const DESCRIBE: &str = "`kubectl -n NAMESPACE describe drmprobe PROBE`: the condition `Healthy` has step, reason and what the server said.";
const SILENCE: &str = "A planned change: a MaintenanceWindow (docs/maintenance.md), or a silence on the labels `tenant_namespace`, `tenant` and `probe`, for as long as the change takes and no longer. A service that is no more: remove it from its tenant. Don't suspend a probe to have quiet: a suspended probe is forgotten.";

/// Every page, in the order of the index.
pub fn pages() -> &'static [Page] {
    PAGES
}

/// The page of an alert.
pub fn page_of(alert: &str) -> Option<&'static Page> {
    PAGES.iter().find(|p| p.alert == alert)
}

fn from(reason: Reason) -> bool {
    !matches!(reason.domain(), Domain::Configuration | Domain::Monitor)
}

static PAGES: &[Page] = &[
    Page {
        alert: "ProbeDown",
        means: "A service does not do what it must, in this region for two minutes; where a global Prometheus judges, in two thirds of the regions that can tell.",
        whose: "The reason says whose: see the table below. What is ours or the configuration's is never this alert.",
        first: &[
            DESCRIBE,
            "Do other probes of the tenant, or other tenants on the same host, fail with the same reason? Then it is what they share.",
            "The record of the failing run (docs/licences.md, evidence): `drmwatch-runner --replay RECORD` judges it again.",
        ],
        silence: SILENCE,
        reasons: |r| {
            from(r)
                && r.domain() != Domain::Entitlement
                && r != Reason::ManifestStale
                && r != Reason::PolicyDrift
        },
    },
    Page {
        alert: "ProbeDownInRegion",
        means: "A service fails in this region, and passes in most others.",
        whose: "What differs by region: a CDN's point of presence, a regional origin, a geographic rule, or the way there.",
        first: &[
            DESCRIBE,
            "Do other tenants on the same CDN fail in this region only?",
            "Is the region about to be called blind (`drmwatch:region_blind:ratio`)?",
        ],
        silence: SILENCE,
        reasons: from,
    },
    Page {
        alert: "LiveEdgeStale",
        means: "A live stream was seen to stand still: between two looks no segment came.",
        whose: "The packager or what feeds it; a cache that does not renew, where the check `OriginStale` fails as well.",
        first: &[
            DESCRIBE,
            "`drmwatch_stream_live_edge_age_seconds`: since when, and in every rendition?",
            "The encoder's input, then the packager, then the origin, in this order: what stands still further up stands still everywhere below.",
        ],
        silence: SILENCE,
        reasons: |r| r == Reason::ManifestStale,
    },
    Page {
        alert: "ErrorBudgetBurn",
        means: "A tenant's objective is used up too fast: at this rate the budget of the whole period is gone early. The page sees what burnt in an hour (or six) and still burns, the ticket what burnt in a day (or three).",
        whose: "Whose the failures are: ProbeDown and its kin name them. Where nothing is down now, short outages add up.",
        first: &[
            "`slo:sli_error:ratio_rate1h` and `slo:period_error_budget_remaining:ratio` of the objective: how much is left?",
            "`drmwatch_probe_failures_total` by reason over the window: what was it?",
            "A latency objective: `drmwatch_step_duration_seconds` and `drmwatch_step_phase_duration_seconds` by step and phase say where the time goes.",
        ],
        silence: "Planned work belongs into a maintenance window, not into a silence: then it is no part of the budget either. An objective that nobody means: change it.",
        reasons: NONE,
    },
    Page {
        alert: "EntitlementLeak",
        means: "A licence server granted what it must refuse: a token that is expired, forged, another's, or none at all. One run is enough.",
        whose: "The licence server's authorisation, or the proxy in front of it.",
        first: &[
            "The message of `kubectl -n NAMESPACE describe drmprobe PROBE` names the flaw that was accepted.",
            "Is it on in one region only? Then one instance runs with another configuration.",
            "Treat it as an incident of security: who else may have used it shows in the licence server's own log.",
        ],
        silence: "Not before it is closed. Where the refusal is no longer meant, remove the step `expectDenied` from the probe.",
        reasons: |r| r == Reason::EntitlementLeak,
    },
    Page {
        alert: "TokenLeak",
        means: "Content is served without a valid delivery token.",
        whose: "The CDN's or origin's token rule.",
        first: &[
            "The message names the flaw that was accepted.",
            "Was the CDN's configuration published lately? Is the path of the failing request covered by its rule?",
            "A cache that ignores the query string serves what another was allowed to see.",
        ],
        silence: "Not before it is closed. Where a path is meant to be free, take the token from its step.",
        reasons: |r| r == Reason::TokenLeak,
    },
    Page {
        alert: "PolicyDrift",
        means: "Licences allow or demand something else than the probe declares: duration, output protection, security level, renewal.",
        whose: "Whoever changed the policy of the licence server, or the declaration.",
        first: &[
            DESCRIBE,
            "The message names the field, what was declared and what came.",
            "Was the change meant? Then the declaration (`policy` of the step) is what is old.",
        ],
        silence: SILENCE,
        reasons: |r| r == Reason::PolicyDrift,
    },
    Page {
        alert: "ProbeInconclusive",
        means: "For ten minutes nobody can say whether the service is up: the fault is ours or the configuration's. What was known before still counts.",
        whose: "The platform team's, or whoever wrote the probe.",
        first: &[
            DESCRIBE,
            "`LocalDns` and `LocalNetwork`: the runner's node and its resolver.",
            "Another reason: the table below says what to change.",
        ],
        silence: SILENCE,
        reasons: |r| !from(r) && r != Reason::RecordingStale && r != Reason::BudgetExhausted,
    },
    Page {
        alert: "RecordingStale",
        means: "A recorded licence request no longer fits the server's certificate: it proves nothing any more.",
        whose: "Whoever keeps the probe's recordings.",
        first: &[
            "Record a new request with the tenant's player (docs/licences.md) and put it into the Secret that the step names.",
        ],
        silence: SILENCE,
        reasons: |r| r == Reason::RecordingStale,
    },
    Page {
        alert: "BudgetExhausted",
        means: "The tenant's request budget does not allow the probe to run.",
        whose: "Whoever set `budget` of the tenant, or added probes.",
        first: &[
            "`drmwatch_tenant_budget_left_ratio` and `rate(drmwatch_probe_requests_total[5m])` by probe: which one takes most?",
            "Fewer probes, longer intervals, or a larger budget.",
        ],
        silence: SILENCE,
        reasons: |r| r == Reason::BudgetExhausted,
    },
    Page {
        alert: "ProbeUnsteady",
        means: "More than four times in an hour, and in more than one run of twenty, a probe failed and passed five seconds later. None of these counts as down; together they say that the service fails some of its requests.",
        whose: "Mostly a pool of servers of which one is bad, or a service at its limit; where many probes of one region are unsteady, the way out of it.",
        first: &[
            "The runner's log names step, reason and message of each: \"the probe failed, and passed when it was looked at again\". With `--evidence` its record is kept.",
            "Does it fail for one address behind the name only?",
            "`drmwatch_probe_confirmations_total` of other probes in the region: are they unsteady, too?",
        ],
        silence: SILENCE,
        reasons: from,
    },
    Page {
        alert: "ProbeFlapping",
        means: "A probe went down and came back more than four times in half an hour.",
        whose: "Mostly a pool of servers of which one is bad, or a service at its limit.",
        first: &[
            "`drmwatch_probe_failures_total` by reason: always the same one?",
            "Does it fail for one address behind the name only? The hops of the last run say which address answered.",
        ],
        silence: SILENCE,
        reasons: from,
    },
    Page {
        alert: "CertificateExpiring",
        means: "A server's certificate expires within fourteen days, or the DRM system's certificate of a licence server within thirty.",
        whose: "Whoever renews the certificate: the tenant, its CDN, or the DRM vendor (label `what`).",
        first: &[
            "The step names the host.",
            "With automatic renewal it should have been renewed by now: its log says why not.",
        ],
        silence: "Until the day on which it will be renewed, at most.",
        reasons: |r| matches!(r, Reason::CertificateExpired | Reason::DrmCertificateExpired),
    },
    Page {
        alert: "CredentialExpiring",
        means: "A stored credential, a test token for instance, expires within seven days by its own date.",
        whose: "Whoever gave it to the platform team.",
        first: &[
            "Ask for a new one and put it into the Secret that the tenant's `credentials` name; probes take it over by themselves.",
        ],
        silence: "Until the day on which it will be replaced, at most.",
        reasons: |r| r == Reason::TokenStale,
    },
    Page {
        alert: "InsufficientRegions",
        means: "Fewer than half of the regions that should report of a probe can: whether it is up is not decided.",
        whose: "The platform team's.",
        first: &[
            "`drmwatch:probe_passes:region` of the probe: which regions are missing?",
            "Are there RegionBlind, RegionSilent, RunnerDown or ProbeNoData of those?",
        ],
        silence: SILENCE,
        reasons: NONE,
    },
    Page {
        alert: "RegionBlind",
        means: "Over half of what can be compared, of two tenants or more, fails in this region and passes elsewhere. The region is left out of every quorum.",
        whose: "The platform team's: the region's way to the world. Or a provider that all of them share there.",
        first: &[
            "From a runner's node: does anything outside answer?",
            "Egress rules, NAT, resolver: what changed last?",
        ],
        silence: "While the region is being worked on. Its probes are judged by the others meanwhile.",
        reasons: NONE,
    },
    Page {
        alert: "RegionSilent",
        means: "Nothing has come from this region for minutes, and something did in the last six hours.",
        whose: "The platform team's: the release there, or what carries its metrics here.",
        first: &[
            "Is the region's own Prometheus up, and does it write here?",
            "Are there runners?",
        ],
        silence: "A region that was removed for good is silent for six hours: silence it for as long.",
        reasons: NONE,
    },
    Page {
        alert: "RunnerDown",
        means: "Of a pool that should have runners none is ready (page), or some are not (ticket).",
        whose: "The platform team's.",
        first: &[
            "`kubectl -n POOL_NAMESPACE get pods -l drmwatch.io/pool=POOL` and their Events.",
            "Is there room on the nodes? Can the image be had?",
        ],
        silence: "Not the page: probes are not watched. To stop a pool, set its replicas to 0; ProbeNoData then says what is not watched.",
        reasons: NONE,
    },
    Page {
        alert: "ProbeNoData",
        means: "A probe that must run has not run for two intervals: nobody watches the service. Silent while RunnerDown says so of its whole pool.",
        whose: "The platform team's.",
        first: &[
            "`kubectl -n NAMESPACE get drmprobe PROBE -o wide`: is it Ready, and with which plan?",
            "`kubectl -n POOL_NAMESPACE get leases -l drmwatch.io/lease=shard`: has each shard an owner?",
            "`drmwatch_probe_slots_missed_total` by cause; is Prometheus able to scrape the runners?",
        ],
        silence: "Not at all: suspend the probe, or its tenant, if it must not run.",
        reasons: NONE,
    },
    Page {
        alert: "SlotsMissed",
        means: "More than two slots of a probe were missed in a quarter of an hour; the label says why.",
        whose: "The platform team's (late, no_owner, shutdown), or the probe's author's (overlap, replaced, budget).",
        first: &[
            "`late`: RunnerSaturated? `overlap`: does a run take longer than its interval? `no_owner`: did runners die?",
        ],
        silence: SILENCE,
        reasons: NONE,
    },
    Page {
        alert: "SlotsUnaccounted",
        means: "Slots neither finished nor were missed: a runner has lost track. It should never happen.",
        whose: "Ours: please report it.",
        first: &[
            "The runner's log at that time; `drmwatch_probe_slots_*` of the probe.",
            "Restart the runner: its shards move, and slots are counted anew.",
        ],
        silence: "Once it is reported.",
        reasons: NONE,
    },
    Page {
        alert: "TicketingFailing",
        means: "Alerts do not become the tickets that they should: the bridge waits for Zendesk for more than five minutes (`late`), Zendesk refuses a ticket for good (`refused`), or there is no bridge (`gone`). Nothing is lost: what waits lies on the bridge's disk.",
        whose: "`late`: Zendesk's (its status page), the way there, or the bridge's OAuth client. `refused`: what the tenant wrote under `spec.alerting.zendesk`. `gone`: the platform team's.",
        first: &[
            "`drmwatch_bridge_zendesk_requests_total` by status: 401 is the client's secret, 429 the account's limit, `none` the way there.",
            "The bridge's log names the incident and what Zendesk said; `drmwatch-bridge --selftest` in its pod says whether it can get in.",
            "`refused`: the log names the field. Mend `spec.alerting.zendesk`; with the next notification the ticket is made.",
        ],
        silence: "While Zendesk has an outage of its own that it has announced.",
        reasons: NONE,
    },
    Page {
        alert: "RunnerSaturated",
        means: "Runners of a pool are busy for 85 % of their time, or start slots a second late. Nothing is missed yet.",
        whose: "The platform team's.",
        first: &[
            "`drmwatch_runner_busy_ratio` by runner: all, or one? One: does its node have CPU to give?",
            "More replicas (docs/scaling.md), or more CPU.",
        ],
        silence: "While the pool is being enlarged.",
        reasons: NONE,
    },
    Page {
        alert: "PlansNotCached",
        means: "A runner can't write its plans to its disk: it could not start while the API server is away.",
        whose: "The platform team's.",
        first: &["Is the node's disk full? The runner's log has the error."],
        silence: "While the disk is being looked after.",
        reasons: NONE,
    },
    Page {
        alert: "ResultsNotKept",
        means: "Results of runs are not where reports look for them: they have waited for half an hour (`late`), they are lost (`lost`), or their tenant has no key (`no_key`). Probes, alerts and dashboards are not concerned.",
        whose: "The platform team's: the storage, the way to it, or the Secret of keys.",
        first: &[
            "`late`: the runner's log says what the store answers; nothing is lost while its disk has room (`drmwatch_runner_results_spool_bytes`).",
            "`lost`: the log says how many and why. Reports show such minutes as `no data`, and coverage below 100 %.",
            "`no_key`: the log names the tenant. `drmwatch keys create`, and put the key into the pool's Secret; they are then written.",
        ],
        silence: "While the storage is under maintenance: for as long as the runners' disks have room.",
        reasons: NONE,
    },
    Page {
        alert: "ReportNotDelivered",
        means: "An SlaReport is not delivered: a recipient could not be given a report that was due (`undelivered`), or none can be made (`not_ready`). What is missing is delivered later, each report once.",
        whose: "The platform team's, or whoever's the recipient is: a webhook that refuses, a bucket whose credentials expired.",
        first: &[
            "`kubectl -n NAMESPACE describe slareport NAME`: the conditions `Ready` and `Delivered` say which recipient, and why.",
            "The log of its last pod in the pool's namespace (`-l drmwatch.io/report-uid`) says what was tried.",
            "Once it is mended: `kubectl create job --from=cronjob/report-UID` delivers at once what is due.",
        ],
        silence: "While the recipient is being mended: nothing is lost for twelve periods.",
        reasons: NONE,
    },
    Page {
        alert: "OperatorDown",
        means: "No operator, or more than one, leads: changes of probes are not carried out. Runners go on with what they have.",
        whose: "The platform team's.",
        first: &[
            "`kubectl -n RELEASE_NAMESPACE get pods,lease`.",
            "Its log: does the API server answer it?",
        ],
        silence: "A release that was removed for good is told for six hours: silence it for as long.",
        reasons: NONE,
    },
    Page {
        alert: "Watchdog",
        means: "Always fires. When it stops coming, the way from Prometheus to you is broken.",
        whose: "The platform team's.",
        first: &[
            "Route it to a service outside of the cluster that calls when it stops coming (a dead man's switch), with a short `repeat_interval`.",
        ],
        silence: "Never.",
        reasons: NONE,
    },
];

/// Whose a fault of this domain is, and what to look at first.
fn of_domain(domain: Domain) -> (&'static str, &'static str) {
    match domain {
        Domain::Network => (
            "the tenant's DNS or network, or the way there",
            "resolve and connect from another place; does the address answer at all?",
        ),
        Domain::Certificate => (
            "whoever runs the server's TLS",
            "`openssl s_client -connect HOST:443 -servername HOST`",
        ),
        Domain::Service => (
            "whoever runs the HTTP service: origin, CDN, token service",
            "the status and headers in the message; the service's own log at that time",
        ),
        Domain::Stream => (
            "the packager or the origin",
            "the check's clause in docs/checks.md; the manifest itself",
        ),
        Domain::License => (
            "whoever runs the licence server",
            "the message of the licence server; docs/licences.md",
        ),
        Domain::KeyServer => (
            "whoever runs the key server: packagers get no keys",
            "the key server's own log; when did the packager last ask?",
        ),
        Domain::Entitlement => (
            "whoever decides who may watch",
            "treat it as an incident of security",
        ),
        Domain::Configuration => (
            "whoever wrote the probe or keeps its credentials",
            "the message says what to change",
        ),
        Domain::Monitor => (
            "the platform team: drmwatch or the place where it runs",
            "the runner's node, resolver and log",
        ),
    }
}

impl Page {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let rules: Vec<Rule> = every_rule()
            .into_iter()
            .filter(|(r, _)| r.alert.as_deref() == Some(self.alert))
            .map(|(r, _)| r)
            .collect();
        let severities: Vec<&str> = rules
            .iter()
            .filter_map(|r| r.labels.get("severity"))
            .map(String::as_str)
            .collect();
        let mut severities: Vec<&str> = severities;
        severities.dedup();
        let mut text = format!(
            "# {}\n\nGenerated from `crates/alerts` by `make generate`; do not edit.\n\nSeverity: {}.\n\n## What it means\n\n{}\n\n## Whose it is\n\n{}\n\n## What to look at first\n\n",
            self.alert,
            severities.join(", "),
            self.means,
            self.whose
        );
        for (n, step) in self.first.iter().enumerate() {
            let _ = writeln!(text, "{}. {step}", n + 1);
        }
        let _ = write!(text, "\n## How to silence it rightly\n\n{}\n", self.silence);
        let mut reasons = Reason::ALL.iter().filter(|r| (self.reasons)(**r)).peekable();
        if reasons.peek().is_some() {
            text += "\n## Reasons\n\n| reason | means | whose | look at |\n|---|---|---|---|\n";
            for reason in reasons {
                let (whose, look) = of_domain(reason.domain());
                let _ = writeln!(
                    text,
                    "| `{reason}` | {} | {whose} | {look} |",
                    reason.meaning().trim()
                );
            }
        }
        text
    }
}

/// The rules of some objective: its alerts have the same names as everybody's.
fn example() -> RuleFile {
    let objective = Objective {
        name: "availability".into(),
        target: "99%".into(),
        window: ObjectiveWindow::Month,
        probes: Vec::new(),
        availability: Some(Availability {}),
        latency: None,
        live_edge: None,
    };
    let spec = MonitoredTenantSpec {
        objectives: vec![objective],
        ..MonitoredTenantSpec::default()
    };
    objectives(
        &MonitoredTenant::new("example", spec),
        &BTreeMap::new(),
        Scope::Regional,
    )
    .file
}

/// Every rule of every shipped file, and which file it is in.
pub(crate) fn every_rule() -> Vec<(Rule, &'static str)> {
    let files = [
        (infrastructure(), "infrastructure"),
        (services(Scope::Regional), "regional"),
        (services(Scope::Global), "global"),
        (example(), "objectives"),
    ];
    let rules = files
        .into_iter()
        .flat_map(|(file, name)| file.groups.into_iter().map(move |g| (g, name)));
    rules
        .flat_map(|(group, name)| group.rules.into_iter().map(move |r| (r, name)))
        .collect()
}
