//! What does the process itself do? Runs of the event simulation for one cluster, with a progress bar.

use std::io::IsTerminal;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use trellis_model::event::{Process, Setup, Spread, Summary};
use trellis_model::{InputError, Sharing};

use super::input::Cluster;

/// How one cluster is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// How many runs.
    pub runs: u32,
    /// Of the first; the others have the numbers after it.
    pub seed: u64,
    /// Who may serve one session.
    pub sharing: Sharing,
    /// How many intervals.
    pub intervals: u32,
}

impl Series {
    /// Runs it, on all processors.
    pub fn run(self, cluster: &Cluster) -> Result<Summary> {
        let process = self.process(cluster)?;
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new(self.runs.into()) } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template("simulating {wide_bar} {pos}/{len} runs, {eta} to go")?);
        let threads = std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
        let runs = process.runs(self.seed, self.runs, threads, |done| bar.set_position(done.into()));
        bar.finish_and_clear();
        Ok(Summary::of(&runs.map_err(|error: InputError| error.of("--runs"))?))
    }

    /// What is run; an error says why that cannot be.
    pub fn process(self, cluster: &Cluster) -> Result<Process> {
        let setup = Setup { sharing: self.sharing, ..Setup::new(cluster.offer(), self.intervals) };
        Ok(Process::new(setup)?)
    }

    /// As many runs as take some seconds, at most so many; none when a single one would take long.
    pub fn affordable(cluster: &Cluster, intervals: u32, most: u32) -> u32 {
        let requests = cluster.arrivals.get() * cluster.length.get() * f64::from(intervals);
        ((PATIENCE_REQUESTS / requests.max(1.0)) as u32).min(most)
    }
}

/// Requests simulated in some seconds.
const PATIENCE_REQUESTS: f64 = 2e7;

/// Mean of a number over the runs that had it, how it scatters, and the interval that holds the true mean with 95 %.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    pub runs: u64,
    pub mean: f64,
    pub sd: f64,
    pub low: f64,
    pub high: f64,
}

impl From<Spread> for Measured {
    fn from(spread: Spread) -> Self {
        let (low, high) = spread.mean_95();
        Self { runs: spread.runs, mean: spread.mean, sd: spread.sd, low, high }
    }
}
