//! Which bytes may leave the edge now, when more are asked for than its upload budget carries?
//!
//! There are two classes. What a session takes at its own rate is its *share*: that was promised at its admission, so
//! it waits for nobody. Everything faster, such as filling a buffer or catching up, is *surplus*: it leaves only while
//! the edge has no debt, first come, first served.
//!
//! Invariant: whatever others ask, a session that takes no more than its rate gets its bytes at its rate; for admission
//! never promises more than the budget, all shares together fit into it. In any time no more media leaves than the budget
//! for that time and for half a second; playlists, which may run ahead of their session's share, for a second more; and what
//! engines' pages have to read before they can play, which no session was promised, for a twentieth of the budget.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::budget::{Booked, Budget};

/// The way out of an edge.
pub struct Gate {
    /// All that leaves, of either class.
    budget: Budget,
    /// Of that what engines' pages have to read first.
    brief: Budget,
    surplus: Mutex<Queue>,
    /// Of the queue: looked at by every answer, so without its lock.
    queued: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// At this length those who have left are taken out.
    tidy_at: usize,
}

struct Waiting {
    len: usize,
    granted: oneshot::Sender<Grant>,
}

/// Bytes that may leave. Given back when dropped, unless they did.
pub struct Grant {
    gate: Arc<Gate>,
    len: usize,
    left: bool,
}

/// What becomes of a piece.
pub enum Verdict {
    /// It leaves as surplus: the share it asked for is untouched.
    Surplus(Grant),
    /// It leaves as share.
    Share(Grant, Booked),
    /// Its share is booked and comes due; a grant of surplus may come sooner.
    Wait {
        /// From now.
        due: Duration,
        /// With the share.
        booked: Booked,
        /// Comes when there is room for surplus.
        granted: oneshot::Receiver<Grant>,
        /// Nobody waited before: somebody has to [`Gate::serve`] from now on.
        first: bool,
    },
}

impl Gate {
    /// Of an edge that may upload so much.
    pub fn new(bytes_per_second: u64) -> Arc<Self> {
        let (surplus, queued) = Default::default();
        let brief = Budget::new(bytes_per_second / BRIEF_PART, BRIEF_SAVED);
        Arc::new(Self { budget: Budget::new(bytes_per_second, BURST), brief, surplus, queued })
    }

    /// The share of a session of this rate.
    pub fn share(bytes_per_second: u64) -> Budget {
        Budget::new(bytes_per_second, BURST)
    }

    /// Asks for `len` bytes of a session with this share. `ahead` is how much sooner than its share it may leave.
    pub fn ask(self: &Arc<Self>, now: Instant, share: &Budget, len: usize, ahead: Duration) -> Verdict {
        if self.has_room(now, len) {
            return Verdict::Surplus(self.grant(len));
        }
        let (due, booked) = share.book(now, len);
        let due = due.saturating_sub(ahead);
        if due < TIMER_MIN {
            return Verdict::Share(self.book(now, len), booked);
        }
        let (granted, receiver) = oneshot::channel();
        let mut queue = self.queue();
        let first = queue.waiting.is_empty();
        queue.push(Waiting { len, granted });
        self.queued.store(queue.waiting.len(), Ordering::Release);
        Verdict::Wait { due, booked, granted: receiver, first }
    }

    /// Would a piece as large as any leave at once? Then it need not be cut as small as a share.
    pub fn is_calm(&self, now: Instant) -> bool {
        self.queued.load(Ordering::Acquire) == 0 && self.budget.has_room(now, STEP_MAX)
    }

    /// Lets `len` bytes out at once, or not at all. Says whether.
    pub fn pass(&self, now: Instant, share: &Budget, len: usize) -> bool {
        if self.has_room(now, len) {
            return true;
        }
        let of_share = len <= share.burst_len() && share.try_take(now, len).is_ok();
        if of_share {
            self.budget.take(now, len);
        }
        of_share
    }

    /// Lets `len` bytes that a page has to read first out at once, if its session and the edge have so much left for that.
    pub fn briefly(self: &Arc<Self>, now: Instant, session: &Budget, len: usize) -> Option<Grant> {
        if len > session.burst_len() || session.try_take(now, len).is_err() {
            return None;
        }
        if self.brief.try_take(now, len).is_err() {
            session.refund(len);
            return None;
        }
        Some(self.book(now, len))
    }

    /// Books what leaves without asking, as share does: the less surplus leaves after it.
    pub fn book(self: &Arc<Self>, now: Instant, len: usize) -> Grant {
        self.budget.take(now, len);
        self.grant(len)
    }

    /// Grants surplus to those in front. Says how long there is nothing more to do; none: nobody waits.
    pub fn serve(self: &Arc<Self>, now: Instant) -> Option<Duration> {
        let mut queue = self.queue();
        let wait = loop {
            let Some(front) = queue.waiting.front() else { break None };
            // Who has gone, or left as share, takes no room.
            let here = !front.granted.is_closed();
            if here && let Err(wait) = self.budget.try_take(now, front.len) {
                break Some(wait.max(TIMER_MIN));
            }
            if let Some(Waiting { len, granted }) = queue.waiting.pop_front().filter(|_| here) {
                // Going at this very moment drops the grant, which gives it back.
                let _ = granted.send(self.grant(len));
            }
        };
        self.queued.store(queue.waiting.len(), Ordering::Release);
        wait
    }

    /// Books surplus, if it may leave now and nobody was there before.
    fn has_room(&self, now: Instant, len: usize) -> bool {
        self.queued.load(Ordering::Acquire) == 0 && self.budget.try_take(now, len).is_ok()
    }

    fn grant(self: &Arc<Self>, len: usize) -> Grant {
        Grant { gate: self.clone(), len, left: false }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.surplus.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Live ones are as many as requests in flight; of those that have gone there are never more.
    fn push(&mut self, waiting: Waiting) {
        if self.waiting.len() >= self.tidy_at.max(TIDY_MIN) {
            self.waiting.retain(|waiting| !waiting.granted.is_closed());
            self.tidy_at = 2 * self.waiting.len();
        }
        self.waiting.push_back(waiting);
    }
}

impl Grant {
    /// The bytes have left.
    pub fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.left {
            self.gate.budget.refund(self.len);
        }
    }
}

/// A timer is no finer.
pub const TIMER_MIN: Duration = Duration::from_millis(1);
/// Media leaves in steps no larger than this, so that a slow budget is shared among viewers piece by piece.
pub const STEP_MAX: usize = 256 * 1024;
/// How far ahead of its mean rate surplus may run, and so each session ahead of its share: together half a second of the
/// budget, so shares need not wait for each other either.
const BURST: Duration = Duration::from_millis(250);
const TIDY_MIN: usize = 64;
/// Of the budget one part in so many may leave although nobody was promised it, ...
const BRIEF_PART: u64 = 20;
/// ... saved up for so long: half a second of the whole, which is some ten pages that load at an edge of 1 Mbit/s.
const BRIEF_SAVED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: usize = 132_500;
    const VIEWERS: usize = 11;
    const BUDGET: usize = 1_500_000;
    /// What a session's pieces are cut to.
    const PIECE: usize = RATE / 4;
    const TICK: Duration = Duration::from_millis(1);

    /// One viewer's answers at the gate, by a clock of the test's own.
    struct Viewer {
        share: Budget,
        waiting: Vec<(usize, Instant, Booked, oneshot::Receiver<Grant>)>,
        got: usize,
    }

    impl Viewer {
        fn new() -> Self {
            Self { share: Gate::share(RATE as u64), waiting: Vec::new(), got: 0 }
        }

        fn ask(&mut self, gate: &Arc<Gate>, now: Instant, len: usize) {
            match gate.ask(now, &self.share, len, Duration::ZERO) {
                Verdict::Surplus(grant) | Verdict::Share(grant, _) => self.take(len, grant),
                Verdict::Wait { due, booked, granted, .. } => self.waiting.push((len, now + due, booked, granted)),
            }
        }

        fn look(&mut self, gate: &Arc<Gate>, now: Instant) {
            for (len, due, booked, mut granted) in std::mem::take(&mut self.waiting) {
                if let Ok(grant) = granted.try_recv() {
                    self.share.unbook(booked, len);
                    self.take(len, grant);
                } else if due <= now {
                    self.take(len, gate.book(now, len));
                } else {
                    self.waiting.push((len, due, booked, granted));
                }
            }
        }

        fn take(&mut self, len: usize, grant: Grant) {
            grant.leave();
            self.got += len;
        }
    }

    #[test]
    fn whatever_others_ask_who_takes_no_more_than_its_rate_gets_it_at_its_rate() {
        let gate = Gate::new(BUDGET as u64);
        let mut good = Viewer::new();
        // All join at once, and each always has twenty answers under way.
        let mut greedy: Vec<_> = (1..VIEWERS).map(|_| Viewer::new()).collect();
        let begin = Instant::now();
        let (mut asked, mut left_then) = (0, VecDeque::new());
        for tick in 0..60_000u32 {
            let now = begin + tick * TICK;
            gate.serve(now);
            for viewer in &mut greedy {
                viewer.look(&gate, now);
                while viewer.waiting.len() < 20 {
                    viewer.ask(&gate, now, PIECE);
                }
            }
            // A segment of two seconds, as long as its rate allows, every two seconds, piece after piece.
            good.look(&gate, now);
            let entitled = RATE * (tick % 2_000) as usize / 1_000;
            if tick % 2_000 == 0 {
                assert!(asked <= good.got + PIECE, "{tick} ms: {} of {asked} bytes", good.got);
                asked += 2 * RATE;
            }
            while good.waiting.is_empty() && good.got < asked {
                good.ask(&gate, now, PIECE.min(asked - good.got));
            }
            assert!(good.got + PIECE >= asked - 2 * RATE + entitled, "{tick} ms: {} of {asked} bytes", good.got);
            // And over any ten seconds no more leaves than the budget allows, and hardly less.
            let left = good.got + greedy.iter().map(|viewer| viewer.got).sum::<usize>();
            left_then.push_back(left);
            if left_then.len() > 10_000 {
                let in_ten = left - left_then.pop_front().unwrap_or(0);
                assert!(in_ten <= 10 * BUDGET + BUDGET / 2, "{tick} ms: {in_ten} bytes");
                assert!(in_ten + BUDGET / 2 >= 10 * BUDGET, "{tick} ms: {in_ten} bytes");
            }
        }
        assert!(greedy.iter().all(|viewer| viewer.got >= 59 * RATE), "nor does any of the greedy starve");
    }

    #[test]
    fn who_has_gone_takes_no_room_and_no_memory() {
        let gate = Gate::new(BUDGET as u64);
        let (share, now) = (Gate::share(1), Instant::now());
        assert!(gate.pass(now, &share, BUDGET / 4), "the burst");
        share.take(now, 1_000_000);
        let ask = |len| gate.ask(now, &share, len, Duration::ZERO);
        let kept = ask(1_000);
        assert!(matches!(kept, Verdict::Wait { first: true, .. }));
        (0..10_000).for_each(|_| assert!(matches!(ask(BUDGET), Verdict::Wait { first: false, .. })));
        assert!(gate.queue().waiting.len() <= TIDY_MIN);
        assert!(gate.serve(now).is_some());
        let later = now + Duration::from_millis(10);
        assert_eq!(gate.serve(later), None);
        drop(kept);
        // 10 ms are 15 kB: what was granted and not taken is there again.
        assert!(gate.pass(later, &share, 15_000) && !gate.pass(later, &share, 1_000));
    }
}
