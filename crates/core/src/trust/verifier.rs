//! What the brain asks of its host's payload and cryptography: two small traits, so that a browser, a native peer and
//! a simulation of ten thousand peers run the same decisions.

use alloc::sync::Arc;

use bytes::Bytes;
use trellis_proto::frame::ChunkId;
use trellis_proto::{Catalogue, Descriptor, RunEnd, Table};

use super::chunk::VerifiedChunk;
use super::table::{Authority, Distrust};

/// The bytes of a chunk, or what stands for them.
pub trait Payload: Clone + core::fmt::Debug {
    /// How many bytes it is on the wire.
    fn size(&self) -> usize;
}

impl Payload for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// Who tells good bytes from bad. [`RealCrypto`] is the one that ships.
pub trait Verifier {
    /// What it checks.
    type Payload: Payload;

    /// A signed table, believed and decoded. Many peers of one process may share what it returns.
    fn table(&mut self, message: &Bytes) -> Result<Verified, Distrust>;

    /// Are these the bytes of this chunk, as its descriptor has them?
    fn is_chunk(&mut self, descriptor: &Descriptor, id: ChunkId, payload: &Self::Payload) -> bool;
}

/// A table that was checked.
#[derive(Debug, Clone)]
pub enum Verified {
    /// What a run consists of.
    Catalogue(Arc<Catalogue>),
    /// What a part time consists of.
    Descriptor(Arc<Descriptor>),
    /// A run is over.
    RunEnd(RunEnd),
}

/// Checks a chunk. None: not what was signed.
pub fn check<V: Verifier>(
    verifier: &mut V,
    descriptor: &Descriptor,
    id: ChunkId,
    payload: V::Payload,
) -> Option<VerifiedChunk<V::Payload>> {
    verifier.is_chunk(descriptor, id, &payload).then(|| VerifiedChunk::vouched(payload))
}

/// BLAKE3 and Ed25519.
#[derive(Debug, Clone)]
pub struct RealCrypto(pub Authority);

impl Verifier for RealCrypto {
    type Payload = Bytes;

    fn table(&mut self, message: &Bytes) -> Result<Verified, Distrust> {
        Ok(match self.0.table(message)? {
            Table::Catalogue(catalogue) => Verified::Catalogue(Arc::new(catalogue)),
            Table::Descriptor(descriptor) => Verified::Descriptor(Arc::new(descriptor)),
            Table::RunEnd(end) => Verified::RunEnd(end),
        })
    }

    fn is_chunk(&mut self, descriptor: &Descriptor, id: ChunkId, payload: &Bytes) -> bool {
        let layer = descriptor
            .tracks
            .get(usize::from(id.of.rendition))
            .and_then(|track| track.layers.get(usize::from(id.of.layer)));
        layer.is_some_and(|layer| super::chunk::check(layer, usize::from(id.index), payload.clone()).is_some())
    }
}
