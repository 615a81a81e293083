//! Alerts about the watchers themselves. Whoever watches is the first thing to doubt.

use crate::{Group, IN_REGION, PAGE, PROBE, RUNBOOKS, Rule, RuleFile, TICKET, maintenance};
use drmwatch_api::Effect;
use drmwatch_metrics::{
    BRIDGE_ACTIONS, BRIDGE_INFO, BRIDGE_OVERDUE, CACHE_ERRORS, LAST_RUN, LEADER, POOL_READY, POOL_WANTED,
    PROBE_INFO, REPORT_UNDELIVERED, RESULTS_BEHIND, RESULTS_LOST, RESULTS_WAITING, RUNNER_INFO,
    RUNNER_SATURATED, SLOTS_EXPECTED, SLOTS_FINISHED, SLOTS_MISSED, WATCHED_SINCE,
};

/// An alert with its severity and its runbook.
pub(crate) fn alert(name: &str, severity: &str, expr: impl Into<String>) -> Rule {
    Rule {
        alert: Some(name.to_owned()),
        expr: expr.into(),
        ..Rule::default()
    }
    .label("severity", severity)
    .annotation("runbook_url", format!("{RUNBOOKS}/{name}.md"))
}

/// An alert about a tenant, silent under maintenance that mutes: what survives its window fires at its end. The Prometheus
/// Operator routes an alert by the label `namespace` to the receivers that the tenant's own namespace declares.
pub(crate) fn of_tenant(mut rule: Rule) -> Rule {
    rule.expr = format!(
        "({})\nunless on ({PROBE}) {}",
        rule.expr,
        maintenance(Effect::Mute)
    );
    rule.label("namespace", "{{ $labels.tenant_namespace }}")
}

/// Labels that name a pool.
const POOL: &str = "region, pool_namespace, pool";

/// The rule file about the watchers.
pub fn infrastructure() -> RuleFile {
    let mut rules = runner_down();
    rules.extend([
        no_data(),
        slots_missed(),
        unaccounted(),
        saturated(),
        not_cached(),
        operator_down(),
    ]);
    rules.extend(ticketing());
    rules.extend(results());
    rules.push(undelivered());
    rules.push(watchdog());
    RuleFile {
        groups: vec![Group {
            name: "drmwatch-watchers".into(),
            interval: None,
            rules,
        }],
    }
}

/// Alerts that a runner pool explains are told once, by the pool.
fn unless_runners_are_down() -> String {
    format!("unless on ({POOL}) ALERTS{{alertname=\"RunnerDown\",alertstate=\"firing\",severity=\"page\"}}")
}

fn runner_down() -> Vec<Rule> {
    let (ready, wanted) = (POOL_READY.name, POOL_WANTED.name);
    let of = |metric: &str| format!("max by ({POOL}) ({metric})");
    let mut none = alert("RunnerDown", PAGE, format!("{} == 0\nand on ({POOL}) {} > 0", of(ready), of(wanted)))
        .annotation("summary", "no runner of pool {{ $labels.pool_namespace }}/{{ $labels.pool }} in {{ $labels.region }} is ready: nothing of it is watched");
    none.for_ = Some("1m");
    let mut some = alert(
        "RunnerDown",
        TICKET,
        format!("{0} > 0\nand on ({POOL}) {0} < on ({POOL}) {1}", of(ready), of(wanted)),
    )
    .annotation("summary", "only {{ $value }} runners of pool {{ $labels.pool_namespace }}/{{ $labels.pool }} in {{ $labels.region }} are ready: the others carry their load");
    some.for_ = Some("10m");
    vec![none, some]
}

fn no_data() -> Rule {
    // The expected set comes from the operator, so it outlives the runner that may have died, and the Job that never
    // starts. One by cron that was not yet due since its runner has it is kept, though it has not run. A take-over makes a
    // run at most ten seconds late, a scrape shows it fifteen seconds later: two intervals and half a minute are too long,
    // and with the wait that is within three intervals of a probe that runs every minute. A Job has to be scheduled and
    // pulled as well, and is seen when it has ended: five minutes.
    let (info, last, since) = (PROBE_INFO.name, LAST_RUN.name, WATCHED_SINCE.name);
    let whole = format!("{IN_REGION}, pool_namespace, pool");
    let mut rule = of_tenant(alert(
        "ProbeNoData",
        PAGE,
        format!(
            "max by ({whole}) ({info} > 0)\n\
             unless on ({IN_REGION}) (time() - max by ({IN_REGION}) ({last} or {since})\n\
             < max by ({IN_REGION}) (30 + 2 * {info}{{execution=\"Resident\"}} or 300 + 2 * {info}{{execution=\"Job\"}}))\n{}",
            unless_runners_are_down()
        ),
    ))
    .annotation("summary", "{{ $labels.tenant }}/{{ $labels.probe }} has not run for two intervals in {{ $labels.region }}: nobody watches it");
    rule.for_ = Some("30s");
    rule
}

fn slots_missed() -> Rule {
    of_tenant(alert(
        "SlotsMissed",
        TICKET,
        format!(
            "sum by ({IN_REGION}, cause) (increase({}[15m])) > 2",
            SLOTS_MISSED.name
        ),
    ))
    .annotation(
        "summary",
        "{{ $labels.tenant }}/{{ $labels.probe }} missed slots in {{ $labels.region }}: {{ $labels.cause }}",
    )
}

fn unaccounted() -> Rule {
    // Every slot that is due must end as finished or as missed with a cause, or be on its way; what was on its way a
    // quarter of an hour ago has ended long since. One slot of slack: a scrape sees one metric after the other.
    let (expected, finished, missed) = (SLOTS_EXPECTED.name, SLOTS_FINISHED.name, SLOTS_MISSED.name);
    let mut rule = of_tenant(alert(
        "SlotsUnaccounted",
        PAGE,
        format!(
            "max by ({IN_REGION}) (\n\
             increase({expected}[15m] offset 2m)\n\
             - increase({finished}[15m] offset 2m)\n\
             - sum without (cause) (increase({missed}[15m] offset 2m))\n\
             ) > 2"
        ),
    ))
    .annotation("summary", "{{ $labels.tenant }}/{{ $labels.probe }} has slots in {{ $labels.region }} that neither finished nor were missed: a runner has lost track");
    rule.for_ = Some("5m");
    rule
}

fn saturated() -> Rule {
    let mut rule = alert(
        "RunnerSaturated",
        TICKET,
        format!(
            "max by (region, pool) ({} * on (instance, job) group_left (region, pool) {}) == 1",
            RUNNER_SATURATED.name, RUNNER_INFO.name
        ),
    )
    .annotation("summary", "runners of pool {{ $labels.pool }} in {{ $labels.region }} are about to fall behind: more replicas or more CPU are needed");
    rule.for_ = Some("5m");
    rule
}

fn not_cached() -> Rule {
    let mut rule = alert(
        "PlansNotCached",
        TICKET,
        format!("sum by (instance) (increase({}[15m])) > 0", CACHE_ERRORS.name),
    )
    .annotation("summary", "runner {{ $labels.instance }} can't write its plans to its disk: it could not start without the API server");
    rule.for_ = Some("15m");
    rule
}

/// Results that are not where they should be. What a runner lost is counted from nothing where its series is new: the process
/// before it may have lost it.
fn results() -> [Rule; 3] {
    let (behind, lost, keyless) = (RESULTS_BEHIND.name, RESULTS_LOST.name, RESULTS_WAITING.name);
    let failing = |what: &str, expr: String, summary: &str| {
        alert("ResultsNotKept", TICKET, expr)
            .label("what", what)
            .annotation("summary", summary)
    };
    let mut late = failing(
        "late",
        format!("max by (instance) ({behind}) > 1800"),
        "results of runner {{ $labels.instance }} have waited for {{ $value | humanizeDuration }}: the store does not take them",
    );
    late.for_ = Some("1m");
    let mut gone = failing(
        "lost",
        format!("sum by (instance) ({lost} - ({lost} offset 1h or 0 * {lost})) > 0"),
        "{{ $value }} results of runner {{ $labels.instance }} are lost: its disk was full or broken, or it was killed",
    );
    gone.keep_firing_for = Some("1h");
    let mut waiting = failing(
        "no_key",
        format!("max by (instance) ({keyless}) > 0"),
        "{{ $value }} results on runner {{ $labels.instance }} are of tenants without a key: they wait on its disk",
    );
    waiting.for_ = Some("30m");
    [late, gone, waiting]
}

fn undelivered() -> Rule {
    let expr = format!(
        "max by (report_namespace, report, why) ({}) > 0",
        REPORT_UNDELIVERED.name
    );
    let summary =
        "SlaReport {{ $labels.report_namespace }}/{{ $labels.report }} is not delivered ({{ $labels.why }})";
    let mut rule = alert("ReportNotDelivered", TICKET, expr).annotation("summary", summary);
    // An edit and its mending are nobody's business, nor is the moment in which two operators change places.
    rule.for_ = Some("10m");
    rule
}

fn operator_down() -> Rule {
    let leader = LEADER.name;
    // Of a region that once had an operator, and of a Prometheus that never saw one.
    let mut rule = alert(
        "OperatorDown",
        PAGE,
        format!(
            "sum by (region) ({leader}) != 1\n\
             or count by (region) (last_over_time({leader}[6h])) unless on (region) {leader}\n\
             or absent({leader}) unless on () last_over_time({leader}[6h])"
        ),
    )
    .annotation("summary", "no drmwatch operator leads{{ with $labels.region }} in {{ . }}{{ end }}: changes of probes are not carried out, and what is expected is not told");
    rule.for_ = Some("5m");
    rule
}

/// Not as a ticket: it is tickets that fail.
fn ticketing() -> [Rule; 3] {
    let (overdue, actions, info) = (BRIDGE_OVERDUE.name, BRIDGE_ACTIONS.name, BRIDGE_INFO.name);
    let failing = |what: &str, expr: String, summary: &str| {
        alert("TicketingFailing", PAGE, expr)
            .label("what", what)
            .annotation("summary", summary)
    };
    let mut late = failing(
        "late",
        format!("max by (instance) ({overdue}) > 300"),
        "tickets do not say what they should for {{ $value | humanizeDuration }}: the bridge can't reach Zendesk, or is not let in",
    );
    late.for_ = Some("1m");
    let mut refused = failing(
        "refused",
        format!("sum by (tenant_namespace, tenant) (increase({actions}{{action=\"drop\"}}[1h])) > 0"),
        "Zendesk refuses a ticket about {{ $labels.tenant_namespace }}/{{ $labels.tenant }} for good: its settings must be mended",
    );
    refused.keep_firing_for = Some("1h");
    let mut gone = failing(
        "gone",
        format!("count by (region) (last_over_time({info}[6h])) unless on (region) {info}"),
        "no ticket bridge{{ with $labels.region }} in {{ . }}{{ end }}: alerts become no tickets",
    );
    gone.for_ = Some("2m");
    [late, refused, gone]
}

fn watchdog() -> Rule {
    alert("Watchdog", "none", "vector(1)").annotation(
        "summary",
        "always fires: route it to a heartbeat service, which calls when it stops coming",
    )
}
