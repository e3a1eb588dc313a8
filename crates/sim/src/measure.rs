//! What came of it? Counters that only grow, and distributions.

use serde::Serialize;
use trellis_model::bounds::{Losses, server_bps_min};
use trellis_model::{Bps, Share};

/// Why an edge sent a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Pushed to somebody who has a slot at the edge: a root, or a leaf nobody else could take.
    Push,
    /// To fill the buffer of one who has not started yet.
    StartUp,
    /// Asked for because its deadline was near.
    Rescue,
    /// Asked for without haste.
    Pull,
}

/// What was counted since the beginning; bytes and µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Events handled.
    pub events: u64,
    /// Chunk payload sent by edges: pushed.
    pub edge_push_bytes: u64,
    /// Chunk payload sent by edges: to those who have not started yet.
    pub edge_start_up_bytes: u64,
    /// Chunk payload sent by edges: urgent.
    pub edge_rescue_bytes: u64,
    /// Chunk payload sent by edges: asked for.
    pub edge_pull_bytes: u64,
    /// Everything else edges sent.
    pub edge_control_bytes: u64,
    /// Chunk payload sent by peers.
    pub peer_media_bytes: u64,
    /// Everything else peers sent.
    pub peer_control_bytes: u64,
    /// Parts delivered to players: the demand that was met.
    pub delivered_bytes: u64,
    /// Chunk payload that came to somebody who had it.
    pub duplicate_bytes: u64,
    /// Wrong chunks sent.
    pub polluted_chunks: u64,
    /// max{r(1+h), N·r(1+h) − ηΣu} over time, Σu of those who can give.
    pub bound_bytes: f64,
    /// The same with the uplinks of all, also of those behind a firewall.
    pub bound_all_bytes: f64,
    /// Time watched by those who had started.
    pub viewing_us: u64,
    /// Viewer-seconds without a link to an edge.
    pub homeless_us: u64,
    /// Chunks rescued, asked from peers, parents given up, senders cut off: as peers told.
    pub rescues: u64,
    /// See `rescues`.
    pub pulls: u64,
    /// See `rescues`.
    pub switches: u64,
    /// See `rescues`.
    pub cut_off: u64,
    /// Parts that were not whole when due, as peers told.
    pub missed: u64,
    /// Links between peers tried.
    pub dials: u64,
    /// Links between peers that did not come about.
    pub dials_failed: u64,
}

impl Tally {
    /// Chunk payload sent by edges.
    pub fn edge_media_bytes(&self) -> u64 {
        self.edge_push_bytes + self.edge_start_up_bytes + self.edge_rescue_bytes + self.edge_pull_bytes
    }

    /// Counts a chunk sent by an edge.
    pub fn on_edge_chunk(&mut self, purpose: Purpose, bytes: u64) {
        *match purpose {
            Purpose::Push => &mut self.edge_push_bytes,
            Purpose::StartUp => &mut self.edge_start_up_bytes,
            Purpose::Rescue => &mut self.edge_rescue_bytes,
            Purpose::Pull => &mut self.edge_pull_bytes,
        } += bytes;
    }

    /// What was counted since an earlier one.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            events: self.events - earlier.events,
            edge_push_bytes: self.edge_push_bytes - earlier.edge_push_bytes,
            edge_start_up_bytes: self.edge_start_up_bytes - earlier.edge_start_up_bytes,
            edge_rescue_bytes: self.edge_rescue_bytes - earlier.edge_rescue_bytes,
            edge_pull_bytes: self.edge_pull_bytes - earlier.edge_pull_bytes,
            edge_control_bytes: self.edge_control_bytes - earlier.edge_control_bytes,
            peer_media_bytes: self.peer_media_bytes - earlier.peer_media_bytes,
            peer_control_bytes: self.peer_control_bytes - earlier.peer_control_bytes,
            delivered_bytes: self.delivered_bytes - earlier.delivered_bytes,
            duplicate_bytes: self.duplicate_bytes - earlier.duplicate_bytes,
            polluted_chunks: self.polluted_chunks - earlier.polluted_chunks,
            bound_bytes: self.bound_bytes - earlier.bound_bytes,
            bound_all_bytes: self.bound_all_bytes - earlier.bound_all_bytes,
            viewing_us: self.viewing_us - earlier.viewing_us,
            homeless_us: self.homeless_us - earlier.homeless_us,
            rescues: self.rescues - earlier.rescues,
            pulls: self.pulls - earlier.pulls,
            switches: self.switches - earlier.switches,
            cut_off: self.cut_off - earlier.cut_off,
            missed: self.missed - earlier.missed,
            dials: self.dials - earlier.dials,
            dials_failed: self.dials_failed - earlier.dials_failed,
        }
    }
}

/// Times, to the millisecond up to a minute.
#[derive(Debug, Clone, Default)]
pub struct Times {
    counts: Vec<u32>,
    total: u64,
    sum_us: u64,
}

/// The longest time told apart, ms.
const LONGEST_MS: u64 = 60_000;

impl Times {
    /// One more, µs.
    pub fn add(&mut self, us: u64) {
        let at = (us / 1_000).min(LONGEST_MS) as usize;
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
        self.total += 1;
        self.sum_us += us;
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Below which so many lie, ms; None: there are none.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut below = 0;
        self.counts.iter().enumerate().find_map(|(ms, count)| {
            below += u64::from(*count);
            (below >= rank && self.total > 0).then_some(ms as f64)
        })
    }

    /// The mean, ms; 0 when there are none.
    pub fn mean_ms(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum_us as f64 / self.total as f64 / 1e3 }
    }

    /// (ms, share of all up to there), for a plot.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let mut below = 0;
        let points = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        points
            .map(|(ms, count)| {
                below += u64::from(*count);
                (ms as f64, below as f64 / self.total as f64)
            })
            .collect()
    }
}

/// Jain's index: 1 when all are equal, 1/n when one has all.
pub fn fairness(values: &[f64]) -> f64 {
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(sum, squares), it| (sum + it, squares + it * it));
    if squares == 0.0 { 1.0 } else { sum * sum / (values.len() as f64 * squares) }
}

/// η: what of the uplinks can be put to use.
const ETA: f64 = 0.95;
/// h: what headers and the like add.
const HEADERS: f64 = 0.03;

/// The least servers must send to `viewers` of rate `rate_bps` who together can give `uplinks_bps`, bit/s: one copy, or
/// what the viewers lack.
pub fn bound_bps(viewers: u32, rate_bps: f64, uplinks_bps: f64) -> f64 {
    let rate = |bps| Bps::new(bps).expect("a scenario's rates are positive numbers");
    let share = |share| Share::new(share).expect("it lies between 0 and 1");
    let losses = Losses { utilization: share(ETA), overhead: share(HEADERS) };
    server_bps_min(rate(rate_bps), viewers, rate(uplinks_bps), losses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_fairness_and_the_bound() {
        let mut times = Times::default();
        assert_eq!(times.percentile_ms(0.5), None);
        (1..=100).for_each(|ms| times.add(ms * 1_000));
        assert_eq!([0.5, 0.95, 1.0].map(|share| times.percentile_ms(share)), [Some(50.0), Some(95.0), Some(100.0)]);
        assert_eq!(fairness(&[2.0, 2.0]), 1.0);
        assert_eq!(fairness(&[1.0, 0.0, 0.0, 0.0]), 0.25);
        assert_eq!(bound_bps(10, 1e6, 20e6), 1.03e6);
        assert_eq!(bound_bps(10, 1e6, 8e6).round(), 2.7e6);
    }
}
