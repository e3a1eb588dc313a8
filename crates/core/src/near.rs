//! What will be needed in a moment?
//!
//! A host of very many peers, as a simulator is, waits for memory most of the time: what one peer has lies far from what
//! another has. It knows some inputs before whose turn comes, so it may ask a peer where the next input will look
//! ([`crate::peer::Peer::glance`]) and have that brought near meanwhile. Nothing is changed by it, and nothing is decided.

/// Brings memory near, if it can.
pub trait Near {
    /// This will be read soon.
    fn near<T>(place: &T);
}
