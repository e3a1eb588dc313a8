//! How do chunks of bytes become the movie header and samples?
//!
//! Invariant: `buffer` begins at stream position `position`, and `stage` says what the bytes there belong to.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::boxes::Header;
use super::error::Kind;
use super::fragment::{self, Announced};
use super::movie::{self, Movie};
use super::{Error, MDAT_BYTES_MAX, MOOF_BYTES_MAX, MOOV_BYTES_MAX, SKIP_BYTES_MAX};

/// What [`Reader::next`] yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The header; comes once, before any sample.
    Movie(Movie),
    /// A sample, as soon as its last byte was pushed.
    Sample(Sample),
}

/// One coded frame of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Index into [`Movie::tracks`].
    pub track: usize,
    /// Decode time in the track's ticks, edit lists applied.
    pub dts: u64,
    /// Presentation time less decode time, in ticks.
    pub cts_offset: i32,
    /// Duration as the publisher states it, in ticks; may be wrong or 0.
    pub duration: u32,
    /// Decoding can begin here.
    pub sync: bool,
    /// The coded bytes, a slice of the fragment.
    pub data: Bytes,
}

/// Incremental demuxer; see the [module](super).
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    /// Position in the whole stream of the first byte in `buffer`.
    position: u64,
    stage: Stage,
    any_box_seen: bool,
    movie: Option<(Movie, Bytes)>,
    next_dts: Vec<u64>,
    announced: VecDeque<Announced>,
}

/// What the bytes at `position` belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// A box header.
    #[default]
    Header,
    /// A whole box that is decoded at once when complete; the numbers are bytes of header and of all.
    Collect { moov: bool, header_bytes: usize, bytes: usize },
    /// Sample data up to this position.
    Data { end: u64 },
    /// Something of no interest up to this position.
    Skip { end: u64 },
}

impl Reader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream. Call [`next`](Self::next) until `None` before pushing more: that keeps at
    /// most one incomplete box or sample in memory.
    pub fn push(&mut self, bytes: Bytes) {
        self.buffer.extend_from_slice(&bytes);
    }

    /// The next item that is complete; `None` when more bytes are needed. After an error the stream is over.
    #[allow(clippy::should_implement_trait)] // fallible, and `None` means "push more", not the end
    pub fn next(&mut self) -> Result<Option<Item>, Error> {
        loop {
            match self.stage {
                Stage::Header => match Header::parse(&self.buffer)? {
                    None => return self.check_beginning().map(|()| None),
                    Some(header) => self.stage = self.enter(header)?,
                },
                Stage::Collect { moov, header_bytes, bytes } => {
                    if self.buffer.len() < bytes {
                        return Ok(None);
                    }
                    self.stage = Stage::Header;
                    let at = self.position;
                    let body = self.take(bytes).slice(header_bytes..);
                    if !moov {
                        self.decode_moof(&body, at)?;
                    } else if let Some(movie) = self.decode_moov(body)? {
                        return Ok(Some(Item::Movie(movie)));
                    }
                }
                Stage::Data { end } => match self.next_sample(end)? {
                    Some(sample) => return Ok(Some(Item::Sample(sample))),
                    None if self.position < end => return Ok(None),
                    None => self.stage = Stage::Header,
                },
                Stage::Skip { end } => {
                    self.skip_to(end);
                    if self.position < end {
                        return Ok(None);
                    }
                    self.stage = Stage::Header;
                }
            }
        }
    }

    /// Whether samples of this track (index into [`Movie::tracks`]) are still to come in the fragment that is being read.
    pub fn announces(&self, track: usize) -> bool {
        self.announced.iter().rev().any(|sample| sample.track == track)
    }

    /// Whether the stream could end here without cutting a fragment.
    pub fn is_at_boundary(&self) -> bool {
        self.stage == Stage::Header && self.buffer.is_empty() && self.announced.is_empty()
    }

    /// Decides what to do with the box whose header stands at `position`.
    fn enter(&mut self, header: Header) -> Result<Stage, Error> {
        self.check_beginning()?;
        self.any_box_seen = true;
        let max = match &header.kind {
            b"moov" => MOOV_BYTES_MAX as u64,
            b"moof" => MOOF_BYTES_MAX as u64,
            b"mdat" => MDAT_BYTES_MAX,
            _ => SKIP_BYTES_MAX,
        };
        if header.kind == *b"mdat" && self.next_dts.is_empty() {
            return Err(Error::NotFragmented);
        }
        let bytes = header.bytes.unwrap_or(u64::MAX);
        if bytes > max {
            return Err(Error::TooLarge { kind: Kind(header.kind), bytes, max });
        }
        let end = self.position + bytes;
        match &header.kind {
            b"moof" if self.next_dts.is_empty() => Err(Error::NoHeader),
            // Whatever the last fragment announced must have come by now.
            b"moof" if !self.announced.is_empty() => Err(Error::DataOutside),
            b"moov" | b"moof" => Ok(Stage::Collect {
                moov: header.kind == *b"moov",
                header_bytes: header.header_bytes,
                bytes: bytes as usize,
            }),
            b"mdat" => {
                self.take(header.header_bytes);
                Ok(Stage::Data { end })
            }
            _ => Ok(Stage::Skip { end }),
        }
    }

    /// Tells a stream that is no MP4 at all from one with an unknown box in it.
    fn check_beginning(&self) -> Result<(), Error> {
        const OPENERS: [&[u8; 4]; 10] =
            [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"uuid", b"pdin"];
        match self.buffer.get(4..8) {
            Some(kind) if !self.any_box_seen && !OPENERS.iter().any(|opener| *opener == kind) => {
                let head = self.buffer.first_chunk().expect("eight bytes are there");
                let kind = kind.try_into().expect("a slice of four bytes");
                let text = if head.is_ascii() && head[0] >= b' ' { *head } else { kind };
                Err(Error::NotMp4(Kind(text)))
            }
            _ => Ok(()),
        }
    }

    /// Decodes the header; `None` when it is the one already known, sent again.
    fn decode_moov(&mut self, body: Bytes) -> Result<Option<Movie>, Error> {
        match &self.movie {
            Some((_, known)) if *known == body => return Ok(None),
            Some(_) => return Err(Error::HeaderChanged),
            None => {}
        }
        let movie = movie::decode(&body)?;
        self.next_dts = movie.tracks.iter().map(|track| track.delay).collect();
        if self.next_dts.is_empty() {
            return Err(Error::malformed(b"moov", "it has no tracks"));
        }
        self.movie = Some((movie.clone(), body));
        Ok(Some(movie))
    }

    fn decode_moof(&mut self, body: &[u8], at: u64) -> Result<(), Error> {
        let (movie, _) = self.movie.as_ref().ok_or(Error::NoHeader)?;
        self.announced = fragment::decode(body, at, movie, &mut self.next_dts)?.into();
        Ok(())
    }

    /// The next announced sample in the `mdat` that ends at `end`, once its bytes are there.
    fn next_sample(&mut self, end: u64) -> Result<Option<Sample>, Error> {
        let next = match self.announced.front() {
            Some(next) if next.offset < end || (next.offset == end && next.bytes == 0) => *next,
            // The rest of this mdat is no one's; what is announced further on may lie in another mdat.
            _ => {
                self.skip_to(end);
                return Ok(None);
            }
        };
        if next.offset < self.position || next.offset + u64::from(next.bytes) > end {
            return Err(Error::DataOutside);
        }
        self.skip_to(next.offset);
        if self.position < next.offset || self.buffer.len() < next.bytes as usize {
            return Ok(None);
        }
        self.announced.pop_front();
        Ok(Some(Sample {
            track: next.track,
            dts: next.dts,
            cts_offset: next.cts_offset,
            duration: next.duration,
            sync: next.sync,
            data: self.take(next.bytes as usize),
        }))
    }

    fn skip_to(&mut self, end: u64) {
        let gap = end.saturating_sub(self.position).min(self.buffer.len() as u64);
        self.buffer.advance(gap as usize);
        self.position += gap;
    }

    fn take(&mut self, bytes: usize) -> Bytes {
        self.position += bytes as u64;
        self.buffer.split_to(bytes).freeze()
    }
}
