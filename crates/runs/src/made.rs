//! Roll-ups as they lie in the store: which there are, and how the next version is written.
//!
//! What a file was made of stands in its name, as a digest, so that a look at the names tells what is to be made anew:
//! `2026-11-26.3.0a1b2c3d4e5f6071.9f8e7d6c5b4a3920.final`: the period's first day, version, inputs, what it hands on (of a
//! day, week or month: its zone), and whether it will change again.

use crate::{record::SCHEMA, rollups, store::Store};
use drmwatch_archive::{FileError, FileRef, StoreError, keys::TenantId};
use drmwatch_sla::{Level, Rollup};
use drmwatch_tokens::hexadecimal;
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A roll-up that lies in the store.
#[derive(Debug, Clone)]
pub struct Made {
    /// Where.
    pub file: FileRef,
    /// Which version.
    pub version: u32,
    /// Digest of what it was made of.
    pub inputs: String,
    /// Digest of what it hands on, or of its zone.
    pub hands: String,
    /// Whether it will not change any more.
    pub fixed: bool,
}

/// What a file's name will say.
pub struct Name {
    /// Digest of what it was made of.
    pub inputs: String,
    /// Digest of what it hands on, or of its zone.
    pub hands: String,
    /// Whether it will not change any more.
    pub fixed: bool,
}

/// What something is made of, in short: 64 bits tell versions of one period apart.
pub fn digest(parts: impl IntoIterator<Item = String>) -> String {
    let mut hash = Sha256::new();
    hash.update(SCHEMA.to_be_bytes());
    for part in parts {
        hash.update((part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hexadecimal(&hash.finalize()[..8])
}

/// The folder of a period.
fn folder(level: Level, day: Date) -> String {
    match level {
        Level::Quarter | Level::Hour => format!("{}/{day}", level.name()),
        Level::Day => format!("1d/{}", day.strftime("%Y-%m")),
        Level::Week | Level::Month => format!("{}/{:04}", level.name(), day.year()),
    }
}

fn parse(file: FileRef) -> Option<(Date, Made)> {
    let parts: Vec<&str> = file.name.split('.').collect();
    let [date, version, inputs, hands, state] = parts.as_slice() else {
        return None;
    };
    let (date, version) = (date.parse().ok()?, version.parse().ok()?);
    let made = Made {
        version,
        inputs: (*inputs).to_owned(),
        hands: (*hands).to_owned(),
        fixed: *state == "final",
        file: file.clone(),
    };
    Some((date, made))
}

/// All versions of a tenant's roll-ups.
#[derive(Default)]
pub struct Index(BTreeMap<(Level, Date), Vec<Made>>);

impl Index {
    /// What there is of these levels: a list of names for each.
    pub async fn load(store: &Store, tenant: &TenantId, levels: &[Level]) -> Result<Index, StoreError> {
        let mut index = Index::default();
        for level in levels {
            for (date, made) in store
                .list(tenant, level.name())
                .await?
                .into_iter()
                .filter_map(parse)
            {
                index.0.entry((*level, date)).or_default().push(made);
            }
        }
        // Of one version, made by two at a time, the one whose name is greater: both are right.
        for versions in index.0.values_mut() {
            versions.sort_by(|a, b| (a.version, &a.file.name).cmp(&(b.version, &b.file.name)));
        }
        Ok(index)
    }

    /// The newest version of a period.
    pub fn get(&self, level: Level, date: Date) -> Option<&Made> {
        self.0.get(&(level, date))?.last()
    }

    /// The newest version of each period of a level that begins in `from..to`, in the order of time.
    pub fn range(&self, level: Level, from: Date, to: Date) -> impl Iterator<Item = (Date, &Made)> {
        let all = self.0.range((level, from)..(level, to.max(from)));
        all.filter_map(|((_, date), versions)| Some((*date, versions.last()?)))
    }

    /// Writes the next version of a period, then deletes those before.
    pub async fn write(
        &mut self,
        store: &Store,
        tenant: &TenantId,
        (level, date): (Level, Date),
        rollups: &[Rollup],
        name: Name,
        more: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        let versions = self.0.entry((level, date)).or_default();
        let version = versions.last().map_or(1, |made| made.version + 1);
        let state = if name.fixed { "final" } else { "open" };
        let file = FileRef {
            tenant: tenant.clone(),
            folder: folder(level, date),
            name: format!("{date}.{version}.{}.{}.{state}", name.inputs, name.hands),
            size: 0,
        };
        let columns =
            rollups::encode(rollups).map_err(|e| StoreError::File(file.path(), FileError::Columns(e)))?;
        // One that is there already was made of the same, by another worker.
        store.put(&file, rollups::schema(), vec![columns], more).await?;
        for old in std::mem::take(versions) {
            store.delete(&old.file).await?;
        }
        versions.push(Made {
            file,
            version,
            inputs: name.inputs,
            hands: name.hands,
            fixed: name.fixed,
        });
        Ok(())
    }
}

/// Reads the rows of one.
pub async fn read(store: &Store, made: &Made) -> Result<Vec<Rollup>, StoreError> {
    let mut all = Vec::new();
    for batch in store.read(&made.file, None).await? {
        let rows = rollups::decode(&batch);
        all.extend(rows.map_err(|e| StoreError::File(made.file.path(), FileError::Columns(e)))?);
    }
    Ok(all)
}
