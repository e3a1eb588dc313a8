//! How does a publisher's byte stream become parts that are cut alike in every rendition?
//!
//! Invariant: output depends on the bytes alone, never on how they were chunked, nor on a clock. Parts are numbered
//! without gaps, and every sample of a rendition from the first keyframe on is in exactly one part, but for sound that
//! came when silence had taken its place.
//!
//! The rooms: [`lane`] keeps a track's samples, [`opening`] decides the shape, [`pace`] says where to cut. This file
//! passes samples from the reader to the lanes, and cuts from the pace to the lanes.

mod error;
mod event;
pub mod fuzz;
mod lane;
mod opening;
mod pace;

use std::collections::VecDeque;

use bytes::Bytes;
use trellis_media::codec;
use trellis_media::fmp4::{self, Item, Movie, Sample, TrackKind};

pub use error::Error;
pub use event::{Event, FrameRate, Media, Part, Rendition, Shape, TrackPart, Warning};
use lane::{Lane, NS};
use opening::Opening;
use pace::{Cut, Pace};

/// What the publisher said beside the media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Longest distance between keyframes the publisher expects (whole seconds, header `trellis-target-duration`).
    pub target_hint_s: Option<u32>,
}

/// The machine: push bytes, poll events, finish.
///
/// ```
/// use trellis_ingest::packager::{Event, Options, Packager};
///
/// let mut packager = Packager::new(Options::default());
/// for chunk in trellis_ingest::SAMPLE.chunks(10_000) {
///     packager.push(bytes::Bytes::from_static(chunk)).unwrap();
/// }
/// packager.finish().unwrap();
/// assert!(matches!(packager.poll(), Some(Event::Shape(shape)) if shape.renditions[0].name == "v0"));
/// assert!(matches!(packager.poll(), Some(Event::Part(part)) if part.number == 0 && part.independent));
/// ```
#[derive(Debug)]
pub struct Packager {
    options: Options,
    reader: fmp4::Reader,
    /// The reference first, then in the order of the shape.
    lanes: Vec<Lane>,
    stage: Stage,
    events: VecDeque<Event>,
    said: Vec<Warning>,
    samples: u64,
}

#[derive(Debug)]
enum Stage {
    /// The header is awaited.
    Header,
    /// The beginning is watched.
    Opening(Opening),
    /// Parts are cut.
    Running(Running),
    /// Finished or failed.
    Over,
}

/// Where the open part and segment began, on the reference's cut timeline.
#[derive(Debug, Clone, Copy)]
struct Running {
    pace: Pace,
    number: u64,
    /// Start of the open part, rounded to µs; the sum of the durations before it.
    start_us: u64,
    part_start_ns: u64,
    segment_start_ns: u64,
    segment_start: bool,
    /// Reference samples in the open part that were looked at already.
    examined: usize,
    segment_target_s: u32,
}

impl Packager {
    /// A packager at the start of a run.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            reader: fmp4::Reader::new(),
            lanes: Vec::new(),
            stage: Stage::Header,
            events: VecDeque::new(),
            said: Vec::new(),
            samples: 0,
        }
    }

    /// Takes the next bytes of the body. On an error the run is over; what was ready stays to be polled.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        if matches!(self.stage, Stage::Over) {
            return Err(Error::Over);
        }
        self.reader.push(bytes);
        self.drain().inspect_err(|_| self.stage = Stage::Over)
    }

    /// The next event, if one is ready.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Samples taken so far, those of ignored tracks apart.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The body ended: closes the last part. A fragment that was cut off is dropped, what came before it is kept.
    /// Sound that outlasts the pictures by more than half a second is dropped too.
    pub fn finish(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Header => Err(Error::NoHeader),
            Stage::Opening(_) if self.lanes.first().is_none_or(|reference| reference.queue.is_empty()) => {
                Err(Error::Empty)
            }
            Stage::Opening(_) => {
                let running = self.decide()?;
                self.close(running)
            }
            Stage::Running(running) => self.close(running),
            Stage::Over => Err(Error::Over),
        }
    }

    fn drain(&mut self) -> Result<(), Error> {
        while let Some(item) = self.reader.next()? {
            match item {
                Item::Movie(movie) => self.on_movie(movie)?,
                Item::Sample(sample) => self.on_sample(sample)?,
            }
        }
        Ok(())
    }

    /// Makes a lane of each video track, best first, and of each audio track.
    fn on_movie(&mut self, movie: Movie) -> Result<(), Error> {
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        for (index, track) in movie.tracks.into_iter().enumerate() {
            let lanes = match track.kind {
                TrackKind::Video => &mut video,
                TrackKind::Audio => &mut audio,
                TrackKind::Other(handler) => {
                    self.warn(Warning::TrackIgnored { what: String::from_utf8_lossy(&handler).into_owned() });
                    continue;
                }
            };
            let info = codec::describe(&track.entry)?;
            lanes.push(Lane::new(String::new(), index, track, info));
        }
        video.sort_by_key(|lane| std::cmp::Reverse(quality(&lane.info)));
        for (prefix, lanes) in [('v', &mut video), ('a', &mut audio)] {
            lanes.iter_mut().enumerate().for_each(|(i, lane)| lane.name = format!("{prefix}{i}"));
        }
        self.lanes = video.into_iter().chain(audio).collect();
        if self.lanes.is_empty() {
            return Err(Error::NothingToServe);
        }
        self.stage = Stage::Opening(Opening::default());
        Ok(())
    }

    fn on_sample(&mut self, sample: Sample) -> Result<(), Error> {
        let Some(at) = self.lanes.iter().position(|lane| lane.index == sample.track) else { return Ok(()) };
        self.samples += 1;
        let sync = sample.sync || !self.lanes[at].is_video();
        self.lanes[at].push(sample)?;
        let running = match &mut self.stage {
            Stage::Opening(opening) => {
                let newest = self.lanes[0].newest_ns().unwrap_or(0);
                if at == 0 && !opening.on_reference(newest, sync)? {
                    self.lanes[0].drop_before(u64::MAX);
                }
                let complete = opening.is_complete(newest, self.lanes[1..].iter().map(Lane::newest_ns));
                let full = self.queued_bytes() > OPENING_BYTES_MAX;
                if !(complete || full) || self.lanes[0].queue.is_empty() {
                    return self.check_memory();
                }
                self.decide()?
            }
            Stage::Running(running) => *running,
            Stage::Header | Stage::Over => return Ok(()),
        };
        self.stage = Stage::Running(self.cut_ready(running)?);
        self.check_memory()
    }

    /// Says the shape; from here on parts are cut.
    fn decide(&mut self) -> Result<Running, Error> {
        let decided = opening::decide(&mut self.lanes, self.options.target_hint_s)?;
        decided.warnings.into_iter().for_each(|warning| self.warn(warning));
        let running = Running {
            pace: decided.pace,
            number: 0,
            start_us: 0,
            part_start_ns: 0,
            segment_start_ns: 0,
            segment_start: true,
            examined: 1,
            segment_target_s: decided.shape.segment_target_s,
        };
        self.events.push_back(Event::Shape(decided.shape));
        Ok(running)
    }

    /// Emits every part whose end is known and whose samples have all arrived.
    fn cut_ready(&mut self, mut running: Running) -> Result<Running, Error> {
        while let Some((end_ns, cut)) = self.next_cut(&mut running) {
            if !self.have_arrived(end_ns, running.pace) {
                break;
            }
            self.emit(&mut running, end_ns, Some(cut))?;
        }
        Ok(running)
    }

    /// Where the open part ends, once the frame that opens the next one is there.
    fn next_cut(&self, running: &mut Running) -> Option<(u64, Cut)> {
        let reference = &self.lanes[0];
        while let Some(sample) = reference.queue.get(running.examined) {
            let at = reference.cut_ns(sample);
            let cut = running.pace.cut(at, sample.sync, running.part_start_ns, running.segment_start_ns);
            if let Some(cut) = cut {
                return Some((at, cut));
            }
            running.examined += 1;
        }
        None
    }

    /// Whether every lane has a sample past `end_ns`, or the reference is so far ahead that the others are given up: but
    /// none that lies behind the reference in the same fragment, and none for less than it was late before.
    fn have_arrived(&self, end_ns: u64, pace: Pace) -> bool {
        let newest = |lane: &Lane| lane.queue.back().map_or(0, |sample| lane.cut_ns(sample));
        let ahead_ns = newest(&self.lanes[0]).saturating_sub(end_ns);
        let given_up = |lane: &Lane| ahead_ns >= LAG_MAX_NS + lane.late_ns() && !self.reader.announces(lane.index);
        self.lanes[1..].iter().all(|lane| newest(lane) >= lane_end(lane, end_ns, pace) || given_up(lane))
    }

    /// Writes the part that ends at `end_ns`; `cut` is what opens there, `None` at the end of the run, when everything
    /// that is left goes into it.
    fn emit(&mut self, running: &mut Running, end_ns: u64, cut: Option<Cut>) -> Result<(), Error> {
        let sequence = (running.number as u32).wrapping_add(1);
        let mut tracks = Vec::with_capacity(self.lanes.len());
        let mut independent = true;
        let mut lagging = Vec::new();
        for (i, lane) in self.lanes.iter_mut().enumerate() {
            let silent = i > 0 && lane.fill(end_ns);
            let end_ns = match (i, cut) {
                (0, _) => end_ns,
                (_, Some(_)) => lane_end(lane, end_ns, running.pace),
                (_, None) => u64::MAX,
            };
            let mut taken = lane.part(sequence, end_ns)?;
            independent &= taken.independent;
            let nothing = taken.part.data.is_empty();
            if (silent || nothing) && cut.is_some() {
                lagging.push(lane.name.clone());
            }
            if nothing {
                taken.part.duration_us = tracks.first().map_or(0, |reference: &TrackPart| reference.duration_us);
            }
            tracks.push(taken.part);
        }
        lagging.into_iter().for_each(|rendition| self.warn(Warning::Lagging { rendition }));
        if cut == Some(Cut::Segment { forced: true }) {
            self.warn(Warning::ForcedCut { target_s: running.segment_target_s, keyint: running.pace.keyint() });
        }
        let opens_segment = cut != Some(Cut::Part);
        let duration_us = tracks[0].duration_us;
        self.events.push_back(Event::Part(Part {
            number: running.number,
            segment_start: running.segment_start,
            last_of_segment: opens_segment,
            independent,
            start_us: running.start_us,
            duration_us,
            tracks,
        }));
        running.start_us += u64::from(duration_us);
        running.number += 1;
        running.part_start_ns = end_ns;
        running.segment_start = opens_segment;
        running.examined = 1;
        if opens_segment {
            running.segment_start_ns = end_ns;
        }
        match cut {
            Some(Cut::Segment { forced: false }) => self.check_keyframes(end_ns),
            _ => Ok(()),
        }
    }

    /// Every rung must open the segment with a keyframe, else players could not switch between them there.
    fn check_keyframes(&self, at_ns: u64) -> Result<(), Error> {
        let apart = |lane: &&Lane| lane.is_video() && lane.queue.front().is_some_and(|first| !first.sync);
        match self.lanes.iter().find(apart) {
            None => Ok(()),
            Some(lane) => Err(Error::KeyframesApart {
                track: lane.name.clone(),
                reference: self.lanes[0].name.clone(),
                at_ms: at_ns / 1_000_000,
            }),
        }
    }

    /// Cuts what is left, as if every lane had sent all it has.
    fn close(&mut self, mut running: Running) -> Result<(), Error> {
        while let Some((end_ns, cut)) = self.next_cut(&mut running) {
            self.emit(&mut running, end_ns, Some(cut))?;
        }
        let reference = &self.lanes[0];
        let Some(last) = reference.queue.back() else { return Ok(()) };
        let end_ns = reference.cut_ns(last) + reference.ns(reference.duration_of(last));
        for lane in &mut self.lanes[1..] {
            lane.drop_from(end_ns.saturating_add(OUTLAST_MAX_NS));
        }
        self.emit(&mut running, end_ns, None)
    }

    fn warn(&mut self, warning: Warning) {
        if !self.said.contains(&warning) {
            self.said.push(warning.clone());
            self.events.push_back(Event::Warning(warning));
        }
    }

    fn queued_bytes(&self) -> usize {
        self.lanes.iter().map(Lane::queued_bytes).sum()
    }

    fn check_memory(&self) -> Result<(), Error> {
        let bytes = self.queued_bytes();
        if bytes > WAITING_BYTES_MAX {
            return Err(Error::TooMuchWaiting { bytes, max: WAITING_BYTES_MAX });
        }
        Ok(())
    }
}

/// Where a lane's share of a part that ends at `end_ns` ends. A rung's frames need not lie on the same tick as the
/// reference's, so theirs count as early by a quarter of a frame.
fn lane_end(lane: &Lane, end_ns: u64, pace: Pace) -> u64 {
    if lane.is_video() { end_ns.saturating_sub(pace.frame_ns / 4) } else { end_ns }
}

/// Sorts renditions: taller, then wider, then of higher declared rate.
fn quality(info: &codec::Info) -> (u16, u16, u32) {
    match info.media {
        codec::Media::Video { width, height } => (height, width, info.bitrate_declared),
        codec::Media::Audio { .. } => (0, 0, info.bitrate_declared),
    }
}

/// How far the reference may run ahead before parts are cut without what stays behind: of sound, silence takes the place.
const LAG_MAX_NS: u64 = 2 * NS;
/// How far sound may outlast the pictures at the end of a run.
const OUTLAST_MAX_NS: u64 = NS / 2;
/// How many bytes of a run's beginning are watched.
const OPENING_BYTES_MAX: usize = 64 << 20;
/// How many bytes may wait in all.
const WAITING_BYTES_MAX: usize = 96 << 20;

const _: () = assert!(OPENING_BYTES_MAX + fmp4::SAMPLE_BYTES_MAX as usize <= WAITING_BYTES_MAX);
