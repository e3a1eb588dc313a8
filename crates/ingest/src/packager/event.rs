//! What does the packager say? The shape of a run once, then its parts, in order.

use std::fmt;

use bytes::Bytes;

/// What [`Packager::poll`](super::Packager::poll) yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The renditions and the pace of the run. Comes exactly once, before the first part.
    Shape(Shape),
    /// The next part; part `n + 1` follows part `n`.
    Part(Part),
    /// The media is served, but not as well as it could be. Each kind is said at most once a run.
    Warning(Warning),
}

/// Everything about a run that does not change while it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Video renditions best first (`v0`, `v1`, …), then audio (`a0`, …). A [`Part`] lists its tracks in this order.
    pub renditions: Vec<Rendition>,
    /// No part is meant to last longer (µs): a whole number of reference frames nearest ⅓ s.
    pub part_target_us: u32,
    /// Upper bound of a segment's duration rounded to whole seconds: HLS `TARGETDURATION`.
    pub segment_target_s: u32,
}

/// One quality of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// `v0`, `v1`, … or `a0`, …
    pub name: String,
    /// RFC 6381 codec string, e.g. `avc1.64001f` or `mp4a.40.2`.
    pub codec: String,
    /// What is particular to video or audio.
    pub media: Media,
    /// BCP 47 / ISO 639-2 language the publisher stated (`und` when none).
    pub language: String,
    /// Ticks per second in the init segment and the parts.
    pub timescale: u32,
    /// CMAF init segment (`ftyp` + `moov`).
    pub init: Bytes,
    /// Highest bit rate of a segment in the stretch that was watched (bit/s, box overhead included). A first guess:
    /// raise it as later segments prove higher.
    pub bitrate_peak: u32,
    /// Highest bit rate the encoder declared (`btrt` box, bit/s); 0 when it said nothing.
    pub bitrate_declared: u32,
}

/// What is particular to video or audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A video rendition.
    Video {
        /// Width in pixels as coded.
        width: u16,
        /// Height in pixels as coded.
        height: u16,
        /// Frames per second.
        frame_rate: FrameRate,
    },
    /// An audio rendition.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

/// Frames per second as an exact fraction (30000/1001, 25/1), lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    /// Numerator.
    pub num: u32,
    /// Denominator, never 0.
    pub den: u32,
}

impl FrameRate {
    /// Frames per 1000 s, rounded to nearest: 29970 for 30000/1001.
    pub fn millihertz(self) -> u32 {
        let milli = (u64::from(self.num) * 1000 + u64::from(self.den) / 2) / u64::from(self.den);
        u32::try_from(milli).unwrap_or(u32::MAX)
    }
}

/// A part time of the whole run: the same stretch of every rendition.
///
/// A segment is the concatenation of its parts' `data`, rendition by rendition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Counts from 0 without gaps, through all segments.
    pub number: u64,
    /// This part opens a segment.
    pub segment_start: bool,
    /// This part closes its segment.
    pub last_of_segment: bool,
    /// Every video rendition present starts with a keyframe here (always true for an audio-only run).
    pub independent: bool,
    /// Start on the reference track's decode timeline, µs since the run's start.
    pub start_us: u64,
    /// Duration on the reference track (µs): the next part starts at `start_us + duration_us`.
    pub duration_us: u32,
    /// One entry per rendition, in the order of [`Shape::renditions`].
    pub tracks: Vec<TrackPart>,
}

/// One rendition's bytes of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackPart {
    /// `moof` + `mdat`; empty when the rendition has no sample in this stretch.
    pub data: Bytes,
    /// Duration of the samples in `data` (µs), which do not drift; without any, that of the reference track.
    pub duration_us: u32,
}

/// Something the publisher should change; `Display` says what and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Keyframes are further apart than 2 s, so segments are longer and joining is slower.
    LongGop {
        /// Distance of the keyframes that was seen (ms).
        seen_ms: u32,
        /// Frames that make 2 s, for `-g`.
        keyint: u32,
    },
    /// No keyframe came in time and a segment was cut without one.
    ForcedCut {
        /// The segment target that was exceeded (s).
        target_s: u32,
        /// Frames that make 2 s, for `-g`.
        keyint: u32,
    },
    /// The frame rate varies, so part durations do.
    VariableFrameRate,
    /// A rendition ended, or stayed behind the others for more than 2 s: its parts are silent, or empty.
    Lagging {
        /// Name of the rendition, e.g. `a0`.
        rendition: String,
    },
    /// A track that is neither video nor audio (subtitles, data) is not carried.
    TrackIgnored {
        /// The handler or codec of that track.
        what: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongGop { seen_ms, keyint } => write!(
                f,
                "keyframes are {}.{:01} s apart, so viewers start slower; set the encoder's keyframe interval to 2 s \
                 (-g {keyint}, x264 keyint={keyint}, OBS \"Keyframe Interval\" 2)",
                seen_ms / 1000,
                seen_ms % 1000 / 100
            ),
            Self::ForcedCut { target_s, keyint } => write!(
                f,
                "no keyframe came within {target_s} s and a segment was cut without one; set the encoder's keyframe \
                 interval to 2 s (-g {keyint}, x264 keyint={keyint}, scenecut=0)"
            ),
            Self::VariableFrameRate => {
                write!(f, "the frame rate varies; encode with a constant one (-r 30, or -vsync cfr)")
            }
            Self::Lagging { rendition } => write!(
                f,
                "rendition {rendition} ended before the others or fell more than 2 s behind them, and is silent or left \
                 out from there on until it comes again; check its source, or lower -max_interleave_delta"
            ),
            Self::TrackIgnored { what } => {
                write!(f, "a track of kind {what} is not carried; only video and audio are")
            }
        }
    }
}
