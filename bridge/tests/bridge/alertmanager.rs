//! Debian's Alertmanager sends, and is asked.

use crate::{
    harness::{Group, Place, token},
    only,
};
use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

struct Alertmanager(Child);

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_alertmanager_is_heard_and_a_replay_of_what_it_said_does_nothing() {
    if Command::new("prometheus-alertmanager")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("SKIPPED: prometheus-alertmanager is not installed");
        return;
    }
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let bridge = place.bridge_with("store", &[format!("--alertmanagers={url}")]);
    let group = Group::new("real");
    fs::write(place.folder.path().join("token"), token("acme")).unwrap();
    let config = format!(
        "route: {{receiver: tickets, group_by: [tenant, alertname, probe, severity], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers:\n- name: tickets\n  webhook_configs:\n  - url: 'http://{}{}'\n    http_config: {{authorization: {{credentials_file: {}}}}}\n",
        bridge.webhooks,
        group.path(),
        place.folder.path().join("token").display()
    );
    let file = place.folder.path().join("alertmanager.yml");
    fs::write(&file, config).unwrap();
    let _alertmanager = Alertmanager(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                place.folder.path().join("am").display()
            ))
            .arg(format!("--web.listen-address={free}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let add = |probe: &str, end: &str| {
        let probe = format!("probe={probe}");
        let labels = [
            "alertname=ProbeDown",
            "namespace=tv",
            "tenant=acme",
            &probe,
            "severity=page",
            "region=eu",
        ];
        let deadline = Instant::now() + Duration::from_secs(30);
        // It takes a moment to listen.
        while !Command::new("amtool")
            .args([
                "alert",
                "add",
                "--alertmanager.url",
                &url,
                "--annotation=summary=acme/real fails",
                "--start=2026-11-25T10:00:00Z",
            ])
            .arg(format!("--end={end}"))
            .args(labels)
            .output()
            .unwrap()
            .status
            .success()
        {
            assert!(Instant::now() < deadline, "Alertmanager does not listen");
            thread::sleep(Duration::from_millis(100));
        }
    };
    add("real", "2126-01-01T00:00:00Z");
    place.until(&group.subject(), "a ticket", |t| only(t, "new", 1));
    add("real", "2026-11-25T10:07:00Z");
    let solved = place.until(&group.subject(), "it is solved", |t| only(t, "solved", 2));
    assert!(solved[0].to_string().contains("for 7 min"), "{solved:?}");
    // Somebody sends what would be news, were it true.
    assert_eq!(bridge.send(&group.with(&[("eu", true, 660)])), Some(200));
    let ignored = || bridge.value("drmwatch_bridge_notifications_total", "outcome=\"ignored\"");
    place.until(&group.subject(), "Alertmanager was asked", |_| ignored() == 1.0);
    assert!(only(&place.tickets(&group.subject()), "solved", 2));
    // The end of this one is told to nobody: the bridge is away, and comes back elsewhere.
    let lost = Group::new("lost");
    add("lost", "2126-01-01T00:00:00Z");
    place.until(&lost.subject(), "a ticket", |t| only(t, "new", 1));
    drop(bridge);
    add("lost", "2026-11-25T10:07:00Z");
    let _elsewhere = place.bridge_with(
        "store",
        &[format!("--alertmanagers={url}"), "--sweep-seconds=1".into()],
    );
    place.until(&lost.subject(), "it is solved all the same", |t| {
        only(t, "solved", 2)
    });
}
