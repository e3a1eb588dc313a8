//! Which links do I have, and what did each other peer do?
//!
//! A link is wanted as long as the plan names the other peer (as source, child or neighbor). Of two peers the one with
//! the lower number dials, so that a link is made once.

use alloc::vec::Vec;
use core::time::Duration;

use trellis_proto::frame::{PeerId, Receipt};

use crate::few::Few;
use crate::limits::LINKS_MAX;
use crate::near::Near;
use crate::time::Instant;

/// All links but the edge's.
#[derive(Debug, Clone, Default)]
pub struct Neighbors {
    links: Few<PeerId, Link>,
    /// With whom to gossip.
    gossiping: Vec<PeerId>,
    receipts: Few<PeerId, Account>,
}

#[derive(Debug, Clone)]
struct Link {
    state: State,
    /// Since when nothing in the plan needs it.
    idle_since: Option<Instant>,
    /// Chunks asked of it and neither come nor given up.
    asked: usize,
    round_trip: Duration,
    /// When the last chunk came.
    heard: Option<Instant>,
    /// Until when it need not be asked again: it could not give.
    denied_until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Dialling,
    Up,
}

/// What one giver gave since the last report.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    bytes: u64,
    late: u16,
    busy: Duration,
    last: Option<Instant>,
}

impl Neighbors {
    /// The plan names this peer. True: make a link.
    pub fn want(&mut self, me: PeerId, peer: PeerId) -> bool {
        if let Some(link) = self.links.get_mut(peer) {
            link.idle_since = None;
            return false;
        }
        if peer.is_edge() || peer == me || self.links.len() >= LINKS_MAX || me > peer {
            return false;
        }
        self.links.get_or_insert_with(peer, || Link::new(State::Dialling));
        true
    }

    /// The link stands. False: there are too many.
    pub fn on_up(&mut self, peer: PeerId) -> bool {
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(peer) {
            return false;
        }
        self.links.get_or_insert_with(peer, || Link::new(State::Up)).state = State::Up;
        true
    }

    /// The link broke or was not made. True: it stood.
    pub fn on_lost(&mut self, peer: PeerId) -> bool {
        self.gossiping.retain(|neighbor| *neighbor != peer);
        self.links.remove(peer).is_some_and(|link| link.state == State::Up)
    }

    /// Can something be sent to this peer?
    pub fn is_up(&self, peer: PeerId) -> bool {
        peer.is_edge() || self.links.get(peer).is_some_and(|link| link.state == State::Up)
    }

    /// The plan says with whom to gossip.
    pub fn set_gossiping(&mut self, peers: Vec<PeerId>) {
        self.gossiping = peers;
    }

    /// Gossip with one more.
    pub fn add_gossiping(&mut self, peer: PeerId) {
        if !self.gossiping.contains(&peer) {
            self.gossiping.push(peer);
        }
    }

    /// Neighbors that can be told something.
    pub fn gossiping(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.gossiping.iter().copied().filter(|peer| self.is_up(*peer))
    }

    /// Neighbors, linked or not.
    pub fn named(&self) -> &[PeerId] {
        &self.gossiping
    }

    /// Links that nothing needs for a while: they are ended.
    pub fn take_idle(&mut self, now: Instant, needed: impl Fn(PeerId) -> bool) -> Vec<PeerId> {
        let mut idle = Vec::new();
        for (peer, link) in self.links.iter_mut() {
            if needed(peer) || self.gossiping.contains(&peer) {
                link.idle_since = None;
            } else if now.since(*link.idle_since.get_or_insert(now)) > IDLE_LINK {
                idle.push(peer);
            }
        }
        idle.iter().for_each(|peer| {
            self.links.remove(*peer);
        });
        idle
    }

    /// Nobody is asked for anything, until it is counted again.
    pub fn forget_asked(&mut self) {
        self.links.iter_mut().for_each(|(_, link)| link.asked = 0);
    }

    /// Asked it for so many chunks.
    pub fn on_asked(&mut self, peer: PeerId, chunks: usize) {
        if let Some(link) = self.links.get_mut(peer) {
            link.asked += chunks;
        }
    }

    /// It cannot give what it was asked for.
    pub fn on_denied(&mut self, peer: PeerId, until: Instant) {
        if let Some(link) = self.links.get_mut(peer) {
            link.denied_until = until;
        }
    }

    /// Neighbors that may be asked, by what they said of late.
    pub fn willing(&self, now: Instant) -> impl Iterator<Item = PeerId> + '_ {
        let willing = move |peer: &PeerId| self.links.get(*peer).is_some_and(|link| now >= link.denied_until);
        self.gossiping().filter(willing)
    }

    /// May it be asked, by what it said of late?
    pub fn is_willing(&self, now: Instant, peer: PeerId) -> bool {
        self.links.get(peer).is_some_and(|link| link.state == State::Up && now >= link.denied_until)
    }

    /// Has any of those I gossip with brought something just now?
    pub fn any_brings(&self, now: Instant) -> bool {
        let heard = |link: &Link| link.heard.is_some_and(|heard| now.since(heard) < BRINGS);
        let link = |peer: &PeerId| self.links.get(*peer).filter(|link| link.state == State::Up);
        self.gossiping.iter().filter_map(link).any(heard)
    }

    /// An ask was answered, or given up.
    pub fn on_answered(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.asked = link.asked.saturating_sub(1);
        }
    }

    /// Chunks it was asked for and did not bring yet.
    pub fn asked_of(&self, peer: PeerId) -> usize {
        self.links.get(peer).map_or(0, |link| link.asked)
    }

    /// The round trip was measured.
    pub fn on_round_trip(&mut self, peer: PeerId, round_trip: Duration) {
        if let Some(link) = self.links.get_mut(peer) {
            link.round_trip = round_trip;
        }
    }

    /// A verified chunk came from this giver.
    pub fn on_received(&mut self, now: Instant, from: PeerId, bytes: usize) {
        if let Some(link) = self.links.get_mut(from) {
            link.heard = Some(now);
        }
        let account = self.receipts.get_or_insert_with(from, Account::default);
        // What comes in a row measures the giver's rate; a pause is the giver's to make.
        let gap = account.last.map_or(IN_A_ROW, |last| now.since(last));
        account.busy += gap.min(IN_A_ROW);
        account.last = Some(now);
        account.bytes += bytes as u64;
    }

    /// Has nothing come from this giver for two parts?
    pub fn is_quiet(&self, now: Instant, from: PeerId) -> bool {
        let last = self.links.get(from).and_then(|link| link.heard);
        last.is_none_or(|last| now.since(last) > QUIET)
    }

    /// A chunk this giver should have brought did not come in time.
    pub fn on_late(&mut self, from: PeerId) {
        let account = self.receipts.get_or_insert_with(from, Account::default);
        account.late = account.late.saturating_add(1);
    }

    /// What everybody gave since this was last asked.
    pub fn take_receipts(&mut self) -> Vec<Receipt> {
        let receipts = self.receipts.drain().map(|(from, account)| Receipt {
            from,
            bytes: account.bytes.min(u64::from(u32::MAX)) as u32,
            late: account.late,
            busy_us: account.busy.as_micros().min(u128::from(u32::MAX)) as u32,
        });
        receipts.take(LINKS_MAX).collect()
    }

    /// Brings near what is kept of a peer: see `Peer::glance`.
    pub fn glance<N: Near>(&self, level: u8, peer: Option<PeerId>) {
        match (level, peer) {
            (1, _) => {
                self.links.glance::<N>();
                self.receipts.glance::<N>();
                self.gossiping.first().into_iter().for_each(N::near);
            }
            (2, Some(peer)) => {
                self.links.get(peer).into_iter().for_each(N::near);
                self.receipts.get(peer).into_iter().for_each(N::near);
            }
            _ => {}
        }
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }
}

impl Link {
    fn new(state: State) -> Self {
        Self {
            state,
            idle_since: None,
            asked: 0,
            round_trip: Duration::from_millis(100),
            denied_until: Instant(0),
            heard: None,
        }
    }
}

/// A link nothing needs lives this long: plans come back.
const IDLE_LINK: Duration = Duration::from_secs(10);
/// Who has what a viewer of a recording needs next brings a part of it in less than this.
const BRINGS: Duration = Duration::from_secs(5);
/// Two parts.
const QUIET: Duration = Duration::from_millis(700);
/// Chunks that come within this time of each other come in a row.
const IN_A_ROW: Duration = Duration::from_millis(50);
