//! What is waiting of one track, and when does it play?
//!
//! Invariant: decode times in a lane increase strictly, and by no more than [`JUMP_MAX_NS`] at a time. Sound that does
//! not come, before, between or after what comes, is silence: see [`trellis_media::silence`].

use std::collections::VecDeque;

use bytes::Bytes;
use trellis_media::fmp4::{Sample, Track, TrackKind};
use trellis_media::silence::Silence;
use trellis_media::{cmaf, codec};

use super::{Error, TrackPart};

/// One rendition's samples on their way into parts.
#[derive(Debug)]
pub(super) struct Lane {
    /// `v0`, `a0`, …
    pub name: String,
    /// Index of the track in the publisher's header.
    pub index: usize,
    pub track: Track,
    pub info: codec::Info,
    /// Samples that are not in a part yet.
    pub queue: VecDeque<Sample>,
    /// Decode time (ticks) that cuts are measured from: the lane's first keyframe.
    pub zero: u64,
    /// Decode time (ticks) that the written timeline begins with; the same moment in all lanes.
    pub base: u64,
    /// Ticks that composition offsets are raised by, so that none is negative.
    pub raise: u32,
    /// Ticks that decode times are moved by: with `raise`, pictures and sound move alike in all lanes.
    pub shift: u64,
    last_dts: Option<u64>,
    last_step: u64,
    /// Decode time (ticks) up to which everything is in parts.
    taken_to: Option<u64>,
    /// Decode time (ticks) up to which silence stands in for what did not come; what still comes of it is too late.
    silent_to: u64,
    /// By how much the latest that came too late missed its place (ns).
    late_ns: u64,
    queued_bytes: usize,
}

impl Lane {
    pub fn new(name: String, index: usize, track: Track, info: codec::Info) -> Self {
        Self {
            name,
            index,
            track,
            info,
            queue: VecDeque::new(),
            zero: 0,
            base: 0,
            raise: 0,
            shift: 0,
            last_dts: None,
            last_step: 0,
            taken_to: None,
            silent_to: 0,
            late_ns: 0,
            queued_bytes: 0,
        }
    }

    pub fn is_video(&self) -> bool {
        self.track.kind == TrackKind::Video
    }

    /// Memory the queue holds (bytes), with what a sample costs beside its data.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Appends a sample. Samples without bytes are left out: the one before lasts longer instead.
    pub fn push(&mut self, mut sample: Sample) -> Result<(), Error> {
        // Every frame of sound stands alone, whatever its flags say.
        sample.sync |= !self.is_video();
        if sample.data.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.last_dts {
            let step = sample.dts.checked_sub(last).filter(|&step| step > 0);
            let step = step.ok_or_else(|| self.not_increasing(last))?;
            if self.ns(sample.dts.saturating_sub(last.max(self.silent_to))) > JUMP_MAX_NS {
                return Err(self.jump(last, step));
            }
            self.last_step = step;
        }
        let before = self.last_dts.replace(sample.dts);
        if sample.dts < self.silent_to {
            self.late_ns = self.late_ns.max(self.ns(self.silent_to - sample.dts)).min(LATE_MAX_NS);
            return Ok(());
        }
        if before.is_some() {
            self.fill_hole(sample.dts);
        }
        self.queued_bytes += cost(&sample);
        self.queue.push_back(sample);
        Ok(())
    }

    /// How much longer than others this lane is waited for (ns): as much as it was late before.
    pub fn late_ns(&self) -> u64 {
        self.late_ns
    }

    /// Lays silence between the newest sample and the one at `dts` (ticks). What is short may be a duration stated wrongly
    /// and is left: there the newest lasts longer.
    fn fill_hole(&mut self, dts: u64) {
        let Some(silence) = self.info.silence.clone() else { return };
        let behind = self.queue.back().map(|last| last.dts + self.duration_of(last)).or(self.taken_to);
        let Some(from) = behind.filter(|&from| self.ns(dts.saturating_sub(from)) >= HOLE_MIN_NS) else { return };
        let frames = self.silence(&silence, from, dts);
        self.queued_bytes += frames.iter().map(cost).sum::<usize>();
        self.queue.extend(frames);
    }

    /// Drops everything before decode time `dts` (ticks).
    pub fn drop_before(&mut self, dts: u64) {
        while self.queue.front().is_some_and(|sample| sample.dts < dts) {
            self.pop();
        }
    }

    /// Drops everything from `at_ns` on (ns since the lane's zero).
    pub fn drop_from(&mut self, at_ns: u64) {
        while self.queue.back().is_some_and(|sample| self.cut_ns(sample) >= at_ns) {
            if let Some(sample) = self.queue.pop_back() {
                self.queued_bytes -= cost(&sample);
            }
        }
    }

    /// Decode time of the newest sample that ever came, on the publisher's timeline (ns).
    pub fn newest_ns(&self) -> Option<u64> {
        self.last_dts.map(|dts| self.ns(dts))
    }

    /// Time of a sample as cuts measure it (ns since the lane's zero).
    pub fn cut_ns(&self, sample: &Sample) -> u64 {
        self.ns(sample.dts.saturating_sub(self.zero))
    }

    /// Ticks to ns.
    pub fn ns(&self, ticks: u64) -> u64 {
        scale(ticks, NS, self.track.timescale)
    }

    /// Lays silence where sound ought to be and is not: in front of what waits, and behind it up to `end_ns` (ns since
    /// the lane's zero). Returns whether the sound does not reach the end.
    pub fn fill(&mut self, end_ns: u64) -> bool {
        let Some(silence) = self.info.silence.clone() else { return false };
        let end = self.zero + scale(end_ns, self.track.timescale.into(), NS as u32);
        let from = self.taken_to.unwrap_or(self.zero);
        let front = self.queue.front().map_or(from, |first| first.dts);
        for frame in self.silence(&silence, from, front).into_iter().rev() {
            self.queued_bytes += cost(&frame);
            self.queue.push_front(frame);
        }
        let behind = self.queue.back().map_or(from, |last| last.dts + self.duration_of(last));
        let missing = self.silence(&silence, behind, end);
        self.silent_to = missing.last().map_or(self.silent_to, |last| last.dts + u64::from(last.duration));
        self.queued_bytes += missing.iter().map(cost).sum::<usize>();
        let stands_in = !missing.is_empty();
        self.queue.extend(missing);
        stands_in
    }

    /// Whole frames of silence between two decode times (ticks).
    fn silence(&self, silence: &Silence, from: u64, to: u64) -> Vec<Sample> {
        let (timescale, rate) = (u64::from(self.track.timescale), u64::from(silence.rate.max(1)));
        let at = |n: u64| from + n * u64::from(silence.samples) * timescale / rate;
        let frame = |n| Sample {
            track: self.index,
            dts: at(n),
            duration: (at(n + 1) - at(n)) as u32,
            cts_offset: 0,
            sync: true,
            data: silence.frame.clone(),
        };
        // A clock that does not tell frames apart is nothing to lay them by.
        let tells = at(1) > from;
        (0..).take_while(|&n| tells && at(n + 1) <= to).map(frame).collect()
    }

    /// Takes the samples that begin before `end_ns` and writes them as a part.
    pub fn part(&mut self, sequence: u32, end_ns: u64) -> Result<Taken, Error> {
        let mut samples: Vec<cmaf::Sample> = Vec::new();
        let mut start = None;
        let mut end = 0;
        while self.queue.front().is_some_and(|sample| self.cut_ns(sample) < end_ns) {
            let Some(sample) = self.pop() else { break };
            end = self.queue.front().map_or_else(|| sample.dts + self.duration_of(&sample), |next| next.dts);
            start.get_or_insert(sample.dts);
            samples.push(self.written(&sample, end));
        }
        self.taken_to = start.map_or(self.taken_to, |_| Some(end));
        let start = start.unwrap_or(end);
        let data = cmaf::part(sequence, start.saturating_sub(self.base) + self.shift, &samples)?;
        let duration_us = self.us(end).saturating_sub(self.us(start)).min(DURATION_US_MAX);
        Ok(Taken {
            independent: samples.first().is_none_or(|first| first.sync),
            part: TrackPart { data, duration_us: duration_us as u32 },
        })
    }

    /// Duration of the newest sample (ticks): as stated when that is plausible, else as long as the one before.
    pub fn duration_of(&self, sample: &Sample) -> u64 {
        let stated = u64::from(sample.duration);
        let plausible = stated > 0 && self.ns(stated) <= JUMP_MAX_NS;
        if plausible { stated } else { self.last_step.max(1) }
    }

    fn written(&self, sample: &Sample, end: u64) -> cmaf::Sample {
        let disposable = |length_bytes| !sample.sync && codec::h264_disposable(&sample.data, length_bytes);
        cmaf::Sample {
            duration: u32::try_from(end - sample.dts).unwrap_or(u32::MAX),
            cts_offset: sample.cts_offset.saturating_add_unsigned(self.raise),
            sync: sample.sync,
            disposable: self.info.h264_length_bytes.is_some_and(disposable),
            data: sample.data.clone(),
        }
    }

    /// µs since the run's start, rounded to nearest.
    fn us(&self, dts: u64) -> u64 {
        let ticks = u128::from(dts.saturating_sub(self.base));
        let timescale = u128::from(self.track.timescale);
        u64::try_from((ticks * 1_000_000 + timescale / 2) / timescale).unwrap_or(u64::MAX)
    }

    fn pop(&mut self) -> Option<Sample> {
        let sample = self.queue.pop_front()?;
        self.queued_bytes -= cost(&sample);
        Some(sample)
    }

    fn not_increasing(&self, last: u64) -> Error {
        Error::NotIncreasing { track: self.name.clone(), at_ms: self.ns(last) / NS_PER_MS }
    }

    fn jump(&self, last: u64, step: u64) -> Error {
        let (by_ms, at_ms) = (self.ns(step) / NS_PER_MS, self.ns(last) / NS_PER_MS);
        Error::Jump { track: self.name.clone(), by_ms, at_ms }
    }
}

/// A lane's share of a part.
#[derive(Debug)]
pub(super) struct Taken {
    pub part: TrackPart,
    /// Begins with a keyframe, or is empty.
    pub independent: bool,
}

/// `ticks` of a `from`-per-second clock in units of `to` per second, rounded down, saturating.
pub(super) fn scale(ticks: u64, to: u64, from: u32) -> u64 {
    let scaled = u128::from(ticks) * u128::from(to) / u128::from(from.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn cost(sample: &Sample) -> usize {
    sample.data.len() + size_of::<Sample>() + size_of::<Bytes>()
}

pub(super) const NS: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;
const JUMP_MAX_NS: u64 = 10 * NS;
const HOLE_MIN_NS: u64 = 100 * NS_PER_MS;
/// Nobody is waited for much longer than a jump may be.
const LATE_MAX_NS: u64 = JUMP_MAX_NS;
/// What a descriptor can say; longer only when a lane stayed away.
const DURATION_US_MAX: u64 = 60_000_000;
