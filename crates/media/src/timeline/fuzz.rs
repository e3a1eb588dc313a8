//! Fuzz body of the timeline and the playlists; also run by the ordinary tests.

use bytes::Bytes;
use trellis_proto::{RunId, Table};

use super::{Applied, Timeline, TimelineError};
use crate::playlist;

/// Applies a feed (messages, each after its length as u32 big-endian) of unsigned tables, and checks after each
/// that the playlists are sound.
///
/// # Panics
/// When they are not, or when a follower of this timeline would not write the same.
pub fn feed(mut bytes: &[u8]) {
    let mut timeline = Timeline::new("fuzz".parse().expect("a good name"));
    let mut follower = timeline.clone();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (message, rest) = rest.split_at(rest.len().min(u32::from_be_bytes(*length) as usize));
        bytes = rest;
        let Ok(table) = Table::decode(message) else { continue };
        if apply(&mut timeline, table, message).is_ok() {
            check(&timeline);
        }
    }
    follow(&timeline, &mut follower);
}

/// Applies a table; a refusal must change nothing.
pub fn apply(timeline: &mut Timeline, table: Table, message: &[u8]) -> Result<Applied, TimelineError> {
    let before = timeline.version();
    let applied = timeline.apply(table, Bytes::copy_from_slice(message));
    let changed = matches!(applied, Ok(Applied::New(_)));
    assert_eq!(timeline.version(), before + u64::from(changed), "the version counts changes");
    applied
}

/// Everything a playlist names can be looked up, and no part or segment is longer than promised.
pub fn check(timeline: &Timeline) {
    let Some(newest) = timeline.newest() else { return };
    for name in newest.names() {
        for skip in [false, true] {
            playlist::media(timeline, name, skip).iter().for_each(|text| check_media(timeline, text));
        }
    }
    if let Some((msn, index, _)) = timeline.last() {
        assert_eq!(playlist::must_wait(timeline, msn, Some(index.into())), playlist::Wait::Ready);
    }
    let _ = (playlist::multivariant(timeline), timeline.rate_bps());
}

/// A follower that starts late ends up with the same playlists.
pub fn follow(timeline: &Timeline, follower: &mut Timeline) {
    for message in timeline.feed(None) {
        let table = Table::decode(&message).expect("it decoded before");
        follower.apply(table, message).expect("what one timeline holds, another accepts");
    }
    assert_eq!(playlist::multivariant(timeline), playlist::multivariant(follower));
    for name in timeline.newest().iter().flat_map(|newest| newest.names()) {
        assert_eq!(playlist::media(timeline, name, false), playlist::media(follower, name, false));
    }
}

fn check_media(timeline: &Timeline, text: &str) {
    let number = |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)).map(str::to_owned);
    let target_s: f64 = number("#EXT-X-TARGETDURATION:").and_then(|n| n.parse().ok()).expect("a target duration");
    let part_target = number("#EXT-X-PART-INF:PART-TARGET=").and_then(|n| n.parse::<f64>().ok());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#EXT-X-PART:DURATION=") {
            let (duration, uri) = rest.split_once(",URI=\"").expect("duration, then URI");
            assert!(duration.parse::<f64>().expect("a number") <= part_target.expect("parts need a target"));
            let (run, part) = object(uri.split('"').next().expect("split yields once"), 'p');
            assert!(timeline.part(run, part).is_some(), "{line}");
        } else if let Some(uri) = line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"") {
            let (run, part) = object(uri.trim_end_matches('"'), 'p');
            assert!(timeline.is_next(run, part), "{line}");
        } else if let Some(duration) = line.strip_prefix("#EXTINF:") {
            assert!(duration.trim_end_matches(',').parse::<f64>().expect("a number").round() <= target_s, "{line}");
        } else if !line.starts_with('#') {
            let (run, msn) = object(line, 's');
            assert!(timeline.segment(run, msn).is_some(), "{line}");
        }
    }
}

/// `{run}/{rendition}/{kind}{number}.m4s`
fn object(uri: &str, kind: char) -> (RunId, u64) {
    let mut steps = uri.splitn(3, '/');
    let run = steps.next().and_then(|run| run.parse().ok()).expect("a run");
    let file = steps.nth(1).and_then(|file| file.strip_prefix(kind)?.strip_suffix(".m4s")).expect("a file");
    (run, file.parse().expect("a number"))
}
