//! Which reports were delivered: an empty object for each, so that none is delivered twice and none is forgotten.
//!
//! `v1/deliveries/ID/FROM_TO.TENANT`, where ID follows from report and recipient, and names neither.

use crate::Store;
use drmwatch_archive::{ROOT, StoreError, keys::TenantId};
use jiff::civil::Date;
use object_store::path::Path;

/// What was delivered, or is to be.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// UID of the report.
    pub report: &'a str,
    /// Name of the recipient.
    pub recipient: &'a str,
    /// Of whom.
    pub tenant: &'a TenantId,
    /// The first day of the period.
    pub from: Date,
    /// The first day beyond.
    pub to: Date,
}

impl Delivery<'_> {
    /// A name for it that is the same each time.
    pub fn id(&self, store: &Store) -> String {
        let of = store.names().hide(self.report, self.recipient);
        format!("{of}/{}_{}.{}", self.from, self.to, self.tenant)
    }

    fn path(&self, store: &Store) -> Path {
        Path::from(format!("{ROOT}/deliveries/{}", self.id(store)))
    }

    /// Whether it was delivered.
    pub async fn done(&self, store: &Store) -> Result<bool, StoreError> {
        Ok(!store.absent(&self.path(store)).await?)
    }

    /// Notes that it was.
    pub async fn note(&self, store: &Store) -> Result<(), StoreError> {
        store.create(&self.path(store), Vec::new()).await.map(drop)
    }
}
