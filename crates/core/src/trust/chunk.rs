//! Are these bytes the chunk the origin signed? Nothing else makes a [`VerifiedChunk`].

use alloc::vec::Vec;

use bytes::Bytes;
use trellis_proto::descriptor::{LayerPart, chunk_count, chunk_range};
use trellis_proto::{ChunkHash, Hash};

/// Bytes that were checked against a signed hash. Stores, players and uploads accept nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChunk<P = Bytes>(P);

impl<P> VerifiedChunk<P> {
    /// Only [`super`] knows a way to be sure.
    pub(super) fn vouched(payload: P) -> Self {
        Self(payload)
    }

    /// What was checked.
    pub fn payload(&self) -> &P {
        &self.0
    }

    /// What was checked.
    pub fn into_bytes(self) -> P {
        self.0
    }
}

/// Checks chunk `index` of a layer's part. None: not what was signed.
pub fn check(layer: &LayerPart, index: usize, bytes: Bytes) -> Option<VerifiedChunk> {
    let expected = layer.hashes.get(index)?;
    let range = chunk_range(layer.size as usize, layer.hashes.len(), index);
    (bytes.len() == range.len() && &chunk_hash(&bytes) == expected).then_some(VerifiedChunk(bytes))
}

/// Checks an init segment against its catalogue's hash. None: not what was signed.
pub fn check_init(hash: &Hash, bytes: Bytes) -> Option<VerifiedChunk> {
    (init_hash(&bytes) == *hash).then_some(VerifiedChunk(bytes))
}

/// The hash catalogues list.
pub fn init_hash(bytes: &[u8]) -> Hash {
    *blake3::hash(bytes).as_bytes()
}

/// The hash descriptors list: the first 16 bytes of BLAKE3.
pub fn chunk_hash(bytes: &[u8]) -> ChunkHash {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes")
}

/// Describes a layer of a part that is cut into substreams: what the origin signs.
pub fn describe(bytes: &[u8], substreams: u8) -> LayerPart {
    let count = chunk_count(bytes.len(), substreams);
    let hashes: Vec<_> = (0..count).map(|i| chunk_hash(&bytes[chunk_range(bytes.len(), count, i)])).collect();
    LayerPart { size: bytes.len() as u32, hashes }
}

/// K for a layer of this bit rate and part time: the power of two that brings a mean chunk closest to 4 KiB, so
/// that a hop costs little and headers cost less (2.5 Mbit/s: 16, 312 kbit/s: 4, audio: 1).
pub fn substreams(bits_per_second: u64, part_time_us: u32) -> u8 {
    let mean = bits_per_second * u64::from(part_time_us) / 8_000_000;
    let mut k = 1u8;
    // Double while the chunk stays above 4 KiB·√2, the geometric middle between two powers of two.
    while k < trellis_proto::limits::SUBSTREAMS_MAX && mean > u64::from(k) * 5_793 {
        k *= 2;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_described_bytes_in_their_place_are_verified() {
        let part: Bytes = (0..50_000u32).map(|i| i as u8).collect();
        let layer = describe(&part, 4);
        assert_eq!(layer.hashes.len(), 4);
        let chunk = |i| part.slice(chunk_range(part.len(), 4, i));
        assert_eq!(check(&layer, 1, chunk(1)).map(VerifiedChunk::into_bytes), Some(chunk(1)));
        let mut flipped = chunk(1).to_vec();
        flipped[7] ^= 1;
        assert_eq!(check(&layer, 1, flipped.into()), None);
        assert_eq!(check(&layer, 3, chunk(1)), None);
        assert_eq!(check(&layer, 1, chunk(1).slice(1..)), None);
        assert_eq!(check(&layer, 4, chunk(1)), None);
    }

    #[test]
    fn k_follows_the_rate() {
        let part = 333_333;
        assert_eq!(
            [64_000, 128_000, 312_000, 2_500_000, 20_000_000].map(|rate| substreams(rate, part)),
            [1, 1, 4, 16, 16]
        );
    }
}
