//! What do my neighbors have, and what have I to tell them?
//!
//! News is gathered and told to all neighbors at once, a few times a second. What a neighbor said is a hint, never a
//! fact: it is asked, and if it lied the ask runs out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use trellis_proto::frame::{Bits, ChunkId, LayerId, PartId, PeerId, Row};

use crate::limits::{KEEP_PARTS, LINKS_MAX, ROWS_MAX};

/// Layers of parts that neighbors may speak of: as many as are worth knowing, in a few layers.
const ROWS_KNOWN_MAX: usize = KEEP_PARTS * 8;

/// Who has what.
#[derive(Debug, Clone, Default)]
pub struct Gossip {
    /// By layer of a part, who has what of it: most questions are about one chunk and all neighbors.
    known: BTreeMap<(PartId, LayerId), Vec<(PeerId, Bits)>>,
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

    /// A neighbor told. Parts before `oldest` are of no interest.
    pub fn on_have(&mut self, from: PeerId, rows: Vec<Row>, oldest: Option<PartId>) {
        for row in rows.into_iter().filter(|row| oldest.is_none_or(|oldest| row.part >= oldest)) {
            if self.known.len() >= ROWS_KNOWN_MAX {
                self.known.pop_first();
            }
            let holders = self.known.entry((row.part, row.of)).or_default();
            if let Some((_, bits)) = holders.iter_mut().find(|(peer, _)| *peer == from) {
                row.chunks.iter().for_each(|index| {
                    bits.insert(index);
                });
            } else if holders.len() < LINKS_MAX {
                holders.push((from, row.chunks));
            }
        }
    }

    /// A neighbor said it cannot give these.
    pub fn on_deny(&mut self, from: PeerId, rows: &[Row]) {
        for row in rows {
            let holders = self.known.get_mut(&(row.part, row.of));
            if let Some((_, bits)) = holders.and_then(|holders| holders.iter_mut().find(|(peer, _)| *peer == from)) {
                row.chunks.iter().for_each(|index| {
                    bits.remove(index);
                });
            }
        }
    }

    /// Does this neighbor have the chunk, by what it said?
    pub fn has(&self, peer: PeerId, id: ChunkId) -> bool {
        self.holders(id).any(|holder| holder == peer)
    }

    /// Who has the chunk, by what they said.
    pub fn holders(&self, id: ChunkId) -> impl Iterator<Item = PeerId> + '_ {
        let holders = self.known.get(&(id.part, id.of)).into_iter().flatten();
        holders.filter(move |(_, bits)| bits.contains(usize::from(id.index))).map(|(peer, _)| *peer)
    }

    /// A neighbor is none any more.
    pub fn lose(&mut self, peer: PeerId) {
        self.known.values_mut().for_each(|holders| holders.retain(|(holder, _)| *holder != peer));
    }

    /// What is older is of no interest.
    pub fn forget_before(&mut self, oldest: PartId) {
        while self.known.first_key_value().is_some_and(|((part, _), _)| *part < oldest) {
            self.known.pop_first();
        }
    }
}

fn row(((part, of), chunks): ((PartId, LayerId), Bits)) -> Row {
    Row { part, of, chunks }
}
