//! Tables as a packager would make them, for tests.

use bytes::Bytes;
use trellis_proto::descriptor::chunk_count;
use trellis_proto::{
    Catalogue, Descriptor, EndReason, Layer, LayerPart, Media, Mode, Rendition, RunEnd, RunId, Table, TrackPart,
};

use super::{Applied, Timeline, TimelineError};

/// Says one run, table by table.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) catalogue: Catalogue,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
struct Next {
    part: u64,
    msn: u64,
    index: u16,
    start_us: u64,
}

impl Source {
    /// A live run of two video renditions and one of audio, at 30 frames per second in parts of ten.
    pub(crate) fn live(run: u64, first_msn: u64, discontinuity: u64) -> Self {
        let catalogue = Catalogue {
            stream: "demo".parse().expect("a good name"),
            run: RunId(run),
            key: [7; 32],
            mode: Mode::Live,
            started_ms: 1_790_000_000_000 + 60_000 * run,
            first_msn,
            discontinuity,
            part_target_us: 333_334,
            segment_target_s: 2,
            window_s: 60,
            renditions: vec![video(1280, 720, 1_400_000), video(640, 360, 400_000), audio()],
        };
        Self::new(catalogue)
    }

    pub(crate) fn new(catalogue: Catalogue) -> Self {
        let next = Next { part: 0, msn: catalogue.first_msn, index: 0, start_us: 0 };
        Self { catalogue, next }
    }

    /// The next run: continues the numbers of this one.
    pub(crate) fn again(&self, run: u64) -> Self {
        let first_msn = self.next.msn + u64::from(self.next.index > 0);
        Self::live(run, first_msn, self.catalogue.discontinuity + 1).window(self.catalogue.window_s)
    }

    /// Another window than a minute.
    pub(crate) fn window(mut self, window_s: u32) -> Self {
        self.catalogue.window_s = window_s;
        self
    }

    pub(crate) fn announce(&self) -> Table {
        Table::Catalogue(self.catalogue.clone())
    }

    /// The next part, `duration_us` of video and the audio frames nearest to that.
    pub(crate) fn part(&mut self, duration_us: u64, last_of_segment: bool) -> Table {
        let Next { part, msn, index, start_us } = self.next;
        let end_us = start_us + duration_us;
        let tracks = self.catalogue.renditions.iter().map(|rendition| {
            let duration_us = match rendition.media {
                Media::Video { .. } => duration_us,
                Media::Audio { .. } => aac_us(end_us) - aac_us(start_us),
            };
            TrackPart {
                duration_us: duration_us as u32,
                layers: vec![layer((rendition.bandwidth * duration_us / 8_000_000) as u32)],
            }
        });
        let descriptor = Descriptor {
            run: self.catalogue.run,
            part,
            msn,
            index,
            independent: index == 0,
            last_of_segment,
            discontinuity: part == 0 && self.catalogue.discontinuity > 0,
            start_us,
            tracks: tracks.collect(),
        };
        let (msn, index) = if last_of_segment { (msn + 1, 0) } else { (msn, index + 1) };
        self.next = Next { part: part + 1, msn, index, start_us: end_us };
        Table::Descriptor(descriptor)
    }

    /// A whole segment of six equal parts, 2 s.
    pub(crate) fn segment(&mut self) -> Vec<Table> {
        (0..6).map(|n| self.part(333_333 + u64::from(n % 3 == 2), n == 5)).collect()
    }

    pub(crate) fn segments(&mut self, count: usize) -> Vec<Table> {
        (0..count).flat_map(|_| self.segment()).collect()
    }

    pub(crate) fn end(&self, reason: EndReason) -> Table {
        Table::RunEnd(RunEnd { run: self.catalogue.run, parts: self.next.part, reason })
    }
}

pub(crate) fn video(width: u16, height: u16, bandwidth: u64) -> Rendition {
    let media = Media::Video { width, height, frame_rate_millihertz: 30_000 };
    Rendition { media, codecs: "avc1.64001f".into(), ..rendition(bandwidth) }
}

pub(crate) fn audio() -> Rendition {
    let media = Media::Audio { sample_rate: 48_000, channels: 2 };
    Rendition { media, codecs: "mp4a.40.2".into(), ..rendition(96_000) }
}

fn rendition(bandwidth: u64) -> Rendition {
    Rendition {
        media: Media::Audio { sample_rate: 0, channels: 0 },
        codecs: String::new(),
        language: String::new(),
        bandwidth,
        init_size: 700,
        init_hash: [1; 32],
        layers: vec![Layer { substreams: 4 }],
    }
}

pub(crate) fn layer(size: u32) -> LayerPart {
    LayerPart { size, hashes: vec![[3; 16]; chunk_count(size as usize, 4)] }
}

/// The end of the AAC frame (1024 samples at 48 kHz) nearest to a time, µs.
fn aac_us(us: u64) -> u64 {
    let frame = (us * 48 + 512_000) / 1_024_000;
    frame * 1_024_000 / 48
}

pub(crate) fn encode(table: &Table) -> Vec<u8> {
    match table {
        Table::Catalogue(catalogue) => catalogue.encode(),
        Table::Descriptor(descriptor) => descriptor.encode(),
        Table::RunEnd(end) => end.encode(),
    }
}

/// Applies one table; its unsigned bytes stand for the signed ones.
pub(crate) fn say(timeline: &mut Timeline, table: Table) -> Result<Applied, TimelineError> {
    let bytes = Bytes::from(encode(&table));
    timeline.apply(table, bytes)
}

/// Applies tables that must all be good; what they evicted.
pub(crate) fn say_all(timeline: &mut Timeline, tables: impl IntoIterator<Item = Table>) -> Vec<super::Evicted> {
    let mut all = Vec::new();
    for table in tables {
        match say(timeline, table).expect("a good table") {
            Applied::New(evicted) => all.extend(evicted),
            Applied::Known => {}
        }
    }
    all
}
