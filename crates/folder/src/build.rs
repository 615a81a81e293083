//! From objects to plans, as the operator makes them, and the mistakes that only the whole folder shows.

use crate::{
    Folder, Mistake, Stage,
    objects::{Objects, Source},
};
use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant, SecretKeyRef};
use drmwatch_credentials::check_credentials;
use drmwatch_plan::{
    Assignment, Problem, Secrets, assign, check_pool, check_tenant, compile, compile_report, default_probes,
    did_you_mean, effects, standing,
};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use std::collections::{BTreeMap, BTreeSet};

type Key = (String, String);

/// Brings the objects of a folder into it: what can run, and everything that is wrong.
pub fn build(objects: Objects, region: &str, egress: &EgressPolicy, now: Timestamp, folder: &mut Folder) {
    let mut mistakes = Vec::new();
    for (pool, source) in &objects.pools {
        say(source, &check_pool(pool), &mut mistakes);
    }
    let all: Vec<&MonitoredTenant> = objects.tenants.iter().map(|(tenant, _)| tenant).collect();
    for (report, source) in &objects.reports {
        let problems = compile_report(report, &all, egress).err().unwrap_or_default();
        say(source, &problems, &mut mistakes);
    }
    for (window, source) in &objects.windows {
        if let Err(error) = standing(&window.spec, Timestamp::UNIX_EPOCH) {
            let (field, message) = (error.field().to_owned(), error.to_string());
            say(source, &[Problem { field, message }], &mut mistakes);
        }
    }
    let mut tenants = BTreeMap::new();
    for (tenant, source) in &objects.tenants {
        say(source, &check_tenant(tenant), &mut mistakes);
        tenants.insert(key(&tenant.metadata), (tenant, source));
    }
    let candidates = candidates(&objects);
    let names = names(&objects, &candidates);
    references(&objects, &names, &mut mistakes);
    let mut ready = Vec::new();
    for candidate in &candidates {
        let (namespace, _) = key(&candidate.probe.metadata);
        let name = &candidate.probe.spec.tenant_ref.name;
        let Some((tenant, of_tenant)) = tenants.get(&(namespace.clone(), name.clone())) else {
            let known = tenants
                .keys()
                .filter(|(ns, _)| *ns == namespace)
                .map(|(_, n)| n.as_str());
            let hint = did_you_mean(name, known);
            let message = format!("there must be a MonitoredTenant {name} in namespace {namespace}{hint}");
            say_at(candidate.source, "spec.tenantRef.name", message, &mut mistakes);
            continue;
        };
        match compile(tenant, &candidate.probe, region, egress) {
            Err(problems) => {
                let problems: Vec<Problem> = problems.into_iter().map(|p| candidate.place(p)).collect();
                say(candidate.source, &problems, &mut mistakes);
                // Which credentials it needs is not known: all that it may use are looked at.
                let declared = candidate
                    .probe
                    .spec
                    .credentials
                    .iter()
                    .chain(&tenant.spec.credentials);
                let declared = declared.map(|c| (c.name.as_str(), &c.secret_key_ref));
                let found = secrets(
                    declared,
                    &namespace,
                    &objects.secrets,
                    candidate,
                    tenant,
                    of_tenant,
                );
                mistakes.extend(found.err().unwrap_or_default());
            }
            Ok(plan) => match secrets(
                plan.credentials
                    .iter()
                    .map(|(name, reference)| (name.as_str(), reference)),
                &namespace,
                &objects.secrets,
                candidate,
                tenant,
                of_tenant,
            ) {
                Ok(secrets) => ready.push((candidate, tenant, *of_tenant, plan, secrets)),
                Err(missing) => mistakes.extend(missing),
            },
        }
    }
    let sources = objects.sources();
    let found = Objects::findings(&sources, &mistakes);
    let broken: BTreeSet<*const Source> = sources
        .iter()
        .filter(|s| {
            mistakes
                .iter()
                .chain(&found)
                .any(|m| !matches!(m.stage, Stage::Secrets | Stage::Reference) && s.holds(m))
        })
        .map(|s| std::ptr::from_ref(*s))
        .collect();
    mistakes.extend(found);
    let whole = |source: &Source| !broken.contains(&std::ptr::from_ref(source));
    for (window, source) in &objects.windows {
        if whole(source) {
            let mut window = window.clone();
            window.metadata.namespace.get_or_insert_with(|| "default".into());
            folder.windows.push(window);
        }
    }
    for (tenant, source) in &objects.tenants {
        if whole(source) {
            let mut tenant = tenant.clone();
            tenant.metadata.namespace = Some(key(&tenant.metadata).0);
            folder.tenants.push(tenant);
        }
    }
    for (candidate, tenant, of_tenant, mut plan, secrets) in ready {
        if !whole(candidate.source) || !whole(of_tenant) {
            continue;
        }
        let unusable = check_credentials(&plan, &secrets);
        mistakes.extend(unusable.iter().map(|u| Mistake {
            stage: Stage::Secrets,
            ..candidate.source.at("spec.credentials", u.to_string())
        }));
        if !unusable.is_empty() {
            continue;
        }
        // Without a cluster there is no UID; names are unique within a folder.
        plan.uid = format!("{}/{}", plan.id.namespace, plan.id.probe);
        let mut probe = candidate.probe.clone();
        probe.metadata.namespace = Some(plan.id.namespace.clone());
        let effects = effects(&probe, &folder.windows, now);
        let plan = match assign(plan, tenant, &probe, &effects) {
            Assignment::Runs(plan) | Assignment::Rests(plan) => plan,
            Assignment::Elsewhere(_) => continue,
        };
        if !effects.is_empty() {
            folder.effects.insert(plan.uid.clone(), effects);
        }
        folder.plans.push((plan, secrets));
    }
    for candidate in &candidates {
        let (namespace, _) = key(&candidate.probe.metadata);
        let tenant = tenants.get(&(namespace.clone(), candidate.probe.spec.tenant_ref.name.clone()));
        if whole(candidate.source) && tenant.is_some_and(|(_, source)| whole(source)) {
            let mut probe = candidate.probe.clone();
            probe.metadata.namespace = Some(namespace);
            folder.probes.push(probe);
        }
    }
    folder.mistakes.append(&mut mistakes);
}

fn key(meta: &ObjectMeta) -> Key {
    let namespace = meta.namespace.clone().filter(|n| !n.is_empty());
    (
        namespace.unwrap_or_else(|| "default".into()),
        meta.name.clone().unwrap_or_default(),
    )
}

fn say(source: &Source, problems: &[Problem], mistakes: &mut Vec<Mistake>) {
    mistakes.extend(problems.iter().filter_map(|p| source.mistake(p)));
}

fn say_at(source: &Source, field: &str, message: String, mistakes: &mut Vec<Mistake>) {
    let field = field.to_owned();
    say(source, &[Problem { field, message }], mistakes);
}

/// A probe that may run: one that was written, or one of a tenant's service.
struct Candidate<'a> {
    probe: DrmProbe,
    source: &'a Source,
    /// Place of the service among those of its tenant.
    service: Option<usize>,
}

fn candidates(objects: &Objects) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    for (tenant, source) in &objects.tenants {
        for (n, probe) in default_probes(tenant).into_iter().enumerate() {
            let service = Some(n);
            found.push(Candidate {
                probe,
                source,
                service,
            });
        }
    }
    found.extend(objects.probes.iter().map(|(probe, source)| Candidate {
        probe: probe.clone(),
        source,
        service: None,
    }));
    found
}

impl Candidate<'_> {
    /// A problem of a service's probe, at the field of the service from which the probe's field was made.
    fn place(&self, problem: Problem) -> Problem {
        let Some(n) = self.service else {
            return problem;
        };
        let service = format!("spec.services[{n}]");
        let part = problem
            .field
            .strip_prefix("spec.steps[")
            .and_then(|rest| rest.split_once("].").map(|(_, part)| part));
        let of_license = self.probe.spec.steps.iter().any(|s| s.license.is_some());
        let field = match part {
            Some("stream.url") if of_license => format!("{service}.license.streamUrl"),
            Some("license.fairPlay.certificateUrl") => format!("{service}.license.certificateUrl"),
            Some(part) => format!("{service}.{}", part.replacen("http.", "endpoint.", 1)),
            None => service,
        };
        Problem { field, ..problem }
    }
}

/// Names of the probes of a namespace, with the tenant of each.
type Names = BTreeMap<String, BTreeSet<Key>>;

fn names(objects: &Objects, candidates: &[Candidate]) -> Names {
    let mut names = Names::new();
    for (tenant, _) in &objects.tenants {
        names.entry(key(&tenant.metadata).0).or_default();
    }
    for candidate in candidates {
        let (namespace, name) = key(&candidate.probe.metadata);
        let tenant = candidate.probe.spec.tenant_ref.name.clone();
        names.entry(namespace).or_default().insert((tenant, name));
    }
    names
}

/// Names of tenants and probes that objectives and windows give, and that nobody has: an objective that counts nothing, a
/// window that mutes nothing.
fn references(objects: &Objects, names: &Names, mistakes: &mut Vec<Mistake>) {
    let before = mistakes.len();
    let none = BTreeSet::new();
    let mut probe = |source: &Source, field: String, name: &str, tenant: Option<&str>, namespace: &str| {
        let known = names.get(namespace).unwrap_or(&none);
        let known = known
            .iter()
            .filter(|(t, _)| tenant.is_none_or(|tenant| t == tenant));
        let known: Vec<&str> = known.map(|(_, n)| n.as_str()).collect();
        if !known.contains(&name) {
            let whose = tenant.map(|t| format!(" of tenant {t}")).unwrap_or_default();
            let hint = did_you_mean(name, known);
            let message = format!("there must be a probe {name}{whose} in namespace {namespace}{hint}");
            say_at(source, &field, message, mistakes);
        }
    };
    for (tenant, source) in &objects.tenants {
        let (namespace, of) = key(&tenant.metadata);
        for (n, objective) in tenant.spec.objectives.iter().enumerate() {
            for (m, name) in objective.probes.iter().enumerate() {
                let field = format!("spec.objectives[{n}].probes[{m}]");
                probe(source, field, name, Some(&of), &namespace);
            }
        }
    }
    for (window, source) in &objects.windows {
        let (namespace, _) = key(&window.metadata);
        let tenant = window.spec.tenant_ref.as_ref().map(|t| t.name.as_str());
        for (m, name) in window.spec.probes.iter().enumerate() {
            probe(source, format!("spec.probes[{m}]"), name, tenant, &namespace);
        }
    }
    for (window, source) in &objects.windows {
        let (namespace, _) = key(&window.metadata);
        let Some(reference) = &window.spec.tenant_ref else {
            continue;
        };
        let known = objects.tenants.iter().map(|(t, _)| key(&t.metadata));
        let known: Vec<String> = known.filter(|(ns, _)| *ns == namespace).map(|(_, n)| n).collect();
        if !known.contains(&reference.name) {
            let hint = did_you_mean(&reference.name, known.iter().map(String::as_str));
            let message = format!(
                "there must be a MonitoredTenant {} in namespace {namespace}{hint}",
                reference.name
            );
            say_at(source, "spec.tenantRef.name", message, mistakes);
        }
    }
    mistakes[before..]
        .iter_mut()
        .for_each(|m| m.stage = Stage::Reference);
}

/// The values of credentials, or every one that is not there.
fn secrets<'a>(
    credentials: impl Iterator<Item = (&'a str, &'a SecretKeyRef)>,
    namespace: &str,
    known: &BTreeMap<Key, Secret>,
    candidate: &Candidate,
    tenant: &MonitoredTenant,
    of_tenant: &Source,
) -> Result<Secrets, Vec<Mistake>> {
    let (mut secrets, mut missing) = (Secrets::default(), Vec::new());
    for (credential, reference) in credentials {
        // A probe's credential comes before its tenant's of the same name.
        let own = candidate
            .probe
            .spec
            .credentials
            .iter()
            .position(|c| c.name == credential);
        let (source, at) = match own {
            Some(n) => (candidate.source, Some(n)),
            None => (
                of_tenant,
                tenant.spec.credentials.iter().position(|c| c.name == credential),
            ),
        };
        let field = format!("spec.credentials[{}].secretKeyRef", at.unwrap_or_default());
        let mut say = |field: String, message: String| {
            let mistake = source.mistake(&Problem { field, message });
            missing.extend(mistake.map(|m| Mistake {
                stage: Stage::Secrets,
                ..m
            }));
        };
        let Some(secret) = known.get(&(namespace.to_owned(), reference.name.clone())) else {
            let names = known
                .keys()
                .filter(|(ns, _)| ns == namespace)
                .map(|(_, name)| name.as_str());
            let hint = did_you_mean(&reference.name, names);
            let message = format!(
                "there must be a Secret {} in namespace {namespace}{hint}",
                reference.name
            );
            say(format!("{field}.name"), message);
            continue;
        };
        let plain = secret
            .string_data
            .as_ref()
            .and_then(|d| d.get(&reference.key))
            .cloned();
        let encoded = secret.data.as_ref().and_then(|d| d.get(&reference.key));
        match plain.or_else(|| encoded.map(|b| String::from_utf8_lossy(&b.0).into_owned())) {
            Some(value) => secrets.insert(credential, value),
            None => {
                let keys = secret.string_data.iter().flat_map(BTreeMap::keys);
                let keys = keys
                    .chain(secret.data.iter().flat_map(BTreeMap::keys))
                    .map(String::as_str);
                let hint = did_you_mean(&reference.key, keys);
                let message = format!(
                    "the Secret {} in namespace {namespace} must have the key {}{hint}",
                    reference.name, reference.key
                );
                say(format!("{field}.key"), message);
            }
        }
    }
    match missing.is_empty() {
        true => Ok(secrets),
        false => Err(missing),
    }
}
