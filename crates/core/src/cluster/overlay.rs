//! Who gets which substream from whom? Passes values between the roster, the ledger and the trees, so that a place in
//! a tree and the slot that pays for it always go together.
//!
//! Invariant ([`Overlay::check`]): whoever has a parent holds exactly one slot of it, in each lane it watches.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use trellis_proto::frame::Nat;
use trellis_proto::frame::PeerId;

use super::lanes::{Lane, Lanes, LayerMask};
use super::ledger::Ledger;
use super::neighbors::{self, Stretch};
use super::roster::{EDGE, Peer, Roster, Slot};
use super::seeding;
use super::trees::{NONE, NodeId, ROOT, Tree};
use crate::seeded::Seeded;

/// All trees of a cluster, and what they stand on.
#[derive(Debug, Clone)]
pub struct Overlay {
    /// The running catalogue's substreams.
    pub lanes: Lanes,
    /// A recording: nothing is pushed, and who gives is whoever has what is needed next.
    pub recorded: bool,
    /// Peers give only once they have everything.
    pub after_completion: bool,
    /// Who is here.
    pub roster: Roster,
    /// Who can give what.
    pub ledger: Ledger,
    pub(super) trees: Vec<Tree>,
    pub(super) seeded: Seeded,
    pub(super) orphans: BTreeSet<(Lane, PeerId)>,
    pub(super) untold: Vec<Slot>,
    pub(super) completed: u64,
    pub(super) cursor: usize,
    pub(super) turn: usize,
    /// Most viewers leave their takers waiting: what they pass on does not reach themselves.
    pub(super) all_late: bool,
    /// So many do that their number is no accident.
    pub(super) many_late: bool,
}

/// More children of one giver in one tree than this make it wide, not shallow.
pub(super) const FAN_OUT: u64 = 24;
/// Fewer than this in a tree make a chain of those who come one after the other.
const FAN_OUT_MIN: u64 = 4;
/// Givers together offer this much of what peers are to carry. Those near the edge are filled first, so what is offered
/// beyond the need makes the uplinks on which most depend the busiest, and the latest.
const OPEN_PERCENT: u64 = 112;
/// A giver of fewer children takes nobody's place while there is room elsewhere: it would make the tree deep, not wide.
const WORTH_MOVING_FOR: u16 = 3;
/// Peers have room when they could carry what they and the edge do, and some more, in per cent.
const ROOM_PERCENT: u64 = 106;
/// So many are asked for spare slots when a tree has none.
const FALLBACK_TRIES: usize = 128;

impl Overlay {
    /// Nobody there, nothing to watch.
    pub fn new(roster: Roster, ledger: Ledger, after_completion: bool, seed: u64) -> Self {
        Self {
            lanes: Lanes::default(),
            recorded: false,
            after_completion,
            roster,
            ledger,
            trees: Vec::new(),
            seeded: Seeded::new(seed),
            orphans: BTreeSet::new(),
            untold: Vec::new(),
            completed: 0,
            cursor: 0,
            turn: 0,
            all_late: false,
            many_late: false,
        }
    }

    /// Do slots say who gives what to whom? Of a recording only while those who give have all of it: what others will have
    /// next no ledger can promise.
    pub fn is_planned(&self) -> bool {
        !self.recorded || self.after_completion
    }

    /// A run begins. When it is cut like the one before, everybody stays where they are.
    pub fn set_lanes(&mut self, lanes: Lanes) {
        let same = self.lanes == lanes;
        let watchers: Vec<_> = if same { Vec::new() } else { self.roster.present().to_vec() };
        let masks: Vec<_> = watchers.iter().map(|slot| self.unseat_all(*slot)).collect();
        if !same {
            self.trees = (0..lanes.len()).map(|_| Tree::new(EDGE)).collect();
            self.lanes = lanes;
            self.orphans.clear();
        }
        for (slot, layers) in watchers.into_iter().zip(masks) {
            let layers = self.lanes.mask(self.lanes.layers(layers).collect::<Vec<_>>());
            self.seat_all(slot, layers);
        }
    }

    /// A viewer comes in and is placed. Its account was opened.
    pub fn join(
        &mut self,
        make: impl FnOnce(PeerId) -> Peer,
        layers: LayerMask,
        alpha_bps: u64,
        credit_bps: u64,
    ) -> Slot {
        let slot = self.roster.insert(make);
        self.ledger.believe(slot, alpha_bps, credit_bps);
        self.seat_all(slot, layers);
        self.make_neighbors(slot);
        slot
    }

    /// A viewer is gone; its children get new parents.
    pub fn leave(&mut self, slot: Slot) -> Option<Peer> {
        self.ledger.believe(slot, 0, 0);
        self.unseat_all(slot);
        let peer = self.roster.remove(slot)?;
        self.completed -= u64::from(peer.complete);
        for neighbor in &peer.neighbors {
            if let Some(other) = self.roster.get_mut(*neighbor) {
                other.neighbors.retain(|n| *n != slot);
                other.news.neighbors = true;
            }
            self.tell(*neighbor);
            self.make_neighbors(*neighbor);
        }
        Some(peer)
    }

    /// A viewer will be gone soon: its children get new parents while it still serves them.
    pub fn hand_over(&mut self, slot: Slot) {
        self.ledger.believe(slot, 0, 0);
        for (lane, node) in self.seats(slot) {
            self.trees[usize::from(lane)].set_quota(node, 0);
            self.scatter(lane, node, false);
            self.unback(lane, node);
        }
    }

    /// Who gets at least one substream from the edge.
    pub fn takers_of_the_edge(&self) -> BTreeSet<Slot> {
        self.trees.iter().flat_map(|tree| tree.children(ROOT).map(|child| tree.node(child).peer)).collect()
    }

    /// Places those whom nobody serves. True: somebody still waits.
    pub fn adopt_orphans(&mut self) -> bool {
        for (lane, id) in core::mem::take(&mut self.orphans) {
            let seat = self.roster.by_id(id).and_then(|slot| self.roster.get(slot)?.seat(lane));
            if let Some(node) = seat.filter(|node| self.trees[usize::from(lane)].node(*node).parent == NONE) {
                self.place(lane, node);
            }
        }
        !self.orphans.is_empty()
    }

    /// A viewer watches other layers from now on; what stays is not touched.
    pub fn set_layers(&mut self, slot: Slot, layers: LayerMask) {
        let Some(peer) = self.roster.get_mut(slot) else { return };
        let before = core::mem::replace(&mut peer.layers, layers);
        peer.news.layers = true;
        let (go, come): (Vec<_>, Vec<_>) =
            (self.lanes.of(before & !layers).collect(), self.lanes.of(layers & !before).collect());
        for lane in go {
            let Some(peer) = self.roster.get_mut(slot) else { return };
            if let Ok(at) = peer.seats.binary_search_by_key(&lane, |seat| seat.0) {
                let (lane, node) = peer.seats.remove(at);
                self.unseat(lane, node);
            }
        }
        for lane in &come {
            let node = self.trees[usize::from(*lane)].insert(slot);
            let Some(peer) = self.roster.get_mut(slot) else { return };
            let at = peer.seats.partition_point(|seat| seat.0 < *lane);
            peer.seats.insert(at, (*lane, node));
            self.seed(*lane);
        }
        for lane in come {
            if let Some(node) = self.roster.get(slot).and_then(|peer| peer.seat(lane)) {
                self.place(lane, node);
            }
        }
        self.tell(slot);
    }

    /// A giver can give less than it promised: some children go elsewhere, those first on whom nobody depends.
    pub fn shed(&mut self, slot: Slot) {
        let mut children: Vec<(u32, Lane, NodeId)> = Vec::new();
        let mut trees: Vec<(Lane, NodeId)> = self.seats(slot);
        if slot == EDGE {
            trees = (0..self.trees.len()).map(|lane| (lane as Lane, ROOT)).collect();
        }
        for (lane, node) in &trees {
            let tree = &self.trees[usize::from(*lane)];
            children.extend(tree.children(*node).map(|child| (tree.node(child).below, *lane, child)));
        }
        children.sort_unstable();
        let over = |ledger: &Ledger| {
            let account = ledger.account(slot);
            let most = account.capacity_bps + if slot == EDGE { ledger.rescue_bps() } else { 0 };
            account.held_bps > most
        };
        let mut moved = Vec::new();
        for (_, lane, child) in children {
            if !over(&self.ledger) {
                break;
            }
            self.detach(lane, child);
            moved.push((lane, child));
        }
        match slot {
            EDGE => trees.iter().for_each(|(lane, _)| self.seed(*lane)),
            _ => self.choose_homes(slot),
        }
        moved.into_iter().rev().for_each(|(lane, child)| self.place(lane, child));
    }

    pub(super) fn seats(&self, slot: Slot) -> Vec<(Lane, NodeId)> {
        self.roster.get(slot).map_or_else(Vec::new, |peer| peer.seats.clone())
    }

    /// Gives a viewer a place in the tree of each substream of these layers.
    fn seat_all(&mut self, slot: Slot, layers: LayerMask) {
        let mut seats: Vec<_> =
            self.lanes.of(layers).map(|lane| (lane, self.trees[usize::from(lane)].insert(slot))).collect();
        let order = seats.clone();
        seats.sort_unstable_by_key(|seat| seat.0);
        let Some(peer) = self.roster.get_mut(slot) else { return };
        (peer.layers, peer.seats) = (layers, seats);
        peer.news.layers = true;
        order.iter().for_each(|(lane, _)| self.seed(*lane));
        self.choose_homes(slot);
        order.into_iter().for_each(|(lane, node)| self.place(lane, node));
        self.tell(slot);
    }

    /// Takes a viewer out of all trees. What it watched.
    fn unseat_all(&mut self, slot: Slot) -> LayerMask {
        let Some(peer) = self.roster.get_mut(slot) else { return 0 };
        let (seats, layers) = (core::mem::take(&mut peer.seats), core::mem::take(&mut peer.layers));
        for (lane, node) in seats {
            self.unseat(lane, node);
        }
        layers
    }

    /// Takes a viewer out of one tree.
    pub(super) fn unseat(&mut self, lane: Lane, node: NodeId) {
        let id = self.roster.id(self.of(lane, node).0);
        self.orphans.remove(&(lane, id));
        self.trees[usize::from(lane)].set_quota(node, 0);
        self.scatter(lane, node, true);
        self.unback(lane, node);
        self.set_backup(lane, node, NONE);
        self.trees[usize::from(lane)].remove(node);
        self.seed(lane);
    }

    /// How many the edge serves itself.
    pub(super) fn seed(&mut self, lane: Lane) {
        let slots = self.ledger.account(EDGE).capacity_bps / self.busy_bps().max(1);
        let spare = self.peers_have_room();
        let tree = &mut self.trees[usize::from(lane)];
        // What peers have to spare anywhere can be opened here ([`Self::fallback`]).
        // Who has everything takes from nobody.
        let members = u64::from(tree.members()).saturating_sub(self.completed);
        let quota = if spare { members } else { tree.quota() };
        let alone = |child: &NodeId| self.roster.get(tree.node(*child).peer).is_some_and(|p| p.nat == Nat::Blocked);
        let alone = tree.children(ROOT).filter(alone).count() as u64;
        let known = seeding::Tree { members, alone, quota };
        let roots = (seeding::roots(known, slots) + self.completed).min(u64::from(u16::MAX)) as u16;
        if tree.node(ROOT).quota != roots {
            tree.set_quota(ROOT, roots);
        }
    }

    /// Could peers carry all that can come from peers, by a margin?
    pub(super) fn peers_have_room(&self) -> bool {
        let (capacity, held) = self.ledger.peers_bps();
        let edge = self.ledger.account(EDGE).held_bps;
        capacity * 100 > (held + edge.saturating_sub(self.of_each(self.roster.blocked()))) * ROOM_PERCENT
    }

    /// What so many viewers take, bit/s.
    fn of_each(&self, viewers: usize) -> u64 {
        let of = |lane: usize| u64::from(self.trees[lane].members()) * self.lanes.slot_bps(lane as Lane);
        let wanted: u64 = (0..self.trees.len()).map(of).sum();
        wanted / (self.roster.len() as u64).max(1) * viewers as u64
    }

    /// What one root in every tree that somebody wants costs.
    fn busy_bps(&self) -> u64 {
        let busy = |lane: &usize| self.trees[*lane].members() > 0;
        (0..self.trees.len()).filter(busy).map(|lane| self.lanes.slot_bps(lane as Lane)).sum()
    }

    /// How many slots of so many bit/s a giver should offer: as large a part of what it has as all givers must, and some, so
    /// that none is full while others idle. A full uplink is a late one: what waits in it for a key frame's part to pass is
    /// the mesh's delay. Rounded down, for one slot more fills a thin uplink.
    fn slots_to_open(&self, capacity_bps: u64, slot_bps: u64) -> u64 {
        let (capacity, _) = self.ledger.peers_bps();
        // What the edge holds now beyond this is to move to peers as soon as they offer it.
        let from_peers = self.of_each(self.roster.len() - self.roster.blocked());
        let percent = (from_peers.saturating_mul(OPEN_PERCENT) / capacity.max(1)).min(100);
        let least = (capacity_bps / slot_bps).min(1);
        (capacity_bps * percent / 100 / slot_bps).max(least)
    }

    /// How many children a giver should have in a tree: all others in a small cluster, and not fewer than a few, for those
    /// who come first will have others soon.
    pub(super) fn fan(&self) -> u64 {
        (self.roster.len() as u64).saturating_sub(1).clamp(FAN_OUT_MIN, FAN_OUT)
    }

    /// Chooses the trees in which a giver is an inner node: few, and those that lack givers most.
    pub(super) fn choose_homes(&mut self, slot: Slot) {
        let seats = self.seats(slot);
        let capacity = self.ledger.account(slot).capacity_bps;
        let lack = |lane: Lane| {
            let tree = &self.trees[usize::from(lane)];
            let own = tree.quota() + u64::from(tree.node(ROOT).quota);
            i64::from(tree.members()) - own.min(1 << 32) as i64
        };
        let mut wanted: Vec<_> = seats.iter().map(|(lane, node)| (-lack(*lane), *lane, *node)).collect();
        let turn = self.seeded.below(wanted.len().max(1) as u64) as usize;
        wanted.rotate_left(turn);
        wanted.sort_by_key(|(lack, ..)| *lack);
        let widest = seats.iter().map(|(lane, _)| self.lanes.slot_bps(*lane)).max().unwrap_or(1);
        let fan = self.fan();
        let slots = self.slots_to_open(capacity, widest);
        let homes = slots.div_ceil(fan).clamp(1, wanted.len().max(1) as u64);
        let each = slots.div_ceil(homes).max(1);
        let mut left = capacity.saturating_sub(self.ledger.account(slot).held_bps);
        // Where it serves most already it stays: homes that wander leave a few children in every tree.
        wanted.sort_by_key(|(_, lane, node)| core::cmp::Reverse(self.trees[usize::from(*lane)].node(*node).children));
        for (at, (_, lane, node)) in wanted.into_iter().enumerate() {
            let bps = self.lanes.slot_bps(lane);
            let tree = &mut self.trees[usize::from(lane)];
            let children = tree.node(node).children;
            // What does not fill a home is given where it is needed ([`Self::fallback`]): a tree of many givers of one
            // child each would be deep.
            let is_home = (at as u64) < homes;
            let more = if is_home { each.saturating_sub(u64::from(children)).min(left / bps) } else { 0 };
            left -= more * bps;
            tree.set_quota(node, children.saturating_add(more.min(u64::from(u16::MAX)) as u16));
        }
        let viewers = self.roster.len() as u32;
        if let Some(peer) = self.roster.get_mut(slot) {
            peer.homed_at = viewers;
        }
    }

    /// Finds a parent for a detached node: the shallowest there is, else whoever has a slot to spare, else the edge.
    pub(super) fn place(&mut self, lane: Lane, node: NodeId) {
        let (slot, quota) = self.of(lane, node);
        let Some(child) = self.roster.get(slot) else { return };
        if child.complete {
            return self.attach(lane, node, ROOT);
        }
        let bps = self.lanes.slot_bps(lane);
        let (roster, ledger) = (&self.roster, &self.ledger);
        // Nobody passes on what of a recording the edge sends: supporting peers come first, as in steps 3 and 4.
        let fits = |giver: Slot| ledger.free_bps(giver) >= bps && !(self.recorded && giver == EDGE);
        let giver = |giver: Slot| if fits(giver) { price(roster, ledger, child, giver, bps) } else { None };
        let tree = &self.trees[usize::from(lane)];
        let open = tree.pick_open(node, &mut self.seeded, giver);
        if quota > 0 && ledger.free_bps(slot) >= bps {
            let leaf = self.leaf_for(lane, node);
            let tree = &self.trees[usize::from(lane)];
            let depth = |of: NodeId| tree.node(of).depth;
            let worth =
                |leaf: &NodeId| open.is_none_or(|open| quota >= WORTH_MOVING_FOR && depth(*leaf) <= depth(open));
            if let Some(leaf) = leaf.filter(worth) {
                return self.displace(lane, node, leaf);
            }
        }
        match open.or_else(|| self.fallback(lane, node)) {
            Some(parent) => self.attach(lane, node, parent),
            None if self.ledger.edge_last_bps() >= bps => self.attach(lane, node, ROOT),
            None => self.oust(lane, node),
        }
    }

    /// Nobody has room. Who has others below it takes the place of one who has not: fewer wait.
    fn oust(&mut self, lane: Lane, node: NodeId) {
        let needed = self.trees[usize::from(lane)].node(node).below > 0;
        let ousted = if needed { self.leaf_for(lane, node) } else { None };
        let Some((leaf, parent)) = ousted.and_then(|leaf| Some((leaf, self.trees[usize::from(lane)].parent(leaf)?)))
        else {
            return self.orphan(lane, node);
        };
        self.detach(lane, leaf);
        self.attach(lane, node, parent);
        self.place(lane, leaf);
    }

    /// The shallowest that gives nothing, whose parent can be the node's, and whose parent the node can be.
    pub(super) fn leaf_for(&mut self, lane: Lane, node: NodeId) -> Option<NodeId> {
        let tree = &self.trees[usize::from(lane)];
        let (roster, slot) = (&self.roster, tree.node(node).peer);
        let child = roster.get(slot)?;
        let under = |leaf: Slot| {
            let above =
                roster.get(leaf).filter(|leaf| !leaf.complete)?.seat(lane).and_then(|leaf| tree.parent(leaf))?;
            distance(roster, child, tree.node(above).peer)?;
            distance(roster, child, leaf)
        };
        tree.pick_leaf(node, &mut self.seeded, under)
    }

    fn orphan(&mut self, lane: Lane, node: NodeId) {
        let id = self.roster.id(self.of(lane, node).0);
        self.orphans.insert((lane, id));
    }

    /// A giver takes the place of one who gives nothing, and serves it.
    fn displace(&mut self, lane: Lane, giver: NodeId, leaf: NodeId) {
        let Some(parent) = self.trees[usize::from(lane)].parent(leaf) else { return };
        self.detach(lane, leaf);
        self.attach(lane, giver, parent);
        self.attach(lane, leaf, giver);
    }

    /// Somebody in this tree who has promised less than it can: its unused quota elsewhere is moved here. The shallowest
    /// of some.
    pub(super) fn fallback(&mut self, lane: Lane, node: NodeId) -> Option<NodeId> {
        let bps = self.lanes.slot_bps(lane);
        let tree = &self.trees[usize::from(lane)];
        let child = self.roster.get(tree.node(node).peer)?;
        let present = self.roster.present();
        self.cursor = (self.cursor + 1) % present.len();
        let looked_at = present.iter().cycle().skip(self.cursor).take(present.len().min(FALLBACK_TRIES));
        let free = looked_at.filter(|slot| self.ledger.free_bps(**slot) >= bps);
        let able = free.filter_map(|slot| {
            let peer = self.roster.get(*slot).filter(|peer| child.distance(peer).is_some())?;
            let seat = peer.seat(lane).filter(|seat| *seat != node && tree.may_hang(node, *seat))?;
            let price = price(&self.roster, &self.ledger, child, *slot, bps)?;
            Some((tree.node(seat).depth, price, *slot, seat))
        });
        let mut able: Vec<_> = able.collect();
        able.sort_unstable();
        self.cursor += FALLBACK_TRIES - 1;
        able.into_iter().find(|(_, _, slot, _)| self.move_quota(*slot, lane)).map(|(.., seat)| seat)
    }

    /// Makes room for one more child in a lane, by giving up what is not used in others.
    pub(super) fn move_quota(&mut self, slot: Slot, lane: Lane) -> bool {
        let seats = self.seats(slot);
        let mut planned: u64 = self.lanes.slot_bps(lane);
        for (l, node) in &seats {
            planned += u64::from(self.trees[usize::from(*l)].node(*node).quota) * self.lanes.slot_bps(*l);
        }
        let capacity = self.ledger.account(slot).capacity_bps;
        for (l, node) in seats.iter().filter(|(l, _)| *l != lane) {
            let tree = &mut self.trees[usize::from(*l)];
            while planned > capacity && tree.node(*node).is_open() {
                tree.set_quota(*node, tree.node(*node).quota - 1);
                planned -= self.lanes.slot_bps(*l);
            }
        }
        let own = self.roster.get(slot).and_then(|peer| peer.seat(lane)).filter(|_| planned <= capacity);
        if let Some(node) = own {
            let tree = &mut self.trees[usize::from(lane)];
            tree.set_quota(node, tree.node(node).quota + 1);
        }
        own.is_some()
    }

    /// Finds new parents for all children of a node; the best giver among them takes its place if it goes itself.
    pub(super) fn scatter(&mut self, lane: Lane, node: NodeId, goes: bool) {
        let tree = &self.trees[usize::from(lane)];
        let above = tree.parent(node);
        let mut children: Vec<_> = tree.children(node).collect();
        children.sort_by_key(|child| {
            let n = tree.node(*child);
            (core::cmp::Reverse(n.quota), core::cmp::Reverse(n.below), *child)
        });
        children.iter().for_each(|child| self.detach(lane, *child));
        if goes {
            self.detach(lane, node);
        }
        let mut rest = children.as_slice();
        if let (true, Some(above), [heir, others @ ..]) = (goes, above, rest)
            && self.may_take(lane, *heir, above)
        {
            self.attach(lane, *heir, above);
            rest = others;
        }
        rest.iter().for_each(|child| self.place(lane, *child));
    }

    pub(super) fn may_take(&self, lane: Lane, node: NodeId, parent: NodeId) -> bool {
        let tree = &self.trees[usize::from(lane)];
        let giver = tree.node(parent).peer;
        let child = self.roster.get(tree.node(node).peer);
        self.ledger.free_bps(giver) >= self.lanes.slot_bps(lane)
            && tree.may_hang(node, parent)
            && child.is_some_and(|child| distance(&self.roster, child, giver).is_some())
    }

    /// Those who would turn to this node get another backup.
    fn unback(&mut self, lane: Lane, node: NodeId) {
        let backed: Vec<_> = self.trees[usize::from(lane)].backed(node).collect();
        for child in backed {
            self.set_backup(lane, child, NONE);
            self.choose_backup(lane, child);
        }
    }

    pub(super) fn attach(&mut self, lane: Lane, node: NodeId, parent: NodeId) {
        let tree = &mut self.trees[usize::from(lane)];
        tree.attach(node, parent);
        let giver = tree.node(parent).peer;
        self.ledger.hold(giver, self.cost(lane, node));
        if !self.orphans.is_empty() {
            let id = self.roster.id(self.of(lane, node).0);
            self.orphans.remove(&(lane, id));
        }
        self.news(lane, node, parent, false);
        self.below_changed(lane, parent);
        self.choose_backup(lane, node);
    }

    pub(super) fn detach(&mut self, lane: Lane, node: NodeId) {
        let tree = &mut self.trees[usize::from(lane)];
        let Some(parent) = tree.parent(node) else { return };
        tree.detach(node);
        let giver = tree.node(parent).peer;
        self.ledger.release(giver, self.cost(lane, node));
        self.news(lane, node, parent, true);
    }

    /// What serving a node costs its giver: nothing, when it has everything.
    pub(super) fn cost(&self, lane: Lane, node: NodeId) -> u64 {
        let peer = self.roster.get(self.trees[usize::from(lane)].node(node).peer);
        if peer.is_some_and(|peer| peer.complete) { 0 } else { self.lanes.slot_bps(lane) }
    }

    /// A viewer has everything: it needs no slots any more and stands directly below the edge.
    pub fn complete(&mut self, slot: Slot) {
        if self.roster.get(slot).is_none_or(|peer| peer.complete) {
            return;
        }
        let seats = self.seats(slot);
        seats.iter().for_each(|(lane, node)| self.detach(*lane, *node));
        if let Some(peer) = self.roster.get_mut(slot) {
            peer.complete = true;
        }
        self.completed += 1;
        for (lane, node) in seats {
            self.seed(lane);
            self.attach(lane, node, ROOT);
        }
    }

    /// A backup is near the root, is not the parent, and has room; else the parent's parent; else the edge.
    pub(super) fn choose_backup(&mut self, lane: Lane, node: NodeId) {
        let tree = &self.trees[usize::from(lane)];
        let Some(child) = self.roster.get(tree.node(node).peer) else { return };
        let roster = &self.roster;
        let cost = |giver: Slot| if giver == EDGE { None } else { distance(roster, child, giver) };
        let above = tree.parent(node).and_then(|parent| tree.parent(parent));
        let grand = above.filter(|g| distance(roster, child, tree.node(*g).peer).is_some());
        let backup = tree.pick_backup(node, &mut self.seeded, cost).or(grand).unwrap_or(ROOT);
        self.set_backup(lane, node, backup);
    }

    fn set_backup(&mut self, lane: Lane, node: NodeId, backup: NodeId) {
        let old = self.trees[usize::from(lane)].node(node).backup;
        if old == backup {
            return;
        }
        self.trees[usize::from(lane)].set_backup(node, backup);
        for (other, gone) in [(old, true), (backup, false)] {
            if other != NONE {
                self.news(lane, node, other, gone);
            }
        }
    }

    fn of(&self, lane: Lane, node: NodeId) -> (Slot, u16) {
        let node = self.trees[usize::from(lane)].node(node);
        (node.peer, node.quota)
    }

    /// A viewer of a recording says what it has: those who are no use to it any more, nor it to them, are let go, and
    /// others found.
    pub(super) fn has(&mut self, slot: Slot, stretch: Stretch) {
        if self.is_planned() {
            return;
        }
        if let Some(peer) = self.roster.get_mut(slot) {
            peer.stretch = Some(stretch);
        }
        for other in neighbors::useless(&self.roster, slot) {
            for (a, b) in [(slot, other), (other, slot)] {
                if let Some(peer) = self.roster.get_mut(a) {
                    peer.neighbors.retain(|neighbor| *neighbor != b);
                    peer.news.neighbors = true;
                }
                self.tell(a);
            }
        }
        self.make_neighbors(slot);
    }

    /// A viewer can be reached otherwise than was said.
    pub fn reach(&mut self, slot: Slot, nat: Nat) {
        self.roster.set_nat(slot, nat);
        self.make_neighbors(slot);
    }

    /// Draws neighbors until there are enough, near ones first; of a recording, who has what is needed next.
    pub(super) fn make_neighbors(&mut self, slot: Slot) {
        let chosen = match self.recorded {
            // Its parents have everything.
            true if self.is_planned() => return,
            true => neighbors::ahead(&self.roster, slot, &mut self.seeded),
            false => neighbors::choose(&self.roster, slot, &mut self.seeded),
        };
        for other in chosen {
            for (a, b) in [(slot, other), (other, slot)] {
                if let Some(peer) = self.roster.get_mut(a) {
                    peer.neighbors.push(b);
                    peer.news.neighbors = true;
                }
                self.tell(a);
            }
        }
    }
}

/// What a place of so many bit/s below a giver costs a child: who is busier then is later, whoever is near; among the
/// equally busy the nearer one.
pub(super) fn price(roster: &Roster, ledger: &Ledger, child: &Peer, giver: Slot, bps: u64) -> Option<u32> {
    let account = ledger.account(giver);
    let busy = (account.held_bps + bps) * 20 / account.alpha_bps.max(1);
    distance(roster, child, giver).map(|distance| busy.min(20) as u32 * 8 + distance)
}

/// How far a child would be from a giver; the edge is as far as another region, and always to be reached.
pub(super) fn distance(roster: &Roster, child: &Peer, giver: Slot) -> Option<u32> {
    if giver == EDGE {
        return Some(4);
    }
    let giver = roster.get(giver)?;
    if giver.may_give() { child.distance(giver) } else { None }
}
