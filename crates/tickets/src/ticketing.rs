//! How a tenant wants its tickets. `spec.alerting.zendesk` says the same; this form travels to the bridge, which knows no
//! resources of Kubernetes.

use serde::{Deserialize, Serialize};

/// How a tenant wants its tickets in Zendesk. The names of the fields are those of `spec.alerting.zendesk`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ticketing {
    /// Organization that the ticket is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<i64>,
    /// Person in whose name the ticket is opened. Without one it is the bridge's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Requester>,
    /// Brand of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand_id: Option<i64>,
    /// Group that the ticket is assigned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<i64>,
    /// Form of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_form_id: Option<i64>,
    /// Tags besides those that every ticket gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Custom fields to fill.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_fields: Vec<CustomField>,
    /// Whether a ticket is solved when its alert has ended. Otherwise a comment says that it has.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub solve_on_resolve: bool,
    /// Hours after it was solved for which a ticket is opened again when the alert returns; without a number, 24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopen_within_hours: Option<i32>,
    /// Whether comments are public.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public_comments: bool,
}

impl Default for Ticketing {
    fn default() -> Ticketing {
        Ticketing {
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

/// Person in whose name a ticket is opened.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requester {
    /// Name of the person.
    pub name: String,
    /// E-mail address of the person.
    pub email: String,
}

/// A custom field of a ticket.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomField {
    /// Id of the field.
    pub id: i64,
    /// Value of the field.
    pub value: String,
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}
