//! What does a run consist of? Signed once by the origin, never changed afterwards.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{Hash, PublicKey, RenditionName, RunId, StreamId};
use crate::limits::{
    CODECS_BYTES_MAX, INIT_BYTES_MAX, LANGUAGE_BYTES_MAX, LAYERS_MAX, RENDITIONS_MAX, STREAM_NAME_BYTES_MAX,
    SUBSTREAMS_MAX, WINDOW_S_MAX,
};
use crate::table::VERSION;
use crate::wire::{DecodeError, Reader, Writer};

/// The signed table of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// The stream this run belongs to.
    pub stream: StreamId,
    /// This publishing; never reused.
    pub run: RunId,
    /// The key that signs this table and every descriptor of the run.
    pub key: PublicKey,
    /// Live or on demand.
    pub mode: Mode,
    /// Wall clock of media time zero, in ms since the Unix epoch, by the origin's clock.
    pub started_ms: u64,
    /// Media sequence number of the run's first segment.
    pub first_msn: u64,
    /// How many discontinuities came before this run's first segment.
    pub discontinuity: u64,
    /// No video part lasts longer, in µs.
    pub part_target_us: u32,
    /// No segment lasts longer when rounded to whole seconds (EXT-X-TARGETDURATION).
    pub segment_target_s: u8,
    /// How far back playlists of a live stream reach, in seconds: the same at every server. Of no meaning on demand.
    pub window_s: u32,
    /// Video best first, then audio.
    pub renditions: Vec<Rendition>,
}

/// Is there a live edge?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Parts come as time passes, old ones leave the window.
    Live,
    /// Everything stays, and once ended nothing more comes.
    Vod,
}

/// One quality of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendition {
    /// Picture or sound.
    pub media: Media,
    /// RFC 6381, e.g. `avc1.64001f`.
    pub codecs: String,
    /// BCP 47 or ISO 639-2, e.g. `pt-BR` or `eng`; empty when unknown. See [`is_language`].
    pub language: String,
    /// Peak bits per second of the run's first segments.
    pub bandwidth: u64,
    /// Size of the init segment in bytes.
    pub init_size: u32,
    /// BLAKE3 of the init segment.
    pub init_hash: Hash,
    /// Base first. A rendition that is not layered has one.
    pub layers: Vec<Layer>,
}

/// What kind of rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// Picture.
    Video {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
        /// Frames per 1000 s.
        frame_rate_millihertz: u32,
    },
    /// Sound.
    Audio {
        /// Hz.
        sample_rate: u32,
        /// Channels.
        channels: u8,
    },
}

/// One decodable increment of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// K: chunk i belongs to substream i mod K. 1 to 16.
    pub substreams: u8,
}

impl Catalogue {
    /// The table kind on the wire.
    pub const KIND: u8 = 1;

    /// Names of the renditions, in catalogue order.
    pub fn names(&self) -> impl Iterator<Item = RenditionName> + '_ {
        let (mut video, mut audio) = (0, 0);
        self.renditions.iter().map(move |rendition| {
            let (make, counter): (fn(u8) -> _, _) = match rendition.media {
                Media::Video { .. } => (RenditionName::Video, &mut video),
                Media::Audio { .. } => (RenditionName::Audio, &mut audio),
            };
            *counter += 1;
            make(*counter - 1)
        })
    }

    /// Index of the rendition with this name.
    pub fn index_of(&self, name: RenditionName) -> Option<usize> {
        self.names().position(|n| n == name)
    }

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(VERSION, Self::KIND);
        w.string(self.stream.as_str()).array(&self.run.0.to_be_bytes()).array(&self.key);
        w.u8(match self.mode {
            Mode::Live => 1,
            Mode::Vod => 2,
        });
        w.varint(self.started_ms).varint(self.first_msn).varint(self.discontinuity);
        w.varint(self.part_target_us.into()).u8(self.segment_target_s).varint(self.window_s.into());
        w.u8(self.renditions.len() as u8);
        self.renditions.iter().for_each(|r| r.encode(&mut w));
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(body, VERSION, Self::KIND)?;
        let stream = r.string("stream", STREAM_NAME_BYTES_MAX)?;
        let catalogue = Self {
            stream: stream.parse().map_err(|_| DecodeError::Field("stream"))?,
            run: RunId(u64::from_be_bytes(r.array()?)),
            key: r.array()?,
            mode: match r.u8()? {
                1 => Mode::Live,
                2 => Mode::Vod,
                _ => return Err(DecodeError::Field("mode")),
            },
            started_ms: r.varint("started_ms", MS_MAX)?,
            first_msn: r.varint("first_msn", COUNT_MAX)?,
            discontinuity: r.varint("discontinuity", COUNT_MAX)?,
            part_target_us: r.varint("part_target_us", 10_000_000)? as u32,
            segment_target_s: r.u8()?,
            window_s: r.varint("window_s", WINDOW_S_MAX.into())? as u32,
            renditions: {
                let count = usize::from(r.u8()?);
                if count == 0 || count > RENDITIONS_MAX {
                    return Err(DecodeError::Field("renditions"));
                }
                (0..count).map(|_| Rendition::decode(&mut r)).collect::<Result<_, _>>()?
            },
        };
        r.finish()?;
        Ok(catalogue)
    }
}

impl Rendition {
    fn encode(&self, w: &mut Writer) {
        match self.media {
            Media::Video { width, height, frame_rate_millihertz } => {
                w.u8(1).varint(width.into()).varint(height.into()).varint(frame_rate_millihertz.into());
            }
            Media::Audio { sample_rate, channels } => {
                w.u8(2).varint(sample_rate.into()).u8(channels);
            }
        }
        w.string(&self.codecs).string(&self.language);
        w.varint(self.bandwidth).varint(self.init_size.into()).array(&self.init_hash);
        w.u8(self.layers.len() as u8);
        self.layers.iter().for_each(|layer| {
            w.u8(layer.substreams);
        });
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            media: Media::decode(r)?,
            codecs: codecs(r.string("codecs", CODECS_BYTES_MAX)?)?,
            language: language(r.string("language", LANGUAGE_BYTES_MAX)?)?,
            bandwidth: r.varint("bandwidth", 1 << 40)?,
            init_size: r.varint("init_size", INIT_BYTES_MAX as u64)? as u32,
            init_hash: r.array()?,
            layers: {
                let count = usize::from(r.u8()?);
                if count == 0 || count > LAYERS_MAX {
                    return Err(DecodeError::Field("layers"));
                }
                (0..count).map(|_| Layer::decode(r)).collect::<Result<_, _>>()?
            },
        })
    }
}

impl Media {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            1 => Ok(Self::Video {
                width: r.varint("width", u16::MAX.into())? as u16,
                height: r.varint("height", u16::MAX.into())? as u16,
                frame_rate_millihertz: r.varint("frame_rate", 1_000_000)? as u32,
            }),
            2 => Ok(Self::Audio { sample_rate: r.varint("sample_rate", 1_000_000)? as u32, channels: r.u8()? }),
            _ => Err(DecodeError::Field("media")),
        }
    }
}

impl Layer {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u8()? {
            substreams @ 1..=SUBSTREAMS_MAX => Ok(Self { substreams }),
            _ => Err(DecodeError::Field("substreams")),
        }
    }
}

/// A codec string is printed inside quotes into playlists: nothing may break out of them.
fn codecs(text: String) -> Result<String, DecodeError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b',' | b'-');
    if !text.is_empty() && text.bytes().all(plain) { Ok(text) } else { Err(DecodeError::Field("codecs")) }
}

/// May this stand as a rendition's language? At most 16 ASCII letters, digits and hyphens, or nothing: playlists print
/// it inside quotes, too.
pub fn is_language(text: &str) -> bool {
    text.len() <= LANGUAGE_BYTES_MAX && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn language(text: String) -> Result<String, DecodeError> {
    if is_language(&text) { Ok(text) } else { Err(DecodeError::Field("language")) }
}

/// Milliseconds until the year 10889.
const MS_MAX: u64 = 1 << 48;
/// Segments and discontinuities a stream can count.
const COUNT_MAX: u64 = 1 << 40;
