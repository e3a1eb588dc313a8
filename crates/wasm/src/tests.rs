//! Viewers' engines around a real cluster: real bytes and signatures, links without delay, a clock of the test's own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use trellis_core::cluster::{self, Cluster, LinkId};
use trellis_core::intake::Intake;
use trellis_core::locality::Locality;
use trellis_core::peer::{Config, Mesh, Support, UploadPolicy};
use trellis_core::time::Instant;
use trellis_core::trust::RealCrypto;
use trellis_core::trust::chunk::{describe, init_hash};
use trellis_core::trust::table::{Authority, sealed};
use trellis_media::playlist::Wait;
use trellis_proto::descriptor::{TrackPart, chunk_range};
use trellis_proto::frame::{
    Assign, Chunk, ChunkId, Decoded, Frame, LINK_VERSION, LayerId, Nat, PartId, PeerId, Welcome,
};
use trellis_proto::signal::{Signal, Step};
use trellis_proto::{
    Catalogue, Descriptor, EndReason, Layer, Media as Kind, Mode, Rendition, RenditionName, RunEnd, RunId, SessionId,
};

use crate::engine::{Action, Engine, Media, Start, layers_of};

const RUN: RunId = RunId(1);
const PART_US: u64 = 333_333;
const PICTURE: RenditionName = RenditionName::Video(0);
const SOUND: RenditionName = RenditionName::Audio(0);

/// One viewer: its engine, and by which number the cluster knows it.
struct Viewer {
    engine: Engine,
    id: Option<PeerId>,
    said: Vec<Action>,
}

/// An edge, its viewers and an origin.
struct Swarm {
    key: SigningKey,
    now: Instant,
    cluster: Cluster<Bytes>,
    viewers: Vec<Viewer>,
    part: u64,
    waiting: VecDeque<(usize, PeerId, Vec<u8>)>,
}

fn catalogue(key: &SigningKey, mode: Mode) -> Catalogue {
    let rendition = |media, bandwidth, substreams| Rendition {
        media,
        codecs: "x".into(),
        language: "".into(),
        bandwidth,
        init_size: 4,
        init_hash: init_hash(b"init"),
        layers: vec![Layer { substreams }],
    };
    Catalogue {
        stream: "demo".parse().unwrap(),
        run: RUN,
        key: key.verifying_key().to_bytes(),
        mode,
        started_ms: 1_000_000,
        first_msn: 7,
        discontinuity: 0,
        part_target_us: 333_334,
        segment_target_s: 2,
        window_s: 60,
        renditions: vec![
            rendition(Kind::Video { width: 640, height: 360, frame_rate_millihertz: 30_000 }, 400_000, 4),
            rendition(Kind::Video { width: 320, height: 180, frame_rate_millihertz: 30_000 }, 200_000, 2),
            rendition(Kind::Audio { sample_rate: 48_000, channels: 2 }, 64_000, 1),
        ],
    }
}

fn bytes_of(rendition: u64, part: u64) -> Bytes {
    (0..[16_000, 8_000, 2_500][rendition as usize]).map(|i: u64| (i * 31 + part * 7 + rendition) as u8).collect()
}

const SUBSTREAMS: [u8; 3] = [4, 2, 1];

fn described(part: u64) -> Descriptor {
    let track = |(rendition, k)| TrackPart {
        duration_us: PART_US as u32,
        layers: vec![describe(&bytes_of(rendition, part), k)],
    };
    Descriptor {
        run: RUN,
        part,
        msn: 7 + part / 6,
        index: (part % 6) as u16,
        independent: part.is_multiple_of(6),
        last_of_segment: part % 6 == 5,
        discontinuity: false,
        start_us: part * PART_US,
        tracks: (0..).zip(SUBSTREAMS).map(track).collect(),
    }
}

fn sign(key: &SigningKey, body: Vec<u8>) -> Bytes {
    let signature = key.sign(&body).to_bytes();
    sealed(body, &signature).into()
}

fn start(key: &SigningKey) -> Start {
    let wanted = vec![PICTURE, SOUND];
    let config = Config {
        ticket: Bytes::from_static(b"ticket"),
        layers: layers_of(&wanted, 2),
        declared_bps: 5_000_000,
        upload: UploadPolicy { cap_bps: None, receive_only: false },
        nat: Nat::Open,
        behind: Duration::from_secs(1),
        support: Support::WhileWatching,
        keep_parts: 90,
        mesh: Mesh::Hybrid,
        on_schedule: true,
    };
    let crypto = RealCrypto(Authority::new(&key.verifying_key().to_bytes()).unwrap());
    Start { config, crypto, stream: "demo".parse().unwrap(), wanted }
}

impl Swarm {
    fn new() -> Self {
        let now = Instant(50_000_000);
        let config = cluster::Config { budget_bps: 20_000_000, ..cluster::Config::default() };
        let key = SigningKey::from_bytes(&[7; 32]);
        let mut swarm = Self {
            cluster: Cluster::new(config, 7, now),
            key,
            now,
            viewers: Vec::new(),
            part: 0,
            waiting: VecDeque::new(),
        };
        let catalogue = catalogue(&swarm.key, Mode::Live);
        let message = sign(&swarm.key, catalogue.encode());
        swarm.tell_cluster(cluster::Input::Catalogue(Arc::new(catalogue), message));
        swarm
    }

    fn join(&mut self) -> usize {
        let number = self.viewers.len();
        let engine = Engine::new(start(&self.key), number as u64, self.now);
        self.viewers.push(Viewer { engine, id: None, said: Vec::new() });
        let session = SessionId([number as u8 + 1; 16]);
        let (link, locality) = (LinkId(number as u64), Locality::default());
        self.tell_cluster(cluster::Input::Opened { link, session, max_rate_bps: 8_000_000, locality, rejoins: false });
        self.viewers[number].engine.connected(self.now, PeerId::EDGE);
        self.settle();
        number
    }

    fn tell_cluster(&mut self, input: cluster::Input<Bytes>) {
        self.cluster.handle(self.now, input);
        while let Some(output) = self.cluster.poll() {
            match output {
                cluster::Output::Send(link, frame) => {
                    self.waiting.push_back((link.0 as usize, PeerId::EDGE, frame.encode()));
                    self.cluster.handle(self.now, cluster::Input::Unsent(link, 0));
                }
                cluster::Output::Close(..) | cluster::Output::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Everything that follows from what was said.
    fn settle(&mut self) {
        loop {
            while let Some((to, from, message)) = self.waiting.pop_front() {
                self.viewers[to].engine.message(self.now, from, message.into());
            }
            let Some((viewer, action)) = self.next_action() else { return };
            self.carry_out(viewer, action);
        }
    }

    /// The newest viewer's first: others may have been told of it already.
    fn next_action(&mut self) -> Option<(usize, Action)> {
        self.viewers.iter_mut().enumerate().rev().find_map(|(at, viewer)| Some((at, viewer.engine.poll()?)))
    }

    fn carry_out(&mut self, viewer: usize, action: Action) {
        match action {
            Action::Send(PeerId::EDGE, message) => {
                let Ok(Decoded::Frame(frame)) = Frame::decode(message.into()) else { panic!("not a frame") };
                if let Frame::Signal { peer, body } = frame {
                    let from = self.viewers[viewer].id.expect("only who was let in signals");
                    let message = Frame::<Bytes>::Signal { peer: from, body }.encode();
                    return self.waiting.push_back((self.number(peer), PeerId::EDGE, message));
                }
                self.tell_cluster(cluster::Input::Frame(LinkId(viewer as u64), frame));
            }
            Action::Send(to, message) => {
                let from = self.viewers[viewer].id.expect("only who was let in has links");
                self.waiting.push_back((self.number(to), from, message));
                self.viewers[viewer].engine.unsent(self.now, to, 0);
            }
            Action::Connect(peer) => {
                let (other, me) = (self.number(peer), self.viewers[viewer].id.expect("let in"));
                self.viewers[viewer].engine.connected(self.now, peer);
                self.viewers[other].engine.connected(self.now, me);
            }
            Action::Admitted(id) => self.viewers[viewer].id = Some(id),
            other => self.viewers[viewer].said.push(other),
        }
    }

    fn number(&self, peer: PeerId) -> usize {
        self.viewers.iter().position(|viewer| viewer.id == Some(peer)).expect("a peer that was let in")
    }

    /// Time passes, in steps as small as a timer's.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 5 {
            self.now = self.now + Duration::from_millis(5);
            self.tell_cluster(cluster::Input::Wake);
            for viewer in &mut self.viewers {
                if viewer.engine.wake_at().is_some_and(|at| at <= self.now) {
                    viewer.engine.wake(self.now);
                }
            }
            self.settle();
        }
    }

    /// The origin makes a part, and a part time passes.
    fn part(&mut self) {
        let part = self.part;
        self.part += 1;
        let all: Vec<Bytes> = (0..3).map(|rendition| bytes_of(rendition, part)).collect();
        let cut = |bytes: &Bytes, k: u8| -> Vec<Bytes> {
            let count = describe(bytes, k).hashes.len();
            (0..count).map(|index| bytes.slice(chunk_range(bytes.len(), count, index))).collect()
        };
        let descriptor = described(part);
        let message = sign(&self.key, descriptor.encode());
        let chunks = all.iter().zip(SUBSTREAMS).map(|(bytes, k)| vec![cut(bytes, k)]).collect();
        self.tell_cluster(cluster::Input::Part(Arc::new(descriptor), message, Arc::new(chunks)));
        self.settle();
        self.pass(330);
    }
}

fn bytes(media: Media) -> Vec<u8> {
    match media {
        Media::Here(chunks) => chunks.concat(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn viewers_list_what_is_whole_and_play_the_origins_very_bytes_most_of_them_from_each_other() {
    let mut swarm = Swarm::new();
    (0..12).for_each(|_| swarm.part());
    let all: Vec<_> = (0..6)
        .map(|_| {
            let viewer = swarm.join();
            swarm.pass(20);
            assert!(swarm.viewers[viewer].engine.lists(), "what was there when it came is there at once");
            viewer
        })
        .collect();
    (0..60).for_each(|_| swarm.part());
    let mut counts = BTreeMap::new();
    for viewer in all {
        let engine = &swarm.viewers[viewer].engine;
        let text = engine.playlist(PICTURE).unwrap();
        assert!(text.contains("/v0/s17.m4s") && text.contains("/v0/p71.m4s"), "{text}");
        assert_eq!([engine.has(18, Some(5)), engine.has(19, Some(0))], [Wait::Ready, Wait::Wait]);
        for (rendition, name) in [(0, PICTURE), (2, SOUND)] {
            assert_eq!(bytes(engine.part(RUN, name, 71)), bytes_of(rendition, 71));
            let segment: Vec<u8> = (60..66).flat_map(|part| bytes_of(rendition, part)).collect();
            assert_eq!(bytes(engine.segment(RUN, name, 17)), segment);
        }
        assert_eq!(engine.part(RUN, RenditionName::Video(1), 71), Media::Elsewhere, "it watches another");
        assert_eq!(engine.part(RUN, PICTURE, 72), Media::Coming, "the next");
        assert_eq!(engine.part(RUN, PICTURE, 80), Media::Elsewhere);
        assert_eq!(engine.check_init(RUN, PICTURE, b"init"), Some(true));
        assert_eq!(engine.check_init(RUN, PICTURE, b"Init"), Some(false));
        assert!(engine.load_time(RUN, 71).unwrap() < Duration::from_millis(300));
        counts.insert(viewer, engine.counts().clone());
    }
    let edge: u64 = counts.values().map(|it| it.intake.edge_bytes).sum();
    let peers: u64 = counts.values().map(|it| it.intake.peer_bytes).sum();
    let given: u64 = counts.values().map(|it| it.uploaded_bytes).sum();
    let wasted: u64 = counts.values().map(|it| it.intake.wasted_bytes).sum();
    assert!(peers > edge, "{edge} bytes from the edge, {peers} from peers");
    assert!(given >= peers && given <= peers + wasted, "what is taken was given: {given}, {peers}, {wasted}");
    let engine = &mut swarm.viewers[0].engine;
    let of_links = |engine: &Engine| {
        let Intake { edge_bytes, peer_bytes, wasted_bytes, .. } = engine.counts().intake;
        (edge_bytes + peer_bytes, wasted_bytes)
    };
    let before = of_links(engine);
    (0..2).for_each(|_| engine.took_elsewhere(RUN, PICTURE, 71));
    let twice = bytes_of(0, 71).len() as u64;
    assert_eq!(of_links(engine), (before.0 - twice, before.1 + twice), "what came over HTTP as well counts there");
}

#[test]
fn another_rendition_is_watched_once_the_edge_grants_it() {
    let mut swarm = Swarm::new();
    (0..12).for_each(|_| swarm.part());
    let viewer = swarm.join();
    (0..12).for_each(|_| swarm.part());
    let low = RenditionName::Video(1);
    let now = swarm.now;
    swarm.viewers[viewer].engine.switch(now, vec![low, SOUND]);
    swarm.settle();
    (0..12).for_each(|_| swarm.part());
    assert!(swarm.viewers[viewer].said.contains(&Action::Switched));
    let engine = &swarm.viewers[viewer].engine;
    assert_eq!(bytes(engine.part(RUN, low, 35)), bytes_of(1, 35));
    assert_eq!(engine.part(RUN, PICTURE, 35), Media::Elsewhere);
    assert!(engine.playlist(PICTURE).unwrap().contains("p35.m4s"), "listed all the same: an edge has it");
}

#[test]
fn the_peer_goes_where_its_player_goes() {
    let mut swarm = Swarm::new();
    (0..11).for_each(|_| swarm.part());
    let viewer = swarm.join();
    (0..30).for_each(|_| swarm.part());
    let lag = |swarm: &Swarm| swarm.viewers[viewer].engine.peer().lag();
    assert!(lag(&swarm) < Duration::from_millis(300), "it begins where all others are: {:?}", lag(&swarm));
    // The player is 1.3 s behind what is new, as it should be; then it goes eight seconds back, and returns.
    let plays = |swarm: &mut Swarm, behind_ms: u64| {
        let (now, newest_ms) = (swarm.now, 1_000_000 + swarm.part * PART_US / 1_000);
        swarm.viewers[viewer].engine.player(now, newest_ms - behind_ms, Duration::ZERO, false);
        swarm.settle();
        let lag = lag(swarm);
        (0..7).for_each(|_| swarm.part());
        lag
    };
    assert!(plays(&mut swarm, 1_300) < Duration::from_millis(300));
    assert!(plays(&mut swarm, 8_000) > Duration::from_secs(5));
    assert!(plays(&mut swarm, 1_300) < Duration::from_millis(700));
}

#[test]
fn who_does_not_speak_the_protocol_is_hung_up_on_and_signals_are_read_here() {
    let mut swarm = Swarm::new();
    let (one, two) = (swarm.join(), swarm.join());
    let (Some(first), Some(second)) = (swarm.viewers[one].id, swarm.viewers[two].id) else { panic!("let in") };
    let signal = Signal { dial: 9, step: Step::Offer(trellis_proto::signal::session::Sdp::new("v=0".into())) };
    swarm.viewers[one].engine.signal(second, &signal);
    swarm.settle();
    assert!(swarm.viewers[two].said.contains(&Action::Signal(first, signal)));
    let now = swarm.now;
    for nonsense in [vec![], vec![0x12, 0], Frame::<Bytes>::Greet { version: 1, from: PeerId(99) }.encode()] {
        swarm.viewers[two].engine.connected(now, first);
        swarm.settle();
        swarm.viewers[two].engine.message(now, first, nonsense.into());
        swarm.settle();
        assert!(swarm.viewers[two].said.contains(&Action::Disconnect(first)));
        swarm.viewers[two].said.clear();
    }
}

#[test]
fn bytes_that_were_not_signed_are_never_media() {
    let mut swarm = Swarm::new();
    let viewer = swarm.join();
    (0..7).for_each(|_| swarm.part());
    let id = ChunkId { part: PartId { run: RUN, part: 7 }, of: LayerId { rendition: 2, layer: 0 }, index: 0 };
    let bad = Frame::Chunk(Chunk { id, hop: 0, payload: Bytes::from_static(b"bad") }).encode();
    let now = swarm.now;
    swarm.viewers[viewer].engine.message(now, PeerId(77), bad.into());
    (0..2).for_each(|_| swarm.part());
    assert!(swarm.viewers[viewer].said.contains(&Action::CutOff(PeerId(77))));
    assert_eq!(bytes(swarm.viewers[viewer].engine.part(RUN, SOUND, 7)), bytes_of(2, 7));
}

/// One viewer of a recording of ten minutes. The edge is the test.
struct Film {
    key: SigningKey,
    now: Instant,
    engine: Engine,
}

const FILM_PARTS: u64 = 1_800;
const LOW: RenditionName = RenditionName::Video(1);

impl Film {
    fn new() -> Self {
        let (key, now) = (SigningKey::from_bytes(&[7; 32]), Instant(50_000_000));
        let mut film = Self { engine: Engine::new(start(&key), 7, now), key, now };
        film.engine.connected(now, PeerId::EDGE);
        film.told(Frame::Welcome(Welcome {
            version: LINK_VERSION,
            you: PeerId(5),
            hold_back_us: 1_000_000,
            now_us: 0,
            credit_bps: 0,
            start_us: 60_000,
        }));
        film.told(Frame::Table(sign(&film.key, catalogue(&film.key, Mode::Vod).encode())));
        let end = RunEnd { run: RUN, parts: FILM_PARTS, reason: EndReason::Ended };
        film.told(Frame::Table(sign(&film.key, end.encode())));
        film
    }

    fn told(&mut self, frame: Frame) {
        self.engine.message(self.now, PeerId::EDGE, frame.encode().into());
    }

    fn describe(&mut self, parts: std::ops::Range<u64>) {
        parts.for_each(|part| self.told(Frame::Table(sign(&self.key, described(part).encode()))));
    }

    fn offer(&mut self, name: RenditionName, rendition: u64, segment: u64) {
        let whole: Vec<u8> = (6 * segment..6 * segment + 6).flat_map(|part| bytes_of(rendition, part)).collect();
        self.engine.offer(self.now, RUN, name, 7 + segment, whole.into());
    }

    /// A second passes, and the player has this from its playhead on; all in parts. Where the peer is then.
    fn plays(&mut self, at: u64, buffer: u64) -> Option<u64> {
        self.now = self.now + Duration::from_secs(1);
        let date_ms = 1_000_000 + at * PART_US / 1_000 + 50;
        self.engine.player(self.now, date_ms, Duration::from_micros(buffer * PART_US), false);
        self.engine.peer().cursor().map(|cursor| cursor.part.part)
    }

    fn said(&mut self) -> Vec<Frame> {
        let said = std::iter::from_fn(|| self.engine.poll()).filter_map(|action| match action {
            Action::Send(PeerId::EDGE, message) => Some(Frame::decode(message.into())),
            _ => None,
        });
        said.map(|frame| if let Ok(Decoded::Frame(frame)) = frame { frame } else { panic!("{frame:?}") }).collect()
    }

    fn asks(&mut self) -> Vec<(u64, u8)> {
        let ask = |frame| if let Frame::Ask { from, count } = frame { Some((from.part, count)) } else { None };
        self.said().into_iter().filter_map(ask).collect()
    }
}

#[test]
fn in_a_recording_the_peer_goes_on_where_the_players_buffer_ends_or_before_it_as_far_as_all_is_here() {
    let mut film = Film::new();
    assert_eq!(film.asks(), [], "nobody knows where it is to begin");
    assert_eq!(film.plays(60, 30), None);
    let asks = film.asks();
    assert!(asks.contains(&(90, 16)) && asks.contains(&(82, 8)), "and what the player has fetched itself: {asks:?}");
    film.describe(90..240);
    assert_eq!(film.plays(60, 30), Some(90));
    assert_eq!(film.plays(63, 33), Some(90), "near enough: it comes by itself");
    film.offer(PICTURE, 0, 22);
    film.offer(SOUND, 2, 22);
    film.offer(PICTURE, 0, 21);
    assert_eq!(
        film.plays(66, 72),
        Some(132),
        "the player fetched much: all of segment 22 is here, of 21 only the picture"
    );
    assert_eq!(film.plays(66, 72), Some(132));
    film.plays(15, 0);
    assert!(film.asks().contains(&(15, 16)));
    film.describe(15..16);
    assert_eq!(film.engine.peer().cursor().map(|cursor| cursor.part.part), Some(15));
}

#[test]
fn what_the_player_fetches_where_it_goes_is_given_to_others_once_it_is_described() {
    let mut film = Film::new();
    film.offer(PICTURE, 0, 14);
    film.plays(84, 6);
    assert_eq!(film.engine.part(RUN, PICTURE, 84), Media::Elsewhere);
    film.describe(90..96);
    film.describe(82..90);
    assert_eq!(bytes(film.engine.segment(RUN, PICTURE, 21)), (84..90).flat_map(|n| bytes_of(0, n)).collect::<Vec<_>>());
    assert_eq!(film.engine.counts().intake.edge_bytes, 0, "it is counted as HTTP's");
    film.engine.offer(film.now, RUN, SOUND, 21, Bytes::from_static(b"something else"));
    assert_eq!(film.engine.part(RUN, SOUND, 84), Media::Elsewhere);
    (0..90).for_each(|segment| film.offer(PICTURE, 0, 100 + segment));
    assert!(film.engine.offers.len() <= 4, "what is never described is forgotten");
}

#[test]
fn another_rung_of_a_recording_is_brought_from_where_the_player_will_ask_for_it() {
    let mut film = Film::new();
    film.plays(60, 30);
    film.describe(90..130);
    film.engine.asks(PartId { run: RUN, part: 95 }, PICTURE);
    film.engine.asks(PartId { run: RUN, part: 107 }, SOUND);
    film.engine.switch(film.now, vec![LOW, SOUND]);
    film.said();
    let layers = Some(layers_of(&[LOW, SOUND], 2));
    film.told(Frame::Assign(Assign { plan: 1, layers, ..Assign::default() }));
    let wanted = |film: &Film, part| -> Vec<u8> {
        film.engine.peer().wanted(PartId { run: RUN, part }).map(|of| of.rendition).collect()
    };
    assert_eq!([95, 96, 129].map(|part| wanted(&film, part)), [vec![0, 2], vec![2, 1], vec![2, 1]]);
    film.describe(130..132);
    assert_eq!(wanted(&film, 131), [1, 2]);
    assert!(std::iter::from_fn(|| film.engine.poll()).any(|action| action == Action::Switched));
}
