//! Does the timeline know what its tables say, whatever order and gaps they come in?

use bytes::Bytes;
use proptest::prelude::*;
use trellis_proto::{EndReason, Mode, RunId, Table};

use super::testing::{Source, encode, say, say_all};
use super::{Applied, Cursor, Evicted, State, Timeline, TimelineError, fuzz};

const PART_US: u64 = 333_333;

fn demo() -> Timeline {
    Timeline::new("demo".parse().unwrap())
}

fn descriptor(table: Table) -> trellis_proto::Descriptor {
    match table {
        Table::Descriptor(descriptor) => descriptor,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_state_follows_the_publisher() {
    let (mut timeline, mut first) = (demo(), Source::live(1, 0, 0));
    assert_eq!(timeline.state(), State::Waiting);
    say_all(&mut timeline, [first.announce()]);
    assert_eq!(timeline.state(), State::Waiting);
    say_all(&mut timeline, [first.part(PART_US, false)]);
    assert_eq!(timeline.state(), State::Live);
    say_all(&mut timeline, [first.end(EndReason::Paused)]);
    assert_eq!(timeline.state(), State::Paused);
    // A run that has had no part counts for nothing.
    say_all(&mut timeline, [first.again(2).announce()]);
    assert_eq!(timeline.next_run(), Some((1, 1)));
    let mut second = first.again(3);
    say_all(&mut timeline, [second.announce()]);
    assert_eq!(timeline.state(), State::Paused, "a catalogue alone shows nothing yet");
    say_all(&mut timeline, [second.part(PART_US, false)]);
    assert_eq!(timeline.state(), State::Live);
    say_all(&mut timeline, [second.end(EndReason::Ended)]);
    assert_eq!(timeline.state(), State::Ended);
}

#[test]
fn look_ups_know_complete_segments_and_the_next_part() {
    let (mut timeline, mut source) = (demo(), Source::live(1, 10, 0));
    say_all(&mut timeline, [source.announce()]);
    assert!(timeline.is_next(RunId(1), 0) && timeline.last().is_none());
    say_all(&mut timeline, source.segment());
    assert_eq!(timeline.segment(RunId(1), 10), Some(0..=5));
    assert_eq!(timeline.last(), Some((10, 5, true)));
    say_all(&mut timeline, [source.part(PART_US, false)]);
    assert_eq!(timeline.segment(RunId(1), 11), None);
    assert_eq!(timeline.last(), Some((11, 0, false)));
    assert!(timeline.is_next(RunId(1), 7) && !timeline.is_next(RunId(1), 6) && !timeline.is_next(RunId(2), 7));
    say_all(&mut timeline, [source.end(EndReason::Paused)]);
    assert_eq!(timeline.segment(RunId(1), 11), Some(6..=6), "the end completes what there is");
    assert!(!timeline.is_next(RunId(1), 7));
}

#[test]
fn where_a_part_lies_in_a_recording_is_the_sum_of_those_before_it() {
    let (mut timeline, mut source) = (demo(), Source::live(1, 10, 0));
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segments(3));
    say_all(&mut timeline, [source.part(PART_US, false), source.part(PART_US, false)]);
    for rendition in 0..3 {
        let mut sum = 0;
        for part in 0..20 {
            assert_eq!(timeline.offset(RunId(1), rendition, part), Some(sum), "rendition {rendition}, part {part}");
            sum += timeline.part(RunId(1), part).unwrap().tracks[rendition].size();
        }
    }
    assert_eq!(
        [(1, 0, 20), (1, 3, 0), (2, 0, 0)].map(|(run, r, part)| timeline.offset(RunId(run), r, part)),
        [None; 3]
    );
    say_all(&mut timeline, source.segments(40));
    assert_eq!(timeline.offset(RunId(1), 0, 200), None, "its beginning has left the window");
}

#[test]
fn wrong_tables_are_refused_and_change_nothing() {
    let (mut timeline, mut source) = (demo(), Source::live(1, 0, 0));
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segment());
    let good = descriptor(source.part(PART_US, false));
    let with = |change: &dyn Fn(&mut trellis_proto::Descriptor)| {
        let mut bad = good.clone();
        change(&mut bad);
        Table::Descriptor(bad)
    };
    let mut other = Source::live(1, 0, 0);
    other.catalogue.first_msn = 5;
    let mut elsewhere = Source::live(9, 0, 0);
    elsewhere.catalogue.stream = "other".parse().unwrap();
    let version = timeline.version();
    for (table, error) in [
        (elsewhere.announce(), TimelineError::WrongStream),
        (other.announce(), TimelineError::Conflict),
        (with(&|d| d.run = RunId(2)), TimelineError::UnknownRun(RunId(2))),
        (with(&|d| (d.part, d.index) = (8, 2)), TimelineError::Gap { expected: 6, found: 8 }),
        (with(&|d| (d.part, d.msn) = (8, 0)), TimelineError::Numbering(8)),
        (with(&|d| d.msn = 2), TimelineError::Numbering(6)),
        (with(&|d| d.index = 1), TimelineError::Numbering(6)),
        (with(&|d| d.discontinuity = true), TimelineError::Numbering(6)),
        (with(&|d| d.part = 5), TimelineError::Conflict),
        (with(&|d| d.start_us = 0), TimelineError::Backwards(6)),
        (with(&|d| drop(d.tracks.pop())), TimelineError::Shape(6)),
        (with(&|d| d.tracks[0].layers[0].size += 1 << 17), TimelineError::Shape(6)),
    ] {
        assert_eq!(say(&mut timeline, table), Err(error));
    }
    let end = |parts, reason| Table::RunEnd(trellis_proto::RunEnd { run: RunId(1), parts, reason });
    assert_eq!(say(&mut timeline, end(7, EndReason::Ended)), Err(TimelineError::Gap { expected: 6, found: 7 }));
    assert_eq!(say(&mut timeline, end(5, EndReason::Ended)), Err(TimelineError::Conflict));
    assert_eq!(timeline.version(), version);
    say_all(&mut timeline, [end(6, EndReason::Ended)]);
    assert_eq!(say(&mut timeline, Table::Descriptor(good)), Err(TimelineError::RunOver(RunId(1))));
    assert_eq!(say(&mut timeline, end(6, EndReason::Paused)), Ok(Applied::Known), "an end is not taken back");
    assert_eq!(say(&mut timeline, end(6, EndReason::Ended)), Ok(Applied::Known));
    assert_eq!(say(&mut timeline, end(5, EndReason::Ended)), Err(TimelineError::Conflict));
    assert_eq!(timeline.state(), State::Ended);
}

#[test]
fn a_pause_turns_into_an_end_and_every_follower_hears_of_it() {
    let (mut timeline, mut source) = (demo(), Source::live(1, 0, 0));
    say_all(&mut timeline, [source.announce()]);
    say_all(&mut timeline, source.segment());
    say_all(&mut timeline, [source.end(EndReason::Paused)]);
    let mut cursor = Cursor::new(Some((RunId(1), 5)));
    assert_eq!(timeline.next_message(&mut cursor).unwrap(), encode(&source.end(EndReason::Paused)));
    assert_eq!(timeline.next_message(&mut cursor), None);
    say_all(&mut timeline, [source.end(EndReason::Ended)]);
    assert_eq!(timeline.state(), State::Ended);
    assert_eq!(timeline.next_message(&mut cursor).unwrap(), encode(&source.end(EndReason::Ended)));
    assert_eq!(timeline.next_message(&mut cursor), None);
}

#[test]
fn the_window_slides_by_whole_segments_and_tells_what_went() {
    let (mut timeline, mut source) = (demo(), Source::live(1, 0, 0).window(8));
    say_all(&mut timeline, [source.announce()]);
    // 8 s listed and 6 s more kept: 7 whole segments, and the one that slides across the edge.
    assert_eq!(say_all(&mut timeline, source.segments(7)), []);
    assert_eq!(timeline.listed_from(), 3);
    let gone = |parts, segments| Evicted { run: RunId(1), parts, segments, run_gone: false };
    assert_eq!(say_all(&mut timeline, source.segment()), [gone(0..6, 0..1)]);
    assert_eq!((timeline.part(RunId(1), 5), timeline.listed_from()), (None, 4));
    let repeat = Source::live(1, 0, 0).segment();
    assert!(repeat.into_iter().all(|table| say(&mut timeline, table) == Ok(Applied::Known)));
    // The publisher comes back: the old run leaves as a whole, its init segments with it.
    let mut second = source.again(2);
    say_all(&mut timeline, [source.end(EndReason::Paused), second.announce()]);
    let evicted = say_all(&mut timeline, second.segments(7));
    let last = evicted.last().unwrap();
    assert_eq!((last.run, last.segments.end, last.run_gone), (RunId(1), 8, true));
    assert_eq!(say(&mut timeline, source.announce()), Ok(Applied::Known), "it is behind us");
    assert_eq!(say(&mut timeline, source.end(EndReason::Paused)), Ok(Applied::Known));
}

#[test]
fn an_unended_run_is_over_when_the_next_begins() {
    let (mut timeline, mut first) = (demo(), Source::live(1, 0, 0));
    say_all(&mut timeline, [first.announce(), first.part(PART_US, false)]);
    let second = first.again(2);
    say_all(&mut timeline, [second.announce()]);
    assert_eq!(timeline.segment(RunId(1), 0), Some(0..=0));
    assert_eq!(timeline.state(), State::Paused);
    assert_eq!(say(&mut timeline, first.part(PART_US, false)), Err(TimelineError::RunOver(RunId(1))));
}

#[test]
fn a_restarted_origin_replaces_what_was_but_a_lagging_one_does_not() {
    let (mut timeline, mut old) = (demo(), Source::live(5, 3, 0));
    say_all(&mut timeline, [old.announce()]);
    say_all(&mut timeline, old.segments(2));
    assert_eq!(say(&mut timeline, Source::live(4, 0, 0).announce()), Ok(Applied::Known), "older");
    // What was held back until a run's shape was known dates its beginning back, a film's by more than it took to send.
    let mut new = Source::live(6, 0, 0);
    new.catalogue.started_ms = old.catalogue.started_ms - 10_000;
    let evicted = say_all(&mut timeline, [new.announce(), new.part(PART_US, false)]);
    assert_eq!(evicted, [Evicted { run: RunId(5), parts: 0..12, segments: 3..5, run_gone: true }]);
    assert_eq!((timeline.last(), timeline.listed_from()), (Some((0, 0, false)), 0));
    // On demand nothing continues: what is published again is another film.
    let mut film = new.again(7);
    film.catalogue.mode = Mode::Vod;
    say_all(&mut timeline, [film.announce()]);
    assert_eq!((timeline.state(), timeline.catalogue(RunId(6))), (State::Vod, None));
    assert_eq!(say_all(&mut timeline, film.segments(100)), [], "nothing of it is ever evicted");
}

#[test]
fn a_follower_gets_what_it_lacks_from_wherever_it_left() {
    let (mut timeline, mut first) = (demo(), Source::live(1, 0, 0));
    let mut said = vec![first.announce()];
    said.extend(first.segments(2));
    said.push(first.end(EndReason::Paused));
    let mut second = first.again(2);
    said.push(second.announce());
    said.extend(second.segment());
    let all: Vec<_> = said.iter().map(encode).collect();
    say_all(&mut timeline, said);
    let from = |after| timeline.feed(after).collect::<Vec<_>>();
    assert_eq!(from(None), all);
    assert_eq!(from(Some((RunId(9), 3))), all, "an unknown run");
    assert_eq!(from(Some((RunId(1), 4))), all[6..]);
    assert_eq!(from(Some((RunId(1), 11))), all[13..], "all parts of a run that has ended: its end first");
    assert_eq!(from(Some((RunId(2), 5))), Vec::<Bytes>::new());
    assert_eq!(from(Some((RunId(2), u64::MAX))), Vec::<Bytes>::new());
    let mut cursor = Cursor::new(Some((RunId(2), 5)));
    assert_eq!(timeline.next_message(&mut cursor), None);
    let next = second.part(PART_US, false);
    let bytes = encode(&next);
    say_all(&mut timeline, [next]);
    assert_eq!(timeline.next_message(&mut cursor).unwrap(), bytes);
    assert_eq!(timeline.next_message(&mut cursor), None);
}

#[test]
fn a_follower_the_window_has_overtaken_takes_the_jump() {
    let (mut timeline, mut source) = (demo(), Source::live(1, 0, 0).window(8));
    let mut follower = timeline.clone();
    let start = [vec![source.announce()], source.segment()].concat();
    say_all(&mut timeline, start.clone());
    say_all(&mut follower, start);
    let mut cursor = Cursor::new(Some((RunId(1), 5)));
    say_all(&mut timeline, source.segments(20));
    while let Some(message) = timeline.next_message(&mut cursor) {
        say_all(&mut follower, [Table::decode(&message).unwrap()]);
    }
    assert_eq!((follower.last(), follower.part(RunId(1), 0)), (timeline.last(), None));
    assert_eq!(follower.listed_from(), timeline.listed_from());
}

/// What a publisher, or somebody who garbles its tables, may do next.
#[derive(Debug, Clone)]
enum Act {
    Part { duration_us: u64, last: bool, size: u32 },
    End(EndReason),
    Return { renditions: usize, target_s: u8, window_s: u32 },
    Restart { vod: bool },
    Garble { at: usize, to: u8 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => (0..700_000u64, any::<bool>(), prop_oneof![4 => 1u32..200_000, 1 => Just(0)])
            .prop_map(|(duration_us, last, size)| Act::Part { duration_us, last, size }),
        1 => Just(Act::End(EndReason::Paused)),
        1 => Just(Act::End(EndReason::Ended)),
        2 => (1..=3usize, 1..=4u8, 0..20u32)
            .prop_map(|(renditions, target_s, window_s)| Act::Return { renditions, target_s, window_s }),
        1 => any::<bool>().prop_map(|vod| Act::Restart { vod }),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, to)| Act::Garble { at, to }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_publisher_does_playlists_are_sound_and_the_same_everywhere(
        acts in prop::collection::vec(act(), 1..150), window_s in 0..20u32, late in 0..150usize,
    ) {
        let mut timeline = demo();
        let mut follower = timeline.clone();
        let mut cursor = Cursor::new(None);
        let mut source = Source::live(1, 0, 0).window(window_s);
        let mut table = source.announce();
        for (at, act) in acts.into_iter().enumerate() {
            let _ = fuzz::apply(&mut timeline, table.clone(), &encode(&table));
            fuzz::check(&timeline);
            if at >= late {
                while let Some(message) = timeline.next_message(&mut cursor) {
                    let table = Table::decode(&message).unwrap();
                    prop_assert!(fuzz::apply(&mut follower, table, &message).is_ok());
                }
                for name in source.catalogue.names() {
                    let all = [&timeline, &follower].map(|t| crate::playlist::media(t, name, false));
                    prop_assert_eq!(&all[0], &all[1]);
                }
            }
            let run = source.catalogue.run.0 + 1;
            table = match act {
                Act::Part { duration_us, last, size } => {
                    let mut part = descriptor(source.part(duration_us, last));
                    part.tracks[0].layers[0] = super::testing::layer(size);
                    Table::Descriptor(part)
                }
                Act::End(reason) => source.end(reason),
                Act::Return { renditions, target_s, window_s } => {
                    source = source.again(run).window(window_s);
                    source.catalogue.renditions.truncate(renditions);
                    source.catalogue.segment_target_s = target_s;
                    source.announce()
                }
                Act::Restart { vod } => {
                    source = Source::live(run, 0, 0).window(window_s);
                    source.catalogue.mode = if vod { Mode::Vod } else { Mode::Live };
                    source.announce()
                }
                Act::Garble { at, to } => {
                    let mut bytes = encode(&table);
                    let at = at % bytes.len();
                    bytes[at] = to;
                    Table::decode(&bytes).unwrap_or(table)
                }
            };
        }
        fuzz::follow(&timeline, &mut demo());
    }

    #[test]
    fn any_bytes_as_a_feed(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzz::feed(&bytes);
    }
}
