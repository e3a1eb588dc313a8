//! An edge's viewers of one stream: lets them in, plans who gives what to whom, pushes, rescues, relays signals.
//!
//! The hallway: it matches what comes in and passes values between the rooms. [`admission`] decides who comes in,
//! [`roster`] knows who is here, [`ledger`] who can give what, [`trees`] who hangs below whom, [`seeding`] how many
//! the edge serves, [`start`] how newcomers get their first parts, [`overlay`] keeps these together, [`plan`] says what each peer must be told, [`feed`] sends.

mod admission;
mod check;
mod crowd;
mod entry;
pub mod event;
mod feed;
mod hold;
mod improve;
mod lanes;
mod ledger;
mod load;
mod neighbors;
mod overlay;
mod plan;
mod proof;
mod reports;
mod roster;
mod seeding;
mod start;
#[cfg(test)]
mod tests;
mod trees;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::frame::{Bye, Frame, Hello, LayerId, Nat, PartId, PeerId, Substreams};
use trellis_proto::{Catalogue, Mode, SessionId};

use crate::limits::{HOLD_BACK_MAX, SILENT_PEER};
use crate::locality::Locality;
use crate::time::Instant;
use crate::trust::Payload;
use admission::Verdict;
pub use check::{Stats, Violation};
use crowd::Crowd;
pub use event::{Chunks, Event, Input, LinkId, Output};
pub use feed::Sent;
use feed::{Feed, Since, Standing};
use hold::Hold;
use lanes::{Lane, Lanes};
use ledger::Ledger;
pub use ledger::Shares;
use load::Load;
use overlay::Overlay;
use roster::{EDGE, Peer, Roster, Slot};
use trees::ROOT;

/// How a cluster is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// B: what the edge may send for this cluster, bit/s.
    pub budget_bps: u64,
    /// What of it is for what.
    pub shares: Shares,
    /// H is never more than this.
    pub hold_back_max: Duration,
    /// What a peer that declares nothing is thought to give, bit/s; 0: as much as it takes.
    pub prior_bps: u64,
    /// Peers give only once they have everything (the paper's step 5), not from their first chunk on.
    pub after_completion: bool,
    /// The number its first peer gets; those after it count up. Clusters of one stream have ranges of their own: a viewer
    /// that moves to another edge keeps its links, and no newcomer is taken for an old friend.
    pub first_peer: PeerId,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            budget_bps: 100_000_000,
            shares: Shares::default(),
            hold_back_max: HOLD_BACK_MAX,
            prior_bps: 0,
            after_completion: false,
            first_peer: PeerId(1),
        }
    }
}

/// The machine.
#[derive(Debug, Clone)]
pub struct Cluster<P> {
    config: Config,
    overlay: Overlay,
    feed: Feed<P>,
    catalogue: Option<(Arc<Catalogue>, Bytes)>,
    /// The run is over, as signed: a recording's is from the beginning.
    end: Option<Bytes>,
    waiting: BTreeMap<LinkId, Waiting>,
    crowd: Crowd,
    out: VecDeque<Output<P>>,
    hold: Hold,
    load: Load,
    growth_bps2: u64,
    /// What leaving viewers are expected to give back.
    relief_bps2: u64,
    before_bps: u64,
    /// What a viewer is thought to give that says nothing: what most were seen to give.
    usual_bps: u64,
    draining: bool,
    next_tick: Instant,
    /// Somebody was lost: plans wait until then for others that are.
    plans_at: Option<Instant>,
    now: Instant,
}

/// A link whose greeting has not come yet.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    session: SessionId,
    max_rate_bps: u64,
    locality: Locality,
    rejoins: bool,
    since: Instant,
}

/// The plan is looked over this often.
const TICK: Duration = Duration::from_millis(500);
/// Links that are lost within this time are planned for together: no viewer is sent from one dead giver to the next, and each is
/// told once.
const LOST_TOGETHER: Duration = Duration::from_millis(20);
/// A link says hello within this.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Who leaves goes on serving for so long at most.
const HAND_OVER: Duration = Duration::from_secs(2);
/// A twentieth of those who are left goes per tick while draining, at least one.
const DRAIN_ROUNDS: usize = 20;
/// Whoever takes nothing from the edge hears of one in so many parts from it: two in a time in which clocks do not drift
/// apart, at a hundredth of what it would cost to tell everybody of all.
const TOLD_EVERY: u64 = 64;
/// When there is nothing to join yet.
const RETRY_EMPTY_S: u16 = 2;

impl<P: Payload> Cluster<P> {
    /// Nobody there yet.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let ledger = Ledger::new(config.budget_bps, config.shares);
        let shares = (ledger.start_up_bps(), ledger.rescue_bps());
        Self {
            config,
            overlay: Overlay::new(Roster::new(config.first_peer), ledger, config.after_completion, seed),
            feed: Feed::new(config.budget_bps, shares, now),
            catalogue: None,
            end: None,
            waiting: BTreeMap::new(),
            crowd: Crowd::default(),
            out: VecDeque::new(),
            hold: Hold::new(config.hold_back_max, now),
            load: Load::default(),
            growth_bps2: 0,
            relief_bps2: 0,
            before_bps: 0,
            usual_bps: u64::MAX,
            draining: false,
            next_tick: now + TICK,
            plans_at: None,
            now,
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, input: Input<P>) {
        self.now = now;
        self.feed.tick(now);
        self.plans_at = self.plans_at.filter(|at| now < *at);
        match input {
            Input::Opened { link, session, max_rate_bps, locality, rejoins } => {
                self.waiting.insert(link, Waiting { session, max_rate_bps, locality, rejoins, since: now });
            }
            Input::Frame(link, frame) => self.handle_frame(link, frame),
            Input::Unsent(link, bytes) => {
                if let Some(slot) = self.overlay.roster.by_link(link) {
                    self.feed.unsent(slot, bytes);
                }
            }
            Input::Closed(link) => {
                self.waiting.remove(&link);
                if let Some(slot) = self.overlay.roster.by_link(link) {
                    self.gone(slot);
                    self.plans_at = self.plans_at.or(Some(now + LOST_TOGETHER));
                }
            }
            Input::Catalogue(catalogue, message) => self.handle_catalogue(catalogue, message),
            Input::Part(descriptor, message, chunks) => {
                let overlay = &self.overlay;
                let standing = |lane, slot| standing(overlay, lane, slot);
                self.feed.part(now, &descriptor, message.clone(), chunks, &overlay.lanes, standing);
                self.announce(descriptor.part, &message);
            }
            Input::RunEnd(_, message) => {
                self.broadcast(&message);
                self.end = Some(message);
            }
            Input::Fetched(link, id, payload) => {
                if let Some(slot) = self.overlay.roster.by_link(link)
                    && !self.feed.fetched(slot, id, payload)
                {
                    let chunks = [usize::from(id.index)].into_iter().collect();
                    let row = trellis_proto::frame::Row { part: id.part, of: id.of, chunks };
                    self.send(link, Frame::Deny([row].into()));
                }
            }
            Input::Budget(bps) => self.handle_budget(bps),
            Input::Relief(bps2) => self.relief_bps2 = bps2,
            Input::Drain => self.draining = true,
            Input::Wake => {}
        }
        if now >= self.next_tick {
            self.tick(now);
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output<P>> {
        let waits = self.plans_at.is_some();
        let plan = |overlay: &mut Overlay, hold: &Hold| {
            let (slot, assign) = overlay.next_plan(micros(hold.hold_back()))?;
            Some(Output::Send(overlay.roster.get(slot)?.link, Frame::Assign(assign)))
        };
        if let Some(output) =
            self.out.pop_front().or_else(|| if waits { None } else { plan(&mut self.overlay, &self.hold) })
        {
            if let Output::Send(_, frame) = &output {
                self.feed.charge(frame.encoded_len(Payload::size));
            }
            return Some(output);
        }
        let (slot, frame) = self.feed.poll()?;
        Some(Output::Send(self.overlay.roster.get(slot)?.link, frame))
    }

    /// When to call with [`Input::Wake`] at the latest.
    pub fn wake_at(&self) -> Option<Instant> {
        let busy = self.overlay.roster.len() + self.waiting.len() > 0;
        let tick = busy.then_some(self.next_tick);
        [tick, self.plans_at, self.feed.wake_at()].into_iter().flatten().min()
    }

    fn handle_frame(&mut self, link: LinkId, frame: Frame<P>) {
        let Some(slot) = self.overlay.roster.by_link(link) else {
            return match (self.waiting.remove(&link), frame) {
                (Some(waiting), Frame::Hello(hello)) => self.handle_hello(link, waiting, hello),
                (Some(_), _) => self.refuse(link, Bye::Protocol),
                (None, _) => {}
            };
        };
        let now = self.now;
        let Some(peer) = self.overlay.roster.get_mut(slot) else { return };
        peer.heard = now;
        let joined = peer.joined;
        match frame {
            Frame::Subscribe { set, from } => set.iter().for_each(|set| self.subscribe(slot, *set, from)),
            Frame::Unsubscribe(set) => set.iter().for_each(|set| {
                let lanes = &self.overlay.lanes;
                lanes_of(lanes, *set).for_each(|lane| self.feed.unsubscribe(slot, lane, lanes));
            }),
            Frame::Want { rows, urgent } => {
                let since = Since { joined, recorded: self.is_recorded(), planned: self.overlay.is_planned() };
                let (fetch, denied) = self.feed.want(slot, rows, urgent, since);
                self.out.extend(fetch.into_iter().map(|id| Output::Fetch(link, id)));
                if !denied.is_empty() {
                    self.send(link, Frame::Deny(denied));
                }
            }
            Frame::Cancel(rows) => self.feed.cancel(slot, &rows),
            Frame::Ask { from, count } => {
                if self.feed.is_past(from) {
                    self.out.push_back(Output::Tables(link, from, count));
                    // Elsewhere asking costs nothing, and nobody shall make the edge owe by asking.
                    if self.overlay.is_planned() {
                        self.feed.charge_messages(count);
                    }
                }
                for message in self.feed.messages(from, count) {
                    self.send(link, Frame::Table(message));
                }
            }
            Frame::Signal { peer: to, body } => self.relay(slot, to, body),
            Frame::Ping { sent_us } => self.send(link, Frame::Pong { echo_us: sent_us, now_us: now.0 }),
            Frame::Report(report) => self.handle_report(slot, report),
            Frame::Switch { layers } => self.switch(slot, &layers),
            Frame::Hello(hello) => self.reach(slot, &hello),
            Frame::Bye(_) => self.let_go(slot),
            // Renewed tickets were checked by the host; the rest is not for an edge.
            _ => {}
        }
    }

    /// Who could be linked to nobody can be now: it takes part from now on, and what it holds of the edge moves as others do.
    fn reach(&mut self, slot: Slot, hello: &Hello) {
        let shut = |peer: &&Peer| peer.nat == Nat::Blocked && hello.nat != Nat::Blocked;
        let Some(peer) = self.overlay.roster.get(slot).filter(shut) else { return };
        let (layers, trusted) = (peer.layers, peer.proof.is_trusted(self.now));
        self.overlay.reach(slot, hello.nat);
        if trusted {
            let credit_bps = self.credit(hello, layers);
            self.overlay.set_alpha(slot, credit_bps, credit_bps);
        }
    }

    /// A peer asks for other layers: it gets them when there is room, else what it has is confirmed.
    fn switch(&mut self, slot: Slot, layers: &[LayerId]) {
        let Some(peer) = self.overlay.roster.get(slot).filter(|peer| peer.leaving.is_none()) else { return };
        let (now, nat) = (peer.layers, peer.nat);
        let layers = self.allowed(layers, peer.max_rate_bps);
        let numbers = self.numbers(layers & !now, 0, nat, 0);
        let granted =
            layers != 0 && (layers & !now == 0 || !matches!(admission::decide(numbers), Verdict::Elsewhere(_)));
        self.overlay.set_layers(slot, if granted { layers } else { now });
    }

    /// On demand: everything stays, and is pulled.
    fn is_recorded(&self) -> bool {
        self.overlay.recorded
    }

    fn subscribe(&mut self, slot: Slot, set: Substreams, from: PartId) {
        let overlay = &self.overlay;
        for lane in lanes_of(&overlay.lanes, set) {
            self.feed.subscribe(slot, lane, from, &overlay.lanes, standing(overlay, lane, slot));
        }
    }

    fn relay(&mut self, from: Slot, to: PeerId, body: Bytes) {
        let target = self.overlay.roster.by_id(to).and_then(|slot| self.overlay.roster.get(slot)).map(|peer| peer.link);
        let Some(peer) = self.overlay.roster.get_mut(from) else { return };
        if let (Some(link), 1..) = (target, peer.signals) {
            peer.signals -= 1;
            let frame = Frame::Signal { peer: peer.id, body };
            self.send(link, frame);
        }
    }

    fn handle_catalogue(&mut self, catalogue: Arc<Catalogue>, message: Bytes) {
        let lanes = Lanes::new(&catalogue);
        let shape = self.overlay.lanes.same_shape(&lanes);
        self.overlay.recorded = catalogue.mode == Mode::Vod;
        self.overlay.set_lanes(lanes);
        if !shape {
            self.feed.set_lanes(self.overlay.lanes.len());
        }
        self.broadcast(&message);
        (self.catalogue, self.end) = (Some((catalogue, message)), None);
    }

    fn handle_budget(&mut self, bps: u64) {
        let ledger = &mut self.overlay.ledger;
        ledger.set_budget(bps);
        self.feed.set_budget(bps, ledger.start_up_bps(), ledger.rescue_bps());
        self.overlay.shed(EDGE);
    }

    fn tick(&mut self, now: Instant) {
        self.next_tick = now + TICK;
        self.crowd.tick(now);
        let late: alloc::vec::Vec<_> =
            self.waiting.iter().filter(|(_, w)| now.since(w.since) > HELLO_WITHIN).map(|(link, _)| *link).collect();
        for link in late {
            self.waiting.remove(&link);
            self.refuse(link, Bye::Idle);
        }
        let mut doubted = 0;
        for slot in self.overlay.roster.present().to_vec() {
            let Some(peer) = self.overlay.roster.get_mut(slot) else { continue };
            peer.tick(now);
            doubted += usize::from(peer.is_doubted());
            let (left, silent) = (peer.leaving.is_some_and(|at| now >= at), now.since(peer.heard) > SILENT_PEER);
            if left || silent {
                let (link, why) = (peer.link, if left { Bye::Leaving } else { Bye::Idle });
                self.gone(slot);
                self.out.push_back(Output::Close(link, why));
            }
        }
        self.overlay.all_late = doubted * 2 > self.overlay.roster.len();
        self.overlay.many_late = doubted * 8 > self.overlay.roster.len();
        if self.draining {
            self.drain();
        }
        self.overlay.adopt_orphans();
        self.overlay.improve();
        self.load.tick(self.feed.sent().all(), TICK.as_millis() as u64);
        self.feed.set_spare(self.overlay.ledger.free_bps(EDGE));
        self.usual_bps = self.overlay.usual_bps().unwrap_or(u64::MAX);
        if self.hold.tick(now) {
            self.overlay.tell_all();
        }
        // What peers can give grows by so much per second, smoothed over a few: a refusal's retry time.
        let (all, _) = self.overlay.ledger.peers_bps();
        let grown = all.saturating_sub(self.before_bps) * 1_000 / TICK.as_millis() as u64;
        (self.growth_bps2, self.before_bps) = ((self.growth_bps2 * 7 + grown) / 8, all);
    }

    /// Some viewers go elsewhere, those first on whom fewest depend: a few at a time, so that the rest is served on.
    fn drain(&mut self) {
        let (roster, ledger) = (&self.overlay.roster, &self.overlay.ledger);
        let stays = |slot: &Slot| roster.get(*slot).is_some_and(|peer| peer.leaving.is_none());
        let mut slots: alloc::vec::Vec<_> = roster.present().iter().copied().filter(stays).collect();
        slots.sort_by_key(|slot| ledger.account(*slot).held_bps);
        for slot in slots.iter().take(roster.len().div_ceil(DRAIN_ROUNDS)) {
            self.let_go(*slot);
            let link = self.overlay.roster.get(*slot).map(|peer| peer.link);
            self.out.extend(link.map(|link| Output::Close(link, Bye::Moved)));
        }
    }

    /// A viewer goes: its children are handed over while it still serves them.
    fn let_go(&mut self, slot: Slot) {
        let until = self.now + HAND_OVER;
        if let Some(peer) = self.overlay.roster.get_mut(slot) {
            peer.leaving = Some(until);
            self.overlay.hand_over(slot);
        }
    }

    /// A viewer is gone, whatever the way: its slots are free.
    fn gone(&mut self, slot: Slot) {
        self.feed.remove(slot);
        if let Some(peer) = self.overlay.leave(slot) {
            self.out.push_back(Output::Event(Event::Left(peer.link, peer.id, peer.session)));
        }
    }

    fn refuse(&mut self, link: LinkId, why: Bye) {
        self.out.push_back(Output::Event(Event::Refused(link, why)));
        self.out.push_back(Output::Close(link, why));
    }

    fn broadcast(&mut self, message: &Bytes) {
        for slot in self.overlay.roster.present() {
            let link = self.overlay.roster.get(*slot).map(|peer| peer.link);
            self.out.extend(link.map(|link| Output::Send(link, Frame::Table(message.clone()))));
        }
    }

    /// Who gets anything from the edge hears of each part from it, too: others wait for what they may only pass on once they
    /// know it. Of the rest some, another few each time: so everybody knows when parts come to be, however many pass them on.
    fn announce(&mut self, part: u64, message: &Bytes) {
        if self.is_recorded() {
            return;
        }
        // Who is its child will subscribe in a moment; who subscribed may be a child no longer.
        let mut takers = self.overlay.takers_of_the_edge();
        takers.extend(self.feed.subscribers());
        for slot in self.overlay.roster.present() {
            let Some(peer) = self.overlay.roster.get(*slot) else { continue };
            if takers.contains(slot) || u64::from(peer.id.0) % TOLD_EVERY == part % TOLD_EVERY {
                self.out.push_back(Output::Send(peer.link, Frame::Table(message.clone())));
            }
        }
    }

    fn send(&mut self, link: LinkId, frame: Frame<P>) {
        self.out.push_back(Output::Send(link, frame));
    }
}

/// How a peer stands in a lane that the edge pushes.
fn standing(overlay: &Overlay, lane: Lane, slot: Slot) -> Standing {
    let tree = &overlay.trees[usize::from(lane)];
    let peer = overlay.roster.get(slot);
    let node = peer.and_then(|peer| peer.seat(lane));
    let child = node.is_some_and(|node| tree.parent(node) == Some(ROOT));
    Standing { peer: overlay.roster.id(slot), child, below: node.map_or(0, |node| tree.node(node).below) }
}

/// The lanes of a set of substreams, those that exist.
fn lanes_of(lanes: &Lanes, set: Substreams) -> impl Iterator<Item = Lane> + '_ {
    set.iter().filter_map(|substream| lanes.lane(substream))
}

fn micros(duration: Duration) -> u32 {
    duration.as_micros() as u32
}
