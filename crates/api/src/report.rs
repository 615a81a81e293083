//! `SlaReport`: reports of service levels, made and delivered on a schedule.

use crate::{PoolRef, SecretKeyRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reports of the service levels of tenants, made from the results that a pool keeps, and delivered on a schedule
/// (docs/reports.md).
///
/// Each period is delivered once: what could not be when it was due is when it can, and after a long absence every period
/// that was missed is.
#[derive(CustomResource, Serialize, Deserialize, Debug, Clone, PartialEq, KubeSchema)]
#[kube(
    group = "drmwatch.io",
    version = "v1alpha1",
    kind = "SlaReport",
    plural = "slareports",
    namespaced,
    status = "SlaReportStatus",
    shortname = "sla",
    category = "drmwatch",
    derive = "PartialEq",
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Delivered\")].status", name = "Delivered", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Delivered\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".status.through", name = "Through", type_ = "string"),
    printcolumn(json_path = ".status.next", name = "Next", type_ = "string"),
    printcolumn(json_path = ".spec.schedule", name = "Schedule", type_ = "string", priority = 1),
    printcolumn(json_path = ".spec.timeZone", name = "Time Zone", type_ = "string", priority = 1),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date"),
    validation = Rule::new("size(self.metadata.name) <= 63").message("metadata.name must be at most 63 characters, so that it fits a label")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlaReportSpec {
    /// When reports are made: a cron expression of five fields, read in `timeZone`. Results may come late for 48 hours; what
    /// is made earlier says that it is provisional.
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,
    /// IANA time zone of the schedule, and in which days, weeks and months begin.
    #[serde(default = "SlaReportSpec::utc")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")
    )]
    pub time_zone: String,
    /// Which period each report is about: the last one that was over when it was due.
    #[serde(default)]
    pub period: ReportPeriod,
    /// Tenants of this namespace, by name: a report for each. Empty means every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub tenants: Vec<String>,
    /// What was promised, in percent of minutes: `99.9%`. Defaults to the tenant's first objective of availability that is
    /// about all of its probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 8), regex(pattern = r"^[0-9]{1,3}([.][0-9]{1,3})?%$"))]
    #[x_kube(validation = Rule::new("double(self.replace('%', '')) >= 50.0 && double(self.replace('%', '')) < 100.0").message("target must be at least 50% and below 100%"))]
    pub target: Option<String>,
    /// What minutes without data mean.
    #[serde(default)]
    pub no_data: NoDataMeans,
    /// What minutes of maintenance mean that are excluded from the SLA.
    #[serde(default)]
    pub maintenance: MaintenanceMeans,
    /// An incident is at least so many minutes down in a row. Defaults to 1.
    #[serde(default = "SlaReportSpec::one")]
    #[schemars(range(min = 1, max = 1440))]
    pub incident_minutes: i32,
    /// Only these hours count: `Mon-Fri 08:00-18:00`, in `timeZone`. Without it all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 64))]
    pub business_hours: Option<String>,
    /// Forms of each report. Defaults to all.
    #[serde(default = "SlaReportSpec::all_formats")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub formats: Vec<ReportFormat>,
    /// To whom each file is encrypted. Without it files are as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<ReportEncryption>,
    /// Who gets the files.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub recipients: Vec<ReportRecipient>,
    /// Pool whose results are reported, and in whose namespace the work is done. Defaults to the release's default pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_ref: Option<PoolRef>,
    /// Stops deliveries. What is due meanwhile is delivered afterwards.
    #[serde(default)]
    pub suspend: bool,
}

impl SlaReportSpec {
    fn utc() -> String {
        "UTC".to_owned()
    }

    fn one() -> i32 {
        1
    }

    fn all_formats() -> Vec<ReportFormat> {
        vec![
            ReportFormat::Csv,
            ReportFormat::Html,
            ReportFormat::Json,
            ReportFormat::Pdf,
        ]
    }
}

/// What a report is about.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum ReportPeriod {
    /// A day.
    Day,
    /// A week, from Monday to Sunday.
    Week,
    /// A calendar month.
    #[default]
    Month,
}

/// A form of a report.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
pub enum ReportFormat {
    /// Figures and incidents as RFC 4180 has it: two files.
    Csv,
    /// One page without scripts.
    Html,
    /// All of it, for programs.
    Json,
    /// For people, and to be kept.
    Pdf,
}

/// What minutes without data mean.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum NoDataMeans {
    /// They don't count, and are listed.
    #[default]
    Excluded,
    /// They count as down.
    Down,
    /// They count as up.
    Up,
}

/// What minutes of maintenance mean.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema)]
pub enum MaintenanceMeans {
    /// They don't count, and are listed.
    #[default]
    Excluded,
    /// They count as up.
    Up,
}

/// To whom files are encrypted.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportEncryption {
    /// Public keys of age (age-encryption.org/v1), as `age-keygen` prints them: `age1…`. Whoever has the private key of one of
    /// them can read the files; names of files then end with `.age`.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 62, max = 62), regex(pattern = r"^age1[02-9ac-hj-np-z]{58}$"))
    )]
    pub age_recipients: Vec<String>,
}

/// Who gets the files of a report.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.webhook), has(self.objects)].filter(x, x).size() == 1").message("a recipient must have exactly one of webhook, objects"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportRecipient {
    /// Name, unique within the report. What was delivered is noted under it: one that is renamed gets everything again.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// A URL that is sent all files of a report in one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<ReportWebhook>,
    /// A place in object storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ReportObjects>,
}

/// A URL that is sent reports: `POST`, JSON (docs/reports.md).
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportWebhook {
    /// The URL: whoever knows it can write there, so it lies in a Secret of this namespace.
    pub url_secret_ref: SecretKeyRef,
    /// A key by which each request is signed: `Drmwatch-Signature: sha256=` and the HMAC-SHA256 (RFC 2104) of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret_ref: Option<SecretKeyRef>,
}

/// A place in object storage.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, KubeSchema)]
#[x_kube(validation = Rule::new("self.path.contains('://') == has(self.credentialsSecret)").message("a URL needs a credentialsSecret of its own, a path in the pool's store has none"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportObjects {
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`; or a path below `reports/` in the pool's own
    /// store of results.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^((s3|gs|az)://[^ ]+|[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*)$")
    )]
    pub path: String,
    /// Secret in this namespace with credentials of that storage, as environment variables: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`,
    /// `AWS_VIRTUAL_HOSTED_STYLE_REQUEST`; `GOOGLE_SERVICE_ACCOUNT_KEY`; `AZURE_STORAGE_ACCOUNT_NAME`,
    /// `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, `AZURE_ENDPOINT`. The pool's own are not used for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
}

/// What the operator found out about a report.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlaReportStatus {
    /// Generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the next report is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// When something was last delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<Time>,
    /// The last day of the newest period that everybody has got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// `Ready` and `Delivered`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
