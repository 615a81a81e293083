//! A folder of YAML, read as a cluster would read it.

use drmwatch_api::{
    DrmProbe, Effect, EgressPolicy, MaintenanceWindow, MonitoredTenant, RunnerPool, SlaReport,
};
use drmwatch_plan::{
    Plan, Problem, Secrets, check_credentials, check_pool, check_tenant, compile, compile_report, covers,
    default_probes, standing,
};
use granit_parser::{Event, Parser};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, with the field where there is one.
    pub message: String,
    /// Whether it is about a Secret that is not there or of no use: who needs no values may pass over it.
    pub of_secrets: bool,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// What a folder holds.
#[derive(Default)]
pub struct Folder {
    /// Plans that are ready, with their secrets.
    pub plans: Vec<(Plan, Secrets)>,
    /// Tenants without mistakes of their own.
    pub tenants: Vec<MonitoredTenant>,
    /// Probes of theirs, those made of their services included, in whatever region they run.
    pub probes: Vec<DrmProbe>,
    /// Maintenance windows.
    pub windows: Vec<MaintenanceWindow>,
    /// What windows do to plans at the time of reading, by the plans' UIDs: which effect, by which window. A plan that must
    /// rest is suspended.
    pub effects: BTreeMap<String, BTreeSet<(Effect, String)>>,
    /// Everything that is wrong.
    pub mistakes: Vec<Mistake>,
    /// Files that were read.
    pub files: usize,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

/// Where an object stands.
struct Source {
    file: PathBuf,
    /// Lines of its fields, by path.
    lines: BTreeMap<String, usize>,
}

impl Source {
    fn mistake(&self, problem: &Problem) -> Mistake {
        // The nearest field that is there: what is missing has no line of its own.
        let mut path = problem.field.as_str();
        let line = loop {
            match (self.lines.get(path), path.rfind(['.', '['])) {
                (Some(line), _) => break *line,
                (None, Some(end)) => path = &path[..end],
                (None, None) => break self.lines.get("").copied().unwrap_or(1),
            }
        };
        Mistake {
            file: self.file.clone(),
            line,
            message: problem.to_string(),
            of_secrets: false,
        }
    }

    /// A mistake about the values of a probe's credentials.
    fn secret(&self, message: impl Into<String>) -> Mistake {
        Mistake {
            of_secrets: true,
            ..self.at("spec.credentials", message)
        }
    }

    fn at(&self, field: &str, message: impl Into<String>) -> Mistake {
        self.mistake(&Problem {
            field: field.into(),
            message: message.into(),
        })
    }
}

#[derive(Default)]
struct Objects {
    tenants: Vec<(MonitoredTenant, Source)>,
    probes: Vec<(DrmProbe, Source)>,
    pools: Vec<(RunnerPool, Source)>,
    windows: Vec<(MaintenanceWindow, Source)>,
    reports: Vec<(SlaReport, Source)>,
    secrets: BTreeMap<(String, String), Secret>,
}

/// Changes whenever a file of a folder does: names, sizes and times of change.
pub fn stamp(path: &Path) -> io::Result<u64> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        let metadata = fs::metadata(&file)?;
        (file, metadata.len(), metadata.modified()?).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Names of the windows that are open.
pub fn open(windows: &[MaintenanceWindow], now: Timestamp) -> BTreeSet<String> {
    let open = |w: &&MaintenanceWindow| standing(&w.spec, now).is_ok_and(|s| s.until.is_some());
    windows
        .iter()
        .filter(open)
        .filter_map(|w| w.metadata.name.clone())
        .collect()
}

/// Reads every `.yaml` and `.yml` below a folder (or one file), in the order of their names. `now`: for maintenance windows.
pub fn read(path: &Path, region: &str, egress: &EgressPolicy, now: Timestamp) -> io::Result<Folder> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    let mut folder = Folder {
        files: files.len(),
        ..Folder::default()
    };
    let mut objects = Objects::default();
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (first_line, document) in documents(&text) {
            object(&file, first_line, &document, &mut objects, &mut folder.mistakes);
        }
    }
    windows(&mut objects, &mut folder);
    build(objects, region, egress, now, &mut folder);
    folder
        .mistakes
        .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(folder)
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        // Mounted Secrets and ConfigMaps keep their versions in hidden folders.
        if path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'))
        {
            continue;
        }
        let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if path.is_dir() {
            collect(&path, files)?;
        } else if yaml {
            files.push(path);
        }
    }
    Ok(())
}

/// The documents of a file, each with the number of lines before it.
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut found = vec![(0, String::new())];
    for (n, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            found.push((n + 1, String::new()));
        } else if let Some((_, document)) = found.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let empty = |text: &str| {
        text.lines()
            .all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'))
    };
    found.retain(|(_, document)| !empty(document));
    found
}

fn object(file: &Path, first_line: usize, text: &str, objects: &mut Objects, mistakes: &mut Vec<Mistake>) {
    fn typed<T: DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
        serde_saphyr::from_str(text).map_err(|e| {
            let line = e.location().map_or(1, |l| l.line() as usize);
            // The crate draws a picture of the place; one line says enough.
            let message = e.without_snippet().to_string();
            (line, message.lines().next().unwrap_or_default().to_owned())
        })
    }
    let lines = lines(text)
        .into_iter()
        .map(|(path, line)| (path, line + first_line))
        .collect();
    let source = Source {
        file: file.to_owned(),
        lines,
    };
    let result = typed::<Kind>(text).and_then(|kind| {
        match kind.kind.as_str() {
            "MonitoredTenant" => objects.tenants.push((typed(text)?, source)),
            "DrmProbe" => objects.probes.push((typed(text)?, source)),
            "RunnerPool" => objects.pools.push((typed(text)?, source)),
            "MaintenanceWindow" => objects.windows.push((typed(text)?, source)),
            "SlaReport" => objects.reports.push((typed(text)?, source)),
            "Secret" => {
                let secret: Secret = typed(text)?;
                let namespace = secret.metadata.namespace.clone().unwrap_or_else(|| "default".into());
                objects.secrets.insert((namespace, secret.metadata.name.clone().unwrap_or_default()), secret);
            }
            "Namespace" => {}
            other => return Err((1, format!("kind: must be MonitoredTenant, DrmProbe, RunnerPool, MaintenanceWindow, SlaReport, Secret or Namespace, not {other:?}"))),
        }
        Ok(())
    });
    if let Err((line, message)) = result {
        mistakes.push(Mistake {
            file: file.to_owned(),
            line: first_line + line,
            message,
            of_secrets: false,
        });
    }
}

/// Lines of the fields of a document, by path: `spec.steps[0].name`.
fn lines(text: &str) -> BTreeMap<String, usize> {
    enum Level {
        Mapping(Option<String>),
        Sequence(usize),
    }
    let mut found = BTreeMap::new();
    let mut stack: Vec<(Level, String)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let line = span.start.line();
        // A scalar where a key is due names the value that follows.
        if let (Event::Scalar(key, ..), Some((Level::Mapping(pending @ None), path))) =
            (&event, stack.last_mut())
        {
            found.entry(join(path, key)).or_insert(line);
            *pending = Some(key.to_string());
            continue;
        }
        let here = |stack: &mut Vec<(Level, String)>| match stack.last_mut() {
            Some((Level::Mapping(key), path)) => join(path, &key.take().unwrap_or_default()),
            Some((Level::Sequence(n), path)) => {
                *n += 1;
                format!("{path}[{}]", *n - 1)
            }
            None => String::new(),
        };
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let path = here(&mut stack);
                found.entry(path.clone()).or_insert(line);
                let level = if matches!(event, Event::MappingStart(..)) {
                    Level::Mapping(None)
                } else {
                    Level::Sequence(0)
                };
                stack.push((level, path));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                stack.pop();
            }
            Event::Scalar(..) | Event::Alias(..) => {
                let path = here(&mut stack);
                found.entry(path).or_insert(line);
            }
            _ => {}
        }
    }
    found
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Takes in the windows that can be read.
fn windows(objects: &mut Objects, folder: &mut Folder) {
    for (mut window, source) in std::mem::take(&mut objects.windows) {
        window.metadata.namespace.get_or_insert_with(|| "default".into());
        match standing(&window.spec, Timestamp::UNIX_EPOCH) {
            Ok(_) => folder.windows.push(window),
            Err(error) => folder.mistakes.push(source.at(error.field(), error.to_string())),
        }
    }
}

fn build(objects: Objects, region: &str, egress: &EgressPolicy, now: Timestamp, folder: &mut Folder) {
    let namespace = |meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        meta.namespace.clone().unwrap_or_else(|| "default".into())
    };
    let mut tenants = BTreeMap::new();
    let mut probes = Vec::new();
    for (pool, source) in &objects.pools {
        folder
            .mistakes
            .extend(check_pool(pool).iter().map(|p| source.mistake(p)));
    }
    let all: Vec<&MonitoredTenant> = objects.tenants.iter().map(|(tenant, _)| tenant).collect();
    for (report, source) in &objects.reports {
        let problems = compile_report(report, &all, egress).err().unwrap_or_default();
        folder.mistakes.extend(problems.iter().map(|p| source.mistake(p)));
    }
    for (tenant, source) in &objects.tenants {
        let problems = check_tenant(tenant);
        folder.mistakes.extend(problems.iter().map(|p| source.mistake(p)));
        let key = (
            namespace(&tenant.metadata),
            tenant.metadata.name.clone().unwrap_or_default(),
        );
        if problems.is_empty() {
            probes.extend(default_probes(tenant).into_iter().map(|probe| (probe, source)));
            let mut tenant = tenant.clone();
            tenant.metadata.namespace = Some(key.0.clone());
            folder.tenants.push(tenant);
        }
        tenants.insert(key, tenant);
    }
    probes.extend(
        objects
            .probes
            .iter()
            .map(|(probe, source)| (probe.clone(), source)),
    );
    for (mut probe, source) in probes {
        let namespace = namespace(&probe.metadata);
        probe.metadata.namespace = Some(namespace.clone());
        let name = &probe.spec.tenant_ref.name;
        let Some(tenant) = tenants.get(&(namespace.clone(), name.clone())) else {
            folder.mistakes.push(source.at(
                "spec.tenantRef.name",
                format!("there must be a MonitoredTenant {name} in namespace {namespace}"),
            ));
            continue;
        };
        let regions = if probe.spec.regions.is_empty() {
            &tenant.spec.defaults.regions
        } else {
            &probe.spec.regions
        };
        match compile(tenant, &probe, region, egress) {
            Err(problems) => folder.mistakes.extend(problems.iter().map(|p| source.mistake(p))),
            Ok(_) if !regions.is_empty() && !regions.iter().any(|r| r == region) => {}
            Ok(mut plan) => {
                // Without a cluster there is no UID; names are unique within a folder.
                plan.uid = format!("{namespace}/{}", plan.id.probe);
                let about = |w: &&MaintenanceWindow| {
                    w.metadata.namespace.as_ref() == Some(&namespace)
                        && covers(&w.spec, &probe)
                        && standing(&w.spec, now).is_ok_and(|s| s.until.is_some())
                };
                for window in folder.windows.iter().filter(about) {
                    let name = window.metadata.name.clone().unwrap_or_default();
                    let effects = window.spec.effects.iter().map(|e| (*e, name.clone()));
                    folder
                        .effects
                        .entry(plan.uid.clone())
                        .or_default()
                        .extend(effects);
                    plan.suspend |= window.spec.effects.contains(&Effect::Pause);
                    if window.spec.effects.contains(&Effect::ExcludeFromSla) {
                        plan.excluded_by
                            .push(window.metadata.name.clone().unwrap_or_default());
                    }
                }
                match secrets(&plan, &objects.secrets) {
                    Ok(secrets) => {
                        let unusable = check_credentials(&plan, &secrets);
                        if unusable.is_empty() {
                            folder.plans.push((plan, secrets));
                        }
                        let mistakes = unusable.iter().map(|u| source.secret(u.to_string()));
                        folder.mistakes.extend(mistakes);
                    }
                    Err(message) => folder.mistakes.push(source.secret(message)),
                }
            }
        }
        // Moved, not cloned before: what a runner keeps would lie scattered between copies that it does not.
        folder.probes.push(probe);
    }
}

fn secrets(plan: &Plan, known: &BTreeMap<(String, String), Secret>) -> Result<Secrets, String> {
    let mut secrets = Secrets::default();
    for (credential, reference) in &plan.credentials {
        let namespace = &plan.id.namespace;
        let secret = known
            .get(&(namespace.clone(), reference.name.clone()))
            .ok_or_else(|| {
                format!(
                    "there must be a Secret {} in namespace {namespace}",
                    reference.name
                )
            })?;
        let plain = secret
            .string_data
            .as_ref()
            .and_then(|d| d.get(&reference.key))
            .cloned();
        let encoded = secret.data.as_ref().and_then(|d| d.get(&reference.key));
        let value = plain
            .or_else(|| encoded.map(|b| String::from_utf8_lossy(&b.0).into_owned()))
            .ok_or_else(|| {
                format!(
                    "the Secret {} in namespace {namespace} must have the key {}",
                    reference.name, reference.key
                )
            })?;
        secrets.insert(credential, value);
    }
    Ok(secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_block_and_in_flow_style() {
        let lines =
            lines("spec:\n  steps:\n  - name: a\n    http: {url: x,\n      method: GET}\n  - name: b\n");
        let line = |path: &str| lines.get(path).copied();
        assert_eq!(line("spec.steps[0].http.method"), Some(5));
        assert_eq!(line("spec.steps[1].name"), Some(6));
        assert_eq!(line("spec.steps[1].http"), None);
    }
}
