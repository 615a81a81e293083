//! Streams, as their viewers have them.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, ORANGE, RED, YELLOW, of, probes, tenants},
    tenant::ROW,
};
use drmwatch_metrics::*;

pub(crate) fn dashboard() -> Dashboard {
    let of = |metric: &Metric| of(metric, ",probe=~\"$probe\"");
    let by = |how: &str, metric: &Metric| format!("{how} by (tenant, probe, step) ({})", of(metric));
    const LEGEND: &str = "{{tenant}}/{{probe}} {{step}}";
    let lines = |title, unit, description, expr: String| {
        Panel::new(Kind::Lines, title, unit, description)
            .ask(expr, LEGEND)
            .size(8, 8)
    };
    // Of what not every stream has.
    let some = |title, unit, description, expr: String| {
        Panel::new(Kind::Lines, title, unit, description)
            .ask_if(expr, LEGEND)
            .size(8, 8)
    };
    let edge = Row {
        title: "Live edge",
        panels: vec![
            lines(
                "Age of the live edge",
                "s",
                "Seconds between the end of the newest segment and now. It goes up and down with each segment; one that only rises stands still.",
                by("max", &LIVE_EDGE_AGE),
            ),
            some(
                "Latency",
                "s",
                "Seconds behind real time, by what tells it: program dates, the timeline, or times of the producer in the media.",
                format!(
                    "max by (tenant, probe, step, method) ({})",
                    of(&STREAM_LIVE_LATENCY)
                ),
            ),
            some(
                "Window",
                "s",
                "Seconds that the manifest lists: how far back one can go.",
                by("min", &STREAM_WINDOW),
            ),
        ],
    };
    let checks = Row {
        title: "Checks",
        panels: vec![
            Panel::new(Kind::Table, "Checks that fail", "short", "What each id means: docs/checks.md. Those of severity Page fail the run, the others are told here alone. Empty is good.")
                .ask_if(format!("max by (tenant_namespace, tenant, probe, step, check) ({} == 1)", of(&STREAM_CHECK_STATUS)), "Fails")
                .hide(&["Value"])
                .link("Probe", ROW)
                .size(12, 8),
            Panel::new(Kind::Bars, "Checks by what they say", "short", "How many checks hold, fail, or could not be made, over all streams.")
                .ask(format!("count({} == 0)", of(&STREAM_CHECK_STATUS)), "hold")
                .ask(format!("count({} == 1) or vector(0)", of(&STREAM_CHECK_STATUS)), "fail")
                .ask(format!("count({} == 2) or vector(0)", of(&STREAM_CHECK_STATUS)), "skipped")
                .size(6, 8),
            Panel::new(Kind::Bars, "Ladder", "short", "Rungs (variants, representations) that each manifest lists.")
                .ask(by("min", &STREAM_VARIANTS), LEGEND)
                .size(6, 8),
        ],
    };
    let seen = Row {
        title: "What viewers notice",
        panels: vec![
            lines("Start", "s", "Seconds from pressing play to the first picture, put together from what the run measured.", by("max", &STREAM_STARTUP)),
            lines("Download time over playing time", "short", "Of a whole segment, the worst of the run. Above 1 players stall.", by("max", &STREAM_DOWNLOAD_RATIO))
                .steps(&[(None, GREEN), (Some(0.5), YELLOW), (Some(1.0), RED)]),
            lines("Headroom of the lowest rung", "short", "What a player dares to use of the throughput, over the bit rate. Below 1 even the lowest rung can't be sustained.", format!("min by (tenant, probe, step) ({})", lowest(&of(&STREAM_HEADROOM))))
                .steps(&[(None, RED), (Some(1.0), ORANGE), (Some(2.0), GREEN)]),
            some("Buffer", "s", "Seconds in the buffer of a player that joined with the first run.", by("min", &STREAM_BUFFER)),
            some("Stalls", "cpm", "Runs in which that player's buffer was empty, a minute.", format!("sum by (tenant, probe, step) (rate({}[$__rate_interval])) * 60", of(&STREAM_STALLS))),
            lines("Throughput", "Bps", "Of whole segments. It is that of a runner, in its place.", by("min", &STREAM_THROUGHPUT)),
        ],
    };
    let more = Row {
        title: "More",
        panels: vec![
            some(
                "Download quality",
                "percent",
                "SmartCARE's quality of a segment's download, the worst of the run.",
                by("min", &STREAM_QUALITY),
            ),
            some(
                "Clock offset",
                "s",
                "By how much the clock that the manifest gives to clients is ahead of ours.",
                by("max", &STREAM_CLOCK_OFFSET),
            ),
            some(
                "Blocking reload",
                "s",
                "For how long a low-latency server held a reload.",
                by("max", &STREAM_BLOCKING_RELOAD),
            ),
            some(
                "Fail-over",
                "s",
                "Until the slowest alternative location had answered.",
                by("max", &STREAM_FAILOVER),
            ),
            some(
                "Advertisement breaks",
                "s",
                "For how long the break that is going on has been open.",
                by("max", &STREAM_BREAK_OPEN),
            ),
            some(
                "Bytes a run",
                "bytes",
                "What the last run took.",
                by("max", &STREAM_FETCHED),
            ),
        ],
    };
    let mut variables = tenants(true);
    variables.push(probes(true));
    Dashboard {
        name: "streams",
        title: "Streams",
        description: "Live edge, checks, ladder, and what viewers notice: start, stall risk, headroom.",
        variables,
        rows: vec![edge, checks, seen, more],
    }
}

/// The lowest rung alone.
fn lowest(series: &str) -> String {
    series.replace('}', ",rung=\"0\"}")
}
