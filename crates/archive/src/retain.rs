//! For how long files are kept.

use crate::{
    keys::TenantId,
    store::{FileRef, Store, StoreError},
};
use jiff::{ToSpan, civil::Date};

/// Deletes what is older than the days for which each folder is kept, and says how many files there were. It looks again afterwards: what is still there is an error.
pub async fn expire(
    store: &Store,
    tenant: &TenantId,
    folders: &[(&str, i64)],
    today: Date,
) -> Result<usize, StoreError> {
    let before = |days: i64| today.saturating_sub(days.days());
    let old = |file: &FileRef, before: Date| date_of(file).is_some_and(|date| date < before);
    let mut deleted = 0;
    for (folder, days) in folders {
        let (folder, before) = (*folder, before(*days));
        for file in store
            .list(tenant, folder)
            .await?
            .iter()
            .filter(|f| old(f, before))
        {
            store.delete(file).await?;
            deleted += 1;
        }
        if let Some(left) = store.list(tenant, folder).await?.iter().find(|f| old(f, before)) {
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
