//! Name resolution. Not getaddrinfo: in a static binary with `ndots:5` it can return nothing, and it
//! can't tell "there is no such name" from "nobody answered", which is the difference between the
//! tenant's failure and ours.

use super::Failure;
use drmwatch_plan::Reason;
use hickory_resolver::{TokioResolver, config::LookupIpStrategy, net::NetError};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// A resolver that remembers nothing: a lookup is part of what is measured.
#[derive(Clone)]
pub struct Resolver(Arc<TokioResolver>);

impl Resolver {
    /// The system's configuration (`/etc/resolv.conf`), with our bounds.
    pub fn system() -> Result<Resolver, NetError> {
        let mut builder = TokioResolver::builder_tokio()?;
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
