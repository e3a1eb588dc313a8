//! What does a viewer see, and what does it want to see next?

use std::time::Duration;

use super::*;
use trellis_core::peer::{Input, Part, Seek};
use trellis_proto::frame::PartId;

use super::viewer::{RECENT, Recent, Stage};
use crate::trace::Named;

/// What a viewer's session came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Which viewer.
    pub viewer: ViewerIx,
    /// When it was let in, µs.
    pub admitted: u64,
    /// How long it was in, µs.
    pub present: u64,
    /// How long it watched, µs.
    pub viewing: u64,
    /// Started to play.
    pub started: bool,
    /// How long it stood still, µs.
    pub stalled: u64,
    /// How often.
    pub stalls: u32,
    /// Parts jumped over.
    pub skipped: u32,
    /// Chunk payload given to peers.
    pub given_bytes: u64,
    /// Chunk payload received.
    pub taken_bytes: u64,
    /// Its uplink, bit/s.
    pub up_bps: u64,
    /// Honest and not behind a firewall.
    pub can_give: bool,
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    /// A whole part of a layer reached the player: is it what the origin made, and what does it do for the viewer?
    pub(super) fn on_part(&mut self, viewer: ViewerIx, part: &Part<C::Payload>) {
        let number = part.descriptor.part;
        let id = PartId { run: part.descriptor.run, part: number };
        for (index, chunk) in part.chunks.iter().enumerate() {
            let id = ChunkId { part: id, of: part.of, index: index as u16 };
            if self.origin.chunk(id) != Some(chunk.payload()) {
                self.violated(&format!("viewer {viewer} plays a wrong chunk {}", Named(id)));
            }
            self.tally.delivered_bytes += chunk.payload().size() as u64;
        }
        if part.of.layer > 0 {
            return;
        }
        let renditions = &self.scenario.stream.rendition;
        let sound = renditions[usize::from(part.of.rendition)].is_sound();
        let needs_sound = renditions.iter().any(scenario::Rendition::is_sound);
        let it = &mut self.viewers[viewer as usize];
        let recent = it.recent_of(number);
        let had = if sound { &mut recent.sound } else { &mut recent.video };
        self.figures.wasted_parts += u64::from(*had);
        if std::mem::replace(had, true) || !(recent.video && (recent.sound || !needs_sound)) {
            return;
        }
        let depth = usize::from(recent.hops).min(31);
        let arrivals = (!self.scenario.stream.on_demand).then_some(&self.arrivals[..]);
        let had_started = it.player.has_started();
        let stood = it.player.on_playable(self.now.0, number, part.descriptor.independent, arrivals);
        if stood > 0 && self.trace.wants_stall(viewer) {
            let since = |then: u64| (self.now.0 - then) as f64 / 1e6;
            let (known, here) = (since(self.arrivals[number as usize]), since(it.admitted.unwrap_or(0)));
            let stood = stood as f64 / 1e6;
            let line = format!(
                "viewer {viewer}: stood still for {stood:.3} s; part {number} came {known:.3} s after its descriptor, over {depth} peers, {here:.1} s after it came in"
            );
            self.trace.tell(self.now, &line);
        }
        if !had_started && it.player.has_started() {
            let started = it.player.played(self.now.0, 0, arrivals).started.unwrap_or(self.now.0);
            self.figures.start_up.add(started - it.asked);
        }
        let arrived = self.arrivals[number as usize];
        let measured = self.now.0 >= (self.scenario.measure_from_s * 1e6) as u64;
        if measured && it.admitted.is_some_and(|admitted| arrived > admitted) && arrivals.is_some() {
            let delay = self.now.0 - arrived;
            self.figures.delay.add(delay);
            if self.figures.delay_by_depth.len() <= depth {
                self.figures.delay_by_depth.resize(depth + 1, Times::default());
            }
            self.figures.delay_by_depth[depth].add(delay);
        }
        self.trace.note(self.now, 103, u64::from(viewer), number);
        let cursor = self.viewers[viewer as usize].player.waits_for(None);
        if let Some((next, at)) = cursor.filter(|_| self.scenario.stream.on_demand)
            && next == self.arrivals.len() as u64
        {
            self.has_it_all(viewer, at);
        }
    }

    /// On demand: everything up to the end is there; it is watched until then, and after that the viewer lingers.
    fn has_it_all(&mut self, viewer: ViewerIx, ends: u64) {
        let it = &mut self.viewers[viewer as usize];
        if it.ended.replace(ends).is_none() {
            let linger = (self.scenario.viewers.linger_s * 1e6) as u64;
            self.queue.push(Instant(ends + linger), Event::Goes(viewer));
        }
    }

    /// What its session came to.
    pub(super) fn sum_up(&mut self, viewer: ViewerIx) {
        let arrivals = (!self.scenario.stream.on_demand).then_some(&self.arrivals[..]);
        let it = &mut self.viewers[viewer as usize];
        let Some(admitted) = it.admitted.filter(|_| !it.summed_up) else { return };
        it.summed_up = true;
        let until = it.ended.unwrap_or(self.now.0).min(self.now.0);
        let played = it.player.played(until, self.arrivals.len() as u64, arrivals);
        let viewing = played.started.map_or(0, |started| until.saturating_sub(started));
        self.tally.viewing_us += viewing;
        self.figures.sessions.push(Summary {
            viewer,
            admitted,
            present: self.now.0 - admitted,
            viewing,
            started: played.started.is_some(),
            stalled: played.stalled,
            stalls: played.stalls,
            skipped: played.skipped,
            given_bytes: it.given_bytes,
            taken_bytes: it.taken_bytes,
            up_bps: it.person.up_bps,
            can_give: it.person.can_give(),
        });
    }

    /// It wants another quality.
    pub(super) fn switches(&mut self, viewer: ViewerIx) {
        let videos = self.scenario.stream.rendition.iter().filter(|it| !it.is_sound()).count() as u64;
        let it = &self.viewers[viewer as usize];
        if it.stage != Stage::In {
            return;
        }
        let other = (u64::from(it.rendition) + 1 + self.chance.below(videos.max(2) - 1)) % videos;
        self.viewers[viewer as usize].rendition = other as u8;
        self.figures.switches += 1;
        let layers = self.layers(other as u8);
        self.tell_peer(viewer, Input::Switch(layers));
        let after = self.chance.exponential(self.scenario.viewers.switch_every_s);
        self.queue.push(self.now + Duration::from_secs_f64(after), Event::Switches(viewer));
    }

    /// It wants to be elsewhere.
    pub(super) fn seeks(&mut self, viewer: ViewerIx) {
        if self.viewers[viewer as usize].stage != Stage::In || self.viewers[viewer as usize].ended.is_some() {
            return;
        }
        let part = self.chance.below(self.arrivals.len() as u64);
        self.seek_to(viewer, part);
        let after = self.chance.exponential(self.scenario.viewers.seek_every_s);
        self.queue.push(self.now + Duration::from_secs_f64(after), Event::Seeks(viewer));
    }

    /// To the key frame at or before a part, as players' seek bars have it.
    pub(super) fn seek_to(&mut self, viewer: ViewerIx, part: u64) {
        let parts = self.origin.parts();
        let part = part.min(parts.len() as u64 - 1);
        let part = (0..=part).rev().find(|part| parts[*part as usize].descriptor.independent).unwrap_or(0);
        let run = self.origin.catalogue.run;
        let it = &mut self.viewers[viewer as usize];
        it.player.seek(part);
        it.recent = [Recent { part: u64::MAX, ..Recent::default() }; RECENT];
        self.tell_peer(viewer, Input::Seek(Seek::To(PartId { run, part })));
    }
}
