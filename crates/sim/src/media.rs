//! What is streamed? Parts whose sizes follow a recorded clip, scaled to the rates a scenario asks for.
//!
//! Part sizes matter more than their mean: a part with a key frame is several times another, and all its chunks appear
//! at once.

use std::sync::Arc;

use bytes::Bytes;
use trellis_core::cluster::Chunks;
use trellis_core::trust::{Verified, chunk};
use trellis_proto::frame::{ChunkId, LayerId, PartId};
use trellis_proto::{Catalogue, Descriptor, EndReason, Layer, Media, Mode, Rendition, RunEnd, RunId, TrackPart};

use crate::crypto::Crypto;
use crate::scenario::{self, Invalid};

/// The demo's clip.
const SAMPLE: &str = include_str!("../traces/sample-720p.csv");
/// The one run of a simulation.
const RUN: RunId = RunId(1);

/// Bytes per part of a recorded clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    independent: Vec<bool>,
    columns: Vec<(String, Vec<f64>)>,
}

impl Trace {
    /// The demo's clip.
    pub fn sample() -> Self {
        Self::parse(SAMPLE).expect("the built-in trace is good")
    }

    /// Comma-separated: a heading `independent,<column>,…`, then a row per part; lines with # are skipped.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut rows = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let heading: Vec<_> = rows.next().unwrap_or_default().split(',').map(str::trim).collect();
        if heading.len() < 2 || heading[0] != "independent" {
            return Err(Invalid::Trace("its heading is not `independent,<column>,…`".into()));
        }
        let mut trace = Self {
            independent: Vec::new(),
            columns: heading[1..].iter().map(|name| ((*name).to_string(), Vec::new())).collect(),
        };
        for row in rows {
            let cells: Vec<_> = row.split(',').map(|cell| cell.trim().parse::<f64>()).collect();
            let (true, Ok(cells)) = (cells.len() == heading.len(), cells.into_iter().collect::<Result<Vec<_>, _>>())
            else {
                return Err(Invalid::Trace(format!("`{row}` is not {} numbers", heading.len())));
            };
            trace.independent.push(cells[0] != 0.0);
            trace.columns.iter_mut().zip(&cells[1..]).for_each(|((_, column), cell)| column.push(*cell));
        }
        match trace.independent.first() {
            Some(true) => Ok(trace),
            _ => Err(Invalid::Trace("its first part must be independent".into())),
        }
    }

    /// Sizes of one column with this mean, bytes; with the independent parts `key_times` the mean when that is given.
    fn scaled(&self, name: &str, mean: f64, key_times: Option<f64>) -> Result<Vec<f64>, Invalid> {
        let column = self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column);
        let mut sizes = column.ok_or_else(|| Invalid::Trace(format!("it has no column `{name}`")))?.clone();
        let sum = |sizes: &[f64], key: bool| -> f64 {
            sizes.iter().zip(&self.independent).filter(|(_, is)| **is == key).map(|(size, _)| size).sum()
        };
        let (count, keys) = (sizes.len() as f64, self.independent.iter().filter(|is| **is).count() as f64);
        let total = sum(&sizes, true) + sum(&sizes, false);
        let mut factors = [mean * count / total; 2];
        if let Some(times) = key_times {
            if times * keys >= count {
                return Err(Invalid::Trace(format!("key_times = {times} leaves nothing for the parts between")));
            }
            factors = [mean * (count - times * keys) / sum(&sizes, false), mean * times * keys / sum(&sizes, true)];
        }
        sizes.iter_mut().zip(&self.independent).for_each(|(size, key)| *size *= factors[usize::from(*key)]);
        Ok(sizes)
    }
}

/// One part time as the origin made it.
#[derive(Debug, Clone)]
pub struct Made<P> {
    /// What it consists of.
    pub descriptor: Arc<Descriptor>,
    /// That, signed.
    pub message: Bytes,
    /// Its chunks.
    pub chunks: Arc<Chunks<P>>,
}

/// Makes parts, and knows the truth about every chunk.
pub struct Origin<C: Crypto> {
    /// Keys.
    pub crypto: C,
    /// What the run consists of.
    pub catalogue: Arc<Catalogue>,
    /// That, signed.
    pub message: Bytes,
    trace: Trace,
    /// By rendition, by layer, by row of the trace: bytes.
    sizes: Vec<Vec<Vec<f64>>>,
    parts: Vec<Made<C::Payload>>,
    msn: u64,
    index: u16,
}

impl<C: Crypto> Origin<C> {
    /// For a scenario's stream.
    pub fn new(stream: &scenario::Stream, trace: Trace, seed: u64) -> Result<Self, Invalid> {
        let mut crypto = C::new(seed);
        let part_us = stream.part_us;
        let (mut sizes, mut renditions) = (Vec::new(), Vec::new());
        for rendition in &stream.rendition {
            let mean = |share: f64| rendition.bps as f64 * share * f64::from(part_us) / 8e6;
            let of_layers: Result<Vec<_>, _> = rendition
                .layers
                .iter()
                .map(|share| trace.scaled(&rendition.column, mean(*share), rendition.key_times))
                .collect();
            sizes.push(of_layers?);
            renditions.push(signed_rendition(rendition, part_us));
        }
        let catalogue = Arc::new(Catalogue {
            stream: "sim".parse().expect("a good name"),
            run: RUN,
            key: crypto.key(),
            mode: if stream.on_demand { Mode::Vod } else { Mode::Live },
            started_ms: 0,
            first_msn: 0,
            discontinuity: 0,
            part_target_us: part_us,
            segment_target_s: 2,
            window_s: 120,
            renditions,
        });
        let message = crypto.seal(catalogue.encode(), Verified::Catalogue(catalogue.clone()));
        Ok(Self { crypto, catalogue, message, trace, sizes, parts: Vec::new(), msn: 0, index: 0 })
    }

    /// The next part.
    pub fn make(&mut self) -> Made<C::Payload> {
        let number = self.parts.len();
        let row = number % self.trace.independent.len();
        let independent = self.trace.independent[row];
        if independent && number > 0 {
            (self.msn, self.index) = (self.msn + 1, 0);
        }
        let part = PartId { run: RUN, part: number as u64 };
        let (mut tracks, mut chunks) = (Vec::new(), Vec::new());
        for (rendition, sizes) in self.sizes.iter().enumerate() {
            let (mut layers, mut of_rendition) = (Vec::new(), Vec::new());
            for (layer, sizes) in sizes.iter().enumerate() {
                let of = LayerId { rendition: rendition as u8, layer: layer as u8 };
                let k = self.catalogue.renditions[rendition].layers[layer].substreams;
                let (described, of_layer) = self.crypto.layer(part, of, sizes[row].max(1.0) as usize, k);
                layers.push(described);
                of_rendition.push(of_layer);
            }
            tracks.push(TrackPart { duration_us: self.catalogue.part_target_us, layers });
            chunks.push(of_rendition);
        }
        let descriptor = Arc::new(Descriptor {
            run: RUN,
            part: number as u64,
            msn: self.msn,
            index: self.index,
            independent,
            last_of_segment: self.trace.independent[(row + 1) % self.trace.independent.len()],
            discontinuity: false,
            start_us: number as u64 * u64::from(self.catalogue.part_target_us),
            tracks,
        });
        self.index += 1;
        let message = self.crypto.seal(descriptor.encode(), Verified::Descriptor(descriptor.clone()));
        let made = Made { descriptor, message, chunks: Arc::new(chunks) };
        self.parts.push(made.clone());
        made
    }

    /// What was made is all there is.
    pub fn end(&mut self) -> (RunEnd, Bytes) {
        let end = RunEnd { run: RUN, parts: self.parts.len() as u64, reason: EndReason::Ended };
        (end, self.crypto.seal(end.encode(), Verified::RunEnd(end)))
    }

    /// Descriptors from one on, signed.
    pub fn messages(&self, from: PartId, count: u8) -> Vec<Bytes> {
        let from = usize::try_from(from.part).unwrap_or(usize::MAX);
        self.parts.iter().skip(from).take(count.into()).map(|made| made.message.clone()).collect()
    }

    /// What was made.
    pub fn parts(&self) -> &[Made<C::Payload>] {
        &self.parts
    }

    /// The true bytes of a chunk.
    pub fn chunk(&self, id: ChunkId) -> Option<&C::Payload> {
        let made = self.parts.get(usize::try_from(id.part.part).ok()?).filter(|_| id.part.run == RUN)?;
        made.chunks.get(usize::from(id.of.rendition))?.get(usize::from(id.of.layer))?.get(usize::from(id.index))
    }
}

impl<C: Crypto> std::fmt::Debug for Origin<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("parts", &self.parts.len()).finish_non_exhaustive()
    }
}

fn signed_rendition(rendition: &scenario::Rendition, part_us: u32) -> Rendition {
    let sound = rendition.column.starts_with('a');
    let k = |share: &f64| Layer { substreams: chunk::substreams((rendition.bps as f64 * share) as u64, part_us) };
    Rendition {
        media: if sound {
            Media::Audio { sample_rate: 48_000, channels: 2 }
        } else {
            Media::Video { width: 1280, height: 720, frame_rate_millihertz: 30_000 }
        },
        codecs: if sound { "mp4a.40.2" } else { "avc1.64001f" }.into(),
        language: String::new(),
        bandwidth: rendition.bps,
        init_size: 0,
        init_hash: [0; 32],
        layers: rendition.layers.iter().map(k).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Simulated;
    use trellis_core::trust::Payload;

    #[test]
    fn parts_have_the_rate_asked_for_and_key_frames_weigh_what_they_should() {
        let stream = scenario::Stream {
            rendition: vec![scenario::Rendition { bps: 2_500_000, key_times: Some(3.0), ..Default::default() }],
            ..Default::default()
        };
        let mut origin = Origin::<Simulated>::new(&stream, Trace::sample(), 1).unwrap();
        let sizes: Vec<_> = (0..96).map(|_| origin.make().descriptor.tracks[0].size()).collect();
        let mean = sizes.iter().sum::<u64>() as f64 / 96.0;
        assert!((mean - 2.5e6 / 24.0).abs() < 2.0, "{mean}");
        let keys: f64 = sizes.iter().step_by(6).sum::<u64>() as f64 / 16.0;
        assert!((keys / mean - 3.0).abs() < 0.01, "{}", keys / mean);
        let made = &origin.parts()[90];
        assert!(made.descriptor.fits(&origin.catalogue) && made.descriptor.independent && made.descriptor.msn == 15);
        assert_eq!(made.chunks[0][0].iter().map(Payload::size).sum::<usize>() as u64, sizes[90]);
    }

    #[test]
    fn a_bad_trace_is_told_what_is_wrong() {
        for bad in ["", "a,b\n1,2", "independent,v0\n0,5", "independent,v0\n1", "independent,v0\n1,x"] {
            assert!(matches!(Trace::parse(bad), Err(Invalid::Trace(_))), "{bad}");
        }
    }
}
