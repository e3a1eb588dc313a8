//! Who is here? Every viewer by dense place, by number, by link and by session, and who is near to whom.
//!
//! Invariant: the maps and the list of the present name exactly the occupied places; place 0 is the edge.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use trellis_proto::SessionId;
use trellis_proto::frame::{Nat, PeerId};

use super::event::LinkId;
use super::lanes::{Lane, LayerMask};
use super::neighbors::Stretch;
use super::proof::Proof;
use super::trees::NodeId;
use crate::locality::Locality;
use crate::time::Instant;

/// A dense place in the roster; used again when its peer is gone.
pub type Slot = u32;

/// The edge's place.
pub const EDGE: Slot = 0;

/// A viewer.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its number; never used again.
    pub id: PeerId,
    /// Its WebSocket.
    pub link: LinkId,
    /// The place its ticket stands for.
    pub session: SessionId,
    /// What its ticket allows, bit/s.
    pub max_rate_bps: u64,
    /// Where it is.
    pub locality: Locality,
    /// How it can be reached.
    pub nat: Nat,
    /// What it watches.
    pub layers: LayerMask,
    /// Its place in the tree of each lane it watches, by lane.
    pub seats: Vec<(Lane, NodeId)>,
    /// What it has of a recording.
    pub stretch: Option<Stretch>,
    /// With whom it gossips.
    pub neighbors: Vec<Slot>,
    /// From whom it gets nothing for now, and until when: no link could be made, or it was late.
    pub shunned: Vec<(PeerId, Instant)>,
    /// How many takers were left waiting lately; falls with time.
    pub blame: u8,
    /// Let in.
    pub joined: Instant,
    /// Last heard of.
    pub heard: Instant,
    /// It said good-bye: it takes and gives no more than it does, until this time.
    pub leaving: Option<Instant>,
    /// The newest plan it was told.
    pub plan: u32,
    /// How many viewers there were when its homes were chosen.
    pub homed_at: u32,
    /// Signals it may still have relayed.
    pub signals: u16,
    /// What it was seen to give.
    pub proof: Proof,
    /// It has everything (on demand).
    pub complete: bool,
    /// It was let in to give nothing.
    pub receive_only: bool,
    /// What it must be told next.
    pub news: News,
}

/// What changed for a peer since it was last told.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// It stands in the list of those who must be told.
    pub listed: bool,
    /// H.
    pub hold_back: bool,
    /// Its neighbors.
    pub neighbors: bool,
    /// Its layers.
    pub layers: bool,
    /// Some of those who give to it.
    pub takes: bool,
    /// Whom it gives to: child, layer as (rendition, layer), and whether something was taken away.
    pub gives: Vec<(PeerId, u8, u8, bool)>,
}

impl Peer {
    /// A viewer that just came.
    pub fn new(id: PeerId, link: LinkId, session: SessionId, locality: Locality, now: Instant) -> Self {
        Self {
            id,
            link,
            session,
            max_rate_bps: 0,
            locality,
            nat: Nat::Unknown,
            layers: 0,
            seats: Vec::new(),
            stretch: None,
            neighbors: Vec::new(),
            shunned: Vec::new(),
            blame: 0,
            joined: now,
            heard: now,
            leaving: None,
            plan: 0,
            homed_at: 0,
            signals: SIGNALS_BURST,
            proof: Proof::new(now),
            complete: false,
            receive_only: false,
            news: News::default(),
        }
    }

    /// Its node in a lane's tree.
    pub fn seat(&self, lane: Lane) -> Option<NodeId> {
        self.seats.binary_search_by_key(&lane, |seat| seat.0).ok().map(|at| self.seats[at].1)
    }

    /// How far apart: 0 same LAN … 4 another region. None: they cannot link.
    pub fn distance(&self, other: &Self) -> Option<u32> {
        let shuns = |a: &Self, b: &Self| a.shunned.iter().any(|(id, _)| *id == b.id);
        if !can_link(self.nat, other.nat) || shuns(self, other) || shuns(other, self) {
            return None;
        }
        Some(u32::from(self.locality.distance(&other.locality)))
    }

    /// Gets nothing from another until then.
    pub fn shun(&mut self, other: PeerId, until: Instant) {
        self.shunned.retain(|(id, _)| *id != other);
        if self.shunned.len() == SHUNNED_MAX {
            self.shunned.remove(0);
        }
        self.shunned.push((other, until));
    }

    /// May it be given children? Not while it leaves, is banned, or leaves takers waiting.
    pub fn may_give(&self) -> bool {
        self.leaving.is_none() && !self.proof.banned && self.blame < RESTING
    }

    /// A taker was left waiting. True: enough for it to rest from now on.
    pub fn blame(&mut self) -> bool {
        let before = self.blame;
        self.blame = (self.blame + BLAME).min(BLAME_MAX);
        before < RESTING && self.blame >= RESTING
    }

    /// Do takers say, now, that it leaves them waiting?
    pub fn is_doubted(&self) -> bool {
        self.blame >= RESTING || self.proof.is_late()
    }

    /// Half a second passed.
    pub fn tick(&mut self, now: Instant) {
        self.shunned.retain(|(_, until)| now < *until);
        self.blame = self.blame.saturating_sub(1);
        self.signals = (self.signals + SIGNALS_PER_TICK).min(SIGNALS_BURST);
    }
}

/// Can two such networks be joined by a direct link, as far as one knows?
fn can_link(a: Nat, b: Nat) -> bool {
    !matches!((a, b), (Nat::Blocked, _) | (_, Nat::Blocked) | (Nat::Symmetric, Nat::Symmetric))
}

/// Failed links a peer remembers.
const SHUNNED_MAX: usize = 16;
/// What one complaint weighs; it is forgotten in two seconds.
const BLAME: u8 = 4;
/// Who has so much gets no children: two takers within a second or so agree.
const RESTING: u8 = 6;
/// It rests for some seconds at most after the last complaint, however many there were.
const BLAME_MAX: u8 = 12;
/// Signals a peer may have relayed per tick, in the long run.
const SIGNALS_PER_TICK: u16 = 16;
/// Signals a peer may have relayed in one go.
const SIGNALS_BURST: u16 = 256;

/// All of them.
#[derive(Debug, Clone)]
pub struct Roster {
    peers: Vec<Option<Peer>>,
    free: Vec<Slot>,
    present: Vec<Slot>,
    present_at: Vec<u32>,
    by_id: BTreeMap<PeerId, Slot>,
    by_link: BTreeMap<LinkId, Slot>,
    by_session: BTreeMap<SessionId, Slot>,
    near: BTreeMap<(u8, u64), Vec<Slot>>,
    next_id: u32,
    /// How many can link to no other.
    blocked: usize,
}

impl Roster {
    /// Nobody there; the first to come gets this number, the edge's own aside.
    pub fn new(first: PeerId) -> Self {
        Self {
            peers: vec![None],
            free: Vec::new(),
            present: Vec::new(),
            present_at: vec![0],
            by_id: BTreeMap::new(),
            by_link: BTreeMap::new(),
            by_session: BTreeMap::new(),
            near: BTreeMap::new(),
            next_id: first.0.max(1),
            blocked: 0,
        }
    }

    /// How many viewers.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// How many of them can link to no other viewer.
    pub fn blocked(&self) -> usize {
        self.blocked
    }

    /// All, in no order that means anything.
    pub fn present(&self) -> &[Slot] {
        &self.present
    }

    /// A viewer; None: the edge, or nobody.
    pub fn get(&self, slot: Slot) -> Option<&Peer> {
        self.peers.get(slot as usize)?.as_ref()
    }

    /// A viewer; None: the edge, or nobody.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Peer> {
        self.peers.get_mut(slot as usize)?.as_mut()
    }

    /// The number of who has this place; 0 is the edge.
    pub fn id(&self, slot: Slot) -> PeerId {
        self.get(slot).map_or(PeerId::EDGE, |peer| peer.id)
    }

    /// Where a number's peer is.
    pub fn by_id(&self, id: PeerId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    /// Where a link's peer is.
    pub fn by_link(&self, link: LinkId) -> Option<Slot> {
        self.by_link.get(&link).copied()
    }

    /// Where a session's peer is.
    pub fn by_session(&self, session: SessionId) -> Option<Slot> {
        self.by_session.get(&session).copied()
    }

    /// Those in the same LAN, prefix or network, nearest first.
    pub fn near(&self, locality: &Locality) -> impl Iterator<Item = &[Slot]> {
        keys(locality).into_iter().filter_map(|key| self.near.get(&key).map(Vec::as_slice))
    }

    /// Takes a viewer in; the number it gets, and its place.
    pub fn insert(&mut self, make: impl FnOnce(PeerId) -> Peer) -> Slot {
        let id = PeerId(self.next_id);
        self.next_id += 1;
        let peer = make(id);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.peers.push(None);
            self.present_at.push(0);
            self.peers.len() as Slot - 1
        });
        self.blocked += usize::from(peer.nat == Nat::Blocked);
        self.by_id.insert(id, slot);
        self.by_link.insert(peer.link, slot);
        self.by_session.insert(peer.session, slot);
        for key in keys(&peer.locality) {
            self.near.entry(key).or_default().push(slot);
        }
        self.present_at[slot as usize] = self.present.len() as u32;
        self.present.push(slot);
        self.peers[slot as usize] = Some(peer);
        slot
    }

    /// A viewer can be reached otherwise than was said.
    pub fn set_nat(&mut self, slot: Slot, nat: Nat) {
        let Some(peer) = self.get_mut(slot) else { return };
        let before = core::mem::replace(&mut peer.nat, nat);
        self.blocked = self.blocked - usize::from(before == Nat::Blocked) + usize::from(nat == Nat::Blocked);
    }

    /// Forgets a viewer.
    pub fn remove(&mut self, slot: Slot) -> Option<Peer> {
        let peer = self.peers.get_mut(slot as usize)?.take()?;
        self.blocked -= usize::from(peer.nat == Nat::Blocked);
        self.by_id.remove(&peer.id);
        self.by_link.remove(&peer.link);
        if self.by_session.get(&peer.session) == Some(&slot) {
            self.by_session.remove(&peer.session);
        }
        for key in keys(&peer.locality) {
            let group = self.near.get_mut(&key).expect("who is here stands in its groups");
            group.retain(|other| *other != slot);
            if group.is_empty() {
                self.near.remove(&key);
            }
        }
        let at = self.present_at[slot as usize] as usize;
        self.present.swap_remove(at);
        if let Some(moved) = self.present.get(at) {
            self.present_at[*moved as usize] = at as u32;
        }
        self.free.push(slot);
        Some(peer)
    }
}

/// The groups a place belongs to, nearest first.
fn keys(locality: &Locality) -> Vec<(u8, u64)> {
    let all = [(0, locality.lan), (1, locality.prefix), (2, u64::from(locality.isp))];
    all.into_iter().filter(|(_, key)| *key != 0).collect()
}
