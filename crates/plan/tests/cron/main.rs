//! Cron against robfig/cron 3.0.1 itself: golden times made by `e2e/oracles/cron` (a Go program), over zones that change
//! their clocks by an hour, by half of one, at midnight, and not at all; leap days; `@every`; rejects.
//! `CRON_ORACLE=FILE` takes fresh ones (`make opinions`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_plan::Cron;
use jiff::Timestamp;
use serde::Deserialize;
use std::io::Read;

#[derive(Deserialize)]
struct Row {
    s: String,
    z: String,
    a: i64,
    n: Vec<i64>,
    #[serde(default)]
    e: bool,
}

#[test]
fn robfigs_times_are_ours() {
    let mut text = String::new();
    match std::env::var_os("CRON_ORACLE") {
        Some(file) => text = std::fs::read_to_string(file).unwrap(),
        None => {
            let packed = &include_bytes!("golden.jsonl.gz")[..];
            flate2::read::GzDecoder::new(packed)
                .read_to_string(&mut text)
                .unwrap();
        }
    }
    let (mut times, mut refused, mut wrong) = (0, 0, Vec::new());
    for line in text.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        let cron = match (Cron::parse(&row.s, Some(&row.z)), row.e) {
            (Ok(cron), false) => cron,
            (Err(_), true) => {
                refused += 1;
                continue;
            }
            (ours, theirs) => {
                wrong.push(format!(
                    "{:?}: ours {ours:?}, theirs is an error: {theirs}",
                    row.s
                ));
                continue;
            }
        };
        let mut at = Timestamp::from_second(row.a).unwrap();
        let mut found = Vec::new();
        // One more where theirs ended: it never comes.
        while found.len() < row.n.len().max(1) {
            match cron.next(at) {
                Some(next) => (at, _) = (next, found.push(next.as_second())),
                None => break,
            }
        }
        times += row.n.len();
        if found != row.n {
            wrong.push(format!(
                "{:?} in {} after {}: {found:?}, not {:?}",
                row.s, row.z, row.a, row.n
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(times > 20_000 && refused > 20, "{times} times, {refused} rejects");
}
