//! Which addresses are the public internet's, and which are somebody's own.
//!
//! From IANA's registries of special-purpose addresses (RFC 6890 and those that added to it): what is not
//! globally reachable is nobody's to ask for a caller, and neither is what only wraps another address.

use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

/// Networks that are not the public internet's. Of IPv6 only 2000::/3 is, but for these.
const SPECIAL: [&str; 22] = [
    // "This network", private use, shared address space, loopback, link-local (and with it metadata services).
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    // Protocol assignments, documentation, 6to4 relays, benchmarks.
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    // Multicast, reserved, broadcast.
    "224.0.0.0/4",
    "240.0.0.0/4",
    // Teredo, ORCHID, benchmarks and others of the protocol block; 6to4; documentation; segment routing.
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "2620:4f:8000::/48",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
];

static NETWORKS: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| SPECIAL.iter().filter_map(|net| net.parse().ok()).collect());
static GLOBAL_V6: LazyLock<Option<IpNet>> = LazyLock::new(|| "2000::/3".parse().ok());

/// The address that a packet goes to in the end: an IPv4 one that an IPv6 one only wraps.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Whether the address is the public internet's.
pub(super) fn is_public(address: IpAddr) -> bool {
    let address = plain(address);
    let is_special = NETWORKS.iter().any(|network| network.contains(&address));
    !is_special && (address.is_ipv4() || GLOBAL_V6.as_ref().is_some_and(|global| global.contains(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s25_only_the_public_internet_is_public() {
        assert_eq!((NETWORKS.len(), GLOBAL_V6.is_some()), (SPECIAL.len(), true), "all are read");
        for own in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
            "fd00:ec2::254",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
        for public in
            ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1", "2a00:1450::1", "::ffff:8.8.8.8"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
