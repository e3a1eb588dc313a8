//! Who may say something to whom through the edge? Two viewers that the plan wants linked, and for as long as an attempt
//! takes after it no longer does; what they say holds their addresses, which are nobody else's business.
//!
//! Invariant: a pair says no more than its allowance, both ways together, and only pairs of the plan are remembered.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use trellis_proto::frame::PeerId;

/// The pairs that have talked lately, the lower number first.
#[derive(Default)]
pub struct Signals(HashMap<(PeerId, PeerId), Talk>);

/// What one pair may still say.
struct Talk {
    left: f64,
    at: Instant,
    /// When the plan wanted them linked last, as far as was looked.
    wanted: Instant,
    /// Since then everything was relayed.
    heard: bool,
}

impl Signals {
    /// One says something to another. `wanted`: the plan wants them linked. False: it is not relayed.
    pub fn admits(&mut self, now: Instant, one: PeerId, other: PeerId, wanted: bool) -> bool {
        let pair = (one.min(other), one.max(other));
        if wanted {
            self.0.entry(pair).or_insert(Talk { left: SAVED, at: now, wanted: now, heard: true }).wanted = now;
        }
        let Some(talk) = self.0.get_mut(&pair) else { return false };
        if now > talk.wanted + ATTEMPT {
            talk.heard = false;
            return false;
        }
        let passed = now.saturating_duration_since(talk.at).as_secs_f64();
        (talk.left, talk.at) = ((talk.left + passed * PER_S).min(SAVED), now);
        let admitted = talk.left >= 1.0;
        talk.left -= if admitted { 1.0 } else { 0.0 };
        // When it is planned again, it is tried again.
        talk.heard = admitted && (talk.heard || wanted);
        admitted
    }

    /// One could not be linked to the other: may that be held against anybody? Not when the edge kept back what they said,
    /// for the plan was another one by then, or they had said too much.
    pub fn were_heard(&self, one: PeerId, other: PeerId) -> bool {
        self.0.get(&(one.min(other), one.max(other))).is_some_and(|talk| talk.heard)
    }

    /// Forgets whom it would treat like strangers.
    pub fn tidy(&mut self, now: Instant) {
        self.0.retain(|_, talk| now < talk.at + ATTEMPT + FULL_AGAIN);
    }
}

/// An attempt is over after three seconds; its last words may be under way.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Two attempts of browsers with many addresses: offer, answer and two dozen candidates from each.
const SAVED: f64 = 100.0;
/// An attempt every ten seconds, for long.
const PER_S: f64 = 5.0;
const FULL_AGAIN: Duration = Duration::from_secs((SAVED / PER_S) as u64);

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PeerId = PeerId(1);
    const OTHER: PeerId = PeerId(2);

    #[test]
    fn only_pairs_of_the_plan_talk_and_finish_what_they_began() {
        let (mut signals, now) = (Signals::default(), Instant::now());
        assert!(!signals.admits(now, ONE, OTHER, false));
        assert!(signals.admits(now, ONE, OTHER, true));
        assert!(signals.admits(now + ATTEMPT, OTHER, ONE, false), "the answer comes when the plan is another");
        assert!(!signals.admits(now + ATTEMPT + Duration::from_millis(1), ONE, OTHER, false));
        assert!(!signals.admits(now, ONE, PeerId(3), false));
        signals.tidy(now + 2 * ATTEMPT + FULL_AGAIN);
        assert!(signals.0.is_empty());
    }

    #[test]
    fn who_was_not_heard_is_not_to_blame_for_a_link_that_was_not_made() {
        let (mut signals, now) = (Signals::default(), Instant::now());
        signals.admits(now, ONE, OTHER, false);
        assert!(!signals.were_heard(ONE, OTHER), "the plan was another one already");
        signals.admits(now, ONE, OTHER, true);
        assert!(signals.were_heard(OTHER, ONE));
        let late = now + ATTEMPT + Duration::from_millis(1);
        signals.admits(late, OTHER, ONE, false);
        assert!(!signals.were_heard(ONE, OTHER), "the answer was kept back");
        signals.admits(late, ONE, OTHER, true);
        assert!(signals.were_heard(ONE, OTHER), "it is planned again");
        while signals.admits(late, ONE, OTHER, true) {}
        assert!(!signals.were_heard(ONE, OTHER), "they said too much");
    }

    #[test]
    fn a_pair_has_an_allowance_whoever_speaks_and_is_not_forgotten_before_it_is_whole_again() {
        let (mut signals, now) = (Signals::default(), Instant::now());
        let speaker = |at: usize| if at.is_multiple_of(2) { (ONE, OTHER) } else { (OTHER, ONE) };
        let mut says = |at: usize, now| {
            let (from, to) = speaker(at);
            signals.tidy(now);
            signals.admits(now, from, to, true)
        };
        assert_eq!((0..1_000).filter(|at| says(*at, now)).count(), SAVED as usize);
        let minute = (0..600).filter(|at| says(*at, now + Duration::from_millis(100 * *at as u64))).count();
        assert_eq!(minute, 60 * PER_S as usize - 1);
    }
}
