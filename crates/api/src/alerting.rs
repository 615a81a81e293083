//! Where alerts about a tenant go: Slack, and tickets in Zendesk.

use crate::SecretKeyRef;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where alerts about a tenant go (docs/routing.md).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.slack) || has(self.zendesk)").message("alerting must have slack or zendesk"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alerting {
    /// A channel in Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// Tickets in Zendesk, by the ticket bridge (docs/tickets.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zendesk: Option<Zendesk>,
    /// Hours of the week in which nobody is told. What still fires at their end is told then. For a time zone, a single
    /// occasion, or some of the probes: a MaintenanceWindow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub mute_times: Vec<MuteTime>,
    /// Hours after which what still fires is told again. Defaults to 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 168))]
    pub repeat_hours: Option<i32>,
}

/// How bad an alert is: the value of its label `severity`.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum Severity {
    /// Somebody must get up.
    Page,
    /// It can wait for the morning.
    Ticket,
}

impl Severity {
    /// The value of the label.
    pub fn label(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

/// A channel in Slack.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slack {
    /// The channel, or a person: `#acme-alerts`. An incoming webhook of Slack has a channel of its own, whatever this says;
    /// receivers with Slack's form may mind it.
    #[schemars(length(min = 2, max = 80), regex(pattern = r"^[#@][^\s]+$"))]
    pub channel: String,
    /// Where the URL of the incoming webhook lies: it is a secret. In the tenant's namespace.
    pub webhook_secret_ref: SecretKeyRef,
    /// Which alerts are told. Defaults to all.
    #[serde(default = "every", skip_serializing_if = "is_every")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub severities: Vec<Severity>,
}

/// Tickets in Zendesk: one for an incident, which is one alert about one probe.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.customFields) || self.customFields.all(f, self.customFields.exists_one(g, g.id == f.id))").message("customFields must have each id once"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Zendesk {
    /// Which alerts become tickets. Defaults to those that page.
    #[serde(default = "pages", skip_serializing_if = "is_pages")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub severities: Vec<Severity>,
    /// Organization that the ticket is for. The requester must be in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub organization_id: Option<i64>,
    /// In whose name the ticket is opened. Defaults to the bridge's own user. Zendesk makes a user of an address that it
    /// does not know, and its triggers may mail it: see docs/tickets.md before you name a customer here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Requester>,
    /// Brand, of accounts that have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub brand_id: Option<i64>,
    /// Group that the ticket is assigned to. Solving a ticket may need one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub group_id: Option<i64>,
    /// Form, of plans that have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub ticket_form_id: Option<i64>,
    /// Tags besides `drmwatch` and those of severity and alert.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 80), regex(pattern = r"^[a-z0-9_:/-]+$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tags: Vec<String>,
    /// Custom fields to fill.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub custom_fields: Vec<CustomField>,
    /// Whether a ticket is solved when its alert has ended. Defaults to true; else a comment says so.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub solve_on_resolve: bool,
    /// Hours after it was solved for which a ticket is opened again when the alert returns, instead of a new one. Defaults to
    /// 24; 0 always makes a new one. A ticket that Zendesk has closed can't be opened: it gets a follow-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 672))]
    pub reopen_within_hours: Option<i32>,
    /// Whether comments are public: then Zendesk mails them to the requester. Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public_comments: bool,
}

impl Default for Zendesk {
    fn default() -> Zendesk {
        Zendesk {
            severities: pages(),
            organization_id: None,
            requester: None,
            brand_id: None,
            group_id: None,
            ticket_form_id: None,
            tags: Vec::new(),
            custom_fields: Vec::new(),
            solve_on_resolve: true,
            reopen_within_hours: None,
            public_comments: false,
        }
    }
}

/// In whose name a ticket is opened.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requester {
    /// Name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Address.
    #[schemars(length(min = 3, max = 254), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub email: String,
}

/// A custom field of a ticket.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomField {
    /// Its id.
    #[schemars(range(min = 1))]
    pub id: i64,
    /// What is put there.
    #[schemars(length(max = 256))]
    pub value: String,
}

/// Hours of the week in which nobody is told.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[x_kube(validation = Rule::new("self.from < self.to").message("from must be before to: what goes beyond midnight is two entries"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MuteTime {
    /// Name, unique within the tenant.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Days. Empty means each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub weekdays: Vec<Weekday>,
    /// From when, in UTC: `22:00`. Alertmanager's configuration in Kubernetes knows no time zones.
    #[schemars(length(min = 5, max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// Until when, in UTC; `24:00` is the end of the day.
    #[schemars(
        length(min = 5, max = 5),
        regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")
    )]
    pub to: String,
    /// Which alerts are mute. Defaults to those that can wait.
    #[serde(default = "tickets", skip_serializing_if = "is_tickets")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub severities: Vec<Severity>,
}

/// A day of the week.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

fn every() -> Vec<Severity> {
    vec![Severity::Page, Severity::Ticket]
}

fn is_every(severities: &[Severity]) -> bool {
    severities == every()
}

fn pages() -> Vec<Severity> {
    vec![Severity::Page]
}

fn is_pages(severities: &[Severity]) -> bool {
    severities == pages()
}

fn tickets() -> Vec<Severity> {
    vec![Severity::Ticket]
}

fn is_tickets(severities: &[Severity]) -> bool {
    severities == tickets()
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}
