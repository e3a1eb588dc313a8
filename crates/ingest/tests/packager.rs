//! The packager on a whole stream: two rungs and sound, 4.6 s at 15 fps, keyframes every 2 s, B-frames.

use bytes::Bytes;
use futures_util::StreamExt;
use proptest::prelude::*;
use trellis_ingest::packager::{Error, Event, FrameRate, Media, Options, Packager, Part, Shape, Warning, fuzz};
use trellis_ingest::publish::advice::{self, Told};
use trellis_media::cmaf;
use trellis_media::fmp4::{self, Item};

const LADDER: &[u8] = include_bytes!("fixtures/ladder.mp4");

/// Splits the events of a run.
fn split(events: Vec<Event>) -> (Option<Shape>, Vec<Part>, Vec<Warning>) {
    let (mut shape, mut parts, mut warnings) = (None, Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Shape(found) => shape = Some(found),
            Event::Part(part) => parts.push(part),
            Event::Warning(warning) => warnings.push(warning),
        }
    }
    (shape, parts, warnings)
}

fn package(data: &[u8]) -> (Shape, Vec<Part>, Vec<Warning>) {
    let (events, error) = fuzz::events(std::iter::once(data));
    assert_eq!(error, None);
    let (shape, parts, warnings) = split(events);
    (shape.expect("a shape"), parts, warnings)
}

/// (dts, cts offset, sync, bytes) of every sample of the track at `index`.
fn samples(stream: &[u8], index: usize) -> Vec<(u64, i32, bool, Bytes)> {
    let (items, end) = fmp4::fuzz::items(std::iter::once(stream));
    assert_eq!(end, Ok(()));
    let of_track = items.into_iter().filter_map(|item| match item {
        Item::Sample(sample) if sample.track == index => {
            Some((sample.dts, sample.cts_offset, sample.sync, sample.data))
        }
        _ => None,
    });
    of_track.collect()
}

#[test]
fn a_ladder_becomes_one_shape() {
    let (shape, _, warnings) = package(LADDER);
    let told: Vec<_> =
        shape.renditions.iter().map(|r| (r.name.as_str(), r.codec.as_str(), r.media, r.timescale)).collect();
    let video = |width, height| Media::Video { width, height, frame_rate: FrameRate { num: 15, den: 1 } };
    assert_eq!(
        told,
        [
            ("v0", "avc1.64000a", video(96, 54), 15360),
            ("v1", "avc1.64000a", video(48, 28), 15360),
            ("a0", "mp4a.40.2", Media::Audio { sample_rate: 16_000, channels: 1 }, 16_000),
        ]
    );
    assert_eq!((shape.part_target_us, shape.segment_target_s), (333_334, 2));
    assert_eq!(warnings, []);
}

#[test]
fn parts_are_five_frames_and_segments_open_at_keyframes() {
    let (_, parts, _) = package(LADDER);
    let flags = |part: &Part| match (part.segment_start, part.last_of_segment, part.independent) {
        (true, false, true) => 'S',
        (false, true, false) => 'E',
        (false, false, false) => '.',
        _ => '?',
    };
    // S opens a segment, E ends it; the last part ends the run.
    assert_eq!(parts.iter().map(flags).collect::<String>(), "S....ES....ESE");
    let durations: Vec<_> = parts.iter().map(|part| part.duration_us).collect();
    assert_eq!(durations[..6], [333_333, 333_334, 333_333, 333_333, 333_334, 333_333]);
    assert_eq!(durations.iter().sum::<u32>(), 4_600_000);
    assert_eq!(parts[6].start_us, 2_000_000);
}

#[test]
fn every_sample_is_in_the_parts_exactly_as_it_came() {
    let (shape, parts, _) = package(LADDER);
    for (index, rendition) in shape.renditions.iter().enumerate() {
        let mut stream = rendition.init.to_vec();
        parts.iter().for_each(|part| stream.extend_from_slice(&part.tracks[index].data));
        assert_eq!(samples(&stream, 0), samples(LADDER, index), "rendition {}", rendition.name);
    }
}

#[test]
fn sound_is_cut_with_the_pictures() {
    let (_, parts, _) = package(LADDER);
    let mut audio_us: u64 = 0;
    for part in &parts[..parts.len() - 1] {
        assert!(audio_us.abs_diff(part.start_us) <= 64_000, "sound {audio_us}, pictures {}", part.start_us);
        audio_us += u64::from(part.tracks[2].duration_us);
    }
}

#[test]
fn a_stream_cut_in_mid_fragment_keeps_what_came_before() {
    let (_, whole, _) = package(LADDER);
    let (_, cut, _) = package(&LADDER[..LADDER.len() * 3 / 4]);
    assert!(cut.len() > 8);
    assert_eq!(cut[..cut.len() - 1], whole[..cut.len() - 1]);
}

#[test]
fn a_part_comes_out_with_the_frame_after_it() {
    let mut packager = Packager::new(Options::default());
    let mut parts_at = Vec::new();
    for (i, byte) in LADDER.iter().enumerate() {
        packager.push(Bytes::copy_from_slice(&[*byte])).expect("the fixture is sound");
        while let Some(event) = packager.poll() {
            if matches!(event, Event::Part(_)) {
                parts_at.push(i);
            }
        }
    }
    // Six parts with the keyframe that opens the second segment, seven more with the frames that follow them.
    assert_eq!(parts_at.len(), 13);
    assert!(parts_at[5] - parts_at[0] < 400 && parts_at[12] > parts_at[5] + 4000, "{parts_at:?}");
}

#[test]
fn negative_composition_offsets_are_raised_in_all_renditions_alike() {
    let mut packager = Packager::new(Options::default());
    packager.push(Bytes::from_static(trellis_ingest::SAMPLE)).expect("a sound clip");
    packager.finish().expect("a whole clip");
    let (shape, parts, _) = split(std::iter::from_fn(|| packager.poll()).collect());
    for (index, rendition) in shape.expect("a shape").renditions.iter().enumerate() {
        let stream = [&rendition.init[..], &parts[0].tracks[index].data].concat();
        let written = samples(&stream, 0);
        // The clip begins at 0 with offsets down to -1 frame: everything is one frame later, nothing is negative.
        let first = written[0].0 as i64 + i64::from(written[0].1);
        assert_eq!(first, i64::from(rendition.timescale) / 30, "rendition {}", rendition.name);
        assert!(written.iter().all(|(_, cts_offset, ..)| *cts_offset >= 0));
    }
}

/// A frame of a made-up stream: track of the fixture's header (0 and 1 video, 2 sound), decode time, composition offset
/// (ms), keyframe.
type Frame = (usize, u64, i32, bool);

/// The fixture's header, and fragments of one made-up frame each.
fn compose(frames: impl Iterator<Item = Frame>) -> Vec<u8> {
    let mut stream = LADDER[..fmp4::header_bytes(LADDER).expect("a fragmented file")].to_vec();
    for (track, dts_ms, offset_ms, sync) in frames {
        let timescale = [15_360, 15_360, 16_000][track];
        let ticks = |ms: i64| ms * timescale / 1000;
        let sample = cmaf::Sample {
            duration: ticks(40) as u32,
            cts_offset: ticks(offset_ms.into()) as i32,
            sync,
            disposable: false,
            data: Bytes::from_static(b"\0\0\0\x01\x41"),
        };
        let fragment = cmaf::fragment(track as u32 + 1, 1, ticks(dts_ms as i64) as u64, &[sample]);
        stream.extend_from_slice(&fragment.expect("a small part"));
    }
    stream
}

/// Rung and sound beside the pictures: `keys` says which pictures of the second rung are keyframes.
fn with_companions(count: u64, keys: impl Fn(u64) -> bool, sound_until_ms: u64) -> Vec<u8> {
    let frames = (0..count).flat_map(move |i| {
        let pictures = [(0, i * 40, 0, i % 50 == 0), (1, i * 40, 0, keys(i))];
        pictures.into_iter().chain((i * 40 < sound_until_ms).then_some((2, i * 40, 0, true)))
    });
    compose(frames)
}

/// Two rungs, and sound beside those pictures that `sounds` says.
fn with_sound(count: u64, sounds: impl Fn(u64) -> bool) -> Vec<u8> {
    let frames = (0..count).flat_map(move |i| {
        let pictures = [(0, i * 40, 0, i % 50 == 0), (1, i * 40, 0, i % 50 == 0)];
        pictures.into_iter().chain(sounds(i).then_some((2, i * 40, 0, true)))
    });
    compose(frames)
}

/// A stream with one rung.
fn retimed(frames: impl Iterator<Item = (u64, bool)>) -> Vec<u8> {
    let (items, _) = fmp4::fuzz::items(std::iter::once(LADDER));
    let Some(Item::Movie(movie)) = items.into_iter().next() else { panic!("a movie first") };
    let mut track = movie.tracks[0].clone();
    track.timescale = 1000;
    let mut stream = cmaf::init(&track).to_vec();
    for (dts, sync) in frames {
        let data = Bytes::from_static(b"\0\0\0\x01\x41");
        let sample = cmaf::Sample { duration: 40, cts_offset: 0, sync, disposable: false, data };
        stream.extend_from_slice(&cmaf::part(1, dts, &[sample]).expect("a small part"));
    }
    stream
}

#[test]
fn rungs_with_keyframes_apart_are_refused_with_advice() {
    let (events, error) = fuzz::events(std::iter::once(&with_companions(300, |i| i % 50 == 0 && i != 100, 12_000)[..]));
    let error = error.expect("an error");
    assert!(
        error.contains("v1 has no keyframe where v0 has one (4000 ms)") && error.contains("-sc_threshold 0"),
        "{error}"
    );
    assert_eq!(split(events).1.len(), 14, "what came before stays: two segments of seven parts");
    let never = fuzz::events(std::iter::once(&with_companions(100, |i| i == 25, 4000)[..])).1.expect("an error");
    assert!(never.contains("v1 has no keyframe where v0 has one (0 ms)"), "{never}");
}

/// Decode times (ms) of a rendition's samples in these parts, and whether they are as short as the made-up ones.
fn heard(shape: &Shape, parts: &[Part], index: usize) -> Vec<(u64, bool)> {
    let rendition = &shape.renditions[index];
    let mut stream = rendition.init.to_vec();
    parts.iter().for_each(|part| stream.extend_from_slice(&part.tracks[index].data));
    let samples = samples(&stream, 0).into_iter();
    samples.map(|(dts, _, _, data)| (dts * 1000 / u64::from(rendition.timescale), data.len() == 5)).collect()
}

/// Sound without a hole from the beginning to the end; one frame of AAC at 16 kHz is 64 ms, the last of a row of them
/// lasts longer by what is no whole one.
fn assert_whole(heard: &[(u64, bool)], end_ms: u64) {
    assert!(heard[0].0 < 64, "begins at {}", heard[0].0);
    let hole = heard.windows(2).find(|pair| pair[1].0 - pair[0].0 > 128);
    assert_eq!(hole, None);
    assert!(end_ms - heard[heard.len() - 1].0 <= 128, "ends at {:?} of {end_ms}", heard.last());
}

#[test]
fn sound_that_stops_holds_the_pictures_up_for_two_seconds_only_and_is_silent_then() {
    let (shape, parts, warnings) = package(&with_companions(300, |i| i % 50 == 0, 5000));
    assert_eq!(warnings, [Warning::Lagging { rendition: "a0".into() }]);
    let whole_us: u64 = parts.iter().map(|part| u64::from(part.duration_us)).sum();
    assert!(whole_us.abs_diff(12_000_000) < 1000, "{whole_us}");
    let heard = heard(&shape, &parts, 2);
    assert_whole(&heard, 12_000);
    assert!(heard.iter().all(|&(at_ms, made)| made == (at_ms < 5000)), "{heard:?}");
}

#[test]
fn sound_that_comes_late_or_again_is_silent_until_then() {
    let (shape, parts, _) = package(&with_sound(350, |i| (30..75).contains(&i) || i > 200));
    let heard = heard(&shape, &parts, 2);
    assert_whole(&heard, 14_000);
    let made = heard.iter().filter(|(_, made)| *made).count();
    assert!(made >= 45 + 149 - 2, "{made} of the frames that came are heard");
    assert!(parts.iter().all(|part| !part.tracks[2].data.is_empty()));
}

#[test]
fn a_hole_in_the_sound_is_as_long_as_it_was_and_silent() {
    for hole in [75..110, 10..135] {
        let (shape, parts, _) = package(&with_sound(350, |i| !hole.contains(&i)));
        let heard = heard(&shape, &parts, 2);
        assert_whole(&heard, 14_000);
        let of = |i: usize| parts.iter().map(|part| u64::from(part.tracks[i].duration_us)).sum::<u64>();
        assert!(of(0).abs_diff(of(2)) < 130_000, "{} and {}", of(0), of(2));
        let longest = parts.iter().map(|part| part.tracks[2].duration_us).max();
        assert!(longest.is_some_and(|us| us < 520_000), "{longest:?}");
        let made = heard.iter().filter(|(_, made)| *made).count() as u64;
        assert!(made >= 350 - hole.count() as u64 - 2, "{made} of the frames that came are heard");
    }
}

#[test]
fn sound_that_comes_in_fragments_of_its_own_behind_the_pictures_is_waited_for_once_it_was_late() {
    const LONG: u64 = 100;
    let frames = (0..8u64).flat_map(|n| {
        (0..3usize).flat_map(move |track| {
            (n * LONG..(n + 1) * LONG).map(move |i| (track, i * 40, 0, track == 2 || i % 50 == 0))
        })
    });
    let (shape, parts, _) = package(&compose(frames));
    let made = heard(&shape, &parts, 2).iter().filter(|(_, made)| *made).count() as u64;
    assert!(made > 7 * LONG, "{made} of the {} frames that came are heard", 8 * LONG);
}

#[test]
fn a_rung_that_stops_is_a_gap_as_long_as_the_pictures() {
    let frames = (0..300u64)
        .flat_map(|i| {
            let rung = (i < 125).then_some((1, i * 40, 0, i % 50 == 0));
            [Some((0, i * 40, 0, i % 50 == 0)), rung, Some((2, i * 40, 0, true))]
        })
        .flatten();
    let (_, parts, _) = package(&compose(frames));
    let gaps: Vec<_> = parts.iter().filter(|part| part.tracks[1].data.is_empty()).collect();
    assert!(gaps.len() > 15 && gaps.iter().all(|part| part.tracks[1].duration_us == part.duration_us));
}

#[test]
fn rungs_that_reorder_differently_are_cut_at_the_same_pictures() {
    // The first rung decodes two frames ahead, the second shows as it decodes.
    let frames = (0..120u64)
        .flat_map(|i| [(0, i * 40, 80, i % 50 == 0), (1, i * 40 + 80, 0, i % 50 == 0), (2, i * 40, 0, true)]);
    let (shape, parts, _) = package(&compose(frames));
    assert!(parts[0].independent && parts[7].segment_start && parts[7].independent);
    for (rendition, track) in shape.renditions.iter().zip(&parts[7].tracks).take(2) {
        let written = samples(&[&rendition.init[..], &track.data].concat(), 0);
        let shown_ms = (written[0].0 as i64 + i64::from(written[0].1)) * 1000 / i64::from(rendition.timescale);
        assert_eq!((shown_ms, written[0].2), (2079, true), "rendition {}", rendition.name);
    }
}

#[test]
fn long_gops_keep_their_keyframes_as_boundaries_and_are_named() {
    let (shape, parts, warnings) = package(&retimed((0..300).map(|i| (i * 40, i % 125 == 0))));
    assert_eq!(shape.segment_target_s, 5);
    let starts: Vec<_> = parts.iter().filter(|part| part.segment_start).map(|part| part.start_us).collect();
    assert_eq!(starts, [0, 5_000_000, 10_000_000]);
    assert_eq!(warnings, [Warning::LongGop { seen_ms: 5000, keyint: 50 }]);
    assert!(warnings[0].to_string().contains("-g 50"));
}

#[tokio::test]
async fn what_is_copied_is_advised_on_while_it_is_sent() {
    let stream = retimed((0..300).map(|i| (i * 40, i % 125 == 0)));
    let pieces: Vec<_> = stream.chunks(1000).map(Bytes::copy_from_slice).collect();
    let (count, sent) = (pieces.len(), pieces.clone());
    let told = Told::default();
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok));
    let mut body = std::pin::pin!(advice::watched(body, None, told.clone()));
    let (mut passed, mut advised_at) = (Vec::new(), None);
    while let Some(piece) = body.next().await {
        passed.push(piece.expect("as it was sent"));
        advised_at = advised_at.or((!told.all().is_empty()).then_some(passed.len()));
    }
    let advice = Warning::LongGop { seen_ms: 5000, keyint: 50 }.to_string();
    told.tell(advice.clone());
    assert_eq!((passed, told.all()), (sent, vec![advice]), "the bytes as they are, and nothing twice");
    assert!(advised_at.is_some_and(|at| at < count / 2), "at piece {advised_at:?} of {count}");
}

#[test]
fn a_missing_keyframe_cuts_the_segment_before_it_rounds_up() {
    let (shape, parts, warnings) = package(&retimed((0..200).map(|i| (i * 40, i == 0 || i == 50 || i == 150))));
    assert_eq!(shape.segment_target_s, 2);
    let opened: Vec<_> =
        parts.iter().filter(|part| part.segment_start).map(|part| (part.start_us, part.independent)).collect();
    assert_eq!(opened, [(0, true), (2_000_000, true), (4_480_000, false), (6_960_000, false)]);
    assert_eq!(warnings, [Warning::ForcedCut { target_s: 2, keyint: 50 }]);
}

#[test]
fn a_short_clip_is_one_segment() {
    let (shape, parts, _) = package(&retimed((0..3).map(|i| (i * 40, i == 0))));
    assert_eq!((shape.segment_target_s, parts.len(), parts[0].duration_us), (2, 1, 120_000));
    assert!(parts[0].segment_start && parts[0].last_of_segment && parts[0].independent);
}

#[test]
fn what_cannot_be_served_is_refused_with_advice() {
    let refused = |stream: &[u8]| fuzz::events(std::iter::once(stream)).1.expect("an error");
    assert!(refused(b"<html><body>no</body></html>").contains("-f mp4"));
    assert!(refused(b"FLV\x01\x05\0\0\0\x09\0\0\0\0").contains("not MP4"));
    assert!(refused(b"").contains("header"));
    let backwards = retimed([(0, true), (40, false), (40, false)].into_iter());
    assert!(refused(&backwards).contains("go backwards or stand still at 40 ms"));
    let jump = retimed([(0, true), (40, false), (20_000, true)].into_iter());
    assert!(refused(&jump).contains("jump by 19960 ms"));
    let blind = retimed((0..400).map(|i| (i * 40, false)));
    assert!(refused(&blind).contains("keyframe interval"));
}

#[test]
fn after_an_error_the_run_is_over() {
    let mut packager = Packager::new(Options::default());
    assert!(packager.push(Bytes::from_static(b"no such box here")).is_err());
    assert!(matches!(packager.push(Bytes::new()), Err(Error::Over)));
    assert!(matches!(packager.finish(), Err(Error::Over)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunking_does_not_matter(step in 1usize..3000) {
        fuzz::packager(LADDER, step);
    }

    #[test]
    fn mutated_streams_keep_the_promises(
        changes in prop::collection::vec((0..LADDER.len(), any::<u8>()), 1..12),
        step in 1usize..5000,
    ) {
        let mut data = LADDER.to_vec();
        changes.into_iter().for_each(|(at, byte)| data[at] = byte);
        fuzz::packager(&data, step);
    }

    #[test]
    fn mutated_headers_keep_the_promises(changes in prop::collection::vec((28usize..2100, any::<u8>()), 1..4)) {
        let mut data = LADDER.to_vec();
        changes.into_iter().for_each(|(at, byte)| data[at] = byte);
        fuzz::packager(&data, 1000);
    }

    #[test]
    fn any_timing_keeps_the_promises(frames in prop::collection::vec((0usize..3, 0u64..700, -100i32..100, any::<bool>()), 0..300)) {
        let mut clocks = [0; 3];
        let frames = frames.into_iter().map(|(track, step_ms, offset_ms, sync)| {
            clocks[track] += step_ms;
            (track, clocks[track], offset_ms, sync)
        });
        fuzz::packager(&compose(frames), 4096);
    }

    #[test]
    fn noise_is_refused(data in prop::collection::vec(any::<u8>(), 0..2000), step in 1usize..100) {
        fuzz::packager(&data, step);
    }
}
