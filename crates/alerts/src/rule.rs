//! Rule files, as Prometheus reads them.

use serde::Serialize;
use std::collections::BTreeMap;

/// A rule file; also the `spec` of a `PrometheusRule`.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct RuleFile {
    /// Groups; rules of one group are evaluated in their order.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated together.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct Group {
    /// Name, unique in its file.
    pub name: String,
    /// How often, where that matters; else as Prometheus is told to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<&'static str>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A recording rule or an alert: exactly one of `record` and `alert` is there.
#[derive(Serialize, Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// Name of the series to record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// Name of the alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// PromQL.
    pub expr: String,
    /// How long it must hold.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<&'static str>,
    /// How long the alert outlives it (Prometheus 2.42 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<&'static str>,
    /// Labels that are added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Texts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Rule {
    /// A recording rule.
    pub(crate) fn record(name: &str, expr: impl Into<String>) -> Rule {
        Rule {
            record: Some(name.to_owned()),
            expr: expr.into(),
            ..Rule::default()
        }
    }

    /// With one more label.
    pub(crate) fn label(mut self, name: &str, value: impl Into<String>) -> Rule {
        self.labels.insert(name.to_owned(), value.into());
        self
    }

    /// With one more annotation.
    pub(crate) fn annotation(mut self, name: &str, value: impl Into<String>) -> Rule {
        self.annotations.insert(name.to_owned(), value.into());
        self
    }
}

impl RuleFile {
    /// With the place where the runbooks are published.
    pub fn runbooks_at(mut self, base: &str) -> RuleFile {
        let base = base.trim_end_matches('/');
        for rule in self.groups.iter_mut().flat_map(|g| &mut g.rules) {
            for text in rule.annotations.values_mut() {
                if let Some(page) = text.strip_prefix(crate::RUNBOOKS) {
                    *text = format!("{base}{page}");
                }
            }
        }
        self
    }

    /// As YAML. `head`: comment lines above it.
    pub fn yaml(&self, head: &str) -> Result<String, serde_saphyr::ser::Error> {
        let body = serde_saphyr::to_string(self)?;
        let head: String = head.lines().map(|l| format!("# {l}\n")).collect();
        Ok(head + &body)
    }
}
