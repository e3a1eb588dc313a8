//! How is each thing that frames are made of laid down and read back? Both ways side by side, so that they stay one.

use alloc::vec::Vec;

use super::{
    Assign, Bye, ChunkId, Complaint, Fault, Give, LINK_VERSION, LayerId, Nat, PartId, PeerId, Receipt, Report,
    Substreams, Take, Welcome,
};
use crate::id::RunId;
use crate::limits::TIME_US_MAX;
use crate::limits::{
    CHUNKS_MAX, COMPLAINTS_MAX, GIVES_MAX, LAYER_LIST_MAX, LAYERS_MAX, NUMBER_MAX, PEER_LIST_MAX, RATE_MAX,
    RECEIPTS_MAX, RENDITIONS_MAX, TAKES_MAX,
};
use crate::wire::{DecodeError, Reader, Sink, Writer};

/// A value with one form on the wire.
pub(super) trait Field: Sized {
    fn lay<S: Sink>(&self, w: &mut Writer<S>);
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// A count, then each.
pub(super) fn lay_list<T: Field, S: Sink>(items: &[T], w: &mut Writer<S>) {
    w.varint(items.len() as u64);
    items.iter().for_each(|item| item.lay(w));
}

pub(super) fn read_list<T: Field>(field: &'static str, max: usize, r: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
    let count = r.count(field, max)?;
    (0..count).map(|_| T::read(r)).collect()
}

/// 0 for none, else a count and one more, then each.
fn lay_option<T: Field, S: Sink>(items: &Option<Vec<T>>, w: &mut Writer<S>) {
    w.varint(items.as_ref().map_or(0, |items| items.len() as u64 + 1));
    items.iter().flatten().for_each(|item| item.lay(w));
}

fn read_option<T: Field>(field: &'static str, max: usize, r: &mut Reader<'_>) -> Result<Option<Vec<T>>, DecodeError> {
    match r.count(field, max + 1)? {
        0 => Ok(None),
        more => (1..more).map(|_| T::read(r)).collect::<Result<_, _>>().map(Some),
    }
}

pub(super) fn lay_bool<S: Sink>(value: bool, w: &mut Writer<S>) {
    w.u8(value.into());
}

pub(super) fn read_bool(field: &'static str, r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Field(field)),
    }
}

/// What follows another version's byte is not ours to read.
pub(super) fn version(r: &mut Reader<'_>) -> Result<u8, DecodeError> {
    match r.u8()? {
        LINK_VERSION => Ok(LINK_VERSION),
        other => Err(DecodeError::Version(other)),
    }
}

fn read_u16(field: &'static str, r: &mut Reader<'_>) -> Result<u16, DecodeError> {
    Ok(r.varint(field, u16::MAX.into())? as u16)
}

fn read_u32(field: &'static str, r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    Ok(r.varint(field, u32::MAX.into())? as u32)
}

impl PeerId {
    /// Somebody who cannot be the edge.
    pub(super) fn read_no_edge(field: &'static str, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::read(r).and_then(|peer| if peer.is_edge() { Err(DecodeError::Field(field)) } else { Ok(peer) })
    }
}

impl Field for PeerId {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.varint(self.0.into());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_u32("peer", r).map(Self)
    }
}

impl Field for PartId {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.array(&self.run.0.to_be_bytes()).varint(self.part);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { run: RunId(u64::from_be_bytes(r.array()?)), part: r.varint("part", NUMBER_MAX)? })
    }
}

impl LayerId {
    /// Four bits of rendition, two of layer.
    pub(super) fn to_byte(self) -> u8 {
        debug_assert!(usize::from(self.rendition) < RENDITIONS_MAX && usize::from(self.layer) < LAYERS_MAX);
        (self.rendition & 15) << 2 | self.layer & 3
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, DecodeError> {
        if byte < 64 { Ok(Self { rendition: byte >> 2, layer: byte & 3 }) } else { Err(DecodeError::Field("layer")) }
    }
}

const _: () = assert!(RENDITIONS_MAX == 16 && LAYERS_MAX == 4);

impl Field for LayerId {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.u8(self.to_byte());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_byte(r.u8()?)
    }
}

impl Field for Substreams {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.of.lay(w);
        w.varint(self.mask.into());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { of: LayerId::read(r)?, mask: read_u16("mask", r)? })
    }
}

impl Field for ChunkId {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.part.lay(w);
        self.of.lay(w);
        w.varint(self.index.into());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            part: PartId::read(r)?,
            of: LayerId::read(r)?,
            index: r.varint("index", CHUNKS_MAX as u64 - 1)? as u16,
        })
    }
}

impl Field for Welcome {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.you.lay(w.u8(self.version));
        w.varint(self.hold_back_us.into()).varint(self.now_us).varint(self.credit_bps);
        w.varint(self.start_us.into());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            version: version(r)?,
            you: PeerId::read_no_edge("you", r)?,
            hold_back_us: read_u32("hold_back_us", r)?,
            now_us: r.varint("now_us", u64::MAX)?,
            credit_bps: r.varint("credit_bps", RATE_MAX)?,
            start_us: read_u32("start_us", r)?,
        })
    }
}

impl Field for Assign {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.varint(self.plan.into()).varint(self.hold_back_us.into());
        lay_list(&self.take, w);
        lay_list(&self.give, w);
        lay_option(&self.neighbors, w);
        lay_option(&self.layers, w);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            plan: read_u32("plan", r)?,
            hold_back_us: read_u32("hold_back_us", r)?,
            take: read_list("take", TAKES_MAX, r)?,
            give: read_list("give", GIVES_MAX, r)?,
            neighbors: read_option("neighbors", PEER_LIST_MAX, r)?,
            layers: read_option("layers", LAYER_LIST_MAX, r)?,
        })
    }
}

impl Field for Take {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.set.lay(w);
        self.parent.lay(w);
        self.backup.lay(w);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { set: Substreams::read(r)?, parent: PeerId::read(r)?, backup: PeerId::read(r)? })
    }
}

impl Field for Give {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.set.lay(w);
        self.child.lay(w);
        w.varint(u64::from(self.below) << 1 | u64::from(self.reserved));
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (set, child) = (Substreams::read(r)?, PeerId::read_no_edge("child", r)?);
        let below = r.varint("below", u64::from(u16::MAX) << 1 | 1)?;
        Ok(Self { set, child, reserved: below & 1 != 0, below: (below >> 1) as u16 })
    }
}

impl Field for Report {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.varint(self.plan.into()).varint(self.alpha_bps).varint(self.queue_us.into()).varint(self.delay_us.into());
        w.varint(self.buffer_us.into()).varint(self.stalled_us.into());
        w.varint(self.at_us).varint(self.back_us.into());
        lay_list(&self.receipts, w);
        lay_list(&self.complaints, w);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            plan: read_u32("plan", r)?,
            alpha_bps: r.varint("alpha_bps", RATE_MAX)?,
            queue_us: read_u32("queue_us", r)?,
            delay_us: read_u32("delay_us", r)?,
            buffer_us: read_u32("buffer_us", r)?,
            stalled_us: read_u32("stalled_us", r)?,
            at_us: r.varint("at_us", TIME_US_MAX)?,
            back_us: read_u32("back_us", r)?,
            receipts: read_list("receipts", RECEIPTS_MAX, r)?,
            complaints: read_list("complaints", COMPLAINTS_MAX, r)?,
        })
    }
}

impl Field for Receipt {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.from.lay(w);
        w.varint(self.bytes.into()).varint(self.late.into()).varint(self.busy_us.into());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            from: PeerId::read(r)?,
            bytes: read_u32("bytes", r)?,
            late: read_u16("late", r)?,
            busy_us: read_u32("busy_us", r)?,
        })
    }
}

impl Field for Complaint {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        self.peer.lay(w);
        self.fault.lay(w);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { peer: PeerId::read(r)?, fault: Fault::read(r)? })
    }
}

/// Both ways of an enumeration from one table.
macro_rules! codes {
    ($type:ident, $field:literal, $($code:literal = $name:ident),+) => {
        impl Field for $type {
            fn lay<S: Sink>(&self, w: &mut Writer<S>) {
                w.u8(match self { $(Self::$name => $code),+ });
            }
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match r.u8()? {
                    $($code => Ok(Self::$name),)+
                    _ => Err(DecodeError::Field($field)),
                }
            }
        }
    };
}

codes!(Nat, "nat", 0 = Unknown, 1 = Open, 2 = Cone, 3 = Symmetric, 4 = Blocked);
codes!(Fault, "fault", 1 = BadChunk, 2 = Gone, 3 = Silent, 4 = Unreachable, 5 = Protocol);

impl Field for Bye {
    fn lay<S: Sink>(&self, w: &mut Writer<S>) {
        w.u8(match self {
            Self::Leaving => 1,
            Self::Ticket => 2,
            Self::NoRoom(_) => 3,
            Self::Replaced => 4,
            Self::BadChunk => 5,
            Self::Protocol => 6,
            Self::Flood => 7,
            Self::Idle => 8,
            Self::Ended => 9,
            Self::Moved => 10,
        });
        if let Self::NoRoom(retry_s) = self {
            w.varint((*retry_s).into());
        }
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8()? {
            1 => Self::Leaving,
            2 => Self::Ticket,
            3 => Self::NoRoom(read_u16("retry_s", r)?),
            4 => Self::Replaced,
            5 => Self::BadChunk,
            6 => Self::Protocol,
            7 => Self::Flood,
            8 => Self::Idle,
            9 => Self::Ended,
            10 => Self::Moved,
            _ => return Err(DecodeError::Field("reason")),
        })
    }
}
