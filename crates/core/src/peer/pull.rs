//! Going through what is missing: hands each chunk to `schedule` and sends what it decides.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::Mode;
use trellis_proto::frame::{Bits, ChunkId, Fault, Frame, LayerId, PartId, PeerId, Row, Substream};

use super::event::{Event, Output};
use super::schedule::{Missing, Verdict, decide};
use super::store::Asked;
use super::{ASK_MANY, Peer, SILENCE, substreams};
use crate::few::Few;
use crate::limits::{ROWS_MAX, WANTS_MAX};
use crate::time::Instant;
use crate::trust::Verifier;

/// What one scan decided.
#[derive(Default)]
struct Decided {
    asks: Vec<Ask>,
    /// Of a recording: how many chunks of each substream are asked for and have not come.
    under_way: Few<Substream, usize>,
    late: Vec<(PartId, Substream, PeerId)>,
    next: Option<Instant>,
    /// Something can come in time from an edge only.
    needs_edge: bool,
}

/// A chunk, who is asked for it, and whether it is the edge in haste.
type Ask = (ChunkId, PeerId, bool);

impl<V: Verifier> Peer<V> {
    /// Looks at every missing chunk of every part that can still be played.
    pub(super) fn scan(&mut self, now: Instant) {
        self.timers.scan = None;
        let cursor = self.playback.cursor().map(|cursor| cursor.part);
        let gone: Vec<_> = self.store.open().take_while(|part| cursor.is_some_and(|c| *part < c)).collect();
        gone.into_iter().for_each(|part| self.store.close(part));
        let mut decided = Decided::default();
        let open: Vec<_> = self.store.open().take(crate::limits::AHEAD_PARTS_MAX).collect();
        self.count_asked(now, &open);
        for part in open {
            self.look_at(now, part, &mut decided);
        }
        if decided.needs_edge && !self.edge_up {
            self.rejoin_soon(now);
        }
        self.turn_from_late(now, &decided.late);
        self.ask(now, decided.asks);
        let next = decided.next.map(|at| at.max(now + SCAN_EVERY));
        self.timers.scan = [self.timers.scan, next].into_iter().flatten().min();
    }

    /// A part was just announced: nothing in it can be late before the most impatient of its sources.
    pub(super) fn scan_later(&mut self, now: Instant, part: PartId) {
        let Some(held) = self.store.get(part) else { return };
        let time = self.part_time(part, &held.descriptor);
        let rescue = self.playback.deadline(&time) - self.rescue_time();
        let first = now + LATE_SOONEST;
        let at = rescue.min(first).max(now);
        self.timers.scan = Some(self.timers.scan.map_or(at, |scan| scan.min(at)));
    }

    /// How much each neighbor is asked for: what ran out, or is not wanted any more, is nothing to wait for.
    fn count_asked(&mut self, now: Instant, open: &[PartId]) {
        self.neighbors.forget_asked();
        for held in open.iter().filter_map(|part| self.store.get(*part)) {
            for asked in held.layers.iter().flat_map(|layer| &layer.asked).filter(|asked| now < asked.until) {
                self.neighbors.on_asked(asked.whom, 1);
            }
        }
    }

    fn look_at(&self, now: Instant, part: PartId, decided: &mut Decided) {
        let Some(held) = self.store.get(part) else { return };
        let Some(catalogue) = self.catalogues.get(part.run) else { return };
        let time = self.part_time(part, &held.descriptor);
        let recorded = catalogue.mode == Mode::Vod;
        // While a recording stands still nothing after that becomes more urgent.
        let stands = self.playback.cursor().filter(|_| recorded && self.playback.stands_still());
        let deadline = self.playback.deadline(&time) + stands.map_or(Duration::ZERO, |cursor| now.since(cursor.at));
        let cursor = self.playback.cursor().map_or(part.part, |cursor| cursor.part.part);
        if recorded && part.part > cursor + RECORDED_AHEAD {
            return;
        }
        let planned =
            |substream: Substream| self.upstream.source(substream).and_then(|s| s.active).filter(|_| recorded);
        // Who is to bring it was asked long ago: nobody else is until the last moment.
        let slack =
            |planned: Option<PeerId>| if recorded && planned.is_none() { RECORDED_SLACK } else { Duration::ZERO };
        let rescue_before = |slack: Duration| (deadline - self.rescue_time() - slack).max(self.edge_denied_until);
        let leaders: Vec<_> = if recorded { self.neighbors.willing(now).collect() } else { Vec::new() };
        for layer in held.layers.iter().filter(|layer| !layer.is_complete()) {
            let k = u16::from(substreams(catalogue, layer.of).unwrap_or(1));
            let mut late = 0u16;
            for index in layer.missing() {
                let substream = Substream { of: layer.of, index: (index % k) as u8 };
                let id = ChunkId { part, of: layer.of, index };
                let source = self.upstream.source(substream);
                let planned = planned(substream);
                let rescue_at = rescue_before(slack(planned));
                let pusher = source.and_then(|s| Some((s, s.active?)));
                // What was announced before the pusher was named is not the pusher's to bring.
                let late_at = pusher
                    .filter(|(source, _)| !recorded && held.arrived >= source.since())
                    .map(|(source, _)| held.arrived + source.patience());
                if late_at.is_some_and(|at| now >= at) && late >> substream.index & 1 == 0 {
                    late |= 1 << substream.index;
                    decided.late.push((part, substream, pusher.map_or(PeerId::EDGE, |(_, active)| active)));
                }
                let asked = layer.asked_for(index).next();
                let before = asked.map(|asked| asked.whom);
                let waits = asked.is_some_and(|asked| now < asked.until);
                let under_way = decided.under_way.get_or_insert_with(substream, || 0);
                *under_way += usize::from(waits);
                let usable = |peer: &PeerId| !peer.is_edge() && self.neighbors.is_up(*peer) && before != Some(*peer);
                let helper = || {
                    let room = *under_way < PLANNED_ASKED_MAX;
                    let by_plan = planned.filter(|giver| self.may_ask(now, *giver));
                    if planned.is_some() && now + PULL_BEFORE_RESCUE * 4 < rescue_at {
                        return by_plan.filter(|_| room);
                    }
                    if planned.is_some() && before == Some(PeerId::EDGE) {
                        // It is the edge's now; what the others were asked for is under way.
                        return None;
                    }
                    let backup = || source.and_then(|s| s.backup).filter(usable);
                    let leader = || self.leader(&leaders, id).filter(usable);
                    self.best_holder(id).filter(usable).or_else(backup).or_else(leader).or(by_plan)
                };
                let missing = Missing {
                    // Whoever else has it is tried before the edge must be, however patient one is with the pusher.
                    late_at: late_at.map(|at| at.min(rescue_at - PULL_BEFORE_RESCUE)),
                    asked: asked.map(|asked| (asked.whom, asked.until)),
                    rescue_at: (layer.of.layer == 0 && self.edge_up).then_some(rescue_at),
                };
                decided.needs_edge |= layer.of.layer == 0 && now >= rescue_at;
                match decide(now, &missing, helper) {
                    Verdict::Wait(at) => decided.next = Some(decided.next.map_or(at, |next| next.min(at))),
                    Verdict::Hope => {}
                    Verdict::Pull(peer) => {
                        *under_way += 1;
                        decided.asks.push((id, peer, false));
                    }
                    Verdict::Rescue => decided.asks.push((id, PeerId::EDGE, true)),
                }
            }
        }
    }

    /// Of a recording: may the one who is to bring it be asked now?
    fn may_ask(&self, now: Instant, giver: PeerId) -> bool {
        if giver.is_edge() {
            self.edge_up && now >= self.edge_denied_until
        } else {
            self.neighbors.is_willing(now, giver)
        }
    }

    /// Of those who say they have it, the one asked for least.
    fn best_holder(&self, id: ChunkId) -> Option<PeerId> {
        let holders = self.gossip.holders(id).filter(|peer| self.neighbors.is_up(*peer));
        let able = holders.map(|peer| (self.neighbors.asked_of(peer), peer)).filter(|(asked, _)| *asked < ASKED_MAX);
        able.min().map(|(_, peer)| peer)
    }

    /// Of those who should have it of a recording, whose turn it is: what is asked at a time goes round all of them.
    fn leader(&self, leaders: &[PeerId], id: ChunkId) -> Option<PeerId> {
        let turn = (id.part.part as usize + usize::from(id.index)).checked_rem(leaders.len())?;
        let (before, after) = leaders.split_at(turn);
        after.iter().chain(before).copied().find(|peer| self.neighbors.asked_of(*peer) < LEADER_ASKED_MAX)
    }

    /// Pushers of whom nothing was heard for two parts, or who were late too often, lose the substream to its backup.
    fn turn_from_late(&mut self, now: Instant, late: &[(PartId, Substream, PeerId)]) {
        let mut changes = Vec::new();
        for (part, substream, pusher) in late {
            let first_time = self.store.layer_mut(*part, substream.of).is_some_and(|l| l.mark_late(substream.index));
            if !first_time {
                continue;
            }
            if self.upstream.is_settled(now, *substream) {
                self.neighbors.on_late(*pusher);
            }
            let quiet = self.neighbors.is_quiet(now, *pusher);
            if self.upstream.on_late(now, *substream, quiet) {
                self.complain(now, *pusher, Fault::Silent);
                let change = self.upstream.switch(now, *substream);
                if let Some((from, to)) = change.and_then(|change| change.from.zip(change.to)) {
                    self.out.push_back(Output::Event(Event::Switched { from, to }));
                }
                changes.extend(change);
            }
        }
        self.follow(now, changes);
    }

    fn ask(&mut self, now: Instant, asks: Vec<Ask>) {
        let mut by_peer: BTreeMap<(PeerId, bool), BTreeMap<(PartId, LayerId), Bits>> = BTreeMap::new();
        let recorded = self.is_recorded();
        for (id, whom, urgent) in asks {
            if !whom.is_edge() && self.neighbors.asked_of(whom) >= WANTS_MAX {
                continue;
            }
            let pusher = self.substream_of(id).and_then(|s| self.upstream.source(s)).and_then(|s| s.active);
            let Some(layer) = self.store.layer_mut(id.part, id.of) else { continue };
            let until = now
                + match (whom.is_edge(), recorded) {
                    _ if recorded && !urgent && pusher == Some(whom) => PLANNED_ANSWER,
                    (true, false) => RESCUE_ANSWER,
                    (true, true) => RECORDED_ANSWER,
                    (false, true) => LEADER_ANSWER,
                    (false, false) => PULL_ANSWER,
                };
            layer.ask(Asked { index: id.index, whom, until, open: true });
            self.neighbors.on_asked(whom, 1);
            by_peer
                .entry((whom, urgent))
                .or_default()
                .entry((id.part, id.of))
                .or_default()
                .insert(usize::from(id.index));
            let event = match urgent {
                true => Event::Rescue(id, pusher.unwrap_or(PeerId::EDGE)),
                false => Event::Pull(id, whom),
            };
            self.out.push_back(Output::Event(event));
        }
        for ((whom, urgent), rows) in by_peer {
            let rows: Vec<_> = rows.into_iter().map(|((part, of), chunks)| Row { part, of, chunks }).collect();
            for rows in rows.chunks(ROWS_MAX) {
                self.send(whom, Frame::Want { rows: rows.to_vec(), urgent });
            }
        }
        if let Some(at) = self.timers.scan.as_mut() {
            *at = (*at).min(now + PULL_ANSWER);
        } else {
            self.timers.scan = Some(now + PULL_ANSWER);
        }
    }

    /// How long before a deadline the edge must be asked: what is in the uplink before the question, two round trips, and
    /// what it needs to send.
    pub(super) fn rescue_time(&self) -> Duration {
        let uplink = self.uplink.drain_time(self.outbox.unsent_bytes());
        (uplink + self.edge_round_trip * 2 + RESCUE_SEND).min(RESCUE_MAX)
    }

    pub(super) fn ask_for_tables(&mut self, now: Instant) {
        if self.tables.wake_at().is_none_or(|at| now < at) {
            return;
        }
        let neighbors = &self.neighbors;
        for (whom, part) in self.tables.take_asks(now, |peer| neighbors.is_up(peer)) {
            self.send(whom, Frame::Ask { from: part, count: 1 });
        }
    }

    /// The descriptors from the cursor on must be here before their chunks are needed: all that exist of a live stream,
    /// a window of a recording.
    pub(super) fn look_for_tables(&mut self, now: Instant) {
        if self.timers.tables.is_none_or(|at| now < at) {
            return;
        }
        self.timers.tables = Some(now + SILENCE);
        let Some((run, catalogue)) = self.catalogues.last() else { return };
        let (run, recorded) = (run, catalogue.mode == Mode::Vod);
        let start = self.seeking.or(self.playback.cursor().map(|cursor| cursor.part));
        let from = match start {
            Some(start) => self.first_unknown(start),
            None if recorded => PartId { run, part: 0 },
            None => return,
        };
        let over = self.ends.get(&from.run).is_some_and(|parts| from.part >= *parts);
        let enough = recorded && start.is_some_and(|start| from.part > start.part + TABLES_AHEAD);
        if !over && !enough {
            let whom = if recorded { self.who_tells(now, from) } else { PeerId::EDGE };
            self.send(whom, Frame::Ask { from, count: ASK_MANY });
        }
        if !self.edge_up {
            self.rejoin_soon(now);
        }
    }

    /// Of a recording, who is to bring it has its descriptors, too: they cost the edge no more than the media. When it did
    /// not answer, the edge is next.
    fn who_tells(&mut self, now: Instant, from: PartId) -> PeerId {
        let givers = self.upstream.peers().into_iter().filter(|giver| !giver.is_edge());
        let giver =
            givers.into_iter().find(|giver| self.may_ask(now, *giver)).filter(|_| self.tables_asked != Some(from));
        self.tables_asked = giver.map(|_| from);
        giver.unwrap_or(PeerId::EDGE)
    }

    fn first_unknown(&self, start: PartId) -> PartId {
        let known = self.store.from(start).take_while(|(id, _)| id.run == start.run);
        let gap = known.zip(start.part..).take_while(|((id, _), part)| id.part == *part).count();
        PartId { part: start.part + gap as u64, ..start }
    }
}

/// What a neighbor needs to answer.
const PULL_BEFORE_RESCUE: Duration = Duration::from_millis(200);
/// A full look at most so often.
const SCAN_EVERY: Duration = Duration::from_millis(50);
/// Nothing is late sooner than this after its descriptor.
const LATE_SOONEST: Duration = Duration::from_millis(150);
/// Chunks asked of one neighbor at a time: it serves its own children first.
const ASKED_MAX: usize = 16;
/// Chunks asked of one leader at a time, about a third of a second's worth: nobody waits for them yet.
const LEADER_ASKED_MAX: usize = 24;
/// Chunks of a substream asked at a time of who is to bring it: it is not idle between them, and others have their turn.
const PLANNED_ASKED_MAX: usize = 4;
/// Nor has the edge then: it was asked so much earlier.
const RECORDED_ANSWER: Duration = RECORDED_SLACK;
/// A leader that has not answered by then has too much to do.
const LEADER_ANSWER: Duration = Duration::from_secs(2);
/// Who is to bring it has others to serve, and there is time: until the edge must be asked in haste.
const PLANNED_ANSWER: Duration = Duration::from_secs(4);
/// A neighbor that has not answered by then is not going to in time.
const PULL_ANSWER: Duration = Duration::from_millis(300);
/// The edge answers within this, or the ask was lost.
const RESCUE_ANSWER: Duration = Duration::from_millis(600);
const RESCUE_SEND: Duration = Duration::from_millis(200);
const RESCUE_MAX: Duration = Duration::from_millis(600);
/// Of a recording the edge is asked earlier: there is no hurry, and peers had their chance.
const RECORDED_SLACK: Duration = Duration::from_millis(1_500);
/// Parts of a recording that are asked for ahead of the playhead: 20 s.
pub(super) const RECORDED_AHEAD: u64 = 60;
/// Their descriptors are there a little earlier.
pub(super) const TABLES_AHEAD: u64 = RECORDED_AHEAD + 8;
