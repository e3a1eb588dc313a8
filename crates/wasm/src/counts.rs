//! Where did the bytes come from? Only media counts as media; all else of a link is control.

use trellis_core::intake::Intake;
use trellis_proto::frame::{ChunkId, PeerId};

/// Since the beginning.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Media that came over links.
    pub intake: Intake,
    /// Media that was given to peers.
    pub uploaded_bytes: u64,
    /// Everything else on all links, both ways.
    pub control_bytes: u64,
    /// Chunks that came once too often.
    pub duplicates: u64,
    /// Chunks asked of the edge to begin with.
    pub first_fill: u64,
    /// Chunks asked of the edge because their deadline came near.
    pub rescues: u64,
    /// Chunks asked of another peer than the one that should have brought them.
    pub pulls: u64,
    /// Substreams that were given another parent.
    pub switches: u64,
    /// Parts that were not whole when they were due.
    pub missed: u64,
    /// Peers that did wrong.
    pub cut_off: u64,
}

impl Counts {
    /// A chunk came, in a message of so many bytes.
    pub fn on_chunk(&mut self, from: PeerId, id: ChunkId, payload: usize, message: usize) {
        self.intake.on_chunk(from, id, payload);
        self.control_bytes += (message - payload) as u64;
    }
}
