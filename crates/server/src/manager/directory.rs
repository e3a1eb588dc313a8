//! Which streams exist, and which keys speak for whom? The database's small tables in memory, for no join waits
//! for a database. Changed only after the database was.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use trellis_proto::StreamId;

use super::auth::ApiKey;
use super::config::P2p;
use crate::cluster_api::ViewerClass;

/// A stream as the operator set it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: StreamId,
    /// For people.
    pub title: String,
    /// Watchable without a viewer token.
    pub open: bool,
    /// Viewer classes it admits; none: all. An open stream has none.
    pub classes: BTreeSet<ViewerClass>,
    /// Of its own stream key; none: only the publish key may publish it.
    pub key_hash: Option<KeyHash>,
    /// Most bit/s one viewer gets.
    pub max_rate: Option<u64>,
    /// What its viewers may be to each other; none: as the manager's configuration has it.
    pub p2p: Option<P2p>,
    /// They see each other only where there are so many; none: as the manager's configuration has it.
    pub viewers_min: Option<u16>,
    /// ms since the Unix epoch.
    pub created_ms: u64,
}

/// What is kept of a stream key. Plain SHA-256 does: the keys are 256 random bits, there is nothing to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// Streams by name, API keys by id, streams by key.
#[derive(Default)]
pub struct Directory {
    streams: HashMap<StreamId, Arc<Stream>>,
    keys: HashMap<String, Arc<ApiKey>>,
    by_key: HashMap<KeyHash, StreamId>,
}

impl Stream {
    /// May viewers of this class watch it?
    pub fn admits(&self, class: ViewerClass) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

impl KeyHash {
    /// Of this key.
    pub fn of(key: &str) -> Self {
        Self(digest(&SHA256, key.trim().as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Directory {
    /// A stream.
    pub fn stream(&self, name: &StreamId) -> Option<&Arc<Stream>> {
        self.streams.get(name)
    }

    /// All streams, by name.
    pub fn streams(&self) -> Vec<Arc<Stream>> {
        let mut streams: Vec<_> = self.streams.values().cloned().collect();
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    }

    /// How many there are.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Which stream has this stream key.
    pub fn stream_of_key(&self, key: &KeyHash) -> Option<&StreamId> {
        self.by_key.get(key)
    }

    /// Adds or replaces.
    pub fn put_stream(&mut self, stream: Stream) {
        self.remove_stream(&stream.name);
        if let Some(hash) = stream.key_hash {
            self.by_key.insert(hash, stream.name.clone());
        }
        self.streams.insert(stream.name.clone(), Arc::new(stream));
    }

    /// Forgets.
    pub fn remove_stream(&mut self, name: &StreamId) {
        if let Some(hash) = self.streams.remove(name).and_then(|stream| stream.key_hash) {
            self.by_key.remove(&hash);
        }
    }

    /// A living API key.
    pub fn key(&self, kid: &str) -> Option<Arc<ApiKey>> {
        self.keys.get(kid).cloned()
    }

    /// Adds or replaces.
    pub fn put_key(&mut self, key: ApiKey) {
        self.keys.insert(key.kid.clone(), Arc::new(key));
    }

    /// Revoked: its tokens are strangers' from now on.
    pub fn remove_key(&mut self, kid: &str) {
        self.keys.remove(kid);
    }
}
