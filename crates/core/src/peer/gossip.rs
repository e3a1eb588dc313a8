//! What do my neighbors have, and what have I to tell them?
//!
//! News is gathered and told to all neighbors at once, a few times a second. What a neighbor said is a hint, never a
//! fact: it is asked, and if it lied the ask runs out.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use trellis_proto::frame::{Bits, ChunkId, LayerId, PartId, PeerId, Row};

use crate::limits::{KEEP_PARTS, LINKS_MAX, ROWS_MAX};
use crate::near::Near;

/// Layers of parts that neighbors may speak of: as many as are worth knowing, in a few layers.
const ROWS_KNOWN_MAX: usize = KEEP_PARTS * 8;

/// Neighbors mostly tell of so many of the newest parts.
const TOLD_PARTS: usize = 4;

/// Who has what.
#[derive(Debug, Clone, Default)]
pub struct Gossip {
    /// By part and layer: most questions are about one chunk and all neighbors.
    known: VecDeque<Known>,
    /// Not told yet, by part and layer.
    fresh: Vec<Row>,
}

/// Who has what of one layer of a part.
#[derive(Debug, Clone)]
struct Known {
    key: (PartId, LayerId),
    holders: Vec<(PeerId, Bits)>,
}

impl Gossip {
    /// A chunk came: worth telling.
    pub fn on_chunk(&mut self, id: ChunkId) {
        let at = self.fresh.binary_search_by_key(&(id.part, id.of), |row| (row.part, row.of)).unwrap_or_else(|at| {
            self.fresh.insert(at, Row { part: id.part, of: id.of, chunks: Bits::default() });
            at
        });
        self.fresh[at].chunks.insert(usize::from(id.index));
    }

    /// What was not told yet, as frames' worth of rows.
    pub fn take_news(&mut self) -> Vec<Vec<Row>> {
        let news = self.fresh.chunks(ROWS_MAX).map(<[Row]>::to_vec).collect();
        self.fresh.clear();
        news
    }

    /// A neighbor told. Parts before `oldest` are of no interest.
    pub fn on_have(&mut self, from: PeerId, rows: Vec<Row>, oldest: Option<PartId>) {
        for row in rows.into_iter().filter(|row| oldest.is_none_or(|oldest| row.part >= oldest)) {
            if self.known.len() >= ROWS_KNOWN_MAX {
                self.known.pop_front();
            }
            let key = (row.part, row.of);
            let at = self.known.binary_search_by_key(&key, |known| known.key).unwrap_or_else(|at| {
                self.known.insert(at, Known { key, holders: Vec::new() });
                at
            });
            let holders = &mut self.known[at].holders;
            if let Some((_, bits)) = holders.iter_mut().find(|(peer, _)| *peer == from) {
                bits.merge(&row.chunks);
            } else if holders.len() < LINKS_MAX {
                holders.push((from, row.chunks));
            }
        }
    }

    /// A neighbor said it cannot give these.
    pub fn on_deny(&mut self, from: PeerId, rows: &[Row]) {
        for row in rows {
            let Ok(at) = self.known.binary_search_by_key(&(row.part, row.of), |known| known.key) else { continue };
            if let Some((_, bits)) = self.known[at].holders.iter_mut().find(|(peer, _)| *peer == from) {
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
        let known = self.known.binary_search_by_key(&(id.part, id.of), |known| known.key);
        let holders = known.map_or(&[][..], |at| &self.known[at].holders);
        holders.iter().filter(move |(_, bits)| bits.contains(usize::from(id.index))).map(|(peer, _)| *peer)
    }

    /// A neighbor is none any more.
    pub fn lose(&mut self, peer: PeerId) {
        self.known.iter_mut().for_each(|known| known.holders.retain(|(holder, _)| *holder != peer));
    }

    /// Brings near where the next news will go: see `Peer::glance`.
    pub fn glance<N: Near>(&self, level: u8) {
        match level {
            1 => {
                self.known.iter().rev().take(TOLD_PARTS).for_each(N::near);
                self.fresh.last().into_iter().for_each(N::near);
            }
            2 => {
                let newest = self.known.iter().rev().take(TOLD_PARTS);
                newest.flat_map(|known| known.holders.first()).for_each(N::near);
            }
            _ => {}
        }
    }

    /// What is older is of no interest.
    pub fn forget_before(&mut self, oldest: PartId) {
        while self.known.front().is_some_and(|known| known.key.0 < oldest) {
            self.known.pop_front();
        }
    }
}
