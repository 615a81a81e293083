//! Records of a day a page at a time, with no more of them in memory than a file and a page hold.

use crate::{
    columns,
    record::{Kind, Record},
    store::{RAW, Store},
};
use drmwatch_archive::{StoreError, keys::TenantId};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a record stands among those of its day: in the order of time.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    slot: Timestamp,
    probe: String,
    region: String,
    attempt: u8,
    kind: Kind,
    /// Which run: attempts of two probes that had the same name one after the other differ in nothing else.
    run: [u8; 16],
}

impl Mark {
    fn of(record: &Record) -> Mark {
        Mark {
            slot: record.slot,
            probe: record.probe.clone(),
            region: record.region.clone(),
            attempt: record.attempt,
            kind: record.kind,
            run: record.run_id(),
        }
    }
}

/// A record, unless it is not wanted, and its rank among those of the same run.
struct Held {
    rank: (i64, u64, String),
    record: Option<Record>,
}

impl Store {
    /// The first `most` records (at least one) of a tenant's day (UTC) that are `wanted` and come after a mark, each run once;
    /// and the mark to go on from, if there may be more. A page may be shorter than what was asked for, and not be the last.
    pub async fn page(
        &self,
        tenant: &TenantId,
        day: Date,
        after: Option<&Mark>,
        most: usize,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<(Vec<Record>, Option<Mark>), StoreError> {
        // Of a run that was made twice the one of the greater rank counts, and only then is asked whether it is wanted: so
        // those that are not wanted hold their places.
        let mut kept: BTreeMap<Mark, Held> = BTreeMap::new();
        let (mut found, mut beyond) = (0, None::<Mark>);
        for file in self.list(tenant, &format!("{RAW}/{day}")).await? {
            for batch in self.read(&file, None).await? {
                let records = columns::decode(&batch);
                for record in records.map_err(|e| StoreError::File(file.path(), e.into()))? {
                    let mark = Mark::of(&record);
                    if after.is_some_and(|after| mark <= *after)
                        || beyond.as_ref().is_some_and(|b| mark >= *b)
                    {
                        continue;
                    }
                    let (lag, duration, runner) = record.rank();
                    let rank = (lag, duration, runner.to_owned());
                    let before = kept.get(&mark);
                    if before.is_some_and(|held| held.rank >= rank) {
                        continue;
                    }
                    found -= usize::from(before.is_some_and(|held| held.record.is_some()));
                    let record = wanted(&record).then_some(record);
                    found += usize::from(record.is_some());
                    kept.insert(mark, Held { rank, record });
                    while found > most.max(1) {
                        let Some((mark, held)) = kept.pop_last() else {
                            break;
                        };
                        found -= usize::from(held.record.is_some());
                        beyond = Some(mark);
                    }
                }
            }
        }
        let next = beyond.and_then(|_| kept.last_key_value().map(|(mark, _)| mark.clone()));
        Ok((kept.into_values().filter_map(|held| held.record).collect(), next))
    }
}
