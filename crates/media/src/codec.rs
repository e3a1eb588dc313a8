//! What codec is a track in, as players are told (RFC 6381), and how large or loud is it?

use std::fmt::Write;

use mp4_atom::{Atom, Audio, Av1c, Avcc, Btrt, Decode, Dops, Esds, Hvcc, Visual, VpcC};

use crate::fmp4::{Children, SampleEntry};
use crate::silence::{self, Silence};

/// What players and the packager need to know of a track's coding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// RFC 6381 string, e.g. `avc1.64001f`.
    pub rfc6381: String,
    /// Picture size, or rate and channels.
    pub media: Media,
    /// Highest bit rate the encoder declared (`btrt`, bit/s); 0 when it said nothing.
    pub bitrate_declared: u32,
    /// Bytes of the length before each NAL unit, for H.264 only.
    pub h264_length_bytes: Option<u8>,
    /// What stands in for sound that does not come, for AAC and Opus.
    pub silence: Option<Silence>,
}

/// Picture size, or rate and channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A video track.
    Video {
        /// Width in pixels.
        width: u16,
        /// Height in pixels.
        height: u16,
    },
    /// An audio track.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u16,
    },
}

/// Why a track cannot be described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A codec players are not given.
    #[error(
        "codec {0} is not supported; supported are H.264, HEVC, AV1 and VP9 for video, AAC, Opus, FLAC, AC-3 and \
         E-AC-3 for audio: publish without --copy, or with -c:v libx264 -c:a aac"
    )]
    Unsupported(String),
    /// An encrypted track.
    #[error("the track is encrypted ({0}); publish it in the clear")]
    Encrypted(String),
    /// A codec configuration that does not parse.
    #[error("the codec configuration of {codec} is damaged ({why}); publish without --copy so that it is encoded anew")]
    Malformed {
        /// The sample entry.
        codec: String,
        /// What about it.
        why: String,
    },
}

/// Describes the coding of a track by its sample entry.
pub fn describe(entry: &SampleEntry) -> Result<Info, Error> {
    let name = name(entry);
    let described = match &entry.kind {
        b"avc1" | b"avc3" => h264(entry, &name),
        b"hvc1" | b"hev1" => hevc(entry, &name),
        b"av01" => av1(entry),
        b"vp09" => vp9(entry),
        b"mp4a" => aac(entry),
        b"Opus" => opus(entry),
        b"fLaC" => plain_audio(entry, "flac"),
        b"ac-3" => plain_audio(entry, "ac-3"),
        b"ec-3" => plain_audio(entry, "ec-3"),
        b"encv" | b"enca" => return Err(Error::Encrypted(name)),
        _ => return Err(Error::Unsupported(name)),
    };
    let info = described.map_err(|why| match why {
        Fault::Box(why) => Error::Malformed { codec: name, why },
        Fault::Unsupported(codec) => Error::Unsupported(codec),
    })?;
    Ok(Info { bitrate_declared: declared_bitrate(entry, info.media), ..info })
}

/// Whether no other frame needs this H.264 access unit (`nal_ref_idc` 0 in its slices). Unreadable means no.
pub fn h264_disposable(mut unit: &[u8], length_bytes: u8) -> bool {
    // All slices of a picture agree on being a reference (ITU-T H.264 §7.4.1), so the first one decides.
    while let Some((length, rest)) = unit.split_at_checked(length_bytes.into()) {
        let length = length.iter().fold(0usize, |n, &byte| n << 8 | usize::from(byte));
        let Some((nal, rest)) = rest.split_at_checked(length) else { return false };
        match nal.first() {
            Some(header) if matches!(header & 0x1f, 1..=5) => return header & 0x60 == 0,
            _ => unit = rest,
        }
        if unit.is_empty() {
            return false;
        }
    }
    false
}

enum Fault {
    Box(String),
    Unsupported(String),
}

impl<E: ToString> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Box(error.to_string())
    }
}

fn h264(entry: &SampleEntry, name: &str) -> Result<Info, Fault> {
    let (media, boxes) = video(entry)?;
    let avcc: Avcc = config(boxes)?;
    let rfc6381 = format!(
        "{name}.{:02x}{:02x}{:02x}",
        avcc.avc_profile_indication, avcc.profile_compatibility, avcc.avc_level_indication
    );
    Ok(Info { h264_length_bytes: Some(avcc.length_size), ..info(rfc6381, media) })
}

/// ISO/IEC 14496-15 Annex E.3.
fn hevc(entry: &SampleEntry, name: &str) -> Result<Info, Fault> {
    let (media, boxes) = video(entry)?;
    let hvcc: Hvcc = config(boxes)?;
    let space = ["", "A", "B", "C"][usize::from(hvcc.general_profile_space & 3)];
    let compatibility = u32::from_be_bytes(hvcc.general_profile_compatibility_flags).reverse_bits();
    let tier = if hvcc.general_tier_flag { 'H' } else { 'L' };
    let mut rfc6381 =
        format!("{name}.{space}{}.{compatibility:X}.{tier}{}", hvcc.general_profile_idc, hvcc.general_level_idc);
    let constraints = hvcc.general_constraint_indicator_flags;
    let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        write!(rfc6381, ".{byte:X}").expect("writing to a string cannot fail");
    }
    Ok(info(rfc6381, media))
}

fn av1(entry: &SampleEntry) -> Result<Info, Fault> {
    let (media, boxes) = video(entry)?;
    let av1c: Av1c = config(boxes)?;
    let tier = if av1c.seq_tier_0 { 'H' } else { 'M' };
    let depth = match (av1c.high_bitdepth, av1c.twelve_bit) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    Ok(info(format!("av01.{}.{:02}{tier}.{depth:02}", av1c.seq_profile, av1c.seq_level_idx_0), media))
}

fn vp9(entry: &SampleEntry) -> Result<Info, Fault> {
    let (media, boxes) = video(entry)?;
    let vpcc: VpcC = config(boxes)?;
    // Level 0 means "not stated", which players refuse; 1.0 is the lowest that exists.
    Ok(info(format!("vp09.{:02}.{:02}.{:02}", vpcc.profile, vpcc.level.max(10), vpcc.bit_depth), media))
}

fn aac(entry: &SampleEntry) -> Result<Info, Fault> {
    let (audio, boxes) = audio(entry)?;
    let body = find(boxes, Esds::KIND.into()).ok_or("it has no esds box")?;
    // Descriptors nest, and their decoder recurses: the bound on bytes is the bound on depth.
    let esds: Esds = decode_leaf(body.get(..ESDS_BYTES_MAX).unwrap_or(body))?;
    let config = esds.es_desc.dec_config;
    match config.object_type_indication {
        OBJECT_AAC => {}
        OBJECT_MPEG2_AAC_LC => return Ok(info("mp4a.67".into(), media_of(&audio))),
        other => return Err(Fault::Unsupported(format!("mp4a.{other:02x}"))),
    }
    let specific = config.dec_specific.ok_or("it has no AudioSpecificConfig")?;
    let index = replicated_rate(&specific.raw).unwrap_or(specific.freq_index);
    let rate = AAC_RATES.get(usize::from(index)).copied();
    let channels = match specific.chan_conf {
        0 => audio.channel_count,
        7 => 8,
        n => n.into(),
    };
    let sample_rate = rate.unwrap_or(rate_of(&audio));
    let samples = match specific.profile {
        OBJECT_AAC_LC => Some(1024),
        OBJECT_SBR | OBJECT_PS => Some(2048), // as heard: the core has half the rate
        _ => None,
    };
    let silence = samples.and_then(|samples| silence::aac(specific.chan_conf, samples, sample_rate));
    let media = Media::Audio { sample_rate, channels };
    Ok(Info { silence, ..info(format!("mp4a.40.{}", specific.profile), media) })
}

/// Where spectral band replication is signalled (object types 5 and 29), the index of the rate that is heard: the one
/// before it is that of the core, which is half of it. ISO/IEC 14496-3 §1.6.2.1.
fn replicated_rate(specific: &[u8]) -> Option<u8> {
    let &[a, b, c, ..] = specific else { return None };
    let (object, core) = (a >> 3, (a & 7) << 1 | b >> 7);
    // After object type (5 bits), core rate (4; 15 would be followed by the rate itself) and channels (4).
    (matches!(object, 5 | 29) && core != 15).then_some((b & 7) << 1 | c >> 7)
}

fn opus(entry: &SampleEntry) -> Result<Info, Fault> {
    let (_, boxes) = audio(entry)?;
    let dops: Dops = config(boxes)?;
    // Opus always decodes at 48 kHz, whatever was fed to its encoder (RFC 7845 §5.1).
    let media = Media::Audio { sample_rate: 48_000, channels: dops.output_channel_count.into() };
    Ok(Info { silence: silence::opus(dops.output_channel_count), ..info("opus".into(), media) })
}

fn plain_audio(entry: &SampleEntry, rfc6381: &str) -> Result<Info, Fault> {
    let (audio, _) = audio(entry)?;
    Ok(info(rfc6381.into(), media_of(&audio)))
}

fn info(rfc6381: String, media: Media) -> Info {
    Info { rfc6381, media, bitrate_declared: 0, h264_length_bytes: None, silence: None }
}

/// Splits a visual sample entry into its size and the boxes after its fixed fields.
fn video(entry: &SampleEntry) -> Result<(Media, &[u8]), Fault> {
    let mut rest = &entry.body[..];
    let visual = Visual::decode(&mut rest)?;
    Ok((Media::Video { width: visual.width, height: visual.height }, rest))
}

/// Splits an audio sample entry into its fixed fields and the boxes after them.
fn audio(entry: &SampleEntry) -> Result<(Audio, &[u8]), Fault> {
    let mut rest = &entry.body[..];
    let audio = Audio::decode(&mut rest)?;
    Ok((audio, rest))
}

fn media_of(audio: &Audio) -> Media {
    Media::Audio { sample_rate: rate_of(audio), channels: audio.channel_count }
}

fn rate_of(audio: &Audio) -> u32 {
    audio.sample_rate.integer().into()
}

/// Decodes the configuration box among `boxes`.
fn config<T: Atom>(boxes: &[u8]) -> Result<T, Fault> {
    let kind = <[u8; 4]>::from(T::KIND);
    let body = find(boxes, kind).ok_or_else(|| format!("it has no {} box", String::from_utf8_lossy(&kind)))?;
    decode_leaf(body)
}

fn decode_leaf<T: Atom>(mut body: &[u8]) -> Result<T, Fault> {
    Ok(T::decode_body(&mut body)?)
}

fn find(boxes: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    Children(boxes).map_while(Result::ok).find(|(found, _)| *found == kind).map(|(_, body)| body)
}

fn declared_bitrate(entry: &SampleEntry, media: Media) -> u32 {
    let boxes = match media {
        Media::Video { .. } => video(entry).map(|(_, boxes)| boxes),
        Media::Audio { .. } => audio(entry).map(|(_, boxes)| boxes),
    };
    let btrt = boxes.and_then(config::<Btrt>);
    btrt.map_or(0, |btrt| btrt.max_bitrate)
}

fn name(entry: &SampleEntry) -> String {
    String::from_utf8_lossy(&entry.kind).into_owned()
}

/// Object types of ISO/IEC 14496-3 table 1.17.
const OBJECT_AAC_LC: u8 = 2;
const OBJECT_SBR: u8 = 5;
const OBJECT_PS: u8 = 29;
/// Object types of a decoder, ISO/IEC 14496-1 table 5.
const OBJECT_AAC: u8 = 0x40;
const OBJECT_MPEG2_AAC_LC: u8 = 0x67;
const ESDS_BYTES_MAX: usize = 4096;
/// ISO/IEC 14496-3 table 1.18.
const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mp4_atom::{Avc1, Encode, Hvc1, Mp4a, Opus, esds};

    use super::*;

    fn described(kind: &[u8; 4], body: &[u8]) -> Result<Info, Error> {
        describe(&SampleEntry { kind: *kind, body: Bytes::copy_from_slice(body) })
    }

    /// Describes a sample entry as mp4-atom writes it.
    fn told<T: Atom + Encode>(entry: &T) -> (String, Media) {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes).expect("a whole sample entry");
        let info = described(&<[u8; 4]>::from(T::KIND), &bytes[8..]).expect("a supported codec");
        (info.rfc6381, info.media)
    }

    fn visual() -> Visual {
        Visual { width: 1920, height: 1080, ..Visual::default() }
    }

    fn sound(rate: u16) -> Audio {
        Audio { data_reference_index: 1, channel_count: 2, sample_size: 16, sample_rate: rate.into() }
    }

    #[test]
    fn codecs_are_told_as_players_expect_them() {
        let full_hd = Media::Video { width: 1920, height: 1080 };
        let avcc = Avcc { configuration_version: 1, avc_profile_indication: 0x64, length_size: 4, ..Avcc::default() };
        let avc1 = Avc1 { visual: visual(), avcc: Avcc { avc_level_indication: 0x28, ..avcc }, ..Avc1::default() };
        assert_eq!(told(&avc1), ("avc1.640028".into(), full_hd));
        let hvcc = Hvcc {
            general_profile_idc: 1,
            general_profile_compatibility_flags: [0x60, 0, 0, 0],
            general_constraint_indicator_flags: [0x90, 0, 0, 0, 0, 0],
            general_level_idc: 120,
            ..Hvcc::new()
        };
        assert_eq!(told(&Hvc1 { visual: visual(), hvcc, ..Hvc1::default() }), ("hvc1.1.6.L120.90".into(), full_hd));
        let specific = |raw: &[u8]| esds::DecoderSpecific { raw: raw.to_vec(), ..Default::default() };
        let mp4a = |raw: &[u8]| {
            let dec_config = esds::DecoderConfig {
                object_type_indication: 0x40,
                dec_specific: Some(specific(raw)),
                ..Default::default()
            };
            let es_desc = esds::EsDescriptor { dec_config, ..Default::default() };
            Mp4a { audio: sound(44_100), esds: Esds { es_desc }, btrt: None, taic: None }
        };
        let heard = Media::Audio { sample_rate: 44_100, channels: 2 };
        assert_eq!(told(&mp4a(&[0x12, 0x10])), ("mp4a.40.2".into(), heard));
        // A core of 22.05 kHz, of which spectral band replication makes 44.1 kHz.
        assert_eq!(told(&mp4a(&[0x2b, 0x92, 0x08, 0])), ("mp4a.40.5".into(), heard));
        let dops = Dops {
            output_channel_count: 2,
            pre_skip: 312,
            input_sample_rate: 44_100,
            output_gain: 0,
            channel_mapping: None,
        };
        let opus = Opus { audio: sound(48_000), dops, btrt: None };
        assert_eq!(told(&opus), ("opus".into(), Media::Audio { sample_rate: 48_000, channels: 2 }));
    }

    #[test]
    fn what_players_cannot_play_is_refused() {
        let refused = |kind| described(kind, &[0; 100]).expect_err("a refusal").to_string();
        assert!(refused(b"mp4v").contains("codec mp4v is not supported"));
        assert!(refused(b"encv").contains("encrypted"));
        assert!(refused(b"avc1").contains("it has no avcC box"));
        assert!(described(b"avc1", &[]).is_err());
    }

    #[test]
    fn pictures_no_other_needs_are_recognised() {
        let disposable = |unit: &[u8]| h264_disposable(unit, 4);
        assert!(disposable(b"\0\0\0\x02\x09\xf0\0\0\0\x02\x01\xff"), "after an access unit delimiter");
        assert!(!disposable(b"\0\0\0\x02\x41\xff"), "a reference");
        assert!(!disposable(b"\0\0\0\x02\x65\xff"), "a keyframe");
        for damaged in [&b""[..], b"\0", b"\0\0\0\x09\x01", b"\0\0\0\0"] {
            assert!(!disposable(damaged), "{damaged:?}");
        }
    }
}
