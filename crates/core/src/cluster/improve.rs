//! Could the trees be better than they are? A few moves at a time, each of them worth a parent's change: shallower
//! trees, and what the edge serves beyond its roots given to peers once they have room to spare.

use alloc::vec::Vec;

use super::lanes::Lane;
use super::overlay::{Overlay, distance, price};
use super::roster::{EDGE, Peer, Slot};
use trellis_proto::frame::Nat;

use super::trees::{NONE, Node, NodeId, ROOT};

/// Moves per tree and round.
const MOVES: usize = 16;
/// Who got a parent less than so many rounds ago is left alone: links take time to be made, and every move may cost a
/// rescue.
const SETTLED: u32 = 10;
/// Peers take over from the edge when more than this (per cent) of a tree's slots is free …
const HEADROOM_PERCENT: u64 = 5;
/// In large trees more givers are lifted per round: one for so many members.
const MEMBERS_PER_LIFT: usize = 24;
/// Busier than the mean by this much (per cent) is too busy.
const BUSY_PERCENT: u64 = 104;
/// And by this much is so busy that a step more below another is better.
const VERY_BUSY_PERCENT: u64 = 115;
/// So many are compared.
const DRAWN: usize = 32;
/// Children of the edge that are compared.
const CHOSEN_FROM: usize = 64;
/// Peers looked at for new homes per round.
const REHOMED: usize = 64;
/// Homes are chosen anew when there are this many times the viewers (per cent).
const GROWN_PERCENT: u64 = 150;

impl Overlay {
    /// One round over all trees.
    pub fn improve(&mut self) {
        self.rehome();
        for lane in 0..self.trees.len() as Lane {
            if self.trees[usize::from(lane)].members() > 0 {
                self.trees[usize::from(lane)].next_round();
                self.seed(lane);
                let lifts = MOVES.max(self.trees[usize::from(lane)].members() as usize / MEMBERS_PER_LIFT);
                for _ in 0..lifts {
                    self.turn = self.seeded.number() as usize;
                    self.relieve_edge(lane);
                }
                // One that cannot be moved is no reason to leave the others.
                (0..lifts).for_each(|_| self.lift(lane));
                (0..MOVES).for_each(|_| self.flatten(lane));
                for _ in 0..lifts {
                    self.turn = self.seeded.number() as usize;
                    if !self.level(lane) {
                        break;
                    }
                }
            }
        }
    }

    /// Givers whose homes were chosen when there were far fewer viewers give up the smallest of them: more children in
    /// fewer trees make these shallower.
    fn rehome(&mut self) {
        let viewers = self.roster.len();
        for _ in 0..REHOMED.min(viewers) {
            self.cursor = (self.cursor + 1) % viewers;
            let slot = self.roster.present()[self.cursor];
            let grown = |homed_at: u32| u64::from(homed_at) * GROWN_PERCENT < viewers as u64 * 100;
            let settled = |seats: &[(Lane, NodeId)]| {
                seats.iter().all(|(lane, node)| self.trees[usize::from(*lane)].is_settled(*node, SETTLED))
            };
            let due = |peer: &Peer| grown(peer.homed_at) && peer.leaving.is_none() && settled(&peer.seats);
            if self.roster.get(slot).is_some_and(due) {
                self.leave_small_homes(slot);
                self.choose_homes(slot);
                return;
            }
        }
    }

    fn leave_small_homes(&mut self, slot: Slot) {
        let mut homes: Vec<_> = self.seats(slot).into_iter().filter(|(l, n)| self.quota(*l, *n) > 0).collect();
        homes.sort_unstable_by_key(|(lane, node)| (core::cmp::Reverse(self.quota(*lane, *node)), *lane));
        let fan = self.fan();
        let all: u64 = homes.iter().map(|(lane, node)| u64::from(self.quota(*lane, *node))).sum();
        for (lane, node) in homes.into_iter().skip(all.div_ceil(fan).max(1) as usize) {
            let tree = &mut self.trees[usize::from(lane)];
            let n = tree.node(node);
            let (children, unused) = (u64::from(n.children), u64::from(n.quota - n.children.min(n.quota)));
            if tree.open_slots() >= children + unused {
                tree.set_quota(node, 0);
                self.scatter(lane, node, false);
            }
        }
    }

    fn quota(&self, lane: Lane, node: NodeId) -> u16 {
        self.trees[usize::from(lane)].node(node).quota
    }

    /// A child of the edge that gives nothing goes to a peer.
    fn relieve_edge(&mut self, lane: Lane) -> bool {
        let tree = &self.trees[usize::from(lane)];
        let root = tree.node(ROOT);
        let spare = tree.open_slots() * 100 > u64::from(tree.members()) * HEADROOM_PERCENT;
        if root.children <= root.quota || !(spare || self.peers_have_room()) {
            return false;
        }
        // Who can link to no peer stays; of the others another one each time, for some find no peer either.
        let linkable = |child: &NodeId| {
            let peer = self.roster.get(tree.node(*child).peer);
            self.cost(lane, *child) > 0 && peer.is_some_and(|peer| peer.nat != Nat::Blocked)
        };
        let mut children: Vec<_> = tree.children(ROOT).filter(linkable).take(CHOSEN_FROM).collect();
        let least = children.iter().map(|child| tree.node(*child).below).min();
        // Who has others below it goes with them when all have, unless it is the only one who gives.
        children.retain(|child| Some(tree.node(*child).below) == least);
        let Some(at) = self.turn.checked_rem(children.len()) else { return false };
        let leaf = children[at];
        if self.rehang(lane, leaf, u16::MAX) {
            return true;
        }
        let Some(giver) = self.fallback(lane, leaf) else { return false };
        self.detach(lane, leaf);
        self.attach(lane, leaf, giver);
        true
    }

    /// A leaf of a giver that is busier than most goes to one that is less so: the busiest uplink is the latest. To save a
    /// very busy one it may even go a step deeper.
    fn level(&mut self, lane: Lane) -> bool {
        let (capacity, held) = self.ledger.peers_bps();
        let mean = held * 1_000 / capacity.max(1);
        let load = |slot: Slot| {
            let account = self.ledger.account(slot);
            account.held_bps * 1_000 / account.capacity_bps.max(1)
        };
        let drawn = || self.drawn();
        let Some(busy) = drawn().max_by_key(|slot| load(*slot)).filter(|b| load(*b) * 100 > mean * BUSY_PERCENT) else {
            return false;
        };
        let Some(node) = self.roster.get(busy).and_then(|peer| peer.seat(lane)) else { return true };
        let tree = &self.trees[usize::from(lane)];
        let Some(leaf) = tree.children(node).find(|child| tree.node(*child).below == 0) else { return true };
        let depth = tree.node(leaf).depth + u16::from(load(busy) * 100 > mean * VERY_BUSY_PERCENT);
        let (roster, child) = (&self.roster, tree.node(leaf).peer);
        let fits = |slot: &Slot| {
            let seat = roster.get(*slot).and_then(|peer| peer.seat(lane));
            let near = roster.get(child).and_then(|child| distance(roster, child, *slot)).is_some();
            let gives = |seat: NodeId| tree.node(seat).quota > 0 && tree.node(seat).depth < depth;
            let shallow = seat.is_some_and(|seat| gives(seat) && tree.may_hang(leaf, seat));
            let room = self.ledger.free_bps(*slot) >= self.lanes.slot_bps(lane);
            room && near && shallow && *slot != busy
        };
        // One more is much for a thin uplink: what counts is how busy it would be then.
        let bps = self.lanes.slot_bps(lane);
        let then = |slot: Slot| {
            let account = self.ledger.account(slot);
            (account.held_bps + bps) * 1_000 / account.capacity_bps.max(1)
        };
        let idle = drawn().filter(fits).min_by_key(|slot| then(*slot)).filter(|slot| then(*slot) < load(busy));
        let Some(idle) = idle else { return true };
        let Some(to) = self.roster.get(idle).and_then(|peer| peer.seat(lane)) else { return true };
        if self.trees[usize::from(lane)].node(to).is_open() || self.move_quota(idle, lane) {
            let quota = self.quota(lane, node).saturating_sub(1);
            self.detach(lane, leaf);
            self.trees[usize::from(lane)].set_quota(node, quota);
            self.attach(lane, leaf, to);
        }
        true
    }

    /// Some, drawn from all.
    fn drawn(&self) -> impl Iterator<Item = Slot> + '_ {
        let present = self.roster.present();
        let turn = self.turn.checked_rem(present.len()).unwrap_or(0);
        present.iter().cycle().skip(turn).take(DRAWN.min(present.len())).copied()
    }

    /// A giver of many children takes the place of somebody nearer to the edge who gives to far fewer: all below it rise.
    fn lift(&mut self, lane: Lane) {
        let tree = &self.trees[usize::from(lane)];
        let Some(giver) = tree.buried_giver(&mut self.seeded) else { return };
        let (roster, n) = (&self.roster, tree.node(giver));
        let Some(peer) = roster.get(n.peer) else { return };
        // Who can link to nobody stays with the edge, however little it gives.
        let fits = |other: &Node| {
            let above = (other.parent != NONE).then(|| tree.node(other.parent).peer);
            let fewer = other.quota * 2 + 1 < n.quota && roster.get(other.peer).is_some_and(|o| !o.complete);
            fewer
                && above.is_some_and(|above| distance(roster, peer, above).is_some())
                && roster.get(other.peer).is_some_and(|other| distance(roster, other, n.peer).is_some())
        };
        if let Some(other) = tree.idlest_above(n.depth, fits) {
            self.rise(lane, giver, other);
        }
    }

    /// A giver takes the place of another, which gets the giver's old place; or, when that is below it or cannot be, one
    /// below the giver, if need be that of a child that nobody waits for.
    fn rise(&mut self, lane: Lane, giver: NodeId, other: NodeId) {
        let tree = &self.trees[usize::from(lane)];
        let (Some(old), Some(above)) = (tree.parent(giver), tree.parent(other)) else { return };
        self.detach(lane, giver);
        self.detach(lane, other);
        self.attach(lane, giver, above);
        let tree = &self.trees[usize::from(lane)];
        let leaf = tree.children(giver).find(|child| tree.node(*child).below == 0);
        if old != other && self.may_take(lane, other, old) {
            return self.attach(lane, other, old);
        }
        match leaf {
            _ if tree.node(giver).is_open() && self.may_take(lane, other, giver) => self.attach(lane, other, giver),
            Some(leaf) => {
                self.detach(lane, leaf);
                match self.may_take(lane, other, giver) {
                    true => self.attach(lane, other, giver),
                    false => self.place(lane, other),
                }
                match self.may_take(lane, leaf, old) {
                    true => self.attach(lane, leaf, old),
                    false => self.place(lane, leaf),
                }
            }
            None => self.place(lane, other),
        }
    }

    /// One of the deepest goes up to where there is room; or it, or its parent, if it can give, changes places with a
    /// shallower one that cannot.
    fn flatten(&mut self, lane: Lane) {
        let tree = &self.trees[usize::from(lane)];
        let Some(deepest) = tree.deepest(&mut self.seeded).filter(|node| *node != ROOT) else { return };
        if !tree.is_settled(deepest, SETTLED) {
            return;
        }
        let n = tree.node(deepest);
        let (depth, quota, parent) = (n.depth, n.quota, n.parent);
        if self.rehang(lane, deepest, depth.saturating_sub(1)) {
            return;
        }
        let giver = if quota > 0 { deepest } else { parent };
        if giver == ROOT {
            return;
        }
        let Some(leaf) = self.leaf_for(lane, giver) else { return };
        let tree = &self.trees[usize::from(lane)];
        let settled = tree.is_settled(leaf, SETTLED) && tree.is_settled(giver, SETTLED);
        let shallower = settled && tree.node(leaf).depth < tree.node(giver).depth;
        if shallower {
            self.swap(lane, giver, leaf);
        }
    }

    /// Moves a node under the shallowest peer with room, if that is less deep than `depth`.
    fn rehang(&mut self, lane: Lane, node: NodeId, depth: u16) -> bool {
        let tree = &self.trees[usize::from(lane)];
        let (roster, ledger, bps) = (&self.roster, &self.ledger, self.lanes.slot_bps(lane));
        let Some(child) = roster.get(tree.node(node).peer) else { return false };
        let giver = |giver| {
            if giver == EDGE || ledger.free_bps(giver) < bps { None } else { price(roster, ledger, child, giver, bps) }
        };
        let found = tree.pick_open(node, &mut self.seeded, giver);
        let Some(parent) = found.filter(|parent| tree.node(*parent).depth < depth) else { return false };
        self.detach(lane, node);
        self.attach(lane, node, parent);
        true
    }

    /// Two nodes change places; what hangs below each stays below it.
    fn swap(&mut self, lane: Lane, a: NodeId, b: NodeId) {
        let tree = &self.trees[usize::from(lane)];
        let (Some(above_a), Some(above_b)) = (tree.parent(a), tree.parent(b)) else { return };
        let roster = &self.roster;
        let near = |node: NodeId, parent: NodeId| {
            let child = roster.get(tree.node(node).peer)?;
            distance(roster, child, tree.node(parent).peer)
        };
        let alike = self.cost(lane, a) == self.cost(lane, b);
        if !alike || above_a == b || above_b == a || near(a, above_b).is_none() || near(b, above_a).is_none() {
            return;
        }
        self.detach(lane, a);
        self.detach(lane, b);
        self.attach(lane, a, above_b);
        match self.may_take(lane, b, above_a) {
            true => self.attach(lane, b, above_a),
            false => self.place(lane, b),
        }
    }
}
