//! Who wants to come in at the same time? Those who just came and give nothing yet, and those who were told to wait, in
//! the order in which they first asked.
//!
//! Bounded: who does not come back within half a minute is forgotten, and of a larger crowd than fits the last are.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use trellis_proto::SessionId;

use super::admission::START_S;
use crate::time::Instant;

/// Newcomers, and the queue before the door.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    came: VecDeque<Instant>,
    /// Its number in the queue, and when it last asked.
    refused: BTreeMap<SessionId, (u64, Instant)>,
    next: u64,
}

/// Longer than anybody is told to wait.
const FORGOTTEN: Duration = Duration::from_secs(40);
/// The queue is never longer.
const REFUSED_MAX: usize = 4_096;

impl Crowd {
    /// Who came lately and gives nothing yet.
    pub fn newcomers(&mut self, now: Instant) -> u64 {
        while self.came.front().is_some_and(|came| now.since(*came) >= Duration::from_secs(START_S)) {
            self.came.pop_front();
        }
        self.came.len() as u64
    }

    /// How many wait before this one.
    pub fn ahead(&self, session: SessionId) -> u64 {
        let own = self.refused.get(&session).map_or(u64::MAX, |(number, _)| *number);
        self.refused.values().filter(|(number, _)| *number < own).count() as u64
    }

    /// It was let in.
    pub fn admit(&mut self, now: Instant, session: SessionId) {
        self.refused.remove(&session);
        self.came.push_back(now);
    }

    /// It was told to wait.
    pub fn refuse(&mut self, now: Instant, session: SessionId) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, (_, asked)| now.since(*asked) < FORGOTTEN);
        }
        if let Some((_, asked)) = self.refused.get_mut(&session) {
            *asked = now;
        } else if self.refused.len() < REFUSED_MAX {
            self.refused.insert(session, (self.next, now));
            self.next += 1;
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) {
        self.refused.retain(|_, (_, asked)| now.since(*asked) < FORGOTTEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_are_new_for_two_seconds_and_the_refused_keep_their_turn_until_they_are_in_or_stay_away() {
        let (mut crowd, session) = (Crowd::default(), |n| SessionId([n; 16]));
        let at = |s: u64| Instant(s * 1_000_000);
        (0..3).for_each(|n| crowd.admit(at(n), session(n as u8)));
        assert_eq!((crowd.newcomers(at(2)), crowd.newcomers(at(3)), crowd.newcomers(at(9))), (2, 1, 0));
        (5..8).for_each(|n| crowd.refuse(at(3), session(n)));
        crowd.refuse(at(20), session(7));
        assert_eq!([5, 6, 7, 9].map(|n| crowd.ahead(session(n))), [0, 1, 2, 3]);
        crowd.admit(at(21), session(5));
        assert_eq!((crowd.ahead(session(7)), crowd.ahead(session(9))), (1, 2));
        crowd.tick(at(45));
        assert_eq!(crowd.ahead(session(9)), 1, "the one that came back");
    }
}
