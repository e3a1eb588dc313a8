//! What goes into a cluster and what comes out of it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use trellis_proto::frame::{Bye, ChunkId, Fault, Frame, PartId, PeerId};
use trellis_proto::{Catalogue, Descriptor, RunEnd, SessionId};

use crate::locality::Locality;

/// One WebSocket at this edge; numbered by the host, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What the host tells a cluster.
#[derive(Debug, Clone)]
pub enum Input<P> {
    /// A viewer's link stands; its ticket was checked by the host (`trust::table`), this is what it allows.
    Opened {
        /// The link.
        link: LinkId,
        /// The place the ticket stands for.
        session: SessionId,
        /// The ticket's maximum rate, bit/s.
        max_rate_bps: u64,
        /// Where it comes from.
        locality: Locality,
        /// A sibling had admitted it and is gone: it plays and gives already.
        rejoins: bool,
    },
    /// A frame came (the first is [`Frame::Hello`]).
    Frame(LinkId, Frame<P>),
    /// So many bytes handed to this link have not left yet.
    Unsent(LinkId, u32),
    /// The link broke.
    Closed(LinkId),
    /// A run begins (its catalogue, as signed).
    Catalogue(Arc<Catalogue>, Bytes),
    /// A part time is whole here: its descriptor, as signed, and for each layer its chunks, rendition by rendition.
    Part(Arc<Descriptor>, Bytes, Arc<Chunks<P>>),
    /// A run is over.
    RunEnd(RunEnd, Bytes),
    /// A chunk the cluster asked its host for.
    Fetched(LinkId, ChunkId, Option<P>),
    /// The operator changed what this cluster may send, bit/s.
    Budget(u64),
    /// How fast leaving viewers are expected to give room back, bit/s per second, by what the host counted; 0: not known.
    Relief(u64),
    /// No new viewers; the present ones are handed over.
    Drain,
    /// Time passed.
    Wake,
}

/// The chunks of a part time: by rendition, by layer, by number.
pub type Chunks<P> = Vec<Vec<Vec<P>>>;

/// What a cluster wants of its host.
#[derive(Debug, Clone)]
pub enum Output<P> {
    /// Send this frame on this link.
    Send(LinkId, Frame<P>),
    /// A chunk that is older than what the cluster keeps was asked for: answer with [`Input::Fetched`].
    Fetch(LinkId, ChunkId),
    /// Descriptors that are older than what the cluster keeps were asked for: so many from this part on, as signed, go as
    /// [`Frame::Table`]s to this link.
    Tables(LinkId, PartId, u8),
    /// End this link, after what was sent.
    Close(LinkId, Bye),
    /// Something worth counting.
    Event(Event),
}

/// What happened, for statistics and for the question why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A viewer is in.
    Admitted(LinkId, PeerId, SessionId),
    /// A viewer was sent away.
    Refused(LinkId, Bye),
    /// A viewer is gone, and its slots are free.
    Left(LinkId, PeerId, SessionId),
    /// Several takers agree that a peer did wrong.
    Parole(PeerId, Fault),
    /// A peer sent wrong bytes and is banned.
    Banned(PeerId, SessionId),
}
