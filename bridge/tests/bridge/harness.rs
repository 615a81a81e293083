//! The real program, the world's Zendesk, and an Alertmanager's way of sending.

use drmwatch_testkit::{Ports, World, zendesk};
use drmwatch_tickets::{Key, Settings, Ticketing, webhook_url};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The bridge's key.
pub const KEY: &str = "a key that nobody should ever see in a log";

/// A world with its Zendesk, on a runtime of its own.
pub struct Place {
    pub world: World,
    pub folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Place {
    pub fn new() -> Place {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let world = runtime
            .block_on(World::start([127, 0, 0, 1].into(), Ports::default()))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), KEY).unwrap();
        fs::write(folder.path().join("secret"), zendesk::CLIENT.1).unwrap();
        Place {
            world,
            folder,
            _runtime: runtime,
        }
    }

    pub fn command(&self, store: &str) -> Command {
        let file = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch-bridge"));
        command
            .args([
                "--listen=127.0.0.1:0",
                "--metrics=127.0.0.1:0",
                "--coalesce-seconds=0",
                "--allow-http",
            ])
            .arg(format!("--store={}", file(store).display()))
            .arg(format!("--key-file={}", file("key").display()))
            .arg(format!("--client-secret-file={}", file("secret").display()))
            .arg(format!("--zendesk-url=http://{}", self.world.http))
            .arg(format!("--client-id={}", zendesk::CLIENT.0))
            .arg("--requests-per-minute=60000");
        command
    }

    pub fn bridge(&self, store: &str) -> Bridge {
        self.bridge_with(store, &[])
    }

    pub fn bridge_with(&self, store: &str, arguments: &[String]) -> Bridge {
        Bridge::start(
            self.command(store).args(arguments),
            self.folder.path().join(store),
        )
    }

    /// Tickets of an incident (by the subject), as they are.
    pub fn tickets(&self, subject: &str) -> Vec<Value> {
        let all = self.world.zendesk.all();
        let of = |t: &&Value| t["subject"] == subject;
        all["tickets"]
            .as_array()
            .unwrap()
            .iter()
            .filter(of)
            .cloned()
            .collect()
    }

    /// Waits until the tickets of an incident are as they should be.
    pub fn until(&self, subject: &str, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let tickets = self.tickets(subject);
            if holds(&tickets) {
                return tickets;
            }
            assert!(Instant::now() < deadline, "not seen: {what}: {tickets:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The program. It is killed when it is dropped.
pub struct Bridge {
    child: Arc<Mutex<Child>>,
    pub webhooks: SocketAddr,
    pub metrics: SocketAddr,
    pub log: Arc<Mutex<String>>,
    pub store: PathBuf,
}

impl Bridge {
    fn start(command: &mut Command, store: PathBuf) -> Bridge {
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut addresses = None;
        for line in lines.by_ref().map_while(Result::ok) {
            log.lock().unwrap().push_str(&(line.clone() + "\n"));
            // Colours, if there are any, are between the name and the value.
            let plain = line
                .replace("\u{1b}[3m", "")
                .replace("\u{1b}[0m", "")
                .replace("\u{1b}[2m", "");
            let value = |name: &str| {
                let rest = plain.split_once(&format!("{name}="))?.1;
                rest.split_whitespace().next()?.parse::<SocketAddr>().ok()
            };
            if let (Some(webhooks), Some(metrics)) = (value("webhooks"), value("metrics")) {
                addresses = Some((webhooks, metrics));
                break;
            }
        }
        let (webhooks, metrics) =
            addresses.unwrap_or_else(|| panic!("the bridge does not start: {}", log.lock().unwrap()));
        let kept = log.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Bridge {
            child: Arc::new(Mutex::new(child)),
            webhooks,
            metrics,
            log,
            store,
        }
    }

    /// What kills it: `kill -9`.
    pub fn killer(&self) -> impl Fn() + Send + Sync + use<> {
        let child = self.child.clone();
        move || {
            let mut child = child.lock().unwrap();
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn dead(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// Sends as Alertmanager does; the status, or None where nobody answered.
    pub fn send(&self, group: &Group) -> Option<u16> {
        self.post(
            &group.path(),
            &token(&group.tenant),
            group.body().to_string().as_bytes(),
        )
    }

    pub fn post(&self, path: &str, token: &str, body: &[u8]) -> Option<u16> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let said = talk(self.webhooks, &[head.as_bytes(), body].concat())?;
        said.split_whitespace().nth(1)?.parse().ok()
    }

    /// The sum of a metric's series that have a text in them.
    pub fn value(&self, metric: &str, with: &str) -> f64 {
        let said = talk(
            self.metrics,
            b"GET /metrics HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n",
        )
        .unwrap_or_default();
        let of = |l: &&str| l.starts_with(metric) && l.contains(with);
        said.lines()
            .filter(of)
            .filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.killer()();
    }
}

fn talk(to: SocketAddr, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(to).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // What is refused for its length is answered before it is read.
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    (!said.is_empty()).then(|| String::from_utf8_lossy(&said).into_owned())
}

pub fn token(tenant: &str) -> String {
    Key::parse(KEY).unwrap().token("tv", tenant)
}

/// A group of alerts, as Alertmanager would notify it.
#[derive(Clone)]
pub struct Group {
    pub tenant: String,
    pub probe: String,
    pub settings: Ticketing,
    /// Region, whether it fires, since which minute.
    pub alerts: Vec<(&'static str, bool, i64)>,
}

impl Group {
    pub fn new(probe: &str) -> Group {
        Group {
            tenant: "acme".into(),
            probe: probe.into(),
            settings: Ticketing::default(),
            alerts: vec![("eu", true, 0)],
        }
    }

    /// The same with other alerts.
    pub fn with(&self, alerts: &[(&'static str, bool, i64)]) -> Group {
        Group {
            alerts: alerts.to_vec(),
            ..self.clone()
        }
    }

    pub fn subject(&self) -> String {
        format!("ProbeDown: {}/{}", self.tenant, self.probe)
    }

    pub fn path(&self) -> String {
        let settings = Settings::new("ACME Television", self.settings.clone(), None);
        webhook_url("", "tv", &self.tenant, &settings)
    }

    pub fn body(&self) -> Value {
        let began = |minute: i64| format!("2026-11-25T{:02}:{:02}:00Z", minute / 60, minute % 60);
        let alerts: Vec<Value> = self
            .alerts
            .iter()
            .map(|(region, fires, minute)| {
                json!({
                    "status": if *fires { "firing" } else { "resolved" },
                    "labels": { "alertname": "ProbeDown", "namespace": "tv", "tenant": self.tenant, "probe": self.probe, "region": region, "severity": "page" },
                    "annotations": { "summary": format!("{}/{} fails in {region}", self.tenant, self.probe), "runbook_url": "https://r/ProbeDown.md" },
                    "startsAt": began(*minute), "endsAt": if *fires { "0001-01-01T00:00:00Z".into() } else { began(minute + 5) },
                    "generatorURL": "", "fingerprint": format!("{region}-{}", self.probe),
                })
            })
            .collect();
        json!({
            "version": "4", "groupKey": "k", "truncatedAlerts": 0, "receiver": "tv/drmwatch-acme/zendesk",
            "status": if self.alerts.iter().any(|a| a.1) { "firing" } else { "resolved" },
            "groupLabels": { "alertname": "ProbeDown", "tenant": self.tenant, "probe": self.probe, "severity": "page" },
            "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": alerts,
        })
    }
}

/// All text of a folder.
pub fn text_of(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap().flatten();
    files
        .map(|f| fs::read_to_string(f.path()).unwrap_or_default())
        .collect()
}

pub fn comments(ticket: &Value) -> usize {
    ticket["comments"].as_array().unwrap().len()
}
