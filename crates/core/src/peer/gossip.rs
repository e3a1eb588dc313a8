//! What do my neighbors have, and what have I to tell them?
//!
//! News is gathered and told to all neighbors at once, a few times a second. What a neighbor said is a hint, never a
//! fact: it is asked, and if it lied the ask runs out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use trellis_proto::frame::{Bits, ChunkId, LayerId, PartId, PeerId, Row};

use crate::limits::{KEEP_PARTS, ROWS_MAX};

/// Rows a neighbor may fill: as many as it has parts worth telling, in a few layers.
const ROWS_KNOWN_MAX: usize = KEEP_PARTS * 8;

/// Who has what.
#[derive(Debug, Clone, Default)]
pub struct Gossip {
    known: BTreeMap<PeerId, BTreeMap<(PartId, LayerId), Bits>>,
    fresh: BTreeMap<(PartId, LayerId), Bits>,
}

impl Gossip {
    /// A chunk came: worth telling.
    pub fn on_chunk(&mut self, id: ChunkId) {
        self.fresh.entry((id.part, id.of)).or_default().insert(usize::from(id.index));
    }

    /// What was not told yet, as frames' worth of rows.
    pub fn take_news(&mut self) -> Vec<Vec<Row>> {
        let rows: Vec<_> = core::mem::take(&mut self.fresh).into_iter().map(row).collect();
        rows.chunks(ROWS_MAX).map(<[Row]>::to_vec).collect()
    }

    /// A neighbor told.
    pub fn on_have(&mut self, from: PeerId, rows: Vec<Row>, oldest: Option<PartId>) {
        let known = self.known.entry(from).or_default();
        for row in rows.into_iter().filter(|row| oldest.is_none_or(|oldest| row.part >= oldest)) {
            if known.len() >= ROWS_KNOWN_MAX {
                known.pop_first();
            }
            let bits = known.entry((row.part, row.of)).or_default();
            row.chunks.iter().for_each(|index| {
                bits.insert(index);
            });
        }
    }

    /// A neighbor said it cannot give these.
    pub fn on_deny(&mut self, from: PeerId, rows: &[Row]) {
        let Some(known) = self.known.get_mut(&from) else { return };
        for row in rows {
            if let Some(bits) = known.get_mut(&(row.part, row.of)) {
                row.chunks.iter().for_each(|index| {
                    bits.remove(index);
                });
            }
        }
    }

    /// Does this neighbor have the chunk, by what it said?
    pub fn has(&self, peer: PeerId, id: ChunkId) -> bool {
        let bits = self.known.get(&peer).and_then(|known| known.get(&(id.part, id.of)));
        bits.is_some_and(|bits| bits.contains(usize::from(id.index)))
    }

    /// Who has the chunk, by what they said.
    pub fn holders(&self, id: ChunkId) -> impl Iterator<Item = PeerId> + '_ {
        self.known.keys().copied().filter(move |peer| self.has(*peer, id))
    }

    /// A neighbor is none any more.
    pub fn lose(&mut self, peer: PeerId) {
        self.known.remove(&peer);
    }

    /// What is older is of no interest.
    pub fn forget_before(&mut self, oldest: PartId) {
        let first = (oldest, LayerId { rendition: 0, layer: 0 });
        for known in self.known.values_mut() {
            while known.first_key_value().is_some_and(|(key, _)| *key < first) {
                known.pop_first();
            }
        }
    }
}

fn row(((part, of), chunks): ((PartId, LayerId), Bits)) -> Row {
    Row { part, of, chunks }
}
