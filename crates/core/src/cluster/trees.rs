//! Who hangs below whom in one substream? A tree rooted at the edge, with an index of who could take one more.
//!
//! Nodes live in a slab; children are linked through their nodes, so that nothing is allocated when somebody moves.
//! Givers with room and leaves stand in buckets by depth: the best place is found without a search.
//!
//! Invariants ([`Tree::check`]): a child's parent lists it, depth is the parent's plus one, `below` counts
//! descendants, nobody is its own ancestor, and a node stands in a bucket exactly when it is rooted there.

use alloc::vec;
use alloc::vec::Vec;

use super::roster::Slot;
use crate::seeded::Seeded;

/// A node of one tree.
pub type NodeId = u32;

/// The edge.
pub const ROOT: NodeId = 0;
/// No node.
pub const NONE: NodeId = u32::MAX;
/// Nobody is placed deeper.
const DEPTH_MAX: u16 = 48;
/// So many are looked at before a choice is made.
const TRIES: usize = 24;
/// Givers that are compared before one is lifted, ...
const GIVERS_COMPARED: usize = 16;
/// ... and nodes near the edge that might make way.
const NEAR_EDGE: usize = 256;
/// So many who would do are compared.
const COMPARED: usize = 6;

/// One substream's tree.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    open: Vec<Vec<NodeId>>,
    leaves: Vec<Vec<NodeId>>,
    quota: u64,
    held: u64,
    members: u32,
    round: u32,
}

/// One peer's place in a tree.
#[derive(Debug, Clone)]
pub struct Node {
    /// Whose.
    pub peer: Slot,
    /// Above it; [`NONE`]: nobody serves it yet.
    pub parent: NodeId,
    /// Whom it may turn to.
    pub backup: NodeId,
    first_child: NodeId,
    next: NodeId,
    previous: NodeId,
    first_backed: NodeId,
    next_backed: NodeId,
    previous_backed: NodeId,
    bucket_at: u32,
    placed: u32,
    /// How many hang below it, at any distance.
    pub below: u32,
    /// Steps to the edge.
    pub depth: u16,
    /// How many children it may have.
    pub quota: u16,
    /// How many it has.
    pub children: u16,
    bucket: Bucket,
    /// What its parent was last told of `below`.
    pub told_below: u16,
    /// The parent it was last told (a peer's number).
    pub told_parent: u32,
    /// The backup it was last told.
    pub told_backup: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bucket {
    None,
    Open(u16),
    Leaf(u16),
}

impl Node {
    fn new(peer: Slot) -> Self {
        Self {
            peer,
            parent: NONE,
            backup: NONE,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            first_backed: NONE,
            next_backed: NONE,
            previous_backed: NONE,
            bucket_at: 0,
            placed: 0,
            below: 0,
            depth: 0,
            quota: 0,
            children: 0,
            bucket: Bucket::None,
            told_below: 0,
            told_parent: u32::MAX,
            told_backup: u32::MAX,
        }
    }

    /// May it have one more child?
    pub fn is_open(&self) -> bool {
        self.children < self.quota
    }
}

impl Tree {
    /// Nobody but the edge, whose place in the roster is `edge`.
    pub fn new(edge: Slot) -> Self {
        Self {
            nodes: vec![Node::new(edge)],
            free: Vec::new(),
            open: Vec::new(),
            leaves: Vec::new(),
            quota: 0,
            held: 0,
            members: 0,
            round: 0,
        }
    }

    /// A node.
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node as usize]
    }

    /// Notes what was told.
    pub fn told(&mut self, node: NodeId, parent: u32, backup: u32) {
        let node = &mut self.nodes[node as usize];
        (node.told_parent, node.told_backup) = (parent, backup);
    }

    /// Notes what a parent was told of `below`.
    pub fn told_below(&mut self, node: NodeId, below: u16) {
        self.nodes[node as usize].told_below = below;
    }

    /// Another round of improvement begins.
    pub fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Has it had its parent for so many rounds?
    pub fn is_settled(&self, node: NodeId, rounds: u32) -> bool {
        self.round.wrapping_sub(self.node(node).placed) >= rounds
    }

    /// How many peers want this substream.
    pub fn members(&self) -> u32 {
        self.members
    }

    /// How many children peers may have here (the edge not counted).
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// How many more children peers may have here.
    pub fn open_slots(&self) -> u64 {
        self.quota.saturating_sub(self.held)
    }

    /// The peer's parent; None: no node, or nobody.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.nodes.get(node as usize).map(|n| n.parent).filter(|p| *p != NONE)
    }

    /// A node's children.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        chain(self.node(node).first_child, |n| self.node(n).next)
    }

    /// Who has it for a backup.
    pub fn backed(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        chain(self.node(node).first_backed, |n| self.node(n).next_backed)
    }

    /// How deep it goes: how many attached nodes stand at each depth that holds a giver with room or a leaf.
    pub fn depth(&self) -> u16 {
        let last = |buckets: &[Vec<NodeId>]| buckets.iter().rposition(|b| !b.is_empty()).unwrap_or(0);
        last(&self.open).max(last(&self.leaves)) as u16
    }

    /// A node that gives to many and stands below others: of some, drawn from all, the one that would gain most by
    /// standing right below the edge.
    pub fn buried_giver(&self, seeded: &mut Seeded) -> Option<NodeId> {
        let gain = |node: &Node| u32::from(node.depth - 1) * u32::from(node.quota);
        let stands = |node: &Node| node.peer != NONE && node.parent != NONE && node.quota > 0 && node.depth > 1;
        let turn = seeded.below(self.nodes.len() as u64) as usize;
        let order = (turn..self.nodes.len()).chain(0..turn);
        let found = order.filter(|at| stands(&self.nodes[*at])).take(GIVERS_COMPARED);
        found.max_by_key(|at| gain(&self.nodes[*at])).map(|at| at as NodeId)
    }

    /// Of the nodes nearest to the edge and shallower than `depth`, the nearest that passes `fits`; of the equally near
    /// the one that gives to the fewest.
    pub fn idlest_above(&self, depth: u16, mut fits: impl FnMut(&Node) -> bool) -> Option<NodeId> {
        let above = self.children(ROOT).flat_map(|root| core::iter::once(root).chain(self.children(root)));
        let near = above.take(NEAR_EDGE).filter(|at| self.node(*at).depth < depth && fits(self.node(*at)));
        near.min_by_key(|at| (self.node(*at).depth, self.node(*at).quota))
    }

    /// One of the deepest that have nobody below them, or have room.
    pub fn deepest(&self, seeded: &mut Seeded) -> Option<NodeId> {
        let last = |buckets: &[Vec<NodeId>]| buckets.iter().rposition(|b| !b.is_empty());
        let bucket = match (last(&self.open), last(&self.leaves)) {
            (Some(open), leaf) if leaf.is_none_or(|leaf| leaf < open) => &self.open[open],
            (_, leaf) => &self.leaves[leaf?],
        };
        Some(bucket[seeded.below(bucket.len() as u64) as usize])
    }

    /// A place for a peer, not attached yet.
    pub fn insert(&mut self, peer: Slot) -> NodeId {
        self.members += 1;
        match self.free.pop() {
            Some(node) => {
                self.nodes[node as usize] = Node::new(peer);
                node
            }
            None => {
                self.nodes.push(Node::new(peer));
                self.nodes.len() as NodeId - 1
            }
        }
    }

    /// Takes a childless, detached peer out. Those whose backup it was have none now; the caller knew them.
    pub fn remove(&mut self, node: NodeId) {
        debug_assert!(self.node(node).first_child == NONE && self.node(node).parent == NONE);
        self.set_quota(node, 0);
        self.set_backup(node, NONE);
        while self.node(node).first_backed != NONE {
            self.set_backup(self.node(node).first_backed, NONE);
        }
        self.unbucket(node);
        self.nodes[node as usize].peer = NONE;
        self.members -= 1;
        self.free.push(node);
    }

    /// How many children it may have from now on; those beyond stay until they are moved.
    pub fn set_quota(&mut self, node: NodeId, quota: u16) {
        let old = core::mem::replace(&mut self.nodes[node as usize].quota, quota);
        if node != ROOT {
            self.quota = self.quota + u64::from(quota) - u64::from(old);
        }
        self.rebucket(node);
    }

    /// Hangs a detached node, with what is below it, under another. The caller made sure of [`Self::may_hang`].
    pub fn attach(&mut self, node: NodeId, parent: NodeId) {
        debug_assert!(self.may_hang(node, parent) && self.node(node).parent == NONE);
        let first = self.node(parent).first_child;
        let this = &mut self.nodes[node as usize];
        (this.parent, this.next, this.previous, this.placed) = (parent, first, NONE, self.round);
        if first != NONE {
            self.nodes[first as usize].previous = node;
        }
        self.nodes[parent as usize].first_child = node;
        self.nodes[parent as usize].children += 1;
        self.held += u64::from(parent != ROOT);
        let more = 1 + self.node(node).below;
        self.count_up(parent, |below| *below += more);
        self.rebucket(parent);
        self.settle(node, self.node(parent).depth + 1);
    }

    /// Takes a node, with what is below it, from its parent.
    pub fn detach(&mut self, node: NodeId) {
        let Node { parent, next, previous, below, .. } = *self.node(node);
        if parent == NONE {
            return;
        }
        match previous {
            NONE => self.nodes[parent as usize].first_child = next,
            _ => self.nodes[previous as usize].next = next,
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        let this = &mut self.nodes[node as usize];
        (this.parent, this.next, this.previous) = (NONE, NONE, NONE);
        self.nodes[parent as usize].children -= 1;
        self.held -= u64::from(parent != ROOT);
        self.count_up(parent, |b| *b -= 1 + below);
        self.rebucket(parent);
        self.unbucket(node);
    }

    /// Whom a node may turn to; [`NONE`]: nobody but the edge.
    pub fn set_backup(&mut self, node: NodeId, backup: NodeId) {
        let Node { backup: old, next_backed: next, previous_backed: previous, .. } = *self.node(node);
        if old != NONE {
            match previous {
                NONE => self.nodes[old as usize].first_backed = next,
                _ => self.nodes[previous as usize].next_backed = next,
            }
            if next != NONE {
                self.nodes[next as usize].previous_backed = previous;
            }
        }
        let first = if backup == NONE { NONE } else { self.node(backup).first_backed };
        let this = &mut self.nodes[node as usize];
        (this.backup, this.next_backed, this.previous_backed) = (backup, first, NONE);
        if first != NONE {
            self.nodes[first as usize].previous_backed = node;
        }
        if backup != NONE {
            self.nodes[backup as usize].first_backed = node;
        }
    }

    /// Would a node under this parent still be below the edge, and not below itself?
    pub fn may_hang(&self, node: NodeId, parent: NodeId) -> bool {
        let mut up = parent;
        while up != ROOT && up != NONE && up != node {
            up = self.node(up).parent;
        }
        up == ROOT && self.node(parent).depth < DEPTH_MAX
    }

    /// Does a way lead from this node up to the edge?
    pub fn is_rooted(&self, node: NodeId) -> bool {
        let mut up = node;
        while up != ROOT && up != NONE {
            up = self.node(up).parent;
        }
        up == ROOT
    }

    /// The shallowest giver with room, the best by `cost` among a few equally shallow; None from `cost`: not this.
    pub fn pick_open(
        &self,
        node: NodeId,
        seeded: &mut Seeded,
        cost: impl FnMut(Slot) -> Option<u32>,
    ) -> Option<NodeId> {
        pick(&self.open, seeded, self.coster(node, cost))
    }

    /// The shallowest attached peer that gives nothing.
    pub fn pick_leaf(
        &self,
        node: NodeId,
        seeded: &mut Seeded,
        cost: impl FnMut(Slot) -> Option<u32>,
    ) -> Option<NodeId> {
        pick(&self.leaves, seeded, self.coster(node, cost))
    }

    /// A giver with room not deeper than this, to turn to in need; any depth is as good.
    pub fn pick_backup(
        &self,
        node: NodeId,
        seeded: &mut Seeded,
        cost: impl FnMut(Slot) -> Option<u32>,
    ) -> Option<NodeId> {
        let deepest = usize::from(self.node(node).depth).min(self.open.len().saturating_sub(1));
        let skip = 1 + seeded.below(deepest.max(1) as u64) as usize;
        let (parent, mut cost) = (self.node(node).parent, self.coster(node, cost));
        let mut other = |candidate| if candidate == parent { None } else { cost(candidate) };
        let range = |from: usize| self.open.get(from..=deepest).unwrap_or_default();
        pick(range(skip), seeded, &mut other).or_else(|| pick(range(1), seeded, &mut other))
    }

    fn coster(&self, node: NodeId, mut cost: impl FnMut(Slot) -> Option<u32>) -> impl FnMut(NodeId) -> Option<u32> {
        move |candidate| {
            let allowed = candidate != node && self.may_hang(node, candidate);
            if allowed { cost(self.node(candidate).peer) } else { None }
        }
    }

    fn count_up(&mut self, from: NodeId, change: impl Fn(&mut u32)) {
        let mut up = from;
        while up != NONE {
            change(&mut self.nodes[up as usize].below);
            up = self.node(up).parent;
        }
    }

    /// Sets the depth of a node and of all below it.
    fn settle(&mut self, node: NodeId, depth: u16) {
        let mut stack = vec![(node, depth)];
        while let Some((node, depth)) = stack.pop() {
            let same = self.node(node).depth == depth;
            self.nodes[node as usize].depth = depth;
            self.rebucket(node);
            if !same {
                stack.extend(self.children(node).map(|child| (child, depth + 1)));
            }
        }
    }

    /// Restores the bucket invariant of one node.
    fn rebucket(&mut self, node: NodeId) {
        let n = self.node(node);
        let rooted = node == ROOT || n.parent != NONE;
        let due = match (rooted, n.is_open(), n.quota == 0 && n.children == 0 && node != ROOT) {
            (true, true, _) => Bucket::Open(n.depth),
            (true, _, true) => Bucket::Leaf(n.depth),
            _ => Bucket::None,
        };
        if due != n.bucket {
            self.unbucket(node);
            let (buckets, depth) = match due {
                Bucket::Open(depth) => (&mut self.open, depth),
                Bucket::Leaf(depth) => (&mut self.leaves, depth),
                Bucket::None => return,
            };
            if buckets.len() <= usize::from(depth) {
                buckets.resize_with(usize::from(depth) + 1, Vec::new);
            }
            let bucket = &mut buckets[usize::from(depth)];
            bucket.push(node);
            let at = bucket.len() as u32 - 1;
            let this = &mut self.nodes[node as usize];
            (this.bucket, this.bucket_at) = (due, at);
        }
    }

    fn unbucket(&mut self, node: NodeId) {
        let this = &mut self.nodes[node as usize];
        let at = this.bucket_at as usize;
        let bucket = match core::mem::replace(&mut this.bucket, Bucket::None) {
            Bucket::Open(depth) => &mut self.open[usize::from(depth)],
            Bucket::Leaf(depth) => &mut self.leaves[usize::from(depth)],
            Bucket::None => return,
        };
        bucket.swap_remove(at);
        if let Some(moved) = bucket.get(at) {
            self.nodes[*moved as usize].bucket_at = at as u32;
        }
    }

    /// Does all fit together? The sentence says what does not.
    pub fn check(&self) -> Result<(), &'static str> {
        let (mut held, mut quota, mut members) = (0, 0, 0);
        for (id, node) in self.nodes.iter().enumerate() {
            let id = id as NodeId;
            if node.peer == NONE {
                continue;
            }
            members += u32::from(id != ROOT);
            quota += if id == ROOT { 0 } else { u64::from(node.quota) };
            held += if id == ROOT { 0 } else { u64::from(node.children) };
            let (mut count, mut below) = (0, 0);
            for child in self.children(id) {
                let c = self.node(child);
                count += 1;
                below += 1 + c.below;
                if c.parent != id || c.peer == NONE {
                    return Err("a listed child has another parent");
                }
                if self.is_rooted(id) && c.depth != node.depth + 1 {
                    return Err("a depth is not its parent's plus one");
                }
                if count > self.nodes.len() as u32 {
                    return Err("a list of children has no end");
                }
            }
            if count != u32::from(node.children) || below != node.below {
                return Err("a count of children or descendants is wrong");
            }
            if node.backup != NONE && self.node(node.backup).peer == NONE {
                return Err("a backup is gone");
            }
            self.check_way_up(id)?;
        }
        let sums = (held, quota, members) == (self.held, self.quota, self.members);
        if sums { Ok(()) } else { Err("a tree's sums are wrong") }
    }

    fn check_way_up(&self, node: NodeId) -> Result<(), &'static str> {
        let (mut up, mut steps) = (node, 0);
        while up != ROOT && up != NONE {
            up = self.node(up).parent;
            steps += 1;
            if steps > self.nodes.len() {
                return Err("somebody is its own ancestor");
            }
        }
        Ok(())
    }
}

/// The cheapest of a few in the first bucket where anybody will do.
fn pick(buckets: &[Vec<NodeId>], seeded: &mut Seeded, mut cost: impl FnMut(NodeId) -> Option<u32>) -> Option<NodeId> {
    let mut tries = TRIES;
    for bucket in buckets.iter().filter(|b| !b.is_empty()) {
        let from = seeded.below(bucket.len() as u64) as usize;
        let candidates = (0..bucket.len().min(tries)).map(|i| bucket[(from + i) % bucket.len()]);
        let mut best: Option<(u32, NodeId)> = None;
        let mut compared = 0;
        for candidate in candidates {
            tries -= 1;
            if let Some(cost) = cost(candidate) {
                compared += 1;
                best = best.filter(|(least, _)| *least <= cost).or(Some((cost, candidate)));
            }
            if compared == COMPARED {
                break;
            }
        }
        if let Some((_, found)) = best {
            return Some(found);
        }
        if tries == 0 {
            break;
        }
    }
    None
}

fn chain(first: NodeId, next: impl Fn(NodeId) -> NodeId) -> impl Iterator<Item = NodeId> {
    let mut at = first;
    core::iter::from_fn(move || {
        (at != NONE).then(|| {
            let this = at;
            at = next(this);
            this
        })
    })
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// The same, without links, counts and buckets: who is whose child.
    #[derive(Default)]
    struct Model(BTreeMap<NodeId, (NodeId, u16)>);

    impl Model {
        fn depth(&self, node: NodeId) -> Option<u16> {
            match self.0.get(&node) {
                _ if node == ROOT => Some(0),
                Some((parent, _)) if *parent != NONE => Some(self.depth(*parent)? + 1),
                _ => None,
            }
        }

        fn children(&self, node: NodeId) -> usize {
            self.0.values().filter(|(parent, _)| *parent == node).count()
        }

        fn any(&self, number: u16) -> Option<NodeId> {
            self.0.keys().nth(usize::from(number) % self.0.len().max(1)).copied()
        }
    }

    fn step(tree: &mut Tree, model: &mut Model, (kind, a, b): (u8, u16, u16)) {
        let (one, other) = (model.any(a), model.any(b));
        match (kind, one, other) {
            (0 | 1, ..) => {
                let node = tree.insert(Slot::from(a) + 1);
                tree.set_quota(node, b % 5);
                model.0.insert(node, (NONE, b % 5));
            }
            (2..=5, Some(node), Some(parent)) => {
                let parent = if b % 7 == 0 { ROOT } else { parent };
                let may = tree.may_hang(node, parent);
                let below_itself =
                    core::iter::successors(Some(parent), |up| Some(model.0.get(up)?.0)).any(|up| up == node);
                assert_eq!(may, model.depth(parent).is_some() && !below_itself);
                if may {
                    tree.detach(node);
                    tree.attach(node, parent);
                    model.0.insert(node, (parent, model.0[&node].1));
                }
            }
            (6, Some(node), _) => {
                tree.detach(node);
                model.0.insert(node, (NONE, model.0[&node].1));
            }
            (7, Some(node), Some(backup)) => tree.set_backup(node, backup),
            (8, Some(node), _) => {
                tree.set_quota(node, b % 5);
                model.0.insert(node, (model.0[&node].0, b % 5));
            }
            (_, Some(node), _) => {
                for child in tree.children(node).collect::<Vec<_>>() {
                    tree.detach(child);
                    model.0.insert(child, (NONE, model.0[&child].1));
                }
                tree.detach(node);
                tree.remove(node);
                model.0.remove(&node);
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn a_tree_is_what_a_simple_map_of_parents_is(
            steps in proptest::collection::vec((0u8..10, any::<u16>(), any::<u16>()), 1..200)
        ) {
            let (mut tree, mut model) = (Tree::new(0), Model::default());
            for one in steps {
                step(&mut tree, &mut model, one);
                prop_assert_eq!(tree.check(), Ok(()));
                for (node, (parent, quota)) in &model.0 {
                    let n = tree.node(*node);
                    prop_assert_eq!((n.parent, n.quota, usize::from(n.children)), (*parent, *quota, model.children(*node)));
                    if let Some(depth) = model.depth(*node) {
                        prop_assert_eq!(n.depth, depth);
                    }
                }
                let open = tree.pick_open(NONE, &mut Seeded::new(1), |_| Some(0));
                let shallowest = model.0.iter().filter(|(node, (_, quota))| model.children(**node) < usize::from(*quota));
                let least = shallowest.filter_map(|(node, _)| model.depth(*node)).min();
                prop_assert_eq!(open.map(|node| tree.node(node).depth), least);
            }
        }
    }
}
