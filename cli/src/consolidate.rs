//! `drmwatch consolidate`: roll-ups, compaction, retention.

use crate::{
    folder::{Error, exit},
    place::{Days, Place, block, known, zone},
    progress,
};
use clap::Args;
use drmwatch_archive::{keys::TenantId, start_of};
use drmwatch_outcome::TenantKey;
use drmwatch_program::say;
use drmwatch_runs::{
    consolidate::{Consolidator, Done, Settings},
    keep::{self, Retention},
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::process::ExitCode;

/// Summarize results in roll-ups of 15 minutes, hours, days, weeks and months.
///
/// It can run at any time, on any machine, and several times at once: roll-ups of unchanged results are not written again.
/// It also merges small files of past days and, with --retention, deletes old ones.
#[derive(Args)]
pub struct Consolidate {
    #[command(flatten)]
    place: Place,
    /// TenantKey, as NAMESPACE/NAME. Defaults to all tenants in the store.
    #[arg(long)]
    tenant: Option<TenantKey>,
    #[command(flatten)]
    days: Days,
    /// Time zone in which days, weeks and months begin, as an IANA name such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// How long after the end of a day its roll-ups still accept late results, in hours. Then the day is final.
    #[arg(long, value_name = "HOURS", default_value_t = 48)]
    grace_hours: i64,
    /// Also write the roll-ups of final days again.
    #[arg(long)]
    again: bool,
    /// Process only part I of N of the tenants, to share the work among N processes.
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    part: Part,
    /// Merge the files of a past day if there are at least this many. 0: never.
    #[arg(long, value_name = "FILES", default_value_t = 8)]
    compact: usize,
    /// With --retention: how long records of failed runs (evidence) are kept, in days.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    evidence_days: i64,
    /// Delete old data. Three ages in days, such as 35,396,1827: of records, of roll-ups of 15 minutes and hours, and of roll-ups of
    /// days, weeks and months. Without this option, nothing is deleted.
    #[arg(long, value_name = "DAYS,DAYS,DAYS")]
    retention: Option<Kept>,
}

/// A part of all tenants.
#[derive(Clone, Copy)]
struct Part(u32, u32);

impl std::str::FromStr for Part {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Part, &'static str> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((i, n)) if i >= 1 && i <= n => Ok(Part(i, n)),
            _ => Err("must be like 1/4"),
        }
    }
}

impl Part {
    /// Whether a tenant belongs to it: ids are hashes.
    fn has(self, tenant: &TenantId) -> bool {
        let number = tenant
            .as_str()
            .get(..8)
            .and_then(|d| u32::from_str_radix(d, 16).ok());
        number.unwrap_or(0) % self.1 == self.0 - 1
    }
}

#[derive(Clone, Copy)]
struct Kept(Retention);

impl std::str::FromStr for Kept {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Kept, &'static str> {
        let days: Vec<i64> = text.split(',').filter_map(|d| d.trim().parse().ok()).collect();
        match days.as_slice() {
            [raw, hours, days] if *raw > 0 && raw <= hours && hours <= days => Ok(Kept(Retention {
                raw: *raw,
                hours: *hours,
                days: *days,
                ..Retention::default()
            })),
            _ => Err("must be three numbers of days that don't shrink, as 35,396,1827"),
        }
    }
}

impl Consolidate {
    pub fn run(self) -> ExitCode {
        exit(self.work())
    }

    fn work(self) -> Result<(), Error> {
        let zone = zone(&self.time_zone)?;
        let (from, to) = self.days.range(&zone)?;
        let store = self.place.open()?;
        let settings = Settings {
            zone,
            zone_name: self.time_zone.clone(),
            grace: SignedDuration::from_hours(self.grace_hours),
            again: self.again,
            ..Settings::default()
        };
        let now = drmwatch_program::now();
        block(async {
            let tenants = match &self.tenant {
                Some(tenant) => vec![known(&store, tenant).await?],
                None => store
                    .tenants()
                    .await?
                    .into_iter()
                    .filter(|t| self.part.has(t))
                    .collect(),
            };
            let bar = progress::bar(tenants.len() as u64, "tenants");
            let mut all = Done::default();
            for tenant in &tenants {
                let mut day = from;
                while day < to {
                    let over = now - settings.grace < end(day) && end(day) <= now;
                    if over && self.compact > 0 {
                        keep::compact(&store, tenant, day, self.compact).await?;
                    }
                    day = day.saturating_add(1.day());
                }
                let consolidator = Consolidator::new(&store, tenant.clone(), settings.clone(), now);
                all.add(consolidator.run(from, to, |_| {}).await?);
                if let Some(Kept(keep)) = self.retention {
                    let keep = Retention {
                        evidence: self.evidence_days,
                        ..keep
                    };
                    keep::expire(&store, tenant, keep, settings.zone.to_datetime(now).date()).await?;
                }
                bar.inc(1);
            }
            bar.finish_and_clear();
            say!(
                "{} tenants: {} records read, {} periods written, {} unchanged{}",
                tenants.len(),
                all.records,
                all.written,
                all.unchanged,
                match all.late {
                    0 => String::new(),
                    late => format!(
                        ", {late} final days have later results that were ignored (--again includes them)"
                    ),
                }
            );
            Ok(())
        })
    }
}

/// The end of a day, UTC.
fn end(day: jiff::civil::Date) -> Timestamp {
    Timestamp::from_second(start_of(day.saturating_add(1.day()))).unwrap_or(Timestamp::MAX)
}
