//! From the spool to the store.

use crate::{
    keys::KeyError,
    record::Record,
    spool::{Segment, Shelf, Spool},
    store::{Store, StoreError},
};
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

/// Ships what was closed. It may be called again at any time, and after any failure: what was shipped already is not
/// there twice.
pub async fn round(shelf: &Shelf, spool: &Spool, store: &Store) -> io::Result<Round> {
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
async fn ship(
    segment: &mut Segment,
    shelf: &Shelf,
    spool: &Spool,
    store: &Store,
    round: &mut Round,
) -> Result<bool, StoreError> {
    let all = segment.records.len();
    let mut tenants: BTreeMap<(String, String), Vec<Record>> = BTreeMap::new();
    for record in std::mem::take(&mut segment.records) {
        let tenant = (record.tenant_namespace.clone(), record.tenant.clone());
        tenants.entry(tenant).or_default().push(record);
    }
    let mut left = Vec::new();
    for ((namespace, tenant), records) in tenants {
        let count = records.len() as u64;
        match store.append(&segment.name(), records.clone()).await {
            Ok(()) => round.shipped += count,
            Err(StoreError::Shredded(_)) => round.shredded += count,
            Err(StoreError::Key(error @ KeyError::None(_))) => {
                warn!(namespace, tenant, %error, "results wait for a key");
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
