//! How many of a substream's viewers does the edge serve itself? Few enough to cost little, enough that the tree is
//! shallow and one root's departure hurts few, and as many as peers have no room for.

/// What is known of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Who wants this substream.
    pub members: u64,
    /// How many children peers may have in it.
    pub quota: u64,
}

/// A tree has at least so many roots, so that one's departure does not leave everybody without.
const ROOTS_MIN: u64 = 2;
/// Roots per thousand viewers: with start-up and rescue it stays below 2 % of what is watched.
const ROOTS_PER_THOUSAND: u64 = 8;

/// The wanted number of roots of a tree, of whom the edge has `slots` for it.
pub fn roots(tree: Tree, slots: u64) -> u64 {
    let wanted = (tree.members * ROOTS_PER_THOUSAND).div_ceil(1000).max(ROOTS_MIN);
    let lacking = tree.members.saturating_sub(tree.quota);
    wanted.max(lacking).min(tree.members.max(1)).min(slots)
}
