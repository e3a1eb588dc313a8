//! What stands for bytes, keys and signatures? The real ones, or for large swarms a payload that is only what it
//! claims to be ([`Sham`]) and a verifier that looks at the claim ([`SimulatedCrypto`]). Sizes are equal byte for byte,
//! so a run is the same run with either: the trace hash does not tell them apart.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::rc::Rc;

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use trellis_core::trust::table::{Authority, sealed};
use trellis_core::trust::{Distrust, Payload, RealCrypto, Verified, Verifier, chunk};
use trellis_proto::descriptor::{LayerPart, chunk_count, chunk_range};
use trellis_proto::frame::{ChunkId, LayerId, PartId};
use trellis_proto::{Catalogue, Descriptor, PublicKey};

use crate::chance::Chance;

/// How an origin makes tables and chunks, and how peers check them.
pub trait Crypto: 'static {
    /// What carries a chunk.
    type Payload: Payload + PartialEq + 'static;
    /// What checks it.
    type Verifier: Verifier<Payload = Self::Payload> + 'static;
    /// As the report names it.
    const NAME: &'static str;

    /// With keys from a seed.
    fn new(seed: u64) -> Self;
    /// The origin's.
    fn key(&self) -> PublicKey;
    /// A table as it travels.
    fn seal(&mut self, body: Vec<u8>, means: Verified) -> Bytes;
    /// One layer of a part, of so many bytes and cut into K substreams.
    fn layer(&mut self, part: PartId, of: LayerId, size: usize, substreams: u8) -> (LayerPart, Vec<Self::Payload>);
    /// One for a peer.
    fn verifier(&self) -> Self::Verifier;
    /// Wrong bytes of the same length.
    fn spoiled(payload: &Self::Payload) -> Self::Payload;
}

/// Ed25519, BLAKE3 and every byte.
#[derive(Debug)]
pub struct Real {
    key: SigningKey,
    authority: Authority,
    seed: u64,
}

impl Crypto for Real {
    type Payload = Bytes;
    type Verifier = RealCrypto;
    const NAME: &'static str = "RealCrypto";

    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 0x6b65_7973);
        let key = SigningKey::from_bytes(&std::array::from_fn(|_| chance.number() as u8));
        let authority = Authority::new(&key.verifying_key().to_bytes()).expect("a key that was just made is a point");
        Self { key, authority, seed }
    }

    fn key(&self) -> PublicKey {
        self.key.verifying_key().to_bytes()
    }

    fn seal(&mut self, body: Vec<u8>, _means: Verified) -> Bytes {
        let signature = self.key.sign(&body).to_bytes();
        sealed(body, &signature).into()
    }

    fn layer(&mut self, part: PartId, of: LayerId, size: usize, substreams: u8) -> (LayerPart, Vec<Bytes>) {
        let mut chance = Chance::new(self.seed ^ part.part << 8, u64::from(of.rendition) << 4 | u64::from(of.layer));
        let media: Bytes = (0..size.div_ceil(8)).flat_map(|_| chance.number().to_le_bytes()).take(size).collect();
        let layer = chunk::describe(&media, substreams);
        let count = layer.hashes.len();
        let chunks = (0..count).map(|index| media.slice(chunk_range(size, count, index))).collect();
        (layer, chunks)
    }

    fn verifier(&self) -> RealCrypto {
        RealCrypto(self.authority.clone())
    }

    fn spoiled(payload: &Bytes) -> Bytes {
        payload.iter().map(|byte| !byte).collect()
    }
}

/// A chunk without its bytes: eight bytes, for a swarm holds millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sham {
    len: u32,
    /// What stands for its hash.
    tag: u16,
    truth: bool,
}

impl Sham {
    /// All chunks of one part have different ones.
    fn tag(id: ChunkId) -> u16 {
        let within = u16::from(id.of.rendition) << 12 | u16::from(id.of.layer) << 10 | id.index;
        within ^ (id.part.part as u16).wrapping_mul(0x9e37)
    }
}

impl Payload for Sham {
    fn size(&self) -> usize {
        self.len as usize
    }
}

/// Every table the origin made, by where its bytes lie: peers of one process hold the very same.
type Shelf = Rc<RefCell<HashMap<usize, (Bytes, Verified)>>>;

/// Makes shams.
#[derive(Debug, Default)]
pub struct Simulated(Shelf);

impl Crypto for Simulated {
    type Payload = Sham;
    type Verifier = SimulatedCrypto;
    const NAME: &'static str = "SimulatedCrypto";

    fn new(_seed: u64) -> Self {
        Self::default()
    }

    fn key(&self) -> PublicKey {
        [0; 32]
    }

    fn seal(&mut self, body: Vec<u8>, means: Verified) -> Bytes {
        let message = Bytes::from(sealed(body, &[0; 64]));
        self.0.borrow_mut().insert(message.as_ptr() as usize, (message.clone(), means));
        message
    }

    fn layer(&mut self, part: PartId, of: LayerId, size: usize, substreams: u8) -> (LayerPart, Vec<Sham>) {
        let count = chunk_count(size, substreams);
        let sham = |index| Sham {
            tag: Sham::tag(ChunkId { part, of, index: index as u16 }),
            len: chunk_range(size, count, index).len() as u32,
            truth: true,
        };
        (LayerPart { size: size as u32, hashes: vec![[0; 16]; count] }, (0..count).map(sham).collect())
    }

    fn verifier(&self) -> SimulatedCrypto {
        SimulatedCrypto(self.0.clone())
    }

    fn spoiled(payload: &Sham) -> Sham {
        Sham { truth: false, ..payload.clone() }
    }
}

/// Believes what the origin put on the shelf, and chunks that are what they claim.
#[derive(Debug, Clone)]
pub struct SimulatedCrypto(Shelf);

impl Verifier for SimulatedCrypto {
    type Payload = Sham;

    fn table(&mut self, message: &Bytes) -> Result<Verified, Distrust> {
        let shelf = self.0.borrow();
        let known = shelf.get(&(message.as_ptr() as usize)).filter(|(held, _)| held.len() == message.len());
        known.map(|(_, means)| means.clone()).ok_or(Distrust::Signature)
    }

    fn is_chunk(&mut self, descriptor: &Descriptor, id: ChunkId, payload: &Sham) -> bool {
        let layer = descriptor
            .tracks
            .get(usize::from(id.of.rendition))
            .and_then(|track| track.layers.get(usize::from(id.of.layer)));
        layer.is_some_and(|layer| {
            let (count, index) = (layer.hashes.len(), usize::from(id.index));
            let len = chunk_range(layer.size as usize, count, index).len();
            payload.truth && payload.tag == Sham::tag(id) && index < count && payload.size() == len
        })
    }
}

/// What a catalogue means.
pub fn catalogue_means(catalogue: &Catalogue) -> Verified {
    Verified::Catalogue(catalogue.clone().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use trellis_proto::RunId;
    use trellis_proto::descriptor::TrackPart;

    fn tells_true_from_false<C: Crypto>() -> usize {
        let mut crypto = C::new(5);
        let (part, of) = (PartId { run: RunId(1), part: 9 }, LayerId { rendition: 0, layer: 0 });
        let (layer, chunks) = crypto.layer(part, of, 100_001, 16);
        let descriptor = Descriptor {
            run: part.run,
            part: part.part,
            msn: 0,
            index: 0,
            independent: true,
            last_of_segment: false,
            discontinuity: false,
            start_us: 0,
            tracks: vec![TrackPart { duration_us: 333_333, layers: vec![layer] }],
        };
        let message = crypto.seal(descriptor.encode(), Verified::Descriptor(Arc::new(descriptor.clone())));
        let mut verifier = crypto.verifier();
        assert!(matches!(verifier.table(&message), Ok(Verified::Descriptor(it)) if *it == descriptor));
        assert!(verifier.table(&Bytes::copy_from_slice(&message[..message.len() - 1])).is_err());
        let id = |index| ChunkId { part, of, index };
        assert!(verifier.is_chunk(&descriptor, id(3), &chunks[3]));
        assert!(!verifier.is_chunk(&descriptor, id(4), &chunks[3]));
        assert!(!verifier.is_chunk(&descriptor, id(3), &C::spoiled(&chunks[3])));
        assert_eq!(chunks.iter().map(Payload::size).sum::<usize>(), 100_001);
        message.len()
    }

    #[test]
    fn both_tell_true_from_false_and_their_tables_are_equally_long() {
        assert_eq!(tells_true_from_false::<Real>(), tells_true_from_false::<Simulated>());
    }
}
