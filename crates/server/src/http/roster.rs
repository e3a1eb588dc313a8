//! Which connections are open, and which of them are not worth their file descriptor?
//!
//! One coarse clock looks at all of them, so that no request sets a timer of its own. Invariant: there are never more
//! than [`Limits::connections`], and one that asks for nothing is closed after [`Limits::first`] (when it never asked),
//! [`Limits::idle`] (when it is not being answered) or [`Limits::stuck`] (when it takes nothing of its answers), and at
//! most two ticks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// What a listener bears.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once.
    pub connections: usize,
    /// Until the head of its first request, TLS handshake included.
    pub first: Duration,
    /// From the end of an answer to the head of the next request.
    pub idle: Duration,
    /// From one piece of an answer to the next, where it is the client that is waited for.
    pub stuck: Duration,
    /// How often the clock looks.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: usize::MAX,
            // A client that takes longer for a handshake and a head is gone or hostile.
            first: Duration::from_secs(10),
            // Longer than our own client keeps a connection it does not use, so that it never asks on one we close.
            idle: Duration::from_secs(75),
            // The kernel drops who takes no byte much sooner, but over HTTP/2 a client can take all but the answer. Pieces
            // have a quarter of a megabyte: on the slowest line that plays anything they leave in time.
            stuck: Duration::from_secs(120),
            tick: Duration::from_secs(1),
        }
    }
}

/// All connections of a listener.
pub struct Roster {
    limits: Limits,
    open: Mutex<Open>,
    emptied: Notify,
}

#[derive(Default)]
struct Open {
    next: u64,
    lines: HashMap<u64, Line>,
}

/// One connection, as the clock sees it.
struct Line {
    pulse: Arc<Pulse>,
    /// [`Pulse::moves`] at the last look.
    moves: u32,
    /// Ticks without any.
    quiet: u32,
}

/// What a connection and the clock tell each other.
#[derive(Default)]
pub struct Pulse {
    /// Requests that came and pieces that left.
    moves: AtomicU32,
    answering: AtomicU32,
    /// Of these answers so many wait for us.
    ours: AtomicU32,
    order: AtomicU8,
    waker: AtomicWaker,
}

/// What a connection is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Order {
    /// Go on.
    Stay = 0,
    /// Answer what has been asked, then close.
    Finish = 1,
    /// Close.
    Leave = 2,
}

/// A connection's place; given back when dropped.
pub struct Place {
    roster: Arc<Roster>,
    id: u64,
    pulse: Arc<Pulse>,
}

/// While one lives, its connection is not idle.
pub struct Answering {
    pulse: Arc<Pulse>,
    /// The answer, or what comes next of it, is still to be made.
    ours: bool,
}

impl Roster {
    /// Of nobody.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default(), emptied: Notify::new() })
    }

    /// A place for a new connection; none when all are taken.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut open = self.open();
        if open.lines.len() >= self.limits.connections {
            return None;
        }
        let (id, pulse) = (open.next, Arc::new(Pulse::default()));
        open.next += 1;
        open.lines.insert(id, Line { pulse: pulse.clone(), moves: 0, quiet: 0 });
        Some(Place { roster: self.clone(), id, pulse })
    }

    /// The clock: sends away who has been silent for too long. Runs until it is dropped.
    pub async fn watch(&self) {
        let mut clock = tokio::time::interval(self.limits.tick);
        loop {
            clock.tick().await;
            self.open().lines.values_mut().for_each(|line| line.look(&self.limits));
        }
    }

    /// Lets everybody finish what they asked for. Resolves when the last one has left.
    pub async fn finish(&self) {
        self.open().lines.values().for_each(|line| line.pulse.finish());
        let emptied = self.emptied.notified();
        // Places are given back one by one: the last one tells.
        if !self.open().lines.is_empty() {
            emptied.await;
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn ticks(&self, time: Duration) -> u32 {
        time.as_nanos().div_ceil(self.tick.as_nanos().max(1)) as u32
    }
}

impl Line {
    fn look(&mut self, limits: &Limits) {
        let moves = self.pulse.moves.load(Ordering::Relaxed);
        if moves != self.moves || self.pulse.ours.load(Ordering::Relaxed) > 0 {
            (self.moves, self.quiet) = (moves, 0);
            return;
        }
        let patience = match self.pulse.answering.load(Ordering::Relaxed) {
            0 if moves == 0 => limits.first,
            0 => limits.idle,
            _ => limits.stuck,
        };
        self.quiet += 1;
        if self.quiet > limits.ticks(patience) {
            self.pulse.tell(Order::Leave);
        }
    }
}

impl Pulse {
    /// A request has come; its answer has left when the guard is dropped.
    pub fn answering(self: &Arc<Self>) -> Answering {
        for count in [&self.moves, &self.answering, &self.ours] {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Answering { pulse: self.clone(), ours: true }
    }

    /// A request has come and its answer has left.
    pub fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that came and pieces that left, up to now.
    pub fn moves(&self) -> u32 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Has a request come since there were so many moves, and is none being answered?
    pub fn has_answered_since(&self, moves: u32) -> bool {
        self.moves() != moves && self.answering.load(Ordering::Relaxed) == 0
    }

    /// What to do now; wakes the task when that changes.
    pub fn order(&self, cx: &mut Context<'_>) -> Order {
        self.waker.register(cx.waker());
        match self.order.load(Ordering::Acquire) {
            0 => Order::Stay,
            1 => Order::Finish,
            _ => Order::Leave,
        }
    }

    /// Does `work`, unless it is sent away meanwhile.
    pub async fn unless_sent_away<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let sent_away = std::future::poll_fn(|cx| match self.order(cx) {
            Order::Leave => Poll::Ready(()),
            _ => Poll::Pending,
        });
        tokio::select! {
            biased;
            () = sent_away => None,
            done = work => Some(done),
        }
    }

    fn finish(&self) {
        // Who has asked for nothing yet has nothing to finish.
        let asked = self.moves.load(Ordering::Relaxed) > 0;
        self.tell(if asked { Order::Finish } else { Order::Leave });
    }

    fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        self.waker.wake();
    }
}

impl Place {
    /// Its connection's pulse.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.roster.open();
        open.lines.remove(&self.id);
        if open.lines.is_empty() {
            self.roster.emptied.notify_waiters();
        }
    }
}

impl Answering {
    /// There is something to send, and it is the client that must take it.
    pub fn made(&mut self) {
        if std::mem::take(&mut self.ours) {
            self.pulse.ours.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A piece has left.
    pub fn moved(&mut self) {
        self.pulse.moves.fetch_add(1, Ordering::Relaxed);
        self.made();
    }

    /// The client would take what is not there yet.
    pub fn awaited(&mut self) {
        if !std::mem::replace(&mut self.ours, true) {
            self.pulse.ours.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.made();
        self.pulse.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_silent_are_sent_away() {
        let tick = Duration::from_secs(1);
        let limits = Limits { first: 2 * tick, idle: 5 * tick, stuck: 3 * tick, tick, ..Limits::default() };
        let line = |pulse: &Arc<Pulse>| Line { pulse: pulse.clone(), moves: 0, quiet: 0 };
        let order = |pulse: &Pulse| pulse.order.load(Ordering::Relaxed);
        let [silent, kept, busy, stuck] = [(); 4].map(|()| Arc::new(Pulse::default()));
        let mut lines = [line(&silent), line(&kept), line(&busy), line(&stuck)];
        let mut ticks = |n: u32| (0..n).for_each(|_| lines.iter_mut().for_each(|line| line.look(&limits)));
        drop(kept.answering());
        let (answer, mut untaken) = (busy.answering(), stuck.answering());
        ticks(3);
        assert_eq!([&silent, &kept, &busy, &stuck].map(|pulse| order(pulse)), [2, 0, 0, 0]);
        ticks(4);
        assert_eq!([&kept, &busy, &stuck].map(|pulse| order(pulse)), [2, 0, 0]);
        untaken.moved();
        ticks(3);
        untaken.moved();
        ticks(3);
        untaken.awaited();
        ticks(9);
        assert_eq!(order(&stuck), 0, "it takes what there is");
        untaken.made();
        ticks(5);
        assert_eq!(order(&stuck), 2);
        drop(answer);
        ticks(6);
        assert_eq!(order(&busy), 2);
    }
}
