//! How is one track written as CMAF: an init segment, and parts of `moof` + `mdat`?
//!
//! Invariant: a segment is the concatenation of its parts, a rendition the concatenation of its init segment and its
//! segments. Every fragment stands alone: no edit lists, `tfdt` in 64 bits, data offsets from its own `moof`.

use bytes::{BufMut, Bytes, BytesMut};
use mp4_atom::{Encode, FourCC, Ftyp, Hdlr, Mdhd, Mvhd, Smhd, Stco, Stsc, Stsz, Stts, Tkhd, Trex, Vmhd};

use crate::fmp4::{Track, TrackKind};

/// Track id in everything this module writes.
pub const TRACK_ID: u32 = 1;

/// Largest part that is written (bytes): 200 Mbit/s for ⅓ s.
pub const PART_BYTES_MAX: usize = 8 << 20;

/// A sample of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Ticks until the next sample of the track.
    pub duration: u32,
    /// Presentation time less decode time (ticks).
    pub cts_offset: i32,
    /// Decoding can begin here.
    pub sync: bool,
    /// No other sample needs this one: it can be dropped alone.
    pub disposable: bool,
    /// The coded bytes.
    pub data: Bytes,
}

impl Sample {
    /// ISO/IEC 14496-12 §8.8.3.1 sample flags.
    fn flags(&self) -> u32 {
        let depends = if self.sync { DEPENDS_ON_NONE } else { DEPENDS_ON_OTHERS | IS_NON_SYNC };
        depends | if self.disposable { NOT_DEPENDED_ON } else { 0 }
    }
}

/// Why a track cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`PART_BYTES_MAX`].
    #[error("a part has {0} bytes, at most {PART_BYTES_MAX} are carried; lower the bit rate")]
    TooLarge(usize),
}

/// The init segment (`ftyp` + `moov`) of a track. Edit lists are left out: readers have applied them already.
pub fn init(track: &Track) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"cmfc", b"mp41"].map(FourCC::new).to_vec(),
    };
    leaf(&mut out, &ftyp);
    nest(&mut out, b"moov", |out| {
        leaf(out, &Mvhd { timescale: 1000, next_track_id: TRACK_ID + 1, ..Mvhd::default() });
        nest(out, b"trak", |out| {
            leaf(out, &Tkhd { track_id: TRACK_ID, duration: 0, enabled: true, in_movie: true, ..track.tkhd.clone() });
            nest(out, b"mdia", |out| media(out, track));
        });
        nest(out, b"mvex", |out| {
            leaf(out, &Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() });
        });
    });
    out.into()
}

fn media(out: &mut Vec<u8>, track: &Track) {
    let (handler, name) = match track.kind {
        TrackKind::Video => (*b"vide", "video"),
        TrackKind::Audio => (*b"soun", "audio"),
        TrackKind::Other(handler) => (handler, "other"),
    };
    leaf(out, &Mdhd { timescale: track.timescale, language: track.language.clone(), ..Mdhd::default() });
    leaf(out, &Hdlr { handler: FourCC::new(&handler), name: name.into() });
    nest(out, b"minf", |out| {
        match track.kind {
            TrackKind::Video => leaf(out, &Vmhd::default()),
            TrackKind::Audio => leaf(out, &Smhd::default()),
            TrackKind::Other(_) => nest(out, b"nmhd", |out| out.put_u32(0)),
        }
        nest(out, b"dinf", |out| {
            nest(out, b"dref", |out| {
                out.put_u32(0);
                out.put_u32(1);
                nest(out, b"url ", |out| out.put_u32(DATA_IN_THIS_FILE));
            });
        });
        nest(out, b"stbl", |out| {
            nest(out, b"stsd", |out| {
                out.put_u32(0);
                out.put_u32(1);
                nest(out, &track.entry.kind, |out| out.put_slice(&track.entry.body));
            });
            leaf(out, &Stts::default());
            leaf(out, &Stsc::default());
            leaf(out, &Stsz::default());
            leaf(out, &Stco::default());
        });
    });
}

/// A part: `moof` + `mdat` with `samples`, the first decoded at `dts` (ticks). Empty when there are no samples.
pub fn part(sequence: u32, dts: u64, samples: &[Sample]) -> Result<Bytes, Error> {
    fragment(TRACK_ID, sequence, dts, samples)
}

/// A [`part`] of a stream with several tracks.
///
/// What is the same for all samples is said once, so that a part of audio costs four bytes a frame.
pub fn fragment(track_id: u32, sequence: u32, dts: u64, samples: &[Sample]) -> Result<Bytes, Error> {
    let Some(first) = samples.first() else { return Ok(Bytes::new()) };
    let flags = first.flags();
    let same_duration = samples.iter().all(|s| s.duration == first.duration);
    let same_flags = samples.iter().all(|s| s.flags() == flags);
    let any_cts = samples.iter().any(|s| s.cts_offset != 0);

    let per_sample = 4 * (1 + usize::from(!same_duration) + usize::from(!same_flags) + usize::from(any_cts));
    let tfhd_bytes = 16 + 4 * (usize::from(same_duration) + usize::from(same_flags));
    let trun_bytes = 20 + per_sample * samples.len();
    let traf_bytes = 8 + tfhd_bytes + 20 + trun_bytes;
    let moof_bytes = 8 + 16 + traf_bytes;
    let mdat_bytes = 8 + samples.iter().map(|s| s.data.len()).sum::<usize>();
    let bytes = moof_bytes + mdat_bytes;
    if bytes > PART_BYTES_MAX {
        return Err(Error::TooLarge(bytes));
    }

    let mut out = BytesMut::with_capacity(bytes);
    header(&mut out, moof_bytes, b"moof");
    header(&mut out, 16, b"mfhd");
    out.put_u32(0);
    out.put_u32(sequence);
    header(&mut out, traf_bytes, b"traf");
    header(&mut out, tfhd_bytes, b"tfhd");
    let tfhd_flags = [TFHD_BASE_IS_MOOF, TFHD_DURATION * u32::from(same_duration), TFHD_FLAGS * u32::from(same_flags)];
    out.put_u32(tfhd_flags.iter().sum());
    out.put_u32(track_id);
    if same_duration {
        out.put_u32(first.duration);
    }
    if same_flags {
        out.put_u32(flags);
    }
    header(&mut out, 20, b"tfdt");
    out.put_u32(VERSION_1);
    out.put_u64(dts);
    header(&mut out, trun_bytes, b"trun");
    let trun_flags = [
        VERSION_1,
        TRUN_DATA_OFFSET,
        TRUN_SIZE,
        TRUN_DURATION * u32::from(!same_duration),
        TRUN_FLAGS * u32::from(!same_flags),
        TRUN_CTS * u32::from(any_cts),
    ];
    out.put_u32(trun_flags.iter().sum());
    out.put_u32(samples.len() as u32);
    out.put_u32(moof_bytes as u32 + 8);
    for sample in samples {
        if !same_duration {
            out.put_u32(sample.duration);
        }
        out.put_u32(sample.data.len() as u32);
        if !same_flags {
            out.put_u32(sample.flags());
        }
        if any_cts {
            out.put_i32(sample.cts_offset);
        }
    }
    header(&mut out, mdat_bytes, b"mdat");
    for sample in samples {
        out.put_slice(&sample.data);
    }
    debug_assert_eq!(out.len(), bytes);
    Ok(out.freeze())
}

fn header(out: &mut BytesMut, bytes: usize, kind: &[u8; 4]) {
    out.put_u32(bytes as u32);
    out.put_slice(kind);
}

/// Writes a box around what `body` writes.
fn nest(out: &mut Vec<u8>, kind: &[u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(kind);
    body(out);
    let bytes = u32::try_from(out.len() - start).expect("an init segment is far below 4 GiB: its entry is bounded");
    out[start..start + 4].copy_from_slice(&bytes.to_be_bytes());
}

fn leaf(out: &mut Vec<u8>, atom: &impl Encode) {
    atom.encode(out).expect("writing a leaf box of fixed form to memory cannot fail");
}

const DEPENDS_ON_OTHERS: u32 = 1 << 24;
const DEPENDS_ON_NONE: u32 = 2 << 24;
const NOT_DEPENDED_ON: u32 = 2 << 22;
const IS_NON_SYNC: u32 = 1 << 16;

const VERSION_1: u32 = 1 << 24;
const TFHD_DURATION: u32 = 0x8;
const TFHD_FLAGS: u32 = 0x20;
const TFHD_BASE_IS_MOOF: u32 = 0x2_0000;
const TRUN_DATA_OFFSET: u32 = 0x1;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_CTS: u32 = 0x800;
const DATA_IN_THIS_FILE: u32 = 1;
