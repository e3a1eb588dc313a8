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
        if self.run != Some(descriptor.run) {
            *self = Self { run: Some(descriptor.run), ..Self::default() };
        }
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

    /// It has so many parts.
    pub fn ends(&mut self, parts: u64) {
        self.parts = Some(parts);
    }

    /// The parts of a segment.
    pub fn segment(&self, run: RunId, msn: u64) -> Option<RangeInclusive<u64>> {
        let (first, last) = *self.segments.get(&msn).filter(|_| self.run == Some(run))?;
        Some(first?..=last?)
    }

    /// The part that plays at this time of its run, as near as can be told from another; None: it has ended by then.
    pub fn part_at(&self, catalogue: &Catalogue, cursor: Option<Cursor>, at_us: u64) -> Option<PartId> {
        let cursor = cursor.filter(|cursor| cursor.part.run == catalogue.run);
        let from = cursor.map_or((0, 0), |cursor| (cursor.part.part, cursor.start_us));
        // Parts last as long as those before did.
        let usual_us =
            from.1.checked_div(from.0).filter(|_| from.0 > ENOUGH).unwrap_or(catalogue.part_target_us.into());
        let parts = (at_us as i64 - from.1 as i64) / usual_us.max(1) as i64;
        let part = u64::try_from(from.0 as i64 + parts).unwrap_or(0);
        self.parts.is_none_or(|all| part < all).then_some(PartId { run: catalogue.run, part })
    }
}

/// More than a peer keeps.
const SEGMENTS_MAX: usize = 256;
/// From so many parts on their mean says more than what they are to last.
const ENOUGH: u64 = 30;
