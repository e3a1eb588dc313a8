//! A viewer's engine: takes what is pushed, asks for what is missing, passes on what it has, and is never late.
//!
//! The hallway: inputs come in, are handed to the rooms, and what the rooms decide goes out as values. Rooms do not
//! know each other: `store` what is here, `playback` what is needed by when, `upstream` who
//! pushes, `downstream` who is pushed to, `schedule` whom to ask, `gossip` who has what, `tables` which descriptors are
//! missing, `uplink` what may be given, `neighbor` which links there are.
//!
//! Run it like this: after every [`Peer::handle`], take all of [`Peer::poll`]; come back with [`Input::Wake`] at
//! [`Peer::wake_at`]. Nothing a peer sends makes it panic or grow without bound.

pub mod event;

mod change;
mod downstream;
mod follow;
mod give;
mod gossip;
pub mod look;
mod neighbor;
mod playback;
mod pull;
mod receive;
mod schedule;
mod store;
mod tables;
mod tell;
#[cfg(test)]
mod tests;
mod uplink;
mod upstream;
mod watch;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
pub use event::{Config, Event, Input, Mesh, Output, Part, Seek, Support, UploadPolicy};
pub use look::{Awaited, Held};
pub use playback::Cursor;
use trellis_proto::frame::{
    Bye, ChunkId, Complaint, Fault, Frame, Hello, LINK_VERSION, LayerId, PartId, PeerId, Substream,
};
use trellis_proto::{Catalogue, Descriptor, Mode, RunId};

use crate::few::Few;
use crate::limits::{HAVE_EVERY, HOLD_BACK_MIN, REPORT_EVERY};
use crate::near::{Coming, Near};
use crate::outbox::{Outbox, Room};
use crate::pace::Pace;
use crate::seeded::Seeded;
use crate::time::Instant;
use crate::trust::Verifier;
use playback::Playback;

/// One viewer's engine.
pub struct Peer<V: Verifier> {
    config: Config,
    verifier: V,
    stage: Stage,
    me: PeerId,
    edge_up: bool,
    catalogues: Few<RunId, Arc<Catalogue>>,
    layers: Vec<LayerId>,
    /// Parts of the runs that are over.
    ends: BTreeMap<RunId, u64>,
    /// Where playback is to go on as soon as its descriptor is here.
    seeking: Option<PartId>,
    completed: bool,
    begun: bool,
    /// The player has its first parts; until then they are kept, so that its clock starts when ours does.
    playing: bool,
    /// Granted, and taken up with the next part that starts with a key frame.
    next_layers: Option<Vec<LayerId>>,
    plan: u32,
    pace: Option<Pace>,
    store: store::Store<V::Payload>,
    playback: Playback,
    upstream: upstream::Upstream,
    downstream: downstream::Downstream,
    gossip: gossip::Gossip,
    neighbors: neighbor::Neighbors,
    tables: tables::Tables<V::Payload>,
    /// The first descriptor of a recording that was last asked for, when it was asked of a peer.
    tables_asked: Option<PartId>,
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
    /// Of what is pushed: so long after that nobody has a use for it any more.
    since: Instant,
    bytes: u32,
}

/// When to do what is done now and then.
#[derive(Debug, Clone, Copy)]
struct Timers {
    scan: Option<Instant>,
    have: Instant,
    report: Instant,
    ping: Instant,
    play: Option<Instant>,
    /// Descriptors may have to be asked for.
    tables: Option<Instant>,
    /// The first descriptors are here: pushers are told then where to begin.
    begin: Option<Instant>,
    /// The edge is gone: another link is made then.
    rejoin: Option<Instant>,
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
            tables: None,
            begin: None,
            rejoin: None,
        };
        let (keep, on_schedule) = (config.keep_parts, config.on_schedule);
        let uplink = uplink::Uplink::new(config.upload, config.declared_bps);
        let room = Room { total: uplink.window_bytes(), link: LINK_WINDOW, waiting: WAITING_MAX };
        Self {
            layers: config.layers.clone(),
            config,
            verifier,
            stage: Stage::Joining,
            me: PeerId::EDGE,
            edge_up: false,
            catalogues: Few::default(),
            ends: BTreeMap::new(),
            seeking: None,
            completed: false,
            begun: false,
            playing: false,
            next_layers: None,
            plan: 0,
            pace: None,
            store: store::Store::new(keep),
            playback: Playback::new(HOLD_BACK_MIN, on_schedule),
            upstream: upstream::Upstream::default(),
            downstream: downstream::Downstream::default(),
            gossip: gossip::Gossip::default(),
            neighbors: neighbor::Neighbors::default(),
            tables: tables::Tables::default(),
            tables_asked: None,
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
            Input::Change(from) => self.on_change(now, from),
            Input::Pause(paused) => {
                self.playback.pause(now, paused);
                // Nothing else may come that would set it going again.
                self.timers.play = Some(now).filter(|_| !paused).or(self.timers.play);
            }
            Input::Upload(policy) => self.uplink.set_policy(policy),
            Input::Renew(ticket) => self.on_renew(ticket),
            Input::Leave => self.on_leave(now),
        }
        self.on_time(now);
        self.pump(now);
    }

    /// What is to be done now; to be called until None.
    pub fn poll(&mut self) -> Option<Output<V::Payload>> {
        let next = self.out.pop_front();
        if next.is_none() {
            // Begins at the front of its memory again, instead of going round and round through all of it.
            self.out.clear();
        }
        next
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
        let Timers { scan, play, tables, begin, rejoin, .. } = self.timers;
        let others = [scan, play, tables, begin, rejoin, leaving, self.tables.wake_at()];
        Some(others.into_iter().flatten().fold(regular, Instant::min))
    }

    /// What is known, in parts, and how many links there are: both are bounded.
    pub fn load(&self) -> (usize, usize) {
        (self.store.len(), self.neighbors.len())
    }

    /// A part's descriptor, as verified, while it is known.
    pub fn descriptor(&self, part: PartId) -> Option<&Arc<Descriptor>> {
        self.store.get(part).map(|held| &held.descriptor)
    }

    /// The layers that are wanted of a part, once its descriptor is here: it can be played when all of them have come.
    pub fn wanted(&self, part: PartId) -> impl Iterator<Item = LayerId> + '_ {
        self.store.get(part).into_iter().flat_map(|held| held.layers.iter().map(|layer| layer.of))
    }

    /// Brings near what a coming input will need, and changes nothing. A host of very many peers, once it has brought near
    /// the peer itself, calls this some inputs before, once for each level from 1 to 3: each leads on to the next.
    pub fn glance<N: Near>(&self, level: u8, coming: Coming) {
        match coming {
            Coming::Chunk(from, id) => {
                self.neighbors.glance::<N>(level, Some(from));
                self.store.glance::<N>(level, id);
                self.upstream.glance::<N>(level);
                self.downstream.glance::<N>(level);
            }
            Coming::Word(_) => self.gossip.glance::<N>(level),
            Coming::Unsent(to) => self.outbox.glance::<N>(level, Some(to)),
            Coming::Wake => {
                self.neighbors.glance::<N>(level, None);
                self.outbox.glance::<N>(level, None);
            }
        }
    }

    /// To whom the next chunk that waits will go.
    pub fn sends_next_to(&self) -> Option<PeerId> {
        self.outbox.next_link()
    }

    /// Time may have come for something.
    fn on_time(&mut self, now: Instant) {
        if self.stage == Stage::Joining {
            return;
        }
        if self.timers.begin.is_some_and(|at| now >= at) {
            self.begin(now);
        }
        if self.timers.play.is_some_and(|at| now >= at) {
            self.play(now);
        }
        if self.timers.scan.is_some_and(|at| now >= at) {
            self.scan(now);
        }
        if now >= self.timers.have {
            self.timers.have = now + HAVE_EVERY;
            self.change_here(now);
            self.tell_neighbors();
            self.set_the_silent_aside(now);
        }
        self.ask_for_tables(now);
        self.look_for_tables(now);
        if self.timers.rejoin.is_some_and(|at| now >= at) {
            self.timers.rejoin = Some(now + REJOIN_AGAIN);
            self.out.push_back(Output::Connect(PeerId::EDGE));
        }
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
            self.timers.rejoin = None;
            return self.send(PeerId::EDGE, Frame::Hello(self.hello()));
        }
        if !self.neighbors.on_up(peer) {
            return self.out.push_back(Output::Disconnect(peer));
        }
        self.send(peer, Frame::Greet { version: LINK_VERSION, from: self.me });
        self.subscribe_to(now, peer);
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

    /// An edge that is here is told; the next one is greeted with it.
    fn on_renew(&mut self, ticket: Bytes) {
        self.config.ticket = ticket.clone();
        self.send(PeerId::EDGE, Frame::Renew(ticket));
    }

    fn on_lost(&mut self, now: Instant, peer: PeerId) {
        if peer.is_edge() {
            return self.on_edge_lost(now);
        }
        let stood = self.neighbors.on_lost(peer);
        let needed = self.upstream.needs(peer) || self.downstream.knows(peer);
        if needed {
            self.complain(now, peer, if stood { Fault::Gone } else { Fault::Unreachable });
        }
        self.forget_peer(now, peer);
    }

    /// The mesh plays on. Those whom the edge pushed to look for a sibling at once, for the others live by them; the
    /// others spread out, so that the sibling is not overrun.
    fn on_edge_lost(&mut self, now: Instant) {
        let again = self.edge_up || self.timers.rejoin.is_none();
        self.edge_up = false;
        if again && self.stage == Stage::In {
            let is_root = !self.upstream.pushed_by(PeerId::EDGE).is_empty();
            let spread = if is_root { REJOIN_ROOTS } else { REJOIN_OTHERS };
            self.timers.rejoin = Some(now + Duration::from_micros(self.seeded.below(spread.as_micros() as u64)));
        }
    }

    /// Who lives by the mesh alone and misses something does not wait for its turn to look for a sibling.
    fn rejoin_soon(&mut self, now: Instant) {
        if let Some(at) = self.timers.rejoin.as_mut().filter(|at| **at > now + REJOIN_AGAIN) {
            *at = now + Duration::from_micros(self.seeded.below(REJOIN_ROOTS.as_micros() as u64));
        }
    }

    /// Nothing more is expected of a peer.
    fn forget_peer(&mut self, now: Instant, peer: PeerId) {
        self.outbox.remove(peer);
        self.downstream.lose(peer);
        self.gossip.lose(peer);
        let changes = self.upstream.lose(now, peer);
        self.follow(now, changes);
        self.scan_soon(now);
    }

    /// Is what plays a recording? Then nothing is pushed.
    pub fn is_recorded(&self) -> bool {
        self.catalogues.last().is_some_and(|(_, catalogue)| catalogue.mode == Mode::Vod)
    }

    /// May this peer be asked for chunks?
    fn supports(&self) -> bool {
        self.uplink.gives() && (self.completed || self.config.support == Support::WhileWatching)
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

    fn substream_of(&self, id: ChunkId) -> Option<Substream> {
        let k = substreams(self.catalogues.get(id.part.run)?, id.of)?;
        Some(Substream { of: id.of, index: (id.index % u16::from(k)) as u8 })
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
const ASK_MANY: u8 = 16;
/// Three part times without a descriptor are no accident.
const SILENCE: Duration = Duration::from_millis(1_000);
/// Of a dead edge's children each looks for a sibling within this time, ...
const REJOIN_ROOTS: Duration = Duration::from_millis(100);
/// ... and the others within this.
const REJOIN_OTHERS: Duration = Duration::from_secs(20);
const REJOIN_AGAIN: Duration = Duration::from_secs(2);
/// What is due sooner is the edge's to bring, not a new pusher's.
const PUSH_TIME: Duration = Duration::from_millis(700);
/// The descriptors of the start come together; this long after the first all are here.
const BEGIN: Duration = Duration::from_millis(10);
/// When none comes, the stream just begins: pushers begin with what comes next.
const BEGIN_WITHOUT: Duration = Duration::from_millis(50);
