//! How many bits per second does a rendition take, as measured over what is in the window?

use trellis_proto::RenditionName;

use super::{Run, Timeline};

/// Measured bit rates of one rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    /// The largest of any segment, bit/s.
    pub(crate) peak: u64,
    /// Over all segments, bit/s.
    pub(crate) average: u64,
}

/// Rates of a run's rendition by its index in the catalogue.
///
/// Segments shorter than half a target duration do not count for the peak (RFC 8216bis §4.1): the end of a run
/// may be a key frame and little else.
pub(crate) fn measure(run: &Run, rendition: usize) -> Rates {
    let promised = run.catalogue.renditions[rendition].bandwidth;
    let shares =
        || run.segments().filter(|segment| segment.complete).filter_map(|segment| segment.tracks.get(rendition));
    let half_target_us = 500_000 * u64::from(run.catalogue.segment_target_s);
    let peak = shares().filter(|share| share.duration_us >= half_target_us).map(|s| bps(s.bytes, s.duration_us)).max();
    let (bytes, duration_us) =
        shares().fold((0, 0), |(bytes, time), share| (bytes + share.bytes, time + share.duration_us));
    let average = if duration_us == 0 { promised } else { bps(bytes, duration_us) };
    Rates { peak: peak.unwrap_or(promised).max(average), average }
}

pub(super) fn best(timeline: &Timeline) -> u64 {
    let Some(run) = newest_with_media(timeline).or(timeline.runs.back()) else { return 0 };
    [RenditionName::Video(0), RenditionName::Audio(0)]
        .into_iter()
        .filter_map(|name| run.catalogue.index_of(name))
        .map(|rendition| measure(run, rendition).peak)
        .sum()
}

/// The run that the multivariant playlist describes.
pub(crate) fn newest_with_media(timeline: &Timeline) -> Option<&Run> {
    timeline.runs.iter().rev().find(|run| !run.is_empty())
}

fn bps(bytes: u64, duration_us: u64) -> u64 {
    (u128::from(bytes) * 8_000_000).div_ceil(u128::from(duration_us.max(1))) as u64
}
