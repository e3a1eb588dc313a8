//! How fast may this peer give? A bucket that fills at the rate its user allows; what finds it empty waits.
//!
//! So a limit is to the brain what a slow line is, and its estimate of the uplink comes out at the limit by itself.

use std::time::{Duration, Instant};

/// The bucket.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: Option<u64>,
    /// In bytes times nanoseconds per second, so that nothing is lost in rounding. Negative: spent ahead.
    held: i128,
    at: Instant,
}

impl Pace {
    /// At most so many bit/s on the line; None: as fast as goes.
    pub fn new(bps: Option<u64>, now: Instant) -> Self {
        Self { bytes_per_s: bps.map(|bps| (bps / 8).max(1)), held: 0, at: now }
    }

    /// May something leave now?
    pub fn is_open(&mut self, now: Instant) -> bool {
        let Some(rate) = self.bytes_per_s else { return true };
        let passed = now.saturating_duration_since(self.at).as_nanos().min(BURST.as_nanos());
        self.at = self.at.max(now);
        self.held =
            (self.held + (passed * u128::from(rate)) as i128).min((BURST.as_nanos() * u128::from(rate)) as i128);
        self.held >= 0
    }

    /// It left, so many bytes of it.
    pub fn spend(&mut self, bytes: usize) {
        if self.bytes_per_s.is_some() {
            let on_the_line = bytes as i128 * OVERHEAD_PERCENT / 100;
            self.held -= on_the_line * 1_000_000_000;
        }
    }

    /// When something may leave again. None: it may, whatever is waited for.
    pub fn opens_at(&self) -> Option<Instant> {
        let missing = u128::try_from(-self.held).ok().filter(|missing| *missing > 0)?;
        let waits = missing.div_ceil(u128::from(self.bytes_per_s?));
        Some(self.at + Duration::from_nanos(waits.try_into().unwrap_or(u64::MAX)))
    }
}

/// What was not used for longer is lost.
const BURST: Duration = Duration::from_millis(50);
/// SCTP, DTLS, UDP and IP around what is sent, as measured.
const OVERHEAD_PERCENT: i128 = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_a_second_as_much_leaves_as_is_allowed() {
        let start = Instant::now();
        let (mut pace, mut now, mut sent) = (Pace::new(Some(8_560_000), start), start, 0);
        while now < start + Duration::from_secs(1) {
            while pace.is_open(now) {
                pace.spend(4_000);
                sent += 4_000;
            }
            let opens = pace.opens_at().unwrap();
            assert!(opens > now);
            now = opens;
        }
        assert!((996_000..=1_060_000).contains(&sent), "{sent}");
        assert!(Pace::new(None, start).is_open(start));
    }

    #[test]
    fn who_asks_often_waits_no_longer() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(8_000_000), start);
        pace.spend(1_000);
        let opens = pace.opens_at().unwrap();
        let asks = (0..).map(|n| start + Duration::from_nanos(700 * n));
        let opened = asks.into_iter().find(|now| pace.is_open(*now)).unwrap();
        assert!((opens..opens + Duration::from_micros(1)).contains(&opened), "{:?}", opened - start);
    }
}
