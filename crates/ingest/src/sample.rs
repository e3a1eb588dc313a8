//! What does Trellis show when nobody publishes? A clip, looped for ever on one continuous timeline.
//!
//! Invariant: every track's loop is equally long, so that after any number of loops the tracks are still together.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use trellis_media::fmp4::{self, Item, Movie};
use trellis_media::{cmaf, fmp4::Sample};

/// The clip that ships with Trellis: 16 s, 720p, 480p and 240p at 30 fps, and sound. `scripts/make-clip` makes it.
pub const SAMPLE: &[u8] = include_bytes!("../../../assets/sample.mp4");

/// Why a clip cannot be looped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The clip does not parse.
    #[error(transparent)]
    Container(#[from] fmp4::Error),
    /// A frame does not fit a fragment.
    #[error(transparent)]
    Write(#[from] cmaf::Error),
    /// There is nothing to loop.
    #[error("the clip has no media; make it anew with scripts/make-clip")]
    Empty,
    /// The tracks would drift apart.
    #[error("the clip's tracks are not equally long ({0:?} and {1:?}), so it cannot be looped")]
    Uneven(Duration, Duration),
}

/// An endless fragmented MP4 stream, one fragment per frame as a live encoder sends them.
///
/// The first item is the header; each further one holds all tracks' samples of one picture's time. Items come with the
/// time at which they are due since the start. The first group of pictures and the frame after it are due at once, so
/// that the packager knows the run's shape at once; from there on items are due in real time.
#[derive(Debug)]
pub struct Looper {
    header: Option<Bytes>,
    steps: Vec<Step>,
    loop_time: Duration,
    head_start: Duration,
    tracks: Vec<LoopedTrack>,
    at: usize,
    loops: u64,
    sequence: u32,
}

#[derive(Debug)]
struct LoopedTrack {
    id: u32,
    /// Ticks a loop lasts.
    ticks: u64,
}

/// What is sent with one picture.
#[derive(Debug)]
struct Step {
    time: Duration,
    samples: Vec<Sample>,
}

impl Looper {
    /// Loops the clip that ships with Trellis.
    ///
    /// # Panics
    /// Never: a test loops it.
    pub fn sample() -> Self {
        Self::new(Bytes::from_static(SAMPLE)).expect("the clip that ships with Trellis can be looped")
    }

    /// Loops a fragmented MP4 file. Its tracks must be equally long.
    pub fn new(clip: Bytes) -> Result<Self, Error> {
        let header = clip.slice(..fmp4::header_bytes(&clip).ok_or(Error::Empty)?);
        let (movie, samples) = read(clip)?;
        let (tracks, loop_time) = measure(&movie, &samples)?;
        let steps = into_steps(&movie, samples)?;
        let head_start = second_keyframe(&steps).unwrap_or_default();
        Ok(Self { header: Some(header), steps, loop_time, head_start, tracks, at: 0, loops: 0, sequence: 0 })
    }

    /// The next fragments and when they are due since the start.
    pub fn next_due(&mut self) -> Result<(Duration, Bytes), Error> {
        if let Some(header) = self.header.take() {
            return Ok((Duration::ZERO, header));
        }
        let step = &self.steps[self.at];
        let loops = u32::try_from(self.loops).unwrap_or(u32::MAX);
        let due = (self.loop_time * loops + step.time).saturating_sub(self.head_start);
        let mut bytes = BytesMut::new();
        for sample in &step.samples {
            let track = &self.tracks[sample.track];
            self.sequence = self.sequence.wrapping_add(1);
            let written = cmaf::Sample {
                duration: sample.duration,
                cts_offset: sample.cts_offset,
                sync: sample.sync,
                disposable: false,
                data: sample.data.clone(),
            };
            let dts = sample.dts + self.loops * track.ticks;
            bytes.extend_from_slice(&cmaf::fragment(track.id, self.sequence, dts, &[written])?);
        }
        self.at = (self.at + 1) % self.steps.len();
        self.loops += u64::from(self.at == 0);
        Ok((due, bytes.freeze()))
    }
}

fn read(clip: Bytes) -> Result<(Movie, Vec<Sample>), Error> {
    let mut reader = fmp4::Reader::new();
    reader.push(clip);
    let Some(Item::Movie(movie)) = reader.next()? else { return Err(Error::Empty) };
    let mut samples = Vec::new();
    while let Some(item) = reader.next()? {
        if let Item::Sample(mut sample) = item {
            // The header is sent as it is, edit lists and all, so times must be as they were before those.
            sample.dts -= movie.tracks[sample.track].delay;
            samples.push(sample);
        }
    }
    Ok((movie, samples))
}

/// How long each track's loop is; all must agree.
fn measure(movie: &Movie, samples: &[Sample]) -> Result<(Vec<LoopedTrack>, Duration), Error> {
    let mut tracks = Vec::new();
    let mut loop_time = None;
    for (index, track) in movie.tracks.iter().enumerate() {
        let ticks =
            samples.iter().filter(|sample| sample.track == index).map(|sample| u64::from(sample.duration)).sum();
        let time = to_time(ticks, track.timescale);
        let expected = *loop_time.get_or_insert(time);
        if expected != time {
            return Err(Error::Uneven(expected, time));
        }
        tracks.push(LoopedTrack { id: track.id, ticks });
    }
    match loop_time {
        Some(time) if time > Duration::ZERO => Ok((tracks, time)),
        _ => Err(Error::Empty),
    }
}

/// Groups samples by the frame of the first track during which they begin.
fn into_steps(movie: &Movie, mut samples: Vec<Sample>) -> Result<Vec<Step>, Error> {
    let time = |sample: &Sample| to_time(sample.dts, movie.tracks[sample.track].timescale);
    samples.sort_by_key(|sample| (time(sample), sample.track));
    let mut steps: Vec<Step> = Vec::new();
    for sample in samples {
        match steps.last_mut() {
            Some(step) if sample.track != 0 => step.samples.push(sample),
            _ => steps.push(Step { time: time(&sample), samples: vec![sample] }),
        }
    }
    if steps.is_empty() { Err(Error::Empty) } else { Ok(steps) }
}

/// When the second keyframe of the first track is decoded.
fn second_keyframe(steps: &[Step]) -> Option<Duration> {
    let keyframe = |step: &&Step| step.samples.first().is_some_and(|sample| sample.sync);
    steps.iter().filter(keyframe).nth(1).map(|step| step.time)
}

fn to_time(ticks: u64, timescale: u32) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(timescale);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packager::{Event, Options, Packager};

    /// Runs the looper for so many items into a packager.
    fn run(items: usize) -> Vec<(Duration, Event)> {
        let (mut looper, mut packager) = (Looper::sample(), Packager::new(Options::default()));
        let mut events = Vec::new();
        for _ in 0..items {
            let (due, bytes) = looper.next_due().expect("an endless clip");
            packager.push(bytes).expect("a sound clip");
            events.extend(std::iter::from_fn(|| packager.poll()).map(|event| (due, event)));
        }
        events
    }

    #[test]
    fn the_first_segment_is_there_at_once_and_parts_then_come_in_real_time() {
        let events = run(1 + 480 * 3);
        let (due, Event::Shape(shape)) = &events[0] else { panic!("a shape first") };
        assert_eq!(*due, Duration::ZERO);
        let names: Vec<_> = shape.renditions.iter().map(|rendition| rendition.name.as_str()).collect();
        assert_eq!((names, shape.segment_target_s), (vec!["v0", "v1", "v2", "a0"], 2));
        for (i, (due, event)) in events[1..].iter().enumerate() {
            let Event::Part(part) = event else { panic!("no warnings: {event:?}") };
            assert_eq!((part.segment_start, part.independent), (i % 6 == 0, i % 6 == 0), "part {i}");
            assert!(part.duration_us.abs_diff(333_333) <= 1 && part.tracks.iter().all(|track| !track.data.is_empty()));
            let ends = Duration::from_micros(part.start_us + u64::from(part.duration_us));
            let late = due.abs_diff(ends.saturating_sub(Duration::from_secs(2)));
            assert!(late < Duration::from_millis(40), "part {i} ends {ends:?}, due {due:?}");
        }
        assert_eq!(events.len(), 1 + 3 * 48 - 1);
    }

    #[test]
    fn tracks_of_unequal_length_are_refused() {
        let ladder = Bytes::from_static(include_bytes!("../tests/fixtures/ladder.mp4"));
        assert!(matches!(Looper::new(ladder), Err(Error::Uneven(_, _))));
    }
}
