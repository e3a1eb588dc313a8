//! What may a host look at? What a player asks for is answered from the store itself, so that no host keeps it twice.

use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::frame::{LayerId, PartId};

use super::Peer;
use super::playback::Cursor;
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

    /// The layers it watches.
    pub fn layers(&self) -> &[LayerId] {
        &self.layers
    }
}
