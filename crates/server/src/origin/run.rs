//! One publishing: from the packager's events to signed tables and objects on the shelf.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use trellis_core::trust::chunk::{describe, substreams};
use trellis_ingest::packager::{self, Event, Packager, Part, Shape};
use trellis_media::timeline::Timeline;
use trellis_proto::catalogue::is_language;
use trellis_proto::{
    Catalogue, Descriptor, EndReason, Layer, Media, Mode, Rendition, RunEnd, RunId, Table, TrackPart, limits,
};

use super::vault::Recording;
use super::{Channel, Origin};
use crate::clock::unix_ms;
use crate::keyfile;
use crate::shelf::{Item, Key, Object};

/// A run in the making.
pub struct Run {
    origin: Arc<Origin>,
    channel: Arc<Channel>,
    packager: Packager,
    mode: Mode,
    started: Option<Started>,
    parts: u64,
    bytes: u64,
    warnings: Vec<String>,
}

/// What is known once the packager has seen the shape.
struct Started {
    catalogue: Catalogue,
    recording: Option<Recording>,
    msn: u64,
    index: u16,
}

/// How a publisher left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It said so, or its media cannot be taken any further.
    Done,
    /// It vanished and may return.
    Lost,
}

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The media.
    #[error(transparent)]
    Media(#[from] packager::Error),
    /// A recording cannot be written.
    #[error(transparent)]
    Disk(#[from] std::io::Error),
    /// The media is beyond what tables can say.
    #[error("{0}")]
    Table(String),
}

impl Run {
    /// Nothing is known yet.
    pub fn new(origin: Arc<Origin>, channel: Arc<Channel>, mode: Mode, options: packager::Options) -> Self {
        Self {
            origin,
            channel,
            packager: Packager::new(options),
            mode,
            started: None,
            parts: 0,
            bytes: 0,
            warnings: Vec::new(),
        }
    }

    /// Parts so far.
    pub fn parts(&self) -> u64 {
        self.parts
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What the publisher should change, each kind once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Takes the publisher's next bytes.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), RunError> {
        self.bytes += bytes.len() as u64;
        metrics::counter!("trellis_origin_ingest_bytes_total").increment(bytes.len() as u64);
        let pushed = self.packager.push(bytes);
        self.drain().await?;
        Ok(pushed?)
    }

    /// Ends the run. A publisher that is lost has the grace time to return in; an unfinished recording goes.
    pub async fn finish(&mut self, how: Finish) -> Result<(), RunError> {
        let finished = self.packager.finish();
        self.drain().await?;
        let Some(started) = self.started.take() else {
            return Ok(finished?);
        };
        let reason = if how == Finish::Lost && self.mode == Mode::Live { EndReason::Paused } else { EndReason::Ended };
        let end = RunEnd { run: started.catalogue.run, parts: self.parts, reason };
        match started.recording {
            Some(recording) if how == Finish::Lost => recording.discard().await,
            Some(mut recording) => {
                recording.table(&self.origin.signer.seal(end.encode())).await?;
                recording.flush().await?;
                self.origin.vault.remove_others(self.channel.shelf.stream(), end.run);
            }
            None => {}
        }
        self.origin.end_run(&self.channel, end);
        tracing::info!(stream = %self.channel.shelf.stream(), run = %end.run, parts = end.parts, ?reason, "run over");
        Ok(finished?)
    }

    async fn drain(&mut self) -> Result<(), RunError> {
        let mut events: Vec<_> = std::iter::from_fn(|| self.packager.poll()).collect();
        if let Some(at) = events.iter().position(|event| matches!(event, Event::Shape(_))) {
            // What was held back until the shape was known has already been played at the source.
            let held_us = events[at..]
                .iter()
                .map(|e| if let Event::Part(part) = e { u64::from(part.duration_us) } else { 0 })
                .sum();
            if let Event::Shape(shape) = events.remove(at) {
                self.start(shape, held_us).await?;
            }
        }
        for event in events {
            match event {
                Event::Part(part) => self.add(part).await?,
                Event::Warning(warning) => {
                    tracing::warn!(stream = %self.channel.shelf.stream(), "{warning}");
                    self.warnings.push(warning.to_string());
                }
                Event::Shape(_) => {}
            }
        }
        Ok(())
    }

    async fn start(&mut self, shape: Shape, held_us: u64) -> Result<(), RunError> {
        let catalogue = self.catalogue(&shape, held_us)?;
        let run = catalogue.run;
        let inits: Vec<_> = shape.renditions.into_iter().map(|rendition| rendition.init).collect();
        let signed = self.origin.signer.seal(catalogue.encode());
        let recording = match self.mode {
            Mode::Live => None,
            Mode::Vod => {
                let mut recording = self.origin.vault.record(self.channel.shelf.stream(), run, &inits).await?;
                recording.table(&signed).await?;
                Some(recording)
            }
        };
        for (index, init) in inits.into_iter().enumerate() {
            self.channel.shelf.put(Key { run, rendition: index as u8, item: Item::Init }, Object::ready(init));
        }
        let msn = catalogue.first_msn;
        // From here on there is a newer run: a grace time that ticks for the one before is none of its business.
        self.channel.runs.fetch_add(1, Ordering::SeqCst);
        self.apply(Table::Catalogue(catalogue.clone()), signed)?;
        self.started = Some(Started { catalogue, recording, msn, index: 0 });
        Ok(())
    }

    fn catalogue(&self, shape: &Shape, held_us: u64) -> Result<Catalogue, RunError> {
        if shape.renditions.len() > limits::RENDITIONS_MAX {
            return Err(RunError::Table(format!(
                "at most {} renditions, this has {}",
                limits::RENDITIONS_MAX,
                shape.renditions.len()
            )));
        }
        let (first_msn, discontinuity) = self.continuing();
        let renditions =
            shape.renditions.iter().map(|r| rendition(r, shape.part_target_us)).collect::<Result<_, _>>()?;
        Ok(Catalogue {
            stream: self.channel.shelf.stream().clone(),
            run: fresh_run(),
            key: self.origin.signer.public_key(),
            mode: self.mode,
            started_ms: unix_ms() - held_us / 1000,
            first_msn,
            discontinuity,
            part_target_us: shape.part_target_us,
            segment_target_s: u8::try_from(shape.segment_target_s)
                .map_err(|_| RunError::Table("keyframes are minutes apart; set -g to 2 s".into()))?,
            window_s: self.origin.config.dvr_window_s,
            renditions,
        })
    }

    /// Where the stream's numbers stand. After a restart of the origin they go on from the clock: a segment lasts two
    /// seconds or more, so half the Unix time is never behind what players have seen.
    fn continuing(&self) -> (u64, u64) {
        if self.mode == Mode::Vod {
            return (0, 0);
        }
        self.channel.shelf.look(Timeline::next_run).unwrap_or_else(|| (unix_ms() / 2_000, 0))
    }

    async fn add(&mut self, part: Part) -> Result<(), RunError> {
        let Some(started) = &mut self.started else { return Ok(()) };
        if part.segment_start && self.parts > 0 {
            started.msn += 1;
            started.index = 0;
        }
        let descriptor = descriptor(started, &part)?;
        let signed = self.origin.signer.seal(descriptor.encode());
        self.parts += 1;
        started.index += 1;
        let run = started.catalogue.run;
        for (index, track) in part.tracks.into_iter().enumerate() {
            match &mut started.recording {
                Some(recording) => recording.media(index, &track.data).await?,
                None => {
                    let key = Key { run, rendition: index as u8, item: Item::Part(part.number) };
                    self.channel.shelf.put(key, Object::ready(track.data));
                }
            }
        }
        if let Some(recording) = &mut started.recording {
            recording.table(&signed).await?;
            recording.flush().await?;
        }
        metrics::counter!("trellis_origin_parts_total").increment(1);
        self.apply(Table::Descriptor(descriptor), signed)
    }

    fn apply(&self, table: Table, signed: Bytes) -> Result<(), RunError> {
        let first = matches!(&table, Table::Descriptor(d) if d.part == 0);
        let applied = self.channel.shelf.apply(table, signed);
        if first {
            self.origin.news.notify_one();
        }
        applied.map_err(|error| RunError::Table(error.to_string()))
    }
}

fn descriptor(started: &Started, part: &Part) -> Result<Descriptor, RunError> {
    let catalogue = &started.catalogue;
    let track = |(track, rendition): (&packager::TrackPart, &Rendition)| {
        if track.data.len() > limits::PART_BYTES_MAX {
            return Err(RunError::Table(format!(
                "a part of {} bytes is too large; lower the bit rate",
                track.data.len()
            )));
        }
        let layer = describe(&track.data, rendition.layers[0].substreams);
        Ok(TrackPart { duration_us: track.duration_us, layers: vec![layer] })
    };
    let tracks = part.tracks.iter().zip(&catalogue.renditions).map(track).collect::<Result<_, _>>()?;
    Ok(Descriptor {
        run: catalogue.run,
        part: part.number,
        msn: started.msn,
        index: started.index,
        independent: part.independent,
        last_of_segment: part.last_of_segment,
        discontinuity: part.number == 0 && catalogue.discontinuity > 0,
        start_us: part.start_us,
        tracks,
    })
}

fn rendition(from: &packager::Rendition, part_target_us: u32) -> Result<Rendition, RunError> {
    if from.init.len() > limits::INIT_BYTES_MAX {
        return Err(RunError::Table(format!(
            "the init segment of {} is larger than {} bytes",
            from.name,
            limits::INIT_BYTES_MAX
        )));
    }
    let rate = u64::from(from.bitrate_peak);
    Ok(Rendition {
        media: match from.media {
            packager::Media::Video { width, height, frame_rate } => {
                Media::Video { width, height, frame_rate_millihertz: frame_rate.millihertz() }
            }
            packager::Media::Audio { sample_rate, channels } => {
                Media::Audio { sample_rate, channels: u8::try_from(channels).unwrap_or(u8::MAX) }
            }
        },
        codecs: from.codec.clone(),
        language: language(&from.language),
        bandwidth: rate,
        init_size: from.init.len() as u32,
        init_hash: trellis_core::trust::chunk::init_hash(&from.init),
        layers: vec![Layer { substreams: substreams(rate, part_target_us) }],
    })
}

/// What the publisher stated, unless that says nothing or is no tag.
fn language(stated: &str) -> String {
    if stated == "und" || !is_language(stated) { String::new() } else { stated.to_owned() }
}

/// Milliseconds in the upper 48 bits, so that ids sort by time; chance in the lower 16.
fn fresh_run() -> RunId {
    RunId(unix_ms() << 16 | u64::from(u16::from_be_bytes(keyfile::random())))
}
