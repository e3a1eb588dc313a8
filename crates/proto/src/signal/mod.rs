//! How do two peers agree on a data channel? What they tell each other through their edge, `spec/wire.md` §11.5.
//!
//! Invariant: of any bytes either exactly one signal is read, or an error comes back; text is never longer than a frame.
//!
//! Nine tenths of what browsers say is the same each time. It is left out and put back: signals are most of what an edge
//! sends beside media while a crowd comes in.

pub mod candidate;
pub mod session;

use alloc::vec::Vec;

use crate::wire::{DecodeError, Reader, Writer};
use candidate::{Address, Candidate};
use session::{Sdp, Session};

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
    Offer(Sdp),
    /// The SDP of the called.
    Answer(Sdp),
    /// An ICE candidate of the speaker; empty: there are no more.
    Candidate(Candidate),
    /// The speaker gives this attempt up.
    Hangup,
}

impl Signal {
    /// The body of a signal frame.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match &self.step {
            Step::Offer(Sdp::Text(_)) => OFFER,
            Step::Answer(Sdp::Text(_)) => ANSWER,
            Step::Candidate(Candidate::Text(_)) => CANDIDATE,
            Step::Hangup => HANGUP,
            Step::Offer(Sdp::Brief(_)) => BRIEF + OFFER,
            Step::Answer(Sdp::Brief(_)) => BRIEF + ANSWER,
            Step::Candidate(Candidate::Brief(_)) => BRIEF + CANDIDATE,
        };
        let mut w = Writer::onto(Vec::new());
        w.u8(kind).varint(self.dial.into());
        match &self.step {
            Step::Offer(sdp) | Step::Answer(sdp) => sdp.write(&mut w),
            Step::Candidate(candidate) => candidate.write(&mut w),
            Step::Hangup => {}
        }
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::bare(body);
        let kind = r.u8()?;
        let dial = r.varint("dial", u32::MAX.into())? as u32;
        let sdp = |brief: bool, r: &mut Reader<'_>| match brief {
            true => Session::read(r).map(Sdp::Brief),
            false => Sdp::read_text(r),
        };
        let brief = kind > BRIEF;
        let step = match if brief { kind - BRIEF } else { kind } {
            OFFER => Step::Offer(sdp(brief, &mut r)?),
            ANSWER => Step::Answer(sdp(brief, &mut r)?),
            CANDIDATE if brief => Step::Candidate(Candidate::Brief(Address::read(&mut r)?)),
            CANDIDATE => Step::Candidate(Candidate::read_text(&mut r)?),
            HANGUP if !brief => Step::Hangup,
            _ => return Err(DecodeError::Kind(kind)),
        };
        r.finish()?;
        Ok(Self { dial, step })
    }
}

const OFFER: u8 = 1;
const ANSWER: u8 = 2;
const CANDIDATE: u8 = 3;
const HANGUP: u8 = 4;
/// Added to a step that is said briefly.
const BRIEF: u8 = 0x10;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn every_step_is_read_as_it_was_written_and_nothing_else() {
        let sdp = || Sdp::new("v=0".into());
        let near = Candidate::new("candidate:7 1 udp 9 192.0.2.1 80 typ host".into());
        for (step, bytes) in [
            (Step::Offer(sdp()), vec![1, 0xac, 0x02, 3, b'v', b'=', b'0']),
            (Step::Answer(sdp()), vec![2, 0xac, 0x02, 3, b'v', b'=', b'0']),
            (Step::Candidate(Candidate::new("".into())), vec![3, 0xac, 0x02, 0]),
            (Step::Candidate(near), vec![0x13, 0xac, 0x02, 0, 7, 9, 80, 4, 192, 0, 2, 1]),
            (Step::Hangup, vec![4, 0xac, 0x02]),
        ] {
            let signal = Signal { dial: 300, step };
            assert_eq!(signal.encode(), bytes);
            assert_eq!(Signal::decode(&bytes), Ok(signal));
        }
        for (bytes, why) in [
            (&[][..], DecodeError::Short),
            (&[5, 0, 0], DecodeError::Kind(5)),
            (&[0x10, 0, 0], DecodeError::Kind(0x10)),
            (&[0x14, 0], DecodeError::Kind(0x14)),
            (&[4, 0, 0], DecodeError::Trailing),
            (&[1, 0, 1, 0xff], DecodeError::Field("text")),
            (&[1, 0, 0, 0], DecodeError::Trailing),
            (&[1, 0x80, 0x80, 0x80, 0x80, 0x10, 0], DecodeError::Field("dial")),
            (&[0x11, 0, 3], DecodeError::Field("setup")),
            (&[0x11, 0, 0, 0], DecodeError::Field("mid")),
            (&[0x13, 0, 4], DecodeError::Field("origin")),
            (&[0x13, 0, 0, 7, 9, 80, 5], DecodeError::Field("host")),
            (&[0x13, 0, 0, 7, 9, 80, 4, 1], DecodeError::Short),
        ] {
            assert_eq!(Signal::decode(bytes), Err(why), "{bytes:?}");
        }
    }
}
