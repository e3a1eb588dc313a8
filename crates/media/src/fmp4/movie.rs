//! Which tracks does the header (`moov`) announce, and how do their timelines lie to each other?

use bytes::Bytes;
use mp4_atom::{Elst, Hdlr, Mdhd, Mvhd, Tkhd, Trex};

use super::boxes::{Children, leaf, optional, required};
use super::{Error, SAMPLE_ENTRY_BYTES_MAX, TIMESCALE_MAX, TRACKS_MAX};

/// The header of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Movie {
    /// All tracks, in the header's order; [`Sample::track`](super::Sample::track) is an index into it.
    pub tracks: Vec<Track>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else, by its handler type.
    Other([u8; 4]),
}

/// The codec configuration of a track: the sample entry, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleEntry {
    /// Its type, e.g. `avc1`.
    pub kind: [u8; 4],
    /// Its body, without the box header.
    pub body: Bytes,
}

/// One track of a [`Movie`].
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Track id in the publisher's stream.
    pub id: u32,
    /// Video, audio or neither.
    pub kind: TrackKind,
    /// Ticks per second of the track's times; never 0.
    pub timescale: u32,
    /// ISO 639-2 language, `und` when unknown.
    pub language: String,
    /// Codec configuration.
    pub entry: SampleEntry,
    /// Display size and orientation.
    pub tkhd: Tkhd,
    /// Ticks that edit lists delay this track by, so that all tracks lie on one timeline and none begins before 0.
    /// Already in the times of samples.
    pub delay: u64,
    pub(super) defaults: Trex,
}

/// Decodes the body of a `moov` box.
pub(super) fn decode(body: &[u8]) -> Result<Movie, Error> {
    let mvhd: Mvhd = leaf(b"mvhd", required(body, b"moov", b"mvhd")?)?;
    let mvex = optional(body, b"mvex")?.ok_or(Error::NotFragmented)?;
    let trexs = decode_trexs(mvex)?;
    let mut drafts = Vec::new();
    for child in Children(body) {
        let (kind, inner) = child?;
        if kind == *b"trak" {
            if drafts.len() == TRACKS_MAX {
                return Err(Error::TooManyTracks { max: TRACKS_MAX });
            }
            drafts.push(decode_track(inner, &trexs, mvhd.timescale)?);
        }
    }
    Ok(Movie { tracks: align(drafts) })
}

fn decode_trexs(mvex: &[u8]) -> Result<Vec<Trex>, Error> {
    Children(mvex)
        .filter(|child| !matches!(child, Ok((kind, _)) if kind != b"trex"))
        .take(TRACKS_MAX)
        .map(|child| leaf(b"trex", child?.1))
        .collect()
}

/// A track, and how far its media time runs ahead of presentation time (ns, may be negative).
type Draft = (Track, i128);

fn decode_track(trak: &[u8], trexs: &[Trex], movie_timescale: u32) -> Result<Draft, Error> {
    let tkhd: Tkhd = leaf(b"tkhd", required(trak, b"trak", b"tkhd")?)?;
    let mdia = required(trak, b"trak", b"mdia")?;
    let mdhd: Mdhd = leaf(b"mdhd", required(mdia, b"mdia", b"mdhd")?)?;
    let hdlr: Hdlr = leaf(b"hdlr", required(mdia, b"mdia", b"hdlr")?)?;
    let minf = required(mdia, b"mdia", b"minf")?;
    let stbl = required(minf, b"minf", b"stbl")?;
    let entry = decode_entry(required(stbl, b"stbl", b"stsd")?)?;
    if mdhd.timescale == 0 || mdhd.timescale > TIMESCALE_MAX {
        return Err(Error::malformed(b"mdhd", "its timescale is 0 or above 100 MHz"));
    }
    let lead_ns = match optional(trak, b"edts")? {
        Some(edts) => edit_lead_ns(edts, mdhd.timescale, movie_timescale)?,
        None => 0,
    };
    let defaults = trexs.iter().find(|trex| trex.track_id == tkhd.track_id).cloned().unwrap_or_default();
    let track = Track {
        id: tkhd.track_id,
        kind: kind_of(<[u8; 4]>::from(hdlr.handler)),
        timescale: mdhd.timescale,
        language: mdhd.language,
        entry,
        tkhd,
        delay: 0,
        defaults,
    };
    Ok((track, lead_ns))
}

fn kind_of(handler: [u8; 4]) -> TrackKind {
    match &handler {
        b"vide" => TrackKind::Video,
        b"soun" => TrackKind::Audio,
        _ => TrackKind::Other(handler),
    }
}

/// The first sample entry of a `stsd` body. Fragments that use another one are refused when they come.
fn decode_entry(stsd: &[u8]) -> Result<SampleEntry, Error> {
    let entries = stsd.get(8..).ok_or_else(|| Error::malformed(b"stsd", "it is cut short"))?;
    let (kind, body) =
        Children(entries).next().ok_or_else(|| Error::malformed(b"stsd", "it has no sample entry"))??;
    if body.len() > SAMPLE_ENTRY_BYTES_MAX {
        return Err(Error::malformed(b"stsd", "its codec configuration is larger than 32 KiB"));
    }
    Ok(SampleEntry { kind, body: Bytes::copy_from_slice(body) })
}

/// How far media time runs ahead of presentation time by the edit list: the first real edit's media time (audio
/// priming, B-frame delay) less the empty edits before it.
fn edit_lead_ns(edts: &[u8], timescale: u32, movie_timescale: u32) -> Result<i128, Error> {
    let Some(body) = optional(edts, b"elst")? else { return Ok(0) };
    let elst: Elst = leaf(b"elst", body)?;
    let mut empty: i128 = 0;
    for edit in &elst.entries {
        match edit.media_time {
            None => empty += i128::from(edit.segment_duration),
            Some(start) => {
                let empty_ns = empty * NS / i128::from(movie_timescale.max(1));
                return Ok(i128::from(start) * NS / i128::from(timescale) - empty_ns);
            }
        }
    }
    Ok(0)
}

/// Puts all tracks on one timeline: the track that runs ahead most stays, the others are delayed to match it.
/// Delays, never advances, so that no time becomes negative.
fn align(drafts: Vec<Draft>) -> Vec<Track> {
    let lead_max = drafts.iter().map(|(_, lead)| *lead).max().unwrap_or(0).max(0);
    let delayed = |(track, lead): Draft| {
        let ticks = ((lead_max - lead) * i128::from(track.timescale) + NS / 2) / NS;
        Track { delay: u64::try_from(ticks).unwrap_or(u64::MAX), ..track }
    };
    drafts.into_iter().map(delayed).collect()
}

const NS: i128 = 1_000_000_000;
