//! When is everybody served? The closed forms of a cluster whose viewers support it once they have seen all.
//!
//! A request that finds no bandwidth is refused; a session lasts one interval and then supports for ever. So capacity
//! grows like compound interest, by g = 1 + α/β in each interval, until it meets demand; from then on it grows by what
//! comes in. Exact in the fluid limit when an interval is taken as a whole; what happens inside is in
//! [`crate::Fluid`].
//!
//! Conventions: B ≥ D means the server alone suffices (t_0 = ∞, t_g = 0). B < D with B = 0 or α = 0 never grows enough
//! (t_g = ∞). Nobody asking (λ = 0) is no cluster, and an error.
//!
//! t_g < t_0 is possible: B·g ≥ D long before the clock shows it. Then K = 1, and R(t) of (13), which is the paper's
//! continuation between whole intervals, is 0 throughout. Requests are refused all the same, from t_0 to the end of
//! interval 0: the server is full then, and nobody has seen all before that end. [`Growth::intervals`],
//! [`Growth::is_refused`] and [`Growth::is_guaranteed`] say so.

use crate::{Bps, InputError, PerSecond, Seconds};

/// What there is and what is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// B: what the server can send.
    pub server: Bps,
    /// β: what a session takes.
    pub session: Bps,
    /// α: what a supporting peer gives.
    pub support: Bps,
    /// λ: requests.
    pub arrivals: PerSecond,
    /// L: how long a session lasts; the interval.
    pub length: Seconds,
}

/// The closed forms for one cluster.
/// ```
/// use trellis_model::{Bps, Growth, Offer, PerSecond, Seconds};
/// let growth = Growth::new(Offer {
///     server: Bps::new(125e6)?, session: Bps::new(1e6)?, support: Bps::new(1e6)?,
///     arrivals: PerSecond::new(0.5)?, length: Seconds::new(2000.0)?,
/// })?;
/// assert_eq!((growth.saturation_s(), growth.first_full_interval()), (250.0, Some(3)));
/// # Ok::<(), trellis_model::InputError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    pub(crate) server_bps: f64,
    pub(crate) session_bps: f64,
    pub(crate) support_bps: f64,
    pub(crate) arrivals_per_s: f64,
    pub(crate) interval_s: f64,
}

impl Growth {
    /// Checks that there are requests, of some length and bandwidth, and that nothing of it leaves the range of numbers.
    /// ```
    /// use trellis_model::{Bps, Growth, InputError, Offer, PerSecond, Seconds};
    /// let (some, none) = (Bps::new(1e6)?, Bps::new(0.0)?);
    /// let (arrivals, length) = (PerSecond::new(1.0)?, Seconds::new(60.0)?);
    /// let nothing = Offer { server: some, session: none, support: some, arrivals, length };
    /// assert_eq!(Growth::new(nothing), Err(InputError::Zero("the session's bandwidth (β)")));
    /// # Ok::<(), InputError>(())
    /// ```
    pub fn new(offer: Offer) -> Result<Self, InputError> {
        let growth = Self {
            server_bps: offer.server.get(),
            session_bps: offer.session.positive("the session's bandwidth (β)")?,
            support_bps: offer.support.get(),
            arrivals_per_s: offer.arrivals.positive("the arrivals (λ)")?,
            interval_s: offer.length.positive("the session's length (L)")?,
        };
        // Each may be a number, and what they make together none. Capacity at K is at most D·g, S at most that over α.
        let some = |number: f64, what| {
            Bps::new(number).and_then(|number| number.positive(what)).map_err(|error| error.of(what))
        };
        some(growth.offered_sessions(), "the requests per interval (λL)")?;
        some(growth.demand_bps(), "the demand (λLβ)")?;
        some(growth.demand_bps() * growth.factor(), "what a peer gives (α), beside what a session takes (β),")?;
        some(1.0 + growth.server_bps / growth.session_bps, "the server's bandwidth (B), in sessions of β,")?;
        Ok(growth)
    }

    /// a = λL: sessions offered per interval, which is also how many would run at once (Little).
    #[doc = example!("growth.offered_sessions() == 1000.0")]
    pub fn offered_sessions(&self) -> f64 {
        self.arrivals_per_s * self.interval_s
    }

    /// D = λLβ: what all of them take, bit/s.
    #[doc = example!("growth.demand_bps() == 1e9")]
    pub fn demand_bps(&self) -> f64 {
        self.offered_sessions() * self.session_bps
    }

    /// g = 1 + α/β: what capacity is multiplied by in an interval.
    #[doc = example!("growth.factor() == 2.0")]
    pub fn factor(&self) -> f64 {
        1.0 + self.support_bps / self.session_bps
    }

    /// t_0 = B/D: when the server is full, in intervals; ∞ if never.
    #[doc = example!("growth.saturation_intervals() == 0.125")]
    pub fn saturation_intervals(&self) -> f64 {
        if self.server_suffices() { f64::INFINITY } else { self.server_bps / self.demand_bps() }
    }

    /// t_0 in seconds: B/(λβ).
    #[doc = example!("growth.saturation_s().round() == 250.0")]
    pub fn saturation_s(&self) -> f64 {
        self.saturation_intervals() * self.interval_s
    }

    /// (9) t_g = (lg D − lg B) / lg g: when capacity meets demand, in intervals; ∞ if never.
    #[doc = example!("(growth.guarantee_intervals() - 3.0).abs() < 1e-9")]
    pub fn guarantee_intervals(&self) -> f64 {
        if self.server_suffices() {
            0.0
        } else {
            -self.saturation_intervals().ln() / (self.support_bps / self.session_bps).ln_1p()
        }
    }

    /// (9) in seconds. The last refusal comes later, at [`Self::first_full_interval`].
    #[doc = example!("(growth.guarantee_s() - 6000.0).abs() < 1e-5")]
    pub fn guarantee_s(&self) -> f64 {
        self.guarantee_intervals() * self.interval_s
    }

    /// K = ⌈t_g⌉: the first interval in which nobody is refused; None if there is none (or none within 2^32).
    #[doc = example!("growth.first_full_interval() == Some(3)")]
    pub fn first_full_interval(&self) -> Option<u32> {
        whole(self.guarantee_intervals())
    }

    /// (6) S(t) = (B/α)(g^t − 1): supporting peers in interval t; with α = 0 its limit Bt/β. From K on demand is the
    /// limit, and S grows by a per interval. `intervals` below 0 counts as 0.
    #[doc = example!("growth.supporters(2.0).round() == 375.0 && growth.supporters(4.0).round() == 1875.0")]
    pub fn supporters(&self, intervals: f64) -> f64 {
        let t = intervals.max(0.0);
        let full = self.first_full_interval().map_or(f64::INFINITY, f64::from);
        self.compound(t.min(full)) + self.offered_sessions() * (t - full).max(0.0)
    }

    /// C(t) = B + αS(t), which is B·g^t until K: what server and supporters can send together, bit/s.
    #[doc = example!("growth.capacity_bps(2.0).round() == 500e6")]
    pub fn capacity_bps(&self, intervals: f64) -> f64 {
        self.capacity_beside(self.supporters(intervals))
    }

    /// (13) R(t) = 1 − (B/D)g^t between t_0 and t_g, else 0: which share of an interval's requests is refused, continued
    /// between whole intervals. At any t of the clock it is all or none: [`Self::is_refused`].
    #[doc = example!("growth.rejection(0.1) == 0.0 && (growth.rejection(1.0) - 0.75).abs() < 1e-9 && growth.rejection(3.0) == 0.0")]
    pub fn rejection(&self, intervals: f64) -> f64 {
        if intervals < self.saturation_intervals() || intervals >= self.guarantee_intervals() {
            return 0.0;
        }
        1.0 - self.served(self.compound(intervals))
    }

    /// (10) S(t_g) = (D − B)/α: supporting peers when capacity meets demand; 0 if the server suffices, ∞ if it never does.
    #[doc = example!("growth.supporters_at_guarantee() == 875.0")]
    pub fn supporters_at_guarantee(&self) -> f64 {
        match self.guarantee_intervals() {
            0.0 => 0.0,
            never if never.is_infinite() => f64::INFINITY,
            _ => (self.demand_bps() - self.server_bps) / self.support_bps,
        }
    }

    /// (10) N(t_g) = S(t_g) + λL: supporting peers and viewers together at that time.
    #[doc = example!("growth.peers_at_guarantee() == 1875.0")]
    pub fn peers_at_guarantee(&self) -> f64 {
        self.supporters_at_guarantee() + self.offered_sessions()
    }

    /// T_cap = K + (β/α)(1 − c_{K−1}): when B + αS reaches D on the clock, in intervals; 0 if the server suffices.
    #[doc = example!("growth.capacity_reached_intervals() == 3.5")]
    pub fn capacity_reached_intervals(&self) -> f64 {
        match self.first_full_interval() {
            Some(0) => 0.0,
            Some(full) => {
                let refused = 1.0 - self.saturation_intervals() * self.factor().powf(f64::from(full) - 1.0);
                f64::from(full) + self.session_bps / self.support_bps * refused
            }
            None => f64::INFINITY,
        }
    }

    /// K_h: the first interval in which the supporters alone, αS ≥ D, could serve all, whether the server could or not;
    /// None if there is none.
    #[doc = example!("growth.handoff_interval() == Some(4)")]
    pub fn handoff_interval(&self) -> Option<u32> {
        let full = self.first_full_interval()?;
        let needed = self.demand_bps() / self.support_bps;
        let compound = whole((self.demand_bps() / self.server_bps).ln_1p() / self.factor().ln());
        match compound.filter(|interval| *interval <= full) {
            Some(interval) => Some(interval),
            None => {
                let missing = whole((needed - self.compound(full.into())).max(0.0) / self.offered_sessions())?;
                full.checked_add(missing)
            }
        }
    }

    /// aK − S(K): how many are refused until everybody is served; ∞ if that never comes.
    #[doc = example!("growth.rejected_total().round() == 2125.0")]
    pub fn rejected_total(&self) -> f64 {
        let full = |full: u32| self.offered_sessions() * f64::from(full) - self.compound(full.into());
        self.first_full_interval().map_or(f64::INFINITY, full)
    }

    /// c = min(1, (B + αS)/D): which share of an interval's requests finds room beside S supporters.
    pub(crate) fn served(&self, supporters: f64) -> f64 {
        (self.capacity_beside(supporters) / self.demand_bps()).min(1.0)
    }

    /// B + αS.
    pub(crate) fn capacity_beside(&self, supporters: f64) -> f64 {
        self.server_bps + self.support_bps * supporters
    }

    pub(crate) fn server_suffices(&self) -> bool {
        self.server_bps >= self.demand_bps()
    }

    /// (6) as it stands.
    pub(crate) fn compound(&self, t: f64) -> f64 {
        let (sessions, gain) = (self.server_bps / self.session_bps, self.support_bps / self.session_bps);
        match gain {
            // Nothing times what has no end.
            _ if sessions == 0.0 => 0.0,
            0.0 => sessions * t,
            _ => sessions * ((t * gain.ln_1p()).exp_m1() / gain),
        }
    }
}

/// The next whole number, but a hair's breadth above one is that one.
pub(crate) fn whole(intervals: f64) -> Option<u32> {
    let whole = (intervals - 1e-9).ceil().max(0.0);
    (whole <= f64::from(u32::MAX)).then_some(whole as u32)
}
