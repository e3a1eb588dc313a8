//! Which samples does a fragment (`moof`) announce, where do they lie, and when are they due?

use mp4_atom::{Tfdt, Tfhd, Trun, TrunEntry};

use super::boxes::{Children, leaf, optional, required};
use super::{Error, FRAGMENT_SAMPLES_MAX, Movie, SAMPLE_BYTES_MAX, Track};

/// A sample whose bytes are still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    pub track: usize,
    /// Position of its first byte in the whole stream.
    pub offset: u64,
    pub bytes: u32,
    pub dts: u64,
    pub cts_offset: i32,
    pub duration: u32,
    pub sync: bool,
}

/// Decodes the body of a `moof` box that starts at `moof_at` in the stream; the samples are in order of their bytes.
/// `next_dts` holds per track where its last fragment ended, for fragments that do not say when they begin.
pub(super) fn decode(body: &[u8], moof_at: u64, movie: &Movie, next_dts: &mut [u64]) -> Result<Vec<Announced>, Error> {
    let mut samples = Vec::new();
    let mut data_end = moof_at;
    for child in Children(body) {
        let (kind, traf) = child?;
        if kind == *b"traf" {
            data_end = decode_traf(traf, moof_at, data_end, movie, next_dts, &mut samples)?;
        }
    }
    samples.sort_by_key(|sample| sample.offset);
    Ok(samples)
}

/// Appends a track fragment's samples; returns where its data ends, which is where the next one's may begin.
fn decode_traf(
    traf: &[u8],
    moof_at: u64,
    previous_end: u64,
    movie: &Movie,
    next_dts: &mut [u64],
    samples: &mut Vec<Announced>,
) -> Result<u64, Error> {
    let tfhd: Tfhd = leaf(b"tfhd", required(traf, b"traf", b"tfhd")?)?;
    let index = movie.tracks.iter().position(|t| t.id == tfhd.track_id).ok_or(Error::UnknownTrack(tfhd.track_id))?;
    let track = &movie.tracks[index];
    if tfhd.sample_description_index.unwrap_or(1) > 1 {
        return Err(Error::HeaderChanged);
    }
    let mut dts = match optional(traf, b"tfdt")? {
        Some(body) => start_of(track, &leaf(b"tfdt", body)?)?,
        None => next_dts[index],
    };
    let base = match (tfhd.base_data_offset, tfhd.default_base_is_moof) {
        (Some(at), _) => at,
        (None, true) => moof_at,
        (None, false) => previous_end,
    };
    let mut at = base;
    for child in Children(traf) {
        let (kind, body) = child?;
        if kind != *b"trun" {
            continue;
        }
        let trun: Trun = leaf(b"trun", body)?;
        if let Some(offset) = trun.data_offset {
            at = base.checked_add_signed(offset.into()).ok_or(Error::DataOutside)?;
        }
        if samples.len() + trun.samples.len() > FRAGMENT_SAMPLES_MAX {
            return Err(Error::TooManySamples { max: FRAGMENT_SAMPLES_MAX });
        }
        for entry in &trun.samples {
            let sample = resolve(index, track, &tfhd, entry, at, dts)?;
            at = at.checked_add(sample.bytes.into()).ok_or(Error::DataOutside)?;
            dts = dts.checked_add(sample.duration.into()).ok_or(Error::TimeOutOfRange(track.id))?;
            samples.push(sample);
        }
    }
    next_dts[index] = dts;
    Ok(at)
}

fn start_of(track: &Track, tfdt: &Tfdt) -> Result<u64, Error> {
    let start = tfdt.base_media_decode_time.checked_add(track.delay);
    start.filter(|&dts| dts < DTS_MAX).ok_or(Error::TimeOutOfRange(track.id))
}

/// Fills a sample's missing fields from the fragment's and the movie's defaults.
fn resolve(
    index: usize,
    track: &Track,
    tfhd: &Tfhd,
    entry: TrunEntry,
    offset: u64,
    dts: u64,
) -> Result<Announced, Error> {
    let defaults = &track.defaults;
    let bytes = entry.size.or(tfhd.default_sample_size).unwrap_or(defaults.default_sample_size);
    let flags = entry.flags.or(tfhd.default_sample_flags).unwrap_or(defaults.default_sample_flags);
    let duration = entry.duration.or(tfhd.default_sample_duration).unwrap_or(defaults.default_sample_duration);
    if bytes > SAMPLE_BYTES_MAX {
        return Err(Error::malformed(b"trun", format_args!("a sample of {bytes} bytes (at most {SAMPLE_BYTES_MAX})")));
    }
    let cts_offset = i32::try_from(entry.cts.unwrap_or(0)).map_err(|_| Error::TimeOutOfRange(track.id))?;
    if dts >= DTS_MAX {
        return Err(Error::TimeOutOfRange(track.id));
    }
    Ok(Announced { track: index, offset, bytes, dts, cts_offset, duration, sync: flags & SAMPLE_IS_NON_SYNC == 0 })
}

const SAMPLE_IS_NON_SYNC: u32 = 0x0001_0000;
/// Far beyond any stream, and small enough that sums and differences of times cannot overflow.
const DTS_MAX: u64 = 1 << 60;
