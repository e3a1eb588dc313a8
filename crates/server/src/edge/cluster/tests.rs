//! Do viewers come in, are they served, and are those cut off who should be? A real listener, real sockets, and the very
//! engine that browsers and native peers run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use trellis_core::limits::KEEP_PARTS;
use trellis_core::peer::{Config, Event, Input, Mesh, Output, Peer, Seek, Support, UploadPolicy};
use trellis_core::time::Instant;
use trellis_core::trust::RealCrypto;
use trellis_core::trust::table::Authority;
use trellis_proto::frame::{Bye, Decoded, Frame, Hello, LINK_VERSION, LayerId, Nat, PartId, PeerId};
use trellis_proto::limits::FRAME_BYTES_MAX;
use trellis_proto::{EndReason, Mode, P2p, RunId, Ticket};

use super::super::Edge;
use super::super::testing::{PART, Publisher, World, ticket};
use crate::clock::unix_ms;
use crate::cluster_api::{LINK, MODELS_MAX};
use crate::config::EdgeConfig;
use crate::http::{Body, Caller, Handle, Limits, Listener, Plain, Reply, Stop};
use crate::shelf::Ask;
use crate::units::Rate;

/// An edge behind a listener, with an origin that publishes.
struct Scene {
    edge: Arc<Edge>,
    address: SocketAddr,
    origin: Publisher,
    stop: watch::Sender<bool>,
    /// Of all tickets: the same text for the same viewer.
    expires_s: u64,
    _world: World,
}

/// The edge's share of what the server routes.
struct Door(Arc<Edge>);

impl Handle for Door {
    type Guard = ();

    fn at_once(&self, _: &Plain<'_>, _: u64, _: &mut Vec<u8>) -> Option<(Bytes, ())> {
        None
    }

    async fn handle(&self, request: Request<Incoming>, caller: Caller) -> Reply {
        let path = request.uri().path().to_owned();
        let mut steps = path.splitn(6, '/').skip(2);
        let (Some(ticket), Some("s"), Some(stream), Some(name)) =
            (steps.next(), steps.next(), steps.next(), steps.next())
        else {
            return Reply::new(Body::empty());
        };
        if name == LINK {
            return self.0.open_link(ticket, stream, request, caller).await;
        }
        let query = request.uri().query();
        let ask = Ask { method: request.method(), name, query, headers: request.headers() };
        self.0.serve_viewer(ticket, stream, ask).await
    }
}

impl Scene {
    /// Until this holds: it is looked at whenever a cluster has looked around.
    async fn looked(&self, holds: impl Fn() -> bool) {
        let until = async {
            loop {
                let looked = self.edge.clusters.looked.notified();
                if holds() {
                    return;
                }
                looked.await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(10), until).await.is_ok(), "not within ten seconds");
    }

    /// Nothing is published yet.
    async fn new() -> Self {
        Self::with(EdgeConfig::default()).await
    }

    async fn with(config: EdgeConfig) -> Self {
        let world = World::start().await;
        let origin = world.origin("a", ORIGIN_SEED);
        world.name("a");
        let (switch, stop) = Stop::new();
        let edge = world.edge(&config, stop.clone());
        let mut beats = world.beats();
        beats.wait_for(|beats| !beats.is_empty()).await.unwrap();
        while !edge.is_ready() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None, Limits::default()).await.unwrap();
        let address = listener.address().unwrap();
        tokio::spawn(listener.serve(Arc::new(Door(edge.clone())), stop));
        Self { edge, address, origin, stop: switch, expires_s: unix_ms() / 1_000 + 60, _world: world }
    }

    /// With a run of so many parts.
    async fn live(parts: usize) -> Self {
        Self::with_parts(EdgeConfig::default(), parts).await
    }

    async fn with_parts(config: EdgeConfig, parts: usize) -> Self {
        let mut scene = Self::with(config).await;
        scene.origin.publish(1);
        (0..parts).for_each(|_| scene.origin.part());
        scene
    }

    /// A ticket's text.
    fn ticket(&self, id: u8, change: impl FnOnce(&mut Ticket)) -> String {
        ticket(&World::ticket_pair(), id, |ticket| {
            ticket.expires_s = self.expires_s;
            change(ticket);
        })
    }

    async fn open(&self, ticket: &str) -> Result<WebSocketStream<TcpStream>, Error> {
        let request = format!("ws://{}/v/{ticket}/s/demo/{LINK}", self.address).into_client_request()?;
        Ok(client_async(request, TcpStream::connect(self.address).await?).await?.0)
    }

    async fn viewer(&self, id: u8) -> Viewer {
        self.viewer_from(id, Duration::ZERO).await
    }

    /// One who begins so far back.
    async fn viewer_from(&self, id: u8, behind: Duration) -> Viewer {
        self.viewer_of(self.ticket(id, |_| ()), behind).await
    }

    /// One with another ticket.
    async fn viewer_with(&self, id: u8, change: impl FnOnce(&mut Ticket)) -> Viewer {
        self.viewer_of(self.ticket(id, change), Duration::ZERO).await
    }

    async fn viewer_of(&self, ticket: String, behind: Duration) -> Viewer {
        let socket = self.open(&ticket).await.unwrap();
        Viewer::new(socket, URL_SAFE_NO_PAD.decode(&ticket).unwrap().into(), behind)
    }

    /// The status of what a player asks for.
    async fn get(&self, id: u8, name: &str) -> StatusCode {
        let ticket = self.ticket(id, |_| ());
        reqwest::get(format!("http://{}/v/{ticket}/s/demo/{name}", self.address)).await.unwrap().status()
    }
}

/// A viewer's engine, and its socket.
struct Viewer {
    socket: WebSocketStream<TcpStream>,
    peer: Peer<RealCrypto>,
    epoch: tokio::time::Instant,
}

impl Viewer {
    fn new(socket: WebSocketStream<TcpStream>, ticket: Bytes, behind: Duration) -> Self {
        let config = Config {
            ticket,
            layers: vec![VIDEO],
            declared_bps: 0,
            upload: UploadPolicy { cap_bps: None, receive_only: false },
            nat: Nat::Unknown,
            behind,
            support: Support::default(),
            keep_parts: KEEP_PARTS,
            mesh: Mesh::default(),
            on_schedule: false,
        };
        let key = Ed25519KeyPair::from_seed_unchecked(&[ORIGIN_SEED; 32]).unwrap();
        let authority = Authority::new(key.public_key().as_ref().try_into().unwrap()).unwrap();
        let mut peer = Peer::new(config, RealCrypto(authority), 1, Instant(0));
        peer.handle(Instant(0), Input::Connected(PeerId::EDGE));
        Self { socket, peer, epoch: tokio::time::Instant::now() }
    }

    fn tell(&mut self, input: Input<Bytes>) {
        self.peer.handle(Instant(self.epoch.elapsed().as_micros() as u64), input);
    }

    /// Goes on until this happens.
    async fn until(&mut self, wanted: impl Fn(&Output<Bytes>) -> bool) -> Output<Bytes> {
        let happens = async {
            loop {
                while let Some(output) = self.peer.poll() {
                    if let Output::Send(PeerId::EDGE, frame) = &output {
                        // It may be gone.
                        let _ = self.socket.send(Message::Binary(frame.encode().into())).await;
                    }
                    if wanted(&output) {
                        return output;
                    }
                }
                let wake = self.peer.wake_at().map_or(Duration::from_secs(1), |at| Duration::from_micros(at.0));
                let input = tokio::select! {
                    message = self.socket.next() => match message {
                        Some(Ok(Message::Binary(bytes))) => match Frame::decode(bytes).unwrap() {
                            Decoded::Frame(frame) => Input::Frame(PeerId::EDGE, frame),
                            Decoded::Unknown(kind) => panic!("an edge sends no kind {kind}"),
                        },
                        Some(Ok(_)) => continue,
                        Some(Err(_)) | None => Input::Lost(PeerId::EDGE),
                    },
                    () = tokio::time::sleep_until(self.epoch + wake) => Input::Wake,
                };
                self.tell(input);
            }
        };
        tokio::time::timeout(Duration::from_secs(10), happens).await.expect("what is awaited happens")
    }

    /// Loses its socket, and opens another one when it is time.
    async fn reopen(&mut self, scene: &Scene, change: impl FnOnce(&mut Ticket)) {
        let ticket = scene.ticket(1, change);
        self.tell(Input::Lost(PeerId::EDGE));
        self.until(|output| matches!(output, Output::Connect(PeerId::EDGE))).await;
        self.socket = scene.open(&ticket).await.unwrap();
        self.tell(Input::Renew(URL_SAFE_NO_PAD.decode(ticket).unwrap().into()));
        self.tell(Input::Connected(PeerId::EDGE));
    }

    /// Goes on until this part is whole and checked.
    async fn part(&mut self, number: u64) {
        let whole = |output: &Output<Bytes>| matches!(output, Output::Part(part) if part.descriptor.part == number);
        let Output::Part(part) = self.until(whole).await else { unreachable!() };
        let bytes: Vec<_> = part.chunks.iter().flat_map(|chunk| chunk.payload().to_vec()).collect();
        assert_eq!(bytes, PART);
    }
}

/// What the other end says last.
async fn bye(socket: &mut WebSocketStream<TcpStream>) -> Option<Bye> {
    let said = async {
        let mut last = None;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message
                && let Ok(Decoded::Frame(Frame::Bye(bye))) = Frame::decode(bytes)
            {
                last = Some(bye);
            }
        }
        last
    };
    tokio::time::timeout(Duration::from_secs(5), said).await.expect("the link ends")
}

fn hello(ticket: &str) -> Message {
    hello_from(ticket, Nat::Unknown)
}

fn hello_from(ticket: &str, nat: Nat) -> Message {
    let hello = Hello {
        version: LINK_VERSION,
        ticket: URL_SAFE_NO_PAD.decode(ticket).unwrap().into(),
        declared_bps: 5_000_000,
        receive_only: false,
        nat,
        layers: vec![VIDEO],
        behind_us: 0,
    };
    Message::Binary(Frame::Hello(hello).encode().into())
}

/// One who is let in and says what it likes.
struct Stranger {
    socket: WebSocketStream<TcpStream>,
    me: PeerId,
}

impl Stranger {
    async fn enter(scene: &Scene, id: u8, nat: Nat) -> Self {
        Self::enter_with(scene, id, nat, |_| ()).await
    }

    async fn enter_with(scene: &Scene, id: u8, nat: Nat, change: impl FnOnce(&mut Ticket)) -> Self {
        let ticket = scene.ticket(id, change);
        let mut socket = scene.open(&ticket).await.unwrap();
        socket.send(hello_from(&ticket, nat)).await.unwrap();
        let mut entered = Self { socket, me: PeerId::EDGE };
        let Frame::Welcome(welcome) = entered.next().await else { panic!("it is let in") };
        Self { me: welcome.you, ..entered }
    }

    async fn next(&mut self) -> Frame {
        let next = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await;
        let Some(Ok(Message::Binary(bytes))) = next.expect("something comes") else { panic!("the link stands") };
        let Ok(Decoded::Frame(frame)) = Frame::decode(bytes) else { panic!("the edge says what is known") };
        frame
    }

    async fn say(&mut self, frame: Frame) {
        self.socket.send(Message::Binary(frame.encode().into())).await.unwrap();
    }

    /// Whom the plan has named as neighbors by now.
    async fn named(&mut self) -> Vec<PeerId> {
        self.say(Frame::Ping { sent_us: 0 }).await;
        let mut named = Vec::new();
        loop {
            match self.next().await {
                Frame::Assign(assign) => named = assign.neighbors.unwrap_or(named),
                Frame::Pong { .. } => return named,
                _ => {}
            }
        }
    }

    /// All signals that came before the edge had heard what was said until now.
    async fn signals(&mut self) -> Vec<PeerId> {
        self.say(Frame::Ping { sent_us: 0 }).await;
        let mut from = Vec::new();
        loop {
            match self.next().await {
                Frame::Signal { peer, .. } => from.push(peer),
                Frame::Pong { .. } => return from,
                _ => {}
            }
        }
    }
}

const VIDEO: LayerId = LayerId { rendition: 0, layer: 0 };
const ORIGIN_SEED: u8 = 1;

#[tokio::test]
async fn a_viewer_is_let_in_gets_what_is_there_and_what_comes_and_leaves() {
    let mut scene = Scene::live(14).await;
    let mut viewer = scene.viewer(1).await;
    let admitted = viewer.until(|output| matches!(output, Output::Event(Event::Admitted(_)))).await;
    let Output::Event(Event::Admitted(me)) = admitted else { unreachable!() };
    assert_eq!(me.0 >> super::PEER_BITS, super::range_of("edge"));
    for part in 12..14 {
        viewer.part(part).await;
    }
    for part in 14..20 {
        scene.origin.part();
        viewer.part(part).await;
    }
    viewer.tell(Input::Leave);
    assert!(matches!(viewer.until(|output| matches!(output, Output::Closed(_))).await, Output::Closed(Bye::Leaving)));
}

#[tokio::test]
async fn who_comes_with_the_streams_first_request_waits_for_its_tables_and_not_in_vain() {
    let mut scene = Scene::new().await;
    let mut viewer = scene.viewer(1).await;
    scene.origin.publish(1);
    scene.origin.part();
    viewer.part(0).await;
}

#[tokio::test]
async fn only_a_good_ticket_opens_a_link() {
    let scene = Scene::live(1).await;
    let status = async |ticket: String| match scene.open(&ticket).await {
        Err(Error::Http(reply)) => reply.status(),
        other => panic!("{other:?}"),
    };
    assert_eq!(status("x".into()).await, StatusCode::FORBIDDEN);
    assert_eq!(status(scene.ticket(1, |t| t.edge = "other".into())).await, StatusCode::FORBIDDEN);
    assert_eq!(status(scene.ticket(1, |t| t.stream = "other".parse().unwrap())).await, StatusCode::FORBIDDEN);
    assert_eq!(status(scene.ticket(1, |t| t.expires_s = 1)).await, StatusCode::FORBIDDEN);
    assert_eq!(status(scene.ticket(1, |t| t.p2p = P2p::Off)).await, StatusCode::FORBIDDEN);
    let plain = reqwest::get(format!("http://{}/v/{}/s/demo/{LINK}", scene.address, scene.ticket(1, |_| ()))).await;
    assert_eq!(plain.unwrap().status(), StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn who_breaks_the_protocol_is_told_and_cut_off() {
    let scene = Scene::live(1).await;
    let (ticket, other) = (scene.ticket(1, |_| ()), scene.ticket(2, |_| ()));
    let ping = || Message::Binary(Frame::<Bytes>::Ping { sent_us: 0 }.encode().into());
    for (first, then, expected) in [
        (hello(&other), None, Some(Bye::Ticket)),
        (ping(), None, Some(Bye::Protocol)),
        (Message::Binary(vec![0xff].into()), None, Some(Bye::Protocol)),
        (Message::text("hello"), None, Some(Bye::Protocol)),
        (hello(&ticket), Some(vec![Message::Binary(vec![0x14, 9, 9].into())]), Some(Bye::Protocol)),
        (hello(&ticket), Some(vec![Message::Binary(vec![0; FRAME_BYTES_MAX + 1].into())]), Some(Bye::Protocol)),
        (hello(&ticket), Some(vec![ping(); 2_000]), Some(Bye::Flood)),
    ] {
        let mut socket = scene.open(&ticket).await.unwrap();
        socket.send(first).await.unwrap();
        for message in then.into_iter().flatten() {
            // It may have been cut off already.
            let _ = socket.feed(message).await;
        }
        let _ = socket.flush().await;
        assert_eq!(bye(&mut socket).await, expected);
    }
    scene.viewer(3).await.part(0).await;
    drop(scene.edge);
}

#[tokio::test]
async fn a_frame_of_a_later_edition_is_skipped() {
    let scene = Scene::live(1).await;
    let mut viewer = scene.viewer(1).await;
    viewer.part(0).await;
    viewer.socket.send(Message::Binary(vec![0x7f, 1, 2].into())).await.unwrap();
    let mut again = scene.viewer(1).await;
    again.part(0).await;
    let replaced = viewer.until(|output| matches!(output, Output::Closed(_) | Output::Connect(_))).await;
    assert!(matches!(replaced, Output::Closed(Bye::Replaced)), "{replaced:?}");
}

#[tokio::test]
async fn viewers_are_sent_elsewhere_when_the_edge_stops() {
    let scene = Scene::live(1).await;
    let mut viewer = scene.viewer(1).await;
    viewer.part(0).await;
    scene.stop.send_replace(true);
    let ended = viewer.until(|output| matches!(output, Output::Closed(_) | Output::Connect(PeerId::EDGE))).await;
    assert!(matches!(ended, Output::Connect(PeerId::EDGE)), "{ended:?}");
}

#[tokio::test]
async fn a_recording_is_asked_for_and_comes_from_its_beginning() {
    let mut scene = Scene::new().await;
    scene.origin.publish_as(1, Mode::Vod);
    (0..150).for_each(|_| scene.origin.part());
    scene.origin.end(EndReason::Ended);
    let mut viewer = scene.viewer_from(1, Duration::from_secs(50)).await;
    for part in 0..6 {
        viewer.part(part).await;
    }
    viewer.tell(Input::Seek(Seek::To(PartId { run: RunId(1), part: 149 })));
    viewer.part(149).await;
}

#[tokio::test]
async fn who_has_a_link_holds_no_place_and_what_clusters_hold_is_no_room_for_others() {
    // Room for one by the serving share of the cluster, and for nobody besides.
    let config = EdgeConfig { upload_budget: Rate(1_500_000), ..EdgeConfig::default() };
    let scene = Scene::with_parts(config, 8).await;
    assert_eq!(scene.get(1, "v0.m3u8").await, StatusCode::OK);
    assert_eq!((scene.edge.sessions.tally().committed_bps, scene.edge.promises.promised_bps()), (1_000_000, 1_000_000));
    scene.edge.sessions.end_all();
    let mut viewer = scene.viewer(1).await;
    viewer.part(7).await;
    let held = scene.edge.promises.promised_bps();
    assert!((500_000..=1_500_000).contains(&held), "{held}");
    assert_eq!(scene.get(1, "v0.m3u8").await, StatusCode::OK, "who has a link needs no place");
    assert_eq!(scene.edge.sessions.tally().committed_bps, 0);
    assert_eq!(scene.get(2, "v0.m3u8").await, StatusCode::SERVICE_UNAVAILABLE, "nobody else fits in");
    let used = scene.edge.sessions.changes(Duration::ZERO, 10);
    assert!(used[0].media_bytes >= PART.len() as u64 && used[0].other_bytes > 0, "{used:?}");
    viewer.tell(Input::Leave);
    viewer.until(|output| matches!(output, Output::Closed(_))).await;
    drop(viewer);
    while scene.get(2, "v0.m3u8").await != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_stream_is_spoken_of_once_another_makes_place_for_it() {
    let scene = Scene::live(1).await;
    let places = scene.edge.clusters.models.clone();
    let others = places.clone().acquire_many_owned(MODELS_MAX as u32).await.unwrap();
    let mut viewer = scene.viewer(1).await;
    viewer.part(0).await;
    drop(others);
    scene.looked(|| places.available_permits() < MODELS_MAX).await;
}

#[tokio::test]
async fn whose_socket_breaks_comes_back_with_a_ticket_that_says_so_and_plays_on() {
    let mut scene = Scene::live(1).await;
    let mut viewer = scene.viewer(1).await;
    viewer.part(0).await;
    viewer.reopen(&scene, |ticket| ticket.rejoins = true).await;
    scene.origin.part();
    viewer.part(1).await;
    assert_eq!(scene.edge.sessions.tally().open, 1);
}

#[tokio::test]
async fn a_cluster_that_breaks_off_takes_nothing_with_it() {
    let mut scene = Scene::live(1).await;
    let mut viewer = scene.viewer(1).await;
    viewer.part(0).await;
    let events = scene.edge.clusters.open().values().next().unwrap().events.clone();
    assert!(events.send(super::Event::Broken).await.is_ok());
    events.closed().await;
    viewer.reopen(&scene, |ticket| ticket.rejoins = true).await;
    scene.origin.part();
    viewer.part(1).await;
    assert!(scene.edge.promises.promised_bps() > 0);
}

#[tokio::test]
async fn a_link_ends_with_its_ticket_unless_a_newer_one_is_shown() {
    let mut scene = Scene::live(1).await;
    let soon = |ticket: &mut Ticket| ticket.expires_s = unix_ms() / 1_000 + 2;
    let renewed = scene.ticket(1, |_| ());
    let (mut one, mut other) = (scene.viewer_with(1, soon).await, scene.viewer_with(2, soon).await);
    for viewer in [&mut one, &mut other] {
        viewer.until(|output| matches!(output, Output::Event(Event::Admitted(_)))).await;
    }
    one.tell(Input::Renew(URL_SAFE_NO_PAD.decode(renewed).unwrap().into()));
    let ended = async { other.until(|output| matches!(output, Output::Closed(_))).await };
    let goes_on = async {
        // What it is sent is looked at meanwhile.
        let _ = tokio::time::timeout(Duration::from_millis(3_500), one.until(|_| false)).await;
        scene.origin.part();
        one.part(1).await;
    };
    assert!(matches!(tokio::join!(ended, goes_on).0, Output::Closed(Bye::Ticket)));
}

#[tokio::test]
async fn signals_reach_those_whom_the_plan_wants_linked_and_nobody_else_nor_without_end() {
    let scene = Scene::live(1).await;
    let mut one = Stranger::enter(&scene, 1, Nat::Unknown).await;
    let mut other = Stranger::enter(&scene, 2, Nat::Unknown).await;
    // It can link to nobody, so no plan names it; it knows the others' numbers all the same.
    let mut spy = Stranger::enter(&scene, 3, Nat::Blocked).await;
    let signal = |peer| Frame::Signal { peer, body: Bytes::from_static(b"where are you?") };
    for to in [one.me, other.me, spy.me] {
        spy.say(signal(to)).await;
        one.say(signal(spy.me)).await;
    }
    assert_eq!((spy.signals().await, one.signals().await, other.signals().await), (vec![], vec![], vec![]));
    one.say(signal(other.me)).await;
    assert_eq!(one.signals().await, []);
    assert_eq!(other.signals().await, [one.me]);
    for _ in 0..400 {
        one.say(signal(other.me)).await;
    }
    one.signals().await;
    let heard = other.signals().await.len();
    assert!((50..150).contains(&heard), "{heard}");
}

#[tokio::test]
async fn who_is_not_to_give_is_not_asked_to_whatever_it_says() {
    let scene = Scene::live(1).await;
    let gives = async |viewers: u32| {
        scene.looked(|| scene.edge.clusters.standing().viewers == viewers).await;
        scene.edge.clusters.standing().peers_bps > 0
    };
    let _one = Stranger::enter_with(&scene, 1, Nat::Open, |ticket| ticket.p2p = P2p::ReceiveOnly).await;
    assert!(!gives(1).await);
    let _other = Stranger::enter(&scene, 2, Nat::Open).await;
    assert!(gives(2).await);
}

#[tokio::test]
async fn viewers_see_each_other_once_there_are_enough_of_them_and_play_on_meanwhile() {
    let mut scene = Scene::live(1).await;
    let three = |ticket: &mut Ticket| ticket.viewers_min = 3;
    let mut viewer = scene.viewer_with(1, three).await;
    let admitted = |output: &Output<Bytes>| matches!(output, Output::Event(Event::Admitted(_)));
    let Output::Event(Event::Admitted(first)) = viewer.until(admitted).await else { unreachable!() };
    viewer.part(0).await;
    let mut two = Stranger::enter_with(&scene, 2, Nat::Unknown, three).await;
    two.say(Frame::Signal { peer: first, body: Bytes::from_static(b"hello?") }).await;
    assert_eq!(two.named().await, []);
    let mut three = Stranger::enter_with(&scene, 3, Nat::Unknown, three).await;
    let named = three.named().await;
    assert!(named.contains(&first), "{named:?} without {first:?}, which keeps its place");
    scene.origin.part();
    viewer.part(1).await;
    assert_eq!(scene.edge.sessions.tally().open, 3);
}

#[tokio::test]
async fn an_engine_may_look_without_a_place_and_gets_no_media_by_it() {
    let config = EdgeConfig { upload_budget: Rate(1_500_000), ..EdgeConfig::default() };
    let mut scene = Scene::with_parts(config, 8).await;
    scene.origin.part();
    let run = RunId(1);
    let committed = || scene.edge.sessions.tally().committed_bps;
    for name in ["index.m3u8?engine", "v0.m3u8?a=b&engine", &format!("{run}/v0/init.mp4?engine")] {
        assert_eq!((scene.get(1, name).await, committed()), (StatusCode::OK, 0), "{name}");
    }
    assert_eq!((scene.get(1, &format!("{run}/v0/p7.m4s?engine")).await, committed()), (StatusCode::OK, 1_000_000));
    // The edge is full now: others may look, and not more.
    for (name, status) in [
        ("v0.m3u8?engine".to_owned(), StatusCode::OK),
        ("v0.m3u8".to_owned(), StatusCode::SERVICE_UNAVAILABLE),
        ("v0.m3u8?engines".to_owned(), StatusCode::SERVICE_UNAVAILABLE),
        (format!("{run}/v0/p7.m4s?engine"), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        assert_eq!(scene.get(2, &name).await, status, "{name}");
    }
}
