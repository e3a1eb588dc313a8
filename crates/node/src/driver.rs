//! The host of the brain: one task that owns a `Peer`, carries frames between it and its links, and wakes it in time.
//!
//! It decides nothing of the protocol. Invariant: after every input all outputs are taken, and whatever the network says
//! becomes an input or is dropped; nothing here grows with what others send.

mod reading;

use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use trellis_core::intake::Intake;
use trellis_core::limits::{KEEP_PARTS, KEEP_PARTS_RECORDED};
use trellis_core::peer::{self, Input, Mesh, Output, Peer, Support, UploadPolicy};
use trellis_core::time::Instant as CoreInstant;
use trellis_core::trust::{Noting, RealCrypto};
use trellis_proto::frame::{Bye, ChunkId, Decoded, Frame, Hello, Nat, PeerId};
use trellis_proto::signal::Signal;
use trellis_server::http::Stop;

use crate::choice::Choice;
use crate::edge_link::EdgeLink;
use crate::entry::{Door, Entered, First};
use crate::fetch;
use crate::join::{Past, Place, Refused};
use crate::links::{Event, Links};
use crate::player::{Listed, Player};
use crate::reader::{Asked, Reader};
use crate::stats::{State, Stats};

/// What decides; it notes what it has come to believe.
pub type Brain = Peer<Noting<RealCrypto>>;

/// What a driver is made of.
pub struct Driver {
    pub door: Door,
    pub policy: UploadPolicy,
    /// Nobody watches here.
    pub supporter: bool,
    pub player: Player,
    pub media: std::sync::Arc<fetch::Edge>,
    /// What the local player asks for.
    pub asked: mpsc::Receiver<Asked>,
    pub stats: watch::Sender<Stats>,
    pub stop: Stop,
    /// When the viewer came.
    pub began: Instant,
    /// Wrong bytes are given.
    #[cfg(test)]
    pub spoils: bool,
}

/// A driver at work.
struct Running {
    driver: Driver,
    began: Instant,
    place: Option<Place>,
    peer: Option<Brain>,
    edge: Option<EdgeLink>,
    links: Option<Links>,
    choice: Choice,
    /// Of a recording.
    reader: Reader,
    paused: bool,
    entering: Option<Entering>,
    /// When to ask for a place again.
    again: Option<Instant>,
    /// Edges that refused or were lost.
    past: Past,
    nat: Nat,
    /// What the edge was greeted with.
    greeting: Option<Hello>,
    /// When to ask again how we can be reached, and how long to wait after that: no answer came.
    unseen: Option<(Instant, Duration)>,
    count: Stats,
    /// What links brought.
    intake: Intake,
    rescued: std::collections::VecDeque<trellis_proto::frame::ChunkId>,
    shown: Instant,
    ended: Option<Result<(), String>>,
}

type Entering = Pin<Box<dyn Future<Output = Result<Entered, Refused>> + Send>>;

impl Driver {
    /// Runs until it is told to stop. Err: it cannot go on, and why.
    pub async fn run(self, first: Result<Entered, Refused>) -> Result<(), String> {
        let now = Instant::now();
        let mut running = self.begin(now);
        running.entered(now, first);
        running.work().await
    }

    fn begin(self, now: Instant) -> Running {
        Running {
            began: self.began,
            driver: self,
            place: None,
            peer: None,
            edge: None,
            links: None,
            choice: Choice::default(),
            reader: Reader::default(),
            paused: false,
            entering: None,
            again: None,
            past: Past::default(),
            nat: Nat::Unknown,
            greeting: None,
            unseen: None,
            count: Stats::default(),
            intake: Intake::default(),
            rescued: std::collections::VecDeque::new(),
            shown: now,
            ended: None,
        }
    }
}

impl Running {
    async fn work(&mut self) -> Result<(), String> {
        let stop = self.driver.stop.clone();
        let mut leaving_until = None;
        loop {
            let now = Instant::now();
            self.turn(now);
            if let Some(ended) = self.ended.take() {
                self.show(now);
                return ended;
            }
            if leaving_until.is_some_and(|until| now >= until) {
                return Ok(());
            }
            let wake = self.wake_at(now).min(leaving_until.unwrap_or(now + SHOW_EVERY));
            tokio::select! {
                () = stop.wait(), if leaving_until.is_none() => {
                    leaving_until = Some(Instant::now() + LEAVE_TIME);
                    self.leave();
                }
                frame = next_frame(&mut self.edge) => self.on_edge(Instant::now(), frame),
                () = readable(&self.links) => {
                    if let Some(links) = &mut self.links {
                        links.receive(Instant::now());
                    }
                }
                result = poll_entering(&mut self.entering) => {
                    self.entering = None;
                    self.entered(Instant::now(), result);
                }
                Some(asked) = self.driver.asked.recv() => self.on_asked(Instant::now(), asked),
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }

    fn wake_at(&self, now: Instant) -> Instant {
        let peer = self.peer.as_ref().and_then(Peer::wake_at);
        // The brain may name a moment that has just passed.
        let peer = peer.map(|at| (self.began + Duration::from_micros(at.0)).max(now + WAKE_GAP));
        let links = self.links.as_ref().and_then(Links::wake_at);
        let unseen = self.unseen.map(|(at, _)| at);
        let reads = self.reader.waits().then(|| now + READER_TICK);
        let all = [peer, links, self.again, unseen, reads, Some(self.shown + SHOW_EVERY)];
        all.into_iter().flatten().min().unwrap_or(now + SHOW_EVERY)
    }

    /// Everything that can be done now.
    fn turn(&mut self, now: Instant) {
        if let Some(links) = self.links.as_mut().filter(|links| links.wake_at().is_some_and(|at| at <= now)) {
            links.on_time(now);
        }
        let due = self.peer.as_ref().and_then(Peer::wake_at).is_some_and(|at| at <= self.core(now));
        if due {
            self.tell(now, Input::Wake);
        }
        self.hear_links(now);
        if self.again.is_some_and(|at| now >= at) && self.entering.is_none() {
            self.again = None;
            self.enter();
        }
        if self.unseen.is_some_and(|(at, _)| now >= at) {
            self.ask_to_be_seen(now);
        }
        self.list(now);
        self.keep_with_the_reader(now);
        if now >= self.shown + SHOW_EVERY {
            self.show(now);
        }
    }

    fn core(&self, now: Instant) -> CoreInstant {
        CoreInstant(now.saturating_duration_since(self.began).as_micros() as u64)
    }

    /// Hands something to the brain and does what it wants.
    fn tell(&mut self, now: Instant, input: Input<Bytes>) {
        let at = self.core(now);
        let Some(peer) = &mut self.peer else { return };
        peer.handle(at, input);
        let noted = peer.verifier().take();
        noted.chunks.into_iter().for_each(|(id, bytes)| self.accept(id, bytes));
        while let Some(output) = self.peer.as_mut().and_then(Peer::poll) {
            self.on_output(now, output);
        }
    }

    /// The brain has believed a chunk.
    fn accept(&mut self, id: ChunkId, bytes: usize) {
        let from_edge = self.intake.on_accepted(id, bytes) == Some(PeerId::EDGE);
        if let Some(at) = self.rescued.iter().position(|rescued| *rescued == id).filter(|_| from_edge) {
            self.rescued.remove(at);
            self.count.rescued_bytes += bytes as u64;
        }
    }

    fn on_output(&mut self, now: Instant, output: Output<Bytes>) {
        match output {
            Output::Send(PeerId::EDGE, Frame::Ask { from, count }) if self.reads_tables() => {
                self.tell_tables(now, from, count.into());
            }
            Output::Send(PeerId::EDGE, frame) => self.send_edge(&frame),
            Output::Send(to, frame) => self.send_peer(now, to, &frame),
            Output::Connect(PeerId::EDGE) => {
                self.edge = None;
                self.enter();
            }
            Output::Connect(peer) => {
                if let Some(links) = &mut self.links {
                    links.dial(now, peer);
                }
            }
            Output::Disconnect(peer) => {
                if let Some(links) = &mut self.links {
                    links.hang_up(peer);
                }
            }
            Output::Part(part) => {
                self.note_startup(now);
                if !self.driver.supporter && !self.answers(&part) {
                    self.driver.player.on_part(part);
                }
            }
            Output::Event(event) => self.on_event(event),
            Output::Closed(why) => self.on_closed(now, why),
        }
    }

    /// Silence may have been the moment's, or the network's that was: it is asked again, seldom and seldomer.
    fn ask_to_be_seen(&mut self, now: Instant) {
        let Some((at, wait)) = self.unseen.as_mut() else { return };
        (*at, *wait) = (now + *wait, (*wait * 2).min(UNSEEN_WAIT_MAX));
        if let (Some(links), Some(server)) = (&mut self.links, self.place.as_ref().and_then(|place| place.stun)) {
            links.ask(now, server);
        }
    }

    /// Others can reach us after all: the edge is greeted again.
    fn on_seen(&mut self, nat: Nat) {
        let was_blocked = self.nat == Nat::Blocked;
        (self.nat, self.unseen) = (nat, None);
        if let Some(hello) = self.greeting.clone().filter(|_| was_blocked && self.edge.is_some()) {
            tracing::info!("UDP goes through now: other peers can be linked");
            self.send_edge(&Frame::Hello(hello));
        }
    }

    fn send_edge(&mut self, frame: &Frame) {
        if let Frame::Hello(hello) = frame {
            // How we can be reached may be known better than when the brain was made.
            if hello.nat != self.nat {
                return self.send_edge(&Frame::Hello(Hello { nat: self.nat, ..hello.clone() }));
            }
            self.greeting = Some(hello.clone());
        }
        if let Frame::Report(report) = frame {
            self.count.alpha_bps = report.alpha_bps;
        }
        let message = frame.encode();
        self.count.control_bytes += message.len() as u64;
        if self.edge.as_ref().is_some_and(|edge| !edge.send(message.into())) {
            // Its reader finds out and says so.
            tracing::debug!("the edge takes nothing");
        }
    }

    fn send_peer(&mut self, now: Instant, to: PeerId, frame: &Frame) {
        let Some(links) = &mut self.links else { return };
        let message = frame.encode();
        #[cfg(test)]
        let message = if self.driver.spoils { spoiled(frame, message) } else { message };
        let message = Bytes::from(message);
        let payload = match frame {
            Frame::Chunk(chunk) => Some(chunk.payload.len()),
            _ => None,
        };
        self.count.uploaded_bytes += payload.unwrap_or(0) as u64;
        self.count.control_bytes += (message.len() - payload.unwrap_or(0)) as u64;
        links.send(now, to, message, payload);
    }

    fn hear_links(&mut self, now: Instant) {
        while let Some(event) = self.links.as_mut().and_then(Links::poll) {
            match event {
                Event::Signal(peer, signal) => self.send_edge(&Frame::Signal { peer, body: signal.encode().into() }),
                Event::Up(peer) => self.tell(now, Input::Connected(peer)),
                Event::Down(peer) => self.tell(now, Input::Lost(peer)),
                Event::Unsent(peer, bytes) => self.tell(now, Input::Unsent(peer, bytes)),
                Event::Message(peer, message) => self.on_message(now, peer, message),
                Event::Seen(nat) => self.on_seen(nat),
            }
        }
    }

    /// What of a frame is media, bytes.
    fn take_in(&mut self, from: PeerId, frame: &Frame) -> u64 {
        let Frame::Chunk(chunk) = frame else { return 0 };
        self.intake.on_chunk(from, chunk.id, chunk.payload.len());
        chunk.payload.len() as u64
    }

    /// From another peer.
    fn on_message(&mut self, now: Instant, from: PeerId, message: Bytes) {
        let length = message.len() as u64;
        match Frame::decode(message) {
            Ok(Decoded::Frame(frame)) => {
                self.count.control_bytes += length - self.take_in(from, &frame);
                self.tell(now, Input::Frame(from, frame));
            }
            Ok(Decoded::Unknown(_)) => self.count.control_bytes += length,
            Err(error) => {
                tracing::debug!(peer = from.0, %error, "a peer sends what is no frame");
                self.count.cut_off += 1;
                if let Some(links) = &mut self.links {
                    links.hang_up(from);
                }
                self.tell(now, Input::Lost(from));
            }
        }
    }

    /// A frame from the edge, and what came with it; None: the link is gone.
    fn on_edge(&mut self, now: Instant, first: Option<Bytes>) {
        let mut next = first;
        let Some(_) = next else { return self.on_edge_lost(now) };
        for _ in 0..FRAMES_AT_ONCE {
            let Some(message) = next else { return };
            self.on_edge_frame(now, message);
            next = self.edge.as_mut().and_then(EdgeLink::try_next);
        }
        if let Some(message) = next {
            self.on_edge_frame(now, message);
        }
    }

    fn on_edge_frame(&mut self, now: Instant, message: Bytes) {
        let length = message.len() as u64;
        let frame = match Frame::decode(message) {
            Ok(Decoded::Frame(frame)) => frame,
            Ok(Decoded::Unknown(_)) => return,
            Err(error) => return tracing::warn!(%error, "the edge sends what is no frame"),
        };
        self.count.control_bytes += length - self.take_in(PeerId::EDGE, &frame);
        match &frame {
            Frame::Signal { peer, body } => {
                if let (Some(links), Ok(signal)) = (&mut self.links, Signal::decode(body)) {
                    links.on_signal(now, *peer, signal);
                }
                return;
            }
            Frame::Table(table) => {
                let ours = self.driver.player.on_table(table);
                if ours {
                    return;
                }
                self.check_choice(now);
            }
            Frame::Welcome(_) => {
                (self.count.state, self.count.why) = (State::Watching, String::new());
                self.past = Past::default();
            }
            _ => {}
        }
        self.tell(now, Input::Frame(PeerId::EDGE, frame));
    }

    /// The catalogue says whether what was asked for in the greeting is there.
    fn check_choice(&mut self, now: Instant) {
        let most = self.place.as_ref().map_or(0, |place| place.max_rate_bps);
        let (player, choice) = (&self.driver.player, &mut self.choice);
        if let Some(layers) = player.newest_catalogue(|catalogue| choice.on_catalogue(catalogue, most)).flatten() {
            self.tell(now, Input::Switch(layers));
        }
    }

    fn on_edge_lost(&mut self, now: Instant) {
        self.edge = None;
        if let Some(place) = &self.place {
            self.past.lose(place);
        }
        match self.count.state {
            State::Watching | State::Rejoining => {
                (self.count.state, self.count.why) = (State::Rejoining, "the edge is gone".into());
                self.tell(now, Input::Lost(PeerId::EDGE));
            }
            // Not let in yet: as if it had been refused.
            State::Joining => self.start_over(now + AGAIN),
            State::Leaving | State::Ended => self.tell(now, Input::Lost(PeerId::EDGE)),
        }
    }

    /// Asks for a place, unless it is being asked for already.
    fn enter(&mut self) {
        if self.entering.is_some() || self.edge.is_some() || self.again.is_some() {
            return;
        }
        let (door, past) = (self.driver.door.clone(), self.past.clone());
        self.entering = Some(match self.links {
            None => Box::pin(door.enter(past)),
            Some(_) => Box::pin(door.enter_again(past)),
        });
    }

    fn entered(&mut self, now: Instant, result: Result<Entered, Refused>) {
        if matches!(self.count.state, State::Leaving | State::Ended) {
            return;
        }
        match result {
            Ok(entered) => self.on_entered(now, entered),
            Err(Refused::Never(why)) if self.peer.is_none() => self.ended = Some(Err(why)),
            // It plays from the mesh, and the brain asks again.
            Err(refused) if self.peer.is_some() => {
                self.count.why = refused.to_string();
                self.past = Past::default();
            }
            Err(refused) => {
                let after = match &refused {
                    Refused::Later(_, after) => *after,
                    Refused::Never(_) => AGAIN,
                };
                self.count.why = refused.to_string();
                tracing::info!("{}; asking again in {} s", self.count.why, after.as_secs().max(1));
                self.past = Past::default();
                self.again = Some(now + after.max(AGAIN));
            }
        }
    }

    fn on_entered(&mut self, now: Instant, entered: Entered) {
        let Entered { place, link, first } = entered;
        if let Some(First { sockets, reflexive, nat, choice }) = first {
            let mut links = Links::new(sockets, self.driver.policy.cap_bps, now);
            reflexive.into_iter().for_each(|seen| links.on_reflexive(seen));
            (self.links, self.nat, self.choice) = (Some(links), nat, choice);
            self.unseen = (nat == Nat::Blocked).then_some((now + UNSEEN_WAIT, UNSEEN_WAIT));
        } else if self.unseen.is_some() {
            // Another edge, perhaps on another way.
            self.unseen = Some((now, UNSEEN_WAIT));
        }
        self.driver.media.set(place.media.clone());
        self.driver.player.trust(place.authority.clone());
        self.count.edge = place.link.authority().to_owned();
        (self.edge, self.greeting) = (Some(link), None);
        if self.peer.is_some() {
            self.tell(now, Input::Renew(place.ticket.clone()));
            self.tell(now, Input::Upload(self.policy(&place)));
        } else {
            self.peer = Some(self.new_peer(now, &place));
            self.paused = false;
        }
        self.place = Some(place);
        self.tell(now, Input::Connected(PeerId::EDGE));
    }

    /// The viewer's word, and the operator's.
    fn policy(&self, place: &Place) -> UploadPolicy {
        let policy = self.driver.policy;
        UploadPolicy { receive_only: policy.receive_only || !place.may_give, ..policy }
    }

    fn new_peer(&self, now: Instant, place: &Place) -> Brain {
        let layers = self.driver.player.newest_catalogue(|catalogue| self.choice.layers(catalogue));
        let config = peer::Config {
            ticket: place.ticket.clone(),
            layers: layers.unwrap_or_else(|| self.choice.layers(None)),
            declared_bps: self.count.alpha_bps,
            upload: self.policy(place),
            nat: self.nat,
            behind: Duration::ZERO,
            support: Support::WhileWatching,
            keep_parts: if place.recorded { KEEP_PARTS_RECORDED } else { KEEP_PARTS },
            mesh: Mesh::Hybrid,
            on_schedule: false,
        };
        let mut seed = [0; 8];
        // Without randomness it is only less spread.
        let _ = getrandom::fill(&mut seed);
        Peer::new(config, Noting::new(RealCrypto(place.authority.clone())), u64::from_le_bytes(seed), self.core(now))
    }

    fn on_event(&mut self, event: peer::Event) {
        use peer::Event as E;
        match event {
            E::Admitted(me) => tracing::debug!(me = me.0, "admitted"),
            E::Due(part, whole) => {
                self.count.missed += u64::from(!whole);
                self.driver.player.on_due(part);
            }
            E::Rescue(chunk, instead_of) => {
                tracing::debug!(?chunk, instead_of = instead_of.0, "rescued");
                self.count.rescues += 1;
                self.rescued.push_back(chunk);
                if self.rescued.len() > RESCUED_MAX {
                    self.rescued.pop_front();
                }
            }
            E::Duplicate(..) => self.count.duplicates += 1,
            E::CutOff(peer) => {
                tracing::warn!(peer = peer.0, "a peer sent wrong bytes and was cut off");
                self.count.cut_off += 1;
            }
            E::Pull(..) | E::Switched { .. } | E::Completed => {}
        }
    }

    fn on_closed(&mut self, now: Instant, why: Bye) {
        let leaving = self.count.state == State::Leaving;
        match why {
            Bye::Leaving if leaving => self.finish(Ok(())),
            Bye::Ended => {
                self.count.state = State::Ended;
                self.drop_mesh();
            }
            Bye::Replaced => self.finish(Err("another process took this session's place".into())),
            Bye::NoRoom(_) => {
                self.count.why = "the edge has no room".into();
                if let Some(place) = &self.place {
                    self.past.refuse(place);
                }
                self.start_over(now);
            }
            why => {
                self.count.why = format!("the edge ended the session: {why:?}");
                if let Some(place) = self.place.as_ref().filter(|_| why != Bye::Ticket) {
                    self.past.lose(place);
                }
                self.start_over(now + AGAIN);
            }
        }
    }

    /// With a new session. What is on the shelf stays.
    fn start_over(&mut self, at: Instant) {
        if matches!(self.count.state, State::Leaving | State::Ended) {
            return;
        }
        self.drop_mesh();
        self.count.state = State::Joining;
        self.again = Some(at);
    }

    fn drop_mesh(&mut self) {
        (self.peer, self.edge) = (None, None);
        if let Some(links) = &mut self.links {
            links.hang_up_all();
            while links.poll().is_some() {}
        }
        self.count.peers = 0;
    }

    fn leave(&mut self) {
        self.count.state = State::Leaving;
        self.again = None;
        self.entering = None;
        match self.peer {
            Some(_) => self.tell(Instant::now(), Input::Leave),
            None => self.finish(Ok(())),
        }
    }

    fn finish(&mut self, ended: Result<(), String>) {
        self.drop_mesh();
        self.ended = Some(ended);
    }

    /// Something can be played.
    fn note_startup(&mut self, now: Instant) {
        if self.count.startup_ms == 0 {
            self.count.startup_ms = now.saturating_duration_since(self.began).as_millis().max(1) as u64;
        }
    }

    fn list(&mut self, now: Instant) {
        if self.driver.supporter {
            return;
        }
        if let Listed::UpTo(descriptor, started_ms) = self.driver.player.list(now, self.peer.as_ref()) {
            let ends_ms =
                started_ms + descriptor.tracks.iter().map(|t| u64::from(t.duration_us)).max().unwrap_or(0) / 1_000;
            let ahead = self.place.as_ref().map_or(0, |place| place.clock_ahead_ms);
            let now_ms =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64) + ahead;
            self.count.latency_ms = u64::try_from(now_ms).unwrap_or(0).saturating_sub(ends_ms);
        }
        while let Some((from, count)) = self.driver.player.poll_ask() {
            self.send_edge(&Frame::Ask { from, count });
        }
    }

    fn show(&mut self, now: Instant) {
        self.shown = now;
        if self.driver.player.recording().is_some() {
            self.driver.player.trim();
        }
        self.count.http_bytes = self.driver.media.bytes();
        (self.count.edge_bytes, self.count.p2p_bytes) = (self.intake.edge_bytes, self.intake.peer_bytes);
        self.count.wasted_bytes = self.intake.wasted_bytes + self.driver.media.wasted_bytes();
        self.count.peers = self.links.as_ref().map_or(0, Links::open);
        self.count.connections = self.links.as_ref().map_or(0, Links::made);
        self.driver.stats.send_replace(self.count.clone());
    }
}

/// A chunk with its last bit turned.
#[cfg(test)]
fn spoiled(frame: &Frame, mut message: Vec<u8>) -> Vec<u8> {
    if let (Frame::Chunk(_), Some(last)) = (frame, message.last_mut()) {
        *last ^= 1;
    }
    message
}

async fn next_frame(edge: &mut Option<EdgeLink>) -> Option<Bytes> {
    match edge {
        Some(edge) => edge.next().await,
        None => std::future::pending().await,
    }
}

async fn readable(links: &Option<Links>) {
    match links {
        Some(links) => links.readable().await,
        None => std::future::pending().await,
    }
}

async fn poll_entering(entering: &mut Option<Entering>) -> Result<Entered, Refused> {
    match entering {
        Some(entering) => entering.await,
        None => std::future::pending().await,
    }
}

/// The brain gives itself two seconds; then it is over in any case.
const LEAVE_TIME: Duration = Duration::from_millis(2_500);
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked at what a local player waits for.
const READER_TICK: Duration = Duration::from_millis(50);
const WAKE_GAP: Duration = Duration::from_millis(1);
const AGAIN: Duration = Duration::from_secs(1);
const FRAMES_AT_ONCE: usize = 64;
const RESCUED_MAX: usize = 512;
/// Until it is asked again where the outside sees us, and at most.
const UNSEEN_WAIT: Duration = Duration::from_secs(10);
const UNSEEN_WAIT_MAX: Duration = Duration::from_secs(600);
