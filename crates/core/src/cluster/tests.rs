//! A cluster as its host sees it: inputs in, outputs out, and the invariants after every step.

extern crate std;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::descriptor::{LayerPart, TrackPart};
use trellis_proto::frame::*;
use trellis_proto::{Catalogue, Descriptor, Layer, Media, Mode, Rendition, RunId, SessionId};

use super::*;
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
    let rendition = |media, bandwidth, substreams| Rendition {
        media,
        codecs: "x".into(),
        language: "".into(),
        bandwidth,
        init_size: 600,
        init_hash: [1; 32],
        layers: vec![Layer { substreams }],
    };
    Catalogue {
        stream: "demo".parse().unwrap(),
        run: RunId(1),
        key: [0; 32],
        mode: Mode::Live,
        started_ms: 0,
        first_msn: 0,
        discontinuity: 0,
        part_target_us: 333_334,
        segment_target_s: 2,
        window_s: 120,
        renditions: vec![
            rendition(Media::Video { width: 1280, height: 720, frame_rate_millihertz: 30_000 }, 2_500_000, 16),
            rendition(Media::Audio { sample_rate: 48_000, channels: 2 }, 96_000, 1),
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
    done: Vec<Output<Sized>>,
}

impl Bench {
    fn new(budget_bps: u64) -> Self {
        let now = Instant(1_000_000_000);
        let cluster = Cluster::new(Config { budget_bps, ..Config::default() }, 7, now);
        let mut bench = Self { cluster, now, links: 0, part: 0, inputs: 0, check_every: 1, done: Vec::new() };
        bench.input(Input::Catalogue(Arc::new(catalogue()), Bytes::from_static(b"catalogue")));
        bench
    }

    fn input(&mut self, input: Input<Sized>) {
        self.cluster.handle(self.now, input);
        while let Some(output) = self.cluster.poll() {
            self.done.push(output);
        }
        self.inputs += 1;
        if self.inputs % self.check_every == 0 {
            self.cluster.check().unwrap();
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.input(Input::Wake);
    }

    fn hello(&mut self, declared_bps: u64, nat: Nat) -> (LinkId, Option<PeerId>) {
        self.links += 1;
        let link = LinkId(self.links);
        let mut session = [0; 16];
        session[..8].copy_from_slice(&self.links.to_be_bytes());
        let session = SessionId(session);
        self.input(Input::Opened { link, session, max_rate_bps: 8_000_000, locality: Locality::default() });
        let hello = Hello {
            version: LINK_VERSION,
            ticket: Bytes::new(),
            declared_bps,
            receive_only: declared_bps == 0,
            nat,
            layers: vec![VIDEO, SOUND],
            behind_us: 0,
        };
        self.input(Input::Frame(link, Frame::Hello(hello)));
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
            independent: self.part % 6 == 0,
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
    bench.check_every = 17;
    let mut seeded = Seeded::new(3);
    let mut links = Vec::new();
    let mut alphas = alloc::collections::BTreeMap::new();
    for step in 0..4_000 {
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
    for lane in [0, 7, 16] {
        std::println!("{:?}", bench.cluster.overlay.trees[lane].profile());
    }
    assert!(stats.viewers > 250 && stats.depth <= 12 && stats.orphans < stats.viewers / 5, "{stats:?}");
    for link in links {
        bench.input(Input::Closed(link));
    }
    let empty = bench.cluster.stats();
    assert_eq!((empty.viewers, empty.peers_bps, empty.edge_held_bps, empty.credit_bps), (0, 0, 0, 0));
}
