//! Incidents on the disk, a file each. What is answered with 200 is there: written, synced, renamed, and the folder synced.

use drmwatch_tickets::Incident;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tracing::error;

/// Most incidents of one tenant: labels are made by rules, and a rule can be wrong.
const MOST_OF_A_TENANT: usize = 2000;
/// How long what is over and told is kept: the ticket itself says all that matters.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Why an incident could not be kept. Trying again may help.
#[derive(thiserror::Error, Debug)]
pub enum StoreError {
    /// The disk.
    #[error("writing {0}: {1}")]
    Io(PathBuf, io::Error),
    /// Not to be written.
    #[error("encoding an incident: {0}")]
    Encoding(#[from] serde_json::Error),
    /// There are too many.
    #[error("the tenant has {MOST_OF_A_TENANT} incidents already")]
    Full,
}

/// Incidents, in memory and on the disk.
pub struct Store {
    folder: PathBuf,
    incidents: Mutex<BTreeMap<String, Incident>>,
}

impl Store {
    /// Opens a folder, and reads what is in it. A file that can't be read is put aside and told, for a person to look at.
    pub fn open(folder: &Path) -> io::Result<Store> {
        fs::create_dir_all(folder)?;
        let mut incidents = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension().and_then(|e| e.to_str()) {
                // The rename did not happen, so nobody was told that it was kept.
                Some("new") => fs::remove_file(&path)?,
                Some("json") => match read(&path) {
                    Ok(incident) => drop(incidents.insert(incident.id.clone(), incident)),
                    Err(error) => {
                        error!(file = %path.display(), %error, "an incident can't be read and is put aside");
                        fs::rename(&path, path.with_extension("unreadable"))?;
                    }
                },
                _ => {}
            }
        }
        // That it can be written to is found out now and not with the first incident.
        File::create(folder.join(".writable"))?.sync_all()?;
        Ok(Store {
            folder: folder.to_owned(),
            incidents: Mutex::new(incidents),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Incident>> {
        self.incidents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes an incident, or makes it; returns when it is on the disk. If that fails nothing has changed.
    pub fn change<T>(
        &self,
        id: &str,
        change: impl FnOnce(Option<Incident>) -> (Incident, T),
    ) -> Result<T, StoreError> {
        let mut incidents = self.lock();
        let before = incidents.get(id).cloned();
        let is_new = before.is_none();
        let (after, said) = change(before);
        if is_new {
            let own = |i: &&Incident| i.namespace == after.namespace && i.tenant == after.tenant;
            if incidents.values().filter(own).count() >= MOST_OF_A_TENANT {
                return Err(StoreError::Full);
            }
        }
        self.write(&after)?;
        incidents.insert(id.to_owned(), after);
        Ok(said)
    }

    /// The same of one that is there.
    pub fn update(&self, id: &str, change: impl FnOnce(&mut Incident)) -> Result<(), StoreError> {
        let mut incidents = self.lock();
        let Some(mut incident) = incidents.get(id).cloned() else {
            return Ok(());
        };
        change(&mut incident);
        self.write(&incident)?;
        incidents.insert(id.to_owned(), incident);
        Ok(())
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Incident> {
        self.lock().get(id).cloned()
    }

    /// What `pick` makes of each.
    pub fn all<T>(&self, pick: impl FnMut(&Incident) -> Option<T>) -> Vec<T> {
        self.lock().values().filter_map(pick).collect()
    }

    /// Forgets what is over, told and old.
    pub fn tidy(&self, now: Timestamp) {
        let mut incidents = self.lock();
        let old = |i: &Incident| !i.pending() && !i.fires() && now.duration_since(i.observed) > KEPT;
        let gone: Vec<String> = incidents
            .values()
            .filter(|i| old(i))
            .map(|i| i.id.clone())
            .collect();
        for id in gone {
            if fs::remove_file(self.path(&id)).is_ok() {
                incidents.remove(&id);
            }
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id.replace(':', "-")).with_extension("json")
    }

    fn write(&self, incident: &Incident) -> Result<(), StoreError> {
        let path = self.path(&incident.id);
        let bytes = serde_json::to_vec(incident)?;
        let new = path.with_extension("new");
        let written = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|error| StoreError::Io(path.clone(), error))
    }
}

fn read(path: &Path) -> io::Result<Incident> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
