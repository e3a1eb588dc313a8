//! Whom do I push what to?
//!
//! A child is served in what it asked for (Subscribe) and what the cluster allows (Give), in whatever order the two come:
//! `serving` is their intersection. So nobody is served without a slot, and no grant is wasted on a child that is silent.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use trellis_proto::frame::{Give, LayerId, PartId, PeerId, Substream, Substreams};

use crate::few::Few;
use crate::limits::CHILDREN_MAX;
use crate::near::Near;

/// The children of this peer.
#[derive(Debug, Clone, Default)]
pub struct Downstream {
    children: BTreeMap<(PeerId, LayerId), Child>,
    serving: Few<LayerId, Serving>,
}

/// Who is pushed to in one layer: by substream, those on whom most wait first.
#[derive(Debug, Clone, Default)]
struct Serving {
    /// Where the children of each substream end in `children`.
    ends: [u16; 16],
    children: Vec<Served>,
}

impl Serving {
    fn of(&self, substream: usize) -> &[Served] {
        let begin = substream.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.ends.get(substream).map_or(&[], |end| &self.children[usize::from(begin)..usize::from(*end)])
    }
}

#[derive(Debug, Clone, Default)]
struct Child {
    /// Holds slots for these ...
    reserved: u16,
    /// ... and may turn to us for these when its parent is late.
    backup: u16,
    below: u16,
    asked: u16,
    /// Asked for, and not allowed yet, ...
    waits: u16,
    /// ... from here on.
    from: Option<PartId>,
    /// Got the past of these.
    begun: u16,
}

impl Child {
    fn granted(&self) -> u16 {
        self.reserved | self.backup
    }

    fn begin(&mut self, set: Substreams, from: PartId) -> Option<Begin> {
        let first_time = set.mask & !self.begun;
        self.begun |= set.mask;
        (set.mask != 0).then_some(Begin { set, from, first_time })
    }
}

/// What a child asked for and is allowed now: of what is here it wants what follows a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Which substreams.
    pub set: Substreams,
    /// From where on.
    pub from: PartId,
    /// Of these it never got the past from here.
    pub first_time: u16,
}

/// One child in one substream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Who.
    pub child: PeerId,
    /// How many hang below it.
    pub below: u16,
    /// It holds the slot; else it only turned to us because its parent is late.
    pub reserved: bool,
}

impl Downstream {
    /// The cluster allows a child something, or no longer. What it waited for, if that is allowed now.
    pub fn grant(&mut self, give: &Give) -> Option<Begin> {
        let key = (give.child, give.set.of);
        if self.children.len() >= 4 * CHILDREN_MAX && !self.children.contains_key(&key) {
            return None;
        }
        let child = self.children.entry(key).or_default();
        if give.reserved {
            (child.reserved, child.below) = (give.set.mask, give.below);
        } else {
            child.backup = give.set.mask;
        }
        let mask = child.waits & child.granted();
        child.waits &= !mask;
        let begin = child.from.and_then(|from| child.begin(Substreams { mask, ..give.set }, from));
        self.settle(key);
        begin
    }

    /// A child asks to be pushed to, from a part on. What of it is allowed already.
    pub fn subscribe(&mut self, child: PeerId, set: Substreams, from: PartId) -> Option<Begin> {
        let key = (child, set.of);
        if self.children.len() >= 4 * CHILDREN_MAX && !self.children.contains_key(&key) {
            return None;
        }
        let entry = self.children.entry(key).or_default();
        entry.asked |= set.mask;
        let mask = entry.granted() & set.mask;
        if set.mask != mask {
            entry.from = entry.from.filter(|before| entry.waits != 0 && *before < from).or(Some(from));
            entry.waits |= set.mask & !mask;
        }
        let begin = entry.begin(Substreams { mask, ..set }, from);
        self.settle(key);
        begin
    }

    /// A child wants something no longer.
    pub fn unsubscribe(&mut self, child: PeerId, set: Substreams) {
        if let Some(entry) = self.children.get_mut(&(child, set.of)) {
            entry.asked &= !set.mask;
            entry.waits &= !set.mask;
            self.settle((child, set.of));
        }
    }

    /// The link to a child broke: it must ask again.
    pub fn lose(&mut self, peer: PeerId) {
        let keys: Vec<_> = self.keys_of(peer).collect();
        for key in keys {
            if let Some(child) = self.children.get_mut(&key) {
                (child.asked, child.waits, child.begun) = (0, 0, 0);
            }
            self.settle(key);
        }
    }

    /// Whom a substream is pushed to.
    pub fn children(&self, substream: Substream) -> &[Served] {
        self.serving.get(substream.of).map_or(&[], |layer| layer.of(usize::from(substream.index)))
    }

    /// Brings near who is served: see `Peer::glance`.
    pub fn glance<N: Near>(&self, level: u8) {
        match level {
            1 => {
                self.serving.glance::<N>();
                self.serving.values().for_each(|layer| N::near(&layer.children));
            }
            2 => self.serving.values().flat_map(|layer| layer.children.first()).for_each(N::near),
            _ => {}
        }
    }

    /// Is anything granted to this peer?
    pub fn knows(&self, peer: PeerId) -> bool {
        self.keys_of(peer).next().is_some()
    }

    /// Is anyone served with a slot?
    pub fn is_idle(&self) -> bool {
        self.serving.values().all(|layer| layer.children.iter().all(|served| !served.reserved))
    }

    /// Does this peer hold slots, and is not only allowed to turn to us?
    pub fn reserves(&self, peer: PeerId) -> bool {
        self.keys_of(peer).any(|key| self.children.get(&key).is_some_and(|child| child.reserved != 0))
    }

    /// Everyone with a grant.
    pub fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<_> = self.children.keys().map(|(child, _)| *child).collect();
        peers.dedup();
        peers
    }

    fn keys_of(&self, peer: PeerId) -> impl Iterator<Item = (PeerId, LayerId)> + '_ {
        let first = (peer, LayerId { rendition: 0, layer: 0 });
        self.children.range(first..).map(|(key, _)| *key).take_while(move |(child, _)| *child == peer)
    }

    /// Makes `serving` say what `children` says about one child and layer.
    fn settle(&mut self, key: (PeerId, LayerId)) {
        let Some(child) = self.children.get(&key) else { return };
        let mask = child.granted() & child.asked;
        let layer = self.serving.get_or_insert_with(key.1, Serving::default);
        let mut settled = Serving::default();
        for k in 0..16 {
            let begin = settled.children.len();
            settled.children.extend(layer.of(k).iter().filter(|served| served.child != key.0));
            let reserved = child.reserved >> k & 1 != 0;
            let served = Served { child: key.0, below: if reserved { child.below } else { 0 }, reserved };
            if mask >> k & 1 != 0 {
                let others = &settled.children[begin..];
                let at = others.partition_point(|s| (s.reserved, s.below) >= (served.reserved, served.below));
                settled.children.insert(begin + at, served);
            }
            settled.ends[k] = settled.children.len() as u16;
        }
        *layer = settled;
        if child.granted() == 0 && child.asked == 0 {
            self.children.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const BASE: LayerId = LayerId { rendition: 0, layer: 0 };
    const FIRST: PartId = PartId { run: trellis_proto::RunId(1), part: 7 };

    fn give(child: u32, mask: u16, below: u16) -> Give {
        Give { set: Substreams { of: BASE, mask }, child: PeerId(child), reserved: true, below }
    }

    fn children(downstream: &Downstream, index: u8) -> Vec<u32> {
        downstream.children(Substream { of: BASE, index }).iter().map(|s| s.child.0).collect()
    }

    #[test]
    fn only_what_was_asked_and_allowed_is_served_whichever_came_first() {
        let mut downstream = Downstream::default();
        let all = Substreams { of: BASE, mask: 0b11 };
        let next = PartId { part: 8, ..FIRST };
        let one = |mask| Substreams { of: BASE, mask };
        let begin = |mask, from, first_time| Some(Begin { set: one(mask), from, first_time });
        assert_eq!(downstream.subscribe(PeerId(5), one(0b10), FIRST), None);
        assert_eq!(downstream.subscribe(PeerId(5), one(0b01), next), None);
        assert_eq!(downstream.grant(&give(5, 0b01, 0)), begin(0b01, FIRST, 0b01), "the oldest that is missed");
        assert_eq!(downstream.grant(&give(6, 0b11, 9)), None);
        assert_eq!(downstream.subscribe(PeerId(6), all, next), begin(0b11, next, 0b11));
        assert_eq!((children(&downstream, 0), children(&downstream, 1)), (vec![6, 5], vec![6]));
        let backup = Give { reserved: false, ..give(6, 0b11, 0) };
        assert_eq!([downstream.grant(&give(6, 0, 0)), downstream.grant(&backup)], [None; 2], "it has the past");
        assert_eq!(downstream.subscribe(PeerId(6), all, FIRST), begin(0b11, FIRST, 0), "not for the first time");
        downstream.lose(PeerId(6));
        downstream.grant(&give(5, 0, 0));
        assert_eq!((children(&downstream, 0), downstream.is_idle()), (vec![], true));
    }
}
