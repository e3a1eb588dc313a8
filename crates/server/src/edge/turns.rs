//! Whose turn is it to fetch? So many fetches at a time from one upstream, and so many from all of them together.
//!
//! Invariant: who waits for one upstream holds nothing that those who wait for another need, and one upstream that
//! answers nothing leaves most of all turns to the others; four such leave none. Behind a parent edge all streams have one
//! upstream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The turns of an edge.
pub struct Turns {
    all: Semaphore,
    /// By the upstream's address: those that are fetched from, or waited for.
    each: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// One fetch at one upstream. Given back when dropped.
pub struct Turn<'a> {
    _of_each: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'a>,
}

impl Turns {
    /// Nobody fetches yet.
    pub fn new() -> Self {
        Self { all: Semaphore::new(ALL_MAX), each: Mutex::default() }
    }

    /// Waits for a turn at this upstream; first come, first served. First for one of its own: whoever queues there
    /// takes no turn from those who would fetch elsewhere.
    pub async fn at(&self, upstream: &str) -> Turn<'_> {
        let of_each = self.of(upstream).acquire_owned().await.expect("turns are never closed");
        let of_all = self.all.acquire().await.expect("turns are never closed");
        Turn { _of_each: of_each, _of_all: of_all }
    }

    fn of(&self, upstream: &str) -> Arc<Semaphore> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = each.get(upstream) {
            return own.clone();
        }
        // Those nobody has or waits for are as good as new ones.
        each.retain(|_, own| Arc::strong_count(own) > 1);
        each.entry(upstream.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(EACH_MAX))).clone()
    }
}

/// Most fetches at a time from one upstream: enough for a line of 1 Gbit/s over 100 ms in parts of 200 kB.
pub const EACH_MAX: usize = 64;
/// And from all: each may take a socket.
const ALL_MAX: usize = 256;
const _: () = assert!(EACH_MAX * 4 <= ALL_MAX);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_upstream_never_has_every_turn() {
        let turns = Turns::new();
        let mut held: Vec<_> = (0..EACH_MAX).map(|_| turns.at("a").now_or_never().expect("free")).collect();
        let mut waits: Vec<_> = (0..ALL_MAX).map(|_| Box::pin(turns.at("a"))).collect();
        assert!(waits.iter_mut().all(|wait| wait.now_or_never().is_none()), "no more of its own");
        let other = turns.at("b").now_or_never().expect("whatever waits for the first");
        drop(other);
        held.pop();
        assert!(waits[0].as_mut().now_or_never().is_some(), "first come, first served");
        drop((held, waits));
        drop(turns.at("c"));
        drop(turns.at("c").now_or_never());
        assert_eq!(turns.each.lock().unwrap().len(), 1, "of those that nobody uses none is kept");
    }
}
