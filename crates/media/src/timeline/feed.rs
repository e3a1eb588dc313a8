//! Which signed message does a follower need next?
//!
//! The order of a feed is, run by run: catalogue, descriptors by part, run end if there was one. A follower
//! that was overtaken by the window goes on at its start; it knows how to take the jump.

use std::collections::VecDeque;

use bytes::Bytes;
use trellis_proto::{EndReason, RunId};

use super::Run;

/// How far one follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Place);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Has nothing that is known here.
    Start,
    /// Has the run's catalogue and all parts before `next`; `told`: its end as well, as this.
    Within { run: RunId, next: u64, told: Option<EndReason> },
}

impl Cursor {
    /// A follower that has everything up to and including part `after` of a run, or nothing.
    pub fn new(after: Option<(RunId, u64)>) -> Self {
        Self(match after {
            None => Place::Start,
            Some((run, part)) => Place::Within { run, next: part.saturating_add(1), told: None },
        })
    }

    /// One who has all of a run before this part, its catalogue at least.
    pub(super) fn before(run: RunId, next: u64) -> Self {
        Self(Place::Within { run, next, told: None })
    }
}

pub(super) fn next(runs: &VecDeque<Run>, cursor: &mut Cursor) -> Option<Bytes> {
    let Place::Within { run: id, next, told } = cursor.0 else { return enter(runs.front()?, cursor) };
    let Some(at) = runs.iter().position(|run| run.catalogue.run == id) else {
        return enter(runs.front()?, cursor);
    };
    let run = &runs[at];
    let next = next.max(run.first_part());
    if let Some(signed) = run.signed_part(next) {
        cursor.0 = Place::Within { run: id, next: next + 1, told };
        return Some(signed.clone());
    }
    match &run.end {
        // A pause may turn into an end: whoever heard of the one must hear of the other.
        Some((end, signed)) if told != Some(end.reason) => {
            cursor.0 = Place::Within { run: id, next, told: Some(end.reason) };
            Some(signed.clone())
        }
        _ => enter(runs.get(at + 1)?, cursor),
    }
}

fn enter(run: &Run, cursor: &mut Cursor) -> Option<Bytes> {
    cursor.0 = Place::Within { run: run.catalogue.run, next: run.first_part(), told: None };
    Some(run.signed.clone())
}
