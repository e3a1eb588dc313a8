//! Peers around an edge played by the test: real bytes, real signatures, links without delay.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use trellis_proto::descriptor::{TrackPart, chunk_range};
use trellis_proto::frame::*;
use trellis_proto::{Catalogue, Descriptor, Layer, Media, Mode, Rendition, RunId};

use super::*;
use crate::tape::{Replayed, Tape, Unlike, replay};
use crate::trust::RealCrypto;
use crate::trust::chunk::describe;
use crate::trust::table::{Authority, sealed};

const BASE: LayerId = LayerId { rendition: 0, layer: 0 };
/// Recordings have another rung, of the same bytes.
const LOW: LayerId = LayerId { rendition: 1, layer: 0 };
const RUN: RunId = RunId(1);
const K: u8 = 4;
const PART: u64 = 333_000;

/// What the origin makes, live or recorded.
struct Origin(SigningKey, Mode);

impl Origin {
    fn sign(&self, body: Vec<u8>) -> Bytes {
        let signature = self.0.sign(&body).to_bytes();
        sealed(body, &signature).into()
    }

    fn catalogue(&self) -> Bytes {
        let video = Rendition {
            media: Media::Video { width: 640, height: 360, frame_rate_millihertz: 30_000 },
            codecs: "avc1.64001f".into(),
            language: "".into(),
            bandwidth: 500_000,
            init_size: 600,
            init_hash: [1; 32],
            layers: vec![Layer { substreams: K }],
        };
        let catalogue = Catalogue {
            stream: "demo".parse().unwrap(),
            run: RUN,
            key: self.0.verifying_key().to_bytes(),
            mode: self.1,
            started_ms: 0,
            first_msn: 0,
            discontinuity: 0,
            part_target_us: PART as u32,
            segment_target_s: 2,
            window_s: 120,
            renditions: vec![video; self.rungs()],
        };
        self.sign(catalogue.encode())
    }

    fn rungs(&self) -> usize {
        if self.1 == Mode::Vod { 2 } else { 1 }
    }

    fn media(part: u64) -> Bytes {
        (0..20_000u64).map(|i| (i * 31 + part) as u8).collect()
    }

    fn descriptor(&self, part: u64) -> Bytes {
        let track = TrackPart { duration_us: PART as u32, layers: vec![describe(&Self::media(part), K)] };
        let descriptor = Descriptor {
            run: RUN,
            part,
            msn: part / 6,
            index: (part % 6) as u16,
            independent: part.is_multiple_of(6),
            last_of_segment: part % 6 == 5,
            discontinuity: false,
            start_us: part * PART,
            tracks: vec![track; self.rungs()],
        };
        self.sign(descriptor.encode())
    }
}

fn chunk_id(part: u64, index: u16) -> ChunkId {
    ChunkId { part: PartId { run: RUN, part }, of: BASE, index }
}

fn chunk(part: u64, index: u16) -> Frame {
    chunk_of(BASE, part, index)
}

fn chunk_of(of: LayerId, part: u64, index: u16) -> Frame {
    let media = Origin::media(part);
    let payload = media.slice(chunk_range(media.len(), usize::from(K), usize::from(index)));
    Frame::Chunk(Chunk { id: ChunkId { of, ..chunk_id(part, index) }, hop: 0, payload })
}

/// Some peers, an edge that is the test, and a clock.
struct Swarm {
    origin: Origin,
    now: Instant,
    peers: BTreeMap<PeerId, Peer<RealCrypto>>,
    /// What peers sent to the edge.
    edge: Vec<(PeerId, Frame)>,
    events: Vec<(PeerId, Event)>,
    parts: Vec<(PeerId, u64)>,
    tapes: BTreeMap<PeerId, Tape>,
    /// When who is let in starts, µs later.
    start_us: u32,
}

impl Swarm {
    fn new(count: u32) -> Self {
        Self::of(Mode::Live, count)
    }

    fn of(mode: Mode, count: u32) -> Self {
        let origin = Origin(SigningKey::from_bytes(&[7; 32]), mode);
        let mut swarm = Self {
            origin,
            now: Instant(1_000_000_000),
            peers: BTreeMap::new(),
            edge: Vec::new(),
            events: Vec::new(),
            parts: Vec::new(),
            tapes: BTreeMap::new(),
            start_us: 300_000,
        };
        (1..=count).for_each(|number| swarm.join(number));
        swarm
    }

    fn join(&mut self, number: u32) {
        self.join_as(number, Mesh::Hybrid);
    }

    fn join_as(&mut self, number: u32, mesh: Mesh) {
        let config = Config {
            ticket: Bytes::new(),
            layers: vec![BASE],
            declared_bps: 5_000_000,
            upload: UploadPolicy { cap_bps: None, receive_only: false },
            nat: Nat::Open,
            behind: Duration::ZERO,
            support: Support::WhileWatching,
            keep_parts: crate::limits::KEEP_PARTS,
            mesh,
            on_schedule: false,
        };
        let key = self.origin.0.verifying_key().to_bytes();
        let crypto = RealCrypto(Authority::new(&key).unwrap());
        let (id, catalogue) = (PeerId(number), self.origin.catalogue());
        self.tapes.insert(id, Tape::new(&config, &key, number.into(), self.now, 1_000_000));
        self.peers.insert(id, Peer::new(config, crypto, u64::from(number), self.now));
        self.give(id, Input::Connected(PeerId::EDGE));
        let welcome = Welcome {
            version: LINK_VERSION,
            you: id,
            hold_back_us: 1_000_000,
            now_us: 0,
            credit_bps: 0,
            start_us: self.start_us,
        };
        self.edge_says(id, Frame::Welcome(welcome));
        self.edge_says(id, Frame::Table(catalogue));
    }

    fn edge_says(&mut self, to: PeerId, frame: Frame) {
        self.give(to, Input::Frame(PeerId::EDGE, frame));
    }

    /// Gives one input and carries out all that follows from it.
    fn give(&mut self, to: PeerId, input: Input<Bytes>) {
        let mut waiting = VecDeque::from([(to, input)]);
        while let Some((to, input)) = waiting.pop_front() {
            let Some(peer) = self.peers.get_mut(&to) else { continue };
            let mut tape = self.tapes.get_mut(&to);
            if let Some(tape) = &mut tape {
                tape.input(self.now, &input);
            }
            peer.handle(self.now, input);
            let mut sent = Vec::new();
            while let Some(output) = peer.poll() {
                if let Some(tape) = &mut tape {
                    tape.output(&output);
                }
                match output {
                    Output::Send(other, frame) if other.is_edge() => self.edge.push((to, frame)),
                    Output::Send(other, frame) => {
                        waiting.push_back((other, Input::Frame(to, frame)));
                        sent.push(other);
                    }
                    Output::Connect(other) => {
                        waiting.push_back((to, Input::Connected(other)));
                        waiting.push_back((other, Input::Connected(to)));
                    }
                    Output::Disconnect(other) => waiting.push_back((other, Input::Lost(to))),
                    Output::Part(part) => self.parts.push((to, part.descriptor.part)),
                    Output::Event(event) => self.events.push((to, event)),
                    Output::Closed(_) => {}
                }
            }
            sent.dedup();
            waiting.extend(sent.into_iter().map(|other| (to, Input::Unsent(other, 0))));
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some((at, id)) = self.peers.iter().filter_map(|(id, p)| Some((p.wake_at()?, *id))).min()
            && at <= end
        {
            self.now = self.now.max(at);
            self.give(id, Input::Wake);
        }
        self.now = end;
    }

    fn assign(&mut self, to: u32, take: Vec<(u16, u32, u32)>, give: Vec<(u16, u32)>, neighbors: Vec<u32>) {
        let set = |mask| Substreams { of: BASE, mask };
        let take = take.into_iter().map(|(mask, parent, backup)| Take {
            set: set(mask),
            parent: PeerId(parent),
            backup: PeerId(backup),
        });
        let give = give.into_iter().map(|(mask, child)| trellis_proto::frame::Give {
            set: set(mask),
            child: PeerId(child),
            reserved: true,
            below: 0,
        });
        let assign = Assign {
            plan: 1,
            hold_back_us: 0,
            take: take.collect(),
            give: give.collect(),
            neighbors: Some(neighbors.into_iter().map(PeerId).collect()),
            layers: None,
        };
        self.edge_says(PeerId(to), Frame::Assign(assign));
        self.wait(60);
    }

    /// The edge pushes a part's descriptor and these chunks to one peer.
    fn push(&mut self, to: u32, part: u64, chunks: &[u16]) {
        self.edge_says(PeerId(to), Frame::Table(self.origin.descriptor(part)));
        chunks.iter().for_each(|index| self.edge_says(PeerId(to), chunk(part, *index)));
    }

    /// The edge answers what it is asked for this long.
    fn serve(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.wait(20);
            for (from, frame) in core::mem::take(&mut self.edge) {
                match frame {
                    Frame::Ask { from: first, count } => (first.part..first.part + u64::from(count))
                        .for_each(|part| self.edge_says(from, Frame::Table(self.origin.descriptor(part)))),
                    Frame::Want { rows, .. } => rows.iter().for_each(|row| {
                        let chunk = |index| chunk_of(row.of, row.part.part, index as u16);
                        row.chunks.iter().for_each(|index| self.edge_says(from, chunk(index)));
                    }),
                    _ => {}
                }
            }
        }
    }

    fn seek(&mut self, by: u32, part: u64) {
        self.parts.clear();
        self.give(PeerId(by), Input::Seek(Seek::To(PartId { run: RUN, part })));
    }

    fn wanted_of_edge(&mut self, by: u32) -> Vec<(u64, Vec<usize>)> {
        let frames = core::mem::take(&mut self.edge).into_iter().filter(|(from, _)| *from == PeerId(by));
        let rows = frames.filter_map(|(_, frame)| match frame {
            Frame::Want { rows, .. } => Some(rows),
            _ => None,
        });
        rows.flatten().map(|row| (row.part.part, row.chunks.iter().collect())).collect()
    }
}

#[test]
fn what_is_pushed_is_passed_on_and_played_everywhere() {
    let mut swarm = Swarm::new(3);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![(0b1111, 3)], vec![]);
    swarm.assign(3, vec![(0b1111, 2, 0)], vec![], vec![]);
    for part in 0..6 {
        swarm.push(1, part, &[0, 1, 2, 3]);
        swarm.wait(333);
    }
    let parts_of = |n: u32| -> Vec<u64> { swarm.parts.iter().filter(|(p, _)| p.0 == n).map(|(_, n)| *n).collect() };
    for peer in 1..=3 {
        assert_eq!(parts_of(peer), [0, 1, 2, 3, 4, 5], "peer {peer}");
    }
    assert!(swarm.events.iter().all(|(_, event)| matches!(event, Event::Admitted(_) | Event::Due(_, true))));
}

#[test]
fn what_a_parent_does_not_bring_comes_from_a_neighbor_and_costs_the_edge_nothing() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![2]);
    swarm.assign(2, vec![(0b1111, 0, 0)], vec![], vec![1]);
    for part in 0..12 {
        swarm.push(1, part, &[0, 1, 2, 3]);
        swarm.push(2, part, &[0, 1, 2]);
        swarm.wait(333);
    }
    swarm.wait(1_000);
    assert_eq!(swarm.parts.iter().filter(|(peer, _)| peer.0 == 2).count(), 12);
    assert_eq!(swarm.wanted_of_edge(2), []);
    assert!(swarm.events.iter().any(|(_, event)| matches!(event, Event::Pull(id, PeerId(1)) if id.index == 3)));
}

#[test]
fn after_a_silence_only_who_was_cut_off_asks_the_edge_at_once() {
    for (known, asks) in [(12..13, vec![]), (12..18, vec![12, 13, 14, 15])] {
        let mut swarm = Swarm::new(1);
        swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
        for part in 0..12 {
            swarm.push(1, part, &[0, 1, 2, 3]);
            swarm.wait(333);
        }
        swarm.wait(1_665);
        swarm.wanted_of_edge(1);
        // The publisher paused, or the rest of it came to others meanwhile.
        known.for_each(|part| swarm.push(1, part, &[]));
        swarm.wait(20);
        let parts: Vec<_> = swarm.wanted_of_edge(1).into_iter().map(|(part, _)| part).collect();
        assert_eq!(parts, asks);
    }
}

#[test]
fn a_seek_in_a_recording_gives_the_player_what_comes_next_and_nothing_else() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    let consecutive = |swarm: &Swarm, from: u64| {
        let given: Vec<_> = swarm.parts.iter().map(|(_, part)| *part).collect();
        assert_eq!(given, (from..from + given.len() as u64).collect::<Vec<_>>());
        given.len()
    };
    swarm.seek(1, 12);
    swarm.serve(4_000);
    assert!(consecutive(&swarm, 12) >= 12, "four seconds and what is ahead");
    // Asked for before it went elsewhere, this comes after.
    swarm.seek(1, 600);
    (12..40).for_each(|part| swarm.push(1, part, &[0, 1, 2, 3]));
    swarm.serve(2_000);
    assert!(consecutive(&swarm, 600) >= 6);
    // What is here is given again, what was passed over is fetched.
    swarm.seek(1, 12);
    assert!(consecutive(&swarm, 12) >= 12, "at once");
    swarm.serve(12_000);
    assert!(consecutive(&swarm, 12) >= 36);
    assert!(!swarm.events.iter().any(|(_, event)| matches!(event, Event::Due(_, false))), "and nothing was late");
}

#[test]
fn who_goes_back_in_a_recording_finds_room_for_what_it_plays_there() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    // All it keeps lies ahead of where it goes.
    for from in [600, 640, 680] {
        swarm.seek(1, from);
        swarm.serve(6_000);
    }
    let known = |swarm: &Swarm| swarm.peers[&PeerId(1)].load().0;
    assert!(known(&swarm) >= 150, "{}", known(&swarm));
    swarm.seek(1, 12);
    swarm.parts.clear();
    swarm.serve(4_000);
    let given: Vec<_> = swarm.parts.iter().map(|(_, part)| *part).collect();
    assert!(given.len() >= 12 && given[0] == 12, "{given:?}");
    assert!(known(&swarm) <= crate::limits::KEEP_PARTS + crate::limits::AHEAD_PARTS_MAX);
}

#[test]
fn a_recording_that_pauses_asks_for_nothing_in_haste_and_goes_on_where_it_was() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    swarm.seek(1, 12);
    swarm.serve(4_000);
    let played = |swarm: &Swarm| swarm.events.iter().filter(|(_, event)| matches!(event, Event::Due(_, true))).count();
    swarm.give(PeerId(1), Input::Pause(true));
    swarm.serve(500);
    let (before, _) = (played(&swarm), swarm.wanted_of_edge(1));
    swarm.wait(20_000);
    assert_eq!((swarm.wanted_of_edge(1), played(&swarm)), (vec![], before));
    swarm.give(PeerId(1), Input::Pause(false));
    swarm.serve(3_000);
    assert!(played(&swarm) >= before + 6, "{} after {before}", played(&swarm));
    // Nor does it wait for something to come, when all is here.
    (12..80).for_each(|part| swarm.push(1, part, &[0, 1, 2, 3]));
    swarm.give(PeerId(1), Input::Pause(true));
    swarm.wait(20_000);
    let before = played(&swarm);
    swarm.give(PeerId(1), Input::Pause(false));
    swarm.wait(2_000);
    assert!(played(&swarm) >= before + 5, "{} after {before}", played(&swarm));
}

#[test]
fn another_rung_of_a_recording_is_watched_from_where_its_player_has_nothing_of_the_one_before() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
    swarm.seek(1, 0);
    swarm.serve(2_000);
    swarm.wait(400);
    let part = |part| chunk_id(part, 0).part;
    let lacks = |swarm: &Swarm, number: &u64| !swarm.peers[&PeerId(1)].is_whole(part(*number));
    let first = (0..60).find(|number| lacks(&swarm, number)).expect("not all of it is here");
    let set = Substreams { of: LOW, mask: 0b1111 };
    let take = vec![Take { set, parent: PeerId::EDGE, backup: PeerId::EDGE }];
    let granted = Assign { plan: 2, take, layers: Some(vec![LOW]), ..Assign::default() };
    swarm.edge_says(PeerId(1), Frame::Assign(granted));
    assert_eq!(swarm.peers[&PeerId(1)].granted(), Some(&[LOW][..]));
    swarm.edge.clear();
    swarm.give(PeerId(1), Input::Change(part(first + 1)));
    assert_eq!((swarm.peers[&PeerId(1)].granted(), swarm.peers[&PeerId(1)].layers()), (None, &[LOW][..]));
    let rows = |frames: &[(PeerId, Frame)]| -> Vec<Row> {
        let rows = frames.iter().filter_map(|(_, frame)| match frame {
            Frame::Want { rows, .. } | Frame::Cancel(rows) => Some(rows.clone()),
            _ => None,
        });
        rows.flatten().collect()
    };
    let (vain, asks): (Vec<_>, Vec<_>) =
        swarm.edge.iter().cloned().partition(|(_, frame)| matches!(frame, Frame::Cancel(_)));
    assert!(rows(&vain).iter().any(|row| row.part == part(first + 1)), "it was under way: {vain:?}");
    assert!(rows(&vain).iter().all(|row| row.of == BASE && row.part > part(first)));
    assert!(rows(&asks).iter().any(|row| row.of == LOW && row.part == part(first + 1)), "{asks:?}");
    let mut later = asks;
    for _ in 0..400 {
        swarm.serve(20);
        later.extend(swarm.edge.iter().cloned());
    }
    assert!(rows(&later).iter().all(|row| (row.of == LOW) == (row.part > part(first))), "{later:?}");
    let held = |number, of| matches!(swarm.peers[&PeerId(1)].held(part(number), of), Held::Whole(_));
    assert_eq!([first, first + 1].map(|n| [held(n, BASE), held(n, LOW)]), [[true, false], [false, true]]);
    assert!(!swarm.events.iter().any(|(_, event)| matches!(event, Event::Due(_, false))));
}

#[test]
fn what_lies_before_the_place_somebody_went_to_is_not_asked_for_but_can_be_had_from_its_player() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    swarm.seek(1, 600);
    (594..600).for_each(|part| swarm.push(1, part, &[]));
    swarm.push(1, 500, &[]);
    swarm.serve(3_000);
    assert_eq!(swarm.parts.first(), Some(&(PeerId(1), 600)), "it plays from there on");
    let peer =
        |swarm: &Swarm, part| swarm.peers[&PeerId(1)].missing_of(chunk_id(part, 0).part, BASE, &Origin::media(part));
    assert_eq!([500, 594, 599].map(|part| peer(&swarm, part).len()), [0, 4, 4]);
    peer(&swarm, 599).into_iter().for_each(|chunk| swarm.edge_says(PeerId(1), Frame::Chunk(chunk)));
    assert!(swarm.peers[&PeerId(1)].is_whole(chunk_id(599, 0).part));
}

#[test]
fn what_a_host_got_elsewhere_is_believed_as_if_it_had_come() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    swarm.seek(1, 0);
    swarm.push(1, 0, &[1]);
    let peer = |swarm: &Swarm, part: &Bytes| swarm.peers[&PeerId(1)].missing_of(chunk_id(0, 0).part, BASE, part);
    let whole = Origin::media(0);
    let chunks = peer(&swarm, &whole);
    assert_eq!(chunks.iter().map(|chunk| chunk.id.index).collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(peer(&swarm, &whole.slice(1..)), [], "it is not that");
    chunks.into_iter().for_each(|chunk| swarm.edge_says(PeerId(1), Frame::Chunk(chunk)));
    assert!(swarm.peers[&PeerId(1)].is_whole(chunk_id(0, 0).part));
    assert_eq!(peer(&swarm, &whole), []);
}

#[test]
fn who_plays_ahead_in_a_recording_is_asked_before_the_edge() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    swarm.seek(1, 0);
    swarm.serve(10_000);
    swarm.join(2);
    swarm.assign(1, vec![], vec![], vec![2]);
    swarm.assign(2, vec![], vec![], vec![1]);
    swarm.events.clear();
    swarm.seek(2, 6);
    swarm.serve(4_000);
    let by_edge = |event: &Event| matches!(event, Event::Rescue(..));
    let of_two: Vec<_> = swarm.events.iter().filter(|(peer, _)| peer.0 == 2).map(|(_, event)| *event).collect();
    let pulled = of_two.iter().filter(|event| matches!(event, Event::Pull(_, PeerId(1)))).count();
    let rescued = of_two.iter().filter(|event| by_edge(event)).count();
    assert!(pulled >= 48 && rescued * 4 < pulled, "{pulled} chunks pulled, {rescued} of the edge");
    let helped = [1, 2].map(|peer| swarm.peers[&PeerId(peer)].has_helpers(swarm.now));
    assert_eq!(helped, [false, true], "who plays ahead gets nothing of the other");
}

#[test]
fn who_brings_a_recording_tells_what_is_in_it_and_the_edge_is_asked_when_it_does_not() {
    let mut swarm = Swarm::of(Mode::Vod, 1);
    swarm.seek(1, 0);
    swarm.serve(10_000);
    swarm.join(2);
    swarm.assign(1, vec![], vec![(0b1111, 2)], vec![2]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![1]);
    let asks = |swarm: &mut Swarm| {
        let frames = core::mem::take(&mut swarm.edge).into_iter().filter(|(from, _)| from.0 == 2);
        frames.filter(|(_, frame)| matches!(frame, Frame::Ask { .. })).map(|(_, frame)| frame).collect::<Vec<_>>()
    };
    asks(&mut swarm);
    swarm.seek(2, 6);
    assert_eq!(asks(&mut swarm).len(), 1, "what is sought is asked of the edge at once");
    swarm.wait(4_000);
    assert_eq!(asks(&mut swarm), [], "the other has them");
    assert!(swarm.parts.iter().filter(|(peer, _)| peer.0 == 2).count() >= 12, "and four seconds are played");
    swarm.seek(2, 600);
    asks(&mut swarm);
    swarm.wait(3_000);
    let from = PartId { run: RUN, part: 600 };
    assert!(asks(&mut swarm).contains(&Frame::Ask { from, count: 16 }), "the other never heard of it");
}

#[test]
fn the_player_gets_its_first_parts_when_they_are_to_be_played_so_that_its_clock_is_ours() {
    let mut swarm = Swarm::new(1);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
    let joined = swarm.now;
    (0..6).for_each(|part| swarm.push(1, part, &[]));
    (0..2).for_each(|part| (0..4).for_each(|index| swarm.edge_says(PeerId(1), chunk(part, index))));
    while swarm.parts.is_empty() {
        swarm.wait(10);
    }
    assert_eq!(swarm.parts, [(PeerId(1), 0), (PeerId(1), 1)]);
    assert!(swarm.now.since(joined) >= Duration::from_millis(300), "not sooner than the second part would be missed");
}

#[test]
fn what_nobody_has_is_taken_from_the_edge_before_it_is_due() {
    let mut swarm = Swarm::new(1);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
    swarm.push(1, 0, &[0, 2]);
    swarm.wait(500);
    assert_eq!(swarm.wanted_of_edge(1), []);
    swarm.wait(200);
    assert_eq!(swarm.wanted_of_edge(1), [(0, vec![1, 3])]);
    swarm.edge_says(PeerId(1), chunk(0, 1));
    swarm.edge_says(PeerId(1), chunk(0, 3));
    swarm.push(1, 1, &[0, 1, 2, 3]);
    swarm.wait(400);
    assert!(swarm.events.contains(&(PeerId(1), Event::Due(chunk_id(0, 0).part, true))));
}

#[test]
fn a_liar_is_cut_off_and_what_it_sent_is_not_passed_on() {
    let mut swarm = Swarm::new(3);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![(0b1111, 3)], vec![]);
    swarm.assign(3, vec![(0b1111, 2, 0)], vec![], vec![]);
    swarm.edge_says(PeerId(2), Frame::Table(swarm.origin.descriptor(0)));
    let lie = Chunk { id: chunk_id(0, 0), hop: 0, payload: Bytes::from(vec![0; 5_000]) };
    swarm.give(PeerId(2), Input::Frame(PeerId(1), Frame::Chunk(lie)));
    assert!(swarm.events.contains(&(PeerId(2), Event::CutOff(PeerId(1)))));
    swarm.wait(100);
    let complaint = Complaint { peer: PeerId(1), fault: Fault::BadChunk };
    let told = |frame: &Frame| matches!(frame, Frame::Report(report) if report.complaints == [complaint]);
    assert!(swarm.edge.iter().any(|(from, frame)| *from == PeerId(2) && told(frame)));
    assert_eq!(swarm.parts, []);
}

#[test]
fn a_lost_parent_is_replaced_by_the_backup_at_once() {
    let mut swarm = Swarm::new(3);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 3)], vec![]);
    swarm.assign(2, vec![(0b1111, 0, 0)], vec![(0b1111, 3)], vec![]);
    swarm.assign(3, vec![(0b1111, 1, 2)], vec![], vec![]);
    for part in 0..3 {
        swarm.push(1, part, &[0, 1, 2, 3]);
        swarm.push(2, part, &[0, 1, 2, 3]);
        swarm.wait(333);
    }
    swarm.peers.remove(&PeerId(1));
    swarm.give(PeerId(3), Input::Lost(PeerId(1)));
    for part in 3..6 {
        swarm.push(2, part, &[0, 1, 2, 3]);
        swarm.wait(333);
    }
    assert_eq!(swarm.parts.iter().filter(|(peer, _)| peer.0 == 3).count(), 6);
    assert_eq!(swarm.wanted_of_edge(3), []);
}

#[test]
fn a_new_pusher_begins_with_what_is_missing_of_its_substream_and_is_not_late_before_it_could_begin() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![]);
    swarm.push(1, 0, &[0, 1]);
    swarm.edge.clear();
    swarm.assign(2, vec![(0b0101, 0, 0)], vec![], vec![]);
    let begins = swarm.edge.iter().filter_map(|(from, frame)| match frame {
        Frame::Subscribe { set, from: first } if *from == PeerId(2) => Some((first.part, set[0].mask)),
        _ => None,
    });
    assert_eq!(begins.collect::<Vec<_>>(), [(0, 0b0100), (1, 0b0001)]);
    (1..4).for_each(|part| {
        swarm.edge_says(PeerId(2), Frame::Table(swarm.origin.descriptor(part)));
        swarm.wait(250);
    });
    swarm.wait(600);
    let late = |receipts: &Vec<Receipt>| receipts.iter().map(|receipt| u32::from(receipt.late)).sum::<u32>();
    swarm.peers.get_mut(&PeerId(2)).unwrap().timers.report = swarm.now;
    swarm.give(PeerId(2), Input::Wake);
    let reports = swarm.edge.iter().filter(|(from, _)| *from == PeerId(2)).filter_map(|(_, frame)| match frame {
        Frame::Report(report) => Some(late(&report.receipts)),
        _ => None,
    });
    assert_eq!(reports.collect::<Vec<_>>(), [0]);
}

#[test]
fn who_joins_is_pushed_the_past_it_starts_with_though_it_is_too_late_for_all_others() {
    for asks_first in [false, true] {
        let mut swarm = Swarm::new(1);
        swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
        for part in 0..6 {
            swarm.push(1, part, &[0, 1, 2, 3]);
            swarm.wait(333);
        }
        swarm.start_us = 1_400_000;
        swarm.join(2);
        (0..6).for_each(|part| swarm.edge_says(PeerId(2), Frame::Table(swarm.origin.descriptor(part))));
        let gives = |swarm: &mut Swarm| swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
        let takes = |swarm: &mut Swarm| swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![]);
        let order: [&dyn Fn(&mut Swarm); 2] = if asks_first { [&takes, &gives] } else { [&gives, &takes] };
        order.iter().for_each(|tell| tell(&mut swarm));
        assert_eq!(swarm.wanted_of_edge(2), [], "and asks for nothing in haste");
        let held = swarm.peers[&PeerId(2)].store.open().count();
        assert_eq!(held, 0, "all of it is here, asks_first: {asks_first}");
        let joined = swarm.now;
        assert!(!swarm.parts.iter().any(|(peer, _)| peer.0 == 2), "nothing shows yet that more comes");
        swarm.wait(150);
        swarm.push(1, 6, &[0, 1, 2, 3]);
        swarm.wait(1);
        let plays: Vec<_> = swarm.parts.iter().filter(|(peer, _)| peer.0 == 2).map(|(_, part)| *part).collect();
        assert_eq!(plays, [0, 1, 2, 3, 4, 5, 6], "it begins {:?} later, not 1.4 s", swarm.now.since(joined));
        // Another role, or another ask, brings nothing again.
        swarm.wait(1_000);
        let give = |reserved, mask| trellis_proto::frame::Give {
            set: Substreams { of: BASE, mask },
            child: PeerId(2),
            reserved,
            below: 0,
        };
        let give = vec![give(true, 0), give(false, 0b1111)];
        let plan = Assign { plan: 2, hold_back_us: 0, take: vec![], give, neighbors: None, layers: None };
        swarm.edge_says(PeerId(1), Frame::Assign(plan));
        let all = Frame::Subscribe { set: vec![Substreams { of: BASE, mask: 0b1111 }], from: chunk_id(0, 0).part };
        swarm.give(PeerId(1), Input::Frame(PeerId(2), all));
        swarm.wait(100);
        let again = swarm.events.iter().filter(|(peer, event)| peer.0 == 2 && matches!(event, Event::Duplicate(..)));
        assert_eq!(again.count(), 0);
    }
}

#[test]
fn who_begins_sooner_stays_with_it_and_asks_in_time_for_what_is_missing() {
    let mut swarm = Swarm::new(0);
    swarm.start_us = 1_400_000;
    swarm.join(1);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
    let began = swarm.now;
    swarm.push(1, 6, &[0, 1, 2, 3]);
    swarm.wait(333);
    swarm.push(1, 7, &[0, 1, 2, 3]);
    swarm.wait(333);
    swarm.push(1, 8, &[]);
    while swarm.parts.is_empty() {
        swarm.wait(10);
    }
    assert_eq!(swarm.now.since(began).as_millis(), 1_006, "when its first part is due");

    let mut swarm = Swarm::new(0);
    swarm.start_us = 1_400_000;
    swarm.join(1);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
    (0..6).for_each(|part| swarm.push(1, part, if part == 3 { &[0, 1, 3] } else { &[0, 1, 2, 3] }));
    swarm.wait(200);
    swarm.push(1, 6, &[0, 1, 2]);
    swarm.wait(200);
    swarm.edge_says(PeerId(1), chunk(6, 3));
    swarm.wait(1);
    assert_eq!(swarm.parts.first(), Some(&(PeerId(1), 0)));
    swarm.wait(600);
    assert_eq!(swarm.wanted_of_edge(1), [(3, vec![2])]);
}

#[test]
fn who_never_began_turns_to_a_newer_key_frame_when_that_is_due_and_plays_what_it_waits_for_if_that_comes_first() {
    for comes in [true, false] {
        let mut swarm = Swarm::new(1);
        swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
        swarm.push(1, 0, &[0, 1, 2]);
        (1..6).for_each(|part| {
            swarm.wait(333);
            swarm.push(1, part, &[0, 1, 2, 3]);
        });
        swarm.wait(333);
        swarm.push(1, 6, &[0, 1, 2, 3]);
        swarm.wait(900);
        assert_eq!(swarm.parts, [], "the newer one is not due yet");
        if comes {
            swarm.edge_says(PeerId(1), chunk(0, 3));
        }
        swarm.wait(200);
        let first = swarm.parts.first().map(|(_, part)| *part);
        assert_eq!(first, Some(if comes { 0 } else { 6 }));
    }
    // A still newer one is no reason to wait on.
    let mut swarm = Swarm::new(1);
    let plan = Assign { plan: 1, hold_back_us: 3_000_000, take: vec![], give: vec![], neighbors: None, layers: None };
    swarm.edge_says(PeerId(1), Frame::Assign(plan));
    let began = swarm.now;
    swarm.push(1, 0, &[0, 1, 2]);
    for part in 1..=14 {
        swarm.wait(333);
        swarm.push(1, part, &[0, 1, 2, 3]);
    }
    while swarm.parts.is_empty() {
        swarm.wait(10);
    }
    assert_eq!((swarm.parts[0].1, swarm.now.since(began).as_millis() / 100), (6, 50));
}

#[test]
fn the_edge_is_asked_earlier_when_much_stands_in_the_uplink_before_the_question() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![]);
    let before = swarm.peers[&PeerId(1)].rescue_time();
    swarm.push(1, 0, &[0]);
    swarm.give(PeerId(1), Input::Unsent(PeerId(2), 62_500));
    let after = swarm.peers[&PeerId(1)].rescue_time();
    assert_eq!(after - before, Duration::from_millis(100), "62,500 bytes at 5 Mbit/s");
}

#[test]
fn who_lost_its_edge_and_misses_something_looks_for_a_sibling_at_once_and_is_pushed_to_by_it_from_its_welcome_on() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![]);
    swarm.push(1, 0, &[0, 1, 2, 3]);
    [1, 2].into_iter().for_each(|peer| swarm.give(PeerId(peer), Input::Lost(PeerId::EDGE)));
    let waits = |swarm: &Swarm, peer: u32| swarm.peers[&PeerId(peer)].timers.rejoin.unwrap().since(swarm.now);
    assert!(waits(&swarm, 1) < REJOIN_ROOTS && waits(&swarm, 2) > REJOIN_AGAIN);
    let descriptor = Frame::Table(swarm.origin.descriptor(1));
    swarm.give(PeerId(2), Input::Frame(PeerId(1), descriptor));
    swarm.wait(800);
    assert!(swarm.peers[&PeerId(2)].edge_up, "nothing of the second part came: it did not wait for its turn");
    swarm.edge_says(PeerId(1), Frame::Bye(Bye::NoRoom(3)));
    assert_eq!(waits(&swarm, 1), Duration::from_secs(3), "it plays on and asks again");
    let elsewhere = Bytes::from_static(b"a ticket for the sibling");
    swarm.edge.clear();
    swarm.give(PeerId(1), Input::Renew(elsewhere.clone()));
    swarm.give(PeerId(1), Input::Connected(PeerId::EDGE));
    let greeted = |frame: &Frame| matches!(frame, Frame::Hello(hello) if hello.ticket == elsewhere);
    assert!(swarm.edge.first().is_some_and(|(_, frame)| greeted(frame)), "the sibling is shown its ticket");
    swarm.edge.clear();
    let welcome = Welcome {
        version: LINK_VERSION,
        you: PeerId(1 << 20),
        hold_back_us: 1_000_000,
        now_us: 0,
        credit_bps: 0,
        start_us: 300_000,
    };
    swarm.edge_says(PeerId(1), Frame::Welcome(welcome));
    let pushed = |frame: &Frame| matches!(frame, Frame::Subscribe { set, .. } if set[0].mask == 0b1111);
    assert!(swarm.edge.iter().any(|(_, frame)| pushed(frame)));
}

#[test]
fn who_is_sent_to_another_edge_plays_on_and_looks_for_it() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.push(1, 0, &[0, 1, 2, 3]);
    swarm.edge_says(PeerId(1), Frame::Bye(Bye::Moved));
    swarm.give(PeerId(1), Input::Lost(PeerId::EDGE));
    let peer = &swarm.peers[&PeerId(1)];
    assert_eq!((peer.stage, peer.edge_up), (Stage::In, false));
    assert!(peer.timers.rejoin.unwrap().since(swarm.now) < REJOIN_ROOTS);
}

#[test]
fn a_leaver_serves_its_children_until_they_are_gone() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![]);
    swarm.push(1, 0, &[0, 1, 2, 3]);
    swarm.give(PeerId(1), Input::Leave);
    swarm.push(1, 1, &[0, 1, 2, 3]);
    swarm.wait(1_000);
    assert_eq!(swarm.parts.iter().filter(|(peer, _)| peer.0 == 2).count(), 2);
    swarm.assign(2, vec![(0b1111, 0, 0)], vec![], vec![]);
    swarm.push(2, 2, &[0, 1, 2, 3]);
    swarm.wait(10);
    assert_eq!(swarm.peers[&PeerId(1)].wake_at(), None, "its only child has another parent: it is gone");
}

/// Frames with every field anywhere, from anyone, in any order, with time passing in jumps.
mod anything {
    use proptest::prelude::*;

    use super::*;

    fn part_id() -> impl Strategy<Value = PartId> {
        (prop_oneof![Just(1u64), any::<u64>()], prop_oneof![0u64..20, any::<u64>()])
            .prop_map(|(run, part)| PartId { run: RunId(run), part: part >> 24 })
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (part_id(), 0u8..3, proptest::collection::vec(0usize..1024, 0..5)).prop_map(|(part, layer, list)| {
            Row { part, of: LayerId { rendition: layer, layer: 0 }, chunks: list.into_iter().collect() }
        });
        proptest::collection::vec(row, 0..4)
    }

    fn set() -> impl Strategy<Value = Substreams> {
        (0u8..16, 0u8..4, any::<u16>())
            .prop_map(|(rendition, layer, mask)| Substreams { of: LayerId { rendition, layer }, mask })
    }

    fn some_frame() -> impl Strategy<Value = Frame> {
        let peer = (0u32..6).prop_map(PeerId);
        prop_oneof![
            rows().prop_map(Frame::Have),
            (rows(), any::<bool>()).prop_map(|(rows, urgent)| Frame::Want { rows, urgent }),
            rows().prop_map(Frame::Cancel),
            rows().prop_map(Frame::Deny),
            (proptest::collection::vec(set(), 0..3), part_id()).prop_map(|(set, from)| Frame::Subscribe { set, from }),
            proptest::collection::vec(set(), 0..3).prop_map(Frame::Unsubscribe),
            (part_id(), any::<u8>()).prop_map(|(from, count)| Frame::Ask { from, count }),
            any::<u64>().prop_map(|sent_us| Frame::Ping { sent_us }),
            any::<u64>().prop_map(|echo_us| Frame::Pong { echo_us, now_us: 0 }),
            (part_id(), 0u16..1024, any::<u8>(), 0usize..30).prop_map(|(part, index, hop, len)| {
                Frame::Chunk(Chunk { id: ChunkId { part, of: BASE, index }, hop, payload: vec![1; len].into() })
            }),
            (0u64..20, 0u16..4).prop_map(|(part, index)| chunk(part, index)),
            (0u64..20)
                .prop_map(|part| Frame::Table(Origin(SigningKey::from_bytes(&[7; 32]), Mode::Live).descriptor(part))),
            proptest::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| Frame::Table(bytes.into())),
            (proptest::collection::vec((set(), peer.clone(), peer.clone()), 0..4), any::<u32>()).prop_map(
                |(take, hold_back_us)| {
                    let take = take.into_iter().map(|(set, parent, backup)| Take { set, parent, backup }).collect();
                    Frame::Assign(Assign { hold_back_us, take, ..Assign::default() })
                }
            ),
            (set(), peer.clone(), any::<u16>(), proptest::collection::vec(peer, 0..12)).prop_map(
                |(set, child, below, neighbors)| {
                    let give = vec![trellis_proto::frame::Give { set, child, reserved: below % 2 == 0, below }];
                    Frame::Assign(Assign { give, neighbors: Some(neighbors), ..Assign::default() })
                }
            ),
            Just(Frame::Bye(Bye::Leaving)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn never_panics_or_grows(inputs in proptest::collection::vec((0u32..6, some_frame(), 0u64..700), 1..120)) {
            let mut swarm = Swarm::new(1);
            for (from, frame, ms) in inputs {
                if from > 1 {
                    swarm.give(PeerId(1), Input::Connected(PeerId(from)));
                }
                swarm.give(PeerId(1), Input::Frame(PeerId(from), frame));
                swarm.wait(ms);
                let (parts, links) = swarm.peers[&PeerId(1)].load();
                prop_assert!(parts <= crate::limits::KEEP_PARTS + crate::limits::AHEAD_PARTS_MAX);
                prop_assert!(links <= crate::limits::LINKS_MAX);
            }
        }
    }
}

#[test]
fn pull_only_has_no_pushers_but_the_edge_and_trees_only_no_neighbors() {
    for (mesh, parent, neighbor) in [(Mesh::Hybrid, true, true), (Mesh::Pull, false, true), (Mesh::Trees, true, false)]
    {
        let mut swarm = Swarm::new(0);
        swarm.join_as(1, mesh);
        let take = |index, parent| Take {
            set: Substreams::one(Substream { of: BASE, index }),
            parent: PeerId(parent),
            backup: PeerId::EDGE,
        };
        let neighbors = Some(vec![PeerId(3)]);
        let assign = Assign { take: vec![take(0, 0), take(1, 2)], neighbors, ..Assign::default() };
        swarm.edge_says(PeerId(1), Frame::Assign(assign));
        let peer = &swarm.peers[&PeerId(1)];
        assert_eq!([2, 3].map(|other| peer.neighbors.is_up(PeerId(other))), [parent, neighbor], "{mesh:?}");
        assert_eq!(peer.upstream.pushed_by(PeerId::EDGE).len(), 1, "{mesh:?}");
    }
}

#[test]
fn what_came_another_way_is_called_off_at_who_would_push_it() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![2]);
    swarm.push(1, 0, &[0]);
    swarm.give(PeerId(1), Input::Frame(PeerId(2), chunk(0, 1)));
    let named = |frame: &Frame| match frame {
        Frame::Cancel(rows) => {
            rows.iter().flat_map(|row| row.chunks.iter().map(|index| (row.part.part, index))).collect()
        }
        _ => Vec::new(),
    };
    let called_off: Vec<_> = swarm.edge.iter().flat_map(|(_, frame)| named(frame)).collect();
    assert_eq!(called_off, [(0, 1)]);
}

#[test]
fn what_waits_for_a_child_that_turned_to_another_is_not_sent_any_more() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![(0b1111, 2)], vec![]);
    swarm.assign(2, vec![(0b1111, 1, 0)], vec![], vec![]);
    swarm.push(1, 0, &[0, 1, 2, 3]);
    swarm.push(1, 1, &[]);
    swarm.give(PeerId(1), Input::Unsent(PeerId(2), 1_000_000));
    (0..4).for_each(|index| swarm.edge_says(PeerId(1), chunk(1, index)));
    let stop = vec![Substreams { of: BASE, mask: 0b0111 }];
    swarm.give(PeerId(1), Input::Frame(PeerId(2), Frame::Unsubscribe(stop)));
    swarm.give(PeerId(1), Input::Unsent(PeerId(2), 0));
    let held = &swarm.peers[&PeerId(2)].store;
    let here: Vec<_> = held.layer(chunk_id(1, 0).part, BASE).unwrap().present().collect();
    assert_eq!(here, [3]);
}

#[test]
fn a_host_finds_what_is_held() {
    let mut swarm = Swarm::new(1);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![]);
    swarm.push(1, 0, &[0, 1, 2, 3]);
    swarm.push(1, 1, &[0]);
    let peer = &swarm.peers[&PeerId(1)];
    let part = |part| PartId { run: RUN, part };
    let Held::Whole(chunks) = peer.held(part(0), BASE) else { panic!("part 0 is here") };
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.payload().to_vec()).collect();
    assert_eq!(bytes, Origin::media(0));
    assert_eq!((peer.held(part(1), BASE), peer.held(part(2), BASE)), (Held::Coming, Held::No));
    assert_eq!([0, 1, 2].map(|n| peer.is_whole(part(n))), [true, false, false]);
}

#[test]
fn what_was_recorded_is_lived_through_again_step_by_step_the_same() {
    let mut swarm = Swarm::new(3);
    swarm.assign(1, vec![(0b0011, 0, 2)], vec![(0b0011, 2), (0b0001, 3)], vec![2, 3]);
    swarm.assign(2, vec![(0b0011, 1, 0), (0b1100, 0, 3)], vec![], vec![1, 3]);
    for part in 0..6 {
        swarm.push(1, part, &[0, 1]);
        swarm.push(2, part, &[2, 3]);
        swarm.serve(333);
    }
    swarm.give(PeerId(2), Input::Upload(UploadPolicy { cap_bps: Some(0), receive_only: true }));
    swarm.give(PeerId(2), Input::Switch(vec![BASE]));
    swarm.give(PeerId(2), Input::Leave);
    let tape = &swarm.tapes[&PeerId(2)];
    let played = swarm.parts.iter().filter(|(peer, _)| *peer == PeerId(2)).count();
    let mut again = 0;
    let replayed = replay(tape.bytes(), |_, output| again += usize::from(matches!(output, Output::Part(_))));
    assert!(matches!(replayed, Ok(Replayed { inputs: 50.., outputs: 20.., .. })), "{replayed:?}");
    assert!(played > 3 && again == played, "{again} parts instead of {played}");

    let mut other = tape.bytes().to_vec();
    let seed = other.windows(8).position(|bytes| bytes == 2u64.to_be_bytes()).unwrap();
    other[seed + 7] = 3;
    assert!(matches!(replay(&other, |_, _| ()), Err(Unlike::Differs(_))), "another seed, another life");
    let cut = &tape.bytes()[..tape.bytes().len() - 1];
    assert!(matches!(replay(cut, |_, _| ()), Err(Unlike::Malformed(_))));
}

#[test]
fn a_tape_ends_at_its_bound_and_is_good_up_to_there() {
    let mut swarm = Swarm::new(1);
    let peer = PeerId(1);
    let short = swarm.tapes[&peer].bytes().len() + 20_000;
    swarm.tapes.get_mut(&peer).unwrap().bound(short);
    (0..3).for_each(|part| swarm.push(1, part, &[0, 1, 2, 3]));
    let tape = &swarm.tapes[&peer];
    assert!(tape.is_full() && tape.bytes().len() <= short);
    assert!(replay(tape.bytes(), |_, _| ()).is_ok());
}

#[test]
fn a_new_pusher_takes_over_though_the_one_before_is_always_the_faster() {
    let mut swarm = Swarm::new(3);
    swarm.assign(1, vec![(0b1, 0, 0)], vec![(0b1, 3)], vec![]);
    swarm.assign(2, vec![(0b1, 0, 0)], vec![(0b1, 3)], vec![]);
    swarm.assign(3, vec![(0b1, 1, 0)], vec![], vec![]);
    let push = |swarm: &mut Swarm, part| {
        swarm.edge_says(PeerId(3), Frame::Table(swarm.origin.descriptor(part)));
        [1, 2].into_iter().for_each(|peer| swarm.push(peer, part, &[0]));
        swarm.wait(50);
    };
    push(&mut swarm, 0);
    swarm.assign(3, vec![(0b1, 2, 0)], vec![], vec![]);
    (1..4).for_each(|part| push(&mut swarm, part));
    let duplicates = swarm.events.iter().filter(|(_, event)| matches!(event, Event::Duplicate(..))).count();
    assert_eq!(duplicates, 1, "{:?}", swarm.events);
    assert!(swarm.peers[&PeerId(1)].downstream.children(Substream { of: BASE, index: 0 }).is_empty());
}

#[test]
fn of_two_pushers_replaced_one_after_the_other_neither_goes_on() {
    let mut swarm = Swarm::new(4);
    (1..4).for_each(|peer| swarm.assign(peer, vec![(0b1, 0, 0)], vec![(0b1, 4)], vec![]));
    let push = |swarm: &mut Swarm, part, to: &[u32]| {
        swarm.edge_says(PeerId(4), Frame::Table(swarm.origin.descriptor(part)));
        to.iter().for_each(|peer| swarm.push(*peer, part, &[0]));
    };
    swarm.assign(4, vec![(0b1, 1, 0)], vec![], vec![]);
    push(&mut swarm, 0, &[1]);
    swarm.assign(4, vec![(0b1, 2, 0)], vec![], vec![]);
    swarm.assign(4, vec![(0b1, 3, 0)], vec![], vec![]);
    push(&mut swarm, 1, &[1, 2, 3]);
    let serves =
        |peer: u32| !swarm.peers[&PeerId(peer)].downstream.children(Substream { of: BASE, index: 0 }).is_empty();
    assert_eq!([1, 2, 3].map(serves), [false, false, true], "each of them still may");
}

#[test]
fn who_turned_it_down_before_it_had_it_is_asked_again_when_it_has() {
    let mut swarm = Swarm::new(2);
    swarm.assign(1, vec![(0b1111, 0, 0)], vec![], vec![2]);
    swarm.assign(2, vec![], vec![], vec![1]);
    [1, 2].into_iter().for_each(|peer| swarm.push(peer, 0, &[]));
    let row = || Row { part: chunk_id(0, 0).part, of: BASE, chunks: [0].into_iter().collect() };
    let says = |swarm: &mut Swarm, frame| swarm.give(PeerId(2), Input::Frame(PeerId(1), frame));
    says(&mut swarm, Frame::Have(vec![row()]));
    swarm.wait(60);
    let pulls = |swarm: &Swarm| swarm.events.iter().filter(|(_, event)| matches!(event, Event::Pull(..))).count();
    assert_eq!((pulls(&swarm), swarm.parts.len()), (1, 0), "it said so, and had not got it");
    swarm.push(1, 0, &[0, 1, 2, 3]);
    swarm.wait(300);
    assert!(swarm.peers[&PeerId(2)].is_whole(chunk_id(0, 0).part), "{:?}", swarm.events);
}

#[test]
fn who_let_an_ask_run_out_does_not_count_as_busy_with_it_for_ever() {
    let mut swarm = Swarm::new(1);
    swarm.assign(1, vec![], vec![], vec![7, 8]);
    [7, 8].into_iter().for_each(|other| swarm.give(PeerId(1), Input::Connected(PeerId(other))));
    swarm.push(1, 0, &[]);
    let row = Row { part: chunk_id(0, 0).part, of: BASE, chunks: [0].into_iter().collect() };
    swarm.give(PeerId(1), Input::Frame(PeerId(7), Frame::Have(vec![row])));
    let asked = |swarm: &Swarm| swarm.peers[&PeerId(1)].neighbors.asked_of(PeerId(7));
    swarm.wait(60);
    assert_eq!(asked(&swarm), 1);
    swarm.wait(400);
    assert_eq!(asked(&swarm), 0);
}
