//! RunnerPools: a Deployment with its own identity, rights and disruption budget.

pub mod objects;
mod readiness;

use crate::{
    apply,
    changes::Generations,
    conditions::{Status, Wanted, merge, reasons},
    context::Context,
    known::Feed,
    metered::{Error, controller, metered, retry},
};
use drmwatch_api::{RunnerPool, RunnerPoolStatus, condition};
use drmwatch_metrics::{Owner, POOL_READY, POOL_WANTED};
use drmwatch_plan::check_pool;
use drmwatch_plan::contract;
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret, ServiceAccount},
    policy::v1::PodDisruptionBudget,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::PostParams,
    runtime::{
        controller::{Action, Config},
        reflector::ObjectRef,
        watcher,
    },
};
pub use objects::{environment, pod_security, pull_secrets, restricted, results_volumes, volumes};
use readiness::{Obstacles, Replicas};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::UnboundedSender;

/// After how long a pool whose runners are not ready is looked at again.
const LOOK: Duration = Duration::from_secs(10);

/// Reconciles pools for as long as it is let.
pub async fn run(
    context: Arc<Context>,
    feed: Feed<RunnerPool>,
    told: UnboundedSender<ObjectRef<RunnerPool>>,
) {
    let client = || context.client.clone();
    let watched = || watcher::Config::default().timeout(200);
    let owned = || watched().labels(objects::POOL_LABEL);
    let (generations, heard) = (Generations::default(), context.clone());
    controller(&context, &context.pools, feed, move |pool: &RunnerPool, gone| {
        if gone {
            let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
            heard
                .metrics
                .forget(&Owner::pool(&heard.options.region, &namespace, &name));
        }
        if generations.changed(pool, gone) {
            let _ = told.send(ObjectRef::from_obj(pool));
        }
    })
    .owns(Api::<Deployment>::all(client()), owned())
    .owns(Api::<ServiceAccount>::all(client()), owned())
    .owns(Api::<Role>::all(client()), owned())
    .owns(Api::<RoleBinding>::all(client()), owned())
    .owns(Api::<PodDisruptionBudget>::all(client()), owned())
    // What runners say of their load.
    .owns(
        Api::<ConfigMap>::all(client()),
        watched().labels(&format!("{}=true", contract::RUNNERS)),
    )
    .with_config(
        Config::default()
            .concurrency(2)
            .debounce(Duration::from_millis(200)),
    )
    .run(
        |pool, context| async move { metered(&*pool, &context, reconcile(&pool, &context)).await },
        retry,
        context.clone(),
    )
    .for_each(|_| std::future::ready(()))
    .await;
}

async fn reconcile(pool: &RunnerPool, context: &Context) -> Result<Action, Error> {
    let namespace = pool.namespace().ok_or(Error::Missing("namespace"))?;
    if pool.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let problems = check_pool(pool);
    let (mut replicas, mut obstacles) = (Replicas::default(), Obstacles::default());
    if problems.is_empty() {
        let built = objects::build(pool, &context.options)?;
        cache_key(pool, &namespace, context).await?;
        apply::apply(context, &built.account).await?;
        apply::apply(context, &built.role).await?;
        apply::apply(context, &built.binding).await?;
        apply::apply(context, &built.budget).await?;
        apply::apply(context, &built.deployment).await?;
        let live: Api<Deployment> = Api::namespaced(context.client.clone(), &namespace);
        let live = live.get(&objects::name(pool)).await?.status.unwrap_or_default();
        replicas = Replicas {
            all: live.replicas.unwrap_or(0),
            ready: live.ready_replicas.unwrap_or(0),
            updated: live.updated_replicas.unwrap_or(0),
        };
        obstacles = Obstacles::find(pool, !replicas.suffice(pool.spec.replicas), context).await?;
    }
    let wanted = pool.spec.replicas;
    let owner = Owner::pool(&context.options.region, &namespace, &pool.name_any());
    context.metrics.set(&POOL_WANTED, &owner, &[], wanted.into());
    context
        .metrics
        .set(&POOL_READY, &owner, &[], replicas.ready.into());
    let ready = readiness::ready(pool, &problems, replicas, &obstacles);
    let saturated = saturated(pool, &namespace, context).await?;
    let before = pool.status.clone().unwrap_or_default();
    let now = drmwatch_program::now();
    let wanted = [ready, saturated];
    let (conditions, transitions) = merge(&before.conditions, &wanted, pool.metadata.generation, now);
    let after = RunnerPoolStatus {
        observed_generation: pool.metadata.generation,
        replicas: replicas.all,
        ready_replicas: replicas.ready,
        selector: Some(objects::selector(pool)),
        conditions,
    };
    if after != before {
        apply::status(context, pool, &after).await?;
        for news in transitions {
            context
                .event(pool, is_good(&news), &news.reason, &news.message)
                .await;
        }
    }
    // A pod that waits for its image changes nothing that is watched, and neither does a Secret that comes to be.
    if problems.is_empty() && (obstacles.any() || !replicas.suffice(pool.spec.replicas)) {
        return Ok(Action::requeue(LOOK));
    }
    Ok(Action::await_change())
}

fn is_good(news: &Wanted) -> bool {
    (news.kind == condition::SATURATED) != (news.status == Status::True)
}

/// Makes the key of the runners' caches, if there is none. It is never changed: what is sealed must stay readable.
async fn cache_key(pool: &RunnerPool, namespace: &str, context: &Context) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    if api
        .get_metadata_opt(&objects::cache_key_name(pool))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let secret = objects::cache_key(pool, rand::random());
    apply::count::<Secret>(context);
    match api.create(&PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Whether runners say that they are about to fall behind.
async fn saturated(pool: &RunnerPool, namespace: &str, context: &Context) -> Result<Wanted, Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    let said = api.get_opt(&format!("{}-runners", pool.name_any())).await?;
    let said = said.and_then(|map| map.data).unwrap_or_default();
    let kind = condition::SATURATED;
    let Some((first, text)) = said.first_key_value() else {
        let fine = "no runner is about to fall behind";
        return Ok(Wanted::new(kind, Status::False, reasons::WITHIN_CAPACITY, fine));
    };
    let more = match said.len() - 1 {
        0 => String::new(),
        n => format!(" (and {n} more runners)"),
    };
    let text = format!("{first} is {text}{more}: more replicas or more CPU are needed");
    Ok(Wanted::new(kind, Status::True, reasons::SATURATED, text))
}
