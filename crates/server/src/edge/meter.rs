//! What stands between an answer and the socket: the edge's budget, the session's pace, and the account.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::time::Sleep;

use super::budget::Budget;
use super::session::Visit;
use crate::http::body::Meter;

/// Counters of what left, by kind.
pub struct Sent {
    media: Counter,
    other: Counter,
}

impl Sent {
    /// Finds the counters once: looking them up for every answer would cost more than counting.
    pub fn new() -> Self {
        let counter = |kind: &'static str| metrics::counter!("trellis_edge_sent_bytes_total", "kind" => kind);
        Self { media: counter("media"), other: counter("other") }
    }

    /// The counter for media or for playlists and the like.
    pub fn of(&self, media: bool) -> Counter {
        if media { self.media.clone() } else { self.other.clone() }
    }
}

/// Media that leaves at once, in one piece, or not at all: booked and counted as [`Out`] would. Says whether it leaves.
pub fn pass(visit: &Visit, budget: &Budget, sent: &Sent, len: usize) -> bool {
    let (now, pace) = (Instant::now(), visit.session().pace());
    if len > STEP {
        return false;
    }
    if pace.take(now, len) >= TIMER_MIN {
        pace.refund(len);
        return false;
    }
    if budget.take(now, len) >= TIMER_MIN {
        pace.refund(len);
        budget.refund(len);
        return false;
    }
    sent.media.increment(len as u64);
    visit.passed(len as u64);
    true
}

/// The meter of one answer.
///
/// A piece first waits for its session's pace and only then books the edge's budget: bytes that cannot leave yet take
/// nothing from other viewers. What was booked and did not leave is given back, by whichever way the answer ends.
pub struct Out {
    visit: Visit,
    budget: Arc<Budget>,
    sent: Counter,
    media: bool,
    stage: Stage,
    wait: Option<Pin<Box<Sleep>>>,
}

/// How far the piece at the front is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing is booked.
    New,
    /// These bytes are booked with the session.
    Paced(usize),
    /// And with the edge.
    Booked(usize),
}

impl Out {
    /// For one answer to one visit.
    pub fn new(visit: Visit, budget: Arc<Budget>, sent: Counter, media: bool) -> Self {
        Self { visit, budget, sent, media, stage: Stage::New, wait: None }
    }

    /// Waits this long; a debt below [`TIMER_MIN`] carries over to the next piece.
    fn wait_for(&mut self, delay: Duration) {
        // Playlists must not wait behind segments, so they may run ahead; but not for ever.
        let delay = if self.media { delay } else { delay.saturating_sub(AHEAD) };
        if delay >= TIMER_MIN {
            self.wait = Some(Box::pin(tokio::time::sleep(delay)));
        }
    }
}

impl Meter for Out {
    fn poll_allow(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<()> {
        let now = Instant::now();
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match self.stage {
                Stage::New => {
                    self.wait_for(self.visit.session().pace().take(now, len));
                    self.stage = Stage::Paced(len);
                }
                Stage::Paced(_) => {
                    self.wait_for(self.budget.take(now, len));
                    self.stage = Stage::Booked(len);
                }
                Stage::Booked(_) => return Poll::Ready(()),
            }
        }
    }

    fn count(&mut self, len: usize) {
        self.stage = Stage::New;
        self.sent.increment(len as u64);
        self.visit.sent(len as u64, self.media);
    }

    fn step(&self) -> usize {
        if self.media { STEP } else { usize::MAX }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let (Stage::Paced(len) | Stage::Booked(len)) = self.stage else { return };
        self.visit.session().pace().refund(len);
        if self.stage == Stage::Booked(len) {
            self.budget.refund(len);
        }
    }
}

/// Media leaves in steps no larger than this, so that a slow budget is shared among viewers piece by piece.
const STEP: usize = 256 * 1024;
/// A timer is no finer.
const TIMER_MIN: Duration = Duration::from_millis(1);
/// How much longer than media what is not media may be in debt.
const AHEAD: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::super::session::tests::one_visit;
    use super::*;

    const MBIT: usize = 1_000_000 / 8;

    fn out(visit: &Visit, budget: &Arc<Budget>) -> Out {
        Out::new(visit.session().clone().visit(true), budget.clone(), Counter::noop(), true)
    }

    #[tokio::test]
    async fn many_answers_given_up_by_one_viewer_take_nothing_from_the_others() {
        // 1 Mbit/s, at twice its rate and 10 s ahead: 20 Mbit leave at once.
        let (_sessions, visit) = one_visit(1_000_000);
        let budget = Arc::new(Budget::new(100 * MBIT as u64, Duration::from_secs(1)));
        let mut cx = Context::from_waker(Waker::noop());
        let mut first = out(&visit, &budget);
        assert!(first.poll_allow(&mut cx, 20 * MBIT).is_ready());
        first.count(20 * MBIT);
        // A hundred that must wait for the session's pace book nothing.
        for _ in 0..100 {
            let mut given_up = out(&visit, &budget);
            assert!(given_up.poll_allow(&mut cx, 10 * MBIT).is_pending());
        }
        assert_eq!(budget.take(Instant::now(), 80 * MBIT), Duration::ZERO, "80 Mbit of the burst are left");
        // And with the session they leave no debt either: 1 Mbit is half a second.
        assert!(visit.session().pace().take(Instant::now(), MBIT) <= Duration::from_millis(501));
    }

    #[tokio::test]
    async fn what_leaves_at_once_is_booked_and_counted_and_what_does_not_is_neither() {
        let (sessions, visit) = one_visit(1_000_000);
        let (budget, sent) = (Budget::new(100 * MBIT as u64, Duration::from_secs(1)), Sent::new());
        assert!(!pass(&visit, &budget, &sent, STEP + 1));
        // 20 Mbit may leave, in pieces of 1/8.
        let left = (0..1_000).take_while(|_| pass(&visit, &budget, &sent, MBIT / 8)).count();
        assert!((160..165).contains(&left), "{left}");
        assert_eq!(sessions.changes(Duration::ZERO, 1)[0].media_bytes, (left * MBIT / 8) as u64);
        assert_eq!(budget.take(Instant::now(), 79 * MBIT), Duration::ZERO, "what was refused booked nothing");
        let (_sessions, fast) = one_visit(1_000_000_000);
        assert!(!pass(&fast, &budget, &sent, 2 * MBIT), "the edge has no more");
        assert_eq!(fast.session().pace().take(Instant::now(), 20_000 * MBIT - 1), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_waited_for_the_budget_and_was_given_up_is_given_back() {
        let (_sessions, visit) = one_visit(100_000_000);
        let budget = Arc::new(Budget::new(MBIT as u64, Duration::from_secs(1)));
        budget.take(Instant::now(), MBIT);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            assert!(out(&visit, &budget).poll_allow(&mut cx, MBIT / 2).is_pending());
        }
        assert!(budget.take(Instant::now(), MBIT / 2) <= Duration::from_millis(501));
    }
}
