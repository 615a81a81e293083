//! Where a tenant's alerts go, as an AlertmanagerConfig in its own namespace: the Prometheus Operator sees to it that it gets
//! the alerts of that namespace and no others. Beside it lies the token by which the ticket bridge knows the tenant.

use crate::{
    apply,
    conditions::{Status, Wanted, reasons},
    context::Context,
    metered::Error,
};
use drmwatch_alerts::{Ways, alertmanager_config, bridge_secret};
use drmwatch_api::{Alerting, MonitoredTenant, condition, find_condition};
use drmwatch_tickets::Key;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, CustomResource, Resource, ResourceExt, api::ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;

/// `AlertmanagerConfig` of the Prometheus Operator, as far as it is written here.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1alpha1",
    kind = "AlertmanagerConfig",
    namespaced,
    schema = "disabled"
)]
pub struct AlertmanagerConfigSpec {
    #[serde(flatten)]
    all: Value,
}

/// What is in the way of some or all of a tenant's alerts.
struct Obstacle {
    reason: &'static str,
    message: String,
}

fn obstacle(reason: &'static str, message: impl Into<String>) -> Obstacle {
    Obstacle {
        reason,
        message: message.into(),
    }
}

/// Makes the configuration what it should be; what is to be said of it, of a tenant that has alerting.
pub async fn write(tenant: &MonitoredTenant, context: &Context) -> Result<Option<Wanted>, Error> {
    let kind = condition::ALERTING_READY;
    let namespace = tenant.namespace().unwrap_or_default();
    let (name, secret) = (name(tenant), bridge_secret(&tenant.name_any()));
    let before: Vec<_> = tenant
        .status
        .iter()
        .flat_map(|s| &s.conditions)
        .cloned()
        .collect();
    let was = find_condition(&before, kind).is_some();
    let options = &context.options;
    let Some(alerting) = &tenant.spec.alerting else {
        // Without the condition there was nothing before either.
        if was && options.alertmanager_config {
            apply::delete::<AlertmanagerConfig>(context, &namespace, &name).await?;
            apply::delete::<Secret>(context, &namespace, &secret).await?;
        }
        return Ok(None);
    };
    if !options.alertmanager_config {
        let why = "this release writes no AlertmanagerConfig (value alerting of the chart); `drmwatch alertmanager` renders a configuration";
        return Ok(Some(Wanted::new(kind, Status::Unknown, reasons::NOT_HERE, why)));
    }
    let (possible, key, obstacles) = possible(alerting, &namespace, context).await?;
    let ways = Ways {
        bridge: options.bridge.clone(),
        grafana: options.grafana.clone(),
    };
    let mut tenant = tenant.clone();
    tenant.spec.alerting = Some(possible);
    if let Some(key) = key {
        apply::apply(context, &token(&tenant, &key)).await?;
    } else if was {
        apply::delete_if_present::<Secret>(context, &namespace, &secret).await?;
    }
    let written = match alertmanager_config(&tenant, &ways) {
        Some(spec) => apply::apply(context, &config(&tenant, spec, context)).await,
        None => apply::delete_if_present::<AlertmanagerConfig>(context, &namespace, &name).await,
    };
    match written {
        Err(Error::Api(kube::Error::Api(status))) if status.code == 404 => {
            let why = "there is no AlertmanagerConfig in this cluster: install the Prometheus Operator, or render a configuration with `drmwatch alertmanager`";
            return Ok(Some(Wanted::new(
                kind,
                Status::False,
                reasons::NOT_INSTALLED,
                why,
            )));
        }
        other => other?,
    }
    Ok(Some(match obstacles.first() {
        None => Wanted::new(
            kind,
            Status::True,
            reasons::CONFIGURED,
            format!("the configuration is AlertmanagerConfig {namespace}/{name}"),
        ),
        Some(first) => {
            let all: Vec<&str> = obstacles.iter().map(|o| o.message.as_str()).collect();
            Wanted::new(kind, Status::False, first.reason, all.join("; "))
        }
    }))
}

/// What of the alerting is possible, the bridge's key if it needs one, and what is in the way of the rest. A configuration
/// that names a Secret that is not there would be left out as a whole by the Prometheus Operator, tickets and all.
async fn possible(
    alerting: &Alerting,
    namespace: &str,
    context: &Context,
) -> Result<(Alerting, Option<Key>, Vec<Obstacle>), Error> {
    let (mut possible, mut obstacles) = (alerting.clone(), Vec::new());
    if let Some(slack) = &alerting.slack {
        let (name, key) = (&slack.webhook_secret_ref.name, &slack.webhook_secret_ref.key);
        let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
        let secret = api.get_opt(name).await?;
        let value = secret.as_ref().and_then(|s| s.data.as_ref()?.get(key));
        let url = value.and_then(|v| std::str::from_utf8(&v.0).ok());
        let wrong = match (&secret, url) {
            (None, _) => Some(format!(
                "there must be a Secret {name} with the URL of Slack's webhook"
            )),
            (_, Some(url)) if url.trim().starts_with("https://") || url.trim().starts_with("http://") => None,
            (_, Some(_)) => Some(format!("key {key} of Secret {name} must be a URL")),
            (_, None) => Some(format!("Secret {name} must have the key {key}")),
        };
        if let Some(message) = wrong {
            possible.slack = None;
            obstacles.push(obstacle(reasons::UNKNOWN_SECRET, message));
        }
    }
    let mut token = None;
    if alerting.zendesk.is_some() {
        let options = &context.options;
        let read = options.bridge_key_file.as_ref().map(fs::read_to_string);
        let key = match (&options.bridge, read) {
            (Some(_), Some(Ok(text))) => {
                Key::parse(&text).map_err(|e| obstacle(reasons::BRIDGE_KEY_UNUSABLE, e.to_string()))
            }
            (Some(_), Some(Err(error))) => Err(obstacle(
                reasons::BRIDGE_KEY_UNUSABLE,
                format!("the bridge's key can't be read: {error}"),
            )),
            _ => Err(obstacle(
                reasons::NO_BRIDGE,
                "spec.alerting.zendesk needs the ticket bridge, which this release does not have (value bridge of the chart)",
            )),
        };
        match key {
            Ok(key) => token = Some(key),
            Err(why) => {
                possible.zendesk = None;
                obstacles.push(why);
            }
        }
    }
    Ok((possible, token, obstacles))
}

fn name(tenant: &MonitoredTenant) -> String {
    format!("drmwatch-{}", tenant.name_any())
}

fn metadata(tenant: &MonitoredTenant, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: tenant.namespace(),
        owner_references: tenant.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn config(tenant: &MonitoredTenant, spec: Value, context: &Context) -> AlertmanagerConfig {
    let mut config = AlertmanagerConfig::new("", AlertmanagerConfigSpec { all: spec });
    config.metadata = metadata(tenant, name(tenant));
    config.metadata.labels = Some(context.options.rules_labels.iter().cloned().collect());
    config
}

fn token(tenant: &MonitoredTenant, key: &Key) -> Secret {
    let token = key.token(&tenant.namespace().unwrap_or_default(), &tenant.name_any());
    Secret {
        metadata: metadata(tenant, bridge_secret(&tenant.name_any())),
        data: Some([("token".to_owned(), ByteString(token.into_bytes()))].into()),
        ..Secret::default()
    }
}
