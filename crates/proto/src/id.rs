//! Names and numbers that identify things. No id ever contains a URL.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::limits::{RENDITIONS_MAX, STREAM_NAME_BYTES_MAX};

/// Why a text is not the id it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a stream name.
    #[error("a stream name is 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit")]
    Stream,
    /// Not hexadecimal of the right length.
    #[error("expected {0} hexadecimal digits in lower case")]
    Hex(usize),
    /// Not `v0`, `v1`, … or `a0`, ….
    #[error("a rendition is named v0, v1, … or a0, a1, …")]
    Rendition,
}

/// What is watched: a name chosen by the operator, `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(String);

impl StreamId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let good = !bytes.is_empty()
            && bytes.len() <= STREAM_NAME_BYTES_MAX
            && plain(&bytes[0])
            && bytes.iter().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
        if good { Ok(Self(text.into())) } else { Err(IdError::Stream) }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One publishing of a stream, from a publisher's start. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        lower_hex::<8>(text).map(|bytes| Self(u64::from_be_bytes(bytes)))
    }
}

/// A rendition's name in URLs: `v0` is the best video, `a0` the first audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RenditionName {
    /// The n-th video rendition, best first.
    Video(u8),
    /// The n-th audio rendition.
    Audio(u8),
}

impl fmt::Display for RenditionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Video(n) => write!(f, "v{n}"),
            Self::Audio(n) => write!(f, "a{n}"),
        }
    }
}

impl FromStr for RenditionName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut chars = text.chars();
        let kind = chars.next().ok_or(IdError::Rendition)?;
        let digits = chars.as_str();
        let number: u8 = digits.parse().map_err(|_| IdError::Rendition)?;
        let canonical = digits.len() == if number < 10 { 1 } else { 2 } && !digits.starts_with('+');
        match kind {
            _ if !canonical || usize::from(number) >= RENDITIONS_MAX => Err(IdError::Rendition),
            'v' => Ok(Self::Video(number)),
            'a' => Ok(Self::Audio(number)),
            _ => Err(IdError::Rendition),
        }
    }
}

/// One viewer's place, for as long as its ticket lives. The first six bytes are the time of the join, in ms since the
/// Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        lower_hex::<16>(text).map(Self)
    }
}

/// BLAKE3 of an init segment.
pub type Hash = [u8; 32];
/// The first 16 bytes of BLAKE3 of a chunk: 128 bits against a second preimage, half the descriptor.
pub type ChunkHash = [u8; 16];
/// An Ed25519 public key.
pub type PublicKey = [u8; 32];
/// An Ed25519 signature.
pub type Signature = [u8; 64];

fn lower_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    // By hand: every request for media names a run, and a general decoder takes eight times as long.
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; N];
    let mut good = pairs.len() == N && odd.is_empty();
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => good = false,
        }
    }
    if good { Ok(bytes) } else { Err(IdError::Hex(2 * N)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_parse_to_themselves_or_not_at_all() {
        for good in ["demo", "a", "town-hall.2026_1", "0"] {
            assert_eq!(good.parse::<StreamId>().map(|s| s.to_string()), Ok(good.into()));
        }
        for bad in ["", ".", "..", "../x", "a/b", "Demo", "-x", "a b", "ü", &"x".repeat(65)] {
            assert_eq!(bad.parse::<StreamId>(), Err(IdError::Stream), "{bad:?}");
        }
        assert_eq!("v0".parse(), Ok(RenditionName::Video(0)));
        assert_eq!("a12".parse(), Ok(RenditionName::Audio(12)));
        for bad in ["v", "v00", "v01", "v+1", "v16", "v999", "x1", "", "vé"] {
            assert_eq!(bad.parse::<RenditionName>(), Err(IdError::Rendition), "{bad:?}");
        }
        assert_eq!("00000000000000ff".parse(), Ok(RunId(255)));
        assert_eq!("00000000000000FF".parse::<RunId>(), Err(IdError::Hex(16)));
    }
}
