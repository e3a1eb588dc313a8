//! Who runs a stream's cluster? One task: what comes from links, shelf and clock goes in, what the cluster wants is done.
//! It decides nothing.
//!
//! Invariant: it waits for no link, for nothing but its inputs; a link that is not up to what it is sent is closed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use trellis_core::cluster::{Cluster, Config, Event as ClusterEvent, Input, LinkId, Output, Shares};
use trellis_core::locality::Locality;
use trellis_core::time::Instant;
use trellis_proto::StreamId;
use trellis_proto::frame::{Bye, ChunkId, Complaint, Fault, Frame, Hello, PartId, PeerId, Report};

use super::super::Edge;
use super::super::promises::{Allowance, Claim};
use super::super::session::Visit;
use super::Standing;
use super::gauges;
use super::instrument::Instrument;
use super::link::{Line, word};
use super::member::{Member, Purposes};
use super::parts::{self, Step};
use super::policy;
use super::signals::Signals;
use crate::clock::unix_ms;
use crate::keyfile;
use crate::shelf::Shelf;

/// What happens to a host.
pub enum Event {
    /// A link stands.
    Opened(Box<Opened>),
    /// It said this.
    Frame(LinkId, Frame),
    /// Some of what it was handed has left.
    Left(LinkId),
    /// It is no more.
    Closed(LinkId),
    /// Something is wrong with us.
    #[cfg(test)]
    Broken,
}

/// A new link.
pub struct Opened {
    /// Its number.
    pub number: LinkId,
    /// The way to it.
    pub line: Line,
    /// Whose it is.
    pub visit: Visit,
    /// Where it comes from.
    pub locality: Locality,
}

/// A stream's cluster and what it lives on.
pub struct Host {
    edge: Arc<Edge>,
    stream: StreamId,
    shelf: Arc<Shelf>,
    cluster: Cluster<Bytes>,
    allowance: Allowance,
    /// The allowance the cluster knows, bit/s.
    told_bps: u64,
    epoch: tokio::time::Instant,
    members: HashMap<LinkId, Member>,
    /// Greetings of who is kept from the others.
    hidden: HashMap<LinkId, Hello>,
    signals: Signals,
    /// Sum of the rates of who is in, bit/s.
    rates_bps: u64,
    newest: Option<PartId>,
    purposes: Purposes,
    instrument: Instrument,
    /// What fluctuations of its viewers may need, bit/s.
    headroom_bps: u64,
    /// One of the streams of which the edge tells what the model says, once there is a place for it.
    told: Option<OwnedSemaphorePermit>,
    /// How it stands, for the edge's reports.
    standing: Arc<Mutex<Standing>>,
    looked: tokio::time::Instant,
    fetches: JoinSet<(LinkId, ChunkId, Option<Bytes>)>,
}

impl Host {
    /// Of nobody yet. It says in `standing` how it stands.
    pub fn open(edge: Arc<Edge>, stream: StreamId, standing: Arc<Mutex<Standing>>) -> Self {
        let allowance = edge.promises.allowance();
        let config = Config { budget_bps: allowance.bps(), first_peer: edge.clusters.next_peer(), ..Config::default() };
        let seed = u64::from_be_bytes(keyfile::random());
        Self {
            shelf: edge.streams.shelf(&stream),
            cluster: Cluster::new(config, seed, Instant(0)),
            told_bps: config.budget_bps,
            allowance,
            epoch: tokio::time::Instant::now(),
            looked: tokio::time::Instant::now(),
            members: HashMap::new(),
            hidden: HashMap::new(),
            signals: Signals::default(),
            rates_bps: 0,
            newest: None,
            purposes: Purposes::new(),
            instrument: Instrument::default(),
            headroom_bps: 0,
            told: None,
            stream,
            standing,
            fetches: JoinSet::new(),
            edge,
        }
    }

    /// Runs until it has been of no use for a while, or the edge is closed.
    pub async fn run(mut self, mut events: mpsc::Receiver<Event>) {
        let (sender, mut steps) = mpsc::channel(STEPS_MAX);
        let mut begun = JoinSet::new();
        begun.spawn(parts::follow(self.shelf.clone(), sender));
        self.await_first_tables(&mut steps).await;
        let (closed, stop) = (self.edge.closed.clone(), self.edge.stop.clone());
        let (mut drain_until, mut useful) = (None, tokio::time::Instant::now());
        loop {
            self.act();
            self.look_around();
            let (wake_at, is_idle) = (self.wake_at(), self.members.is_empty());
            useful = if is_idle { useful } else { tokio::time::Instant::now() };
            let drained = drain_until.unwrap_or(wake_at + LINGER);
            tokio::select! {
                biased;
                () = closed.wait() => return self.leave_all(),
                () = stop.wait(), if drain_until.is_none() => {
                    drain_until = Some(tokio::time::Instant::now() + DRAIN);
                    self.handle(Input::Drain);
                }
                () = tokio::time::sleep_until(drained) => return self.leave_all(),
                Some(step) = steps.recv() => self.on_step(step),
                Some(Ok((link, id, chunk))) = self.fetches.join_next() => self.handle(Input::Fetched(link, id, chunk)),
                () = tokio::time::sleep_until(wake_at) => self.handle(Input::Wake),
                event = events.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                // Whoever comes now finds this door closed, and another host behind the next.
                () = tokio::time::sleep_until(useful + LINGER), if is_idle => return,
            }
        }
    }

    /// Newcomers that came with the stream's first request are heard once there is something to tell them.
    async fn await_first_tables(&mut self, steps: &mut mpsc::Receiver<Step>) {
        let told = async {
            while let Some(step @ Step::Tell(_)) = steps.recv().await {
                self.on_step(step);
            }
        };
        let _ = tokio::time::timeout(FIRST_TABLES, told).await;
    }

    fn on_step(&mut self, step: Step) {
        let Step::Tell(input) = step else { return };
        if let Input::Part(descriptor, ..) = &input {
            self.newest = Some(PartId { run: descriptor.run, part: descriptor.part });
        }
        self.handle(input);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => self.on_opened(*opened),
            Event::Frame(link, frame) => {
                let Some(member) = self.members.get_mut(&link) else { return };
                member.hears(&frame);
                match frame {
                    Frame::Renew(message) => self.edge.renewed(&message).iter().for_each(|ticket| member.renew(ticket)),
                    Frame::Signal { peer: to, .. } if !self.may_signal(link, to) => {
                        metrics::counter!("trellis_cluster_signals_dropped_total").increment(1);
                    }
                    Frame::Hello(hello) => self.on_hello(link, hello),
                    Frame::Report(report) => self.on_report(link, report),
                    frame => self.handle(Input::Frame(link, frame)),
                }
            }
            Event::Left(link) => {
                if let Some(member) = self.members.get(&link) {
                    let unsent = member.line.unsent();
                    self.handle(Input::Unsent(link, unsent));
                }
            }
            Event::Closed(link) => self.lose(link),
            #[cfg(test)]
            Event::Broken => panic!("as the test asked"),
        }
    }

    /// Whom a viewer could not reach because its words were not relayed, the cluster does not hear of.
    fn on_report(&mut self, link: LinkId, mut report: Report) {
        if let Some(from) = self.members.get(&link).and_then(Member::peer) {
            let signals = &self.signals;
            let counts = |it: &Complaint| it.fault != Fault::Unreachable || signals.were_heard(from, it.peer);
            report.complaints.retain(counts);
        }
        self.handle(Input::Frame(link, Frame::Report(report)));
    }

    /// May what this link says to another viewer be relayed? Who is not in yet says nothing.
    fn may_signal(&mut self, link: LinkId, to: PeerId) -> bool {
        let Some(from) = self.members.get(&link).and_then(Member::peer) else { return true };
        let wanted = self.cluster.wants_linked(from, to);
        self.signals.admits(tokio::time::Instant::now(), from, to, wanted)
    }

    fn on_opened(&mut self, Opened { number: link, line, visit, locality }: Opened) {
        let member = Member::new(line, visit, locality);
        let rejoins = member.ticket().rejoins;
        self.members.insert(link, member);
        self.announce(link, rejoins);
    }

    fn announce(&mut self, link: LinkId, rejoins: bool) {
        let Some(member) = self.members.get(&link) else { return };
        let (session, max_rate_bps) = (member.ticket().session, member.ticket().max_rate);
        let locality = member.locality;
        self.handle(Input::Opened { link, session, max_rate_bps, locality, rejoins });
    }

    /// The cluster hears it as the viewer's ticket allows; a later one says how the viewer can be reached now.
    fn on_hello(&mut self, link: LinkId, hello: Hello) {
        let Some(member) = self.members.get(&link) else { return };
        let is_new = member.peer().is_none();
        let viewers = self.cluster.viewers() + usize::from(is_new);
        let waits = self.hidden.remove(&link).is_some() || is_new;
        let shown = !waits || policy::shows(member.ticket(), viewers);
        let heard = policy::greeting(member.ticket(), shown, hello.clone());
        if !shown {
            self.hidden.insert(link, hello);
        }
        self.handle(Input::Frame(link, Frame::Hello(heard)));
    }

    /// There may be enough viewers now: those that were kept from the others say how they can be reached. Who was shown
    /// once stays so, for the others know its addresses.
    fn show_the_hidden(&mut self) {
        let viewers = self.cluster.viewers();
        let ready = |link: &LinkId| {
            self.members.get(link).is_some_and(|m| m.peer().is_some() && policy::shows(m.ticket(), viewers))
        };
        let ready: Vec<_> = self.hidden.keys().copied().filter(ready).collect();
        for link in ready {
            let Some(hello) = self.hidden.remove(&link) else { continue };
            let Some(member) = self.members.get(&link) else { continue };
            let hello = policy::greeting(member.ticket(), true, hello);
            self.handle(Input::Frame(link, Frame::Hello(hello)));
        }
    }

    fn lose(&mut self, link: LinkId) {
        if self.remove(link) {
            self.handle(Input::Closed(link));
        }
    }

    /// False: it was not here.
    fn remove(&mut self, link: LinkId) -> bool {
        self.hidden.remove(&link);
        let member = self.members.remove(&link);
        self.rates_bps -= member.as_ref().map_or(0, Member::rate_bps);
        member.is_some()
    }

    /// The cluster acts, under the allowance it has now.
    fn handle(&mut self, input: Input<Bytes>) {
        let (now, cluster, told) = (self.now(), &mut self.cluster, &mut self.told_bps);
        let reserve_bps = reserve_bps(self.rates_bps, self.headroom_bps);
        self.allowance.during(|allowed| {
            // Less is told at once, more when it is worth it.
            if allowed < *told || allowed > *told + *told / NOTICEABLE {
                *told = allowed;
                cluster.handle(now, Input::Budget(allowed));
            }
            cluster.handle(now, input);
            let shares = Shares::default();
            let held_bps = cluster.edge_held_bps().saturating_mul(1_000) / u64::from(shares.serving);
            Claim { held_bps, reserved_bps: reserve_bps }
        });
    }

    /// What is done now and then: who may stay no longer goes, and the edge hears how the cluster stands.
    fn look_around(&mut self) {
        let now = tokio::time::Instant::now();
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        let now_s = unix_ms() / 1_000;
        let expired: Vec<_> =
            self.members.iter().filter(|(_, member)| member.is_expired(now_s)).map(|(link, _)| *link).collect();
        for link in expired {
            self.close(link, Bye::Ticket);
            self.handle(Input::Closed(link));
        }
        self.signals.tidy(now);
        self.edge.promises.share_out();
        self.read_instrument();
        #[cfg(test)]
        self.edge.clusters.looked.notify_waiters();
    }

    /// What the model makes of it, for operators, for who is refused and for the reserve.
    fn read_instrument(&mut self) {
        // A place becomes free when another stream is watched no more.
        if self.told.is_none() {
            self.told = self.edge.clusters.models.clone().try_acquire_owned().ok();
        }
        let (now_ms, stats) = (self.now_ms(), self.cluster.stats());
        let reading = self.instrument.look(now_ms, &stats);
        if let Some(reading) = &reading {
            self.headroom_bps = reading.headroom_bps;
            self.handle(Input::Relief(reading.relief_bps2));
        }
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.stats = stats;
        if let Some(mut reading) = reading {
            standing.relief_bps2 = reading.relief_bps2;
            if self.told.is_some() {
                reading.model.stream = self.stream.to_string();
                gauges::set(&reading.model);
                standing.model = Some(reading.model);
            }
        }
    }

    /// Does all the cluster wants.
    fn act(&mut self) {
        while let Some(output) = self.cluster.poll() {
            match output {
                Output::Send(link, frame) => self.send(link, &frame),
                Output::Fetch(link, id) => {
                    let shelf = self.shelf.clone();
                    self.fetches.spawn(async move { (link, id, parts::chunk(shelf, id).await) });
                }
                Output::Tables(link, from, count) => {
                    let tables = parts::tables(&self.shelf, from, count);
                    tables.into_iter().for_each(|table| self.send(link, &Frame::Table(table)));
                }
                Output::Close(link, bye) => self.close(link, bye),
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn send(&mut self, link: LinkId, frame: &Frame) {
        let Some(member) = self.members.get_mut(&link) else { return };
        let bytes = Bytes::from(frame.encode());
        let all = bytes.len() as u64;
        if !member.line.send(bytes) {
            metrics::counter!("trellis_cluster_links_cut_total", "reason" => "slow").increment(1);
            return self.lose(link);
        }
        self.purposes.count(all, member.books(frame, all));
        // The cluster paces itself within what it is allowed; what others take beyond their share comes after it.
        self.edge.gate.book(std::time::Instant::now(), all as usize).leave();
    }

    /// Says good-bye; the link ends after that.
    fn close(&mut self, link: LinkId, bye: Bye) {
        self.send(link, &Frame::Bye(bye));
        self.remove(link);
    }

    fn note(&mut self, event: ClusterEvent) {
        match event {
            ClusterEvent::Admitted(link, peer, session) => {
                if let Some(member) = self.members.get_mut(&link) {
                    self.rates_bps -= member.rate_bps();
                    member.admit(&self.edge, peer, self.newest);
                    self.rates_bps += member.rate_bps();
                }
                self.edge.clusters.note_peer(peer);
                self.instrument.admitted(self.now_ms(), session);
                self.show_the_hidden();
                metrics::counter!("trellis_cluster_admitted_total").increment(1);
            }
            ClusterEvent::Refused(link, bye) => {
                if let (Some(member), Bye::NoRoom(_)) = (self.members.get(&link), bye) {
                    let session = member.ticket().session;
                    self.instrument.refused(self.now_ms(), session);
                }
                metrics::counter!("trellis_cluster_refused_total", "reason" => word(bye)).increment(1);
            }
            ClusterEvent::Banned(..) => metrics::counter!("trellis_cluster_banned_total").increment(1),
            ClusterEvent::Left(_, _, session) => self.instrument.left(self.now_ms(), session),
            ClusterEvent::Parole(..) => {}
        }
    }

    /// The edge is closed: who is still here goes to another one.
    fn leave_all(&mut self) {
        for link in self.members.keys().copied().collect::<Vec<_>>() {
            self.close(link, Bye::Moved);
        }
    }

    fn wake_at(&self) -> tokio::time::Instant {
        let at = self.cluster.wake_at().map(|at| self.epoch + Duration::from_micros(at.0));
        // A timer is no finer than a millisecond: the cluster is not woken more often.
        at.map_or_else(|| tokio::time::Instant::now() + LINGER, |at| at.max(tokio::time::Instant::now() + WAKE_GAP))
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn now(&self) -> Instant {
        Instant(self.epoch.elapsed().as_micros() as u64)
    }
}

/// What plain sessions may not have, bit/s, what the edge gives included: as much as fluctuations may need, within bounds.
fn reserve_bps(rates_bps: u64, headroom_bps: u64) -> u64 {
    headroom_bps.clamp(rates_bps / RESERVED_OF, rates_bps / RESERVED_OF_MOST)
}

/// A host without links ends after so long.
const LINGER: Duration = Duration::from_secs(30);
/// As long as players wait for the first tables of a stream that is fetched for its first viewer.
const FIRST_TABLES: Duration = Duration::from_secs(4);
const WAKE_GAP: Duration = Duration::from_millis(1);
const STEPS_MAX: usize = 4;
/// How often the edge is told.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// An allowance that grew by less than one in so many is not told.
const NOTICEABLE: u64 = 50;
/// Of what its viewers watch, the edge keeps one in so many free for those whom the mesh fails: plain sessions do not get
/// it, however little the edge itself gives.
const RESERVED_OF: u64 = 10;
/// And never more than one in so many, however few they are.
const RESERVED_OF_MOST: u64 = 4;
/// After a stop viewers move to other edges, a few at a time, for so long; the rest then goes at once. The listener waits a
/// little longer.
const DRAIN: Duration = Duration::from_secs(6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_what_fluctuations_need_from_a_tenth_to_a_quarter_of_what_viewers_watch() {
        assert_eq!([0, 9, 17, 90].map(|headroom| reserve_bps(100, headroom)), [10, 10, 17, 25]);
        assert_eq!(reserve_bps(0, 90), 0, "nobody watches");
    }
}
