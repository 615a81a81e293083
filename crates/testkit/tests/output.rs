//! The practice service as a program: where nobody reads its output, and where its port is taken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_testkit::streams::{closed_pipe, full_disk};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn world(port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drmwatch-world"));
    command.args(["--https-port", "0", "--http-port", &port.to_string()]);
    command
}

fn healthy(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut said = String::new();
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let _ = stream.read_to_string(&mut said);
    said.starts_with("HTTP/1.1 200")
}

#[test]
fn it_serves_even_if_it_can_not_say_where() {
    for stream in [Stdio::from(closed_pipe().unwrap()), full_disk().unwrap().into()] {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut child = world(port).stdout(stream).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !healthy(port) {
            assert!(child.try_wait().unwrap().is_none(), "it has ended");
            assert!(Instant::now() < deadline, "it does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = world(address.port()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("can't listen on {address}: Address already in use")),
        "{said}"
    );
}
