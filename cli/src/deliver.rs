//! `drmwatch deliver`: the reports of an SlaReport that are due, to everybody who has not got them. It is what the
//! operator's CronJobs run; it knows nothing of Kubernetes, only a folder (a mounted Secret) and the store.

use crate::{
    folder::{Error, exit, io},
    keys::signer,
    making::{Form, Wanted},
    place::{Place, block, with_ending, zone},
    send::{Parcel, Sender},
};
use clap::Args;
use drmwatch_api::{MaintenanceMeans, NoDataMeans, ReportFormat};
use drmwatch_archive::sign::Signer;
use drmwatch_outcome::TenantKey;
use drmwatch_plan::{
    REPORT_KEY, Redactor, ReportOutcome, ReportPlan, ReportTenant, Secrets, Undelivered, due,
};
use drmwatch_program::say;
use drmwatch_runs::{
    Delivery, Store,
    sla::{Hours, MaintenancePolicy, NoDataPolicy, Policy},
};
use jiff::{Timestamp, civil::Date};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long is waited before the second try; each wait is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Failures that are told one by one.
const TOLD: usize = 5;
/// Longest reason in a termination message, which holds 4096 bytes.
const LONGEST_WHY: usize = 300;

/// Make and deliver the due reports of an SlaReport to each recipient that has not received them.
///
/// The CronJobs of the operator run this command.
#[derive(Args)]
pub struct Deliver {
    #[command(flatten)]
    place: Place,
    /// Folder with the report plan (`report.json`) and the secrets of the recipients. The operator writes both to a Secret.
    #[arg(long, value_name = "FOLDER")]
    plan: PathBuf,
    /// File with the private key that signs each report file; `drmwatch keys signing` makes one. Optional: if the file is missing,
    /// nothing is signed.
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// TrueType or OpenType font file for the PDF, in addition to the built-in font. Can be repeated.
    #[arg(long, value_name = "FILE")]
    font: Vec<PathBuf>,
    /// Deliver what is due at this time (RFC 3339), instead of now: to test a report, or to deliver one early.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How long failed deliveries are retried, in seconds. 0: not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    patience: u64,
    /// Also write the outcome to this file, as JSON. The kubelet reads it as the termination message.
    #[arg(long, value_name = "FILE")]
    termination_log: Option<PathBuf>,
}

impl Deliver {
    pub fn run(self) -> ExitCode {
        match self.work() {
            Ok(outcome) if outcome.failed == 0 => ExitCode::SUCCESS,
            // What it was has been told.
            Ok(_) => ExitCode::FAILURE,
            Err(error) => exit(Err(error)),
        }
    }

    fn work(&self) -> Result<ReportOutcome, Error> {
        let file = self.plan.join(REPORT_KEY);
        let text = fs::read(&file).map_err(io(&file))?;
        let plan: ReportPlan =
            serde_json::from_slice(&text).map_err(|e| Error::Mistakes(format!("{}: {e}", file.display())))?;
        let mut fonts = Vec::new();
        for file in &self.font {
            fonts.push(fs::read(file).map_err(io(file))?);
        }
        let round = Round {
            values: values(&self.plan)?,
            store: self.place.open()?,
            signer: match &self.sign {
                Some(file) if file.exists() => Some(signer(file)?),
                _ => None,
            },
            fonts,
            plan,
            at: self.at,
        };
        let outcome = block(round.until(Instant::now() + Duration::from_secs(self.patience)))?;
        say!("{}", told(&outcome));
        for failure in &outcome.undelivered {
            let to = failure.recipient.as_deref().unwrap_or("all recipients");
            say!("{} of {} to {to}: {}", failure.tenant, failure.from, failure.why);
        }
        if let Some(file) = &self.termination_log {
            let text = serde_json::to_string(&outcome).unwrap_or_default();
            // A termination message is a file that is there and can't be replaced.
            let mut open = fs::OpenOptions::new();
            let opened = open.write(true).create(true).truncate(true).open(file);
            opened
                .and_then(|mut f| f.write_all(text.as_bytes()))
                .map_err(io(file))?;
        }
        Ok(outcome)
    }
}

fn told(outcome: &ReportOutcome) -> String {
    format!(
        "{} reports delivered, {} failed, {} skipped because the tenant has no data",
        outcome.delivered, outcome.failed, outcome.empty
    )
}

/// The values beside a plan, by their names.
fn values(folder: &Path) -> Result<Secrets, Error> {
    let mut values = Secrets::default();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        // A mounted Secret keeps its versions in hidden folders.
        if !name.starts_with('.') && name != REPORT_KEY && path.is_file() {
            let text = fs::read_to_string(&path).map_err(io(&path))?;
            values.insert(name, text.trim_end_matches(['\r', '\n']));
        }
    }
    Ok(values)
}

/// What is tried, and with what.
struct Round {
    plan: ReportPlan,
    values: Secrets,
    store: Store,
    signer: Option<Signer>,
    fonts: Vec<Vec<u8>>,
    /// What was due until then; None: now.
    at: Option<Timestamp>,
}

impl Round {
    /// Tries until everything is delivered, or time is up.
    async fn until(&self, end: Instant) -> Result<ReportOutcome, Error> {
        let (mut delivered, mut pause) = (0, FIRST_PAUSE);
        loop {
            let mut outcome = self.once().await?;
            delivered += outcome.delivered;
            outcome.delivered = delivered;
            let left = end.saturating_duration_since(Instant::now());
            if outcome.failed == 0 || left.is_zero() {
                return Ok(outcome);
            }
            say!("{}; retrying in {} s", told(&outcome), pause.min(left).as_secs());
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One round over all that is due.
    async fn once(&self) -> Result<ReportOutcome, Error> {
        let (plan, now) = (&self.plan, drmwatch_program::now());
        let periods = due(
            &plan.schedule,
            &plan.time_zone,
            plan.period,
            plan.since,
            self.at.unwrap_or(now),
        )
        .map_err(|e| Error::Mistakes(format!("schedule: {e}")))?;
        let mut outcome = ReportOutcome {
            generation: plan.generation,
            at: now,
            delivered: 0,
            empty: 0,
            through: None,
            undelivered: Vec::new(),
            failed: 0,
        };
        let mut redactor = Redactor::default();
        self.values.values().for_each(|value| redactor.add(value));
        for (from, to) in periods {
            for tenant in &plan.tenants {
                for failure in self.tenant(tenant, (from, to), now, &mut outcome).await? {
                    outcome.failed += 1;
                    if outcome.undelivered.len() < TOLD {
                        let why = redactor.redact(&failure.why);
                        outcome.undelivered.push(Undelivered {
                            why: why.chars().take(LONGEST_WHY).collect(),
                            ..failure
                        });
                    }
                }
            }
            // Up to the first that somebody has not got.
            if outcome.failed == 0 {
                outcome.through = to.yesterday().ok();
            }
        }
        outcome.at = drmwatch_program::now();
        Ok(outcome)
    }

    /// The report of a tenant and a period, to everybody who has not got it; what could not be done.
    async fn tenant(
        &self,
        tenant: &ReportTenant,
        (from, to): (Date, Date),
        now: Timestamp,
        outcome: &mut ReportOutcome,
    ) -> Result<Vec<Undelivered>, Error> {
        let plan = &self.plan;
        let id = self.store.tenant(&TenantKey::new(&plan.namespace, &tenant.name));
        let delivery = |recipient| Delivery {
            report: &plan.uid,
            recipient,
            tenant: &id,
            from,
            to,
        };
        let failure = |recipient: Option<&str>, why: String| Undelivered {
            tenant: tenant.name.clone(),
            from,
            recipient: recipient.map(str::to_owned),
            why,
        };
        let mut left = Vec::new();
        for recipient in &plan.recipients {
            if !delivery(recipient.name.as_str()).done(&self.store).await? {
                left.push(recipient);
            }
        }
        if left.is_empty() {
            return Ok(Vec::new());
        }
        if !self.store.has(&id).await? {
            outcome.empty += 1;
            return Ok(Vec::new());
        }
        let wanted = self.wanted(tenant, (from, to))?;
        let report = match wanted.figures(&self.store, now, true, || {}).await {
            Ok(Some(report)) => report,
            Ok(None) => {
                outcome.empty += 1;
                return Ok(Vec::new());
            }
            Err(error) => return Ok(vec![failure(None, error.to_string())]),
        };
        let files = match wanted.files(&report) {
            Ok(files) => files,
            Err(error) => return Ok(vec![failure(None, error.to_string())]),
        };
        let files = self.signed(files);
        let sealed = match crate::send::seal(files, &plan.age_recipients) {
            Ok(sealed) => sealed,
            Err(error) => return Ok(vec![failure(None, error.to_string())]),
        };
        let mut failures = Vec::new();
        for recipient in left {
            let delivery = delivery(recipient.name.as_str());
            let parcel = Parcel {
                plan,
                report: &report,
                files: &sealed,
                id: delivery.id(&self.store),
            };
            let sender = Sender {
                recipient,
                values: &self.values,
                egress: &plan.egress,
                store: &self.store,
            };
            match sender.send(&parcel).await {
                // Noted afterwards: who dies in between delivers it again, with the same id.
                Ok(()) => {
                    delivery.note(&self.store).await?;
                    outcome.delivered += 1;
                    say!("{} {from} to {}: delivered", tenant.name, recipient.name);
                }
                Err(error) => failures.push(failure(Some(&recipient.name), error.to_string())),
            }
        }
        Ok(failures)
    }

    fn wanted(&self, tenant: &ReportTenant, (from, to): (Date, Date)) -> Result<Wanted, Error> {
        let plan = &self.plan;
        let hours = plan
            .business_hours
            .as_ref()
            .map(|h| h.parse::<Hours>())
            .transpose();
        Ok(Wanted {
            tenant: TenantKey {
                namespace: plan.namespace.clone(),
                name: tenant.name.clone(),
            },
            display_name: tenant.display_name.clone(),
            zone: zone(&plan.time_zone)?,
            zone_name: plan.time_zone.clone(),
            from,
            to,
            policy: Policy {
                no_data: match plan.no_data {
                    NoDataMeans::Excluded => NoDataPolicy::Exclude,
                    NoDataMeans::Down => NoDataPolicy::Down,
                    NoDataMeans::Up => NoDataPolicy::Up,
                },
                maintenance: match plan.maintenance {
                    MaintenanceMeans::Excluded => MaintenancePolicy::Exclude,
                    MaintenanceMeans::Up => MaintenancePolicy::Up,
                },
                least_minutes: plan.incident_minutes,
                target: tenant.target,
                hours: hours.map_err(|e| Error::Mistakes(e.to_string()))?,
            },
            forms: plan
                .formats
                .iter()
                .map(|format| match format {
                    ReportFormat::Csv => Form::Csv,
                    ReportFormat::Html => Form::Html,
                    ReportFormat::Json => Form::Json,
                    ReportFormat::Pdf => Form::Pdf,
                })
                .collect(),
            fonts: self.fonts.clone(),
        })
    }

    /// The files, each with its signature.
    fn signed(&self, files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        let Some(signer) = &self.signer else { return files };
        let mut all = Vec::new();
        for (name, bytes) in files {
            let beside = with_ending(Path::new(&name), ".sig");
            let signature = signer.sign(&bytes);
            all.push((name, bytes));
            all.push((beside.to_string_lossy().into_owned(), signature));
        }
        all
    }
}
