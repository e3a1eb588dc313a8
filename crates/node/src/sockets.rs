//! Through which sockets do data channels go, and at which addresses are they reached?
//!
//! One UDP socket per family carries all connections. Addresses are those from which the outside and the edge are reached,
//! as routes say without a byte being sent: other interfaces lead to neither and would only cost each dial a few checks.
//! Loopback counts when there is nothing else, or when the edge is there.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use tokio::net::UdpSocket;

/// The sockets.
pub struct Sockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    hosts: Vec<SocketAddr>,
    /// Our address on the way to another: what that other sends came in there.
    ways: HashMap<IpAddr, IpAddr>,
}

impl Sockets {
    /// Binds. `edge` is where the edge is, if that is known.
    pub async fn bind(edge: Option<IpAddr>) -> io::Result<Self> {
        let addresses = addresses(edge);
        let family = |v6: bool| addresses.iter().any(|address| address.is_ipv6() == v6);
        let v4 = if family(false) { Some(bind(Ipv4Addr::UNSPECIFIED.into()).await?) } else { None };
        let v6 = if family(true) { bind(Ipv6Addr::UNSPECIFIED.into()).await.ok() } else { None };
        let mut sockets = Self { v4, v6, hosts: Vec::new(), ways: HashMap::new() };
        sockets.hosts = sockets.reached_at(&addresses);
        Ok(sockets)
    }

    /// The network may have become another one: looks again where others reach us.
    pub fn look_again(&mut self, edge: IpAddr) {
        self.ways.clear();
        self.hosts = self.reached_at(&addresses(Some(edge)));
    }

    fn reached_at(&self, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        let at = |ip: IpAddr| Some(SocketAddr::new(ip, self.of(ip)?.local_addr().ok()?.port()));
        addresses.iter().filter_map(|ip| at(*ip)).collect()
    }

    /// Where others reach us.
    pub fn hosts(&self) -> &[SocketAddr] {
        &self.hosts
    }

    /// Something may be here.
    pub async fn readable(&self) {
        let ready = async |socket: &Option<UdpSocket>| match socket {
            // What is wrong with the socket, the next look at it says.
            Some(socket) => drop(socket.readable().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = ready(&self.v4) => {}
            () = ready(&self.v6) => {}
        }
    }

    /// The next datagram that is here: its length, from where, and at which of our addresses it came in.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr, SocketAddr)> {
        let of = |socket: &Option<UdpSocket>, buffer: &mut [u8]| {
            let socket = socket.as_ref()?;
            let (length, source) = socket.try_recv_from(buffer).ok()?;
            Some((length, source, socket.local_addr().ok()?.port()))
        };
        let (length, source, port) = of(&self.v4, buffer).or_else(|| of(&self.v6, buffer))?;
        Some((length, source, SocketAddr::new(self.way_to(source.ip()), port)))
    }

    /// Sends, or not: who takes datagrams takes their loss.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if let Some(socket) = self.of(to.ip()) {
            let _ = socket.try_send_to(bytes, to);
        }
    }

    fn of(&self, ip: IpAddr) -> Option<&UdpSocket> {
        if ip.is_ipv4() { self.v4.as_ref() } else { self.v6.as_ref() }
    }

    fn way_to(&mut self, other: IpAddr) -> IpAddr {
        if let Some(way) = self.ways.get(&other) {
            return *way;
        }
        if self.ways.len() >= WAYS_MAX {
            self.ways.clear();
        }
        let way = source_for(other).unwrap_or(other);
        self.ways.insert(other, way);
        way
    }
}

async fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((ip, 0)).await?;
    // What the kernel does not grant is not needed; with the usual 200 KiB a busy moment costs packets.
    let _ = SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
    let _ = SockRef::from(&socket).set_send_buffer_size(BUFFER_BYTES);
    Ok(socket)
}

fn addresses(edge: Option<IpAddr>) -> Vec<IpAddr> {
    let outside = OUTSIDE.into_iter().filter_map(source_for);
    let mut found: Vec<IpAddr> = outside.chain(edge.and_then(source_for)).filter(is_of_use).collect();
    if found.iter().all(|ip| ip.is_loopback()) {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A link-local address says nothing without the interface it belongs to.
fn is_of_use(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// From which of our addresses is another reached? Connecting a UDP socket only picks a route.
fn source_for(other: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if other.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((other, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Addresses for documentation: nobody has them, and they lie outside.
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
const WAYS_MAX: usize = 1_024;
const BUFFER_BYTES: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_edge_on_this_machine_is_reached_from_it_and_a_datagram_says_where_it_came_in() {
        let mut sockets = Sockets::bind(Some(Ipv4Addr::LOCALHOST.into())).await.unwrap();
        let here = *sockets.hosts().iter().find(|host| host.ip() == Ipv4Addr::LOCALHOST).unwrap();
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        other.send_to(b"hello", here).await.unwrap();
        let mut buffer = [0; 64];
        sockets.readable().await;
        assert_eq!(sockets.receive(&mut buffer), Some((5, other.local_addr().unwrap(), here)));
        assert_eq!(sockets.receive(&mut buffer), None);
    }
}
