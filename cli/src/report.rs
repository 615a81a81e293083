//! `drmwatch report`: what was promised, and what was.

use crate::{
    folder::{self, Error, exit},
    keys::signer,
    place::{Days, Place, Tenant, block, known, with_ending, write, zone},
    progress,
};
use clap::{Args, ValueEnum};
use drmwatch_reports::{Report, Request, build};
use drmwatch_results::{
    consolidate::{self, Consolidator, Settings},
    sla::{Hours, Level, MaintenancePolicy, NoDataPolicy, Policy, calendar_periods},
};
use jiff::{ToSpan, civil::Date};
use std::{path::PathBuf, process::ExitCode};

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Html,
    Json,
}

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
    #[arg(long, value_enum, value_delimiter = ',', default_value = "csv,html,json")]
    format: Vec<Form>,
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
        let length = to
            .since((jiff::Unit::Day, from))
            .map_or(1, |s| i64::from(s.get_days()));
        let before = from.saturating_sub(length.days());
        let request = Request {
            namespace: self.tenant.namespace.clone(),
            tenant: self.tenant.name.clone(),
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
            at: now,
        };
        let report = block(async {
            let id = known(&store, &self.tenant).await?;
            if !self.no_consolidate {
                let settings = Settings {
                    zone: zone.clone(),
                    zone_name: self.time_zone.clone(),
                    ..Settings::default()
                };
                let days = calendar_periods(Level::Day, from, to, &zone).len() as u64;
                let bar = progress::bar(days, "days");
                let consolidator = Consolidator::new(&store, id.clone(), settings, now);
                consolidator.run(from, to, |_| bar.inc(1)).await?;
                bar.finish_and_clear();
            }
            let read = async |from: Date, to: Date| -> Result<Vec<_>, Error> {
                let periods = consolidate::read(&store, &id, Level::Day, from, to).await?;
                Ok(periods
                    .into_iter()
                    .map(|p| (p.date, p.fixed, p.rollups))
                    .collect())
            };
            let (days, earlier) = (read(from, to).await?, read(before, from).await?);
            build(&request, &days, &earlier).ok_or_else(|| {
                Error::Mistakes(format!(
                    "of tenant {} nothing is known between {from} and {}: nothing ran then, or its results were deleted",
                    self.tenant,
                    to.yesterday().unwrap_or(to)
                ))
            })
        })?;
        let files = self.files(&report);
        let mut signed = Vec::new();
        if let Some(signer) = &signer {
            for (path, bytes) in &files {
                signed.push((with_ending(path, ".sig"), signer.sign(bytes)));
            }
        }
        write(&files)?;
        write(&signed)?;
        println!(
            "{} {} to {}: {}, availability {} %, coverage {} %, {} incidents",
            self.tenant,
            report.from,
            report.through,
            report.verdict.words(),
            report.total.availability,
            report.total.coverage,
            report.incidents.len()
        );
        files.iter().for_each(|(path, _)| println!("{}", path.display()));
        Ok(())
    }

    fn files(&self, report: &Report) -> Vec<(PathBuf, Vec<u8>)> {
        let name = format!(
            "{}-{}-{}-{}",
            self.tenant.namespace, self.tenant.name, report.from, report.through
        );
        let mut files = Vec::new();
        let mut add =
            |end: &str, text: String| files.push((self.out.join(format!("{name}{end}")), text.into_bytes()));
        for form in [Form::Csv, Form::Html, Form::Json] {
            if !self.format.contains(&form) {
                continue;
            }
            match form {
                Form::Csv => {
                    add(".csv", drmwatch_reports::csv(report));
                    add("-incidents.csv", drmwatch_reports::incidents_csv(report));
                }
                Form::Html => add(".html", drmwatch_reports::html(report)),
                Form::Json => add(".json", drmwatch_reports::json(report)),
            }
        }
        files
    }
}
