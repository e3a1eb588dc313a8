//! Is a run over? Signed like everything else an edge may not invent.

use alloc::vec::Vec;

use crate::id::RunId;
use crate::table::VERSION;
use crate::wire::{DecodeError, Reader, Writer};

/// No further part of this run will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// The run.
    pub run: RunId,
    /// How many parts it had.
    pub parts: u64,
    /// Whether another run may follow.
    pub reason: EndReason,
}

/// What follows a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The publisher is gone and has a grace time to return in.
    Paused,
    /// The stream has ended.
    Ended,
}

impl RunEnd {
    /// The table kind on the wire.
    pub const KIND: u8 = 3;

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(VERSION, Self::KIND);
        w.array(&self.run.0.to_be_bytes()).varint(self.parts);
        w.u8(match self.reason {
            EndReason::Paused => 1,
            EndReason::Ended => 2,
        });
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body, VERSION, Self::KIND)?;
        let end = Self {
            run: RunId(u64::from_be_bytes(r.array()?)),
            parts: r.varint("parts", 1 << 40)?,
            reason: match r.u8()? {
                1 => EndReason::Paused,
                2 => EndReason::Ended,
                _ => return Err(DecodeError::Field("reason")),
            },
        };
        r.finish()?;
        Ok(end)
    }
}
