//! The edge role: admits tickets, follows streams, serves viewers.
//!
//! It honours what the manager signed and never decides who may watch. Invariant: what it promises to sessions
//! never exceeds its upload budget, no faster do bytes leave but for a moment's burst, and what was promised to one
//! session waits for no other (`gate`).

mod beat;
mod budget;
mod cache;
mod cluster;
mod fetch;
mod follow;
mod gate;
mod meter;
mod promises;
mod session;
mod stun;
#[cfg(test)]
pub mod testing;
mod turns;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use trellis_core::trust::table::Authority;
use trellis_proto::{StreamId, Ticket};

use crate::client::ManagerClient;
use crate::clock::unix_ms;
use crate::config::EdgeConfig;
use crate::http::{Reply, Stop, error};
use crate::instance::Lease;
use crate::shelf::{Ask, MediaName, Shelf, at_hand, serve};

use cache::Cache;
use cluster::Clusters;
use follow::Streams;
use gate::Gate;
use meter::Sent;
use promises::Promises;
use session::{Refusal, Sessions};

pub use crate::locality::BadPrefixes;
use crate::locality::Prefixes;
pub use session::Visit;

/// What an edge has besides its configuration.
#[derive(Default)]
pub struct Beside {
    /// Where it answers STUN.
    stun: Option<UdpSocket>,
    /// What its operator knows of addresses.
    prefixes: Prefixes,
}

impl Beside {
    /// Of an edge whose listener is there.
    pub async fn open(config: &EdgeConfig, listener: SocketAddr) -> Result<Self, BadPrefixes> {
        let prefixes = config.prefixes.as_deref().map(Prefixes::load).transpose()?.unwrap_or_default();
        Ok(Self { stun: stun::bind(&config.stun_listen, listener).await, prefixes })
    }
}

/// The edge of one process.
pub struct Edge {
    config: EdgeConfig,
    lease: Lease,
    manager: ManagerClient,
    /// What tickets are checked with; unknown until the manager has answered once.
    tickets: RwLock<Option<Authority>>,
    sessions: Sessions,
    promises: Arc<Promises>,
    streams: Streams,
    clusters: Clusters,
    /// Where it answers STUN.
    stun_port: Option<u16>,
    gate: Arc<Gate>,
    sent: Sent,
    /// Nothing new begins.
    stop: Stop,
    /// Nothing goes on; thrown after the last answer.
    close: watch::Sender<bool>,
    closed: Stop,
    reporter: Mutex<Option<JoinHandle<()>>>,
}

impl Edge {
    /// Begins to report to the manager and to keep its cache in bounds.
    pub fn start(
        config: &EdgeConfig,
        lease: Lease,
        manager: ManagerClient,
        http: reqwest::Client,
        beside: Beside,
        stop: Stop,
    ) -> Arc<Self> {
        let cache = Cache::new(config.cache_bytes);
        let gate = Gate::new(config.upload_budget.0 / 8);
        let stun = beside.stun.map(Arc::new);
        if let Some(socket) = &stun {
            tokio::spawn(stun::serve(socket.clone(), stop.clone()));
        }
        let promises = Promises::new(config.upload_budget.0);
        let (close, closed) = Stop::new();
        let edge = Arc::new(Self {
            streams: Streams::new(manager.clone(), http, config.parent.clone(), cache, stop.clone()),
            sessions: Sessions::new(
                config.name().to_owned(),
                promises.clone(),
                Duration::from_secs(config.idle_s.into()),
            ),
            promises,
            clusters: Clusters::new(config.name(), unix_ms() / 1000, beside.prefixes),
            stun_port: stun.as_ref().and_then(|socket| Some(socket.local_addr().ok()?.port())),
            config: config.clone(),
            lease,
            manager,
            tickets: RwLock::default(),
            gate,
            sent: Sent::new(),
            stop,
            close,
            closed,
            reporter: Mutex::default(),
        });
        let reporter = tokio::spawn(beat::keep_reporting(edge.clone()));
        *edge.reporter.lock().unwrap_or_else(PoisonError::into_inner) = Some(reporter);
        edge
    }

    /// Can it serve? Only once it knows the manager's key.
    pub fn is_ready(&self) -> bool {
        self.tickets.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The manager said what tickets are signed with.
    fn learn(&self, authority: Authority) {
        let before = self.tickets.write().unwrap_or_else(PoisonError::into_inner).replace(authority);
        if before.is_none() {
            tracing::info!(edge = self.config.name(), "registered with the manager");
        }
    }

    /// Answers `/v/{ticket}/s/{stream}/…`.
    pub async fn serve_viewer(&self, ticket: &str, stream: &str, ask: Ask<'_>) -> Reply {
        // Between servers only: it would tell a viewer all tables for ever.
        if ask.name == "feed" {
            return error(StatusCode::NOT_FOUND, "not_found", "there is nothing of this name for viewers", None);
        }
        let keeps = ask.name != "state.json" && !is_look(&ask);
        let visit = match self.enter(ticket, stream, keeps) {
            Ok(visit) => visit,
            Err(refusal) => return refuse(refusal),
        };
        let (shelf, brief) = (self.streams.shelf(visit.session().stream()), ask.name.ends_with("/init.mp4"));
        let served = serve(&shelf, ask, &self.stop).await;
        if ask.method == http::Method::HEAD {
            return served.reply;
        }
        let meter = meter::Out::new(visit, self.gate.clone(), self.sent.of(served.media), served.media).briefly(brief);
        served.reply.map(|body| body.metered(Box::new(meter)))
    }

    /// A newer ticket of a viewer that is here. None: it is none of our manager's.
    fn renewed(&self, message: &[u8]) -> Option<Ticket> {
        self.tickets.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.ticket(message).ok()
    }

    /// Checks a ticket.
    fn enter(&self, ticket: &str, stream: &str, keeps: bool) -> Result<Visit, Refusal> {
        match &*self.tickets.read().unwrap_or_else(PoisonError::into_inner) {
            Some(authority) => self.sessions.enter(ticket, stream, keeps, authority),
            None => Err(Refusal::Starting),
        }
    }

    /// The media [`Edge::serve_viewer`] would answer a plain GET with, when they are at hand and may leave now; admitted,
    /// booked and counted in the same way. Their header fields are written to `head`.
    pub fn at_once(
        &self,
        ticket: &str,
        stream: &str,
        name: &str,
        now_ms: u64,
        head: &mut Vec<u8>,
    ) -> Option<(Bytes, Visit)> {
        let name = MediaName::parse(name)?;
        let visit = {
            let tickets = self.tickets.read().unwrap_or_else(PoisonError::into_inner);
            self.sessions.enter_at(now_ms, ticket, stream, true, tickets.as_ref()?).ok()?
        };
        let at_hand = |shelf: &Arc<Shelf>| at_hand(shelf, &name, now_ms, head);
        let media = self.streams.known(visit.session().stream(), now_ms, at_hand)??;
        meter::pass(&visit, &self.gate, &self.sent, media.len()).then_some((media, visit))
    }

    /// Answers `/s/{stream}/…` for a child edge that shows the server key.
    pub async fn serve_edge(&self, stream: &str, ask: Ask<'_>, headers: &HeaderMap) -> Reply {
        if !self.manager.key().admits(headers) {
            return error(
                StatusCode::UNAUTHORIZED,
                "server_key",
                "this path is for edges; players use the URL a join gives them",
                None,
            );
        }
        match stream.parse::<StreamId>() {
            Ok(stream) => serve(&self.streams.shelf(&stream), ask, &self.stop).await.reply,
            Err(why) => error(StatusCode::NOT_FOUND, "no_such_stream", why.to_string(), None),
        }
    }

    /// The shelves it follows.
    pub fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.streams.shelves()
    }

    /// Ends all sessions and tells the manager what they used.
    pub async fn close(&self) {
        self.sessions.end_all();
        self.close.send_replace(true);
        let reporter = self.reporter.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reporter) = reporter {
            // It ends by itself; its panics have been logged.
            let _ = reporter.await;
        }
        beat::last(self).await;
    }
}

/// An engine has to know what there is before it can greet its edge, and needs no place for that: its cluster gives it one,
/// or does not. Whoever only says that it is one (`?engine`) gets no media by it.
fn is_look(ask: &Ask<'_>) -> bool {
    let says_so = ask.query.is_some_and(|query| query.split('&').any(|word| word == "engine"));
    says_so && (ask.name.ends_with(".m3u8") || ask.name.ends_with("/init.mp4"))
}

fn refuse(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Ticket => {
            error(StatusCode::FORBIDDEN, "bad_ticket", "this address is not valid here; join the stream again", None)
        }
        Refusal::Expired => {
            error(StatusCode::FORBIDDEN, "ticket_expired", "the viewer's time is over; join the stream again", None)
        }
        Refusal::Starting => {
            error(StatusCode::SERVICE_UNAVAILABLE, "starting", "this edge has not reached its manager yet", Some(1))
        }
        Refusal::NoRoom => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_capacity",
            "this edge is full; join the stream again to be sent elsewhere",
            Some(2),
        ),
        Refusal::TooMany => error(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "this viewer has too many requests at a time; let some of them finish",
            Some(1),
        ),
    }
}
