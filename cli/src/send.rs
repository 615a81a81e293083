//! How files of a report get to who is to have them.

use crate::{bucket::Bucket, folder::Error};
use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_api::EgressPolicy;
use drmwatch_archive::{Retries, storage_by};
use drmwatch_net::{Client, Door, Guard, Identity, Request, Resolver, TlsSetup};
use drmwatch_plan::{PlannedRecipient, ReportPlan, Secrets, Way};
use drmwatch_reports::Report;
use drmwatch_runs::Store;
use drmwatch_tokens::{hexadecimal, hmac_sha256};
use object_store::{ObjectStoreExt, path::Path};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{io::Write, time::Duration};

/// How long a webhook may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How stubborn a delivery to a storage is: the next time of the schedule tries again, too.
const RETRIES: Retries = Retries {
    most: 3,
    within: PATIENCE,
};
/// Most bytes of its answer that are read: nobody looks at them.
const ANSWER: usize = 64 << 10;

/// What a recipient may set of its storage.
const SETTINGS: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_ENDPOINT",
];
/// Of these at least one must be there.
const KEYS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
];

/// One report, ready to go.
pub struct Parcel<'a> {
    pub plan: &'a ReportPlan,
    pub report: &'a Report,
    /// Files by name.
    pub files: &'a [(String, Vec<u8>)],
    /// The same each time it is tried.
    pub id: String,
}

/// Files, each encrypted to all of these keys of age; without any as they are.
pub fn seal(files: Vec<(String, Vec<u8>)>, keys: &[String]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    if keys.is_empty() {
        return Ok(files);
    }
    let wrong = |why: String| Error::Mistakes(format!("encryption: {why}"));
    let mut recipients = Vec::new();
    for key in keys {
        let recipient: age::x25519::Recipient = key.parse().map_err(|e| wrong(format!("{key}: {e}")))?;
        recipients.push(recipient);
    }
    let mut sealed = Vec::new();
    for (name, bytes) in files {
        let of = recipients.iter().map(|r| r as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(of).map_err(|e| wrong(e.to_string()))?;
        let mut out = Vec::new();
        let mut writer = encryptor
            .wrap_output(&mut out)
            .map_err(|e| wrong(e.to_string()))?;
        let written = writer.write_all(&bytes).and_then(|()| writer.finish().map(drop));
        written.map_err(|e| wrong(e.to_string()))?;
        sealed.push((format!("{name}.age"), out));
    }
    Ok(sealed)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("csv") => "text/csv; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}

/// Sends to one recipient.
pub struct Sender<'a> {
    pub recipient: &'a PlannedRecipient,
    pub values: &'a Secrets,
    pub egress: &'a EgressPolicy,
    /// The pool's own store.
    pub store: &'a Store,
}

impl Sender<'_> {
    pub async fn send(&self, parcel: &Parcel<'_>) -> Result<(), Error> {
        match &self.recipient.way {
            Way::Webhook { signed } => self.post(parcel, *signed).await,
            Way::Objects { path } => self.put(parcel, path).await,
        }
    }

    /// A value that lies beside the plan.
    fn value(&self, what: &str) -> Result<&str, Error> {
        let name = format!("{}.{what}", self.recipient.name);
        let missing = || Error::Mistakes(format!("{name} is not beside the plan"));
        self.values.get(&name).ok_or_else(missing)
    }

    async fn post(&self, parcel: &Parcel<'_>, signed: bool) -> Result<(), Error> {
        let (plan, report) = (parcel.plan, parcel.report);
        let files: Vec<_> = parcel
            .files
            .iter()
            .map(|(name, bytes)| {
                json!({
                    "name": name, "mediaType": media_type(name),
                    "sha256": hexadecimal(&Sha256::digest(bytes)), "base64": STANDARD.encode(bytes),
                })
            })
            .collect();
        let mut body = json!({
            "schema": 1,
            "report": format!("{}/{}", plan.namespace, plan.name),
            "tenant": format!("{}/{}", report.namespace, report.tenant),
            "from": report.from, "through": report.through, "timeZone": report.time_zone,
            "encrypted": !plan.age_recipients.is_empty(),
            "files": files,
        });
        // What is encrypted is not told beside it.
        if plan.age_recipients.is_empty() {
            body["final"] = json!(report.fixed);
            body["verdict"] = json!(report.verdict);
            body["availability"] = json!(report.total.availability);
            body["coverage"] = json!(report.total.coverage);
        }
        let body = body.to_string().into_bytes();
        let mut headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            // draft-ietf-httpapi-idempotency-key-header
            ("Idempotency-Key".to_owned(), format!("\"{}\"", parcel.id)),
        ];
        if signed {
            let hmac = hexadecimal(&hmac_sha256(self.value("hmac")?.as_bytes(), &body));
            headers.push(("Drmwatch-Signature".to_owned(), format!("sha256={hmac}")));
        }
        let request = Request {
            method: "POST".parse().map_err(|_| Error::Mistakes("POST".into()))?,
            url: self.value("url")?.to_owned(),
            headers,
            body,
            max_redirects: 0,
            max_body: ANSWER,
            truncate: true,
            address: None,
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let client = self.client()?;
        let answer = client.send(&request, deadline, &mut Vec::new()).await;
        let answer = answer.and_then(|answer| answer.success());
        answer.map_err(|failure| Error::Mistakes(failure.message))
    }

    async fn put(&self, parcel: &Parcel<'_>, path: &str) -> Result<(), Error> {
        let failed = |e: object_store::Error| Error::Mistakes(format!("the storage: {e}"));
        let bucket = Bucket::new(self.client()?);
        let place = match path.contains("://") {
            true => Some(storage_by(path, self.settings()?, Some(RETRIES), bucket.clone())?),
            false => None,
        };
        for (name, bytes) in parcel.files {
            let bytes = bytes.clone().into();
            let written = match &place {
                Some(place) => place.put(&Path::from(name.as_str()), bytes).await,
                None => {
                    let path = Path::from(format!("reports/{path}/{name}"));
                    self.store.objects().put(&path, bytes).await
                }
            };
            written.map_err(|error| match bucket.refused() {
                Some(why) => Error::Mistakes(format!("the endpoint of {}: {why}", self.recipient.name)),
                None => failed(error),
            })?;
        }
        Ok(())
    }

    /// Settings of a storage of the recipient's. They are the tenant's, so they may neither be the pool's own, nor name
    /// files or services from which this pod would have an identity. Where the storage may be is the business of [`Bucket`].
    fn settings(&self) -> Result<Vec<(String, String)>, Error> {
        let name = &self.recipient.name;
        let prefix = format!("{name}.env.");
        let mut settings = Vec::new();
        for (key, value) in self.values.iter() {
            let Some(key) = key.strip_prefix(&prefix) else {
                continue;
            };
            if !SETTINGS.contains(&key) {
                return Err(Error::Mistakes(format!(
                    "the credentials of {name} must not have {key}: only {}",
                    SETTINGS.join(", ")
                )));
            }
            settings.push((key.to_ascii_lowercase(), value.to_owned()));
        }
        // Without any the storage's client would look for an identity of this pod's.
        let key = |key: &str| settings.iter().any(|(name, _)| name.eq_ignore_ascii_case(key));
        match KEYS.iter().any(|name| key(name)) {
            true => Ok(settings),
            false => Err(Error::Mistakes(format!(
                "the credentials of {name} need one of {}",
                KEYS.join(", ")
            ))),
        }
    }

    /// The door that probes leave by.
    fn client(&self) -> Result<Client, Error> {
        let failed = |why: String| Error::Mistakes(why);
        let resolver = Resolver::system().map_err(|e| failed(e.to_string()))?;
        let trust = TlsSetup::new(Identity::default());
        let trust = trust.map_err(|e| failed(e.to_string()))?;
        Ok(Client::new(resolver, Guard::new(&self.egress.allow_cidrs), trust))
    }
}
