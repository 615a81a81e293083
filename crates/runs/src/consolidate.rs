//! From records to roll-ups: 15 minutes of each day (UTC), hours of them, days of the tenant's zone, weeks and months.
//!
//! A level's period is written anew when what it is made of changed, under a name with the next version; readers take
//! the newest. So it can be done at any time, by anybody, as often as one likes, and killed anywhere. What comes late,
//! within the grace, changes the day it belongs to and all that is made of it; then the day is final.

use crate::{
    carry::{self, Carries},
    made::{self, Index, Made, Name, digest},
    rows::{COLUMNS, Runs},
    store::{RAW, Store},
};
use drmwatch_archive::{FileError, FileRef, StoreError, day_of, keys::TenantId, start_of};
use drmwatch_sla::{Level, RegionRun, Rollup, State, calendar_periods, merge, minutes, monday};
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use std::collections::{BTreeMap, BTreeSet};

/// Metadata key of what a day hands to the next.
const CARRY: &str = "drmwatch.carry";
/// What a day hands on that hands on nothing.
const NOTHING: &str = "0";
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
                r.runs > 0 || r.missed > 0 || r.spans.iter().any(|s| s.state != State::Unwatched)
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

/// What a day hands to the next: read only where the next is made anew.
struct Handed {
    digest: String,
    carries: Option<Carries>,
    file: Option<FileRef>,
}

impl Handed {
    fn by(made: Option<&Made>) -> Handed {
        Handed {
            digest: made.map_or_else(|| NOTHING.to_owned(), |m| m.hands.clone()),
            carries: None,
            file: made.map(|m| m.file.clone()),
        }
    }

    async fn read(self, store: &Store) -> Result<Carries, StoreError> {
        match (self.carries, self.file) {
            (Some(carries), _) => Ok(carries),
            (None, Some(file)) => {
                let metadata = store.metadata(&file).await?;
                Ok(metadata
                    .get(CARRY)
                    .map(|text| carry::read(text))
                    .unwrap_or_default())
            }
            (None, None) => Ok(Carries::new()),
        }
    }
}

/// A tenant's roll-ups.
pub struct Consolidator<'a> {
    store: &'a Store,
    tenant: TenantId,
    settings: Settings,
    now: Timestamp,
    done: Done,
    /// Files of records, by day.
    raw: BTreeMap<Date, Vec<FileRef>>,
    index: Index,
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
            raw: BTreeMap::new(),
            index: Index::default(),
        }
    }

    /// Brings all roll-ups of periods that touch `from..to` (dates of the tenant's zone) up to date. `told`: after each day.
    pub async fn run(mut self, from: Date, to: Date, mut told: impl FnMut(Date)) -> Result<Done, StoreError> {
        // Weeks and months are made of whole ones.
        let (from, to) = (monday(from).min(from.first_of_month()), to.max(from));
        for file in self.store.list(&self.tenant, RAW).await? {
            if let Some(day) = file.folder.rsplit('/').next().and_then(|d| d.parse().ok()) {
                self.raw.entry(day).or_default().push(file);
            }
        }
        self.index = Index::load(self.store, &self.tenant, &Level::ALL).await?;
        let Some(oldest) = self.raw.keys().next().copied() else {
            return Ok(self.done);
        };
        // Every day since there is something, those without any records too: what fell silent must not vanish.
        let (mut day, last) = (
            from.saturating_sub(1.day()).max(oldest),
            to.saturating_add(1.day()).min(day_of(self.now.as_second())),
        );
        // Where the days before were never looked at, a week of them is: what a probe last said is carried on.
        for _ in 0..7 {
            let before = day.saturating_sub(1.day());
            if before < oldest || self.index.get(Level::Quarter, before).is_some() {
                break;
            }
            day = before;
        }
        let mut handed = Handed::by(self.index.get(Level::Quarter, day.saturating_sub(1.day())));
        while day <= last {
            handed = self.day(day, handed).await?;
            told(day);
            day = day.saturating_add(1.day());
        }
        for level in [Level::Day, Level::Week, Level::Month] {
            for (date, start, end) in calendar_periods(level, from, to, &self.settings.zone) {
                self.period(level, date, start, end).await?;
            }
        }
        Ok(self.done)
    }

    /// Quarters and hours of a day.
    async fn day(&mut self, day: Date, before: Handed) -> Result<Handed, StoreError> {
        let files = self.raw.remove(&day).unwrap_or_default();
        let kept = self.index.get(Level::Quarter, day);
        // A day of which nothing is known, or is kept any longer, is not a day in which nothing happened.
        if kept.is_none() && files.is_empty() && before.digest == NOTHING {
            return Ok(before);
        }
        let end = start_of(day) + 86_400;
        let settled = (self.now - self.settings.settle).as_second().div_euclid(QUARTER) * QUARTER;
        let until = settled.min(end);
        let over = self.now - self.settings.grace >= Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
        let names = files.iter().map(|f| f.name.clone());
        let inputs = digest(names.chain([before.digest.clone(), until.to_string()]));
        if let Some(kept) = kept {
            let same = kept.inputs == inputs;
            // Of records that are kept no longer nothing is made anew, whoever asks for it.
            let again = self.settings.again && !files.is_empty();
            let fixed = kept.fixed && !again;
            self.done.late += u64::from(fixed && !same);
            // A day that was not final may be now, without anything new.
            if fixed || same && !over {
                self.done.unchanged += 1;
                return Ok(Handed::by(Some(kept)));
            }
        }
        let mut runs = Runs::default();
        for file in &files {
            for batch in self.store.read(file, Some(&COLUMNS)).await? {
                let taken = runs.take(&batch);
                taken.map_err(|e| StoreError::File(file.path(), FileError::Columns(e)))?;
            }
        }
        let (count, probes) = runs.once();
        self.done.records += count;
        let (rollups, after) = quarters(day, &probes, before.read(self.store).await?, until);
        let hours = hours(day, &rollups);
        let text = carry::write(&after);
        let hands = match after.is_empty() {
            true => NOTHING.to_owned(),
            false => digest([text.clone()]),
        };
        let name = || Name {
            inputs: inputs.clone(),
            hands: hands.clone(),
            fixed: over,
        };
        // The hours first: whoever finds the quarters made finds all made.
        self.write(Level::Hour, day, &hours, name(), Vec::new()).await?;
        let more = vec![(CARRY.to_owned(), text)];
        self.write(Level::Quarter, day, &rollups, name(), more).await?;
        Ok(Handed {
            digest: hands,
            carries: Some(after),
            file: None,
        })
    }

    /// A day, week or month of the tenant's zone, made of what is below it.
    async fn period(&mut self, level: Level, date: Date, start: i64, end: i64) -> Result<(), StoreError> {
        let next = |day: Date| day.saturating_add(1.day());
        let parts: Vec<(Date, Made)> = match level {
            // The days of UTC that it touches.
            Level::Day => self
                .index
                .range(Level::Quarter, day_of(start), next(day_of(end - 1))),
            _ => {
                let last = Timestamp::from_second(end - 1).unwrap_or(Timestamp::MAX);
                let last = self.settings.zone.to_datetime(last).date();
                self.index.range(Level::Day, date, next(last))
            }
        }
        .map(|(date, made)| (date, made.clone()))
        .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let zone = digest([self.settings.zone_name.clone()]);
        let names = parts.iter().map(|(_, made)| made.file.name.clone());
        let inputs = digest(names.chain([zone.clone(), start.to_string(), end.to_string()]));
        if let Some(own) = self.index.get(level, date) {
            // Nor is anything made anew of parts of which some are kept no longer.
            let days = (day_of(end - 1) - day_of(start)).get_days() + 1;
            let whole = level != Level::Day || parts.len() == days as usize;
            let fixed = own.fixed && own.hands == zone && (!self.settings.again || !whole);
            if fixed || own.inputs == inputs {
                self.done.unchanged += 1;
                return Ok(());
            }
        }
        let mut read = Vec::new();
        for (_, made) in &parts {
            read.extend(made::read(self.store, made).await?);
        }
        read.retain(|r| r.start >= start && r.end() <= end);
        let mut by: BTreeMap<(&str, Option<&str>), Vec<&Rollup>> = BTreeMap::new();
        for part in &read {
            let of = by.entry((&part.probe, part.region.as_deref()));
            of.or_default().push(part);
        }
        // A period that goes on ends where what is known of it does.
        let known = read.iter().map(Rollup::end).max().unwrap_or(start);
        let goes_on = Timestamp::from_second(end).is_ok_and(|e| e > self.now);
        let ends = if known < end && goes_on { known } else { end };
        let rollups: Vec<Rollup> = by
            .into_iter()
            .map(|((probe, region), mut parts)| {
                parts.sort_by_key(|p| p.start);
                merge(probe, region, (start, ends), parts.into_iter())
            })
            .collect();
        let name = Name {
            inputs,
            hands: zone,
            fixed: ends == end && parts.iter().all(|(_, made)| made.fixed),
        };
        self.write(level, date, &rollups, name, Vec::new()).await
    }

    async fn write(
        &mut self,
        level: Level,
        date: Date,
        rollups: &[Rollup],
        name: Name,
        more: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        let place = (level, date);
        self.index
            .write(self.store, &self.tenant, place, rollups, name, more)
            .await?;
        self.done.written += 1;
        Ok(())
    }
}

fn hours(day: Date, quarters: &[Rollup]) -> Vec<Rollup> {
    let start = start_of(day);
    let mut by: BTreeMap<(&str, Option<&str>, i64), Vec<&Rollup>> = BTreeMap::new();
    for quarter in quarters {
        let hour = start + (quarter.start - start).div_euclid(3600) * 3600;
        let of = by.entry((&quarter.probe, quarter.region.as_deref(), hour));
        of.or_default().push(quarter);
    }
    let of = |((probe, region, hour), parts): ((&str, Option<&str>, i64), Vec<&Rollup>)| {
        merge(probe, region, (hour, hour + 3600), parts.into_iter())
    };
    by.into_iter().map(of).collect()
}

/// A period of a level that lies in the store: what its name says, in its newest version.
#[derive(Debug, Clone)]
pub struct Listed {
    level: Level,
    date: Date,
    made: Made,
}

impl Listed {
    /// Of which level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Its first day, in the tenant's zone (of quarters and hours: UTC).
    pub fn date(&self) -> Date {
        self.date
    }

    /// Whether it will not change any more.
    pub fn fixed(&self) -> bool {
        self.made.fixed
    }

    /// Whether it was made in this zone; quarters and hours are of none.
    pub fn of_zone(&self, name: &str) -> bool {
        matches!(self.level, Level::Quarter | Level::Hour) || self.made.hands == digest([name.to_owned()])
    }

    /// Changes whenever what is known of it does.
    pub fn version(&self) -> &str {
        &self.made.file.name
    }

    /// What is known of it.
    pub async fn read(&self, store: &Store) -> Result<Vec<Rollup>, StoreError> {
        made::read(store, &self.made).await
    }
}

/// The periods of a level, in the order of time. None is read for it.
pub async fn list(store: &Store, tenant: &TenantId, level: Level) -> Result<Vec<Listed>, StoreError> {
    let index = Index::load(store, tenant, &[level]).await?;
    let all = index.range(level, Date::MIN, Date::MAX);
    let listed = all.map(|(date, made)| Listed {
        level,
        date,
        made: made.clone(),
    });
    Ok(listed.collect())
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
    let mut periods = Vec::new();
    for listed in list(store, tenant, level).await? {
        if (from..to).contains(&listed.date) {
            periods.push(Period {
                date: listed.date,
                fixed: listed.fixed(),
                rollups: listed.read(store).await?,
            });
        }
    }
    Ok(periods)
}
