//! What is kept of runs, and for how long.

use crate::{
    columns,
    store::{EVIDENCE, RAW, Store},
};
use drmwatch_archive::{FileRef, StoreError, keys::TenantId, retain};
use drmwatch_sla::Level;
use drmwatch_tokens::hexadecimal;
use jiff::civil::Date;
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

/// Deletes what is older, and says how many files there were.
pub async fn expire(
    store: &Store,
    tenant: &TenantId,
    keep: Retention,
    today: Date,
) -> Result<usize, StoreError> {
    let levels = [
        (EVIDENCE, keep.evidence),
        (RAW, keep.raw),
        (Level::Quarter.name(), keep.hours),
        (Level::Hour.name(), keep.hours),
        (Level::Day.name(), keep.days),
        (Level::Week.name(), keep.days),
        (Level::Month.name(), keep.days),
    ];
    retain::expire(store, tenant, &levels, today).await
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
