//! What came of deliveries, from the termination messages of their pods.

use super::objects::{NAME, NAMESPACE, UID_LABEL};
use crate::context::Context;
use drmwatch_api::SlaReport;
use drmwatch_plan::{ReportOutcome, Undelivered};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

/// Takes a pod that has ended in; gives its report if it says something new.
pub fn fold(context: &Context, pod: &Pod) -> Option<ObjectRef<SlaReport>> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = statuses.first()?.state.as_ref()?.terminated.as_ref()?;
    let uid = pod.labels().get(UID_LABEL)?;
    let (name, namespace) = (pod.annotations().get(NAME)?, pod.annotations().get(NAMESPACE)?);
    let said = serde_json::from_str::<ReportOutcome>(ended.message.as_deref().unwrap_or_default());
    let outcome = said.unwrap_or_else(|_| {
        // It was killed, or broke before it could say anything.
        let why = ended.reason.as_deref().unwrap_or("no reason");
        let at = ended
            .finished_at
            .as_ref()
            .map(|t| t.0)
            .or(pod.creation_timestamp().map(|t| t.0));
        let at = at.unwrap_or_default();
        ReportOutcome {
            generation: 0,
            at,
            delivered: 0,
            empty: 0,
            through: None,
            undelivered: vec![Undelivered {
                tenant: "every tenant".into(),
                from: at.to_zoned(jiff::tz::TimeZone::UTC).date(),
                recipient: None,
                why: format!(
                    "pod {} ended with code {} and no outcome ({why}); its log says more",
                    pod.name_any(),
                    ended.exit_code
                ),
            }],
            failed: 1,
        }
    });
    context
        .outcome(uid, outcome)
        .then(|| ObjectRef::new(name).within(namespace))
}
