//! Who is told to push what, and from where on?

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use trellis_proto::RunId;
use trellis_proto::frame::{Frame, LayerId, PartId, PeerId, Substream, Substreams};

use super::event::Output;
use super::upstream::Change;
use super::{PUSH_TIME, Peer, substreams};
use crate::time::Instant;
use crate::trust::Verifier;

impl<V: Verifier> Peer<V> {
    /// Tells the new pushers to push; links that are not there yet are made.
    pub(super) fn follow(&mut self, now: Instant, changes: Vec<Change>) {
        let mut by_peer: BTreeMap<PeerId, BTreeMap<LayerId, u16>> = BTreeMap::new();
        for change in changes {
            if let Some(stop) = change.stop.filter(|stop| self.neighbors.is_up(*stop)) {
                self.send(stop, Frame::Unsubscribe(alloc::vec![Substreams::one(change.substream)]));
            }
            if let Some(to) = change.to {
                *by_peer.entry(to).or_default().entry(change.substream.of).or_default() |= 1 << change.substream.index;
            }
        }
        for (peer, masks) in by_peer {
            if self.pushes_begun() && self.neighbors.is_up(peer) {
                self.subscribe(now, peer, masks.into_iter().map(|(of, mask)| Substreams { of, mask }));
            } else {
                self.link_to(peer);
            }
        }
    }

    pub(super) fn link_to(&mut self, peer: PeerId) {
        if self.neighbors.want(self.me, peer) {
            self.out.push_back(Output::Connect(peer));
        }
    }

    /// Is it known what is played, so that pushers can be told where to begin? Of a recording nothing is pushed.
    pub(super) fn pushes_begun(&self) -> bool {
        self.begun && !self.is_recorded()
    }

    /// What is played is known: everyone who is to push hears where to begin.
    pub(super) fn begin(&mut self, now: Instant) {
        self.timers.begin = None;
        self.begun = true;
        for peer in self.upstream.peers() {
            self.subscribe_to(now, peer);
        }
    }

    pub(super) fn subscribe_to(&mut self, now: Instant, peer: PeerId) {
        if self.pushes_begun() && self.neighbors.is_up(peer) {
            self.subscribe(now, peer, self.upstream.pushed_by(peer).into_iter());
        }
    }

    /// Asks a pusher to begin: with each substream where that one is wanting, so that nothing comes twice.
    fn subscribe(&mut self, now: Instant, peer: PeerId, sets: impl Iterator<Item = Substreams>) {
        let mut begins: BTreeMap<PartId, Vec<Substreams>> = BTreeMap::new();
        for substream in sets.flat_map(Substreams::iter) {
            let sets = begins.entry(self.push_from(now, substream)).or_default();
            match sets.iter_mut().find(|set| set.of == substream.of) {
                Some(set) => set.mask |= 1 << substream.index,
                None => sets.push(Substreams::one(substream)),
            }
        }
        begins.into_iter().for_each(|(from, set)| self.send(peer, Frame::Subscribe { set, from }));
    }

    /// Where a new pusher should begin: with the oldest part that misses some of this substream and leaves it the time to
    /// come, else with what comes next.
    fn push_from(&self, now: Instant, substream: Substream) -> PartId {
        let wanting = |part: &PartId| {
            let Some(held) = self.store.get(*part) else { return false };
            let k = self.catalogues.get(part.run).and_then(|catalogue| substreams(catalogue, substream.of));
            let layer = held.layers.iter().find(|layer| layer.of == substream.of);
            let misses =
                |k: u8| layer.is_some_and(|l| l.missing().any(|i| i % u16::from(k) == u16::from(substream.index)));
            let in_time = self.playback.deadline(&self.part_time(*part, &held.descriptor)) >= now + PUSH_TIME;
            in_time && k.is_some_and(misses)
        };
        let next = self.store.newest().map(|newest| PartId { part: newest.part + 1, ..newest });
        self.store.open().find(wanting).or(next).unwrap_or(PartId { run: RunId(0), part: 0 })
    }
}
