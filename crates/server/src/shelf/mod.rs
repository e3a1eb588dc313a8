//! What does a server hold of one stream? Its time line of signed tables and its media objects.
//!
//! Origin and edge share this room and differ only in their [`Source`]: where an object comes from that is
//! described but not at hand. Invariant: an object's bytes were checked against a signed hash, or signed here.

mod arrival;
mod feed;
mod object;
mod range;
mod serve;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use flate2::Compression;
use tokio::sync::watch;
use trellis_media::timeline::{Applied, Evicted, State, Timeline, TimelineError};
use trellis_proto::{RenditionName, RunId, StreamId, Table};

use crate::cluster_api::StreamState;
use crate::http::Coded;

pub use arrival::Arrival;
pub use feed::{FRAME_BYTES_MAX, KEEP_ALIVE};
pub use object::Object;
pub use serve::{Ask, BLOCKED_MAX, MediaName, at_hand, parts, serve};

/// One thing with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// The run.
    pub run: RunId,
    /// Index of the rendition in the run's catalogue.
    pub rendition: u8,
    /// Which of its objects.
    pub item: Item,
}

/// An object of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// The init segment.
    Init,
    /// A part, by its number in the run.
    Part(u64),
}

/// Which playlist: none is the multivariant one; a delta update or whole.
type Playlist = (Option<RenditionName>, bool);

/// Where an object comes from that is not on the shelf.
pub trait Source: Send + Sync {
    /// Begins to get it. The object fills while it is already being served. None: it cannot be had.
    fn get(&self, shelf: &Arc<Shelf>, key: Key, size: usize) -> Option<Arc<Object>>;

    /// Is what it brought worth keeping? Not when the next one can have it as cheaply.
    fn is_far(&self) -> bool {
        true
    }
}

/// Everything held of one stream.
pub struct Shelf {
    stream: StreamId,
    timeline: RwLock<Timeline>,
    version: watch::Sender<u64>,
    objects: RwLock<HashMap<Key, Arc<Object>>>,
    texts: Mutex<HashMap<Playlist, (u64, Arc<Coded>)>>,
    source: Box<dyn Source>,
    /// The tables no longer come in: what is known may be out of date.
    stale: AtomicBool,
    /// Everything that is known upstream has come in once.
    complete: AtomicBool,
    /// Nothing more will ever come in here.
    closed: AtomicBool,
}

impl Shelf {
    /// An empty shelf.
    pub fn new(timeline: Timeline, stream: StreamId, source: Box<dyn Source>) -> Arc<Self> {
        Arc::new(Self {
            stream,
            timeline: RwLock::new(timeline),
            version: watch::Sender::new(0),
            objects: RwLock::default(),
            texts: Mutex::default(),
            source,
            stale: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Takes a believed table, forgets what left the window, and wakes whoever waits.
    pub fn apply(&self, table: Table, signed: Bytes) -> Result<(), TimelineError> {
        let mut timeline = self.timeline.write().unwrap_or_else(PoisonError::into_inner);
        let applied = timeline.apply(table, signed)?;
        let version = timeline.version();
        drop(timeline);
        match applied {
            Applied::Known => {}
            Applied::New(evicted) => {
                self.drop_evicted(&evicted);
                self.version.send_replace(version);
            }
        }
        Ok(())
    }

    /// Takes tables that belong together: all of them, or none when one does not fit.
    pub fn apply_all(&self, tables: Vec<(Table, Bytes)>) -> Result<(), TimelineError> {
        let mut evicted = Vec::new();
        let mut timeline = self.timeline.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = timeline.clone();
        for (table, signed) in tables {
            if let Applied::New(gone) = next.apply(table, signed)? {
                evicted.extend(gone);
            }
        }
        let version = next.version();
        *timeline = next;
        drop(timeline);
        self.drop_evicted(&evicted);
        self.version.send_replace(version);
        Ok(())
    }

    fn drop_evicted(&self, evicted: &[Evicted]) {
        if evicted.is_empty() {
            return;
        }
        let gone = |key: &Key| {
            evicted.iter().any(|gone| {
                gone.run == key.run
                    && match key.item {
                        Item::Init => gone.run_gone,
                        Item::Part(part) => gone.parts.contains(&part),
                    }
            })
        };
        self.objects.write().unwrap_or_else(PoisonError::into_inner).retain(|key, _| !gone(key));
    }

    /// Says whether tables come in. A live stream whose tables do not is as good as paused.
    pub fn set_stale(&self, stale: bool) {
        self.stale.store(stale, Ordering::Relaxed);
    }

    /// Do they not?
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// What a viewer finds here now.
    pub fn state(&self) -> StreamState {
        match self.look(Timeline::state) {
            State::Waiting => StreamState::Waiting,
            State::Live if self.is_stale() => StreamState::Paused,
            State::Live => StreamState::Live,
            State::Paused => StreamState::Paused,
            State::Ended => StreamState::Ended,
            State::Vod => StreamState::Vod,
        }
    }

    /// All there is has come in. Until then nothing is answered from it: the first reader of a playlist would take a
    /// beginning for the whole, and start where live was minutes ago.
    pub fn set_complete(&self) {
        if !self.complete.swap(true, Ordering::AcqRel) {
            // Feeds that wait for more have this to say, and whoever waits for the whole has it.
            self.version.send_modify(|_| ());
        }
    }

    /// Has it?
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Nothing more will come in here, whatever is published under the name later: its feeds end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.version.send_modify(|_| ());
    }

    /// Has it been closed?
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Looks at the time line.
    pub fn look<T>(&self, look: impl FnOnce(&Timeline) -> T) -> T {
        look(&self.timeline.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Puts an object on the shelf.
    pub fn put(&self, key: Key, object: Arc<Object>) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).insert(key, object);
    }

    /// The object, fetched if need be: once, however many ask at the same time.
    pub fn object(self: &Arc<Self>, key: Key, size: usize) -> Option<Arc<Object>> {
        if let Some(object) = self.held(key, Arc::clone) {
            return Some(object);
        }
        if !self.source.is_far() {
            return self.source.get(self, key, size);
        }
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = objects.get(&key).filter(|object| !object.has_failed()) {
            return Some(object.clone());
        }
        let object = self.source.get(self, key, size)?;
        objects.insert(key, object.clone());
        Some(object)
    }

    /// Looks at the object, if it is here.
    pub fn held<T>(&self, key: Key, look: impl FnOnce(&Arc<Object>) -> T) -> Option<T> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(&key).filter(|object| !object.has_failed()).map(look)
    }

    /// Every object at hand with its key, for the cache to choose what to forget.
    pub fn each_object(&self, mut see: impl FnMut(Key, &Object)) {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.iter().for_each(|(key, object)| see(*key, object));
    }

    /// An object's name below `…/s/{stream}/`, while its run is known.
    pub fn path(&self, key: Key) -> Option<String> {
        let name = self.look(|t| t.catalogue(key.run)?.names().nth(key.rendition.into()))?;
        let file = match key.item {
            Item::Init => "init.mp4".to_owned(),
            Item::Part(part) => format!("p{part}.m4s"),
        };
        Some(format!("{}/{name}/{file}", key.run))
    }

    /// Bytes of a rendition before this part of its run.
    pub fn offset(&self, key: Key) -> Option<u64> {
        let Item::Part(part) = key.item else { return Some(0) };
        self.look(|timeline| timeline.offset(key.run, key.rendition.into(), part))
    }

    /// Forgets an object. Whoever is being sent it still gets it whole.
    pub fn forget(&self, key: Key) {
        self.objects.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    /// Forgets an object that nobody has but the shelf and the caller. While the shelf is locked nobody new can get it.
    pub fn forget_unread(&self, key: Key, object: &Arc<Object>) -> bool {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let here = objects.get(&key).is_some_and(|held| Arc::ptr_eq(held, object));
        let unread = Arc::strong_count(object) == 1 + usize::from(here);
        if unread && here {
            objects.remove(&key);
        }
        unread
    }

    /// A playlist's text, written anew only when something changed.
    fn text(&self, name: Option<RenditionName>, skip: bool) -> Option<Arc<Coded>> {
        use trellis_media::playlist;
        let timeline = self.timeline.read().unwrap_or_else(PoisonError::into_inner);
        let version = timeline.version();
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = texts.get(&(name, skip)).filter(|(of, _)| *of == version) {
            return Some(text.clone());
        }
        let text = match name {
            None => playlist::multivariant(&timeline)?,
            Some(name) => playlist::media(&timeline, name, skip)?,
        };
        // A live one is written anew with every part, and what repeats itself so much is a sixteenth at any level.
        let text = Arc::new(Coded::new(text, Compression::fast()));
        // Names come from viewers: only those that exist are remembered, so the map stays small.
        texts.insert((name, skip), (version, text.clone()));
        Some(text)
    }
}

#[cfg(test)]
impl Shelf {
    /// With nothing behind it: what is not put on it cannot be had.
    pub fn alone(stream: &str) -> Arc<Self> {
        struct Nowhere;
        impl Source for Nowhere {
            fn get(&self, _: &Arc<Shelf>, _: Key, _: usize) -> Option<Arc<Object>> {
                None
            }
        }
        let stream: StreamId = stream.parse().expect("a stream's name");
        Self::new(Timeline::new(stream.clone()), stream, Box::new(Nowhere))
    }
}
