//! Where did the bytes come from? Only media counts as media; all else of a link is control.

use trellis_proto::frame::PeerId;

/// Since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Media that came over the WebSocket, each chunk once.
    pub edge_bytes: u64,
    /// Media that came from peers, each chunk once.
    pub peer_bytes: u64,
    /// Media that was given to peers.
    pub uploaded_bytes: u64,
    /// Everything else on all links, both ways.
    pub control_bytes: u64,
    /// Media that came once too often.
    pub duplicate_bytes: u64,
    /// Chunks of that kind.
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
    pub fn on_chunk(&mut self, from: PeerId, payload: usize, message: usize) {
        *self.source(from) += payload as u64;
        self.control_bytes += (message - payload) as u64;
    }

    /// It was here already.
    pub fn on_duplicate(&mut self, from: PeerId, payload: u64) {
        let source = self.source(from);
        *source = source.saturating_sub(payload);
        self.duplicate_bytes += payload;
        self.duplicates += 1;
    }

    fn source(&mut self, from: PeerId) -> &mut u64 {
        if from.is_edge() { &mut self.edge_bytes } else { &mut self.peer_bytes }
    }
}
