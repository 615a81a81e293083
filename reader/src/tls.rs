//! TLS, with a certificate that is read anew when it changes: cert-manager renews it while we run.

use rustls::{ServerConfig, crypto::CryptoProvider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::warn;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Where certificate and key lie.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    fn read(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
        };
        Ok((read(&self.certificate)?, read(&self.key)?))
    }

    fn acceptor(&self, certificate: &[u8], key: &[u8]) -> io::Result<TlsAcceptor> {
        let wrong = |path: &PathBuf, why: String| io::Error::other(format!("{}: {why}", path.display()));
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|e| wrong(&self.certificate, e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong(&self.key, e.to_string()))?;
        let provider: CryptoProvider = rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| wrong(&self.certificate, e.to_string()))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Connections whose handshake is done.
pub struct Listener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener {
    /// Accepts until the program ends.
    pub fn new(listener: TcpListener, files: Files) -> io::Result<Listener> {
        let address = listener.local_addr()?;
        let (tell, ready) = mpsc::channel(64);
        let mut read = files.read()?;
        let mut acceptor = files.acceptor(&read.0, &read.1)?;
        tokio::spawn(async move {
            let mut look = interval(LOOK);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = look.tick() => {
                        // Files that do not fit together are between two renewals: what is there goes on.
                        let changed = files.read().ok().filter(|now| *now != read);
                        let fresh = changed.and_then(|now| Some((files.acceptor(&now.0, &now.1).ok()?, now)));
                        if let Some((fresh, now)) = fresh {
                            (acceptor, read) = (fresh, now);
                        }
                        continue;
                    }
                };
                let Ok((stream, from)) = accepted else {
                    // Out of descriptors: others must end first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                // One who is slow with it holds up nobody else.
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                tokio::spawn(async move {
                    match timeout(PATIENCE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => drop(tell.send((stream, from)).await),
                        Ok(Err(error)) => warn!(%error, %from, "a TLS handshake failed"),
                        Err(_) => warn!(%from, "a TLS handshake took too long"),
                    }
                });
            }
        });
        Ok(Listener { ready, address })
    }
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The task above does not end while we are there.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
