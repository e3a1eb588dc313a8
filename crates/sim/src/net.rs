//! When does what is sent arrive? After it waited for its link's window, for its sender's uplink, for the way, and for
//! its receiver's downlink.
//!
//! Each host has one uplink and one downlink, serial and first come, first served; a way has a delay by distance, some
//! jitter, and loss that shows as delay, for links are reliable. A link has a window as SCTP and TCP do: it starts
//! small, doubles per round-trip while it is used, halves on loss and starts again after a second of silence. A frame
//! larger than the window takes a round-trip per doubling it needs.
//!
//! Invariant: a flow's `outstanding` is what was handed to it less what was acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use trellis_core::near::Near;
use trellis_core::time::Instant;
use trellis_proto::frame::{Chunk, ChunkId, Frame};

use crate::chance::{Chance, mix, unit};
use crate::queue::Queue;
use crate::scenario;
use crate::world::Event;

/// What fits a packet. Smaller frames are control: they ride along, wait for no window and are not acknowledged one by
/// one, which halves the events they cost.
const PACKET: u32 = 1_200;
/// A loss is noticed and repaired after so many round-trips and a bit.
const REPAIR_ROUND_TRIPS: f64 = 1.5;
const REPAIR_EXTRA_US: u64 = 20_000;
/// A window that was not used for so long starts again.
const IDLE_US: u64 = 1_000_000;

/// A host's number; edges come first.
pub type HostId = u32;

/// A flow's place, and which of its tenants is meant: places are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowId {
    at: u32,
    tenant: u32,
}

/// How a host is attached.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    /// bit/s.
    pub up_bps: u64,
    /// bit/s.
    pub down_bps: u64,
    /// Which provider.
    pub isp: u32,
    /// Where.
    pub region: u32,
    /// Busy until, µs.
    up_free: u64,
    down_free: u64,
    /// Crashed: what arrives is lost, and nothing is acknowledged.
    dead: bool,
}

impl Access {
    /// Idle.
    pub fn new(up_bps: u64, down_bps: u64, isp: u32, region: u32) -> Self {
        Self {
            up_bps: up_bps.max(1_000),
            down_bps: down_bps.max(1_000),
            isp,
            region,
            up_free: 0,
            down_free: 0,
            dead: false,
        }
    }
}

/// One direction of a link: two lines of a cache.
#[derive(Debug)]
#[repr(align(64))]
pub struct Flow<P> {
    /// Who sends.
    pub from: HostId,
    /// Who receives.
    pub to: HostId,
    /// How the sender names the receiver, and the receiver the sender: a peer's or a link's number.
    pub names: [u32; 2],
    /// The other direction.
    pub back: Option<FlowId>,
    tenant: u32,
    open: bool,
    /// Its sender has not hung up.
    held: bool,
    /// Its receiver has not hung up.
    heard: bool,
    /// WebSocket: in order, window of TCP.
    stream: bool,
    /// An edge's: it is told when bytes leave, not when they are acknowledged.
    leaving: bool,
    limited: bool,
    way_us: u32,
    window: u32,
    in_flight: u32,
    queued: u32,
    last_sent: u64,
    in_order_after: u64,
    waiting: VecDeque<(Cargo<P>, u32)>,
    leaves_under_way: u32,
    small_left: u32,
    not_left: u32,
}

impl<P> Flow<P> {
    /// Is its sender told when bytes leave, instead of when they are acknowledged?
    pub fn leaving(&self) -> bool {
        self.leaving
    }

    /// How long a packet takes, µs.
    pub fn way_us(&self) -> u64 {
        self.way_us.into()
    }

    /// Has its sender not hung up?
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Has its receiver not hung up?
    pub fn is_heard(&self) -> bool {
        self.heard
    }
}

/// A frame, small when it is a chunk: most are, and most of the others are larger.
#[derive(Debug)]
enum Cargo<P> {
    Chunk(Chunk<P>),
    Other(Box<Frame<P>>),
}

impl<P> From<Frame<P>> for Cargo<P> {
    fn from(frame: Frame<P>) -> Self {
        match frame {
            Frame::Chunk(chunk) => Self::Chunk(chunk),
            other => Self::Other(Box::new(other)),
        }
    }
}

impl<P> From<Cargo<P>> for Frame<P> {
    fn from(cargo: Cargo<P>) -> Self {
        match cargo {
            Cargo::Chunk(chunk) => Self::Chunk(chunk),
            Cargo::Other(frame) => *frame,
        }
    }
}

/// A frame on its way: one line of a cache.
#[derive(Debug)]
#[repr(align(64))]
struct Flight<P> {
    flow: FlowId,
    frame: Option<Cargo<P>>,
    bytes: u32,
    first_at: u64,
}

/// What came.
#[derive(Debug)]
pub struct Delivery<P> {
    /// On which flow.
    pub flow: FlowId,
    /// What.
    pub frame: Frame<P>,
    /// How many bytes that was.
    pub bytes: u32,
}

/// All hosts, links and what is on the way.
#[derive(Debug)]
pub struct Net<P> {
    config: scenario::Net,
    seed: u64,
    chance: Chance,
    hosts: Vec<Access>,
    flows: Vec<Flow<P>>,
    free_flows: Vec<u32>,
    flights: Vec<Flight<P>>,
    free_flights: Vec<u32>,
}

impl<P> Net<P> {
    /// Nobody there yet.
    pub fn new(config: scenario::Net, seed: u64) -> Self {
        Self {
            config,
            seed: mix(seed, 0x006e_6574),
            chance: Chance::new(seed, 0x006e_6574),
            hosts: Vec::new(),
            flows: Vec::new(),
            free_flows: Vec::new(),
            flights: Vec::new(),
            free_flights: Vec::new(),
        }
    }

    /// One more host.
    pub fn attach(&mut self, access: Access) -> HostId {
        self.hosts.push(access);
        self.hosts.len() as u32 - 1
    }

    /// How a host is attached.
    pub fn host(&self, host: HostId) -> &Access {
        &self.hosts[host as usize]
    }

    /// A host is gone without a word.
    pub fn kill(&mut self, host: HostId) {
        self.hosts[host as usize].dead = true;
    }

    /// Changes a host's uplink.
    pub fn set_up_bps(&mut self, host: HostId, bps: u64) {
        self.hosts[host as usize].up_bps = bps.max(1_000);
    }

    /// One way, µs: half a round-trip drawn for the pair, more across providers and regions.
    pub fn way_us(&self, a: HostId, b: HostId) -> u64 {
        let pair = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
        let [least, most] = self.config.rtt_ms;
        let mut rtt_ms = least + (most - least) * unit(mix(self.seed, pair));
        let (a, b) = (self.host(a), self.host(b));
        if a.isp != b.isp {
            rtt_ms += self.config.isp_crossing_ms;
        }
        let row = self.config.region_ms.get(a.region as usize);
        rtt_ms += row.and_then(|row| row.get(b.region as usize)).copied().unwrap_or(0.0);
        (rtt_ms * 500.0) as u64
    }

    /// There and back.
    pub fn round_trip(&self, a: HostId, b: HostId) -> Duration {
        Duration::from_micros(2 * self.way_us(a, b))
    }

    /// A link, both directions; each end with what the other calls it. In-order (`stream`) towards an edge.
    pub fn link(&mut self, a: (HostId, u32), b: (HostId, u32), stream: bool) -> [FlowId; 2] {
        let there = self.open(a, b, stream);
        let back = self.open(b, a, stream);
        self.flows[there.at as usize].back = Some(back);
        self.flows[back.at as usize].back = Some(there);
        [there, back]
    }

    fn open(&mut self, from: (HostId, u32), to: (HostId, u32), stream: bool) -> FlowId {
        let way_us = self.way_us(from.0, to.0) as u32;
        let at = self.free_flows.pop().unwrap_or(self.flows.len() as u32);
        let tenant = self.flows.get(at as usize).map_or(0, |flow| flow.tenant + 1);
        let flow = Flow {
            from: from.0,
            to: to.0,
            names: [to.1, from.1],
            back: None,
            tenant,
            open: true,
            held: true,
            heard: true,
            stream,
            leaving: stream && from.0 < to.0,
            limited: false,
            way_us,
            window: if stream { self.config.tcp_window } else { self.config.window },
            in_flight: 0,
            queued: 0,
            last_sent: 0,
            in_order_after: 0,
            waiting: VecDeque::new(),
            leaves_under_way: 0,
            small_left: 0,
            not_left: 0,
        };
        match self.flows.get_mut(at as usize) {
            Some(place) => *place = flow,
            None => self.flows.push(flow),
        }
        FlowId { at, tenant }
    }

    /// The flow, while it is that one.
    pub fn flow(&self, id: FlowId) -> Option<&Flow<P>> {
        self.flows.get(id.at as usize).filter(|flow| flow.tenant == id.tenant && flow.open)
    }

    fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow<P>> {
        self.flows.get_mut(id.at as usize).filter(|flow| flow.tenant == id.tenant && flow.open)
    }

    /// Ends a flow; what is on its way is lost.
    pub fn cut(&mut self, id: FlowId) {
        if let Some(flow) = self.flow_mut(id) {
            flow.open = false;
            flow.waiting = VecDeque::new();
            self.free_flows.push(id.at);
        }
    }

    /// The sender of a flow hangs up: it sends no more on it, and hears no more of the other direction.
    pub fn hang_up(&mut self, id: FlowId) {
        let Some(flow) = self.flow_mut(id) else { return };
        flow.held = false;
        if let Some(back) = flow.back.and_then(|back| self.flow_mut(back)) {
            back.heard = false;
        }
    }

    /// How long until what was handed to this flow has arrived, if its window lets it.
    pub fn drain_us(&self, now: Instant, id: FlowId) -> u64 {
        self.flow(id).map_or(0, |flow| {
            let busy = self.hosts[flow.from as usize].up_free.saturating_sub(now.0);
            busy + u64::from(flow.way_us) + flow.in_order_after.saturating_sub(now.0)
        })
    }

    /// Bytes handed to this flow and not acknowledged (peers), or not on the wire yet (edges).
    pub fn unsent(&self, id: FlowId) -> u32 {
        self.flow(id).map_or(0, |flow| if flow.leaving { flow.not_left } else { flow.queued + flow.in_flight })
    }

    /// Takes a frame to send.
    pub fn send(&mut self, now: Instant, id: FlowId, frame: Frame<P>, bytes: u32, queue: &mut Queue<Event>) {
        let [window, tcp_window] = [self.config.window, self.config.tcp_window];
        let Some(flow) = self.flow_mut(id) else { return };
        if flow.leaving {
            flow.not_left += bytes;
        }
        if bytes < PACKET {
            return self.transmit(now, id, frame.into(), bytes, queue);
        }
        flow.queued += bytes;
        flow.waiting.push_back((frame.into(), bytes));
        if flow.in_flight == 0 && now.0.saturating_sub(flow.last_sent) > IDLE_US {
            flow.window = if flow.stream { tcp_window } else { window };
        }
        self.pump(now, id, queue);
    }

    /// Sends what the window lets through.
    fn pump(&mut self, now: Instant, id: FlowId, queue: &mut Queue<Event>) {
        loop {
            let Some(flow) = self.flow_mut(id) else { return };
            if flow.waiting.is_empty() {
                return;
            }
            if flow.in_flight >= flow.window {
                flow.limited = true;
                return;
            }
            let (frame, bytes) = flow.waiting.pop_front().expect("it was just seen");
            self.transmit(now, id, frame, bytes, queue);
        }
    }

    fn transmit(&mut self, now: Instant, id: FlowId, frame: Cargo<P>, bytes: u32, queue: &mut Queue<Event>) {
        let loss = self.config.loss;
        let packets = bytes.div_ceil(PACKET).max(1) as i32;
        let lost = loss > 0.0 && self.chance.happens(1.0 - (1.0 - loss).powi(packets));
        let jitter = self.chance.below((self.config.jitter_ms * 1_000.0) as u64 + 1);
        let max = if self.flows[id.at as usize].stream { self.config.tcp_window_max } else { self.config.window_max };
        let flow = &mut self.flows[id.at as usize];
        let round_trip = 2 * u64::from(flow.way_us);
        let mut extra = 0;
        let mut room = if bytes < PACKET { bytes } else { flow.window - flow.in_flight };
        while room < bytes {
            flow.window = (flow.window * 2).min(max);
            room += flow.window;
            extra += round_trip;
        }
        if lost {
            flow.window = (flow.window / 2).max(self.config.window);
            extra += (round_trip as f64 * REPAIR_ROUND_TRIPS) as u64 + REPAIR_EXTRA_US;
        }
        let host = &mut self.hosts[flow.from as usize];
        let start = host.up_free.max(now.0);
        let end = start + wire_us(bytes, host.up_bps);
        host.up_free = end;
        if bytes >= PACKET {
            flow.queued -= bytes;
            flow.in_flight += bytes;
        }
        flow.last_sent = end;
        let mut arrival = end + u64::from(flow.way_us) + jitter + extra;
        // Control stays in order on both kinds of link; on data channels chunks may overtake.
        if flow.stream || !matches!(frame, Cargo::Chunk(_)) {
            arrival = arrival.max(flow.in_order_after);
            flow.in_order_after = arrival;
        }
        if flow.leaving && (bytes >= PACKET || flow.leaves_under_way == 0) {
            flow.leaves_under_way += 1;
            queue.push(Instant(end), Event::Left(id, bytes));
        } else if flow.leaving {
            flow.small_left += bytes;
        }
        let flight = Flight {
            flow: id,
            frame: Some(frame),
            bytes,
            first_at: arrival - wire_us(bytes, host.up_bps).min(end - start),
        };
        let at = self.board(flight);
        queue.push(Instant(arrival), Event::Arrived(at));
    }

    fn board(&mut self, flight: Flight<P>) -> u32 {
        match self.free_flights.pop() {
            Some(at) => {
                self.flights[at as usize] = flight;
                at
            }
            None => {
                self.flights.push(flight);
                self.flights.len() as u32 - 1
            }
        }
    }

    /// A frame's last byte reached the downlink. None: it has to wait there, or nobody is there any more.
    pub fn arrive(&mut self, now: Instant, at: u32, queue: &mut Queue<Event>) -> Option<Delivery<P>> {
        let Flight { flow: id, bytes, first_at, .. } = self.flights[at as usize];
        let alive = |flow: &&Flow<P>| !self.hosts[flow.to as usize].dead;
        let Some(to) = self.flow(id).filter(alive).map(|flow| flow.to) else {
            self.flights[at as usize].frame = None;
            self.free_flights.push(at);
            return None;
        };
        let host = &mut self.hosts[to as usize];
        let done = now.0.max(host.down_free.max(first_at) + wire_us(bytes, host.down_bps));
        host.down_free = done;
        if done <= now.0 {
            return self.deliver(now, at, queue);
        }
        queue.push(Instant(done), Event::Delivered(at));
        None
    }

    /// A frame came through the downlink.
    pub fn deliver(&mut self, now: Instant, at: u32, queue: &mut Queue<Event>) -> Option<Delivery<P>> {
        let flight = &mut self.flights[at as usize];
        let (id, bytes, frame) = (flight.flow, flight.bytes, flight.frame.take());
        self.free_flights.push(at);
        let flow = self.flow_mut(id)?;
        if bytes >= PACKET {
            queue.push(now + Duration::from_micros(flow.way_us.into()), Event::Acked(id, bytes));
        }
        frame.map(|frame| Delivery { flow: id, frame: frame.into(), bytes })
    }

    /// An acknowledgement is back.
    pub fn on_acked(&mut self, now: Instant, id: FlowId, bytes: u32, queue: &mut Queue<Event>) {
        let (tcp_max, max) = (self.config.tcp_window_max, self.config.window_max);
        let Some(flow) = self.flow_mut(id) else { return };
        flow.in_flight -= bytes;
        if flow.limited || flow.in_flight * 2 > flow.window {
            flow.window = (flow.window + bytes).min(if flow.stream { tcp_max } else { max });
            flow.limited = false;
        }
        self.pump(now, id, queue);
    }

    /// Bytes have gone out of an edge's door.
    pub fn on_left(&mut self, id: FlowId, bytes: u32) {
        if let Some(flow) = self.flow_mut(id) {
            flow.leaves_under_way -= 1;
            flow.not_left -= bytes + std::mem::take(&mut flow.small_left);
        }
    }

    /// Brings a frame on its way near: see `world::ahead`.
    pub fn glance_flight<N: Near>(&self, at: u32) {
        N::near(&self.flights[at as usize]);
    }

    /// Brings a flow's place near.
    pub fn glance_flow<N: Near>(&self, id: FlowId) {
        N::near(&self.flows[id.at as usize]);
    }

    /// The flow of a frame on its way, and the chunk it brings.
    pub fn on_its_way(&self, at: u32) -> (FlowId, Option<ChunkId>) {
        let flight = &self.flights[at as usize];
        let chunk = match &flight.frame {
            Some(Cargo::Chunk(chunk)) => Some(chunk.id),
            _ => None,
        };
        (flight.flow, chunk)
    }

    /// Both ends of a flow's place and how they name each other, whoever its tenant is.
    pub fn ends(&self, id: FlowId) -> ([HostId; 2], [u32; 2]) {
        let flow = &self.flows[id.at as usize];
        ([flow.from, flow.to], flow.names)
    }

    /// Frames that wait anywhere: for a window or on their way.
    pub fn on_the_way(&self) -> usize {
        self.flights.len() - self.free_flights.len()
    }
}

fn wire_us(bytes: u32, bps: u64) -> u64 {
    (u64::from(bytes) * 8_000_000).div_ceil(bps)
}
