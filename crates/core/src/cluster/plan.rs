//! What must each peer be told? Collects what changed and turns it into at most one plan per peer and round.
//!
//! A give states, for one child and one layer, *all* substreams of its kind (reserved, or not); an empty set: none.

use alloc::vec::Vec;

use trellis_proto::frame::{Assign, Give, LayerId, PeerId, Substreams, Take};

use super::lanes::Lane;
use super::overlay::Overlay;
use super::roster::{EDGE, Slot};
use super::trees::{NONE, NodeId};

impl Overlay {
    /// This peer must be told something.
    pub(super) fn tell(&mut self, slot: Slot) {
        if let Some(peer) = self.roster.get_mut(slot).filter(|peer| !peer.news.listed) {
            peer.news.listed = true;
            self.untold.push(slot);
        }
    }

    /// H is another: everybody must know.
    pub fn tell_all(&mut self) {
        for slot in self.roster.present().to_vec() {
            if let Some(peer) = self.roster.get_mut(slot) {
                peer.news.hold_back = true;
            }
            self.tell(slot);
        }
    }

    /// A child has, or no longer has, a parent or a backup.
    pub(super) fn news(&mut self, lane: Lane, node: NodeId, giver: NodeId, gone: bool) {
        let tree = &self.trees[usize::from(lane)];
        let (child, giver) = (tree.node(node).peer, tree.node(giver).peer);
        if let Some(peer) = self.roster.get_mut(child) {
            peer.news.takes = true;
        }
        self.tell(child);
        self.news_give(lane, giver, child, gone);
    }

    fn news_give(&mut self, lane: Lane, giver: Slot, child: Slot, gone: bool) {
        let of = self.lanes.substream(lane).of;
        let id = self.roster.id(child);
        if giver == EDGE || id == PeerId::EDGE {
            return;
        }
        if let Some(peer) = self.roster.get_mut(giver) {
            let gives = &mut peer.news.gives;
            match gives.iter_mut().find(|(c, r, l, _)| (*c, *r, *l) == (id, of.rendition, of.layer)) {
                Some(known) => known.3 |= gone,
                None => gives.push((id, of.rendition, of.layer, gone)),
            }
        }
        self.tell(giver);
    }

    /// Somewhere below this node somebody came: givers above are told when it is twice what they know.
    pub(super) fn below_changed(&mut self, lane: Lane, from: NodeId) {
        let mut at = from;
        while let Some(parent) = self.trees[usize::from(lane)].parent(at) {
            let tree = &self.trees[usize::from(lane)];
            let (node, giver) = (tree.node(at), tree.node(parent).peer);
            if node.below > 2 * u32::from(node.told_below) {
                self.news_give(lane, giver, node.peer, false);
            }
            at = parent;
        }
    }

    /// The next peer to be told something, and what.
    pub fn next_plan(&mut self, hold_back_us: u32) -> Option<(Slot, Assign)> {
        while let Some(slot) = self.untold.pop() {
            if let Some(plan) = self.plan(slot, hold_back_us) {
                return Some((slot, plan));
            }
        }
        None
    }

    /// What one peer must be told, if anything.
    pub fn plan(&mut self, slot: Slot, hold_back_us: u32) -> Option<Assign> {
        let peer = self.roster.get_mut(slot)?;
        let mut news = core::mem::take(&mut peer.news);
        if peer.leaving.is_some() {
            return None;
        }
        if !self.is_planned() {
            // Whom to ask stands in the neighbors.
            (news.takes, news.gives) = (false, Vec::new());
        }
        let mut assign = Assign { hold_back_us, ..Assign::default() };
        if news.takes {
            assign.take = self.takes(slot);
        }
        assign.give = news.gives.iter().flat_map(|give| self.gives(slot, *give)).collect();
        let peer = self.roster.get(slot)?;
        if news.neighbors {
            assign.neighbors = Some(peer.neighbors.iter().map(|n| self.roster.id(*n)).collect());
        }
        if news.layers {
            assign.layers = Some(self.lanes.layers(peer.layers).collect());
        }
        let nothing = !news.hold_back && assign.take.is_empty() && assign.give.is_empty();
        if nothing && assign.neighbors.is_none() && assign.layers.is_none() {
            return None;
        }
        let peer = self.roster.get_mut(slot)?;
        peer.plan += 1;
        assign.plan = peer.plan;
        Some(assign)
    }

    /// Where the substreams come from whose giver is another than the peer knows.
    fn takes(&mut self, slot: Slot) -> Vec<Take> {
        let mut takes: Vec<Take> = Vec::new();
        for (lane, node) in self.seats(slot) {
            let tree = &self.trees[usize::from(lane)];
            let n = tree.node(node);
            if n.parent == NONE {
                continue;
            }
            let id = |node: NodeId| if node == NONE { PeerId::EDGE } else { self.roster.id(tree.node(node).peer) };
            let (parent, backup) = (id(n.parent), id(n.backup));
            if (n.told_parent, n.told_backup) == (parent.0, backup.0) {
                continue;
            }
            self.trees[usize::from(lane)].told(node, parent.0, backup.0);
            let one = Substreams::one(self.lanes.substream(lane));
            match takes.iter_mut().find(|t| (t.set.of, t.parent, t.backup) == (one.of, parent, backup)) {
                Some(take) => take.set.mask |= one.mask,
                None => takes.push(Take { set: one, parent, backup }),
            }
        }
        takes
    }

    /// What a peer gives to one child of one layer now.
    fn gives(&mut self, slot: Slot, (id, rendition, layer, gone): (PeerId, u8, u8, bool)) -> Vec<Give> {
        let of = LayerId { rendition, layer };
        let (mut reserved, mut other, mut below) = (0, 0, 0);
        let child = self.roster.by_id(id);
        for (lane, node) in child.map_or_else(Vec::new, |child| self.seats(child)) {
            let substream = self.lanes.substream(lane);
            let tree = &mut self.trees[usize::from(lane)];
            let n = tree.node(node);
            let from = |node: NodeId| node != NONE && tree.node(node).peer == slot;
            let bit = if substream.of == of { 1 << substream.index } else { 0 };
            let (is_parent, is_backup) = (from(n.parent), from(n.backup));
            reserved |= if is_parent { bit } else { 0 };
            other |= if is_backup { bit } else { 0 };
            if is_parent && bit != 0 {
                let now = n.below.min(u32::from(u16::MAX)) as u16;
                below = below.max(now);
                tree.told_below(node, now);
            }
        }
        let give = |mask, reserved| {
            let below = if reserved { below } else { 0 };
            Give { set: Substreams { of, mask }, child: id, reserved, below }
        };
        let mut gives: Vec<_> = [give(reserved, true), give(other, false)].into();
        gives.retain(|give| gone || give.set.mask != 0);
        // What is taken away stands first.
        gives.sort_by_key(|give| give.set.mask != 0);
        gives
    }
}
