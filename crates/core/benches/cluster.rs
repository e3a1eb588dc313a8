//! What does a cluster of ten thousand viewers cost its edge: per report, per relayed signal, per join and leave, and in
//! memory per idle viewer?

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use trellis_core::cluster::{Cluster, Config, Input, LinkId, Output};
use trellis_core::locality::Locality;
use trellis_core::time::Instant;
use trellis_proto::frame::*;
use trellis_proto::{Catalogue, Layer, Media, Mode, Rendition, RunId, SessionId};

const VIEWERS: u64 = 10_000;
const RATE: u64 = 2_596_000;

/// What this process has in memory, as the system counts it.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

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

struct Edge {
    cluster: Cluster<Bytes>,
    now: Instant,
    links: u64,
    outputs: u64,
}

impl Edge {
    fn full() -> Self {
        let now = Instant(1_000_000);
        let config = Config { budget_bps: VIEWERS / 2 * RATE, ..Config::default() };
        let mut edge = Self { cluster: Cluster::new(config, 1, now), now, links: 0, outputs: 0 };
        edge.input(Input::Catalogue(Arc::new(catalogue()), Bytes::from_static(b"catalogue")));
        (0..VIEWERS).for_each(|_| {
            edge.join();
        });
        assert_eq!(u64::from(edge.cluster.stats().viewers), VIEWERS);
        edge
    }

    fn input(&mut self, input: Input<Bytes>) {
        self.cluster.handle(self.now, input);
        while let Some(output) = self.cluster.poll() {
            self.outputs += u64::from(matches!(output, Output::Send(..)));
        }
    }

    fn join(&mut self) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        let session = SessionId(core::array::from_fn(|i| (self.links >> (8 * (i % 8))) as u8));
        let locality =
            Locality { isp: (self.links % 20) as u32 + 1, region: (self.links % 5) as u32 + 1, ..Locality::default() };
        self.input(Input::Opened { link, session, max_rate_bps: 8_000_000, locality, rejoins: false });
        let hello = Hello {
            version: LINK_VERSION,
            ticket: Bytes::new(),
            declared_bps: RATE,
            receive_only: false,
            nat: Nat::Cone,
            layers: vec![LayerId { rendition: 0, layer: 0 }, LayerId { rendition: 1, layer: 0 }],
            behind_us: 0,
        };
        self.input(Input::Frame(link, Frame::Hello(hello)));
        link
    }
}

fn reports(c: &mut Criterion) {
    let before = resident_bytes();
    let mut edge = Edge::full();
    let each = (resident_bytes() - before) / VIEWERS;
    println!("{each} bytes of state per idle viewer; {} frames per join", edge.outputs / VIEWERS);
    assert!(each <= 2_500, "a viewer's state has grown beyond 2.5 kB");
    let mut turn = 0;
    c.bench_function("report, 17 receipts", |b| {
        b.iter(|| {
            turn = turn % VIEWERS + 1;
            let receipt = |i: u64| Receipt {
                from: PeerId(((turn + i * 97) % VIEWERS + 1) as u32),
                bytes: 40_000,
                late: 0,
                busy_us: 90_000,
            };
            let report = Report {
                alpha_bps: RATE,
                delay_us: 300_000,
                receipts: (0..17).map(receipt).collect(),
                ..Report::default()
            };
            edge.input(Input::Frame(LinkId(turn), Frame::Report(report)));
        });
    });
    let body = Bytes::from(vec![7; 900]);
    c.bench_function("relayed signal", |b| {
        b.iter(|| {
            turn = turn % VIEWERS + 1;
            let peer = PeerId(((turn * 31) % VIEWERS + 1) as u32);
            edge.input(Input::Frame(LinkId(turn), Frame::Signal { peer, body: body.clone() }));
        });
    });
    c.bench_function("a viewer joins and leaves", |b| {
        b.iter(|| {
            let link = edge.join();
            edge.input(Input::Closed(link));
        });
    });
    let mut present: VecDeque<_> = (1..=VIEWERS).map(LinkId).collect();
    c.bench_function("an old viewer crashes, a new one joins", |b| {
        b.iter(|| {
            let oldest = present.pop_front().expect("one joins for each that goes");
            edge.input(Input::Closed(oldest));
            present.push_back(edge.join());
        });
    });
    assert_eq!(u64::from(edge.cluster.stats().viewers), VIEWERS);
    c.bench_function("half a second passes", |b| {
        b.iter_custom(|rounds| {
            let round = |_| {
                present.iter().for_each(|link| edge.input(Input::Frame(*link, Frame::Ping { sent_us: 0 })));
                edge.now = edge.now + Duration::from_millis(500);
                let begun = std::time::Instant::now();
                edge.input(Input::Wake);
                begun.elapsed()
            };
            (0..rounds).map(round).sum()
        });
    });
    assert_eq!(u64::from(edge.cluster.stats().viewers), VIEWERS);
    println!("{:?}", edge.cluster.stats());
}

criterion_group! {
    name = cluster;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = reports
}
criterion_main!(cluster);
