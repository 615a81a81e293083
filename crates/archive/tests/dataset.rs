//! A dataset that has nothing to do with probes goes through the archive: the collector of viewing data will bring its own.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, cast::AsArray, types::Int64Type};
use arrow_schema::{DataType, Field, Schema};
use drmwatch_archive::{
    FileError, FileRef, Format, Store, StoreError,
    keys::{Folder, Kms, Names},
    retain,
    ship::{self, Owned, Sink},
    shred,
    sign::Signer,
    spool::{self, Limits},
};
use drmwatch_outcome::TenantKey;
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path, sync::Arc};

/// What a viewer did in a minute.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
struct Slice {
    tenant: TenantKey,
    session: String,
    stalled_ms: i64,
}

impl Owned for Slice {
    fn tenant(&self) -> TenantKey {
        self.tenant.clone()
    }
}

const SLICES: Format = Format {
    version: 3,
    spread: &["stalled_ms"],
};
const FOLDER: &str = "slices";
const DAY: Date = date(2026, 11, 26);

fn schema() -> Arc<Schema> {
    let fields = [("session", DataType::Utf8), ("stalled_ms", DataType::Int64)];
    Arc::new(Schema::new(fields.map(|(n, t)| Field::new(n, t, false)).to_vec()))
}

/// Where slices lie in an archive.
struct Slices(Store);

impl Slices {
    fn file(&self, tenant: &TenantKey, day: Date, name: &str) -> FileRef {
        FileRef {
            tenant: self.0.tenant(tenant),
            folder: format!("{FOLDER}/{day}"),
            name: name.to_owned(),
            size: 0,
        }
    }

    async fn write(&self, file: &FileRef, slices: &[Slice]) -> Result<(), StoreError> {
        let sessions: ArrayRef = Arc::new(
            slices
                .iter()
                .map(|s| Some(s.session.as_str()))
                .collect::<StringArray>(),
        );
        let stalled: ArrayRef = Arc::new(slices.iter().map(|s| s.stalled_ms).collect::<Int64Array>());
        let batch = RecordBatch::try_new(schema(), vec![sessions, stalled]).unwrap();
        self.0.put(file, &SLICES, schema(), vec![batch], Vec::new()).await
    }

    async fn read(&self, tenant: &TenantKey) -> Result<Vec<(String, i64)>, StoreError> {
        let mut rows = Vec::new();
        for file in self.0.list(&self.0.tenant(tenant), FOLDER).await? {
            for batch in self.0.read(&file, &SLICES, None).await? {
                let sessions = batch
                    .column(0)
                    .as_string::<i32>()
                    .iter()
                    .map(|s| s.unwrap().to_owned());
                let stalled = batch.column(1).as_primitive::<Int64Type>();
                rows.extend(sessions.zip(stalled.values().iter().copied()));
            }
        }
        Ok(rows)
    }
}

impl Sink<Slice> for Slices {
    async fn append(&self, batch: &str, slices: Vec<Slice>) -> Result<(), StoreError> {
        let file = self.file(&slices[0].tenant, DAY, batch);
        self.write(&file, &slices).await
    }
}

async fn archive(at: &Path, tenants: &[&TenantKey]) -> Slices {
    let keys = at.join("keys");
    fs::create_dir_all(&keys).unwrap();
    let (holder, names) = (Folder::new(keys.clone()), Names::read_or_make(&keys).unwrap());
    for tenant in tenants {
        holder.create(&names.tenant(tenant)).await.unwrap();
    }
    let objects = at.join("objects");
    Slices(Store::open(objects.to_str().unwrap(), Arc::new(holder), names).unwrap())
}

fn slice(tenant: &TenantKey, number: i64) -> Slice {
    Slice {
        tenant: tenant.clone(),
        session: format!("session-{number}"),
        stalled_ms: number * 7,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_of_its_own_is_spooled_shipped_read_and_shredded() {
    let place = tempfile::tempdir().unwrap();
    let (acme, other) = (TenantKey::new("tv", "acme"), TenantKey::new("tv", "other"));
    let slices = archive(place.path(), &[&acme, &other]).await;
    let (spool, shelf, _) =
        spool::open::<Slice>(&place.path().join("spool"), &[7; 32], Limits::default()).unwrap();
    for number in 0..20 {
        let tenant = if number % 4 == 3 { &other } else { &acme };
        spool.keep(slice(tenant, number));
    }
    spool.close_segment();
    let round = ship::round(&shelf, &spool, &slices).await.unwrap();
    assert_eq!((round.shipped, round.waiting, &round.error), (20, 0, &None));
    // What was shipped is shipped once.
    assert_eq!(ship::round(&shelf, &spool, &slices).await.unwrap().shipped, 0);
    let mine = slices.read(&acme).await.unwrap();
    assert_eq!(mine.len(), 15);
    assert!(mine.contains(&("session-2".into(), 14)) && !mine.contains(&("session-3".into(), 21)));

    // Nothing can be read without the keys, and neither names nor rows in the clear.
    let clear = ["acme", "session-2", "stalled_ms"];
    let mut folders = vec![place.path().join("objects"), place.path().join("spool")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            for word in clear {
                assert!(
                    !bytes.windows(word.len()).any(|w| w == word.as_bytes()),
                    "{word} in {}",
                    path.display()
                );
            }
        }
    }
    assert!(files >= 4, "{files}");

    let signer = Signer::new(&Signer::make().unwrap()).unwrap();
    let id = slices.0.tenant(&acme);
    let stone = shred::shred(&slices.0, &id, "asked for", &signer, Timestamp::UNIX_EPOCH).await;
    assert_eq!(stone.unwrap().files, 1);
    assert_eq!(slices.read(&acme).await.unwrap(), []);
    assert_eq!(slices.read(&other).await.unwrap().len(), 5);
    // Nothing of a shredded tenant is written any more.
    let again = slices.append("again", vec![slice(&acme, 1)]).await;
    assert!(matches!(again, Err(StoreError::Shredded(_))), "{again:?}");
}

#[tokio::test]
async fn each_folder_is_kept_for_days_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let acme = TenantKey::new("tv", "acme");
    let slices = archive(place.path(), &[&acme]).await;
    for day in 20..=26 {
        let day = date(2026, 11, day);
        slices
            .write(
                &slices.file(&acme, day, "a"),
                &[slice(&acme, i64::from(day.day()))],
            )
            .await
            .unwrap();
    }
    let id = slices.0.tenant(&acme);
    let kept = async || slices.0.list(&id, FOLDER).await.unwrap().len();
    // Folders of other datasets are left alone.
    assert_eq!(
        retain::expire(&slices.0, &id, &[("raw", 1)], DAY).await.unwrap(),
        0
    );
    assert_eq!(kept().await, 7);
    assert_eq!(
        retain::expire(&slices.0, &id, &[(FOLDER, 3)], DAY).await.unwrap(),
        3
    );
    assert_eq!(kept().await, 4);
}

#[tokio::test]
async fn versions_are_of_the_dataset() {
    let place = tempfile::tempdir().unwrap();
    let acme = TenantKey::new("tv", "acme");
    let slices = archive(place.path(), &[&acme]).await;
    let file = slices.file(&acme, DAY, "a");
    slices.write(&file, &[slice(&acme, 1)]).await.unwrap();
    let before = Format {
        version: 2,
        spread: &[],
    };
    let refused = slices.0.read(&file, &before, None).await;
    let newer = |error: &StoreError| {
        matches!(
            error,
            StoreError::File(_, FileError::Newer { written: 3, known: 2 })
        )
    };
    assert!(refused.as_ref().is_err_and(newer), "{refused:?}");
    assert!(
        slices
            .0
            .read(
                &file,
                &Format {
                    version: 4,
                    spread: &[]
                },
                None
            )
            .await
            .is_ok()
    );
}
