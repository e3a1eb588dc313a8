//! What may a host look at? What a player asks for is answered from the store itself, so that no host keeps it twice.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::descriptor::chunk_range;
use trellis_proto::frame::{Chunk, ChunkId, LayerId, PartId};

use super::playback::Cursor;
use super::{Peer, Stage};
use crate::time::Instant;
use crate::trust::{VerifiedChunk, Verifier};

/// A layer of a part, as a player finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held<P> {
    /// Not known, not wanted, or given up: it has to come from elsewhere.
    No,
    /// It is on its way.
    Coming,
    /// All of it, in order.
    Whole(Vec<VerifiedChunk<P>>),
}

/// Who may still bring what is missing of a layer of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaited {
    /// Nobody was asked, or who was will not.
    Nobody,
    /// Another peer.
    Peers,
    /// The edge, at least for some of it.
    Edge,
}

impl<V: Verifier> Peer<V> {
    /// What it checks with; a host may have something to ask of it.
    pub fn verifier(&mut self) -> &mut V {
        &mut self.verifier
    }

    /// What is here of a layer of a part. Shares the bytes.
    pub fn held(&self, part: PartId, of: LayerId) -> Held<V::Payload> {
        let Some(layer) = self.store.layer(part, of) else { return Held::No };
        match layer.whole() {
            Some(chunks) => Held::Whole(chunks),
            None if self.playback.cursor().is_some_and(|cursor| part < cursor.part) => Held::No,
            None => Held::Coming,
        }
    }

    /// From whom does a layer of a part come?
    pub fn awaited(&self, now: Instant, part: PartId, of: LayerId) -> Awaited {
        let asked = self.store.layer(part, of).into_iter().flat_map(|layer| &layer.asked);
        let open = asked.filter(|asked| asked.open && now < asked.until);
        let whom = open.map(|asked| if asked.whom.is_edge() { Awaited::Edge } else { Awaited::Peers });
        whom.max().unwrap_or(Awaited::Nobody)
    }

    /// Is there another peer that has what is needed here? Who was linked for the other's sake has brought nothing.
    pub fn has_helpers(&self, now: Instant) -> bool {
        self.neighbors.any_brings(now)
    }

    /// When a part is to be there, as far as it is known.
    pub fn due(&self, part: PartId) -> Option<Instant> {
        let held = self.store.get(part)?;
        Some(self.playback.deadline(&self.part_time(part, &held.descriptor)))
    }

    /// A host has got a layer of a part elsewhere: the chunks of it that are missing here, for others. They are believed
    /// no sooner than any that come.
    pub fn missing_of(&self, part: PartId, of: LayerId, whole: &Bytes) -> Vec<Chunk<Bytes>> {
        let (Some(held), Some(layer)) = (self.store.get(part), self.store.layer(part, of)) else { return Vec::new() };
        let track = held.descriptor.tracks.get(usize::from(of.rendition));
        let described = track.and_then(|track| track.layers.get(usize::from(of.layer)));
        let Some(described) = described.filter(|it| it.size as usize == whole.len()) else { return Vec::new() };
        let cut = |index: u16| whole.slice(chunk_range(whole.len(), described.hashes.len(), index.into()));
        let chunk = |index| Chunk { id: ChunkId { part, of, index }, hop: 0, payload: cut(index) };
        layer.missing().map(chunk).collect()
    }

    /// Are all layers here that were wanted of a part? Known parts only.
    pub fn is_whole(&self, part: PartId) -> bool {
        self.store.get(part).is_some_and(|held| held.layers.iter().all(|layer| layer.is_complete()))
    }

    /// The next part to play, and when.
    pub fn cursor(&self) -> Option<Cursor> {
        self.playback.cursor()
    }

    /// How much later than others this viewer plays: it has just started, stood still or gone back.
    pub fn lag(&self) -> Duration {
        let cursor = self.playback.cursor().and_then(|cursor| Some((cursor.part, self.store.get(cursor.part)?)));
        cursor.map_or(Duration::ZERO, |(part, held)| self.playback.behind(&self.part_time(part, &held.descriptor)))
    }

    /// H, as the edge has it.
    pub fn hold_back(&self) -> Duration {
        self.playback.hold_back()
    }

    /// α, as this peer has it, bit/s; 0 when it gives nothing.
    pub fn alpha_bps(&self) -> u64 {
        if self.uplink.gives() { self.uplink.alpha_bps() } else { 0 }
    }

    /// Of a recording: layers that the edge has granted, and that are not watched yet. The host knows from where on they are
    /// of use, and says so by [`super::Input::Change`]; if it does not, they are from the playhead on.
    pub fn granted(&self) -> Option<&[LayerId]> {
        self.next_layers.as_deref().filter(|_| self.is_recorded() && self.stage != Stage::Closed)
    }

    /// The layers it watches.
    pub fn layers(&self) -> &[LayerId] {
        &self.layers
    }
}
