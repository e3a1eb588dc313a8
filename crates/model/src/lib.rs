//! What can a cluster be expected to do, and what can nobody do better? The analytical model of Peer-Server-Peer
//! streaming, and the known bounds of live streaming with help of the viewers.
//!
//! Equation numbers in parentheses are those of the paper *Peer-Server-Peer* (GLOBECOM 2007); where the paper's formula
//! had to be derived anew, its number stands for the derived one. Everything is plain arithmetic: checked numbers in,
//! numbers out; no clock, no state.
//!
//! Letters, as in the paper: B what the server can send, β what a viewer takes, α what a supporting peer gives, λ arrivals
//! per second, L how long a session lasts, a = λL sessions offered per interval, D = λLβ the bandwidth they ask for,
//! g = 1 + α/β. The growth formulas count time in intervals of L.
//!
//! | question | where |
//! |---|---|
//! | when does the server fill up, when is everybody served, how many support by then? | [`Growth`] |
//! | what happens interval by interval, exactly? | [`Fluid`], [`WholeSessions`] |
//! | how fast can a live stream be, what must the server send? | [`bounds`] |
//! | how late must the last peer's chunk be? | [`delay`] |
//! | how many viewers can a live cluster admit, and how soon? | [`Live`] |

pub mod bounds;
pub mod delay;
mod fluid;
mod growth;
mod live;
mod quantity;

pub use fluid::{Fluid, Interval, Sharing, WholeSessions};
pub use growth::{Growth, Offer};
pub use live::{Live, Stay};
pub use quantity::{Bits, Bps, InputError, PerSecond, Seconds, Share};
