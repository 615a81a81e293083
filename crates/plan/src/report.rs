//! What whoever makes reports must know, and when they are due.

use crate::{
    Problem,
    cron::{Cron, CronError},
};
use drmwatch_api::{
    EgressPolicy, MaintenanceMeans, MonitoredTenant, NoDataMeans, ReportFormat, ReportPeriod, SlaReport,
};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Key of the plan in the Secret of a report.
pub const REPORT_KEY: &str = "report.json";
/// Most periods that are made up for after an absence.
pub const MOST_PERIODS: usize = 12;

/// What whoever makes reports must know. Values of Secrets lie beside it, under the names that stand here.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReportPlan {
    /// Namespace of the report and its tenants.
    pub namespace: String,
    /// Name of the report.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Cron expression.
    pub schedule: String,
    /// IANA zone of the schedule and of the periods.
    pub time_zone: String,
    /// What each is about.
    pub period: ReportPeriod,
    /// Nothing that was due before is made up for.
    pub since: Timestamp,
    /// Whom they are about.
    pub tenants: Vec<ReportTenant>,
    /// Forms.
    pub formats: Vec<ReportFormat>,
    /// What minutes without data mean.
    pub no_data: NoDataMeans,
    /// What minutes of maintenance mean.
    pub maintenance: MaintenanceMeans,
    /// Minutes of the shortest incident.
    pub incident_minutes: u32,
    /// Hours that count.
    pub business_hours: Option<String>,
    /// Public keys of age.
    pub age_recipients: Vec<String>,
    /// Who gets them.
    pub recipients: Vec<PlannedRecipient>,
    /// Where webhooks may be.
    pub egress: EgressPolicy,
}

/// A tenant of a report.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ReportTenant {
    /// Its name.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// What was promised, in percent.
    pub target: Option<f64>,
}

/// Who gets the files of a report.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRecipient {
    /// Name.
    pub name: String,
    /// How.
    pub way: Way,
}

/// How files get to a recipient.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// By a request; the URL lies beside the plan, in the key `NAME.url`.
    Webhook {
        /// Whether `NAME.hmac` is there.
        signed: bool,
    },
    /// By writing objects.
    Objects {
        /// A URL, whose settings lie in `NAME.env.VARIABLE`; or a path in the pool's own store.
        path: String,
    },
}

/// What came of a round of deliveries: the termination message of its pod.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ReportOutcome {
    /// Generation of the report that was read.
    pub generation: i64,
    /// When the round ended.
    pub at: Timestamp,
    /// How many reports were delivered in it.
    pub delivered: u32,
    /// Reports that are not made since nothing is known of tenant and period.
    pub empty: u32,
    /// The last day of the newest period that is delivered, to everybody. None: there was none yet.
    pub through: Option<Date>,
    /// What could not be delivered, and why; the first few.
    pub undelivered: Vec<Undelivered>,
    /// How many there are of them.
    pub failed: u32,
}

/// What could not be delivered.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Undelivered {
    /// Of which tenant.
    pub tenant: String,
    /// The first day of the period.
    pub from: Date,
    /// To whom; None: the report could not be made.
    pub recipient: Option<String>,
    /// Why; nothing secret.
    pub why: String,
}

/// The number in `99.9%`.
fn percent(text: &str) -> Option<f64> {
    text.trim_end_matches('%').parse().ok()
}

fn wrong(field: &str, message: impl ToString) -> Problem {
    Problem {
        field: field.into(),
        message: message.to_string(),
    }
}

/// What is wrong with a report, whatever there is around it.
pub fn check_report(report: &SlaReport) -> Vec<Problem> {
    let spec = &report.spec;
    let mut problems = Vec::new();
    match Cron::parse(&spec.schedule, Some(&spec.time_zone)) {
        Ok(_) => {}
        Err(error @ CronError::UnknownZone(_)) => problems.push(wrong("spec.timeZone", error)),
        Err(error) => problems.push(wrong("spec.schedule", error)),
    }
    if let Some(target) = &spec.target
        && !percent(target).is_some_and(|t| (50.0..100.0).contains(&t))
    {
        problems.push(wrong("spec.target", "target must be at least 50% and below 100%"));
    }
    if let Some(hours) = &spec.business_hours
        && let Err(error) = hours.parse::<drmwatch_sla::Hours>()
    {
        problems.push(wrong("spec.businessHours", error));
    }
    for (i, recipient) in spec.recipients.iter().enumerate() {
        let field = format!("spec.recipients[{i}]");
        if recipient.webhook.is_some() == recipient.objects.is_some() {
            problems.push(wrong(
                &field,
                "a recipient must have exactly one of webhook, objects",
            ));
        }
        if let Some(objects) = &recipient.objects
            && objects.path.contains("://") != objects.credentials_secret.is_some()
        {
            problems.push(wrong(
                &format!("{field}.objects"),
                "a URL needs a credentialsSecret of its own, a path in the pool's store has none",
            ));
        }
        if spec.recipients.iter().take(i).any(|r| r.name == recipient.name) {
            problems.push(wrong(
                &format!("{field}.name"),
                format!("{} is there twice", recipient.name),
            ));
        }
    }
    if spec.recipients.is_empty() {
        problems.push(wrong(
            "spec.recipients",
            "nobody gets the report: name a recipient",
        ));
    }
    problems
}

/// The plan of a report about these tenants.
pub fn compile_report(
    report: &SlaReport,
    tenants: &[&MonitoredTenant],
    egress: &EgressPolicy,
) -> Result<ReportPlan, Vec<Problem>> {
    let (spec, meta) = (&report.spec, &report.metadata);
    let mut problems = check_report(report);
    let namespace = meta.namespace.clone().unwrap_or_else(|| "default".into());
    let own: Vec<&MonitoredTenant> = tenants
        .iter()
        .copied()
        .filter(|t| t.metadata.namespace.as_deref().unwrap_or("default") == namespace)
        .collect();
    let named = |name: &str| own.iter().find(|t| t.metadata.name.as_deref() == Some(name));
    for (i, name) in spec.tenants.iter().enumerate() {
        if named(name).is_none() {
            let message = format!("there is no MonitoredTenant {name} in namespace {namespace}");
            problems.push(wrong(&format!("spec.tenants[{i}]"), message));
        }
    }
    if spec.tenants.is_empty() && own.is_empty() {
        problems.push(wrong(
            "spec.tenants",
            format!("there is no MonitoredTenant in namespace {namespace}"),
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let about = own.iter().filter(|t| {
        spec.tenants.is_empty() || t.metadata.name.as_ref().is_some_and(|n| spec.tenants.contains(n))
    });
    let mut about: Vec<ReportTenant> = about
        .map(|tenant| {
            let mut objectives = tenant.spec.objectives.iter();
            let promised = objectives.find(|o| o.availability.is_some() && o.probes.is_empty());
            ReportTenant {
                name: tenant.metadata.name.clone().unwrap_or_default(),
                display_name: tenant.spec.display_name.clone(),
                target: spec
                    .target
                    .as_ref()
                    .or(promised.map(|o| &o.target))
                    .and_then(|t| percent(t)),
            }
        })
        .collect();
    about.sort_by(|a, b| a.name.cmp(&b.name));
    let recipients = spec.recipients.iter().filter_map(|recipient| {
        let way = match (&recipient.webhook, &recipient.objects) {
            (Some(webhook), _) => Way::Webhook {
                signed: webhook.hmac_secret_ref.is_some(),
            },
            (None, Some(objects)) => Way::Objects {
                path: objects.path.clone(),
            },
            (None, None) => return None,
        };
        Some(PlannedRecipient {
            name: recipient.name.clone(),
            way,
        })
    });
    Ok(ReportPlan {
        namespace,
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
        schedule: spec.schedule.clone(),
        time_zone: spec.time_zone.clone(),
        period: spec.period,
        since: meta
            .creation_timestamp
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |t| t.0),
        tenants: about,
        formats: spec.formats.clone(),
        no_data: spec.no_data,
        maintenance: spec.maintenance,
        incident_minutes: spec.incident_minutes.unsigned_abs().max(1),
        business_hours: spec.business_hours.clone(),
        age_recipients: spec
            .encryption
            .as_ref()
            .map(|e| e.age_recipients.clone())
            .unwrap_or_default(),
        recipients: recipients.collect(),
        egress: egress.clone(),
    })
}

/// The last period that is over at an instant: its first day, and the first beyond.
fn period(of: ReportPeriod, at: Timestamp, zone: &TimeZone) -> (Date, Date) {
    let today = zone.to_datetime(at).date();
    match of {
        ReportPeriod::Day => (today.saturating_sub(1.day()), today),
        ReportPeriod::Week => {
            let monday = today.saturating_sub(i64::from(today.weekday().to_monday_zero_offset()).days());
            (monday.saturating_sub(7.days()), monday)
        }
        ReportPeriod::Month => {
            let first = today.first_of_month();
            (first.saturating_sub(1.month()), first)
        }
    }
}

/// The periods that were due from `since` until `now`, each once, the newest [`MOST_PERIODS`] of them in the order of time.
pub fn due(
    schedule: &str,
    zone_name: &str,
    of: ReportPeriod,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<(Date, Date)>, CronError> {
    let cron = Cron::parse(schedule, Some(zone_name))?;
    let zone = TimeZone::get(zone_name).map_err(|_| CronError::UnknownZone(zone_name.to_owned()))?;
    // As far back as periods that may still be wanted: a schedule of every minute is not walked through for years.
    let back = match of {
        ReportPeriod::Day => 1.day(),
        ReportPeriod::Week => 7.days(),
        ReportPeriod::Month => 31.days(),
    };
    let back = zone
        .to_datetime(now)
        .saturating_sub(back * (MOST_PERIODS as i64 + 1));
    let earliest = zone.to_timestamp(back).unwrap_or(since).max(since);
    let mut due: Vec<(Date, Date)> = Vec::new();
    let mut at = earliest;
    while let Some(next) = cron.next(at).filter(|next| *next <= now) {
        let about = period(of, next, &zone);
        if due.last() != Some(&about) {
            due.push(about);
        }
        at = next;
    }
    Ok(due.split_off(due.len().saturating_sub(MOST_PERIODS)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn said(schedule: &str, of: ReportPeriod, since: &str, now: &str) -> Vec<String> {
        let due = due(schedule, "Europe/Berlin", of, at(since), at(now)).unwrap();
        due.iter().map(|(from, to)| format!("{from}..{to}")).collect()
    }

    #[test]
    fn every_period_that_was_missed_is_due_once() {
        use ReportPeriod::{Day, Month, Week};
        let monthly = "0 6 4 * *";
        assert!(said(monthly, Month, "2026-09-04T05:00:00Z", "2026-10-04T03:59:00Z").is_empty());
        assert_eq!(
            said(monthly, Month, "2026-09-04T05:00:00Z", "2026-10-04T04:00:00Z"),
            ["2026-09-01..2026-10-01"]
        );
        assert_eq!(
            said(monthly, Month, "2026-09-04T05:00:00Z", "2026-12-24T04:00:00Z"),
            [
                "2026-09-01..2026-10-01",
                "2026-10-01..2026-11-01",
                "2026-11-01..2026-12-01"
            ]
        );
        // More often than there are periods: still once.
        assert_eq!(
            said(
                "*/10 * * * *",
                Day,
                "2026-10-24T20:00:00Z",
                "2026-10-25T23:30:00Z"
            ),
            [
                "2026-10-23..2026-10-24",
                "2026-10-24..2026-10-25",
                "2026-10-25..2026-10-26"
            ]
        );
        assert_eq!(
            said("0 7 * * 1", Week, "2026-11-01T00:00:00Z", "2026-11-10T00:00:00Z"),
            ["2026-10-26..2026-11-02", "2026-11-02..2026-11-09"]
        );
        // After years away the newest, and not in years.
        let many = said("* * * * *", Day, "2020-01-01T00:00:00Z", "2026-11-26T12:00:00Z");
        assert_eq!(
            (many.len(), many[11].as_str()),
            (MOST_PERIODS, "2026-11-25..2026-11-26")
        );
    }

    #[test]
    fn a_report_becomes_a_plan_or_says_what_is_wrong() {
        let report = |spec: serde_json::Value| -> SlaReport {
            serde_json::from_value(json!({
                "apiVersion": "drmwatch.io/v1alpha1", "kind": "SlaReport",
                "metadata": { "name": "monthly", "namespace": "tv", "uid": "u", "creationTimestamp": "2026-11-01T00:00:00Z" },
                "spec": spec,
            }))
            .unwrap()
        };
        let tenant = |name: &str, namespace: &str, objectives: serde_json::Value| -> MonitoredTenant {
            serde_json::from_value(json!({
                "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
                "metadata": { "name": name, "namespace": namespace },
                "spec": { "displayName": name.to_uppercase(), "objectives": objectives },
            }))
            .unwrap()
        };
        let acme = tenant(
            "acme",
            "tv",
            json!([{ "name": "a", "target": "99.95%", "availability": {} }]),
        );
        let (best, other) = (
            tenant("best", "tv", json!([])),
            tenant("other", "elsewhere", json!([])),
        );
        let all = [&best, &acme, &other];
        let recipients = json!([{ "name": "customer", "objects": { "path": "acme" } }]);
        let plan = compile_report(
            &report(json!({ "schedule": "0 6 4 * *", "recipients": recipients })),
            &all,
            &EgressPolicy::default(),
        )
        .unwrap();
        let about: Vec<(&str, Option<f64>)> =
            plan.tenants.iter().map(|t| (t.name.as_str(), t.target)).collect();
        assert_eq!(about, [("acme", Some(99.95)), ("best", None)]);
        let problems = compile_report(
            &report(json!({
                "schedule": "0 6 32 * *", "tenants": ["acme", "other"], "target": "100%",
                "recipients": [{ "name": "a" }, { "name": "a", "objects": { "path": "x" } }],
            })),
            &all,
            &EgressPolicy::default(),
        )
        .unwrap_err();
        let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.schedule",
                "spec.target",
                "spec.recipients[0]",
                "spec.recipients[1].name",
                "spec.tenants[1]"
            ]
        );
        let zone =
            report(json!({ "schedule": "@daily", "timeZone": "Mars/Olympus", "recipients": recipients }));
        assert_eq!(check_report(&zone)[0].field, "spec.timeZone");
    }
}
