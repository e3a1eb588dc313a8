//! What is this run like? Decided once, after watching its beginning.
//!
//! The beginning is watched until the second segment would open on every track, so that keyframe distance, frame
//! rates and bit rates are measured, not believed. It is bounded in time by [`WATCH_MAX_NS`] and in bytes by the packager.

use trellis_media::cmaf;
use trellis_media::codec;

use super::lane::{Lane, NS, scale};
use super::pace::{Measured, Pace, SEGMENT_MIN_NS, fraction, measure, opens_segment};
use super::{Error, FrameRate, LAG_MAX_NS, Media, Rendition, Shape, Warning};

/// Watches the reference track until its shape can be decided. Times are ns on the publisher's timeline.
#[derive(Debug, Default)]
pub(super) struct Opening {
    first_keyframe: Option<u64>,
    second_boundary: Option<u64>,
    frames: u64,
    first_frame: Option<u64>,
}

impl Opening {
    /// Notes a frame of the reference track. Returns whether it is of use: what comes before the first keyframe is not.
    pub fn on_reference(&mut self, at: u64, sync: bool) -> Result<bool, Error> {
        let waited_from = *self.first_frame.get_or_insert(at);
        let Some(first) = self.first_keyframe else {
            if sync {
                self.first_keyframe = Some(at);
            } else if at.saturating_sub(waited_from) > WATCH_MAX_NS {
                return Err(Error::NoKeyframe { seconds: WATCH_MAX_NS / NS });
            }
            return Ok(sync);
        };
        self.frames += 1;
        let elapsed = at.saturating_sub(first);
        if sync && self.second_boundary.is_none() && opens_segment(elapsed, elapsed / self.frames) {
            self.second_boundary = Some(at);
        }
        Ok(true)
    }

    /// Whether enough was seen: the second boundary on the reference and on every other track, or as much as is waited for.
    pub fn is_complete(&self, reference_ns: u64, others: impl Iterator<Item = Option<u64>>) -> bool {
        let Some(first) = self.first_keyframe else { return false };
        let watched_long = reference_ns.saturating_sub(first) >= WATCH_MAX_NS;
        let Some(boundary) = self.second_boundary else { return watched_long };
        let lagging = reference_ns.saturating_sub(boundary) >= LAG_MAX_NS;
        watched_long || lagging || others.into_iter().all(|newest| newest.is_some_and(|at| at >= boundary))
    }
}

/// What was decided.
#[derive(Debug)]
pub(super) struct Decided {
    pub shape: Shape,
    pub pace: Pace,
    pub warnings: Vec<Warning>,
}

/// Decides the shape, drops from `lanes` what lies before the run's start, and sets their timelines. The first lane
/// is the reference. Audio lanes that sent nothing are taken out.
pub(super) fn decide(lanes: &mut Vec<Lane>, target_hint_s: Option<u32>) -> Result<Decided, Error> {
    let mut warnings = Vec::new();
    drop_silent(lanes, &mut warnings)?;
    align(lanes)?;
    let Some(reference) = lanes.first() else { return Err(Error::NothingToServe) };

    let measured = frame_rate_of(reference);
    let gop_ns = first_gop_ns(reference, measured.rate);
    let segment_target_s = target_s(gop_ns).max(target_hint_s.unwrap_or(0)).min(TARGET_MAX_S);
    let pace = Pace::new(measured.rate, segment_target_s);
    if measured.variable && reference.is_video() {
        warnings.push(Warning::VariableFrameRate);
    }
    if target_s(gop_ns) > 2 {
        warnings.push(Warning::LongGop { seen_ms: (gop_ns / 1_000_000) as u32, keyint: pace.keyint() });
    }
    let frames = reference.queue.iter().map(|sample| (reference.cut_ns(sample), sample.sync));
    let part_target_us = pace.longest_part_ns(frames).div_ceil(1000).min(PART_TARGET_US_MAX) as u32;
    let renditions = lanes.iter().map(|lane| rendition(lane, gop_ns, &pace)).collect();
    Ok(Decided { shape: Shape { renditions, part_target_us, segment_target_s }, pace, warnings })
}

fn drop_silent(lanes: &mut Vec<Lane>, warnings: &mut Vec<Warning>) -> Result<(), Error> {
    if let Some(video) = lanes.iter().find(|lane| lane.is_video() && lane.queue.is_empty()) {
        return Err(Error::Silent { track: video.name.clone() });
    }
    let silent = lanes.iter().filter(|lane| lane.queue.is_empty());
    warnings
        .extend(silent.map(|lane| Warning::TrackIgnored { what: format!("{} without samples", lane.info.rfc6381) }));
    lanes.retain(|lane| !lane.queue.is_empty());
    for (number, lane) in lanes.iter_mut().filter(|lane| !lane.is_video()).enumerate() {
        lane.name = format!("a{number}");
    }
    Ok(())
}

/// Finds the keyframe all rungs begin with, sets every lane's `zero` and `base`, and drops what comes before.
fn align(lanes: &mut [Lane]) -> Result<(), Error> {
    let [reference, others @ ..] = &mut *lanes else { return Err(Error::NothingToServe) };
    let half_frame = frame_ns(frame_rate_of(reference).rate) / 2;
    let keyframes: Vec<(u64, u64)> = keyframes(reference).collect();
    let matching = |lane: &Lane, shown: u64| {
        self::keyframes(lane).find(|(_, other)| other.abs_diff(shown) <= half_frame).map(|(dts, _)| dts)
    };
    let start = keyframes
        .iter()
        .take(START_CANDIDATES_MAX)
        .find(|(_, shown)| others.iter().filter(|lane| lane.is_video()).all(|lane| matching(lane, *shown).is_some()));
    let &(zero, shown) = match start {
        Some(start) => start,
        None => {
            let shown = keyframes.first().map_or(0, |(_, shown)| *shown);
            let lost = others.iter().find(|lane| lane.is_video() && matching(lane, shown).is_none());
            let track = lost.unwrap_or(reference).name.clone();
            let reference = reference.name.clone();
            return Err(Error::KeyframesApart { track, reference, at_ms: shown / 1_000_000 });
        }
    };
    reference.zero = zero;
    let mut earliest = (zero, reference.track.timescale);
    for lane in others.iter_mut().filter(|lane| lane.is_video()) {
        lane.zero = matching(lane, shown).unwrap_or(lane.zero);
        if lane.ns(lane.zero) < scale(earliest.0, NS, earliest.1) {
            earliest = (lane.zero, lane.track.timescale);
        }
    }
    for lane in lanes.iter_mut() {
        lane.base = scale(earliest.0, lane.track.timescale.into(), earliest.1);
        if !lane.is_video() {
            lane.zero = lane.base;
        }
        check_near(lane)?;
        lane.drop_before(lane.zero);
    }
    raise_offsets(lanes);
    Ok(())
}

/// Makes composition offsets positive by decoding earlier, and moves all lanes so that no time becomes negative.
/// Negative offsets are legal, but libavformat shows pictures later by the most negative one, and sound on a track of
/// its own does not follow.
fn raise_offsets(lanes: &mut [Lane]) {
    let mut longest_ns = 0;
    for lane in lanes.iter_mut() {
        let lowest = lane.queue.iter().map(|sample| sample.cts_offset).min().unwrap_or(0);
        lane.raise = lowest.min(0).unsigned_abs().min(lane.track.timescale);
        longest_ns = longest_ns.max(lane.ns(lane.raise.into()));
    }
    for lane in lanes {
        let timescale = u64::from(lane.track.timescale);
        let nearest = scale(longest_ns + NS / (2 * timescale), timescale, NS as u32);
        lane.shift = nearest.saturating_sub(lane.raise.into());
    }
}

/// Sound may begin before or after the pictures, but not on another timeline.
fn check_near(lane: &Lane) -> Result<(), Error> {
    let zero = lane.ns(lane.zero);
    let first = lane.queue.front().map_or(zero, |sample| lane.ns(sample.dts));
    let newest = lane.newest_ns().unwrap_or(zero);
    let apart = first.saturating_sub(zero).max(zero.saturating_sub(newest));
    if apart > APART_MAX_NS {
        return Err(Error::Apart { track: lane.name.clone(), by_ms: apart / 1_000_000 });
    }
    Ok(())
}

/// Decode time (ticks) and presentation time (ns) of a lane's keyframes.
fn keyframes(lane: &Lane) -> impl Iterator<Item = (u64, u64)> + '_ {
    lane.queue.iter().filter(|sample| sample.sync).map(|sample| {
        let shown = sample.dts.saturating_add_signed(sample.cts_offset.into());
        (sample.dts, lane.ns(shown))
    })
}

fn frame_rate_of(lane: &Lane) -> Measured {
    let times = lane.queue.iter().map(|sample| sample.dts);
    let steps = times.clone().zip(times.skip(1)).map(|(earlier, later)| later - earlier);
    let single = || {
        let duration = lane.queue.front().map_or(1, |sample| lane.duration_of(sample));
        Measured { rate: fraction(lane.track.timescale.into(), duration), variable: false }
    };
    measure(steps, lane.track.timescale).unwrap_or_else(single)
}

fn frame_ns(rate: FrameRate) -> u64 {
    NS * u64::from(rate.den) / u64::from(rate.num)
}

/// From the run's start to the keyframe that opens the second segment, or to the end of what was seen.
fn first_gop_ns(reference: &Lane, rate: FrameRate) -> u64 {
    let frame_ns = frame_ns(rate);
    let opener = reference.queue.iter().find(|s| s.sync && opens_segment(reference.cut_ns(s), frame_ns));
    let seen = || reference.queue.back().map_or(0, |last| reference.cut_ns(last) + frame_ns);
    opener.map_or_else(seen, |sample| reference.cut_ns(sample))
}

/// The target of segments that long: whole seconds, 2 at least; 2.49 s still rounds to 2.
fn target_s(segment_ns: u64) -> u32 {
    if segment_ns <= SEGMENT_MIN_NS + 490_000_000 {
        2
    } else {
        segment_ns.div_ceil(NS).min(u64::from(TARGET_MAX_S)) as u32
    }
}

fn rendition(lane: &Lane, stretch_ns: u64, pace: &Pace) -> Rendition {
    let in_stretch = lane.queue.iter().filter(|sample| lane.cut_ns(sample) < stretch_ns);
    let (samples, bytes) = in_stretch.fold((0, 0), |(n, bytes), sample| (n + 1, bytes + sample.data.len() as u64));
    let parts = stretch_ns.div_ceil(pace.part_ns.max(1));
    let boxed = bytes + parts * PART_BOX_BYTES + samples * SAMPLE_BOX_BYTES;
    let media = match lane.info.media {
        codec::Media::Video { width, height } => Media::Video { width, height, frame_rate: frame_rate_of(lane).rate },
        codec::Media::Audio { sample_rate, channels } => Media::Audio { sample_rate, channels },
    };
    Rendition {
        name: lane.name.clone(),
        codec: lane.info.rfc6381.clone(),
        media,
        language: lane.track.language.clone(),
        timescale: lane.track.timescale,
        init: cmaf::init(&lane.track),
        bitrate_peak: u32::try_from(boxed.saturating_mul(8 * NS) / stretch_ns.max(1)).unwrap_or(u32::MAX),
        bitrate_declared: lane.info.bitrate_declared,
    }
}

/// How much of a run is watched before its shape is decided.
pub(super) const WATCH_MAX_NS: u64 = 12 * NS;
/// Longest segment target (s); a longer distance of keyframes leads to forced cuts.
const TARGET_MAX_S: u32 = 60;
/// Farthest that tracks may begin from each other.
const APART_MAX_NS: u64 = 10 * NS;
const PART_TARGET_US_MAX: u64 = 10_000_000;
/// Keyframes that are tried as the run's start: an all-intra run has many.
const START_CANDIDATES_MAX: usize = 32;
/// `moof` and `mdat` without samples.
const PART_BOX_BYTES: u64 = 116;
/// A sample in a `trun`: size, composition offset, flags.
const SAMPLE_BOX_BYTES: u64 = 12;
