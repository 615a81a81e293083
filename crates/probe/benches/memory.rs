//! What one run of a stream step costs: memory, requests and bytes, with two renditions and with a hundred, in
//! the virtual world of the tests. `cargo bench -p drmwatch-probe`, or `make bench`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

#[path = "../tests/virtual_world/mod.rs"]
mod virtual_world;

use drmwatch_testkit::stage::Timing;
use std::{fmt::Write, sync::Arc};
use virtual_world::Play;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    for rungs in [2, 100] {
        let steps = "  - name: s\n    stream: {url: \"URL/clear/master.m3u8\", live: true}";
        let mut play = runtime.block_on(async {
            Play::new(steps, Timing::Exact, |theatre| {
                theatre.behind = Some(Arc::new(move |asked, told| {
                    if asked.file() == "master.m3u8" {
                        told.edit(|text| {
                            let mut text = text;
                            for n in 2..rungs {
                                let rate = 120_000 + n * 50_000;
                                let _ = writeln!(
                                    text,
                                    "#EXT-X-STREAM-INF:BANDWIDTH={rate},CODECS=\"avc1.4d4015,mp4a.40.2\",RESOLUTION=320x180,AUDIO=\"a\"\nhigh.m3u8?rung={n}"
                                );
                            }
                            text
                        });
                    }
                }));
            })
        });
        // The first run is the one that tries everything; the second is an ordinary minute.
        for when in ["first", "next "] {
            let mut outcome = None;
            let counted = allocation_counter::measure(|| {
                outcome = Some(runtime.block_on(play.run()));
            });
            let runs = play.runs.lock().unwrap();
            println!(
                "{rungs:3} rungs, {when} run: {} {:4} KiB at most, {:6} allocations, {:3} requests, {:4} KiB of answers",
                outcome.unwrap().verdict,
                counted.bytes_max / 1024,
                counted.count_total,
                runs.requests,
                runs.bytes / 1024
            );
            drop(runs);
            runtime.block_on(async { tokio::time::sleep(std::time::Duration::from_secs(60)).await });
        }
    }
}
