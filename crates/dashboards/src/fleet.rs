//! All tenants and regions at a glance: what is down now, whose it is, and who watches.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, NONE_IS_GOOD, PROBE, RED, YELLOW, of, tenants},
};
use drmwatch_metrics::recorded::{DOWN, PASSES};
use drmwatch_metrics::{
    LAST_RUN, POOL_READY, POOL_WANTED, PROBE_FAILURES, PROBE_INCONCLUSIVE, PROBE_INFO, SLOTS_MISSED,
};

/// Tenants of the consensus, which has a region where it is made by one.
const TENANTS: &str = "tenant_namespace=~\"$namespace\",tenant=~\"$tenant\"";
/// To the dashboard of a row's tenant.
const TENANT: &str = "tenant?var-namespace=${__data.fields.tenant_namespace}&var-tenant=${__data.fields.tenant}&${__url_time_range}";

pub(crate) fn dashboard() -> Dashboard {
    let down = format!("{DOWN}{{{TENANTS}}}");
    let stat = |title, description| Panel::new(Kind::Stat, title, "short", description).steps(NONE_IS_GOOD);
    let alerts = |more: &str| format!("ALERTS{{alertstate=\"firing\"{more}}}");
    let now = Row {
        title: "Now",
        panels: vec![
            Panel::new(Kind::Stat, "Probes expected", "short", "Probes that should run, by what the operators say: the set that outlives a runner.")
                .ask(format!("count(count by ({PROBE}) ({}))", of(&PROBE_INFO, "")), "probes"),
            stat("Down", "Probes that are down: in one region by its last run, in several by quorum.")
                .ask(format!("count(count by ({PROBE}) ({down} == 1)) or vector(0)"), "down"),
            stat("Can't be told", "Probes whose last run was inconclusive: the fault is ours or the configuration's.")
                .ask(format!("count({} == 1) or vector(0)", of(&PROBE_INCONCLUSIVE, "")), "inconclusive"),
            stat("Nobody watches", "Probes that should have run and did not (ProbeNoData), and pools without a runner (RunnerDown).")
                .ask(format!("count({}) or vector(0)", alerts(",alertname=~\"ProbeNoData|RunnerDown\",severity=\"page\"")), "unwatched"),
            stat("Pages", "Alerts that wake people.")
                .ask(format!("count({}) or vector(0)", alerts(",severity=\"page\"")), "pages"),
            Panel::new(Kind::Stat, "Regions", "short", "Regions from which runs came in the last five minutes.")
                .ask(format!("count(count by (region) (time() - {} < 300))", of(&LAST_RUN, "")), "regions"),
        ],
    };
    let who = Row {
        title: "Tenants",
        panels: vec![
            Panel::new(Kind::Table, "Tenants", "short", "Each tenant with its probes, those that are down, and what is left of the budget of its worst objective. A click leads to the tenant.")
                .ask(format!("count by (tenant_namespace, tenant) (count by ({PROBE}) ({}))", of(&PROBE_INFO, "")), "Probes")
                .ask(format!("count by (tenant_namespace, tenant) (count by ({PROBE}) ({down} == 1)) or 0 * count by (tenant_namespace, tenant) ({down})"), "Down")
                .ask_if(format!("min by (tenant_namespace, tenant) (slo:period_error_budget_remaining:ratio{{{TENANTS}}})"), "Budget left")
                .column("Budget left", "percentunit")
                .steps(&[(None, GREEN)])
                .link("Tenant", TENANT),
            Panel::new(Kind::States, "Tenants that were down", "short", "Tenants of which a probe was down in the time that is shown, and when. Empty is good.")
                .ask_if(
                    format!("max by (tenant_namespace, tenant) ({down}) and on (tenant_namespace, tenant) (max by (tenant_namespace, tenant) (max_over_time({down}[$__range])) == 1)"),
                    "{{tenant_namespace}}/{{tenant}}",
                )
                .words(&[("0", "up", GREEN), ("1", "down", RED)]),
        ],
    };
    let place = Row {
        title: "Regions",
        panels: vec![
            Panel::new(Kind::Table, "Regions", "short", "Each region: the share of its probes that pass there, its runners, and slots that were missed in the last hour.")
                .ask(format!("avg by (region) ({PASSES}{{region=~\"$region\",{TENANTS}}})"), "Passing")
                .ask(format!("sum by (region) ({}{{job=~\"$job\",region=~\"$region\"}})", POOL_READY.name), "Runners")
                .ask(format!("sum by (region) ({}{{job=~\"$job\",region=~\"$region\"}})", POOL_WANTED.name), "Runners wanted")
                .ask_if(format!("sum by (region) (increase({}[1h]))", of(&SLOTS_MISSED, "")), "Slots missed")
                .column("Passing", "percentunit")
                .size(12, 8),
            Panel::new(Kind::Lines, "Passing by region", "percentunit", "The share of probes that pass in each region. One that falls alone is blind, or its way to the world is broken.")
                .ask(format!("avg by (region) ({PASSES}{{region=~\"$region\",{TENANTS}}})"), "{{region}}"),
        ],
    };
    let what = Row {
        title: "Incidents",
        panels: vec![
            Panel::new(Kind::Table, "Alerts now", "short", "What fires now. Empty is good.")
                .ask_if(alerts(",alertname!=\"Watchdog\""), "Firing")
                .hide(&["__name__", "alertstate", "namespace", "Value"])
                .link("Tenant", TENANT),
            Panel::new(Kind::Lines, "Failures by reason", "cpm", "Runs that did not pass, a minute, by reason (docs/metrics.md).")
                .ask_if(format!("sum by (reason) (rate({}[$__rate_interval])) * 60", of(&PROBE_FAILURES, "")), "{{reason}}"),
            Panel::new(Kind::Lines, "Slots missed by cause", "cpm", "Slots that did not run, a minute. Late and no_owner are ours, budget and overlap follow from what was configured.")
                .ask_if(format!("sum by (cause) (rate({}[$__rate_interval])) * 60", of(&SLOTS_MISSED, "")), "{{cause}}")
                .steps(&[(None, GREEN), (Some(1.0), YELLOW)]),
        ],
    };
    Dashboard {
        name: "fleet",
        title: "Fleet",
        description: "All tenants and regions: what is down now, whose it is, and who watches.",
        variables: tenants(true),
        rows: vec![now, who, place, what],
    }
}
