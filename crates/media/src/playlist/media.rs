//! A rendition's media playlist: header, segments oldest first, and what is known of what comes next.
//!
//! The window's segments are laid out once as [`Entry`]s; every tag is a function of those. A rendition is shown
//! over the last unbroken row of runs that have it; when the newest run lacks it, its playlist ends.

use std::fmt::Write as _;
use std::ops::Range;

use trellis_proto::{EndReason, Media, RenditionName};

use super::text::{date_time, seconds};
use crate::timeline::{Run, Segment, State, Timeline};

/// `complete`: only when there is a complete segment to show.
pub(super) fn write(timeline: &Timeline, name: RenditionName, skip: bool, complete: bool) -> Option<String> {
    let playlist = Playlist::new(timeline, name)?;
    if complete && !playlist.entries.iter().any(|entry| entry.segment.complete) {
        return None;
    }
    let skipped = if skip { playlist.skippable() } else { 0 };
    let mut out = String::with_capacity(512 + 160 * playlist.entries.len());
    playlist.header(&mut out, skipped);
    playlist.body(&mut out, skipped);
    playlist.tail(&mut out);
    Some(out)
}

struct Playlist<'a> {
    name: RenditionName,
    entries: Vec<Entry<'a>>,
    vod: bool,
    ended: bool,
    target_s: u64,
    part_target_us: u64,
    /// The run that grows, if any does.
    growing: Option<&'a Run>,
    /// The newest run with media.
    newest: &'a Run,
    last: (u64, u16),
}

/// A segment and where it stands.
struct Entry<'a> {
    run: &'a Run,
    rendition: usize,
    segment: &'a Segment,
    /// Media between the segment's end and the playlist's end, µs.
    behind_us: u64,
}

impl<'a> Playlist<'a> {
    fn new(timeline: &'a Timeline, name: RenditionName) -> Option<Self> {
        let newest = timeline.runs().rev().find(|run| !run.is_empty())?;
        let (last_msn, last_index, _) = timeline.last()?;
        let entries = entries(timeline, name);
        let here = entries.last()?.run.catalogue.run == newest.catalogue.run;
        let vod = timeline.state() == State::Vod;
        let over = matches!(&newest.end, Some((end, _)) if end.reason == EndReason::Ended);
        let mut playlist = Self {
            name,
            vod,
            ended: !here || if vod { over } else { timeline.state() == State::Ended },
            target_s: 1,
            part_target_us: 0,
            growing: (here && !newest.over).then_some(newest),
            newest,
            last: (last_msn, last_index),
            entries,
        };
        playlist.target_s = playlist.target_s();
        playlist.part_target_us = playlist.part_target_us();
        Some(playlist)
    }

    /// One value for all runs shown; never less than a segment that is there.
    fn target_s(&self) -> u64 {
        let promised = self.entries.iter().map(|entry| u64::from(entry.run.catalogue.segment_target_s)).max();
        let longest_us = self.entries.iter().map(Entry::duration_us).max();
        promised.max(longest_us.map(|us| (us + 500_000) / 1_000_000)).unwrap_or(1).max(1)
    }

    /// What no part of this rendition exceeds, in whole ms. The catalogue speaks of video; audio is cut at the
    /// same times, rounded to its own frames, so its parts may be one frame longer.
    fn part_target_us(&self) -> u64 {
        let promised = self.entries.iter().map(|entry| {
            let catalogue = &entry.run.catalogue;
            u64::from(catalogue.part_target_us) + frame_us(&catalogue.renditions[entry.rendition])
        });
        let longest = self.entries[self.with_parts()].iter().flat_map(Entry::parts).map(|part| part.duration_us);
        promised.chain(longest).max().unwrap_or(0).div_ceil(1000) * 1000
    }

    /// The entries whose parts are listed.
    fn with_parts(&self) -> Range<usize> {
        let reach_us = PARTS_TARGETS * 1_000_000 * self.target_s;
        let from = self.entries.partition_point(|entry| entry.behind_us >= reach_us);
        if self.vod { 0..0 } else { from..self.entries.len() }
    }

    /// How many of the oldest segments a delta update leaves out.
    fn skippable(&self) -> usize {
        let boundary_us = SKIP_TARGETS * 1_000_000 * self.target_s;
        if self.vod { 0 } else { self.entries.partition_point(|entry| entry.behind_us >= boundary_us) }
    }

    fn independent(&self) -> bool {
        matches!(self.name, RenditionName::Audio(_)) || self.entries.iter().all(|entry| entry.segment.independent)
    }

    fn header(&self, out: &mut String, skipped: usize) {
        let first = &self.entries[0];
        let _ = writeln!(out, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{}", self.target_s);
        if self.vod {
            // While it still comes in, players take it for live and would start at its end.
            out.push_str(match self.ended {
                true => "#EXT-X-PLAYLIST-TYPE:VOD\n",
                false => "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=0\n",
            });
        } else {
            let _ = writeln!(
                out,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={}.0,HOLD-BACK={}.0,PART-HOLD-BACK={}\n\
                 #EXT-X-PART-INF:PART-TARGET={}",
                SKIP_TARGETS * self.target_s,
                HOLD_BACK_TARGETS * self.target_s,
                seconds(PART_HOLD_BACK_TARGETS * self.part_target_us),
                seconds(self.part_target_us),
            );
        }
        let _ = writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", first.segment.msn);
        let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", first.run.catalogue.discontinuity);
        if self.independent() {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if skipped > 0 {
            let _ = writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
    }

    fn body(&self, out: &mut String, skipped: usize) {
        let with_parts = self.with_parts();
        let mut run_before = skipped.checked_sub(1).map(|at| self.entries[at].run.catalogue.run);
        for (at, entry) in self.entries.iter().enumerate().skip(skipped) {
            let run = entry.run.catalogue.run;
            if run_before.is_some_and(|before| before != run) {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            // A delta update says again which init segment applies: it costs a line and helps who forgot.
            if at == skipped || run_before != Some(run) {
                let _ = writeln!(out, "#EXT-X-MAP:URI=\"{run}/{}/init.mp4\"", self.name);
            }
            // Live players compare dates to stay in step; of a recording's segments those of a run's first follow, and
            // a long one's are half of its playlist.
            if !self.vod || run_before != Some(run) {
                let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(entry.started_ms()));
            }
            run_before = Some(run);
            if with_parts.contains(&at) {
                entry.write_parts(out, self.name);
            }
            if entry.segment.complete {
                entry.write_segment(out, self.name);
            }
        }
    }

    fn tail(&self, out: &mut String) {
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        } else if !self.vod {
            match self.growing {
                Some(run) => {
                    let (run, next) = (run.catalogue.run, run.next_part());
                    let _ = writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{run}/{}/p{next}.m4s\"", self.name);
                }
                // hls.js (1.7.4) takes a segment for the one still open when no line follows it, and then refuses the
                // next playlist.
                None => out.push_str("# the publisher is away\n"),
            }
            let (msn, index) = self.last;
            for other in self.newest.catalogue.names().filter(|&other| other != self.name) {
                let _ = writeln!(out, "#EXT-X-RENDITION-REPORT:URI=\"{other}.m3u8\",LAST-MSN={msn},LAST-PART={index}");
            }
        }
    }
}

/// The segments to show, oldest first.
fn entries(timeline: &Timeline, name: RenditionName) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = timeline
        .runs()
        .rev()
        .filter(|run| !run.is_empty())
        .map(|run| (run, run.catalogue.index_of(name)))
        .skip_while(|(_, rendition)| rendition.is_none())
        .map_while(|(run, rendition)| Some((run, rendition?)))
        .flat_map(|(run, rendition)| run.segments().rev().map(move |segment| (run, rendition, segment)))
        .take_while(|(_, _, segment)| segment.msn >= timeline.listed_from())
        .scan(0, |behind_us, (run, rendition, segment)| {
            let entry = Entry { run, rendition, segment, behind_us: *behind_us };
            *behind_us += entry.duration_us();
            Some(entry)
        })
        .collect();
    entries.reverse();
    entries
}

/// One rendition's share of one part.
struct Part {
    number: u64,
    duration_us: u64,
    empty: bool,
    independent: bool,
}

impl Entry<'_> {
    fn duration_us(&self) -> u64 {
        self.segment.tracks[self.rendition].duration_us
    }

    fn started_ms(&self) -> u64 {
        self.run.catalogue.started_ms + (self.segment.start_us + 500) / 1000
    }

    fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.segment.parts.clone().filter_map(|number| {
            let descriptor = self.run.part(number)?;
            let track = &descriptor.tracks[self.rendition];
            Some(Part {
                number,
                duration_us: track.duration_us.into(),
                empty: track.size() == 0,
                independent: descriptor.independent || self.is_audio(),
            })
        })
    }

    fn is_audio(&self) -> bool {
        matches!(self.run.catalogue.renditions[self.rendition].media, Media::Audio { .. })
    }

    fn write_parts(&self, out: &mut String, name: RenditionName) {
        let run = self.run.catalogue.run;
        for part in self.parts() {
            let _ = writeln!(
                out,
                "#EXT-X-PART:DURATION={},URI=\"{run}/{name}/p{}.m4s\"{}{}",
                seconds(part.duration_us),
                part.number,
                if part.independent { ",INDEPENDENT=YES" } else { "" },
                if part.empty { ",GAP=YES" } else { "" },
            );
        }
    }

    fn write_segment(&self, out: &mut String, name: RenditionName) {
        let share = self.segment.tracks[self.rendition];
        if share.bytes == 0 {
            out.push_str("#EXT-X-GAP\n");
        }
        let (run, msn) = (self.run.catalogue.run, self.segment.msn);
        let _ = writeln!(out, "#EXTINF:{},\n{run}/{name}/s{msn}.m4s", seconds(share.duration_us));
    }
}

/// The longest frame of an audio rendition, µs; none for video, whose parts set the pace. Samples per frame by
/// codec: AAC 1024, twice that with spectral band replication; AC-3 1536; FLAC at most 4608 as encoders make it;
/// Opus 960, below the default.
fn frame_us(rendition: &trellis_proto::Rendition) -> u64 {
    let Media::Audio { sample_rate, .. } = rendition.media else { return 0 };
    let samples = match rendition.codecs.to_ascii_lowercase().as_str() {
        "mp4a.40.5" | "mp4a.40.29" => 2048,
        "ac-3" | "ec-3" => 1536,
        "flac" => 4608,
        _ => 1024,
    };
    (samples * 1_000_000u64).div_ceil(u64::from(sample_rate.max(8_000)))
}

/// RFC 8216bis §4.4.3.8: at least three target durations.
const HOLD_BACK_TARGETS: u64 = 3;
/// §4.4.3.8: at least two part targets, three recommended.
const PART_HOLD_BACK_TARGETS: u64 = 3;
/// §4.4.3.8: the skip boundary is at least six target durations from the end.
const SKIP_TARGETS: u64 = 6;
/// §4.4.4.9: parts older than three target durations are taken out.
const PARTS_TARGETS: u64 = 3;
