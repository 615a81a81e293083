//! DrmProbes: plans, CronJobs, conditions.

pub mod cron_job;
mod dereference;
mod job_outcome;
mod plan_secret;
mod status;
mod verdict_map;

use crate::{
    apply,
    context::Context,
    known::{Feed, Known, known},
    metered::{Error, controller, metered, retry},
    window,
};
use dereference::Found;
use drmwatch_api::{DrmProbe, Execution, MonitoredTenant, PlanRef, RunnerPool};
use drmwatch_metrics::{MAINTENANCE, Owner, PROBE_INFO, WATCHED_SINCE};
use drmwatch_outcome::ProbeId;
use drmwatch_plan::contract;
use drmwatch_plan::{Assignment, Effects, Plan, assign, compile};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::{
    batch::v1::CronJob,
    core::v1::{ConfigMap, Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use status::Readiness;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// For how long the status of a new probe waits in a flood of others, and up to as long again.
const POSTPONED: Duration = Duration::from_secs(20);
/// Holds a probe back until its plan, which lies in another namespace, has gone.
const FINALIZER: &str = "drmwatch.io/plan";

/// Reconciles probes for as long as it is let: those that change, and those of what changes.
pub async fn run(
    context: Arc<Context>,
    feed: Feed<DrmProbe>,
    told: UnboundedSender<ObjectRef<MonitoredTenant>>,
    tenants: impl Stream<Item = ObjectRef<MonitoredTenant>> + Send + 'static,
    pools: impl Stream<Item = ObjectRef<RunnerPool>> + Send + 'static,
) {
    let client = || context.client.clone();
    let watched = || watcher::Config::default().timeout(200);
    let controller = controller(&context, &context.probes, feed, move |probe: &DrmProbe, _| {
        let namespace = probe.namespace().unwrap_or_default();
        let _ = told.send(ObjectRef::new(&probe.spec.tenant_ref.name).within(&namespace));
    });
    let store = context.probes.store();
    // Values are read only by the reconcile that needs them: the watch carries metadata alone. Plans are
    // Secrets too, but ours.
    let secrets = || Api::<PartialObjectMeta<Secret>>::all(client());
    let of_tenants = {
        let store = store.clone();
        tenants.flat_map(move |tenant| {
            stream::iter(of(&store, |p| {
                p.namespace() == tenant.namespace && p.spec.tenant_ref.name == tenant.name
            }))
        })
    };
    let of_pools = pools.flat_map(move |_| stream::iter(of(&store, |_| true)));
    let (users, folded) = (context.clone(), context.clone());
    let (ran, wrote) = (context.clone(), context.clone());
    let made_by_us = || watched().labels(contract::PROBE_UID);
    let (cron_jobs, feed) = known();
    let of_cron_jobs = watcher(Api::<PartialObjectMeta<CronJob>>::all(client()), made_by_us());
    let of_cron_jobs = feed.fill(of_cron_jobs.default_backoff()).touched_objects();
    let (plans, feed) = known();
    let of_plans = feed
        .fill(watcher(secrets(), made_by_us()).default_backoff())
        .touched_objects();
    let made = Made { cron_jobs, plans };
    controller
        .reconcile_on(of_tenants)
        .reconcile_on(of_pools)
        .watches_stream(of_cron_jobs, |job| plan_secret::probe_of(&job))
        .watches(
            secrets(),
            watched().labels(&format!("!{}", contract::POOL)),
            move |secret| users.users(&secret.namespace().unwrap_or_default(), &secret.name_any()),
        )
        .watches_stream(of_plans, move |plan| {
            plan_secret::probe_of(&plan).filter(|_| !wrote.own(&plan))
        })
        .watches(
            Api::<ConfigMap>::all(client()),
            watched().labels(&format!("{}=true", contract::VERDICTS)),
            move |map| verdict_map::fold(&folded, &map),
        )
        .watches(
            Api::<Pod>::all(client()),
            watched().labels(cron_job::POD_LABEL),
            move |pod| job_outcome::fold(&ran, &pod),
        )
        .with_config(
            Config::default()
                .concurrency(16)
                .debounce(Duration::from_millis(100)),
        )
        .run(
            move |probe, context| {
                let made = made.clone();
                async move { metered(&*probe, &context, reconcile(&probe, &context, &made)).await }
            },
            retry,
            context.clone(),
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

/// What is there of what was made for probes.
#[derive(Clone)]
struct Made {
    cron_jobs: Known<PartialObjectMeta<CronJob>>,
    plans: Known<PartialObjectMeta<Secret>>,
}

fn of(store: &Store<DrmProbe>, wanted: impl Fn(&DrmProbe) -> bool) -> Vec<ObjectRef<DrmProbe>> {
    store
        .state()
        .iter()
        .filter(|p| wanted(p))
        .map(|p| ObjectRef::from_obj(p.as_ref()))
        .collect()
}

async fn reconcile(probe: &DrmProbe, context: &Context, made: &Made) -> Result<Action, Error> {
    if probe.metadata.deletion_timestamp.is_some() {
        return finalize(probe, context, made).await;
    }
    apply::finalizer(context, probe, FINALIZER, true).await?;
    let found = dereference::dereference(probe, context).await?;
    let effects = window::effects(probe, context).await;
    let readiness = match &found {
        Err(missing) => Readiness::from(missing),
        Ok(found) => match compile(
            &found.tenant,
            probe,
            &context.options.region,
            &found.pool.spec.egress,
        ) {
            Err(problems) => Readiness::Invalid(problems),
            Ok(plan) => match assign(plan, &found.tenant, probe, &effects) {
                Assignment::Runs(plan) | Assignment::Rests(plan) => {
                    deliver(probe, context, found, plan, made).await?
                }
                Assignment::Elsewhere(_) => Readiness::OtherRegion,
            },
        },
    };
    if readiness.stops() {
        withdraw(probe, context, None).await?;
    }
    expected(probe, context, &readiness);
    maintained(probe, context, &effects);
    let first = probe.status.as_ref().is_none_or(|s| s.plan_ref.is_none());
    if first
        && matches!(readiness, Readiness::Delivered { .. })
        && context.postpones(&probe.uid().unwrap_or_default())
    {
        return Ok(Action::requeue(POSTPONED + POSTPONED.mul_f64(rand::random())));
    }
    status::write(probe, context, &readiness).await?;
    Ok(Action::await_change())
}

/// Hands a plan over to its pool.
async fn deliver(
    probe: &DrmProbe,
    context: &Context,
    found: &Found,
    plan: Plan,
    made: &Made,
) -> Result<Readiness, Error> {
    let secrets = match dereference::secrets(&plan, context).await? {
        Ok(secrets) => secrets,
        Err(missing) => return Ok(Readiness::from(&missing)),
    };
    let secret = plan_secret::build(&plan, &secrets, &found.pool)?;
    let at = PlanRef {
        namespace: found.pool.namespace().unwrap_or_default(),
        name: secret.name_any(),
    };
    withdraw(probe, context, Some(&at)).await?;
    made.plans.filled().await;
    let there = made.plans.get(&at.name, &at.namespace).is_some();
    apply::apply_known(context, &secret, there).await?;
    match plan.execution {
        Execution::Job => {
            apply::apply(
                context,
                &cron_job::build(&plan, probe, &found.pool, &context.options)?,
            )
            .await?
        }
        Execution::Resident => {
            // One that is not known here yet wakes its probe when it is.
            made.cron_jobs.filled().await;
            if made.cron_jobs.get(&at.name, &at.namespace).is_some() {
                apply::delete::<CronJob>(context, &at.namespace, &at.name).await?;
            }
        }
    }
    Ok(Readiness::Delivered {
        at,
        pool: found.pool.name_any(),
        suspended: plan.suspend,
        plan: Box::new(plan),
    })
}

/// Deletes the plan, unless it is where it should be.
async fn withdraw(probe: &DrmProbe, context: &Context, keep: Option<&PlanRef>) -> Result<(), Error> {
    let Some(at) = probe
        .status
        .as_ref()
        .and_then(|s| s.plan_ref.as_ref())
        .filter(|at| Some(*at) != keep)
    else {
        return Ok(());
    };
    apply::delete::<CronJob>(context, &at.namespace, &at.name).await?;
    apply::delete::<Secret>(context, &at.namespace, &at.name).await
}

/// Exports what maintenance windows do to the probe.
fn maintained(probe: &DrmProbe, context: &Context, effects: &Effects) {
    let owner = Owner::probe(&id(probe), &context.options.region);
    let labels: Vec<[&str; 2]> = effects
        .iter()
        .map(|(effect, window)| [effect.as_str(), window])
        .collect();
    context.metrics.replace_all(&MAINTENANCE, &owner, &labels);
}

/// Exports the probe as expected, or no longer.
fn expected(probe: &DrmProbe, context: &Context, readiness: &Readiness) {
    let owner = Owner::probe(&id(probe), &context.options.region);
    let delivered = probe.status.as_ref().is_some_and(|s| s.plan_ref.is_some());
    let (plan, at, pool) = match readiness {
        Readiness::Delivered {
            plan,
            at,
            pool,
            suspended: false,
        } => (plan, at, pool),
        // The last good plan goes on, and is expected to.
        Readiness::Invalid(_) | Readiness::Missing(_) if delivered && !readiness.stops() => {
            return still_expected(probe, context, &owner);
        }
        _ => {
            context.metrics.replace(&WATCHED_SINCE, &owner, None);
            return context.metrics.replace(&PROBE_INFO, &owner, None);
        }
    };
    let interval = plan.longest_gap(drmwatch_program::now());
    let execution = plan.execution.as_str();
    // Runners say since when they watch; of Jobs nobody else can, and one may never start.
    match plan.execution {
        Execution::Job if context.metrics.value(&WATCHED_SINCE, &owner, &[]).is_none() => {
            let now = drmwatch_program::now().as_second() as f64;
            context.metrics.set(&WATCHED_SINCE, &owner, &[], now);
        }
        Execution::Job => {}
        Execution::Resident => context.metrics.replace(&WATCHED_SINCE, &owner, None),
    }
    let labels = [execution, &at.namespace, pool];
    context
        .metrics
        .replace(&PROBE_INFO, &owner, Some((&labels, interval)));
}

/// A probe whose last good plan goes on: what it says now is the best that is known of it.
fn still_expected(probe: &DrmProbe, context: &Context, owner: &Owner) {
    let at = probe.status.as_ref().and_then(|s| s.plan_ref.as_ref());
    let (Some(at), Some(interval)) = (at, probe.spec.schedule.interval_seconds) else {
        return;
    };
    let pool = probe.spec.pool_ref.as_ref().map(|p| p.name.as_str());
    let pool = pool.unwrap_or(&context.options.default_pool);
    let execution = probe.spec.execution.as_str();
    let labels = [execution, &at.namespace, pool];
    context
        .metrics
        .replace(&PROBE_INFO, owner, Some((&labels, interval.into())));
}

fn id(probe: &DrmProbe) -> ProbeId {
    ProbeId {
        namespace: probe.namespace().unwrap_or_default(),
        tenant: probe.spec.tenant_ref.name.clone(),
        probe: probe.name_any(),
    }
}

async fn finalize(probe: &DrmProbe, context: &Context, made: &Made) -> Result<Action, Error> {
    withdraw(probe, context, None).await?;
    // The plan may have been written and its place not yet noted: it is looked for where it most likely is, since it may be
    // too young to be known here, and wherever one is known.
    let (namespace, name) = dereference::default_place(probe, context);
    let mut places = BTreeSet::from([namespace.clone()]);
    let known = made
        .plans
        .all()
        .into_iter()
        .filter(|plan| plan.name_any() == name);
    places.extend(known.filter_map(|plan| plan.namespace()));
    for place in &places {
        apply::delete_if_present::<CronJob>(context, place, &name).await?;
        apply::delete_if_present::<Secret>(context, place, &name).await?;
    }
    let place = probe
        .status
        .as_ref()
        .and_then(|s| s.plan_ref.as_ref())
        .map_or(&namespace, |at| &at.namespace);
    verdict_map::erase(context, place, &probe.uid().unwrap_or_default()).await?;
    context
        .metrics
        .forget(&Owner::probe(&id(probe), &context.options.region));
    context.forget(
        &probe.namespace().unwrap_or_default(),
        &probe.name_any(),
        &probe.uid().unwrap_or_default(),
    );
    apply::finalizer(context, probe, FINALIZER, false).await?;
    Ok(Action::await_change())
}
