//! What is kept of runs, in the archive.
//!
//! ```text
//! v1/TENANT/raw/2026-11-26/NAME.parquet                              records of that day, UTC
//! v1/TENANT/evidence/2026-11-26/NAME.parquet                         evidence of failures, for a short time
//! v1/TENANT/15m|1h/2026-11-26/…, 1d/2026-11/…, 1w/2026/…, 1mo/2026/… roll-ups
//! ```

use crate::{
    columns,
    record::{Record, SCHEMA},
};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use drmwatch_archive::{
    FileRef, Format, Retries, StoreError, day_of,
    keys::{Kms, Names, TenantId},
    ship::{Owned, Sink},
};
use drmwatch_outcome::TenantKey;
use futures::{StreamExt, TryStreamExt};
use jiff::civil::Date;
use object_store::ObjectStore;
use std::{collections::BTreeMap, ops::Deref, sync::Arc};

/// What records of runs lie under.
pub const RAW: &str = "raw";
/// What evidence of failures lies under.
pub const EVIDENCE: &str = "evidence";
/// Requests to the storage that go on at a time.
const AT_ONCE: usize = 8;

/// How the files of runs are written.
const FORMAT: Format = Format {
    version: SCHEMA,
    spread: &["slot", "lag_ms", "duration_us", "start"],
};

/// The archive with what is kept of runs in it. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(drmwatch_archive::Store);

impl Deref for Store {
    type Target = drmwatch_archive::Store;

    fn deref(&self) -> &drmwatch_archive::Store {
        &self.0
    }
}

impl Owned for Record {
    fn tenant(&self) -> TenantKey {
        TenantKey::new(&self.tenant_namespace, &self.tenant)
    }
}

impl Sink<Record> for Store {
    async fn append(&self, batch: &str, records: Vec<Record>) -> Result<(), StoreError> {
        Store::append(self, batch, records).await
    }
}

impl Store {
    /// What is kept of runs with these objects and keys.
    pub fn new(objects: Arc<dyn ObjectStore>, kms: Arc<dyn Kms>, names: Names) -> Store {
        Store(drmwatch_archive::Store::new(objects, kms, names))
    }

    /// Opens it at a place, as [`drmwatch_archive::Store::open`].
    pub fn open(place: &str, kms: Arc<dyn Kms>, names: Names) -> Result<Store, StoreError> {
        drmwatch_archive::Store::open(place, kms, names).map(Store)
    }

    /// Opens it at a URL, as [`drmwatch_archive::Store::open_with`].
    pub fn open_with(
        place: &str,
        kms: Arc<dyn Kms>,
        names: Names,
        settings: impl IntoIterator<Item = (String, String)>,
        retries: Option<Retries>,
    ) -> Result<Store, StoreError> {
        drmwatch_archive::Store::open_with(place, kms, names, settings, retries).map(Store)
    }

    /// Writes a file of runs, unless one of this name is there.
    pub(crate) async fn put(
        &self,
        file: &FileRef,
        schema: Arc<Schema>,
        batches: Vec<RecordBatch>,
        more: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        self.0.put(file, &FORMAT, schema, batches, more).await
    }

    /// The metadata of a file of runs.
    pub async fn metadata(&self, file: &FileRef) -> Result<BTreeMap<String, String>, StoreError> {
        self.0.metadata(file, &FORMAT).await
    }

    /// Reads a file of runs: these columns (None: all).
    pub async fn read(
        &self,
        file: &FileRef,
        columns: Option<&[&str]>,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        self.0.read(file, &FORMAT, columns).await
    }

    /// Days (UTC) of which there are records of a tenant.
    pub async fn days(&self, tenant: &TenantId) -> Result<Vec<Date>, StoreError> {
        self.0.days(tenant, RAW).await
    }

    /// The key of a tenant, as its newest records say. None: there are no records.
    pub async fn name_of(&self, tenant: &TenantId) -> Result<Option<TenantKey>, StoreError> {
        let Some(day) = self.days(tenant).await?.pop() else {
            return Ok(None);
        };
        let files = self.list(tenant, &format!("{RAW}/{day}")).await?;
        let records = self.read_records(files.get(..1).unwrap_or_default()).await?;
        let first = records.into_iter().next();
        Ok(first.map(|r| Owned::tenant(&r)))
    }

    /// Writes records, by tenant and day (UTC). `batch` names them: the same batch is written once, however often it is tried.
    pub async fn append(&self, batch: &str, records: Vec<Record>) -> Result<(), StoreError> {
        let mut parts: BTreeMap<(TenantId, Date), Vec<Record>> = BTreeMap::new();
        for record in records {
            let tenant = self.tenant(&Owned::tenant(&record));
            let day = day_of(record.slot.as_second());
            parts.entry((tenant, day)).or_default().push(record);
        }
        let puts = parts.into_iter().map(|((tenant, day), mut records)| async move {
            sort(&mut records);
            let place = |level: &str| FileRef {
                tenant: tenant.clone(),
                folder: format!("{level}/{day}"),
                name: batch.to_owned(),
                size: 0,
            };
            // Before the records that name it.
            let file = place(EVIDENCE);
            let evidence = columns::encode_evidence(&records);
            if let Some(columns) = evidence.map_err(|e| StoreError::File(file.path(), e.into()))? {
                self.put(&file, columns::evidence_schema(), vec![columns], Vec::new())
                    .await?;
            }
            for record in records.iter_mut().filter(|r| r.bundle.is_some()) {
                (record.evidence, record.bundle) = (Some(record.name()), None);
            }
            let file = place(RAW);
            let columns = columns::encode(&records).map_err(|e| StoreError::File(file.path(), e.into()))?;
            self.put(&file, columns::schema(), vec![columns], Vec::new())
                .await
        });
        futures::stream::iter(puts)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// The records of a tenant's day (UTC), each run once, in the order of probe and slot.
    pub async fn records(&self, tenant: &TenantId, day: Date) -> Result<Vec<Record>, StoreError> {
        let files = self.list(tenant, &format!("{RAW}/{day}")).await?;
        self.read_records(&files).await
    }

    /// The records of these files, each run once, in the order of probe and slot.
    pub(crate) async fn read_records(&self, files: &[FileRef]) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for file in files {
            for batch in self.read(file, None).await? {
                let read = columns::decode(&batch).map_err(|e| StoreError::File(file.path(), e.into()))?;
                records.extend(read);
            }
        }
        Ok(once(records))
    }

    /// The evidence of a run of a day (UTC), as JSON. None: there is none, or it is kept no longer.
    pub async fn evidence(
        &self,
        tenant: &TenantId,
        day: Date,
        run: &str,
    ) -> Result<Option<String>, StoreError> {
        for file in self.list(tenant, &format!("{EVIDENCE}/{day}")).await? {
            for batch in self.read(&file, None).await? {
                let found = columns::find_evidence(&batch, run);
                if let Some(found) = found.map_err(|e| StoreError::File(file.path(), e.into()))? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Records as one file for other readers: encrypted under the tenant's key, its own key wrapped in the footer.
    pub async fn export(
        &self,
        tenant: &TenantId,
        name: &str,
        records: &[Record],
    ) -> Result<Vec<u8>, StoreError> {
        let wrong = |e: arrow_schema::ArrowError| StoreError::File(name.into(), e.into());
        let batch = columns::encode(records).map_err(wrong)?;
        self.0
            .export(tenant, name, &FORMAT, columns::schema(), &[batch])
            .await
    }
}

/// The order in which records compress well.
fn sort(records: &mut [Record]) {
    records.sort_by(|a, b| {
        (&a.probe, &a.region, a.slot, a.attempt, a.kind)
            .cmp(&(&b.probe, &b.region, b.slot, b.attempt, b.kind))
    });
}

/// Each run once; of those that were made twice the one of the greater rank.
pub fn once(records: Vec<Record>) -> Vec<Record> {
    let mut kept: BTreeMap<[u8; 16], Record> = BTreeMap::new();
    for record in records {
        match kept.entry(record.run_id()) {
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(record)),
            std::collections::btree_map::Entry::Occupied(mut taken) if taken.get().rank() < record.rank() => {
                taken.insert(record);
            }
            std::collections::btree_map::Entry::Occupied(_) => {}
        }
    }
    let mut records: Vec<Record> = kept.into_values().collect();
    sort(&mut records);
    records
}
