//! Which data channels are there? Dials and answers by signals, knows whose datagram it is, sends and hears.
//!
//! Invariants: one connection per peer, a new attempt replaces the one before; and one per pair of sockets, for the packets
//! of two could not be told apart: when a newer one stands, the older is over. There are never more than [`LINKS_MAX`] and
//! a few that are being made.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input};
use trellis_core::limits::LINKS_MAX;
use trellis_proto::frame::{Nat, PeerId};
use trellis_proto::signal::session::Sdp;
use trellis_proto::signal::{Signal, Step, candidate};

use crate::link::{Heard, Link};
use crate::pace::Pace;
use crate::sockets::{ARRIVAL_BYTES_MAX, Arrival, Sockets};
use crate::stun::{self, Next, Question};

/// All of them.
pub struct Links {
    sockets: Sockets,
    hosts: Vec<Candidate>,
    links: BTreeMap<PeerId, Entry>,
    by_source: HashMap<SocketAddr, PeerId>,
    pace: Pace,
    events: VecDeque<Event>,
    dials: u32,
    /// Connections so far; the newest has this number.
    numbers: u64,
    buffer: Vec<u8>,
    /// Whose turn it is to send first.
    turn: PeerId,
    question: Option<Question>,
}

struct Entry {
    link: Link,
    began: Instant,
    /// From where it was last heard.
    source: Option<SocketAddr>,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Relay this to that peer.
    Signal(PeerId, Signal),
    /// The channel is open.
    Up(PeerId),
    /// It broke, or could not be made.
    Down(PeerId),
    /// A message came.
    Message(PeerId, Bytes),
    /// So many bytes are under way.
    Unsent(PeerId, u32),
    /// The edge's STUN server has answered: how we can be reached.
    Seen(Nat),
}

impl Links {
    /// None yet. At most so many bit/s are given.
    pub fn new(sockets: Sockets, upload_bps: Option<u64>, now: Instant) -> Self {
        Self {
            hosts: candidates(&sockets),
            sockets,
            links: BTreeMap::new(),
            by_source: HashMap::new(),
            pace: Pace::new(upload_bps, now),
            events: VecDeque::new(),
            dials: 0,
            numbers: 0,
            buffer: vec![0; ARRIVAL_BYTES_MAX],
            turn: PeerId::EDGE,
            question: None,
        }
    }

    /// Where the outside sees us: offered from now on.
    pub fn on_reflexive(&mut self, seen: SocketAddr) {
        let base =
            self.sockets.hosts().iter().find(|host| host.is_ipv4() == seen.is_ipv4() && !host.ip().is_loopback());
        let Some(base) = base.filter(|base| **base != seen) else { return };
        if let Ok(candidate) = Candidate::server_reflexive(seen, *base, "udp") {
            self.hosts.retain(|known| known.kind() == str0m::CandidateKind::Host);
            self.hosts.push(candidate);
        }
    }

    /// Asks where the outside sees us, unless that is being asked.
    pub fn ask(&mut self, now: Instant, server: SocketAddr) {
        if self.question.is_none() {
            self.question = Question::new(server, now);
            self.put_question(now);
        }
    }

    fn put_question(&mut self, now: Instant) {
        match self.question.as_mut().map(|question| question.next(now)) {
            Some(Next::Send(server, request)) => self.sockets.send(server, &request),
            Some(Next::GiveUp) => self.question = None,
            Some(Next::Wait(_)) | None => {}
        }
    }

    fn on_seen(&mut self, server: SocketAddr, seen: SocketAddr) {
        self.question = None;
        // When nothing went out, no route said where from.
        self.sockets.look_again(server.ip());
        self.hosts = candidates(&self.sockets);
        self.on_reflexive(seen);
        self.events.push_back(Event::Seen(stun::nat(self.sockets.hosts(), Some(Some(seen)))));
    }

    /// How many channels are open.
    pub fn open(&self) -> usize {
        self.links.values().filter(|entry| entry.link.is_open()).count()
    }

    /// How many connections were made so far, or begun.
    pub fn made(&self) -> u64 {
        self.numbers
    }

    /// Calls a peer.
    pub fn dial(&mut self, now: Instant, peer: PeerId) {
        self.dials = self.dials.wrapping_add(1);
        match Link::call(self.dials, self.next_number(), &self.hosts, now) {
            Some((link, sdp)) => {
                self.signal(peer, self.dials, Step::Offer(Sdp::new(sdp)));
                self.insert(now, peer, link);
            }
            None => self.events.push_back(Event::Down(peer)),
        }
    }

    /// A peer says something about a connection.
    pub fn on_signal(&mut self, now: Instant, peer: PeerId, signal: Signal) {
        let Signal { dial, step } = signal;
        if let Step::Offer(sdp) = step {
            return self.on_offer(now, peer, dial, &sdp.to_string());
        }
        let Some(entry) = self.links.get_mut(&peer).filter(|entry| entry.link.dial == dial) else { return };
        match step {
            Step::Answer(sdp) => entry.link.on_answer(&sdp.to_string()),
            Step::Candidate(candidate::Candidate::Text(text)) if text.is_empty() => return,
            Step::Candidate(address) => entry.link.on_candidate(&address.to_string()),
            // What stands is ended by its channel, not by who relays.
            Step::Hangup if entry.link.is_open() => return,
            Step::Hangup => return self.lose(peer, false),
            Step::Offer(_) => return,
        }
        self.settle(now, peer);
    }

    fn on_offer(&mut self, now: Instant, peer: PeerId, dial: u32, sdp: &str) {
        let known = self.links.get(&peer);
        let hasty = known.is_some_and(|entry| now < entry.began + REDIAL);
        let full = known.is_none() && self.links.len() >= LINKS_MAX + DIALLING_MAX;
        if hasty || full {
            return self.signal(peer, dial, Step::Hangup);
        }
        match Link::answer(dial, self.next_number(), &self.hosts, sdp, now) {
            Ok((link, sdp)) => {
                self.signal(peer, dial, Step::Answer(Sdp::new(sdp)));
                self.insert(now, peer, link);
            }
            Err(_) => self.signal(peer, dial, Step::Hangup),
        }
    }

    fn insert(&mut self, now: Instant, peer: PeerId, link: Link) {
        tracing::debug!(peer = peer.0, "a connection is being made");
        if let Some(before) = self.links.insert(peer, Entry { link, began: now, source: None }) {
            before.link.close(&mut self.sockets);
        }
        // Whose a datagram is has to be found out anew.
        self.by_source.clear();
        self.settle(now, peer);
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn signal(&mut self, peer: PeerId, dial: u32, step: Step) {
        self.events.push_back(Event::Signal(peer, Signal { dial, step }));
    }

    /// Sends a message; `chunk` is the length of the payload when it is a chunk. Who has too much waiting is lost.
    pub fn send(&mut self, now: Instant, peer: PeerId, message: Bytes, chunk: Option<usize>) {
        let Some(entry) = self.links.get_mut(&peer).filter(|entry| entry.link.is_open()) else { return };
        if !entry.link.push(message, chunk) {
            return self.lose(peer, true);
        }
        self.settle(now, peer);
    }

    /// Ends a connection that is not wanted any more.
    pub fn hang_up(&mut self, peer: PeerId) {
        if let Some(entry) = self.links.remove(&peer) {
            if !entry.link.is_open() {
                self.signal(peer, entry.link.dial, Step::Hangup);
            }
            entry.link.close(&mut self.sockets);
        }
    }

    /// Ends all.
    pub fn hang_up_all(&mut self) {
        let peers: Vec<_> = self.links.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.hang_up(peer));
    }

    /// Something may be here to be received.
    pub async fn readable(&self) {
        self.sockets.readable().await;
    }

    /// Receives what is here; a turn's worth, so that other things get theirs.
    pub fn receive(&mut self, now: Instant) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut datagrams = 0;
        while datagrams < DATAGRAMS_AT_ONCE {
            let Some(arrival) = self.sockets.receive(&mut buffer) else { break };
            datagrams += arrival.length.div_ceil(arrival.each).max(1);
            if arrival.each <= DATAGRAM_MAX {
                self.on_arrival(now, arrival, &buffer[..arrival.length]);
            }
        }
        self.buffer = buffer;
    }

    fn on_arrival(&mut self, now: Instant, arrival: Arrival, bytes: &[u8]) {
        for datagram in coupled(bytes, arrival.each) {
            self.on_datagram(now, arrival.source, arrival.destination, datagram);
        }
    }

    fn on_datagram(&mut self, now: Instant, source: SocketAddr, destination: SocketAddr, bytes: &[u8]) {
        if let Some(seen) = self.question.as_ref().and_then(|question| question.answered(source, bytes)) {
            return self.on_seen(source, seen);
        }
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else { return };
        let input = Input::Receive(now, receive);
        let Some(peer) = self.whose(source, bytes, &input) else { return };
        let Some(entry) = self.links.get_mut(&peer) else { return };
        entry.source = Some(source);
        entry.link.handle(input);
        self.settle(now, peer);
    }

    /// STUN says whose it is; of the rest, whoever was last heard from there, else the newest that knows the address.
    fn whose(&mut self, source: SocketAddr, bytes: &[u8], input: &Input<'_>) -> Option<PeerId> {
        let stun = bytes.first().is_some_and(|first| *first < 4);
        if !stun && let Some(peer) = self.by_source.get(&source) {
            return Some(*peer);
        }
        let accepting = self.links.iter().filter(|(_, entry)| entry.link.accepts(input));
        let peer = accepting.max_by_key(|(_, entry)| entry.link.number).map(|(peer, _)| *peer)?;
        if !stun {
            self.by_source.insert(source, peer);
        }
        Some(peer)
    }

    /// When [`Self::on_time`] is due.
    pub fn wake_at(&self) -> Option<Instant> {
        let links = self.links.values().map(|entry| entry.link.wake_at()).min();
        let waits = self.links.values().any(|entry| entry.link.waits_for_pace());
        let question = self.question.as_ref().map(Question::due);
        links.into_iter().chain(self.pace.opens_at().filter(|_| waits)).chain(question).min()
    }

    /// Time passed. Everybody who waits for the pace begins once.
    pub fn on_time(&mut self, now: Instant) {
        self.put_question(now);
        let after = self.links.range(PeerId(self.turn.0.saturating_add(1))..).map(|(peer, _)| *peer);
        let order: Vec<_> = after.chain(self.links.range(..=self.turn).map(|(peer, _)| *peer)).collect();
        self.turn = order.first().copied().unwrap_or(PeerId::EDGE);
        for peer in order {
            if let Some(entry) = self.links.get_mut(&peer) {
                entry.link.on_time(now);
                self.settle(now, peer);
            }
        }
    }

    /// What happened since.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// After something was done to a connection: what it says is heard, what waits is sent, and it is looked at whether it
    /// lives.
    fn settle(&mut self, now: Instant, peer: PeerId) {
        let Some(entry) = self.links.get_mut(&peer) else { return };
        let (events, mut opened) = (&mut self.events, false);
        let mut hear = |heard| match heard {
            Heard::Open => {
                opened = true;
                events.push_back(Event::Up(peer));
            }
            Heard::Message(bytes) => events.push_back(Event::Message(peer, bytes)),
        };
        entry.link.drain(&mut self.sockets, &mut hear);
        entry.link.flush(now, &mut self.pace, &mut self.sockets, &mut hear);
        if let Some(unsent) = entry.link.tell(now) {
            events.push_back(Event::Unsent(peer, unsent));
        }
        if entry.link.is_over() {
            return self.lose(peer, true);
        }
        let (number, source) = (entry.link.number, entry.source);
        if opened {
            self.end_older(number, source);
        }
    }

    /// Others between the same two sockets.
    fn end_older(&mut self, number: u64, source: Option<SocketAddr>) {
        let same = |entry: &Entry| source.is_some() && entry.source == source && entry.link.number < number;
        let older: Vec<_> = self.links.iter().filter(|(_, entry)| same(entry)).map(|(peer, _)| *peer).collect();
        for peer in older {
            // Its farewell would end the newer one at the other side.
            self.links.remove(&peer);
            self.events.push_back(Event::Down(peer));
        }
        self.by_source.clear();
    }

    /// It is over; who was being called is told.
    fn lose(&mut self, peer: PeerId, tell: bool) {
        let Some(entry) = self.links.remove(&peer) else { return };
        if tell && !entry.link.is_open() {
            self.signal(peer, entry.link.dial, Step::Hangup);
        }
        self.by_source.retain(|_, of| *of != peer);
        entry.link.close(&mut self.sockets);
        self.events.push_back(Event::Down(peer));
    }
}

/// The datagrams of an arrival, those that hold nothing but a record of application data a few together: DTLS lets a datagram
/// hold several records (RFC 6347 §4.1.1). So the connection looks through what is under way once for all of them, and
/// acknowledges them with one packet; both together are half of what a channel costs.
fn coupled(mut bytes: &[u8], each: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let records = bytes.chunks(each).take(RECORDS_MAX).take_while(|datagram| is_record(datagram));
        let length = records.map(<[u8]>::len).sum::<usize>().max(each.min(bytes.len()));
        let (next, rest) = bytes.split_at(length);
        bytes = rest;
        (!next.is_empty()).then_some(next)
    })
}

/// Is it one record of application data (RFC 6347 §4.3.1), to the byte?
fn is_record(datagram: &[u8]) -> bool {
    let [23, _, _, _, _, _, _, _, _, _, _, high, low, rest @ ..] = datagram else { return false };
    usize::from(u16::from_be_bytes([*high, *low])) == rest.len()
}

fn candidates(sockets: &Sockets) -> Vec<Candidate> {
    sockets.hosts().iter().filter_map(|host| Candidate::host(*host, "udp").ok()).collect()
}

/// Larger ones do not come over the internet.
const DATAGRAM_MAX: usize = 2_000;
const DATAGRAMS_AT_ONCE: usize = 64;
/// More in one datagram the library does not take.
const RECORDS_MAX: usize = 8;
/// Attempts beside what stands.
const DIALLING_MAX: usize = 16;
/// Who offers again sooner offers too much: each offer costs a handshake.
const REDIAL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Two nodes and who relays between them; and how often they were woken.
    struct Pair([Links; 2], usize);

    const NAMES: [PeerId; 2] = [PeerId(1), PeerId(2)];

    impl Pair {
        async fn new(upload_bps: Option<u64>) -> Self {
            let mut both = Vec::new();
            for _ in 0..2 {
                let sockets = Sockets::bind(Some(Ipv4Addr::LOCALHOST.into())).await.unwrap();
                both.push(Links::new(sockets, upload_bps, Instant::now()));
            }
            Self(both.try_into().unwrap_or_else(|_| unreachable!()), 0)
        }

        /// Runs both until `done` says so of what happened at which end.
        async fn run(&mut self, mut done: impl FnMut(&mut Self, usize, Event) -> bool) {
            let end = Instant::now() + Duration::from_secs(10);
            loop {
                let now = Instant::now();
                assert!(now < end, "not within ten seconds");
                for (end, name) in NAMES.into_iter().enumerate() {
                    self.0[end].receive(now);
                    self.0[end].on_time(now);
                    while let Some(event) = self.0[end].poll() {
                        match event {
                            Event::Signal(_, signal) => {
                                // As bytes, through an edge.
                                let signal = Signal::decode(&signal.encode()).unwrap();
                                self.0[1 - end].on_signal(now, name, signal);
                            }
                            event => {
                                if done(self, end, event) {
                                    return;
                                }
                            }
                        }
                    }
                }
                let wake = self.0.iter().filter_map(Links::wake_at).min().unwrap_or(end).min(end);
                self.1 += 1;
                tokio::select! {
                    () = self.0[0].readable() => {}
                    () = self.0[1].readable() => {}
                    () = tokio::time::sleep_until(wake.into()) => {}
                }
            }
        }

        async fn linked(upload_bps: Option<u64>) -> Self {
            let mut pair = Self::new(upload_bps).await;
            pair.0[0].dial(Instant::now(), NAMES[1]);
            let mut up = 0;
            pair.run(|_, _, event| {
                up += usize::from(matches!(event, Event::Up(_)));
                up == 2
            })
            .await;
            pair
        }
    }

    #[tokio::test]
    async fn two_nodes_link_and_every_message_comes_whole_both_ways() {
        let mut pair = Pair::linked(None).await;
        let message = |end: usize, n: usize| Bytes::from(vec![(end * 100 + n) as u8; 1 + n * 400]);
        for end in 0..2 {
            (0..40).for_each(|n| {
                pair.0[end].send(Instant::now(), NAMES[1 - end], message(end, n), Some(1 + n * 400));
            });
        }
        let (mut got, mut told) = ([0; 2], [u32::MAX; 2]);
        pair.run(|_, end, event| {
            match event {
                Event::Message(from, bytes) => {
                    assert_eq!((from, &bytes), (NAMES[1 - end], &message(1 - end, (bytes.len() - 1) / 400)));
                    got[end] += 1;
                }
                Event::Unsent(_, bytes) => told[end] = bytes,
                _ => {}
            }
            got == [40; 2] && told == [0; 2]
        })
        .await;
        pair.0[0].hang_up(NAMES[1]);
        pair.run(|_, end, event| matches!((end, event), (1, Event::Down(PeerId(1))))).await;
    }

    #[test]
    fn only_whole_records_of_application_data_are_coupled() {
        let record = |kind: u8, body: u16| {
            let header = [kind, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9];
            [&header[..], &body.to_be_bytes(), &vec![kind; body.into()]].concat()
        };
        let lengths = |datagrams: &[Vec<u8>]| {
            let each = datagrams[0].len().max(1);
            coupled(&datagrams.concat(), each).map(<[u8]>::len).collect::<Vec<_>>()
        };
        let media = record(23, 37);
        assert_eq!(lengths(&vec![media.clone(); 11]), [400, 150]);
        // The last may be shorter; a handshake, a word of STUN and a wrong length stand alone.
        assert_eq!(lengths(&[media.clone(), media.clone(), record(23, 7)]), [120]);
        assert_eq!(lengths(&[media.clone(), record(22, 37), media.clone(), media.clone()]), [50, 50, 100]);
        assert_eq!(lengths(&[vec![1; 50], vec![1; 50], media.clone()]), [50, 50, 50]);
        let wrong = [&record(23, 36)[..], &[0]].concat();
        assert_eq!(lengths(&[media.clone(), wrong.clone(), media]), [50, 50, 50]);
        assert_eq!(lengths(&[wrong[..12].to_vec()]), [12]);
        assert_eq!(lengths(&[vec![]]), [0; 0]);
    }

    #[tokio::test]
    async fn a_limit_holds_and_looks_like_a_slow_line() {
        let mut pair = Pair::linked(Some(2_000_000)).await;
        let start = Instant::now();
        (0..10).for_each(|_| pair.0[0].send(start, NAMES[1], vec![7; 16_000].into(), Some(16_000)));
        pair.0[0].send(start, NAMES[1], b"a word".to_vec().into(), None);
        let (mut media, mut told) = (0, Vec::new());
        pair.run(|_, _, event| {
            match event {
                Event::Message(_, bytes) if bytes.len() == 16_000 => media += 1,
                Event::Message(..) => assert!(media < 2, "words do not wait behind media"),
                Event::Unsent(_, bytes) => told.push(bytes),
                _ => {}
            }
            media == 10
        })
        .await;
        // 160 kB and what surrounds them, but for the last one and for what may leave at once.
        let took = start.elapsed();
        assert!(took > Duration::from_millis(520), "{took:?}");
        assert!(pair.1 < 2_000, "{} turns: who waits does not spin", pair.1);
        assert!(told.len() > 10 && told.windows(2).filter(|pair| pair[1] > pair[0]).count() < 2, "{told:?}");
    }

    #[tokio::test]
    async fn a_new_call_replaces_the_old_and_nonsense_does_no_harm() {
        let mut pair = Pair::linked(None).await;
        tokio::time::sleep(REDIAL).await;
        pair.0[0].dial(Instant::now(), NAMES[1]);
        let mut up = [0; 2];
        pair.run(|_, end, event| {
            up[end] += usize::from(matches!(event, Event::Up(_)));
            up == [1; 2]
        })
        .await;
        assert_eq!((pair.0[0].open(), pair.0[1].open()), (1, 1));
        let now = Instant::now();
        for step in [
            Step::Offer(Sdp::new("v=0\r\n".into())),
            Step::Answer(Sdp::new("nonsense".into())),
            Step::Candidate(candidate::Candidate::new("candidate:1 1 udp 1 0e1c.local 9 typ host".into())),
            Step::Hangup,
        ] {
            pair.0[0].on_signal(now, PeerId(9), Signal { dial: 1, step });
        }
        assert_eq!(pair.0[0].links.len(), 1);
        let stray = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = pair.0[0].sockets.hosts()[0];
        stray.send_to(&[0x16, 0xfe, 0xfd, 0, 0], here).unwrap();
        pair.0[0].send(now, NAMES[1], b"still there".to_vec().into(), None);
        pair.run(|_, _, event| matches!(event, Event::Message(_, bytes) if &bytes[..] == b"still there")).await;
    }

    #[tokio::test]
    async fn who_does_not_answer_is_lost_after_three_seconds_and_told_so() {
        let mut pair = Pair::new(None).await;
        let start = Instant::now();
        pair.0[0].dial(start, NAMES[1]);
        while let Some(Event::Signal(..)) = pair.0[0].poll() {}
        pair.0[0].on_time(start + Duration::from_millis(2_900));
        assert!(pair.0[0].poll().is_none());
        pair.0[0].on_time(start + Duration::from_millis(3_000));
        let said: Vec<_> = std::iter::from_fn(|| pair.0[0].poll()).collect();
        let [Event::Signal(_, signal), Event::Down(PeerId(2))] = &said[..] else { panic!("{said:?}") };
        assert_eq!(signal.step, Step::Hangup);
    }
}
