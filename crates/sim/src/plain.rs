//! What if no viewer gave anything? A cluster that sends every chunk to everybody itself, as long as its budget lasts:
//! the measure for all others, and the smallest thing that shows what the model of the network does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use trellis_core::cluster::{Chunks, Config, Event, Input, LinkId, Output, Stats};
use trellis_core::peer::{self, Peer};
use trellis_core::time::Instant;
use trellis_proto::frame::{Bye, Chunk, ChunkId, Frame, Hello, LINK_VERSION, LayerId, PartId, PeerId, Row, Welcome};
use trellis_proto::{Catalogue, Descriptor, SessionId};

use crate::crypto::Crypto;
use crate::machine::{Brain, ClusterMachine};

/// Servers alone.
#[derive(Debug)]
pub struct ServerOnly;

impl<C: Crypto> Brain<C> for ServerOnly {
    type Peer = Peer<C::Verifier>;
    type Cluster = Plain<C::Payload>;

    fn peer(config: peer::Config, verifier: C::Verifier, seed: u64, now: Instant) -> Self::Peer {
        Peer::new(config, verifier, seed, now)
    }

    fn cluster(config: Config, _seed: u64, _now: Instant) -> Self::Cluster {
        Plain::new(config.budget_bps)
    }
}

/// A server that sends everything itself.
#[derive(Debug)]
pub struct Plain<P> {
    budget_bps: u64,
    catalogue: Option<(Arc<Catalogue>, Bytes)>,
    parts: VecDeque<Kept<P>>,
    sessions: BTreeMap<LinkId, SessionId>,
    viewers: BTreeMap<LinkId, Viewer>,
    next: u32,
    out: VecDeque<Output<P>>,
}

/// A part: its descriptor, that as signed, its chunks.
type Kept<P> = (Arc<Descriptor>, Bytes, Arc<Chunks<P>>);

#[derive(Debug)]
struct Viewer {
    id: PeerId,
    session: SessionId,
    layers: Vec<LayerId>,
    rate_bps: u64,
}

impl<P: Clone> Plain<P> {
    fn new(budget_bps: u64) -> Self {
        Self {
            budget_bps,
            catalogue: None,
            parts: VecDeque::new(),
            sessions: BTreeMap::new(),
            viewers: BTreeMap::new(),
            next: 1,
            out: VecDeque::new(),
        }
    }

    fn rate_of(&self, layers: &[LayerId]) -> u64 {
        let Some((catalogue, _)) = &self.catalogue else { return 0 };
        let mut renditions: Vec<_> = layers.iter().map(|layer| layer.rendition).collect();
        renditions.dedup();
        renditions.iter().filter_map(|it| catalogue.renditions.get(usize::from(*it))).map(|it| it.bandwidth).sum()
    }

    fn admit(&mut self, now: Instant, link: LinkId, hello: Hello) {
        let rate_bps = self.rate_of(&hello.layers);
        let taken: u64 = self.viewers.values().map(|viewer| viewer.rate_bps).sum();
        if taken + rate_bps > self.budget_bps {
            let bye = Bye::NoRoom(10);
            return self.out.extend([Output::Event(Event::Refused(link, bye)), Output::Close(link, bye)]);
        }
        let Some(session) = self.sessions.get(&link).copied() else { return };
        let id = PeerId(self.next);
        self.next += 1;
        self.out.push_back(Output::Event(Event::Admitted(link, id, session)));
        let welcome = Welcome {
            version: LINK_VERSION,
            you: id,
            hold_back_us: HOLD_BACK_US,
            now_us: now.0,
            credit_bps: 0,
            start_us: 0,
        };
        self.out.push_back(Output::Send(link, Frame::Welcome(welcome)));
        if let Some((_, message)) = &self.catalogue {
            self.out.push_back(Output::Send(link, Frame::Table(message.clone())));
        }
        self.viewers.insert(link, Viewer { id, session, layers: hello.layers, rate_bps });
        let from = self.parts.iter().rposition(|(descriptor, ..)| descriptor.independent).unwrap_or(0);
        (from..self.parts.len()).for_each(|at| self.send_part(link, at));
    }

    fn send_part(&mut self, link: LinkId, at: usize) {
        let (descriptor, message, chunks) = self.parts[at].clone();
        let Some(viewer) = self.viewers.get(&link) else { return };
        self.out.push_back(Output::Send(link, Frame::Table(message)));
        let part = PartId { run: descriptor.run, part: descriptor.part };
        for of in &viewer.layers {
            let layer = &chunks[usize::from(of.rendition)][usize::from(of.layer)];
            for (index, payload) in layer.iter().enumerate() {
                let id = ChunkId { part, of: *of, index: index as u16 };
                self.out.push_back(Output::Send(link, Frame::Chunk(Chunk { id, hop: 0, payload: payload.clone() })));
            }
        }
    }

    fn find(&self, part: PartId) -> Option<&Kept<P>> {
        self.parts.iter().rev().find(|(descriptor, ..)| descriptor.part == part.part && descriptor.run == part.run)
    }

    fn give(&mut self, link: LinkId, rows: &[Row]) {
        for row in rows {
            let Some((_, _, chunks)) = self.find(row.part).cloned() else { continue };
            let layer = chunks.get(usize::from(row.of.rendition)).and_then(|it| it.get(usize::from(row.of.layer)));
            for (index, payload) in row.chunks.iter().filter_map(|index| Some((index, layer?.get(index)?))) {
                let id = ChunkId { part: row.part, of: row.of, index: index as u16 };
                self.out.push_back(Output::Send(link, Frame::Chunk(Chunk { id, hop: 0, payload: payload.clone() })));
            }
        }
    }

    fn on_frame(&mut self, now: Instant, link: LinkId, frame: Frame<P>) {
        match frame {
            Frame::Hello(hello) => self.admit(now, link, hello),
            Frame::Want { rows, .. } => self.give(link, &rows),
            Frame::Ask { from, count } => {
                for part in (0..u64::from(count)).map(|n| PartId { part: from.part + n, ..from }) {
                    if let Some((_, message, _)) = self.find(part) {
                        self.out.push_back(Output::Send(link, Frame::Table(message.clone())));
                    }
                }
            }
            Frame::Ping { sent_us } => {
                self.out.push_back(Output::Send(link, Frame::Pong { echo_us: sent_us, now_us: now.0 }));
            }
            Frame::Switch { layers } => {
                if let Some(viewer) = self.viewers.get_mut(&link) {
                    viewer.layers = layers;
                }
            }
            Frame::Bye(_) => self.remove(link),
            _ => {}
        }
    }

    fn remove(&mut self, link: LinkId) {
        self.sessions.remove(&link);
        if let Some(viewer) = self.viewers.remove(&link) {
            self.out.push_back(Output::Event(Event::Left(link, viewer.id, viewer.session)));
        }
    }
}

impl<P: Clone> ClusterMachine<P> for Plain<P> {
    fn handle(&mut self, now: Instant, input: Input<P>) {
        match input {
            Input::Opened { link, session, .. } => {
                self.sessions.insert(link, session);
            }
            Input::Frame(link, frame) => self.on_frame(now, link, frame),
            Input::Closed(link) => self.remove(link),
            Input::Catalogue(catalogue, message) => self.catalogue = Some((catalogue, message)),
            Input::Part(descriptor, message, chunks) => {
                self.parts.push_back((descriptor, message, chunks));
                if self.parts.len() > KEEP_PARTS {
                    self.parts.pop_front();
                }
                let links: Vec<_> = self.viewers.keys().copied().collect();
                links.into_iter().for_each(|link| self.send_part(link, self.parts.len() - 1));
            }
            Input::Budget(bps) => self.budget_bps = bps,
            Input::Unsent(..)
            | Input::RunEnd(..)
            | Input::Fetched(..)
            | Input::Relief(_)
            | Input::Drain
            | Input::Wake => {}
        }
    }

    fn poll(&mut self) -> Option<Output<P>> {
        self.out.pop_front()
    }

    fn wake_at(&self) -> Option<Instant> {
        None
    }

    fn check(&self) -> Result<(), String> {
        let taken: u64 = self.viewers.values().map(|viewer| viewer.rate_bps).sum();
        if taken <= self.budget_bps { Ok(()) } else { Err(format!("{taken} bit/s promised of {}", self.budget_bps)) }
    }

    fn stats(&self) -> Stats {
        Stats { viewers: self.viewers.len() as u32, edge_bps: self.budget_bps, ..Stats::default() }
    }
}

const HOLD_BACK_US: u32 = 1_000_000;
/// Half a minute of parts.
const KEEP_PARTS: usize = 90;
