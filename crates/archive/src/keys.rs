//! Keys: one that encrypts keys for each tenant, a fresh one for each file.
//!
//! A key-encryption key (KEK) belongs to one tenant and has versions; it lies with a [`Kms`], apart from the data. Every
//! file has a data-encryption key (DEK) of its own, which lies beside it wrapped by the KEK: so a rotation re-wraps small
//! objects and no file is written anew, and without its KEK a tenant's files are noise, wherever copies of them are.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use drmwatch_outcome::TenantKey;
use drmwatch_tokens::{hexadecimal, hmac_sha256};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// File of a folder of keys that holds the key of opaque names.
const NAMES: &str = "names";

/// Why a key can't be had.
#[derive(thiserror::Error, Debug)]
pub enum KeyError {
    /// The tenant has none.
    #[error(
        "there is no key for {0}: it was never made (`drmwatch keys create`), is not mounted here, or was destroyed"
    )]
    None(TenantId),
    /// This version is not there.
    #[error("key {0} is not here: it was never mounted, or was destroyed")]
    Gone(KekId),
    /// The wrapped key was made by another key, for another tenant, or was changed.
    #[error("key {0} does not open this: it was wrapped by another key, or was tampered with")]
    Refused(KekId),
    /// What lies there is no key.
    #[error("{0}: {1}")]
    Malformed(PathBuf, &'static str),
    /// A file can't be read.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The service does not do what is asked.
    #[error("{0}")]
    Service(String),
}

/// What a tenant is called in the store: nothing of its name can be told from it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(String);

impl TenantId {
    /// The id that stands in a path, if it is one.
    pub fn parse(text: &str) -> Option<TenantId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(hex)).then(|| TenantId(text.to_owned()))
    }

    /// As in paths: 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A version of a tenant's key: `TENANT.vN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekId {
    /// Whose.
    pub tenant: TenantId,
    /// Which, from 1.
    pub version: u32,
}

impl KekId {
    /// The id that a name says.
    pub fn parse(text: &str) -> Option<KekId> {
        let (tenant, version) = text.split_once(".v")?;
        Some(KekId {
            tenant: TenantId::parse(tenant)?,
            version: version.parse().ok().filter(|v| *v > 0)?,
        })
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}", self.tenant, self.version)
    }
}

/// A file's key. It can't be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Dek([u8; 32]);

impl Dek {
    /// A fresh one.
    pub fn random() -> Result<Dek, KeyError> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| KeyError::Service("no random numbers".into()))?;
        Ok(Dek(key))
    }

    /// One that was unwrapped.
    pub fn of(bytes: &[u8]) -> Option<Dek> {
        bytes.try_into().ok().map(Dek)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Dek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dek(..)")
    }
}

/// Who holds the keys that encrypt keys.
pub trait Kms: Send + Sync + fmt::Debug {
    /// The newest version of a tenant's key: what new files are wrapped by.
    fn newest<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>>;
    /// Wraps a file's key.
    fn wrap<'a>(&'a self, kek: &'a KekId, dek: &'a Dek) -> BoxFuture<'a, Result<String, KeyError>>;
    /// Unwraps a file's key.
    fn unwrap<'a>(&'a self, kek: &'a KekId, wrapped: &'a str) -> BoxFuture<'a, Result<Dek, KeyError>>;
    /// Makes a tenant's first key, or its next version.
    fn create<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>>;
    /// Destroys every version of a tenant's key, and says how many there were.
    fn destroy<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<usize, KeyError>>;
}

/// The key of opaque names: with it a tenant's id follows from its name.
#[derive(Clone)]
pub struct Names([u8; 32]);

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names(..)")
    }
}

impl Names {
    /// The key in a folder of keys, in the file `names`.
    pub fn read(folder: &Path) -> Result<Names, KeyError> {
        read_key(&folder.join(NAMES)).map(Names)
    }

    /// The key in a folder of keys; where there is none it is made.
    pub fn read_or_make(folder: &Path) -> Result<Names, KeyError> {
        let path = folder.join(NAMES);
        if !path.exists() {
            write_key(&path)?;
        }
        Names::read(folder)
    }

    /// The id of a tenant.
    pub fn tenant(&self, key: &TenantKey) -> TenantId {
        self.hide(&key.namespace, &key.name)
    }

    /// A name that tells neither of two words to whom lacks the key. Neither may hold a slash.
    pub fn hide(&self, one: &str, other: &str) -> TenantId {
        let bytes = hmac_sha256(&self.0, format!("{one}/{other}").as_bytes());
        TenantId(hexadecimal(&bytes[..16]))
    }
}

/// Keys in a folder: a Secret that the kubelet mounts, or a folder of one's own. One file `TENANT.vN` for each, with 32
/// bytes in base64. It is read each time: what is mounted changes.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Keys in this folder.
    pub fn new(folder: PathBuf) -> Folder {
        Folder(folder)
    }

    fn versions(&self, tenant: &TenantId) -> Result<Vec<KekId>, KeyError> {
        let io = |e| KeyError::Io(self.0.clone(), e);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            found.extend(
                name.to_str()
                    .and_then(KekId::parse)
                    .filter(|k| k.tenant == *tenant),
            );
        }
        found.sort_by_key(|k| k.version);
        Ok(found)
    }

    fn cipher(&self, kek: &KekId) -> Result<RandomizedNonceKey, KeyError> {
        let path = self.0.join(kek.to_string());
        if !path.exists() {
            return Err(KeyError::Gone(kek.clone()));
        }
        let key = read_key(&path)?;
        RandomizedNonceKey::new(&AES_256_GCM, &key)
            .map_err(|_| KeyError::Malformed(path, "must hold 32 bytes in base64"))
    }
}

fn read_key(path: &Path) -> Result<[u8; 32], KeyError> {
    let text = fs::read(path).map_err(|e| KeyError::Io(path.to_owned(), e))?;
    let decoded = STANDARD.decode(text.trim_ascii());
    let key = decoded.ok().and_then(|k| k.try_into().ok());
    key.ok_or_else(|| KeyError::Malformed(path.to_owned(), "must hold 32 bytes in base64"))
}

/// A key of 32 bytes in a file, as they are or in base64.
pub fn read_raw_or_text(path: &Path) -> Result<[u8; 32], KeyError> {
    let bytes = fs::read(path).map_err(|e| KeyError::Io(path.to_owned(), e))?;
    bytes.as_slice().try_into().or_else(|_| read_key(path))
}

/// A key of one's own in a file, which is made if it is not there.
pub fn own(path: &Path) -> Result<[u8; 32], KeyError> {
    if !path.exists() {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| KeyError::Io(folder.to_owned(), e))?;
        }
        write_key(path)?;
    }
    read_key(path)
}

/// Writes a fresh key; one that is there stays.
fn write_key(path: &Path) -> Result<(), KeyError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let io = |e| KeyError::Io(path.to_owned(), e);
    let text = STANDARD.encode(Dek::random()?.bytes());
    // Whole or not at all: a key that is half written would be found later.
    let unfinished = path.with_extension("tmp");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(io)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(io)?;
    match fs::hard_link(&unfinished, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(io(e)),
        _ => {}
    }
    fs::remove_file(&unfinished).map_err(io)
}

impl Kms for Folder {
    fn newest<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>> {
        Box::pin(async move {
            self.versions(tenant)?
                .pop()
                .ok_or_else(|| KeyError::None(tenant.clone()))
        })
    }

    fn wrap<'a>(&'a self, kek: &'a KekId, dek: &'a Dek) -> BoxFuture<'a, Result<String, KeyError>> {
        Box::pin(async move {
            let mut sealed = dek.bytes().to_vec();
            let aad = Aad::from(kek.to_string());
            let nonce = self.cipher(kek)?.seal_in_place_append_tag(aad, &mut sealed);
            let nonce = nonce.map_err(|_| KeyError::Refused(kek.clone()))?;
            let mut text = nonce.as_ref().to_vec();
            text.extend(sealed);
            Ok(STANDARD.encode(text))
        })
    }

    fn unwrap<'a>(&'a self, kek: &'a KekId, wrapped: &'a str) -> BoxFuture<'a, Result<Dek, KeyError>> {
        Box::pin(async move {
            let refused = || KeyError::Refused(kek.clone());
            let cipher = self.cipher(kek)?;
            let sealed = STANDARD.decode(wrapped).map_err(|_| refused())?;
            let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(refused)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
            let mut sealed = sealed.to_vec();
            let opened = cipher.open_in_place(nonce, Aad::from(kek.to_string()), &mut sealed);
            opened.ok().and_then(|key| Dek::of(key)).ok_or_else(refused)
        })
    }

    fn create<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<KekId, KeyError>> {
        Box::pin(async move {
            let version = self.versions(tenant)?.pop().map_or(1, |k| k.version + 1);
            let kek = KekId {
                tenant: tenant.clone(),
                version,
            };
            write_key(&self.0.join(kek.to_string()))?;
            Ok(kek)
        })
    }

    fn destroy<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<usize, KeyError>> {
        Box::pin(async move {
            let versions = self.versions(tenant)?;
            for kek in &versions {
                let path = self.0.join(kek.to_string());
                // What was in it goes before its name does, as far as the file system lets it.
                fs::write(&path, [b'0'; 44])
                    .and_then(|()| fs::File::open(&path)?.sync_all())
                    .and_then(|()| fs::remove_file(&path))
                    .map_err(|e| KeyError::Io(path.clone(), e))?;
            }
            Ok(versions.len())
        })
    }
}

/// How a file's key is kept beside it: the key material of Apache Parquet's key management tools, version `PKMT1`, so
/// that other readers (parquet-java, Arrow C++) can open files through their own KMS clients.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyMaterial {
    /// `PKMT1`.
    key_material_type: String,
    /// Always: the footer's key is that of every column.
    is_footer_key: bool,
    #[serde(rename = "kmsInstanceID")]
    kms_instance_id: String,
    #[serde(rename = "kmsInstanceURL")]
    kms_instance_url: String,
    /// The version of the tenant's key.
    #[serde(rename = "masterKeyID")]
    pub master_key_id: String,
    /// The file's key, wrapped by it.
    #[serde(rename = "wrappedDEK")]
    pub wrapped_dek: String,
    double_wrapping: bool,
    /// Whether it stands in the file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    internal_storage: Option<bool>,
}

/// What a file's footer says: its key material lies beside it.
pub const REFERENCE: &str =
    r#"{"keyMaterialType":"PKMT1","internalStorage":false,"keyReference":"footerKey"}"#;

#[derive(Serialize, Deserialize)]
struct Beside {
    #[serde(rename = "footerKey")]
    footer_key: String,
}

impl KeyMaterial {
    /// Of a wrapped key.
    pub fn new(kek: &KekId, wrapped: String) -> KeyMaterial {
        KeyMaterial {
            key_material_type: "PKMT1".into(),
            is_footer_key: true,
            kms_instance_id: "DEFAULT".into(),
            kms_instance_url: "DEFAULT".into(),
            master_key_id: kek.to_string(),
            wrapped_dek: wrapped,
            double_wrapping: false,
            internal_storage: None,
        }
    }

    /// As an object beside the file.
    pub fn beside(&self) -> Vec<u8> {
        let footer_key = serde_json::to_string(self).unwrap_or_default();
        serde_json::to_vec(&Beside { footer_key }).unwrap_or_default()
    }

    /// As a footer's own metadata.
    pub fn inside(mut self) -> Vec<u8> {
        self.internal_storage = Some(true);
        serde_json::to_vec(&self).unwrap_or_default()
    }

    /// Reads the object beside a file.
    pub fn parse(bytes: &[u8]) -> Option<KeyMaterial> {
        let beside: Beside = serde_json::from_slice(bytes).ok()?;
        let material: KeyMaterial = serde_json::from_str(&beside.footer_key).ok()?;
        (material.key_material_type == "PKMT1" && !material.double_wrapping).then_some(material)
    }
}
