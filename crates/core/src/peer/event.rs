//! What goes into a peer and what comes out of it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::Descriptor;
use trellis_proto::frame::{Bye, ChunkId, Frame, LayerId, Nat, PartId, PeerId};

use crate::trust::VerifiedChunk;

/// How a peer starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The signed ticket it shows.
    pub ticket: Bytes,
    /// The layers it wants first.
    pub layers: Vec<LayerId>,
    /// What its uplink gave last time, bit/s; 0: not known.
    pub declared_bps: u64,
    /// What its user lets it give.
    pub upload: UploadPolicy,
    /// What STUN told.
    pub nat: Nat,
    /// Live edge or further back.
    pub behind: Duration,
    /// Who supports when.
    pub support: Support,
    /// Parts to keep behind the playhead, for others and for seeking back; [`crate::limits::KEEP_PARTS`] is usual.
    pub keep_parts: usize,
    /// How chunks travel.
    pub mesh: Mesh,
    /// The player begins where it would be had it been here all the time, as those do that seek to their distance from the
    /// live edge; else it begins at the key frame before that, and catches up.
    pub on_schedule: bool,
}

/// How chunks travel between peers. All but one are there to be compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mesh {
    /// Pushed down trees, asked of neighbors when late.
    #[default]
    Hybrid,
    /// Asked of neighbors by what they say they have; only the edge pushes, to its roots.
    Pull,
    /// Pushed down trees, and asked of the backup or the edge when late; neighbors tell nothing.
    Trees,
}

/// What a viewer lets its peer give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadPolicy {
    /// Never more, bit/s; None: no cap.
    pub cap_bps: Option<u64>,
    /// Give nothing at all: the user's wish, or a metered link.
    pub receive_only: bool,
}

/// When does a viewer become a supporting peer?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Support {
    /// From its first verified chunk (live).
    #[default]
    WhileWatching,
    /// When it has everything, as the paper's step 5 has it.
    AfterCompletion,
}

/// What the host tells a peer. A link is named by who is at its other end; [`PeerId::EDGE`] is the WebSocket.
#[derive(Debug, Clone)]
pub enum Input<P> {
    /// The link stands. The edge's first: nothing happens before.
    Connected(PeerId),
    /// The link broke, or could not be made.
    Lost(PeerId),
    /// A frame came, of so many bytes.
    Frame(PeerId, Frame<P>),
    /// So many bytes handed to this link are not acknowledged yet.
    Unsent(PeerId, u32),
    /// Time passed.
    Wake,
    /// The viewer wants to be elsewhere: so far behind the live edge, or at this part.
    Seek(Seek),
    /// The viewer wants other layers.
    Switch(Vec<LayerId>),
    /// Of a recording: the layers that were granted ([`super::Peer::granted`]) are wanted from this part on.
    Change(PartId),
    /// The viewer stops for a while, or goes on.
    Pause(bool),
    /// The viewer's mind about giving changed.
    Upload(UploadPolicy),
    /// A newer ticket, or one for another edge: the next greeting shows it.
    Renew(Bytes),
    /// The viewer goes: hand over the children, then say good-bye.
    Leave,
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// As near to the live edge as H allows.
    Live,
    /// This part.
    To(PartId),
}

/// What a peer wants of its host.
#[derive(Debug, Clone)]
pub enum Output<P> {
    /// Send this frame on this link.
    Send(PeerId, Frame<P>),
    /// Make a link; the host negotiates through [`Frame::Signal`] over the edge. [`PeerId::EDGE`]: the link to the edge
    /// is gone; make one to it or to a sibling.
    Connect(PeerId),
    /// End a link.
    Disconnect(PeerId),
    /// A whole part of a layer: hand it to the player.
    Part(Part<P>),
    /// Something worth counting.
    Event(Event),
    /// It is over; the host may drop this peer.
    Closed(Bye),
}

/// All chunks of one layer of one part, in order.
#[derive(Debug, Clone)]
pub struct Part<P> {
    /// What it is part of.
    pub descriptor: Arc<Descriptor>,
    /// Which layer.
    pub of: LayerId,
    /// Its bytes.
    pub chunks: Vec<VerifiedChunk<P>>,
}

/// What happened, for statistics and for the question why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Let in; the number is ours in this cluster.
    Admitted(PeerId),
    /// A part's deadline was reached with all wanted layers there (true) or not.
    Due(PartId, bool),
    /// A chunk is taken from the edge because its deadline came near, and who should have brought it.
    Rescue(ChunkId, PeerId),
    /// A chunk is asked from another peer than its parent.
    Pull(ChunkId, PeerId),
    /// A substream's parent was given up for its backup.
    Switched {
        /// Whom.
        from: PeerId,
        /// For whom.
        to: PeerId,
    },
    /// A chunk came twice.
    Duplicate(ChunkId, PeerId),
    /// The other end did wrong and was cut off.
    CutOff(PeerId),
    /// All of a recording is here.
    Completed,
}
