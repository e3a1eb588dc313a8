//! A viewer as a host: comes, runs a peer, sends what it wants sent (or what its owner makes of it), watches, goes.

use std::time::Duration;

use super::*;
use trellis_core::limits::{KEEP_PARTS, SILENT_PEER};
use trellis_core::near::{Coming, Near};
use trellis_core::peer::{Config, Input, Mesh, Support, UploadPolicy};
use trellis_proto::SessionId;
use trellis_proto::frame::LayerId;

use crate::machine::PeerMachine;
use crate::player::Player;
use crate::scenario::MeshKind;

/// Joining over HTTP, then TCP, TLS and the WebSocket.
const JOIN_ROUND_TRIPS: u32 = 4;
/// A leaver that does not come to an end is ended.
const LEAVE_US: u64 = 5_000_000;
/// Whose link broke before it was let in asks again within so long.
const ASK_AGAIN_US: u64 = 1_000_000;
/// Ten seconds of parts: several H.
const KEEP_PARTS_UNSOUGHT: usize = 30;
/// Parts whose arrival is remembered: more than are fetched ahead.
pub(super) const RECENT: usize = 128;

/// Where a viewer is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Not there, or asking again later.
    Away,
    /// Its link is being made, or its hello not answered.
    Joining,
    /// Admitted.
    In,
    /// Handing over.
    Leaving,
    /// Gone for good.
    Gone,
}

/// How a viewer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It says so, and what it sent arrives.
    Leaves,
    /// Its program does: its machine closes the WebSocket.
    Crashes,
    /// It is not heard of any more.
    Vanishes,
}

/// What came of one part so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recent {
    pub part: u64,
    pub video: bool,
    pub sound: bool,
    pub hops: u8,
}

/// One viewer.
pub(super) struct Viewer<M> {
    pub person: Person,
    pub machine: Option<M>,
    pub stage: Stage,
    pub edge: u32,
    pub edge_flow: Option<FlowId>,
    pub banned: bool,
    /// Links to peers: the other's number, the flow to it; sorted.
    pub peers: Vec<(u32, FlowId)>,
    /// Links being made: the other's number, which dial.
    pub dialling: Vec<(u32, u32)>,
    pub player: Player,
    pub rendition: u8,
    attempt: u32,
    /// Edges that had no room for it in this search.
    refused_by: Vec<u32>,
    /// The soonest of the times they told.
    told: Option<Duration>,
    first_asked: u64,
    pub asked: u64,
    pub(super) admitted: Option<u64>,
    pub ended: Option<u64>,
    pub wake: u64,
    pub recent: [Recent; RECENT],
    pub given_bytes: u64,
    pub taken_bytes: u64,
    pub summed_up: bool,
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    /// One more who will come.
    pub(super) fn expect(&mut self, person: Person) {
        let number = self.viewers.len() as ViewerIx;
        let download = self.scenario.viewers.download_bps;
        let host = self.net.attach(Access::new(person.up_bps, download, person.isp, person.region));
        debug_assert_eq!(host, number + self.edges_count());
        self.viewers.push(Viewer {
            person,
            machine: None,
            stage: Stage::Away,
            edge: 0,
            edge_flow: None,
            banned: false,
            peers: Vec::new(),
            dialling: Vec::new(),
            player: Player::new(u64::from(self.scenario.stream.part_us)),
            rendition: person.rendition,
            attempt: 0,
            refused_by: Vec::new(),
            told: None,
            first_asked: person.comes_us,
            asked: person.comes_us,
            admitted: None,
            ended: None,
            wake: u64::MAX,
            recent: [Recent { part: u64::MAX, ..Recent::default() }; RECENT],
            given_bytes: 0,
            taken_bytes: 0,
            summed_up: false,
        });
        self.queue.push(Instant(person.comes_us), Event::Comes(number));
    }

    /// The manager sends it somewhere, or away.
    pub(super) fn comes(&mut self, viewer: ViewerIx) {
        let it = &mut self.viewers[viewer as usize];
        (it.asked, it.stage) = (self.now.0, Stage::Joining);
        it.refused_by.clear();
        it.told = None;
        self.asked += 1;
        self.trace.note(self.now, 102, u64::from(viewer), 0);
        self.redirect(viewer);
    }

    fn redirect(&mut self, viewer: ViewerIx) {
        let from = self.locality(viewer + self.edges_count());
        let refused_by = &self.viewers[viewer as usize].refused_by;
        let refused_by: Vec<_> = refused_by.iter().map(|edge| self.edges[*edge as usize].name.as_str()).collect();
        let ask = Ask { rate_bps: self.rate_bps as u64, from, refused_by: &refused_by, ..Ask::default() };
        match self.manager.pick(self.now, &ask) {
            Ok(name) => {
                let edge = self.edges.iter().position(|edge| edge.name == name).expect("edges report by their names");
                let it = &mut self.viewers[viewer as usize];
                it.edge = edge as u32;
                it.attempt += 1;
                let attempt = it.attempt;
                let way = self.net.round_trip(edge as u32, viewer + self.edges_count()) * JOIN_ROUND_TRIPS;
                self.queue.push(self.now + way, Event::Opened(viewer, attempt));
            }
            Err(_) if self.viewers[viewer as usize].admitted.is_some() && !refused_by.is_empty() => {
                // Nobody but the one it lost: back there.
                self.viewers[viewer as usize].refused_by.clear();
                self.redirect(viewer);
            }
            Err(refusal) => {
                let told = self.viewers[viewer as usize].told.take();
                self.refused(viewer, told.unwrap_or(refusal.retry_after));
            }
        }
    }

    /// Step 6 of the paper: an edge refused it, and the manager looks for another before it is sent away. Of those who
    /// refused it, the one that hopes to have room first knows best when to come again.
    pub(super) fn searches_on(&mut self, viewer: ViewerIx, told: Duration) {
        self.hang_up(viewer, PeerId::EDGE);
        let it = &mut self.viewers[viewer as usize];
        it.machine = None;
        it.refused_by.push(it.edge);
        it.told = Some(it.told.map_or(told, |before| before.min(told)));
        self.redirect(viewer);
    }

    fn refused(&mut self, viewer: ViewerIx, retry_after: Duration) {
        self.figures.refusals += 1;
        self.figures.retry.add(retry_after.as_micros() as u64);
        // As clients do, it adds up to a tenth, so that those sent away together do not return together.
        let spread = self.chance.below(retry_after.as_micros() as u64 / 10 + 1);
        let again = self.now + retry_after + Duration::from_micros(spread);
        let it = &mut self.viewers[viewer as usize];
        if it.admitted.is_some() {
            // It plays from the mesh and keeps asking by itself.
            return;
        }
        (it.stage, it.machine) = (Stage::Away, None);
        self.sent_away += 1;
        let it = &mut self.viewers[viewer as usize];
        if again.0 - it.first_asked > (self.scenario.viewers.patience_s * 1e6) as u64 {
            it.stage = Stage::Gone;
            self.figures.turned_away += 1;
        } else {
            self.queue.push(again, Event::Comes(viewer));
        }
    }

    /// Its WebSocket stands.
    pub(super) fn opened(&mut self, viewer: ViewerIx, attempt: u32) {
        let it = &self.viewers[viewer as usize];
        let (edge, known) = (it.edge, it.machine.is_some());
        if it.attempt != attempt || it.stage >= Stage::Leaving || it.edge_flow.is_some() {
            return;
        }
        if !self.edges[edge as usize].alive {
            return self.queue.push(self.now + Duration::from_secs(1), Event::Rejoins(viewer));
        }
        let link = self.edges[edge as usize].links.len() as u32;
        let [down, up] = self.net.link((edge, 0), (viewer + self.edges_count(), link), true);
        self.edges[edge as usize].links.push(None);
        self.viewers[viewer as usize].edge_flow = Some(up);
        if !known {
            let config = self.config(viewer);
            let seed = chance::mix(self.seed, 1 << 40 | u64::from(viewer) << 8 | u64::from(attempt & 0xff));
            let machine = B::peer(config, self.origin.crypto.verifier(), seed, self.now);
            let it = &mut self.viewers[viewer as usize];
            (it.machine, it.stage, it.wake) = (Some(machine), Stage::Joining, u64::MAX);
        }
        let session = SessionId(std::array::from_fn(|at| (u64::from(viewer) >> (8 * at.min(7))) as u8));
        self.cluster_opens(edge, viewer, down, session);
        self.tell_peer(viewer, Input::Connected(PeerId::EDGE));
    }

    fn config(&mut self, viewer: ViewerIx) -> Config {
        let person = self.viewers[viewer as usize].person;
        let viewers = &self.scenario.viewers;
        let declared = match person.behaviour {
            Behaviour::Liar => person.up_bps * 10,
            _ if person.knows_uplink => person.up_bps,
            _ => 0,
        };
        let behind_s = (self.scenario.stream.length_s - person.begins_us as f64 / 1e6).max(0.0);
        Config {
            ticket: Bytes::from_static(&[0; 150]),
            layers: self.layers(person.rendition),
            declared_bps: declared,
            upload: UploadPolicy { cap_bps: None, receive_only: false },
            nat: person.nat,
            keep_parts: self.keep_parts(),
            mesh: match self.scenario.mesh {
                MeshKind::Hybrid => Mesh::Hybrid,
                MeshKind::Pull => Mesh::Pull,
                MeshKind::Trees => Mesh::Trees,
            },
            on_schedule: false,
            behind: if self.scenario.stream.on_demand { Duration::from_secs_f64(behind_s) } else { Duration::ZERO },
            support: if viewers.after_completion { Support::AfterCompletion } else { Support::WhileWatching },
        }
    }

    /// A recording is kept whole. Of a live stream nobody seeks in, nothing is asked for that is older than the playhead
    /// of the latest viewer: what a browser keeps beyond that would only cost memory here.
    fn keep_parts(&self) -> usize {
        match (self.scenario.stream.on_demand, self.scenario.viewers.seek_every_s > 0.0) {
            (true, _) => self.arrivals.len().max(KEEP_PARTS),
            (false, true) => KEEP_PARTS,
            (false, false) => KEEP_PARTS_UNSOUGHT,
        }
    }

    /// All layers of a rendition, and of every sound.
    pub(super) fn layers(&self, rendition: u8) -> Vec<LayerId> {
        let renditions = &self.scenario.stream.rendition;
        let of = |number: u8| {
            let layers = renditions[usize::from(number)].layers.len() as u8;
            (0..layers).map(move |layer| LayerId { rendition: number, layer })
        };
        let sounds = (0..renditions.len() as u8).filter(|it| renditions[usize::from(*it)].is_sound());
        of(rendition).chain(sounds.flat_map(of)).collect()
    }

    /// A frame came for it.
    pub(super) fn viewer_receives(&mut self, viewer: ViewerIx, from: PeerId, frame: Frame<C::Payload>) {
        let it = &mut self.viewers[viewer as usize];
        if it.machine.is_none() {
            return;
        }
        match &frame {
            Frame::Signal { peer, body } => return self.signalled(viewer, *peer, body),
            Frame::Chunk(chunk) => it.on_chunk(chunk),
            Frame::Welcome(welcome) => {
                it.player.set_hold_back(u64::from(welcome.hold_back_us));
                let first = it.admitted.is_none();
                self.admitted(viewer);
                self.tell_peer(viewer, Input::Frame(from, frame));
                if first && self.scenario.stream.on_demand {
                    let part = self.viewers[viewer as usize].person.begins_us / u64::from(self.scenario.stream.part_us);
                    self.seek_to(viewer, part);
                }
                return;
            }
            Frame::Assign(assign) => it.player.set_hold_back(u64::from(assign.hold_back_us)),
            _ => {}
        }
        self.tell_peer(viewer, Input::Frame(from, frame));
    }

    fn admitted(&mut self, viewer: ViewerIx) {
        let it = &mut self.viewers[viewer as usize];
        it.stage = it.stage.max(Stage::In);
        if it.admitted.replace(self.now.0).is_some() {
            return;
        }
        self.figures.admitted += 1;
        self.figures.wait.add(self.now.0 - it.first_asked);
        if let Some(stays) = it.person.stays_us {
            self.queue.push(Instant(self.now.0 + stays), Event::Goes(viewer));
        }
        for (every, event) in [
            (self.scenario.viewers.switch_every_s, Event::Switches(viewer)),
            (self.scenario.viewers.seek_every_s, Event::Seeks(viewer)),
        ] {
            if every > 0.0 {
                let after = self.chance.exponential(every);
                self.queue.push(self.now + Duration::from_secs_f64(after), event);
            }
        }
    }

    /// An end of its links noticed that the other is gone.
    pub(super) fn viewer_loses(&mut self, viewer: ViewerIx, from: PeerId, flow: Option<FlowId>) {
        let it = &mut self.viewers[viewer as usize];
        if from.is_edge() {
            if it.edge_flow.is_none() || it.edge_flow != flow {
                return;
            }
            it.edge_flow = None;
            // It tells the manager, who may not know yet.
            it.refused_by = vec![it.edge];
            // Who was in asks for another when it is its turn; who was not yet asks again soon.
            if it.stage == Stage::Joining {
                let after = self.chance.below(ASK_AGAIN_US);
                self.queue.push(Instant(self.now.0 + after), Event::Rejoins(viewer));
            }
            self.tell_peer(viewer, Input::Lost(PeerId::EDGE));
        } else if it.flow_to(from).is_some() && it.flow_to(from) == flow {
            it.peers.retain(|(peer, _)| *peer != from.0);
            self.tell_peer(viewer, Input::Lost(from));
        }
    }

    /// Asks for a new WebSocket.
    pub(super) fn rejoins(&mut self, viewer: ViewerIx) {
        let it = &mut self.viewers[viewer as usize];
        if it.edge_flow.is_none() && it.stage <= Stage::In && it.machine.is_some() {
            self.redirect(viewer);
        }
    }

    /// Its time has come.
    pub(super) fn goes(&mut self, viewer: ViewerIx) {
        let it = &self.viewers[viewer as usize];
        if it.stage >= Stage::Leaving {
            return;
        }
        if self.scenario.viewers.replace {
            let at = self.now.0 + self.chance.below(2_000_000);
            let person = self.population.person(at);
            self.expect(person);
        }
        if self.viewers[viewer as usize].person.vanishes {
            return self.remove(viewer, End::Vanishes);
        }
        self.viewers[viewer as usize].stage = Stage::Leaving;
        self.sum_up(viewer);
        self.queue.push(Instant(self.now.0 + LEAVE_US), Event::Gone(viewer));
        self.tell_peer(viewer, Input::Leave);
    }

    /// It had its time.
    pub(super) fn gone(&mut self, viewer: ViewerIx) {
        if self.viewers[viewer as usize].stage == Stage::Leaving {
            self.remove(viewer, End::Leaves);
        }
    }

    /// It is no longer there.
    pub(super) fn remove(&mut self, viewer: ViewerIx, end: End) {
        self.sum_up(viewer);
        let silence_us = (self.scenario.net.silence_noticed_ms * 1e3) as u64;
        let it = &mut self.viewers[viewer as usize];
        (it.stage, it.machine) = (Stage::Gone, None);
        it.dialling.clear();
        let edge = it.edge_flow.take();
        let peers: Vec<_> = std::mem::take(&mut it.peers).into_iter().map(|(_, flow)| flow).collect();
        // Whoever vanishes is silent; a machine whose program ends closes its WebSocket, and who leaves sends what is left.
        let edge_notices = edge.map(|flow| match end {
            End::Leaves => self.net.drain_us(self.now, flow),
            End::Crashes => self.net.flow(flow).map_or(0, |flow| flow.way_us()),
            End::Vanishes => silence_us.max(SILENT_PEER.as_micros() as u64),
        });
        if end != End::Leaves {
            self.net.kill(viewer + self.edges_count());
        }
        for flow in peers {
            let after = if end == End::Leaves { self.net.drain_us(self.now, flow) } else { silence_us };
            self.queue.push(Instant(self.now.0 + after), Event::Broken(flow));
        }
        if let Some((flow, after)) = edge.zip(edge_notices) {
            self.queue.push(Instant(self.now.0 + after), Event::Broken(flow));
        }
        self.trace.note(self.now, 105, u64::from(viewer), u64::from(end != End::Leaves));
    }
}

impl<M> Viewer<M> {
    /// Brings near what a coming event will look at: see `world::ahead`. At level 0 nothing is read.
    pub fn glance<P, N: Near>(&self, level: u8, coming: Coming)
    where
        M: PeerMachine<P>,
    {
        if level == 0 {
            N::near(&self.person);
            N::near(&self.machine);
            N::near(&self.wake);
            N::near(&self.peers);
            N::near(&self.given_bytes);
        } else if let Some(machine) = &self.machine {
            machine.glance::<N>(level, coming);
        }
    }

    /// The flow on which it will send next.
    pub fn sends_next_on<P>(&self) -> Option<FlowId>
    where
        M: PeerMachine<P>,
    {
        self.flow_to(self.machine.as_ref()?.sends_next_to()?)
    }

    /// The flow to a peer.
    pub fn flow_to(&self, peer: PeerId) -> Option<FlowId> {
        self.peers.binary_search_by_key(&peer.0, |(peer, _)| *peer).ok().map(|at| self.peers[at].1)
    }

    /// Keeps the flow to a peer. Some: the one it had.
    pub fn keep_flow(&mut self, peer: PeerId, flow: FlowId) -> Option<FlowId> {
        match self.peers.binary_search_by_key(&peer.0, |(peer, _)| *peer) {
            Ok(at) => Some(std::mem::replace(&mut self.peers[at].1, flow)),
            Err(at) => {
                self.peers.insert(at, (peer.0, flow));
                None
            }
        }
    }

    pub(super) fn take_flow(&mut self, peer: PeerId) -> Option<FlowId> {
        let at = self.peers.binary_search_by_key(&peer.0, |(peer, _)| *peer).ok()?;
        Some(self.peers.remove(at).1)
    }

    pub(super) fn recent_of(&mut self, part: u64) -> &mut Recent {
        let recent = &mut self.recent[part as usize % RECENT];
        if recent.part != part {
            *recent = Recent { part, ..Recent::default() };
        }
        recent
    }

    pub(super) fn on_chunk<P: Payload>(&mut self, chunk: &Chunk<P>) {
        self.taken_bytes += chunk.payload.size() as u64;
        let recent = self.recent_of(chunk.id.part.part);
        recent.hops = recent.hops.max(chunk.hop);
    }
}
