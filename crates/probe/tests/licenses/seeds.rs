//! Seeds for the fuzzer: real messages of the test world (`FUZZ_SEEDS=fuzz/corpus cargo test -p drmwatch-probe --test
//! licenses seeds`). What is kept is replayed by `drmwatch-drm`.

use crate::{
    bench::Bench,
    specs::{SYSTEMS, spec},
};
use drmwatch_net::{Client, Door, Failure, Guard, Request, Resolver, Response, TlsSetup};
use drmwatch_outcome::Hop;
use drmwatch_probe::{Prepared, ProbeState};
use futures::future::BoxFuture;
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::time::Instant;
use url::Url;

/// A door that keeps what goes through it.
struct Kept {
    door: Client,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Door for Kept {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        deadline: Instant,
        hops: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            let answered = self.door.send(request, deadline, hops).await;
            let mut bodies = self.bodies.lock().unwrap();
            bodies.push(request.body.clone());
            bodies.extend(answered.iter().map(|r| r.body.to_vec()));
            answered
        })
    }
    fn addresses<'a>(
        &'a self,
        url: &'a Url,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        self.door.addresses(url, deadline)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seeds_are_written_where_they_are_asked_for() {
    let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) else {
        println!("skipped: FUZZ_SEEDS is not set");
        return;
    };
    let bench = Bench::start().await;
    for system in SYSTEMS {
        let plan = bench.prepare(&spec(system), "127.0.0.0/8").plan().clone();
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let door = Kept {
            door: Client::new(
                Resolver::system().unwrap(),
                Guard::new(&plan.egress.allow_cidrs),
                TlsSetup::new(drmwatch_probe::identity(&plan.tls, &bench.secrets)).unwrap(),
            ),
            bodies: bodies.clone(),
        };
        let prepared = Prepared::behind(plan, bench.secrets.clone(), Box::new(door)).unwrap();
        bench.engine.run(&prepared, &mut ProbeState::default()).await;
        let target = match system {
            "Widevine" | "Widevine, recorded" => "widevine",
            "PlayReady" => "playready",
            "Key server" => "cpix",
            _ => "licences",
        };
        let mut kept = bodies.lock().unwrap().clone();
        kept.sort();
        kept.dedup();
        kept.truncate(12);
        for (n, body) in kept.iter().enumerate() {
            let name = format!("seed-{}-{n}", system.replace([' ', ','], "-").to_lowercase());
            let at = folder.join(target);
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join(name), body).unwrap();
        }
        if system == "PlayReady" {
            // What is inside of it has targets of its own.
            let answers: Vec<String> = kept
                .iter()
                .map(|b| String::from_utf8_lossy(b).into_owned())
                .collect();
            let inner = |tag: &str| {
                let text = answers.iter().find_map(|a| {
                    let from = a.find(&format!("<{tag}>"))? + tag.len() + 2;
                    Some(a[from..from + a[from..].find("</")?].to_owned())
                });
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text.unwrap()).unwrap()
            };
            for (target, tag) in [("xmr", "License"), ("chain", "SigningCertificateChain")] {
                std::fs::create_dir_all(folder.join(target)).unwrap();
                std::fs::write(folder.join(target).join("world"), inner(tag)).unwrap();
            }
        }
    }
}
