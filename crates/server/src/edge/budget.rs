//! How fast may bytes leave? A token bucket without a lock: one number, the time at which all that was granted so
//! far will have left at the mean rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A mean rate with a burst.
#[derive(Debug)]
pub struct Budget {
    epoch: Instant,
    bytes_per_second: u64,
    burst_ns: u64,
    /// ns since `epoch`.
    paid_until: AtomicU64,
}

impl Budget {
    /// `bytes_per_second`, up to `burst` of which may leave at once.
    pub fn new(bytes_per_second: u64, burst: Duration) -> Self {
        let burst_ns = burst.as_nanos() as u64;
        Self {
            epoch: Instant::now(),
            bytes_per_second: bytes_per_second.max(1),
            burst_ns,
            paid_until: AtomicU64::new(0),
        }
    }

    /// Grants `len` bytes and says how long to wait before they may leave.
    pub fn take(&self, now: Instant, len: usize) -> Duration {
        self.take_at(now.saturating_duration_since(self.epoch).as_nanos() as u64, len)
    }

    /// Gives back what was granted and did not leave.
    pub fn refund(&self, len: usize) {
        let cost = self.cost_ns(len);
        let _ =
            self.paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(paid.saturating_sub(cost)));
    }

    fn cost_ns(&self, len: usize) -> u64 {
        // Exact up to 18 GB at once, and pieces are far smaller.
        (len as u64).saturating_mul(1_000_000_000) / self.bytes_per_second
    }

    fn take_at(&self, now_ns: u64, len: usize) -> Duration {
        let cost = self.cost_ns(len);
        let start = |paid: u64| paid.max(now_ns);
        let paid = self
            .paid_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(start(paid).saturating_add(cost)))
            .unwrap_or_else(|paid| paid);
        // The bytes may go once the debt, theirs included, is within the burst; a single large piece is not held for
        // its own length, or it could never start.
        let debt = start(paid) - now_ns;
        Duration::from_nanos(debt.saturating_sub(self.burst_ns.saturating_sub(cost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_rate_times_time_plus_burst() {
        let budget = Budget::new(1_000_000, Duration::from_millis(500));
        let second = 1_000_000_000u64;
        let mut now = 0;
        let mut sent = 0u64;
        for step in 0..5_000u64 {
            now += step % 7 * 1_000_000;
            let len = 1_000 + (step * 7_919 % 60_000) as usize;
            now += budget.take_at(now, len).as_nanos() as u64;
            sent += len as u64;
            assert!(sent <= now * 1_000_000 / second + 500_000 + 1, "step {step}: {sent} bytes after {now} ns");
        }
    }

    #[test]
    fn an_idle_budget_lets_a_burst_go_at_once() {
        let budget = Budget::new(1_000_000, Duration::from_millis(500));
        assert_eq!(budget.take_at(0, 500_000), Duration::ZERO);
        assert_eq!(budget.take_at(0, 100_000), Duration::from_millis(100));
    }

    #[test]
    fn what_is_given_back_can_be_granted_again() {
        let budget = Budget::new(1_000_000, Duration::from_millis(500));
        for _ in 0..100 {
            assert_eq!(budget.take_at(0, 400_000), Duration::ZERO);
            budget.refund(400_000);
        }
    }
}
