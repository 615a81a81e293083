//! The words of a ticket, and the bodies of requests to Zendesk that hold them.

use crate::{Action, Alert, IGNORE, Incident, REDUCED};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;

/// Most alerts of a comment that are told one by one.
const MOST: usize = 10;

fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M UTC on %-d %b").to_string()
}

/// How long, as one says it.
fn lasted(alert: &Alert) -> String {
    let seconds = alert.ends.duration_since(alert.starts).as_secs().max(0);
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// What an incident says, for a ticket. Plain text: Zendesk shows it as it is.
pub fn comment(incident: &Incident) -> String {
    let mut text = String::new();
    let alert = incident.group.get("alertname").map_or("", String::as_str);
    let _ = match incident.fires() {
        true => writeln!(text, "{alert} fires for {}.", incident.settings.display_name),
        false => writeln!(text, "{alert} is over for {}.", incident.settings.display_name),
    };
    for alert in incident.alerts.iter().take(MOST) {
        let place = match alert.region.as_str() {
            "" => String::new(),
            region => format!(" ({region})"),
        };
        let _ = match alert.firing {
            true => writeln!(text, "\n{}\nSince {}{place}.", alert.summary, clock(alert.starts)),
            false => writeln!(
                text,
                "\nOver{place}: {}\nFrom {} for {}.",
                alert.summary,
                clock(alert.starts),
                lasted(alert)
            ),
        };
        if alert.firing && !alert.description.is_empty() {
            let _ = writeln!(text, "{}", alert.description);
        }
    }
    let more = incident.alerts.len().saturating_sub(MOST) as u64 + incident.more;
    if more > 0 {
        let _ = writeln!(text, "\nAnd {more} more.");
    }
    let runbook = incident.alerts.first().map_or("", |a| &a.runbook);
    if !runbook.is_empty() {
        let _ = writeln!(text, "\nRunbook: {runbook}");
    }
    if let (Some(grafana), Some(probe)) = (&incident.settings.grafana, incident.group.get("probe")) {
        let base = grafana.trim_end_matches('/');
        let _ = writeln!(
            text,
            "Dashboard: {base}/d/drmwatch-probe?var-tenant={}&var-probe={probe}",
            incident.tenant
        );
    }
    if let Some(probe) = incident.group.get("probe") {
        let _ = writeln!(
            text,
            "Record of the run: *_{}_{probe}.json, where the pool keeps evidence.",
            incident.namespace
        );
    }
    text
}

/// Zendesk's subject: the alert and of whom, always the same for an incident.
fn subject(incident: &Incident) -> String {
    let label = |name: &str| incident.group.get(name).map_or("", String::as_str);
    let probe = match label("probe") {
        "" => String::new(),
        probe => format!("/{probe}"),
    };
    format!("{}: {}{probe}", label("alertname"), incident.tenant)
}

fn tags(incident: &Incident) -> Vec<String> {
    let mut tags = vec!["drmwatch".to_owned()];
    let label = |name: &str| {
        incident
            .group
            .get(name)
            .map(|v| format!("drmwatch-{}", v.to_lowercase()))
    };
    tags.extend(label("severity"));
    tags.extend(label("alertname"));
    tags.extend(incident.settings.zendesk.tags.iter().cloned());
    tags.push(incident.said().tag());
    tags
}

/// The body of a request that makes a ticket.
pub fn create(incident: &Incident, action: Action) -> Value {
    let settings = &incident.settings.zendesk;
    let mut ticket = bare(incident, action, tags(incident), "");
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            ticket["ticket"][name] = value;
        }
    };
    if let Action::Create {
        previous,
        follow_up: true,
    } = action
    {
        set("via_followup_source_id", Some(previous.into()));
    }
    set("organization_id", settings.organization_id.map(Value::from));
    set("brand_id", settings.brand_id.map(Value::from));
    set("group_id", settings.group_id.map(Value::from));
    set("ticket_form_id", settings.ticket_form_id.map(Value::from));
    let requester = settings.requester.as_ref();
    set(
        "requester",
        requester.map(|r| json!({ "name": r.name, "email": r.email })),
    );
    let fields = settings.custom_fields.iter();
    let fields: Vec<Value> = fields.map(|f| json!({ "id": f.id, "value": f.value })).collect();
    set("custom_fields", (!fields.is_empty()).then(|| fields.into()));
    ticket
}

/// The same without what Zendesk may have refused: a ticket in the wrong place is better than none.
pub fn create_reduced(incident: &Incident, action: Action, refusal: &str) -> Value {
    let mut tags = tags(incident);
    tags.push(REDUCED.to_owned());
    let why = format!(
        "\nZendesk refused this ticket with the settings of the tenant's spec.alerting.zendesk: {refusal}\n"
    );
    bare(incident, action, tags, &why)
}

fn bare(incident: &Incident, action: Action, tags: Vec<String>, more: &str) -> Value {
    let mut body = comment(incident) + more;
    if let Action::Create { previous, .. } = action
        && previous > 0
    {
        let _ = writeln!(body, "\nThe ticket before: #{previous}.");
    }
    let _ = writeln!(
        body,
        "\nThis ticket is kept by drmwatch. The tag {IGNORE} makes it yours alone."
    );
    let page = incident.group.get("severity").is_some_and(|s| s == "page");
    json!({ "ticket": {
        "subject": subject(incident),
        "external_id": incident.id,
        "type": "incident",
        "priority": if page { "urgent" } else { "normal" },
        "tags": tags,
        "comment": { "body": body, "public": incident.settings.zendesk.public_comments },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CustomField, Requester, Ticketing};
    use crate::{Notification, Settings};

    fn incident(firing: bool) -> Incident {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let alert = Alert {
            firing,
            summary: "acme/news fails in eu: LicenseDenied at step license".into(),
            description:
                "The licence server denied the request. Whose: the licence server. The server answered 403."
                    .into(),
            runbook: "https://runbooks.example/ProbeDown.md".into(),
            region: "eu".into(),
            starts: at("2026-11-25T10:00:00Z"),
            ends: at("2026-11-25T11:05:09Z"),
            fingerprint: "f".into(),
        };
        let zendesk = Ticketing {
            organization_id: Some(1),
            brand_id: Some(2),
            group_id: Some(3),
            ticket_form_id: Some(4),
            tags: vec!["gold".into()],
            requester: Some(Requester {
                name: "Ops".into(),
                email: "ops@acme.example".into(),
            }),
            custom_fields: vec![CustomField {
                id: 5,
                value: "v".into(),
            }],
            ..Ticketing::default()
        };
        let group = [
            ("alertname", "ProbeDown"),
            ("probe", "news"),
            ("severity", "page"),
            ("tenant", "acme"),
        ];
        let notification = Notification {
            group: group.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            alerts: vec![alert],
            more: 2,
        };
        let settings = Settings::new("ACME Television", zendesk, Some("https://grafana.example/"));
        Incident::new(
            "drmwatch:1".into(),
            ("tv", "acme"),
            settings,
            notification,
            at("2026-11-25T10:01:00Z"),
        )
    }

    #[test]
    fn a_ticket_says_what_whose_since_when_and_where_to_go_on() {
        let first = Action::Create {
            previous: 0,
            follow_up: false,
        };
        let made = create(&incident(true), first);
        assert_eq!(
            made["ticket"]["comment"],
            json!({ "public": false, "body": "ProbeDown fires for ACME Television.\n\n\
                acme/news fails in eu: LicenseDenied at step license\nSince 10:00 UTC on 25 Nov (eu).\n\
                The licence server denied the request. Whose: the licence server. The server answered 403.\n\n\
                And 2 more.\n\nRunbook: https://runbooks.example/ProbeDown.md\n\
                Dashboard: https://grafana.example/d/drmwatch-probe?var-tenant=acme&var-probe=news\n\
                Record of the run: *_tv_news.json, where the pool keeps evidence.\n\n\
                This ticket is kept by drmwatch. The tag drmwatch-ignore makes it yours alone.\n" })
        );
        assert_eq!(made["ticket"]["subject"], "ProbeDown: acme/news");
        assert_eq!(made["ticket"]["priority"], "urgent");
        let tags: Vec<&str> = made["ticket"]["tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|t| t.as_str())
            .collect();
        assert_eq!(
            tags[..4],
            ["drmwatch", "drmwatch-page", "drmwatch-probedown", "gold"]
        );
        assert!(tags[4].starts_with("drmwatch-state-"));
        for (name, id) in [
            ("organization_id", 1),
            ("brand_id", 2),
            ("group_id", 3),
            ("ticket_form_id", 4),
        ] {
            assert_eq!(made["ticket"][name], id);
        }
        assert_eq!(made["ticket"]["requester"]["email"], "ops@acme.example");
        assert_eq!(
            made["ticket"]["custom_fields"],
            json!([{ "id": 5, "value": "v" }])
        );
        assert!(made["ticket"].get("via_followup_source_id").is_none());
    }

    #[test]
    fn the_end_says_how_long_it_lasted() {
        let said = comment(&incident(false));
        assert!(said.starts_with("ProbeDown is over for ACME Television.\n"));
        assert!(
            said.contains("From 10:00 UTC on 25 Nov for 1 h 5 min.\n"),
            "{said}"
        );
    }

    #[test]
    fn a_follow_up_names_what_it_follows_and_a_reduced_one_what_was_refused() {
        let follow = Action::Create {
            previous: 17,
            follow_up: true,
        };
        let made = create(&incident(true), follow);
        assert_eq!(made["ticket"]["via_followup_source_id"], 17);
        assert!(
            made["ticket"]["comment"]["body"]
                .as_str()
                .unwrap()
                .contains("The ticket before: #17.")
        );
        let reduced = create_reduced(&incident(true), follow, "organization_id: is no member");
        assert!(
            reduced["ticket"].get("organization_id").is_none()
                && reduced["ticket"].get("requester").is_none()
                && reduced["ticket"].get("via_followup_source_id").is_none()
        );
        assert!(
            reduced.to_string().contains("organization_id: is no member")
                && reduced.to_string().contains(REDUCED)
        );
    }
}
