//! What will be needed in a moment?
//!
//! A host of very many peers, as a simulator is, waits for memory most of the time: what one peer has lies far from what
//! another has. It knows some inputs before whose turn comes, so it may ask a peer where the next input will look
//! ([`crate::peer::Peer::glance`]) and have that brought near meanwhile. Nothing is changed by it, and nothing is decided.

use trellis_proto::frame::{ChunkId, PeerId};

/// What a coming input will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coming {
    /// This peer sends this chunk.
    Chunk(PeerId, ChunkId),
    /// This peer sends something else.
    Word(PeerId),
    /// This link's bytes are acknowledged.
    Unsent(PeerId),
    /// Time.
    Wake,
}

/// Brings memory near, if it can.
pub trait Near {
    /// All of this will be read soon.
    fn near<T>(place: &T);
}
