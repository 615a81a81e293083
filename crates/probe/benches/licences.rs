//! What a licence check costs: beside the RSA operations that a Widevine check can't do without, and in checks per
//! CPU-second for each system, with the whole engine (connection, wrapper, parse, judge, record) against the test world.
//!
//! CPU time is that of the thread that probes; the world runs on threads of its own. `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

#[path = "../tests/bench/mod.rs"]
mod bench;
#[allow(dead_code)]
#[path = "../tests/licenses/specs.rs"]
mod specs;

use bench::Bench;
use drmwatch_drm::{playready, protobuf::Writer, widevine};
use drmwatch_probe::ProbeState;
use drmwatch_testkit::drm;
use rsa::{PrivateKey, pkcs1::DecodeRsaPrivateKey};
use sha1::Sha1;
use std::{hint::black_box, time::Duration};

/// CPU time of this thread that `work` takes, the median of rounds.
fn median(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let at = cpu_time::ThreadTime::now();
            work();
            at.elapsed()
        })
        .collect();
    times.sort();
    times[rounds / 2]
}

/// A licence with many keys.
fn license(keys: usize) -> Vec<u8> {
    let id = Writer::default().bytes(1, &[7; 32]).number(4, 1).finish();
    let policy = Writer::default().number(1, 1).number(6, 86_400).finish();
    let mut body = Writer::default().bytes(1, &id).bytes(2, &policy);
    for n in 0..keys {
        let mut kid = [0x11; 16];
        kid[15] = n as u8;
        let key = Writer::default()
            .bytes(1, &kid)
            .bytes(2, &[1; 16])
            .bytes(3, &[2; 48])
            .number(4, 2)
            .number(5, 3)
            .bytes(6, &Writer::default().number(1, 2).finish())
            .bytes(11, &[3; 256])
            .finish();
        body = body.bytes(3, &key);
    }
    Writer::default()
        .number(1, 2)
        .bytes(2, &body.number(4, 1_700_000_000).finish())
        .bytes(3, &[4; 32])
        .bytes(4, &[5; 256])
        .finish()
}

fn object(flags: u16, kind: u16, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u32 + 8;
    [
        &flags.to_be_bytes()[..],
        &kind.to_be_bytes(),
        &length.to_be_bytes(),
        data,
    ]
    .concat()
}

/// An XMR licence of about 1 KiB, as servers give them.
fn xmr() -> Vec<u8> {
    let global = [
        object(1, 0x12, &[0; 8]),
        object(1, 0x34, &[7, 0xd0]),
        object(0, 0x13, &[1; 4]),
    ]
    .concat();
    let playback = [object(1, 5, &[0; 10]), object(2, 7, &object(1, 8, &[9; 20]))].concat();
    let key = [&[0x22; 16][..], &[0, 1, 0, 3, 0, 128], &[6; 128]].concat();
    let keys = [object(1, 0x0A, &key), object(1, 0x2A, &[8; 600])].concat();
    let inner = [
        object(2, 2, &global),
        object(2, 4, &playback),
        object(2, 9, &keys),
        object(0, 0x0B, &[0; 20]),
    ]
    .concat();
    [&b"XMR\0\0\0\0\x03"[..], &[9; 16], &object(3, 1, &inner)].concat()
}

fn parse() {
    println!("parse, MB per CPU-second (aim 200):");
    let report = |name: &str, bytes: &[u8], parse: &dyn Fn(&[u8])| {
        let rounds = (4 << 20) / bytes.len();
        let time = median(9, || (0..rounds).for_each(|_| parse(black_box(bytes))));
        let rate = (rounds * bytes.len()) as f64 / 1e6 / time.as_secs_f64();
        println!("  {name:<28} {rate:>8.0}   ({} bytes)", bytes.len());
    };
    for keys in [1, 8] {
        let bytes = license(keys);
        report(&format!("Widevine licence, {keys} keys"), &bytes, &|b| {
            black_box(widevine::License::parse(b).unwrap());
        });
    }
    let bytes = xmr();
    report("XMR licence", &bytes, &|b| {
        black_box(playready::License::parse(b).unwrap());
    });
}

/// A fresh request, its licence and its proof, beside the two private operations in it.
fn floor() {
    let key = PrivateKey::from_pkcs1_pem(drm::device_key()).unwrap();
    let public = key.to_public_key();
    let device = widevine::Device::new(drm::identity(), key.clone()).unwrap();
    let mut rng = rand::rng();
    let wrapped = public
        .oaep_encrypt_with_rng::<Sha1, _>(&mut rng, &[7; 16])
        .unwrap();
    let ask = widevine::Ask {
        pssh: &[0x12, 0x10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        offline: false,
        request_id: [1; 16],
        nonce: 1,
        time: jiff::Timestamp::UNIX_EPOCH,
        privacy: None,
    };
    let signed = device.request(&ask, &mut rng).unwrap();
    let body = Writer::default()
        .bytes(1, &Writer::default().bytes(1, &[1; 16]).finish())
        .bytes(2, &Writer::default().number(1, 1).finish())
        .finish();
    use hmac::{Hmac, KeyInit, Mac};
    let mac = widevine::signature_key(&[7; 16], &signed.request);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&mac).unwrap();
    mac.update(&body);
    let answer = Writer::default()
        .number(1, 2)
        .bytes(2, &body)
        .bytes(3, &mac.finalize().into_bytes())
        .bytes(4, &wrapped)
        .finish();
    device.verify(&signed, &answer).unwrap();
    let ratios: Vec<f64> = (0..5)
        .map(|_| {
            let alone = median(21, || {
                black_box(
                    key.pss_sign_with_rng::<Sha1, _>(&mut rand::rng(), b"request")
                        .unwrap(),
                );
                black_box(key.oaep_decrypt::<Sha1>(&wrapped).unwrap());
            });
            let ours = median(21, || {
                black_box(device.request(&ask, &mut rand::rng()).unwrap());
                black_box(device.verify(&signed, &answer).unwrap());
            });
            ours.as_secs_f64() / alone.as_secs_f64()
        })
        .collect();
    let least = ratios.iter().copied().fold(f64::MAX, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    println!(
        "Widevine level 4, messages and proof over its two RSA operations alone: {least:.2} to {most:.2} times (aim 1.5)"
    );
}

fn checks() {
    let world = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let bench = world.block_on(Bench::start());
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("checks per CPU-second, one licence each, whole engine (plain HTTP):");
    let mut level_4 = Duration::ZERO;
    for (name, text) in [
        (
            "Widevine, level 4",
            plain(
                "Widevine",
                "widevine",
                &format!("{}, widevine: {{rootCredential: wv-root}}", specs::DEVICE),
            ),
        ),
        (
            "Widevine, level 3",
            plain(
                "Widevine",
                "widevine",
                "challenge: {recordedCredential: challenge}, widevine: {rootCredential: wv-root}",
            ),
        ),
        (
            "PlayReady, level 3",
            plain(
                "PlayReady",
                "playready",
                "challenge: {recordedCredential: pr-challenge}, playReady: {rootCredential: pr-root}",
            ),
        ),
        (
            "FairPlay, level 3",
            plain("FairPlay", "fairplay", "challenge: {recordedCredential: spc}"),
        ),
        ("ClearKey", plain("ClearKey", "clearkey", "openCanary: false")),
        ("Key server", specs::key_server("SPEKE-2.0", "2.0", true)),
    ] {
        let prepared = bench.prepare(&text, "127.0.0.0/8");
        let run = || {
            let outcome = client.block_on(bench.engine.run(&prepared, &mut ProbeState::default()));
            assert_eq!(outcome.verdict.to_string(), "Pass", "{name}: {}", outcome.message);
        };
        run();
        let time = median(5, || (0..40).for_each(|_| run())) / 40;
        if name == "Widevine, level 4" {
            level_4 = time;
        }
        println!(
            "  {name:<20} {:>8.0}   ({:.2} ms)",
            1.0 / time.as_secs_f64(),
            time.as_secs_f64() * 1e3
        );
    }
    let key = PrivateKey::from_pkcs1_pem(drm::device_key()).unwrap();
    let wrapped = key
        .to_public_key()
        .oaep_encrypt_with_rng::<Sha1, _>(&mut rand::rng(), &[7; 16])
        .unwrap();
    // What that check does with RSA: sign, unwrap, wrap the identity's key, verify the certificate.
    let alone = median(21, || {
        let signature = key
            .pss_sign_with_rng::<Sha1, _>(&mut rand::rng(), b"request")
            .unwrap();
        black_box(key.oaep_decrypt::<Sha1>(&wrapped).unwrap());
        black_box(
            key.to_public_key()
                .oaep_encrypt_with_rng::<Sha1, _>(&mut rand::rng(), &[7; 16])
                .unwrap(),
        );
        black_box(
            key.to_public_key()
                .pss_verify::<Sha1>(b"request", &signature)
                .is_ok(),
        );
    });
    println!(
        "Widevine level 4, the whole check over its RSA operations alone: {:.2} times (aim 1.5)",
        level_4.as_secs_f64() / alone.as_secs_f64()
    );
}

fn plain(system: &str, path: &str, rest: &str) -> String {
    let kids = "kids: [a7e61c37-3e21-9033-c210-91fa607bf3b8]";
    specs::license(
        system,
        path,
        &format!(", {kids}, malformedChallenge: false, {rest}"),
    )
}

fn main() {
    parse();
    floor();
    checks();
}
