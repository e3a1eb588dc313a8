//! How do a joiner's first parts come? From the edge at once while its start-up share lasts; else through the trees and
//! from neighbors, which takes longer, and the joiner is told so: then the edge sends each past chunk once or a few times
//! instead of to everybody.

use core::time::Duration;

/// What a first fill is, and what there is for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// Bits of the parts from the newest key frame on, of what the joiner watches.
    pub past_bits: u64,
    /// Bits the edge has for first fills and has promised to nobody.
    pub saved_bits: u64,
    /// Who is here and can pass something on.
    pub viewers: u64,
}

/// What the joiner is told, and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// When it starts to play, from its welcome on.
    pub after: Duration,
    /// What the edge will send of its fill.
    pub edge_bits: u64,
}

/// Decides.
pub fn start(s: Situation) -> Start {
    if s.past_bits <= s.saved_bits / PER_JOINER {
        return Start { after: AT_ONCE, edge_bits: s.past_bits };
    }
    Start { after: BY_MESH, edge_bits: s.past_bits / (1 + s.viewers).min(SHARED_BY) }
}

/// As fast as the edge can be asked and answer.
const AT_ONCE: Duration = Duration::from_millis(300);
/// Links need some round trips to stand, and each hop passes on what came.
const BY_MESH: Duration = Duration::from_millis(1_400);
/// One joiner gets at most such a part of what is saved: others come in the same second.
const PER_JOINER: u64 = 8;
/// Of what the mesh brings this part still comes from the edge: to roots, and to those whose links fail.
const SHARED_BY: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_fills_at_once_while_it_can_and_then_a_share_of_what_the_mesh_brings() {
        let plenty = Situation { past_bits: 4_000_000, saved_bits: 100_000_000, viewers: 500 };
        assert_eq!(start(plenty), Start { after: AT_ONCE, edge_bits: 4_000_000 });
        let short = Situation { saved_bits: 31_000_000, ..plenty };
        assert_eq!(start(short), Start { after: BY_MESH, edge_bits: 500_000 });
        assert_eq!(start(Situation { viewers: 0, ..short }).edge_bits, 4_000_000, "the first has nobody to share with");
        assert_eq!(start(Situation { viewers: 1, ..short }).edge_bits, 2_000_000);
        assert_eq!(start(Situation { past_bits: 0, saved_bits: 0, viewers: 0 }).after, AT_ONCE, "nothing to fill");
    }
}
