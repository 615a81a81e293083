//! Name resolution. Not getaddrinfo: in a static binary with `ndots:5` it can return nothing, and it
//! can't tell "there is no such name" from "nobody answered", which is the difference between the
//! tenant's failure and ours.

use super::Failure;
use drmwatch_outcome::Reason;
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// A resolver that remembers nothing: a lookup is part of what is measured.
#[derive(Clone)]
pub struct Resolver(Arc<TokioResolver>);

impl Resolver {
    /// The system's configuration (`/etc/resolv.conf`), with our bounds.
    pub fn system() -> Result<Resolver, NetError> {
        Resolver::bounded(TokioResolver::builder_tokio()?)
    }

    /// Asks this name server alone, with our bounds.
    pub fn of(server: SocketAddr) -> Result<Resolver, NetError> {
        let mut name_server = NameServerConfig::udp(server.ip());
        for connection in &mut name_server.connections {
            connection.port = server.port();
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
        Resolver::bounded(TokioResolver::builder_with_config(
            config,
            TokioRuntimeProvider::default(),
        ))
    }

    fn bounded(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Resolver, NetError> {
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = Duration::from_secs(2);
        options.attempts = 2;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // A name with a dot is tried as it stands first; search domains are for the cluster's own names.
        options.ndots = 1;
        Ok(Resolver(Arc::new(builder.build()?)))
    }

    /// The addresses of a host.
    pub(super) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        match self.0.lookup_ip(host).await {
            Ok(found) => {
                let mut addresses: Vec<IpAddr> = found.iter().collect();
                addresses.dedup();
                match addresses.is_empty() {
                    true => Err(Failure::fail(
                        Reason::DnsFailure,
                        format!("the name {host} has no address"),
                    )),
                    false => Ok(addresses),
                }
            }
            Err(error) if error.is_nx_domain() => Err(Failure::fail(
                Reason::DnsFailure,
                format!("the name {host} does not exist"),
            )),
            Err(error) if error.is_no_records_found() => Err(Failure::fail(
                Reason::DnsFailure,
                format!("the name {host} has no address"),
            )),
            // A resolver answered, and what it says is about the name.
            Err(error @ NetError::Dns(_)) => Err(Failure::fail(
                Reason::DnsFailure,
                format!("the name {host} can't be resolved: {error}"),
            )),
            Err(error) => Err(Failure::inconclusive(
                Reason::LocalDns,
                format!("this runner's resolver does not answer: {error}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_outcome::Verdict;
    use tokio::net::UdpSocket;

    fn resolver(at: SocketAddr) -> Resolver {
        Resolver::of(at).unwrap()
    }

    /// A name server that answers every question with one response code and nothing else (RFC 1035
    /// section 4.1.1).
    async fn answering(code: u8) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                (packet[2], packet[3]) = (0x81, 0x80 | code);
                // The question stays; additional records (EDNS) go.
                packet[10..12].fill(0);
                let question = packet[12..length].iter().position(|b| *b == 0).unwrap() + 12 + 5;
                let _ = socket.send_to(&packet[..question], from).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_the_tenants_failure() {
        let failure = resolver(answering(3).await)
            .lookup("nowhere.example")
            .await
            .unwrap_err();
        assert_eq!(failure.verdict, Verdict::Fail(Reason::DnsFailure), "{failure:?}");
        assert_eq!(failure.message, "the name nowhere.example does not exist");
        let failure = resolver(answering(2).await)
            .lookup("broken.example")
            .await
            .unwrap_err();
        assert_eq!(failure.verdict, Verdict::Fail(Reason::DnsFailure), "{failure:?}");
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_is_not() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let failure = resolver(silent.local_addr().unwrap())
            .lookup("any.example")
            .await
            .unwrap_err();
        assert_eq!(
            failure.verdict,
            Verdict::Inconclusive(Reason::LocalDns),
            "{failure:?}"
        );
        let dead = silent.local_addr().unwrap();
        drop(silent);
        let failure = resolver(dead).lookup("any.example").await.unwrap_err();
        assert_eq!(
            failure.verdict,
            Verdict::Inconclusive(Reason::LocalDns),
            "{failure:?}"
        );
    }
}
