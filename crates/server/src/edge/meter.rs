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

/// The meter of one answer.
pub struct Out {
    visit: Visit,
    /// None for what is not media: playlists must not wait behind segments.
    budget: Option<Arc<Budget>>,
    sent: Counter,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Out {
    /// For one answer to one visit.
    pub fn new(visit: Visit, budget: Option<Arc<Budget>>, sent: Counter) -> Self {
        Self { visit, budget, sent, wait: None }
    }
}

impl Meter for Out {
    fn poll_allow(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<()> {
        if let Some(wait) = &mut self.wait {
            std::task::ready!(wait.as_mut().poll(cx));
            self.wait = None;
            return Poll::Ready(());
        }
        let Some(budget) = &self.budget else { return Poll::Ready(()) };
        let now = Instant::now();
        let delay = budget.take(now, len).max(self.visit.session().pace(now, len));
        // A timer is not finer than this, and the debt carries over to the next piece.
        if delay < Duration::from_millis(1) {
            return Poll::Ready(());
        }
        let mut wait = Box::pin(tokio::time::sleep(delay));
        let _ = wait.as_mut().poll(cx);
        self.wait = Some(wait);
        Poll::Pending
    }

    fn count(&mut self, len: usize) {
        self.sent.increment(len as u64);
        self.visit.session().sent(len as u64, self.budget.is_some());
    }

    fn step(&self) -> usize {
        if self.budget.is_some() { STEP } else { usize::MAX }
    }
}

/// Media leaves in steps no larger than this, so that a slow budget is shared among viewers piece by piece.
const STEP: usize = 256 * 1024;
