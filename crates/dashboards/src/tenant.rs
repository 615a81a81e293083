//! One tenant: what it was promised, and what became of it.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, ORANGE, RED, YELLOW, of, part, tenants},
};
use drmwatch_metrics::recorded::DOWN;
use drmwatch_metrics::{
    BUDGET_LEFT, PROBE_DURATION, PROBE_FAILURE_INFO, PROBE_FAILURES, PROBE_REQUESTS, RESPONSE_BYTES,
};

/// To the dashboard of a row's, and of a line's, probe.
pub(crate) const ROW: &str = "probe?var-namespace=${__data.fields.tenant_namespace}&var-tenant=${__data.fields.tenant}&var-probe=${__data.fields.probe}&${__url_time_range}";
pub(crate) const LINE: &str =
    "probe?var-namespace=$namespace&var-tenant=$tenant&var-probe=${__field.labels.probe}&${__url_time_range}";

pub(crate) fn dashboard() -> Dashboard {
    const TENANT: &str = "tenant_namespace=~\"$namespace\",tenant=~\"$tenant\"";
    let slo =
        |name: &str| format!("max by (tenant_namespace, tenant, probe, sloth_slo) ({name}{{{TENANT}}})");
    let down = format!("{DOWN}{{{TENANT}}}");
    let promised = Row {
        title: "Objectives",
        panels: vec![
            Panel::new(Kind::Table, "Objectives", "percentunit", "Each objective of each probe: what was promised, what is left of the error budget of the period, and how many times as fast as allowed it burns now. Empty: spec.objectives has none.")
                .ask_if(slo("slo:objective:ratio"), "Promised")
                .ask_if(slo("slo:period_error_budget_remaining:ratio"), "Budget left")
                .ask_if(slo("slo:current_burn_rate:ratio"), "Burns")
                .column("Burns", "short")
                .link("Probe", ROW),
            Panel::new(Kind::Lines, "Error budget left", "percentunit", "What is left of each error budget of the period. Below zero the promise is broken.")
                .ask_if(slo("slo:period_error_budget_remaining:ratio"), "{{sloth_slo}}")
                .steps(&[(None, RED), (Some(0.0), ORANGE), (Some(0.2), GREEN)]),
            Panel::new(Kind::Lines, "Burn rate", "short", "How many times as fast as the budget allows, over the last hour. The page fires at the factors of docs/objectives.md.")
                .ask_if(
                    format!("max by (sloth_slo) (slo:sli_error:ratio_rate1h{{{TENANT}}} / on (tenant_namespace, tenant, probe, sloth_slo) group_left () max by (tenant_namespace, tenant, probe, sloth_slo) (slo:error_budget:ratio{{{TENANT}}}))"),
                    "{{sloth_slo}}",
                )
                .steps(&[(None, GREEN), (Some(1.0), YELLOW), (Some(6.0), RED)]),
        ],
    };
    let was = Row {
        title: "Availability",
        panels: vec![
            Panel::new(Kind::Stat, "Available", "percentunit", "The share of the time that is shown in which a probe was not down, averaged over the probes. Time that nobody could tell is left out.")
                .ask(format!("1 - avg(avg_over_time({down}[$__range]))"), "available")
                .steps(&[(None, RED), (Some(0.99), YELLOW), (Some(0.999), GREEN)])
                .size(6, 8),
            Panel::new(Kind::States, "Probes", "short", "When each probe was down. A gap: nobody could tell.")
                .ask(format!("max by (probe) ({down})"), "{{probe}}")
                .words(&[("0", "up", GREEN), ("1", "down", RED)])
                .link("Probe", LINE)
                .size(18, 8),
        ],
    };
    let why = Row {
        title: "Why",
        panels: vec![
            Panel::new(Kind::Table, "Failing now", "short", "Probes whose last run did not pass: at which step, for what reason, and what the server answered. Empty is good.")
                .ask_if(format!("max by (tenant_namespace, tenant, probe, region, step, reason, http_status) ({})", of(&PROBE_FAILURE_INFO, "")), "Now")
                .hide(&["Value"])
                .link("Probe", ROW)
                .size(24, 7),
            Panel::new(Kind::Lines, "Failures by reason", "cpm", "Runs that did not pass, a minute, by probe and reason.")
                .ask_if(format!("sum by (probe, reason) (rate({}[$__rate_interval])) * 60", of(&PROBE_FAILURES, "")), "{{probe}} {{reason}}")
                .link("Probe", LINE),
            Panel::new(Kind::Lines, "Run duration, 95th percentile", "s", "How long runs take. The bounds of the histogram limit how exact it is.")
                .ask(
                    format!("histogram_quantile(0.95, sum by (probe, le) (rate({}[$__rate_interval])))", part(&of(&PROBE_DURATION, ""), &PROBE_DURATION, "bucket")),
                    "{{probe}}",
                )
                .link("Probe", LINE),
        ],
    };
    let cost = Row {
        title: "What probing costs the tenant",
        panels: vec![
            Panel::new(
                Kind::Lines,
                "Requests",
                "reqpm",
                "Requests that probing makes, a minute, redirects included.",
            )
            .ask(
                format!(
                    "sum by (probe) (rate({}[$__rate_interval])) * 60",
                    of(&PROBE_REQUESTS, "")
                ),
                "{{probe}}",
            )
            .size(8, 8),
            Panel::new(
                Kind::Lines,
                "Bytes",
                "Bps",
                "Bytes of answers that probing takes.",
            )
            .ask(
                format!(
                    "sum by (probe) (rate({}[$__rate_interval]))",
                    of(&RESPONSE_BYTES, "")
                ),
                "{{probe}}",
            )
            .size(8, 8),
            Panel::new(
                Kind::Lines,
                "Request budget left",
                "percentunit",
                "What is left of spec.budget in each region. Empty: there is none.",
            )
            .ask_if(
                format!("min by (region) ({})", of(&BUDGET_LEFT, "")),
                "{{region}}",
            )
            .steps(&[(None, RED), (Some(0.1), YELLOW), (Some(0.3), GREEN)])
            .size(8, 8),
        ],
    };
    Dashboard {
        name: "tenant",
        title: "Tenant",
        description: "One tenant: what it was promised, how available it was, and why it was not.",
        variables: tenants(false),
        rows: vec![promised, was, why, cost],
    }
}
