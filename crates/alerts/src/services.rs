//! Alerts about what is watched: in one region, or by a quorum of them.

use crate::{
    Group, IN_REGION, PAGE, PROBE, Rule, RuleFile, Scope, TICKET,
    consensus::{BLIND, DOWN, FAILING, PASSES, REPORTING, consensus, quorum},
    fleet::{alert, of_tenant},
};
use drmwatch_metrics::{
    CERTIFICATE_EXPIRY, CREDENTIAL_EXPIRY, DRM_CERTIFICATE_EXPIRY, PROBE_CONFIRMATIONS, PROBE_FAILURE_INFO,
    PROBE_INCONCLUSIVE, PROBE_RUNS, REASON_INFO, RUNNER_INFO, recorded::EXPECTED,
};
use drmwatch_outcome::Reason;

/// Reasons that have an alert of their own: `ProbeDown` leaves them to it, so that a red has one name.
struct Named {
    reason: Reason,
    alert: &'static str,
    severity: &'static str,
    hold: Option<&'static str>,
    keep: Option<&'static str>,
    says: &'static str,
}

const NAMED: [Named; 3] = [
    Named {
        reason: Reason::EntitlementLeak,
        alert: "EntitlementLeak",
        severity: PAGE,
        hold: None,
        keep: Some("15m"),
        says: "grants what it must refuse",
    },
    Named {
        reason: Reason::TokenLeak,
        alert: "TokenLeak",
        severity: PAGE,
        hold: None,
        keep: Some("15m"),
        says: "serves content without a valid token",
    },
    Named {
        reason: Reason::PolicyDrift,
        alert: "PolicyDrift",
        severity: TICKET,
        hold: Some("5m"),
        keep: None,
        says: "gives licences that allow or demand something else than was declared",
    },
];

/// Reasons that are ours or the configuration's and deserve a name.
const OURS: [(Reason, &str, &str); 2] = [
    (
        Reason::RecordingStale,
        "RecordingStale",
        "proves no licence any more: its recorded request no longer fits the server's certificate",
    ),
    (
        Reason::BudgetExhausted,
        "BudgetExhausted",
        "does not run: the request budget of its tenant is used up",
    ),
];

/// The rule file of a view of the world.
pub fn services(scope: Scope) -> RuleFile {
    let group = |name: &str, rules| Group {
        name: name.to_owned(),
        interval: None,
        rules,
    };
    let mut rules = vec![down(scope), live_edge(scope)];
    rules.extend(NAMED.iter().map(named));
    rules.extend(OURS.iter().map(ours));
    rules.extend([inconclusive(), flapping(scope), unsteady()]);
    rules.extend(expiries());
    if scope == Scope::Global {
        rules.extend(regions());
    }
    RuleFile {
        groups: vec![consensus(scope), group("drmwatch-services", rules)],
    }
}

/// Of whom an alert speaks, in its summary.
const WHO: &str = "{{ $labels.tenant }}/{{ $labels.probe }}";

/// Where, in its summary: the region, or those in which the probe fails.
fn place(scope: Scope) -> String {
    match scope {
        Scope::Regional => "in {{ $labels.region }}".into(),
        Scope::Global => format!(
            "in{{{{ range printf \"{PASSES}{{tenant_namespace=%q,tenant=%q,probe=%q}} == 0\" $labels.tenant_namespace \
             $labels.tenant $labels.probe | query | sortByLabel \"region\" }}}} {{{{ .Labels.region }}}}{{{{ end }}}}"
        ),
    }
}

/// What looks up why a probe fails. It may change while the alert fires, so it is no part of its identity.
fn failure(scope: Scope) -> String {
    let info = PROBE_FAILURE_INFO.name;
    let (query, label) = match scope {
        Scope::Regional => (
            format!("{info}{{tenant_namespace=%q,tenant=%q,probe=%q,region=%q}}"),
            " $labels.region",
        ),
        // The one that most regions see.
        Scope::Global => {
            let of = format!("{info}{{tenant_namespace=%q,tenant=%q,probe=%q}}");
            (
                format!("topk(1, count by (reason, step, http_status) ({of}))"),
                "",
            )
        }
    };
    format!("printf \"{query}\" $labels.tenant_namespace $labels.tenant $labels.probe{label} | query")
}

/// The reason and the step.
fn why(scope: Scope) -> String {
    format!(
        "{{{{ with {} }}}}{{{{ . | first | label \"reason\" }}}} at step {{{{ . | first | label \"step\" }}}}\
         {{{{ else }}}}reason unknown{{{{ end }}}}",
        failure(scope)
    )
}

/// The reason in words, whose it is, what the server answered, and where there is more.
fn explained(scope: Scope) -> String {
    let words = format!(
        "printf \"{}{{reason=%q}}\" (label \"reason\" $why) | query",
        REASON_INFO.name
    );
    format!(
        "{{{{ with {} }}}}{{{{ $why := first . }}}}{{{{ with {words} }}}}{{{{ . | first | label \"words\" }}}} \
         Whose: {{{{ . | first | label \"whose\" }}}}. {{{{ end }}}}\
         {{{{ with label \"http_status\" $why }}}}The server answered {{{{ . }}}}. {{{{ end }}}}{{{{ end }}}}{DESCRIBE}",
        failure(scope)
    )
}

/// The same of a reason that is known beforehand.
fn meant(reason: Reason) -> String {
    format!(
        "{} Whose: {}. {DESCRIBE}",
        reason.meaning().trim(),
        reason.domain().words()
    )
}

/// Where there is more.
const DESCRIBE: &str =
    "More: kubectl -n {{ $labels.tenant_namespace }} describe drmprobe {{ $labels.probe }}";

/// Probes whose reason has another alert, as far as every region that sees a failure says so.
fn named_elsewhere(scope: Scope) -> String {
    let words: Vec<&str> = NAMED
        .iter()
        .map(|n| n.reason.as_str())
        .chain([Reason::ManifestStale.as_str()])
        .collect();
    let info = format!("{}{{reason=~\"{}\"}}", PROBE_FAILURE_INFO.name, words.join("|"));
    match scope {
        Scope::Regional => format!("unless on ({IN_REGION}) {info}"),
        Scope::Global => {
            format!(
                "unless on ({PROBE}) (count by ({PROBE}) (max by ({IN_REGION}) ({info})) >= on ({PROBE}) {FAILING})"
            )
        }
    }
}

fn down(scope: Scope) -> Rule {
    let expr = format!("{DOWN} == 1\n{}", named_elsewhere(scope));
    let mut rule = of_tenant(alert("ProbeDown", PAGE, expr))
        .annotation("summary", format!("{WHO} fails {}: {}", place(scope), why(scope)))
        .annotation("description", explained(scope));
    rule.for_ = Some("2m");
    // A pass or two between failures is no end of them.
    rule.keep_firing_for = Some("2m");
    rule
}

fn live_edge(scope: Scope) -> Rule {
    let stale = format!(
        "max by ({IN_REGION}) ({}{{reason=\"{}\"}})",
        PROBE_FAILURE_INFO.name,
        Reason::ManifestStale
    );
    let expr = match scope {
        Scope::Regional => stale,
        Scope::Global => format!(
            "count by ({PROBE}) ({stale} unless on (region) {BLIND}) >= on ({PROBE}) {}",
            quorum()
        ),
    };
    let mut rule = of_tenant(alert("LiveEdgeStale", PAGE, expr))
        .annotation(
            "summary",
            format!("{WHO} stands still {}: {}", place(scope), why(scope)),
        )
        .annotation("description", explained(scope));
    rule.for_ = Some("2m");
    rule.keep_firing_for = Some("2m");
    rule
}

fn named(named: &Named) -> Rule {
    let info = PROBE_FAILURE_INFO.name;
    let expr = format!(
        "max by ({IN_REGION}, step) ({info}{{reason=\"{}\"}})",
        named.reason
    );
    let mut rule = of_tenant(alert(named.alert, named.severity, expr))
        .annotation(
            "summary",
            format!(
                "{WHO} {} in {{{{ $labels.region }}}}, at step {{{{ $labels.step }}}}",
                named.says
            ),
        )
        .annotation("description", meant(named.reason));
    (rule.for_, rule.keep_firing_for) = (named.hold, named.keep);
    rule
}

fn ours((reason, name, says): &(Reason, &str, &str)) -> Rule {
    let expr = format!(
        "max by ({IN_REGION}) ({}{{reason=\"{reason}\"}})",
        PROBE_FAILURE_INFO.name
    );
    let mut rule = of_tenant(alert(name, TICKET, expr))
        .annotation("summary", format!("{WHO} {says}, in {{{{ $labels.region }}}}"))
        .annotation("description", meant(*reason));
    rule.for_ = Some("10m");
    rule
}

fn inconclusive() -> Rule {
    let words: Vec<&str> = OURS.iter().map(|o| o.0.as_str()).collect();
    let expr = format!(
        "max by ({IN_REGION}) ({}) == 1\nunless on ({IN_REGION}) {}{{reason=~\"{}\"}}",
        PROBE_INCONCLUSIVE.name,
        PROBE_FAILURE_INFO.name,
        words.join("|")
    );
    let mut rule = of_tenant(alert("ProbeInconclusive", TICKET, expr))
        .annotation(
            "summary",
            format!(
                "{WHO} can't be told {}: {}",
                place(Scope::Regional),
                why(Scope::Regional)
            ),
        )
        .annotation("description", explained(Scope::Regional));
    rule.for_ = Some("10m");
    rule
}

fn flapping(scope: Scope) -> Rule {
    let mut rule = of_tenant(alert(
        "ProbeFlapping",
        TICKET,
        format!("changes({DOWN}[30m]) > 4"),
    ))
    .annotation(
        "summary",
        format!(
            "{WHO} went down and came back {{{{ $value }}}} times in half an hour{}",
            match scope {
                Scope::Regional => ", in {{ $labels.region }}",
                Scope::Global => "",
            }
        ),
    );
    rule.keep_firing_for = Some("15m");
    rule
}

/// Blips do not count, one by one; a service that fails each twentieth time is not well for that.
fn unsteady() -> Rule {
    let of = |metric: &str, labels: &str| format!("sum by ({IN_REGION}) (increase({metric}{labels}[1h]))");
    let blips = of(PROBE_CONFIRMATIONS.name, "{outcome=\"pass\"}");
    let expr = format!(
        "{blips} > 4\nand on ({IN_REGION}) {blips} / {} > 0.05",
        of(PROBE_RUNS.name, "")
    );
    let mut rule = of_tenant(alert("ProbeUnsteady", TICKET, expr)).annotation(
        "summary",
        format!(
            "{WHO} failed {{{{ $value | printf \"%.0f\" }}}} times in an hour in {{{{ $labels.region }}}}, and passed each time when it was looked at again"
        ),
    );
    rule.keep_firing_for = Some("15m");
    rule
}

fn expiries() -> Vec<Rule> {
    [
        (&CERTIFICATE_EXPIRY, "CertificateExpiring", "server", 14, "a certificate"),
        (&DRM_CERTIFICATE_EXPIRY, "CertificateExpiring", "drm", 30, "the DRM system's certificate of a licence server"),
        (&CREDENTIAL_EXPIRY, "CredentialExpiring", "credential", 7, "a stored credential"),
    ]
    .into_iter()
    .map(|(metric, name, what, days, text)| {
        let expr = format!("min by ({IN_REGION}, step) ({}) - time() < {days} * 86400", metric.name);
        let mut rule = of_tenant(alert(name, TICKET, expr)).label("what", what).annotation(
            "summary",
            format!(
                "{text} of {{{{ $labels.tenant }}}} (probe {{{{ $labels.probe }}}}, step {{{{ $labels.step }}}}) \
                 {{{{ if lt $value 0.0 }}}}has expired{{{{ else }}}}expires in {{{{ $value | humanizeDuration }}}}{{{{ end }}}}"
            ),
        );
        rule.for_ = Some("1h");
        rule
    })
    .collect()
}

/// What only who sees all regions can tell.
fn regions() -> Vec<Rule> {
    let mut in_region = of_tenant(alert(
        "ProbeDownInRegion",
        TICKET,
        format!(
            "{PASSES} == 0\nunless on ({PROBE}) {DOWN} == 1\nunless on (region) {BLIND}\nand on ({PROBE}) {DOWN}"
        ),
    ))
    .annotation("summary", format!("{WHO} fails in {{{{ $labels.region }}}}, and not in most regions: {}", why(Scope::Regional)))
    .annotation("description", explained(Scope::Regional));
    in_region.for_ = Some("5m");
    let mut few = of_tenant(alert(
        "InsufficientRegions",
        TICKET,
        format!("{EXPECTED} unless on ({PROBE}) {REPORTING} >= ceil({EXPECTED} / 2)"),
    ))
    .annotation(
        "summary",
        format!(
            "fewer than half of the {{{{ $value }}}} regions of {WHO} can tell how it is: nothing is decided"
        ),
    );
    few.for_ = Some("5m");
    let mut blind = alert("RegionBlind", PAGE, BLIND)
        .annotation("summary", "most of what is watched from {{ $labels.region }} fails there and passes elsewhere: that region, or its way to the world, is at fault");
    blind.for_ = Some("2m");
    let mut silent = alert(
        "RegionSilent",
        PAGE,
        format!("count by (region) (last_over_time({0}[6h])) unless on (region) {0}", RUNNER_INFO.name),
    )
    .annotation("summary", "nothing has come from {{ $labels.region }} for minutes: its runners are gone, or what carries their metrics here");
    silent.for_ = Some("3m");
    vec![in_region, few, blind, silent]
}
