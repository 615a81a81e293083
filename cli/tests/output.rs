//! What commands do where nobody reads what they print, and where there is no room for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Dice, Of, ok, record, second, store};
use drmwatch_testkit::streams::{closed_pipe, full_disk, terminal};
use std::{
    path::Path,
    process::{Command, Output},
};

fn drmwatch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch"));
    command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
    command
}

/// It ends with this status and, on standard error, says this and never that it panicked.
fn ended(output: &Output, code: i32, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    match says {
        "" => assert_eq!(said, "", "it must be quiet"),
        says => assert!(said.contains(says), "{said}"),
    }
}

/// An hour of results of the tenant tv/acme, in a store of its own.
async fn results(place: &Path) {
    let keys = place.join("keys");
    ok(&["keys", "create", "--keys", keys.to_str().unwrap(), "tv/acme"]);
    let of = Of {
        tenant: "acme",
        probe: "acme-news",
        region: "eu",
        interval: 60,
    };
    let first = second("2026-06-01T12:00:00Z");
    let records = (0..60).map(|n| record(&of, first + n * 60, &mut Dice(n as u64)));
    store(place).append("hour", records.collect()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_prints_ends_quietly_when_its_reader_is_gone_and_fails_on_a_full_disk() {
    let place = tempfile::tempdir().unwrap();
    results(place.path()).await;
    let (store, keys) = (place.path().join("store"), place.path().join("keys"));
    let of = [
        "--store",
        store.to_str().unwrap(),
        "--keys",
        keys.to_str().unwrap(),
    ];
    let mut results = vec!["results", "--tenant", "tv/acme", "--day", "2026-06-01"];
    results.extend(of);
    for args in [
        results,
        vec!["postgres", "schema"],
        vec!["--help"],
        vec!["results", "--help"],
    ] {
        let run = |stdout: std::process::Stdio| drmwatch().args(&args).stdout(stdout).output().unwrap();
        ended(&run(closed_pipe().unwrap().into()), 141, "");
        let code = if args.contains(&"--help") { 1 } else { 2 };
        ended(
            &run(full_disk().unwrap().into()),
            code,
            "standard output can't be written: No space",
        );
        // Where somebody reads, there is something to read.
        let output = drmwatch().args(&args).output().unwrap();
        ended(&output, 0, "");
        assert!(output.stdout.len() > 200 && !output.stdout.contains(&0x1b));
    }
    // What went wrong stays wrong, even if it can't be said.
    for stream in [closed_pipe().unwrap().into(), full_disk().unwrap().into()] {
        let stream: std::process::Stdio = stream;
        let status = drmwatch()
            .args(["results", "--tenant", "tv/nobody"])
            .args(of)
            .stderr(stream)
            .status();
        assert_eq!(status.unwrap().code(), Some(2));
    }
}

#[test]
fn what_changes_something_is_finished_first() {
    for (full, code) in [(false, 141), (true, 2)] {
        let place = tempfile::tempdir().unwrap();
        let keys = place.path().join("keys");
        let stdout: std::process::Stdio = match full {
            false => closed_pipe().unwrap().into(),
            true => full_disk().unwrap().into(),
        };
        let output = drmwatch()
            .args(["keys", "create", "tv/a", "tv/b", "tv/c", "--keys"])
            .arg(&keys)
            .stdout(stdout)
            .output()
            .unwrap();
        ended(
            &output,
            code,
            if full {
                "standard output can't be written"
            } else {
                ""
            },
        );
        // `names`, and a key of each tenant.
        assert_eq!(std::fs::read_dir(&keys).unwrap().count(), 4);
    }
}

#[test]
fn a_help_text_has_colors_on_a_terminal_only() {
    for (no_color, colors) in [("", true), ("1", false)] {
        let (screen, shown) = terminal().unwrap();
        let status = drmwatch()
            .arg("--help")
            .env("NO_COLOR", no_color)
            .stdout(screen)
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(shown.whole().contains('\x1b'), colors, "NO_COLOR={no_color}");
    }
}
