//! The store: encrypted files of tenants, by level and day, on any object storage.
//!
//! ```text
//! v1/TENANT/raw/2026-11-26/NAME.parquet                         records of that day, UTC
//! v1/TENANT/raw/2026-11-26/_KEY_MATERIAL_FOR_NAME.parquet.json  its key, wrapped by the tenant's
//! v1/TENANT/evidence/2026-11-26/NAME.parquet                    evidence of failures, for a short time
//! v1/TENANT/15m|1h/2026-11-26/…, 1d/2026-11/…, 1w/2026/…, 1mo/2026/…    roll-ups
//! v1/tombstones/TENANT.json                                     a tenant that was shredded
//! ```
//!
//! The key comes first and is never overwritten by who writes files, so a file that is there can be opened: whoever
//! comes second with the same name takes the key that is there. Names follow from what is in a file, so that what is
//! written twice is there once.

use crate::{
    columns,
    file::{self, FileError, Material},
    keys::{Dek, KekId, KeyError, KeyMaterial, Kms, Names, TenantId},
    record::Record,
};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use jiff::civil::Date;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The version of the layout.
pub const ROOT: &str = "v1";
/// What records of runs lie under.
pub const RAW: &str = "raw";
/// What evidence of failures lies under.
pub const EVIDENCE: &str = "evidence";
/// Requests to the storage that go on at a time.
const AT_ONCE: usize = 8;

/// Why the store can't do what is asked.
#[derive(thiserror::Error, Debug)]
pub enum StoreError {
    /// The storage does not answer, or refuses.
    #[error("the storage: {0}")]
    Storage(#[from] object_store::Error),
    /// A key can't be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file can't be read.
    #[error("{0}: {1}")]
    File(Path, #[source] FileError),
    /// A file's key is not there.
    #[error("{0}: its key is not beside it: it was deleted, and the file can't be opened")]
    NoKey(Path),
    /// What lies beside a file is no key of it.
    #[error("{0}: the key beside it is malformed, or is another tenant's: it was tampered with")]
    ForeignKey(Path),
    /// The tenant was shredded.
    #[error("tenant {0} was shredded: nothing of it can be read, and nothing is written any more")]
    Shredded(TenantId),
    /// The URL can't be used.
    #[error("{0}")]
    Url(String),
}

/// How stubborn requests to an object storage are.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Most times that one is tried again.
    pub most: usize,
    /// For how long.
    pub within: std::time::Duration,
}

/// One file of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Whose.
    pub tenant: TenantId,
    /// Where, below the tenant: `raw/2026-11-26`.
    pub folder: String,
    /// Name, without `.parquet`.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

impl FileRef {
    /// Its path.
    pub fn path(&self) -> Path {
        Path::from(format!(
            "{ROOT}/{}/{}/{}.parquet",
            self.tenant, self.folder, self.name
        ))
    }

    /// The path of its key.
    pub fn key_path(&self) -> Path {
        let (tenant, folder, name) = (&self.tenant, &self.folder, &self.name);
        Path::from(format!(
            "{ROOT}/{tenant}/{folder}/_KEY_MATERIAL_FOR_{name}.parquet.json"
        ))
    }

    /// What binds its bytes to its place.
    fn aad(&self) -> String {
        format!("drmwatch/{ROOT}/{}/{}/{}", self.tenant, self.folder, self.name)
    }

    fn parse(path: &Path, size: u64) -> Option<FileRef> {
        let parts: Vec<String> = path.parts().map(|p| p.as_ref().to_owned()).collect();
        let [_, tenant, folder @ .., name] = parts.as_slice() else {
            return None;
        };
        Some(FileRef {
            tenant: TenantId::parse(tenant)?,
            folder: folder.join("/"),
            name: name.strip_suffix(".parquet")?.to_owned(),
            size,
        })
    }
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    kms: Arc<dyn Kms>,
    names: Names,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects)
    }
}

impl Store {
    /// A store of these objects and keys.
    pub fn new(objects: Arc<dyn ObjectStore>, kms: Arc<dyn Kms>, names: Names) -> Store {
        Store { objects, kms, names }
    }

    /// Opens the store at a place: a folder, or a URL (`s3://BUCKET/PREFIX`, `gs://`, `az://`), whose credentials and
    /// endpoints are read from the environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, … as `object_store` documents).
    pub fn open(place: &str, kms: Arc<dyn Kms>, names: Names) -> Result<Store, StoreError> {
        if !place.contains("://") {
            std::fs::create_dir_all(place).map_err(|e| StoreError::Url(format!("{place}: {e}")))?;
            let folder = object_store::local::LocalFileSystem::new_with_prefix(place)?.with_fsync(true);
            return Ok(Store::new(Arc::new(folder), kms, names));
        }
        let settings = std::env::vars().map(|(k, v)| (k.to_ascii_lowercase(), v));
        Store::open_with(place, kms, names, settings, None)
    }

    /// Opens the store at a URL, with these settings of `object_store`. `retries`: how stubborn it is, other than by default.
    pub fn open_with(
        place: &str,
        kms: Arc<dyn Kms>,
        names: Names,
        settings: impl IntoIterator<Item = (String, String)>,
        retries: Option<Retries>,
    ) -> Result<Store, StoreError> {
        Ok(Store::new(storage(place, settings, retries)?, kms, names))
    }

    /// The storage.
    pub fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// The keys.
    pub fn kms(&self) -> &dyn Kms {
        &*self.kms
    }

    /// The id of a tenant.
    pub fn tenant(&self, namespace: &str, name: &str) -> TenantId {
        self.names.tenant(namespace, name)
    }

    /// Writes a file, unless one of this name is there.
    pub async fn put(
        &self,
        file: &FileRef,
        schema: Arc<Schema>,
        batches: Vec<RecordBatch>,
        more: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        self.put_new(file, schema, batches, more).await.map(drop)
    }

    /// Writes a file; false: one of this name is there, and stays.
    pub async fn put_new(
        &self,
        file: &FileRef,
        schema: Arc<Schema>,
        batches: Vec<RecordBatch>,
        more: Vec<(String, String)>,
    ) -> Result<bool, StoreError> {
        let dek = self.key_for(file).await?;
        let (aad, path) = (file.aad(), file.path());
        let sealed = file::seal(schema, &batches, &dek, &aad, Material::Beside, more);
        let sealed = sealed.map_err(|e| StoreError::File(path.clone(), e))?;
        self.create(&path, sealed).await
    }

    /// The metadata of a file.
    pub async fn metadata(&self, file: &FileRef) -> Result<BTreeMap<String, String>, StoreError> {
        let dek = self.key_of(file).await?;
        let path = file.path();
        let bytes = self.objects.get(&path).await?.bytes().await?;
        let pairs = file::metadata(bytes, &dek, &file.aad()).map_err(|e| StoreError::File(path, e))?;
        Ok(pairs.into_iter().collect())
    }

    /// The key of a file that is to be written: the one that lies there, or a fresh one.
    async fn key_for(&self, file: &FileRef) -> Result<Dek, StoreError> {
        let kek = match self.kms.newest(&file.tenant).await {
            Ok(kek) => kek,
            Err(error) => {
                return Err(match self.shredded(&file.tenant).await.unwrap_or_default() {
                    true => StoreError::Shredded(file.tenant.clone()),
                    false => error.into(),
                });
            }
        };
        let dek = Dek::random()?;
        let material = KeyMaterial::new(&kek, self.kms.wrap(&kek, &dek).await?);
        if self.create(&file.key_path(), material.beside()).await? {
            return Ok(dek);
        }
        match self.key_of(file).await {
            // Who came before died between key and file, and its version of the tenant's key is no more: nothing was
            // ever written under it.
            Err(StoreError::Key(KeyError::Gone(_))) if self.absent(&file.path()).await? => {
                self.objects
                    .put(&file.key_path(), material.beside().into())
                    .await?;
                Ok(dek)
            }
            found => found,
        }
    }

    /// Whether there is no object at a path.
    pub(crate) async fn absent(&self, path: &Path) -> Result<bool, StoreError> {
        match self.objects.head(path).await {
            Ok(_) => Ok(false),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object that is not there yet; false: it is.
    pub(crate) async fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(path, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn material(&self, file: &FileRef) -> Result<(KekId, KeyMaterial), StoreError> {
        let found = match self.objects.get(&file.key_path()).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Err(StoreError::NoKey(file.path())),
            Err(error) => return Err(error.into()),
        };
        let material = KeyMaterial::parse(&found);
        let kek = material.as_ref().and_then(|m| KekId::parse(&m.master_key_id));
        match (kek, material) {
            (Some(kek), Some(material)) if kek.tenant == file.tenant => Ok((kek, material)),
            _ => Err(StoreError::ForeignKey(file.path())),
        }
    }

    async fn key_of(&self, file: &FileRef) -> Result<Dek, StoreError> {
        let (kek, material) = self.material(file).await?;
        Ok(self.kms.unwrap(&kek, &material.wrapped_dek).await?)
    }

    /// Reads a file: these columns (None: all).
    pub async fn read(
        &self,
        file: &FileRef,
        columns: Option<&[&str]>,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let dek = self.key_of(file).await?;
        let path = file.path();
        let bytes: Bytes = self.objects.get(&path).await?.bytes().await?;
        let wrong = |e| StoreError::File(path.clone(), e);
        let reader = file::open(bytes, &dek, &file.aad(), columns).map_err(wrong)?;
        reader
            .map(|batch| batch.map_err(|e| wrong(file::refused(e))))
            .collect()
    }

    /// Files of a tenant below a folder (`raw`, `raw/2026-11-26`), in the order of their paths.
    pub async fn list(&self, tenant: &TenantId, folder: &str) -> Result<Vec<FileRef>, StoreError> {
        let prefix = Path::from(format!("{ROOT}/{tenant}/{folder}"));
        let listed: Vec<_> = self.objects.list(Some(&prefix)).try_collect().await?;
        let mut files: Vec<FileRef> = listed
            .iter()
            .filter_map(|o| FileRef::parse(&o.location, o.size))
            .collect();
        files.sort_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
        Ok(files)
    }

    /// Whether there is anything of a tenant.
    pub async fn has(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let prefix = Path::from(format!("{ROOT}/{tenant}"));
        Ok(self.objects.list(Some(&prefix)).try_next().await?.is_some())
    }

    /// Tenants of which there is something.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let listed = self.objects.list_with_delimiter(Some(&Path::from(ROOT))).await?;
        let id = |p: &Path| TenantId::parse(p.parts().next_back()?.as_ref());
        Ok(listed.common_prefixes.iter().filter_map(id).collect())
    }

    /// Tenants of which there is something, and those that were shredded.
    pub async fn tenants_ever(&self) -> Result<Vec<TenantId>, StoreError> {
        let mut tenants = self.tenants().await?;
        let stones = Path::from(format!("{ROOT}/tombstones"));
        let listed: Vec<_> = self.objects.list(Some(&stones)).try_collect().await?;
        let id =
            |o: &object_store::ObjectMeta| TenantId::parse(o.location.filename()?.strip_suffix(".json")?);
        tenants.extend(listed.iter().filter_map(id));
        tenants.sort_unstable();
        tenants.dedup();
        Ok(tenants)
    }

    /// Whether a tenant was shredded.
    pub async fn shredded(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(!self.absent(&tombstone(tenant)).await?)
    }

    /// Namespace and name of a tenant, as its newest records say. None: there are no records.
    pub async fn name_of(&self, tenant: &TenantId) -> Result<Option<(String, String)>, StoreError> {
        let Some(day) = self.days(tenant).await?.pop() else {
            return Ok(None);
        };
        let files = self.list(tenant, &format!("{RAW}/{day}")).await?;
        let records = self.read_records(files.get(..1).unwrap_or_default()).await?;
        let first = records.into_iter().next();
        Ok(first.map(|r| (r.tenant_namespace, r.tenant)))
    }

    /// Days of which there are records of a tenant.
    pub async fn days(&self, tenant: &TenantId) -> Result<Vec<Date>, StoreError> {
        let prefix = Path::from(format!("{ROOT}/{tenant}/{RAW}"));
        let listed = self.objects.list_with_delimiter(Some(&prefix)).await?;
        let day = |p: &Path| p.parts().next_back()?.as_ref().parse().ok();
        let mut days: Vec<Date> = listed.common_prefixes.iter().filter_map(day).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// Deletes a file; its key after it, so that nothing is left that can't be opened.
    pub async fn delete(&self, file: &FileRef) -> Result<(), StoreError> {
        for path in [file.path(), file.key_path()] {
            match self.objects.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes records, by tenant and day (UTC). `batch` names them: the same batch is written once, however often it is tried.
    pub async fn append(&self, batch: &str, records: Vec<Record>) -> Result<(), StoreError> {
        let mut parts: BTreeMap<(TenantId, Date), Vec<Record>> = BTreeMap::new();
        for record in records {
            let tenant = self.tenant(&record.tenant_namespace, &record.tenant);
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
        let (kek, dek) = (self.kms.newest(tenant).await?, Dek::random()?);
        let material = KeyMaterial::new(&kek, self.kms.wrap(&kek, &dek).await?).inside();
        let wrong = |e| StoreError::File(Path::from(name), e);
        let batch = columns::encode(records).map_err(|e| wrong(e.into()))?;
        let aad = format!("drmwatch/export/{tenant}/{name}");
        file::seal(
            columns::schema(),
            &[batch],
            &dek,
            &aad,
            Material::Inside(material),
            Vec::new(),
        )
        .map_err(wrong)
    }

    /// Wraps every file's key anew by the newest version of the tenant's; says how many were not yet.
    pub async fn rewrap(&self, tenant: &TenantId) -> Result<usize, StoreError> {
        let newest = self.kms.newest(tenant).await?;
        let mut done = 0;
        for file in self.list(tenant, "").await? {
            let (kek, material) = self.material(&file).await?;
            if kek == newest {
                continue;
            }
            let dek = self.kms.unwrap(&kek, &material.wrapped_dek).await?;
            let material = KeyMaterial::new(&newest, self.kms.wrap(&newest, &dek).await?);
            self.objects
                .put(&file.key_path(), material.beside().into())
                .await?;
            done += 1;
        }
        Ok(done)
    }
}

/// The object storage at a URL (`s3://BUCKET/PREFIX`, `gs://`, `az://`), with these settings of `object_store`.
pub fn storage(
    place: &str,
    settings: impl IntoIterator<Item = (String, String)>,
    retries: Option<Retries>,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    use object_store::{ObjectStoreScheme, RetryConfig, aws, azure, gcp};
    let url = url::Url::parse(place).map_err(|e| StoreError::Url(format!("{place}: {e}")))?;
    let (scheme, prefix) =
        ObjectStoreScheme::parse(&url).map_err(|e| StoreError::Url(format!("{place}: {e}")))?;
    let mut retry = RetryConfig::default();
    if let Some(retries) = retries {
        (retry.max_retries, retry.retry_timeout) = (retries.most, retries.within);
    }
    // An image made from scratch has no certificates of authorities; those of the system, or of SSL_CERT_FILE, count too.
    let mut client = object_store::ClientOptions::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        client = client.with_root_certificate(object_store::Certificate::from_der(root)?);
    }
    macro_rules! build {
        ($builder:expr) => {{
            let mut builder = $builder
                .with_url(place)
                .with_retry(retry)
                .with_client_options(client);
            for (key, value) in settings {
                if let Ok(key) = key.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            Arc::new(builder.build()?)
        }};
    }
    let objects: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => build!(aws::AmazonS3Builder::new()),
        ObjectStoreScheme::GoogleCloudStorage => build!(gcp::GoogleCloudStorageBuilder::new()),
        ObjectStoreScheme::MicrosoftAzure => build!(azure::MicrosoftAzureBuilder::new()),
        _ => {
            return Err(StoreError::Url(format!(
                "{place}: must be a folder, or begin with s3://, gs:// or az://"
            )));
        }
    };
    let objects = object_store::prefix::PrefixStore::new(objects, prefix);
    Ok(Arc::new(objects))
}

/// Where the tombstone of a tenant lies.
pub(crate) fn tombstone(tenant: &TenantId) -> Path {
    Path::from(format!("{ROOT}/tombstones/{tenant}.json"))
}

/// The day, UTC, of an instant in seconds.
pub fn day_of(second: i64) -> Date {
    let days = i32::try_from(second.div_euclid(86_400)).unwrap_or_default();
    let at = jiff::Span::new().try_days(days).ok();
    at.and_then(|days| Date::constant(1970, 1, 1).checked_add(days).ok())
        .unwrap_or(Date::MIN)
}

/// When a day begins, UTC: seconds since 1970.
pub fn start_of(day: Date) -> i64 {
    let zoned = day.to_zoned(jiff::tz::TimeZone::UTC);
    zoned.map_or(0, |z| z.timestamp().as_second())
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
