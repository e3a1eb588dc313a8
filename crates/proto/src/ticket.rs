//! What may a viewer do at an edge? Signed by the manager, checked by the edge without asking anyone.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{SessionId, StreamId};
use crate::limits::{EDGE_NAME_BYTES_MAX, STREAM_NAME_BYTES_MAX};
use crate::table::VERSION;
use crate::wire::{DecodeError, Reader, Writer};

/// A capability for one viewer, one stream, one edge, up to a rate, until a time. Carries no viewer name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The place this ticket stands for.
    pub session: SessionId,
    /// The stream.
    pub stream: StreamId,
    /// The edge that honours it.
    pub edge: String,
    /// Seconds since the Unix epoch after which it is void.
    pub expires_s: u64,
    /// Bits per second of media.
    pub max_rate: u64,
    /// Service class.
    pub class: Class,
    /// Another edge had let this session in and is gone or refused it since: it plays already.
    pub rejoins: bool,
    /// What viewers of this stream may be to each other.
    pub p2p: P2p,
    /// Viewers see each other only where there are so many; 0 and 1: always.
    pub viewers_min: u16,
}

/// Whether viewers pass on what they watch, as a stream's operator has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum P2p {
    /// They do, unless their users do not want it.
    #[default]
    On,
    /// This viewer takes from others, and gives nothing.
    ReceiveOnly,
    /// There are no links: everything comes from the edge, over HTTP.
    Off,
}

/// Service class of a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Served as there is room.
    Standard,
    /// Served before others.
    Premium,
}

impl Ticket {
    /// The message kind on the wire.
    pub const KIND: u8 = 16;

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(VERSION, Self::KIND);
        w.array(&self.session.0).string(self.stream.as_str()).string(&self.edge);
        w.varint(self.expires_s).varint(self.max_rate);
        w.u8(match self.class {
            Class::Standard => 1,
            Class::Premium => 2,
        });
        w.u8(u8::from(self.rejoins));
        w.u8(match self.p2p {
            P2p::On => 1,
            P2p::ReceiveOnly => 2,
            P2p::Off => 3,
        });
        w.varint(self.viewers_min.into());
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body, VERSION, Self::KIND)?;
        let session = SessionId(r.array()?);
        let stream = r.string("stream", STREAM_NAME_BYTES_MAX)?;
        let ticket = Self {
            session,
            stream: stream.parse().map_err(|_| DecodeError::Field("stream"))?,
            edge: r.string("edge", EDGE_NAME_BYTES_MAX)?,
            expires_s: r.varint("expires_s", 1 << 40)?,
            max_rate: r.varint("max_rate", 1 << 40)?,
            class: match r.u8()? {
                1 => Class::Standard,
                2 => Class::Premium,
                _ => return Err(DecodeError::Field("class")),
            },
            rejoins: match r.u8()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Field("rejoins")),
            },
            p2p: match r.u8()? {
                1 => P2p::On,
                2 => P2p::ReceiveOnly,
                3 => P2p::Off,
                _ => return Err(DecodeError::Field("p2p")),
            },
            viewers_min: r.varint("viewers_min", u16::MAX.into())? as u16,
        };
        r.finish()?;
        Ok(ticket)
    }
}
