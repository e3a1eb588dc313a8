//! What happened, in one number and, for one chunk or one peer, in words?
//!
//! The number is a rolling hash over all that happened, in order: the same seed gives the same number, with real bytes
//! or simulated ones, in any build. The words are kept only for what was asked for.

use std::fmt;

use trellis_core::time::Instant;
use trellis_proto::RunId;
use trellis_proto::frame::{ChunkId, LayerId, PartId, Row};

/// What to keep in words.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Everything about this chunk.
    pub chunk: Option<ChunkId>,
    /// Everything this viewer did (the number a scenario gives it, from 0).
    pub viewer: Option<u32>,
    /// Every time somebody stood still, and for what.
    pub stalls: bool,
    /// Nothing before this second.
    pub from_s: u64,
}

/// How a chunk is named on the command line: `part/rendition.layer/index`.
pub fn parse_chunk(text: &str) -> Result<ChunkId, String> {
    let parse = || {
        let mut fields = text.split('/');
        let part = fields.next()?.parse().ok()?;
        let (rendition, layer) = fields.next()?.split_once('.')?;
        let of = LayerId { rendition: rendition.parse().ok()?, layer: layer.parse().ok()? };
        let index = fields.next()?.parse().ok()?;
        fields.next().is_none().then_some(ChunkId { part: PartId { run: RunId(1), part }, of, index })
    };
    parse().ok_or_else(|| format!("`{text}` is not part/rendition.layer/index, such as 120/0.0/5"))
}

/// A chunk as the command line names it.
#[derive(Debug, Clone, Copy)]
pub struct Named(pub ChunkId);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChunkId { part, of, index } = self.0;
        write!(f, "{}/{}.{}/{index}", part.part, of.rendition, of.layer)
    }
}

/// Lines kept at most.
const LINES_MAX: usize = 20_000;

/// The hash and the words.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    hash: u64,
    filter: Filter,
    lines: Vec<String>,
}

impl Trace {
    /// Keeps what the filter lets through.
    pub fn new(filter: Filter) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, filter, lines: Vec::new() }
    }

    /// Something happened.
    pub fn note(&mut self, now: Instant, what: u32, who: u64, detail: u64) {
        for word in [now.0, u64::from(what) << 48 ^ who, detail] {
            self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }

    /// All of it, in one number.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Was nothing asked for?
    pub fn is_silent(&self) -> bool {
        self.filter.chunk.is_none() && self.filter.viewer.is_none()
    }

    /// Is it worth putting into words?
    pub fn wants(&self, chunk: Option<ChunkId>, viewers: [Option<u32>; 2]) -> bool {
        let chunk_fits = self.filter.chunk.is_some_and(|wanted| chunk == Some(wanted));
        let viewer_fits = self.filter.viewer.is_some_and(|wanted| viewers.contains(&Some(wanted)));
        match (self.filter.chunk, self.filter.viewer) {
            (None, None) => false,
            (Some(_), None) => chunk_fits,
            (None, Some(_)) => viewer_fits,
            (Some(_), Some(_)) => chunk_fits && viewer_fits,
        }
    }

    /// Is this viewer's standing still asked about?
    pub fn wants_stall(&self, viewer: u32) -> bool {
        self.filter.stalls || self.wants(None, [Some(viewer), None])
    }

    /// The chunk that is asked about, if these rows name it.
    pub fn in_rows(&self, rows: &[Row]) -> Option<ChunkId> {
        self.filter.chunk.filter(|id| {
            rows.iter().any(|row| row.part == id.part && row.of == id.of && row.chunks.contains(usize::from(id.index)))
        })
    }

    /// Keeps a line.
    pub fn tell(&mut self, now: Instant, line: &str) {
        if now.0 >= self.filter.from_s * 1_000_000 && self.lines.len() < LINES_MAX {
            self.lines.push(format!("{:>12.6}  {line}", now.0 as f64 / 1e6));
        }
    }

    /// Keeps a line about one of these viewers, if it was asked about.
    pub fn tell_if(&mut self, now: Instant, viewers: [Option<u32>; 2], line: &str) {
        if self.wants(None, viewers) {
            self.tell(now, line);
        }
    }

    /// The words.
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_named_and_order_matters() {
        let id = parse_chunk("120/1.0/5").unwrap();
        assert_eq!(Named(id).to_string(), "120/1.0/5");
        assert!(parse_chunk("120/1/5").is_err() && parse_chunk("1/0.0/5/6").is_err());
        let hash = |order: [u64; 2]| {
            let mut trace = Trace::default();
            order.iter().for_each(|who| trace.note(Instant(1), 2, *who, 0));
            trace.hash()
        };
        assert_ne!(hash([1, 2]), hash([2, 1]));
    }
}
