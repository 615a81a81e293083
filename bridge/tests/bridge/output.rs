//! What the bridge does where nobody reads what it writes.

use drmwatch_testkit::streams::{closed_pipe, full_disk, terminal};
use std::process::{Command, Stdio};

/// A bridge that fails early: it has no secrets.
fn bridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch-bridge"));
    command
        .args(["--store", "/nowhere", "--key-file", "/nowhere"])
        .args(["--zendesk-url", "https://127.0.0.1", "--client-id", "id"])
        .args(["--client-secret-file", "/nowhere"])
        .env_remove("NO_COLOR")
        .env("TERM", "xterm");
    command
}

#[test]
fn a_log_that_can_not_be_written_is_no_panic() {
    for stream in [Stdio::from(closed_pipe().unwrap()), full_disk().unwrap().into()] {
        assert_eq!(bridge().stderr(stream).status().unwrap().code(), Some(1));
    }
}

#[test]
fn a_log_has_colors_on_a_terminal_only() {
    let output = bridge().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ERROR") && !said.contains('\x1b'), "{said:?}");
    let (screen, shown) = terminal().unwrap();
    assert_eq!(bridge().stderr(screen).status().unwrap().code(), Some(1));
    let shown = shown.whole();
    assert!(shown.contains("ERROR") && shown.contains('\x1b'), "{shown:?}");
}
