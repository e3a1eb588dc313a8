//! What samples does a fragmented MP4 byte stream hold?
//!
//! [`Reader`] takes bytes in any chunking and yields the movie header, then samples. Invariants: hostile bytes end in
//! an [`Error`], never in a panic, unbounded recursion or unbounded memory; the items depend on the bytes alone, not
//! on the chunking; an end in mid-fragment loses nothing that came before.

mod boxes;
mod error;
mod fragment;
pub mod fuzz;
mod movie;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use boxes::Children;
pub use boxes::header_bytes;
pub use error::Error;
pub use movie::{Movie, SampleEntry, Track, TrackKind};
pub use reader::{Item, Reader, Sample};

/// Largest `moov` box that is read (bytes).
pub const MOOV_BYTES_MAX: usize = 1 << 20;
/// Largest `moof` box that is read (bytes).
pub const MOOF_BYTES_MAX: usize = 1 << 20;
/// Largest `mdat` box that is read (bytes).
pub const MDAT_BYTES_MAX: u64 = 32 << 20;
/// Largest box that is skipped unread (bytes).
pub const SKIP_BYTES_MAX: u64 = 64 << 20;
/// Largest single sample (bytes).
pub const SAMPLE_BYTES_MAX: u32 = 16 << 20;
/// Most tracks of a movie.
pub const TRACKS_MAX: usize = 16;
/// Most samples of a fragment, all tracks together.
pub const FRAGMENT_SAMPLES_MAX: usize = 65_536;
/// Largest sample entry (codec configuration) of a track (bytes).
pub const SAMPLE_ENTRY_BYTES_MAX: usize = 32 << 10;

/// Most ticks per second of a track, so that ten seconds fit a `u32`.
pub const TIMESCALE_MAX: u32 = 100_000_000;

const _: () = assert!(SAMPLE_BYTES_MAX as u64 <= MDAT_BYTES_MAX);
const _: () = assert!(SAMPLE_ENTRY_BYTES_MAX < MOOV_BYTES_MAX);
