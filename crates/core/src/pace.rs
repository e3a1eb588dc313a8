//! When did a part come to be, by my clock? Nothing says so: descriptors come when they come, over more or fewer peers.
//!
//! The earliest of the last half minute to a minute tells: all parts come to be at the pace of their time line, and what
//! came later than the earliest was held up on its way. Older ones are forgotten, for clocks drift: by 6 ms a minute when
//! one is a part in ten thousand faster than the other. But when nothing came for a second, or for some seconds nothing near the time
//! it was expected at, then the publisher paused, and everything is later from there on. (A giver that holds back all it knows,
//! while nobody else says more, looks the same.)

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
    /// The same of the last seconds.
    lately_us: [i64; 2],
    lately_since: Instant,
    /// When the newest came.
    newest: Instant,
}

impl Pace {
    /// The first descriptor of a run came, of a part that starts there on its time line.
    pub fn new(run: RunId, now: Instant, start_us: u64) -> Self {
        let only = [zero_us(now, start_us); 2];
        Self { run, first_seen: now, earliest_us: only, since: now, lately_us: only, lately_since: now, newest: now }
    }

    /// Another came.
    pub fn on_descriptor(&mut self, now: Instant, start_us: u64) {
        let zero_us = zero_us(now, start_us);
        if now.since(self.since) >= WINDOW {
            (self.earliest_us, self.since) = ([zero_us, self.earliest_us[0]], now);
        }
        self.earliest_us[0] = self.earliest_us[0].min(zero_us);
        if now.since(self.newest) >= PAUSE {
            (self.lately_us, self.lately_since) = ([zero_us; 2], now);
        }
        self.newest = now;
        if now.since(self.lately_since) >= LATELY {
            (self.lately_us, self.lately_since) = ([zero_us, self.lately_us[0]], now);
        }
        self.lately_us[0] = self.lately_us[0].min(zero_us);
    }

    /// When the descriptor of a part that starts there came, had it come as fast as the fastest since its publisher paused.
    pub fn arrival(&self, start_us: u64) -> Instant {
        let [earliest, lately] = [self.earliest_us, self.lately_us].map(|[now, before]| now.min(before));
        at(if lately >= earliest + LATER_MIN_US { lately } else { earliest }, start_us)
    }

    /// The same, had it come as fast as the fastest of the last half minute to a minute.
    pub fn earliest(&self, start_us: u64) -> Instant {
        let [now, before] = self.earliest_us;
        at(now.min(before), start_us)
    }
}

fn at(zero_us: i64, start_us: u64) -> Instant {
    Instant(zero_us.saturating_add(i64::try_from(start_us).unwrap_or(i64::MAX)).max(0) as u64)
}

fn zero_us(now: Instant, start_us: u64) -> i64 {
    let micros = |us: u64| i64::try_from(us).unwrap_or(i64::MAX);
    micros(now.0) - micros(start_us)
}

/// Long enough for some to come undelayed, short enough for clocks that drift.
const WINDOW: Duration = Duration::from_secs(30);
const LATELY: Duration = Duration::from_secs(2);
/// H is there for less.
const LATER_MIN_US: i64 = 500_000;
/// Parts are a third of a second long: three should have come.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded::Seeded;
    use alloc::vec::Vec;

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
    fn a_quarter_of_a_minute_in_which_all_is_less_late_than_h_changes_nothing_and_a_stream_that_went_on_later_is_followed()
     {
        let trouble = errors(0, |part| if (600..645).contains(&part) { 400_000 } else { 0 });
        assert_eq!(trouble.map(i64::abs).max(), Some(0));
        let later = errors(0, |part| if part > 600 { 450_000 } else { 0 });
        assert_eq!(later.last(), Some(450_000));
    }

    #[test]
    fn a_publisher_that_paused_is_followed_within_four_seconds() {
        let later: Vec<_> = errors(0, |part| if part > 600 { 1_000_000 } else { 0 }).skip(599).collect();
        assert_eq!((later[0], later[12], later[1_000]), (0, 1_000_000, 1_000_000));
        let at_once: Vec<_> = errors(0, |part| if part > 600 { 4_000_000 } else { 0 }).skip(599).collect();
        assert_eq!(at_once[..3], [0, 4_000_000, 4_000_000]);
        let lump = errors(0, |part| if (601..609).contains(&part) { PART_US * (609 - part) } else { 0 });
        let errors_ms: Vec<_> = lump.skip(598).map(|us| us / 1_000).collect();
        assert_eq!(errors_ms[..12], [0, 0, 2_640, 2_310, 1_980, 1_650, 1_320, 990, 660, 0, 0, 0]);
    }
}
