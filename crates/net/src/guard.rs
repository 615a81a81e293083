//! Which addresses may be connected to.
//!
//! A probe's URL, and every redirect that a server answers, would otherwise reach whatever the runner
//! can reach: cloud metadata, the cluster's own API, the node. So the guard stands between resolution
//! and connection, on the address itself, and again on every hop.

use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

/// The special-purpose registries of IANA (RFC 6890 and updates), besides the embedded forms of IPv4.
const SPECIAL: [&str; 27] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    "::ffff:0:0:0/96",
];

static DENIED: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| SPECIAL.iter().filter_map(|n| n.parse().ok()).collect());

/// The addresses that a pool allows.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
}

impl Guard {
    /// A guard that allows these special-purpose ranges, as CIDR, besides all public addresses. A range that does not parse
    /// allows nothing: whoever wrote it has been told.
    pub fn new(allow: &[String]) -> Guard {
        Guard {
            allowed: allow.iter().filter_map(|c| c.parse().ok()).collect(),
        }
    }

    /// Whether an address may be connected to.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = plain(ip);
        self.allowed.iter().any(|net| net.contains(&ip)) || !DENIED.iter().any(|net| net.contains(&ip))
    }
}

/// IPv4 in whatever dress: v4-mapped, v4-compatible, NAT64 and 6to4 addresses reach the IPv4 address
/// inside them.
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let embedded = |a: u16, b: u16| {
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => embedded(a, b),
        [0, 0, 0, 0, 0, 0, a, b] if v6 != Ipv6Addr::LOCALHOST && v6 != Ipv6Addr::UNSPECIFIED => {
            embedded(a, b)
        }
        [0x2002, a, b, ..] => embedded(a, b),
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &[&str], ip: &str) -> bool {
        let policy: Vec<String> = policy.iter().map(|c| c.to_string()).collect();
        Guard::new(&policy).allows(ip.parse().unwrap())
    }

    #[test]
    fn every_range_of_the_table_is_read() {
        assert_eq!(DENIED.len(), SPECIAL.len());
    }

    #[test]
    fn public_addresses_pass_and_special_ones_do_not() {
        for ip in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(allows(&[], ip), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "127.255.0.9",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.100.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "::7f00:1",
            "fec0::1",
        ] {
            assert!(!allows(&[], ip), "{ip}");
        }
    }

    #[test]
    fn a_pool_allows_what_it_names_and_nothing_beside_it() {
        assert!(allows(&["10.20.0.0/16"], "10.20.1.1"));
        assert!(allows(&["10.20.0.0/16"], "::ffff:10.20.1.1"));
        assert!(!allows(&["10.20.0.0/16"], "10.21.1.1"));
        assert!(!allows(&["nonsense"], "10.21.1.1"));
    }

    proptest::proptest! {
        #[test]
        fn no_dress_takes_ipv4_past_the_guard(v4: u32) {
            let bare = Guard::default().allows(IpAddr::V4(v4.into()));
            let v6 = |prefix: u128| IpAddr::V6(Ipv6Addr::from(prefix | u128::from(v4)));
            for dressed in [v6(0xffff << 32), v6(0x0064_ff9b << 96), IpAddr::V6(Ipv6Addr::from(0x2002u128 << 112 | u128::from(v4) << 80))] {
                assert_eq!(Guard::default().allows(dressed), bare, "{dressed}");
            }
        }
    }
}
