//! How fast may bytes leave? A token bucket without a lock: one number, the time at which all that was granted so
//! far will have left at the mean rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where on a budget's time bytes stand.
#[derive(Debug, Clone, Copy)]
pub struct Booked(u64);

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
        self.book(now, len).0
    }

    /// The same, and where they stand.
    pub fn book(&self, now: Instant, len: usize) -> (Duration, Booked) {
        self.book_at(self.ns(now), len)
    }

    /// Gives back what was booked, if nothing was after it: what stands behind it keeps its time, and what came into the
    /// gap at the end would leave at once with it.
    pub fn unbook(&self, Booked(end): Booked, len: usize) {
        let begin = end.saturating_sub(self.cost_ns(len));
        let _ = self.paid_until.compare_exchange(end, begin, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Grants `len` bytes if they may leave now; else says how long that will take, and grants nothing. More than the burst
    /// may leave when there is no debt, or it never could.
    pub fn try_take(&self, now: Instant, len: usize) -> Result<(), Duration> {
        let (now_ns, cost) = (self.ns(now), self.cost_ns(len));
        let took = self.paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| {
            let debt = paid.saturating_sub(now_ns);
            (debt <= self.burst_ns.saturating_sub(cost)).then(|| paid.max(now_ns).saturating_add(cost))
        });
        let delay = |debt: u64| Duration::from_nanos(debt.saturating_sub(self.burst_ns.saturating_sub(cost)));
        took.map(drop).map_err(|paid| delay(paid.saturating_sub(now_ns)))
    }

    /// Could these bytes leave now?
    pub fn has_room(&self, now: Instant, len: usize) -> bool {
        let debt = self.paid_until.load(Ordering::Relaxed).saturating_sub(self.ns(now));
        debt <= self.burst_ns.saturating_sub(self.cost_ns(len))
    }

    /// As many bytes as the burst has.
    pub fn burst_len(&self) -> usize {
        let len = u128::from(self.burst_ns) * u128::from(self.bytes_per_second) / 1_000_000_000;
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    /// Gives back what was granted and did not leave.
    pub fn refund(&self, len: usize) {
        let cost = self.cost_ns(len);
        let _ =
            self.paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(paid.saturating_sub(cost)));
    }

    fn ns(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_nanos() as u64
    }

    fn cost_ns(&self, len: usize) -> u64 {
        // Exact up to 18 GB at once, and pieces are far smaller.
        (len as u64).saturating_mul(1_000_000_000) / self.bytes_per_second
    }

    fn book_at(&self, now_ns: u64, len: usize) -> (Duration, Booked) {
        let cost = self.cost_ns(len);
        let start = |paid: u64| paid.max(now_ns);
        let paid = self
            .paid_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid| Some(start(paid).saturating_add(cost)))
            .unwrap_or_else(|paid| paid);
        // The bytes may go once the debt, theirs included, is within the burst.
        let end = start(paid).saturating_add(cost);
        (Duration::from_nanos((end - now_ns).saturating_sub(self.burst_ns)), Booked(end))
    }
}

#[cfg(test)]
impl Budget {
    fn take_at(&self, now_ns: u64, len: usize) -> Duration {
        self.book_at(now_ns, len).0
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

    #[test]
    fn what_is_given_back_in_any_order_never_lets_more_leave_at_once() {
        let budget = Budget::new(1_000_000, Duration::from_millis(500));
        let due = |booked: &[(Duration, Booked)]| booked.iter().map(|(due, _)| due.as_millis()).collect::<Vec<_>>();
        let booked: Vec<_> = (0..4).map(|_| budget.book_at(0, 500_000)).collect();
        assert_eq!(due(&booked), [0, 500, 1_000, 1_500]);
        budget.unbook(booked[1].1, 500_000);
        assert_eq!(budget.take_at(0, 500_000), Duration::from_millis(2_000), "the gap is no room at the end");
        assert_eq!(budget.take_at(5_000_000_000, 500_000), Duration::ZERO);
        let last = budget.book_at(5_000_000_000, 500_000).1;
        budget.unbook(last, 500_000);
        assert_eq!(budget.take_at(5_000_000_000, 500_000), Duration::from_millis(500));
    }
}
