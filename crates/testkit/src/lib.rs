//! A world to probe, for tests and the demo: a live origin whose window moves, a token service, a
//! ClearKey licence server, TLS with a CA of its own, a Slack-shaped receiver, a Zendesk, and a switch that breaks
//! each of them in turn. Real media, made by ffmpeg and shaka-packager (see `media/make.sh`).

pub mod drm;
mod faults;
mod http;
mod raw;
mod services;
pub mod stage;
pub mod streams;
mod tls;
pub mod zendesk;

pub use faults::{Fault, Faults};
pub use stage::{CANARY_KEY, CANARY_KID};
pub use tls::Certificates;

use std::{net::IpAddr, net::SocketAddr, sync::Arc};
use tokio::task::JoinSet;

/// Where the world listens, and its switches.
pub struct World {
    /// Plain HTTP/1.1: everything.
    pub http: SocketAddr,
    /// HTTPS with a good certificate, HTTP/1.1 and h2: everything.
    pub https: SocketAddr,
    /// HTTPS with a certificate that has expired.
    pub https_expired: SocketAddr,
    /// HTTPS with a certificate for another name.
    pub https_wrong_name: SocketAddr,
    /// HTTPS with a certificate of a CA that nobody trusts.
    pub https_untrusted: SocketAddr,
    /// HTTPS that demands a client certificate.
    pub https_mutual: SocketAddr,
    /// Misbehaving servers, by path: see [`raw`].
    pub raw: SocketAddr,
    /// The switches.
    pub faults: Arc<Faults>,
    /// The Zendesk.
    pub zendesk: Arc<zendesk::Zendesk>,
    /// CA, client certificate and key.
    pub certificates: Certificates,
    tasks: JoinSet<()>,
}

/// Ports of a world; 0 lets the system choose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Plain HTTP.
    pub http: u16,
    /// HTTPS.
    pub https: u16,
}

impl World {
    /// Starts a world on `ip`. It ends when it is dropped.
    pub async fn start(ip: IpAddr, ports: Ports) -> std::io::Result<World> {
        let faults = Arc::new(Faults::default());
        let certificates = Certificates::make(ip).map_err(std::io::Error::other)?;
        let zendesk = Arc::new(zendesk::Zendesk::default());
        let site = Arc::new(services::Site::new(
            faults.clone(),
            certificates.ca_pem.clone(),
            zendesk.clone(),
        ));
        let mut tasks = JoinSet::new();
        let http = http::serve(&mut tasks, SocketAddr::new(ip, ports.http), None, site.clone()).await?;
        let mut secure = async |port, config| {
            http::serve(&mut tasks, SocketAddr::new(ip, port), Some(config), site.clone()).await
        };
        let https = secure(ports.https, certificates.good()).await?;
        let https_expired = secure(0, certificates.expired()).await?;
        let https_wrong_name = secure(0, certificates.wrong_name()).await?;
        let https_untrusted = secure(0, certificates.untrusted()).await?;
        let https_mutual = secure(0, certificates.mutual()).await?;
        let raw = raw::serve(&mut tasks, SocketAddr::new(ip, 0)).await?;
        Ok(World {
            http,
            https,
            https_expired,
            https_wrong_name,
            https_untrusted,
            https_mutual,
            raw,
            faults,
            zendesk,
            certificates,
            tasks,
        })
    }

    /// Runs until it is dropped.
    pub async fn wait(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
