use super::*;
use clap::Parser;
use serde_json::json;

fn plan(name: &str) -> Plan {
    let probe = json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe",
        "metadata": { "name": name, "namespace": "tenant-namespace", "uid": format!("uid-{name}") },
        "spec": { "tenantRef": { "name": "t" }, "schedule": { "intervalSeconds": 60 },
            "steps": [{ "name": "s", "http": { "url": "https://planted-host.example/" } }] },
    });
    let tenant = json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
        "metadata": { "name": "t", "namespace": "tenant-namespace" }, "spec": { "displayName": "T" },
    });
    let (tenant, probe) = (serde_json::from_value(tenant), serde_json::from_value(probe));
    drmwatch_plan::compile(&tenant.unwrap(), &probe.unwrap(), "r", &Default::default()).unwrap()
}

fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.insert("key", "planted-secret");
    secrets
}

struct Place {
    folder: tempfile::TempDir,
    metrics: Metrics,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), [7; 32]).unwrap();
        Place {
            folder,
            metrics: Metrics::default(),
        }
    }

    fn open_as(&self, pool: &str) -> Cache {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let words = [
            "runner",
            "--pool",
            pool,
            "--cache",
            &path("cache"),
            "--cache-key",
            &path("key"),
        ];
        Cache::open(&Options::parse_from(words), pool, self.metrics.clone())
    }

    fn await_plans(&self, count: f64) {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while self.metrics.value(&CACHED_PLANS, &Owner::program(), &[]) != Some(count) {
            assert!(std::time::Instant::now() < deadline, "never {count} plans");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let of = |path: PathBuf| {
            fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path())
        };
        of(self.folder.path().join("cache")).flat_map(of).collect()
    }
}

#[test]
fn what_was_kept_is_there_again_and_nothing_of_it_can_be_read_on_the_disk() {
    let place = Place::new();
    let cache = place.open_as("default");
    for (shard, name) in [(3, "a"), (3, "b"), (5, "c")] {
        cache.put(shard, &plan(name), &secrets(), 1);
    }
    place.await_plans(3.0);
    let mut read = place.open_as("default").read().0;
    read.sort_by(|a, b| a.0.uid.cmp(&b.0.uid));
    assert_eq!(
        read.iter().map(|(p, _)| p.clone()).collect::<Vec<_>>(),
        ["a", "b", "c"].map(plan)
    );
    assert!(read.iter().all(|(_, s)| s.get("key") == Some("planted-secret")));
    for file in place.files() {
        let bytes = fs::read(&file).unwrap();
        for planted in ["planted-secret", "planted-host", "tenant-namespace"] {
            assert!(
                !bytes.windows(planted.len()).any(|w| w == planted.as_bytes()),
                "{planted} in {file:?}"
            );
        }
    }
    let now = Timestamp::from_second(1_795_000_000).unwrap();
    cache.alive(now);
    cache.drop_plan(3, "uid-a");
    cache.drop_shard(5);
    place.await_plans(1.0);
    let (plans, alive) = place.open_as("default").read();
    assert_eq!((plans.len(), alive), (1, Some(now)));
}

#[test]
fn a_file_that_was_changed_moved_or_is_of_another_pool_is_not_opened() {
    let place = Place::new();
    let cache = place.open_as("default");
    cache.put(3, &plan("a"), &secrets(), 1);
    cache.put(3, &plan("b"), &secrets(), 1);
    place.await_plans(2.0);
    assert!(place.open_as("other").read().0.is_empty());
    let [a, b] = ["uid-a", "uid-b"].map(|n| place.folder.path().join("cache/3").join(n));
    let (first, second) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    // Swapped.
    fs::write(&a, &second).unwrap();
    assert_eq!(cache.read().0.len(), 1);
    // Every kind of damage: cut short, a bit flipped.
    for bytes in [&first[..0], &first[..11], &first[..20], &first[..first.len() - 1]] {
        fs::write(&a, bytes).unwrap();
        assert_eq!(cache.read().0.len(), 1, "{} bytes", bytes.len());
    }
    for at in (0..first.len()).step_by(13) {
        let mut bytes = first.clone();
        bytes[at] ^= 1;
        fs::write(&a, bytes).unwrap();
        assert_eq!(cache.read().0.len(), 1, "bit flipped at {at}");
    }
    fs::write(&a, first).unwrap();
    assert_eq!(cache.read().0.len(), 2);
    fs::write(place.folder.path().join("key"), [8; 32]).unwrap();
    assert!(place.open_as("default").read().0.is_empty());
    fs::write(place.folder.path().join("key"), [8; 31]).unwrap();
    assert!(place.open_as("default").read().0.is_empty());
}

#[test]
fn a_disk_that_can_not_be_written_delays_nobody_and_is_told() {
    let place = Place::new();
    let cache = place.open_as("default");
    // A file where the shard's folder should be: every write fails, for root too.
    fs::write(place.folder.path().join("cache/3"), "in the way").unwrap();
    cache.put(3, &plan("a"), &secrets(), 1);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while place
        .metrics
        .value(&CACHE_ERRORS, &Owner::program(), &[])
        .unwrap_or(0.0)
        < 1.0
    {
        assert!(std::time::Instant::now() < deadline, "the error is not told");
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(place.folder.path().join("cache/3")).unwrap();
    // The next order tries it again, too.
    cache.put(5, &plan("b"), &secrets(), 1);
    place.await_plans(2.0);
}
