//! Does everything still fit together, and how does it stand? Read-only views for hosts, tests and the simulator.

use core::time::Duration;

use trellis_proto::frame::PeerId;

use super::feed::Sent;
use super::overlay::Overlay;
use super::roster::{EDGE, Slot};
use super::trees::NONE;
use super::{Cluster, Payload};

/// An invariant that does not hold: our bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// How a cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Viewers.
    pub viewers: u32,
    /// Of these, who gives.
    pub supporters: u32,
    /// What peers may promise, bit/s.
    pub peers_bps: u64,
    /// What they have promised, bit/s.
    pub peers_held_bps: u64,
    /// What the edge may promise, bit/s.
    pub edge_bps: u64,
    /// What it has promised, bit/s.
    pub edge_held_bps: u64,
    /// What one more viewer is expected to give, bit/s: what those here do, or what the first is given credit for.
    pub brings_bps: u64,
    /// By how much what peers may promise has grown lately, bit/s per second.
    pub growth_bps2: u64,
    /// Credit that is out, bit/s.
    pub credit_bps: u64,
    /// The deepest tree.
    pub depth: u16,
    /// Substreams that nobody gives to somebody who wants them.
    pub orphans: u32,
    /// H.
    pub hold_back: Duration,
    /// Payload bytes the edge sent.
    pub sent: Sent,
}

impl<P: Payload> Cluster<P> {
    /// How it stands.
    pub fn stats(&self) -> Stats {
        let overlay = &self.overlay;
        let edge = overlay.ledger.account(EDGE);
        let (peers_bps, peers_held_bps) = overlay.ledger.peers_bps();
        let gives = |slot: &&Slot| overlay.ledger.account(**slot).capacity_bps > 0;
        Stats {
            viewers: overlay.roster.len() as u32,
            supporters: overlay.roster.present().iter().filter(gives).count() as u32,
            peers_bps,
            peers_held_bps,
            edge_bps: edge.capacity_bps,
            edge_held_bps: edge.held_bps,
            brings_bps: peers_bps
                .checked_div(overlay.roster.len() as u64)
                .unwrap_or_else(|| overlay.ledger.credit_room_bps()),
            growth_bps2: self.growth_bps2,
            credit_bps: overlay.ledger.credit_bps(),
            depth: overlay.trees.iter().map(|tree| tree.depth()).max().unwrap_or(0),
            orphans: overlay.orphans.len() as u32,
            hold_back: self.hold.hold_back(),
            sent: self.feed.sent(),
        }
    }

    /// How many are in.
    pub fn viewers(&self) -> usize {
        self.overlay.roster.len()
    }

    /// What the edge has promised, bit/s: of [`Stats`] the one number that is asked for all the time.
    pub fn edge_held_bps(&self) -> u64 {
        self.overlay.ledger.account(EDGE).held_bps
    }

    /// How deep each substream's tree is, in the catalogue's order.
    pub fn depths(&self) -> impl Iterator<Item = u16> + '_ {
        self.overlay.trees.iter().map(|tree| tree.depth())
    }

    /// Does the plan want these two linked: as giver and taker, as backup, or as neighbors? Nobody else has anything to
    /// say to each other.
    pub fn wants_linked(&self, one: PeerId, other: PeerId) -> bool {
        let roster = &self.overlay.roster;
        let (Some(one), Some(other)) = (roster.by_id(one), roster.by_id(other)) else { return false };
        one != other && (self.overlay.names(one, other) || self.overlay.names(other, one))
    }

    /// Does everything fit together?
    pub fn check(&self) -> Result<(), Violation> {
        self.overlay.check()
    }
}

impl Overlay {
    /// Is the other a peer's neighbor, or the parent or backup of one of its seats?
    fn names(&self, slot: Slot, other: Slot) -> bool {
        let Some(peer) = self.roster.get(slot) else { return false };
        let gives = |(lane, node): &(u16, u32)| {
            let tree = &self.trees[usize::from(*lane)];
            let node = tree.node(*node);
            [node.parent, node.backup].into_iter().any(|giver| giver != NONE && tree.node(giver).peer == other)
        };
        peer.neighbors.contains(&other) || peer.seats.iter().any(gives)
    }

    /// Trees, seats and slots tell the same.
    pub fn check(&self) -> Result<(), Violation> {
        self.trees.iter().try_for_each(|tree| tree.check().map_err(Violation))?;
        let mut members = 0;
        for slot in self.roster.present() {
            let Some(peer) = self.roster.get(*slot) else { return Err(Violation("somebody present has no entry")) };
            if !peer.seats.iter().map(|seat| seat.0).eq(sorted(self.lanes.of(peer.layers))) {
                return Err(Violation("a seat is missing, or one too many"));
            }
            members += peer.seats.len();
            for (lane, node) in &peer.seats {
                let n = self.trees[usize::from(*lane)].node(*node);
                if n.peer != *slot {
                    return Err(Violation("a seat is another's"));
                }
                let waits = self.orphans.contains(&(*lane, peer.id));
                if n.parent == NONE && !waits {
                    return Err(Violation("somebody has no giver and nobody looks for one"));
                }
            }
            self.check_account(*slot)?;
        }
        if members != self.trees.iter().map(|tree| tree.members() as usize).sum::<usize>() {
            return Err(Violation("a tree holds somebody who is gone"));
        }
        self.check_account(EDGE)
    }

    fn check_account(&self, slot: Slot) -> Result<(), Violation> {
        let account = self.ledger.account(slot);
        let mut held = 0;
        let seats =
            if slot == EDGE { (0..self.trees.len() as u16).map(|l| (l, 0)).collect() } else { self.seats(slot) };
        for (lane, node) in seats {
            held += self.trees[usize::from(lane)].children(node).map(|child| self.cost(lane, child)).sum::<u64>();
        }
        if held != account.held_bps {
            return Err(Violation("slots held are not slots given"));
        }
        let most = account.capacity_bps + if slot == EDGE { self.ledger.rescue_bps() } else { 0 };
        let leaving = self.roster.get(slot).is_some_and(|peer| peer.leaving.is_some());
        if held > most && !leaving { Err(Violation("more was promised than there is")) } else { Ok(()) }
    }
}

fn sorted(lanes: impl Iterator<Item = u16>) -> impl Iterator<Item = u16> {
    let mut lanes: alloc::vec::Vec<_> = lanes.collect();
    lanes.sort_unstable();
    lanes.into_iter()
}
