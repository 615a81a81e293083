//! `drmwatch report`: what was promised, and what was.

use crate::{
    folder::{self, Error, exit},
    keys::signer,
    making::{Form, Wanted},
    place::{Days, Place, block, with_ending, write, zone},
    progress,
};
use clap::{Args, ValueEnum};
use drmwatch_outcome::TenantKey;
use drmwatch_program::say;
use drmwatch_runs::sla::{Hours, Level, MaintenancePolicy, NoDataPolicy, Policy, calendar_periods};
use std::{path::PathBuf, process::ExitCode};

#[derive(ValueEnum, Clone, Copy)]
enum NoData {
    /// They are not counted.
    Exclude,
    /// The service was down.
    Down,
    /// The service was up.
    Up,
}

#[derive(ValueEnum, Clone, Copy)]
enum Maintenance {
    /// They are not counted.
    Exclude,
    /// The service was up.
    Up,
}

/// Write the SLA report of one tenant for one period: availability, incidents and coverage.
///
/// The roll-ups of the period are updated first.
#[derive(Args)]
pub struct ReportOptions {
    #[command(flatten)]
    place: Place,
    /// TenantKey, as NAMESPACE/NAME.
    #[arg(long)]
    tenant: TenantKey,
    #[command(flatten)]
    days: Days,
    /// Folder of YAML files with the MonitoredTenant. The report takes the display name and the availability objective from it.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Time zone in which days begin, as an IANA name such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// Promised availability in percent, such as 99.9. Defaults to the objective of the MonitoredTenant in --folder; without
    /// either, the report has no verdict.
    #[arg(long, value_name = "PERCENT", value_parser = target)]
    target: Option<f64>,
    /// How minutes without data count.
    #[arg(long, value_enum, default_value = "exclude")]
    no_data: NoData,
    /// How minutes of maintenance windows that exclude from the SLA count.
    #[arg(long, value_enum, default_value = "exclude")]
    maintenance: Maintenance,
    /// Minimum length of an incident, in minutes.
    #[arg(long, value_name = "MINUTES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    incident_minutes: u32,
    /// Count only these hours, such as "Mon-Fri 08:00-18:00". Defaults to all hours.
    #[arg(long, value_name = "HOURS")]
    business_hours: Option<Hours>,
    /// File formats, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "csv,html,json,pdf")]
    format: Vec<Form>,
    /// TrueType or OpenType font file for the PDF, in addition to the built-in font (Latin, Greek, Cyrillic, Hebrew). Can be
    /// repeated.
    #[arg(long, value_name = "FILE")]
    font: Vec<PathBuf>,
    /// Folder to write the files to.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// File with the private key that signs each report file; `drmwatch keys signing` makes one. Signatures are written to FILE.sig.
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// Use the existing roll-ups, without an update.
    #[arg(long)]
    no_consolidate: bool,
}

fn target(text: &str) -> Result<f64, String> {
    let number: Result<f64, _> = text.trim_end_matches('%').parse();
    number
        .ok()
        .filter(|t| (50.0..100.0).contains(t))
        .ok_or_else(|| "must be at least 50 and below 100".to_owned())
}

impl ReportOptions {
    pub fn run(self) -> ExitCode {
        exit(self.work())
    }

    /// Display name and target, as the tenant's YAML says.
    fn written(&self) -> Result<(String, Option<f64>), Error> {
        let Some(path) = &self.folder else {
            return Ok((self.tenant.name.clone(), None));
        };
        let folder = folder::read(path)?;
        let found = folder.tenants.iter().find(|t| {
            let meta = &t.metadata;
            meta.name.as_deref() == Some(&self.tenant.name)
                && meta.namespace.as_deref().unwrap_or("default") == self.tenant.namespace
        });
        let Some(found) = found else {
            return Err(Error::Mistakes(format!(
                "{}: there is no MonitoredTenant {}",
                path.display(),
                self.tenant
            )));
        };
        let promised = found
            .spec
            .objectives
            .iter()
            .find(|o| o.availability.is_some() && o.probes.is_empty());
        let target = promised.and_then(|o| o.target.trim_end_matches('%').parse().ok());
        Ok((found.spec.display_name.clone(), target))
    }

    fn work(self) -> Result<(), Error> {
        let zone = zone(&self.time_zone)?;
        let (from, to) = self.days.range(&zone)?;
        let now = drmwatch_program::now();
        let today = zone.to_datetime(now).date();
        if from > today {
            return Err(Error::Mistakes(format!(
                "the period begins on {from}, which is yet to come (in {} it is {today})",
                self.time_zone
            )));
        }
        let (display_name, promised) = self.written()?;
        let signer = self.sign.as_deref().map(signer).transpose()?;
        let store = self.place.open()?;
        let mut fonts = Vec::new();
        for file in &self.font {
            fonts.push(std::fs::read(file).map_err(folder::io(file))?);
        }
        let wanted = Wanted {
            tenant: self.tenant.clone(),
            display_name,
            zone: zone.clone(),
            zone_name: self.time_zone.clone(),
            from,
            to,
            policy: Policy {
                no_data: match self.no_data {
                    NoData::Exclude => NoDataPolicy::Exclude,
                    NoData::Down => NoDataPolicy::Down,
                    NoData::Up => NoDataPolicy::Up,
                },
                maintenance: match self.maintenance {
                    Maintenance::Exclude => MaintenancePolicy::Exclude,
                    Maintenance::Up => MaintenancePolicy::Up,
                },
                least_minutes: self.incident_minutes,
                target: self.target.or(promised),
                hours: self.business_hours.clone(),
            },
            forms: self.format.clone(),
            fonts,
        };
        let report = block(async {
            let days = calendar_periods(Level::Day, from, to, &zone).len() as u64;
            let bar = progress::bar(days, "days");
            let report = wanted
                .make(&store, now, !self.no_consolidate, || bar.inc(1))
                .await;
            bar.finish_and_clear();
            report
        })?;
        let files: Vec<(PathBuf, Vec<u8>)> = wanted
            .files(&report)?
            .into_iter()
            .map(|(name, bytes)| (self.out.join(name), bytes))
            .collect();
        let mut signed = Vec::new();
        if let Some(signer) = &signer {
            for (path, bytes) in &files {
                signed.push((with_ending(path, ".sig"), signer.sign(bytes)));
            }
        }
        write(&files)?;
        write(&signed)?;
        say!(
            "{} {} to {}: {}, availability {} %, coverage {} %, {} incidents",
            self.tenant,
            report.from,
            report.through,
            report.verdict.words(),
            report.total.availability,
            report.total.coverage,
            report.incidents.len()
        );
        files.iter().for_each(|(path, _)| say!("{}", path.display()));
        Ok(())
    }
}
