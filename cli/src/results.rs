//! `drmwatch results`: single runs.

use crate::{
    folder::{Error, exit},
    place::{Days, Place, block, known, write},
};
use clap::{Args, ValueEnum};
use drmwatch_outcome::TenantKey;
use drmwatch_program::{note, say};
use drmwatch_runs::{Kind, Record, Store};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use std::{path::PathBuf, process::ExitCode};

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Aligned columns.
    Table,
    /// CSV (RFC 4180).
    Csv,
    /// One JSON object per line, with all fields.
    Json,
    /// Encrypted Parquet. The tenant's key opens it (PKMT1).
    Parquet,
}

/// Show the results of single runs: when, where, verdict, reason and duration.
#[derive(Args)]
pub struct Results {
    #[command(flatten)]
    place: Place,
    /// TenantKey, as NAMESPACE/NAME.
    #[arg(long)]
    tenant: TenantKey,
    #[command(flatten)]
    days: Days,
    /// Only results of this probe. Can be repeated.
    #[arg(long, value_name = "NAME", help_heading = FILTERS)]
    probe: Vec<String>,
    /// Only results from this region. Can be repeated.
    #[arg(long, value_name = "NAME", help_heading = FILTERS)]
    region: Vec<String>,
    /// Only results with this reason, such as ManifestStale. Can be repeated.
    #[arg(long, value_name = "REASON", help_heading = FILTERS)]
    reason: Vec<String>,
    /// Only results that are not a pass.
    #[arg(long, help_heading = FILTERS)]
    failures: bool,
    /// Instead of results, print the recorded requests and responses of one run: the field `evidence` of a result with --format
    /// json. `drmwatch-runner --replay` judges them again.
    #[arg(long, value_name = "RUN")]
    evidence: Option<String>,
    /// Maximum number of results. The earliest are shown.
    #[arg(long, value_name = "RESULTS", help_heading = FILTERS, default_value_t = 1000)]
    limit: usize,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
    /// File to write to. Defaults to standard output, except for Parquet.
    #[arg(long, value_name = "FILE", required_if_eq("format", "parquet"))]
    out: Option<PathBuf>,
}

const FILTERS: &str = "Filters";

impl Results {
    pub fn run(self) -> ExitCode {
        exit(self.work())
    }

    fn wants(&self, record: &Record) -> bool {
        let of = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|v| list.iter().any(|l| l == v))
        };
        of(&self.probe, Some(&record.probe))
            && of(&self.region, Some(&record.region))
            && of(&self.reason, record.reason.as_deref())
            && (!self.failures || record.outcome.as_deref() != Some("pass") && record.kind != Kind::Unwatched)
    }

    /// Prints the evidence of a run.
    fn show(&self, store: &Store, run: &str, (from, to): (Date, Date)) -> Result<(), Error> {
        let found = block(async {
            let id = known(store, &self.tenant).await?;
            let mut day = from;
            while day < to {
                if let Some(found) = store.evidence(&id, day, run).await? {
                    return Ok(Some(found));
                }
                day = day.saturating_add(1.day());
            }
            Ok(None)
        })?;
        let last = to.yesterday().unwrap_or(to);
        let Some(found) = found else {
            let tenant = &self.tenant;
            return Err(Error::Mistakes(format!(
                "there is no evidence of run {run} of {tenant} between {from} and {last} (UTC), or it is kept no longer"
            )));
        };
        match &self.out {
            Some(file) => write(&[(file.clone(), found.into_bytes())]),
            None => {
                say!("{found}");
                Ok(())
            }
        }
    }

    fn work(self) -> Result<(), Error> {
        let (from, to) = self.days.range(&TimeZone::UTC)?;
        let store = self.place.open()?;
        if let Some(run) = &self.evidence {
            return self.show(&store, run, (from, to));
        }
        let (id, mut records) = block(async {
            let id = known(&store, &self.tenant).await?;
            let mut found: Vec<Record> = Vec::new();
            for day in store
                .days(&id)
                .await?
                .into_iter()
                .filter(|d| (from..to).contains(d))
            {
                found.extend(
                    store
                        .records(&id, day)
                        .await?
                        .into_iter()
                        .filter(|r| self.wants(r)),
                );
            }
            Ok((id, found))
        })?;
        if records.is_empty() {
            let last = to.yesterday().unwrap_or(to);
            return Err(Error::Mistakes(format!(
                "no record of {} between {from} and {last} (UTC) matches the options",
                self.tenant
            )));
        }
        records.sort_by(|a, b| {
            (a.slot, &a.probe, &a.region, a.attempt).cmp(&(b.slot, &b.probe, &b.region, b.attempt))
        });
        let whole = records.len();
        records.truncate(self.limit);
        let bytes = match self.format {
            Form::Table => table(&records).into_bytes(),
            Form::Csv => csv(&records).into_bytes(),
            Form::Json => records
                .iter()
                .filter_map(|r| serde_json::to_string(r).ok())
                .fold(String::new(), |all, line| all + &line + "\n")
                .into_bytes(),
            Form::Parquet => {
                let name = format!("{from}");
                block(async { Ok(store.export(&id, &name, &records).await?) })?
            }
        };
        match &self.out {
            Some(file) => write(&[(file.clone(), bytes)])?,
            None => drmwatch_program::write_text(&String::from_utf8_lossy(&bytes)),
        }
        if whole > records.len() {
            note!("{} of {whole} results shown; --limit shows more", records.len());
        }
        Ok(())
    }
}

fn columns(record: &Record) -> [String; 9] {
    let text = |of: &Option<String>| of.clone().unwrap_or_default();
    [
        record.slot.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        record.probe.clone(),
        record.region.clone(),
        match record.kind {
            Kind::Run => text(&record.outcome),
            kind => kind.as_str().to_owned(),
        },
        text(&record.reason),
        text(&record.step),
        format!("{:.1}", record.duration_us as f64 / 1000.0),
        match record.counts {
            true => record.attempt.to_string(),
            false => format!("{} (does not count)", record.attempt),
        },
        text(&record.message),
    ]
}

const NAMES: [&str; 9] = [
    "slot",
    "probe",
    "region",
    "outcome",
    "reason",
    "step",
    "duration_ms",
    "attempt",
    "message",
];

fn table(records: &[Record]) -> String {
    let mut rows: Vec<[String; 9]> = vec![NAMES.map(str::to_uppercase)];
    rows.extend(records.iter().map(columns));
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (field, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{field:<width$}  "));
        }
        text.push_str(&row[8]);
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

fn csv(records: &[Record]) -> String {
    let mut text = NAMES.join(",") + "\r\n";
    for record in records {
        text.push_str(&drmwatch_reports::csv_line(&columns(record)));
    }
    text
}
