//! What benches share: an nginx, CPU times, a bare connection to measure against, spreads.
#![allow(dead_code)]

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A process that ends with the bench.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn await_port(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// CPU time of a process so far.
pub fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 wherever Linux runs.
    Duration::from_millis(ticks * 10)
}

/// A server as it is installed, over http and over TLS 1.3 with a certificate of P-256; on a third port one that also
/// insists on P-256 for the key exchange: it makes a client that offers X25519, as browsers do, ask twice.
pub fn nginx(folder: &Path, http: u16, https: u16, insists: u16) -> Ended {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters =
        rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    parameters.is_ca = rcgen::IsCa::ExplicitNoCa;
    let certificate = parameters.self_signed(&key).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    let at = folder.display();
    let tls = |port: u16, more: &str| {
        format!(
            " server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {at}/cert.pem; ssl_certificate_key {at}/key.pem; ssl_protocols TLSv1.3; {more}ssl_session_cache off; ssl_session_tickets off; location / {{ return 200 'it works'; }} }}\n"
        )
    };
    let servers = tls(https, "") + &tls(insists, "ssl_ecdh_curve prime256v1; ");
    let conf = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log stderr crit;\nevents {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_timeout 0; client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at}; uwsgi_temp_path {at}; scgi_temp_path {at};\n server {{ listen 127.0.0.1:{http}; location / {{ return 200 'it works'; }} }}\n{servers}}}\n"
    );
    fs::write(folder.join("nginx.conf"), conf).unwrap();
    let nginx = ["/usr/sbin/nginx", "nginx"]
        .into_iter()
        .find(|n| Path::new(n).exists())
        .unwrap_or("nginx");
    let child = Command::new(nginx)
        .args([
            "-c",
            &format!("{at}/nginx.conf"),
            "-p",
            &at.to_string(),
            "-e",
            "stderr",
        ])
        .stderr(Stdio::inherit())
        .spawn()
        .expect("nginx (make bench installs it)");
    await_port(http);
    Ended(child)
}

/// A client that trusts this certificate, and resumes nothing.
pub fn trusting(ca: &str) -> Arc<ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    // The same suites are offered: the peer is the loop, not the cipher.
    let builder = ClientConfig::builder_with_provider(Arc::new(drmwatch_net::provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[allow(clippy::disallowed_methods)]
pub async fn bare(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> usize {
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = Vec::new();
    match tls {
        None => {
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.read_to_end(&mut answer).await.unwrap();
        }
        Some(config) => {
            let name = ServerName::try_from("127.0.0.1").unwrap();
            let connector = tokio_rustls::TlsConnector::from(config.clone());
            let mut stream = connector.connect(name, stream).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let _ = stream.read_to_end(&mut answer).await;
        }
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    answer.len()
}

/// The median, with the least and the most.
pub fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    format!(
        "{:.2} ({:.2} to {:.2})",
        sorted[sorted.len() / 2],
        sorted[0],
        sorted[sorted.len() - 1]
    )
}
