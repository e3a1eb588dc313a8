//! Where in a recording is what a player asks for? It asks for segments, by the edge's playlist; the peer knows parts, by
//! their descriptors.
//!
//! Bounded: of the segments that are known those farthest from the last one are forgotten.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use trellis_core::peer::Cursor;
use trellis_proto::frame::PartId;
use trellis_proto::{Catalogue, Descriptor, RunId};

/// What is known of a recording.
#[derive(Debug, Default)]
pub struct Recording {
    run: Option<RunId>,
    /// First and last part of segments, by number.
    segments: BTreeMap<u64, (Option<u64>, Option<u64>)>,
    parts: Option<u64>,
}

impl Recording {
    /// A descriptor was believed.
    pub fn know(&mut self, descriptor: &Descriptor) {
        self.set_run(descriptor.run);
        let segment = self.segments.entry(descriptor.msn).or_default();
        if descriptor.index == 0 {
            segment.0 = Some(descriptor.part);
        }
        if descriptor.last_of_segment {
            segment.1 = Some(descriptor.part);
        }
        let far = |edge: Option<(&u64, &_)>| edge.map_or(0, |(msn, _): (&u64, _)| msn.abs_diff(descriptor.msn));
        while self.segments.len() > SEGMENTS_MAX {
            if far(self.segments.first_key_value()) > far(self.segments.last_key_value()) {
                self.segments.pop_first();
            } else {
                self.segments.pop_last();
            }
        }
    }

    /// It has so many parts: said before anything else of it.
    pub fn ends(&mut self, run: RunId, parts: u64) {
        self.set_run(run);
        self.parts = Some(parts);
    }

    fn set_run(&mut self, run: RunId) {
        if self.run != Some(run) {
            *self = Self { run: Some(run), ..Self::default() };
        }
    }

    /// The parts of a segment.
    pub fn segment(&self, run: RunId, msn: u64) -> Option<RangeInclusive<u64>> {
        let (first, last) = *self.segments.get(&msn).filter(|_| self.run == Some(run))?;
        Some(first?..=last?)
    }

    /// The part that plays at this time of its run, as near as can be told from another; the last one, when it has ended.
    pub fn part_at(&self, catalogue: &Catalogue, cursor: Option<Cursor>, at_us: u64) -> PartId {
        let cursor = cursor.filter(|cursor| cursor.part.run == catalogue.run);
        let from = cursor.map_or((0, 0), |cursor| (cursor.part.part, cursor.start_us));
        // Parts last as long as those before did.
        let usual_us =
            from.1.checked_div(from.0).filter(|_| from.0 > ENOUGH).unwrap_or(catalogue.part_target_us.into());
        let parts = (at_us as i64 - from.1 as i64).div_euclid(usual_us.max(1) as i64);
        let part = u64::try_from(from.0 as i64 + parts).unwrap_or(0);
        let last =
            self.parts.filter(|_| self.run == Some(catalogue.run)).map_or(u64::MAX, |parts| parts.saturating_sub(1));
        PartId { run: catalogue.run, part: part.min(last) }
    }
}

/// More than a peer keeps.
const SEGMENTS_MAX: usize = 256;
/// From so many parts on their mean says more than what they are to last.
const ENOUGH: u64 = 30;

#[cfg(test)]
mod tests {
    use trellis_core::time::Instant;
    use trellis_proto::Mode;

    use super::*;

    const PART_US: u64 = 333_333;

    fn descriptor(run: u64, part: u64) -> Descriptor {
        Descriptor {
            run: RunId(run),
            part,
            msn: part / 6,
            index: (part % 6) as u16,
            independent: part.is_multiple_of(6),
            last_of_segment: part % 6 == 5,
            discontinuity: false,
            start_us: part * PART_US,
            tracks: Vec::new(),
        }
    }

    fn catalogue(run: u64) -> Catalogue {
        Catalogue {
            stream: "film".parse().unwrap(),
            run: RunId(run),
            key: [0; 32],
            mode: Mode::Vod,
            started_ms: 0,
            first_msn: 0,
            discontinuity: 0,
            part_target_us: PART_US as u32,
            segment_target_s: 2,
            window_s: 0,
            renditions: Vec::new(),
        }
    }

    #[test]
    fn the_end_is_said_first_is_remembered_and_nobody_is_sent_beyond_it() {
        let mut recording = Recording::default();
        recording.ends(RunId(7), 30);
        (0..9).for_each(|part| recording.know(&descriptor(7, part)));
        let part_at = |recording: &Recording, run, us| recording.part_at(&catalogue(run), None, us).part;
        assert_eq!([0, 4, 29, 30, 900].map(|part| part_at(&recording, 7, part * PART_US + 9)), [0, 4, 29, 29, 29]);
        assert_eq!((recording.segment(RunId(7), 0), recording.segment(RunId(7), 1)), (Some(0..=5), None));
        recording.know(&descriptor(8, 0));
        assert_eq!((part_at(&recording, 8, 40 * PART_US + 9), recording.segment(RunId(7), 0)), (40, None));
    }

    #[test]
    fn a_part_is_told_from_where_playback_is_by_how_long_parts_lasted() {
        let at = Cursor { part: PartId { run: RunId(7), part: 100 }, start_us: 100 * 340_000, at: Instant(0) };
        let part = |us| Recording::default().part_at(&catalogue(7), Some(at), us).part;
        assert_eq!([0, 99, 110].map(|part_at| part(part_at * 340_000 + 9)), [0, 99, 110]);
    }
}
