//! From the spool to the store.

use crate::{
    keys::KeyError,
    spool::{Frame, Segment, Shelf, Spool},
    store::StoreError,
};
use drmwatch_outcome::TenantKey;
use std::{collections::BTreeMap, io};
use tracing::{error, warn};

/// What a round of shipping did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Records that are in the store now.
    pub shipped: u64,
    /// Records that were damaged on the disk: lost.
    pub damaged: u64,
    /// Records of tenants that were shredded: dropped, as was asked for.
    pub shredded: u64,
    /// Records of tenants without a key: they wait.
    pub keyless: u64,
    /// Segments that wait still.
    pub waiting: usize,
    /// Why, if the store could not take what there was.
    pub error: Option<String>,
}

/// A record that belongs to a tenant.
pub trait Owned: Frame + Clone {
    /// Whose it is.
    fn tenant(&self) -> TenantKey;
}

/// Where a spool's records end.
pub trait Sink<T> {
    /// Writes records. `batch` names them: the same batch is written once, however often it is tried.
    fn append(&self, batch: &str, records: Vec<T>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Ships what was closed. It may be called again at any time, and after any failure: what was shipped already is not
/// there twice.
pub async fn round<T: Owned>(shelf: &Shelf<T>, spool: &Spool<T>, store: &impl Sink<T>) -> io::Result<Round> {
    let mut round = Round::default();
    let closed = shelf.closed()?;
    round.waiting = closed.len();
    for path in &closed {
        let mut segment = shelf.read(path)?;
        if segment.damaged > 0 || segment.torn > 0 {
            let (records, bytes) = (segment.damaged, segment.torn);
            warn!(segment = %path.display(), records, bytes, "a part of the spool can't be read");
        }
        match ship(&mut segment, shelf, spool, store, &mut round).await {
            Ok(true) => round.waiting -= 1,
            Ok(false) => {}
            Err(error) => {
                round.error = Some(error.to_string());
                break;
            }
        }
    }
    Ok(round)
}

/// Ships a segment; false: of some tenant there is no key.
async fn ship<T: Owned>(
    segment: &mut Segment<T>,
    shelf: &Shelf<T>,
    spool: &Spool<T>,
    store: &impl Sink<T>,
    round: &mut Round,
) -> Result<bool, StoreError> {
    let all = segment.records.len();
    let mut tenants: BTreeMap<TenantKey, Vec<T>> = BTreeMap::new();
    for record in std::mem::take(&mut segment.records) {
        tenants.entry(record.tenant()).or_default().push(record);
    }
    let mut left = Vec::new();
    for (tenant, records) in tenants {
        let count = records.len() as u64;
        match store.append(&segment.name(), records.clone()).await {
            Ok(()) => round.shipped += count,
            Err(StoreError::Shredded(_)) => round.shredded += count,
            Err(StoreError::Key(error @ KeyError::None(_))) => {
                warn!(%tenant, %error, "records wait for a key");
                left.extend(records);
            }
            Err(error) => return Err(error),
        }
    }
    let done = match left.is_empty() {
        true => shelf.done(segment, spool),
        false if left.len() < all => shelf.keep_only(segment, &left, spool),
        false => Ok(()),
    };
    if let Err(error) = done {
        // It will be shipped again, and change nothing.
        error!(%error, "the spool can't be tidied");
    }
    round.keyless += left.len() as u64;
    round.damaged += segment.damaged;
    Ok(left.is_empty())
}
