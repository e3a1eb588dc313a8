//! Which address is listened on, and which one opens it?

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// An address to listen on.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an address and a port: 127.0.0.1:8080, or 0.0.0.0:8080 for all networks".into())
}

/// An address others can type: the LAN one when listening on all.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    SocketAddr::new(lan().unwrap_or(IpAddr::from([127, 0, 0, 1])), address.port())
}

/// The address of the interface that leads outside. Nothing is sent: connecting a UDP socket only picks a route.
fn lan() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_can_be_opened() {
        let all = reachable(([0, 0, 0, 0], 8080).into());
        assert!(!all.ip().is_unspecified() && all.port() == 8080, "{all}");
        let one = ([127, 0, 0, 1], 1).into();
        assert_eq!(reachable(one), one);
    }
}
