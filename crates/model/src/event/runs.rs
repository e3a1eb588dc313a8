//! What do many runs do, on all processors, and what do they say together? The same seeds give the same numbers, however
//! many threads there are.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use super::{Course, Process, Run, Spread, TALLIES_MAX, Tally};
use crate::InputError;

impl Process {
    /// So many runs, from `seed` and the numbers after it, on so many threads. `progress` hears, on the caller's thread, how
    /// many are done. What all of them hold together is bounded: [`TALLIES_MAX`] times 20.
    /// ```
    /// # use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup}};
    /// # let rate = Bps::new(1e6)?;
    /// # let offer = Offer {
    /// #     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// # };
    /// let process = Process::new(Setup::new(offer, 8))?;
    /// let mut heard = Vec::new();
    /// let runs = process.runs(7, 3, 2.try_into()?, |done| heard.push(done))?;
    /// assert_eq!((runs[1] == process.run(8), heard), (true, vec![1, 2, 3]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn runs(
        &self,
        seed: u64,
        runs: u32,
        threads: NonZeroUsize,
        mut progress: impl FnMut(u32),
    ) -> Result<Vec<Run>, InputError> {
        let tallies = (self.clusters.len() as u64 + 1) * u64::from(self.intervals) * u64::from(self.bins);
        let most = 20 * TALLIES_MAX / tallies.max(1);
        if u64::from(runs) > most {
            return Err(InputError::TooMuch("the runs, with so many bins,", most));
        }
        let mut done: Vec<(u32, Run)> = Vec::with_capacity(runs as usize);
        let next = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads.get().min(runs as usize) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                    for number in numbers.take_while(|number| *number < runs) {
                        // Whoever waits for the runs is there until all threads are gone.
                        let _ = sender.send((number, self.run(seed.wrapping_add(number.into()))));
                    }
                });
            }
            drop(sender);
            for run in receiver {
                done.push(run);
                progress(done.len() as u32);
            }
        });
        done.sort_unstable_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, run)| run).collect())
    }
}

/// What several runs say of one course.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How many runs.
    pub runs: u64,
    /// t_0: when the first request was refused, in intervals, of the runs that had such.
    pub first_refusal: Spread,
    /// When the last one was.
    pub last_refusal: Spread,
    /// T_cap: when capacity first met demand.
    pub capacity_reached: Spread,
    /// How many were refused in all.
    pub refused: Spread,
    /// Interval by interval.
    pub intervals: Vec<TallySummary>,
    /// Bin by bin, an interval having as many as the setup says: the saw-tooth, and S on the clock.
    pub bins: Vec<TallySummary>,
}

/// What several runs say of one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TallySummary {
    /// When it begins, in intervals.
    pub from: f64,
    /// When it ends.
    pub until: f64,
    /// R, of the runs with requests in it.
    pub rejected: Spread,
    /// Supporters at its end; at the end of interval k, S(k).
    pub supporters: Spread,
    /// Sessions under way at its end.
    pub watching: Spread,
    /// Sessions interrupted in it.
    pub interrupted: Spread,
}

impl Summary {
    /// Of all clusters together.
    /// ```
    /// # use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup, Summary}};
    /// # let rate = Bps::new(1e6)?;
    /// # let offer = Offer {
    /// #     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// # };
    /// let runs = Process::new(Setup::new(offer, 4))?.runs(1, 10, 2.try_into()?, |_| ())?;
    /// let summary = Summary::of(&runs);
    /// assert_eq!((summary.intervals.len(), summary.intervals[3].supporters.mean), (4, 7.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(runs: &[Run]) -> Self {
        Self::over(&runs.iter().map(|run| &run.total).collect::<Vec<_>>())
    }

    /// Of one cluster, by its place; None if there is no such.
    /// ```
    /// # use trellis_model::{Bps, Offer, PerSecond, Seconds, event::{Process, Setup, Summary}};
    /// # let rate = Bps::new(1e6)?;
    /// # let offer = Offer {
    /// #     server: rate, session: rate, support: rate, arrivals: PerSecond::new(1.0)?, length: Seconds::new(60.0)?,
    /// # };
    /// let runs = Process::new(Setup::new(offer, 4))?.runs(1, 10, 2.try_into()?, |_| ())?;
    /// assert!(Summary::of_cluster(&runs, 0).is_some_and(|first| first.refused == Summary::of(&runs).refused));
    /// assert_eq!(Summary::of_cluster(&runs, 1), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_cluster(runs: &[Run], cluster: usize) -> Option<Self> {
        let courses: Option<Vec<_>> = runs.iter().map(|run| run.clusters.get(cluster)).collect();
        Some(Self::over(&courses?))
    }

    fn over(courses: &[&Course]) -> Self {
        let refused = |course: &&Course| Some(course.bins.iter().map(|bin| bin.refused).sum::<u64>() as f64);
        let bins_per_interval = courses.first().map_or(1, |course| course.bins_per_interval);
        let intervals: Vec<Vec<Tally>> = courses.iter().map(|course| course.intervals().collect()).collect();
        let intervals: Vec<&[Tally]> = intervals.iter().map(Vec::as_slice).collect();
        let bins: Vec<&[Tally]> = courses.iter().map(|course| course.bins.as_slice()).collect();
        Self {
            runs: courses.len() as u64,
            first_refusal: Spread::of(courses.iter().map(|course| course.first_refusal)),
            last_refusal: Spread::of(courses.iter().map(|course| course.last_refusal)),
            capacity_reached: Spread::of(courses.iter().map(|course| course.capacity_reached)),
            refused: Spread::of(courses.iter().map(refused)),
            intervals: stretches(&intervals, 1.0),
            bins: stretches(&bins, 1.0 / bins_per_interval as f64),
        }
    }
}

/// Run by run tallies of the same stretches, as summaries.
fn stretches(runs: &[&[Tally]], length: f64) -> Vec<TallySummary> {
    let count = runs.first().map_or(0, |tallies| tallies.len());
    let stretch = |at: usize| {
        let of = |number: fn(&Tally) -> u64| Spread::of(runs.iter().map(|tallies| Some(number(&tallies[at]) as f64)));
        TallySummary {
            from: at as f64 * length,
            until: (at + 1) as f64 * length,
            rejected: Spread::of(runs.iter().map(|tallies| tallies[at].rejection())),
            supporters: of(|tally| tally.supporters),
            watching: of(|tally| tally.watching),
            interrupted: of(|tally| tally.interrupted),
        }
    };
    (0..count).map(stretch).collect()
}
