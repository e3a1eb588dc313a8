//! What time is it? Asked here once per request; everything below gets the answer as an argument.

use std::time::Duration;

use trellis_core::time::Instant;

use crate::clock::unix_ms;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, ms since the Unix epoch: for expiries and records. May jump.
    pub unix_ms: u64,
    /// Monotonic clock: for time-outs. Never jumps.
    pub mono: Instant,
}

impl Now {
    /// Whole seconds since the Unix epoch.
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1000
    }

    /// This moment, `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Self { unix_ms: self.unix_ms + duration.as_millis() as u64, mono: self.mono + duration }
    }
}

/// Where the manager reads the time. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Now;
}

/// The machine's clocks; the monotonic one counts from its making.
#[derive(Debug)]
pub struct SystemClock(std::time::Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { unix_ms: unix_ms(), mono: Instant(self.0.elapsed().as_micros() as u64) }
    }
}
