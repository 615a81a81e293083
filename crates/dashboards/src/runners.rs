//! The watchers: runners, shards, operators.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, NONE_IS_GOOD, ORANGE, RED, YELLOW, by, instances, part},
};
use drmwatch_metrics::*;

pub(crate) fn dashboard() -> Dashboard {
    let of = |metric: &Metric| by(metric, "");
    let each = |metric: &Metric| format!("max by (instance) ({})", of(metric));
    let rate = |metric: &Metric, by: &str| format!("sum by ({by}) (rate({}[$__rate_interval]))", of(metric));
    let small = |panel: Panel| panel.size(8, 8);
    let lag = part(&of(&SLOT_LAG), &SLOT_LAG, "bucket");
    let missed = |metric: &Metric, by: &str| {
        format!(
            "sum by ({by}) (rate({}{{job=~\"$job\",instance=~\"$instance\"}}[$__rate_interval])) * 60",
            metric.name
        )
    };
    let now = Row {
        title: "Now",
        panels: vec![
            Panel::new(Kind::Stat, "Runners", "short", "Runners that are scraped.")
                .ask(format!("count({})", of(&RUNNER_INFO)), "runners"),
            Panel::new(Kind::Stat, "Probes", "short", "Plans that runners work on.")
                .ask(format!("sum({})", of(&RUNNER_PROBES)), "probes"),
            Panel::new(
                Kind::Stat,
                "Saturated",
                "short",
                "Runners that are about to fall behind.",
            )
            .ask(format!("sum({})", of(&RUNNER_SATURATED)), "saturated")
            .steps(NONE_IS_GOOD),
            Panel::new(
                Kind::Stat,
                "Unusable plans",
                "short",
                "Plans that runners hold and can't use: a credential in them is unusable.",
            )
            .ask(
                format!("sum({}) or vector(0)", of(&RUNNER_UNUSABLE_PLANS)),
                "unusable",
            )
            .steps(NONE_IS_GOOD),
            Panel::new(
                Kind::Stat,
                "Most busy",
                "percentunit",
                "The busy share of the busiest runner. At 0.85 it is saturated.",
            )
            .ask(format!("max({})", of(&RUNNER_BUSY)), "busy")
            .steps(&[(None, GREEN), (Some(0.6), YELLOW), (Some(0.85), RED)]),
            Panel::new(
                Kind::Stat,
                "Evenness of shards",
                "short",
                "Shards of the runner that has most, over the average: 1 is even.",
            )
            .ask(format!("max({0}) / avg({0})", of(&RUNNER_SHARDS)), "shards")
            .steps(&[(None, GREEN), (Some(1.5), YELLOW), (Some(2.0), RED)]),
        ],
    };
    let time = Row {
        title: "On time",
        panels: vec![
            Panel::new(Kind::Heat, "Start lag", "s", "How late slots begin.").ask(
                format!("sum by (le) (increase({lag}[$__rate_interval]))"),
                "{{le}}",
            ),
            Panel::new(
                Kind::Lines,
                "Start lag, 99th percentile",
                "s",
                "One slot in a hundred begins later than this.",
            )
            .ask(
                format!("histogram_quantile(0.99, sum by (instance, le) (rate({lag}[$__rate_interval])))"),
                "{{instance}}",
            )
            .steps(&[(None, GREEN), (Some(0.05), YELLOW), (Some(1.0), RED)]),
            Panel::new(
                Kind::Lines,
                "Slots",
                "cpm",
                "Slots that were due and that finished, a minute.",
            )
            .ask(missed(&SLOTS_EXPECTED, "job"), "due")
            .ask(missed(&SLOTS_FINISHED, "job"), "finished"),
            Panel::new(
                Kind::Lines,
                "Slots missed by cause",
                "cpm",
                "Slots that did not run, a minute. Empty is good.",
            )
            .ask_if(missed(&SLOTS_MISSED, "cause"), "{{cause}}")
            .steps(&[(None, GREEN), (Some(1.0), ORANGE)]),
        ],
    };
    let load = Row {
        title: "Load",
        panels: vec![
            small(Panel::new(Kind::Lines, "Busy", "percentunit", "The share of their time that a runner's threads are busy: what the autoscaler scales by.").ask(each(&RUNNER_BUSY), "{{instance}}").steps(&[(None, GREEN), (Some(0.85), RED)])),
            small(Panel::new(Kind::Lines, "Probes", "short", "Plans that each runner works on.").ask(each(&RUNNER_PROBES), "{{instance}}")),
            small(Panel::new(Kind::Lines, "Shards", "short", "Shards that each runner holds by Lease. When one leaves, the others take over.").ask(each(&RUNNER_SHARDS), "{{instance}}")),
            small(Panel::new(Kind::Lines, "Runs in flight", "short", "Slots whose run goes on or waits for its turn.").ask(each(&RUNNER_IN_FLIGHT), "{{instance}}")),
            small(Panel::new(Kind::Bars, "Probes by shard", "short", "How evenly probes are spread over shards.").ask(format!("max by (shard) ({})", of(&SHARD_PROBES)), "{{shard}}")),
            small(Panel::new(Kind::Lines, "Cached plans", "short", "Plans on each runner's disk, with which it starts while the API server is away; and writes that failed, a minute.").ask_if(each(&CACHED_PLANS), "{{instance}}").ask_if(format!("{} * 60", rate(&CACHE_ERRORS, "instance")), "{{instance}} errors")),
        ],
    };
    let operator = Row {
        title: "Operator",
        panels: vec![
            small(
                Panel::new(Kind::Lines, "Reconciles", "cps", "Reconciles, by kind.")
                    .ask(rate(&RECONCILES, "kind"), "{{kind}}"),
            ),
            small(
                Panel::new(
                    Kind::Lines,
                    "Reconciles that broke",
                    "cpm",
                    "By kind and cause, a minute. Empty is good.",
                )
                .ask_if(
                    format!("{} * 60", rate(&RECONCILE_ERRORS, "kind, cause")),
                    "{{kind}} {{cause}}",
                ),
            ),
            small(
                Panel::new(
                    Kind::Lines,
                    "Reconcile duration, 99th percentile",
                    "s",
                    "One reconcile in a hundred takes longer, by kind.",
                )
                .ask(
                    format!(
                        "histogram_quantile(0.99, sum by (kind, le) (rate({}[$__rate_interval])))",
                        part(&of(&RECONCILE_DURATION), &RECONCILE_DURATION, "bucket")
                    ),
                    "{{kind}}",
                ),
            ),
            small(
                Panel::new(
                    Kind::Lines,
                    "Waiting",
                    "short",
                    "Objects that wait for a reconcile, by kind.",
                )
                .ask(format!("max by (kind) ({})", of(&QUEUED)), "{{kind}}"),
            ),
            small(
                Panel::new(
                    Kind::Lines,
                    "Writes",
                    "cps",
                    "Writes to the API server, by kind of object. In steady state there are none.",
                )
                .ask(rate(&WRITES, "kind"), "{{kind}}"),
            ),
            small(
                Panel::new(Kind::States, "Leader", "short", "Which replica leads.")
                    .ask(format!("max by (instance) ({})", of(&LEADER)), "{{instance}}")
                    .words(&[("0", "waits", "blue"), ("1", "leads", GREEN)]),
            ),
        ],
    };
    Dashboard {
        name: "runners",
        title: "Runners and operators",
        description: "Whether the watchers are well: on time, not saturated, evenly spread; what the operator does.",
        variables: vec![instances(&PROCESS_START)],
        rows: vec![now, time, load, operator],
    }
}
