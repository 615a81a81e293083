//! Where a tenant's alerts go, from `spec.alerting`: as an `AlertmanagerConfig` of the Prometheus Operator, and as a plain
//! configuration of Alertmanager. Both say the same.
//!
//! One notification is about one alert of one probe, of one severity: what a person, and a ticket, can be about. The
//! operator puts `namespace="..."` in front of every route of an AlertmanagerConfig, so the rules label alerts with the
//! tenant's namespace.

use crate::slack;
use drmwatch_api::{Alerting, MonitoredTenant, MuteTime, Severity, Zendesk};
use drmwatch_tickets::{CustomField, Requester, Settings, Ticketing, webhook_url};
use kube::ResourceExt;
use serde_json::{Value, json};

/// What notifications lead to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ways {
    /// Where the ticket bridge listens: `http://drmwatch-bridge.drmwatch-system.svc:9467`. Without it nothing becomes a ticket.
    pub bridge: Option<String>,
    /// Where Grafana is, for links to dashboards.
    pub grafana: Option<String>,
}

/// Labels by which alerts become one notification.
const TOGETHER: [&str; 4] = ["tenant", "alertname", "probe", "severity"];
/// How long the first alert of a notification waits for others.
const WAIT: &str = "10s";
/// How long one that changes waits.
const INTERVAL: &str = "1m";
/// Most alerts in one webhook.
const MOST: u32 = 100;

/// Name of the Secret with the token by which the tenant's notifications are known to the bridge; key `token`.
pub fn bridge_secret(tenant: &str) -> String {
    format!("drmwatch-bridge-{tenant}")
}

/// One way of one severity.
struct Leg {
    receiver: &'static str,
    severity: Severity,
}

/// The ways of a tenant. Tickets need a bridge.
fn legs(alerting: &Alerting, ways: &Ways) -> Vec<Leg> {
    let of = |receiver, severities: &[Severity]| -> Vec<Leg> {
        let leg = |severity: &Severity| Leg {
            receiver,
            severity: *severity,
        };
        severities.iter().map(leg).collect()
    };
    let mut legs = Vec::new();
    if let Some(slack) = &alerting.slack {
        legs.extend(of("slack", &slack.severities));
    }
    if let (Some(zendesk), Some(_)) = (&alerting.zendesk, &ways.bridge) {
        legs.extend(of("zendesk", &zendesk.severities));
    }
    legs
}

/// Names of the mute times of a severity.
fn mute(alerting: &Alerting, severity: Severity, name: impl Fn(&MuteTime) -> String) -> Vec<String> {
    let times = alerting.mute_times.iter();
    times
        .filter(|m| m.severities.contains(&severity))
        .map(name)
        .collect()
}

/// The URL of a tenant's webhook, with what is to be done with its tickets.
fn tickets(tenant: &MonitoredTenant, alerting: &Alerting, ways: &Ways) -> Option<String> {
    let (zendesk, bridge) = (alerting.zendesk.as_ref()?, ways.bridge.as_ref()?);
    let settings = Settings::new(
        &tenant.spec.display_name,
        ticketing(zendesk),
        ways.grafana.as_deref(),
    );
    let namespace = tenant.namespace().unwrap_or_default();
    Some(webhook_url(bridge, &namespace, &tenant.name_any(), &settings))
}

/// What the bridge must know of a tenant's tickets. Destructured, so that a new field is passed on or refused by the compiler.
fn ticketing(zendesk: &Zendesk) -> Ticketing {
    let Zendesk {
        severities: _,
        organization_id,
        requester,
        brand_id,
        group_id,
        ticket_form_id,
        tags,
        custom_fields,
        solve_on_resolve,
        reopen_within_hours,
        public_comments,
    } = zendesk.clone();
    Ticketing {
        organization_id,
        requester: requester.map(|r| Requester {
            name: r.name,
            email: r.email,
        }),
        brand_id,
        group_id,
        ticket_form_id,
        tags,
        custom_fields: custom_fields
            .into_iter()
            .map(|f| CustomField {
                id: f.id,
                value: f.value,
            })
            .collect(),
        solve_on_resolve,
        reopen_within_hours,
        public_comments,
    }
}

/// The `spec` of a tenant's AlertmanagerConfig; None where nothing leads anywhere.
pub fn alertmanager_config(tenant: &MonitoredTenant, ways: &Ways) -> Option<Value> {
    let alerting = tenant.spec.alerting.as_ref()?;
    let legs = legs(alerting, ways);
    if legs.is_empty() {
        return None;
    }
    let equals = |name: &str, value: &str| json!({ "name": name, "value": value, "matchType": "=" });
    let routes: Vec<Value> = legs
        .iter()
        .map(|leg| {
            let mut route = json!({
                "receiver": leg.receiver,
                "matchers": [equals("severity", leg.severity.label())],
                "continue": true,
            });
            let mute = mute(alerting, leg.severity, |m| m.name.clone());
            if !mute.is_empty() {
                route["muteTimeIntervals"] = json!(mute);
            }
            route
        })
        .collect();
    // Who has no severity of a leg goes to nobody: a tenant that wants pages only is not told the rest.
    let mut receivers = vec![json!({ "name": "nobody" })];
    if let Some(slack) = &alerting.slack {
        let key = &slack.webhook_secret_ref;
        receivers.push(json!({ "name": "slack", "slackConfigs": [{
            "apiURL": { "name": key.name, "key": key.key },
            "channel": slack.channel,
            "sendResolved": true,
            "color": slack::COLOR,
            "title": slack::TITLE,
            "text": slack::text(ways.grafana.as_deref()),
            "fallback": slack::TITLE,
        }] }));
    }
    if let Some(url) = tickets(tenant, alerting, ways) {
        let secret = bridge_secret(&tenant.name_any());
        receivers.push(json!({ "name": "zendesk", "webhookConfigs": [{
            "url": url,
            "sendResolved": true,
            "maxAlerts": MOST,
            "httpConfig": { "authorization": { "type": "Bearer", "credentials": { "name": secret, "key": "token" } } },
        }] }));
    }
    let mut spec = json!({
        "route": {
            "receiver": "nobody",
            "matchers": [equals("tenant", &tenant.name_any())],
            "groupBy": TOGETHER,
            "groupWait": WAIT,
            "groupInterval": INTERVAL,
            "repeatInterval": repeat(alerting),
            "routes": routes,
        },
        "receivers": receivers,
    });
    if !alerting.mute_times.is_empty() {
        let interval = |m: &MuteTime| {
            let mut interval = json!({ "times": [{ "startTime": m.from, "endTime": m.to }] });
            if !m.weekdays.is_empty() {
                interval["weekdays"] = json!(weekdays(m));
            }
            json!({ "name": m.name, "timeIntervals": [interval] })
        };
        spec["muteTimeIntervals"] = alerting.mute_times.iter().map(interval).collect();
    }
    Some(spec)
}

fn repeat(alerting: &Alerting) -> String {
    format!("{}h", alerting.repeat_hours.unwrap_or(12))
}

fn weekdays(mute: &MuteTime) -> Vec<String> {
    let days = mute.weekdays.iter();
    days.map(|d| d.as_str().to_lowercase()).collect()
}

/// What a plain configuration needs besides tenants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Platform {
    /// Where Alertmanager finds secrets, a file each: `NAMESPACE.TENANT.slack`, `NAMESPACE.TENANT.bridge`, `platform.slack`.
    pub secrets: String,
    /// Channel for what is about no tenant that has alerting of its own: the watchers, above all.
    pub channel: Option<String>,
    /// What is told every minute that alerting works, and calls when it is not.
    pub heartbeat: Option<String>,
}

/// The configuration of an Alertmanager without the Prometheus Operator.
pub fn alertmanager_yml(tenants: &[MonitoredTenant], ways: &Ways, platform: &Platform) -> Value {
    let file = |name: String| format!("{}/{name}", platform.secrets.trim_end_matches('/'));
    let slack_of = |channel: &str, file: String| {
        json!({
            "api_url_file": file, "channel": channel, "send_resolved": true, "color": slack::COLOR,
            "title": slack::TITLE, "text": slack::text(ways.grafana.as_deref()), "fallback": slack::TITLE,
        })
    };
    let mut root = json!({ "name": "platform" });
    if let Some(channel) = &platform.channel {
        root["slack_configs"] = json!([slack_of(channel, file("platform.slack".into()))]);
    }
    let (mut receivers, mut routes, mut times) = (vec![root, json!({ "name": "nobody" })], vec![], vec![]);
    if let Some(url) = &platform.heartbeat {
        receivers.push(
            json!({ "name": "heartbeat", "webhook_configs": [{ "url": url, "send_resolved": false }] }),
        );
    }
    routes.push(json!({
        "matchers": ["alertname=\"Watchdog\""], "group_wait": "0s", "group_interval": "1m", "repeat_interval": "1m",
        "receiver": match platform.heartbeat { Some(_) => "heartbeat", None => "nobody" },
    }));
    for tenant in tenants {
        let Some(alerting) = &tenant.spec.alerting else {
            continue;
        };
        let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
        let own = format!("{namespace}.{name}");
        let legs = legs(alerting, ways);
        if legs.is_empty() {
            continue;
        }
        let ours = legs.iter().map(|leg| {
            let mut route = json!({
                "receiver": format!("{own}.{}", leg.receiver),
                "matchers": [format!("severity=\"{}\"", leg.severity.label())],
                "continue": true,
            });
            let mute = mute(alerting, leg.severity, |m| format!("{own}.{}", m.name));
            if !mute.is_empty() {
                route["mute_time_intervals"] = json!(mute);
            }
            route
        });
        routes.push(json!({
            "receiver": "nobody",
            "matchers": [format!("namespace=\"{namespace}\""), format!("tenant=\"{name}\"")],
            "group_by": TOGETHER, "group_wait": WAIT, "group_interval": INTERVAL, "repeat_interval": repeat(alerting),
            "routes": ours.collect::<Vec<_>>(),
        }));
        if let Some(slack) = &alerting.slack {
            let config = slack_of(&slack.channel, file(format!("{own}.slack")));
            receivers.push(json!({ "name": format!("{own}.slack"), "slack_configs": [config] }));
        }
        if let Some(url) = tickets(tenant, alerting, ways) {
            let authorization =
                json!({ "type": "Bearer", "credentials_file": file(format!("{own}.bridge")) });
            receivers.push(json!({ "name": format!("{own}.zendesk"), "webhook_configs": [{
                "url": url, "send_resolved": true, "max_alerts": MOST, "http_config": { "authorization": authorization },
            }] }));
        }
        times.extend(alerting.mute_times.iter().map(|m| {
            let mut interval = json!({ "times": [{ "start_time": m.from, "end_time": m.to }] });
            if !m.weekdays.is_empty() {
                interval["weekdays"] = json!(weekdays(m));
            }
            json!({ "name": format!("{own}.{}", m.name), "time_intervals": [interval] })
        }));
    }
    let mut all = json!({
        "route": {
            "receiver": "platform", "group_by": ["alertname", "region", "pool_namespace", "pool", "tenant", "probe", "severity"],
            "group_wait": WAIT, "group_interval": INTERVAL, "repeat_interval": "12h", "routes": routes,
        },
        "receivers": receivers,
    });
    if !times.is_empty() {
        all["time_intervals"] = times.into();
    }
    all
}
