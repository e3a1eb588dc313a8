//! What is given to whom, and what waits: pushing, answering asks, and handing over to the network.

use core::time::Duration;

use alloc::vec::Vec;

use trellis_proto::frame::{Bits, Chunk, ChunkId, Frame, PartId, PeerId, Row, Substreams};

use super::downstream::Begin;
use super::event::Output;
use super::{Give, HAVE_EVERY, Peer, substreams};
use crate::outbox::{Rank, due_ms, tie};
use crate::time::Instant;
use crate::trust::{Payload, Verifier};

impl<V: Verifier> Peer<V> {
    /// Pushes a chunk that just came to those who wait for it.
    pub(super) fn push(&mut self, id: ChunkId, from: PeerId, bytes: u32) {
        if !self.supports() || self.is_recorded() {
            return;
        }
        let Some(substream) = self.substream_of(id) else { return };
        let Some(held) = self.store.get(id.part) else { return };
        let (arrived, came) = (held.arrived, self.part_time(id.part, &held.descriptor).arrived);
        // Takers may have begun later than we: what reaches us late is not too late for them.
        let since = arrived.clamp(came, came + BEGUN_LATER);
        for at in 0..self.downstream.children(substream).len() {
            let served = self.downstream.children(substream)[at];
            if served.child == from || !self.neighbors.is_up(served.child) {
                continue;
            }
            let class = if served.reserved { PUSHED } else { ASKED };
            let below = u32::from(served.below);
            let rank = Rank { class, due_ms: due_ms(arrived, below), tie: tie(below, served.child.0, id.part.part) };
            self.outbox.push(served.child, rank, Give { id, pushed: true, since, bytes }, bytes);
        }
        self.uplink.on_queue(self.outbox.waiting_bytes());
    }

    /// Hands over to the network what it can take.
    pub(super) fn pump(&mut self, now: Instant) {
        self.outbox.set_total(self.uplink.window_bytes());
        while let Some((to, give)) = self.outbox.pop() {
            let frame = self.chunk_frame(now, to, give);
            match frame {
                Some(frame) => {
                    self.uplink.on_sent(now);
                    self.out.push_back(Output::Send(to, frame));
                }
                None => self.outbox.set_unsent(to, self.outbox.unsent_of(to).saturating_sub(give.bytes.into())),
            }
        }
    }

    /// The frame, unless it is too late for it or nobody wants it any more.
    pub(super) fn chunk_frame(&mut self, now: Instant, to: PeerId, give: Give) -> Option<Frame<V::Payload>> {
        let (chunk, hop) = self.store.chunk(give.id)?;
        let payload = chunk.payload().clone();
        if give.pushed {
            let due = give.since + self.playback.hold_back();
            if now > due - RESCUE_SLACK || self.gossip.has(to, give.id) {
                return None;
            }
        }
        Some(Frame::Chunk(Chunk { id: give.id, hop: hop.saturating_add(1), payload }))
    }

    pub(super) fn on_unsent(&mut self, now: Instant, peer: PeerId, bytes: u64) {
        let acknowledged = self.outbox.unsent_of(peer).saturating_sub(bytes);
        self.outbox.set_unsent(peer, bytes);
        self.uplink.on_acknowledged(now, acknowledged, self.outbox.unsent_bytes());
    }

    /// What is under way to those who are gone stands in nobody's way, and is no measure of the uplink.
    pub(super) fn set_the_silent_aside(&mut self, now: Instant) {
        let before = self.outbox.unsent_bytes();
        let in_line = self.uplink.drain_time(self.uplink.window_bytes());
        self.outbox.pass_round(SILENT_ROUNDS + in_line.as_micros().div_ceil(HAVE_EVERY.as_micros()) as u32);
        if self.outbox.unsent_bytes() < before {
            self.uplink.on_acknowledged(now, 0, self.outbox.unsent_bytes());
        }
    }

    pub(super) fn on_subscribe(&mut self, now: Instant, child: PeerId, sets: &[Substreams], first: PartId) {
        for set in sets {
            if let Some(begin) = self.downstream.subscribe(child, *set, first) {
                self.push_held(now, child, begin);
            }
        }
    }

    /// A new child gets what is here already of the parts it misses, oldest first: it says from where on, and knows best when
    /// it plays them. Once: who asks again gets what is not too late for others.
    pub(super) fn push_held(&mut self, now: Instant, child: PeerId, begin: Begin) {
        if !self.supports() || self.is_recorded() {
            return;
        }
        let Begin { set, from, first_time } = begin;
        let mut ids = Vec::new();
        for (part, held) in self.store.from(from.max(self.first_recent())) {
            let Some(catalogue) = self.catalogues.get(part.run) else { continue };
            let k = u16::from(substreams(catalogue, set.of).unwrap_or(1));
            let layer = held.layers.iter().find(|layer| layer.of == set.of);
            let asked = layer.into_iter().flat_map(|layer| layer.present()).filter(|i| set.mask >> (i % k) & 1 != 0);
            let came = self.part_time(part, &held.descriptor).arrived;
            let since = |index| if first_time >> (index % k) & 1 != 0 { now } else { came };
            let arrived = held.arrived.max(now - PAST_AGE);
            ids.extend(asked.map(|index| (ChunkId { part, of: set.of, index }, since(index), arrived)));
        }
        let newest = self.store.newest().map_or(0, |newest| newest.part);
        for (id, since, arrived) in ids {
            let bytes = self.store.chunk(id).map_or(0, |(chunk, _)| chunk.payload().size() as u32);
            let tie = u32::MAX - newest.saturating_sub(id.part.part).min(RECENT_PARTS) as u32;
            let rank = Rank { class: PUSHED, due_ms: due_ms(arrived, 0), tie };
            self.outbox.push(child, rank, Give { id, pushed: true, since, bytes }, bytes);
        }
    }

    /// The oldest part worth pushing to somebody new.
    fn first_recent(&self) -> PartId {
        let newest = self.store.newest().unwrap_or(PartId { run: trellis_proto::RunId(u64::MAX), part: 0 });
        PartId { part: newest.part.saturating_sub(RECENT_PARTS), ..newest }
    }

    pub(super) fn on_want(&mut self, from: PeerId, rows: Vec<Row>) {
        let mut denied = Vec::new();
        // Who has slots here by plan is not turned away for others' sake, nor may it ask for more than its turn.
        let planned = self.is_recorded() && self.downstream.reserves(from);
        let full = match planned {
            true => self.outbox.waiting_for(from) >= PLANNED_WAITING_MAX,
            false => self.uplink.drain_time(self.outbox.waiting_bytes()) > BUSY,
        };
        let busy = full || !self.supports();
        let class = if planned { PUSHED } else { ASKED };
        for row in rows {
            let mut lacking = Bits::default();
            for index in row.chunks.iter() {
                let id = ChunkId { part: row.part, of: row.of, index: index as u16 };
                let size = self.store.chunk(id).filter(|_| !busy).map(|(chunk, _)| chunk.payload().size() as u32);
                let arrived = self.store.get(row.part).map_or(Instant(0), |held| held.arrived);
                // Of a recording all is old: who asked first comes first.
                let due_ms = if planned { 0 } else { due_ms(arrived, 0) };
                let rank = Rank { class, due_ms, tie: 0 };
                let taken = size.is_some_and(|size| {
                    let again = planned && self.outbox.holds(from, |give| give.id == id);
                    again || self.outbox.push(from, rank, Give { id, pushed: false, since: arrived, bytes: size }, size)
                });
                if !taken {
                    lacking.insert(index);
                }
            }
            if !lacking.is_empty() {
                denied.push(Row { chunks: lacking, ..row });
            }
        }
        if !denied.is_empty() {
            self.send(from, Frame::Deny(denied));
        }
    }

    /// What waits for a child that turned to another giver is taken back.
    pub(super) fn on_unsubscribe(&mut self, child: PeerId, set: Substreams) {
        self.downstream.unsubscribe(child, set);
        let catalogues = &self.catalogues;
        self.outbox.cancel(child, |give| {
            let catalogue = catalogues.get(give.id.part.run);
            let k = catalogue.and_then(|catalogue| substreams(catalogue, give.id.of)).map_or(1, u16::from);
            give.pushed && give.id.of == set.of && set.mask >> (give.id.index % k) & 1 != 0
        });
    }

    pub(super) fn on_cancel(&mut self, from: PeerId, rows: &[Row]) {
        self.outbox.cancel(from, |give| {
            rows.iter().any(|row| {
                row.part == give.id.part && row.of == give.id.of && row.chunks.contains(usize::from(give.id.index))
            })
        });
    }
}

/// Chunks that wait for one who has slots here: a few of each substream.
const PLANNED_WAITING_MAX: usize = 64;
/// Rounds without an acknowledgement, beside the time in line, after which a taker counts as gone.
const SILENT_ROUNDS: u32 = 1;
const PUSHED: u8 = 1;
const ASKED: u8 = 2;
/// This long before a part is due its viewer has turned to the edge: pushing it then is of no use.
const RESCUE_SLACK: Duration = Duration::from_millis(150);
/// The past goes as if it had come this long ago: before what comes now, behind what has waited longer.
const PAST_AGE: Duration = Duration::from_millis(300);
/// Nobody is let in to begin more than about so much behind those who are here.
const BEGUN_LATER: Duration = Duration::from_millis(1_500);
/// More than this waits: asks are turned down at once, so that the asker turns elsewhere.
const BUSY: Duration = Duration::from_millis(400);
/// Older parts than this many are not pushed to a new child: it has them, or asks.
const RECENT_PARTS: u64 = 12;
