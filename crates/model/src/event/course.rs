//! What is kept of a run? Counts, bin by bin, of each cluster and of all, and when its landmarks came.

use super::Process;

/// What one run showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Of all clusters together.
    pub total: Course,
    /// Of each.
    pub clusters: Vec<Course>,
}

/// What became of one cluster, or of all.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// When the first request was refused, in intervals: t_0. None if none was.
    pub first_refusal: Option<f64>,
    /// When the last one was, in intervals: about K.
    pub last_refusal: Option<f64>,
    /// When capacity first met demand, B + αS ≥ D, in intervals: T_cap. None if it did not.
    pub capacity_reached: Option<f64>,
    /// Bin by bin.
    pub bins: Vec<Tally>,
    pub(super) bins_per_interval: usize,
}

/// What was counted in a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Who came to this cluster first.
    pub requests: u64,
    /// Who of them found no room anywhere.
    pub refused: u64,
    /// Who of them was served by another cluster.
    pub redirected: u64,
    /// Sessions that this cluster had to break off.
    pub interrupted: u64,
    /// Supporters at its end: at the end of interval k, S(k).
    pub supporters: u64,
    /// Sessions under way at its end.
    pub watching: u64,
}

impl Tally {
    /// R: the refused of the requests; None without requests.
    /// ```
    /// use trellis_model::event::Tally;
    /// assert_eq!(Tally { requests: 4, refused: 1, ..Tally::default() }.rejection(), Some(0.25));
    /// assert_eq!(Tally::default().rejection(), None);
    /// ```
    pub fn rejection(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.refused as f64 / self.requests as f64)
    }

    /// With what followed.
    fn then(self, next: &Self) -> Self {
        Self { supporters: next.supporters, watching: next.watching, ..self.beside(next) }
    }

    /// With what was elsewhere.
    pub(super) fn beside(self, other: &Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            refused: self.refused + other.refused,
            redirected: self.redirected + other.redirected,
            interrupted: self.interrupted + other.interrupted,
            supporters: self.supporters + other.supporters,
            watching: self.watching + other.watching,
        }
    }
}

impl Course {
    pub(super) fn new(process: &Process) -> Self {
        Self {
            first_refusal: None,
            last_refusal: None,
            capacity_reached: None,
            bins: Vec::with_capacity(process.bins as usize * process.intervals as usize),
            bins_per_interval: process.bins as usize,
        }
    }

    /// The bins of each interval together.
    /// ```
    /// # use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup}};
    /// # let rate = Bps::new(1e6)?;
    /// # let offer = Offer {
    /// #     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// # };
    /// let run = Process::new(Setup::new(offer, 5))?.run(1);
    /// assert_eq!(run.total.intervals().map(|interval| interval.supporters).collect::<Vec<_>>(), [0, 1, 3, 7, 15]);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn intervals(&self) -> impl Iterator<Item = Tally> {
        self.bins.chunks(self.bins_per_interval).map(|bins| bins.iter().fold(Tally::default(), Tally::then))
    }

    /// One more, later than all before.
    pub(super) fn refuse(&mut self, now: f64) {
        self.first_refusal.get_or_insert(now);
        self.last_refusal = Some(now);
    }
}
