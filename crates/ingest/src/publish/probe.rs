//! What is in the source? Asked of `ffprobe`.

use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::Error;
use super::ffmpeg::{missing, tail_of};

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// The first video stream.
    pub video: Option<Video>,
    /// Whether there is sound; `None` when unknown.
    pub audio: Option<bool>,
    /// Whether the sound is AAC in ADTS frames (MPEG-TS, bare `.aac`), whose configuration stands in each frame.
    pub adts: bool,
    /// Length (s); `None` for live sources.
    pub seconds: Option<f64>,
    /// Where the pictures of a file end, if its sound goes on well after them (s).
    pub pictures_end_s: Option<f64>,
}

/// The first video stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Video {
    /// Shorter side (pixels).
    pub lines: u32,
    /// Frames per second as numerator and denominator.
    pub fps: (u32, u32),
}

impl Probe {
    /// What is assumed of a source that can be read only once (standard input).
    pub const UNKNOWN: Self = Self { audio: None, ..Self::of(Video { lines: 720, fps: (30, 1) }) };

    /// A source without end, of these pictures and some sound.
    pub const fn of(video: Video) -> Self {
        Self { video: Some(video), audio: Some(true), adts: false, seconds: None, pictures_end_s: None }
    }
}

/// Asks ffprobe about a file or URL.
pub async fn probe(input: &str) -> Result<Probe, Error> {
    let args = ["-v", "error", "-of", "json", "-show_streams", "-show_format", input];
    let out = run(&args, input).await?;
    let found: Found = serde_json::from_slice(&out).map_err(|error| Error::Input {
        input: input.into(),
        tail: format!("ffprobe's answer is not readable: {error}"),
    })?;
    Ok(summarize(&found))
}

/// The longest distance between keyframes in the first ten minutes of a file, in whole seconds, rounded up.
pub async fn keyframe_seconds(input: &str) -> Result<Option<u32>, Error> {
    let args = [
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-read_intervals",
        "%+600",
        "-show_entries",
        "packet=pts_time,flags",
        "-of",
        "csv=p=0",
        input,
    ];
    let out = run(&args, input).await?;
    Ok(longest_gap(&String::from_utf8_lossy(&out)))
}

/// The longest gap between lines `time,K…`, rounded up. The last keyframe's distance to the end counts too.
fn longest_gap(packets: &str) -> Option<u32> {
    let times = packets.lines().filter_map(|line| {
        let (time, flags) = line.split_once(',')?;
        Some((time.parse::<f64>().ok()?, flags.starts_with('K')))
    });
    let (mut last_key, mut newest, mut longest) = (None, 0f64, 0f64);
    for (time, key) in times {
        newest = newest.max(time);
        if key {
            longest = longest.max(last_key.map_or(0.0, |last| time - last));
            last_key = Some(time);
        }
    }
    let longest = longest.max(newest - last_key?);
    // A millisecond of rounding must not make 2.001 s into 3.
    Some((longest - 0.01).ceil().clamp(1.0, 3600.0) as u32)
}

async fn run(args: &[&str], input: &str) -> Result<Vec<u8>, Error> {
    let out = Command::new("ffprobe")
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| missing("ffprobe", error))?;
    if !out.status.success() {
        return Err(Error::Input { input: input.into(), tail: tail_of(&String::from_utf8_lossy(&out.stderr)) });
    }
    Ok(out.stdout)
}

fn summarize(found: &Found) -> Probe {
    let of = |kind: &str| found.streams.iter().find(|s| s.codec_type == kind && s.disposition.attached_pic == 0);
    let video = of("video").map(|stream| Video {
        lines: stream.width.min(stream.height),
        fps: [&stream.avg_frame_rate, &stream.r_frame_rate]
            .into_iter()
            .find_map(|rate| sane_rate(rate))
            .unwrap_or((30, 1)),
    });
    let seconds = duration(found.format.duration.as_deref());
    let pictures_end_s = of("video").and_then(|stream| duration(stream.duration.as_deref()));
    let pictures_end_s = pictures_end_s.filter(|end_s| seconds.is_some_and(|all_s| all_s - end_s > OUTLASTS_S));
    let audio = of("audio");
    let adts = audio.is_some_and(|stream| stream.codec_name == "aac" && stream.extradata_size == 0);
    Probe { video, audio: Some(audio.is_some()), adts, seconds, pictures_end_s }
}

fn duration(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|&seconds: &f64| seconds > 0.0)
}

/// Sound that ends as much later than the pictures as this, is not a matter of whole frames.
const OUTLASTS_S: f64 = 0.5;

/// `num/den` between 1 and 60 frames per second; faster sources are thinned to 60.
fn sane_rate(text: &str) -> Option<(u32, u32)> {
    let (num, den) = text.split_once('/')?;
    let (num, den): (u32, u32) = (num.parse().ok()?, den.parse().ok()?);
    let fps = f64::from(num) / f64::from(den);
    if fps > 60.5 && fps.is_finite() { Some((60, 1)) } else { (1.0..=60.5).contains(&fps).then_some((num, den)) }
}

#[derive(Debug, Deserialize)]
struct Found {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Deserialize)]
struct Stream {
    #[serde(default)]
    codec_type: String,
    #[serde(default)]
    codec_name: String,
    /// Bytes of configuration beside the frames.
    #[serde(default)]
    extradata_size: u32,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    #[serde(default)]
    avg_frame_rate: String,
    #[serde(default)]
    r_frame_rate: String,
    #[serde(default)]
    disposition: Disposition,
    duration: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Debug, Default, Deserialize)]
struct Format {
    duration: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ffprobe_is_understood() {
        let json = br#"{"streams":[
            {"codec_type":"video","width":600,"height":600,"avg_frame_rate":"0/0","disposition":{"attached_pic":1}},
            {"codec_type":"audio","codec_name":"aac","extradata_size":5},
            {"codec_type":"video","width":1080,"height":1920,"avg_frame_rate":"0/0","r_frame_rate":"30000/1001","duration":"8.0"}],
            "format":{"duration":"12.5"}}"#;
        let found: Found = serde_json::from_slice(json).expect("as ffprobe writes it");
        let video = Some(Video { lines: 1080, fps: (30_000, 1001) });
        let lengths = (Some(12.5), Some(8.0));
        assert_eq!(
            summarize(&found),
            Probe { video, audio: Some(true), adts: false, seconds: lengths.0, pictures_end_s: lengths.1 }
        );
        let live: Found = serde_json::from_slice(br#"{"streams":[],"format":{}}"#).expect("as ffprobe writes it");
        let nothing = Probe { video: None, audio: Some(false), adts: false, seconds: None, pictures_end_s: None };
        assert_eq!(summarize(&live), nothing);
        let transport = br#"{"streams":[{"codec_type":"audio","codec_name":"aac"}]}"#;
        assert!(summarize(&serde_json::from_slice(transport).expect("as ffprobe writes it")).adts);
    }

    #[test]
    fn the_longest_distance_of_keyframes_counts() {
        assert_eq!(longest_gap("0.000000,K__\n1.000000,___\n2.002000,K__\n9.900000,___\n"), Some(8));
        assert_eq!(longest_gap("0.000000,K_\n2.000000,K_\n4.002000,K_\n"), Some(2));
        assert_eq!(longest_gap("N/A,___\n"), None);
    }
}
