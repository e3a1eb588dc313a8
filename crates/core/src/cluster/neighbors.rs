//! With whom does a peer gossip? A handful: some near ones, for cheap repair, and some from anywhere, so that the
//! cluster stays in one piece. Of a recording, whom may it ask? Those who have what it needs next: by where everybody
//! plays, which their reports say.

use alloc::vec::Vec;

use trellis_proto::frame::Report;

use super::roster::{Peer, Roster, Slot};
use crate::limits::NEIGHBORS_MAX;
use crate::seeded::Seeded;

/// Below so many, new ones are drawn.
const ENOUGH: usize = 4;
/// So many a newcomer gets.
const WANTED: usize = 5;
/// Of these, so many from near by.
const NEAR: usize = 3;
/// So many are looked at for each.
const TRIES: usize = 4;

/// What a viewer has of a recording without a gap, µs on the run's time line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    from_us: u64,
    until_us: u64,
}

/// Who has less than this beyond what another has does not help it.
const WORTH_US: u64 = 2_000_000;
/// So many are to have what a viewer of a recording needs next.
const AHEAD: usize = 3;
/// So many a viewer serves.
const FOLLOWERS: usize = NEIGHBORS_MAX - AHEAD;

impl Stretch {
    /// As the viewer says.
    pub fn new(report: &Report) -> Self {
        if report.buffer_us == u32::MAX {
            return Self { from_us: 0, until_us: u64::MAX };
        }
        let until_us = report.at_us.saturating_add(report.buffer_us.into());
        let from_us = report.at_us.saturating_sub(report.back_us.into());
        Self { from_us, until_us }
    }

    /// Has it what the other needs next?
    fn leads(&self, other: &Self) -> bool {
        self.from_us <= other.until_us && self.until_us > other.until_us.saturating_add(WORTH_US)
    }
}

/// May one ask the other for what it needs next?
fn leads(leader: &Peer, follower: &Peer) -> bool {
    let stretches = leader.stretch.zip(follower.stretch);
    !leader.receive_only && stretches.is_some_and(|(leader, follower)| leader.leads(&follower))
}

/// Of a recording: whom to add to a viewer's neighbors. Looks at everybody, from a random one on.
pub fn ahead(roster: &Roster, slot: Slot, seeded: &mut Seeded) -> Vec<Slot> {
    let Some(peer) = roster.get(slot).filter(|peer| peer.leaving.is_none()) else { return Vec::new() };
    let of = |peer: &Peer| peer.neighbors.iter().filter_map(|slot| roster.get(*slot)).collect::<Vec<_>>();
    let leaders = of(peer).iter().filter(|other| leads(other, peer)).count();
    let room = AHEAD.saturating_sub(leaders).min(NEIGHBORS_MAX.saturating_sub(peer.neighbors.len()));
    let everybody = roster.present();
    if room == 0 || everybody.is_empty() {
        return Vec::new();
    }
    let takes = |other: &Peer| of(other).iter().filter(|follower| leads(other, follower)).count() < FOLLOWERS;
    let fits = |other: &Slot| {
        let known = *other == slot || peer.neighbors.contains(other);
        let other = roster.get(*other).filter(|other| !known && other.leaving.is_none() && leads(other, peer));
        other.is_some_and(|other| {
            other.neighbors.len() < NEIGHBORS_MAX && peer.distance(other).is_some() && takes(other)
        })
    };
    let first = seeded.below(everybody.len() as u64) as usize;
    let (before, after) = everybody.split_at(first);
    after.iter().chain(before).copied().filter(fits).take(room).collect()
}

/// Of a recording: the neighbors that have nothing for a viewer, nor it for them.
pub fn useless(roster: &Roster, slot: Slot) -> Vec<Slot> {
    let Some(peer) = roster.get(slot) else { return Vec::new() };
    let useless = |other: &Slot| roster.get(*other).is_none_or(|other| !leads(other, peer) && !leads(peer, other));
    peer.neighbors.iter().copied().filter(useless).collect()
}

/// Whom to add to a peer's neighbors.
pub fn choose(roster: &Roster, slot: Slot, seeded: &mut Seeded) -> Vec<Slot> {
    let Some(peer) = roster.get(slot).filter(|peer| peer.neighbors.len() < ENOUGH && peer.leaving.is_none()) else {
        return Vec::new();
    };
    let mut chosen = Vec::new();
    for group in roster.near(&peer.locality) {
        draw(roster, (slot, peer), group, NEAR, &mut chosen, seeded);
    }
    draw(roster, (slot, peer), roster.present(), WANTED - peer.neighbors.len(), &mut chosen, seeded);
    chosen
}

/// Draws from a group until `enough` were chosen.
fn draw(
    roster: &Roster,
    (slot, peer): (Slot, &Peer),
    group: &[Slot],
    enough: usize,
    chosen: &mut Vec<Slot>,
    seeded: &mut Seeded,
) {
    for _ in 0..TRIES * WANTED {
        if chosen.len() >= enough || chosen.len() + peer.neighbors.len() >= WANTED {
            return;
        }
        let other = group[seeded.below(group.len() as u64) as usize];
        let fits = |o: &Peer| {
            o.neighbors.len() < NEIGHBORS_MAX
                && o.leaving.is_none()
                && o.layers & peer.layers != 0
                // Two who give nothing have nothing to say to each other.
                && !(o.receive_only && peer.receive_only)
                && peer.distance(o).is_some()
        };
        let new = other != slot && !chosen.contains(&other) && !peer.neighbors.contains(&other);
        if new && roster.get(other).is_some_and(fits) {
            chosen.push(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(from_s: u64, until_s: u64) -> Stretch {
        Stretch { from_us: from_s * 1_000_000, until_us: until_s * 1_000_000 }
    }

    #[test]
    fn who_is_ahead_and_still_has_it_leads() {
        let me = stretch(0, 60);
        assert!(stretch(30, 90).leads(&me));
        assert!(stretch(60, 63).leads(&me));
        assert!(!stretch(0, 61).leads(&me), "too little to be worth a link");
        assert!(!stretch(61, 90).leads(&me), "it does not have the next second");
        assert!(!me.leads(&stretch(30, 90)));
    }

    #[test]
    fn a_viewer_says_what_it_has() {
        let report = Report { at_us: 50_000_000, back_us: 20_000_000, buffer_us: 10_000_000, ..Report::default() };
        assert_eq!(Stretch::new(&report), stretch(30, 60));
        let all = Stretch::new(&Report { buffer_us: u32::MAX, ..report.clone() });
        assert!(all.leads(&stretch(0, 7_000)) && all.leads(&stretch(0, 0)));
        let early = Stretch::new(&Report { back_us: u32::MAX, at_us: 5, buffer_us: 5, ..report });
        assert_eq!(early, Stretch { from_us: 0, until_us: 10 });
    }
}
