//! What time is it? Asked here once per request; everything below gets the answer as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trellis_core::time::Instant;

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
        // A wall clock before 1970 is no reason to fall over: tokens will then look far from expiry, as they are.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_ms: unix.as_millis() as u64, mono: Instant(self.0.elapsed().as_micros() as u64) }
    }
}
