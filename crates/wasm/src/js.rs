//! What does JavaScript see? Numbers, strings and byte arrays; times are microseconds of `performance.now() * 1000`.
//!
//! A call never throws for what others sent. `poll` moves to the next action and tells its kind; what belongs to it is read
//! from the getters until the next `poll`.

use std::ops::RangeInclusive;
use std::time::Duration;

use trellis_core::limits::KEEP_PARTS;
use trellis_core::peer::{Config, Mesh, Support, UploadPolicy};
use trellis_core::tape::Tape;
use trellis_core::time::Instant;
use trellis_core::trust::RealCrypto;
use trellis_core::trust::table::Authority;
use trellis_media::playlist::Wait;
use trellis_proto::frame::{Bye, Nat, PartId, PeerId};
use trellis_proto::signal::candidate::Candidate;
use trellis_proto::signal::session::Sdp;
use trellis_proto::signal::{Signal, Step};
use trellis_proto::{PublicKey, RenditionName, RunId};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::engine::{Action, Engine, Media, Start, layers_of};

/// What to begin with, filled in field by field.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Options {
    ticket: Vec<u8>,
    origin_key: Vec<u8>,
    stream: String,
    renditions: String,
    videos: u8,
    policy: (f64, bool),
    declared_bps: f64,
    udp_blocked: bool,
    behind_ms: f64,
    seed: (u32, u32),
    tape_bytes: u32,
    recorded: bool,
}

#[wasm_bindgen]
impl Options {
    /// For a stream, by the ticket's bytes and the key its tables are signed with (32 bytes).
    #[wasm_bindgen(constructor)]
    pub fn new(stream: String, ticket: Vec<u8>, origin_key: Vec<u8>) -> Options {
        Self { stream, ticket, origin_key, ..Self::default() }
    }

    /// What to watch, such as `v1 a0`, of a ladder with so many videos.
    pub fn watch(&mut self, renditions: String, videos: u8) {
        (self.renditions, self.videos) = (renditions, videos);
    }

    /// What may be given: never more than `cap_bps` (0: no cap), or nothing; and what was given last time (0: not known).
    pub fn give(&mut self, cap_bps: f64, receive_only: bool, declared_bps: f64) {
        (self.policy, self.declared_bps) = ((cap_bps, receive_only), declared_bps);
    }

    /// How far behind the live edge to begin, and chance.
    pub fn begin(&mut self, behind_ms: f64, seed_high: u32, seed_low: u32) {
        (self.behind_ms, self.seed) = (behind_ms, (seed_high, seed_low));
    }

    /// Records what the peer lives through, up to so many bytes.
    pub fn record(&mut self, bytes_max: u32) {
        self.tape_bytes = bytes_max;
    }

    /// What is watched is a recording.
    pub fn of_recording(&mut self) {
        self.recorded = true;
    }

    /// No data channel can be made here.
    pub fn without_links(&mut self) {
        self.udp_blocked = true;
    }
}

impl Options {
    fn start(&self) -> Option<Start> {
        let key: PublicKey = self.origin_key.as_slice().try_into().ok()?;
        let wanted = names(&self.renditions);
        let config = Config {
            ticket: self.ticket.clone().into(),
            layers: layers_of(&wanted, self.videos),
            declared_bps: self.declared_bps as u64,
            upload: policy(self.policy.0, self.policy.1),
            nat: if self.udp_blocked { Nat::Blocked } else { Nat::Unknown },
            behind: Duration::from_micros((self.behind_ms * 1e3) as u64),
            support: Support::WhileWatching,
            keep_parts: if self.recorded { KEEP_PARTS_RECORDED } else { KEEP_PARTS },
            mesh: Mesh::Hybrid,
            on_schedule: true,
        };
        let crypto = RealCrypto(Authority::new(&key)?);
        Some(Start { config, crypto, stream: self.stream.parse().ok()?, wanted })
    }
}

/// The engine.
#[wasm_bindgen]
pub struct PeerEngine {
    engine: Engine,
    action: Option<Action>,
    found: Vec<u8>,
}

impl PeerEngine {
    /// What is named as a part (`p`), or as a segment (`s`) that is known.
    fn parts(&self, run: RunId, kind: &str, number: f64) -> Option<RangeInclusive<u64>> {
        match kind {
            "p" => Some(number as u64..=number as u64),
            _ => self.engine.parts_of(run, number as u64),
        }
    }
}

#[wasm_bindgen]
impl PeerEngine {
    /// Undefined: the options are not good (a stream's name, a key).
    pub fn start(options: &Options, now_us: f64) -> Option<PeerEngine> {
        let seed = u64::from(options.seed.0) << 32 | u64::from(options.seed.1);
        let start = options.start()?;
        let key = options.origin_key.as_slice().try_into().ok()?;
        let tape = (options.tape_bytes > 0)
            .then(|| Tape::new(&start.config, &key, seed, at(now_us), options.tape_bytes as usize));
        let mut engine = Engine::new(start, seed, at(now_us));
        tape.into_iter().for_each(|tape| engine.record(tape));
        Some(Self { engine, action: None, found: Vec::new() })
    }

    /// A link stands; 0 is the edge.
    pub fn connected(&mut self, now_us: f64, peer: u32) {
        self.engine.connected(at(now_us), PeerId(peer));
    }

    /// A link broke, or could not be made.
    pub fn lost(&mut self, now_us: f64, peer: u32) {
        self.engine.lost(at(now_us), PeerId(peer));
    }

    /// A message came.
    pub fn message(&mut self, now_us: f64, from: u32, bytes: Vec<u8>) {
        self.engine.message(at(now_us), PeerId(from), bytes.into());
    }

    /// So many bytes handed to a link have not left.
    pub fn unsent(&mut self, now_us: f64, peer: u32, bytes: u32) {
        self.engine.unsent(at(now_us), PeerId(peer), bytes);
    }

    /// Time passed.
    pub fn wake(&mut self, now_us: f64) {
        self.engine.wake(at(now_us));
    }

    /// When to call `wake`, µs; infinity: not before something else happens.
    pub fn wake_at(&self) -> f64 {
        self.engine.wake_at().map_or(f64::INFINITY, |at| at.0.saturating_sub(BEFORE_US) as f64)
    }

    /// Tells a peer something about a link: step 1 offer, 2 answer, 3 candidate, 4 hang-up.
    pub fn signal(&mut self, peer: u32, step: u8, dial: u32, text: String) {
        let step = match step {
            OFFER => Step::Offer(Sdp::new(text)),
            ANSWER => Step::Answer(Sdp::new(text)),
            CANDIDATE => Step::Candidate(Candidate::new(text)),
            _ => Step::Hangup,
        };
        self.engine.signal(PeerId(peer), &Signal { dial, step });
    }

    /// The player wants these renditions, such as `v1 a0`.
    pub fn switch(&mut self, now_us: f64, renditions: &str) {
        self.engine.switch(at(now_us), names(renditions));
    }

    /// Where the player is: PROGRAM-DATE-TIME at the playhead, ms since 1970, and what it has from there on, ms; stopped by
    /// its viewer?
    pub fn player(&mut self, now_us: f64, date_ms: f64, buffer_ms: f64, paused: bool) {
        let buffer = Duration::from_millis(buffer_ms.clamp(0.0, BUFFER_MS_MAX) as u64);
        self.engine.player(at(now_us), date_ms as u64, buffer, paused);
    }

    /// A segment of a recording that came from the edge: others may have it from here.
    pub fn offer(&mut self, now_us: f64, run: &str, rendition: &str, number: f64, bytes: Vec<u8>) {
        let (Ok(run), Ok(name)) = (run.parse::<RunId>(), rendition.parse::<RenditionName>()) else { return };
        self.engine.offer(at(now_us), run, name, number as u64, bytes.into());
    }

    /// What may be given from now on; a cap of 0 is none.
    pub fn upload(&mut self, now_us: f64, cap_bps: f64, receive_only: bool) {
        self.engine.upload(at(now_us), policy(cap_bps, receive_only));
    }

    /// A newer ticket.
    pub fn renew(&mut self, now_us: f64, ticket: Vec<u8>) {
        self.engine.renew(at(now_us), ticket.into());
    }

    /// The viewer goes.
    pub fn leave(&mut self, now_us: f64) {
        self.engine.leave(at(now_us));
    }

    /// Takes the next action: 0 none, 1 send, 2 connect, 3 disconnect, 4 signal, 5 admitted, 6 switched, 7 rescue,
    /// 8 cut off, 9 closed.
    pub fn poll(&mut self) -> u8 {
        self.action = self.engine.poll();
        match &self.action {
            None => 0,
            Some(Action::Send(..)) => 1,
            Some(Action::Connect(_)) => 2,
            Some(Action::Disconnect(_)) => 3,
            Some(Action::Signal(..)) => 4,
            Some(Action::Admitted(_)) => 5,
            Some(Action::Switched) => 6,
            Some(Action::Rescue(..)) => 7,
            Some(Action::CutOff(_)) => 8,
            Some(Action::Closed(_)) => 9,
        }
    }

    /// Whom the action is about.
    pub fn peer(&self) -> u32 {
        match &self.action {
            Some(Action::Send(PeerId(peer), _) | Action::Connect(PeerId(peer)) | Action::Disconnect(PeerId(peer))) => {
                *peer
            }
            Some(Action::Signal(PeerId(peer), _) | Action::Admitted(PeerId(peer))) => *peer,
            Some(Action::Rescue(_, PeerId(peer)) | Action::CutOff(PeerId(peer))) => *peer,
            _ => 0,
        }
    }

    /// The bytes to send; once.
    pub fn bytes(&mut self) -> Vec<u8> {
        match &mut self.action {
            Some(Action::Send(_, bytes)) => std::mem::take(bytes),
            _ => Vec::new(),
        }
    }

    /// A signal's step, or why it is closed (the reasons of `spec/wire.md` §11.2).
    pub fn code(&self) -> u8 {
        match &self.action {
            Some(Action::Signal(_, signal)) => match signal.step {
                Step::Offer(_) => OFFER,
                Step::Answer(_) => ANSWER,
                Step::Candidate(_) => CANDIDATE,
                Step::Hangup => HANGUP,
            },
            Some(Action::Closed(why)) => reason(*why),
            _ => 0,
        }
    }

    /// A signal's dial, or after how many seconds to ask again for a place; of a rescue the part.
    pub fn number(&self) -> f64 {
        match &self.action {
            Some(Action::Signal(_, signal)) => signal.dial.into(),
            Some(Action::Closed(Bye::NoRoom(seconds))) => (*seconds).into(),
            Some(Action::Rescue(chunk, _)) => chunk.part.part as f64,
            _ => 0.0,
        }
    }

    /// A signal's text.
    pub fn text(&self) -> String {
        match &self.action {
            Some(Action::Signal(_, signal)) => match &signal.step {
                Step::Offer(sdp) | Step::Answer(sdp) => sdp.to_string(),
                Step::Candidate(candidate) => candidate.to_string(),
                Step::Hangup => String::new(),
            },
            _ => String::new(),
        }
    }

    /// Moves whenever an answer of `has` or `find` may be another one.
    pub fn version(&self) -> u32 {
        self.engine.version()
    }

    /// Is a segment listed (part below 0), or a part of it? 0 not yet, 1 yes, 2 it is too far ahead.
    pub fn has(&self, msn: f64, part: f64) -> u8 {
        match self.engine.has(msn as u64, (part >= 0.0).then_some(part as u64)) {
            Wait::Wait => 0,
            Wait::Ready => 1,
            Wait::TooFar => 2,
        }
    }

    /// Has anything been told of what there is?
    pub fn knows(&self) -> bool {
        self.engine.knows()
    }

    /// Is anything listed?
    pub fn lists(&self) -> bool {
        self.engine.lists()
    }

    /// A rendition's media playlist from the first segment listed here on.
    pub fn playlist(&self, rendition: &str) -> Option<String> {
        self.engine.playlist(rendition.parse().ok()?)
    }

    /// Looks for a part (`p`) or a segment (`s`): 0 it is elsewhere, 1 it is on its way, 2 it is here, and `take` gives it.
    pub fn find(&mut self, run: &str, rendition: &str, kind: &str, number: f64) -> u8 {
        let (Ok(run), Ok(name)) = (run.parse::<RunId>(), rendition.parse()) else { return 0 };
        let found = match kind {
            "p" => self.engine.part(run, name, number as u64),
            _ => self.engine.segment(run, name, number as u64),
        };
        if let Some(last) = self.parts(run, kind, number).map(|parts| *parts.end()) {
            self.engine.asks(PartId { run, part: last }, name);
        }
        match found {
            Media::Elsewhere => 0,
            Media::Coming => 1,
            Media::Here(chunks) => {
                self.found = chunks.concat();
                2
            }
        }
    }

    /// The player has a part (`p`) or all parts of a segment (`s`) from elsewhere: what came of them came in vain.
    pub fn elsewhere(&mut self, run: &str, rendition: &str, kind: &str, number: f64) {
        let (Ok(run), Ok(name)) = (run.parse::<RunId>(), rendition.parse::<RenditionName>()) else { return };
        let parts = self.parts(run, kind, number);
        parts.into_iter().flatten().for_each(|part| self.engine.took_elsewhere(run, name, part));
    }

    /// What `find` found.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.found)
    }

    /// How long a part (`p`) or all parts of a segment (`s`) took to come, ms; below 0: nobody noted it.
    pub fn load_ms(&self, run: &str, kind: &str, number: f64) -> f64 {
        let Ok(run) = run.parse::<RunId>() else { return -1.0 };
        let parts = self.parts(run, kind, number);
        let times =
            parts.and_then(|parts| parts.map(|part| self.engine.load_time(run, part)).sum::<Option<Duration>>());
        times.map_or(-1.0, |time| time.as_secs_f64() * 1e3)
    }

    /// How far back playlists reach, s; 0 before the first catalogue.
    pub fn window_s(&self) -> u32 {
        self.engine.newest_catalogue().map_or(0, |catalogue| catalogue.window_s)
    }

    /// Is it a recording?
    pub fn is_recording(&self) -> bool {
        self.engine.is_recorded()
    }

    /// Is this the init segment that was signed? Undefined: not known yet.
    pub fn check_init(&self, run: &str, rendition: &str, bytes: &[u8]) -> Option<bool> {
        self.engine.check_init(run.parse().ok()?, rendition.parse().ok()?, bytes)
    }

    /// In this order: bytes from the edge, from peers, to peers, of control, that came in vain; chunks that came twice,
    /// rescued, pulled; parents changed, parts missed, peers cut off; chunks of the first fill.
    pub fn counts(&self) -> Vec<f64> {
        let c = self.engine.counts();
        let (from, wasted) = (&c.intake, c.intake.wasted_bytes);
        let all = [from.edge_bytes, from.peer_bytes, c.uploaded_bytes, c.control_bytes, wasted, c.duplicates];
        let more = [c.rescues, c.pulls, c.switches, c.missed, c.cut_off, c.first_fill];
        all.into_iter().chain(more).map(|count| count as f64).collect()
    }

    /// What was recorded, for `trellis sim replay`.
    pub fn tape(&self) -> Vec<u8> {
        self.engine.tape().to_vec()
    }

    /// H, ms.
    pub fn hold_back_ms(&self) -> f64 {
        self.engine.peer().hold_back().as_secs_f64() * 1e3
    }

    /// α, bit/s.
    pub fn alpha_bps(&self) -> f64 {
        self.engine.peer().alpha_bps() as f64
    }

    /// The renditions that are watched, by position in the catalogue.
    pub fn watches(&self) -> Vec<u8> {
        self.engine.peer().layers().iter().map(|of| of.rendition).collect()
    }
}

/// A page's clock begins with the page, but what came before it has its time, too.
fn at(us: f64) -> Instant {
    Instant(us.max(0.0) as u64 + BEFORE_US)
}

fn policy(cap_bps: f64, receive_only: bool) -> UploadPolicy {
    UploadPolicy { cap_bps: (cap_bps > 0.0).then_some(cap_bps as u64), receive_only }
}

fn names(text: &str) -> Vec<RenditionName> {
    text.split_whitespace().filter_map(|name| name.parse().ok()).collect()
}

fn reason(why: Bye) -> u8 {
    match why {
        Bye::Leaving => 1,
        Bye::Ticket => 2,
        Bye::NoRoom(_) => 3,
        Bye::Replaced => 4,
        Bye::BadChunk => 5,
        Bye::Protocol => 6,
        Bye::Flood => 7,
        Bye::Idle => 8,
        Bye::Ended => 9,
        Bye::Moved => 10,
    }
}

/// A day: further back no stream's window reaches.
const BEFORE_US: u64 = 86_400_000_000;
/// No player has more than an hour.
const BUFFER_MS_MAX: f64 = 3.6e6;
/// One minute of a recording: pages have less memory than others.
const KEEP_PARTS_RECORDED: usize = 180;
const OFFER: u8 = 1;
const ANSWER: u8 = 2;
const CANDIDATE: u8 = 3;
const HANGUP: u8 = 4;
