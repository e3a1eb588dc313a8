//! How large must H be? As large as nearly every part takes to arrive, plus the time a rescue takes.
//!
//! Rises at once, for late is a stall; falls slowly, for every change moves everybody's playback.

use core::time::Duration;

use crate::limits::HOLD_BACK_MIN;
use crate::time::Instant;

/// The delays peers reported lately, and what follows.
#[derive(Debug, Clone)]
pub struct Hold {
    delays: [u32; BUCKETS],
    count: u32,
    most: Duration,
    now: Duration,
    next: Instant,
}

const BUCKETS: usize = 64;
/// Width of a bucket.
const STEP_MS: u64 = 50;
/// Whoever else has it is asked, then a want reaches the edge and its chunks come back: with less, a pusher that is as
/// late as usual would be taken for one that fails, and what it brings would come twice.
const RESCUE: Duration = Duration::from_millis(500);
/// Looked at this often; older delays then count half.
const EVERY: Duration = Duration::from_secs(5);
/// Smaller changes are not worth anybody's while, and it never falls by more at once.
const CHANGE: Duration = Duration::from_millis(100);
/// Fewer delays say nothing.
const COUNT_MIN: u32 = 20;

impl Hold {
    /// Starts with the least; never more than `most`.
    pub fn new(most: Duration, now: Instant) -> Self {
        let least = HOLD_BACK_MIN.min(most);
        Self { delays: [0; BUCKETS], count: 0, most, now: least, next: now + EVERY }
    }

    /// H.
    pub fn hold_back(&self) -> Duration {
        self.now
    }

    /// A peer's 99th percentile since its last report.
    pub fn report(&mut self, delay_us: u32) {
        if delay_us > 0 {
            self.delays[((u64::from(delay_us) / 1_000 / STEP_MS) as usize).min(BUCKETS - 1)] += 1;
            self.count += 1;
        }
    }

    /// Looks at it from time to time. True: H is another now.
    pub fn tick(&mut self, now: Instant) -> bool {
        if now < self.next || self.count < COUNT_MIN {
            return false;
        }
        self.next = now + EVERY;
        let wanted = (self.percentile_99() + RESCUE).clamp(HOLD_BACK_MIN.min(self.most), self.most);
        self.delays.iter_mut().for_each(|count| *count /= 2);
        self.count = self.delays.iter().sum();
        let before = self.now;
        if wanted >= self.now + CHANGE {
            self.now = wanted;
        } else if wanted + CHANGE <= self.now {
            self.now -= CHANGE;
        }
        self.now != before
    }

    fn percentile_99(&self) -> Duration {
        let mut left = self.count / 100;
        let late = self.delays.iter().rposition(|count| {
            let here = *count > left;
            left = left.saturating_sub(*count);
            here
        });
        Duration::from_millis((late.unwrap_or(0) as u64 + 1) * STEP_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_rises_at_once_with_the_slowest_hundredth_and_falls_slowly_within_its_bounds() {
        let mut hold = Hold::new(Duration::from_millis(2_000), Instant(0));
        let mut now = Instant(0);
        let mut look = |hold: &mut Hold, reports: &[(u32, u32)]| {
            reports.iter().for_each(|(ms, count)| (0..*count).for_each(|_| hold.report(ms * 1_000)));
            now = now + EVERY;
            hold.tick(now);
            hold.hold_back().as_millis()
        };
        assert_eq!(look(&mut hold, &[(300, 1_000)]), 1_000);
        assert_eq!(look(&mut hold, &[(300, 1_000), (1_100, 100)]), 1_650);
        assert_eq!(look(&mut hold, &[(300, 3_000), (3_000, 90)]), 2_000, "never more");
        assert_eq!(look(&mut hold, &[(300, 100_000)]), 1_900);
        assert_eq!(look(&mut hold, &[]), 1_800);
    }
}
