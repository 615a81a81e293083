//! A folder of YAML, read as a cluster would read it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
//!
//! Three stages, none of which hides what the next would find: [`yaml`] reads documents with the place of every field,
//! [`validate`] holds each object to the schema and the rules of its CRD, and [`build`] compiles tenants and probes as the
//! operator does.

mod build;
mod kinds;
mod objects;
mod schema;
mod validate;
mod yaml;

pub use yaml::Place;

use drmwatch_api::{DrmProbe, EgressPolicy, MaintenanceWindow, MonitoredTenant};
use drmwatch_plan::{Effects, Plan, Secrets, standing, with_stack_for_rules};
use jiff::Timestamp;
use objects::Objects;
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
    /// Where in it.
    pub at: Place,
    /// Path of the field, such as `spec.steps[0].http.url`. Empty where it is about a whole document.
    pub field: String,
    /// What is wrong, and what must be.
    pub message: String,
    /// Who would say so in a cluster.
    pub stage: Stage,
}

/// Who would report a mistake in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// `kubectl apply`: the API server refuses the object.
    Apply,
    /// The operator, as a condition: the API server takes the object, but it can't do what it says.
    Compile,
    /// Nobody: an objective or a window names a probe or tenant that does not exist, which may be so for a while. What the
    /// object says of others holds.
    Reference,
    /// The operator, about a Secret that is missing or whose value can't be used. Whoever needs no values may ignore it.
    Secrets,
}

impl std::fmt::Display for Mistake {
    /// `FILE:LINE:COLUMN: FIELD: MESSAGE`, as compilers print it, so that editors find the place.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.at.line, self.at.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
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
    pub effects: BTreeMap<String, Effects>,
    /// Everything that is wrong, in the order of files and lines.
    pub mistakes: Vec<Mistake>,
    /// Files that were read.
    pub files: usize,
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
///
/// What can't be read as text is a mistake; a folder or file that can't be opened is an error.
pub fn read(path: &Path, region: &str, egress: &EgressPolicy, now: Timestamp) -> io::Result<Folder> {
    let mut files = Vec::new();
    collect(path, &mut files)?;
    files.sort();
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        let bytes = fs::read(&file)?;
        texts.push((file, bytes));
    }
    with_stack_for_rules(|| {
        let mut folder = Folder {
            files: texts.len(),
            ..Folder::default()
        };
        let mut objects = Objects::default();
        for (file, bytes) in &texts {
            match std::str::from_utf8(bytes) {
                Ok(text) => folder.mistakes.extend(objects.file(file, text)),
                Err(error) => folder.mistakes.push(not_text(file, bytes, error.valid_up_to())),
            }
        }
        build::build(objects, region, egress, now, &mut folder);
        folder.mistakes.sort_by(|a, b| {
            (&a.file, a.at, &a.field, &a.message).cmp(&(&b.file, b.at, &b.field, &b.message))
        });
        // What several probes use is wrong once.
        folder.mistakes.dedup();
        folder
    })
}

fn not_text(file: &Path, bytes: &[u8], valid: usize) -> Mistake {
    let before = &bytes[..valid];
    let begin = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    Mistake {
        file: file.to_owned(),
        at: Place {
            line: before.iter().filter(|b| **b == b'\n').count() + 1,
            column: String::from_utf8_lossy(&before[begin..]).chars().count() + 1,
        },
        field: String::new(),
        message: "this is not UTF-8 text".into(),
        stage: Stage::Apply,
    }
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

#[cfg(test)]
mod tests;
