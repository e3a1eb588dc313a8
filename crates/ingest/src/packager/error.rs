//! Why can a publisher's media not be taken? Every message ends with what the publisher should do.

use trellis_media::{cmaf, codec, fmp4};

/// Ends the run: nothing more can be pushed after it. Events that were ready before stay available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not the fragmented MP4 that was asked for.
    #[error(transparent)]
    Container(#[from] fmp4::Error),
    /// A track is coded in a way that cannot be served.
    #[error(transparent)]
    Codec(#[from] codec::Error),
    /// A part came out larger than its boxes can say.
    #[error(transparent)]
    Write(#[from] cmaf::Error),
    /// Media came before any `moov`.
    #[error("the media has no header (moov box) before its first frame; publish from the start of a stream")]
    NoHeader,
    /// Neither video nor audio is among the tracks.
    #[error("the stream has neither a video nor an audio track; map at least one (-map 0:v or -map 0:a)")]
    NothingToServe,
    /// The stream ended before a single keyframe arrived.
    #[error("the stream ended before its first keyframe; check that the source has media to send")]
    Empty,
    /// No keyframe for too long.
    #[error("no keyframe came in the first {seconds} s; set the encoder's keyframe interval to 2 s (-g 60 at 30 fps)")]
    NoKeyframe {
        /// How long was waited (s of media).
        seconds: u64,
    },
    /// A video track is announced but sends nothing.
    #[error("video track {track} is announced in the header but sends nothing; leave it out (-map)")]
    Silent {
        /// Which track, e.g. `v1`.
        track: String,
    },
    /// A track's timeline is far from the others'.
    #[error(
        "track {track} begins {by_ms} ms apart from the video; publish tracks on one timeline (ffmpeg -copyts off)"
    )]
    Apart {
        /// Which track, e.g. `a0`.
        track: String,
        /// How far (ms).
        by_ms: u64,
    },
    /// The run ended with an earlier error.
    #[error("this run is over; publish again")]
    Over,
    /// Decode times of a track do not increase.
    #[error(
        "timestamps of {track} go backwards or stand still at {at_ms} ms; publish with -fflags +genpts, or restart it"
    )]
    NotIncreasing {
        /// Which track, e.g. `v0`.
        track: String,
        /// Where (ms of the track's own timeline).
        at_ms: u64,
    },
    /// Decode times leap.
    #[error("timestamps of {track} jump by {by_ms} ms at {at_ms} ms; restart the publisher so that a new run begins")]
    Jump {
        /// Which track, e.g. `v0`.
        track: String,
        /// How far (ms).
        by_ms: u64,
        /// Where (ms of the track's own timeline).
        at_ms: u64,
    },
    /// The rungs of the ladder do not have their keyframes at the same times.
    #[error(
        "rendition {track} has no keyframe where {reference} has one ({at_ms} ms); encode all rungs together with the \
         same -g and without scene cuts (-g 60 -sc_threshold 0, x264 scenecut=0)"
    )]
    KeyframesApart {
        /// The rendition without the keyframe.
        track: String,
        /// The rendition that sets the pace.
        reference: String,
        /// Where (ms since the run's start).
        at_ms: u64,
    },
    /// Too much had to be kept while waiting for something.
    #[error(
        "{bytes} bytes are waiting for a keyframe or for a track that stays behind, at most {max} are kept; set -g to \
         2 s of frames and interleave tracks closely (-max_interleave_delta 0)"
    )]
    TooMuchWaiting {
        /// Bytes held.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
}
