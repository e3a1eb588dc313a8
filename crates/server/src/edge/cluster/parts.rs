//! What of a stream's shelf does its cluster need, and in which order? Catalogues, part times that are whole, and ends, as
//! their tables come in; from where newcomers begin, not from the beginning.
//!
//! Invariant: a part is told after its catalogue and before the next part. One whose media cannot be had in time is left
//! out: viewers get it over HTTP, or not at all.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use trellis_core::cluster::{Chunks, Input};
use trellis_media::timeline::{Cursor, Timeline};
use trellis_proto::descriptor::chunk_range;
use trellis_proto::frame::{ChunkId, PartId};
use trellis_proto::{Descriptor, Table, signed_part};

use crate::clock::unix_ms;
use crate::shelf::{Item, Key, Shelf};

/// What the cluster is told.
pub enum Step {
    /// This.
    Tell(Input<Bytes>),
    /// What was there at the beginning has been told.
    Ready,
}

/// Tells what there is and what comes, until nobody listens.
pub async fn follow(shelf: Arc<Shelf>, steps: mpsc::Sender<Step>) {
    tokio::select! {
        () = steps.closed() => {}
        () = tell(&shelf, &steps) => {}
    }
}

async fn tell(shelf: &Arc<Shelf>, steps: &mpsc::Sender<Step>) {
    let mut changes = shelf.changes();
    let (mut cursor, mut is_ready) = (None, false);
    loop {
        changes.borrow_and_update();
        while let Some(table) = shelf.is_complete().then(|| next(shelf, &mut cursor)).flatten() {
            if let Some(input) = input(shelf, table).await
                && steps.send(Step::Tell(input)).await.is_err()
            {
                return;
            }
        }
        if cursor.is_some() && !std::mem::replace(&mut is_ready, true) && steps.send(Step::Ready).await.is_err() {
            return;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The next signed table.
fn next(shelf: &Shelf, cursor: &mut Option<Cursor>) -> Option<Bytes> {
    shelf.look(|timeline| match cursor {
        Some(cursor) => timeline.next_message(cursor),
        None => {
            let (catalogue, behind) = timeline.opening()?;
            *cursor = Some(behind);
            Some(catalogue)
        }
    })
}

/// What a table of the shelf, which believes it, means to the cluster.
async fn input(shelf: &Arc<Shelf>, message: Bytes) -> Option<Input<Bytes>> {
    let (body, _) = signed_part(&message).ok()?;
    Some(match Table::decode(body).ok()? {
        Table::Catalogue(catalogue) => Input::Catalogue(Arc::new(catalogue), message),
        Table::RunEnd(end) => Input::RunEnd(end, message),
        Table::Descriptor(descriptor) => {
            let chunks = tokio::time::timeout(PATIENCE, chunks(shelf, &descriptor)).await.ok().flatten();
            let Some(chunks) = chunks else {
                let (stream, part) = (shelf.stream(), descriptor.part);
                tracing::warn!(%stream, part, "a part could not be had in time: the cluster goes on without it");
                metrics::counter!("trellis_cluster_parts_missed_total").increment(1);
                return None;
            };
            Input::Part(Arc::new(descriptor), message, Arc::new(chunks))
        }
    })
}

/// All media of a part time.
async fn chunks(shelf: &Arc<Shelf>, descriptor: &Descriptor) -> Option<Chunks<Bytes>> {
    let part = PartId { run: descriptor.run, part: descriptor.part };
    let of_rendition = async |rendition: usize| {
        let layer = descriptor.tracks[rendition].layers.first().ok_or(())?;
        let whole = whole(shelf, part, rendition as u8, layer.size as usize).await.ok_or(())?;
        let count = layer.hashes.len();
        let cut = |index| whole.slice(chunk_range(whole.len(), count, index));
        Ok::<_, ()>(vec![(0..count).map(cut).collect()])
    };
    try_join_all((0..descriptor.tracks.len()).map(of_rendition)).await.ok()
}

/// The bytes of one chunk, wherever in the window or the recording it is.
pub async fn chunk(shelf: Arc<Shelf>, id: ChunkId) -> Option<Bytes> {
    let described = |timeline: &Timeline| {
        let track = timeline.part(id.part.run, id.part.part)?.tracks.get(usize::from(id.of.rendition))?;
        let layer = track.layers.get(usize::from(id.of.layer))?;
        Some((layer.size as usize, layer.hashes.len()))
    };
    // Renditions are not layered yet: the base is all there is.
    let (size, count) = shelf.look(described).filter(|_| id.of.layer == 0)?;
    let index = usize::from(id.index);
    let all = whole(&shelf, id.part, id.of.rendition, size);
    let whole = tokio::time::timeout(PATIENCE, all).await.ok()??;
    (index < count).then(|| whole.slice(chunk_range(size, count, index)))
}

/// Descriptors from one on, as signed.
pub fn tables(shelf: &Shelf, from: PartId, count: u8) -> Vec<Bytes> {
    let numbers = from.part..from.part.saturating_add(count.into());
    shelf.look(|timeline| numbers.map_while(|part| timeline.signed_part(from.run, part).cloned()).collect())
}

async fn whole(shelf: &Arc<Shelf>, part: PartId, rendition: u8, size: usize) -> Option<Bytes> {
    let object = shelf.object(Key { run: part.run, rendition, item: Item::Part(part.part) }, size)?;
    object.touch((unix_ms() / 1000) as u32);
    let whole = object.all().await?;
    (whole.len() == size).then_some(whole)
}

/// Later than that nobody plays it live.
const PATIENCE: Duration = Duration::from_secs(4);
