//! What does nothing sound like, in AAC and Opus?
//!
//! Players keep pictures and sound in buffers of their own and stand still where one of them is empty, so sound that
//! is missing has to be replaced, not left out. A frame of silence needs no encoder: it is a few bytes.

use bytes::Bytes;

/// Frames of silence, as a track's decoder takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// One frame.
    pub frame: Bytes,
    /// What a frame lasts, in samples …
    pub samples: u32,
    /// … of which there are so many in a second.
    pub rate: u32,
}

/// Silence in AAC with this channel configuration (ISO/IEC 14496-3 table 1.19), `samples` at `rate` in a frame.
/// `None` for configurations that describe their channels themselves.
pub(crate) fn aac(configuration: u8, samples: u32, rate: u32) -> Option<Silence> {
    use Element::{Low, Pair, Single};
    let elements: &[Element] = match configuration {
        1 => &[Single],
        2 => &[Pair],
        3 => &[Single, Pair],
        4 => &[Single, Pair, Single],
        5 => &[Single, Pair, Pair],
        6 => &[Single, Pair, Pair, Low],
        7 => &[Single, Pair, Pair, Pair, Low],
        _ => return None,
    };
    Some(Silence { frame: aac_frame(elements), samples, rate })
}

/// Silence in Opus of one or two channels: 20 ms, full band, with nothing in it (RFC 6716 §3.1; the flag for silence is
/// the first bit of the range-coded data, §4.3).
pub(crate) fn opus(channels: u8) -> Option<Silence> {
    let stereo = match channels {
        1 => 0,
        2 => 4,
        _ => return None,
    };
    Some(Silence { frame: vec![0xf8 | stereo, 0xff, 0xfe].into(), samples: 960, rate: 48_000 })
}

/// Elements of a raw data block, ISO/IEC 14496-3 table 4.85.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Single = 0,
    Pair = 1,
    Low = 3,
}

/// Each channel has a gain, one long window in which no band is coded (`max_sfb` 0), and none of the tools: all zeros.
fn aac_frame(elements: &[Element]) -> Bytes {
    const CHANNEL_BITS: usize = 8 + 11 + 3; // global_gain, ics_info, three flags
    let mut bits = String::new();
    for (at, &element) in elements.iter().enumerate() {
        let tag = elements[..at].iter().filter(|&&before| before == element).count();
        bits += &format!("{:03b}{tag:04b}", element as u8);
        let pair_bits = 1 + 2 * CHANNEL_BITS; // with its common_window
        bits += &"0".repeat(if element == Element::Pair { pair_bits } else { CHANNEL_BITS });
    }
    bits += "111"; // ID_END
    let bit = |byte: u8, at: usize| byte << 1 | u8::from(bits.as_bytes().get(at) == Some(&b'1'));
    (0..bits.len().div_ceil(8)).map(|at| (8 * at..8 * at + 8).fold(0, bit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_few_bytes() {
        let frame = |configuration| aac(configuration, 1024, 48_000).expect("a plain configuration").frame;
        assert_eq!(frame(1)[..], [0, 0, 0, 7]);
        assert_eq!(frame(2)[..], [0x20, 0, 0, 0, 0, 0, 0x0e]);
        assert_eq!((frame(4).len(), frame(7).len()), (15, 28));
        assert_eq!(aac(0, 1024, 48_000), None);
    }
}
