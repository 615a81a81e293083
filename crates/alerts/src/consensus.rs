//! From what each region sees to one statement of a probe.
//!
//! A region says nothing of a probe whose last run was inconclusive or is too old. Where several regions are seen, a
//! region in which most of what can be compared fails, and passes elsewhere, is blind: it leaves the denominator. Two
//! thirds of those that remain are a quorum. Fewer than half of the expected regions decide nothing.

use crate::{Group, IN_REGION, PROBE, Rule, Scope};
pub use drmwatch_metrics::recorded::{BLIND, DOWN, FAILING, PASSES, REPORTING};
use drmwatch_metrics::{LAST_RUN, PROBE_INCONCLUSIVE, PROBE_INFO, PROBE_SUCCESS, recorded::EXPECTED};

/// How many of the regions that report make a quorum: two thirds, rounded up.
pub(crate) fn quorum() -> String {
    format!("ceil(2 * {REPORTING} / 3)")
}

/// The recording rules.
pub(crate) fn consensus(scope: Scope) -> Group {
    let (success, inconclusive) = (PROBE_SUCCESS.name, PROBE_INCONCLUSIVE.name);
    let (last, info) = (LAST_RUN.name, PROBE_INFO.name);
    // The interval of the probe decides how old is too old; where the operator is away nothing is.
    let mut rules = vec![Rule::record(
        PASSES,
        format!(
            "min by ({IN_REGION}) ({success})\n\
             unless on ({IN_REGION}) (max by ({IN_REGION}) ({inconclusive}) == 1)\n\
             unless on ({IN_REGION}) (time() - max by ({IN_REGION}) ({last}) > max by ({IN_REGION}) (30 + 3 * {info}))"
        ),
    )];
    match scope {
        Scope::Regional => rules.push(Rule::record(DOWN, format!("{PASSES} == bool 0"))),
        Scope::Global => {
            let alone = format!("({PASSES} == 0 and on ({PROBE}) (max by ({PROBE}) ({PASSES}) == 1))");
            rules.push(Rule::record(
                BLIND,
                format!(
                    "count by (region) {alone}\n\
                     / count by (region) ({PASSES} and on ({PROBE}) (count by ({PROBE}) ({PASSES}) > 1)) > 0.5\n\
                     and on (region) count by (region) (count by (region, tenant_namespace, tenant) {alone}) > 1"
                ),
            ));
            let seen = format!("unless on (region) {BLIND}");
            rules.push(Rule::record(
                REPORTING,
                format!("count by ({PROBE}) ({PASSES} {seen})"),
            ));
            rules.push(Rule::record(
                FAILING,
                format!("count by ({PROBE}) ({PASSES} == 0 {seen})\nor on ({PROBE}) 0 * {REPORTING}"),
            ));
            rules.push(Rule::record(
                EXPECTED,
                format!("count by ({PROBE}) (max by ({IN_REGION}) ({info}) > 0 or max by ({IN_REGION}) ({success}))"),
            ));
            rules.push(Rule::record(
                DOWN,
                format!(
                    "({FAILING} >= bool {})\nand on ({PROBE}) ({REPORTING} >= ceil({EXPECTED} / 2))",
                    quorum()
                ),
            ));
        }
    }
    Group {
        name: "drmwatch-consensus".into(),
        interval: None,
        rules,
    }
}
