//! Through which sockets do data channels go, and at which addresses are they reached?
//!
//! One UDP socket per family carries all connections. Addresses are those from which the outside and the edge are reached,
//! as routes say without a byte being sent: other interfaces lead to neither and would only cost each dial a few checks.
//! Loopback counts when there is nothing else, or when the edge is there.
//!
//! A datagram at a time costs a call of the kernel and its way through all of it; so datagrams of one length to one address
//! go as a train (UDP segmentation offload), and come in as one where the kernel knows how.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The sockets.
pub struct Sockets {
    v4: Option<Socket>,
    v6: Option<Socket>,
    hosts: Vec<SocketAddr>,
    /// Our address on the way to another: what that other sends came in there.
    ways: HashMap<IpAddr, IpAddr>,
    train: Train,
}

/// What came in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// All of it, bytes.
    pub length: usize,
    /// Of each datagram but the last, which may be shorter.
    pub each: usize,
    pub source: SocketAddr,
    /// At which of our addresses.
    pub destination: SocketAddr,
}

struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
}

/// What goes out at once: datagrams of one length to one address, of which the last may be shorter.
struct Train {
    to: SocketAddr,
    each: usize,
    bytes: Vec<u8>,
}

impl Sockets {
    /// Binds. `edge` is where the edge is, if that is known.
    pub async fn bind(edge: Option<IpAddr>) -> io::Result<Self> {
        let addresses = addresses(edge);
        let family = |v6: bool| addresses.iter().any(|address| address.is_ipv6() == v6);
        let v4 = if family(false) { Some(Socket::bind(Ipv4Addr::UNSPECIFIED.into()).await?) } else { None };
        let v6 = if family(true) { Socket::bind(Ipv6Addr::UNSPECIFIED.into()).await.ok() } else { None };
        let mut sockets = Self { v4, v6, hosts: Vec::new(), ways: HashMap::new(), train: Train::new() };
        sockets.hosts = sockets.reached_at(&addresses);
        Ok(sockets)
    }

    /// The network may have become another one: looks again where others reach us.
    pub fn look_again(&mut self, edge: IpAddr) {
        self.ways.clear();
        self.hosts = self.reached_at(&addresses(Some(edge)));
    }

    fn reached_at(&self, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        let at = |ip: IpAddr| Some(SocketAddr::new(ip, self.of(ip)?.port()?));
        addresses.iter().filter_map(|ip| at(*ip)).collect()
    }

    /// Where others reach us.
    pub fn hosts(&self) -> &[SocketAddr] {
        &self.hosts
    }

    /// Something may be here.
    pub async fn readable(&self) {
        let ready = async |socket: &Option<Socket>| match socket {
            // What is wrong with the socket, the next look at it says.
            Some(socket) => drop(socket.udp.readable().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = ready(&self.v4) => {}
            () = ready(&self.v6) => {}
        }
    }

    /// What is here next; one call's worth. `buffer` holds [`ARRIVAL_BYTES_MAX`].
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<Arrival> {
        let of = |socket: &Option<Socket>, buffer: &mut [u8]| {
            let socket = socket.as_ref()?;
            Some((socket.receive(buffer)?, socket.port()?))
        };
        let (meta, port) = of(&self.v4, buffer).or_else(|| of(&self.v6, buffer))?;
        let destination = SocketAddr::new(self.way_to(meta.addr.ip()), port);
        // An empty datagram has no length to go by.
        Some(Arrival { length: meta.len, each: meta.stride.max(1), source: meta.addr, destination })
    }

    /// Sends after what waits, or not: who takes datagrams takes their loss.
    pub fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        self.put(to, bytes);
        self.flush();
    }

    /// Puts a datagram in line for the next [`Self::flush`].
    pub fn put(&mut self, to: SocketAddr, bytes: &[u8]) {
        let most = self.of(to.ip()).map_or(1, |socket| socket.state.max_gso_segments().min(TRAIN_MAX));
        if !self.train.takes(to, bytes.len(), most) {
            self.flush();
        }
        self.train.add(to, bytes);
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        if let Some(socket) = self.of(self.train.to.ip()).filter(|_| !self.train.bytes.is_empty()) {
            socket.send(&self.train);
        }
        self.train.bytes.clear();
    }

    fn of(&self, ip: IpAddr) -> Option<&Socket> {
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

impl Socket {
    async fn bind(ip: IpAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind((ip, 0)).await?;
        // What the kernel does not grant is not needed; with the usual 200 KiB a busy moment costs packets.
        let _ = SockRef::from(&udp).set_recv_buffer_size(BUFFER_BYTES);
        let _ = SockRef::from(&udp).set_send_buffer_size(BUFFER_BYTES);
        let state = UdpSocketState::new((&udp).into())?;
        Ok(Self { udp, state })
    }

    fn port(&self) -> Option<u16> {
        Some(self.udp.local_addr().ok()?.port())
    }

    fn receive(&self, buffer: &mut [u8]) -> Option<RecvMeta> {
        let mut meta = [RecvMeta::default()];
        let mut receive = || self.state.recv((&self.udp).into(), &mut [IoSliceMut::new(buffer)], &mut meta);
        self.udp.try_io(Interest::READABLE, &mut receive).ok()?;
        Some(meta[0])
    }

    fn send(&self, train: &Train) {
        let segment_size = Some(train.each).filter(|each| *each < train.bytes.len());
        let transmit =
            Transmit { destination: train.to, ecn: None, contents: &train.bytes, segment_size, src_ip: None };
        // Not by way of the runtime: of a new socket it does not know yet that something can be sent.
        let _ = self.state.try_send((&self.udp).into(), &transmit);
    }
}

impl Train {
    fn new() -> Self {
        Self { to: (Ipv4Addr::UNSPECIFIED, 0).into(), each: 0, bytes: Vec::new() }
    }

    /// May a datagram of that length be one of it, of so many at most?
    fn takes(&self, to: SocketAddr, length: usize, most: usize) -> bool {
        let even = self.bytes.len().is_multiple_of(self.each.max(1));
        let fits = length <= self.each && self.bytes.len() < self.each * most;
        self.bytes.is_empty() || to == self.to && even && fits
    }

    fn add(&mut self, to: SocketAddr, bytes: &[u8]) {
        if self.bytes.is_empty() {
            (self.to, self.each) = (to, bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }
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
/// As many as a chunk takes: what the network or a full buffer drops should not be more.
const TRAIN_MAX: usize = 16;
/// What one call of the kernel brings at most.
pub const ARRIVAL_BYTES_MAX: usize = 64 * 1024;
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
        let source = other.local_addr().unwrap();
        assert_eq!(sockets.receive(&mut buffer), Some(Arrival { length: 5, each: 5, source, destination: here }));
        assert_eq!(sockets.receive(&mut buffer), None);
    }

    #[tokio::test]
    async fn datagrams_put_in_line_come_each_for_itself_and_in_order() {
        let mut sockets = Sockets::bind(Some(Ipv4Addr::LOCALHOST.into())).await.unwrap();
        let others = [bound().await, bound().await];
        // Two lengths, a shorter one in between, more than one train, and another address.
        let lengths = std::iter::repeat_n(1_200, 20).chain([300, 1_200, 1_200, 1_300, 7]);
        let put: Vec<_> = lengths.enumerate().map(|(n, length)| vec![n as u8; length]).collect();
        for datagram in &put {
            sockets.put(others[0].local_addr().unwrap(), datagram);
        }
        sockets.put(others[1].local_addr().unwrap(), b"elsewhere");
        sockets.flush();
        let mut buffer = [0; 2_000];
        for datagram in &put {
            let length = others[0].recv(&mut buffer).await.unwrap();
            assert_eq!(buffer[..length], datagram[..]);
        }
        let length = others[1].recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"elsewhere");
    }

    #[tokio::test]
    async fn what_comes_in_at_once_is_told_with_the_length_of_each() {
        let mut sockets = Sockets::bind(Some(Ipv4Addr::LOCALHOST.into())).await.unwrap();
        let mut other = Sockets::bind(Some(Ipv4Addr::LOCALHOST.into())).await.unwrap();
        let here = *sockets.hosts().iter().find(|host| host.ip() == Ipv4Addr::LOCALHOST).unwrap();
        let sent: Vec<_> = (0..10).map(|n| vec![n; if n < 9 { 1_200 } else { 50 }]).collect();
        sent.iter().for_each(|datagram| other.put(here, datagram));
        other.flush();
        let (mut buffer, mut came) = (vec![0; ARRIVAL_BYTES_MAX], Vec::new());
        while came.len() < sent.len() {
            sockets.readable().await;
            while let Some(arrival) = sockets.receive(&mut buffer) {
                came.extend(buffer[..arrival.length].chunks(arrival.each).map(<[u8]>::to_vec));
            }
        }
        assert_eq!(came, sent);
    }

    async fn bound() -> UdpSocket {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
    }
}
