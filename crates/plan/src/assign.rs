//! Whether a probe runs here, rests, or belongs elsewhere. The operator and the reader of folders ask the same function, so
//! that a probe means the same with and without a cluster.

use crate::{Plan, maintenance};
use drmwatch_api::{DrmProbe, Effect, MaintenanceWindow, MonitoredTenant};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What maintenance windows do to a probe: each effect with the name of the window that has it.
pub type Effects = BTreeSet<(Effect, String)>;

/// What the open windows among `windows` do to a probe at `now`. Windows of other namespaces, windows that name other probes,
/// and windows that cannot be read do nothing.
pub fn effects<'a>(
    probe: &DrmProbe,
    windows: impl IntoIterator<Item = &'a MaintenanceWindow>,
    now: Timestamp,
) -> Effects {
    let mut effects = Effects::new();
    for window in windows {
        let about =
            window.metadata.namespace == probe.metadata.namespace && maintenance::covers(&window.spec, probe);
        if about && maintenance::standing(&window.spec, now).is_ok_and(|s| s.until.is_some()) {
            let name = window.metadata.name.clone().unwrap_or_default();
            effects.extend(window.spec.effects.iter().map(|effect| (*effect, name.clone())));
        }
    }
    effects
}

/// What is to be done with the plan of a probe.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignment {
    /// It runs in this region.
    Runs(Plan),
    /// It is this region's, and no slot of it is due: it is suspended, or a window pauses it.
    Rests(Plan),
    /// Only other regions run it.
    Elsewhere(Plan),
}

impl Assignment {
    /// The plan, with what windows do to it.
    pub fn plan(self) -> Plan {
        match self {
            Assignment::Runs(plan) | Assignment::Rests(plan) | Assignment::Elsewhere(plan) => plan,
        }
    }
}

/// Says what is to be done with a plan that [`crate::compile`] made of this tenant and this probe. A probe without `regions`
/// has those of its tenant's defaults; without either it runs in every region.
pub fn assign(mut plan: Plan, tenant: &MonitoredTenant, probe: &DrmProbe, effects: &Effects) -> Assignment {
    plan.suspend |= effects.iter().any(|(effect, _)| *effect == Effect::Pause);
    let excluding = effects
        .iter()
        .filter(|(effect, _)| *effect == Effect::ExcludeFromSla);
    plan.excluded_by = excluding.map(|(_, window)| window.clone()).collect();
    let regions = match probe.spec.regions.as_slice() {
        [] => &tenant.spec.defaults.regions,
        _ => &probe.spec.regions,
    };
    if !regions.is_empty() && !regions.contains(&plan.region) {
        return Assignment::Elsewhere(plan);
    }
    match plan.suspend {
        true => Assignment::Rests(plan),
        false => Assignment::Runs(plan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn tenant(regions: Value) -> MonitoredTenant {
        let tenant = json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
            "metadata": {"name": "acme", "namespace": "tv"},
            "spec": {"displayName": "ACME", "defaults": {"regions": regions}},
        });
        serde_json::from_value(tenant).unwrap()
    }

    fn probe(more: Value) -> DrmProbe {
        let mut probe = json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe",
            "metadata": {"name": "news", "namespace": "tv"},
            "spec": {"tenantRef": {"name": "acme"}, "schedule": {"intervalSeconds": 60},
                "steps": [{"name": "get", "http": {"url": "https://tv.example/"}}]},
        });
        for (key, value) in more.as_object().unwrap() {
            probe["spec"][key] = value.clone();
        }
        serde_json::from_value(probe).unwrap()
    }

    fn window(namespace: &str, name: &str, effects: Value, more: Value) -> MaintenanceWindow {
        let mut window = json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MaintenanceWindow",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"description": "upgrade", "effects": effects,
                "once": {"start": "2026-11-27T10:00:00Z", "end": "2026-11-27T11:00:00Z"}},
        });
        for (key, value) in more.as_object().unwrap() {
            window["spec"][key] = value.clone();
        }
        serde_json::from_value(window).unwrap()
    }

    fn assigned(tenant: &MonitoredTenant, probe: &DrmProbe, effects: &Effects) -> Assignment {
        let plan = crate::compile(tenant, probe, "eu", &Default::default()).unwrap();
        assign(plan, tenant, probe, effects)
    }

    #[test]
    fn regions_of_a_probe_come_before_those_of_its_tenant() {
        let here = [
            (json!([]), json!({}), true),
            (json!(["eu"]), json!({}), true),
            (json!(["us"]), json!({}), false),
            (json!(["us"]), json!({"regions": ["ap", "eu"]}), true),
            (json!(["eu"]), json!({"regions": ["us"]}), false),
        ];
        for (defaults, own, runs) in here {
            let assignment = assigned(&tenant(defaults.clone()), &probe(own.clone()), &Effects::new());
            assert_eq!(
                matches!(assignment, Assignment::Runs(_)),
                runs,
                "{defaults} {own}"
            );
            assert_eq!(
                matches!(assignment, Assignment::Elsewhere(_)),
                !runs,
                "{defaults} {own}"
            );
        }
    }

    #[test]
    fn effects_are_those_of_open_windows_about_the_probe() {
        let probe = probe(json!({}));
        let all = [
            window("tv", "mute", json!(["Mute"]), json!({})),
            window(
                "tv",
                "named",
                json!(["Pause", "ExcludeFromSla"]),
                json!({"probes": ["news"]}),
            ),
            window(
                "tv",
                "other-probe",
                json!(["Pause"]),
                json!({"probes": ["cinema"]}),
            ),
            window(
                "tv",
                "other-tenant",
                json!(["Pause"]),
                json!({"tenantRef": {"name": "zenith"}}),
            ),
            window("elsewhere", "mute", json!(["Mute"]), json!({})),
            window("tv", "unreadable", json!(["Pause"]), json!({"once": null})),
        ];
        let at = |time: &str| effects(&probe, &all, time.parse().unwrap());
        let open = [
            (Effect::Mute, "mute"),
            (Effect::ExcludeFromSla, "named"),
            (Effect::Pause, "named"),
        ];
        assert_eq!(
            at("2026-11-27T10:30:00Z"),
            open.map(|(e, w)| (e, w.to_owned())).into()
        );
        assert_eq!(at("2026-11-27T11:00:00Z"), Effects::new());
        assert_eq!(at("2026-11-27T09:59:59Z"), Effects::new());
    }

    #[test]
    fn who_is_paused_or_suspended_rests() {
        let (tenant, plain) = (tenant(json!([])), probe(json!({})));
        let by = |effect| Effects::from([(effect, "w".to_owned())]);
        let runs = assigned(&tenant, &plain, &by(Effect::Mute));
        assert!(matches!(&runs, Assignment::Runs(plan) if plan.excluded_by.is_empty()));
        let excluded = assigned(&tenant, &plain, &by(Effect::ExcludeFromSla));
        assert!(matches!(&excluded, Assignment::Runs(plan) if plan.excluded_by == ["w"]));
        let paused = assigned(&tenant, &plain, &by(Effect::Pause));
        assert!(matches!(&paused, Assignment::Rests(plan) if plan.suspend));
        let schedule = json!({"schedule": {"intervalSeconds": 60, "suspend": true}});
        let suspended = assigned(&tenant, &probe(schedule), &Effects::new());
        assert!(matches!(&suspended, Assignment::Rests(plan) if plan.suspend));
        // What belongs elsewhere is told so, paused or not.
        let elsewhere = assigned(&tenant, &probe(json!({"regions": ["us"]})), &by(Effect::Pause));
        assert!(matches!(elsewhere, Assignment::Elsewhere(_)));
    }
}
