//! MonitoredTenants: services become default probes, objectives rules, alerting routes; health is summed up.

mod alerting;
mod objectives;

use crate::{
    apply,
    changes::Generations,
    conditions::{Status, Wanted, merge, reasons},
    context::Context,
    known::Feed,
    metered::{Error, controller, metered, retry},
};
use drmwatch_api::{DrmProbe, MonitoredTenant, MonitoredTenantStatus, condition, find_condition};
use drmwatch_plan::{check_tenant, default_probes};
use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource, ResourceExt,
    runtime::{
        controller::{Action, Config},
        reflector::ObjectRef,
    },
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// Label of a probe that was made from a service.
const SERVICE_LABEL: &str = "drmwatch.io/service";

/// When Secrets that alerting refers to are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// The same while one of them is not there.
const LOOK_AGAIN_SOON: Duration = Duration::from_secs(20);

/// Reconciles tenants for as long as it is let: those that change, and those whose probes do.
pub async fn run(
    context: Arc<Context>,
    feed: Feed<MonitoredTenant>,
    told: UnboundedSender<ObjectRef<MonitoredTenant>>,
    probes: impl Stream<Item = ObjectRef<MonitoredTenant>> + Send + 'static,
) {
    let generations = Generations::default();
    controller(
        &context,
        &context.tenants,
        feed,
        move |tenant: &MonitoredTenant, gone| {
            if generations.changed(tenant, gone) {
                let _ = told.send(ObjectRef::from_obj(tenant));
            }
        },
    )
    .reconcile_on(probes)
    .with_config(
        Config::default()
            .concurrency(4)
            .debounce(Duration::from_millis(200)),
    )
    .run(
        |tenant, context| async move { metered(&*tenant, &context, reconcile(&tenant, &context)).await },
        retry,
        context,
    )
    .for_each(|_| std::future::ready(()))
    .await;
}

async fn reconcile(tenant: &MonitoredTenant, context: &Context) -> Result<Action, Error> {
    if tenant.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = tenant.namespace().ok_or(Error::Missing("namespace"))?;
    let own = |p: &DrmProbe| {
        p.spec.tenant_ref.name == tenant.name_any() && p.namespace().as_deref() == Some(&namespace)
    };
    // A store that is still being filled would say of a tenant that its probes are gone.
    context.probes.filled().await;
    let existing = context.probes.all();
    let existing = existing.iter().filter(|p| own(p));
    let mut existing: Vec<DrmProbe> = existing.map(|p| (**p).clone()).collect();
    // A store has no order; of several probes that fail the first by name is told, always the same.
    existing.sort_by_key(ResourceExt::name_any);
    let problems = check_tenant(tenant);
    let wanted = if problems.is_empty() {
        default_probes(tenant)
    } else {
        Vec::new()
    };
    for probe in &wanted {
        apply::apply(context, &owned(tenant, probe.clone())).await?;
    }
    let kept: BTreeSet<String> = wanted.iter().map(ResourceExt::name_any).collect();
    for gone in existing
        .iter()
        .filter(|p| problems.is_empty() && made_by(p, tenant) && !kept.contains(&p.name_any()))
    {
        apply::delete::<DrmProbe>(context, &namespace, &gone.name_any()).await?;
    }
    let ready = match problems.first() {
        None => Wanted::new(
            condition::READY,
            Status::True,
            reasons::ACCEPTED,
            "every service has its probe",
        ),
        Some(problem) => Wanted::new(
            condition::READY,
            Status::False,
            reasons::INVALID,
            problem.to_string(),
        ),
    };
    let present: Vec<DrmProbe> = existing
        .into_iter()
        .filter(|p| p.metadata.deletion_timestamp.is_none())
        .collect();
    // What was just made is not in the list yet, and must not be left out of the sum: "all pass" would
    // be said of a tenant whose probes are still to run.
    let awaited = kept
        .iter()
        .filter(|name| !present.iter().any(|p| p.name_any() == **name))
        .count();
    let health = sum(tenant.spec.suspend, &present, awaited);
    let mut wanted = vec![ready, health];
    if problems.is_empty() {
        wanted.extend(objectives::write(tenant, &present, context).await?);
        wanted.extend(alerting::write(tenant, context).await?);
    }
    status(tenant, context, &wanted, &present, awaited).await?;
    // Secrets that alerting refers to are not watched.
    let ready = wanted
        .iter()
        .all(|w| w.kind != condition::ALERTING_READY || w.status == Status::True);
    Ok(match (&tenant.spec.alerting, ready) {
        (None, _) => Action::await_change(),
        (Some(_), true) => Action::requeue(LOOK_AGAIN),
        (Some(_), false) => Action::requeue(LOOK_AGAIN_SOON),
    })
}

/// A default probe as the tenant's property: it goes when the tenant goes.
fn owned(tenant: &MonitoredTenant, mut probe: DrmProbe) -> DrmProbe {
    let service = probe
        .name_any()
        .strip_prefix(&format!("{}-", tenant.name_any()))
        .unwrap_or_default()
        .to_owned();
    probe.metadata.owner_references = tenant.controller_owner_ref(&()).map(|owner| vec![owner]);
    probe.metadata.labels = Some([(SERVICE_LABEL.to_owned(), service)].into());
    probe
}

fn made_by(probe: &DrmProbe, tenant: &MonitoredTenant) -> bool {
    probe
        .owner_references()
        .iter()
        .any(|o| Some(&o.uid) == tenant.metadata.uid.as_ref())
}

/// Health of a tenant: that of its worst probe.
fn sum(suspended: bool, probes: &[DrmProbe], awaited: usize) -> Wanted {
    let kind = condition::HEALTHY;
    if suspended {
        return Wanted::new(kind, Status::Unknown, reasons::SUSPENDED, "spec.suspend is true");
    }
    let health =
        |p: &DrmProbe| -> Option<Condition> { find_condition(&p.status.as_ref()?.conditions, kind).cloned() };
    let with = |status: &str| -> Vec<(String, Condition)> {
        let named = probes.iter().filter_map(|p| Some((p.name_any(), health(p)?)));
        named.filter(|(_, c)| c.status == status).collect()
    };
    let failing = with("False");
    if let [(name, first), rest @ ..] = failing.as_slice() {
        let more = if rest.is_empty() {
            String::new()
        } else {
            format!(" (and {} more)", rest.len())
        };
        return Wanted::new(
            kind,
            Status::False,
            first.reason.clone(),
            format!("{name}: {}{more}", first.message),
        );
    }
    let passing = with("True").len();
    if passing == probes.len() && passing > 0 && awaited == 0 {
        return Wanted::new(
            kind,
            Status::True,
            reasons::ALL_PASS,
            format!("all {passing} probes pass"),
        );
    }
    match with("Unknown").first() {
        Some((name, first)) => Wanted::new(
            kind,
            Status::Unknown,
            first.reason.clone(),
            format!("{name}: {}", first.message),
        ),
        None if probes.is_empty() && awaited == 0 => Wanted::new(
            kind,
            Status::Unknown,
            reasons::NO_PROBES,
            "the tenant has no probe",
        ),
        None => Wanted::new(
            kind,
            Status::Unknown,
            reasons::AWAITING_FIRST_RUN,
            "no verdict yet",
        ),
    }
}

async fn status(
    tenant: &MonitoredTenant,
    context: &Context,
    wanted: &[Wanted],
    probes: &[DrmProbe],
    awaited: usize,
) -> Result<(), Error> {
    let before = tenant.status.clone().unwrap_or_default();
    let now = drmwatch_program::now();
    let failing = probes
        .iter()
        .filter(|p| {
            p.status.iter().any(|s| {
                find_condition(&s.conditions, condition::HEALTHY)
                    .is_some_and(|c| Status::of(c) == Status::False)
            })
        })
        .count();
    let (conditions, transitions) = merge(&before.conditions, wanted, tenant.metadata.generation, now);
    let after = MonitoredTenantStatus {
        observed_generation: tenant.metadata.generation,
        probes: Some((probes.len() + awaited) as i32),
        failing: Some(failing as i32),
        conditions,
    };
    if after == before {
        return Ok(());
    }
    apply::status(context, tenant, &after).await?;
    for news in transitions {
        context
            .event(tenant, news.status != Status::False, &news.reason, &news.message)
            .await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn probe(name: &str, healthy: Option<(&str, &str)>) -> DrmProbe {
        let conditions = healthy.map(|(status, reason)| {
            json!([{ "type": "Healthy", "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-23T00:00:00Z" }])
        });
        serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe", "metadata": { "name": name },
            "spec": { "tenantRef": { "name": "t" }, "schedule": { "intervalSeconds": 60 }, "steps": [] },
            "status": { "conditions": conditions.unwrap_or(json!([])) },
        }))
        .unwrap()
    }

    #[test]
    fn a_tenant_is_as_healthy_as_its_worst_probe_and_not_before_all_have_run() {
        let (pass, fail) = (Some(("True", "Pass")), Some(("False", "ManifestStale")));
        let check = |probes: &[DrmProbe], awaited, expected: (&str, &str)| {
            let wanted = sum(false, probes, awaited);
            assert_eq!(
                (wanted.status.as_str(), wanted.reason.as_str()),
                expected,
                "{}",
                wanted.message
            );
        };
        check(&[], 0, ("Unknown", "NoProbes"));
        check(&[], 1, ("Unknown", "AwaitingFirstRun"));
        check(&[probe("a", pass)], 0, ("True", "AllPass"));
        check(&[probe("a", pass)], 1, ("Unknown", "AwaitingFirstRun"));
        check(
            &[probe("a", pass), probe("b", None)],
            0,
            ("Unknown", "AwaitingFirstRun"),
        );
        check(
            &[probe("a", pass), probe("b", fail)],
            0,
            ("False", "ManifestStale"),
        );
        check(
            &[probe("a", pass), probe("b", Some(("Unknown", "LocalDns")))],
            0,
            ("Unknown", "LocalDns"),
        );
    }
}
