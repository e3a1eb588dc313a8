//! Where can a peer be reached? An ICE candidate, most of whose text everybody knows, in some thirty bytes.
//!
//! Invariant: what is read from bytes, or from text, is written in one way as bytes and as text.

use alloc::string::{String, ToString};
use core::fmt::{self, Display};
use core::net::IpAddr;
use core::str::FromStr;

use crate::limits::SIGNAL_BYTES_MAX;
use crate::wire::{DecodeError, Reader, Writer};

/// An ICE candidate, RFC 8839 §5.1, without `a=`; an empty text: there are no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// One that can be said briefly.
    Brief(Address),
    /// Any other.
    Text(String),
}

/// A candidate of component 1 over UDP. Where a reflexive one was sent from (`raddr`) is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Candidates of the same kind and base share it.
    pub foundation: u64,
    /// The higher the better.
    pub priority: u32,
    /// Where.
    pub host: Host,
    /// At which port.
    pub port: u16,
    /// How it was learnt.
    pub origin: Origin,
}

/// An address, or the name that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// As it is.
    Ip(IpAddr),
    /// `….local`, of 16 random bytes: a browser's way to say an address without giving it away.
    Mdns([u8; 16]),
}

/// How a candidate was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An address of the machine.
    Host,
    /// As a STUN server saw it.
    Reflexive,
    /// As the other peer saw it.
    Peer,
    /// A relay's.
    Relay,
}

const ORIGINS: [(Origin, &str); 4] =
    [(Origin::Host, "host"), (Origin::Reflexive, "srflx"), (Origin::Peer, "prflx"), (Origin::Relay, "relay")];
const V4: u8 = 4;
const V6: u8 = 6;
const MDNS: u8 = 0;

impl Candidate {
    /// The briefest way to say this.
    pub fn new(text: String) -> Self {
        text.parse().map_or(Self::Text(text), Self::Brief)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        match self {
            Self::Brief(address) => address.write(w),
            Self::Text(text) => _ = w.string(text),
        }
    }

    pub(super) fn read_text(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.string("text", SIGNAL_BYTES_MAX).map(Self::Text)
    }
}

impl Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brief(address) => address.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Address {
    pub(super) fn write(&self, w: &mut Writer) {
        let origin = ORIGINS.iter().position(|(origin, _)| *origin == self.origin).unwrap_or(0) as u8;
        w.u8(origin).varint(self.foundation).varint(self.priority.into()).varint(self.port.into());
        match self.host {
            Host::Ip(IpAddr::V4(ip)) => w.u8(V4).array(&ip.octets()),
            Host::Ip(IpAddr::V6(ip)) => w.u8(V6).array(&ip.octets()),
            Host::Mdns(name) => w.u8(MDNS).array(&name),
        };
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let origin = ORIGINS.get(usize::from(r.u8()?)).ok_or(DecodeError::Field("origin"))?.0;
        let foundation = r.varint("foundation", u64::MAX)?;
        let priority = r.varint("priority", u32::MAX.into())? as u32;
        let port = r.varint("port", u16::MAX.into())? as u16;
        let host = match r.u8()? {
            V4 => Host::Ip(r.array::<4>()?.into()),
            V6 => Host::Ip(r.array::<16>()?.into()),
            MDNS => Host::Mdns(r.array()?),
            _ => return Err(DecodeError::Field("host")),
        };
        Ok(Self { foundation, priority, host, port, origin })
    }
}

/// Extensions (generation, network cost, …) tell the one who wrote them, nobody else.
impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.strip_prefix("candidate:").ok_or(())?.split(' ');
        let mut word = || words.next().ok_or(());
        let foundation = number(word()?)?;
        let (component, transport) = (word()?, word()?);
        let (priority, host, port) = (number(word()?)?, word()?.parse()?, number(word()?)?);
        let (typ, origin) = (word()?, word()?);
        let origin = ORIGINS.iter().find(|(_, name)| *name == origin).ok_or(())?.0;
        match component == "1" && transport.eq_ignore_ascii_case("udp") && typ == "typ" {
            true => Ok(Self { foundation, priority, host, port, origin }),
            false => Err(()),
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, priority, host, port, origin } = self;
        let name = ORIGINS.iter().find(|(o, _)| o == origin).map_or("", |(_, name)| name);
        write!(f, "candidate:{foundation} 1 udp {priority} {host} {port} typ {name}")?;
        // RFC 8839 §5.1: all but host candidates carry these; §4.3 of RFC 8828 leaves them empty.
        match (origin, host) {
            (Origin::Host, _) => Ok(()),
            (_, Host::Ip(IpAddr::V6(_))) => f.write_str(" raddr :: rport 0"),
            _ => f.write_str(" raddr 0.0.0.0 rport 0"),
        }
    }
}

impl FromStr for Host {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let name = text.strip_suffix(".local").ok_or(())?;
        let digits: String = name.chars().filter(|c| *c != '-').collect();
        let number = u128::from_str_radix(&digits, 16).map_err(|_| ())?;
        let host = Self::Mdns(number.to_be_bytes());
        // Written otherwise it would be another name.
        if host.to_string() == text { Ok(host) } else { Err(()) }
    }
}

/// A name as RFC 4122 writes random numbers.
impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Mdns(name) => {
                for (at, byte) in name.iter().enumerate() {
                    let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                f.write_str(".local")
            }
        }
    }
}

/// A decimal number, written in the one usual way.
pub(super) fn number<T: FromStr + ToString>(text: &str) -> Result<T, ()> {
    text.parse().ok().filter(|number: &T| number.to_string() == text).ok_or(())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// As bytes and back, and as text.
    fn said(text: &str) -> (usize, String) {
        let candidate = Candidate::new(text.to_string());
        let Candidate::Brief(address) = &candidate else { return (0, candidate.to_string()) };
        let mut w = Writer::onto(Vec::new());
        address.write(&mut w);
        let bytes = w.finish();
        assert_eq!(Address::read(&mut Reader::bare(&bytes)).as_ref(), Ok(address));
        (bytes.len(), candidate.to_string())
    }

    #[test]
    fn what_browsers_and_native_peers_say_is_said_in_a_quarter() {
        for (text, bytes, same) in [
            (
                "candidate:2274961167 1 udp 2113937151 c89c01f4-2e86-40d9-be9f-6b2df5d1bdb3.local 38000 typ host generation 0 ufrag GOaE network-cost 999",
                31,
                "candidate:2274961167 1 udp 2113937151 c89c01f4-2e86-40d9-be9f-6b2df5d1bdb3.local 38000 typ host",
            ),
            (
                "candidate:842163049 1 UDP 1677729535 203.0.113.7 54321 typ srflx raddr 192.168.1.2 rport 5000 generation 0",
                19,
                "candidate:842163049 1 udp 1677729535 203.0.113.7 54321 typ srflx raddr 0.0.0.0 rport 0",
            ),
            (
                "candidate:1 1 udp 2130706431 2001:db8::1 9 typ host",
                25,
                "candidate:1 1 udp 2130706431 2001:db8::1 9 typ host",
            ),
        ] {
            assert_eq!(said(text), (bytes, same.to_string()));
            assert_eq!(said(same), (bytes, same.to_string()));
        }
    }

    #[test]
    fn what_cannot_be_said_briefly_is_said_as_it_is() {
        for text in [
            "",
            "candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
            "candidate:1 2 udp 1 192.0.2.1 9 typ host",
            "candidate:abc 1 udp 1 192.0.2.1 9 typ host",
            "candidate:1 1 udp 1 host.example 9 typ host",
            "candidate:1 1 udp 1 C89C01F4-2e86-40d9-be9f-6b2df5d1bdb3.local 9 typ host",
            "candidate:1 1 udp 4294967296 192.0.2.1 9 typ host",
            "candidate:1 1 udp 1 192.0.2.1 9 typ",
        ] {
            assert_eq!(said(text), (0, text.to_string()));
        }
    }
}
