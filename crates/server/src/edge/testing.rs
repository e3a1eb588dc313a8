//! What an edge finds around it, for tests: a manager and origins on one loopback listener.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;
use trellis_core::trust::chunk::{describe, init_hash};
use trellis_core::trust::table::{Authority, sealed};
use trellis_proto::{
    Catalogue, Descriptor, EndReason, Layer, Media, Mode, Rendition, RunEnd, RunId, StreamId, Table, TrackPart,
};

use super::cache::Cache;
use super::follow::Streams;
pub use super::session::tests::ticket;
use super::{Beside, Edge};
use crate::client::ManagerClient;
use crate::clock::unix_ms;
use crate::cluster_api::{EdgeBeat, EdgeBeatReply, StreamSource};
use crate::config::EdgeConfig;
use crate::http::{Body, Caller, Handle, Limits, Listener, Plain, Reply, Stop, error, json};
use crate::instance::Lease;
use crate::secret::Secret;
use crate::shelf::{Ask, Item, Key, Object, Shelf, serve};

/// A manager that says what it is told to, and origins.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    base: String,
    state: Mutex<State>,
    ticket_key: String,
    /// Beats, as they came.
    beats: watch::Sender<Vec<EdgeBeat>>,
    /// Media requests that are being answered by silence.
    silent: watch::Sender<usize>,
    /// Ends with the test.
    _stop: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    /// What the manager answers about a stream; none: 503, as to everything else.
    sources: HashMap<String, StreamSource>,
    origins: HashMap<String, Arc<Shelf>>,
    keys: HashMap<String, String>,
    feeds: Option<(watch::Sender<bool>, Stop)>,
    /// At this origin media requests get no byte.
    mute: Option<String>,
    /// So many beats are refused before one is taken.
    refuse: usize,
}

/// One origin's publisher.
pub struct Publisher {
    pair: Ed25519KeyPair,
    shelf: Arc<Shelf>,
    run: RunId,
    parts: u64,
}

/// Every part has these bytes.
pub const PART: &[u8] = &[7; 3_000];

impl World {
    /// Nothing is published yet.
    pub async fn start() -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None, Limits::default()).await.unwrap();
        let (switch, stop) = Stop::new();
        let world = Self(Arc::new(Inner {
            base: format!("http://{}", listener.address().unwrap()),
            state: Mutex::default(),
            ticket_key: hex::encode(key(TICKET_SEED).public_key()),
            beats: watch::Sender::default(),
            silent: watch::Sender::default(),
            _stop: switch,
        }));
        tokio::spawn(listener.serve(Arc::new(Asked(Arc::downgrade(&world.0))), stop));
        world
    }

    /// The stream everything is about.
    pub fn stream() -> StreamId {
        "demo".parse().unwrap()
    }

    /// What the manager's tickets are signed with.
    pub fn ticket_pair() -> Ed25519KeyPair {
        key(TICKET_SEED)
    }

    /// And checked with.
    pub fn ticket_authority() -> Authority {
        Authority::new(key(TICKET_SEED).public_key().as_ref().try_into().unwrap()).unwrap()
    }

    /// An origin with a key of its own.
    pub fn origin(&self, name: &str, seed: u8) -> Publisher {
        self.origin_of(&Self::stream(), name, seed)
    }

    /// The same, of another stream.
    pub fn origin_of(&self, stream: &StreamId, name: &str, seed: u8) -> Publisher {
        let shelf = Shelf::alone(stream.as_str());
        shelf.set_complete();
        let pair = key(seed);
        let mut state = self.lock();
        state.keys.insert(name.into(), hex::encode(pair.public_key()));
        state.origins.insert(name.into(), shelf.clone());
        Publisher { pair, shelf, run: RunId(0), parts: 0 }
    }

    /// The manager names this origin from now on.
    pub fn name(&self, origin: &str) {
        self.name_for(&Self::stream(), origin);
    }

    /// For another stream.
    pub fn name_for(&self, stream: &StreamId, origin: &str) {
        let mut state = self.lock();
        let public_key = state.keys[origin].clone();
        let source = StreamSource { media_url: format!("{}/{origin}", self.0.base), public_key };
        state.sources.insert(stream.to_string(), source);
    }

    /// The manager answers no more.
    pub fn lose_manager(&self) {
        self.lock().sources.clear();
    }

    /// Ends all feeds under way.
    pub fn break_feeds(&self) {
        self.lock().feeds = None;
    }

    /// From now on media requests to this origin get no byte.
    pub fn mute(&self, origin: &str) {
        self.lock().mute = Some(origin.to_owned());
    }

    /// And now they do again.
    pub fn speak(&self) {
        self.lock().mute = None;
    }

    /// How many of them wait.
    pub fn silent(&self) -> watch::Receiver<usize> {
        self.0.silent.subscribe()
    }

    /// Refuses the next beats.
    pub fn refuse_beats(&self, count: usize) {
        self.lock().refuse = count;
    }

    /// The beats taken.
    pub fn beats(&self) -> watch::Receiver<Vec<EdgeBeat>> {
        self.0.beats.subscribe()
    }

    /// A client of the manager.
    pub fn manager(&self) -> ManagerClient {
        ManagerClient::new(reqwest::Client::new(), &self.0.base, Secret::new("a server key"))
    }

    /// An edge.
    pub fn edge(&self, config: &EdgeConfig, stop: Stop) -> Arc<Edge> {
        let lease = Lease::open(tempfile::TempDir::new().unwrap().path(), "edge", config.name()).unwrap();
        Edge::start(config, lease, self.manager(), reqwest::Client::new(), Beside::default(), stop)
    }

    /// An edge's streams.
    pub fn streams(&self) -> Streams {
        // The switch is leaked: tests end with their process.
        let (switch, stop) = Stop::new();
        std::mem::forget(switch);
        Streams::new(self.manager(), reqwest::Client::new(), None, Cache::new(1 << 30), stop)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self, body: &[u8]) -> Reply {
        let refused = {
            let mut state = self.lock();
            let refused = state.refuse > 0;
            state.refuse = state.refuse.saturating_sub(1);
            refused
        };
        if refused {
            return away();
        }
        let beat: EdgeBeat = serde_json::from_slice(body).unwrap();
        self.beats.send_modify(|beats| beats.push(beat));
        json(StatusCode::OK, &EdgeBeatReply { ticket_key: self.ticket_key.clone() })
    }

    async fn origin(&self, path: &str, request: &Request<Incoming>) -> Reply {
        let (origin, name) = path.split_once("/s/").unwrap();
        let (_, name) = name.split_once('/').unwrap();
        let (shelf, stop, mute) = {
            let mut state = self.lock();
            let stop = state.feeds.get_or_insert_with(Stop::new).1.clone();
            (state.origins[origin].clone(), stop, state.mute.as_deref() == Some(origin) && name.contains('/'))
        };
        if mute {
            self.silent.send_modify(|count| *count += 1);
            return Reply::new(Body::stream(Silence(self.silent.clone()), Some(PART.len() as u64)));
        }
        let ask = Ask { method: request.method(), name, query: request.uri().query(), headers: request.headers() };
        serve(&shelf, ask, &stop).await.reply
    }
}

struct Asked(std::sync::Weak<Inner>);

impl Handle for Asked {
    type Guard = ();

    fn at_once(&self, _: &Plain<'_>, _: u64, _: &mut Vec<u8>) -> Option<(Bytes, ())> {
        None
    }

    async fn handle(&self, request: Request<Incoming>, _: Caller) -> Reply {
        let Some(world) = self.0.upgrade() else { return away() };
        let path = request.uri().path().trim_start_matches('/').to_owned();
        match path.strip_prefix("v1/cluster/") {
            Some("edges") => {
                let body = axum::body::to_bytes(axum::body::Body::new(request.into_body()), 1 << 24).await.unwrap();
                world.beat(&body)
            }
            Some(asked) => match asked.split('/').find_map(|step| world.lock().sources.get(step).cloned()) {
                Some(source) => json(StatusCode::OK, &source),
                None => away(),
            },
            None => world.origin(&path, &request).await,
        }
    }
}

/// A body that never says anything and notes when nobody listens any more.
struct Silence(watch::Sender<usize>);

impl futures_util::Stream for Silence {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Pending
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Publisher {
    /// Begins a run of one rendition, in segments of six parts.
    pub fn publish(&mut self, run: u64) {
        self.publish_as(run, Mode::Live);
    }

    /// The same, live or as a recording.
    pub fn publish_as(&mut self, run: u64, mode: Mode) {
        (self.run, self.parts) = (RunId(run), 0);
        let init = Bytes::from_static(b"init");
        let catalogue = Catalogue {
            stream: self.shelf.stream().clone(),
            run: self.run,
            key: self.pair.public_key().as_ref().try_into().unwrap(),
            mode,
            started_ms: unix_ms() + run,
            first_msn: 1_000 * run,
            discontinuity: 0,
            part_target_us: 333_334,
            segment_target_s: 2,
            window_s: 60,
            renditions: vec![Rendition {
                media: Media::Video { width: 640, height: 360, frame_rate_millihertz: 30_000 },
                codecs: "avc1.64001f".into(),
                language: String::new(),
                bandwidth: 400_000,
                init_size: init.len() as u32,
                init_hash: init_hash(&init),
                layers: vec![Layer { substreams: 1 }],
            }],
        };
        self.shelf.put(Key { run: self.run, rendition: 0, item: Item::Init }, Object::ready(init));
        self.say(catalogue.encode(), Table::Catalogue(catalogue));
    }

    /// The next part.
    pub fn part(&mut self) {
        let part = self.parts;
        let descriptor = Descriptor {
            run: self.run,
            part,
            msn: 1_000 * self.run.0 + part / 6,
            index: (part % 6) as u16,
            independent: part.is_multiple_of(6),
            last_of_segment: part % 6 == 5,
            discontinuity: false,
            start_us: part * 333_333,
            tracks: vec![TrackPart { duration_us: 333_333, layers: vec![describe(PART, 1)] }],
        };
        self.parts += 1;
        let key = Key { run: self.run, rendition: 0, item: Item::Part(part) };
        self.shelf.put(key, Object::ready(Bytes::from_static(PART)));
        self.say(descriptor.encode(), Table::Descriptor(descriptor));
    }

    /// The run is over.
    pub fn end(&mut self, reason: EndReason) {
        let end = RunEnd { run: self.run, parts: self.parts, reason };
        self.say(end.encode(), Table::RunEnd(end));
    }

    fn say(&self, body: Vec<u8>, table: Table) {
        let signature = self.pair.sign(&body);
        let signed = sealed(body, signature.as_ref().try_into().unwrap());
        self.shelf.apply(table, signed.into()).unwrap();
    }
}

impl Shelf {
    /// Resolves when `good` holds.
    ///
    /// # Panics
    /// When it does not within ten seconds.
    pub async fn until(self: &Arc<Self>, good: impl Fn(&Arc<Self>) -> bool) {
        let waited = async {
            while !good(self) {
                // Whether tables come in is no change of theirs.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waited).await.expect("the shelf comes to hold what is awaited");
    }
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn away() -> Reply {
    error(StatusCode::SERVICE_UNAVAILABLE, "away", "nobody is here", None)
}

const TICKET_SEED: u8 = 99;
