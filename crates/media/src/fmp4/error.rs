//! What is wrong with the byte stream, and what should its publisher do?

/// A box type for messages: four characters, unprintable ones as dots.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub [u8; 4]);

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|&b| {
            let c = if b.is_ascii_graphic() { char::from(b) } else { '.' };
            write!(f, "{c}")
        })
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a byte stream cannot be read any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first bytes are no MP4 box.
    #[error(
        "this is not MP4 (it begins with \"{0}\"); publish fragmented MP4: ffmpeg … -f mp4 -movflags +empty_moov+default_base_moof+frag_keyframe"
    )]
    NotMp4(Kind),
    /// An MP4 file, but not a fragmented one.
    #[error("this MP4 is not fragmented; add -movflags +empty_moov+default_base_moof+frag_keyframe to ffmpeg")]
    NotFragmented,
    /// A box is larger than is taken.
    #[error(
        "a {kind} box of {bytes} bytes is too large (at most {max}); publish shorter fragments (-frag_duration 500000)"
    )]
    TooLarge {
        /// The box.
        kind: Kind,
        /// Its size, or `u64::MAX` when it has none and runs to the end of the stream.
        bytes: u64,
        /// What is taken.
        max: u64,
    },
    /// A box does not parse.
    #[error(
        "the {kind} box is malformed: {why}; the stream is damaged or its muxer is faulty, publish with ffmpeg's mp4 muxer"
    )]
    Malformed {
        /// The box.
        kind: Kind,
        /// What about it.
        why: String,
    },
    /// More tracks than are taken.
    #[error("the movie has more than {max} tracks; map fewer of them (-map)")]
    TooManyTracks {
        /// What is taken.
        max: usize,
    },
    /// More samples in a fragment than are taken.
    #[error("a fragment has more than {max} samples; publish shorter fragments (-frag_duration 500000)")]
    TooManySamples {
        /// What is taken.
        max: usize,
    },
    /// A `moof` names a track the header does not have.
    #[error("a fragment belongs to track {0}, which the header does not name; restart the publisher")]
    UnknownTrack(u32),
    /// A fragment came before the header.
    #[error("a fragment came before the header (moov box); publish from the start of a stream")]
    NoHeader,
    /// A second, different header came.
    #[error("the header (moov box) changed in mid-stream; start a new publish when codecs or sizes change")]
    HeaderChanged,
    /// A fragment's samples are not where it says.
    #[error("a fragment's samples lie outside of its mdat box; publish with -movflags +default_base_moof")]
    DataOutside,
    /// A time does not fit.
    #[error("a timestamp of track {0} is out of range; restart the publisher (-fflags +genpts)")]
    TimeOutOfRange(u32),
}

impl Error {
    pub(crate) fn malformed(kind: &[u8; 4], why: impl ToString) -> Self {
        Self::Malformed { kind: Kind(*kind), why: why.to_string() }
    }
}
