//! Where results lie, whose they are, and of which days.

use crate::folder::Error;
use clap::Args;
use drmwatch_archive::{
    keys::{Names, TenantId},
    kms,
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{Store, sla::monday};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use std::path::{Path, PathBuf};

const STORE: &str = "Result store";
const PERIOD: &str = "Period (default: yesterday)";

/// Where results lie.
#[derive(Args)]
pub struct Place {
    /// Result store: a folder, or a URL (s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX). Credentials for a URL
    /// are read from the environment.
    #[arg(long, help_heading = STORE, value_name = "FOLDER|URL", env = "DRMWATCH_RESULTS")]
    pub store: String,
    /// Folder with the keys of the results: the file `names`, and without --kms one file TENANT.vN for each version of a tenant's
    /// key.
    #[arg(long, help_heading = STORE, value_name = "FOLDER", env = "DRMWATCH_RESULTS_KEYS")]
    pub keys: PathBuf,
    /// Key management service that holds the tenants' keys: awskms://REGION or vault+https://HOST/MOUNT (with VAULT_TOKEN).
    /// Without this option, the keys are in the folder of --keys.
    #[arg(long, help_heading = STORE, value_name = "URL", env = "DRMWATCH_RESULTS_KMS")]
    pub kms: Option<String>,
}

impl Place {
    /// Opens it.
    pub fn open(&self) -> Result<Store, Error> {
        let kms = kms::holder(self.kms.as_deref(), &self.keys, drmwatch_program::now)?;
        Ok(Store::open(&self.store, kms, Names::read(&self.keys)?)?)
    }
}

/// A path with more at its end: `FILE.sig`.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The id of a tenant of which there is something in the store.
pub async fn known(store: &Store, tenant: &TenantKey) -> Result<TenantId, Error> {
    let id = store.tenant(tenant);
    match store.has(&id).await? {
        true => Ok(id),
        false => Err(Error::Mistakes(format!(
            "there is nothing of tenant {tenant} in the store: look at the spelling, at --store, and at the file `names` of --keys, from which its id ({id}) follows"
        ))),
    }
}

/// Of which days: one of --day, --week, --month, --last, --recent, or --from and --to.
#[derive(Args, Clone, Default)]
#[group(multiple = true)]
pub struct Days {
    /// One day, such as 2026-11-26.
    #[arg(long, help_heading = PERIOD, value_name = "DATE", conflicts_with_all = ["week", "month", "last", "recent", "from", "to"])]
    day: Option<Date>,
    /// The week (Monday to Sunday) that contains this day.
    #[arg(long, help_heading = PERIOD, value_name = "DATE", conflicts_with_all = ["month", "last", "recent", "from", "to"])]
    week: Option<Date>,
    /// One month, such as 2026-11.
    #[arg(long, help_heading = PERIOD, value_name = "YEAR-MONTH", conflicts_with_all = ["last", "recent", "from", "to"])]
    month: Option<String>,
    /// The last N full days: up to yesterday.
    #[arg(long, help_heading = PERIOD, value_name = "DAYS", conflicts_with_all = ["from", "to"], value_parser = clap::value_parser!(i64).range(1..=3660))]
    last: Option<i64>,
    /// The last N days, including today.
    #[arg(long, help_heading = PERIOD, value_name = "DAYS", conflicts_with_all = ["last", "from", "to"], value_parser = clap::value_parser!(i64).range(1..=3660))]
    recent: Option<i64>,
    /// First day of the period.
    #[arg(long, help_heading = PERIOD, value_name = "DATE", requires = "to")]
    from: Option<Date>,
    /// Last day of the period.
    #[arg(long, help_heading = PERIOD, value_name = "DATE", requires = "from")]
    to: Option<Date>,
}

impl Days {
    /// The first day, and the first beyond. Without any option: yesterday.
    pub fn range(&self, zone: &TimeZone) -> Result<(Date, Date), Error> {
        let wrong = |text: String| Error::Mistakes(text);
        let next = |day: Date| day.checked_add(1.day()).map_err(|e| wrong(e.to_string()));
        let today = zone.to_datetime(drmwatch_program::now()).date();
        if let Some(day) = self.day {
            return Ok((day, next(day)?));
        }
        if let Some(day) = self.week {
            let monday = monday(day);
            return Ok((monday, monday.saturating_add(7.days())));
        }
        if let Some(month) = &self.month {
            let first: Result<Date, _> = format!("{month}-01").parse();
            let first = first.map_err(|_| wrong(format!("a month is like 2026-11, not {month}")))?;
            return Ok((first, next(first.last_of_month())?));
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            return match from <= to {
                true => Ok((from, next(to)?)),
                false => Err(wrong(format!(
                    "--from {from} is after --to {to}: no day lies between"
                ))),
            };
        }
        if let Some(days) = self.recent {
            let after = next(today)?;
            return Ok((after.saturating_sub(days.days()), after));
        }
        let days = self.last.unwrap_or(1);
        Ok((today.saturating_sub(days.days()), today))
    }
}

/// The zone with this name.
pub fn zone(name: &str) -> Result<TimeZone, Error> {
    TimeZone::get(name).map_err(|_| {
        Error::Mistakes(format!(
            "there is no time zone {name}: it must be an IANA name, as Europe/Berlin"
        ))
    })
}

/// Runs what waits for the storage.
pub fn block<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(crate::folder::io(std::path::Path::new("runtime")))?
        .block_on(work)
}

/// Writes files: all of them, or none that is half.
pub fn write(files: &[(PathBuf, Vec<u8>)]) -> Result<(), Error> {
    for (path, bytes) in files {
        let io = crate::folder::io;
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(io(folder))?;
        }
        let unfinished = with_ending(path, ".part");
        std::fs::write(&unfinished, bytes).map_err(io(&unfinished))?;
        std::fs::rename(&unfinished, path).map_err(io(path))?;
    }
    Ok(())
}
