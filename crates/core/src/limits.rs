//! Every bound and every period of the brain. Related ones are asserted against each other below.

use core::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// H is never less: below it a rescue could come too late.
pub const HOLD_BACK_MIN: Duration = ms(1_000);
/// H is never more: the latency budget of D13.
pub const HOLD_BACK_MAX: Duration = ms(2_000);
/// A peer reports this often.
pub const REPORT_EVERY: Duration = ms(2_000);
/// A peer that says nothing for so long is gone.
pub const SILENT_PEER: Duration = ms(7_000);
/// What neighbors have is told at most this often.
pub const HAVE_EVERY: Duration = ms(200);
/// Neighbors of one peer.
pub const NEIGHBORS_MAX: usize = 8;
/// Children of one peer, all substreams together.
pub const CHILDREN_MAX: usize = 128;
/// Links of one peer.
pub const LINKS_MAX: usize = 200;
/// Parts a peer keeps behind its playhead, for others and for seeking back (30 s).
pub const KEEP_PARTS: usize = 90;
/// The same of a recording (two minutes): its viewers are where they like, and the more each keeps the more find somebody who
/// has what they need next.
pub const KEEP_PARTS_RECORDED: usize = 360;
/// Parts a peer knows ahead of its playhead.
pub const AHEAD_PARTS_MAX: usize = 64;
/// Chunks that wait for their descriptor.
pub const ORPHANS_MAX: usize = 128;
/// Unanswered asks of one peer to one other.
pub const WANTS_MAX: usize = 256;
/// Rows in one frame: the wire's bound.
pub use trellis_proto::limits::ROWS_MAX;
/// Wrong chunks before a sender is cut off: none is by accident.
pub const STRIKES_MAX: u32 = 1;

const _: () = assert!(HOLD_BACK_MIN.as_micros() < HOLD_BACK_MAX.as_micros());
const _: () = assert!(REPORT_EVERY.as_micros() * 3 < SILENT_PEER.as_micros());
const _: () = assert!(HOLD_BACK_MAX.as_millis() / 300 < AHEAD_PARTS_MAX as u128);
