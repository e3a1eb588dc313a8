//! What do an edge's counters say of λ, α, β, L and churn, and how surely? Counters that only grow are noted now and then;
//! the stretches between the notes are the sample. Whole numbers in, so nothing is not a number; [`STRETCHES_MAX`] kept.
//!
//! Standard errors: of counts, Poisson's; of times until an end, those of exponential times of which some are not over yet
//! (censored); of rates, from how batches of stretches scatter, whatever the cause: a little too sure where viewers stay as
//! long as a batch (five of six times the truth is within, instead of nineteen of twenty). A thing not seen yet is None, not
//! a guess.

use std::collections::VecDeque;

use crate::chance::student_95;

/// What a cluster has counted since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// How long it has counted, ms.
    pub ms: u64,
    /// Requests that came, refused ones included.
    pub requests: u64,
    /// Requests refused.
    pub refused: u64,
    /// How long all sessions together watched, those under way included, ms.
    pub session_ms: u64,
    /// What they took.
    pub session_bytes: u64,
    /// Sessions over.
    pub sessions_ended: u64,
    /// How long all supporters together supported, ms. Where viewers support while they watch: once warmed up.
    pub support_ms: u64,
    /// What they gave; better, while little is asked of them: could have given.
    pub support_bytes: u64,
    /// Supporters gone.
    pub supporters_left: u64,
}

impl Counters {
    /// What came since these earlier ones. Counters that went back have begun anew: then all of them came since.
    /// ```
    /// use trellis_model::estimate::Counters;
    /// let (earlier, later) = (Counters { ms: 10, ..Counters::default() }, Counters { ms: 30, ..Counters::default() });
    /// assert_eq!((later.since(&earlier).ms, earlier.since(&later).ms), (20, 10));
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.minus(earlier).unwrap_or(*self)
    }

    /// R: the refused of the requests; None without requests.
    /// ```
    /// use trellis_model::estimate::Counters;
    /// assert_eq!(Counters { requests: 8, refused: 2, ..Counters::default() }.rejection(), Some(0.25));
    /// ```
    pub fn rejection(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.refused as f64 / self.requests as f64)
    }

    fn minus(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            ms: self.ms.checked_sub(earlier.ms)?,
            requests: self.requests.checked_sub(earlier.requests)?,
            refused: self.refused.checked_sub(earlier.refused)?,
            session_ms: self.session_ms.checked_sub(earlier.session_ms)?,
            session_bytes: self.session_bytes.checked_sub(earlier.session_bytes)?,
            sessions_ended: self.sessions_ended.checked_sub(earlier.sessions_ended)?,
            support_ms: self.support_ms.checked_sub(earlier.support_ms)?,
            support_bytes: self.support_bytes.checked_sub(earlier.support_bytes)?,
            supporters_left: self.supporters_left.checked_sub(earlier.supporters_left)?,
        })
    }
}

/// A number, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The likeliest.
    pub value: f64,
    /// Its standard error; 0 of what is known.
    pub error: f64,
}

impl Estimate {
    /// What is known and not estimated, such as a budget.
    /// ```
    /// assert_eq!(trellis_model::estimate::Estimate::known(100e6).error, 0.0);
    /// ```
    pub fn known(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// From where to where it lies with a chance of 95 in 100.
    /// ```
    /// let estimate = trellis_model::estimate::Estimate { value: 10.0, error: 1.0 };
    /// assert!((estimate.range_95().0 - 8.04).abs() < 0.01 && (estimate.range_95().1 - 11.96).abs() < 0.01);
    /// ```
    pub fn range_95(self) -> (f64, f64) {
        let half = NORMAL_95 * self.error;
        (self.value - half, self.value + half)
    }
}

/// The latest stretches of one cluster.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    noted: Counters,
    stretches: VecDeque<Counters>,
}

/// How many stretches are looked back on; at one in ten seconds, ten minutes.
pub const STRETCHES_MAX: usize = 60;

/// Ten stretches in each when all are there.
const BATCHES: usize = 6;
/// The 97.5 % quantile of the normal distribution.
const NORMAL_95: f64 = 1.959_963_985;

/// What the stretches say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimates {
    /// λ, 1/s.
    pub arrivals: Option<Estimate>,
    /// β, bit/s.
    pub session_bps: Option<Estimate>,
    /// α, bit/s per supporter.
    pub support_bps: Option<Estimate>,
    /// αf, bit/s per viewer, where viewers support while they watch: f of them have warmed up.
    pub brought_bps: Option<Estimate>,
    /// L, s: 1/L is the share of those there that leaves in a second. As the length of a session it is too long while the
    /// cluster grows, if sessions are much of one length: most have not had the time to end.
    pub length_s: Option<Estimate>,
    /// V, s: how long supporters linger. None while nobody has left.
    pub linger_s: Option<Estimate>,
}

impl Ledger {
    /// Takes down what has been counted by now. Stretches of about the same length are best.
    /// ```
    /// use trellis_model::estimate::{Counters, Ledger};
    /// let mut ledger = Ledger::default();
    /// ledger.note(Counters { ms: 10_000, requests: 25, ..Counters::default() });
    /// assert_eq!(ledger.estimates().arrivals.map(|arrivals| (arrivals.value, arrivals.error)), Some((2.5, 0.5)));
    /// ```
    pub fn note(&mut self, counters: Counters) {
        let stretch = counters.since(&self.noted);
        self.noted = counters;
        if stretch.ms == 0 {
            return;
        }
        if self.stretches.len() == STRETCHES_MAX {
            self.stretches.pop_front();
        }
        self.stretches.push_back(stretch);
    }

    /// What all stretches together say.
    /// ```
    /// assert_eq!(trellis_model::estimate::Ledger::default().estimates().arrivals, None);
    /// ```
    pub fn estimates(&self) -> Estimates {
        let bits = |bytes: u64| bytes as f64 * 8.0;
        let s = |ms: u64| ms as f64 / 1000.0;
        Estimates {
            arrivals: self.frequency(),
            session_bps: self.ratio(|c| (bits(c.session_bytes), s(c.session_ms))),
            support_bps: self.ratio(|c| (bits(c.support_bytes), s(c.support_ms))),
            brought_bps: self.ratio(|c| (bits(c.support_bytes), s(c.session_ms))),
            length_s: self.duration(|c| (s(c.session_ms), c.sessions_ended)),
            linger_s: self.duration(|c| (s(c.support_ms), c.supporters_left)),
        }
    }

    /// How many and in what time they came: n/T ± √n/T, and as if one had, if none did.
    fn frequency(&self) -> Option<Estimate> {
        let (requests, ms) = self.sum(|c| (c.requests as f64, c.ms as f64));
        (ms > 0.0).then(|| Estimate { value: requests * 1e3 / ms, error: requests.max(1.0).sqrt() * 1e3 / ms })
    }

    /// Σy/Σx, with the error that the scatter of y around it has (Cochran's ratio estimate). Neighboring stretches share
    /// their viewers and so are alike; batches of them are less so, and so few that Student's t counts. Two at least.
    fn ratio(&self, of: impl Fn(&Counters) -> (f64, f64)) -> Option<Estimate> {
        let (sum_y, sum_x) = self.sum(&of);
        let value = sum_y / sum_x;
        let off: Vec<f64> =
            self.stretches.iter().map(&of).filter(|(_, x)| *x > 0.0).map(|(y, x)| y - value * x).collect();
        if off.len() < 2 {
            return None;
        }
        let batches = off.chunks(off.len().div_ceil(BATCHES)).map(|batch| batch.iter().sum::<f64>());
        let (n, squares) = (batches.len(), batches.map(|off| off * off).sum::<f64>());
        let sure = student_95(n as u64) / NORMAL_95;
        Some(Estimate { value, error: sure * (squares * n as f64 / (n - 1) as f64).sqrt() / sum_x })
    }

    /// All the time, of those still under way too, over the ends that fell in it: T/d ± T/d/√d.
    fn duration(&self, of: impl Fn(&Counters) -> (f64, u64)) -> Option<Estimate> {
        let (time, ends) = self.sum(|c| (of(c).0, of(c).1 as f64));
        (ends > 0.0).then(|| Estimate { value: time / ends, error: time / ends / ends.sqrt() })
    }

    fn sum(&self, of: impl Fn(&Counters) -> (f64, f64)) -> (f64, f64) {
        self.stretches.iter().map(of).fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Seeded;

    /// A cluster whose sessions come with 0.8 1/s, last 40 s, take 2 Mbit/s each with its own deviation, and then support
    /// with 1 Mbit/s for 90 s: its counters every ten seconds.
    fn noted(seed: u64, stretches: u64) -> Ledger {
        let mut chance = Seeded::new(seed);
        // Begin, end of watching, end of support, rate.
        let mut viewers = Vec::new();
        let mut at = -400.0;
        while at < stretches as f64 * 10.0 {
            at += chance.exponential() / 0.8;
            let end = at + chance.exponential() * 40.0;
            viewers.push((at, end, end + chance.exponential() * 90.0, 2e6 * (1.0 + 0.3 * chance.normal())));
        }
        let mut ledger = Ledger::default();
        for now in (1..=stretches).map(|n| n as f64 * 10.0) {
            let within = |from: f64, until: f64| (until.min(now) - from.max(0.0)).max(0.0);
            let over = |at: f64| u64::from((0.0..now).contains(&at));
            let mut counters = Counters { ms: (now * 1e3) as u64, ..Counters::default() };
            for (begin, end, gone, rate) in &viewers {
                counters.requests += over(*begin);
                counters.sessions_ended += over(*end);
                counters.supporters_left += over(*gone);
                counters.session_ms += (within(*begin, *end) * 1e3) as u64;
                counters.session_bytes += (within(*begin, *end) * rate / 8.0) as u64;
                counters.support_ms += (within(*end, *gone) * 1e3) as u64;
                counters.support_bytes += (within(*end, *gone) * 1e6 / 8.0) as u64;
            }
            ledger.note(counters);
        }
        ledger
    }

    #[test]
    fn the_truth_lies_in_the_range_as_often_as_is_said() {
        let within = |estimate: Option<Estimate>, truth: f64| {
            let (low, high) = estimate.unwrap().range_95();
            u32::from(low <= truth && truth <= high)
        };
        let mut hits = [0; 4];
        for seed in 0..200 {
            let found = noted(seed, 40).estimates();
            hits[0] += within(found.arrivals, 0.8);
            hits[1] += within(found.length_s, 40.0);
            hits[2] += within(found.linger_s, 90.0);
            hits[3] += within(found.session_bps, 2e6);
            assert!((found.support_bps.unwrap().value / 1e6 - 1.0).abs() < 1e-3);
        }
        assert!(hits[..3].iter().all(|hits| (180..=199).contains(hits)), "{hits:?} of 200");
        assert!((160..=199).contains(&hits[3]), "{hits:?} of 200");
    }

    #[test]
    fn it_forgets_and_begins_anew() {
        let mut ledger = Ledger::default();
        let at = |ms: u64, requests: u64| Counters { ms, requests, ..Counters::default() };
        for n in 1..=100 {
            ledger.note(at(n * 1000, n.min(40)));
        }
        assert_eq!(ledger.estimates().arrivals.map(|arrivals| arrivals.value), Some(0.0), "the last forty stretches");
        assert_eq!(ledger.estimates().arrivals.map(|arrivals| arrivals.error), Some(1.0 / 60.0), "as if one had come");
        ledger.note(at(1000, 60));
        assert_eq!(ledger.estimates().arrivals.map(|arrivals| arrivals.value), Some(1.0), "after a restart");
        ledger.note(at(1000, 60));
        assert_eq!(ledger.stretches.len(), STRETCHES_MAX, "no time, no stretch");
    }
}
