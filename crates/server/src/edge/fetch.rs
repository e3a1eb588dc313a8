//! How does an object reach the edge? Once, streamed, and chunk by chunk checked against the signed descriptor before
//! anyone is sent a byte of it. So many at a time (`turns`), and none that nobody waits for any more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::follow::Inner;
use crate::shelf::{Arrival, Key, Object, Shelf, Source};

/// The [`Source`] of an edge's shelf.
pub struct Upstream(pub Weak<Inner>);

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no upstream is known")]
    NoUpstream,
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the upstream answered {0}")]
    Status(http::StatusCode),
    #[error("the upstream stopped short")]
    Short,
    #[error("bytes do not match what the origin signed")]
    Forged,
}

impl Source for Upstream {
    fn get(&self, shelf: &Arc<Shelf>, key: Key, size: usize) -> Option<Arc<Object>> {
        let inner = self.0.upgrade()?;
        let mut arrival = Arrival::of(shelf, key)?;
        if size == 0 {
            return Some(Object::ready(Bytes::new()));
        }
        let path = shelf.path(key)?;
        let object = Arc::new(Object::filling(size));
        metrics::counter!("trellis_edge_upstream_objects_total").increment(1);
        let (shelf, filled) = (shelf.clone(), object.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = fill(&inner, &shelf, &path, &mut arrival, &filled) => {}
                () = abandoned(&shelf, key, &filled) => {
                    metrics::counter!("trellis_edge_upstream_abandoned_total").increment(1);
                }
            }
        });
        Some(object)
    }
}

/// Resolves when nobody reads the object any more and it was taken off the shelf. Fetches last for milliseconds, as a
/// rule, so it is cheaper to look now and then than to count readers.
async fn abandoned(shelf: &Shelf, key: Key, object: &Arc<Object>) {
    loop {
        tokio::time::sleep(ABANDONED_AFTER).await;
        if shelf.forget_unread(key, object) {
            return;
        }
    }
}

async fn fill(inner: &Inner, shelf: &Shelf, path: &str, arrival: &mut Arrival, object: &Object) {
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(RETRY * attempt).await;
        }
        match attempt_once(inner, shelf, path, arrival, object).await {
            Ok(()) => {
                if inner.cache().admit(object.size() as u64) {
                    inner.sweep();
                }
                return;
            }
            Err(error) => {
                if matches!(error, FetchError::Forged) {
                    metrics::counter!("trellis_edge_forged_objects_total").increment(1);
                }
                tracing::warn!(%path, attempt, %error, "fetching from the upstream failed");
            }
        }
    }
    object.fail();
}

async fn attempt_once(
    inner: &Inner,
    shelf: &Shelf,
    path: &str,
    arrival: &mut Arrival,
    object: &Object,
) -> Result<(), FetchError> {
    let upstream = inner.upstream(shelf.stream()).ok_or(FetchError::NoUpstream)?;
    // For this attempt alone: between attempts others have it. Who waits here is let go by its readers.
    let _turn = inner.turns().at(&upstream).await;
    let mut request = inner.get(&upstream, shelf.stream(), path).timeout(PATIENCE);
    if arrival.bytes() > 0 {
        request = request.header(http::header::RANGE, format!("bytes={}-", arrival.bytes()));
    }
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    let expected = if arrival.bytes() > 0 { http::StatusCode::PARTIAL_CONTENT } else { http::StatusCode::OK };
    if response.status() != expected {
        return Err(FetchError::Status(response.status()));
    }
    let mut pending = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        metrics::counter!("trellis_edge_upstream_bytes_total").increment(piece.len() as u64);
        pending.extend_from_slice(&piece);
        if !arrival.take(&mut pending, object) {
            return Err(FetchError::Forged);
        }
    }
    if arrival.bytes() == object.size() { Ok(()) } else { Err(FetchError::Short) }
}

/// A viewer that comes back by then finds its fetch still going.
const ABANDONED_AFTER: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 4;
const RETRY: Duration = Duration::from_millis(150);
/// For one attempt.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use trellis_proto::{RunId, StreamId};

    use super::super::follow::Streams;
    use super::super::testing::{PART, World};
    use super::super::turns::EACH_MAX;
    use super::*;
    use crate::cluster_api::StreamState;
    use crate::shelf::Item;

    fn part(part: u64) -> Key {
        Key { run: RunId(1), rendition: 0, item: Item::Part(part) }
    }

    /// An edge that follows the stream of this origin, which has published so many parts.
    async fn followed(world: &World, streams: &Streams, stream: &StreamId, seed: u8, parts: usize) -> Arc<Shelf> {
        let mut origin = world.origin_of(stream, stream.as_str(), seed);
        origin.publish(1);
        (0..parts).for_each(|_| origin.part());
        world.name_for(stream, stream.as_str());
        let shelf = streams.shelf(stream);
        shelf.until(|shelf| shelf.state() == StreamState::Live && shelf.is_complete()).await;
        shelf
    }

    fn asked(shelf: &Arc<Shelf>, parts: usize) -> Vec<Arc<Object>> {
        (0..parts as u64).map(|n| shelf.object(part(n), PART.len()).unwrap()).collect()
    }

    async fn read(object: Arc<Object>) -> Vec<u8> {
        let pieces: Vec<_> = object.read(0..PART.len()).map(Result::unwrap).collect().await;
        pieces.concat()
    }

    #[tokio::test]
    async fn so_many_are_fetched_at_a_time_and_none_that_nobody_waits_for() {
        let world = World::start().await;
        let streams = world.streams();
        let shelf = followed(&world, &streams, &World::stream(), 1, EACH_MAX + 10).await;
        world.mute("demo");
        let readers = asked(&shelf, EACH_MAX + 10);
        let mut silent = world.silent();
        silent.wait_for(|count| *count == EACH_MAX).await.unwrap();
        // One reader stays; the upstream sees the others' requests end, those that waited for their turn included.
        let kept = readers[3].clone();
        drop(readers);
        silent.wait_for(|count| *count == 1).await.unwrap();
        assert!(!kept.has_failed());
        world.speak();
        assert_eq!(read(shelf.object(part(4), PART.len()).unwrap()).await, PART);
    }

    #[tokio::test]
    async fn an_upstream_that_answers_nothing_holds_up_no_other() {
        let world = World::start().await;
        let streams = world.streams();
        let stuck = followed(&world, &streams, &World::stream(), 1, EACH_MAX + 20).await;
        let healthy = followed(&world, &streams, &"other".parse().unwrap(), 2, 1).await;
        world.mute("demo");
        let _readers = asked(&stuck, EACH_MAX + 20);
        let mut silent = world.silent();
        silent.wait_for(|count| *count == EACH_MAX).await.unwrap();
        let bytes = tokio::time::timeout(PATIENCE / 4, read(healthy.object(part(0), PART.len()).unwrap())).await;
        assert_eq!(bytes.expect("at once"), PART);
        assert_eq!(*silent.borrow(), EACH_MAX, "and the silent one is still waited for");
    }
}
