//! Who carries the load at which time, who is refused, and what does the clock show? The course of a cluster between its
//! landmarks, which are in [`crate::Growth`].
//!
//! Two clocks. The paper's S(t) is what is *available during* interval t; a plot of it against real t is its continuation,
//! and so are t_g, [`Stage`] and [`Growth::rejection`]. On a wall clock that support has come together only at the *end*
//! of the interval: who is refused when ([`Growth::is_refused`]), from when nobody is ([`Growth::is_guaranteed`]), and what
//! begins with `clock_` follows that, exactly in the fluid limit when all sessions are of one length. Both in intervals of L.

use crate::growth::whole;
use crate::{Bps, Fluid, Growth};

/// The three stages of Figure 2, on the paper's clock. If t_g ≤ t_0 there is no second one: see [`crate::Growth`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Until t_0: the server has room for all.
    ServerOnly,
    /// From t_0 to t_g: server and peers together grow like compound interest.
    ServerAndPeers,
    /// From t_g on, and from t_0: capacity grows by what comes in.
    MostlyPeers,
}

/// A number that chance moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// What it is on average.
    pub mean: f64,
    /// Its standard deviation.
    pub sd: f64,
}

impl Growth {
    /// In which stage t, in intervals, lies. A server that suffices is alone for ever, as far as service goes.
    #[doc = example!("growth.stage(0.1) == Stage::ServerOnly && growth.stage(1.0) == Stage::ServerAndPeers
    && growth.stage(3.0) == Stage::MostlyPeers")]
    pub fn stage(&self, intervals: f64) -> Stage {
        match intervals {
            t if t < self.saturation_intervals() => Stage::ServerOnly,
            t if t < self.guarantee_intervals() - WHOLE_WITHIN => Stage::ServerAndPeers,
            _ => Stage::MostlyPeers,
        }
    }

    /// SGP, the service guaranteed period, on the wall clock: t < t_0, or t ≥ K = ⌈t_g⌉, after the last refusal. The
    /// paper's t ≥ t_g is its continuation between whole intervals.
    #[doc = example!("growth.is_guaranteed(0.1) && !growth.is_guaranteed(2.1) && growth.is_guaranteed(3.0)")]
    pub fn is_guaranteed(&self, intervals: f64) -> bool {
        intervals < self.saturation_intervals() || self.is_full(intervals)
    }

    /// From K on, whatever rounding leaves of the last refusals.
    fn is_full(&self, intervals: f64) -> bool {
        self.first_full_interval().is_some_and(|full| intervals >= full.into())
    }

    /// min(λL, C(t)/β): how many watch at once in interval t.
    #[doc = example!("growth.watching(1.0) == 250.0 && growth.watching(5.0) == 1000.0")]
    pub fn watching(&self, intervals: f64) -> f64 {
        self.offered_sessions().min(self.capacity_bps(intervals) / self.session_bps)
    }

    /// (2), (10) N(t) = S(t)/ε_sup(t) = S(t) + those who watch: all peers in interval t.
    #[doc = example!("growth.peers(0.0) == 125.0 && growth.peers(3.0).round() == 1875.0")]
    pub fn peers(&self, intervals: f64) -> f64 {
        self.supporters(intervals) + self.watching(intervals)
    }

    /// (2) ε_sup(t) = S/N: which share of the peers supports; ε_req is the rest. 0 when nobody is there.
    /// The paper numbers the two ratios one way in its table and the other in its equation; this is the supporting one.
    #[doc = example!("(growth.supporting_share(3.0) - 875.0 / 1875.0).abs() < 1e-9 && growth.supporting_share(0.0) == 0.0")]
    pub fn supporting_share(&self, intervals: f64) -> f64 {
        let supporters = self.supporters(intervals);
        if supporters == 0.0 { 0.0 } else { supporters / self.peers(intervals) }
    }

    /// lg 2/lg g: when peers give as much as the server, αS = B, in intervals; ∞ if never. (After K, growth by a.)
    #[doc = example!("growth.peers_overtake_intervals() == 1.0")]
    pub fn peers_overtake_intervals(&self) -> f64 {
        if self.server_bps == 0.0 {
            return 0.0;
        }
        self.reaches_intervals(2.0 * self.server_bps)
    }

    /// t_h = t_g + B/(αa): when peers alone could serve all, αS = D, on the real-valued t of (6) that turns linear at t_g;
    /// in intervals, ∞ if never. The whole interval is [`Self::handoff_interval`].
    #[doc = example!("growth.handoff_intervals() == 3.125")]
    pub fn handoff_intervals(&self) -> f64 {
        if self.support_bps == 0.0 {
            return f64::INFINITY;
        }
        let missing = if self.server_suffices() { self.demand_bps() } else { self.server_bps };
        self.guarantee_intervals() + missing / (self.support_bps * self.offered_sessions())
    }

    /// The first interval with at least this much capacity; None if there is none. With [`crate::erlang::slots_for`] times β
    /// it is the interval from which service can be promised although arrivals fluctuate.
    #[doc = example!("growth.interval_reaching(Bps::new(1.1e9)?) == Some(4)")]
    pub fn interval_reaching(&self, capacity: Bps) -> Option<u32> {
        whole(self.reaches_intervals(capacity.get()))
    }

    /// k + c_k: until when requests of interval k are served; whoever asks after that, in k, is refused (the saw-tooth).
    #[doc = example!("growth.full_at(2) == 2.5 && growth.full_at(3) == 4.0")]
    pub fn full_at(&self, interval: u32) -> f64 {
        let k = f64::from(interval);
        if self.is_full(k) { k + 1.0 } else { k + self.served(self.supporters(k)) }
    }

    /// The saw-tooth: whether a request at time t is refused; never where [`Self::is_guaranteed`]. (Its average over an
    /// interval is R.)
    #[doc = example!("!growth.is_refused(2.49) && growth.is_refused(2.5) && !growth.is_refused(3.0)")]
    pub fn is_refused(&self, intervals: f64) -> bool {
        let t = intervals.max(0.0);
        !self.is_full(t) && t - t.floor() >= self.served(self.supporters(t.floor()))
    }

    /// Supporting peers at time t of the wall clock: the sessions accepted until t − 1. At the end of interval k this is S(k).
    #[doc = example!("growth.clock_supporters(1.0) == 0.0 && growth.clock_supporters(3.25) == 625.0")]
    pub fn clock_supporters(&self, intervals: f64) -> f64 {
        let accepted_until = (intervals - 1.0).max(0.0);
        let interval = accepted_until.floor();
        let accepted = (accepted_until - interval).min(self.served(self.supporters(interval)));
        self.supporters(interval) + self.offered_sessions() * accepted
    }

    /// B + αS at time t of the wall clock, bit/s. It meets D at [`Self::capacity_reached_intervals`].
    #[doc = example!("growth.clock_capacity_bps(1.0) == 125e6 && growth.clock_capacity_bps(3.5) == 1e9")]
    pub fn clock_capacity_bps(&self, intervals: f64) -> f64 {
        self.capacity_beside(self.clock_supporters(intervals))
    }

    /// The recursion, interval by interval, for as long as one likes.
    #[doc = example!("growth.intervals().nth(2).is_some_and(|interval| interval.rejected == 0.5)")]
    pub fn intervals(self) -> Fluid {
        Fluid::new(self)
    }

    /// When the first request is refused, in intervals: request number ⌊B/β⌋ + 1 of a Poisson process of a per interval.
    /// Later than t_0 by a request on average. None if the server suffices.
    #[doc = example!("growth.first_refusal().is_some_and(|first| first.mean == 0.126)")]
    pub fn first_refusal(&self) -> Option<Chance> {
        let number = (self.server_bps / self.session_bps).floor() + 1.0;
        let a = self.offered_sessions();
        (!self.server_suffices()).then(|| Chance { mean: number / a, sd: number.sqrt() / a })
    }

    /// (K + β/α)/a: which share is about refused in interval K after all, because each generation begins a request late;
    /// a rule of thumb, too low when c_K is barely 1. None if the server suffices or K never comes.
    #[doc = example!("growth.residual_rejection() == Some(0.004)")]
    pub fn residual_rejection(&self) -> Option<f64> {
        let full = self.first_full_interval().filter(|full| *full > 0)?;
        Some((f64::from(full) + self.session_bps / self.support_bps) / self.offered_sessions())
    }

    /// When B·g^t, and from K on linear growth, comes to this capacity.
    fn reaches_intervals(&self, capacity_bps: f64) -> f64 {
        if capacity_bps <= self.server_bps {
            return 0.0;
        }
        let growing = (capacity_bps / self.server_bps).ln() / (self.support_bps / self.session_bps).ln_1p();
        let full = self.first_full_interval().map_or(f64::INFINITY, f64::from);
        if growing <= full {
            return growing;
        }
        let missing = capacity_bps - self.capacity_beside(self.compound(full));
        full + missing.max(0.0) / (self.support_bps * self.offered_sessions())
    }
}

/// As in [`whole`]: so near below a whole number is that number.
const WHOLE_WITHIN: f64 = 1e-9;
