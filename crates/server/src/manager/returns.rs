//! Who says that its edge was lost is spared the wait of newcomers, and shows a ticket for it. How many of those can an edge
//! have lost? Not many more than watched there: tickets that were hoarded are worth no more than that.
//!
//! Invariant: of each edge no more come back within [`WINDOW`] than [`allowed`] of those who watched there lately. Edges are
//! known from beats, or from tickets the manager signed; those that were not heard of for long are forgotten.

use std::collections::HashMap;
use std::time::Duration;

use trellis_core::time::Instant;

/// By edge.
#[derive(Default)]
pub struct Returns(HashMap<String, Lost>);

struct Lost {
    /// When the window began.
    since: Instant,
    came: u32,
    /// The most viewers in this window, and in the last one with a beat.
    most: u32,
    before: u32,
    /// When it was heard of last.
    heard: Instant,
}

impl Returns {
    /// An edge has so many viewers.
    pub fn on_beat(&mut self, now: Instant, edge: &str, viewers: u32) {
        let lost = self.lost(now, edge);
        if now.since(lost.since) >= WINDOW {
            (lost.before, lost.most, lost.since, lost.came) = (lost.most, 0, now, 0);
        }
        lost.most = lost.most.max(viewers);
        lost.heard = now;
    }

    /// One more says that it watched there. False: no more than that can have.
    pub fn admits(&mut self, now: Instant, edge: &str) -> bool {
        let lost = self.lost(now, edge);
        if now.since(lost.since) >= WINDOW {
            (lost.since, lost.came) = (now, 0);
        }
        let admitted = lost.came < allowed(lost.most.max(lost.before));
        lost.came += u32::from(admitted);
        admitted
    }

    fn lost(&mut self, now: Instant, edge: &str) -> &mut Lost {
        if !self.0.contains_key(edge) {
            self.0.retain(|_, lost| now.since(lost.heard) < KEPT);
            self.0.insert(edge.to_owned(), Lost { since: now, came: 0, most: 0, before: 0, heard: now });
        }
        self.0.get_mut(edge).expect("it was just put there")
    }
}

/// Everybody may have to try twice; and somebody watches at an edge that has just begun to count.
fn allowed(viewers: u32) -> u32 {
    viewers.saturating_mul(2).saturating_add(SOME)
}

const SOME: u32 = 8;
/// Longer than it takes the viewers of a lost edge to come back.
const WINDOW: Duration = Duration::from_secs(60);
/// So long after its last beat there is nobody left who could have lost it.
const KEPT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant(s * 1_000_000)
    }

    fn come(returns: &mut Returns, s: u64, tries: usize) -> usize {
        (0..tries).filter(|_| returns.admits(at(s), "e")).count()
    }

    #[test]
    fn no_more_come_back_from_an_edge_than_can_have_been_there() {
        let mut returns = Returns::default();
        (0..100).for_each(|s| returns.on_beat(at(s), "e", if s < 50 { 100 } else { 10 }));
        // It restarts, and counts from nothing.
        returns.on_beat(at(100), "e", 0);
        assert_eq!(come(&mut returns, 100, 1_000), 208);
        assert_eq!(come(&mut returns, 119, 1_000), 0);
        assert_eq!(come(&mut returns, 160, 1_000), 208, "silent since: who was there is still to come");
        (161..300).for_each(|s| returns.on_beat(at(s), "e", 1));
        assert_eq!(come(&mut returns, 300, 1_000), 10);
        assert!(returns.admits(at(300), "of before the manager's restart"));
        returns.on_beat(at(1_000), "f", 1);
        assert_eq!(returns.0.len(), 1, "what was not heard of for long is forgotten");
    }
}
