//! How a tenant's data is made unreadable, and what proves it.

use crate::{
    keys::TenantId,
    sign::Signer,
    store::{Store, StoreError, tombstone},
};
use jiff::Timestamp;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};

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

/// Makes a tenant's data unreadable, wherever copies of them are: its keys first, then its files; what is left says so.
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
