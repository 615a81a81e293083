//! What is kept, for how long, and how it is got rid of.

use crate::{
    columns,
    keys::TenantId,
    sign::Signer,
    store::{EVIDENCE, FileRef, RAW, Store, StoreError, tombstone},
};
use drmwatch_sla::Level;
use drmwatch_tokens::hexadecimal;
use jiff::{Timestamp, ToSpan, civil::Date};
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// For how many days each level is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Evidence.
    pub evidence: i64,
    /// Records.
    pub raw: i64,
    /// Quarters and hours.
    pub hours: i64,
    /// Days, weeks and months.
    pub days: i64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            evidence: 7,
            raw: 35,
            hours: 396,
            days: 1827,
        }
    }
}

/// Deletes what is older, and says how many files there were. It looks again afterwards: what is still there is an error.
pub async fn expire(
    store: &Store,
    tenant: &TenantId,
    keep: Retention,
    today: Date,
) -> Result<usize, StoreError> {
    let before = |days: i64| today.saturating_sub(days.days());
    let levels = [
        (EVIDENCE, before(keep.evidence)),
        (RAW, before(keep.raw)),
        (Level::Quarter.name(), before(keep.hours)),
        (Level::Hour.name(), before(keep.hours)),
        (Level::Day.name(), before(keep.days)),
        (Level::Week.name(), before(keep.days)),
        (Level::Month.name(), before(keep.days)),
    ];
    let old = |file: &FileRef, before: Date| date_of(file).is_some_and(|date| date < before);
    let mut deleted = 0;
    for (level, before) in levels {
        for file in store.list(tenant, level).await?.iter().filter(|f| old(f, before)) {
            store.delete(file).await?;
            deleted += 1;
        }
        if let Some(left) = store.list(tenant, level).await?.iter().find(|f| old(f, before)) {
            return Err(StoreError::Url(format!(
                "{}: it was deleted, and is still there",
                left.path()
            )));
        }
    }
    Ok(deleted)
}

/// The day that a file is of: of records its folder's, of roll-ups its name's.
fn date_of(file: &FileRef) -> Option<Date> {
    let folder = file.folder.rsplit('/').next().and_then(|f| f.parse().ok());
    folder.or_else(|| file.name.get(..10)?.parse().ok())
}

/// Puts the small files of a day together, once there are so many of them. What is read between the writing of the one
/// and the deleting of the others is there twice, and counts once.
pub async fn compact(store: &Store, tenant: &TenantId, day: Date, least: usize) -> Result<usize, StoreError> {
    let files = store.list(tenant, &format!("{RAW}/{day}")).await?;
    if files.len() < least.max(2) {
        return Ok(0);
    }
    let records = store.read_records(&files).await?;
    let mut names = Sha256::new();
    files.iter().for_each(|f| names.update(format!("{}\n", f.name)));
    let whole = FileRef {
        tenant: tenant.clone(),
        folder: format!("{RAW}/{day}"),
        // It sorts after what comes from runners, and follows from what is in it.
        name: format!("z{}", hexadecimal(&names.finalize()[..16])),
        size: 0,
    };
    let batch = columns::encode(&records).map_err(|e| StoreError::File(whole.path(), e.into()))?;
    store
        .put(&whole, columns::schema(), vec![batch], Vec::new())
        .await?;
    // Read back before anything is deleted.
    store.read(&whole, Some(&["slot"])).await?;
    for file in &files {
        store.delete(file).await?;
    }
    Ok(files.len())
}

/// Proof that a tenant was shredded.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tombstone {
    /// Whose.
    pub tenant: String,
    /// When.
    pub at: Timestamp,
    /// Versions of its key that were destroyed.
    pub keys: usize,
    /// Files that were deleted.
    pub files: usize,
    /// Why, as whoever asked for it says.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    tombstone: String,
    signature: Vec<u8>,
}

/// Makes a tenant's results unreadable, wherever copies of them are: its keys first, then its files; what is left says so.
pub async fn shred(
    store: &Store,
    tenant: &TenantId,
    reason: &str,
    signer: &Signer,
    at: Timestamp,
) -> Result<Tombstone, StoreError> {
    let files = store.list(tenant, "").await?;
    let keys = store.kms().destroy(tenant).await?;
    for file in &files {
        store.delete(file).await?;
    }
    let stone = Tombstone {
        tenant: tenant.to_string(),
        at,
        keys,
        files: files.len(),
        reason: reason.to_owned(),
    };
    let text = serde_json::to_string(&stone).unwrap_or_default();
    let signed = Signed {
        signature: signer.sign(text.as_bytes()),
        tombstone: text,
    };
    let bytes = serde_json::to_vec(&signed).unwrap_or_default();
    store.objects().put(&tombstone(tenant), bytes.into()).await?;
    Ok(stone)
}

/// The tombstone of a tenant, if there is one. `public`: the key that must have signed it.
pub async fn find_tombstone(
    store: &Store,
    tenant: &TenantId,
    public: &str,
) -> Result<Option<Tombstone>, StoreError> {
    let bytes = match store.objects().get(&tombstone(tenant)).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let forged = |why: &str| StoreError::Url(format!("{}: {why}", tombstone(tenant)));
    let signed: Signed = serde_json::from_slice(&bytes).map_err(|e| forged(&e.to_string()))?;
    crate::sign::verify(public, signed.tombstone.as_bytes(), &signed.signature)
        .map_err(|e| forged(&e.to_string()))?;
    serde_json::from_str(&signed.tombstone)
        .map(Some)
        .map_err(|e| forged(&e.to_string()))
}
