//! How does a publisher's byte stream become parts that are cut alike in every rendition?
//!
//! Invariant: output depends on the bytes alone, never on how they were chunked, nor on a clock. Parts are numbered
//! without gaps, and every sample of a rendition from the first keyframe on is in exactly one part.

mod error;
mod event;

pub use error::Error;
pub use event::{Event, FrameRate, Media, Part, Rendition, Shape, TrackPart, Warning};

use bytes::Bytes;

/// What the publisher said beside the media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Longest distance between keyframes the publisher expects (whole seconds, header `trellis-target-duration`).
    pub target_hint_s: Option<u32>,
}

/// The machine: push bytes, poll events, finish.
///
/// ```ignore
/// let mut packager = Packager::new(Options::default());
/// packager.push(bytes)?;                       // any chunking
/// while let Some(event) = packager.poll() {}   // Shape once, then Parts
/// packager.finish()?;                          // clean end of the body
/// while let Some(event) = packager.poll() {}   // the last part
/// ```
#[derive(Debug)]
pub struct Packager {}

impl Packager {
    /// A packager at the start of a run.
    pub fn new(options: Options) -> Self;
    /// Takes the next bytes of the body. On an error the run is over; what was ready stays to be polled.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), Error>;
    /// The next event, if one is ready.
    pub fn poll(&mut self) -> Option<Event>;
    /// The body ended: closes the last part. A fragment that was cut off is dropped, what came before it is kept.
    pub fn finish(&mut self) -> Result<(), Error>;
}
