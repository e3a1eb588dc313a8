//! What does the process itself do, when nobody knows a formula? The seven steps of the paper, request by request: Poisson
//! arrivals, whole numbers of bit/s, and of this crate's closed forms none. It confronts them ([`crate::Growth`] and its
//! kin), so it must not use them.
//!
//! 1, 2. A request comes to a cluster. 3. If its supporting peers have room, they serve it. 4. Else, if its server has, that
//! does. 5. Who has seen all supports that cluster: for ever, or for an exponential time. 6. If the cluster has no room,
//! another one may; of several, the one with the most. 7. Who finds none is refused, and does not come again.
//!
//! Or, instead of 5, as live: who watches supports as well, from some age on and until it leaves ([`crate::Live`]).
//!
//! Time is in intervals of L. When supporters leave, sessions they carried move to the server if it has room; the others
//! are interrupted, any of them with the same chance, and support nobody. The same seed gives the same run on every
//! machine.
//!
//! Invariants: no pool carries more than it has, and nothing is carried for nobody.

mod course;
mod pool;
mod run;
mod runs;
mod spread;

pub use course::{Course, Run, Tally};
pub use runs::{Summary, TallySummary};
pub use spread::Spread;

use crate::clusters::Site;
use crate::{Bps, InputError, Lengths, Offer, Seconds, Sharing};

/// What is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// B and λ of each cluster; at most [`CLUSTERS_MAX`], and not all with λ = 0.
    pub sites: Vec<Site>,
    /// β: what a session takes.
    pub session: Bps,
    /// α: what a supporting peer gives.
    pub support: Bps,
    /// L: how long a session lasts, on average; the interval.
    pub length: Seconds,
    /// How session lengths are distributed.
    pub lengths: Lengths,
    /// V: how long a supporter lingers on average, exponentially; None is for ever.
    pub linger: Option<Seconds>,
    /// w: from which age on viewers support while they watch, and not after it; None is step 5, only after it.
    pub warm_up: Option<Seconds>,
    /// Who may serve one session.
    pub sharing: Sharing,
    /// Step 6.
    pub redirect: bool,
    /// How many intervals.
    pub intervals: u32,
    /// Into how many bins of time an interval is cut in what comes out.
    pub bins: u32,
}

impl Setup {
    /// One cluster of the paper: sessions of one length, either server or peers, supporters who stay, fifty bins.
    /// ```
    /// use trellis_model::{Bps, Offer, PerSecond, Seconds, event::Setup};
    /// let rate = Bps::new(1e6)?;
    /// let offer = Offer {
    ///     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// };
    /// assert_eq!(Setup::new(offer, 5).sites.len(), 1);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn new(offer: Offer, intervals: u32) -> Self {
        Self {
            sites: vec![Site { server: offer.server, arrivals: offer.arrivals }],
            session: offer.session,
            support: offer.support,
            length: offer.length,
            lengths: Lengths::Fixed,
            linger: None,
            warm_up: None,
            sharing: Sharing::Strict,
            redirect: false,
            intervals,
            bins: 50,
        }
    }
}

/// A setup that was checked, in the units of the simulation.
#[derive(Debug, Clone)]
pub struct Process {
    clusters: Vec<Cluster>,
    session_bps: u64,
    support_bps: u64,
    lengths: Lengths,
    /// In intervals.
    linger: Option<f64>,
    /// In intervals.
    warm_up: Option<f64>,
    sharing: Sharing,
    redirect: bool,
    intervals: u32,
    bins: u32,
}

/// A cluster's own.
#[derive(Debug, Clone, Copy)]
struct Cluster {
    server_bps: u64,
    /// Requests per interval.
    arrivals: f64,
}

impl Process {
    /// Checks that there is something to simulate, and not too much: at most [`REQUESTS_MAX`] requests on average, and
    /// [`TALLIES_MAX`] bins of all clusters together.
    /// ```
    /// use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup}};
    /// let rate = Bps::new(1e6)?;
    /// let offer = Offer {
    ///     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// };
    /// assert!(Process::new(Setup::new(offer, 5)).is_ok());
    /// let endless = Process::new(Setup::new(offer, u32::MAX)).unwrap_err();
    /// assert_eq!(endless.to_string(), "the requests (λL times intervals) must be at most 50000000");
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn new(setup: Setup) -> Result<Self, InputError> {
        let length_s = setup.length.positive("the session's length (L)")?;
        let linger = setup.linger.map(|linger| linger.positive("the mean linger (V)")).transpose()?;
        let cluster = |site: &Site| Cluster {
            server_bps: site.server.get().round() as u64,
            arrivals: site.arrivals.get() * length_s,
        };
        let process = Self {
            clusters: setup.sites.iter().map(cluster).collect(),
            session_bps: setup.session.get().round() as u64,
            support_bps: setup.support.get().round() as u64,
            lengths: setup.lengths,
            linger: linger.map(|linger| linger / length_s),
            warm_up: setup.warm_up.map(|warm_up| warm_up.get() / length_s),
            sharing: setup.sharing,
            redirect: setup.redirect,
            intervals: setup.intervals,
            bins: setup.bins,
        };
        process.check().map(|()| process)
    }

    fn check(&self) -> Result<(), InputError> {
        let requests = self.arrivals() * f64::from(self.intervals);
        let tallies = self.clusters.len() as f64 * f64::from(self.intervals) * f64::from(self.bins);
        let server = self.clusters.iter().map(|cluster| cluster.server_bps).max();
        let peer = self.session_bps.max(self.support_bps);
        match () {
            _ if self.clusters.is_empty() => Err(InputError::Empty("the clusters")),
            _ if self.clusters.len() > CLUSTERS_MAX as usize => Err(InputError::TooMuch("the clusters", CLUSTERS_MAX)),
            _ if self.linger.is_some() && self.warm_up.is_some() => {
                Err(InputError::Order("the linger (V)", "left out when viewers support while they watch"))
            }
            _ if self.session_bps == 0 => Err(InputError::Zero("the session's bandwidth (β), in whole bit/s,")),
            _ if peer > PEER_BPS_MAX => Err(InputError::TooMuch("a peer's bandwidth (α, β)", PEER_BPS_MAX)),
            _ if server > Some(SERVER_BPS_MAX) => Err(InputError::TooMuch("a server's bandwidth (B)", SERVER_BPS_MAX)),
            _ if requests == 0.0 => Err(InputError::Zero("the requests (λL times intervals)")),
            _ if requests > REQUESTS_MAX as f64 => {
                Err(InputError::TooMuch("the requests (λL times intervals)", REQUESTS_MAX))
            }
            _ if tallies == 0.0 => Err(InputError::Zero("the bins per interval")),
            _ if tallies > TALLIES_MAX as f64 => {
                Err(InputError::TooMuch("the bins (of all intervals and clusters)", TALLIES_MAX))
            }
            () => Ok(()),
        }
    }

    /// Requests per interval, of all clusters.
    fn arrivals(&self) -> f64 {
        self.clusters.iter().map(|cluster| cluster.arrivals).sum()
    }
}

/// More clusters than this are not simulated together.
pub const CLUSTERS_MAX: u64 = 1024;
/// Some minutes of one processor.
pub const REQUESTS_MAX: u64 = 50_000_000;
/// Some tens of megabytes; of all runs together, twenty times that.
pub const TALLIES_MAX: u64 = 1_000_000;
/// So that no sum of what peers give leaves 64 bits: less than 2^63 divided by [`REQUESTS_MAX`].
const PEER_BPS_MAX: u64 = 100_000_000_000;
/// The rest of them.
const SERVER_BPS_MAX: u64 = 1 << 62;
