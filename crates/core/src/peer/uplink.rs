//! What can my uplink carry, and how much of it may be used at once?
//!
//! While something is under way the uplink is busy; what is acknowledged in a busy time, over its length, is a sample of
//! what it carries. Short busy times measure round trips rather than the line and do not count. The largest of the last
//! samples is the estimate: a sample can only be too small, for want of data or by a slow taker.
//!
//! What is handed to the network is bounded by what the line carries in a short time, so that queues stay here, sorted,
//! and delay elsewhere stays small: other traffic of the viewer is not held up.

use core::time::Duration;

use super::event::UploadPolicy;
use crate::time::Instant;

/// The measured uplink.
#[derive(Debug, Clone)]
pub struct Uplink {
    policy: UploadPolicy,
    samples: [u64; SAMPLES],
    next: usize,
    busy_since: Option<Instant>,
    acknowledged: u64,
    queue_worst: Duration,
}

impl Uplink {
    /// Starts from what is known of former times, bit/s; 0: nothing.
    pub fn new(policy: UploadPolicy, declared_bps: u64) -> Self {
        let mut samples = [0; SAMPLES];
        samples[0] = declared_bps;
        Self { policy, samples, next: 1, busy_since: None, acknowledged: 0, queue_worst: Duration::ZERO }
    }

    /// The viewer's mind changed.
    pub fn set_policy(&mut self, policy: UploadPolicy) {
        self.policy = policy;
    }

    /// May anything be given?
    pub fn gives(&self) -> bool {
        !self.policy.receive_only && self.policy.cap_bps != Some(0)
    }

    /// α as measured and capped, bit/s; 0: not known, or nothing to give.
    pub fn alpha_bps(&self) -> u64 {
        let measured = self.samples.iter().copied().max().unwrap_or(0);
        match self.policy {
            UploadPolicy { receive_only: true, .. } => 0,
            UploadPolicy { cap_bps: Some(cap), .. } => measured.min(cap),
            UploadPolicy { cap_bps: None, .. } => measured,
        }
    }

    /// Bytes that may be under way: what the line carries in 150 ms, a round trip and a little queue.
    pub fn window_bytes(&self) -> u64 {
        let carried = self.alpha_bps() / 8 * UNDER_WAY.as_millis() as u64 / 1_000;
        if self.gives() { carried.clamp(WINDOW_MIN, WINDOW_MAX) } else { 0 }
    }

    /// Something was handed to the network.
    pub fn on_sent(&mut self, now: Instant) {
        self.busy_since.get_or_insert(now);
    }

    /// So many bytes were acknowledged, and so many are still under way.
    pub fn on_acknowledged(&mut self, now: Instant, bytes: u64, still: u64) {
        self.acknowledged += bytes;
        let Some(since) = self.busy_since else { return };
        let busy = now.since(since);
        if still == 0 || busy >= SAMPLE_LONG {
            if busy >= SAMPLE_SHORT && self.acknowledged >= SAMPLE_BYTES {
                self.samples[self.next % SAMPLES] = self.acknowledged * 8_000_000 / busy.as_micros() as u64;
                self.next += 1;
            }
            self.acknowledged = 0;
            self.busy_since = (still > 0).then_some(now);
        }
    }

    /// How long what waits would take, for the next report.
    pub fn on_queue(&mut self, waiting_bytes: u64) {
        self.queue_worst = self.queue_worst.max(self.drain_time(waiting_bytes));
    }

    /// How long so many bytes take.
    pub fn drain_time(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes * 8_000_000 / self.alpha_bps().max(ALPHA_GUESS_MIN))
    }

    /// The worst queue since this was last asked.
    pub fn take_queue_worst(&mut self) -> Duration {
        core::mem::take(&mut self.queue_worst)
    }
}

const SAMPLES: usize = 8;
/// Below this a busy time is mostly the round trip.
const SAMPLE_SHORT: Duration = Duration::from_millis(100);
/// A line that is never idle is sampled this often.
const SAMPLE_LONG: Duration = Duration::from_millis(1_000);
const SAMPLE_BYTES: u64 = 8 * 1024;
const UNDER_WAY: Duration = Duration::from_millis(150);
/// Three chunks: with less, a line would stand idle between them.
const WINDOW_MIN: u64 = 24 * 1024;
/// One link's most (SCTP send buffers beyond that cost more than they bring) times a few links.
const WINDOW_MAX: u64 = 512 * 1024;
/// For estimates of time while nothing was measured, bit/s.
const ALPHA_GUESS_MIN: u64 = 250_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(ms * 1000)
    }

    #[test]
    fn a_busy_time_measures_and_a_short_one_does_not() {
        let free = UploadPolicy { cap_bps: None, receive_only: false };
        let mut uplink = Uplink::new(free, 0);
        uplink.on_sent(at(0));
        uplink.on_acknowledged(at(50), 10_000, 0);
        assert_eq!(uplink.alpha_bps(), 0, "50 ms say nothing");
        uplink.on_sent(at(1_000));
        uplink.on_acknowledged(at(1_100), 20_000, 5_000);
        uplink.on_acknowledged(at(1_200), 5_000, 0);
        assert_eq!(uplink.alpha_bps(), 1_000_000, "25 kB in 200 ms");
        uplink.set_policy(UploadPolicy { cap_bps: Some(400_000), receive_only: false });
        assert_eq!(uplink.alpha_bps(), 400_000);
        uplink.set_policy(UploadPolicy { cap_bps: None, receive_only: true });
        assert_eq!((uplink.alpha_bps(), uplink.window_bytes()), (0, 0));
    }
}
