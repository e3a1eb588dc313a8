//! Which pairs can link? By what each end's network does; a pair that cannot, never can.
//!
//! Peers know only what STUN tells them, their class ([`Nat`]); whether a pair of classes that may work does work is
//! drawn per pair.

use trellis_proto::frame::Nat;

use crate::chance;

/// Does a link between these two come about? The same answer for a pair at any time and from either end.
pub fn links(seed: u64, a: (u32, Nat), b: (u32, Nat)) -> bool {
    let pair = u64::from(a.0.min(b.0)) << 32 | u64::from(a.0.max(b.0));
    chance::unit(chance::mix(seed ^ 0x4e41_5400, pair)) < chance_of(a.1, b.1)
}

/// How likely it is. Two symmetric ends never guess each other's port; a symmetric and a cone end do when the cone
/// does not filter by port, which half of them do; the rest fails now and then for reasons of its own (firewalls,
/// double NAT), as field reports of 8-15 % failures without relays have it.
fn chance_of(a: Nat, b: Nat) -> f64 {
    match (a, b) {
        (Nat::Blocked, _) | (_, Nat::Blocked) | (Nat::Symmetric, Nat::Symmetric) => 0.0,
        (Nat::Symmetric, Nat::Cone) | (Nat::Cone, Nat::Symmetric) => 0.5,
        (Nat::Open, _) | (_, Nat::Open) => 0.98,
        (Nat::Cone, Nat::Cone) => 0.95,
        (Nat::Unknown, _) | (_, Nat::Unknown) => 0.85,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_answer_and_blocked_ends_have_none() {
        let reached = |a, b| (0..10_000).filter(|&i| links(7, (i, a), (i + 1, b))).count();
        assert_eq!(reached(Nat::Blocked, Nat::Open), 0);
        assert!(reached(Nat::Cone, Nat::Symmetric).abs_diff(5_000) < 200);
        assert!(
            (0..1_000).all(|i| links(1, (i, Nat::Cone), (3, Nat::Open)) == links(1, (3, Nat::Open), (i, Nat::Cone)))
        );
    }
}
