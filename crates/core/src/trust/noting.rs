//! What has a peer come to believe? It checks tables and chunks for itself; its host writes playlists and keeps accounts by
//! the same, and nothing is checked twice.

use alloc::vec::Vec;

use bytes::Bytes;
use trellis_proto::Descriptor;
use trellis_proto::frame::ChunkId;

use super::table::Distrust;
use super::verifier::{Payload, Verified, Verifier};

/// Checks as another does, and notes what passes.
#[derive(Debug, Clone)]
pub struct Noting<V> {
    verifier: V,
    noted: Noted,
}

/// What was believed since it was last taken. A host takes it after every input, so it is as long as what that brought.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// Tables.
    pub tables: Vec<Verified>,
    /// Chunks, and how many bytes they have.
    pub chunks: Vec<(ChunkId, usize)>,
}

impl<V> Noting<V> {
    /// As this one.
    pub fn new(verifier: V) -> Self {
        Self { verifier, noted: Noted::default() }
    }

    /// What is new.
    pub fn take(&mut self) -> Noted {
        core::mem::take(&mut self.noted)
    }
}

impl<V: Verifier> Verifier for Noting<V> {
    type Payload = V::Payload;

    fn table(&mut self, message: &Bytes) -> Result<Verified, Distrust> {
        let verified = self.verifier.table(message)?;
        self.noted.tables.push(verified.clone());
        Ok(verified)
    }

    fn is_chunk(&mut self, descriptor: &Descriptor, id: ChunkId, payload: &V::Payload) -> bool {
        let good = self.verifier.is_chunk(descriptor, id, payload);
        if good {
            self.noted.chunks.push((id, payload.size()));
        }
        good
    }
}
