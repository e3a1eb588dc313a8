//! What plays next, and when: the cursor meets the store.

use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::Descriptor;
use trellis_proto::frame::{Frame, PartId, PeerId};

use super::event::{Event, Output, Seek};
use super::playback::{Cursor, PartTime, Step};
use super::pull::RECORDED_AHEAD;
use super::{ASK_MANY, Peer, duration_us};
use crate::pace::Pace;
use crate::time::Instant;
use crate::trust::Verifier;

impl<V: Verifier> Peer<V> {
    /// The cursor moves on as parts are played.
    pub(super) fn play(&mut self, now: Instant) {
        while let Some(cursor) = self.playback.cursor() {
            let Some(held) = self.store.get(cursor.part) else { break };
            let whole = held.is_playable();
            let duration = Duration::from_micros(duration_us(&held.descriptor));
            if whole && now >= cursor.at && !self.playing {
                self.start_player(cursor.part);
            }
            let jump = if whole { None } else { self.jump(now, cursor) };
            if let Some((_, part)) = jump.filter(|(at, _)| now >= *at) {
                self.playback.start_here(now, part);
                self.scan_soon(now);
                continue;
            }
            let next = self.next_part(now, cursor).and_then(|id| Some((id, self.store.get(id)?)));
            let next = next.map(|(id, held)| self.part_time(id, &held.descriptor));
            let step = self.playback.step(now, whole, next, duration);
            // A stalled part says so itself when it is whole, and a descriptor when it comes; only a gap needs a timer.
            let gap = (whole && self.store.newest() > Some(cursor.part)).then(|| cursor.at + GAP_PATIENCE + TICK);
            let give_up = jump.map(|(at, _)| at);
            self.timers.play = match step {
                Step::Wait(at) => Some(at),
                _ => gap.or(give_up).filter(|at| *at > now),
            };
            match step {
                Step::Played(part) => self.on_played(part),
                Step::Stalled(part) => {
                    self.out.push_back(Output::Event(Event::Due(part, false)));
                    return self.scan_soon(now);
                }
                Step::Wait(_) | Step::Idle => return,
            }
        }
    }

    /// Who waits for a part of a live stream goes on with a newer key frame that is here: when that is due and nothing was
    /// played yet, else after a while. Waiting on would only make everything behind it late, and ask for all of that, too.
    fn jump(&self, now: Instant, cursor: Cursor) -> Option<(Instant, PartTime)> {
        let newer = self.store.from(cursor.part).skip(1).filter(|(_, held)| held.descriptor.independent);
        let newer = newer.filter(|(_, held)| held.is_playable() && !self.is_recorded()).map(|(part, held)| {
            let time = self.part_time(part, &held.descriptor);
            let due = time.arrived + self.playback.hold_back();
            (if self.playing { cursor.at + JUMP_AFTER } else { due.max(cursor.at) }, time)
        });
        // The newest whose time has come, else the first whose time will come.
        newer.fold(
            None,
            |found: Option<(Instant, _)>, next| if next.0 <= now { Some(next) } else { found.or(Some(next)) },
        )
    }

    /// The player gets what is here already. Had it got the first part before that was to be played, it would have started
    /// then, and would want the following ones sooner than they are asked for.
    fn start_player(&mut self, first: PartId) {
        self.playing = true;
        let last = if self.is_recorded() { first.part + RECORDED_AHEAD } else { u64::MAX };
        let here: Vec<_> = self.store.from(first).map(|(part, _)| part).take_while(|part| part.part <= last).collect();
        here.into_iter().for_each(|part| self.hand_over_all(part));
    }

    /// The player gets what is here of a part.
    fn hand_over_all(&mut self, part: PartId) {
        let layers = self.store.get(part).into_iter().flat_map(|held| held.layers.iter().map(|layer| layer.of));
        let layers: Vec<_> = layers.collect();
        layers.into_iter().for_each(|of| self.hand_over(part, of));
    }

    /// Of a recording the player gets what comes next, and nothing that was asked for before it went elsewhere.
    pub(super) fn plays_soon(&self, part: PartId) -> bool {
        let cursor = self.playback.cursor().map(|cursor| cursor.part).filter(|_| self.seeking.is_none());
        cursor.is_some_and(|cursor| {
            part.run == cursor.run && (cursor.part..=cursor.part + RECORDED_AHEAD).contains(&part.part)
        })
    }

    /// What plays after the cursor's part: the next number. A descriptor that cannot be had is passed over after a while;
    /// a new run begins wherever the one before ended.
    pub(super) fn next_part(&self, now: Instant, cursor: Cursor) -> Option<PartId> {
        let (id, _) = self.store.from(cursor.part).nth(1)?;
        let follows = id.run != cursor.part.run || id.part == cursor.part.part + 1;
        (follows || now > cursor.at + GAP_PATIENCE).then_some(id)
    }

    pub(super) fn on_played(&mut self, part: PartId) {
        self.out.push_back(Output::Event(Event::Due(part, true)));
        if self.is_recorded() {
            // It may be here from before.
            self.hand_over_all(PartId { part: part.part + 1 + RECORDED_AHEAD, ..part });
        } else {
            // What a neighbor has of a part that is over is asked by nobody; without a live edge one may come back to it.
            self.gossip.forget_before(part);
        }
        while let Some(oldest) = self.store.forget_before(part) {
            self.gossip.forget_before(oldest);
            self.tables.forget_before(oldest);
        }
    }

    /// When a part's descriptor came, as if it had come as fast as the fastest.
    pub(super) fn part_time(&self, part: PartId, descriptor: &Descriptor) -> PartTime {
        let pace = self.pace.filter(|pace| pace.run == part.run && !self.is_recorded());
        let arrived = pace.map_or(Instant(0), |pace| pace.arrival(descriptor.start_us));
        PartTime { part, start_us: descriptor.start_us, duration_us: duration_us(descriptor), arrived }
    }

    pub(super) fn on_seek(&mut self, now: Instant, seek: Seek) {
        let target = match seek {
            Seek::To(part) => self.store.get(part).map(|held| (part, held.descriptor.clone())),
            Seek::Live => {
                let parts = self.store.oldest().into_iter().flat_map(|oldest| self.store.from(oldest));
                parts.filter(|(_, held)| held.descriptor.independent).last().map(|(id, h)| (id, h.descriptor.clone()))
            }
        };
        match (target, seek) {
            (Some((part, descriptor)), _) => {
                self.go_to(now, part, &descriptor);
            }
            (None, Seek::To(part)) => {
                self.seeking = Some(part);
                self.send(PeerId::EDGE, Frame::Ask { from: part, count: ASK_MANY });
            }
            (None, Seek::Live) => {}
        }
    }

    /// Plays from here on: the player gets again what is here already, and the rest is fetched.
    fn go_to(&mut self, now: Instant, part: PartId, descriptor: &Descriptor) {
        self.seeking = None;
        self.playback.start(now, self.part_time(part, descriptor));
        self.store.reopen(part);
        if self.playing || self.is_recorded() {
            self.start_player(part);
        }
        self.timers.play = self.playback.cursor().map(|cursor| cursor.at);
        // The edge names others who can help there.
        self.timers.report = self.timers.report.min(now + TICK);
        self.scan_soon(now);
    }

    /// Playback starts with the first part that came, unless it plays already.
    pub(super) fn start_playing(&mut self, now: Instant, id: PartId, descriptor: &Descriptor) {
        let since = self.pace.map_or(Instant(0), |pace| pace.first_seen);
        if self.seeking == Some(id) {
            return self.go_to(now, id, descriptor);
        }
        let first = match self.playback.cursor() {
            None => (id, self.part_time(id, descriptor)),
            // The first part may have been an old one: later ones of the same moment tell how old.
            Some(cursor)
                if self.store.oldest() == Some(cursor.part)
                    && !self.playing
                    && !self.playback.is_stalled()
                    && !self.is_recorded() =>
            {
                let Some(held) = self.store.get(cursor.part) else { return };
                (cursor.part, self.part_time(cursor.part, &held.descriptor))
            }
            Some(_) => return,
        };
        self.playback.start(since, first.1);
        self.timers.play = self.playback.cursor().map(|cursor| cursor.at);
        self.start_sooner(now);
        if self.config.on_schedule {
            // What was known before is needed sooner than it seemed.
            self.scan_soon(now);
        }
    }

    pub(super) fn on_pace(&mut self, now: Instant, descriptor: &Descriptor) {
        match self.pace.as_mut().filter(|pace| pace.run == descriptor.run) {
            Some(pace) => pace.on_descriptor(now, descriptor.start_us),
            None => self.pace = Some(Pace::new(descriptor.run, now, descriptor.start_us)),
        }
        // After a silence the first descriptor may be old, and only those behind it tell.
        let cursor = self.playback.cursor().filter(|cursor| cursor.part.run == descriptor.run);
        let pace = self.pace.filter(|_| self.playing && !self.is_recorded());
        if let Some((cursor, pace)) = cursor.zip(pace)
            && self.playback.came_earlier(pace.arrival(cursor.start_us))
        {
            self.scan_soon(now);
        }
    }
}

/// Who stands still for so long goes on elsewhere.
const JUMP_AFTER: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(1);
/// A descriptor that did not come so long after its part should have played is passed over.
const GAP_PATIENCE: Duration = Duration::from_millis(2_500);
