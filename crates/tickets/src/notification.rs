//! What Alertmanager posts (webhook, version 4): <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use crate::Alert;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Most alerts of one notification. The shipped routes send a hundred at most.
pub const MOST_NOTIFIED: usize = 1000;

/// A notification that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Labels by which its alerts belong together.
    pub group: BTreeMap<String, String>,
    /// Alerts.
    pub alerts: Vec<Alert>,
    /// How many more there are.
    pub more: u64,
}

/// A notification that is none. Sending it again would not help.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not JSON, or not of that form.
    #[error("{0}")]
    Malformed(String),
    /// Another version.
    #[error("version must be \"4\", not {0:?}")]
    Version(String),
    /// More than anybody reads.
    #[error("{0} alerts are too many: at most {MOST_NOTIFIED}")]
    TooMany(usize),
    /// No alert at all.
    #[error("no alert in it")]
    Empty,
    /// An alert of another tenant.
    #[error("alert {0} is about another tenant")]
    Foreign(usize),
    /// Labels by which nothing can be told apart.
    #[error("groupLabels must have alertname")]
    Ungrouped,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    version: String,
    #[serde(default)]
    group_labels: BTreeMap<String, String>,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    alerts: Vec<WireAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAlert {
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    #[serde(default)]
    fingerprint: String,
}

impl Notification {
    /// Reads a notification about a tenant, and refuses what is not about it.
    pub fn parse(body: &[u8], namespace: &str, tenant: &str) -> Result<Notification, Refused> {
        let wire: Wire = serde_json::from_slice(body).map_err(|e| Refused::Malformed(e.to_string()))?;
        if wire.version != "4" {
            return Err(Refused::Version(wire.version));
        }
        if wire.alerts.len() > MOST_NOTIFIED {
            return Err(Refused::TooMany(wire.alerts.len()));
        }
        if wire.alerts.is_empty() {
            return Err(Refused::Empty);
        }
        if !wire.group_labels.contains_key("alertname") {
            return Err(Refused::Ungrouped);
        }
        let is = |alert: &WireAlert, label: &str, value: &str| {
            alert.labels.get(label).is_some_and(|found| found == value)
        };
        let foreign = |alert: &WireAlert| !is(alert, "namespace", namespace) || !is(alert, "tenant", tenant);
        if let Some(n) = wire.alerts.iter().position(foreign) {
            return Err(Refused::Foreign(n));
        }
        Ok(Notification {
            group: wire.group_labels,
            alerts: wire.alerts.into_iter().map(WireAlert::alert).collect(),
            more: wire.truncated_alerts,
        })
    }
}

impl WireAlert {
    fn alert(self) -> Alert {
        let text = |from: &BTreeMap<String, String>, name: &str, most: usize| -> String {
            let text = from.get(name).map(String::as_str).unwrap_or_default();
            text.chars().take(most).collect()
        };
        Alert {
            firing: self.status == "firing",
            summary: text(&self.annotations, "summary", 500),
            description: text(&self.annotations, "description", 1000),
            runbook: text(&self.annotations, "runbook_url", 500),
            region: text(&self.labels, "region", 63),
            starts: self.starts_at,
            ends: self.ends_at,
            fingerprint: self.fingerprint.chars().take(64).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn body(change: impl Fn(&mut Value)) -> Vec<u8> {
        let mut body = json!({
            "version": "4", "groupKey": "{}/{tenant=\"acme\"}:{}", "truncatedAlerts": 3, "status": "firing", "receiver": "r",
            "groupLabels": { "alertname": "ProbeDown", "probe": "news", "tenant": "acme", "severity": "page" },
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [{
                "status": "firing", "labels": { "namespace": "tv", "tenant": "acme", "region": "eu" },
                "annotations": { "summary": "s" }, "startsAt": "2026-11-25T10:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "", "fingerprint": "f1",
            }],
        });
        change(&mut body);
        body.to_string().into_bytes()
    }

    #[test]
    fn what_alertmanager_sends_is_read() {
        let read = Notification::parse(&body(|_| {}), "tv", "acme").unwrap();
        assert_eq!((read.group["probe"].as_str(), read.more), ("news", 3));
        let alert = &read.alerts[0];
        assert!(alert.firing && alert.region == "eu" && alert.summary == "s" && alert.fingerprint == "f1");
    }

    #[test]
    fn what_is_none_or_another_tenants_is_refused_with_the_reason() {
        let refused = |change: fn(&mut Value)| {
            Notification::parse(&body(change), "tv", "acme")
                .unwrap_err()
                .to_string()
        };
        assert!(Notification::parse(b"{", "tv", "acme").is_err());
        assert_eq!(
            refused(|b| b["version"] = "5".into()),
            "version must be \"4\", not \"5\""
        );
        assert_eq!(refused(|b| b["alerts"] = json!([])), "no alert in it");
        assert_eq!(
            refused(|b| b["groupLabels"] = json!({})),
            "groupLabels must have alertname"
        );
        let other = |b: &mut Value| b["alerts"][0]["labels"]["tenant"] = "other".into();
        assert_eq!(refused(other), "alert 0 is about another tenant");
        let elsewhere = |b: &mut Value| b["alerts"][0]["labels"]["namespace"] = "x".into();
        assert_eq!(refused(elsewhere), "alert 0 is about another tenant");
        let many = |b: &mut Value| {
            let one = b["alerts"][0].clone();
            b["alerts"] = vec![one; MOST_NOTIFIED + 1].into();
        };
        assert_eq!(refused(many), "1001 alerts are too many: at most 1000");
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes: Vec<u8>, cut in 0usize..600) {
            let _ = Notification::parse(&bytes, "tv", "acme");
            let whole = body(|_| {});
            let _ = Notification::parse(&whole[..cut.min(whole.len())], "tv", "acme");
        }
    }
}
