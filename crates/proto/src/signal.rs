//! How do two peers agree on a data channel? What they tell each other through their edge, `spec/wire.md` §11.5.
//!
//! Invariant: of any bytes either exactly one signal is read, or an error comes back; text is never longer than a frame.

use alloc::string::String;
use alloc::vec::Vec;

use crate::limits::SIGNAL_BYTES_MAX;
use crate::wire::{DecodeError, Reader, Writer};

/// One step of making a link. `dial` is the caller's number for this attempt, which all that belongs to it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Of which attempt; one that is over is not answered any more.
    pub dial: u32,
    /// Which step.
    pub step: Step,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The caller's SDP.
    Offer(String),
    /// The SDP of the called.
    Answer(String),
    /// An ICE candidate of the speaker, as RFC 8839 §5.1 writes it, without `a=`; empty: there are no more.
    Candidate(String),
    /// The speaker gives this attempt up.
    Hangup,
}

impl Signal {
    /// The body of a signal frame.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, text) = match &self.step {
            Step::Offer(sdp) => (1, sdp.as_str()),
            Step::Answer(sdp) => (2, sdp.as_str()),
            Step::Candidate(candidate) => (3, candidate.as_str()),
            Step::Hangup => (4, ""),
        };
        let mut w = Writer::onto(Vec::with_capacity(text.len() + 8));
        w.u8(kind).varint(self.dial.into()).string(text);
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::bare(body);
        let kind = r.u8()?;
        let dial = r.varint("dial", u32::MAX.into())? as u32;
        let text = r.string("text", SIGNAL_BYTES_MAX)?;
        r.finish()?;
        let step = match kind {
            1 => Step::Offer(text),
            2 => Step::Answer(text),
            3 => Step::Candidate(text),
            4 if text.is_empty() => Step::Hangup,
            4 => return Err(DecodeError::Field("text")),
            kind => return Err(DecodeError::Kind(kind)),
        };
        Ok(Self { dial, step })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_step_is_read_as_it_was_written_and_nothing_else() {
        for (step, bytes) in [
            (Step::Offer("v=0".into()), vec![1, 0xac, 0x02, 3, b'v', b'=', b'0']),
            (Step::Answer("v=0".into()), vec![2, 0xac, 0x02, 3, b'v', b'=', b'0']),
            (Step::Candidate("".into()), vec![3, 0xac, 0x02, 0]),
            (Step::Hangup, vec![4, 0xac, 0x02, 0]),
        ] {
            let signal = Signal { dial: 300, step };
            assert_eq!(signal.encode(), bytes);
            assert_eq!(Signal::decode(&bytes), Ok(signal));
        }
        for (bytes, why) in [
            (&[][..], DecodeError::Short),
            (&[5, 0, 0], DecodeError::Kind(5)),
            (&[4, 0, 1, b'x'], DecodeError::Field("text")),
            (&[1, 0, 1, 0xff], DecodeError::Field("text")),
            (&[1, 0, 0, 0], DecodeError::Trailing),
            (&[1, 0x80, 0x80, 0x80, 0x80, 0x10, 0], DecodeError::Field("dial")),
        ] {
            assert_eq!(Signal::decode(bytes), Err(why), "{bytes:?}");
        }
    }
}
