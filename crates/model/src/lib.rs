//! What can a cluster be expected to do, and what can nobody do better? The analytical model of Peer-Server-Peer
//! streaming, and the known bounds of live streaming with help of the viewers.
//!
//! Equation numbers in parentheses are those of the paper *Peer-Server-Peer* (GLOBECOM 2007); where the paper's formula
//! had to be derived anew, its number stands for the derived one. Everything is plain arithmetic: checked numbers in,
//! numbers out; no clock, and chance only from a seed.
//!
//! Letters, as in the paper: B what the server can send, β what a viewer takes, α what a supporting peer gives, λ arrivals
//! per second, L how long a session lasts, a = λL sessions offered per interval, D = λLβ the bandwidth they ask for,
//! g = 1 + α/β. The growth formulas count time in intervals of L.
//!
//! | question | where |
//! |---|---|
//! | when does the server fill up, when is everybody served, how many support by then? | [`Growth`] |
//! | what happens interval by interval, exactly? | [`Fluid`], [`WholeSessions`] |
//! | who carries the load at which time, who is refused, what does the clock show? | [`Growth`], [`Stage`] |
//! | what if sessions differ in length, supporters leave, arrivals change? | [`ExponentialLengths`], [`Leaving`], [`Lingering`], [`saturation`] |
//! | what of several clusters, or files? | [`clusters`], [`files`] |
//! | what must a server send of layered media? | [`layered`] |
//! | what do an edge's counters say of a running cluster, how surely, and what will come of it? | [`estimate`], [`forecast`] |
//! | what does the process do, request by request, without any formula? | [`event`] |
//! | how much headroom do fluctuations need? | [`erlang`] |
//! | how fast can a live stream be, what must the server send? | [`bounds`] |
//! | how late must the last peer's chunk be? | [`delay`] |
//! | how probably does everybody get all of a live stream? | [`universal`] |
//! | how many viewers can a live cluster admit, and how soon? | [`Live`] |
//! | what does an event need? | [`plan`] |

/// A statement about the cluster P6 of the vectors that holds.
macro_rules! example {
    ($statement:literal) => {
        concat!(
            "```\n# use trellis_model::*;\n# let growth = Growth::new(Offer { server: Bps::new(125e6)?,\n",
            "#     session: Bps::new(1e6)?, support: Bps::new(1e6)?, arrivals: PerSecond::new(0.5)?,\n",
            "#     length: Seconds::new(2000.0)? })?;\nassert!(",
            $statement,
            ");\n# Ok::<(), InputError>(())\n```"
        )
    };
}

pub mod bounds;
mod chance;
mod churn;
pub mod clusters;
pub mod delay;
pub mod erlang;
pub mod estimate;
pub mod event;
pub mod files;
mod fluid;
pub mod forecast;
mod growth;
pub mod layered;
mod lengths;
mod live;
pub mod plan;
mod quantity;
pub mod saturation;
mod stages;
pub mod universal;

pub use churn::{Leaving, Lingering};
pub use fluid::{Fluid, Interval, Sharing, WholeSessions};
pub use growth::{Growth, Offer};
pub use lengths::{ExponentialLengths, Lengths};
pub use live::{Live, Stay};
pub use quantity::{Bits, Bps, InputError, PerSecond, Seconds, Share};
pub use stages::{Chance, Stage};
