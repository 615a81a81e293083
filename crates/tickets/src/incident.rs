//! An incident: what was notified last, and how far its ticket is behind.

use crate::{Notification, Said, Settings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Most alerts that are kept of an incident; of the others their number.
pub const MOST_ALERTS: usize = 50;

/// One alert of an incident.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Whether it fires; else it is over.
    pub firing: bool,
    /// What it says.
    pub summary: String,
    /// And in more words.
    pub description: String,
    /// Its runbook.
    pub runbook: String,
    /// Where, if in one region.
    pub region: String,
    /// Since when.
    pub starts: Timestamp,
    /// Until when, once it is over.
    pub ends: Timestamp,
    /// Alertmanager's hash of its labels.
    pub fingerprint: String,
}

/// A request that makes a ticket, written down before it is sent: one that is sent again must be the same, byte for byte, for
/// Zendesk to know it again by its key.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// `Idempotency-Key`.
    pub key: String,
    /// The body.
    pub body: String,
}

/// An incident.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// Its name, and the ticket's `external_id`.
    pub id: String,
    /// Namespace of the tenant.
    pub namespace: String,
    /// The tenant.
    pub tenant: String,
    /// What is to be done with its tickets.
    pub settings: Settings,
    /// Labels by which its alerts belong together.
    pub group: BTreeMap<String, String>,
    /// What was notified last.
    pub alerts: Vec<Alert>,
    /// How many more alerts there are.
    pub more: u64,
    /// When it was.
    pub observed: Timestamp,
    /// Counts what was notified and says something new.
    pub notified: u64,
    /// The count that the ticket says.
    pub told: u64,
    /// Since when the ticket says less.
    pub behind: Timestamp,
    /// Attempts to make it say so that failed in a row.
    pub attempts: u32,
    /// Not to be tried before.
    pub not_before: Timestamp,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// A request that makes a ticket and that may have been sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
}

impl Incident {
    /// Name of the incident that a notification is about. Not Alertmanager's `groupKey`: that holds the matchers of the route,
    /// and a change of the configuration would make another incident of the same.
    pub fn name(
        installation: &str,
        namespace: &str,
        tenant: &str,
        group: &BTreeMap<String, String>,
    ) -> String {
        let mut text = format!("{installation}\0{namespace}\0{tenant}");
        for (name, value) in group {
            text += &format!("\0{name}\0{value}");
        }
        let hash: String = Sha256::digest(text)
            .iter()
            .take(16)
            .map(|b| format!("{b:02x}"))
            .collect();
        format!("drmwatch:{hash}")
    }

    /// A new one.
    pub fn new(
        id: String,
        (namespace, tenant): (&str, &str),
        settings: Settings,
        notification: Notification,
        now: Timestamp,
    ) -> Incident {
        let mut incident = Incident {
            id,
            namespace: namespace.to_owned(),
            tenant: tenant.to_owned(),
            settings,
            group: notification.group.clone(),
            alerts: Vec::new(),
            more: 0,
            observed: now,
            notified: 0,
            told: 0,
            behind: now,
            attempts: 0,
            not_before: now,
            problem: None,
            frozen: None,
        };
        let settings = incident.settings.clone();
        incident.hear(settings, notification, now);
        incident
    }

    /// Takes a notification in; whether it says something new. One that says the same again is taken as a look at whether the
    /// ticket says so: somebody may have written over it.
    pub fn hear(&mut self, settings: Settings, notification: Notification, now: Timestamp) -> bool {
        let before = (self.notified > 0).then(|| self.state());
        self.settings = settings;
        self.more = notification.more;
        self.alerts = notification.alerts;
        // What fires first, so that it is kept.
        self.alerts.sort_by_key(|a| (!a.firing, a.starts));
        if self.alerts.len() > MOST_ALERTS {
            self.more += (self.alerts.len() - MOST_ALERTS) as u64;
            self.alerts.truncate(MOST_ALERTS);
        }
        if !self.pending() {
            self.behind = now;
        }
        self.observed = now;
        self.notified += 1;
        before != Some(self.state())
    }

    /// Takes in that nothing of it fires any more, though nobody said so.
    pub fn end(&mut self, now: Timestamp) {
        for alert in self.alerts.iter_mut().filter(|a| a.firing) {
            (alert.firing, alert.ends) = (false, now);
        }
        self.behind = if self.pending() { self.behind } else { now };
        self.observed = now;
        self.notified += 1;
    }

    /// Whether anything of it fires.
    pub fn fires(&self) -> bool {
        self.alerts.iter().any(|a| a.firing)
    }

    /// When it began: the first of its alerts.
    pub fn began(&self) -> Timestamp {
        let starts = self.alerts.iter().map(|a| a.starts);
        starts.min().unwrap_or(self.observed)
    }

    /// What it says now, without the words: `over`, or a hash of what fires.
    pub fn state(&self) -> String {
        if !self.fires() {
            return "over".to_owned();
        }
        let mut firing: Vec<&str> = self
            .alerts
            .iter()
            .filter(|a| a.firing)
            .map(|a| a.fingerprint.as_str())
            .collect();
        firing.sort_unstable();
        let text = format!("{}\0{}", firing.join("\0"), self.more);
        let hash = Sha256::digest(text);
        hash.iter().take(6).map(|b| format!("{b:02x}")).collect()
    }

    /// The same as it is to stand on the ticket.
    pub fn said(&self) -> Said {
        let changed = self
            .alerts
            .iter()
            .map(|a| if a.firing { a.starts } else { a.ends });
        Said {
            state: self.state(),
            seen: self.observed.as_second(),
            changed: changed.max().unwrap_or(self.observed).as_second(),
        }
    }

    /// Whether the ticket may not say yet what it should.
    pub fn pending(&self) -> bool {
        self.told < self.notified
    }

    /// `Idempotency-Key` of the ticket that comes after `previous` (0: the first). It follows from what every bridge sees, so
    /// that two that see the same make one ticket.
    pub fn key(&self, previous: u64) -> String {
        format!("{}:{previous}", self.id)
    }
}
