//! Can a blocking playlist request be answered yet?

use crate::timeline::{State, Timeline};

/// What to do with a request for a playlist that contains a given segment or part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Answer with the playlist as it is.
    Ready,
    /// Hold the request until the timeline changes.
    Wait,
    /// It asks for what no well-behaved player can know of: answer 400.
    TooFar,
}

pub(super) fn decide(timeline: &Timeline, msn: u64, part: Option<u64>) -> Wait {
    if matches!(timeline.state(), State::Ended | State::Vod) {
        return Wait::Ready;
    }
    let first_msn = timeline.newest().map_or(0, |newest| newest.first_msn);
    let Some((last_msn, last_index, complete)) = timeline.last() else {
        return if msn > first_msn + MSN_AHEAD_MAX { Wait::TooFar } else { Wait::Wait };
    };
    let last_complete = if complete { last_msn } else { last_msn.saturating_sub(1) };
    if msn > last_complete.saturating_add(MSN_AHEAD_MAX) {
        return Wait::TooFar;
    }
    let there = match part {
        None => last_complete >= msn,
        // A part beyond the end of a complete segment means the first part of the next one (§6.2.5.2).
        Some(part) => last_msn > msn || last_msn == msn && u64::from(last_index) >= part,
    };
    if there { Wait::Ready } else { Wait::Wait }
}

/// §6.2.5.2: more than two beyond the last media segment is answered with 400.
const MSN_AHEAD_MAX: u64 = 2;
