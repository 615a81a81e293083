//! Keys that never leave who holds them: AWS KMS, and the transit engine of Vault (and what speaks as it does).

use crate::{
    keys::{Dek, Folder, KekId, KeyError, Kms, TenantId},
    trust::tls,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_tokens::SigV4;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::{fmt, path::Path, sync::Arc, time::Duration};
use url::Url;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client. `authorities`: a file in PEM with more of them that it trusts.
fn client(authorities: Option<String>) -> Result<Client, KeyError> {
    let config = tls(authorities.as_deref().map(Path::new)).map_err(KeyError::Service)?;
    let client = Client::builder()
        .tls_backend_preconfigured(config)
        .timeout(PATIENCE)
        .build();
    client.map_err(|e| KeyError::Service(e.to_string()))
}

/// The wall clock, which AWS wants in each request.
pub type Clock = fn() -> Timestamp;

/// A holder of keys, by its URL: `awskms://REGION` with credentials from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; `AWS_ENDPOINT_URL_KMS` for another place, `AWS_CA_BUNDLE` for more
/// authorities), or `vault+https://HOST/MOUNT` with `VAULT_TOKEN` and, for more authorities, `VAULT_CACERT`. `clock`: reads the time.
pub fn open(
    place: &str,
    clock: Clock,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Box<dyn Kms>, KeyError> {
    let wrong = |why: String| KeyError::Service(format!("{place}: {why}"));
    let wanted = |name: &str| environment(name).ok_or_else(|| wrong(format!("{name} is not set")));
    let url = Url::parse(place).map_err(|e| wrong(e.to_string()))?;
    match url.scheme() {
        "awskms" => {
            let region = url.host_str().unwrap_or_default().to_owned();
            let endpoint = environment("AWS_ENDPOINT_URL_KMS")
                .unwrap_or_else(|| format!("https://kms.{region}.amazonaws.com"));
            Ok(Box::new(Aws {
                client: client(environment("AWS_CA_BUNDLE"))?,
                endpoint: Url::parse(&endpoint).map_err(|e| wrong(e.to_string()))?,
                signer: SigV4 {
                    access_key: wanted("AWS_ACCESS_KEY_ID")?,
                    secret_key: wanted("AWS_SECRET_ACCESS_KEY")?,
                    session_token: environment("AWS_SESSION_TOKEN"),
                    region,
                    service: "kms".into(),
                },
                clock,
            }))
        }
        scheme @ ("vault+https" | "vault+http") => {
            let rest = place.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
            let protocol = scheme.trim_start_matches("vault+");
            let (host, mount) = rest.split_once('/').unwrap_or((rest, ""));
            let mount = mount.trim_end_matches('/');
            let mount = if mount.is_empty() { "transit" } else { mount };
            Ok(Box::new(Vault {
                client: client(environment("VAULT_CACERT"))?,
                base: format!("{protocol}://{host}/v1/{mount}"),
                token: wanted("VAULT_TOKEN")?,
            }))
        }
        other => Err(wrong(format!(
            "must begin with awskms:// or vault+https://, not {other}://"
        ))),
    }
}

/// Who holds tenants' keys: what is at this URL, with this process' environment, or else this folder.
pub fn holder(place: Option<&str>, folder: &Path, clock: Clock) -> Result<Arc<dyn Kms>, KeyError> {
    Ok(match place {
        Some(place) => open(place, clock, |name| std::env::var(name).ok())?.into(),
        None => Arc::new(Folder::new(folder.to_owned())),
    })
}

/// AWS KMS: a key for each version, found by its alias `alias/drmwatch-TENANT.vN`; `alias/drmwatch-TENANT` is the newest. The
/// version is the encryption context of each wrapped key.
struct Aws {
    client: Client,
    endpoint: Url,
    signer: SigV4,
    clock: Clock,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aws({})", self.endpoint)
    }
}

/// What AWS refuses with.
struct Refusal {
    kind: String,
    text: String,
}

impl Aws {
    async fn ask(&self, action: &str, body: Value) -> Result<Result<Value, Refusal>, KeyError> {
        let away = |e: reqwest::Error| KeyError::Service(format!("AWS KMS, {action}: {}", e.without_url()));
        let body = body.to_string();
        let target = format!("TrentService.{action}");
        let mut request = self.client.post(self.endpoint.clone()).body(body.clone());
        for (name, value) in self
            .signer
            .headers("POST", &self.endpoint, body.as_bytes(), (self.clock)())
        {
            request = request.header(name, value);
        }
        let request = request
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1");
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        let said: Value = serde_json::from_slice(&answer.bytes().await.map_err(away)?).unwrap_or_default();
        if status.is_success() {
            return Ok(Ok(said));
        }
        let kind = said["__type"].as_str().unwrap_or_default();
        let text = said["message"]
            .as_str()
            .or(said["Message"].as_str())
            .unwrap_or_default();
        match status.is_server_error() || kind.contains("Throttling") {
            true => Err(KeyError::Service(format!("AWS KMS, {action}: {status} {kind}"))),
            false => Ok(Err(Refusal {
                kind: kind.rsplit('#').next().unwrap_or_default().to_owned(),
                text: text.to_owned(),
            })),
        }
    }

    fn refused(action: &str, refusal: &Refusal) -> KeyError {
        KeyError::Service(format!("AWS KMS, {action}: {} {}", refusal.kind, refusal.text))
    }

    /// What must not be refused.
    async fn must(&self, action: &str, body: Value) -> Result<Value, KeyError> {
        self.ask(action, body)
            .await?
            .map_err(|r| Aws::refused(action, &r))
    }

    fn alias(kek: &KekId) -> String {
        format!("alias/drmwatch-{}-v{}", kek.tenant, kek.version)
    }

    fn current(tenant: &TenantId) -> String {
        format!("alias/drmwatch-{tenant}")
    }

    /// The newest version and its key's id, if there is one that can be used.
    async fn find(&self, tenant: &TenantId) -> Result<Option<KekId>, KeyError> {
        match self
            .ask("DescribeKey", json!({ "KeyId": Aws::current(tenant) }))
            .await?
        {
            Ok(found) => {
                let of = &found["KeyMetadata"];
                let usable = of["KeyState"].as_str() == Some("Enabled");
                let named = of["Description"]
                    .as_str()
                    .and_then(|d| KekId::parse(d.strip_prefix("drmwatch ")?));
                Ok(named.filter(|k| usable && k.tenant == *tenant))
            }
            Err(refusal) if refusal.kind == "NotFoundException" => Ok(None),
            Err(refusal) => Err(Aws::refused("DescribeKey", &refusal)),
        }
    }
}

impl Kms for Aws {
    fn newest<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>> {
        Box::pin(async move {
            self.find(tenant)
                .await?
                .ok_or_else(|| KeyError::None(tenant.clone()))
        })
    }

    fn wrap<'a>(&'a self, kek: &'a KekId, dek: &'a Dek) -> BoxFuture<'a, Result<String, KeyError>> {
        Box::pin(async move {
            let body = json!({
                "KeyId": Aws::alias(kek), "Plaintext": STANDARD.encode(dek.bytes()),
                "EncryptionContext": { "drmwatch": kek.to_string() },
            });
            match self.ask("Encrypt", body).await? {
                Ok(said) => Ok(said["CiphertextBlob"].as_str().unwrap_or_default().to_owned()),
                Err(refusal) if refusal.kind != "AccessDeniedException" => Err(KeyError::Gone(kek.clone())),
                Err(refusal) => Err(Aws::refused("Encrypt", &refusal)),
            }
        })
    }

    fn unwrap<'a>(&'a self, kek: &'a KekId, wrapped: &'a str) -> BoxFuture<'a, Result<Dek, KeyError>> {
        Box::pin(async move {
            let body = json!({
                "KeyId": Aws::alias(kek), "CiphertextBlob": wrapped,
                "EncryptionContext": { "drmwatch": kek.to_string() },
            });
            match self.ask("Decrypt", body).await? {
                Ok(said) => {
                    let key = said["Plaintext"].as_str().and_then(|p| STANDARD.decode(p).ok());
                    key.and_then(|k| Dek::of(&k))
                        .ok_or_else(|| KeyError::Refused(kek.clone()))
                }
                Err(refusal) => Err(match refusal.kind.as_str() {
                    "NotFoundException" | "DisabledException" | "KMSInvalidStateException" => {
                        KeyError::Gone(kek.clone())
                    }
                    "AccessDeniedException" if !refusal.text.contains("ciphertext") => {
                        Aws::refused("Decrypt", &refusal)
                    }
                    _ => KeyError::Refused(kek.clone()),
                }),
            }
        })
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>> {
        Box::pin(async move {
            let before = self.find(tenant).await?;
            let kek = KekId {
                tenant: tenant.clone(),
                version: before.as_ref().map_or(1, |k| k.version + 1),
            };
            let made = self
                .must("CreateKey", json!({ "Description": format!("drmwatch {kek}") }))
                .await?;
            let id = made["KeyMetadata"]["KeyId"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            self.must(
                "CreateAlias",
                json!({ "AliasName": Aws::alias(&kek), "TargetKeyId": id }),
            )
            .await?;
            let current = json!({ "AliasName": Aws::current(tenant), "TargetKeyId": id });
            let action = if before.is_some() {
                "UpdateAlias"
            } else {
                "CreateAlias"
            };
            self.must(action, current).await?;
            Ok(kek)
        })
    }

    /// AWS keeps a key for seven days more, in which it can't be used, and an administrator could bring it back.
    fn destroy<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<usize, KeyError>> {
        Box::pin(async move {
            let Some(newest) = self.find(tenant).await? else {
                return Ok(0);
            };
            let mut destroyed = 0;
            for version in 1..=newest.version {
                let kek = KekId {
                    tenant: tenant.clone(),
                    version,
                };
                let found = match self
                    .ask("DescribeKey", json!({ "KeyId": Aws::alias(&kek) }))
                    .await?
                {
                    Ok(found) => found,
                    Err(refusal) if refusal.kind == "NotFoundException" => continue,
                    Err(refusal) => return Err(Aws::refused("DescribeKey", &refusal)),
                };
                let id = found["KeyMetadata"]["KeyId"].clone();
                self.must(
                    "ScheduleKeyDeletion",
                    json!({ "KeyId": id, "PendingWindowInDays": 7 }),
                )
                .await?;
                // By its name it is found no more, whatever becomes of it.
                self.must("DeleteAlias", json!({ "AliasName": Aws::alias(&kek) }))
                    .await?;
                destroyed += 1;
            }
            // Last: should this break off, what is left is found again.
            self.must("DeleteAlias", json!({ "AliasName": Aws::current(tenant) }))
                .await?;
            Ok(destroyed)
        })
    }
}

/// Vault's transit engine: one key for each tenant, with its versions. The version is bound to each wrapped key.
struct Vault {
    client: Client,
    base: String,
    token: String,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.base)
    }
}

impl Vault {
    /// The answer's data; None: there is no such key. A request that is refused for what it holds is an empty answer.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Option<Value>, KeyError> {
        let away = |e: reqwest::Error| KeyError::Service(format!("Vault, {path}: {}", e.without_url()));
        let mut request = self
            .client
            .request(method, format!("{}/{path}", self.base))
            .header("x-vault-token", &self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(away)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::BAD_REQUEST => Ok(Some(Value::Null)),
            status if status.is_success() => {
                let bytes = answer.bytes().await.map_err(away)?;
                let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                Ok(Some(said["data"].clone()))
            }
            status => Err(KeyError::Service(format!("Vault, {path}: it answers {status}"))),
        }
    }

    fn name(tenant: &TenantId) -> String {
        format!("drmwatch-{tenant}")
    }

    async fn latest(&self, tenant: &TenantId) -> Result<Option<u32>, KeyError> {
        let found = self
            .ask(Method::GET, &format!("keys/{}", Vault::name(tenant)), None)
            .await?;
        Ok(found.and_then(|f| u32::try_from(f["latest_version"].as_u64()?).ok()))
    }
}

impl Kms for Vault {
    fn newest<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>> {
        Box::pin(async move {
            let version = self
                .latest(tenant)
                .await?
                .ok_or_else(|| KeyError::None(tenant.clone()))?;
            Ok(KekId {
                tenant: tenant.clone(),
                version,
            })
        })
    }

    fn wrap<'a>(&'a self, kek: &'a KekId, dek: &'a Dek) -> BoxFuture<'a, Result<String, KeyError>> {
        Box::pin(async move {
            let body = json!({
                "plaintext": STANDARD.encode(dek.bytes()), "key_version": kek.version,
                "associated_data": STANDARD.encode(kek.to_string()),
            });
            // Vault makes a key that it is asked to encrypt with: newest has seen that it is there.
            let said = self
                .ask(
                    Method::POST,
                    &format!("encrypt/{}", Vault::name(&kek.tenant)),
                    Some(body),
                )
                .await?;
            let text = said.and_then(|s| s["ciphertext"].as_str().map(str::to_owned));
            text.ok_or_else(|| KeyError::Gone(kek.clone()))
        })
    }

    fn unwrap<'a>(&'a self, kek: &'a KekId, wrapped: &'a str) -> BoxFuture<'a, Result<Dek, KeyError>> {
        Box::pin(async move {
            let body = json!({ "ciphertext": wrapped, "associated_data": STANDARD.encode(kek.to_string()) });
            let said = self
                .ask(
                    Method::POST,
                    &format!("decrypt/{}", Vault::name(&kek.tenant)),
                    Some(body),
                )
                .await?;
            let said = match said {
                Some(said) => said,
                None => return Err(KeyError::Gone(kek.clone())),
            };
            let key = said["plaintext"].as_str().and_then(|p| STANDARD.decode(p).ok());
            match key.and_then(|k| Dek::of(&k)) {
                Some(dek) => Ok(dek),
                // Vault says the same of a key that was deleted and of a text that it does not know.
                None if self.latest(&kek.tenant).await?.is_none() => Err(KeyError::Gone(kek.clone())),
                None => Err(KeyError::Refused(kek.clone())),
            }
        })
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>> {
        Box::pin(async move {
            let name = Vault::name(tenant);
            let path = match self.latest(tenant).await? {
                None => format!("keys/{name}"),
                Some(_) => format!("keys/{name}/rotate"),
            };
            self.ask(Method::POST, &path, Some(json!({ "type": "aes256-gcm96" })))
                .await?;
            self.newest(tenant).await
        })
    }

    fn destroy<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<usize, KeyError>> {
        Box::pin(async move {
            let Some(versions) = self.latest(tenant).await? else {
                return Ok(0);
            };
            let name = Vault::name(tenant);
            let allowed = json!({ "deletion_allowed": true });
            self.ask(Method::POST, &format!("keys/{name}/config"), Some(allowed))
                .await?;
            self.ask(Method::DELETE, &format!("keys/{name}"), None).await?;
            match self.latest(tenant).await? {
                None => Ok(versions as usize),
                Some(_) => Err(KeyError::Service(format!("Vault did not delete the key {name}"))),
            }
        })
    }
}
