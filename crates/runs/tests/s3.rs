//! A store on S3 that fails, is slow, or breaks off. moto is the S3 (`make results`); a proxy before it does the harm.
// moto and its proxy are no tenants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod common;

use common::{Place, day, moto::moto, record};
use drmwatch_archive::{
    keys::{Folder, Names},
    ship,
    spool::{self, Limits},
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::Store;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

async fn ask(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

/// What is done to connections, in turn.
const HARM: [&str; 6] = ["500", "503", "pass", "cut", "slow", "pass"];

/// A proxy that does harm while `harmful` says so: 0 none, 1 each in turn, 2 nothing gets through.
async fn proxy(to: SocketAddr, harmful: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let harm = match harmful.load(Ordering::Relaxed) {
                0 => "pass",
                1 => HARM[turn % HARM.len()],
                _ => "500",
            };
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(to).await else {
                    return;
                };
                match harm {
                    "pass" => drop(copy_bidirectional(&mut client, &mut server).await),
                    // The request is done, and nobody hears of it.
                    "cut" => {
                        let mut request = vec![0; 1 << 16];
                        let n = client.read(&mut request).await.unwrap_or(0);
                        let _ = server.write_all(&request[..n]).await;
                        let mut some = [0; 30];
                        let _ =
                            tokio::time::timeout(Duration::from_millis(500), server.read(&mut some)).await;
                    }
                    "slow" => {
                        tokio::time::sleep(Duration::from_millis(700)).await;
                        drop(copy_bidirectional(&mut client, &mut server).await);
                    }
                    status => {
                        let mut request = vec![0; 1 << 16];
                        let _ = client.read(&mut request).await;
                        let answer =
                            format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        let _ = client.write_all(answer.as_bytes()).await;
                    }
                }
            });
        }
    });
    at
}

/// Not a test: what an image made from scratch does.
#[tokio::test]
async fn as_a_child() {
    if std::env::var_os("ROOTLESS").is_none() {
        return;
    }
    let place = Place::new(&["acme"]).await;
    let settings = [
        ("aws_endpoint", "https://127.0.0.1:1"),
        ("aws_access_key_id", "k"),
        ("aws_secret_access_key", "s"),
        ("aws_region", "us-east-1"),
    ];
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let kms = Arc::new(Folder::new(place.keys.clone()));
    let once = drmwatch_archive::Retries {
        most: 0,
        within: Duration::from_secs(3),
    };
    let store = Store::open_with(
        "s3://results",
        kms,
        Names::read(&place.keys).unwrap(),
        settings,
        Some(once),
    )
    .unwrap();
    println!("{:?}", store.tenants().await.unwrap_err());
}

#[test]
fn an_image_without_certificates_of_authorities_has_our_own() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env("ROOTLESS", "1")
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    // It got as far as the door, which is shut.
    assert!(
        said.contains("Connection refused") && !said.contains("CA certificates"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_and_is_slow_loses_and_doubles_nothing() {
    let Some(moto) = moto().await else { return };
    let made = ask(
        moto.1,
        "PUT /results HTTP/1.1\r\nhost: s3\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(made.contains(" 200 "), "{made}");
    let harmful = Arc::new(AtomicU64::new(2));
    let at = proxy(moto.1, harmful.clone()).await;
    let place = Place::new(&["acme"]).await;
    let settings = [
        ("aws_endpoint", format!("http://{at}")),
        ("aws_access_key_id", "k".into()),
        ("aws_secret_access_key", "s".into()),
        ("aws_region", "us-east-1".into()),
        ("aws_allow_http", "true".into()),
    ];
    let settings: Vec<(String, String)> = settings.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let open = || {
        let kms = Arc::new(Folder::new(place.keys.clone()));
        let quick = drmwatch_archive::Retries {
            most: 2,
            within: Duration::from_secs(3),
        };
        Store::open_with(
            "s3://results/region-1",
            kms,
            Names::read(&place.keys).unwrap(),
            settings.clone(),
            Some(quick),
        )
        .unwrap()
    };
    let store = open();
    let (spool, shelf, _) = spool::open(&place.root.join("spool"), &[7; 32], Limits::default()).unwrap();
    for batch in 0..10 {
        (batch * 20..batch * 20 + 20).for_each(|i| spool.keep(record("acme", "eu", i)));
        spool.close_segment();
    }
    // Away: nothing is lost, and it is said.
    let round = ship::round(&shelf, &spool, &store).await.unwrap();
    assert_eq!((round.shipped, round.waiting), (0, 10));
    assert!(round.error.is_some());
    // Ill: it gets there, sooner or later.
    harmful.store(1, Ordering::Relaxed);
    let mut rounds = 0;
    while !shelf.closed().unwrap().is_empty() {
        ship::round(&shelf, &spool, &store).await.unwrap();
        rounds += 1;
        assert!(rounds < 200);
    }
    harmful.store(0, Ordering::Relaxed);
    let store = open();
    let tenant = store.tenant(&TenantKey::new("tv", "acme"));
    let expected: Vec<_> = (0..200).map(|i| record("acme", "eu", i)).collect();
    assert_eq!(store.records(&tenant, day(0)).await.unwrap(), expected);
    assert_eq!(store.list(&tenant, "raw").await.unwrap().len(), 10);
    println!("{rounds} rounds");
}
