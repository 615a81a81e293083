//! The bridge as it runs, before a Zendesk with the rules that hurt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod alertmanager;
mod harness;
mod kills;
mod opinions;
mod output;

use drmwatch_tickets::Ticketing;
use harness::{Group, Place, comments, text_of, token};
use jiff::SignedDuration;
use serde_json::Value;
use std::{fs, thread};

const FIRES: (&str, bool, i64) = ("eu", true, 0);
const OVER: (&str, bool, i64) = ("eu", false, 0);

fn only(tickets: &[Value], status: &str, said: usize) -> bool {
    matches!(tickets, [t] if t["status"] == status && comments(t) == said)
}

#[test]
fn a_ticket_lives_as_long_as_its_alert_and_comes_back_with_it() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let fires = Group::new("life");
    let subject = fires.subject();
    assert_eq!(bridge.send(&fires), Some(200));
    let made = place.until(&subject, "a ticket", |t| only(t, "new", 1));
    assert_eq!(
        (made[0]["priority"].as_str(), made[0]["type"].as_str()),
        (Some("urgent"), Some("incident"))
    );
    // Said again it is no news.
    assert_eq!(bridge.send(&fires), Some(200));
    bridge.send(&fires.with(&[FIRES, ("us", true, 3)]));
    place.until(&subject, "a comment", |t| only(t, "new", 2));
    bridge.send(&fires.with(&[OVER, ("us", false, 3)]));
    let solved = place.until(&subject, "it is solved", |t| only(t, "solved", 3));
    let last = solved[0]["comments"][2]["body"].as_str().unwrap().to_owned();
    assert!(
        last.contains("ProbeDown is over for ACME Television.") && last.contains("for 5 min"),
        "{last}"
    );
    bridge.send(&fires.with(&[("eu", true, 20)]));
    let open = place.until(&subject, "it is open again", |t| only(t, "open", 4));
    bridge.send(&fires.with(&[("eu", false, 20)]));
    place.until(&subject, "it is solved again", |t| only(t, "solved", 5));
    place.world.zendesk.close(open[0]["id"].as_u64().unwrap());
    bridge.send(&fires.with(&[("eu", true, 40)]));
    let two = place.until(&subject, "a follow-up", |t| t.len() == 2);
    assert_eq!(two[1]["via_followup_source_id"], two[0]["id"]);
    // A ticket is there before the bridge has read that it is.
    place.until("", "it is counted", |_| {
        bridge.value("drmwatch_bridge_ticket_actions_total", "action=\"follow_up\"") == 1.0
    });
    assert_eq!(
        place.world.zendesk.all()["mail"],
        serde_json::json!([]),
        "nobody is mailed by accident"
    );
}

#[test]
fn two_alertmanagers_and_two_bridges_make_one_ticket() {
    let place = Place::new();
    let bridges = [place.bridge("one"), place.bridge("two")];
    for round in 0..20 {
        let fires = Group::new(&format!("twins{round}"));
        let subject = fires.subject();
        let everyone = |group: &Group| {
            thread::scope(|scope| {
                for bridge in bridges.iter().chain(&bridges) {
                    scope.spawn(move || assert_eq!(bridge.send(group), Some(200)));
                }
            });
            let told = || {
                bridges
                    .iter()
                    .all(|b| b.value("drmwatch_bridge_pending_incidents", "") == 0.0)
            };
            place.until(&subject, "both are done", |_| told());
        };
        everyone(&fires);
        let made = place.until(&subject, "one ticket", |t| only(t, "new", 1));
        everyone(&fires.with(&[OVER]));
        let solved = place.until(&subject, "it is solved", |t| {
            t.len() == 1 && t[0]["status"] == "solved"
        });
        // Zendesk tells conflicts by the second: two bridges that write in one may say the same twice.
        assert!(comments(&solved[0]) <= comments(&made[0]) + 2);
    }
}

#[test]
fn what_another_bridge_solved_is_not_left_open_by_one_that_was_late() {
    let place = Place::new();
    let (late, prompt) = (place.bridge("late"), place.bridge("prompt"));
    let fires = Group::new("order");
    // The first can do nothing just now.
    place.world.zendesk.set("down", true);
    assert_eq!(late.send(&fires), Some(200));
    assert_eq!(prompt.send(&fires.with(&[OVER])), Some(200));
    place.world.zendesk.set("down", false);
    // The late one makes the ticket, and the other, which found none, looks again and solves it.
    place.until(&fires.subject(), "one ticket", |t| t.len() == 1);
    place.until(&fires.subject(), "it is solved", |t| {
        t.len() == 1 && t[0]["status"] == "solved"
    });
}

#[test]
fn what_zendesk_can_not_do_now_is_done_later_and_once() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let zendesk = &place.world.zendesk;
    for switch in ["down", "gone", "limited", "lost-answers", "short-tokens"] {
        let fires = Group::new(switch);
        zendesk.set(switch, true);
        assert_eq!(bridge.send(&fires), Some(200), "{switch}");
        if switch != "short-tokens" {
            let behind = || bridge.value("drmwatch_bridge_overdue_seconds", "") > 0.0;
            place.until(&fires.subject(), "it says that it is behind", |_| behind());
        }
        if switch == "lost-answers" {
            // What was done is found, even when its key is forgotten.
            place.until(&fires.subject(), "a ticket", |t| t.len() == 1);
            zendesk.pass(SignedDuration::from_hours(3));
        }
        zendesk.set(switch, switch == "short-tokens");
        place.until(&fires.subject(), switch, |t| only(t, "new", 1));
        bridge.send(&fires.with(&[OVER]));
        place.until(&fires.subject(), "solved", |t| only(t, "solved", 2));
        zendesk.set(switch, false);
    }
    let asked =
        |status: &str| bridge.value("drmwatch_bridge_zendesk_requests_total", &format!("\"{status}\""));
    assert!(asked("503") > 0.0 && asked("429") > 0.0 && asked("401") > 0.0 && asked("504") > 0.0);
}

#[test]
fn a_ticket_that_zendesk_does_not_want_so_is_made_otherwise_and_says_why() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let mut fires = Group::new("strange");
    fires.settings = Ticketing {
        organization_id: Some(9),
        tags: vec!["gold".into()],
        ..Ticketing::default()
    };
    bridge.send(&fires);
    let made = place.until(&fires.subject(), "a ticket", |t| t.len() == 1);
    let text = made[0].to_string();
    assert!(
        text.contains("drmwatch-settings-refused") && text.contains("organization_id: is invalid"),
        "{text}"
    );
    assert!(made[0]["organization_id"].is_null() && text.contains("gold"));
    place.until("", "it is counted", |_| {
        bridge.value("drmwatch_bridge_ticket_actions_total", "action=\"drop\"") == 1.0
    });
    place.world.zendesk.set("needs-group", true);
    bridge.send(&fires.with(&[OVER]));
    let kept = place.until(&fires.subject(), "a comment", |t| only(t, "new", 2));
    assert!(kept[0].to_string().contains("drmwatch-status-refused"));
    assert!(
        kept[0]["comments"][1]["body"]
            .as_str()
            .unwrap()
            .contains("is required when solving")
    );
}

#[test]
fn tenants_decide_and_people_take_over() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let mut group = Group::new("ours");
    group.settings = Ticketing {
        solve_on_resolve: false,
        public_comments: true,
        organization_id: Some(360_001),
        requester: Some(drmwatch_tickets::Requester {
            name: "Ops".into(),
            email: "ops@acme.example".into(),
        }),
        ..Ticketing::default()
    };
    bridge.send(&group);
    let made = place.until(&group.subject(), "a ticket", |t| only(t, "new", 1));
    assert_eq!(made[0]["organization_id"], 360_001);
    assert_eq!(place.world.zendesk.all()["mail"][0]["to"], "ops@acme.example");
    bridge.send(&group.with(&[OVER]));
    place.until(&group.subject(), "a comment, not solved", |t| only(t, "new", 2));
}

#[test]
fn what_is_forged_foreign_or_too_much_is_refused_and_does_nothing() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let group = Group::new("forged");
    let (path, body) = (group.path(), group.body().to_string());
    let post = |token: &str, path: &str, body: &[u8]| bridge.post(path, token, body);
    for forged in ["", "nonsense", &token("other")] {
        assert_eq!(post(forged, &path, body.as_bytes()), Some(401), "{forged}");
    }
    let mut foreign = group.clone();
    foreign.tenant = "other".into();
    let other = foreign.body().to_string();
    assert_eq!(post(&token("acme"), &path, other.as_bytes()), Some(400));
    assert_eq!(post(&token("acme"), &path, b"{"), Some(400));
    let mut million = group.body();
    million["alerts"] = vec![million["alerts"][0].clone(); 1001].into();
    assert_eq!(
        post(&token("acme"), &path, million.to_string().as_bytes()),
        Some(400)
    );
    assert_eq!(post(&token("acme"), &path, &vec![b' '; 5 << 20]), Some(413));
    // Settings of a newer operator: to be sent again, to a newer bridge.
    let newer = "/v1/alerts/tv/acme?settings=e30";
    assert_eq!(post(&token("acme"), newer, body.as_bytes()), Some(503));
    assert_eq!(
        bridge.value("drmwatch_bridge_notifications_total", "outcome=\"refused\""),
        7.0
    );
    assert!(place.tickets(&group.subject()).is_empty() && !text_of(&bridge.store).contains("forged"));
}

#[test]
fn what_can_not_be_kept_is_asked_for_again() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let group = Group::new("disk");
    fs::remove_dir_all(&bridge.store).unwrap();
    assert_eq!(bridge.send(&group), Some(503));
    fs::create_dir_all(&bridge.store).unwrap();
    assert_eq!(bridge.send(&group), Some(200));
    place.until(&group.subject(), "a ticket", |t| only(t, "new", 1));
    // A file that was damaged is put aside; the others are read.
    drop(bridge);
    fs::write(place.folder.path().join("store/drmwatch-0.json"), "{").unwrap();
    let bridge = place.bridge("store");
    assert!(bridge.log.lock().unwrap().contains("put aside"));
    assert!(bridge.store.join("drmwatch-0.unreadable").exists());
    bridge.send(&group.with(&[OVER]));
    place.until(&group.subject(), "solved", |t| only(t, "solved", 2));
}

#[test]
fn no_secret_is_in_a_log_a_file_or_a_metric() {
    let place = Place::new();
    let bridge = place.bridge("store");
    let group = Group::new("quiet");
    bridge.send(&group);
    place.until(&group.subject(), "a ticket", |t| t.len() == 1);
    bridge.post(&group.path(), "forged", b"{}");
    place.world.zendesk.set("gone", true);
    bridge.send(&group.with(&[OVER]));
    place.until("", "an error is logged", |_| {
        bridge.log.lock().unwrap().contains("can't be written")
    });
    let told = bridge.log.lock().unwrap().clone() + &text_of(&bridge.store);
    for secret in [
        harness::KEY,
        drmwatch_testkit::zendesk::CLIENT.1,
        &token("acme"),
        "zendesk-token-",
    ] {
        assert!(!told.contains(secret), "{secret}");
    }
}

#[test]
fn the_selftest_says_whether_the_bridge_is_let_in() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let output = place
            .command("store")
            .arg("--selftest")
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (well, said) = run(&["--with-ticket"]);
    assert!(
        well && said.contains("ok    the same request makes no second one"),
        "{said}"
    );
    assert!(
        place
            .tickets("drmwatch selftest")
            .iter()
            .all(|t| t["status"] == "solved")
    );
    fs::write(place.folder.path().join("secret"), "wrong").unwrap();
    let (well, said) = run(&[]);
    assert!(
        !well && said.contains("FAIL  the OAuth client is let in: Zendesk does not let the bridge in"),
        "{said}"
    );
    assert!(!said.contains("wrong"));
}
