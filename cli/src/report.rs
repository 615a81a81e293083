//! `drmwatch report`: what was promised, and what was.

use crate::{
    folder::{self, Error, exit},
    keys::signer,
    making::{Form, Wanted},
    place::{Days, Place, Tenant, block, with_ending, write, zone},
    progress,
};
use clap::{Args, ValueEnum};
use drmwatch_program::say;
use drmwatch_results::sla::{Hours, Level, MaintenancePolicy, NoDataPolicy, Policy, calendar_periods};
use std::{path::PathBuf, process::ExitCode};

#[derive(ValueEnum, Clone, Copy)]
enum NoData {
    Exclude,
    Down,
    Up,
}

#[derive(ValueEnum, Clone, Copy)]
enum Maintenance {
    Exclude,
    Up,
}

/// Write the SLA report of a tenant. Roll-ups are brought up to date first.
#[derive(Args)]
pub struct ReportOptions {
    #[command(flatten)]
    place: Place,
    /// The tenant, as NAMESPACE/NAME.
    #[arg(long)]
    tenant: Tenant,
    #[command(flatten)]
    days: Days,
    /// Folder of YAML with the MonitoredTenant: its display name and its objective of availability are taken from there.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// IANA name of the zone in which days begin.
    #[arg(long, default_value = "UTC")]
    time_zone: String,
    /// What was promised, in percent of minutes: 99.9.
    #[arg(long, value_parser = target)]
    target: Option<f64>,
    /// What minutes without data mean.
    #[arg(long, value_enum, default_value = "exclude")]
    no_data: NoData,
    /// What minutes of maintenance mean.
    #[arg(long, value_enum, default_value = "exclude")]
    maintenance: Maintenance,
    /// An incident is at least so many minutes down in a row.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    incident_minutes: u32,
    /// Only these hours count: "Mon-Fri 08:00-18:00".
    #[arg(long)]
    business_hours: Option<Hours>,
    /// Forms, by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "csv,html,json,pdf")]
    format: Vec<Form>,
    /// Fonts of the PDF beyond the built-in one (Latin, Greek, Cyrillic, Hebrew): files of TrueType or OpenType.
    #[arg(long, value_name = "FILE")]
    font: Vec<PathBuf>,
    /// Folder that the files are written to.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Private key that signs each file (`drmwatch keys signing`): FILE.sig.
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// Read the roll-ups that are there, and make none.
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
