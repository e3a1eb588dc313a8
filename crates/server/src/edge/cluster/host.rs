//! Who runs a stream's cluster? One task: what comes from links, shelf and clock goes in, what the cluster wants is done.
//! It decides nothing.
//!
//! Invariant: it waits for no link, for nothing but its inputs; a link that is not up to what it is sent is closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use trellis_core::cluster::{Cluster, Config, Event as ClusterEvent, Input, LinkId, Output};
use trellis_core::locality::Locality;
use trellis_core::time::Instant;
use trellis_proto::StreamId;
use trellis_proto::frame::{Bye, ChunkId, Frame, PeerId};

use super::super::Edge;
use super::super::session::Visit;
use super::link::{Line, word};
use super::parts::{self, Step};
use super::{PEER_BITS, PEERS_MAX};
use crate::keyfile;
use crate::shelf::Shelf;

/// What happens to a host.
pub enum Event {
    /// A link stands.
    Opened(Box<Opened>),
    /// It said this.
    Frame(LinkId, Frame),
    /// Some of what it was handed has left.
    Left(LinkId),
    /// It is no more.
    Closed(LinkId),
}

/// A new link.
pub struct Opened {
    /// Its number.
    pub number: LinkId,
    /// The way to it.
    pub line: Line,
    /// Whose it is.
    pub visit: Visit,
    /// Where it comes from.
    pub locality: Locality,
}

/// A stream's cluster and what it lives on.
pub struct Host {
    edge: Arc<Edge>,
    shelf: Arc<Shelf>,
    cluster: Cluster<Bytes>,
    epoch: tokio::time::Instant,
    members: HashMap<LinkId, Member>,
    fetches: JoinSet<(LinkId, ChunkId, Option<Bytes>)>,
}

/// A link's place in the host.
struct Member {
    line: Line,
    visit: Visit,
}

impl Host {
    /// Of nobody yet.
    pub fn open(edge: Arc<Edge>, stream: StreamId) -> Self {
        let (range, given) = (edge.clusters.first_peer.0, edge.clusters.peers.load(Ordering::Relaxed));
        let config = Config {
            budget_bps: edge.config.upload_budget.0,
            first_peer: PeerId(range | given.clamp(1, PEERS_MAX - 1)),
            ..Config::default()
        };
        let seed = u64::from_be_bytes(keyfile::random());
        Self {
            shelf: edge.streams.shelf(&stream),
            cluster: Cluster::new(config, seed, Instant(0)),
            epoch: tokio::time::Instant::now(),
            members: HashMap::new(),
            fetches: JoinSet::new(),
            edge,
        }
    }

    /// Runs until it has been of no use for a while, or the edge is closed.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let (sender, mut steps) = mpsc::channel(STEPS_MAX);
        let mut begun = JoinSet::new();
        begun.spawn(parts::follow(self.shelf.clone(), sender));
        self.await_first_tables(&mut steps).await;
        let (closed, stop) = (self.edge.closed.clone(), self.edge.stop.clone());
        let (mut is_draining, mut useful) = (false, tokio::time::Instant::now());
        loop {
            self.act();
            let (wake_at, is_idle) = (self.wake_at(), self.members.is_empty());
            useful = if is_idle { useful } else { tokio::time::Instant::now() };
            tokio::select! {
                biased;
                () = closed.wait() => return self.leave_all(),
                () = stop.wait(), if !is_draining => {
                    is_draining = true;
                    self.handle(Input::Drain);
                }
                Some(step) = steps.recv() => self.on_step(step),
                Some(Ok((link, id, chunk))) = self.fetches.join_next() => self.handle(Input::Fetched(link, id, chunk)),
                () = tokio::time::sleep_until(wake_at) => self.handle(Input::Wake),
                event = events.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                // Whoever comes now finds this door closed, and another host behind the next.
                () = tokio::time::sleep_until(useful + LINGER), if is_idle => return,
            }
        }
    }

    /// Newcomers that came with the stream's first request are heard once there is something to tell them.
    async fn await_first_tables(&mut self, steps: &mut mpsc::Receiver<Step>) {
        let told = async {
            while let Some(Step::Tell(input)) = steps.recv().await {
                self.handle(input);
            }
        };
        let _ = tokio::time::timeout(FIRST_TABLES, told).await;
    }

    fn on_step(&mut self, step: Step) {
        if let Step::Tell(input) = step {
            self.handle(input);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => self.on_opened(*opened),
            Event::Frame(link, frame) => {
                if self.members.contains_key(&link) {
                    self.handle(Input::Frame(link, frame));
                }
            }
            Event::Left(link) => {
                if let Some(member) = self.members.get(&link) {
                    let unsent = member.line.unsent();
                    self.handle(Input::Unsent(link, unsent));
                }
            }
            Event::Closed(link) => self.lose(link),
        }
    }

    fn on_opened(&mut self, Opened { number: link, line, visit, locality }: Opened) {
        let ticket = visit.session().ticket();
        let (session, max_rate_bps, rejoins) = (ticket.session, ticket.max_rate, ticket.rejoins);
        self.members.insert(link, Member { line, visit });
        self.handle(Input::Opened { link, session, max_rate_bps, locality, rejoins });
    }

    fn lose(&mut self, link: LinkId) {
        if self.members.remove(&link).is_some() {
            self.handle(Input::Closed(link));
        }
    }

    fn handle(&mut self, input: Input<Bytes>) {
        let now = self.now();
        self.cluster.handle(now, input);
    }

    /// Does all the cluster wants.
    fn act(&mut self) {
        while let Some(output) = self.cluster.poll() {
            match output {
                Output::Send(link, frame) => self.send(link, &frame),
                Output::Fetch(link, id) => {
                    let shelf = self.shelf.clone();
                    self.fetches.spawn(async move { (link, id, parts::chunk(shelf, id).await) });
                }
                Output::Tables(link, from, count) => {
                    let tables = parts::tables(&self.shelf, from, count);
                    tables.into_iter().for_each(|table| self.send(link, &Frame::Table(table)));
                }
                Output::Close(link, bye) => self.close(link, bye),
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn send(&mut self, link: LinkId, frame: &Frame) {
        let Some(member) = self.members.get_mut(&link) else { return };
        let bytes = Bytes::from(frame.encode());
        let (all, media) = (bytes.len() as u64, payload_bytes(frame));
        if !member.line.send(bytes) {
            metrics::counter!("trellis_cluster_links_cut_total", "reason" => "slow").increment(1);
            return self.lose(link);
        }
        member.visit.sent(media, true);
        member.visit.sent(all - media, false);
    }

    /// Says good-bye; the link ends after that.
    fn close(&mut self, link: LinkId, bye: Bye) {
        self.send(link, &Frame::Bye(bye));
        self.members.remove(&link);
    }

    fn note(&mut self, event: ClusterEvent) {
        match event {
            ClusterEvent::Admitted(_, peer, _) => {
                self.edge.clusters.peers.fetch_max((peer.0 & (PEERS_MAX - 1)) + 1, Ordering::Relaxed);
                debug_assert_eq!(peer.0 >> PEER_BITS, self.edge.clusters.first_peer.0 >> PEER_BITS);
                metrics::counter!("trellis_cluster_admitted_total").increment(1);
            }
            ClusterEvent::Refused(_, bye) => {
                metrics::counter!("trellis_cluster_refused_total", "reason" => word(bye)).increment(1);
            }
            ClusterEvent::Banned(..) => metrics::counter!("trellis_cluster_banned_total").increment(1),
            ClusterEvent::Parole(..) | ClusterEvent::Left(..) => {}
        }
    }

    /// The edge is closed: who is still here goes to another one.
    fn leave_all(&mut self) {
        for link in self.members.keys().copied().collect::<Vec<_>>() {
            self.close(link, Bye::Moved);
        }
    }

    fn wake_at(&self) -> tokio::time::Instant {
        let at = self.cluster.wake_at().map(|at| self.epoch + Duration::from_micros(at.0));
        // A timer is no finer than a millisecond: the cluster is not woken more often.
        at.map_or_else(|| tokio::time::Instant::now() + LINGER, |at| at.max(tokio::time::Instant::now() + WAKE_GAP))
    }

    fn now(&self) -> Instant {
        Instant(self.epoch.elapsed().as_micros() as u64)
    }
}

/// Media in a frame.
fn payload_bytes(frame: &Frame) -> u64 {
    match frame {
        Frame::Chunk(chunk) => chunk.payload.len() as u64,
        _ => 0,
    }
}

/// A host without links ends after so long.
const LINGER: Duration = Duration::from_secs(30);
/// As long as players wait for the first tables of a stream that is fetched for its first viewer.
const FIRST_TABLES: Duration = Duration::from_secs(4);
const WAKE_GAP: Duration = Duration::from_millis(1);
const STEPS_MAX: usize = 4;
