//! Verdicts of Jobs, from the termination messages of their pods.

use super::{cron_job::POD_LABEL, plan_secret};
use crate::context::Context;
use drmwatch_api::DrmProbe;
use drmwatch_metrics::{Owner, SLOTS_EXPECTED, SLOTS_FINISHED, SLOTS_MISSED, SLOTS_STARTED, record_outcome};
use drmwatch_outcome::{Outcome, ProbeId, Reason, Verdict, VerdictRecord};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

/// Takes a pod that has ended in; gives its probe if it says something new.
pub fn fold(context: &Context, pod: &Pod) -> Option<ObjectRef<DrmProbe>> {
    let status = pod
        .status
        .as_ref()?
        .container_statuses
        .as_ref()?
        .first()?
        .state
        .as_ref()?
        .terminated
        .as_ref()?;
    let probe = plan_secret::probe_of(pod)?;
    let uid = pod.labels().get(POD_LABEL)?;
    let started = status
        .started_at
        .as_ref()
        .map(|t| t.0)
        .or(pod.creation_timestamp().map(|t| t.0))?;
    let outcome = match serde_json::from_str::<Outcome>(status.message.as_deref().unwrap_or_default()) {
        Ok(outcome) => outcome,
        // The runner could not say anything: it was killed, or broke.
        Err(_) => {
            let why = status.reason.as_deref().unwrap_or("no reason");
            let message = format!(
                "the probe's pod ended with code {} and no outcome ({why})",
                status.exit_code
            );
            Outcome::without_steps(Verdict::Inconclusive(Reason::InternalError), message, started)
        }
    };
    let annotations = pod.annotations();
    let id = ProbeId {
        namespace: probe.namespace.clone()?,
        tenant: annotations.get(plan_secret::TENANT).cloned().unwrap_or_default(),
        probe: probe.name.clone(),
    };
    let record = VerdictRecord {
        id: id.clone(),
        generation: annotations
            .get(plan_secret::GENERATION)
            .and_then(|g| g.parse().ok())
            .unwrap_or_default(),
        region: context.options.region.clone(),
        verdict: outcome.verdict,
        step: outcome.step.clone(),
        message: outcome.message.clone(),
        since: outcome.started_at,
    };
    // A pod is seen many times; its outcome counts once, and only if it is not older than what is known.
    if context
        .last_verdict(uid)
        .is_some_and(|last| last.since >= record.since)
    {
        return None;
    }
    let owner = Owner::probe(&id, &context.options.region);
    for metric in [&SLOTS_EXPECTED, &SLOTS_STARTED, &SLOTS_FINISHED] {
        context.metrics.add(metric, &owner, &[], 1);
    }
    context.metrics.add(&SLOTS_MISSED, &owner, &["late"], 0);
    record_outcome(&context.metrics, &owner, &outcome);
    context.verdict(uid, record).then_some(probe)
}
