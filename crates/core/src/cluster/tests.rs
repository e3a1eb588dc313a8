//! A cluster as its host sees it: inputs in, outputs out, and the invariants after every step.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::descriptor::{LayerPart, TrackPart};
use trellis_proto::frame::*;
use trellis_proto::{Catalogue, Descriptor, Layer, Media, Mode, Rendition, RunId, SessionId};

use super::*;
use crate::locality::Locality;
use crate::seeded::Seeded;
use crate::trust::Payload;

/// A chunk that is only a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sized(pub usize);

impl Payload for Sized {
    fn size(&self) -> usize {
        self.0
    }
}

const VIDEO: LayerId = LayerId { rendition: 0, layer: 0 };
const SOUND: LayerId = LayerId { rendition: 1, layer: 0 };
/// 16 substreams of video and one of sound.
const RATE: u64 = 2_500_000 + 96_000;

fn catalogue() -> Catalogue {
    run(1, &[16])
}

/// A run whose video has these layers.
fn run(run: u64, layers: &[u8]) -> Catalogue {
    let rendition = |media, bandwidth, layers: &[u8]| Rendition {
        media,
        codecs: "x".into(),
        language: "".into(),
        bandwidth,
        init_size: 600,
        init_hash: [1; 32],
        layers: layers.iter().map(|k| Layer { substreams: *k }).collect(),
    };
    Catalogue {
        stream: "demo".parse().unwrap(),
        run: RunId(run),
        key: [0; 32],
        mode: Mode::Live,
        started_ms: 0,
        first_msn: 0,
        discontinuity: 0,
        part_target_us: 333_334,
        segment_target_s: 2,
        window_s: 120,
        renditions: vec![
            rendition(Media::Video { width: 1280, height: 720, frame_rate_millihertz: 30_000 }, 2_500_000, layers),
            rendition(Media::Audio { sample_rate: 48_000, channels: 2 }, 96_000, &[1]),
        ],
    }
}

/// A cluster, its clock and what it did.
struct Bench {
    cluster: Cluster<Sized>,
    now: Instant,
    links: u64,
    part: u64,
    inputs: u64,
    check_every: u64,
    rejoins: bool,
    done: Vec<Output<Sized>>,
}

impl Bench {
    fn new(budget_bps: u64) -> Self {
        let now = Instant(1_000_000_000);
        let cluster = Cluster::new(Config { budget_bps, ..Config::default() }, 7, now);
        let mut bench =
            Self { cluster, now, links: 0, part: 0, inputs: 0, check_every: 1, rejoins: false, done: Vec::new() };
        bench.input(Input::Catalogue(Arc::new(catalogue()), Bytes::from_static(b"catalogue")));
        bench
    }

    fn input(&mut self, input: Input<Sized>) {
        self.cluster.handle(self.now, input);
        while let Some(output) = self.cluster.poll() {
            self.done.push(output);
        }
        self.inputs += 1;
        if self.inputs.is_multiple_of(self.check_every) {
            self.cluster.check().unwrap();
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.input(Input::Wake);
    }

    fn hello(&mut self, declared_bps: u64, nat: Nat) -> (LinkId, Option<PeerId>) {
        self.hello_as(self.links + 1, declared_bps, nat, vec![VIDEO, SOUND])
    }

    fn hello_as(
        &mut self,
        session: u64,
        declared_bps: u64,
        nat: Nat,
        layers: Vec<LayerId>,
    ) -> (LinkId, Option<PeerId>) {
        self.links += 1;
        let link = LinkId(self.links);
        let session = SessionId(core::array::from_fn(|i| session.to_be_bytes()[i % 8]));
        self.input(Input::Opened {
            link,
            session,
            max_rate_bps: 8_000_000,
            locality: Locality::default(),
            rejoins: self.rejoins,
        });
        self.input(Input::Frame(link, Frame::Hello(greeting(declared_bps, nat, layers))));
        let welcomed = self.sent(link).find_map(|frame| match frame {
            Frame::Welcome(welcome) => Some(welcome.you),
            _ => None,
        });
        (link, welcomed)
    }

    /// A report of who got in two seconds what its plan promises.
    fn report(&mut self, link: LinkId, alpha_bps: u64) {
        let overlay = &self.cluster.overlay;
        let Some(peer) = overlay.roster.by_link(link).and_then(|slot| overlay.roster.get(slot)) else { return };
        let parent = |(lane, node): &(u16, u32)| {
            let tree = &overlay.trees[usize::from(*lane)];
            let parent = tree.parent(*node).filter(|parent| *parent != ROOT)?;
            let bytes = overlay.lanes.slot_bps(*lane) as u32 / 4;
            Some(Receipt { from: overlay.roster.id(tree.node(parent).peer), bytes, late: 0, busy_us: 0 })
        };
        let receipts = peer.seats.iter().filter_map(parent).collect();
        self.input(Input::Frame(link, Frame::Report(Report { alpha_bps, receipts, ..Report::default() })));
    }

    fn part(&mut self) {
        let layer = |k: usize| LayerPart { size: 4_000 * k as u32, hashes: vec![[0; 16]; k] };
        let track = |k| TrackPart { duration_us: 333_333, layers: vec![layer(k)] };
        let descriptor = Descriptor {
            run: RunId(1),
            part: self.part,
            msn: self.part / 6,
            index: (self.part % 6) as u16,
            independent: self.part.is_multiple_of(6),
            last_of_segment: self.part % 6 == 5,
            discontinuity: false,
            start_us: self.part * 333_333,
            tracks: vec![track(16), track(1)],
        };
        self.part += 1;
        let chunks = vec![vec![vec![Sized(4_000); 16]], vec![vec![Sized(4_000); 1]]];
        self.input(Input::Part(Arc::new(descriptor), Bytes::from_static(b"descriptor"), Arc::new(chunks)));
    }

    fn sent(&self, to: LinkId) -> impl Iterator<Item = &Frame<Sized>> {
        self.done.iter().filter_map(move |output| match output {
            Output::Send(link, frame) if *link == to => Some(frame),
            _ => None,
        })
    }

    fn chunks(&self, to: LinkId) -> usize {
        self.sent(to).filter(|frame| matches!(frame, Frame::Chunk(_))).count()
    }
}

fn greeting(declared_bps: u64, nat: Nat, layers: Vec<LayerId>) -> Hello {
    Hello {
        version: LINK_VERSION,
        ticket: Bytes::new(),
        declared_bps,
        receive_only: declared_bps == 0,
        nat,
        layers,
        behind_us: 0,
    }
}

fn all(mask: u16, of: LayerId) -> Substreams {
    Substreams { of, mask }
}

#[test]
fn the_first_viewer_is_served_by_the_edge_and_a_part_reaches_it_whole() {
    let mut bench = Bench::new(10 * RATE);
    bench.part();
    let (link, id) = bench.hello(RATE, Nat::Open);
    assert_eq!(id, Some(PeerId(1)));
    let kinds: Vec<_> = bench.sent(link).map(core::mem::discriminant).collect();
    let take = |set| Take { set, parent: PeerId::EDGE, backup: PeerId::EDGE };
    let assign = bench.sent(link).find_map(|f| match f {
        Frame::Assign(assign) => Some(assign.clone()),
        _ => None,
    });
    assert_eq!(kinds.len(), 4, "welcome, catalogue, plan, the last descriptor");
    let assign = assign.unwrap();
    assert_eq!(assign.take, [take(all(0xffff, VIDEO)), take(all(1, SOUND))]);
    assert_eq!(assign.layers, Some(vec![VIDEO, SOUND]));
    let from = PartId { run: RunId(1), part: 0 };
    let set = vec![all(0xffff, VIDEO), all(1, SOUND)];
    bench.input(Input::Frame(link, Frame::Subscribe { set, from }));
    for _ in 0..20 {
        bench.pass(Duration::from_millis(20));
        bench.input(Input::Unsent(link, 0));
    }
    assert_eq!(bench.chunks(link), 17);
    bench.part();
    for _ in 0..20 {
        bench.pass(Duration::from_millis(20));
        bench.input(Input::Unsent(link, 0));
    }
    assert_eq!(bench.chunks(link), 34);
}

#[test]
fn a_crowd_comes_and_goes_and_nothing_is_lost_or_promised_twice() {
    let mut bench = Bench::new(50 * RATE);
    bench.check_every = 97;
    let mut seeded = Seeded::new(3);
    let mut links = Vec::new();
    let mut alphas = alloc::collections::BTreeMap::new();
    for step in 0..3_000 {
        match seeded.below(7) {
            0..5 => {
                let alpha = [1_000_000, 1_000_000, 3_000_000, 3_000_000, 10_000_000][seeded.below(5) as usize];
                let nat = [Nat::Open, Nat::Cone, Nat::Symmetric, Nat::Cone, Nat::Unknown][seeded.below(5) as usize];
                if let (link, Some(_)) = bench.hello(alpha, nat) {
                    links.push(link);
                    alphas.insert(link, alpha);
                }
            }
            5 if !links.is_empty() => {
                let link = links.swap_remove(seeded.below(links.len() as u64) as usize);
                bench.input(Input::Closed(link));
            }
            6 if !links.is_empty() => {
                let link = links.swap_remove(seeded.below(links.len() as u64) as usize);
                bench.input(Input::Frame(link, Frame::Bye(Bye::Leaving)));
                bench.input(Input::Closed(link));
            }
            _ => {}
        }
        if step % 50 == 0 {
            links.iter().for_each(|link| bench.report(*link, alphas[link]));
            (0..4).for_each(|_| bench.pass(Duration::from_millis(500)));
        }
        bench.done.clear();
    }
    let stats = bench.cluster.stats();
    // Half of what comes goes again, and the supply is 1.4 times the demand: the edge's part is small, the trees are shallow.
    assert!(stats.viewers > 1_000 && stats.depth <= 8 && stats.orphans == 0, "{stats:?}");
    assert!(stats.edge_held_bps * 100 < u64::from(stats.viewers) * RATE, "{stats:?}");
    for link in links {
        bench.input(Input::Closed(link));
    }
    let empty = bench.cluster.stats();
    assert_eq!((empty.viewers, empty.peers_bps, empty.edge_held_bps, empty.credit_bps), (0, 0, 0, 0));
}

#[test]
fn eight_viewers_who_have_given_nothing_yet_are_all_let_in_on_credit_by_an_edge_of_three() {
    let mut bench = Bench::new(RATE * 32 / 10);
    (0..3).for_each(|_| bench.part());
    let admitted = (0..8).filter(|_| bench.hello(RATE, Nat::Cone).1.is_some()).count();
    assert_eq!((admitted, bench.cluster.stats().orphans), (8, 0));
}

#[test]
fn a_small_edge_serves_one_root_per_tree_once_peers_can_carry_the_rest() {
    let mut bench = Bench::new(RATE * 32 / 10);
    let links: Vec<_> = (0..8).map(|_| bench.hello(RATE, Nat::Cone).0).collect();
    for _ in 0..4 {
        links.iter().for_each(|link| bench.report(*link, 8_000_000));
        (0..4).for_each(|_| bench.pass(Duration::from_millis(500)));
    }
    assert!(bench.cluster.stats().edge_held_bps <= RATE, "{:?}", bench.cluster.stats());
}

#[test]
fn the_past_of_a_lane_goes_to_two_the_oldest_first_and_what_waits_for_one_who_wants_it_no_longer_is_not_sent() {
    let mut bench = Bench::new(6 * RATE);
    (0..3).for_each(|_| bench.part());
    // The edge's own children in every lane: nobody else can give to them.
    let links: Vec<_> = (0..4).map(|_| bench.hello(0, Nat::Blocked).0).collect();
    let (set, from) = (vec![all(0xffff, VIDEO)], PartId { run: RunId(1), part: 0 });
    let drain = |bench: &mut Bench, rounds: usize| {
        for _ in 0..rounds {
            bench.pass(Duration::from_millis(20));
            links.iter().for_each(|link| bench.input(Input::Unsent(*link, 0)));
        }
    };
    for link in &links[..3] {
        bench.input(Input::Frame(*link, Frame::Subscribe { set: set.clone(), from }));
        drain(&mut bench, 20);
    }
    assert_eq!(links.iter().map(|link| bench.chunks(*link)).collect::<Vec<_>>(), [48, 48, 0, 0]);
    for link in &links[..2] {
        let parts = bench.sent(*link).filter_map(|frame| match frame {
            Frame::Chunk(chunk) => Some(chunk.id.part.part),
            _ => None,
        });
        assert!(parts.is_sorted(), "it begins with the oldest");
    }
    bench.part();
    let came = bench.chunks(links[2]);
    bench.input(Input::Frame(links[2], Frame::Unsubscribe(set)));
    drain(&mut bench, 20);
    assert_eq!((came, bench.chunks(links[0]), bench.chunks(links[2])), (came, 64, came));
    assert!(came < 16, "some still waited");
}

#[test]
fn who_gives_nothing_is_let_in_while_the_edge_has_room_and_then_sent_away_with_a_time() {
    let mut bench = Bench::new(10 * RATE);
    let admitted = (0..12).filter(|_| bench.hello(0, Nat::Blocked).1.is_some()).count();
    assert_eq!(admitted, 7, "seven tenths are for serving");
    let refused = |o: &Output<Sized>| matches!(o, Output::Close(_, Bye::NoRoom(1..=30)));
    assert_eq!(bench.done.iter().filter(|o| refused(o)).count(), 5);
}

#[test]
fn a_leaver_hands_its_children_over_and_its_slots_return() {
    let mut bench = Bench::new(20 * RATE);
    let links: Vec<_> = (0..24).map(|_| bench.hello(RATE * 2, Nat::Open).0).collect();
    let held = |bench: &Bench, link| {
        let slot = bench.cluster.overlay.roster.by_link(link).unwrap();
        bench.cluster.overlay.ledger.account(slot).held_bps
    };
    let giver = *links.iter().find(|link| held(&bench, **link) > 0).unwrap();
    bench.input(Input::Frame(giver, Frame::Bye(Bye::Leaving)));
    assert_eq!(held(&bench, giver), 0);
    let plans = |bench: &Bench| bench.sent(giver).filter(|f| matches!(f, Frame::Assign(_))).count();
    let before = plans(&bench);
    bench.pass(Duration::from_millis(2_500));
    assert_eq!(plans(&bench), before, "a leaver goes on as it is");
    assert_eq!(bench.cluster.stats().viewers, 23);
    assert!(bench.done.iter().any(|o| matches!(o, Output::Close(link, Bye::Leaving) if *link == giver)));
}

#[test]
fn a_silent_viewer_and_one_that_comes_back_leave_no_slot_behind() {
    let mut bench = Bench::new(20 * RATE);
    let (link, id) = bench.hello(RATE, Nat::Open);
    let (_, again) = bench.hello_as(1, RATE, Nat::Open, vec![VIDEO]);
    assert!(id != again && bench.cluster.stats().viewers == 1);
    assert!(bench.done.iter().any(|o| matches!(o, Output::Close(l, Bye::Replaced) if *l == link)));
    (0..16).for_each(|_| bench.pass(Duration::from_millis(500)));
    let stats = bench.cluster.stats();
    assert_eq!((stats.viewers, stats.edge_held_bps, stats.peers_bps), (0, 0, 0));
}

#[test]
fn a_switch_is_granted_while_there_is_room_and_refused_without_losing_anything() {
    let mut bench = Bench::new(RATE * 2);
    let (link, _) = bench.hello(0, Nat::Blocked);
    let layers = |bench: &Bench| {
        bench.sent(link).filter_map(|f| if let Frame::Assign(a) = f { a.layers.clone() } else { None }).last().unwrap()
    };
    let mut switch = |to: &[LayerId]| {
        bench.input(Input::Frame(link, Frame::Switch { layers: to.to_vec() }));
        (layers(&bench), bench.cluster.stats().edge_held_bps)
    };
    assert_eq!(switch(&[SOUND]), (vec![SOUND], 96_000));
    assert_eq!(switch(&[VIDEO, SOUND]).0, [VIDEO, SOUND]);
    assert_eq!(switch(&[SOUND]), (vec![SOUND], 96_000));
    bench.input(Input::Budget(1_000_000));
    let refused = {
        bench.input(Input::Frame(link, Frame::Switch { layers: vec![VIDEO, SOUND] }));
        (layers(&bench), bench.cluster.stats().edge_held_bps)
    };
    assert_eq!(refused, (vec![SOUND], 96_000));
}

#[test]
fn who_finds_no_room_is_told_to_return_when_leavers_will_have_made_some() {
    let mut bench = Bench::new(RATE * 2);
    bench.hello(0, Nat::Blocked);
    let mut refused = |relief_bps2| {
        bench.input(Input::Relief(relief_bps2));
        let (link, _) = bench.hello(0, Nat::Blocked);
        let told = |o: &Output<Sized>| if let Output::Close(l, bye) = o { (*l == link).then_some(*bye) } else { None };
        bench.done.iter().find_map(told).unwrap()
    };
    // Of 2 × 2.596 Mbit/s 70 % are served; 1.5576 Mbit/s are missing.
    assert_eq!([0, 400_000, u64::MAX].map(&mut refused), [30, 4, 1].map(Bye::NoRoom));
}

#[test]
fn two_networks_that_say_it_sent_wrong_bytes_end_a_giver() {
    let mut bench = Bench::new(20 * RATE);
    let links: Vec<_> = (0..12).map(|_| bench.hello(RATE * 2, Nat::Open).0).collect();
    let giver = PeerId(1);
    for link in &links[1..] {
        let complaint = Complaint { peer: giver, fault: Fault::BadChunk };
        bench.input(Input::Frame(*link, Frame::Report(Report { complaints: vec![complaint], ..Report::default() })));
    }
    let banned = |o: &&Output<Sized>| matches!(o, Output::Event(Event::Banned(peer, _)) if *peer == giver);
    assert_eq!(bench.done.iter().filter(banned).count(), 1);
    let slot = bench.cluster.overlay.roster.by_id(giver).unwrap();
    assert_eq!(bench.cluster.overlay.ledger.account(slot), ledger::Account::default());
}

#[test]
fn each_edge_numbers_its_peers_from_a_range_of_its_own() {
    let config = Config { first_peer: PeerId(3 << 20), ..Config::default() };
    let mut bench = Bench { cluster: Cluster::new(config, 7, Instant(0)), ..Bench::new(20 * RATE) };
    bench.input(Input::Catalogue(Arc::new(catalogue()), Bytes::from_static(b"catalogue")));
    let ids: Vec<_> = (0..2).map(|_| bench.hello(RATE, Nat::Open).1).collect();
    assert_eq!(ids, [Some(PeerId(3 << 20)), Some(PeerId(3 << 20 | 1))]);
}

#[test]
fn draining_lets_nobody_in_and_everybody_go() {
    let mut bench = Bench::new(50 * RATE);
    (0..40).for_each(|_| {
        bench.hello(RATE, Nat::Open);
    });
    bench.input(Input::Drain);
    assert_eq!(bench.hello(RATE, Nat::Open).1, None);
    (0..60).for_each(|_| {
        (1..=40).for_each(|link| bench.input(Input::Frame(LinkId(link), Frame::Ping { sent_us: 0 })));
        bench.pass(Duration::from_millis(500));
    });
    assert_eq!(bench.cluster.stats().viewers, 0);
}

/// One thing after another, as it comes: whoever, whatever, in any order.
#[test]
fn whatever_happens_in_whatever_order_slots_and_trees_tell_the_same() {
    let enhanced = LayerId { rendition: 0, layer: 1 };
    for seed in 0..40 {
        let mut seeded = Seeded::new(seed);
        let mut any = |below: u64| seeded.below(below);
        let mut bench = Bench::new(20 * RATE);
        bench.cluster.config.after_completion = seed % 4 == 3;
        for step in 0..400 {
            let link = LinkId(1 + any(bench.links.max(1)));
            let layers =
                [vec![VIDEO, SOUND], vec![VIDEO, enhanced, SOUND], vec![SOUND], vec![VIDEO]][any(4) as usize].clone();
            let nat = [Nat::Unknown, Nat::Open, Nat::Cone, Nat::Symmetric, Nat::Blocked][any(5) as usize];
            match any(17) {
                0..6 => {
                    let session = 1 + any(300);
                    bench.hello_as(session, any(5) * 1_000_000, nat, layers);
                }
                6 | 7 => bench.report(link, any(12) * 1_000_000),
                8 => bench.input(Input::Frame(link, Frame::Switch { layers })),
                9 => bench.input(Input::Frame(link, Frame::Bye(Bye::Leaving))),
                10 => bench.input(Input::Closed(link)),
                11 => bench.input(Input::Budget(RATE * (1 + any(30)))),
                12 => {
                    let fault = [Fault::BadChunk, Fault::Gone, Fault::Silent, Fault::Unreachable][any(4) as usize];
                    let complaints = vec![Complaint { peer: PeerId(any(bench.links + 2) as u32), fault }];
                    let buffer_us = if any(2) == 0 { u32::MAX } else { 0 };
                    let report = Report { complaints, buffer_us, ..Report::default() };
                    bench.input(Input::Frame(link, Frame::Report(report)));
                }
                13 if step % 8 == 0 => {
                    let shape: &[u8] = [&[16u8][..], &[16], &[4, 8], &[8, 8]][any(4) as usize];
                    let mut catalogue = run(2 + step, shape);
                    catalogue.mode = if any(3) == 0 { Mode::Vod } else { Mode::Live };
                    bench.input(Input::Catalogue(Arc::new(catalogue), Bytes::from_static(b"catalogue")));
                }
                14 => {
                    let hello = greeting(any(5) * 1_000_000, nat, layers);
                    bench.input(Input::Frame(link, Frame::Hello(hello)));
                }
                _ => bench.pass(Duration::from_millis(any(900))),
            }
            bench.done.clear();
        }
        (1..=bench.links).for_each(|link| bench.input(Input::Closed(LinkId(link))));
        let stats = bench.cluster.stats();
        assert_eq!(
            (stats.viewers, stats.edge_held_bps, stats.peers_bps, stats.credit_bps, stats.orphans),
            (0, 0, 0, 0, 0)
        );
    }
}

#[test]
fn a_giver_that_leaves_two_takers_waiting_loses_them_and_gets_no_others_for_a_while() {
    let mut bench = Bench::new(20 * RATE);
    let links: Vec<_> = (0..24).map(|_| bench.hello(RATE * 2, Nat::Open).0).collect();
    let overlay = &bench.cluster.overlay;
    let children = |overlay: &Overlay, slot| {
        let below = |(lane, node): (u16, u32)| {
            let tree = &overlay.trees[usize::from(lane)];
            tree.children(node).map(|child| tree.node(child).peer).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = overlay.seats(slot).into_iter().flat_map(below).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let slots = overlay.roster.present().to_vec();
    let giver = slots.into_iter().max_by_key(|slot| children(overlay, *slot).len()).unwrap();
    let (before, id) = (children(overlay, giver), overlay.roster.id(giver));
    assert!(before.len() > 2, "{before:?}");
    for child in &before[..2] {
        let link = bench.cluster.overlay.roster.get(*child).unwrap().link;
        let complaints = vec![Complaint { peer: id, fault: Fault::Silent }];
        bench.input(Input::Frame(link, Frame::Report(Report { complaints, ..Report::default() })));
    }
    assert_eq!(children(&bench.cluster.overlay, giver), before[2..]);
    assert!(bench.done.iter().any(|o| matches!(o, Output::Event(Event::Parole(peer, _)) if *peer == id)));
    let plain = |bench: &Bench| bench.cluster.overlay.roster.get(giver).unwrap().may_give();
    assert!(!plain(&bench) && links.len() == 24);
    (0..6).for_each(|_| bench.pass(Duration::from_millis(500)));
    assert!(plain(&bench));
}

#[test]
fn who_gives_much_rises_past_who_gives_little_although_blocked_viewers_stand_nearest_to_the_edge() {
    let mut bench = Bench::new(200 * RATE);
    bench.check_every = 50;
    let alpha = |at: usize| if at < 140 { 800_000 } else { 8_000_000 };
    let blocked: Vec<_> = (0..10).map(|_| bench.hello(0, Nat::Blocked).0).collect();
    let mut links = Vec::new();
    for round in 0..30 {
        (0..if round < 20 { 10 } else { 0 }).for_each(|_| links.push(bench.hello(alpha(links.len()), Nat::Cone).0));
        links.iter().enumerate().for_each(|(at, link)| bench.report(*link, alpha(at)));
        blocked.iter().for_each(|link| bench.report(*link, 0));
        (0..4).for_each(|_| bench.pass(Duration::from_millis(500)));
    }
    bench.cluster.check().unwrap();
    let overlay = &bench.cluster.overlay;
    assert_eq!((overlay.roster.len(), overlay.orphans.len()), (210, 0));
    for tree in &overlay.trees[..16] {
        let givers =
            overlay.roster.present().iter().filter_map(|slot| overlay.roster.get(*slot)?.seat(0).map(|_| *slot));
        let seat = |slot: &Slot| {
            let seats = &overlay.roster.get(*slot).unwrap().seats;
            seats
                .iter()
                .find(|(lane, _)| core::ptr::eq(&overlay.trees[usize::from(*lane)], tree))
                .map(|(_, node)| *node)
        };
        let nodes: Vec<_> = givers.filter_map(|slot| seat(&slot)).collect();
        let linkable = |node: &&u32| overlay.roster.get(tree.node(**node).peer).unwrap().nat != Nat::Blocked;
        let top = nodes.iter().filter(linkable).filter(|node| tree.node(**node).depth == 1);
        let least = top.map(|node| tree.node(*node).quota).min().unwrap();
        let below = nodes.iter().filter(|node| tree.node(**node).depth > 1);
        let most = below.map(|node| tree.node(*node).quota).max().unwrap();
        assert!(most <= least * 2 + 1, "{least} stands above {most}");
    }
}

/// How many of the edge's children in each tree could take from peers, after a while.
fn roots(blocked: usize, linkable: usize, alpha_bps: u64) -> Vec<usize> {
    let mut bench = Bench::new(200 * RATE);
    bench.check_every = 50;
    let blocked: Vec<_> = (0..blocked).map(|_| bench.hello(0, Nat::Blocked).0).collect();
    let links: Vec<_> = (0..linkable).map(|_| bench.hello(alpha_bps, Nat::Open).0).collect();
    for _ in 0..30 {
        links.iter().for_each(|link| bench.report(*link, alpha_bps));
        blocked.iter().for_each(|link| bench.report(*link, 0));
        (0..4).for_each(|_| bench.pass(Duration::from_millis(500)));
    }
    let overlay = &bench.cluster.overlay;
    let open =
        |tree: &super::trees::Tree, child: &u32| overlay.roster.get(tree.node(*child).peer).unwrap().nat == Nat::Open;
    overlay.trees[..16].iter().map(|tree| tree.children(ROOT).filter(|child| open(tree, child)).count()).collect()
}

#[test]
fn the_edge_keeps_its_roots_however_many_it_must_serve_itself_and_no_others_where_peers_can_carry_all_who_can_link() {
    assert_eq!(roots(20, 100, 8_000_000), [2; 16]);
    assert_eq!(roots(50, 100, RATE * 125 / 100), [2; 16], "125 of the 150 that are watched");
}

#[test]
fn who_lost_its_edge_does_not_wait_in_the_crowd_before_the_sibling() {
    let mut bench = Bench::new(RATE * 32 / 10);
    (0..3).for_each(|_| bench.part());
    let comes = |bench: &mut Bench| bench.hello(RATE, Nat::Cone).1.is_some();
    let admitted = (0..12).filter(|_| comes(&mut bench)).count();
    bench.rejoins = true;
    assert_eq!((admitted, comes(&mut bench)), (8, true));
    bench.rejoins = false;
    assert!(!comes(&mut bench), "and takes no newcomer's turn");
}

#[test]
fn what_others_wait_for_goes_before_what_is_wanted_in_haste() {
    let mut bench = Bench::new(10 * RATE);
    let links: Vec<_> = (0..4).map(|_| bench.hello(RATE, Nat::Open).0).collect();
    let is_root = |bench: &Bench, link: LinkId| {
        let overlay = &bench.cluster.overlay;
        let slot = overlay.roster.by_link(link).unwrap();
        let tree = &overlay.trees[0];
        let node = overlay.roster.get(slot).unwrap().seat(0).unwrap();
        tree.parent(node) == Some(ROOT) && tree.node(node).below > 0
    };
    let root = *links.iter().find(|link| is_root(&bench, **link)).unwrap();
    let hasty: Vec<_> = links.iter().copied().filter(|link| *link != root).collect();
    let from = PartId { run: RunId(1), part: 0 };
    bench.input(Input::Frame(root, Frame::Subscribe { set: vec![all(1, VIDEO)], from }));
    (0..4).for_each(|_| bench.part());
    let row = |part| Row { part: PartId { run: RunId(1), part }, of: VIDEO, chunks: (0..16).collect() };
    let want = || Frame::Want { rows: (0..4).map(row).collect(), urgent: true };
    hasty.iter().for_each(|link| bench.input(Input::Frame(*link, want())));
    let before = bench.chunks(root);
    bench.part();
    while bench.chunks(root) == before {
        bench.pass(Duration::from_millis(1));
        links.iter().for_each(|link| bench.input(Input::Unsent(*link, 0)));
    }
    let first: usize = hasty.iter().map(|link| bench.chunks(*link)).sum();
    assert!(first < 48, "{first} of 192 rescues went first");
}

#[test]
fn no_uplink_is_full_while_others_idle_thin_or_thick() {
    let mut bench = Bench::new(100 * RATE);
    bench.check_every = 50;
    let alpha = |at: usize| if at.is_multiple_of(2) { 820_000 } else { 8_000_000 };
    let mut links = Vec::new();
    for round in 0..24 {
        (0..if round < 12 { 10 } else { 0 }).for_each(|_| links.push(bench.hello(alpha(links.len()), Nat::Cone).0));
        links.iter().enumerate().for_each(|(at, link)| bench.report(*link, alpha(at)));
        (0..4).for_each(|_| bench.pass(Duration::from_millis(500)));
    }
    let overlay = &bench.cluster.overlay;
    let loads = overlay.roster.present().iter().map(|slot| overlay.ledger.account(*slot));
    let loads: Vec<_> = loads.map(|account| account.held_bps * 100 / account.capacity_bps.max(1)).collect();
    let (capacity, held) = overlay.ledger.peers_bps();
    let worst = loads.iter().max().unwrap();
    assert!(*worst < 90, "the worst carries {worst} % where the mean is {} %", held * 100 / capacity);
}

#[test]
fn of_a_recording_who_has_what_comes_next_is_named_and_the_host_answers_for_the_past() {
    let mut bench = Bench::new(100_000_000);
    let recording = Catalogue { mode: Mode::Vod, run: RunId(77), ..catalogue() };
    bench.input(Input::Catalogue(Arc::new(recording), Bytes::from_static(b"recording")));
    let links: Vec<_> = (0..3).map(|_| bench.hello(5_000_000, Nat::Open).0).collect();
    let says = |bench: &mut Bench, link: LinkId, at_s: u64, back_s: u32, buffer_s: u32| {
        let at_us = at_s * 1_000_000;
        let (back_us, buffer_us) = (back_s * 1_000_000, buffer_s * 1_000_000);
        bench.input(Input::Frame(link, Frame::Report(Report { at_us, back_us, buffer_us, ..Report::default() })));
    };
    bench.done.clear();
    // The first is at 100 s and has the last 60; the second follows it; the third is where nobody is.
    says(&mut bench, links[0], 100, 60, 20);
    says(&mut bench, links[1], 60, 10, 5);
    says(&mut bench, links[2], 400, 10, 5);
    bench.pass(Duration::from_secs(1));
    let named: Vec<_> = bench
        .done
        .iter()
        .filter_map(|output| match output {
            Output::Send(link, Frame::Assign(assign)) if assign.neighbors.as_ref().is_some_and(|n| !n.is_empty()) => {
                Some((*link, assign.take.len() + assign.give.len(), assign.neighbors.clone().unwrap().len()))
            }
            _ => None,
        })
        .collect();
    let expected = [(links[0], 0, 1), (links[1], 0, 1)];
    assert!(expected.iter().all(|one| named.contains(one)) && named.len() == 2, "{named:?}");
    let from = PartId { run: RunId(77), part: 4 };
    bench.input(Input::Frame(links[2], Frame::Ask { from, count: 9 }));
    assert!(matches!(bench.done.last(), Some(Output::Tables(link, part, 9)) if (*link, *part) == (links[2], from)));
}

#[test]
fn who_asks_for_the_past_over_and_over_keeps_nothing_from_who_watches() {
    let mut bench = Bench::new(10 * RATE);
    bench.part();
    let (watches, asks) = (bench.hello(RATE, Nat::Open).0, bench.hello(RATE, Nat::Open).0);
    let set = vec![all(0xffff, VIDEO), all(1, SOUND)];
    let from = PartId { run: RunId(1), part: 1 };
    bench.input(Input::Frame(watches, Frame::Subscribe { set, from }));
    let past = PartId { run: RunId(0), part: 0 };
    (0..1_000).for_each(|_| bench.input(Input::Frame(asks, Frame::Ask { from: past, count: 64 })));
    bench.part();
    for _ in 0..20 {
        bench.pass(Duration::from_millis(20));
        bench.input(Input::Unsent(watches, 0));
    }
    assert_eq!(bench.chunks(watches), 17);
}

#[test]
fn when_most_leave_their_takers_waiting_nobody_is_given_up_for_it() {
    let mut bench = Bench::new(RATE * 32 / 10);
    let links: Vec<_> = (0..8).map(|_| bench.hello(RATE, Nat::Open).0).collect();
    let ids: Vec<_> = (1..=8).map(PeerId).collect();
    let complain = |bench: &mut Bench| {
        for link in &links {
            let complaints = ids.iter().map(|peer| Complaint { peer: *peer, fault: Fault::Silent }).collect();
            bench.input(Input::Frame(*link, Frame::Report(Report { complaints, ..Report::default() })));
        }
        bench.pass(Duration::from_millis(500));
    };
    (0..20).for_each(|_| complain(&mut bench));
    (0..8).for_each(|_| bench.pass(Duration::from_millis(500)));
    let roster = &bench.cluster.overlay.roster;
    let gives = roster.present().iter().filter(|slot| roster.get(**slot).is_some_and(roster::Peer::may_give)).count();
    assert_eq!(gives, 8, "four seconds after the last word about it all may give again");
}

#[test]
fn who_can_be_linked_after_all_keeps_its_place_gives_and_takes_from_others() {
    let mut bench = Bench::new(50 * RATE);
    let (late, you) = bench.hello(2_000_000, Nat::Blocked);
    let others: Vec<_> = (0..4).map(|_| bench.hello(8_000_000, Nat::Open)).collect();
    let pass = |bench: &mut Bench| {
        for _ in 0..20 {
            others.iter().for_each(|(link, _)| bench.report(*link, 8_000_000));
            bench.input(Input::Frame(late, Frame::Ping { sent_us: 0 }));
            bench.pass(Duration::from_millis(500));
        }
    };
    pass(&mut bench);
    let named = |bench: &Bench| {
        let assigns = bench.sent(late).filter_map(|frame| match frame {
            Frame::Assign(assign) => Some(assign),
            _ => None,
        });
        let peers = assigns.flat_map(|a| {
            let givers = a.take.iter().flat_map(|take| [take.parent, take.backup]);
            givers.chain(a.neighbors.iter().flatten().copied()).collect::<Vec<_>>()
        });
        let mut peers: Vec<_> = peers.filter(|peer| *peer != PeerId::EDGE).map(Some).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    };
    let before = bench.cluster.stats();
    assert_eq!(named(&bench), []);
    bench.input(Input::Frame(late, Frame::Hello(greeting(2_000_000, Nat::Cone, vec![VIDEO, SOUND]))));
    assert!(bench.cluster.stats().peers_bps > before.peers_bps, "it counts with what it declares");
    pass(&mut bench);
    let after = bench.cluster.stats();
    assert_eq!(named(&bench), others.iter().map(|(_, peer)| *peer).collect::<Vec<_>>());
    assert!(after.edge_held_bps < before.edge_held_bps, "the edge need not serve it alone");
    let welcomes = bench.sent(late).filter(|frame| matches!(frame, Frame::Welcome(_))).count();
    assert_eq!((welcomes, after.viewers, bench.cluster.wants_linked(you.unwrap(), others[0].1.unwrap())), (1, 5, true));
}

#[test]
fn givers_lost_together_are_planned_for_together() {
    let mut bench = Bench::new(50 * RATE);
    let viewers: Vec<_> = (0..30).map(|_| bench.hello(4 * RATE, Nat::Open)).collect();
    (0..8).for_each(|_| bench.pass(Duration::from_millis(500)));
    let (lost, left) = viewers.split_at(8);
    let lost_ids: Vec<_> = lost.iter().filter_map(|(_, id)| *id).collect();
    bench.done.clear();
    lost.iter().for_each(|(link, _)| bench.input(Input::Closed(*link)));
    let plans = |bench: &Bench, link| {
        let assigned = bench.sent(link).filter_map(|frame| if let Frame::Assign(it) = frame { Some(it) } else { None });
        assigned.cloned().collect::<Vec<_>>()
    };
    assert!(left.iter().all(|(link, _)| plans(&bench, *link).is_empty()), "others may be lost in the same moment");
    bench.pass(Duration::from_millis(20));
    let told: Vec<_> = left.iter().map(|(link, _)| plans(&bench, *link)).collect();
    assert!(told.iter().all(|plans| plans.len() <= 1) && told.iter().any(|plans| !plans.is_empty()));
    let takes = told.iter().flatten().flat_map(|plan| &plan.take);
    assert!(takes.into_iter().all(|take| !lost_ids.contains(&take.parent) && !lost_ids.contains(&take.backup)));
}

#[test]
fn who_takes_from_the_edge_hears_of_each_part_from_it_and_the_others_now_and_then() {
    let mut bench = Bench::new(50 * RATE);
    let viewers: Vec<_> = (0..40).map(|_| bench.hello(4 * RATE, Nat::Open).0).collect();
    bench.pass(Duration::from_secs(1));
    let slot = |bench: &Bench, link: &LinkId| bench.cluster.overlay.roster.by_link(*link).expect("it is here");
    let takers = bench.cluster.overlay.takers_of_the_edge();
    // Served by the edge until now, and for a while longer, though its parent is another.
    let guest = *viewers.iter().rev().find(|link| !takers.contains(&slot(&bench, link))).expect("not all are takers");
    let from = PartId { run: RunId(1), part: 0 };
    bench.input(Input::Frame(guest, Frame::Subscribe { set: vec![all(1, VIDEO)], from }));
    bench.done.clear();
    bench.part();
    let told = |bench: &Bench, link| bench.sent(link).filter(|frame| matches!(frame, Frame::Table(_))).count();
    assert_eq!(told(&bench, guest), 1);
    bench.input(Input::Frame(guest, Frame::Unsubscribe(vec![all(1, VIDEO)])));
    bench.done.clear();
    (0..64).for_each(|_| bench.part());
    let heard: Vec<_> =
        viewers.iter().map(|link| (takers.contains(&slot(&bench, link)), told(&bench, *link))).collect();
    assert!(heard.iter().all(|(takes, told)| *told == if *takes { 64 } else { 1 }), "{heard:?}");
    assert!(takers.len() > 1 && takers.len() < 40, "{takers:?}");
}
