//! MaintenanceWindows: when each is open, and who asked for it.
//!
//! The window itself is a function of its spec and the time (`drmwatch_plan::standing`), so probes read it from the store and
//! not from here: this controller tells them when it changes, and people in status and Events.

use crate::{
    apply,
    changes::Generations,
    conditions::{Status, Wanted, merge, reasons},
    context::Context,
    known::Feed,
    metered::{Error, controller, metered, retry},
};
use drmwatch_api::{DrmProbe, MaintenanceWindow, MaintenanceWindowStatus, MonitoredTenant, condition};
use drmwatch_plan::{Effects, Standing, WindowError, covers, standing};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    ResourceExt,
    runtime::{
        controller::{Action, Config},
        reflector::ObjectRef,
    },
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc::UnboundedSender, time::timeout_at};

/// How long after the beginning probes wait for windows to be known.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest wait between two looks at the clock, so that one that is set is noticed.
const LOOK: Duration = Duration::from_secs(300);

/// Reconciles windows for as long as it is let. `told` hears of the tenants whose probes a window is about, whenever it
/// changes, opens or ends.
pub async fn run(
    context: Arc<Context>,
    feed: Feed<MaintenanceWindow>,
    told: UnboundedSender<ObjectRef<MonitoredTenant>>,
) {
    let generations = Generations::default();
    let (heard, at_boundary) = (context.clone(), told.clone());
    controller(
        &context,
        &context.windows,
        feed,
        move |window: &MaintenanceWindow, gone| {
            if generations.changed(window, gone) {
                wake(window, &heard, &told);
            }
        },
    )
    .with_config(
        Config::default()
            .concurrency(2)
            .debounce(Duration::from_millis(200)),
    )
    .run(
        move |window, context| {
            let told = at_boundary.clone();
            async move { metered(&*window, &context, reconcile(&window, &context, &told)).await }
        },
        retry,
        context,
    )
    .for_each(|_| std::future::ready(()))
    .await;
}

/// Wakes the probes of the tenants that a window is about.
fn wake(window: &MaintenanceWindow, context: &Context, told: &UnboundedSender<ObjectRef<MonitoredTenant>>) {
    let namespace = window.namespace().unwrap_or_default();
    let named = window.spec.tenant_ref.iter().map(|t| t.name.clone());
    let mut tenants: BTreeSet<String> = named.collect();
    if tenants.is_empty() {
        let all = context.tenants.all();
        let here = all
            .iter()
            .filter(|t| t.namespace().as_deref() == Some(&namespace));
        tenants.extend(here.map(|t| t.name_any()));
    }
    for tenant in tenants {
        let _ = told.send(ObjectRef::new(&tenant).within(&namespace));
    }
}

/// What windows do to a probe now: which effect, by which window.
pub async fn effects(probe: &DrmProbe, context: &Context) -> Effects {
    // A store that is still being filled would let a probe run that must rest. One that can't be (an upgrade without the new
    // CRD) must not hold up every probe: who is to rest is woken when it is there.
    let _ = timeout_at(context.began + PATIENCE, context.windows.filled()).await;
    let windows = context.windows.all();
    drmwatch_plan::effects(probe, windows.iter().map(|w| w.as_ref()), drmwatch_program::now())
}

async fn reconcile(
    window: &MaintenanceWindow,
    context: &Context,
    told: &UnboundedSender<ObjectRef<MonitoredTenant>>,
) -> Result<Action, Error> {
    if window.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    context.probes.filled().await;
    let (namespace, now) = (window.namespace(), drmwatch_program::now());
    let probes = context.probes.all();
    let about = probes
        .iter()
        .filter(|p| p.namespace() == namespace && covers(&window.spec, p));
    let about = about.count() as i32;
    let stands = standing(&window.spec, now);
    let [ready, active] = said(window, &stands);
    let stands = stands.unwrap_or_default();
    let before = window.status.clone().unwrap_or_default();
    let generation = window.metadata.generation;
    let (conditions, transitions) = merge(&before.conditions, &[ready, active], generation, now);
    let after = MaintenanceWindowStatus {
        observed_generation: generation,
        until: stands.until.map(Time),
        next: stands.next.map(Time),
        probes: Some(about),
        conditions,
    };
    if after != before {
        apply::status(context, window, &after).await?;
    }
    for news in &transitions {
        let good = news.kind == condition::ACTIVE || news.status == Status::True;
        context.event(window, good, &news.reason, &news.message).await;
    }
    if transitions.iter().any(|news| news.kind == condition::ACTIVE) {
        wake(window, context, told);
    }
    Ok(match stands.changes() {
        Some(at) => Action::requeue(until(at, now)),
        None => Action::await_change(),
    })
}

/// How long to wait for an instant.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    left.clamp(Duration::from_millis(200), LOOK)
}

/// The conditions: whether it can be read, and whether it is open, by whom.
fn said(window: &MaintenanceWindow, stands: &Result<Standing, WindowError>) -> [Wanted; 2] {
    let (ready, active) = (condition::READY, condition::ACTIVE);
    let stands = match stands {
        Ok(stands) => stands,
        Err(error) => {
            return [
                Wanted::new(
                    ready,
                    Status::False,
                    reasons::INVALID,
                    format!("{}: {error}", error.field()),
                ),
                Wanted::new(
                    active,
                    Status::False,
                    reasons::INVALID,
                    "the window can't be read: it has no effect",
                ),
            ];
        }
    };
    let who = window
        .spec
        .requested_by
        .as_deref()
        .unwrap_or("nobody who was named");
    let effects: Vec<&str> = window.spec.effects.iter().map(|e| e.as_str()).collect();
    let what = format!(
        "{} ({}), asked for by {who}",
        window.spec.description,
        effects.join(", ")
    );
    let active = match (stands.until, stands.next) {
        (Some(until), _) => Wanted::new(
            active,
            Status::True,
            reasons::OPEN,
            format!("open until {until}: {what}"),
        ),
        (None, Some(next)) => Wanted::new(
            active,
            Status::False,
            reasons::SCHEDULED,
            format!("opens at {next}: {what}"),
        ),
        (None, None) => Wanted::new(
            active,
            Status::False,
            reasons::OVER,
            format!("it does not open any more: {what}"),
        ),
    };
    [
        Wanted::new(ready, Status::True, reasons::ACCEPTED, "the window can be read"),
        active,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_says_how_it_stands_and_who_asked() {
        let window: MaintenanceWindow = serde_json::from_value(serde_json::json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MaintenanceWindow",
            "metadata": { "name": "w", "namespace": "n" },
            "spec": {
                "description": "change 4711", "requestedBy": "ada", "effects": ["Mute", "Pause"],
                "once": { "start": "2026-11-24T02:00:00Z", "end": "2026-11-24T04:00:00Z" },
            },
        }))
        .unwrap();
        let at = |text: &str| {
            let stands = standing(&window.spec, text.parse().unwrap());
            let [ready, active] = said(&window, &stands);
            (ready.status.as_str(), active.reason, active.message)
        };
        let open = "open until 2026-11-24T04:00:00Z: change 4711 (Mute, Pause), asked for by ada";
        assert_eq!(at("2026-11-24T03:00:00Z"), ("True", "Open".into(), open.into()));
        assert_eq!(at("2026-11-24T01:00:00Z").1, "Scheduled");
        assert_eq!(at("2026-11-24T04:00:00Z").1, "Over");
        let [ready, active] = said(&window, &Err(WindowError::Endless));
        assert_eq!(
            (ready.status.as_str(), active.reason.as_str()),
            ("False", "Invalid")
        );
    }

    #[test]
    fn a_boundary_is_met_and_a_far_one_is_looked_at_again() {
        let now: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        assert_eq!(until(now + Duration::from_secs(30), now), Duration::from_secs(30));
        assert_eq!(until(now + Duration::from_secs(86_400), now), LOOK);
        assert_eq!(
            until(now - Duration::from_secs(1), now),
            Duration::from_millis(200)
        );
    }
}
