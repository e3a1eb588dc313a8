//! Which address do others see a peer at? Answers STUN binding requests (RFC 8489) over UDP, and nothing else.
//!
//! Invariant: an answer is at most 24 bytes longer than its question, and there are no more of them than [`Room`] allows,
//! in all and for one network: nobody's traffic is multiplied here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::config::StunListen;
use crate::http::Stop;

/// Binds where the configuration says; by default beside the listener, at the same number if it is free. None: switched
/// off, or impossible, which the log says: peers on the open Internet then find each other less often.
pub async fn bind(configured: &StunListen, listener: SocketAddr) -> Option<UdpSocket> {
    let bound = match configured {
        StunListen::Off => return None,
        StunListen::At(address) => UdpSocket::bind(address).await,
        StunListen::Beside => match UdpSocket::bind(listener).await {
            Ok(socket) => Ok(socket),
            Err(_) => UdpSocket::bind((listener.ip(), 0)).await,
        },
    };
    bound.inspect_err(|error| tracing::warn!(%error, "no STUN here: set `stun_listen` in [edge], or \"off\"")).ok()
}

/// Answers until the server stops.
pub async fn serve(socket: Arc<UdpSocket>, stop: Stop) {
    let (mut room, mut question) = (Room::new(Instant::now()), [0; QUESTION_BYTES_MAX]);
    let answered = metrics::counter!("trellis_edge_stun_answers_total");
    loop {
        let (len, from) = tokio::select! {
            () = stop.wait() => return,
            received = socket.recv_from(&mut question) => match received {
                Ok(received) => received,
                // What an earlier answer met; there is no connection to lose.
                Err(_) => continue,
            },
        };
        if let Some(answer) = answer(&question[..len], from)
            && room.admits(Instant::now(), from.ip())
        {
            answered.increment(1);
            // A full buffer loses it, as the network might.
            let _ = socket.try_send_to(&answer, from);
        }
    }
}

/// The answer to a binding request. None: it is none, or one that wants more than we understand.
fn answer(question: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let (head, mut rest) = question.split_at_checked(HEAD_BYTES)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[..2] != BINDING_REQUEST || head[4..8] != COOKIE || length != rest.len() || !length.is_multiple_of(4) {
        return None;
    }
    while let Some((attribute, more)) = rest.split_at_checked(4) {
        let len = usize::from(u16::from_be_bytes([attribute[2], attribute[3]])).next_multiple_of(4);
        // The upper half may be passed over (§14).
        if attribute[0] < 0x80 {
            return None;
        }
        rest = more.get(len..)?;
    }
    let address = from.ip().to_canonical();
    // The mask of an address: the cookie, then the transaction id.
    let mask = &head[4..HEAD_BYTES];
    let masked = |octets: &[u8]| octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect::<Vec<_>>();
    let (family, octets) = match address {
        IpAddr::V4(v4) => (1, masked(&v4.octets())),
        IpAddr::V6(v6) => (2, masked(&v6.octets())),
    };
    let value = [&[0, family][..], &masked(&from.port().to_be_bytes()), &octets].concat();
    let len = value.len() as u16;
    let lengths = ((len + 4).to_be_bytes(), len.to_be_bytes());
    Some([&BINDING_SUCCESS[..], &lengths.0, mask, &XOR_MAPPED_ADDRESS, &lengths.1, &value].concat())
}

/// How many are answered: so many a second in all, and from one network.
struct Room {
    second: Instant,
    all: u32,
    /// Networks fall together by chance: a slot is for a few of them.
    networks: Box<[u8; SLOTS]>,
}

impl Room {
    fn new(now: Instant) -> Self {
        Self { second: now, all: 0, networks: Box::new([0; SLOTS]) }
    }

    fn admits(&mut self, now: Instant, from: IpAddr) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        let network = match from.to_canonical() {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        let slot = &mut self.networks[(network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize];
        let admitted = *slot < NETWORK_MAX && self.all < ALL_MAX;
        if admitted {
            *slot += 1;
            self.all += 1;
        }
        admitted
    }
}

const HEAD_BYTES: usize = 20;
/// A longer one has nothing we understand.
const QUESTION_BYTES_MAX: usize = 548;
const BINDING_REQUEST: [u8; 2] = [0, 1];
const BINDING_SUCCESS: [u8; 2] = [1, 1];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0, 0x20];
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const SLOTS: usize = 1 << 12;
/// A house full of viewers that come at once asks a few times each.
const NETWORK_MAX: u8 = 100;
/// A crowd of thousands within some seconds.
const ALL_MAX: u32 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    fn question(attributes: &[u8]) -> Vec<u8> {
        [&BINDING_REQUEST[..], &(attributes.len() as u16).to_be_bytes(), &COOKIE, &ID, attributes].concat()
    }

    #[tokio::test]
    async fn who_asks_hears_its_own_address_and_whatever_else_comes_is_not_answered() {
        let socket = Arc::new(bind(&StunListen::Beside, ([127, 0, 0, 1], 0).into()).await.unwrap());
        let (server, (_switch, stop)) = (socket.local_addr().unwrap(), Stop::new());
        tokio::spawn(serve(socket, stop));
        let client = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        for junk in [&b"GET / HTTP/1.1"[..], &[], &[0; 20]] {
            client.send_to(junk, server).await.unwrap();
        }
        client.send_to(&question(&[]), server).await.unwrap();
        let mut reply = [0; 64];
        let (len, _) =
            tokio::time::timeout(Duration::from_secs(5), client.recv_from(&mut reply)).await.unwrap().unwrap();
        let port = client.local_addr().unwrap().port() ^ 0x2112;
        let expected =
            [&[1, 1, 0, 12][..], &COOKIE, &ID, &[0, 0x20, 0, 8, 0, 1], &port.to_be_bytes(), &[0x5e, 0x12, 0xa4, 0x43]];
        assert_eq!(reply[..len], expected.concat());
    }

    #[test]
    fn what_is_not_understood_is_not_answered() {
        let from = "[2001:db8::1]:9".parse().unwrap();
        assert_eq!(answer(&question(&[]), from).map(|answer| answer.len()), Some(HEAD_BYTES + 24));
        let software = [&[0x80, 0x22, 0, 3][..], b"abc\0"].concat();
        assert!(answer(&question(&software), from).is_some());
        let change_request = [0, 3, 0, 4, 0, 0, 0, 6];
        for bad in [&change_request[..], &software[..4], &[0x80]] {
            assert_eq!(answer(&question(bad), from), None);
        }
        for len in 0..HEAD_BYTES {
            assert_eq!(answer(&question(&[])[..len], from), None);
        }
    }

    #[test]
    fn one_network_gets_so_many_answers_a_second_and_leaves_the_others_theirs() {
        let now = Instant::now();
        let mut room = Room::new(now);
        let (one, other) = ([192, 0, 2, 1].into(), [198, 51, 100, 7].into());
        assert_eq!((0..1_000).filter(|_| room.admits(now, one)).count(), usize::from(NETWORK_MAX));
        assert!(room.admits(now, other) && room.admits(now + Duration::from_secs(1), one));
    }

    #[test]
    fn however_many_networks_ask_or_are_said_to_so_many_answers_leave_in_a_second() {
        let now = Instant::now();
        let mut room = Room::new(now);
        let all = |room: &mut Room, at| (0..100_000_u32).filter(|n| room.admits(at, n.to_be_bytes().into())).count();
        assert_eq!(all(&mut room, now), ALL_MAX as usize);
        assert_eq!(all(&mut room, now + Duration::from_millis(999)), 0);
        assert_eq!(all(&mut room, now + Duration::from_secs(1)), ALL_MAX as usize);
    }
}
