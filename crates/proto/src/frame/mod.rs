//! What do a peer and its edge, and two peers, say to each other? One set of frames for both links.
//!
//! A frame is one message of a WebSocket or a data channel: a kind, then fields; there is no framing below it. The
//! protocol's version is said once, in the greeting; a kind a reader does not know is skipped and counted, so that
//! a later version may add kinds, while a known kind with bad fields is a fault of the sender.
//!
//! `P` is what carries a chunk's bytes: `Bytes` on the wire, something smaller in large simulations.

mod codec;
mod field;
mod rows;
mod set;

use alloc::vec::Vec;

use bytes::Bytes;

use crate::id::RunId;
pub use codec::{Decoded, kind};
pub use set::{Bits, Substreams};

/// The version of the link protocol.
pub const LINK_VERSION: u8 = 1;

/// A peer, numbered by the edge that let it in: never reused, and no other edge of the stream gives the same number.
/// 0 is the edge itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct PeerId(pub u32);

impl PeerId {
    /// The edge that heads the cluster.
    pub const EDGE: Self = Self(0);

    /// Is it the edge?
    pub fn is_edge(self) -> bool {
        self == Self::EDGE
    }
}

/// One part time of one run. Run ids grow with time, so parts sort as they play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartId {
    /// The run.
    pub run: RunId,
    /// Its number within the run.
    pub part: u64,
}

/// One layer of one rendition, by position in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId {
    /// Position in the catalogue, below 16.
    pub rendition: u8,
    /// 0 is the base; below 4.
    pub layer: u8,
}

/// One substream: what a slot carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Substream {
    /// The layer it is a K-th of.
    pub of: LayerId,
    /// k, below 16.
    pub index: u8,
}

/// The unit that is hashed, asked for and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId {
    /// The part time.
    pub part: PartId,
    /// The layer.
    pub of: LayerId,
    /// Its number within the layer, below 1024.
    pub index: u16,
}

/// A message between a peer and its edge, or between two peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<P = Bytes> {
    /// Peer → edge, first: here is my ticket.
    Hello(Hello),
    /// Edge → peer: you are in.
    Welcome(Welcome),
    /// Peer → peer, first on a data channel.
    Greet {
        /// [`LINK_VERSION`].
        version: u8,
        /// Who speaks. The edge that relayed the signals vouches for it.
        from: PeerId,
    },
    /// A signed catalogue, descriptor or run end, as the origin made it.
    Table(Bytes),
    /// Send me these descriptors.
    Ask {
        /// The first.
        from: PartId,
        /// How many, 1 to 64.
        count: u8,
    },
    /// The bytes of a chunk.
    Chunk(Chunk<P>),
    /// What I have, since I last told.
    Have(Vec<Row>),
    /// Send me these.
    Want {
        /// The chunks, by part and layer.
        rows: Vec<Row>,
        /// Their deadline is near: before anything that is pushed.
        urgent: bool,
    },
    /// I no longer want these.
    Cancel(Vec<Row>),
    /// You asked for these; I do not have them, or cannot give them now.
    Deny(Vec<Row>),
    /// Push these substreams to me, starting with this part.
    Subscribe {
        /// Which.
        set: Vec<Substreams>,
        /// The first part.
        from: PartId,
    },
    /// Push them no longer.
    Unsubscribe(Vec<Substreams>),
    /// Edge → peer: who gives you what, whom you may give what, who is near.
    Assign(Assign),
    /// Peer → edge: what I have seen.
    Report(Report),
    /// Peer → edge: I want to watch these layers from now on; an [`Frame::Assign`] grants it, or does not.
    Switch {
        /// The layers, each with all its substreams.
        layers: Vec<LayerId>,
    },
    /// Peers that the sender has good links to.
    Exchange(Vec<PeerId>),
    /// To or from another peer, through the edge: an SDP or candidates, opaque here.
    Signal {
        /// To the edge: whom it is for. From the edge: whom it is from.
        peer: PeerId,
        /// At most 4 KiB.
        body: Bytes,
    },
    /// Are you there, and what is your time?
    Ping {
        /// The sender's clock, µs.
        sent_us: u64,
    },
    /// I am.
    Pong {
        /// The ping's `sent_us`.
        echo_us: u64,
        /// The answerer's clock, µs.
        now_us: u64,
    },
    /// Peer → edge: a newer ticket for the same place.
    Renew(Bytes),
    /// The last frame of a link.
    Bye(Bye),
}

/// A peer asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// [`LINK_VERSION`].
    pub version: u8,
    /// A signed ticket.
    pub ticket: Bytes,
    /// What the viewer's uplink gave last time, bit/s; 0: not known, or receive only.
    pub declared_bps: u64,
    /// Give nothing.
    pub receive_only: bool,
    /// Which pairs are worth a try.
    pub nat: Nat,
    /// The layers it wants to start with.
    pub layers: Vec<LayerId>,
    /// Where it wants to play: the live edge, or so many µs behind it.
    pub behind_us: u64,
}

/// How a peer's network lets others in, as far as STUN on two ports tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Nat {
    /// Not tested.
    #[default]
    Unknown,
    /// A public address.
    Open,
    /// One outside port for one inside port, whomever one talks to.
    Cone,
    /// Another outside port for each one talks to.
    Symmetric,
    /// No UDP passes.
    Blocked,
}

/// A peer was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// [`LINK_VERSION`].
    pub version: u8,
    /// Who you are here.
    pub you: PeerId,
    /// H: how long after a descriptor's arrival its part must be playable, µs.
    pub hold_back_us: u32,
    /// The edge's clock, µs.
    pub now_us: u64,
    /// The credit it counts with until it was seen to give, bit/s.
    pub credit_bps: u64,
    /// How long after this to start playing, µs: the edge's bandwidth for first parts is short when it is long, and the
    /// mesh brings them.
    pub start_us: u32,
}

/// A chunk on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk<P> {
    /// Which.
    pub id: ChunkId,
    /// How many peers it has passed; 0 from an edge.
    pub hop: u8,
    /// Its bytes.
    pub payload: P,
}

/// Some chunks of one layer of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The part time.
    pub part: PartId,
    /// The layer.
    pub of: LayerId,
    /// The chunks, by number.
    pub chunks: Bits,
}

/// A plan, as changes to the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assign {
    /// Grows with every plan of this cluster that this peer is told.
    pub plan: u32,
    /// H, µs.
    pub hold_back_us: u32,
    /// Who pushes to you. What is not named stays.
    pub take: Vec<Take>,
    /// Whom you push to, and whom you may. What is not named stays.
    pub give: Vec<Give>,
    /// All whom you should gossip with; None: as before.
    pub neighbors: Option<Vec<PeerId>>,
    /// The layers you have slots for now; None: as before.
    pub layers: Option<Vec<LayerId>>,
}

/// Where substreams come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// Which.
    pub set: Substreams,
    /// Holds slots for them; the edge is 0.
    pub parent: PeerId,
    /// Whom to turn to when the parent is late; the edge is 0.
    pub backup: PeerId,
}

/// Where substreams go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Give {
    /// Which. An empty set: nothing of this layer any more.
    pub set: Substreams,
    /// To whom.
    pub child: PeerId,
    /// The child holds slots; else it may only turn to you when its parent is late.
    pub reserved: bool,
    /// How many more hang below this child in these substreams: who is served first when all wait.
    pub below: u16,
}

/// What a peer tells its edge, every two seconds and when something breaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The newest plan it follows.
    pub plan: u32,
    /// What its uplink carries, by its own measure, bit/s; 0: not measured.
    pub alpha_bps: u64,
    /// How long its uplink's queue was at worst since the last report, µs.
    pub queue_us: u32,
    /// 99th percentile of descriptor → whole part since the last report, µs.
    pub delay_us: u32,
    /// What is ready to play, µs.
    pub buffer_us: u32,
    /// How long playback stood still since the last report, µs.
    pub stalled_us: u32,
    /// Where it plays on the run's time line, µs.
    pub at_us: u64,
    /// What it has before that, without a gap, µs.
    pub back_us: u32,
    /// Who gave how much.
    pub receipts: Vec<Receipt>,
    /// Who did wrong.
    pub complaints: Vec<Complaint>,
}

/// One giver, since the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The giver.
    pub from: PeerId,
    /// Verified payload bytes.
    pub bytes: u32,
    /// Chunks that came late or never.
    pub late: u16,
    /// How long it took to put across what it sent in one go, µs: bytes over this is its rate.
    pub busy_us: u32,
}

/// Something is wrong with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complaint {
    /// Which peer.
    pub peer: PeerId,
    /// What.
    pub fault: Fault,
}

/// What can be wrong with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Bytes that are not what was signed.
    BadChunk,
    /// The link broke.
    Gone,
    /// Nothing came for two parts.
    Silent,
    /// No link could be made.
    Unreachable,
    /// It broke the protocol.
    Protocol,
}

/// Why a link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bye {
    /// It leaves on purpose.
    Leaving,
    /// The ticket is not good here.
    Ticket,
    /// No room; ask the manager again after so many seconds.
    NoRoom(u16),
    /// Another link took its place.
    Replaced,
    /// It sent wrong bytes.
    BadChunk,
    /// It broke the protocol.
    Protocol,
    /// It asks for more than a link may.
    Flood,
    /// The link is of no use any more.
    Idle,
    /// The stream has ended.
    Ended,
    /// Go to another edge; ask the manager.
    Moved,
}
