//! What the operator does where nobody reads what it writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs::File,
    process::{Command, Stdio},
};

fn operator() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch-operator"));
    // It fails early: there is no API server here.
    command
        .args(["--listen", "127.0.0.1:0"])
        .env("KUBECONFIG", "/nowhere")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("NO_COLOR")
        .env("TERM", "xterm");
    command
}

fn streams() -> [Stdio; 2] {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    [writer.into(), full.into()]
}

#[test]
fn a_log_that_can_not_be_written_is_no_panic() {
    for stream in streams() {
        let status = operator().stderr(stream).status();
        assert_eq!(status.unwrap().code(), Some(1));
    }
    let output = operator().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ERROR") && !said.contains('\x1b'), "{said:?}");
}

#[test]
fn a_help_text_that_can_not_be_written_is_a_failure() {
    for (stream, code) in streams().into_iter().zip([141, 1]) {
        let output = operator().arg("--help").stdout(stream).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said.is_empty(), code == 141, "{said}");
    }
}
