//! Records as consolidation needs them: read as columns, each run once.

use crate::{
    columns::{Columns, Words, wrong},
    record::Kind,
};
use arrow_array::{
    RecordBatch,
    types::{Int64Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type},
};
use arrow_schema::ArrowError;
use drmwatch_sla::{Outcome, RegionRun, RunKind};
use std::collections::BTreeMap;

/// Columns that consolidation reads.
pub const COLUMNS: [&str; 16] = [
    "kind",
    "probe",
    "uid",
    "region",
    "runner",
    "slot",
    "lag_ms",
    "duration_us",
    "attempt",
    "counts",
    "slots",
    "stands_seconds",
    "outcome",
    "step",
    "reason",
    "maintenance",
];

/// A record as consolidation needs it. Which of two is kept is decided as [`crate::once`] does.
struct Row {
    run: RegionRun,
    /// Slot in milliseconds, attempt, kind, cause of a miss: with probe and region what the id of a run is made of.
    key: (i64, u8, Kind, Option<String>),
    rank: (i64, u64, u32),
}

/// Runs of a day, by probe and region.
#[derive(Default)]
pub struct Runs {
    by: BTreeMap<(String, String, String), Vec<Row>>,
    /// Runners, by number: ranks compare names.
    runners: BTreeMap<String, u32>,
}

impl Runs {
    /// Takes the rows of a batch.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let of = Columns(batch);
        let (kind, probe, uid) = (of.words("kind")?, of.words("probe")?, of.words("uid")?);
        let (region, runner) = (of.words("region")?, of.words("runner")?);
        let (outcome, step, reason) = (of.words("outcome")?, of.words("step")?, of.words("reason")?);
        let maintenance = of.words("maintenance")?;
        let slot = of.numbers::<TimestampMillisecondType>("slot")?;
        let lag = of.numbers::<Int64Type>("lag_ms")?;
        let duration = of.numbers::<UInt64Type>("duration_us")?;
        let attempt = of.numbers::<UInt8Type>("attempt")?;
        let counts = of.bools("counts")?;
        let (slots, stands) = (
            of.numbers::<UInt32Type>("slots")?,
            of.numbers::<UInt32Type>("stands_seconds")?,
        );
        let mut numbers = Vec::new();
        for name in runner.values() {
            let next = self.runners.len() as u32;
            numbers.push(
                *self
                    .runners
                    .entry(name.unwrap_or_default().to_owned())
                    .or_insert(next),
            );
        }
        // Rows are sorted by probe and region, so the list is looked for once for each.
        let mut at: Option<((usize, usize, usize), Vec<Row>)> = None;
        for row in 0..batch.num_rows() {
            let place = (
                probe.key(row).ok_or_else(|| wrong("probe"))?,
                uid.key(row).ok_or_else(|| wrong("uid"))?,
                region.key(row).ok_or_else(|| wrong("region"))?,
            );
            let kind = kind.get(row).and_then(Kind::of).ok_or_else(|| wrong("kind"))?;
            let (millis, reason) = (slot.value(row), reason.get(row));
            let what = match kind {
                Kind::Run => RunKind::Run {
                    outcome: outcome_of(outcome.get(row), reason, step.get(row)),
                    counts: counts.value(row),
                    latency: duration.value(row),
                    maintenance: maintenance.get(row).is_some(),
                },
                Kind::Missed => RunKind::Missed(slots.value(row).into()),
                Kind::Unwatched => RunKind::Unwatched,
            };
            let cause = reason.filter(|_| kind == Kind::Missed).map(str::to_owned);
            let new = Row {
                run: RegionRun {
                    slot: millis.div_euclid(1000),
                    stands: stands.value(row),
                    kind: what,
                },
                key: (millis, attempt.value(row), kind, cause),
                rank: (
                    lag.value(row),
                    duration.value(row),
                    runner
                        .key(row)
                        .and_then(|k| numbers.get(k).copied())
                        .unwrap_or_default(),
                ),
            };
            match &mut at {
                Some((of, rows)) if *of == place => rows.push(new),
                _ => {
                    self.put(at.take(), (&probe, &uid, &region));
                    at = Some((place, vec![new]));
                }
            }
        }
        self.put(at, (&probe, &uid, &region));
        Ok(())
    }

    fn put(
        &mut self,
        rows: Option<((usize, usize, usize), Vec<Row>)>,
        (probe, uid, region): (&Words<'_>, &Words<'_>, &Words<'_>),
    ) {
        let Some((place, rows)) = rows else { return };
        let name = |words: &Words<'_>, key: usize| words.value(key).to_owned();
        let place = (name(probe, place.0), name(uid, place.1), name(region, place.2));
        self.by.entry(place).or_default().extend(rows);
    }

    /// Each run once, by probe and region.
    pub fn once(self) -> (u64, BTreeMap<String, BTreeMap<String, Vec<RegionRun>>>) {
        let mut order: Vec<(&String, u32)> = self.runners.iter().map(|(name, n)| (name, *n)).collect();
        order.sort_unstable();
        let mut place = vec![0; order.len()];
        for (i, (_, number)) in order.iter().enumerate() {
            if let Some(p) = place.get_mut(*number as usize) {
                *p = i;
            }
        }
        let mut probes: BTreeMap<String, BTreeMap<String, Vec<RegionRun>>> = BTreeMap::new();
        let mut count = 0;
        for ((probe, _uid, region), mut rows) in self.by {
            let rank = |r: &Row| (r.rank.0, r.rank.1, place.get(r.rank.2 as usize).copied());
            // The greater rank first, so that the first of each is kept.
            rows.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| rank(b).cmp(&rank(a))));
            rows.dedup_by(|b, a| a.key == b.key);
            count += rows.len() as u64;
            let of = probes.entry(probe).or_default().entry(region).or_default();
            of.extend(rows.into_iter().map(|r| r.run));
        }
        for of in probes.values_mut().flat_map(BTreeMap::values_mut) {
            of.sort_by_key(|r| r.slot);
        }
        (count, probes)
    }
}

/// What a run found, by its words.
pub fn outcome_of(name: Option<&str>, reason: Option<&str>, step: Option<&str>) -> Outcome {
    match name {
        Some("pass") => Outcome::Pass,
        Some("fail") => Outcome::Fail(reason.unwrap_or_default().to_owned(), step.map(str::to_owned)),
        _ => Outcome::Inconclusive,
    }
}
