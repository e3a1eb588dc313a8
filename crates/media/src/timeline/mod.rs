//! What is known of one stream from its signed tables: which runs, segments and parts there are, which of them
//! playlists show, and what a follower still has to be told.
//!
//! Pure: no clock, no I/O. The origin, every edge and later the player's engine feed it the same tables in the
//! same order and therefore write the same playlists, byte for byte. Signatures are the host's business: a
//! table is applied only after `trellis_core::trust` has accepted it.
//!
//! Invariants: parts of a run are known without gaps; media sequence numbers are contiguous over everything
//! known; only the newest run can grow; memory is bounded by the window ([`LIVE_PARTS_MAX`] parts at most, on
//! demand [`VOD_PARTS_MAX`]).

mod feed;
pub mod fuzz;
pub(crate) mod rates;
mod run;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use bytes::Bytes;
use trellis_proto::{Catalogue, Descriptor, EndReason, Mode, RunEnd, RunId, StreamId, Table};

pub use feed::Cursor;
pub(crate) use run::{Run, Segment};

use run::Step;

/// Everything known of one stream.
#[derive(Debug, Clone)]
pub struct Timeline {
    stream: StreamId,
    /// Oldest first. All but the last are over.
    runs: VecDeque<Run>,
    /// Runs that are behind us: their tables are no news, whoever repeats them.
    passed: VecDeque<RunId>,
    /// First media sequence number in playlists. What is older is only kept for players that are late.
    listed_from: u64,
    version: u64,
}

/// What a table changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Nothing: it was known, or is about something already evicted.
    Known,
    /// It was news. What had to go for it is listed, for the host's stores to free.
    New(Vec<Evicted>),
}

/// Parts that left the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Their run.
    pub run: RunId,
    /// Part numbers.
    pub parts: Range<u64>,
    /// The segments they made up.
    pub segments: Range<u64>,
    /// Nothing of the run is left: its init segments can go, too.
    pub run_gone: bool,
}

/// What a viewer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing has ever come.
    Waiting,
    /// The newest run grows.
    Live,
    /// The publisher is gone and may return.
    Paused,
    /// Over; what is in the window can be watched.
    Ended,
    /// On demand; watchable from its first segment on, also while it still comes in.
    Vod,
}

/// Why a table is not accepted. Nothing has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// A catalogue of another stream.
    #[error("the catalogue is for another stream")]
    WrongStream,
    /// No catalogue has announced the run.
    #[error("no catalogue has announced run {0}")]
    UnknownRun(RunId),
    /// A new part for a run that is over.
    #[error("run {0} is over")]
    RunOver(RunId),
    /// Parts are missing in between: the follower has to ask for the feed again.
    #[error("part {found} came when part {expected} was expected")]
    Gap {
        /// The next part, or the number of parts known.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Other contents under a number or name that is taken.
    #[error("a table contradicts one that is known")]
    Conflict,
    /// Media sequence number, index or discontinuity do not continue from the part before.
    #[error("part {0} is numbered wrongly within its segment or run")]
    Numbering(u64),
    /// Not the renditions, layers and chunks the catalogue prescribes.
    #[error("part {0} does not have the shape its catalogue prescribes")]
    Shape(u64),
    /// Starts before the part before it.
    #[error("part {0} starts before the part that precedes it")]
    Backwards(u64),
    /// More parts than an on-demand run may have.
    #[error("an on-demand run has at most {VOD_PARTS_MAX} parts")]
    Full,
}

impl Timeline {
    /// A stream of which nothing is known yet. A live stream's playlists reach back from the live edge as far as its
    /// catalogue says, or three target durations if that is longer; an on-demand stream is never cut.
    pub fn new(stream: StreamId) -> Self {
        Self { stream, runs: VecDeque::new(), passed: VecDeque::new(), listed_from: 0, version: 0 }
    }

    /// Takes in a verified table. `signed` are the bytes it came as, kept to be forwarded as they are.
    ///
    /// A descriptor may be ahead of what is expected only if it starts a segment: that is how a follower learns
    /// that the window has moved past it. Everything older is evicted then.
    ///
    /// A catalogue continues the stream when its first media sequence number and discontinuity are the next
    /// ones. Otherwise (the origin was restarted, or one of the runs is on demand) it replaces what is known,
    /// unless its run is the older one (ids sort by time): then it comes from a sender that lags, and is ignored.
    pub fn apply(&mut self, table: Table, signed: Bytes) -> Result<Applied, TimelineError> {
        let applied = match table {
            Table::Catalogue(catalogue) => self.on_catalogue(catalogue, signed),
            Table::Descriptor(descriptor) => self.on_descriptor(descriptor, signed),
            Table::RunEnd(end) => self.on_end(end, signed),
        }?;
        if applied != Applied::Known {
            self.version += 1;
        }
        Ok(applied)
    }

    /// The signed messages a follower still needs that has everything up to and including part `after` of a
    /// run: from the start of what is known when `after` is `None` or is not known (any more). A host that
    /// streams a feed keeps a [`Cursor`] and calls [`Self::next_message`] instead.
    pub fn feed(&self, after: Option<(RunId, u64)>) -> impl Iterator<Item = Bytes> + '_ {
        let mut cursor = Cursor::new(after);
        std::iter::from_fn(move || self.next_message(&mut cursor))
    }

    /// The next signed message for the follower at `cursor`, `None` until more becomes known.
    pub fn next_message(&self, cursor: &mut Cursor) -> Option<Bytes> {
        feed::next(&self.runs, cursor)
    }

    /// Where somebody begins who wants to play now: a catalogue, and a cursor behind it. A live run is taken up at the last
    /// key frame but one, a recording at its last part: whoever plays it asks for the rest.
    pub fn opening(&self) -> Option<(Bytes, Cursor)> {
        let run = self.runs.iter().rev().find(|run| !run.is_empty()).or(self.runs.back())?;
        let parts = run.first_part()..run.next_part();
        let starts = |part: &u64| run.part(*part).is_some_and(|descriptor| descriptor.independent);
        let first = match run.catalogue.mode {
            Mode::Vod => parts.clone().next_back(),
            Mode::Live => parts.clone().rev().filter(starts).take(OPENING_STARTS).last(),
        };
        Some((run.signed.clone(), Cursor::before(run.catalogue.run, first.unwrap_or(parts.start))))
    }

    /// A descriptor, as signed.
    pub fn signed_part(&self, run: RunId, part: u64) -> Option<&Bytes> {
        self.run(run)?.signed_part(part)
    }

    /// The stream's name.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Counts changes: a host caches playlists by it and wakes its waiters when it moves.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What a viewer finds.
    pub fn state(&self) -> State {
        match self.runs.back() {
            None => State::Waiting,
            Some(run) if run.catalogue.mode == Mode::Vod => State::Vod,
            Some(_) => self.live_state(),
        }
    }

    /// A catalogue alone does not end a pause: the first part does.
    fn live_state(&self) -> State {
        let told = self.runs.iter().rev().find(|run| !run.is_empty() || run.end.is_some());
        match told {
            None => State::Waiting,
            Some(run) => match &run.end {
                Some((RunEnd { reason: EndReason::Ended, .. }, _)) => State::Ended,
                _ if self.runs.iter().all(Run::is_empty) => State::Waiting,
                Some((RunEnd { reason: EndReason::Paused, .. }, _)) => State::Paused,
                None if run.over => State::Paused,
                None => State::Live,
            },
        }
    }

    /// The catalogue of a run, while anything of it is known.
    pub fn catalogue(&self, run: RunId) -> Option<&Catalogue> {
        Some(&self.run(run)?.catalogue)
    }

    /// The newest run's catalogue.
    pub fn newest(&self) -> Option<&Catalogue> {
        Some(&self.runs.back()?.catalogue)
    }

    /// A part that is known.
    pub fn part(&self, run: RunId, part: u64) -> Option<&Descriptor> {
        self.run(run)?.part(part)
    }

    /// Bytes of a rendition (its index in the catalogue) before this part; `None` when the part is not known, or the run
    /// not from its first part on.
    pub fn offset(&self, run: RunId, rendition: usize, part: u64) -> Option<u64> {
        self.run(run)?.offset(rendition, part)
    }

    /// The parts of a segment that is complete.
    pub fn segment(&self, run: RunId, msn: u64) -> Option<RangeInclusive<u64>> {
        let segment = self.run(run)?.segment(msn)?;
        segment.complete.then(|| segment.parts.start..=segment.parts.end - 1)
    }

    /// Is this the part that comes next, the one a preload hint names (it may begin the next segment)? A
    /// request for it is worth holding.
    pub fn is_next(&self, run: RunId, part: u64) -> bool {
        self.runs.back().is_some_and(|newest| newest.catalogue.run == run && !newest.over && newest.next_part() == part)
    }

    /// The newest part: its media sequence number, its index within the segment, and whether it completes it.
    pub fn last(&self) -> Option<(u64, u16, bool)> {
        let run = self.runs.iter().rev().find(|run| !run.is_empty())?;
        let last = run.last()?;
        Some((last.msn, last.index, run.segments().last()?.complete))
    }

    /// The last part known: where a follower goes on after an interruption.
    pub fn newest_part(&self) -> Option<(RunId, u64)> {
        let run = self.runs.iter().rev().find(|run| !run.is_empty())?;
        Some((run.catalogue.run, run.last()?.part))
    }

    /// First media sequence number and discontinuity of a live run that would continue this stream. `None`: there
    /// is nothing to continue.
    pub fn next_run(&self) -> Option<(u64, u64)> {
        let run = self.runs.iter().rev().find(|run| !run.is_empty())?;
        (run.catalogue.mode == Mode::Live).then(|| (run.next_msn(), run.catalogue.discontinuity + 1))
    }

    /// Peak bit/s of the best video and the first audio together, as measured; by the catalogue until a segment
    /// is complete, 0 before there is one.
    pub fn rate_bps(&self) -> u64 {
        rates::best(self)
    }

    /// Everything known, oldest first.
    pub(crate) fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.iter()
    }

    /// First media sequence number that playlists show.
    pub(crate) fn listed_from(&self) -> u64 {
        self.listed_from
    }

    fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().find(|run| run.catalogue.run == id)
    }

    /// Where the run a table names stands; `None` when it is behind us.
    fn position(&self, id: RunId) -> Result<Option<usize>, TimelineError> {
        match self.runs.iter().position(|run| run.catalogue.run == id) {
            Some(at) => Ok(Some(at)),
            None if self.passed.contains(&id) => Ok(None),
            None => Err(TimelineError::UnknownRun(id)),
        }
    }

    fn on_catalogue(&mut self, catalogue: Catalogue, signed: Bytes) -> Result<Applied, TimelineError> {
        if catalogue.stream != self.stream {
            return Err(TimelineError::WrongStream);
        }
        if let Some(known) = self.run(catalogue.run) {
            return if known.catalogue == catalogue { Ok(Applied::Known) } else { Err(TimelineError::Conflict) };
        }
        if self.passed.contains(&catalogue.run) {
            return Ok(Applied::Known);
        }
        let evicted = match self.relation(&catalogue) {
            Relation::Stale => {
                self.pass(catalogue.run);
                return Ok(Applied::Known);
            }
            Relation::Continues => self.drop_runs(|run| run.is_empty()),
            Relation::Replaces => self.drop_runs(|_| true),
        };
        if let Some(before) = self.runs.back_mut() {
            before.close();
        } else {
            self.listed_from = catalogue.first_msn;
        }
        self.runs.push_back(Run::new(catalogue, signed));
        Ok(Applied::New(evicted))
    }

    fn relation(&self, new: &Catalogue) -> Relation {
        let numbers = (new.first_msn, new.discontinuity);
        let continues = new.mode == Mode::Live && self.next_run() == Some(numbers);
        match self.newest() {
            _ if continues => Relation::Continues,
            Some(newest) if new.run < newest.run => Relation::Stale,
            _ => Relation::Replaces,
        }
    }

    fn on_descriptor(&mut self, descriptor: Descriptor, signed: Bytes) -> Result<Applied, TimelineError> {
        let Some(at) = self.position(descriptor.run)? else { return Ok(Applied::Known) };
        let run = &self.runs[at];
        let step = run.check(&descriptor)?;
        if step == Step::Known {
            return Ok(Applied::Known);
        }
        if run.catalogue.mode == Mode::Vod && run.len() >= VOD_PARTS_MAX {
            return Err(TimelineError::Full);
        }
        let mut evicted = Vec::new();
        if step == Step::Jump {
            evicted = self.forget_media(descriptor.run);
            self.listed_from = descriptor.msn;
        }
        self.runs.back_mut().expect("a run that is not over is the newest").push(descriptor, signed);
        evicted.extend(self.slide());
        Ok(Applied::New(evicted))
    }

    fn on_end(&mut self, end: RunEnd, signed: Bytes) -> Result<Applied, TimelineError> {
        let Some(at) = self.position(end.run)? else { return Ok(Applied::Known) };
        let newest = at + 1 == self.runs.len();
        let run = &mut self.runs[at];
        match &run.end {
            Some((known, _)) if *known == end => return Ok(Applied::Known),
            Some((known, _)) if known.parts != end.parts => return Err(TimelineError::Conflict),
            // The grace time is over. What came before a newer run has been paused, whatever was said later; and an end
            // is not taken back.
            Some(_) if newest && end.reason == EndReason::Ended => {
                run.end = Some((end, signed));
                return Ok(Applied::New(Vec::new()));
            }
            Some(_) => return Ok(Applied::Known),
            None if run.over => return Err(TimelineError::RunOver(end.run)),
            None => {}
        }
        match run.next_part() {
            expected if end.parts > expected => Err(TimelineError::Gap { expected, found: end.parts }),
            expected if end.parts < expected => Err(TimelineError::Conflict),
            _ => {
                run.close();
                run.end = Some((end, signed));
                Ok(Applied::New(self.slide()))
            }
        }
    }
}

/// How a new catalogue relates to what is known.
enum Relation {
    Continues,
    Replaces,
    Stale,
}

/// Most parts kept of a live stream, whatever its window: six hours of parts of 0.3 s.
pub const LIVE_PARTS_MAX: usize = 72_000;
/// Key frames at which parts may begin that are taken up: a newcomer who wants the last one before now finds it.
const OPENING_STARTS: usize = 2;
/// Most parts of an on-demand run: a day of third-seconds.
pub const VOD_PARTS_MAX: usize = 1 << 18;
