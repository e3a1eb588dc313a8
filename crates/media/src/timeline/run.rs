//! One run: its parts, and the segments they make up.
//!
//! Invariant: parts are numbered without gaps, `segments` covers exactly the parts held, all segments but the
//! last are complete, and the last is when the run is over.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use trellis_proto::{Catalogue, Descriptor, RunEnd};

use super::TimelineError;

/// A run and what is held of it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) catalogue: Catalogue,
    pub(super) signed: Bytes,
    /// Number of the first part held; of the first expected, when none is.
    first_part: u64,
    parts: VecDeque<(Descriptor, Bytes)>,
    segments: VecDeque<Segment>,
    /// The signed end, when there was one.
    pub(crate) end: Option<(RunEnd, Bytes)>,
    /// Nothing more comes: it has ended, or a newer run has begun.
    pub(crate) over: bool,
}

/// A media segment, complete or growing.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) msn: u64,
    pub(crate) parts: Range<u64>,
    pub(crate) complete: bool,
    pub(crate) start_us: u64,
    /// Starts with a key frame in every video rendition.
    pub(crate) independent: bool,
    /// One per rendition, in catalogue order.
    pub(crate) tracks: Vec<Share>,
}

/// One rendition's share of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share {
    pub(crate) duration_us: u64,
    pub(crate) bytes: u64,
    /// Bytes of the rendition in the segments before it, as far back as the run is held.
    before: u64,
}

/// What a descriptor is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Known,
    Next,
    /// Starts a later segment than the next part would belong to: what lies between is unknown here.
    Jump,
}

impl Run {
    pub(super) fn new(catalogue: Catalogue, signed: Bytes) -> Self {
        Self {
            catalogue,
            signed,
            first_part: 0,
            parts: VecDeque::new(),
            segments: VecDeque::new(),
            end: None,
            over: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn first_part(&self) -> u64 {
        self.first_part
    }

    pub(crate) fn next_part(&self) -> u64 {
        self.first_part + self.parts.len() as u64
    }

    /// The media sequence number the next run starts with.
    pub(super) fn next_msn(&self) -> u64 {
        self.segments.back().map_or(self.catalogue.first_msn, |segment| segment.msn + 1)
    }

    pub(crate) fn last(&self) -> Option<&Descriptor> {
        self.parts.back().map(|(descriptor, _)| descriptor)
    }

    pub(crate) fn part(&self, part: u64) -> Option<&Descriptor> {
        self.held(part).map(|(descriptor, _)| descriptor)
    }

    pub(super) fn signed_part(&self, part: u64) -> Option<&Bytes> {
        self.held(part).map(|(_, signed)| signed)
    }

    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator {
        self.segments.iter()
    }

    pub(crate) fn segment(&self, msn: u64) -> Option<&Segment> {
        let at = msn.checked_sub(self.segments.front()?.msn)?;
        self.segments.get(usize::try_from(at).ok()?)
    }

    /// Bytes of a rendition before this part; `None` unless the run is held from its first part on.
    pub(super) fn offset(&self, rendition: usize, part: u64) -> Option<u64> {
        self.segments.front().filter(|first| first.parts.start == 0)?;
        let at = self.segments.partition_point(|segment| segment.parts.end <= part);
        let segment = self.segments.get(at)?;
        let size = |part| Some(self.part(part)?.tracks.get(rendition)?.size());
        let within: Option<u64> = (segment.parts.start..part).map(size).sum();
        Some(segment.tracks.get(rendition)?.before + within?)
    }

    /// May this descriptor come now?
    pub(super) fn check(&self, new: &Descriptor) -> Result<Step, TimelineError> {
        if new.part < self.next_part() {
            let same = self.part(new.part).is_none_or(|known| known == new);
            return if same { Ok(Step::Known) } else { Err(TimelineError::Conflict) };
        }
        if self.over {
            return Err(TimelineError::RunOver(new.run));
        }
        if !new.fits(&self.catalogue) {
            return Err(TimelineError::Shape(new.part));
        }
        if self.last().is_some_and(|last| new.start_us < last.start_us) {
            return Err(TimelineError::Backwards(new.part));
        }
        let step = self.step(new)?;
        if new.discontinuity && new.part > 0 { Err(TimelineError::Numbering(new.part)) } else { Ok(step) }
    }

    fn step(&self, new: &Descriptor) -> Result<Step, TimelineError> {
        if new.part > self.next_part() {
            return match new.index {
                0 if new.msn >= self.next_msn() => Ok(Step::Jump),
                0 => Err(TimelineError::Numbering(new.part)),
                _ => Err(TimelineError::Gap { expected: self.next_part(), found: new.part }),
            };
        }
        let expected = match self.last() {
            None => (self.catalogue.first_msn, Some(0)),
            Some(last) if last.last_of_segment => (last.msn + 1, Some(0)),
            Some(last) => (last.msn, last.index.checked_add(1)),
        };
        if (new.msn, Some(new.index)) == expected { Ok(Step::Next) } else { Err(TimelineError::Numbering(new.part)) }
    }

    /// Appends a part that [`Self::check`] let through; after a jump the run is empty.
    pub(super) fn push(&mut self, descriptor: Descriptor, signed: Bytes) {
        if self.parts.is_empty() {
            self.first_part = descriptor.part;
        }
        if descriptor.index == 0 {
            let segment = Segment::new(&descriptor, self.segments.back());
            self.segments.push_back(segment);
        }
        self.segments.back_mut().expect("the first part held has index 0").add(&descriptor);
        self.parts.push_back((descriptor, signed));
    }

    /// Nothing more comes: what there is of the last segment is all of it.
    pub(super) fn close(&mut self) {
        self.over = true;
        if let Some(last) = self.segments.back_mut() {
            last.complete = true;
        }
    }

    /// Takes the oldest segment out.
    pub(super) fn pop_segment(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        self.parts.drain(..(segment.parts.end - segment.parts.start) as usize);
        self.first_part = segment.parts.end;
        Some(segment)
    }

    fn held(&self, part: u64) -> Option<&(Descriptor, Bytes)> {
        self.parts.get(usize::try_from(part.checked_sub(self.first_part)?).ok()?)
    }
}

impl Segment {
    fn new(first: &Descriptor, previous: Option<&Self>) -> Self {
        let before =
            |index: usize| previous.map_or(0, |segment| segment.tracks[index].before + segment.tracks[index].bytes);
        Self {
            msn: first.msn,
            parts: first.part..first.part,
            complete: false,
            start_us: first.start_us,
            independent: first.independent,
            tracks: (0..first.tracks.len()).map(|index| Share { before: before(index), ..Share::default() }).collect(),
        }
    }

    fn add(&mut self, part: &Descriptor) {
        self.parts.end = part.part + 1;
        self.complete = part.last_of_segment;
        for (share, track) in self.tracks.iter_mut().zip(&part.tracks) {
            share.duration_us += u64::from(track.duration_us);
            share.bytes += track.size();
        }
    }

    /// How long it plays: as long as its longest track, µs.
    pub(crate) fn duration_us(&self) -> u64 {
        self.tracks.iter().map(|share| share.duration_us).max().unwrap_or(0)
    }
}
