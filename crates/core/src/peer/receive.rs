//! What does a frame from the edge or another peer change?

use core::time::Duration;

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use trellis_proto::frame::{
    Assign, Bye, Chunk, ChunkId, Fault, Frame, LayerId, PartId, PeerId, Row, Substream, Substreams, Welcome,
};
use trellis_proto::{Catalogue, Descriptor, Media, Mode};

use super::event::{Event, Mesh, Output, Part};
use super::pull::TABLES_AHEAD;
use super::store::Put;
use super::{ASK_MANY, BEGIN, BEGIN_WITHOUT, PUSH_TIME, Peer, SILENCE, Stage};
use crate::limits::{AHEAD_PARTS_MAX, HAVE_EVERY, NEIGHBORS_MAX};
use crate::time::Instant;
use crate::trust::verifier::check;
use crate::trust::{Payload, Verified, Verifier};

impl<V: Verifier> Peer<V> {
    pub(super) fn on_frame(&mut self, now: Instant, from: PeerId, frame: Frame<V::Payload>) {
        match frame {
            Frame::Welcome(welcome) if from.is_edge() => self.on_welcome(now, &welcome),
            Frame::Assign(assign) if from.is_edge() => self.on_assign(now, assign),
            Frame::Table(message) => self.on_table(now, from, &message),
            Frame::Chunk(chunk) => self.on_chunk(now, from, chunk),
            Frame::Have(rows) => self.on_have(now, from, rows),
            Frame::Want { rows, .. } => self.on_want(from, rows),
            Frame::Cancel(rows) => self.on_cancel(from, &rows),
            Frame::Deny(rows) => self.on_deny(now, from, &rows),
            Frame::Subscribe { set, from: first } => self.on_subscribe(now, from, &set, first),
            Frame::Unsubscribe(set) => set.into_iter().for_each(|set| self.on_unsubscribe(from, set)),
            Frame::Ask { from: first, count } => self.on_ask(from, first, count),
            Frame::Ping { sent_us } => self.send(from, Frame::Pong { echo_us: sent_us, now_us: now.0 }),
            Frame::Pong { echo_us, .. } => self.on_pong(now, from, echo_us),
            Frame::Bye(why) => self.on_bye(now, from, why),
            // Signals are the host's; the rest is not for a peer, or not from this sender.
            _ => {}
        }
    }

    fn on_welcome(&mut self, now: Instant, welcome: &Welcome) {
        self.me = welcome.you;
        self.timers.rejoin = None;
        self.uplink.set_credit(welcome.credit_bps);
        if self.stage == Stage::Joining {
            self.stage = Stage::In;
            self.playback.set_start_goal(Duration::from_micros(welcome.start_us.into()));
            self.timers.report = now + crate::limits::REPORT_EVERY;
        } else {
            // What the edge before pushed has no pusher: this one does until those its plan names have begun.
            self.subscribe_to(now, PeerId::EDGE);
        }
        self.playback.set_hold_back(Duration::from_micros(welcome.hold_back_us.into()));
        self.out.push_back(Output::Event(Event::Admitted(welcome.you)));
        self.send(PeerId::EDGE, Frame::Ping { sent_us: now.0 });
    }

    fn on_assign(&mut self, now: Instant, assign: Assign) {
        self.plan = self.plan.max(assign.plan);
        if assign.hold_back_us > 0 {
            self.playback.set_hold_back(Duration::from_micros(assign.hold_back_us.into()));
        }
        let news = assign.layers.is_some();
        self.next_layers = assign.layers.or(self.next_layers.take());
        if news && self.granted().is_some() {
            // The host has its time to say from where on.
            self.timers.have = now + HAVE_EVERY;
        }
        if !self.begun {
            self.timers.begin = self.timers.begin.or(Some(now + BEGIN_WITHOUT));
        }
        let pull_only = self.config.mesh == Mesh::Pull;
        let (unused, takes): (Vec<_>, Vec<_>) =
            assign.take.iter().partition(|take| pull_only && !take.parent.is_edge());
        unused.into_iter().for_each(|take| self.upstream.release(take.set));
        let changes: Vec<_> = takes.into_iter().flat_map(|take| self.upstream.assign(now, take)).collect();
        self.follow(now, changes);
        for give in assign.give.iter().filter(|_| !pull_only) {
            if let Some(begin) = self.downstream.grant(give) {
                self.push_held(now, give.child, begin);
            }
        }
        let gossips = self.config.mesh != Mesh::Trees;
        if let Some(mut neighbors) = assign.neighbors.filter(|_| gossips) {
            neighbors.truncate(NEIGHBORS_MAX);
            let new: Vec<_> = neighbors.iter().copied().filter(|p| !self.neighbors.named().contains(p)).collect();
            self.neighbors.set_gossiping(neighbors);
            for peer in new {
                if self.neighbors.is_up(peer) {
                    self.introduce(peer);
                }
            }
        }
        let named: Vec<_> = self.upstream.peers().into_iter().chain(self.downstream.peers()).collect();
        let gossiping = self.neighbors.named().to_vec();
        named.into_iter().chain(gossiping).for_each(|peer| self.link_to(peer));
        self.scan_soon(now);
    }

    fn on_table(&mut self, now: Instant, from: PeerId, message: &Bytes) {
        if Descriptor::peek(message).is_some_and(|(run, part)| self.store.get(PartId { run, part }).is_some()) {
            return;
        }
        match self.verifier.table(message) {
            Ok(Verified::Catalogue(catalogue)) => self.on_catalogue(now, catalogue),
            Ok(Verified::Descriptor(descriptor)) => self.on_descriptor(now, from, message.clone(), descriptor),
            Ok(Verified::RunEnd(end)) => {
                self.ends.insert(end.run, end.parts);
                while self.ends.len() > RUNS_MAX {
                    self.ends.pop_first();
                }
            }
            Err(_) => self.cut_off(now, from, Fault::BadChunk),
        }
    }

    fn on_catalogue(&mut self, now: Instant, catalogue: Arc<Catalogue>) {
        if catalogue.mode == Mode::Vod {
            self.playback.set_recorded();
        }
        self.catalogues.insert(catalogue.run, catalogue);
        while self.catalogues.len() > RUNS_MAX {
            self.catalogues.pop_first();
        }
        self.timers.tables = Some(now);
    }

    fn on_descriptor(&mut self, now: Instant, from: PeerId, signed: Bytes, descriptor: Arc<Descriptor>) {
        let id = PartId { run: descriptor.run, part: descriptor.part };
        let Some(catalogue) = self.catalogues.get(descriptor.run) else {
            return self.tables.shown(now, id, from);
        };
        if !descriptor.fits(catalogue) {
            return;
        }
        let oldest = self.seeking.or(self.playback.cursor().map(|cursor| cursor.part));
        if let Some(oldest) = oldest.filter(|oldest| id < *oldest) {
            return self.on_passed(now, oldest, (id, signed, descriptor));
        }
        let forwarded = forwarding(catalogue, id.part);
        self.on_pace(now, &descriptor);
        if descriptor.independent
            && !self.is_recorded()
            && let Some(layers) = self.next_layers.take()
        {
            self.change_layers(layers);
        }
        let newest = self.store.newest().filter(|_| !self.is_recorded());
        if !self.begun && self.store.newest().is_none() {
            self.timers.begin = Some(now + BEGIN);
        }
        self.store.know(id, descriptor.clone(), signed.clone(), now, &self.layers);
        self.timers.tables = Some(now + SILENCE);
        self.timers.play = self.timers.play.or(Some(now));
        if let Some(newest) = newest.filter(|newest| newest.run == id.run && newest.part + 1 < id.part) {
            let gap = (newest.part + 1..id.part).take(AHEAD_PARTS_MAX);
            gap.for_each(|part| self.tables.shown(now, PartId { run: id.run, part }, from));
        }
        self.make_room();
        self.pass_on(from, &signed, &forwarded);
        self.start_playing(now, id, &descriptor);
        for (from, chunk) in self.tables.found(id) {
            self.on_chunk(now, from, chunk);
        }
        self.scan_later(now, id);
    }

    /// What lies before the playhead nobody here waits for. Of a recording the player has got it elsewhere when it was sought
    /// there: once it is described others can have it.
    fn on_passed(&mut self, now: Instant, oldest: PartId, (id, signed, descriptor): (PartId, Bytes, Arc<Descriptor>)) {
        let kept = self.config.keep_parts as u64;
        if self.is_recorded() && id.run == oldest.run && id.part + kept >= oldest.part {
            self.store.know(id, descriptor, signed, now, &self.layers);
            self.store.close(id);
            self.make_room();
        }
    }

    /// What lies farthest goes first. Who went back in a recording has that before it.
    fn make_room(&mut self) {
        while self.store.len() > self.config.keep_parts + AHEAD_PARTS_MAX {
            let here = self.seeking.or(self.playback.cursor().map(|cursor| cursor.part)).filter(|_| self.is_recorded());
            let far = |here: PartId| self.store.newest().is_some_and(|it| it.part > here.part + KNOWN_AHEAD);
            match here.is_some_and(far) {
                true => self.store.forget_newest(),
                false => self.store.forget_oldest(),
            };
        }
    }

    /// Children hear of a part from whoever pushes them the substream whose turn it is.
    fn pass_on(&mut self, from: PeerId, signed: &Bytes, substreams: &[Substream]) {
        for substream in substreams {
            let children: Vec<_> = self.downstream.children(*substream).iter().map(|served| served.child).collect();
            for child in children.into_iter().filter(|child| *child != from && self.neighbors.is_up(*child)) {
                self.out.push_back(Output::Send(child, Frame::Table(signed.clone())));
            }
        }
    }

    pub(super) fn on_chunk(&mut self, now: Instant, from: PeerId, chunk: Chunk<V::Payload>) {
        let id = chunk.id;
        let Some(held) = self.store.get(id.part) else {
            let wanted = self.playback.cursor().is_none_or(|cursor| id.part >= cursor.part);
            return if wanted {
                self.tables.keep(now, from, chunk)
            };
        };
        let (descriptor, arrived) = (held.descriptor.clone(), held.arrived);
        let Some(layer) = self.store.layer(id.part, id.of) else { return };
        if !layer.misses(id.index) {
            // A new pusher has begun, though the one before it is the faster.
            self.pusher_begun(now, from, id, arrived);
            return self.out.push_back(Output::Event(Event::Duplicate(id, from)));
        }
        let asked: Vec<_> = layer.asked_for(id.index).copied().collect();
        let bytes = chunk.payload.size();
        let Some(verified) = check(&mut self.verifier, &descriptor, id, chunk.payload) else {
            return self.cut_off(now, from, Fault::BadChunk);
        };
        for asked in asked {
            if now < asked.until {
                self.neighbors.on_answered(asked.whom);
            }
            if asked.open && asked.whom != from {
                self.send(asked.whom, Frame::Cancel(alloc::vec![one_row(id)]));
            }
        }
        let put = self.store.put(id, verified, chunk.hop);
        self.neighbors.on_received(now, from, bytes);
        self.gossip.on_chunk(id);
        self.pusher_begun(now, from, id, arrived);
        if let Some(substream) = self.substream_of(id) {
            self.call_off(id, substream, from);
        }
        self.push(id, from, bytes as u32);
        if put == Some(Put::Completed) {
            self.on_complete(now, id);
        }
    }

    /// A chunk came from a pusher: the one before it may stop.
    fn pusher_begun(&mut self, now: Instant, from: PeerId, id: ChunkId, arrived: Instant) {
        let Some(substream) = self.substream_of(id) else { return };
        if let Some(old) = self.upstream.on_chunk(substream, from, now.since(arrived)) {
            self.send(old, Frame::Unsubscribe(alloc::vec![Substreams::one(substream)]));
        }
    }

    /// Whoever else would push this chunk need not: on a busy uplink it makes room for what is still of use. But a new
    /// pusher may show that it has begun.
    fn call_off(&mut self, id: ChunkId, substream: Substream, from: PeerId) {
        let [active, old] = self.upstream.source(substream).map_or([None; 2], super::upstream::Source::pushers);
        let begins = old == Some(from);
        for pusher in [active.filter(|_| !begins), old].into_iter().flatten().filter(|pusher| *pusher != from) {
            if self.neighbors.is_up(pusher) {
                self.send(pusher, Frame::Cancel(alloc::vec![one_row(id)]));
            }
        }
    }

    fn on_complete(&mut self, now: Instant, id: ChunkId) {
        let Some(held) = self.store.get(id.part) else { return };
        // What fills the buffer of a newcomer says nothing about H.
        let usual = self.playback.behind(&self.part_time(id.part, &held.descriptor)) == Duration::ZERO;
        if usual && held.layers.iter().all(|layer| layer.is_complete()) && self.worst_delays.len() < DELAYS_MAX {
            self.worst_delays.push(now.since(held.arrived).as_micros().min(u128::from(u32::MAX)) as u32);
        }
        self.on_progress(now, id);
        self.start_sooner(now);
        let due = self.playback.cursor().is_some_and(|cursor| cursor.part == id.part && now >= cursor.at);
        if due || self.playback.is_stalled() {
            self.timers.play = Some(now);
        }
        if if self.is_recorded() { self.plays_soon(id.part) } else { self.playing } {
            self.hand_over(id.part, id.of);
        }
    }

    /// The edge said when to begin, for the past may take long to come. Once it is here, and something newer is whole as well,
    /// nothing needs to be waited for.
    pub(super) fn start_sooner(&mut self, now: Instant) {
        let Some(cursor) = self.playback.cursor().filter(|_| !self.playing && !self.is_recorded()) else { return };
        let Some(first) = self.store.get(cursor.part).filter(|held| held.is_playable()) else { return };
        let news = self.pace.map_or(now, |pace| pace.first_seen) + TOGETHER;
        let flows = self.store.from(cursor.part).any(|(_, held)| held.arrived > news && held.is_playable());
        let first = self.part_time(cursor.part, &first.descriptor).arrived;
        let time = |part| self.store.get(part).map(|held| self.part_time(part, &held.descriptor));
        let lacks = |part: &PartId| self.store.get(*part).is_some_and(|held| !held.is_playable());
        let missing: Vec<_> =
            self.store.open().filter(|part| *part > cursor.part && lacks(part)).filter_map(time).collect();
        if flows && self.playback.start_sooner(now, first, missing.into_iter(), PUSH_TIME) {
            self.timers.play = self.playback.cursor().map(|cursor| cursor.at);
            // What is missing is needed sooner than it seemed.
            self.scan_soon(now);
        }
    }

    /// The player gets a layer of a part that is whole.
    pub(super) fn hand_over(&mut self, part: PartId, of: LayerId) {
        let Some(descriptor) = self.store.get(part).map(|held| held.descriptor.clone()) else { return };
        if let Some(chunks) = self.store.layer(part, of).and_then(|layer| layer.whole()) {
            self.out.push_back(Output::Part(Part { descriptor, of, chunks }));
        }
    }

    /// Is a recording all here?
    fn on_progress(&mut self, now: Instant, id: ChunkId) {
        let all = self.ends.get(&id.part.run).is_some_and(|parts| self.store.len() as u64 >= *parts);
        if all && !self.completed && self.is_recorded() && self.store.open().next().is_none() {
            self.completed = true;
            // The edge counts on it from now on.
            self.timers.report = self.timers.report.min(now);
            self.out.push_back(Output::Event(Event::Completed));
        }
    }

    fn on_have(&mut self, now: Instant, from: PeerId, rows: Vec<Row>) {
        if from.is_edge() || self.config.mesh == Mesh::Trees {
            return;
        }
        if self.config.mesh == Mesh::Pull {
            // Nobody passes descriptors on: who has chunks of a part has its descriptor.
            let newest = self.store.newest();
            for part in rows.iter().map(|row| row.part).filter(|part| newest.is_some_and(|newest| *part > newest)) {
                self.tables.shown(now, part, from);
            }
        }
        if self.neighbors.named().len() < 2 * NEIGHBORS_MAX && !self.neighbors.named().contains(&from) {
            self.neighbors.add_gossiping(from);
            self.introduce(from);
        }
        if !self.playing {
            self.forget_refusals(from, &rows);
        }
        self.gossip.on_have(from, rows, self.playback.cursor().map(|cursor| cursor.part));
        if self.store.open().next().is_some() {
            let soon = now + HAVE_SCAN;
            self.timers.scan = Some(self.timers.scan.map_or(soon, |at| at.min(soon)));
        }
    }

    /// Who turned down what it had not got yet may be asked for it when it has. While all begin at the same time the first
    /// ask nearly always comes too early, and what the edge sends once would be asked of it by everybody.
    fn forget_refusals(&mut self, from: PeerId, has: &[Row]) {
        for row in has {
            let Some(layer) = self.store.layer_mut(row.part, row.of) else { continue };
            layer.asked.retain(|asked| asked.open || asked.whom != from || !row.chunks.contains(asked.index.into()));
        }
    }

    fn on_deny(&mut self, now: Instant, from: PeerId, rows: &[Row]) {
        if from.is_edge() {
            self.edge_denied_until = now + EDGE_DENIED;
        }
        self.neighbors.on_denied(from, now + PEER_DENIED);
        self.gossip.on_deny(from, rows);
        for row in rows {
            let Some(layer) = self.store.layer_mut(row.part, row.of) else { continue };
            for asked in layer.asked.iter_mut().filter(|a| a.whom == from && row.chunks.contains(a.index.into())) {
                // The ask ran out; who was asked stays noted, so that it is not asked again at once.
                if now < asked.until {
                    self.neighbors.on_answered(from);
                }
                (asked.until, asked.open) = (now, false);
            }
        }
        self.scan_soon(now);
    }

    fn on_ask(&mut self, from: PeerId, first: PartId, count: u8) {
        let held = self.store.from(first).filter(|(id, _)| id.run == first.run);
        let signed: Vec<_> = held.take(usize::from(count.min(ASK_MANY))).map(|(_, h)| h.signed.clone()).collect();
        signed.into_iter().for_each(|message| self.send(from, Frame::Table(message)));
    }

    fn on_pong(&mut self, now: Instant, from: PeerId, echo_us: u64) {
        let round_trip = now.since(Instant(echo_us)).min(ROUND_TRIP_MAX);
        if from.is_edge() {
            self.edge_round_trip = round_trip;
        } else {
            self.neighbors.on_round_trip(from, round_trip);
        }
    }

    fn on_bye(&mut self, now: Instant, from: PeerId, why: Bye) {
        if from.is_edge() {
            return match (why, self.stage) {
                // A sibling has no room yet for one whose edge died: the mesh plays on.
                (Bye::NoRoom(seconds), Stage::In) => {
                    self.edge_up = false;
                    self.timers.rejoin = Some(now + Duration::from_secs(seconds.into()));
                }
                // It stops and sends its viewers on: the mesh plays until another has taken this one in.
                (Bye::Moved, Stage::In) => self.on_edge_lost(now),
                _ => self.close(why),
            };
        }
        self.neighbors.on_lost(from);
        self.forget_peer(now, from);
        self.out.push_back(Output::Disconnect(from));
    }

    /// The other end did what nobody does by accident.
    fn cut_off(&mut self, now: Instant, peer: PeerId, fault: Fault) {
        self.out.push_back(Output::Event(Event::CutOff(peer)));
        if peer.is_edge() {
            // An edge that lies cannot be replaced from here; what it sent is dropped and asked for again.
            return;
        }
        self.complain(now, peer, fault);
        self.neighbors.on_lost(peer);
        self.forget_peer(now, peer);
        self.out.push_back(Output::Disconnect(peer));
    }
}

/// The substreams whose pushers pass on this part's descriptor: one of each video rendition's base, or of each audio
/// rendition's when there is no picture; another one in each part, so that no single pusher matters.
pub(super) fn forwarding(catalogue: &Catalogue, part: u64) -> Vec<Substream> {
    let video = |rendition: &trellis_proto::Rendition| matches!(rendition.media, Media::Video { .. });
    let any_video = catalogue.renditions.iter().any(video);
    let carries = catalogue.renditions.iter().enumerate().filter(|(_, r)| !any_video || video(r));
    carries
        .map(|(rendition, r)| Substream {
            of: LayerId { rendition: rendition as u8, layer: 0 },
            index: (part % u64::from(r.layers.first().map_or(1, |layer| layer.substreams.max(1)))) as u8,
        })
        .collect()
}

pub(super) fn one_row(id: ChunkId) -> Row {
    Row { part: id.part, of: id.of, chunks: [usize::from(id.index)].into_iter().collect() }
}

const RUNS_MAX: usize = 4;
/// News from a neighbor is acted upon after this, with what else came.
const HAVE_SCAN: Duration = Duration::from_millis(50);
/// What is announced with the first is so within this time; what comes later is new.
const TOGETHER: Duration = Duration::from_millis(150);
const EDGE_DENIED: Duration = Duration::from_millis(150);
/// So long a neighbor that could not give is left alone.
const PEER_DENIED: Duration = Duration::from_millis(500);
const ROUND_TRIP_MAX: Duration = Duration::from_secs(2);
const DELAYS_MAX: usize = 256;
/// Descriptors of a recording are asked for as far ahead as this, and no farther.
const KNOWN_AHEAD: u64 = TABLES_AHEAD + ASK_MANY as u64;
