//! TCP connections, with the guard in front.

use super::{Client, Failure, failure};
use drmwatch_outcome::{Hop, Reason};
use futures::stream::{FuturesUnordered, StreamExt};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout_at},
};
use url::{Host, Url};

/// How long all attempts together may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Head start of each address over the next (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Resolves and connects; the hop gets its address and the phases `dns` and `connect`.
pub(super) async fn connect(
    client: &Client,
    url: &Url,
    only: Option<IpAddr>,
    deadline: Instant,
    hop: &mut Hop,
) -> Result<TcpStream, Failure> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = match only {
        Some(address) => vec![address],
        None => addresses(client, url, deadline, hop).await?,
    };
    let allowed: Vec<SocketAddr> = addresses
        .iter()
        .filter(|ip| client.guard.allows(**ip))
        .map(|ip| SocketAddr::new(*ip, port))
        .collect();
    let Some(first) = addresses.first().filter(|_| allowed.is_empty()) else {
        let started = Instant::now();
        let limit = deadline.min(started + CONNECT);
        let result = race(&allowed, host, limit).await;
        hop.phases.connect = Some(started.elapsed().as_secs_f64());
        let (stream, address) = result?;
        hop.address = Some(address.ip().to_string());
        return Ok(stream);
    };
    Err(Failure::inconclusive(
        Reason::AddressRefused,
        format!("{host} is {first}, which this pool does not allow (RunnerPool spec.egress.allowCidrs)"),
    ))
}

/// The addresses of a URL's host; the hop gets its phase `dns`.
pub(super) async fn addresses(
    client: &Client,
    url: &Url,
    deadline: Instant,
    hop: &mut Hop,
) -> Result<Vec<IpAddr>, Failure> {
    match url.host() {
        Some(Host::Ipv4(ip)) => return Ok(vec![IpAddr::V4(ip)]),
        Some(Host::Ipv6(ip)) => return Ok(vec![IpAddr::V6(ip)]),
        _ => {}
    }
    let host = url.host_str().unwrap_or_default();
    let started = Instant::now();
    let found = timeout_at(deadline, client.resolver.lookup(host))
        .await
        .unwrap_or_else(|_| {
            Err(Failure::inconclusive(
                Reason::LocalDns,
                "this runner's resolver did not answer in time",
            ))
        });
    hop.phases.dns = Some(started.elapsed().as_secs_f64());
    found
}

/// Tries the addresses with a head start for each, families in turn; the first that connects wins.
async fn race(
    addresses: &[SocketAddr],
    host: &str,
    limit: Instant,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let started = Instant::now();
    let mut attempts: FuturesUnordered<_> = interleave(addresses)
        .into_iter()
        .enumerate()
        .map(|(n, address)| async move {
            sleep_until(started + STAGGER * n as u32).await;
            // The door itself.
            #[allow(clippy::disallowed_methods)]
            let stream = TcpStream::connect(address).await?;
            let _ = stream.set_nodelay(true);
            Ok::<_, std::io::Error>((stream, address))
        })
        .collect();
    let mut last = None;
    let outcome = timeout_at(limit, async {
        while let Some(result) = attempts.next().await {
            match result {
                Ok(connected) => return Some(connected),
                Err(error) => last = Some(error),
            }
        }
        None
    })
    .await;
    match (outcome, last) {
        (Ok(Some(connected)), _) => Ok(connected),
        (Ok(None), Some(error)) => Err(failure::of_connect(&error, host)),
        _ => Err(Failure::fail(
            Reason::ConnectionTimeout,
            format!(
                "{host} did not accept a connection in {:.1} s",
                started.elapsed().as_secs_f64()
            ),
        )),
    }
}

fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.iter().partition(|a| a.is_ipv6());
    let length = v6.len().max(v4.len());
    (0..length)
        .flat_map(|n| [v6.get(n).copied(), v4.get(n).copied()])
        .flatten()
        .collect()
}
