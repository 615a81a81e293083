//! Licence and key servers, by DRM system.

use crate::{
    Dashboard, Panel, Row, Variable,
    model::{GREEN, Kind, ORANGE, RED, YELLOW, of, part, tenants},
    tenant::ROW,
};
use drmwatch_metrics::{
    DRM_CERTIFICATE_EXPIRY, LICENSE_LATENCY, LICENSE_LEVEL, PROBE_FAILURE_INFO, PROBE_FAILURES, REASON_INFO,
};
use drmwatch_outcome::Domain;
pub(crate) fn dashboard() -> Dashboard {
    let latency = of(&LICENSE_LATENCY, ",system=~\"$system\"");
    let bucket = part(&latency, &LICENSE_LATENCY, "bucket");
    let quantile =
        |q: &str| format!("histogram_quantile({q}, sum by (system, le) (rate({bucket}[$__rate_interval])))");
    let whose = format!(
        "max by (reason) ({}{{whose=~\"{}|{}\"}})",
        REASON_INFO.name,
        Domain::License.words(),
        Domain::KeyServer.words()
    );
    let fast = Row {
        title: "How long a licence takes",
        panels: vec![
            Panel::new(
                Kind::Heat,
                "Latency: $system",
                "s",
                "How many licence requests took how long, from the request to the end of the answer.",
            )
            .ask(
                format!("sum by (le) (increase({bucket}[$__rate_interval]))"),
                "{{le}}",
            )
            .repeat("system"),
            Panel::new(Kind::Lines, "Median", "s", "Half of the requests took no longer.")
                .ask(quantile("0.5"), "{{system}}")
                .size(8, 8),
            Panel::new(Kind::Lines, "95th percentile", "s", "One in twenty took longer.")
                .ask(quantile("0.95"), "{{system}}")
                .size(8, 8),
            Panel::new(
                Kind::Lines,
                "Requests",
                "reqpm",
                "Licence requests a minute, by the system that was asked.",
            )
            .ask(
                format!(
                    "sum by (system) (rate({}[$__rate_interval])) * 60",
                    part(&latency, &LICENSE_LATENCY, "count")
                ),
                "{{system}}",
            )
            .size(8, 8),
        ],
    };
    let why = Row {
        title: "What they refuse",
        panels: vec![
            Panel::new(Kind::Lines, "Denials and errors by reason", "cpm", "Runs that failed for a reason that is the licence server's or the key server's, a minute.")
                .ask_if(format!("sum by (reason) (rate({}[$__rate_interval])) * 60 * on (reason) group_left () {whose}", of(&PROBE_FAILURES, "")), "{{reason}}"),
            Panel::new(Kind::Table, "Refused now", "short", "Which probes fail now for such a reason, and what was answered. Empty is good.")
                .ask_if(
                    format!("max by (tenant_namespace, tenant, probe, region, step, reason, http_status) ({}) * on (reason) group_left () {whose}", of(&PROBE_FAILURE_INFO, "")),
                    "Now",
                )
                .hide(&["Value"])
                .link("Probe", ROW)
                .size(12, 8),
        ],
    };
    let proof = Row {
        title: "What is proved",
        panels: vec![
            Panel::new(Kind::Table, "Level of proof", "short", "How far up the ladder each step came in its last run: 0 transport, 1 the system's certificate, 2 a refusal that must be, 3 a licence for a recorded request, 4 for a fresh one, 5 keys of a key server.")
                .ask(format!("min by (tenant_namespace, tenant, probe, step) ({})", of(&LICENSE_LEVEL, "")), "Level")
                .link("Probe", ROW)
                .size(12, 8),
            Panel::new(Kind::Table, "DRM certificates", "s", "How long the DRM system's own certificate of each licence server is good for. Empty: no system with one is asked.")
                .ask_if(format!("min by (tenant_namespace, tenant, probe, step) ({}) - time()", of(&DRM_CERTIFICATE_EXPIRY, "")), "Good for")
                .steps(&[(None, RED), (Some(14.0 * 86400.0), ORANGE), (Some(30.0 * 86400.0), YELLOW), (Some(90.0 * 86400.0), GREEN)])
                .link("Probe", ROW)
                .size(12, 8),
        ],
    };
    let mut variables = tenants(true);
    variables.push(Variable {
        name: "system",
        label: "System",
        query: format!(
            "label_values({}, system)",
            part(&of(&LICENSE_LATENCY, ""), &LICENSE_LATENCY, "count")
        ),
        multi: true,
    });
    Dashboard {
        name: "licences",
        title: "Licences",
        description: "Licence and key servers by DRM system: how long they take, what they refuse and why, and how much is proved.",
        variables,
        rows: vec![fast, why, proof],
    }
}
