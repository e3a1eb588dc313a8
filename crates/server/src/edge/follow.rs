//! Which streams does this edge follow, and from whom? A stream is followed from its first request until nobody has
//! asked for a while; its feed brings every signed table the moment the origin makes it. Where the stream is, the
//! manager knows: it is asked whenever the feed breaks, and every now and then while the stream is not live.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use trellis_core::trust::table::{Authority, Distrust};
use trellis_media::timeline::{Timeline, TimelineError};
use trellis_proto::{RunId, StreamId, Table};

use super::cache::Cache;
use super::fetch::Upstream;
use super::turns::Turns;
use crate::client::{ClientError, ManagerClient};
use crate::clock::unix_ms;
use crate::cluster_api::{StreamSource, StreamState};
use crate::http::Stop;
use crate::shelf::{FRAME_BYTES_MAX, KEEP_ALIVE, Shelf};

/// All streams of an edge.
pub struct Streams(Arc<Inner>);

/// Shared with the tasks that follow and fetch.
pub struct Inner {
    manager: ManagerClient,
    http: reqwest::Client,
    parent: Option<String>,
    cache: Cache,
    /// Turns at the upstreams.
    turns: Turns,
    /// Turns at checking many tables at once.
    checks: Semaphore,
    stop: Stop,
    followed: RwLock<HashMap<StreamId, Followed>>,
    this: Weak<Inner>,
}

struct Followed {
    shelf: Arc<Shelf>,
    upstream: Arc<Mutex<Option<String>>>,
    /// Seconds since the epoch: written by every request, so no lock.
    asked_s: AtomicU64,
}

/// Why following has to start over.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Manager(#[from] ClientError),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the upstream answered {0}")]
    Status(http::StatusCode),
    #[error("the feed fell silent")]
    Silent,
    #[error("the feed ended")]
    Over,
    #[error("the stream is published elsewhere")]
    Moved,
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    #[error("a table is {0}")]
    Distrusted(#[from] Distrust),
    #[error("a table does not fit: {0}")]
    Misfit(#[from] TimelineError),
    #[error("the manager named a key that is none")]
    Key,
    #[error("checking tables broke off")]
    Unchecked,
}

impl Streams {
    /// None followed yet.
    pub fn new(
        manager: ManagerClient,
        http: reqwest::Client,
        parent: Option<String>,
        cache: Cache,
        stop: Stop,
    ) -> Self {
        let parent = parent.map(|url| url.trim_end_matches('/').to_owned());
        Self(Arc::new_cyclic(|this| Inner {
            manager,
            http,
            parent,
            cache,
            turns: Turns::new(),
            checks: Semaphore::new(checks_max()),
            stop,
            followed: RwLock::default(),
            this: this.clone(),
        }))
    }

    /// The shelf of a stream, followed from now on if it was not.
    pub fn shelf(&self, stream: &StreamId) -> Arc<Shelf> {
        if let Some(shelf) = self.known(stream, unix_ms(), Arc::clone) {
            return shelf;
        }
        let mut map = self.0.followed.write().unwrap_or_else(PoisonError::into_inner);
        map.entry(stream.clone()).or_insert_with(|| self.0.follow(stream)).shelf.clone()
    }

    /// Looks at the shelf of a stream that is followed already.
    pub fn known<T>(&self, stream: &StreamId, now_ms: u64, look: impl FnOnce(&Arc<Shelf>) -> T) -> Option<T> {
        let map = self.0.followed.read().unwrap_or_else(PoisonError::into_inner);
        let followed = map.get(stream)?;
        followed.touch(now_ms);
        Some(look(&followed.shelf))
    }

    /// Every shelf.
    pub fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.0.shelves()
    }

    /// Forgets streams nobody asks for, and media beyond the bound.
    pub fn sweep(&self) {
        self.0
            .followed
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, followed| followed.asked_within(LINGER));
        self.0.sweep();
    }
}

impl Followed {
    fn touch(&self, now_ms: u64) {
        self.asked_s.store(now_ms / 1000, Ordering::Relaxed);
    }

    fn asked_within(&self, time: Duration) -> bool {
        let quiet_s = (unix_ms() / 1000).saturating_sub(self.asked_s.load(Ordering::Relaxed));
        quiet_s < time.as_secs() || Arc::strong_count(&self.shelf) > SHELF_OWNERS
    }
}

impl Inner {
    /// Turns at the upstreams.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// The bound on memory.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Enforces it.
    pub fn sweep(&self) {
        let bytes = self.cache.sweep(&self.shelves());
        metrics::gauge!("trellis_edge_cache_bytes").set(bytes as f64);
    }

    /// The stream's upstream.
    pub fn upstream(&self, stream: &StreamId) -> Option<String> {
        let map = self.followed.read().unwrap_or_else(PoisonError::into_inner);
        map.get(stream)?.upstream.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A request to it.
    pub fn get(&self, base: &str, stream: &StreamId, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{base}/s/{stream}/{path}")).bearer_auth(self.manager.key().expose())
    }

    fn shelves(&self) -> Vec<Arc<Shelf>> {
        self.followed.read().unwrap_or_else(PoisonError::into_inner).values().map(|f| f.shelf.clone()).collect()
    }

    fn follow(&self, stream: &StreamId) -> Followed {
        let timeline = Timeline::new(stream.clone());
        let shelf = Shelf::new(timeline, stream.clone(), Box::new(Upstream(self.this.clone())));
        let followed = Followed { shelf, upstream: Arc::default(), asked_s: AtomicU64::new(unix_ms() / 1000) };
        if let Some(inner) = self.this.upgrade() {
            let (shelf, upstream) = (Arc::downgrade(&followed.shelf), followed.upstream.clone());
            tokio::spawn(Follower { inner, stream: stream.clone(), shelf, upstream, known: None }.run());
        }
        followed
    }
}

/// One stream being followed.
struct Follower {
    inner: Arc<Inner>,
    stream: StreamId,
    shelf: Weak<Shelf>,
    upstream: Arc<Mutex<Option<String>>>,
    /// Where it was last: it is followed there while the manager cannot be asked.
    known: Option<StreamSource>,
}

impl Follower {
    /// Follows until the shelf is forgotten or the server stops.
    async fn run(mut self) {
        let stop = self.inner.stop.clone();
        let mut pause = RETRY_MIN;
        while self.shelf.strong_count() > 0 {
            let began = Instant::now();
            let outcome = tokio::select! {
                () = stop.wait() => return,
                outcome = self.follow_once() => outcome,
            };
            let stream = &self.stream;
            match outcome {
                Ok(()) => return,
                Err(Lost::Moved) => {
                    tracing::info!(%stream, "the stream is published anew; following it there");
                    continue;
                }
                Err(Lost::Manager(ClientError::Refused { status: 404, .. })) => {
                    tracing::debug!(%stream, "no origin has this stream now")
                }
                Err(error) => tracing::warn!(%stream, %error, "following is interrupted; trying on"),
            }
            if let Some(shelf) = self.shelf.upgrade() {
                shelf.set_stale(true);
            }
            pause = if began.elapsed() > RETRY_MAX { RETRY_MIN } else { (pause * 2).min(RETRY_MAX) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Ok when the shelf is gone.
    async fn follow_once(&mut self) -> Result<(), Lost> {
        let source = self.find().await?;
        let mut key = [0; 32];
        hex::decode_to_slice(&source.public_key, &mut key).map_err(|_| Lost::Key)?;
        let authority = Authority::new(&key).ok_or(Lost::Key)?;
        let base = self.inner.parent.clone().unwrap_or_else(|| source.media_url.trim_end_matches('/').to_owned());
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = Some(base.clone());
        tokio::select! {
            outcome = self.read(&base, &authority) => outcome,
            () = self.moved(&source) => Err(Lost::Moved),
        }
    }

    /// Where the manager says it is. Only its word that nobody has the stream takes back what it said before.
    async fn find(&mut self) -> Result<StreamSource, Lost> {
        match (self.inner.manager.source(self.stream.as_str()).await, &self.known) {
            (Ok(source), _) => {
                self.known = Some(source.clone());
                Ok(source)
            }
            (Err(error @ ClientError::Refused { status: 404, .. }), _) | (Err(error), None) => Err(error.into()),
            (Err(_), Some(known)) => Ok(known.clone()),
        }
    }

    /// Resolves when the manager names another source than the one followed. Asked while nothing new comes from there:
    /// a stream that is live is where it is.
    async fn moved(&self, followed: &StreamSource) {
        loop {
            let state = self.shelf.upgrade().map(|shelf| shelf.state());
            tokio::time::sleep(if state == Some(StreamState::Vod) { LOOK_VOD } else { LOOK }).await;
            if state != Some(StreamState::Live)
                && self.inner.manager.source(self.stream.as_str()).await.is_ok_and(|source| source != *followed)
            {
                return;
            }
        }
    }

    async fn read(&self, base: &str, authority: &Authority) -> Result<(), Lost> {
        let after = self.shelf.upgrade().and_then(|shelf| position(&shelf));
        let path = after.map_or("feed".into(), |(run, part)| format!("feed?after={run}.{part}"));
        let asked = self.inner.get(base, &self.stream, &path).send();
        let answered = tokio::time::timeout(KEEP_ALIVE * 3, asked).await.map_err(|_| Lost::Silent)?;
        let mut response = answered.map_err(reqwest::Error::without_url)?;
        if response.status() != http::StatusCode::OK {
            return Err(Lost::Status(response.status()));
        }
        let mut buffer = BytesMut::new();
        loop {
            let piece = tokio::time::timeout(KEEP_ALIVE * 3, response.chunk()).await.map_err(|_| Lost::Silent)?;
            buffer.extend_from_slice(&piece.map_err(reqwest::Error::without_url)?.ok_or(Lost::Over)?);
            let mut messages = Vec::new();
            while let Some(message) = message(&mut buffer)? {
                messages.push(message);
            }
            let tables = self.check(messages, authority).await?;
            let Some(shelf) = self.shelf.upgrade() else { return Ok(()) };
            shelf.set_stale(false);
            for (table, message) in tables {
                match table {
                    Some(table) => believe(&shelf, table, message)?,
                    None => shelf.set_complete(),
                }
            }
        }
    }

    /// Believes messages; none is made of one that is empty. A signature takes as long to check as many requests to
    /// answer, and a film has tens of thousands: what comes in bulk is checked where it keeps nobody waiting, what comes
    /// as it is made at once.
    async fn check(&self, messages: Vec<Bytes>, authority: &Authority) -> Result<Vec<Checked>, Lost> {
        if messages.len() <= CHECKED_AT_ONCE {
            return Ok(checked(messages, authority)?);
        }
        // Never closed.
        let _turn = self.inner.checks.acquire().await.map_err(|_| Lost::Unchecked)?;
        let authority = authority.clone();
        let checking = tokio::task::spawn_blocking(move || checked(messages, &authority));
        Ok(checking.await.map_err(|_| Lost::Unchecked)??)
    }
}

/// A message, and the table it is.
type Checked = (Option<Table>, Bytes);

fn checked(messages: Vec<Bytes>, authority: &Authority) -> Result<Vec<Checked>, Distrust> {
    let table = |message: &Bytes| (!message.is_empty()).then(|| authority.table(message)).transpose();
    messages.into_iter().map(|message| Ok((table(&message)?, message))).collect()
}

/// Half of the processors: the other half answers viewers.
fn checks_max() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2))
}

fn believe(shelf: &Shelf, table: Table, message: Bytes) -> Result<(), Lost> {
    match shelf.apply(table, message) {
        // Known from before the interruption, or dropped from the window meanwhile.
        Err(TimelineError::RunOver(_)) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The next message of a feed, once it is complete. An empty one says that nothing more is known upstream.
fn message(buffer: &mut BytesMut) -> Result<Option<Bytes>, Lost> {
    let Some(len) = buffer.first_chunk::<4>().map(|len| u32::from_be_bytes(*len) as usize) else {
        return Ok(None);
    };
    if len > FRAME_BYTES_MAX {
        return Err(Lost::TooLong(len));
    }
    if buffer.len() < 4 + len {
        return Ok(None);
    }
    Ok(Some(buffer.split_to(4 + len).freeze().slice(4..)))
}

/// The last part we have, to go on from there.
fn position(shelf: &Shelf) -> Option<(RunId, u64)> {
    shelf.look(Timeline::newest_part)
}

/// Messages that are checked between two requests: a live stream's next ones, a fifth of a millisecond.
const CHECKED_AT_ONCE: usize = 4;
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A stream that is not live may start again elsewhere: then it is found there about as fast as its page looks.
const LOOK: Duration = Duration::from_secs(2);
/// A recording stays where it is, as a rule, and there may be thousands.
const LOOK_VOD: Duration = Duration::from_secs(30);
/// A stream is followed this long after the last request.
const LINGER: Duration = Duration::from_secs(60);
/// The map itself; more owners are answers in flight.
const SHELF_OWNERS: usize = 1;

#[cfg(test)]
mod tests {
    use trellis_proto::EndReason;

    use super::super::testing::World;
    use super::*;

    #[tokio::test]
    async fn a_stream_published_anew_at_another_origin_is_followed_there() {
        let world = World::start().await;
        let (mut first, mut second) = (world.origin("a", 1), world.origin("b", 2));
        first.publish(1);
        first.part();
        first.end(EndReason::Ended);
        world.name("a");
        let streams = world.streams();
        let shelf = streams.shelf(&World::stream());
        shelf.until(|shelf| shelf.state() == StreamState::Ended).await;
        // The feed of what has ended goes on and says nothing.
        second.publish(2);
        second.part();
        world.name("b");
        shelf.until(|shelf| shelf.state() == StreamState::Live).await;
        assert_eq!(position(&shelf), Some((RunId(2), 0)));
        assert_eq!(shelf.look(|timeline| timeline.catalogue(RunId(1)).cloned()), None, "another time line");
    }

    #[tokio::test]
    async fn a_feed_that_breaks_while_the_manager_is_away_is_taken_up_again() {
        let world = World::start().await;
        let mut origin = world.origin("a", 1);
        origin.publish(1);
        origin.part();
        world.name("a");
        let streams = world.streams();
        let shelf = streams.shelf(&World::stream());
        shelf.until(|shelf| shelf.state() == StreamState::Live).await;
        world.lose_manager();
        world.break_feeds();
        shelf.until(|shelf| shelf.state() == StreamState::Paused).await;
        origin.part();
        shelf.until(|shelf| position(shelf) == Some((RunId(1), 1))).await;
    }

    #[tokio::test]
    async fn tables_in_bulk_are_checked_in_turn_and_a_live_stream_s_next_one_at_once() {
        let world = World::start().await;
        let streams = world.streams();
        let inner = streams.0.clone();
        let (stream, upstream) = (World::stream(), Arc::default());
        let follower = Follower { inner: inner.clone(), stream, shelf: Weak::new(), upstream, known: None };
        let authority = World::ticket_authority();
        let check = |count| Box::pin(follower.check(vec![Bytes::from_static(b"bad"); count], &authority));
        let turns = inner.checks.acquire_many(checks_max() as u32).await.unwrap();
        let mut bulk = check(CHECKED_AT_ONCE + 1);
        assert!(futures_util::poll!(&mut bulk).is_pending(), "it would keep viewers waiting");
        assert!(matches!(futures_util::poll!(check(1)), std::task::Poll::Ready(Err(Lost::Distrusted(_)))));
        drop(turns);
        assert!(matches!(bulk.await, Err(Lost::Distrusted(_))));
    }

    #[test]
    fn messages_come_whole_whatever_the_network_does() {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 7]);
        assert!(matches!(message(&mut buffer), Ok(Some(m)) if m.is_empty()));
        assert!(matches!(message(&mut buffer), Ok(None)));
        buffer.extend_from_slice(&[8, 0, 255]);
        assert!(matches!(message(&mut buffer), Ok(Some(m)) if m[..] == [7, 8]));
        assert!(matches!(message(&mut buffer), Ok(None)));
        buffer.extend_from_slice(&[255, 255]);
        assert!(matches!(message(&mut buffer), Err(Lost::TooLong(_))));
    }
}
