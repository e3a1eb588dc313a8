//! Viewers' links: a WebSocket each, and for every stream that has one the cluster that lets them in and serves them.
//!
//! The hallway. `upgrade` turns a request into a WebSocket, `link` carries frames, `host` runs the cluster of a stream
//! (`trellis_core::cluster` decides everything), `parts` brings what the shelf holds to it, `policy` says
//! what a viewer may be to others, `signals` who may talk to whom, `instrument` what the model
//! makes of it all, `gauges` shows that. Invariant: a link that does not take what it is sent is closed; nothing here grows with what anybody sends.

mod gauges;
mod host;
mod instrument;
mod link;
mod member;
mod parts;
mod policy;
mod signals;
#[cfg(test)]
mod tests;
mod upgrade;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};
use trellis_core::cluster::{LinkId, Stats};
use trellis_proto::StreamId;
use trellis_proto::frame::PeerId;

use super::{Edge, refuse};
use crate::cluster_api::{MODELS_MAX, StreamModel};
use crate::http::{Caller, Reply, error};
use crate::locality::Prefixes;
use host::{Event, Host, Opened};

/// All clusters of an edge.
pub struct Clusters {
    /// What peers of this edge are numbered from.
    first_peer: PeerId,
    /// Numbers given, over all clusters there were: a later cluster of a stream gives none again.
    peers: AtomicU32,
    links: AtomicU64,
    prefixes: Prefixes,
    open: Mutex<HashMap<StreamId, Open>>,
    /// Places of streams of which is told what the model says.
    models: Arc<Semaphore>,
    /// Somebody has looked around.
    #[cfg(test)]
    looked: tokio::sync::Notify,
}

/// A stream's host, seen from outside.
struct Open {
    events: mpsc::Sender<Event>,
    standing: Arc<Mutex<Standing>>,
}

/// What a host says of its cluster.
#[derive(Debug, Clone, Default)]
struct Standing {
    stats: Stats,
    /// How fast leaving viewers give room back, bit/s per second; 0: not known.
    relief_bps2: u64,
    model: Option<StreamModel>,
}

impl Clusters {
    /// Of the edge of this name. `now_s` keeps the numbers of one that restarts apart from those it gave before.
    pub fn new(edge: &str, now_s: u64, prefixes: Prefixes) -> Self {
        let (links, open) = Default::default();
        let peers = AtomicU32::new((now_s * PEERS_PER_S % u64::from(PEERS_MAX / 2)) as u32);
        Self {
            first_peer: PeerId(range_of(edge) << PEER_BITS),
            peers,
            links,
            open,
            prefixes,
            models: Arc::new(Semaphore::new(MODELS_MAX)),
            #[cfg(test)]
            looked: tokio::sync::Notify::new(),
        }
    }

    /// What the next cluster's peers are numbered from: where all others have come to, and near the end of the range from its
    /// beginning again.
    fn next_peer(&self) -> PeerId {
        let given = self.peers.load(Ordering::Relaxed);
        PeerId(self.first_peer.0 | if given < PEERS_MAX / 4 * 3 { given.max(1) } else { 1 })
    }

    /// A peer was let in under this number.
    fn note_peer(&self, peer: PeerId) {
        self.peers.fetch_max((peer.0 & (PEERS_MAX - 1)) + 1, Ordering::Relaxed);
    }

    /// How all clusters together stand.
    pub fn standing(&self) -> Stats {
        self.living().iter().map(|standing| standing.stats).fold(Stats::default(), sum)
    }

    /// How fast their leaving viewers give room back, bit/s per second, and what the model says of each.
    pub fn models(&self) -> (u64, Vec<StreamModel>) {
        let living = self.living();
        let relief_bps2 = living.iter().map(|standing| standing.relief_bps2).fold(0, u64::saturating_add);
        (relief_bps2, living.into_iter().filter_map(|standing| standing.model).take(MODELS_MAX).collect())
    }

    fn living(&self) -> Vec<Standing> {
        let open = self.open();
        let living = open.values().filter(|open| !open.events.is_closed());
        living.map(|open| open.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<StreamId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edge {
    /// Answers `GET /v/{ticket}/s/{stream}/link`: a WebSocket, if the ticket is good.
    pub async fn open_link(
        self: &Arc<Self>,
        ticket: &str,
        stream: &str,
        mut request: Request<Incoming>,
        caller: Caller,
    ) -> Reply {
        let visit = match self.enter(ticket, stream, false) {
            Ok(visit) => visit,
            Err(refusal) => return refuse(refusal),
        };
        if !policy::links(visit.session().ticket()) {
            let why = "the operator wants no links between viewers of this stream; play it over HTTP";
            return error(StatusCode::FORBIDDEN, "p2p_off", why, None);
        }
        let Some((reply, upgraded)) = upgrade::accept(&mut request) else { return upgrade::required() };
        // It was checked.
        let shown = Bytes::from(URL_SAFE_NO_PAD.decode(ticket).unwrap_or_default());
        let number = LinkId(self.clusters.links.fetch_add(1, Ordering::Relaxed));
        let (stream, locality) = (visit.session().stream().clone(), self.clusters.prefixes.locality(caller.address()));
        let (line, link) = link::pair(number, shown);
        let edge = self.clone();
        tokio::spawn(async move {
            let Some(socket) = upgrade::socket(upgraded).await else { return };
            let events = edge.host_of(&stream, Opened { number, line, visit, locality }).await;
            if let Some(events) = events {
                link.run(socket, events).await;
            }
            drop(caller);
        });
        reply
    }

    /// Hands a new link to its stream's host, which is started if there is none. None: the edge stops.
    async fn host_of(self: &Arc<Self>, stream: &StreamId, opened: Opened) -> Option<mpsc::Sender<Event>> {
        let mut opened = Event::Opened(Box::new(opened));
        // One that is about to end takes nobody any more: then there is another.
        for _ in 0..HOSTS_TRIED {
            let events = self.events_of(stream)?;
            match events.send(opened).await {
                Ok(()) => return Some(events),
                Err(mpsc::error::SendError(back)) => opened = back,
            }
        }
        None
    }

    fn events_of(self: &Arc<Self>, stream: &StreamId) -> Option<mpsc::Sender<Event>> {
        if self.closed.is_set() {
            return None;
        }
        let mut open = self.clusters.open();
        if let Some(open) = open.get(stream).filter(|open| !open.events.is_closed()) {
            return Some(open.events.clone());
        }
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        open.retain(|_, open| !open.events.is_closed());
        let standing = Arc::<Mutex<Standing>>::default();
        open.insert(stream.clone(), Open { events: events.clone(), standing: standing.clone() });
        drop(open);
        let (edge, stream) = (self.clone(), stream.clone());
        let host = tokio::spawn(Host::open(edge, stream.clone(), standing).run(receiver));
        tokio::spawn(async move {
            // A host that panics is our bug; its links end with it, and viewers come back to a new one.
            if let Err(error) = host.await {
                tracing::error!(%stream, %error, "a cluster broke off; its viewers begin again");
                metrics::counter!("trellis_cluster_failures_total").increment(1);
            }
        });
        Some(events)
    }
}

/// What is asked of several clusters together.
fn sum(all: Stats, one: Stats) -> Stats {
    Stats {
        viewers: all.viewers + one.viewers,
        supporters: all.supporters + one.supporters,
        peers_bps: all.peers_bps + one.peers_bps,
        peers_held_bps: all.peers_held_bps + one.peers_held_bps,
        edge_held_bps: all.edge_held_bps + one.edge_held_bps,
        growth_bps2: all.growth_bps2 + one.growth_bps2,
        ..all
    }
}

/// An edge's range of peer numbers, by its name. 0 is not given, for 0 is the edge itself.
fn range_of(edge: &str) -> u32 {
    let hash = edge.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 12 ^ hash >> 24) % RANGES
}

/// Twelve bits for the edge, twenty for its peers.
const PEER_BITS: u32 = 20;
const RANGES: u32 = 1 << (32 - PEER_BITS);
const PEERS_MAX: u32 = 1 << PEER_BITS;
/// An edge that restarts counts on from where the clock stands: it numbers apart for nine hours, and then again.
const PEERS_PER_S: u64 = 16;
/// What links have said and a host has not looked at yet: beyond that they are read no further.
const EVENTS_MAX: usize = 1_024;
const HOSTS_TRIED: usize = 3;
