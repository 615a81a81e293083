//! Healthy live streams of each format for hours of virtual time, with packagers that are punctual and with
//! packagers as they are: no check may fail, of whatever severity.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod virtual_world;

use drmwatch_testkit::stage::Timing;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;
use virtual_world::{Play, failed, made};

const STREAMS: [&str; 17] = [
    "clear/master.m3u8",
    "cenc/master.m3u8",
    "cbcs/master.m3u8",
    "uneven/master.m3u8",
    "clear/pathways.m3u8",
    "parts/master.m3u8",
    "ts/master.m3u8",
    "aes/master.m3u8",
    "clear/manifest.mpd",
    "cenc/manifest.mpd",
    "cbcs/manifest.mpd",
    "uneven/manifest.mpd",
    "clear/periods.mpd",
    "clear/bases.mpd",
    "clear/number.mpd",
    "parts/low.mpd",
    "smooth/Manifest",
];

async fn soak(timing: Timing, runs: usize, interval: u64) {
    let mut wrong = Vec::new();
    let mut checks = BTreeSet::new();
    for stream in STREAMS.into_iter().chain(["hds/manifest.f4m"]) {
        let steps = format!("  - name: s\n    stream: {{url: \"URL/{stream}\", live: true}}");
        let mut play = Play::new(&steps, timing, |_| {});
        for run in 0..runs {
            let outcome = play.run().await;
            checks.extend(made(&outcome));
            for (check, detail) in failed(&outcome) {
                wrong.push(format!("{stream}, run {run}: {check} {detail}"));
            }
            if wrong.len() > 20 {
                break;
            }
            // Not in step with segments or loops.
            sleep(Duration::from_millis(interval * 1000 + 37 * (run as u64 % 50))).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A soak of checks that are all skipped would prove nothing.
    assert!(
        checks.len() > 60,
        "only {} checks were made: {checks:?}",
        checks.len()
    );
}

#[tokio::test(start_paused = true)]
async fn two_hours_of_punctual_packagers_raise_no_alarm() {
    soak(Timing::Exact, 120, 60).await;
}

#[tokio::test(start_paused = true)]
async fn two_hours_of_packagers_that_are_late_and_publish_before_they_have_raise_no_alarm() {
    soak(Timing::Jittery, 120, 60).await;
}

#[tokio::test(start_paused = true)]
async fn probes_every_five_seconds_raise_no_alarm() {
    soak(Timing::Jittery, 240, 5).await;
}
