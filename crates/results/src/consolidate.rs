//! From records to roll-ups: 15 minutes of each day (UTC), hours of them, days of the tenant's zone, weeks and months.
//!
//! A level's period is written anew when what it is made of changed, under a name with the next version; readers take
//! the newest. So it can be done at any time, by anybody, as often as one likes, and killed anywhere. What comes late,
//! within the grace, changes the day it belongs to and all that is made of it; then the day is final.

use crate::{
    columns::Columns,
    file::FileError,
    keys::TenantId,
    record::{Kind, SCHEMA},
    rollups,
    store::{FileRef, RAW, Store, StoreError, day_of},
};
use arrow_array::{
    RecordBatch,
    types::{TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type},
};
use arrow_schema::ArrowError;
use drmwatch_sla::{Carry, Level, Outcome, RegionRun, Rollup, RunKind, calendar_periods, merge, minutes};
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Metadata key of what a file was made of.
const INPUTS: &str = "drmwatch.inputs";
/// Metadata key of what a day hands to the next.
const CARRY: &str = "drmwatch.carry";
/// Metadata key that says whether it will be made anew.
const FINAL: &str = "drmwatch.final";
/// Metadata key of the zone whose day, week or month it is.
const ZONE: &str = "drmwatch.zone";
/// Seconds of a quarter.
const QUARTER: i64 = 900;

/// How it is done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The tenant's zone.
    pub zone: TimeZone,
    /// Its name.
    pub zone_name: String,
    /// What is younger is not looked at yet: runs end, and come here, some time after their slot.
    pub settle: SignedDuration,
    /// What comes later than this after its day has ended changes nothing any more.
    pub grace: SignedDuration,
    /// Whether days that are final are made anew, too.
    pub again: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            zone: TimeZone::UTC,
            zone_name: "UTC".into(),
            settle: SignedDuration::from_mins(3),
            grace: SignedDuration::from_hours(48),
            again: false,
        }
    }
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Records that were read, each run once.
    pub records: u64,
    /// Periods that were written.
    pub written: u64,
    /// Periods that were as they should be.
    pub unchanged: u64,
    /// Days that are final, and of which something came later: it is in the store, and in no roll-up.
    pub late: u64,
}

impl Done {
    /// Both.
    pub fn add(&mut self, other: Done) {
        self.records += other.records;
        self.written += other.written;
        self.unchanged += other.unchanged;
        self.late += other.late;
    }
}

/// A period that lies in the store.
struct Kept {
    file: FileRef,
    version: u32,
}

/// What a day hands to the next, by probe.
type Carries = BTreeMap<String, Carry>;

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Word {
    probe: String,
    region: String,
    slot: i64,
    stands: u32,
    /// The run's outcome; None: not watched.
    outcome: Option<String>,
    reason: Option<String>,
    step: Option<String>,
    maintenance: bool,
}

fn words(carries: &Carries) -> Vec<Word> {
    let mut all = Vec::new();
    for (probe, carry) in carries {
        for (region, run) in carry {
            let mut word = Word {
                probe: probe.clone(),
                region: region.clone(),
                slot: run.slot,
                stands: run.stands,
                outcome: None,
                reason: None,
                step: None,
                maintenance: false,
            };
            if let RunKind::Run {
                outcome, maintenance, ..
            } = &run.kind
            {
                word.maintenance = *maintenance;
                word.outcome = Some(outcome_name(outcome).into());
                if let Outcome::Fail(reason, step) = outcome {
                    (word.reason, word.step) = (Some(reason.clone()), step.clone());
                }
            }
            all.push(word);
        }
    }
    all
}

fn carries(words: Vec<Word>) -> Carries {
    let mut all = Carries::new();
    for word in words {
        let kind = match word.outcome {
            None => RunKind::Unwatched,
            Some(outcome) => RunKind::Run {
                outcome: outcome_of(Some(&outcome), word.reason.as_deref(), word.step.as_deref()),
                counts: true,
                latency: 0,
                maintenance: word.maintenance,
            },
        };
        let (slot, stands) = (word.slot, word.stands);
        let run = RegionRun { slot, stands, kind };
        all.entry(word.probe).or_default().insert(word.region, run);
    }
    all
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail(..) => "fail",
        Outcome::Inconclusive => "inconclusive",
    }
}

fn outcome_of(name: Option<&str>, reason: Option<&str>, step: Option<&str>) -> Outcome {
    match name {
        Some("pass") => Outcome::Pass,
        Some("fail") => Outcome::Fail(reason.unwrap_or_default().to_owned(), step.map(str::to_owned)),
        _ => Outcome::Inconclusive,
    }
}

/// Columns that consolidation reads.
const COLUMNS: [&str; 15] = [
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
];
/// And this, which is a word that may be missing.
const MAINTENANCE: &str = "maintenance";

/// A record as consolidation needs it. Which of two is kept is decided as [`crate::once`] does.
struct Row {
    run: RegionRun,
    /// Slot in milliseconds, attempt, kind, cause of a miss: with probe and region what the id of a run is made of.
    key: (i64, u8, Kind, Option<String>),
    rank: (i64, u64, u32),
}

/// Runs of a day, by probe and region.
#[derive(Default)]
struct Runs {
    by: BTreeMap<(String, String, String), Vec<Row>>,
    /// Runners, by number: ranks compare names.
    runners: BTreeMap<String, u32>,
}

impl Runs {
    fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let of = Columns(batch);
        let (kind, probe, uid) = (of.words("kind")?, of.words("probe")?, of.words("uid")?);
        let (region, runner) = (of.words("region")?, of.words("runner")?);
        let (outcome, step, reason) = (of.words("outcome")?, of.words("step")?, of.words("reason")?);
        let maintenance = of.words(MAINTENANCE)?;
        let slot = of.numbers::<TimestampMillisecondType>("slot")?;
        let lag = of.numbers::<arrow_array::types::Int64Type>("lag_ms")?;
        let duration = of.numbers::<UInt64Type>("duration_us")?;
        let attempt = of.numbers::<UInt8Type>("attempt")?;
        let counts = of.bools("counts")?;
        let (slots, stands) = (
            of.numbers::<UInt32Type>("slots")?,
            of.numbers::<UInt32Type>("stands_seconds")?,
        );
        let wrong = |name: &str| ArrowError::SchemaError(format!("column {name} is missing or malformed"));
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
        (probe, uid, region): (
            &crate::columns::Words<'_>,
            &crate::columns::Words<'_>,
            &crate::columns::Words<'_>,
        ),
    ) {
        let Some((place, rows)) = rows else { return };
        let name = |words: &crate::columns::Words<'_>, key: usize| words.value(key).to_owned();
        let place = (name(probe, place.0), name(uid, place.1), name(region, place.2));
        self.by.entry(place).or_default().extend(rows);
    }

    /// Each run once, by probe and region.
    fn once(self) -> (u64, BTreeMap<String, BTreeMap<String, Vec<RegionRun>>>) {
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

/// The quarters of a day, and what it hands on. `until`: what is not settled yet is left out.
fn quarters(
    day: Date,
    probes: &BTreeMap<String, BTreeMap<String, Vec<RegionRun>>>,
    mut before: Carries,
    until: i64,
) -> (Vec<Rollup>, Carries) {
    let start = start_of(day);
    let (mut rollups, mut after) = (Vec::new(), Carries::new());
    let names: BTreeSet<String> = probes.keys().chain(before.keys()).cloned().collect();
    let nothing = BTreeMap::new();
    for probe in names {
        let mut carry = before.remove(&probe).unwrap_or_default();
        let regions = probes.get(&probe).unwrap_or(&nothing);
        let mut places: BTreeMap<&String, usize> = regions.keys().map(|r| (r, 0)).collect();
        for begin in (start..(start + 86_400).min(until)).step_by(QUARTER as usize) {
            let mut of = BTreeMap::new();
            for (region, runs) in regions {
                let place = places.entry(region).or_default();
                let rest = runs.get(*place..).unwrap_or_default();
                let count = rest.partition_point(|r| r.slot < begin + QUARTER);
                if count > 0 {
                    of.insert(region.clone(), rest.get(..count).unwrap_or_default().to_vec());
                }
                *place += count;
            }
            let quarter = minutes(&probe, begin, 15, &of, &carry);
            carry = quarter.carry;
            let watched = |r: &Rollup| {
                r.runs > 0
                    || r.missed > 0
                    || r.spans.iter().any(|s| s.state != drmwatch_sla::State::Unwatched)
            };
            rollups.extend(
                Some(quarter.consensus)
                    .into_iter()
                    .chain(quarter.regions.into_values())
                    .filter(watched),
            );
        }
        after.insert(probe, carry);
    }
    (rollups, after)
}

fn start_of(day: Date) -> i64 {
    let zoned = day.to_zoned(TimeZone::UTC);
    zoned.map_or(0, |z| z.timestamp().as_second())
}

/// What something is made of, in short.
fn digest(parts: impl IntoIterator<Item = String>) -> String {
    let mut hash = Sha256::new();
    hash.update(SCHEMA.to_be_bytes());
    for part in parts {
        hash.update((part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// The folder of a period.
fn folder(level: Level, day: Date) -> String {
    match level {
        Level::Quarter | Level::Hour => format!("{}/{day}", level.name()),
        Level::Day => format!("1d/{}", day.strftime("%Y-%m")),
        Level::Week | Level::Month => format!("{}/{:04}", level.name(), day.year()),
    }
}

/// A tenant's roll-ups.
pub struct Consolidator<'a> {
    store: &'a Store,
    tenant: TenantId,
    settings: Settings,
    now: Timestamp,
    done: Done,
}

/// What was made of a period.
struct Made {
    rollups: Vec<Rollup>,
    more: Vec<(String, String)>,
}

impl<'a> Consolidator<'a> {
    /// Of a tenant.
    pub fn new(store: &'a Store, tenant: TenantId, settings: Settings, now: Timestamp) -> Consolidator<'a> {
        Consolidator {
            store,
            tenant,
            settings,
            now,
            done: Done::default(),
        }
    }

    /// Brings all roll-ups of periods that touch `from..to` (dates of the tenant's zone) up to date. `told`: after each day.
    pub async fn run(mut self, from: Date, to: Date, mut told: impl FnMut(Date)) -> Result<Done, StoreError> {
        // Weeks and months are made of whole ones.
        let first = |day: Date| {
            let monday = day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days());
            monday.min(day.first_of_month())
        };
        let (from, to) = (first(from), to.max(from));
        let utc = from.saturating_sub(1.day());
        let mut days: Vec<Date> = self.store.days(&self.tenant).await?;
        let newest = day_of(self.now.as_second());
        let oldest = days.first().copied();
        days.retain(|d| *d >= utc && *d <= to.saturating_add(1.day()));
        let Some(oldest) = oldest else {
            return Ok(self.done);
        };
        // Every day since there is something, those without any records too: what fell silent must not vanish.
        let (mut day, last) = (utc.max(oldest), to.saturating_add(1.day()).min(newest));
        // Where the days before were never looked at, a week of them is: what a probe last said is carried on.
        for _ in 0..7 {
            let before = day.saturating_sub(1.day());
            if before < oldest || self.kept_carry(before).await?.0.is_some() {
                break;
            }
            day = before;
        }
        let (_, mut carry) = self.kept_carry(day.saturating_sub(1.day())).await?;
        while day <= last {
            carry = self.day(day, carry).await?;
            told(day);
            day = day.saturating_add(1.day());
        }
        let mut level_of = [
            (Level::Day, from, to),
            (Level::Week, from, to),
            (Level::Month, from, to),
        ];
        for (level, from, to) in &mut level_of {
            for (date, start, end) in calendar_periods(*level, *from, *to, &self.settings.zone.clone()) {
                self.period(*level, date, start, end).await?;
            }
        }
        Ok(self.done)
    }

    /// Newest version of each period in a folder.
    async fn kept(&self, folder: &str) -> Result<BTreeMap<String, Kept>, StoreError> {
        newest_of(self.store, &self.tenant, folder).await
    }

    async fn metadata(&self, kept: &Kept) -> Result<BTreeMap<String, String>, StoreError> {
        self.store.metadata(&kept.file).await
    }

    /// What a day handed on, as it was written.
    async fn kept_carry(&self, day: Date) -> Result<(Option<Kept>, Carries), StoreError> {
        let kept = self
            .kept(&folder(Level::Quarter, day))
            .await?
            .into_values()
            .next();
        let Some(kept) = kept else {
            return Ok((None, Carries::new()));
        };
        let metadata = self.metadata(&kept).await?;
        let words: Vec<Word> = metadata
            .get(CARRY)
            .and_then(|t| serde_json::from_str(t).ok())
            .unwrap_or_default();
        Ok((Some(kept), carries(words)))
    }

    /// Quarters and hours of a day.
    async fn day(&mut self, day: Date, before: Carries) -> Result<Carries, StoreError> {
        let files = self.store.list(&self.tenant, &format!("{RAW}/{day}")).await?;
        let end = start_of(day) + 86_400;
        let settled = (self.now - self.settings.settle).as_second().div_euclid(QUARTER) * QUARTER;
        let until = settled.min(end);
        let over = self.now - self.settings.grace >= Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
        let handed = serde_json::to_string(&words(&before)).unwrap_or_default();
        let inputs = digest(
            files
                .iter()
                .map(|f| f.name.clone())
                .chain([handed, until.to_string()]),
        );
        let (kept, carry) = self.kept_carry(day).await?;
        // A day of which nothing is known, or is kept any longer, is not a day in which nothing happened.
        if kept.is_none() && files.is_empty() && before.is_empty() {
            return Ok(before);
        }
        if let Some(kept) = &kept {
            let metadata = self.metadata(kept).await?;
            let same = metadata.get(INPUTS) == Some(&inputs);
            // Of records that are kept no longer nothing is made anew, whoever asks for it.
            let again = self.settings.again && !files.is_empty();
            let fixed = metadata.get(FINAL).is_some_and(|f| f == "true") && !again;
            if same || fixed {
                self.done.late += u64::from(!same);
                self.done.unchanged += 1;
                // A day that was not final may be now, without anything new.
                if fixed || !over {
                    return Ok(carry);
                }
            }
        }
        let mut runs = Runs::default();
        let columns: Vec<&str> = COLUMNS.iter().copied().chain([MAINTENANCE]).collect();
        for file in &files {
            for batch in self.store.read(file, Some(&columns)).await? {
                runs.take(&batch)
                    .map_err(|e| StoreError::File(file.path(), FileError::Columns(e)))?;
            }
        }
        let (count, probes) = runs.once();
        self.done.records += count;
        let (rollups, after) = quarters(day, &probes, before, until);
        let more = |extra: Option<String>| {
            let mut more = vec![
                (INPUTS.to_owned(), inputs.clone()),
                (FINAL.to_owned(), over.to_string()),
            ];
            more.extend(extra.map(|carry| (CARRY.to_owned(), carry)));
            more
        };
        let hours = self.hours(day, &rollups);
        let carry = serde_json::to_string(&words(&after)).unwrap_or_default();
        // The hours first: whoever finds the quarters made finds all made.
        self.write(
            Level::Hour,
            day,
            Made {
                rollups: hours,
                more: more(None),
            },
        )
        .await?;
        self.write(
            Level::Quarter,
            day,
            Made {
                rollups,
                more: more(Some(carry)),
            },
        )
        .await?;
        Ok(after)
    }

    fn hours(&self, day: Date, quarters: &[Rollup]) -> Vec<Rollup> {
        let start = start_of(day);
        let mut by: BTreeMap<(&str, Option<&str>, i64), Vec<&Rollup>> = BTreeMap::new();
        for quarter in quarters {
            let hour = start + (quarter.start - start).div_euclid(3600) * 3600;
            by.entry((&quarter.probe, quarter.region.as_deref(), hour))
                .or_default()
                .push(quarter);
        }
        let of = |((probe, region, hour), parts): ((&str, Option<&str>, i64), Vec<&Rollup>)| {
            merge(probe, region, (hour, hour + 3600), parts.into_iter())
        };
        by.into_iter().map(of).collect()
    }

    /// A day, week or month of the tenant's zone, made of what is below it.
    async fn period(&mut self, level: Level, date: Date, start: i64, end: i64) -> Result<(), StoreError> {
        let folders: BTreeSet<String> = match level {
            Level::Day => {
                let (mut day, last) = (day_of(start), day_of(end - 1));
                let mut folders = BTreeSet::new();
                while day <= last {
                    folders.insert(folder(Level::Quarter, day));
                    day = day.saturating_add(1.day());
                }
                folders
            }
            _ => {
                let last = self
                    .settings
                    .zone
                    .to_datetime(Timestamp::from_second(end - 1).unwrap_or(Timestamp::MAX))
                    .date();
                [date, last].iter().map(|d| folder(Level::Day, *d)).collect()
            }
        };
        let below = match level {
            Level::Day => Level::Quarter,
            _ => Level::Day,
        };
        let mut parts = Vec::new();
        for folder in &folders {
            parts.extend(self.kept(folder).await?.into_iter().filter(|(name, _)| {
                // Of days those of the period; the quarters' folders are the days that it touches.
                below == Level::Quarter
                    || name.parse::<Date>().is_ok_and(|day| {
                        day >= date
                            && day
                                .to_zoned(self.settings.zone.clone())
                                .is_ok_and(|z| z.timestamp().as_second() < end)
                    })
            }));
        }
        if parts.is_empty() {
            return Ok(());
        }
        let names = parts
            .iter()
            .map(|(name, kept)| format!("{name}.{}", kept.version));
        let inputs = digest(names.chain([
            self.settings.zone_name.clone(),
            start.to_string(),
            end.to_string(),
        ]));
        let own = self.kept(&folder(level, date)).await?.remove(&date.to_string());
        if let Some(own) = &own {
            let metadata = self.metadata(own).await?;
            let zone = metadata.get(ZONE) == Some(&self.settings.zone_name);
            // Nor of parts of which some are kept no longer.
            let whole = level != Level::Day || parts.len() == folders.len();
            let fixed =
                metadata.get(FINAL).is_some_and(|f| f == "true") && zone && (!self.settings.again || !whole);
            if fixed || metadata.get(INPUTS) == Some(&inputs) {
                self.done.unchanged += 1;
                return Ok(());
            }
        }
        let (mut read, mut all_final) = (Vec::new(), true);
        for (_, kept) in &parts {
            all_final &= self.metadata(kept).await?.get(FINAL).is_some_and(|f| f == "true");
            read.extend(read_rollups(self.store, &kept.file).await?);
        }
        read.retain(|r| r.start >= start && r.end() <= end);
        let mut by: BTreeMap<(&str, Option<&str>), Vec<&Rollup>> = BTreeMap::new();
        for part in &read {
            by.entry((&part.probe, part.region.as_deref()))
                .or_default()
                .push(part);
        }
        // A period that goes on ends where what is known of it does.
        let known = read.iter().map(Rollup::end).max().unwrap_or(start);
        let ends = if known < end && Timestamp::from_second(end).is_ok_and(|e| e > self.now) {
            known
        } else {
            end
        };
        let rollups: Vec<Rollup> = by
            .into_iter()
            .map(|((probe, region), mut parts)| {
                parts.sort_by_key(|p| p.start);
                merge(probe, region, (start, ends), parts.into_iter())
            })
            .collect();
        let more = vec![
            (INPUTS.to_owned(), inputs),
            (ZONE.to_owned(), self.settings.zone_name.clone()),
            (FINAL.to_owned(), (all_final && ends == end).to_string()),
        ];
        self.write(level, date, Made { rollups, more }).await
    }

    /// Writes the next version of a period, then deletes those before.
    async fn write(&mut self, level: Level, date: Date, made: Made) -> Result<(), StoreError> {
        let folder = folder(level, date);
        let columns = rollups::encode(&made.rollups);
        let mut version = self
            .kept(&folder)
            .await?
            .get(&date.to_string())
            .map_or(1, |k| k.version + 1);
        loop {
            let file = FileRef {
                tenant: self.tenant.clone(),
                folder: folder.clone(),
                name: format!("{date}.{version}"),
                size: 0,
            };
            let batch = columns.as_ref().map_err(|e| {
                StoreError::File(
                    file.path(),
                    FileError::Columns(ArrowError::SchemaError(e.to_string())),
                )
            })?;
            let new = self
                .store
                .put_new(&file, rollups::schema(), vec![batch.clone()], made.more.clone())
                .await?;
            // Another has written this version meanwhile: ours is as good, and comes after it.
            if new {
                break;
            }
            version += 1;
        }
        self.done.written += 1;
        for file in self.store.list(&self.tenant, &folder).await? {
            if parse(&file.name).is_some_and(|(d, v)| d == date.to_string() && v < version) {
                self.store.delete(&file).await?;
            }
        }
        Ok(())
    }
}

fn parse(name: &str) -> Option<(String, u32)> {
    let (date, version) = name.rsplit_once('.')?;
    Some((date.to_owned(), version.parse().ok()?))
}

async fn newest_of(
    store: &Store,
    tenant: &TenantId,
    folder: &str,
) -> Result<BTreeMap<String, Kept>, StoreError> {
    let mut newest: BTreeMap<String, Kept> = BTreeMap::new();
    for file in store.list(tenant, folder).await? {
        let Some((date, version)) = parse(&file.name) else {
            continue;
        };
        if newest.get(&date).is_none_or(|k| k.version < version) {
            newest.insert(date, Kept { file, version });
        }
    }
    Ok(newest)
}

async fn read_rollups(store: &Store, file: &FileRef) -> Result<Vec<Rollup>, StoreError> {
    let mut all = Vec::new();
    for batch in store.read(file, None).await? {
        all.extend(
            rollups::decode(&batch).map_err(|e| StoreError::File(file.path(), FileError::Columns(e)))?,
        );
    }
    Ok(all)
}

/// A period of a level, as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Its first day, in the tenant's zone (of quarters and hours: UTC).
    pub date: Date,
    /// Whether it will not change any more.
    pub fixed: bool,
    /// What is known.
    pub rollups: Vec<Rollup>,
}

/// The periods of a level whose first days lie in `from..to`, the newest version of each, in the order of time.
pub async fn read(
    store: &Store,
    tenant: &TenantId,
    level: Level,
    from: Date,
    to: Date,
) -> Result<Vec<Period>, StoreError> {
    let (mut folders, mut day) = (BTreeSet::new(), from);
    while day < to {
        folders.insert(folder(level, day));
        day = day.saturating_add(1.day());
    }
    let mut periods = Vec::new();
    for folder in &folders {
        for (date, kept) in newest_of(store, tenant, folder).await? {
            let Some(date) = date.parse().ok().filter(|d| (from..to).contains(d)) else {
                continue;
            };
            let metadata = store.metadata(&kept.file).await?;
            periods.push(Period {
                date,
                fixed: metadata.get(FINAL).is_some_and(|f| f == "true"),
                rollups: read_rollups(store, &kept.file).await?,
            });
        }
    }
    periods.sort_by_key(|p| p.date);
    Ok(periods)
}
