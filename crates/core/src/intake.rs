//! What did a viewer's media come from? Every byte counts once, by who brought it, and only once the peer has believed it;
//! what came in vain (wrong, twice, too late, or taken from elsewhere after all) is counted beside.
//!
//! Think of a till: what is put on the counter is not sold yet. Bounded: of chunks that wait for their descriptor the oldest is
//! forgotten, of parts the one that nothing was said of for longest.

use alloc::collections::{BTreeMap, VecDeque};

use trellis_proto::frame::{ChunkId, LayerId, PartId, PeerId};

use crate::limits::{KEEP_PARTS_RECORDED, ORPHANS_MAX};

/// Kept by a host, beside its peer.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// Media from the edge's link, bytes.
    pub edge_bytes: u64,
    /// Media from other peers, bytes.
    pub peer_bytes: u64,
    /// Media on links that was of no use, bytes.
    pub wasted_bytes: u64,
    /// Chunks that came and were not believed so far, newest last.
    on_the_counter: VecDeque<(ChunkId, PeerId)>,
    parts: BTreeMap<(PartId, LayerId), Share>,
    /// How often a part was spoken of.
    turns: u64,
}

/// What came of a layer of a part.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    edge_bytes: u64,
    peer_bytes: u64,
    /// The player has it from elsewhere: whatever comes of it is of no use here.
    elsewhere: bool,
    /// When it was spoken of last.
    turn: u64,
}

impl Intake {
    /// A chunk came: of no use, until [`Self::on_accepted`].
    pub fn on_chunk(&mut self, from: PeerId, id: ChunkId, bytes: usize) {
        self.wasted_bytes += bytes as u64;
        if self.on_the_counter.len() >= WAITING_MAX {
            self.on_the_counter.pop_front();
        }
        self.on_the_counter.push_back((id, from));
    }

    /// The peer has believed it. Who brought it, if it is of use; if several did, the last.
    pub fn on_accepted(&mut self, id: ChunkId, bytes: usize) -> Option<PeerId> {
        let at = self.on_the_counter.iter().rposition(|(known, _)| *known == id)?;
        let (_, from) = self.on_the_counter.remove(at)?;
        let share = self.share(id.part, id.of);
        if share.elsewhere {
            return None;
        }
        let bytes = bytes as u64;
        *(if from.is_edge() { &mut share.edge_bytes } else { &mut share.peer_bytes }) += bytes;
        *(if from.is_edge() { &mut self.edge_bytes } else { &mut self.peer_bytes }) += bytes;
        self.wasted_bytes -= bytes;
        Some(from)
    }

    /// The player has this from elsewhere: what came of it came in vain.
    pub fn on_elsewhere(&mut self, part: PartId, of: LayerId) {
        let share = self.share(part, of);
        let edge_bytes = core::mem::take(&mut share.edge_bytes);
        let peer_bytes = core::mem::take(&mut share.peer_bytes);
        share.elsewhere = true;
        self.edge_bytes -= edge_bytes;
        self.peer_bytes -= peer_bytes;
        self.wasted_bytes += edge_bytes + peer_bytes;
    }

    fn share(&mut self, part: PartId, of: LayerId) -> &mut Share {
        if self.parts.len() >= SHARES_MAX && !self.parts.contains_key(&(part, of)) {
            // Some hundred are looked through, once for a part: viewers of a recording go back, so the lowest may be the newest.
            let stale = self.parts.iter().min_by_key(|(_, share)| share.turn).map(|(key, _)| *key);
            stale.and_then(|key| self.parts.remove(&key));
        }
        self.turns += 1;
        let share = self.parts.entry((part, of)).or_default();
        share.turn = self.turns;
        share
    }
}

/// Those that the peer keeps, and those of one input.
const WAITING_MAX: usize = 2 * ORPHANS_MAX;
/// A picture and a sound as long as a peer keeps them of a recording, and four of them as long as it does of a live stream.
const SHARES_MAX: usize = 2 * KEEP_PARTS_RECORDED;

#[cfg(test)]
mod tests {
    use trellis_proto::RunId;

    use super::*;

    const VIDEO: LayerId = LayerId { rendition: 0, layer: 0 };
    const FRIEND: PeerId = PeerId(7);

    fn part(part: u64) -> PartId {
        PartId { run: RunId(1), part }
    }

    fn chunk(number: u64, index: u16) -> ChunkId {
        ChunkId { part: part(number), of: VIDEO, index }
    }

    fn sums(intake: &Intake) -> (u64, u64, u64) {
        (intake.edge_bytes, intake.peer_bytes, intake.wasted_bytes)
    }

    #[test]
    fn what_comes_counts_when_it_is_believed_and_for_who_brought_it() {
        let mut intake = Intake::default();
        intake.on_chunk(FRIEND, chunk(1, 0), 100);
        assert_eq!(sums(&intake), (0, 0, 100), "it may be wrong");
        intake.on_chunk(PeerId::EDGE, chunk(1, 0), 100);
        assert_eq!(intake.on_accepted(chunk(1, 0), 100), Some(PeerId::EDGE));
        intake.on_chunk(FRIEND, chunk(1, 1), 50);
        assert_eq!(intake.on_accepted(chunk(1, 1), 50), Some(FRIEND));
        assert_eq!(intake.on_accepted(chunk(9, 9), 50), None, "nobody brought it");
        assert_eq!(sums(&intake), (100, 50, 100));
    }

    #[test]
    fn what_the_player_takes_from_elsewhere_is_not_counted_twice() {
        let mut intake = Intake::default();
        for (number, from) in [(1, FRIEND), (1, PeerId::EDGE), (2, FRIEND)] {
            let id = chunk(number, 0);
            intake.on_chunk(from, id, 100);
            intake.on_accepted(id, 100);
        }
        intake.on_elsewhere(part(1), VIDEO);
        assert_eq!(sums(&intake), (0, 100, 200));
        intake.on_chunk(FRIEND, chunk(1, 3), 10);
        assert_eq!(intake.on_accepted(chunk(1, 3), 10), None);
        intake.on_elsewhere(part(1), VIDEO);
        assert_eq!(sums(&intake), (0, 100, 210));
    }

    #[test]
    fn who_goes_back_is_still_counted_right_when_much_was_before() {
        let mut intake = Intake::default();
        let take = |intake: &mut Intake, number| {
            intake.on_chunk(FRIEND, chunk(number, 0), 1);
            intake.on_accepted(chunk(number, 0), 1);
        };
        (10_000..11_000).for_each(|number| take(&mut intake, number));
        (10..40).for_each(|number| take(&mut intake, number));
        (10..40).for_each(|number| intake.on_elsewhere(part(number), VIDEO));
        assert_eq!(sums(&intake), (0, 1_000, 30));
    }

    #[test]
    fn it_stays_small_whatever_comes() {
        let mut intake = Intake::default();
        for number in 0..10_000 {
            intake.on_chunk(FRIEND, chunk(number, 0), 1);
            intake.on_chunk(FRIEND, chunk(number, 1), 1);
            intake.on_accepted(chunk(number, 0), 1);
        }
        assert!(intake.on_the_counter.len() <= WAITING_MAX && intake.parts.len() <= SHARES_MAX);
        assert_eq!(sums(&intake), (0, 10_000, 10_000));
    }
}
