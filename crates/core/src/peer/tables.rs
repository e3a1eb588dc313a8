//! Which descriptors am I missing, and whom do I ask?
//!
//! Descriptors come down the same trees as chunks, and from the edge where it gives anything. A gap shows by a later descriptor, by a chunk nobody described, or by
//! silence. Then the one who showed it is asked, after a moment in which it may still come, and the edge after another.

use alloc::collections::BTreeMap;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::frame::{Chunk, PartId, PeerId};

use crate::limits::ORPHANS_MAX;
use crate::time::Instant;

/// What is known of descriptors that are not here.
#[derive(Debug, Clone)]
pub struct Tables<P> {
    missing: BTreeMap<PartId, Missing>,
    orphans: VecDeque<(PeerId, Chunk<P>)>,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    shown_by: PeerId,
    next_ask: Instant,
    asks: u8,
}

impl<P> Default for Tables<P> {
    fn default() -> Self {
        Self { missing: BTreeMap::new(), orphans: VecDeque::new() }
    }
}

impl<P> Tables<P> {
    /// Somebody showed that this part exists.
    pub fn shown(&mut self, now: Instant, part: PartId, by: PeerId) {
        if self.missing.len() < MISSING_MAX {
            self.missing.entry(part).or_insert(Missing { shown_by: by, next_ask: now + FIRST_ASK, asks: 0 });
        }
    }

    /// A chunk came before its descriptor: it is kept, unbelieved, for a moment.
    pub fn keep(&mut self, now: Instant, from: PeerId, chunk: Chunk<P>) {
        self.shown(now, chunk.id.part, from);
        if self.orphans.len() == ORPHANS_MAX {
            self.orphans.pop_front();
        }
        self.orphans.push_back((from, chunk));
    }

    /// The descriptor came: the chunks that waited for it.
    pub fn found(&mut self, part: PartId) -> Vec<(PeerId, Chunk<P>)> {
        self.missing.remove(&part);
        if self.orphans.iter().all(|(_, chunk)| chunk.id.part != part) {
            return Vec::new();
        }
        let (found, rest) = core::mem::take(&mut self.orphans).into_iter().partition(|(_, c)| c.id.part == part);
        self.orphans = rest;
        VecDeque::into(found)
    }

    /// Whom to ask for what now.
    pub fn take_asks(&mut self, now: Instant, is_up: impl Fn(PeerId) -> bool) -> Vec<(PeerId, PartId)> {
        let mut asks = Vec::new();
        self.missing.retain(|part, missing| {
            if now >= missing.next_ask {
                let first = missing.asks == 0 && is_up(missing.shown_by);
                asks.push((if first { missing.shown_by } else { PeerId::EDGE }, *part));
                missing.asks += 1;
                missing.next_ask = now + NEXT_ASK;
            }
            missing.asks < ASKS_MAX
        });
        asks
    }

    /// When to look again.
    pub fn wake_at(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.next_ask).min()
    }

    /// What is older is of no interest.
    pub fn forget_before(&mut self, part: PartId) {
        self.missing = self.missing.split_off(&part);
        self.orphans.retain(|(_, chunk)| chunk.id.part >= part);
    }
}

/// Descriptors overtake chunks; a moment later it is not an accident.
const FIRST_ASK: Duration = Duration::from_millis(60);
const NEXT_ASK: Duration = Duration::from_millis(200);
const ASKS_MAX: u8 = 8;
const MISSING_MAX: usize = 128;
