//! moto, as S3 and KMS.
// It is no tenant.
#![allow(clippy::disallowed_methods)]

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::net::TcpStream;

/// It runs until it is dropped.
pub struct Moto(Child, pub SocketAddr);

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it; None: there is no Python with it.
#[allow(clippy::print_stdout)]
pub async fn moto() -> Option<Moto> {
    let Ok(python) = std::env::var("RESULTS_ORACLE") else {
        println!("skipped: RESULTS_ORACLE names no Python with moto (make results)");
        return None;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = Command::new(python)
        .args([
            "-m",
            "moto.server",
            "-H",
            "127.0.0.1",
            "-p",
            &free.port().to_string(),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let moto = Moto(child, free);
    for _ in 0..300 {
        if TcpStream::connect(free).await.is_ok() {
            return Some(moto);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("moto does not listen");
}
