//! Which streams does an origin keep, and who publishes them?
//!
//! Invariant: at most one publisher per stream, and none of a stream that was taken out. Taking a stream out ends its
//! feeds, so that whoever follows asks anew and finds what is published under the name later.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trellis_media::timeline::{State, Timeline};
use trellis_proto::{RunId, StreamId};

use crate::cluster_api::ORIGIN_STREAMS_MAX;
use crate::shelf::Shelf;

/// All streams of an origin.
#[derive(Default)]
pub struct Channels(Mutex<HashMap<StreamId, Arc<Channel>>>);

/// One stream at its origin.
pub struct Channel {
    shelf: Arc<Shelf>,
    /// Somebody publishes. Changed under the lock of the map only.
    taken: AtomicBool,
    /// Its recording's tables are being read, or were.
    reading: AtomicBool,
    /// Counts runs, so that a grace time knows whether its run is still the last.
    runs: AtomicU64,
    /// When somebody last asked, ms since the epoch.
    asked_ms: AtomicU64,
    /// What its tables had said of a run's rate before they were let go.
    measured: Option<(RunId, u64)>,
}

/// Why a stream cannot be published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It has a publisher.
    Taken,
    /// The origin keeps as many streams as it may.
    Full,
}

impl Channels {
    /// A stream that is kept.
    pub fn get(&self, stream: &StreamId) -> Option<Arc<Channel>> {
        self.lock().get(stream).cloned()
    }

    /// All streams.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.lock().values().cloned().collect()
    }

    /// Keeps a stream that nobody publishes. False: there is no room, or it is kept already.
    pub fn keep(&self, shelf: Arc<Shelf>) -> bool {
        let mut map = self.lock();
        let room = map.len() < ORIGIN_STREAMS_MAX && !map.contains_key(shelf.stream());
        if room {
            map.insert(shelf.stream().clone(), Arc::new(Channel::new(shelf)));
        }
        room
    }

    /// Gives a publisher the stream's place. It is free again when the answer is dropped.
    pub fn claim(self: &Arc<Self>, stream: &StreamId, make: impl FnOnce() -> Arc<Shelf>) -> Result<Place, Refused> {
        let mut map = self.lock();
        if !map.contains_key(stream) && map.len() >= ORIGIN_STREAMS_MAX {
            return Err(Refused::Full);
        }
        let channel = map.entry(stream.clone()).or_insert_with(|| Arc::new(Channel::new(make()))).clone();
        if channel.taken.swap(true, Ordering::SeqCst) {
            return Err(Refused::Taken);
        }
        Ok(Place { channel, channels: self.clone() })
    }

    /// Takes a stream out. False: somebody publishes it.
    pub fn forget(&self, channel: &Channel) -> bool {
        let mut map = self.lock();
        let free = !channel.is_taken();
        if free {
            channel.shelf.close();
            if map.get(channel.shelf.stream()).is_some_and(|kept| Arc::ptr_eq(&kept.shelf, &channel.shelf)) {
                map.remove(channel.shelf.stream());
            }
        }
        free
    }

    /// Puts another shelf of the same recording in a stream's place. False: somebody publishes it, or has.
    pub fn renew(&self, channel: &Arc<Channel>, shelf: Arc<Shelf>) -> bool {
        let mut map = self.lock();
        let same = |kept: &&mut Arc<Channel>| Arc::ptr_eq(kept, channel) && run(&shelf) == run(&channel.shelf);
        let Some(kept) = map.get_mut(shelf.stream()).filter(same).filter(|kept| !kept.is_taken()) else {
            return false;
        };
        channel.shelf.close();
        let measured = run(&shelf).map(|run| (run, channel.rate_bps()));
        *kept = Arc::new(Channel { measured, ..Channel::new(shelf) });
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Arc<Channel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    fn new(shelf: Arc<Shelf>) -> Self {
        let (taken, reading, runs, asked_ms, measured) = Default::default();
        Self { shelf, taken, reading, runs, asked_ms, measured }
    }

    /// What is held of it.
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// Does somebody publish it?
    pub fn is_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }

    /// Is it the caller's to read its recording's tables? Only the first one's.
    pub fn begin_reading(&self) -> bool {
        !self.reading.swap(true, Ordering::SeqCst)
    }

    /// Its tables could not be read: the next may try.
    pub fn put_reading_off(&self) {
        self.reading.store(false, Ordering::SeqCst);
    }

    /// Somebody asks for it.
    pub fn touch(&self, now_ms: u64) {
        self.asked_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Is it a recording whose tables nobody has needed for this long? Whoever follows holds the shelf.
    pub fn is_idle(&self, now_ms: u64, linger: Duration) -> bool {
        let quiet_ms = now_ms.saturating_sub(self.asked_ms.load(Ordering::Relaxed));
        let read = self.shelf.is_complete() && self.shelf.look(Timeline::newest_part).is_some();
        let wanted = self.is_taken() || Arc::strong_count(&self.shelf) > 1 || u128::from(quiet_ms) < linger.as_millis();
        self.shelf.look(Timeline::state) == State::Vod && read && !wanted
    }

    /// Peak bit/s, as far as is known.
    pub fn rate_bps(&self) -> u64 {
        let measured = self.measured.filter(|(of, _)| run(&self.shelf) == Some(*of));
        self.shelf.look(Timeline::rate_bps).max(measured.map_or(0, |(_, rate)| rate))
    }

    /// How many runs there have been.
    pub fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    /// There is a newer run: a grace time that ticks for the one before is none of its business.
    pub fn count_run(&self) {
        self.runs.fetch_add(1, Ordering::SeqCst);
    }
}

fn run(shelf: &Shelf) -> Option<RunId> {
    shelf.look(|timeline| timeline.newest().map(|catalogue| catalogue.run))
}

/// A publisher's place.
pub struct Place {
    channel: Arc<Channel>,
    channels: Arc<Channels>,
}

impl Place {
    /// The stream, for what outlives its publisher.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }
}

impl Deref for Place {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Place {
    /// A stream of which nothing came leaves nothing behind.
    fn drop(&mut self) {
        let mut map = self.channels.lock();
        self.channel.taken.store(false, Ordering::SeqCst);
        if self.channel.shelf.look(Timeline::state) == State::Waiting {
            map.remove(self.channel.shelf.stream());
            self.channel.shelf.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_publisher_and_is_not_forgotten_under_it() {
        let channels = Arc::new(Channels::default());
        let demo = Shelf::alone("demo");
        let place = channels.claim(demo.stream(), || demo.clone()).ok().unwrap();
        assert_eq!(channels.claim(demo.stream(), || demo.clone()).err(), Some(Refused::Taken));
        assert!(!channels.forget(place.channel()) && !demo.is_closed());
        assert!(channels.get(demo.stream()).is_some_and(|channel| channel.is_taken()));
        drop(place);
        assert!(demo.is_closed() && channels.all().is_empty(), "nothing came of it");
        assert!(channels.claim(demo.stream(), || Shelf::alone("demo")).is_ok(), "its place is free again");
    }

    #[test]
    fn an_origin_keeps_a_bounded_number_of_streams() {
        let channels = Arc::new(Channels::default());
        assert!((0..ORIGIN_STREAMS_MAX).all(|n| channels.keep(Shelf::alone(&format!("s{n}")))));
        assert!(!channels.keep(Shelf::alone("more")));
        let more = Shelf::alone("more");
        assert_eq!(channels.claim(more.stream(), || more.clone()).err(), Some(Refused::Full));
        assert!(channels.claim(&"s7".parse().unwrap(), || more).is_ok(), "one that is kept can be published again");
    }
}
