//! Which signed tables has the peer come to believe? It checks them for itself; a player's playlists are written from the
//! same, and nothing is checked twice.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use trellis_core::trust::{Distrust, RealCrypto, Verified, Verifier};
use trellis_proto::Descriptor;
use trellis_proto::frame::ChunkId;

/// What was believed since it was last taken. The engine takes it after every input, so it is as long as one input's
/// tables.
#[derive(Debug, Clone, Default)]
pub struct Notes(Rc<RefCell<Vec<Verified>>>);

impl Notes {
    /// What is new.
    pub fn take(&self) -> Vec<Verified> {
        self.0.take()
    }
}

/// Checks as [`RealCrypto`] does, and notes what passes.
#[derive(Debug, Clone)]
pub struct Noting {
    crypto: RealCrypto,
    notes: Notes,
}

impl Noting {
    /// Notes into `notes`.
    pub fn new(crypto: RealCrypto, notes: Notes) -> Self {
        Self { crypto, notes }
    }
}

impl Verifier for Noting {
    type Payload = Bytes;

    fn table(&mut self, message: &Bytes) -> Result<Verified, Distrust> {
        let verified = self.crypto.table(message)?;
        self.notes.0.borrow_mut().push(verified.clone());
        Ok(verified)
    }

    fn is_chunk(&mut self, descriptor: &Descriptor, id: ChunkId, payload: &Bytes) -> bool {
        self.crypto.is_chunk(descriptor, id, payload)
    }
}
