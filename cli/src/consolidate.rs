//! `drmwatch consolidate`: roll-ups, compaction, retention.

use crate::{
    folder::{Error, exit},
    place::{Days, Place, Tenant, block, known, zone},
    progress,
};
use clap::Args;
use drmwatch_program::say;
use drmwatch_results::{
    consolidate::{Consolidator, Done, Settings},
    keep::{self, Retention},
    keys::TenantId,
    start_of,
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::process::ExitCode;

/// Make roll-ups of results: 15 minutes, hours, days, weeks, months. It may run as often as one likes, and anywhere: what
/// did not change is left alone. Beyond that, small files of days that are over are put together, and what is older than
/// it is kept is deleted.
#[derive(Args)]
pub struct Consolidate {
    #[command(flatten)]
    place: Place,
    /// The tenant, as NAMESPACE/NAME; without one every tenant of the store.
    #[arg(long)]
    tenant: Option<Tenant>,
    #[command(flatten)]
    days: Days,
    /// IANA name of the zone in which days, weeks and months begin.
    #[arg(long, default_value = "UTC")]
    time_zone: String,
    /// Hours after its end in which what comes late still changes a day.
    #[arg(long, default_value_t = 48)]
    grace_hours: i64,
    /// Make days that are final anew, too.
    #[arg(long)]
    again: bool,
    /// Work only on the part I of N of the tenants: as many workers, each with its part, do it together.
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    part: Part,
    /// Put the files of a day that is over together, once there are so many.
    #[arg(long, default_value_t = 8)]
    compact: usize,
    /// With --retention: days for which evidence of failures is kept.
    #[arg(long, default_value_t = 7)]
    evidence_days: i64,
    /// Delete records after so many days, quarters and hours after the second, days and beyond after the third.
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
                    late =>
                        format!(", {late} final days left as they are, though something came later (--again)"),
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
