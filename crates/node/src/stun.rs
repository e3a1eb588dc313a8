//! Where does the outside see us? The edge's STUN server says (RFC 8489), asked through the socket data channels use.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::time::timeout_at;
use trellis_proto::frame::Nat;

use crate::sockets::{ARRIVAL_BYTES_MAX, Arrival, Sockets};

/// A question that was put and not answered yet; it is put again some times.
pub struct Question {
    server: SocketAddr,
    id: [u8; 12],
    sent: usize,
    due: Instant,
}

/// What there is to do about a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this to the server.
    Send(SocketAddr, [u8; 20]),
    /// Wait until then.
    Wait(Instant),
    /// No answer comes; as far as one can tell, UDP is blocked.
    GiveUp,
}

impl Question {
    /// To this server, at once. None: no id can be made up.
    pub fn new(server: SocketAddr, now: Instant) -> Option<Self> {
        let mut id = [0; 12];
        getrandom::fill(&mut id).ok()?;
        Some(Self { server, id, sent: 0, due: now })
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Instant) -> Next {
        if now < self.due {
            return Next::Wait(self.due);
        }
        let Some(wait) = WAITS.get(self.sent) else { return Next::GiveUp };
        self.sent += 1;
        self.due = now + *wait;
        Next::Send(self.server, request(self.id))
    }

    /// When [`Self::next`] is to be called.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Where the outside sees us, if this datagram answers.
    pub fn answered(&self, source: SocketAddr, datagram: &[u8]) -> Option<SocketAddr> {
        mapped(datagram, self.id).filter(|_| source == self.server)
    }
}

/// Asks before anything else is to come through the sockets. None: no answer comes.
pub async fn ask(sockets: &mut Sockets, server: SocketAddr) -> Option<SocketAddr> {
    let mut question = Question::new(server, Instant::now())?;
    let mut buffer = vec![0; ARRIVAL_BYTES_MAX];
    loop {
        let until = match question.next(Instant::now()) {
            Next::Send(server, request) => {
                sockets.send(server, &request);
                continue;
            }
            Next::Wait(until) => until,
            Next::GiveUp => return None,
        };
        // Too late is no answer: then the question is put again.
        if timeout_at(until.into(), sockets.readable()).await.is_ok() {
            while let Some(Arrival { length, each, source, .. }) = sockets.receive(&mut buffer) {
                let seen = buffer[..length].chunks(each).find_map(|datagram| question.answered(source, datagram));
                if seen.is_some() {
                    return seen;
                }
            }
        }
    }
}

/// How far behind the address that the outside sees can we be reached? `seen`: none while nobody was asked; of an answer
/// that did not come, no address.
pub fn nat(hosts: &[SocketAddr], seen: Option<Option<SocketAddr>>) -> Nat {
    match seen {
        Some(None) => Nat::Blocked,
        Some(Some(seen)) if hosts.contains(&seen) => Nat::Open,
        // One port does not tell a cone from something worse.
        None | Some(Some(_)) => Nat::Unknown,
    }
}

/// A binding request without attributes.
fn request(id: [u8; 12]) -> [u8; 20] {
    let mut message = [0; 20];
    message[1] = 1;
    message[4..8].copy_from_slice(&COOKIE);
    message[8..].copy_from_slice(&id);
    message
}

/// The address in a binding response to the request of this id.
fn mapped(message: &[u8], id: [u8; 12]) -> Option<SocketAddr> {
    let (head, mut rest) = message.split_first_chunk::<20>()?;
    if head[..2] != [1, 1] || head[4..8] != COOKIE || head[8..] != id {
        return None;
    }
    while let Some((&[k0, k1, l0, l1], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = after.get(..length)?;
        if [k0, k1] == XOR_MAPPED_ADDRESS {
            return address(value, id);
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn address(value: &[u8], id: [u8; 12]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&COOKIE);
    mask[4..].copy_from_slice(&id);
    let plain = |at: usize| address[at] ^ mask[at];
    let ip: IpAddr = match (family, address.len()) {
        (1, 4) => <[u8; 4]>::into(std::array::from_fn(plain)),
        (2, 16) => <[u8; 16]>::into(std::array::from_fn(plain)),
        _ => return None,
    };
    Some((ip, port).into())
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0, 0x20];
/// Together little more than a second: who waits for it wants to watch.
const WAITS: [Duration; 4] =
    [Duration::from_millis(150), Duration::from_millis(250), Duration::from_millis(400), Duration::from_millis(400)];

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample responses of RFC 5769 §2.2 and §2.3, without their other attributes.
    #[test]
    fn the_samples_of_the_rfc_are_read() {
        let id = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";
        let response = |attributes: &[u8]| {
            let mut message = vec![1, 1, 0, attributes.len() as u8];
            message.extend(COOKIE.iter().chain(&id).chain(attributes));
            message
        };
        let v4 = response(b"\x80\x22\x00\x03abc\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43");
        assert_eq!(mapped(&v4, id), Some("192.0.2.1:32853".parse().unwrap()));
        let v6 = response(
            b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9",
        );
        assert_eq!(mapped(&v6, id), Some("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()));
        assert_eq!(mapped(&v4, [0; 12]), None);
        (0..v4.len()).for_each(|length| assert_eq!(mapped(&v4[..length], id), None));
    }

    #[test]
    fn a_question_is_put_some_times_then_given_up_and_only_the_asked_one_answers() {
        let (now, server) = (Instant::now(), "192.0.2.7:3478".parse().unwrap());
        let mut question = Question::new(server, now).unwrap();
        let mut at = now;
        for wait in WAITS {
            assert_eq!(question.next(at), Next::Send(server, request(question.id)));
            assert_eq!(question.next(at), Next::Wait(at + wait));
            at += wait;
        }
        assert_eq!(question.next(at), Next::GiveUp);
        let mut answer = [&[1, 1, 0, 12][..], &COOKIE, &question.id, b"\x00\x20\x00\x08\x00\x01"].concat();
        answer.extend([0x21, 0x12, 192 ^ 0x21, 0x12, 2 ^ 0xa4, 9 ^ 0x42]);
        assert_eq!(question.answered(server, &answer), Some("192.0.2.9:0".parse().unwrap()), "late, and good");
        assert_eq!(question.answered("192.0.2.8:3478".parse().unwrap(), &answer), None);
        answer[8] ^= 1;
        assert_eq!(question.answered(server, &answer), None);
    }
}
