//! One object's bytes, whole or still arriving. Any number of readers follow it while it fills.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::sync::watch;
use trellis_core::trust::chunk::VerifiedChunk;

/// Bytes of known total length.
#[derive(Debug)]
pub struct Object {
    size: usize,
    whole: OnceLock<Bytes>,
    pieces: Mutex<Vec<Bytes>>,
    progress: watch::Sender<Progress>,
    used_s: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Arrived(usize),
    Failed,
}

impl Object {
    /// Bytes at hand, signed or checked by the caller.
    pub fn ready(bytes: Bytes) -> Arc<Self> {
        let object = Self::filling(bytes.len());
        object.finish(bytes);
        Arc::new(object)
    }

    /// Bytes that will be pushed.
    pub fn filling(size: usize) -> Self {
        Self {
            size,
            whole: OnceLock::new(),
            pieces: Mutex::default(),
            progress: watch::Sender::new(Progress::Arrived(0)),
            used_s: AtomicU32::new(0),
        }
    }

    /// Total length in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All bytes, once they are there.
    pub fn whole(&self) -> Option<&Bytes> {
        self.whole.get()
    }

    /// All bytes, as soon as they are there. None: they cannot be had.
    pub async fn all(&self) -> Option<Bytes> {
        let mut progress = self.progress.subscribe();
        // The object's own sender lives as long as this borrow of it.
        let _ = progress.wait_for(|now| *now == Progress::Failed || self.whole.get().is_some()).await;
        self.whole.get().cloned()
    }

    /// Could it not be had?
    pub fn has_failed(&self) -> bool {
        *self.progress.borrow() == Progress::Failed
    }

    /// Adds the next chunk. The last one makes the object whole, in one piece of memory.
    pub fn push(&self, chunk: VerifiedChunk) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.push(chunk.into_bytes());
        let arrived = pieces.iter().map(Bytes::len).sum();
        if arrived < self.size {
            drop(pieces);
            self.progress.send_replace(Progress::Arrived(arrived));
            return;
        }
        let mut whole = BytesMut::with_capacity(self.size);
        std::mem::take(&mut *pieces).iter().for_each(|piece| whole.extend_from_slice(piece));
        drop(pieces);
        self.finish(whole.freeze());
    }

    /// Makes it whole at once, with bytes the caller has checked.
    pub fn finish(&self, bytes: Bytes) {
        let size = bytes.len();
        let _ = self.whole.set(bytes);
        self.progress.send_replace(Progress::Arrived(size));
    }

    /// It cannot be had; readers in the middle are cut off.
    pub fn fail(&self) {
        if self.whole.get().is_none() {
            self.progress.send_replace(Progress::Failed);
        }
    }

    /// Notes a use, for the cache. `now_s` is any clock in seconds.
    pub fn touch(&self, now_s: u32) {
        self.used_s.store(now_s, Ordering::Relaxed);
    }

    /// When it was last used.
    pub fn used_s(&self) -> u32 {
        self.used_s.load(Ordering::Relaxed)
    }

    /// The bytes of `range`, as they arrive.
    pub fn read(self: Arc<Self>, range: Range<usize>) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let progress = self.progress.subscribe();
        futures_util::stream::unfold((self, progress, range), |(object, mut progress, range)| async move {
            if range.is_empty() {
                return None;
            }
            let piece = loop {
                let state = *progress.borrow_and_update();
                if let Some(piece) = object.at(&range) {
                    break Ok(piece);
                }
                // The object's own sender lives as long as this reader, so waiting cannot fail.
                if state == Progress::Failed || progress.changed().await.is_err() {
                    break Err(io::Error::other("the upstream did not deliver"));
                }
            };
            let next = match &piece {
                Ok(piece) => range.start + piece.len()..range.end,
                Err(_) => range.end..range.end,
            };
            Some((piece, (object, progress, next)))
        })
    }

    /// What has arrived at the front of `range`.
    fn at(&self, range: &Range<usize>) -> Option<Bytes> {
        if let Some(whole) = self.whole.get() {
            return Some(whole.slice(range.clone()));
        }
        let pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = 0;
        for piece in pieces.iter() {
            if range.start < start + piece.len() {
                let end = (range.end - start).min(piece.len());
                return Some(piece.slice(range.start - start..end));
            }
            start += piece.len();
        }
        // The last chunk may have moved everything to `whole` between the two looks.
        drop(pieces);
        self.whole.get().map(|whole| whole.slice(range.clone()))
    }
}

/// Ranges of several objects, one after another.
pub fn slices(objects: &[(Arc<Object>, Range<usize>)]) -> Option<VecDeque<Bytes>> {
    objects.iter().map(|(object, range)| Some(object.whole()?.slice(range.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use trellis_core::trust::chunk::{check, describe};
    use trellis_proto::descriptor::chunk_range;

    use super::*;

    #[tokio::test]
    async fn a_reader_follows_an_object_that_is_still_arriving() {
        let bytes: Bytes = (0..40_000u32).map(|i| (i * 7) as u8).collect();
        let layer = describe(&bytes, 4);
        let chunk = |i| check(&layer, i, bytes.slice(chunk_range(bytes.len(), 4, i))).unwrap();
        let object = Arc::new(Object::filling(bytes.len()));
        let mut reader = std::pin::pin!(object.clone().read(5_000..35_000));
        object.push(chunk(0));
        let mut got = BytesMut::from(&reader.next().await.unwrap().unwrap()[..]);
        assert_eq!(got, bytes[5_000..10_000]);
        (1..4).for_each(|i| object.push(chunk(i)));
        while let Some(piece) = reader.next().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(got, bytes[5_000..35_000]);
        assert_eq!(object.whole(), Some(&bytes));
    }

    #[tokio::test]
    async fn a_failed_object_cuts_its_readers_off() {
        let object = Arc::new(Object::filling(10));
        let mut reader = std::pin::pin!(object.clone().read(0..10));
        object.fail();
        assert!(reader.next().await.unwrap().is_err());
        assert!(reader.next().await.is_none());
    }
}
