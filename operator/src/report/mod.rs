//! SlaReports: a CronJob that delivers, in the namespace of the pool whose results are reported, and what came of it.

pub mod objects;
mod outcome;

use crate::{
    apply,
    conditions::{Status, Wanted, merge, reasons},
    context::Context,
    known::Feed,
    metered::{Error, controller, metered, retry},
};
use drmwatch_api::{MonitoredTenant, RunnerPool, SlaReport, SlaReportStatus, condition, find_condition};
use drmwatch_metrics::{Owner, REPORT_UNDELIVERED};
use drmwatch_plan::{Cron, Problem, ReportOutcome, compile_report};
use futures::StreamExt;
use k8s_openapi::{
    ByteString,
    api::{
        batch::v1::CronJob,
        core::v1::{Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, ResourceExt,
    api::ListParams,
    runtime::{
        controller::{Action, Config},
        watcher,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Holds a report back until what was made for it in another namespace has gone.
const FINALIZER: &str = "drmwatch.io/report";
/// How often tenants, Secrets and the pool are looked at anew: what is written monthly need not know within seconds.
const LOOK: Duration = Duration::from_secs(120);

/// Reconciles reports for as long as it is let.
pub async fn run(context: Arc<Context>, feed: Feed<SlaReport>) {
    let folded = context.clone();
    controller(&context, &context.reports, feed, |_: &SlaReport, _| {})
        .watches(
            Api::<Pod>::all(context.client.clone()),
            watcher::Config::default().timeout(200).labels(objects::UID_LABEL),
            move |pod| outcome::fold(&folded, &pod),
        )
        .with_config(
            Config::default()
                .concurrency(2)
                .debounce(Duration::from_millis(200)),
        )
        .run(
            |report, context| async move { metered(&*report, &context, reconcile(&report, &context)).await },
            retry,
            context.clone(),
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Exports which reports are not delivered, as their conditions said last: that outlives this operator, and pods.
fn tell(context: &Context) {
    let all = context.reports.all();
    let living = all.iter().filter(|r| r.metadata.deletion_timestamp.is_none());
    let mut labels: Vec<[String; 3]> = Vec::new();
    for report in living {
        let conditions = report
            .status
            .as_ref()
            .map(|s| s.conditions.as_slice())
            .unwrap_or_default();
        let is_false =
            |kind| find_condition(conditions, kind).is_some_and(|c| Status::of(c) == Status::False);
        for (kind, why) in [
            (condition::DELIVERED, "undelivered"),
            (condition::READY, "not_ready"),
        ] {
            if is_false(kind) {
                let namespace = report.namespace().unwrap_or_default();
                labels.push([namespace, report.name_any(), why.to_owned()]);
            }
        }
    }
    let labels: Vec<[&str; 3]> = labels.iter().map(|l| [l[0].as_str(), &l[1], &l[2]]).collect();
    context
        .metrics
        .replace_all(&REPORT_UNDELIVERED, &Owner::program(), &labels);
}

/// Why nothing can be delivered.
enum Stands {
    /// It is handed on.
    Handed { tenants: usize },
    /// It, or what it names, is wrong.
    Invalid(Vec<Problem>),
    /// Something that it names is not there.
    Missing(&'static str, String),
}

async fn reconcile(report: &SlaReport, context: &Context) -> Result<Action, Error> {
    let uid = report.uid().ok_or(Error::Missing("uid"))?;
    if report.metadata.deletion_timestamp.is_some() {
        withdraw(context, &uid, None).await?;
        apply::finalizer(context, report, FINALIZER, false).await?;
        context.forget_report(&report.namespace().unwrap_or_default(), &report.name_any(), &uid);
        tell(context);
        return Ok(Action::await_change());
    }
    apply::finalizer(context, report, FINALIZER, true).await?;
    let stands = hand_over(report, &uid, context).await?;
    let now = drmwatch_program::now();
    let before = report.status.clone().unwrap_or_default();
    let last = context.last_outcome(&uid);
    let ready = ready(&stands);
    let delivered = match &last {
        Some(outcome) => delivered(outcome),
        // An operator that starts anew has not seen the pod yet, or it is there no longer.
        None => match find_condition(&before.conditions, condition::DELIVERED) {
            Some(known) => Wanted::new(
                condition::DELIVERED,
                Status::of(known),
                &known.reason,
                &known.message,
            ),
            None => Wanted::new(
                condition::DELIVERED,
                Status::Unknown,
                reasons::NOTHING_DUE,
                "no report was due yet",
            ),
        },
    };
    let next = Cron::parse(&report.spec.schedule, Some(&report.spec.time_zone))
        .ok()
        .and_then(|cron| cron.next(now))
        .filter(|_| !report.spec.suspend);
    let generation = report.metadata.generation;
    let (conditions, transitions) = merge(&before.conditions, &[ready, delivered], generation, now);
    let after = SlaReportStatus {
        observed_generation: generation,
        next: next.map(Time),
        last_delivered: match last.as_ref().filter(|o| o.delivered > 0) {
            Some(outcome) => Some(Time(outcome.at)),
            None => before.last_delivered.clone(),
        },
        through: match last.as_ref().and_then(|o| o.through) {
            Some(day) => Some(day.to_string()),
            None => before.through.clone(),
        },
        conditions,
    };
    if after != before {
        apply::status(context, report, &after).await?;
    }
    tell(context);
    for news in &transitions {
        let good = news.status != Status::False;
        context.event(report, good, &news.reason, &news.message).await;
    }
    Ok(Action::requeue(LOOK))
}

/// Makes Secret and CronJob what they should be, and deletes those that lie elsewhere. What can't be read any more leaves
/// the last good plan as it is.
async fn hand_over(report: &SlaReport, uid: &str, context: &Context) -> Result<Stands, Error> {
    tokio::join!(context.tenants.filled(), context.pools.filled());
    let options = &context.options;
    let (namespace, name) = options.pool(report.spec.pool_ref.as_ref());
    let Some(pool) = context.pools.get(&name, &namespace) else {
        return Ok(Stands::Missing(
            reasons::POOL_MISSING,
            format!("there is no RunnerPool {namespace}/{name}"),
        ));
    };
    if pool.spec.results.is_none() {
        let message = format!(
            "RunnerPool {namespace}/{name} keeps no results (spec.results): there is nothing to report"
        );
        return Ok(Stands::Missing(reasons::NO_RESULTS, message));
    }
    let known = context.tenants.all();
    let living = known.iter().filter(|t| t.metadata.deletion_timestamp.is_none());
    let tenants: Vec<&MonitoredTenant> = living.map(|t| &**t).collect();
    let plan = match compile_report(report, &tenants, &pool.spec.egress) {
        Ok(plan) => plan,
        Err(problems) => return Ok(Stands::Invalid(problems)),
    };
    let values = match values(report, context).await? {
        Ok(values) => values,
        Err(missing) => return Ok(missing),
    };
    let about = plan.tenants.len();
    apply::apply(context, &objects::secret(&plan, values, &pool)?).await?;
    apply::apply(context, &objects::cron_job(&plan, report, &pool, options)?).await?;
    withdraw(context, uid, Some(&pool)).await?;
    Ok(Stands::Handed { tenants: about })
}

/// The values that recipients need, by the names under which they lie beside the plan.
async fn values(
    report: &SlaReport,
    context: &Context,
) -> Result<Result<BTreeMap<String, ByteString>, Stands>, Error> {
    let namespace = report.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    let mut values = BTreeMap::new();
    for recipient in &report.spec.recipients {
        let name = &recipient.name;
        if let Some(webhook) = &recipient.webhook {
            let wanted = [
                ("url", Some(&webhook.url_secret_ref)),
                ("hmac", webhook.hmac_secret_ref.as_ref()),
            ];
            for (what, reference) in wanted {
                let Some(reference) = reference else { continue };
                let secret = api.get_opt(&reference.name).await?;
                let data = secret.and_then(|s| s.data).unwrap_or_default();
                let Some(value) = data.get(&reference.key) else {
                    let message = format!(
                        "recipient {name}: there is no Secret {} with the key {}",
                        reference.name, reference.key
                    );
                    return Ok(Err(Stands::Missing(reasons::SECRET_MISSING, message)));
                };
                values.insert(format!("{name}.{what}"), value.clone());
            }
        }
        if let Some(secret) = recipient
            .objects
            .as_ref()
            .and_then(|o| o.credentials_secret.as_ref())
        {
            let Some(found) = api.get_opt(secret).await? else {
                let message = format!("recipient {name}: there is no Secret {secret}");
                return Ok(Err(Stands::Missing(reasons::SECRET_MISSING, message)));
            };
            let data = found.data.unwrap_or_default();
            values.extend(
                data.into_iter()
                    .map(|(key, value)| (format!("{name}.env.{key}"), value)),
            );
        }
    }
    Ok(Ok(values))
}

/// Deletes what was made for a report, but where it should be.
async fn withdraw(context: &Context, uid: &str, keep: Option<&RunnerPool>) -> Result<(), Error> {
    let keep = keep.and_then(ResourceExt::namespace);
    let own = ListParams::default().labels(&format!("{}={uid}", objects::UID_LABEL));
    let jobs: Api<CronJob> = Api::all(context.client.clone());
    for job in jobs.list_metadata(&own).await?.items {
        if job.namespace() != keep {
            apply::delete::<CronJob>(context, &job.namespace().unwrap_or_default(), &job.name_any()).await?;
        }
    }
    let secrets: Api<Secret> = Api::all(context.client.clone());
    for secret in secrets.list_metadata(&own).await?.items {
        if secret.namespace() != keep {
            apply::delete::<Secret>(
                context,
                &secret.namespace().unwrap_or_default(),
                &secret.name_any(),
            )
            .await?;
        }
    }
    Ok(())
}

fn ready(stands: &Stands) -> Wanted {
    let kind = condition::READY;
    match stands {
        Stands::Handed { tenants } => Wanted::new(
            kind,
            Status::True,
            reasons::SCHEDULED,
            format!("reports of {tenants} tenants are scheduled"),
        ),
        Stands::Missing(reason, message) => Wanted::new(kind, Status::False, *reason, message),
        Stands::Invalid(problems) => {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Wanted::new(kind, Status::False, reasons::INVALID, all.join("; "))
        }
    }
}

/// What came of the last round.
fn delivered(outcome: &ReportOutcome) -> Wanted {
    let kind = condition::DELIVERED;
    let Some(first) = outcome.undelivered.first() else {
        return match outcome.through {
            Some(day) => Wanted::new(
                kind,
                Status::True,
                reasons::DELIVERED,
                format!(
                    "every report through {day} is delivered, {} in the last round",
                    outcome.delivered
                ),
            ),
            None => Wanted::new(
                kind,
                Status::Unknown,
                reasons::NOTHING_DUE,
                "no report was due yet",
            ),
        };
    };
    let to = first
        .recipient
        .as_ref()
        .map_or(String::new(), |r| format!(" to {r}"));
    let more = match outcome.failed.saturating_sub(1) {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    let message = format!("{} from {}{to}: {}{more}", first.tenant, first.from, first.why);
    Wanted::new(kind, Status::False, reasons::UNDELIVERED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_plan::Undelivered;

    #[test]
    fn what_came_of_a_round_is_told() {
        let day = jiff::civil::date(2026, 10, 1);
        let mut outcome = ReportOutcome {
            generation: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            delivered: 2,
            empty: 0,
            through: Some(day),
            undelivered: Vec::new(),
            failed: 0,
        };
        let of = |outcome: &ReportOutcome| {
            let told = delivered(outcome);
            (told.status.as_str(), told.reason, told.message)
        };
        assert_eq!(
            of(&outcome),
            (
                "True",
                "Delivered".into(),
                "every report through 2026-10-01 is delivered, 2 in the last round".into()
            )
        );
        (outcome.through, outcome.delivered) = (None, 0);
        assert_eq!(of(&outcome).0, "Unknown");
        outcome.failed = 3;
        outcome.undelivered.push(Undelivered {
            tenant: "acme".into(),
            from: day,
            recipient: Some("customer".into()),
            why: "reports.example.com answered 500".into(),
        });
        assert_eq!(
            of(&outcome).2,
            "acme from 2026-10-01 to customer: reports.example.com answered 500 (and 2 more)"
        );
    }
}
