//! What can my uplink carry, and how much of it may be used at once?
//!
//! While something is under way the uplink is busy. What is acknowledged in a long busy time after the first
//! acknowledgement, over the time since then, is a sample of what it carries. A high one of the last samples is the
//! estimate: a sample can be too small for want of data or by a slow taker, and only a little too large, when round trips
//! differ. Short busy times measure round trips rather than the line, so that what they show together, the wait for the
//! first acknowledgement included, is the least it carries: it counts when it is more than was known. An uplink far
//! above what is asked of it knows only that, and it is enough.
//!
//! What is handed to the network is bounded by what the line carries in a short time, so that queues stay here, sorted,
//! and delay elsewhere stays small: other traffic of the viewer is not held up.

use core::time::Duration;

use super::event::UploadPolicy;
use crate::time::Instant;

/// A time in which something was always under way.
#[derive(Debug, Clone, Copy)]
struct Busy {
    since: Instant,
    first_acknowledged: Option<Instant>,
    /// Bytes acknowledged after the first time.
    acknowledged: u64,
    /// And with those of the first time.
    all: u64,
}

impl Busy {
    fn new(since: Instant) -> Self {
        Self { since, first_acknowledged: None, acknowledged: 0, all: 0 }
    }
}

/// The measured uplink.
#[derive(Debug, Clone)]
pub struct Uplink {
    policy: UploadPolicy,
    samples: [u64; SAMPLES],
    next: usize,
    /// Something is under way.
    busy: Option<Busy>,
    /// Short busy times since they were last taken together, and the bytes acknowledged in them.
    short: (Duration, u64),
    queue_worst: Duration,
    /// What the cluster counts on while nothing was measured, bit/s.
    credit_bps: u64,
    /// What follows from the samples and the policy: it is asked for much more often than they change.
    alpha_bps: u64,
}

impl Uplink {
    /// Starts from what is known of former times, bit/s; 0: nothing.
    pub fn new(policy: UploadPolicy, declared_bps: u64) -> Self {
        let mut samples = [0; SAMPLES];
        samples[0] = declared_bps;
        let mut uplink = Self {
            policy,
            samples,
            next: usize::from(declared_bps > 0),
            busy: None,
            short: (Duration::ZERO, 0),
            queue_worst: Duration::ZERO,
            credit_bps: 0,
            alpha_bps: 0,
        };
        uplink.alpha_bps = uplink.estimate();
        uplink
    }

    /// The viewer's mind changed.
    pub fn set_policy(&mut self, policy: UploadPolicy) {
        self.policy = policy;
        self.alpha_bps = self.estimate();
    }

    /// The cluster counts on so much until it is seen what comes.
    pub fn set_credit(&mut self, bps: u64) {
        self.credit_bps = bps;
    }

    /// May anything be given?
    pub fn gives(&self) -> bool {
        !self.policy.receive_only && self.policy.cap_bps != Some(0)
    }

    /// α as measured and capped, bit/s; 0: not known, or nothing to give.
    pub fn alpha_bps(&self) -> u64 {
        self.alpha_bps
    }

    fn estimate(&self) -> u64 {
        let mut samples = self.samples;
        let known = &mut samples[..self.next.min(SAMPLES)];
        known.sort_unstable();
        let measured = known.get(known.len() * 3 / 4).copied().unwrap_or(0);
        match self.policy {
            UploadPolicy { receive_only: true, .. } => 0,
            UploadPolicy { cap_bps: Some(cap), .. } => measured.min(cap),
            UploadPolicy { cap_bps: None, .. } => measured,
        }
    }

    /// Bytes that may be under way: what the line carries in a round trip and a little.
    pub fn window_bytes(&self) -> u64 {
        let carried = self.line_bps() / 8 * UNDER_WAY.as_millis() as u64 / 1_000;
        if self.gives() { carried.clamp(WINDOW_MIN, WINDOW_MAX) } else { 0 }
    }

    /// Something was handed to the network.
    pub fn on_sent(&mut self, now: Instant) {
        self.busy.get_or_insert(Busy::new(now));
    }

    /// So many bytes were acknowledged, and so many are still under way.
    pub fn on_acknowledged(&mut self, now: Instant, bytes: u64, still: u64) {
        let mut busy = self.busy.take().unwrap_or(Busy::new(now));
        busy.all += bytes;
        let time = match busy.first_acknowledged {
            Some(first) => {
                busy.acknowledged += bytes;
                now.since(first)
            }
            None => {
                busy.first_acknowledged = Some(now).filter(|_| bytes > 0);
                Duration::ZERO
            }
        };
        // At first others wait to know.
        let long = if self.next < SAMPLES { SAMPLE_SHORT } else { SAMPLE_LONG };
        if still > 0 && time < long {
            self.busy = Some(busy);
            return;
        }
        match time >= SAMPLE_SHORT {
            true => self.sample(busy.acknowledged, time),
            false => self.on_short(now.since(busy.since), busy.all),
        }
        self.busy = (still > 0).then_some(Busy { first_acknowledged: Some(now), ..Busy::new(now) });
    }

    /// A busy time was too short to measure the line.
    fn on_short(&mut self, time: Duration, bytes: u64) {
        self.short = (self.short.0 + time.max(TOLD_EVERY), self.short.1 + bytes);
        let (time, bytes) = self.short;
        if time >= SAMPLE_SHORT {
            self.short = (Duration::ZERO, 0);
            if rate(bytes, time) > self.line_bps() {
                self.sample(bytes, time);
            }
        }
    }

    fn sample(&mut self, bytes: u64, time: Duration) {
        self.samples[self.next % SAMPLES] = rate(bytes, time);
        self.next += 1;
        self.alpha_bps = self.estimate();
    }

    /// How long what waits would take, for the next report.
    pub fn on_queue(&mut self, waiting_bytes: u64) {
        self.queue_worst = self.queue_worst.max(self.drain_time(waiting_bytes));
    }

    /// How long so many bytes take.
    pub fn drain_time(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes * 8_000_000 / self.line_bps())
    }

    /// What the line is thought to carry: as measured, else what others count on, bit/s.
    fn line_bps(&self) -> u64 {
        let bps = if self.next > 0 { self.alpha_bps } else { self.credit_bps };
        bps.min(self.policy.cap_bps.unwrap_or(u64::MAX)).max(LINE_MIN)
    }

    /// The worst queue since this was last asked.
    pub fn take_queue_worst(&mut self) -> Duration {
        core::mem::take(&mut self.queue_worst)
    }
}

fn rate(bytes: u64, time: Duration) -> u64 {
    bytes * 8_000_000 / time.as_micros().max(1) as u64
}

const SAMPLES: usize = 8;
/// Below this a busy time is mostly the round trip.
const SAMPLE_SHORT: Duration = Duration::from_millis(200);
/// Hosts say so often what is acknowledged: a shorter busy time was looked at too late, or only seemed to be one.
const TOLD_EVERY: Duration = Duration::from_millis(20);
/// A line that is never idle is sampled this often.
const SAMPLE_LONG: Duration = Duration::from_millis(1_000);
const UNDER_WAY: Duration = Duration::from_millis(150);
/// Three chunks: with less, a line would stand idle between them.
const WINDOW_MIN: u64 = 20 * 1024;
/// One link's most (SCTP send buffers beyond that cost more than they bring) times a few links.
const WINDOW_MAX: u64 = 512 * 1024;
/// For estimates of time, bit/s.
const LINE_MIN: u64 = 250_000;

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
        uplink.on_acknowledged(at(50), 10_000, 5_000);
        uplink.on_acknowledged(at(90), 5_000, 0);
        assert_eq!(uplink.alpha_bps(), 0, "40 ms say nothing");
        uplink.set_credit(2_000_000);
        assert_eq!((uplink.alpha_bps(), uplink.window_bytes()), (0, 37_500), "is used like a line of that much");
        assert_eq!(uplink.drain_time(25_000), Duration::from_millis(100));
        uplink.on_sent(at(1_000));
        uplink.on_acknowledged(at(1_100), 20_000, 25_000);
        uplink.on_acknowledged(at(1_200), 20_000, 5_000);
        uplink.on_acknowledged(at(1_300), 5_000, 0);
        assert_eq!(uplink.alpha_bps(), 1_000_000, "25 kB in the 200 ms after the first answer");
        assert_eq!(uplink.drain_time(25_000), Duration::from_millis(200));
        uplink.set_policy(UploadPolicy { cap_bps: Some(400_000), receive_only: false });
        assert_eq!(uplink.alpha_bps(), 400_000);
        uplink.set_policy(UploadPolicy { cap_bps: None, receive_only: true });
        assert_eq!((uplink.alpha_bps(), uplink.window_bytes()), (0, 0));
    }

    #[test]
    fn short_busy_times_together_show_the_least_it_carries_and_lower_nothing() {
        let mut uplink = Uplink::new(UploadPolicy { cap_bps: None, receive_only: false }, 0);
        uplink.set_credit(312_000);
        // A chunk every 125 ms, gone when the host looks.
        let chunks = |uplink: &mut Uplink, from: u64, bytes: u64, gone_ms: u64| {
            for sent in (from..from + 2_000).step_by(125) {
                uplink.on_sent(at(sent));
                uplink.on_acknowledged(at(sent + gone_ms), bytes, 0);
            }
        };
        chunks(&mut uplink, 0, 500, 15);
        assert_eq!(uplink.alpha_bps(), 0, "less than it is lent says nothing");
        chunks(&mut uplink, 2_000, 5_000, 0);
        assert_eq!(uplink.alpha_bps(), 2_000_000, "5 kB within 20 ms, for less was not seen");
        chunks(&mut uplink, 4_000, 5_000, 60);
        assert_eq!(uplink.alpha_bps(), 2_000_000, "a round trip is no sign of a slow line");
    }
}
