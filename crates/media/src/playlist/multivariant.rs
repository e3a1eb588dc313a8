//! The multivariant playlist: which renditions there are and what they take.
//!
//! It describes the newest run of which a segment is complete, with bit rates as measured there.

use std::fmt::Write as _;

use trellis_proto::{Media, Rendition, RenditionName};

use crate::timeline::rates::{self, Rates};
use crate::timeline::{Run, Timeline};

pub(super) fn write(timeline: &Timeline) -> Option<String> {
    let run = timeline.runs().rev().find(|run| run.segments().any(|segment| segment.complete))?;
    let (video, audio): (Vec<_>, Vec<_>) = ladder(run).partition(|rung| matches!(rung.name, RenditionName::Video(_)));
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    if video.is_empty() {
        audio.iter().for_each(|sound| sound_alone(&mut out, sound));
        return Some(out);
    }
    for sound in &audio {
        media(&mut out, sound, &audio);
    }
    for picture in start_first(video) {
        match heads(&audio).collect::<Vec<_>>().as_slice() {
            [] => variant(&mut out, &picture, None),
            heads => heads.iter().for_each(|head| variant(&mut out, &picture, Some((head, &audio)))),
        }
    }
    Some(out)
}

struct Rung<'a> {
    name: RenditionName,
    rendition: &'a Rendition,
    rates: Rates,
}

fn ladder(run: &Run) -> impl Iterator<Item = Rung<'_>> {
    run.catalogue.names().zip(&run.catalogue.renditions).enumerate().map(|(index, (name, rendition))| Rung {
        name,
        rendition,
        rates: rates::measure(run, index),
    })
}

/// Best first, but the rung to start with before all: AVPlayer starts with the first variant listed, hls.js takes
/// its bandwidth for its first guess of the link (`abrEwmaDefaultEstimate`, 500 kbit/s otherwise). Others do
/// not mind the order.
fn start_first(mut video: Vec<Rung<'_>>) -> Vec<Rung<'_>> {
    let start = video.iter().position(|rung| rung.rates.peak <= START_BPS_MAX).unwrap_or(video.len() - 1);
    video[..=start].rotate_right(1);
    video
}

/// Sound of one codec is one group: players choose a group by what they can decode, then a member by taste.
/// Yields the first member of each.
fn heads<'a, 'b>(audio: &'b [Rung<'a>]) -> impl Iterator<Item = &'b Rung<'a>> {
    audio
        .iter()
        .enumerate()
        .filter(|(at, rung)| audio[..*at].iter().all(|b| !same_group(b, rung)))
        .map(|(_, rung)| rung)
}

fn same_group(a: &Rung<'_>, b: &Rung<'_>) -> bool {
    a.rendition.codecs == b.rendition.codecs
}

fn media(out: &mut String, sound: &Rung<'_>, audio: &[Rung<'_>]) {
    let Media::Audio { channels, .. } = sound.rendition.media else { return };
    let group = heads(audio).find(|head| same_group(head, sound)).map_or(sound.name, |head| head.name);
    let default = if group == sound.name { "YES" } else { "NO" };
    let _ = write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{}\",", label(sound, audio));
    if !sound.rendition.language.is_empty() {
        let _ = write!(out, "LANGUAGE=\"{}\",", sound.rendition.language);
    }
    let name = sound.name;
    let _ = writeln!(out, "DEFAULT={default},AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{name}.m3u8\"");
}

/// Shown in players' menus. Names differ within a group; the same sound in another codec, so in another group, has the
/// same name there: players match the members of groups by it.
fn label(sound: &Rung<'_>, audio: &[Rung<'_>]) -> String {
    let plain = plain_label(sound);
    let earlier = audio.iter().take_while(|other| other.name != sound.name);
    match earlier.filter(|other| same_group(other, sound) && plain_label(other) == plain).count() {
        0 => plain.into(),
        before => format!("{plain} {}", before + 1),
    }
}

fn plain_label<'a>(sound: &Rung<'a>) -> &'a str {
    let language = sound.rendition.language.as_str();
    if language.is_empty() { "Audio" } else { language }
}

fn variant(out: &mut String, picture: &Rung<'_>, sound: Option<(&Rung<'_>, &[Rung<'_>])>) {
    let Media::Video { width, height, frame_rate_millihertz } = picture.rendition.media else { return };
    let mut rates = picture.rates;
    let mut codecs = picture.rendition.codecs.clone();
    if let Some((head, audio)) = sound {
        // Whichever member of the group is chosen, the variant takes no more.
        let members = || audio.iter().filter(|rung| same_group(head, rung));
        rates.peak += members().map(|rung| rung.rates.peak).max().unwrap_or(0);
        rates.average += members().map(|rung| rung.rates.average).max().unwrap_or(0);
        let _ = write!(codecs, ",{}", head.rendition.codecs);
    }
    stream_inf(out, rates, &codecs);
    let _ = write!(out, ",RESOLUTION={width}x{height}");
    if frame_rate_millihertz > 0 {
        let _ = write!(out, ",FRAME-RATE={}.{:03}", frame_rate_millihertz / 1000, frame_rate_millihertz % 1000);
    }
    if let Some((head, _)) = sound {
        let _ = write!(out, ",AUDIO=\"{}\"", head.name);
    }
    let _ = writeln!(out, "\n{}.m3u8", picture.name);
}

fn sound_alone(out: &mut String, sound: &Rung<'_>) {
    stream_inf(out, sound.rates, &sound.rendition.codecs);
    let _ = writeln!(out, "\n{}.m3u8", sound.name);
}

fn stream_inf(out: &mut String, rates: Rates, codecs: &str) {
    let Rates { peak, average } = rates;
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\"");
}

/// What nearly every link carries at once: Apple's HLS authoring guide lists a variant of 2 Mbit/s first.
const START_BPS_MAX: u64 = 2_000_000;
