//! The runner keeps what happens in every slot: killed, started anew, with a store that is away. And a Job does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_archive::{
    keys::{self, Folder, Kms, Names},
    ship, spool,
};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{Kind, Record, Store};
use drmwatch_testkit::{Ports, World};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_drmwatch-runner");

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    async fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let names = Names::read_or_make(&keys).unwrap();
        Folder::new(keys.clone())
            .create(&names.tenant(&TenantKey::new("tv", "acme")))
            .await
            .unwrap();
        let place = folder.path().join("store");
        let store = Store::open(place.to_str().unwrap(), Arc::new(Folder::new(keys)), names).unwrap();
        Place { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Records that are in the store.
    async fn records(&self) -> Vec<Record> {
        let tenant = self.store.tenant(&TenantKey::new("tv", "acme"));
        let mut all = Vec::new();
        for day in self.store.days(&tenant).await.unwrap() {
            all.extend(self.store.records(&tenant, day).await.unwrap());
        }
        all
    }

    fn options(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        [
            "--allow-cidr=127.0.0.0/8".to_owned(),
            format!("--results={}", path("store")),
            format!("--results-keys={}", path("keys")),
        ]
        .into()
    }

    fn runner(&self, listen: SocketAddr) -> Runner {
        let child = Command::new(PROGRAM)
            .env("NO_COLOR", "1")
            .arg(self.path("yaml"))
            .args(self.options())
            .arg(format!("--results-spool={}", self.path("spool").display()))
            .args(["--results-batch-seconds=1", &format!("--listen={listen}")])
            .stderr(
                fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(self.path("log"))
                    .unwrap(),
            )
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Runner(child, listen)
    }
}

struct Runner(Child, SocketAddr);

impl Runner {
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn stop(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }

    fn metrics(&self) -> String {
        let mut said = String::new();
        // It may not listen yet.
        if let Ok(mut stream) = TcpStream::connect(self.1) {
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: r\r\nconnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut said);
        }
        said
    }

    /// The sum of a metric.
    fn value(&self, metric: &str) -> f64 {
        let said = self.metrics();
        let lines = said.lines().filter(|l| l.starts_with(metric));
        lines
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    fn until(&self, what: &str, holds: impl Fn(&Runner) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            assert!(Instant::now() < deadline, "not seen: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const TENANT: &str = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: acme, namespace: tv}\nspec: {displayName: ACME}\n";

fn probe(name: &str, url: &str) -> String {
    format!(
        "---\napiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: {name}, namespace: tv}}\nspec:\n  tenantRef: {{name: acme}}\n  schedule: {{intervalSeconds: 5}}\n  timeoutSeconds: 2\n  steps: [{{name: get, http: {{url: '{url}'}}}}]\n"
    )
}

/// By probe.
fn runs(records: &[Record]) -> BTreeMap<&str, Vec<&Record>> {
    let mut by: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|r| r.kind == Kind::Run) {
        by.entry(&record.probe).or_default().push(record);
    }
    by
}

fn log(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_is_kept_however_the_runner_ends() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    let origin = format!("http://{}", world.http);
    let place = Place::new().await;
    fs::create_dir(place.path("yaml")).unwrap();
    let yaml = |names: &[&str]| {
        let probes: String = names
            .iter()
            .map(|n| probe(n, &format!("{origin}/slot/{n}")))
            .collect();
        fs::write(place.path("yaml/all.yaml"), format!("{TENANT}{probes}")).unwrap();
    };
    let names = ["a", "b", "c", "d", "e", "f"];
    yaml(&names);
    // Killed twice; in between the store is away: a file stands where the folder was.
    let runner = place.runner(free());
    runner.until("runs", |r| r.value("drmwatch_probe_slots_finished_total") >= 8.0);
    runner.until("results are shipped", |r| {
        r.value("drmwatch_runner_results_shipped_total") >= 4.0
    });
    runner.kill();
    let before = place.records().await.len();
    assert!(before > 0);
    fs::rename(place.path("store"), place.path("elsewhere")).unwrap();
    fs::create_dir(place.path("store")).unwrap();
    let runner = place.runner(free());
    runner.until("it runs", |r| {
        r.value("drmwatch_probe_slots_finished_total") >= 1.0
    });
    fs::remove_dir_all(place.path("store")).unwrap();
    fs::write(place.path("store"), "").unwrap();
    runner.until("it says that the store is away", |r| {
        r.value("drmwatch_runner_results_errors_total") >= 1.0
    });
    assert!(runner.value("drmwatch_runner_results_behind_seconds") > 0.0);
    runner.kill();
    fs::remove_file(place.path("store")).unwrap();
    fs::rename(place.path("elsewhere"), place.path("store")).unwrap();
    // The third counts what the others left, sees one go and one fail, and ends in peace.
    let runner = place.runner(free());
    runner.until("runs", |r| r.value("drmwatch_probe_slots_finished_total") >= 6.0);
    // A window may last 31 days at most.
    let now = drmwatch_program::now();
    let (start, end) = (now - Duration::from_secs(3600), now + Duration::from_secs(86_400));
    let window = format!(
        "apiVersion: drmwatch.io/v1alpha1\nkind: MaintenanceWindow\nmetadata: {{name: upgrade, namespace: tv}}\nspec:\n  description: upgrade\n  probes: [a]\n  effects: [ExcludeFromSla]\n  once: {{start: \"{start}\", end: \"{end}\"}}\n"
    );
    fs::write(place.path("yaml/window.yaml"), window).unwrap();
    yaml(&names[..5]);
    runner.until("one is gone", |r| {
        r.metrics().contains("probe=\"e\"") && !r.metrics().contains("probe=\"f\"")
    });
    drop(world);
    runner.until("it fails", |r| {
        r.metrics().contains("drmwatch_probe_success") && r.value("drmwatch_probe_success") == 0.0
    });
    runner.stop();
    // What a slow store did not take before the end is shipped by who opens the spool next.
    let key = keys::own(&place.path("spool").join("key")).unwrap();
    let (spool, shelf, _) = spool::open(&place.path("spool"), &key, spool::Limits::default()).unwrap();
    assert_eq!(
        ship::round(&shelf, &spool, &place.store).await.unwrap().error,
        None
    );
    let records = place.records().await;
    let by = runs(&records);
    assert_eq!(by.keys().copied().collect::<Vec<_>>(), names);
    for (name, runs) in &by {
        let slots: Vec<i64> = runs
            .iter()
            .filter(|r| r.counts)
            .map(|r| r.slot.as_second())
            .collect();
        let mut once = slots.clone();
        once.dedup();
        assert_eq!(slots, once, "{name}: each slot counts once");
        assert!(
            slots.windows(2).all(|w| (w[1] - w[0]) % 5 == 0),
            "{name}: {slots:?}"
        );
        assert!(runs.iter().all(|r| r.stands_seconds == 5 && r.steps.len() <= 1));
    }
    // The window stands in the results of its probe from when it was open.
    let excluded = |name: &str| {
        let runs = by[name].iter();
        runs.filter(|r| r.maintenance.as_deref() == Some("upgrade"))
            .count()
    };
    assert!(excluded("a") > 0 && excluded("a") < by["a"].len() && excluded("b") == 0);
    assert!(
        records
            .iter()
            .any(|r| r.kind == Kind::Unwatched && r.probe == "f")
    );
    assert!(
        records
            .iter()
            .any(|r| r.outcome.as_deref() == Some("fail") && r.reason.is_some() && r.trace_id.is_some())
    );
    // A failure that begins leaves its evidence, which the program judges again.
    let begins = records.iter().find(|r| r.evidence.is_some()).unwrap();
    assert_eq!(begins.outcome.as_deref(), Some("fail"));
    let day = drmwatch_archive::day_of(begins.slot.as_second());
    let tenant = place.store.tenant(&TenantKey::new("tv", "acme"));
    let evidence = place
        .store
        .evidence(&tenant, day, &begins.name())
        .await
        .unwrap()
        .unwrap();
    fs::write(place.path("evidence.json"), evidence).unwrap();
    let replayed = Command::new(PROGRAM)
        .arg("--replay")
        .arg(place.path("evidence.json"))
        .output()
        .unwrap();
    assert_eq!(
        replayed.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&replayed.stderr)
    );
    let with = records.iter().filter(|r| r.evidence.is_some()).count();
    let failing = records
        .iter()
        .filter(|r| r.outcome.as_deref() == Some("fail"))
        .count();
    assert!(with <= failing, "{with} {failing}");
    // What a killed process had received and not written is counted: what came within an instant.
    let log = log(&place.path("log"));
    for told in log
        .lines()
        .filter(|l| l.contains("so many results that it had received"))
    {
        let number = told.split("records=").nth(1).unwrap();
        let number: String = number.chars().take_while(char::is_ascii_digit).collect();
        assert!(number.parse::<u64>().unwrap() <= names.len() as u64, "{told}");
    }
    // The spool is empty.
    let left: Vec<_> = fs::read_dir(place.path("spool"))
        .unwrap()
        .flatten()
        .filter(|e| e.metadata().unwrap().len() > 32 && e.path().extension().is_some_and(|x| x == "spool"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
