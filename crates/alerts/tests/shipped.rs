//! The shipped files are what the code says. `UPDATE=1` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_alerts::{RuleFile, Scope, infrastructure, page_of, pages, services};
use std::{collections::BTreeSet, fs, path::Path};

const HEAD: &str = "Generated from `crates/alerts` by `make generate`; do not edit. Unit-tested by promtool (charts/drmwatch/tests).";

fn held(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "{} is not what the code says; run `make generate`",
        path.display()
    );
}

fn files() -> [(&'static str, RuleFile); 3] {
    [
        ("infrastructure", infrastructure()),
        ("regional", services(Scope::Regional)),
        ("global", services(Scope::Global)),
    ]
}

#[test]
fn rule_files() {
    for (name, file) in files() {
        held(
            &format!("charts/drmwatch/files/rules/{name}.yaml"),
            &file.yaml(HEAD).unwrap(),
        );
    }
}

#[test]
fn each_alert_has_its_page_and_each_page_its_alert() {
    let rules: Vec<_> = files()
        .into_iter()
        .flat_map(|(_, f)| f.groups)
        .flat_map(|g| g.rules)
        .collect();
    let alerts: BTreeSet<String> = rules.iter().filter_map(|r| r.alert.clone()).collect();
    let paged: BTreeSet<String> = pages().iter().map(|p| p.alert.to_owned()).collect();
    // That one is made of each tenant's objectives.
    let ours: BTreeSet<String> = alerts
        .union(&BTreeSet::from(["ErrorBudgetBurn".to_owned()]))
        .cloned()
        .collect();
    assert_eq!(ours, paged);
    let mut index = String::from(
        "# Runbooks\n\nGenerated from `crates/alerts` by `make generate`; do not edit. One page for each alert.\n\n| alert | means |\n|---|---|\n",
    );
    for page in pages() {
        held(&format!("docs/runbooks/{}.md", page.alert), &page.markdown());
        index += &format!("| [{0}]({0}.md) | {1} |\n", page.alert, page.means);
    }
    held("docs/runbooks/README.md", &index);
    for rule in rules.iter().filter(|r| r.alert.is_some()) {
        let name = rule.alert.as_deref().unwrap();
        assert!(page_of(name).is_some());
        assert!(
            rule.annotations.contains_key("summary") && rule.labels.contains_key("severity"),
            "{name}"
        );
        assert!(
            rule.annotations["runbook_url"].ends_with(&format!("/{name}.md")),
            "{name}"
        );
        // The Prometheus Operator routes by it; who is about a tenant must have it. Tickets that fail are the platform's to mend.
        let of_tenant = rule.annotations["summary"].contains("$labels.tenant") && name != "TicketingFailing";
        assert_eq!(rule.labels.contains_key("namespace"), of_tenant, "{name}");
    }
}

#[test]
fn each_reason_leads_to_an_alert() {
    for reason in drmwatch_outcome::Reason::ALL {
        assert!(pages().iter().any(|p| (p.reasons)(*reason)), "{reason}");
    }
}

#[test]
fn the_rules_of_objectives_that_promtool_tests() {
    let tenant: drmwatch_api::MonitoredTenant = serde_json::from_value(serde_json::json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
        "metadata": { "name": "acme", "namespace": "tv" },
        "spec": { "displayName": "ACME", "objectives": [
            { "name": "up", "target": "99.9%", "availability": {} },
            { "name": "fresh", "target": "99.5%", "window": "7d", "liveEdge": { "maxAgeSeconds": 30 }, "probes": ["late", "gone"] },
            { "name": "fast", "target": "95%", "latency": { "of": "Run", "withinMilliseconds": 1000 } },
        ] },
    }))
    .unwrap();
    let probes = ["up", "late", "gone"].map(|name| (name.to_owned(), 60)).into();
    for (name, scope) in [("regional", Scope::Regional), ("global", Scope::Global)] {
        let made = drmwatch_alerts::objectives(&tenant, &probes, scope);
        assert!(made.unknown.is_empty());
        held(
            &format!("charts/drmwatch/tests/objectives/{name}.yaml"),
            &made.file.yaml(HEAD).unwrap(),
        );
    }
}
