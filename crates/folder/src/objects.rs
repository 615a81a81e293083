//! From the documents of a file to objects of known kinds.

use crate::{
    Mistake, Stage, kinds,
    schema::Schema,
    validate::{Finding, Validated, under, validate},
    yaml::{self, Node, Place},
};
use drmwatch_api::{DrmProbe, MaintenanceWindow, MonitoredTenant, RunnerPool, SlaReport};
use drmwatch_plan::{Problem, did_you_mean, nearest};
use k8s_openapi::api::core::v1::Secret;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Where an object was written, and what is known to be wrong with it.
pub struct Source {
    file: PathBuf,
    validated: Validated,
}

impl Source {
    /// A mistake that a later check found, unless it is known or follows from one that is.
    pub fn mistake(&self, problem: &Problem) -> Option<Mistake> {
        if self.validated.explains(&problem.field, &problem.message) {
            return None;
        }
        let repeats =
            |f: &Finding| problem.message.starts_with(&f.message) && under(&problem.field, &f.field);
        let stage = match self.validated.findings.iter().any(repeats) {
            true => Stage::Apply,
            false => Stage::Compile,
        };
        Some(Mistake {
            stage,
            ..self.at(&problem.field, problem.message.clone())
        })
    }

    /// A mistake at a field that the API server does not see.
    pub fn at(&self, field: &str, message: impl Into<String>) -> Mistake {
        Mistake {
            file: self.file.clone(),
            at: self.validated.place(field),
            field: field.to_owned(),
            message: message.into(),
            stage: Stage::Compile,
        }
    }

    /// Whether a mistake is one of this object.
    pub fn holds(&self, mistake: &Mistake) -> bool {
        mistake.file == self.file && self.lines().contains(&mistake.at.line)
    }

    /// The lines that the object takes up.
    fn lines(&self) -> std::ops::RangeInclusive<usize> {
        let lines = || self.validated.places.values().map(|place| place.line);
        lines().min().unwrap_or_default()..=lines().max().unwrap_or_default()
    }

    /// Whether a field is there and as its author meant it.
    pub fn is_meant(&self, field: &str) -> bool {
        !self.validated.replaced.iter().any(|r| under(field, r))
    }

    /// What the schema says is wrong, without what a later mistake says with a better place.
    fn findings(&self, later: &[Mistake]) -> Vec<Mistake> {
        let better = |finding: &Finding| {
            later.iter().any(|m| {
                m.file == self.file
                    && m.message.starts_with(&finding.message)
                    && m.field != finding.field
                    && under(&m.field, &finding.field)
                    && self
                        .validated
                        .places
                        .get(&m.field)
                        .is_some_and(|place| *place == m.at)
            })
        };
        let findings = self.validated.findings.iter().filter(|f| !better(f));
        findings
            .map(|f| Mistake {
                file: self.file.clone(),
                at: f.at,
                field: f.field.clone(),
                message: f.message.clone(),
                stage: Stage::Apply,
            })
            .collect()
    }
}

/// The objects of a folder.
#[derive(Default)]
pub struct Objects {
    pub tenants: Vec<(MonitoredTenant, Source)>,
    pub probes: Vec<(DrmProbe, Source)>,
    pub pools: Vec<(RunnerPool, Source)>,
    pub windows: Vec<(MaintenanceWindow, Source)>,
    pub reports: Vec<(SlaReport, Source)>,
    pub secrets: BTreeMap<(String, String), Secret>,
    /// What is wrong with Secrets and Namespaces, of which nothing more is asked.
    others: Vec<Source>,
    /// Where each object is, by kind, namespace and name.
    places: BTreeMap<(String, String, String), (PathBuf, Place)>,
}

impl Objects {
    /// Takes in a file. Gives the mistakes that keep a document from being an object.
    pub fn file(&mut self, file: &Path, text: &str) -> Vec<Mistake> {
        let (documents, flaws) = yaml::documents(text);
        let mut mistakes: Vec<Mistake> = flaws
            .into_iter()
            .map(|f| here(file, f.at, "", f.message))
            .collect();
        for document in documents {
            self.document(file, document, &mut mistakes);
        }
        mistakes
    }

    fn document(&mut self, file: &Path, node: Node, mistakes: &mut Vec<Mistake>) {
        // What `kubectl get -o yaml` gives of several objects.
        if node.value.get("kind").and_then(|k| k.value.text()) == Some("List")
            && let Some(yaml::Value::List(items)) = node.value.get("items").map(|i| i.value.clone())
        {
            for item in items {
                self.document(file, item, mistakes);
            }
            return;
        }
        match kind(&node) {
            Ok((kind, schema)) => {
                let validated = validate(schema, &node);
                let source = Source {
                    file: file.to_owned(),
                    validated,
                };
                mistakes.extend(self.twice(kind, &source));
                mistakes.extend(self.take(kind, source));
            }
            Err((at, field, message)) => mistakes.push(here(file, at, field, message)),
        }
    }

    /// The mistake of an object that is there already: of two, only one would be used.
    fn twice(&mut self, kind: &str, source: &Source) -> Option<Mistake> {
        let meta = |field: &str| {
            source.validated.value["metadata"][field]
                .as_str()
                .unwrap_or_default()
        };
        let namespace = if meta("namespace").is_empty() {
            "default"
        } else {
            meta("namespace")
        };
        if !source.is_meant("metadata.name") || kind == "Namespace" {
            return None;
        }
        let key = (kind.to_owned(), namespace.to_owned(), meta("name").to_owned());
        let at = source.validated.place("metadata.name");
        match self.places.get(&key) {
            None => {
                self.places.insert(key, (source.file.clone(), at));
                None
            }
            Some((file, place)) => Some(source.at(
                "metadata.name",
                format!(
                    "{kind} {namespace}/{} is in {}:{} already; each object must be there once",
                    key.2,
                    file.display(),
                    place.line
                ),
            )),
        }
    }

    fn take(&mut self, kind: &str, mut source: Source) -> Option<Mistake> {
        fn typed<T: DeserializeOwned>(source: &mut Source) -> Result<T, Mistake> {
            let value = std::mem::take(&mut source.validated.value);
            serde_json::from_value(value).map_err(|e| source.at("", format!("this can't be read: {e}")))
        }
        let taken = (|| {
            match kind {
                "MonitoredTenant" => self.tenants.push((typed(&mut source)?, source)),
                "DrmProbe" => self.probes.push((typed(&mut source)?, source)),
                "RunnerPool" => self.pools.push((typed(&mut source)?, source)),
                "MaintenanceWindow" => self.windows.push((typed(&mut source)?, source)),
                "SlaReport" => self.reports.push((typed(&mut source)?, source)),
                "Secret" => {
                    let secret: Secret = typed(&mut source)?;
                    let namespace = secret
                        .metadata
                        .namespace
                        .clone()
                        .unwrap_or_else(|| "default".into());
                    let name = secret.metadata.name.clone().unwrap_or_default();
                    self.secrets.insert((namespace, name), secret);
                    self.others.push(source);
                }
                _ => self.others.push(source),
            }
            Ok(())
        })();
        taken.err()
    }

    /// What the schemas found, without what later checks say with a better place.
    pub fn findings(sources: &[&Source], later: &[Mistake]) -> Vec<Mistake> {
        sources.iter().flat_map(|s| s.findings(later)).collect()
    }

    /// The sources of all objects.
    pub fn sources(&self) -> Vec<&Source> {
        let tenants = self.tenants.iter().map(|(_, s)| s);
        let probes = self.probes.iter().map(|(_, s)| s);
        let pools = self.pools.iter().map(|(_, s)| s);
        let windows = self.windows.iter().map(|(_, s)| s);
        let reports = self.reports.iter().map(|(_, s)| s);
        tenants
            .chain(probes)
            .chain(pools)
            .chain(windows)
            .chain(reports)
            .chain(&self.others)
            .collect()
    }
}

fn here(file: &Path, at: Place, field: &str, message: String) -> Mistake {
    Mistake {
        file: file.to_owned(),
        at,
        field: field.to_owned(),
        message,
        stage: Stage::Apply,
    }
}

/// The kind of a document, or what is wrong with its `kind` or `apiVersion`.
fn kind(node: &Node) -> Result<(&'static str, &'static Schema), (Place, &'static str, String)> {
    let known = kinds::known().map_err(|e| {
        (
            node.at,
            "",
            format!("the schemas of this program are broken: {e}"),
        )
    })?;
    let names = || known.keys().map(String::as_str);
    let all = || names().collect::<Vec<_>>().join(", ");
    let Some(written) = node.value.get("kind") else {
        let message = match node.value {
            yaml::Value::Map(_) => format!("kind is required: one of {}", all()),
            _ => format!(
                "a document must be a mapping with apiVersion, kind and metadata, not {}",
                node.value.describe()
            ),
        };
        return Err((node.at, "kind", message));
    };
    let word = written.value.text().unwrap_or_default();
    // A kind that is nearly right is taken for the one that was meant: its own finding names it.
    let found = known
        .get_key_value(word)
        .or_else(|| known.get_key_value(nearest(word, names())?));
    found
        .map(|(name, schema)| (name.as_str(), schema))
        .ok_or_else(|| {
            let message = format!(
                "must be one of {}, not {word:?}{}",
                all(),
                did_you_mean(word, names())
            );
            (written.at, "kind", message)
        })
}
