//! What do the playlists of this viewer list? Parts that are whole here, in order, so that a player asks for nothing that
//! has to be waited for.
//!
//! Invariant: a part is listed after all parts before it, once it is whole or its time is up (then it comes from
//! elsewhere). Bounded: what waits is no more than what a peer knows ahead, and a time line holds a window.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trellis_core::limits::AHEAD_PARTS_MAX;
use trellis_core::time::Instant;
use trellis_core::trust::Verified;
use trellis_media::playlist::{self, Wait};
use trellis_media::timeline::{Applied, Timeline};
use trellis_proto::frame::PartId;
use trellis_proto::{Catalogue, Descriptor, RenditionName, RunEnd, RunId, StreamId, Table};

/// The time line of what is here, and what comes onto it next.
pub struct Listing {
    timeline: Timeline,
    catalogues: BTreeMap<RunId, Arc<Catalogue>>,
    ends: BTreeMap<RunId, RunEnd>,
    waiting: BTreeMap<PartId, Arc<Descriptor>>,
    /// When parts came.
    times: BTreeMap<PartId, Times>,
    last_whole: Instant,
    /// Up to here the time is up.
    given_up: Option<PartId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// Its first chunk.
    first: Instant,
    /// From then on, or from the time the part before was whole, until all was here that was wanted of it.
    load: Option<Duration>,
}

impl Listing {
    /// Nothing is listed yet.
    pub fn new(stream: StreamId) -> Self {
        Self {
            timeline: Timeline::new(stream),
            catalogues: BTreeMap::new(),
            ends: BTreeMap::new(),
            waiting: BTreeMap::new(),
            times: BTreeMap::new(),
            last_whole: Instant(0),
            given_up: None,
        }
    }

    /// A table was believed.
    pub fn know(&mut self, table: Verified) {
        match table {
            Verified::Catalogue(catalogue) => {
                self.catalogues.insert(catalogue.run, catalogue);
                keep_last(&mut self.catalogues, RUNS_MAX);
            }
            Verified::RunEnd(end) => {
                self.ends.insert(end.run, end);
                keep_last(&mut self.ends, RUNS_MAX);
            }
            Verified::Descriptor(descriptor) => {
                let id = PartId { run: descriptor.run, part: descriptor.part };
                if self.listed_to().is_none_or(|listed| id > listed) {
                    self.waiting.insert(id, descriptor);
                    keep_last(&mut self.waiting, WAITING_MAX);
                }
            }
        }
    }

    /// A chunk of a part came.
    pub fn note_chunk(&mut self, now: Instant, part: PartId) {
        self.times.entry(part).or_insert(Times { first: now, load: None });
        keep_last(&mut self.times, TIMES_MAX);
    }

    /// All that was wanted of a part is here.
    pub fn note_whole(&mut self, now: Instant, part: PartId) {
        let Some(times) = self.times.get_mut(&part).filter(|times| times.load.is_none()) else { return };
        // Parts that come side by side share the line: each is charged what it took longer than the one before.
        times.load = Some(now.since(times.first.max(self.last_whole)));
        self.last_whole = now;
    }

    /// A part's time is up, whether it is here or not, and so is that of all before it.
    pub fn give_up(&mut self, part: PartId) {
        self.given_up = self.given_up.max(Some(part));
    }

    /// Is a part's time up?
    pub fn gave_up(&self, part: PartId) -> bool {
        self.given_up.is_some_and(|until| part <= until)
    }

    /// Lists what can be listed.
    pub fn advance(&mut self, is_whole: impl Fn(PartId) -> bool) {
        while let Some((id, descriptor)) = self.waiting.first_key_value() {
            if self.given_up.is_none_or(|until| *id > until) && !is_whole(*id) {
                break;
            }
            let (id, descriptor) = (*id, descriptor.clone());
            self.waiting.remove(&id);
            self.list(id, &descriptor);
        }
        self.end();
    }

    fn list(&mut self, id: PartId, descriptor: &Descriptor) {
        if self.timeline.catalogue(id.run).is_none()
            && let Some(catalogue) = self.catalogues.get(&id.run)
        {
            self.apply(Table::Catalogue(catalogue.as_ref().clone()));
        }
        // A time line begins with a segment: who joins in the middle of one lists from the next on.
        self.apply(Table::Descriptor(descriptor.clone()));
    }

    fn end(&mut self) {
        let last = self.timeline.newest().map(|newest| newest.run);
        let Some(end) = last.and_then(|run| self.ends.get(&run)).copied() else { return };
        if self.apply(Table::RunEnd(end)) {
            self.ends.remove(&end.run);
        }
    }

    /// A table that does not fit is dropped: it is genuine, but comes out of turn.
    fn apply(&mut self, table: Table) -> bool {
        matches!(self.timeline.apply(table, Bytes::new()), Ok(Applied::New(_) | Applied::Known))
    }

    fn listed_to(&self) -> Option<PartId> {
        self.timeline.newest_part().map(|(run, part)| PartId { run, part })
    }

    /// The newest part that is known, listed or not.
    pub fn newest(&self) -> Option<PartId> {
        self.waiting.last_key_value().map(|(id, _)| *id).max(self.listed_to())
    }

    /// The time line.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The catalogue of a run.
    pub fn catalogue(&self, run: RunId) -> Option<&Catalogue> {
        self.catalogues.get(&run).map(Arc::as_ref)
    }

    /// The newest run's.
    pub fn newest_catalogue(&self) -> Option<&Catalogue> {
        self.catalogues.last_key_value().map(|(_, catalogue)| catalogue.as_ref())
    }

    /// How long a part took to load, without the time it took to be made or to be asked for.
    pub fn load_time(&self, part: PartId) -> Option<Duration> {
        self.times.get(&part)?.load
    }

    /// What a part consists of.
    pub fn descriptor(&self, id: PartId) -> Option<&Descriptor> {
        self.waiting.get(&id).map(Arc::as_ref).or_else(|| self.timeline.part(id.run, id.part))
    }

    /// Is this part of this segment listed, or the whole segment, or too far ahead to be asked for?
    pub fn has(&self, msn: u64, part: Option<u64>) -> Wait {
        playlist::must_wait(&self.timeline, msn, part)
    }

    /// A media playlist from the first segment listed here on, also while none is complete: the player's own history
    /// goes before it.
    pub fn playlist(&self, name: RenditionName) -> Option<String> {
        playlist::media_from_here(&self.timeline, name)
    }

    /// The part that holds this wall clock time of the origin, ms since 1970.
    pub fn part_at(&self, date_ms: u64) -> Option<PartId> {
        let (run, _) = self.timeline.newest_part()?;
        let catalogue = self.timeline.catalogue(run)?;
        let at_us = date_ms.checked_sub(catalogue.started_ms)? * 1_000;
        let mut id = self.newest().filter(|newest| newest.run == run)?;
        while self.descriptor(id)?.start_us > at_us {
            id.part = id.part.checked_sub(1)?;
        }
        Some(id)
    }
}

fn keep_last<K: Ord + Copy, V>(map: &mut BTreeMap<K, V>, count: usize) {
    while map.len() > count {
        map.pop_first();
    }
}

const RUNS_MAX: usize = 4;
const WAITING_MAX: usize = 2 * AHEAD_PARTS_MAX;
const TIMES_MAX: usize = 256;
