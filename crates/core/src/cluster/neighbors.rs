//! With whom does a peer gossip? A handful: some near ones, for cheap repair, and some from anywhere, so that the
//! cluster stays in one piece.

use alloc::vec::Vec;

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
                && peer.distance(o).is_some()
        };
        let new = other != slot && !chosen.contains(&other) && !peer.neighbors.contains(&other);
        if new && roster.get(other).is_some_and(fits) {
            chosen.push(other);
        }
    }
}
