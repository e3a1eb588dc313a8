//! The reader on streams this crate writes itself, and on hostile ones.

use bytes::{BufMut, Bytes};
use proptest::prelude::*;

use super::fuzz::{items, reader};
use super::{Error, Item, SampleEntry, Track, TrackKind};
use crate::cmaf;

fn track(kind: TrackKind, timescale: u32) -> Track {
    Track {
        id: 1,
        kind,
        timescale,
        language: "und".into(),
        entry: SampleEntry { kind: *b"test", body: Bytes::from_static(b"config") },
        tkhd: Default::default(),
        delay: 0,
        defaults: Default::default(),
    }
}

fn sample(duration: u32, cts_offset: i32, sync: bool, data: &'static [u8]) -> cmaf::Sample {
    cmaf::Sample { duration, cts_offset, sync, disposable: false, data: Bytes::from_static(data) }
}

/// A header and two parts, the first with all fields varying, the second with none.
fn stream() -> Vec<u8> {
    let mut stream = cmaf::init(&track(TrackKind::Video, 1000)).to_vec();
    let varied = [sample(40, 80, true, b"key"), sample(41, 0, false, b"b"), sample(40, -40, false, b"")];
    let plain = [sample(40, 0, false, b"p1"), sample(40, 0, false, b"p22")];
    stream.extend_from_slice(&cmaf::part(1, 1 << 33, &varied).expect("small"));
    stream.extend_from_slice(&cmaf::part(2, (1 << 33) + 121, &plain).expect("small"));
    stream
}

#[test]
fn what_is_written_is_read_back() {
    let (items, end) = items(std::iter::once(&stream()[..]));
    assert_eq!(end, Ok(()));
    let Item::Movie(movie) = &items[0] else { panic!("a movie first") };
    assert_eq!((movie.tracks.len(), movie.tracks[0].timescale, movie.tracks[0].delay), (1, 1000, 0));
    assert_eq!(movie.tracks[0].entry, track(TrackKind::Video, 1000).entry);
    let read: Vec<_> = items[1..]
        .iter()
        .map(|item| match item {
            Item::Sample(s) => (s.dts - (1 << 33), s.cts_offset, s.duration, s.sync, &s.data[..]),
            Item::Movie(_) => panic!("one movie only"),
        })
        .collect();
    let expected: [(u64, i32, u32, bool, &[u8]); 5] = [
        (0, 80, 40, true, b"key"),
        (40, 0, 41, false, b"b"),
        (81, -40, 40, false, b""),
        (121, 0, 40, false, b"p1"),
        (161, 0, 40, false, b"p22"),
    ];
    assert_eq!(read, expected);
}

/// Wraps `body` in a box.
fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(body.len() as u32 + 8);
    out.put_slice(kind);
    out.put_slice(body);
    out
}

fn end_of(stream: &[u8]) -> Result<(), Error> {
    items(std::iter::once(stream)).1
}

#[test]
fn deeply_nested_boxes_do_not_recurse() {
    for kind in [b"trak", b"moov", b"moof", b"traf", b"udta", b"meta"] {
        let forward: Vec<u8> = (1..100_000u32).rev().flat_map(|depth| boxed_header(kind, depth * 8)).collect();
        assert!(end_of(&boxed(b"moov", &forward)).is_err());
        let mut fragment = cmaf::init(&track(TrackKind::Audio, 48_000)).to_vec();
        fragment.extend(boxed(b"moof", &forward));
        let _ = end_of(&fragment);
    }
}

fn boxed_header(kind: &[u8; 4], bytes: u32) -> [u8; 8] {
    let mut out = [0; 8];
    out[..4].copy_from_slice(&bytes.to_be_bytes());
    out[4..].copy_from_slice(kind);
    out
}

#[test]
fn limits_are_kept() {
    let huge = |kind| end_of(&boxed_header(kind, u32::MAX));
    assert!(matches!(huge(b"moov"), Err(Error::TooLarge { .. })));
    assert!(matches!(huge(b"free"), Err(Error::TooLarge { .. })));
    assert_eq!(huge(b"mdat"), Err(Error::NotFragmented));
    let mut endless = cmaf::init(&track(TrackKind::Video, 1000)).to_vec();
    endless.extend(boxed_header(b"mdat", 0));
    assert!(matches!(end_of(&endless), Err(Error::TooLarge { bytes: u64::MAX, .. })));
    assert!(matches!(end_of(&boxed_header(b"moov", 7)), Err(Error::Malformed { .. })));
}

#[test]
fn a_fragment_of_four_billion_samples_is_refused_at_once() {
    let mut stream = cmaf::init(&track(TrackKind::Video, 1000)).to_vec();
    let mut trun = vec![0; 4];
    trun.put_u32(u32::MAX);
    let tfhd = boxed(b"tfhd", &[0, 0, 0, 0, 0, 0, 0, 1]);
    let traf = boxed(b"traf", &[tfhd, boxed(b"trun", &trun)].concat());
    stream.extend(boxed(b"moof", &traf));
    assert!(matches!(end_of(&stream), Err(Error::TooManySamples { .. })));
}

#[test]
fn samples_outside_of_their_mdat_are_refused() {
    let whole = stream();
    let at = whole.windows(4).rposition(|w| w == b"trun").expect("the last trun");
    for offset in [0i32, 1_000_000, i32::MIN] {
        let mut bad = whole.clone();
        bad[at + 12..at + 16].copy_from_slice(&offset.to_be_bytes());
        assert_eq!(end_of(&[bad, stream()[..].to_vec()].concat()), Err(Error::DataOutside), "offset {offset}");
    }
}

#[test]
fn edit_lists_put_tracks_on_one_timeline() {
    let elst = |media_time: u32| {
        let mut body = vec![0; 4];
        body.put_u32(1);
        body.put_u32(0);
        body.put_u32(media_time);
        body.put_u32(0x1_0000);
        boxed(b"edts", &boxed(b"elst", &body))
    };
    // Pictures wait 80 ms for B-frames, sound has 1024 samples of priming (21 ms).
    let mut first = trak(&cmaf::init(&track(TrackKind::Video, 1000)));
    first.extend(elst(80));
    let mut second = trak(&cmaf::init(&Track { id: 2, ..track(TrackKind::Audio, 48_000) }));
    second.extend(elst(1024));
    let mvhd = boxed(b"mvhd", &[&[0; 12][..], &1000u32.to_be_bytes(), &[0; 84]].concat());
    let mvex = boxed(b"mvex", &[]);
    let moov = boxed(b"moov", &[mvhd, boxed(b"trak", &first), boxed(b"trak", &second), mvex].concat());
    let (items, end) = items(std::iter::once(&moov[..]));
    assert_eq!(end, Ok(()));
    let Item::Movie(movie) = &items[0] else { panic!("a movie") };
    assert_eq!(movie.tracks.iter().map(|track| track.delay).collect::<Vec<_>>(), [0, 3840 - 1024]);
}

/// The body of the `trak` box in an init segment.
fn trak(init: &[u8]) -> Vec<u8> {
    let at = init.windows(4).position(|w| w == b"trak").expect("a trak");
    let bytes = u32::from_be_bytes(init[at - 4..at].try_into().expect("four bytes")) as usize;
    init[at + 4..at - 4 + bytes].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunking_does_not_matter(step in 1usize..200) {
        reader(&stream(), step);
    }

    #[test]
    fn mutated_streams_do_no_harm(
        changes in prop::collection::vec((0usize..1000, any::<u8>()), 1..8),
        step in 1usize..200,
    ) {
        let mut data = stream();
        let len = data.len();
        changes.into_iter().for_each(|(at, byte)| data[at % len] = byte);
        reader(&data, step);
    }

    #[test]
    fn noise_does_no_harm(data in prop::collection::vec(any::<u8>(), 0..500), step in 1usize..50) {
        reader(&data, step);
    }
}
