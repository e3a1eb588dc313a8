//! What if supporters leave? Two models. In the discrete one a share δ leaves per interval; it is simple and too hopeful,
//! for it admits against the peak and forgets who leaves in the middle of a session. In the continuous one supporters linger
//! for an exponential time, V intervals on average; it tells when a cluster grows at all: if and only if αV > β.

use crate::lengths::root;
use crate::{Growth, Interval, Lengths, Seconds, Share};

/// A cluster of which, in each interval, a share δ of the supporters leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaving {
    growth: Growth,
    leaving: f64,
}

/// A cluster whose supporters linger for an exponential time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lingering {
    growth: Growth,
    linger: f64,
}

impl Growth {
    /// A share δ of the supporters leaves in each interval. For a mean linger of V intervals, δ = 1 − e^(−1/V).
    #[doc = example!("growth.with_leaving(Share::new(0.0)?).guarantee_intervals() == growth.guarantee_intervals()")]
    pub fn with_leaving(self, share: Share) -> Leaving {
        Leaving { growth: self, leaving: share.get() }
    }

    /// Supporters linger so long on average after their session, exponentially; not 0 ([`Growth`] without support is that).
    #[doc = example!("growth.with_linger(Seconds::new(6000.0)?)?.mean_intervals() == 3.0")]
    pub fn with_linger(self, mean: Seconds) -> Result<Lingering, crate::InputError> {
        Ok(Lingering { growth: self, linger: mean.positive("the mean linger (V)")? / self.interval_s })
    }
}

impl Leaving {
    /// G = 1 + α/β − δ: what capacity gains in an interval while requests are refused.
    #[doc = example!("growth.with_leaving(Share::new(0.25)?).factor() == 1.75")]
    pub fn factor(&self) -> f64 {
        self.growth.factor() - self.leaving
    }

    /// S(t) = (B/β)(G^t − 1)/(G − 1), Bt/β if G = 1: supporters in interval t, while requests are refused.
    #[doc = example!("(growth.with_leaving(Share::new(0.5)?).supporters(2.0) - 312.5).abs() < 1e-9")]
    pub fn supporters(&self, intervals: f64) -> f64 {
        let (more, t) = (self.factor() - 1.0, intervals.max(0.0));
        let terms = if more == 0.0 { t } else { (self.factor().powf(t) - 1.0) / more };
        self.growth.server_bps / self.growth.session_bps * terms
    }

    /// t_g = lg[1 + (D − B)(G − 1)β/(αB)]/lg G: when capacity meets demand, in intervals; 0 if the server suffices, ∞ if
    /// never: supporters then leave as fast as they come before there are enough.
    #[doc = example!("growth.with_leaving(Share::ALL).guarantee_intervals() == 7.0")]
    pub fn guarantee_intervals(&self) -> f64 {
        let growth = &self.growth;
        if self.leaving == 0.0 || growth.server_suffices() {
            return growth.guarantee_intervals();
        }
        let more = self.factor() - 1.0;
        let first = growth.support_bps * growth.server_bps / growth.session_bps;
        let missing = (growth.demand_bps() - growth.server_bps) / first;
        match more {
            _ if first == 0.0 => f64::INFINITY,
            0.0 => missing,
            _ if missing * more <= -1.0 => f64::INFINITY,
            _ => (missing * more).ln_1p() / more.ln_1p(),
        }
    }

    /// The recursion S' = (1 − δ)S + a·c, interval by interval without end; after K it tends to a/δ supporters.
    #[doc = example!("growth.with_leaving(Share::new(0.5)?).intervals().nth(2).is_some_and(|k| k.supporters == 312.5)")]
    pub fn intervals(self) -> impl Iterator<Item = Interval> {
        let growth = self.growth;
        let mut supporters = 0.0;
        (0..=u32::MAX).map(move |number| {
            let (now, served) = (supporters, growth.served(supporters));
            supporters = (1.0 - self.leaving) * now + growth.offered_sessions() * served;
            let capacity_bps = growth.capacity_beside(now);
            Interval { number, supporters: now, capacity_bps, served, rejected: 1.0 - served }
        })
    }
}

impl Lingering {
    /// V: how long supporters linger on average, in intervals.
    #[doc = example!("growth.with_linger(Seconds::new(1000.0)?)?.mean_intervals() == 0.5")]
    pub fn mean_intervals(&self) -> f64 {
        self.linger
    }

    /// Whether the cluster grows by itself: αV > β, each supporter brings more than the one session it took.
    #[doc = example!("growth.with_linger(Seconds::new(2001.0)?)?.grows() && !growth.with_linger(Seconds::new(2000.0)?)?.grows()")]
    pub fn grows(&self) -> bool {
        self.growth.support_bps * self.linger > self.growth.session_bps
    }

    /// θ of e^θt while requests are refused: (1/φ(θ) − 1)(1 + 1/(Vθ)) = α/β, φ the Laplace transform of the lengths. Below 0
    /// a cluster without server would shrink; −∞ if nobody supports.
    #[doc = example!("(growth.with_linger(Seconds::new(6000.0)?)?.exponent(Lengths::Fixed) - 0.455954308).abs() < 1e-9")]
    pub fn exponent(&self, lengths: Lengths) -> f64 {
        let (q, v) = (self.growth.support_bps / self.growth.session_bps, self.linger);
        let brought = |theta: f64| match theta {
            0.0 => 1.0 / v,
            _ => lengths.excess(theta) * (1.0 + 1.0 / (v * theta)),
        };
        match lengths {
            _ if q == 0.0 => f64::NEG_INFINITY,
            Lengths::Exponential => q - 1.0 / v,
            // It cannot shrink faster than supporters leave, nor grow faster than if they stayed.
            Lengths::Fixed => root(-1.0 / v, q.ln_1p(), |theta| brought(theta) - q),
        }
    }

    /// C(t) from C' = C(α/β − 1/V) + B/V, C(0) = B: capacity while requests are refused, if lengths are exponential; bit/s.
    #[doc = example!("growth.with_linger(Seconds::new(2000.0)?)?.capacity_bps(2.0) == 375e6")]
    pub fn capacity_bps(&self, intervals: f64) -> f64 {
        let theta = self.growth.support_bps / self.growth.session_bps - 1.0 / self.linger;
        let t = intervals.max(0.0);
        let gained = if theta == 0.0 { t } else { (theta * t).exp_m1() / theta };
        self.growth.server_bps * ((theta * t).exp() + gained / self.linger)
    }

    /// Bβ/(β − αV): where capacity ends, however much is asked for, if αV < β; bit/s, ∞ otherwise.
    #[doc = example!("(growth.with_linger(Seconds::new(1000.0)?)?.capacity_bps_max() - 250e6).abs() < 1.0")]
    pub fn capacity_bps_max(&self) -> f64 {
        if self.grows() { f64::INFINITY } else { self.growth.server_bps / (1.0 - self.brings()) }
    }

    /// 1 − B/((β − αV)a), if it is above 0: which share of requests is lost for ever, refused or interrupted; all of them
    /// without a server, for then nothing begins.
    #[doc = example!("(growth.with_linger(Seconds::new(1000.0)?)?.lost() - 0.75).abs() < 1e-9")]
    pub fn lost(&self) -> f64 {
        match self.is_sustained() {
            _ if self.growth.server_bps == 0.0 => 1.0,
            true => 0.0,
            false => 1.0 - self.capacity_bps_max() / self.growth.demand_bps(),
        }
    }

    /// αV ≥ β − B/(λL): whether, once all are served, that lasts.
    #[doc = example!("growth.with_linger(Seconds::new(1750.0)?)?.is_sustained()
    && !growth.with_linger(Seconds::new(1740.0)?)?.is_sustained()")]
    pub fn is_sustained(&self) -> bool {
        let growth = &self.growth;
        growth.support_bps * self.linger >= growth.session_bps - growth.server_bps / growth.offered_sessions()
    }

    /// B + αVa: to what capacity tends when all are served; bit/s.
    #[doc = example!("growth.with_linger(Seconds::new(2000.0)?)?.capacity_bps_served() == 1125e6")]
    pub fn capacity_bps_served(&self) -> f64 {
        self.growth.capacity_beside(self.linger * self.growth.offered_sessions())
    }

    /// αV/β: how many sessions a supporter carries before it leaves.
    fn brings(&self) -> f64 {
        self.growth.support_bps * self.linger / self.growth.session_bps
    }
}
