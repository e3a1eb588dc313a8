//! When did a part come to be, by my clock? Nothing says so: descriptors come when they come, over more or fewer peers.
//!
//! The earliest of the last half minute to a minute tells: all parts come to be at the pace of their time line, and what
//! came later than the earliest was held up on its way. Older ones are forgotten, for clocks drift: by 6 ms a minute when
//! one is a part in ten thousand faster than the other.

use core::time::Duration;

use trellis_proto::RunId;

use crate::time::Instant;

/// How a run's time line lies on this peer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Of which run.
    pub run: RunId,
    /// When its first descriptor came.
    pub first_seen: Instant,
    /// The earliest that the descriptor of media time zero would have come: in this window, and in the one before.
    earliest_us: [i64; 2],
    /// When this window began.
    since: Instant,
}

impl Pace {
    /// The first descriptor of a run came, of a part that starts there on its time line.
    pub fn new(run: RunId, now: Instant, start_us: u64) -> Self {
        Self { run, first_seen: now, earliest_us: [zero_us(now, start_us); 2], since: now }
    }

    /// Another came.
    pub fn on_descriptor(&mut self, now: Instant, start_us: u64) {
        let zero_us = zero_us(now, start_us);
        if now.since(self.since) >= WINDOW {
            (self.earliest_us, self.since) = ([zero_us, self.earliest_us[0]], now);
        }
        self.earliest_us[0] = self.earliest_us[0].min(zero_us);
    }

    /// When the descriptor of a part that starts there came, had it come as fast as the fastest.
    pub fn arrival(&self, start_us: u64) -> Instant {
        let [now, before] = self.earliest_us;
        Instant(now.min(before).saturating_add(i64::try_from(start_us).unwrap_or(i64::MAX)).max(0) as u64)
    }
}

fn zero_us(now: Instant, start_us: u64) -> i64 {
    let micros = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
    micros(now.0) - micros(start_us)
}

/// Long enough for some to come undelayed, short enough for clocks that drift.
const WINDOW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;

    const PART_US: u64 = 330_000;

    /// The error after each part of ten minutes, µs: of `ppm` the peer's clock is faster than the origin's.
    fn errors(ppm: i64, mut held_up_us: impl FnMut(u64) -> u64) -> impl Iterator<Item = i64> {
        let came =
            move |part: u64| Instant((5_000_000 + (part * PART_US) as i64 * (1_000_000 + ppm) / 1_000_000) as u64);
        let mut pace = Pace::new(RunId(1), came(0) + Duration::from_micros(held_up_us(0)), 0);
        (1..600_000_000 / PART_US).map(move |part| {
            pace.on_descriptor(came(part) + Duration::from_micros(held_up_us(part)), part * PART_US);
            pace.arrival(part * PART_US).0 as i64 - came(part).0 as i64
        })
    }

    #[test]
    fn neither_clocks_that_drift_nor_what_is_held_up_on_its_way_change_it_by_20_ms() {
        for ppm in [-100, 0, 100] {
            let mut seeded = Seeded::new(7);
            let jitter = errors(ppm, move |_| seeded.below(150_000));
            let worst = jitter.skip(60).map(i64::abs).max();
            assert!(worst < Some(20_000), "{ppm} ppm: {worst:?}");
        }
    }

    #[test]
    fn a_quarter_of_a_minute_of_trouble_changes_nothing_and_a_stream_that_went_on_later_is_followed() {
        let trouble = errors(0, |part| if (600..645).contains(&part) { 400_000 } else { 0 });
        assert_eq!(trouble.map(i64::abs).max(), Some(0));
        let later = errors(0, |part| if part > 600 { 1_000_000 } else { 0 });
        assert_eq!(later.last(), Some(1_000_000));
    }
}
