//! What does a player read? HLS playlists, written from a [`Timeline`] and nothing else.
//!
//! RFC 8216bis with its low-latency tags, for CMAF: video and audio apart, one init segment per run and
//! rendition. Every URI is relative to `…/s/{stream}/`, so that a ticket before it is inherited and all edges
//! serve the same bytes. Each function takes time linear in the window; hosts cache by [`Timeline::version`].

mod media;
mod multivariant;
mod reload;
#[cfg(test)]
mod tests;
mod text;

use trellis_proto::RenditionName;

use crate::timeline::Timeline;

pub use reload::Wait;

/// `index.m3u8`. `None` until the stream has its first complete segment: hold the request.
pub fn multivariant(timeline: &Timeline) -> Option<String> {
    multivariant::write(timeline)
}

/// `{rendition}.m3u8`, with `skip` (`_HLS_skip=YES`) as a delta update where one is possible. `None` when the
/// rendition is unknown, or until its first segment is complete (hls.js treats a playlist without a whole segment
/// as broken): hold the request while [`multivariant`] is `None`, too, else answer 404.
pub fn media(timeline: &Timeline, rendition: RenditionName, skip: bool) -> Option<String> {
    media::write(timeline, rendition, skip, true)
}

/// The same for a player that has the segments before from elsewhere: also while no segment is complete here.
pub fn media_from_here(timeline: &Timeline, rendition: RenditionName) -> Option<String> {
    media::write(timeline, rendition, false, false)
}

/// Must a request with `_HLS_msn` (and `_HLS_part`) wait, by RFC 8216bis §6.2.5.2? Once more is known the host
/// asks again. It sets its own bound to the wait (the RFC says three target durations, then 503).
pub fn must_wait(timeline: &Timeline, msn: u64, part: Option<u64>) -> Wait {
    reload::decide(timeline, msn, part)
}
