//! Are the bytes that come in what the origin signed? Whoever fetches an object moves what has arrived through here, chunk
//! by chunk, and what is not as described never gets to its readers.

use bytes::BytesMut;
use trellis_core::trust::chunk;
use trellis_proto::descriptor::chunk_range;
use trellis_proto::{Hash, LayerPart};

use super::{Item, Key, Object, Shelf};

/// What an object's bytes must be, and how far they have come, so that another attempt goes on from there.
#[derive(Debug)]
pub struct Arrival {
    promise: Promise,
    chunks: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Promise {
    Init(Hash),
    Part(LayerPart),
}

impl Arrival {
    /// Nothing has come yet. None: no such object is described.
    pub fn of(shelf: &Shelf, key: Key) -> Option<Self> {
        let rendition = usize::from(key.rendition);
        let promise = shelf.look(|timeline| match key.item {
            Item::Init => Some(Promise::Init(timeline.catalogue(key.run)?.renditions.get(rendition)?.init_hash)),
            // Renditions are not layered yet: the base is all there is.
            Item::Part(part) => {
                Some(Promise::Part(timeline.part(key.run, part)?.tracks.get(rendition)?.layers.first()?.clone()))
            }
        })?;
        Some(Self { promise, chunks: 0, bytes: 0 })
    }

    /// How many bytes were good.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves whole chunks from what has arrived to the object. False: this is not what was signed.
    pub fn take(&mut self, pending: &mut BytesMut, object: &Object) -> bool {
        self.bytes + pending.len() <= object.size() && self.take_whole(pending, object).is_some()
    }

    fn take_whole(&mut self, pending: &mut BytesMut, object: &Object) -> Option<()> {
        let layer = match &self.promise {
            Promise::Init(hash) if pending.len() == object.size() => {
                object.push(chunk::check_init(hash, pending.split().freeze())?);
                self.bytes = object.size();
                return Some(());
            }
            Promise::Init(_) => return Some(()),
            Promise::Part(layer) => layer,
        };
        while self.bytes < object.size() {
            let range = chunk_range(layer.size as usize, layer.hashes.len(), self.chunks);
            if pending.len() < range.len() {
                break;
            }
            let verified = chunk::check(layer, self.chunks, pending.split_to(range.len()).freeze())?;
            self.chunks += 1;
            self.bytes = range.end;
            if !range.is_empty() {
                object.push(verified);
            }
        }
        Some(())
    }
}
