//! What is a new run called? Ids are made from the time and only ever go up, so that whoever hears of two runs of a
//! stream knows which is the newer one (`spec/wire.md`, "The time line").

use std::sync::atomic::{AtomicU64, Ordering};

use trellis_proto::RunId;

use crate::clock::unix_ms;
use crate::keyfile;

/// Makes an origin's run ids.
pub struct RunIds {
    first: u64,
    last: AtomicU64,
}

impl RunIds {
    /// All ids will be above this moment's.
    pub fn new() -> Self {
        let first = unix_ms() << 16;
        Self { first, last: AtomicU64::new(first) }
    }

    /// The runs of this process are above it.
    pub fn first(&self) -> RunId {
        RunId(self.first)
    }

    /// There has been this run: the next ones are above it, even if the clock was set back since.
    pub fn pass(&self, run: RunId) {
        self.last.fetch_max(run.0, Ordering::SeqCst);
    }

    /// Milliseconds in the upper 48 bits, chance in the lower 16: two origins that begin in the same millisecond differ.
    pub fn next(&self) -> RunId {
        self.above(unix_ms() << 16 | u64::from(u16::from_be_bytes(keyfile::random())))
    }

    fn above(&self, from_clock: u64) -> RunId {
        let above = |last: u64| from_clock.max(last.saturating_add(1));
        let last = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(above(last)));
        RunId(above(last.unwrap_or_else(|last| last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_only_go_up_whatever_the_clock_does() {
        let ids = RunIds::new();
        let first = ids.next();
        assert!(first > ids.first());
        let within_the_millisecond = ids.above(first.0);
        let set_back = ids.above(7);
        assert!(first < within_the_millisecond && within_the_millisecond < set_back);
        ids.pass(RunId(1 << 60));
        assert!(ids.next() > RunId(1 << 60));
    }
}
