//! A tenant's objectives as rules. The records have Sloth's names and labels, so that dashboards made for it work.
//!
//! An objective holds for each of its probes by itself: one rule makes the series of all of them, and `sloth_slo` is
//! `OBJECTIVE-PROBE`. The indicator counts minutes of consensus, not runs: a sample a minute, 1 while the service is bad.
//! Minutes that nobody could tell, and maintenance that is excluded, are in neither sum.

use crate::{
    Group, IN_REGION, PROBE, RUNBOOKS, Rule, RuleFile, Scope,
    burn::{self, Pair, WINDOWS, pairs},
    consensus::{BLIND, DOWN, PASSES},
    maintenance,
};
use drmwatch_api::{Effect, MonitoredTenant, Objective, Timed};
use drmwatch_metrics::{LICENSE_LATENCY, LIVE_EDGE_AGE, PROBE_DURATION, PROBE_INFO};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// 1 in a minute in which the objective was not met, 0 in one in which it was; absent while that can't be told.
pub const BAD_MINUTE: &str = "drmwatch:slo_bad:minute";
/// Runs that were too slow in a minute, of an objective of latency.
const SLOW: &str = "drmwatch:slo_slow:minute";
/// Runs in a minute, of such an objective.
const RUNS: &str = "drmwatch:slo_runs:minute";

/// What became of a tenant's objectives.
#[derive(Debug, Clone, PartialEq)]
pub struct Objectives {
    /// The rules.
    pub file: RuleFile,
    /// What must be said of them though they are not wrong.
    pub cautions: Vec<String>,
    /// Probes that an objective names and that there are none of.
    pub unknown: Vec<String>,
}

/// The rules of a tenant's objectives. `probes`: the tenant's probes, with the seconds between their runs.
pub fn objectives(tenant: &MonitoredTenant, probes: &BTreeMap<String, u32>, scope: Scope) -> Objectives {
    let mut all = Objectives {
        file: RuleFile { groups: Vec::new() },
        cautions: Vec::new(),
        unknown: Vec::new(),
    };
    for objective in &tenant.spec.objectives {
        let named = objective.probes.iter();
        let missing = named.filter(|name| !probes.contains_key(*name));
        all.unknown
            .extend(missing.map(|name| format!("{}: {name}", objective.name)));
        let about = probes
            .iter()
            .filter(|(name, _)| objective.probes.is_empty() || objective.probes.contains(name));
        let interval = about.map(|(_, seconds)| *seconds).max().unwrap_or(60);
        all.cautions.extend(burn::cautions(objective, interval));
        all.file.groups.extend(
            Slo {
                tenant,
                objective,
                interval,
                scope,
            }
            .groups(),
        );
    }
    all
}

/// One objective on its way to rules.
struct Slo<'a> {
    tenant: &'a MonitoredTenant,
    objective: &'a Objective,
    interval: u32,
    scope: Scope,
}

impl Slo<'_> {
    fn groups(&self) -> Vec<Group> {
        let name = format!("{}-{}", self.tenant.name_any(), self.objective.name);
        let group = |kind: &str, interval, rules| Group {
            name: format!("drmwatch-slo-{kind}-{name}"),
            interval,
            rules,
        };
        vec![
            group("minutes", Some("1m"), self.minutes()),
            group("ratios", None, self.ratios()),
            group("meta", None, self.meta()),
            group("alerts", None, self.alerts()),
        ]
    }

    /// Matchers of the tenant's series, and of the probes that the objective is about.
    fn matchers(&self) -> String {
        let (namespace, tenant) = (
            self.tenant.namespace().unwrap_or_default(),
            self.tenant.name_any(),
        );
        let mut matchers = format!("tenant_namespace=\"{namespace}\",tenant=\"{tenant}\"");
        if !self.objective.probes.is_empty() {
            matchers += &format!(",probe=~\"{}\"", self.objective.probes.join("|"));
        }
        matchers
    }

    /// Matchers of this objective's own series. The namespace is among them: two tenants may have one name.
    fn own(&self) -> String {
        format!(
            "objective=\"{}\",tenant_namespace=\"{}\",sloth_service=\"{}\"",
            self.objective.name,
            self.tenant.namespace().unwrap_or_default(),
            self.tenant.name_any()
        )
    }

    /// A record that has Sloth's labels. `expr` has the label `probe`.
    fn record(&self, name: &str, expr: &str) -> Rule {
        let (tenant, objective) = (self.tenant.name_any(), &self.objective.name);
        let expr = format!(
            "label_replace(label_replace(\n{expr},\n\"sloth_slo\", \"{objective}-$1\", \"probe\", \"(.+)\"),\n\
             \"sloth_id\", \"{tenant}-{objective}-$1\", \"probe\", \"(.+)\")"
        );
        Rule::record(name, expr)
            .label("sloth_service", tenant)
            .label("objective", objective)
    }

    fn labels(&self) -> &'static str {
        match self.scope {
            Scope::Regional => IN_REGION,
            Scope::Global => PROBE,
        }
    }

    /// The samples of a minute. Maintenance that is excluded has none.
    fn minutes(&self) -> Vec<Rule> {
        let counted = |expr: String| {
            format!(
                "{expr}\nunless on ({PROBE}) {}",
                maintenance(Effect::ExcludeFromSla)
            )
        };
        match &self.objective.latency {
            None => vec![self.record(BAD_MINUTE, &counted(self.bad()))],
            Some(latency) => {
                let (runs, fast) = self.timed(latency.of, latency.within_milliseconds);
                vec![
                    self.record(RUNS, &counted(runs.clone())),
                    self.record(SLOW, &counted(format!("{runs} - {fast}"))),
                ]
            }
        }
    }

    /// Whether a minute was bad.
    fn bad(&self) -> String {
        let matchers = self.matchers();
        let down = format!("{DOWN}{{{matchers}}}");
        let Some(edge) = &self.objective.live_edge else {
            return down;
        };
        let age = format!("max by ({IN_REGION}) ({}{{{matchers}}})", LIVE_EDGE_AGE.name);
        let late = format!("{age} > bool {}", edge.max_age_seconds);
        match self.scope {
            Scope::Regional => format!("clamp_max({down} + on ({IN_REGION}) ({late}), 1)"),
            Scope::Global => {
                let seen = format!("({late} and on ({IN_REGION}) {PASSES} unless on (region) {BLIND})");
                let quorum =
                    format!("sum by ({PROBE}) {seen} >= bool ceil(2 * count by ({PROBE}) {seen} / 3)");
                format!("clamp_max({down} + on ({PROBE}) ({quorum}), 1)")
            }
        }
    }

    /// Runs in a minute, and those that were fast enough: of the last five, so that no run falls between two scrapes.
    fn timed(&self, of: Timed, milliseconds: i32) -> (String, String) {
        let metric = match of {
            Timed::Run => PROBE_DURATION.name,
            Timed::License => LICENSE_LATENCY.name,
        };
        let (labels, matchers) = (self.labels(), self.matchers());
        // Prometheus 3 writes whole bounds as `1.0`, Prometheus 2 as they are scraped.
        let bound = match f64::from(milliseconds) / 1000.0 {
            whole if whole.fract() == 0.0 => format!("{whole}(\\\\.0)?"),
            part => part.to_string().replace('.', "\\\\."),
        };
        (
            format!("sum by ({labels}) (increase({metric}_count{{{matchers}}}[5m])) / 5"),
            format!("sum by ({labels}) (increase({metric}_bucket{{{matchers},le=~\"{bound}\"}}[5m])) / 5"),
        )
    }

    /// The share of bad minutes, or of slow runs, over a window.
    fn ratio(&self, window: &str) -> String {
        let own = self.own();
        match self.objective.latency {
            None => format!("avg_over_time({BAD_MINUTE}{{{own}}}[{window}])"),
            Some(_) => format!(
                "sum_over_time({SLOW}{{{own}}}[{window}])\n/ (sum_over_time({RUNS}{{{own}}}[{window}]) > 0)"
            ),
        }
    }

    fn ratios(&self) -> Vec<Rule> {
        let own = self.own();
        let record = |window: &str| {
            let name = format!("slo:sli_error:ratio_rate{window}");
            Rule::record(&name, self.ratio(window)).label("sloth_window", window)
        };
        let mut rules: Vec<Rule> = WINDOWS.into_iter().map(record).collect();
        let days = self.objective.window.days();
        let short = format!("slo:sli_error:ratio_rate5m{{{own}}}[{days}d]");
        rules.push(
            Rule::record(
                &format!("slo:sli_error:ratio_rate{days}d"),
                format!("sum_over_time({short})\n/ ignoring (sloth_window)\ncount_over_time({short})"),
            )
            .label("sloth_window", format!("{days}d")),
        );
        rules
    }

    fn meta(&self) -> Vec<Rule> {
        let (budget, days, own) = (
            burn::budget(self.objective),
            self.objective.window.days(),
            self.own(),
        );
        let expected = match self.scope {
            Scope::Regional => format!(
                "max by ({IN_REGION}) ({}{{{}}})",
                PROBE_INFO.name,
                self.matchers()
            ),
            Scope::Global => format!("max by ({PROBE}) ({}{{{}}})", PROBE_INFO.name, self.matchers()),
        };
        let constant = |name: &str, value: f64| self.record(name, &format!("0 * {expected} + {value}"));
        let burnt = |window: &str| {
            format!("max without (sloth_window) (slo:sli_error:ratio_rate{window}{{{own}}}) / {budget}")
        };
        let remaining = format!("1 - slo:period_burn_rate:ratio{{{own}}}");
        vec![
            constant("slo:objective:ratio", burn::ratio(self.objective)),
            constant("slo:error_budget:ratio", budget),
            constant("slo:time_period:days", days.into()),
            constant("sloth_slo_info", 1.0)
                .label("sloth_version", "drmwatch")
                .label("sloth_mode", "drmwatch")
                .label("sloth_spec", "drmwatch.io/v1alpha1")
                .label("sloth_objective", burn::percent(self.objective).to_string()),
            Rule::record("slo:current_burn_rate:ratio", burnt("5m")),
            Rule::record("slo:period_burn_rate:ratio", burnt(&format!("{days}d"))),
            Rule::record("slo:period_error_budget_remaining:ratio", remaining),
        ]
    }

    fn alerts(&self) -> Vec<Rule> {
        let all = pairs(self.objective.window);
        all.chunks(2).map(|two| self.alert(two)).collect()
    }

    fn alert(&self, two: &[Pair]) -> Rule {
        let (own, budget) = (self.own(), burn::budget(self.objective));
        let burns = |window: &str, factor: f64| {
            format!(
                "max without (sloth_window) (slo:sli_error:ratio_rate{window}{{{own}}} > {factor} * {budget})"
            )
        };
        let pairs: Vec<String> = two
            .iter()
            .map(|pair| {
                let factor = pair.factor(self.objective.window);
                let (short, long) = (burns(pair.short, factor), burns(pair.long, factor));
                format!("(\n{short}\nand {long}\nand {}\n)", self.enough(pair.long))
            })
            .collect();
        let severity = two.first().map_or("", |p| p.severity);
        let at = match self.scope {
            Scope::Regional => " in {{ $labels.region }}",
            Scope::Global => "",
        };
        let (name, target, days) = (
            &self.objective.name,
            &self.objective.target,
            self.objective.window.days(),
        );
        Rule {
            alert: Some("ErrorBudgetBurn".into()),
            expr: pairs.join("\nor "),
            ..Rule::default()
        }
        .label("severity", severity)
        .label("sloth_severity", severity)
        .label("namespace", self.tenant.namespace().unwrap_or_default())
        .annotation(
            "summary",
            format!(
                "{{{{ $labels.tenant }}}}/{{{{ $labels.probe }}}}{at} burns the budget of its objective {name} ({target} over {days} days) too fast: \
                 {{{{ $value | humanizePercentage }}}} of it was bad lately"
            ),
        )
        .annotation("runbook_url", format!("{RUNBOOKS}/ErrorBudgetBurn.md"))
    }

    /// Whether enough was bad in a window to believe it.
    fn enough(&self, window: &str) -> String {
        let (labels, own) = (self.labels(), self.own());
        let (series, fewest) = match self.objective.latency {
            None => (BAD_MINUTE, burn::fewest(self.interval)),
            Some(_) => (SLOW, burn::FEWEST),
        };
        format!("on ({labels}) sum_over_time({series}{{{own}}}[{window}]) >= {fewest}")
    }
}
