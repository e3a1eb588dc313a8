//! What if sessions are not all of one length? With the same mean, any spread makes a cluster grow faster (Jensen), so
//! [`Growth`], for one length, is the cautious case. Time is in intervals of the mean length L, and lengths X in L as well.

use crate::Growth;

/// How session lengths are distributed, with mean L.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    /// All are L.
    Fixed,
    /// Exponentially: most short, some long.
    Exponential,
}

impl Lengths {
    /// 1/φ(θ) − 1, φ(θ) = E e^(−θX): by how much what starts outnumbers what ends, in growth by e^θ per interval.
    pub(crate) fn excess(self, exponent: f64) -> f64 {
        match self {
            Self::Fixed => exponent.exp_m1(),
            Self::Exponential => exponent,
        }
    }
}

impl Growth {
    /// θ of e^θt, by which capacity grows while requests are refused: (1 + α/β)·E e^(−θX) = 1. That is ln g for fixed lengths
    /// and α/β for exponential ones.
    #[doc = example!("growth.exponent(Lengths::Fixed) == 2f64.ln() && growth.exponent(Lengths::Exponential) == 1.0")]
    pub fn exponent(&self, lengths: Lengths) -> f64 {
        match lengths {
            Lengths::Fixed => (self.support_bps / self.session_bps).ln_1p(),
            Lengths::Exponential => self.support_bps / self.session_bps,
        }
    }

    /// The course of the cluster if lengths are exponential.
    #[doc = example!("growth.with_exponential_lengths().guarantee_intervals() < growth.guarantee_intervals()")]
    pub fn with_exponential_lengths(self) -> ExponentialLengths {
        ExponentialLengths::new(self)
    }
}

/// Growth with exponential session lengths, in the fluid limit. There is no saw-tooth: what ends, ends at any time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExponentialLengths {
    growth: Growth,
    saturation: f64,
}

impl ExponentialLengths {
    fn new(growth: Growth) -> Self {
        Self { growth, saturation: saturation(&growth) }
    }

    /// t_s, when all is taken: 1 − e^(−t) = B/D + (α/β)(t − 1 + e^(−t)), in intervals; ∞ if never.
    #[doc = example!("(growth.with_exponential_lengths().saturation_intervals() - 0.145061).abs() < 1e-6")]
    pub fn saturation_intervals(&self) -> f64 {
        self.saturation
    }

    /// C(t): B + αa(t − 1 + e^(−t)) until t_s, then growth by e^((α/β)t) until t_z, from then on towards αa per interval; bit/s.
    #[doc = example!("growth.with_exponential_lengths().capacity_bps(0.0) == 125e6")]
    pub fn capacity_bps(&self, intervals: f64) -> f64 {
        let growth = &self.growth;
        let t = intervals.max(0.0);
        let gain = growth.support_bps * growth.offered_sessions();
        let before = |t: f64| growth.server_bps + gain * (t + (-t).exp_m1());
        if t <= self.saturation {
            return before(t);
        }
        let refusing_until = self.guarantee_intervals();
        let refusing = (t.min(refusing_until) - self.saturation) * growth.exponent(Lengths::Exponential);
        let capacity = before(self.saturation) * refusing.exp();
        // From t_z on all are let in: what runs comes to a as e^−t, and what ends follows what runs.
        let since = (t - refusing_until).max(0.0);
        let still_missing = 1.0 - capacity / growth.demand_bps();
        capacity + gain * (since + still_missing * (-since).exp_m1())
    }

    /// t_z: from when on nobody is refused, because what ends makes room for all that comes: C(1 + α/β) ≥ D; in intervals, 0
    /// if nobody ever is, ∞ if always someone.
    #[doc = example!("growth.with_exponential_lengths().guarantee_intervals() < 2.0")]
    pub fn guarantee_intervals(&self) -> f64 {
        if self.saturation.is_infinite() {
            return 0.0;
        }
        let (growth, from) = (&self.growth, self.saturation);
        let gain = growth.support_bps * growth.offered_sessions();
        let room = (growth.server_bps + gain * (from + (-from).exp_m1())) * growth.factor();
        let missing = (growth.demand_bps() / room).ln();
        if missing <= 0.0 { from } else { from + missing / growth.exponent(Lengths::Exponential) }
    }

    /// R(t) = 1 − C(t)(1 + α/β)/D between t_s and t_z, else 0: which share of those who ask at time t is refused.
    #[doc = example!("growth.with_exponential_lengths().rejection(0.0) == 0.0
    && growth.with_exponential_lengths().rejection(0.2) > 0.6")]
    pub fn rejection(&self, intervals: f64) -> f64 {
        if intervals < self.saturation || intervals >= self.guarantee_intervals() {
            return 0.0;
        }
        (1.0 - self.capacity_bps(intervals) * self.growth.factor() / self.growth.demand_bps()).max(0.0)
    }
}

/// The smaller root, below where the gap between room and what is asked for is least.
fn saturation(growth: &Growth) -> f64 {
    let q = growth.support_bps / growth.session_bps;
    let full = growth.server_bps / growth.demand_bps();
    let over = |t: f64| -(-t).exp_m1() - full - q * (t + (-t).exp_m1());
    if full >= 1.0 {
        return f64::INFINITY;
    }
    // Without help sessions come to their last free slot only as slowly as any of them end.
    let alone = -(-full).ln_1p();
    let tightest = (1.0 / q).ln_1p();
    match q {
        0.0 => alone,
        _ if over(tightest) < 0.0 => f64::INFINITY,
        _ => root(0.0, tightest, over),
    }
}

/// Where an increasing function passes 0 between two places, as exactly as floats go.
pub(crate) fn root(mut low: f64, mut high: f64, increasing: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if increasing(middle) < 0.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}
