//! When does a part end, and when a segment?
//!
//! The reference track's frames are the only clock. A part is the whole number of frames nearest ⅓ s; a segment opens
//! at the first keyframe at least 2 s (less half a frame) after the last one opened, or, when none comes, before it
//! would exceed its target by half a second, which is where its duration would round up to more than the target.

use std::collections::BTreeMap;

use super::FrameRate;
use super::lane::{NS, scale};

/// The rule that cuts the reference track.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub frame_ns: u64,
    pub part_ns: u64,
    pub segment_max_ns: u64,
}

/// What opens with a reference frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Part,
    /// `forced`: without a keyframe.
    Segment {
        forced: bool,
    },
}

impl Pace {
    /// The pace of a track of this frame rate.
    pub fn new(rate: FrameRate, segment_target_s: u32) -> Self {
        let (num, den) = (u64::from(rate.num), u64::from(rate.den));
        let frames = ((num + den * 3 / 2) / (den * 3)).max(1);
        Self {
            frame_ns: NS * den / num.max(1),
            part_ns: NS * frames * den / num.max(1),
            segment_max_ns: u64::from(segment_target_s) * NS + 490_000_000,
        }
    }

    /// Frames between keyframes for segments of 2 s.
    pub fn keyint(&self) -> u32 {
        u32::try_from((2 * NS + self.frame_ns / 2) / self.frame_ns.max(1)).unwrap_or(u32::MAX).max(1)
    }

    /// What a frame at `at` opens, given where the open part and segment began (all ns).
    pub fn cut(&self, at: u64, sync: bool, part_start: u64, segment_start: u64) -> Option<Cut> {
        let segment = at.saturating_sub(segment_start);
        if sync && opens_segment(segment, self.frame_ns) {
            return Some(Cut::Segment { forced: false });
        }
        if segment.saturating_add(self.frame_ns) > self.segment_max_ns {
            return Some(Cut::Segment { forced: true });
        }
        (at.saturating_sub(part_start) + self.frame_ns / 2 >= self.part_ns).then_some(Cut::Part)
    }

    /// The longest part (ns) this rule makes of frames at these times.
    pub fn longest_part_ns(&self, frames: impl Iterator<Item = (u64, bool)>) -> u64 {
        let (mut part, mut segment, mut longest) = (None, 0, self.part_ns);
        for (at, sync) in frames {
            let Some(start) = part else {
                (part, segment) = (Some(at), at);
                continue;
            };
            if let Some(cut) = self.cut(at, sync, start, segment) {
                longest = longest.max(at - start);
                part = Some(at);
                if matches!(cut, Cut::Segment { .. }) {
                    segment = at;
                }
            }
        }
        longest
    }
}

/// Whether a keyframe this long after the segment's start opens the next one.
pub(super) fn opens_segment(elapsed_ns: u64, frame_ns: u64) -> bool {
    elapsed_ns.saturating_add(frame_ns / 2) >= SEGMENT_MIN_NS
}

/// What the decode times of a track say of its frame rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub rate: FrameRate,
    /// Frames are not evenly spaced, beyond the rounding of timestamps.
    pub variable: bool,
}

/// Measures the frame rate from the distances of frames in ticks.
pub(super) fn measure(steps: impl Iterator<Item = u64>, timescale: u32) -> Option<Measured> {
    let (mut seen, mut count, mut total) = (BTreeMap::<u64, u64>::new(), 0u64, 0u64);
    for step in steps {
        *seen.entry(step).or_default() += 1;
        count += 1;
        total = total.saturating_add(step);
    }
    let (&common, &times) = seen.iter().max_by_key(|(_, times)| **times)?;
    let exact = times * 10 >= count * 9;
    let rate = if exact { fraction(timescale.into(), common) } else { nearest(count, total, timescale) };
    // A jitter of a millisecond or two is a container's rounding, not a varying rate.
    let slack = common / 4 + scale(2, u64::from(timescale), 1000);
    let uneven = seen.range(..common.saturating_sub(slack)).chain(seen.range(common + slack + 1..));
    let variable = uneven.map(|(_, times)| times).sum::<u64>() * 20 > count;
    Some(Measured { rate, variable })
}

/// `count` frames in `total` ticks, as a rate in common use when it is within 0.2 % of one.
fn nearest(count: u64, total: u64, timescale: u32) -> FrameRate {
    let milli = scale(count.saturating_mul(u64::from(timescale)), 1000, u32::try_from(total).unwrap_or(u32::MAX));
    let distance = |&&(num, den): &&(u64, u64)| (num * 1000 / den).abs_diff(milli);
    let known = COMMON_RATES.iter().min_by_key(distance).filter(|rate| distance(rate) * 500 <= milli);
    known.map_or_else(|| fraction(milli, 1000), |&(num, den)| fraction(num, den))
}

/// `num / den` in lowest terms, kept within 1/1000 to 1000 frames per second.
pub(super) fn fraction(num: u64, den: u64) -> FrameRate {
    let (num, den) = (num.max(1), den.max(1));
    if num / den >= 1000 {
        return FrameRate { num: 1000, den: 1 };
    }
    if den / num >= 1000 {
        return FrameRate { num: 1, den: 1000 };
    }
    let common = gcd(num, den);
    let (mut num, mut den) = (num / common, den / common);
    while num > u64::from(u32::MAX) || den > u64::from(u32::MAX) {
        (num, den) = (num / 2, den / 2);
    }
    FrameRate { num: num.max(1) as u32, den: den.max(1) as u32 }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Segments are 2 s long when keyframes allow.
pub(super) const SEGMENT_MIN_NS: u64 = 2 * NS;
const COMMON_RATES: [(u64, u64); 10] =
    [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (48, 1), (50, 1), (60_000, 1001), (60, 1), (15, 1)];

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(num: u32, den: u32) -> FrameRate {
        FrameRate { num, den }
    }

    #[test]
    fn parts_are_the_whole_number_of_frames_nearest_a_third_of_a_second() {
        let frames = |num, den| {
            let pace = Pace::new(rate(num, den), 2);
            (pace.part_ns + pace.frame_ns / 2) / pace.frame_ns
        };
        assert_eq!(frames(25, 1), 8);
        assert_eq!(frames(30, 1), 10);
        assert_eq!(frames(30_000, 1001), 10);
        assert_eq!(frames(60, 1), 20);
        assert_eq!(frames(24, 1), 8);
        assert_eq!(frames(48_000, 1024), 16);
        assert_eq!(frames(1, 1), 1);
    }

    #[test]
    fn rates_are_exact_when_ticks_are_and_recognised_when_rounded() {
        let even = |step, n| std::iter::repeat_n(step, n);
        assert_eq!(measure(even(1001, 60), 30_000), Some(Measured { rate: rate(30_000, 1001), variable: false }));
        assert_eq!(measure(even(512, 50), 12_800), Some(Measured { rate: rate(25, 1), variable: false }));
        let jitter = (0..60).map(|i| if i % 3 == 0 { 34 } else { 33 });
        assert_eq!(measure(jitter, 1000), Some(Measured { rate: rate(30, 1), variable: false }));
        let jumpy = (0..60).map(|i| if i % 4 == 0 { 200 } else { 33 });
        assert!(measure(jumpy, 1000).is_some_and(|measured| measured.variable));
        assert_eq!(measure(std::iter::empty(), 1000), None);
    }

    #[test]
    fn a_segment_opens_at_a_keyframe_or_before_it_rounds_up() {
        let pace = Pace::new(rate(25, 1), 2);
        let ms = |n: u64| n * 1_000_000;
        assert_eq!(pace.cut(ms(1960), true, ms(1920), 0), None);
        assert_eq!(pace.cut(ms(2000), true, ms(1920), 0), Some(Cut::Segment { forced: false }));
        assert_eq!(pace.cut(ms(2440), false, ms(2240), 0), None);
        assert_eq!(pace.cut(ms(2480), false, ms(2240), 0), Some(Cut::Segment { forced: true }));
        assert_eq!(pace.cut(ms(320), false, 0, 0), Some(Cut::Part));
    }
}
