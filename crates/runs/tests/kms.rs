//! Keys that lie elsewhere: AWS KMS as moto has it (`make results`), and a transit engine that answers as Vault's API
//! documents (https://developer.hashicorp.com/vault/api-docs/secret/transit).
// moto is no tenant.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]

mod common;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    routing::any,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use common::{day, moto::moto, record};
use drmwatch_archive::{
    keys::{Dek, KeyError, Kms, Names},
    kms,
    sign::Signer,
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::Store;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods)]
    Timestamp::now()
}

/// What every holder of keys must do.
async fn holds(place: &str, environment: &[(&str, String)]) {
    let look = |name: &str| {
        environment
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.clone())
    };
    let holder: Arc<dyn Kms> = kms::open(place, now, look).unwrap().into();
    let folder = tempfile::tempdir().unwrap();
    let names = Names::read_or_make(folder.path()).unwrap();
    let root = folder.path().join("store");
    let store = Store::open(root.to_str().unwrap(), holder.clone(), names).unwrap();
    let (acme, other) = (
        store.tenant(&TenantKey::new("tv", "acme")),
        store.tenant(&TenantKey::new("tv", "other")),
    );
    assert!(
        matches!(holder.newest(&acme).await, Err(KeyError::None(_))),
        "{place}"
    );
    let first = holder.create(&acme).await.unwrap();
    let foreign = holder.create(&other).await.unwrap();
    assert_eq!(
        (first.version, holder.newest(&acme).await.unwrap()),
        (1, first.clone())
    );
    let dek = Dek::random().unwrap();
    let wrapped = holder.wrap(&first, &dek).await.unwrap();
    assert!(holder.unwrap(&first, &wrapped).await.unwrap() == dek);
    // Another's key does not open it, nor does a text that was changed.
    assert!(
        matches!(holder.unwrap(&foreign, &wrapped).await, Err(KeyError::Refused(_))),
        "{place}"
    );
    let changed = wrapped.chars().rev().collect::<String>();
    assert!(
        matches!(holder.unwrap(&first, &changed).await, Err(KeyError::Refused(_))),
        "{place}"
    );
    for (tenant, n) in [("acme", 0), ("other", 0)] {
        store
            .append("one", (n..n + 20).map(|i| record(tenant, "eu", i)).collect())
            .await
            .unwrap();
    }
    // A rotation: old files open, then are wrapped anew.
    let second = holder.create(&acme).await.unwrap();
    assert_eq!(second.version, 2);
    store
        .append("two", (20..40).map(|i| record("acme", "eu", i)).collect())
        .await
        .unwrap();
    assert_eq!(store.records(&acme, day(0)).await.unwrap().len(), 40);
    assert_eq!(store.rewrap(&acme).await.unwrap(), 1);
    assert_eq!(store.records(&acme, day(0)).await.unwrap().len(), 40);
    // A tenant that is shredded, copies of its files included; its neighbour is not.
    let files = store.list(&acme, "raw").await.unwrap();
    let paths: Vec<_> = files
        .iter()
        .flat_map(|f| [f.path(), f.key_path()])
        .map(|p| root.join(p.as_ref()))
        .collect();
    let copies: Vec<_> = paths.iter().map(|p| std::fs::read(p).unwrap()).collect();
    let signer = Signer::new(&Signer::make().unwrap()).unwrap();
    let stone = drmwatch_archive::shred::shred(&store, &acme, "over", &signer, now())
        .await
        .unwrap();
    assert_eq!((stone.keys, stone.files), (2, 2));
    for (path, bytes) in paths.iter().zip(copies) {
        std::fs::write(path, bytes).unwrap();
    }
    let error = store.records(&acme, day(0)).await.unwrap_err();
    assert!(error.to_string().contains("is not here"), "{place}: {error}");
    let error = store
        .append("three", vec![record("acme", "eu", 1)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("was shredded"), "{place}: {error}");
    assert_eq!(store.records(&other, day(0)).await.unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_kms_holds_keys() {
    let Some(moto) = moto().await else { return };
    let at = moto.1;
    let environment = [
        ("AWS_ACCESS_KEY_ID", "k".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
        ("AWS_ENDPOINT_URL_KMS", format!("http://{at}")),
    ];
    holds("awskms://eu-west-1", &environment).await;
}

/// A key of the engine: its versions, and whether it may be deleted.
type Keys = Arc<Mutex<BTreeMap<String, (Vec<[u8; 32]>, bool)>>>;

async fn transit(
    State(keys): State<Keys>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Option<Json<Value>>,
) -> (StatusCode, Json<Value>) {
    let answer = |status, data: Value| (status, Json(json!({ "data": data })));
    if headers.get("x-vault-token").is_none_or(|t| t != "root") {
        return answer(StatusCode::FORBIDDEN, Value::Null);
    }
    let (mut keys, body) = (keys.lock().unwrap(), body.map(|b| b.0).unwrap_or_default());
    let parts: Vec<&str> = path.split('/').collect();
    let fresh = || *Dek::random().unwrap().bytes();
    let bad = || answer(StatusCode::BAD_REQUEST, Value::Null);
    let decoded = |name: &str| {
        STANDARD
            .decode(body[name].as_str().unwrap_or_default())
            .unwrap_or_default()
    };
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["keys", name]) => match keys.get(*name) {
            Some((versions, _)) => answer(StatusCode::OK, json!({ "latest_version": versions.len() })),
            None => answer(StatusCode::NOT_FOUND, Value::Null),
        },
        ("POST", ["keys", name]) => {
            keys.entry((*name).to_owned())
                .or_insert_with(|| (vec![fresh()], false));
            answer(StatusCode::OK, Value::Null)
        }
        ("POST", ["keys", name, "rotate"]) => {
            keys.get_mut(*name).unwrap().0.push(fresh());
            answer(StatusCode::OK, Value::Null)
        }
        ("POST", ["keys", name, "config"]) => {
            keys.get_mut(*name).unwrap().1 = body["deletion_allowed"] == true;
            answer(StatusCode::OK, Value::Null)
        }
        ("DELETE", ["keys", name]) => match keys.get(*name) {
            Some((_, true)) => {
                keys.remove(*name);
                answer(StatusCode::NO_CONTENT, Value::Null)
            }
            _ => bad(),
        },
        ("POST", ["encrypt", name]) => {
            let Some((versions, _)) = keys.get(*name) else {
                return bad();
            };
            let version = body["key_version"].as_u64().unwrap_or(versions.len() as u64);
            let Some(key) = versions.get(version as usize - 1) else {
                return bad();
            };
            let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).unwrap();
            let mut text = decoded("plaintext");
            let nonce = cipher
                .seal_in_place_append_tag(Aad::from(decoded("associated_data")), &mut text)
                .unwrap();
            let sealed = [nonce.as_ref().to_vec(), text].concat();
            answer(
                StatusCode::OK,
                json!({ "ciphertext": format!("vault:v{version}:{}", STANDARD.encode(sealed)) }),
            )
        }
        ("POST", ["decrypt", name]) => {
            let text = body["ciphertext"].as_str().unwrap_or_default().to_owned();
            let opened = || {
                let (version, sealed) = text.strip_prefix("vault:v")?.split_once(':')?;
                let key = keys
                    .get(*name)?
                    .0
                    .get(version.parse::<usize>().ok()?.checked_sub(1)?)?;
                let mut sealed = STANDARD.decode(sealed).ok()?;
                let mut text = sealed.split_off(12);
                let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
                let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
                cipher
                    .open_in_place(nonce, Aad::from(decoded("associated_data")), &mut text)
                    .ok()
                    .map(|t| STANDARD.encode(t))
            };
            match opened() {
                Some(plaintext) => answer(StatusCode::OK, json!({ "plaintext": plaintext })),
                None => bad(),
            }
        }
        _ => answer(StatusCode::NOT_FOUND, Value::Null),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transit_engine_holds_keys() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/v1/transit/{*path}", any(transit))
        .with_state(Keys::default());
    tokio::spawn(async move { axum::serve(listener, router).await });
    holds(
        &format!("vault+http://{at}/transit"),
        &[("VAULT_TOKEN", "root".into())],
    )
    .await;
    let wrong = |name: &str| (name == "VAULT_TOKEN").then(|| "guess".to_owned());
    let holder = kms::open(&format!("vault+http://{at}"), now, wrong).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tenant = Names::read_or_make(folder.path())
        .unwrap()
        .tenant(&TenantKey::new("tv", "acme"));
    let error = holder.newest(&tenant).await.unwrap_err().to_string();
    assert!(
        error.contains("it answers 403") && !error.contains("guess"),
        "{error}"
    );
}

#[test]
fn a_holder_that_can_not_be_is_refused() {
    let none = |_: &str| None;
    for (place, why) in [
        ("vault+https://vault.example/transit", "VAULT_TOKEN is not set"),
        ("awskms://eu-west-1", "AWS_ACCESS_KEY_ID is not set"),
        (
            "gcpkms://x",
            "must begin with awskms:// or vault+https://, not gcpkms://",
        ),
        ("nonsense", "relative URL"),
    ] {
        let error = kms::open(place, now, none).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
}
