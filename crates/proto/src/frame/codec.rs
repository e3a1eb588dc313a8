//! How are frames laid down as bytes, and read back (`spec/wire.md`, §11)?
//!
//! Invariant: what decodes encodes to the very same bytes; what encodes, within the bounds of `limits`, decodes to the
//! very same value. A chunk's bytes and a table's are slices of the message they came in.

use alloc::vec::Vec;

use bytes::Bytes;

use super::field::{Field, lay_bool, lay_list, read_bool, read_list, version};
use super::{Assign, Bye, Chunk, ChunkId, Frame, Hello, LayerId, Nat, PartId, PeerId, Report, Welcome, rows};
use crate::limits::{
    ASK_MAX, CHUNK_BYTES_MAX, FRAME_BYTES_MAX, LAYER_LIST_MAX, PEER_LIST_MAX, RATE_MAX, SIGNAL_BYTES_MAX,
    TABLE_BYTES_MAX, TICKET_BYTES_MAX, TIME_US_MAX,
};
use crate::wire::{DecodeError, Length, Reader, Sink, Writer};

/// The first byte of every frame. 0x80 and above are for experiments and never given.
#[allow(missing_docs)]
pub mod kind {
    pub const HELLO: u8 = 0x01;
    pub const WELCOME: u8 = 0x02;
    pub const GREET: u8 = 0x03;
    pub const BYE: u8 = 0x04;
    pub const PING: u8 = 0x05;
    pub const PONG: u8 = 0x06;
    pub const RENEW: u8 = 0x07;
    pub const SIGNAL: u8 = 0x08;
    pub const TABLE: u8 = 0x10;
    pub const ASK: u8 = 0x11;
    pub const CHUNK: u8 = 0x12;
    pub const HAVE: u8 = 0x13;
    pub const WANT: u8 = 0x14;
    pub const CANCEL: u8 = 0x15;
    pub const DENY: u8 = 0x16;
    pub const SUBSCRIBE: u8 = 0x17;
    pub const UNSUBSCRIBE: u8 = 0x18;
    pub const ASSIGN: u8 = 0x20;
    pub const REPORT: u8 = 0x21;
    pub const SWITCH: u8 = 0x22;
    pub const EXCHANGE: u8 = 0x23;
}

/// What a message turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A frame.
    Frame(Frame),
    /// A kind this build does not know: to be skipped and counted.
    Unknown(u8),
}

impl Frame {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len(Bytes::len));
        self.encode_onto(&mut out);
        out
    }

    /// Appends the message.
    pub fn encode_onto(&self, out: &mut Vec<u8>) {
        self.lay(&mut Writer::onto(&mut *out));
        if let Self::Chunk(chunk) = self {
            out.extend_from_slice(&chunk.payload);
        }
    }

    /// Reads what [`Self::encode`] wrote. A greeting of another version is [`DecodeError::Version`].
    pub fn decode(message: Bytes) -> Result<Decoded, DecodeError> {
        if message.len() > FRAME_BYTES_MAX {
            return Err(DecodeError::Field("frame"));
        }
        let mut r = Reader::bare(&message);
        let kind = r.u8()?;
        let Some(frame) = read(kind, &mut r, &message)? else { return Ok(Decoded::Unknown(kind)) };
        r.finish()?;
        Ok(Decoded::Frame(frame))
    }
}

impl<P> Frame<P> {
    /// How long the message is, in bytes, when a payload takes `payload_len`. Allocates nothing.
    pub fn encoded_len(&self, payload_len: impl Fn(&P) -> usize) -> usize {
        let mut w = Writer::onto(Length::default());
        self.lay(&mut w);
        w.finish().0 + if let Self::Chunk(chunk) = self { payload_len(&chunk.payload) } else { 0 }
    }

    /// Its number in the table of kinds.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::Welcome(_) => kind::WELCOME,
            Self::Greet { .. } => kind::GREET,
            Self::Bye(_) => kind::BYE,
            Self::Ping { .. } => kind::PING,
            Self::Pong { .. } => kind::PONG,
            Self::Renew(_) => kind::RENEW,
            Self::Signal { .. } => kind::SIGNAL,
            Self::Table(_) => kind::TABLE,
            Self::Ask { .. } => kind::ASK,
            Self::Chunk(_) => kind::CHUNK,
            Self::Have(_) => kind::HAVE,
            Self::Want { .. } => kind::WANT,
            Self::Cancel(_) => kind::CANCEL,
            Self::Deny(_) => kind::DENY,
            Self::Subscribe { .. } => kind::SUBSCRIBE,
            Self::Unsubscribe(_) => kind::UNSUBSCRIBE,
            Self::Assign(_) => kind::ASSIGN,
            Self::Report(_) => kind::REPORT,
            Self::Switch { .. } => kind::SWITCH,
            Self::Exchange(_) => kind::EXCHANGE,
        }
    }

    /// Everything but a chunk's payload, which comes last.
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.u8(self.kind());
        match self {
            Self::Hello(hello) => hello.lay(w),
            Self::Welcome(welcome) => welcome.lay(w),
            Self::Greet { version, from } => from.lay(w.u8(*version)),
            Self::Bye(bye) => bye.lay(w),
            Self::Ping { sent_us } => {
                w.varint(*sent_us);
            }
            Self::Pong { echo_us, now_us } => {
                w.varint(*echo_us).varint(*now_us);
            }
            Self::Renew(rest) | Self::Table(rest) => {
                w.array(rest);
            }
            Self::Signal { peer, body } => {
                peer.lay(w);
                w.array(body);
            }
            Self::Ask { from, count } => {
                from.lay(w);
                w.u8(*count);
            }
            Self::Chunk(Chunk { id, hop, .. }) => {
                id.lay(w);
                w.u8(*hop);
            }
            Self::Have(list) | Self::Cancel(list) | Self::Deny(list) => rows::lay(list, w),
            Self::Want { rows: list, urgent } => {
                lay_bool(*urgent, w);
                rows::lay(list, w);
            }
            Self::Subscribe { set, from } => {
                from.lay(w);
                lay_list(set, w);
            }
            Self::Unsubscribe(set) => lay_list(set, w),
            Self::Assign(assign) => assign.lay(w),
            Self::Report(report) => report.lay(w),
            Self::Switch { layers } => lay_list(layers, w),
            Self::Exchange(peers) => lay_list(peers, w),
        }
    }
}

/// The fields of a frame of this kind; None: not a kind of ours.
fn read(kind: u8, r: &mut Reader<'_>, message: &Bytes) -> Result<Option<Frame>, DecodeError> {
    Ok(Some(match kind {
        kind::HELLO => Frame::Hello(hello(r, message)?),
        kind::WELCOME => Frame::Welcome(Welcome::read(r)?),
        kind::GREET => Frame::Greet { version: version(r)?, from: PeerId::read_no_edge("from", r)? },
        kind::BYE => Frame::Bye(Bye::read(r)?),
        kind::PING => Frame::Ping { sent_us: r.varint("sent_us", u64::MAX)? },
        kind::PONG => Frame::Pong { echo_us: r.varint("echo_us", u64::MAX)?, now_us: r.varint("now_us", u64::MAX)? },
        kind::RENEW => Frame::Renew(message.slice_ref(r.rest("ticket", TICKET_BYTES_MAX)?)),
        kind::SIGNAL => Frame::Signal {
            peer: PeerId::read_no_edge("peer", r)?,
            body: message.slice_ref(r.rest("body", SIGNAL_BYTES_MAX)?),
        },
        kind::TABLE => Frame::Table(message.slice_ref(r.rest("table", TABLE_BYTES_MAX)?)),
        kind::ASK => Frame::Ask { from: PartId::read(r)?, count: count(r)? },
        kind::CHUNK => Frame::Chunk(Chunk {
            id: ChunkId::read(r)?,
            hop: r.u8()?,
            payload: message.slice_ref(r.rest("payload", CHUNK_BYTES_MAX)?),
        }),
        kind::HAVE => Frame::Have(rows::read(r)?),
        kind::WANT => {
            let urgent = read_bool("urgent", r)?;
            Frame::Want { rows: rows::read(r)?, urgent }
        }
        kind::CANCEL => Frame::Cancel(rows::read(r)?),
        kind::DENY => Frame::Deny(rows::read(r)?),
        kind::SUBSCRIBE => {
            let from = PartId::read(r)?;
            Frame::Subscribe { set: read_list("set", LAYER_LIST_MAX, r)?, from }
        }
        kind::UNSUBSCRIBE => Frame::Unsubscribe(read_list("set", LAYER_LIST_MAX, r)?),
        kind::ASSIGN => Frame::Assign(Assign::read(r)?),
        kind::REPORT => Frame::Report(Report::read(r)?),
        kind::SWITCH => Frame::Switch { layers: read_list("layers", LAYER_LIST_MAX, r)? },
        kind::EXCHANGE => Frame::Exchange(read_list("peers", PEER_LIST_MAX, r)?),
        _ => return Ok(None),
    }))
}

impl Hello {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.u8(self.version).bytes(&self.ticket).varint(self.declared_bps);
        lay_bool(self.receive_only, w);
        self.nat.lay(w);
        lay_list(&self.layers, w);
        w.varint(self.behind_us);
    }
}

/// Not a [`Field`]: the ticket stays a slice of the message.
fn hello(r: &mut Reader<'_>, message: &Bytes) -> Result<Hello, DecodeError> {
    Ok(Hello {
        version: version(r)?,
        ticket: message.slice_ref(r.bytes("ticket", TICKET_BYTES_MAX)?),
        declared_bps: r.varint("declared_bps", RATE_MAX)?,
        receive_only: read_bool("receive_only", r)?,
        nat: Nat::read(r)?,
        layers: read_list::<LayerId>("layers", LAYER_LIST_MAX, r)?,
        behind_us: r.varint("behind_us", TIME_US_MAX)?,
    })
}

fn count(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match r.u8()? {
        count @ 1..=ASK_MAX => Ok(count),
        _ => Err(DecodeError::Field("count")),
    }
}
