//! How does an object reach the edge? Once, streamed, and chunk by chunk checked against the signed descriptor before
//! anyone is sent a byte of it. So many at a time (`turns`), and none that nobody waits for any more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use trellis_core::trust::chunk;
use trellis_proto::LayerPart;
use trellis_proto::descriptor::chunk_range;

use super::follow::Inner;
use crate::shelf::{Item, Key, Object, Shelf, Source};

/// The [`Source`] of an edge's shelf.
pub struct Upstream(pub Weak<Inner>);

/// What the bytes must be.
enum Promise {
    Init(trellis_proto::Hash),
    Part(LayerPart),
}

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
        let promise = promise(shelf, key)?;
        if size == 0 {
            return Some(Object::ready(Bytes::new()));
        }
        let path = path(shelf, key)?;
        let object = Arc::new(Object::filling(size));
        metrics::counter!("trellis_edge_upstream_objects_total").increment(1);
        let (shelf, filled) = (shelf.clone(), object.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = fill(&inner, &shelf, &path, &promise, &filled) => {}
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

async fn fill(inner: &Inner, shelf: &Shelf, path: &str, promise: &Promise, object: &Object) {
    let mut had = Had::default();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(RETRY * attempt).await;
        }
        match attempt_once(inner, shelf, path, promise, object, &mut had).await {
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

/// How far an object is, so that another attempt goes on from there.
#[derive(Debug, Default)]
struct Had {
    chunks: usize,
    bytes: usize,
}

async fn attempt_once(
    inner: &Inner,
    shelf: &Shelf,
    path: &str,
    promise: &Promise,
    object: &Object,
    had: &mut Had,
) -> Result<(), FetchError> {
    let upstream = inner.upstream(shelf.stream()).ok_or(FetchError::NoUpstream)?;
    // For this attempt alone: between attempts others have it. Who waits here is let go by its readers.
    let _turn = inner.turns().at(&upstream).await;
    let mut request = inner.get(&upstream, shelf.stream(), path).timeout(PATIENCE);
    if had.bytes > 0 {
        request = request.header(http::header::RANGE, format!("bytes={}-", had.bytes));
    }
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    let expected = if had.bytes > 0 { http::StatusCode::PARTIAL_CONTENT } else { http::StatusCode::OK };
    if response.status() != expected {
        return Err(FetchError::Status(response.status()));
    }
    let mut pending = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        metrics::counter!("trellis_edge_upstream_bytes_total").increment(piece.len() as u64);
        pending.extend_from_slice(&piece);
        if had.bytes + pending.len() > object.size() {
            return Err(FetchError::Forged);
        }
        take(promise, &mut pending, object, had)?;
    }
    if had.bytes == object.size() { Ok(()) } else { Err(FetchError::Short) }
}

/// Moves whole chunks from what has arrived to the object.
fn take(promise: &Promise, pending: &mut BytesMut, object: &Object, had: &mut Had) -> Result<(), FetchError> {
    let layer = match promise {
        Promise::Init(hash) if pending.len() == object.size() => {
            let verified = chunk::check_init(hash, pending.split().freeze()).ok_or(FetchError::Forged)?;
            had.bytes = object.size();
            object.push(verified);
            return Ok(());
        }
        Promise::Init(_) => return Ok(()),
        Promise::Part(layer) => layer,
    };
    while had.bytes < object.size() {
        let range = chunk_range(layer.size as usize, layer.hashes.len(), had.chunks);
        if pending.len() < range.len() {
            break;
        }
        let bytes = pending.split_to(range.len()).freeze();
        let verified = chunk::check(layer, had.chunks, bytes).ok_or(FetchError::Forged)?;
        had.chunks += 1;
        had.bytes = range.end;
        if !range.is_empty() {
            object.push(verified);
        }
    }
    Ok(())
}

fn promise(shelf: &Shelf, key: Key) -> Option<Promise> {
    let rendition = usize::from(key.rendition);
    shelf.look(|timeline| match key.item {
        Item::Init => Some(Promise::Init(timeline.catalogue(key.run)?.renditions.get(rendition)?.init_hash)),
        // Renditions are not layered yet: the base is all there is.
        Item::Part(part) => {
            Some(Promise::Part(timeline.part(key.run, part)?.tracks.get(rendition)?.layers.first()?.clone()))
        }
    })
}

fn path(shelf: &Shelf, key: Key) -> Option<String> {
    let name = shelf.look(|t| t.catalogue(key.run)?.names().nth(key.rendition.into()))?;
    let file = match key.item {
        Item::Init => "init.mp4".to_owned(),
        Item::Part(part) => format!("p{part}.m4s"),
    };
    Some(format!("{}/{name}/{file}", key.run))
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
