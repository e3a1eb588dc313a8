//! What leaves the window?
//!
//! Whole segments, oldest first, and only of live streams. A segment is listed as long as any of it lies within
//! the window from the live edge; then it lingers unlisted for a while, because a player may ask for what the
//! playlist it has just read still named. (RFC 8216 §6.2.2 wants it kept for as long as the playlist is; nobody
//! plays that close to the tail for that long, and memory is what an edge has least of.)

use trellis_proto::{Mode, RunId};

use super::{Evicted, LIVE_PARTS_MAX, Run, Timeline};

impl Timeline {
    /// Moves the window to the live edge.
    pub(super) fn slide(&mut self) -> Vec<Evicted> {
        if self.newest().is_none_or(|newest| newest.mode == Mode::Vod) {
            return Vec::new();
        }
        let (listed_from, kept_from) = self.edges();
        self.listed_from = listed_from;
        self.evict_before(kept_from)
    }

    /// The first media sequence numbers to list and to keep.
    ///
    /// What is decided for a segment depends on itself and on what is newer, never on what has been: so a
    /// follower that came late lists what one lists that was there from the start, and nothing ever comes back.
    fn edges(&self) -> (u64, u64) {
        let (mut listed, mut listed_from, mut kept_from) = (true, 0, 0);
        // From the live edge back: how much lies behind each segment's end?
        let (mut behind_us, mut behind_parts, mut behind) = (0u64, 0, 0);
        let newest_first = self.runs.iter().rev().flat_map(|run| run.segments().rev().map(move |s| (run, s)));
        for (run, segment) in newest_first {
            let target_us = 1_000_000 * u64::from(run.catalogue.segment_target_s);
            let listed_us = (1_000_000 * u64::from(run.catalogue.window_s)).max(SEGMENTS_MIN * target_us);
            let kept_us = listed_us.saturating_add(LINGER_TARGETS * target_us);
            let spare = behind >= SEGMENTS_MIN;
            if spare && (behind_us >= kept_us || behind_parts >= LIVE_PARTS_MAX) {
                break;
            }
            listed &= !spare || behind_us < listed_us;
            kept_from = segment.msn;
            if listed {
                listed_from = segment.msn;
            }
            behind_us += segment.duration_us();
            behind_parts += (segment.parts.end - segment.parts.start) as usize;
            behind += u64::from(segment.complete);
        }
        (listed_from, kept_from)
    }

    fn evict_before(&mut self, msn: u64) -> Vec<Evicted> {
        let mut evicted = Vec::new();
        while let Some(run) = self.runs.front_mut() {
            let Some(gone) = pop_while(run, |oldest| oldest < msn) else { break };
            let (id, run_gone) = (run.catalogue.run, run.is_empty());
            evicted.push(Evicted { run_gone, ..gone });
            if !run_gone {
                break;
            }
            self.runs.pop_front();
            self.pass(id);
        }
        evicted
    }

    /// Drops all media known before a jump within `run`, and every other run.
    pub(super) fn forget_media(&mut self, run: RunId) -> Vec<Evicted> {
        let mut evicted = self.drop_runs(|other| other.catalogue.run != run);
        evicted.extend(self.runs.front_mut().and_then(|run| pop_while(run, |_| true)));
        evicted
    }

    /// Drops runs as a whole.
    pub(super) fn drop_runs(&mut self, drop: impl Fn(&Run) -> bool) -> Vec<Evicted> {
        let mut evicted = Vec::new();
        for at in (0..self.runs.len()).rev().filter(|&at| drop(&self.runs[at])).collect::<Vec<_>>() {
            let mut run = self.runs.remove(at).expect("the index comes from the range");
            let gone = pop_while(&mut run, |_| true).unwrap_or_else(|| Evicted::nothing(&run));
            evicted.push(Evicted { run_gone: true, ..gone });
            self.pass(run.catalogue.run);
        }
        evicted.reverse();
        evicted
    }

    /// Remembers that a run is behind us.
    pub(super) fn pass(&mut self, run: RunId) {
        if self.passed.len() == PASSED_MAX {
            self.passed.pop_front();
        }
        self.passed.push_back(run);
    }
}

impl Evicted {
    fn nothing(run: &Run) -> Self {
        let (part, msn) = (run.next_part(), run.next_msn());
        Self { run: run.catalogue.run, parts: part..part, segments: msn..msn, run_gone: false }
    }
}

fn pop_while(run: &mut Run, old: impl Fn(u64) -> bool) -> Option<Evicted> {
    let mut gone: Option<Evicted> = None;
    while run.segments().next().is_some_and(|oldest| old(oldest.msn)) {
        let segment = run.pop_segment()?;
        let (parts, segments) = (segment.parts, segment.msn..segment.msn + 1);
        gone = Some(match gone {
            None => Evicted { run: run.catalogue.run, parts, segments, run_gone: false },
            Some(gone) => {
                Evicted { parts: gone.parts.start..parts.end, segments: gone.segments.start..segments.end, ..gone }
            }
        });
    }
    gone
}

/// RFC 8216bis §6.2.2: a live playlist holds at least three target durations.
const SEGMENTS_MIN: u64 = 3;
/// How long a segment outlives its place in the playlists, in target durations.
const LINGER_TARGETS: u64 = 3;
/// How many runs are remembered after they are gone.
const PASSED_MAX: usize = 64;
