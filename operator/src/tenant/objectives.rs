//! A tenant's objectives, as rules in its own namespace: it is by their namespace that the Prometheus Operator keeps the
//! alerts of tenants apart.

use crate::{
    apply,
    conditions::{Status, Wanted, reasons},
    context::Context,
    metered::Error,
    options::{ObjectivesAs, RulesScope},
};
use drmwatch_alerts::{Objectives, RuleFile, Scope, objectives};
use drmwatch_api::{DrmProbe, MonitoredTenant, condition, find_condition};
use drmwatch_plan::Due;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{CustomResource, Resource, ResourceExt, api::ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Label of a ConfigMap that holds a rule file.
const RULES_LABEL: &str = "drmwatch.io/rules";

/// `PrometheusRule` of the Prometheus Operator, as far as it is written here.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PrometheusRule",
    namespaced,
    schema = "disabled"
)]
pub struct PrometheusRuleSpec {
    groups: Value,
}

/// Makes the rules what they should be; what is to be said of them, of a tenant that has objectives.
pub async fn write(
    tenant: &MonitoredTenant,
    probes: &[DrmProbe],
    context: &Context,
) -> Result<Option<Wanted>, Error> {
    let kind = condition::OBJECTIVES_READY;
    let conditions = tenant.status.iter().flat_map(|s| &s.conditions).cloned();
    let before: Vec<_> = conditions.collect();
    let (namespace, name) = (tenant.namespace().unwrap_or_default(), name(tenant));
    if tenant.spec.objectives.is_empty() {
        // Without the condition there were none before either.
        if find_condition(&before, kind).is_some() {
            match context.options.objectives {
                ObjectivesAs::None => {}
                ObjectivesAs::PrometheusRule => {
                    apply::delete::<PrometheusRule>(context, &namespace, &name).await?
                }
                ObjectivesAs::ConfigMap => apply::delete::<ConfigMap>(context, &namespace, &name).await?,
            }
        }
        return Ok(None);
    }
    let now = drmwatch_program::now();
    let gap = |p: &DrmProbe| Due::gap_of(&p.spec.schedule, now) as u32;
    let probes: BTreeMap<String, u32> = probes.iter().map(|p| (p.name_any(), gap(p))).collect();
    let scope = match context.options.rules_scope {
        RulesScope::Regional => Scope::Regional,
        RulesScope::Global => Scope::Global,
    };
    let made = objectives(tenant, &probes, scope);
    let file = made.file.clone().runbooks_at(&context.options.runbooks);
    let written = match context.options.objectives {
        ObjectivesAs::None => {
            let why = "this release makes no rules of objectives (value rules of the chart)";
            return Ok(Some(Wanted::new(kind, Status::Unknown, reasons::NOT_HERE, why)));
        }
        ObjectivesAs::PrometheusRule => {
            apply::apply(context, &prometheus_rule(tenant, &file, context)?).await
        }
        ObjectivesAs::ConfigMap => apply::apply(context, &config_map(tenant, &file, context)?).await,
    };
    match written {
        Err(Error::Api(kube::Error::Api(status))) if status.code == 404 => {
            let why = "there is no PrometheusRule in this cluster: install the Prometheus Operator, or set rules.configMap of the chart";
            Ok(Some(Wanted::new(
                kind,
                Status::False,
                reasons::NOT_INSTALLED,
                why,
            )))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(Some(said(&made, &namespace, &name))),
    }
}

/// What is to be said of objectives that have become rules.
fn said(made: &Objectives, namespace: &str, name: &str) -> Wanted {
    let kind = condition::OBJECTIVES_READY;
    if !made.unknown.is_empty() {
        let which = made.unknown.join(", ");
        let text = format!("objectives name probes that the tenant does not have: {which}");
        return Wanted::new(kind, Status::False, reasons::UNKNOWN_PROBE, text);
    }
    match made.cautions.is_empty() {
        true => Wanted::new(
            kind,
            Status::True,
            reasons::RULES_WRITTEN,
            format!("the rules are {namespace}/{name}"),
        ),
        false => Wanted::new(kind, Status::True, reasons::CAUTION, made.cautions.join("; ")),
    }
}

fn name(tenant: &MonitoredTenant) -> String {
    format!("drmwatch-{}", tenant.name_any())
}

fn metadata(tenant: &MonitoredTenant, context: &Context) -> ObjectMeta {
    ObjectMeta {
        name: Some(name(tenant)),
        namespace: tenant.namespace(),
        labels: Some(context.options.rules_labels.iter().cloned().collect()),
        owner_references: tenant.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn prometheus_rule(
    tenant: &MonitoredTenant,
    file: &RuleFile,
    context: &Context,
) -> Result<PrometheusRule, Error> {
    let groups = serde_json::to_value(&file.groups)?;
    let mut rule = PrometheusRule::new("", PrometheusRuleSpec { groups });
    rule.metadata = metadata(tenant, context);
    Ok(rule)
}

fn config_map(tenant: &MonitoredTenant, file: &RuleFile, context: &Context) -> Result<ConfigMap, Error> {
    let head = "Made by drmwatch of the tenant's objectives; changes are undone.";
    let text = file.yaml(head).map_err(|e| Error::Rules(e.to_string()))?;
    let mut metadata = metadata(tenant, context);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(RULES_LABEL.to_owned(), "true".to_owned());
    // Rule files of all tenants may end up in one folder.
    let key = format!(
        "{}.{}.yaml",
        tenant.namespace().unwrap_or_default(),
        tenant.name_any()
    );
    Ok(ConfigMap {
        metadata,
        data: Some([(key, text)].into()),
        ..ConfigMap::default()
    })
}
