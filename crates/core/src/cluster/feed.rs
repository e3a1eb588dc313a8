//! What does the edge itself send, to whom, and when? Keeps the window, pushes it to those who subscribed, answers
//! wants, all through one outbox and at the pace of the budget.
//!
//! First goes what is pushed to those on whom others wait: it is little, and what is late here is late everywhere, so
//! that more would have to be rescued than was saved. Then what is wanted with a deadline near, or by somebody who just
//! came, as far as the shares for that last; then the pushes to all others, earlier parts first; what is beyond waits
//! behind these, so that one who asks for much harms nobody but themselves.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::Descriptor;
use trellis_proto::RunId;
use trellis_proto::frame::{Bits, Chunk, ChunkId, Frame, LayerId, PartId, PeerId, Row};

use super::event::Chunks;
use super::lanes::{Lane, Lanes};
use super::roster::Slot;
use crate::limits::KEEP_PARTS;
use crate::outbox::{Outbox, Rank, Room, due_ms, tie};
use crate::time::Instant;
use crate::trust::Payload;

/// Why something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A slot of the edge.
    Seeding,
    /// The first fill of who just came.
    StartUp,
    /// It came in no other way.
    Rescue,
}

/// Payload bytes sent, by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Slots of the edge.
    pub seeding: u64,
    /// First fills.
    pub start_up: u64,
    /// What came in no other way.
    pub rescue: u64,
}

impl Sent {
    /// For whatever purpose.
    pub fn all(&self) -> u64 {
        self.seeding + self.start_up + self.rescue
    }
}

/// The window and the way out.
#[derive(Debug, Clone)]
pub struct Feed<P> {
    parts: VecDeque<Stored<P>>,
    next: u64,
    subscriptions: Vec<Vec<Subscription>>,
    outbox: Outbox<Slot, Item<P>>,
    pace: Bucket,
    favor: Bucket,
    /// What of a recording is asked for without haste gets what haste leaves of all but the rescue share.
    serve: Bucket,
    /// What of the start-up share is promised to nobody; it is spent when somebody is let in, before they ask.
    fills: Bucket,
    /// The shares for start-up and rescue, bit/s.
    shares: (u64, u64),
    /// Asked of the host; in haste or not.
    fetching: BTreeMap<(Slot, ChunkId), bool>,
    sent: Sent,
    dropped: u64,
}

#[derive(Debug, Clone)]
struct Stored<P> {
    id: PartId,
    number: u64,
    arrived: Instant,
    independent: bool,
    message: Bytes,
    chunks: Arc<Chunks<P>>,
}

#[derive(Debug, Clone, Copy)]
struct Subscription {
    to: Slot,
    from: PartId,
    guest_until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Item<P> {
    id: ChunkId,
    payload: P,
    purpose: Purpose,
    /// Of its part, in the order in which they came; what was asked for never gets old.
    number: u64,
}

/// What tells why a peer wants something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// When it came: what is older fills its buffer.
    pub joined: Instant,
    /// On demand a want is the usual way.
    pub recorded: bool,
    /// Whoever is to bring it has it: who is turned away here can turn there.
    pub planned: bool,
}

/// Who is served in a lane, as the plan has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Who.
    pub peer: PeerId,
    /// The edge is its parent there.
    pub child: bool,
    /// How many hang below it.
    pub below: u32,
}

/// Pushed to who passes it on.
const ROOT: u8 = 0;
/// Wanted in haste, within the shares.
const FAVORED: u8 = 1;
/// Pushed to who passes nothing on.
const LEAF: u8 = 2;
/// Wanted beyond the shares.
const OTHER: u8 = 3;
/// Handed to one link and not gone yet: enough to keep it busy, little enough to be overtaken.
const LINK_ROOM: u64 = 48 * 1024;
/// Things waiting for one link.
const WAITING_MAX: usize = 1_024;
/// Fetches under way.
const FETCHING_MAX: usize = 1_024;
/// Whoever is no child any more is served this long, until the new parent does.
const GUEST: Duration = Duration::from_secs(3);
/// The shares save up for so long.
const SAVED: Duration = Duration::from_secs(2);
/// When sending what waits takes longer, what is asked for beyond the shares is denied.
const BEHIND: Duration = Duration::from_millis(500);
/// A pushed chunk that waited longer helps nobody: whoever needed it has asked.
const STALE_PARTS: u64 = 6;
/// So many children of a lane are sent what is in the window already.
const PAST_TO: usize = 2;

impl<P: Payload> Feed<P> {
    /// Nothing to send; may send so many bit/s, of which two shares are for start-up and for rescue.
    pub fn new(budget_bps: u64, shares: (u64, u64), now: Instant) -> Self {
        Self {
            parts: VecDeque::new(),
            next: 0,
            subscriptions: Vec::new(),
            outbox: Outbox::new(Room { total: u64::MAX, link: LINK_ROOM, waiting: WAITING_MAX }),
            pace: Bucket::new(budget_bps, Duration::from_millis(20), now),
            favor: Bucket::new(budget_bps, SAVED, now),
            serve: Bucket::new(budget_bps.saturating_sub(shares.1), SAVED, now),
            fills: Bucket::new(budget_bps.saturating_sub(shares.1), SAVED, now),
            shares,
            fetching: BTreeMap::new(),
            sent: Sent::default(),
            dropped: 0,
        }
    }

    /// The budget changed.
    pub fn set_budget(&mut self, budget_bps: u64, start_up_bps: u64, rescue_bps: u64) {
        self.pace.bps = budget_bps;
        self.shares = (start_up_bps, rescue_bps);
        self.serve.bps = budget_bps.saturating_sub(rescue_bps);
        self.set_spare(0);
    }

    /// So much of the serving share nobody holds: meanwhile it is for start-up, too.
    pub fn set_spare(&mut self, spare_bps: u64) {
        self.favor.bps = self.shares.0 + self.shares.1;
        self.fills.bps = self.shares.0 + spare_bps;
    }

    /// Payload bytes sent so far, by purpose.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Bits the start-up share has saved up and promised to nobody.
    pub fn fill_bits(&self) -> u64 {
        if self.is_behind(BEHIND * 2) { 0 } else { u64::try_from(self.fills.bytes).unwrap_or(0) * 8 }
    }

    /// Bits of first fills beyond what was saved up.
    pub fn owed_bits(&self) -> u64 {
        self.fills.bytes.min(0).unsigned_abs() * 8
    }

    /// Bits per second by which that grows.
    pub fn fill_bps(&self) -> u64 {
        self.fills.bps
    }

    /// Somebody was let in whose first fill takes so much.
    pub fn promise_fill(&mut self, bits: u64) {
        self.fills.spend(bits / 8);
    }

    /// So many bytes of something else are sent: the line carries them, too.
    pub fn charge(&mut self, bytes: usize) {
        self.pace.spend(bytes as u64);
    }

    /// So many of the run's messages are sent by the host: about as large as the newest.
    pub fn charge_messages(&mut self, count: u8) {
        let each = self.parts.back().map_or(0, |part| part.message.len());
        self.pace.owe((each * usize::from(count)) as u64);
    }

    /// A run with so many lanes begins; who subscribed before subscribes again.
    pub fn set_lanes(&mut self, lanes: usize) {
        self.subscriptions.clear();
        self.subscriptions.resize_with(lanes, Vec::new);
    }

    /// Everything from the newest part on that can be decoded alone and came no later than `before`: the bits of these
    /// layers, and the messages.
    pub fn start(&self, before: Instant, layers: &[LayerId]) -> (u64, Vec<Bytes>) {
        let fits = |p: &Stored<P>| p.independent && p.arrived <= before;
        let from = self.parts.iter().rposition(fits).or_else(|| self.parts.iter().position(|p| p.independent));
        let from = from.unwrap_or(self.parts.len());
        let past = || self.parts.iter().skip(from);
        let of =
            |p: &Stored<P>| layers.iter().flat_map(|of| chunks_of(&p.chunks, *of)).map(Payload::size).sum::<usize>();
        (past().map(of).sum::<usize>() as u64 * 8, past().map(|p| p.message.clone()).collect())
    }

    /// The messages of the parts from one on, at most `count`.
    pub fn messages(&self, from: PartId, count: u8) -> Vec<Bytes> {
        let asked = self.parts.iter().skip_while(|p| p.id < from).take(usize::from(count));
        asked
            .take_while(|p| p.id.run == from.run && p.id.part < from.part.saturating_add(u64::from(count)))
            .map(|p| p.message.clone())
            .collect()
    }

    /// Is this part older than what is kept, if it exists at all?
    pub fn is_past(&self, part: PartId) -> bool {
        self.parts.front().is_none_or(|oldest| part < oldest.id)
    }

    /// A part is whole: keeps it and pushes it.
    pub fn part(
        &mut self,
        now: Instant,
        descriptor: &Descriptor,
        message: Bytes,
        chunks: Arc<Chunks<P>>,
        lanes: &Lanes,
        standing: impl Fn(Lane, Slot) -> Standing,
    ) {
        let id = PartId { run: descriptor.run, part: descriptor.part };
        let number = self.next;
        self.next += 1;
        if self.parts.len() == KEEP_PARTS {
            self.parts.pop_front();
        }
        let independent = descriptor.independent;
        self.parts.push_back(Stored { id, number, arrived: now, independent, message, chunks });
        for lane in 0..lanes.len().min(self.subscriptions.len()) {
            self.subscriptions[lane].retain_mut(|s| {
                let stays = !standing(lane as Lane, s.to).child;
                s.guest_until = if stays { s.guest_until.or(Some(now + GUEST)) } else { None };
                s.guest_until.is_none_or(|until| now < until)
            });
            for subscription in self.subscriptions[lane].clone() {
                let standing = standing(lane as Lane, subscription.to);
                self.push(self.parts.len() - 1, lanes, lane as Lane, subscription, standing);
            }
        }
    }

    /// Pushes one lane's share of a stored part to one subscriber.
    fn push(&mut self, at: usize, lanes: &Lanes, lane: Lane, subscription: Subscription, standing: Standing) {
        let stored = &self.parts[at];
        if stored.id < subscription.from {
            return;
        }
        let substream = lanes.substream(lane);
        let newest = &self.parts[self.parts.len() - 1];
        let past = stored.number < newest.number;
        // Who begins plays the oldest first.
        let tie =
            if past && standing.below == 0 { at as u32 } else { tie(standing.below, standing.peer.0, stored.id.part) };
        let class = match (standing.child, standing.below) {
            // Who has another parent now is served with what the children leave.
            (false, _) => OTHER,
            // The past goes to few, and whoever comes with them or next gets it from these.
            (true, 0) if past => FAVORED,
            (true, 0) => LEAF,
            (true, _) => ROOT,
        };
        // It is as pressing as what came last, and gets as old.
        let rank = Rank { class, due_ms: due_ms(newest.arrived, standing.below), tie };
        let (of, number) = (substream.of, newest.number);
        let chunks = chunks_of(&stored.chunks, of);
        let step = usize::from(lanes.substreams(of).max(1));
        for index in (usize::from(substream.index)..chunks.len()).step_by(step) {
            let payload = chunks[index].clone();
            let (bytes, id) = (payload.size() as u32, ChunkId { part: stored.id, of, index: index as u16 });
            let item = Item { id, payload, purpose: Purpose::Seeding, number };
            self.outbox.push(subscription.to, rank, item, bytes);
        }
    }

    /// Whom anything is pushed to.
    pub fn subscribers(&self) -> impl Iterator<Item = Slot> + '_ {
        self.subscriptions.iter().flatten().map(|subscription| subscription.to)
    }

    /// A peer subscribes; what is in the window already follows at once.
    pub fn subscribe(&mut self, to: Slot, lane: Lane, from: PartId, lanes: &Lanes, standing: Standing) {
        let Some(subscriptions) = self.subscriptions.get_mut(usize::from(lane)) else { return };
        // `from` is about the past: what comes next is pushed to whoever subscribed, also to one who knows no part yet.
        let first = PartId { run: RunId(0), part: 0 };
        let next = self.parts.back().map_or(first, |newest| PartId { part: newest.id.part + 1, ..newest.id });
        let from = from.min(next);
        let subscription = Subscription { to, from, guest_until: None };
        match subscriptions.iter_mut().find(|s| s.to == to) {
            // What follows is pushed anyway; the past was pushed at the first time.
            Some(known) => known.from = known.from.min(from),
            None => {
                let mut has: Vec<_> = subscriptions.iter().map(|s| s.from).collect();
                has.sort_unstable();
                // The past goes to a few, and from them to the others: who still misses some in time wants it. Who is a
                // guest had another edge until now, and others live by it.
                let enough = has.get(PAST_TO - 1).copied();
                subscriptions.push(subscription);
                for at in 0..self.parts.len() {
                    if standing.child && enough.is_some_and(|enough| self.parts[at].id >= enough) {
                        break;
                    }
                    self.push(at, lanes, lane, subscription, standing);
                }
            }
        }
    }

    /// A peer no longer wants a lane.
    pub fn unsubscribe(&mut self, to: Slot, lane: Lane, lanes: &Lanes) {
        let Some(subscriptions) = self.subscriptions.get_mut(usize::from(lane)) else { return };
        subscriptions.retain(|s| s.to != to);
        let substream = lanes.substream(lane);
        let step = u16::from(lanes.substreams(substream.of).max(1));
        self.outbox.cancel(to, |item| {
            matches!(item, Item { id, purpose: Purpose::Seeding, .. }
                if id.of == substream.of && id.index % step == u16::from(substream.index))
        });
    }

    /// A peer wants chunks. What the host must fetch, and what cannot be had.
    pub fn want(&mut self, to: Slot, rows: Vec<Row>, urgent: bool, since: Since) -> (Vec<ChunkId>, Vec<Row>) {
        let (mut fetch, mut denied) = (Vec::new(), Vec::new());
        let full = since.recorded && since.planned && self.is_behind(BEHIND);
        for row in rows {
            let mut missing = Bits::default();
            let at = self.parts.binary_search_by_key(&row.part, |p| p.id);
            let older = self.parts.front().is_some_and(|p| row.part < p.id);
            for index in row.chunks.iter() {
                let id = ChunkId { part: row.part, of: row.of, index: index as u16 };
                let found =
                    at.ok().and_then(|at| Some((at, chunks_of(&self.parts[at].chunks, row.of).get(index)?.clone())));
                let taken = match found {
                    Some((at, payload)) => self.give(to, id, payload, urgent, since, at),
                    None if older && self.fetching.len() < FETCHING_MAX && !full => {
                        if self.fetching.insert((to, id), urgent).is_none() {
                            fetch.push(id);
                        }
                        true
                    }
                    None => false,
                };
                if !taken {
                    missing.insert(index);
                }
            }
            if !missing.is_empty() {
                denied.push(Row { part: row.part, of: row.of, chunks: missing });
            }
        }
        (fetch, denied)
    }

    fn give(&mut self, to: Slot, id: ChunkId, payload: P, urgent: bool, since: Since, at: usize) -> bool {
        let past = self.parts[at].arrived < since.joined && !since.recorded;
        let purpose = match (past, since.recorded && !urgent) {
            (true, _) => Purpose::StartUp,
            (_, true) => Purpose::Seeding,
            _ => Purpose::Rescue,
        };
        let bytes = payload.size() as u32;
        if since.recorded && !self.may_serve(urgent, payload.size()) {
            return false;
        }
        let favored = (urgent || past) && self.favor.take(u64::from(bytes));
        // What was to be pushed keeps its place: who asks for it in vain is not served later for having asked.
        let pushed = self.outbox.cancel(to, |item| item.id == id) > 0;
        if urgent && !favored && !pushed && since.planned && self.is_behind(BEHIND) {
            return false;
        }
        let rank = Rank { class: wanted_class(favored, pushed), due_ms: due_ms(self.parts[at].arrived, 0), tie: 0 };
        self.outbox.push(to, rank, Item { id, payload, purpose, number: u64::MAX }, bytes)
    }

    /// Of a recording: is there room for this? For what is urgent there is.
    fn may_serve(&mut self, urgent: bool, bytes: usize) -> bool {
        if urgent {
            self.serve.owe(bytes as u64);
        }
        urgent || self.serve.take(bytes as u64)
    }

    /// Does so much wait that who asks now would get it too late? Then they are told at once, and turn to each other.
    fn is_behind(&self, by: Duration) -> bool {
        let owed = u64::try_from(-self.pace.bytes).unwrap_or(0);
        self.outbox.waiting_bytes() + owed > self.pace.bps / 8_000 * by.as_millis() as u64
    }

    /// The host has found, or not found, an older chunk. True: it will be sent.
    pub fn fetched(&mut self, to: Slot, id: ChunkId, payload: Option<P>) -> bool {
        let Some(urgent) = self.fetching.remove(&(to, id)) else { return true };
        let Some(payload) = payload else { return false };
        if !self.may_serve(urgent, payload.size()) {
            return false;
        }
        let bytes = payload.size() as u32;
        let favored = urgent && self.favor.take(u64::from(bytes));
        let waited = self.outbox.cancel(to, |item| item.id == id) > 0;
        let rank = Rank { class: wanted_class(favored, waited), due_ms: 0, tie: 0 };
        let item = Item { id, payload, purpose: Purpose::StartUp, number: u64::MAX };
        self.outbox.push(to, rank, item, bytes)
    }

    /// A peer no longer wants chunks.
    pub fn cancel(&mut self, to: Slot, rows: &[Row]) {
        let named = |id: &ChunkId| {
            rows.iter().any(|r| (r.part, r.of) == (id.part, id.of) && r.chunks.contains(usize::from(id.index)))
        };
        self.outbox.cancel(to, |item| named(&item.id));
    }

    /// So much of what a link was handed has not left.
    pub fn unsent(&mut self, to: Slot, bytes: u32) {
        self.outbox.set_unsent(to, u64::from(bytes));
    }

    /// A peer is gone.
    pub fn remove(&mut self, to: Slot) {
        self.outbox.remove(to);
        self.subscriptions.iter_mut().for_each(|lane| lane.retain(|s| s.to != to));
        self.fetching.retain(|(slot, _), _| *slot != to);
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) {
        self.pace.refill(now);
        self.favor.refill(now);
        self.serve.refill(now);
        self.fills.refill(now);
    }

    /// When something that waits may go.
    pub fn wake_at(&self) -> Option<Instant> {
        self.outbox.is_ready().then(|| self.pace.positive_at()).flatten()
    }

    /// The next frame to hand over.
    pub fn poll(&mut self) -> Option<(Slot, Frame<P>)> {
        while self.pace.bytes > 0 {
            let (to, item) = self.outbox.pop()?;
            let Item { id, payload, purpose, number } = item;
            let bytes = payload.size() as u64;
            if number.saturating_add(STALE_PARTS) < self.next {
                self.outbox.set_unsent(to, self.outbox.unsent_of(to).saturating_sub(bytes));
                self.dropped += 1;
                continue;
            }
            self.pace.spend(bytes);
            match purpose {
                Purpose::Seeding => self.sent.seeding += bytes,
                Purpose::StartUp => self.sent.start_up += bytes,
                Purpose::Rescue => self.sent.rescue += bytes,
            }
            return Some((to, Frame::Chunk(Chunk { id, hop: 0, payload })));
        }
        None
    }
}

/// Where something wanted stands: within the shares, or in line already, or behind all others.
fn wanted_class(favored: bool, waited: bool) -> u8 {
    match (favored, waited) {
        (true, _) => FAVORED,
        (false, true) => LEAF,
        (false, false) => OTHER,
    }
}

fn chunks_of<P>(chunks: &Chunks<P>, of: LayerId) -> &[P] {
    chunks.get(usize::from(of.rendition)).and_then(|r| r.get(usize::from(of.layer))).map_or(&[], Vec::as_slice)
}

/// A token bucket in bytes; may be overdrawn by one item.
#[derive(Debug, Clone)]
struct Bucket {
    bps: u64,
    burst: Duration,
    bytes: i64,
    /// Bits × µs that did not make a byte yet.
    rest: u64,
    at: Instant,
}

/// Even a slow edge hands over a chunk at once.
const BURST_MIN: u64 = 16 * 1024;

impl Bucket {
    fn new(bps: u64, burst: Duration, at: Instant) -> Self {
        let mut bucket = Self { bps, burst, bytes: 0, rest: 0, at };
        bucket.bytes = bucket.full();
        bucket
    }

    fn full(&self) -> i64 {
        (self.bps / 8_000 * self.burst.as_millis() as u64).max(BURST_MIN) as i64
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.since(self.at).as_micros() as u64;
        let grown = u128::from(self.bps) * u128::from(passed) + u128::from(self.rest);
        self.rest = (grown % 8_000_000) as u64;
        self.bytes = self.bytes.saturating_add((grown / 8_000_000).min(i64::MAX as u128) as i64).min(self.full());
        self.at = self.at.max(now);
    }

    fn spend(&mut self, bytes: u64) {
        self.bytes -= bytes as i64;
    }

    /// Spends, but owes no more than it can save up.
    fn owe(&mut self, bytes: u64) {
        self.bytes = (self.bytes - bytes as i64).max(-self.full());
    }

    fn take(&mut self, bytes: u64) -> bool {
        let enough = self.bytes >= bytes as i64;
        if enough {
            self.spend(bytes);
        }
        enough
    }

    fn positive_at(&self) -> Option<Instant> {
        let lacking = u64::try_from(1 - self.bytes).unwrap_or(0) * 8_000_000;
        (self.bps > 0).then(|| self.at + Duration::from_micros(lacking.div_ceil(self.bps)))
    }
}
