//! What a user wrote for one server is not for another: a manifest may name clocks and steering servers of
//! strangers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod virtual_world;

use drmwatch_testkit::stage::Timing;
use std::sync::{Arc, Mutex};
use virtual_world::{CDN_SECRET, Play, failed};

#[tokio::test(start_paused = true)]
async fn a_clock_on_another_host_gets_neither_headers_nor_token() {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let steps = "  - name: s\n    stream:\n      url: \"URL/clear/number.mpd\"\n      live: true\n      headers: [{name: authorization, value: \"Bearer ${credentials.cdn}\"}]\n      token: {wowzaSecureToken: {secretCredential: cdn}}";
    let log = seen.clone();
    let mut play = Play::new(steps, Timing::Exact, |theatre| {
        theatre.behind = Some(Arc::new(move |asked, told| {
            log.lock()
                .unwrap()
                .push((asked.host.clone(), format!("{} {:?}", asked.query, asked.headers)));
            if asked.is_manifest() {
                told.edit(|text| {
                    let from = text.find("urn:mpeg:dash:utc:direct:2014").unwrap();
                    let to = from + text[from..].find("/>").unwrap();
                    let clock = "urn:mpeg:dash:utc:http-iso:2014\" value=\"https://clock.example/now\"";
                    format!("{}{clock}{}", &text[..from], &text[to..])
                });
            } else if asked.host == "clock.example" {
                told.status = 200;
                told.body = asked.now.to_string().into();
            }
        }));
    });
    let outcome = play.run().await;
    assert!(failed(&outcome).is_empty(), "{outcome:#?}");
    let seen = seen.lock().unwrap();
    let (clock, origin): (Vec<_>, Vec<_>) = seen.iter().partition(|(host, _)| host == "clock.example");
    assert!(!clock.is_empty() && !origin.is_empty());
    for (_, sent) in &clock {
        assert!(
            !sent.contains(CDN_SECRET) && !sent.contains("wowzatoken"),
            "{sent}"
        );
    }
    assert!(
        origin
            .iter()
            .all(|(_, sent)| sent.contains(CDN_SECRET) && sent.contains("wowzatokenhash"))
    );
}
