//! One probe, step by step: where an alert leads.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, ORANGE, RED, YELLOW, of, part, probes, tenants},
};
use drmwatch_metrics::recorded::PASSES;
use drmwatch_metrics::{
    CERTIFICATE_EXPIRY, LAST_RUN, LICENSE_LEVEL, LIVE_EDGE_AGE, Metric, PHASE_DURATION, PROBE_CONFIRMATIONS,
    PROBE_DURATION, PROBE_FAILURE_INFO, PROBE_INFO, SLOTS_EXPECTED, SLOTS_FINISHED, SLOTS_MISSED,
    STEP_DURATION,
};

pub(crate) fn dashboard() -> Dashboard {
    let of = |metric: &Metric| of(metric, ",probe=~\"$probe\"");
    let passes = format!(
        "{PASSES}{{region=~\"$region\",tenant_namespace=~\"$namespace\",tenant=~\"$tenant\",probe=~\"$probe\"}}"
    );
    let average = |metric: &Metric, by: &str| {
        let series = of(metric);
        let rate = |p: &str| {
            format!(
                "sum by ({by}) (rate({}[$__rate_interval]))",
                part(&series, metric, p)
            )
        };
        format!("{} / {}", rate("sum"), rate("count"))
    };
    let now = Row {
        title: "Now",
        panels: vec![
            Panel::new(Kind::Stat, "Passes", "short", "Whether it passes in the worst of the regions that can tell.")
                .ask(format!("min({passes})"), "passes")
                .words(&[("0", "fails", RED), ("1", "passes", GREEN)]),
            Panel::new(Kind::Stat, "Last run", "s", "Seconds since the oldest of the regions' last runs.")
                .ask(format!("max(time() - max by (region) ({}))", of(&LAST_RUN)), "ago"),
            Panel::new(Kind::Stat, "Interval", "s", "Seconds between two slots; of cron the longest such time.")
                .ask(format!("max({})", of(&PROBE_INFO)), "interval"),
            Panel::new(Kind::Table, "Why it fails", "short", "Region, step, reason and HTTP status of the last run, where it did not pass. What the reasons mean: docs/metrics.md.")
                .ask_if(format!("max by (region, step, reason, http_status) ({})", of(&PROBE_FAILURE_INFO)), "Now")
                .hide(&["Value"])
                .size(12, 4),
            Panel::new(Kind::States, "By region", "short", "When it passed, and where. A gap: the region could not tell.")
                .ask(passes.clone(), "{{region}}")
                .words(&[("0", "fails", RED), ("1", "passes", GREEN)])
                .size(12, 7),
            Panel::new(Kind::States, "Reasons", "short", "Which step decided, and why, whenever it did not pass. Empty is good.")
                .ask_if(format!("max by (region, step, reason, http_status) ({})", of(&PROBE_FAILURE_INFO)), "{{region}} {{step}}: {{reason}} {{http_status}}")
                .words(&[("1", "fails", RED)])
                .size(12, 7),
        ],
    };
    let steps = Row {
        title: "Where the time goes",
        panels: vec![
            Panel::new(Kind::Stack, "Steps", "s", "The average time of each step, one on top of the other: a run from bottom to top.")
                .ask(average(&STEP_DURATION, "step"), "{{step}}"),
            Panel::new(Kind::Stack, "Phases", "s", "The average time of each phase of a request, by step: dns, connect, tls, request, first_byte, transfer.")
                .ask(average(&PHASE_DURATION, "step, phase"), "{{step}} {{phase}}"),
            Panel::new(Kind::Heat, "Run duration", "s", "How many runs took how long.")
                .ask(format!("sum by (le) (increase({}[$__rate_interval]))", part(&of(&PROBE_DURATION), &PROBE_DURATION, "bucket")), "{{le}}"),
            Panel::new(Kind::Lines, "Live edge and licence level", "short", "The age of the live edge in seconds, and how far up the ladder of a licence each step came (docs/licences.md), of steps that have them.")
                .ask_if(format!("max by (step, region) ({})", of(&LIVE_EDGE_AGE)), "{{step}} {{region}}: edge age")
                .ask_if(format!("min by (step, region) ({})", of(&LICENSE_LEVEL)), "{{step}} {{region}}: level"),
        ],
    };
    let rate = |metric: &Metric| format!("sum(rate({}[$__rate_interval])) * 60", of(metric));
    let slots = Row {
        title: "Slots",
        panels: vec![
            Panel::new(Kind::Lines, "Slots", "cpm", "Slots that were due, that finished, and that were missed with a cause, a minute: what is due is either.")
                .ask(rate(&SLOTS_EXPECTED), "due")
                .ask(rate(&SLOTS_FINISHED), "finished")
                .ask_if(format!("sum by (cause) (rate({}[$__rate_interval])) * 60", of(&SLOTS_MISSED)), "missed: {{cause}}"),
            Panel::new(Kind::Lines, "Second looks", "cpm", "Failures that were looked at again in their slot, a minute, by what was found: pass did not count.")
                .ask_if(format!("sum by (outcome) (rate({}[$__rate_interval])) * 60", of(&PROBE_CONFIRMATIONS)), "{{outcome}}"),
            Panel::new(Kind::Table, "Certificates", "s", "How long the certificates that each step meets are good for.")
                .ask_if(format!("min by (step, region) ({}) - time()", of(&CERTIFICATE_EXPIRY)), "Good for")
                .steps(&[(None, RED), (Some(7.0 * 86400.0), ORANGE), (Some(14.0 * 86400.0), YELLOW), (Some(30.0 * 86400.0), GREEN)])
                .size(24, 6),
        ],
    };
    let mut variables = tenants(false);
    variables.push(probes(false));
    Dashboard {
        name: "probe",
        title: "Probe",
        description: "One probe in every region: whether it passes, which step decides and why, and where the time goes.",
        variables,
        rows: vec![now, steps, slots],
    }
}
