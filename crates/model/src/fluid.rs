//! What happens interval by interval? The recursions behind the closed forms, one for flows and three for whole sessions.

use std::num::NonZeroU64;

use crate::Growth;

/// The fluid recursion, exact when sessions last exactly one interval: S' = S + a·c, c = min(1, (B + αS)/D). In interval
/// k all requests are accepted until k + c, and all after that refused. It never ends.
#[derive(Debug, Clone, Copy)]
pub struct Fluid {
    growth: Growth,
    number: u32,
    supporters: f64,
}

/// One interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// k, from 0.
    pub number: u32,
    /// S: supporting peers in it.
    pub supporters: f64,
    /// B + αS, bit/s.
    pub capacity_bps: f64,
    /// c: which share of its requests is served: the first ones.
    pub served: f64,
    /// R = 1 − c.
    pub rejected: f64,
}

impl Fluid {
    /// From an empty cluster.
    /// ```
    /// use trellis_model::{Bps, Fluid, Growth, Offer, PerSecond, Seconds};
    /// let growth = Growth::new(Offer {
    ///     server: Bps::new(125e6)?, session: Bps::new(1e6)?, support: Bps::new(1e6)?,
    ///     arrivals: PerSecond::new(0.5)?, length: Seconds::new(2000.0)?,
    /// })?;
    /// let rejected: Vec<f64> = Fluid::new(growth).take(4).map(|interval| interval.rejected).collect();
    /// assert_eq!(rejected, [0.875, 0.75, 0.5, 0.0]);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn new(growth: Growth) -> Self {
        Self { growth, number: 0, supporters: 0.0 }
    }
}

impl Iterator for Fluid {
    type Item = Interval;

    fn next(&mut self) -> Option<Interval> {
        let (number, supporters, served) = (self.number, self.supporters, self.growth.served(self.supporters));
        self.supporters += self.growth.offered_sessions() * served;
        self.number = self.number.checked_add(1)?;
        let capacity_bps = self.growth.capacity_beside(supporters);
        Some(Interval { number, supporters, capacity_bps, served, rejected: 1.0 - served })
    }
}

/// Who may serve one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Server and peers together: S' = S + ⌊(B + αS)/β⌋.
    Mixed,
    /// Only the server, or only peers, as steps 3 and 4 of the paper have it: S' = S + ⌊B/β⌋ + ⌊αS/β⌋.
    Strict,
    /// The server, or peers that serve nobody else: S' = S + ⌊B/β⌋ + S⌊α/β⌋, or ⌊S/⌈β/α⌉⌋ when α < β.
    Integral,
}

/// The recursion in whole sessions: how many supporting peers there are in each interval while more is asked for than
/// there is. It never ends, but stops growing at 2^64.
#[derive(Debug, Clone, Copy)]
pub struct WholeSessions {
    server_bps: u64,
    session_bps: NonZeroU64,
    support_bps: u64,
    sharing: Sharing,
    supporters: u64,
}

impl WholeSessions {
    /// From an empty cluster: B, β and α in bit/s.
    /// ```
    /// use trellis_model::{Sharing, WholeSessions};
    /// let session = 1_000_000.try_into()?;
    /// let supporters: Vec<u64> = WholeSessions::new(2_500_000, session, 400_000, Sharing::Mixed).take(4).collect();
    /// assert_eq!(supporters, [0, 2, 5, 9]);
    /// let supporters: Vec<u64> = WholeSessions::new(2_500_000, session, 400_000, Sharing::Integral).take(4).collect();
    /// assert_eq!(supporters, [0, 2, 4, 7]);
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    pub fn new(server_bps: u64, session_bps: NonZeroU64, support_bps: u64, sharing: Sharing) -> Self {
        Self { server_bps, session_bps, support_bps, sharing, supporters: 0 }
    }

    /// Sessions that `bps` and S peers can serve in one interval.
    fn sessions(&self) -> u128 {
        let (server, session) = (u128::from(self.server_bps), u128::from(self.session_bps.get()));
        let (support, peers) = (u128::from(self.support_bps), u128::from(self.supporters));
        let pool = support * peers;
        match self.sharing {
            Sharing::Mixed => pool.saturating_add(server) / session,
            Sharing::Strict => server / session + pool / session,
            Sharing::Integral if support >= session => server / session + peers * (support / session),
            Sharing::Integral if support == 0 => server / session,
            Sharing::Integral => server / session + peers / session.div_ceil(support),
        }
    }
}

impl Iterator for WholeSessions {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let supporters = self.supporters;
        let more = u64::try_from(self.sessions()).unwrap_or(u64::MAX);
        self.supporters = supporters.saturating_add(more);
        Some(supporters)
    }
}
