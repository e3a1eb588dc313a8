//! How many of a substream's viewers does the edge serve itself? Few enough to cost little, enough that the tree is
//! shallow and one root's departure hurts few, and as many as peers have no room for.

/// What is known of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Who wants this substream.
    pub members: u64,
    /// Who can take it from nobody but the edge.
    pub alone: u64,
    /// How many children peers may have in it.
    pub quota: u64,
}

/// A tree of many has at least so many roots, so that one's departure does not leave everybody without.
const ROOTS_MIN: u64 = 2;
/// Fewer are a handful that the edge can help at once: a second root would cost it more than it saves anybody.
const MANY: u64 = 25;
/// Roots per thousand viewers: with start-up and rescue it stays below 2 % of what is watched.
const ROOTS_PER_THOUSAND: u64 = 9;

/// The wanted number of the edge's children in a tree, for whom it has `slots`.
pub fn roots(tree: Tree, slots: u64) -> u64 {
    // On a small edge the slots that are not needed carry key frames, which are three times the mean.
    let least = if tree.members < MANY { 1 } else { ROOTS_MIN };
    let wanted = (tree.members * ROOTS_PER_THOUSAND).div_ceil(1000).max(least).min((slots / 2).max(1));
    let lacking = tree.members.saturating_sub(tree.quota);
    // Who can take from nobody else is no root, and takes no root's place.
    (wanted + tree.alone).max(lacking).min(tree.members.max(1)).min(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_roots_when_peers_have_room_more_when_they_have_not_and_never_more_than_the_edge_has() {
        let with = |members, alone, quota, slots| roots(Tree { members, alone, quota }, slots);
        let roots = |members, quota, slots| with(members, 0, quota, slots);
        assert_eq!([roots(30, 60, 100), roots(1_000, 2_000, 100), roots(10_000, 20_000, 100)], [2, 9, 50]);
        assert_eq!([roots(10_000, 20_000, 1_000), roots(1_000, 800, 300), roots(1_000, 0, 70)], [90, 200, 70]);
        assert_eq!([roots(2, 4, 100), roots(24, 48, 100)], [1, 1], "two tabs side by side: one feeds the other");
        assert_eq!([with(1_000, 50, 2_000, 100), with(1_000, 50, 800, 300), with(90, 80, 9, 40)], [59, 200, 40]);
        assert_eq!([roots(8, 16, 2), roots(8, 6, 2), roots(0, 0, 50), roots(9, 9, 0)], [1, 2, 1, 0]);
    }
}
