//! Conditions of a probe.

use super::dereference::Missing;
use crate::{
    apply,
    conditions::{Status, Wanted, merge, reasons},
    context::Context,
    metered::Error,
};
use drmwatch_api::{DrmProbe, DrmProbeStatus, PlanRef, condition, find_condition};
use drmwatch_outcome::{Verdict, VerdictRecord};
use drmwatch_plan::{Plan, Problem};
use kube::ResourceExt;

/// How far a probe has come.
pub enum Readiness {
    /// Its plan is with its pool.
    Delivered {
        at: PlanRef,
        pool: String,
        suspended: bool,
        plan: Box<Plan>,
    },
    /// It does not run in this release's region.
    OtherRegion,
    /// Something that it refers to is not there.
    Missing(Missing),
    /// It can't be compiled.
    Invalid(Vec<Problem>),
}

impl From<&Missing> for Readiness {
    fn from(missing: &Missing) -> Readiness {
        Readiness::Missing(missing.clone())
    }
}

impl Readiness {
    /// Whether a plan that runs must stop. A Secret that is missing, or a mistake in an edit, must not
    /// silence a probe: the last good plan goes on while the condition tells.
    pub fn stops(&self) -> bool {
        matches!(
            self,
            Readiness::OtherRegion | Readiness::Missing(Missing::Tenant { .. } | Missing::Pool { .. })
        )
    }

    fn condition(&self) -> Wanted {
        let is =
            |status, reason: &str, message: String| Wanted::new(condition::READY, status, reason, message);
        match self {
            Readiness::Delivered { suspended: true, .. } => is(
                Status::True,
                reasons::SUSPENDED,
                "the plan is delivered; no slot is due".into(),
            ),
            Readiness::Delivered { at, .. } => is(
                Status::True,
                reasons::PLAN_DELIVERED,
                format!("the plan is {}/{}", at.namespace, at.name),
            ),
            Readiness::OtherRegion => is(
                Status::True,
                reasons::OTHER_REGION,
                "the probe does not run in this region".into(),
            ),
            Readiness::Invalid(problems) => {
                let texts: Vec<String> = problems.iter().take(10).map(ToString::to_string).collect();
                is(Status::False, reasons::INVALID_PROBE, texts.join("; "))
            }
            Readiness::Missing(missing) => match missing {
                Missing::Tenant { name } => is(
                    Status::False,
                    reasons::TENANT_NOT_FOUND,
                    format!("there is no MonitoredTenant {name} in this namespace"),
                ),
                Missing::Pool { namespace, name } => is(
                    Status::False,
                    reasons::POOL_NOT_FOUND,
                    format!("there is no RunnerPool {name} in namespace {namespace}"),
                ),
                Missing::Secret { credential, name } => is(
                    Status::False,
                    reasons::SECRET_NOT_FOUND,
                    format!(
                        "the credential {credential} needs the Secret {name}, which is not in this namespace"
                    ),
                ),
                Missing::Key {
                    credential,
                    name,
                    key,
                } => is(
                    Status::False,
                    reasons::SECRET_KEY_NOT_FOUND,
                    format!(
                        "the credential {credential} needs the key {key}, which the Secret {name} does not have"
                    ),
                ),
                Missing::NotText {
                    credential,
                    name,
                    key,
                } => is(
                    Status::False,
                    reasons::SECRET_NOT_TEXT,
                    format!(
                        "the credential {credential} must be text, and the key {key} of the Secret {name} is not UTF-8"
                    ),
                ),
                Missing::Unusable(unusable) => {
                    let texts: Vec<String> = unusable.iter().take(10).map(ToString::to_string).collect();
                    is(Status::False, reasons::CREDENTIAL_UNUSABLE, texts.join("; "))
                }
            },
        }
    }
}

/// What the last verdict says, while there is a plan for it to speak of.
fn health(readiness: &Readiness, verdict: Option<VerdictRecord>, before: &DrmProbeStatus) -> Wanted {
    let is = |status, reason: &str, message: String| Wanted::new(condition::HEALTHY, status, reason, message);
    match readiness {
        Readiness::Delivered { suspended: true, .. } => {
            return is(Status::Unknown, reasons::SUSPENDED, "no slot is due".into());
        }
        Readiness::OtherRegion => {
            return is(
                Status::Unknown,
                reasons::OTHER_REGION,
                "the probe does not run in this region".into(),
            );
        }
        ready if ready.stops() => {
            return is(
                Status::Unknown,
                reasons::NOT_RUNNING,
                "the probe has no plan; see the condition Ready".into(),
            );
        }
        _ => {}
    }
    let Some(record) = verdict else {
        // A restarted operator has not heard of verdicts yet: what is written stays true until it has.
        return match find_condition(&before.conditions, condition::HEALTHY) {
            Some(old)
                if ![reasons::SUSPENDED, reasons::OTHER_REGION, reasons::NOT_RUNNING]
                    .contains(&old.reason.as_str()) =>
            {
                Wanted {
                    kind: condition::HEALTHY,
                    status: Status::of(old),
                    reason: old.reason.clone(),
                    message: old.message.clone(),
                }
            }
            _ => is(
                Status::Unknown,
                reasons::AWAITING_FIRST_RUN,
                "the probe has not run yet".into(),
            ),
        };
    };
    let step = record.step.map(|s| format!("{s}: ")).unwrap_or_default();
    let message = format!("{step}{}", record.message);
    match record.verdict {
        Verdict::Pass => is(Status::True, reasons::PASS, "every step passes".into()),
        Verdict::Fail(reason) => is(Status::False, reason.as_str(), message),
        Verdict::Inconclusive(reason) => is(Status::Unknown, reason.as_str(), message),
    }
}

/// Writes the status, if it differs, and tells of transitions.
pub async fn write(probe: &DrmProbe, context: &Context, readiness: &Readiness) -> Result<(), Error> {
    let before = probe.status.clone().unwrap_or_default();
    let ready = readiness.condition();
    let verdict = context.last_verdict(&probe.uid().unwrap_or_default());
    let health = health(readiness, verdict, &before);
    let now = drmwatch_program::now();
    let (conditions, transitions) = merge(
        &before.conditions,
        &[ready, health],
        probe.metadata.generation,
        now,
    );
    let plan_ref = match readiness {
        Readiness::Delivered { at, .. } => Some(at.clone()),
        other if other.stops() => None,
        _ => before.plan_ref.clone(),
    };
    let after = DrmProbeStatus {
        observed_generation: probe.metadata.generation,
        plan_ref,
        conditions,
    };
    if after == before {
        return Ok(());
    }
    apply::status(context, probe, &after).await?;
    // That all is as it should be with what is new is no news: ten thousand probes would make as many Events.
    let first = before.conditions.is_empty();
    for news in transitions
        .into_iter()
        .filter(|news| !first || news.status == Status::False)
    {
        context
            .event(probe, news.status != Status::False, &news.reason, &news.message)
            .await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_outcome::{ProbeId, Reason};

    fn record(verdict: Verdict) -> VerdictRecord {
        VerdictRecord {
            id: ProbeId {
                namespace: "n".into(),
                tenant: "t".into(),
                probe: "p".into(),
            },
            generation: 1,
            region: "eu".into(),
            verdict,
            step: Some("stream".into()),
            message: "stands still".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_missing_secret_keeps_the_last_verdict_and_a_missing_tenant_does_not() {
        let none = DrmProbeStatus::default();
        let fails = || Some(record(Verdict::Fail(Reason::ManifestStale)));
        let missing = Readiness::Missing(Missing::Secret {
            credential: "c".into(),
            name: "s".into(),
        });
        let wanted = health(&missing, fails(), &none);
        assert_eq!(
            (
                wanted.status.as_str(),
                wanted.reason.as_str(),
                wanted.message.as_str()
            ),
            ("False", "ManifestStale", "stream: stands still")
        );
        let gone = Readiness::Missing(Missing::Tenant { name: "t".into() });
        assert_eq!(health(&gone, fails(), &none).status.as_str(), "Unknown");
        assert_eq!(health(&missing, None, &none).reason, "AwaitingFirstRun");
        assert_eq!(
            health(
                &missing,
                Some(record(Verdict::Inconclusive(Reason::LocalDns))),
                &none
            )
            .status,
            Status::Unknown
        );
    }
}
