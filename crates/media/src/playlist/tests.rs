//! Whole playlists against golden files. `TRELLIS_BLESS=1` writes them anew; read the difference then.

use std::path::Path;

use trellis_proto::RenditionName::{Audio, Video};
use trellis_proto::{EndReason, Media, Mode, Rendition, RunId, Table};

use super::{Wait, media, multivariant, must_wait};
use crate::timeline::Timeline;
use crate::timeline::testing::{Source, layer, say_all, video};

const PART_US: u64 = 333_333;

fn golden(name: &str, text: Option<String>) {
    let text = text.expect("a playlist");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/playlist/golden").join(name).with_extension("m3u8");
    if std::env::var_os("TRELLIS_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

/// A timeline with a window of 12 s and its source, some segments and then some parts in.
fn live(segments: usize, parts: usize) -> (Timeline, Source) {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xa1, 0, 0).window(12);
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segments(segments));
    say_all(&mut timeline, (0..parts).map(|_| source.part(PART_US, false)).collect::<Vec<_>>());
    (timeline, source)
}

#[test]
fn nothing_is_shown_before_a_segment_is_complete() {
    let (timeline, _) = live(0, 3);
    assert_eq!((multivariant(&timeline), media(&timeline, Video(0), false)), (None, None));
}

#[test]
fn live_start() {
    let (timeline, _) = live(1, 0);
    golden("live-start-multivariant", multivariant(&timeline));
    golden("live-start-v0", media(&timeline, Video(0), false));
    assert_eq!(media(&timeline, Video(2), false), None);
}

#[test]
fn mid_segment() {
    let (timeline, _) = live(5, 2);
    golden("mid-segment-v1", media(&timeline, Video(1), false));
    golden("mid-segment-a0", media(&timeline, Audio(0), false));
}

#[test]
fn paused_then_back_with_fewer_renditions_then_without_the_old_run() {
    let (mut timeline, first) = live(2, 2);
    say_all(&mut timeline, [first.end(EndReason::Paused)]);
    golden("paused-v0", media(&timeline, Video(0), false));
    let mut second = first.again(0xa2);
    second.catalogue.renditions.remove(1);
    say_all(&mut timeline, [second.announce()]);
    golden("paused-v0", media(&timeline, Video(0), false));
    say_all(&mut timeline, [second.part(PART_US, false), second.part(PART_US, false)]);
    golden("discontinuity-v0", media(&timeline, Video(0), false));
    golden("rendition-gone-v1", media(&timeline, Video(1), false));
    say_all(&mut timeline, (2..6).map(|n| second.part(PART_US, n == 5)).collect::<Vec<_>>());
    golden("discontinuity-multivariant", multivariant(&timeline));
    say_all(&mut timeline, second.segments(6));
    golden("old-run-left-v0", media(&timeline, Video(0), false));
    assert_eq!(media(&timeline, Video(1), false), None);
}

#[test]
fn ended() {
    let (mut timeline, source) = live(2, 1);
    say_all(&mut timeline, [source.end(EndReason::Ended)]);
    golden("ended-v0", media(&timeline, Video(0), false));
    assert_eq!(must_wait(&timeline, 100, None), Wait::Ready);
}

#[test]
fn on_demand_while_it_comes_in_and_after() {
    let mut timeline = Timeline::new("film".parse().unwrap());
    let mut source = Source::live(0xb1, 0, 0).window(2);
    source.catalogue.mode = Mode::Vod;
    source.catalogue.stream = "film".parse().unwrap();
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segments(8));
    golden("vod-coming-v0", media(&timeline, Video(0), true));
    say_all(&mut timeline, [source.part(PART_US, true), source.end(EndReason::Ended)]);
    golden("vod-v0", media(&timeline, Video(0), true));
}

#[test]
fn audio_only() {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xc1, 0, 0);
    source.catalogue.renditions.drain(..2);
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segments(3));
    golden("audio-only-multivariant", multivariant(&timeline));
    golden("audio-only-a0", media(&timeline, Audio(0), false));
}

#[test]
fn twenty_five_frames_make_a_short_last_part() {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xd1, 0, 0);
    source.catalogue.part_target_us = 320_000;
    for rendition in &mut source.catalogue.renditions {
        if let Media::Video { frame_rate_millihertz, .. } = &mut rendition.media {
            *frame_rate_millihertz = 25_000;
        }
    }
    say_all(&mut timeline, [source.announce()]);
    for _ in 0..2 {
        let parts: Vec<_> = (0..7).map(|n| source.part(if n == 6 { 80_000 } else { 320_000 }, n == 6)).collect();
        say_all(&mut timeline, parts);
    }
    golden("25-fps-multivariant", multivariant(&timeline));
    golden("25-fps-v0", media(&timeline, Video(0), false));
    golden("25-fps-a0", media(&timeline, Audio(0), false));
}

#[test]
fn delta_update() {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xa1, 0, 0);
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segments(6));
    assert_eq!(media(&timeline, Video(0), true), media(&timeline, Video(0), false), "nothing to skip yet");
    say_all(&mut timeline, source.segments(2));
    golden("delta-v0", media(&timeline, Video(0), true));
    // The first segment not skipped begins a run.
    let mut second = source.again(0xa2);
    say_all(&mut timeline, [second.announce()]);
    say_all(&mut timeline, second.segments(6));
    golden("delta-discontinuity-v0", media(&timeline, Video(0), true));
}

#[test]
fn gaps_and_dependent_segments_say_so() {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xe1, 0, 0);
    say_all(&mut timeline, [source.announce()]);
    let mut tables = source.segments(2);
    for (at, table) in tables.iter_mut().enumerate() {
        let Table::Descriptor(descriptor) = table else { continue };
        descriptor.independent &= at > 0;
        if (5..12).contains(&at) {
            descriptor.tracks[2].layers[0] = layer(0);
        }
    }
    say_all(&mut timeline, tables);
    golden("gap-v0", media(&timeline, Video(0), false));
    golden("gap-a0", media(&timeline, Audio(0), false));
}

#[test]
fn variants_start_with_what_every_link_carries() {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xf1, 0, 0);
    source.catalogue.renditions.insert(0, video(1920, 1080, 5_000_000));
    let mut surround = source.catalogue.renditions.last().unwrap().clone();
    surround.media = Media::Audio { sample_rate: 48_000, channels: 6 };
    surround.codecs = "ec-3".into();
    surround.bandwidth = 384_000;
    source.catalogue.renditions.extend([source.catalogue.renditions[3].clone(), surround]);
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segment());
    golden("ladder-multivariant", multivariant(&timeline));
    assert_eq!(timeline.rate_bps(), 5_095_981);
}

#[test]
fn sound_is_named_by_its_language_and_within_its_group() {
    let mut timeline = Timeline::new("demo".parse().unwrap());
    let mut source = Source::live(0xf2, 0, 0);
    let sound = source.catalogue.renditions.pop().unwrap();
    source.catalogue.renditions.truncate(1);
    for (codecs, language) in
        [("mp4a.40.2", "pt-BR"), ("mp4a.40.2", "en"), ("mp4a.40.2", "en"), ("mp4a.40.2", ""), ("ec-3", "pt-BR")]
    {
        let (codecs, language) = (codecs.into(), language.into());
        source.catalogue.renditions.push(Rendition { codecs, language, ..sound.clone() });
    }
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segment());
    golden("languages-multivariant", multivariant(&timeline));
}

#[test]
fn a_request_ahead_of_its_time_waits_or_is_refused() {
    let (mut timeline, mut source) = live(2, 2);
    let ask = |timeline: &Timeline, cases: &[(u64, Option<u64>, Wait)]| {
        for &(msn, part, expected) in cases {
            assert_eq!(must_wait(timeline, msn, part), expected, "segment {msn}, part {part:?}");
        }
    };
    // Segments 0 and 1 are complete, of 2 there are parts 0 and 1.
    ask(
        &timeline,
        &[
            (0, None, Wait::Ready),
            (1, Some(99), Wait::Ready),
            (2, None, Wait::Wait),
            (2, Some(1), Wait::Ready),
            (2, Some(2), Wait::Wait),
            (3, Some(0), Wait::Wait),
            (4, None, Wait::TooFar),
            (u64::MAX, Some(u64::MAX), Wait::TooFar),
        ],
    );
    say_all(&mut timeline, (2..6).map(|n| source.part(PART_US, n == 5)).collect::<Vec<_>>());
    // Beyond the end of complete segment 2 lies the first part of segment 3.
    ask(&timeline, &[(2, Some(5), Wait::Ready), (2, Some(6), Wait::Wait), (4, None, Wait::Wait)]);
    say_all(&mut timeline, [source.part(PART_US, false)]);
    ask(&timeline, &[(2, Some(6), Wait::Ready)]);
    let empty = Timeline::new("demo".parse().unwrap());
    ask(&empty, &[(0, None, Wait::Wait), (3, None, Wait::TooFar)]);
    assert!(!timeline.is_next(RunId(0xa1), 0));
}
