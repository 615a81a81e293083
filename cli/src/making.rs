//! How a report comes about: roll-ups brought up to date, figures, files.

use crate::{folder::Error, place::known};
use clap::ValueEnum;
use drmwatch_archive::keys::TenantId;
use drmwatch_outcome::TenantKey;
use drmwatch_reports::{Report, Request, build};
use drmwatch_runs::{
    Store,
    consolidate::{self, Consolidator, Settings},
    sla::{Level, Policy, Rollup},
};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

/// How often roll-ups are made anew that somebody else makes at the same time, in another way.
const TRIES: u32 = 3;

/// A form of a report.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Figures, and a second file with incidents.
    Csv,
    /// One page that needs no other file.
    Html,
    /// All figures, for programs.
    Json,
    /// The same page as a PDF.
    Pdf,
}

/// What a report is to be.
pub struct Wanted {
    pub tenant: TenantKey,
    pub display_name: String,
    pub zone: TimeZone,
    pub zone_name: String,
    /// The first day.
    pub from: Date,
    /// The first day beyond.
    pub to: Date,
    pub policy: Policy,
    pub forms: Vec<Form>,
    /// Fonts of the PDF beyond the built-in one.
    pub fonts: Vec<Vec<u8>>,
}

impl Wanted {
    /// The report, of which there must be one.
    pub async fn make(
        &self,
        store: &Store,
        now: Timestamp,
        fresh: bool,
        told: impl FnMut(),
    ) -> Result<Report, Error> {
        self.figures(store, now, fresh, told).await?.ok_or_else(|| {
            Error::Mistakes(format!(
                "there are no results of tenant {} between {} and {}: no probe ran, or the results were deleted",
                self.tenant,
                self.from,
                self.to.yesterday().unwrap_or(self.to)
            ))
        })
    }

    /// The report; None: nothing is known of the period. `fresh`: roll-ups are brought up to date first; `told` after each day
    /// of them.
    pub async fn figures(
        &self,
        store: &Store,
        now: Timestamp,
        fresh: bool,
        mut told: impl FnMut(),
    ) -> Result<Option<Report>, Error> {
        let (from, to) = (self.from, self.to);
        let id = known(store, &self.tenant).await?;
        let length = to
            .since((jiff::Unit::Day, from))
            .map_or(1, |s| i64::from(s.get_days()));
        let before = from.saturating_sub(length.days());
        let settings = || Settings {
            zone: self.zone.clone(),
            zone_name: self.zone_name.clone(),
            ..Settings::default()
        };
        let consolidator = || Consolidator::new(store, id.clone(), settings(), now);
        let mut tries = 0;
        let (earlier, days): (Vec<_>, Vec<_>) = loop {
            tries += 1;
            if fresh {
                consolidator().run(from, to, |_| told()).await?;
                if self.foreign(store, &id, before, from).await? {
                    consolidator().run(before, from, |_| {}).await?;
                }
            }
            // Whoever makes roll-ups beside us takes away what we were about to read.
            match self.days(store, &id, before, to).await {
                Ok(all) => break all.into_iter().partition(|(date, ..)| *date < from),
                Err(error) if tries == TRIES || !fresh => return Err(error),
                Err(_) => {}
            }
        };
        let request = Request {
            namespace: self.tenant.namespace.clone(),
            tenant: self.tenant.name.clone(),
            display_name: self.display_name.clone(),
            zone: self.zone.clone(),
            zone_name: self.zone_name.clone(),
            from,
            to,
            policy: self.policy.clone(),
            at: now,
        };
        Ok(build(&request, &days, &earlier))
    }

    /// Whether a day was made in another zone than the report's.
    async fn foreign(&self, store: &Store, id: &TenantId, from: Date, to: Date) -> Result<bool, Error> {
        let listed = consolidate::list(store, id, Level::Day).await?;
        let mut own = listed.iter().filter(|p| (from..to).contains(&p.date()));
        Ok(own.any(|p| !p.of_zone(&self.zone_name)))
    }

    /// What is known of each day; all of them must be days of the report's zone.
    async fn days(
        &self,
        store: &Store,
        id: &TenantId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, bool, Vec<Rollup>)>, Error> {
        let mut days = Vec::new();
        for listed in consolidate::list(store, id, Level::Day).await? {
            if !(from..to).contains(&listed.date()) {
                continue;
            }
            if !listed.of_zone(&self.zone_name) {
                return Err(Error::Mistakes(format!(
                    "the roll-up of {} was made in another zone than {}: use the same zone wherever roll-ups of {} are made",
                    listed.date(),
                    self.zone_name,
                    self.tenant
                )));
            }
            days.push((listed.date(), listed.fixed(), listed.read(store).await?));
        }
        Ok(days)
    }

    /// The files, by name.
    pub fn files(&self, report: &Report) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let TenantKey { namespace, name } = &self.tenant;
        let name = format!("{namespace}-{name}-{}-{}", report.from, report.through);
        let mut files = Vec::new();
        let mut add = |end: &str, bytes: Vec<u8>| files.push((format!("{name}{end}"), bytes));
        for form in Form::value_variants().iter().filter(|f| self.forms.contains(f)) {
            match form {
                Form::Csv => {
                    add(".csv", drmwatch_reports::csv(report).into_bytes());
                    add(
                        "-incidents.csv",
                        drmwatch_reports::incidents_csv(report).into_bytes(),
                    );
                }
                Form::Html => add(".html", drmwatch_reports::html(report).into_bytes()),
                Form::Json => add(".json", drmwatch_reports::json(report).into_bytes()),
                Form::Pdf => {
                    let pdf = drmwatch_pdf::pdf(report, &self.fonts);
                    add(".pdf", pdf.map_err(|e| Error::Mistakes(e.to_string()))?);
                }
            }
        }
        Ok(files)
    }
}
