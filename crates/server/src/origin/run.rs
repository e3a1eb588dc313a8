//! One publishing: from the packager's events to signed tables and objects on the shelf.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Duration, Instant};
use trellis_core::smooth::{DELAY_MAX, Smooth};
use trellis_core::time;
use trellis_core::trust::chunk::{describe, substreams};
use trellis_ingest::packager::{self, Event, Packager, Part, Shape};
use trellis_media::timeline::{Timeline, TimelineError, VOD_PARTS_MAX};
use trellis_proto::catalogue::is_language;
use trellis_proto::{
    Catalogue, Descriptor, EndReason, Layer, Media, Mode, Rendition, RunEnd, Table, TrackPart, limits,
};

use super::Origin;
use super::channels::Place;
use super::numbers::Numbers;
use super::vault::Recording;
use crate::clock::unix_ms;
use crate::shelf::{Item, Key, Object};

/// A run in the making.
pub struct Run {
    origin: Arc<Origin>,
    place: Place,
    packager: Packager,
    numbers: Numbers,
    mode: Mode,
    began: Instant,
    smooth: Option<Smooth>,
    /// Parts that came in a lump, and when each is to be shown.
    waiting: VecDeque<(Instant, Part)>,
    started: Option<Started>,
    parts: u64,
    bytes: u64,
    warnings: Vec<String>,
}

/// What is known once the packager has seen the shape. A recording is shown to nobody before it is finished: until then
/// viewers have the one before it.
struct Started {
    catalogue: Catalogue,
    recording: Option<Recording>,
    msn: u64,
    index: u16,
}

/// How a publisher left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It said so.
    Done,
    /// It vanished, or what it sent cannot be taken, and it may return.
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

impl From<TimelineError> for RunError {
    fn from(error: TimelineError) -> Self {
        Self::Table(error.to_string())
    }
}

impl Run {
    /// Nothing is known yet.
    pub fn new(origin: Arc<Origin>, place: Place, mode: Mode, options: packager::Options) -> Self {
        Self {
            numbers: Numbers::of(place.shelf().stream(), &origin.numbers),
            origin,
            place,
            packager: Packager::new(options),
            mode,
            began: Instant::now(),
            smooth: None,
            waiting: VecDeque::new(),
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

    /// Samples of the tracks that are served, so far.
    pub fn samples(&self) -> u64 {
        self.packager.samples()
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

    /// When the next part is to be shown that waits for that; never when none does.
    pub async fn next_due(&self) {
        match self.waiting.front() {
            Some((due, _)) => tokio::time::sleep_until(*due).await,
            None => std::future::pending().await,
        }
    }

    /// Shows what is due, and what waits beyond all bounds: a body that comes faster than it plays needs no smoothing.
    pub async fn show_due(&mut self) -> Result<(), RunError> {
        let now = Instant::now();
        let size = |part: &Part| part.tracks.iter().map(|track| track.data.len()).sum::<usize>();
        let mut bytes: usize = self.waiting.iter().map(|(_, part)| size(part)).sum();
        while let (Some((due, first)), Some((_, last))) = (self.waiting.front(), self.waiting.back()) {
            let media = Duration::from_micros(last.start_us - first.start_us);
            if *due > now && media <= DELAY_MAX && bytes <= WAITING_BYTES_MAX {
                break;
            }
            bytes -= size(first);
            self.show_next().await?;
        }
        Ok(())
    }

    async fn show_next(&mut self) -> Result<(), RunError> {
        match self.waiting.pop_front() {
            Some((_, part)) => self.add(part).await,
            None => Ok(()),
        }
    }

    /// A live part came: when to show it.
    fn due(&mut self, part: &Part) -> Instant {
        let now = time::Instant(self.began.elapsed().as_micros() as u64);
        let Some(run) = self.started.as_ref().map(|started| started.catalogue.run) else { return Instant::now() };
        let smooth = self.smooth.get_or_insert_with(|| Smooth::new(run, now, part.start_us));
        let due = self.began + Duration::from_micros(smooth.on_part(now, part.start_us).0);
        let delay = smooth.delay();
        if !delay.is_zero() && !self.warnings.iter().any(|said| said.starts_with(LUMPS)) {
            let seconds = delay.as_secs_f64();
            self.warn(format!(
                "{LUMPS} up to {seconds:.1} s apart, so viewers see it that much later; send shorter fragments \
                 (-frag_duration 100000), and look at the encoder's load and its line"
            ));
        }
        due
    }

    fn warn(&mut self, text: String) {
        tracing::warn!(stream = %self.place.shelf().stream(), "{text}");
        self.warnings.push(text);
    }

    /// Ends the run, whatever comes in between. A live publisher that is lost has the grace time to return in; a recording
    /// that is not whole goes, and the one before it stays.
    pub async fn finish(&mut self, how: Finish) -> Result<(), RunError> {
        let finished = self.packager.finish();
        let mut drained = self.drain().await;
        while drained.is_ok() && !self.waiting.is_empty() {
            drained = self.show_next().await;
        }
        let outcome = drained.and(finished.map_err(RunError::from));
        let how = if outcome.is_ok() { how } else { Finish::Lost };
        let Some(started) = self.started.take() else { return outcome };
        let reason = if how == Finish::Lost && self.mode == Mode::Live { EndReason::Paused } else { EndReason::Ended };
        let end = RunEnd { run: started.catalogue.run, parts: self.parts, reason };
        tracing::info!(stream = %self.place.shelf().stream(), run = %end.run, parts = end.parts, ?how, "run over");
        match started.recording {
            None => self.origin.end_run(self.place.channel(), end),
            Some(recording) if how == Finish::Lost => recording.discard().await,
            Some(recording) => self.announce(recording, end).await?,
        }
        outcome
    }

    /// Shows a recording that is whole, and removes the one it replaces.
    async fn announce(&self, mut recording: Recording, end: RunEnd) -> Result<(), RunError> {
        let signed = self.origin.signer.seal(end.encode());
        let said = match recording.table(Table::RunEnd(end), signed).await {
            Ok(()) => recording.finish().await,
            Err(error) => Err(error),
        };
        let shelf = self.place.shelf();
        let shown = said.map_err(RunError::from).and_then(|tables| Ok(shelf.apply_all(tables)?));
        if shown.is_err() {
            recording.discard().await;
            return shown;
        }
        shelf.set_complete();
        self.place.count_run();
        self.origin.news.notify_one();
        self.origin.vault.remove_others(shelf.stream(), end.run);
        Ok(())
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
                Event::Part(part) if self.mode == Mode::Live => {
                    let due = self.due(&part);
                    self.waiting.push_back((due, part));
                }
                Event::Part(part) => self.add(part).await?,
                Event::Warning(warning) => self.warn(warning.to_string()),
                Event::Shape(_) => {}
            }
        }
        self.show_due().await
    }

    async fn start(&mut self, shape: Shape, held_us: u64) -> Result<(), RunError> {
        let catalogue = self.catalogue(&shape, held_us).await?;
        let (run, msn) = (catalogue.run, catalogue.first_msn);
        let inits: Vec<_> = shape.renditions.into_iter().map(|rendition| rendition.init).collect();
        let recording = match self.mode {
            Mode::Live => None,
            Mode::Vod => Some(self.origin.vault.record(self.place.shelf().stream(), run, &inits).await?),
        };
        if recording.is_none() {
            for (index, init) in inits.into_iter().enumerate() {
                let key = Key { run, rendition: index as u8, item: Item::Init };
                self.place.shelf().put(key, Object::ready(init));
            }
            self.place.count_run();
            self.place.shelf().set_complete();
        }
        let signed = self.origin.signer.seal(catalogue.encode());
        let table = Table::Catalogue(catalogue.clone());
        self.started = Some(Started { catalogue, recording, msn, index: 0 });
        self.say(table, signed).await
    }

    async fn catalogue(&mut self, shape: &Shape, held_us: u64) -> Result<Catalogue, RunError> {
        if shape.renditions.len() > limits::RENDITIONS_MAX {
            return Err(RunError::Table(format!(
                "at most {} renditions, this has {}",
                limits::RENDITIONS_MAX,
                shape.renditions.len()
            )));
        }
        let (first_msn, discontinuity) = self.continuing().await;
        let renditions =
            shape.renditions.iter().map(|r| rendition(r, shape.part_target_us)).collect::<Result<_, _>>()?;
        Ok(Catalogue {
            stream: self.place.shelf().stream().clone(),
            run: self.origin.run_ids.next(),
            key: self.origin.signer.public_key(),
            mode: self.mode,
            started_ms: if self.mode == Mode::Live { unix_ms() - held_us / 1000 } else { unix_ms() },
            first_msn,
            discontinuity,
            part_target_us: shape.part_target_us,
            segment_target_s: u8::try_from(shape.segment_target_s)
                .map_err(|_| RunError::Table("keyframes are minutes apart; set -g to 2 s".into()))?,
            window_s: self.origin.config.dvr_window_s,
            renditions,
        })
    }

    /// Where the stream's numbers stand.
    async fn continuing(&mut self) -> (u64, u64) {
        if self.mode == Mode::Vod {
            return (0, 0);
        }
        match self.place.shelf().look(Timeline::next_run) {
            Some(next) => next,
            None => (self.numbers.fresh().await, 0),
        }
    }

    async fn add(&mut self, part: Part) -> Result<(), RunError> {
        let Some(started) = &mut self.started else { return Ok(()) };
        if started.recording.is_some() && self.parts >= VOD_PARTS_MAX as u64 {
            return Err(TimelineError::Full.into());
        }
        if part.segment_start && self.parts > 0 {
            started.msn += 1;
            started.index = 0;
        }
        if part.segment_start && self.mode == Mode::Live {
            self.numbers.cover(started.msn).await;
        }
        let (descriptor, body) = descriptor(started, &part)?;
        let signed = self.origin.signer.seal(body);
        started.index += 1;
        let run = started.catalogue.run;
        for (index, track) in part.tracks.into_iter().enumerate() {
            match &mut started.recording {
                Some(recording) => recording.media(index, &track.data).await?,
                None => {
                    let key = Key { run, rendition: index as u8, item: Item::Part(part.number) };
                    self.place.shelf().put(key, Object::ready(track.data));
                }
            }
        }
        metrics::counter!("trellis_origin_parts_total").increment(1);
        self.say(Table::Descriptor(descriptor), signed).await?;
        self.parts += 1;
        if self.parts == 1 {
            self.origin.news.notify_one();
        }
        Ok(())
    }

    /// Says a table: to viewers, or for later.
    async fn say(&mut self, table: Table, signed: Bytes) -> Result<(), RunError> {
        match self.started.as_mut().and_then(|started| started.recording.as_mut()) {
            Some(recording) => recording.table(table, signed).await?,
            None => self.place.shelf().apply(table, signed)?,
        }
        Ok(())
    }
}

/// A part's descriptor, and the bytes to sign: never more than those who follow take.
fn descriptor(started: &Started, part: &Part) -> Result<(Descriptor, Vec<u8>), RunError> {
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
    let descriptor = Descriptor {
        run: catalogue.run,
        part: part.number,
        msn: started.msn,
        index: started.index,
        independent: part.independent,
        last_of_segment: part.last_of_segment,
        discontinuity: part.number == 0 && catalogue.discontinuity > 0,
        start_us: part.start_us,
        tracks,
    };
    let body = descriptor.encode();
    if body.len() + SIGNATURE_BYTES > limits::TABLE_BYTES_MAX {
        let bytes: usize = part.tracks.iter().map(|track| track.data.len()).sum();
        return Err(RunError::Table(format!(
            "a part of {bytes} bytes in {} renditions is more than a table can list; send fewer renditions or lower the \
             bit rate",
            part.tracks.len()
        )));
    }
    Ok((descriptor, body))
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

const LUMPS: &str = "media comes in lumps";
/// What may wait to be shown, beside one part.
const WAITING_BYTES_MAX: usize = 64 << 20;
const SIGNATURE_BYTES: usize = size_of::<trellis_proto::Signature>();

#[cfg(test)]
mod tests {
    use trellis_proto::RunId;

    use super::*;

    /// A run of so many renditions, and a part of it with so many bytes of each.
    fn run_of(renditions: usize, bytes: usize) -> (Started, Part) {
        let picture = Rendition {
            media: Media::Video { width: 1920, height: 1080, frame_rate_millihertz: 30_000 },
            codecs: "avc1.640028".into(),
            language: String::new(),
            bandwidth: 160_000_000,
            init_size: 600,
            init_hash: [0; 32],
            layers: vec![Layer { substreams: limits::SUBSTREAMS_MAX }],
        };
        let catalogue = Catalogue {
            stream: "demo".parse().unwrap(),
            run: RunId(1),
            key: [0; 32],
            mode: Mode::Live,
            started_ms: 0,
            first_msn: 0,
            discontinuity: 0,
            part_target_us: 333_334,
            segment_target_s: 2,
            window_s: 120,
            renditions: vec![picture; renditions],
        };
        let track = packager::TrackPart { duration_us: 333_333, data: vec![0; bytes].into() };
        let part = Part {
            number: 0,
            segment_start: true,
            last_of_segment: false,
            independent: true,
            start_us: 0,
            duration_us: 333_333,
            tracks: vec![track; renditions],
        };
        (Started { catalogue, recording: None, msn: 0, index: 0 }, part)
    }

    #[test]
    fn a_part_that_no_table_can_list_is_refused_and_not_signed() {
        let (started, part) = run_of(9, 7_000_000);
        let (descriptor, body) = super::descriptor(&started, &part).unwrap();
        assert!(Descriptor::decode(&body).unwrap() == descriptor && body.len() + 64 <= limits::TABLE_BYTES_MAX);
        let (started, part) = run_of(10, 7_000_000);
        match super::descriptor(&started, &part) {
            Err(RunError::Table(text)) => assert!(text.contains("fewer renditions"), "{text}"),
            other => panic!("every follower refuses it: {}", other.is_ok()),
        }
    }
}
