//! An edge as a host: runs a cluster, feeds it parts, sends what it wants sent.

use std::time::Duration;

use super::*;
use trellis_core::cluster::{Config, Event as ClusterEvent, Input, Output, Shares};
use trellis_core::locality::Locality;
use trellis_core::manager::redirect::Beat;
use trellis_proto::SessionId;

use crate::machine::{ClusterMachine, WAKE_GAP};
use crate::measure::Purpose;
use crate::net::HostId;

/// A manager forgets an edge that is silent for so long; edges report every second.
pub const DEAD_AFTER: Duration = Duration::from_millis(3_500);

/// A viewer's link.
pub(super) struct Link {
    pub viewer: ViewerIx,
    pub flow: FlowId,
    /// Chunks asked for and not answered; urgent or not.
    wants: LookUp<ChunkId, bool>,
}

/// One edge.
pub(super) struct Edge<M> {
    pub machine: M,
    pub alive: bool,
    pub name: String,
    /// By number.
    pub links: Vec<Option<Link>>,
    /// By peer number: who.
    pub peers: LookUp<u32, ViewerIx>,
    pub wake: u64,
    /// Chunk payload sent within this second.
    pub second_bytes: u64,
    pub sessions: u32,
    pub admitted_bps_total: u64,
    pub departures: std::collections::VecDeque<u64>,
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    pub(super) fn open_edges(&mut self) {
        let budget = self.scenario.budget_bps();
        let wire = self.scenario.edge.link_bps.unwrap_or(budget);
        let (isps, regions) = (self.scenario.net.isps.max(1), self.scenario.net.region_ms.len().max(1) as u32);
        for number in 0..self.scenario.edge.count {
            self.net.attach(Access::new(wire, wire.max(1_000_000_000), number % isps, number % regions));
            self.edges.push(Edge {
                machine: B::cluster(self.cluster_config(number), self.seed ^ u64::from(number) << 32, self.now),
                alive: true,
                name: format!("edge-{number:02}"),
                links: Vec::new(),
                peers: LookUp::default(),
                wake: u64::MAX,
                second_bytes: 0,
                sessions: 0,
                admitted_bps_total: 0,
                departures: std::collections::VecDeque::new(),
            });
            let input = Input::Catalogue(self.origin.catalogue.clone(), self.origin.message.clone());
            self.tell_cluster(number, input);
            self.beat(number);
        }
        if self.scenario.stream.on_demand {
            let parts = self.scenario.stream.length_s * 1e6 / f64::from(self.scenario.stream.part_us);
            (0..parts as u64).for_each(|_| self.make_part());
            let (end, message) = self.origin.end();
            for edge in 0..self.edges_count() {
                self.tell_cluster(edge, Input::RunEnd(end, message.clone()));
            }
        } else {
            self.queue.push(Instant(u64::from(self.scenario.stream.part_us)), Event::Part);
        }
    }

    fn cluster_config(&self, number: u32) -> Config {
        let (edge, whole) = (&self.scenario.edge, 1_000.0);
        let per_mille = |share: f64| (share * whole) as u16;
        Config {
            budget_bps: self.scenario.budget_bps(),
            shares: Shares {
                serving: per_mille(1.0 - edge.start_up_share - edge.rescue_share),
                start_up: per_mille(edge.start_up_share),
                rescue: per_mille(edge.rescue_share),
            },
            hold_back_max: Duration::from_millis(edge.hold_back_max_ms),
            prior_bps: edge.prior_bps,
            after_completion: self.scenario.viewers.after_completion,
            first_peer: PeerId(number << 20 | 1),
        }
    }

    /// A part is whole, at all edges at once.
    pub(super) fn make_part(&mut self) {
        let made = self.origin.make();
        self.arrivals.push(self.now.0);
        for edge in 0..self.edges_count() {
            if self.edges[edge as usize].alive {
                let input = Input::Part(made.descriptor.clone(), made.message.clone(), made.chunks.clone());
                self.tell_cluster(edge, input);
            }
        }
        if !self.scenario.stream.on_demand {
            let next = (self.arrivals.len() as u64 + 1) * u64::from(self.scenario.stream.part_us) + self.later_us;
            self.queue.push(Instant(next), Event::Part);
        }
    }

    /// A viewer's link stands.
    pub(super) fn cluster_opens(&mut self, edge: u32, viewer: ViewerIx, flow: FlowId, session: SessionId) {
        let link = self.edges[edge as usize].links.len() as u64 - 1;
        self.edges[edge as usize].links[link as usize] = Some(Link { viewer, flow, wants: LookUp::default() });
        let locality = self.locality(viewer + self.edges_count());
        let max_rate_bps = 1_000_000_000;
        let rejoins = self.viewers[viewer as usize].admitted.is_some();
        self.tell_cluster(edge, Input::Opened { link: LinkId(link), session, max_rate_bps, locality, rejoins });
    }

    pub(super) fn edge_receives(&mut self, edge: u32, link: LinkId, frame: Frame<C::Payload>) {
        let host = &mut self.edges[edge as usize];
        let Some(known) = host.links.get_mut(link.0 as usize).and_then(Option::as_mut).filter(|_| host.alive) else {
            return;
        };
        if let Frame::Want { rows, urgent } = &frame {
            for row in rows {
                for index in row.chunks.iter() {
                    let id = ChunkId { part: row.part, of: row.of, index: index as u16 };
                    known.wants.insert(id, *urgent);
                }
            }
        }
        self.tell_cluster(edge, Input::Frame(link, frame));
    }

    pub(super) fn edge_unsent(&mut self, edge: u32, link: LinkId, bytes: u32) {
        if self.edges[edge as usize].links.get(link.0 as usize).is_some_and(Option::is_some) {
            self.tell_cluster(edge, Input::Unsent(link, bytes));
        }
    }

    /// The link broke.
    pub(super) fn edge_loses(&mut self, edge: u32, link: LinkId) {
        let host = &mut self.edges[edge as usize];
        if host.links.get_mut(link.0 as usize).and_then(Option::take).is_some() && host.alive {
            self.tell_cluster(edge, Input::Closed(link));
        }
    }

    pub(super) fn wake_edge(&mut self, edge: u32) {
        let host = &mut self.edges[edge as usize];
        if host.alive && host.wake == self.now.0 {
            host.wake = u64::MAX;
            self.tell_cluster(edge, Input::Wake);
        }
    }

    /// Hands something to a cluster and does what it wants.
    pub(super) fn tell_cluster(&mut self, edge: u32, input: Input<C::Payload>) {
        self.edges[edge as usize].machine.handle(self.now, input);
        while let Some(output) = self.edges[edge as usize].machine.poll() {
            self.on_cluster_output(edge, output);
        }
        let host = &mut self.edges[edge as usize];
        if let Some(at) = host.machine.wake_at() {
            let at = at.max(self.now + WAKE_GAP);
            if at.0 < host.wake {
                host.wake = at.0;
                self.queue.push(at, Event::EdgeWake(edge));
            }
        }
    }

    fn on_cluster_output(&mut self, edge: u32, output: Output<C::Payload>) {
        match output {
            Output::Send(link, frame) => self.edge_sends(edge, link, frame),
            Output::Fetch(link, id) => {
                let chunk = self.origin.chunk(id).cloned();
                self.tell_cluster(edge, Input::Fetched(link, id, chunk));
            }
            Output::Tables(link, from, count) => {
                for message in self.origin.messages(from, count) {
                    self.edge_sends(edge, link, Frame::Table(message));
                }
            }
            Output::Close(link, bye) => {
                self.edge_sends(edge, link, Frame::Bye(bye));
                let links = &mut self.edges[edge as usize].links;
                let Some(Link { flow, .. }) = links.get_mut(link.0 as usize).and_then(Option::take) else { return };
                let after = self.net.drain_us(self.now, flow);
                self.queue.push(Instant(self.now.0 + after), Event::Broken(flow));
            }
            Output::Event(event) => self.on_cluster_event(edge, event),
        }
    }

    fn on_cluster_event(&mut self, edge: u32, event: ClusterEvent) {
        let rate_bps = self.rate_bps as u64;
        let host = &mut self.edges[edge as usize];
        match event {
            ClusterEvent::Admitted(link, peer, _) => {
                host.sessions += 1;
                host.admitted_bps_total += rate_bps;
                if let Some(known) = host.links.get(link.0 as usize).and_then(Option::as_ref) {
                    host.peers.insert(peer.0, known.viewer);
                    self.trace.note(self.now, 101, u64::from(known.viewer), u64::from(peer.0));
                }
            }
            ClusterEvent::Left(_, peer, _) => {
                host.sessions = host.sessions.saturating_sub(1);
                host.departures.push_back(self.now.0);
                host.peers.remove(&peer.0);
            }
            ClusterEvent::Refused(..) | ClusterEvent::Parole(..) => {}
            ClusterEvent::Banned(peer, _) => {
                if let Some(viewer) = host.peers.get(&peer.0) {
                    self.viewers[*viewer as usize].banned = true;
                }
            }
        }
    }

    fn edge_sends(&mut self, edge: u32, link: LinkId, frame: Frame<C::Payload>) {
        let host = &mut self.edges[edge as usize];
        let Some(known) = host.links.get_mut(link.0 as usize).and_then(Option::as_mut) else { return };
        let (viewer, flow) = (known.viewer, known.flow);
        let bytes = frame_bytes(&frame);
        if let Frame::Chunk(chunk) = &frame {
            let size = chunk.payload.size() as u64;
            let wanted = known.wants.remove(&chunk.id);
            let playing = self.viewers[viewer as usize].player.has_started();
            let purpose = match wanted {
                None => Purpose::Push,
                Some(_) if !playing => Purpose::StartUp,
                Some(true) => Purpose::Rescue,
                Some(false) => Purpose::Pull,
            };
            self.tally.on_edge_chunk(purpose, size);
            self.tally.edge_control_bytes += u64::from(bytes) - size;
            host.second_bytes += size;
        } else {
            self.tally.edge_control_bytes += u64::from(bytes);
            known.forget_denied(&frame);
        }
        let to = viewer + self.edges_count();
        self.tell_frame("sends", edge, to, &frame);
        self.net.send(self.now, flow, frame, bytes, &mut self.queue);
    }

    /// What can be known of a host's address.
    pub(super) fn locality(&self, host: HostId) -> Locality {
        let access = self.net.host(host);
        let own = u64::from(host) + 1;
        Locality { lan: own, prefix: own, isp: access.isp + 1, region: access.region + 1 }
    }

    /// An edge tells the manager how it is.
    pub(super) fn beat(&mut self, edge: u32) {
        let now = self.now;
        let at = self.locality(edge);
        let host = &mut self.edges[edge as usize];
        while host.departures.front().is_some_and(|at| at + 60_000_000 < now.0) {
            host.departures.pop_front();
        }
        let stats = host.machine.stats();
        let beat = Beat {
            capacity_bps: stats.edge_bps + stats.peers_bps,
            committed_bps: stats.edge_held_bps + stats.peers_held_bps,
            reserved_bps: 0,
            admitted_bps_total: host.admitted_bps_total,
            sessions: host.sessions,
            departures_per_minute: host.departures.len() as u32,
            draining: false,
            brings_bps: stats.brings_bps,
            growth_bps2: stats.growth_bps2,
            relief_bps2: 0,
            at,
        };
        let known = self.manager.on_beat(now, &host.name, beat);
        known.expect("a scenario has fewer edges than a manager takes");
    }
}

impl Link {
    fn forget_denied<P>(&mut self, frame: &Frame<P>) {
        let Frame::Deny(rows) = frame else { return };
        for row in rows {
            for index in row.chunks.iter() {
                self.wants.remove(&ChunkId { part: row.part, of: row.of, index: index as u16 });
            }
        }
    }
}
