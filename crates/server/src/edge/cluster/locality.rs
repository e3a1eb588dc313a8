//! Where is a viewer, as far as its address tells?

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use trellis_core::locality::Locality;

/// What an address tells: same address, same house; same prefix (/24, /48), same neighborhood.
pub fn of(address: IpAddr) -> Locality {
    let prefix = match address {
        IpAddr::V4(v4) => number(&v4.octets()[..3]),
        IpAddr::V6(v6) => number(&v6.octets()[..6]),
    };
    let lan = match address {
        IpAddr::V4(v4) => number(&v4.octets()),
        // One house has a /64, and its machines change their addresses within it.
        IpAddr::V6(v6) => number(&v6.octets()[..8]),
    };
    Locality { lan, prefix, ..Locality::default() }
}

/// Not 0, which means unknown.
fn number(octets: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish().max(1)
}
