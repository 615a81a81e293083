//! The store: encrypted files of tenants, by dataset and day, on any object storage.
//!
//! ```text
//! v1/TENANT/FOLDER/2026-11-26/NAME.parquet                         a file of a dataset, of that day in UTC
//! v1/TENANT/FOLDER/2026-11-26/_KEY_MATERIAL_FOR_NAME.parquet.json  its key, wrapped by the tenant's
//! v1/tombstones/TENANT.json                                        a tenant that was shredded
//! ```
//!
//! The key comes first and is never overwritten by who writes files, so a file that is there can be opened: whoever
//! comes second with the same name takes the key that is there. Names follow from what is in a file, so that what is
//! written twice is there once.

use crate::{
    Format,
    file::{self, FileError, Material},
    keys::{Dek, KekId, KeyError, KeyMaterial, Kms, Names, TenantId},
};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;
use drmwatch_outcome::TenantKey;
use futures::TryStreamExt;
use jiff::civil::Date;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    client::{HttpConnector, ReqwestConnector},
    path::Path,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The version of the layout.
pub const ROOT: &str = "v1";
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

    /// Names of what must not be told by its path.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The id of a tenant.
    pub fn tenant(&self, key: &TenantKey) -> TenantId {
        self.names.tenant(key)
    }

    /// Writes a file, unless one of this name is there.
    pub async fn put(
        &self,
        file: &FileRef,
        format: &Format,
        schema: Arc<Schema>,
        batches: Vec<RecordBatch>,
        more: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        self.put_new(file, format, schema, batches, more).await.map(drop)
    }

    /// Writes a file; false: one of this name is there, and stays.
    pub async fn put_new(
        &self,
        file: &FileRef,
        format: &Format,
        schema: Arc<Schema>,
        batches: Vec<RecordBatch>,
        more: Vec<(String, String)>,
    ) -> Result<bool, StoreError> {
        let dek = self.key_for(file).await?;
        let (aad, path) = (file.aad(), file.path());
        let sealed = file::seal(format, schema, &batches, &dek, &aad, Material::Beside, more);
        let sealed = sealed.map_err(|e| StoreError::File(path.clone(), e))?;
        self.create(&path, sealed).await
    }

    /// The metadata of a file.
    pub async fn metadata(
        &self,
        file: &FileRef,
        format: &Format,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let dek = self.key_of(file).await?;
        let path = file.path();
        let bytes = self.objects.get(&path).await?.bytes().await?;
        let pairs =
            file::metadata(format, bytes, &dek, &file.aad()).map_err(|e| StoreError::File(path, e))?;
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
    pub async fn absent(&self, path: &Path) -> Result<bool, StoreError> {
        match self.objects.head(path).await {
            Ok(_) => Ok(false),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object that is not there yet; false: it is.
    pub async fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, StoreError> {
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
        format: &Format,
        columns: Option<&[&str]>,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let dek = self.key_of(file).await?;
        let path = file.path();
        let bytes: Bytes = self.objects.get(&path).await?.bytes().await?;
        let wrong = |e| StoreError::File(path.clone(), e);
        let reader = file::open(format, bytes, &dek, &file.aad(), columns).map_err(wrong)?;
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

    /// Days (UTC) of which a tenant has files below a folder.
    pub async fn days(&self, tenant: &TenantId, folder: &str) -> Result<Vec<Date>, StoreError> {
        let prefix = Path::from(format!("{ROOT}/{tenant}/{folder}"));
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

    /// Rows as one file for other readers: encrypted under the tenant's key, its own key wrapped in the footer.
    pub async fn export(
        &self,
        tenant: &TenantId,
        name: &str,
        format: &Format,
        schema: Arc<Schema>,
        batches: &[RecordBatch],
    ) -> Result<Vec<u8>, StoreError> {
        let (kek, dek) = (self.kms.newest(tenant).await?, Dek::random()?);
        let material = KeyMaterial::new(&kek, self.kms.wrap(&kek, &dek).await?).inside();
        let aad = format!("drmwatch/export/{tenant}/{name}");
        file::seal(
            format,
            schema,
            batches,
            &dek,
            &aad,
            Material::Inside(material),
            Vec::new(),
        )
        .map_err(|e| StoreError::File(Path::from(name), e))
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
    storage_by(place, settings, retries, ReqwestConnector::default())
}

/// The object storage at a URL, whose requests are made by `connector`.
pub fn storage_by(
    place: &str,
    settings: impl IntoIterator<Item = (String, String)>,
    retries: Option<Retries>,
    connector: impl HttpConnector,
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
                .with_client_options(client)
                .with_http_connector(connector);
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
