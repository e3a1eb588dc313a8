//! A viewer's engine: takes what is pushed, asks for what is missing, passes on what it has, and is never late.
//!
//! The hallway: inputs come in, are handed to the rooms, and what the rooms decide goes out as values. Rooms do not
//! know each other: `store` what is here, `playback` what is needed by when, `upstream` who pushes, `downstream` who is
//! pushed to, `schedule` whom to ask, `gossip` who has what, `tables` which descriptors are missing, `uplink` what may
//! be given, `neighbor` which links there are.
//!
//! Run it like this: after every [`Peer::handle`], take all of [`Peer::poll`]; come back with [`Input::Wake`] at
//! [`Peer::wake_at`]. Nothing a peer sends makes it panic or grow without bound.

pub mod event;

mod downstream;
mod gossip;
mod neighbor;
mod playback;
mod pull;
mod receive;
mod schedule;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod uplink;
mod upstream;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

pub use event::{Config, Event, Input, Output, Part, Seek, Support, UploadPolicy};
use trellis_proto::frame::{
    Bye, Chunk, ChunkId, Complaint, Fault, Frame, Hello, LINK_VERSION, LayerId, PartId, PeerId, Report, Substream,
};
use trellis_proto::{Catalogue, Descriptor, RunId};

use crate::limits::{HAVE_EVERY, HOLD_BACK_MIN, KEEP_PARTS, REPORT_EVERY};
use crate::outbox::{Outbox, Rank, Room};
use crate::seeded::Seeded;
use crate::time::Instant;
use crate::trust::Verifier;
use playback::{PartTime, Playback, Step};
use upstream::Change;

/// One viewer's engine.
pub struct Peer<V: Verifier> {
    config: Config,
    verifier: V,
    stage: Stage,
    me: PeerId,
    edge_up: bool,
    catalogues: BTreeMap<RunId, Arc<Catalogue>>,
    layers: Vec<LayerId>,
    /// Granted, and taken up with the next part that starts with a key frame.
    next_layers: Option<Vec<LayerId>>,
    plan: u32,
    /// The earliest that descriptors of this run came after their place on the time line.
    pace: Option<Pace>,
    store: store::Store<V::Payload>,
    playback: Playback,
    upstream: upstream::Upstream,
    downstream: downstream::Downstream,
    gossip: gossip::Gossip,
    neighbors: neighbor::Neighbors,
    tables: tables::Tables<V::Payload>,
    uplink: uplink::Uplink,
    outbox: Outbox<PeerId, Give>,
    complaints: Vec<Complaint>,
    timers: Timers,
    edge_round_trip: Duration,
    edge_denied_until: Instant,
    worst_delays: Vec<u32>,
    seeded: Seeded,
    out: VecDeque<Output<V::Payload>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No answer from the edge yet.
    Joining,
    In,
    /// Serves its children until then at most.
    Leaving(Instant),
    Closed,
}

/// A chunk that waits to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Give {
    id: ChunkId,
    /// Pushed by plan; else somebody asked for it.
    pushed: bool,
    bytes: u32,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    run: RunId,
    /// Arrival of the descriptor of media time zero, µs; the earliest seen, and rising slowly.
    zero_us: i64,
    first_seen: Instant,
}

/// When to do what is done now and then.
#[derive(Debug, Clone, Copy)]
struct Timers {
    scan: Option<Instant>,
    have: Instant,
    report: Instant,
    ping: Instant,
    play: Option<Instant>,
    /// No descriptor came for so long that the edge is asked.
    silence: Option<Instant>,
}

impl<V: Verifier> Peer<V> {
    /// A peer that waits for its link to the edge. The same seed and inputs give the same outputs.
    pub fn new(config: Config, verifier: V, seed: u64, now: Instant) -> Self {
        let mut seeded = Seeded::new(seed);
        let spread =
            |every: Duration, seeded: &mut Seeded| now + Duration::from_micros(seeded.below(every.as_micros() as u64));
        let timers = Timers {
            scan: None,
            have: spread(HAVE_EVERY, &mut seeded),
            report: now + REPORT_EVERY,
            ping: now + PING_EVERY,
            play: None,
            silence: None,
        };
        let uplink = uplink::Uplink::new(config.upload, config.declared_bps);
        let room = Room { total: uplink.window_bytes(), link: LINK_WINDOW, waiting: WAITING_MAX };
        Self {
            layers: config.layers.clone(),
            config,
            verifier,
            stage: Stage::Joining,
            me: PeerId::EDGE,
            edge_up: false,
            catalogues: BTreeMap::new(),
            next_layers: None,
            plan: 0,
            pace: None,
            store: store::Store::new(KEEP_PARTS),
            playback: Playback::new(HOLD_BACK_MIN),
            upstream: upstream::Upstream::default(),
            downstream: downstream::Downstream::default(),
            gossip: gossip::Gossip::default(),
            neighbors: neighbor::Neighbors::default(),
            tables: tables::Tables::default(),
            uplink,
            outbox: Outbox::new(room),
            complaints: Vec::new(),
            timers,
            edge_round_trip: Duration::from_millis(100),
            edge_denied_until: Instant(0),
            worst_delays: Vec::new(),
            seeded,
            out: VecDeque::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, input: Input<V::Payload>) {
        if self.stage == Stage::Closed {
            return;
        }
        match input {
            Input::Connected(peer) => self.on_connected(now, peer),
            Input::Lost(peer) => self.on_lost(now, peer),
            Input::Frame(from, frame) => self.on_frame(now, from, frame),
            Input::Unsent(peer, bytes) => self.on_unsent(now, peer, u64::from(bytes)),
            Input::Wake => {}
            Input::Seek(seek) => self.on_seek(now, seek),
            Input::Switch(layers) => self.send(PeerId::EDGE, Frame::Switch { layers }),
            Input::Pause(paused) => self.playback.pause(now, paused),
            Input::Upload(policy) => self.uplink.set_policy(policy),
            Input::Renew(ticket) => self.send(PeerId::EDGE, Frame::Renew(ticket)),
            Input::Leave => self.on_leave(now),
        }
        self.on_time(now);
        self.pump(now);
    }

    /// What is to be done now; to be called until None.
    pub fn poll(&mut self) -> Option<Output<V::Payload>> {
        self.out.pop_front()
    }

    /// When [`Input::Wake`] is due.
    pub fn wake_at(&self) -> Option<Instant> {
        if matches!(self.stage, Stage::Joining | Stage::Closed) {
            return None;
        }
        let leaving = match self.stage {
            Stage::Leaving(until) => Some(until),
            _ => None,
        };
        let regular = self.timers.have.min(self.timers.report).min(self.timers.ping);
        let others = [self.timers.scan, self.timers.play, self.timers.silence, leaving, self.tables.wake_at()];
        Some(others.into_iter().flatten().fold(regular, Instant::min))
    }

    /// What is known, in parts, and how many links there are: both are bounded.
    pub fn load(&self) -> (usize, usize) {
        (self.store.len(), self.neighbors.len())
    }

    /// Time may have come for something.
    fn on_time(&mut self, now: Instant) {
        if self.stage == Stage::Joining {
            return;
        }
        self.play(now);
        if self.timers.scan.is_some_and(|at| now >= at) {
            self.scan(now);
        }
        if now >= self.timers.have {
            self.timers.have = now + HAVE_EVERY;
            self.tell_neighbors();
        }
        self.ask_for_tables(now);
        self.break_silence(now);
        if now >= self.timers.report {
            self.timers.report = now + REPORT_EVERY;
            self.report(now);
        }
        if now >= self.timers.ping {
            self.timers.ping = now + PING_EVERY;
            self.send(PeerId::EDGE, Frame::Ping { sent_us: now.0 });
        }
        if let Stage::Leaving(until) = self.stage
            && (now >= until || self.downstream.is_idle())
        {
            self.close(Bye::Leaving);
        }
    }

    fn on_connected(&mut self, now: Instant, peer: PeerId) {
        if peer.is_edge() {
            self.edge_up = true;
            return self.send(PeerId::EDGE, Frame::Hello(self.hello()));
        }
        if !self.neighbors.on_up(peer) {
            return self.out.push_back(Output::Disconnect(peer));
        }
        self.send(peer, Frame::Greet { version: LINK_VERSION, from: self.me });
        let set = self.upstream.pushed_by(peer);
        if !set.is_empty() {
            let from = self.first_missing();
            self.send(peer, Frame::Subscribe { set, from });
        }
        if self.neighbors.named().contains(&peer) {
            self.introduce(peer);
        }
        self.scan_soon(now);
    }

    fn hello(&self) -> Hello {
        Hello {
            version: LINK_VERSION,
            ticket: self.config.ticket.clone(),
            declared_bps: if self.uplink.gives() { self.uplink.alpha_bps() } else { 0 },
            receive_only: !self.uplink.gives(),
            nat: self.config.nat,
            layers: self.layers.clone(),
            behind_us: self.config.behind.as_micros() as u64,
        }
    }

    fn on_lost(&mut self, now: Instant, peer: PeerId) {
        if peer.is_edge() {
            self.edge_up = false;
            return;
        }
        let stood = self.neighbors.on_lost(peer);
        let needed = self.upstream.needs(peer) || self.downstream.knows(peer);
        if needed {
            self.complain(now, peer, if stood { Fault::Gone } else { Fault::Unreachable });
        }
        self.forget_peer(now, peer);
    }

    /// Nothing more is expected of a peer.
    fn forget_peer(&mut self, now: Instant, peer: PeerId) {
        self.outbox.remove(peer);
        self.downstream.lose(peer);
        self.gossip.lose(peer);
        let changes = self.upstream.lose(now, peer);
        self.follow(changes);
        self.scan_soon(now);
    }

    /// Tells the new pushers to push; links that are not there yet are made.
    fn follow(&mut self, changes: Vec<Change>) {
        let mut by_peer: BTreeMap<PeerId, BTreeMap<LayerId, u16>> = BTreeMap::new();
        for change in changes {
            if let Some(to) = change.to {
                *by_peer.entry(to).or_default().entry(change.substream.of).or_default() |= 1 << change.substream.index;
            }
            if let (Some(from), Some(to)) = (change.from, change.to) {
                self.out.push_back(Output::Event(Event::Switched { from, to }));
            }
        }
        let from = self.first_missing();
        for (peer, masks) in by_peer {
            if self.neighbors.is_up(peer) {
                let set = masks.into_iter().map(|(of, mask)| trellis_proto::frame::Substreams { of, mask }).collect();
                self.send(peer, Frame::Subscribe { set, from });
            } else {
                self.link_to(peer);
            }
        }
    }

    fn link_to(&mut self, peer: PeerId) {
        if self.neighbors.want(self.me, peer) {
            self.out.push_back(Output::Connect(peer));
        }
    }

    /// Where a new pusher should begin: with the oldest part that still can be played and is not whole, else with what
    /// comes next.
    fn first_missing(&self) -> PartId {
        let cursor = self.playback.cursor().map(|cursor| cursor.part);
        let open = self.store.open().find(|part| cursor.is_none_or(|cursor| *part >= cursor));
        let next = self.store.newest().map(|newest| PartId { part: newest.part + 1, ..newest });
        open.or(next).unwrap_or(PartId { run: RunId(u64::MAX), part: 0 })
    }

    /// The cursor moves on as parts are played.
    fn play(&mut self, now: Instant) {
        while let Some(cursor) = self.playback.cursor() {
            let Some(held) = self.store.get(cursor.part) else { break };
            let whole = held.layers.iter().filter(|layer| layer.of.layer == 0).all(|layer| layer.is_complete());
            let duration = Duration::from_micros(duration_us(&held.descriptor));
            let next = self.store.from(cursor.part).nth(1).map(|(id, held)| self.part_time(id, &held.descriptor));
            let step = self.playback.step(now, whole, next, duration);
            self.timers.play = match step {
                Step::Wait(at) => Some(at),
                _ => None,
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

    fn on_played(&mut self, part: PartId) {
        self.out.push_back(Output::Event(Event::Due(part, true)));
        while let Some(oldest) = self.store.forget_before(part) {
            self.gossip.forget_before(oldest);
            self.tables.forget_before(oldest);
        }
    }

    /// When a part's descriptor came, as if it had come as fast as the fastest.
    fn part_time(&self, part: PartId, descriptor: &Descriptor) -> PartTime {
        let zero_us = self.pace.filter(|pace| pace.run == part.run).map_or(0, |pace| pace.zero_us);
        let arrived = zero_us.saturating_add(descriptor.start_us as i64).max(0) as u64;
        PartTime {
            part,
            start_us: descriptor.start_us,
            duration_us: duration_us(descriptor),
            arrived: Instant(arrived),
        }
    }

    fn on_seek(&mut self, now: Instant, seek: Seek) {
        let target = match seek {
            Seek::To(part) => self.store.get(part).map(|held| (part, held.descriptor.clone())),
            Seek::Live => {
                let parts = self.store.oldest().into_iter().flat_map(|oldest| self.store.from(oldest));
                parts.filter(|(_, held)| held.descriptor.independent).last().map(|(id, h)| (id, h.descriptor.clone()))
            }
        };
        match (target, seek) {
            (Some((part, descriptor)), _) => {
                let time = self.part_time(part, &descriptor);
                self.playback.start(now, time);
                self.timers.play = self.playback.cursor().map(|cursor| cursor.at);
                self.scan_soon(now);
            }
            (None, Seek::To(part)) => self.send(PeerId::EDGE, Frame::Ask { from: part, count: ASK_MANY }),
            (None, Seek::Live) => {}
        }
    }

    fn on_leave(&mut self, now: Instant) {
        if self.stage == Stage::Joining {
            return self.close(Bye::Leaving);
        }
        self.send(PeerId::EDGE, Frame::Bye(Bye::Leaving));
        self.stage = Stage::Leaving(now + LEAVE_TIME);
    }

    fn close(&mut self, why: Bye) {
        self.stage = Stage::Closed;
        self.out.push_back(Output::Closed(why));
    }

    /// Hands over to the network what it can take.
    fn pump(&mut self, now: Instant) {
        self.outbox.set_total(self.uplink.window_bytes());
        while let Some((to, give)) = self.outbox.pop() {
            let frame = self.chunk_frame(now, to, give);
            match frame {
                Some(frame) => {
                    self.uplink.on_sent(now);
                    self.out.push_back(Output::Send(to, frame));
                }
                None => self.outbox.set_unsent(to, self.outbox.unsent_of(to).saturating_sub(give.bytes.into())),
            }
        }
    }

    /// The frame, unless it is too late for it or nobody wants it any more.
    fn chunk_frame(&mut self, now: Instant, to: PeerId, give: Give) -> Option<Frame<V::Payload>> {
        let (chunk, hop) = self.store.chunk(give.id)?;
        let payload = chunk.payload().clone();
        if give.pushed {
            let held = self.store.get(give.id.part)?;
            let due = self.part_time(give.id.part, &held.descriptor).arrived + self.playback.hold_back();
            if now > due - RESCUE_SLACK || self.gossip.has(to, give.id) {
                return None;
            }
        }
        Some(Frame::Chunk(Chunk { id: give.id, hop: hop.saturating_add(1), payload }))
    }

    fn on_unsent(&mut self, now: Instant, peer: PeerId, bytes: u64) {
        let acknowledged = self.outbox.unsent_of(peer).saturating_sub(bytes);
        self.outbox.set_unsent(peer, bytes);
        self.uplink.on_acknowledged(now, acknowledged, self.outbox.unsent_bytes());
    }

    /// Pushes a chunk that just came to those who wait for it.
    fn push(&mut self, id: ChunkId, from: PeerId, bytes: u32) {
        if !self.uplink.gives() || self.config.support == Support::AfterCompletion {
            return;
        }
        let Some(substream) = self.substream_of(id) else { return };
        for at in 0..self.downstream.children(substream).len() {
            let served = self.downstream.children(substream)[at];
            if served.child == from || !self.neighbors.is_up(served.child) {
                continue;
            }
            let class = if served.reserved { PUSHED } else { ASKED };
            let rank = Rank { class, part: id.part.part, tie: u32::MAX - u32::from(served.below) };
            self.outbox.push(served.child, rank, Give { id, pushed: true, bytes }, bytes);
        }
        self.uplink.on_queue(self.outbox.waiting_bytes());
    }

    fn substream_of(&self, id: ChunkId) -> Option<Substream> {
        let k = substreams(self.catalogues.get(&id.part.run)?, id.of)?;
        Some(Substream { of: id.of, index: (id.index % u16::from(k)) as u8 })
    }

    fn tell_neighbors(&mut self) {
        let to: Vec<_> = self.neighbors.gossiping().collect();
        let news = if self.uplink.gives() { self.gossip.take_news() } else { Vec::new() };
        for rows in news {
            for peer in &to {
                self.send(*peer, Frame::Have(rows.clone()));
            }
        }
    }

    /// A neighbor hears what I have.
    fn introduce(&mut self, peer: PeerId) {
        let rows = if self.uplink.gives() { self.store.rows(TELL_PARTS) } else { Vec::new() };
        for rows in rows.chunks(crate::limits::ROWS_MAX) {
            self.send(peer, Frame::Have(rows.to_vec()));
        }
    }

    fn report(&mut self, now: Instant) {
        self.worst_delays.sort_unstable();
        let delay_us = self.worst_delays.get(self.worst_delays.len() * 99 / 100).copied().unwrap_or(0);
        self.worst_delays.clear();
        let newest = self.store.newest().and_then(|id| self.store.get(id)).map(|held| held.descriptor.start_us);
        let playing = self.playback.cursor().map(|cursor| cursor.start_us);
        let buffer = newest.zip(playing).map_or(0, |(newest, playing)| newest.saturating_sub(playing));
        let report = Report {
            plan: self.plan,
            alpha_bps: self.uplink.alpha_bps(),
            queue_us: self.uplink.take_queue_worst().as_micros() as u32,
            delay_us,
            buffer_us: buffer.min(u64::from(u32::MAX)) as u32,
            stalled_us: self.playback.take_stalled(now).as_micros() as u32,
            receipts: self.neighbors.take_receipts(),
            complaints: core::mem::take(&mut self.complaints),
        };
        self.send(PeerId::EDGE, Frame::Report(report));
        let (upstream, downstream) = (&self.upstream, &self.downstream);
        for peer in self.neighbors.take_idle(now, |peer| upstream.needs(peer) || downstream.knows(peer)) {
            self.gossip.lose(peer);
            self.outbox.remove(peer);
            self.out.push_back(Output::Disconnect(peer));
        }
    }

    /// The edge hears of it at once, together with what else happened within a moment.
    fn complain(&mut self, now: Instant, peer: PeerId, fault: Fault) {
        let complaint = Complaint { peer, fault };
        if self.complaints.len() < COMPLAINTS_MAX && !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
        self.timers.report = self.timers.report.min(now + COMPLAIN_DELAY);
    }

    fn send(&mut self, to: PeerId, frame: Frame<V::Payload>) {
        if !to.is_edge() || self.edge_up {
            self.out.push_back(Output::Send(to, frame));
        }
    }

    fn scan_soon(&mut self, now: Instant) {
        self.timers.scan = Some(self.timers.scan.map_or(now, |at| at.min(now)));
    }
}

/// K of a layer, by its run's catalogue.
fn substreams(catalogue: &Catalogue, of: LayerId) -> Option<u8> {
    let rendition = catalogue.renditions.get(usize::from(of.rendition))?;
    rendition.layers.get(usize::from(of.layer)).map(|layer| layer.substreams.max(1))
}

/// How long a part plays: as long as its longest track.
fn duration_us(descriptor: &Descriptor) -> u64 {
    descriptor.tracks.iter().map(|track| u64::from(track.duration_us)).max().unwrap_or(0)
}

const PING_EVERY: Duration = Duration::from_secs(5);
/// A leaver serves so long at most.
const LEAVE_TIME: Duration = Duration::from_secs(2);
/// Bytes on one link that are not acknowledged: what SCTP implementations take without trouble.
const LINK_WINDOW: u64 = 64 * 1024;
/// Chunks that wait for one link.
const WAITING_MAX: usize = 512;
const PUSHED: u8 = 1;
const ASKED: u8 = 2;
/// This long before a part is due its viewer has turned to the edge: pushing it then is of no use.
const RESCUE_SLACK: Duration = Duration::from_millis(150);
/// Newest parts a new neighbor hears of.
const TELL_PARTS: usize = 12;
const ASK_MANY: u8 = 16;
/// Three part times without a descriptor are no accident.
const SILENCE: Duration = Duration::from_millis(1_000);
const COMPLAINTS_MAX: usize = 32;
const COMPLAIN_DELAY: Duration = Duration::from_millis(30);
