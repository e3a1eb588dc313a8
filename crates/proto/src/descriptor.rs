//! What does one part time of a run consist of? Enough to write playlists from and to check every byte.

use alloc::vec::Vec;

use crate::catalogue::Catalogue;
use crate::id::{ChunkHash, RunId};
use crate::limits::{CHUNK_BYTES_MAX, CHUNKS_MAX, LAYERS_MAX, NUMBER_MAX, PART_BYTES_MAX, RENDITIONS_MAX};
use crate::table::VERSION;
use crate::wire::{DecodeError, Reader, Writer};

/// One part time of all renditions together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The run.
    pub run: RunId,
    /// Number within the run, from 0, without gaps.
    pub part: u64,
    /// Media sequence number of the segment it belongs to.
    pub msn: u64,
    /// Number within its segment, from 0.
    pub index: u16,
    /// Starts with a key frame in every video rendition.
    pub independent: bool,
    /// The segment is complete with this part.
    pub last_of_segment: bool,
    /// The run's first part, and another run came before it.
    pub discontinuity: bool,
    /// Start on the run's media time line, in µs.
    pub start_us: u64,
    /// One per rendition, in catalogue order.
    pub tracks: Vec<TrackPart>,
}

/// One rendition's share of a part time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackPart {
    /// How long it plays, in µs.
    pub duration_us: u32,
    /// One per layer, in catalogue order.
    pub layers: Vec<LayerPart>,
}

/// One layer of one rendition's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPart {
    /// Bytes.
    pub size: u32,
    /// One per chunk, see [`chunk_count`] and [`chunk_range`].
    pub hashes: Vec<ChunkHash>,
}

impl TrackPart {
    /// Bytes of all layers.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| u64::from(layer.size)).sum()
    }
}

/// How many chunks a layer of `size` bytes has with `substreams` = K: n·K, n the least that keeps each chunk
/// within [`CHUNK_BYTES_MAX`]. A layer without bytes has none.
pub fn chunk_count(size: usize, substreams: u8) -> usize {
    let k = usize::from(substreams.max(1));
    if size == 0 { 0 } else { size.div_ceil(k * CHUNK_BYTES_MAX) * k }
}

/// Where chunk `index` of `count` lies in a layer of `size` bytes. All are equally long but for the end, where
/// the last may be shorter and, in a tiny layer, empty.
pub fn chunk_range(size: usize, count: usize, index: usize) -> core::ops::Range<usize> {
    let len = size.div_ceil(count.max(1));
    (index * len).min(size)..((index + 1) * len).min(size)
}

impl Descriptor {
    /// The table kind on the wire.
    pub const KIND: u8 = 2;

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(VERSION, Self::KIND);
        w.array(&self.run.0.to_be_bytes()).varint(self.part).varint(self.msn).varint(self.index.into());
        w.u8(u8::from(self.independent) | u8::from(self.last_of_segment) << 1 | u8::from(self.discontinuity) << 2);
        w.varint(self.start_us).u8(self.tracks.len() as u8);
        for track in &self.tracks {
            w.varint(track.duration_us.into()).u8(track.layers.len() as u8);
            for layer in &track.layers {
                w.varint(layer.size.into()).varint(layer.hashes.len() as u64);
                layer.hashes.iter().for_each(|hash| {
                    w.array(hash);
                });
            }
        }
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body, VERSION, Self::KIND)?;
        let run = RunId(u64::from_be_bytes(r.array()?));
        let part = r.varint("part", NUMBER_MAX)?;
        let msn = r.varint("msn", NUMBER_MAX)?;
        let index = r.varint("index", u16::MAX.into())? as u16;
        let flags = r.u8()?;
        if flags > 7 {
            return Err(DecodeError::Field("flags"));
        }
        let start_us = r.varint("start_us", 1 << 56)?;
        let tracks = many(&mut r, "tracks", RENDITIONS_MAX, TrackPart::decode)?;
        r.finish()?;
        Ok(Self {
            run,
            part,
            msn,
            index,
            independent: flags & 1 != 0,
            last_of_segment: flags & 2 != 0,
            discontinuity: flags & 4 != 0,
            start_us,
            tracks,
        })
    }

    /// Run and part number of a signed or unsigned descriptor, without looking further; None: it is none.
    pub fn peek(message: &[u8]) -> Option<(RunId, u64)> {
        let mut r = Reader::new(message, VERSION, Self::KIND).ok()?;
        let run = RunId(u64::from_be_bytes(r.array().ok()?));
        Some((run, r.varint("part", NUMBER_MAX).ok()?))
    }

    /// Does it have the shape its catalogue prescribes: run, renditions, layers, chunks per layer?
    pub fn fits(&self, catalogue: &Catalogue) -> bool {
        self.run == catalogue.run
            && self.tracks.len() == catalogue.renditions.len()
            && self.tracks.iter().zip(&catalogue.renditions).all(|(track, rendition)| {
                track.layers.len() == rendition.layers.len()
                    && track
                        .layers
                        .iter()
                        .zip(&rendition.layers)
                        .all(|(part, layer)| part.hashes.len() == chunk_count(part.size as usize, layer.substreams))
            })
    }
}

impl TrackPart {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let duration_us = r.varint("duration_us", 60_000_000)? as u32;
        Ok(Self { duration_us, layers: many(r, "layers", LAYERS_MAX, LayerPart::decode)? })
    }
}

impl LayerPart {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let size = r.varint("size", PART_BYTES_MAX as u64)? as u32;
        let count = r.count("chunks", CHUNKS_MAX)?;
        if count.saturating_mul(CHUNK_BYTES_MAX) < size as usize {
            return Err(DecodeError::Field("chunks"));
        }
        let hashes = (0..count).map(|_| r.array()).collect::<Result<_, _>>()?;
        Ok(Self { size, hashes })
    }
}

fn many<T>(
    r: &mut Reader<'_>,
    field: &'static str,
    max: usize,
    decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = usize::from(r.u8()?);
    if count > max {
        return Err(DecodeError::Field(field));
    }
    (0..count).map(|_| decode(r)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_cut_into_equal_chunks_a_multiple_of_k() {
        assert_eq!(chunk_count(0, 16), 0);
        assert_eq!(chunk_count(1, 16), 16);
        assert_eq!(chunk_count(16 * CHUNK_BYTES_MAX, 16), 16);
        assert_eq!(chunk_count(16 * CHUNK_BYTES_MAX + 1, 16), 32);
        assert_eq!(chunk_range(10, 4, 3), 9..10);
        assert_eq!(chunk_range(10, 16, 15), 10..10);
    }
}
