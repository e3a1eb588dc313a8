//! Who is there, and what happens to whom? The hallway: an event comes from the queue, goes to the host it concerns,
//! and what the host's machine wants is done.
//!
//! Hosts are edges and viewers; `net` carries frames between them. [`edge`] and [`viewer`] come and go, [`carry`] runs a viewer's machine, [`watch`] its player, [`dial`]
//! makes links, [`fault`] breaks things, [`sample`] looks at everything once a second, [`ahead`] reads what is needed soon.

mod ahead;
mod carry;
mod dial;
mod edge;
mod fault;
mod sample;
mod viewer;
mod watch;

use std::marker::PhantomData;

use bytes::Bytes;
use trellis_core::cluster::LinkId;
use trellis_core::manager::redirect::{Ask, Redirect};
use trellis_core::peer::Input;
use trellis_core::time::Instant;
use trellis_core::trust::Payload;
use trellis_proto::frame::{Chunk, ChunkId, Frame, PeerId};

use crate::chance::{self, Chance};
use crate::crypto::Crypto;
use crate::fast::LookUp;
use crate::machine::Brain;
use crate::measure::{Tally, Times};
use crate::media::{Origin, Trace as Sizes};
use crate::net::{Access, Delivery, FlowId, Net};
use crate::population::{Behaviour, Person, Population};
use crate::queue::Queue;
use crate::scenario::{self, Invalid, Scenario};
use crate::trace::{Filter, Named, Trace};

pub use sample::Sample;
pub use watch::Summary;

/// Violations told.
const VIOLATIONS_MAX: usize = 20;

/// A viewer's number in a scenario, from 0.
pub type ViewerIx = u32;

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A frame's last byte is at a downlink.
    Arrived(u32),
    /// A frame is through a downlink.
    Delivered(u32),
    /// An acknowledgement is back.
    Acked(FlowId, u32),
    /// Bytes have gone out of an edge's door.
    Left(FlowId, u32),
    /// A peer wants to be woken.
    PeerWake(ViewerIx),
    /// A cluster wants to be woken.
    EdgeWake(u32),
    /// The next part is whole.
    Part,
    /// A viewer comes, or asks again.
    Comes(ViewerIx),
    /// Its WebSocket stands.
    Opened(ViewerIx, u32),
    /// It goes.
    Goes(ViewerIx),
    /// It had its time to say good-bye.
    Gone(ViewerIx),
    /// An end of a link notices that the other is gone.
    Broken(FlowId),
    /// Two peers can talk.
    Linked(u32),
    /// Or cannot.
    DialFails(u32),
    /// A viewer changes its mind about quality.
    Switches(ViewerIx),
    /// Or about the place.
    Seeks(ViewerIx),
    /// Something breaks.
    Fault(u32),
    /// An edge without a WebSocket asks for one.
    Rejoins(ViewerIx),
    /// Time to look at everything.
    Second,
}

/// What a run is called with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What to keep in words.
    pub filter: Filter,
}

/// Everything.
pub struct World<C: Crypto, B: Brain<C>> {
    scenario: Scenario,
    seed: u64,
    now: Instant,
    queue: Queue<Event>,
    net: Net<C::Payload>,
    origin: Origin<C>,
    /// When each part's descriptor was at the edges, µs.
    arrivals: Vec<u64>,
    /// How long the publisher paused until now.
    later_us: u64,
    edges: Vec<edge::Edge<B::Cluster>>,
    viewers: Vec<viewer::Viewer<B::Peer>>,
    population: Population,
    manager: Redirect,
    dials: Vec<dial::Dial>,
    chance: Chance,
    rate_bps: f64,
    trace: Trace,
    tally: Tally,
    tally_at_start: Tally,
    tally_at_second: Tally,
    figures: Figures,
    samples: Vec<Sample>,
    /// Since the last sample: who asked to be let in, and who was sent away.
    asked: u32,
    sent_away: u32,
    brain: PhantomData<B>,
}

/// Distributions, and what is told once per viewer.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Descriptor at the edge → whole part at the peer.
    pub delay: Times,
    /// The same by how many peers its chunks passed at most.
    pub delay_by_depth: Vec<Times>,
    /// Admission asked for → playing.
    pub start_up: Times,
    /// Times told to those who were refused.
    pub retry: Times,
    /// First asked → let in.
    pub wait: Times,
    /// Refusals.
    pub refusals: u64,
    /// Viewers who gave up asking.
    pub turned_away: u64,
    /// Viewers let in.
    pub admitted: u64,
    /// Sessions that ended for a reason of the cluster's.
    pub thrown_out: u64,
    /// Parts delivered to a player that it had in another quality already.
    pub wasted_parts: u64,
    /// Changes of quality asked for.
    pub switches: u64,
    /// The last second at which somebody had no link to an edge, µs.
    pub settled_us: Option<u64>,
    /// Most parts and links any peer had.
    pub load_max: (usize, usize),
    /// Most frames on the way at once.
    pub on_the_way_max: usize,
    /// Deepest tree.
    pub depth_max: u16,
    /// Invariants that did not hold: when, and which.
    pub violations: Vec<String>,
    /// Busiest second of any edge over its budget.
    pub edge_peak: f64,
    /// What each viewer had, given at its end.
    pub sessions: Vec<Summary>,
}

impl<C: Crypto, B: Brain<C>> World<C, B> {
    /// Ready to run.
    pub fn new(scenario: &Scenario, seed: u64, options: Options) -> Result<Self, Invalid> {
        let sizes = match &scenario.stream.trace {
            None => Sizes::sample(),
            Some(file) => {
                let path = scenario.folder.join(file);
                let text = std::fs::read_to_string(&path);
                Sizes::parse(&text.map_err(|why| Invalid::Read(path.display().to_string(), why))?)?
            }
        };
        let mut world = Self {
            scenario: scenario.clone(),
            seed,
            now: Instant(0),
            queue: Queue::default(),
            net: Net::new(scenario.net.clone(), seed),
            origin: Origin::new(&scenario.stream, sizes, seed)?,
            arrivals: Vec::new(),
            later_us: 0,
            edges: Vec::new(),
            viewers: Vec::new(),
            population: Population::new(scenario, seed),
            manager: Redirect::new(edge::DEAD_AFTER),
            dials: Vec::new(),
            chance: Chance::new(seed, 0x776f_726c),
            rate_bps: scenario.rate_bps() as f64,
            trace: Trace::new(options.filter),
            tally: Tally::default(),
            tally_at_start: Tally::default(),
            tally_at_second: Tally::default(),
            figures: Figures::default(),
            samples: Vec::new(),
            asked: 0,
            sent_away: 0,
            brain: PhantomData,
        };
        world.open_edges();
        for person in world.population.first()? {
            world.expect(person);
        }
        for (number, fault) in scenario.fault.iter().enumerate() {
            world.queue.push(fault::at(fault), Event::Fault(number as u32));
        }
        world.queue.push(Instant(1_000_000), Event::Second);
        Ok(world)
    }

    /// Runs to the end; `progress` hears of each simulated second.
    pub fn run(mut self, mut progress: impl FnMut(&Sample)) -> Outcome {
        let end = Instant((self.scenario.duration_s * 1e6) as u64);
        while let Some((at, event)) = self.queue.pop() {
            if at > end {
                break;
            }
            self.now = at;
            self.tally.events += 1;
            self.look_ahead();
            self.handle(event);
            if event == Event::Second
                && let Some(sample) = self.samples.last()
            {
                progress(sample);
            }
        }
        self.now = end;
        (0..self.viewers.len() as u32).for_each(|viewer| self.sum_up(viewer));
        Outcome {
            payload: C::NAME,
            hash: self.trace.hash(),
            window: self.tally.since(&self.tally_at_start),
            whole: self.tally,
            figures: self.figures,
            samples: self.samples,
            lines: self.trace.into_lines(),
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Arrived(at) => {
                if let Some(delivery) = self.net.arrive(now, at, &mut self.queue) {
                    self.deliver(delivery);
                }
            }
            Event::Delivered(at) => {
                if let Some(delivery) = self.net.deliver(now, at, &mut self.queue) {
                    self.deliver(delivery);
                }
            }
            Event::Acked(flow, bytes) => {
                self.net.on_acked(now, flow, bytes, &mut self.queue);
                self.tell_unsent(flow, false);
            }
            Event::Left(flow, bytes) => {
                self.net.on_left(flow, bytes);
                self.tell_unsent(flow, true);
            }
            Event::PeerWake(viewer) => self.wake_peer(viewer),
            Event::EdgeWake(edge) => self.wake_edge(edge),
            Event::Part => self.make_part(),
            Event::Comes(viewer) => self.comes(viewer),
            Event::Opened(viewer, attempt) => self.opened(viewer, attempt),
            Event::Goes(viewer) => self.goes(viewer),
            Event::Gone(viewer) => self.gone(viewer),
            Event::Broken(flow) => self.broken(flow),
            Event::Linked(dial) => self.linked(dial),
            Event::DialFails(dial) => self.dial_fails(dial),
            Event::Switches(viewer) => self.switches(viewer),
            Event::Seeks(viewer) => self.seeks(viewer),
            Event::Fault(number) => self.fault(number),
            Event::Rejoins(viewer) => self.rejoins(viewer),
            Event::Second => self.second(),
        }
    }

    fn edges_count(&self) -> u32 {
        self.edges.len() as u32
    }

    /// Something does not hold that always must.
    fn violated(&mut self, what: &str) {
        if self.figures.violations.len() < VIOLATIONS_MAX {
            self.figures.violations.push(format!("at {:.3} s: {what}", self.now.0 as f64 / 1e6));
        }
    }

    /// A host's viewer; None: it is an edge.
    fn viewer_of(&self, host: u32) -> Option<ViewerIx> {
        host.checked_sub(self.edges_count())
    }

    /// A frame reached its host.
    fn deliver(&mut self, delivery: Delivery<C::Payload>) {
        let Delivery { flow: id, frame, bytes } = delivery;
        let Some(flow) = self.net.flow(id) else { return };
        let (from, to, name, heard) = (flow.from, flow.to, flow.names[1], flow.is_heard());
        self.trace.note(self.now, kind(&frame), u64::from(from) << 24 ^ u64::from(to), u64::from(bytes));
        self.tell_frame("came", from, to, &frame);
        match self.viewer_of(to) {
            None => self.edge_receives(to, LinkId(name.into()), frame),
            Some(viewer) if heard => self.viewer_receives(viewer, PeerId(name), frame),
            Some(_) => {}
        }
    }

    /// A sender's queue is shorter.
    fn tell_unsent(&mut self, id: FlowId, left: bool) {
        let Some(flow) = self.net.flow(id) else { return };
        let (from, name) = (flow.from, flow.names[0]);
        if flow.leaving() != left || !flow.is_held() {
            return;
        }
        let unsent = self.net.unsent(id);
        match self.viewer_of(from) {
            None => self.edge_unsent(from, LinkId(name.into()), unsent),
            Some(viewer) => self.tell_peer(viewer, Input::Unsent(PeerId(name), unsent)),
        }
    }

    /// An end notices that its link is gone.
    fn broken(&mut self, id: FlowId) {
        let Some(flow) = self.net.flow(id) else { return };
        let (from, to, name, back) = (flow.from, flow.to, flow.names[1], flow.back);
        self.net.cut(id);
        if let Some(back) = back {
            self.net.cut(back);
        }
        self.trace.note(self.now, 100, u64::from(from) << 24 ^ u64::from(to), 0);
        match self.viewer_of(to) {
            None => self.edge_loses(to, LinkId(name.into())),
            Some(viewer) => self.viewer_loses(viewer, PeerId(name), back),
        }
    }

    /// Puts a frame into words if it was asked about.
    fn tell_frame(&mut self, verb: &str, from: u32, to: u32, frame: &Frame<C::Payload>) {
        if self.trace.is_silent() {
            return;
        }
        let (chunk, text) = match frame {
            Frame::Chunk(chunk) => (Some(chunk.id), format_args_chunk(chunk)),
            Frame::Want { rows, urgent } => {
                (self.trace.in_rows(rows), if *urgent { "urgent want".into() } else { "want".into() })
            }
            Frame::Have(rows) => (self.trace.in_rows(rows), "have".into()),
            Frame::Cancel(rows) => (self.trace.in_rows(rows), "cancel".into()),
            Frame::Deny(rows) => (self.trace.in_rows(rows), "deny".into()),
            _ => (None, String::new()),
        };
        let viewers = [self.viewer_of(from), self.viewer_of(to)];
        if self.trace.wants(chunk, viewers) {
            let name =
                |viewer: Option<u32>, host: u32| viewer.map_or(format!("edge {host}"), |it| format!("viewer {it}"));
            let text = if text.is_empty() { format!("{frame:?}") } else { text };
            let line = format!("{} → {}: {verb} {text}", name(viewers[0], from), name(viewers[1], to));
            self.trace.tell(self.now, &line);
        }
    }
}

fn format_args_chunk<P>(chunk: &Chunk<P>) -> String {
    format!("chunk {} after {} peers", Named(chunk.id), chunk.hop)
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Which cryptography.
    pub payload: &'static str,
    /// All that happened, in one number.
    pub hash: u64,
    /// Counted from `measure_from_s` on.
    pub window: Tally,
    /// Counted from the beginning.
    pub whole: Tally,
    /// Distributions.
    pub figures: Figures,
    /// Each second.
    pub samples: Vec<Sample>,
    /// What the trace tells.
    pub lines: Vec<String>,
}

/// Bytes of a frame on the wire, without what the link below adds: uplinks are given as goodput.
fn frame_bytes<P: Payload>(frame: &Frame<P>) -> u32 {
    frame.encoded_len(Payload::size) as u32
}

/// A number for each kind of frame, for the trace's hash.
fn kind<P>(frame: &Frame<P>) -> u32 {
    match frame {
        Frame::Hello(_) => 1,
        Frame::Welcome(_) => 2,
        Frame::Greet { .. } => 3,
        Frame::Table(_) => 4,
        Frame::Ask { .. } => 5,
        Frame::Chunk(chunk) => 6 + (u32::from(chunk.id.index) << 8),
        Frame::Have(_) => 7,
        Frame::Want { .. } => 8,
        Frame::Cancel(_) => 9,
        Frame::Deny(_) => 10,
        Frame::Subscribe { .. } => 11,
        Frame::Unsubscribe(_) => 12,
        Frame::Assign(_) => 13,
        Frame::Report(_) => 14,
        Frame::Switch { .. } => 15,
        Frame::Exchange(_) => 16,
        Frame::Signal { .. } => 17,
        Frame::Ping { .. } => 18,
        Frame::Pong { .. } => 19,
        Frame::Renew(_) => 20,
        Frame::Bye(_) => 21,
    }
}
